//! An open object: how a read is answered.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Instrument;

use super::Reader;
use super::accounting::{Source, WaitingRead};
use super::budget::Priority;
use super::inode::{Coverage, Delivery, FetchOrder, Inode, OnShortage};
use super::integrity::Verified;
use super::object::{Asker, Batch, Object};
use super::options::Prefetch;
use super::part::{Lost, Origin, Part, Place};
use super::plan::{Fetch, Plan};
use super::replay::Guidance;
use super::slice::Slice;
use super::waiter::Waiter;
use super::whole::Whole;
use super::why::Why;
use crate::base::ByteRange;
use crate::cache::{Cached, InUse};
use crate::metrics::Metric;
use crate::store::Result;

/// An open object. Reads may run at the same time and at any offset.
pub struct File {
    pub(super) reader: Arc<Reader>,
    pub(super) inode: Arc<Inode>,
    /// The object in the disk cache, from when it was looked for there.
    pub(super) on_disk: OnceLock<InUse>,
    /// How much of it near caches have fetched for this handle, in bytes.
    pub(super) warmed_bytes: AtomicU64,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.inode.object).finish()
    }
}

impl Reader {
    /// Opens an object. Handles of one inode share their buffers and streams, which outlive them while some byte of the
    /// object is held; the last one to go calls off what would come in vain.
    pub fn open(self: &Arc<Self>, object: Object) -> File {
        let inode = {
            let mut inodes = self.inodes.lock();
            let known = inodes.get(&object.ino).filter(|inode| inode.broken().is_none() && inode.object == object);
            let inode = match known.cloned() {
                Some(inode) => {
                    inode.marks(|marks| marks.was_modified(object.mtime));
                    inode
                }
                None => self.new_inode(object),
            };
            inode.handles.fetch_add(1, Ordering::Relaxed);
            inodes.insert(inode.object.ino, inode.clone());
            inode
        };
        tracing::trace!(key = inode.object.key.as_str(), size = inode.object.size, "opened");
        self.credit.settle(inode.object.ino);
        inode.opened(self.file_uses.of(&inode.object, &self.tuning));
        let is_planned = self.opened(&inode.object);
        if inode.prefetch.is(Prefetch::Open) && !is_planned && !inode.object.archived {
            self.want_whole(&inode, Why::Opened);
        }
        if is_planned || inode.prefetch.is(Prefetch::Open) {
            self.pump();
        }
        File { reader: self.clone(), inode, on_disk: OnceLock::new(), warmed_bytes: AtomicU64::new(0) }
    }
}

impl File {
    /// Reads up to `len` bytes at `offset`; fewer only at the end of the object, none past it. Ready on the first poll
    /// when the bytes are in a buffer. Counts reads, bytes read and read errors.
    ///
    /// Fails with what the store failed with, after its retries; with `Changed`, from then on, once the object was
    /// seen to be another version than the one opened; with `Corrupt`, from then on, once its bytes were seen to
    /// differ from the store's checksum.
    pub async fn read(&self, offset: u64, len: usize) -> Result<Slice> {
        self.counted_read(self.range(offset, len), Asker::Program).instrument(self.span(offset, len)).await
    }

    /// The same for the kernel's page cache, which reads so many bytes ahead of programs and around page faults. `None`
    /// where it is to be refused.
    pub async fn read_pages(&self, offset: u64, len: usize, read_ahead_bytes: u64) -> Result<Option<Slice>> {
        let read = self.range(offset, len);
        let batch = Batch::whole(read, read_ahead_bytes);
        if self.refuses(read, batch) { Ok(None) } else { self.read_of(batch, read).await.map(Some) }
    }

    /// Reads a range within the object, a part of what the kernel asks for at once for its page cache.
    pub async fn read_of(&self, batch: Batch, read: ByteRange) -> Result<Slice> {
        let span = self.span(read.start, read.len() as usize);
        self.counted_read(read, Asker::PageCache(batch)).instrument(span).await
    }

    /// Whether what the kernel asks for at once, of which this range within the object is the first part, is to be
    /// refused, because the pages that it wants are better asked for one by one: it does so after an error, and no
    /// program sees that. Never refuses a single page.
    pub fn refuses(&self, read: ByteRange, batch: Batch) -> bool {
        self.refused(read, self.inode.refuses(read, Asker::PageCache(batch)))
    }

    /// Whether a piece of what the kernel asks for at once, which it may be refused by itself, lies where no program
    /// comes: in tensors that are left out where others are taken at equal distances.
    pub fn leaves_out(&self, piece: ByteRange) -> bool {
        self.refused(piece, self.inode.leaves_out(piece))
    }

    fn refused(&self, read: ByteRange, is_refused: bool) -> bool {
        if is_refused {
            self.span(read.start, read.len() as usize).in_scope(|| tracing::trace!("refused"));
            self.reader.metrics.add(Metric::RefusedReadArounds, 1);
        }
        is_refused
    }

