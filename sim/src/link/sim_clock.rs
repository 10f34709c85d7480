//! The simulation's own time: reads it, and wakes tasks at a microsecond of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use madsim::time::{Sleep, TimeHandle};

use crate::clock::SimTime;

/// A handle to the time of one madsim runtime; cheap to clone, cheaper than madsim's free functions to ask.
#[derive(Clone)]
pub struct SimClock {
    time: TimeHandle,
    start: Instant,
}

impl SimClock {
    /// The time of the runtime that this is called in.
    ///
    /// # Panics
    ///
    /// Outside a madsim runtime.
    pub fn current() -> Self {
        let time = TimeHandle::current();
        let start = time.now_instant() - time.elapsed();
        Self { time, start }
    }

    /// How long the run has lasted.
    pub fn now(&self) -> SimTime {
        let elapsed = self.time.elapsed();
        SimTime(elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros()))
    }

    /// Waits for an instant, exactly: madsim's own sleeps take a millisecond at least.
    pub fn sleep_until(&self, at: SimTime) -> Sleep {
        self.sleep_until_in_turn(at, 0)
    }

    /// The same, and of those that wait for one microsecond the lower turn (below 1,000) comes first. Without a turn their
    /// order is that of madsim's heap, which any other timer may change.
    pub fn sleep_until_in_turn(&self, at: SimTime, turn: u16) -> Sleep {
        let deadline = self.start + Duration::from_micros(at.0) + Duration::from_nanos(turn.min(999).into());
        let mut sleep = self.time.sleep_until(deadline);
        Pin::new(&mut sleep).reset(deadline);
        sleep
    }

    /// Has `waker` woken at an instant; now, if it has passed.
    pub(super) fn wake_at(&self, at: SimTime, waker: &Waker) {
        let mut sleep = self.sleep_until(at);
        // A pending poll has left a timer behind, and dropping the sleep does not cancel it.
        if Pin::new(&mut sleep).poll(&mut Context::from_waker(waker)).is_ready() {
            waker.wake_by_ref();
        }
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimClock").field(&self.now()).finish()
    }
}
