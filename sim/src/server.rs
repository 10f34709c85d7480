//! Connections: the engine behind any byte stream.
//!
//! A [`Server`] is a handle to one engine and the connections to it. [`Server::connection`] serves one stream; the caller
//! spawns it, whatever the runtime is: inside a simulated node, or on a real one. Time comes from an [`Environment`],
//! and an [`Observer`] sees every command as it is executed. Nothing here spawns, and nothing chooses at random: what
//! is ready is done in a fixed order.

mod connection;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::{Future, poll_fn},
    mem,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
};

use bytes::Bytes;
pub use connection::Connection;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    engine::{
        Blocked, Effects, Engine, ErrorReply, Protocol, Reply, ReplyMode, Session, UnixMicros, UnixMillis,
        busy::Attendant,
        clients::{Order, asks_for_others, may_call_script},
        turn::{NOT_ADJUSTABLE, Shown, Turn},
        unit::Unit,
    },
    replica::{Link, ReplicaError},
    resp::{self, ProtocolError},
};

/// How much is asked of the stream at once.
const READ_SIZE: usize = 16 * 1024;
/// Replies that wait to be written before the next request is looked at.
const WRITE_AHEAD: usize = 1024 * 1024;
/// Requests that a blocked client may send ahead.
const READ_AHEAD: usize = 1024 * 1024;
/// Replies that are worth a look at how much may wait.
const MUCH_OUTPUT: usize = 16 * 1024;
/// How often expired keys are looked for, and how many are removed at once.
const REAP_INTERVAL_MS: i64 = 100;
const REAP_LIMIT: usize = 1_000;

/// A future that stays on its thread.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The time as the server's node has it.
pub trait Environment {
    /// What its clock shows.
    fn now(&self) -> UnixMicros;
    /// Ends when its clock shows `at`, or later.
    fn sleep_until(&self, at: UnixMicros) -> LocalFuture;

    /// Turns the clock as `SIM CLOCK` asks; says what it shows then. Those who sleep by it must notice.
    ///
    /// # Errors
    /// When the clock is not to be turned, as it is unless implemented otherwise, or not there.
    fn turn(&self, turn: Turn) -> Result<Shown, ErrorReply> {
        match turn {
            Turn::Show => Ok(Shown { now: self.now(), runs: true }),
            _ => Err(NOT_ADJUSTABLE),
        }
    }
}

/// Sees what a server does, command by command, while nothing else can happen.
pub trait Observer {
    /// A command was executed. One that blocks is seen twice: with [`Reply::Nothing`], and with its reply.
    fn executed(&mut self, executed: &Executed<'_>);

    /// Keys were removed because their time had come, and nobody had asked for them.
    fn reaped(&mut self, _now: UnixMicros, _effects: &Effects, _engine: &Engine) {}
}

/// An observer that looks away.
impl Observer for () {
    fn executed(&mut self, _: &Executed<'_>) {}
}

/// One executed command.
pub struct Executed<'a> {
    /// The connection.
    pub session: u64,
    /// Which request of the connection it was, the first being 1.
    pub nth: u64,
    /// The command.
    pub args: &'a [&'a [u8]],
    /// The server's clock.
    pub now: UnixMicros,
    /// What it answered.
    pub reply: &'a Reply,
    /// What it wrote.
    pub effects: &'a Effects,
    /// The engine after it.
    pub engine: &'a Engine,
}

/// A handle to an engine that serves connections. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Rc<RefCell<Shared>>,
    environment: Rc<dyn Environment>,
}

struct Shared {
    engine: Box<Engine>,
    /// Stands in the engine's place while that runs a script which somebody attends to.
    spare: Option<Box<Engine>>,
    observer: Box<dyn Observer>,
    /// The effects of the command that runs; kept for its memory.
    effects: Effects,
    peers: BTreeMap<u64, Peer>,
    /// The connections that wait for data, longest first.
    blocked: Vec<u64>,
    /// Whether there are more requests at hand, from one client or from those who waited for the end of a pause.
    has_more: bool,
    /// Who waits for the last connection to end.
    closer: Option<Waker>,
    /// Whether a client has ended the server, and who waits for that.
    is_shut_down: bool,
    ender: Option<Waker>,
    /// The housekeeper, and the millisecond that it sleeps towards.
    housekeeper: Option<Waker>,
    next_reap: Option<UnixMillis>,
}

