//! A run as a page and as a diagram, a hunt as a folder: what is written where, and what cannot be.

use std::fs;

use super::{ALL_HELD, BAD_INPUT, BROKEN, LIFE, grantsim, read_json, scratch, utf8, written};

#[test]
fn page_writes_the_run_as_one_html_file_beside_what_is_printed() {
    let page = scratch("life.html");
    let out = grantsim(&["replay", LIFE, "--page", utf8(&page)]).succeeds();
    assert_eq!(out, grantsim(&["replay", LIFE]).succeeds(), "what is printed is the same");
    let html = fs::read_to_string(&page).expect("the page was written");
    assert!(html.starts_with("<!doctype html>") && html.contains("No promise broke"), "{html}");
    let broken = grantsim(&["replay", LIFE, "--mutant", "keep-grant", "--page", utf8(&page)]);
    assert_eq!(broken.code, BROKEN, "{}", broken.err);
    let html = fs::read_to_string(&page).expect("the page was written");
    assert!(html.contains("<title>at-most-once broke: "), "{html}");
    assert!(html.contains("--mutant keep-grant --timeline"), "the line to copy is in it");
}

#[test]
fn a_trace_is_told_as_the_same_page_as_its_plan_but_for_the_line_to_copy() {
    let (page, of_trace, trace) =
        (scratch("of-plan.html"), scratch("of-trace.html"), scratch("of-plan.jsonl"));
    grantsim(&["replay", LIFE, "--page", utf8(&page), "--trace", utf8(&trace)]).succeeds();
    grantsim(&["replay", utf8(&trace), "--page", utf8(&of_trace)]).succeeds();
    let read = |path| fs::read_to_string(path).expect("the page was written");
    let events = |html: &str| html.split("\"events\":").nth(1).map(str::to_owned);
    assert_eq!(events(&read(&page)), events(&read(&of_trace)));
    assert!(read(&of_trace).contains("of-plan.jsonl"));
}

#[test]
fn mermaid_is_printed_fenced_or_written_bare() {
    let out = grantsim(&["replay", LIFE, "--mermaid"]).succeeds();
    let (_, fenced) = out.split_once("```mermaid\n").expect("a fence");
    let file = scratch("life.mmd");
    grantsim(&["replay", LIFE, &format!("--mermaid={}", utf8(&file))]).succeeds();
    let bare = fs::read_to_string(&file).expect("the diagram was written");
    assert!(bare.starts_with("sequenceDiagram\n"), "{bare}");
    assert_eq!(fenced, format!("{bare}```\n"));
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_it() {
    let nowhere = "no/such/folder/page.html";
    grantsim(&["replay", LIFE, "--page", nowhere]).fails(BAD_INPUT, &["cannot write", nowhere]);
    grantsim(&["replay", LIFE, &format!("--mermaid={nowhere}")]).fails(BAD_INPUT, &["cannot write", nowhere]);
    let file = written("no folder", "a file");
    grantsim(&["hunt", "--seeds", "1", "--profile", "calm", "--report", &file])
        .fails(BAD_INPUT, &["cannot write the report", "no folder"]);
}

#[test]
fn report_writes_a_folder_with_an_index_a_page_a_violation_and_the_same_json() {
    let (folder, json) = (scratch("a-report"), scratch("a-report.json"));
    let _ = fs::remove_dir_all(&folder);
    let plans = scratch("a-reports-plans");
    // A plan that an earlier run of this test was shrunk to would stay, and this one's would get a number.
    let _ = fs::remove_dir_all(&plans);
    let breaks = ["--mutant", "no-fence", "--property", "fence", "--shrink-for", "2s"];
    let hunt = [&["hunt", "--seeds", "12", "--profile", "crash"] as &[&str], &breaks].concat();
    let files = ["--report", utf8(&folder), "--json", utf8(&json), "--failures", utf8(&plans)];
    let ran = grantsim(&[&hunt as &[&str], &files].concat());
    assert_eq!(ran.code, BROKEN, "{}{}", ran.out, ran.err);
    let report = read_json(&folder.join("report.json"));
    assert_eq!(report, read_json(&json));
    let violations = report["violations"].as_array().expect("a list");
    assert!(!violations.is_empty());
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    let pages = violations.iter().map(|found| {
        let fingerprint = found["fingerprint"].as_str().expect("a fingerprint");
        format!("{}.html", fingerprint.replace('/', "."))
    });
    let mut expected: Vec<String> =
        pages.chain(["index.html".to_owned(), "report.json".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    let index = fs::read_to_string(folder.join("index.html")).expect("an index");
    // The lines are for the shrunk plans, and the pages show those.
    assert!(index.contains(".stale-lease.json --mutant no-fence --timeline"), "lines to copy");
    grantsim(&["hunt", "--seeds", "1", "--profile", "calm", "--report", utf8(&scratch("all-held"))])
        .fails(ALL_HELD, &[]);
}
