//! The connections there are: what `CLIENT LIST` tells one about the others.

use std::collections::BTreeMap;

use super::{Dialect, Protocol, Session};

/// The connected clients by id, as they were when they last changed something about themselves.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    last_id: u64,
    table: BTreeMap<u64, String>,
    killed: Vec<u64>,
}

impl Clients {
    /// Gives out the next id.
    pub fn connect(&mut self) -> Session {
        self.last_id += 1;
        self.table.insert(self.last_id, String::new());
        Session { id: self.last_id, ..Session::default() }
    }

    /// Notes what a client tells about itself.
    pub fn update(&mut self, session: &Session, dialect: Dialect) {
        self.table.insert(session.id, describe(session, dialect, "NULL"));
    }

    /// A client is gone.
    pub fn forget(&mut self, id: u64) {
        self.table.remove(&id);
    }

    /// The line of one client; none if it is not connected.
    pub fn line(&self, id: u64, dialect: Dialect) -> Option<String> {
        let line = self.table.get(&id)?;
        if line.is_empty() {
            return Some(describe(&Session { id, ..Session::default() }, dialect, "NULL"));
        }
        Some(line.clone())
    }

    /// The ids of all clients.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.table.keys().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Asks for a connection to be closed; says whether there is one.
    pub fn kill(&mut self, id: u64) -> bool {
        let known = self.table.contains_key(&id);
        if known {
            self.killed.push(id);
        }
        known
    }

    /// The connections to close since the last call.
    pub fn take_killed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.killed)
    }
}

/// A client's line. What only a real server has (addresses, buffers, ages) is there with the value of an idle client.
pub fn describe(session: &Session, dialect: Dialect, command: &str) -> String {
    let text = String::from_utf8_lossy;
    let subscriptions = session.subscriptions();
    let flags = match (subscriptions > 0, session.transaction.is_some()) {
        (false, false) => "N",
        (false, true) => "x",
        (true, false) => "P",
        (true, true) => "xP",
    };
    let queued = session.transaction.as_ref().map_or(-1, |transaction| transaction.queued.len() as i64);
    let db = session.db;
    let resp = if session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let (capa, watch, lib) = match dialect {
        Dialect::Valkey8 => (
            " capa=",
            " watch=0",
            format!(" lib-name={} lib-ver={}", text(&session.lib_name), text(&session.lib_ver)),
        ),
        Dialect::Redis7 => ("", "", String::new()),
    };
    format!(
        "id={} addr=127.0.0.1:{} laddr=127.0.0.1:6379 fd=8 name={} age=0 idle=0 flags={flags}{capa} db={db} sub={} \
         psub={} ssub=0 multi={queued}{watch} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 \
         omem=0 tot-mem=0 events=r cmd={command} user=default redir=-1 resp={resp}{lib}",
        session.id,
        port(session.id),
        text(&session.name),
        session.channels.len(),
        session.patterns.len(),
    )
}

/// A port for a client to seem to come from: there is no socket to ask.
fn port(id: u64) -> u64 {
    10_000 + id % 50_000
}
