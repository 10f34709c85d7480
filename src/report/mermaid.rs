//! A run as a sequence diagram in Mermaid, for pull requests: what happened to one execution, up to the violation.
//!
//! Routine renewals and calls that changed nothing are left out. GitHub refuses large diagrams, so that of a long life the
//! last part is shown, and how much came before.

use std::fmt::Write;

use super::{
    Run,
    page::{
        model,
        model::{Happening, Model, Relevance, Sort},
    },
};
use crate::property::Fingerprint;

/// How many arrows and notes a diagram has at most.
const MOST: usize = 120;

/// Draws a run as a Mermaid sequence diagram. What it is about is chosen as [`page`](super::page) chooses.
pub fn mermaid(run: &Run<'_>, focus: Option<&Fingerprint>) -> String {
    let model = model(run, focus);
    let drawing = Drawing { model: &model };
    let mut steps: Vec<Step> = Vec::new();
    for (place, event) in model.events.iter().enumerate() {
        if drawing.is_shown(event) {
            steps.extend(drawing.steps(place, event));
        }
    }
    drawing.write(&steps)
}

/// An arrow or a note, and the processes that it needs.
struct Step {
    line: String,
    nodes: Vec<usize>,
    is_violation: bool,
}

struct Drawing<'m> {
    model: &'m Model,
}

