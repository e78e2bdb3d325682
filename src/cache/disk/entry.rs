//! One object, as `read` sees it: asked without waiting for the disk on a thread that serves the mount.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::directory::Directory;
use super::held::{self, Held};
use super::identity::Identity;
use super::queue::{Bytes, Job, Queue};
use crate::base::ByteRange;
use crate::metrics::Metric;

/// How often it is looked whether another process has begun to cache what was not there.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// What the files of an object take beside its data, about, in bytes.
const MAP_BYTES: u64 = 8 << 10;

/// An object that is open. While this lives it is in use, and no process evicts what is on disk of it.
pub struct Cached {
    directory: Arc<Directory>,
    queue: Arc<Queue<Write>>,
    identity: Identity,
    held: Mutex<Option<Arc<Held>>>,
    /// When it was last looked for and not found, in milliseconds on the directory's clock.
    missed_ms: AtomicU64,
    /// Whether it may push out others; decided when that is first needed.
    is_admitted: OnceLock<bool>,
}

/// What became of a read of the disk.
#[derive(Debug)]
pub enum Filled<B> {
    /// The bytes are in, and right; with their checksum, where that came of itself.
    Right(B, Option<u64>),
    /// They are not: the store is to be asked. Where the disk takes too long, the memory is still in its hands.
    Not,
}

/// Blocks to be written.
pub(super) struct Write {
    cached: Arc<Cached>,
    range: ByteRange,
    bytes: Bytes,
    crc64: Option<u64>,
}

impl Job for Write {
    fn len(&self) -> u64 {
        self.range.len()
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Write").field(&self.cached).field(&self.range).finish()
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
            directory.opened(wanted.name(), wanted.size)?;
            let found = Held::find(&directory.place, &wanted)?;
            if let Some(held) = &found {
                held.touch()?;
                // What is there and has not the store's checksum goes, before a byte of it is shown.
                held.is_whole()?;
            }
            Ok(found.map(Arc::new))
        };
        let held = directory.ask(look).await?;
        let missed_ms = AtomicU64::new(directory.clock.elapsed().as_millis() as u64);
        let is_admitted = OnceLock::new();
        if held.is_some() {
            let _ = is_admitted.set(true);
        }
        Some(Arc::new(Cached { directory, queue, identity, held: Mutex::new(held), missed_ms, is_admitted }))
    }

    /// The checksum that the store keeps of the whole object, where it was told when the object was cached.
    pub fn crc64(&self) -> Option<u64> {
        self.held.lock().as_ref().and_then(|held| held.crc64())
    }

    fn known(&self) -> Option<Arc<Held>> {
        self.held.lock().clone()
    }

    /// What is there, also if another process has begun it since.
    fn look_again(&self) -> io::Result<Option<Arc<Held>>> {
        if let Some(held) = self.known() {
            return Ok(Some(held));
        }
        let found = Held::find(&self.directory.place, &self.identity)?.map(Arc::new);
        self.missed_ms.store(self.now_ms(), Ordering::Relaxed);
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

    /// Whether nothing is known to be there, and it was looked for of late.
    fn is_absent(&self) -> bool {
        let looked_at = Duration::from_millis(self.missed_ms.load(Ordering::Relaxed));
        self.held.lock().is_none() && self.directory.clock.elapsed() < looked_at + LOOK_AGAIN
    }

    /// Whether all bytes of a range are recorded. Counts as a look-up.
    pub async fn has(self: &Arc<Self>, range: ByteRange) -> bool {
        let cached = self.clone();
        let look = move |_: &Arc<Directory>| cached.look_again()?.map_or(Ok(false), |held| held.has(range));
        let has = !self.is_absent() && self.directory.ask(look).await.unwrap_or(false);
        self.directory.metrics.add(if has { Metric::DiskHits } else { Metric::DiskMisses }, 1);
        has
    }

    /// Reads a range into memory that is as long, on a thread that may wait.
    pub async fn read<B: AsMut<[u8]> + Send + 'static>(&self, range: ByteRange, mut into: B) -> Filled<B> {
        let Some(held) = self.known() else { return Filled::Not };
        let read = move |_: &Arc<Directory>| held.read(range, into.as_mut()).map(|read| (read, into));
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

    /// Has the complete blocks of a range written, some time; or not at all, where the disk is too slow or full.
    /// `crc64` is the checksum that the store keeps of the whole object.
    pub fn write(self: &Arc<Self>, range: ByteRange, bytes: Bytes, crc64: Option<u64>) {
        let write = Write { cached: self.clone(), range, bytes, crc64 };
        if !self.directory.may_write() || self.queue.push(write).is_err() {
            self.directory.metrics.add(Metric::DiskWritesDropped, 1);
        }
    }

    /// Bytes of it that are on disk.
    pub async fn held_bytes(self: &Arc<Self>) -> u64 {
        let cached = self.clone();
        let look = move |_: &Arc<Directory>| cached.look_again()?.map_or(Ok(0), |held| held.held_bytes());
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

    /// It is wrong, or not wanted any more: nothing of it is read from now on, nor written.
    pub fn condemn(&self) {
        if let Some(held) = self.known() {
            held.condemn();
        }
    }

    /// Removes it from the disk.
    pub async fn discard(self: Arc<Self>) {
        let Some(held) = self.known() else { return };
        self.directory.ask(move |_| held.discard()).await;
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
        match written {
            Some(bytes) => directory.metrics.add(Metric::DiskWrittenBytes, bytes),
            None => directory.metrics.add(Metric::DiskWritesDropped, 1),
        }
    }

    /// Returns the bytes written; `None` where there is no room for them.
    fn put(&self) -> io::Result<Option<u64>> {
        let Write { cached, range, bytes, crc64 } = self;
        let (room, place) = (&cached.directory.room, &cached.directory.place);
        let known = cached.look_again()?;
        let lacks = known.as_ref().map_or(Ok(range.len() + MAP_BYTES), |held| held.lacks(*range))?;
        if lacks == 0 {
            return Ok(Some(0));
        }
        if room.is_full_for(lacks)? && !*cached.is_admitted.get_or_init(|| cached.directory.admits()) {
            return Ok(None);
        }
        if !room.claim(lacks)? {
            return Ok(None);
        }
        let write = || {
            let held = match known {
                Some(held) => Some(held),
                None => cached.take(Held::find_or_make(place, &cached.identity, *crc64)?.map(Arc::new)),
            };
            let Some(held) = held else { return Ok(0) };
            let written = held.write(*range, (**bytes).as_ref())?;
            if written > 0 && held.is_whole()? {
                held.sync()?;
            }
            Ok(written)
        };
        let written = write();
        let kept = written.as_ref().map_or(0, |bytes| *bytes);
        room.give_back(lacks.saturating_sub(kept))?;
        written.map(Some)
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
