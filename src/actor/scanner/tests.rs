//! The scanners, step by step.

use valkey_sim::engine::Reply;

use super::{
    super::support::{Outputs, Stage, argv, id, list, ok, refusal, words},
    blocked::BLOCKED_FIELDS,
    leases::RECLAIM_FIELDS,
    timeouts::OVERDUE_FIELDS,
    *,
};
use crate::{
    plan::{Registry, Scans},
    types::{Millis, WorkerId, WorkerInstanceId, grant::ReclaimGrant},
};

const RECLAIMS: [Function; 2] = [Function::IssueReclaimGrant, Function::ReclaimExecution];
const SCANS: [Scan; 4] = [Scan::LeaseExpiry, Scan::Delayed, Scan::Unblock, Scan::Reclaim];

fn settings() -> Settings {
    Settings {
        partitions: 3,
        grant_ttl_ms: 500,
        lease_scan_ms: 11,
        delayed_scan_ms: 12,
        unblock_scan_ms: 13,
        reclaim_scan_ms: 14,
        ..Settings::default()
    }
}

fn scanner() -> Stage<Scanner> {
    scanner_of(RECLAIMS, settings())
}

fn scanner_of(functions: impl IntoIterator<Item = Function>, settings: Settings) -> Stage<Scanner> {
    let lanes = vec![LaneId::new("bronze"), LaneId::new("gold")];
    Stage::new(Scanner::new(lanes, settings, &Registered::from_iter(functions)))
}

fn alive(lanes: &[&str], capabilities: &[&str], instance: &str) -> Message {
    Message::Alive(Alive {
        worker_id: WorkerId::new("w"),
        worker_instance_id: WorkerInstanceId::new(instance),
        lanes: lanes.iter().map(|lane| LaneId::new(*lane)).collect(),
        capabilities: capabilities.iter().map(|&word| word.to_owned()).collect(),
    })
}

/// A worker that serves gold, and is able to do nothing special, says that it lives.
fn lives(scanner: &mut Stage<Scanner>, number: u16) {
    scanner.receive(Node::Worker(number), alive(&["gold"], &[], &format!("w-{number}.1")));
}

/// What the reclaimer does about an execution of lane gold that reads so.
fn reclaims(scanner: &mut Stage<Scanner>, ownership: &str, required: Reply) -> Outputs<Continuation> {
    let look = scanner.due(Continuation::Walk(Scan::Reclaim)).call().1;
    let found = scanner.answer(look, list(&[&id(0, 1).to_string()])).calls();
    let (request, continuation) = &found[0];
    assert_eq!(words(request)[2..], RECLAIM_FIELDS);
    let fields = Reply::Array(vec![Reply::bulk("gold"), Reply::bulk(ownership), required]);
    scanner.answer(continuation.clone(), fields)
}

/// Which process gets the reclaim grant for such an execution, if any does.
fn granted(scanner: &mut Stage<Scanner>, required: &str) -> Option<String> {
    let calls = reclaims(scanner, "lease_expired_reclaimable", Reply::bulk(required)).calls();
    calls.first().map(|(request, _)| argv(request)[2].clone())
}

#[test]
fn each_scanner_walks_at_its_own_interval() {
    let wakes = |functions: &[Function]| -> Vec<_> {
        let started = scanner_of(functions.iter().cloned(), settings()).start();
        let each = started.wakes().into_iter().map(|(after_ms, continuation)| match continuation {
            Continuation::Walk(scan) => (after_ms, scan),
            other => panic!("{other:?} in place of a walk"),
        });
        each.collect()
    };
    let all = [11, 12, 13, 14].into_iter().zip(SCANS).collect::<Vec<_>>();
    assert_eq!(wakes(&RECLAIMS), all);
    // Half of it is not enough to reclaim with.
    for functions in [&[][..], &RECLAIMS[..1], &RECLAIMS[1..]] {
        assert_eq!(wakes(functions), all[..3], "{functions:?}");
    }
}

