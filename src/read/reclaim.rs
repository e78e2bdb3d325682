//! The list of parts that may be evicted, in the order in which they will be.
//!
//! Parts of which every byte was handed out stay, so that the next reader of the file needs no request; so do whole
//! files after their last handle is gone. When they are given up is decided by `shortage`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use lru::LruCache;
use parking_lot::Mutex;

use super::inode::Inode;
use super::part::{Part, Place};

/// Parts that may be given up, in the order in which they will be.
pub(super) struct LruParts {
    parts: Mutex<LruCache<u64, (Weak<Inode>, u64)>>,
}

impl LruParts {
    /// A list of no parts.
    pub(super) fn new() -> Self {
        LruParts { parts: Mutex::new(LruCache::unbounded()) }
    }

    /// The part may be given up when its turn comes, unless its object is kept.
    pub(super) fn put(&self, inode: &Arc<Inode>, part: &Part, place: Place) {
        if inode.is_pinned.load(Ordering::Relaxed) {
            return self.hold(part);
        }
        part.is_placed.store(true, Ordering::Relaxed);
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

    /// The part must not be given up now. [`LruParts::put`] ends that.
    pub(super) fn hold(&self, part: &Part) {
        part.is_placed.store(true, Ordering::Relaxed);
        self.parts.lock().pop(&part.id);
    }

    /// Parts that were taken out are the first to go again, in the same order.
    pub(super) fn put_back(&self, taken: Vec<(u64, Weak<Inode>, u64)>) {
        let mut parts = self.parts.lock();
        for (id, inode, start) in taken.into_iter().rev() {
            if parts.peek(&id).is_none() {
                parts.put(id, (inode, start));
                parts.demote(&id);
            }
        }
    }

    /// Takes out the part that is the first to go: its name, its object, and where it begins.
    pub(super) fn take(&self) -> Option<(u64, Weak<Inode>, u64)> {
        self.parts.lock().pop_lru().map(|(id, (inode, start))| (id, inode, start))
    }
}
