//! The background scanners, in one process: lease expiry, delayed promotion, unblocking, and the reclaimer.
//!
//! Each walks all partitions in turn, as FlowFabric's do. The reclaimer is the harness's own (no published scheduler
//! issues reclaim grants): it follows an expired lease with `ff_issue_reclaim_grant` to a worker that said lately
//! that it lives. The scanners for timeouts, deadlines, suspensions, dependencies, quotas, budgets and retention are
//! left out, as no execution of a plan has any of these.

use std::collections::{BTreeMap, BTreeSet};

use super::{Actor, Alive, Input, Message, Outbox};
use crate::{
    plan::Settings,
    protocol::{
        BlockingReason, Command, GrantNotes, GrantRequest, IssueReclaimGrant, MarkLeaseExpired, Plain,
        PromoteDelayed, Registered, UnblockExecution, blocked, core_fields, delayed_due, leases_due,
    },
    types::{ExecutionId, Function, LaneId, Millis, Node, OwnershipState, TimestampMs},
};

/// How many executions a scanner takes from a partition at a time.
const BATCH: usize = 50;
/// As [`BATCH`], for the unblock scanner.
const UNBLOCK_BATCH: usize = 100;
/// A worker that has not been heard of for this long gets no reclaim grant.
const ALIVE_FOR_MS: i64 = 3_000;
/// What the reclaimer reads of an expired execution.
const RECLAIM_FIELDS: [&str; 3] = ["lane_id", "ownership_state", "required_capabilities"];

/// Runs the scanners.
#[derive(Clone, Debug)]
pub struct Scanner {
    lanes: Vec<LaneId>,
    settings: Settings,
    reclaims: bool,
    workers: BTreeMap<Node, (Alive, TimestampMs)>,
    turn: usize,
}

/// One of the scanners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Marks leases that have expired.
    LeaseExpiry,
    /// Makes delayed executions eligible.
    Delayed,
    /// Gives executions that no worker could do another chance.
    Unblock,
    /// Issues reclaim grants for expired leases.
    Reclaim,
}

/// Where a scanner's walk stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    scan: Scan,
    partition: u16,
    lane: usize,
}

/// What the scanner goes on with.
#[derive(Clone, Debug)]
pub enum Continuation {
    /// Time for a walk.
    Walk(Scan),
    /// The executions found at a place.
    Found(Place, Plain<Vec<ExecutionId>>),
    /// A call whose answer changes nothing here.
    Told,
    /// What the reclaimer needs to know of an execution.
    Read(ExecutionId, Plain<Vec<Option<String>>>),
    /// A reclaim grant for a worker was issued, or not.
    Granted(Node, Box<IssueReclaimGrant>),
}

impl Scanner {
    /// Scanners over these lanes.
    pub fn new(lanes: Vec<LaneId>, settings: Settings, functions: &Registered) -> Self {
        let reclaims =
            functions.has(&Function::IssueReclaimGrant) && functions.has(&Function::ReclaimExecution);
        Self { lanes, settings, reclaims, workers: BTreeMap::new(), turn: 0 }
    }

    fn every_ms(&self, scan: Scan) -> u64 {
        match scan {
            Scan::LeaseExpiry => self.settings.lease_scan_ms,
            Scan::Delayed => self.settings.delayed_scan_ms,
            Scan::Unblock => self.settings.unblock_scan_ms,
            Scan::Reclaim => self.settings.reclaim_scan_ms,
        }
    }

    /// Asks what is due at a place.
    fn look(&self, now: TimestampMs, place: Place, out: &mut Outbox<Continuation>) {
        let Place { scan, partition, lane } = place;
        let look = match scan {
            Scan::LeaseExpiry | Scan::Reclaim => leases_due(partition, now, BATCH),
            Scan::Delayed => delayed_due(partition, &self.lanes[lane], now, BATCH),
            Scan::Unblock => blocked(partition, &self.lanes[lane], BlockingReason::Capability, UNBLOCK_BATCH),
        };
        out.call(look, |look| Continuation::Found(place, look));
    }

    /// The place after this one; none after the last.
    fn next(&self, place: Place) -> Option<Place> {
        let by_lane = matches!(place.scan, Scan::Delayed | Scan::Unblock);
        if by_lane && place.lane + 1 < self.lanes.len() {
            return Some(Place { lane: place.lane + 1, ..place });
        }
        let partition = place.partition + 1;
        (partition < self.settings.partitions).then_some(Place { partition, lane: 0, ..place })
    }

