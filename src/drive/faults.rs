//! The plan's faults as rules: each looks at what is about to happen and says what becomes of it.
//!
//! How rules combine, where several hit one call:
//!
//! 1. *lost-request* wins: the request never leaves, and everything else on this call is hidden by it;
//! 2. *claim-at-expiry* says when it arrives, and hides a *late-request*; of two of a kind the first of the plan counts;
//! 3. every *repeated-request* sends it once more;
//! 4. *lost-reply* takes the reply in the end, once.
//!
//! Of messages the first fault of the plan counts. A crash of a process that is down, a pause of one that is down or stands
//! still, and a partition of two nodes that are parted that way already are hidden by the fault that came before; a path is
//! free again when the last partition over it is over. A fault that never had its turn is *never*: [`Faults::fates`] tells.

use std::collections::BTreeMap;

use crate::{
    plan::{CallRef, Cut, Fate, Fault, Plan},
    trace::FaultFate,
    types::{ExecutionName, Function, Millis, Node, SimTime},
};

/// The faults of a plan, and what became of each.
#[derive(Clone, Debug)]
pub struct Faults {
    rules: Vec<Rule>,
    claim_function: Function,
    /// Who is down, and by which rule.
    down: BTreeMap<Node, usize>,
    /// Who stands still, and by which rule.
    still: BTreeMap<Node, usize>,
    /// The partitions that hold.
    parted: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Rule {
    fault: Fault,
    /// How many calls or messages matched so far.
    matched: u32,
    fate: FaultFate,
}

/// What becomes of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallVerdict {
    /// The connection is reset before the request leaves.
    pub lose_request: bool,
    /// The request stays in the network.
    pub hold: Option<Hold>,
    /// The request is sent once more, so much later.
    pub repeats: Vec<Millis>,
    /// The connection is reset before the reply arrives.
    pub lose_reply: bool,
    /// The faults that hit it, in the order of the plan: what the trace tells.
    pub hits: Vec<Fault>,
}

/// For how long something stays in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So much longer.
    By(Millis),
    /// Until the server's clock reads the stored expiry of the execution's grant, plus so many milliseconds.
    UntilGrantExpiry(i64),
}

/// Something to do at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// When.
    pub at: SimTime,
    /// What.
    pub act: Act,
    /// The fault it belongs to, by its place in the plan; none for a clock that is set.
    rule: Option<usize>,
}

/// What a driver does to nodes and paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Kills a process.
    Crash(Node),
    /// Starts it again.
    Restart(Node),
    /// Has a process stand still.
    Pause(Node),
    /// Has it go on.
    Resume(Node),
    /// Parts two nodes.
    Cut(Node, Node, Cut),
    /// Joins them again.
    Heal(Node, Node),
    /// A node's clock is set by so many milliseconds: it does so by itself, and only has to be told.
    SetClock(Node, i64),
}

impl Faults {
    /// The faults of a plan; `claim_function` is what `claim` means in it.
    pub fn new(plan: &Plan, claim_function: Function) -> Self {
        let rule = |fault: &Fault| Rule { fault: fault.clone(), matched: 0, fate: FaultFate::Never };
        Self {
            rules: plan.faults.iter().map(rule).collect(),
            claim_function,
            down: BTreeMap::new(),
            still: BTreeMap::new(),
            parted: Vec::new(),
        }
    }

    /// What became of each fault, in the order of the plan.
    pub fn fates(&self) -> Vec<FaultFate> {
        self.rules.iter().map(|rule| rule.fate).collect()
    }

    /// What becomes of a call that is about to be sent.
    pub fn call(
        &mut self,
        node: Node,
        function: &Function,
        execution: Option<&ExecutionName>,
    ) -> CallVerdict {
        let mut hits = Vec::new();
        for (place, rule) in self.rules.iter_mut().enumerate() {
            let Some(call) = rule.fault.call() else { continue };
            if matches(call, node, function, execution, &self.claim_function) {
                rule.matched += 1;
                if rule.matched == call.nth {
                    hits.push(place);
                }
            }
        }
        self.combine(&hits)
    }

