//! How the point in time at which a key ends is given: `EX 10`, `PXAT 1700000000000`, `EXPIRE key 10` …

use super::parse::{command_name, is};
use crate::engine::{Context, ErrorReply, UnixMillis, number};

/// A unit and a reference: seconds or milliseconds, from now or since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    in_seconds: bool,
    from_now: bool,
}

impl Form {
    /// Seconds from now.
    pub const EX: Form = Form { in_seconds: true, from_now: true };
    /// Milliseconds from now.
    pub const PX: Form = Form { in_seconds: false, from_now: true };
    /// Seconds since the epoch.
    pub const EXAT: Form = Form { in_seconds: true, from_now: false };
    /// Milliseconds since the epoch.
    pub const PXAT: Form = Form { in_seconds: false, from_now: false };

    /// The form that an option of SET or GETEX names.
    pub fn of_option(option: &[u8]) -> Option<Form> {
        [("EX", Form::EX), ("PX", Form::PX), ("EXAT", Form::EXAT), ("PXAT", Form::PXAT)]
            .into_iter()
            .find_map(|(name, form)| is(option, name).then_some(form))
    }

    /// Reads the time and makes it absolute; it may be past.
    pub fn deadline(self, cx: &Context<'_>, text: &[u8]) -> Result<UnixMillis, ErrorReply> {
        self.absolute(cx, number::parse_i64(text)?).ok_or_else(|| invalid(cx))
    }

    /// As [`deadline`](Self::deadline), for SET and its kin, which refuse what is not above zero.
    pub fn positive_deadline(self, cx: &Context<'_>, text: &[u8]) -> Result<UnixMillis, ErrorReply> {
        let given = Some(number::parse_i64(text)?).filter(|&given| given > 0);
        given.and_then(|given| self.absolute(cx, given)).ok_or_else(|| invalid(cx))
    }

    fn absolute(self, cx: &Context<'_>, given: i64) -> Option<UnixMillis> {
        let ms = if self.in_seconds { given.checked_mul(1_000)? } else { given };
        let base = if self.from_now { cx.now_ms().0 } else { 0 };
        base.checked_add(ms).map(UnixMillis)
    }
}

fn invalid(cx: &Context<'_>) -> ErrorReply {
    format!("ERR invalid expire time in '{}' command", command_name(cx)).into()
}
