//! Which functions differ by their text: all that can be said of those that no plan calls.
//!
//! A function's text reaches from its registration to the next one, comments, blank lines and indentation left out. A
//! helper belongs to the function that stands before it; those before the first function to none.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Function;

/// The functions among these whose text differs. Of one whose registration is not found, the whole library's text counts.
pub(super) fn differing<'f>(
    old: &str,
    new: &str,
    functions: impl IntoIterator<Item = &'f Function>,
) -> BTreeSet<Function> {
    let (olds, news) = (sections(old), sections(new));
    let differs = |function: &&Function| match (olds.get(function.as_str()), news.get(function.as_str())) {
        (Some(old), Some(new)) => old != new,
        _ => plain(old) != plain(new),
    };
    functions.into_iter().filter(differs).cloned().collect()
}

/// The text of each function, by its name.
fn sections(source: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    for section in source.split("register_function").skip(1) {
        let mut quoted = section.split(['\'', '"']);
        if let Some(name) = quoted.nth(1) {
            sections.insert(name.to_ascii_lowercase(), plain(section));
        }
    }
    sections
}

/// A text without comments, blank lines and indentation.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| without_comment(line).trim()).filter(|line| !line.is_empty());
    lines.fold(String::new(), |plain, line| plain + line + "\n")
}

/// A line up to the comment that ends it. The dashes of a text in quotes are none.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut bytes = line.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => _ = bytes.next(),
            (Some(open), _) if byte == open => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'-') if bytes.peek().is_some_and(|(_, next)| *next == b'-') => return &line[..at],
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_changes_no_text_and_a_letter_does() {
        let functions = [Function::Version, Function::RenewLease, Function::RevokeLease];
        let library = |version: &str, renew: &str| {
            format!(
                "#!lua name=l\nredis.register_function('ff_version', function() {version} end)\n\
                 redis.register_function{{function_name=\"FF_renew_lease\", callback=function() {renew} end}}\n"
            )
        };
        let old = library("return '--1'", "return 2");
        let commented = old.replace("\n", " -- a comment with 'one quote\n\n  -- and a line of its own\n");
        let of = |new: &str, functions: &[Function]| differing(&old, new, functions);
        assert!(of(&old, &functions).is_empty());
        assert_eq!(of(&commented, &functions), BTreeSet::new());
        assert_eq!(of(&library("return '--2'", "return 2"), &functions[..2]), [Function::Version].into());
        let unknown = of(&library("return '--1'", "return 3"), &functions);
        assert_eq!(
            unknown,
            [Function::RenewLease, Function::RevokeLease].into(),
            "nobody registers the last one"
        );
    }
}
