//! Comparing libraries: a refactoring shows no difference, and an edit of a line shows itself and nothing else.

use std::{collections::BTreeSet, num::NonZero, sync::atomic::AtomicBool};

use crate::common::{MINIMAL, PUBLISHED, SHORT};
use grantsim::{
    compare::{Accepted, Comparison, Report},
    drive::Subject,
    library::Library,
    plan::token::Token,
};

/// Seeds of a test that finds nothing. `five_hundred_seeds` has more.
const SEEDS: u64 = 24;
/// Seeds in which most edits show all that they show.
const SOON: u64 = 4;

/// An edit of one line of one function of the published library.
struct Edit {
    name: &'static str,
    function: &'static str,
    from: &'static str,
    to: &'static str,
    /// Where it shows, from which seed on, and in how many seeds at most.
    profile: &'static str,
    first: u64,
    seeds: u64,
    /// What it shows, without the function's name.
    shows: &'static [&'static str],
}

const RENEW: &str = "ff_renew_lease";
const CLAIM: &str = "ff_claim_execution";
const CREATE: &str = "ff_create_execution";
const GRANT: &str = "ff_issue_claim_grant";
const COMPLETE: &str = "ff_complete_execution";
const FAIL: &str = "ff_fail_execution";
const MARK: &str = "ff_mark_lease_expired_if_due";
const PROMOTE: &str = "ff_promote_delayed";

