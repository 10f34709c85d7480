//! A client's line to the server: requests in order, replies in order, deadlines, and what was lost.
//!
//! A pure step machine over one connection at a time, made when there is something to send. A client that waits too long, or
//! sees its connection break, completes everything under way with how it was lost and connects anew; what it had sent
//! may be executed all the same. Bytes, sockets and latencies are the driver's: it performs what [`Line::next`] says and
//! tells the line what came of it.

use std::collections::VecDeque;

use valkey_sim::engine::Reply;

use super::{
    Log,
    faults::{CallVerdict, Hold},
};
use crate::{
    protocol::{Request, reply::answer},
    trace::What,
    types::{ExecutionName, Function, Lost, Millis, Node, Seq, SimTime},
};

/// One client's line. `T` is what the client goes on with when a request is answered.
#[derive(Clone, Debug)]
pub struct Line<T> {
    node: Node,
    state: State,
    /// Not written yet.
    queue: VecDeque<Pending<T>>,
    /// Written and not answered.
    inflight: VecDeque<Pending<T>>,
    completed: VecDeque<Completed<T>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Connecting,
    Up,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Pending<T> {
    /// What the client goes on with.
    pub continuation: T,
    /// The request.
    pub request: Request,
    /// For a function call, what it is.
    pub call: Option<FunctionCall>,
    /// What led to it.
    pub cause: Option<Seq>,
    /// When the client gives up waiting.
    pub deadline: SimTime,
    /// What the plan does to it.
    pub verdict: CallVerdict,
}

/// A call as the trace names it.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// The function.
    pub function: Function,
    /// About which execution.
    pub execution: Option<ExecutionName>,
    /// The event that says that it was sent.
    pub sent: Seq,
}

/// The end of a request's way.
#[derive(Clone, Debug)]
pub struct Completed<T> {
    /// What the client goes on with.
    pub continuation: T,
    /// The reply, or why there is none.
    pub answer: Result<Reply, Lost>,
    /// The event that says so.
    pub cause: Option<Seq>,
}

/// What the driver has to do with the connection now.
#[derive(Clone, Debug)]
pub enum Act {
    /// Connects. The line is told with [`connected`](Line::connected) or [`refused`](Line::refused).
    Connect,
    /// Writes a request.
    Write(Write),
    /// Resets the connection: whatever is under way on it, in either direction, is gone.
    Cut,
    /// Closes the connection: what was sent still arrives.
    Close,
}

/// A request to be written.
#[derive(Clone, Debug)]
pub struct Write {
    /// The request.
    pub request: Request,
    /// The event that says that it was sent: the cause of its execution.
    pub sent: Option<Seq>,
    /// Keeps it in the network, and with it all that follows on the connection.
    pub hold: Option<Hold>,
    /// Sends the same bytes once more, so much later, on a connection of their own; one each.
    pub repeats: Vec<Millis>,
}

impl<T> Line<T> {
    /// A line that is not connected.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            state: State::Down,
            queue: VecDeque::new(),
            inflight: VecDeque::new(),
            completed: VecDeque::new(),
        }
    }

    /// Takes a request in.
    pub fn send(&mut self, pending: Pending<T>) {
        self.queue.push_back(pending);
    }

    /// What the driver has to do next. To be asked until there is nothing, but not while a write is not out yet.
    pub fn next(&mut self, log: &mut dyn Log) -> Option<Act> {
        match self.state {
            State::Connecting => None,
            _ if self.queue.is_empty() => None,
            State::Down => {
                self.state = State::Connecting;
                Some(Act::Connect)
            }
            State::Up => {
                let pending = self.queue.pop_front()?;
                if pending.verdict.lose_request {
                    self.inflight.push_back(pending);
                    self.reset(log);
                    return Some(Act::Cut);
                }
                let write = Write {
                    request: pending.request.clone(),
                    sent: pending.call.as_ref().map(|call| call.sent),
                    hold: pending.verdict.hold,
                    repeats: pending.verdict.repeats.clone(),
                };
                self.inflight.push_back(pending);
                Some(Act::Write(write))
            }
        }
    }

    /// The connection stands.
    pub fn connected(&mut self) {
        debug_assert_eq!(self.state, State::Connecting, "only who asked for a connection gets one");
        self.state = State::Up;
    }

    /// There is no connection: nothing of what waits was sent.
    pub fn refused(&mut self, log: &mut dyn Log) {
        self.state = State::Down;
        while let Some(pending) = self.queue.pop_front() {
            self.lose(pending, Lost::Refused, log);
        }
    }

    /// The connection broke: nothing that was under way will be answered.
    pub fn reset(&mut self, log: &mut dyn Log) {
        self.state = State::Down;
        while let Some(pending) = self.inflight.pop_front() {
            self.lose(pending, Lost::Reset, log);
        }
    }

    /// A reply arrived; `executed` is the event that executed the oldest request. Says whether the connection is to be cut,
    /// since this reply was to be lost.
    pub fn replied(&mut self, reply: Reply, executed: Option<Seq>, log: &mut dyn Log) -> Option<Act> {
        let pending = self.inflight.pop_front()?;
        if pending.verdict.lose_reply {
            self.inflight.push_front(pending);
            self.reset(log);
            return Some(Act::Cut);
        }
        let cause = match pending.call {
            None => pending.cause,
            Some(FunctionCall { function, execution, sent }) => {
                let what = What::ReplyReceived { function, execution, answer: answer(&reply) };
                Some(log.record(self.node, Some(executed.unwrap_or(sent)), what))
            }
        };
        self.completed.push_back(Completed { continuation: pending.continuation, answer: Ok(reply), cause });
        None
    }

    /// Gives up on a connection whose oldest request has waited for too long. It is closed, not cut: what is in the network
    /// still arrives.
    pub fn time_out(&mut self, now: SimTime, log: &mut dyn Log) -> Option<Act> {
        let is_late = |pending: Option<&Pending<T>>| pending.is_some_and(|pending| pending.deadline <= now);
        let mut close = false;
        if is_late(self.inflight.front()) {
            close = self.state == State::Up;
            self.state = State::Down;
            while let Some(pending) = self.inflight.pop_front() {
                self.lose(pending, Lost::TimedOut, log);
            }
        }
        while is_late(self.queue.front()) {
            if self.state == State::Connecting {
                (self.state, close) = (State::Down, true);
            }
            if let Some(pending) = self.queue.pop_front() {
                self.lose(pending, Lost::Refused, log);
            }
        }
        close.then_some(Act::Close)
    }

    /// When the oldest request has waited for too long.
    pub fn deadline(&self) -> Option<SimTime> {
        self.inflight.front().or(self.queue.front()).map(|pending| pending.deadline)
    }

    /// The next request that is at its end.
    pub fn completed(&mut self) -> Option<Completed<T>> {
        self.completed.pop_front()
    }

    /// Whether a function call is under way, or what came of it has not been taken yet.
    pub fn is_calling(&self) -> bool {
        let calls = self.queue.iter().chain(&self.inflight).any(|pending| pending.call.is_some());
        calls || !self.completed.is_empty()
    }

    fn lose(&mut self, pending: Pending<T>, lost: Lost, log: &mut dyn Log) {
        let cause = match pending.call {
            None => pending.cause,
            Some(FunctionCall { function, execution, sent }) => {
                Some(log.record(self.node, Some(sent), What::ReplyLost { function, execution, lost }))
            }
        };
        self.completed.push_back(Completed { continuation: pending.continuation, answer: Err(lost), cause });
    }
}
