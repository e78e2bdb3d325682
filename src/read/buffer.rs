//! Memory that object bytes arrive in: one writer appends, any number of readers see what it has published.
//!
//! Parts of an object that may be kept whole lie in its file in memory, from which the kernel can read by itself later.
//! Other large buffers are anonymous mappings on 2 MiB boundaries, with huge pages asked for: replies written from 4
//! KiB pages cost the kernel half as much CPU again, because it pins them one by one. They are recycled through a
//! [`Pool`](super::pool::Pool), since touching fresh memory costs more than the copy into it. Small ones come from the
//! heap. How much memory may be held at all is not decided here but by `budget`.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::budget::Grant;
use super::pool::{Block, capacity_for};
use crate::cache::{MemoryFile, Stretch};
use crate::store::{Body, Result};

/// Bytes that have arrived. Shared by all reads of them; its memory goes back when the last one lets go.
pub(super) struct Buffer {
    start: NonNull<u8>,
    capacity: usize,
    /// Bytes from the start that readers may see. Only grows, and only by the hand of the one [`Tail`].
    published: AtomicUsize,
    /// Owns what `start` points into; touched again only when the buffer is dropped.
    block: Option<Block>,
    grant: Grant,
}

// SAFETY: `start` points into `block`, which the buffer owns and which does not move when the buffer does (a mapping, a
// stretch of one that belongs to this buffer alone, or a vector's heap memory). Bytes below `published` are never
// written again, bytes above it are touched by the single `Tail` alone, so references to the buffer may be used from
// several threads at once.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// An empty buffer for `len` bytes and its writer, in the memory that was granted.
    pub(super) fn new(len: u64, grant: Grant) -> (Arc<Buffer>, Tail) {
        let capacity = capacity_for(len) as usize;
        let block = grant.budget().pool().take(capacity).unwrap_or_else(|| Block::new(capacity));
        Buffer::of(block, capacity, grant)
    }

    /// An empty buffer for these bytes of a file, and its writer, in the memory that was granted.
    pub(super) fn in_file(stretch: Stretch, grant: Grant) -> (Arc<Buffer>, Tail) {
        let len = stretch.range().len() as usize;
        Buffer::of(Block::File(stretch), len, grant)
    }

    /// A buffer in a file that is filled with these bytes; those that do not fit are left out.
    pub(super) fn copied_to_file(bytes: &[u8], stretch: Stretch, grant: Grant) -> Arc<Buffer> {
        let (buffer, mut tail) = Buffer::in_file(stretch, grant);
        tail.written = bytes.len().min(buffer.capacity);
        // SAFETY: so many bytes lie within the capacity, no reader looks there before they are published, and the
        // memory belongs to this buffer alone, so that `bytes` cannot overlap it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.start.as_ptr(), tail.written) };
        tail.publish();
        buffer
    }

    fn of(mut block: Block, capacity: usize, grant: Grant) -> (Arc<Buffer>, Tail) {
        grant.budget().taken(capacity as u64);
        let start = block.start();
        let buffer = Arc::new(Buffer { start, capacity, published: AtomicUsize::new(0), block: Some(block), grant });
        let tail = Tail { buffer: buffer.clone(), written: 0 };
        (buffer, tail)
    }

    /// The bytes that have arrived and been published.
    pub(super) fn head(&self) -> &[u8] {
        let len = self.published.load(Ordering::Acquire);
        // SAFETY: the tail wrote these `len` bytes before it published them with `Release`, they are never written
        // again, and they stay mapped while `self` lives.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), len) }
    }

    /// The bytes of several buffers as one slice, where they lie in one file, each behind the one before.
    pub(super) fn joined<'a>(buffers: impl IntoIterator<Item = &'a Buffer>) -> Option<&'a [u8]> {
        let mut row: Option<(&Buffer, &Stretch, usize)> = None;
        for buffer in buffers {
            let Some(Block::File(stretch)) = &buffer.block else { return None };
            row = Some(match row {
                None => (buffer, stretch, buffer.head().len()),
                Some((first, start, len)) => {
                    let follows = Arc::ptr_eq(start.file(), stretch.file())
                        && start.range().start + len as u64 == stretch.range().start;
                    (first, start, follows.then_some(len + buffer.head().len())?)
                }
            });
        }
        let (first, _, len) = row?;
        // SAFETY: the buffers lie in one mapping, and each begins where the published bytes of the one before end. So
        // these `len` bytes are published bytes of buffers that are borrowed for as long as the slice.
        Some(unsafe { std::slice::from_raw_parts(first.start.as_ptr(), len) })
    }

    /// Whether the bytes lie in this file.
    pub(super) fn is_in(&self, file: &Arc<MemoryFile>) -> bool {
        matches!(&self.block, Some(Block::File(stretch)) if Arc::ptr_eq(stretch.file(), file))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let budget = self.grant.budget();
        budget.returned(self.capacity as u64);
        if let Some(block @ Block::Map(_)) = self.block.take() {
            budget.pool().put(block, self.capacity, budget.pool_bytes());
        }
    }
}

/// The writing end of a [`Buffer`]; there is exactly one, and it cannot be cloned.
pub(super) struct Tail {
    buffer: Arc<Buffer>,
    written: usize,
}

impl Tail {
    /// Bytes written so far, published or not.
    pub(super) fn written(&self) -> u64 {
        self.written as u64
    }

