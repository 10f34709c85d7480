//! The scheduler, step by step.

use std::collections::BTreeSet;

use valkey_sim::engine::ErrorReply;

use super::{
    super::{
        AskId,
        support::{Outputs, Stage, argv, id, list, ok, refusal, words},
    },
    *,
};
use crate::types::{LaneId, WorkerId, WorkerInstanceId};

const WORKER: Node = Node::Worker(4);
const TTL_MS: u64 = 500;

fn scheduler(partitions: u16) -> Stage<Scheduler> {
    Stage::new(Scheduler::new(partitions, Millis(TTL_MS), false))
}

fn ask_of(instance: &str) -> Ask {
    Ask {
        id: AskId(77),
        lane_id: LaneId::new("gold"),
        worker_id: WorkerId::new("w4"),
        worker_instance_id: WorkerInstanceId::new(instance),
        capabilities: ["eu".to_owned(), "gpu".to_owned()].into(),
    }
}

fn ask() -> Ask {
    ask_of("w4-4.1")
}

/// The server's time, in milliseconds.
fn time(ms: u64) -> Reply {
    list(&[&(ms / 1_000).to_string(), &((ms % 1_000) * 1_000).to_string()])
}

/// Asks and tells the time: the scheduler looks at its first partition.
fn asked(scheduler: &mut Stage<Scheduler>, ask: Ask, time_ms: u64) -> Outputs<Continuation> {
    let (_, continuation) = scheduler.receive(WORKER, Message::Ask(ask)).call_of("TIME");
    scheduler.answer(continuation, time(time_ms))
}

/// The partition that is looked at.
fn partition(look: &Outputs<Continuation>) -> u16 {
    let key = words(&look.call_of("ZRANGEBYSCORE").0)[1].clone();
    key.split_once("{fp:").and_then(|(_, rest)| rest.split('}').next()?.parse().ok()).expect("a partition")
}

/// Walks on for as long as nothing is found: the partitions, and what the worker is told in the end.
fn walk(
    scheduler: &mut Stage<Scheduler>,
    mut look: Outputs<Continuation>,
) -> (Vec<u16>, Vec<(Node, Message)>) {
    let mut partitions = Vec::new();
    while look.sent().is_empty() {
        partitions.push(partition(&look));
        look = scheduler.answer(look.call().1, list(&[]));
    }
    (partitions, look.sent())
}

/// Finds an execution that requires this.
fn found(scheduler: &mut Stage<Scheduler>, required: Reply) -> Outputs<Continuation> {
    let look = asked(scheduler, ask(), 2_000);
    let read = scheduler.answer(look.call().1, list(&[&id(1, 1).to_string()]));
    let (request, continuation) = read.call_of("HGET");
    assert_eq!(words(&request)[2], "required_capabilities");
    scheduler.answer(continuation, required)
}

fn no_grant() -> Vec<(Node, Message)> {
    vec![(WORKER, Message::NoGrant(AskId(77)))]
}

#[test]
fn a_question_reads_the_servers_time_once_and_walks_every_partition() {
    let mut scheduler = scheduler(5);
    let look = asked(&mut scheduler, ask(), 2_000);
    let (partitions, told) = walk(&mut scheduler, look);
    assert_eq!(partitions.len(), 5);
    assert_eq!(partitions.iter().collect::<BTreeSet<_>>().len(), 5, "{partitions:?}");
    assert!(
        partitions.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 5),
        "one after the other: {partitions:?}"
    );
    assert_eq!(told, no_grant());
}

#[test]
fn a_question_looks_at_thirty_two_partitions_at_most() {
    let mut scheduler = scheduler(40);
    let look = asked(&mut scheduler, ask(), 2_000);
    let (partitions, told) = walk(&mut scheduler, look);
    assert_eq!((partitions.len(), told), (32, no_grant()));
}

