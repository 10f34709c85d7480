//! What happened, in numbers. Sums of integers: the order in which runs arrive does not matter.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    trace::{End, Ended, Happened, Moment, Step},
    types::{Answer, FaultClass, Function, OwnershipState, Reason, Waiting},
};

/// What happened in a run, or in many.
///
/// ```
/// use grantsim::property::Counts;
///
/// let mut all = Counts { grants: 2, sim_us: 1_500_000, ..Counts::default() };
/// all.add(&Counts { grants: 1, ..Counts::default() });
/// let json = serde_json::to_value(&all).unwrap();
/// assert_eq!((&json["grants"], &json["sim_seconds"]), (&3.into(), &1.5.into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Moments: what clients did and saw, what broke, what the server executed.
    pub events: u64,
    /// Function calls that the server executed.
    pub calls: u64,
    /// Grants issued.
    pub grants: u64,
    /// Leases created.
    pub claims: u64,
    /// Grants that expired before anyone took them.
    pub expiries: u64,
    /// Leases that were marked expired.
    pub lost_leases: u64,
    /// Faults that happened, by class.
    pub faults: BTreeMap<FaultClass, u64>,
    /// Runs that ended before all executions had: with a reason, stuck, or cut short.
    pub unfinished: u64,
    /// Of these, runs that settled with executions standing still: by the reasons, each run once a reason.
    pub stood_still: BTreeMap<Reason, u64>,
    /// Of these, runs in which something that must happen in the end did not.
    pub stuck: u64,
    /// Simulated time, microseconds; in JSON it is `sim_seconds`.
    #[serde(rename = "sim_seconds", serialize_with = "seconds", deserialize_with = "micros")]
    pub sim_us: u64,
    /// What the functions answered: calls by function and answer. In a hunt's counts, a function that the library registers
    /// and that nobody called has no answer. In JSON it is `functions`; reports of earlier builds say `answers`.
    #[serde(rename = "functions", alias = "answers")]
    pub answers: BTreeMap<Function, BTreeMap<Answer, u64>>,
}

fn seconds<S: Serializer>(micros: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*micros as f64 / 1e6)
}

/// Exact for all that a hunt can simulate: seconds with six digits are told apart up to 2^53 microseconds, 285 years.
fn micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    f64::deserialize(deserializer).map(|seconds| (seconds * 1e6).round() as u64)
}

impl Counts {
    /// Counts the next moment.
    pub fn observe(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::End(ended) => return self.ended(ended),
            Moment::Step(step) => self.step(step),
            Moment::Fault(event) => {
                if let Some(class) = event.what.fault_class() {
                    *self.faults.entry(class).or_default() += 1;
                }
            }
            Moment::Client(_) | Moment::Rewound { .. } => {}
        }
        self.events += 1;
    }

    /// Names the functions of a library, so that those show which nobody calls.
    pub fn name_functions<'f>(&mut self, functions: impl IntoIterator<Item = &'f Function>) {
        for function in functions {
            self.answers.entry(function.clone()).or_default();
        }
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.calls += other.calls;
        self.grants += other.grants;
        self.claims += other.claims;
        self.expiries += other.expiries;
        self.lost_leases += other.lost_leases;
        self.unfinished += other.unfinished;
        self.stuck += other.stuck;
        add_all(&mut self.stood_still, &other.stood_still);
        self.sim_us += other.sim_us;
        add_all(&mut self.faults, &other.faults);
        for (function, answers) in &other.answers {
            add_all(self.answers.entry(function.clone()).or_default(), answers);
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        if let Some(call) = &step.call {
            self.calls += 1;
            let answers = self.answers.entry(call.function.clone()).or_default();
            *answers.entry(call.answer.clone()).or_default() += 1;
        }
        for change in step.changes() {
            match &change.what {
                Happened::GrantIssued(_) => self.grants += 1,
                Happened::LeaseCreated { .. } => self.claims += 1,
                Happened::GrantExpired(_) => self.expiries += 1,
                Happened::StateChanged { from, to } => {
                    let marked = OwnershipState::LeaseExpiredReclaimable;
                    let was_marked = from.as_ref().is_some_and(|from| from.ownership == marked);
                    self.lost_leases += u64::from(to.ownership == marked && !was_marked);
                }
                _ => {}
            }
        }
    }

    fn ended(&mut self, ended: &Ended) {
        self.unfinished += u64::from(ended.how != End::Quiet);
        self.stuck += u64::from(ended.how == End::Stuck);
        if ended.how == End::Settled {
            let reasons: BTreeSet<Reason> = ended.waiting.iter().filter_map(Waiting::reason).collect();
            reasons.into_iter().for_each(|reason| *self.stood_still.entry(reason).or_default() += 1);
        }
        self.sim_us += ended.at_us.0;
    }
}