    /// What was written so far, published or not.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: this tail has written so many bytes from the start on, within the capacity; they are never written
        // again, and the buffer lives as long as the tail.
        unsafe { std::slice::from_raw_parts(self.buffer.start.as_ptr(), self.written) }
    }

    /// Receives more of a body, at most `max_bytes` and at least one, behind the bytes written before, and returns what
    /// came: nothing at the end. Readers do not see it yet.
    pub(super) async fn receive(&mut self, body: &mut Body, max_bytes: u64) -> Result<&[u8]> {
        let room = self.buffer.capacity - self.written;
        let room = room.min(usize::try_from(max_bytes).unwrap_or(usize::MAX));
        // SAFETY: the memory lies within the capacity and above `published`, where no reader looks; no other writer
        // exists, and this one is borrowed for as long as the slice lives.
        let room = unsafe { std::slice::from_raw_parts_mut(self.buffer.start.as_ptr().add(self.written).cast(), room) };
        let received = body.receive(room).await?;
        self.written += received.len();
        Ok(received)
    }

    /// The memory of so many bytes behind those written before. Once it is filled, [`Tail::filled`] says so.
    pub(super) fn memory(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.buffer.capacity - self.written);
        // SAFETY: no more than the capacity was written.
        let start = unsafe { self.buffer.start.as_ptr().add(self.written) };
        if matches!(self.buffer.block, Some(Block::Heap(_))) {
            // SAFETY: so many bytes lie within the capacity, and nothing of them was published.
            unsafe { start.write_bytes(0, len) };
        }
        // SAFETY: the memory lies within the capacity, and no reader looks there before it is published; no other
        // writer exists, and this one is borrowed for as long as the slice lives. All of it is initialised: mappings
        // are from the start, and what comes from the heap is zero by now.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// So many bytes more were written to [`Tail::memory`].
    pub(super) fn filled(&mut self, len: usize) {
        self.written = (self.written + len).min(self.buffer.capacity);
    }

    /// Shows readers what has been written.
    pub(super) fn publish(&mut self) {
        self.buffer.published.store(self.written, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::{Budget, Priority};
    use super::super::pool::HUGE_BYTES;
    use super::*;
    use crate::base::Key;
    use crate::metrics::Metrics;
    use crate::store::memory::MemoryStore;
    use crate::store::{GetRequest, Store};

    fn buffer(budget: &Arc<Budget>, len: u64) -> (Arc<Buffer>, Tail) {
        Buffer::new(len, budget.reserve(capacity_for(len), Priority::Window).unwrap())
    }

    async fn body(bytes: Vec<u8>) -> Body {
        let bucket = MemoryStore::new();
        bucket.put("k", bytes);
        bucket.get(GetRequest::new(Key::new("k"))).await.unwrap().body
    }

    #[test]
    fn capacities_are_whole_pages() {
        assert_eq!(capacity_for(1), 4096);
        assert_eq!(capacity_for(1 << 20), 1 << 20);
        assert_eq!(capacity_for((1 << 20) + 1), 2 << 20);
        assert_eq!(capacity_for((2 << 20) + 1), 4 << 20);
    }

    #[test]
    fn readers_see_what_was_published_while_the_writer_goes_on() {
        let budget = Budget::new(64 << 20, Arc::default(), Arc::new(Metrics::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for len in [100_000u64, 5 << 20] {
            let (buffer, mut tail) = buffer(&budget, len);
            let expected: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        let mut seen = 0;
                        while seen < len as usize {
                            let head = buffer.head();
                            assert_eq!(head[seen..], expected[seen..head.len()]);
                            seen = head.len();
                        }
                    });
                }
                runtime.block_on(async {
                    let mut body = body(expected.clone()).await;
                    while !tail.receive(&mut body, 8191).await.unwrap().is_empty() {
                        tail.publish();
                    }
                });
            });
            assert_eq!(tail.written(), len);
        }
    }

    #[test]
    fn large_buffers_are_aligned_and_recycled() {
        let budget = Budget::new(8 << 20, Arc::default(), Arc::new(Metrics::default()));
        let (first, tail) = buffer(&budget, 3 << 20);
        let start = first.start;
        assert_eq!(start.as_ptr() as usize % HUGE_BYTES, 0);
        // The limit is used up by grants that wait for their first byte: they will want the memory given back now.
        let waiting = budget.reserve(4 << 20, Priority::Window).unwrap();
        drop((first, tail));
        let _other = budget.reserve(4 << 20, Priority::Window).unwrap();
        let (second, _tail) = Buffer::new(4 << 20, waiting);
        assert_eq!(second.start, start);
        assert_eq!(second.head(), b"", "a recycled buffer shows nothing of its former life");
    }

    #[test]
    fn memory_in_use_and_recycled_stays_within_the_limit() {
        let budget = Budget::new(8 << 20, Arc::default(), Arc::new(Metrics::default()));
        let kept = |budget: &Budget| budget.pool().bytes();
        drop([buffer(&budget, 2 << 20), buffer(&budget, 4 << 20)]);
        assert_eq!(kept(&budget), 6 << 20);
        let _large = buffer(&budget, 6 << 20);
        assert_eq!(kept(&budget), 2 << 20, "another size was given back to the system");
        let _small = buffer(&budget, 1 << 20);
        assert_eq!(kept(&budget), 0);
    }
}
