//! Runs a plan: the processes, the server, the network and the clocks, under madsim.
//!
//! [`run`] is the whole interface: a plan and a library in, a trace out, the same one every time. Everything that
//! waits, waits on simulated time; a fresh thread and a fresh runtime a run leave nothing behind.

mod client;
mod director;
mod process;
mod server;
mod world;

use std::{panic::AssertUnwindSafe, sync::Arc, thread};

pub use server::LoadError;
use valkey_sim::{engine::UnixMicros, lua::Compiled};

use crate::{
    library::Library,
    plan::Plan,
    trace::{Trace, file},
};

/// Stack of a run's thread: Lua recursion is the deepest thing on it.
const STACK_BYTES: usize = 16 << 20;

/// A library that loads, ready to be run many times.
#[derive(Clone)]
pub struct Subject {
    /// The library under test.
    pub library: Arc<Library>,
    compiled: Compiled,
}

/// A run that has no trace.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The library does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A function of the library ran for longer than any should.
    #[error(
        "{function} of library {library} did not return: it was stopped after {limit} Lua instructions; look for a loop \
         without an end, or replay with -vv to see the call's arguments"
    )]
    Endless {
        /// The library.
        library: String,
        /// The function.
        function: String,
        /// The limit.
        limit: u64,
    },
    /// A panic: never the library's fault, nor the plan's.
    #[error("the harness itself failed: {0}; please report this with the token or plan")]
    Harness(String),
}

impl Subject {
    /// Compiles and loads the library once, to see whether it can be used.
    ///
    /// # Errors
    /// [`LoadError`], with what the server said.
    pub fn new(library: Library) -> Result<Self, LoadError> {
        let compiled = server::compile(&library)?;
        let subject = Self { library: Arc::new(library), compiled };
        server::load(&subject, Default::default(), 0)?;
        Ok(subject)
    }

    /// What a trace's header says of it.
    pub fn reference(&self) -> file::LibraryRef {
        file::LibraryRef {
            name: self.library.name().to_owned(),
            version: self.library.version().to_owned(),
            sha256: self.library.sha256().to_owned(),
        }
    }
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
    in_a_fresh_thread(|| world::run(plan, subject, None)).map(|(trace, _)| trace)
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

/// As [`run`], and hands out all commands in the order in which the server executed them.
///
/// # Errors
/// [`RunError`].
pub fn record(plan: &Plan, subject: &Subject) -> Result<(Trace, Vec<Recorded>), RunError> {
    in_a_fresh_thread(|| world::run(plan, subject, Some(Vec::new())))
}

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
