//! Every row of the generator is met by every profile that promises it, and by no other.
//!
//! A *row* is one thing that a plan may hold, in words: `crash worker`, `lost-reply claim about an execution`. The rows
//! that the plans of a profile hold are compared with those that it promises, both ways.

use std::collections::{BTreeMap, BTreeSet};

use grantsim::{
    plan::{
        CallRef, Cut, Deed, DeedKind, Doing, Ending, Execution, Fate, Fault, Frame, Keeps, Plan, Retry,
        ServerFault, Suspend, Terms, WrongClock, is_nobody,
    },
    types::{
        FaultClass::{self, *},
        Node,
    },
};

use valkey_sim::durability::Fsync;

use super::{plans_of, small_life};

type Rows = BTreeSet<String>;

// What plans hold.

fn rows_of(plan: &Plan) -> Rows {
    let mut rows = Rows::new();
    let settings = &plan.settings;
    rows.insert(format!("partitions {}", settings.partitions));
    rows.insert(format!("claim again {}", settings.claim_again));
    rows.extend(settings.wait_ms.map(|_| "clients wait for a replica".to_owned()));
    rows.extend(settings.replica_lag_s.map(|_| "the server needs a replica".to_owned()));
    rows.extend(settings.workers_load.then(|| "workers load the library".to_owned()));
    rows.insert(match settings.grant_ttl_ms {
        short @ 0..=1 => format!("grants live {short} ms"),
        _ => "grants live longer".to_owned(),
    });
    rows.insert(if plan.network.loss_ppm > 0 { "loss" } else { "no loss" }.to_owned());
    let mut before = None;
    for worker in &plan.workers {
        rows.insert(format!("a worker of {} lanes", worker.lanes.len()));
        rows.insert(format!("a worker of {} capabilities", worker.capabilities.len()));
        let is_twin = before.replace(&worker.worker_id) == Some(&worker.worker_id);
        rows.insert(if is_twin { "a twin" } else { "no twin" }.to_owned());
    }
    rows.extend(plan.executions.iter().flat_map(rows_of_execution));
    let scans = settings.scans.all().into_iter().filter(|(_, every_ms)| every_ms.is_some());
    rows.extend(scans.map(|(name, _)| format!("scan {name}")));
    let beats_late = settings.registry.as_ref().map(|registry| registry.heartbeat_ms > registry.ttl_ms);
    rows.extend(beats_late.map(|late| if late { "beats too late" } else { "beats in time" }.to_owned()));
    rows.extend((plan.scanners == 2).then(|| "two scanners".to_owned()));
    rows.extend(
        plan.workers.iter().any(|worker| worker.same_instance).then(|| "the same instance".to_owned()),
    );
    rows.extend(plan.clocks.iter().flat_map(|(node, clock)| rows_of_clock(*node, clock)));
    rows.extend(plan.faults.iter().flat_map(rows_of_fault));
    rows.extend(plan.deeds.iter().flat_map(rows_of_deed));
    rows.extend(
        plan.executions.iter().filter_map(|execution| Some(format!("flow {}", execution.flow.as_ref()?))),
    );
    rows
}

fn rows_of_deed(deed: &Deed) -> Rows {
    let about_nobody = deed.executions().into_iter().any(is_nobody);
    Rows::from([
        format!("deed {}", deed.does.kind()),
        if deed.upon.is_some() { "a deed upon a call" } else { "a deed at its time" }.to_owned(),
        if deed.stale_ms > 0 { "a deed that knows what was" } else { "a deed that knows what is" }.to_owned(),
        if deed.again > 0 { "a deed again" } else { "a deed once" }.to_owned(),
        if about_nobody { "a deed about nobody" } else { "a deed about somebody" }.to_owned(),
    ])
}

