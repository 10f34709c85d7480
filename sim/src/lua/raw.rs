//! Lua's C API, made safe to use under one discipline.
//!
//! Lua raises errors with `longjmp`, which runs no destructors: any call below that allocates or raises may
//! never return. So a [`Lua`] exists only inside a function that Lua called under protection (see [`native!`]),
//! and whoever holds one **owns nothing that needs dropping** while calling its methods: no `String`, no `Vec`.
//! What must be owned lives in the [`State`], reached through [`Lua::with`], whose closure cannot call Lua.
//! Under that discipline the methods are safe; it is why this type does not leave the crate's `lua` module.

use std::{
    ffi::CStr,
    marker::PhantomData,
    os::raw::{c_int, c_void},
    ptr,
};

use mlua_sys as ffi;
pub use mlua_sys::lua_State;

use super::state::{self, State};

/// A running Lua function's view of the interpreter.
#[derive(Clone, Copy)]
pub struct Lua<'l> {
    raw: *mut lua_State,
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
pub unsafe fn enter(raw: *mut lua_State, function: fn(Lua<'_>) -> Outcome) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe {
        match function(Lua::new(raw)) {
            Ok(results) => results,
            Err(Raised) => ffi::lua_error(raw),
        }
    }
}

impl<'l> Lua<'l> {
    /// A view of a state.
    ///
    /// # Safety
    /// The state lives for `'l`, its allocator data is a live [`State`], and methods that allocate or raise are
    /// called only under protection (or where an abort is acceptable) from frames that own nothing.
    pub unsafe fn new(raw: *mut lua_State) -> Self {
        Self { raw, call: PhantomData }
    }

    /// What belongs to this interpreter, as a pointer: it was handed to Lua with the allocator.
    pub fn state(self) -> *mut State {
        let mut data = ptr::null_mut();
        // SAFETY: a live state; the allocator's data is the `State` (see `new`).
        unsafe { ffi::lua_getallocf(self.raw, &mut data) };
        data.cast()
    }

    /// Works on the [`State`]. The closure must not get at Lua again, and cannot: it is handed none.
    #[inline]
    pub fn with<T: Copy>(self, work: impl FnOnce(&mut State) -> T) -> T {
        // SAFETY: the `State` outlives the Lua state; no other reference to it is live while Lua runs, and none
        // is made while the closure runs.
        work(unsafe { &mut *self.state() })
    }

