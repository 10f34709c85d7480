//! One connection: bytes in, requests to the engine, replies out.

use std::{
    future::Future,
    io, mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{Held, LocalFuture, Peer, READ_AHEAD, READ_SIZE, Server, WRITE_AHEAD, micros, wake};
use crate::{
    engine::{Session, UnixMillis},
    resp::RequestDecoder,
};

/// How much memory a buffer keeps that is written out.
const KEPT_BYTES: usize = 1 << 20;

/// One connection as it sees itself: a future, to be spawned by whoever accepted the stream.
#[must_use = "a connection is served by polling it"]
pub struct Connection<S> {
    server: Server,
    stream: S,
    id: u64,
    decoder: RequestDecoder,
    /// What is being written, and how much of it is out.
    outgoing: Vec<u8>,
    written: usize,
    /// The stream has passed on all that was written.
    flushed: bool,
    /// Wakes it when the command that it waits in gives up.
    deadline: Option<(UnixMillis, LocalFuture)>,
    /// There may be whole requests in the decoder.
    more: bool,
    /// Bytes that were read and not yet told to the session.
    received: u64,
}

impl<S> Connection<S> {
    /// The session that it opened: what an [`Observer`](super::Observer) knows it by.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn open(server: Server, stream: S, addresses: Option<(Arc<str>, Arc<str>)>) -> Self {
        let mut shared = server.shared.borrow_mut();
        let connected_at = Some(server.environment.now());
        let session = Session { addresses, connected_at, ..shared.engine.connect() };
        let id = session.id;
        let peer = Peer {
            session,
            requests: 0,
            outbox: Vec::new(),
            unwritten: 0,
            over_soft_limit_since: None,
            waker: None,
            killed: false,
        };
        shared.peers.insert(id, peer);
        drop(shared);
        Self {
            server,
            stream,
            id,
            decoder: RequestDecoder::default(),
            outgoing: Vec::new(),
            written: 0,
            flushed: true,
            deadline: None,
            more: false,
            received: 0,
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // A panic on the way here (an observer's, say) holds it still; then nobody comes to ask any more.
        let Ok(mut shared) = self.server.shared.try_borrow_mut() else { return };
        if let Some(peer) = shared.peers.remove(&self.id) {
            shared.engine.disconnect(&peer.session);
            shared.release_next();
        }
        shared.blocked.retain(|id| *id != self.id);
        if shared.peers.is_empty() {
            wake(&mut shared.closer);
        }
    }
}

/// How far a step of a connection came.
enum Step {
    /// Something was done: look again.
    Progress,
    /// Nothing can be done until something wakes it.
    Wait,
    /// It is over.
    Done,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.step(cx)? {
                Step::Progress => {}
                Step::Wait => return Poll::Pending,
                Step::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Writes, then executes, then reads: replies go out before more work comes in.
    fn step(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        let state = self.state(cx);
        if state.killed {
            return Ok(Step::Done);
        }
        let flushed = self.write(cx)?;
        if state.closing {
            return if flushed.is_pending() { Ok(Step::Wait) } else { self.shutdown(cx) };
        }
        if flushed.is_pending() && self.unwritten() > WRITE_AHEAD {
            return Ok(Step::Wait);
        }
        match state.held {
            Some(Held::Until(until)) => {
                return if self.has_slept_until(cx, until) {
                    Ok(Step::Progress)
                } else {
                    self.read_ahead(cx)
                };
            }
            Some(Held::Behind) => return self.read_ahead(cx),
            None if state.postponed => return Ok(self.go_on(state.blocked)),
            None => {}
        }
        if state.blocked {
            let passed = self.deadline_passed(cx, state.until);
            return if passed { Ok(Step::Progress) } else { self.read_ahead(cx) };
        }
        if self.more {
            self.execute_all();
            self.server.shared.borrow_mut().end_requests(self.server.environment.now());
            return Ok(Step::Progress);
        }
        if let Some(until) = state.silent_until
            && self.has_slept_until(cx, until)
        {
            return Ok(Step::Done);
        }
        self.read(cx)
    }

    /// Replies that the stream has not taken yet.
    fn unwritten(&self) -> usize {
        let shared = self.server.shared.borrow();
        let queued = shared.peers.get(&self.id).map_or(0, |peer| peer.outbox.len());
        self.outgoing.len() - self.written + queued
    }

    /// Reads what a client sends while its next request has to wait, and so notices that it goes away.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        if self.decoder.buffer().len() > READ_AHEAD { Ok(Step::Wait) } else { self.read(cx) }
    }

    fn shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => Ok(Step::Wait),
            Poll::Ready(result) => result.map(|()| Step::Done),
        }
    }

    /// What others may have changed about this connection; leaves the way to wake it.
    fn state(&self, cx: &Context<'_>) -> State {
        let mut shared = self.server.shared.borrow_mut();
        let postponed = shared.peers.get(&self.id).is_some_and(|peer| peer.session.postponed > 0);
        let held = if postponed { shared.held_by(self.id, self.server.environment.now()) } else { None };
        // While a script runs, no time passes for those who wait.
        let is_busy = shared.engine.is_busy();
        let silent_until =
            shared.peers.get(&self.id).and_then(|peer| shared.engine.silent_until(&peer.session));
        let Some(peer) = shared.peers.get_mut(&self.id) else {
            return State {
                killed: true,
                closing: true,
                blocked: false,
                until: None,
                postponed: false,
                held: None,
                silent_until: None,
            };
        };
        if !peer.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            peer.waker = Some(cx.waker().clone());
        }
        State {
            killed: peer.killed,
            closing: peer.session.closing,
            blocked: peer.session.blocked.is_some(),
            until: peer.session.blocked.as_ref().and_then(|blocked| blocked.until).filter(|_| !is_busy),
            postponed,
            held,
            silent_until: silent_until.filter(|_| !is_busy),
        }
    }

    /// Writes what there is to write; ready when nothing is left.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        loop {
            if self.written == self.outgoing.len() {
                // Both buffers go back and forth: neither keeps what one large reply took.
                if self.outgoing.capacity() > KEPT_BYTES {
                    self.outgoing = Vec::new();
                }
                self.outgoing.clear();
                self.written = 0;
                if let Some(peer) = self.server.shared.borrow_mut().peers.get_mut(&self.id) {
                    mem::swap(&mut self.outgoing, &mut peer.outbox);
                    peer.session.sent += self.outgoing.len() as u64;
                    peer.unwritten = 0;
                }
                if self.outgoing.is_empty() {
                    return self.flush(cx);
                }
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.outgoing[self.written..])? {
                Poll::Pending => {
                    self.note_unwritten();
                    return Ok(Poll::Pending);
                }
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => {
                    self.written += count;
                    self.flushed = false;
                }
            }
        }
    }

    fn note_unwritten(&self) {
        if let Some(peer) = self.server.shared.borrow_mut().peers.get_mut(&self.id) {
            peer.unwritten = self.outgoing.len() - self.written;
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if self.flushed {
            return Ok(Poll::Ready(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx)?;
        self.flushed = flushed.is_ready();
        Ok(flushed)
    }

    /// Executes the requests that are here, until one blocks or closes or the replies have become many.
    fn execute_all(&mut self) {
        let mut shared = self.server.shared.borrow_mut();
        if let Some(peer) = shared.peers.get_mut(&self.id) {
            peer.session.received += mem::take(&mut self.received);
        }
        shared.has_more = true;
        let waiting = self.outgoing.len() - self.written;
        self.decoder.limit(shared.engine.request_limits());
        loop {
            let ready = match self.decoder.next() {
                Ok(Some(args)) => {
                    if shared.must_wait(self.id, &args, &*self.server.environment) {
                        self.decoder.hold();
                        return;
                    }
                    if shared.is_attended(self.id, &args) {
                        drop(shared);
                        let ready = self.server.execute_attended(self.id, &args);
                        shared = self.server.shared.borrow_mut();
                        ready
                    } else {
                        shared.execute(self.id, &args, &*self.server.environment)
                    }
                }
                Ok(None) => {
                    self.more = false;
                    return;
                }
                Err(error) => {
                    shared.refuse(self.id, &error);
                    false
                }
            };
            if !ready
                || shared.peers.get(&self.id).is_none_or(|peer| waiting + peer.outbox.len() > WRITE_AHEAD)
            {
                return;
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        let buffer = self.decoder.buffer();
        buffer.reserve(READ_SIZE);
        match pin!(self.stream.read_buf(buffer)).poll(cx)? {
            Poll::Pending => Ok(Step::Wait),
            Poll::Ready(0) => Ok(Step::Done),
            Poll::Ready(count) => {
                self.received += count as u64;
                self.more = true;
                Ok(Step::Progress)
            }
        }
    }

    /// Whether the time of the command that waits is up; then it has been answered.
    fn deadline_passed(&mut self, cx: &mut Context<'_>, until: Option<UnixMillis>) -> bool {
        let Some(until) = until else { return false };
        let passed = self.has_slept_until(cx, until);
        if passed {
            self.server.shared.borrow_mut().resume(self.id, self.server.environment.now());
        }
        passed
    }

    /// The pause is over that it waited for, with the command that it is blocked in or else the next one, and whoever waited
    /// longer has gone on.
    fn go_on(&mut self, blocked: bool) -> Step {
        let now = self.server.environment.now();
        self.server.shared.borrow_mut().begin_turn(self.id, now);
        if blocked {
            self.server.shared.borrow_mut().go_on_waiting(self.id, now);
        } else {
            self.execute_all();
        }
        self.server.shared.borrow_mut().end_turn(now);
        Step::Progress
    }

    fn has_slept_until(&mut self, cx: &mut Context<'_>, until: UnixMillis) -> bool {
        if self.deadline.as_ref().is_none_or(|(at, _)| *at != until) {
            self.deadline = Some((until, self.server.environment.sleep_until(micros(until))));
        }
        let passed = self.deadline.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if passed {
            self.deadline = None;
        }
        passed
    }
}

struct State {
    killed: bool,
    closing: bool,
    blocked: bool,
    until: Option<UnixMillis>,
    /// It waits for the end of a pause, or for its turn after it,
    postponed: bool,
    /// and that is still to come.
    held: Option<Held>,
    silent_until: Option<UnixMillis>,
}
