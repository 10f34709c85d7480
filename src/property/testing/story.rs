//! Runs written by hand, for the tests of the properties: what was called, and what it wrote. No library is involved.
//!
//! ```text
//! Story::new().created(0).granted(10, 100).step(101, "ff_claim_execution e1 w w-1 gold", "OK", "DEL :grant; HSET :lease …")
//! ```
//!
//! Most is about one execution, `e1`; there is an `e2`, and one each of a quota, a budget, a flow. Times are milliseconds
//! since [`EPOCH_MS`]. In the text of a step `e1` is the execution's id (`<e1>` within a word), `-` the empty string, `@7` the
//! time 7, and a word with a colon in front a key: `:core`, `:grant`, `:lease`, `:history`, `:payload`, `:policy`, `:result`,
//! `:attempt:0`, `:e1:…` and `:e2:…` of an execution, `:quota…`, `:budget…`, `:flow:…`, `:wp:…`, `:worker:…`, `:secrets`, else an index of the
//! partition, `:lane:gold:eligible`. A call may name its KEYS before a `|`; an answer may have details after its word.

use valkey_sim::{
    engine::{Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros},
    lua::Interpreter,
};

use crate::{
    library::Library,
    plan::{CallRef, Called},
    property::{Judge, Verdict, catalogue},
    protocol::{self, shape::Shape},
    trace::{
        Command, End, Ended, Event, Executed, Head, LaneName, Moment, Names, Stepper, Summary, Trace, What,
        file, show_plain,
    },
    types::{
        Answer, ExecutionId, ExecutionName, FaultClass, Function, Lost, Node, Seq, SimTime, Status,
        TimestampMs, Waiting, Why,
    },
    view::View,
};

/// When the stories begin.
pub const EPOCH_MS: i64 = 1_735_689_600_000;
const ID: &str = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const OTHER_ID: &str = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c9";

/// By which commands a story writes what it writes. No property may see a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Style {
    /// As the story says.
    #[default]
    Plain,
    /// `HMSET` for `HSET`.
    Hmset,
    /// A command for every field.
    FieldByField,
    /// A string in the place of what is to be deleted.
    SetOver,
    /// Away with it under another name, instead of deleting it.
    Rename,
}

impl Style {
    pub const ALL: [Self; 5] = [Self::Plain, Self::Hmset, Self::FieldByField, Self::SetOver, Self::Rename];

    /// The stories that this thread begins from now on are written so.
    pub fn set(style: Self) {
        STYLE.set(style);
    }

    /// A command in this style.
    fn restyled(self, words: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
        let with = |name: &str, rest: &[Vec<u8>]| [&[name.as_bytes().to_vec()], rest].concat();
        match (self, words[0].as_slice()) {
            (Style::Hmset, b"HSET") => vec![with("HMSET", &words[1..])],
            (Style::FieldByField, b"HSET") => {
                let field = |pair: &[Vec<u8>]| with("HSET", &[&words[1..2], pair].concat());
                words[2..].chunks(2).map(field).collect()
            }
            (Style::SetOver, b"DEL") => vec![with("SET", &[words[1].clone(), b"gone".to_vec()])],
            // What was set over must be gone before it can be a hash again.
            (Style::SetOver, b"HSET") => vec![with("GETDEL", &words[1..2]), words.to_vec()],
            (Style::Rename, b"DEL") => vec![with("RENAME", &[words[1].clone(), b"attic".to_vec()])],
            _ => vec![words.to_vec()],
        }
    }
}

/// A run, written by hand.
pub struct Story {
    style: Style,
    server: Server,
    kept: Option<Server>,
    acts: Vec<Act>,
    request: Option<Seq>,
    /// Which server executes.
    node: Node,
    ended: Ended,
}

#[derive(Clone)]
struct Server {
    engine: Engine,
    session: Session,
}

enum Act {
    Event(Box<Event>, View),
    Rewind(View),
}

thread_local! {
    /// The style of the stories that this thread begins.
    static STYLE: std::cell::Cell<Style> = const { std::cell::Cell::new(Style::Plain) };
}

impl Story {
    pub fn new() -> Self {
        let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
        let session = engine.connect();
        let server = Server { engine, session };
        Self {
            style: STYLE.get(),
            server,
            kept: None,
            acts: Vec::new(),
            node: Node::Valkey,
            request: None,
            ended: ended_quietly(),
        }
    }

