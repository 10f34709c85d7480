//! An execution that is eligible now is in its lane's eligible set, where a scheduler finds it.

use crate::common::{MINIMAL, PUBLISHED, check_but_known, config, plans};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_eligible_is_listed_in_the_published_library(plan in plans("swarm")) {
        check_but_known("eligible", &plan, &PUBLISHED)?;
    }

    #[test]
    fn what_is_eligible_is_listed_in_a_library_of_our_own(plan in plans("swarm")) {
        check_but_known("eligible", &plan, &MINIMAL)?;
    }

    #[test]
    fn what_a_worker_lost_is_listed_again(plan in plans("crash")) {
        check_but_known("eligible", &plan, &PUBLISHED)?;
    }
}
