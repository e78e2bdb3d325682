//! Reading objects: streams, windows, fetching, the memory budget, integrity.
//!
//! A [`File`] is a handle on an inode's shared state (`inode`). A read is shown to the inode's table of streams
//! (`stream`, `window`), which says how to fetch what it misses; `planner` cuts that into GETs; `fetcher` runs them into
//! parts (`part`, `buffer`), from which the read, and whoever else waits for the same bytes, is answered as soon as its
//! bytes are in. Ahead of readers, GETs start as places, memory (`budget`) and the network (`pipe`) allow, last of all
//! those for objects that will probably be opened next (`expect`), unless a recorded load (`trace`, `recorder`) says what
//! comes next (`replay`, `follow`); what was read stays until memory is wanted (`keep`), or the machine is short of it
//! (`pressure`). What somebody asks for by name is fetched whole (`fetch`). Whole objects are compared with the store's
//! checksum (`integrity`), and what is wrong is taken back (`corrupt`); answers with the version that was opened
//! (`version`). Objects that are all there can be read by the kernel itself from then on (`whole`). `counted` says how
//! reads are counted, `waiter` what becomes of those that are given up.
//!
//! Errors of the store pass through as they are; what they mean to a program is decided in `fs`.

mod budget;
mod buffer;
mod corrupt;
#[cfg(test)]
mod corrupt_tests;
mod counted;
mod expect;
#[cfg(test)]
mod expect_tests;
mod failures;
mod fetch;
#[cfg(test)]
mod fetch_tests;
mod fetcher;
mod follow;
#[cfg(test)]
mod follow_tests;
mod inode;
mod integrity;
mod keep;
mod layout;
mod mode;
#[cfg(test)]
mod model_tests;
mod part;
mod pipe;
mod planner;
mod pressure;
mod recorder;
mod replay;
mod slice;
mod stream;
mod tensors;
#[cfg(test)]
mod tests;
mod trace;
mod version;
mod waiter;
mod whole;
#[cfg(test)]
mod whole_tests;
mod window;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tracing::Instrument;

use budget::{Budget, Priority};
use counted::{Source, Waiting};
use expect::Credit;
use fetcher::Turns;
use inode::{Cover, Delivery, Inode, Room};
use integrity::Coverage;
use keep::{Place, Shelf};
use mode::Modes;
use part::{Lost, Part};
use pipe::Pipe;
use pressure::Pressure;
use recorder::Recorder;
use replay::{Guidance, Replay};
use stream::Plan;
use version::TagUse;
use waiter::Waiter;

pub use corrupt::WrongBytes;
pub use expect::Cause;
pub use fetch::{Held, Pin};
pub use integrity::Verified;
pub use pressure::{Alarm, Change, Headroom, Observation};
pub use slice::Slice;
pub use trace::{MOST_TRACE_BYTES, Trace, TraceError};
pub use whole::Whole;

use crate::base::{ByteRange, Clock, ETag, Ino, Key, Timestamp};
use crate::cache::Memory;
use crate::metrics::{Metric, Metrics};
use crate::store::{Result, Store};

/// One version of an object, as the tree knows it when a file is opened.
#[derive(Clone, Debug)]
pub struct Object {
    /// The inode number; it changes with the entity tag, so equal numbers mean equal bytes.
    pub ino: Ino,
    /// The key.
    pub key: Key,
    /// A version asked for by name; `None` means the current one.
    pub version: Option<String>,
    /// Every GET is pinned to this tag; where the listing had none, to that of the first answer.
    pub etag: Option<ETag>,
    /// Size in bytes.
    pub size: u64,
    /// When it was last modified, where that is known. It tells versions apart where tags do not.
    pub mtime: Option<Timestamp>,
    /// Whether its storage class is one that must be restored before it can be read. Nothing is fetched of it before a
    /// read has brought bytes.
    pub archived: bool,
}

impl PartialEq for Object {
    /// The time aside: who opens an object from a record of an earlier load does not know it.
    fn eq(&self, other: &Self) -> bool {
        let Object { ino, key, version, etag, size, mtime: _, archived } = self;
        (ino, key, version, etag, size, archived)
            == (&other.ino, &other.key, &other.version, &other.etag, &other.size, &other.archived)
    }
}

