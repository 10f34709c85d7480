//! Exact counts, the same for any number of threads; the shortest histories of mutants; and that each of them is shown again by
//! the plan that it becomes.

use std::{collections::BTreeSet, num::NonZero, time::Duration};

use valkey_sim::random::Random;

use super::*;
use crate::{
    drive::{self, cues::called},
    explore::{
        Exploration, Report, Scope,
        scope::Kind,
        testing::{
            assert_shortest, assert_told_apart, exploration, in_two_threads, minimal, mutant, run, shows,
            walked,
        },
    },
    library::Library,
    plan::{CallRef, Called, Fault},
    property::{Fingerprint, KindName, catalogue},
    protocol::reply,
    trace::What,
    types::{FaultClass, Function},
};

fn world(library: Library, scope: &str, budget: u8) -> Exploration {
    let depth = Scope::named(scope).expect("a scope").depth;
    Exploration { budget, ..exploration(library, scope, depth) }
}

/// States and steps in all, and how many choices the longest history has that leads to a state which no other leads to.
fn counts(library: Library, scope: &str, budget: u8) -> (u64, u64, usize) {
    let report = run(&world(library, scope, budget));
    assert_eq!((report.cut, &report.counterexamples[..]), (None, &[][..]));
    (report.states(), report.steps(), report.levels.iter().rposition(|level| level.states > 0).unwrap_or(0))
}

#[test]
fn the_counts_of_worlds_are_these_and_no_promise_is_broken() {
    let published = Library::published;
    let nothing =
        [counts(minimal(), "claim", 0), counts(published(), "claim", 0), counts(published(), "again", 0)];
    assert_eq!(nothing, [(55, 62, 21), (55, 62, 21), (171, 182, 77)]);
    let one = [counts(minimal(), "claim", 1), counts(published(), "claim", 1)];
    assert_eq!(one, [(3_959, 4_990, 64), (4_516, 6_070, 64)]);
    assert_eq!(
        [counts(minimal(), "failover", 1), counts(published(), "failover", 1)],
        [(3_763, 4_707, 64), (4_243, 5_559, 64)]
    );
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut exploration = world(mutant("grant-upon-grant"), "claim", 1);
    exploration.depth = 24;
    let mut of = |jobs| {
        exploration.jobs = NonZero::new(jobs).expect("some");
        Report { elapsed: Duration::ZERO, ..run(&exploration) }
    };
    let one = of(1);
    assert_eq!(one, of(2));
    assert_eq!(one, of(5));
}

