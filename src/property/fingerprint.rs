//! Fingerprints: what makes two violations the same.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Entry, Kind, UnknownProperty, catalogue, nearest::nearest};
use crate::{
    trace::Call,
    types::{Answer, Code, Function, Status},
};

/// The name of a property, as the catalogue spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyName(&'static str);

/// What makes two violations the same: the property, the function that was called and its answer in a word, and the kind of
/// violation. No ids, times or wording, so that shrinking cannot wander to another bug.
///
/// ```
/// use grantsim::property::Fingerprint;
///
/// let text = "fence/ff_renew_lease/OK/stale-lease";
/// let fingerprint: Fingerprint = text.parse()?;
/// assert_eq!((fingerprint.property().as_str(), fingerprint.kind()), ("fence", "stale-lease"));
/// assert_eq!(fingerprint.to_string(), text);
///
/// // Where nothing was called there are dashes.
/// assert!("lane/-/-/reclaim-grant".parse::<Fingerprint>()?.function().is_none());
///
/// let error = "fence/ff_renew_leese/OK/stale-lease".parse::<Fingerprint>().unwrap_err();
/// assert!(error.to_string().contains("ff_renew_lease"), "{error}");
/// # Ok::<(), grantsim::property::FingerprintError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    property: PropertyName,
    call: Option<(Function, Answer)>,
    kind: &'static str,
}

/// A kind of violation by name: a property, and which of its kinds. What a mutant's `breaks` says.
///
/// ```
/// use grantsim::property::KindName;
///
/// let kind: KindName = "fence/stale-lease".parse()?;
/// assert_eq!((kind.property().as_str(), kind.kind()), ("fence", "stale-lease"));
///
/// let error = "fence/stale-leese".parse::<KindName>().unwrap_err();
/// assert!(error.to_string().contains("stale-lease"), "{error}");
/// # Ok::<(), grantsim::property::FingerprintError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName {
    property: PropertyName,
    kind: &'static str,
}

/// A text that is no fingerprint of this build, or no kind of violation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// It does not have four parts.
    #[error(
        "{0:?} is no fingerprint: one reads property/function/answer/kind, with - for function and answer where nothing was called"
    )]
    Shape(String),
    /// A kind's name does not have two parts.
    #[error("{0:?} is no kind of violation: one reads property/kind, as in fence/stale-lease")]
    KindShape(String),
    /// The catalogue lacks the property.
    #[error(transparent)]
    Property(#[from] UnknownProperty),
    /// The property has no such kind of violation.
    #[error("{property} has no kind of violation called {kind:?}; it has {}", known.join(", "))]
    Kind {
        /// The property.
        property: PropertyName,
        /// What was asked for.
        kind: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Nobody knows the function.
    #[error("no function is called {function:?}; the nearest is {nearest}")]
    Function {
        /// What was asked for.
        function: String,
        /// The most similar one.
        nearest: &'static str,
    },
    /// No function answers so.
    #[error("no function answers {answer:?}; the nearest answer is {nearest}")]
    Answer {
        /// What was asked for.
        answer: String,
        /// The most similar one.
        nearest: &'static str,
    },
}

impl PropertyName {
    /// The name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl Fingerprint {
    /// The fingerprint of a violation in this call, or in none.
    ///
    /// # Panics
    /// If the entry does not list the kind.
    pub(super) fn new(entry: &'static Entry, kind: Kind, call: Option<&Call<'_>>) -> Self {
        assert!(entry.kinds.contains(&kind), "{} does not list its kind {}", entry.name, kind.name);
        let call = call.map(|call| (call.function.clone(), call.answer.clone()));
        Self { property: PropertyName(entry.name), call, kind: kind.name }
    }

    /// The property.
    pub fn property(&self) -> PropertyName {
        self.property
    }

    /// The function that was called.
    pub fn function(&self) -> Option<&Function> {
        self.call.as_ref().map(|(function, _)| function)
    }

    /// What it answered.
    pub fn answer(&self) -> Option<&Answer> {
        self.call.as_ref().map(|(_, answer)| answer)
    }

    /// The name of the kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The property and the kind: what is left without function and answer.
    pub fn kind_name(&self) -> KindName {
        KindName { property: self.property, kind: self.kind }
    }
}

impl KindName {
    /// Every kind of every property.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |entry: &'static Entry| {
            entry.kinds.iter().map(|kind| Self { property: PropertyName(entry.name), kind: kind.name })
        };
        catalogue::all().flat_map(of)
    }

    /// The property.
    pub fn property(self) -> PropertyName {
        self.property
    }

    /// The kind.
    pub fn kind(self) -> &'static str {
        self.kind
    }

    fn find(property: &str, kind: &str) -> Result<Self, FingerprintError> {
        let entry = catalogue::find(property)?;
        let property = PropertyName(entry.name);
        let Some(found) = entry.kinds.iter().find(|known| known.name == kind) else {
            let known = entry.kinds.iter().map(|kind| kind.name).collect();
            return Err(FingerprintError::Kind { property, kind: kind.to_owned(), known });
        };
        Ok(Self { property, kind: found.name })
    }
}

impl Fingerprint {
    /// Reads what a program wrote: an answer may be any text.
    fn recorded(text: &str) -> Result<Self, FingerprintError> {
        let parts = || {
            let (property, rest) = text.split_once('/')?;
            let (rest, kind) = rest.rsplit_once('/')?;
            Some((property, rest.split_once('/')?, kind))
        };
        let (property, call, kind) = parts().ok_or_else(|| FingerprintError::Shape(text.to_owned()))?;
        let KindName { property, kind } = KindName::find(property, kind)?;
        let call = match call {
            ("-", "-") => None,
            (function, answer) => Some((Function::from(function), Answer::from(answer))),
        };
        Ok(Self { property, call, kind })
    }
}

