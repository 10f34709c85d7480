//! Why a hunt does not count as passed, in words: what it looked for and never saw, and which runs did not come to their
//! end.

use std::collections::BTreeMap;

use crate::{
    hunt::{Failed, Report, Unseen},
    property::Counts,
};

const GRANT: &str =
    "the hash ff:exec:{fp:N}:<execution>:claim_grant with worker_id, created_at and grant_expires_at";
const LEASE: &str =
    "the hash ff:exec:{fp:N}:<execution>:lease:current with lease_id, lease_epoch and expires_at";

/// Says in a sentence or two what was never seen, and where to look for the reason.
pub fn unseen(unseen: Unseen, report: &Report) -> String {
    match unseen {
        Unseen::Grant => never("grant", GRANT, unseen, report),
        Unseen::Claim => never("claim", LEASE, unseen, report),
        Unseen::State(entry) => {
            format!("no run reached {} ({}): the hunt proves less than it claims", entry.name, entry.claim)
        }
    }
}

/// Says which runs did not come to their end, and why, in a line.
pub fn failed(failed: &Failed) -> String {
    let token = failed.token.as_ref().map(|token| format!("token {token}: ")).unwrap_or_default();
    let more = match failed.seeds {
        0 | 1 => String::new(),
        2 => " (and 1 seed more)".to_owned(),
        seeds => format!(" (and {} seeds more)", seeds - 1),
    };
    format!("{token}{}{more}", failed.message)
}

fn never(what: &str, looks_for: &str, unseen: Unseen, report: &Report) -> String {
    let seeds = match report.seeds {
        1 => "1 seed".to_owned(),
        seeds => format!("{seeds} seeds"),
    };
    format!(
        "not one {what} was seen in {seeds} of library {}, so nothing was shown: grantsim looks for {looks_for}; {}; see \
         fixtures/libraries/minimal.lua for the keys and fields",
        report.library.name,
        answers(unseen, &report.counts)
    )
}

/// How the functions that would have made it answered: a refusal says why, and an OK that the keys are others.
fn answers(unseen: Unseen, counts: &Counts) -> String {
    let said: Vec<String> = unseen
        .functions()
        .iter()
        .filter_map(|function| Some((function, counts.answers.get(function)?)))
        .map(|(function, answers)| format!("{function} answered {}", list(answers)))
        .collect();
    if said.is_empty() { "nobody called the function that makes one".to_owned() } else { said.join(", ") }
}

/// Answers, the most frequent first.
fn list<A: std::fmt::Display>(answers: &BTreeMap<A, u64>) -> String {
    let mut by_count: Vec<_> = answers.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    by_count.iter().map(|(answer, count)| format!("{answer} ({count} times)")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hunt::testing::report,
        property,
        types::{Answer, Function},
    };

    #[test]
    fn what_was_never_seen_is_said_with_the_keys_looked_for_and_what_the_functions_answered() {
        let mut report = report();
        let told = unseen(Unseen::Grant, &report);
        for part in ["not one grant", "in 1 seed of", "flowfabric", ":claim_grant", "nobody called"] {
            assert!(told.contains(part), "{told}");
        }
        let answers = [(Answer::from("OK"), 2), (Answer::from("lease_conflict"), 30)];
        report.counts.answers.insert(Function::ClaimExecution, answers.into());
        report.seeds = 20;
        let told = unseen(Unseen::Claim, &report);
        for part in [
            "not one claim",
            "in 20 seeds",
            ":lease:current",
            "ff_claim_execution answered lease_conflict (30 times), OK (2 times)",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_state_that_was_not_reached_is_said_with_its_name_and_what_it_is() {
        let told = unseen(Unseen::State(property::find("late-claim").unwrap()), &report());
        assert!(told.contains("late-claim (a claim was executed after"), "{told}");
    }
}
