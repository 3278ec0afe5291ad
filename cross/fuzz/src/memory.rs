//! How much memory something takes: an allocator that counts, for one thread at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that are held, and the most that were.
    static HELD: Cell<Held> = const { Cell::new(Held { now: 0, peak: 0 }) };
}

#[derive(Clone, Copy)]
struct Held {
    now: usize,
    peak: usize,
}

/// The system's allocator, counted. Must be the program's `#[global_allocator]` for [`peak_of`] to see anything.
#[derive(Debug)]
pub struct Counting;

fn count(freed: usize, taken: usize) {
    // A thread that ends may free after its counter is gone; nobody asks it any more.
    let _gone = HELD.try_with(|held| {
        let Held { now, peak } = held.get();
        // What another thread had taken may be freed here.
        let now = now.saturating_sub(freed).saturating_add(taken);
        held.set(Held { now, peak: peak.max(now) });
    });
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator with the arguments that came, and its answer is given back unchanged.
// Counting takes no memory: the counter of a thread is constant when it starts and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller keeps the rules of `GlobalAlloc`, which are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks may be there at once, which is what a limit of memory has to hold.
        count(0, size);
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs something on this thread: its answer, and the most bytes that it held at once beyond what was held before.
pub fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().now;
    HELD.set(Held { now: before, peak: before });
    let answer = run();
    (answer, HELD.get().peak.saturating_sub(before))
}
