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

/// How many pages from this place on the page cache holds, of so many bytes: looked at through a mapping, which it does
/// not fill.
pub(crate) fn resident(map: &Mmap, at: usize, len: usize) -> usize {
    let (piece, mut pages) = (&map[at..at + len], vec![0_u8; len.div_ceil(4096)]);
    // SAFETY: the range is mapped, and there is a byte for each of its pages.
    let looked = unsafe { libc::mincore(piece.as_ptr().cast_mut().cast(), len, pages.as_mut_ptr()) };
    assert_eq!(looked, 0, "{}", io::Error::last_os_error());
    pages.iter().filter(|page| *page & 1 == 1).count()
}
