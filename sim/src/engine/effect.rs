//! Effects: the writes of one command, as Valkey would propagate them.
//!
//! One stream of them feeds the append-only file, the replicas and the trace. All effects of one command (of
//! one function call, say) are one unit; a crash never keeps half of it. They are rewritten the way Valkey
//! rewrites what it propagates: relative expiries become `PEXPIREAT`, `XADD *` gets its id, a key that expired
//! becomes `UNLINK` (valkey-8) or `DEL` (redis-7), a write that changed nothing is absent. A published message is there,
//! though it changes nothing: replicas are sent it.

use std::borrow::Cow;

/// The effects of one command, in order. Empty for a command that changed nothing.
///
/// ```
/// use valkey_sim::engine::Effects;
/// let mut effects = Effects::default();
/// effects.push(&[b"DEL", b"grant"]);
/// let all: Vec<_> = effects.iter().collect();
/// assert_eq!(all.len(), 1);
/// assert_eq!(all[0].name(), b"DEL");
/// assert_eq!(all[0].arg(1), b"grant");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// All arguments of all effects, end to end: one allocation however many there are.
    bytes: Vec<u8>,
    /// Where each argument ends in `bytes`.
    arg_ends: Vec<usize>,
    /// Where each effect ends in `arg_ends`.
    effect_ends: Vec<usize>,
    /// How many effects there are up to the end of each unit but the last.
    unit_ends: Vec<usize>,
}

/// How much memory is kept from one command to the next.
const KEPT_BYTES: usize = 1 << 20;
/// What a value costs beside its bytes where it is kept: a handle, and the header of its block of memory.
const PER_ARGUMENT: usize = 64;

/// One write: a command name and its arguments.
#[derive(Clone, Copy)]
pub struct Effect<'a> {
    effects: &'a Effects,
    first: usize,
    end: usize,
}

impl Effects {
    /// Adds one write.
    pub fn push(&mut self, args: &[&[u8]]) {
        self.extend(args.iter().copied());
    }

    /// Adds one write from an iterator of its arguments. The name is put in capitals.
    pub fn extend<'b>(&mut self, args: impl IntoIterator<Item = &'b [u8]>) {
        let (name_start, name) = (self.bytes.len(), self.arg_ends.len());
        for arg in args {
            self.bytes.extend_from_slice(arg);
            self.arg_ends.push(self.bytes.len());
        }
        if let Some(&name_end) = self.arg_ends.get(name) {
            self.bytes[name_start..name_end].make_ascii_uppercase();
        }
        self.effect_ends.push(self.arg_ends.len());
    }

    /// Puts one write in the place of the `at`th, before it and all that follow.
    pub fn insert(&mut self, at: usize, args: &[&[u8]]) {
        let mut all = Self::default();
        for effect in self.iter().take(at) {
            all.extend(effect.args());
        }
        all.push(args);
        for effect in self.iter().skip(at) {
            all.extend(effect.args());
        }
        all.unit_ends = self.unit_ends.iter().map(|&end| end + usize::from(end > at)).collect();
        *self = all;
    }

    /// Ends a unit: what was written so far is kept, or lost, without what comes.
    pub fn end_unit(&mut self) {
        self.unit_ends.push(self.effect_ends.len());
    }

    /// The units, in order: mostly one. Before a command that found memory short, every key that was evicted is one.
    ///
    /// ```
    /// use valkey_sim::engine::Effects;
    /// let mut effects = Effects::default();
    /// effects.push(&[b"UNLINK", b"evicted"]);
    /// effects.end_unit();
    /// effects.push(&[b"SET", b"k", b"v"]);
    /// assert_eq!(effects.units().map(|unit| unit.len()).collect::<Vec<_>>(), [1, 1]);
    /// ```
    pub fn units(&self) -> impl Iterator<Item = Cow<'_, Effects>> {
        let ends = self.unit_ends.iter().copied().chain([self.len()]);
        let starts = [0].into_iter().chain(self.unit_ends.iter().copied());
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| {
            if end - start == self.len() {
                return Cow::Borrowed(self);
            }
            let mut unit = Self::default();
            self.iter().take(end).skip(start).for_each(|effect| unit.extend(effect.args()));
            Cow::Owned(unit)
        })
    }

    /// The effects in the order they happened.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Effect<'_>> + Clone {
        (0..self.effect_ends.len()).map(|i| Effect {
            effects: self,
            first: if i == 0 { 0 } else { self.effect_ends[i - 1] },
            end: self.effect_ends[i],
        })
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.effect_ends.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.effect_ends.is_empty()
    }

    /// About how many bytes of memory hold what was written: of each argument its own, and what it costs to keep it apart.
    pub fn weight(&self) -> usize {
        self.bytes.len() + PER_ARGUMENT * self.arg_ends.len()
    }

    /// Forgets all effects and keeps the memory for the next command, unless it is much.
    pub fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
            return;
        }
        self.bytes.clear();
        self.arg_ends.clear();
        self.effect_ends.clear();
        self.unit_ends.clear();
    }
}

impl<'a> Effect<'a> {
    /// The command: `HSET`, `DEL` … in capitals.
    pub fn name(&self) -> &'a [u8] {
        self.arg(0)
    }

    /// The key, for the commands whose first argument is one.
    pub fn key(&self) -> &'a [u8] {
        self.arg(1)
    }

    /// The argument at `index`, the name being 0; empty when there is none.
    pub fn arg(&self, index: usize) -> &'a [u8] {
        let at = self.first + index;
        if at >= self.end {
            return &[];
        }
        let ends = &self.effects.arg_ends;
        let start = if at == 0 { 0 } else { ends[at - 1] };
        &self.effects.bytes[start..ends[at]]
    }

    /// How many arguments, the name included.
    pub fn len(&self) -> usize {
        self.end - self.first
    }

    /// Never true: an effect has at least a name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All arguments, the name first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        (0..self.len()).map(|i| self.arg(i))
    }
}

impl std::fmt::Debug for Effect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.args().map(|a| String::from_utf8_lossy(a).into_owned())).finish()
    }
}