    /// A story in which calls are not told but sent: to this library.
    pub fn of(library: &Library) -> Self {
        let mut story = Self::new();
        let Server { engine, session } = &mut story.server;
        let load = [b"FUNCTION".as_slice(), b"LOAD", library.source().as_bytes()];
        let loaded = engine.execute(session, &load, instant(0), &mut Effects::default());
        assert_eq!(loaded.error(), None, "the library loads");
        story
    }

    /// A call was sent.
    pub fn sends(mut self, at: i64, call: &impl protocol::Command) -> Self {
        let request = call.request();
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        let (Server { engine, session }, mut effects) = (&mut self.server, Effects::default());
        let reply = engine.execute(session, &args, instant(at), &mut effects);
        self.push_executed(at, Some(Node::Worker(1)), request.args.to_vec(), reply, effects)
    }

    /// A function was called, answered in this word, and wrote by these commands.
    pub fn step(self, at: i64, call: &str, answer: &str, commands: &str) -> Self {
        self.called(Node::Worker(1), at, call, answer, commands)
    }

    /// A scanner called a function, which answered and wrote.
    pub fn scans(self, at: i64, call: &str, answer: &str, commands: &str) -> Self {
        self.called(Node::Scanner, at, call, answer, commands)
    }

    fn called(self, caller: Node, at: i64, call: &str, answer: &str, commands: &str) -> Self {
        let (keys, argv) = call.split_once('|').unwrap_or(("", call));
        let (mut keys, mut argv) = (keys.split_whitespace(), argv.split_whitespace());
        let function = keys.next().or_else(|| argv.next()).expect("a function").as_bytes().to_vec();
        let keys: Vec<Vec<u8>> = keys.map(word).collect();
        let mut args = vec![b"FCALL".to_vec(), function, keys.len().to_string().into_bytes()];
        args.extend(keys.into_iter().chain(argv.map(word)));
        self.said(caller, at, args, answer, commands)
    }

    /// As [`step`](Self::step), of a call that declares these keys.
    pub fn keyed(
        self,
        at: i64,
        function: &str,
        keys: &[&str],
        argv: &[&str],
        answer: &str,
        commands: &str,
    ) -> Self {
        let mut args = vec![b"FCALL".to_vec(), function.into(), keys.len().to_string().into_bytes()];
        args.extend(keys.iter().chain(argv).map(|text| word(text)));
        self.said(Node::Worker(1), at, args, answer, commands)
    }

    /// A function was called, gave this reply, and wrote nothing.
    pub fn answered(self, at: i64, call: &str, reply: Reply) -> Self {
        self.replied(at, call, reply, "")
    }

    /// A function was called, wrote by these commands, and gave this reply.
    pub fn replied(self, at: i64, call: &str, reply: Reply, commands: &str) -> Self {
        let call: Vec<&str> = call.split_whitespace().collect();
        let mut args = vec![b"FCALL".to_vec(), call[0].as_bytes().to_vec(), b"0".to_vec()];
        args.extend(call[1..].iter().map(|text| word(text)));
        self.executed(at, Some(Node::Worker(1)), args, reply, commands)
    }

    /// The call wrote, and then answered as its function does.
    fn said(mut self, caller: Node, at: i64, args: Vec<Vec<u8>>, answer: &str, commands: &str) -> Self {
        let before = self.view();
        let mut effects = Effects::default();
        self.write(at, commands, &mut effects);
        let reply = match answer.split_once(' ') {
            // The text of an error has spaces, too.
            Some((word, details)) if !matches!(Answer::from(word), Answer::Error(_)) => {
                spelled(word, details)
            }
            _ => reply(answer, &args, &before, &self.view()),
        };
        self.push_executed(at, Some(caller), args, reply, effects)
    }

    /// The run ends, and `e1` has not, for this reason.
    pub fn stands_still(mut self, why: Why) -> Self {
        self.ended.how = if matches!(why, Why::Stuck(_)) { End::Stuck } else { End::Settled };
        self.ended.waiting = vec![Waiting { execution: name(), why, story: "for something".to_owned() }];
        self
    }

    /// A plain command wrote.
    pub fn plain(self, at: i64, command: &str) -> Self {
        let args = command.split_whitespace().map(word).collect();
        self.executed(at, Some(Node::Scanner), args, Reply::Int(1), command)
    }

    /// The server's expiry cycle removed what had expired.
    pub fn reaped(mut self, at: i64) -> Self {
        let mut effects = Effects::default();
        self.server.engine.reap(instant(at), 100, &mut effects);
        self.push_executed(at, None, Vec::new(), Reply::Nothing, effects)
    }

