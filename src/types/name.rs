//! Names that a plan gives to executions, and to whatever else it names.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The most characters of a name: it has to fit a line of a timeline.
const MOST: usize = 40;

/// The name of an execution in its plan, and everywhere a person reads of it.
///
/// An execution that no plan names (an id that a call made up) is called by its id.
///
/// ```
/// use grantsim::types::ExecutionName;
/// let name: ExecutionName = "e7".parse()?;
/// assert_eq!(name.to_string(), "e7");
/// assert!("no spaces".parse::<ExecutionName>().is_err());
/// # Ok::<(), grantsim::types::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionName(Arc<str>);

/// A name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name an execution: a name is 1 to {MOST} letters, digits, `-`, `_` or `.`")]
pub struct NameError(String);

impl ExecutionName {
    /// The n-th execution of a plan that does not name its executions, counted from 1.
    pub fn nth(n: usize) -> Self {
        Self(format!("e{n}").into())
    }

    /// What an execution is called that no plan names.
    pub fn of_id(id: &str) -> Self {
        Self(id.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it could stand in a plan.
    ///
    /// # Errors
    /// [`NameError`], with what a name looks like.
    pub fn check(&self) -> Result<(), NameError> {
        if is_name(&self.0) { Ok(()) } else { Err(NameError(self.0.to_string())) }
    }
}

/// The name of anything else that a plan names: a flow, a quota policy, a budget, a deed.
///
/// ```
/// use grantsim::types::Label;
/// assert_eq!(Label::from("f1").to_string(), "f1");
/// assert!(Label::from("no spaces").check("a flow").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(Arc<str>);

impl Label {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it could stand in a plan, as the name of such a thing.
    ///
    /// # Errors
    /// What a name looks like.
    pub fn check(&self, thing: &str) -> Result<(), String> {
        if is_name(&self.0) {
            return Ok(());
        }
        Err(format!(
            "{:?} cannot name {thing}: a name is 1 to {MOST} letters, digits, `-`, `_` or `.`",
            &*self.0
        ))
    }
}

impl From<&str> for Label {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=MOST).contains(&name.len()) && name.chars().all(is_plain)
}

impl FromStr for ExecutionName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let name = Self(name.into());
        name.check().map(|()| name)
    }
}

impl fmt::Display for ExecutionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
