//! A process's connection to the server: requests in order, replies in order, and what the plan does to them.
//!
//! One connection a process, made when there is something to send. A client that waits too long, or sees its
//! connection break, answers all that was under way with how it was lost and connects anew; what it had sent may
//! be executed all the same.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use valkey_sim::{
    clock::WorldMicros,
    engine::{Reply, UnixMicros},
    link::{Delay, Stream},
    resp::{self, ReplyDecoder},
};

use super::world::World;
use crate::{
    node::Node,
    plan::Fault,
    protocol::Request,
    trace::{Exec, Lost, Seq, What, answer},
};

/// A request's way ends here: its continuation, what came of it, and the event that says so.
pub(super) struct Done<T> {
    pub then: T,
    pub answer: Result<Reply, Lost>,
    pub cause: Option<Seq>,
}

pub(super) struct Client<T> {
    world: Rc<World>,
    node: Node,
    state: State,
    /// Not written yet.
    queue: VecDeque<Pending<T>>,
    /// Written and not answered.
    inflight: VecDeque<Pending<T>>,
    done: VecDeque<Done<T>>,
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>>>>;

enum State {
    Down,
    Connecting(Connecting),
    Up(Box<Connection>),
}

struct Connection {
    stream: Stream,
    /// Requests written so far.
    requests: u64,
    replies: u64,
    outgoing: BytesMut,
    incoming: BytesMut,
    decoder: ReplyDecoder,
}

struct Pending<T> {
    then: T,
    bytes: Vec<u8>,
    /// For a function call, what it is.
    call: Option<FunctionCall>,
    cause: Option<Seq>,
    deadline: WorldMicros,
    fault: Option<Fault>,
}

/// A call as the trace names it.
struct FunctionCall {
    function: String,
    execution: Option<Exec>,
    sent: Seq,
    /// Keeps the run from ending before its client knows what came of it.
    _under_way: Rc<()>,
}

impl<T> Client<T> {
    pub fn new(world: Rc<World>, node: Node) -> Self {
        Self {
            world,
            node,
            state: State::Down,
            queue: VecDeque::new(),
            inflight: VecDeque::new(),
            done: VecDeque::new(),
        }
    }

    /// Takes a request in; it leaves at the next [`poll`](Self::poll).
    pub fn send(&mut self, request: &Request, then: T, cause: Option<Seq>) {
        let call = self.function_call(request, cause);
        let fault = call.as_ref().and_then(|call| self.fault(&call.function));
        if let (Some(fault), Some(call)) = (&fault, &call)
            && let Some(hit) = fault.call()
        {
            let what = What::CallFault { class: fault.class().to_owned(), call: hit.clone() };
            self.world.record(self.node, Some(call.sent), what);
        }
        let mut bytes = Vec::new();
        resp::encode_request(request.args.iter().map(Vec::as_slice), &mut bytes);
        let deadline = self.world.deadline(self.node, self.world.plan.settings.request_timeout_ms);
        self.queue.push_back(Pending { then, bytes, call, cause, deadline, fault });
    }

    /// When the client loses patience with the oldest request.
    pub fn deadline(&self) -> Option<WorldMicros> {
        self.inflight.front().or(self.queue.front()).map(|pending| pending.deadline)
    }

    /// Moves whatever can move, and says what came of a request.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Option<Done<T>> {
        self.lose_patience();
        while self.done.is_empty() && self.advance(cx) {}
        self.done.pop_front()
    }

    fn function_call(&self, request: &Request, cause: Option<Seq>) -> Option<FunctionCall> {
        let is_call = request.args.first().is_some_and(|command| command == b"FCALL");
        let function = is_call.then(|| String::from_utf8_lossy(request.name()).into_owned())?;
        let execution = request.execution_id().map(|id| self.world.recorder.borrow_mut().execution(id));
        let sent = self.world.record(self.node, cause, What::Sent { function: function.clone(), execution });
        Some(FunctionCall { function, execution, sent, _under_way: Rc::clone(&self.world.under_way) })
    }

