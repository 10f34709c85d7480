//! A server behind streams in memory, without a runtime: a clock that the test turns, and an executor that polls those who
//! were woken, in turn, until nothing moves.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use valkey_sim::{
    engine::{Reply, UnixMicros},
    resp::ReplyDecoder,
    server::{Environment, LocalFuture},
};

/// A clock that the test turns.
#[derive(Clone)]
pub struct Clock(pub Rc<Cell<u64>>);

impl Environment for Clock {
    fn now(&self) -> UnixMicros {
        UnixMicros(self.0.get())
    }

    fn sleep_until(&self, at: UnixMicros) -> LocalFuture {
        let clock = self.clone();
        Box::pin(poll_fn(move |_| if clock.now() >= at { Poll::Ready(()) } else { Poll::Pending }))
    }
}

/// Whether a task was woken since it was last polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One connection, or the housekeeping.
struct Task {
    work: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    woken: Arc<Woken>,
}

/// What runs.
#[derive(Default)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    pub fn spawn(&mut self, work: impl Future<Output = io::Result<()>> + 'static) {
        self.0.push(Task { work: Box::pin(work), woken: Arc::new(Woken(AtomicBool::new(true))) });
    }

    /// Polls those that were woken until nothing moves.
    pub fn settle(&mut self) {
        let is_woken = |task: &Task| task.woken.0.load(Ordering::Relaxed);
        for _ in 0..10_000 {
            if !self.0.iter().any(is_woken) {
                return;
            }
            self.0.retain_mut(|task| {
                if !task.woken.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                let waker = Waker::from(task.woken.clone());
                task.work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
        }
        panic!("the tasks wake each other and do not come to rest");
    }

    /// Wakes everybody: the clock was turned, and whoever sleeps by it looks at it.
    pub fn wake_all(&self) {
        self.0.iter().for_each(|task| task.woken.0.store(true, Ordering::Relaxed));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The other end of a connection.
pub struct Client {
    pub stream: DuplexStream,
    decoder: ReplyDecoder,
    pub buffer: BytesMut,
}

#[allow(dead_code, reason = "not every test file uses every helper")]
impl Client {
    pub fn new(stream: DuplexStream) -> Self {
        Self { stream, decoder: ReplyDecoder::default(), buffer: BytesMut::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(self.stream.write_all(bytes)).poll(&mut cx).is_ready(), "the pipe has room");
    }

    /// Sends as much as the pipe takes, and says how much that was.
    pub fn send_some(&mut self, bytes: &[u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(self.stream.write(bytes)).poll(&mut cx) {
            Poll::Ready(written) => written.expect("the server is there"),
            Poll::Pending => 0,
        }
    }

    /// The replies that have come since the last time.
    pub fn replies(&mut self) -> Vec<Reply> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut replies = Vec::new();
        while let Poll::Ready(Ok(1..)) = pin!(self.stream.read_buf(&mut self.buffer)).poll(&mut cx) {}
        while let Some(reply) = self.decoder.next(&mut self.buffer).expect("a server sends replies") {
            replies.push(reply);
        }
        replies
    }

    pub fn is_closed(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(pin!(self.stream.read_buf(&mut self.buffer)).poll(&mut cx), Poll::Ready(Ok(0)))
    }
}
