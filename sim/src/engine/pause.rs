//! `CLIENT PAUSE`: commands that have to wait until a time, or until `CLIENT UNPAUSE`.
//!
//! The engine says which commands have to wait; the host keeps them.

use super::{
    Engine, Session, UnixMicros, UnixMillis,
    table::{Command, Flags},
};

/// A pause that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The first millisecond after it.
    pub until: UnixMillis,
    /// Only what writes has to wait.
    pub writes_only: bool,
}

impl Pause {
    /// This pause while an earlier one is in force: the longer and the stricter hold.
    pub fn beside(self, earlier: Pause) -> Self {
        Self { until: self.until.max(earlier.until), writes_only: self.writes_only && earlier.writes_only }
    }
}

impl Engine {
    /// The pause that is in force, if there is one.
    pub fn pause(&self, now: UnixMicros) -> Option<Pause> {
        self.clients.pause.filter(|pause| now.millis() < pause.until)
    }

    /// Whether it is worth asking if a command has to wait: false unless somebody ever asked for a pause.
    #[inline]
    pub fn may_be_paused(&self) -> bool {
        self.clients.pause.is_some()
    }

    /// Whether a command has to wait.
    pub fn must_wait(&self, session: &Session, args: &[&[u8]], now: UnixMicros) -> bool {
        self.pause(now).is_some_and(|pause| !pause.writes_only || self.may_write(session, args))
    }

    fn may_write(&self, session: &Session, args: &[&[u8]]) -> bool {
        let Ok(command) = self.commands.lookup(self.dialect, args) else { return false };
        match &session.transaction {
            Some(transaction) if command.name == "EXEC" => transaction.queued.iter().any(|args| {
                let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                self.commands.lookup(self.dialect, &args).is_ok_and(writes)
            }),
            _ => writes(command),
        }
    }
}

fn writes(command: &'static Command) -> bool {
    command.flags.has(Flags::WRITE)
        || command.flags.has(Flags::MAY_REPLICATE)
        || matches!(command.name, "EVAL" | "EVALSHA" | "FCALL")
}