fn rows_of_execution(execution: &Execution) -> Rows {
    let mut rows = Rows::from([
        format!("lane {}", execution.lane),
        match execution.priority {
            0 => "no priority",
            1..=9_000 => "priority",
            _ => "a priority beyond",
        }
        .to_owned(),
        if execution.delay_ms.is_some() { "delayed" } else { "at once" }.to_owned(),
        format!("{} capabilities", execution.capabilities.len()),
        format!("retries {}", execution.max_retries),
        match execution.work.len() {
            attempts @ ..=4 => format!("attempts {attempts}"),
            _ => "more attempts".to_owned(),
        },
    ]);
    let (last, before) = execution.work.split_last().expect("checked");
    rows.insert(format!("at last {}", ending(last.ends)));
    rows.extend(before.iter().map(|work| format!("on the way {}", ending(work.ends))));
    rows.extend(rows_of_terms(&execution.terms));
    for work in &execution.work {
        rows.extend(work.meanwhile.iter().map(|chore| format!("chore {}", doing(&chore.does))));
        if let Ending::Suspend(Suspend { until, then, timeout_ms, pending, extra, once_ms }) = work.ends {
            rows.insert(format!("at {extra} more waitpoints"));
            rows.extend(once_ms.map(|_| "a suspension that is remembered".to_owned()));
            rows.insert(format!("until {until:?}").split('(').next().expect("a word").to_owned());
            rows.insert(format!("then {then}"));
            rows.insert(if timeout_ms.is_some() { "waits for a time" } else { "waits for good" }.to_owned());
            rows.insert(if pending { "at a pending waitpoint" } else { "at a new waitpoint" }.to_owned());
        }
    }
    rows
}

fn rows_of_terms(terms: &Terms) -> Rows {
    let retry = terms.retry.as_ref().map(|retry| match retry {
        Retry::Never => "retry never",
        Retry::Fixed { .. } => "retry fixed",
        Retry::Exponential { .. } => "retry exponential",
        Retry::Text(_) => "retry text",
    });
    let once = terms.once.as_ref().map(|once| if once.ttl_ms > 0 { "once" } else { "once for no time" });
    let named = [
        terms.deadline_ms.map(|_| "a deadline"),
        terms.attempt_timeout_ms.map(|_| "an attempt timeout"),
        retry,
        once,
        (!terms.tags.is_empty()).then_some("labelled"),
        (!terms.budgets.is_empty()).then_some("charged to a budget"),
        terms.quota.as_ref().map(|_| "charged to a quota"),
    ];
    let mut rows: Rows = named.into_iter().flatten().map(str::to_owned).collect();
    rows.extend(terms.max_reclaims.map(|most| format!("{most} reclaims")));
    rows.extend(terms.max_replays.map(|most| format!("{most} replays")));
    rows
}

fn doing(does: &Doing) -> &'static str {
    match does {
        Doing::Append(Frame::Durable(_)) => "append",
        Doing::Append(Frame::Summary(_)) => "append to the summary",
        Doing::Append(Frame::BestEffort { .. }) => "append for a while",
        Doing::Progress(_) => "progress",
        Doing::Tag { .. } => "tag",
        Doing::ReadStream(_) => "read the stream",
        Doing::ReadSummary => "read the summary",
        Doing::Use { by_execution: true, .. } => "spend",
        Doing::Use { by_execution: false, .. } => "use",
        Doing::GiveBack(_) => "give back",
        Doing::Await(_) => "await",
        Doing::NoLongerAwait => "no longer await",
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Fail => "fail",
        Ending::Delay(_) => "delay",
        Ending::Cancel => "cancel",
        Ending::Suspend(_) => "suspend",
        Ending::WaitChildren => "wait for children",
        Ending::Vanish => "vanish",
    }
}

fn rows_of_clock(node: Node, clock: &WrongClock) -> Rows {
    let wrong = [("offset", clock.offset_ms), ("drift", clock.drift_ppm.into())];
    let steps = clock.steps.iter().map(|step| ("step", step.by_ms));
    let row = |(what, by): (&str, i64)| {
        format!("clock {} {what} {}", kind(node), if by < 0 { "back" } else { "on" })
    };
    wrong.into_iter().chain(steps).map(row).collect()
}

