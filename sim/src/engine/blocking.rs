//! Blocked commands: their state and how they resume.

use bytes::Bytes;

use super::{
    Blocked, Context, Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros, UnixMillis, Value,
    WRONG_TYPE, clients::GroupWait, databases, number, unit::Offset,
};

impl Engine {
    /// Has another look for a connection that is blocked, because one of its keys may have changed or its time is up. `None`:
    /// it goes on waiting.
    pub fn resume(&mut self, session: &mut Session, now: UnixMicros, effects: &mut Effects) -> Option<Reply> {
        self.db.now_s = now.seconds();
        if session.postponed > 0 {
            return None;
        }
        let blocked = session.blocked.as_ref()?;
        let is_over = blocked.until.is_some_and(|until| now.millis() >= until);
        if blocked.awaits.is_some() {
            let blocked = session.blocked.take()?;
            // At its last look nothing waits any longer, and answers what there is.
            return self.look_again(session, blocked, is_over, None, now, effects);
        }
        if is_over {
            let blocked = session.blocked.take()?;
            self.clients.forget_wait(session.id);
            if self.config.logs_all && self.dialect == Dialect::Valkey8 {
                let args: Vec<&[u8]> = blocked.args.iter().map(|arg| &arg[..]).collect();
                let command = self.commands.find(args.first().copied().unwrap_or_default())?;
                self.log_as_slow(command, session, &args, now, false);
            }
            return Some(Reply::NullArray);
        }
        let keys = blocked.keys.clone();
        keys.iter().find_map(|key| self.resume_for(session, key, now, effects))
    }

    /// As [`resume`](Self::resume), because this key changed: there is nothing to look for unless something of the right type
    /// is under it now. Valkey, which executes the command once more, has it wait for the end of a pause first.
    pub fn resume_for(
        &mut self,
        session: &mut Session,
        key: &Bytes,
        now: UnixMicros,
        effects: &mut Effects,
    ) -> Option<Reply> {
        self.db.now_s = now.seconds();
        let blocked = session.blocked.as_ref()?;
        let awaited = Awaited::by(blocked.args.first()?)?;
        let db = self.database(session.db);
        let entry = db.and_then(|db| db.get(key).filter(|_| !db.is_expired(key, now.millis())));
        let is_ready = awaited == Awaited::Group
            || entry.is_some_and(|entry| awaited.is(&entry.value) && !entry.is_quiet);
        if session.postponed > 0 || !is_ready || !blocked.keys.contains(key) {
            return None;
        }
        let mut blocked = session.blocked.take()?;
        if self.dialect == Dialect::Valkey8 && self.may_be_paused() {
            let args: Vec<&[u8]> = blocked.args.iter().map(|arg| &arg[..]).collect();
            if self.must_wait(session, &args, now) {
                self.postpone(session, &args);
                self.clients.forget_wait(session.id);
                blocked.until = None;
                session.blocked = Some(blocked);
                return None;
            }
        }
        self.look_again(session, blocked, false, Some(key), now, effects)
    }

    /// The pause is over that a command waited for whose data had come: it is executed as if it had just been sent.
    pub fn go_on_waiting(
        &mut self,
        session: &mut Session,
        now: UnixMicros,
        effects: &mut Effects,
    ) -> Option<Reply> {
        self.db.now_s = now.seconds();
        self.go_on(session);
        let blocked = session.blocked.take()?;
        self.look_again(session, blocked, false, None, now, effects)
    }

    fn look_again(
        &mut self,
        session: &mut Session,
        blocked: Blocked,
        is_over: bool,
        ready: Option<&Bytes>,
        now: UnixMicros,
        effects: &mut Effects,
    ) -> Option<Reply> {
        // Redis 7.0 serves the key that became ready, Valkey executes the command once more.
        let narrowed = match (self.dialect, ready) {
            (Dialect::Redis7, Some(key)) => narrow(&blocked.args, key),
            _ => None,
        };
        let args: Vec<&[u8]> =
            narrowed.as_ref().unwrap_or(&blocked.args).iter().map(|arg| &arg[..]).collect();
        let command = self.commands.find(args.first().copied().unwrap_or_default())?;
        let first = effects.len();
        session.awaited = blocked.awaits;
        session.deny_blocking = is_over;
        self.tracking.is_waking = true;
        let reply = self.run(command, session, &args, now, effects);
        self.tracking.is_waking = false;
        session.deny_blocking = false;
        session.awaited = None;
        self.log_effects(effects, first, now);
        if session.blocked.take().is_some() {
            session.blocked = Some(blocked);
            return None;
        }
        self.clients.forget_wait(session.id);
        if self.config.logs_all {
            self.log_as_slow(command, session, &args, now, false);
        }
        if !self.tracking.is_empty() {
            self.end_tracked(session, Some(command));
        }
        Some(self.as_news(session, &blocked, reply))
    }