    fn found(&self, now: TimestampMs, place: Place, found: Vec<ExecutionId>, out: &mut Outbox<Continuation>) {
        for execution_id in found {
            let lane_id = || self.lanes[place.lane].clone();
            match place.scan {
                Scan::LeaseExpiry => out.call(MarkLeaseExpired { execution_id }, |_| Continuation::Told),
                Scan::Delayed => {
                    out.call(PromoteDelayed { execution_id, lane_id: lane_id(), now }, |_| {
                        Continuation::Told
                    });
                }
                Scan::Unblock => {
                    let expected_reason = BlockingReason::Capability;
                    let call = UnblockExecution { execution_id, lane_id: lane_id(), expected_reason, now };
                    out.call(call, |_| Continuation::Told);
                }
                Scan::Reclaim => {
                    out.call(core_fields(&execution_id, &RECLAIM_FIELDS), |read| {
                        Continuation::Read(execution_id, read)
                    });
                }
            }
        }
    }

    /// Issues a reclaim grant to one of the workers that live, serve the lane and are able, in turn.
    fn reclaim(
        &mut self,
        now: TimestampMs,
        execution_id: ExecutionId,
        fields: &[Option<String>],
        out: &mut Outbox<Continuation>,
    ) {
        let [Some(lane), Some(ownership), required] = fields else { return };
        if !OwnershipState::from(ownership.as_str()).is_reclaimable() {
            return;
        }
        let lane_id = LaneId::new(lane);
        let required: BTreeSet<&str> =
            required.iter().flat_map(|csv| csv.split(',')).filter(|c| !c.is_empty()).collect();
        let able = self.workers.iter().filter(|(_, (alive, heard))| {
            now.0.saturating_sub(heard.0) <= ALIVE_FOR_MS
                && alive.lanes.contains(&lane_id)
                && required.iter().all(|c| alive.capabilities.contains(*c))
        });
        let able: Vec<_> = able.collect();
        if able.is_empty() {
            return;
        }
        let (node, (alive, _)) = able[self.turn % able.len()];
        let call = IssueReclaimGrant(GrantRequest {
            execution_id,
            lane_id,
            worker_id: alive.worker_id.clone(),
            worker_instance_id: alive.worker_instance_id.clone(),
            // A grant of no duration would never be seen: the reclaimer's own grants always live.
            grant_ttl: Millis(self.settings.grant_ttl_ms.max(1)),
            capabilities: alive.capabilities.clone(),
            notes: GrantNotes::default(),
        });
        let node = *node;
        self.turn += 1;
        out.call(call, |call| Continuation::Granted(node, Box::new(call)));
    }
}

impl Actor for Scanner {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                for scan in [Scan::LeaseExpiry, Scan::Delayed, Scan::Unblock, Scan::Reclaim] {
                    if scan != Scan::Reclaim || self.reclaims {
                        out.wake(self.every_ms(scan), Continuation::Walk(scan));
                    }
                }
            }
            Input::Due(Continuation::Walk(scan)) => {
                self.look(now, Place { scan, partition: 0, lane: 0 }, out)
            }
            Input::Answered { continuation: Continuation::Found(place, look), answer } => {
                // A scanner that lost its connection leaves the walk and begins anew.
                let found = answer.ok().and_then(|reply| look.parse(&reply).ok());
                let next = self.next(place).filter(|_| found.is_some());
                self.found(now, place, found.unwrap_or_default(), out);
                match next {
                    Some(place) => self.look(now, place, out),
                    None => out.wake(self.every_ms(place.scan), Continuation::Walk(place.scan)),
                }
            }
            Input::Answered { continuation: Continuation::Read(execution_id, read), answer: Ok(reply) } => {
                if let Ok(fields) = read.parse(&reply) {
                    self.reclaim(now, execution_id, &fields, out);
                }
            }
            Input::Answered { continuation: Continuation::Granted(worker, call), answer: Ok(reply) } => {
                if let Ok(grant) = call.parse(&reply) {
                    out.send(worker, Message::Reclaim(grant));
                }
            }
            Input::Received { from, message: Message::Alive(alive) } => {
                self.workers.insert(from, (alive, now));
            }
            Input::Due(_) | Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use valkey_sim::engine::Reply;

    use super::{
        super::support::{Outputs, Stage, argv, id, list, ok, refusal, words},
        *,
    };
    use crate::types::{WorkerId, WorkerInstanceId, grant::ReclaimGrant};

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
            (Scan::Unblock, "ff_unblock_execution", &["1000000", "waiting_for_capable_worker"]),
        ] {
            let mut scanner = scanner();
            let look = scanner.due(Continuation::Walk(scan)).call().1;
            let calls = scanner.answer(look, list(&[&one, &two])).calls();
            let (requests, further): (Vec<_>, Vec<_>) = calls
                .into_iter()
                .map(|(request, _)| request)
                .partition(|request| request.function().is_some());
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
}
