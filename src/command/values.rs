//! Values of flags: how they are read, and how they are written back.

use std::{ffi::OsStr, num::NonZero, path::Path, thread, time::Duration};

use clap::{
    Arg, Command,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use grantsim::plan::profile;
pub(super) use grantsim::report::quoted;

/// How this program is called, in a line to copy: as it was, or through cargo where cargo built it in a checkout.
pub(super) fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    named(&called, std::env::var_os("CARGO_PKG_NAME").as_deref())
}

/// `package` is what cargo says that it runs, if it does.
fn named(called: &OsStr, package: Option<&OsStr>) -> String {
    let is_built_here = Path::new(called).iter().any(|folder| folder == "target");
    if is_built_here || package.is_some_and(|package| package == env!("CARGO_PKG_NAME")) {
        return "cargo run --release --".to_owned();
    }
    let called = if called.is_empty() { OsStr::new(env!("CARGO_BIN_NAME")) } else { called };
    quoted(&Path::new(called).display())
}

/// A value that has a name: the help lists the names, and an error says more than that it is none of them.
#[derive(Clone)]
pub(super) struct Named<T> {
    values: Vec<PossibleValue>,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Named<T> {
    /// Names with what each is about, and who reads one.
    pub(super) fn new(
        values: impl IntoIterator<Item = (String, String)>,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        let value = |(name, about): (String, String)| PossibleValue::new(name).help(about);
        Self { values: values.into_iter().map(value).collect(), parse }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Named<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let parse = self.parse;
        StringValueParser::new().try_map(move |text| parse(&text)).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values.iter().cloned()))
    }
}

/// As many runs at a time as were asked for, or as there are cores.
pub(super) fn jobs(asked: Option<NonZero<usize>>) -> NonZero<usize> {
    asked.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
}

/// A name that makes a file's name on every system, and a finding's. What begins as the curated lives do is theirs.
pub(super) fn plan_name(text: &str) -> Result<String, String> {
    if text.starts_with("life-") || text.starts_with("fault-") {
        return Err(format!(
            "{text:?} begins as the names of the lives do that tests/traces.rs and tests/faults.rs tell"
        ));
    }
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

/// A time as people write it: 90s, 10m, 1h 30m.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| format!("{text:?} is no time ({why}): say 90s, 10m or 2h"))
}

/// A time as people read it, to the second.
pub(super) fn told(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

/// The profiles, by their names.
pub(super) fn profiles() -> Named<String> {
    let values = profile::PROFILES.iter().map(|profile| (profile.name.to_owned(), profile.about.to_owned()));
    Named::new(values, |name| {
        profile::find(name).map(|found| found.name.to_owned()).map_err(|why| why.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cargo_built_here_is_called_through_cargo_and_another_as_it_was_called() {
        let named = |called: &str, package: Option<&str>| named(OsStr::new(called), package.map(OsStr::new));
        for called in ["target/release/grantsim", "/home/me/grantsim/target/debug/grantsim"] {
            assert_eq!(named(called, None), "cargo run --release --");
        }
        assert_eq!(named("/elsewhere/debug/grantsim", Some("grantsim")), "cargo run --release --");
        // Installed, and run by another crate's tests.
        assert_eq!(named("/usr/bin/grantsim", Some("ours")), "/usr/bin/grantsim");
        assert_eq!(named("grantsim", None), "grantsim");
        assert_eq!(named("", None), "grantsim");
        assert_eq!(shlex::split(&named("/my tools/grantsim", None)).unwrap(), ["/my tools/grantsim"]);
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for text in ["", "90", "soon", "-3s", "3 parsecs", "99999999999999999999h"] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(&format!("{text:?}")) && error.contains("10m"), "{error}");
        }
        assert_eq!(told(Duration::from_millis(3_723_900)), "1h 2m 3s");
        assert_eq!(told(Duration::ZERO), "0s");
    }
}
