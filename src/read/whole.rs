//! Objects that the kernel reads by itself: those that are completely in memory, or on disk.
//!
//! An object that may be kept whole has a backing file in memory, and its parts arrive there. Once all of them have, a
//! [`Whole`] holds them: for as long as the kernel may read the file by itself, none of it may be given up. A file of
//! the disk cache is never cut: what was opened stays what it is, also after it was evicted.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::inode::Inode;
use super::part::Part;
use crate::cache::{DiskFile, MemoryFile};

/// What the memory of a [`Whole`] belongs to.
pub(super) trait Owner: Send + Sync {
    /// The kernel no longer reads these parts by itself: they may be given up again.
    fn released(&self, inode: &Arc<Inode>, parts: &[Arc<Part>]);
}

/// All bytes of an object, in one file.
pub struct Whole(Home);

enum Home {
    Memory(InMemory),
    Disk(Arc<DiskFile>),
}

/// The parts of a file in memory.
pub(super) struct InMemory {
    pub(super) owner: Box<dyn Owner>,
    pub(super) inode: Arc<Inode>,
    pub(super) file: Arc<MemoryFile>,
    pub(super) parts: Vec<Arc<Part>>,
}

impl Whole {
    pub(super) fn in_memory(parts: InMemory) -> Whole {
        Whole(Home::Memory(parts))
    }

    pub(super) fn on_disk(file: Arc<DiskFile>) -> Whole {
        Whole(Home::Disk(file))
    }

    /// Whether bytes would change under a mapping once this is dropped.
    pub fn is_needed_by_mappings(&self) -> bool {
        matches!(self.0, Home::Memory(_))
    }
}

impl AsFd for Whole {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Home::Memory(parts) => parts.file.as_fd(),
            Home::Disk(file) => file.as_fd(),
        }
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Home::Memory(parts) => f.debug_tuple("Whole").field(&parts.inode.object).finish(),
            Home::Disk(file) => f.debug_tuple("Whole").field(file).finish(),
        }
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.owner.released(&self.inode, &self.parts);
    }
}
