//! Faults of a plan: what hits whom, and when.

use std::ops::RangeInclusive;

use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};
use valkey_sim::durability::Fsync;

use super::{Cast, FAULTS_WITHIN_MS, Shape};
use crate::{
    plan::{
        CallRef, Called, Cut, DeedKind, Fate, Fault, Keeps, ODD_ARGUMENTS, Plan, Policy, SYNC_TAKES_US,
        ServerFault, Settings,
    },
    types::{Deadline, ExecutionName, FaultClass, FencePart, Function, Node},
};

/// The calls of a worker whose loss matters. The claim stands for two: most of what can go wrong goes wrong there.
const OF_A_WORKER: [Called; 10] = [
    Called::Claim,
    Called::Claim,
    Called::Function(Function::RenewLease),
    Called::Function(Function::CompleteExecution),
    Called::Function(Function::FailExecution),
    Called::Function(Function::DelayExecution),
    Called::Function(Function::CancelExecution),
    Called::Function(Function::SuspendExecution),
    Called::Function(Function::ClaimResumedExecution),
    Called::Function(Function::ReclaimExecution),
];
/// The calls of a worker that present a fence and end or prolong its lease, or write under it.
const UNDER_A_LEASE: [Function; 8] = [
    Function::RenewLease,
    Function::CompleteExecution,
    Function::FailExecution,
    Function::DelayExecution,
    Function::CancelExecution,
    Function::SuspendExecution,
    Function::MoveToWaitingChildren,
    Function::AppendFrame,
];
const OF_A_SCHEDULER: [Called; 1] = [Called::Function(Function::IssueClaimGrant)];
const OF_THE_SCANNER: [Called; 2] =
    [Called::Function(Function::IssueReclaimGrant), Called::Function(Function::MarkLeaseExpiredIfDue)];

/// The faults of a shape, those that have a time with what that is aimed at.
pub(super) fn faults(cast: &Cast, shape: &Shape) -> BoxedStrategy<Vec<Drawn>> {
    let weighted = shape.weights.drawn().map(|(class, weight)| (weight, aimed(class, cast)));
    let weighted: Vec<_> = weighted.collect();
    if weighted.is_empty() {
        return Just(Vec::new()).boxed();
    }
    vec(Union::new_weighted(weighted), shape.faults.clone()).boxed()
}

/// A fault, and what its time is aimed at.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    fault: Fault,
    aim: Aim,
}

/// What the time of a fault is aimed at: deadlines attract faults.
#[derive(Clone, Debug)]
enum Aim {
    /// Nothing.
    Whenever,
    /// Just when a call was executed, so that a replica, or a disk, may lack that call and nothing else, and a caller its
    /// reply.
    Upon(CallRef, u64),
    /// A deadline that follows from a call, or a millisecond before or after it.
    Deadline(CallRef, Follows, i64),
    /// The end of a sync of the append-only file, or a millisecond before or after it.
    Sync(u64, i64),
}

/// What follows from a call, and when.
#[derive(Clone, Copy, Debug)]
enum Follows {
    /// The grant that it issues expires.
    Grant,
    /// The lease that it makes is over.
    Lease,
    /// The lease that it makes is renewed, for so many a time.
    Renewal(u64),
}

