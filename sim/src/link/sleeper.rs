//! A task that waits for something to land, and the one timer that will wake it.

use std::task::Waker;

use super::SimClock;
use crate::clock::SimTime;

/// madsim's timers cannot be cancelled and a new one is made at each poll, so it is remembered which one is pending.
#[derive(Debug, Default)]
pub(super) struct Sleeper {
    waker: Option<Waker>,
    /// When the last timer goes off; past, if none is pending for this waker.
    alarm: SimTime,
}

impl Sleeper {
    /// The task of `waker` waits from now on.
    pub fn park(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|parked| parked.will_wake(waker)) {
            *self = Self { waker: Some(waker.clone()), alarm: SimTime::START };
        }
    }

    /// It got what it waited for.
    pub fn leave(&mut self) {
        self.waker = None;
    }

    /// Wakes it at once, if there is one.
    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Wakes it at an instant or earlier, if there is one.
    pub fn wake_at(&mut self, clock: &SimClock, at: SimTime) {
        let Some(waker) = &self.waker else { return };
        let pending = clock.now() < self.alarm && self.alarm <= at;
        if !pending {
            clock.wake_at(at, waker);
            self.alarm = at;
        }
    }
}
