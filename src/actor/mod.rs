//! The processes that talk to the server, as pure step machines.
//!
//! An actor is handed an input and the time by its own clock, and answers with a list of outputs; it has no clock,
//! no socket and no random source but the seed it was made with. So the same actors run in the simulated
//! [world](crate::drive), and could run in a model checker or against a live server, with nothing written twice.

mod message;
mod scanner;
mod scheduler;
mod submitter;
mod worker;

use ff_core::types::TimestampMs;
use valkey_sim::engine::Reply;

pub use message::{Alive, Ask, AskId, Message};
pub use scanner::Scanner;
pub use scheduler::Scheduler;
pub use submitter::Submitter;
pub use worker::{Config as WorkerConfig, Worker};

use crate::{
    node::Node,
    protocol::{Command, Request},
    trace::Lost,
};

/// A step machine.
pub trait Actor {
    /// What the actor wants to know again when a call is answered or a timer is due.
    type Then;

    /// Takes one step. `now` is the wall clock of the actor's node, which need not be right.
    fn step(&mut self, now: TimestampMs, input: Input<Self::Then>, out: &mut Outbox<Self::Then>);
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
        /// What it wanted to know again.
        then: T,
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
#[derive(Debug)]
pub enum Output<T> {
    /// Sends a command to the server.
    Call {
        /// The command.
        request: Request,
        /// What to come back with.
        then: T,
    },
    /// Sets a timer by the node's own, steady clock.
    Wake {
        /// In how long, milliseconds.
        after_ms: u64,
        /// What to come back with.
        then: T,
    },
    /// Sends a message to another process.
    Send {
        /// To whom.
        to: Node,
        /// What.
        message: Message,
    },
}

/// The outputs of a step, in order.
#[derive(Debug)]
pub struct Outbox<T>(Vec<Output<T>>);

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Outbox<T> {
    /// Sends a command, and comes back with what `then` makes of it: the command knows how to read its reply.
    pub fn call<C: Command>(&mut self, command: C, then: impl FnOnce(C) -> T) {
        let request = command.request();
        self.request(request, then(command));
    }

    /// Sends a command that is ready for the wire.
    pub fn request(&mut self, request: Request, then: T) {
        self.0.push(Output::Call { request, then });
    }

    /// Comes back with `then` in a while.
    pub fn wake(&mut self, after_ms: u64, then: T) {
        self.0.push(Output::Wake { after_ms, then });
    }

    /// Sends a message.
    pub fn send(&mut self, to: Node, message: Message) {
        self.0.push(Output::Send { to, message });
    }

    /// Takes the outputs out.
    pub fn drain(&mut self) -> impl Iterator<Item = Output<T>> + '_ {
        self.0.drain(..)
    }
}
