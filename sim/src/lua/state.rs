//! One Lua state and what belongs to it: memory under a limit, the instruction budget, the call in progress.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    ffi::CStr,
    mem,
    os::raw::{c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr::{self, NonNull},
    sync::Arc,
};

use mlua_sys as ffi;

use super::{
    Compiled, Host, LIBRARY_CHUNK, Limits, PersistentState,
    arena::{self, Arena},
    cmsgpack::Open,
    convert::Builder,
    coroutines,
    pattern::Choice,
    raw::{self, Kind, Lua, Native, Outcome, REGISTRY, Raised, Ref, lua_State, native},
    registration::Registered,
    sandbox::{self, Entry, Refs},
    weighed::{self, LongBlocks, Weight},
};
use crate::base::{Dialect, ErrorReply, Protocol, Reply};

/// Everything that belongs to a Lua state. It never moves:
/// Lua holds its address (see [`Lua::state`]).
pub struct State {
    arena: Arena,
    memory_used: usize,
    memory_limit: usize,
    /// What was left when all garbage was collected last.
    memory_lived: usize,
    /// Those of them that are long: an instruction pays for the strings that it goes through.
    long_blocks: LongBlocks,
    limits: Limits,
    /// What the call in progress may still do.
    pub instructions_left: u64,
    /// Whether the instruction in progress has paid for the long block that it asks for.
    has_paid_block: bool,
    /// Instructions since somebody was asked whether the call is to end.
    unasked: u64,
    /// The main thread; null until it exists.
    main: *mut lua_State,
    /// The server it plays.
    pub dialect: Dialect,
    /// What the sandbox keeps in the registry.
    pub refs: Refs,
    /// A buffer for whoever needs one between two calls of Lua.
    pub scratch: Vec<u8>,
    /// The text that cjson, cmsgpack or struct is writing, or the string that cjson is reading.
    pub output: Vec<u8>,
    /// The results of the `gsub`s in progress, one behind the other. Who catches an error cuts it back.
    pub replaced: Vec<u8>,
    /// What a pattern may still try, while it is matched.
    pub choices: Vec<Choice>,
    /// The tables that cmsgpack is reading.
    pub unpacking: Vec<Open>,
    /// What survives from one call to the next and belongs to the server, not to the interpreter.
    pub persistent: PersistentState,
    /// What replies to the running script look like.
    pub protocol: Protocol,
    /// The last command's reply, in a place of its own: it is read while it is handed to Lua, which works on this
    /// `State` meanwhile.
    reply: Place,
    /// The script's result, while it is put together.
    pub builder: Builder,
    /// The functions registered so far, while a library loads.
    pub loading: Option<Vec<Registered>>,
    /// Whether a line was written to the log.
    has_logged: bool,
    /// Whether a script (`EVAL`) runs, not a function.
    pub is_script: bool,
    /// Whether somebody has ended the call.
    is_killed: bool,
    host: Option<NonNull<dyn Host>>,
    panic: Option<Box<dyn Any + Send>>,
    call: CallPointers,
    /// How many bytes the call in progress has written to the server.
    written: u64,
    /// Of the command that is put together: bytes on Lua's stack or in `numbers`.
    arguments: Vec<*const [u8]>,
    argument_bytes: usize,
    numbers: Vec<Vec<u8>>,
}

/// Where a reply is that is read while the [`State`] is worked on: what has a `&mut State` has no claim on it.
struct Place(NonNull<Reply>);

