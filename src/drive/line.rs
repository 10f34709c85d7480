//! A client's line to the server: requests in order, replies in order, deadlines, and what was lost.
//!
//! A pure step machine over one connection at a time, made when there is something to send. A client that waits too long, or
//! sees its connection break, completes everything under way with how it was lost and connects anew; what it had sent
//! may be executed all the same. Bytes, sockets and latencies are the driver's: it performs what [`Line::next`] says and
//! tells the line what came of it.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
};

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// To the millisecond, and without the numbers of events: see [`Shell`](super::shell::Shell).
impl<T: Hash> Hash for Pending<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { continuation, request, call, cause: _, deadline, verdict } = self;
        let call = call.as_ref().map(|call| (&call.function, &call.execution));
        (continuation, request, call, deadline.0 / 1_000, verdict).hash(hasher);
    }
}

impl<T: Hash> Hash for Line<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { node, state, queue, inflight, completed } = self;
        debug_assert!(completed.is_empty(), "whoever hashes a line has taken what came of its requests");
        (node, state, queue, inflight).hash(hasher);
    }
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

    /// A reply arrived, and then word that what it tells of is not safe, with the reason: it is as good as none.
    pub fn not_safe(&mut self, lost: Lost, log: &mut dyn Log) {
        if let Some(pending) = self.inflight.pop_front() {
            self.lose(pending, lost, log);
        }
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

#[cfg(test)]
mod tests {
    use super::{
        super::support::{FUNCTION, Notes, WORKER, call, ms, ok, plain},
        *,
    };
    use crate::types::Deadline;

    /// How long each request waits.
    const PATIENCE_MS: u64 = 100;

    /// A line with its log; requests are numbered, and that is what the client goes on with.
    struct Client {
        line: Line<u32>,
        log: Notes,
    }

    impl Client {
        fn new() -> Self {
            Self { line: Line::new(WORKER), log: Notes::default() }
        }

        /// One whose connection stands, and that has sent these.
        fn up(requests: impl IntoIterator<Item = u32>) -> Self {
            let mut client = Self::new();
            requests.into_iter().for_each(|request| client.send(request, 0));
            client.line.state = State::Up;
            client
        }

        fn send(&mut self, continuation: u32, at_ms: u64) {
            self.send_with(continuation, at_ms, CallVerdict::default());
        }

        fn send_with(&mut self, continuation: u32, at_ms: u64, verdict: CallVerdict) {
            let what = What::RequestSent { function: FUNCTION, execution: None };
            let sent = self.log.record(WORKER, None, what);
            let call = Some(FunctionCall { function: FUNCTION, execution: None, sent });
            let deadline = ms(at_ms + PATIENCE_MS);
            self.line.send(Pending {
                continuation,
                request: call_of(continuation),
                call,
                cause: None,
                deadline,
                verdict,
            });
        }

        fn next(&mut self) -> Option<Act> {
            self.line.next(&mut self.log)
        }

        /// Writes all that can be written; the requests' numbers.
        fn written(&mut self) -> Vec<u32> {
            std::iter::from_fn(|| match self.next() {
                Some(Act::Write(write)) => Some(number(&write.request)),
                None => None,
                Some(other) => panic!("{other:?} in place of a write"),
            })
            .collect()
        }

        fn replied(&mut self, reply: Reply) -> Option<Act> {
            self.line.replied(reply, None, &mut self.log)
        }

        fn time_out(&mut self, at_ms: u64) -> Option<Act> {
            self.line.time_out(ms(at_ms), &mut self.log)
        }

        /// What came of requests: the reply, or why there is none.
        fn completed(&mut self) -> Vec<(u32, Result<Reply, Lost>)> {
            std::iter::from_fn(|| self.line.completed()).map(|it| (it.continuation, it.answer)).collect()
        }

        fn lost(&mut self) -> Vec<(u32, Lost)> {
            self.completed().into_iter().map(|(request, answer)| (request, answer.unwrap_err())).collect()
        }

        /// Whether it goes on: connects, and sends what waits.
        fn connects_anew_and_writes(&mut self, requests: &[u32]) {
            assert!(matches!(self.next(), Some(Act::Connect)), "it connects anew");
            assert!(self.next().is_none(), "nothing is written while it connects");
            self.line.connected();
            assert_eq!(self.written(), requests);
        }
    }

    /// A request that can be told from others.
    fn call_of(number: u32) -> Request {
        let mut args = call().args.to_vec();
        args.push(number.to_string().into_bytes());
        Request { args: args.into() }
    }

    fn number(request: &Request) -> u32 {
        String::from_utf8_lossy(request.args.last().unwrap()).parse().unwrap()
    }

    fn lose_request() -> CallVerdict {
        CallVerdict { lose_request: true, ..CallVerdict::default() }
    }

    fn lose_reply() -> CallVerdict {
        CallVerdict { lose_reply: true, ..CallVerdict::default() }
    }

    #[test]
    fn a_line_connects_when_there_is_something_to_send() {
        let mut client = Client::new();
        assert!(client.next().is_none());
        client.send(1, 0);
        client.connects_anew_and_writes(&[1]);
    }

    #[test]
    fn requests_leave_in_order_and_replies_match_in_order() {
        let mut client = Client::up([1, 2]);
        assert_eq!(client.written(), [1, 2]);
        client.send(3, 0);
        assert_eq!(client.written(), [3], "it does not wait for replies");
        let replies = [Reply::Int(10), Reply::Int(20), Reply::Int(30)];
        for reply in replies.clone() {
            assert!(client.replied(reply).is_none());
        }
        let [ten, twenty, thirty] = replies.map(Ok);
        assert_eq!(client.completed(), [(1, ten), (2, twenty), (3, thirty)]);
    }

    #[test]
    fn a_write_carries_its_event_its_hold_and_its_repeats() {
        let mut client = Client::up([]);
        let hold = Some(Hold::Until(Deadline::Grant, -1));
        let verdict = CallVerdict { hold, repeats: vec![Millis(5), Millis(9)], ..CallVerdict::default() };
        client.send_with(1, 0, verdict);
        let Some(Act::Write(write)) = client.next() else { panic!("nothing is written") };
        assert_eq!((write.sent, write.hold, write.repeats), (Some(0), hold, vec![Millis(5), Millis(9)]));
    }

    #[test]
    fn who_waits_too_long_closes_the_connection_and_loses_all_that_is_in_flight() {
        let mut client = Client::up([1]);
        assert_eq!(client.written(), [1]);
        client.send(2, 50);
        assert_eq!(client.written(), [2]);
        client.send(3, 50);
        assert!(client.time_out(PATIENCE_MS - 1).is_none());
        assert!(matches!(client.time_out(PATIENCE_MS), Some(Act::Close)), "what was sent still arrives");
        assert_eq!(client.lost(), [(1, Lost::TimedOut), (2, Lost::TimedOut)], "whatever its own deadline");
        client.connects_anew_and_writes(&[3]);
    }

    #[test]
    fn what_waits_too_long_to_be_written_was_never_sent() {
        let mut client = Client::up([1]);
        client.written();
        client.send(2, 0);
        assert!(matches!(client.time_out(PATIENCE_MS), Some(Act::Close)));
        assert_eq!(client.lost(), [(1, Lost::TimedOut), (2, Lost::Refused)]);
        assert!(client.next().is_none(), "there is nothing left to connect for");
    }

    #[test]
    fn a_connection_that_does_not_come_about_in_time_is_given_up() {
        let mut client = Client::new();
        client.send(1, 0);
        client.send(2, 50);
        assert!(matches!(client.next(), Some(Act::Connect)));
        assert!(matches!(client.time_out(PATIENCE_MS), Some(Act::Close)));
        assert_eq!(client.lost(), [(1, Lost::Refused)]);
        client.connects_anew_and_writes(&[2]);
    }

    #[test]
    fn a_refused_connection_loses_all_that_waits_for_it() {
        let mut client = Client::new();
        client.send(1, 0);
        client.send(2, 0);
        assert!(matches!(client.next(), Some(Act::Connect)));
        client.line.refused(&mut client.log);
        assert_eq!(client.lost(), [(1, Lost::Refused), (2, Lost::Refused)]);
        client.send(3, 0);
        client.connects_anew_and_writes(&[3]);
    }

    #[test]
    fn a_connection_that_breaks_loses_what_is_in_flight_and_not_what_waits() {
        let mut client = Client::up([1, 2]);
        client.written();
        client.send(3, 0);
        client.line.reset(&mut client.log);
        assert_eq!(client.lost(), [(1, Lost::Reset), (2, Lost::Reset)]);
        client.connects_anew_and_writes(&[3]);
    }

    #[test]
    fn a_lost_request_cuts_the_connection_before_it_is_written() {
        let mut client = Client::up([1]);
        client.written();
        client.send_with(2, 0, lose_request());
        client.send(3, 0);
        assert!(matches!(client.next(), Some(Act::Cut)));
        assert_eq!(client.lost(), [(1, Lost::Reset), (2, Lost::Reset)], "and what was in flight with it");
        client.connects_anew_and_writes(&[3]);
    }

    #[test]
    fn a_lost_reply_cuts_the_connection_when_it_arrives() {
        let mut client = Client::up([1]);
        client.send_with(2, 0, lose_reply());
        client.send(3, 0);
        assert_eq!(client.written(), [1, 2, 3]);
        assert!(client.replied(ok()).is_none(), "the one before it arrives");
        assert!(matches!(client.replied(ok()), Some(Act::Cut)));
        assert_eq!(client.completed(), [(1, Ok(ok())), (2, Err(Lost::Reset)), (3, Err(Lost::Reset))]);
        assert!(client.replied(ok()).is_none(), "nobody waits for what comes after");
        assert_eq!(client.completed(), []);
        client.send(4, 0);
        client.connects_anew_and_writes(&[4]);
    }

    #[test]
    fn the_deadline_is_that_of_the_oldest_request() {
        let mut client = Client::up([]);
        assert_eq!(client.line.deadline(), None);
        client.send(1, 0);
        client.send(2, 40);
        assert_eq!(client.line.deadline(), Some(ms(PATIENCE_MS)), "while it waits to be written");
        client.written();
        client.send(3, 60);
        assert_eq!(client.line.deadline(), Some(ms(PATIENCE_MS)), "and while it is in flight");
        client.replied(ok());
        assert_eq!(client.line.deadline(), Some(ms(40 + PATIENCE_MS)));
    }

    #[test]
    fn a_client_is_calling_from_the_request_until_what_came_of_it_was_taken() {
        let mut client = Client::up([]);
        assert!(!client.line.is_calling());
        client.send(1, 0);
        assert!(client.line.is_calling());
        client.written();
        assert!(client.line.is_calling());
        client.replied(ok());
        assert!(client.line.is_calling());
        client.completed();
        assert!(!client.line.is_calling());
    }

    #[test]
    fn a_plain_command_is_no_call_and_no_event_and_hands_its_cause_on() {
        let mut client = Client::up([]);
        let command = |continuation| Pending {
            continuation,
            request: plain(),
            call: None,
            cause: Some(7),
            deadline: ms(PATIENCE_MS),
            verdict: CallVerdict::default(),
        };
        client.line.send(command(1));
        client.line.send(command(2));
        assert!(!client.line.is_calling());
        while client.next().is_some() {}
        client.replied(Reply::Int(1));
        client.line.reset(&mut client.log);
        let causes: Vec<_> = std::iter::from_fn(|| client.line.completed()).map(|it| it.cause).collect();
        assert_eq!((causes, client.log.0.len()), (vec![Some(7); 2], 0));
    }

    #[test]
    fn what_came_of_a_call_is_told_with_what_led_to_it() {
        let mut client = Client::up([1, 2]);
        client.send_with(3, 0, lose_reply());
        client.written();
        let received = || What::ReplyReceived { function: FUNCTION, execution: None, answer: answer(&ok()) };
        let lost = What::ReplyLost { function: FUNCTION, execution: None, lost: Lost::Reset };
        client.line.replied(ok(), Some(99), &mut client.log);
        client.line.replied(ok(), None, &mut client.log);
        client.line.replied(ok(), Some(99), &mut client.log);
        let told = &client.log.0[3..];
        assert_eq!(told[0], (WORKER, Some(99), received()), "the execution");
        assert_eq!(told[1], (WORKER, Some(1), received()), "the sending, where the execution is not known");
        assert_eq!(told[2], (WORKER, Some(2), lost), "a reply that is lost was never read");
        let causes: Vec<_> = std::iter::from_fn(|| client.line.completed()).map(|it| it.cause).collect();
        assert_eq!(causes, [Some(3), Some(4), Some(5)], "the client goes on from there");
    }
}
