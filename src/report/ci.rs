//! The report of a hunt as CI servers read it: JUnit XML, GitHub's annotations, and a summary in Markdown.

use std::{fmt::Write, time::Duration};

use quick_junit::{NonSuccessKind, Property, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{failed, summary, unseen};
use crate::{
    hunt::{Failed, Found, Report, Unseen},
    property::Entry,
};

/// A suite's name, and the class of its cases.
const SUITE: &str = "grantsim hunt";

/// What is to be told of a hunt.
pub struct Told<'a> {
    /// What came of it.
    pub report: &'a Report,
    /// The properties that it judged by.
    pub properties: &'a [&'static Entry],
    /// For each violation of the report what people read of it.
    pub failures: &'a [String],
    /// What was never seen.
    pub unseen: &'a [Unseen],
}

impl Told<'_> {
    /// The violations, each with what people read of it.
    fn violations(&self) -> impl Iterator<Item = (&Found, &str)> {
        let text = |nth: usize| self.failures.get(nth).map_or("", String::as_str);
        self.report.violations.iter().enumerate().map(move |(nth, found)| (found, text(nth)))
    }
}

/// A hunt as JUnit XML: a test case a property, one for the runs that did not come to their end, and one for the states
/// that were never reached.
///
/// # Errors
/// The XML cannot be written.
pub fn junit(told: &Told<'_>) -> Result<String, SerializeError> {
    let report = told.report;
    let mut suite = TestSuite::new(SUITE);
    suite.set_time(wall(report));
    suite.add_properties([
        Property::new(
            "library",
            format!("{} {} {}", report.library.name, report.library.version, report.library.sha256),
        ),
        Property::new("seeds", report.seeds.to_string()),
        Property::new("first_token", report.first_token.as_str()),
        Property::new("last_token", report.last_token.as_str()),
        Property::new("interrupted", report.interrupted.to_string()),
    ]);
    for entry in told.properties {
        let broken: Vec<_> =
            told.violations().filter(|(found, _)| found.violation.property == entry.name).collect();
        suite.add_test_case(case(entry.name, of_property(&broken)));
    }
    suite.add_test_case(case("every run comes to its end", of_errors(&report.errors)));
    suite.add_test_case(case("every required state is reached", of_unseen(told)));
    let mut junit = quick_junit::Report::new(SUITE);
    junit.set_time(wall(report));
    junit.add_test_suite(suite);
    junit.to_string()
}

fn wall(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.wall_seconds).unwrap_or_default()
}

fn case(name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(SUITE);
    case
}

fn of_property(broken: &[(&Found, &str)]) -> TestCaseStatus {
    let Some((first, _)) = broken.first() else { return TestCaseStatus::success() };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let more = match broken.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    status.set_message(format!("{}{more}", first.violation.message));
    status.set_type(first.violation.fingerprint.to_string());
    let texts: Vec<&str> = broken.iter().map(|(_, text)| *text).collect();
    status.set_description(texts.join("\n"));
    status
}

fn of_errors(errors: &[Failed]) -> TestCaseStatus {
    let Some(first) = errors.first() else { return TestCaseStatus::success() };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(first.message.as_str());
    let lines: Vec<String> = errors.iter().map(failed).collect();
    status.set_description(lines.join("\n"));
    status
}

fn of_unseen(told: &Told<'_>) -> TestCaseStatus {
    let said: Vec<String> = told.unseen.iter().map(|it| unseen(*it, told.report)).collect();
    let Some(first) = said.first() else { return TestCaseStatus::success() };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(first.as_str());
    status.set_description(said.join("\n"));
    status
}

/// A hunt as annotations of a GitHub workflow: an error a violation, a run that did not come to its end, and a state that
/// was never reached.
///
/// The format, and what must be escaped in it, is that of `@actions/core` (`packages/core/src/command.ts`).
pub fn github(told: &Told<'_>) -> String {
    let mut out = String::new();
    for (found, text) in told.violations() {
        out += &annotation(&found.violation.fingerprint.to_string(), text.trim_end());
    }
    for it in &told.report.errors {
        out += &annotation("a run did not come to its end", &failed(it));
    }
    for it in told.unseen {
        out += &annotation("never reached", &unseen(*it, told.report));
    }
    out
}

