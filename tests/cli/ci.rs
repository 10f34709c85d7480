//! What CI servers and shells read: JUnit XML, annotations, summaries, completions; and the program's own name.

use std::fs;

use grantsim::{library::Mutant, plan::profile, property::catalogue};

use super::{BAD_INPUT, BROKEN, LIFE, command, grantsim, scratch, utf8};

const BREAKS: [&str; 8] =
    ["hunt", "--mutant", "keep-grant", "--profile", "calm", "--seeds", "1", "--no-shrink"];

#[test]
fn junit_names_each_property_and_carries_the_failure() {
    let path = scratch("junit.xml");
    let ran = grantsim(&[&BREAKS as &[&str], &["--junit", utf8(&path)]].concat());
    assert_eq!(ran.code, BROKEN, "{}", ran.err);
    let xml = fs::read_to_string(&path).expect("it was written");
    for entry in catalogue::promises() {
        assert_eq!(xml.matches(&format!("<testcase name=\"{}\"", entry.name)).count(), 1, "{xml}");
    }
    for part in [
        "<testsuite name=\"grantsim hunt\"",
        "type=\"at-most-once/",
        "before the call → after it:",
        "replay g1-calm-0-",
    ] {
        assert!(xml.contains(part), "{part} is not in {xml}");
    }
    grantsim(&["hunt", "--profile", "calm", "--seeds", "1", "--junit", utf8(&path)]).succeeds();
    let xml = fs::read_to_string(&path).expect("it was written");
    assert!(xml.contains("failures=\"0\" errors=\"0\"") && !xml.contains("<failure"), "{xml}");
    grantsim(&["hunt", "--junit", "no/such/folder.xml"])
        .fails(BAD_INPUT, &["cannot write no/such/folder.xml"]);
}

#[test]
fn github_is_told_in_annotations_of_a_line_and_the_summary_is_added_to() {
    let ran = grantsim(&[&BREAKS as &[&str], &["--github"]].concat());
    assert_eq!(ran.code, BROKEN, "{}", ran.err);
    let notes: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(notes.len(), ran.out.matches("\n  fingerprint: ").count(), "{}", ran.out);
    assert!(notes[0].starts_with("::error title=at-most-once/ff_claim_execution/OK/"), "{}", notes[0]);
    assert!(notes[0].contains("%0A  fingerprint: at-most-once/"), "{}", notes[0]);
    let path = scratch("summary.md");
    fs::write(&path, "# Before\n").expect("a temporary file");
    let flag = format!("--github={}", utf8(&path));
    assert_eq!(grantsim(&[&BREAKS as &[&str], &[&flag]].concat()).code, BROKEN);
    let markdown = fs::read_to_string(&path).expect("it is there");
    assert!(markdown.starts_with("# Before\n### grantsim hunt\n"), "{markdown}");
    assert!(markdown.contains("<details><summary><code>at-most-once/"), "{markdown}");
    let held = grantsim(&["hunt", "--profile", "calm", "--seeds", "1", "--github"]).succeeds();
    assert!(!held.contains("::"), "{held}");
}

#[test]
fn every_shell_can_complete_the_commands_and_their_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = grantsim(&["completions", shell]).succeeds();
        // Elvish and PowerShell are told the flags, and not what they take.
        let names = ["keep-grant", "at-most-once", "swarm"];
        let names = names.iter().filter(|_| ["bash", "fish", "zsh"].contains(&shell));
        for word in ["grantsim", "hunt", "shrink-for"].iter().chain(names) {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    grantsim(&["completions", "cobol"]).fails(BAD_INPUT, &["cobol", "bash"]);
}

#[test]
fn the_help_lists_the_names_that_a_flag_takes() {
    let help = grantsim(&["hunt", "--help"]).succeeds();
    for mutant in Mutant::all() {
        assert!(help.contains(&format!("- {}: ", mutant.name)), "{}", mutant.name);
    }
    for profile in profile::PROFILES {
        assert!(help.contains(&format!("- {}:", profile.name)), "{}", profile.name);
    }
    for entry in catalogue::promises() {
        assert!(help.contains(&format!("- {}:", entry.name)), "{}", entry.name);
    }
}

#[cfg(unix)]
#[test]
fn a_line_to_copy_names_the_program_as_it_was_called() {
    // Not below target/, where cargo builds what it runs.
    let folder = std::env::temp_dir().join(format!("grantsim called {}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let program = folder.join("our-grantsim");
    let _ = fs::remove_file(&program);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_grantsim"), &program).expect("a link");
    let mut installed = std::process::Command::new(&program);
    let ran =
        installed.args(["replay", LIFE, "--mutant", "keep-grant"]).env("CARGO_PKG_NAME", "ours").output();
    let ran = ran.expect("it runs");
    fs::remove_dir_all(&folder).expect("it is there");
    let out = String::from_utf8_lossy(&ran.stdout);
    let line = out.lines().find_map(|line| line.trim().strip_prefix("replay:")).expect("a line to copy");
    let words = shlex::split(line).expect("a shell can read it");
    assert_eq!(words, [utf8(&program), "replay", LIFE, "--mutant", "keep-grant", "--timeline"], "{line}");
    // Under cargo it is cargo that runs it.
    let ran = command(&["replay", LIFE, "--mutant", "keep-grant"]).output().expect("it runs");
    assert_eq!(ran.status.code(), Some(BROKEN));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("cargo run --release -- replay"));
}