#[test]
fn every_partition_is_walked_and_of_each_every_lane_that_matters() {
    let of_partitions =
        |index: &str| (0..3).map(|p| format!("ff:idx:{{fp:{p}}}:{index}")).collect::<Vec<_>>();
    let of_lanes = |index: &str| {
        let lanes = |p| ["bronze", "gold"].map(|lane| format!("ff:idx:{{fp:{p}}}:lane:{lane}:{index}"));
        (0..3).flat_map(lanes).collect::<Vec<_>>()
    };
    for (scan, keys, after_ms) in [
        (Scan::LeaseExpiry, of_partitions("lease_expiry"), 11),
        (Scan::Delayed, of_lanes("delayed"), 12),
        (Scan::Unblock, of_lanes("blocked:route"), 13),
        (Scan::Reclaim, of_partitions("lease_expiry"), 14),
    ] {
        let mut scanner = scanner();
        let mut step = scanner.due(Continuation::Walk(scan));
        let mut walked = Vec::new();
        while step.wakes().is_empty() {
            let (request, continuation) = step.call_of("ZRANGEBYSCORE");
            walked.push(words(&request)[1].clone());
            step = scanner.answer(continuation, list(&[]));
        }
        assert_eq!(walked, keys);
        assert!(
            matches!(step.wakes()[..], [(ms, Continuation::Walk(again))] if ms == after_ms && again == scan)
        );
    }
}

#[test]
fn what_is_due_is_due_by_the_scanners_clock_and_no_more_than_a_batch() {
    let look = |scan| words(&scanner().due(Continuation::Walk(scan)).call().0)[3..].to_vec();
    for scan in [Scan::LeaseExpiry, Scan::Delayed, Scan::Reclaim] {
        assert_eq!(look(scan), ["1000000", "LIMIT", "0", "50"], "{scan:?}");
    }
    assert_eq!(look(Scan::Unblock), ["+inf", "LIMIT", "0", "100"]);
}

#[test]
fn each_scanner_has_its_own_call_for_what_it_finds() {
    let (one, two) = (id(0, 1).to_string(), id(0, 2).to_string());
    for (scan, name, rest) in [
        (Scan::LeaseExpiry, "ff_mark_lease_expired_if_due", &[][..]),
        (Scan::Delayed, "ff_promote_delayed", &["1000000"]),
    ] {
        let mut scanner = scanner();
        let look = scanner.due(Continuation::Walk(scan)).call().1;
        let calls = scanner.answer(look, list(&[&one, &two])).calls();
        let (requests, further): (Vec<_>, Vec<_>) =
            calls.into_iter().map(|(request, _)| request).partition(|request| request.function().is_some());
        assert_eq!(further.len(), 1, "{scan:?}: the walk goes on beside them");
        for (request, id) in requests.iter().zip([&one, &two]) {
            assert_eq!(String::from_utf8_lossy(request.name()), name);
            let argv = argv(request);
            assert_eq!(argv[0], **id, "{scan:?}");
            assert_eq!(argv[1..], *rest, "{scan:?}");
        }
        assert_eq!(requests.len(), 2, "{scan:?}");
    }
}

#[test]
fn a_call_is_made_on_the_lane_that_is_walked() {
    let mut scanner = scanner();
    let bronze = scanner.due(Continuation::Walk(Scan::Delayed)).call().1;
    let gold = scanner.answer(bronze, list(&[])).call().1;
    let (request, _) = scanner.answer(gold, list(&[&id(0, 1).to_string()])).calls().remove(0);
    assert!(words(&request).contains(&"ff:idx:{fp:0}:lane:gold:eligible".to_owned()), "{request:?}");
}

#[test]
fn a_scanner_that_loses_its_connection_begins_a_new_walk_at_its_next_time() {
    let mut scanner = scanner();
    let look = scanner.due(Continuation::Walk(Scan::LeaseExpiry)).call().1;
    let second = scanner.answer(look, list(&[])).call().1;
    let lost = scanner.lose(second);
    assert!(lost.calls().is_empty());
    assert!(matches!(lost.wakes()[..], [(11, Continuation::Walk(Scan::LeaseExpiry))]));
}

#[test]
fn an_expired_lease_is_followed_by_a_reclaim_grant_for_a_worker_and_its_message() {
    for ownership in ["lease_expired_reclaimable", "lease_revoked"] {
        let mut scanner = scanner();
        lives(&mut scanner, 1);
        let (request, continuation) =
            reclaims(&mut scanner, ownership, Reply::Null).call_of("ff_issue_reclaim_grant");
        let argv = argv(&request);
        assert_eq!(argv[..4], [id(0, 1).to_string(), "w".into(), "w-1.1".into(), "gold".into()]);
        assert_eq!(argv[5], "500");
        let told = scanner.answer(continuation, ok(&[&id(0, 1).to_string(), "1000777", "x"])).sent();
        let grant = ReclaimGrant::new(id(0, 1), LaneId::new("gold"), TimestampMs(1_000_777));
        assert_eq!(told, [(Node::Worker(1), Message::Reclaim(grant))]);
    }
}

