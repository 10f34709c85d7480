//! Exact counts, the same for any number of threads; the shortest histories of mutants; and that each of them is shown again by
//! the plan that it becomes.

use std::{num::NonZero, sync::atomic::AtomicBool, time::Duration};

use super::*;
use crate::{
    explore::{
        CALLS, Exploration, Report, Why,
        scope::Kind,
        testing::{
            Walked, assert_shortest, assert_told_apart, counts, exploration, in_two_threads, minimal, mutant,
            run, shows, walked,
        },
    },
    finding::Finding,
    library::Library,
    plan::{Part, Plan},
    property::KindName,
};

#[test]
fn the_counts_of_the_published_library_are_these() {
    let published = Library::published;
    assert_eq!(counts(published(), "one", 4), [(1, 0), (3, 4), (30, 120), (213, 1_267), (1_252, 9_288)]);
    assert_eq!(counts(published(), "two", 4), [(1, 0), (2, 3), (10, 39), (40, 261), (164, 1_294)]);
    assert_eq!(counts(published(), "flow", 3), [(1, 0), (10, 27), (93, 343), (825, 3_570)]);
    assert_eq!(counts(published(), "admission", 3), [(1, 0), (12, 18), (140, 309), (1_361, 4_196)]);
    assert_eq!(counts(published(), "registry", 4), [(1, 0), (5, 7), (19, 50), (79, 163), (261, 784)]);
}

#[test]
fn the_counts_of_the_minimal_library_are_these() {
    let one = [(1, 0), (1, 4), (1, 8), (4, 13), (9, 46), (20, 105), (29, 221), (61, 335), (108, 705)];
    assert_eq!(counts(minimal(), "one", 8), one);
    let two = [(1, 0), (1, 3), (2, 9), (6, 26), (23, 88), (82, 362), (305, 1_396)];
    assert_eq!(counts(minimal(), "two", 6), two);
}

#[test]
fn the_minimal_library_breaks_nothing() {
    for scope in CALLS {
        assert_eq!(run(&exploration(minimal(), scope.name, 4)).counterexamples, [], "{}", scope.name);
    }
}

