//! What the actors' unit tests share: one step at a time, and what came of it by kind.

use valkey_sim::engine::Reply;

use super::{Actor, Input, Message, Outbox, Output};
use crate::{
    protocol::Request,
    trace::WorkEnd,
    types::{ExecutionId, LeaseEpoch, Lost, Node, TimestampMs},
};

/// An actor, and what its wall clock reads.
pub struct Stage<A> {
    pub actor: A,
    pub now: TimestampMs,
}

/// What came of a step.
#[derive(Debug)]
pub struct Outputs<T>(Vec<Output<T>>);

impl<A: Actor> Stage<A> {
    pub fn new(actor: A) -> Self {
        Self { actor, now: TimestampMs(1_000_000) }
    }

    pub fn start(&mut self) -> Outputs<A::Continuation> {
        self.step(Input::Started)
    }

    pub fn due(&mut self, continuation: A::Continuation) -> Outputs<A::Continuation> {
        self.step(Input::Due(continuation))
    }

    pub fn answer(&mut self, continuation: A::Continuation, reply: Reply) -> Outputs<A::Continuation> {
        self.step(Input::Answered { continuation, answer: Ok(reply) })
    }

    pub fn lose(&mut self, continuation: A::Continuation) -> Outputs<A::Continuation> {
        self.step(Input::Answered { continuation, answer: Err(Lost::Reset) })
    }

    pub fn receive(&mut self, from: Node, message: Message) -> Outputs<A::Continuation> {
        self.step(Input::Received { from, message })
    }

    fn step(&mut self, input: Input<A::Continuation>) -> Outputs<A::Continuation> {
        let mut out = Outbox::default();
        self.actor.step(self.now, input, &mut out);
        Outputs(out.drain().collect())
    }
}

impl<T: Clone + std::fmt::Debug> Outputs<T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The calls, and what each goes on with.
    pub fn calls(&self) -> Vec<(Request, T)> {
        let calls = self.0.iter().filter_map(|output| match output {
            Output::Call { request, continuation } => Some((request.clone(), continuation.clone())),
            _ => None,
        });
        calls.collect()
    }

    /// The only call, and what it goes on with.
    #[track_caller]
    pub fn call(&self) -> (Request, T) {
        let calls = self.calls();
        let [call] = calls.as_slice() else { panic!("one call expected in {self:?}") };
        call.clone()
    }

    /// The only call, which must be of this function or command.
    #[track_caller]
    pub fn call_of(&self, name: &str) -> (Request, T) {
        let call = self.call();
        assert_eq!(String::from_utf8_lossy(call.0.name()), name);
        call
    }

    /// The timers: in how many milliseconds, and what each goes on with.
    pub fn wakes(&self) -> Vec<(u64, T)> {
        let wakes = self.0.iter().filter_map(|output| match output {
            Output::Wake { after_ms, continuation } => Some((*after_ms, continuation.clone())),
            _ => None,
        });
        wakes.collect()
    }

    /// The first timer that goes on like this.
    #[track_caller]
    pub fn wake(&self, is_meant: impl Fn(&T) -> bool) -> (u64, T) {
        let wake = self.wakes().into_iter().find(|(_, continuation)| is_meant(continuation));
        wake.unwrap_or_else(|| panic!("no such timer in {self:?}"))
    }

    /// The messages.
    pub fn sent(&self) -> Vec<(Node, Message)> {
        let sent = self.0.iter().filter_map(|output| match output {
            Output::Send { to, message } => Some((*to, message.clone())),
            _ => None,
        });
        sent.collect()
    }

    /// What was said of work.
    pub fn work(&self) -> Vec<(LeaseEpoch, Option<WorkEnd>)> {
        let work = self.0.iter().filter_map(|output| match output {
            Output::Work { epoch, ended, .. } => Some((*epoch, *ended)),
            _ => None,
        });
        work.collect()
    }
}

/// An execution of a partition.
pub fn id(partition: u16, n: u32) -> ExecutionId {
    ExecutionId::parse(&format!("{{fp:{partition}}}:6ba7b810-9dad-41d1-80b4-0000{n:08x}")).expect("an id")
}

/// A command's words.
pub fn words(request: &Request) -> Vec<String> {
    request.args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// The ARGV of a function call.
pub fn argv(request: &Request) -> Vec<String> {
    let words = words(request);
    let keys: usize = words[2].parse().expect("the number of KEYS");
    words[3 + keys..].to_vec()
}

/// `{1, OK, fields…}`.
pub fn ok(fields: &[&str]) -> Reply {
    let fields = ["OK"].iter().chain(fields).map(Reply::bulk);
    Reply::Array([Reply::Int(1)].into_iter().chain(fields).collect())
}

/// `{0, code}`.
pub fn refusal(code: &str) -> Reply {
    Reply::Array(vec![Reply::Int(0), Reply::bulk(code)])
}

/// A list of texts.
pub fn list(texts: &[&str]) -> Reply {
    Reply::Array(texts.iter().map(Reply::bulk).collect())
}