#[test]
fn where_an_old_library_does_not_tell_when_a_reclaim_grant_expires_the_scanner_computes_it_by_its_own_clock()
{
    let mut scanner = scanner();
    lives(&mut scanner, 1);
    let (_, continuation) = reclaims(&mut scanner, "lease_revoked", Reply::Null).call();
    let now = scanner.now;
    let told = scanner.answer(continuation, ok(&[&id(0, 1).to_string()])).sent();
    let grant = ReclaimGrant::new(id(0, 1), LaneId::new("gold"), Millis(500).after(now));
    assert_eq!(told, [(Node::Worker(1), Message::Reclaim(grant))]);
}

#[test]
fn a_reclaim_grant_that_is_refused_is_sent_to_nobody() {
    let mut scanner = scanner();
    lives(&mut scanner, 1);
    let (_, continuation) = reclaims(&mut scanner, "lease_revoked", Reply::Null).call();
    assert!(scanner.answer(continuation.clone(), refusal("grant_already_exists")).is_empty());
    assert!(scanner.lose(continuation).is_empty());
}

#[test]
fn a_lease_that_is_not_over_for_the_server_is_left_alone() {
    let mut scanner = scanner();
    lives(&mut scanner, 1);
    for ownership in ["leased", "unowned"] {
        assert!(reclaims(&mut scanner, ownership, Reply::Null).is_empty(), "{ownership}");
    }
}

#[test]
fn only_a_worker_that_was_heard_of_lately_gets_a_reclaim_grant() {
    let mut scanner = scanner();
    assert_eq!(granted(&mut scanner, ""), None, "nobody is known");
    lives(&mut scanner, 1);
    scanner.now.0 += ALIVE_FOR_MS;
    assert_eq!(granted(&mut scanner, "").as_deref(), Some("w-1.1"));
    scanner.now.0 += 1;
    assert_eq!(granted(&mut scanner, ""), None, "not heard of for 3 s");
    lives(&mut scanner, 1);
    assert_eq!(granted(&mut scanner, "").as_deref(), Some("w-1.1"), "it is back");
}

#[test]
fn a_restarted_worker_gets_it_under_its_new_instance() {
    let mut scanner = scanner();
    lives(&mut scanner, 1);
    scanner.receive(Node::Worker(1), alive(&["gold"], &[], "w-1.2"));
    assert_eq!(granted(&mut scanner, "").as_deref(), Some("w-1.2"));
    assert_eq!(granted(&mut scanner, "").as_deref(), Some("w-1.2"), "and never under the old one");
}

#[test]
fn only_a_worker_that_serves_the_lane_and_is_able_gets_a_reclaim_grant() {
    let mut scanner = scanner();
    scanner.receive(Node::Worker(1), alive(&["bronze"], &["gpu"], "bronze"));
    scanner.receive(Node::Worker(2), alive(&["gold"], &[], "unable"));
    assert_eq!(granted(&mut scanner, "gpu"), None);
    scanner.receive(Node::Worker(3), alive(&["bronze", "gold"], &["gpu", "eu"], "able"));
    assert_eq!(granted(&mut scanner, "gpu").as_deref(), Some("able"));
    assert_eq!(granted(&mut scanner, "eu,gpu").as_deref(), Some("able"));
    assert_eq!(granted(&mut scanner, "eu,tpu"), None);
}

#[test]
fn those_that_are_able_get_reclaim_grants_in_turn() {
    let mut scanner = scanner();
    (1..=3).for_each(|number| lives(&mut scanner, number));
    let turns: Vec<_> = (0..4).filter_map(|_| granted(&mut scanner, "")).collect();
    assert_eq!(turns, ["w-1.1", "w-2.1", "w-3.1", "w-1.1"]);
}

