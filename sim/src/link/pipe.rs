//! One direction of a connection: bytes under way, in order, and how it ends.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::SimClock;
use super::path::Path;
use super::sleeper::Sleeper;
use crate::clock::SimTime;

/// What a pipe takes before the reader has read some of it: what two kernels buffer.
const WINDOW: usize = 1 << 20;

/// How much longer than usual something stays in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// It does not land before this instant.
    Until(SimTime),
    /// It lands this much later than it would have.
    By(Duration),
}

impl Delay {
    /// When something lands that would have landed then.
    pub fn apply(self, landing: SimTime) -> SimTime {
        match self {
            Self::Until(at) => landing.max(at),
            Self::By(delay) => landing.after(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)),
        }
    }
}

/// What a segment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// So many of the pipe's bytes; none is a handshake.
    Bytes(usize),
    /// Nothing follows.
    Fin,
    /// The connection is broken.
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    load: Load,
    due: SimTime,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes that can be taken; 0 for a handshake.
    Bytes(usize),
    /// The writer has finished.
    End,
    /// The connection is broken.
    Reset,
}

/// One direction of a connection.
///
/// The segments' due times never fall, and `bytes` is what they carry, so that order is kept by construction.
#[derive(Debug)]
pub(super) struct Pipe {
    path: Rc<Path>,
    bytes: VecDeque<u8>,
    segments: VecDeque<Segment>,
    /// The reading end is gone: whatever arrives is thrown away.
    deaf: bool,
    /// What becomes of the next write.
    delay: Option<Delay>,
    reader: Sleeper,
    writer: Sleeper,
}

impl Pipe {
    pub fn new(path: Rc<Path>) -> Self {
        Self {
            path,
            bytes: VecDeque::new(),
            segments: VecDeque::new(),
            deaf: false,
            delay: None,
            reader: Sleeper::default(),
            writer: Sleeper::default(),
        }
    }

    pub fn path(&self) -> &Rc<Path> {
        &self.path
    }

    pub fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Whether nothing more can be written.
    pub fn is_finished(&self) -> bool {
        self.segments.back().is_some_and(|last| matches!(last.load, Load::Fin | Load::Reset))
    }

    pub fn is_reset(&self) -> bool {
        self.segments.back().is_some_and(|last| last.load == Load::Reset)
    }

    /// Whether the reader has been told that the connection is broken.
    pub fn reset_has_landed(&self, clock: &SimClock) -> bool {
        let last = self.segments.back();
        last.is_some_and(|last| last.load == Load::Reset && self.path.has_landed(last.due, clock.now()))
    }

    /// Sends bytes, as many as there is room for. If there is room for none, the writer is woken when there is.
    pub fn write(&mut self, clock: &SimClock, bytes: &[u8], waker: &Waker) -> Option<usize> {
        if self.deaf || bytes.is_empty() {
            return Some(bytes.len());
        }
        let taken = bytes.len().min(WINDOW - self.bytes.len());
        if taken == 0 {
            self.writer.park(waker);
            return None;
        }
        self.bytes.extend(&bytes[..taken]);
        self.send(clock, Load::Bytes(taken));
        Some(taken)
    }

    /// Sends a handshake: something that lands without being read.
    pub fn greet(&mut self, clock: &SimClock) {
        self.send(clock, Load::Bytes(0));
    }

    /// Nothing more will be written; what was, arrives.
    pub fn finish(&mut self, clock: &SimClock) {
        if !self.deaf && !self.is_finished() {
            self.send(clock, Load::Fin);
        }
    }

    /// The writing process died: a prefix of what was under way arrives, then a reset.
    ///
    /// What a partition holds is lost with the process: there is nobody left to send it again.
    pub fn abort(&mut self, clock: &SimClock) {
        if self.deaf || self.is_reset() {
            return;
        }
        let now = clock.now();
        let in_flight =
            self.segments.range(self.landed(now)..).map(|segment| segment.load.len()).sum::<usize>();
        let kept = if self.path.is_held() { 0 } else { self.path.below(in_flight as u64 + 1) as usize };
        self.truncate(now, kept);
        self.delay = None;
        self.send(clock, Load::Reset);
    }

    /// The connection breaks here and now, whatever is between the two ends.
    pub fn cut(&mut self, clock: &SimClock) {
        if self.deaf || self.is_reset() {
            return;
        }
        self.truncate(clock.now(), 0);
        self.segments.push_back(Segment { load: Load::Reset, due: self.last_due() });
        self.reader.wake();
        self.writer.wake();
    }

    /// The reading end is gone.
    pub fn silence(&mut self) {
        self.deaf = true;
        self.bytes = VecDeque::new();
        self.segments.clear();
        self.reader.leave();
        self.writer.wake();
    }