/// In the scope `claim`: a mutant, a kind of violation that it is there for, how much has to go wrong, and how many choices the
/// shortest history has that shows it.
const SHORTEST: &[(&str, &str, u8, usize)] = &[
    ("another-input", "creation/other-input", 0, 1),
    ("asleep-at-once", "transition/phase", 0, 9),
    ("attempt-never-ends", "attempts/left-open", 0, 14),
    ("attempt-of-another-lease", "attempts/identity", 0, 9),
    ("attempt-uncounted", "attempts/count", 0, 9),
    ("attempt-unrecorded", "attempts/state", 0, 9),
    ("claim-without-grant", "expiry/no-grant", 1, 17),
    ("created-as-running", "reply-state/field", 0, 1),
    ("delayed-set", "eligible/delayed-set-and-due", 0, 1),
    ("detail-missing", "grammar/fields", 0, 9),
    ("details-of-another", "reply-state/details", 1, 15),
    ("done-and-still-held", "indexes/worker-set", 0, 14),
    ("duplicate-of-another", "creation/other-duplicate", 1, 6),
    ("early-expiry", "one-lease/live-lease", 1, 27),
    ("expired-from-the-start", "transition/ownership", 0, 9),
    ("expiry-without-history", "lease-history/missing", 1, 18),
    ("finish-late", "fence/expired-lease", 1, 24),
    ("good-grant-refused", "refusals/without-reason", 0, 9),
    ("grant-against-all-needs", "grants/incapable-worker", 0, 9),
    ("grant-to-no-process", "grants/not-as-sent", 0, 7),
    ("grant-ttl-in-seconds", "grant-key/ttl", 0, 7),
    ("grant-twice-as-long", "reply-state/grant-length", 0, 7),
    ("grant-unlists", "eligible/not-listed", 0, 7),
    ("grant-upon-grant", "grants/second-grant", 0, 9),
    ("grant-without-lease", "at-most-once/grant-without-lease", 0, 9),
    ("grant-without-ttl", "grant-key/no-ttl", 0, 7),
    ("granted-and-not-eligible", "grant-key/outlives", 0, 7),
    ("half-a-completion", "refusal-writes/half-done", 0, 14),
    ("history-of-another-lease", "lease-history/other-lease", 0, 14),
    ("index-of-the-next-attempt", "fence/other-attempt", 0, 12),
    ("history-ends-with-the-lease", "lease-history/lost", 1, 33),
    ("input-overwritten", "creation/input-changed", 0, 14),
    ("keep-grant", "at-most-once/grant-left-behind", 0, 9),
    ("lease-half-as-long", "reply-state/lease-length", 0, 12),
    ("lease-of-another-name", "lease-record/identity", 0, 9),
    ("lease-of-the-next-epoch", "reply-state/lease", 0, 9),
    ("lease-outlives", "lease-record/outlives", 0, 14),
    ("leased-stays-eligible", "one-lease/live-lease", 0, 13),
    ("leased-to-nobody", "vector/combination", 0, 14),
    ("leftover-lease", "lease-record/leftover", 0, 14),
    ("no-fence", "fence/stale-lease", 1, 28),
    ("no-history-of-a-claim", "lease-history/missing", 1, 25),
    ("no-reason", "vector/reason", 0, 1),
    ("note-in-another-slot", "slot/written", 0, 14),
    ("old-worker-keeps-it", "indexes/worker-set-of-the-named", 1, 25),
    ("orphan", "indexes/orphan", 0, 1),
    ("other-lane-keys", "lane/index", 0, 9),
    ("phantom-lease", "fence/no-lease", 1, 13),
    ("public-state-left", "vector/public-state", 0, 9),
    ("refused-and-written", "refusal-writes/wrote", 0, 9),
    ("released-twice", "lease-history/uncalled-for", 0, 14),
    ("renewal-promises-more", "reply-state/late-expiry", 0, 12),
    ("renewal-raises", "raises/raised", 0, 12),
    ("renewed-in-core-only", "lease-record/deadline", 0, 12),
    ("renewed-record-in-seconds", "lease-record/no-record", 0, 12),
    ("result-of-the-latecomer", "terminal/other-result", 1, 15),
    ("result-with-a-blank", "reply-state/result", 0, 14),
    ("revive-lease", "fence/expired-lease", 1, 30),
    ("revoked-from-the-start", "lease-record/revoked-stamp", 0, 9),
    ("skip-epoch", "one-lease/epoch", 1, 25),
    ("stale-grant", "expiry/expired-grant", 1, 17),
    ("timeout-for-everyone", "timeout/inherited", 0, 9),
    ("unclamped-priority", "score/priority", 0, 1),
    ("unknown-code", "grammar/code", 1, 28),
    ("unknown-status", "grammar/status", 0, 14),
    ("unlisted-active", "indexes/missing", 0, 9),
    ("word-alone", "grammar/outside", 0, 12),
    ("word-of-no-meaning", "vector/word", 0, 14),
    ("wrong-lane-from-the-start", "lane/core", 0, 1),
    ("wrong-lane-in-core", "lane/core", 0, 9),
    ("wrong-lane-in-grant", "lane/grant", 0, 7),
];

/// The same in the scope `again`.
const AGAIN: &[(&str, &str, u8, usize)] = &[
    ("claim-by-reclaim-grant", "grants/reclaim-grant-claimed", 1, 50),
    ("retry-at-once", "delay/claimed-early", 0, 19),
    ("retry-of-a-cancelled-flow", "denial/flow-cancel", 0, 27),
];

#[test]
fn mutants_are_shown_by_histories_of_this_length_and_their_plans_show_the_same() {
    let show = |(name, kind, budget, length): &(&str, &str, u8, usize)| {
        let exploration = Exploration { depth: *length, ..world(mutant(name), "claim", *budget) };
        assert_shortest(&exploration, name, kind, |_| true);
    };
    in_two_threads(SHORTEST, show);
    for (name, kind, budget, length) in AGAIN {
        let exploration = Exploration { depth: *length, ..world(mutant(name), "again", *budget) };
        assert_shortest(&exploration, name, kind, |_| true);
    }
}

