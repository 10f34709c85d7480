//! The plan's faults as rules: each looks at what is about to happen and says what becomes of it.
//!
//! How rules combine, where several hit one call:
//!
//! 1. *lost-request* wins: the request never leaves, and everything else on this call is hidden by it;
//! 2. *at-deadline* says when it arrives, and hides a *late-request*; of two of a kind the first of the plan counts;
//! 3. every *repeated-request* sends it once more;
//! 4. *lost-reply* takes the reply in the end, once;
//! 5. what a hostile caller changes of the request (*other-lane*, *stale-fence*, *bad-argument*) is changed in the order of
//!    the plan, whatever else happens to it but being lost.
//!
//! The server breaks once at a time in each way, and not at all while it is away.
//!
//! Of messages the first fault of the plan counts. A crash of a process that is down, a pause of one that is down or stands
//! still, and a partition of two nodes that are parted that way already are hidden by the fault that came before; each way of
//! a path is free again when the last partition over it is over. A fault that never had its turn is *never*: [`Faults::fates`] tells.

use std::collections::BTreeMap;

use crate::{
    plan::{Cut, Fate, Fault, Keeps, Plan, Policy, SYNC_TAKES_US, ServerFault},
    protocol::{PresentedFence, Request},
    trace::FaultFate,
    types::{Deadline, ExecutionName, FaultClass, Function, Millis, Node, SimTime},
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
    /// What of the server is broken, and by which rule.
    ailing: BTreeMap<FaultClass, usize>,
    /// By which rule the server is away.
    away: Option<usize>,
    /// The fences that were presented so far, by execution, the oldest first; kept only where a fault asks for them.
    fences: Option<BTreeMap<ExecutionName, Vec<PresentedFence>>>,
    /// Nothing breaks any more.
    is_over: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    fault: Fault,
    /// How many calls or messages matched so far.
    matched: u32,
    fate: FaultFate,
    /// What is still to be done about the server.
    pending: Vec<ServerAct>,
}

/// What becomes of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallVerdict {
    /// The connection is reset before the request leaves.
    pub lose_request: bool,
    /// The request stays in the network.
    pub hold: Option<Hold>,
    /// The request is sent once more, so much later.
    pub repeats: Vec<Millis>,
    /// The connection is reset before the reply arrives.
    pub lose_reply: bool,
    /// What is changed of the request, in order.
    pub tampers: Vec<Tamper>,
    /// The faults that hit it, in the order of the plan: what the trace tells.
    pub hits: Vec<Fault>,
}

/// What a hostile caller changes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tamper {
    /// It is sent with another lane.
    Lane(String),
    /// It presents another fence.
    Fence(PresentedFence),
    /// One of its ARGV, counted from 1, is another.
    Argument(usize, String),
}

impl CallVerdict {
    /// The request as it is sent.
    pub fn tampered(&self, request: Request) -> Request {
        self.tampers.iter().fold(request, |request, tamper| match tamper {
            Tamper::Lane(lane) => request.with_lane(lane),
            Tamper::Fence(fence) => request.with_fence(fence),
            Tamper::Argument(nth, value) => request.with_argument(*nth, value.as_bytes()),
        })
    }
}

/// For how long something stays in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// So much longer.
    By(Millis),
    /// Until the server's clock reads a deadline of the execution, as it is stored, plus so many milliseconds.
    Until(Deadline, i64),
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
    /// Joins them again, but for the way that another partition still cuts.
    Heal(Node, Node, Option<Cut>),
    /// A node's clock is set by so many milliseconds: it does so by itself, and only has to be told.
    SetClock(Node, i64),
    /// Does something about the server.
    Server(ServerAct),
}

/// What a driver does about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAct {
    /// It is gone, by this fault.
    Dies(ServerFault),
    /// It is back.
    Returns {
        /// With what was written until then; without anything where there is none.
        kept: Option<SimTime>,
        /// Without its function library.
        without_functions: bool,
        /// It answers `LOADING` until it is told [`Loaded`](Self::Loaded).
        is_loading: bool,
    },
    /// All is loaded.
    Loaded,
    /// A replica is the server from now on, with what was written until then.
    Promotes {
        /// Until when.
        kept: SimTime,
        /// The failover.
        breaks: ServerFault,
    },
    /// The former one follows the new one from now on.
    DemotesFormer,
    /// The former one is gone.
    FormerDies,
    /// Its function library is gone.
    ForgetsLibrary,
    /// Its function library is loaded, in the place of the one that it has.
    LoadsLibrary,
    /// Another version of its library is loaded in its place.
    LoadsOther,
    /// Its clients wait for so long, milliseconds; only those that write, or all.
    PausesClients(u64, bool),
    /// They go on.
    ResumesClients,
    /// It has no memory for writes.
    FillsMemory,
    /// It has memory again.
    FreesMemory,
    /// It evicts so many keys, by a policy.
    Evicts(u32, Policy),
    /// What goes to it and comes from it takes so much longer, milliseconds.
    Slows(u64),
    /// It takes as long as ever.
    Quickens,
}

/// What is done in the course of a fault that has a time, and when: its time is counted from `from`.
fn acts(fault: &Fault, from: SimTime) -> Vec<(SimTime, Act)> {
    let after = |at: SimTime, ms: u64| at.after(ms.saturating_mul(1_000));
    match *fault {
        Fault::Crash { node, at_ms, down_ms, .. } => {
            let at = after(from, at_ms);
            let back = down_ms.map(|down_ms| (after(at, down_ms), Act::Restart(node)));
            [(at, Act::Crash(node))].into_iter().chain(back).collect()
        }
        Fault::Pause { node, at_ms, for_ms, .. } => {
            let at = after(from, at_ms);
            vec![(at, Act::Pause(node)), (after(at, for_ms), Act::Resume(node))]
        }
        Fault::Partition { a, b, at_ms, for_ms, cut, .. } => {
            let at = after(from, at_ms);
            vec![(at, Act::Cut(a, b, cut)), (after(at, for_ms), Act::Heal(a, b, None))]
        }
        Fault::Server { at_ms, ref breaks, .. } => {
            let acts = course(after(from, at_ms), breaks).into_iter();
            acts.map(|(at, act)| (at, Act::Server(act))).collect()
        }
        _ => Vec::new(),
    }
}

/// Those of a fault's acts that are done about the server.
fn of_the_server(acts: &[(SimTime, Act)]) -> Vec<ServerAct> {
    let of_the_server = |(_, act): &(SimTime, Act)| match act {
        Act::Server(act) => Some(*act),
        _ => None,
    };
    acts.iter().filter_map(of_the_server).collect()
}

