//! Connections that are served while a script runs.
//!
//! A script holds the thread, and with it the runtime, which alone knows which sockets are ready. So while one runs for too long,
//! each connection is polled where the script is asked whether to go on, and asks its socket itself.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    os::fd::AsFd,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{
    engine::{Engine, UnixMicros, busy::Attendant},
    server::{Connection, Server},
};

/// All connections of a server, by number.
pub(super) struct Connections {
    server: Server,
    /// The same socket as the runtime's: for clients who come while a script runs.
    listener: StdListener,
    all: RefCell<BTreeMap<u64, Rc<Served>>>,
    last: Cell<u64>,
    script_began: Cell<UnixMicros>,
    /// While a script runs for too long: how often the connection that is being polled may read.
    reads: Rc<Reads>,
}

type Reads = Cell<Option<u32>>;

/// So often may each connection read before it is another one's turn.
const READS: u32 = 8;

/// One connection; none when it is over.
struct Served {
    connection: RefCell<Option<Connection<Socket>>>,
    /// What wakes its task.
    waker: RefCell<Waker>,
}

impl Served {
    /// Polls it, unless it is the one that is being polled: its script runs.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(mut connection) = self.connection.try_borrow_mut() else { return Poll::Pending };
        let Some(served) = &mut *connection else { return Poll::Ready(()) };
        let polled = pin!(served).poll(cx);
        if polled.is_ready() {
            *connection = None;
        }
        // How it ended is its client's concern, who sees it.
        polled.map(drop)
    }
}

impl Connections {
    /// Those of a server that listens here.
    ///
    /// # Errors
    /// The process has too many files open.
    pub(super) fn new(server: Server, listener: &TcpListener) -> io::Result<Self> {
        Ok(Self {
            server,
            listener: listener.as_fd().try_clone_to_owned()?.into(),
            all: RefCell::default(),
            last: Cell::default(),
            script_began: Cell::default(),
            reads: Rc::default(),
        })
    }

    /// Serves one client from now on.
    pub(super) fn attend(self: &Rc<Self>, stream: TcpStream, from: SocketAddr) {
        if !self.server.admits() {
            // Whoever does not read that at once does not read it.
            let _ = Socket { stream, reads: Rc::default() }
                .directly(|mut stream| stream.write_all(b"-ERR max number of clients reached\r\n"));
            return;
        }
        let _ = stream.set_nodelay(true);
        let Ok(to) = stream.local_addr() else { return };
        let socket = Socket { stream, reads: Rc::clone(&self.reads) };
        let served = Rc::new(Served {
            connection: RefCell::new(Some(self.server.connection_from(socket, from, to))),
            waker: RefCell::new(Waker::noop().clone()),
        });
        let number = self.last.get() + 1;
        self.last.set(number);
        self.all.borrow_mut().insert(number, Rc::clone(&served));
        let connections = Rc::clone(self);
        spawn_local(async move {
            std::future::poll_fn(|cx| {
                served.waker.borrow_mut().clone_from(cx.waker());
                served.poll(cx)
            })
            .await;
            connections.all.borrow_mut().remove(&number);
        });
    }

    /// Takes in who comes while a script runs.
    fn accept_directly(self: &Rc<Self>) {
        while let Ok((stream, from)) = self.listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.attend(stream, from);
            }
        }
    }

    fn poll_all(&self) {
        let all: Vec<Rc<Served>> = self.all.borrow().values().cloned().collect();
        for served in all {
            self.reads.set(Some(READS));
            let waker = served.waker.borrow().clone();
            if served.poll(&mut Context::from_waker(&waker)).is_ready() {
                waker.wake();
            }
        }
    }
}

/// What the server asks while a script runs.
pub(super) struct Attends(pub(super) Rc<Connections>);

impl Attendant for Attends {
    fn begins(&self) {
        self.0.script_began.set(self.0.server.now());
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.server.now().0.saturating_sub(self.0.script_began.get().0) / 1_000
    }

    fn serve_others(&self, engine: &mut Engine) {
        let connections = &self.0;
        connections.server.lend(engine, || {
            connections.accept_directly();
            connections.poll_all();
        });
        connections.reads.set(None);
    }
}

/// A socket that can be asked without the runtime.
struct Socket {
    stream: TcpStream,
    reads: Rc<Reads>,
}

impl Socket {
    /// Works on the socket itself. It does not wait: as the runtime's, it is non-blocking.
    fn directly<T>(&self, work: impl FnOnce(StdStream) -> io::Result<T>) -> io::Result<T> {
        work(self.stream.as_fd().try_clone_to_owned()?.into())
    }

    fn poll_directly<T>(&self, work: impl FnOnce(StdStream) -> io::Result<T>) -> Poll<io::Result<T>> {
        match self.directly(work) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(reads) = self.reads.get() else {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        };
        let Some(left) = reads.checked_sub(1) else { return Poll::Pending };
        self.reads.set(Some(left));
        let read = self.poll_directly(|mut stream| stream.read(buf.initialize_unfilled()));
        read.map_ok(|count| buf.advance(count))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.reads.get().is_none() {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        self.poll_directly(|mut stream| stream.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reads.get().is_none() {
            return Pin::new(&mut self.stream).poll_shutdown(cx);
        }
        self.poll_directly(|stream| stream.shutdown(Shutdown::Write))
    }
}
