//! Beside a run of the old library: each call that it executed is executed on the new library, too.
//!
//! From the same keyspace, at the same time of the server's clock, which is whole milliseconds here. What a call draws at
//! random comes from another stream than the run's; where that shows, the old library executes the call once more from the
//! stream that the new one had, and these two are compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use send_wrapper::SendWrapper;
use valkey_sim::{
    engine::{Dialect, Effects, Engine, Keyspace, Reply, Session, UnixMicros},
    lua::is_out_of_instructions,
};

use super::{
    Pair, Row, SideBySide,
    difference::{Change, Difference, Kind, Side},
    reply,
    state::{States, touched},
};
use crate::{
    drive::{LoadError, Subject, Watch},
    trace::{self, Moment, Step},
    types::{Function, Seq},
    view::Entity,
};

/// Watches a run, and executes its calls on the new library, too.
pub(super) struct Beside {
    pair: Arc<Pair>,
    dialect: Dialect,
    /// Made within the run's thread, and gone before it ends.
    benches: Option<SendWrapper<Benches>>,
    /// Functions of the new library that did not return in this run: they are not waited for again.
    stuck: BTreeSet<Function>,
    pub seen: Seen,
}

/// What was seen beside a run.
#[derive(Default)]
pub(super) struct Seen {
    /// What differs, and the first call that shows it.
    pub differences: BTreeMap<Difference, Met>,
    /// Calls that both libraries executed.
    pub calls: u64,
    /// Calls of functions that did not return before in the same run, and so were not executed on the new library.
    pub passed_over: u64,
    /// Calls after which the state is the same, written by other commands.
    pub spelt_otherwise: u64,
    /// The functions that were called.
    pub called: BTreeSet<Function>,
    /// Events of the run.
    pub events: Seq,
    /// A library does not load on the plan's dialect.
    pub refused: Option<LoadError>,
}

/// A difference in one run.
pub(super) struct Met {
    pub calls: u64,
    pub first: SideBySide,
}

/// The engines that execute the calls. The old library's is made when it is needed.
struct Benches {
    new: Bench,
    old: Option<Bench>,
}

struct Bench {
    engine: Engine,
    session: Session,
}

/// What came of a call.
struct Outcome {
    reply: Reply,
    effects: Effects,
    after: Keyspace,
}

impl Watch for Beside {
    fn see(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::Step(step) => {
                self.seen.events = step.head.seq + 1;
                if let Some(call) = &step.call {
                    self.called(step, call);
                }
            }
            Moment::Client(event) | Moment::Fault(event) => self.seen.events = event.head.seq + 1,
            Moment::Rewound { .. } => {}
            Moment::End(_) => self.benches = None,
        }
    }
}

impl Beside {
    pub fn new(pair: Arc<Pair>, dialect: Dialect) -> Self {
        Self { pair, dialect, benches: None, stuck: BTreeSet::new(), seen: Seen::default() }
    }

    /// The run executed a call.
    fn called(&mut self, step: &Step<'_>, call: &trace::Call<'_>) {
        let function = &call.function;
        if !self.seen.called.contains(function) {
            self.seen.called.insert(function.clone());
        }
        match (self.pair.old_has.has(function), self.pair.new_has.has(function)) {
            (true, true) => self.compare(step, call),
            (true, false) => self.meet(step, call, (call.reply, None), only_in(Side::Old)),
            (false, true) => self.meet(step, call, (call.reply, None), only_in(Side::New)),
            (false, false) => {}
        }
    }

    /// Executes a call on the new library, and notes what differs.
    fn compare(&mut self, step: &Step<'_>, call: &trace::Call<'_>) {
        if self.stuck.contains(&call.function) {
            self.seen.passed_over += 1;
            return;
        }
        let Some(benches) = self.benches() else { return };
        let new = benches.new.execute(step);
        if new.reply == *call.reply && new.effects == *step.effects {
            self.seen.calls += 1;
            return;
        }
        let mut old = Outcome {
            reply: call.reply.clone(),
            effects: step.effects.clone(),
            after: step.after.keyspace().clone(),
        };
        let mut kinds = differences(step, &old, &new);
        if !kinds.is_empty() && !is_endless(&old.reply) && !is_endless(&new.reply) {
            let Some(bench) = self.old_bench() else { return };
            old = bench.execute(step);
            kinds = differences(step, &old, &new);
        }
        self.seen.calls += 1;
        if is_endless(&new.reply) {
            self.stuck.insert(call.function.clone());
        }
        if kinds.is_empty() {
            self.seen.spelt_otherwise += u64::from(old.effects != new.effects);
        }
        self.meet(step, call, (&old.reply, Some(&new.reply)), kinds);
    }

    fn benches(&mut self) -> Option<&mut Benches> {
        if self.benches.is_none() && self.seen.refused.is_none() {
            match Bench::new(&self.pair.new, self.dialect) {
                Ok(new) => self.benches = Some(SendWrapper::new(Benches { new, old: None })),
                Err(error) => self.seen.refused = Some(error),
            }
        }
        self.benches.as_deref_mut()
    }

