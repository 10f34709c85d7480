//! Lua's C API, made safe to use under one discipline, and by types as far as they go.
//!
//! Lua raises errors with `longjmp`, which runs no destructors: any call below that allocates or raises may never
//! return. So a [`Lua`] exists only inside a function that Lua called under protection (see [`native!`]), and whoever
//! holds one **owns nothing that needs dropping** while calling its methods: no `String`, no `Vec`. What must be owned
//! lives in the [`State`]. That rule the compiler does not check; it is why this type does not leave the crate's `lua`
//! module.
//!
//! The compiler checks two others:
//!
//! - Bytes that are borrowed from a value on the stack end before the value may leave it. Whatever takes values off
//!   the stack, or overwrites them, takes `&mut self`; whatever reads or pushes takes `&self`, and so do the borrowed
//!   bytes. Where an argument is needed for longer, [`Lua::held`] says so and why it stays.
//! - Nobody gets at the [`State`] twice. [`Lua::with`] takes a closure that is `Send`, which a closure that has
//!   captured a [`Lua`] is not.

use std::{
    ffi::CStr,
    marker::PhantomData,
    os::raw::{c_int, c_void},
    ptr,
};

use mlua_sys as ffi;
pub use mlua_sys::lua_State;

use super::{
    slots::Slots,
    state::{self, State},
};

/// A running Lua function's view of the interpreter. The pointers make it neither `Send` nor `Sync`, on which
/// [`Lua::with`] relies.
pub struct Lua<'l> {
    raw: *mut lua_State,
    state: *mut State,
    call: PhantomData<&'l ()>,
}

/// An error value was left on top of the stack, to be raised once no Rust frame is in the way.
#[derive(Debug)]
pub struct Raised;

/// What a native function returns: how many results it left on the stack.
pub type Outcome = Result<c_int, Raised>;

/// The types of a Lua value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value at this index.
    None,
    /// `nil`.
    Nil,
    /// `true`, `false`.
    Boolean,
    /// A pointer without methods: `cjson.null`.
    LightUserdata,
    /// A double.
    Number,
    /// Bytes.
    String,
    /// A table.
    Table,
    /// A function, of Lua or of C.
    Function,
    /// Userdata and threads.
    Other,
}

/// The longest source text that is compiled, as long as the longest argument of a command: Lua's lexer counts in `int`.
const MAX_SOURCE: usize = 512 << 20;

/// How many slots of a table count as one instruction.
const SLOTS_A_STEP: u64 = 4;

/// Why a text is not even given to the compiler, if so. Bytecode can break the interpreter.
pub fn refusal(source: &[u8]) -> Option<&'static str> {
    if source.first() == Some(&ffi::LUA_SIGNATURE[0]) {
        return Some("attempt to load a binary chunk");
    }
    (source.len() > MAX_SOURCE).then_some("chunk is too long")
}

/// A value kept in Lua's registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ref(pub c_int);

/// The index of the table of globals.
pub const GLOBALS: c_int = ffi::LUA_GLOBALSINDEX;
/// The index of the registry.
pub const REGISTRY: c_int = ffi::LUA_REGISTRYINDEX;
/// As a count of results: as many as there are.
pub const ALL_RESULTS: c_int = ffi::LUA_MULTRET;

/// Wraps a `fn(Lua) -> Outcome` as a function that Lua can call.
macro_rules! native {
    ($function:path) => {{
        unsafe extern "C-unwind" fn shim(raw: *mut $crate::lua::raw::lua_State) -> std::os::raw::c_int {
            // SAFETY: Lua calls this with a live state, under protection; this frame owns nothing.
            unsafe { $crate::lua::raw::enter(raw, $function) }
        }
        shim as $crate::lua::raw::Native
    }};
}
pub(super) use native;

/// A function that Lua can call.
pub type Native = ffi::lua_CFunction;