    fn span(&self, offset: u64, len: usize) -> tracing::Span {
        let object = &self.inode.object;
        tracing::debug_span!("read", ino = object.ino.0, key = object.key.as_str(), offset, len)
    }

    fn range(&self, offset: u64, len: usize) -> ByteRange {
        ByteRange::at(offset, len as u64).intersect(ByteRange::new(0, self.inode.object.size))
    }

    async fn counted_read(&self, read: ByteRange, asker: Asker) -> Result<Slice> {
        let (began, mut source) = (self.reader.clock.elapsed(), Source::Buffer);
        tracing::trace!("asked");
        let result =
            if read.is_empty() { Ok(Slice::empty()) } else { self.answer(read, asker, began, &mut source).await };
        tracing::trace!("told");
        let took = self.reader.clock.elapsed().saturating_sub(began);
        self.reader.count_read(&result, source, took);
        result
    }

    /// The kernel keeps what is read of this object for as long as there is memory: what was handed out is the first to
    /// go here, and there is no file of it for the kernel to read.
    pub fn is_kept_elsewhere(&self) {
        self.inode.kernel_copy.is_there.store(true, Ordering::Relaxed);
    }

    /// What is handed out of this object for the kernel's page cache is not kept here, until it is asked for once more.
    pub fn needs_no_copy(&self) {
        self.inode.kernel_copy.suffices.store(true, Ordering::Relaxed);
    }

    /// How much of the object has been compared with the store's checksum.
    pub fn verified(&self) -> Verified {
        self.inode.verified()
    }

    /// The size of the object, in bytes.
    pub fn size(&self) -> u64 {
        self.inode.object.size
    }

