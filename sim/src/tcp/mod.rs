//! The server on real sockets, for clients in any language.
//!
//! The engine and the connections are those of the simulation; the sockets and the timers are real. Everything runs
//! on the one thread that polls [`serve`], within a [`LocalSet`](tokio::task::LocalSet) of the real tokio and
//! outside any madsim runtime.

mod attended;
mod clock;

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    process,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    thread,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    runtime,
    signal::unix::{SignalKind, signal},
    task::spawn_local,
    time::{sleep, timeout},
};

use attended::{Attends, Connections};
pub use clock::{HostClock, MANUAL_START};

use crate::server::Server;

/// How long clients have to take their last replies when the server ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// How long to wait when a connection cannot be accepted: for want of file descriptors, mostly.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted: a real server's `tcp-backlog`.
const BACKLOG: u32 = 511;
/// How long a server may leave a signal unnoticed. Longer than that it is in the middle of a script.
const NOTICES_WITHIN: Duration = Duration::from_millis(500);

/// Listens as a real server does.
///
/// # Errors
/// The address is taken, or not this machine's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves whoever connects, until `stop` is ready or a client ends the server; then the connections end when their replies
/// are out, and it returns what `stop` gave. A connection that breaks concerns its client only. A client whose script runs for
/// longer than `busy-reply-threshold` by the server's clock does not keep the others from ending it.
pub async fn serve<T>(server: Server, listener: TcpListener, stop: impl Future<Output = T>) -> Option<T> {
    let housekeeper = server.clone();
    let housekeeping = spawn_local(async move { housekeeper.housekeeping().await });
    let mut accepting = pin!(accept_all(server.clone(), listener));
    let mut stop = pin!(stop);
    let mut shut_down = pin!(server.shut_down());
    let stopped = poll_fn(|cx| {
        if let Poll::Ready(why) = stop.as_mut().poll(cx) {
            return Poll::Ready(Some(why));
        }
        if shut_down.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        accepting.as_mut().poll(cx).map(|never| match never {})
    })
    .await;
    housekeeping.abort();
    // A client that does not read does not keep the process.
    let _ = timeout(CLOSE_WITHIN, server.close()).await;
    server.attend(None);
    stopped
}

enum Never {}

async fn accept_all(server: Server, listener: TcpListener) -> Never {
    let connections = loop {
        match Connections::new(server.clone(), &listener) {
            Ok(connections) => break Rc::new(connections),
            Err(_) => sleep(ACCEPT_AGAIN_AFTER).await,
        }
    };
    server.attend(Some(Rc::new(Attends(Rc::clone(&connections)))));
    loop {
        match listener.accept().await {
            Ok((stream, from)) => connections.attend(stream, from),
            Err(_) => sleep(ACCEPT_AGAIN_AFTER).await,
        }
    }
}

/// The signals that ask a process to end.
struct EndSignals([(&'static str, tokio::signal::unix::Signal); 2]);

impl EndSignals {
    fn watch() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self([("SIGTERM", terminate), ("Ctrl-C", signal(SignalKind::interrupt())?)]))
    }

    async fn next(&mut self) -> &'static str {
        poll_fn(|cx| {
            let mut asked = self
                .0
                .iter_mut()
                .filter_map(|(name, signal)| signal.poll_recv(cx).is_ready().then_some(*name));
            asked.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Whether the thread of the server knows that it is to end.
static NOTICED: AtomicBool = AtomicBool::new(false);

/// Ready when the process is asked to end: by SIGTERM or by Ctrl-C. Says which.
///
/// # Errors
/// When the signals cannot be watched. They are, from the moment of this call.
pub fn asked_to_end() -> io::Result<impl Future<Output = &'static str>> {
    let mut signals = EndSignals::watch()?;
    Ok(async move {
        let why = signals.next().await;
        NOTICED.store(true, Ordering::Relaxed);
        why
    })
}

/// Ends the process, with code 0 and after a last word, when it is [asked to end](asked_to_end) and the server's thread
/// does not notice: a script runs there, and whoever waits for it has no reply on the way.
///
/// # Errors
/// When the signals cannot be watched.
pub fn end_if_stuck(last_word: impl Fn(&str) + Send + 'static) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut signals = EndSignals::watch()?;
    drop(entered);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let why = signals.next().await;
            sleep(NOTICES_WITHIN).await;
            if !NOTICED.load(Ordering::Relaxed) {
                last_word(why);
                process::exit(0);
            }
        });
    })?;
    Ok(())
}
