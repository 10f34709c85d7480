//! Snapshots of order and outcome survive a change of latency that changes neither.

use crate::common::{PUBLISHED, plan_files, run};
use grantsim::report::{self, Detail};

/// A fifth of a millisecond.
const SLOWER_US: u64 = 200;

/// Plans in which so little changes what comes first, and what that is.
const MOVED: [(&str, &str); 14] = [
    ("answer-to-an-earlier-life", "many executions: replies of one and requests of another cross"),
    ("circle-seen-while-eligible", "the run ends at another place of the circle"),
    ("fault-clients-paused", "a call is executed before the pause, or after it"),
    ("fault-crash-for-good", "the message arrives before the crash, or after it"),
    ("fault-crash-request", "the request is sent before the crash, or not at all"),
    ("fault-crash-scheduler", "the grant is issued before the crash breaks the connection, or not at all"),
    ("fault-partition-a-to-b", "the claim is sent before the partition, or not at all"),
    ("fault-partition-b-to-a", "a request is sent before the partition, or not at all"),
    ("fault-partition-both", "the completion is held by the partition, or passes before it"),
    ("fault-partition-grant-message", "the grant is asked for before the partition begins, or after it"),
    ("fault-pause-scheduler", "the scheduler stands still before a reply to another arrives, or after it"),
    ("fault-pause-valkey", "the claim is sent before the server stands still, or after it"),
    ("fault-slow", "the reply to the grant arrives before the server is far away, or after it"),
    ("life-race", "two claims are sent in one millisecond, either first"),
];

#[test]
fn a_fifth_of_a_millisecond_changes_no_snapshot_but_those_whose_order_it_changes() {
    let (mut moved, mut times_moved) = (Vec::new(), 0);
    let files = plan_files("fixtures/plans");
    for (name, file) in &files {
        let mut slower = file.plan.clone();
        slower.network.latency_us += SLOWER_US;
        let told = |plan, detail| report::timeline(&run(plan, &PUBLISHED), detail);
        if told(&file.plan, Detail::Order) != told(&slower, Detail::Order) {
            moved.push(name.as_str());
        }
        times_moved += usize::from(told(&file.plan, Detail::Life) != told(&slower, Detail::Life));
    }
    assert_eq!(moved, MOVED.map(|(name, _)| name));
    assert_eq!(times_moved, files.len(), "a latency that no timeline shows proves nothing");
}

#[test]
fn another_outcome_is_another_snapshot() {
    let files = plan_files("fixtures/plans");
    let (_, file) = files.iter().find(|(name, _)| name == "life-happy-path").expect("it is there");
    let mut fails = file.plan.clone();
    fails.settings.lease_ttl_ms = 50;
    let told = |plan| report::timeline(&run(plan, &PUBLISHED), Detail::Order);
    assert_ne!(told(&file.plan), told(&fails));
}
