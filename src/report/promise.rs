//! The promises of `docs/protocol.md`, by number: what each is called there, and where it comes from.

const PROTOCOL: &str = include_str!("../../docs/protocol.md");

/// A promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// Its short name.
    pub name: &'static str,
    /// The first of its sources: `RFC-003 §5`.
    pub source: &'static str,
}

impl Promise {
    /// The promise of a number.
    pub fn of(number: u8) -> Option<Self> {
        let (_, section) = PROTOCOL.split_once(&format!("\n### Promise {number}: "))?;
        let section = section.split("\n##").next()?;
        let name = section.lines().next()?;
        let (_, source) = section.split_once("*Source:* ")?;
        let end = [";", ",", " (", ".\n", ". ", "\n"].iter().filter_map(|stop| source.find(stop)).min();
        Some(Self { name, source: &source[..end.unwrap_or(source.len())] })
    }

    /// Whether promises of this number are about the state between calls, as the page says of 23 to 41.
    pub fn is_of_state(number: u8) -> bool {
        (23..=41).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::catalogue;

    #[test]
    fn every_number_of_the_catalogue_is_a_promise_with_a_name_and_a_source() {
        for number in catalogue::all().flat_map(|entry| entry.numbers) {
            let promise = Promise::of(*number).unwrap_or_else(|| panic!("promise {number}"));
            assert!(!promise.name.is_empty() && promise.source.starts_with("RFC-"), "{number}: {promise:?}");
            assert!(promise.source.len() < 40, "{number}: {promise:?}");
        }
        assert_eq!(Promise::of(24), Some(Promise { name: "index-membership", source: "RFC-010 §4.8" }));
        assert_eq!(Promise::of(0), None);
    }

    #[test]
    fn the_page_says_which_promises_are_about_the_state_between_calls() {
        assert!(PROTOCOL.contains("23 to 41 about the state between calls"));
    }
}
