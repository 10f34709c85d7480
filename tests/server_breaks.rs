//! What a server that breaks really loses, keeps and refuses, read from the events of runs: a fault of the server that did
//! nothing would be seen here.

use crate::common::{PUBLISHED, plan_files, run};
use grantsim::{
    plan::{Cut, Fault, Keeps, Plan, Policy, ServerFault},
    trace::{Event, Moment, Trace, What},
    types::{Function, Lost, Node},
};

/// The plan of `fixtures/plans/fault-<name>.json`.
fn plan(name: &str) -> Plan {
    let files = plan_files("fixtures/plans");
    files.into_iter().find(|(of, _)| *of == format!("fault-{name}")).expect("there is such a plan").1.plan
}

/// The server's events of a function, and the answer of each.
fn answers(trace: &Trace, server: Node, function: &Function) -> Vec<String> {
    let of = |event: &Event| match &event.what {
        What::Executed(executed) if event.head.node == server => {
            let args: Vec<&[u8]> = executed.args.iter().map(Vec::as_slice).collect();
            let called = grantsim::trace::Command::function(&args)?;
            (called == *function).then(|| grantsim::protocol::reply::answer(&executed.reply).to_string())
        }
        _ => None,
    };
    trace.events.iter().filter_map(of).collect()
}

/// How many events were lost by each rewind.
fn lost(trace: &Trace) -> Vec<usize> {
    let of = |event: &Event| match event.what {
        What::Rewound { lost, .. } => Some(lost),
        _ => None,
    };
    trace.events.iter().filter_map(of).collect()
}

fn keeping(name: &str, keeps: Keeps) -> Plan {
    let mut plan = plan(name);
    for fault in &mut plan.faults {
        if let Fault::Server { breaks: ServerFault::Lost { keeps: kept, .. }, .. } = fault {
            *kept = keeps;
        }
    }
    plan
}

#[test]
fn a_killed_process_loses_nothing_and_a_machine_without_power_what_was_not_synced() {
    let all = run(&plan("restart"), &PUBLISHED);
    assert_eq!(lost(&all), Vec::<usize>::new());
    assert_eq!(answers(&all, Node::Valkey, &Function::CompleteExecution), ["OK"]);
    assert_eq!(lost(&run(&plan("lost-writes-always"), &PUBLISHED)), Vec::<usize>::new());
    let second = run(&plan("lost-writes-everysec"), &PUBLISHED);
    assert_eq!(lost(&second).len(), 1);
    // Of e2 nothing is left, and e1 had been completed before the last sync.
    assert_eq!(answers(&second, Node::Valkey, &Function::CreateExecution), ["OK", "OK"]);
    let more = run(&keeping("lost-writes-everysec", Keeps::Nothing), &PUBLISHED);
    assert!(lost(&more)[0] > lost(&second)[0], "{:?} and {:?}", lost(&more), lost(&second));
}

#[test]
fn what_comes_back_is_what_was_there_before_to_the_last_key() {
    // A run whose server was lost and kept all ends as one whose server was not: the same keys, fields and scores.
    let mut calm = plan("restart");
    let Some(Fault::Server { breaks: ServerFault::Lost { down_ms, loading_ms, .. }, .. }) =
        calm.faults.first_mut()
    else {
        panic!("the plan loses the server")
    };
    // Back at once: nobody notices but by the connection.
    (*down_ms, *loading_ms) = (1, 0);
    let restarted = run(&calm, &PUBLISHED);
    calm.faults.clear();
    let quiet = run(&calm, &PUBLISHED);
    let views = [restarted, quiet].map(|trace| {
        let mut last = None;
        trace.replay(|moment| {
            if let Moment::Step(step) = moment {
                last = Some(step.after.keys("").map(str::to_owned).collect::<Vec<_>>());
            }
        });
        last.expect("there were steps")
    });
    assert_eq!(views[0], views[1]);
}

#[test]
fn a_replica_lacks_what_it_had_not_received_and_a_grant_is_consumed_twice() {
    let trace = run(&plan("failover-grant-consumed-twice"), &PUBLISHED);
    assert_eq!(lost(&trace), [1], "the claim, and nothing else");
    assert_eq!(answers(&trace, Node::Valkey, &Function::ClaimExecution), ["OK", "OK"]);
    assert_eq!(answers(&trace, Node::Valkey, &Function::IssueClaimGrant), ["OK"], "of one grant");
    let mut late = plan("failover-grant-consumed-twice");
    for fault in &mut late.faults {
        if let Fault::Server { breaks: ServerFault::Failover { lag_ms, .. }, .. } = fault {
            *lag_ms = 0;
        }
    }
    let trace = run(&late, &PUBLISHED);
    assert_eq!(lost(&trace), Vec::<usize>::new());
    let claims = answers(&trace, Node::Valkey, &Function::ClaimExecution);
    assert_eq!(
        claims.iter().filter(|answer| *answer == "OK").count(),
        1,
        "a replica that has all knows of it"
    );
}

