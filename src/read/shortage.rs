//! What is evicted when memory is needed: parts that were read, then parts prefetched for readers that are quiet; and
//! the limit while the machine is short of memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Reader;
use super::budget::Priority;
use super::inode::Inode;
use super::integrity::Checksums;
use super::part::Place;
use super::pressure::{Alarm, Change, Observation};
use super::why::Why;
use crate::base::Ino;
use crate::metrics::Metric;

/// The checksums of so many objects that were read in part are remembered.
const UNFINISHED: usize = 1024;

impl Reader {
    /// Gives up what may be given up until `bytes` fit at this priority; says whether they do.
    pub(super) fn make_room(&self, bytes: u64, priority: Priority) -> bool {
        if self.give_up_parts(bytes, priority) {
            return true;
        }
        let may_search = priority <= Priority::Window && self.search_is_due();
        if may_search {
            self.silence_quiet_readers();
        }
        may_search && self.give_up_parts(bytes, priority)
    }

    fn give_up_parts(&self, bytes: u64, priority: Priority) -> bool {
        while self.budget.lacking(bytes, priority) > 0 {
            let Some((id, inode, start)) = self.lru_parts.take() else { return false };
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
        now >= last + self.tuning.quiet_search_ms
            && self.last_search_ms.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn silence_quiet_readers(&self) {
        let now = self.now_ms();
        let inodes: Vec<Arc<Inode>> = self.inodes.lock().values().cloned().collect();
        for inode in inodes {
            let is_quiet = now.saturating_sub(inode.last_read_ms.load(Ordering::Relaxed)) > self.tuning.quiet_ms;
            for part in inode.give_up(if is_quiet { 0 } else { self.tuning.quiet_reads }) {
                self.lru_parts.put(&inode, &part, Place::Coldest);
            }
        }
    }

    fn keep_unfinished(&self, ino: Ino, coverage: Checksums) {
        let mut unfinished = self.unfinished.lock();
        unfinished.put(ino, coverage);
        if unfinished.len() > UNFINISHED {
            unfinished.pop_lru();
        }
    }

    /// Drops the record of an object that is neither open nor expected to be, and of which no byte is kept.
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

impl Reader {
    /// When to observe memory again after `seen`, unless the alarm rings before.
    pub fn next_observation(&self, seen: &Observation, alarm: Alarm) -> Duration {
        self.pressure.lock().next_observation(seen, alarm, self.budget.used_bytes())
    }

    /// Memory that is accounted for here: read buffers and what their pages take beyond them, in bytes.
    pub fn accounted_bytes(&self) -> u64 {
        self.budget.used_bytes()
    }

    /// Gives back to the system what is kept of freed buffers, so that new ones come sooner.
    pub fn give_back_freed(&self) {
        self.budget.pool().trim(0);
    }

    /// Holds less memory where there is little, and more again when there is enough. Fails no read.
    pub fn observe_memory(&self, seen: &Observation) -> Option<Change> {
        let (change, limit_bytes) = {
            let mut pressure = self.pressure.lock();
            (pressure.observe(seen), pressure.limit_bytes())
        };
        self.hold_at_most(limit_bytes);
        if change.is_some_and(|change| matches!(change, Change::Short(_))) {
            self.metrics.add(Metric::MemoryShortages, 1);
        }
        change
    }

    /// How much may be held now, in bytes.
    pub fn memory_limit(&self) -> u64 {
        self.budget.limit_bytes()
    }

    /// Changes the option `memory_limit`, in bytes: what is held beyond it is given up, as far as no read waits for it.
    pub fn set_memory_limit(&self, bytes: u64) {
        let limit_bytes = {
            let mut pressure = self.pressure.lock();
            pressure.configure(bytes);
            pressure.limit_bytes()
        };
        self.hold_at_most(limit_bytes);
    }

    fn hold_at_most(&self, limit_bytes: u64) {
        self.metrics.set(Metric::MemoryLimit, limit_bytes);
        if limit_bytes != self.budget.set_limit_bytes(limit_bytes) {
            self.make_room(0, Priority::Window);
        }
    }
}
