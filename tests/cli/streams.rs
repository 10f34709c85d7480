//! Where the output goes: no terminal, a pipe that nobody reads, a full disk.

use std::{
    fs::{File, OpenOptions},
    process::Stdio,
};

use super::{ALL_HELD, BAD_INPUT, BROKEN, LIFE, Ran, command, grantsim};

#[test]
fn nothing_is_coloured_where_no_terminal_is() {
    let runs: [&[&str]; 4] = [
        &["hunt", "--seeds", "2"],
        &["replay", LIFE, "--timeline", "-v"],
        &["hunt", "--profile", "storm"],
        &["hunt", "--no-such-flag"],
    ];
    for args in runs {
        let Ran { out, err, .. } = grantsim(args);
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "{args:?} prints escape codes:\n{out}{err}"
        );
    }
}

/// The write end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A disk without space, where there is such a thing.
fn full_disk() -> Option<File> {
    OpenOptions::new().write(true).open("/dev/full").ok()
}

#[test]
fn that_nobody_reads_the_output_changes_no_exit_code_and_makes_no_panic() {
    let of_grants = ["--mutant", "keep-grant", "--property", "at-most-once", "--no-shrink"];
    let breaks = [&["hunt", "--profile", "race", "--seeds", "2"] as &[&str], &of_grants].concat();
    for (args, code) in [
        (&["hunt", "--seeds", "2"] as &[&str], ALL_HELD),
        (&breaks, BROKEN),
        (&[&breaks as &[&str], &["--github"]].concat(), BROKEN),
        (&["completions", "bash"], ALL_HELD),
        (&["hunt", "--seeds", "1", "--profile", "storm"], BAD_INPUT),
        (&["replay", LIFE, "--timeline=full", "-vv"], ALL_HELD),
        (&["replay", LIFE, "--mutant", "keep-grant"], BROKEN),
        (&["properties"], ALL_HELD),
    ] {
        let quiet = command(args).stdout(closed_pipe()).output().expect("it runs");
        assert_eq!(quiet.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&quiet.stderr));
        assert!(!String::from_utf8_lossy(&quiet.stderr).contains("panicked"), "{args:?}");
        let mute = command(args).stderr(closed_pipe()).output().expect("it runs");
        assert_eq!(mute.status.code(), Some(code), "{args:?} without a reader of its errors");
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_what_could_not_be_written() {
    for args in [
        &["hunt", "--seeds", "1", "--profile", "calm", "--json", "/dev/full"] as &[&str],
        &["replay", LIFE, "--trace", "/dev/full"],
        &["replay", LIFE, "--plan", "/dev/full"],
    ] {
        if full_disk().is_some() {
            grantsim(args).fails(BAD_INPUT, &["/dev/full", "No space left"]);
        }
    }
    // What was found is told where it can be, and wins over what could not be written.
    let breaks = ["hunt", "--seeds", "1", "--profile", "calm", "--mutant", "keep-grant", "--no-shrink"];
    if full_disk().is_some() {
        let ran = grantsim(&[&breaks as &[&str], &["--json", "/dev/full"]].concat());
        ran.fails(BROKEN, &["/dev/full", "No space left"]);
        assert!(ran.out.contains("fingerprint: at-most-once/"), "{}", ran.out);
    }
    for args in [&["hunt", "--seeds", "1"] as &[&str], &["replay", LIFE, "--timeline"], &["profiles"]] {
        let Some(full) = full_disk() else { return };
        let ran = command(args).stdout(full).output().expect("it runs");
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(BAD_INPUT), "{args:?}: {err}");
        assert!(err.contains("cannot write to standard output") && !err.contains("panicked"), "{err}");
    }
}