#[test]
fn a_former_server_answers_those_who_are_connected_to_it_and_then_nobody() {
    let trace = run(&plan("split-brain"), &PUBLISHED);
    assert_eq!(answers(&trace, Node::FormerValkey, &Function::CompleteExecution), ["OK"]);
    // The one that was promoted never heard of it, and has the work done again.
    assert_eq!(answers(&trace, Node::Valkey, &Function::ReclaimExecution), ["OK"]);
    let last =
        |node| trace.events.iter().rposition(|event| event.head.node == node).expect("it did something");
    assert!(last(Node::FormerValkey) < last(Node::Valkey));
}

#[test]
fn a_promoted_clock_and_a_missing_library_and_full_memory_are_felt() {
    let ahead = run(&plan("failover-clock-ahead"), &PUBLISHED);
    assert_eq!(answers(&ahead, Node::Valkey, &Function::RenewLease)[0], "lease_expired");
    let gone = run(&plan("library-gone"), &PUBLISHED);
    assert_eq!(answers(&gone, Node::Valkey, &Function::ClaimExecution), ["ERR", "OK"]);
    let full = run(&plan("out-of-memory"), &PUBLISHED);
    assert_eq!(answers(&full, Node::Valkey, &Function::ClaimExecution), ["OOM", "OK"]);
    let loading = run(&plan("restart"), &PUBLISHED);
    let broken = |event: &&Event| matches!(event.what, What::ServerMended { .. });
    assert_eq!(loading.events.iter().filter(broken).count(), 1);
}

#[test]
fn evicted_keys_are_gone_and_a_slow_server_is_later() {
    let trace = run(&plan("eviction"), &PUBLISHED);
    let mut counts = Vec::new();
    trace.replay(|moment| {
        if let Moment::Step(step) = moment
            && step.call.is_none()
            && step.command.caller.is_none()
        {
            counts.push((step.before.keys("").count(), step.after.keys("").count()));
        }
    });
    assert!(counts.iter().any(|(before, after)| *before == after + 3), "{counts:?}");
    let began = |name: &str| {
        let trace = run(&plan(name), &PUBLISHED);
        let begun = trace.events.iter().find(|event| matches!(event.what, What::WorkBegan { .. }));
        begun.expect("work began").head.at
    };
    assert!(began("slow").0 > began("library-reloaded").0 + 300_000);
}

#[test]
fn whoever_is_paused_waits_until_it_is_over() {
    let executed = |writes_only: bool| {
        let mut plan = plan("clients-paused");
        let [Fault::Server { at_ms, breaks: ServerFault::ClientsPaused { for_ms, writes_only: only }, .. }] =
            &mut plan.faults[..]
        else {
            panic!("the plan pauses the server's clients")
        };
        *only = writes_only;
        let pause = *at_ms * 1_000 + 1..(*at_ms + *for_ms) * 1_000;
        let trace = run(&plan, &PUBLISHED);
        let is_call =
            |event: &&Event| matches!(event.what, What::Executed(_)) && pause.contains(&event.head.at.0);
        assert_eq!(answers(&trace, Node::Valkey, &Function::CompleteExecution), ["OK"], "it ends");
        trace.events.iter().filter(is_call).count()
    };
    assert_eq!([executed(true), executed(false)], [0, 0], "nothing that may write does");
}

#[test]
fn another_version_of_the_library_answers_while_it_is_in_its_place() {
    let published = grantsim::library::Library::published();
    let registers = "redis.register_function('ff_claim_execution', function(keys, args)";
    assert_eq!(published.source().matches(registers).count(), 1, "the library has changed");
    let refuses = format!("{registers} if true then return {{0, 'of_the_other_version'}} end");
    let other = published.source().replace(registers, &refuses);
    let other = grantsim::library::Library::from_source("other", &other).expect("a library");
    let subject = PUBLISHED.clone().beside(other).expect("it loads");
    let mut plan = plan("library-replaced");
    // Until after the first claim, which comes with the first grant.
    for fault in &mut plan.faults {
        if let Fault::Server { at_ms, breaks: ServerFault::LibraryReplaced { for_ms }, .. } = fault {
            (*at_ms, *for_ms) = (1, 700);
        }
    }
    let claims = answers(&run(&plan, &subject), Node::Valkey, &Function::ClaimExecution);
    assert_eq!(claims.first().map(String::as_str), Some("of_the_other_version"));
    assert_eq!(claims.last().map(String::as_str), Some("OK"), "it is there again: {claims:?}");
    let same = answers(&run(&plan, &PUBLISHED), Node::Valkey, &Function::ClaimExecution);
    assert_eq!(same, ["OK"], "without another version it is the same again");
}

