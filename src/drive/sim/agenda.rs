//! What is to break, and when: the faults that have a time from the start, and those that get one when a call is executed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    task::{Poll, Waker},
};

use valkey_sim::link::SimClock;

use crate::{drive::faults::Timed, types::SimTime};

/// What is to break, and when.
pub(super) struct Agenda {
    /// How many were put down.
    count: Cell<usize>,
    queue: RefCell<BTreeMap<(SimTime, usize), Timed>>,
    injector: RefCell<Option<Waker>>,
}

impl Agenda {
    pub fn new(timed: Vec<Timed>) -> Self {
        let agenda = Self { count: Cell::new(0), queue: RefCell::default(), injector: RefCell::default() };
        agenda.add(timed);
        agenda
    }

    pub fn add(&self, timed: Vec<Timed>) {
        let mut queue = self.queue.borrow_mut();
        for timed in timed {
            let place = self.count.replace(self.count.get() + 1);
            queue.insert((timed.at, place), timed);
        }
        if let Some(injector) = self.injector.take() {
            injector.wake();
        }
    }

    /// Waits for what comes next.
    pub async fn next(&self, clock: &SimClock) -> Timed {
        let mut sleep = None;
        poll_fn(|cx| {
            let mut queue = self.queue.borrow_mut();
            self.injector.replace(Some(cx.waker().clone()));
            let Some(first) = queue.first_entry() else { return Poll::Pending };
            let at = first.key().0;
            if at <= clock.now() {
                return Poll::Ready(first.remove());
            }
            if sleep.as_ref().is_none_or(|(until, _)| *until != at) {
                sleep = Some((at, Box::pin(clock.sleep_until(at))));
            }
            let is_up = sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
            if is_up { Poll::Ready(first.remove()) } else { Poll::Pending }
        })
        .await
    }
}
