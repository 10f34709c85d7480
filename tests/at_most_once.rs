//! A grant is consumed at most once, whatever breaks.

use crate::common::{MINIMAL, PUBLISHED, check, check_but_known, config, plans};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_grant_is_consumed_at_most_once_in_the_published_library(plan in plans("swarm")) {
        check_but_known("at-most-once", &plan, &PUBLISHED)?;
    }

    #[test]
    fn a_grant_is_consumed_at_most_once_in_a_library_of_our_own(plan in plans("swarm")) {
        check("at-most-once", &plan, &MINIMAL)?;
    }

    #[test]
    fn workers_that_race_for_one_grant_get_one_lease(plan in plans("race")) {
        check_but_known("at-most-once", &plan, &PUBLISHED)?;
        check("one-lease", &plan, &PUBLISHED)?;
    }
}
