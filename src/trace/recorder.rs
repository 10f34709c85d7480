//! Turns what the server wrote into events.
//!
//! The recorder reads the effects of each call: the same stream that feeds the append-only file and the
//! replicas. It keeps a small shadow of every execution (its grant, its lease, its state), so that an event says
//! what changed and not only what was written. It judges nothing.

use indexmap::IndexMap;
use valkey_sim::engine::{Effect, Effects, Reply, UnixMicros};

use super::{Called, Event, Exec, GrantKind, GrantRef, IndexName, Presented, Seq, What};
use crate::node::Node;

/// A call as the server saw it.
pub struct Call<'a> {
    /// True time since the start of the run, microseconds.
    pub at_us: u64,
    /// Whose connection it came by.
    pub caller: Node,
    /// The event by which the caller sent it.
    pub cause: Option<Seq>,
    /// The command and its arguments.
    pub args: &'a [&'a [u8]],
    /// The server's clock.
    pub now: UnixMicros,
    /// What it answered.
    pub reply: &'a Reply,
    /// What it wrote.
    pub effects: &'a Effects,
}

/// Collects the events of a run.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Vec<Event>,
    /// By id, in the order in which they were first heard of.
    executions: IndexMap<String, Shadow>,
}

/// What is known of one execution.
#[derive(Debug, Default)]
struct Shadow {
    grant: Option<Grant>,
    lease_epoch: Option<u64>,
    state: State,
    attempt_interrupted: bool,
    indexes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Grant {
    created_at_ms: i64,
    expires_at_ms: i64,
    /// When the key itself goes; a grant without one stays for ever.
    key_expires_at_ms: Option<i64>,
    worker: String,
    instance: String,
    lane: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    phase: String,
    ownership: String,
    eligibility: String,
    public: String,
}

#[derive(Debug, Default)]
struct Lease {
    lease_id: String,
    epoch: u64,
    attempt_id: String,
    worker: String,
    instance: String,
    expires_at_ms: i64,
}

/// What one call did to one execution, read from its effects before any of it is told.
#[derive(Default)]
struct Change {
    /// The grant before the call, or as the call issued it.
    grant: Option<Grant>,
    issued: bool,
    gone: Option<Gone>,
    lease: Option<Lease>,
    lease_deleted: bool,
    renewed_until_ms: Option<i64>,
    rest: Vec<What>,
}

#[derive(Clone, Copy, PartialEq)]
enum Gone {
    Expired,
    Deleted,
}

impl Recorder {
    /// The events so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Ends the recording.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Adds an event and says where it stands.
    pub fn record(&mut self, at_us: u64, node: Node, cause: Option<Seq>, what: What) -> Seq {
        let seq = self.events.len() as Seq;
        tracing::debug!(at_us, %node, seq, cause, ?what);
        self.events.push(Event { seq, at_us, node, cause, what });
        seq
    }

    /// The number of an execution; a new one for an id not heard of before.
    pub fn execution(&mut self, id: &str) -> Exec {
        let index = match self.executions.get_index_of(id) {
            Some(index) => index,
            None => self.executions.insert_full(id.to_owned(), Shadow::default()).0,
        };
        Exec(index as u32 + 1)
    }

    /// The stored `grant_expires_at` of an execution's grant, if there is one now.
    pub fn grant_expiry_ms(&self, execution: Exec) -> Option<i64> {
        Some(self.shadow(execution).grant.as_ref()?.expires_at_ms)
    }

    /// How many executions were created, and how many of these are not terminal.
    pub fn open_executions(&self) -> (usize, usize) {
        let created = self.executions.values().filter(|shadow| !shadow.state.phase.is_empty());
        created.fold((0, 0), |(all, open), shadow| {
            (all + 1, open + usize::from(shadow.state.phase != "terminal"))
        })
    }

    fn shadow(&self, execution: Exec) -> &Shadow {
        &self.executions[execution.0 as usize - 1]
    }

    fn shadow_mut(&mut self, execution: Exec) -> &mut Shadow {
        &mut self.executions[execution.0 as usize - 1]
    }

    /// Records what a call did. Returns the [`What::Called`] event of a function call; a plain command has none,
    /// and only shows when it made an expired key go.
    pub fn called(&mut self, call: &Call<'_>) -> Option<Seq> {
        let function = function_name(call.args);
        let called = function.map(|function| {
            let argv = function_argv(call.args);
            let execution = argv.first().and_then(|id| self.execution_named(id));
            let what = What::Called(Called {
                function: function.to_owned(),
                caller: call.caller,
                presented: Presented::of(function, execution, argv),
                now_ms: call.now.millis().0,
                answer: answer(call.reply),
            });
            self.record(call.at_us, Node::Valkey, call.cause, what)
        });
        if !call.effects.is_empty() {
            self.effects(
                call.at_us,
                called.or(call.cause),
                function.unwrap_or_default(),
                call.now,
                call.effects,
            );
        }
        called
    }