    /// Something else happened.
    pub fn event(mut self, node: Node, cause: Option<Seq>, what: What) -> Self {
        let event = Event { head: self.head(node, cause), what };
        let view = self.view();
        self.acts.push(Act::Event(Box::new(event), view));
        self
    }

    /// A worker sent a request: the cause of the steps that follow.
    pub fn sent(self, function: &str) -> Self {
        let (function, seq) = (Function::from(function), self.acts.len() as Seq);
        let story =
            self.event(Node::Worker(1), None, What::RequestSent { function, execution: Some(name()) });
        Self { request: Some(seq), ..story }
    }

    /// A hostile caller changed that request.
    pub fn changed(self, class: FaultClass) -> Self {
        let function = Called::Claim;
        let call = CallRef { node: None, function, execution: None, nth: 1 };
        let cause = self.request;
        self.event(Node::Worker(1), cause, What::CallFault { class, call })
    }

    /// The worker read the reply of what was executed last.
    pub fn told(self, function: &str) -> Self {
        let executed = self.acts.len() as Seq - 1;
        let what = What::ReplyReceived {
            function: Function::from(function),
            execution: Some(name()),
            answer: Answer::Consent(Status::Ok),
        };
        self.event(Node::Worker(1), Some(executed), what)
    }

    /// The worker will never read the reply to its request.
    pub fn reply_lost(self, function: &str) -> Self {
        let what = What::ReplyLost {
            function: Function::from(function),
            execution: Some(name()),
            lost: Lost::TimedOut,
        };
        let cause = self.request;
        self.event(Node::Worker(1), cause, what)
    }

    /// The reclaimer sent a ReclaimGrant that carries this lane.
    pub fn reclaim_grant(self, lane: &str) -> Self {
        let (execution, lane) = (name(), LaneName(lane.to_owned()));
        let message = Summary::ReclaimGrant { execution, lane, expires_at_ms: TimestampMs(EPOCH_MS) };
        self.event(Node::Scanner, None, What::MessageSent { to: Node::Worker(1), message })
    }

    /// From now on the former server executes.
    pub fn at_the_former(mut self) -> Self {
        self.node = Node::FormerValkey;
        self
    }

    /// What the server holds now is what a power loss will leave.
    pub fn kept(mut self) -> Self {
        self.kept = Some(self.server.clone());
        self
    }

    /// A power loss: the server holds what was kept.
    pub fn rewound(mut self) -> Self {
        self.server = self.kept.clone().expect("something was kept");
        let view = self.view();
        self.acts.push(Act::Rewind(view));
        self
    }

    fn executed(
        mut self,
        at: i64,
        caller: Option<Node>,
        args: Vec<Vec<u8>>,
        reply: Reply,
        commands: &str,
    ) -> Self {
        let mut effects = Effects::default();
        self.write(at, commands, &mut effects);
        self.push_executed(at, caller, args, reply, effects)
    }

    fn write(&mut self, at: i64, commands: &str, effects: &mut Effects) {
        for command in commands.split(';').filter(|command| !command.trim().is_empty()) {
            let words: Vec<Vec<u8>> = command.split_whitespace().map(word).collect();
            for words in self.style.restyled(&words) {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let Server { engine, session } = &mut self.server;
                let said = engine.execute(session, &words, instant(at), effects);
                let is_fine = said.error().is_none() || words[0] == b"RENAME" || words[0] == b"GETDEL";
                assert!(is_fine, "{command}: {said:?}");
            }
        }
    }

    fn push_executed(
        mut self,
        at: i64,
        caller: Option<Node>,
        args: Vec<Vec<u8>>,
        reply: Reply,
        effects: Effects,
    ) -> Self {
        let executed = Executed { caller, now_ms: TimestampMs(EPOCH_MS + at), args, reply, effects };
        let event = Event { head: self.head(self.node, self.request), what: What::Executed(executed) };
        let view = self.view();
        self.acts.push(Act::Event(Box::new(event), view));
        self
    }

    fn head(&self, node: Node, cause: Option<Seq>) -> Head {
        let seq = self.acts.len() as Seq;
        Head { seq, at: SimTime::from_millis(u64::from(seq)), node, cause }
    }

    fn view(&self) -> View {
        View::new(self.server.engine.keyspace().clone())
    }
}