#[test]
fn a_reclaim_grant_always_has_a_duration() {
    let mut scanner = scanner_of(RECLAIMS, Settings { grant_ttl_ms: 0, ..settings() });
    lives(&mut scanner, 1);
    let (request, _) = reclaims(&mut scanner, "lease_revoked", Reply::Null).call();
    assert_eq!(argv(&request)[5], "1");
}

/// A scanner whose every scan walks, of a library that has everything.
fn busy() -> Stage<Scanner> {
    let every_ms = Some(9);
    let scans = Scans {
        attempt_timeout_ms: every_ms,
        deadline_ms: every_ms,
        suspension_ms: every_ms,
        waitpoint_ms: every_ms,
        dependency_ms: every_ms,
        admission_ms: every_ms,
        quota_ms: every_ms,
        budget_ms: every_ms,
        cancel_ms: every_ms,
        sibling_ms: every_ms,
    };
    let registry = Some(Registry { ttl_ms: 9, heartbeat_ms: 9, sweep_ms: 9 });
    scanner_of(Function::KNOWN.iter().cloned(), Settings { scans, registry, ..settings() })
}

/// A list of texts, some of which are missing.
fn some(texts: &[&str]) -> Reply {
    let item = |text: &&str| if text.is_empty() { Reply::Null } else { Reply::bulk(text) };
    Reply::Array(texts.iter().map(item).collect())
}

/// What the scanner does about the first thing that a scan finds, by this name: the walk itself goes on beside.
fn finds(scanner: &mut Stage<Scanner>, scan: Scan, name: &str) -> (crate::protocol::Request, Continuation) {
    let look = scanner.due(Continuation::Walk(scan)).call().1;
    scanner.answer(look, list(&[name])).calls().remove(0)
}

#[test]
fn a_scan_that_the_plan_does_not_ask_for_does_not_walk_and_one_that_the_library_has_no_function_for_neither()
{
    assert_eq!(busy().start().wakes().len(), Scan::ALL.len());
    let mut without = scanner_of(
        [Function::ExpireExecution],
        Settings { scans: busy().actor.settings.scans.clone(), ..settings() },
    );
    let walks: Vec<_> = without.start().wakes().into_iter().map(|(_, it)| format!("{it:?}")).collect();
    assert_eq!(walks[3..], ["Walk(AttemptTimeout)", "Walk(Deadline)"]);
}

#[test]
fn what_took_too_long_is_ended_with_the_reason_and_the_lane_and_attempt_that_it_has() {
    for (scan, index, reason) in [
        (Scan::AttemptTimeout, "attempt_timeout", "attempt_timeout"),
        (Scan::Deadline, "execution_deadline", "execution_deadline"),
    ] {
        let mut scanner = busy();
        let look = scanner.due(Continuation::Walk(scan)).call().0;
        assert_eq!(words(&look)[1..4], [format!("ff:idx:{{fp:0}}:{index}"), "-inf".into(), "1000000".into()]);
        let (read, continuation) = finds(&mut scanner, scan, &id(0, 1).to_string());
        assert_eq!(words(&read)[2..], OVERDUE_FIELDS);
        let (request, _) =
            scanner.answer(continuation, some(&["gold", "3", ""])).call_of("ff_expire_execution");
        assert_eq!(argv(&request), [id(0, 1).to_string(), reason.into()]);
        let keys = words(&request);
        assert!(keys.contains(&"ff:idx:{fp:0}:lane:gold:active".to_owned()), "{keys:?}");
        assert!(keys.iter().any(|key| key.starts_with("ff:attempt:") && key.ends_with(":3")), "{keys:?}");
    }
}

#[test]
fn a_suspension_that_took_too_long_is_ended_at_the_waitpoint_that_it_waits_at() {
    let waitpoint = uuid::Uuid::from_u128(9).to_string();
    let mut scanner = busy();
    let (_, read) = finds(&mut scanner, Scan::Suspension, &id(0, 1).to_string());
    let (request, _) = scanner.answer(read, some(&["gold", "0", &waitpoint])).call_of("ff_expire_suspension");
    assert!(words(&request).contains(&format!("ff:wp:{{fp:0}}:{waitpoint}")), "{request:?}");
    assert_eq!(argv(&request), [id(0, 1).to_string()]);
}