/// What a request waits for that came during a pause.
#[derive(Clone, Copy)]
enum Held {
    /// The end of the pause.
    Until(UnixMillis),
    /// The pause is over, and others have waited longer.
    Behind,
}

/// One connection as the others see it.
struct Peer {
    session: Session,
    /// Requests so far.
    requests: u64,
    /// Replies and messages on their way out.
    outbox: Vec<u8>,
    /// Bytes that the connection has taken from the outbox, and that its stream does not take.
    unwritten: usize,
    /// Since when more waits than the soft limit allows.
    over_soft_limit_since: Option<UnixMicros>,
    /// Wakes the connection.
    waker: Option<Waker>,
    /// It ends at once, whatever has not been written.
    killed: bool,
}

impl Server {
    /// A server of `engine`.
    pub fn new(
        engine: Engine,
        environment: impl Environment + 'static,
        observer: impl Observer + 'static,
    ) -> Self {
        let shared = Shared {
            engine: Box::new(engine),
            spare: None,
            observer: Box::new(observer),
            effects: Effects::default(),
            peers: BTreeMap::new(),
            blocked: Vec::new(),
            has_more: false,
            closer: None,
            is_shut_down: false,
            ender: None,
            housekeeper: None,
            next_reap: None,
        };
        Self { shared: Rc::new(RefCell::new(shared)), environment: Rc::new(environment) }
    }

    /// Gives the engine to a caller that is no connection: to look at, or to set something up.
    ///
    /// Connections that wait for what it does there go on: for a replica's acknowledgement, say. Those that wait for a key
    /// do not; [`apply_next`](Self::apply_next) is for what comes from a primary.
    ///
    /// Not for an [`Observer`]: it is handed the engine, which is in use while it looks.
    pub fn with_engine<T>(&self, f: impl FnOnce(&mut Engine) -> T) -> T {
        let mut shared = self.shared.borrow_mut();
        let result = f(&mut shared.engine);
        shared.wake_housekeeper();
        shared.hand_on(self.environment.now());
        result
    }

    /// Executes the next unit that has arrived over the link to the server's primary, and lets the connections go on that
    /// wait for it. Answers it, or `None` when there is none.
    ///
    /// # Errors
    /// Those of [`Link::apply_next`].
    pub fn apply_next(&self, link: &mut Link) -> Result<Option<Arc<Unit>>, ReplicaError> {
        let mut shared = self.shared.borrow_mut();
        let Shared { engine, effects, .. } = &mut *shared;
        effects.clear();
        let applied = link.apply_next(engine, effects);
        shared.after_command(self.environment.now());
        applied
    }

