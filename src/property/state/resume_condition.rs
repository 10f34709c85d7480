//! A suspended execution goes on because of signals exactly when they satisfy the condition that it waits for (57 of
//! `docs/protocol.md`; RFC-004 on resume conditions, RFC-005, RFC-014 §2, §3).
//!
//! The condition is read from the suspension's record and judged anew, by the signals of its waitpoints. Judged when a
//! signal is delivered, and when a suspension begins at a waitpoint for which signals were put aside. A condition that no
//! signal satisfies (`operator_only`, `timeout_only`) is none of signals' business. Not here: who may send a signal, which
//! [`signals`](super::signals) asks, and what an operator or a timeout does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::{Answer, ExecutionId, Function, Status},
    view::{SignalSeen, Suspension, View, tag_of},
};

use super::suspension::open_suspension;

const TOO_SOON: Kind = Kind {
    name: "too-soon",
    about: "a wait ended by a signal, and the signals do not satisfy its condition",
};
const STILL_WAITING: Kind = Kind {
    name: "still-waiting",
    about: "the signals satisfy a condition that needs one of them, or each, and the wait goes on",
};
const STILL_WAITING_COMPOSITE: Kind = Kind {
    name: "still-waiting-composite",
    about: "the same, of a condition that is made of others (RFC-014)",
};
const TOO_SOON_COMPOSITE: Kind = Kind {
    name: "too-soon-composite",
    about: "a wait ended by a signal, and its condition, which is made of others, is not satisfied (RFC-014)",
};
const NOT_BY_SIGNAL: Kind = Kind {
    name: "not-by-signal",
    about: "a signal ended a wait that only an operator, or only the timeout, may end",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "resume-condition",
    numbers: &[57],
    claim: "A suspended execution goes on exactly when the signals satisfy what it waits for.",
    expect: Expect::Always,
    kinds: &[TOO_SOON, STILL_WAITING, STILL_WAITING_COMPOSITE, TOO_SOON_COMPOSITE, NOT_BY_SIGNAL],
    monitor: || Box::<Conditions>::default(),
};

#[derive(Clone, Default, Hash)]
struct Conditions {
    /// Waitpoints with a signal that was put aside too late, or was another's: what it means is told elsewhere.
    clouded: BTreeSet<String>,
}

impl Property for Conditions {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        let Some(call) = &step.call else { return };
        match call.function {
            Function::DeliverSignal => self.delivered(step, call, found),
            Function::SuspendExecution => self.suspended(step, call, found),
            Function::BufferSignalForPendingWaitpoint => self.buffered(step, call),
            _ => {}
        }
    }
}

impl Conditions {
    fn buffered(&mut self, step: &Step<'_>, call: &Call<'_>) {
        let Ok(id) = ExecutionId::parse(call.arg(1)) else { return };
        let Some(tag) = tag_of(&id) else { return };
        if step.before.waitpoint(tag, call.arg(2)).state() != "pending" {
            self.clouded.insert(call.arg(2).to_owned());
        }
    }

    fn delivered(&mut self, step: &Step<'_>, call: &Call<'_>, found: &mut Found<'_>) {
        let Ok(id) = ExecutionId::parse(call.arg(1)) else { return };
        let waitpoint = call.arg(2);
        // A server whose clock was set back dates a signal before the waitpoint that it comes to.
        let created_at = tag_of(&id).and_then(|tag| step.after.waitpoint(tag, waitpoint).created_at());
        let is_dated = created_at.is_none_or(|created| created <= step.now);
        let before = open_suspension(&id, step.before).filter(|_| call.answer.is_ok() && is_dated);
        let wait = before.and_then(|before| Wait::of(&before, &id, step.after));
        let Some(wait) = wait.filter(|wait| wait.waitpoints.iter().any(|(it, _)| it == waitpoint)) else {
            self.clouded.insert(waitpoint.to_owned());
            return;
        };
        if !wait.waitpoints.iter().any(|(it, _)| self.clouded.contains(it)) {
            wait.judge(open_suspension(&id, step.after).is_none(), step, found);
        }
    }

    fn suspended(&self, step: &Step<'_>, call: &Call<'_>, found: &mut Found<'_>) {
        let (Ok(id), waitpoint) = (ExecutionId::parse(call.arg(0)), call.arg(6)) else { return };
        let Some(tag) = tag_of(&id) else { return };
        let was_pending = step.before.waitpoint(tag, waitpoint).state() == "pending";
        if !was_pending || call.arg(14) != "1" || self.clouded.contains(waitpoint) {
            return;
        }
        let is_over = match call.answer {
            Answer::Consent(Status::Ok) => false,
            Answer::Consent(Status::AlreadySatisfied) => true,
            _ => return,
        };
        let Ok(condition) = serde_json::from_str(call.arg(11)) else { return };
        let waitpoints = vec![(waitpoint.to_owned(), call.arg(7).to_owned())];
        Wait { id, view: step.after, condition, waitpoints }.judge(is_over, step, found);
    }
}