#[test]
fn workers_start_at_partitions_of_their_own() {
    let start = |instance: &str| {
        let mut scheduler = scheduler(32);
        partition(&asked(&mut scheduler, ask_of(instance), 2_000))
    };
    let starts: BTreeSet<u16> = (1..=8).map(|n| start(&format!("w{n}-{n}.1"))).collect();
    assert!(starts.len() > 4, "{starts:?}");
    assert_eq!(start("w1-1.1"), start("w1-1.1"));
}

#[test]
fn all_workers_move_on_as_time_does() {
    let mut scheduler = scheduler(40);
    let mut start = |time_ms| partition(&asked(&mut scheduler, ask(), time_ms));
    let starts = [2_000, 2_249, 2_250, 2_500].map(&mut start);
    assert_eq!(starts[0], starts[1], "within a quarter of a second nothing moves");
    assert_eq!((starts[2], starts[3]), ((starts[0] + 32) % 40, (starts[0] + 64) % 40));
}

#[test]
fn a_grant_is_issued_to_who_asked_on_the_lane_that_it_asked_about() {
    let mut scheduler = scheduler(5);
    let (request, continuation) = found(&mut scheduler, Reply::Null).call_of("ff_issue_claim_grant");
    let argv = argv(&request);
    assert_eq!(argv[..4], [id(1, 1).to_string(), "w4".into(), "w4-4.1".into(), "gold".into()]);
    assert_eq!((argv[5].as_str(), argv[8].as_str()), ("500", "eu,gpu"));
    let told = scheduler.answer(continuation, ok(&[]));
    // Reckoned from the time that was read first, not from when the grant was issued.
    let grant = ClaimGrant::new(id(1, 1), TimestampMs(2_000 + TTL_MS as i64));
    assert_eq!(told.sent(), [(WORKER, Message::Grant(AskId(77), grant))]);
    assert!(told.calls().is_empty(), "one grant a question");
}

#[test]
fn a_worker_that_is_able_gets_the_grant() {
    for required in ["", "eu", "gpu,eu"] {
        found(&mut scheduler(5), Reply::bulk(required)).call_of("ff_issue_claim_grant");
    }
}

#[test]
fn an_execution_that_the_worker_cannot_do_is_put_aside_and_the_walk_goes_on() {
    for required in ["tpu", "eu,tpu"] {
        let mut scheduler = scheduler(5);
        let (request, continuation) =
            found(&mut scheduler, Reply::bulk(required)).call_of("ff_block_execution_for_admission");
        let [execution, reason, detail, now] = argv(&request).try_into().unwrap();
        assert_eq!((execution, reason.as_str()), (id(1, 1).to_string(), "waiting_for_capable_worker"));
        assert_eq!((detail.as_str(), now.as_str()), (required, "2000"));
        for reply in [ok(&[]), refusal("execution_not_eligible")] {
            scheduler.answer(continuation.clone(), reply).call_of("ZRANGEBYSCORE");
        }
    }
}

#[test]
fn a_grant_that_is_refused_has_the_walk_go_on() {
    let mut scheduler = scheduler(5);
    let (_, continuation) = found(&mut scheduler, Reply::Null).call();
    let further = scheduler.answer(continuation, refusal("grant_already_exists"));
    further.call_of("ZRANGEBYSCORE");
    assert!(further.sent().is_empty());
}

#[test]
fn a_reply_that_makes_no_sense_is_as_good_as_nothing() {
    let broken = || Reply::Error(ErrorReply::new("ERR no"));
    let mut scheduler = scheduler(5);
    let (_, continuation) = scheduler.receive(WORKER, Message::Ask(ask())).call();
    assert_eq!(scheduler.answer(continuation, broken()).sent(), no_grant());
    let look = asked(&mut scheduler, ask(), 2_000);
    scheduler.answer(look.call().1, broken()).call_of("ZRANGEBYSCORE");
    found(&mut scheduler, broken()).call_of("ZRANGEBYSCORE");
}

