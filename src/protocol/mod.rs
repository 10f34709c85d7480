//! The protocol as typed calls: named fields in, `FCALL name numkeys keys… args…` out, and the reply read back.
//!
//! One file a function family, one struct a function, one field a thing that the caller decides. Everything else
//! follows: KEYS come from `ff-core`'s key builders, ARGV keep the order of the library's own comments, and every
//! reply goes through one [grammar](reply). A claim is sent to whichever of `ff_claim_execution` and
//! `ff_acquire_lease` the library under test [registers](Registered).
//!
//! ```
//! use ff_core::types::{ExecutionId, LaneId};
//! use grantsim::protocol::{ChangePriority, Command};
//! use valkey_sim::engine::Reply;
//!
//! let execution_id = ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8")?;
//! let call = ChangePriority { execution_id, lane_id: LaneId::new("gpu"), priority: 9 };
//! assert_eq!(call.request().args[..3], [b"FCALL".to_vec(), b"ff_change_priority".to_vec(), b"2".to_vec()]);
//!
//! let refusal = Reply::Array(vec![Reply::Int(0), Reply::bulk("execution_not_eligible")]);
//! assert_eq!(call.parse(&refusal).unwrap_err().to_string(), "refused: execution_not_eligible");
//! # Ok::<(), ff_core::types::ExecutionIdParseError>(())
//! ```
//!
//! Nothing here sends anything, retries anything or knows what a lost reply means: that is the actors' part.

use std::{fmt, sync::Arc};

use ff_core::{
    keys::{ExecKeyContext, IndexKeys},
    partition::{Partition, PartitionConfig, PartitionFamily, execution_partition},
    types::{ExecutionId, LeaseFence},
};
use valkey_sim::engine::Reply;

mod budget;
mod claim;
mod command;
mod execution;
mod flow;
mod lease;
mod presented;
mod quota;
mod registered;
pub mod reply;
mod scan;
mod scheduling;
pub mod shape;
mod signal;
mod stream;
mod suspension;
mod tamper;
#[cfg(test)]
mod tests;
mod worker_registry;

pub use budget::*;
pub use claim::*;
pub use command::*;
pub use execution::*;
pub use flow::*;
pub use lease::*;
pub use presented::Presented;
pub use quota::*;
pub use registered::{ClaimFunction, Registered, RegisteredError};
pub use reply::{CallError, Consent, Malformed, NotActive, Refusal};
pub use scan::*;
pub use scheduling::*;
pub use signal::*;
pub use stream::*;
pub use suspension::*;
pub use tamper::PresentedFence;
pub use worker_registry::*;

use reply::ReadResult;

pub use crate::types::Status;
pub use crate::types::wire::{Arg, Field};
use crate::types::{Function, wire::args, word::words};

/// A command ready for the wire: its name and arguments. Clones share them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The name first.
    pub args: Arc<[Vec<u8>]>,
}

/// A fence of `ff-core` has no hash of its own: these are told apart by what they ask.
macro_rules! hashed_by_request {
    ($($command:ty),*) => {$(
        impl std::hash::Hash for $command {
            fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
                Command::request(self).hash(hasher);
            }
        }
    )*};
}
hashed_by_request!(RenewLease, CancelExecution);

impl Request {
    /// What is called: the function of an `FCALL`, else the command.
    pub fn name(&self) -> &[u8] {
        let at = usize::from(self.args.first().is_some_and(|name| name == b"FCALL"));
        self.args.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    /// The function that is called; none for a plain command.
    pub fn function(&self) -> Option<Function> {
        let is_call = self.args.first().is_some_and(|name| name == b"FCALL");
        is_call.then(|| Function::from(&*String::from_utf8_lossy(self.name())))
    }

    /// The execution that a function call is about: its first argument, where that is an execution's id.
    pub fn execution_id(&self) -> Option<&str> {
        let keys: usize = std::str::from_utf8(self.args.get(2)?).ok()?.parse().ok()?;
        let id = std::str::from_utf8(self.args.get(keys.checked_add(3)?)?).ok()?;
        ExecutionId::parse(id).is_ok().then_some(id)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.args.iter().map(|arg| String::from_utf8_lossy(arg))).finish()
    }
}

/// Anything that can be sent and whose reply can be read: every [`Call`], and the plain commands of FlowFabric's
/// Rust side.
pub trait Command {
    /// What comes of it.
    type Outcome;

    /// The command for the wire.
    fn request(&self) -> Request;

    /// Reads the reply.
    ///
    /// # Errors
    /// A refusal, an error reply, or a reply outside of the grammar.
    fn parse(&self, reply: &Reply) -> Result<Self::Outcome, CallError>;
}

/// One call of one function of the library.
pub trait Call {
    /// The function.
    const FUNCTION: Function;

    /// What comes of it when the function consents.
    type Outcome;

    /// KEYS, in the function's order.
    fn keys(&self) -> Vec<String>;

    /// ARGV, in the function's order.
    fn argv(&self) -> Vec<Vec<u8>>;

    /// Reads the function's consent.
    fn outcome(&self, answer: &Consent) -> Result<Self::Outcome, Malformed>;

    /// The function to call, where it is not always [`FUNCTION`](Self::FUNCTION).
    fn function(&self) -> Function {
        Self::FUNCTION
    }

    /// Reads a reply. Overridden by the few functions that have a grammar of their own.
    fn read(&self, reply: &Reply) -> ReadResult<Self::Outcome> {
        Ok(self.outcome(&Consent::read(reply)?)?)
    }
}

impl<C: Call> Command for C {
    type Outcome = C::Outcome;

    fn request(&self) -> Request {
        let keys = self.keys();
        let mut args = args!["FCALL", self.function().as_str(), keys.len()];
        args.extend(keys.into_iter().map(String::into_bytes));
        args.extend(self.argv());
        Request { args: args.into() }
    }

    fn parse(&self, reply: &Reply) -> Result<C::Outcome, CallError> {
        self.read(reply).map_err(|error| error.of(self.function().as_str()))
    }
}

/// The keys of one execution and of the indexes of its partition.
pub struct ExecutionKeys {
    /// `ff:exec:…`, `ff:attempt:…` and the like.
    pub exec: ExecKeyContext,
    /// `ff:idx:…`.
    pub index: IndexKeys,
}

impl ExecutionKeys {
    /// The keys of an execution; its partition is part of its id.
    pub fn of(execution_id: &ExecutionId) -> Self {
        let partition = execution_partition(execution_id, &PartitionConfig::default());
        Self { exec: ExecKeyContext::new(&partition, execution_id), index: IndexKeys::new(&partition) }
    }
}

/// The partition whose number is `index` among those that executions and flows share.
pub fn flow_partition_at(index: u16) -> Partition {
    Partition { family: PartitionFamily::Flow, index }
}

/// A fence in the order in which most functions take it; empty where there is none.
fn fence_args(fence: Option<&LeaseFence>) -> [Vec<u8>; 3] {
    [
        fence.map(|f| &f.lease_id).to_arg(),
        fence.map(|f| &f.lease_epoch).to_arg(),
        fence.map(|f| &f.attempt_id).to_arg(),
    ]
}