    /// Records writes that no caller asked for: the server's expiry cycle.
    pub fn reaped(&mut self, at_us: u64, now: UnixMicros, effects: &Effects) {
        self.effects(at_us, None, "", now, effects);
    }

    /// The execution that a call names; functions that are about something else name none.
    fn execution_named(&mut self, id: &[u8]) -> Option<Exec> {
        let id = std::str::from_utf8(id).ok()?;
        ff_core::types::ExecutionId::parse(id).ok()?;
        Some(self.execution(id))
    }

    fn effects(
        &mut self,
        at_us: u64,
        cause: Option<Seq>,
        function: &str,
        now: UnixMicros,
        effects: &Effects,
    ) {
        let mut changes: Vec<(Exec, Change)> = Vec::new();
        for effect in effects.iter() {
            self.read(effect, now.millis().0, &mut changes);
        }
        for (execution, change) in changes {
            for what in self.tell(execution, change, function) {
                self.record(at_us, Node::Valkey, cause, what);
            }
        }
    }

    fn read(&mut self, effect: Effect<'_>, now_ms: i64, changes: &mut Vec<(Exec, Change)>) {
        match effect.name() {
            b"DEL" | b"UNLINK" => {
                for key in effect.args().skip(1) {
                    self.read_deletion(key, now_ms, changes);
                }
            }
            b"HSET" => self.read_hset(effect, changes),
            b"PEXPIREAT" => {
                if let Some((id, Part::Grant)) = execution_key(effect.key()) {
                    let change = self.change(id, changes);
                    if let Some(grant) = &mut change.grant {
                        grant.key_expires_at_ms = number(effect.arg(2));
                    }
                }
            }
            b"ZADD" => {
                for member in (3..effect.len()).step_by(2).map(|i| effect.arg(i)) {
                    self.read_index(effect.key(), member, true, changes);
                }
            }
            b"SADD" | b"ZREM" | b"SREM" => {
                for member in effect.args().skip(2) {
                    self.read_index(effect.key(), member, effect.name() == b"SADD", changes);
                }
            }
            _ => {}
        }
    }

