//! Failure blocks of runs that are written by hand: what survives, what is left out, and what is said beside it.

use super::{Detail, Failure, SCREEN_COLUMNS, SCREEN_LINES, failure, timeline, timeline_of};
use crate::{
    plan::{Plan, WrongClock, token::Token},
    property::testing::Story,
    trace::What,
    types::{ExecutionName, Node},
};

const REPLAY: &str = "grantsim replay TOKEN --timeline";

fn block(story: &Story, fingerprint: &str, plan: Option<&Plan>, seeds: Option<u64>) -> String {
    let trace = story.trace().expect("no power loss");
    let verdict = story.verdict();
    let violation = verdict.violations.iter().find(|it| it.fingerprint.to_string() == fingerprint);
    let violation = violation.unwrap_or_else(|| panic!("no {fingerprint} in {:?}", story.fingerprints()));
    let told = failure(&Failure { violation, trace: &trace, plan, replay: REPLAY, seeds });
    assert!(told.lines().count() <= SCREEN_LINES, "{told}");
    for line in told.lines().filter(|line| !line.contains(REPLAY)) {
        assert!(line.chars().count() <= SCREEN_COLUMNS, "{line}");
    }
    told
}

fn of(story: &Story, fingerprint: &str) -> String {
    block(story, fingerprint, None, None)
}

#[track_caller]
fn assert_says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "it does not say {part:?}:\n{told}");
    }
}

const STALE: &str = "fence/ff_renew_lease/OK/stale-lease";

/// The first lease is lost while its worker stands still; then there are many renewals of the second, and at last one of
/// the first.
fn paused(renewals: i64) -> Story {
    let leased = Story::new().created(0).granted(10, 50).claimed(20, 1, 100);
    let leased = leased.event(Node::Worker(1), None, What::Paused).event(Node::Worker(9), None, What::Paused);
    let again = leased.marked(100).reclaim_granted(110, 200).reclaimed(120, 2, 300);
    let renewed = (1..=renewals).fold(again, |story, n| story.renewed(120 + n, 2, 300 + n));
    let resumed = renewed.event(Node::Worker(1), None, What::Resumed);
    resumed.renewed(130 + renewals, 1, 900)
}

#[test]
fn a_pause_long_before_the_violation_is_in_its_block_and_that_of_a_stranger_is_not() {
    // More than are tried: what is connected with nothing has no chance.
    let story = paused(300);
    let trace = story.trace().expect("no power loss");
    let life = timeline(&trace, Detail::Life);
    let at = |part: &str| life.lines().position(|line| line.contains(part)).expect(part);
    assert!(at("ff_renew_lease e1: OK  (worker-1; stale, epoch 2 is current") > at("! stands still") + 150);
    let told = of(&story, STALE);
    assert_says(
        &told,
        &[
            "worker-1       ! stands still",
            "worker-1       ! goes on",
            "ff_create_execution e1: OK",
            "claim grant of +10 for e1: w, w-1; lane gold; valid to +50",
            "lease of e1: no worker; epoch 1; until +100; id l1",
            "lease of e1: no worker; epoch 2; until +300; id l2",
            "ff_mark_lease_expired_if_due e1: OK",
        ],
    );
    assert!(!told.contains("worker-9"), "{told}");
}

#[test]
fn the_line_that_broke_is_marked_and_no_other() {
    let told = of(&paused(150), STALE);
    let marked: Vec<&str> = told.lines().filter(|line| line.starts_with("  > ")).collect();
    assert_eq!(marked.len(), 1, "{told}");
    assert!(
        marked[0].contains("ff_renew_lease e1: OK  (worker-1; stale, epoch 2 is current; epoch 1, id l1)")
    );
    // What it wrote is all that stands below it.
    let after = told.lines().skip_while(|line| !line.starts_with("  > ")).skip(1);
    assert_eq!(
        after.filter(|line| !line.contains('└') && !line.starts_with("  left out")).count(),
        0,
        "{told}"
    );
}

/// The entries of a timeline or a block: the lines that begin with a time.
fn entries(text: &str) -> usize {
    let is_entry =
        |line: &&str| line.trim_start_matches(['>', ' ']).starts_with(|c: char| c.is_ascii_digit());
    text.lines().filter(is_entry).count()
}

