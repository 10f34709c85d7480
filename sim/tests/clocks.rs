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

#[test]
fn drift_is_counted_in_millionths_of_the_time_that_passed() {
    for (drift_ppm, by) in
        [(0, 0), (100, 100), (-100, -100), (2_000_000, 2_000_000), (-1_000_000, -1_000_000)]
    {
        let clock = Clock { drift_ppm, ..Clock::starting_at(UnixMicros(5_000_000)) };
        assert_eq!(clock.now(SimTime::START), UnixMicros(5_000_000), "{drift_ppm}");
        assert_eq!(
            clock.now(world(1_000)),
            UnixMicros(6_000_000_u64.checked_add_signed(by).unwrap()),
            "{drift_ppm}"
        );
        assert_eq!(
            clock.monotonic(world(1_000)),
            1_000_000_u64.checked_add_signed(by).unwrap(),
            "{drift_ppm}"
        );
    }
    let stopped = Clock { drift_ppm: -2_000_000, ..Clock::starting_at(UnixMicros(5)) };
    assert_eq!(stopped.now(world(9)), UnixMicros(5), "no clock runs backwards by itself");
}

#[test]
fn steps_add_up_in_any_order_and_drift_goes_on_beneath_them() {
    let clock = Clock { drift_ppm: 500_000, ..stepped(&[(30, 7), (10, 100), (20, -40), (20, -1)]) };
    for (at_ms, local) in [(9, 1_013_500), (10, 1_115_000), (20, 1_089_000), (30, 1_111_000)] {
        assert_eq!(clock.now(world(at_ms)), UnixMicros(local), "at {at_ms} ms");
    }
}

#[test]
fn a_monotonic_clock_does_not_go_back_when_the_other_is_set_back() {
    let clock = stepped(&[(10, -5_000), (20, 9_000)]);
    let read = [9, 10, 11, 20, 21].map(|ms| clock.monotonic(world(ms)));
    assert_eq!(read, [9_000, 10_000, 11_000, 20_000, 21_000]);
    assert!(clock.now(world(10)) < clock.now(world(9)));
}

#[test]
fn a_time_is_reached_in_its_own_microsecond_and_not_one_earlier_or_later() {
    let fast = Clock { drift_ppm: 1_000_000, ..Clock::starting_at(UnixMicros(100)) };
    for (local, at) in [(100, 0), (101, 1), (102, 1), (103, 2), (2_100, 1_000)] {
        assert_eq!(fast.next_at(SimTime::START, UnixMicros(local)), SimTime(at), "{local}");
    }
    for (micros, at) in [(0, 0), (1, 1), (2, 1), (3, 2), (2_000, 1_000)] {
        assert_eq!(fast.sim_time_at_monotonic(micros), SimTime(at), "{micros}");
    }
    assert_eq!(fast.next_at(SimTime(50), UnixMicros(150)), SimTime(50), "it reads more than that already");
    let slow = Clock { drift_ppm: -500_000, ..Clock::starting_at(UnixMicros(0)) };
    for (micros, at) in [(1, 2), (2, 4), (3, 6)] {
        assert_eq!(slow.sim_time_at_monotonic(micros), SimTime(at), "{micros}");
        assert_eq!(slow.next_at(SimTime::START, UnixMicros(micros)), SimTime(at), "{micros}");
    }
}

/// The time of a server on a simulated node.
#[cfg(all(madsim, feature = "link"))]
mod on_a_node {
    use std::{cell::RefCell, rc::Rc, time::Duration};

    use madsim::{runtime::Runtime, task::spawn_local, time::sleep};
    use valkey_sim::{
        engine::{Dialect, Effects, Engine},
        link::{NodeTime, SimClock},
        lua::Interpreter,
        server::{Environment, Executed, Observer, Server},
    };

    use super::*;