/// Faults of a class with what they are aimed at.
fn aimed(class: FaultClass, cast: &Cast) -> BoxedStrategy<Drawn> {
    let fault = of_class(class, cast).expect("only classes of listed faults have a weight");
    let timed = [FaultClass::Crash, FaultClass::Pause, FaultClass::Partition].contains(&class);
    if !timed && !FaultClass::OF_THE_SERVER.contains(&class) {
        return fault.prop_map(|fault| Drawn { fault, aim: Aim::Whenever }).boxed();
    }
    let upon = (aimed_at(cast), prop_oneof![Just(0u64), 1..=4u64])
        .prop_map(|(call, after_ms)| Aim::Upon(call, after_ms));
    let renewals = prop_oneof![Just(Follows::Renewal(1)), Just(Follows::Renewal(2))];
    let follows = prop_oneof![2 => Just(Follows::Lease), 2 => renewals];
    let claimed =
        (nth(cast, cast.workers(), 6), follows).prop_map(|(nth, follows)| (nth.call(Called::Claim), follows));
    let granted = nth(cast, cast.schedulers.clone(), 10)
        .prop_map(|nth| (nth.call(Called::Function(Function::IssueClaimGrant)), Follows::Grant));
    let deadline = (prop_oneof![2 => claimed, 1 => granted], -1..=1i64)
        .prop_map(|((call, follows), offset_ms)| Aim::Deadline(call, follows, offset_ms));
    let sync = (1..=6u64, -1..=1i64).prop_map(|(second, offset_ms)| Aim::Sync(second, offset_ms));
    let syncs = u32::from(class == FaultClass::LostWrites);
    let aim = prop_oneof![3 => Just(Aim::Whenever), 2 => upon, 2 => deadline, syncs => sync];
    // Mostly it is the caller who suffers.
    (fault, aim, prop::bool::weighted(0.7))
        .prop_map(|(mut fault, aim, is_caller)| {
            let (Aim::Upon(call, _) | Aim::Deadline(call, ..)) = &aim else { return Drawn { fault, aim } };
            match (&mut fault, call.node) {
                (Fault::Crash { node, .. } | Fault::Pause { node, .. }, Some(caller)) if is_caller => {
                    *node = caller;
                }
                (Fault::Partition { a, b, .. }, Some(caller)) if is_caller && *b != caller => *a = caller,
                (Fault::Server { breaks: ServerFault::Failover { clock_ms, .. }, .. }, _) => *clock_ms = 0,
                _ => {}
            }
            Drawn { fault, aim }
        })
        .boxed()
}

/// A call upon which something may break.
fn aimed_at(cast: &Cast) -> impl Strategy<Value = CallRef> + use<> {
    let calls = [
        Called::Claim,
        Called::Function(Function::IssueClaimGrant),
        Called::Function(Function::CompleteExecution),
        Called::Function(Function::RenewLease),
        Called::Function(Function::CreateExecution),
    ];
    (nth(cast, cast.workers(), 6), select(calls.to_vec())).prop_map(|(nth, called)| {
        // Whoever makes such a call.
        let node = match called {
            Called::Function(Function::IssueClaimGrant) => nth.node.map(|_| Node::Scheduler(1)),
            Called::Function(Function::CreateExecution) => nth.node.map(|_| Node::Submitter),
            _ => nth.node,
        };
        Nth { node, ..nth }.call(called)
    })
}

impl Drawn {
    /// The fault, at the time that it is aimed at in a deployment of these settings.
    fn at(self, settings: &Settings) -> Fault {
        let Self { mut fault, aim } = self;
        let (Fault::Crash { at_ms, upon, .. }
        | Fault::Pause { at_ms, upon, .. }
        | Fault::Partition { at_ms, upon, .. }
        | Fault::Server { at_ms, upon, .. }) = &mut fault
        else {
            return fault;
        };
        match aim {
            Aim::Whenever => {}
            Aim::Upon(call, after_ms) => (*at_ms, *upon) = (after_ms, Some(call)),
            Aim::Deadline(call, follows, offset_ms) => {
                let after_ms = match follows {
                    Follows::Grant => settings.grant_ttl_ms,
                    Follows::Lease => settings.lease_ttl_ms,
                    Follows::Renewal(nth) => nth * settings.lease_ttl_ms / 3,
                };
                (*at_ms, *upon) = (after_ms.saturating_add_signed(offset_ms), Some(call));
            }
            Aim::Sync(second, offset_ms) => {
                *at_ms = (1_000 * second + SYNC_TAKES_US / 1_000).saturating_add_signed(offset_ms);
            }
        }
        fault
    }
}

/// What is drawn, as the faults of a deployment of these settings: within the budget, and the server is replaced once at a
/// time.
pub(super) fn within(budget: Budget, drawn: Vec<Drawn>, settings: &Settings) -> Vec<Fault> {
    let faults = drawn.into_iter().map(|drawn| drawn.at(settings)).collect();
    budget.keep(one_at_a_time(faults))
}

