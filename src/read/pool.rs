//! The memory of buffers: blocks in use, and blocks kept for the next buffers.

use std::collections::BTreeMap;
use std::ptr::NonNull;

use memmap2::{Advice, MmapMut};
use parking_lot::Mutex;

use crate::base::PAGE_BYTES;
use crate::cache::Stretch;

/// The size of a huge page, in bytes.
pub(super) const HUGE_BYTES: usize = 2 << 20;
/// Buffers from this size on are mapped and recycled.
pub(super) const POOLED_BYTES: usize = 1 << 20;

/// The bytes of memory that a buffer for `len` bytes takes: whole pages, above 1 MiB whole huge pages, so that few
/// sizes have to be kept apart when memory is recycled.
pub(super) fn capacity_for(len: u64) -> u64 {
    let unit = if len <= POOLED_BYTES as u64 { PAGE_BYTES } else { HUGE_BYTES as u64 };
    len.max(1).next_multiple_of(unit)
}

/// What a buffer's bytes lie in.
pub(super) enum Block {
    Heap(Vec<u8>),
    /// 2 MiB longer than the capacity, so that an aligned stretch of it lies inside; the rest is never touched.
    Map(MmapMut),
    File(Stretch),
}

impl Block {
    /// A fresh block of so many bytes.
    pub(super) fn new(capacity: usize) -> Self {
        if capacity >= POOLED_BYTES
            && let Ok(map) = MmapMut::map_anon(capacity + HUGE_BYTES)
        {
            // Half a huge page would take a whole one. A kernel without them refuses; the buffer works all the same.
            if capacity >= HUGE_BYTES {
                let _ = map.advise(Advice::HugePage);
            }
            return Block::Map(map);
        }
        Block::Heap(Vec::with_capacity(capacity))
    }

    /// The first byte that may be used.
    pub(super) fn start(&mut self) -> NonNull<u8> {
        let start = match self {
            Block::Heap(bytes) => bytes.as_mut_ptr(),
            Block::Map(map) => {
                let start = map.as_mut_ptr();
                start.wrapping_add(start.align_offset(HUGE_BYTES))
            }
            Block::File(stretch) => stretch.start().as_ptr(),
        };
        NonNull::new(start).unwrap_or(NonNull::dangling())
    }
}

/// Mappings no longer used, kept for the next buffer of the same capacity.
#[derive(Default)]
pub(super) struct Pool {
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    blocks: BTreeMap<usize, Vec<Block>>,
    bytes: u64,
}

impl Pool {
    /// A kept block of just this capacity, if there is one.
    pub(super) fn take(&self, capacity: usize) -> Option<Block> {
        let mut free = self.free.lock();
        let block = free.blocks.get_mut(&capacity)?.pop()?;
        free.bytes -= capacity as u64;
        Some(block)
    }

    /// Keeps a block, unless more than `keep_bytes` would be kept then.
    pub(super) fn put(&self, block: Block, capacity: usize, keep_bytes: u64) {
        let mut free = self.free.lock();
        if free.bytes + capacity as u64 <= keep_bytes {
            free.bytes += capacity as u64;
            free.blocks.entry(capacity).or_default().push(block);
        }
    }

    /// Gives memory back to the system until at most `keep_bytes` are kept.
    pub(super) fn trim(&self, keep_bytes: u64) {
        let mut freed = Vec::new();
        let mut free = self.free.lock();
        while free.bytes > keep_bytes {
            let Some(mut entry) = free.blocks.last_entry() else { break };
            let capacity = *entry.key();
            match entry.get_mut().pop() {
                Some(block) => {
                    freed.push(block);
                    free.bytes -= capacity as u64;
                }
                None => drop(entry.remove()),
            }
        }
        // Unmapping takes milliseconds for large blocks: not under the lock.
        drop(free);
        drop(freed);
    }

    /// Bytes that are kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.free.lock().bytes
    }
}