/// How reading behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is fetched before it is asked for.
    pub prefetch: Prefetch,
    /// How many bytes a reader must have asked for in sequence before more is fetched ahead of it.
    pub prefetch_threshold: u64,
    /// GETs in flight ahead of one reader, at most; `None` means as many as there are connections.
    pub prefetch_parts: Option<usize>,
    /// Largest GET of a prefetch, in bytes; rounded up to whole MiB. A file that fits is fetched whole.
    pub part_bytes: u64,
    /// GETs in flight at once, those of waiting readers included.
    pub max_connections: usize,
    /// Bytes of read buffers for the whole daemon: windows, waiting parts, and files kept after reading. Less while
    /// memory is short.
    pub memory_limit: u64,
    /// Whether whole objects are compared with the CRC-64 that the store keeps.
    pub verify: Verify,
    /// What becomes of a file's bytes after its last descriptor was closed.
    pub memory_cache: MemoryCache,
    /// Whether files that are all in memory are left to the kernel to read.
    pub passthrough: Passthrough,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            prefetch: Prefetch::Auto,
            prefetch_threshold: 128 << 10,
            prefetch_parts: None,
            part_bytes: 8 << 20,
            max_connections: 64,
            memory_limit: 1 << 30,
            verify: Verify::Crc64,
            memory_cache: MemoryCache::Auto,
            passthrough: Passthrough::Auto,
        }
    }
}

/// What is fetched before it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Prefetch {
    /// Windows ahead of sequential readers, small files whole, and the files that will probably be opened next.
    #[default]
    Auto,
    /// As `Auto`; besides, fetching begins at open, in the order of the opens, as far as memory allows.
    Open,
    /// The bytes asked for and no more.
    Off,
}

/// How whole objects are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verify {
    /// The CRC-64 of every byte that passed through, against the one the store keeps.
    #[default]
    Crc64,
    /// Not at all.
    Off,
}

/// What becomes of a file's bytes after its last descriptor was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemoryCache {
    /// They stay while nothing else wants the memory.
    #[default]
    Auto,
    /// They go.
    Off,
}

/// Whether files that are all in memory are left to the kernel to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Passthrough {
    /// Where this process may make file systems, which it must for that.
    #[default]
    Auto,
    /// No.
    Off,
}

/// Reads objects through shared buffers. One for the whole daemon.
pub struct Reader {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    runtime: Handle,
    clock: Clock,

    options: Options,

    /// Where objects have their homes, if they have any.
    memory: Option<Memory>,
    budget: Arc<Budget>,
    pressure: Mutex<Pressure>,
    /// Of that, what must stay because the kernel reads it by itself.
    held_bytes: AtomicU64,
    /// What must stay because somebody said so.
    pinned_bytes: AtomicU64,
    turns: Turns,
    tags: TagUse,
    pipe: Pipe,
    /// For fetching what nobody has opened.
    credit: Credit,
    shelf: Shelf,
    last_search_ms: AtomicU64,
    /// What is wanted, where that is recorded.
    recorder: OnceLock<Mutex<Recorder>>,
    /// The recorded load that is followed, if any.
    replay: OnceLock<Mutex<Replay>>,
    modes: Modes,
    /// [`Options::part_bytes`], as it is now.
    part_bytes: AtomicU64,
    /// Objects that are open, or of which bytes are kept.
    inodes: Mutex<HashMap<Ino, Arc<Inode>>>,
    /// Checksums of objects that were read in part, of which no byte is kept any more: the kernel may keep some.
    unfinished: Mutex<LruCache<Ino, Coverage>>,
    /// Who is told of bytes that are wrong.
    wrong_bytes: OnceLock<Arc<dyn WrongBytes>>,
    /// When wrong bytes were last looked for.
    last_corrupt_search_ms: AtomicU64,
    /// Objects that were found good, also when none of their bytes is kept any more.
    known_good: Mutex<LruCache<Ino, ()>>,
}

/// So many objects found good are remembered.
const KNOWN_GOOD: usize = 1 << 16;

