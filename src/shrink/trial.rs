//! Trials: whether a plan shows what the shrink is about, and what the shrink may learn from the run.

use crate::{
    drive::{self, Ran, RunError, Subject, Watch},
    plan::Plan,
    property::{Entry, Fingerprint, Judge, Verdict, Violation, find},
    trace::{FaultFate, Moment, Step, Summary, What},
    types::{ExecutionName, Node, SimTime},
};

/// Tries plans. It answers the same each time it is asked about the same plan.
pub(crate) trait Trial: Sync {
    /// Whether the plan shows it.
    ///
    /// # Errors
    /// [`RunError`]: where going on makes no sense.
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError>;

    /// As [`show`](Self::show), of a plan that did, with whatever may differ between two runs.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    fn show_again(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        self.show(plan)
    }
}

/// A run that showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// When, by the true time of the run, rounded up; unknown where nobody looked.
    pub at_ms: Option<u64>,
    /// The execution that it is about.
    pub execution: Option<ExecutionName>,
    /// The faults that did not happen, by their places in the plan.
    pub idle: Vec<usize>,
    /// How many events the run had.
    pub events: u64,
    /// How much there is to be told.
    pub told: Told,
}

/// How much there is to be told of a run: about the lines of its life (`report::timeline`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Up to the violation.
    pub before: u64,
    /// Of the whole run.
    pub all: u64,
}

/// Runs plans on a library and looks for a fingerprint.
pub(super) struct OnSubject<'a> {
    subject: &'a Subject,
    fingerprint: &'a Fingerprint,
    entry: &'static Entry,
    is_excused: bool,
}

/// Judges a run by one property, notes when each event happened, and counts what there is to be told.
struct Witnessed {
    judge: Judge,
    /// When each event happened, and how much had been told then.
    seen: Vec<(SimTime, u64)>,
    told: u64,
}

impl<'a> OnSubject<'a> {
    /// Whether it must show as a violation, or, where it is excused, as one of those: none becomes the other.
    pub fn new(subject: &'a Subject, fingerprint: &'a Fingerprint, is_excused: bool) -> Self {
        let entry =
            find(fingerprint.property().as_str()).expect("a fingerprint's property is in the catalogue");
        Self { subject, fingerprint, entry, is_excused }
    }
}

impl Trial for OnSubject<'_> {
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        let watch = Witnessed { judge: Judge::new([self.entry]), seen: Vec::new(), told: 0 };
        match drive::watch(plan, self.subject, watch) {
            Ok((ran, witnessed)) => Ok(witnessed.shown(self, &ran)),
            // A run without an end is no smaller instance of anything.
            Err(RunError::Endless { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn show_again(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        let subject = &self.subject.elsewhere();
        OnSubject { subject, ..*self }.show(plan)
    }
}

impl Watch for Witnessed {
    fn see(&mut self, moment: &Moment<'_>) {
        let head = match moment {
            Moment::Step(step) => Some(step.head),
            Moment::Client(event) | Moment::Fault(event) => Some(event.head),
            Moment::Rewound { .. } | Moment::End(_) => None,
        };
        self.told += telling(moment);
        if let Some(head) = head {
            self.seen.resize(head.seq as usize + 1, (head.at, self.told));
        }
        self.judge.observe(moment);
    }
}

/// How many lines tell this moment. What schedulers and scanners do is told where it changed something.
fn telling(moment: &Moment<'_>) -> u64 {
    let is_told = |node: Node| !matches!(node, Node::Scheduler(_) | Node::Scanner | Node::SecondScanner);
    match moment {
        Moment::Step(step) => match &step.call {
            Some(call) if is_told(call.caller) => 1 + written(step),
            // It was sent, executed and answered.
            Some(_) if !step.effects.is_empty() => 3 + written(step),
            Some(_) => 0,
            None => written(step),
        },
        Moment::Client(event) => match &event.what {
            What::MessageSent { message: Summary::Ask { .. }, .. } => 0,
            What::RequestSent { .. } | What::ReplyReceived { .. } => u64::from(is_told(event.head.node)),
            _ => 1,
        },
        Moment::Fault(_) => 1,
        Moment::Rewound { .. } | Moment::End(_) => 0,
    }
}

/// What a step wrote that belongs to the life of a grant or a lease.
fn written(step: &Step<'_>) -> u64 {
    step.changes().iter().filter(|change| !change.what.is_beside()).count() as u64
}

impl Witnessed {
    fn shown(self, of: &OnSubject<'_>, ran: &Ran) -> Option<Shown> {
        let Self { judge, seen, told } = self;
        let Verdict { violations, excused, counts, .. } = judge.finish();
        let excused = excused.into_iter().map(|(_, violation)| violation);
        let found: Vec<Violation> = if of.is_excused { excused.collect() } else { violations };
        let violation = found.into_iter().find(|it| it.fingerprint == *of.fingerprint)?;
        let idle = ran.faults.iter().enumerate().filter(|(_, fate)| **fate != FaultFate::Happened);
        let at = seen.get(violation.at as usize);
        Some(Shown {
            at_ms: at.map(|(at, _)| at.0.div_ceil(1_000)),
            execution: violation.execution,
            idle: idle.map(|(place, _)| place).collect(),
            events: counts.events,
            told: Told { before: at.map_or(told, |(_, before)| *before), all: told },
        })
    }
}
