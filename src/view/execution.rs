//! An execution: its core, its grant, its lease, its attempts, and the indexes it stands in.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use valkey_sim::engine::value::SortedSet;

use super::{Dependencies, Fields, IndexName, Suspension, View};
use crate::{
    protocol::ExecutionKeys,
    types::{
        AttemptIndex, AttemptState, BlockingReason, Deadline, EligibilityState, ExecutionId, LeaseEpoch,
        LifecyclePhase, OwnershipState, PublicState, TerminalOutcome, TimestampMs,
    },
};

/// An execution in a view.
pub struct Execution<'v> {
    view: &'v View,
    id: ExecutionId,
    keys: Rc<Keys>,
}

/// An execution's keys, and as text those that are read at every step.
struct Keys {
    all: ExecutionKeys,
    core: String,
    claim_grant: String,
    lease_current: String,
    suspension_current: String,
}

/// So many executions are remembered at most.
const REMEMBERED: usize = 256;

thread_local! {
    /// The keys of the executions that this thread looked at: to put them together at every look was a tenth of a run.
    static KEYS: RefCell<BTreeMap<Box<str>, Rc<Keys>>> = RefCell::default();
}

impl Keys {
    fn of(id: &ExecutionId) -> Rc<Self> {
        KEYS.with_borrow_mut(|known| {
            if let Some(keys) = known.get(id.as_str()) {
                return Rc::clone(keys);
            }
            if known.len() == REMEMBERED {
                known.clear();
            }
            let keys = Rc::new(Self::new(ExecutionKeys::of(id)));
            known.insert(id.as_str().into(), Rc::clone(&keys));
            keys
        })
    }

    fn new(all: ExecutionKeys) -> Self {
        let exec = &all.exec;
        Self {
            core: exec.core(),
            claim_grant: exec.claim_grant(),
            lease_current: exec.lease_current(),
            suspension_current: exec.suspension_current(),
            all,
        }
    }
}

/// `core`: the record that decides.
#[derive(Clone, Copy, Debug)]
pub struct Core<'v>(pub Fields<'v>);

/// The seven fields that together say where an execution stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVector {
    /// `lifecycle_phase`.
    pub phase: LifecyclePhase,
    /// `ownership_state`.
    pub ownership: OwnershipState,
    /// `eligibility_state`.
    pub eligibility: EligibilityState,
    /// `blocking_reason`.
    pub blocking: BlockingReason,
    /// `terminal_outcome`.
    pub outcome: TerminalOutcome,
    /// `attempt_state`.
    pub attempt: AttemptState,
    /// `public_state`.
    pub public: PublicState,
}

impl StateVector {
    /// Whether schedulers may offer it.
    pub fn is_eligible(&self) -> bool {
        self.phase == LifecyclePhase::Runnable && self.eligibility == EligibilityState::EligibleNow
    }

    /// Whether a grant of either kind can be issued.
    pub fn is_grantable(&self) -> bool {
        self.is_eligible() || self.phase == LifecyclePhase::Active && self.ownership.is_reclaimable()
    }
}

/// `claim_grant`: permission to claim, resume or reclaim. All three lie under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `created_at`: with its execution, its identity.
    pub created_at: TimestampMs,
    /// `grant_expires_at`: the last millisecond at which it is valid.
    pub expires_at: TimestampMs,
    /// When the key itself goes. A grant without one stays forever.
    pub key_expires_at: Option<TimestampMs>,
    /// `worker_id`.
    pub worker: String,
    /// `worker_instance_id`.
    pub instance: String,
    /// `lane_id`.
    pub lane: String,
}

/// `lease:current`: the right to work on an execution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// `lease_id`.
    pub id: String,
    /// `lease_epoch`.
    pub epoch: LeaseEpoch,
    /// `attempt_id`.
    pub attempt_id: String,
    /// `worker_id`.
    pub worker: String,
    /// `worker_instance_id`.
    pub instance: String,
    /// `expires_at`: the first millisecond at which it is no longer valid.
    pub expires_at: TimestampMs,
}

/// An attempt's record.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'v>(pub Fields<'v>);

impl<'v> Execution<'v> {
    pub(super) fn new(view: &'v View, id: &ExecutionId) -> Self {
        Self { view, id: id.clone(), keys: Keys::of(id) }
    }