/// What a counterexample's plan says of what went wrong.
fn faults(name: &str, kind: &str, length: usize) -> Vec<Fault> {
    let kind: KindName = kind.parse().expect("a kind");
    let report = run(&Exploration { depth: length, ..world(mutant(name), "claim", 1) });
    let found = report.counterexamples.into_iter().find(|one| one.fingerprint.kind_name() == kind);
    found.expect("it is shown").plan.faults
}

#[test]
fn what_goes_wrong_is_a_fault_of_the_plan_and_what_is_held_is_an_arrival() {
    let call = |node, function, nth| CallRef {
        node: Some(node),
        function: Called::Function(function),
        execution: None,
        nth,
    };
    let again = faults("duplicate-of-another", "creation/other-duplicate", 6);
    let created = call(Node::Submitter, Function::CreateExecution, 1);
    assert!(matches!(&again[..], [Fault::RepeatRequest { call, .. }] if *call == created), "{again:?}");
    let still = faults("no-fence", "fence/stale-lease", 28);
    assert!(matches!(&still[..], [Fault::Pause { upon: Some(_), for_ms: 450, .. }]), "{still:?}");
    assert_eq!(faults("stale-grant", "expiry/expired-grant", 17), []);
}

#[test]
fn what_a_failover_excuses_is_there_and_its_plan_shows_it() {
    // By another name a property has no row in the contract.
    let strict = |entry: &'static Entry| -> &'static Entry {
        Box::leak(Box::new(Entry { name: format!("{}{STRICTLY}", entry.name).leak(), ..*entry }))
    };
    let entries = catalogue::always().map(strict).collect();
    let exploration = Exploration { entries, ..world(Library::published(), "failover", 1) };
    let mut excused = BTreeSet::new();
    for one in run(&exploration).counterexamples {
        let shown: Fingerprint =
            one.fingerprint.to_string().replace(STRICTLY, "").parse().expect("a fingerprint");
        assert!(
            matches!(&one.plan.faults[..], [Fault::Server { upon: Some(_), .. }]),
            "{:?}",
            one.plan.faults
        );
        assert!(shows(&one.plan, &exploration.subject, &shown), "{shown}: {:#?}", one.history);
        excused.insert(shown.kind_name().to_string());
    }
    assert_eq!(Vec::from_iter(excused), ["one-lease/epoch"]);
}

/// What a property is called that is asked whatever has happened.
const STRICTLY: &str = "-strictly";

