//! Deeds of a plan: what an operator and other callers do to the executions of a small life that was drawn before.
//!
//! It aims. A deed of an execution waits, half of the time, for the very call after which it is legal and most awkward (a
//! revocation after the claim, a replay after the completion); the others have a time of their own. One in ten is illegal on
//! purpose: it comes when it comes, or it knows an old state, or it names what is not there.

use proptest::{option, prelude::*, sample::select, strategy::Union};

use super::{
    FAULTS_WITHIN_MS,
    families::{Families, Family},
};
use crate::{
    plan::{
        CallRef, Called, Deed, Dimensions, Does, Ending, Execution, GroupPolicy, NOBODY, Overdue, Plan,
        Right, Token, Upstream, Work, is_nobody,
    },
    protocol::{BlockingReason, ResumeTrigger},
    types::{ExecutionName, Function, Label},
};

/// A deed, and when it is likely to be legal.
#[derive(Clone, Debug)]
struct Aim {
    does: Does,
    when: When,
}

/// When a deed is aimed at.
#[derive(Clone, Debug)]
enum When {
    /// With the first things that happen: what others stand on.
    AtOnce,
    /// Right after one of these calls about its execution, the first: what belongs to a whole that others stand on.
    After(Vec<Function>),
    /// Around one of these calls about its execution, or whenever it comes.
    Around(Vec<Function>),
    /// Whenever it comes.
    Anytime,
}

type Aims = BoxedStrategy<Vec<Aim>>;

/// What the families add: each the deeds of a few executions.
pub(super) fn deeds(plan: &Plan, families: &Families) -> BoxedStrategy<Vec<Deed>> {
    let names: Vec<ExecutionName> = plan.executions.iter().map(|execution| execution.name.clone()).collect();
    let hostile = families.has(Family::Hostile);
    let partitions = plan.settings.partitions;
    type Of = fn(&Names) -> Aims;
    let of: [(Family, Of); 6] = [
        (Family::Operator, operator),
        (Family::Streams, streams),
        (Family::Suspension, suspension),
        (Family::Admission, admission),
        (Family::Registry, registry),
        (Family::Timing, timing),
    ];
    let waits = |execution: &&Execution| execution.work.iter().any(Work::suspends);
    let waiting = plan.executions.iter().filter(waits).map(|execution| execution.name.clone()).collect();
    let names = Names { names, waiting, partitions, hostile };
    let mut drawn: Vec<Aims> =
        of.iter().filter(|(family, _)| families.has(*family)).map(|(_, draw)| draw(&names)).collect();
    if families.has(Family::Flows) {
        drawn.push(flows(plan, &names));
    }
    let plain = drawn.into_iter().fold(Just(Vec::new()).boxed(), |all: BoxedStrategy<Vec<Aim>>, more| {
        (all, more).prop_map(|(all, more)| [all, more].concat()).boxed()
    });
    plain.prop_flat_map(move |aims| aims.into_iter().map(timed).collect::<Vec<_>>()).prop_map(named).boxed()
}

/// Deeds by place, as those are called that a file does not name.
fn named(mut deeds: Vec<Deed>) -> Vec<Deed> {
    for (place, deed) in deeds.iter_mut().enumerate() {
        deed.name = Deed::nth(place + 1);
    }
    deeds
}

/// The executions that deeds may be about.
#[derive(Clone, Debug)]
struct Names {
    names: Vec<ExecutionName>,
    /// Those whose work waits for a signal.
    waiting: Vec<ExecutionName>,
    partitions: u16,
    /// Whether one in so many is about an execution that nobody submitted.
    hostile: bool,
}

impl Names {
    /// Those that wait for a signal alone, if there are any.
    fn of_those_that_wait(&self) -> Self {
        let names = if self.waiting.is_empty() { &self.names } else { &self.waiting };
        Self { names: names.clone(), ..self.clone() }
    }

    fn one(&self) -> BoxedStrategy<ExecutionName> {
        let known = select(self.names.clone());
        if !self.hostile {
            return known.boxed();
        }
        let nobody: ExecutionName = format!("{NOBODY}-1").parse().expect("a name");
        prop_oneof![19 => known, 1 => Just(nobody)].boxed()
    }
}

