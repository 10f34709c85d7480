//! What must hold: one promise a file, one catalogue, one pass over the moments of a run.
//!
//! A [`Property`] watches [`Moment`]s and reports what it finds. It looks at the keyspace before and after each step,
//! never at a copy of it, and judges what the server wrote, never what a reply claims. All properties know FlowFabric's
//! vocabulary and none knows a library: the same ones judge the published library and yours.
//!
//! - `state`: promises about one execution or quota at any time between two calls; no memory;
//! - `call`: promises about one call, its arguments, reply and writes; no memory, either;
//! - `history`: promises about what follows what; each remembers what the keyspace no longer tells, and no more;
//! - `liveness`: promises about the end: what must have happened some time after the last fault;
//! - [`reach`]: states that hunts must reach, or they have shown nothing; [`counts`]: what happened, in numbers.
//!
//! A property goes on after a violation, so that a known one never hides a new one. What makes two violations the same is
//! their [`Fingerprint`].
//!
//! ```
//! use grantsim::property::{self, Judge, catalogue};
//!
//! let verdict = Judge::new(catalogue::all()).finish();
//! assert!(verdict.violations.is_empty());
//! // Nothing happened, so nothing was shown either.
//! assert!(property::reach::missing(&verdict.reached).len() > 10);
//! ```

pub mod catalogue;
pub mod contract;
mod counts;
pub mod reach;

mod call;
mod excuse;
mod fingerprint;
mod history;
mod judge;
#[cfg(test)]
mod libraries;
mod liveness;
mod memories;
pub(crate) mod nearest;
mod state;
#[cfg(test)]
pub(crate) mod testing;

pub use catalogue::{UnknownProperty, find};
pub use contract::{Cell, Contract, May, Promise};
pub use counts::Counts;
pub use fingerprint::{Fingerprint, FingerprintError, KindName, PropertyName};
pub use judge::{Found, Judge, Verdict, Violation, judge};
pub use memories::Memories;

use std::hash::Hash;

use valkey_sim::hash::Hash128;

use crate::trace::Moment;

/// A monitor: it watches one run. What it remembers can be copied and hashed, so that whoever walks a tree of runs
/// ([`Memories`]) knows two points of it apart; a monitor that derives `Clone` and `Hash` can do both.
pub trait Property: Remembers + Send + Sync {
    /// Looks at the next moment and reports what it finds.
    ///
    /// It is asked about every moment, whatever it has reported before: the state is what it is, and the next violation is
    /// judged from there. After a [`Moment::Rewound`] the keyspace is an earlier one; what was acknowledged before stays
    /// remembered.
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>);
}

/// What every monitor can do with what it remembers.
pub trait Remembers {
    /// A monitor that remembers the same.
    fn fork(&self) -> Box<dyn Property>;
    /// A hash of what it remembers: of all that its later judgements at moments can depend on, and of nothing else.
    fn key(&self) -> u128;
}

impl<T: Property + Clone + Hash + 'static> Remembers for T {
    fn fork(&self) -> Box<dyn Property> {
        Box::new(self.clone())
    }

    fn key(&self) -> u128 {
        let mut hash = Hash128::default();
        self.hash(&mut hash);
        hash.finish128()
    }
}

/// What is expected of an entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It holds at every moment; a moment at which it does not is a violation.
    Always,
    /// Some run reaches it.
    Sometimes {
        /// Whether a long hunt of the default profile must. What only some libraries can do is not required.
        required: bool,
    },
    /// It holds some time after the last fault, at the latest within the bound of the plan
    /// ([`Plan::settle_ms`](crate::plan::Plan::settle_ms)); a violation if it does not.
    Eventually,
}

/// A property as the catalogue lists it.
#[derive(Debug)]
pub struct Entry {
    /// Its name: in reports, in fingerprints, in `--property`, and in a mutant's `breaks`.
    pub name: &'static str,
    /// The promises of `docs/protocol.md` that it checks, by their numbers there.
    pub numbers: &'static [u8],
    /// What it says, in a sentence.
    pub claim: &'static str,
    /// What is expected of it.
    pub expect: Expect,
    /// The kinds of its violations. States to be reached have none.
    pub kinds: &'static [Kind],
    /// Makes a monitor for one run.
    pub monitor: fn() -> Box<dyn Property>,
}

/// A kind of violation: the last part of a fingerprint. Two bugs that one might mistake for each other differ in kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name: `stale-lease`.
    pub name: &'static str,
    /// What has happened then.
    pub about: &'static str,
}
