//! The kinds of violation that no mutant can show in a hunt, and why. Each has its own tests of the property all the same.

/// A kind, as `property/kind`, and the reason.
pub const UNSHOWABLE: &[(&str, &str)] =
    &[("quota/counter", NO_QUOTA), ("quota/negative", NO_QUOTA), ("quota/over-cap", NO_QUOTA)];

const NO_QUOTA: &str = "no execution of a plan has a quota; the property's own tests show it";
