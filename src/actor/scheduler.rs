//! The scheduler: `claim_for_worker` of FlowFabric's `ff-scheduler` 0.15, step by step.
//!
//! It reads the server's TIME once, walks up to 32 partitions from a start that differs from worker to worker, and
//! issues a grant for the first execution that the worker is able to do. What the published scheduler asks of budgets
//! and quotas is left out: no execution of a plan has any attached.

use valkey_sim::engine::Reply;

use super::{Actor, Ask, Input, Message, Outbox};
use crate::{
    protocol::{
        BlockExecution, BlockingReason, Command, GrantNotes, GrantRequest, IssueClaimGrant, Plain,
        core_field, first_eligible, server_time,
    },
    types::{ExecutionId, Millis, Node, TimestampMs, grant::ClaimGrant},
};

/// Partitions that one question looks at, at most.
const SCAN_AT_MOST: u16 = 32;
/// The rotation cursor moves when a question falls into a new window of this many milliseconds.
const WINDOW_MS: i64 = 250;

/// Issues claim grants.
#[derive(Clone, Debug)]
pub struct Scheduler {
    partitions: u16,
    grant_ttl: Millis,
    cursor: u16,
    window: i64,
}

/// A question on its way through the partitions.
#[derive(Clone, Debug)]
pub struct Scan {
    worker: Node,
    ask: Ask,
    /// The server's time when the scan began: what the grant's `expires_at_ms` is reckoned from.
    now: TimestampMs,
    start: u16,
    /// Partitions looked at so far.
    seen: u16,
}

/// What the scheduler goes on with.
#[derive(Clone, Debug)]
pub enum Continuation {
    /// The server's time.
    Time(Node, Ask, Plain<TimestampMs>),
    /// The head of the eligible set of the scan's partition.
    Head(Scan, Plain<Option<ExecutionId>>),
    /// What an execution requires.
    Required(Scan, ExecutionId, Plain<Option<String>>),
    /// An execution that the worker cannot do was put aside.
    Blocked(Scan),
    /// A grant was issued, or not.
    Issued(Scan, IssueClaimGrant),
}

impl Scheduler {
    /// A scheduler of a deployment with so many partitions.
    pub fn new(partitions: u16, grant_ttl: Millis) -> Self {
        Self { partitions, grant_ttl, cursor: 0, window: i64::MIN }
    }

    fn answered(&mut self, continuation: Continuation, reply: &Reply, out: &mut Outbox<Continuation>) {
        match continuation {
            Continuation::Time(worker, ask, read) => match read.parse(reply) {
                Ok(now) => {
                    let start = self.start(&ask, now);
                    self.look(Scan { worker, ask, now, start, seen: 0 }, out);
                }
                Err(_) => no_grant(worker, &ask, out),
            },
            Continuation::Head(scan, read) => match read.parse(reply) {
                Ok(Some(id)) => {
                    out.call(core_field(&id, "required_capabilities"), |read| {
                        Continuation::Required(scan, id, read)
                    });
                }
                Ok(None) | Err(_) => self.look_further(scan, out),
            },
            Continuation::Required(scan, id, read) => match read.parse(reply) {
                Ok(required) => self.grant(scan, id, required.unwrap_or_default(), out),
                Err(_) => self.look_further(scan, out),
            },
            Continuation::Blocked(scan) => self.look_further(scan, out),
            Continuation::Issued(scan, call) => match call.parse(reply) {
                Ok(()) => {
                    let expires_at_ms = TimestampMs(scan.now.0.saturating_add_unsigned(self.grant_ttl.0));
                    let grant = ClaimGrant::new(call.0.execution_id, expires_at_ms);
                    out.send(scan.worker, Message::Grant(scan.ask.id, grant));
                }
                Err(_) => self.look_further(scan, out),
            },
        }
    }

    /// Issues a grant to a worker that is able, and puts the execution aside for one that is not.
    fn grant(&self, scan: Scan, id: ExecutionId, required: String, out: &mut Outbox<Continuation>) {
        let able = required.split(',').filter(|c| !c.is_empty()).all(|c| scan.ask.capabilities.contains(c));
        if able {
            let call = IssueClaimGrant(GrantRequest {
                execution_id: id,
                lane_id: scan.ask.lane_id.clone(),
                worker_id: scan.ask.worker_id.clone(),
                worker_instance_id: scan.ask.worker_instance_id.clone(),
                grant_ttl: self.grant_ttl,
                capabilities: scan.ask.capabilities.clone(),
                notes: GrantNotes::default(),
            });
            out.call(call, |call| Continuation::Issued(scan, call));
        } else {
            let block = BlockExecution {
                execution_id: id,
                lane_id: scan.ask.lane_id.clone(),
                reason: BlockingReason::Capability,
                detail: required,
                now: scan.now,
            };
            out.call(block, |_| Continuation::Blocked(scan));
        }
    }

    /// Where a worker's scan starts: workers spread out, and all of them move on as time does.
    fn start(&mut self, ask: &Ask, now: TimestampMs) -> u16 {
        let window = now.0.div_euclid(WINDOW_MS);
        if window != self.window {
            self.window = window;
            self.cursor = (self.cursor + SCAN_AT_MOST) % self.partitions;
        }
        let own = fnv1a(ask.worker_instance_id.as_str().as_bytes()) % u64::from(self.partitions);
        (own as u16 + self.cursor) % self.partitions
    }

    fn look(&self, scan: Scan, out: &mut Outbox<Continuation>) {
        if scan.seen < self.partitions.min(SCAN_AT_MOST) {
            let partition = (scan.start + scan.seen) % self.partitions;
            out.call(first_eligible(partition, &scan.ask.lane_id), |read| Continuation::Head(scan, read));
        } else {
            no_grant(scan.worker, &scan.ask, out);
        }
    }

    fn look_further(&self, scan: Scan, out: &mut Outbox<Continuation>) {
        self.look(Scan { seen: scan.seen + 1, ..scan }, out);
    }
}

impl Actor for Scheduler {
    type Continuation = Continuation;

    fn step(&mut self, _: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Received { from, message: Message::Ask(ask) } => {
                out.call(server_time(), |read| Continuation::Time(from, ask, read))
            }
            Input::Answered { continuation, answer: Ok(reply) } => self.answered(continuation, &reply, out),
            Input::Answered { continuation, answer: Err(_) } => give_up(continuation, out),
            Input::Started | Input::Due(_) | Input::Received { .. } => {}
        }
    }
}

/// A transport error ends the question, as in the published scheduler: the caller asks again. If a grant was issued
/// all the same, nobody will hear of it before it expires.
fn give_up(continuation: Continuation, out: &mut Outbox<Continuation>) {
    match continuation {
        Continuation::Time(worker, ask, _) => no_grant(worker, &ask, out),
        Continuation::Head(scan, _)
        | Continuation::Required(scan, ..)
        | Continuation::Blocked(scan)
        | Continuation::Issued(scan, _) => {
            no_grant(scan.worker, &scan.ask, out);
        }
    }
}

fn no_grant(worker: Node, ask: &Ask, out: &mut Outbox<Continuation>) {
    out.send(worker, Message::NoGrant(ask.id));
}

/// 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
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
        Stage::new(Scheduler::new(partitions, Millis(TTL_MS)))
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
        key.split_once("{fp:")
            .and_then(|(_, rest)| rest.split('}').next()?.parse().ok())
            .expect("a partition")
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
}