    fn old_bench(&mut self) -> Option<&mut Bench> {
        let old = &mut self.benches.as_deref_mut()?.old;
        if old.is_none() {
            match Bench::new(&self.pair.old, self.dialect) {
                Ok(bench) => *old = Some(bench),
                Err(error) => self.seen.refused = Some(error),
            }
        }
        old.as_mut()
    }

    /// Notes the differences of a call, each once.
    fn meet(
        &mut self,
        step: &Step<'_>,
        call: &trace::Call<'_>,
        (old, new): (&Reply, Option<&Reply>),
        kinds: Vec<(Kind, Vec<Row>)>,
    ) {
        for (kind, rows) in kinds {
            let difference = Difference { function: call.function.clone(), kind };
            let first = || side_by_side(step, call, (old, new), rows);
            let met = self.seen.differences.entry(difference);
            met.or_insert_with(|| Met { calls: 0, first: first() }).calls += 1;
        }
    }
}

impl Bench {
    fn new(subject: &Subject, dialect: Dialect) -> Result<Self, LoadError> {
        let mut engine = subject.load(dialect, 0)?.engine;
        let session = engine.connect();
        Ok(Self { engine, session })
    }

    /// Executes a step's command from where the step began.
    fn execute(&mut self, step: &Step<'_>) -> Outcome {
        self.engine.set_keyspace(step.before.keyspace().clone());
        self.engine.seed(step.head.seq.into());
        let now = UnixMicros::from_millis(step.now.0.max(0).unsigned_abs());
        let mut effects = Effects::default();
        let reply = self.engine.execute(&mut self.session, step.command.args, now, &mut effects);
        Outcome { reply, effects, after: self.engine.keyspace().clone() }
    }
}

fn is_endless(reply: &Reply) -> bool {
    reply.error().is_some_and(is_out_of_instructions)
}

/// What differs between two outcomes of a step's call, with the rows that show it.
fn differences(step: &Step<'_>, old: &Outcome, new: &Outcome) -> Vec<(Kind, Vec<Row>)> {
    match (is_endless(&old.reply), is_endless(&new.reply)) {
        (true, true) => return Vec::new(),
        (true, false) => return vec![(Kind::NeverReturns(Side::Old), Vec::new())],
        (false, true) => return vec![(Kind::NeverReturns(Side::New), Vec::new())],
        (false, false) => {}
    }
    let keys = touched([&old.effects, &new.effects]);
    let now = valkey_sim::engine::UnixMillis(step.now.0);
    let states = States { before: step.before.keyspace(), old: &old.after, new: &new.after, now };
    let mut kinds: Vec<(Kind, Vec<Row>)> = Vec::new();
    let replies = reply::differences(&old.reply, &new.reply);
    let is_other_answer = matches!(replies.first(), Some((Kind::Answer { .. }, _)));
    // A no that the other library does not say leaves out what that one writes: both are one difference.
    let is_no = |outcome: &Outcome| {
        is_other_answer && (!reply::is_consent(&outcome.reply) || states.is_idle(&outcome.after, &keys))
    };
    let (old_is_no, new_is_no) = (is_no(old), is_no(new));
    for (kind, row) in replies.into_iter().chain(states.differences(&keys)) {
        let follows = match &kind {
            Kind::State { change, .. } => {
                *change == Change::Missing && new_is_no || *change == Change::Extra && old_is_no
            }
            _ => false,
        };
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            _ if follows => kinds[0].1.push(row),
            Some((_, rows)) => rows.push(row),
            None => kinds.push((kind, vec![row])),
        }
    }
    kinds
}

fn side_by_side(
    step: &Step<'_>,
    call: &trace::Call<'_>,
    (old, new): (&Reply, Option<&Reply>),
    rows: Vec<Row>,
) -> SideBySide {
    let texts = |words: &[&[u8]]| -> Vec<String> {
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let execution = call.keys.iter().find_map(|key| match Entity::of_key(std::str::from_utf8(key).ok()?)? {
        Entity::Execution(id) => Some(step.names.of(&id)),
        _ => None,
    });
    let mut side_by_side = SideBySide {
        event: step.head.seq,
        at: step.head.at,
        server_ms: step.now,
        caller: call.caller,
        execution,
        keys: texts(call.keys),
        argv: texts(call.argv),
        old_reply: reply::text(old),
        new_reply: new.map(reply::text),
        rows,
        names: Vec::new(),
    };
    let named = step.names.iter().filter(|(id, _)| side_by_side.texts().any(|text| text.contains(id)));
    side_by_side.names = named.map(|(id, name)| (id.to_owned(), name.clone())).collect();
    side_by_side
}

fn only_in(side: Side) -> Vec<(Kind, Vec<Row>)> {
    vec![(Kind::OnlyIn(side), Vec::new())]
}