/// What a deployment is supposed to survive of each class of faults.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Budget {
    /// How often it strikes in a run.
    pub at_most: usize,
    /// How many of them hold at once; of those that have a time.
    pub at_once: usize,
    /// How long it is quiet between one and the next, milliseconds; of those that have a time.
    pub quiet_ms: u64,
}

impl Budget {
    /// Any number, and all at once.
    pub(in crate::plan) const ANY: Self = Self { at_most: usize::MAX, at_once: usize::MAX, quiet_ms: 0 };

    /// The first faults of a list that are within it.
    fn keep(self, faults: Vec<Fault>) -> Vec<Fault> {
        let mut kept: Vec<Fault> = Vec::new();
        for fault in faults {
            let same = || kept.iter().filter(|other| other.class() == fault.class());
            let beside = |other: &&Fault| match (fault.holds(), other.holds()) {
                (Some(one), Some(other)) => {
                    *one.start() <= other.end().saturating_add(self.quiet_ms)
                        && *other.start() <= one.end().saturating_add(self.quiet_ms)
                }
                _ => false,
            };
            if same().count() < self.at_most && same().filter(beside).count() < self.at_once {
                kept.push(fault);
            }
        }
        kept
    }
}

/// Faults of one class; `None` for clocks, which no list of faults holds.
fn of_class(class: FaultClass, cast: &Cast) -> Option<BoxedStrategy<Fault>> {
    Some(match class {
        FaultClass::Crash => crash(cast).boxed(),
        FaultClass::Pause => pause(cast).boxed(),
        FaultClass::Partition => partition(cast).boxed(),
        FaultClass::LostRequest => call(cast).prop_map(|call| Fault::LoseRequest { call }).boxed(),
        FaultClass::LostReply => call(cast).prop_map(|call| Fault::LoseReply { call }).boxed(),
        FaultClass::LateRequest => {
            (call(cast), 1..=6_000u64).prop_map(|(call, by_ms)| Fault::DelayRequest { call, by_ms }).boxed()
        }
        FaultClass::RepeatedRequest => (call(cast), 1..=6_000u64)
            .prop_map(|(call, after_ms)| Fault::RepeatRequest { call, after_ms })
            .boxed(),
        FaultClass::AtDeadline => at_deadline(cast).boxed(),
        FaultClass::GrantMessage => grant_message(cast).boxed(),
        FaultClass::OtherLane => (hostile_call(cast), select(&["gold", "silver", "bronze", "tin"][..]))
            .prop_map(|(call, lane)| Fault::OtherLane { call, lane: lane.to_owned() })
            .boxed(),
        FaultClass::StaleFence => (fenced_call(cast), prop_oneof![4 => Just(1u32), 1 => 2..=3u32], part())
            .prop_map(|(call, age, part)| Fault::StaleFence { call, age, part })
            .boxed(),
        FaultClass::BadArgument => (hostile_call(cast), 1..=20u32, select(&ODD_ARGUMENTS[..]))
            .prop_map(|(call, argument, value)| Fault::BadArgument {
                call,
                argument,
                value: value.to_owned(),
            })
            .boxed(),
        FaultClass::Restart
        | FaultClass::LostWrites
        | FaultClass::Failover
        | FaultClass::SplitBrain
        | FaultClass::Library
        | FaultClass::OutOfMemory
        | FaultClass::Eviction
        | FaultClass::Slow => of_the_server(class).boxed(),
        FaultClass::Clock => return None,
    })
}