    /// Serves one stream: a future that ends when its client goes, quits or talks nonsense, or with what the
    /// stream fails with.
    pub fn connection<S>(&self, stream: S) -> Connection<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Connection::open(self.clone(), stream, None)
    }

    /// As [`connection`](Self::connection), for a stream with addresses: where it comes from and where it leads to.
    pub fn connection_from<S>(&self, stream: S, from: SocketAddr, to: SocketAddr) -> Connection<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Connection::open(self.clone(), stream, Some((from.to_string().into(), to.to_string().into())))
    }

    /// What its clock shows.
    pub fn now(&self) -> UnixMicros {
        self.environment.now()
    }

    /// Whether one more client may connect; if not, it is counted as turned away.
    pub fn admits(&self) -> bool {
        self.shared.borrow_mut().engine.admits_client()
    }

    /// Has every connection end as soon as its replies are out, and waits until they have.
    pub async fn close(&self) {
        for peer in self.shared.borrow_mut().peers.values_mut() {
            peer.session.closing = true;
            peer.wake();
        }
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.peers.is_empty() {
                return Poll::Ready(());
            }
            shared.closer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until a client ends the server: `SHUTDOWN`. It can where somebody [attends to scripts](Self::attend); elsewhere it is
    /// told that something went wrong.
    pub async fn shut_down(&self) {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.is_shut_down {
                return Poll::Ready(());
            }
            shared.ender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Has a host attend to the scripts of clients, or nobody any more. While a script runs it gives the engine back by
    /// [`lend`](Self::lend), and the connections may be polled.
    pub fn attend(&self, attendant: Option<Rc<dyn Attendant>>) {
        let mut shared = self.shared.borrow_mut();
        // Nobody asks it anything.
        shared.spare = attendant.is_some().then(|| shared.engine.clone());
        shared.engine.attend(attendant);
    }

    /// Does something with the engine in its place, which an [`Attendant`] was handed.
    pub fn lend<T>(&self, engine: &mut Engine, work: impl FnOnce() -> T) -> T {
        mem::swap(&mut *self.shared.borrow_mut().engine, engine);
        let result = work();
        mem::swap(&mut *self.shared.borrow_mut().engine, engine);
        result
    }

    /// Executes a request in which a script may run that takes its time. Whoever attends to it finds everything in its place but
    /// the engine, and that it is handed.
    fn execute_attended(&self, id: u64, args: &[&[u8]]) -> bool {
        let now = self.environment.now();
        let mut shared = self.shared.borrow_mut();
        let Shared { engine, spare, peers, effects, .. } = &mut *shared;
        let (Some(spare), Some(peer)) = (spare.take(), peers.get_mut(&id)) else { return false };
        peer.requests += 1;
        effects.clear();
        let mut effects = mem::take(effects);
        let mut engine = mem::replace(engine, spare);
        let absent = Session { id, protocol: peer.session.protocol, ..Session::default() };
        let mut session = mem::replace(&mut peer.session, absent);
        drop(shared);
        let reply = engine.execute(&mut session, args, now, &mut effects);
        let mut shared = self.shared.borrow_mut();
        shared.spare = Some(mem::replace(&mut shared.engine, engine));
        shared.effects = effects;
        if let Some(peer) = shared.peers.get_mut(&id) {
            peer.session = session;
        }
        shared.complete(id, args, now, reply, &*self.environment)
    }

    /// Removes expired keys as Valkey's background cycle does: every 100 ms, as long as any are due. Never ends.
    pub async fn housekeeping(&self) {
        loop {
            self.next_reap().await;
            self.shared.borrow_mut().reap(self.environment.now());
        }
    }

    /// Waits for the first tick at which a key has expired.
    async fn next_reap(&self) {
        let mut sleep: Option<(UnixMillis, LocalFuture)> = None;
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            let due = shared.engine.next_expiry().map(tick_after);
            shared.housekeeper = Some(cx.waker().clone());
            shared.next_reap = due;
            drop(shared);
            let Some(due) = due else { return Poll::Pending };
            if sleep.as_ref().is_none_or(|(at, _)| *at != due) {
                sleep = Some((due, self.environment.sleep_until(micros(due))));
            }
            sleep.as_mut().map_or(Poll::Pending, |(_, sleep)| sleep.as_mut().poll(cx))
        })
        .await;
    }
}

/// The first tick of the background cycle at which a key that expires at `at` is gone.
pub fn tick_after(at: UnixMillis) -> UnixMillis {
    let ticks = at.0.max(0) / REAP_INTERVAL_MS;
    UnixMillis(ticks.saturating_add(1).saturating_mul(REAP_INTERVAL_MS))
}

fn micros(at: UnixMillis) -> UnixMicros {
    UnixMicros((at.0.max(0) as u64).saturating_mul(1_000))
}

impl Shared {
    /// Whether a request has to wait for the end of a pause.
    fn must_wait(&mut self, id: u64, args: &[&[u8]], environment: &dyn Environment) -> bool {
        if !self.engine.may_be_paused() {
            return false;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        self.engine.go_on(&mut peer.session);
        let waits = self.engine.must_wait(&peer.session, args, environment.now());
        if waits {
            self.engine.postpone(&mut peer.session, args);
        }
        waits
    }

    /// What the next request of a connection, which is held, waits for.
    fn held_by(&self, id: u64, now: UnixMicros) -> Option<Held> {
        match self.engine.pause(now) {
            Some(pause) => Some(Held::Until(pause.until)),
            None => self.engine.first_postponed().filter(|first| *first != id).map(|_| Held::Behind),
        }
    }

    /// It is a connection's turn to go on after a pause. Whose time was up meanwhile is told so before.
    fn begin_turn(&mut self, id: u64, now: UnixMicros) {
        self.time_out_due(now);
        self.engine.give_turn(Some(id));
    }

    fn end_turn(&mut self, now: UnixMicros) {
        self.engine.give_turn(None);
        self.release_next();
        if self.engine.first_postponed().is_none() || self.engine.pause(now).is_some() {
            self.end_requests(now);
        }
    }

    /// There are no more requests at hand.
    fn end_requests(&mut self, now: UnixMicros) {
        self.has_more = false;
        self.hand_on(now);
    }

    /// After a pause those who waited for its end go on one after the other: has the next one look.
    fn release_next(&mut self) {
        if let Some(peer) = self.engine.first_postponed().and_then(|id| self.peers.get_mut(&id)) {
            peer.wake();
        }
    }

    /// Runs one request of a connection and queues what it answers; says whether the connection may go on to the next.
    fn execute(&mut self, id: u64, args: &[&[u8]], environment: &dyn Environment) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if asks_for_others(&peer.session, args) && !self.engine.is_busy() {
            self.engine.see_clients(self.peers.values().map(|peer| &peer.session));
        }
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        peer.requests += 1;
        self.effects.clear();
        let now = environment.now();
        let reply = self.engine.execute(&mut peer.session, args, now, &mut self.effects);
        self.complete(id, args, now, reply, environment)
    }

