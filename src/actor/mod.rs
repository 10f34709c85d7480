//! The processes that talk to the server, as pure step machines.
//!
//! An actor is handed an input and the time by its own clock, and answers with a list of outputs; it has no clock,
//! no socket and no random source but the seed it was made with. So the same actors run on madsim and in a plain loop, and
//! could run in a model checker or against a live server, with nothing written twice.

mod limits;
mod message;
mod operator;
mod scanner;
mod scheduler;
mod submitter;
#[cfg(test)]
mod support;
mod worker;

use std::{fmt::Debug, hash::Hash};

use valkey_sim::engine::Reply;

pub use message::{Alive, Ask, AskId, Message};
pub use operator::Operator;
pub use scanner::Scanner;
pub use scheduler::Scheduler;
pub use submitter::Submitter;
pub use worker::{Config as WorkerConfig, Worker};

use crate::{
    protocol::{Command, Request},
    trace::WorkEnd,
    types::{AttemptIndex, ExecutionId, LeaseEpoch, Lost, Node, TimestampMs, grant::Lease},
};

/// A step machine. Two that hash alike take the same steps from there on, where they have the same deployment.
pub trait Actor: Clone + Hash {
    /// What the actor goes on with when a call is answered or a timer is due.
    type Continuation: Clone + Debug + Hash;

    /// Takes one step. `now` is the wall clock of the actor's node, which need not be right.
    fn step(
        &mut self,
        now: TimestampMs,
        input: Input<Self::Continuation>,
        out: &mut Outbox<Self::Continuation>,
    );
}

/// An attempt index as `core` has it: absent or empty before the first attempt.
fn attempt_index(text: Option<&str>) -> AttemptIndex {
    AttemptIndex(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What happens to an actor.
#[derive(Debug)]
pub enum Input<T> {
    /// It starts, and knows nothing of earlier lives.
    Started,
    /// A timer it set is due.
    Due(T),
    /// A call it made was answered, or never will be.
    Answered {
        /// What it goes on with.
        continuation: T,
        /// The reply, or why there is none.
        answer: Result<Reply, Lost>,
    },
    /// A message arrived.
    Received {
        /// From whom.
        from: Node,
        /// What.
        message: Message,
    },
}

/// What an actor does.
#[derive(Clone, Debug)]
pub enum Output<T> {
    /// Sends a command to the server.
    Call {
        /// The command.
        request: Request,
        /// What to go on with.
        continuation: T,
    },
    /// Sets a timer by the node's own, steady clock.
    Wake {
        /// In how long, milliseconds.
        after_ms: u64,
        /// What to go on with.
        continuation: T,
    },
    /// Sends a message to another process.
    Send {
        /// To whom.
        to: Node,
        /// What.
        message: Message,
    },
    /// Says that it began to work on an execution, or that it ended: no call tells.
    Work {
        /// On which.
        execution_id: ExecutionId,
        /// Under the lease of this epoch.
        epoch: LeaseEpoch,
        /// How it ended; none when it begins.
        ended: Option<WorkEnd>,
    },
}

/// The outputs of a step, in order.
#[derive(Clone, Debug)]
pub struct Outbox<T>(Vec<Output<T>>);

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Outbox<T> {
    /// Sends a command, and comes back with what `continuation` makes of it: the command knows how to read its reply.
    pub fn call<C: Command>(&mut self, command: C, continuation: impl FnOnce(C) -> T) {
        let request = command.request();
        self.request(request, continuation(command));
    }

    /// Sends a command that is ready for the wire.
    pub fn request(&mut self, request: Request, continuation: T) {
        self.0.push(Output::Call { request, continuation });
    }

    /// Comes back with the continuation in a while.
    pub fn wake(&mut self, after_ms: u64, continuation: T) {
        self.0.push(Output::Wake { after_ms, continuation });
    }

    /// Sends a message.
    pub fn send(&mut self, to: Node, message: Message) {
        self.0.push(Output::Send { to, message });
    }

    /// Says that work began under a lease, or how it ended.
    pub fn work(&mut self, lease: &Lease, ended: Option<WorkEnd>) {
        let (execution_id, epoch) = (lease.execution_id.clone(), lease.epoch);
        self.0.push(Output::Work { execution_id, epoch, ended });
    }

    /// Takes the outputs out.
    pub fn drain(&mut self) -> impl Iterator<Item = Output<T>> + '_ {
        self.0.drain(..)
    }
}