/// The acts of the fault at a place of the plan.
fn timed(place: usize, acts: Vec<(SimTime, Act)>) -> impl Iterator<Item = Timed> {
    acts.into_iter().map(move |(at, act)| Timed { at, act, rule: Some(place) })
}

/// What is done about the server in the course of a fault, and when.
fn course(at: SimTime, breaks: &ServerFault) -> Vec<(SimTime, ServerAct)> {
    let after = |ms: u64| at.after(ms.saturating_mul(1_000));
    let before = |ms: u64| SimTime(at.0.saturating_sub(ms.saturating_mul(1_000)));
    match *breaks {
        ServerFault::Lost { down_ms, keeps, loading_ms, without_functions_ms } => {
            let kept = match keeps {
                Keeps::All => Some(at),
                Keeps::Synced(fsync) => Some(fsync.kept_until(at, SYNC_TAKES_US)),
                Keeps::Snapshot(age_ms) => Some(before(age_ms)),
                Keeps::Nothing => None,
            };
            let returns = ServerAct::Returns {
                kept,
                without_functions: without_functions_ms > 0,
                is_loading: loading_ms > 0,
            };
            let mut acts = vec![(at, ServerAct::Dies(*breaks)), (after(down_ms), returns)];
            if loading_ms > 0 {
                acts.push((after(down_ms.saturating_add(loading_ms)), ServerAct::Loaded));
            }
            if without_functions_ms > 0 {
                acts.push((after(down_ms.saturating_add(without_functions_ms)), ServerAct::LoadsLibrary));
            }
            acts
        }
        ServerFault::Failover { down_ms, former_ms, demoted_ms, .. } => {
            let kept = SimTime(at.0.saturating_sub(breaks.behind_us()));
            let promotes = (after(down_ms), ServerAct::Promotes { kept, breaks: *breaks });
            if former_ms == 0 {
                return vec![(at, ServerAct::Dies(*breaks)), promotes];
            }
            let demoted = after(down_ms.saturating_add(former_ms));
            let demotes = (demoted_ms > 0).then_some((demoted, ServerAct::DemotesFormer));
            let dies = (demoted.after(demoted_ms.saturating_mul(1_000)), ServerAct::FormerDies);
            [promotes].into_iter().chain(demotes).chain([dies]).collect()
        }
        ServerFault::LibraryGone { for_ms } => {
            vec![(at, ServerAct::ForgetsLibrary), (after(for_ms), ServerAct::LoadsLibrary)]
        }
        ServerFault::LibraryReloaded => vec![(at, ServerAct::LoadsLibrary)],
        ServerFault::LibraryReplaced { for_ms } => {
            vec![(at, ServerAct::LoadsOther), (after(for_ms), ServerAct::LoadsLibrary)]
        }
        ServerFault::ClientsPaused { for_ms, writes_only } => vec![
            (at, ServerAct::PausesClients(for_ms, writes_only)),
            (after(for_ms), ServerAct::ResumesClients),
        ],
        ServerFault::OutOfMemory { for_ms } => {
            vec![(at, ServerAct::FillsMemory), (after(for_ms), ServerAct::FreesMemory)]
        }
        ServerFault::Evicts { keys, policy } => vec![(at, ServerAct::Evicts(keys, policy))],
        ServerFault::Slow { for_ms, by_ms } => {
            vec![(at, ServerAct::Slows(by_ms)), (after(for_ms), ServerAct::Quickens)]
        }
    }
}

impl Faults {
    /// The faults of a plan; `claim_function` is what `claim` means in it.
    pub fn new(plan: &Plan, claim_function: Function) -> Self {
        let rule = |fault: &Fault| {
            // Those that come upon a call get their course with it.
            let acts = if fault.upon().is_none() { acts(fault, SimTime::START) } else { Vec::new() };
            Rule { fault: fault.clone(), matched: 0, fate: FaultFate::Never, pending: of_the_server(&acts) }
        };
        Self {
            rules: plan.faults.iter().map(rule).collect(),
            claim_function,
            down: BTreeMap::new(),
            still: BTreeMap::new(),
            parted: Vec::new(),
            ailing: BTreeMap::new(),
            away: None,
            fences: plan
                .faults
                .iter()
                .any(|fault| matches!(fault, Fault::StaleFence { .. }))
                .then(BTreeMap::new),
            is_over: false,
        }
    }

    /// Remembers the fence that a request about to be sent presents, if any fault may ask for it.
    pub fn present(&mut self, execution: Option<&ExecutionName>, request: &Request) {
        let Some(fences) = &mut self.fences else { return };
        let (Some(execution), Some(fence)) = (execution, request.fence()) else { return };
        let seen = fences.entry(execution.clone()).or_default();
        if seen.iter().all(|known| known.lease_id != fence.lease_id) {
            seen.push(fence);
        }
    }

    /// The fence so many leases older than the last that was presented.
    fn older_fence(&self, execution: Option<&ExecutionName>, age: u32) -> Option<PresentedFence> {
        let seen = self.fences.as_ref()?.get(execution?)?;
        let place = seen.len().checked_sub(1 + age as usize)?;
        seen.get(place).cloned()
    }

    /// What became of each fault, in the order of the plan.
    pub fn fates(&self) -> Vec<FaultFate> {
        self.rules.iter().map(|rule| rule.fate).collect()
    }

    /// Whether a hostile caller has taken part so far.
    pub fn were_hostile(&self) -> bool {
        let is_hostile = |rule: &Rule| FaultClass::HOSTILE.contains(&rule.fault.class());
        self.rules.iter().any(|rule| rule.fate == FaultFate::Happened && is_hostile(rule))
    }

    /// What becomes of a call that is about to be sent.
    pub fn call(
        &mut self,
        node: Node,
        function: &Function,
        execution: Option<&ExecutionName>,
    ) -> CallVerdict {
        if self.is_over {
            return CallVerdict::default();
        }
        let mut hits = Vec::new();
        for place in 0..self.rules.len() {
            let rule = &self.rules[place];
            let Some(call) = rule.fault.call() else { continue };
            if !call.matches(node, function, execution, &self.claim_function) {
                continue;
            }
            let (matched, nth) = (rule.matched + 1, call.nth);
            let is_hit = match rule.fault {
                // It waits for the first for which there is an older lease.
                Fault::StaleFence { age, .. } => {
                    rule.fate == FaultFate::Never
                        && matched >= nth
                        && self.older_fence(execution, age).is_some()
                }
                _ => matched == nth,
            };
            self.rules[place].matched = matched;
            if is_hit {
                hits.push(place);
            }
        }
        self.combine(&hits, execution)
    }

