//! Clocks: what a node reads, and when it will.

use proptest::prelude::*;
use valkey_sim::clock::{Clock, SimTime, Step};
use valkey_sim::engine::UnixMicros;

fn world(ms: u64) -> SimTime {
    SimTime::from_millis(ms)
}

fn stepped(steps: &[(u64, i64)]) -> Clock {
    let steps = steps.iter().map(|&(at_ms, by_ms)| Step { at: world(at_ms), by_ms }).collect();
    Clock { steps, ..Clock::starting_at(UnixMicros::from_millis(1_000)) }
}

/// Clocks as plans have them, and now and then one that no machine ever had.
fn clocks() -> impl Strategy<Value = Clock> {
    let drift = prop_oneof![4 => -2_000..2_000, 1 => any::<i32>()];
    let step = prop_oneof![
        6 => (0..20_000_000u64, -10_000..10_000i64),
        1 => (any::<u64>(), any::<i64>()),
    ];
    let step = step.prop_map(|(at, by_ms)| Step { at: SimTime(at), by_ms });
    let epoch = prop_oneof![4 => 0..40_000_000u64, 1 => any::<u64>()].prop_map(UnixMicros);
    (epoch, drift, prop::collection::vec(step, 0..6)).prop_map(|(epoch, drift_ppm, steps)| Clock {
        epoch,
        drift_ppm,
        steps,
    })
}

fn micros() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..60_000_000u64, 1 => any::<u64>()]
}

/// The first instant by looking at each: correct because nothing here is clever.
fn first_by_search(clock: &Clock, local: UnixMicros, until: u64) -> Option<SimTime> {
    (0..until).map(SimTime).find(|at| clock.now(*at) >= local)
}

#[test]
fn a_step_counts_from_its_own_instant_on() {
    let clock = stepped(&[(10, -4)]);
    assert_eq!(clock.now(SimTime(9_999)), UnixMicros(1_009_999));
    assert_eq!(clock.now(world(10)), UnixMicros(1_006_000));
}

#[test]
fn a_clock_set_back_reads_a_time_twice_and_the_first_reading_counts() {
    let clock = stepped(&[(10, -4)]);
    assert_eq!(clock.next_at(SimTime::START, UnixMicros(1_008_000)), world(8));
    assert_eq!(clock.next_at(SimTime::START, UnixMicros(1_010_000)), world(14));
}

#[test]
fn a_time_that_the_clock_will_read_again_is_found_from_any_instant() {
    let clock = stepped(&[(10, -4)]);
    assert_eq!(clock.next_at(world(9), UnixMicros(1_008_000)), world(9));
    assert_eq!(clock.next_at(world(10), UnixMicros(1_008_000)), world(12));
}

#[test]
fn a_clock_set_forward_skips_times_and_reaches_them_at_the_step() {
    let clock = stepped(&[(10, 100)]);
    assert_eq!(clock.next_at(SimTime::START, UnixMicros(1_050_000)), world(10));
}

#[test]
fn steps_move_no_monotonic_clock_and_drift_does() {
    let clock = Clock { drift_ppm: -500_000, ..stepped(&[(10, 100), (20, -3_000)]) };
    assert_eq!(clock.monotonic(world(30)), 15_000);
    assert_eq!(clock.sim_time_at_monotonic(15_000), world(30));
}

#[test]
fn a_clock_that_stands_still_never_gets_there() {
    let clock = Clock { drift_ppm: -1_000_000, ..Clock::starting_at(UnixMicros(5)) };
    assert_eq!(clock.next_at(SimTime::START, UnixMicros(5)), SimTime::START);
    assert_eq!(clock.next_at(SimTime::START, UnixMicros(6)), SimTime::NEVER);
}

proptest! {
    #[test]
    fn next_at_is_reached_and_not_a_microsecond_too_late(clock in clocks(), local in micros()) {
        let local = UnixMicros(local);
        let at = clock.next_at(SimTime::START, local);
        if at < SimTime::NEVER {
            prop_assert!(clock.now(at) >= local);
        }
        if at > SimTime::START {
            prop_assert!(clock.now(SimTime(at.0 - 1)) < local);
        }
        // Earlier stretches count too, so the instants around every step are looked at.
        for step in clock.steps.iter().filter(|step| step.at < at) {
            prop_assert!(clock.now(step.at) < local);
            prop_assert!(clock.now(SimTime(step.at.0.saturating_sub(1))) < local);
        }
    }

    #[test]
    fn world_at_is_what_a_search_finds(
        drift_ppm in -999_999..2_000_000,
        steps in prop::collection::vec((0..2_000u64, -2..2i64), 0..4),
        local in 0..6_000u64,
    ) {
        let steps = steps.iter().map(|&(at, by_ms)| Step { at: SimTime(at), by_ms }).collect();
        let clock = Clock { epoch: UnixMicros(1_000), drift_ppm, steps };
        let local = UnixMicros(local);
        let found = first_by_search(&clock, local, 5_000);
        let told = clock.next_at(SimTime::START, local);
        prop_assert_eq!(found, (told < SimTime(5_000)).then_some(told));
    }

    #[test]
    fn monotonic_time_never_goes_back_and_inverts_exactly(clock in clocks(), a in micros(), b in micros()) {
        let (a, b) = (a.min(b), a.max(b));
        prop_assert!(clock.monotonic(SimTime(a)) <= clock.monotonic(SimTime(b)));
        let at = clock.sim_time_at_monotonic(a);
        prop_assert!(at == SimTime::NEVER || clock.monotonic(at) >= a);
        prop_assert!(at == SimTime::START || clock.monotonic(SimTime(at.0 - 1)) < a);
    }
}
