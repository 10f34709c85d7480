//! How a worker keeps itself registered: it registers when it starts, says that it is there, and registers again when it
//! is told that it is not known.

use valkey_sim::engine::Reply;

use super::{Continuation, Worker};
use crate::{
    actor::Outbox,
    protocol::{Command, HeartbeatWorker, HeartbeatWorkerOutcome, RegisterWorker},
    types::{Function, Millis, Namespace, TimestampMs},
};

/// The tenant of everything that the harness does.
pub(super) fn namespace() -> Namespace {
    Namespace::new("sim")
}

impl Worker {
    /// Registers, and begins to send heartbeats, where the plan has a registry and the library too.
    pub(super) fn enter(&self, now: TimestampMs, out: &mut Outbox<Continuation>) {
        let Some(registry) = &self.config.settings.registry else { return };
        let functions = [Function::RegisterWorker, Function::HeartbeatWorker];
        if functions.iter().all(|function| self.config.functions.has(function)) {
            self.register(now, Millis(registry.ttl_ms), out);
            out.wake(registry.heartbeat_ms, Continuation::Heartbeat);
        }
    }

    fn register(&self, now: TimestampMs, ttl: Millis, out: &mut Outbox<Continuation>) {
        let call = RegisterWorker {
            namespace: namespace(),
            worker_instance_id: self.config.instance.clone(),
            worker_id: self.config.worker_id.clone(),
            lanes: self.config.lanes.iter().cloned().collect(),
            capabilities: self.config.capabilities.clone(),
            ttl,
            now,
        };
        out.call(call, |_| Continuation::Told);
    }

    pub(super) fn beat(&self, now: TimestampMs, out: &mut Outbox<Continuation>) {
        let Some(registry) = &self.config.settings.registry else { return };
        let call =
            HeartbeatWorker { namespace: namespace(), worker_instance_id: self.config.instance.clone(), now };
        out.call(call, |call| Continuation::Beaten(Box::new(call)));
        out.wake(registry.heartbeat_ms, Continuation::Heartbeat);
    }

    /// One that is not registered any more registers again; the heartbeat goes on as it did.
    pub(super) fn beaten(
        &self,
        now: TimestampMs,
        call: &HeartbeatWorker,
        reply: &Reply,
        out: &mut Outbox<Continuation>,
    ) {
        let ttl = self.config.settings.registry.as_ref().map(|registry| Millis(registry.ttl_ms));
        if let (Ok(HeartbeatWorkerOutcome::NotRegistered), Some(ttl)) = (call.parse(reply), ttl) {
            self.register(now, ttl, out);
        }
    }
}
