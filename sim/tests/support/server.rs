//! A server of either kind: two connections, and a clock in the hands of the test.

use valkey_sim::engine::{Reply, UnixMicros};

/// A command: its name and arguments.
pub type Args = Vec<Vec<u8>>;

/// A server with two connections to it, one of which speaks.
pub trait Server {
    /// What it says it is: `redis 7.0.15`, or `the engine (redis-7)`.
    fn name(&self) -> String;

    /// Turns its clock.
    fn set_clock(&mut self, now: UnixMicros);

    /// Has the other connection speak from now on.
    fn switch(&mut self);

    /// Sends commands in one go and returns the replies, as a client decodes them.
    fn send_all(&mut self, commands: &[Args]) -> Vec<Reply>;

    /// Sends one command.
    fn send(&mut self, args: &[impl AsRef<[u8]>]) -> Reply
    where
        Self: Sized,
    {
        let args = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
        self.send_all(&[args]).pop().expect("one reply for one command")
    }

    /// Sends one command over the other connection.
    fn send_over_other(&mut self, args: &[impl AsRef<[u8]>]) -> Reply
    where
        Self: Sized,
    {
        self.switch();
        let reply = self.send(args);
        self.switch();
        reply
    }
}