/// What an execution waits for, and the signals that came.
struct Wait<'v> {
    id: ExecutionId,
    view: &'v View,
    condition: Value,
    /// Where: ids, and what the condition calls them.
    waitpoints: Vec<(String, String)>,
}

impl<'v> Wait<'v> {
    fn of(suspension: &Suspension<'_>, id: &ExecutionId, view: &'v View) -> Option<Self> {
        let condition = serde_json::from_str(suspension.text("resume_condition_json")).ok()?;
        let mut waitpoints =
            vec![(suspension.waitpoint().to_owned(), suspension.text("waitpoint_key").to_owned())];
        let more = serde_json::from_str::<Vec<Value>>(suspension.text("additional_waitpoints_json"));
        waitpoints.extend(more.unwrap_or_default().iter().filter_map(|one| {
            let text = |name: &str| one.get(name)?.as_str().map(str::to_owned);
            Some((text("waitpoint_id")?, text("waitpoint_key")?))
        }));
        Some(Self { id: id.clone(), view, condition, waitpoints })
    }

    fn judge(&self, is_over: bool, step: &Step<'_>, found: &mut Found<'_>) {
        let is_composite = self.condition.get("composite").is_some();
        let is_signals = !matches!(
            self.condition.get("condition_type").and_then(Value::as_str),
            Some("operator_only" | "timeout_only")
        );
        let satisfied = if !is_signals {
            Some(false)
        } else if is_composite {
            self.condition.get("tree").and_then(|tree| self.satisfies_node(tree))
        } else {
            self.satisfies_names()
        };
        let kind = match (satisfied, is_over) {
            (Some(false), true) if !is_signals => NOT_BY_SIGNAL,
            (Some(false), true) if is_composite => TOO_SOON_COMPOSITE,
            (Some(false), true) => TOO_SOON,
            (Some(true), false) if is_composite => STILL_WAITING_COMPOSITE,
            (Some(true), false) => STILL_WAITING,
            _ => return,
        };
        let execution = step.names.of(&self.id);
        let message = format!("{execution}: {}; its condition is {}", kind.about, self.condition);
        found.violation(kind, Some(&execution), message);
    }

    /// The signals that came, each with its waitpoint's id and key.
    fn signals(&self) -> impl Iterator<Item = (&str, &str, SignalSeen<'_>)> {
        self.waitpoints.iter().flat_map(move |(id, key)| {
            let tag = tag_of(&self.id).unwrap_or_default();
            self.view.waitpoint(tag, id).signals().map(move |signal| (&**id, &**key, signal))
        })
    }

