//! Runs a plan.
//!
//! [`run`] is the whole interface: a plan and a library in, a trace out, the same one every time. [`watch`] shows the run
//! to whoever wants to see it, moment by moment, and keeps nothing.
//!
//! What a run is made of is pure: a [`Deployment`] says who takes part, a [`Process`] is an actor in its [shell] with
//! a [line](mod@line) to the server, [`Faults`] say what breaks, and a [`Witness`] turns what the server executed into moments.
//! Only the driver knows what time it is and how bytes travel: `sim.rs` is the one that runs on madsim, over a simulated
//! network. A plain loop with fixed latencies is another (`tests/second_driver.rs`).

pub mod course;
pub mod cues;
pub mod deployment;
pub mod disk;
pub mod faults;
pub mod line;
pub mod process;
pub mod shell;
mod sim;
pub mod standing;
mod subject;
#[cfg(test)]
mod support;
pub mod witness;

use std::{panic::AssertUnwindSafe, thread};

use valkey_sim::engine::UnixMicros;

pub use course::Course;
pub use cues::Cues;
pub use deployment::{Deployment, process_of};
pub use disk::Disk;
pub use faults::Faults;
pub use process::Process;
pub use subject::{LoadError, Loaded, Subject};
pub use witness::Witness;

use crate::{
    library::LibraryRef,
    plan::Plan,
    property::Judge,
    trace::{Ended, Event, Executed, FaultFate, Moment, Names, Step, Trace, What, file},
    types::{Function, Node, Seq},
};

/// Stack of a run's thread: Lua recursion is the deepest thing on it.
const STACK_BYTES: usize = 16 << 20;

/// Where a run is written down, event by event.
pub trait Log {
    /// Adds an event and says where it stands.
    fn record(&mut self, node: Node, cause: Option<Seq>, what: What) -> Seq;
}

/// Whoever looks at a run.
pub trait Watch {
    /// Sees the next moment.
    fn see(&mut self, moment: &Moment<'_>);
}

/// What is known of a run beside its moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// How it ended.
    pub ended: Ended,
    /// What became of the plan's faults, in their order.
    pub faults: Vec<FaultFate>,
    /// What the plan calls the executions.
    pub executions: Names,
}

/// A run that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The library does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A function of the library ran for longer than any should.
    #[error(
        "{function} of library {library} did not return: it was stopped after {limit} Lua instructions; look for a loop \
         without an end (replay with --timeline tells the story up to that call, with -vv its arguments)"
    )]
    Endless {
        /// The library.
        library: String,
        /// The function.
        function: Function,
        /// The limit.
        limit: u64,
    },
    /// A panic: never the library's fault, nor the plan's.
    #[error("the harness itself failed: {0}; please report this with the token or plan")]
    Harness(String),
}

/// Runs a plan against a library.
///
/// ```
/// use grantsim::{drive::{self, Subject}, library::Library, plan::token::Token};
/// let subject = Subject::new(Library::published())?;
/// let plan = Token::new("calm", 1)?.plan();
/// let trace = drive::run(&plan, &subject)?;
/// assert_eq!(trace, drive::run(&plan, &subject)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RunError`]. What the protocol does wrong is no error: it is in the trace.
pub fn run(plan: &Plan, subject: &Subject) -> Result<Trace, RunError> {
    let (trace, error) = story(plan, subject)?;
    error.map_or(Ok(trace), Err)
}

/// As [`run`], and has a trace of a run that was stopped in the middle of a call, too: the story up to that call.
///
/// # Errors
/// [`RunError`], but for [`RunError::Endless`], which comes with the trace.
pub fn story(plan: &Plan, subject: &Subject) -> Result<(Trace, Option<RunError>), RunError> {
    let (ran, recorder, error) = watch_to_the_end(plan, subject, Recorder::default())?;
    Ok((recorder.into_trace(plan, subject.reference(), ran), error))
}

/// Runs a plan and shows it to `watch`.
///
/// # Errors
/// [`RunError`].
pub fn watch<W: Watch + Send + 'static>(
    plan: &Plan,
    subject: &Subject,
    watch: W,
) -> Result<(Ran, W), RunError> {
    let (ran, watch, error) = watch_to_the_end(plan, subject, watch)?;
    error.map_or(Ok((ran, watch)), Err)
}

/// As [`watch`], and hands back what was seen of a run that was stopped in the middle of a call, too.
///
/// # Errors
/// [`RunError`], but for [`RunError::Endless`], which comes with whoever watched.
pub(crate) fn watch_to_the_end<W: Watch + Send + 'static>(
    plan: &Plan,
    subject: &Subject,
    watch: W,
) -> Result<(Ran, W, Option<RunError>), RunError> {
    let (ran, watch, endless, _) = in_a_fresh_thread(|| sim::run(plan, subject, watch, false))?;
    let error = endless.map(|function| RunError::Endless {
        library: subject.library.name().to_owned(),
        function,
        limit: subject::INSTRUCTIONS_PER_CALL,
    });
    Ok((ran, watch, error))
}

/// A command as the server executed it: what a bench, or a comparison, plays back on an engine of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The connection.
    pub session: u64,
    /// The server's clock.
    pub now: UnixMicros,
    /// The command and its arguments.
    pub args: Vec<Vec<u8>>,
}

/// Runs a plan and hands out all commands in the order in which the server executed them.
///
/// # Errors
/// [`RunError`].
pub fn commands(plan: &Plan, subject: &Subject) -> Result<Vec<Recorded>, RunError> {
    in_a_fresh_thread(|| sim::run(plan, subject, Unwatched, true)).map(|(.., recorded)| recorded)
}

impl Watch for Judge {
    fn see(&mut self, moment: &Moment<'_>) {
        self.observe(moment);
    }
}

/// Nobody looks.
struct Unwatched;

impl Watch for Unwatched {
    fn see(&mut self, _: &Moment<'_>) {}
}

/// Keeps a run as a trace.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    events: Vec<Event>,
}

impl Watch for Recorder {
    fn see(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::Step(step) => self.events.push(executed(step)),
            Moment::Client(event) | Moment::Fault(event) => self.events.push((*event).clone()),
            Moment::Rewound { .. } | Moment::End(_) => {}
        }
    }
}

impl Recorder {
    /// The trace of a run that is over.
    pub fn into_trace(self, plan: &Plan, library: LibraryRef, ran: Ran) -> Trace {
        let header = file::Header {
            schema: file::SCHEMA,
            token: None,
            library,
            dialect: plan.dialect,
            executions: ran.executions,
        };
        Trace { header, events: self.events, ended: ran.ended, faults: ran.faults }
    }
}

fn executed(step: &Step<'_>) -> Event {
    let command = &step.command;
    let what = What::Executed(Executed {
        caller: command.caller,
        now_ms: command.now,
        args: command.args.iter().map(|arg| arg.to_vec()).collect(),
        reply: command.reply.clone(),
        effects: command.effects.clone(),
    });
    Event { head: step.head, what }
}

/// Runs in a thread of its own: whatever is kept by thread starts afresh (see `tests/determinism.rs`).
fn in_a_fresh_thread<T: Send>(work: impl FnOnce() -> Result<T, RunError> + Send) -> Result<T, RunError> {
    let work = AssertUnwindSafe(work);
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("grantsim-run".into()).stack_size(STACK_BYTES);
        let handle = thread
            .spawn_scoped(scope, || std::panic::catch_unwind(work))
            .map_err(|why| RunError::Harness(format!("no thread for the run: {why}")))?;
        match handle.join() {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) | Err(panic) => Err(RunError::Harness(panic_text(&*panic))),
        }
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