/// Runs a native function and raises what it left to be raised.
///
/// # Safety
/// `raw` is a live state that is running a protected call, and the caller's frame owns nothing.
pub unsafe fn enter(raw: *mut lua_State, function: fn(&mut Lua<'_>) -> Outcome) -> c_int {
    // SAFETY: as promised by the caller. `Lua` has nothing to drop, so that `lua_error` may jump over it.
    unsafe {
        match function(&mut Lua::new(raw)) {
            Ok(results) => results,
            Err(Raised) => ffi::lua_error(raw),
        }
    }
}

/// The cast of C on x86-64: toward zero, and to the smallest integer when it does not fit. Other machines cast
/// otherwise, and C leaves it open; so numbers are cast here before Lua's C functions see them.
pub fn to_integer(value: f64) -> i64 {
    const LIMIT: f64 = i64::MIN as f64;
    if (LIMIT..-LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

impl<'l> Lua<'l> {
    /// A view of a state.
    ///
    /// # Safety
    /// The state lives for `'l`, its allocator data is a live [`State`], and methods that allocate or raise are
    /// called only under protection (or where an abort is acceptable) from frames that own nothing.
    pub unsafe fn new(raw: *mut lua_State) -> Self {
        let mut state = ptr::null_mut();
        // SAFETY: a live state; the allocator's data is the `State`.
        unsafe { ffi::lua_getallocf(raw, &mut state) };
        Self { raw, state: state.cast(), call: PhantomData }
    }

    /// A second view, for code that takes off the stack only what it has pushed itself.
    ///
    /// # Safety
    /// Through it, nothing leaves the stack whose bytes are borrowed through the first.
    pub unsafe fn again(&self) -> Lua<'l> {
        Lua { raw: self.raw, state: self.state, call: PhantomData }
    }

    /// What belongs to this interpreter, as a pointer: it was handed to Lua with the allocator.
    pub fn state(&self) -> *mut State {
        self.state
    }

    /// Works on the [`State`]. The closure cannot get at Lua or at the `State` once more: it is `Send`, and no `Lua` is.
    #[inline]
    pub fn with<T: Copy>(&self, work: impl FnOnce(&mut State) -> T + Send) -> T {
        // SAFETY: the `State` outlives the Lua state. No other reference to it is live: those made here end with their
        // closures, which run neither Lua nor a host, and whoever else makes one does as much (see `state`).
        work(unsafe { &mut *self.state })
    }

    /// How many values are on the stack.
    pub fn top(&self) -> c_int {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_gettop(self.raw) }
    }

    /// Cuts the stack to this many values, or fills it up with `nil`.
    pub fn set_top(&mut self, top: c_int) {
        // SAFETY: callers stay within the stack that they reserved.
        unsafe { ffi::lua_settop(self.raw, top) }
    }

    /// Takes values off the stack.
    pub fn pop(&mut self, count: c_int) {
        self.set_top(-count - 1);
    }

    /// Makes room for `slots` more values; false when Lua's limit is reached.
    pub fn reserve(&self, slots: c_int) -> bool {
        // SAFETY: may raise on memory, under the discipline.
        unsafe { ffi::lua_checkstack(self.raw, slots) != 0 }
    }

    /// Makes room for `slots` more values, beyond the limit of memory if need be: where an error would be nobody's to
    /// catch. On a coroutine that does not run, for one.
    pub fn reserve_unprotected(&self, slots: c_int) {
        let limit = self.with(|state| state.set_memory_limit(usize::MAX));
        self.reserve(slots);
        self.with(|state| state.set_memory_limit(limit));
    }

    /// The type of a value.
    #[inline]
    pub fn kind(&self, index: c_int) -> Kind {
        // SAFETY: reads a live state.
        match unsafe { ffi::lua_type(self.raw, index) } {
            ffi::LUA_TNONE => Kind::None,
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            _ => Kind::Other,
        }
    }

    /// The name of a value's type, as Lua spells it.
    pub fn type_name(&self, index: c_int) -> &'static str {
        // SAFETY: returns one of Lua's static ASCII names.
        unsafe {
            let name = ffi::lua_typename(self.raw, ffi::lua_type(self.raw, index));
            CStr::from_ptr(name).to_str().unwrap_or("?")
        }
    }

    /// The bytes of a string; `None` for anything else, numbers too (Lua would convert them in place, and by its
    /// own format).
    #[inline]
    pub fn bytes(&self, index: c_int) -> Option<&[u8]> {
        // SAFETY: the value is on the stack until something takes `&mut self`.
        unsafe { self.held(index) }
    }

    /// As [`bytes`](Self::bytes), for longer than the borrow of this view.
    ///
    /// # Safety
    /// The value stays on the stack, or among the upvalues, for as long as the bytes are used.
    #[inline]
    pub unsafe fn held(&self, index: c_int) -> Option<&'l [u8]> {
        // SAFETY: a string's bytes do not move, and live while Lua can reach it: as promised by the caller.
        unsafe {
            if ffi::lua_type(self.raw, index) != ffi::LUA_TSTRING {
                return None;
            }
            let mut length = 0;
            let bytes = ffi::lua_tolstring(self.raw, index, &mut length);
            Some(std::slice::from_raw_parts(bytes.cast(), length))
        }
    }

    /// The bytes of a string or of a number in Lua's own format (`%.14g`), which replaces it on the stack.
    pub fn text(&self, index: c_int) -> Option<&[u8]> {
        if self.kind(index) == Kind::Number {
            // SAFETY: may raise on memory, under the discipline. No bytes are borrowed from a number.
            unsafe { ffi::lua_tolstring(self.raw, index, ptr::null_mut()) };
        }
        self.bytes(index)
    }

    /// A number, or a string that reads as one; 0 otherwise.
    pub fn number(&self, index: c_int) -> f64 {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_tonumber(self.raw, index) }
    }

    /// Whether a value is a number, or a string that reads as one.
    pub fn is_number(&self, index: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_isnumber(self.raw, index) != 0 }
    }

    /// Whether a value is neither `nil` nor `false`.
    pub fn truth(&self, index: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_toboolean(self.raw, index) != 0 }
    }

    /// Whether two values are the same, without metamethods.
    pub fn is_same(&self, one: c_int, other: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_rawequal(self.raw, one, other) != 0 }
    }

    /// The pointer in a light userdata; null for other values.
    pub fn pointer(&self, index: c_int) -> *const () {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_touserdata(self.raw, index).cast_const().cast() }
    }

    /// The length of a string or table, as `#` has it.
    pub fn length(&self, index: c_int) -> usize {
        // SAFETY: reads a live state; strings and tables only.
        unsafe { ffi::lua_objlen(self.raw, index) }
    }

    /// Pushes `nil`.
    pub fn push_nil(&self) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushnil(self.raw) }
    }

    /// Pushes a truth value.
    pub fn push_bool(&self, value: bool) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushboolean(self.raw, c_int::from(value)) }
    }

    /// Pushes a number.
    #[inline]
    pub fn push_number(&self, value: f64) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushnumber(self.raw, value) }
    }

    /// Pushes a string.
    #[inline]
    pub fn push_bytes(&self, bytes: &[u8]) {
        // SAFETY: Lua copies the bytes; may raise on memory, under the discipline.
        unsafe { ffi::lua_pushlstring_(self.raw, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// Pushes a pointer.
    pub fn push_pointer(&self, pointer: *const ()) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushlightuserdata(self.raw, pointer.cast_mut().cast()) }
    }

    /// Pushes a native function that keeps the topmost `upvalues` values, which are taken off.
    pub fn push_native(&self, function: Native, upvalues: c_int) {
        // SAFETY: `native!` made the function; may raise on memory, under the discipline.
        unsafe { ffi::lua_pushcclosure(self.raw, function, upvalues) }
    }

    /// Pushes a copy of a value.
    pub fn push_copy(&self, index: c_int) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushvalue(self.raw, index) }
    }

    /// Pushes a new table with room for so many elements and fields.
    pub fn push_table(&self, elements: usize, fields: usize) {
        let cap = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        // SAFETY: may raise on memory, under the discipline.
        unsafe { ffi::lua_createtable(self.raw, cap(elements), cap(fields)) }
    }

    /// Pushes what the registry keeps.
    #[inline]
    pub fn push_ref(&self, reference: Ref) {
        self.raw_geti(REGISTRY, reference.0);
    }

    /// The index of the running native function's upvalue, counted from 1.
    pub fn upvalue(&self, number: c_int) -> c_int {
        ffi::lua_upvalueindex(number)
    }

    /// Takes the topmost value into the registry.
    pub fn keep(&mut self) -> Ref {
        // SAFETY: may raise on memory, under the discipline.
        Ref(unsafe { ffi::luaL_ref(self.raw, REGISTRY) })
    }

    /// Lets the registry forget a value. Neither allocates nor raises.
    pub fn forget(&self, reference: Ref) {
        // SAFETY: writes only slots that exist.
        unsafe { ffi::luaL_unref(self.raw, REGISTRY, reference.0) }
    }

    /// Moves the topmost value to an index, shifting the others up.
    pub fn insert(&self, index: c_int) {
        // SAFETY: the index is one of the frame's.
        unsafe { ffi::lua_insert(self.raw, index) }
    }

    /// Takes a value out of the stack, shifting the others down.
    pub fn remove(&mut self, index: c_int) {
        // SAFETY: the index is one of the frame's.
        unsafe { ffi::lua_remove(self.raw, index) }
    }

    /// Moves the topmost value into an index, over what is there.
    pub fn replace(&mut self, index: c_int) {
        // SAFETY: the index is one of the frame's, or the globals.
        unsafe { ffi::lua_replace(self.raw, index) }
    }

    /// Replaces the key on top by the table's value, without metamethods.
    pub fn raw_get(&mut self, table: c_int) {
        // SAFETY: a table is at the index; allocates nothing.
        unsafe { ffi::lua_rawget_(self.raw, table) }
    }

    /// Pushes an element of a table, without metamethods.
    #[inline]
    pub fn raw_geti(&self, table: c_int, key: c_int) {
        // SAFETY: a table is at the index; allocates nothing.
        unsafe { ffi::lua_rawgeti_(self.raw, table, key) }
    }

    /// Takes the value and the key below it off the stack and into a table, without metamethods.
    pub fn raw_set(&mut self, table: c_int) {
        // SAFETY: a table is at the index; may raise on memory, under the discipline.
        unsafe { ffi::lua_rawset(self.raw, table) }
    }

    /// Takes the topmost value into an element of a table, without metamethods.
    pub fn raw_seti(&mut self, table: c_int, key: c_int) {
        // SAFETY: a table is at the index; may raise on memory, under the discipline.
        unsafe { ffi::lua_rawseti_(self.raw, table, key) }
    }

    /// Replaces the key on top by the value that indexing has for it, with metamethods.
    pub fn get(&mut self, index: c_int) {
        // SAFETY: raises under the discipline.
        unsafe { ffi::lua_gettable_(self.raw, index) }
    }

    /// Whether one value is less than another, with metamethods.
    pub fn less_than(&self, one: c_int, other: c_int) -> bool {
        // SAFETY: raises under the discipline.
        unsafe { ffi::lua_lessthan(self.raw, one, other) != 0 }
    }

    /// Pushes the field of a table, without metamethods.
    pub fn raw_field(&self, table: c_int, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        // SAFETY: takes off the key that was just pushed.
        unsafe { self.again() }.raw_get(table);
    }

    /// Takes the topmost value into a field of a table, without metamethods.
    pub fn set_raw_field(&mut self, table: c_int, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.raw_set(table);
    }

    /// An index that does not change as the stack grows.
    pub fn absolute(&self, index: c_int) -> c_int {
        if index < 0 && index > REGISTRY { self.top() + index + 1 } else { index }
    }

    /// Replaces the key on top by the next key and its value; pushes nothing and returns false at the end. Pays for what it
    /// steps over: where the call has used itself up, the next instruction ends it.
    pub fn next(&mut self, table: c_int) -> bool {
        let table = self.absolute(table);
        // SAFETY: a table is at the index; raises on an invalid key, under the discipline. The key is on the stack.
        unsafe {
            let Some(slots) = Slots::of(self.raw, table) else { return ffi::lua_next(self.raw, table) != 0 };
            let before = slots.up_to(-1);
            let found = ffi::lua_next(self.raw, table) != 0;
            let after = if found { slots.up_to(-2) } else { Some(slots.count()) };
            debug_assert!(before.is_some() && after.is_some(), "keys that Lua has found have their slots");
            let steps = after.unwrap_or(0).saturating_sub(before.unwrap_or(0)) as u64 / SLOTS_A_STEP;
            if steps > 0 && !self.with(|state| state.charge(steps)) {
                self.count_instructions(1);
            }
            found
        }
    }

    /// Pushes the metatable of a value, if it has one.
    pub fn push_metatable(&self, index: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_getmetatable(self.raw, index) != 0 }
    }

    /// Takes the topmost value as the metatable of another.
    pub fn set_metatable(&mut self, index: c_int) {
        // SAFETY: a table or nil is on top.
        unsafe { ffi::lua_setmetatable(self.raw, index) };
    }

    /// Joins the topmost strings into one.
    pub fn concat(&mut self, count: c_int) {
        // SAFETY: strings are on top; may raise on memory, under the discipline.
        unsafe { ffi::lua_concat(self.raw, count) }
    }

    /// Calls the function below its arguments; errors pass through the caller.
    pub fn call(&mut self, arguments: c_int, results: c_int) {
        // SAFETY: raises under the discipline.
        unsafe { ffi::lua_call(self.raw, arguments, results) }
    }

    /// Calls the function below its arguments; true when it succeeded. On failure the error is on top.
    pub fn protected_call(&mut self, arguments: c_int, results: c_int, handler: c_int) -> bool {
        // SAFETY: catches what is raised.
        unsafe { ffi::lua_pcall(self.raw, arguments, results, handler) == ffi::LUA_OK }
    }

    /// Calls a native function of Lua's own in the running function's place, with its arguments.
    pub fn tail_call(&mut self, function: c_int) -> Outcome {
        // SAFETY: the upvalue is one of Lua's own library functions; those that use upvalues themselves find them
        // among the running function's.
        unsafe {
            match ffi::lua_tocfunction(self.raw, function) {
                Some(original) => Ok(original(self.raw)),
                None => Ok(0),
            }
        }
    }

    /// Compiles source text and pushes it as a function; false, and the message on top, when it does not
    /// compile. Precompiled chunks are refused, as a server does: they can break the interpreter.
    ///
    /// The name is on the stack or in the registry as a string of Lua's: the parser makes one of it that nothing
    /// holds at first (CVE-2025-49844), and equal strings are one in Lua 5.1. Nor does Lua code run while it parses, as
    /// it does where a server's `load` reads piece by piece.
    pub fn compile(&self, source: &[u8], name: &CStr) -> bool {
        if let Some(refusal) = refusal(source) {
            self.push_bytes(refusal.as_bytes());
            return false;
        }
        // SAFETY: `luaL_loadbuffer` catches what it raises.
        unsafe {
            let status = ffi::luaL_loadbuffer(self.raw, source.as_ptr().cast(), source.len(), name.as_ptr());
            status == ffi::LUA_OK
        }
    }

    /// Pushes the function of a chunk that [`dump`](Self::dump) wrote; false, and the message on top, when there is no
    /// memory for it.
    ///
    /// # Safety
    /// The bytes are what `dump` wrote, in this process: Lua does not check them.
    pub unsafe fn undump(&self, bytecode: &[u8]) -> bool {
        // SAFETY: `luaL_loadbuffer` catches what it raises; the name is in the bytecode.
        unsafe {
            let status =
                ffi::luaL_loadbuffer(self.raw, bytecode.as_ptr().cast(), bytecode.len(), c"".as_ptr());
            status == ffi::LUA_OK
        }
    }

    /// The bytecode of the Lua function on top, line numbers and all. Neither allocates in Lua nor raises.
    pub fn dump(&self) -> Vec<u8> {
        unsafe extern "C-unwind" fn write(
            _: *mut lua_State,
            bytes: *const c_void,
            length: usize,
            out: *mut c_void,
        ) -> c_int {
            // SAFETY: Lua hands over its bytes, and the vector that `dump` gave it.
            unsafe {
                let out = &mut *out.cast::<Vec<u8>>();
                out.extend_from_slice(std::slice::from_raw_parts(bytes.cast(), length));
            }
            0
        }
        let mut out = Vec::new();
        // SAFETY: a Lua function is on top; `write` gets the vector, which nobody else uses meanwhile.
        unsafe { ffi::lua_dump_(self.raw, write, (&raw mut out).cast()) };
        out
    }

    /// As [`compile`](Self::compile), under the name that the string at an index is, up to its first zero.
    pub fn compile_named(&mut self, source: c_int, name: c_int) -> bool {
        let full = self.bytes(name).unwrap_or_default();
        let end = full.iter().position(|byte| *byte == 0);
        self.push_bytes(&full[..end.unwrap_or(full.len())]);
        // SAFETY: Lua ends its strings with a zero; this one stays on the stack, below what is compiled.
        let name = unsafe { CStr::from_ptr(ffi::lua_tolstring(self.raw, -1, ptr::null_mut())) };
        let compiled = self.compile(self.bytes(source).unwrap_or_default(), name);
        self.remove(-2);
        compiled
    }

    /// Opens one of Lua's own libraries into the globals.
    pub fn open(&mut self, library: Native, name: &CStr) {
        // SAFETY: one of Lua's `luaopen_` functions, called the way `luaL_openlibs` does.
        unsafe {
            ffi::lua_pushcclosure(self.raw, library, 0);
            ffi::lua_pushstring_(self.raw, name.as_ptr());
            ffi::lua_call(self.raw, 1, 0);
        }
    }

    /// Pushes the place where the function at a level stands: `user_function:3: `.
    pub fn push_where(&self, level: c_int) {
        // SAFETY: may raise on memory, under the discipline.
        unsafe { ffi::luaL_where(self.raw, level) }
    }

    /// Pushes the name of the source in which the innermost function stands that is not native, and returns the line:
    /// what an error handler reports. Looks one level further only once, as Valkey's does.
    pub fn push_error_source(&self) -> Option<c_int> {
        // SAFETY: `lua_Debug` is plain data that Lua fills in; the source name lives as long as its function, which is
        // on the call stack.
        let (source, line) = unsafe {
            let mut record: ffi::lua_Debug = std::mem::zeroed();
            for level in [1, 2] {
                if ffi::lua_getstack(self.raw, level, &mut record) == 0 {
                    return None;
                }
                ffi::lua_getinfo(self.raw, c"Sl".as_ptr(), &mut record);
                if level == 2 || *record.what.cast::<u8>() != b'C' {
                    break;
                }
            }
            (CStr::from_ptr(record.source), record.currentline)
        };
        self.push_bytes(source.to_bytes());
        Some(line)
    }

    /// An error whose text begins with the place of the caller, as Lua's own errors do.
    pub fn error_here(&self, text: std::fmt::Arguments<'_>) -> Raised {
        self.push_where(1);
        self.push_fmt(text);
        // SAFETY: joins the two strings that were just pushed.
        unsafe { self.again() }.concat(2);
        Raised
    }

    /// An error that is exactly this text.
    pub fn error_bare(&self, text: &[u8]) -> Raised {
        self.push_bytes(text);
        Raised
    }

    /// `bad argument #1 to 'f' (…)`.
    pub fn bad_argument(&self, index: c_int, message: &CStr) -> Raised {
        // SAFETY: raises, under the discipline; our frames own nothing.
        unsafe { ffi::luaL_argerror(self.raw, index, message.as_ptr()) };
        Raised
    }

    /// As [`bad_argument`](Self::bad_argument), with the string on top of the stack.
    pub fn bad_argument_on_top(&self, index: c_int) -> Raised {
        // SAFETY: Lua ends its strings with a zero; this one stays on the stack.
        let message = unsafe { CStr::from_ptr(ffi::lua_tolstring(self.raw, -1, ptr::null_mut())) };
        self.bad_argument(index, message)
    }

    /// An argument that must be a number.
    pub fn check_number(&self, index: c_int) -> f64 {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checknumber(self.raw, index) }
    }

    /// An argument that must be an integer; a fraction is cut off.
    pub fn check_integer(&self, index: c_int) -> i64 {
        to_integer(self.check_number(index))
    }

    /// An argument that Lua's own libraries take as a C `int`: of an integer, the low 32 bits.
    pub fn check_int(&self, index: c_int) -> c_int {
        self.check_integer(index) as c_int
    }

    /// An argument that, if it is there, is taken as a C `int`.
    pub fn optional_int(&self, index: c_int, default: c_int) -> c_int {
        if self.is_absent(index) { default } else { self.check_int(index) }
    }

    /// Whether an argument is not there, or `nil`.
    pub fn is_absent(&self, index: c_int) -> bool {
        matches!(self.kind(index), Kind::None | Kind::Nil)
    }

    /// An argument that, if it is there, must be an integer.
    pub fn optional_integer(&self, index: c_int, default: i64) -> i64 {
        if self.is_absent(index) { default } else { self.check_integer(index) }
    }

    /// An argument that must be a string or a number.
    pub fn check_bytes(&self, index: c_int) -> &[u8] {
        // SAFETY: the value is on the stack until something takes `&mut self`.
        unsafe { self.check_held(index) }
    }

    /// As [`check_bytes`](Self::check_bytes), for longer than the borrow of this view.
    ///
    /// # Safety
    /// The argument stays on the stack for as long as the bytes are used.
    pub unsafe fn check_held(&self, index: c_int) -> &'l [u8] {
        let mut length = 0;
        // SAFETY: raises, under the discipline; the argument stays on the stack, as promised by the caller.
        unsafe {
            let bytes = ffi::luaL_checklstring(self.raw, index, &mut length);
            std::slice::from_raw_parts(bytes.cast(), length)
        }
    }

    /// An argument that must be a table.
    pub fn check_table(&self, index: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checktype(self.raw, index, ffi::LUA_TTABLE) }
    }

    /// An argument that must be a function.
    pub fn check_function(&self, index: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checktype(self.raw, index, ffi::LUA_TFUNCTION) }
    }

    /// Makes room for `slots` more values, or raises.
    pub fn check_stack(&self, slots: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checkstack_(self.raw, slots, c"".as_ptr()) }
    }

    /// An argument that must be there.
    pub fn check_any(&self, index: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checkany(self.raw, index) }
    }

    /// Pushes formatted text, put together in the [`State`]'s scratch buffer.
    pub fn push_fmt(&self, text: std::fmt::Arguments<'_>) {
        use std::io::Write as _;
        // SAFETY: only this field is borrowed, and what is formatted here is plain data: it reaches no `State`.
        let scratch = unsafe { &mut (*self.state).scratch };
        scratch.clear();
        let _ = scratch.write_fmt(text);
        self.push_scratch();
    }

    /// Pushes what is in the scratch buffer.
    pub fn push_scratch(&self) {
        // SAFETY: only this field is borrowed, and Lua touches no buffer: its allocator keeps to the counters.
        let bytes: &Vec<u8> = unsafe { &(*self.state).scratch };
        self.push_bytes(bytes);
    }

    /// Pushes what is in the output buffer.
    pub fn push_output(&self) {
        // SAFETY: as in `push_scratch`.
        let bytes: &Vec<u8> = unsafe { &(*self.state).output };
        self.push_bytes(bytes);
    }

    /// Pushes what is in the buffer of replacements from `start` on.
    pub fn push_replaced(&self, start: usize) {
        // SAFETY: as in `push_scratch`.
        let bytes: &Vec<u8> = unsafe { &(*self.state).replaced };
        self.push_bytes(&bytes[start..]);
    }

    /// Pays for work that is done outside of Lua's instructions.
    ///
    /// # Errors
    /// The call has used up what it may do.
    #[inline]
    pub fn charge(&self, steps: u64) -> Result<(), Raised> {
        if self.with(|state| state.charge(steps)) { Ok(()) } else { Err(self.kill()) }
    }

    /// Pays for a value of so many bytes that is about to be written to one of the [`State`]'s buffers.
    ///
    /// # Errors
    /// The call has used up what it may do; or, together, the buffers would hold more than Lua itself may.
    #[inline]
    pub fn charge_output(&self, bytes: usize) -> Result<(), Raised> {
        let (room, goes_on) =
            self.with(|state| (state.has_room(bytes), state.charge(1 + bytes as u64 / state::BYTES_A_STEP)));
        if !room {
            self.raise_out_of_memory();
        }
        if goes_on { Ok(()) } else { Err(self.kill()) }
    }

    /// Raises Lua's own error, by asking for more than there can be.
    #[cold]
    pub fn raise_out_of_memory(&self) {
        let everything = self.with(|state| state.memory_limit()).min(isize::MAX as usize >> 1);
        // SAFETY: raises, under the discipline.
        unsafe { ffi::lua_newuserdata(self.raw, everything) };
    }

    /// Ends the call: this error is raised again and again, whoever catches it.
    #[cold]
    pub fn kill(&self) -> Raised {
        self.count_instructions(1);
        state::killed(self)
    }

    /// Has the instructions of this thread counted in steps of `interval`, from now on.
    pub fn count_instructions(&self, interval: c_int) {
        // SAFETY: the hook is made for this.
        unsafe {
            ffi::lua_sethook(self.raw, Some(state::on_instructions), ffi::LUA_MASKCOUNT, interval);
        }
    }

    /// The view of the coroutine at an index.
    pub fn thread(&self, index: c_int) -> Option<Lua<'_>> {
        // SAFETY: a thread lives as long as it is on the stack or among the upvalues, which is until something takes
        // `&mut self`.
        unsafe {
            let raw = ffi::lua_tothread(self.raw, index);
            if raw.is_null() { None } else { Some(Lua::new(raw)) }
        }
    }

    /// Pushes an upvalue of the function at an index.
    pub fn push_upvalue_of(&self, function: c_int, number: c_int) {
        // SAFETY: the function has that upvalue.
        unsafe { ffi::lua_getupvalue(self.raw, function, number) };
    }

    /// Collects all garbage.
    pub fn collect_garbage(&self) {
        // SAFETY: runs no Lua code: nothing in the sandbox has finalizers.
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCCOLLECT, 0) };
    }
}