/// How the plan of a grant that is consumed twice goes on where the deployment is guarded like this.
#[test]
fn a_worker_that_starts_brings_the_library_with_it() {
    // How often a worker gave it to the server, and when it was first claimed from.
    let of = |workers_load: bool, is_cut: bool| {
        let mut plan = plan("library-gone");
        plan.settings.workers_load = workers_load;
        let Some(Fault::Server { breaks: ServerFault::LibraryGone { for_ms }, .. }) = plan.faults.first_mut()
        else {
            panic!("the plan takes the library away")
        };
        *for_ms = 1_500;
        let (a, b) = (Node::Worker(1), Node::Valkey);
        plan.faults.push(Fault::Crash { node: a, at_ms: 18, upon: None, down_ms: Some(300) });
        if is_cut {
            plan.faults.push(Fault::Partition { a, b, cut: Cut::Both, at_ms: 310, upon: None, for_ms: 100 });
        }
        let trace = run(&plan, &PUBLISHED);
        let given = |event: &&Event| matches!(&event.what, What::ServerBroke { how, .. } if how.ends_with("worker-1"));
        let begun = |event: &&Event| matches!(event.what, What::WorkBegan { .. });
        let begun = trace.events.iter().find(begun).expect("it is claimed in the end").head.at;
        (trace.events.iter().filter(given).count(), begun.0 / 1_000)
    };
    let (given, at_ms) = of(true, false);
    assert!(given == 2 && at_ms < 1_000, "{given} times, and work began at {at_ms} ms");
    // It starts while it does not reach the server, or brings nothing.
    for (times, (given, at_ms)) in [(1, of(true, true)), (0, of(false, false))] {
        assert!(given == times && at_ms > 1_500, "{given} times, and work began at {at_ms} ms");
    }
}

fn guarded(wait_ms: Option<u64>, replica_lag_s: Option<u64>) -> Plan {
    let mut plan = plan("failover-grant-consumed-twice");
    plan.settings.wait_ms = wait_ms;
    plan.settings.replica_lag_s = replica_lag_s;
    plan
}

fn violations(plan: &Plan) -> Vec<String> {
    use grantsim::property::{catalogue, judge};
    let verdict = judge(&run(plan, &PUBLISHED), catalogue::promises());
    let all = verdict.violations.iter().chain(verdict.excused.iter().map(|(_, violation)| violation));
    all.map(|violation| violation.fingerprint.to_string()).collect()
}

#[test]
fn who_waits_for_a_replica_was_told_nothing_that_is_lost() {
    let spent = "at-most-once/ff_claim_execution/OK/spent-grant".to_owned();
    assert!(
        violations(&guarded(None, None)).contains(&spent),
        "nobody waits, and the grant is consumed twice"
    );
    assert_eq!(violations(&guarded(Some(200), None)), Vec::<String>::new());
    let trace = run(&guarded(Some(200), None), &PUBLISHED);
    let broke = trace.events.iter().find_map(|event| match &event.what {
        What::ServerBroke { class, .. } => Some(class.as_str()),
        _ => None,
    });
    assert_eq!(broke, Some("restart"), "nothing that was acknowledged is lost");
}

/// A failover that has a time begins with a replica that is cut off: whoever waits for it waits in vain.
#[test]
fn a_replica_that_is_cut_off_answers_nobody_and_a_server_that_needs_it_takes_no_writes() {
    let cut_off = |wait_ms, replica_lag_s| {
        let mut plan = guarded(wait_ms, replica_lag_s);
        plan.executions[0].work[0].takes_ms = 4_000;
        plan.settings.lease_ttl_ms = 900;
        for fault in &mut plan.faults {
            if let Fault::Server { at_ms, upon, breaks: ServerFault::Failover { lag_ms, .. } } = fault {
                (*at_ms, *upon, *lag_ms) = (4_000, None, 3_500);
            }
        }
        run(&plan, &PUBLISHED)
    };
    let lost = |trace: &Trace, lost: Lost| {
        trace
            .events
            .iter()
            .any(|event| matches!(event.what, What::ReplyLost { lost: how, .. } if how == lost))
    };
    let waited = cut_off(Some(100), None);
    assert!(lost(&waited, Lost::NotReplicated));
    let needed = answers(&cut_off(None, Some(1)), Node::Valkey, &Function::RenewLease);
    assert!(needed.iter().any(|answer| answer == "NOREPLICAS"), "{needed:?}");
    let free = answers(&cut_off(None, None), Node::Valkey, &Function::RenewLease);
    assert!(free.iter().all(|answer| answer != "NOREPLICAS"), "{free:?}");
}

