//! Which calls are beside a story, and which come late: read from the events and their causes alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    trace::{Command, Event, What},
    types::{Node, Seq, SimTime},
};

/// The schedulers' and scanners' calls that wrote nothing and to which nothing happened: each as sent, as executed, as
/// answered.
pub(super) fn idle_calls(events: &[Event]) -> BTreeSet<Seq> {
    let mut eventful = BTreeSet::new();
    for event in events {
        match &event.what {
            What::ReplyReceived { .. } => {}
            What::Executed(executed) if executed.effects.is_empty() => {}
            What::Executed(_) => {
                eventful.insert(event.head.seq);
            }
            _ => eventful.extend(event.head.cause),
        }
    }
    let mut idle = BTreeSet::new();
    for event in events {
        match &event.what {
            What::Executed(executed)
                if matches!(
                    executed.caller,
                    Some(Node::Scheduler(_) | Node::Scanner | Node::SecondScanner)
                ) && is_call(&executed.args) =>
            {
                let call = [Some(event.head.seq), event.head.cause];
                if call.iter().flatten().all(|seq| !eventful.contains(seq)) {
                    idle.extend(call.into_iter().flatten());
                }
            }
            What::ReplyReceived { .. } if event.head.cause.is_some_and(|cause| idle.contains(&cause)) => {
                idle.insert(event.head.seq);
            }
            _ => {}
        }
    }
    idle
}

fn is_call(args: &[Vec<u8>]) -> bool {
    Command::function(&args.iter().take(2).map(Vec::as_slice).collect::<Vec<_>>()).is_some()
}

/// The calls that came late, with the times at which they were sent.
pub(super) fn late_calls(events: &[Event]) -> BTreeMap<Seq, SimTime> {
    let mut over = BTreeSet::new();
    let mut late = BTreeMap::new();
    for event in events {
        let Some(cause) = event.head.cause else { continue };
        let is_over = match &event.what {
            What::Executed(executed) if is_call(&executed.args) => !over.insert(cause),
            What::ReplyLost { .. } => {
                over.insert(cause);
                false
            }
            _ => false,
        };
        if is_over && let Some(sent) = events.get(cause as usize) {
            late.insert(event.head.seq, sent.head.at);
        }
    }
    late
}