/// What befalls an operator, in some plans: he dies between two calls, a reply of his is lost, a call of his comes late.
pub(super) fn of_the_operator(plan: &Plan) -> impl Strategy<Value = Vec<Fault>> + use<> {
    let functions: Vec<Function> = plan.deeds.iter().map(|deed| deed.does.kind().function()).collect();
    let call = (select(functions), 1..=3u32).prop_map(|(function, nth)| CallRef {
        node: Some(Node::Operator),
        function: Called::Function(function),
        execution: None,
        nth,
    });
    let crash = (0..=FAULTS_WITHIN_MS, 1..=2_000u64).prop_map(|(at_ms, down_ms)| Fault::Crash {
        node: Node::Operator,
        at_ms,
        down_ms: Some(down_ms),
        upon: None,
    });
    let lost = call.clone().prop_map(|call| Fault::LoseReply { call });
    let late = (call.clone(), 1..=3_000u64).prop_map(|(call, by_ms)| Fault::DelayRequest { call, by_ms });
    let at_deadline = (call.clone(), -1..=1i64).prop_map(|(call, offset_ms)| {
        let deadline = deadline_of(&call.function);
        Fault::AtDeadline { call, deadline, offset_ms }
    });
    let repeated = (call, 1..=3_000u64).prop_map(|(call, after_ms)| Fault::RepeatRequest { call, after_ms });
    vec(prop_oneof![2 => crash, 2 => lost, 1 => late, 1 => repeated, 2 => at_deadline], 0..=2)
}

/// The deadline that a call of an operator races with.
fn deadline_of(called: &Called) -> Deadline {
    let Called::Function(function) = called else { return Deadline::Grant };
    match function {
        Function::DeliverSignal | Function::ResumeExecution | Function::ExpireSuspension => {
            Deadline::Suspension
        }
        Function::PromoteDelayed => Deadline::Delay,
        Function::ExpireExecution => Deadline::Attempt,
        Function::IssueGrantAndClaim | Function::ChangePriority | Function::BlockExecutionForAdmission => {
            Deadline::Grant
        }
        _ => Deadline::Lease,
    }
}

/// Faults of callers who send what no caller should.
pub(super) fn hostile(cast: &Cast) -> impl Strategy<Value = Vec<Fault>> + use<> {
    let each = FaultClass::HOSTILE.map(|class| of_class(class, cast).expect("a class of listed faults"));
    vec(Union::new(each), 1..=6)
}

/// A call that may be sent otherwise than it was meant.
fn hostile_call(cast: &Cast) -> impl Strategy<Value = CallRef> + use<> {
    let workers = (nth(cast, cast.workers(), 6), select(&OF_A_WORKER[..]));
    let rest = [Function::IssueClaimGrant, Function::BlockExecutionForAdmission];
    let schedulers = (nth(cast, cast.schedulers.clone(), 6), select(rest.map(Called::Function).to_vec()));
    let scans = [
        Function::MarkLeaseExpiredIfDue,
        Function::PromoteDelayed,
        Function::UnblockExecution,
        Function::IssueReclaimGrant,
    ];
    let scanner = (nth(cast, vec![Node::Scanner], 4), select(scans.map(Called::Function).to_vec()));
    let created = (nth(cast, vec![Node::Submitter], 10), Just(Called::Function(Function::CreateExecution)));
    // Whatever an operator calls, mostly once.
    let kinds: Vec<Called> = DeedKind::ALL.iter().map(|kind| Called::Function(kind.function())).collect();
    let operator = (1..=2u32, select(kinds)).prop_map(|(nth, function)| CallRef {
        node: Some(Node::Operator),
        function,
        execution: None,
        nth,
    });
    let others = prop_oneof![5 => workers, 1 => schedulers, 1 => scanner, 1 => created]
        .prop_map(|(nth, function)| nth.call(function));
    if cast.has_operator { prop_oneof![1 => others, 1 => operator].boxed() } else { others.boxed() }
}

/// A call that presents a fence.
fn fenced_call(cast: &Cast) -> impl Strategy<Value = CallRef> + use<> {
    let fenced = [&UNDER_A_LEASE[..], &[Function::UpdateProgress]].concat();
    (nth(cast, cast.workers(), 3), select(fenced))
        .prop_map(|(nth, function)| nth.call(Called::Function(function)))
}