    /// The plan's fault for this call of the function, if there is one.
    fn fault(&self, function: &str) -> Option<Fault> {
        let nth = self.world.count(self.node, function);
        let is_claim = function == self.world.claim_function.as_str();
        let hits = |fault: &&Fault| {
            fault.call().is_some_and(|call| {
                let named = call.function == function || (is_claim && call.function == "claim");
                call.node == self.node && named && call.nth == nth
            })
        };
        self.world.plan.faults.iter().find(hits).cloned()
    }

    /// One step; whether there may be another.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Down if self.queue.is_empty() => false,
            State::Down => {
                let connect =
                    self.world.network.connect(self.world.host(self.node), self.world.host(Node::Valkey));
                self.state = State::Connecting(Box::pin(connect));
                true
            }
            State::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(stream)) => {
                    self.state = State::Up(Box::new(Connection::new(stream)));
                    true
                }
                Poll::Ready(Err(_)) => {
                    self.state = State::Down;
                    self.fail_queue();
                    true
                }
            },
            State::Up(connection) => {
                if connection.flush(cx).is_err() {
                    self.reset();
                } else if connection.outgoing.is_empty() && !self.queue.is_empty() {
                    self.write_next();
                } else {
                    return self.read(cx);
                }
                true
            }
        }
    }

    /// Hands the first of the queue to the connection, with whatever the plan does to it.
    fn write_next(&mut self) {
        let State::Up(connection) = &mut self.state else { return };
        let Some(pending) = self.queue.pop_front() else { return };
        let world = &self.world;
        match &pending.fault {
            Some(Fault::LoseRequest { .. }) => {
                connection.stream.cut();
                self.inflight.push_back(pending);
                return self.reset();
            }
            Some(Fault::DelayRequest { by_ms, .. }) => {
                world.expect_until(world.now().after(by_ms.saturating_mul(2_000)));
                connection.stream.delay_next_write(Delay::By(Duration::from_millis(*by_ms)));
            }
            Some(Fault::ClaimAtExpiry { offset_ms, .. }) => {
                if let Some(instant) = claim_at(world, pending.call.as_ref(), *offset_ms) {
                    world.expect_until(instant.after(1_000_000));
                    connection.stream.delay_next_write(Delay::Until(instant));
                }
            }
            Some(Fault::RepeatRequest { after_ms, .. }) => {
                world.expect_until(world.now().after(after_ms.saturating_mul(2_000)));
                let again = repeat(Rc::clone(world), self.node, pending.bytes.clone(), *after_ms);
                let sent = pending.call.as_ref().map(|call| call.sent);
                madsim::task::spawn_local(again(sent));
            }
            _ => {}
        }
        connection.requests += 1;
        if let Some(call) = &pending.call {
            let request = (connection.stream.connection_id(), connection.requests);
            world.requests.borrow_mut().sent.insert(request, call.sent);
        }
        connection.outgoing.extend_from_slice(&pending.bytes);
        self.inflight.push_back(pending);
    }

    /// Reads what there is and takes a reply from it; whether anything moved.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let State::Up(connection) = &mut self.state else { return false };
        match connection.decoder.next(&mut connection.incoming) {
            Ok(Some(reply)) => {
                self.replied(reply);
                return true;
            }
            Ok(None) => {}
            Err(_) => {
                self.reset();
                return true;
            }
        }
        let read = pin!(connection.stream.read_buf(&mut connection.incoming)).poll(cx);
        match read {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) if count > 0 => true,
            Poll::Ready(_) => {
                self.reset();
                true
            }
        }
    }

    fn replied(&mut self, reply: Reply) {
        let State::Up(connection) = &mut self.state else { return };
        connection.replies += 1;
        let Some(pending) = self.inflight.front() else { return };
        if matches!(pending.fault, Some(Fault::LoseReply { .. })) {
            connection.stream.cut();
            return self.reset();
        }
        let request = (connection.stream.connection_id(), connection.replies);
        let Some(pending) = self.inflight.pop_front() else { return };
        let cause = match pending.call {
            None => pending.cause,
            Some(FunctionCall { function, execution, sent, .. }) => {
                let called = self.world.requests.borrow_mut().called.remove(&request).unwrap_or(sent);
                let what = What::Saw { function, execution, answer: answer(&reply) };
                Some(self.world.record(self.node, Some(called), what))
            }
        };
        self.done.push_back(Done { then: pending.then, answer: Ok(reply), cause });
    }

    /// The connection is gone: nothing that was under way will be answered.
    fn reset(&mut self) {
        self.state = State::Down;
        while let Some(pending) = self.inflight.pop_front() {
            self.lose(pending, Lost::Reset);
        }
    }

    fn fail_queue(&mut self) {
        while let Some(pending) = self.queue.pop_front() {
            self.lose(pending, Lost::Refused);
        }
    }

    /// Gives up on a connection whose oldest request has waited for too long. Dropping the stream closes it, and what
    /// is in the network still arrives.
    fn lose_patience(&mut self) {
        let now = self.world.now();
        if self.inflight.front().is_some_and(|pending| pending.deadline <= now) {
            self.state = State::Down;
            while let Some(pending) = self.inflight.pop_front() {
                self.lose(pending, Lost::TimedOut);
            }
        }
        while self.queue.front().is_some_and(|pending| pending.deadline <= now) {
            if matches!(self.state, State::Connecting(_)) {
                self.state = State::Down;
            }
            let pending = self.queue.pop_front();
            pending.into_iter().for_each(|pending| self.lose(pending, Lost::Refused));
        }
    }

    fn lose(&mut self, pending: Pending<T>, lost: Lost) {
        let cause = match pending.call {
            None => pending.cause,
            Some(FunctionCall { function, execution, sent, .. }) => {
                Some(self.world.record(self.node, Some(sent), What::NoReply { function, execution, lost }))
            }
        };
        self.done.push_back(Done { then: pending.then, answer: Err(lost), cause });
    }
}

