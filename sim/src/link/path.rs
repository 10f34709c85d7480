//! The way from one host to another: how long it takes, and whether anything passes at all.

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Serialize};

use super::HostId;
use crate::clock::SimTime;
use crate::random::Random;

/// How long a segment is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// Every segment takes this long,
    pub base_us: u64,
    /// and up to this much longer.
    pub jitter_us: u64,
    /// So many in a million are lost on the first try,
    pub loss_ppm: u32,
    /// and are sent again this much later. After a partition, too, it takes up to this long until the next try.
    pub retransmit_ms: u32,
}

impl Default for Latency {
    /// A quiet network within one data centre; 200 ms is Linux's shortest retransmission timeout.
    fn default() -> Self {
        Self { base_us: 200, jitter_us: 100, loss_ppm: 0, retransmit_ms: 200 }
    }
}

impl Latency {
    /// How long one segment takes.
    fn draw(self, random: &mut Random) -> u64 {
        let lost = self.loss_ppm > 0 && random.below(1_000_000) < u64::from(self.loss_ppm);
        let again = if lost { self.retransmit_us() } else { 0 };
        self.base_us.saturating_add(random.below(self.jitter_us.saturating_add(1))).saturating_add(again)
    }

    fn retransmit_us(self) -> u64 {
        u64::from(self.retransmit_ms) * 1_000
    }
}

/// One direction between two hosts, shared by all that travels it.
///
/// It draws from a generator of its own: traffic elsewhere does not move its dice.
#[derive(Debug)]
pub(super) struct Path {
    pub from: HostId,
    pub to: HostId,
    latency: Cell<Latency>,
    random: RefCell<Random>,
    held_since: Cell<Option<SimTime>>,
    /// When each partition began, the current one included.
    partitions: RefCell<Vec<SimTime>>,
}

impl Path {
    pub fn new(from: HostId, to: HostId, latency: Latency, seed: u64) -> Self {
        let way = u64::from(from.0) << 16 | u64::from(to.0);
        let way_seed = Random::new(seed ^ way.rotate_left(32)).next_u64();
        Self {
            from,
            to,
            latency: Cell::new(latency),
            random: RefCell::new(Random::new(way_seed)),
            held_since: Cell::new(None),
            partitions: RefCell::default(),
        }
    }

    pub fn set_latency(&self, latency: Latency) {
        self.latency.set(latency);
    }

    /// When something sent now lands, if nothing holds it.
    pub fn landing(&self, now: SimTime) -> SimTime {
        now.after(self.latency.get().draw(&mut self.random.borrow_mut()))
    }

    /// When something that a partition held lands, now that it has healed: with the sender's next try.
    pub fn landing_after_heal(&self, now: SimTime) -> SimTime {
        let wait = self.below(self.latency.get().retransmit_us().saturating_add(1));
        self.landing(now).after(wait)
    }

    /// A number in `0..bound` from the path's own generator.
    pub fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    /// Whether what was due at an instant has landed. What was due when the partition began has not.
    pub fn has_landed(&self, due: SimTime, now: SimTime) -> bool {
        due <= now && self.held_since.get().is_none_or(|since| due < since)
    }

    pub fn is_held(&self) -> bool {
        self.held_since.get().is_some()
    }

    /// A partition begins. Says whether it is news.
    pub fn hold(&self, now: SimTime) -> bool {
        let news = !self.is_held();
        if news {
            self.held_since.set(Some(now));
            self.partitions.borrow_mut().push(now);
        }
        news
    }

    /// The partition ends. Says when it had begun.
    pub fn release(&self) -> Option<SimTime> {
        self.held_since.take()
    }

    /// How many partitions there have been.
    pub fn partitions(&self) -> usize {
        self.partitions.borrow().len()
    }

    /// Whether a partition, the `nth` or a later one, had begun when something was due.
    pub fn parted_before(&self, nth: usize, due: SimTime) -> bool {
        self.partitions.borrow().get(nth).is_some_and(|began| *began <= due)
    }
}
