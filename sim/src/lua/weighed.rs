//! Long strings, and what an instruction has to pay for them.
//!
//! Lua compares strings, joins them and reads numbers from them within one instruction, however long they are. So while there
//! is a long string, each instruction is looked at before it runs, and pays by the bytes of long strings that it goes through.
//! What it pays does not depend on strings that only wait for being collected: it is the same in every interpreter.
//!
//! Which instruction comes next Lua tells nobody. The structures below are those of PUC Lua 5.1.5 (`lstate.h`, `lobject.h`,
//! `lopcodes.h`), which is compiled in and changes no more. They are read, and never written.

use std::os::raw::{c_int, c_void};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{raw::lua_State, state::LARGE_BLOCK};

/// The long blocks of a Lua state that may be strings, by their addresses.
#[derive(Clone, Debug, Default)]
pub struct LongBlocks {
    /// Those that nobody has looked at yet, with their lengths.
    fresh: FxHashMap<usize, usize>,
    strings: FxHashSet<usize>,
}

impl LongBlocks {
    /// A block was asked for at one go, as blocks for strings are.
    pub fn add(&mut self, block: *mut c_void, bytes: usize) {
        self.fresh.insert(block.expose_provenance(), bytes);
    }

    /// A block was given back, or has another length, which a string never has.
    pub fn forget(&mut self, block: *mut c_void) {
        self.fresh.remove(&block.addr());
        self.strings.remove(&block.addr());
    }

    /// Whether there is a long string. What Lua asked for it has filled by now.
    pub fn have_strings(&mut self) -> bool {
        if !self.fresh.is_empty() {
            self.look();
        }
        !self.strings.is_empty()
    }

    #[cold]
    fn look(&mut self) {
        for (address, bytes) in self.fresh.drain() {
            // SAFETY: the block has not been given back, and is longer than a head.
            let head = unsafe { &*std::ptr::with_exposed_provenance::<StringHead>(address) };
            if head.kind == STRING && block_of(head.length) == bytes {
                self.strings.insert(address);
            }
        }
    }
}

/// How long the block of a string is.
fn block_of(length: usize) -> usize {
    size_of::<StringHead>() + length + 1
}

/// The length of a string that is in a large block, and none of any other.
fn if_long(length: usize) -> usize {
    if block_of(length) >= LARGE_BLOCK { length } else { 0 }
}

/// What an instruction pays for, beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    /// The bytes of long strings that it goes through.
    pub bytes: usize,
    /// Whether these are those of the string that it makes, so that nobody need pay for its block.
    pub has_paid_block: bool,
}

/// `TString`: the bytes follow it.
#[repr(C)]
struct StringHead {
    next: *const c_void,
    kind: u8,
    marked: u8,
    reserved: u8,
    hash: u32,
    length: usize,
}

/// `TValue`.
#[repr(C)]
struct Value {
    of: *const c_void,
    kind: c_int,
}

/// The beginning of `lua_State`.
#[repr(C)]
struct Thread {
    next: *const c_void,
    kind: u8,
    marked: u8,
    status: u8,
    top: *const Value,
    base: *const Value,
    global: *const c_void,
    call: *const CallInfo,
    next_instruction: *const u32,
    stack_last: *const Value,
    stack: *const Value,
    last_call: *const CallInfo,
    first_call: *const CallInfo,
    stack_size: c_int,
    calls_size: c_int,
    native_calls: u16,
    first_native_calls: u16,
    hook_mask: u8,
    allows_hook: u8,
    hook_interval: c_int,
    until_hook: c_int,
}

/// The beginning of `CallInfo`.
#[repr(C)]
struct CallInfo {
    base: *const Value,
    function: *const Value,
}

/// The beginning of `Closure`, and of `LClosure` where it is none of C's.
#[repr(C)]
struct Closure {
    next: *const c_void,
    kind: u8,
    marked: u8,
    is_native: u8,
    upvalues: u8,
    gray: *const c_void,
    environment: *const c_void,
    prototype: *const Prototype,
}

