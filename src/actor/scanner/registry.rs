//! The worker registry: a process that is no longer alive is swept out of the index, which has no time to live of its own.

use ff_core::types::{Namespace, WorkerInstanceId};
use valkey_sim::engine::Reply;

use super::{Continuation, Scanner};
use crate::{
    actor::Outbox,
    protocol::{Command, Plain, forget_worker, worker_is_alive},
};

/// The tenant of everything that the harness does.
pub(super) fn namespace() -> Namespace {
    Namespace::new("sim")
}

impl Scanner {
    pub(super) fn look_at_worker(&self, name: &str, out: &mut Outbox<Continuation>) {
        let instance = WorkerInstanceId::new(name);
        out.call(worker_is_alive(&namespace(), &instance), |read| Continuation::Lives(instance, read));
    }

    pub(super) fn sweep(
        &self,
        instance: &WorkerInstanceId,
        read: &Plain<Option<String>>,
        reply: &Reply,
        out: &mut Outbox<Continuation>,
    ) {
        if read.parse(reply).is_ok_and(|exists| exists.as_deref() == Some("0")) {
            out.call(forget_worker(&namespace(), instance), |_| Continuation::Told);
        }
    }
}
