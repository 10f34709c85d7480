//! The worker, step by step.

use super::{
    super::{
        Ask,
        support::{Outputs, Stage, argv, id, ok, refusal, words},
    },
    ends::{END_AGAIN_MS, END_TRIES},
    *,
};
use crate::{
    plan::{Retry, Suspend, Terms, Until},
    protocol::{Request, TimeoutBehavior},
    types::{ExecutionId, Function, LeaseEpoch},
};

const SCHEDULER: Node = Node::Scheduler(1);
const LEASE_TTL_MS: u64 = 900;
const TIMEOUT_MS: u64 = 100;

type Play = Stage<Worker>;
type Out = Outputs<Continuation>;

fn config() -> Config {
    Config {
        worker_id: WorkerId::new("w1"),
        instance: WorkerInstanceId::new("w1-1.1"),
        lanes: vec![LaneId::new("gold"), LaneId::new("silver")],
        capabilities: ["gpu".to_owned()].into(),
        slots: 1,
        schedulers: vec![SCHEDULER],
        settings: plan::Settings {
            lease_ttl_ms: LEASE_TTL_MS,
            request_timeout_ms: TIMEOUT_MS,
            poll_ms: 50,
            claim_again: 0,
            wait_ms: None,
            safe_on: Default::default(),
            replica_lag_s: None,
            ..plan::Settings::default()
        },
        functions: Arc::new(Registered::from_iter([
            Function::FailExecution,
            Function::DelayExecution,
            Function::CancelExecution,
            Function::SuspendExecution,
            Function::MoveToWaitingChildren,
        ])),
        claim_function: ClaimFunction::ClaimExecution,
        plan: Arc::new(serde_json::from_value(plan_json()).expect("a plan")),
        reads_policies: false,
        seed: 7,
    }
}

/// A plan with nothing in it: names of it become ids.
fn plan_json() -> serde_json::Value {
    serde_json::json!({
        "schema": 2, "seed": 7, "epoch_ms": 0, "run_for_ms": 1_000, "settings": plan::Settings::default(),
        "network": { "latency_us": 1, "jitter_us": 0 }, "schedulers": 1,
        "workers": [{ "worker_id": "w1", "lanes": ["gold"], "slots": 1 }], "executions": [],
    })
}

fn worker() -> Play {
    Stage::new(Worker::new(config()))
}

fn worker_with(change: impl FnOnce(&mut Config)) -> Play {
    let mut config = config();
    change(&mut config);
    Stage::new(Worker::new(config))
}

/// The question in what came of a step, if one was asked.
fn question(out: &Out) -> Option<(Node, Ask)> {
    out.sent().into_iter().find_map(|(to, message)| match message {
        Message::Ask(ask) => Some((to, ask)),
        _ => None,
    })
}

/// Polls; the question, if there is a slot for one.
fn poll(worker: &mut Play) -> Option<(Node, Ask)> {
    let out = worker.due(Continuation::Poll);
    out.wake(|it| matches!(it, Continuation::Poll));
    question(&out)
}

fn ask(worker: &mut Play) -> Ask {
    poll(worker).expect("a slot is free").1
}

fn e1() -> ExecutionId {
    id(1, 1)
}

fn grant() -> ClaimGrant {
    ClaimGrant::new(e1(), TimestampMs(9))
}

/// A grant arrives for a question, and the attempts are counted: what the worker does then.
fn counted(worker: &mut Play, ask: AskId) -> Out {
    let (request, continuation) = worker.receive(SCHEDULER, Message::Grant(ask, grant())).call_of("HGET");
    assert_eq!(words(&request)[2], "total_attempt_count");
    worker.answer(continuation, Reply::bulk("0"))
}

/// A claim of the worker's, with what it goes on with.
fn claim(worker: &mut Play) -> (Request, Continuation) {
    let ask = ask(worker).id;
    counted(worker, ask).call_of("ff_claim_execution")
}

/// The reply to a claim that is granted.
fn leased(epoch: u64) -> Reply {
    let (lease, attempt) = (uuid::Uuid::from_u128(5).to_string(), uuid::Uuid::from_u128(6).to_string());
    ok(&[&lease, &epoch.to_string(), "1000900", &attempt, "0", "initial"])
}

fn execution(work: &[Work]) -> plan::Execution {
    plan::Execution {
        name: crate::types::ExecutionName::nth(1),
        at_ms: 0,
        lane: "gold".to_owned(),
        flow: None,
        priority: 0,
        delay_ms: None,
        capabilities: Vec::new(),
        max_retries: 2,
        terms: Terms::default(),
        work: work.to_vec(),
    }
}

