//! Judges a run: shows each moment to every property, and keeps what they find.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Counts, Entry, Expect, Fingerprint, Kind, Property, PropertyName, excuse::Excuse};
use crate::{
    trace::{Call, Moment, Trace},
    types::{ExecutionName, FaultClass, Seq},
};

/// A property was violated: in one run, the first violation with its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which property.
    pub property: PropertyName,
    /// What kind of violation it is.
    pub fingerprint: Fingerprint,
    /// What happened, for people.
    pub message: String,
    /// The event at which it showed.
    pub at: Seq,
    /// The execution it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionName>,
    /// How often the run showed it.
    pub times: u64,
}

impl Violation {
    /// Whether it is something that must happen in the end and did not.
    pub fn is_liveness(&self) -> bool {
        let entry = super::find(self.property.as_str());
        entry.is_ok_and(|entry| entry.expect == Expect::Eventually)
    }
}

/// What is to be said of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// One a fingerprint, in the order in which they first showed.
    pub violations: Vec<Violation>,
    /// What may break under a class of faults by the [contract](super::Contract), and did, with the class.
    pub excused: Vec<(FaultClass, Violation)>,
    /// How often it reached what the [reach](super::reach) entries describe; what it never reached is absent.
    pub reached: BTreeMap<&'static str, u64>,
    /// What happened, counted.
    pub counts: Counts,
}

impl Verdict {
    /// What was violated, and then what is excused.
    pub fn all(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter().chain(self.excused.iter().map(|(_, violation)| violation))
    }

    /// Whether it has a violation with this fingerprint, be it excused.
    pub fn shows(&self, fingerprint: &Fingerprint) -> bool {
        self.all().any(|violation| violation.fingerprint == *fingerprint)
    }
}

/// Judges a recorded run.
///
/// ```no_run
/// use grantsim::{property::{self, catalogue}, trace::Trace};
///
/// let file = std::io::BufReader::new(std::fs::File::open("run.trace")?);
/// for violation in property::judge(&Trace::read(file)?, catalogue::promises()).violations {
///     println!("{}: {}", violation.fingerprint, violation.message);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn judge(trace: &Trace, entries: impl IntoIterator<Item = &'static Entry>) -> Verdict {
    let mut judge = Judge::new(entries);
    trace.replay(|moment| judge.observe(moment));
    judge.finish()
}

/// Judges one run, moment by moment.
pub struct Judge {
    watches: Vec<Watch>,
    counts: Counts,
    /// The latest event.
    at: Seq,
    /// The latest step that did anything to an execution.
    latest: BTreeMap<ExecutionName, Seq>,
    excuse: Excuse,
}

/// One entry, its monitor, and what it has found so far.
struct Watch {
    entry: &'static Entry,
    monitor: Box<dyn Property>,
    violations: BTreeMap<Fingerprint, Violation>,
    excused: BTreeMap<(Fingerprint, FaultClass), Violation>,
    reached: u64,
}

impl Judge {
    /// A judge of a fresh run, by these entries of the catalogue.
    pub fn new(entries: impl IntoIterator<Item = &'static Entry>) -> Self {
        let watch = |entry: &'static Entry| Watch {
            entry,
            monitor: (entry.monitor)(),
            violations: BTreeMap::new(),
            excused: BTreeMap::new(),
            reached: 0,
        };
        Self {
            watches: entries.into_iter().map(watch).collect(),
            counts: Counts::default(),
            at: 0,
            latest: BTreeMap::new(),
            excuse: Excuse::default(),
        }
    }

    /// Looks at the next moment.
    pub fn observe(&mut self, moment: &Moment<'_>) {
        self.at = match moment {
            Moment::Step(step) => step.head.seq,
            Moment::Client(event) | Moment::Fault(event) => event.head.seq,
            Moment::Rewound { .. } | Moment::End(_) => self.at,
        };
        let call = match moment {
            Moment::Step(step) => step.call.as_ref(),
            _ => None,
        };
        self.counts.observe(moment);
        self.excuse.observe(moment);
        if let Moment::Step(step) = moment {
            for change in step.changes() {
                match self.latest.get_mut(&change.execution) {
                    Some(latest) => *latest = self.at,
                    None => _ = self.latest.insert(change.execution.clone(), self.at),
                }
            }
        }
        let (at, latest, excuse) = (self.at, &self.latest, &self.excuse);
        for watch in &mut self.watches {
            let Watch { entry, monitor, violations, excused, reached } = watch;
            let mut found = Found { entry, at, call, latest, excuse, violations, excused, reached };
            monitor.observe(moment, &mut found);
        }
    }

    /// What is to be said of the run.
    pub fn finish(self) -> Verdict {
        let mut verdict = Verdict { counts: self.counts, ..Verdict::default() };
        for watch in self.watches {
            verdict.violations.extend(watch.violations.into_values());
            let excused = watch.excused.into_iter();
            verdict.excused.extend(excused.map(|((_, class), violation)| (class, violation)));
            if watch.reached > 0 {
                verdict.reached.insert(watch.entry.name, watch.reached);
            }
        }
        verdict.violations.sort_by(|one, two| (one.at, &one.fingerprint).cmp(&(two.at, &two.fingerprint)));
        verdict
    }
}