impl Place {
    fn new() -> Self {
        Self(NonNull::from(Box::leak(Box::new(Reply::Null))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: it was made so, and nobody reads it once its owner is gone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The function in progress and its arguments, as pointers: valid from the beginning of [`State::call`] to its end.
#[derive(Clone, Copy, Debug)]
struct CallPointers {
    function: Ref,
    keys: *const [&'static [u8]],
    args: *const [&'static [u8]],
}

const NO_CALL: CallPointers = CallPointers { function: Ref(0), keys: &[], args: &[] };

/// Instructions between two looks at the budget: as often as a real server looks at its clock.
const HOOK_INTERVAL: u64 = 100_000;

/// How many bytes of copying count as one instruction.
pub const BYTES_A_STEP: u64 = 16;

/// From this size on, a block that Lua allocates is paid for as copied: what Lua does between two instructions grows
/// with the strings and tables that it makes.
pub const LARGE_BLOCK: usize = 4096;

/// How much room a buffer keeps from one call to the next.
const KEPT_BYTES: usize = 1 << 16;

/// How a protected run of Lua code ended.
#[derive(Debug)]
pub enum Failure {
    /// An error with its text and, when it is known, the place: source name and line.
    Error {
        /// The text, its code first.
        text: String,
        /// Where it was raised.
        place: Option<(String, i64)>,
    },
    /// The memory limit was reached.
    Memory,
}

/// The owner of a Lua state. Lua's callbacks reach the [`State`] by pointer, so nothing here holds a reference to
/// it while Lua runs.
#[derive(Debug)]
pub struct Machine {
    state: NonNull<State>,
    raw: *mut lua_State,
    /// A library that need not be compiled here.
    compiled: Option<Compiled>,
    /// Compiled chunks, the most recently used last.
    chunks: RefCell<Vec<Chunk>>,
    /// How many chunks were compiled so far.
    compiled_chunks: Cell<u64>,
    /// Whether Lua code runs. It stays so for good when a panic has left the middle of it: then nobody knows what state
    /// Lua is in.
    running: Cell<bool>,
    /// References that were let go while Lua code ran.
    released: RefCell<Vec<Ref>>,
    /// What it was when the compiled library had loaded.
    image: OnceCell<Image>,
}

/// What a machine was when the one thing that it had done was to load the compiled library.
#[derive(Debug)]
pub struct Image {
    memory: arena::Image,
    memory_used: usize,
    memory_lived: usize,
    long_blocks: LongBlocks,
    persistent: PersistentState,
    refs: Refs,
    dialect: Dialect,
    limits: Limits,
    main: Ref,
    registered: Vec<Registered>,
}

/// The memory of a machine that is gone, to be put back to its image.
pub struct Idle {
    arena: Arena,
    raw: *mut lua_State,
    image: Image,
}

// SAFETY: nobody but the arena has its memory, and what is put back to it points to itself and to code: there is no host,
// panic or reply while no call is in progress.
unsafe impl Send for Idle {}

/// What Lua dumped of a compiled chunk: it may only come from there, because Lua trusts it.
pub struct Bytecode(Box<[u8]>);

/// A source text and what it was compiled to. Texts are compared, not hashed: for a library of 400 KB that is
/// twenty times faster, and there are few.
#[derive(Debug)]
struct Chunk {
    name: &'static CStr,
    source: Arc<[u8]>,
    reference: Ref,
    /// How many were compiled before it.
    number: u64,
}

/// What a script is answered that raises a table without the field `err`. Measured: valkey 8.0.1 and redis 7.0.15 read that
/// field unseen, and are gone.
const FATAL: &str =
    "ERR unknown error: a table without the field err was raised, and a real server dies of that";

/// What somebody is told who enters Lua while it runs.
pub const BUSY: ErrorReply = ErrorReply::new(
    "ERR a script is running already: a host cannot call back into the interpreter that called it",
);

/// How many compiled chunks are kept. A seed loads one library, perhaps a few.
const CHUNKS: usize = 64;

impl Machine {
    /// A Lua state with the sandbox in it.
    pub fn new(dialect: Dialect, limits: Limits, compiled: Option<Compiled>) -> Self {
        let state = NonNull::from(Box::leak(Box::new(State::new(Arena::new(), dialect, limits))));
        // SAFETY: the allocator keeps to Lua's contract, and the `State` lives until `drop` is done with Lua's.
        let raw = unsafe { ffi::lua_newstate(allocate, state.as_ptr().cast()) };
        assert!(!raw.is_null(), "no memory for a Lua state");
        // SAFETY: nobody else uses the state now.
        unsafe {
            (*state.as_ptr()).main = raw;
            ffi::lua_atpanic(raw, uncaught);
        }
        let machine = Self::of(state, raw, compiled);
        assert!(machine.protect(native!(sandbox::set_up)), "the sandbox is built without errors");
        machine.with(|state| state.memory_limit = limits.memory_bytes);
        machine
    }

    fn of(state: NonNull<State>, raw: *mut lua_State, compiled: Option<Compiled>) -> Self {
        Self {
            state,
            raw,
            compiled,
            chunks: RefCell::default(),
            compiled_chunks: Cell::new(0),
            running: Cell::new(false),
            released: RefCell::default(),
            image: OnceCell::new(),
        }
    }

    /// A machine that has loaded the compiled library and done nothing else, by what another was; beside it, what the
    /// library registers.
    pub fn woken(idle: Idle, compiled: Compiled) -> (Self, Vec<Registered>) {
        let Idle { mut arena, raw, image } = idle;
        arena.restore(&image.memory);
        let state = State {
            memory_used: image.memory_used,
            memory_limit: image.limits.memory_bytes,
            memory_lived: image.memory_lived,
            long_blocks: image.long_blocks.clone(),
            main: raw,
            refs: image.refs,
            persistent: image.persistent,
            ..State::new(arena, image.dialect, image.limits)
        };
        let state = NonNull::from(Box::leak(Box::new(state)));
        // SAFETY: Lua is as it was, and where it was.
        unsafe { ffi::lua_setallocf(raw, allocate, state.as_ptr().cast()) };
        let source = Arc::clone(compiled.source());
        let main = Chunk { name: LIBRARY_CHUNK, source, reference: image.main, number: 0 };
        let registered = image.registered.clone();
        let machine = Self::of(state, raw, Some(compiled));
        machine.chunks.borrow_mut().push(main);
        machine.compiled_chunks.set(1);
        machine.image.get_or_init(|| image);
        (machine, registered)
    }

    /// Remembers what the machine is now that it has loaded the compiled library, and done nothing else. Not where the
    /// library has written to the log, which it would not do another time, nor where it is larger than an arena.
    pub fn remember(&self, main: Ref, registered: &[Registered]) {
        let image = self.with(|state| {
            Some(Image {
                memory: state.arena.image().filter(|_| !state.has_logged)?,
                memory_used: state.memory_used,
                memory_lived: state.memory_lived,
                long_blocks: state.long_blocks.clone(),
                persistent: state.persistent,
                refs: state.refs,
                dialect: state.dialect,
                limits: state.limits,
                main,
                registered: registered.to_vec(),
            })
        });
        if let Some(image) = image {
            self.image.get_or_init(|| image);
        }
    }

    /// Works on the [`State`]. The closure cannot get at it once more: it is `Send`, which no `Machine` or `Lua` is.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T + Send) -> T {
        // SAFETY: the state lives as long as `self`, which stays on its thread. No other reference to it is live: none is
        // held while Lua or a host runs (see `Lua::with`, `outside`), and only they could lead here.
        work(unsafe { &mut *self.state.as_ptr() })
    }

    /// Whether Lua may be entered.
    ///
    /// # Errors
    /// It runs already, further down the stack: a host is called, and calls back. Or a panic left it half-way.
    pub fn check_idle(&self) -> Result<(), ErrorReply> {
        if self.running.get() { Err(BUSY) } else { Ok(()) }
    }

    /// Bytes that Lua holds.
    pub fn memory(&self) -> usize {
        self.with(|state| state.memory_used)
    }

    /// A view for use between calls: only methods that neither allocate nor raise. While Lua runs there is none, so
    /// that nothing leaves the stack under a running function.
    fn lua(&self) -> Lua<'_> {
        assert!(!self.running.get(), "Lua is entered while it runs");
        // SAFETY: the state lives as long as `self`.
        unsafe { Lua::new(self.raw) }
    }

    /// Runs a native function of ours under protection, from a clean stack. False on error; the error is dropped.
    fn protect(&self, function: Native) -> bool {
        assert!(!self.running.get(), "Lua is entered while it runs");
        // SAFETY: `lua_cpcall` catches everything, the allocation of the function included.
        self.unlimited(|| unsafe {
            let done = ffi::lua_cpcall(self.raw, function, ptr::null_mut()) == ffi::LUA_OK;
            ffi::lua_settop(self.raw, 0);
            done
        })
    }

    /// Does something small for which there must be memory, whatever scripts hold.
    fn unlimited<T>(&self, work: impl FnOnce() -> T) -> T {
        let limit = self.with(|state| state.set_memory_limit(usize::MAX));
        let result = work();
        self.with(|state| state.set_memory_limit(limit));
        result
    }

    /// The compiled chunk of a source text: from the cache, or compiled now. Running it again makes new upvalues.
    pub fn chunk(&self, source: &[u8], name: &'static CStr) -> Result<Ref, String> {
        self.numbered_chunk(source, name).map(|(reference, _)| reference)
    }

    /// As [`chunk`](Self::chunk), with a number by which [`knows_chunk`](Self::knows_chunk) tells whether it is there still.
    pub fn numbered_chunk(&self, source: &[u8], name: &'static CStr) -> Result<(Ref, u64), String> {
        let mut chunks = self.chunks.borrow_mut();
        let known = |chunk: &Chunk| *chunk.source == *source && chunk.name == name;
        if let Some(position) = chunks.iter().position(known) {
            chunks[position..].rotate_left(1);
        } else {
            let compiled = self.compiled.as_ref();
            let compiled =
                compiled.filter(|compiled| **compiled.source() == *source && name == LIBRARY_CHUNK);
            let (source, reference) = match compiled {
                Some(compiled) => (Arc::clone(compiled.source()), self.undump(compiled.bytecode())?),
                None => (source.into(), self.compile(source, name)?),
            };
            let number = self.compiled_chunks.get();
            self.compiled_chunks.set(number + 1);
            let chunk = Chunk { name, source, reference, number };
            if chunks.len() == CHUNKS {
                self.forget(chunks.remove(0).reference);
            }
            chunks.push(chunk);
        }
        let last = &chunks[chunks.len() - 1];
        Ok((last.reference, last.number))
    }

    /// Whether a chunk is kept still: its reference means something else when others have pushed it out.
    pub fn knows_chunk(&self, number: u64) -> bool {
        self.chunks.borrow().iter().rev().any(|chunk| chunk.number == number)
    }

    /// Compiles source text into the registry.
    fn compile(&self, source: &[u8], name: &'static CStr) -> Result<Ref, String> {
        if let Some(refusal) = raw::refusal(source) {
            // Pushing it would need memory, and nothing would catch that there is none.
            return Err(refusal.to_owned());
        }
        let compiled = self.lua().compile(source, name);
        self.keep_chunk(compiled)
    }

    /// Reads a compiled chunk into the registry.
    fn undump(&self, bytecode: &Bytecode) -> Result<Ref, String> {
        // SAFETY: bytecode comes from `Machine::bytecode` only.
        let read = unsafe { self.lua().undump(&bytecode.0) };
        self.keep_chunk(read)
    }

    /// Compiles source text to bytecode.
    pub fn bytecode(&self, source: &[u8], name: &'static CStr) -> Result<Bytecode, String> {
        let reference = self.compile(source, name)?;
        let mut lua = self.lua();
        lua.push_ref(reference);
        let bytecode = Bytecode(lua.dump().into());
        lua.set_top(0);
        self.forget(reference);
        Ok(bytecode)
    }

    /// Takes a function that was just compiled, or the message instead of it, off the stack and into the registry.
    fn keep_chunk(&self, compiled: bool) -> Result<Ref, String> {
        let mut lua = self.lua();
        if !compiled {
            let text = lua.bytes(-1).map(|text| String::from_utf8_lossy(text).into_owned());
            lua.set_top(0);
            return Err(text.unwrap_or_default());
        }
        // The chunk is handed over through a slot of the registry that exists, since keeping it may raise.
        lua.raw_seti(REGISTRY, sandbox::PARCEL);
        if !self.protect(native!(keep_parcel)) {
            return Err("not enough memory".to_owned());
        }
        lua.raw_geti(REGISTRY, sandbox::PARCEL);
        let reference = Ref(lua.number(-1) as c_int);
        lua.set_top(0);
        Ok(reference)
    }

    /// Forgets a registry entry.
    pub fn forget(&self, reference: Ref) {
        self.lua().forget(reference);
    }

    /// Forgets a registry entry that may have held much: what lived may not live on. While Lua runs, it is remembered
    /// until that is over.
    pub fn release(&self, reference: Ref) {
        if self.running.get() {
            self.released.borrow_mut().push(reference);
            return;
        }
        self.forget(reference);
        self.with(|state| state.memory_lived = 0);
    }

    /// Runs a library's main chunk and returns what it registered.
    pub fn load(&self, main: Ref) -> Result<Vec<Registered>, Failure> {
        self.with(|state| {
            state.loading = Some(Vec::new());
            state.is_script = false;
            state.call.function = main;
        });
        let outcome = self.run(Entry::Load);
        self.with(|state| state.call = NO_CALL);
        let registered = self.with(|state| state.loading.take()).unwrap_or_default();
        if outcome.is_err() || self.with(|state| state.panic.is_some()) {
            registered.iter().for_each(|function| self.forget(function.callback));
            self.resume_panic();
        }
        outcome.map(|()| registered)
    }

    /// Calls a function with keys and arguments; commands it calls go to `host`.
    pub fn call(
        &self,
        entry: Entry,
        function: Ref,
        keys: &[&[u8]],
        args: &[&[u8]],
        persistent: &mut PersistentState,
        host: &mut dyn Host,
    ) -> Result<Reply, Failure> {
        if let Err(error) = self.check_idle() {
            return Err(Failure::Error { text: error.0.into_owned(), place: None });
        }
        // SAFETY: only lifetimes are changed; the pointers are forgotten below, before the borrows end.
        let (host, keys, args) = unsafe {
            (
                NonNull::from(mem::transmute::<&mut dyn Host, &mut (dyn Host + 'static)>(host)),
                mem::transmute::<*const [&[u8]], *const [&'static [u8]]>(keys),
                mem::transmute::<*const [&[u8]], *const [&'static [u8]]>(args),
            )
        };
        // SAFETY: as in `with`.
        let state = unsafe { &mut *self.state.as_ptr() };
        state.host = Some(host);
        state.call = CallPointers { function, keys, args };
        state.protocol = Protocol::Resp2;
        state.is_script = entry == Entry::Script;
        state.persistent = *persistent;
        state.written = 0;
        state.builder.clear();
        let outcome = self.run(entry);
        if entry == Entry::Script {
            self.protect(native!(sandbox::forget_script));
        }
        let (last, reply) = self.with(|state| {
            *persistent = state.persistent;
            state.host = None;
            state.call = NO_CALL;
            state.arguments.clear();
            (state.replace_reply(Reply::Null), state.builder.finish())
        });
        // What a host made may run its code when it is dropped.
        drop(last);
        self.resume_panic();
        outcome.map(|()| reply)
    }

    /// Lets the panic of a host go on, now that no Lua is in its way.
    fn resume_panic(&self) {
        if let Some(panic) = self.with(|state| state.panic.take()) {
            resume_unwind(panic);
        }
    }

    /// Runs one of the sandbox's entry functions with a fresh budget and Valkey's error handler.
    fn run(&self, entry: Entry) -> Result<(), Failure> {
        let (handler, function, interval) = self.with(|state| {
            let limit = state.limits.instructions_per_call;
            state.instructions_left = match entry {
                Entry::Load => limit.min(Limits::default().instructions_per_call),
                _ => limit,
            };
            state.is_killed = false;
            (state.has_paid_block, state.unasked) = (false, 0);
            (state.refs.error_handler, state.refs.entry(entry), state.hook_interval(HOOK_INTERVAL))
        });
        // The stack is empty and has room for 20 values, so nothing here allocates.
        if self.with(|state| state.is_littered()) {
            self.collect_garbage();
        }
        let mut lua = self.lua();
        lua.count_instructions(interval);
        lua.push_ref(handler);
        lua.push_ref(function);
        self.running.set(true);
        // SAFETY: catches what is raised. No reference to the `State` is live while Lua runs. A panic of our own goes
        // through Lua's frames and past this one; then `running` stays set and nothing enters this Lua again.
        let status = unsafe { ffi::lua_pcall(self.raw, 0, 0, 1) };
        self.running.set(false);
        let outcome = match status {
            ffi::LUA_OK => Ok(()),
            ffi::LUA_ERRMEM => Err(Failure::Memory),
            _ => Err(self.failure()),
        };
        lua.set_top(0);
        self.released.take().into_iter().for_each(|reference| self.release(reference));
        self.with(State::tidy);
        if matches!(outcome, Err(Failure::Memory)) {
            self.with(|state| state.builder.clear());
            self.collect_garbage();
        } else if self.with(|state| state.is_littered()) {
            self.collect_garbage();
        }
        outcome
    }

    /// Collects all garbage.
    fn collect_garbage(&self) {
        // It may move Lua's table of strings to a smaller one first.
        self.unlimited(|| self.lua().collect_garbage());
        self.with(|state| state.memory_lived = state.memory_used);
    }

    /// Reads the error on top of the stack, without allocating in Lua.
    fn failure(&self) -> Failure {
        let mut lua = self.lua();
        let refs = self.with(|state| state.refs);
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let unknown = || "ERR unknown error".to_owned();
        let fatal = || {
            tracing::warn!("{FATAL}");
            FATAL.to_owned()
        };
        if lua.kind(-1) != Kind::Table {
            let text = lua.bytes(-1).map_or_else(unknown, |text| format!("ERR {}", text_of(text)));
            return Failure::Error { text, place: None };
        }
        let table = lua.top();
        for name in [refs.err, refs.source, refs.line] {
            lua.push_ref(name);
            lua.raw_get(table);
        }
        let text = match lua.kind(-3) {
            Kind::Number => lua.number(-3).to_string(),
            _ => lua.bytes(-3).map_or_else(fatal, text_of),
        };
        let place = lua.bytes(-2).map(|source| (text_of(source), lua.number(-1) as i64));
        Failure::Error { text, place }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.running.get() {
            // A panic is on its way through Lua's frames: what it left behind is in no state to be taken down.
            return;
        }
        if !self.with(|state| state.arena.holds_all()) {
            // SAFETY: nobody uses it after this, unless it is put back; nothing in the sandbox has finalizers.
            unsafe { ffi::lua_close(self.raw) };
        }
        // SAFETY: it was made so, and nobody uses it after this. What Lua still has goes with the arena.
        let State { arena, .. } = *unsafe { Box::from_raw(self.state.as_ptr()) };
        if let (Some(image), Some(compiled)) = (self.image.take(), &self.compiled) {
            compiled.keep(Idle { arena, raw: self.raw, image });
        }
    }
}

impl Idle {
    /// Whether a machine would be the same.
    pub fn is_of(&self, dialect: Dialect, limits: Limits) -> bool {
        (self.image.dialect, self.image.limits) == (dialect, limits)
    }
}

impl State {
    fn new(arena: Arena, dialect: Dialect, limits: Limits) -> Self {
        Self {
            arena,
            memory_used: 0,
            memory_limit: usize::MAX,
            memory_lived: 0,
            long_blocks: LongBlocks::default(),
            limits,
            instructions_left: 0,
            has_paid_block: false,
            unasked: 0,
            main: ptr::null_mut(),
            dialect,
            refs: Refs::default(),
            scratch: Vec::new(),
            output: Vec::new(),
            replaced: Vec::new(),
            choices: Vec::new(),
            unpacking: Vec::new(),
            persistent: PersistentState::default(),
            protocol: Protocol::Resp2,
            reply: Place::new(),
            builder: Builder::default(),
            loading: None,
            has_logged: false,
            is_script: false,
            is_killed: false,
            host: None,
            panic: None,
            call: NO_CALL,
            written: 0,
            arguments: Vec::new(),
            argument_bytes: 0,
            numbers: Vec::new(),
        }
    }

    /// Instructions until the budget is looked at next, this many at most.
    pub fn hook_interval(&mut self, most: u64) -> c_int {
        let most = if self.long_blocks.have_strings() { 1 } else { most };
        most.min(self.instructions_left).max(1) as c_int
    }

    /// Takes steps off what the call may do; false when it has used that up.
    pub fn charge(&mut self, steps: u64) -> bool {
        self.instructions_left = self.instructions_left.saturating_sub(steps);
        self.instructions_left > 0
    }

    /// Whether the buffers may take so many bytes more: they count as Lua's own memory does.
    pub fn has_room(&self, bytes: usize) -> bool {
        let held = self.memory_used + self.output.len() + self.replaced.len() + self.builder.bytes();
        bytes <= self.memory_limit.saturating_sub(held)
    }

    /// Whether memory has grown halfway to its limit since garbage was collected: Lua itself would let it grow on to
    /// double what lived, and the next call would fail for the garbage of this one.
    fn is_littered(&self) -> bool {
        let halfway = self.memory_limit.saturating_sub(self.memory_lived) / 2;
        self.memory_used.saturating_sub(self.memory_lived) > halfway
    }

    /// Bytes that Lua holds.
    pub fn memory_used(&self) -> usize {
        self.memory_used
    }

    /// Bytes that Lua may hold.
    pub fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// Sets how many bytes Lua may hold, and returns what it was.
    pub fn set_memory_limit(&mut self, bytes: usize) -> usize {
        std::mem::replace(&mut self.memory_limit, bytes)
    }

    /// Leaves the buffers as the next call wants them.
    fn tidy(&mut self) {
        self.replaced.clear();
        for buffer in [&mut self.scratch, &mut self.output, &mut self.replaced] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        if self.choices.capacity() > KEPT_BYTES / size_of::<Choice>() {
            self.choices = Vec::new();
        }
    }

    /// The keys or arguments of the call in progress.
    pub fn call_arguments(&self, keys: bool) -> *const [&'static [u8]] {
        if keys { self.call.keys } else { self.call.args }
    }

    /// The function in progress.
    pub fn function(&self) -> Ref {
        self.call.function
    }

    /// Forgets the arguments of the last command and prepares for the next.
    #[inline]
    pub fn begin_command(&mut self, count: usize) {
        self.arguments.clear();
        self.numbers.clear();
        self.argument_bytes = 0;
        self.arguments.reserve(count);
    }

    /// Adds an argument to the command being put together: bytes on Lua's stack (see [`send`]).
    #[inline]
    pub fn add_argument(&mut self, bytes: &[u8]) {
        self.argument_bytes += bytes.len();
        self.arguments.push(bytes);
    }

    /// What it costs to read the arguments that were put together.
    #[inline]
    pub fn argument_steps(&self) -> u64 {
        self.arguments.len() as u64 + self.argument_bytes as u64 / BYTES_A_STEP
    }

    /// Whether the call has written more than it may hold.
    #[inline]
    pub fn has_written_too_much(&self) -> bool {
        self.written > self.memory_limit as u64
    }

    /// Adds a number as an argument, in the server's format.
    pub fn add_number(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        super::convert::write_number(&mut text, value, self.dialect);
        // The heap buffer of `text` does not move with the vector, and is not touched until the next command.
        self.arguments.push(text.as_slice());
        self.numbers.push(text);
    }

    /// Puts a reply in the place of the last one, which it returns: dropping that may run a host's code, and must not
    /// happen while the `State` is borrowed.
    #[inline]
    fn replace_reply(&mut self, reply: Reply) -> Reply {
        // SAFETY: the place is the `State`'s own until the `Machine` is dropped, and nobody reads it now (see `reply`).
        unsafe { mem::replace(self.reply.0.as_mut(), reply) }
    }
}

/// Runs code that is not ours: a host's, a subscriber's. No reference to the [`State`] is live meanwhile, so it may ask
/// the interpreter what it likes. `None` when it panicked: then the call ends, and the panic goes on outside Lua.
#[inline]
fn outside<T>(lua: &Lua<'_>, work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Some(result),
        Err(panic) => {
            lua.with(move |state| {
                state.panic = Some(panic);
                state.instructions_left = 0;
            });
            None
        }
    }
}

/// Has the host run the command that was put together; its [`reply`] is there afterwards. False when the host panicked.
///
/// # Safety
/// The arguments are on Lua's stack still.
pub unsafe fn send(lua: &mut Lua<'_>) -> bool {
    // This frame owns something while the host runs, and calls nothing of Lua's.
    let (host, arguments, protocol, last) = {
        // SAFETY: as in `Lua::with`; the borrow ends with the block.
        let state = unsafe { &mut *lua.state() };
        if state.panic.is_some() {
            return false;
        }
        (state.host, mem::take(&mut state.arguments), state.protocol, state.replace_reply(Reply::Null))
    };
    let answer = match host {
        None => Some((Reply::Error(ErrorReply::new("ERR no command can be called now")), 0, 0)),
        Some(mut host) => outside(lua, || {
            drop(last);
            // SAFETY: the host is borrowed for the whole of `Machine::call`, and nobody else uses it meanwhile: no
            // second call gets past `Machine::check_idle`. A slice pointer is a slice reference to memory, and these
            // are alive: on the stack, as promised by the caller, or in `numbers`.
            unsafe {
                let host = host.as_mut();
                let arguments = &*(ptr::from_ref::<[*const [u8]]>(&arguments) as *const [&[u8]]);
                (host.call(arguments, protocol), host.looked_at(), host.written())
            }
        }),
    };
    let Some((reply, looked_at, written)) = answer else { return false };
    let null = {
        // SAFETY: as above.
        let state = unsafe { &mut *lua.state() };
        // Kept for its memory.
        state.arguments = arguments;
        state.arguments.clear();
        state.charge(looked_at);
        state.written += written;
        state.replace_reply(reply)
    };
    debug_assert!(matches!(null, Reply::Null), "a host cannot send a command");
    true
}

/// The last command's reply.
///
/// # Safety
/// No command is sent while it is used.
#[inline]
pub unsafe fn reply<'l>(lua: &Lua<'l>) -> &'l Reply {
    // SAFETY: it has a place of its own, to which the `State` has only a pointer; `send` alone writes it before the call
    // ends.
    unsafe { (*lua.state()).reply.0.as_ref() }
}

/// Whether somebody has ended the call in progress.
fn is_killed(lua: &Lua<'_>) -> bool {
    // SAFETY: as in `Lua::with`.
    let host = unsafe { (*lua.state()).host };
    // SAFETY: as in `send`. No command is in progress where instructions are counted.
    host.is_some_and(|mut host| outside(lua, || unsafe { host.as_mut() }.is_killed()).unwrap_or(false))
}

/// Whether a command of this name exists.
pub fn knows(lua: &Lua<'_>, command: &[u8]) -> bool {
    // SAFETY: as in `Lua::with`.
    let host = unsafe { (*lua.state()).host };
    // SAFETY: as in `send`.
    host.is_some_and(|host| outside(lua, || unsafe { host.as_ref() }.knows(command)).unwrap_or(false))
}

/// Writes the line in the scratch buffer to the log.
pub fn log(lua: &Lua<'_>, level: u8) {
    // SAFETY: as in `Lua::with`; the borrow ends with the statement. This frame owns the line, and calls nothing of Lua's.
    let line = unsafe {
        (*lua.state()).has_logged = true;
        mem::take(&mut (*lua.state()).scratch)
    };
    outside(lua, || tracing::debug!(level, text = %String::from_utf8_lossy(&line), "redis.log"));
}

/// What Lua calls before it ends the process, because nothing catches an error: a bug of ours.
unsafe extern "C-unwind" fn uncaught(_: *mut lua_State) -> c_int {
    panic!("Lua raised an error that nothing catches");
}

/// Replaces the value in the registry's parcel slot by its reference.
fn keep_parcel(lua: &mut Lua<'_>) -> Outcome {
    lua.raw_geti(REGISTRY, sandbox::PARCEL);
    let reference = lua.keep();
    lua.push_number(f64::from(reference.0));
    lua.raw_seti(REGISTRY, sandbox::PARCEL);
    Ok(0)
}

/// Counts instructions, and kills a call that has used up its budget. Once killed, every further instruction
/// raises again, so that no `pcall` saves the script. Where there are long strings, looks at each instruction.
pub unsafe extern "C-unwind" fn on_instructions(raw: *mut lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls hooks with a live state before an instruction, under protection; nothing here owns anything.
    unsafe {
        let lua = Lua::new(raw);
        let count = ffi::lua_gethookcount(raw);
        let (is_weighed, asks) = lua.with(|state| {
            state.unasked += count as u64;
            let is_weighed = state.long_blocks.have_strings();
            (is_weighed, !is_weighed || state.unasked >= HOOK_INTERVAL)
        });
        if asks {
            let is_killed = is_killed(&lua);
            lua.with(|state| {
                state.unasked = 0;
                if is_killed {
                    (state.is_killed, state.instructions_left) = (true, 0);
                }
            });
        }
        let weight = if is_weighed { weighed::next_instruction(raw) } else { Weight::default() };
        if lua.charge(count as u64 + weight.bytes as u64 / BYTES_A_STEP).is_err() {
            ffi::lua_error(raw);
        }
        let thread = raw as usize;
        let interval = lua.with(|state| {
            state.has_paid_block = weight.has_paid_block;
            let is_main = state.main as usize == thread;
            state.hook_interval(if is_main { HOOK_INTERVAL } else { coroutines::INTERVAL })
        });
        if interval != count {
            lua.count_instructions(interval);
        }
    }
}

/// How a call ends that has used up its instructions: a load, a script, a function.
pub const KILLED: [&str; 3] = [
    "ERR FUNCTION LOAD timeout",
    "ERR Error running script: Script killed by user with SCRIPT KILL.",
    "ERR Error running script: Script killed by user with FUNCTION KILL.",
];

/// How a script or a function ends that a client has ended, by whichever command.
const KILLED_BY_A_CLIENT: &str = "ERR Script killed by user with SCRIPT KILL...";

/// What a real server says when someone kills the script at this moment.
pub fn killed(lua: &Lua<'_>) -> Raised {
    let [load, script, function] = KILLED;
    let text = lua.with(|state| match (state.loading.is_some(), state.is_script) {
        _ if state.is_killed => KILLED_BY_A_CLIENT,
        (true, _) => load,
        (_, true) => script,
        (_, false) => function,
    });
    super::redis::error_table(lua, text.as_bytes())
}

/// Lua's allocator, with a limit; beyond it, Lua raises "not enough memory".
unsafe extern "C" fn allocate(data: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: Lua hands back the blocks it got with the sizes it asked for, and `data` is the live `State`; only
    // its arena and plain fields of it are touched, through the raw pointer.
    unsafe {
        let state = data.cast::<State>();
        let arena = &mut (*state).arena;
        let used = &raw mut (*state).memory_used;
        if new == 0 {
            if !block.is_null() && old > 0 {
                *used -= old;
                if old >= LARGE_BLOCK {
                    (*state).long_blocks.forget(block);
                }
                arena.release(block.cast(), old);
            }
            return ptr::null_mut();
        }
        if new > old && *used + (new - old) > (*state).memory_limit {
            return ptr::null_mut();
        }
        let is_fresh = block.is_null() || old == 0;
        let moved: *mut c_void =
            if is_fresh { arena.allocate(new) } else { arena.resize(block.cast(), old, new) }.cast();
        if !moved.is_null() {
            *used = *used + new - old;
            if !is_fresh && old >= LARGE_BLOCK {
                (*state).long_blocks.forget(block);
            }
            if new >= LARGE_BLOCK {
                if is_fresh {
                    (*state).long_blocks.add(moved, new);
                }
                charge_block(state, new, is_fresh);
            }
        }
        moved
    }
}

/// Pays for a large block. An allocator cannot raise, so the next instruction does if the call has used itself up. It also
/// looks at the block, if that is fresh.
///
/// # Safety
/// The `State` is live. Only plain fields of it are touched, through the raw pointer.
#[cold]
unsafe fn charge_block(state: *mut State, bytes: usize, is_fresh: bool) {
    // SAFETY: as promised by the caller; Lua lets a hook be set at any time, even from a signal.
    unsafe {
        let main = (*state).main;
        let is_paid = is_fresh && mem::take(&mut (*state).has_paid_block);
        let left = &raw mut (*state).instructions_left;
        *left = (*left).saturating_sub(if is_paid { 0 } else { bytes as u64 / BYTES_A_STEP });
        if !main.is_null() && (is_fresh || *left == 0) && ffi::lua_gethookcount(main) != 1 {
            // What the thread has counted so far is forgotten with the interval.
            *left = (*left).saturating_sub(weighed::uncounted(main));
            Lua::new(main).count_instructions(1);
        }
    }
}
