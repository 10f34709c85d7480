//! What a server's disk holds: the append-only file, what a power loss leaves of it, and how a server is loaded from it.
//!
//! The file is written as a real one is: each command that was propagated as a request, `SELECT` first, and `MULTI` … `EXEC`
//! around what was one unit. So a crash never leaves half of a function call: a torn end is dropped, as
//! `aof-load-truncated yes` does. A process that is killed has lost nothing that it wrote; a machine that loses its power
//! loses what was not synced, which [`Fsync`] decides. Not here: snapshots (RDB), the
//! rewriting of the file, and that Redis 7.0 has a `SELECT` before its `MULTI`.
//!
//! ```
//! use valkey_sim::{
//!     clock::SimTime,
//!     durability::{AppendOnlyFile, Fsync},
//!     engine::{Dialect, Effects, Engine},
//!     lua::Interpreter,
//! };
//!
//! let mut file = AppendOnlyFile::default();
//! for (ms, key) in [(300, b"a"), (1_200, b"b")] {
//!     let mut effects = Effects::default();
//!     effects.push(&[b"SET", key, b"1"]);
//!     file.append(SimTime::from_millis(ms), &effects);
//! }
//! // The power goes at 1,900 ms: the last sync that was done began at 1,000 ms.
//! let kept = Fsync::EverySecond.kept_until(SimTime::from_millis(1_900), 100_000);
//! file.truncate(kept);
//! let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
//! let loaded = file.load_into(&mut engine)?;
//! // SELECT, and the first SET.
//! assert_eq!((loaded.units, engine.keyspace().len()), (2, 1));
//! # Ok::<(), valkey_sim::durability::LoadError>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::{
    clock::SimTime,
    engine::{
        Dialect, Effects, Engine, UnixMicros,
        unit::{self, is_message},
    },
    resp::RequestDecoder,
};

/// How often a server syncs its file in the background, microseconds.
pub const SYNC_EVERY_US: u64 = 1_000_000;
/// How often a kernel writes back what nobody synced, microseconds.
const WRITE_BACK_EVERY_US: u64 = 30_000_000;

/// `appendfsync`: when what was written is safe from a power loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// Before the reply is sent.
    Always,
    /// Once a second, in the background: up to two seconds are lost.
    #[default]
    #[serde(rename = "everysec")]
    EverySecond,
    /// Whenever the kernel does: up to half a minute is lost.
    No,
}

impl Fsync {
    /// Until when what was written survives a power loss at `at`, where a sync takes `takes_us`: the beginning of the last
    /// sync that was done by then. A server syncs on the seconds of the run.
    pub fn kept_until(self, at: SimTime, takes_us: u64) -> SimTime {
        let last = |every: u64| match at.0.checked_sub(takes_us) {
            Some(done) => SimTime(done / every * every),
            None => SimTime::START,
        };
        match self {
            Fsync::Always => at,
            Fsync::EverySecond => last(SYNC_EVERY_US),
            Fsync::No => last(WRITE_BACK_EVERY_US),
        }
    }
}

/// An append-only file.
#[derive(Clone, Debug, Default)]
pub struct AppendOnlyFile {
    bytes: Vec<u8>,
    /// When each unit was written, and where it ends.
    units: Vec<(SimTime, usize)>,
}

/// What was loaded from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// How many commands, a transaction being one.
    pub units: usize,
    /// How many bytes at the end were no whole unit, and dropped.
    pub torn: usize,
}

/// A file that a server would not start with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is no sequence of requests.
    #[error("the append-only file is broken at byte {at}: {why}; valkey-check-aof --fix cuts it there")]
    Broken {
        /// Where.
        at: usize,
        /// Why.
        why: String,
    },
    /// A command of it is refused.
    #[error(
        "the append-only file cannot be loaded: at byte {at}, {why}; was it written by a server of another dialect?"
    )]
    Refused {
        /// Where.
        at: usize,
        /// Why.
        why: String,
    },
}

