//! Where the bytes of an object lie in memory: in a file of their own, if the kernel may read it by itself later.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Reader;
use super::budget::Grant;
use super::buffer::{Buffer, Tail};
use super::inode::Inode;
use super::part::{Part, Place};
use super::pool::POOLED_BYTES;
use super::whole::{InMemory, Owner, Whole};
use crate::base::ByteRange;
use crate::cache::MemoryFile;

impl Reader {
    /// Memory for a part that is about to arrive.
    pub(super) fn buffer(&self, inode: &Inode, range: ByteRange, grant: Grant) -> (Arc<Buffer>, Tail) {
        // Pieces of a few KiB would take a huge page each.
        let file = if range.len() < POOLED_BYTES as u64 { None } else { self.backing_file(inode) };
        match file.and_then(|file| file.claim(range)) {
            Some(stretch) => Buffer::in_file(stretch, grant),
            None => Buffer::new(range.len(), grant),
        }
    }

    fn backing_file<'a>(&self, inode: &'a Inode) -> Option<&'a Arc<MemoryFile>> {
        let memory = self.memory.as_ref().filter(|_| !inode.kernel_copy.is_there.load(Ordering::Relaxed))?;
        let size = inode.object.size;
        // What takes more would be held at the cost of all else, or be given up before it is whole.
        if !(self.tuning.backing_file_least_bytes..=self.budget.limit_bytes() / 2).contains(&size) {
            return None;
        }
        let made =
            || memory.file(size).inspect_err(|error| tracing::debug!(%error, "a backing file cannot be created")).ok();
        inode.backing_file.get_or_init(made).as_ref()
    }

    /// The object as a file that the kernel reads by itself, where all of it is in memory and may stay there.
    pub(super) fn whole(self: &Arc<Self>, inode: &Arc<Inode>) -> Option<Arc<Whole>> {
        if inode.broken().is_some() {
            return None;
        }
        let mut known = inode.whole.lock();
        if let Some(whole) = known.upgrade() {
            return Some(whole);
        }
        let file = inode.backing_file.get()?.clone()?;
        let held = self.held_bytes.fetch_add(inode.object.size, Ordering::Relaxed) + inode.object.size;
        let fits = held <= self.budget.limit_bytes() / 4 * 3;
        let parts = if fits { inode.all_in_backing_file(&self.budget) } else { Ok(None) };
        let Ok(Some(parts)) = parts else {
            self.held_bytes.fetch_sub(inode.object.size, Ordering::Relaxed);
            drop(known);
            if let Err(evidence) = parts {
                self.found_corrupt(inode, evidence);
            }
            return None;
        };
        parts.iter().for_each(|part| self.lru_parts.hold(part));
        let owner = Box::new(self.clone());
        let whole = Arc::new(Whole::in_memory(InMemory { owner, inode: inode.clone(), file, parts }));
        *known = Arc::downgrade(&whole);
        Some(whole)
    }
}

impl Owner for Arc<Reader> {
    fn released(&self, inode: &Arc<Inode>, parts: &[Arc<Part>]) {
        self.held_bytes.fetch_sub(inode.object.size, Ordering::Relaxed);
        for part in parts {
            self.lru_parts.put(inode, part, Place::Recent);
        }
        // Waits that found no room while these were held.
        self.pump();
    }
}
