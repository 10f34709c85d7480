//! `grantsim::check` and `grantsim::plans` fail as a test should: with the failure block of the shrunk plan, and with a line
//! to copy that works.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use grantsim::{
    check::CheckError,
    hunt::Exit,
    library::{Library, Mutant},
    plan::{file::PlanFile, token::Token},
    report::Detail,
};

fn mutant(name: &str) -> Library {
    Library::published().mutant(&Mutant::named(name).expect("a mutant"))
}

/// minimal.lua without the line that takes a grant.
fn forgetful() -> Library {
    let text = fs::read_to_string("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    let edited = text.replace("  redis.call('DEL', keys[2])\n\n", "\n\n");
    assert_ne!(edited, text, "minimal.lua has changed");
    Library::from_source("forgetful", &edited).expect("a library")
}

/// An empty folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn only_file(folder: &Path, extension: &str) -> PathBuf {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|it| it == extension)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// What the panic of a failed assertion says.
fn panics(assert: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(assert)).expect_err("it fails");
    payload.downcast_ref::<String>().expect("a text").clone()
}

fn forgets_the_grant(folder: &Path) -> CheckError {
    let check = grantsim::check("calm", forgetful()).seeds(2).failures(folder);
    check.run().expect_err("a grant is left behind")
}

#[test]
fn a_violation_fails_with_its_block_the_shrunk_plan_and_a_line_that_shows_it_again() {
    let folder = folder("violation");
    let error = forgets_the_grant(&folder);
    let told = error.to_string();
    assert_eq!((error.exit(), format!("{error:?}")), (Exit::Broken, told.clone()));
    let plan = only_file(&folder, "json");
    let library = only_file(&folder, "lua");
    assert_eq!(PlanFile::read(&plan).expect("a plan").plan.executions.len(), 1, "it is shrunk");
    assert_eq!(fs::read_to_string(&library).expect("the library"), forgetful().source());
    let line =
        told.lines().find_map(|line| line.trim().strip_prefix("replay:")).expect("a line to copy").trim();
    for said in [&*plan.to_string_lossy(), &*library.to_string_lossy(), "--timeline"] {
        assert!(line.contains(said), "{said} is not in {line}");
    }
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[0], "grantsim");
    let output = Command::new(env!("CARGO_BIN_EXE_grantsim")).args(&words[1..]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("grant-left-behind"));
    // The same again leaves nothing else behind.
    assert_eq!(forgets_the_grant(&folder).to_string().lines().next(), told.lines().next());
    only_file(&folder, "json");
}

#[test]
fn asserting_panics_with_the_same_text_and_what_holds_does_not() {
    let folder = folder("assert");
    let check = |library| grantsim::check("crash", library).seeds(2).failures(&folder);
    check(Library::published()).assert();
    let told = panics(|| check(mutant("keep-grant")).assert());
    assert!(told.starts_with("at-most-once: "), "{told}");
    assert!(told.contains("grant-left-behind") && told.contains("2 run, 0 passed"), "{told}");
}

#[test]
fn a_library_from_a_file_is_named_in_the_line_as_it_is() {
    let folder = folder("file");
    let path = folder.join("it is mine.lua");
    fs::write(&path, forgetful().source()).expect("a file");
    let library = Library::from_file(&path).expect("a library");
    let told = grantsim::check("crash", library)
        .seeds(1)
        .failures(folder.join("out"))
        .run()
        .unwrap_err()
        .to_string();
    assert!(told.contains(&format!("--library '{}'", path.display())), "{told}");
    assert!(!folder.join("out").join("flowfabric").exists());
}

#[test]
fn without_shrinking_the_token_is_in_the_line() {
    let check = grantsim::check("crash", mutant("keep-grant")).seeds(1).shrink_for(Duration::ZERO);
    let told = check.failures(folder("token")).run().unwrap_err().to_string();
    assert!(
        told.contains(&format!("grantsim replay {} --library ", Token::new("crash", 0).unwrap())),
        "{told}"
    );
}