/// What breaks about the server: mostly while there is something to lose.
fn of_the_server(class: FaultClass) -> impl Strategy<Value = Fault> {
    // Restarted by its supervisor within a second or two; a failover takes about as long.
    let down_ms = || prop_oneof![3 => 20..=900u64, 1 => 900..=4_000u64];
    let while_loading = || prop_oneof![2 => Just(0u64), 1 => 1..=800u64];
    let lag_ms = || prop_oneof![1 => Just(0u64), 3 => 1..=60u64, 3 => 60..=1_500u64, 1 => 1_500..=4_000u64];
    let breaks = match class {
        FaultClass::Restart => {
            let keeps = prop_oneof![3 => Just(Keeps::All), 1 => Just(Keeps::Synced(Fsync::Always))];
            (down_ms(), keeps, while_loading(), prop_oneof![4 => Just(0u64), 1 => 1..=900u64])
                .prop_map(|(down_ms, keeps, loading_ms, without_functions_ms)| ServerFault::Lost {
                    down_ms,
                    keeps,
                    loading_ms,
                    without_functions_ms,
                })
                .boxed()
        }
        FaultClass::LostWrites => {
            let keeps = prop_oneof![
                4 => Just(Keeps::Synced(Fsync::EverySecond)),
                1 => Just(Keeps::Synced(Fsync::No)),
                2 => (0..=3_000u64).prop_map(Keeps::Snapshot),
                1 => Just(Keeps::Nothing),
            ];
            (down_ms(), keeps, while_loading())
                .prop_map(|(down_ms, keeps, loading_ms)| ServerFault::Lost {
                    down_ms,
                    keeps,
                    loading_ms,
                    without_functions_ms: 0,
                })
                .boxed()
        }
        FaultClass::Failover | FaultClass::SplitBrain => {
            let former_ms =
                if class == FaultClass::Failover { Just(0u64).boxed() } else { (50..=3_000u64).boxed() };
            let clock_ms = prop_oneof![2 => Just(0i64), 1 => -3_000..=-1i64, 1 => 1..=3_000i64];
            let demoted_ms = prop_oneof![1 => Just(0u64), 1 => 1..=2_000u64];
            (down_ms(), lag_ms(), clock_ms, former_ms, demoted_ms)
                .prop_map(|(down_ms, lag_ms, clock_ms, former_ms, demoted_ms)| ServerFault::Failover {
                    down_ms,
                    lag_ms,
                    lag_us: 0,
                    clock_ms,
                    former_ms,
                    demoted_ms: if former_ms > 0 { demoted_ms } else { 0 },
                })
                .boxed()
        }
        FaultClass::Library => prop_oneof![
            2 => (1..=2_000u64).prop_map(|for_ms| ServerFault::LibraryGone { for_ms }),
            1 => Just(ServerFault::LibraryReloaded),
            1 => (1..=3_000u64).prop_map(|for_ms| ServerFault::LibraryReplaced { for_ms }),
        ]
        .boxed(),
        FaultClass::OutOfMemory => {
            (1..=2_000u64).prop_map(|for_ms| ServerFault::OutOfMemory { for_ms }).boxed()
        }
        FaultClass::Eviction => {
            let policies = prop_oneof![
                2 => Just(Policy::AllkeysRandom),
                1 => Just(Policy::AllkeysLru),
                1 => Just(Policy::VolatileRandom),
                2 => Just(Policy::VolatileTtl),
            ];
            (prop_oneof![3 => 1..=5u32, 1 => 5..=60u32], policies)
                .prop_map(|(keys, policy)| ServerFault::Evicts { keys, policy })
                .boxed()
        }
        _ => {
            let slow = (1..=3_000u64, prop_oneof![3 => 1..=100u64, 1 => 100..=1_500u64])
                .prop_map(|(for_ms, by_ms)| ServerFault::Slow { for_ms, by_ms });
            let paused = (1..=2_000u64, any::<bool>())
                .prop_map(|(for_ms, writes_only)| ServerFault::ClientsPaused { for_ms, writes_only });
            prop_oneof![2 => slow, 1 => paused].boxed()
        }
    };
    (0..=FAULTS_WITHIN_MS, breaks).prop_map(|(at_ms, breaks)| Fault::Server { at_ms, upon: None, breaks })
}