    fn change<'c>(&mut self, id: &str, changes: &'c mut Vec<(Exec, Change)>) -> &'c mut Change {
        let execution = self.execution(id);
        let at = changes.iter().position(|(exec, _)| *exec == execution).unwrap_or_else(|| {
            let change = Change { grant: self.shadow(execution).grant.clone(), ..Change::default() };
            changes.push((execution, change));
            changes.len() - 1
        });
        &mut changes[at].1
    }

    fn read_deletion(&mut self, key: &[u8], now_ms: i64, changes: &mut Vec<(Exec, Change)>) {
        let Some((id, part)) = execution_key(key) else { return };
        let change = self.change(id, changes);
        match part {
            Part::Grant => {
                let Some(grant) = &change.grant else { return };
                let expired = grant.key_expires_at_ms.is_some_and(|at| now_ms > at)
                    || (change.issued && grant.expires_at_ms <= now_ms);
                change.gone = Some(if expired { Gone::Expired } else { Gone::Deleted });
            }
            Part::Lease => change.lease_deleted = true,
            Part::Core => {}
        }
    }

    fn read_hset(&mut self, effect: Effect<'_>, changes: &mut Vec<(Exec, Change)>) {
        let Some((id, part)) = execution_key(effect.key()) else { return };
        let pairs = (2..effect.len()).step_by(2).map(|i| (effect.arg(i), effect.arg(i + 1)));
        match part {
            Part::Grant => {
                let mut grant = Grant::default();
                for (field, value) in pairs {
                    match field {
                        b"created_at" => grant.created_at_ms = number(value).unwrap_or_default(),
                        b"grant_expires_at" => grant.expires_at_ms = number(value).unwrap_or_default(),
                        b"worker_id" => grant.worker = text(value),
                        b"worker_instance_id" => grant.instance = text(value),
                        b"lane_id" => grant.lane = text(value),
                        _ => {}
                    }
                }
                let change = self.change(id, changes);
                (change.grant, change.issued, change.gone) = (Some(grant), true, None);
            }
            Part::Lease => {
                let mut lease = Lease::default();
                let mut made = false;
                for (field, value) in pairs {
                    match field {
                        b"lease_id" => (lease.lease_id, made) = (text(value), true),
                        b"lease_epoch" => lease.epoch = number(value).unwrap_or_default() as u64,
                        b"attempt_id" => lease.attempt_id = text(value),
                        b"worker_id" => lease.worker = text(value),
                        b"worker_instance_id" => lease.instance = text(value),
                        b"expires_at" => lease.expires_at_ms = number(value).unwrap_or_default(),
                        _ => {}
                    }
                }
                let change = self.change(id, changes);
                if made {
                    change.lease = Some(lease);
                } else {
                    change.renewed_until_ms = Some(lease.expires_at_ms);
                }
            }
            Part::Core => self.read_core(id, pairs, changes),
        }
    }

    fn read_core<'e>(
        &mut self,
        id: &str,
        pairs: impl Iterator<Item = (&'e [u8], &'e [u8])>,
        changes: &mut Vec<(Exec, Change)>,
    ) {
        let execution = self.execution(id);
        let shadow = self.shadow_mut(execution);
        let is_new = shadow.state.phase.is_empty();
        let before = shadow.state.clone();
        let mut told = Vec::new();
        for (field, value) in pairs {
            match field {
                b"lifecycle_phase" => assign(&mut shadow.state.phase, value),
                b"ownership_state" => assign(&mut shadow.state.ownership, value),
                b"eligibility_state" => assign(&mut shadow.state.eligibility, value),
                b"public_state" => assign(&mut shadow.state.public, value),
                b"attempt_state" => shadow.attempt_interrupted = value == b"attempt_interrupted",
                b"lane_id" if is_new => {
                    told.push(What::Created { execution, id: id.to_owned(), lane: text(value) })
                }
                b"lane_id" | b"current_lane" => {
                    told.push(What::LaneWritten { execution, field: text(field), lane: text(value) });
                }
                b"current_lease_epoch" if !is_new => {
                    told.push(What::EpochWritten {
                        execution,
                        epoch: number(value).unwrap_or_default() as u64,
                    });
                }
                _ => {}
            }
        }
        if shadow.state != before {
            let State { phase, ownership, eligibility, public } = shadow.state.clone();
            told.push(What::StateChanged { execution, phase, ownership, eligibility, public });
        }
        self.change(id, changes).rest.extend(told);
    }

    fn read_index(&mut self, key: &[u8], member: &[u8], added: bool, changes: &mut Vec<(Exec, Change)>) {
        let Some(name) = std::str::from_utf8(key).ok().and_then(|k| k.strip_prefix("ff:idx:")) else {
            return;
        };
        let Some(id) = std::str::from_utf8(member).ok() else { return };
        let execution = self.execution(id);
        let indexes = &mut self.shadow_mut(execution).indexes;
        let known = indexes.iter().position(|index| index == name);
        let index = || index_name(name);
        let what = match (known, added) {
            (None, true) => {
                indexes.push(name.to_owned());
                What::Indexed { execution, index: index() }
            }
            (Some(at), false) => {
                indexes.remove(at);
                What::Unindexed { execution, index: index() }
            }
            _ => return,
        };
        self.change(id, changes).rest.push(what);
    }

    /// The events of one call about one execution: creation, its grant, its lease, then the rest.
    fn tell(&mut self, execution: Exec, change: Change, function: &str) -> Vec<What> {
        let shadow = self.shadow_mut(execution);
        let had_lease = shadow.lease_epoch;
        let grant_ref =
            change.grant.as_ref().map(|grant| GrantRef { execution, created_at_ms: grant.created_at_ms });
        let kind = match function {
            "ff_issue_reclaim_grant" => GrantKind::Reclaim,
            _ if shadow.attempt_interrupted => GrantKind::Resume,
            _ => GrantKind::Claim,
        };
        shadow.grant = if change.gone.is_some() { None } else { change.grant.clone() };
        match &change.lease {
            Some(lease) => shadow.lease_epoch = Some(lease.epoch),
            None if change.lease_deleted => shadow.lease_epoch = None,
            None => {}
        }

        let (created, rest): (Vec<_>, Vec<_>) =
            change.rest.into_iter().partition(|what| matches!(what, What::Created { .. }));
        let mut told = created;
        if let (Some(grant), Some(written), true) = (grant_ref, change.grant, change.issued) {
            told.push(What::GrantIssued {
                grant,
                kind,
                worker: written.worker,
                instance: written.instance,
                lane: written.lane,
                expires_at_ms: written.expires_at_ms,
            });
        }
        let usable = grant_ref.filter(|_| change.gone != Some(Gone::Expired));
        if let (Some(grant), Some(gone)) = (grant_ref, change.gone) {
            told.push(match gone {
                Gone::Expired => What::GrantExpired { grant },
                Gone::Deleted if change.lease.is_some() => What::GrantConsumed { grant },
                Gone::Deleted => What::GrantDropped { grant },
            });
        }
        let replaced = change.lease.is_some();
        if let Some(lease) = change.lease {
            told.push(What::LeaseCreated {
                execution,
                lease_id: lease.lease_id,
                epoch: lease.epoch,
                attempt_id: lease.attempt_id,
                worker: lease.worker,
                instance: lease.instance,
                expires_at_ms: lease.expires_at_ms,
                grant: usable,
            });
        } else if let Some(expires_at_ms) = change.renewed_until_ms {
            told.push(What::LeaseRenewed { execution, expires_at_ms });
        }
        told.extend(rest);
        // A lease that a new one replaces did not end: whether it may be replaced is for the properties to say.
        if let (Some(epoch), true, false) = (had_lease, change.lease_deleted, replaced) {
            told.push(What::LeaseEnded { execution, epoch });
        }
        told
    }
}

