//! The server on real sockets, for clients in any language.
//!
//! The engine and the connections are those of the simulation; the sockets and the timers are real. Everything runs
//! on the one thread that polls [`serve`], within a [`LocalSet`](tokio::task::LocalSet) of the real tokio and
//! outside any madsim runtime.

mod clock;

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, task::Poll, time::Duration};

use tokio::io::AsyncWriteExt;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::spawn_local,
    time::{sleep, timeout},
};

pub use clock::{HostClock, MANUAL_START};

use crate::server::Server;

/// How long clients have to take their last replies when the server ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// How long to wait when a connection cannot be accepted: for want of file descriptors, mostly.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Serves whoever connects, until `stop` is ready; then the connections end when their replies are out, and it returns
/// what `stop` gave. A connection that breaks concerns its client only.
pub async fn serve<T>(server: Server, listener: TcpListener, stop: impl Future<Output = T>) -> T {
    let (housekeeper, closing) = (server.clone(), server.clone());
    let housekeeping = spawn_local(async move { housekeeper.housekeeping().await });
    let mut accepting = pin!(accept_all(server, listener));
    let mut stop = pin!(stop);
    let stopped = poll_fn(|cx| {
        if let Poll::Ready(why) = stop.as_mut().poll(cx) {
            return Poll::Ready(why);
        }
        accepting.as_mut().poll(cx).map(|never| match never {})
    })
    .await;
    housekeeping.abort();
    // A client that does not read does not keep the process.
    let _ = timeout(CLOSE_WITHIN, closing.close()).await;
    stopped
}

enum Never {}

async fn accept_all(server: Server, listener: TcpListener) -> Never {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                spawn_local(attend(server.clone(), stream, from));
            }
            Err(_) => sleep(ACCEPT_AGAIN_AFTER).await,
        }
    }
}

/// Serves one client. How it ends is that client's concern, and the client sees it.
async fn attend(server: Server, mut stream: TcpStream, from: SocketAddr) {
    if !server.admits() {
        let _ = stream.write_all(b"-ERR max number of clients reached\r\n").await;
        return;
    }
    let _ = stream.set_nodelay(true);
    let Ok(to) = stream.local_addr() else { return };
    let _ = server.connection_from(stream, from, to).await;
}

/// Ready when the process is asked to end: by SIGTERM or by Ctrl-C. Says which.
///
/// # Errors
/// When the signals cannot be watched. They are, from the moment of this call.
pub fn asked_to_end() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(poll_fn(move |cx| {
        if terminate.poll_recv(cx).is_ready() {
            return Poll::Ready("SIGTERM");
        }
        interrupt.poll_recv(cx).map(|_| "Ctrl-C")
    }))
}