/// Where a property reports what it finds at one moment.
pub struct Found<'a> {
    pub(super) entry: &'static Entry,
    pub(super) at: Seq,
    pub(super) call: Option<&'a Call<'a>>,
    pub(super) latest: &'a BTreeMap<ExecutionName, Seq>,
    pub(super) excuse: &'a Excuse,
    pub(super) violations: &'a mut BTreeMap<Fingerprint, Violation>,
    pub(super) excused: &'a mut BTreeMap<(Fingerprint, FaultClass), Violation>,
    pub(super) reached: &'a mut u64,
}

impl Found<'_> {
    /// The property does not hold here.
    ///
    /// # Panics
    /// If the entry lists no such kind, or is a state to be reached: the property is written wrong.
    pub fn violation(&mut self, kind: Kind, execution: Option<&ExecutionName>, message: impl Into<String>) {
        assert!(
            !matches!(self.entry.expect, Expect::Sometimes { .. }),
            "{}: a state to be reached is no promise",
            self.entry.name
        );
        let fingerprint = Fingerprint::new(self.entry, kind, self.call);
        let first = || Violation {
            property: fingerprint.property(),
            fingerprint: fingerprint.clone(),
            message: printable(message.into()),
            at: self.at,
            execution: execution.cloned(),
            times: 0,
        };
        let excuse = self.excuse.under(execution).find(|class| !self.entry.withstands(*class));
        let seen = match excuse {
            Some(class) => self.excused.entry((fingerprint.clone(), class)).or_insert_with(first),
            None => self.violations.entry(fingerprint.clone()).or_insert_with(first),
        };
        seen.times += 1;
    }

    /// The property does not hold in the end: an execution is stuck since the last step that did anything to it.
    ///
    /// # Panics
    /// As [`violation`](Self::violation).
    pub fn stuck(&mut self, kind: Kind, execution: &ExecutionName, message: impl Into<String>) {
        let at = self.latest.get(execution).copied().unwrap_or(self.at);
        let end = std::mem::replace(&mut self.at, at);
        self.violation(kind, Some(execution), message);
        self.at = end;
    }

    /// The state was reached.
    ///
    /// # Panics
    /// If the entry is no state to be reached: the property is written wrong.
    pub fn reached(&mut self) {
        assert!(
            matches!(self.entry.expect, Expect::Sometimes { .. }),
            "{}: a promise is not reached",
            self.entry.name
        );
        *self.reached += 1;
    }
}

/// A text in which what a terminal would obey or hide is written out: a library may have stored anything.
fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        };
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::{catalogue, testing::Story};

    #[test]
    fn a_message_is_text_that_a_terminal_prints() {
        assert_eq!(printable("e1 is on ü\0\x1b[31m".to_owned()), r"e1 is on ü\u{0}\u{1b}[31m");
        assert_eq!(printable("e1 is on gold".to_owned()), "e1 is on gold");
    }

    /// A lease of an earlier epoch, and then what another lease did.
    fn story() -> Story {
        let claimed = Story::new().created(0).granted(10, 50).claimed(20, 2, 100).delayed(30, 2);
        claimed.granted(40, 90).claimed(50, 1, 200).renewed(60, 7, 300).renewed(70, 7, 400)
    }

    #[test]
    fn violations_come_in_the_order_of_the_run_one_a_fingerprint() {
        let violations = story().verdict().violations;
        let told: Vec<_> = violations.iter().map(|v| (v.fingerprint.to_string(), v.at, v.times)).collect();
        assert_eq!(
            told,
            [
                ("one-lease/ff_claim_execution/OK/epoch".to_owned(), 5, 1),
                ("fence/ff_renew_lease/OK/stale-lease".to_owned(), 6, 2),
            ]
        );
    }

    #[test]
    fn only_the_entries_that_were_asked_for_are_judged() {
        let trace = story().trace().expect("no power loss");
        let verdict = judge(&trace, [catalogue::find("fence").unwrap()]);
        assert_eq!(verdict.violations.len(), 1);
        assert!(verdict.reached.is_empty());
        assert_eq!(verdict.counts, story().verdict().counts, "counts are always kept");
    }

    #[test]
    fn a_violation_survives_json_and_names_its_property_and_execution() {
        for violation in story().verdict().violations {
            let json = serde_json::to_value(&violation).unwrap();
            assert_eq!(
                (&json["property"], &json["execution"]),
                (&violation.property.as_str().into(), &"e1".into())
            );
            assert_eq!(serde_json::from_value::<Violation>(json).unwrap(), violation);
        }
    }

    #[test]
    fn a_promise_about_the_end_is_judged_at_the_end() {
        #[derive(Clone, Hash)]
        struct Never;
        const LATE: Kind = Kind { name: "late", about: "it has not happened" };
        static ENTRY: Entry = Entry {
            name: "eligible",
            numbers: &[42],
            claim: "It happens.",
            expect: Expect::Eventually,
            kinds: &[LATE],
            monitor: || Box::new(Never),
        };
        impl Property for Never {
            fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
                if let Moment::End(_) = moment {
                    found.violation(LATE, None, "it has not happened");
                }
            }
        }
        let verdict = judge(&story().trace().expect("no power loss"), [&ENTRY]);
        assert_eq!(
            (verdict.violations[0].fingerprint.to_string(), verdict.violations[0].at),
            ("eligible/-/-/late".into(), 7)
        );
    }
}