fn rows_of_fault(fault: &Fault) -> Rows {
    let class = fault.class();
    if fault.nodes().contains(&Node::Operator) && !FaultClass::HOSTILE.contains(&class) {
        return Rows::from([format!("{class} of the operator")]);
    }
    let row = match fault {
        Fault::Crash { node, .. } | Fault::Pause { node, .. } => format!("{class} {}", kind(*node)),
        Fault::Partition { a, b, cut, .. } => {
            let cut = match cut {
                Cut::Both => "both ways",
                Cut::AToB => "a to b",
                Cut::BToA => "b to a",
            };
            let from = if *b == Node::Valkey { "the server" } else { "another" };
            return Rows::from([format!("{class} {} from {from}", kind(*a)), format!("{class} {cut}")]);
        }
        Fault::AtDeadline { call, deadline, offset_ms } => {
            let function = &call.function;
            return Rows::from([
                format!("{class} {offset_ms} {}", by(call)),
                format!("{class} {function} at the {deadline:?}"),
            ]);
        }
        Fault::LoseRequest { call }
        | Fault::LoseReply { call }
        | Fault::DelayRequest { call, .. }
        | Fault::RepeatRequest { call, .. } => format!("{class} {} {}", call.function, by(call)),
        Fault::GrantMessage { from, execution, fate, .. } => {
            let by = match (from, execution) {
                (Some(from), None) => format!("from {}", kind(*from)),
                (None, Some(_)) => "about an execution".to_owned(),
                both => panic!("a message of {both:?}"),
            };
            let fate = match fate {
                Fate::Drop => "dropped",
                Fate::Delay(_) => "delayed",
                Fate::Twice(_) => "doubled",
            };
            format!("{class} {fate} {by}")
        }
        Fault::OtherLane { .. } | Fault::BadArgument { .. } => class.to_string(),
        Fault::StaleFence { age, part, .. } => {
            return Rows::from([format!("{class} {age}"), format!("{class} {part:?}")]);
        }
        Fault::Server { upon, breaks, .. } => {
            let when = if upon.is_some() { "upon a call" } else { "at a time" };
            let mut rows = Rows::from([format!("{class} {when}")]);
            rows.extend(rows_of_server(breaks).into_iter().map(|row| format!("{class} {row}")));
            return rows;
        }
    };
    Rows::from([row])
}

fn rows_of_server(breaks: &ServerFault) -> Vec<&'static str> {
    match breaks {
        ServerFault::Lost { keeps, loading_ms, without_functions_ms, .. } => {
            let kept = match keeps {
                Keeps::All => "keeps all",
                Keeps::Synced(Fsync::Always) => "keeps what is always synced",
                Keeps::Synced(Fsync::EverySecond) => "keeps what is synced once a second",
                Keeps::Synced(Fsync::No) => "keeps what the kernel wrote back",
                Keeps::Snapshot(_) => "keeps a snapshot",
                Keeps::Nothing => "keeps nothing",
            };
            let mut rows = vec![kept];
            rows.push(if *loading_ms > 0 { "loading" } else { "loaded at once" });
            rows.extend((*without_functions_ms > 0).then_some("without functions"));
            rows
        }
        ServerFault::Failover { lag_ms, clock_ms, .. } => vec![
            if *lag_ms > 0 { "lagging" } else { "in step" },
            match clock_ms {
                ..0 => "clock behind",
                0 => "clock true",
                1.. => "clock ahead",
            },
        ],
        ServerFault::LibraryGone { .. } => vec!["gone"],
        ServerFault::LibraryReloaded => vec!["reloaded"],
        ServerFault::LibraryReplaced { .. } => vec!["replaced"],
        ServerFault::Slow { .. } => vec!["slow"],
        ServerFault::ClientsPaused { writes_only, .. } => {
            vec![if *writes_only { "pauses who writes" } else { "pauses everybody" }]
        }
        ServerFault::OutOfMemory { .. } | ServerFault::Evicts { .. } => vec![],
    }
}

fn by(call: &CallRef) -> String {
    match (call.node, &call.execution) {
        (Some(node), None) => format!("of {}", kind(node)),
        (None, Some(_)) => "about an execution".to_owned(),
        both => panic!("a call of {both:?}"),
    }
}

fn kind(node: Node) -> &'static str {
    match node {
        Node::Valkey => "valkey",
        Node::FormerValkey => panic!("no plan names a former server"),
        Node::Submitter => "submitter",
        Node::Scanner => "scanner",
        Node::SecondScanner => "second scanner",
        Node::Operator => "operator",
        Node::Scheduler(_) => "scheduler",
        Node::Worker(_) => "worker",
    }
}

// What profiles promise.