/// A job: its timers.
struct Working {
    renew: Continuation,
    done: Option<(u64, Continuation)>,
    out: Out,
}

/// What the worker does under a lease that begins with this step, when it reads this payload.
fn begin(worker: &mut Play, begun: &Out, payload: Reply) -> Working {
    let renew = begun.wake(|it| matches!(it, Continuation::Renew(_))).1;
    let out = worker.answer(begun.call_of("GET").1, payload);
    let done = out.wakes().into_iter().find(|(_, it)| matches!(it, Continuation::Done(_)));
    Working { renew, done, out }
}

/// A worker at work on e1 under epoch 1: how long it takes, and how it ends.
fn works(worker: &mut Play, takes_ms: u64, ends: Ending) -> Working {
    let (_, continuation) = claim(worker);
    let begun = worker.answer(continuation, leased(1));
    assert_eq!(begun.work(), [(LeaseEpoch(1), None)]);
    let payload = serde_json::to_vec(&execution(&[Work::new(takes_ms, ends)])).unwrap();
    begin(worker, &begun, Reply::bulk(payload))
}

/// The work is done: the worker's ending, and what it goes on with.
fn ends(worker: &mut Play, ends: Ending) -> (Request, Continuation) {
    let done = works(worker, 400, ends).done.expect("there is something to do").1;
    worker.due(done).call()
}

mod asks {
    use super::*;

    #[test]
    fn a_worker_that_starts_says_that_it_lives_and_asks_for_work() {
        let out = worker().start();
        let alive = Alive {
            worker_id: config().worker_id,
            worker_instance_id: config().instance,
            lanes: config().lanes,
            capabilities: config().capabilities,
        };
        assert_eq!(out.sent()[0], (Node::Scanner, Message::Alive(alive.clone())));
        let (to, ask) = question(&out).unwrap();
        assert_eq!((to, ask.lane_id.as_str(), ask.worker_id.as_str()), (SCHEDULER, "gold", "w1"));
        assert_eq!((ask.worker_instance_id, ask.capabilities), (config().instance, config().capabilities));
        let again = worker().due(Continuation::Alive);
        assert_eq!(again.sent(), [(Node::Scanner, Message::Alive(alive))]);
        assert_eq!(again.wake(|it| matches!(it, Continuation::Alive)).0, ALIVE_EVERY_MS);
    }

    #[test]
    fn it_asks_about_its_lanes_and_its_schedulers_in_turn() {
        let mut worker = worker_with(|config| {
            config.slots = 9;
            config.schedulers = vec![Node::Scheduler(1), Node::Scheduler(3), Node::Scheduler(5)];
        });
        let asked: Vec<_> = (0..4).filter_map(|_| poll(&mut worker)).collect();
        let lanes: Vec<_> = asked.iter().map(|(_, ask)| ask.lane_id.as_str()).collect();
        assert_eq!(lanes, ["gold", "silver", "gold", "silver"]);
        assert_eq!([0, 1, 2, 3].map(|n| asked[n].0), [1, 3, 5, 1].map(Node::Scheduler));
    }

