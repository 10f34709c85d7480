//! What the tests of the properties share: [stories](Story), the [usual steps](life) of one, and [cases](Case) that pair a
//! story with one that comes near it.

mod calls;
mod life;
mod story;

use super::{catalogue, judge};
use crate::trace::Trace;
pub use life::{grant, lease};
pub use story::{EPOCH_MS, Story, Style};

/// A story that shows one kind of violation, and one that comes near and shows none.
pub struct Case {
    /// All that the first story shows of its property.
    pub fingerprint: &'static str,
    /// The first story.
    pub shows: fn() -> Story,
    /// The second.
    pub near: fn() -> Story,
    /// Whether the second shows none of any property: one that is told with less than a library writes may show others.
    pub is_whole: bool,
}

/// Makes a test of each case, and lists them all as `CASES`. A story that comes `near` shows nothing at all; one that comes
/// near `alone` shows nothing of its own property.
macro_rules! cases {
    (@is_whole near) => { true };
    (@is_whole alone) => { false };
    ($($name:ident: $fingerprint:literal, $shows:expr, $how:ident $near:expr;)*) => {
        pub const CASES: &[$crate::property::testing::Case] = &[$($crate::property::testing::Case {
            fingerprint: $fingerprint,
            shows: || $shows,
            near: || $near,
            is_whole: $crate::property::testing::cases!(@is_whole $how),
        }),*];

        $(
            #[test]
            fn $name() {
                $crate::property::testing::check(&$crate::property::testing::Case {
                    fingerprint: $fingerprint,
                    shows: || $shows,
                    near: || $near,
                    is_whole: $crate::property::testing::cases!(@is_whole $how),
                });
            }
        )*
    };
}
pub(super) use cases;

/// Checks a case: its first story shows this one violation of the property, the second none of any.
pub fn check(case: &Case) {
    let (property, _) = case.fingerprint.split_once('/').expect("a fingerprint has parts");
    let mut shown = (case.shows)().fingerprints();
    shown.retain(|fingerprint| fingerprint.split('/').next() == Some(property));
    assert_eq!(shown, [case.fingerprint]);
    let mut near = (case.near)().fingerprints();
    near.retain(|fingerprint| case.is_whole || fingerprint.split('/').next() == Some(property));
    assert_eq!(near, Vec::<String>::new(), "the near miss of {}", case.fingerprint);
}

mod tests {
    use super::*;
    use crate::property::{call, history, liveness, state};

    fn all_cases() -> impl Iterator<Item = &'static Case> {
        let cases = [
            history::at_most_once::tests::CASES,
            history::delay::tests::CASES,
            history::expiry::tests::CASES,
            history::fence::tests::CASES,
            history::lane::tests::CASES,
            history::one_lease::tests::CASES,
            state::attempts::tests::CASES,
            state::denial::tests::CASES,
            state::eligible::tests::CASES,
            state::grant_key::tests::CASES,
            state::indexes::tests::CASES,
            state::lease_record::tests::CASES,
            state::quota::tests::CASES,
            liveness::granted::tests::CASES,
            liveness::lease_marked::tests::CASES,
            liveness::ends::tests::CASES,
            liveness::unblocked::tests::CASES,
            liveness::grantable_again::tests::CASES,
            call::raises::tests::CASES,
            call::grammar::tests::CASES,
            call::refusal_writes::tests::CASES,
            call::refusals::tests::CASES,
            call::slot::tests::CASES,
            call::reply_state::tests::CASES,
            call::retries::tests::CASES,
            call::streams::tests::CASES,
            call::done::tests::CASES,
            history::lease_history::tests::CASES,
            history::published::tests::CASES,
            history::grants::tests::CASES,
            history::terminal::tests::CASES,
            history::creation::tests::CASES,
            state::admission::tests::CASES,
            state::budget::tests::CASES,
            state::registry::tests::CASES,
            state::membership::tests::CASES,
            state::flow_life::tests::CASES,
            state::edges::tests::CASES,
            state::dependencies::tests::CASES,
            state::edge_groups::tests::CASES,
            state::suspension::tests::CASES,
            state::waitpoints::tests::CASES,
            state::secrets::tests::CASES,
            state::signals::tests::CASES,
            state::resume_condition::tests::CASES,
            state::score::tests::CASES,
            state::timeout::tests::CASES,
            state::transition::tests::CASES,
            state::vector::tests::CASES,
        ];
        cases.into_iter().flatten()
    }

    #[test]
    fn every_kind_of_every_promise_is_shown_by_a_story() {
        let shown: Vec<_> = all_cases()
            .map(|case| {
                // A library may answer what no fingerprint that a person types can hold.
                serde_json::from_value::<crate::property::Fingerprint>(case.fingerprint.into())
                    .expect("a fingerprint of the catalogue")
            })
            .collect();
        for entry in catalogue::promises() {
            for kind in entry.kinds {
                let is_this =
                    |f: &crate::property::Fingerprint| f.property() == entry.name && f.kind() == kind.name;
                assert!(shown.iter().any(is_this), "nothing shows {}/…/{}", entry.name, kind.name);
            }
        }
    }

    #[test]
    fn it_does_not_matter_by_which_commands_a_story_is_written() {
        for style in Style::ALL {
            Style::set(style);
            all_cases().for_each(check);
        }
    }

    #[test]
    fn a_recorded_story_is_judged_as_it_was_live_and_so_is_its_file() {
        let stories: Vec<Story> = all_cases().flat_map(|case| [(case.shows)(), (case.near)()]).collect();
        for (story, trace) in stories.iter().filter_map(|story| Some((story, story.trace()?))) {
            let live = story.verdict();
            assert_eq!(judge(&trace, catalogue::all()), live);
            let mut file = Vec::new();
            trace.write(&mut file).expect("a vector takes all");
            let read = Trace::read(file.as_slice()).expect("what was written can be read");
            assert_eq!(judge(&read, catalogue::all()), live);
        }
    }
}
