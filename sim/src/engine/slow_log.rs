//! `SLOWLOG`: the commands that took long. None takes any time here, so it holds all of them or none: all, when
//! `slowlog-log-slower-than` is 0.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Dialect, Engine, Reply, Session, UnixMicros, monitor, table::Command};

/// How many arguments of a command are kept, and how much of each.
const MOST_ARGUMENTS: usize = 32;
const LONGEST_ARGUMENT: usize = 128;

/// The log, newest first.
#[derive(Clone, Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<Entry>,
    last_id: i64,
}

#[derive(Clone, Debug)]
struct Entry {
    id: i64,
    seconds: i64,
    args: Vec<Bytes>,
    address: String,
    name: Bytes,
}

impl SlowLog {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets all entries; their numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The newest entries, as `SLOWLOG GET` answers them.
    pub fn told(&self, count: usize) -> Reply {
        let told = self.entries.iter().take(count).map(|entry| {
            Reply::Array(vec![
                Reply::Int(entry.id),
                Reply::Int(entry.seconds),
                Reply::Int(0),
                Reply::Array(entry.args.iter().cloned().map(Reply::Bulk).collect()),
                Reply::bulk(&entry.address),
                Reply::Bulk(entry.name.clone()),
            ])
        });
        Reply::Array(told.collect())
    }
}

impl Engine {
    /// Notes a command that was executed, by a client or by its script. `EXEC` is not noted, but what it executes.
    #[cold]
    pub(super) fn log_as_slow(
        &mut self,
        command: &Command,
        session: &Session,
        args: &[&[u8]],
        now: UnixMicros,
        in_script: bool,
    ) {
        // What waits is noted when it has its reply.
        if command.name == "EXEC" || session.blocked.is_some() {
            return;
        }
        let nobody = in_script && self.dialect == Dialect::Redis7;
        let (address, name) = match nobody {
            true => ("?:0".to_owned(), Bytes::new()),
            false => (self.addresses(session).0, session.name.clone()),
        };
        let log = &mut self.slow_log;
        let entry = Entry {
            id: log.last_id,
            seconds: (now.0 / 1_000_000) as i64,
            args: shortened(args),
            address,
            name,
        };
        log.last_id += 1;
        log.entries.push_front(entry);
        log.entries.truncate(self.config.number("slowlog-max-len"));
    }
}

fn shortened(args: &[&[u8]]) -> Vec<Bytes> {
    let shown = if args.len() > MOST_ARGUMENTS { MOST_ARGUMENTS - 1 } else { args.len() };
    let mut short: Vec<Bytes> = (0..shown).map(|index| argument(args, index)).collect();
    if shown < args.len() {
        short.push(format!("... ({} more arguments)", args.len() - shown).into());
    }
    short
}

fn argument(args: &[&[u8]], index: usize) -> Bytes {
    if monitor::is_secret(args, index) {
        return Bytes::from_static(b"(redacted)");
    }
    match args[index].split_at_checked(LONGEST_ARGUMENT) {
        Some((beginning, rest)) if !rest.is_empty() => {
            Bytes::from([beginning, format!("... ({} more bytes)", rest.len()).as_bytes()].concat())
        }
        _ => Bytes::copy_from_slice(args[index]),
    }
}