/// The faults without those that would lose or replace the server while it is away, or being replaced.
fn one_at_a_time(mut faults: Vec<Fault>) -> Vec<Fault> {
    let mut taken: Vec<RangeInclusive<u64>> = Vec::new();
    faults.retain(|fault| {
        let Some(away) = fault.replaces_server() else { return true };
        let is_free = taken.iter().all(|other| away.start() > other.end() || away.end() < other.start());
        taken.extend(is_free.then_some(away));
        is_free
    });
    faults
}

fn crash(cast: &Cast) -> impl Strategy<Value = Fault> + use<> {
    (select(cast.fallible()), 0..=FAULTS_WITHIN_MS, option::weighted(0.8, 1..=4_000u64)).prop_map(
        |(node, at_ms, down_ms)| Fault::Crash { node, at_ms, down_ms: down_ms.or(Some(8_000)), upon: None },
    )
}

fn pause(cast: &Cast) -> impl Strategy<Value = Fault> + use<> {
    (select([cast.fallible(), vec![Node::Valkey]].concat()), 0..=FAULTS_WITHIN_MS, 1..=8_000u64)
        .prop_map(|(node, at_ms, for_ms)| Fault::Pause { node, at_ms, for_ms, upon: None })
}

fn partition(cast: &Cast) -> impl Strategy<Value = Fault> + use<> {
    let cut = prop_oneof![Just(Cut::Both), Just(Cut::AToB), Just(Cut::BToA)];
    let ends = (select(cast.fallible()), select(cast.fallible()), prop::bool::weighted(0.8));
    (ends, 0..=FAULTS_WITHIN_MS, 1..=5_000u64, cut).prop_map(|((a, b, from_server), at_ms, for_ms, cut)| {
        let b = if from_server || a == b { Node::Valkey } else { b };
        Fault::Partition { a, b, at_ms, for_ms, cut, upon: None }
    })
}

/// The whole fence of an older lease, or a part of it, which no caller has by accident.
fn part() -> impl Strategy<Value = FencePart> {
    prop_oneof![
        5 => Just(FencePart::Whole),
        1 => Just(FencePart::Lease),
        1 => Just(FencePart::Epoch),
        1 => Just(FencePart::Attempt),
    ]
}

/// A call that arrives at a deadline of its execution, a millisecond before it, or one after: most are claims at their
/// grant's expiry.
fn at_deadline(cast: &Cast) -> impl Strategy<Value = Fault> + use<> {
    let claim = nth(cast, cast.workers(), 8).prop_map(|nth| (nth.call(Called::Claim), Deadline::Grant));
    let of_a_lease = [&[Function::RenewLease], &UNDER_A_LEASE[..]].concat();
    let of_a_lease = (nth(cast, cast.workers(), 4), select(of_a_lease))
        .prop_map(|(nth, function)| (nth.call(Called::Function(function)), Deadline::Lease));
    let taken_over = [Function::ReclaimExecution, Function::ClaimResumedExecution];
    let taken_over = (nth(cast, cast.workers(), 2), select(taken_over.to_vec()))
        .prop_map(|(nth, function)| (nth.call(Called::Function(function)), Deadline::Grant));
    let late = [Deadline::Attempt, Deadline::Execution];
    let late = (nth(cast, cast.workers(), 4), select(late.to_vec()))
        .prop_map(|(nth, deadline)| (nth.call(Called::Function(Function::CompleteExecution)), deadline));
    let issued = (nth(cast, cast.schedulers.clone(), 10), Just(Called::Function(Function::IssueClaimGrant)))
        .prop_map(|(nth, function)| (nth.call(function), Deadline::Grant));
    let drawn = prop_oneof![8 => claim, 5 => of_a_lease, 2 => taken_over, 1 => late, 1 => issued];
    (drawn, -1..=1i64).prop_map(|((call, deadline), offset_ms)| Fault::AtDeadline {
        call,
        deadline,
        offset_ms,
    })
}

fn grant_message(cast: &Cast) -> impl Strategy<Value = Fault> + use<> {
    let fate = prop_oneof![
        Just(Fate::Drop),
        (1..=5_000u64).prop_map(Fate::Delay),
        (0..=3_000u64).prop_map(Fate::Twice)
    ];
    let senders = cast.schedulers.iter().copied().chain([Node::Scanner]).collect();
    (nth(cast, senders, 12), fate).prop_map(|(Nth { node, execution, nth }, fate)| Fault::GrantMessage {
        from: node,
        execution,
        nth,
        fate,
    })
}

