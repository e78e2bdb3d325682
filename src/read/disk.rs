//! Parts that come from the disk cache instead of the store, and those that are kept there.
//!
//! The cache works in blocks; a part that has some of a block only is completed with what is in memory beside it, or
//! that block is not kept. What has come is kept whatever it was fetched for.

use std::sync::Arc;

use super::Reader;
use super::buffer::Tail;
use super::inode::Inode;
use super::part::Part;
use super::pool::capacity_for;
use super::whole::Whole;
use crate::base::ByteRange;
use crate::base::crc64::crc64;
use crate::cache::{self, Cached, Disk, Filled, Identity};

/// A part whose bytes the disk had.
pub(super) struct FromDisk {
    pub(super) tail: Tail,
    /// The checksum of all its bytes.
    pub(super) crc: u64,
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

    /// The object in the disk cache; `None` where there is none, and where it cannot be told from another version.
    pub(super) async fn cached(&self, inode: &Inode) -> Option<Arc<Cached>> {
        let disk = self.disk.get()?;
        if let Some(known) = inode.cached.lock().upgrade() {
            return Some(known);
        }
        let object = &inode.object;
        // A store that sends another tag with every answer says by none which version it is.
        let etag = object.etag.as_ref().filter(|_| !self.tags.are_endless())?;
        let found = disk.look(Identity {
            origin: disk.origin().to_owned(),
            key: object.key.as_str().to_owned(),
            version: object.version.clone(),
            etag: etag.as_str().to_owned(),
            size: object.size,
        });
        let found = found.await?;
        let mut cached = inode.cached.lock();
        if let Some(known) = cached.upgrade() {
            return Some(known);
        }
        *cached = Arc::downgrade(&found);
        drop(cached);
        inode.learn_checksum(found.crc64());
        Some(found)
    }

    /// Fills a part from the disk. `None` where the disk does not have all of it, or not at once.
    pub(super) async fn read_from_disk(
        &self,
        inode: &Inode,
        part: &Part,
        cached: &Arc<Cached>,
        grant: &mut Option<super::budget::Grant>,
    ) -> Option<FromDisk> {
        if !cached.has(part.range).await {
            return None;
        }
        let (buffer, tail) = self.buffer(inode, part.range, grant.take()?);
        let len = part.range.len() as usize;
        match cached.read(part.range, Room { tail, len }).await {
            Filled::Right(Room { mut tail, .. }, crc) => {
                inode.learn_checksum(cached.crc64());
                part.attach(buffer);
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

    /// The object as a file on disk that the kernel may read by itself.
    pub(super) async fn whole_on_disk(&self, inode: &Inode, cached: &Arc<Cached>) -> Option<Arc<Whole>> {
        if inode.broken().is_some() {
            return None;
        }
        let file = cached.whole().await?;
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
    }

    /// Has a part that came from the store kept on disk.
    pub(super) fn keep_part_on_disk(&self, inode: &Inode, part: &Arc<Part>, cached: &Arc<Cached>) {
        let (range, size, crc64) = (part.range, inode.object.size, inode.checksum());
        let inner = cache::blocks_within(range, size);
        if !inner.is_empty() {
            let within = (inner.start - range.start) as usize..(inner.end - range.start) as usize;
            cached.write(inner, Box::new(Kept { part: part.clone(), within }), crc64);
        }
        for at in [range.start, range.end - 1] {
            let block = cache::block_around(at, size);
            if !inner.contains(block)
                && let Some(bytes) = inode.gathered(block)
            {
                cached.write(block, Box::new(bytes), crc64);
            }
        }
    }
}

impl Inode {
    /// The bytes of a range that several parts hold; `None` where some are missing.
    fn gathered(&self, range: ByteRange) -> Option<Vec<u8>> {
        let parts = self.complete_parts_of(range)?;
        let mut bytes = Vec::with_capacity(range.len() as usize);
        for part in parts {
            let wanted = part.range.intersect(range);
            let start = (wanted.start - part.range.start) as usize;
            bytes.extend_from_slice(part.head().get(start..start + wanted.len() as usize)?);
        }
        (bytes.len() as u64 == range.len()).then_some(bytes)
    }
}