#[test]
fn the_elisions_add_up_to_what_the_command_shows() {
    for renewals in [0, 3, 20, 150] {
        let story = paused(renewals);
        let told = of(&story, STALE);
        let (_, excerpt) = told.split_once("time/ms").expect("a heading");
        let left: usize = excerpt
            .lines()
            .filter_map(|line| {
                line.trim_start().strip_prefix("…  ")?.strip_suffix(" left out")?.parse::<usize>().ok()
            })
            .sum();
        let only = ["e1".parse().expect("a name")];
        let trace = story.trace().expect("no power loss");
        let all = timeline_of(&trace, Detail::Life, &only).expect("it is there");
        // The last line of the timeline says how the run ended.
        let all = entries(&all) - 1;
        assert_eq!(entries(excerpt.split("  left out:").next().expect("a text")) + left, all, "{told}");
        let rest = format!("  left out:    {left} of {all} entries about e1: {REPLAY} --execution e1\n");
        assert_eq!(told.contains(&rest), left > 0, "{told}");
        assert_eq!(left == 0, renewals < 20, "{told}");
    }
}

#[test]
fn a_clock_step_under_a_lease_is_in_the_block() {
    let leased = Story::new().created(0).granted(10, 50).claimed(20, 1, 1_000);
    let set = leased.event(Node::Valkey, None, What::ClockSet { by_ms: 5_000 });
    let renewed = (1..=300).fold(set, |story, n| story.renewed(5_100 + n, 1, 1_000 + n));
    let story = renewed.completed(5_500, 1);
    let told = of(&story, "fence/ff_complete_execution/OK/expired-lease");
    assert_says(
        &told,
        &["valkey         ! its clock is set by +5000 ms", "lease over since 4200 ms", "left out"],
    );
}

#[test]
fn a_request_that_is_executed_late_is_shown_with_what_befell_it() {
    let claimed = Story::new().created(0).granted(10, 50).claimed(20, 1, 100).sent("ff_complete_execution");
    let lost = claimed.reply_lost("ff_complete_execution");
    let story = lost.marked(100).reclaim_granted(110, 200).reclaimed(120, 2, 300);
    let story = (1..=300).fold(story, |story, n| story.renewed(120 + n, 2, 300 + n)).completed(500, 1);
    let told = of(&story, "fence/ff_complete_execution/OK/stale-lease");
    assert_says(
        &told,
        &[
            "worker-1       → ff_complete_execution e1",
            "worker-1       × ff_complete_execution e1: no reply, timed out",
            "; late, sent at 3.000)",
        ],
    );
}

#[test]
fn a_block_says_which_promise_how_often_and_in_how_many_seeds() {
    let story = paused(0).renewed(140, 1, 950);
    let told = block(&story, STALE, None, Some(3));
    assert_says(
        &told,
        &[
            "  must hold:   Nothing is accepted from a lease that is not the current one, or is over.\n",
            "  protocol.md: 8 fence (RFC-003 §2), 12 marked-is-over (RFC-003 §6), 53 fence-names-the-attempt (RFC-003 §3)\n",
            "  kind:        accepted although another lease, epoch or attempt is current\n",
            "  seen:        2 times in this run; in 3 seeds of the hunt\n",
            "  replay:      grantsim replay TOKEN --timeline\n",
        ],
    );
    assert_says(&of(&paused(0), STALE), &["  seen:        once in this run\n"]);
}

#[test]
fn a_broken_promise_about_the_state_shows_the_execution_before_and_after() {
    let story =
        Story::new().created(0).step(10, "ff_change_priority e1 9", "OK", "ZREM :lane:gold:eligible e1");
    let told = of(&story, "eligible/ff_change_priority/OK/not-listed");
    assert_says(
        &told,
        &[
            "  e1, before the call → after it:\n",
            "    state      : runnable, unowned, eligible_now (unchanged)\n",
            "    indexes    eligible of lane gold → none\n",
            "    lane       gold (unchanged)\n",
        ],
    );
    // Neither its lease, which it does not have, nor its epoch has to do with it.
    assert!(!told.contains("    lease ") && !told.contains("    epoch "), "{told}");
}

