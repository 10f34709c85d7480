//! Transactions: what is queued between `MULTI` and `EXEC`, and what makes it void.

use bytes::Bytes;

use super::{Context, Engine, ErrorReply, Reply, Session, table::Command};

/// A transaction that was begun.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The commands to execute.
    pub queued: Vec<Vec<Bytes>>,
    /// Whether one was refused, so that none will be executed.
    pub void: bool,
}

/// Valkey's answer to what cannot be queued; Redis 7.0 leaves that to the command.
pub const NOT_IN_ONE: ErrorReply = ErrorReply::new("ERR Command not allowed inside a transaction");

/// Whether a command is queued while there is a transaction; the others act at once.
pub fn is_queued(command: &Command) -> bool {
    !matches!(command.name, "EXEC" | "DISCARD" | "MULTI" | "WATCH" | "QUIT" | "RESET")
}

impl Engine {
    /// Keeps a command for `EXEC`: not of a transaction of which nothing will be executed, though that is told of it as well.
    pub(super) fn queue(&self, session: &mut Session, args: &[&[u8]]) -> Reply {
        if let Some(transaction) = &mut session.transaction
            && !transaction.void
            && !self.watches.is_touched(session.id)
        {
            transaction.queued.push(args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect());
        }
        Reply::Status("QUEUED".into())
    }

    /// Answers a command that cannot be executed, or queued: it makes a transaction void, and `EXEC` itself ends it.
    pub(super) fn refuse(
        &mut self,
        session: &mut Session,
        command: Option<&Command>,
        args: &[&[u8]],
        error: ErrorReply,
    ) -> Reply {
        self.stats.count_rejection(command, &error);
        if !self.tracking.is_empty() {
            self.end_tracked(session, command);
        }
        if args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EXEC")) {
            session.transaction = None;
            self.watches.forget(session.id);
            let why = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
            return Reply::Error(format!("EXECABORT Transaction discarded because of: {why}").into());
        }
        if let Some(transaction) = &mut session.transaction {
            transaction.void = true;
        }
        Reply::Error(error)
    }
}

impl Context<'_> {
    /// Executes a queued command and adds what it answers to `replies`.
    pub(super) fn execute_queued(&mut self, args: &[Bytes], replies: &mut Vec<Reply>) {
        let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        let Ok(command) = self.engine.commands.resolve(self.engine.dialect, &args) else { return };
        self.engine.begin(command, self.session, self.now);
        self.engine.show(command, self.session, &args, self.now, false);
        let mut cx = Context {
            engine: self.engine,
            session: self.session,
            args: &args,
            now: self.now,
            effects: self.effects,
            script: None,
        };
        let reply = cx.perform(command).into();
        if let Reply::Error(error) = &reply {
            self.engine.count_failure(command, error);
        }
        if self.engine.config.logs_all {
            self.engine.log_as_slow(command, self.session, &args, self.now, false);
        }
        match reply {
            // Those who subscribe are answered by what would otherwise follow the reply.
            Reply::Nothing => replies.extend(self.session.pushes.drain(..)),
            reply => replies.push(reply),
        }
    }
}
