//! Values of flags: how they are read, and how they are written back.

use std::{fmt::Display, num::NonZero, thread, time::Duration};

/// A word of a command line as a shell takes it.
pub(super) fn quoted(word: &impl Display) -> String {
    let word = word.to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./+@=:".contains(c);
    if word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// As many runs at a time as were asked for, or as there are cores.
pub(super) fn jobs(asked: Option<NonZero<usize>>) -> NonZero<usize> {
    asked.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
}

/// A name that makes a file's name on every system, and a finding's.
pub(super) fn plan_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let holds = (1..=60).contains(&text.len()) && text.chars().all(is_plain) && !text.starts_with('-');
    if holds {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} cannot name a plan: a name is 1 to 60 lower-case letters, digits and dashes"))
    }
}

pub(super) fn hex(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| format!("{text:?} is no hexadecimal number"))
}

pub(super) fn shard(text: &str) -> Result<(u64, u64), String> {
    let parsed =
        text.split_once('/').and_then(|(k, n)| Some((k.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
    parsed
        .filter(|(k, n)| (1..=*n).contains(k))
        .ok_or_else(|| format!("{text:?} is no share: say 1/4 to 4/4"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: say 90s, 10m or 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}
