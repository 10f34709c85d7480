//! The nearest of some words, for errors that say what was probably meant.

/// The word that takes the fewest edits to become `text`; the first of several.
///
/// # Panics
/// If there are no words.
pub(super) fn nearest(text: &str, words: impl Iterator<Item = &'static str>) -> &'static str {
    words.min_by_key(|word| edits(text, word)).expect("there is a word to choose")
}

/// How many letters must be added, removed or changed to make one word of the other.
pub(crate) fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, wanted) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != wanted);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_letter_by_letter() {
        assert_eq!((edits("lane", "lane"), edits("", "lane"), edits("lean", "lane")), (0, 4, 2));
        assert_eq!(nearest("fens", ["lane", "fence"].into_iter()), "fence");
    }
}
