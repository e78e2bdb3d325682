//! Parts that come from the disk cache instead of the store, and those that are kept there.
//!
//! The cache works in blocks; a part that has some of a block only is completed with what is beside it, in memory or on
//! its way, or that block is not kept. What has come is kept whatever it was fetched for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;

use super::budget::Grant;
use super::buffer::{Buffer, Tail};
use super::edges::Edges;
use super::inode::Inode;
use super::part::{Lost, Origin, Part, Place};
use super::plan::Fetch;
use super::pool::capacity_for;
use super::reader::to_disk_permits;
use super::whole::Whole;
use super::why::Why;
use super::{File, Object, Reader};
use crate::base::crc64::crc64;
use crate::base::{ByteRange, ETag};
use crate::cache::{self, Cached, Claim, Disk, Filled, Identity, ToKeep};
use crate::store::Result;

/// A part whose bytes the disk had.
pub(super) struct FromDisk {
    pub(super) tail: Tail,
    /// The checksum of all its bytes.
    pub(super) crc: u64,
}

/// What is kept together with a part.
#[derive(Default)]
pub(super) struct Beside {
    /// Checksums of its blocks, as far as they are known, by where each begins.
    pub(super) sums: Vec<(u64, u64)>,
    /// Let go of when it is on disk, or will not be.
    pub(super) claims: Vec<Claim>,
    /// Blocks of which it has some, as [`Inode::shared_blocks`] found them.
    pub(super) shared: Vec<(ByteRange, Vec<u8>)>,
}

/// The memory of a part that the disk fills.
struct Room {
    tail: Tail,
    len: usize,
}

impl AsMut<[u8]> for Room {
    fn as_mut(&mut self) -> &mut [u8] {
        self.tail.memory(self.len)
    }
}

/// The bytes of a part, for as long as they wait to be written.
struct Kept {
    part: Arc<Part>,
    within: std::ops::Range<usize>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.part.head()[self.within.clone()]
    }
}

impl Reader {
    /// Keeps what is fetched from now on in this disk cache. Once; a second time changes nothing.
    pub fn keep_on_disk(&self, disk: Arc<Disk>) {
        let _ = self.disk.set(disk);
    }

