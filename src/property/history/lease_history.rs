//! `lease:history` holds exactly one record of each acquisition, release, expiry, revocation and reclaim, always, and of the
//! right lease (RFC-003 §2, L4; RFC-010 §4.8g; 47 of `docs/protocol.md`).
//!
//! What a record must be there for is read from the state before and after a step; renewals have none. A library that keeps
//! no history at all is not judged: the first record of a run says that it keeps one. Not here: what else a record says.

use valkey_sim::engine::value::{Stream, stream::StreamId};

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Happened, Moment, Step},
    types::{Answer, ExecutionId, LeaseEpoch, LifecyclePhase, OwnershipState},
    view::{Core, Entity, keys_of},
};

const MISSING: Kind =
    Kind { name: "missing", about: "something happened to a lease, and the history has no record of it" };
const UNCALLED: Kind = Kind {
    name: "uncalled-for",
    about: "the history has a record of something that did not happen, or a second one",
};
const OTHER_LEASE: Kind =
    Kind { name: "other-lease", about: "the record names another epoch than the lease has" };
const LOST: Kind = Kind { name: "lost", about: "records are gone before there were a thousand" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "lease-history",
    numbers: &[47],
    claim: "The history of leases has exactly one record of each acquisition, release, expiry, revocation and reclaim.",
    expect: Expect::Always,
    kinds: &[MISSING, UNCALLED, OTHER_LEASE, LOST],
    monitor: || Box::<LeaseHistory>::default(),
};

/// How many records a history keeps at least (`MAXLEN ~ 1000`).
const KEPT: u64 = 1_000;

#[derive(Clone, Default, Hash)]
struct LeaseHistory {
    /// Whether the library was seen to write a record.
    is_kept: bool,
}

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Record {
    Acquired,
    Reclaimed,
    Released,
    Expired,
    Revoked,
    Replayed,
}

impl Record {
    const ALL: [Self; 6] =
        [Self::Acquired, Self::Reclaimed, Self::Released, Self::Expired, Self::Revoked, Self::Replayed];

    fn event(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Reclaimed => "reclaimed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Replayed => "replay_initiated",
        }
    }

    /// The field that names the epoch.
    fn epoch(self) -> Option<&'static str> {
        match self {
            Self::Reclaimed => Some("new_lease_epoch"),
            Self::Replayed => None,
            _ => Some("lease_epoch"),
        }
    }
}

impl Property for LeaseHistory {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        let is_written = step.effects.iter().flat_map(keys_of).any(|key| key.ends_with(b":lease:history"));
        self.is_kept |= is_written;
        if !self.is_kept {
            return;
        }
        // What a function leaves that raises is half done, which is the business of `refusal-writes`.
        if step.call.as_ref().is_some_and(|call| matches!(call.answer, Answer::Error(_))) {
            return;
        }
        let moves = |happened: &Happened| {
            matches!(happened, Happened::StateChanged { .. } | Happened::LeaseCreated { .. })
        };
        for entity in step.touched {
            let Entity::Execution(id) = entity else { continue };
            if is_written || step.changes().iter().any(|change| change.id == *id && moves(&change.what)) {
                judge(step, id, found);
            }
        }
    }
}

fn judge(step: &Step<'_>, id: &ExecutionId, found: &mut Found<'_>) {
    let before = step.before.execution(id);
    // Whoever removes an execution removes its history.
    let Some(core) = before.seen_in(step.after).core() else { return };
    let key = before.keys().exec.lease_history();
    let (old, new) = (step.before.stream(&key), step.after.stream(&key));
    let name = step.names.of(id);
    if len(new) < len(old) && len(new) < KEPT {
        found.violation(
            LOST,
            Some(&name),
            format!("the history of {name} had {} records and has {}", len(old), len(new)),
        );
        return;
    }
    let expected = expected(before.core(), core);
    let mut said = records(old, new);
    for (record, epoch) in expected {
        let Some(at) = said.iter().position(|(event, _)| *event == record.event()) else {
            let message = format!("{name}: {} (epoch {epoch}) has no record in the history", record.event());
            found.violation(MISSING, Some(&name), message);
            continue;
        };
        let (_, fields) = said.remove(at);
        if let Some(field) = record.epoch()
            && field_of(fields, field) != epoch.to_string().as_bytes()
        {
            let found_epoch = String::from_utf8_lossy(field_of(fields, field));
            let message = format!(
                "{name}: {} of epoch {epoch} is recorded as of epoch {found_epoch:?}",
                record.event()
            );
            found.violation(OTHER_LEASE, Some(&name), message);
        }
    }
    for (event, _) in said {
        let message = format!("{name}: the history has a record {event:?} of something that did not happen");
        found.violation(UNCALLED, Some(&name), message);
    }
}

fn len(stream: Option<&Stream>) -> u64 {
    stream.map_or(0, Stream::len)
}

