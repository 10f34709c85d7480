//! Trials: whether a plan shows what the shrink is about, and what the shrink may learn from the run.

use crate::{
    drive::{self, Ran, RunError, Subject, Watch},
    plan::Plan,
    property::{Entry, Fingerprint, Judge, find},
    trace::{FaultFate, Moment},
    types::{ExecutionName, SimTime},
};

/// Tries plans. It answers the same each time it is asked about the same plan.
pub(crate) trait Trial: Sync {
    /// Whether the plan shows it.
    ///
    /// # Errors
    /// [`RunError`]: where going on makes no sense.
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError>;
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
}

/// Runs plans on a library and looks for a fingerprint.
pub(super) struct OnSubject<'a> {
    subject: &'a Subject,
    fingerprint: &'a Fingerprint,
    entry: &'static Entry,
}

/// Judges a run by one property, and notes when each event happened.
struct Witnessed {
    judge: Judge,
    times: Vec<SimTime>,
}

impl<'a> OnSubject<'a> {
    pub fn new(subject: &'a Subject, fingerprint: &'a Fingerprint) -> Self {
        let entry =
            find(fingerprint.property().as_str()).expect("a fingerprint's property is in the catalogue");
        Self { subject, fingerprint, entry }
    }
}

impl Trial for OnSubject<'_> {
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        let watch = Witnessed { judge: Judge::new([self.entry]), times: Vec::new() };
        match drive::watch(plan, self.subject, watch) {
            Ok((ran, witnessed)) => Ok(witnessed.shown(self.fingerprint, &ran)),
            // A run without an end is no smaller instance of anything.
            Err(RunError::Endless { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Watch for Witnessed {
    fn see(&mut self, moment: &Moment<'_>) {
        let head = match moment {
            Moment::Step(step) => Some(step.head),
            Moment::Client(event) | Moment::Fault(event) => Some(event.head),
            Moment::Rewound { .. } | Moment::End(_) => None,
        };
        if let Some(head) = head {
            self.times.resize(head.seq as usize + 1, head.at);
        }
        self.judge.observe(moment);
    }
}

impl Witnessed {
    fn shown(self, fingerprint: &Fingerprint, ran: &Ran) -> Option<Shown> {
        let Self { judge, times } = self;
        let verdict = judge.finish();
        let violation = verdict.violations.into_iter().find(|it| it.fingerprint == *fingerprint)?;
        let idle = ran.faults.iter().enumerate().filter(|(_, fate)| **fate != FaultFate::Happened);
        Some(Shown {
            at_ms: times.get(violation.at as usize).map(|at| at.0.div_ceil(1_000)),
            execution: violation.execution,
            idle: idle.map(|(place, _)| place).collect(),
            events: verdict.counts.events,
        })
    }
}
