//! Blocked commands: their state and how they resume.

use bytes::Bytes;

use super::{
    Blocked, Context, Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros, UnixMillis, Value,
    WRONG_TYPE, unit::Offset,
};

impl Engine {
    /// Has another look for a connection that is blocked, because one of its keys changed or its time is up. `None`: it
    /// goes on waiting.
    pub fn resume(&mut self, session: &mut Session, now: UnixMicros, effects: &mut Effects) -> Option<Reply> {
        let blocked = session.blocked.take()?;
        let args: Vec<&[u8]> = blocked.args.iter().map(|arg| &arg[..]).collect();
        let command = self.commands.find(args.first().copied().unwrap_or_default())?;
        let is_over = blocked.until.is_some_and(|until| now.millis() >= until);
        let first = effects.len();
        session.awaited = blocked.awaits;
        // At its last look nothing waits any longer, and answers what there is.
        session.deny_blocking = is_over;
        let reply = self.run(command, session, &args, now, effects);
        session.deny_blocking = false;
        session.awaited = None;
        self.log_effects(effects, first, now);
        // It is no news to who waits for a sorted set that something else is there now.
        let still_waits = session.blocked.take().is_some()
            || (reply.error() == Some(&WRONG_TYPE) && command.name != "XREADGROUP");
        if still_waits && !is_over {
            session.blocked = Some(blocked);
            return None;
        }
        self.clients.forget_wait(session.id);
        if self.config.logs_all && (!still_waits || self.dialect == Dialect::Valkey8) {
            self.log_as_slow(command, session, &args, now, false);
        }
        Some(if still_waits { Reply::NullArray } else { self.as_news(session, &blocked, reply) })
    }

    /// What a client is told that waited for a group, when that is gone: Redis 7.0 has words of its own for it.
    fn as_news(&self, session: &Session, blocked: &Blocked, reply: Reply) -> Reply {
        let is_gone = |error: &ErrorReply| *error == WRONG_TYPE || error.0.starts_with("NOGROUP No such key");
        if self.dialect != Dialect::Redis7 || !reply.error().is_some_and(is_gone) {
            return reply;
        }
        let entry = |key: &Bytes| self.database(session.db)?.get(key);
        let is_stream = |key: &Bytes| entry(key).is_some_and(|entry| matches!(entry.value, Value::Stream(_)));
        Reply::Error(ErrorReply::new(match blocked.keys.iter().all(is_stream) {
            true => "NOGROUP the consumer group this client was blocked on no longer exists",
            false => "UNBLOCKED the stream key no longer exists",
        }))
    }
}

impl Context<'_> {
    /// Whether a command may wait here: not in a script and not in a transaction.
    pub fn may_block(&self) -> bool {
        self.script.is_none() && !self.session.deny_blocking
    }

    /// Has the command, as it was sent, wait for one of its keys: see [`block`](Self::block).
    pub fn wait(&mut self, timeout_ms: u64, keys: &[&[u8]]) -> Reply {
        let args = self.args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        self.block(args, timeout_ms, keys)
    }

    /// Blocks the connection in `args` for `timeout_ms`; 0: without end. Where nothing may wait, it is as if its time were
    /// up at once.
    pub fn block(&mut self, args: Vec<Bytes>, timeout_ms: u64, keys: &[&[u8]]) -> Reply {
        if !self.may_block() {
            return Reply::NullArray;
        }
        let keys = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
        self.begin_to_wait(args, timeout_ms, keys, None);
        Reply::Nothing
    }

    /// Blocks the connection until replicas have acknowledged an offset, or for `timeout_ms`; 0: without end. To be called
    /// only where it [may](Self::may_block).
    pub fn block_for_replicas(&mut self, offset: Offset, timeout_ms: u64) -> Reply {
        let args = self.args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        self.engine.clients.awaiting.insert(self.session.id);
        self.begin_to_wait(args, timeout_ms, Vec::new(), Some(offset));
        Reply::Nothing
    }

    fn begin_to_wait(&mut self, args: Vec<Bytes>, timeout_ms: u64, keys: Vec<Bytes>, awaits: Option<Offset>) {
        let now = self.now_ms().0;
        let until = (timeout_ms > 0).then(|| UnixMillis(now.saturating_add_unsigned(timeout_ms)));
        self.engine.clients.blocked.insert(self.session.id);
        self.session.blocked = Some(Blocked { args, until, keys, awaits });
    }

    /// Redis 7.0 lets no script call some commands that would not wait there.
    pub fn refuse_script(&self) -> Result<(), ErrorReply> {
        if self.script.is_some() && self.engine.dialect == Dialect::Redis7 {
            return Err(ErrorReply::new("ERR This Redis command is not allowed from script"));
        }
        Ok(())
    }
}
