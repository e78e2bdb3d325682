//! Reading and writing a file past the page cache, from memory and to memory that lies anywhere.
//!
//! The page cache costs twenty times the processor time when writing, and takes the memory that programs need. The
//! kernel asks for offsets, lengths and addresses in multiples of a page; what does not fit goes by way of a buffer
//! that does, and the last bytes of a file through the page cache.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use crate::base;

const PAGE_BYTES: usize = base::PAGE_BYTES as usize;

/// So much goes by way of a buffer at a time.
const BOUNCE_BYTES: usize = 1 << 20;

/// Memory that begins on a page.
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    fn new(len: usize) -> Pages {
        let len = len.max(1).next_multiple_of(PAGE_BYTES);
        // Never fails: the alignment is a power of two, and no caller asks for more than `BOUNCE_BYTES`.
        let layout = Layout::from_size_align(len, PAGE_BYTES).unwrap_or(Layout::new::<[u8; PAGE_BYTES]>());
        // SAFETY: the layout has a size that is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        Pages { start: NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the memory is this long, was zeroed, belongs to this alone, and lives as long as the borrow.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and is given back once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// A file, open twice: past the page cache, where the file system allows that, and through it.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) direct: Option<File>,
    pub(super) buffered: File,
}

fn is_on_page(address: usize) -> bool {
    address.is_multiple_of(PAGE_BYTES)
}

impl Direct {
    /// Fills `into` from this offset, a multiple of a page. Fails with `UnexpectedEof` where the file is shorter.
    pub(super) fn read(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(file) = &self.direct else { return self.buffered.read_exact_at(into, offset) };
        let mut done = 0;
        if is_on_page(into.as_ptr().addr()) {
            let whole_pages = into.len() / PAGE_BYTES * PAGE_BYTES;
            file.read_exact_at(&mut into[..whole_pages], offset)?;
            done = whole_pages;
        }
        if done == into.len() {
            return Ok(());
        }
        let mut pages = Pages::new((into.len() - done).min(BOUNCE_BYTES));
        while done < into.len() {
            let len = (into.len() - done).min(BOUNCE_BYTES);
            let whole_pages = &mut pages.bytes()[..len.next_multiple_of(PAGE_BYTES)];
            read_at_least(file, whole_pages, len, offset + done as u64)?;
            into[done..done + len].copy_from_slice(&whole_pages[..len]);
            done += len;
        }
        Ok(())
    }

    /// Writes bytes at this offset, a multiple of a page.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(file) = &self.direct else { return self.buffered.write_all_at(bytes, offset) };
        let whole_pages = bytes.len() / PAGE_BYTES * PAGE_BYTES;
        if is_on_page(bytes.as_ptr().addr()) {
            file.write_all_at(&bytes[..whole_pages], offset)?;
        } else if whole_pages > 0 {
            let mut pages = Pages::new(whole_pages.min(BOUNCE_BYTES));
            for (at, piece) in (0..).step_by(BOUNCE_BYTES).zip(bytes[..whole_pages].chunks(BOUNCE_BYTES)) {
                let copy = &mut pages.bytes()[..piece.len()];
                copy.copy_from_slice(piece);
                file.write_all_at(copy, offset + at)?;
            }
        }
        // A whole page there would make the file longer than the object, and a mount that reads it would show that.
        self.buffered.write_all_at(&bytes[whole_pages..], offset + whole_pages as u64)
    }
}

/// Reads until `least` bytes are in; the file may end behind them.
fn read_at_least(file: &File, into: &mut [u8], least: usize, offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < least {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn open(path: &std::path::Path) -> Direct {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let buffered = options.open(path).unwrap();
        Direct { direct: options.custom_flags(libc::O_DIRECT).open(path).ok(), buffered }
    }

    #[test]
    fn bytes_come_back_from_memory_that_lies_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        for (at, (shift, len)) in
            [(0, 3 * PAGE_BYTES), (0, PAGE_BYTES + 5), (1, PAGE_BYTES), (7, (2 << 20) + 9), (0, 3)].iter().enumerate()
        {
            let file = open(&folder.path().join(at.to_string()));
            let memory: Vec<u8> = (0..shift + len + PAGE_BYTES).map(|at| (at % 251) as u8).collect();
            let start = memory.as_ptr().align_offset(PAGE_BYTES) + shift;
            let bytes = &memory[start..start + len.min(&(memory.len() - start))];
            file.write(bytes, PAGE_BYTES as u64).unwrap();
            assert_eq!(file.buffered.metadata().unwrap().len(), (PAGE_BYTES + bytes.len()) as u64, "not a byte more");
            for other_shift in [0, 3] {
                let mut back = vec![0; bytes.len() + 2 * PAGE_BYTES];
                let start = back.as_ptr().align_offset(PAGE_BYTES) + other_shift;
                let back = &mut back[start..start + bytes.len()];
                file.read(back, PAGE_BYTES as u64).unwrap();
                assert!(back == bytes, "{shift} {len} {other_shift}");
            }
            let mut longer = vec![0; bytes.len() + 1];
            let error = file.read(&mut longer, PAGE_BYTES as u64).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
