//! The server's node: the engine behind the simulated network, its clock, and what the recorder sees of it.

use std::{cell::RefCell, rc::Rc};

use valkey_sim::{
    clock::Clock,
    engine::{Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros},
    link::{self, NodeTime},
    lua::{Compiled, Interpreter, Limits, is_out_of_instructions},
    server::{Executed, Observer, Server},
};

use super::{
    Recorded, Subject,
    world::{Requests, World},
};
use crate::{
    library::{ClaimFunction, Functions, Library},
    node::Node,
    protocol::{Command, function_list, load_library},
    trace::{Call, Recorder},
};

/// Lua instructions that one call may take. The published library's dearest call takes some tens of thousands.
pub(super) const INSTRUCTIONS_PER_CALL: u64 = 20_000_000;
/// Without these there is nothing to simulate.
const NEEDED: [&str; 2] = ["ff_create_execution", "ff_issue_claim_grant"];

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
        "library {library} loads, but it does not register {missing}; a library under test has at least \
         ff_create_execution, ff_issue_claim_grant, and ff_claim_execution or ff_acquire_lease (see \
         fixtures/libraries/minimal.lua)"
    )]
    Incomplete {
        /// The library.
        library: String,
        /// What it lacks.
        missing: &'static str,
    },
}

/// An engine with the library loaded, and what the library registers.
pub(super) struct Loaded {
    pub engine: Engine,
    pub functions: Functions,
    pub claim_function: ClaimFunction,
}

/// Compiles the library, once for all runs.
pub(super) fn compile(library: &Library) -> Result<Compiled, LoadError> {
    let refused = |error: ErrorReply| LoadError::Refused {
        library: library.name().to_owned(),
        error: error.to_string(),
    };
    Compiled::library(library.source().as_bytes()).map_err(refused)
}

/// Loads the library into a fresh engine.
pub(super) fn load(subject: &Subject, dialect: Dialect, seed: u64) -> Result<Loaded, LoadError> {
    let limits = Limits { instructions_per_call: INSTRUCTIONS_PER_CALL, ..Limits::default() };
    let mut engine = Engine::new(dialect, Interpreter::with_compiled(limits, subject.compiled.clone()));
    engine.seed(seed);
    let mut session = engine.connect();
    let name = || subject.library.name().to_owned();
    let refused = |error: String| LoadError::Refused { library: name(), error };
    let load = load_library(subject.library.source());
    load.parse(&execute(&mut engine, &mut session, &load)).map_err(|error| refused(error.to_string()))?;
    let list = execute(&mut engine, &mut session, &function_list());
    let functions = Functions::from_list(&list).map_err(|error| refused(error.to_string()))?;
    let incomplete = |missing| LoadError::Incomplete { library: name(), missing };
    if let Some(missing) = NEEDED.into_iter().find(|function| !functions.has(function)) {
        return Err(incomplete(missing));
    }
    let claim_function =
        functions.claim_function().map_err(|_| incomplete("ff_claim_execution or ff_acquire_lease"))?;
    Ok(Loaded { engine, functions, claim_function })
}

fn execute(engine: &mut Engine, session: &mut Session, command: &impl Command) -> Reply {
    let request = command.request();
    let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
    engine.execute(session, &args, UnixMicros::default(), &mut Effects::default())
}

/// The server of a run, not yet listening.
pub(super) fn start(
    engine: Engine,
    clock: &Clock,
    time: &link::World,
    recorder: &Rc<RefCell<Recorder>>,
    requests: &Rc<RefCell<Requests>>,
    endless: &Rc<RefCell<Option<String>>>,
) -> Server {
    let tap = Tap {
        time: time.clone(),
        recorder: Rc::clone(recorder),
        requests: Rc::clone(requests),
        endless: Rc::clone(endless),
    };
    Server::new(engine, NodeTime::new(clock.clone(), time.clone()), tap)
}

/// Accepts connections for as long as the node lives.
pub(super) async fn serve(world: Rc<World>) {
    let listener = world.network.listen(world.host(Node::Valkey));
    let server = world.server.clone();
    madsim::task::spawn_local(async move { server.housekeeping().await });
    loop {
        let stream = listener.accept().await;
        let caller = world.node_at(stream.peer());
        let connection = stream.connection_id();
        let serving = world.server.connection(stream);
        world.requests.borrow_mut().sessions.insert(serving.id(), (caller, connection));
        madsim::task::spawn_local(async move {
            // A connection that breaks is the client's concern, which sees it break.
            let _ = serving.await;
        });
    }
}

/// Hands what the server does to the recorder.
struct Tap {
    time: link::World,
    recorder: Rc<RefCell<Recorder>>,
    requests: Rc<RefCell<Requests>>,
    endless: Rc<RefCell<Option<String>>>,
}

impl Observer for Tap {
    fn executed(&mut self, executed: &Executed<'_>) {
        let requests = &mut *self.requests.borrow_mut();
        if let Some(recorded) = &mut requests.recorded {
            let args = executed.args.iter().map(|arg| arg.to_vec()).collect();
            recorded.push(Recorded { session: executed.session, now: executed.now, args });
        }
        let Some(&(caller, connection)) = requests.sessions.get(&executed.session) else { return };
        let request = (connection, executed.nth);
        let called = self.recorder.borrow_mut().called(&Call {
            at_us: self.time.now().0,
            caller,
            cause: requests.sent.remove(&request),
            args: executed.args,
            now: executed.now,
            reply: executed.reply,
            effects: executed.effects,
        });
        if let Some(called) = called {
            requests.called.insert(request, called);
        }
        if executed.reply.error().is_some_and(is_out_of_instructions) {
            let function = executed.args.get(1).map(|name| String::from_utf8_lossy(name).into_owned());
            self.endless.borrow_mut().get_or_insert(function.unwrap_or_default());
        }
    }

    fn reaped(&mut self, now: UnixMicros, effects: &Effects, _: &Engine) {
        self.recorder.borrow_mut().reaped(self.time.now().0, now, effects);
    }
}