/// A call that a fault may hit: one of those whose loss matters.
fn call(cast: &Cast) -> impl Strategy<Value = CallRef> + use<> {
    let worker = (nth(cast, cast.workers(), 6), select(&OF_A_WORKER[..]));
    let scheduler = (nth(cast, cast.schedulers.clone(), 10), select(&OF_A_SCHEDULER[..]));
    let scanner = (nth(cast, vec![Node::Scanner], 4), select(&OF_THE_SCANNER[..]));
    prop_oneof![6 => worker, 2 => scheduler, 1 => scanner].prop_map(|(nth, function)| nth.call(function))
}

/// The n-th time: of a node, or about an execution.
#[derive(Clone, Debug)]
struct Nth {
    node: Option<Node>,
    execution: Option<ExecutionName>,
    nth: u32,
}

impl Nth {
    fn call(self, function: Called) -> CallRef {
        CallRef { node: self.node, function, execution: self.execution, nth: self.nth }
    }
}

/// Half are the first few times of a node, up to `most`; the other half one of the first three times about an
/// execution, whichever node that is: the third claim of one execution is rarely any node's third.
fn nth(cast: &Cast, nodes: Vec<Node>, most: u32) -> impl Strategy<Value = Nth> + use<> {
    let of_a_node =
        (select(nodes), 1..=most).prop_map(|(node, nth)| Nth { node: Some(node), execution: None, nth });
    let about_an_execution = (select(cast.executions.clone()), 1..=3u32).prop_map(|(name, nth)| Nth {
        node: None,
        execution: Some(name),
        nth,
    });
    prop_oneof![of_a_node, about_an_execution]
}

#[cfg(test)]
mod tests {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    use super::{super::weights, *};
    use crate::plan::Worker;

    #[test]
    fn a_budget_keeps_what_is_within_it() {
        let crash = |at_ms| Fault::Crash { node: Node::Scanner, at_ms, down_ms: Some(100), upon: None };
        let reply = Fault::LoseReply {
            call: CallRef { node: Some(Node::Scanner), function: Called::Claim, execution: None, nth: 1 },
        };
        let faults = vec![crash(0), reply.clone(), crash(50), crash(150), reply.clone(), crash(900)];
        let kept = |at_most, at_once, quiet_ms| Budget { at_most, at_once, quiet_ms }.keep(faults.clone());
        assert_eq!(Budget::ANY.keep(faults.clone()), faults);
        assert_eq!(kept(1, 9, 0), [crash(0), reply.clone()]);
        assert_eq!(kept(9, 1, 0), [crash(0), reply.clone(), crash(150), reply.clone(), crash(900)]);
        assert_eq!(kept(9, 1, 50), [crash(0), reply.clone(), reply.clone(), crash(900)]);
        assert_eq!(kept(9, 2, 50), [crash(0), reply.clone(), crash(50), reply, crash(900)]);
    }

    /// A new class of faults must be drawn, and drawn as what it is.
    #[test]
    fn every_class_that_can_have_a_weight_has_faults_of_that_class() {
        let worker = Worker {
            name: Node::Worker(1),
            worker_id: "w1".to_owned(),
            lanes: vec!["gold".to_owned()],
            capabilities: Vec::new(),
            slots: 1,
            same_instance: false,
        };
        let cast = Cast {
            schedulers: vec![Node::Scheduler(1)],
            workers: vec![worker],
            executions: vec![ExecutionName::nth(1)],
            has_operator: true,
        };
        let mut runner = TestRunner::deterministic();
        for class in weights::classes().chain(FaultClass::HOSTILE) {
            let faults = of_class(class, &cast).expect("a class that can have a weight");
            assert_eq!(faults.new_tree(&mut runner).unwrap().current().class(), class);
        }
        assert!(of_class(FaultClass::Clock, &cast).is_none());
    }
}