impl Connection {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            requests: 0,
            replies: 0,
            outgoing: BytesMut::new(),
            incoming: BytesMut::new(),
            decoder: ReplyDecoder::default(),
        }
    }

    /// Writes what the stream takes.
    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.outgoing)? {
                Poll::Pending => break,
                Poll::Ready(count) => self.outgoing.advance(count),
            }
        }
        Ok(())
    }
}

/// The instant at which the server's clock first reads the stored expiry of the claim's grant, plus an offset.
fn claim_at(world: &World, call: Option<&FunctionCall>, offset_ms: i64) -> Option<WorldMicros> {
    let expires_at_ms = world.recorder.borrow().grant_expiry_ms(call?.execution?)?;
    let local = UnixMicros::from_millis(expires_at_ms.saturating_add(offset_ms).max(0) as u64);
    Some(world.clock(Node::Valkey).next_at(world.now(), local))
}

/// Sends the same bytes once more, later, on a connection of their own.
fn repeat(
    world: Rc<World>,
    node: Node,
    bytes: Vec<u8>,
    after_ms: u64,
) -> impl FnOnce(Option<Seq>) -> Pin<Box<dyn Future<Output = ()>>> {
    move |sent| {
        Box::pin(async move {
            let at = world.now().after(after_ms.saturating_mul(1_000));
            world.network.world().sleep_until(at).await;
            let connect = world.network.connect(world.host(node), world.host(Node::Valkey));
            let Ok(mut stream) = connect.await else { return };
            if let Some(sent) = sent {
                world.requests.borrow_mut().sent.insert((stream.connection_id(), 1), sent);
            }
            let mut reply = BytesMut::new();
            if stream.write_all(&bytes).await.is_ok() {
                // Nobody waits for the reply; the connection stays open until it is there.
                let _ = stream.read_buf(&mut reply).await;
            }
        })
    }
}
