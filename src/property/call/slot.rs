//! A call touches only keys of its own slot (RFC-010 §4; 40 of `docs/protocol.md`).
//!
//! A call's slot is that of the keys that it declares, and a key's that of its hash tag. The keys of the worker registry have
//! none, on purpose. Not here: keys that a function only reads without declaring them, which no effect names, and callers that
//! declare keys of several slots, whom a cluster refuses before any function is run.

use super::{Calls, Look, Wrong};
use crate::{
    property::{Entry, Expect, Kind},
    trace::{Call, Step},
    types::Function,
    view::keys_of,
};

const WRITTEN: Kind =
    Kind { name: "written", about: "the function wrote a key of another slot than those that were declared" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "slot",
    numbers: &[40],
    claim: "A call touches only keys of its own slot.",
    expect: Expect::Always,
    kinds: &[WRITTEN],
    monitor: || Box::new(Calls(&[writes_in_one as Look])),
};

fn writes_in_one(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let first = call.keys.first().filter(|_| is_asked(call))?;
    let is_declared = |key: &[u8]| call.keys.iter().any(|declared| tag(declared) == tag(key));
    let mut keys = step.effects.iter().flat_map(keys_of).filter(|key| key.starts_with(b"ff:"));
    let other = keys.find(|key| !is_declared(key) && !has_expired(step, key))?;
    let message = format!("{} of the slot of {} wrote {}", call.function, text(first), text(other));
    Some(Wrong { kind: WRITTEN, message })
}

fn is_asked(call: &Call<'_>) -> bool {
    call.function.is_known() && !matches!(call.function, Function::RegisterWorker | Function::HeartbeatWorker)
}

/// Whether the server removed a key while it looked at it, since its time was up.
fn has_expired(step: &Step<'_>, key: &[u8]) -> bool {
    let key = std::str::from_utf8(key).unwrap_or_default();
    step.before.expires_at(key).is_some_and(|last| last < step.now)
}

/// What decides a key's slot: what stands in its first braces; else all of it.
fn tag(key: &[u8]) -> &[u8] {
    let Some(start) = key.iter().position(|b| *b == b'{') else { return key };
    let rest = &key[start + 1..];
    match rest.iter().position(|b| *b == b'}') {
        Some(end) if end > 0 => &rest[..end],
        _ => key,
    }
}

fn text(key: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(key)
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::tag;
    use crate::property::testing::{Story, cases};

    const MARK: &str = "ff_mark_lease_expired_if_due";

    cases! {
        a_key_that_is_written_in_another_slot: "slot/ff_mark_lease_expired_if_due/OK/written",
            Story::new().keyed(0, MARK, &[":lease_expiry"], &["e1"], "OK", "ZADD ff:idx:{fp:8}:lease_expiry 7 e1"),
            alone Story::new().created(0).keyed(0, MARK, &[":lease_expiry"], &["e1"], "OK", "ZADD :execution_deadline 7 e1");
    }

    #[test]
    fn the_worker_registry_has_no_slot_and_other_names_are_not_flowfabrics() {
        let keys = ["ff:worker:ns:w-1:alive", "ff:worker:ns:w-1:caps"];
        let registry = Story::new().keyed(
            0,
            "ff_register_worker",
            &keys,
            &["w-1", "w", "-", "-", "9", "9"],
            "OK",
            "SET ff:worker:ns:w-1:alive w",
        );
        let other = registry.keyed(1, MARK, &[":core"], &["e1"], "OK", "SET job:7 x");
        assert!(!other.fingerprints().iter().any(|fingerprint| fingerprint.starts_with("slot/")));
    }

    #[test]
    fn a_slot_is_what_stands_in_the_first_braces() {
        for (key, expected) in [("a{b}c{d}", "b"), ("{}a", "{}a"), ("a{b", "a{b"), ("plain", "plain")] {
            assert_eq!(tag(key.as_bytes()), expected.as_bytes(), "{key}");
        }
    }
}