    /// The keys that somebody may wait for among those that were just written, each with its database, in the order in which
    /// they were. Of those who wait the database is named, too.
    pub fn ready_keys(&self, effects: &Effects, waiting: &[(u8, &Blocked)]) -> Vec<(u8, Bytes)> {
        let all = || waiting.iter().flat_map(|(db, blocked)| blocked.keys.iter().map(|key| (*db, key)));
        let mut ready: Vec<(u8, Bytes)> = Vec::new();
        let mut note = |db: u8, key: &[u8]| {
            let is_noted = ready.iter().any(|(other, noted)| *other == db && noted == key);
            if let Some((_, key)) = all().find(|(other, awaited)| *other == db && *awaited == key)
                && !is_noted
            {
                ready.push((db, key.clone()));
            }
        };
        let mut database = self.databases.entered();
        for effect in effects.iter() {
            let args: Vec<&[u8]> = effect.args().collect();
            let mut note_all = |is_meant: &dyn Fn(u8) -> bool| {
                all().filter(|(db, _)| is_meant(*db)).for_each(|(db, key)| note(db, key));
            };
            match effect.name() {
                b"SELECT" => database = databases::parse(effect.arg(1)).unwrap_or(database),
                b"FLUSHALL" => note_all(&|_| true),
                b"FLUSHDB" => note_all(&|db| db == database),
                b"SWAPDB" => note_all(&|db| args[1..].iter().any(|arg| databases::parse(arg) == Ok(db))),
                // What adds nothing is no news.
                b"XDEL" | b"XTRIM" | b"XACK" | b"XCLAIM" | b"XSETID" | b"PEXPIREAT" | b"PERSIST" => {}
                b"XGROUP" if !self.is_news_of_group(database, args[1], args[2]) => {}
                b"COPY" => note(databases::target(&args, database), args[2]),
                b"MOVE" => {
                    note(database, args[1]);
                    note(databases::target(&args, database), args[1]);
                }
                b"SORT" => args.iter().skip(1).for_each(|arg| note(database, arg)),
                name => {
                    if name.ends_with(b"STORE") {
                        note(database, effect.arg(1));
                    }
                    let command = self.commands.lookup(self.dialect, &args).ok();
                    let keys = command.and_then(|command| command.keys.of(&args));
                    keys.unwrap_or_default().into_iter().for_each(|key| note(database, key));
                }
            }
        }
        ready
    }

    /// Whether something was done about a group for which those are woken who wait for its stream: it is gone, or the stream is
    /// there only since it is.
    fn is_news_of_group(&self, database: u8, what: &[u8], key: &[u8]) -> bool {
        let is = |word: &[u8]| what.eq_ignore_ascii_case(word);
        is(b"DESTROY") || is(b"CREATE") && self.is_new_stream(database, key)
    }

    /// Whether a stream has nothing but a group.
    fn is_new_stream(&self, database: u8, key: &[u8]) -> bool {
        match self.database(database).and_then(|db| db.get(key)).map(|entry| &entry.value) {
            Some(Value::Stream(stream)) => stream.is_empty() && stream.groups.len() == 1,
            _ => false,
        }
    }