    /// The writing end is gone: nobody waits for room any more.
    pub fn abandon(&mut self) {
        self.writer.leave();
    }

    /// The partition that began at `since` is over: what it held lands with the sender's next try.
    pub fn release(&mut self, clock: &SimClock, since: SimTime) {
        let first_held = self.segments.partition_point(|segment| segment.due < since);
        if first_held == self.segments.len() {
            return;
        }
        let landing = self.path.landing_after_heal(clock.now());
        for segment in self.segments.range_mut(first_held..) {
            segment.due = segment.due.max(landing);
        }
        self.alert(clock);
    }

    /// The bytes written next stay in the network.
    pub fn delay_next(&mut self, delay: Delay) {
        self.delay = Some(delay);
    }

    /// What there is to read, `limit` bytes at most. If nothing, the reader is woken when it is worth asking again.
    pub fn look(&mut self, clock: &SimClock, limit: usize, waker: &Waker) -> Poll<Found> {
        let now = clock.now();
        let front = self.segments.front().filter(|front| self.path.has_landed(front.due, now));
        match front.map(|front| front.load) {
            _ if self.deaf => Poll::Ready(Found::Reset),
            Some(Load::Fin) => Poll::Ready(Found::End),
            Some(Load::Reset) => Poll::Ready(Found::Reset),
            Some(Load::Bytes(_)) => {
                self.reader.leave();
                Poll::Ready(Found::Bytes(self.landed_bytes(now, limit)))
            }
            None => {
                self.reader.park(waker);
                self.alert(clock);
                Poll::Pending
            }
        }
    }

    /// Takes `count` bytes that were [found](Self::look), handing them over in at most two pieces.
    pub fn take(&mut self, count: usize, mut give: impl FnMut(&[u8])) {
        let (head, tail) = self.bytes.as_slices();
        let from_head = count.min(head.len());
        give(&head[..from_head]);
        give(&tail[..count - from_head]);
        self.bytes.drain(..count);
        self.forget(count);
        self.writer.wake();
    }

    /// Takes one handshake.
    pub fn take_greeting(&mut self) {
        self.segments.pop_front_if(|front| front.load == Load::Bytes(0));
    }

    /// Drops the segments that have been read, and shortens the one that was read in part.
    fn forget(&mut self, mut count: usize) {
        while let Some(Segment { load: Load::Bytes(len), .. }) = self.segments.front_mut() {
            if *len > count {
                *len -= count;
                return;
            }
            count -= *len;
            self.segments.pop_front();
        }
    }

    fn send(&mut self, clock: &SimClock, load: Load) {
        let landing = self.path.landing(clock.now());
        let delayed = self.delay.take().map_or(landing, |delay| delay.apply(landing));
        let due = delayed.max(self.last_due());
        self.segments.push_back(Segment { load, due });
        self.alert(clock);
        let Path { from, to, .. } = *self.path;
        tracing::trace!(sim_us = clock.now().0, %from, %to, ?load, due = due.0, "sent");
    }

    /// Nothing that is sent later lands before this.
    fn last_due(&self) -> SimTime {
        self.segments.back().map_or(SimTime::START, |last| last.due)
    }

    /// Has the reader woken when the next segment lands.
    fn alert(&mut self, clock: &SimClock) {
        if let Some(front) = self.segments.front()
            && !self.path.is_held()
        {
            self.reader.wake_at(clock, front.due);
        }
    }

    /// How many segments have landed.
    fn landed(&self, now: SimTime) -> usize {
        self.segments.partition_point(|segment| self.path.has_landed(segment.due, now))
    }

    fn landed_bytes(&self, now: SimTime, limit: usize) -> usize {
        let mut bytes = 0;
        for segment in &self.segments {
            if bytes >= limit || !self.path.has_landed(segment.due, now) {
                break;
            }
            bytes += segment.load.len();
        }
        bytes.min(limit)
    }

    /// Forgets what is under way but for its first `kept` bytes.
    fn truncate(&mut self, now: SimTime, mut kept: usize) {
        let landed = self.landed(now);
        for segment in self.segments.range_mut(landed..) {
            let len = segment.load.len().min(kept);
            segment.load = Load::Bytes(len);
            kept -= len;
        }
        self.segments.retain(|segment| segment.load != Load::Bytes(0));
        self.bytes.truncate(self.segments.iter().map(|segment| segment.load.len()).sum());
    }
}

impl Load {
    fn len(self) -> usize {
        match self {
            Self::Bytes(len) => len,
            Self::Fin | Self::Reset => 0,
        }
    }
}