    fn combine(&mut self, hits: &[usize]) -> CallVerdict {
        let mut verdict = CallVerdict::default();
        let first = |faults: &Self, is: fn(&Fault) -> bool| {
            hits.iter().copied().find(|place| is(&faults.rules[*place].fault))
        };
        let lost = first(self, |fault| matches!(fault, Fault::LoseRequest { .. }));
        let holder = first(self, |fault| matches!(fault, Fault::ClaimAtExpiry { .. }))
            .or_else(|| first(self, |fault| matches!(fault, Fault::DelayRequest { .. })));
        let deaf = first(self, |fault| matches!(fault, Fault::LoseReply { .. }));
        for &place in hits {
            let by = match &self.rules[place].fault {
                _ if lost.is_some() => lost,
                Fault::ClaimAtExpiry { .. } | Fault::DelayRequest { .. } => holder,
                Fault::LoseReply { .. } => deaf,
                _ => Some(place),
            };
            let Some(by) = by.filter(|by| *by != place) else {
                self.happen(place, &mut verdict);
                continue;
            };
            self.rules[place].fate = FaultFate::HiddenBy(by);
        }
        debug_assert!(
            !verdict.lose_request || verdict.hits.len() == 1,
            "nothing else happens to a lost request"
        );
        verdict
    }

    fn happen(&mut self, place: usize, verdict: &mut CallVerdict) {
        let rule = &mut self.rules[place];
        rule.fate = FaultFate::Happened;
        verdict.hits.push(rule.fault.clone());
        match rule.fault {
            Fault::LoseRequest { .. } => verdict.lose_request = true,
            Fault::LoseReply { .. } => verdict.lose_reply = true,
            Fault::DelayRequest { by_ms, .. } => verdict.hold = Some(Hold::By(Millis(by_ms))),
            Fault::ClaimAtExpiry { offset_ms, .. } => verdict.hold = Some(Hold::UntilGrantExpiry(offset_ms)),
            Fault::RepeatRequest { after_ms, .. } => verdict.repeats.push(Millis(after_ms)),
            Fault::Crash { .. }
            | Fault::Pause { .. }
            | Fault::Partition { .. }
            | Fault::GrantMessage { .. } => {
                unreachable!("these faults hit no call")
            }
        }
    }

    /// What becomes of a message about a grant that is about to be sent.
    pub fn message(&mut self, from: Node, execution: &ExecutionName) -> Option<Fate> {
        let mut chosen: Option<(usize, Fate)> = None;
        for (place, rule) in self.rules.iter_mut().enumerate() {
            let Fault::GrantMessage { from: sender, execution: about, nth, fate } = &rule.fault else {
                continue;
            };
            let is_ours = sender.is_none_or(|sender| sender == from)
                && about.as_ref().is_none_or(|about| about == execution);
            if !is_ours {
                continue;
            }
            rule.matched += 1;
            if rule.matched != *nth {
                continue;
            }
            match chosen {
                Some((first, _)) => rule.fate = FaultFate::HiddenBy(first),
                None => {
                    chosen = Some((place, *fate));
                    rule.fate = FaultFate::Happened;
                }
            }
        }
        chosen.map(|(_, fate)| fate)
    }

