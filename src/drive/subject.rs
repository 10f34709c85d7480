//! A library that loads, ready to be run many times.

use std::sync::Arc;

use valkey_sim::{
    engine::{Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros},
    lua::{Compiled, Interpreter, Limits},
};

use crate::{
    library::{Library, LibraryRef},
    protocol::{ClaimFunction, Command, Registered, function_list, library_version, load_library},
    types::Function,
};

/// Lua instructions that one call may take. The published library's dearest call takes some tens of thousands.
pub const INSTRUCTIONS_PER_CALL: u64 = 20_000_000;
/// Without these there is nothing to simulate.
const NEEDED: [Function; 2] = [Function::CreateExecution, Function::IssueClaimGrant];

/// A library that loads, ready to be run many times.
#[derive(Clone)]
pub struct Subject {
    /// The library under test.
    pub library: Arc<Library>,
    /// What it says of itself: the answer of `ff_version`, if it has one.
    pub says_version: Option<String>,
    /// The functions that it registers.
    pub functions: Registered,
    /// The version that takes its place for a while where a plan says so; itself, where there is none.
    pub other: Option<Arc<Library>>,
    compiled: Compiled,
}

/// The library does not load, or not as one that can be tested.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server refused it.
    #[error("library {library} does not load: {error}")]
    Refused {
        /// The library.
        library: String,
        /// What the server said, with the line.
        error: String,
    },
    /// It registers too little.
    #[error(
        "library {library} loads, but it does not register {missing}; it registers {}. The harness calls at least \
         ff_create_execution, ff_issue_claim_grant, and ff_claim_execution or ff_acquire_lease, as in \
         fixtures/libraries/minimal.lua. A library with functions and keys of its own is tested by a table of them, which is \
         in NAME.table.lua beside NAME.lua: docs/your-own-library.md tells how",
        if registered.is_empty() { "nothing" } else { registered.as_str() }
    )]
    Incomplete {
        /// The library.
        library: String,
        /// What it lacks.
        missing: String,
        /// The functions that it has, by name, or nothing.
        registered: String,
    },
}

/// An engine with the library loaded, and what the library registers.
pub struct Loaded {
    /// The engine; nothing but the library is in it.
    pub engine: Engine,
    /// What the library registers.
    pub functions: Registered,
    /// Which of these claims.
    pub claim_function: ClaimFunction,
}

impl Subject {
    /// Compiles and loads the library once, to see whether it can be used.
    ///
    /// # Errors
    /// [`LoadError`], with what the server said.
    pub fn new(library: Library) -> Result<Self, LoadError> {
        let refused = |error: ErrorReply| LoadError::Refused {
            library: library.name().to_owned(),
            error: error.to_string(),
        };
        let compiled = Compiled::library(library.source().as_bytes()).map_err(refused)?;
        let functions = Registered::default();
        let mut subject =
            Self { library: Arc::new(library), says_version: None, functions, other: None, compiled };
        let mut loaded = subject.load(Dialect::default(), 0)?;
        subject.functions = loaded.functions.clone();
        if loaded.functions.has(&Function::Version) {
            let mut session = loaded.engine.connect();
            let version = library_version();
            subject.says_version = version.parse(&execute(&mut loaded.engine, &mut session, &version)).ok();
        }
        Ok(subject)
    }

    /// The same with another version of the library, for the plans in which one takes its place.
    ///
    /// # Errors
    /// [`LoadError`], if the other does not load, or lacks what the harness calls.
    pub fn beside(self, other: Library) -> Result<Self, LoadError> {
        let other = Self::new(other)?.library;
        Ok(Self { other: Some(other), ..self })
    }

    /// What a trace's header says of it.
    pub fn reference(&self) -> LibraryRef {
        self.library.reference()
    }

    /// The same for a second run that is to show whether the first can be repeated: a library that goes by the addresses
    /// of its tables has them elsewhere.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self { compiled: self.compiled.elsewhere(), ..self.clone() }
    }

    /// Loads the library into a fresh engine.
    ///
    /// # Errors
    /// [`LoadError`]: only where [`new`](Self::new) has it too.
    pub fn load(&self, dialect: Dialect, seed: u64) -> Result<Loaded, LoadError> {
        let limits = Limits { instructions_per_call: INSTRUCTIONS_PER_CALL, ..Limits::default() };
        let mut engine = Engine::new(dialect, Interpreter::with_compiled(limits, self.compiled.clone()));
        engine.seed(seed);
        let mut session = engine.connect();
        let name = || self.library.name().to_owned();
        let refused = |error: String| LoadError::Refused { library: name(), error };
        let load = load_library(self.library.source());
        load.parse(&execute(&mut engine, &mut session, &load)).map_err(|error| refused(error.to_string()))?;
        let list = execute(&mut engine, &mut session, &function_list());
        let functions = Registered::from_list(&list).map_err(|error| refused(error.to_string()))?;
        let registered = || functions.iter().map(Function::as_str).collect::<Vec<_>>().join(", ");
        let incomplete =
            |missing| LoadError::Incomplete { library: name(), missing, registered: registered() };
        if let Some(missing) = NEEDED.into_iter().find(|function| !functions.has(function)) {
            return Err(incomplete(missing.as_str().to_owned()));
        }
        let claim_function = functions
            .claim_function()
            .map_err(|_| incomplete("ff_claim_execution or ff_acquire_lease".to_owned()))?;
        Ok(Loaded { engine, functions, claim_function })
    }
}

fn execute(engine: &mut Engine, session: &mut Session, command: &impl Command) -> Reply {
    let request = command.request();
    let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
    engine.execute(session, &args, UnixMicros::default(), &mut Effects::default())
}
