//! How long a plan gives its run to settle once all that breaks is over: the bound of what must happen in the end.
//!
//! The bound is generous on purpose. It is the sum of all that may have to come one after the other, twice: a library is
//! called stuck where something does not happen, not where it happens late.

use super::{Ending, Execution, Fault, Plan, Priorities, Retry, ServerFault};

/// Workers say that they live, and connections are opened anew, within this time.
const ASIDE_MS: u64 = 2_000;
/// The retry back-off that the harness's own workers ask for, and what they wait before they repeat a call.
const AGAIN_MS: u64 = 500;
/// A segment that the network loses is sent again after this long.
const RETRANSMIT_MS: u64 = 200;
/// How often an execution comes round for each worker, before it is plain that none of those that are able asks first.
const ROUNDS: u64 = 12;
/// Clocks that are further apart than this are not waited for: what is not due by then may wait.
const MOST_SPREAD_MS: u64 = 60_000;

impl Plan {
    /// From the end of all faults to when every execution must be terminal, go on, or have a reason to wait, at the latest;
    /// milliseconds of the run. Of plans that [heal](Plan::heals).
    ///
    /// Twice the sum of: each scanner's period and one more for what two of them do one after the other, a lease's life, the
    /// distance of the clocks, and of each execution the work, the delays, and for each attempt a grant that is lost and
    /// issued anew. Where an execution demands capabilities, it comes round a dozen times for each worker.
    ///
    /// ```
    /// # use grantsim::plan::token::Token;
    /// let plan = Token::new("calm", 1)?.plan();
    /// assert!(plan.heals && plan.settle_ms() > plan.patience_ms());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle_ms(&self) -> u64 {
        let each = self.executions.iter().map(|execution| self.life_ms(execution));
        let all = each.fold(0u64, u64::saturating_add);
        let besides = [self.patience_ms(), self.tail_ms(), self.submitted_ms()];
        besides.into_iter().fold(all.saturating_mul(2), u64::saturating_add)
    }

    /// However many executions there are that have not ended, the next of them ends within this time; milliseconds.
    ///
    /// Twice the longest life of one, and the [patience](Self::patience_ms) for a single step.
    pub fn next_end_ms(&self) -> u64 {
        let longest = self.executions.iter().map(|execution| self.life_ms(execution)).max().unwrap_or(0);
        longest.saturating_mul(2).saturating_add(self.patience_ms())
    }

    /// How long nothing at all may happen to any execution that is to end, before the run is given up; milliseconds.
    ///
    /// Twice the longest that one of them may have to wait for any single step.
    pub fn patience_ms(&self) -> u64 {
        let s = &self.settings;
        let scans = s.lease_scan_ms
            + s.delayed_scan_ms
            + s.unblock_scan_ms
            + s.reclaim_scan_ms
            + self.other_scans_ms();
        let longest = self.executions.iter().map(longest_ms).max().unwrap_or(0);
        let one = scans
            + s.lease_ttl_ms
            + self.try_ms()
            + longest
            + 5 * s.request_timeout_ms
            + self.clock_spread_ms()
            + ASIDE_MS;
        one.saturating_mul(2)
    }

    /// How far two clocks of the plan may be apart, milliseconds; a minute at most.
    pub fn clock_spread_ms(&self) -> u64 {
        let wrong = self.clocks.values().map(|clock| {
            let jumps = clock.steps.iter().map(|step| step.by_ms).chain([clock.offset_ms]);
            let jumped = jumps.map(i64::unsigned_abs).fold(0u64, u64::saturating_add);
            let drifted = self.run_for_ms.saturating_mul(u64::from(clock.drift_ppm.unsigned_abs())) / 500_000;
            jumped.saturating_add(drifted)
        });
        // A server that takes another's place has a clock of its own.
        let other = self.faults.iter().map(|fault| match fault {
            Fault::Server { breaks: ServerFault::Failover { clock_ms, .. }, .. } => clock_ms.unsigned_abs(),
            _ => 0,
        });
        let other = other.fold(0u64, u64::saturating_add);
        wrong.max().unwrap_or(0).saturating_add(other).saturating_mul(2).min(MOST_SPREAD_MS)
    }

    /// The longest that a delay of the plan is, milliseconds: of a submission, of a worker, of a retry.
    pub fn longest_delay_ms(&self) -> u64 {
        let executions = self.executions.iter().map(longest_ms);
        executions.chain(self.deeds.iter().map(super::Deed::longest_ms)).max().unwrap_or(0).max(AGAIN_MS)
    }

    /// When the last of the plan's submissions and deeds is due, and the last of its clocks set; milliseconds of the run.
    pub fn over_ms(&self) -> u64 {
        let steps = self.clocks.values().flat_map(|clock| clock.steps.iter().map(|step| step.at_ms));
        let deeds = self.deeds.iter().map(super::Deed::longest_ms);
        steps.chain(deeds).chain([self.submitted_ms()]).max().unwrap_or(0)
    }

    /// When the last execution is submitted. A submitter that starts again begins anew.
    fn submitted_ms(&self) -> u64 {
        self.executions.iter().map(|execution| execution.at_ms).max().unwrap_or(0)
    }

    /// How often a failed attempt of an execution is tried again.
    pub fn retries_of(&self, execution: &Execution) -> u64 {
        u64::from(match &execution.terms.retry {
            None | Some(Retry::Text(_)) => u32::from(execution.max_retries),
            Some(Retry::Never) => 0,
            Some(Retry::Fixed { retries, .. } | Retry::Exponential { retries, .. }) => *retries,
        })
    }

    /// The periods of the scanners that only some deployments have, together.
    fn other_scans_ms(&self) -> u64 {
        self.settings.scans.all().into_iter().filter_map(|(_, ms)| ms).fold(0, u64::saturating_add)
    }

    /// How long what workers put aside that are not able may take to meet one that is.
    pub fn tail_ms(&self) -> u64 {
        let is_demanding = |execution: &Execution| !execution.capabilities.is_empty();
        let s = &self.settings;
        let round_ms = s.unblock_scan_ms + s.poll_ms + s.poll_jitter_ms + s.grant_ttl_ms;
        let is_any = self.executions.iter().any(is_demanding);
        let rounds = if is_any { ROUNDS * self.workers.len() as u64 } else { 0 };
        round_ms.saturating_mul(rounds)
    }

    /// How long it takes to grant and claim when the first grant is lost.
    fn try_ms(&self) -> u64 {
        let s = &self.settings;
        let lanes = self.workers.iter().map(|worker| worker.lanes.len() as u64).max().unwrap_or(1);
        let polls = (s.poll_ms + s.poll_jitter_ms) * (lanes + 1);
        s.grant_ttl_ms + polls + 2 * s.request_timeout_ms + self.way_ms(10)
    }

    /// How long a request or a message is under way at most, where nothing is lost; microseconds.
    pub fn hop_us(&self) -> u64 {
        let waits_us = self.priorities.as_ref().map_or(0, Priorities::most_us);
        (self.network.latency_us + self.network.jitter_us).saturating_add(waits_us)
    }

    /// How long so many messages take one after the other, at most.
    fn way_ms(&self, hops: u64) -> u64 {
        let again = if self.network.loss_ppm > 0 { RETRANSMIT_MS } else { 0 };
        (self.hop_us().saturating_mul(hops) / 1_000).saturating_add(1 + again * hops)
    }

    /// How long the life of an execution takes when each of its attempts needs a second grant.
    fn life_ms(&self, execution: &Execution) -> u64 {
        let s = &self.settings;
        let lost_ms = s.lease_ttl_ms + s.lease_scan_ms + s.reclaim_scan_ms + ASIDE_MS;
        let scans_ms = self.other_scans_ms();
        let of_work = |work: &super::Work| {
            let then = match work.ends {
                Ending::Delay(by_ms) => by_ms + s.delayed_scan_ms,
                Ending::Fail => AGAIN_MS + s.delayed_scan_ms,
                Ending::Vanish => lost_ms,
                Ending::Suspend(wait) => wait.timeout_ms.unwrap_or(0).saturating_add(scans_ms),
                Ending::WaitChildren => scans_ms,
                Ending::Complete | Ending::Cancel => 0,
            };
            work.takes_ms.saturating_add(then).saturating_add(self.try_ms())
        };
        let planned = execution.work.iter().map(of_work).fold(0u64, u64::saturating_add);
        let again = execution.work.last().map_or(0, of_work).saturating_mul(self.retries_of(execution));
        planned.saturating_add(again).saturating_add(execution.longest_ms())
    }
}

