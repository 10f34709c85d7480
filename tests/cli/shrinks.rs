//! A violation made small, and kept: what is printed, what is written, what is refused.

use std::{fs, path::Path};

use grantsim::plan::{file::PlanFile, token::Token};

use crate::{ALL_HELD, BAD_INPUT, BROKEN, LIFE, Ran, command, grantsim, scratch, utf8};

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
}

#[test]
fn a_kept_plan_is_written_once_with_a_sentence_to_finish_and_the_test_that_runs_it() {
    let kept = scratch("keeps/fixtures/plans/kept-grant.json");
    let _ = fs::remove_file(&kept);
    let token = token();
    let args = ["keep", &token, "--as", "kept-grant", "--mutant", "keep-grant", "--runs", "60"];
    let out = grantsim_in("keeps", true, &args).succeeds();
    assert!(
        out.contains("kept as fixtures/plans/kept-grant.json") && out.contains("--test regressions"),
        "{out}"
    );
    let file = PlanFile::read(&kept).expect("a plan was written");
    assert!(file.about.starts_with("TODO: ") && file.about.contains("at-most-once/"), "{}", file.about);
    assert_eq!(file.plan.executions.len(), 1);
    grantsim_in("keeps", true, &args).fails(BAD_INPUT, &["kept-grant.json is there already"]);
}

#[test]
fn what_is_kept_without_shrinking_is_the_whole_plan() {
    let kept = scratch("keeps-whole/fixtures/plans/whole.json");
    let _ = fs::remove_file(&kept);
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
        .fails(BAD_INPUT, &["fixtures/plans", "repository's root"]);
    assert!(!Path::new("fixtures/plans/x.json").exists());
}

#[test]
fn a_violation_of_the_published_library_is_kept_as_a_finding() {
    let plan =
        fs::canonicalize("fixtures/findings/renewal-of-a-marked-lease/plan.json").expect("the plan is there");
    let kept = scratch("keeps-known/fixtures/plans/known.json");
    let _ = fs::remove_file(&kept);
    let name = "fence/ff_renew_lease/OK/marked-lease";
    let args = ["keep", utf8(&plan), "--as", "known", "--fingerprint", name, "--no-shrink"];
    let out = grantsim_in("keeps-known", true, &args).succeeds();
    assert!(out.contains("the known finding renewal-of-a-marked-lease"), "{out}");
}
