//! What lasts in a run: grants, leases and states as the server has them, and work as the workers see it.

use std::collections::BTreeMap;

use super::{
    clock::ServerClock,
    model::{Bar, BarSort, Point},
};
use crate::{
    trace::{Event, GrantSeen, Happened, Moment, Step, What, WorkEnd},
    types::{ExecutionName, LeaseEpoch, Node, OwnershipState, Seq, SimTime, TimestampMs},
    view::StateVector,
};

/// Gathers what lasts, moment by moment.
pub(super) struct Bars<'n> {
    nodes: &'n [Node],
    executions: &'n [ExecutionName],
    clock: &'n ServerClock,
    /// Which process a worker's instance is.
    instances: BTreeMap<String, Node>,
    grants: BTreeMap<ExecutionName, Lasting>,
    leases: BTreeMap<ExecutionName, Lasting>,
    states: BTreeMap<ExecutionName, Lasting>,
    work: BTreeMap<(Node, ExecutionName, LeaseEpoch), Lasting>,
    done: Vec<Bar>,
    /// The renewals that went as they should, with the lease they renewed.
    pub renewals: Vec<(Seq, ExecutionName, LeaseEpoch)>,
}

/// A bar that has no end yet.
struct Lasting {
    bar: Bar,
    /// For how long it is good, by the server's clock, and since when in true time.
    until: Option<(SimTime, TimestampMs)>,
}

impl<'n> Bars<'n> {
    pub fn new(nodes: &'n [Node], executions: &'n [ExecutionName], clock: &'n ServerClock) -> Self {
        Self {
            nodes,
            executions,
            clock,
            instances: BTreeMap::new(),
            grants: BTreeMap::new(),
            leases: BTreeMap::new(),
            states: BTreeMap::new(),
            work: BTreeMap::new(),
            done: Vec::new(),
            renewals: Vec::new(),
        }
    }

    /// Learns from the events which process is which instance, so that a grant's bar says whom it is for before that one
    /// has called.
    pub fn learn(&mut self, instance: &str, node: Node) {
        if !instance.is_empty() && matches!(node, Node::Worker(_)) {
            self.instances.insert(instance.to_owned(), node);
        }
    }

