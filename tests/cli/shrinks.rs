//! A violation made small, and kept: what is printed, what is written, what is refused.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use grantsim::{
    drive::{self, Subject},
    library::Library,
    plan::{file::PlanFile, token::Token},
    report,
};

use super::{
    ALL_HELD, BAD_INPUT, BROKEN, LIFE, NOT_DETERMINISTIC, Ran, changed_library, command, goes_by_addresses,
    grantsim, scratch, utf8,
};

/// A token that shows the mutant keep-grant.
fn token() -> String {
    Token::new("calm", 1).expect("a profile").to_string()
}

/// Runs a command in a folder of its own that has, or has not, a place for plans.
fn grantsim_in(folder: &str, has_plans: bool, args: &[&str]) -> Ran {
    let folder = scratch(folder);
    fs::create_dir_all(if has_plans { folder.join("fixtures/plans") } else { folder.clone() })
        .expect("a temporary folder");
    let output = command(args).current_dir(folder).output().expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("the command prints UTF-8");
    Ran { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
}

/// Begins a command, and sends it a signal as soon as a file is there.
fn signalled(args: &[&str], file: &Path, signal: &str) -> Ran {
    let _ = fs::remove_file(file);
    let child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child: Child = child.expect("the command runs");
    while !file.exists() && child.try_wait().expect("a process of ours").is_none() {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs");
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("the command prints UTF-8");
    Ran { code: status.code().expect("it ends by itself"), out: text(stdout), err: text(stderr) }
}

#[test]
fn a_token_is_shrunk_to_a_plan_file_that_replays_to_the_same_violation() {
    let out = scratch("shrunk-token.json");
    let args = ["shrink", &token(), "--mutant", "keep-grant", "--runs", "300", "--out", utf8(&out)];
    let ran = grantsim(&args);
    assert_eq!(ran.code, ALL_HELD, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("to the least that shows at-most-once/"), "{}", ran.err);
    for said in [
        "before     ",
        "after      1 execution, 1 worker, 1 scheduler, 0 faults",
        "runs       ",
        "minimal    ",
    ] {
        assert!(ran.out.contains(said), "{said} is not in\n{}", ran.out);
    }
    let file = PlanFile::read(&out).expect("a plan was written");
    assert_eq!((file.about.as_str(), file.plan.executions.len()), ("", 1));
    assert_eq!(file.library.expect("it is recorded").version, "34+keep-grant");
    let line =
        ran.out.lines().find_map(|line| line.trim().strip_prefix("replay:      cargo run --release -- "));
    let words: Vec<&str> = line.expect("a line to copy").split(' ').collect();
    let again = grantsim(&words);
    assert_eq!(again.code, BROKEN, "{}{}", again.out, again.err);
    let fingerprint = |text: &str| text.lines().find(|line| line.contains("fingerprint:")).map(str::to_owned);
    assert_eq!(fingerprint(&again.out), fingerprint(&ran.out));
}

#[test]
fn where_nothing_breaks_there_is_nothing_to_shrink() {
    grantsim(&["shrink", LIFE]).fails(BAD_INPUT, &["nothing breaks in fixtures/plans/life-happy-path.json"]);
    grantsim(&["shrink", "no-such.json"]).fails(BAD_INPUT, &["no-such.json"]);
    grantsim(&["shrink", LIFE, "--fingerprint", "fence/what"]).fails(BAD_INPUT, &["fence/what"]);
}

#[test]
fn a_known_violation_is_shrunk_when_it_is_named() {
    let plan = "fixtures/findings/renewal-of-a-marked-lease/plan.json";
    let name = "fence/ff_renew_lease/OK/marked-lease";
    grantsim(&["shrink", plan]).fails(BAD_INPUT, &["nothing new breaks", name, "--fingerprint"]);
    let out = scratch("shrunk-known.json");
    let args = ["shrink", plan, "--fingerprint", name, "--runs", "40", "--out", utf8(&out)];
    let ran = grantsim(&args).succeeds();
    assert!(ran.contains(&format!("fingerprint: {name}")), "{ran}");
    let other = "fence/ff_renew_lease/OK/stale-lease";
    grantsim(&["shrink", plan, "--fingerprint", other]).fails(BAD_INPUT, &["does not show", other, name]);
}

#[test]
fn a_budget_that_runs_out_is_said() {
    let out = scratch("shrunk-little.json");
    let ran = grantsim(&["shrink", &token(), "--mutant", "keep-grant", "--runs", "3", "--out", utf8(&out)])
        .succeeds();
    assert!(ran.contains("runs       3\n") && ran.contains("the budget ran out"), "{ran}");
    // It goes on where it was.
    let line = ran.lines().find_map(|line| line.strip_prefix("go on      cargo run --release -- "));
    let words: Vec<&str> = line.expect("a line to copy").split(' ').collect();
    let before = PlanFile::read(&out).expect("a plan was written").plan;
    let rest = grantsim(&words).succeeds();
    assert!(rest.contains("minimal    1-minimal") && !rest.contains("go on"), "{rest}");
    let after = PlanFile::read(&out).expect("a plan was written").plan;
    assert!(after.executions.len() == 1 && after.parts().len() < before.parts().len(), "{rest}");
}

#[test]
fn whoever_interrupts_a_shrink_finds_the_smallest_plan_so_far_and_how_to_go_on() {
    for signal in ["INT", "TERM"] {
        let out = scratch(&format!("shrunk-until-{signal}.json"));
        let token = Token::new("calm", 1).expect("a profile").to_string();
        let args = ["shrink", &token, "--mutant", "keep-grant", "--jobs", "1", "--out", utf8(&out)];
        let ran = signalled(&args, &out, signal);
        assert_eq!(ran.code, ALL_HELD, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("it was interrupted") && ran.out.contains("\ngo on      "), "{}", ran.out);
        let plan = PlanFile::read(&out).expect("a plan was written").plan;
        let mutant = grantsim::library::Mutant::named("keep-grant").expect("a mutant");
        let subject = Subject::new(Library::published().mutant(&mutant)).expect("it loads");
        let trace = drive::run(&plan, &subject).expect("it runs");
        let violations = crate::common::verdict(&trace).violations;
        assert!(violations.iter().any(|it| it.property.as_str() == "at-most-once"), "{violations:?}");
    }
}

#[test]
fn a_run_that_is_never_the_same_twice_is_not_shrunk() {
    let library = goes_by_addresses("shrinks-by-address.lua");
    let out = scratch("never.json");
    let args = ["shrink", LIFE, "--library", &library, "--mutant", "keep-grant", "--out", utf8(&out)];
    grantsim(&args)
        .fails(NOT_DETERMINISTIC, &["cannot be shrunk or kept", "two runs of the same plan differ"]);
    assert!(!out.exists());
}

#[test]
fn a_plan_on_which_a_function_never_returns_is_not_shrunk() {
    let call = "redis.register_function('ff_complete_execution', function(keys, args)";
    let library = changed_library("shrinks-hang.lua", call, &format!("{call} while true do end"));
    let out = scratch("never-returns.json");
    let args = ["shrink", LIFE, "--library", &library, "--mutant", "keep-grant", "--out", utf8(&out)];
    grantsim(&args).fails(BAD_INPUT, &["ff_complete_execution", "did not return"]);
    assert!(!out.exists());
}

#[test]
fn a_plan_that_cannot_be_written_is_told_before_the_work() {
    let args = ["shrink", &token(), "--mutant", "keep-grant", "--out", "no/such/folder.json"];
    grantsim(&args).fails(BAD_INPUT, &["no/such/folder.json"]);
}

#[test]
fn a_kept_plan_is_written_once_with_a_sentence_to_finish_and_the_test_that_runs_it() {
    let kept = scratch("keeps/fixtures/plans/kept-grant.json");
    let snapshot = scratch("keeps/tests/snapshots/kept-kept-grant.snap");
    for written in [&kept, &snapshot] {
        let _ = fs::remove_file(written);
    }
    let token = token();
    let args = ["keep", &token, "--as", "kept-grant", "--mutant", "keep-grant", "--runs", "60"];
    let out = grantsim_in("keeps", true, &args).succeeds();
    assert!(
        out.contains("kept as fixtures/plans/kept-grant.json") && out.contains("cargo test regressions::"),
        "{out}"
    );
    let file = PlanFile::read(&kept).expect("a plan was written");
    assert!(file.about.starts_with("TODO: ") && file.about.contains("at-most-once/"), "{}", file.about);
    assert_eq!(file.plan.executions.len(), 1);
    // What the test will compare: the life on the published library.
    let trace = crate::common::run(&file.plan, &crate::common::PUBLISHED);
    let text = fs::read_to_string(&snapshot).expect("a snapshot was written");
    let (header, life) =
        text.strip_prefix("---\n").and_then(|text| text.split_once("---\n")).expect("a header");
    assert!(header.contains("source: tests/regressions.rs"), "{header}");
    assert_eq!(life, report::snapshot(&trace));
    grantsim_in("keeps", true, &args).fails(BAD_INPUT, &["kept-grant.json is there already"]);
}

#[test]
fn what_is_kept_without_shrinking_is_the_whole_plan() {
    let kept = scratch("keeps-whole/fixtures/plans/whole.json");
    let _ = fs::remove_dir_all(scratch("keeps-whole"));
    let token = token();
    let args = ["keep", &token, "--as", "whole", "--mutant", "keep-grant", "--no-shrink"];
    grantsim_in("keeps-whole", true, &args).succeeds();
    assert_eq!(PlanFile::read(&kept).expect("a plan").plan, Token::new("calm", 1).expect("a profile").plan());
}

#[test]
fn a_plan_is_kept_in_the_repository_under_a_plain_name() {
    for name in ["", "../up", "Upper", "a b", "-x"] {
        grantsim(&["keep", LIFE, &format!("--as={name}")]).fails(BAD_INPUT, &["cannot name a plan"]);
    }
    grantsim_in("keeps-nowhere", false, &["keep", &token(), "--as", "x", "--mutant", "keep-grant"])
        .fails(BAD_INPUT, &["fixtures/plans", "repository's root", "--into"]);
    assert!(!Path::new("fixtures/plans/x.json").exists());
}

#[test]
fn the_names_of_lives_are_not_for_kept_plans() {
    for name in ["life-of-mine", "fault-of-mine"] {
        grantsim(&["keep", LIFE, "--as", name]).fails(BAD_INPUT, &["begins as the names of the lives do"]);
    }
}

#[test]
fn a_plan_for_the_tests_of_another_crate_is_written_alone() {
    let folder = scratch("keeps-into");
    let _ = fs::remove_dir_all(&folder);
    let args = ["keep", &token(), "--as", "mine", "--mutant", "keep-grant", "--no-shrink", "--into", "plans"];
    grantsim_in("keeps-into", false, &args).fails(BAD_INPUT, &["there is no folder plans", "make it first"]);
    fs::create_dir_all(folder.join("plans")).expect("a temporary folder");
    let out = grantsim_in("keeps-into", false, &args).succeeds();
    assert!(out.contains("kept as plans/mine.json") && out.contains("drive::run"), "{out}");
    assert!(PlanFile::read(&folder.join("plans/mine.json")).is_ok() && !folder.join("tests").exists());
    grantsim_in("keeps-into", false, &args).fails(BAD_INPUT, &["plans/mine.json is there already"]);
}

#[test]
fn a_known_violation_of_the_published_library_is_kept_as_a_plan() {
    let plan =
        fs::canonicalize("fixtures/findings/renewal-of-a-marked-lease/plan.json").expect("the plan is there");
    let _ = fs::remove_dir_all(scratch("keeps-known"));
    let name = "fence/ff_renew_lease/OK/marked-lease";
    let args = ["keep", utf8(&plan), "--as", "known", "--fingerprint", name, "--no-shrink"];
    let out = grantsim_in("keeps-known", true, &args).succeeds();
    assert!(out.contains("the known finding renewal-of-a-marked-lease"), "{out}");
}
