//! The lane that the caller chose arrives as it was chosen, where no caller sends another one: what happens then is the
//! finding lane-of-the-caller.

use crate::common::{MINIMAL, PUBLISHED, check, check_but_known, config, plans};
use grantsim::{plan::Plan, types::FaultClass};
use proptest::prelude::*;

/// Plans in which everybody sends what they should.
fn well_behaved() -> impl Strategy<Value = Plan> {
    plans("swarm").prop_map(move |mut plan| {
        plan.faults.retain(|fault| !FaultClass::HOSTILE.contains(&fault.class()));
        plan
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_lane_arrives_as_it_was_chosen_in_the_published_library(plan in well_behaved()) {
        check_but_known("lane", &plan, &PUBLISHED)?;
    }

    #[test]
    fn the_lane_arrives_as_it_was_chosen_in_a_library_of_our_own(plan in well_behaved()) {
        check("lane", &plan, &MINIMAL)?;
    }
}