    pub fn see(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::Step(step) => self.step(step),
            Moment::Client(event) => self.client(event),
            Moment::Fault(event) if event.what == What::Crashed => {
                let at = point(event);
                let lost: Vec<_> = self.work.keys().filter(|key| key.0 == event.head.node).cloned().collect();
                for key in lost {
                    let work = self.work.remove(&key);
                    self.close(work, at, "crashed");
                }
            }
            Moment::Fault(_) | Moment::Rewound { .. } | Moment::End(_) => {}
        }
    }

    fn client(&mut self, event: &Event) {
        let node = event.head.node;
        match &event.what {
            What::WorkBegan { execution, epoch } => {
                let bar = self.bar(BarSort::Work, execution, point(event), format!("works on {execution}"));
                let bar = Bar { n: self.place(node), epoch: Some(epoch.0), ..bar };
                self.work.insert((node, execution.clone(), *epoch), Lasting { bar, until: None });
            }
            What::WorkEnded { execution, epoch, how } => {
                let how = match how {
                    WorkEnd::Done => "done",
                    WorkEnd::LostLease => "lost its lease",
                    WorkEnd::Reconciled => "done, as it was told",
                    WorkEnd::Vanished => "forgotten",
                };
                let work = self.work.remove(&(node, execution.clone(), *epoch));
                self.close(work, point(event), how);
            }
            _ => {}
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        let at = Point { s: Some(step.head.seq), t: step.head.at.0 };
        let caller = step.call.as_ref().map(|call| call.caller);
        let mut only_renewed = None;
        for change in step.changes() {
            let execution = &change.execution;
            match &change.what {
                Happened::GrantIssued(seen) => self.grant(execution, seen, at),
                Happened::GrantConsumed(_) => self.end_grant(execution, at, "consumed"),
                Happened::GrantExpired(_) => self.end_grant(execution, at, "expired"),
                Happened::GrantDropped(_) => self.end_grant(execution, at, "deleted"),
                Happened::LeaseCreated { lease, .. } => {
                    let old = self.leases.remove(execution);
                    self.close(old, at, "superseded");
                    let holder = caller.or_else(|| self.instances.get(&lease.instance).copied());
                    let label = holder.map_or_else(|| lease.instance.clone(), |node| node.to_string());
                    let bar = self.bar(BarSort::Lease, execution, at, label);
                    let bar = Bar {
                        n: holder.and_then(|node| self.place(node)),
                        epoch: Some(lease.epoch.0),
                        ..bar
                    };
                    let until = Some((step.head.at, lease.expires_at));
                    self.leases.insert(execution.clone(), Lasting { bar, until });
                }
                Happened::LeaseRenewed { epoch, until } => {
                    self.renew(execution, step, *until);
                    only_renewed = Some((execution.clone(), *epoch));
                }
                Happened::LeaseEnded { .. } => {
                    let lease = self.leases.remove(execution);
                    self.close(lease, at, "ended");
                }
                Happened::StateChanged { to, .. } => self.state(execution, to, at),
                _ => {}
            }
        }
        let is_renewal = |what: &Happened| {
            matches!(what, Happened::LeaseRenewed { .. } | Happened::Indexed(_) | Happened::Unindexed(_))
        };
        if let Some((execution, epoch)) = only_renewed
            && step.changes().iter().all(|change| is_renewal(&change.what))
            && let Some(call) = &step.call
            && call.answer.is_ok()
            && call.presented.epoch == epoch.0.to_string()
        {
            self.renewals.push((step.head.seq, execution, epoch));
        }
    }

    fn grant(&mut self, execution: &ExecutionName, seen: &GrantSeen, at: Point) {
        self.end_grant(execution, at, "replaced");
        let GrantSeen { kind, grant } = seen;
        let node = self.instances.get(&grant.instance).copied();
        let whom = node.map_or_else(|| grant.instance.clone(), |node| node.to_string());
        let bar = self.bar(BarSort::Grant, execution, at, format!("{kind} grant for {whom}"));
        let bar = Bar { n: node.and_then(|node| self.place(node)), ..bar };
        // A grant is still good in the millisecond that it names.
        let until = Some((SimTime(at.t), TimestampMs(grant.expires_at.0.saturating_add(1))));
        self.grants.insert(execution.clone(), Lasting { bar, until });
    }

    fn end_grant(&mut self, execution: &ExecutionName, at: Point, how: &str) {
        let grant = self.grants.remove(execution);
        self.close(grant, at, how);
    }

    fn renew(&mut self, execution: &ExecutionName, step: &Step<'_>, expires_at: TimestampMs) {
        let Some(lease) = self.leases.get_mut(execution) else { return };
        if let Some((since, reads)) = lease.until {
            let over = self.clock.at_or_after(reads, since, step.head.at);
            lease.bar.over.extend(over.iter().map(|(from, to)| (from.0, to.0)));
        }
        lease.until = Some((step.head.at, expires_at));
        lease.bar.renewed.push(step.head.seq);
    }

    fn state(&mut self, execution: &ExecutionName, to: &StateVector, at: Point) {
        let mut label = to.public.to_string();
        match to.ownership {
            OwnershipState::LeaseExpiredReclaimable => label += ", lease marked expired",
            OwnershipState::LeaseRevoked => label += ", lease revoked",
            _ => {}
        }
        let old = self.states.remove(execution);
        if let Some(old) = old {
            if old.bar.label == label {
                self.states.insert(execution.clone(), old);
                return;
            }
            self.close(Some(old), at, "");
        }
        let bar = self.bar(BarSort::State, execution, at, label);
        self.states.insert(execution.clone(), Lasting { bar, until: None });
    }

    /// Ends what still lasts when the run is over, and tells all bars in the order of their beginnings.
    pub fn finish(mut self, end: SimTime) -> Vec<Bar> {
        let at = Point { s: None, t: end.0 };
        let maps = [&mut self.grants, &mut self.leases, &mut self.states].map(std::mem::take);
        let lasting = maps.into_iter().flat_map(BTreeMap::into_values);
        let lasting: Vec<Lasting> = lasting.chain(std::mem::take(&mut self.work).into_values()).collect();
        for still in lasting {
            self.close(Some(still), at, "when the run ended");
        }
        self.done.sort_by_key(|bar| (bar.from.t, bar.from.s));
        self.done
    }

    fn close(&mut self, lasting: Option<Lasting>, at: Point, how: &str) {
        let Some(Lasting { mut bar, until }) = lasting else { return };
        if let Some((since, reads)) = until {
            let over = self.clock.at_or_after(reads, since, SimTime(at.t));
            bar.over.extend(over.iter().map(|(from, to)| (from.0, to.0)));
        }
        self.done.push(Bar { to: at, how: how.to_owned(), ..bar });
    }

    fn bar(&self, k: BarSort, execution: &ExecutionName, from: Point, label: String) -> Bar {
        let x = self.executions.iter().position(|known| known == execution).unwrap_or_default();
        let how = String::new();
        Bar { k, x, n: None, from, to: from, label, how, epoch: None, over: Vec::new(), renewed: Vec::new() }
    }

    fn place(&self, node: Node) -> Option<usize> {
        self.nodes.iter().position(|known| *known == node)
    }
}

fn point(event: &Event) -> Point {
    Point { s: Some(event.head.seq), t: event.head.at.0 }
}