#[rustfmt::skip]
const EDITS: &[Edit] = &[
    Edit { first: 4, ..edit("a lease is kept one millisecond longer", RENEW,
        "new_expires_at + A.lease_history_grace_ms)", "new_expires_at + A.lease_history_grace_ms + 1)",
        &["exec:lease:current/ttl/extra", "exec:lease:current/ttl/other"]) },
    edit("a renewal leaves out a time stamp", RENEW,
        r#""last_mutation_at", tostring(now_ms))"#, r#""last_mutation_at", core.last_mutation_at)"#,
        &["exec:core/field:last_mutation_at/missing"]),
    Edit { first: 4, ..edit("a renewal is due one millisecond later in the index", RENEW,
        "K.lease_expiry_key, new_expires_at,", "K.lease_expiry_key, new_expires_at + 1,",
        &["idx:lease_expiry/score/extra", "idx:lease_expiry/score/other"]) },
    edit("a renewal answers one field more", RENEW,
        "return ok(tostring(new_expires_at))", "return ok(tostring(new_expires_at), 'renewed')",
        &["reply/OK/field-2/extra"]),
    edit("a late renewal is refused with another code", RENEW,
        r#"return err("lease_expired")"#, r#"return err("lease_gone")"#,
        &["reply/lease_expired->lease_gone"]),
    edit("the scanner is told another reason", MARK,
        r#"ok_already_satisfied("already_expired")"#, r#"ok_already_satisfied("marked_before")"#,
        &["reply/ALREADY_SATISFIED/field-1/other"]),
    Edit { first: 4, ..edit("usage reports begin at one", CLAIM,
        r#""last_usage_report_seq", "0")"#, r#""last_usage_report_seq", "1")"#,
        // Another id in the arguments makes another key of it.
        &["attempt:#:usage/field:last_usage_report_seq/other",
            "ff:attempt:{}:x:#:usage/field:last_usage_report_seq/other"]) },
    edit("a claim writes a key more", CLAIM,
        r#"redis.call("SADD", K.worker_leases_key, A.execution_id)"#,
        r#"redis.call("SADD", K.worker_leases_key, A.execution_id) redis.call("SET", K.core_key .. ":mark", "1")"#,
        &["exec:core:mark/key/extra"]),
    edit("a claim is not listed among the active", CLAIM,
        r#"redis.call("ZADD", K.active_index_key, expires_at, A.execution_id)"#, "",
        &["idx:lane:active/member/missing"]),
    edit("a claim leaves its grant", CLAIM,
        r#"redis.call("DEL", K.claim_grant)"#, "",
        &["exec:claim_grant/key/missing"]),
    Edit { first: 4, ..edit("an epoch is skipped", CLAIM,
        r#"tonumber(core.current_lease_epoch or "0") + 1"#, r#"tonumber(core.current_lease_epoch or "0") + 2"#,
        &["attempt:#/field:lease_epoch/other", "exec:core/field:current_lease_epoch/other",
            "exec:lease:current/field:lease_epoch/other", "exec:lease:history/entry/other",
            "ff:attempt:{}:x:#/field:lease_epoch/other", "reply/OK/field-2/other"]) },
    edit("a lease's history says it in another word", CLAIM,
        r#""event", "acquired""#, r#""event", "claimed""#,
        &["exec:lease:history/entry/other"]),
    Edit { profile: "edge", first: 0, ..edit("a grant is over in its last millisecond", CLAIM,
        "tonumber(grant.grant_expires_at) < now_ms", "tonumber(grant.grant_expires_at) <= now_ms",
        &["reply/OK->claim_grant_expired"]) },
    edit("an execution begins with a retry", CREATE,
        r#""retry_count", "0""#, r#""retry_count", "1""#,
        &["exec:core/field:retry_count/other"]),
    edit("an execution has a field more", CREATE,
        r#""flow_id", "")"#, r#""flow_id", "", "note", "")"#,
        &["exec:core/field:note/extra"]),
    edit("an execution stands one place further back", CREATE,
        "(A.priority * 1000000000000) + now_ms", "(A.priority * 1000000000000) + now_ms + 1",
        &["idx:lane:eligible/score/other"]),
    edit("a grant does not expire by itself", GRANT,
        r#"redis.call("PEXPIREAT", K.claim_grant, grant_expires_at)"#, "",
        &["exec:claim_grant/ttl/missing"]),
    edit("a second grant is refused with a detail", GRANT,
        r#"return err("grant_already_exists")"#, r#"return err("grant_already_exists", A.execution_id)"#,
        &["reply/grant_already_exists/detail-1/extra"]),
    edit("a failure is spelt in another way", FAIL,
        r#""terminal_outcome", "failed""#, r#""terminal_outcome", "failure""#,
        &["exec:core/field:terminal_outcome/other"]),
    edit("a result is longer", COMPLETE,
        "K.result_key, A.result_payload)", r#"K.result_key, A.result_payload .. "!")"#,
        &["exec:result/text/extra", "exec:result/text/other"]),
    edit("a worker keeps a lease that is over", COMPLETE,
        r#"redis.call("SREM", K.worker_leases_key, A.execution_id)"#, "",
        &["idx:worker:w#-#.#:leases/member/missing"]),
    edit("a completion raises an error half way", COMPLETE,
        "-- Store result", "error('not today')",
        &["reply/OK->ERR"]),
    Edit { seeds: 3, ..edit("a completion never returns", COMPLETE,
        "-- Store result", "while true do end",
        &["never-returns/new"]) },
    edit("what is promoted waits at the end", PROMOTE,
        "(priority * 1000000000000) + created_at", "(priority * 1000000000000) + created_at + 7",
        &["idx:lane:eligible/score/other"]),
];

