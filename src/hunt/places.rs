//! Which seeds of a hunt: a set of numbers, kept as ranges, so that half a million seeds are a short text.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// Seeds of a hunt's share, counted from 0 at its first: `0-499,501`.
///
/// ```
/// use grantsim::hunt::Places;
///
/// let mut places: Places = "0-2,5".parse()?;
/// places.insert(3);
/// assert_eq!((places.len(), places.to_string()), (5, "0-3,5".to_owned()));
/// # Ok::<(), grantsim::hunt::NoPlaces>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Places {
    /// The last of each range, by its first. No two ranges touch.
    ranges: BTreeMap<u64, u64>,
}

/// A text that is no set of seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no set of seeds: one reads 0-499,501, in order")]
pub struct NoPlaces(String);

impl Places {
    /// Adds one; whether it is new.
    pub fn insert(&mut self, place: u64) -> bool {
        if self.contains(place) {
            return false;
        }
        let before = self.ranges.range(..place).next_back().filter(|(_, last)| **last + 1 == place);
        let first = before.map_or(place, |(first, _)| *first);
        let after = place.checked_add(1).and_then(|next| self.ranges.remove(&next));
        self.ranges.insert(first, after.unwrap_or(place));
        true
    }

    /// Whether it is in.
    pub fn contains(&self, place: u64) -> bool {
        self.ranges.range(..=place).next_back().is_some_and(|(_, last)| place <= *last)
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.ranges()
            .fold(0, |sum: u64, range| sum.saturating_add((range.end() - range.start()).saturating_add(1)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The lowest.
    pub fn first(&self) -> Option<u64> {
        self.ranges.keys().next().copied()
    }

    /// The highest.
    pub fn last(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges().flatten()
    }

    fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, range) in self.ranges().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Places {
    type Err = NoPlaces;

    fn from_str(text: &str) -> Result<Self, NoPlaces> {
        let wrong = || NoPlaces(text.chars().take(60).collect());
        let mut places = Self::default();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u64, u64) =
                (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
            // A gap is left between two ranges, or they would be one.
            let is_next =
                places.last().is_none_or(|before| before.checked_add(1).is_some_and(|next| first > next));
            if last < first || !is_next {
                return Err(wrong());
            }
            places.ranges.insert(first, last);
        }
        Ok(places)
    }
}

impl TryFrom<String> for Places {
    type Error = NoPlaces;

    fn try_from(text: String) -> Result<Self, NoPlaces> {
        text.parse()
    }
}

impl From<Places> for String {
    fn from(places: Places) -> Self {
        places.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_of_places_is_the_set_of_its_numbers_in_whatever_order_they_came() {
        // Every number below 40, each in its own time: 7 and 40 have no divisor in common.
        let (mut places, mut set) = (Places::default(), BTreeSet::new());
        for nth in 0..60u64 {
            let place = nth * 7 % 40;
            assert_eq!(places.insert(place), set.insert(place), "{place}");
            assert_eq!(places.iter().collect::<BTreeSet<_>>(), set);
            assert_eq!((places.len(), places.first()), (set.len() as u64, set.first().copied()));
            assert_eq!(places.last(), set.last().copied());
            assert!((0..41).all(|it| places.contains(it) == set.contains(&it)), "{places}");
            assert_eq!(places.to_string().parse(), Ok(places.clone()));
        }
        assert_eq!(places.to_string(), "0-39");
    }

    #[test]
    fn the_greatest_number_has_none_after_it() {
        let mut places = Places::default();
        places.insert(u64::MAX);
        places.insert(u64::MAX - 1);
        assert_eq!(places.to_string().parse(), Ok(places.clone()));
        assert!(places.contains(u64::MAX) && places.len() == 2);
    }

    #[test]
    fn a_text_in_another_order_or_of_other_things_is_refused() {
        for text in ["x", "1-", "-1", "3-2", "5,3", "0-4,5", "0-4,4", "1,,2", " 1"] {
            assert_eq!(text.parse::<Places>(), Err(NoPlaces(text.to_owned())), "{text}");
        }
        assert_eq!("".parse(), Ok(Places::default()));
    }
}
