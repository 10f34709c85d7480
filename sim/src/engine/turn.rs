//! Turning the clock: what `SIM CLOCK` asks of the host, and what the host answers.
//!
//! The engine has no clock to turn. The command leaves its request with the session, and whoever executed it
//! (a server of connections, for one) passes it on to the clock that it reads.

use super::{ErrorReply, Reply, UnixMicros, UnixMillis};

/// What `SIM CLOCK` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Only what the clock shows.
    Show,
    /// It stands still from now on.
    Freeze,
    /// It runs from what it shows now.
    Run,
    /// It shows this, whether that is later or earlier, and runs or stands as before.
    Set(UnixMillis),
    /// It jumps ahead by so many milliseconds, and runs or stands as before.
    Advance(u64),
}

/// What a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The time.
    pub now: UnixMicros,
    /// Whether it runs by itself.
    pub runs: bool,
}

/// The last millisecond that a clock can show: there, microseconds still fit an `i64`.
pub const LAST_MS: i64 = i64::MAX / 1_000;

/// The clock is not the client's to turn.
pub const NOT_ADJUSTABLE: ErrorReply = ErrorReply::new(
    "ERR this server's clock cannot be turned: it belongs to the host or to the simulated node that the server runs on",
);
/// A turn that would lead past [`LAST_MS`].
pub const BEYOND_TIME: ErrorReply =
    ErrorReply::new("ERR invalid time, must be between 0 and 9223372036854775 milliseconds");

impl Turn {
    /// Does as asked to a clock that shows `shown`: says what it shows next.
    ///
    /// # Errors
    /// When there is no such time.
    pub fn apply(self, shown: Shown) -> Result<Shown, ErrorReply> {
        let now = match self {
            Turn::Show => return Ok(shown),
            Turn::Freeze => return Ok(Shown { runs: false, ..shown }),
            Turn::Run => return Ok(Shown { runs: true, ..shown }),
            Turn::Set(at) => u64::try_from(at.0).ok().and_then(|ms| ms.checked_mul(1_000)),
            Turn::Advance(ms) => ms.checked_mul(1_000).and_then(|micros| shown.now.0.checked_add(micros)),
        };
        let now = now.map(UnixMicros).filter(|now| now.millis().0 <= LAST_MS).ok_or(BEYOND_TIME)?;
        Ok(Shown { now, ..shown })
    }
}

impl From<Shown> for Reply {
    /// `now` in milliseconds and `state`, `running` or `frozen`.
    fn from(shown: Shown) -> Self {
        let state = if shown.runs { "running" } else { "frozen" };
        Reply::Map(vec![
            (Reply::bulk("now"), Reply::Int(shown.now.millis().0)),
            (Reply::bulk("state"), Reply::bulk(state)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_never_turned_past_the_end_of_time() {
        let shown = Shown { now: UnixMicros::from_millis(5), runs: false };
        let last = Turn::Set(UnixMillis(LAST_MS)).apply(shown).unwrap();
        assert_eq!(last.now.millis(), UnixMillis(LAST_MS));
        for turn in [
            Turn::Advance(1),
            Turn::Advance(u64::MAX),
            Turn::Set(UnixMillis(-1)),
            Turn::Set(UnixMillis(LAST_MS + 1)),
            Turn::Set(UnixMillis(i64::MAX)),
        ] {
            assert_eq!(turn.apply(last), Err(BEYOND_TIME), "{turn:?}");
        }
    }
}