    /// What a client is told that waited for a group, when that is gone: Redis 7.0 has words of its own for it.
    fn as_news(&self, session: &Session, blocked: &Blocked, reply: Reply) -> Reply {
        let is_gone = |error: &ErrorReply| *error == WRONG_TYPE || error.0.starts_with("NOGROUP No such key");
        let is_for_group = blocked.args.first().and_then(|name| Awaited::by(name)) == Some(Awaited::Group);
        if !is_for_group || self.dialect != Dialect::Redis7 || !reply.error().is_some_and(is_gone) {
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

/// What a command waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    List,
    SortedSet,
    Stream,
    /// A stream's group: that it is gone is news, too.
    Group,
}

impl Awaited {
    /// What the command of this name waits for.
    fn by(name: &[u8]) -> Option<Self> {
        Some(match &name.to_ascii_uppercase()[..] {
            b"BLPOP" | b"BRPOP" | b"BLMPOP" | b"BLMOVE" | b"BRPOPLPUSH" => Awaited::List,
            b"BZPOPMIN" | b"BZPOPMAX" | b"BZMPOP" => Awaited::SortedSet,
            b"XREAD" => Awaited::Stream,
            b"XREADGROUP" => Awaited::Group,
            _ => return None,
        })
    }

    fn is(self, value: &Value) -> bool {
        match self {
            Awaited::List => matches!(value, Value::List(_)),
            Awaited::SortedSet => matches!(value, Value::SortedSet(_)),
            Awaited::Stream | Awaited::Group => matches!(value, Value::Stream(_)),
        }
    }
}

/// A command that names several keys as if it named this one only; `None` if there is nothing to be left out.
fn narrow(args: &[Bytes], key: &Bytes) -> Option<Vec<Bytes>> {
    let word = |text: &'static str| Bytes::from_static(text.as_bytes());
    let (first, last) = (args.first()?, args.last()?);
    Some(match &first.to_ascii_uppercase()[..] {
        b"BLPOP" | b"BRPOP" | b"BZPOPMIN" | b"BZPOPMAX" => vec![first.clone(), key.clone(), last.clone()],
        b"BLMPOP" | b"BZMPOP" => {
            let count = usize::try_from(number::read_i64(args.get(2)?)?).ok()?;
            let rest = args.get(3 + count..)?;
            [&[first.clone(), args[1].clone(), word("1"), key.clone()], rest].concat()
        }
        b"XREAD" | b"XREADGROUP" => {
            let streams = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"STREAMS"))?;
            let (options, rest) = args.split_at_checked(streams + 1)?;
            let (keys, ids) = rest.split_at_checked(rest.len() / 2)?;
            let id = ids.get(keys.iter().position(|other| other == key)?)?;
            [options, &[key.clone(), id.clone()]].concat()
        }
        _ => return None,
    })
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
        // A real server gives up when more than the time has passed. Valkey forgets the time of what waited for the end of a
        // pause before: it takes the command for one that waits already.
        let was_postponed = self.engine.clients.released == Some(self.session.id);
        let is_forgotten = was_postponed && self.engine.dialect == Dialect::Valkey8;
        let until = (timeout_ms > 0 && !is_forgotten)
            .then(|| UnixMillis(now.saturating_add_unsigned(timeout_ms).saturating_add(1)));
        self.engine.clients.blocked.insert(self.session.id);
        let stream = match args.first().and_then(|name| Awaited::by(name)) {
            Some(Awaited::Group) => Some(Some(GroupWait { db: self.session.db, keys: keys.clone() })),
            Some(Awaited::Stream) => Some(None),
            _ => None,
        };
        if let Some(wait) = stream {
            self.engine.clients.for_streams.insert(self.session.id, wait);
        }
        self.session.blocked = Some(Blocked { args, until, keys, awaits });
    }

    /// Whether all who wait for this key hear of it when something else takes the place of a stream there: on Valkey where
    /// one of them waits for a group of it, on Redis 7.0 where anybody waits for any stream.
    pub fn is_news_without_a_stream(&self, key: &[u8]) -> bool {
        let waits = &self.engine.clients.for_streams;
        match self.engine.dialect {
            Dialect::Redis7 => !waits.is_empty(),
            Dialect::Valkey8 => waits
                .values()
                .flatten()
                .any(|wait| wait.db == self.session.db && wait.keys.iter().any(|awaited| *awaited == key)),
        }
    }

    /// Redis 7.0 lets no script call some commands that would not wait there.
    pub fn refuse_script(&self) -> Result<(), ErrorReply> {
        if self.script.is_some() && self.engine.dialect == Dialect::Redis7 {
            return Err(ErrorReply::new("ERR This Redis command is not allowed from script"));
        }
        Ok(())
    }
}
