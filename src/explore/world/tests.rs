//! Exact counts, the same for any number of threads; the shortest histories of mutants; and that each of them is shown again by
//! the plan that it becomes.

use std::{collections::BTreeSet, num::NonZero, time::Duration};

use super::{choice::choices, *};
use crate::{
    explore::{
        Exploration, Report, Scope,
        testing::{assert_shortest, exploration, in_two_threads, minimal, mutant, run},
    },
    library::Library,
    plan::{CallRef, Called, Fault},
    property::KindName,
    types::Function,
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
    assert_eq!(one, [(3_951, 4_984, 64), (4_502, 6_054, 64)]);
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

/// A mutant, a kind of violation that it is there for, how much has to go wrong, and how many choices the shortest history has
/// that shows it.
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

#[test]
fn mutants_are_shown_by_histories_of_this_length_and_their_plans_show_the_same() {
    let show = |(name, kind, budget, length): &(&str, &str, u8, usize)| {
        let exploration = Exploration { depth: *length, ..world(mutant(name), "claim", *budget) };
        assert_shortest(&exploration, name, kind, |_| true);
    };
    in_two_threads(SHORTEST, show);
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

/// Walks a history by the names of its choices, and looks at where it leads to.
fn walked<T>(budget: u8, history: &[&str], look: impl FnOnce(&Histories<'_>, State) -> T) -> T {
    let subject = Subject::new(Library::published()).expect("it loads");
    let claim_function = subject.load(Default::default(), 0).expect("it loads").claim_function;
    let plan = Scope::named("claim").expect("a scope").plan();
    let deployment = Deployment::new(&plan, subject.functions.clone(), claim_function);
    let space = Histories::new(budget, &subject, &[], &deployment);
    let mut server = space.runner(false).expect("it loads");
    let mut state = space.start(&mut server).expect("it starts");
    for name in history {
        let all = choices(&space, &state);
        let choice = all.iter().find(|choice| choice.to_string() == *name);
        let choice = choice.unwrap_or_else(|| panic!("{name} is none of {all:#?}"));
        state = space.step(&mut server, &state, choice, &mut Violations::new()).expect("it can be taken").0;
    }
    look(&space, state)
}

/// What may happen after a history, by name.
fn after(budget: u8, history: &[&str]) -> Vec<String> {
    walked(budget, history, |space, state| choices(space, &state).iter().map(ToString::to_string).collect())
}

#[test]
fn states_that_differ_in_one_thing_alone_are_two() {
    let changes: [fn(&mut State); 5] = [
        |state| state.now = state.now.after(1_000),
        |state| state.budget = 0,
        |state| drop(state.hosts.pop_last()),
        |state| drop(state.connections.pop()),
        |state| drop(state.copies.pop_last()),
    ];
    walked(1, &[CREATES], |space, state| {
        assert_eq!((state.connections.len(), state.copies.len()), (1, 1));
        let others = changes.map(|change| {
            let mut other = state.clone();
            change(&mut other);
            space.key(&other)
        });
        let all: BTreeSet<StateKey> = others.into_iter().chain([space.key(&state)]).collect();
        assert_eq!(all.len(), 6);
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
