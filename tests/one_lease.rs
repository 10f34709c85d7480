//! An execution has at most one live lease, and the epochs of its leases strictly rise.

use crate::common::{MINIMAL, PUBLISHED, check, check_but_known, config, plans};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_execution_has_two_live_leases_in_the_published_library(plan in plans("swarm")) {
        check_but_known("one-lease", &plan, &PUBLISHED)?;
    }

    #[test]
    fn no_execution_has_two_live_leases_in_a_library_of_our_own(plan in plans("swarm")) {
        check("one-lease", &plan, &MINIMAL)?;
    }

    #[test]
    fn workers_that_race_get_one_lease_at_a_time(plan in plans("race")) {
        check_but_known("one-lease", &plan, &PUBLISHED)?;
    }
}