impl AppendOnlyFile {
    /// A file of these bytes, all of them written before the run.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        Self { bytes, units: vec![(SimTime::START, end)] }
    }

    /// Adds what one command wrote. A published message is for replicas only.
    pub fn append(&mut self, at: SimTime, effects: &Effects) {
        effects.units().for_each(|unit| self.append_unit(at, &unit));
    }

    fn append_unit(&mut self, at: SimTime, effects: &Effects) {
        if effects.iter().all(|effect| is_message(&effect)) {
            return;
        }
        // The first command says which database it is about; later ones bring a SELECT along where that changes.
        let database = self.bytes.is_empty().then_some(0);
        unit::encode(effects, database, Dialect::Valkey8, |effect| !is_message(effect), &mut self.bytes);
        self.units.push((at, self.bytes.len()));
    }

    /// The file as it is on the disk.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Cuts off what was written after an instant. Answers how many units are lost.
    pub fn truncate(&mut self, kept: SimTime) -> usize {
        let whole = self.units.partition_point(|(at, _)| *at <= kept);
        let lost = self.units.len() - whole;
        self.units.truncate(whole);
        self.bytes.truncate(self.units.last().map_or(0, |(_, end)| *end));
        lost
    }

    /// Does to a fresh engine what the file tells, as a server does that starts. Nothing expires meanwhile.
    ///
    /// # Errors
    /// [`LoadError`]; what came before is done.
    pub fn load_into(&self, engine: &mut Engine) -> Result<Loaded, LoadError> {
        let mut decoder = RequestDecoder::default();
        decoder.buffer().extend_from_slice(&self.bytes);
        let (mut stream, mut own) = (engine.connect(), Effects::default());
        let (mut unit, mut in_one) = (Effects::default(), false);
        // Where the last whole unit ends.
        let (mut units, mut whole) = (0, 0);
        loop {
            let next =
                decoder.next().map(|next| next.map(|args| args.into_iter().map(<[u8]>::to_vec).collect()));
            let at = self.bytes.len() - decoder.buffer().len();
            if !in_one {
                whole = at;
            }
            let args: Vec<Vec<u8>> = match next {
                Ok(Some(args)) => args,
                Ok(None) => break,
                Err(error) => return Err(LoadError::Broken { at, why: error.to_string() }),
            };
            match &args[0].to_ascii_uppercase()[..] {
                b"MULTI" => in_one = true,
                b"EXEC" => in_one = false,
                _ => unit.extend(args.iter().map(Vec::as_slice)),
            }
            if in_one {
                continue;
            }
            own.clear();
            engine
                .apply(&mut stream, &unit, UnixMicros::default(), &mut own)
                .map_err(|error| LoadError::Refused { at: whole, why: error.to_string() })?;
            unit.clear();
            units += 1;
        }
        let loaded = Loaded { units, torn: self.bytes.len() - whole };
        engine.disconnect(&stream);
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lua::Interpreter;

    fn ms(ms: u64) -> SimTime {
        SimTime::from_millis(ms)
    }

    #[test]
    fn a_sync_keeps_what_was_written_before_it_began() {
        for (fsync, at, takes_us, kept) in [
            (Fsync::Always, 1_999, 500_000, 1_999),
            (Fsync::EverySecond, 1_999, 0, 1_000),
            (Fsync::EverySecond, 1_999, 999_000, 1_000),
            (Fsync::EverySecond, 1_998, 999_000, 0),
            (Fsync::EverySecond, 2_000, 1, 1_000),
            (Fsync::EverySecond, 400, 500_000, 0),
            (Fsync::No, 29_999, 0, 0),
            (Fsync::No, 30_001, 0, 30_000),
        ] {
            assert_eq!(fsync.kept_until(ms(at), takes_us), ms(kept), "{fsync:?} at {at}");
        }
    }

    fn unit(commands: &[&[&[u8]]]) -> Effects {
        let mut effects = Effects::default();
        for command in commands {
            effects.push(command);
        }
        effects
    }

    fn loaded(file: &AppendOnlyFile) -> Result<(Loaded, usize), LoadError> {
        let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
        let loaded = file.load_into(&mut engine)?;
        Ok((loaded, engine.keyspace().len()))
    }

    #[test]
    fn a_torn_unit_is_dropped_whole() {
        let mut file = AppendOnlyFile::default();
        file.append(ms(1), &unit(&[&[b"SET", b"a", b"1"]]));
        let first = file.bytes().len();
        file.append(ms(2), &unit(&[&[b"SET", b"b", b"1"], &[b"SET", b"c", b"1"]]));
        for cut in first..file.bytes().len() {
            let torn = AppendOnlyFile::of_bytes(file.bytes()[..cut].to_vec());
            let (loaded, keys) = loaded(&torn).unwrap();
            assert_eq!((keys, loaded.torn), (1, cut - first), "cut at {cut}");
        }
        assert_eq!(loaded(&file), Ok((Loaded { units: 3, torn: 0 }, 3)));
    }

    #[test]
    fn what_was_written_later_is_lost_and_counted() {
        let mut file = AppendOnlyFile::default();
        for at in [10, 20, 30] {
            file.append(ms(at), &unit(&[&[b"INCR", b"n"]]));
        }
        file.append(ms(40), &unit(&[&[b"PUBLISH", b"c", b"m"]]));
        assert_eq!(file.truncate(ms(20)), 1, "a message is not in the file");
        assert_eq!((file.truncate(ms(9)), file.bytes().len()), (2, 0));
    }

    #[test]
    fn a_broken_file_says_where() {
        let broken = AppendOnlyFile::of_bytes(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*x\r\n".to_vec());
        let error = loaded(&broken).unwrap_err();
        assert!(matches!(error, LoadError::Broken { at: 21, .. }), "{error}");
        let refused = AppendOnlyFile::of_bytes(b"*1\r\n$4\r\nMOON\r\n".to_vec());
        assert!(loaded(&refused).unwrap_err().to_string().contains("at byte 0"));
    }

    #[test]
    fn a_restart_keeps_functions_and_what_expires() {
        let mut file = AppendOnlyFile::default();
        let library: &[u8] = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";
        file.append(ms(1), &unit(&[&[b"FUNCTION", b"LOAD", library]]));
        file.append(ms(2), &unit(&[&[b"SET", b"k", b"v", b"PXAT", b"5"]]));
        let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
        file.load_into(&mut engine).unwrap();
        assert_eq!((engine.functions().function_count(), engine.keyspace().len()), (1, 1));
    }
}