/// The beginning of `Proto`.
#[repr(C)]
struct Prototype {
    next: *const c_void,
    kind: u8,
    marked: u8,
    constants: *const Value,
}

/// `LUA_TSTRING` and `LUA_TFUNCTION`.
const STRING: u8 = 4;
const FUNCTION: c_int = 6;

// Opcodes.
const ADD: u32 = 12;
const POW: u32 = 17;
const MINUS: u32 = 18;
const CONCAT: u32 = 21;
const LESS: u32 = 24;
const LESS_OR_EQUAL: u32 = 25;
const CALL: u32 = 28;
const TAIL_CALL: u32 = 29;
const PREPARE_FOR: u32 = 32;

/// How many instructions a thread has run since its hook ran last.
///
/// # Safety
/// The thread is live.
pub unsafe fn uncounted(raw: *mut lua_State) -> u64 {
    // SAFETY: as promised by the caller.
    let thread = unsafe { &*raw.cast::<Thread>() };
    u64::try_from(thread.hook_interval - thread.until_hook).unwrap_or(0)
}

impl Value {
    /// The string that it is.
    ///
    /// # Safety
    /// It is a live value.
    unsafe fn string(&self) -> Option<&StringHead> {
        // SAFETY: it says that it is a string.
        (self.kind == c_int::from(STRING)).then(|| unsafe { &*self.of.cast::<StringHead>() })
    }
}

impl StringHead {
    /// The bytes that are read of it where a number is expected: of what does not begin like one, none.
    fn digits(&self) -> usize {
        // SAFETY: the bytes follow, and a zero after them.
        let first = unsafe { *std::ptr::from_ref(self).add(1).cast::<u8>() };
        let may_be_number =
            first.is_ascii_whitespace() || first.is_ascii_digit() || b"+-.\x0b".contains(&first);
        if may_be_number { if_long(self.length) } else { 0 }
    }
}

/// What the next instruction of a thread pays for.
///
/// # Safety
/// The thread is live, and in the hook that is called before an instruction of Lua code.
pub unsafe fn next_instruction(raw: *mut lua_State) -> Weight {
    // SAFETY: the hook runs within a function of Lua's, whose instructions, constants and registers these are: the compiler
    // made the operands.
    unsafe {
        let thread = &*raw.cast::<Thread>();
        let instruction = *thread.next_instruction.sub(1);
        let (a, b, c) = (instruction >> 6 & 0xFF, instruction >> 23, instruction >> 14 & 0x1FF);
        let register = |number: u32| &*thread.base.add(number as usize);
        let operand = |number: u32| match number {
            0..256 => register(number),
            _ => {
                let closure = &*(*(*thread.call).function).of.cast::<Closure>();
                &*(*closure.prototype).constants.add(number as usize - 256)
            }
        };
        let digits = |value: &Value| value.string().map_or(0, StringHead::digits);
        let bytes = match instruction & 0x3F {
            CONCAT => {
                let length = (b..=c).filter_map(|it| register(it).string()).map(|it| it.length).sum();
                let bytes = if if_long(length) > 0 { block_of(length) } else { 0 };
                return Weight { bytes, has_paid_block: bytes > 0 };
            }
            LESS | LESS_OR_EQUAL => match (operand(b).string(), operand(c).string()) {
                (Some(one), Some(other)) => if_long(one.length.min(other.length)),
                _ => 0,
            },
            ADD..=POW => digits(operand(b)) + digits(operand(c)),
            MINUS => digits(register(b)),
            PREPARE_FOR => (a..a + 3).map(|number| digits(register(number))).sum(),
            CALL | TAIL_CALL => {
                let function = register(a);
                let is_native = function.kind == FUNCTION && (*function.of.cast::<Closure>()).is_native != 0;
                let first = thread.base.add(a as usize + 1);
                let count = match b {
                    _ if !is_native => 0,
                    // All that there are.
                    0 => thread.top.offset_from(first).max(0) as usize,
                    _ => b as usize - 1,
                };
                (0..count).map(|nth| digits(&*first.add(nth))).sum()
            }
            _ => 0,
        };
        Weight { bytes, has_paid_block: false }
    }
}
