//! Cues: which deeds are due because the call that they wait for was executed.
//!
//! A deed may wait for the n-th call of a function, so that it happens at the worst moment and not at a time that somebody
//! guessed. The driver tells of each call that the server executed, and sends the operator word.

use crate::{
    plan::{CallRef, Plan},
    trace::{Command, Names},
    types::{ExecutionId, ExecutionName, Function, Label, Node},
};

/// The deeds that wait for a call.
#[derive(Clone, Debug)]
pub struct Cues {
    waiting: Vec<Waiting>,
    claim_function: Function,
}

#[derive(Clone, Debug)]
struct Waiting {
    deed: Label,
    /// For how long it goes on once it is due, milliseconds.
    takes_ms: u64,
    upon: CallRef,
    matched: u32,
}

/// A deed that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Its name.
    pub deed: Label,
    /// When its last call is made, milliseconds from now, where every call is answered at once.
    pub takes_ms: u64,
}

/// The function that a command calls, and the execution that its first argument names, if it names one.
pub fn called(args: &[&[u8]], names: &Names) -> Option<(Function, Option<ExecutionName>)> {
    let function = Command::function(args)?;
    let text = |place: usize| args.get(place).and_then(|arg| std::str::from_utf8(arg).ok());
    let keys: Option<usize> = text(2).and_then(|keys| keys.parse().ok());
    let first = keys.and_then(|keys| text(keys.checked_add(3)?));
    let execution = first.filter(|id| ExecutionId::parse(id).is_ok()).map(|id| names.of_text(id));
    Some((function, execution))
}

impl Cues {
    /// The deeds of a plan that wait; `claim_function` is what `claim` means in it.
    pub fn new(plan: &Plan, claim_function: Function) -> Self {
        let waiting = plan.deeds.iter().filter_map(|deed| {
            let takes_ms = deed.at_ms.saturating_add(deed.takes_ms());
            Some(Waiting { deed: deed.name.clone(), takes_ms, upon: deed.upon.clone()?, matched: 0 })
        });
        Self { waiting: waiting.collect(), claim_function }
    }

    /// Whether any deed waits, or did.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A command was executed, in the words of its wire: which deeds are due now.
    pub fn told(&mut self, node: Node, args: &[&[u8]], names: &Names) -> Vec<Cue> {
        if self.is_empty() {
            return Vec::new();
        }
        let Some((function, execution)) = called(args, names) else { return Vec::new() };
        self.executed(node, &function, execution.as_ref())
    }

    /// A call was executed: which deeds are due now.
    pub fn executed(
        &mut self,
        node: Node,
        function: &Function,
        execution: Option<&ExecutionName>,
    ) -> Vec<Cue> {
        let mut due = Vec::new();
        for waiting in &mut self.waiting {
            if waiting.upon.matches(node, function, execution, &self.claim_function) {
                waiting.matched += 1;
                if waiting.matched == waiting.upon.nth {
                    due.push(Cue { deed: waiting.deed.clone(), takes_ms: waiting.takes_ms });
                }
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::support::{WORKER, claim, plan},
        *,
    };
    use crate::plan::{Deed, Does};

    #[test]
    fn a_deed_is_due_when_the_nth_such_call_was_executed_and_once_only() {
        let mut plan = plan([]);
        let deed = |name: &str, upon| Deed {
            name: Label::from(name),
            at_ms: 30,
            upon,
            stale_ms: 12,
            again: 0,
            does: Does::Version {},
        };
        plan.deeds = vec![deed("first", Some(claim(1))), deed("second", Some(claim(2))), deed("timed", None)];
        let mut cues = Cues::new(&plan, Function::ClaimExecution);
        let mut due = |node, function| {
            let names = cues.executed(node, &function, None).into_iter();
            names.map(|cue| (cue.deed.to_string(), cue.takes_ms)).collect::<Vec<_>>()
        };
        assert_eq!(due(WORKER, Function::RenewLease), []);
        assert_eq!(due(Node::Scanner, Function::ClaimExecution), []);
        assert_eq!(due(WORKER, Function::ClaimExecution), [("first".to_owned(), 42)]);
        assert_eq!(due(WORKER, Function::ClaimExecution), [("second".to_owned(), 42)]);
        assert_eq!(due(WORKER, Function::ClaimExecution), []);
    }
}
