//! The contract: every promise under every class of faults. It must hold, or it may break, and a plan shows how.
//!
//! `fixtures/contract.json` is the table. Where it lists nothing, a promise must hold: whatever breaks it there is a
//! finding of the library, or a false alarm. Where it lists a cell, the plan beside it shows the break, and hunts excuse and
//! count it ([`Verdict::excused`](super::Verdict::excused)). The evidence of what must hold is how often hunts met the class.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use super::{Entry, Fingerprint, PropertyName, catalogue};
use crate::types::FaultClass;

/// The contract of a library.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Of which library.
    pub library: String,
    /// How often hunts met each class of faults without a break of what must hold.
    pub met: BTreeMap<FaultClass, u64>,
    /// The cells in which a promise may break.
    pub may: Vec<May>,
}

/// A promise that may break under a class of faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct May {
    /// The class.
    pub fault: FaultClass,
    /// How it breaks: the promise, and the kind of violation.
    pub fingerprint: Fingerprint,
    /// The plan that shows it: a file of `fixtures/contract`.
    pub plan: String,
    /// Other promises that break by the same cause, which are not shown one by one: whoever contradicts himself and is
    /// believed can spoil all that is stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<PropertyName>,
}

/// A cell of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The promise.
    pub property: &'static str,
    /// The class of faults.
    pub fault: FaultClass,
    /// What is promised.
    pub promise: Promise,
    /// What shows it: in how many faults of the class it held, or the plan that breaks it.
    pub evidence: String,
}

/// What is promised of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// It must hold.
    Must,
    /// It may break.
    May,
}

static TABLE: LazyLock<Contract> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../fixtures/contract.json"))
        .expect("the contract of this build is well formed")
});

static MAY: LazyLock<BTreeSet<(&str, FaultClass)>> =
    LazyLock::new(|| TABLE.may.iter().flat_map(May::cells).collect());

impl May {
    /// The promise.
    pub fn property(&self) -> PropertyName {
        self.fingerprint.property()
    }

    /// The cells that it is about: its own, and those that break by the same cause.
    fn cells(&self) -> impl Iterator<Item = (&'static str, FaultClass)> + '_ {
        let names = [self.property()].into_iter().chain(self.also.iter().copied());
        names.map(|name| (name.as_str(), self.fault))
    }
}

impl Contract {
    /// The contract of the published library.
    ///
    /// # Panics
    /// Never: its file is part of the build, and a test reads it.
    pub fn published() -> &'static Self {
        &TABLE
    }

    /// Every cell, promise by promise.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        catalogue::promises().flat_map(|entry| self.row(entry))
    }

    /// The cells of a promise, in the order of [`FaultClass::ALL`].
    pub fn row(&self, entry: &'static Entry) -> impl Iterator<Item = Cell> + '_ {
        FaultClass::ALL.iter().map(|fault| self.cell(entry.name, *fault))
    }

    fn cell(&self, property: &'static str, fault: FaultClass) -> Cell {
        let of_it = || self.may.iter().filter(|may| may.cells().any(|cell| cell == (property, fault)));
        let shown = of_it().find(|may| may.property().as_str() == property);
        let (promise, evidence) = match (shown, of_it().next(), self.met.get(&fault)) {
            (Some(may), ..) => (Promise::May, format!("fixtures/contract/{}", may.plan)),
            (None, Some(may), _) => {
                (Promise::May, format!("by the same cause as in fixtures/contract/{}", may.plan))
            }
            (None, None, Some(times)) => (Promise::Must, format!("held in {times} faults")),
            (None, None, None) => (Promise::Must, String::new()),
        };
        Cell { property, fault, promise, evidence }
    }
}

/// Whether a promise may break under a class of faults.
pub(super) fn may_break(property: &'static str, fault: FaultClass) -> bool {
    MAY.contains(&(property, fault))
}
