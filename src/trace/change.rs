//! What a step did, in the protocol's words: read from the keyspace before and after it.
//!
//! It does not matter by which commands a library writes; what counts is what stands there afterwards. Only of a grant that
//! came and went within one call are the effects asked: it is in neither view.

use valkey_sim::engine::Effects;

use super::Step;
use crate::{
    types::{AttemptState, ExecutionId, ExecutionName, GrantKind, LeaseEpoch, TimestampMs, written_time},
    view::{Core, Entity, Execution, Grant, IndexName, Lease, StateVector, keys_of},
};

/// Something that a step did to an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// To which.
    pub execution: ExecutionName,
    /// Its id, to look it up in the views.
    pub id: ExecutionId,
    /// What.
    pub what: Happened,
}

/// A grant, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSeen {
    /// Which function it is meant for.
    pub kind: GrantKind,
    /// The grant.
    pub grant: Grant,
}

/// What happened to an execution.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// It came to be.
    Created {
        /// On this lane, as its core says.
        lane: String,
    },
    /// A grant was written.
    GrantIssued(GrantSeen),
    /// A grant was taken, by a call that made a lease of it.
    GrantConsumed(GrantSeen),
    /// A grant's time was up before anyone took it; seen when the server removed it.
    GrantExpired(GrantSeen),
    /// A grant was deleted before its time, and no lease came of it.
    GrantDropped(GrantSeen),
    /// A lease began.
    LeaseCreated {
        /// The lease.
        lease: Lease,
        /// The grant that lay there when the call began, or that the call itself issued.
        grant: Option<GrantSeen>,
    },
    /// A lease's expiry was moved.
    LeaseRenewed {
        /// Its epoch.
        epoch: LeaseEpoch,
        /// The first millisecond at which it is no longer valid.
        until: TimestampMs,
    },
    /// A lease's record is gone, and no other took its place: its execution ended, or went to wait.
    LeaseEnded {
        /// Its epoch.
        epoch: LeaseEpoch,
    },
    /// Its state changed.
    StateChanged {
        /// What it was; none if it is new.
        from: Option<Box<StateVector>>,
        /// What it is.
        to: Box<StateVector>,
    },
    /// Its core says another lane.
    LaneWritten {
        /// `lane_id` or `current_lane`.
        field: &'static str,
        /// The lane.
        lane: String,
    },
    /// Its core says another epoch.
    EpochWritten(LeaseEpoch),
    /// It entered an index.
    Indexed(IndexName),
    /// It left an index.
    Unindexed(IndexName),
}

impl Happened {
    /// Whether it stands beside the life of a grant or a lease: indexes, and fields that follow from something else.
    pub fn is_beside(&self) -> bool {
        matches!(
            self,
            Happened::LaneWritten { .. }
                | Happened::EpochWritten(_)
                | Happened::Indexed(_)
                | Happened::Unindexed(_)
        )
    }
}

/// All that a step did, execution by execution: creation, grant, lease, then state and indexes, then a lease's end.
pub(super) fn changes(step: &Step<'_>) -> Vec<Change> {
    let mut all = Vec::new();
    if step.touched.is_empty() {
        return all;
    }
    let written = Written::by(step.effects);
    for entity in step.touched {
        let Entity::Execution(id) = entity else { continue };
        let of = Diff::new(step, &written, id);
        let execution = step.names.of(id);
        let change = |what| Change { execution: execution.clone(), id: id.clone(), what };
        all.extend(of.all().into_iter().map(change));
    }
    all
}

/// The keys that a step's effects name, each once. All others are what they were, without a look at them.
struct Written<'s> {
    keys: Vec<&'s str>,
    /// Those of indexes, in the order in which they were first written.
    indexes: Vec<(&'s str, IndexName)>,
}

impl<'s> Written<'s> {
    fn by(effects: &'s Effects) -> Self {
        let mut written = Self { keys: Vec::new(), indexes: Vec::new() };
        for key in effects.iter().flat_map(keys_of).filter_map(|key| std::str::from_utf8(key).ok()) {
            if written.has(key) {
                continue;
            }
            written.keys.push(key);
            written.indexes.extend(IndexName::of_key(key).map(|index| (key, index)));
        }
        written
    }

    fn has(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }
}

/// One execution before and after.
struct Diff<'s> {
    step: &'s Step<'s>,
    written: &'s Written<'s>,
    before: Execution<'s>,
    after: Execution<'s>,
}

impl<'s> Diff<'s> {
    fn new(step: &'s Step<'s>, written: &'s Written<'s>, id: &ExecutionId) -> Self {
        let before = step.before.execution(id);
        Self { step, written, after: before.seen_in(step.after), before }
    }

    fn all(&self) -> Vec<Happened> {
        let mut told = Vec::new();
        let (lease_before, lease_after) = self.leases();
        let is_new = |lease: &Lease| {
            lease_before.as_ref().is_none_or(|old| {
                (&old.id, old.epoch, &old.attempt_id) != (&lease.id, lease.epoch, &lease.attempt_id)
            })
        };
        let created = lease_after.as_ref().filter(|lease| is_new(lease));
        let is_core_written = self.written.has(&self.before.keys().exec.core());
        if is_core_written {
            self.core_created(&mut told);
        }
        let usable = self.grant(created.is_some(), &mut told);
        if let Some(lease) = created {
            told.push(Happened::LeaseCreated { lease: lease.clone(), grant: usable });
        } else if let (Some(old), Some(lease)) = (&lease_before, &lease_after)
            && old.expires_at != lease.expires_at
        {
            told.push(Happened::LeaseRenewed { epoch: lease.epoch, until: lease.expires_at });
        }
        if is_core_written {
            self.core(&mut told);
        }
        self.indexes(&mut told);
        if let (Some(old), None) = (&lease_before, &lease_after) {
            told.push(Happened::LeaseEnded { epoch: old.epoch });
        }
        told
    }

