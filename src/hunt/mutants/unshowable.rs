//! The kinds of violation that no mutant can show in a hunt, and why. Each has its own tests of the property all the same.

/// A kind, as `property/kind`, and the reason.
pub const UNSHOWABLE: &[(&str, &str)] = &[
    ("ends/not-timed-out", NO_SCANNER),
    ("unblocked/not-resolved", NO_SCANNER),
    ("unblocked/goes-round", NO_LIBRARY),
    ("grammar/on-bad-arguments", OF_CALLS),
    ("raises/on-bad-arguments", OF_CALLS),
    ("refusal-writes/created", OF_CALLS),
    ("refusal-writes/on-bad-arguments", OF_CALLS),
    ("reply-state/result", OF_CALLS),
    ("reply-state/old-result", OF_CALLS),
    ("creation/second-execution", OF_CALLS),
    ("creation/forgotten-key", OF_CALLS),
    ("creation/other-duplicate", OF_CALLS),
    ("grants/reclaim-grant-claimed", OF_CALLS),
    ("grants/outlived", OF_CALLS),
    ("grants/incapable-worker", OF_CALLS),
    ("lease-history/lost", OF_CALLS),
    ("terminal/over-the-limit", OF_CALLS),
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