fn add_all<K: Ord + Clone>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        *sums.entry(key.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        property::testing::Story,
        trace::What,
        types::{Code, Node, Status},
    };

    fn counts() -> Counts {
        let story = Story::new()
            .created(0)
            .granted(10, 20)
            .reaped(21)
            .granted(30, 60)
            .claimed(40, 1, 100)
            .marked(100)
            .step(
                101,
                "ff_mark_lease_expired_if_due e1",
                "OK",
                "HSET :core blocking_reason waiting_for_worker",
            );
        let refused = story.step(102, "ff_renew_lease e1 0 a1 l1 1 0 0", "lease_expired", "");
        refused
            .event(Node::Worker(1), None, What::Crashed)
            .event(Node::Worker(1), None, What::Restarted)
            .verdict()
            .counts
    }

    #[test]
    fn a_run_is_counted() {
        let counts = counts();
        assert_eq!((counts.events, counts.calls), (10, 7));
        assert_eq!((counts.grants, counts.claims, counts.expiries, counts.lost_leases), (2, 1, 1, 1));
        assert_eq!(counts.faults, [(FaultClass::Crash, 1)].into());
        assert_eq!((counts.unfinished, counts.sim_us), (0, 1_500_000));
        let answers = |function| &counts.answers[&function];
        assert_eq!(answers(Function::MarkLeaseExpiredIfDue)[&Answer::Consent(Status::Ok)], 2);
        assert_eq!(answers(Function::RenewLease)[&Answer::Refusal(Code::LeaseExpired)], 1);
    }

    #[test]
    fn two_runs_are_the_sum_of_both_in_either_order() {
        let (one, mut sum) = (counts(), Counts::default());
        sum.add(&one);
        assert_eq!(sum, one);
        sum.add(&one);
        assert_eq!((sum.events, sum.sim_us, sum.faults[&FaultClass::Crash]), (20, 3_000_000, 2));
        assert_eq!(sum.answers[&Function::IssueClaimGrant][&Answer::Consent(Status::Ok)], 4);
    }

    #[test]
    fn in_json_the_words_are_keys_and_the_time_is_a_number_of_seconds() {
        let json = serde_json::to_value(counts()).unwrap();
        assert_eq!((&json["sim_seconds"], &json["faults"]["crash"]), (&1.5.into(), &1.into()));
        assert_eq!(json["functions"]["ff_renew_lease"]["lease_expired"], 1);
    }

    #[test]
    fn a_function_that_nobody_calls_is_named_and_what_was_called_keeps_its_answers() {
        let mut named = counts();
        named.name_functions(&[Function::RenewLease, Function::Version]);
        assert!(named.answers[&Function::Version].is_empty());
        assert_eq!(named.answers[&Function::RenewLease].values().sum::<u64>(), 1);
        let mut sum = Counts::default();
        sum.add(&named);
        assert!(sum.answers.contains_key(&Function::Version), "a sum keeps the names");
    }

    #[test]
    fn a_report_of_an_earlier_build_is_read_too() {
        let text = serde_json::to_string(&counts()).unwrap().replace("\"functions\"", "\"answers\"");
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts());
    }
}
