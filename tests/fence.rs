//! Nothing is accepted from a lease that is not the current one, or is over.

use crate::common::{MINIMAL, PUBLISHED, check_but_known, config, plans};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_lease_that_is_over_is_refused_in_the_published_library(plan in plans("swarm")) {
        check_but_known("fence", &plan, &PUBLISHED)?;
    }

    #[test]
    fn a_lease_that_is_over_is_refused_in_a_library_of_our_own(plan in plans("swarm")) {
        check_but_known("fence", &plan, &MINIMAL)?;
    }

    #[test]
    fn a_request_that_comes_late_is_refused(plan in plans("lossy")) {
        check_but_known("fence", &plan, &PUBLISHED)?;
    }
}