    fn combine(&mut self, hits: &[usize], execution: Option<&ExecutionName>) -> CallVerdict {
        let mut verdict = CallVerdict::default();
        let first = |faults: &Self, is: fn(&Fault) -> bool| {
            hits.iter().copied().find(|place| is(&faults.rules[*place].fault))
        };
        let lost = first(self, |fault| matches!(fault, Fault::LoseRequest { .. }));
        let holder = first(self, |fault| matches!(fault, Fault::AtDeadline { .. }))
            .or_else(|| first(self, |fault| matches!(fault, Fault::DelayRequest { .. })));
        let deaf = first(self, |fault| matches!(fault, Fault::LoseReply { .. }));
        for &place in hits {
            let by = match &self.rules[place].fault {
                _ if lost.is_some() => lost,
                Fault::AtDeadline { .. } | Fault::DelayRequest { .. } => holder,
                Fault::LoseReply { .. } => deaf,
                _ => Some(place),
            };
            let Some(by) = by.filter(|by| *by != place) else {
                self.happen(place, execution, &mut verdict);
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

    fn happen(&mut self, place: usize, execution: Option<&ExecutionName>, verdict: &mut CallVerdict) {
        let fence = match self.rules[place].fault {
            Fault::StaleFence { age, part, .. } => {
                self.older_fence(execution, age).map(|fence| fence.only(part))
            }
            _ => None,
        };
        let rule = &mut self.rules[place];
        rule.fate = FaultFate::Happened;
        verdict.hits.push(rule.fault.clone());
        match &rule.fault {
            Fault::LoseRequest { .. } => verdict.lose_request = true,
            Fault::LoseReply { .. } => verdict.lose_reply = true,
            Fault::DelayRequest { by_ms, .. } => verdict.hold = Some(Hold::By(Millis(*by_ms))),
            Fault::AtDeadline { deadline, offset_ms, .. } => {
                verdict.hold = Some(Hold::Until(*deadline, *offset_ms));
            }
            Fault::RepeatRequest { after_ms, .. } => verdict.repeats.push(Millis(*after_ms)),
            Fault::OtherLane { lane, .. } => verdict.tampers.push(Tamper::Lane(lane.clone())),
            Fault::StaleFence { .. } => verdict.tampers.extend(fence.map(Tamper::Fence)),
            Fault::BadArgument { argument, value, .. } => {
                verdict.tampers.push(Tamper::Argument(*argument as usize, value.clone()));
            }
            Fault::Crash { .. }
            | Fault::Pause { .. }
            | Fault::Partition { .. }
            | Fault::Server { .. }
            | Fault::GrantMessage { .. } => {
                unreachable!("these faults hit no call")
            }
        }
    }

    /// What becomes of a message about a grant that is about to be sent.
    pub fn message(&mut self, from: Node, execution: &ExecutionName) -> Option<Fate> {
        if self.is_over {
            return None;
        }
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
            if fault.upon().is_none() {
                all.extend(timed(place, acts(fault, SimTime::START)));
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

    /// The server executed a call: what is to be done about it upon that, and when.
    pub fn upon(
        &mut self,
        node: Node,
        function: &Function,
        execution: Option<&ExecutionName>,
        now: SimTime,
    ) -> Vec<Timed> {
        let mut due = Vec::new();
        for (place, rule) in self.rules.iter_mut().enumerate().filter(|_| !self.is_over) {
            let Some(call) = rule.fault.upon() else { continue };
            if !call.matches(node, function, execution, &self.claim_function) {
                continue;
            }
            let nth = call.nth;
            rule.matched += 1;
            if rule.matched == nth {
                let acts = acts(&rule.fault, now);
                rule.pending = of_the_server(&acts);
                due.extend(timed(place, acts));
            }
        }
        due
    }

    /// Whether any fault waits for a call to be executed, or did.
    pub fn come_upon_calls(&self) -> bool {
        self.rules.iter().any(|rule| rule.fault.upon().is_some())
    }

    /// What is to be done of something that is due; nothing where another fault overtook it.
    pub fn admit(&mut self, timed: &Timed) -> Option<Act> {
        let Some(place) = timed.rule else { return Some(timed.act) };
        if self.is_over {
            return None;
        }
        let hidden_by = match timed.act {
            Act::Crash(node) => self.down.get(&node).copied(),
            Act::Pause(node) => self.down.get(&node).or(self.still.get(&node)).copied(),
            Act::Cut(a, b, cut) => self.parted_by(a, b, cut),
            Act::Restart(_) | Act::Resume(_) | Act::Heal(..) => return self.end(place, timed.act),
            Act::SetClock(..) => return Some(timed.act),
            Act::Server(act) => return self.admit_server(place, act).then_some(timed.act),
        };
        if let Some(by) = hidden_by {
            self.rules[place].fate = FaultFate::HiddenBy(by);
            return None;
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
        Some(timed.act)
    }

    /// Whether something is to be done about the server. One that is away can break no further, and what is broken cannot
    /// break the same way once more.
    fn admit_server(&mut self, place: usize, act: ServerAct) -> bool {
        let class = self.rules[place].fault.class();
        if self.rules[place].fate == FaultFate::Never {
            let by = self.away.or_else(|| self.ailing.get(&class).copied());
            if let Some(by) = by {
                self.rules[place].fate = FaultFate::HiddenBy(by);
                return false;
            }
            self.rules[place].fate = FaultFate::Happened;
            self.ailing.insert(class, place);
        }
        let rule = &mut self.rules[place];
        if rule.fate != FaultFate::Happened || rule.pending.is_empty() {
            return false;
        }
        rule.pending.remove(0);
        if rule.pending.is_empty() {
            self.ailing.remove(&class);
        }
        match act {
            ServerAct::Dies(_) => {
                self.still.remove(&Node::Valkey);
                self.away = Some(place);
            }
            ServerAct::Returns { .. } | ServerAct::Promotes { .. } => self.away = None,
            _ => {}
        }
        true
    }

    /// Whether something of this class is broken about the server now.
    pub fn is_broken(&self, class: FaultClass) -> bool {
        self.ailing.contains_key(&class)
    }

    /// From now on nothing breaks: what is to be done so that the world is whole. Whoever is down for good stays so.
    pub fn heal_all(&mut self) -> Vec<Act> {
        self.is_over = true;
        let comes_back = |place: &usize| match self.rules[*place].fault {
            Fault::Crash { down_ms, .. } => down_ms.is_some(),
            _ => false,
        };
        let down = self.down.iter().filter(|(_, place)| comes_back(place)).map(|(node, _)| *node);
        let mut acts: Vec<Act> = down.map(Act::Restart).collect();
        self.down.retain(|_, place| !comes_back(place));
        acts.extend(std::mem::take(&mut self.still).into_keys().map(Act::Resume));
        for place in std::mem::take(&mut self.parted) {
            if let Fault::Partition { a, b, .. } = self.rules[place].fault {
                acts.push(Act::Heal(a, b, None));
            }
        }
        for rule in self.rules.iter_mut().filter(|rule| rule.fate == FaultFate::Happened) {
            acts.extend(std::mem::take(&mut rule.pending).into_iter().map(Act::Server));
        }
        (self.away, self.ailing) = (None, BTreeMap::new());
        acts
    }

    /// The end of a fault that happened; one that was hidden has none, nor has one that another cut short.
    fn end(&mut self, place: usize, act: Act) -> Option<Act> {
        let ended = match act {
            Act::Restart(node) => remove_if(&mut self.down, node, place),
            Act::Resume(node) => remove_if(&mut self.still, node, place),
            Act::Heal(a, b, _) => return self.heal(place, a, b),
            _ => false,
        };
        ended.then_some(act)
    }

    /// Ends a partition: two nodes see each other again, in the ways that no other partition cuts.
    fn heal(&mut self, place: usize, a: Node, b: Node) -> Option<Act> {
        let before = self.parted.len();
        self.parted.retain(|parted| *parted != place);
        if self.parted.len() == before {
            return None;
        }
        let (was, stays) = (cuts(&self.rules[place].fault, a, b), self.cut_between(a, b));
        let is_freed = (was.0 && !stays.0) || (was.1 && !stays.1);
        let stays = match stays {
            (true, false) => Some(Cut::AToB),
            (false, true) => Some(Cut::BToA),
            _ => None,
        };
        is_freed.then_some(Act::Heal(a, b, stays))
    }

    /// Whether no partition cuts the way from `a` to `b`, nor the way back.
    pub fn reaches(&self, a: Node, b: Node) -> bool {
        self.cut_between(a, b) == (false, false)
    }

    /// Whether any partition cuts the way from `a` to `b`, and the way back.
    fn cut_between(&self, a: Node, b: Node) -> (bool, bool) {
        let each = self.parted.iter().map(|place| cuts(&self.rules[*place].fault, a, b));
        each.fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1))
    }

    /// The rule by which nothing passes between the two in this way already.
    fn parted_by(&self, a: Node, b: Node, cut: Cut) -> Option<usize> {
        let (there, back) = ways(cut);
        let covers = |place: &&usize| {
            let held = cuts(&self.rules[**place].fault, a, b);
            (held.0 || !there) && (held.1 || !back)
        };
        self.parted.iter().find(covers).copied()
    }
}

/// Whether a fault cuts the way from `a` to `b`, and the way back.
fn cuts(fault: &Fault, a: Node, b: Node) -> (bool, bool) {
    match *fault {
        Fault::Partition { a: one, b: other, cut, .. } if (one, other) == (a, b) => ways(cut),
        Fault::Partition { a: one, b: other, cut, .. } if (one, other) == (b, a) => ways(cut.reversed()),
        _ => (false, false),
    }
}

/// Whether a cut stops what `a` sends, and what `b` sends.
fn ways(cut: Cut) -> (bool, bool) {
    (cut != Cut::BToA, cut != Cut::AToB)
}

/// Forgets a node if it is there by this rule. Says whether it was.
fn remove_if(nodes: &mut BTreeMap<Node, usize>, node: Node, place: usize) -> bool {
    nodes.get(&node) == Some(&place) && nodes.remove(&node).is_some()
}

#[cfg(test)]
mod tests {
    use FaultFate::{Happened, HiddenBy, Never};

    use super::{
        super::support::{WORKER, claim, ms, plan},
        *,
    };
    use valkey_sim::durability::Fsync;

    use crate::plan::{CallRef, Called};

    const SCHEDULER: Node = Node::Scheduler(1);
    const CLAIM: Function = Function::ClaimExecution;

    fn faults(list: impl IntoIterator<Item = Fault>) -> Faults {
        Faults::new(&plan(list), CLAIM)
    }

    fn e1() -> ExecutionName {
        ExecutionName::nth(1)
    }

    /// One claim of worker-1, about e1.
    fn claims(faults: &mut Faults) -> CallVerdict {
        faults.call(WORKER, &CLAIM, Some(&e1()))
    }

    fn lose_request(nth: u32) -> Fault {
        Fault::LoseRequest { call: claim(nth) }
    }

    fn lose_reply(nth: u32) -> Fault {
        Fault::LoseReply { call: claim(nth) }
    }

    fn delay(nth: u32, by_ms: u64) -> Fault {
        Fault::DelayRequest { call: claim(nth), by_ms }
    }

    fn repeat(nth: u32, after_ms: u64) -> Fault {
        Fault::RepeatRequest { call: claim(nth), after_ms }
    }

    fn at_expiry(nth: u32, offset_ms: i64) -> Fault {
        Fault::AtDeadline { call: claim(nth), deadline: Deadline::Grant, offset_ms }
    }

    #[test]
    fn a_healed_world_is_whole_but_for_what_was_destroyed_for_good() {
        let crash = |node, down_ms| Fault::Crash { node, at_ms: 10, down_ms, upon: None };
        let partition = Fault::Partition {
            a: WORKER,
            b: Node::Valkey,
            at_ms: 10,
            for_ms: 90_000,
            cut: Cut::AToB,
            upon: None,
        };
        let mut faults = faults([
            crash(SCHEDULER, None),
            crash(Node::Worker(2), Some(90_000)),
            Fault::Pause { node: Node::Scanner, at_ms: 10, for_ms: 90_000, upon: None },
            partition,
            lose_reply(2),
        ]);
        let plan = plan(faults.rules.iter().map(|rule| rule.fault.clone()).collect::<Vec<_>>());
        let timed = Faults::timed(&plan);
        let (begin, later): (Vec<_>, Vec<_>) = timed.iter().partition(|timed| timed.at == ms(10));
        assert!(begin.iter().all(|timed| faults.admit(timed).is_some()));
        assert_eq!(claims(&mut faults), CallVerdict::default());
        let acts = faults.heal_all();
        assert_eq!(
            acts,
            [
                Act::Restart(Node::Worker(2)),
                Act::Resume(Node::Scanner),
                Act::Heal(WORKER, Node::Valkey, None)
            ]
        );
        assert!(later.iter().all(|timed| faults.admit(timed).is_none()), "nothing ends twice");
        assert_eq!(claims(&mut faults), CallVerdict::default(), "the second claim would lose its reply");
        assert_eq!(faults.heal_all(), []);
    }

    mod of_calls {
        use super::*;

        #[test]
        fn each_fault_of_calls_says_what_becomes_of_the_call() {
            let calm = CallVerdict::default();
            for (fault, verdict) in [
                (lose_request(1), CallVerdict { lose_request: true, ..calm.clone() }),
                (lose_reply(1), CallVerdict { lose_reply: true, ..calm.clone() }),
                (delay(1, 70), CallVerdict { hold: Some(Hold::By(Millis(70))), ..calm.clone() }),
                (
                    at_expiry(1, -1),
                    CallVerdict { hold: Some(Hold::Until(Deadline::Grant, -1)), ..calm.clone() },
                ),
                (repeat(1, 70), CallVerdict { repeats: vec![Millis(70)], ..calm.clone() }),
            ] {
                let mut faults = faults([fault.clone()]);
                assert_eq!(faults.fates(), [Never]);
                assert_eq!(claims(&mut faults), CallVerdict { hits: vec![fault], ..verdict });
                assert_eq!(faults.fates(), [Happened]);
                assert_eq!(claims(&mut faults), calm, "a fault happens once");
            }
        }

        #[test]
        fn a_hostile_caller_changes_the_request_in_the_order_of_the_plan_whatever_else_happens_to_it() {
            let lane = || Fault::OtherLane { call: claim(1), lane: "tin".to_owned() };
            let bad = || Fault::BadArgument { call: claim(1), argument: 4, value: "inf".to_owned() };
            let mut both = faults([lane(), bad(), repeat(1, 5)]);
            let verdict = claims(&mut both);
            let tampers = [Tamper::Lane("tin".to_owned()), Tamper::Argument(4, "inf".to_owned())];
            assert_eq!((&verdict.tampers[..], verdict.repeats.len()), (&tampers[..], 1));
            assert_eq!(both.fates(), [Happened; 3]);
            let words = [&b"FCALL"[..], b"ff_claim_execution", b"0", b"e", b"w", b"w-1", b"gold"];
            let sent = verdict.tampered(Request { args: words.map(<[u8]>::to_vec).into() });
            assert_eq!(sent.args.last().map(Vec::as_slice), Some(&b"inf"[..]), "the second counts");
            let mut lost = faults([lane(), lose_request(1)]);
            assert!(claims(&mut lost).tampers.is_empty());
            assert_eq!(lost.fates(), [HiddenBy(1), Happened]);
        }

        /// A renewal under a lease of this number.
        fn renewal(lease: &str) -> Request {
            let words = ["FCALL", "ff_renew_lease", "0", "e", "0", "attempt", lease, lease, "5", "6"];
            Request { args: words.map(|word| word.as_bytes().to_vec()).into() }
        }

        /// A renewal of e1 by the worker: what becomes of it.
        fn renews(faults: &mut Faults, lease: &str) -> Vec<Tamper> {
            faults.present(Some(&e1()), &renewal(lease));
            faults.call(WORKER, &Function::RenewLease, Some(&e1())).tampers
        }

        fn stale(nth: u32, age: u32) -> Fault {
            let function = Called::Function(Function::RenewLease);
            Fault::StaleFence {
                call: CallRef { function, ..claim(nth) },
                age,
                part: crate::types::FencePart::Whole,
            }
        }

        #[test]
        fn a_stale_fence_waits_for_a_call_for_which_there_is_an_older_lease() {
            let mut waits = faults([stale(2, 1)]);
            assert_eq!(
                [renews(&mut waits, "1"), renews(&mut waits, "1"), renews(&mut waits, "1")],
                [const { vec![] }; 3]
            );
            assert_eq!(waits.fates(), [Never]);
            let older = renewal("1").fence().map(Tamper::Fence);
            assert_eq!(renews(&mut waits, "2"), Vec::from_iter(older));
            assert_eq!((renews(&mut waits, "3"), waits.fates()), (vec![], vec![Happened]));
        }

        #[test]
        fn the_age_of_a_stale_fence_counts_leases() {
            let mut two = faults([stale(1, 2)]);
            assert!(["1", "2", "2"].iter().all(|lease| renews(&mut two, lease).is_empty()));
            assert_eq!(renews(&mut two, "3"), Vec::from_iter(renewal("1").fence().map(Tamper::Fence)));
        }

        #[test]
        fn a_lost_request_hides_everything_else_on_the_call() {
            let mut faults =
                faults([repeat(1, 5), lose_reply(1), lose_request(1), delay(1, 5), lose_request(1)]);
            let verdict =
                CallVerdict { lose_request: true, hits: vec![lose_request(1)], ..Default::default() };
            assert_eq!(claims(&mut faults), verdict);
            assert_eq!(faults.fates(), [HiddenBy(2), HiddenBy(2), Happened, HiddenBy(2), HiddenBy(2)]);
        }

        #[test]
        fn a_deadline_hides_a_late_request_wherever_it_stands() {
            let mut faults = faults([delay(1, 5), at_expiry(1, 1)]);
            assert_eq!(claims(&mut faults).hold, Some(Hold::Until(Deadline::Grant, 1)));
            assert_eq!(faults.fates(), [HiddenBy(1), Happened]);
        }

        #[test]
        fn of_two_of_a_kind_the_first_of_the_plan_counts() {
            let mut late = faults([delay(1, 5), delay(1, 6)]);
            assert_eq!(claims(&mut late).hold, Some(Hold::By(Millis(5))));
            assert_eq!(late.fates(), [Happened, HiddenBy(0)]);
            let mut at_expiry = faults([at_expiry(1, -1), at_expiry(1, 1)]);
            assert_eq!(claims(&mut at_expiry).hold, Some(Hold::Until(Deadline::Grant, -1)));
            assert_eq!(at_expiry.fates(), [Happened, HiddenBy(0)]);
            let mut deaf = faults([lose_reply(1), lose_reply(1)]);
            assert_eq!(claims(&mut deaf).hits, [lose_reply(1)]);
            assert_eq!(deaf.fates(), [Happened, HiddenBy(0)]);
        }

        #[test]
        fn every_repeat_sends_the_request_once_more() {
            let mut faults = faults([repeat(1, 5), repeat(1, 5), repeat(1, 9)]);
            assert_eq!(claims(&mut faults).repeats, [Millis(5), Millis(5), Millis(9)]);
            assert_eq!(faults.fates(), [Happened; 3]);
        }

        #[test]
        fn a_late_request_may_be_repeated_and_lose_its_reply_as_well() {
            let all = [lose_reply(1), repeat(1, 9), delay(1, 5)];
            let mut faults = faults(all.clone());
            let verdict = claims(&mut faults);
            assert!(verdict.lose_reply && !verdict.lose_request);
            assert_eq!((verdict.hold, &verdict.repeats[..]), (Some(Hold::By(Millis(5))), &[Millis(9)][..]));
            assert_eq!(verdict.hits, all, "in the order of the plan");
        }

        #[test]
        fn a_call_is_counted_from_one_by_each_fault_for_itself() {
            let mut faults = faults([lose_reply(2), delay(3, 5)]);
            let hits: Vec<_> = (0..4).map(|_| claims(&mut faults).hits).collect();
            assert_eq!(hits, [vec![], vec![lose_reply(2)], vec![delay(3, 5)], vec![]]);
        }

        #[test]
        fn only_calls_of_the_node_the_function_and_the_execution_are_counted() {
            let about = |node, execution| CallRef { node, function: Called::Claim, execution, nth: 1 };
            let hits = |call: CallRef, node, function: &Function, execution: &ExecutionName| {
                let mut faults = faults([Fault::LoseReply { call }]);
                faults.call(node, function, Some(execution)).lose_reply
            };
            let (e1, e2, other) = (e1(), ExecutionName::nth(2), Node::Worker(2));
            assert!(hits(about(Some(WORKER), None), WORKER, &CLAIM, &e2), "any execution when absent");
            assert!(!hits(about(Some(WORKER), None), other, &CLAIM, &e1));
            assert!(hits(about(None, Some(e1.clone())), other, &CLAIM, &e1), "any node when absent");
            assert!(!hits(about(None, Some(e1.clone())), WORKER, &CLAIM, &e2));
            assert!(!hits(about(Some(WORKER), None), WORKER, &Function::RenewLease, &e1));
            let mut faults = faults([Fault::LoseReply { call: about(None, Some(e1)) }]);
            assert!(!faults.call(WORKER, &CLAIM, None).lose_reply, "a call about nothing is not about e1");
        }

        #[test]
        fn claim_is_the_function_that_claims_in_the_library_under_test() {
            let mut faults = Faults::new(&plan([lose_reply(1)]), Function::AcquireLease);
            assert!(!claims(&mut faults).lose_reply);
            assert!(faults.call(WORKER, &Function::AcquireLease, None).lose_reply);
        }

        #[test]
        fn a_restarted_process_goes_on_counting() {
            let mut faults = faults([
                Fault::Crash { node: WORKER, at_ms: 1, down_ms: Some(1), upon: None },
                lose_reply(2),
            ]);
            claims(&mut faults);
            for timed in Faults::timed(&plan([faults.rules[0].fault.clone()])) {
                faults.admit(&timed);
            }
            assert!(claims(&mut faults).lose_reply);
        }
    }

    mod of_messages {
        use super::*;

        fn message(from: Option<Node>, execution: Option<ExecutionName>, nth: u32, fate: Fate) -> Fault {
            Fault::GrantMessage { from, execution, nth, fate }
        }

        #[test]
        fn the_first_fault_of_the_plan_counts() {
            let of = |fate| message(Some(SCHEDULER), None, 1, fate);
            let mut faults = faults([of(Fate::Delay(5)), of(Fate::Drop)]);
            assert_eq!(faults.message(SCHEDULER, &e1()), Some(Fate::Delay(5)));
            assert_eq!(faults.fates(), [Happened, HiddenBy(0)]);
            assert_eq!(faults.message(SCHEDULER, &e1()), None, "it happens once");
        }

        #[test]
        fn only_messages_of_the_sender_and_the_execution_are_counted_from_one() {
            let e2 = ExecutionName::nth(2);
            let mut by_sender = faults([message(Some(SCHEDULER), None, 2, Fate::Drop)]);
            assert_eq!(by_sender.message(SCHEDULER, &e1()), None);
            assert_eq!(by_sender.message(Node::Scanner, &e1()), None);
            assert_eq!(by_sender.message(SCHEDULER, &e2), Some(Fate::Drop), "any execution when absent");
            let mut by_execution = faults([message(None, Some(e1()), 2, Fate::Twice(3))]);
            assert_eq!(by_execution.message(SCHEDULER, &e1()), None);
            assert_eq!(by_execution.message(SCHEDULER, &e2), None);
            assert_eq!(
                by_execution.message(Node::Scanner, &e1()),
                Some(Fate::Twice(3)),
                "any sender when absent"
            );
            let mut never = faults([message(Some(Node::Scanner), Some(e1()), 1, Fate::Drop)]);
            never.message(SCHEDULER, &e1());
            assert_eq!(never.fates(), [Never]);
        }
    }

    mod of_time {
        use Act::{Crash, Heal, Pause, Restart, Resume, SetClock};

        use super::*;

        fn crash(at_ms: u64, down_ms: Option<u64>) -> Fault {
            Fault::Crash { node: WORKER, at_ms, down_ms, upon: None }
        }

        fn pause(at_ms: u64, for_ms: u64) -> Fault {
            Fault::Pause { node: WORKER, at_ms, for_ms, upon: None }
        }

        fn partition(at_ms: u64, for_ms: u64, cut: Cut) -> Fault {
            Fault::Partition { a: WORKER, b: Node::Valkey, at_ms, for_ms, cut, upon: None }
        }

        /// What is done of these faults, at which millisecond, and what became of each.
        fn played(list: impl IntoIterator<Item = Fault>) -> (Vec<(u64, Act)>, Vec<FaultFate>) {
            let plan = plan(list);
            let mut faults = Faults::new(&plan, CLAIM);
            let due = Faults::timed(&plan);
            let done =
                due.iter().filter_map(|timed| Some((timed.at.0 / 1_000, faults.admit(timed)?))).collect();
            (done, faults.fates())
        }

        const PARTED: fn(Cut) -> Act = |cut| Act::Cut(WORKER, Node::Valkey, cut);
        const HEALED: fn(Option<Cut>) -> Act = |stays| Heal(WORKER, Node::Valkey, stays);

        #[test]
        fn each_begins_and_ends_at_its_time() {
            for (fault, acts) in [
                (crash(5, Some(3)), vec![(5, Crash(WORKER)), (8, Restart(WORKER))]),
                (crash(5, None), vec![(5, Crash(WORKER))]),
                (pause(5, 3), vec![(5, Pause(WORKER)), (8, Resume(WORKER))]),
                (partition(5, 3, Cut::Both), vec![(5, PARTED(Cut::Both)), (8, HEALED(None))]),
                (partition(5, 3, Cut::AToB), vec![(5, PARTED(Cut::AToB)), (8, HEALED(None))]),
            ] {
                assert_eq!(played([fault]), (acts, vec![Happened]));
            }
        }

        #[test]
        fn what_has_a_time_is_done_by_its_time_and_then_in_the_order_of_the_plan() {
            let other = Fault::Pause { node: SCHEDULER, at_ms: 5, for_ms: 4, upon: None };
            let (acts, _) = played([pause(7, 1), crash(5, None), other]);
            assert_eq!(acts, [(5, Crash(WORKER)), (5, Pause(SCHEDULER)), (9, Resume(SCHEDULER))]);
        }

        #[test]
        fn faults_of_calls_have_no_time_and_a_clock_that_is_set_has_one() {
            let mut plan = plan([lose_reply(1)]);
            let steps = vec![crate::plan::ClockStep { at_ms: 9, by_ms: -4 }];
            plan.clocks.insert(WORKER, crate::plan::WrongClock { steps, ..Default::default() });
            let [timed] = Faults::timed(&plan).try_into().unwrap();
            assert_eq!(timed.at, ms(9));
            assert_eq!(Faults::new(&plan, CLAIM).admit(&timed), Some(SetClock(WORKER, -4)));
        }

        #[test]
        fn a_crash_of_a_process_that_is_down_is_hidden_and_does_not_restart_it() {
            let (acts, fates) = played([crash(5, Some(10)), crash(7, Some(2))]);
            assert_eq!(acts, [(5, Crash(WORKER)), (15, Restart(WORKER))]);
            assert_eq!(fates, [Happened, HiddenBy(0)]);
            let (acts, fates) = played([crash(5, None), crash(7, Some(2))]);
            assert_eq!((acts, fates), (vec![(5, Crash(WORKER))], vec![Happened, HiddenBy(0)]));
        }

        #[test]
        fn a_process_crashes_again_after_its_restart() {
            let (acts, fates) = played([crash(5, Some(2)), crash(7, Some(2))]);
            assert_eq!(
                acts,
                [(5, Crash(WORKER)), (7, Restart(WORKER)), (7, Crash(WORKER)), (9, Restart(WORKER))]
            );
            assert_eq!(fates, [Happened, Happened]);
        }

        #[test]
        fn a_pause_of_a_process_that_is_down_is_hidden() {
            let (acts, fates) = played([crash(5, Some(10)), pause(7, 2)]);
            assert_eq!(acts, [(5, Crash(WORKER)), (15, Restart(WORKER))]);
            assert_eq!(fates, [Happened, HiddenBy(0)]);
        }

        #[test]
        fn a_pause_of_a_process_that_stands_still_is_hidden_and_does_not_end_the_first() {
            let (acts, fates) = played([pause(5, 10), pause(7, 2), pause(8, 20)]);
            assert_eq!(acts, [(5, Pause(WORKER)), (15, Resume(WORKER))]);
            assert_eq!(fates, [Happened, HiddenBy(0), HiddenBy(0)]);
        }

        #[test]
        fn a_paused_process_that_crashes_is_not_resumed() {
            let (acts, fates) = played([pause(5, 10), crash(7, Some(2))]);
            assert_eq!(acts, [(5, Pause(WORKER)), (7, Crash(WORKER)), (9, Restart(WORKER))]);
            assert_eq!(fates, [Happened, Happened]);
        }

        #[test]
        fn the_pause_of_an_earlier_life_does_not_end_that_of_a_later_one() {
            let (acts, _) = played([pause(5, 10), crash(7, Some(2)), pause(10, 10)]);
            assert_eq!(acts[3..], [(10, Pause(WORKER)), (20, Resume(WORKER))]);
        }

        #[test]
        fn a_partition_within_another_is_hidden_and_has_no_end() {
            let within = partition(7, 2, Cut::Both);
            let outside = partition(5, 10, Cut::Both);
            let (acts, fates) = played([outside, within, partition(8, 20, Cut::AToB)]);
            assert_eq!(acts, [(5, PARTED(Cut::Both)), (15, HEALED(None))]);
            assert_eq!(fates, [Happened, HiddenBy(0), HiddenBy(0)]);
        }

        #[test]
        fn a_one_way_cut_is_hidden_by_the_same_cut_seen_from_the_other_side_and_not_by_its_reverse() {
            let seen_from_the_server =
                |cut| Fault::Partition { a: Node::Valkey, b: WORKER, at_ms: 7, for_ms: 2, cut, upon: None };
            let first = partition(5, 10, Cut::AToB);
            let (_, fates) = played([first.clone(), seen_from_the_server(Cut::BToA)]);
            assert_eq!(fates, [Happened, HiddenBy(0)]);
            let (_, fates) = played([first, seen_from_the_server(Cut::AToB)]);
            assert_eq!(fates, [Happened, Happened]);
        }

        #[test]
        fn a_partition_of_other_nodes_hides_nothing() {
            let other = Fault::Partition {
                a: SCHEDULER,
                b: Node::Valkey,
                at_ms: 5,
                for_ms: 9,
                cut: Cut::Both,
                upon: None,
            };
            assert_eq!(played([other, partition(6, 1, Cut::Both)]).1, [Happened, Happened]);
        }

        #[test]
        fn each_way_is_free_again_when_the_last_partition_over_it_is_over() {
            let acts = |list: [Fault; 2]| played(list).0.split_off(2);
            // A shorter one over both ways leaves the way that the longer one cuts.
            let longer = partition(5, 30, Cut::AToB);
            let healed = acts([longer.clone(), partition(6, 10, Cut::Both)]);
            assert_eq!(healed, [(16, HEALED(Some(Cut::AToB))), (35, HEALED(None))]);
            // Each of two opposite ones frees its own way.
            let healed = acts([longer.clone(), partition(6, 10, Cut::BToA)]);
            assert_eq!(healed, [(16, HEALED(Some(Cut::AToB))), (35, HEALED(None))]);
            // A longer one over both ways: the end of the shorter frees nothing.
            let healed = acts([partition(5, 3, Cut::BToA), partition(6, 10, Cut::Both)]);
            assert_eq!(healed, [(16, HEALED(None))]);
        }
    }

    fn server(at_ms: u64, breaks: ServerFault) -> Fault {
        Fault::Server { at_ms, upon: None, breaks }
    }

    /// What is done about the server, and when, in milliseconds.
    fn on_server(list: impl IntoIterator<Item = Fault>) -> (Vec<(u64, ServerAct)>, Vec<FaultFate>) {
        let plan = plan(list);
        let mut faults = Faults::new(&plan, CLAIM);
        let due = Faults::timed(&plan);
        let done = due.iter().filter_map(|timed| match faults.admit(timed)? {
            Act::Server(act) => Some((timed.at.0 / 1_000, act)),
            _ => None,
        });
        let done = done.collect();
        (done, faults.fates())
    }

    #[test]
    fn a_server_that_is_lost_comes_back_with_what_it_keeps() {
        let lost = |keeps| ServerFault::Lost { down_ms: 50, keeps, loading_ms: 0, without_functions_ms: 0 };
        for (keeps, kept) in [
            (Keeps::All, Some(ms(1_600))),
            (Keeps::Synced(Fsync::Always), Some(ms(1_600))),
            (Keeps::Synced(Fsync::EverySecond), Some(ms(1_000))),
            (Keeps::Synced(Fsync::No), Some(ms(0))),
            (Keeps::Snapshot(700), Some(ms(900))),
            (Keeps::Nothing, None),
        ] {
            let (done, _) = on_server([server(1_600, lost(keeps))]);
            let returns = ServerAct::Returns { kept, without_functions: false, is_loading: false };
            assert_eq!(done, [(1_600, ServerAct::Dies(lost(keeps))), (1_650, returns)]);
        }
    }

    #[test]
    fn a_replica_is_promoted_with_what_it_had_received_and_the_former_one_dies_later() {
        let failover = |former_ms, demoted_ms| ServerFault::Failover {
            down_ms: 50,
            lag_ms: 30,
            lag_us: 0,
            clock_ms: 7,
            former_ms,
            demoted_ms,
        };
        let promotes = |breaks| ServerAct::Promotes { kept: ms(70), breaks };
        let breaks = failover(0, 0);
        let (done, _) = on_server([server(100, breaks)]);
        assert_eq!(done, [(100, ServerAct::Dies(breaks)), (150, promotes(breaks))]);
        let breaks = failover(40, 0);
        let (done, _) = on_server([server(100, breaks)]);
        assert_eq!(done, [(150, promotes(breaks)), (190, ServerAct::FormerDies)]);
        let breaks = failover(40, 20);
        let (done, _) = on_server([server(100, breaks)]);
        let ends = [(190, ServerAct::DemotesFormer), (210, ServerAct::FormerDies)];
        assert_eq!(done, [&[(150, promotes(breaks))][..], &ends].concat());
    }

    #[test]
    fn a_server_that_is_away_breaks_no_further_and_nothing_breaks_twice_at_a_time() {
        let lost =
            ServerFault::Lost { down_ms: 50, keeps: Keeps::All, loading_ms: 0, without_functions_ms: 0 };
        let full = ServerFault::OutOfMemory { for_ms: 100 };
        let (done, fates) = on_server([
            server(10, lost),
            server(20, full),
            server(70, full),
            server(90, full),
            server(200, full),
        ]);
        assert_eq!(fates, [Happened, HiddenBy(0), Happened, HiddenBy(2), Happened]);
        let at: Vec<u64> = done.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [10, 60, 70, 170, 200, 300]);
    }

    #[test]
    fn when_nothing_breaks_any_more_what_is_broken_of_the_server_is_mended_in_order() {
        let lost = ServerFault::Lost {
            down_ms: 50,
            keeps: Keeps::Nothing,
            loading_ms: 20,
            without_functions_ms: 30,
        };
        let plan = plan([server(10, lost), server(500, ServerFault::LibraryReloaded)]);
        let mut faults = Faults::new(&plan, CLAIM);
        faults.admit(&Faults::timed(&plan)[0]);
        let returns = ServerAct::Returns { kept: None, without_functions: true, is_loading: true };
        let mended = [returns, ServerAct::Loaded, ServerAct::LoadsLibrary].map(Act::Server);
        assert_eq!(faults.heal_all(), mended);
        assert!(
            Faults::timed(&plan).iter().all(|timed| faults.admit(timed).is_none()),
            "nothing comes after"
        );
    }

    #[test]
    fn a_server_that_is_brought_back_before_its_time_has_what_it_keeps() {
        let breaks =
            ServerFault::Lost { down_ms: 50, keeps: Keeps::All, loading_ms: 0, without_functions_ms: 0 };
        let returns = |at| {
            Act::Server(ServerAct::Returns { kept: Some(at), without_functions: false, is_loading: false })
        };
        let timed = plan([server(700, breaks)]);
        let mut faults = Faults::new(&timed, CLAIM);
        faults.admit(&Faults::timed(&timed)[0]);
        assert_eq!(faults.heal_all(), [returns(ms(700))]);
        let mut faults =
            Faults::new(&plan([Fault::Server { at_ms: 5, upon: Some(claim(1)), breaks }]), CLAIM);
        let due = faults.upon(WORKER, &CLAIM, Some(&e1()), ms(300));
        faults.admit(&due[0]);
        assert_eq!(faults.heal_all(), [returns(ms(305))]);
    }

    #[test]
    fn what_comes_upon_a_call_comes_when_that_call_was_executed() {
        let breaks = ServerFault::Evicts { keys: 1, policy: Policy::VolatileTtl };
        let list = [Fault::Server { at_ms: 5, upon: Some(claim(2)), breaks }];
        let mut faults = faults(list.clone());
        assert!(faults.come_upon_calls());
        assert_eq!(Faults::timed(&plan(list)), []);
        assert_eq!(faults.upon(WORKER, &CLAIM, Some(&e1()), ms(10)), []);
        assert_eq!(faults.upon(WORKER, &Function::RenewLease, Some(&e1()), ms(15)), []);
        let due = faults.upon(WORKER, &CLAIM, Some(&e1()), ms(20));
        assert_eq!(
            due.iter().map(|timed| (timed.at, timed.act)).collect::<Vec<_>>(),
            [(ms(25), Act::Server(ServerAct::Evicts(1, Policy::VolatileTtl)))]
        );
        assert_eq!(faults.upon(WORKER, &CLAIM, Some(&e1()), ms(30)), [], "once");
        assert_eq!(faults.admit(&due[0]), Some(due[0].act));
        assert_eq!(faults.fates(), [Happened]);
    }

    #[test]
    fn a_process_is_killed_stands_still_or_is_cut_off_upon_a_call() {
        let upon = || Some(claim(1));
        let list = [
            Fault::Crash { node: WORKER, at_ms: 5, upon: upon(), down_ms: Some(7) },
            Fault::Pause { node: Node::Scanner, at_ms: 1, upon: upon(), for_ms: 2 },
            Fault::Partition {
                a: WORKER,
                b: Node::Valkey,
                at_ms: 0,
                upon: upon(),
                for_ms: 9,
                cut: Cut::AToB,
            },
        ];
        let mut faults = faults(list.clone());
        assert_eq!(Faults::timed(&plan(list)), []);
        let due = faults.upon(WORKER, &CLAIM, Some(&e1()), ms(100));
        assert_eq!(
            due.iter().map(|timed| (timed.at, timed.act)).collect::<Vec<_>>(),
            [
                (ms(105), Act::Crash(WORKER)),
                (ms(112), Act::Restart(WORKER)),
                (ms(101), Act::Pause(Node::Scanner)),
                (ms(103), Act::Resume(Node::Scanner)),
                (ms(100), Act::Cut(WORKER, Node::Valkey, Cut::AToB)),
                (ms(109), Act::Heal(WORKER, Node::Valkey, None)),
            ]
        );
        assert!(due.iter().all(|timed| faults.admit(timed).is_some()));
        assert_eq!(faults.fates(), [Happened; 3]);
    }
}
