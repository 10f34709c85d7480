//! Two libraries compared: what is printed, what is written, which exit code, what is refused.

use std::fs;

use grantsim::plan::file::PlanFile;

use super::{
    ALL_HELD, BAD_INPUT, BROKEN, MINIMAL, changed_library, grantsim, read_json, scratch, utf8, written,
};

/// minimal.lua whose renewals say one thing more.
fn talkative(name: &str) -> String {
    changed_library(name, "return ok(tostring(now + ttl))", "return ok(tostring(now + ttl), 'renewed')")
}

const NAME: &str = "ff_renew_lease/reply/OK/field-2/extra";
const FEW: [&str; 4] = ["--profile", "crash", "--seeds", "4"];

#[test]
fn a_library_compared_with_itself_shows_no_difference() {
    let out = grantsim(&[&["compare", MINIMAL, MINIMAL][..], &FEW].concat()).succeeds();
    assert!(out.contains("\nno difference\n") && out.contains(" of 4 seeds from g1-crash-0-"), "{out}");
    let published = grantsim(&["compare", "published", "published", "--seeds", "1"]).succeeds();
    assert!(published.contains("not called") && published.contains("their text is the same"), "{published}");
}

#[test]
fn a_function_that_no_plan_calls_is_named_if_its_text_differs() {
    let new = changed_library("compare-version.lua", "return 'minimal-1'", "return 'minimal-2'");
    // An operator asks for the version, where there is one.
    let calm = ["--profile", "calm", "--seeds", "4"];
    let out = grantsim(&[&["compare", MINIMAL, &new][..], &calm].concat()).succeeds();
    assert!(out.contains("the text differs of\n            ff_version\n"), "{out}");
    assert!(out.contains("says it is minimal-2"), "{out}");
}

#[test]
fn an_edit_is_told_with_its_smallest_plan_and_the_two_calls() {
    let (new, json, plans) =
        (talkative("talkative.lua"), scratch("compared.json"), scratch("compared-plans"));
    let args =
        ["compare", MINIMAL, &new, "--json", utf8(&json), "--plans", utf8(&plans), "--shrink-runs", "2000"];
    let ran = grantsim(&[&args[..], &FEW].concat());
    assert_eq!(ran.code, BROKEN, "{}{}", ran.out, ran.err);
    for said in [
        "\n1 difference\n",
        NAME,
        "field 2 of the reply OK is new",
        "smallest plan: 1 execution, 1 worker",
        "1-minimal",
        " calls ff_renew_lease for ",
        "      old     {1, \"OK\", \"",
        ", \"renewed\"}",
    ] {
        assert!(ran.out.contains(said), "{said} is not in\n{}", ran.out);
    }
    let report = read_json(&json);
    let found = &report["differences"][0];
    assert_eq!((found["difference"].as_str(), report["seeds"].as_u64()), (Some(NAME), Some(4)));
    assert!(
        found["calls"].as_u64() >= found["seeds"].as_u64() && found["example"]["plan"].is_object(),
        "{found}"
    );
    let plan = plans.join("ff_renew_lease-reply-OK-field-2-extra.json");
    assert!(PlanFile::read(&plan).expect("a plan").about.contains(NAME));
    let line =
        ran.out.lines().find_map(|line| line.trim().strip_prefix("show it:       cargo run --release -- "));
    let words: Vec<&str> = line.expect("a line to copy").split(' ').collect();
    assert!(grantsim(&words).succeeds().contains("ff_renew_lease"));
}

#[test]
fn the_line_to_copy_shows_the_difference_again() {
    let new = talkative("talkative-again.lua");
    let ran = grantsim(&[&["compare", MINIMAL, &new, "--shrink-runs", "0"][..], &FEW].concat());
    let line =
        ran.out.lines().find_map(|line| line.trim().strip_prefix("show it:       cargo run --release -- "));
    let words: Vec<&str> = line.expect("a line to copy").split(' ').collect();
    let again = grantsim(&words);
    assert_eq!(again.code, BROKEN, "{}{}", again.out, again.err);
    assert!(again.out.contains(NAME) && again.out.contains(" of 1 seed from "), "{}", again.out);
}

#[test]
fn what_was_accepted_does_not_count_until_it_is_gone() {
    let (new, accept) = (talkative("talkative-accepted.lua"), scratch("accept.json"));
    let _ = fs::remove_file(&accept);
    let compare = |new: &str| {
        let args = ["compare", MINIMAL, new, "--accept", utf8(&accept), "--shrink-runs", "0"];
        grantsim(&[&args[..], &FEW].concat())
    };
    let first = compare(&new);
    assert_eq!(first.code, BROKEN, "{}{}", first.out, first.err);
    assert!(first.out.contains("accept.json is written"), "{}", first.out);
    let text = fs::read_to_string(&accept).expect("it was written");
    fs::write(&accept, text.replace("\"why\": \"\"", "\"why\": \"clients want to know\"")).expect("a file");
    let second = compare(&new);
    assert_eq!(second.code, ALL_HELD, "{}{}", second.out, second.err);
    assert!(second.out.contains("no difference but for 1 accepted"), "{}", second.out);
    assert!(second.out.contains("(accepted: clients want to know)"), "{}", second.out);
    let third = compare(MINIMAL).succeeds();
    assert!(third.contains("\nno difference\n") && third.contains("accepted, and not met"), "{third}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    grantsim(&["compare", MINIMAL, "no-such.lua"]).fails(BAD_INPUT, &["no-such.lua"]);
    grantsim(&["compare", "no-such.lua", MINIMAL]).fails(BAD_INPUT, &["no-such.lua"]);
    grantsim(&["compare", MINIMAL]).fails(BAD_INPUT, &["NEW.lua"]);
    let broken = changed_library("compare-syntax.lua", "local function ok", "local local function ok");
    grantsim(&["compare", MINIMAL, &broken]).fails(BAD_INPUT, &["does not load", "near"]);
    grantsim(&["compare", MINIMAL, MINIMAL, "--profile", "none"]).fails(BAD_INPUT, &["none"]);
    let accept = written("accept-nothing.json", "[]");
    grantsim(&["compare", MINIMAL, MINIMAL, "--accept", &accept]).fails(BAD_INPUT, &["accept-nothing.json"]);
}
