//! A process: an actor, its connection, its mailbox and its timers, in one task.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::{Future, poll_fn},
    mem,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

use valkey_sim::{
    clock::WorldMicros,
    link::{Fate, Mailbox},
};

use super::{
    client::Client,
    world::{Envelope, World},
};
use crate::{
    actor::{Actor, Input, Message, Outbox, Output},
    node::Node,
    plan::{self, Fault},
    trace::{Recorder, Seq, Summary, What},
};

/// Runs an actor for as long as its node lives.
pub(super) async fn run<A: Actor<Then: Debug>>(world: Rc<World>, node: Node, actor: A) {
    let mailbox = world.post.mailbox(world.host(node));
    let client = Client::new(Rc::clone(&world), node);
    let mut process = Process {
        world,
        node,
        actor,
        client,
        mailbox,
        out: Outbox::default(),
        timers: BTreeMap::new(),
        armed: None,
        next_timer: 0,
    };
    process.step(Input::Started, None);
    poll_fn(|cx| process.poll(cx)).await;
}

struct Process<A: Actor> {
    world: Rc<World>,
    node: Node,
    actor: A,
    client: Client<A::Then>,
    mailbox: Mailbox<Envelope>,
    /// Empty between steps; kept for its memory.
    out: Outbox<A::Then>,
    /// By when they are due, then by when they were set.
    timers: BTreeMap<(WorldMicros, u64), (A::Then, Option<Seq>)>,
    next_timer: u64,
    /// When the task will be woken; madsim's timers cannot be taken back, so none is set twice.
    armed: Option<WorldMicros>,
}

impl<A: Actor<Then: Debug>> Process<A> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some((input, cause)) = self.next(cx) {
            self.step(input, cause);
        }
        self.arm(cx);
        Poll::Pending
    }

    /// What happens next: replies before messages, messages before timers.
    fn next(&mut self, cx: &mut Context<'_>) -> Option<(Input<A::Then>, Option<Seq>)> {
        if let Some(done) = self.client.poll(cx) {
            return Some((Input::Answered { then: done.then, answer: done.answer }, done.cause));
        }
        if let Poll::Ready(envelope) = pin!(self.mailbox.receive()).poll(cx) {
            let Envelope { from, told, message } = envelope;
            let heard = summary(&message, &mut self.world.recorder.borrow_mut()).filter(is_about_a_grant);
            let cause = match heard {
                Some(message) => Some(self.world.record(self.node, told, What::Heard { from, message })),
                None => told,
            };
            return Some((Input::Received { from, message }, cause));
        }
        let due = self.timers.first_entry().filter(|first| first.key().0 <= self.world.now())?;
        let (then, cause) = due.remove();
        Some((Input::Due(then), cause))
    }

    fn step(&mut self, input: Input<A::Then>, cause: Option<Seq>) {
        let mut out = mem::take(&mut self.out);
        tracing::trace!(at_us = self.world.now().0, node = %self.node, cause, ?input, "step");
        self.actor.step(self.world.wall(self.node), input, &mut out);
        for output in out.drain() {
            match output {
                Output::Call { request, then } => self.client.send(&request, then, cause),
                Output::Wake { after_ms, then } => {
                    self.next_timer += 1;
                    let due = self.world.deadline(self.node, after_ms);
                    self.timers.insert((due, self.next_timer), (then, cause));
                }
                Output::Send { to, message } => self.send(to, message, cause),
            }
        }
        self.out = out;
    }

    fn send(&self, to: Node, message: Message, cause: Option<Seq>) {
        let told = summary(&message, &mut self.world.recorder.borrow_mut());
        let is_grant = told.as_ref().is_some_and(is_about_a_grant);
        let told =
            told.map(|message| self.world.record(self.node, cause, What::Told { to, message })).or(cause);
        let fate = if is_grant { self.fate(told) } else { Fate::Deliver };
        let world = &self.world;
        world.post.send(
            world.host(self.node),
            world.host(to),
            Envelope { from: self.node, told, message },
            fate,
        );
    }

    /// What the plan does to this process's next message about a grant.
    fn fate(&self, told: Option<Seq>) -> Fate {
        let this = self.world.count(self.node, "");
        let planned = self.world.plan.faults.iter().find_map(|fault| match fault {
            Fault::GrantMessage { from, nth, fate } if *from == self.node && *nth == this => Some(*fate),
            _ => None,
        });
        let Some(fate) = planned else { return Fate::Deliver };
        self.world.record(self.node, told, What::MessageFault { fate });
        let late = |ms: u64| {
            self.world.expect_until(self.world.now().after(ms.saturating_mul(2_000)));
            ms.saturating_mul(1_000)
        };
        match fate {
            plan::Fate::Drop => Fate::Drop,
            plan::Fate::Delay(by_ms) => Fate::Delay { by_us: late(by_ms) },
            plan::Fate::Twice(after_ms) => Fate::Duplicate { after_us: late(after_ms) },
        }
    }

    /// Sees to it that the task is woken for the next timer.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let timer = self.timers.first_key_value().map(|((due, _), _)| *due);
        let Some(due) = timer.into_iter().chain(self.client.deadline()).min() else { return };
        let now = self.world.now();
        if self.armed.is_some_and(|armed| now < armed && armed <= due) {
            return;
        }
        // Polled once, the sleep leaves a timer behind that wakes this task.
        let sleep = self.world.network.world().sleep_until(due);
        if pin!(sleep).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.armed = Some(due);
    }
}

fn is_about_a_grant(summary: &Summary) -> bool {
    matches!(summary, Summary::ClaimGrant { .. } | Summary::ReclaimGrant { .. })
}

/// What the trace says of a message. That there is nothing to do, or that a worker lives, it does not say.
fn summary(message: &Message, recorder: &mut Recorder) -> Option<Summary> {
    match message {
        Message::Ask(ask) => Some(Summary::Ask { lane: ask.lane_id.as_str().to_owned() }),
        Message::Grant(_, grant) => Some(Summary::ClaimGrant {
            execution: recorder.execution(grant.execution_id.as_str()),
            expires_at_ms: grant.expires_at_ms.0,
        }),
        Message::Reclaim(grant) => Some(Summary::ReclaimGrant {
            execution: recorder.execution(grant.execution_id.as_str()),
            expires_at_ms: grant.expires_at_ms.0,
            lane: grant.lane_id.as_str().to_owned(),
        }),
        Message::NoGrant(_) | Message::Alive(_) => None,
    }
}