/// When a deed is done: at the worst moment as often as at a quiet one.
fn timed(aim: Aim) -> BoxedStrategy<Deed> {
    let Aim { does, when } = aim;
    let names = does.executions();
    let execution = names.into_iter().next_back().cloned().filter(|name| !is_nobody(name));
    let upon = move |function: Function, nth: u32| {
        let called = match function {
            Function::ClaimExecution => Called::Claim,
            other => Called::Function(other),
        };
        Some(CallRef { node: None, function: called, execution: Some(execution.clone()?), nth })
    };
    let quiet = (0..=FAULTS_WITHIN_MS).prop_map(|at_ms| (at_ms, None));
    let when = match when {
        When::AtOnce => (0..=20u64).prop_map(|at_ms| (at_ms, None)).boxed(),
        When::Anytime => quiet.boxed(),
        When::After(calls) => {
            (select(calls), 0..=5u64).prop_map(move |(function, at_ms)| (at_ms, upon(function, 1))).boxed()
        }
        When::Around(calls) => {
            let offset = prop_oneof![3 => Just(0u64), 2 => 1..=5u64, 2 => 5..=300u64, 1 => 300..=2_000u64];
            let nth = prop_oneof![4 => Just(1u32), 1 => 2..=3u32];
            let cue = (select(calls), nth, offset)
                .prop_map(move |(function, nth, at_ms)| (at_ms, upon(function, nth)));
            prop_oneof![3 => cue, 2 => quiet].boxed()
        }
    };
    let stale = prop_oneof![17 => Just(0u64), 2 => 1..=50u64, 1 => 200..=2_500u64];
    let again = prop_oneof![1 => Just(0u64), 1 => 1..=3u64];
    (when, stale, again)
        .prop_map(move |((at_ms, upon), stale_ms, again)| Deed {
            name: Label::from(""),
            at_ms,
            upon,
            stale_ms,
            again,
            does: does.clone(),
        })
        .boxed()
}

/// So many of these.
fn some(of: impl Strategy<Value = Aim> + 'static, most: usize) -> Aims {
    prop::collection::vec(of, 1..=most).boxed()
}

/// A deed around these calls, or whenever it comes where there are none.
fn aim(does: BoxedStrategy<Does>, calls: &[Function]) -> BoxedStrategy<Aim> {
    let when = if calls.is_empty() { When::Anytime } else { When::Around(calls.to_vec()) };
    does.prop_map(move |does| Aim { does, when: when.clone() }).boxed()
}

fn at_once(does: Does) -> Aim {
    Aim { does, when: When::AtOnce }
}

fn after(does: Does, calls: &[Function]) -> Aim {
    Aim { does, when: When::After(calls.to_vec()) }
}

/// Deeds of one execution: the name first, then what else there is to draw.
fn about<T: std::fmt::Debug + 'static>(
    names: &Names,
    more: impl Strategy<Value = T> + 'static,
    does: fn(ExecutionName, T) -> Does,
) -> BoxedStrategy<Does> {
    (names.one(), more).prop_map(move |(name, more)| does(name, more)).boxed()
}

const GRANTABLE: [Function; 3] =
    [Function::CreateExecution, Function::IssueClaimGrant, Function::UnblockExecution];
/// After these an attempt that was interrupted may be taken up again.
const INTERRUPTED: [Function; 7] = [
    Function::CreateExecution,
    Function::IssueClaimGrant,
    Function::UnblockExecution,
    Function::DeliverSignal,
    Function::ResumeExecution,
    Function::DelayExecution,
    Function::PromoteDelayed,
];
const RUNNING: [Function; 2] = [Function::ClaimExecution, Function::RenewLease];
const DELAYED: [Function; 3] = [Function::CreateExecution, Function::DelayExecution, Function::FailExecution];
const ENDED: [Function; 4] = [
    Function::CompleteExecution,
    Function::FailExecution,
    Function::CancelExecution,
    Function::ExpireExecution,
];
const ANY: [Function; 5] = [
    Function::CreateExecution,
    Function::IssueClaimGrant,
    Function::ClaimExecution,
    Function::CompleteExecution,
    Function::MarkLeaseExpiredIfDue,
];