#[test]
fn a_transport_error_ends_the_question_wherever_it_stands() {
    let mut scheduler = scheduler(5);
    let time = scheduler.receive(WORKER, Message::Ask(ask())).call().1;
    let head = asked(&mut scheduler, ask(), 2_000).call().1;
    let required = scheduler.answer(head.clone(), list(&[&id(1, 1).to_string()])).call().1;
    let issued = found(&mut scheduler, Reply::Null).call().1;
    let blocked = found(&mut scheduler, Reply::bulk("tpu")).call().1;
    for continuation in [time, head, required, issued, blocked] {
        let lost = scheduler.lose(continuation);
        assert_eq!(lost.sent(), no_grant());
        assert!(lost.calls().is_empty());
    }
}

#[test]
fn questions_do_not_wait_for_each_other() {
    let mut scheduler = scheduler(5);
    let first = asked(&mut scheduler, ask(), 2_000);
    let second = asked(&mut scheduler, Ask { id: AskId(78), ..ask() }, 2_000);
    let (_, told) = walk(&mut scheduler, second);
    assert_eq!(told, [(WORKER, Message::NoGrant(AskId(78)))]);
    assert_eq!(walk(&mut scheduler, first).1, no_grant());
}

mod admits {
    use super::*;

    const BUDGET: &str = "00000000-0000-0000-0000-000000000004";
    const OTHER: &str = "00000000-0000-0000-0000-000000000005";
    const QUOTA: &str = "00000000-0000-0000-0000-000000000006";

    fn careful() -> Stage<Scheduler> {
        Stage::new(Scheduler::new(5, Millis(TTL_MS), true))
    }

    fn some(texts: &[&str]) -> Reply {
        let item = |text: &&str| if text.is_empty() { Reply::Null } else { Reply::bulk(text) };
        Reply::Array(texts.iter().map(item).collect())
    }

    /// An execution that the worker is able to do is charged to these.
    fn charged(scheduler: &mut Stage<Scheduler>, budgets: &str) -> Outputs<Continuation> {
        let (request, continuation) = found(scheduler, Reply::Null).call_of("HGET");
        assert_eq!(words(&request)[2], "budget_ids");
        scheduler.answer(continuation, Reply::bulk(budgets))
    }

    /// What the scheduler does about an execution that is charged to the quota, once the quota is read.
    fn asks_the_quota(scheduler: &mut Stage<Scheduler>) -> Outputs<Continuation> {
        let (request, continuation) = charged(scheduler, "").call_of("HGET");
        assert_eq!(words(&request)[2], "quota_policy_id");
        let definition = scheduler.answer(continuation, Reply::bulk(QUOTA)).call_of("HMGET").1;
        scheduler.answer(definition, some(&["2", "5", "1"]))
    }

    #[test]
    fn an_execution_that_is_charged_to_nothing_is_granted() {
        let mut scheduler = careful();
        let quota = charged(&mut scheduler, "").call().1;
        scheduler.answer(quota, Reply::Null).call_of("ff_issue_claim_grant");
    }

    #[test]
    fn a_budget_of_which_all_is_used_puts_the_execution_aside() {
        let mut scheduler = careful();
        let limits = charged(&mut scheduler, BUDGET).call_of("HGETALL").1;
        let usage = scheduler.answer(limits, list(&["hard:a", "10"])).call_of("HMGET").1;
        let blocked = scheduler.answer(usage, some(&["10"]));
        let (request, _) = blocked.call_of("ff_block_execution_for_admission");
        assert_eq!(argv(&request)[1], "waiting_for_budget");
        assert!(argv(&request)[2].contains("a 10/10"), "{request:?}");
    }

    #[test]
    fn every_budget_is_looked_at_and_one_without_hard_limits_is_never_used_up() {
        let mut scheduler = careful();
        let first = charged(&mut scheduler, &format!("{BUDGET}, {OTHER}")).call_of("HGETALL").1;
        let (request, second) = scheduler.answer(first, list(&["soft:a", "1"])).call_of("HGETALL");
        assert!(words(&request)[1].contains(OTHER), "{request:?}");
        let usage = scheduler.answer(second, list(&["hard:a", "10"])).call_of("HMGET").1;
        let (request, _) = scheduler.answer(usage, some(&["9"])).call_of("HGET");
        assert_eq!(words(&request)[2], "quota_policy_id");
    }