    /// Its lease before and after; none where nothing was written of it.
    fn leases(&self) -> (Option<Lease>, Option<Lease>) {
        if !self.written.has(&self.before.keys().exec.lease_current()) {
            return (None, None);
        }
        (self.before.lease(), self.after.lease())
    }

    fn core_created(&self, told: &mut Vec<Happened>) {
        if let (None, Some(core)) = (self.before.core(), self.after.core()) {
            told.push(Happened::Created { lane: core.lane().to_owned() });
        }
    }

    /// What became of the grant. Answers the one that a lease of this step could have come from.
    fn grant(&self, leased: bool, told: &mut Vec<Happened>) -> Option<GrantSeen> {
        let key = self.before.keys().exec.claim_grant();
        let is_written = self.written.has(&key);
        if !is_written && !leased {
            return None;
        }
        let kind = kind(self.before.core());
        let seen = |grant: Grant| GrantSeen { kind, grant };
        let now = self.step.now;
        let before = self.before.grant();
        if !is_written {
            return before.filter(|grant| grant.is_visible(now)).map(seen);
        }
        let after = self.after.grant();
        let expired = before.clone().filter(|grant| !grant.is_visible(now));
        told.extend(expired.map(|grant| Happened::GrantExpired(seen(grant))));
        let before = before.filter(|grant| grant.is_visible(now));
        match (before, after) {
            (before, Some(after)) => {
                let is_new = before.as_ref().is_none_or(|old| {
                    (old.created_at, &old.worker, &old.instance)
                        != (after.created_at, &after.worker, &after.instance)
                });
                if is_new {
                    told.push(Happened::GrantIssued(seen(after.clone())));
                }
                before.or(Some(after)).map(seen)
            }
            (Some(before), None) => {
                told.push(gone(seen(before.clone()), leased));
                Some(seen(before))
            }
            (None, None) => {
                let grant = within(self.step.effects, &key)?;
                told.push(Happened::GrantIssued(seen(grant.clone())));
                if grant.expires_at <= now && !leased {
                    told.push(Happened::GrantExpired(seen(grant)));
                    return None;
                }
                told.push(gone(seen(grant.clone()), leased));
                Some(seen(grant))
            }
        }
    }

    fn core(&self, told: &mut Vec<Happened>) {
        let (Some(after), before) = (self.after.core(), self.before.core()) else { return };
        let state = after.state();
        let old = before.map(|core| core.state());
        if old.as_ref() != Some(&state) {
            told.push(Happened::StateChanged { from: old.map(Box::new), to: Box::new(state) });
        }
        for field in ["lane_id", "current_lane"] {
            let lane = after.text(field);
            let is_told = before.is_none() && field == "lane_id";
            if !lane.is_empty() && !is_told && before.map(|core| core.text(field)) != Some(lane) {
                told.push(Happened::LaneWritten { field, lane: lane.to_owned() });
            }
        }
        if before.is_some_and(|core| core.epoch() != after.epoch()) {
            told.push(Happened::EpochWritten(after.epoch()));
        }
    }

    fn indexes(&self, told: &mut Vec<Happened>) {
        for (key, index) in &self.written.indexes {
            match (self.before.stands_in(key), self.after.stands_in(key)) {
                (false, true) => told.push(Happened::Indexed(index.clone())),
                (true, false) => told.push(Happened::Unindexed(index.clone())),
                _ => {}
            }
        }
    }
}

fn gone(seen: GrantSeen, leased: bool) -> Happened {
    if leased { Happened::GrantConsumed(seen) } else { Happened::GrantDropped(seen) }
}

/// What a grant is for that lies beside this core.
fn kind(core: Option<Core<'_>>) -> GrantKind {
    let Some(core) = core else { return GrantKind::Claim };
    if core.ownership().is_reclaimable() {
        GrantKind::Reclaim
    } else if core.text("attempt_state") == AttemptState::AttemptInterrupted.as_str() {
        GrantKind::Resume
    } else {
        GrantKind::Claim
    }
}

/// A grant that was written and removed within one step, from its fields as the effects wrote them.
fn within(effects: &Effects, key: &str) -> Option<Grant> {
    let mut grant = None;
    for effect in effects.iter().filter(|effect| effect.key() == key.as_bytes()) {
        if !matches!(effect.name(), b"HSET" | b"HMSET" | b"HSETNX") {
            continue;
        }
        let grant = grant.get_or_insert_with(|| Grant {
            created_at: TimestampMs(0),
            expires_at: TimestampMs(0),
            key_expires_at: None,
            worker: String::new(),
            instance: String::new(),
            lane: String::new(),
        });
        for at in (2..effect.len()).step_by(2) {
            let value = String::from_utf8_lossy(effect.arg(at + 1)).into_owned();
            let time = || written_time(&value).unwrap_or(TimestampMs(0));
            match effect.arg(at) {
                b"created_at" => grant.created_at = time(),
                b"grant_expires_at" => grant.expires_at = time(),
                b"worker_id" => grant.worker = value,
                b"worker_instance_id" => grant.instance = value,
                b"lane_id" => grant.lane = value,
                _ => {}
            }
        }
    }
    grant
}