fn operator(names: &Names) -> Aims {
    let right = select(Right::ALL);
    let ends = prop_oneof![
        4 => Just(Ending::Complete),
        1 => Just(Ending::Fail),
        1 => Just(Ending::Cancel),
        1 => (1..=500u64).prop_map(Ending::Delay),
        1 => Just(Ending::Vanish),
    ];
    let claim = (prop_oneof![Just(1u64), 20..=300u64, 300..=3_000u64], 0..=800u64, ends);
    let one = Union::new_weighted(vec![
        (4, aim(about(names, right, |execution, right| Does::Cancel { execution, right }), &ANY)),
        (4, aim(about(names, any::<bool>(), |execution, named| Does::Revoke { execution, named }), &RUNNING)),
        (2, aim(about(names, Just(()), |execution, ()| Does::Complete { execution }), &RUNNING)),
        (
            2,
            aim(
                about(names, 0..=2u8, |execution, max_retries| Does::Fail { execution, max_retries }),
                &RUNNING,
            ),
        ),
        (2, aim(about(names, 0..=900u64, |execution, by_ms| Does::Delay { execution, by_ms }), &RUNNING)),
        (4, aim(about(names, Just(()), |execution, ()| Does::Replay { execution }), &ENDED)),
        (
            2,
            aim(
                about(names, select(Overdue::ALL), |execution, reason| Does::Expire { execution, reason }),
                &ANY,
            ),
        ),
        (
            3,
            aim(
                about(names, priority(), |execution, priority| Does::ChangePriority { execution, priority }),
                &GRANTABLE,
            ),
        ),
        (
            3,
            aim(
                about(names, claim, |execution, (lease_ttl_ms, takes_ms, ends)| Does::GrantAndClaim {
                    execution,
                    lease_ttl_ms,
                    takes_ms,
                    ends,
                }),
                &INTERRUPTED,
            ),
        ),
        (1, aim(Just(Does::Version {}).boxed(), &[])),
    ]);
    some(one, 8)
}

fn priority() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 0..=9_000i32, 1 => Just(9_001), 1 => Just(-1), 1 => Just(i32::MAX), 1 => Just(i32::MIN)]
}

/// Priorities and expiries belong to timing, too: its deadlines and timeouts are in the executions themselves.
fn timing(names: &Names) -> Aims {
    let one = prop_oneof![
        aim(about(names, select(Overdue::ALL), |execution, reason| Does::Expire { execution, reason }), &ANY),
        aim(
            about(names, priority(), |execution, priority| Does::ChangePriority { execution, priority }),
            &GRANTABLE
        ),
        aim(about(names, Just(()), |execution, ()| Does::Replay { execution }), &ENDED),
        aim(about(names, Just(()), |execution, ()| Does::PromoteDelayed { execution }), &DELAYED),
        aim(about(names, Just(()), |execution, ()| Does::MarkExpired { execution }), &RUNNING),
    ];
    some(one, 4)
}

fn tag() -> impl Strategy<Value = String> {
    select(&["app.color", "app.sub.field", "ops.note", "plain", "Bad.key", "x."][..]).prop_map(str::to_owned)
}

fn streams(names: &Names) -> Aims {
    let percent = select(&["0", "50", "100", "", "x"][..]).prop_map(str::to_owned);
    let read = (prop_oneof![4 => 1..=50u32, 1 => Just(0), 1 => Just(10_001)], any::<bool>());
    let seen = [Function::ClaimExecution, Function::RenewLease, Function::CompleteExecution];
    let one = Union::new_weighted(vec![
        (3, aim(about(names, tag(), |execution, tag| Does::TagExecution { execution, tag }), &ANY)),
        (2, aim(about(names, Just(()), |execution, ()| Does::ReadSummary { execution }), &seen)),
        (
            2,
            aim(
                about(names, read, |execution, (count, durable_only)| Does::ReadStream {
                    execution,
                    count,
                    durable_only,
                }),
                &seen,
            ),
        ),
        (
            3,
            aim(
                about(names, percent, |execution, percent| Does::UpdateProgress { execution, percent }),
                &RUNNING,
            ),
        ),
        (1, aim(Just(Does::Version {}).boxed(), &[])),
    ]);
    some(one, 6)
}

