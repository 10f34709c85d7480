//! Commands that wait: what is kept of one, and how it goes on.

use bytes::Bytes;

use super::{Blocked, Context, Effects, Engine, Reply, Session, UnixMicros, UnixMillis, commands};

impl Engine {
    /// Has another look for a connection that is blocked, because one of its keys changed or its time is up. `None`: it
    /// goes on waiting.
    pub fn resume(&mut self, session: &mut Session, now: UnixMicros, effects: &mut Effects) -> Option<Reply> {
        let blocked = session.blocked.take()?;
        self.clients.blocked.remove(&session.id);
        let args: Vec<&[u8]> = blocked.args.iter().map(|arg| &arg[..]).collect();
        let command = commands::find(args.first().copied().unwrap_or_default())?;
        let first = effects.len();
        let reply = self.run(command, session, &args, now, effects);
        self.log_effects(effects, first);
        if session.blocked.take().is_none() {
            return Some(reply);
        }
        if blocked.until.is_some_and(|until| now.millis() >= until) {
            self.clients.blocked.remove(&session.id);
            return Some(Reply::NullArray);
        }
        self.clients.blocked.insert(session.id);
        session.blocked = Some(blocked);
        None
    }
}

impl Context<'_> {
    /// Whether a command may wait here: not in a script and not in a transaction.
    pub fn may_block(&self) -> bool {
        self.script.is_none() && !self.session.deny_blocking
    }

    /// Blocks the connection in `args` for `timeout_ms`; 0: without end.
    pub fn block(&mut self, args: Vec<Bytes>, timeout_ms: u64, keys: &[&[u8]]) -> Reply {
        let now = self.now_ms().0;
        let until = (timeout_ms > 0).then(|| UnixMillis(now.saturating_add_unsigned(timeout_ms)));
        let keys = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
        self.engine.clients.blocked.insert(self.session.id);
        self.session.blocked = Some(Blocked { args, until, keys });
        Reply::Nothing
    }
}