    /// Whether a script may run in a request of a connection, and somebody attends to it.
    fn is_attended(&self, id: u64, args: &[&[u8]]) -> bool {
        self.spare.is_some() && self.peers.get(&id).is_some_and(|peer| may_call_script(&peer.session, args))
    }

    /// Queues what a request is answered and hands on what it caused; says whether the connection may go on to the next.
    fn complete(
        &mut self,
        id: u64,
        args: &[&[u8]],
        now: UnixMicros,
        mut reply: Reply,
        environment: &dyn Environment,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let turn = peer.session.turn.take();
        if let Some(turn) = turn {
            reply = environment.turn(turn).map(Reply::from).into();
        }
        let turned = turn.is_some_and(|turn| turn != Turn::Show) && reply.error().is_none();
        tracing::trace!(
            now_us = now.0,
            session = id,
            nth = peer.requests,
            command = %args.first().copied().unwrap_or_default().escape_ascii(),
            effects = self.effects.len(),
            error = reply.error().map(tracing::field::display),
        );
        self.observer.executed(&Executed {
            session: id,
            nth: peer.requests,
            args,
            now,
            reply: &reply,
            effects: &self.effects,
            engine: &self.engine,
        });
        peer.answer(&reply, &self.engine);
        let much = peer.outbox.len() > MUCH_OUTPUT;
        let blocked = peer.session.blocked.is_some();
        let ready = !blocked && !peer.session.closing;
        if blocked {
            self.blocked.push(id);
        }
        if much {
            self.check_output(id, now);
        }
        self.after_command(now);
        if turned {
            self.catch_up(environment.now());
        }
        ready
    }

    /// Does at once what is due by a clock that was turned, before anything else can happen.
    fn catch_up(&mut self, now: UnixMicros) {
        while self.reap(now) > 0 {}
        self.time_out_due(now);
    }

    /// Ends the waiting of all whose time is up.
    fn time_out_due(&mut self, now: UnixMicros) {
        let is_due = |id: &u64| {
            let blocked = self.peers.get(id).and_then(|peer| peer.session.blocked.as_ref());
            blocked.and_then(|blocked| blocked.until).is_some_and(|until| now.millis() >= until)
        };
        let due: Vec<u64> = self.blocked.iter().copied().filter(is_due).collect();
        for id in due {
            self.resume(id, now);
        }
    }

    /// Hands on what a command caused for others: messages, data that someone waits for, keys that will expire.
    fn after_command(&mut self, now: UnixMicros) {
        if !self.effects.is_empty() {
            self.wake_housekeeper();
            if !self.blocked.is_empty() {
                self.end_unblocked(now);
                self.resume_waiting(now);
            }
        }
        self.hand_on(now);
    }

    /// Ends the waiting of those whom the last command unblocked: what it wrote is for others.
    fn end_unblocked(&mut self, now: UnixMicros) {
        let effects = std::mem::take(&mut self.effects);
        for (id, reply) in self.engine.take_unblocked() {
            self.end_waiting(id, now, &reply);
        }
        self.effects = effects;
    }