    fn simulate(scene: impl AsyncFnOnce(SimClock) + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = Runtime::with_seed_and_config(1, madsim::Config::default());
                runtime.block_on(async { scene(SimClock::current()).await });
            });
        });
    }

    #[test]
    fn is_read_by_its_drifting_and_stepped_clock() {
        simulate(async |sim| {
            let start = sim.now();
            assert!(start < world(10), "{start:?}");
            let clock = Clock { drift_ppm: 100_000, ..stepped(&[(20, -500)]) };
            let time = NodeTime::new(clock.clone(), sim.clone());
            for at_ms in [10, 19, 20, 30] {
                sim.sleep_until(world(at_ms)).await;
                assert_eq!(time.now(), clock.now(world(at_ms)), "at {at_ms} ms");
            }
        });
    }

    #[test]
    fn wakes_a_sleeper_when_its_own_clock_shows_the_time() {
        for (drift_ppm, steps, local_ms, at_ms) in [
            (0, &[][..], 1_100, 100),
            (1_000_000, &[], 1_100, 50),
            (-500_000, &[], 1_100, 200),
            (0, &[(50, 5_000)], 2_000, 50),
            (0, &[(50, -20)], 1_100, 120),
            (0, &[], 900, 10), // That is past: at once.
        ] {
            simulate(async move |sim| {
                let time = NodeTime::new(Clock { drift_ppm, ..stepped(steps) }, sim.clone());
                sim.sleep_until(world(10)).await;
                time.sleep_until(UnixMicros::from_millis(local_ms)).await;
                assert_eq!(sim.now(), world(at_ms), "drift {drift_ppm}, steps {steps:?}");
                assert!(time.now() >= UnixMicros::from_millis(local_ms));
            });
        }
    }

    #[test]
    fn wakes_a_sleeper_at_the_next_time_that_it_is_not_at_one_that_has_been() {
        simulate(async |sim| {
            let time = NodeTime::new(stepped(&[(50, -20)]), sim.clone());
            sim.sleep_until(world(60)).await; // It shows 1,040 ms for the second time.
            time.sleep_until(UnixMicros::from_millis(1_045)).await;
            assert_eq!(sim.now(), world(65));
        });
    }

    /// When keys were reaped, by the simulation's time and by the server's.
    #[derive(Clone)]
    struct Reaper(SimClock, Rc<RefCell<Vec<(SimTime, UnixMicros)>>>);

    impl Observer for Reaper {
        fn executed(&mut self, _: &Executed<'_>) {}

        fn reaped(&mut self, now: UnixMicros, _: &Effects, _: &Engine) {
            self.1.borrow_mut().push((self.0.now(), now));
        }
    }

    /// Sets a key that ends at a time, in milliseconds.
    fn expire(server: &Server, key: &[u8], at_ms: &[u8]) {
        server.with_engine(|engine| {
            let mut session = engine.connect();
            let set = [&b"SET"[..], key, b"v", b"PXAT", at_ms];
            engine.execute(&mut session, &set, UnixMicros(1_000_000), &mut Effects::default());
        });
    }

    #[test]
    fn reaps_a_key_in_time_that_ends_before_the_one_it_sleeps_towards() {
        simulate(async |sim| {
            let reaper = Reaper(sim.clone(), Rc::default());
            let engine = Engine::new(Dialect::Valkey8, Interpreter::default());
            let server = Server::new(engine, NodeTime::new(stepped(&[]), sim.clone()), reaper.clone());
            let housekeeper = server.clone();
            spawn_local(async move { housekeeper.housekeeping().await });
            for (at_ms, key, ends_at_ms) in
                [(10, b"a", b"9000"), (1_000, b"b", b"4000"), (5_000, b"c", b"7000")]
            {
                sim.sleep_until(world(at_ms)).await;
                expire(&server, key, ends_at_ms);
            }
            sim.sleep_until(world(20_000)).await;
            let reaped = Vec::from_iter(reaper.1.take().into_iter().map(|(at, _)| at));
            assert_eq!(reaped, [world(3_100), world(6_100), world(8_100)]);
        });
    }

    #[test]
    fn reaps_expired_keys_by_the_clock_as_it_was_set() {
        // A second after its start, the clock of a server whose key lives for five is set: forward, back, not at all.
        for (by_ms, at_ms) in [(0, 5_100), (3_000, 2_100), (60_000, 1_000), (-2_000, 7_100)] {
            simulate(async move |sim| {
                let reaper = Reaper(sim.clone(), Rc::default());
                let engine = Engine::new(Dialect::Valkey8, Interpreter::default());
                let time = NodeTime::new(stepped(&[(1_000, by_ms)]), sim.clone());
                let server = Server::new(engine, time, reaper.clone());
                expire(&server, b"k", b"6000");
                spawn_local(async move { server.housekeeping().await });
                sleep(Duration::from_secs(20)).await;
                let reaped = reaper.1.take();
                let expected = stepped(&[(1_000, by_ms)]).now(world(at_ms));
                assert_eq!(reaped, [(world(at_ms), expected)], "set by {by_ms} ms");
            });
        }
    }
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
