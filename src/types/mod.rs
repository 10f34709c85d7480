//! The vocabulary: what everything above names. Imports nothing of this crate above it.
//!
//! - [`grant`]: the documented grants and the lease that comes of one;
//! - [`Node`], [`ExecutionName`]: who takes part, by the names that a plan gives;
//! - [`Function`], [`Code`], [`Answer`]: what is called, why it refuses, and an answer in a word;
//! - [`LifecyclePhase`], [`OwnershipState`] …: the seven fields that say where an execution stands;
//! - [`Waiting`]: what an execution waited for that had not ended, and whether it may;
//! - [`FaultClass`]: the kinds of trouble that the contract speaks of;
//! - [`TimestampMs`], [`Millis`], [`SimTime`], [`LeaseEpoch`], [`LaneId`] …: times, epochs and ids, each a type of its own.
//!
//! Words that a library may extend (functions, codes, states) are enums with an `Unknown`: the library has the last word.

pub mod dialect;
pub mod digest;
pub mod grant;
pub mod wire;
pub mod word;

mod answer;
mod code;
mod deadline;
mod fault_class;
mod function;
mod lost;
mod name;
mod node;
mod state;
mod time;
mod waiting;

pub use answer::{Answer, Status};
pub use code::Code;
pub use deadline::{Deadline, FencePart};
pub use fault_class::FaultClass;
pub use ff_core::types::{
    AttemptId, AttemptIndex, BudgetId, EdgeId, ExecutionId, FlowId, LaneId, LeaseEpoch, LeaseFence, LeaseId,
    Namespace, QuotaPolicyId, SuspensionId, TimestampMs, WaitpointId, WaitpointKey, WorkerId,
    WorkerInstanceId,
};
pub use function::Function;
pub use grant::GrantKind;
pub use lost::Lost;
pub use name::{ExecutionName, Label, NameError};
pub use node::{Node, UnknownNode};
pub use state::{
    AttemptState, BlockingReason, EligibilityState, LifecyclePhase, OwnershipState, PublicState,
    TerminalOutcome,
};
pub use time::{Millis, Seq, SimTime, written_time};
pub use waiting::{Reason, Stuck, Waiting, Why};
