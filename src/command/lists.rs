//! The lists: `grantsim properties` and `grantsim profiles`.

use grantsim::{plan::profile, property::catalogue};

pub(super) fn properties() -> String {
    catalogue::always().map(|entry| format!("{:<14} {}\n", entry.name, entry.claim)).collect()
}

pub(super) fn profiles() -> String {
    profile::PROFILES.iter().map(|profile| format!("{:<8} {}\n", profile.name, profile.about)).collect()
}