    /// The disk cache, if there is one.
    pub fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.get()
    }

    /// How many bytes of a version of an object the disk cache has; `None` where there is no such cache.
    pub async fn bytes_on_disk(&self, key: &str, version: Option<&str>, etag: Option<&ETag>, size: u64) -> Option<u64> {
        let disk = self.disk.get()?;
        let Some(identity) = self.identity(disk, (key, version), etag, size) else { return Some(0) };
        Some(disk.look(identity).await?.held_bytes().await)
    }

    /// Removes a version of an object from the disk cache. Returns the bytes that were there.
    pub async fn remove_from_disk(&self, object: &Object) -> u64 {
        let Some(disk) = self.disk.get() else { return 0 };
        let named = (object.key.as_str(), object.version.as_deref());
        let Some(identity) = self.identity(disk, named, object.etag.as_ref(), object.size) else { return 0 };
        let Some(cached) = disk.look(identity).await else { return 0 };
        let bytes = cached.held_bytes().await;
        cached.discard().await;
        bytes
    }

    fn identity(
        &self,
        disk: &Disk,
        (key, version): (&str, Option<&str>),
        etag: Option<&ETag>,
        size: u64,
    ) -> Option<Identity> {
        // A store that sends another tag with every answer says by none which version it is.
        let etag = etag.filter(|_| !self.tags.are_endless())?.as_str().to_owned();
        let (origin, key, version) = (disk.origin().to_owned(), key.to_owned(), version.map(str::to_owned));
        Some(Identity { origin, key, version, etag, size })
    }

    /// The object in the disk cache; `None` where there is none, and where it cannot be told from another version.
    pub(super) async fn cached(&self, inode: &Inode) -> Option<Arc<Cached>> {
        let disk = self.disk.get()?;
        if let Some(known) = inode.cached.lock().upgrade() {
            return Some(known);
        }
        let object = &inode.object;
        let named = (object.key.as_str(), object.version.as_deref());
        let found = disk.look(self.identity(disk, named, object.etag.as_ref(), object.size)?).await?;
        let mut cached = inode.cached.lock();
        if let Some(known) = cached.upgrade() {
            return Some(known);
        }
        *cached = Arc::downgrade(&found);
        drop(cached);
        inode.learn_checksum(found.crc64());
        Some(found)
    }

    /// Fills a part from the disk, which has all of it. `None` where it does not after all, or not at once.
    pub(super) async fn read_from_disk(
        &self,
        inode: &Inode,
        part: &Part,
        cached: &Arc<Cached>,
        grant: &mut Option<Grant>,
    ) -> Option<FromDisk> {
        let grant_of_part = grant.take()?;
        let is_on_disk = cached.is_complete();
        let (buffer, tail) = match is_on_disk {
            true => Buffer::new(part.range.len(), grant_of_part),
            false => self.buffer(inode, part.range, grant_of_part),
        };
        let len = part.range.len() as usize;
        match cached.read(part.range, Room { tail, len }).await {
            Filled::Right(Room { mut tail, .. }, crc) => {
                inode.learn_checksum(cached.crc64());
                part.attach(buffer);
                part.is_on_disk.store(is_on_disk, Ordering::Relaxed);
                tail.filled(len);
                let crc = crc.unwrap_or_else(|| crc64(tail.bytes()));
                Some(FromDisk { tail, crc })
            }
            Filled::Not => {
                // The memory may be in the hands of a disk that hangs.
                *grant = Some(self.budget.overdraw(capacity_for(part.range.len())));
                None
            }
        }
    }

    /// Reads bytes of a part of which others are there already.
    pub(super) async fn bytes_from_disk(&self, cached: &Arc<Cached>, range: ByteRange) -> Option<Vec<u8>> {
        match cached.read(range, vec![0; range.len() as usize]).await {
            Filled::Right(bytes, _) => Some(bytes),
            Filled::Not => None,
        }
    }

    /// The object as a file on disk that the kernel may read by itself.
    pub(super) async fn whole_on_disk(&self, inode: &Inode, cached: &Arc<Cached>) -> Option<Arc<Whole>> {
        if inode.broken().is_some() {
            return None;
        }
        let file = cached.whole().await?;
        if cached.crc64().is_none() && inode.proof.is_wanted() {
            return None;
        }
        if cached.crc64().is_some() {
            self.found_good(&inode.object);
        }
        Some(Arc::new(Whole::on_disk(file)))
    }

    /// Bytes of an object were found wrong: what is on disk of it is not believed.
    pub(super) fn drop_from_disk(&self, inode: &Inode) {
        if let Some(cached) = inode.cached.lock().upgrade() {
            cached.condemn();
            self.runtime.spawn(cached.discard());
        }
        *inode.edges.lock() = Edges::default();
    }

    /// Has a part that came from the store kept on disk. Says whether it waits to be written now.
    pub(super) fn keep_part_on_disk(
        &self,
        inode: &Inode,
        part: &Arc<Part>,
        cached: &Arc<Cached>,
        beside: Beside,
    ) -> bool {
        let mut is_queued = true;
        let (crc64, claims) = (inode.checksum(), Arc::new(beside.claims));
        let keep = |range, bytes: cache::Bytes, sums| {
            cached.write(ToKeep { range, bytes, crc64, sums, claims: claims.clone() })
        };
        let inner = cached.kept_within(part.range);
        if !inner.is_empty() {
            let within = (inner.start - part.range.start) as usize..(inner.end - part.range.start) as usize;
            let kept = Box::new(Kept { part: part.clone(), within });
            is_queued = keep(inner, kept, beside.sums);
        }
        for (block, bytes) in beside.shared {
            is_queued &= keep(block, Box::new(bytes), Vec::new());
        }
        is_queued
    }
}

/// How long a part may wait for the disk.
const DISK_PATIENCE: Duration = Duration::from_secs(60);
/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 4;

impl File {
    /// Has all of the object on disk, behind what readers wait for, whether it fits in memory or not. False where the
    /// disk did not take all of it, or there is no disk cache.
    ///
    /// Fails as a read does.
    pub async fn fetch_to_disk(&self) -> Result<bool> {
        let Some(cached) = self.cached_for_use().await else { return Ok(false) };
        let (size, step) = (self.inode.object.size, self.inode.max_part_bytes());
        let starts = (0..size).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let carried = starts.map(|start| self.carry(ByteRange::new(start, (start + step).min(size)), &cached));
        let mut carried = futures::stream::iter(carried).buffer_unordered(PARTS_AT_ONCE);
        let mut is_all = true;
        while let Some(is_there) = carried.next().await {
            is_all &= is_there?;
        }
        Ok(is_all)
    }

