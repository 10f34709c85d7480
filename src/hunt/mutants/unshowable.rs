//! The kinds of violation that no mutant can show in a hunt, and why. Each has its own tests of the property all the same.

/// A kind, as `property/kind`, and the reason.
pub const UNSHOWABLE: &[(&str, &str)] = &[
    ("quota/counter", NO_QUOTA),
    ("quota/negative", NO_QUOTA),
    ("quota/over-cap", NO_QUOTA),
    ("ends/not-timed-out", NO_SCANNER),
    ("unblocked/not-resolved", NO_SCANNER),
    ("unblocked/goes-round", NO_LIBRARY),
];

const NO_QUOTA: &str = "no execution of a plan has a quota; the property's own tests show it";

const NO_SCANNER: &str =
    "no generated plan has the scanner that would have to act; the judge's own tests show it";

const NO_LIBRARY: &str =
    "schedulers would have to ask for those first that are not able; the judge's own tests show it";