    /// All that has a time, in order; what has the same time, in the order of the plan.
    pub fn timed(plan: &Plan) -> Vec<Timed> {
        let mut all = Vec::new();
        for (place, fault) in plan.faults.iter().enumerate() {
            let mut add = |at_ms: u64, act| {
                all.push(Timed { at: SimTime::from_millis(at_ms), act, rule: Some(place) });
            };
            match *fault {
                Fault::Crash { node, at_ms, down_ms } => {
                    add(at_ms, Act::Crash(node));
                    if let Some(down_ms) = down_ms {
                        add(at_ms.saturating_add(down_ms), Act::Restart(node));
                    }
                }
                Fault::Pause { node, at_ms, for_ms } => {
                    add(at_ms, Act::Pause(node));
                    add(at_ms.saturating_add(for_ms), Act::Resume(node));
                }
                Fault::Partition { a, b, at_ms, for_ms, cut } => {
                    add(at_ms, Act::Cut(a, b, cut));
                    add(at_ms.saturating_add(for_ms), Act::Heal(a, b));
                }
                _ => {}
            }
        }
        for (node, clock) in &plan.clocks {
            all.extend(clock.steps.iter().map(|step| Timed {
                at: SimTime::from_millis(step.at_ms),
                act: Act::SetClock(*node, step.by_ms),
                rule: None,
            }));
        }
        all.sort_by_key(|timed| timed.at);
        all
    }

    /// Whether something that is due is to be done, or was overtaken by another fault.
    pub fn admit(&mut self, timed: &Timed) -> bool {
        let Some(place) = timed.rule else { return true };
        let hidden_by = match timed.act {
            Act::Crash(node) => self.down.get(&node).copied(),
            Act::Pause(node) => self.down.get(&node).or(self.still.get(&node)).copied(),
            Act::Cut(a, b, cut) => self.parted_by(a, b, cut),
            Act::Restart(node) => {
                return self.end(place, |faults| {
                    (faults.down.get(&node) == Some(&place)).then(|| faults.down.remove(&node)).is_some()
                });
            }
            Act::Resume(node) => {
                return self.end(place, |faults| {
                    (faults.still.get(&node) == Some(&place)).then(|| faults.still.remove(&node)).is_some()
                });
            }
            Act::Heal(a, b) => return self.end(place, |faults| faults.heal(place, a, b)),
            Act::SetClock(..) => return true,
        };
        if let Some(by) = hidden_by {
            self.rules[place].fate = FaultFate::HiddenBy(by);
            return false;
        }
        self.rules[place].fate = FaultFate::Happened;
        match timed.act {
            Act::Crash(node) => {
                self.still.remove(&node);
                self.down.insert(node, place);
            }
            Act::Pause(node) => {
                self.still.insert(node, place);
            }
            _ => self.parted.push(place),
        }
        true
    }

    /// The end of a fault that happened; one that was hidden has none.
    fn end(&mut self, place: usize, end: impl FnOnce(&mut Self) -> bool) -> bool {
        self.rules[place].fate == FaultFate::Happened && end(self)
    }

    /// Whether the two can see each other again, now that one of their partitions is over.
    fn heal(&mut self, place: usize, a: Node, b: Node) -> bool {
        self.parted.retain(|parted| *parted != place);
        !self.parted.iter().any(|parted| joins(&self.rules[*parted].fault, a, b))
    }

    /// The rule by which nothing passes between the two in this way already.
    fn parted_by(&self, a: Node, b: Node, cut: Cut) -> Option<usize> {
        let covers = |place: &&usize| match self.rules[**place].fault {
            Fault::Partition { a: one, b: other, cut: held, .. } if (one, other) == (a, b) => {
                held == Cut::Both || held == cut
            }
            Fault::Partition { a: one, b: other, cut: held, .. } if (one, other) == (b, a) => {
                held == Cut::Both || held.reversed() == cut
            }
            _ => false,
        };
        self.parted.iter().find(covers).copied()
    }
}

fn joins(fault: &Fault, a: Node, b: Node) -> bool {
    matches!(fault, Fault::Partition { a: one, b: other, .. } if (*one, *other) == (a, b) || (*one, *other) == (b, a))
}

fn matches(
    call: &CallRef,
    node: Node,
    function: &Function,
    execution: Option<&ExecutionName>,
    claim_function: &Function,
) -> bool {
    call.node.is_none_or(|of| of == node)
        && call.function.covers(function, claim_function)
        && call.execution.as_ref().is_none_or(|about| Some(about) == execution)
}