    /// The same execution in another view.
    pub fn seen_in<'w>(&self, view: &'w View) -> Execution<'w> {
        Execution { view, id: self.id.clone(), keys: Rc::clone(&self.keys) }
    }

    /// Its id.
    pub fn id(&self) -> &ExecutionId {
        &self.id
    }

    /// The view that it is seen in.
    pub(super) fn view(&self) -> &'v View {
        self.view
    }

    /// Its keys, and those of its partition's indexes.
    pub fn keys(&self) -> &ExecutionKeys {
        &self.keys.all
    }

    /// Its core, if it exists.
    pub fn core(&self) -> Option<Core<'v>> {
        self.view.fields(&self.keys.core).map(Core)
    }

    /// Its state, if it exists.
    pub fn state(&self) -> Option<StateVector> {
        self.core().map(|core| core.state())
    }

    /// Its grant, of whichever kind. One whose key has expired is there until somebody removes it.
    pub fn grant(&self) -> Option<Grant> {
        let key = &self.keys.claim_grant;
        let fields = self.view.fields(key)?;
        Some(Grant {
            created_at: fields.time("created_at").unwrap_or(TimestampMs(0)),
            expires_at: fields.time("grant_expires_at").unwrap_or(TimestampMs(0)),
            key_expires_at: self.view.expires_at(key),
            worker: fields.text("worker_id").to_owned(),
            instance: fields.text("worker_instance_id").to_owned(),
            lane: fields.text("lane_id").to_owned(),
        })
    }

    /// The record of its current lease.
    pub fn lease(&self) -> Option<Lease> {
        let fields = self.view.fields(&self.keys.lease_current)?;
        Some(Lease {
            id: fields.text("lease_id").to_owned(),
            epoch: fields.epoch("lease_epoch").unwrap_or(LeaseEpoch(0)),
            attempt_id: fields.text("attempt_id").to_owned(),
            worker: fields.text("worker_id").to_owned(),
            instance: fields.text("worker_instance_id").to_owned(),
            expires_at: fields.time("expires_at").unwrap_or(TimestampMs(0)),
        })
    }

    /// The fields of the record of its current lease, whatever is left of it.
    pub fn lease_record(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.keys.lease_current)
    }

    /// The fields of its grant, as they are written.
    pub fn grant_record(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.keys.claim_grant)
    }

    /// When its suspension times out, as it is written; empty if it does not.
    pub fn suspension_timeout(&self) -> &'v str {
        let record = self.view.fields(&self.keys.suspension_current);
        record.map(|record| record.text("timeout_at")).unwrap_or_default()
    }

    /// One of its deadlines, as it is stored.
    pub fn deadline(&self, which: Deadline) -> Option<TimestampMs> {
        let index = &self.keys.all.index;
        let indexed = |key: String| self.view.score(&key, self.id.as_str()).map(|ms| TimestampMs(ms as i64));
        match which {
            Deadline::Grant => self.grant().map(|grant| grant.expires_at),
            Deadline::Lease => self.core()?.lease_expires_at(),
            Deadline::Delay => self.core()?.delay_until(),
            Deadline::Suspension => self.suspension_timeout().parse().ok().map(TimestampMs),
            Deadline::Attempt => indexed(index.attempt_timeout()),
            Deadline::Execution => indexed(index.execution_deadline()),
        }
    }

    /// How many attempts its list of attempts has.
    pub fn attempt_count(&self) -> usize {
        self.view.sorted_set(&self.keys.all.exec.attempts()).map_or(0, SortedSet::len)
    }

    /// One of its attempts.
    pub fn attempt(&self, index: AttemptIndex) -> Option<Attempt<'v>> {
        self.view.fields(&self.keys.all.exec.attempt_hash(index)).map(Attempt)
    }

    /// The indexes of its attempts, as its list of attempts has them.
    pub fn attempts(&self) -> Vec<AttemptIndex> {
        let members = self.view.members(&self.keys.all.exec.attempts());
        members.iter().filter_map(|member| member.parse().ok().map(AttemptIndex)).collect()
    }

    /// What it waits for, if it is suspended.
    pub fn suspension(&self) -> Option<Suspension<'v>> {
        self.view.fields(&self.keys.suspension_current).map(Suspension::new)
    }

    /// What it waits for, if it is a member of a flow.
    pub fn dependencies(&self) -> Dependencies<'v> {
        Dependencies::new(self.view, self.seen_in(self.view))
    }

    /// Every index of its partition that it stands in. Looks at all of them: for quiet points and reports.
    pub fn indexes(&self) -> Vec<IndexName> {
        let prefix = format!("ff:idx:{}:", self.keys.all.exec.hash_tag());
        let mine = self.view.keys(&prefix).filter(|key| self.view.contains(key, self.id.as_str()));
        mine.filter_map(IndexName::of_key).collect()
    }

    /// Whether it stands in the index under a key.
    pub fn stands_in(&self, key: &str) -> bool {
        self.view.contains(key, self.id.as_str())
    }
}