/// What a step must have recorded, and of which epoch.
fn expected(before: Option<Core<'_>>, after: Core<'_>) -> Vec<(Record, LeaseEpoch)> {
    let Some(before) = before else { return Vec::new() };
    let phase = |core: &Core<'_>| LifecyclePhase::from(core.text("lifecycle_phase"));
    let was_active = phase(&before) == LifecyclePhase::Active;
    let is_active = phase(&after) == LifecyclePhase::Active;
    let (old, new) = (before.epoch(), after.epoch());
    let mut expected = Vec::new();
    let is_leased_anew = is_active
        && after.ownership() == OwnershipState::Leased
        && (old != new || before.text("current_lease_id") != after.text("current_lease_id"));
    if is_leased_anew {
        expected.push((if was_active { Record::Reclaimed } else { Record::Acquired }, new));
    } else if was_active && !is_active {
        expected.push((Record::Released, old));
    } else if was_active && before.ownership() != after.ownership() {
        match after.ownership() {
            OwnershipState::LeaseExpiredReclaimable => expected.push((Record::Expired, old)),
            OwnershipState::LeaseRevoked => expected.push((Record::Revoked, old)),
            _ => {}
        }
    }
    if before.is_terminal() && !after.is_terminal() {
        expected.push((Record::Replayed, new));
    }
    expected
}

type Fields<'s> = &'s [bytes::Bytes];

/// The records that are new, of the events that this promise knows.
fn records<'s>(old: Option<&Stream>, new: Option<&'s Stream>) -> Vec<(&'static str, Fields<'s>)> {
    let Some(new) = new else { return Vec::new() };
    let last = old.and_then(|old| old.last()).map(|entry| entry.id);
    let start = last.map_or(Some(StreamId::MIN), StreamId::next);
    let entries = start.into_iter().flat_map(|start| new.range(start, StreamId::MAX));
    let known = |fields: Fields<'s>| {
        let event = field_of(fields, "event");
        Record::ALL.into_iter().map(Record::event).find(|known| known.as_bytes() == event)
    };
    entries.filter_map(|entry| Some((known(&entry.fields)?, &*entry.fields))).collect()
}

fn field_of<'s>(fields: Fields<'s>, name: &str) -> &'s [u8] {
    let pair = fields.chunks(2).find(|pair| pair[0] == name.as_bytes());
    pair.and_then(|pair| pair.get(1)).map(|value| &**value).unwrap_or_default()
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases, lease};

    /// The first lease is valid until 100, and on record.
    fn leased(record: &str) -> Story {
        let commands = format!("DEL :grant; {}; {record}", lease(1, 100));
        Story::new().created(0).granted(10, 50).step(20, "ff_claim_execution e1 w w-1 gold", "OK", &commands)
    }

    fn on_record() -> Story {
        leased(ACQUIRED)
    }

    fn completed(story: Story, records: &str) -> Story {
        let ended = "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state \
                     not_applicable terminal_outcome success current_lease_id - lease_expires_at -; \
                     ZREM :lane:gold:active e1; ZADD :lane:gold:terminal 0 e1";
        story.step(
            50,
            "ff_complete_execution e1 l1 1 a1 - lease_holder",
            "OK",
            &format!("{ended}; {records}"),
        )
    }

    const ACQUIRED: &str = "XADD :history * event acquired lease_epoch 1";
    const RELEASED: &str = "XADD :history * event released lease_epoch 1";
    const MARK: &str =
        "HSET :core ownership_state lease_expired_reclaimable attempt_state attempt_interrupted";

    cases! {
        an_end_without_a_record: "lease-history/ff_complete_execution/OK/missing",
            completed(on_record(), ""),
            near completed(on_record(), RELEASED);
        an_expiry_that_is_recorded_as_a_release: "lease-history/ff_mark_lease_expired_if_due/OK/missing",
            on_record().step(100, "ff_mark_lease_expired_if_due e1", "OK", MARK),
            near on_record().step(100, "ff_mark_lease_expired_if_due e1", "OK", &format!("{MARK}; XADD :history * event expired lease_epoch 1"));
        a_renewal_that_is_recorded: "lease-history/ff_renew_lease/OK/uncalled-for",
            on_record().step(60, "ff_renew_lease e1 0 a1 l1 1 140 0", "OK", "HSET :core lease_expires_at @200; HSET :lease expires_at @200; XADD :history * event acquired lease_epoch 1"),
            near on_record().renewed(60, 1, 200);
        an_end_that_is_recorded_twice: "lease-history/ff_complete_execution/OK/uncalled-for",
            completed(on_record(), &format!("{RELEASED}; {RELEASED}")),
            near completed(on_record(), RELEASED);
        a_record_of_another_lease: "lease-history/ff_complete_execution/OK/other-lease",
            completed(on_record(), "XADD :history * event released lease_epoch 2"),
            near completed(on_record(), RELEASED);
        a_history_that_is_cut_off: "lease-history/ff_complete_execution/OK/lost",
            completed(on_record(), "DEL :history"),
            near completed(on_record(), RELEASED);
    }

    #[test]
    fn a_library_that_keeps_no_history_is_not_judged() {
        assert!(completed(leased(""), "").fingerprints().is_empty());
        let late = completed(leased(""), RELEASED).step(
            60,
            "ff_replay_execution e1 @0",
            "OK",
            "HSET :core lifecycle_phase runnable",
        );
        assert!(late.fingerprints().contains(&"lease-history/ff_replay_execution/OK/missing".to_owned()));
    }
}