/// The checksums of so many objects that were read in part are remembered.
const UNFINISHED: usize = 1024;

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("options", &self.options).field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Reader {
    /// An engine over a store. Must be called within a tokio runtime, which then runs the GETs.
    pub fn new(store: Arc<dyn Store>, options: Options, metrics: Arc<Metrics>) -> Arc<Self> {
        Reader::with_clock(store, options, metrics, Clock::system())
    }

    fn with_clock(store: Arc<dyn Store>, options: Options, metrics: Arc<Metrics>, clock: Clock) -> Arc<Self> {
        let memory = whole::memory(options.passthrough);
        let rests = memory.as_ref().map(Memory::rests).unwrap_or_default();
        metrics.set(Metric::MemoryLimit, options.memory_limit);
        Arc::new(Reader {
            store,
            memory,
            budget: Budget::new(options.memory_limit, rests, metrics.clone()),
            pressure: Mutex::new(Pressure::new(options.memory_limit)),
            held_bytes: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            modes: Modes::new(options.prefetch),
            part_bytes: AtomicU64::new(options.part_bytes),
            metrics,
            runtime: Handle::current(),
            clock,
            turns: Turns::new(options.max_connections.max(1)),
            tags: TagUse::new(),
            pipe: Pipe::default(),
            credit: Credit::default(),
            options,
            shelf: Shelf::new(),
            last_search_ms: AtomicU64::new(0),
            recorder: OnceLock::new(),
            replay: OnceLock::new(),
            inodes: Mutex::default(),
            unfinished: Mutex::new(LruCache::unbounded()),
            wrong_bytes: OnceLock::new(),
            last_corrupt_search_ms: AtomicU64::new(0),
            // Not `new`, which would set aside room for all of them.
            known_good: Mutex::new(LruCache::unbounded()),
        })
    }

    /// Opens an object. Handles of one inode share their buffers; the last one to go calls off what is on its way.
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
        self.credit.settle(inode.object.ino);
        let is_planned = self.opened(&inode.object);
        if inode.prefetch.is(Prefetch::Open) && !is_planned && !inode.object.archived {
            self.enqueue_warm_up(&inode);
        }
        if is_planned || inode.prefetch.is(Prefetch::Open) {
            self.pump();
        }
        File { reader: self.clone(), inode }
    }

    fn new_inode(&self, object: Object) -> Arc<Inode> {
        let (ino, prefetch) = (object.ino, self.modes.of(object.ino));
        let inode = Inode::new(object, prefetch, self.part_bytes.load(Ordering::Relaxed), &self.options);
        if let Some(coverage) = self.unfinished.lock().pop(&ino) {
            inode.go_on(coverage);
        }
        self.recall_tags(&inode);
        inode
    }

    /// Changes [`Options::part_bytes`], for what is opened from now on. What is open, or kept after reading, goes on as it
    /// began: its parts must meet.
    pub fn set_part_bytes(&self, bytes: u64) {
        self.part_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Changes the option `prefetch`, for what is opened from now on.
    pub fn set_prefetch_of_all(&self, prefetch: Prefetch) {
        self.modes.of_others().set(prefetch);
    }

    /// Changes what is fetched of one object before it is asked for, also where it is open; the last some thousand are
    /// remembered.
    pub fn set_prefetch(&self, ino: Ino, prefetch: Prefetch) {
        self.modes.set(ino, prefetch);
        if let Some(inode) = self.inodes.lock().get(&ino) {
            inode.prefetch.set(prefetch);
        }
    }

    /// How much of a version of an object has been compared with the store's checksum.
    pub fn verified(&self, ino: Ino) -> Verified {
        if self.known_good.lock().contains(&ino) {
            return Verified::Yes;
        }
        let inode = self.inodes.lock().get(&ino).cloned();
        match inode {
            Some(inode) => inode.verified(),
            None if self.unfinished.lock().contains(&ino) => Verified::Partial,
            None => Verified::No,
        }
    }

    fn found_good(&self, object: &Object) {
        // Without a tag the number may come to stand for another version.
        if object.etag.is_none() {
            return;
        }
        let mut known = self.known_good.lock();
        known.put(object.ino, ());
        if known.len() > KNOWN_GOOD {
            known.pop_lru();
        }
    }

    /// Milliseconds on a clock of its own.
    fn now_ms(&self) -> u64 {
        self.clock.elapsed().as_millis() as u64
    }
}