/// Looks at the histories of the published library in a scope.
fn in_scope<T>(scope: &str, budget: u8, look: impl FnOnce(&Histories<'_>) -> T) -> T {
    let exploration = world(Library::published(), scope, budget);
    let deployment = exploration.deployment().expect("it loads");
    let Kind::World(world) = exploration.scope.kind else { panic!("a scope of calls") };
    look(&Histories::new(world, budget, &exploration.subject, &[], &deployment))
}

/// What became of a call: when, by whom, what, and what was answered.
type Answered = (u64, String, String);

/// A history of choices drawn at random, where it leads to, and its calls.
fn drawn(space: &Histories<'_>, seed: u64) -> (Vec<(State, Choice)>, State, Vec<Answered>) {
    let (mut dice, mut server) = (Random::new(seed), space.runner(None).expect("it loads"));
    let mut state = space.start(&mut server).expect("it starts");
    let (mut history, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let mut all = space.choices(&state);
        // What goes wrong is rarer than what does not.
        all.retain(|choice| choice.costs() == 0 || dice.below(8) == 0);
        if all.is_empty() {
            continue;
        }
        let choice = all.swap_remove(dice.index(all.len()));
        let (next, came) =
            space.step(&mut server, &state, &choice, &mut Violations::new()).expect("it can be taken");
        if let (Some(outcome), Choice::Arrives(.., what) | Choice::ComesAgain(.., what)) = (came, &choice) {
            let at_ms = match &choice {
                Choice::ComesAgain(_, at_ms, _) => *at_ms,
                _ => space.at_ms(&next),
            };
            answered.push((at_ms, what.to_string(), format!("{:?}", reply::answer(&outcome.reply))));
        }
        history.push((std::mem::replace(&mut state, next), choice));
    }
    (history, state, answered)
}

#[test]
fn the_run_of_a_plan_is_the_history_that_was_written_down_as_it() {
    let (mut wrong, mut failed_over, mut again) = (0, 0, 0);
    for (scope, budget) in [("claim", 2), ("again", 2), ("failover", 2)] {
        in_scope(scope, budget, |space| {
            for seed in 0..24 {
                let (history, end, answered) = drawn(space, seed);
                let plan = space.plan(&history, &end).expect("a plan");
                plan.check().unwrap_or_else(|error| panic!("{scope} {seed}: {error}"));
                let trace = drive::run(&plan, space.subject).expect("it runs");
                let ran: Vec<Answered> = trace
                    .events
                    .iter()
                    .filter_map(|event| match &event.what {
                        What::Executed(executed) => {
                            let args: Vec<&[u8]> = executed.args.iter().map(Vec::as_slice).collect();
                            let (function, execution) = called(&args, &trace.header.executions)?;
                            let what = choice::What {
                                client: executed.caller?,
                                name: function.to_string(),
                                execution,
                            }
                            .to_string();
                            let answer = format!("{:?}", reply::answer(&executed.reply));
                            Some((event.head.at.0 / 1_000, what, answer))
                        }
                        _ => None,
                    })
                    .collect();
                let told: Vec<String> = history.iter().map(|(_, choice)| choice.to_string()).collect();
                assert_eq!(ran, answered, "{scope} {seed}: {told:#?}");
                wrong += usize::from(history.iter().any(|(_, choice)| choice.costs() > 0));
                failed_over +=
                    plan.faults.iter().filter(|fault| fault.class() == FaultClass::Failover).count();
                again +=
                    plan.faults.iter().filter(|fault| matches!(fault, Fault::RepeatRequest { .. })).count();
            }
        });
    }
    assert!(wrong > 60 && failed_over > 12 && again > 20, "{wrong} {failed_over} {again}");
}

/// What may happen after a history, by name.
fn after(budget: u8, history: &[&str]) -> Vec<String> {
    in_scope("claim", budget, |space| {
        space.choices(&walked(space, history).state).iter().map(ToString::to_string).collect()
    })
}

#[test]
fn states_that_differ_in_one_thing_alone_are_two() {
    let changes: [fn(&mut State); 7] = [
        |state| state.now = state.now.after(1_000),
        |state| state.budget = 0,
        |state| drop(state.hosts.pop_last()),
        |state| drop(state.connections.pop()),
        |state| drop(state.copies.pop_last()),
        |state| state.past = Some(Vec::new()),
        |state| state.past = Some(vec![(state.now, state.keyspace.clone())]),
    ];
    in_scope("claim", 1, |space| {
        let state = walked(space, &[CREATES]).state;
        assert_eq!((state.connections.len(), state.copies.len()), (1, 1));
        assert_told_apart(space, &state, &changes);
    });
}

const CREATES: &str = "ff_create_execution of e1 by submitter";
const READS_TIME: &str = "TIME by scheduler-1";

#[test]
fn what_may_happen_is_what_is_in_flight_and_what_may_go_wrong_about_it() {
    assert_eq!(after(0, &[]), [CREATES, READS_TIME]);
    let wrong = ["", ", and its reply is lost", ": it is lost"].map(|how| format!("{CREATES}{how}"));
    assert_eq!(after(1, &[])[..3], wrong);
    assert_eq!(after(1, &[])[3..], [READS_TIME]);
    // Three are in flight.
    assert_eq!(after(3, &[])[4..], ["time goes on, and 3 requests are held"]);
}

#[test]
fn a_claim_may_be_lost_held_and_answered_to_nobody() {
    let history = [
        CREATES,
        READS_TIME,
        READS_TIME,
        "ZRANGEBYSCORE by scheduler-1",
        "ZRANGEBYSCORE by scheduler-1",
        "HGET by scheduler-1",
        "HGET by scheduler-1",
        "ff_issue_claim_grant of e1 by scheduler-1",
        "ff_issue_claim_grant of e1 by scheduler-1",
        "HGET by worker-1",
    ];
    let claims = "ff_claim_execution of e1 by worker-1";
    let all = after(1, &history);
    for how in [
        "",
        ", and its reply is lost",
        ": it is lost",
        ", and worker-1 crashes before the reply",
        ", and worker-1 stands still before the reply",
    ] {
        assert!(all.contains(&format!("{claims}{how}")), "{how}: {all:#?}");
    }
    assert!(all.contains(&"time goes on, and a request is held".to_owned()), "{all:#?}");
    // The grant lives for 300 ms: time goes on to the polls in between, and then to the millisecond before its end.
    let spent = after(0, &history);
    assert_eq!(spent, [claims]);
}
