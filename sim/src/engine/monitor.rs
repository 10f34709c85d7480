//! `MONITOR`: every command as it is executed, told to those who asked.

use super::{
    Context, Engine, ErrorReply, Reply, Session, UnixMicros,
    table::{Command, Flags},
};

impl Engine {
    /// Tells the monitors of a command, if there are any.
    #[inline]
    pub(super) fn show(
        &mut self,
        command: &Command,
        session: &Session,
        args: &[&[u8]],
        now: UnixMicros,
        in_script: bool,
    ) {
        // `EXEC` is told of after what it executes.
        if !self.clients.monitors.is_empty() && !command.flags.has(Flags::ADMIN) && command.name != "EXEC" {
            self.tell_monitors(session, args, now, in_script);
        }
    }

    fn tell_monitors(&mut self, session: &Session, args: &[&[u8]], now: UnixMicros, in_script: bool) {
        if self.clients.monitors.is_empty() {
            return;
        }
        // The database is the one that is selected once the command has run.
        let database = match args {
            [name, number, ..] if name.eq_ignore_ascii_case(b"SELECT") => {
                super::databases::parse(number).unwrap_or(session.db)
            }
            _ => session.db,
        };
        let (seconds, micros) = (now.0 / 1_000_000, now.0 % 1_000_000);
        let from = if in_script { "lua".to_owned() } else { self.addresses(session).0 };
        let mut line = format!("{seconds}.{micros:06} [{database} {from}]");
        for (index, arg) in args.iter().enumerate() {
            let arg = if is_secret(args, index) { b"(redacted)" } else { *arg };
            line.push_str(" \"");
            line.push_str(&quote(arg));
            line.push('"');
        }
        // Who ends its watch by this command does not see it any more.
        let leaves = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"RESET"));
        for id in self.clients.monitors.iter().filter(|id| !(leaves && **id == session.id)) {
            self.pubsub.send(*id, Reply::Status(line.clone().into()));
        }
    }
}

impl Context<'_> {
    /// Tells the monitors of the `EXEC` that was just done.
    pub(super) fn show_exec(&mut self) {
        self.engine.tell_monitors(self.session, self.args, self.now, false);
    }

    /// Has the connection see what all others do from now on.
    pub(super) fn monitor(&mut self) {
        self.session.is_monitor = true;
        self.engine.clients.monitors.insert(self.session.id);
    }
}

/// Settings that are told to nobody.
const SECRETS: [&[u8]; 5] =
    [b"masteruser", b"masterauth", b"requirepass", b"tls-key-file-pass", b"tls-client-key-file-pass"];

/// Whether an argument is a password, or the user that it is for.
pub(super) fn is_secret(args: &[&[u8]], index: usize) -> bool {
    let is =
        |at: usize, word: &str| args.get(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    if is(0, "AUTH") {
        return index > 0;
    }
    if is(0, "HELLO") {
        return index >= 3 && (is(index - 1, "AUTH") || (index >= 4 && is(index - 2, "AUTH")));
    }
    let is_value = is(0, "CONFIG") && is(1, "SET") && index >= 3 && index % 2 == 1;
    is_value
        && args
            .get(index - 1)
            .is_some_and(|name| SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret)))
}

/// What asks a client that watches with `MONITOR` is refused: it counts as a replica.
pub(super) const IS_REPLICA: ErrorReply = ErrorReply::new("ERR Replica can't interact with the keyspace");

/// As a server prints a string: printable characters as they are, the others escaped.
fn quote(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' | b'"' => text.extend(['\\', char::from(*byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