    /// Has a range of the object on disk.
    async fn carry(&self, range: ByteRange, cached: &Arc<Cached>) -> Result<bool> {
        if cached.is_recorded(range).await {
            return Ok(true);
        }
        let most = to_disk_permits(self.reader.options.memory_limit);
        let weight = u32::try_from(range.len() >> 20).unwrap_or(u32::MAX).clamp(1, most as u32);
        // Never closed.
        let _turn = self.reader.to_disk.acquire_many(weight).await.ok();
        let parts = self.fetched_for_disk(range).await?;
        for part in &parts {
            self.wait_for_disk(move |disk| disk.wait_for_room(range.len(), DISK_PATIENCE)).await;
            // What came from the store was queued then, unless there was no room; what is there is not written again.
            while !self.reader.keep_part_on_disk(&self.inode, part, cached, self.beside(part, cached)) {
                let has_room = self.wait_for_disk(move |disk| disk.wait_for_room(range.len(), DISK_PATIENCE)).await;
                if !has_room || !cached.may_write() {
                    return Ok(false);
                }
            }
        }
        self.wait_for_disk(|disk| disk.drain(DISK_PATIENCE)).await;
        for part in parts {
            self.inode.hands_over(&part, part.range);
            self.reader.lru_parts.put(&self.inode, &part, Place::Coldest);
        }
        Ok(cached.is_recorded(range).await)
    }

    fn beside(&self, part: &Part, cached: &Cached) -> Beside {
        Beside { shared: self.inode.shared_blocks(part.range, part.head(), cached), ..Beside::default() }
    }

    /// Waits for the disk on a thread that may wait. False where it took too long.
    async fn wait_for_disk(&self, wait: impl FnOnce(&Disk) -> bool + Send + 'static) -> bool {
        let Some(disk) = self.reader.disk.get().cloned() else { return false };
        tokio::task::spawn_blocking(move || wait(&disk)).await.unwrap_or(false)
    }

    /// The complete parts that hold a range.
    async fn fetched_for_disk(&self, range: ByteRange) -> Result<Vec<Arc<Part>>> {
        loop {
            let way = (Fetch::Exact { reach_bytes: 0 }, Origin::Ahead(Why::AskedFor));
            let (parts, orders) = self.covered(range, way)?;
            orders.into_iter().for_each(|order| self.reader.start(&self.inode, order, None));
            let mut is_lost = false;
            for part in &parts {
                part.waited_for(self.reader.clock.elapsed());
                match part.wait(part.range.end).await {
                    Ok(()) => {}
                    Err(Lost::Failed(error)) => return Err(error),
                    Err(Lost::Dropped) => is_lost = true,
                }
            }
            if !is_lost {
                return Ok(parts);
            }
        }
    }
}

impl Inode {
    /// Whether all of its bytes come from disk, as far as is known without a look.
    pub(super) fn is_on_disk(&self) -> bool {
        self.cached.lock().upgrade().is_some_and(|cached| cached.is_complete())
    }

    /// The blocks of which these bytes of a range are a part, as far as all of each is known now. A part that has come
    /// asks before it shows its last bytes, since it may go from memory then.
    pub(super) fn shared_blocks(&self, range: ByteRange, bytes: &[u8], cached: &Cached) -> Vec<(ByteRange, Vec<u8>)> {
        let (inner, mut shared) = (cached.kept_within(range), Vec::new());
        let mut blocks = [range.start, range.end - 1].map(|at| cached.kept_with(at)).to_vec();
        blocks.dedup();
        for block in blocks.into_iter().filter(|block| !inner.contains(*block)) {
            // Of two parts that come at the same time, the second to be here knows of the first.
            let mut edges = self.edges.lock();
            if cached.is_condemned() {
                break;
            }
            let known = edges.come(block, (range, bytes), &self.parts_of(block));
            shared.extend(known.map(|bytes| (block, bytes)));
        }
        shared
    }
}