/// The parts of an execution's keys that the recorder reads.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Core,
    Grant,
    Lease,
}

/// Splits `ff:exec:{fp:N}:<execution id>:<part>`.
fn execution_key(key: &[u8]) -> Option<(&str, Part)> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix("ff:exec:")?;
    let (_, rest) = rest.split_once("}:")?;
    const PARTS: [(&str, Part); 3] =
        [(":core", Part::Core), (":claim_grant", Part::Grant), (":lease:current", Part::Lease)];
    PARTS.iter().find_map(|(suffix, part)| Some((rest.strip_suffix(suffix)?, *part)))
}

/// Splits `{fp:N}:lane:<lane>:<index>` and `{fp:N}:<index>`.
fn index_name(key: &str) -> IndexName {
    const LANE_INDEXES: [&str; 5] = ["eligible", "delayed", "active", "suspended", "terminal"];
    let name = key.split_once("}:").map_or(key, |(_, rest)| rest);
    let Some(lane) = name.strip_prefix("lane:") else {
        return IndexName { lane: None, name: name.to_owned() };
    };
    let at = LANE_INDEXES
        .iter()
        .find_map(|index| lane.strip_suffix(index)?.strip_suffix(':').map(str::len))
        .or_else(|| lane.find(":blocked:"));
    match at {
        Some(at) => IndexName { lane: Some(lane[..at].to_owned()), name: lane[at + 1..].to_owned() },
        None => IndexName { lane: None, name: name.to_owned() },
    }
}

/// The function of `FCALL name …`; none for other commands.
fn function_name<'a>(args: &[&'a [u8]]) -> Option<&'a str> {
    let [command, function, ..] = args else { return None };
    let is_call = command.eq_ignore_ascii_case(b"FCALL") || command.eq_ignore_ascii_case(b"FCALL_RO");
    is_call.then(|| std::str::from_utf8(function).ok()).flatten()
}

/// The ARGV of `FCALL name numkeys keys… argv…`.
fn function_argv<'s, 'a>(args: &'s [&'a [u8]]) -> &'s [&'a [u8]] {
    let keys = args.get(2).copied().and_then(number).unwrap_or_default().max(0) as usize;
    args.get(3 + keys..).unwrap_or_default()
}

/// A FlowFabric reply in a word: `OK`, `ALREADY_SATISFIED`, `DUPLICATE` or the code of the refusal; else the
/// error's code, or `reply` for what follows neither grammar.
pub fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Error(error) => error.code().to_owned(),
        Reply::Array(items) => match items.as_slice() {
            [Reply::Int(_), Reply::Bulk(word), ..] => text(word),
            _ => "reply".to_owned(),
        },
        _ => "reply".to_owned(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn assign(target: &mut String, value: &[u8]) {
    if target.as_bytes() != value {
        target.clear();
        target.push_str(&String::from_utf8_lossy(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_into_execution_and_part() {
        let key = b"ff:exec:{fp:3}:{fp:3}:0e8a5d2c-0000-4000-8000-000000000001:claim_grant";
        let (id, part) = execution_key(key).expect("a grant key");
        assert_eq!(id, "{fp:3}:0e8a5d2c-0000-4000-8000-000000000001");
        assert!(part == Part::Grant);
        assert!(execution_key(b"ff:exec:{fp:3}:x:payload").is_none());
        assert!(execution_key(b"other").is_none());
    }

    #[test]
    fn index_names_carry_their_lane() {
        let name = |key| index_name(key).to_string();
        assert_eq!(name("{fp:3}:lane:gold:eligible"), "eligible of lane gold");
        assert_eq!(name("{fp:3}:lane:a:b:blocked:route"), "blocked:route of lane a:b");
        assert_eq!(name("{fp:3}:lease_expiry"), "lease_expiry");
        assert_eq!(name("{fp:3}:worker:w-1:leases"), "worker:w-1:leases");
    }
}
