//! What a call did to one entity: its fields before and after, read from the typed view.

use super::{
    promise::Promise,
    words::{Words, named},
};
use crate::{
    property::{self, Violation},
    trace::{Moment, Step, Trace},
    types::ExecutionId,
    view::{Entity, View},
};

/// The most lines that the fields take up: those of a promise about the state, and of any other.
const STATE_LINES: usize = 12;
const HISTORY_LINES: usize = 6;
/// The fields that a promise about the state is judged by: they are shown although the call did not change them.
const DECISIVE: [&str; 7] = ["state", "indexes", "lane", "delay until", "cap", "counter", "admitted"];
/// What says little where the promise is about the state, and where it is about history.
const BESIDE_STATE: &str = "epoch";
const BESIDE_HISTORY: &str = "indexes";
const NONE: &str = "none";

/// A field of an entity on either side of a call.
struct Field {
    name: &'static str,
    before: String,
    after: String,
}

/// What the call that broke a promise did to the entity that the violation is about, in lines of at most so many
/// characters; nothing where it changed none of its fields, or where no call broke it.
pub(super) fn sides(violation: &Violation, trace: &Trace, words: Words, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    trace.replay(|moment| {
        if let Moment::Step(step) = moment
            && step.head.seq == violation.at
        {
            lines = of_step(violation, step, words, width);
        }
    });
    lines
}

fn of_step(violation: &Violation, step: &Step<'_>, words: Words, width: usize) -> Vec<String> {
    let Some(entity) = entity(violation, step) else { return Vec::new() };
    let read = |view: &View| fields(&entity, view, words);
    let (before, after) = (read(step.before), read(step.after));
    let is_state = is_of_state(violation);
    let pairs =
        before.into_iter().zip(after).map(|((name, before), (_, after))| Field { name, before, after });
    let beside = if is_state { BESIDE_STATE } else { BESIDE_HISTORY };
    let told = pairs.filter(|field| field.name != beside).filter(|field| {
        let is_decisive = is_state && DECISIVE.contains(&field.name) && field.after != NONE;
        field.before != field.after || is_decisive
    });
    let told: Vec<Field> = told.collect();
    if told.iter().all(|field| field.before == field.after) && !is_state {
        return Vec::new();
    }
    let most = if is_state { STATE_LINES } else { HISTORY_LINES };
    let whose = whose(&entity, step);
    let mut lines = vec![format!("  {whose}, before the call → after it:")];
    for field in told {
        let more = field.lines(width);
        if lines.len() + more.len() <= most {
            lines.extend(more);
        }
    }
    if lines.len() > 1 { lines } else { Vec::new() }
}

fn is_of_state(violation: &Violation) -> bool {
    let entry = property::find(violation.property.as_str());
    entry.is_ok_and(|entry| entry.numbers.iter().any(|number| Promise::is_of_state(*number)))
}

/// Whom the violation is about, or else what the call touched that is no execution.
fn entity(violation: &Violation, step: &Step<'_>) -> Option<Entity> {
    let Some(name) = &violation.execution else {
        return step.touched.iter().find(|entity| !matches!(entity, Entity::Execution(_))).cloned();
    };
    let id = step.names.id(name).or_else(|| ExecutionId::parse(name.as_str()).ok())?;
    Some(Entity::Execution(id))
}

fn whose(entity: &Entity, step: &Step<'_>) -> String {
    match entity {
        Entity::Execution(id) => named(&step.names.of(id)),
        Entity::Flow(_, id) => format!("flow {id}"),
        Entity::Budget(_, id) => format!("budget {id}"),
        Entity::Quota(_, id) => format!("quota {id}"),
        Entity::Worker(_, instance) => format!("worker {instance}"),
        Entity::Waitpoint(_, id) => format!("waitpoint {id}"),
        Entity::Secrets(tag) => format!("waitpoint secrets of {tag}"),
        Entity::Edge(_, _, id) => format!("edge {id}"),
    }
}

impl Field {
    fn lines(&self, width: usize) -> Vec<String> {
        let Self { name, before, after } = self;
        let head = format!("    {name:<11}");
        if before == after {
            return vec![format!("{head}{after} (unchanged)")];
        }
        let line = format!("{head}{before} → {after}");
        if line.chars().count() <= width {
            return vec![line];
        }
        vec![format!("{head}{before}"), format!("{:13}→ {after}", "")]
    }
}