/// Edits that change how it is done, and not what.
#[rustfmt::skip]
const REFACTORINGS: &[Edit] = &[
    edit("a lease expires after a time instead of at one", RENEW,
        r#"redis.call("PEXPIREAT", K.lease_current,"#, r#"redis.call("PEXPIRE", K.lease_current, -now_ms +"#, &[]),
    edit("the result is written by another command", COMPLETE,
        r#"redis.call("SET", K.result_key, A.result_payload)"#,
        r#"redis.call("DEL", K.result_key) redis.call("APPEND", K.result_key, A.result_payload)"#, &[]),
    edit("the hash of a lease is written by another command", RENEW,
        r#"redis.call("HSET", K.lease_current,"#, r#"redis.call("HMSET", K.lease_current,"#, &[]),
];

const fn edit(
    name: &'static str,
    function: &'static str,
    from: &'static str,
    to: &'static str,
    shows: &'static [&'static str],
) -> Edit {
    Edit { name, function, from, to, profile: "swarm", first: SHORT.start, seeds: 20, shows }
}

impl Edit {
    /// The published library with this edit.
    fn applied(&self) -> Subject {
        let source = PUBLISHED.library.source();
        let begin =
            source.find(&format!("register_function('{}'", self.function)).expect("the function is there");
        let end =
            source[begin + 1..].find("register_function('").map_or(source.len(), |next| begin + 1 + next);
        let body = &source[begin..end];
        assert!(body.contains(self.from), "{}: {} has no {:?} any more", self.name, self.function, self.from);
        let edited = body.replacen(self.from, self.to, 1);
        library(self.name, &format!("{}{edited}{}", &source[..begin], &source[end..]))
    }
}

fn library(origin: &str, text: &str) -> Subject {
    let library = Library::from_source(origin, text).expect("its first line stays");
    Subject::new(library).unwrap_or_else(|error| panic!("{origin}: {error}"))
}

fn comparison(old: &Subject, new: &Subject, profile: &str, seeds: u64) -> Comparison {
    let first = if profile == "swarm" { SHORT.start } else { 0 };
    let first = Token::new(profile, first).expect("a profile");
    let mut comparison = Comparison::new(old.clone(), new.clone(), first).expect("both load");
    (comparison.seeds, comparison.shrink_runs) = (seeds, 0);
    comparison.jobs = NonZero::new(2).expect("two");
    comparison
}

fn report(comparison: &Comparison) -> Report {
    let report = comparison.run(&AtomicBool::new(false), |_| {});
    report.unwrap_or_else(|(token, error)| panic!("{token}: {error}"))
}

fn names(report: &Report) -> BTreeSet<String> {
    report.differences.iter().map(|found| found.difference.to_string()).collect()
}

/// A library with a comment after each line, and one more at the top: every line has another number.
fn commented(subject: &Subject) -> Subject {
    let (first, rest) = subject.library.source().split_once('\n').expect("more than a line");
    library("a commented copy", &format!("{first}\n-- A comment.\n{rest}\n-- Another.\n"))
}

/// The library with another spelling of every HSET.
fn spelt_hmset(subject: &Subject) -> Subject {
    library(
        "a library with HMSET",
        &subject.library.source().replace("\"HSET\"", "\"HMSET\"").replace("'HSET'", "'HMSET'"),
    )
}

fn assert_same(what: &str, old: &Subject, new: &Subject, seeds: u64) {
    let report = report(&comparison(old, new, "swarm", seeds));
    assert_eq!(names(&report), BTreeSet::new(), "{what}");
    assert_eq!(report.seeds, seeds, "{what}");
    assert!(report.calls > seeds * 10, "{what}: {} calls", report.calls);
}

#[test]
fn a_library_and_a_commented_copy_do_not_differ() {
    assert_same("the same", &PUBLISHED, &PUBLISHED, SEEDS);
    assert_same("a commented copy", &PUBLISHED, &commented(&PUBLISHED), SEEDS);
    assert_same("minimal.lua", &MINIMAL, &commented(&MINIMAL), SEEDS);
}

#[test]
#[ignore = "minutes in a debug build: run it with --release"]
fn a_library_and_a_commented_copy_do_not_differ_over_five_hundred_seeds() {
    assert_same("the same", &PUBLISHED, &PUBLISHED, 500);
    assert_same("a commented copy", &PUBLISHED, &commented(&PUBLISHED), 500);
}

#[test]
fn a_state_that_is_written_by_other_commands_is_no_difference() {
    for (what, subject) in [("published", &*PUBLISHED), ("minimal", &*MINIMAL)] {
        let report = report(&comparison(subject, &spelt_hmset(subject), "swarm", 8));
        assert_eq!(names(&report), BTreeSet::new(), "{what}");
        assert!(report.spelt_otherwise > 100, "{what}: {}", report.spelt_otherwise);
    }
    for refactoring in REFACTORINGS {
        let report = report(&comparison(&PUBLISHED, &refactoring.applied(), "swarm", 8));
        assert_eq!(names(&report), BTreeSet::new(), "{}", refactoring.name);
    }
}

#[test]
fn an_edit_of_a_line_shows_itself_and_nothing_else() {
    let mut wrong = Vec::new();
    for edit in EDITS {
        let expected: BTreeSet<_> =
            edit.shows.iter().map(|shown| format!("{}/{shown}", edit.function)).collect();
        let edited = edit.applied();
        let shown_by = |seeds| {
            let mut comparison = comparison(&PUBLISHED, &edited, edit.profile, seeds);
            comparison.first = Token::new(edit.profile, edit.first).expect("a profile");
            names(&report(&comparison))
        };
        // Most show themselves soon.
        let soon = shown_by(edit.seeds.min(SOON));
        let found = if soon.is_subset(&expected) && soon != expected { shown_by(edit.seeds) } else { soon };
        if found != expected {
            wrong.push(format!("{}: {found:?}, not {expected:?}", edit.name));
        }
    }
    assert!(EDITS.len() >= 20 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An edit that shows in most runs, by its name.
fn edited(name: &str) -> Subject {
    EDITS.iter().find(|edit| edit.name == name).expect("an edit").applied()
}

/// The published library with one piece of its text replaced wherever it stands.
fn replaced(from: &str, to: &str) -> Subject {
    let source = PUBLISHED.library.source();
    assert!(source.contains(from), "there is no {from:?} any more");
    library("a replacement", &source.replace(from, to))
}

#[test]
fn the_report_does_not_depend_on_the_number_of_jobs() {
    let new = edited("an epoch is skipped");
    let reports = [1, 3].map(|jobs| {
        let mut comparison = comparison(&PUBLISHED, &new, "crash", 6);
        comparison.jobs = NonZero::new(jobs).expect("jobs");
        comparison.shrink_runs = 12;
        report(&comparison)
    });
    assert!(reports[0].differences.len() > 3);
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn the_plan_of_a_difference_is_small_and_shows_it_again() {
    let new = edited("a renewal answers one field more");
    let mut comparison = comparison(&PUBLISHED, &new, "crash", 4);
    comparison.shrink_runs = 400;
    let report = report(&comparison);
    let found = &report.differences[0];
    let example = found.example.as_ref().expect("a plan shows it");
    assert!(example.minimal, "{}", example.size);
    assert_eq!(
        (example.size.executions, example.size.workers, example.size.faults),
        (1, 1, 0),
        "{}",
        example.size
    );
    let call = &example.call;
    assert_eq!(call.old_reply.replace('}', ", \"renewed\"}"), *call.new_reply.as_ref().expect("a reply"));
    assert_eq!(call.argv.len(), 7);
    let trace = crate::common::run(&example.plan, &PUBLISHED);
    let event = serde_json::to_string(&trace.events[call.event as usize]).expect("plain data");
    assert!(event.contains(RENEW), "{event}");
}

#[test]
fn of_all_plans_that_show_a_difference_the_smallest_is_kept() {
    let new = edited("a renewal answers one field more");
    let all = comparison(&PUBLISHED, &new, "crash", 6);
    let weight = |report: &Report| {
        let example = report.differences.first().and_then(|found| found.example.clone())?;
        let size = example.size;
        let parts = size.executions + size.workers + size.schedulers + size.faults + size.clocks;
        Some((parts, size.events, example.token))
    };
    let single = |seed| {
        let mut one = comparison(&PUBLISHED, &new, "crash", 1);
        one.first = all.first.with_seed(seed);
        weight(&report(&one))
    };
    let smallest = (0..6).filter_map(single).min().expect("some seed shows it");
    assert_eq!(weight(&report(&all)), Some(smallest));
}

#[test]
fn a_function_that_only_one_library_has_is_told_as_such_with_its_calls() {
    let new = replaced("register_function('ff_renew_lease'", "register_function('ff_prolong_lease'");
    let report = report(&comparison(&PUBLISHED, &new, "calm", 3));
    assert_eq!(
        names(&report),
        ["ff_prolong_lease/only-in-new", "ff_renew_lease/only-in-old"].map(str::to_owned).into()
    );
    let calls: Vec<_> =
        report.differences.iter().map(|found| (found.calls > 0, found.example.is_some())).collect();
    assert_eq!(calls, [(true, true), (false, false)]);
    assert!(!report.not_called.is_empty());
}

#[test]
fn a_function_of_the_old_library_that_never_returns_is_a_difference_and_no_error() {
    let old = edited("a completion never returns");
    let report = report(&comparison(&old, &PUBLISHED, "calm", 1));
    assert_eq!(names(&report), BTreeSet::from([format!("{COMPLETE}/never-returns/old")]));
}

#[test]
fn a_function_that_never_returns_is_waited_for_once_a_run() {
    let report = report(&comparison(&PUBLISHED, &edited("a completion never returns"), "calm", 1));
    assert_eq!(report.differences[0].calls, 1);
    assert!(report.passed_over > 0);
}

#[test]
fn what_is_drawn_at_random_is_no_difference() {
    let (from, to) = ("return ok(tostring(new_expires_at))", "return ok(tostring(math.random()))");
    let old = replaced(from, to);
    assert_same("a random reply", &old, &commented(&old), 3);
    let other = replaced(from, "return ok(tostring(math.random() + 1))");
    let report = report(&comparison(&old, &other, "swarm", 3));
    assert_eq!(names(&report), BTreeSet::from([format!("{RENEW}/reply/OK/field-1/other")]));
}

#[test]
fn where_one_library_refuses_what_the_other_writes_is_part_of_one_difference() {
    let new = replaced(r#"if core.ownership_state ~= "unowned" then"#, r#"if core.priority then"#);
    let report = report(&comparison(&PUBLISHED, &new, "calm", 2));
    let expected = format!("{CLAIM}/reply/OK->lease_conflict");
    assert!(names(&report).contains(&expected), "{:?}", names(&report));
    assert!(!names(&report).iter().any(|name| name.starts_with(CLAIM) && name.ends_with("missing")));
    let found = report.differences.iter().find(|found| found.difference.to_string() == expected);
    let rows = &found.expect("it is there").example.as_ref().expect("a call").call.rows;
    assert!(rows.len() > 20, "the rows show what was not written: {}", rows.len());
}

#[test]
fn accepted_differences_do_not_count_and_those_that_are_gone_are_told() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("accepted.json");
    let _ = std::fs::remove_file(&path);
    assert_eq!(Accepted::read(&path).expect("no file is no error"), None);
    let new = edited("an epoch is skipped");
    let mut different = report(&comparison(&PUBLISHED, &new, "calm", 2));
    assert!(!different.is_accepted());
    Accepted::all_of(&different).write_new(&path).expect("a new file");
    Accepted::all_of(&different).write_new(&path).expect_err("what was reviewed is not written over");

    let accepted = Accepted::read(&path).expect("it was just written").expect("it is there");
    accepted.mark(&mut different);
    assert!(different.is_accepted() && different.not_met.is_empty());

    let mut more = report(&comparison(&PUBLISHED, &edited("a claim leaves its grant"), "calm", 2));
    accepted.mark(&mut more);
    assert!(!more.is_accepted());
    assert_eq!(more.not_met.len(), different.differences.len());

    std::fs::write(&path, r#"{ "accepted": [{ "differnce": "x" }] }"#).expect("a file");
    let error = Accepted::read(&path).expect_err("a word that is no field").to_string();
    assert!(error.contains("accepted.json") && error.contains("differnce"), "{error}");
}
