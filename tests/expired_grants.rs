//! An expired grant never yields a lease, to the millisecond.

use crate::common::{MINIMAL, PUBLISHED, check, check_but_known, config, plans};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_expired_grant_never_yields_a_lease_in_the_published_library(plan in plans("swarm")) {
        check_but_known("expiry", &plan, &PUBLISHED)?;
    }

    #[test]
    fn an_expired_grant_never_yields_a_lease_in_a_library_of_our_own(plan in plans("swarm")) {
        check("expiry", &plan, &MINIMAL)?;
    }

    #[test]
    fn claims_around_the_expiry_follow_the_servers_clock(plan in plans("edge")) {
        check_but_known("expiry", &plan, &PUBLISHED)?;
    }
}