fn key() -> impl Strategy<Value = Option<Label>> {
    option::weighted(0.4, select(&["k1", "k2"][..]).prop_map(Label::from))
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![8 => Just(Token::Valid), 1 => Just(Token::Forged), 1 => Just(Token::Missing)]
}

fn signal_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("go"), 1 => Just("stop")].prop_map(str::to_owned)
}

fn suspension(all: &Names) -> Aims {
    let names = &all.of_those_that_wait();
    let waits = [Function::SuspendExecution];
    let pending = [Function::CreatePendingWaitpoint];
    let trigger = prop_oneof![
        3 => Just(ResumeTrigger::Signal),
        3 => Just(ResumeTrigger::Operator),
        1 => Just(ResumeTrigger::AutoResume)
    ];
    let delay = || prop_oneof![3 => Just(0u64), 1 => 1..=800u64];
    let at = prop_oneof![4 => Just(0u64), 2 => Just(1), 1 => Just(2)];
    // A caller's limit of the execution's signals.
    let most = prop_oneof![8 => Just(100u64), 1 => Just(0), 2 => 1..=2u64];
    let signals = (signal_name(), token(), key(), delay(), at, most);
    let grace = prop_oneof![1 => Just(0u64), 2 => 1..=2_000u64, 1 => Just(60_000)];
    let rotate = (select(&["k1", "k2", "k3", "a:b", ""][..]), select(&["s1", "s1", "s2"][..]), grace)
        .prop_map(|(kid, secret, grace_ms)| Does::RotateSecret {
            kid: kid.to_owned(),
            secret: secret.into(),
            grace_ms,
        });
    let list = (0..names.partitions).prop_map(|partition| Does::ListSecrets { partition });
    let one = Union::new_weighted(vec![
        (
            6,
            aim(
                about(names, signals, |execution, (signal, token, key, resume_delay_ms, at, most)| {
                    Does::Signal { execution, signal, token, key, resume_delay_ms, at, most }
                }),
                &waits,
            ),
        ),
        (
            2,
            aim(
                about(names, (signal_name(), token(), key()), |execution, (signal, token, key)| {
                    Does::BufferSignal { execution, signal, token, key }
                }),
                &pending,
            ),
        ),
        (
            3,
            aim(
                about(names, 1..=5_000u64, |execution, lives_ms| Does::CreateWaitpoint {
                    execution,
                    lives_ms,
                }),
                &RUNNING,
            ),
        ),
        (
            2,
            aim(
                about(names, Just(()), |execution, ()| Does::CloseWaitpoint { execution }),
                &[waits[0].clone(), pending[0].clone()],
            ),
        ),
        (
            3,
            aim(
                about(names, (trigger, delay()), |execution, (trigger, delay_ms)| Does::Resume {
                    execution,
                    trigger,
                    delay_ms,
                }),
                &waits,
            ),
        ),
        (2, aim(about(names, Just(()), |execution, ()| Does::ExpireSuspension { execution }), &waits)),
        (1, aim(rotate.boxed(), &[])),
        (1, aim(list.boxed(), &[])),
    ]);
    // A deployment has a secret before anybody can suspend; every execution that waits may get its signal.
    let first = Does::RotateSecret { kid: "k1".to_owned(), secret: "s1".into(), grace_ms: 0 };
    let first = Just(vec![at_once(first)]);
    // One that has to wait hears of it twice under one idempotency key, and only the first counts.
    let twice =
        (names.one(), signal_name(), select(&["k1", "k2"][..])).prop_map(|(execution, signal, key)| {
            let key = Some(Label::from(key));
            let signal = Does::Signal {
                execution,
                signal,
                token: Token::Valid,
                key,
                resume_delay_ms: 0,
                at: 0,
                most: 100,
            };
            let suspended = [Function::SuspendExecution];
            vec![after(signal.clone(), &suspended), after(signal, &suspended)]
        });
    // Of what is signalled, some is created, buffered for and waited at in order.
    let early = (all.one(), signal_name(), key()).prop_map(|(execution, signal, key)| {
        let create = Does::CreateWaitpoint { execution: execution.clone(), lives_ms: 3_000 };
        let buffer = Does::BufferSignal { execution, signal, token: Token::Valid, key };
        vec![after(create, &[Function::ClaimExecution]), after(buffer, &[Function::CreatePendingWaitpoint])]
    });
    let drawn = (first, some(one, 10), twice, early);
    drawn.prop_map(|(first, some, twice, early)| [first, some, twice, early].concat()).boxed()
}

