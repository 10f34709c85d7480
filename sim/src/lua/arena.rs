//! The memory of one Lua state, in one piece, so that all of it can be put back as it was.
//!
//! A small block is of one of a few sizes, and comes from those that were given back or from the end of what is in use.
//! What does not fit into the piece comes from the process's allocator: then there is no [`Image`], and nothing is put
//! back. So a script may use as much memory as its limit allows, whatever sizes it asks for.

use std::{
    alloc::{self, Layout},
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering},
};

/// How long the piece is: a loaded library of 400 KB takes a fifth of it. What is not used of it is not touched.
const BYTES: usize = 8 << 20;

/// Every block is aligned for anything that Lua stores.
const ALIGNMENT: usize = 16;

/// Blocks up to this size are of a multiple of the alignment; above, of four sizes between a power of two and the next.
const FINE_BYTES: usize = 1024;

/// The largest block that comes from the piece.
const LARGEST: usize = 1 << 20;

/// How many sizes there are.
const CLASSES: usize = FINE_BYTES / ALIGNMENT + 4 * (LARGEST / FINE_BYTES).ilog2() as usize;

/// Lua finds a table among the keys of another by its address, modulo one less than a power of two. The blocks of one arena
/// after the other begin at different remainders of 3, 7, 15, 31 and 63, all of which divide this: so what goes by addresses
/// in one does so otherwise in the next.
const PERIOD: usize = 9 * 5 * 7 * 31;

/// The inverse of the alignment, modulo the period.
const INVERSE: usize = 1831;
const _: () = assert!(ALIGNMENT * INVERSE % PERIOD == 1);

/// The memory itself. It is given back with all that is in it.
#[derive(Debug)]
pub struct Arena {
    start: NonNull<u8>,
    /// How far from the start the first block lies.
    first: usize,
    in_use: InUse,
    /// How many blocks are the allocator's.
    outside: usize,
}

/// Which part of the piece is in use.
#[derive(Clone, Debug)]
struct InUse {
    bytes: usize,
    /// Of each size the block that was given back last; it names the one before it.
    free: [*mut Free; CLASSES],
}

/// A block that was given back.
#[derive(Debug)]
struct Free {
    next: *mut Free,
}

/// What an arena held at a moment.
#[derive(Debug)]
pub struct Image {
    in_use: InUse,
    bytes: Box<[u8]>,
}

/// The place of a size among the classes, and the size of that class.
fn class_of(bytes: usize) -> Option<(usize, usize)> {
    if bytes <= FINE_BYTES {
        let class = bytes.div_ceil(ALIGNMENT);
        return Some((class - 1, class * ALIGNMENT));
    }
    if bytes > LARGEST {
        return None;
    }
    // A quarter of the power of two below it.
    let power = (bytes - 1).ilog2();
    let quarter = 1 << (power - 2);
    let quarters = bytes.div_ceil(quarter);
    let doublings = (power - FINE_BYTES.ilog2()) as usize;
    Some((FINE_BYTES / ALIGNMENT + 4 * doublings + quarters - 5, quarters * quarter))
}

/// The layout of a block that is the allocator's.
fn layout_of(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, ALIGNMENT).expect("no block is as large as the address space")
}