/// What the plans of every profile hold.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "partitions 1", "partitions 2", "partitions 4",
    "claim again 0", "claim again 1", "claim again 2",
    "grants live longer",
    "a worker of 1 lanes", "a worker of 2 lanes", "a worker of 3 lanes",
    "a worker of 0 capabilities", "a worker of 1 capabilities", "a worker of 2 capabilities",
    "a twin", "no twin",
    "lane gold", "lane silver", "lane bronze",
    "priority", "no priority", "delayed", "at once",
    "0 capabilities", "1 capabilities", "2 capabilities",
    "retries 0", "retries 1", "retries 2",
    "attempts 1", "attempts 2", "attempts 3",
    "at last complete", "at last fail", "at last cancel",
    "on the way complete", "on the way fail", "on the way delay", "on the way vanish",
];

const FALLIBLE: [&str; 4] = ["worker", "scheduler", "scanner", "submitter"];

/// The calls that are lost, late and repeated, and whose they are.
const CALLS: [(&str, &str); 12] = [
    ("claim", "worker"),
    ("ff_renew_lease", "worker"),
    ("ff_complete_execution", "worker"),
    ("ff_fail_execution", "worker"),
    ("ff_delay_execution", "worker"),
    ("ff_cancel_execution", "worker"),
    ("ff_suspend_execution", "worker"),
    ("ff_claim_resumed_execution", "worker"),
    ("ff_reclaim_execution", "worker"),
    ("ff_issue_claim_grant", "scheduler"),
    ("ff_issue_reclaim_grant", "scanner"),
    ("ff_mark_lease_expired_if_due", "scanner"),
];

/// The calls that come at a deadline of their execution, and at which.
const DEADLINES: [(&str, &str); 14] = [
    ("claim", "Grant"),
    ("ff_reclaim_execution", "Grant"),
    ("ff_claim_resumed_execution", "Grant"),
    ("ff_issue_claim_grant", "Grant"),
    ("ff_renew_lease", "Lease"),
    ("ff_complete_execution", "Lease"),
    ("ff_fail_execution", "Lease"),
    ("ff_delay_execution", "Lease"),
    ("ff_cancel_execution", "Lease"),
    ("ff_suspend_execution", "Lease"),
    ("ff_move_to_waiting_children", "Lease"),
    ("ff_append_frame", "Lease"),
    ("ff_complete_execution", "Attempt"),
    ("ff_complete_execution", "Execution"),
];

/// Everything that the faults of a class may hold.
fn promised_of(class: FaultClass) -> Vec<String> {
    match class {
        Crash => FALLIBLE.iter().map(|node| format!("{class} {node}")).collect(),
        Pause => FALLIBLE.iter().chain(&["valkey"]).map(|node| format!("{class} {node}")).collect(),
        Restart => of_the_server(
            class,
            &["keeps all", "keeps what is always synced", "loading", "loaded at once", "without functions"],
        ),
        LostWrites => of_the_server(
            class,
            &[
                "keeps what is synced once a second",
                "keeps what the kernel wrote back",
                "keeps a snapshot",
                "keeps nothing",
                "loading",
                "loaded at once",
            ],
        ),
        Failover | SplitBrain => {
            let mut rows =
                of_the_server(class, &["lagging", "in step", "clock behind", "clock true", "clock ahead"]);
            rows.extend(["clients wait for a replica", "the server needs a replica"].map(str::to_owned));
            rows
        }
        Library => {
            let mut rows = of_the_server(class, &["gone", "reloaded", "replaced"]);
            rows.push("workers load the library".to_owned());
            rows
        }
        Slow => of_the_server(class, &["slow", "pauses who writes", "pauses everybody"]),
        OutOfMemory | Eviction => of_the_server(class, &[]),
        Partition => {
            let ends = FALLIBLE
                .iter()
                .flat_map(|node| ["the server", "another"].map(|from| format!("{class} {node} from {from}")));
            ends.chain(["both ways", "a to b", "b to a"].map(|cut| format!("{class} {cut}"))).collect()
        }
        LostRequest | LostReply | LateRequest | RepeatedRequest => CALLS
            .iter()
            .flat_map(|(function, caller)| {
                [format!("{class} {function} of {caller}"), format!("{class} {function} about an execution")]
            })
            .collect(),
        AtDeadline => {
            let offsets = [-1, 0, 1].iter().flat_map(|offset| {
                ["of worker", "of scheduler", "about an execution"].map(|by| format!("{class} {offset} {by}"))
            });
            let calls =
                DEADLINES.iter().map(|(function, deadline)| format!("{class} {function} at the {deadline}"));
            offsets.chain(calls).collect()
        }
        GrantMessage => ["dropped", "delayed", "doubled"]
            .iter()
            .flat_map(|fate| {
                ["from scheduler", "from scanner", "about an execution"]
                    .map(|by| format!("{class} {fate} {by}"))
            })
            .collect(),
        OtherLane | BadArgument => vec![class.to_string()],
        StaleFence => {
            ["1", "2", "3", "Whole", "Lease", "Epoch", "Attempt"].map(|row| format!("{class} {row}")).into()
        }
        Clock => ["valkey", "submitter", "scanner", "scheduler", "worker"]
            .iter()
            .flat_map(|node| {
                let wrong = ["offset", "drift", "step"];
                wrong
                    .into_iter()
                    .flat_map(move |what| ["back", "on"].map(|way| format!("clock {node} {what} {way}")))
            })
            .collect(),
    }
}

