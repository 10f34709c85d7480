//! Writes: which requests are some, and when a server takes none.
//!
//! A call of a function, and of a script that begins with `#!`, is a write unless it declared `no-writes`; so it is refused
//! before it begins. A script that declares nothing is let in, and its first write is refused.

use super::{
    Engine, ErrorReply, Session, UnixMicros,
    replication::Role,
    script_header::ScriptHeader,
    table::{Command, Flags},
};
use crate::lua::FunctionFlags;

/// A write to a replica.
pub static READ_ONLY_REPLICA: ErrorReply =
    ErrorReply::new("READONLY You can't write against a read only replica.");

/// A write to a primary that has too few replicas which keep up.
pub static NOT_ENOUGH_REPLICAS: ErrorReply = ErrorReply::new("NOREPLICAS Not enough good replicas to write.");

impl Engine {
    /// Why it takes no writes from a connection now, if it takes none. What a primary sends is always taken.
    #[inline]
    pub(super) fn refusal_of_writes(
        &self,
        session: &Session,
        now: UnixMicros,
    ) -> Option<&'static ErrorReply> {
        if session.from_primary {
            return None;
        }
        match self.replication().role() {
            Role::Primary => self
                .good_replicas_wanted()
                .is_some_and(|wanted| self.good_replicas(now) < wanted)
                .then_some(&NOT_ENOUGH_REPLICAS),
            Role::Replica { .. } => {
                (self.config.get("replica-read-only") == "yes").then_some(&READ_ONLY_REPLICA)
            }
        }
    }

    /// Whether a request writes, or would at `EXEC`.
    pub(super) fn writes(&self, command: &Command, session: &Session, args: &[&[u8]]) -> bool {
        match (&session.transaction, command.name) {
            (Some(transaction), "EXEC") => transaction.queued.iter().any(|args| {
                let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                let command = self.commands.resolve(self.dialect, &args);
                command.is_ok_and(|command| self.writes_by_itself(command, &args))
            }),
            _ => self.writes_by_itself(command, args),
        }
    }

    fn writes_by_itself(&self, command: &Command, args: &[&[u8]]) -> bool {
        let may_write = |flags: FunctionFlags| !flags.has(FunctionFlags::NO_WRITES);
        command.flags.has(Flags::WRITE) || self.declared_flags(command, args).is_some_and(may_write)
    }

    /// What the script or function that a request calls declared about itself; `None` when it calls none, or one that
    /// declares nothing or is not known.
    pub(super) fn declared_flags(&self, command: &Command, args: &[&[u8]]) -> Option<FunctionFlags> {
        let subject = *args.get(1)?;
        let of_text = |code: &[u8]| ScriptHeader::parse(code).ok().and_then(|header| header.flags);
        match command.name {
            "FCALL" | "FCALL_RO" => self.functions.find(subject).map(|function| function.flags),
            "EVAL" | "EVAL_RO" => of_text(subject),
            "EVALSHA" | "EVALSHA_RO" => {
                let hash = <[u8; 40]>::try_from(subject.to_ascii_lowercase());
                hash.ok().and_then(|hash| of_text(self.functions.scripts.get(&hash)?))
            }
            _ => None,
        }
    }
}