#[test]
fn a_hunt_that_shows_nothing_is_no_success() {
    let silent = Library::from_source(
        "silent",
        "#!lua name=silent\nlocal function no() return { 0, 'rate_limit_exceeded' } end\n\
         redis.register_function('ff_create_execution', no)\n\
         redis.register_function('ff_issue_claim_grant', no)\n\
         redis.register_function('ff_acquire_lease', no)\n",
    );
    let error = grantsim::check("calm", silent.expect("a library")).seeds(1).run().unwrap_err();
    assert_eq!(error.exit(), Exit::NotReached);
    assert!(error.to_string().contains("not one grant was seen"), "{error}");
}

#[test]
fn what_cannot_be_used_is_told() {
    let published = || grantsim::check("calm", Library::published());
    let told = |error: CheckError| {
        assert_eq!(error.exit(), Exit::BadInput);
        assert!(error.report().is_none());
        error.to_string()
    };
    assert!(
        told(grantsim::check("clam", Library::published()).run().unwrap_err())
            .contains("no profile is called \"clam\"")
    );
    assert!(told(published().property("fense").run().unwrap_err()).contains("fence"));
    assert!(told(published().property("late-claim").run().unwrap_err()).contains("not a property"));
    assert!(told(published().seeds(0).run().unwrap_err()).contains("seeds(N)"));
    let broken = Library::from_source("it", "#!lua name=it\nlocal local\n").expect("its first line");
    assert!(told(grantsim::check("calm", broken).run().unwrap_err()).contains(":2:"));
}

#[test]
fn known_findings_fail_only_where_that_is_asked_for_and_a_baseline_excuses_what_it_breaks() {
    let folder = folder("known");
    fs::copy("fixtures/findings/renewal-of-a-marked-lease/plan.json", folder.join("known.json"))
        .expect("a plan");
    let plans = || grantsim::plans(&folder, Library::published());
    plans().assert();
    let told = panics(|| plans().strict().assert());
    assert!(told.contains("fence/ff_renew_lease/OK/marked-lease"), "{told}");
    let check = grantsim::check("crash", mutant("keep-grant")).seeds(2).baseline(mutant("keep-grant"));
    check.shrink_for(Duration::ZERO).assert();
}

#[test]
fn the_plans_of_a_folder_are_run_by_name_and_one_that_breaks_fails() {
    let folder = folder("plans");
    let error = forgets_the_grant(&folder);
    let plan = only_file(&folder, "json");
    let name = plan.file_stem().expect("a name").to_string_lossy().into_owned();
    assert!(error.to_string().contains(&name));
    grantsim::plans(&folder, Library::published()).assert();
    let broken = grantsim::plans(&folder, forgetful());
    let told = panics(|| broken.assert());
    assert!(
        told.contains("grant-left-behind") && told.contains(&format!("grantsim replay {}", plan.display())),
        "{told}"
    );
    let runs = broken.runs().expect("it runs");
    assert_eq!((runs.len(), &runs[0].name, runs[0].violations.len()), (1, &name, 1));
    assert!(runs[0].timeline(Detail::Life).contains("ff_acquire_lease"));
}

#[test]
fn a_plan_whose_fault_does_not_happen_fails() {
    let folder = folder("idle");
    let text = fs::read_to_string("fixtures/plans/fault-lost-request.json").expect("a plan");
    assert!(text.contains("\"nth\": 1"), "{text}");
    fs::write(folder.join("idle.json"), text.replace("\"nth\": 1", "\"nth\": 9")).expect("a plan");
    let told = panics(|| grantsim::plans(&folder, Library::published()).assert());
    assert!(told.contains("a fault of the plan does not happen"), "{told}");
}

#[test]
fn a_folder_without_plans_and_a_file_that_is_none_are_told() {
    let folder = folder("none");
    let told = || grantsim::plans(&folder, Library::published()).runs().unwrap_err().to_string();
    assert!(told().contains("holds no plan"), "{}", told());
    fs::write(folder.join("x.json"), "{}").expect("a file");
    assert!(told().contains("x.json is no plan"), "{}", told());
    let missing = grantsim::plans(folder.join("no"), Library::published()).runs().unwrap_err();
    assert!(missing.to_string().contains("cannot read the folder of plans"), "{missing}");
}
