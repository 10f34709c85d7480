//! Makes the faults happen that have a time: crashes, pauses, partitions.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use madsim::runtime::{Handle, NodeHandle};
use valkey_sim::link::Direction;

use super::world::World;
use crate::{
    node::Node,
    plan::{Cut, Fault},
    trace::What,
};

/// One thing to do at one time.
#[derive(Clone, Copy)]
enum Act {
    Crash(Node),
    Restart(Node),
    Pause(Node),
    Resume(Node),
    Cut(Node, Node, Cut),
    Heal(Node, Node),
}

/// Does what the plan says, when it says so.
pub(super) async fn direct(world: Rc<World>, nodes: BTreeMap<Node, NodeHandle>) {
    for (at_ms, act) in schedule(&world.plan.faults) {
        let due = Duration::from_millis(at_ms);
        let now = Duration::from_micros(world.now().0);
        if due > now {
            madsim::time::sleep(due - now).await;
        }
        perform(&world, &nodes, act);
    }
}

/// The acts in the order of their times; those of one time in the order of the plan.
fn schedule(faults: &[Fault]) -> Vec<(u64, Act)> {
    let mut acts = Vec::new();
    for fault in faults {
        match *fault {
            Fault::Crash { node, at_ms, down_ms } => {
                acts.push((at_ms, Act::Crash(node)));
                acts.extend(down_ms.map(|down| (at_ms.saturating_add(down), Act::Restart(node))));
            }
            Fault::Pause { node, at_ms, for_ms } => {
                acts.push((at_ms, Act::Pause(node)));
                acts.push((at_ms.saturating_add(for_ms), Act::Resume(node)));
            }
            Fault::Partition { a, b, at_ms, for_ms, cut } => {
                acts.push((at_ms, Act::Cut(a, b, cut)));
                acts.push((at_ms.saturating_add(for_ms), Act::Heal(a, b)));
            }
            _ => {}
        }
    }
    acts.sort_by_key(|(at_ms, _)| *at_ms);
    acts
}

fn perform(world: &World, nodes: &BTreeMap<Node, NodeHandle>, act: Act) {
    let runtime = Handle::current();
    let id = |node: &Node| nodes[node].id();
    let host = |node| world.host(node);
    match act {
        Act::Crash(node) => {
            world.record(node, None, What::Crashed);
            world.network.kill(host(node));
            runtime.kill(id(&node));
        }
        Act::Restart(node) => runtime.restart(id(&node)),
        Act::Pause(node) => {
            world.record(node, None, What::Paused);
            runtime.pause(id(&node));
        }
        Act::Resume(node) => {
            world.record(node, None, What::Resumed);
            runtime.resume(id(&node));
        }
        Act::Cut(a, b, cut) => {
            world.record(a, None, What::PartitionBegan { a, b, cut });
            match cut {
                Cut::Both => world.network.partition(host(a), host(b), Direction::Both),
                Cut::AToB => world.network.partition(host(a), host(b), Direction::OneWay),
                Cut::BToA => world.network.partition(host(b), host(a), Direction::OneWay),
            }
        }
        Act::Heal(a, b) => {
            world.record(a, None, What::PartitionHealed { a, b });
            world.network.heal(host(a), host(b));
        }
    }
}