impl FromStr for KindName {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (property, kind) =
            text.split_once('/').ok_or_else(|| FingerprintError::KindShape(text.to_owned()))?;
        Self::find(property, kind)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let shape = || FingerprintError::Shape(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let [property, function, answer, kind] = parts[..] else { return Err(shape()) };
        let KindName { property, kind } = KindName::find(property, kind)?;
        let call = match (function, answer) {
            ("-", "-") => None,
            ("-", _) | (_, "-") => return Err(shape()),
            _ => Some((known_function(function)?, known_answer(answer)?)),
        };
        Ok(Self { property, call, kind })
    }
}

fn known_function(text: &str) -> Result<Function, FingerprintError> {
    let function = Function::from(text);
    if function.is_known() {
        return Ok(function);
    }
    let nearest = nearest(text, Function::KNOWN.iter().map(Function::as_str));
    Err(FingerprintError::Function { function: text.to_owned(), nearest })
}

fn known_answer(text: &str) -> Result<Answer, FingerprintError> {
    let answer = Answer::from(text);
    if answer.is_known() {
        return Ok(answer);
    }
    let known = Status::ALL.iter().map(|status| status.as_str()).chain(Code::KNOWN.iter().map(Code::as_str));
    Err(FingerprintError::Answer { answer: text.to_owned(), nearest: nearest(text, known) })
}

impl fmt::Display for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.property, self.kind))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.call {
            Some((function, answer)) => write!(f, "{}/{function}/{answer}/{}", self.property, self.kind),
            None => write!(f, "{}/-/-/{}", self.property, self.kind),
        }
    }
}

impl PartialEq<&str> for PropertyName {
    fn eq(&self, name: &&str) -> bool {
        self.0 == *name
    }
}

impl Serialize for PropertyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for PropertyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        catalogue::find(&name).map(|entry| Self(entry.name)).map_err(D::Error::custom)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    /// A library may have functions and answers that the published one lacks. So may a fingerprint in a file, which a
    /// program wrote; one that a person types is [parsed](Fingerprint::from_str).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::recorded(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Fingerprint>().unwrap_err().to_string()
    }

    #[test]
    fn a_fingerprint_is_read_back_from_its_text_and_its_json() {
        for text in [
            "fence/ff_cancel_execution/OK/former-owner",
            "expiry/ff_claim_execution/claim_grant_expired/no-grant",
            "quota/ff_check_admission_and_record/reply/over-cap",
            "at-most-once/ff_claim_execution/ERR/spent-grant",
            "lane/-/-/reclaim-grant",
        ] {
            let fingerprint: Fingerprint = text.parse().unwrap();
            assert_eq!(fingerprint.to_string(), text);
            let json = serde_json::to_string(&fingerprint).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
        }
    }

    #[test]
    fn a_fingerprint_in_json_keeps_what_only_this_library_has() {
        for text in ["fence/ff_moon_phase/new_moon/stale-lease", "fence/ff_renew_lease/a/b: c/stale-lease"] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
            let json = format!("{text:?}");
            let fingerprint: Fingerprint = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&fingerprint).unwrap(), json);
        }
        assert!(serde_json::from_str::<Fingerprint>("\"fence/-/stale-lease\"").is_err());
    }

    #[test]
    fn what_the_catalogue_lacks_is_refused_and_the_error_says_what_there_is() {
        assert!(error("fense/-/-/stale-lease").contains("did you mean \"fence\"?"));
        assert!(error("lane/-/-/stale-lease").ends_with("it has core, grant, claim, index, reclaim-grant"));
        assert!(error("fence/ff_renew/OK/stale-lease").contains("the nearest is ff_renew_lease"));
        assert!(
            error("fence/ff_renew_lease/stale_leese/stale-lease").contains("nearest answer is stale_lease")
        );
        let json = serde_json::from_str::<Fingerprint>(r#""fence/ff_renew_lease/OK/moon""#).unwrap_err();
        assert!(json.to_string().contains("no kind of violation called \"moon\""), "{json}");
    }

    #[test]
    fn two_parts_name_a_kind_and_a_text_that_the_catalogue_lacks_is_told_the_nearest() {
        for kind in KindName::all() {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = |text: &str| text.parse::<KindName>().unwrap_err().to_string();
        assert!(error("fence").contains("property/kind"), "{}", error("fence"));
        assert!(error("fense/no-lease").contains("did you mean \"fence\""), "{}", error("fense/no-lease"));
        assert!(error("lane/corr").contains("it has core, grant"), "{}", error("lane/corr"));
        let fingerprint: Fingerprint = "fence/ff_renew_lease/OK/stale-lease".parse().unwrap();
        assert_eq!(fingerprint.kind_name().to_string(), "fence/stale-lease");
    }

    #[test]
    fn four_parts_make_a_fingerprint_and_function_and_answer_come_together() {
        for text in [
            "",
            "fence",
            "fence/-/-",
            "fence/-/OK/stale-lease",
            "fence/ff_renew_lease/-/stale-lease",
            "a/b/c/d/e",
        ] {
            assert!(error(text).contains("property/function/answer/kind"), "{text:?}: {}", error(text));
        }
    }

    #[test]
    fn a_state_to_be_reached_has_no_fingerprint() {
        assert!(error("grant-raced/-/-/grant-raced").contains("grant-raced has no kind of violation"));
    }
}
