//! A connection and its two ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::path::Path;
use super::pipe::{Delay, Found, Pipe};
use super::{HostId, SimClock};
use crate::clock::SimTime;

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Two pipes, each named by the side that writes to it.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    clock: SimClock,
    pipes: [Pipe; 2],
    /// The server's host knows of it.
    offered: bool,
}

impl Connection {
    fn outgoing(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side as usize]
    }

    fn incoming(&mut self, side: Side) -> &mut Pipe {
        self.outgoing(side.other())
    }

    fn host(&self, side: Side) -> HostId {
        self.pipes[side as usize].path().from
    }

    /// Whether it runs between these two hosts, either way round.
    pub fn joins(&self, a: HostId, b: HostId) -> bool {
        let ends = (self.host(Side::Client), self.host(Side::Server));
        ends == (a, b) || ends == (b, a)
    }

    /// The process on a host died, and its ends with it.
    pub fn kill(&mut self, host: HostId) {
        for side in [Side::Client, Side::Server] {
            let reached = side == Side::Client || self.offered;
            if self.host(side) == host && reached {
                self.pipes[side as usize].abort(&self.clock);
                self.incoming(side).silence();
            }
        }
    }

    /// Resets both ends.
    pub fn cut(&mut self) {
        self.pipes.iter_mut().for_each(|pipe| pipe.cut(&self.clock));
    }

    /// A path is open again, which was held since an instant.
    pub fn release(&mut self, path: &Rc<Path>, since: SimTime) {
        let held = self.pipes.iter_mut().filter(|pipe| Rc::ptr_eq(pipe.path(), path));
        held.for_each(|pipe| pipe.release(&self.clock, since));
    }

    /// An end was dropped. The end of a killed process is dropped in silence: its kernel said what there was to say.
    fn close(&mut self, side: Side) {
        if !self.incoming(side).is_deaf() {
            self.pipes[side as usize].finish(&self.clock);
            self.incoming(side).silence();
        }
        self.outgoing(side).abandon();
    }
}

/// One end of a connection: what a socket is to a process.
///
/// Writes are under way at once, there is nothing to flush. Dropping it closes it: bytes written before still
/// arrive, then the end. A stream that saw a reset stays broken.
#[derive(Debug)]
pub struct Stream {
    connection: Rc<RefCell<Connection>>,
    side: Side,
}

impl Stream {
    /// Both ends of a connection that nobody knows of yet: the client's, the server's.
    pub(super) fn pair(id: u64, clock: SimClock, to_server: Rc<Path>, to_client: Rc<Path>) -> (Self, Self) {
        let pipes = [Pipe::new(to_server), Pipe::new(to_client)];
        let connection = Rc::new(RefCell::new(Connection { id, clock, pipes, offered: false }));
        (Self { connection: connection.clone(), side: Side::Client }, Self { connection, side: Side::Server })
    }

    pub(super) fn connection(&self) -> &Rc<RefCell<Connection>> {
        &self.connection
    }

    /// The host of this end.
    pub fn host(&self) -> HostId {
        self.connection.borrow().host(self.side)
    }

    /// The host of the other end.
    pub fn peer(&self) -> HostId {
        self.connection.borrow().host(self.side.other())
    }

    /// Names the connection: both ends have the same, and no other connection of the network does.
    pub fn connection_id(&self) -> u64 {
        self.connection.borrow().id
    }

    /// Keeps the bytes written next in the network, and with them all that is written later.
    pub fn delay_next_write(&mut self, delay: Delay) {
        self.connection.borrow_mut().outgoing(self.side).delay_next(delay);
    }

    /// Resets both ends now, partition or not. What is under way is lost, what has landed can still be read.
    pub fn cut(&mut self) {
        self.connection.borrow_mut().cut();
    }

    /// From now on the death of the server's process is noticed.
    pub(super) fn mark_offered(&self) {
        self.connection.borrow_mut().offered = true;
    }

    /// Sends one step of the handshake.
    pub(super) fn greet(&self) {
        let connection = &mut *self.connection.borrow_mut();
        connection.pipes[self.side as usize].greet(&connection.clock);
    }

    /// Waits for the other side's step of the handshake.
    pub(super) async fn greeted(&self) -> io::Result<()> {
        poll_fn(|cx| {
            Poll::Ready(match ready!(self.look(usize::MAX, cx)) {
                Found::Bytes(_) => {
                    self.connection.borrow_mut().incoming(self.side).take_greeting();
                    Ok(())
                }
                Found::End | Found::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            })
        })
        .await
    }

    /// What there is to read; pending if there is nothing.
    fn look(&self, limit: usize, cx: &mut Context<'_>) -> Poll<Found> {
        let connection = &mut *self.connection.borrow_mut();
        let incoming = &mut connection.pipes[self.side.other() as usize];
        incoming.look(&connection.clock, limit, cx.waker())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.look(buf.remaining(), cx)) {
            Found::Bytes(count) => {
                let mut connection = self.connection.borrow_mut();
                connection.incoming(self.side).take(count, |piece| buf.put_slice(piece));
                Poll::Ready(Ok(()))
            }
            Found::End => Poll::Ready(Ok(())),
            Found::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Connection { clock, pipes, .. } = &mut *self.connection.borrow_mut();
        let broken = pipes[self.side.other() as usize].reset_has_landed(clock);
        let outgoing = &mut pipes[self.side as usize];
        if broken || outgoing.is_reset() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if outgoing.is_finished() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        outgoing.write(clock, bytes, cx.waker()).map_or(Poll::Pending, |written| Poll::Ready(Ok(written)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Half-closes: the other end reads what was written, then the end, and may still answer.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Connection { clock, pipes, .. } = &mut *self.connection.borrow_mut();
        pipes[self.side as usize].finish(clock);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.borrow_mut().close(self.side);
    }
}