impl Drawing<'_> {
    /// Whether it is about the violation's execution, or a fault, and not later than the violation's own reply.
    fn is_shown(&self, event: &Happening) -> bool {
        let Some(broken) = self.model.violations.get(self.model.focus) else {
            return event.r == Relevance::Matters;
        };
        if event.s == broken.at {
            return true;
        }
        let is_before = event.s < broken.at || event.c == Some(broken.at);
        let is_ours = broken.execution.is_none_or(|x| event.x.contains(&x) || self.hits_ours(event, x));
        event.r == Relevance::Matters && is_before && is_ours
    }

    /// Whether it is a fault of a process that had to do with the execution.
    fn hits_ours(&self, event: &Happening, execution: usize) -> bool {
        let is_part = |n: usize| {
            self.model.events.iter().any(|it| it.n == n && it.x.contains(&execution) && it.k != Sort::Fault)
        };
        let hit = self.model.spans.iter().find(|span| span.from.s == Some(event.s)).map(|span| &span.n);
        event.k == Sort::Fault
            && event.x.is_empty()
            && hit.map_or(is_part(event.n), |n| n.iter().any(|n| is_part(*n)))
    }

    fn steps(&self, place: usize, event: &Happening) -> Vec<Step> {
        let valkey = self.valkey();
        let is_violation = self.model.violations.get(self.model.focus).is_some_and(|it| it.at == event.s);
        let step = |line: String, nodes: &[usize]| Step { line, nodes: nodes.to_vec(), is_violation };
        let note = |n: usize, text: &str| step(format!("Note over n{n}: {}", plain(text)), &[n]);
        let arrow = |from: usize, sign: &str, to: usize, text: &str| {
            let at = event.t as f64 / 1_000.0;
            step(format!("n{from}{sign}n{to}: {at:.0} ms · {}", plain(text)), &[from, to])
        };
        let text = event.text.trim_start_matches(['→', '←', '×', '⇒', '⇐', '!', ' ']);
        let spoken = text.split_once(": ").map_or(text, |(_, spoken)| spoken);
        let mut steps = match event.k {
            Sort::Request if !self.has_fate(place, event) => {
                vec![arrow(event.n, "-x", valkey, &format!("{text}: never arrived"))]
            }
            Sort::Request => Vec::new(),
            Sort::Call | Sort::Refused => {
                let by = event.call.as_ref().and_then(|call| call.by).unwrap_or(valkey);
                vec![arrow(by, "->>", valkey, text)]
            }
            Sort::Reply => vec![arrow(valkey, "-->>", event.n, spoken)],
            Sort::Lost if self.was_executed_before(place, event) => vec![arrow(valkey, "--x", event.n, text)],
            Sort::Lost => vec![arrow(event.n, "-x", valkey, text)],
            Sort::Message if self.led_to(event, Sort::Received) => Vec::new(),
            Sort::Message => {
                vec![arrow(event.n, "-x", event.to.unwrap_or(event.n), &format!("{spoken}: never arrived"))]
            }
            Sort::Received => vec![arrow(event.to.unwrap_or(event.n), "->>", event.n, spoken)],
            Sort::Fault => vec![note(event.n, &format!("⚡ {text}"))],
            Sort::Work => vec![note(event.n, text)],
            Sort::Server => Vec::new(),
        };
        let written = event.w.iter().filter(|written| !written.aside);
        steps.extend(written.map(|written| note(valkey, &written.text)));
        if let Some(broken) = self.model.violations.get(self.model.focus).filter(|_| is_violation) {
            steps.push(note(valkey, &format!("✗ {} broke: {}", broken.property, broken.message)));
        }
        steps
    }

    fn valkey(&self) -> usize {
        self.model.nodes.iter().position(|lane| lane.name == "valkey").unwrap_or_default()
    }

    fn led_to(&self, event: &Happening, k: Sort) -> bool {
        self.model.events.iter().any(|it| it.c == Some(event.s) && it.k == k)
    }

    /// Whether a request was executed, or its client gave up on it: either is told when it happens.
    fn has_fate(&self, place: usize, request: &Happening) -> bool {
        let later = &self.model.events[place..];
        later
            .iter()
            .any(|it| it.c == Some(request.s) && matches!(it.k, Sort::Call | Sort::Refused | Sort::Lost))
    }

    fn was_executed_before(&self, place: usize, lost: &Happening) -> bool {
        let earlier = &self.model.events[..place];
        earlier
            .iter()
            .any(|it| it.c == lost.c && it.c.is_some() && matches!(it.k, Sort::Call | Sort::Refused))
    }

    fn write(&self, steps: &[Step]) -> String {
        let left_out = steps.len().saturating_sub(MOST);
        let shown = &steps[left_out..];
        let mut out = "sequenceDiagram\n".to_owned();
        let mut line = |indent: usize, text: std::fmt::Arguments<'_>| {
            // A String never refuses.
            let _ = writeln!(out, "{:indent$}{text}", "");
        };
        for (n, lane) in self.model.nodes.iter().enumerate() {
            if shown.iter().any(|step| step.nodes.contains(&n)) {
                line(4, format_args!("participant n{n} as {}", plain(&lane.name)));
            }
        }
        if left_out > 0
            && let Some(n) = shown.first().and_then(|step| step.nodes.first())
        {
            line(4, format_args!("Note over n{n}: … {left_out} earlier steps left out"));
        }
        let mut in_violation = false;
        for step in shown {
            if step.is_violation != in_violation {
                line(
                    4,
                    format_args!(
                        "{}",
                        if step.is_violation { "rect rgba(220, 60, 60, 0.18)" } else { "end" }
                    ),
                );
                in_violation = step.is_violation;
            }
            line(if in_violation { 8 } else { 4 }, format_args!("{}", step.line));
        }
        if in_violation {
            line(4, format_args!("end"));
        }
        out
    }
}

/// Text that is no syntax: Mermaid ends a statement at a semicolon and a text at a hash, and reads HTML, entities and
/// comments. Its own way to write such characters, `#59;`, not every version of it draws; so they are written as others
/// that look like them.
fn plain(text: &str) -> String {
    let alike = |c| match c {
        ';' => ',',
        '#' => '№',
        '<' => '‹',
        '>' => '›',
        '&' => '＆',
        '%' => '％',
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c => c,
    };
    text.chars().map(alike).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_syntax_to_mermaid_is_written_otherwise() {
        assert_eq!(plain("a;b\n<b>#1 %% &"), "a,b ‹b›№1 ％％ ＆");
    }
}