impl Story {
    /// What the whole catalogue has to say, live.
    pub fn verdict(&self) -> Verdict {
        let mut judge = Judge::new(catalogue::all());
        let (mut stepper, names) = (Stepper::default(), names());
        let mut show = |moment: &Moment<'_>| judge.observe(moment);
        for act in &self.acts {
            match act {
                Act::Rewind(to) => stepper.rewind(Node::Valkey, to.clone(), &mut show),
                Act::Event(event, after) => match &event.what {
                    What::Executed(executed) => {
                        let args: Vec<&[u8]> = executed.args.iter().map(Vec::as_slice).collect();
                        let Executed { caller, now_ms: now, reply, effects, .. } = executed;
                        let command = Command { caller: *caller, now: *now, args: &args, reply, effects };
                        stepper.step(event.head, &command, after.clone(), &names, &mut show);
                    }
                    _ => show_plain(event, &mut show),
                },
            }
        }
        show(&Moment::End(&self.ended));
        judge.finish()
    }

    /// The trace; none for a story with a power loss, which no trace tells yet.
    pub fn trace(&self) -> Option<Trace> {
        let event = |act: &Act| match act {
            Act::Event(event, _) => Some((**event).clone()),
            Act::Rewind(_) => None,
        };
        let header = file::Header {
            schema: file::SCHEMA,
            token: None,
            library: Library::published().reference(),
            dialect: Dialect::Valkey8,
            executions: names(),
        };
        let events = self.acts.iter().map(event).collect::<Option<_>>()?;
        Some(Trace { header, events, ended: self.ended.clone(), faults: Vec::new() })
    }

    /// The fingerprints of all violations, in order.
    pub fn fingerprints(&self) -> Vec<String> {
        self.verdict().violations.iter().map(|violation| violation.fingerprint.to_string()).collect()
    }
}

fn names() -> Names {
    [(ExecutionId::parse(ID).expect("an id"), name())].into_iter().collect()
}

fn name() -> ExecutionName {
    ExecutionName::nth(1)
}

fn ended_quietly() -> Ended {
    Ended { how: End::Quiet, at_us: SimTime::from_millis(1_500), waiting: Vec::new() }
}

fn instant(at: i64) -> UnixMicros {
    UnixMicros::from_millis((EPOCH_MS + at).unsigned_abs())
}

/// A word of a story, for the wire.
fn word(text: &str) -> Vec<u8> {
    let bytes = match text.as_bytes() {
        b"-" => String::new(),
        b"e1" => ID.to_owned(),
        b"e2" => OTHER_ID.to_owned(),
        [b'@', ..] => (EPOCH_MS + text[1..].parse::<i64>().expect("a time")).to_string(),
        [b':', ..] => key(&text[1..]),
        _ => text.replace("<e1>", ID).replace("<tab>", "\t"),
    };
    bytes.into_bytes()
}

/// What keys begin with, by what they are called in a story.
const PREFIXES: [(&str, &str); 7] = [
    ("quota", "ff:quota:{q:3}:q1"),
    ("budget", "ff:budget:{b:3}:b1"),
    ("flow:", "ff:flow:{fp:7}:f1:"),
    ("wp:", "ff:wp:{fp:7}:"),
    ("worker:", "ff:worker:ns:w-1:"),
    ("secrets", "ff:sec:{fp:7}:waitpoint_hmac"),
    ("resets", "ff:idx:{b:3}:budget_resets"),
];

fn key(text: &str) -> String {
    let execution = |id: &str| format!("ff:exec:{{fp:7}}:{id}:");
    match text {
        "core" => return execution(ID) + "core",
        "grant" => return execution(ID) + "claim_grant",
        "lease" => return execution(ID) + "lease:current",
        "history" => return execution(ID) + "lease:history",
        "payload" => return execution(ID) + "payload",
        "policy" => return execution(ID) + "policy",
        "result" => return execution(ID) + "result",
        "workers" => return "ff:idx:ns:workers".to_owned(),
        _ => {}
    }
    match text.split_once(':') {
        Some(("attempt", index)) => return format!("ff:attempt:{{fp:7}}:{ID}:{index}"),
        Some(("worker", rest)) if rest.ends_with(":leases") => return format!("ff:idx:{{fp:7}}:{text}"),
        Some(("e1", rest)) => return execution(ID) + rest,
        Some(("e2", rest)) => return execution(OTHER_ID) + rest,
        // What a member is called, behind the part of a flow's key.
        Some(("flow", rest)) if rest.ends_with(":e1") || rest.ends_with(":e2") => {
            let (part, who) = rest.rsplit_once(':').expect("it ends so");
            let id = if who == "e1" { ID } else { OTHER_ID };
            return format!("ff:flow:{{fp:7}}:f1:{part}:{id}");
        }
        _ => {}
    }
    let family = PREFIXES.iter().find_map(|(name, begin)| Some((begin, text.strip_prefix(name)?)));
    family.map_or_else(|| format!("ff:idx:{{fp:7}}:{text}"), |(begin, rest)| format!("{begin}{rest}"))
}

