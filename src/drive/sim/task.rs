//! A process's task: its connection to the server, its mailbox and its timers.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use valkey_sim::{
    clock::Clock,
    engine::Reply,
    link::{self, Delay, Mailbox, Stream},
    resp::ReplyDecoder,
};

use super::{World, encoded, host, turn};
use crate::{
    drive::{
        Process,
        faults::Hold,
        line::{Act as LineAct, Write},
        shell::{Act, Envelope, Post, Surroundings},
    },
    plan::{Fate, SafeOn},
    protocol::{wait_for_a_replica, wait_for_the_disk},
    types::{Lost, Node, Seq, SimTime},
};

/// A process's task: its connection, its mailbox and its timers.
pub(super) struct Task {
    world: Rc<World>,
    node: Node,
    process: Rc<RefCell<Process>>,
    clock: Clock,
    mailbox: Mailbox<Envelope>,
    connection: Connection,
    /// When the task will be woken; madsim's timers cannot be taken back, so none is set twice.
    armed: Option<SimTime>,
}

enum Connection {
    Down,
    Connecting(Pin<Box<dyn Future<Output = io::Result<Stream>>>>),
    Up(Box<Wire>),
}

/// An open connection as its client has it.
struct Wire {
    stream: Stream,
    /// Requests written so far, and replies read.
    requests: u64,
    replies: u64,
    outgoing: BytesMut,
    incoming: BytesMut,
    decoder: ReplyDecoder,
    /// Whether a `WAIT` follows each request that is not answered yet; the oldest first.
    waits: VecDeque<bool>,
    /// The reply to the request before the `WAIT` that is answered next.
    held: Option<(Reply, Option<Seq>)>,
}

impl Task {
    pub fn new(world: Rc<World>, node: Node, process: Process) -> Self {
        let process = Rc::new(RefCell::new(process));
        world.processes.borrow_mut().insert(node, Rc::clone(&process));
        let first = world.mailboxes.borrow_mut().remove(&node);
        let mailbox = first.unwrap_or_else(|| world.post.mailbox(host(node)));
        let clock = world.deployment.clock(node).clone();
        Self { world, node, process, clock, mailbox, connection: Connection::Down, armed: None }
    }

    pub async fn run(mut self) {
        self.with(Process::start);
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// Lets the process do something.
    fn with<T>(&self, act: impl FnOnce(&mut Process, &mut Surroundings<'_>) -> T) -> T {
        let world = &self.world;
        let mut witness = world.witness.borrow_mut();
        witness.at(world.now());
        let mut around = Surroundings {
            now: world.now(),
            clock: &self.clock,
            request_timeout: world.deployment.request_timeout(),
            names: &world.deployment.names,
            faults: &mut world.faults.borrow_mut(),
            log: &mut *witness,
        };
        act(&mut self.process.borrow_mut(), &mut around)
    }

    /// What came of requests before messages, messages before timers.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while self.advance(cx) {}
            if self.with(Process::complete) {
                continue;
            }
            if let Poll::Ready(envelope) = pin!(self.mailbox.receive()).poll(cx) {
                self.with(|process, around| process.receive(envelope, around));
            } else if !self.with(Process::tick) {
                break;
            }
        }
        self.arm(cx);
        Poll::Pending
    }

