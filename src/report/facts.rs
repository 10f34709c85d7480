//! What connects the entries of a story: whose leases and grants they are about, which processes took part, what broke.

use crate::{
    trace::{Event, Happened, Step, What},
    types::{ExecutionName, Node, TimestampMs},
    view::Entity,
};

/// A grant by its execution and the time at which it was issued.
pub(super) type GrantKey = (ExecutionName, TimestampMs);

/// What connects an entry with others.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The processes that took part: where it happened, and who called.
    pub nodes: Vec<Node>,
    /// Whether a fault of a process or of the network begins or ends here.
    pub turn: Option<Turn>,
    /// Whether it is what became of one call or message: a fault that hit it, or a reply that never came.
    pub is_mishap: bool,
    /// Whether a call came late, or a second time.
    pub is_late: bool,
    /// How much it says of what became of an execution.
    pub weight: Weight,
    /// Whose keys it touched.
    pub touched: Vec<Entity>,
    /// The executions whose state, grant or lease it changed; that of which it did no more than renew the lease is in
    /// `renewed`.
    pub changed: Vec<ExecutionName>,
    /// The executions whose lease it renewed.
    pub renewed: Vec<ExecutionName>,
    /// The executions that it created.
    pub created: Vec<ExecutionName>,
    /// The lease that its caller presented.
    pub presents: Option<String>,
    /// The leases that were current when it began, of the executions that it names or changes.
    pub held: Vec<String>,
    /// The leases that it made.
    pub leased: Vec<String>,
    /// The grants that it issued.
    pub issued: Vec<GrantKey>,
    /// The grants that it consumed, dropped or removed since they had expired.
    pub used: Vec<GrantKey>,
}

/// How much an entry says by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Weight {
    /// Something changed hands, came, ended or broke.
    Turn,
    /// Work began or ended; a lease was renewed; a call was refused.
    Step,
    /// A message between processes.
    #[default]
    Message,
}

/// A fault of a process or of the network begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub kind: Break,
    pub begins: bool,
}

/// What breaks for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    Crash,
    Pause,
    Partition,
    Clock,
    Server,
}

impl Facts {
    /// The facts of an event that is no step of the server's.
    pub fn of_event(event: &Event) -> Self {
        let turn = |kind, begins| Some(Turn { kind, begins });
        let (turn, nodes) = match &event.what {
            What::Crashed => (turn(Break::Crash, true), vec![event.head.node]),
            What::Restarted => (turn(Break::Crash, false), vec![event.head.node]),
            What::Paused => (turn(Break::Pause, true), vec![event.head.node]),
            What::Resumed => (turn(Break::Pause, false), vec![event.head.node]),
            What::ClockSet { .. } => (turn(Break::Clock, true), vec![event.head.node]),
            What::ServerBroke { .. } => (turn(Break::Server, true), vec![event.head.node]),
            What::ServerMended { .. } => (turn(Break::Server, false), vec![event.head.node]),
            What::Rewound { .. } => (turn(Break::Server, true), vec![event.head.node, Node::FormerValkey]),
            What::PartitionBegan { a, b, .. } => (turn(Break::Partition, true), vec![*a, *b]),
            What::PartitionHealed { a, b } => (turn(Break::Partition, false), vec![*a, *b]),
            _ => (None, vec![event.head.node]),
        };
        let is_mishap =
            matches!(event.what, What::CallFault { .. } | What::MessageFault { .. } | What::ReplyLost { .. });
        let weight = match &event.what {
            What::WorkBegan { .. } | What::WorkEnded { .. } => Weight::Step,
            _ if is_mishap || turn.is_some() => Weight::Turn,
            _ => Weight::Message,
        };
        Self { nodes, turn, is_mishap, weight, ..Self::default() }
    }

    /// The facts of something that the server executed.
    pub fn of_step(step: &Step<'_>, is_late: bool) -> Self {
        let call = step.call.as_ref();
        let mut facts = Self {
            nodes: [Some(step.head.node), call.map(|call| call.caller)].into_iter().flatten().collect(),
            is_late,
            weight: Weight::Step,
            touched: step.touched.to_vec(),
            presents: call.map(|call| call.presented.lease_id.clone()).filter(|id| !id.is_empty()),
            ..Self::default()
        };
        for change in step.changes() {
            facts.add(&change.execution, &change.what);
        }
        let called = call.and_then(|call| call.presented.execution.as_ref());
        for id in step.changes().iter().map(|change| &change.id).chain(called) {
            let execution = step.before.execution(id);
            let lease = execution.lease().or_else(|| execution.core().and_then(|core| core.lease()));
            facts.held.extend(lease.map(|lease| lease.id));
        }
        facts.held.sort();
        facts.held.dedup();
        facts
    }

    fn add(&mut self, execution: &ExecutionName, what: &Happened) {
        let key = |created_at: TimestampMs| (execution.clone(), created_at);
        match what {
            Happened::Created { .. } => self.created.push(execution.clone()),
            Happened::GrantIssued(seen) => self.issued.push(key(seen.grant.created_at)),
            Happened::GrantConsumed(seen) | Happened::GrantExpired(seen) | Happened::GrantDropped(seen) => {
                self.used.push(key(seen.grant.created_at));
            }
            Happened::LeaseCreated { lease, grant } => {
                self.leased.push(lease.id.clone());
                self.used.extend(grant.as_ref().map(|seen| key(seen.grant.created_at)));
            }
            Happened::LeaseRenewed { .. } => {
                self.renewed.push(execution.clone());
                return;
            }
            Happened::LeaseEnded { .. } | Happened::StateChanged { .. } => {}
            Happened::LaneWritten { .. }
            | Happened::EpochWritten(_)
            | Happened::Indexed(_)
            | Happened::Unindexed(_) => return,
        }
        self.changed.push(execution.clone());
        self.weight = Weight::Turn;
    }
}