#[test]
fn a_waitpoint_that_nobody_came_to_wait_at_is_closed_as_never_committed() {
    let waitpoint = uuid::Uuid::from_u128(9).to_string();
    let mut scanner = busy();
    let (read, continuation) = finds(&mut scanner, Scan::Waitpoint, &waitpoint);
    assert_eq!(words(&read), ["HGET", &format!("ff:wp:{{fp:0}}:{waitpoint}"), "execution_id"]);
    assert!(scanner.answer(continuation.clone(), Reply::Null).is_empty(), "it is gone");
    let owner = Reply::bulk(id(0, 1).to_string());
    let (request, _) = scanner.answer(continuation, owner).call_of("ff_close_waitpoint");
    assert_eq!(argv(&request), [waitpoint, "never_committed".into()]);
}

mod unblocks {
    use super::*;

    /// What the scanner does about a blocked execution that reads so.
    fn about(scanner: &mut Stage<Scanner>, scan: Scan, fields: &[&str]) -> Outputs<Continuation> {
        let (read, continuation) = finds(scanner, scan, &id(0, 1).to_string());
        assert_eq!(words(&read)[2..], BLOCKED_FIELDS);
        scanner.answer(continuation, some(fields))
    }

    #[test]
    fn one_that_waits_for_a_capable_worker_is_unblocked_only_while_one_is_heard_of() {
        let waits = |scanner: &mut Stage<Scanner>, required: &str| {
            about(scanner, Scan::Unblock, &["waiting_for_capable_worker", required, "", ""])
        };
        let mut scanner = scanner();
        assert!(waits(&mut scanner, "gpu").is_empty(), "nobody is known");
        waits(&mut scanner, "").call_of("ff_unblock_execution");
        scanner.receive(Node::Worker(1), alive(&["gold"], &["gpu"], "w-1.1"));
        let (request, _) = waits(&mut scanner, "gpu").call_of("ff_unblock_execution");
        assert_eq!(argv(&request), [&id(0, 1).to_string(), "1000000", "waiting_for_capable_worker"]);
        assert!(waits(&mut scanner, "eu,gpu").is_empty());
        // All together, as FlowFabric has it.
        scanner.receive(Node::Worker(2), alive(&["bronze"], &["eu"], "w-2.1"));
        waits(&mut scanner, "eu,gpu").call_of("ff_unblock_execution");
        scanner.now.0 += ALIVE_FOR_MS + 1;
        assert!(waits(&mut scanner, "gpu").is_empty(), "not heard of for 3 s");
    }

    #[test]
    fn one_that_waits_for_something_else_is_left_alone() {
        let mut scanner = busy();
        for reason in ["paused_by_flow_cancel", "waiting_for_budget", ""] {
            assert!(about(&mut scanner, Scan::Unblock, &[reason, "", "", ""]).is_empty(), "{reason}");
        }
    }

    #[test]
    fn one_that_waits_for_budgets_is_unblocked_when_none_of_them_is_used_up() {
        let [one, two] = [1, 2].map(|n| uuid::Uuid::from_u128(n).to_string());
        let both = format!("{one},{two}");
        for (used, is_free) in [("9", true), ("10", false)] {
            let mut scanner = busy();
            let limits = about(&mut scanner, Scan::Budget, &["waiting_for_budget", "", &both, ""]);
            let (request, continuation) = limits.call_of("HGETALL");
            assert!(words(&request)[1].contains(&one), "{request:?}");
            let usage = scanner.answer(continuation, list(&["soft:a", "1", "hard:a", "10"]));
            let (request, continuation) = usage.call_of("HMGET");
            assert_eq!(words(&request)[2..], ["a"]);
            let next = scanner.answer(continuation, some(&[used]));
            assert_eq!(!next.is_empty(), is_free);
            if is_free {
                let (request, continuation) = next.call_of("HGETALL");
                assert!(words(&request)[1].contains(&two), "{request:?}");
                scanner.answer(continuation, list(&[])).call_of("ff_unblock_execution");
            }
        }
    }