    /// One step of the connection, or a message on its way; whether there may be another.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        if let Connection::Up(wire) = &mut self.connection {
            if wire.flush(cx).is_err() {
                self.connection = Connection::Down;
                self.with(Process::reset);
                return true;
            }
            if !wire.outgoing.is_empty() {
                let post = self.process.borrow_mut().next_post();
                return post.map(|post| self.send(post)).is_some() || self.read(cx);
            }
        }
        if let Some(act) = self.with(Process::next) {
            self.perform(act);
            return true;
        }
        match &mut self.connection {
            Connection::Down => false,
            Connection::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(stream)) => {
                    self.connection = Connection::Up(Box::new(Wire::new(stream)));
                    self.process.borrow_mut().connected();
                    true
                }
                Poll::Ready(Err(_)) => {
                    self.connection = Connection::Down;
                    self.with(Process::refused);
                    true
                }
            },
            Connection::Up(_) => self.read(cx),
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Post(post) => self.send(post),
            Act::Line(LineAct::Connect) => {
                let connect = self.world.network.connect(host(self.node), self.world.host(Node::Valkey));
                self.connection = Connection::Connecting(Box::pin(connect));
            }
            Act::Line(LineAct::Write(write)) => self.write(write),
            Act::Line(LineAct::Cut) => {
                if let Connection::Up(wire) = &mut self.connection {
                    wire.stream.cut();
                }
                self.connection = Connection::Down;
            }
            // Dropping a stream closes it, and what is in the network still arrives.
            Act::Line(LineAct::Close) => self.connection = Connection::Down,
        }
    }

    fn write(&mut self, write: Write) {
        let world = &self.world;
        for after in write.repeats {
            world.expect_until(world.now().after(after.0.saturating_mul(2_000)));
            madsim::task::spawn_local(Rc::clone(world).repeat(
                self.node,
                write.request.clone(),
                write.sent,
                after,
            ));
        }
        let Connection::Up(wire) = &mut self.connection else { return };
        match write.hold {
            Some(Hold::By(millis)) => {
                world.expect_until(world.now().after(millis.0.saturating_mul(2_000)));
                wire.stream.delay_next_write(Delay::By(Duration::from_millis(millis.0)));
            }
            Some(hold) => {
                let execution = write.request.execution_id().map(|id| world.deployment.names.of_text(id));
                let witness = world.witness.borrow();
                let until =
                    world.deployment.held_until(hold, execution.as_ref(), world.now(), witness.view());
                if let Some(instant) = until {
                    world.expect_until(instant.after(1_000_000));
                    wire.stream.delay_next_write(Delay::Until(instant));
                }
            }
            None => {
                if let Some(delay) = world.keeps_request(self.node) {
                    world.expect_until(delay.apply(world.now()));
                    wire.stream.delay_next_write(delay);
                }
            }
        }
        wire.requests += 1;
        if let Some(sent) = write.sent {
            world.witness.borrow_mut().written((wire.stream.connection_id(), wire.requests), sent);
        }
        wire.outgoing.extend_from_slice(&encoded(&write.request));
        let settings = &world.deployment.plan.settings;
        let wait_ms = settings.wait_ms.filter(|_| write.sent.is_some());
        wire.waits.push_back(wait_ms.is_some());
        if let Some(wait_ms) = wait_ms {
            let wait = match settings.safe_on {
                SafeOn::Replica => wait_for_a_replica(wait_ms),
                SafeOn::Disk => wait_for_the_disk(wait_ms),
            };
            wire.requests += 1;
            wire.outgoing.extend_from_slice(&encoded(&wait));
        }
    }

    /// Reads what there is and takes a reply from it; whether anything moved.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let Connection::Up(wire) = &mut self.connection else { return false };
        match wire.decoder.next(&mut wire.incoming) {
            Ok(Some(reply)) => {
                wire.replies += 1;
                let executed =
                    self.world.witness.borrow_mut().read((wire.stream.connection_id(), wire.replies));
                if let Some((answer, executed)) = wire.held.take() {
                    // What is no answer of the function's has nothing to lose.
                    let lost = match reply {
                        _ if matches!(answer, Reply::Error(_)) => None,
                        Reply::Array(counts) => {
                            (counts.first() != Some(&Reply::Int(1))).then_some(Lost::NotSynced)
                        }
                        reply => (!matches!(reply, Reply::Int(1..))).then_some(Lost::NotReplicated),
                    };
                    self.with(|process, around| match lost {
                        None => process.replied(answer, executed, around),
                        Some(lost) => process.not_safe(lost, around),
                    });
                } else if wire.waits.pop_front() == Some(true) {
                    wire.held = Some((reply, executed));
                } else {
                    self.with(|process, around| process.replied(reply, executed, around));
                }
                return true;
            }
            Ok(None) => {
                let read = pin!(wire.stream.read_buf(&mut wire.incoming)).poll(cx);
                match read {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(count)) if count > 0 => return true,
                    Poll::Ready(_) => {}
                }
            }
            Err(_) => {}
        }
        self.connection = Connection::Down;
        self.with(Process::reset);
        true
    }

    fn send(&self, post: Post) {
        let world = &self.world;
        let late = |ms: u64| {
            world.expect_until(world.now().after(ms.saturating_mul(2_000)));
            ms.saturating_mul(1_000)
        };
        let kept_us = world.keeps_message(self.node);
        let fate = match post.fate {
            None => match kept_us {
                Some(by_us) => {
                    world.expect_until(world.now().after(by_us.saturating_add(world.latency.base_us)));
                    link::Fate::Delay { by_us }
                }
                None => link::Fate::Deliver,
            },
            Some(Fate::Drop) => link::Fate::Drop,
            Some(Fate::Delay(by_ms)) => link::Fate::Delay { by_us: late(by_ms) },
            Some(Fate::Twice(after_ms)) => link::Fate::Duplicate { after_us: late(after_ms) },
        };
        world.post.send(host(self.node), host(post.to), post.envelope, fate);
    }

    /// Sees to it that the task is woken for the next timer, after those of the same instant whose turn comes before.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let Some(due) = self.process.borrow().wake_at() else { return };
        let now = self.world.now();
        if self.armed.is_some_and(|armed| now < armed && armed <= due) {
            return;
        }
        // Polled once, the sleep leaves a timer behind that wakes this task.
        let sleep = self.world.network.world().sleep_until_in_turn(due, turn(self.node));
        if pin!(sleep).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.armed = Some(due);
    }
}

impl Wire {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            requests: 0,
            replies: 0,
            outgoing: BytesMut::new(),
            incoming: BytesMut::new(),
            decoder: ReplyDecoder::default(),
            waits: VecDeque::new(),
            held: None,
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
