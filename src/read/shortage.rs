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
        let mut spared = Vec::new();
        let fits = loop {
            if self.budget.lacking(bytes, priority) == 0 {
                break true;
            }
            let Some((id, weak, start)) = self.lru_parts.take() else { break false };
            let Some(inode) = weak.upgrade() else { continue };
            if priority == Priority::WarmUp && self.is_awaited(&inode, start, id) {
                spared.push((id, weak, start));
                continue;
            }
            inode.remove(start, id);
            self.forget_if_unused(&inode);
        };
        self.lru_parts.put_back(spared);
        fits
    }

    /// Whether a part was fetched of an object that is still expected to be opened, or was and is yet to be read: one
    /// guess does not take the memory of another.
    fn is_awaited(&self, inode: &Inode, start: u64, id: u64) -> bool {
        let is_open = || inode.handles.load(Ordering::Relaxed) > 0;
        inode.is_expected(start, id) && (is_open() || self.credit.has(inode.object.ino))
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
            let pause_ms = now.saturating_sub(inode.last_read_ms.load(Ordering::Relaxed));
            let is_quiet = pause_ms > self.tuning.quiet_ms && inode.waits.count() == 0;
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
        let free_bytes = seen.limits.iter().map(|room| room.free_bytes).min().unwrap_or(0);
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
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

    /// Memory that was free, or to be had for the asking, when it was observed last, in bytes; 0 while that is not
    /// known.
    pub fn free_memory(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::tests::{Bed, MIB, content};
    use super::*;
    use crate::store::layers::Fault;

    /// What is fetched when a reader goes on after memory was wanted while it had read nothing for two seconds.
    async fn fetched_again(waits: bool) -> usize {
        let bed = Bed::new(Options::default());
        let bytes = content(64 * MIB, 1);
        let file = Arc::new(bed.reader.open(bed.object("a", &bytes)));
        file.read(0, 1 << 20).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        bed.gets();
        let other = Arc::new(bed.reader.open(bed.object("b", &bytes)));
        let late = if waits { &file } else { &other }.clone();
        bed.script([Some(Fault::Late(Duration::from_secs(9)))]);
        let waiting = tokio::spawn(async move { late.read(63 * MIB, 4096).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.reader.clock.advance(Duration::from_secs(2));
        bed.reader.make_room(u64::MAX / 2, Priority::Window);
        waiting.await.unwrap().unwrap();
        bed.gets();
        file.read(MIB, 1 << 20).await.unwrap();
        bed.gets().iter().filter(|get| get.start < 16 * MIB).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_waits_for_bytes_is_not_quiet() {
        assert_eq!(fetched_again(true).await, 0);
        assert!(fetched_again(false).await > 0, "one that has turned to another file is");
    }
}