fn of_the_server(class: FaultClass, rows: &[&str]) -> Vec<String> {
    ["at a time", "upon a call"].iter().chain(rows).map(|row| format!("{class} {row}")).collect()
}

/// What families of workload add to the plans of a profile.
#[derive(Clone, Copy, PartialEq)]
enum Families {
    None,
    /// In a world in which nothing breaks.
    Unbroken,
    All,
}

/// What families add to executions, workers and scanners.
#[rustfmt::skip]
const OF_THE_WORKLOAD: &[&str] = &[
    "a priority beyond", "a deadline", "an attempt timeout",
    "retry never", "retry fixed", "retry exponential", "retry text",
    "0 reclaims", "1 reclaims", "2 reclaims", "0 replays", "1 replays", "2 replays",
    "once", "once for no time", "labelled", "charged to a budget", "charged to a quota",
    "attempts 4", "more attempts", "on the way suspend", "on the way wait for children",
    "until Any", "until Go", "until Both", "until AllOf", "until Count", "until Nothing",
    "then fail", "then cancel", "then expire", "then auto_resume_with_timeout_signal", "then escalate",
    "waits for a time", "waits for good", "at a pending waitpoint", "at a new waitpoint",
    "at 0 more waitpoints", "at 1 more waitpoints", "at 2 more waitpoints", "a suspension that is remembered",
    "chore append", "chore append to the summary", "chore append for a while", "chore progress", "chore tag",
    "chore read the stream", "chore read the summary", "chore spend", "chore use", "chore give back",
    "chore await", "chore no longer await",
    "scan attempt_timeout_ms", "scan deadline_ms", "scan suspension_ms", "scan waitpoint_ms", "scan dependency_ms",
    "scan admission_ms", "scan quota_ms", "scan budget_ms", "scan cancel_ms", "scan sibling_ms",
    "beats in time", "beats too late", "two scanners", "the same instance",
];

fn promised_of_families(families: Families) -> Rows {
    if families == Families::None {
        return Rows::new();
    }
    let deeds = DeedKind::ALL.iter().map(|kind| format!("deed {kind}"));
    let always = [
        "a deed upon a call",
        "a deed at its time",
        "a deed that knows what was",
        "a deed that knows what is",
        "a deed again",
        "a deed once",
        "a deed about somebody",
        "flow f1",
        "flow f2",
    ];
    let mut rows: Rows = deeds.chain(always.map(str::to_owned)).collect();
    rows.extend(OF_THE_WORKLOAD.iter().map(|row| (*row).to_owned()));
    if families == Families::All {
        rows.insert("a deed about nobody".to_owned());
        rows.extend(FaultClass::HOSTILE.into_iter().flat_map(promised_of));
        let befall = [Crash, LostReply, LateRequest, RepeatedRequest, AtDeadline];
        rows.extend(befall.map(|class| format!("{class} of the operator")));
    }
    rows
}

