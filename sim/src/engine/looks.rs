//! Which keys commands look at, for whoever wants to know what their outcome depends on.

use bytes::Bytes;

use super::{
    Engine,
    table::{Command, Keys},
};

/// The keys that are looked at, while somebody wants to know.
#[derive(Clone, Debug, Default)]
pub(super) enum Looks {
    /// Nobody does.
    #[default]
    Unasked,
    /// These, some more than once.
    Keys(Vec<Bytes>),
    /// A command looked at more than keys that it names.
    All,
}

impl Looks {
    /// A command begins. One without keys looks at whatever it likes, but for those that look at no data.
    #[inline]
    pub fn begin(&mut self, command: &Command) {
        if matches!(self, Self::Keys(_))
            && command.keys == Keys::None
            && !["TIME", "PUBLISH"].contains(&command.name)
        {
            *self = Self::All;
        }
    }

    /// A command looks at a key, to read or to write.
    #[inline]
    pub fn note(&mut self, key: &[u8]) {
        if let Self::Keys(keys) = self {
            keys.push(Bytes::copy_from_slice(key));
        }
    }
}

impl Engine {
    /// From now on, remembers which keys commands look at.
    pub fn begin_looks(&mut self) {
        self.looks = Looks::Keys(Vec::new());
    }

    /// The keys that were looked at since [`begin_looks`](Self::begin_looks), to read or to write, in their order and each once:
    /// the reply and the effects of the same commands at the same time are the same on every keyspace that holds the same
    /// under these, whatever else it holds. None where a command looked at more, as `KEYS` does.
    ///
    /// ```
    /// # use valkey_sim::{engine::{Dialect, Effects, Engine, UnixMicros}, lua::Interpreter};
    /// let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
    /// let (mut session, mut effects) = (engine.connect(), Effects::default());
    /// let mut run = |engine: &mut Engine, args: &[&[u8]]| {
    ///     engine.execute(&mut session, args, UnixMicros::from_millis(1_700_000_000_000), &mut effects);
    /// };
    /// engine.begin_looks();
    /// run(&mut engine, &[b"SET", b"b", b"1"]);
    /// run(&mut engine, &[b"MGET", b"b", b"a"]);
    /// assert_eq!(engine.end_looks().as_deref(), Some(&["a".into(), "b".into()][..]));
    /// engine.begin_looks();
    /// run(&mut engine, &[b"DBSIZE"]);
    /// assert_eq!(engine.end_looks(), None);
    /// ```
    pub fn end_looks(&mut self) -> Option<Vec<Bytes>> {
        match std::mem::take(&mut self.looks) {
            Looks::Keys(mut keys) => {
                keys.sort_unstable();
                keys.dedup();
                Some(keys)
            }
            Looks::Unasked | Looks::All => None,
        }
    }
}
