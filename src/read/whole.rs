//! Objects that are completely in memory, as files that the kernel reads by itself.
//!
//! An object that may be kept whole has a backing file in memory, and its parts arrive there. Once all of them have, a
//! [`Whole`] holds them: for as long as the kernel may read the file by itself, none of it may be given up.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::inode::Inode;
use super::part::Part;
use crate::cache::MemoryFile;

/// What the memory of a [`Whole`] belongs to.
pub(super) trait Owner: Send + Sync {
    /// The kernel no longer reads these parts by itself: they may be given up again.
    fn released(&self, inode: &Arc<Inode>, parts: &[Arc<Part>]);
}

/// All bytes of an object, in one file.
pub struct Whole {
    pub(super) owner: Box<dyn Owner>,
    pub(super) inode: Arc<Inode>,
    pub(super) file: Arc<MemoryFile>,
    pub(super) parts: Vec<Arc<Part>>,
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
        self.owner.released(&self.inode, &self.parts);
    }
}