    /// How many values are on the stack.
    pub fn top(self) -> c_int {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_gettop(self.raw) }
    }

    /// Cuts the stack to this many values, or fills it up with `nil`.
    pub fn set_top(self, top: c_int) {
        // SAFETY: callers stay within the stack that they reserved.
        unsafe { ffi::lua_settop(self.raw, top) }
    }

    /// Takes values off the stack.
    pub fn pop(self, count: c_int) {
        self.set_top(-count - 1);
    }

    /// Makes room for `slots` more values; false when Lua's limit is reached.
    pub fn reserve(self, slots: c_int) -> bool {
        // SAFETY: may raise on memory, under the discipline.
        unsafe { ffi::lua_checkstack(self.raw, slots) != 0 }
    }

    /// Makes room for `slots` more values, beyond the limit of memory if need be: where an error would be nobody's to
    /// catch. On a coroutine that does not run, for one.
    pub fn reserve_unprotected(self, slots: c_int) {
        let limit = self.with(|state| state.set_memory_limit(usize::MAX));
        self.reserve(slots);
        self.with(|state| state.set_memory_limit(limit));
    }

    /// The type of a value.
    #[inline]
    pub fn kind(self, index: c_int) -> Kind {
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
    pub fn type_name(self, index: c_int) -> &'static str {
        // SAFETY: returns one of Lua's static ASCII names.
        unsafe {
            let name = ffi::lua_typename(self.raw, ffi::lua_type(self.raw, index));
            CStr::from_ptr(name).to_str().unwrap_or("?")
        }
    }

    /// The bytes of a string; `None` for anything else, numbers too (Lua would convert them in place, and by its
    /// own format). Borrowed for as long as the value stays on the stack, which arguments do.
    #[inline]
    pub fn bytes(self, index: c_int) -> Option<&'l [u8]> {
        // SAFETY: a string's bytes do not move, and live while it is on the stack.
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
    pub fn text(self, index: c_int) -> Option<&'l [u8]> {
        if self.kind(index) == Kind::Number {
            // SAFETY: may raise on memory, under the discipline.
            unsafe { ffi::lua_tolstring(self.raw, index, ptr::null_mut()) };
        }
        self.bytes(index)
    }

    /// A number, or a string that reads as one; 0 otherwise.
    pub fn number(self, index: c_int) -> f64 {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_tonumber(self.raw, index) }
    }

    /// Whether a value is a number, or a string that reads as one.
    pub fn is_number(self, index: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_isnumber(self.raw, index) != 0 }
    }

    /// Whether a value is neither `nil` nor `false`.
    pub fn truth(self, index: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_toboolean(self.raw, index) != 0 }
    }

    /// The pointer in a light userdata; null for other values.
    pub fn pointer(self, index: c_int) -> *const () {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_touserdata(self.raw, index).cast_const().cast() }
    }

    /// The length of a string or table, as `#` has it.
    pub fn length(self, index: c_int) -> usize {
        // SAFETY: reads a live state; strings and tables only.
        unsafe { ffi::lua_objlen(self.raw, index) }
    }

    /// Pushes `nil`.
    pub fn push_nil(self) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushnil(self.raw) }
    }

    /// Pushes a truth value.
    pub fn push_bool(self, value: bool) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushboolean(self.raw, c_int::from(value)) }
    }

    /// Pushes a number.
    #[inline]
    pub fn push_number(self, value: f64) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushnumber(self.raw, value) }
    }

    /// Pushes a string.
    #[inline]
    pub fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: Lua copies the bytes; may raise on memory, under the discipline.
        unsafe { ffi::lua_pushlstring_(self.raw, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// Pushes a pointer.
    pub fn push_pointer(self, pointer: *const ()) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushlightuserdata(self.raw, pointer.cast_mut().cast()) }
    }

    /// Pushes a native function that keeps the topmost `upvalues` values, which are taken off.
    pub fn push_native(self, function: Native, upvalues: c_int) {
        // SAFETY: `native!` made the function; may raise on memory, under the discipline.
        unsafe { ffi::lua_pushcclosure(self.raw, function, upvalues) }
    }

    /// Pushes a copy of a value.
    pub fn push_copy(self, index: c_int) {
        // SAFETY: callers reserve their stack.
        unsafe { ffi::lua_pushvalue(self.raw, index) }
    }

    /// Pushes a new table with room for so many elements and fields.
    pub fn push_table(self, elements: usize, fields: usize) {
        let cap = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        // SAFETY: may raise on memory, under the discipline.
        unsafe { ffi::lua_createtable(self.raw, cap(elements), cap(fields)) }
    }

    /// Pushes what the registry keeps.
    #[inline]
    pub fn push_ref(self, reference: Ref) {
        self.raw_geti(REGISTRY, reference.0);
    }

    /// The index of the running native function's upvalue, counted from 1.
    pub fn upvalue(self, number: c_int) -> c_int {
        ffi::lua_upvalueindex(number)
    }

    /// Takes the topmost value into the registry.
    pub fn keep(self) -> Ref {
        // SAFETY: may raise on memory, under the discipline.
        Ref(unsafe { ffi::luaL_ref(self.raw, REGISTRY) })
    }

    /// Lets the registry forget a value. Neither allocates nor raises.
    pub fn forget(self, reference: Ref) {
        // SAFETY: writes only slots that exist.
        unsafe { ffi::luaL_unref(self.raw, REGISTRY, reference.0) }
    }

    /// Moves the topmost value to an index, shifting the others up.
    pub fn insert(self, index: c_int) {
        // SAFETY: the index is one of the frame's.
        unsafe { ffi::lua_insert(self.raw, index) }
    }

    /// Takes a value out of the stack, shifting the others down.
    pub fn remove(self, index: c_int) {
        // SAFETY: the index is one of the frame's.
        unsafe { ffi::lua_remove(self.raw, index) }
    }

    /// Moves the topmost value into an index, over what is there.
    pub fn replace(self, index: c_int) {
        // SAFETY: the index is one of the frame's, or the globals.
        unsafe { ffi::lua_replace(self.raw, index) }
    }

    /// Replaces the key on top by the table's value, without metamethods.
    pub fn raw_get(self, table: c_int) {
        // SAFETY: a table is at the index; allocates nothing.
        unsafe { ffi::lua_rawget_(self.raw, table) }
    }

    /// Pushes an element of a table, without metamethods.
    #[inline]
    pub fn raw_geti(self, table: c_int, key: c_int) {
        // SAFETY: a table is at the index; allocates nothing.
        unsafe { ffi::lua_rawgeti_(self.raw, table, key) }
    }

    /// Takes the value and the key below it off the stack and into a table, without metamethods.
    pub fn raw_set(self, table: c_int) {
        // SAFETY: a table is at the index; may raise on memory, under the discipline.
        unsafe { ffi::lua_rawset(self.raw, table) }
    }

    /// Takes the topmost value into an element of a table, without metamethods.
    pub fn raw_seti(self, table: c_int, key: c_int) {
        // SAFETY: a table is at the index; may raise on memory, under the discipline.
        unsafe { ffi::lua_rawseti_(self.raw, table, key) }
    }

    /// Replaces the key on top by the value that indexing has for it, with metamethods.
    pub fn get(self, index: c_int) {
        // SAFETY: raises under the discipline.
        unsafe { ffi::lua_gettable_(self.raw, index) }
    }

    /// Whether one value is less than another, with metamethods.
    pub fn less_than(self, one: c_int, other: c_int) -> bool {
        // SAFETY: raises under the discipline.
        unsafe { ffi::lua_lessthan(self.raw, one, other) != 0 }
    }

    /// Pushes the field of a table, without metamethods.
    pub fn raw_field(self, table: c_int, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.raw_get(table);
    }

    /// Takes the topmost value into a field of a table, without metamethods.
    pub fn set_raw_field(self, table: c_int, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.raw_set(table);
    }

    /// An index that does not change as the stack grows.
    pub fn absolute(self, index: c_int) -> c_int {
        if index < 0 && index > REGISTRY { self.top() + index + 1 } else { index }
    }

    /// Replaces the key on top by the next key and its value; pushes nothing and returns false at the end.
    pub fn next(self, table: c_int) -> bool {
        // SAFETY: a table is at the index; raises on an invalid key, under the discipline.
        unsafe { ffi::lua_next(self.raw, table) != 0 }
    }

    /// Pushes the metatable of a value, if it has one.
    pub fn push_metatable(self, index: c_int) -> bool {
        // SAFETY: reads a live state.
        unsafe { ffi::lua_getmetatable(self.raw, index) != 0 }
    }

    /// Takes the topmost value as the metatable of another.
    pub fn set_metatable(self, index: c_int) {
        // SAFETY: a table or nil is on top.
        unsafe { ffi::lua_setmetatable(self.raw, index) };
    }

    /// Joins the topmost strings into one.
    pub fn concat(self, count: c_int) {
        // SAFETY: strings are on top; may raise on memory, under the discipline.
        unsafe { ffi::lua_concat(self.raw, count) }
    }

    /// Calls the function below its arguments; errors pass through the caller.
    pub fn call(self, arguments: c_int, results: c_int) {
        // SAFETY: raises under the discipline.
        unsafe { ffi::lua_call(self.raw, arguments, results) }
    }

    /// Calls the function below its arguments; true when it succeeded. On failure the error is on top.
    pub fn protected_call(self, arguments: c_int, results: c_int, handler: c_int) -> bool {
        // SAFETY: catches what is raised.
        unsafe { ffi::lua_pcall(self.raw, arguments, results, handler) == ffi::LUA_OK }
    }

    /// Calls a native function of Lua's own in the running function's place, with its arguments.
    pub fn tail_call(self, function: c_int) -> Outcome {
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
    pub fn compile(self, source: &[u8], name: &CStr) -> bool {
        if source.first() == Some(&ffi::LUA_SIGNATURE[0]) {
            self.push_bytes(b"attempt to load a binary chunk");
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
    pub unsafe fn undump(self, bytecode: &[u8]) -> bool {
        // SAFETY: `luaL_loadbuffer` catches what it raises; the name is in the bytecode.
        unsafe {
            let status =
                ffi::luaL_loadbuffer(self.raw, bytecode.as_ptr().cast(), bytecode.len(), c"".as_ptr());
            status == ffi::LUA_OK
        }
    }

    /// The bytecode of the Lua function on top, line numbers and all. Neither allocates in Lua nor raises.
    pub fn dump(self) -> Vec<u8> {
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

    /// As [`compile`](Self::compile), under the name that the string at an index is.
    pub fn compile_named(self, source: &[u8], name: c_int) -> bool {
        // SAFETY: Lua ends its strings with a zero; this one stays on the stack.
        let name = unsafe { CStr::from_ptr(ffi::lua_tolstring(self.raw, name, ptr::null_mut())) };
        self.compile(source, name)
    }

    /// Opens one of Lua's own libraries into the globals.
    pub fn open(self, library: Native, name: &CStr) {
        // SAFETY: one of Lua's `luaopen_` functions, called the way `luaL_openlibs` does.
        unsafe {
            ffi::lua_pushcclosure(self.raw, library, 0);
            ffi::lua_pushstring_(self.raw, name.as_ptr());
            ffi::lua_call(self.raw, 1, 0);
        }
    }

    /// Pushes the place where the function at a level stands: `user_function:3: `.
    pub fn push_where(self, level: c_int) {
        // SAFETY: may raise on memory, under the discipline.
        unsafe { ffi::luaL_where(self.raw, level) }
    }

    /// The innermost function above `handler` that is not native, as source name and line: what an error
    /// handler reports. Looks one level further only once, as Valkey's does.
    pub fn error_place(self) -> Option<(&'l [u8], c_int)> {
        // SAFETY: `lua_Debug` is plain data that Lua fills in; the source name lives as long as its function,
        // which is on the call stack.
        unsafe {
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
            Some((CStr::from_ptr(record.source).to_bytes(), record.currentline))
        }
    }

    /// An error whose text begins with the place of the caller, as Lua's own errors do.
    pub fn error_here(self, text: std::fmt::Arguments<'_>) -> Raised {
        self.push_where(1);
        self.push_fmt(text);
        self.concat(2);
        Raised
    }

    /// An error that is exactly this text.
    pub fn error_bare(self, text: &[u8]) -> Raised {
        self.push_bytes(text);
        Raised
    }

    /// `bad argument #1 to 'f' (…)`.
    pub fn bad_argument(self, index: c_int, message: &CStr) -> Raised {
        // SAFETY: raises, under the discipline; our frames own nothing.
        unsafe { ffi::luaL_argerror(self.raw, index, message.as_ptr()) };
        Raised
    }

    /// As [`bad_argument`](Self::bad_argument), with the string on top of the stack.
    pub fn bad_argument_on_top(self, index: c_int) -> Raised {
        // SAFETY: Lua ends its strings with a zero; this one stays on the stack.
        let message = unsafe { CStr::from_ptr(ffi::lua_tolstring(self.raw, -1, ptr::null_mut())) };
        self.bad_argument(index, message)
    }

    /// An argument that must be a number.
    pub fn check_number(self, index: c_int) -> f64 {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checknumber(self.raw, index) }
    }

    /// An argument that must be an integer; a fraction is cut off.
    pub fn check_integer(self, index: c_int) -> i64 {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checkinteger(self.raw, index) as i64 }
    }

    /// An argument that, if it is there, must be an integer.
    pub fn optional_integer(self, index: c_int, default: i64) -> i64 {
        if matches!(self.kind(index), Kind::None | Kind::Nil) { default } else { self.check_integer(index) }
    }

    /// An argument that must be a string or a number.
    pub fn check_bytes(self, index: c_int) -> &'l [u8] {
        let mut length = 0;
        // SAFETY: raises, under the discipline; the argument stays on the stack.
        unsafe {
            let bytes = ffi::luaL_checklstring(self.raw, index, &mut length);
            std::slice::from_raw_parts(bytes.cast(), length)
        }
    }

    /// An argument that must be a table.
    pub fn check_table(self, index: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checktype(self.raw, index, ffi::LUA_TTABLE) }
    }

    /// An argument that must be a function.
    pub fn check_function(self, index: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checktype(self.raw, index, ffi::LUA_TFUNCTION) }
    }

    /// Makes room for `slots` more values, or raises.
    pub fn check_stack(self, slots: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checkstack_(self.raw, slots, c"".as_ptr()) }
    }

    /// An argument that must be there.
    pub fn check_any(self, index: c_int) {
        // SAFETY: raises, under the discipline.
        unsafe { ffi::luaL_checkany(self.raw, index) }
    }

    /// Pushes formatted text, put together in the [`State`]'s scratch buffer.
    pub fn push_fmt(self, text: std::fmt::Arguments<'_>) {
        use std::io::Write as _;
        self.with(|state| {
            state.scratch.clear();
            let _ = state.scratch.write_fmt(text);
        });
        self.push_scratch();
    }

    /// Pushes what is in the scratch buffer.
    pub fn push_scratch(self) {
        // SAFETY: the scratch buffer is not touched by pushing it.
        let bytes: &Vec<u8> = unsafe { &(*self.state()).scratch };
        self.push_bytes(bytes);
    }

    /// Pushes what is in the output buffer.
    pub fn push_output(self) {
        // SAFETY: the output buffer is not touched by pushing it.
        let bytes: &Vec<u8> = unsafe { &(*self.state()).output };
        self.push_bytes(bytes);
    }

    /// Pushes what is in the buffer of replacements from `start` on.
    pub fn push_replaced(self, start: usize) {
        // SAFETY: the buffer is not touched by pushing it.
        let bytes: &Vec<u8> = unsafe { &(*self.state()).replaced };
        self.push_bytes(&bytes[start..]);
    }

    /// Pays for work that is done outside of Lua's instructions.
    ///
    /// # Errors
    /// The call has used up what it may do.
    #[inline]
    pub fn charge(self, steps: u64) -> Result<(), Raised> {
        if self.with(|state| state.charge(steps)) { Ok(()) } else { Err(self.kill()) }
    }

    /// Pays for a value of so many bytes that is about to be written to one of the [`State`]'s buffers.
    ///
    /// # Errors
    /// The call has used up what it may do; or, together, the buffers would hold more than Lua itself may.
    #[inline]
    pub fn charge_output(self, bytes: usize) -> Result<(), Raised> {
        let (room, goes_on) =
            self.with(|state| (state.has_room(bytes), state.charge(1 + bytes as u64 / state::BYTES_A_STEP)));
        if !room {
            self.raise_out_of_memory();
        }
        if goes_on { Ok(()) } else { Err(self.kill()) }
    }

    /// Raises Lua's own error, by asking for more than there can be.
    #[cold]
    fn raise_out_of_memory(self) {
        let everything = self.with(|state| state.memory_limit()).min(isize::MAX as usize >> 1);
        // SAFETY: raises, under the discipline.
        unsafe { ffi::lua_newuserdata(self.raw, everything) };
    }

    /// Ends the call: this error is raised again and again, whoever catches it.
    #[cold]
    pub fn kill(self) -> Raised {
        self.count_instructions(1);
        state::killed(self)
    }

    /// Has the instructions of this thread counted in steps of `interval`, from now on.
    pub fn count_instructions(self, interval: c_int) {
        // SAFETY: the hook is made for this.
        unsafe {
            ffi::lua_sethook(self.raw, Some(state::on_instructions), ffi::LUA_MASKCOUNT, interval);
        }
    }

    /// The view of the coroutine at an index.
    pub fn thread(self, index: c_int) -> Option<Lua<'l>> {
        // SAFETY: a thread lives as long as it is on the stack or among the upvalues.
        unsafe {
            let raw = ffi::lua_tothread(self.raw, index);
            if raw.is_null() { None } else { Some(Lua::new(raw)) }
        }
    }

    /// Pushes an upvalue of the function at an index.
    pub fn push_upvalue_of(self, function: c_int, number: c_int) {
        // SAFETY: the function has that upvalue.
        unsafe { ffi::lua_getupvalue(self.raw, function, number) };
    }

    /// Collects all garbage.
    pub fn collect_garbage(self) {
        // SAFETY: runs no Lua code: nothing in the sandbox has finalizers.
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCCOLLECT, 0) };
    }
}