/// The longest that one execution waits for a time that its plan names, or works.
fn longest_ms(execution: &Execution) -> u64 {
    execution.longest_ms()
}

#[cfg(test)]
mod tests {
    use crate::plan::{Ending, Fault, Plan, Priorities, ServerFault, Work, WrongClock, token::Token};
    use crate::types::Node;

    fn plan() -> Plan {
        Token::new("calm", 1).expect("a profile").plan()
    }

    #[test]
    fn the_clock_of_a_promoted_server_is_one_that_may_be_wrong() {
        let mut plan = plan();
        for clock_ms in [700, -900] {
            let breaks = ServerFault::Failover {
                down_ms: 1,
                lag_ms: 0,
                lag_us: 0,
                clock_ms,
                former_ms: 0,
                demoted_ms: 0,
            };
            plan.faults.push(Fault::Server { at_ms: 5, upon: None, breaks });
        }
        assert_eq!(plan.clock_spread_ms(), 2 * (700 + 900));
    }

    /// What a change of the plan adds to its bound.
    fn adds(change: impl FnOnce(&mut Plan)) -> u64 {
        let mut changed = plan();
        change(&mut changed);
        changed.settle_ms() - plan().settle_ms()
    }

    #[test]
    fn whatever_takes_longer_gives_a_run_longer_to_settle() {
        assert!(adds(|plan| plan.settings.lease_ttl_ms += 1_000) >= 2_000);
        assert!(adds(|plan| plan.settings.grant_ttl_ms += 1_000) >= 2_000);
        assert!(adds(|plan| plan.settings.unblock_scan_ms += 1_000) >= 2_000);
        assert!(adds(|plan| plan.executions[0].delay_ms = Some(100_000)) >= 200_000);
        let places = [(Node::Scanner, [(3, 9)].into())].into();
        let priorities = Priorities { step_us: 1_000, places };
        assert!(adds(|plan| plan.priorities = Some(priorities)) >= 180, "a hop is 9 ms longer");
        assert!(adds(|plan| plan.executions[0].work = vec![Work::new(100_000, Ending::Complete)]) > 0);
        assert!(
            adds(|plan| {
                plan.clocks.insert(Node::Scanner, WrongClock { offset_ms: -5_000, ..WrongClock::default() });
            }) >= 20_000
        );
    }

    #[test]
    fn no_clock_makes_a_run_last_for_years() {
        let mut wild = plan();
        wild.clocks.insert(Node::Valkey, WrongClock { offset_ms: i64::MIN / 2, ..WrongClock::default() });
        assert_eq!(wild.clock_spread_ms(), 60_000);
    }
}