    #[test]
    fn a_budget_is_read_once_a_question() {
        let mut scheduler = careful();
        let limits = charged(&mut scheduler, BUDGET).call().1;
        let usage = scheduler.answer(limits, list(&["hard:a", "10"])).call().1;
        let blocked = scheduler.answer(usage, some(&["10"])).call().1;
        // The next partition's head is charged to the same budget.
        let head = scheduler.answer(blocked, ok(&[])).call_of("ZRANGEBYSCORE").1;
        let required = scheduler.answer(head, list(&[&id(2, 2).to_string()])).call_of("HGET").1;
        let budgets = scheduler.answer(required, Reply::Null).call_of("HGET").1;
        scheduler.answer(budgets, Reply::bulk(BUDGET)).call_of("ff_block_execution_for_admission");
    }

    #[test]
    fn a_quota_is_asked_with_its_own_limits_and_the_time_that_was_read_first() {
        let (request, _) = asks_the_quota(&mut careful()).call_of("ff_check_admission_and_record");
        assert_eq!(argv(&request), ["2000", "5", "2", "1", &id(1, 1).to_string(), "0"]);
    }

    #[test]
    fn one_that_the_quota_does_not_admit_is_put_aside_and_one_that_it_does_is_granted() {
        for (answer, name) in [
            (&["ADMITTED"][..], "ff_issue_claim_grant"),
            (&["ALREADY_ADMITTED"], "ff_issue_claim_grant"),
            (&["RATE_EXCEEDED", "7"], "ff_block_execution_for_admission"),
            (&["CONCURRENCY_EXCEEDED"], "ff_block_execution_for_admission"),
        ] {
            let mut scheduler = careful();
            let check = asks_the_quota(&mut scheduler).call().1;
            let (request, _) = scheduler.answer(check, list(answer)).call_of(name);
            if name == "ff_block_execution_for_admission" {
                assert_eq!(argv(&request)[1], "waiting_for_quota");
            }
        }
    }

    #[test]
    fn an_admission_is_given_back_when_the_grant_fails_and_only_then() {
        let granted = |scheduler: &mut Stage<Scheduler>| {
            let check = asks_the_quota(scheduler).call().1;
            scheduler.answer(check, list(&["ADMITTED"])).call_of("ff_issue_claim_grant").1
        };
        let releases = |out: &Outputs<Continuation>| {
            let calls = out.calls();
            calls.iter().filter(|(request, _)| request.name() == b"ff_release_admission").count()
        };
        let mut scheduler = careful();
        let issued = granted(&mut scheduler);
        assert_eq!(releases(&scheduler.answer(issued.clone(), ok(&[]))), 0);
        assert_eq!(releases(&scheduler.answer(issued.clone(), refusal("grant_already_exists"))), 1);
        let lost = scheduler.lose(issued);
        assert_eq!((releases(&lost), lost.sent()), (1, no_grant()));
    }

    #[test]
    fn an_unlimited_quota_is_not_asked() {
        let mut scheduler = careful();
        let quota = charged(&mut scheduler, "").call().1;
        let definition = scheduler.answer(quota, Reply::bulk(QUOTA)).call_of("HMGET").1;
        scheduler.answer(definition, some(&["0", "5", "0"])).call_of("ff_issue_claim_grant");
    }

    #[test]
    fn a_transport_error_on_the_way_ends_the_question() {
        let mut scheduler = careful();
        let quota = charged(&mut scheduler, "").call().1;
        assert_eq!(scheduler.lose(quota).sent(), no_grant());
        let check = asks_the_quota(&mut scheduler).call().1;
        assert_eq!(scheduler.lose(check).sent(), no_grant());
    }
}
