//! `CLIENT PAUSE`: commands that have to wait until a time, or until `CLIENT UNPAUSE`.
//!
//! The engine says which commands have to wait; the host keeps them.

use std::mem;

use bytes::Bytes;

use super::{
    Dialect, Engine, Session, UnixMicros, UnixMillis,
    table::{Command, Flags},
};
use crate::lua::FunctionFlags;

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
        let clients = &self.clients;
        clients.pause.is_some() || !clients.postponed.is_empty() || clients.released.is_some()
    }

    /// Whether a command has to wait. What is refused is refused at once.
    pub fn must_wait(&self, session: &Session, args: &[&[u8]], now: UnixMicros) -> bool {
        let Some(pause) = self.pause(now) else { return false };
        let Ok(command) = self.commands.resolve(self.dialect, args) else { return false };
        self.admit(command, session, args, now).is_ok()
            && (!pause.writes_only || self.may_write(command, session, args))
    }

    fn may_write(&self, command: &Command, session: &Session, args: &[&[u8]]) -> bool {
        match &session.transaction {
            Some(transaction) if command.name == "EXEC" => {
                // A void one executes nothing; Redis 7.0 does not know that yet.
                let is_void = transaction.void || self.watches.is_touched(session.id);
                let writes = |args: &Vec<Bytes>| {
                    let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                    let command = self.commands.resolve(self.dialect, &args);
                    command.is_ok_and(|command| self.may_write_by_itself(command, &args))
                };
                (self.dialect == Dialect::Redis7 || !is_void) && transaction.queued.iter().any(writes)
            }
            _ => self.may_write_by_itself(command, args),
        }
    }

    fn may_write_by_itself(&self, command: &Command, args: &[&[u8]]) -> bool {
        match self.declared_flags(command, args) {
            Some(flags) => !flags.has(FunctionFlags::NO_WRITES),
            None => {
                command.flags.has(Flags::WRITE)
                    || command.flags.has(Flags::MAY_REPLICATE)
                    || matches!(command.name, "EVAL" | "EVALSHA" | "FCALL")
            }
        }
    }

    /// Whether a command reads or may write data.
    pub(super) fn asks_keyspace(&self, command: &Command, args: &[&[u8]]) -> bool {
        command.flags.has(Flags::READONLY) || self.may_write_by_itself(command, args)
    }

    /// A connection's next command waits for the end of the pause: others see that it does.
    pub fn postpone(&mut self, session: &mut Session, args: &[&[u8]]) {
        session.postponed = args.iter().map(|arg| arg.len()).sum::<usize>().max(1);
        if let Ok(command) = self.commands.lookup(self.dialect, args) {
            session.last_command = Some(command.name);
        }
        let postponed = &mut self.clients.postponed;
        let place = if self.clients.going_on == Some(session.id) { 0 } else { postponed.len() };
        postponed.insert(place, session.id);
    }

    /// Whose turn it is to go on after a pause. Should it have to wait once more, within its turn, it does so before those whose
    /// turn has not come: a real server has them look again after it, and wait anew.
    pub fn give_turn(&mut self, id: Option<u64>) {
        self.clients.going_on = id;
    }

    /// The connection that has waited longest for the end of a pause, of those that have not gone on yet.
    pub fn first_postponed(&self) -> Option<u64> {
        self.clients.postponed.first().copied()
    }

    /// Its next command is looked at, and waits no longer if it did.
    pub fn go_on(&mut self, session: &mut Session) {
        let was_postponed = mem::take(&mut session.postponed) > 0;
        self.clients.released = was_postponed.then_some(session.id);
        if was_postponed {
            self.clients.postponed.retain(|id| *id != session.id);
        }
    }
}