impl<'v> Core<'v> {
    /// A field's text; empty where there is none.
    pub fn text(&self, name: &str) -> &'v str {
        self.0.text(name)
    }

    /// `lane_id`.
    pub fn lane(&self) -> &'v str {
        self.text("lane_id")
    }

    /// `current_lease_epoch`: that of the latest lease; 0 before the first.
    pub fn epoch(&self) -> LeaseEpoch {
        self.0.epoch("current_lease_epoch").unwrap_or(LeaseEpoch(0))
    }

    /// `lease_expires_at`.
    pub fn lease_expires_at(&self) -> Option<TimestampMs> {
        self.0.time("lease_expires_at")
    }

    /// The current lease, as the core has it; its record under `lease:current` may be gone.
    pub fn lease(&self) -> Option<Lease> {
        let id = self.text("current_lease_id").to_owned();
        (!id.is_empty()).then(|| Lease {
            id,
            epoch: self.epoch(),
            attempt_id: self.text("current_attempt_id").to_owned(),
            worker: self.text("current_worker_id").to_owned(),
            instance: self.text("current_worker_instance_id").to_owned(),
            expires_at: self.lease_expires_at().unwrap_or(TimestampMs(0)),
        })
    }

    /// `delay_until`.
    pub fn delay_until(&self) -> Option<TimestampMs> {
        self.0.time("delay_until")
    }

    /// `ownership_state`.
    pub fn ownership(&self) -> OwnershipState {
        OwnershipState::from(self.text("ownership_state"))
    }

    /// `current_attempt_index`; none before the first claim.
    pub fn attempt_index(&self) -> Option<AttemptIndex> {
        self.text("current_attempt_index").parse().ok().map(AttemptIndex)
    }

    /// `current_worker_instance_id`: the process that holds, or held, the lease.
    pub fn instance(&self) -> &'v str {
        self.text("current_worker_instance_id")
    }

    /// Whether it is kept with all of FlowFabric's fields. A library of your own may keep fewer, or none of them where a
    /// table tells what its own say; then only what it keeps can be judged.
    pub fn is_whole(&self) -> bool {
        ["retry_count", "blocking_reason"].iter().any(|name| !self.text(name).is_empty())
    }

    /// Whether `lifecycle_phase` is `terminal`.
    pub fn is_terminal(&self) -> bool {
        self.text("lifecycle_phase") == LifecyclePhase::Terminal.as_str()
    }

    /// The seven fields.
    pub fn state(&self) -> StateVector {
        StateVector {
            phase: self.text("lifecycle_phase").into(),
            ownership: self.ownership(),
            eligibility: self.text("eligibility_state").into(),
            blocking: self.text("blocking_reason").into(),
            outcome: self.text("terminal_outcome").into(),
            attempt: self.text("attempt_state").into(),
            public: self.text("public_state").into(),
        }
    }
}

impl Grant {
    /// Whether the server would still show it: a key is gone one millisecond after the one it names.
    pub fn is_visible(&self, now: TimestampMs) -> bool {
        self.key_expires_at.is_none_or(|at| now <= at)
    }
}

impl Lease {
    /// Whether it is valid by the clock: a lease ends at its millisecond, not after it.
    pub fn is_live(&self, now: TimestampMs) -> bool {
        now < self.expires_at
    }
}

impl Attempt<'_> {
    /// `attempt_state`, in the words of an attempt's record.
    pub fn state(&self) -> &str {
        self.0.text("attempt_state")
    }
}
