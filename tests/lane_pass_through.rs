//! The lane that the caller chose arrives as it was chosen.

mod common;

use common::{MINIMAL, PUBLISHED, check, config, moving_config, plans};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_lane_arrives_as_it_was_chosen_in_the_published_library(plan in plans("swarm")) {
        check("lane", &plan, &PUBLISHED)?;
    }

    #[test]
    fn the_lane_arrives_as_it_was_chosen_in_a_library_of_our_own(plan in plans("swarm")) {
        check("lane", &plan, &MINIMAL)?;
    }
}

proptest! {
    #![proptest_config(moving_config())]

    #[test]
    fn the_lane_arrives_as_it_was_chosen_in_plans_that_nobody_has_seen(plan in plans("swarm")) {
        check("lane", &plan, &PUBLISHED)?;
        check("lane", &plan, &MINIMAL)?;
    }
}
