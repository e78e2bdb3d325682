//! Objects that are all in memory, as files that the kernel reads by itself.
//!
//! An object that may be kept whole has a home, a file in memory, and its parts arrive there. Once all of them have, a
//! [`Whole`] holds them: for as long as somebody reads the file without asking us, none of it may be given up.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Reader;
use super::budget::Grant;
use super::buffer::{Buffer, Tail};
use super::inode::Inode;
use super::part::{Part, Place};
use super::pool::POOLED_BYTES;
use crate::base::ByteRange;
use crate::cache::MemoryFile;

/// Smaller objects have no home: it takes a descriptor, and the kernel's page cache serves them as well.
const LEAST_BYTES: u64 = 16 << 20;

/// All bytes of an object, in one file.
pub struct Whole {
    reader: Arc<Reader>,
    inode: Arc<Inode>,
    file: Arc<MemoryFile>,
    parts: Vec<Arc<Part>>,
}

impl AsFd for Whole {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.inode.object).finish()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.reader.held_bytes.fetch_sub(self.inode.object.size, Ordering::Relaxed);
        for part in &self.parts {
            self.reader.shelf.put(&self.inode, part, Place::Recent);
        }
        // Waits that found no room while this was held.
        self.reader.pump();
    }
}

impl Reader {
    /// Memory for a part that is about to arrive.
    pub(super) fn buffer(&self, inode: &Inode, range: ByteRange, grant: Grant) -> (Arc<Buffer>, Tail) {
        // Pieces of a few KiB would take a huge page each.
        let home = if range.len() < POOLED_BYTES as u64 { None } else { self.home(inode) };
        match home.and_then(|home| home.claim(range)) {
            Some(stretch) => Buffer::in_file(stretch, grant),
            None => Buffer::new(range.len(), grant),
        }
    }

    fn home<'a>(&self, inode: &'a Inode) -> Option<&'a Arc<MemoryFile>> {
        let memory = self.memory.as_ref()?;
        let size = inode.object.size;
        // What takes more would be held at the cost of all else, or be given up before it is whole.
        if !(LEAST_BYTES..=self.budget.limit_bytes() / 2).contains(&size) {
            return None;
        }
        let made = || memory.file(size).inspect_err(|error| tracing::debug!(%error, "no file in memory")).ok();
        inode.home.get_or_init(made).as_ref()
    }

    pub(super) fn whole(self: &Arc<Self>, inode: &Arc<Inode>) -> Option<Arc<Whole>> {
        if inode.broken().is_some() {
            return None;
        }
        let mut known = inode.whole.lock();
        if let Some(whole) = known.upgrade() {
            return Some(whole);
        }
        let file = inode.home.get()?.clone()?;
        let held = self.held_bytes.fetch_add(inode.object.size, Ordering::Relaxed) + inode.object.size;
        let fits = held <= self.budget.limit_bytes() / 4 * 3;
        let parts = if fits { inode.all_at_home(&self.budget) } else { Ok(None) };
        let Ok(Some(parts)) = parts else {
            self.held_bytes.fetch_sub(inode.object.size, Ordering::Relaxed);
            drop(known);
            if let Err(evidence) = parts {
                self.found_corrupt(inode, evidence);
            }
            return None;
        };
        parts.iter().for_each(|part| self.shelf.hold(part));
        let whole = Arc::new(Whole { reader: self.clone(), inode: inode.clone(), file, parts });
        *known = Arc::downgrade(&whole);
        Some(whole)
    }
}