#[test]
fn the_published_library_breaks_nothing_but_what_is_known_and_the_plan_of_each_kind_shows_it() {
    let known = Finding::all();
    for scope in CALLS {
        let depth = if ["flow", "admission"].contains(&scope.name) { 3 } else { 4 };
        let exploration = exploration(Library::published(), scope.name, depth);
        for one in run(&exploration).counterexamples {
            assert!(Finding::among(&known, &one.fingerprint).is_some(), "{}: {one:?}", one.fingerprint);
            assert!(shows(&one.plan, &exploration.subject, &one.fingerprint), "{}", one.fingerprint);
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut exploration = exploration(Library::published(), "one", 4);
    let mut of = |jobs| {
        exploration.jobs = NonZero::new(jobs).expect("some");
        Report { elapsed: Duration::ZERO, ..run(&exploration) }
    };
    let one = of(1);
    assert_eq!(one, of(2));
    assert_eq!(one, of(5));
}

/// A mutant, a kind of violation that it is there for, the scope, and how many choices the shortest history has that shows it.
const SHORTEST: &[(&str, &str, &str, usize)] = &[
    ("another-input", "creation/other-input", "one", 1),
    ("asleep-at-once", "transition/phase", "one", 3),
    ("attempt-of-another-lease", "attempts/identity", "one", 3),
    ("attempt-uncounted", "attempts/count", "one", 3),
    ("attempt-unrecorded", "attempts/state", "one", 3),
    ("back-from-the-dead", "terminal/revived", "one", 3),
    ("backoff-in-seconds", "retries/backoff", "one", 3),
    ("claim-without-grant", "expiry/no-grant", "one", 2),
    ("closed-from-the-start", "suspension/no-waitpoint", "one", 3),
    ("condition-left-open", "waitpoints/condition-left-open", "one", 4),
    ("condition-unwritten", "suspension/no-condition", "one", 3),
    ("created-as-running", "reply-state/field", "one", 1),
    ("deadline-lost", "timeout/lost", "one", 3),
    ("delay-published", "published/uncalled-for", "one", 3),
    ("delayed-and-active", "indexes/in-active", "one", 3),
    ("detail-missing", "grammar/fields", "one", 3),
    ("details-of-another", "reply-state/details", "one", 2),
    ("done-and-still-held", "indexes/worker-set", "one", 3),
    ("due-in-seconds", "score/due", "one", 1),
    ("duplicate-of-another", "creation/other-duplicate", "one", 2),
    ("end-again", "fence/no-lease", "one", 3),
    ("ended-execution-ends-otherwise", "terminal/other-outcome", "one", 3),
    ("expired-as-revoked", "fence/revoked-lease", "one", 4),
    ("expired-from-the-start", "transition/ownership", "one", 3),
    ("failure-as-success", "reply-state/outcome", "one", 3),
    ("finish-late", "fence/expired-lease", "one", 4),
    ("forgotten-delay", "delay/no-time", "one", 3),
    ("former-owner", "fence/former-owner", "one", 4),
    ("frame-counted-twice", "streams/miscounted", "one", 3),
    ("frame-lost", "streams/lost", "one", 3),
    ("frame-without-words", "streams/not-as-sent", "one", 3),
    ("given-up-at-once", "retries/given-up", "one", 3),
    ("good-grant-refused", "refusals/without-reason", "one", 3),
    ("grant-against-all-needs", "grants/incapable-worker", "one", 3),
    ("grant-to-no-process", "grants/not-as-sent", "one", 2),
    ("grant-ttl-in-seconds", "grant-key/ttl", "one", 2),
    ("grant-twice-as-long", "reply-state/grant-length", "one", 2),
    ("grant-unlists", "eligible/not-listed", "one", 2),
    ("grant-upon-grant", "grants/second-grant", "one", 3),
    ("grant-without-lease", "at-most-once/grant-without-lease", "one", 3),
    ("grant-without-ttl", "grant-key/no-ttl", "one", 2),
    ("granted-and-not-eligible", "grant-key/outlives", "one", 2),
    ("granted-and-not-eligible", "grants/outlived", "one", 2),
    ("half-a-completion", "refusal-writes/half-done", "one", 3),
    ("history-of-another-lease", "lease-history/other-lease", "one", 3),
    ("ignored-delay", "eligible/delayed-set-before-its-time", "one", 1),
    ("input-overwritten", "creation/input-changed", "one", 3),
    ("keep-grant", "at-most-once/grant-left-behind", "one", 3),
    ("lease-half-as-long", "reply-state/lease-length", "one", 3),
    ("lease-of-another-name", "lease-record/identity", "one", 3),
    ("lease-of-the-next-epoch", "reply-state/lease", "one", 3),
    ("lease-outlives", "lease-record/outlives", "one", 3),
    ("leased-to-nobody", "vector/combination", "one", 3),
    ("leftover-lease", "lease-record/leftover", "one", 3),
    ("let-go-and-blocked", "indexes/in-blocked", "one", 3),
    ("listed-among-active", "eligible/other-set", "one", 3),
    ("listed-nowhere", "eligible/not-listed", "one", 3),
    ("never-due", "refusals/said-not-due", "one", 3),
    ("no-reason", "vector/reason", "one", 1),
    ("note-in-another-slot", "slot/written", "one", 3),
    ("orphan", "indexes/orphan", "one", 1),
    ("pending-is-active", "waitpoints/pending-index", "one", 3),
    ("phantom-lease", "fence/no-lease", "one", 2),
    ("promoted-and-delayed", "indexes/in-eligible", "one", 3),
    ("public-state-left", "vector/public-state", "one", 3),
    ("record-of-another-waitpoint", "suspension/no-record", "one", 3),
    ("refused-and-written", "refusal-writes/wrote", "one", 3),
    ("refused-waitpoint-is-there", "refusal-writes/created", "one", 2),
    ("released-twice", "lease-history/uncalled-for", "one", 3),
    ("renewal-promises-more", "reply-state/late-expiry", "one", 3),
    ("renewal-raises", "raises/raised", "one", 2),
    ("renewed-record-in-seconds", "lease-record/no-record", "one", 3),
    ("replay-touches-the-attempt", "terminal/attempt-touched", "one", 3),
    ("replay-without-end", "terminal/uncounted", "one", 3),
    ("replayed-and-terminal", "indexes/in-terminal", "one", 3),
    ("result-with-a-blank", "reply-state/result", "one", 3),
    ("stored-nonsense", "raises/on-what-it-stored", "one", 2),
    ("stream-that-fades", "streams/expiry", "one", 3),
    ("suspended-for-nothing", "signals/satisfied-wait", "one", 3),
    ("suspension-without-timeout", "suspension/timeout-index", "one", 3),
    ("timeout-for-everyone", "timeout/inherited", "one", 3),
    ("timeout-not-armed", "timeout/not-armed", "one", 3),
    ("unblocked-into-nothing", "eligible/not-listed", "one", 3),
    ("unclamped-priority", "score/priority", "one", 1),
    ("unknown-code", "grammar/code", "one", 2),
    ("unknown-status", "grammar/status", "one", 3),
    ("unlisted-active", "indexes/missing", "one", 3),
    ("waitpoint-without-a-token", "waitpoints/no-token", "one", 3),
    ("word-alone", "grammar/outside", "one", 2),
    ("word-of-no-meaning", "vector/word", "one", 3),
    ("work-before-its-time", "delay/eligible-early", "one", 2),
    ("wrong-lane-from-the-start", "lane/core", "one", 1),
    ("wrong-lane-in-grant", "lane/grant", "one", 2),
    ("wrong-reason", "denial/other-reason", "one", 2),
    ("admission-guard-in-seconds", "admission/forgotten", "admission", 1),
    ("admission-guard-stays", "admission/not-released", "admission", 2),
    ("admission-not-released", "quota/counter", "admission", 3),
    ("admitted-and-not-counted", "quota/counter", "admission", 2),
    ("admitted-under-another-id", "admission/not-recorded", "admission", 1),
    ("budget-of-nobody", "budget/not-as-sent", "admission", 1),
    ("budget-period-doubled", "budget/reset-time", "admission", 2),
    ("budget-reset-early", "budget/reset-index", "admission", 1),
    ("cap-one-too-low", "admission/refused-below-limit", "admission", 1),
    ("always-new", "registry/outcome", "registry", 2),
    ("beat-of-the-dead", "registry/revived", "registry", 1),
    ("admitted-unrecorded", "admission/not-recorded", "admission", 1),
    ("budget-without-a-definition", "budget/no-limits", "admission", 1),
    ("half-a-hard-limit", "budget/refused-within-limit", "admission", 2),
    ("hard-limit-ignored", "budget/over-hard", "admission", 3),
    ("hard-limit-inclusive", "budget/refused-within-limit", "admission", 2),
    ("ledger-double", "budget/ledger", "admission", 1),
    ("ledger-double", "budget/ledger-over-usage", "admission", 1),
    ("quota-without-a-cap", "admission/not-as-sent", "admission", 1),
    ("rate-ignored", "admission/over-rate", "admission", 3),
    ("release-the-wrong-way-round", "admission/not-released", "admission", 2),
    ("released-below-zero", "quota/negative", "admission", 2),
    ("report-counted-before", "budget/never-counted", "admission", 1),
    ("report-not-remembered", "budget/not-remembered", "admission", 1),
    ("soft-limit-unsaid", "budget/soft-limit", "admission", 2),
    ("usage-not-counted", "budget/miscounted", "admission", 1),
    ("blocked-child-is-claimed", "dependencies/claimed-while-open", "flow", 3),
    ("cancel-leaves-no-backlog", "flow-life/backlog", "flow", 1),
    ("cancel-leaves-no-backlog", "flow-life/not-owed", "flow", 1),
    ("cancel-not-published", "published/missing", "flow", 1),
    ("cancelled-once-more", "flow-life/cancelled-after-end", "flow", 1),
    ("completed-by-its-first-member", "edges/after-end", "flow", 1),
    ("edge-ends-where-it-begins", "edges/adjacency", "flow", 1),
    ("edge-ends-where-it-begins", "edges/cycle", "flow", 1),
    ("edge-not-counted", "edges/edge-count", "flow", 1),
    ("edge-of-another-flow", "dependencies/of-another-flow", "flow", 1),
    ("edge-stays-unresolved", "dependencies/count", "flow", 3),
    ("edge-without-a-state", "dependencies/not-as-sent", "flow", 1),
    ("flow-reopens", "flow-life/reopened", "flow", 2),
    ("impossible-not-counted", "dependencies/impossible-count", "flow", 3),
    ("let-run-cancels", "edge-groups/let-run", "flow", 3),
    ("member-again-elsewhere", "flow-life/second-flow", "flow", 1),
    ("never-skipped", "dependencies/not-skipped", "flow", 3),
    ("no-history-of-a-claim", "lease-history/missing", "flow", 3),
    ("not-published", "published/missing", "flow", 2),
    ("policy-of-another-kind", "edge-groups/not-as-sent", "flow", 1),
    ("published-twice", "published/twice", "flow", 1),
    ("revision-falls", "flow-life/revision-fell", "flow", 1),
    ("satisfied-by-its-first-edge", "edge-groups/too-early", "flow", 1),
    ("siblings-of-all-kinds", "edge-groups/flag", "flow", 3),
    ("success-published-as-failure", "published/other-outcome", "flow", 2),
    ("heartbeat-denied", "registry/denied", "registry", 2),
    ("worker-not-indexed", "registry/not-indexed", "registry", 1),
    ("worker-undescribed", "registry/description", "registry", 1),
    ("worker-undescribed", "registry/half", "registry", 1),
    ("worker-without-ttl", "registry/ttl", "registry", 1),
];

/// A shortest history of four choices in a scope, and the mutants that are shown by its last one, each with a kind of violation that
/// it is there for.
type Four = (&'static str, [&'static str; 4], &'static [(&'static str, &'static str)]);

const FOUR: &[Four] = &[
    (
        "admission",
        [
            "create the quota",
            "ask whether the quota admits e1",
            "wait for the end of the window of e1",
            "ask whether the quota admits e2",
        ],
        &[("cap-ignored", "quota/over-cap")],
    ),
    (
        "flow",
        ["grant and claim e1 by w2", "complete e1", "apply the edge e1 to e3", "resolve e1 to e3: success"],
        &[
            ("edge-stays-unresolved", "dependencies/eligible-while-open"),
            ("group-not-counted", "edge-groups/counters"),
            ("never-promoted", "dependencies/not-promoted"),
            ("never-promoted", "edge-groups/too-late"),
        ],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "suspend e1", "signal e1 to go"],
        &[
            ("no-signal-ends-it", "resume-condition/still-waiting"),
            ("record-of-an-operator", "resume-condition/not-by-signal"),
            ("record-of-many-signals", "resume-condition/too-soon-composite"),
            ("signal-fails-it", "signals/outcome"),
            ("signal-gives-priority", "signals/priority"),
            ("signal-lost", "resume-condition/too-soon"),
            ("signal-lost", "signals/lost"),
            ("signal-of-nobody", "signals/not-as-sent"),
            ("signal-takes-the-lease", "signals/lease"),
            ("suspension-left-open", "suspension/left-open"),
        ],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "complete e1", "replay e1"],
        &[("replays-without-limit", "terminal/over-the-limit")],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "suspend e1", "cancel e1 by its holder"],
        &[("resumed-without-a-cause", "suspension/no-cause")],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "wait for the lease's end of e1", "renew the lease of e1"],
        &[("revive-lease", "fence/expired-lease")],
    ),
    (
        "flow",
        [
            "cancel e1 by override",
            "stage the edge e1 to e3",
            "apply the edge e1 to e3",
            "resolve e1 to e3: failed",
        ],
        &[("siblings-of-all-kinds", "edge-groups/siblings")],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "append a frame of e1", "append a frame of e1"],
        &[("stream-closed-by-its-first-frame", "streams/after-close")],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "append a frame of e1", "complete e1"],
        &[("stream-left-open", "streams/left-open")],
    ),
    (
        "one",
        ["create e1", "issue a grant of e1 to w1", "claim e1 by w1 with a timeout", "complete e1"],
        &[("timeout-outlives", "timeout/left")],
    ),
    (
        "one",
        ["create e1", "grant and claim e1 by w1", "create a waitpoint of e1", "buffer a signal for e1 to go"],
        &[
            ("token-of-an-old-secret", "signals/dead-secret"),
            ("waitpoint-of-another", "signals/other-execution"),
        ],
    ),
];

