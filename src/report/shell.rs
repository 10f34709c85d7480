//! Words of a command line, in a line to copy.

use std::fmt::Display;

/// A word as a shell takes it.
///
/// ```
/// use grantsim::report::quoted;
/// assert_eq!(quoted(&"plans/life.json"), "plans/life.json");
/// assert_eq!(quoted(&"my plan.json"), "'my plan.json'");
/// ```
pub fn quoted(word: &(impl Display + ?Sized)) -> String {
    let word = word.to_string();
    // A NUL can be in no argument of a process, and so in no word that came from one.
    shlex::try_quote(&word).map(Into::into).unwrap_or_else(|_| word.replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_is_one_word_to_a_shell_whatever_is_in_it() {
        for word in ["plain.json", "a plan's name", "$HOME `x` \"y\" \\ !z", "", "é*?", "#no"] {
            let line = format!("replay {} end", quoted(word));
            assert_eq!(shlex::split(&line).unwrap(), ["replay", word, "end"], "{line}");
        }
        assert_eq!(quoted("fixtures/plans/life.json"), "fixtures/plans/life.json");
    }
}
