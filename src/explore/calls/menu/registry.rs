//! The worker registry.

use super::{Caller, LANE, List, OTHER_LANE, WORKERS};
use crate::{
    protocol::*,
    types::{LaneId, Millis, Namespace, TimestampMs, WorkerId, WorkerInstanceId},
    view::View,
};

const ALIVE_FOR: Millis = Millis(300);

impl List<'_> {
    /// What processes can say of themselves, and the ends of their lives.
    pub(super) fn of_registry(&mut self, view: &View, now: TimestampMs) {
        let name = self.menu.executions[0].0.clone();
        let register = |worker: &Caller, id: &str, lane: &str, ttl| RegisterWorker {
            namespace: Namespace::new("sim"),
            worker_instance_id: WorkerInstanceId::new(worker.instance),
            worker_id: WorkerId::new(id),
            lanes: [LaneId::new(lane)].into(),
            capabilities: Default::default(),
            ttl,
            now,
        };
        let beat = |worker: &Caller| HeartbeatWorker {
            namespace: Namespace::new("sim"),
            worker_instance_id: WorkerInstanceId::new(worker.instance),
            now,
        };
        let [w1, w2] = &WORKERS;
        let longer = Millis(2 * ALIVE_FOR.0);
        for (text, request) in [
            ("register w1's process", register(w1, w1.id, LANE, ALIVE_FOR).request()),
            ("register w1's process, for longer", register(w1, w1.id, LANE, longer).request()),
            ("register w1's process, on lane silver", register(w1, w1.id, OTHER_LANE, ALIVE_FOR).request()),
            ("register w1's process as w2's", register(w1, w2.id, LANE, ALIVE_FOR).request()),
            ("register w2's process", register(w2, w2.id, LANE, ALIVE_FOR).request()),
            ("have w1's process say that it lives", beat(w1).request()),
            ("have w2's process say that it lives", beat(w2).request()),
        ] {
            self.push(text, &name, request);
        }
        let until = |worker: &Caller| view.worker("sim", worker.instance).alive_until();
        let due = [("the end of w1's process", until(w1)), ("the end of w2's process", until(w2))];
        let due: Vec<_> = due.into_iter().filter_map(|(what, at)| Some((what, &name, at?))).collect();
        self.waits(now, due.into_iter());
    }
}