/// A primary that was demoted still answers who is connected to it, and takes nothing.
#[test]
fn a_primary_that_was_demoted_takes_no_writes() {
    let told = |plan: &Plan| {
        let read_only = |event: &&Event| match &event.what {
            What::ReplyReceived { answer, .. } => answer.to_string() == "READONLY",
            _ => false,
        };
        run(plan, &PUBLISHED).events.iter().filter(read_only).count()
    };
    let mut demoted = plan("split-brain-demoted");
    assert_eq!(told(&demoted), 1);
    let Fault::Server { breaks: ServerFault::Failover { demoted_ms, .. }, .. } = &mut demoted.faults[0]
    else {
        panic!("the plan fails over")
    };
    *demoted_ms = 0;
    assert_eq!(told(&demoted), 0, "a dead one answers nothing");
}

/// What a power loss takes back was told to nobody who waits for the disk.
#[test]
fn who_waits_for_the_disk_was_told_nothing_that_is_lost() {
    let created = |plan: &Plan| {
        let trace = run(plan, &PUBLISHED);
        let of_e2 = |event: &&Event| match &event.what {
            What::ReplyReceived { function: Function::CreateExecution, execution: Some(name), .. } => {
                name.as_str() == "e2"
            }
            _ => false,
        };
        (trace.events.iter().filter(of_e2).count(), answers(&trace, Node::Valkey, &Function::CreateExecution))
    };
    // The submitter is told at once, and e2 is gone; who waits is not, and creates it anew. (The other OK is e1's.)
    assert_eq!(created(&plan("lost-writes-everysec")), (1, vec!["OK".to_owned(); 2]));
    assert_eq!(created(&plan("lost-writes-waited-for")), (1, vec!["OK".to_owned(); 2]));
    let mut impatient = plan("lost-writes-waited-for");
    impatient.settings.wait_ms = Some(10);
    let is_not_synced = |event: &Event| matches!(event.what, What::ReplyLost { lost: Lost::NotSynced, .. });
    assert!(run(&impatient, &PUBLISHED).events.iter().any(is_not_synced));
}

/// Which keys go is the policy's choice.
#[test]
fn what_is_evicted_is_what_the_policy_says() {
    let evicted = |policy| {
        let mut plan = plan("eviction-volatile-ttl");
        for fault in &mut plan.faults {
            if let Fault::Server { breaks: ServerFault::Evicts { policy: by, .. }, .. } = fault {
                *by = policy;
            }
        }
        let trace = run(&plan, &PUBLISHED);
        let mut keys = trace.events.iter().filter_map(|event| match &event.what {
            What::Executed(executed) if executed.caller.is_none() && executed.args.is_empty() => {
                let effect = executed.effects.iter().next()?;
                Some(String::from_utf8_lossy(effect.arg(1)).into_owned())
            }
            _ => None,
        });
        keys.next().expect("a key goes")
    };
    assert!(evicted(Policy::VolatileTtl).contains("claim_grant"), "{}", evicted(Policy::VolatileTtl));
    assert!(evicted(Policy::VolatileRandom).contains("claim_grant"), "nothing else expires");
    // Nobody has looked at the payload since it was written.
    let least = evicted(Policy::AllkeysLru);
    assert!(!least.contains("claim_grant"), "{least}");
}

/// A trace in a file knows of rewinds and former servers, too.
#[test]
fn a_recorded_run_is_judged_as_it_was_live() {
    use grantsim::property::{catalogue, judge};
    for name in ["failover-grant-consumed-twice", "split-brain", "lost-writes-everysec", "eviction"] {
        let trace = run(&plan(name), &PUBLISHED);
        trace.check().expect("it can have happened");
        let judge_live = grantsim::property::Judge::new(catalogue::promises());
        let (_, live) = grantsim::drive::watch(&plan(name), &PUBLISHED, judge_live).expect("it runs");
        let (recorded, live) = (judge(&trace, catalogue::promises()), live.finish());
        assert_eq!((recorded.violations, recorded.excused), (live.violations, live.excused), "{name}");
    }
}