impl Arena {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self::of_number(COUNT.fetch_add(1, Ordering::Relaxed) % PERIOD)
    }

    fn of_number(nth: usize) -> Self {
        let layout = layout_of(BYTES);
        // SAFETY: it is of some bytes.
        let start = NonNull::new(unsafe { alloc::alloc(layout) });
        let start = start.unwrap_or_else(|| alloc::handle_alloc_error(layout));
        let remainder = start.addr().get() % PERIOD;
        let first = ALIGNMENT * ((nth + PERIOD - remainder * INVERSE % PERIOD) % PERIOD);
        let in_use = InUse { bytes: first, free: [ptr::null_mut(); CLASSES] };
        Self { start, first, in_use, outside: 0 }
    }

    /// Whether all blocks lie in the piece.
    pub fn holds_all(&self) -> bool {
        self.outside == 0
    }

    /// What is in the arena now; `None` when something lies elsewhere.
    pub fn image(&self) -> Option<Image> {
        let length = self.in_use.bytes - self.first;
        // SAFETY: this part of the piece is in use. Nobody writes to it while `self` is borrowed but through Lua, which does
        // not run.
        let bytes = || unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(self.first), length) };
        self.holds_all().then(|| Image { in_use: self.in_use.clone(), bytes: bytes().into() })
    }

    /// Puts back what an image of this arena has, at the addresses where it was.
    pub fn restore(&mut self, image: &Image) {
        assert!(self.holds_all(), "what lies elsewhere would be lost");
        self.in_use = image.in_use.clone();
        // SAFETY: they were there.
        unsafe {
            let first = self.start.as_ptr().add(self.first);
            ptr::copy_nonoverlapping(image.bytes.as_ptr(), first, image.bytes.len());
        }
    }

    /// A block of so many bytes, more than none; null when there is no memory.
    pub fn allocate(&mut self, bytes: usize) -> *mut u8 {
        if let Some((class, size)) = class_of(bytes) {
            let free = self.in_use.free[class];
            if !free.is_null() {
                // SAFETY: it was given back, and is in the piece.
                self.in_use.free[class] = unsafe { (*free).next };
                return free.cast();
            }
            if size <= BYTES - self.in_use.bytes {
                // SAFETY: it ends within the piece.
                let block = unsafe { self.start.add(self.in_use.bytes) };
                self.in_use.bytes += size;
                return block.as_ptr();
            }
        }
        // SAFETY: it is of some bytes.
        let block = unsafe { alloc::alloc(layout_of(bytes)) };
        self.outside += usize::from(!block.is_null());
        block
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It comes from this arena, was asked for with so many bytes, and nobody uses it any more.
    pub unsafe fn release(&mut self, block: *mut u8, bytes: usize) {
        if self.has(block) {
            let (class, _) = class_of(bytes).expect("larger blocks lie elsewhere");
            let free = block.cast::<Free>();
            // SAFETY: it has room for a pointer, and is aligned for one.
            unsafe { (*free).next = self.in_use.free[class] };
            self.in_use.free[class] = free;
        } else {
            self.outside -= 1;
            // SAFETY: as promised by the caller.
            unsafe { alloc::dealloc(block, layout_of(bytes)) };
        }
    }

    /// Makes a block longer or shorter, elsewhere if need be; null, and the block is as it was, when there is no memory.
    ///
    /// # Safety
    /// As [`release`](Self::release).
    pub unsafe fn resize(&mut self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        let is_inside = self.has(block);
        if is_inside && class_of(old) == class_of(new) {
            return block;
        }
        if !is_inside && class_of(new).is_none() {
            // SAFETY: as promised by the caller.
            return unsafe { alloc::realloc(block, layout_of(old), new) };
        }
        let moved = self.allocate(new);
        if !moved.is_null() {
            // SAFETY: both are so long, and they are two.
            unsafe {
                ptr::copy_nonoverlapping(block, moved, old.min(new));
                self.release(block, old);
            }
        }
        moved
    }

    fn has(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.start.addr().get()) < BYTES
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: it was allocated so.
        unsafe { alloc::dealloc(self.start.as_ptr(), layout_of(BYTES)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_smallest_class_that_holds_it() {
        let mut before = (0, ALIGNMENT);
        for bytes in 1..=LARGEST {
            let (class, size) = class_of(bytes).unwrap();
            assert!(size >= bytes && size.is_multiple_of(ALIGNMENT), "{bytes} of {size}");
            assert!(size <= FINE_BYTES || size - bytes < bytes / 4 + ALIGNMENT, "{bytes} of {size}");
            if (class, size) != before {
                assert!(bytes == before.1 + 1 && class == before.0 + 1, "{bytes} after {before:?}");
                before = (class, size);
            }
        }
        assert_eq!(before, (CLASSES - 1, LARGEST));
        assert_eq!(class_of(LARGEST + 1), None);
    }

    /// A block with a number in all of its bytes.
    fn filled(arena: &mut Arena, bytes: usize, with: u8) -> *mut u8 {
        let block = arena.allocate(bytes);
        assert!(block.addr().is_multiple_of(ALIGNMENT));
        unsafe { block.write_bytes(with, bytes) };
        block
    }

    fn read(block: *mut u8, bytes: usize) -> Vec<u8> {
        unsafe { std::slice::from_raw_parts(block, bytes) }.to_vec()
    }

    #[test]
    fn one_arena_after_the_other_begins_elsewhere_whatever_is_counted_by() {
        let arenas: Vec<_> = (0..20).map(Arena::of_number).collect();
        let begins = |arena: &Arena| arena.start.addr().get() + arena.first;
        for [one, other] in arenas.array_windows() {
            for nodes in [4, 8, 16, 32, 64] {
                assert_ne!(begins(one) % (nodes - 1), begins(other) % (nodes - 1), "of {nodes}");
            }
        }
    }

    #[test]
    fn what_an_image_has_is_put_back_and_what_came_later_is_gone() {
        let mut arena = Arena::new();
        let (kept, given_back) = (filled(&mut arena, 40, 1), filled(&mut arena, 2000, 2));
        unsafe { arena.release(given_back, 2000) };
        let image = arena.image().unwrap();
        for _ in 0..2 {
            unsafe { kept.write_bytes(9, 40) };
            assert_eq!(filled(&mut arena, 1900, 3), given_back, "a block of the size is used again");
            let later = filled(&mut arena, 16, 4);
            unsafe { arena.release(kept, 40) };
            arena.restore(&image);
            assert_eq!(read(kept, 40), [1; 40]);
            assert_eq!(filled(&mut arena, 16, 5), later, "from where the image ends");
            assert_ne!(filled(&mut arena, 40, 6), kept);
            arena.restore(&image);
        }
    }

    #[test]
    fn blocks_grow_and_shrink_with_what_is_in_them_wherever_they_lie() {
        let mut arena = Arena::new();
        let sizes = [16, 24, 100, 1500, LARGEST, LARGEST + 1, 3 * LARGEST, LARGEST, 1025, 1024, 3];
        let mut block = filled(&mut arena, sizes[0], 7);
        for [old, new] in sizes.array_windows().copied() {
            block = unsafe { arena.resize(block, old, new) };
            assert_eq!(read(block, old.min(new)), vec![7; old.min(new)]);
            assert_eq!(arena.holds_all(), new <= LARGEST, "{new}");
            unsafe { block.write_bytes(7, new) };
        }
    }

    #[test]
    fn a_full_arena_takes_the_rest_from_elsewhere_and_has_no_image_meanwhile() {
        let mut arena = Arena::new();
        let blocks: Vec<_> = (0..2 * BYTES / LARGEST).map(|_| arena.allocate(LARGEST)).collect();
        assert!(blocks.iter().all(|block| !block.is_null()));
        assert!(arena.outside > 0 && arena.outside < blocks.len(), "{} lie elsewhere", arena.outside);
        assert!(arena.image().is_none());
        for block in blocks {
            unsafe { arena.release(block, LARGEST) };
        }
        assert!(arena.image().is_some());
    }
}