#[test]
fn mutants_are_shown_by_histories_of_this_length_and_their_plans_show_the_same() {
    let known = Finding::all();
    let show = |(name, kind, scope, length): &(&str, &str, &str, usize)| {
        let exploration = exploration(mutant(name), scope, *length);
        assert_shortest(&exploration, name, kind, |one| Finding::among(&known, &one.fingerprint).is_none());
    };
    in_two_threads(SHORTEST, show);
}

/// Looks at the histories of a library in a scope.
fn in_scope(library: Library, scope: &str, look: impl FnOnce(&Histories<'_>)) {
    let exploration = exploration(library, scope, 4);
    let deployment = exploration.deployment().expect("it loads");
    let Exploration { subject, dialect, entries, scope, .. } = &exploration;
    let Kind::Calls(calls) = scope.kind else { panic!("a scope of a world") };
    look(&Histories::new(calls, subject, *dialect, entries, &deployment));
}

#[test]
fn other_mutants_are_shown_by_the_last_of_four_choices_and_their_plans_show_the_same() {
    for (scope, choices, mutants) in FOUR {
        for (name, kind) in *mutants {
            in_scope(mutant(name), scope, |space| {
                let Walked { history, state, found } = walked(space, choices);
                let kind: KindName = kind.parse().expect("a kind");
                let shown = found.keys().find(|fingerprint| fingerprint.kind_name() == kind);
                let shown = shown.unwrap_or_else(|| panic!("{name}: {:?}", found.keys()));
                let plan = space.plan(&history, &state).expect("a plan");
                assert!(shows(&plan, space.subject, shown), "{name}: the plan of {kind:?}");
            });
        }
    }
}

#[test]
fn states_that_differ_in_one_thing_alone_are_two() {
    in_scope(Library::published(), "one", |space| {
        let changes: [fn(&mut State); 5] = [
            |state| state.keyspace = Keyspace::default(),
            |state| state.now.0 += 1,
            |state| state.remembered.key += 1,
            |state| state.known.worker = true,
            |state| state.known.execution = true,
        ];
        assert_told_apart(space, &walked(space, &[]).state, &changes);
    });
}

#[test]
fn a_call_can_be_cut_from_a_plan_but_for_the_last() {
    let report = run(&exploration(Library::published(), "one", 2));
    let plan = &report.counterexamples.first().expect("it cancels what nobody owns").plan;
    let calls = |plan: &Plan| plan.parts().iter().filter(|part| matches!(part, Part::Call(_))).count();
    assert_eq!(calls(plan), plan.calls.len());
    let cut = plan.without(&Part::Call(0)).expect("it has more");
    assert_eq!(cut.calls, plan.calls[1..]);
    let mut last = plan.clone();
    last.calls.truncate(1);
    assert_eq!(last.without(&Part::Call(0)), None);
    assert_eq!(last.without(&Part::Call(7)), None);
}

/// The published library with an upvalue of the function that creates, which does this with it.
fn keeping(does: &str) -> Exploration {
    let create = "redis.register_function('ff_create_execution', function(keys, args)\n";
    let source = Library::published().source().to_owned();
    assert!(source.contains(create), "the published library has changed");
    let edited = source.replacen(create, &format!("local kept\n{create}  {does}\n"), 1);
    exploration(Library::from_source("keeping.lua", &edited).expect("a library"), "one", 3)
}

#[test]
fn a_library_that_keeps_something_from_call_to_call_is_refused() {
    let explored =
        keeping("kept = (kept or 0) + 1; args[6] = tostring(kept)").run(&AtomicBool::new(false), &|_| {});
    let said = explored.expect_err("it is refused").to_string();
    assert!(said.contains("it keeps something from call to call"), "{said}");
    assert!(said.contains("create e1"), "{said}");
    // What is kept and makes no difference is nobody's concern.
    let same = run(&keeping("kept = kept or args[3]; args[3] = kept"));
    let published = run(&exploration(Library::published(), "one", 3));
    assert_eq!(same.levels, published.levels);
}

#[test]
fn an_exploration_that_is_stopped_tells_what_it_has() {
    let mut exploration = exploration(Library::published(), "one", 12);
    exploration.max_states = 200;
    let report = run(&exploration);
    assert_eq!((report.cut, report.levels.len()), (Some(Why::States), 4));
    let stopped = exploration.run(&AtomicBool::new(true), &|_| {}).expect("it can be explored");
    assert_eq!((stopped.cut, stopped.states()), (Some(Why::Asked), 1));
    exploration.limit = Some(Duration::ZERO);
    assert_eq!(run(&exploration).cut, Some(Why::Time));
}
