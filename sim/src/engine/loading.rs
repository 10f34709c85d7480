//! A server that reads its data back: it answers `LOADING` to whoever asks for any of it.

use super::{Dialect, Engine, ErrorReply, table::Command};

/// The commands that have nothing to do with the data (the flag `loading` of `COMMAND INFO`).
const ALLOWED: [&str; 20] = [
    "AUTH",
    "CLIENT",
    "COMMAND",
    "CONFIG",
    "DISCARD",
    "EXEC",
    "HELLO",
    "INFO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PUNSUBSCRIBE",
    "QUIT",
    "RESET",
    "SELECT",
    "SHUTDOWN",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WATCH",
];

impl Engine {
    /// Has it answer `LOADING`, or no longer.
    pub fn set_loading(&mut self, is_loading: bool) {
        self.is_loading = is_loading;
    }

    /// What a command is answered while the data are being read.
    pub(super) fn loading(&self, command: &Command) -> Option<ErrorReply> {
        let refused = self.is_loading && !ALLOWED.contains(&command.name);
        refused.then(|| match self.dialect {
            Dialect::Valkey8 => ErrorReply::new("LOADING Valkey is loading the dataset in memory"),
            Dialect::Redis7 => ErrorReply::new("LOADING Redis is loading the dataset in memory"),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        engine::{Dialect, Effects, Engine, Reply, UnixMicros},
        lua::Interpreter,
    };

    #[test]
    fn while_it_loads_nobody_gets_at_the_data() {
        for (dialect, name) in [(Dialect::Valkey8, "Valkey"), (Dialect::Redis7, "Redis")] {
            let mut engine = Engine::new(dialect, Interpreter::default());
            let mut session = engine.connect();
            let mut ask = |engine: &mut Engine, args: &[&[u8]]| {
                engine.execute(&mut session, args, UnixMicros(1), &mut Effects::default())
            };
            engine.set_loading(true);
            let loading = format!("LOADING {name} is loading the dataset in memory");
            for args in [&[&b"GET"[..], b"k"][..], &[b"PING"], &[b"FCALL", b"f", b"0"]] {
                let Reply::Error(error) = ask(&mut engine, args) else { panic!("{args:?} is answered") };
                assert_eq!(error.0, loading);
            }
            assert_eq!(ask(&mut engine, &[b"SELECT", b"0"]), Reply::OK);
            engine.set_loading(false);
            assert_eq!(ask(&mut engine, &[b"SET", b"k", b"v"]), Reply::OK);
        }
    }
}
