//! The crew: the threads that run seeds, and which seed each is at.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Hunt, Places, Until, gather::Outcome, stop::LOOK_EVERY};
use crate::drive::RunError;

/// Outcomes that may wait to be gathered.
const QUEUE: usize = 1_024;

/// Threads that run the seeds of a hunt. They are never joined: one whose run hangs ends with the process.
pub(super) struct Crew {
    shared: Arc<Shared>,
    outcomes: Receiver<Outcome>,
}

struct Shared {
    hunt: Hunt,
    started: Instant,
    /// Seeds that an earlier hunt ran.
    done: Places,
    next: AtomicU64,
    /// How many seeds there are to run, where that grows with what is found.
    seeds: Mutex<u64>,
    /// Told when there are more, or when the crew is dismissed.
    more: Condvar,
    is_over: AtomicBool,
    /// Since when each seed runs that does.
    running: Mutex<BTreeMap<u64, Instant>>,
}

/// What the crew has to say.
pub(super) enum Heard {
    /// A seed has ended.
    Outcome(Box<Outcome>),
    /// Nothing for a while.
    Nothing,
    /// Nothing any more.
    AllDone,
}

impl Crew {
    /// Sets as many threads to work as the hunt has jobs.
    pub fn start(hunt: &Hunt, done: Places, started: Instant) -> Self {
        let shared = Arc::new(Shared {
            hunt: hunt.clone(),
            started,
            done,
            next: AtomicU64::new(0),
            seeds: Mutex::default(),
            more: Condvar::new(),
            is_over: AtomicBool::new(false),
            running: Mutex::default(),
        });
        let (sender, outcomes) = sync_channel(QUEUE);
        for _ in 0..hunt.jobs.get() {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            thread::spawn(move || shared.work(&sender));
        }
        Self { shared, outcomes }
    }

    /// Waits for the next outcome, a short while.
    pub fn hear(&self) -> Heard {
        match self.outcomes.recv_timeout(LOOK_EVERY) {
            Ok(outcome) => Heard::Outcome(Box::new(outcome)),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::AllDone,
        }
    }

    /// There are so many seeds to run, no fewer than before. Who has run them waits for more, or to be dismissed.
    pub fn go_on_to(&self, seeds: u64) {
        let mut known = self.shared.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        *known = seeds.max(*known);
        self.shared.more.notify_all();
    }

    /// No seed is begun any more.
    pub fn dismiss(&self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.more.notify_all();
    }

    /// The seeds that have been running for so long, by their places in the share, and for how long.
    pub fn running_for(&self, at_least: Duration) -> Vec<(u64, Duration)> {
        let running = self.shared.running();
        running.iter().map(|(nth, since)| (*nth, since.elapsed())).filter(|(_, it)| *it >= at_least).collect()
    }

    /// How many seeds are being run.
    pub fn at_work(&self) -> usize {
        self.shared.running().len()
    }
}

impl Shared {
    fn work(&self, sender: &SyncSender<Outcome>) {
        while let Some(nth) = self.take() {
            self.running().insert(nth, Instant::now());
            let result = self.run(nth);
            self.running().remove(&nth);
            if sender.send(Outcome { nth, result }).is_err() {
                return;
            }
        }
    }

    fn run(&self, nth: u64) -> Result<crate::property::Verdict, RunError> {
        let seed = self.hunt.seed(nth);
        let judged =
            catch_unwind(AssertUnwindSafe(|| self.hunt.judge(&self.hunt.plan(seed), &self.hunt.subject)));
        judged.unwrap_or_else(|_| Err(RunError::Harness("a panic outside of the run".to_owned())))
    }

    /// The next seed of the share that nobody has run.
    fn take(&self) -> Option<u64> {
        while !self.is_over.load(Ordering::Relaxed) {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            let is_left = match self.hunt.until {
                Until::Seeds(_) => self.hunt.seeds().is_some_and(|seeds| nth < seeds),
                Until::Elapsed(limit) => self.started.elapsed() < limit,
                Until::Saturated(_) => self.waits_for(nth),
            };
            if !is_left {
                return None;
            }
            if !self.done.contains(nth) {
                return Some(nth);
            }
        }
        None
    }

    /// Waits until a seed is among those that are to be run; false where it never is, and the crew is dismissed.
    fn waits_for(&self, nth: u64) -> bool {
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        while nth >= *seeds {
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            // Whoever dismisses the crew does not hold the lock: nobody sleeps past it for long.
            seeds = self.more.wait_timeout(seeds, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
