//! Which call a fault hits, or a deed waits for.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::{ExecutionName, Function, Node};

/// The n-th call of a function, by a node, about an execution, or both.
///
/// ```
/// use grantsim::{plan::{CallRef, Called}, types::{ExecutionName, Function, Node}};
/// let call = CallRef {
///     node: Some(Node::Worker(1)),
///     function: Called::Function(Function::RenewLease),
///     execution: Some(ExecutionName::nth(7)),
///     nth: 2,
/// };
/// assert_eq!(call.to_string(), "ff_renew_lease #2 of worker-1 about e7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRef {
    /// Who calls; any node when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// What is called.
    pub function: Called,
    /// What it is about; any execution, or none, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionName>,
    /// Counted from 1 over the whole run, among the calls that match all of the above; a restarted process goes on
    /// counting.
    pub nth: u32,
}

impl CallRef {
    /// Whether a call is among those that are counted, in a library that claims by `claim_function`.
    pub fn matches(
        &self,
        node: Node,
        function: &Function,
        execution: Option<&ExecutionName>,
        claim_function: &Function,
    ) -> bool {
        self.node.is_none_or(|of| of == node)
            && self.function.covers(function, claim_function)
            && self.execution.as_ref().is_none_or(|about| Some(about) == execution)
    }
}

/// The function that a fault waits for.
///
/// ```
/// use grantsim::{plan::Called, types::Function};
/// let claim: Called = serde_json::from_str("\"claim\"")?;
/// // Libraries disagree on the name of the function that claims.
/// assert!(claim.covers(&Function::AcquireLease, &Function::AcquireLease));
/// assert!(!claim.covers(&Function::RenewLease, &Function::AcquireLease));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Called {
    /// `claim`: whichever function claims in the library under test.
    Claim,
    /// The function of this name.
    Function(Function),
}

impl Called {
    /// Whether a call of `function` is meant, in a library that claims by `claim_function`.
    pub fn covers(&self, function: &Function, claim_function: &Function) -> bool {
        match self {
            Called::Claim => function == claim_function,
            Called::Function(named) => function == named,
        }
    }

    /// As it stands in a file.
    pub fn as_str(&self) -> &str {
        match self {
            Called::Claim => "claim",
            Called::Function(function) => function.as_str(),
        }
    }
}

impl From<&str> for Called {
    fn from(name: &str) -> Self {
        match name {
            "claim" => Called::Claim,
            _ => Called::Function(Function::from(name)),
        }
    }
}

impl From<String> for Called {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

impl FromStr for Called {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::from(name))
    }
}

impl From<Called> for String {
    fn from(called: Called) -> Self {
        called.as_str().to_owned()
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for CallRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.function, self.nth)?;
        if let Some(node) = self.node {
            write!(f, " of {node}")?;
        }
        if let Some(execution) = &self.execution {
            write!(f, " about {execution}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_by_what_is_given_of_it() {
        let shown =
            |node, execution| CallRef { node, function: Called::Claim, execution, nth: 3 }.to_string();
        assert_eq!(shown(Some(Node::Worker(2)), None), "claim #3 of worker-2");
        assert_eq!(shown(None, Some(ExecutionName::nth(7))), "claim #3 about e7");
    }

    #[test]
    fn what_is_called_is_its_name_in_a_file_whatever_the_library() {
        for (name, called) in [
            ("claim", Called::Claim),
            ("ff_renew_lease", Called::Function(Function::RenewLease)),
            ("ff_moon_phase", Called::Function(Function::from("ff_moon_phase"))),
        ] {
            let json = format!("{name:?}");
            assert_eq!(serde_json::from_str::<Called>(&json).unwrap(), called);
            assert_eq!(serde_json::to_string(&called).unwrap(), json);
        }
    }

    #[test]
    fn a_named_function_covers_itself_alone() {
        let renew = Called::Function(Function::RenewLease);
        assert!(renew.covers(&Function::RenewLease, &Function::ClaimExecution));
        assert!(!renew.covers(&Function::ClaimExecution, &Function::ClaimExecution));
        assert!(Called::Claim.covers(&Function::ClaimExecution, &Function::ClaimExecution));
        assert!(!Called::Claim.covers(&Function::ReclaimExecution, &Function::ClaimExecution));
    }
}
