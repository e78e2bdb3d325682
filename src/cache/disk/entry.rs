//! One object, as `read` sees it: asked without waiting for the disk on a thread that serves the mount.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::claims::Claim;
use super::directory::Directory;
use super::held::{self, Held};
use super::identity::Identity;
use super::map::{BLOCK_BYTES, RECORD_BYTES, block_around, blocks_within};
use super::queue::{Bytes, Job, Queue};
use super::segments::{self, SMALL_BYTES};
use crate::base::ByteRange;
use crate::metrics::Metric;

/// How often what was written of an object is made to last while it is written.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// What the files of a new object take beside its data, at most, in bytes: the map's header and first records, the rest
/// of the last page of data, and what the file system notes of them.
const NEW_BYTES: u64 = 16 << 10;

/// What so many bytes of data take on disk together with their records.
fn with_records(bytes: u64) -> u64 {
    bytes + bytes.div_ceil(BLOCK_BYTES) * RECORD_BYTES
}

/// An object that is open. While this lives it is in use, and no process evicts what is on disk of it.
pub struct Cached {
    pub(super) directory: Arc<Directory>,
    queue: Arc<Queue<Write>>,
    pub(super) identity: Identity,
    held: Mutex<Option<Arc<Held>>>,
    /// The record of a small object, once it was found.
    record: Mutex<Option<segments::SmallRecord>>,
    is_condemned: AtomicBool,
    /// Until when other daemons are not waited for, in milliseconds on the directory's clock.
    pub(super) alone_until_ms: AtomicU64,
    /// When what was written of it was made to last, in milliseconds on the directory's clock.
    synced_ms: AtomicU64,
    /// Whether what was to be written last was not.
    pub(super) is_refused: AtomicBool,
    /// Whether it may come into the cache; decided when that is first needed.
    is_admitted: OnceLock<bool>,
    /// How many handles programs have of it.
    users: AtomicU32,
}

/// What became of a read of the disk.
#[derive(Debug)]
pub enum Filled<B> {
    /// The bytes are in, and right; with their checksum, where that came of itself.
    Right(B, Option<u64>),
    /// They are not: the store is to be asked. Where the disk takes too long, the memory is still in its hands.
    Not,
}

/// Bytes that are to be kept.
pub struct ToKeep {
    /// Which bytes of the object.
    pub range: ByteRange,
    /// The bytes of that range.
    pub bytes: Bytes,
    /// The checksum that the store keeps of the whole object.
    pub crc64: Option<u64>,
    /// Checksums of blocks, as far as they are known, by where each begins.
    pub sums: Vec<(u64, u64)>,
    /// Other daemons wait until they are on disk, or do not come there.
    pub claims: Arc<Vec<Claim>>,
}

/// Blocks to be written.
pub(super) struct Write {
    cached: Arc<Cached>,
    keep: ToKeep,
}

impl Job for Write {
    fn len(&self) -> u64 {
        self.keep.range.len()
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Write").field(&self.cached).field(&self.keep.range).finish()
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cached").field(&self.identity.key).finish()
    }
}

impl Cached {
    /// Looks for an object; also where the cache has none of it, it may be written to. `None` where the disk does not
    /// answer.
    pub(super) async fn open(
        directory: Arc<Directory>,
        queue: Arc<Queue<Write>>,
        identity: Identity,
    ) -> Option<Arc<Cached>> {
        let wanted = identity.clone();
        let look = move |directory: &Arc<Directory>| {
            if wanted.size < SMALL_BYTES {
                return Ok((None, directory.segments.find(wanted.name())?));
            }
            let found = Held::find(&directory.place, &wanted)?;
            if let Some(held) = &found {
                // What is there and has not the store's checksum goes, before a byte of it is shown.
                held.is_whole()?;
            }
            Ok((found.map(Arc::new), None))
        };
        let (held, record) = directory.ask(look).await?;
        let now_ms = directory.clock.elapsed().as_millis() as u64;
        let (alone_until_ms, synced_ms) = (AtomicU64::new(0), AtomicU64::new(now_ms));
        let is_admitted = OnceLock::new();
        if held.is_some() {
            let _ = is_admitted.set(true);
        }
        let (held, record) = (Mutex::new(held), Mutex::new(record));
        let [is_condemned, is_refused] = [false; 2].map(AtomicBool::new);
        Some(Arc::new(Cached {
            directory,
            queue,
            identity,
            held,
            record,
            is_condemned,
            alone_until_ms,
            synced_ms,
            is_refused,
            is_admitted,
            users: AtomicU32::new(0),
        }))
    }