/// Asserts that the plans of a profile hold what all do, these rows and everything of these classes; and nothing else.
#[track_caller]
fn assert_rows(profile: &str, own: &[&str], classes: &[FaultClass], families: Families) {
    let held: Rows = plans_of(profile).iter().flat_map(rows_of).collect();
    let common = COMMON.iter().chain(own).map(|row| (*row).to_owned());
    let mut promised: Rows = common.chain(classes.iter().copied().flat_map(promised_of)).collect();
    promised.extend(promised_of_families(families));
    let missing: Vec<_> = promised.difference(&held).collect();
    let surplus: Vec<_> = held.difference(&promised).collect();
    assert!(missing.is_empty(), "{profile} never draws {missing:#?}");
    assert!(surplus.is_empty(), "{profile} draws {surplus:#?}, which it does not promise");
}

#[test]
fn swarm_draws_everything() {
    assert_rows("swarm", &["grants live 0 ms", "no loss", "loss"], FaultClass::ALL, Families::All);
}

#[test]
fn calm_breaks_nothing_and_its_clocks_are_true() {
    assert_rows("calm", &["no loss"], &[], Families::Unbroken);
}

#[test]
fn race_repeats_and_delays_requests_and_grants() {
    assert_rows("race", &["no loss"], &[LateRequest, RepeatedRequest, GrantMessage], Families::None);
}

#[test]
fn edge_lands_before_at_and_after_the_expiry_and_grants_nothing_at_times() {
    let own = ["grants live 0 ms", "grants live 1 ms", "no loss"];
    assert_rows("edge", &own, &[AtDeadline, GrantMessage], Families::None);
}

#[test]
fn crash_kills_everybody_but_the_server_and_pauses_it_too() {
    assert_rows("crash", &["no loss"], &[Crash, Pause, GrantMessage], Families::All);
}

#[test]
fn lossy_loses_delays_repeats_and_cuts_off() {
    let classes = [LostRequest, LostReply, LateRequest, RepeatedRequest, Partition, GrantMessage];
    assert_rows("lossy", &["loss"], &classes, Families::All);
}

#[test]
fn restart_loses_the_server_and_what_it_needs() {
    let classes = [Restart, LostWrites, Library, OutOfMemory, Eviction, Slow, LostReply];
    assert_rows("restart", &["no loss"], &classes, Families::All);
}

#[test]
fn failover_replaces_the_server() {
    let classes = [Failover, SplitBrain, Partition, Slow, LateRequest];
    assert_rows("failover", &["no loss"], &classes, Families::All);
}

#[test]
fn clock_turns_every_clock() {
    assert_rows("clock", &["no loss"], &[Clock, AtDeadline, LateRequest, Pause], Families::All);
}

#[test]
fn pct_breaks_what_a_caller_does_again() {
    let classes = [Crash, Pause, LostReply, LateRequest, RepeatedRequest, GrantMessage];
    assert_rows("pct", &["no loss"], &classes, Families::All);
}

#[test]
fn life_breaks_a_little_of_several_things() {
    let classes = [Crash, Pause, LostReply, LateRequest, GrantMessage];
    assert_rows("life", &["no loss"], &classes, Families::All);
}

/// Counted when this was written: any change of the generator moves them, and is seen to do so.
#[test]
fn two_hundred_swarm_plans_hold_these_faults() {
    let plans: Vec<Plan> = plans_of("swarm")[..200].iter().cloned().map(small_life).collect();
    let mut counts = BTreeMap::new();
    for fault in plans.iter().flat_map(|plan| &plan.faults) {
        *counts.entry(fault.class()).or_insert(0) += 1;
    }
    counts.insert(Clock, plans.iter().map(|plan| plan.clocks.len()).sum());
    let golden = BTreeMap::from([
        (Crash, 98),
        (Pause, 91),
        (Partition, 94),
        (LostRequest, 118),
        (LostReply, 107),
        (LateRequest, 113),
        (RepeatedRequest, 119),
        (AtDeadline, 151),
        (GrantMessage, 126),
        (Clock, 85),
        (Restart, 19),
        (LostWrites, 28),
        (Failover, 25),
        (SplitBrain, 12),
        (Library, 54),
        (OutOfMemory, 42),
        (Eviction, 39),
        (Slow, 83),
    ]);
    assert_eq!(counts, golden);
}