#[test]
fn a_broken_quota_shows_its_counter_and_its_set() {
    let quota = Story::new().step(
        0,
        "ff_create_quota_policy q1 1 0 1",
        "OK",
        "HSET :quota active_concurrency_cap 3; SET :quota:concurrency 0",
    );
    let admit = |story: Story, at, who: &str| {
        let commands = format!("INCR :quota:concurrency; SADD :quota:admitted_set {who}");
        story.step(at, "ff_check_admission_and_record @10", "reply", &commands)
    };
    let story = admit(admit(quota, 10, "x"), 20, "x");
    let told = of(&story, "quota/ff_check_admission_and_record/reply/counter");
    assert_says(
        &told,
        &[
            "  quota q1, before the call → after it:\n",
            "    cap        3 (unchanged)\n",
            "    counter    1 → 2\n",
            "    admitted   1 in the set (unchanged)\n",
            "ff_create_quota_policy",
        ],
    );
}

#[test]
fn a_broken_promise_about_history_shows_what_the_call_changed_and_no_more() {
    let told = of(&paused(0), STALE);
    assert_says(
        &told,
        &["    lease      no worker; epoch 2; until +300; id l2 → no worker; epoch 2; until +900; id l2\n"],
    );
    assert!(!told.contains("(unchanged)"), "{told}");
}

#[test]
fn wrong_clocks_of_the_processes_that_took_part_are_told_where_the_plan_is_known() {
    let mut plan = Token::new("calm", 1).expect("a profile").plan();
    let behind = WrongClock { offset_ms: -400, drift_ppm: 20, ..WrongClock::default() };
    plan.clocks = [(Node::Worker(1), behind.clone()), (Node::Worker(9), behind)].into_iter().collect();
    let told = block(&paused(0), STALE, Some(&plan), None);
    assert_says(&told, &["  clocks:      ! worker-1 400 ms behind, gains 20 µs a second\n"]);
    assert!(!told.contains("worker-9"), "{told}");
}

#[test]
fn a_long_text_of_a_library_neither_breaks_the_screen_nor_moves_the_cursor() {
    let lane = format!("g\u{1b}[2J{}", "o".repeat(300));
    let story =
        Story::new().created(0).granted(10, 50).claimed(20, 1, 100).marked(100).reclaim_granted(110, 200);
    let claim = format!("ff_reclaim_execution e1 w w-1 {lane}");
    let commands = "DEL :grant; DEL :lease; HSET :lease lease_id l1 lease_epoch 1 attempt_id a2 expires_at @900; HSET :core \
                    ownership_state leased current_lease_id l1 current_attempt_id a2 lease_expires_at @900";
    let story = story.step(120, &claim, "OK", commands);
    let fingerprint = story.fingerprints().into_iter().next().expect("a lease of an epoch that was");
    let told = of(&story, &fingerprint);
    assert!(!told.contains('\u{1b}'), "{told:?}");
    assert_says(&told, &["  > ", "…\n"]);
}

#[test]
fn the_timeline_of_one_execution_has_what_broke_at_its_processes_and_an_unknown_name_is_told_the_nearest() {
    let trace = paused(2).trace().expect("no power loss");
    let name = |text: &str| ExecutionName::of_id(text);
    let told = timeline_of(&trace, Detail::Life, &[name("e1")]).expect("it is there");
    assert!(told.contains("worker-1       ! stands still") && !told.contains("worker-9"), "{told}");
    assert!(timeline(&trace, Detail::Life).contains("worker-9       ! stands still"));
    let error = timeline_of(&trace, Detail::Life, &[name("e11")]).expect_err("it is not there").to_string();
    assert_eq!(error, "no execution of this run is called \"e11\"; the nearest are e1");
}

#[test]
fn order_and_outcome_have_no_time_and_no_id_and_say_in_words_what_was_over() {
    let told = |at| {
        let granted = Story::new().created(0).step(
            10,
            "ff_issue_claim_grant e1 w w1-1.1 gold - 0",
            "OK",
            "HSET :grant worker_id w1 worker_instance_id w1-1.1 lane_id gold created_at @10 grant_expires_at @50",
        );
        let story = granted.claimed(at, 1, 1_000).renewed(2_000, 1, 3_000);
        timeline(&story.trace().expect("no power loss"), Detail::Order)
    };
    assert_eq!(told(20), told(49), "a time is told");
    assert_says(
        &told(49),
        &[
            "└ claim grant for e1: worker-1 (w1, w1-1.1); lane gold\n",
            "└ claim grant for e1 consumed\n",
            "(worker-1; lease over; epoch 1)\n",
        ],
    );
    assert_says(&told(50), &["└ claim grant for e1 consumed, in its last millisecond\n"]);
    assert_says(&told(51), &["└ claim grant for e1 consumed, after its expiry\n"]);
}
