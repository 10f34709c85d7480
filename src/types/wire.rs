//! Values as arguments and as fields of a reply: all of FlowFabric's are text.
//!
//! [`Arg`] writes one, [`Field`] reads one, and `args!` is an argument list.

use ff_core::types::*;

use super::Millis;

/// A value that a function takes as an argument.
pub trait Arg {
    /// The bytes on the wire.
    fn to_arg(&self) -> Vec<u8>;
}

/// A value that a function answers.
pub trait Field: Sized {
    /// What a message calls the kind of value: `a LeaseId`.
    fn kind() -> &'static str;
    /// Reads the value; `None` when the text is not one.
    fn from_field(text: &str) -> Option<Self>;
}

impl<T: Arg + ?Sized> Arg for &T {
    fn to_arg(&self) -> Vec<u8> {
        (**self).to_arg()
    }
}

/// What is absent is sent as the empty string.
impl<T: Arg> Arg for Option<T> {
    fn to_arg(&self) -> Vec<u8> {
        self.as_ref().map(Arg::to_arg).unwrap_or_default()
    }
}

impl Arg for Vec<u8> {
    fn to_arg(&self) -> Vec<u8> {
        self.clone()
    }
}

/// Values whose wire form is how they are displayed.
macro_rules! arg_as_displayed {
    ($($type:ty),* $(,)?) => { $(
        impl Arg for $type {
            fn to_arg(&self) -> Vec<u8> {
                self.to_string().into_bytes()
            }
        }
    )* };
}

arg_as_displayed!(str, String, i32, u32, i64, u64, usize, Millis, TimestampMs, LeaseEpoch, AttemptIndex);
arg_as_displayed!(ExecutionId, LaneId, Namespace, WorkerId, WorkerInstanceId, CancelSource, WaitpointKey);
arg_as_displayed!(LeaseId, AttemptId, FlowId, EdgeId, BudgetId, QuotaPolicyId, SuspensionId, WaitpointId);
arg_as_displayed!(SignalId);

/// Values that are read by a function of the text.
macro_rules! field_read_by {
    ($($type:ty: $read:expr),* $(,)?) => { $(
        impl Field for $type {
            fn kind() -> &'static str {
                stringify!($type)
            }

            fn from_field(text: &str) -> Option<Self> {
                let read: fn(&str) -> Option<Self> = $read;
                read(text)
            }
        }
    )* };
}

field_read_by! {
    String: |text| Some(text.to_owned()),
    u32: |text| text.parse().ok(),
    u64: |text| text.parse().ok(),
    i64: |text| text.parse().ok(),
    Millis: |text| text.parse().ok().map(Millis),
    TimestampMs: |text| text.parse().ok().map(TimestampMs),
    LeaseEpoch: |text| text.parse().ok().map(LeaseEpoch),
    AttemptIndex: |text| text.parse().ok().map(AttemptIndex),
    ExecutionId: |text| ExecutionId::parse(text).ok(),
    LaneId: |text| LaneId::try_new(text).ok(),
    WaitpointKey: |text| Some(WaitpointKey::new(text)),
    LeaseId: |text| LeaseId::parse(text).ok(),
    AttemptId: |text| AttemptId::parse(text).ok(),
    FlowId: |text| FlowId::parse(text).ok(),
    EdgeId: |text| EdgeId::parse(text).ok(),
    BudgetId: |text| BudgetId::parse(text).ok(),
    QuotaPolicyId: |text| QuotaPolicyId::parse(text).ok(),
    SuspensionId: |text| SuspensionId::parse(text).ok(),
    WaitpointId: |text| WaitpointId::parse(text).ok(),
    SignalId: |text| SignalId::parse(text).ok(),
}

/// A list of arguments, each by its [`Arg`].
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$($crate::types::wire::Arg::to_arg(&$arg)),*] };
}
pub(crate) use args;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_the_empty_string() {
        assert_eq!(
            args![None::<LeaseId>, Some(LeaseEpoch(3)), "x"],
            vec![b"".to_vec(), b"3".to_vec(), b"x".to_vec()]
        );
    }

    #[test]
    fn what_was_written_is_read_back() {
        let lane = LaneId::new("gpu");
        let text = String::from_utf8(lane.to_arg()).unwrap();
        assert_eq!(LaneId::from_field(&text), Some(lane));
        assert_eq!(LeaseEpoch::from_field("three"), None);
    }
}