    /// A condition by names: one of them, each, or so many. None where it is not clear what it asks.
    fn satisfies_names(&self) -> Option<bool> {
        let names: Vec<&str> = match self.condition.get("required_signal_names") {
            Some(names) => names.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        let mut open = if names.is_empty() { vec![""] } else { names };
        let all = open.len();
        for (_, _, signal) in self.signals() {
            if let Some(at) = open.iter().position(|name| name.is_empty() || *name == signal.name) {
                open.remove(at);
            }
        }
        let matched = all - open.len();
        let needed = match self.condition.get("minimum_signal_count") {
            Some(count) => usize::try_from(count.as_u64()?).ok()?,
            None => 1,
        };
        match self.condition.get("signal_match_mode").and_then(Value::as_str) {
            Some("all") => Some(matched == all),
            // So many of fewer names: the documents do not say which signals are to count.
            _ if needed > all => (matched < all).then_some(false),
            _ => Some(matched >= needed),
        }
    }

    /// A node of a condition that is made of others. None where it is not of the documented form.
    fn satisfies_node(&self, node: &Value) -> Option<bool> {
        match node.get("kind")?.as_str()? {
            "Single" => {
                let wanted = node.get("waitpoint_key")?.as_str()?;
                Some(self.signals().any(|(_, key, signal)| key == wanted && matches(node, signal.name)))
            }
            "AllOf" => {
                let members = node.get("members")?.as_array()?;
                let each = members.iter().map(|member| self.satisfies_node(member));
                Some(each.collect::<Option<Vec<_>>>()?.into_iter().all(|it| it))
            }
            "Count" => {
                let keys: Vec<&str> =
                    node.get("waitpoints")?.as_array()?.iter().filter_map(Value::as_str).collect();
                let kind = node.get("count_kind").and_then(Value::as_str).unwrap_or("DistinctWaitpoints");
                let counted: BTreeSet<(&str, &str)> = self
                    .signals()
                    .filter(|(_, key, signal)| keys.contains(key) && matches(node, signal.name))
                    .map(|(waitpoint, _, signal)| match kind {
                        "DistinctSignals" => (signal.id, ""),
                        "DistinctSources" => signal.source,
                        _ => (waitpoint, ""),
                    })
                    .collect();
                Some(counted.len() as u64 >= node.get("n")?.as_u64()?)
            }
            _ => None,
        }
    }
}

/// Whether a node takes a signal of this name.
fn matches(node: &Value, name: &str) -> bool {
    match node.get("matcher").and_then(|matcher| Some((matcher.get("kind")?.as_str()?, matcher))) {
        Some(("ByName", matcher)) => matcher.get("name").and_then(Value::as_str) == Some(name),
        _ => true,
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::suspension::tests::{RESUME, SUSPEND, suspends};
    use crate::property::testing::{Story, cases};

    const GO: &str = "{\"required_signal_names\":[\"go\"]}";
    const BOTH: &str = "{\"required_signal_names\":[\"go\",\"now\"],\"signal_match_mode\":\"all\"}";
    const OPERATOR: &str = "{\"condition_type\":\"operator_only\"}";
    const TREE: &str = "{\"composite\":true,\"tree\":{\"kind\":\"AllOf\",\"members\":[{\"kind\":\"Count\",\"n\":2,\"count_kind\":\"DistinctSignals\",\"waitpoints\":[\"k1\"]}]}}";

    /// A signal of this name comes, and the wait goes on or is over.
    fn signal(story: Story, at: i64, id: &str, name: &str, commands: &str) -> Story {
        let write = format!(
            "XADD :wp:w1:signals * signal_id {id} signal_name {name}; \
             HSET ff:signal:{{fp:7}}:{id} signal_name {name}; ZADD :e1:signals 1 {id}; {commands}"
        );
        let call = format!("ff_deliver_signal | {id} e1 w1 {name} c s me p json - - waitpoint - 0 0 9 9 k:t");
        story.step(at, &call, "OK g", &write)
    }

    fn waits_for(condition: &str) -> Story {
        let suspend = SUSPEND.replace(GO, condition);
        assert!(suspend.contains(condition));
        let story = suspends(&suspend);
        // The secret that signed the token.
        story.plain(21, "HSET :secrets current_kid k secret:k ab")
    }

    fn pending(answer: &str, names: [&str; 1]) -> Story {
        use super::super::waitpoints::tests::PENDING;
        let story = Story::new().created(0).granted(10, 50).claimed(12, 1, 100);
        let story = story.step(15, "ff_create_pending_waitpoint e1 0 w1 k1 @30", "OK w1 k1 k:t", PENDING);
        let story = story.plain(16, &format!("XADD :wp:w1:signals * signal_id g signal_name {}", names[0]));
        let call = format!("ff_suspend_execution e1 0 a1 l1 1 s1 w1 k1 r me - {GO} x - 1");
        let commands = match answer {
            "OK" => format!("{SUSPEND}; ZREM :pending_waitpoint_expiry w1"),
            _ => "HSET :wp:w1 state closed; ZREM :pending_waitpoint_expiry w1".to_owned(),
        };
        story.step(20, &call, answer, &commands)
    }

    cases! {
        one_signal_where_two_are_needed: "resume-condition/ff_deliver_signal/OK/too-soon",
            signal(waits_for(BOTH), 30, "g", "go", RESUME),
            alone signal(signal(waits_for(BOTH), 30, "g", "go", ""), 31, "h", "now", RESUME);
        a_signal_that_was_waited_for_and_ends_nothing: "resume-condition/ff_deliver_signal/OK/still-waiting",
            signal(waits_for(GO), 30, "g", "go", ""),
            alone signal(waits_for(GO), 30, "g", "stop", "");
        a_signal_that_was_put_aside_and_forgotten: "resume-condition/ff_suspend_execution/OK/still-waiting",
            pending("OK", ["go"]),
            alone pending("ALREADY_SATISFIED", ["go"]);
        a_wait_that_another_signal_spared: "resume-condition/ff_suspend_execution/ALREADY_SATISFIED/too-soon",
            pending("ALREADY_SATISFIED", ["stop"]),
            alone pending("OK", ["stop"]);
        one_signal_of_a_tree_that_counts_two: "resume-condition/ff_deliver_signal/OK/too-soon-composite",
            signal(waits_for(TREE), 30, "g", "go", RESUME),
            alone signal(signal(waits_for(TREE), 30, "g", "go", ""), 31, "h", "go", RESUME);
        a_tree_that_is_satisfied_and_stays: "resume-condition/ff_deliver_signal/OK/still-waiting-composite",
            signal(signal(waits_for(TREE), 30, "g", "go", ""), 31, "h", "go", ""),
            alone signal(signal(waits_for(TREE), 30, "g", "go", ""), 31, "g", "go", "");
        a_signal_that_does_an_operators_part: "resume-condition/ff_deliver_signal/OK/not-by-signal",
            signal(waits_for(OPERATOR), 30, "g", "go", RESUME),
            alone signal(waits_for(OPERATOR), 30, "g", "go", "");
    }
}
