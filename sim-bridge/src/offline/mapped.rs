//! Files as memory: read where they lie.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file to be read.
///
/// # Errors
/// What the system said.
pub fn map(file: &Path) -> io::Result<Mmap> {
    let file = File::open(file)?;
    // SAFETY: the mapping is private to this process and only read, as bytes; all readers check lengths and sums before
    // they trust them. Another program that cuts the file while it is mapped ends this one by SIGBUS, as it would end any
    // program that maps files; our writers never write in place but rename whole files.
    #[expect(unsafe_code, reason = "mapping a file has no safe form")]
    unsafe {
        Mmap::map(&file)
    }
}