/// The fields of an entity as a view has them, the most telling first; the same ones in any view.
fn fields(entity: &Entity, view: &View, words: Words) -> Vec<(&'static str, String)> {
    match entity {
        Entity::Execution(id) => execution(id, view, words),
        Entity::Quota(tag, id) => {
            let quota = view.quota(tag, id);
            let number =
                |number: Option<i64>| number.map_or_else(|| "no number".to_owned(), |it| it.to_string());
            vec![
                ("cap", quota.concurrency_cap().map_or_else(none, |cap| cap.to_string())),
                ("counter", number(quota.concurrency())),
                ("admitted", format!("{} in the set", quota.admitted().len())),
            ]
        }
        Entity::Budget(tag, id) => {
            let budget = view.budget(tag, id);
            let spent = |spent: Vec<(String, i64)>| {
                let spent: Vec<_> = spent.into_iter().map(|(name, much)| format!("{name} {much}")).collect();
                or_none(spent.join(", "))
            };
            let usage = budget.usage().into_iter().map(|(name, much)| (name.to_owned(), much)).collect();
            vec![("spent", spent(usage)), ("ledger", spent(budget.ledger().into_iter().collect()))]
        }
        Entity::Worker(namespace, instance) => {
            let worker = view.worker(namespace, instance);
            vec![
                ("alive until", worker.alive_until().map_or_else(none, |at| words.clock(at))),
                ("listed", if worker.is_indexed() { "yes" } else { "no" }.to_owned()),
            ]
        }
        Entity::Flow(tag, id) => {
            let flow = view.flow(tag, id);
            vec![
                ("state", or_none(flow.public_state().to_owned())),
                ("revision", flow.graph_revision().to_string()),
                ("members", flow.members().len().to_string()),
            ]
        }
        Entity::Waitpoint(tag, id) => {
            let waitpoint = view.waitpoint(tag, id);
            let text = |name: &str| {
                or_none(waitpoint.record().map(|it| it.text(name).to_owned()).unwrap_or_default())
            };
            vec![
                ("state", text("state")),
                ("closed", text("close_reason")),
                ("signals", waitpoint.signals().count().to_string()),
            ]
        }
        Entity::Secrets(tag) => vec![("current", or_none(view.secrets(tag).current().to_owned()))],
        Entity::Edge(tag, flow, id) => {
            let edge = view.flow(tag, flow).edge(id);
            let text = |name: &str| or_none(edge.map(|edge| edge.text(name).to_owned()).unwrap_or_default());
            vec![("upstream", text("upstream_execution_id")), ("downstream", text("downstream_execution_id"))]
        }
    }
}

fn execution(id: &ExecutionId, view: &View, words: Words) -> Vec<(&'static str, String)> {
    let execution = view.execution(id);
    let core = execution.core();
    let text = |field: &str| or_none(core.map(|core| core.text(field).to_owned()).unwrap_or_default());
    let state = core.map(|core| core.state());
    let indexes: Vec<String> = execution.indexes().iter().map(ToString::to_string).collect();
    let (lane, current) = (text("lane_id"), text("current_lane"));
    let lease = match (execution.lease(), core.and_then(|core| core.lease())) {
        (Some(lease), _) => words.lease(&lease),
        (None, Some(lease)) => format!("no record; by its core: {}", words.lease(&lease)),
        (None, None) => none(),
    };
    vec![
        (
            "state",
            state.map_or_else(none, |it| {
                format!("{}: {}, {}, {}", it.public, it.phase, it.ownership, it.eligibility)
            }),
        ),
        ("indexes", or_none(indexes.join("; "))),
        (
            "lane",
            if current == lane || current == NONE { lane } else { format!("{lane}, current {current}") },
        ),
        ("lease", lease),
        ("grant", execution.grant().map_or_else(none, |grant| words.granted(&grant))),
        ("epoch", core.map_or_else(none, |core| core.epoch().to_string())),
        ("delay until", core.and_then(|core| core.delay_until()).map_or_else(none, |at| words.clock(at))),
    ]
}

fn none() -> String {
    NONE.to_owned()
}

fn or_none(text: String) -> String {
    if text.is_empty() { none() } else { text }
}
