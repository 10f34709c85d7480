//! The kinds of violation that no mutant can show in a hunt, and why. Each has its own tests of the property all the same.

/// A kind, as `property/kind`, and the reason.
pub const UNSHOWABLE: &[(&str, &str)] = &[
    ("ends/not-timed-out", NO_SCANNER),
    ("unblocked/not-resolved", NO_SCANNER),
    ("unblocked/goes-round", NO_LIBRARY),
    ("grammar/outside", OF_CALLS),
    ("grammar/status", OF_CALLS),
    ("grammar/code", OF_CALLS),
    ("grammar/fields", OF_CALLS),
    ("grammar/on-bad-arguments", OF_CALLS),
    ("raises/raised", OF_CALLS),
    ("raises/on-bad-arguments", OF_CALLS),
    ("raises/on-what-it-stored", OF_CALLS),
    ("refusal-writes/wrote", OF_CALLS),
    ("refusal-writes/created", OF_CALLS),
    ("refusal-writes/half-done", OF_CALLS),
    ("refusal-writes/on-bad-arguments", OF_CALLS),
    ("reply-state/lease", OF_CALLS),
    ("reply-state/late-expiry", OF_CALLS),
    ("reply-state/lease-length", OF_CALLS),
    ("reply-state/outcome", OF_CALLS),
    ("reply-state/result", OF_CALLS),
    ("reply-state/old-result", OF_CALLS),
    ("reply-state/field", OF_CALLS),
    ("reply-state/details", OF_CALLS),
    ("slot/written", OF_CALLS),
    ("creation/second-execution", OF_CALLS),
    ("creation/forgotten-key", OF_CALLS),
    ("creation/other-duplicate", OF_CALLS),
    ("creation/other-input", OF_CALLS),
    ("creation/input-changed", OF_CALLS),
    ("grants/second-grant", OF_CALLS),
    ("grants/claim-grant-reclaimed", OF_CALLS),
    ("grants/reclaim-grant-claimed", OF_CALLS),
    ("grants/outlived", OF_CALLS),
    ("grants/incapable-worker", OF_CALLS),
    ("grants/requirements-unread", OF_CALLS),
    ("lease-history/missing", OF_CALLS),
    ("lease-history/uncalled-for", OF_CALLS),
    ("lease-history/other-lease", OF_CALLS),
    ("lease-history/lost", OF_CALLS),
    ("published/missing", OF_CALLS),
    ("published/twice", OF_CALLS),
    ("published/uncalled-for", OF_CALLS),
    ("published/other-outcome", OF_CALLS),
    ("terminal/revived", OF_CALLS),
    ("terminal/other-outcome", OF_CALLS),
    ("terminal/other-result", OF_CALLS),
    ("terminal/over-the-limit", OF_CALLS),
    ("terminal/uncounted", OF_CALLS),
    ("terminal/attempt-touched", OF_CALLS),
    ("terminal/no-reclaims-left", OF_CALLS),
    ("fence/other-attempt", OF_CALLS),
];

const NO_SCANNER: &str =
    "no generated plan has the scanner that would have to act; the judge's own tests show it";

const NO_LIBRARY: &str =
    "schedulers would have to ask for those first that are not able; the judge's own tests show it";

/// Not for good: each waits for its mutant.
const OF_CALLS: &str =
    "no mutant of it is written yet; its stories, tests/raises.rs and tests/library/judged.rs show it";