    #[test]
    fn it_polls_at_its_interval_and_the_jitter_that_it_draws() {
        let intervals = |jitter_ms| {
            let mut worker = worker_with(|config| config.settings.poll_jitter_ms = jitter_ms);
            let mut next = || worker.due(Continuation::Poll).wake(|it| matches!(it, Continuation::Poll)).0;
            (0..40).map(|_| next()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(intervals(0).into_iter().collect::<Vec<_>>(), [50]);
        let drawn = intervals(3);
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [50, 51, 52, 53]);
    }

    #[test]
    fn a_question_keeps_a_slot_until_it_is_answered() {
        let mut worker = worker_with(|config| config.slots = 2);
        let first = ask(&mut worker);
        ask(&mut worker);
        assert_eq!(poll(&mut worker), None, "both slots wait for an answer");
        worker.receive(SCHEDULER, Message::NoGrant(first.id));
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn a_question_that_nobody_answers_frees_its_slot_after_twice_the_patience() {
        let mut worker = worker();
        let out = worker.due(Continuation::Poll);
        let (after_ms, overdue) = out.wake(|it| matches!(it, Continuation::Overdue(_)));
        assert_eq!(after_ms, 2 * TIMEOUT_MS);
        assert_eq!(poll(&mut worker), None);
        worker.due(overdue);
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn a_question_that_was_granted_is_not_overdue_while_its_claim_is_under_way() {
        let mut worker = worker();
        let out = worker.due(Continuation::Poll);
        let overdue = out.wake(|it| matches!(it, Continuation::Overdue(_))).1;
        counted(&mut worker, question(&out).unwrap().1.id);
        worker.due(overdue);
        assert_eq!(poll(&mut worker), None);
    }

    #[test]
    fn a_job_keeps_a_slot_until_it_ends() {
        let mut worker = worker();
        let (_, ended) = ends(&mut worker, Ending::Complete);
        assert_eq!(poll(&mut worker), None);
        worker.answer(ended, ok(&[]));
        assert!(poll(&mut worker).is_some());
    }
}

mod claims {
    use super::*;

    #[test]
    fn a_claim_takes_the_lane_of_its_question_which_the_grant_does_not_carry() {
        let mut worker = worker_with(|config| config.slots = 2);
        let (gold, silver) = (ask(&mut worker), ask(&mut worker));
        for (ask, lane) in [(silver, "silver"), (gold, "gold")] {
            let (request, _) = counted(&mut worker, ask.id).call_of("ff_claim_execution");
            assert_eq!(argv(&request)[..4], [e1().to_string(), "w1".into(), "w1-1.1".into(), lane.into()]);
        }
    }

    #[test]
    fn a_claim_is_sent_to_the_function_that_claims_and_names_the_attempt_to_come() {
        let mut worker = worker_with(|config| config.claim_function = ClaimFunction::AcquireLease);
        let ask = ask(&mut worker).id;
        let (_, count) = worker.receive(SCHEDULER, Message::Grant(ask, grant())).call();
        let (request, _) = worker.answer(count, Reply::bulk("3")).call_of("ff_acquire_lease");
        assert!(words(&request).iter().any(|key| key.ends_with(":3")), "{request:?}");
        assert_eq!(argv(&request)[6], LEASE_TTL_MS.to_string());
    }

    #[test]
    fn every_claim_has_ids_of_its_own() {
        let mut worker = worker_with(|config| config.slots = 2);
        let [one, other] = [claim(&mut worker), claim(&mut worker)].map(|(request, _)| argv(&request));
        assert_ne!(one[5], other[5], "the lease");
        assert_ne!(one[8], other[8], "the attempt");
    }

    #[test]
    fn an_answer_to_a_question_of_an_earlier_life_is_ignored() {
        let earlier = ask(&mut worker()).id;
        let mut worker = worker_with(|config| config.seed = 8);
        let own = ask(&mut worker).id;
        assert_ne!(own, earlier);
        assert!(worker.receive(SCHEDULER, Message::Grant(earlier, grant())).is_empty());
        counted(&mut worker, own).call_of("ff_claim_execution");
    }

    #[test]
    fn an_answer_after_no_grant_is_ignored() {
        let mut worker = worker();
        let ask = ask(&mut worker).id;
        worker.receive(SCHEDULER, Message::NoGrant(ask));
        assert!(worker.receive(SCHEDULER, Message::Grant(ask, grant())).is_empty());
    }

    #[test]
    fn a_grant_that_arrives_twice_is_claimed_twice_as_one_that_is_handed_to_the_sdk_twice() {
        let mut worker = worker();
        let ask = ask(&mut worker).id;
        let (_, first) = counted(&mut worker, ask).call_of("ff_claim_execution");
        let (_, second) = counted(&mut worker, ask).call_of("ff_claim_execution");
        worker.answer(first, leased(1)).call_of("GET");
        assert!(worker.answer(second, refusal("execution_not_leaseable")).is_empty());
    }

    #[test]
    fn an_answer_that_comes_late_is_claimed_with_all_the_same() {
        let mut worker = worker();
        let out = worker.due(Continuation::Poll);
        worker.due(out.wake(|it| matches!(it, Continuation::Overdue(_))).1);
        counted(&mut worker, question(&out).unwrap().1.id).call_of("ff_claim_execution");
    }

    #[test]
    fn a_refused_claim_frees_the_slot() {
        let mut worker = worker();
        let (_, continuation) = claim(&mut worker);
        assert!(worker.answer(continuation, refusal("invalid_claim_grant")).is_empty());
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn a_claim_whose_reply_is_lost_is_left_to_its_fate() {
        let mut worker = worker();
        let (_, continuation) = claim(&mut worker);
        assert!(worker.lose(continuation).is_empty());
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn by_plan_a_claim_whose_reply_is_lost_is_tried_so_many_times_more() {
        let mut worker = worker_with(|config| config.settings.claim_again = 2);
        let (_, mut continuation) = claim(&mut worker);
        for _ in 0..2 {
            let count = worker.lose(continuation).call_of("HGET").1;
            assert_eq!(poll(&mut worker), None, "the slot stays taken");
            continuation = worker.answer(count, Reply::bulk("0")).call_of("ff_claim_execution").1;
        }
        assert!(worker.lose(continuation).is_empty());
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn a_count_that_is_lost_frees_the_slot() {
        let mut worker = worker();
        let ask = ask(&mut worker).id;
        let (_, count) = worker.receive(SCHEDULER, Message::Grant(ask, grant())).call();
        assert!(worker.lose(count).is_empty());
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn an_execution_that_was_interrupted_is_claimed_as_resumed() {
        let mut worker = worker();
        let (_, continuation) = claim(&mut worker);
        let (request, read) =
            worker.answer(continuation, refusal("use_claim_resumed_execution")).call_of("HGET");
        assert_eq!(words(&request)[2], "current_attempt_index");
        let (request, continuation) =
            worker.answer(read, Reply::bulk("4")).call_of("ff_claim_resumed_execution");
        assert!(words(&request).iter().any(|key| key.ends_with(":4")), "the same attempt: {request:?}");
        assert_eq!(argv(&request)[3], "gold");
        assert_eq!(poll(&mut worker), None, "the slot stays taken");
        worker.answer(continuation, leased(2)).call_of("GET");
    }

    #[test]
    fn a_resumption_that_comes_to_nothing_frees_the_slot() {
        for reply in [Some(refusal("invalid_claim_grant")), None] {
            let mut worker = worker();
            let (_, claimed) = claim(&mut worker);
            let (_, read) = worker.answer(claimed, refusal("use_claim_resumed_execution")).call();
            let (_, resumed) = worker.answer(read, Reply::Null).call();
            let out = match reply {
                Some(reply) => worker.answer(resumed, reply),
                None => worker.lose(resumed),
            };
            assert!(out.is_empty());
            assert!(poll(&mut worker).is_some());
        }
    }

    #[test]
    fn a_reclaim_grant_carries_its_lane_and_starts_the_attempt_after_the_last() {
        let mut worker = worker();
        let grant = ReclaimGrant::new(e1(), LaneId::new("bronze"), TimestampMs(9));
        let (request, read) = worker.receive(Node::Scanner, Message::Reclaim(grant)).call_of("HGET");
        assert_eq!(words(&request)[2], "current_attempt_index");
        let (request, reclaimed) = worker.answer(read, Reply::bulk("4")).call_of("ff_reclaim_execution");
        assert_eq!(argv(&request)[3], "bronze");
        let keys = words(&request);
        assert!([":4", ":5"].iter().all(|attempt| keys.iter().any(|key| key.ends_with(attempt))), "{keys:?}");
        assert!(worker.answer(reclaimed.clone(), refusal("invalid_claim_grant")).is_empty());
        let begun = worker.answer(reclaimed, leased(2));
        assert_eq!(begun.work(), [(LeaseEpoch(2), None)]);
    }
}

mod renews {
    use super::*;

    #[test]
    fn a_lease_is_renewed_every_third_of_its_time() {
        let mut worker = worker();
        let renew = works(&mut worker, 400, Ending::Complete).renew;
        for _ in 0..3 {
            let out = worker.due(renew.clone());
            let (request, renewed) = out.call_of("ff_renew_lease");
            assert_eq!(argv(&request)[5], LEASE_TTL_MS.to_string());
            assert_eq!(out.wake(|it| matches!(it, Continuation::Renew(_))).0, LEASE_TTL_MS / 3);
            assert!(worker.answer(renewed, ok(&["1001200"])).is_empty());
        }
    }

    #[test]
    fn the_first_renewal_is_a_third_after_the_lease_began() {
        let mut worker = worker();
        let (_, continuation) = claim(&mut worker);
        let begun = worker.answer(continuation, leased(1));
        assert_eq!(begun.wake(|it| matches!(it, Continuation::Renew(_))).0, LEASE_TTL_MS / 3);
    }

    #[test]
    fn a_refused_renewal_ends_the_job() {
        let mut worker = worker();
        let Working { renew, done, .. } = works(&mut worker, 400, Ending::Complete);
        let (_, renewed) = worker.due(renew.clone()).call();
        let ended = worker.answer(renewed, refusal("stale_lease"));
        assert_eq!(ended.work(), [(LeaseEpoch(1), Some(WorkEnd::LostLease))]);
        assert!(poll(&mut worker).is_some(), "its slot is free");
        assert!(worker.due(renew).is_empty(), "nothing is renewed any more");
        assert!(worker.due(done.unwrap().1).is_empty(), "and nothing is completed");
    }

    #[test]
    fn a_renewal_whose_reply_is_lost_does_not_end_the_job() {
        let mut worker = worker();
        let Working { renew, done, .. } = works(&mut worker, 400, Ending::Complete);
        let (_, renewed) = worker.due(renew.clone()).call();
        assert!(worker.lose(renewed).is_empty());
        worker.due(renew).call_of("ff_renew_lease");
        worker.due(done.unwrap().1).call_of("ff_complete_execution");
    }

    #[test]
    fn nothing_is_renewed_once_the_work_is_done() {
        let mut worker = worker();
        let Working { renew, done, .. } = works(&mut worker, 400, Ending::Complete);
        let (_, renewed) = worker.due(renew.clone()).call();
        worker.due(done.unwrap().1);
        assert!(worker.due(renew).is_empty());
        let late = worker.answer(renewed, refusal("execution_not_active"));
        assert!(late.is_empty(), "a renewal that crossed the ending says nothing new");
    }
}

mod ends {
    use super::*;

    #[test]
    fn the_work_is_that_of_the_lease_and_what_is_beyond_the_list_is_as_the_last() {
        let list = [(1, 100), (2, 200), (3, 200), (4, 200)];
        for (epoch, takes_ms) in list {
            let mut worker = worker();
            let (_, continuation) = claim(&mut worker);
            let begun = worker.answer(continuation, leased(epoch));
            let work = [100, 200].map(|takes_ms| Work::new(takes_ms, Ending::Complete));
            let payload = serde_json::to_vec(&execution(&work)).unwrap();
            let done = begin(&mut worker, &begun, Reply::bulk(payload)).done;
            assert_eq!(done.map(|(ms, _)| ms), Some(takes_ms), "epoch {epoch}");
        }
    }

    #[test]
    fn without_a_payload_there_is_nothing_to_do_but_to_vanish() {
        let mut worker = worker();
        let (_, continuation) = claim(&mut worker);
        let begun = worker.answer(continuation, leased(1));
        let Working { renew, out, .. } = begin(&mut worker, &begun, Reply::Null);
        assert_eq!(out.work(), [(LeaseEpoch(1), Some(WorkEnd::Vanished))]);
        assert!(worker.due(renew).is_empty());
    }

    #[test]
    fn what_a_dependency_passed_on_in_the_payloads_place_is_used_up_at_once() {
        let mut worker = worker();
        let (_, continuation) = claim(&mut worker);
        let begun = worker.answer(continuation, leased(1));
        let (ms, done) = begin(&mut worker, &begun, Reply::bulk("the parent's result")).done.expect("work");
        assert_eq!(ms, 0);
        worker.due(done).call_of("ff_complete_execution");
    }

    #[test]
    fn each_ending_is_its_own_call() {
        for (ending, name) in [
            (Ending::Complete, "ff_complete_execution"),
            (Ending::Fail, "ff_fail_execution"),
            (Ending::Delay(30), "ff_delay_execution"),
            (Ending::Cancel, "ff_cancel_execution"),
        ] {
            let mut worker = worker();
            let done = works(&mut worker, 400, ending).done.unwrap();
            assert_eq!(done.0, 400);
            let out = worker.due(done.1);
            assert_eq!(out.work(), [(LeaseEpoch(1), Some(WorkEnd::Done))]);
            let (request, _) = out.call_of(name);
            assert_eq!(argv(&request)[0], e1().to_string());
            if ending == Ending::Delay(30) {
                let until = worker.now.0 + 30;
                assert!(argv(&request).contains(&until.to_string()), "by its own clock: {request:?}");
            }
        }
    }

    #[test]
    fn a_failure_brings_the_plans_number_of_retries() {
        let (request, _) = ends(&mut worker(), Ending::Fail);
        assert!(argv(&request).iter().any(|arg| arg.contains(r#""max_retries":2"#)), "{request:?}");
    }

    #[test]
    fn where_the_library_has_no_such_function_the_work_is_completed() {
        for ending in [Ending::Fail, Ending::Delay(30), Ending::Cancel] {
            let mut worker = worker_with(|config| config.functions = Arc::default());
            let (request, _) = ends(&mut worker, ending);
            assert_eq!(String::from_utf8_lossy(request.name()), "ff_complete_execution");
        }
    }

    #[test]
    fn a_worker_that_vanishes_says_nothing_to_the_server_and_has_a_slot_again() {
        let mut worker = worker();
        let Working { renew, done, .. } = works(&mut worker, 400, Ending::Vanish);
        let out = worker.due(done.unwrap().1);
        assert_eq!(out.work(), [(LeaseEpoch(1), Some(WorkEnd::Vanished))]);
        assert!(out.calls().is_empty());
        assert!(worker.due(renew).is_empty());
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn an_ending_whose_reply_is_lost_is_sent_again_and_the_work_does_not_end_twice() {
        let mut worker = worker();
        let (first, mut continuation) = ends(&mut worker, Ending::Complete);
        for _ in 1..END_TRIES {
            let lost = worker.lose(continuation);
            assert!(lost.calls().is_empty(), "not at once");
            let (after_ms, again) = lost.wake(|it| matches!(it, Continuation::Ended(..)));
            assert_eq!(after_ms, END_AGAIN_MS);
            let out = worker.due(again);
            assert_eq!(out.work(), []);
            let (request, next) = out.call();
            assert_eq!(words(&request), words(&first));
            continuation = next;
        }
        assert_eq!(poll(&mut worker), None, "the slot stays taken");
        assert!(worker.lose(continuation).is_empty(), "five times, and no more");
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn any_answer_to_an_ending_ends_the_job() {
        for reply in [ok(&[]), refusal("execution_not_active"), refusal("stale_lease")] {
            let mut worker = worker();
            let (_, continuation) = ends(&mut worker, Ending::Complete);
            assert!(worker.answer(continuation.clone(), reply).is_empty());
            assert!(worker.due(continuation).is_empty());
            assert!(poll(&mut worker).is_some());
        }
    }
}

mod terms {
    use super::*;
    use crate::plan::{Chore, Doing, Frame};

    fn careful() -> Play {
        worker_with(|config| config.reads_policies = true)
    }

    #[test]
    fn a_claim_brings_what_the_policy_says_of_an_attempt() {
        let mut worker = careful();
        let ask = ask(&mut worker).id;
        let (request, read) = counted(&mut worker, ask).call_of("GET");
        assert!(words(&request)[1].ends_with(":policy"), "{request:?}");
        let policy = r#"{"timeout_policy":{"attempt_timeout_ms":70},"max_reclaim_count":1}"#;
        let (request, _) = worker.answer(read, Reply::bulk(policy)).call_of("ff_claim_execution");
        let argv = argv(&request);
        assert_eq!((argv[9].as_str(), argv[10].as_str()), (r#"{"attempt_timeout_ms":70}"#, "70"));
    }

    #[test]
    fn a_policy_that_says_nothing_or_cannot_be_read_brings_nothing() {
        for policy in [Reply::Null, Reply::bulk("["), Reply::bulk("{}")] {
            let mut worker = careful();
            let ask = ask(&mut worker).id;
            let read = counted(&mut worker, ask).call().1;
            let (request, _) = worker.answer(read, policy).call_of("ff_claim_execution");
            assert_eq!(argv(&request)[9..11], ["", ""]);
        }
    }

    #[test]
    fn a_policy_that_is_lost_frees_the_slot() {
        let mut worker = careful();
        let ask = ask(&mut worker).id;
        let read = counted(&mut worker, ask).call().1;
        assert!(worker.lose(read).is_empty());
        assert!(poll(&mut worker).is_some());
    }

    #[test]
    fn a_reclaim_brings_the_policy_too() {
        let mut worker = careful();
        let grant = ReclaimGrant::new(e1(), LaneId::new("bronze"), TimestampMs(9));
        let read = worker.receive(Node::Scanner, Message::Reclaim(grant)).call_of("HGET").1;
        let read = worker.answer(read, Reply::bulk("4")).call_of("GET").1;
        let policy = Reply::bulk(r#"{"timeout_policy":{"attempt_timeout_ms":70}}"#);
        let (request, _) = worker.answer(read, policy).call_of("ff_reclaim_execution");
        assert_eq!(argv(&request)[7], r#"{"attempt_timeout_ms":70}"#);
    }

    /// What the worker does under a new lease with this payload.
    fn begins(worker: &mut Play, execution: &plan::Execution) -> Working {
        let (_, continuation) = claim(worker);
        let begun = worker.answer(continuation, leased(1));
        begin(worker, &begun, Reply::bulk(serde_json::to_vec(execution).unwrap()))
    }

    #[test]
    fn a_failure_brings_the_policy_of_the_terms_before_the_number_of_retries() {
        for (retry, sent) in [
            (Retry::Never, ""),
            (
                Retry::Fixed { retries: 7, delay_ms: 3 },
                r#"{"backoff":{"delay_ms":3,"type":"fixed"},"max_retries":7}"#,
            ),
            (Retry::Text("[".to_owned()), "["),
        ] {
            let mut worker = worker();
            let work = [Work::new(400, Ending::Fail)];
            let terms = Terms { retry: Some(retry), ..Terms::default() };
            let done = begins(&mut worker, &plan::Execution { terms, ..execution(&work) }).done.unwrap().1;
            let (request, _) = worker.due(done).call_of("ff_fail_execution");
            assert_eq!(argv(&request)[6], sent);
        }
    }

    /// A worker with this to do on the way of 400 ms.
    fn chores(worker: &mut Play, does: &[Doing]) -> Working {
        let meanwhile = does.iter().map(|does| Chore { after_ms: 50, does: does.clone() }).collect();
        begins(worker, &execution(&[Work { meanwhile, ..Work::new(400, Ending::Complete) }]))
    }

    #[test]
    fn each_chore_is_its_own_call_at_its_time_and_under_the_lease() {
        let lease = uuid::Uuid::from_u128(5).to_string();
        for (does, name, lease_at) in [
            (Doing::Append(Frame::Durable("a".to_owned())), "ff_append_frame", Some(2)),
            (Doing::Append(Frame::Summary("{}".to_owned())), "ff_append_frame", Some(2)),
            (Doing::Append(Frame::BestEffort { ttl_ms: 9 }), "ff_append_frame", Some(2)),
            (Doing::Progress(40), "ff_update_progress", Some(1)),
            (Doing::Tag { key: "a.b".to_owned(), value: "c".to_owned() }, "ff_set_execution_tags", None),
            (Doing::ReadStream(3), "ff_read_attempt_stream", None),
            (Doing::ReadSummary, "ff_read_summary", None),
            (Doing::GiveBack("b1".into()), "ff_release_budget", None),
            (Doing::Await(9), "ff_create_pending_waitpoint", None),
        ] {
            let mut worker = worker();
            let begun = chores(&mut worker, &[does]).out;
            let (after_ms, due) = begun.wake(|it| matches!(it, Continuation::Does(..)));
            assert_eq!(after_ms, 50);
            let (request, told) = worker.due(due).call_of(name);
            if let Some(at) = lease_at {
                assert_eq!(argv(&request)[at], lease, "{name}");
            }
            assert!(worker.answer(told, refusal("stale_lease")).is_empty(), "{name}: it goes on");
        }
    }

    #[test]
    fn usage_is_reported_of_the_plans_budget_by_name_if_it_has_one_and_by_who_used_it() {
        let report = |by_execution, once| Doing::Use {
            budget: "b1".into(),
            dimension: "tokens".to_owned(),
            amount: 3,
            by_execution,
            once,
        };
        let budget = worker().actor.config.plan.budget_id(&"b1".into()).to_string();
        for (by_execution, once, name) in [
            (false, false, "ff_report_usage_and_check"),
            (false, true, "ff_report_usage_and_check"),
            (true, true, "ff_record_spend"),
        ] {
            let mut worker = worker();
            let begun = chores(&mut worker, &[report(by_execution, once)]).out;
            let due = begun.wake(|it| matches!(it, Continuation::Does(..))).1;
            let (request, _) = worker.due(due).call_of(name);
            assert!(words(&request)[3].contains(&budget), "{request:?}");
            assert_eq!(argv(&request).iter().any(|arg| arg.ends_with(&format!("{}/0/0", e1()))), once);
        }
    }

    #[test]
    fn nothing_is_done_on_the_way_once_the_work_is_over() {
        let mut worker = worker();
        let Working { done, out, .. } = chores(&mut worker, &[Doing::ReadSummary]);
        worker.due(done.unwrap().1).call_of("ff_complete_execution");
        assert!(worker.due(out.wake(|it| matches!(it, Continuation::Does(..))).1).is_empty());
    }
}

mod waits {
    use super::*;
    use crate::plan::{Chore, Doing};

    fn suspend(until: Until) -> Suspend {
        Suspend {
            until,
            timeout_ms: Some(900),
            then: TimeoutBehavior::Cancel,
            pending: false,
            extra: 0,
            once_ms: None,
        }
    }

    #[test]
    fn a_suspension_says_until_when_what_then_and_what_for() {
        let mut worker = worker();
        let (request, ended) = ends(&mut worker, Ending::Suspend(suspend(Until::Go)));
        assert_eq!(String::from_utf8_lossy(request.name()), "ff_suspend_execution");
        let argv = argv(&request);
        assert_eq!((argv[10].as_str(), argv[14].as_str(), argv[15].as_str()), ("1000900", "", "cancel"));
        assert!(argv[11].contains(r#""required_signal_names":["go"]"#), "{}", argv[11]);
        assert_eq!(argv[7], format!("wpk:{}", argv[6]), "the key of a waitpoint is its id");
        worker.answer(ended, ok(&["s", "w", "k", "t"]));
        assert!(poll(&mut worker).is_some(), "its slot is free");
    }

    #[test]
    fn a_suspension_that_is_sent_again_is_the_same_one() {
        let mut worker = worker();
        let (first, ended) = ends(&mut worker, Ending::Suspend(suspend(Until::Any)));
        let again = worker.lose(ended).wake(|it| matches!(it, Continuation::Ended(..))).1;
        assert_eq!(words(&worker.due(again).call().0), words(&first));
    }

    #[test]
    fn a_suspension_that_is_satisfied_already_leaves_the_lease_and_the_work_goes_on_to_its_end() {
        let mut worker = worker();
        let (_, ended) = ends(&mut worker, Ending::Suspend(suspend(Until::Any)));
        let fields = ["ALREADY_SATISFIED", "s", "w", "k", "t"].map(Reply::bulk);
        let reply = Reply::Array([Reply::Int(1)].into_iter().chain(fields).collect());
        let out = worker.answer(ended, reply);
        assert_eq!(poll(&mut worker), None, "the slot stays taken");
        worker.due(out.wake(|it| matches!(it, Continuation::Renew(_))).1).call_of("ff_renew_lease");
        let (after_ms, done) = out.wake(|it| matches!(it, Continuation::Done(_)));
        assert_eq!(after_ms, 400);
        worker.due(done).call_of("ff_complete_execution");
    }

    #[test]
    fn a_suspension_waits_at_the_waitpoint_that_was_opened_on_the_way() {
        let mut worker = worker();
        let wait = Suspend { pending: true, ..suspend(Until::Any) };
        let meanwhile = vec![Chore { after_ms: 50, does: Doing::Await(700) }];
        let work = [Work { meanwhile, ..Work::new(400, Ending::Suspend(wait)) }];
        let (_, continuation) = claim(&mut worker);
        let begun = worker.answer(continuation, leased(1));
        let payload = Reply::bulk(serde_json::to_vec(&execution(&work)).unwrap());
        let Working { done, out, .. } = begin(&mut worker, &begun, payload);
        let due = out.wake(|it| matches!(it, Continuation::Does(..))).1;
        let (request, opened) = worker.due(due).call_of("ff_create_pending_waitpoint");
        let open = argv(&request);
        assert_eq!(open[4], "1000700");
        worker.answer(opened, ok(&[&open[2], &open[3], "token"]));
        let (request, _) = worker.due(done.unwrap().1).call_of("ff_suspend_execution");
        let argv = argv(&request);
        assert_eq!((&argv[6], &argv[7], argv[14].as_str()), (&open[2], &open[3], "1"));
    }

    #[test]
    fn each_condition_is_one_that_the_library_reads() {
        for (until, part) in [
            (Until::Any, r#""required_signal_names":[]"#),
            (Until::Both, r#""signal_match_mode":"all""#),
            (Until::Nothing, "__operator_only__"),
            (Until::AllOf, r#""kind":"AllOf""#),
            (Until::Count(2), r#""n":2"#),
        ] {
            let (request, _) = ends(&mut worker(), Ending::Suspend(suspend(until)));
            let condition = &argv(&request)[11];
            assert!(condition.contains(part), "{until:?}: {condition}");
            serde_json::from_str::<serde_json::Value>(condition).unwrap();
        }
    }

    #[test]
    fn a_worker_that_waits_for_children_gives_the_execution_back() {
        let (request, _) = ends(&mut worker(), Ending::WaitChildren);
        assert_eq!(String::from_utf8_lossy(request.name()), "ff_move_to_waiting_children");
    }
}

mod registers {
    use super::*;
    use crate::plan::Registry;

    fn registered() -> Play {
        worker_with(|config| {
            config.settings.registry = Some(Registry { ttl_ms: 900, heartbeat_ms: 300, sweep_ms: 500 });
            config.functions =
                Arc::new(Registered::from_iter([Function::RegisterWorker, Function::HeartbeatWorker]));
        })
    }

    #[test]
    fn a_worker_registers_when_it_starts_and_then_says_that_it_is_there() {
        let mut worker = registered();
        let out = worker.start();
        let (request, told) = out.call_of("ff_register_worker");
        assert_eq!(argv(&request), ["w1-1.1", "w1", "gold,silver", "gpu", "900", "1000000"]);
        assert!(worker.answer(told, ok(&["registered"])).is_empty());
        let (after_ms, beat) = out.wake(|it| matches!(it, Continuation::Heartbeat));
        assert_eq!(after_ms, 300);
        let out = worker.due(beat);
        out.wake(|it| matches!(it, Continuation::Heartbeat));
        let beaten = out.call_of("ff_heartbeat_worker").1;
        assert!(worker.answer(beaten.clone(), ok(&["refreshed", "900"])).is_empty());
        worker.answer(beaten, ok(&["not_registered"])).call_of("ff_register_worker");
    }

    #[test]
    fn without_a_registry_nobody_registers() {
        assert!(worker().start().calls().is_empty());
        let mut without_the_functions = registered();
        without_the_functions.actor.config.functions = Arc::default();
        assert!(without_the_functions.start().calls().is_empty());
    }
}
