//! What a library registers, as the server lists it, and so what can be called.

use std::collections::BTreeSet;

use valkey_sim::engine::Reply;

use crate::types::Function;

/// The function by which a worker claims a grant. FlowFabric's documentation names both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimFunction {
    /// `ff_claim_execution`: what the published library registers.
    #[default]
    ClaimExecution,
    /// `ff_acquire_lease`: "or", as the documentation has it.
    AcquireLease,
}

impl From<ClaimFunction> for Function {
    fn from(function: ClaimFunction) -> Self {
        match function {
            ClaimFunction::ClaimExecution => Function::ClaimExecution,
            ClaimFunction::AcquireLease => Function::AcquireLease,
        }
    }
}

/// The functions that a server has, by its own list.
///
/// ```
/// use grantsim::{protocol::{ClaimFunction, Registered}, types::Function};
/// let functions = Registered::from_iter([Function::Version, Function::AcquireLease]);
/// assert!(functions.has(&Function::Version));
/// assert_eq!(functions.claim_function().unwrap(), ClaimFunction::AcquireLease);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    functions: BTreeSet<Function>,
}

/// Why a server's functions cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisteredError {
    /// The reply is no list of functions.
    #[error("FUNCTION LIST should answer libraries with their functions, and answered {0}")]
    Malformed(String),
    /// Nothing to claim with.
    #[error(
        "the library registers neither ff_claim_execution nor ff_acquire_lease, so nothing can be claimed; \
         it registers {0}"
    )]
    NoClaim(String),
}

impl Registered {
    /// Reads the reply to `FUNCTION LIST`, in its RESP2 or RESP3 shape.
    ///
    /// # Errors
    /// The reply has another shape, or is an error.
    pub fn from_list(reply: &Reply) -> Result<Self, RegisteredError> {
        let read = || {
            let mut names = Vec::new();
            for library in items(reply)? {
                for function in items(field(library, "functions")?)? {
                    // A server does not distinguish upper and lower case here.
                    let name = super::reply::text(field(function, "name")?)?.to_ascii_lowercase();
                    names.push(Function::from(name));
                }
            }
            Some(names)
        };
        read().map(Self::from_iter).ok_or_else(|| RegisteredError::Malformed(format!("{reply:?}")))
    }

    /// Whether there is such a function.
    pub fn has(&self, function: &Function) -> bool {
        self.functions.contains(function)
    }

    /// Which function a claim is sent to.
    ///
    /// # Errors
    /// There is none; the message says what there is.
    pub fn claim_function(&self) -> Result<ClaimFunction, RegisteredError> {
        let has = |function: &ClaimFunction| self.has(&(*function).into());
        [ClaimFunction::ClaimExecution, ClaimFunction::AcquireLease].into_iter().find(has).ok_or_else(|| {
            RegisteredError::NoClaim(self.iter().map(Function::as_str).collect::<Vec<_>>().join(", "))
        })
    }

    /// The functions, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter()
    }
}

impl FromIterator<Function> for Registered {
    fn from_iter<I: IntoIterator<Item = Function>>(functions: I) -> Self {
        Self { functions: functions.into_iter().collect() }
    }
}

fn items(reply: &Reply) -> Option<&[Reply]> {
    match reply {
        Reply::Array(items) | Reply::Set(items) => Some(items),
        _ => None,
    }
}

/// The value of a field of a map, or of the flat array that RESP2 makes of it.
fn field<'a>(reply: &'a Reply, name: &str) -> Option<&'a Reply> {
    let named = |key: &Reply| crate::protocol::reply::text(key).as_deref() == Some(name);
    match reply {
        Reply::Map(pairs) => pairs.iter().find(|(key, _)| named(key)).map(|(_, value)| value),
        Reply::Array(flat) => flat.chunks_exact(2).find(|pair| named(&pair[0])).map(|pair| &pair[1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(functions: &[&str], flat: bool) -> Reply {
        let map = |pairs: Vec<(Reply, Reply)>| match flat {
            true => Reply::Array(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
            false => Reply::Map(pairs),
        };
        let function = |name: &&str| {
            map(vec![(Reply::bulk("name"), Reply::bulk(name)), (Reply::bulk("flags"), Reply::Null)])
        };
        Reply::Array(vec![map(vec![
            (Reply::bulk("library_name"), Reply::bulk("l")),
            (Reply::bulk("functions"), Reply::Array(functions.iter().map(function).collect())),
        ])])
    }

    #[test]
    fn what_is_registered_is_read_from_both_protocols() {
        for flat in [true, false] {
            let functions =
                Registered::from_list(&list(&["ff_version", "ff_claim_execution"], flat)).unwrap();
            assert!(functions.has(&Function::Version) && !functions.has(&Function::RenewLease));
            assert_eq!(functions.claim_function(), Ok(ClaimFunction::ClaimExecution));
        }
        assert!(matches!(Registered::from_list(&Reply::OK), Err(RegisteredError::Malformed(_))));
    }

    #[test]
    fn a_library_that_nothing_can_be_claimed_with_says_what_it_has() {
        let error = Registered::from_iter([Function::Version]).claim_function().unwrap_err();
        assert!(error.to_string().ends_with("it registers ff_version"), "{error}");
    }
}
