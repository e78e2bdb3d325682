//! Files mapped into memory, and looks at them that may fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memmap2::Mmap;

/// Maps a file for reading.
pub(crate) fn map(file: &File) -> Mmap {
    // SAFETY: no process changes the file while it is mapped.
    unsafe { Mmap::map(file) }.unwrap()
}

/// Reads through a mapping, without a signal where that fails: system calls tell of it by EFAULT. (Not by way of
/// `/proc/self/mem`, which locks the memory of this process, and the daemon may be in it, while it waits for a page.)
pub(crate) fn peek(map: &Mmap, at: usize, len: usize) -> io::Result<Vec<u8>> {
    let (copy, mut bytes) = (tempfile::tempfile().unwrap(), vec![0; len]);
    copy.write_all_at(&map[at..at + len], 0)?;
    copy.read_exact_at(&mut bytes, 0).map(|()| bytes)
}
