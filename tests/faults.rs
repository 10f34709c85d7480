//! A small life for every kind of fault, as a timeline to review: what one sees when nothing else breaks.
//!
//! Each is the run of `fixtures/plans/fault-<name>.json`; what one should see is its `about`. After a change that is meant:
//! `INSTA_UPDATE=always cargo test faults::`, then read the difference.

use std::collections::BTreeSet;

use crate::common::{PUBLISHED, plan_files, run};
use grantsim::{
    report::{self, Detail},
    types::FaultClass,
};

/// What fits on a page.
const MOST_LINES: usize = 60;

#[test]
fn every_fault_does_what_its_plan_says() {
    let mut classes = BTreeSet::new();
    for (name, file) in
        plan_files("fixtures/plans").into_iter().filter(|(name, _)| name.starts_with("fault-"))
    {
        classes.extend(file.plan.faults.iter().map(|fault| fault.class()));
        classes.extend((!file.plan.clocks.is_empty()).then_some(FaultClass::Clock));
        let life = report::timeline(&run(&file.plan, &PUBLISHED), Detail::Order);
        assert!(life.lines().count() < MOST_LINES, "the life {name} is too long to be read:\n{life}");
        insta::with_settings!({ description => file.about, omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, life);
        });
    }
    assert_eq!(classes, FaultClass::ALL.iter().copied().collect(), "every class of fault has a life");
}