    /// Delivers messages, and does to other connections what the engine wants done.
    fn hand_on(&mut self, now: UnixMicros) {
        if !self.has_more {
            self.engine.tell_by_prefix();
        }
        for (id, message) in self.engine.take_deliveries() {
            self.deliver(id, &message, now);
        }
        for order in self.engine.take_orders() {
            match order {
                Order::Close(id) => self.close(id),
                Order::ShutDown => self.shut_down(),
                Order::Continue => {
                    self.release_next();
                    self.wake_housekeeper();
                }
                Order::Unblock(id, reply) => self.end_waiting(id, now, &reply),
                Order::LookAgain(id) => self.resume(id, now),
                Order::TimeOut(id) => self.time_out(id, now),
            }
        }
    }

    /// Ends all connections without another word, and whoever waits for the end goes on.
    fn shut_down(&mut self) {
        self.engine.kill_script();
        self.is_shut_down = true;
        for peer in self.peers.values_mut() {
            peer.killed = true;
            peer.wake();
        }
        wake(&mut self.ender);
    }

    /// Lets the connections go on whose keys the last command changed: key after key, and for each in the order in which they
    /// began to wait. What they write may be what others wait for.
    fn resume_waiting(&mut self, now: UnixMicros) {
        let mut ready = self.ready_keys();
        while !ready.is_empty() {
            let mut written = Vec::new();
            for (db, key) in &ready {
                for id in self.waiting_for(*db, key) {
                    self.resume_for(id, key, now);
                    written.extend(self.ready_keys());
                }
            }
            ready = written;
        }
    }

    /// The keys that the effects of the command that ran wrote, and that somebody waits for, each with its database.
    fn ready_keys(&self) -> Vec<(u8, Bytes)> {
        if self.effects.is_empty() {
            return Vec::new();
        }
        let waiting: Vec<(u8, &Blocked)> =
            self.blocked.iter().filter_map(|id| self.blocked_in(*id)).collect();
        self.engine.ready_keys(&self.effects, &waiting)
    }

    /// Those who wait for a key, longest first.
    fn waiting_for(&self, db: u8, key: &Bytes) -> Vec<u64> {
        let waits = |id: &u64| {
            self.blocked_in(*id).is_some_and(|(own, blocked)| own == db && blocked.keys.contains(key))
        };
        self.blocked.iter().copied().filter(waits).collect()
    }

    /// The database of a connection that waits, and what it waits for.
    fn blocked_in(&self, id: u64) -> Option<(u8, &Blocked)> {
        let session = &self.peers.get(&id)?.session;
        Some((session.db, session.blocked.as_ref()?))
    }

    /// Has a blocked connection look for a key.
    fn resume_for(&mut self, id: u64, key: &Bytes, now: UnixMicros) {
        let has_gone_on =
            self.look(id, now, |engine, session, effects| engine.resume_for(session, key, now, effects));
        let Some(peer) = self.peers.get_mut(&id).filter(|_| !has_gone_on) else { return };
        if peer.session.postponed > 0 {
            peer.wake();
        }
    }

    /// Has a connection go on whose data came in a pause. If they are gone it waits behind all others.
    fn go_on_waiting(&mut self, id: u64, now: UnixMicros) {
        if self.look(id, now, |engine, session, effects| engine.go_on_waiting(session, now, effects)) {
            self.after_command(now);
        } else if self.blocked_in(id).is_some() {
            self.blocked.retain(|other| *other != id);
            self.blocked.push(id);
        }
    }

    /// Has a blocked connection look again.
    fn resume(&mut self, id: u64, now: UnixMicros) {
        self.look(id, now, |engine, session, effects| engine.resume(session, now, effects));
    }

    /// Has a blocked connection look, and hands on what it finds. Whether it found anything.
    fn look(
        &mut self,
        id: u64,
        now: UnixMicros,
        look: impl FnOnce(&mut Engine, &mut Session, &mut Effects) -> Option<Reply>,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let Some(args) = peer.session.blocked.as_ref().map(|blocked| blocked.args.clone()) else {
            return false;
        };
        self.effects.clear();
        let Some(reply) = look(&mut self.engine, &mut peer.session, &mut self.effects) else { return false };
        self.finish(id, now, &args, &reply);
        true
    }

