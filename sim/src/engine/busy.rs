//! A script that does not end: what the other clients are told meanwhile, and how one of them ends it.
//!
//! By the engine's clock a script takes no time. A host whose clock goes on meanwhile attends to scripts
//! ([`Engine::attend`]): it is asked every hundred thousand instructions, and has the others served once a script has run for
//! longer than `busy-reply-threshold`. They are answered `BUSY` then, but for what a real server allows them.

use std::{fmt, rc::Rc};

use bytes::Bytes;

use super::{Context, Dialect, Engine, ErrorReply, Reply};

/// A host whose clock goes on while a script runs.
pub trait Attendant {
    /// A script begins.
    fn begins(&self);
    /// How long it has run, in milliseconds.
    fn elapsed_ms(&self) -> u64;
    /// Serves the other clients, by this engine, for as long as there is something to do at once.
    fn serve_others(&self, engine: &mut Engine);
}

/// The host that attends to scripts, if there is one.
#[derive(Clone, Default)]
pub struct Attended(Option<Rc<dyn Attendant>>);

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attended({})", self.0.is_some())
    }
}

/// The script that has run for too long.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// Whether it is a function of a library.
    is_function: bool,
    /// The function's name.
    name: String,
    /// The command that called it.
    command: Vec<Bytes>,
    /// Whether it ends at its next instruction.
    is_killed: bool,
}

/// What a script is, for those who want to end it.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// One that came with its call.
    Script,
    /// The function of this name.
    Function(&'a str),
}

const NOT_BUSY: ErrorReply = ErrorReply::new("NOTBUSY No scripts in execution right now.");
const HAS_WRITTEN: ErrorReply = ErrorReply::new(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
     script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
);

impl Engine {
    /// Has a host attend to scripts, or nobody any more.
    pub fn attend(&mut self, attendant: Option<Rc<dyn Attendant>>) {
        self.attended = Attended(attendant);
    }

    /// Whether a host attends to scripts.
    pub(crate) fn is_attended(&self) -> bool {
        self.attended.0.is_some()
    }

    /// Whether a script has run for too long, and runs still.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// A script begins.
    pub(super) fn begin_script(&mut self) {
        self.has_written = false;
        if let Some(attendant) = &self.attended.0 {
            attendant.begins();
        }
    }

    /// A script is over.
    pub(super) fn end_script(&mut self) {
        self.running = None;
    }

    /// Ends the script that runs, whatever it has done: the server ends.
    pub(crate) fn kill_script(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_killed = true;
        }
    }

    /// What a command is answered that has to wait for the end of a script.
    pub(super) fn busy(&self) -> Option<ErrorReply> {
        let running = self.running.as_ref()?;
        let server = match self.dialect {
            Dialect::Valkey8 => "Valkey",
            Dialect::Redis7 => "Redis",
        };
        let kind = if running.is_function { "FUNCTION" } else { "SCRIPT" };
        let text = format!(
            "BUSY {server} is busy running a script. You can only call {kind} KILL or SHUTDOWN NOSAVE."
        );
        Some(text.into())
    }

    /// `SCRIPT KILL`, or `FUNCTION KILL`.
    pub(super) fn kill(&mut self, function: bool) -> Result<Reply, ErrorReply> {
        let busy = self.busy();
        let running = self.running.as_mut().ok_or(NOT_BUSY)?;
        if self.has_written {
            return Err(HAS_WRITTEN);
        }
        if let Some(busy) = busy
            && running.is_function != function
        {
            return Err(busy);
        }
        running.is_killed = true;
        Ok(Reply::OK)
    }

    /// What `FUNCTION STATS` tells of the function that runs.
    pub(super) fn running_function(&self) -> Result<Reply, ErrorReply> {
        let (Some(running), Some(attendant)) = (&self.running, &self.attended.0) else {
            return Ok(Reply::Null);
        };
        if let Some(busy) = self.busy()
            && !running.is_function
        {
            return Err(busy);
        }
        let command = running.command.iter().cloned().map(Reply::Bulk).collect();
        Ok(Reply::Map(vec![
            (Reply::bulk("name"), Reply::bulk(&running.name)),
            (Reply::bulk("command"), Reply::Array(command)),
            (Reply::bulk("duration_ms"), Reply::Int(attendant.elapsed_ms() as i64)),
        ]))
    }
}

impl Context<'_> {
    /// Has the other clients served if the script that runs has run for too long. Says whether one of them ended it.
    pub(super) fn is_killed(&mut self, kind: Kind<'_>) -> bool {
        let Some(attendant) = self.engine.attended.0.clone() else { return false };
        let engine = &mut *self.engine;
        if engine.running.is_none() {
            if attendant.elapsed_ms() < engine.config.number("busy-reply-threshold") as u64 {
                return false;
            }
            let (is_function, name) = match kind {
                Kind::Script => (false, ""),
                Kind::Function(name) => (true, name),
            };
            let command = self.args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
            engine.running = Some(Running { is_function, name: name.to_owned(), command, is_killed: false });
        }
        // What commands leave behind for those that follow is the script's, and not theirs who are served meanwhile.
        let error = engine.error_in_script.take();
        let left = engine.leave_for_others();
        attendant.serve_others(engine);
        engine.come_back(left);
        engine.error_in_script = error;
        engine.running.as_ref().is_some_and(|running| running.is_killed)
    }
}
