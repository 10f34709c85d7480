//! How a hunt is stopped, and how long it then waits for what does not end.
//!
//! A thread cannot be killed. So whatever may take long is done on a thread of its own, and the hunt waits for it only as
//! long as it wants: a thread that is left behind ends with the process.

use std::{
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How often whoever waits looks whether it still should.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long what runs may go on once the hunt is to stop: most runs take milliseconds, and their result is not lost.
const GRACE: Duration = Duration::from_secs(2);

/// Whether a hunt is to stop, and since when.
///
/// ```
/// use grantsim::hunt::Stop;
///
/// let stop = Stop::default();
/// assert_eq!(stop.wait_for(|| 6 * 7), Ok(42));
/// stop.ask();
/// assert!(stop.is_asked());
/// ```
#[derive(Debug, Default)]
pub struct Stop {
    asked: OnceLock<Instant>,
}

/// What was waited for did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The hunt was stopped.
    #[error("the hunt was interrupted")]
    Interrupted,
    /// It took longer than it may.
    #[error("it took longer than {} s", .0.as_secs())]
    TooLong(Duration),
    /// Its thread could not be started, or panicked.
    #[error("the harness itself failed; please report this with the token or plan")]
    Harness,
}

/// What a thread says.
enum Said<N, T> {
    News(N),
    Done(T),
}

impl Stop {
    /// Asks to stop. Only the first time counts.
    pub fn ask(&self) {
        let _ = self.asked.set(Instant::now());
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.asked.get().is_some()
    }

    /// Whether it is time to leave behind what still runs.
    pub fn is_over(&self) -> bool {
        self.asked.get().is_some_and(|asked| asked.elapsed() >= GRACE)
    }

    /// Does something on a thread of its own and waits for it, until it is time to stop.
    ///
    /// # Errors
    /// [`NotDone`].
    pub fn wait_for<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        self.wait_within(Duration::MAX, move |_: &mut dyn FnMut(())| work(), |()| {})
    }

    /// As [`wait_for`](Self::wait_for), no longer than `within`, and passes on what the work tells on its way.
    ///
    /// # Errors
    /// [`NotDone`].
    pub fn wait_within<N: Send + 'static, T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut dyn FnMut(N)) -> T + Send + 'static,
        mut news: impl FnMut(N),
    ) -> Result<T, NotDone> {
        let started = Instant::now();
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("grantsim-aside".into()).spawn(move || {
            let done = work(&mut |news| _ = sender.send(Said::News(news)));
            // Whoever waited may be gone.
            let _ = sender.send(Said::Done(done));
        });
        if thread.is_err() {
            return Err(NotDone::Harness);
        }
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(Said::Done(done)) => return Ok(done),
                Ok(Said::News(it)) => news(it),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(NotDone::Harness),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if self.is_over() {
                return Err(NotDone::Interrupted);
            }
            if started.elapsed() >= within {
                return Err(NotDone::TooLong(within));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until the sender is gone, which never is.
    fn for_ever() -> impl FnOnce() + Send + 'static {
        let (sender, receiver) = mpsc::channel::<()>();
        std::mem::forget(sender);
        move || _ = receiver.recv()
    }

    #[test]
    fn what_does_not_end_is_left_behind_once_the_hunt_is_to_stop() {
        let stop = Stop::default();
        assert!(!stop.is_asked() && !stop.is_over());
        stop.ask();
        assert_eq!(stop.wait_for(for_ever()), Err(NotDone::Interrupted));
        assert!(stop.is_over());
        assert_eq!(stop.wait_for(for_ever()), Err(NotDone::Interrupted), "the time of grace is one for all");
    }

    #[test]
    fn what_takes_too_long_is_left_behind_and_what_it_told_is_not_lost() {
        let mut told = Vec::new();
        let within = Duration::from_millis(120);
        let never = for_ever();
        let work = move |tell: &mut dyn FnMut(u32)| {
            [1, 2].into_iter().for_each(tell);
            never();
        };
        let done = Stop::default().wait_within(within, work, |news| told.push(news));
        assert_eq!((done, told), (Err(NotDone::TooLong(within)), vec![1, 2]));
    }

    #[test]
    fn a_panic_is_the_harness_own_and_not_waited_for() {
        let panics = || panic!("index out of bounds");
        assert_eq!(Stop::default().wait_for::<()>(panics), Err(NotDone::Harness));
    }
}