    /// Ends what a connection waits in, with a reply that another one chose.
    fn end_waiting(&mut self, id: u64, now: UnixMicros, reply: &Reply) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(blocked) = peer.session.blocked.take() else { return };
        self.effects.clear();
        self.finish(id, now, &blocked.args, reply);
    }

    /// Ends what a connection waits in as if its time were up.
    fn time_out(&mut self, id: u64, now: UnixMicros) {
        let blocked = self.peers.get_mut(&id).and_then(|peer| peer.session.blocked.as_mut());
        if let Some(blocked) = blocked {
            blocked.until = Some(now.millis());
            self.resume(id, now);
        }
    }

    /// Hands on the reply of a command that waited.
    fn finish(&mut self, id: u64, now: UnixMicros, args: &[Bytes], reply: &Reply) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        if let Reply::Error(error) = reply {
            self.engine.count_late_failure(&args, error);
        }
        self.observer.executed(&Executed {
            session: id,
            nth: peer.requests,
            args: &args,
            now,
            reply,
            effects: &self.effects,
            engine: &self.engine,
        });
        peer.answer(reply, &self.engine);
        peer.wake();
        self.blocked.retain(|blocked| *blocked != id);
    }

    fn deliver(&mut self, id: u64, message: &Reply, now: UnixMicros) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        resp::encode(message, peer.session.protocol, self.engine.dialect(), &mut peer.outbox);
        peer.wake();
        self.check_output(id, now);
    }

    /// Closes a connection whose client leaves too much unread: `client-output-buffer-limit`.
    fn check_output(&mut self, id: u64, now: UnixMicros) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let limit = self.engine.output_limit(&peer.session);
        let waiting = (peer.outbox.len() + peer.unwritten) as u64;
        let exceeds = |limit: u64| limit > 0 && waiting > limit;
        if !exceeds(limit.soft) {
            peer.over_soft_limit_since = None;
        }
        let over_soft_limit_for = exceeds(limit.soft).then(|| {
            let since = *peer.over_soft_limit_since.get_or_insert(now);
            now.0.saturating_sub(since.0) / 1_000_000
        });
        if exceeds(limit.hard) || over_soft_limit_for.is_some_and(|seconds| seconds > limit.soft_seconds) {
            self.close(id);
        }
    }

    /// Has a connection end without another word.
    fn close(&mut self, id: u64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.killed = true;
            peer.wake();
        }
        self.blocked.retain(|blocked| *blocked != id);
    }

    fn wake_housekeeper(&mut self) {
        if self.housekeeper.is_some() && self.engine.next_expiry().map(tick_after) != self.next_reap {
            wake(&mut self.housekeeper);
        }
    }

    /// Removes some of the keys that have expired; says how many.
    fn reap(&mut self, now: UnixMicros) -> usize {
        self.effects.clear();
        let reaped = self.engine.reap(now, REAP_LIMIT, &mut self.effects);
        if reaped > 0 {
            self.observer.reaped(now, &self.effects, &self.engine);
            self.after_command(now);
        }
        reaped
    }
}

impl Peer {
    /// Queues a reply and what is to follow it, as far as the client wants to hear it.
    fn answer(&mut self, reply: &Reply, engine: &Engine) {
        let protocol = self.session.protocol;
        match self.session.reply_mode {
            // It waits, and is answered later.
            _ if self.session.blocked.is_some() => {}
            ReplyMode::On => resp::encode(reply, protocol, engine.dialect(), &mut self.outbox),
            ReplyMode::Off => {}
            ReplyMode::SkipNext => self.session.reply_mode = ReplyMode::Skip,
            ReplyMode::Skip => self.session.reply_mode = ReplyMode::On,
        }
        if let Some(count) = self.session.announced.take() {
            self.outbox.extend_from_slice(format!("*{count}\r\n").as_bytes());
        }
        while let Some(push) = self.session.pushes.pop_front() {
            resp::encode(&push, protocol, engine.dialect(), &mut self.outbox);
        }
    }

    fn wake(&mut self) {
        wake(&mut self.waker);
    }
}

/// Wakes whoever waits, once.
fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Shared {
    /// Answers bytes that are no request, and has the connection close.
    fn refuse(&mut self, id: u64, error: &ProtocolError) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.session.closing = true;
        if let ProtocolError::Malformed(text) = error {
            let reply = Reply::Error(text.clone());
            resp::encode(&reply, Protocol::Resp2, self.engine.dialect(), &mut peer.outbox);
        }
    }
}
