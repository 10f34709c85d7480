//! What a page shows of a run, as data. The names are short where there is one an event: a run has thousands.
//!
//! Positions of nodes, executions and words are places in the lists of the same model.

use serde::Serialize;

/// A run.
#[derive(Serialize)]
pub struct Model {
    pub about: About,
    pub nodes: Vec<Lane>,
    pub executions: Vec<Named>,
    pub violations: Vec<Broken>,
    /// The violation that the page opens with, as a place in `violations`.
    pub focus: usize,
    pub events: Vec<Happening>,
    pub bars: Vec<Bar>,
    pub spans: Vec<Span>,
    /// Keys, arguments and written values, each once.
    pub words: Vec<String>,
}

/// What was run.
#[derive(Serialize)]
pub struct About {
    pub library: String,
    pub dialect: String,
    /// The token, if the plan came from one.
    pub token: Option<String>,
    /// The command line that shows the run again.
    pub replay: String,
    /// How the run ended, in words.
    pub ended: String,
    pub ended_us: u64,
    /// What the server's clock read when the run began, milliseconds.
    pub start_ms: i64,
    /// Whether there is an index beside the page.
    pub index: bool,
}

/// A process.
#[derive(Serialize)]
pub struct Lane {
    pub name: String,
    /// What is wrong with its clock from the start.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub clock: String,
}

/// An execution.
#[derive(Serialize)]
pub struct Named {
    pub name: String,
    pub id: String,
}

/// A violation.
#[derive(Serialize)]
pub struct Broken {
    pub property: String,
    /// What must hold.
    pub claim: String,
    /// What this kind of violation is, in the catalogue's words.
    pub kind: String,
    pub message: String,
    pub fingerprint: String,
    pub at: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<usize>,
    pub times: u64,
    /// The finding that it is, if it is a known one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Known>,
}

/// A known finding.
#[derive(Serialize)]
pub struct Known {
    pub slug: String,
    pub about: String,
}

/// An event.
#[derive(Serialize)]
pub struct Happening {
    /// Its position in the run.
    pub s: u32,
    /// When, microseconds of true time.
    pub t: u64,
    /// Where.
    pub n: usize,
    pub k: Sort,
    /// The event that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<u32>,
    /// In words.
    pub text: String,
    /// The executions that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub x: Vec<usize>,
    /// What a call wrote, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub w: Vec<Written>,
    pub r: Relevance,
    /// The process at the other end of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<usize>,
    /// For a request: the function; for a reply: the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub f: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Called>,
}

/// What kind of event it is: its sign in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    Request,
    Call,
    Refused,
    Reply,
    Lost,
    Message,
    Received,
    Work,
    Fault,
    /// The server wrote something that no function call asked for: a plain command, or an expiry.
    Server,
}

/// Whether an event is part of the story that a reader wants first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relevance {
    Matters,
    /// A renewal like the ones before and after it.
    Routine,
    /// A call that changed nothing, or a question for work.
    Idle,
}

/// Something that a call wrote.
#[derive(Serialize)]
pub struct Written {
    pub text: String,
    /// Whether it is beside the story of a grant: an index, a single field.
    #[serde(skip_serializing_if = "is_false")]
    pub aside: bool,
}

/// A command as the server executed it.
#[derive(Serialize)]
pub struct Called {
    /// The function, or the command.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
    /// The server's clock, milliseconds.
    pub now: i64,
    pub keys: Vec<usize>,
    pub argv: Vec<usize>,
    pub reply: String,
    pub effects: Vec<Vec<usize>>,
}

/// Something that lasts: a grant, a lease, a state of an execution, a worker's work.
#[derive(Serialize)]
pub struct Bar {
    pub k: BarSort,
    pub x: usize,
    /// The process that holds it, or that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    pub from: Point,
    pub to: Point,
    pub label: String,
    /// How it ended.
    pub how: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The stretches, in true time, in which it lay there and was over by the server's clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<(u64, u64)>,
    /// Where it was renewed, as positions of events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renewed: Vec<u32>,
}

/// What kind of thing lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BarSort {
    Grant,
    Lease,
    State,
    Work,
}

/// A point in the run: an event and its time, or a time alone.
#[derive(Clone, Copy, Serialize)]
pub struct Point {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s: Option<u32>,
    pub t: u64,
}

/// A fault that lasts.
#[derive(Serialize)]
pub struct Span {
    pub k: SpanSort,
    /// The processes that it hits.
    pub n: Vec<usize>,
    pub from: Point,
    pub to: Point,
    pub label: String,
}

/// What kind of fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanSort {
    Crash,
    Pause,
    Partition,
    Clock,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
