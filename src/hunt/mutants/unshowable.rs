//! The kinds of violation that no mutant can show in a hunt, and why. Each has its own tests of the property all the same.

/// A kind, as `property/kind`, and the reason.
pub const UNSHOWABLE: &[(&str, &str)] = &[
    (
        "lane/reclaim-grant",
        "the reclaimer reads the lane from the core, whose wrong lane is told first; the property's own tests show it",
    ),
    (
        "budget/over-hard-named-twice",
        "no caller of a plan names a dimension of a budget twice; the property's own tests show it",
    ),
    (
        "indexes/another-id",
        "only a hostile caller names another execution, and is excused; a finding's plan shows it",
    ),
];
