//! The server's clock as the trace shows it: when, in true time, it read so much.
//!
//! The trace has a reading with every command. Between two of them the clock runs as true time does; where it was set, it
//! jumps. A drift is small enough that the next reading corrects it.

use crate::{
    trace::{Event, What},
    types::{Node, SimTime, TimestampMs},
};

/// What the server's clock showed over a run.
pub(super) struct ServerClock {
    /// True times and what the clock read then, in order.
    readings: Vec<(SimTime, TimestampMs)>,
}

impl ServerClock {
    /// Reads the clock off a trace.
    pub fn of(events: &[Event]) -> Self {
        let mut readings: Vec<(SimTime, TimestampMs)> = Vec::new();
        for event in events {
            let at = event.head.at;
            match &event.what {
                What::Executed(executed) => readings.push((at, executed.now_ms)),
                What::ClockSet { by_ms } if event.head.node == Node::Valkey => {
                    let before = readings.last().map(|reading| read(*reading, at));
                    readings.extend(before.map(|now| (at, TimestampMs(now.0.saturating_add(*by_ms)))));
                }
                _ => {}
            }
        }
        Self { readings }
    }

    /// What the clock read when true time began, as the first reading suggests.
    pub fn start(&self) -> TimestampMs {
        self.readings
            .first()
            .map_or(TimestampMs(0), |(at, now)| TimestampMs(now.0.saturating_sub((at.0 / 1_000) as i64)))
    }

    /// The parts of a stretch of true time in which the clock read this or more.
    pub fn at_or_after(&self, reads: TimestampMs, from: SimTime, until: SimTime) -> Vec<(SimTime, SimTime)> {
        let mut parts: Vec<(SimTime, SimTime)> = Vec::new();
        let first = self.readings.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        for (place, (at, now)) in self.readings.iter().enumerate().skip(first) {
            let next = self.readings.get(place + 1).map_or(until, |(next, _)| *next);
            let wait_us = reads.0.saturating_sub(now.0).max(0).saturating_mul(1_000) as u64;
            let begin = SimTime(at.0.saturating_add(wait_us)).max(from);
            let end = next.min(until);
            if begin >= end {
                continue;
            }
            match parts.last_mut() {
                Some(last) if last.1 >= begin => last.1 = end,
                _ => parts.push((begin, end)),
            }
        }
        parts
    }
}

fn read((at, now): (SimTime, TimestampMs), later: SimTime) -> TimestampMs {
    TimestampMs(now.0.saturating_add((later.0.saturating_sub(at.0) / 1_000) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(readings: &[(u64, i64)]) -> ServerClock {
        let reading = |&(at, now): &(u64, i64)| (SimTime(at * 1_000), TimestampMs(now));
        ServerClock { readings: readings.iter().map(reading).collect() }
    }

    fn parts(clock: &ServerClock, reads: i64, from: u64, until: u64) -> Vec<(u64, u64)> {
        let parts = clock.at_or_after(TimestampMs(reads), SimTime(from * 1_000), SimTime(until * 1_000));
        parts.iter().map(|(from, until)| (from.0 / 1_000, until.0 / 1_000)).collect()
    }

    #[test]
    fn a_time_of_the_server_is_found_between_two_readings() {
        let clock = clock(&[(0, 1_000), (100, 1_100), (900, 1_900)]);
        assert_eq!(parts(&clock, 1_500, 0, 2_000), [(500, 2_000)]);
        assert_eq!(parts(&clock, 1_500, 700, 800), [(700, 800)]);
        assert_eq!(parts(&clock, 5_000, 0, 2_000), []);
        assert_eq!(clock.start(), TimestampMs(1_000));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_the_same_time_come_twice() {
        let clock = clock(&[(0, 1_000), (600, 1_200)]);
        assert_eq!(parts(&clock, 1_500, 0, 2_000), [(500, 600), (900, 2_000)]);
    }
}
