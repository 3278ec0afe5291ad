//! Huge pages for shared memory that will hold much. By pages of 4 KiB the system takes five to ten times as long, both to bring it in
//! and to copy from it. Asking as one asks for other memory does not help here: most kernels give shared memory none. Collapsing
//! (`MADV_COLLAPSE`, Linux 6.1) makes them of what is there already, which is next to nothing in fresh memory.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::ptr::{NonNull, null_mut};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// A huge page where pages have 4 KiB. Where they have more it is larger, and asking for pieces of this size comes to nothing.
const HUGE_BYTES: usize = 2 * 1024 * 1024;
/// Most that is prepared; what is larger is so slow to fill that this no longer shows.
const PREPARED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// `MADV_COLLAPSE` of Linux (`asm-generic/mman-common.h`), which the libraries do not know for each target.
const COLLAPSE: libc::c_int = 25;

/// Prepares fresh memory for so many bytes, which are written from its start on: it is not empty after this.
///
/// # Errors
/// What the system says. Memory is as good as before then, only slower.
pub(super) fn prepare(mut memory: &File, length: usize) -> io::Result<()> {
    // A last piece that would stay half empty keeps small pages.
    let pieces = (length.min(PREPARED_BYTES_MAX) + HUGE_BYTES / 2) / HUGE_BYTES;
    if pieces == 0 {
        return Ok(());
    }
    // A piece without any page is not looked at.
    for piece in 0..pieces {
        memory.seek(SeekFrom::Start((piece * HUGE_BYTES) as u64))?;
        memory.write_all(&[0])?;
    }
    memory.rewind()?;
    Mapped::new(memory, pieces * HUGE_BYTES)?.collapse()
}

/// Shared memory, mapped where a huge page can begin.
struct Mapped {
    /// What was reserved to find such a place.
    reserved: NonNull<libc::c_void>,
    reserved_bytes: usize,
    start: *mut libc::c_void,
    length: usize,
}

impl Mapped {
    fn new(memory: &File, length: usize) -> io::Result<Self> {
        let reserved_bytes = length + HUGE_BYTES;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        #[expect(unsafe_code, reason = "mapping memory has no safe form")]
        // SAFETY: the system chooses the place, so that nothing else lies there.
        let reserved =
            unsafe { mmap_anonymous(null_mut(), reserved_bytes, ProtFlags::empty(), flags) }?;
        let reserved = NonNull::new(reserved).ok_or(io::ErrorKind::OutOfMemory)?;
        let skipped = reserved.as_ptr().addr().wrapping_neg() % HUGE_BYTES;
        let start = reserved.as_ptr().wrapping_byte_add(skipped);
        // From here on it is given back whatever happens.
        let mapped = Self { reserved, reserved_bytes, start, length };
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        #[expect(unsafe_code, reason = "mapping memory has no safe form")]
        // SAFETY: `start` and `length` lie in what was reserved above, where nobody has anything.
        unsafe { mmap(start, length, ProtFlags::READ, flags, memory, 0) }?;
        Ok(mapped)
    }

    fn collapse(&self) -> io::Result<()> {
        #[expect(unsafe_code, reason = "memory advice has no safe form")]
        // SAFETY: the range is mapped as long as `self` is there, and the advice changes no contents.
        match unsafe { libc::madvise(self.start, self.length, COLLAPSE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "mapping memory has no safe form")]
        // SAFETY: what was reserved, of which nobody else knows.
        // Only a range that is none is refused.
        let _unmapped = unsafe { munmap(self.reserved.as_ptr(), self.reserved_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memfd;

    #[test]
    fn small_memory_and_a_rest_stay_as_they_are() {
        let pages = |length| {
            let memory = memfd::create("test").unwrap();
            // A kernel without huge pages is no failure of this.
            drop(prepare(&memory, length));
            assert_eq!((&memory).stream_position().unwrap(), 0);
            memory.metadata().unwrap().len()
        };
        assert_eq!(pages(HUGE_BYTES / 2 - 1), 0);
        assert_eq!(pages(HUGE_BYTES / 2), 1);
        assert_eq!(pages(3 * HUGE_BYTES - 1), 2 * HUGE_BYTES as u64 + 1);
        assert_eq!(pages(usize::MAX), (PREPARED_BYTES_MAX - HUGE_BYTES) as u64 + 1);
    }

    #[test]
    fn what_is_prepared_comes_in_huge_pages_where_the_kernel_has_them() {
        let memory = memfd::create("test").unwrap();
        if let Err(error) = prepare(&memory, 2 * HUGE_BYTES) {
            // Before Linux 6.1, and without huge pages at all; and while no piece of memory is large enough for one.
            let code = error.raw_os_error();
            assert!(matches!(code, Some(libc::EINVAL | libc::ENOMEM)), "{error}");
            let test = "what_is_prepared_comes_in_huge_pages_where_the_kernel_has_them";
            println!("skipped: {test}: this kernel has none for shared memory now ({error})");
            return;
        }
        // Blocks of 512 bytes: what the file takes, though two bytes were written.
        let blocks = rustix::fs::fstat(&memory).unwrap().st_blocks.cast_unsigned();
        assert_eq!(blocks * 512, 2 * HUGE_BYTES as u64);
    }
}
