//! `MONITOR`: every command as it is executed, told to those who asked.

use super::{
    Context, Engine, Reply, Session, UnixMicros,
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
        let is_secret = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"AUTH"));
        let (seconds, micros) = (now.0 / 1_000_000, now.0 % 1_000_000);
        let from = if in_script { "lua".to_owned() } else { self.addresses(session).0 };
        let mut line = format!("{seconds}.{micros:06} [{} {from}]", session.db);
        for (index, arg) in args.iter().enumerate() {
            let arg = if index > 0 && is_secret { b"(redacted)" } else { *arg };
            line.push_str(" \"");
            line.push_str(&quote(arg));
            line.push('"');
        }
        for id in &self.clients.monitors {
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