fn annotation(title: &str, message: &str) -> String {
    format!("::error title={}::{}\n", property_value(title), data(message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property_value(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A hunt in Markdown: what is appended to the summary of a GitHub job.
pub fn github_summary(told: &Told<'_>) -> String {
    let mut out = String::new();
    // A String takes all that is written to it.
    let _ = writeln!(out, "### {SUITE}\n\n{}", fenced(&summary(told.report)));
    for (found, text) in told.violations() {
        let fingerprint = &found.violation.fingerprint;
        let _ = writeln!(
            out,
            "<details><summary><code>{}</code></summary>\n\n{}\n</details>\n",
            html(&fingerprint.to_string()),
            fenced(text)
        );
    }
    for it in &told.report.errors {
        let _ = writeln!(out, "{}", fenced(&failed(it)));
    }
    for it in told.unseen {
        let _ = writeln!(out, "{}", fenced(&unseen(*it, told.report)));
    }
    out
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text as it is: within a fence that is longer than any run of backticks in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hunt::{
            Exit,
            testing::{found, report},
        },
        property::{self, catalogue},
    };

    fn broken() -> Report {
        let mut report = report();
        report.violations = vec![
            found("lane/-/-/core"),
            found("fence/ff_renew_lease/OK/stale-lease"),
            found("lane/-/-/grant"),
        ];
        report.violations[1].violation.message = "50% of <e1>:\r\nit, \"broke\" & \u{1b}[31mbled".to_owned();
        report.errors = vec![Failed {
            token: Some("g1-swarm-7-00000000".to_owned()),
            message: "ff_x did not return".to_owned(),
            seeds: 3,
            exit: Exit::BadInput,
        }];
        report
    }

    fn with_told<T>(report: &Report, see: impl FnOnce(&Told<'_>) -> T) -> T {
        let properties: Vec<_> = catalogue::promises().collect();
        let failures: Vec<String> = report
            .violations
            .iter()
            .map(|found| format!("{}\n  ```` how\n", found.violation.message))
            .collect();
        let unseen = [Unseen::State(property::find("late-claim").unwrap())];
        see(&Told { report, properties: &properties, failures: &failures, unseen: &unseen })
    }

    #[test]
    fn junit_has_a_case_a_property_and_says_of_each_what_broke() {
        let xml = with_told(&broken(), |told| junit(told).unwrap());
        let promises = catalogue::promises().count();
        assert!(xml.contains(&format!(" tests=\"{}\" ", promises + 2)), "{xml}");
        assert!(xml.contains(" failures=\"3\" errors=\"1\" "), "{xml}");
        for entry in catalogue::promises() {
            assert_eq!(xml.matches(&format!("<testcase name=\"{}\"", entry.name)).count(), 1, "{xml}");
        }
        assert!(xml.contains("message=\"it broke (and 1 more)\" type=\"lane/-/-/core\""), "{xml}");
        assert!(xml.contains("50% of &lt;e1&gt;:"), "{xml}");
        assert!(!xml.contains('\u{1b}') && xml.contains("token g1-swarm-7-00000000: ff_x did not"), "{xml}");
        assert!(xml.contains("no run reached late-claim"), "{xml}");
    }

    #[test]
    fn junit_of_a_hunt_in_which_all_held_has_no_failure() {
        let report = report();
        let properties: Vec<_> = catalogue::promises().collect();
        let told = Told { report: &report, properties: &properties, failures: &[], unseen: &[] };
        let xml = junit(&told).unwrap();
        assert!(xml.contains("failures=\"0\" errors=\"0\"") && !xml.contains("<failure"), "{xml}");
        assert_eq!(github(&told), "");
        assert!(github_summary(&told).contains("no new violation"));
    }

    #[test]
    fn an_annotation_is_one_line_whatever_is_in_its_text() {
        let out = with_told(&broken(), github);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 5, "{out}");
        assert_eq!(lines[0], "::error title=lane/-/-/core::it broke%0A  ```` how");
        assert_eq!(
            lines[1],
            "::error title=fence/ff_renew_lease/OK/stale-lease::50%25 of <e1>:%0D%0Ait, \"broke\" & \u{1b}[31mbled%0A  ```` how"
        );
        assert_eq!(
            lines[3],
            "::error title=a run did not come to its end::token g1-swarm-7-00000000: ff_x did not return (and 2 seeds more)"
        );
        assert!(lines[4].starts_with("::error title=never reached::no run reached late-claim"), "{out}");
        assert_eq!(property_value("a: 5%, b\n"), "a%3A 5%25%2C b%0A");
    }

    #[test]
    fn no_text_closes_the_fence_around_it() {
        let markdown = with_told(&broken(), github_summary);
        assert_eq!(markdown.matches("\n`````text\n").count(), 3, "{markdown}");
        assert!(markdown.contains("<summary><code>lane/-/-/core</code></summary>"), "{markdown}");
    }
}