/// An open object. Reads may run at the same time and at any offset.
pub struct File {
    reader: Arc<Reader>,
    inode: Arc<Inode>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.inode.object).finish()
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
        let object = &self.inode.object;
        let span = tracing::debug_span!("read", ino = object.ino.0, key = object.key.as_str(), offset, len);
        self.counted_read(offset, len).instrument(span).await
    }

    async fn counted_read(&self, offset: u64, len: usize) -> Result<Slice> {
        let read = ByteRange::at(offset, len as u64).intersect(ByteRange::new(0, self.inode.object.size));
        let (began, mut source) = (self.reader.clock.elapsed(), Source::Buffer);
        let result = if read.is_empty() { Ok(Slice::empty()) } else { self.answer(read, began, &mut source).await };
        let took = self.reader.clock.elapsed().saturating_sub(began);
        self.reader.count_read(&result, source, took);
        result
    }

    /// How much of the object has been compared with the store's checksum.
    pub fn verified(&self) -> Verified {
        self.inode.verified()
    }

    /// The object as a file that the kernel can read, if all of it is in memory and has been compared with the store's
    /// checksum (where there is one). It stays there while anybody has this.
    pub fn whole(&self) -> Option<Arc<Whole>> {
        let whole = self.reader.whole(&self.inode)?;
        self.reader.seen_whole(&self.inode.object);
        Some(whole)
    }

    async fn answer(&self, read: ByteRange, now: Duration, source: &mut Source) -> Result<Slice> {
        if let Some(error) = self.inode.failures.take(read, now) {
            return Err(error);
        }
        self.inode.last_read_ms.store(now.as_millis() as u64, Ordering::Relaxed);
        self.reader.record_read(&self.inode.object, read);
        let (plan, guidance) = self.reader.guided(&self.inode, self.inode.observe(read), read);
        if plan.wants_all {
            self.reader.enqueue_warm_up(&self.inode);
        }
        if let Some(range) = plan.abandoned {
            self.shelve(self.inode.strays(range), Place::Coldest);
        }
        loop {
            let generation = self.inode.generation();
            let parts = self.parts(read, plan, guidance, source)?;
            self.reader.enqueue(&self.inode);
            self.reader.pump();
            let is_ready = parts.iter().all(|part| part.has(read));
            parts.iter().filter(|part| !part.has(read)).for_each(|part| part.waited_for(now));
            let _waiting = (!is_ready).then(|| Waiting::begin(&self.reader.metrics, source));
            match arrive(&parts, read).await {
                Ok(()) if self.inode.hand_out(generation) => return Ok(self.deliver(&parts, read)),
                // Some of what had come was found to be wrong since: asked for again, or this read fails.
                Ok(()) => {}
                Err(Lost::Failed(error)) => {
                    self.inode.failures.add(read, self.reader.clock.elapsed(), &error);
                    return Err(error);
                }
                // Somebody called the GET off before this read came to wait for it; the next one knows of us.
                Err(Lost::Dropped) => {}
            }
        }
    }

    /// The parts that hold a read; what is missing is on its way.
    fn parts(&self, read: ByteRange, plan: Plan, guidance: Guidance, source: &mut Source) -> Result<Vec<Arc<Part>>> {
        let mut room = Room::Ask;
        loop {
            match self.inode.cover(read, plan.fetch, room, &self.reader.budget)? {
                Cover::Parts(parts, orders) => {
                    self.reader.came_late(guidance, &orders);
                    if !orders.is_empty() {
                        *source = Source::Store;
                    }
                    orders.into_iter().for_each(|order| self.reader.start(&self.inode, order, None));
                    return Ok(parts);
                }
                Cover::Lacking(bytes) => {
                    self.reader.make_room(bytes, Priority::Demand);
                    room = Room::Overdraw;
                }
            }
        }
    }

    fn deliver(&self, parts: &[Arc<Part>], read: ByteRange) -> Slice {
        let slice = Slice::new(parts, read);
        self.inode.read_bytes.fetch_add(read.len(), Ordering::Relaxed);
        self.reader.study(&self.inode);
        for part in parts {
            if self.inode.delivered(part, read.intersect(part.range)) == Delivery::Shelve {
                self.reader.shelf.put(&self.inode, part, Place::Recent);
            } else if part.shelved.load(Ordering::Relaxed) {
                self.reader.shelf.touch(part);
            }
        }
        slice
    }

    fn shelve(&self, parts: Vec<Arc<Part>>, place: Place) {
        parts.iter().for_each(|part| self.reader.shelf.put(&self.inode, part, place));
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
        let closed = {
            // Under the lock of the map, so that nobody opens the object while it is closed.
            let _inodes = self.reader.inodes.lock();
            if self.inode.handles.fetch_sub(1, Ordering::Relaxed) > 1 {
                return;
            }
            self.inode.close()
        };
        closed.gone.iter().for_each(|part| part.drop_out());
        drop(closed.gone);
        self.shelve(closed.kept, Place::Recent);
        self.reader.forget_if_unused(&self.inode);
        self.reader.pump();
    }
}
