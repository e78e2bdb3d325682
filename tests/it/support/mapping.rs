//! Files mapped into memory, and looks at them that may fail.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use memmap2::Mmap;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Maps a file for reading.
pub(crate) fn map(file: &File) -> Mmap {
    // SAFETY: no process changes the file while it is mapped.
    unsafe { Mmap::map(file) }.unwrap()
}

/// Reads through a mapping, without a signal where that fails: system calls tell of it by EFAULT.
///
/// A process of its own does: the kernel holds the lock on a process's memory while it reads a page that has failed
/// once, and a daemon in the same process would wait for that lock when it wants memory, and with it the page.
pub(crate) fn peek(map: &Mmap, at: usize, len: usize) -> io::Result<Vec<u8>> {
    let (copy, mut bytes) = (tempfile::tempfile().unwrap(), vec![0; len]);
    copy_to(&copy, &map[at..at + len])?;
    copy.read_exact_at(&mut bytes, 0).map(|()| bytes)
}

/// How many bytes from the start can be read through a mapping, as [`peek`] does.
pub(crate) fn readable(map: &Mmap) -> usize {
    let copy = tempfile::tempfile().unwrap();
    let _ = copy_to(&copy, map);
    copy.metadata().unwrap().len() as usize
}

fn copy_to(copy: &File, piece: &[u8]) -> io::Result<()> {
    // SAFETY: the child makes system calls alone.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => write_and_exit(copy, piece),
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, errno) => Err(io::Error::from_raw_os_error(errno)),
            other => panic!("{other:?}"),
        },
    }
}

/// Makes no call but those of the system: memory may be locked by a thread that this process does not have.
fn write_and_exit(copy: &File, piece: &[u8]) -> ! {
    let (copy, mut done) = (copy.as_raw_fd(), 0);
    // A daemon that ends is to be the last to close what it serves.
    // SAFETY: these are numbers; the process uses no other file than that one.
    unsafe {
        libc::close_range(3, copy as u32 - 1, 0);
        libc::close_range(copy as u32 + 1, u32::MAX, 0);
    }
    while let Some(rest) = piece.get(done..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the piece is mapped; where it has no page, the call fails.
        match unsafe { libc::pwrite(copy, rest.as_ptr().cast(), rest.len(), done as i64) } {
            // SAFETY: this ends the process. EFAULT, or what else was wrong.
            ..1 => unsafe { libc::_exit(*libc::__errno_location()) },
            written => done += written as usize,
        }
    }
    // SAFETY: this ends the process.
    unsafe { libc::_exit(0) }
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