    #[test]
    fn one_that_waits_for_a_quota_is_unblocked_when_its_window_and_its_number_have_room() {
        let quota = uuid::Uuid::from_u128(3).to_string();
        for (size, active, is_free) in [("1", "0", true), ("2", "0", false), ("1", "1", false)] {
            let mut scanner = busy();
            let fields = ["waiting_for_quota", "", "", quota.as_str()];
            let definition = about(&mut scanner, Scan::Quota, &fields).call_of("HMGET").1;
            let (trim, continuation) =
                scanner.answer(definition, some(&["2", "5", "1"])).call_of("ZREMRANGEBYSCORE");
            assert_eq!(words(&trim)[3], "995000", "what is older than a window");
            let window = scanner.answer(continuation, Reply::Int(0)).call_of("ZCARD").1;
            let at_once = scanner.answer(window, Reply::Int(size.parse().unwrap()));
            let unblocked = match at_once.calls().pop() {
                Some((_, continuation)) => !scanner.answer(continuation, Reply::bulk(active)).is_empty(),
                None => false,
            };
            assert_eq!(unblocked, is_free, "{size} in the window, {active} at once");
        }
    }
}

mod flows {
    use super::*;

    const FLOW: &str = "00000000-0000-0000-0000-000000000007";
    const EDGE: &str = "00000000-0000-0000-0000-000000000008";

    #[test]
    fn one_that_waits_learns_what_became_of_whom_it_waits_for_once_that_has_ended() {
        for (phase, outcome, told) in [
            ("terminal", "success", true),
            ("terminal", "failed", true),
            ("active", "failed", false),
            ("terminal", "none", false),
        ] {
            let mut scanner = busy();
            let open = finds(&mut scanner, Scan::Dependency, &id(0, 1).to_string());
            assert!(words(&open.0)[1].ends_with(":deps:unresolved"), "{open:?}");
            let edge = scanner.answer(open.1, list(&[EDGE])).call_of("HMGET").1;
            let upstream = id(0, 2).to_string();
            let fields = some(&[FLOW, &upstream, "success_only", ""]);
            let (read, continuation) = scanner.answer(edge, fields).call_of("HMGET");
            assert!(words(&read)[1].contains(&upstream), "{read:?}");
            let next = scanner.answer(continuation, some(&[phase, outcome]));
            assert_eq!(!next.is_empty(), told);
            if told {
                let attempt = next.call_of("HGET").1;
                let (request, _) = scanner.answer(attempt, Reply::bulk("2")).call_of("ff_resolve_dependency");
                let now = "1000000".to_owned();
                assert_eq!(
                    argv(&request),
                    [EDGE.into(), outcome.into(), now, FLOW.into(), id(0, 1).to_string()]
                );
            }
        }
    }

    #[test]
    fn one_that_waits_for_nothing_any_more_is_promoted_if_it_may_run() {
        for (eligibility, is_promoted) in [("eligible", true), ("blocked_by_dependencies", false)] {
            let mut scanner = busy();
            let open = finds(&mut scanner, Scan::Dependency, &id(0, 1).to_string()).1;
            let evaluated = scanner.answer(open, list(&[])).call_of("ff_evaluate_flow_eligibility").1;
            let promoted = scanner.answer(evaluated, ok(&[eligibility]));
            assert_eq!(!promoted.is_empty(), is_promoted);
            if is_promoted {
                promoted.call_of("ff_promote_blocked_to_eligible");
            }
        }
    }

    #[test]
    fn the_members_of_a_cancelled_flow_are_cancelled_by_override_and_acknowledged() {
        let mut scanner = busy();
        let members = finds(&mut scanner, Scan::Cancel, FLOW);
        assert_eq!(words(&members.0)[0], "SRANDMEMBER");
        let read = scanner.answer(members.1.clone(), list(&[&id(0, 1).to_string()])).call_of("HMGET").1;
        let fields = some(&["gold", "1", "w-1.1"]);
        let (request, cancelled) = scanner.answer(read, fields).call_of("ff_cancel_execution");
        assert_eq!(argv(&request), [&id(0, 1).to_string(), "flow_cancelled", "operator_override", "", ""]);
        for reply in [ok(&["x", "active"]), refusal("execution_not_active")] {
            let (request, _) = scanner.answer(cancelled.clone(), reply).call_of("ff_ack_cancel_member");
            assert_eq!(argv(&request), [&id(0, 1).to_string(), FLOW]);
        }
        let error = Reply::Error(valkey_sim::engine::ErrorReply::new("ERR no"));
        assert!(scanner.answer(cancelled.clone(), error).is_empty(), "the next walk tries again");
        assert!(scanner.lose(cancelled).is_empty());
        let (request, _) = scanner.answer(members.1, list(&[])).call_of("ZREM");
        assert_eq!(words(&request)[2], FLOW, "nothing is left to be cancelled");
    }