    /// The checksum that the store keeps of the whole object, where it was told when the object was cached.
    pub fn crc64(&self) -> Option<u64> {
        let held = self.held.lock().as_ref().and_then(|held| held.crc64());
        held.or_else(|| self.record.lock().as_ref().and_then(|record| record.stores_crc64()))
    }

    /// A program has opened it. It counts as used once, however often it is opened until the last has closed it.
    pub async fn open_for(self: &Arc<Self>) -> InUse {
        if self.users.fetch_add(1, Ordering::Relaxed) == 0 {
            let cached = self.clone();
            let note = move |directory: &Arc<Directory>| {
                directory.opened(cached.identity.name(), cached.identity.size)?;
                cached.known().map_or(Ok(()), |held| held.touch())
            };
            self.directory.ask(note).await;
        }
        InUse(self.clone())
    }

    /// Whether it may come into the cache; where there is room for it, it may. What has begun to may be completed.
    fn is_admitted(&self) -> io::Result<bool> {
        if let Some(known) = self.is_admitted.get() {
            return Ok(*known);
        }
        let (size, room) = (self.identity.size, &self.directory.room);
        // What has no room in an empty cache would push out all others, and be pushed out by itself.
        if size > room.capacity()? {
            return Ok(false);
        }
        let pushes_out = room.is_full_for(size)?;
        Ok(*self.is_admitted.get_or_init(|| !pushes_out || self.directory.admits(self.identity.name())))
    }

    /// Whether what was written should be made to last. A loss of power costs what was not.
    fn is_sync_due(&self) -> bool {
        let (now, last) = (self.now_ms(), self.synced_ms.load(Ordering::Relaxed));
        let is_due = now >= last + SYNC_EVERY.as_millis() as u64;
        is_due && self.synced_ms.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn is_small(&self) -> bool {
        self.identity.size < SMALL_BYTES
    }

    /// The record of a small object, also if another process has written it since.
    pub(super) fn look_for_record(&self) -> io::Result<Option<segments::SmallRecord>> {
        if self.is_condemned() {
            return Ok(None);
        }
        let found = self.directory.segments.find(self.identity.name())?;
        *self.record.lock() = found;
        Ok(found)
    }

    pub(super) fn known(&self) -> Option<Arc<Held>> {
        self.held.lock().clone()
    }

    /// What is there, also if another process has begun it since.
    pub(super) fn look_again(&self) -> io::Result<Option<Arc<Held>>> {
        if let Some(held) = self.known() {
            return Ok(Some(held));
        }
        let found = Held::find(&self.directory.place, &self.identity)?.map(Arc::new);
        Ok(self.take(found))
    }

    fn take(&self, found: Option<Arc<Held>>) -> Option<Arc<Held>> {
        let mut held = self.held.lock();
        if held.is_none() {
            *held = found;
        }
        held.clone()
    }

    fn now_ms(&self) -> u64 {
        self.directory.clock.elapsed().as_millis() as u64
    }

    /// Whether all bytes of a range are recorded.
    pub async fn is_recorded(self: &Arc<Self>, range: ByteRange) -> bool {
        let cached = self.clone();
        let look = move |_: &Arc<Directory>| Ok(cached.there(range)?.iter().all(|is_there| *is_there));
        self.directory.ask(look).await.unwrap_or(false)
    }

    /// Reads a range into memory that is as long, on a thread that may wait.
    pub async fn read<B: AsMut<[u8]> + Send + 'static>(self: &Arc<Self>, range: ByteRange, mut into: B) -> Filled<B> {
        let cached = self.clone();
        let read = move |_: &Arc<Directory>| cached.read_now(range, into.as_mut()).map(|read| (read, into));
        let metrics = &self.directory.metrics;
        match self.directory.ask(read).await {
            Some((held::Read::Right(crc), into)) => {
                metrics.add(Metric::DiskReadBytes, range.len());
                Filled::Right(into, crc)
            }
            Some((held::Read::Wrong, _)) => {
                metrics.add(Metric::DiskCorrupt, 1);
                let key = &self.identity.key;
                tracing::warn!(key, ?range, "bytes of the disk cache are not what was written; they are fetched again");
                Filled::Not
            }
            Some((held::Read::Missing, _)) | None => Filled::Not,
        }
    }

