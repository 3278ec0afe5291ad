//! How much address space this process can reserve. Boards with 39-bit addresses, and limits, leave 512 GiB or less.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Reservations that are tried, each with the address space that it stands for: twice as much.
const TRIED_BITS: [u32; 3] = [46, 38, 36];

/// Bytes of address space, as far as the largest reservation shows; 0 if not even 64 GiB can be reserved.
pub(crate) fn address_space() -> u64 {
    let reserved = TRIED_BITS.into_iter().find(|bits| can_reserve(1 << bits));
    reserved.map_or(0, |bits| 1 << (bits + 1))
}

/// Whether so many bytes can be reserved, without access to any of them.
fn can_reserve(bytes: u64) -> bool {
    let Ok(length) = usize::try_from(bytes) else { return false };
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    #[expect(unsafe_code, reason = "asking the system for address space has no safe form")]
    // SAFETY: the system chooses a free range, nothing points into it, and it is given back at once.
    unsafe {
        mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::empty(), flags)
            .and_then(|start| munmap(start, length))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_machine_has_some_address_space() {
        assert!(1 << 37 <= address_space());
        assert!(!can_reserve(1 << 62));
    }
}
