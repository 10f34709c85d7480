//! How far `next` has gone: it steps over whatever was taken out of a table, and Lua's own API does not tell how much that
//! was.
//!
//! The layouts are those of Lua 5.1 (`lobject.h`, `ltable.c`), of which there will be no other version. Where they are wrong, a
//! debug build says so at the first large table (see `Lua::next`).

use std::os::raw::c_int;

use mlua_sys::{self as ffi, lua_State};

/// Tables of fewer slots are stepped through in no time.
const FEW: usize = 256;

/// The tag of a key that was collected: it is known by its address still.
const DEAD: c_int = 11;

#[repr(C)]
struct Table {
    next: *const (),
    tag: u8,
    marked: u8,
    flags: u8,
    /// The logarithm of the number of nodes.
    nodes: u8,
    metatable: *const (),
    array: *const (),
    node: *const Node,
    last_free: *const Node,
    gray_list: *const (),
    elements: c_int,
}

#[repr(C)]
struct Node {
    value: u64,
    value_tag: c_int,
    key: u64,
    key_tag: c_int,
    next: *const Node,
}

/// What is in front of a string's bytes.
#[repr(C)]
struct Text {
    next: *const (),
    tag: u8,
    marked: u8,
    reserved: u8,
    hash: u32,
    length: usize,
}

/// The slots of a large table: first those of its elements, then those of its other keys.
pub struct Slots {
    raw: *mut lua_State,
    table: *const Table,
}

impl Slots {
    /// The slots of the table at an index, if there are many.
    ///
    /// # Safety
    /// The state is live, and a table is there, and stays alive.
    #[inline]
    pub unsafe fn of(raw: *mut lua_State, index: c_int) -> Option<Self> {
        // SAFETY: as promised by the caller.
        let slots = Self { raw, table: unsafe { ffi::lua_topointer(raw, index) }.cast() };
        (slots.count() > FEW).then_some(slots)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.elements() + self.nodes()
    }

    fn elements(&self) -> usize {
        // SAFETY: the table is alive.
        unsafe { (*self.table).elements as usize }
    }

    fn nodes(&self) -> usize {
        // SAFETY: the table is alive.
        1 << unsafe { (*self.table).nodes }
    }

    /// How many slots there are up to the one of the key at an index, that one included: 0 for `nil`, from which `next`
    /// starts. `None` where the table has no such key.
    ///
    /// # Safety
    /// There is a value at the index.
    pub unsafe fn up_to(&self, index: c_int) -> Option<usize> {
        // SAFETY: as promised by the caller.
        let tag = unsafe { ffi::lua_type(self.raw, index) };
        if tag == ffi::LUA_TNIL {
            return Some(0);
        }
        // SAFETY: as promised by the caller.
        let number = (tag == ffi::LUA_TNUMBER).then(|| unsafe { ffi::lua_tonumber(self.raw, index) });
        let is_element =
            |number: &f64| number.fract() == 0.0 && (1.0..=self.elements() as f64).contains(number);
        if let Some(element) = number.filter(is_element) {
            return Some(element as usize);
        }
        // SAFETY: as promised by the caller, and by the layouts.
        let node = unsafe { self.node_of(index, tag, number.unwrap_or_default()) };
        node.map(|node| self.elements() + node + 1)
    }

    /// The place of a key among the nodes.
    unsafe fn node_of(&self, index: c_int, tag: c_int, number: f64) -> Option<usize> {
        let nodes = self.nodes();
        // As a power of two has many keys in one place, what may be regular is taken by an odd number.
        let odd = |hash: u32| hash as usize % ((nodes - 1) | 1);
        // SAFETY: the value is at the index, and bytes of a string are behind its head.
        let (key, place) = unsafe {
            match tag {
                ffi::LUA_TNUMBER => {
                    let bits = number.to_bits();
                    let hash = (bits as u32).wrapping_add((bits >> 32) as u32);
                    (bits, if number == 0.0 { 0 } else { odd(hash) })
                }
                ffi::LUA_TBOOLEAN => {
                    let truth = ffi::lua_toboolean(self.raw, index) as usize;
                    (truth as u64, truth & (nodes - 1))
                }
                ffi::LUA_TSTRING => {
                    let bytes = ffi::lua_tolstring(self.raw, index, std::ptr::null_mut());
                    let text = bytes.cast::<Text>().sub(1);
                    (text as u64, (*text).hash as usize & (nodes - 1))
                }
                _ => {
                    let pointer = ffi::lua_topointer(self.raw, index) as u64;
                    (pointer, odd(pointer as u32))
                }
            }
        };
        // SAFETY: the nodes are alive, and each leads to another of them or to none.
        unsafe {
            let first = (*self.table).node;
            let mut node = first.add(place);
            while !node.is_null() {
                let is_it = match ((*node).key_tag, tag) {
                    (ffi::LUA_TNUMBER, ffi::LUA_TNUMBER) => f64::from_bits((*node).key) == number,
                    (ffi::LUA_TBOOLEAN, ffi::LUA_TBOOLEAN) => (*node).key as u32 as u64 == key,
                    (own, _) => (own == tag || own == DEAD) && (*node).key == key,
                };
                if is_it {
                    return Some(node.offset_from(first) as usize);
                }
                node = (*node).next;
            }
        }
        None
    }
}
