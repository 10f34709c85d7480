//! Any of a deployment's processes in its shell: what a driver holds of a node.

use valkey_sim::engine::Reply;

use super::shell::{Act, Envelope, Post, Shell, Surroundings};
use crate::{
    actor::{Operator, Scanner, Scheduler, Submitter, Worker},
    types::{Lost, Node, Seq, SimTime},
};

/// A process of some kind.
#[derive(Clone, Debug, Hash)]
pub enum Process {
    /// Creates executions.
    Submitter(Shell<Submitter>),
    /// Issues claim grants.
    Scheduler(Shell<Scheduler>),
    /// Claims, works, renews and ends.
    Worker(Shell<Worker>),
    /// Runs the background scanners.
    Scanner(Shell<Scanner>),
    /// Carries out deeds. Boxed: few plans have it.
    Operator(Box<Shell<Operator>>),
}

/// Hands a call on to whichever shell it is.
macro_rules! each {
    ($process:expr, $shell:ident => $call:expr) => {
        match $process {
            Process::Submitter($shell) => $call,
            Process::Scheduler($shell) => $call,
            Process::Worker($shell) => $call,
            Process::Scanner($shell) => $call,
            Process::Operator($shell) => $call,
        }
    };
}

impl Process {
    /// See [`Shell::node`].
    pub fn node(&self) -> Node {
        each!(self, shell => shell.node())
    }

    /// See [`Shell::start`].
    pub fn start(&mut self, around: &mut Surroundings<'_>) {
        each!(self, shell => shell.start(around));
    }

    /// See [`Shell::receive`].
    pub fn receive(&mut self, envelope: Envelope, around: &mut Surroundings<'_>) {
        each!(self, shell => shell.receive(envelope, around));
    }

    /// See [`Shell::connected`].
    pub fn connected(&mut self) {
        each!(self, shell => shell.connected());
    }

    /// See [`Shell::refused`].
    pub fn refused(&mut self, around: &mut Surroundings<'_>) {
        each!(self, shell => shell.refused(around));
    }

    /// See [`Shell::reset`].
    pub fn reset(&mut self, around: &mut Surroundings<'_>) {
        each!(self, shell => shell.reset(around));
    }

    /// See [`Shell::replied`].
    pub fn replied(&mut self, reply: Reply, executed: Option<Seq>, around: &mut Surroundings<'_>) {
        each!(self, shell => shell.replied(reply, executed, around));
    }

    /// See [`Shell::not_safe`].
    pub fn not_safe(&mut self, lost: Lost, around: &mut Surroundings<'_>) {
        each!(self, shell => shell.not_safe(lost, around));
    }

    /// See [`Shell::complete`].
    pub fn complete(&mut self, around: &mut Surroundings<'_>) -> bool {
        each!(self, shell => shell.complete(around))
    }

    /// See [`Shell::tick`].
    pub fn tick(&mut self, around: &mut Surroundings<'_>) -> bool {
        each!(self, shell => shell.tick(around))
    }

    /// See [`Shell::next`].
    pub fn next(&mut self, around: &mut Surroundings<'_>) -> Option<Act> {
        each!(self, shell => shell.next(around))
    }

    /// See [`Shell::next_post`].
    pub fn next_post(&mut self) -> Option<Post> {
        each!(self, shell => shell.next_post())
    }

    /// See [`Shell::wake_at`].
    pub fn wake_at(&self) -> Option<SimTime> {
        each!(self, shell => shell.wake_at())
    }

    /// See [`Shell::is_calling`].
    pub fn is_calling(&self) -> bool {
        each!(self, shell => shell.is_calling())
    }
}
