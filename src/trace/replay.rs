//! Shows a recorded run once more: the keyspace is rebuilt from the effects, step by step.

use std::{cell::OnceCell, collections::BTreeMap};

use valkey_sim::{
    engine::{Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros},
    lua::Interpreter,
};

use super::{Call, Event, Executed, Head, Moment, Names, Step, Trace, What};
use crate::{
    protocol::Presented,
    types::{Function, Node, Seq, TimestampMs},
    view::{self, View},
};

/// Makes steps of executed commands: remembers the keyspace as the last one left it, and nothing else.
#[derive(Clone, Default)]
pub struct Stepper {
    view: View,
}

/// A command that was executed, borrowed from wherever it is.
#[derive(Clone, Copy)]
pub struct Command<'a> {
    /// Whose connection it came by; none for the server's own expiry cycle.
    pub caller: Option<Node>,
    /// The server's clock.
    pub now: TimestampMs,
    /// The command and its arguments.
    pub args: &'a [&'a [u8]],
    /// What it answered.
    pub reply: &'a Reply,
    /// What it wrote.
    pub effects: &'a Effects,
}

impl Stepper {
    /// One that goes on from this keyspace.
    pub fn at(view: View) -> Self {
        Self { view }
    }

    /// Shows one executed command, after which the keyspace is `after`.
    pub fn step(
        &mut self,
        head: Head,
        command: &Command<'_>,
        after: View,
        names: &Names,
        show: &mut dyn FnMut(&Moment<'_>),
    ) {
        let touched = view::touched(command.effects, &self.view, &after);
        let step = Step {
            head,
            now: command.now,
            command: *command,
            call: command.call(),
            effects: command.effects,
            touched: &touched,
            before: &self.view,
            after: &after,
            names,
            changes: OnceCell::new(),
        };
        show(&Moment::Step(&step));
        drop(step);
        self.view = after;
    }

    /// The keyspace is an earlier one again.
    pub fn rewind(&mut self, server: Node, to: View, show: &mut dyn FnMut(&Moment<'_>)) {
        show(&Moment::Rewound { server, to: &to });
        self.view = to;
    }

    /// The keyspace as the last step left it.
    pub fn view(&self) -> &View {
        &self.view
    }
}

impl<'a> Command<'a> {
    /// The function call that it is, if it is one: `FCALL name numkeys keys… argv…`.
    pub fn call(&self) -> Option<Call<'a>> {
        let function = Self::function(self.args)?;
        let count: usize = std::str::from_utf8(self.args.get(2)?).ok()?.parse().ok()?;
        let keys_and_argv = self.args.get(3..)?;
        let (keys, argv) = keys_and_argv.split_at(count.min(keys_and_argv.len()));
        let presented = Presented::of(&function, argv);
        let (reply, answer) = (self.reply, crate::protocol::reply::answer(self.reply));
        Some(Call { function, caller: self.caller?, keys, argv, presented, reply, answer })
    }

    /// The function that a command calls; none for other commands.
    pub fn function(args: &[&[u8]]) -> Option<Function> {
        let [command, function, ..] = args else { return None };
        let is_call = command.eq_ignore_ascii_case(b"FCALL") || command.eq_ignore_ascii_case(b"FCALL_RO");
        is_call.then(|| std::str::from_utf8(function).ok().map(Function::from)).flatten()
    }
}

/// Effects that no server can have had: the trace was changed by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event {seq} of the trace cannot have happened ({why}): replay the token or plan that it came from to write it anew"
)]
pub struct Impossible {
    seq: Seq,
    why: ErrorReply,
}

impl Trace {
    /// Whether its effects can be those of a server. To be asked of a trace that comes from a file.
    ///
    /// # Errors
    /// [`Impossible`], with the first event that cannot have happened.
    pub fn check(&self) -> Result<(), Impossible> {
        let mut mirrors = Mirrors::new(self);
        self.events.iter().try_for_each(|event| {
            mirrors.follow(event).map_err(|why| Impossible { seq: event.head.seq, why })
        })
    }

