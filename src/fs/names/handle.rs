//! An open directory: what its handle reads, and the position of a call of readdir.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Counting;
use super::paging::PagedDirectory;
use super::task::{Behind, ListTask, PageSignals};
use crate::base::Ino;
use crate::fs::lives::PastListing;
use crate::tree::SnapshotId;

/// Offsets 0 and 1 are `.` and `..`.
pub(super) const DOTS: u64 = 2;

/// A directory that is open.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    pub(super) ino: Ino,
    pub(super) prefix: String,
    /// The list of what is held of it, until that was read and more is not held.
    pub(super) snapshot: Mutex<Option<SnapshotId>>,
    /// What is read straight from the store.
    pub(super) rest: Mutex<Option<Arc<PagedDirectory>>>,
    /// Signal while the list grows. Kept for the handle's life, so that the listing knows that it is wanted.
    pub(super) signals: Option<PageSignals>,
    /// Listings that bring this directory as part of a walk, which comes further as it is read.
    pub(super) ahead: Vec<Arc<ListTask>>,
    /// Whether opening it was a step that may be part of a walk.
    pub(super) step: bool,
    /// Where it was open in an earlier life already.
    pub(super) resumed: Option<Resumed>,
}

impl OpenDirectory {
    /// The offset of the first entry behind `.` and `..`.
    pub(super) fn base(&self) -> u64 {
        self.resumed.as_ref().map_or(DOTS, |resumed| resumed.base)
    }
}

/// What one try to open a directory has come to.
pub(super) enum Opening {
    Open(OpenDirectory),
    /// What is going on began too early.
    Behind(Behind),
}

/// A call of readdir on its way.
pub(super) struct Reading {
    pub(super) at: u64,
    /// Entries given, without `.` and `..`: the offset behind each and a hash of its name, if they are written down.
    pub(super) given: Vec<(u64, u64)>,
    pub(super) count: u64,
    pub(super) counting: Counting,
    pub(super) left_out: Option<Arc<HashSet<u64>>>,
}

/// A directory that was being read when the daemon began anew.
#[derive(Debug)]
pub(super) struct Resumed {
    /// The offset of the first entry in this life.
    pub(super) base: u64,
    pub(super) past: PastListing,
    /// Hashes of the names that are left out: those the reader has had.
    pub(super) had: Mutex<Arc<HashSet<u64>>>,
}

impl Resumed {
    /// What is left out when it is read on from an offset.
    pub(super) fn left_out(&self, offset: u64) -> Arc<HashSet<u64>> {
        let mut had = self.had.lock();
        if offset < self.base {
            *had = Arc::new(self.past.before(offset).collect());
        }
        had.clone()
    }
}
