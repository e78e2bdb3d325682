//! What stays in memory after it was read, and what is given up when memory is wanted.
//!
//! Parts whose every byte was handed out stay, so that the next reader of the file needs no request; so do whole
//! files after their last handle is gone. They lie on a shelf, the least recently used first to go. When that is not
//! enough for the window of a live reader, what was fetched ahead of readers that have gone quiet goes as well.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use lru::LruCache;
use parking_lot::Mutex;

use super::Reader;
use super::budget::Priority;
use super::inode::Inode;
use super::integrity::Coverage;
use super::part::{Part, Place};
use super::reader::UNFINISHED;
use super::why::Why;
use crate::base::Ino;

/// A reader is quiet when it has read nothing for this long, in milliseconds...
const QUIET_MS: u64 = 1000;
/// ... and a stream when its object was read this often since.
const QUIET_READS: u64 = 256;
/// Looking for quiet readers goes through all open files: at most once in this many milliseconds.
const SEARCH_EVERY_MS: u64 = 50;

/// Parts that may be given up, in the order in which they will be.
pub(super) struct Shelf {
    parts: Mutex<LruCache<u64, (Weak<Inode>, u64)>>,
}

impl Shelf {
    pub(super) fn new() -> Self {
        Shelf { parts: Mutex::new(LruCache::unbounded()) }
    }

    /// The part may be given up when its turn comes, unless its object is kept.
    pub(super) fn put(&self, inode: &Arc<Inode>, part: &Part, place: Place) {
        if inode.is_pinned.load(Ordering::Relaxed) {
            return self.hold(part);
        }
        part.shelved.store(true, Ordering::Relaxed);
        let mut parts = self.parts.lock();
        parts.put(part.id, (Arc::downgrade(inode), part.range.start));
        if place == Place::Coldest {
            parts.demote(&part.id);
        }
    }

    /// The part was used again.
    pub(super) fn touch(&self, part: &Part) {
        self.parts.lock().promote(&part.id);
    }

    /// The part must not be given up now. [`Shelf::put`] ends that.
    pub(super) fn hold(&self, part: &Part) {
        part.shelved.store(true, Ordering::Relaxed);
        self.parts.lock().pop(&part.id);
    }

    fn take(&self) -> Option<(u64, Weak<Inode>, u64)> {
        self.parts.lock().pop_lru().map(|(id, (inode, start))| (id, inode, start))
    }
}

impl Reader {
    /// Gives up what may be given up until `bytes` fit at this priority; says whether they do.
    pub(super) fn make_room(&self, bytes: u64, priority: Priority) -> bool {
        if self.empty_shelf(bytes, priority) {
            return true;
        }
        let may_search = priority <= Priority::Window && self.search_is_due();
        if may_search {
            self.silence_quiet_readers();
        }
        may_search && self.empty_shelf(bytes, priority)
    }

    fn empty_shelf(&self, bytes: u64, priority: Priority) -> bool {
        while self.budget.lacking(bytes, priority) > 0 {
            let Some((id, inode, start)) = self.shelf.take() else { return false };
            if let Some(inode) = inode.upgrade() {
                inode.remove(start, id);
                self.forget_if_unused(&inode);
            }
        }
        true
    }

    fn search_is_due(&self) -> bool {
        let now = self.now_ms();
        let last = self.last_search_ms.load(Ordering::Relaxed);
        now >= last + SEARCH_EVERY_MS
            && self.last_search_ms.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn silence_quiet_readers(&self) {
        let now = self.now_ms();
        let inodes: Vec<Arc<Inode>> = self.inodes.lock().values().cloned().collect();
        for inode in inodes {
            let is_quiet = now.saturating_sub(inode.last_read_ms.load(Ordering::Relaxed)) > QUIET_MS;
            for part in inode.give_up(if is_quiet { 0 } else { QUIET_READS }) {
                self.shelf.put(&inode, &part, Place::Coldest);
            }
        }
    }

    fn keep_unfinished(&self, ino: Ino, coverage: Coverage) {
        let mut unfinished = self.unfinished.lock();
        unfinished.put(ino, coverage);
        if unfinished.len() > UNFINISHED {
            unfinished.pop_lru();
        }
    }

    /// Drops the record of an object that nobody has open or is expected to, and of which no byte is kept.
    pub(super) fn forget_if_unused(&self, inode: &Arc<Inode>) {
        let mut inodes = self.inodes.lock();
        let is_ours = inodes.get(&inode.object.ino).is_some_and(|known| Arc::ptr_eq(known, inode));
        let is_wanted = inode.handles.load(Ordering::Relaxed) > 0 || inode.seat(Why::Expected).is_taken();
        if is_ours && !is_wanted && inode.is_empty() {
            inodes.remove(&inode.object.ino);
            if let Some(coverage) = inode.unfinished() {
                self.keep_unfinished(inode.object.ino, coverage);
            }
        }
    }
}