    #[test]
    fn those_that_nobody_needs_are_cancelled_one_after_the_other_and_then_the_group_is_drained() {
        let mut scanner = busy();
        let group = format!("{FLOW}|{}", id(0, 3));
        let look = scanner.due(Continuation::Walk(Scan::Sibling)).call().1;
        let calls = scanner.answer(look, list(&[&group])).calls();
        assert_eq!(String::from_utf8_lossy(calls[0].0.name()), "ff_reconcile_sibling_cancel_group");
        let (request, siblings) = &calls[1];
        assert_eq!(words(request)[2], "cancel_siblings_pending_members");
        let both = format!("{}|{}", id(0, 1), id(0, 2));
        let mut next = scanner.answer(siblings.clone(), Reply::bulk(both));
        for n in [1, 2] {
            let read = next.call_of("HMGET").1;
            let cancelled = scanner.answer(read, some(&["gold", "0", ""])).call_of("ff_cancel_execution");
            assert_eq!(argv(&cancelled.0)[0], id(0, n).to_string());
            next = scanner.answer(cancelled.1, ok(&["x", "active"]));
        }
        let (request, _) = next.call_of("ff_drain_sibling_cancel_group");
        assert_eq!(argv(&request), [FLOW.to_owned(), id(0, 3).to_string()]);
    }
}

mod limits {
    use super::*;

    #[test]
    fn budgets_that_are_due_are_reset_and_every_budget_partition_is_walked() {
        let budget = uuid::Uuid::from_u128(4).to_string();
        let mut scanner = busy();
        let (request, _) = finds(&mut scanner, Scan::BudgetReset, &budget);
        assert_eq!(String::from_utf8_lossy(request.name()), "ff_reset_budget");
        assert_eq!(argv(&request), [&budget, "1000000"]);
        let mut step = scanner.due(Continuation::Walk(Scan::BudgetReset));
        let mut walked = 0;
        while step.wakes().is_empty() {
            walked += 1;
            step = scanner.answer(step.call().1, list(&[]));
        }
        assert_eq!(walked, LIMIT_PARTITIONS);
    }

    #[test]
    fn the_window_of_a_quota_is_trimmed_where_it_has_one() {
        let quota = uuid::Uuid::from_u128(3).to_string();
        for (seconds, is_trimmed) in [("5", true), ("0", false), ("", false)] {
            let mut scanner = busy();
            let definition = finds(&mut scanner, Scan::QuotaWindow, &quota).1;
            let next = scanner.answer(definition, some(&["2", seconds, "0"]));
            assert_eq!(next.calls().len(), 1 + usize::from(is_trimmed), "{seconds:?}");
        }
    }

    #[test]
    fn an_execution_that_has_ended_gives_its_admission_back() {
        let quota = uuid::Uuid::from_u128(3).to_string();
        for (phase, is_released) in [("terminal", true), ("active", false)] {
            let mut scanner = busy();
            let definition = finds(&mut scanner, Scan::QuotaWindow, &quota).1;
            let admitted = scanner.answer(definition, some(&["2", "0", "1"])).call_of("SMEMBERS").1;
            let read = scanner.answer(admitted, list(&[&id(0, 1).to_string()])).call_of("HGET").1;
            let next = scanner.answer(read, Reply::bulk(phase));
            assert_eq!(!next.is_empty(), is_released);
            if is_released {
                assert_eq!(argv(&next.call_of("ff_release_admission").0), [id(0, 1).to_string()]);
            }
        }
    }
}

#[test]
fn a_worker_that_is_no_longer_alive_is_swept_out_of_the_registry() {
    let mut scanner = busy();
    let (request, alive) = finds(&mut scanner, Scan::Workers, "w-1.1");
    assert_eq!(words(&request), ["EXISTS", "ff:worker:sim:w-1.1:alive"]);
    assert!(scanner.answer(alive.clone(), Reply::Int(1)).is_empty());
    let (request, _) = scanner.answer(alive, Reply::Int(0)).call_of("SREM");
    assert_eq!(words(&request)[2], "w-1.1");
    let look = scanner.due(Continuation::Walk(Scan::Workers)).call().1;
    assert_eq!(scanner.answer(look, list(&[])).wakes().len(), 1, "the index has no partitions");
}