    /// How much of the object is in memory, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.inode.held().held_bytes
    }

    /// How much of it near caches have fetched for this handle, in bytes.
    pub fn warmed_bytes(&self) -> u64 {
        self.warmed_bytes.load(Ordering::Relaxed)
    }

    /// Whether it is a model, by its name.
    pub fn is_model(&self) -> bool {
        self.inode.is_model()
    }

    /// The object as a file that the kernel can read, if all of it is in memory and has been compared with the store's
    /// checksum (where there is one). It stays there as long as this lives.
    pub fn whole(&self) -> Option<Arc<Whole>> {
        let whole = self.reader.whole(&self.inode)?;
        self.reader.seen_whole(&self.inode.object);
        Some(whole)
    }

    /// Looks for the object in the disk cache, where there is one. Returns it as a file that the kernel can read, if
    /// all of it is there and was checked since this boot. It is not evicted from there as long as this handle lives.
    pub async fn on_disk(&self) -> Option<Arc<Whole>> {
        let cached = self.cached_for_use().await?;
        let whole = self.reader.whole_on_disk(&self.inode, &cached).await;
        if whole.is_some() {
            self.reader.seen_whole(&self.inode.object);
        }
        whole
    }

    /// The object in the disk cache, which counts as used.
    pub(super) async fn cached_for_use(&self) -> Option<Arc<Cached>> {
        let cached = self.reader.cached(&self.inode).await?;
        if self.on_disk.get().is_none() {
            // Two at once are two handles for a moment.
            let _ = self.on_disk.set(cached.open_for().await);
        }
        Some(cached)
    }

    async fn answer(&self, read: ByteRange, asker: Asker, now: Duration, source: &mut Source) -> Result<Slice> {
        if let Some(error) = self.inode.failures.take(read, now) {
            return Err(error);
        }
        self.inode.last_read_ms.store(now.as_millis() as u64, Ordering::Relaxed);
        self.reader.record_read(&self.inode.object, read);
        if self.inode.proof.is_wanted() {
            self.prove(source).await?;
        }
        let (plan, guidance) = self.reader.guided(&self.inode, self.inode.observe(read, asker), read);
        if plan.wants_more {
            self.reader.want_whole(&self.inode, Why::Model);
        }
        if let Some(range) = plan.abandoned {
            self.place(self.inode.strays(range), Place::Coldest);
        }
        loop {
            let generation = self.inode.generation();
            let parts = self.parts(read, asker, plan, guidance, source)?;
            self.reader.want_windows(&self.inode);
            self.reader.pump();
            let is_ready = parts.iter().all(|part| part.has(read));
            if is_ready {
                self.inode.pace.lock().found(self.reader.clock.elapsed(), read.len(), &self.reader.tuning);
            } else {
                self.inode.pace.lock().waits();
            }
            for part in parts.iter().filter(|part| !part.has(read)) {
                part.waited_for(now);
                part.call();
            }
            let _waiting = (!is_ready).then(|| WaitingRead::begin(&self.reader, &self.inode, source));
            let arrived = arrive(&parts, read).await;
            if !is_ready {
                self.inode.last_read_ms.store(self.reader.now_ms(), Ordering::Relaxed);
                self.inode.pace.lock().waited(self.reader.clock.elapsed(), read.len());
            }
            match arrived {
                Ok(()) if self.inode.hand_out(generation) => {
                    if *source != Source::Buffer && matches!(plan.fetch, Fetch::Exact { .. }) {
                        self.looked_up(read, now);
                    }
                    return Ok(self.deliver(&parts, read, asker));
                }
                // Some of what had come was found to be wrong since: asked for again, or this read fails.
                Ok(()) => {}
                Err(Lost::Failed(error)) => {
                    self.inode.failures.add(read, self.reader.clock.elapsed(), &error);
                    return Err(error);
                }
                // The GET was called off before this read came to wait for it; the next one knows of this read.
                Err(Lost::Dropped) => {}
            }
        }
    }

    /// A read has waited since `began` for bytes that nothing foretold.
    fn looked_up(&self, read: ByteRange, began: Duration) {
        let waited = began..self.reader.clock.elapsed();
        if self.inode.looked_up(read, waited, self.reader.budget.limit_bytes(), self.reader.pipe.rate()) {
            self.reader.want_whole(&self.inode, Why::LookUps);
            self.reader.pump();
        }
    }

    /// The parts that hold a read; what is missing is on its way.
    pub(super) fn parts(
        &self,
        read: ByteRange,
        asker: Asker,
        plan: Plan,
        guidance: Guidance,
        source: &mut Source,
    ) -> Result<Vec<Arc<Part>>> {
        let at_once_bytes = asker.at_once_bytes(read).max(plan.fetch.bytes_in_order(read));
        let (parts, orders) = self.covered(read, (plan.fetch, Origin::Demand))?;
        self.reader.came_late(guidance, &orders);
        if !orders.is_empty() {
            *source = Source::Store;
        }
        orders
            .into_iter()
            .for_each(|order| self.reader.start(&self.inode, FetchOrder { at_once_bytes, ..order }, None));
        Ok(parts)
    }

    /// The parts that hold a range, and what is to be fetched for them. Memory is found for it in any case.
    pub(super) fn covered(&self, range: ByteRange, way: (Fetch, Origin)) -> Result<(Vec<Arc<Part>>, Vec<FetchOrder>)> {
        let mut room = OnShortage::Ask;
        loop {
            match self.inode.cover(range, way, room, &self.reader.budget)? {
                Coverage::Parts(parts, orders) => return Ok((parts, orders)),
                Coverage::Lacking(bytes) => {
                    self.reader.make_room(bytes, Priority::Demand);
                    room = OnShortage::Overdraw;
                }
            }
        }
    }

    fn deliver(&self, parts: &[Arc<Part>], read: ByteRange, asker: Asker) -> Slice {
        let slice = Slice::new(parts, read);
        let place = self.inode.place_of_read();
        self.inode.read_bytes.fetch_add(read.len(), Ordering::Relaxed);
        self.reader.header_parse(&self.inode);
        for part in parts {
            if self.inode.delivered(part, read.intersect(part.range), asker) == Delivery::MayGo {
                self.reader.lru_parts.put(&self.inode, part, place);
            } else if part.is_placed.load(Ordering::Relaxed) {
                self.reader.lru_parts.touch(part);
            }
        }
        slice
    }

    fn place(&self, parts: Vec<Arc<Part>>, place: Place) {
        parts.iter().for_each(|part| self.reader.lru_parts.put(&self.inode, part, place));
    }
}

/// Waits until all bytes of a read are in.
async fn arrive(parts: &[Arc<Part>], read: ByteRange) -> std::result::Result<(), Lost> {
    let waiter = Waiter::new(parts, read);
    let arrive = async {
        for part in parts {
            part.wait(read.end.min(part.range.end)).await?;
        }
        Ok(())
    };
    let arrived = arrive.await;
    waiter.over();
    arrived
}

impl Drop for File {
    fn drop(&mut self) {
        tracing::trace!(key = self.inode.object.key.as_str(), "closed");
        let closed = {
            // Under the lock of the map, so that the object is not opened while it is closed.
            let _inodes = self.reader.inodes.lock();
            if self.inode.handles.fetch_sub(1, Ordering::Relaxed) > 1 {
                return;
            }
            self.inode.close()
        };
        self.reader.file_uses.closed(&self.inode.object, closed.asked_bytes);
        closed.gone.iter().for_each(|part| part.drop_out());
        drop(closed.gone);
        self.place(closed.kept, Place::Recent);
        self.place(closed.unread, Place::Coldest);
        self.reader.forget_if_unused(&self.inode);
        self.reader.pump();
    }
}