    fn read_now(&self, range: ByteRange, into: &mut [u8]) -> io::Result<held::Read> {
        if !self.is_small() {
            return self.known().map_or(Ok(held::Read::Missing), |held| held.read(range, into));
        }
        let Some(record) = *self.record.lock() else { return Ok(held::Read::Missing) };
        let mut all = Vec::new();
        let read = self.directory.segments.read(&record, &mut all)?;
        match all.get(range.start as usize..range.end as usize) {
            Some(bytes) if matches!(read, held::Read::Right(_)) => {
                into.copy_from_slice(bytes);
                Ok(if into.len() == all.len() { read } else { held::Read::Right(None) })
            }
            // It was longer when it was looked for: another object of that name, which is not to be.
            None if matches!(read, held::Read::Right(_)) => Ok(held::Read::Missing),
            _ => Ok(read),
        }
    }

    /// What is kept of it together with a byte: its block, or all of a small object.
    pub fn kept_with(&self, at: u64) -> ByteRange {
        let size = self.identity.size;
        if self.is_small() { ByteRange::new(0, size) } else { block_around(at, size) }
    }

    /// What can be kept of it where no more is known than a range. It is empty where that is nothing.
    pub fn kept_within(&self, range: ByteRange) -> ByteRange {
        let size = self.identity.size;
        let is_too_short = self.is_small() && range.len() < size;
        if is_too_short { ByteRange::at(range.start, 0) } else { blocks_within(range, size) }
    }

    /// Has the complete blocks of a range written, some time; or not at all, where the disk is too slow or full. Says
    /// whether they wait to be written now.
    pub fn write(self: &Arc<Self>, mut keep: ToKeep) -> bool {
        if self.queue.bytes() > self.queue.limit_bytes() / 8 {
            // No reader of another daemon waits for a disk that is slower than the network.
            keep.claims = Arc::default();
        }
        let write = Write { cached: self.clone(), keep };
        let is_queued = self.may_write() && self.queue.push(write).is_ok();
        if !is_queued {
            self.directory.metrics.add(Metric::DiskWritesDropped, 1);
        }
        is_queued
    }

    /// Whether the disk takes anything now.
    pub fn may_write(&self) -> bool {
        self.directory.may_write()
    }

    /// Whether all of it is on disk, as far as is known without a look.
    pub fn is_complete(&self) -> bool {
        self.known().is_some_and(|held| held.is_complete())
    }

    /// Bytes of it that are on disk.
    pub async fn held_bytes(self: &Arc<Self>) -> u64 {
        let cached = self.clone();
        let look = move |_: &Arc<Directory>| match cached.is_small() {
            true => Ok(cached.look_for_record()?.map_or(0, |_| cached.identity.size)),
            false => cached.look_again()?.map_or(Ok(0), |held| held.held_bytes()),
        };
        self.directory.ask(look).await.unwrap_or(0)
    }

    /// The object as a file that the kernel may read by itself: all of it is there, and was checked since this boot.
    pub async fn whole(self: &Arc<Self>) -> Option<Arc<DiskFile>> {
        let cached = self.clone();
        let look = move |_: &Arc<Directory>| {
            let Some(held) = cached.look_again()? else { return Ok(None) };
            Ok(held.is_whole()?.then(|| Arc::new(DiskFile { held, _cached: cached })))
        };
        self.directory.ask(look).await.flatten()
    }

    /// Whether nothing of it is read or written any more.
    pub fn is_condemned(&self) -> bool {
        self.is_condemned.load(Ordering::Relaxed)
    }