fn used() -> impl Strategy<Value = Dimensions> {
    let amount = prop_oneof![6 => 0..=6u64, 1 => Just(1_000_000)];
    prop::collection::btree_map(select(&["tokens", "usd"][..]).prop_map(str::to_owned), amount, 1..=2)
}

fn admission(names: &Names) -> Aims {
    let quota = || select(&["q1", "q2"][..]).prop_map(Label::from);
    let budget = || select(&["b1", "b2"][..]).prop_map(Label::from);
    let limit = || prop_oneof![3 => 1..=12u64, 1 => Just(0u64)];
    let limits = || {
        prop::collection::btree_map(select(&["tokens", "usd"][..]).prop_map(str::to_owned), limit(), 1..=2)
    };
    // A window of no seconds is one that some policy has.
    let policy = (prop_oneof![3 => Just(1u64), 2 => Just(60), 1 => Just(0)], 0..=4u64, 0..=3u64);
    let reset = prop_oneof![2 => Just(0u64), 2 => 100..=2_000u64];
    let reasons = BlockingReason::ALL;
    let create = (policy, limits(), limits(), reset).prop_map(
        |((window_s, rate, concurrent), hard, soft, reset_ms)| {
            let quota = Does::CreateQuota { quota: "q1".into(), window_s, rate, concurrent };
            let budget = Does::CreateBudget { budget: "b1".into(), hard, soft, reset_ms };
            (vec![at_once(quota), at_once(budget)], (window_s, rate, concurrent))
        },
    );
    let names = names.clone();
    create
        .prop_flat_map(move |(first, (window_s, rate, concurrent))| {
            // A caller asks by the policy as it was created.
            let admit = about(&names, quota(), |execution, quota| Does::Admit {
                quota,
                execution,
                window_s: 0,
                rate: 0,
                concurrent: 0,
            });
            let admit = admit.prop_map(move |does| match does {
                Does::Admit { quota, execution, .. } => {
                    Does::Admit { quota, execution, window_s, rate, concurrent }
                }
                other => other,
            });
            let blocked = [Function::BlockExecutionForAdmission];
            let admitted = [Function::IssueClaimGrant, Function::CompleteExecution];
            let one = Union::new_weighted(vec![
                (
                    4,
                    aim(
                        about(&names, select(reasons), |execution, reason| Does::Block { execution, reason }),
                        &GRANTABLE,
                    ),
                ),
                (
                    6,
                    aim(
                        about(&names, select(reasons), |execution, reason| Does::Unblock {
                            execution,
                            reason,
                        }),
                        &blocked,
                    ),
                ),
                (
                    2,
                    aim(
                        about(&names, select(Overdue::ALL), |execution, reason| Does::Expire {
                            execution,
                            reason,
                        }),
                        &blocked,
                    ),
                ),
                (5, aim(admit.boxed(), &GRANTABLE)),
                (
                    3,
                    aim(
                        about(&names, quota(), |execution, quota| Does::Release { quota, execution }),
                        &admitted,
                    ),
                ),
                (
                    3,
                    aim(
                        (budget(), used(), key())
                            .prop_map(|(budget, used, key)| Does::ReportUsage { budget, used, key })
                            .boxed(),
                        &[],
                    ),
                ),
                (
                    3,
                    aim(
                        about(&names, (budget(), used(), key()), |execution, (budget, used, key)| {
                            Does::Spend { budget, execution, used, key }
                        }),
                        &RUNNING,
                    ),
                ),
                (
                    2,
                    aim(
                        about(&names, budget(), |execution, budget| Does::ReleaseBudget {
                            budget,
                            execution,
                        }),
                        &admitted,
                    ),
                ),
                (1, aim(budget().prop_map(|budget| Does::ResetBudget { budget }).boxed(), &[])),
            ]);
            // Whoever is held back is let go again, mostly: else the run waits for an operator who never comes.
            let pairs = (names.one(), select(reasons)).prop_map(|(execution, reason)| {
                let block = Does::Block { execution: execution.clone(), reason };
                let unblock = Does::Unblock { execution, reason };
                vec![
                    after(block, &[Function::CreateExecution]),
                    Aim { does: unblock, when: When::Around(vec![Function::BlockExecutionForAdmission]) },
                ]
            });
            let pairs = prop::collection::vec(pairs, 0..=3).prop_map(|pairs| pairs.concat());
            (Just(first), some(one, 10), pairs).prop_map(|(first, some, pairs)| [first, some, pairs].concat())
        })
        .boxed()
}