    /// Shows the run, moment by moment, as it was shown live.
    pub fn replay(&self, mut show: impl FnMut(&Moment<'_>)) {
        let mut mirrors = Mirrors::new(self);
        let mut steppers = BTreeMap::from([(Node::Valkey, Stepper::default())]);
        for event in &self.events {
            // What is refused here is for `check` to say.
            let _ = mirrors.follow(event);
            match &event.what {
                What::Executed(executed) => {
                    let args: Vec<&[u8]> = executed.args.iter().map(Vec::as_slice).collect();
                    let Executed { caller, now_ms: now, reply, effects, .. } = executed;
                    let after = mirrors.view(event.head.node);
                    let stepper = steppers.entry(event.head.node).or_default();
                    let command = Command { caller: *caller, now: *now, args: &args, reply, effects };
                    stepper.step(event.head, &command, after, &self.header.executions, &mut show);
                }
                What::Rewound { former_lives, .. } => {
                    show_plain(event, &mut show);
                    let stepper = steppers.entry(Node::Valkey).or_default();
                    let former = former_lives.then(|| stepper.clone());
                    stepper.rewind(Node::Valkey, mirrors.view(Node::Valkey), &mut show);
                    steppers.extend(former.map(|former| (Node::FormerValkey, former)));
                }
                _ => show_plain(event, &mut show),
            }
        }
        show(&Moment::End(&self.ended));
    }
}

/// Shows an event that is no step of the server's.
pub fn show_plain(event: &Event, show: &mut dyn FnMut(&Moment<'_>)) {
    debug_assert!(!matches!(event.what, What::Executed(_)), "a step is shown with its keyspaces");
    show(&if event.what.is_fault() { Moment::Fault(event) } else { Moment::Client(event) });
}

/// A mirror of each server of a run, and what the one that may be rewound held after each event.
struct Mirrors {
    all: BTreeMap<Node, Mirror>,
    dialect: Dialect,
    past: Option<BTreeMap<Seq, Mirror>>,
}

impl Mirrors {
    fn new(trace: &Trace) -> Self {
        let is_rewound = |event: &Event| matches!(event.what, What::Rewound { .. });
        let past = trace.events.iter().any(is_rewound).then(BTreeMap::new);
        Self { all: BTreeMap::new(), dialect: trace.header.dialect, past }
    }

    /// Does to the mirrors what an event did to the servers.
    fn follow(&mut self, event: &Event) -> Result<(), ErrorReply> {
        match &event.what {
            What::Executed(Executed { effects, now_ms, .. }) => {
                let mirror = self.of(event.head.node);
                mirror.apply(effects, *now_ms)?;
                if event.head.node == Node::Valkey && !effects.is_empty() {
                    let mirror = mirror.clone();
                    self.past.as_mut().map(|past| past.insert(event.head.seq, mirror));
                }
            }
            What::Rewound { kept, former_lives, .. } => {
                if *former_lives {
                    let former = self.of(Node::Valkey).clone();
                    self.all.insert(Node::FormerValkey, former);
                }
                // The library's loading is on the disk, too, and no step.
                let until = |kept: Seq| Some(self.past.as_ref()?.range(..=kept).next_back()?.1.clone());
                let past = kept.and_then(until);
                self.all.insert(Node::Valkey, past.unwrap_or_else(|| Mirror::new(self.dialect)));
            }
            _ => {}
        }
        Ok(())
    }

    fn of(&mut self, server: Node) -> &mut Mirror {
        self.all.entry(server).or_insert_with(|| Mirror::new(self.dialect))
    }

    fn view(&mut self, server: Node) -> View {
        self.of(server).view()
    }
}

/// An engine that only takes effects in, as a replica does.
#[derive(Clone)]
struct Mirror {
    engine: Engine,
    session: Session,
    own: Effects,
}

impl Mirror {
    fn new(dialect: Dialect) -> Self {
        let mut engine = Engine::new(dialect, Interpreter::default());
        let session = engine.connect();
        Self { engine, session, own: Effects::default() }
    }

    fn apply(&mut self, effects: &Effects, now: TimestampMs) -> Result<(), ErrorReply> {
        let now = UnixMicros::from_millis(now.0.max(0) as u64);
        let applied = self.engine.apply(&mut self.session, effects, now, &mut self.own);
        self.own.clear();
        applied
    }

    fn view(&self) -> View {
        View::new(self.engine.keyspace().clone())
    }
}