/// An answer with its details, as the story spells them. An admission has its own words, without a number in front.
fn spelled(word: &str, details: &str) -> Reply {
    let is_consent = word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let mut items = match word {
        "reply" => Vec::new(),
        _ => vec![Reply::Int(i64::from(is_consent)), Reply::bulk(word)],
    };
    items.extend(details.split_whitespace().map(Reply::bulk));
    Reply::Array(items)
}

/// What a function answers that says this word: a consent with the fields that tell what was written, a refusal with its
/// details, or the text of an error.
fn reply(answer: &str, args: &[Vec<u8>], before: &View, after: &View) -> Reply {
    let function = Function::from(&*String::from_utf8_lossy(&args[1]));
    let array = |flag: i64, words: Vec<String>| {
        let words = std::iter::once(answer.to_owned()).chain(words).map(|word| Reply::bulk(&word));
        Reply::Array(std::iter::once(Reply::Int(flag)).chain(words).collect())
    };
    match Status::from_word(answer) {
        Some(status) => array(1, fields(&function, status, args, before, after)),
        None if answer == "reply" => Reply::Array(vec![Reply::bulk("ADMITTED")]),
        None if answer.starts_with(|c: char| c.is_ascii_uppercase()) => {
            Reply::Error(ErrorReply::from(answer.to_owned()))
        }
        None if answer == "execution_not_active" => {
            let id = ExecutionId::parse(ID).expect("an id");
            let core = before.execution(&id).core();
            let text = |name: &str| core.map_or(String::new(), |core| core.text(name).to_owned());
            let details =
                ["terminal_outcome", "current_lease_epoch", "lifecycle_phase", "current_attempt_id"];
            array(0, details.into_iter().map(text).collect())
        }
        None => array(0, Vec::new()),
    }
}

/// What a consent tells: of a lease what is stored, of everything else whatever has the right shape.
fn fields(function: &Function, status: Status, args: &[Vec<u8>], before: &View, after: &View) -> Vec<String> {
    let id = ExecutionId::parse(ID).expect("an id");
    let text = |view: &View, name: &str| {
        view.execution(&id).core().map_or(String::new(), |core| core.text(name).to_owned())
    };
    let argument =
        |index: usize| args.get(3 + index).map_or(String::new(), |a| String::from_utf8_lossy(a).into_owned());
    let mut fields = Shape::of(function).map_or_else(Vec::new, |shape| shape.example(status, ID));
    let said: Vec<(usize, String)> = match function {
        Function::ClaimExecution
        | Function::AcquireLease
        | Function::ClaimResumedExecution
        | Function::ReclaimExecution => match after.execution(&id).lease() {
            Some(lease) => {
                let index = text(after, "current_attempt_index");
                let index = if index.is_empty() { "0".to_owned() } else { index };
                let (epoch, until) = (lease.epoch.to_string(), lease.expires_at.to_string());
                vec![(0, lease.id), (1, epoch), (2, until), (3, lease.attempt_id), (4, index)]
            }
            None => vec![],
        },
        Function::IssueGrantAndClaim => match after.execution(&id).lease() {
            Some(lease) => vec![(0, lease.id), (1, lease.epoch.to_string())],
            None => vec![],
        },
        Function::RenewLease => vec![(0, text(after, "lease_expires_at"))],
        Function::CancelExecution | Function::ExpireExecution => vec![(1, text(before, "lifecycle_phase"))],
        Function::DelayExecution => vec![(0, argument(4))],
        Function::ChangePriority => vec![(0, text(before, "priority")), (1, text(after, "priority"))],
        Function::CreateExecution => vec![(1, text(after, "public_state"))],
        Function::IssueReclaimGrant => {
            let expires_at = after.execution(&id).grant().map(|grant| grant.expires_at.to_string());
            expires_at.into_iter().map(|at| (1, at)).collect()
        }
        _ => vec![],
    };
    for (place, field) in said {
        if let Some(slot) = fields.get_mut(place).filter(|_| !field.is_empty()) {
            *slot = field;
        }
    }
    fields
}