fn registry(_: &Names) -> Aims {
    // Some are called as the workers' own processes are.
    let instance = || select(&["w1-1.1", "w1-2.1", "w2-2.1", "visitor"][..]).prop_map(Label::from);
    let worker = select(&["w1", "w1", "w2"][..]).prop_map(str::to_owned);
    let ttl = prop_oneof![Just(0u64), Just(1), 50..=500u64, 1_000..=5_000u64];
    let register = (instance(), worker, ttl).prop_map(|(instance, worker_id, ttl_ms)| Does::Register {
        instance,
        worker_id,
        lanes: vec!["gold".to_owned()],
        ttl_ms,
    });
    let one = prop_oneof![
        aim(register.boxed(), &[]),
        aim(instance().prop_map(|instance| Does::Heartbeat { instance }).boxed(), &[]),
    ];
    some(one, 6)
}

/// The flow of a plan's flow members; a second one holds a few, too.
pub(super) const FLOWS: [&str; 2] = ["f1", "f2"];

/// A flow: created, its members added, dependencies between them, and what else happens to flows.
fn flows(plan: &Plan, names: &Names) -> Aims {
    let members: Vec<ExecutionName> = plan
        .executions
        .iter()
        .filter(|execution| execution.flow.as_ref().is_some_and(|flow| flow.as_str() == FLOWS[0]))
        .map(|execution| execution.name.clone())
        .collect();
    if members.len() < 2 {
        return Just(Vec::new()).boxed();
    }
    let flow = || Label::from(FLOWS[0]);
    let either = || prop_oneof![9 => Just(FLOWS[0]), 1 => Just(FLOWS[1])].prop_map(Label::from);
    let created = [Function::CreateExecution];
    let joined = [Function::AddExecutionToFlow, Function::CreateExecution];
    let mut first = vec![at_once(Does::CreateFlow { flow: flow() })];
    first.extend(
        members
            .iter()
            .map(|execution| after(Does::AddMember { flow: flow(), execution: execution.clone() }, &created)),
    );
    // Everybody but the last is waited for by somebody after it: no cycle, but for those that are drawn on purpose.
    let last = members.len() - 1;
    let edges = prop::collection::vec(
        (0..last, any::<prop::sample::Index>(), any::<bool>(), prop::bool::weighted(0.85)),
        1..=last.min(6),
    );
    let policy =
        (prop_oneof![1 => Just(None), 1 => select(GroupPolicy::ALL).prop_map(Some)], 0..=3u32, any::<bool>());
    let (ordered, joined_by, created_by) = (members.clone(), joined.to_vec(), created.to_vec());
    let graph = (edges, policy).prop_map(move |(edges, (policy, quorum, let_run))| {
        let mut aims = Vec::new();
        if let Some(policy) = policy {
            let execution = ordered[last].clone();
            let does = Does::SetGroup { flow: Label::from(FLOWS[0]), execution, policy, quorum, let_run };
            aims.push(after(does, &created_by));
        }
        aims.extend(edges.into_iter().map(|(from, to, passes_data, apply)| {
            // Half of all wait for the last: a group of several.
            let to = if passes_data { last } else { from + 1 + to.index(last - from) };
            let (from, to) = (ordered[from].clone(), ordered[to].clone());
            let does = Does::Edge { flow: Label::from(FLOWS[0]), from, to, passes_data, apply };
            after(does, &joined_by)
        }));
        aims
    });
    let member = || select(members.clone());
    let pair = || (member(), member());
    let outcome = select(Upstream::ALL);
    let waiting = [Function::ApplyDependencyToChild, Function::CreateExecution];
    let one = Union::new_weighted(vec![
        (
            2,
            aim(
                (either(), names.one())
                    .prop_map(|(flow, execution)| Does::AddMember { flow, execution })
                    .boxed(),
                &created,
            ),
        ),
        (
            2,
            aim(
                (either(), pair(), any::<bool>(), any::<bool>())
                    .prop_map(|(flow, (from, to), passes_data, apply)| Does::Edge {
                        flow,
                        from,
                        to,
                        passes_data,
                        apply,
                    })
                    .boxed(),
                &joined,
            ),
        ),
        (
            1,
            aim(
                (either(), pair()).prop_map(|(flow, (from, to))| Does::ApplyEdge { flow, from, to }).boxed(),
                &joined,
            ),
        ),
        (
            4,
            aim(
                (either(), pair(), outcome)
                    .prop_map(|(flow, (from, to), outcome)| Does::ResolveEdge { flow, from, to, outcome })
                    .boxed(),
                &ENDED,
            ),
        ),
        (2, aim(member().prop_map(|execution| Does::Evaluate { execution }).boxed(), &waiting)),
        // What was skipped, too, begins anew.
        (
            2,
            aim(
                member().prop_map(|execution| Does::Replay { execution }).boxed(),
                &[Function::ResolveDependency],
            ),
        ),
        (
            // Whoever waits for children that it does not have may go on.
            4,
            aim(
                names.one().prop_map(|execution| Does::Promote { execution }).boxed(),
                &[Function::MoveToWaitingChildren],
            ),
        ),
        (
            1,
            aim(
                (either(), member())
                    .prop_map(|(flow, execution)| Does::AckMember { flow, execution })
                    .boxed(),
                &[],
            ),
        ),
        (
            1,
            aim(
                (either(), member())
                    .prop_map(|(flow, execution)| Does::DrainGroup { flow, execution })
                    .boxed(),
                &ENDED,
            ),
        ),
        (
            1,
            aim(
                (either(), member())
                    .prop_map(|(flow, execution)| Does::ReconcileGroup { flow, execution })
                    .boxed(),
                &ENDED,
            ),
        ),
        (1, aim((either(), tag()).prop_map(|(flow, tag)| Does::TagFlow { flow, tag }).boxed(), &[])),
        (1, aim(select(&FLOWS[..]).prop_map(|flow| Does::CreateFlow { flow: flow.into() }).boxed(), &[])),
    ]);
    let cancel =
        (select(&["cancel_all", "cancel_all", "let_finish"][..]), 0..=2_000u64, prop::bool::weighted(0.7));
    // Now and then somebody cancels a flow again, or the other one too.
    let times = prop_oneof![14 => Just(0usize), 4 => Just(1), 2 => Just(2)];
    let cancels = times.prop_flat_map(move |times| prop::collection::vec((either(), cancel.clone()), times));
    let cancel = cancels.prop_map(|cancels| {
        let aim = |(flow, (policy, grace_ms, members)): (Label, (&str, u64, bool))| Aim {
            does: Does::CancelFlow { flow, policy: policy.to_owned(), grace_ms, members },
            when: When::Anytime,
        };
        cancels.into_iter().map(aim).collect::<Vec<_>>()
    });
    (Just(first), graph, some(one, 8), cancel)
        .prop_map(|(first, graph, some, cancel)| [first, graph, some, cancel].concat())
        .boxed()
}
