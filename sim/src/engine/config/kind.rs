//! What values settings take, and in what words a server refuses others.

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any.
    Text,
    /// From, to.
    Integer(i64, i64),
    /// At least so many bytes.
    Memory(u64),
    /// `yes` or `no`.
    YesNo,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Is set when the server starts, and not after: with what a server says of it.
    Fixed(&'static str),
    /// `hz`: any count, of which 1 to 500 is kept.
    Hz,
    /// `save`: pairs of seconds and changes.
    Save,
    /// `notify-keyspace-events`: letters.
    Events,
    /// `client-output-buffer-limit`: classes, each with its limits.
    OutputLimits,
}

use Kind::{Events, Fixed, Hz, Integer, Memory, OneOf, OutputLimits, Save, Text, YesNo};

/// The greatest C `int`.
pub const INT: i64 = i32::MAX as i64;
/// Nothing negative.
pub const COUNT: Kind = Integer(0, i64::MAX);
/// Cannot be changed.
pub const IMMUTABLE: Kind = Fixed("can't set immutable config");
/// Cannot be changed unless the configuration file allows it.
pub const PROTECTED: Kind = Fixed("can't set protected config");
/// `appendfsync`.
pub const FSYNC: Kind = OneOf(&["everysec", "always", "no"]);
/// `maxmemory-policy`.
pub const POLICY: Kind = OneOf(&[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
]);

impl Kind {
    /// The value as it is kept after `old`, or what is wrong with it.
    pub fn check(self, value: &str, old: &str) -> Result<String, String> {
        let between = |low, high| format!("argument must be between {low} and {high} inclusive");
        match self {
            Text => Ok(value.to_owned()),
            Hz => Integer(0, INT).check(value, old).map(|hz| {
                let hz: i64 = hz.parse().unwrap_or_default();
                hz.clamp(1, 500).to_string()
            }),
            Integer(low, high) => match value.parse::<i64>() {
                Ok(number) if (low..=high).contains(&number) => Ok(number.to_string()),
                Ok(_) => Err(between(low, high)),
                Err(_) => Err("argument couldn't be parsed into an integer".to_owned()),
            },
            Memory(least) => match memory(value) {
                Some(bytes) if bytes >= least => Ok(bytes.to_string()),
                Some(_) => Err(between(least as i64, i64::MAX)),
                None => Err("argument must be a memory value".to_owned()),
            },
            YesNo => {
                let known = ["yes", "no"].into_iter().find(|known| known.eq_ignore_ascii_case(value));
                known.map(Into::into).ok_or_else(|| "argument must be 'yes' or 'no'".to_owned())
            }
            OneOf(words) => {
                let known = words.iter().find(|known| known.eq_ignore_ascii_case(value));
                let expected = || format!("argument(s) must be one of the following: {}", words.join(", "));
                known.map(|word| (*word).to_owned()).ok_or_else(expected)
            }
            Save => save(value).ok_or_else(|| "Invalid save parameters".to_owned()),
            Events => events(value),
            OutputLimits => OutputLimit::merge(old, value),
            Fixed(why) => Err(why.to_owned()),
        }
    }
}

/// Reads nothing (0), `100`, `1k` (1000), `1kb` (1024) and so on.
fn memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if text.is_empty() {
        return Some(0);
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn save(value: &str) -> Option<String> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let (pairs, []) = words.as_chunks::<2>() else { return None };
    let fits = |[seconds, changes]: &[&str; 2]| {
        seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0) && changes.parse::<u32>().is_ok()
    };
    pairs.iter().all(fits).then(|| words.join(" "))
}

/// The letters of `notify-keyspace-events` in the order in which a server tells them.
fn events(value: &str) -> Result<String, String> {
    const ALL: &str = "g$lshzxetd";
    // What a server hides beside all comes last.
    const ORDER: &str = "g$lshzxetdnKEmn";
    if !value.chars().all(|letter| letter == 'A' || ORDER.contains(letter)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let all = value.contains('A') || ALL.chars().all(|letter| value.contains(letter));
    let order =
        if all { ORDER.trim_start_matches(|letter| letter != 'K') } else { ORDER.trim_end_matches('n') };
    let wanted = order.chars().filter(|letter| value.contains(*letter));
    Ok(if all { "A" } else { "" }.chars().chain(wanted).collect())
}

/// The events as a server tells them: it says of no new keys where all are wanted that must not be named.
pub fn told_events(kept: &str) -> &str {
    if kept.starts_with('A') { kept.trim_end_matches('n') } else { kept }
}

/// When a client that does not read is cut off: a class of `client-output-buffer-limit`. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// At once, beyond so many bytes.
    pub hard: u64,
    /// Beyond so many bytes …
    pub soft: u64,
    /// … for so many seconds.
    pub soft_seconds: u64,
}

impl OutputLimit {
    /// The names of the classes in the order in which they are told. Replicas are `slave`, whatever they were called.
    const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

    /// Reads a kept value: the limits of normal clients, of replicas and of listeners.
    pub fn read_all(kept: &str) -> [Self; 3] {
        let mut words = kept.split_ascii_whitespace();
        Self::CLASSES.map(|_| {
            words.next();
            let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            Self { hard: number(), soft: number(), soft_seconds: number() }
        })
    }

    /// The kept value after some classes were set anew.
    fn merge(old: &str, value: &str) -> Result<String, String> {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let (classes, []) = words.as_chunks::<4>() else {
            return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
        };
        let mut limits = Self::read_all(old);
        for [class, hard, soft, seconds] in classes {
            let class = if class.eq_ignore_ascii_case("replica") { "slave" } else { class };
            let at = Self::CLASSES.iter().position(|known| known.eq_ignore_ascii_case(class));
            let at = at.ok_or("Invalid client class specified in buffer limit configuration.")?;
            let parsed = (memory(hard), memory(soft), seconds.parse::<u32>());
            let (Some(hard), Some(soft), Ok(seconds)) = parsed else {
                let why = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
                return Err(why.to_owned());
            };
            limits[at] = Self { hard, soft, soft_seconds: seconds.into() };
        }
        let told = Self::CLASSES
            .iter()
            .zip(limits)
            .map(|(class, limit)| format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds));
        Ok(told.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_values_have_units() {
        assert_eq!(memory("1kb"), Some(1_024));
        assert_eq!(memory("2g"), Some(2_000_000_000));
        assert_eq!(memory("x"), None);
        assert_eq!(memory("99999999999gb"), None);
    }
}
