//! A clock of a real process that a client may turn.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    engine::{
        ErrorReply, UnixMicros,
        turn::{Shown, Turn},
    },
    server::{Environment, LocalFuture},
};

/// What a manual clock shows first: the same in every run.
pub const MANUAL_START: UnixMicros = UnixMicros(1_700_000_000_000_000);
/// The longest that one timer sleeps before it looks at the clock again.
const LONGEST_NAP: Duration = Duration::from_secs(3_600);

/// The wall clock, or one that stands still, until `SIM CLOCK` turns it. Clones are the same clock.
#[derive(Clone)]
pub struct HostClock(Rc<Shared>);

struct Shared {
    state: Cell<State>,
    /// Those who sleep, to be woken when the clock is turned.
    sleepers: RefCell<BTreeMap<u64, Waker>>,
    last_sleeper: Cell<u64>,
}

#[derive(Clone, Copy)]
enum State {
    Frozen(UnixMicros),
    /// So many microseconds ahead of the wall clock.
    Running(i64),
}

impl HostClock {
    /// A clock that shows the wall's time.
    pub fn wall() -> Self {
        Self::new(State::Running(0))
    }

    /// A clock that stands still at [`MANUAL_START`].
    pub fn manual() -> Self {
        Self::new(State::Frozen(MANUAL_START))
    }

    fn new(state: State) -> Self {
        let shared =
            Shared { state: Cell::new(state), sleepers: RefCell::default(), last_sleeper: Cell::new(0) };
        Self(Rc::new(shared))
    }

    fn shown(&self) -> Shown {
        match self.0.state.get() {
            State::Frozen(now) => Shown { now, runs: false },
            State::Running(ahead) => {
                Shown { now: UnixMicros(wall_micros().saturating_add_signed(ahead)), runs: true }
            }
        }
    }
}

impl Environment for HostClock {
    fn now(&self) -> UnixMicros {
        self.shown().now
    }

    fn sleep_until(&self, at: UnixMicros) -> LocalFuture {
        let id = self.0.last_sleeper.get() + 1;
        self.0.last_sleeper.set(id);
        Box::pin(Nap { clock: self.clone(), at, id, timer: None })
    }

    fn turn(&self, turn: Turn) -> Result<Shown, ErrorReply> {
        let next = turn.apply(self.shown())?;
        if turn != Turn::Show {
            self.0.state.set(match next.runs {
                true => State::Running(next.now.0.wrapping_sub(wall_micros()) as i64),
                false => State::Frozen(next.now),
            });
            let sleepers = self.0.sleepers.take();
            sleepers.into_values().for_each(Waker::wake);
        }
        Ok(next)
    }
}

/// Ends when the clock shows `at` or later, however it comes to that.
struct Nap {
    clock: HostClock,
    at: UnixMicros,
    id: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let shown = self.clock.shown();
            if shown.now >= self.at {
                return Poll::Ready(());
            }
            self.clock.0.sleepers.borrow_mut().insert(self.id, cx.waker().clone());
            if !shown.runs {
                return Poll::Pending;
            }
            let left = Duration::from_micros(self.at.0 - shown.now.0).min(LONGEST_NAP);
            let until = Instant::now() + left;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            timer.as_mut().reset(until);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        self.clock.0.sleepers.borrow_mut().remove(&self.id);
    }
}

/// Microseconds since the Unix epoch by the machine's clock; 0 before it.
#[expect(clippy::disallowed_methods, reason = "a real process reads the real clock, and reads it here only")]
fn wall_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
