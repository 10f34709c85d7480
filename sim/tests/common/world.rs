//! A simulated network with a simulated server on it, and redis-rs connected to that over a simulated link.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use madsim::task::spawn_local;
use redis::{RedisConnectionInfo, aio::MultiplexedConnection};
use send_wrapper::SendWrapper;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use valkey_sim::{
    clock::Clock,
    engine::{Dialect, Engine, UnixMicros},
    link::{self, HostId, Latency, Network, NodeTime},
    lua::Interpreter,
    server::Server,
};

/// Where the server is.
pub const SERVER: HostId = HostId(0);

/// A network of this seed, and a server that accepts connections on it.
pub fn serve(seed: u64) -> Network {
    let network = Network::new(seed, Latency { base_us: 500, jitter_us: 300, ..Latency::default() });
    let clock = Clock::starting_at(UnixMicros::from_millis(1_700_000_000_000));
    let engine = Engine::new(Dialect::Valkey8, Interpreter::default());
    let server = Server::new(engine, NodeTime::new(clock, network.clock().clone()), ());
    let listener = network.listen(SERVER);
    spawn_local(async move {
        loop {
            let serving = server.connection(listener.accept().await);
            spawn_local(async move { drop(serving.await) });
        }
    });
    network
}

/// Connects redis-rs from a host to the server.
pub async fn connect(network: &Network, from: HostId) -> MultiplexedConnection {
    let stream = network.connect(from, SERVER).await.expect("the server listens");
    // Its own timeouts look for a tokio runtime, which a simulated node has not.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let info = RedisConnectionInfo::default();
    let stream = OnOneThread(SendWrapper::new(stream));
    let opening = MultiplexedConnection::new_with_config(&info, stream, config);
    let (connection, driver) = opening.await.expect("the server greets");
    spawn_local(driver);
    connection
}

/// redis-rs asks for a stream that may move to another thread. A world has one thread only.
struct OnOneThread(SendWrapper<link::Stream>);

impl AsyncRead for OnOneThread {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for OnOneThread {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