    /// It is wrong, or not wanted any more: nothing of it is read from now on, nor written.
    pub fn condemn(&self) {
        self.is_condemned.store(true, Ordering::Relaxed);
        *self.record.lock() = None;
        if let Some(held) = self.known() {
            held.condemn();
        }
    }

    /// Removes it from the disk.
    pub async fn discard(self: Arc<Self>) {
        let cached = self.clone();
        let discard = move |directory: &Arc<Directory>| match (cached.is_small(), cached.known()) {
            (true, _) => directory.segments.remove(cached.identity.name()),
            (false, Some(held)) => held.discard(),
            (false, None) => Ok(()),
        };
        self.directory.ask(discard).await;
    }
}

impl Write {
    /// Writes it, on a thread that may wait.
    pub(super) fn run(self) {
        let directory = self.cached.directory.clone();
        let written = match directory.may_write() {
            true => directory.judge(|| self.put()).flatten(),
            false => None,
        };
        self.cached.is_refused.store(written.is_none(), Ordering::Relaxed);
        match written {
            Some(bytes) => directory.metrics.add(Metric::DiskWrittenBytes, bytes),
            None => directory.metrics.add(Metric::DiskWritesDropped, 1),
        }
    }

    /// Returns the bytes written; `None` where there is no room for them.
    fn put(&self) -> io::Result<Option<u64>> {
        let (cached, ToKeep { range, bytes, crc64, sums, claims: _ }) = (&self.cached, &self.keep);
        if cached.is_small() {
            return self.put_small();
        }
        let (room, place) = (&cached.directory.room, &cached.directory.place);
        let known = cached.look_again()?;
        let lacks = known.as_ref().map_or(Ok(range.len()), |held| held.lacks(*range))?;
        if lacks == 0 {
            return Ok(Some(0));
        }
        let new_bytes = if known.is_none() { NEW_BYTES } else { 0 };
        let wanted = with_records(lacks) + new_bytes;
        if !cached.is_admitted()? || !room.claim(wanted)? {
            return Ok(None);
        }
        let write = |known| {
            let held = match known {
                Some(held) => Some(held),
                None => cached.take(Held::find_or_make(place, &cached.identity, *crc64)?.map(Arc::new)),
            };
            let Some(held) = held else { return Ok(0) };
            // What was found wrong before the first of it was written.
            if cached.is_condemned() {
                held.condemn();
            }
            let written = held.write(*range, (**bytes).as_ref(), sums)?;
            if written > 0 && (held.is_whole()? || cached.is_sync_due()) {
                held.sync()?;
            }
            Ok(written)
        };
        let written = write(known);
        let kept = written.as_ref().map_or(0, |bytes| with_records(*bytes) + new_bytes);
        room.settle(wanted, kept.min(wanted))?;
        written.map(Some)
    }
}

impl Write {
    /// The same for a small object, which is kept as a whole or not at all.
    fn put_small(&self) -> io::Result<Option<u64>> {
        let (cached, ToKeep { range, bytes, crc64, .. }) = (&self.cached, &self.keep);
        let (directory, name) = (&cached.directory, cached.identity.name());
        let is_all = range.len() == cached.identity.size && !range.is_empty();
        if !is_all || cached.is_condemned() || directory.segments.find(name)?.is_some() {
            return Ok(Some(0));
        }
        let bytes_wanted = range.len() + segments::RECORD_BYTES as u64;
        if !cached.is_admitted()? || !directory.room.claim(bytes_wanted)? {
            return Ok(None);
        }
        let written = directory.segments.append(name, (**bytes).as_ref(), *crc64);
        let kept = if matches!(written, Ok(1..)) { bytes_wanted } else { 0 };
        directory.room.settle(bytes_wanted, kept)?;
        written.map(|written| Some(written.min(range.len())))
    }
}

/// An object that a program has open.
#[derive(Debug)]
pub struct InUse(Arc<Cached>);

impl Drop for InUse {
    fn drop(&mut self) {
        if self.0.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.directory.decide_anew(self.0.identity.name());
        }
    }
}

/// An object that is all on disk, as a file for the kernel to read.
#[derive(Debug)]
pub struct DiskFile {
    held: Arc<Held>,
    /// As long as this lives the object is in use.
    _cached: Arc<Cached>,
}

impl AsFd for DiskFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}
