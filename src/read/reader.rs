//! The engine: what all open objects share, which of them are open or kept, and how they come and go.
//!
//! What it does for them stands in the files that add methods to [`Reader`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::agenda::Agenda;
use super::budget::Budget;
use super::credit::Credit;
use super::heads::FileUses;
use super::inode::Inode;
use super::integrity::{Checksums, Verified, WrongBytes};
use super::marks::TagUse;
use super::mode::Modes;
use super::object::Object;
use super::options::{Options, Passthrough, Prefetch};
use super::pipe::Pipe;
use super::pressure::Pressure;
use super::reclaim::LruParts;
use super::recorder::Recorder;
use super::replay::Replay;
use super::right_of_way::RightOfWay;
use super::tuning::Tuning;
use crate::base::{Clock, Ino};
use crate::cache::{Disk, Memory};
use crate::metrics::{Metric, Metrics};
use crate::store::Store;

/// Reads objects through shared buffers. One for the whole daemon.
pub struct Reader {
    pub(super) store: Arc<dyn Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) runtime: Handle,
    pub(super) clock: Clock,

    pub(super) options: Options,
    pub(super) tuning: Arc<Tuning>,

    /// Where objects have their backing files, if they have any.
    pub(super) memory: Option<Memory>,
    /// Where bytes are kept on disk, if they are.
    pub(super) disk: OnceLock<Arc<Disk>>,
    /// For parts that are on their way to the disk by request: one for each MiB.
    pub(super) to_disk: Semaphore,
    pub(super) budget: Arc<Budget>,
    pub(super) pressure: Mutex<Pressure>,
    /// What memory was free when that was observed last, in bytes.
    pub(super) free_bytes: AtomicU64,
    /// What must stay because the kernel reads it by itself, in bytes.
    pub(super) held_bytes: AtomicU64,
    /// What must stay because it is pinned, in bytes.
    pub(super) pinned_bytes: AtomicU64,
    pub(super) agenda: Agenda,
    pub(super) tags: TagUse,
    pub(super) pipe: Pipe,
    pub(super) right_of_way: RightOfWay,
    /// The account of what is fetched before it is opened.
    pub(super) credit: Credit,
    pub(super) lru_parts: LruParts,
    pub(super) last_search_ms: AtomicU64,
    /// What is wanted, where that is recorded.
    pub(super) recorder: OnceLock<Mutex<Recorder>>,
    /// The recorded load that is followed, if any.
    pub(super) replay: OnceLock<Mutex<Replay>>,
    pub(super) modes: Modes,
    /// How the files of each directory were read.
    pub(super) file_uses: FileUses,
    /// [`Options::part_bytes`], as it is now.
    pub(super) part_bytes: AtomicU64,
    /// Objects that are open, or of which bytes are kept.
    pub(super) inodes: Mutex<HashMap<Ino, Arc<Inode>>>,
    /// Checksums of objects that were read in part, of which no byte is kept any more: the kernel may keep some.
    pub(super) unfinished: Mutex<LruCache<Ino, Checksums>>,
    /// What is called when bytes were found wrong.
    pub(super) wrong_bytes: OnceLock<Arc<dyn WrongBytes>>,
    /// When wrong bytes were last looked for.
    pub(super) last_corrupt_search_ms: AtomicU64,
    /// Objects that were found good, also when none of their bytes is kept any more.
    pub(super) known_good: Mutex<LruCache<Ino, ()>>,
    /// Objects of which wrong bytes have come: they come from the bucket alone from then on.
    doubted: Mutex<LruCache<Ino, ()>>,
}

/// How many MiB may be on their way to the disk by request: each is in memory meanwhile.
pub(super) fn to_disk_permits(memory_limit: u64) -> usize {
    (memory_limit >> 22).clamp(1, 128) as usize
}

/// So many objects found good are remembered.
const KNOWN_GOOD: usize = 1 << 16;

/// So many objects are remembered of which wrong bytes have come.
const DOUBTED: usize = 1 << 12;

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("options", &self.options).field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Reader {
    /// An engine over a store. Must be called within a tokio runtime, which then runs the GETs.
    pub fn new(store: Arc<dyn Store>, options: Options, metrics: Arc<Metrics>) -> Arc<Self> {
        Reader::tuned(store, options, Tuning::default(), metrics)
    }

    /// The same with other tuned numbers, for benchmarks.
    pub fn tuned(store: Arc<dyn Store>, options: Options, tuning: Tuning, metrics: Arc<Metrics>) -> Arc<Self> {
        Reader::with(store, options, tuning, metrics, Clock::system())
    }

    /// The same on another clock, for tests.
    #[cfg(test)]
    pub(super) fn with_clock(
        store: Arc<dyn Store>,
        options: Options,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        Reader::with(store, options, Tuning::default(), metrics, clock)
    }

    /// The same with all that it is made of.
    pub(super) fn with(
        store: Arc<dyn Store>,
        options: Options,
        tuning: Tuning,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        let tuning = Arc::new(tuning);
        let memory = memory_for(options.passthrough);
        let rests = memory.as_ref().map(Memory::rests).unwrap_or_default();
        metrics.set(Metric::MemoryLimit, options.memory_limit);
        Arc::new(Reader {
            store,
            memory,
            disk: OnceLock::new(),
            to_disk: Semaphore::new(to_disk_permits(options.memory_limit)),
            budget: Budget::new(options.memory_limit, rests, metrics.clone()),
            pressure: Mutex::new(Pressure::new(options.memory_limit, tuning.clone())),
            free_bytes: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            modes: Modes::new(options.prefetch),
            file_uses: FileUses::new(),
            part_bytes: AtomicU64::new(options.part_bytes),
            metrics,
            runtime: Handle::current(),
            clock,
            agenda: Agenda::new(options.connections.clone()),
            tags: TagUse::new(),
            pipe: Pipe::new(tuning.clone()),
            right_of_way: RightOfWay::new(tuning.clone()),
            credit: Credit::new(tuning.clone()),
            options,
            tuning,
            lru_parts: LruParts::new(),
            last_search_ms: AtomicU64::new(0),
            recorder: OnceLock::new(),
            replay: OnceLock::new(),
            inodes: Mutex::default(),
            unfinished: Mutex::new(LruCache::unbounded()),
            wrong_bytes: OnceLock::new(),
            last_corrupt_search_ms: AtomicU64::new(0),
            // Not `new`, which would set aside room for all of them.
            known_good: Mutex::new(LruCache::unbounded()),
            doubted: Mutex::new(LruCache::unbounded()),
        })
    }

    /// The state of an object that nothing holds yet.
    pub(super) fn new_inode(&self, object: Object) -> Arc<Inode> {
        let (ino, prefetch) = (object.ino, self.modes.of(object.ino));
        let inode = Inode::new(object, prefetch, self.part_bytes.load(Ordering::Relaxed), &self.options, &self.tuning);
        if let Some(coverage) = self.unfinished.lock().pop(&ino) {
            inode.go_on(coverage);
        }
        self.recall_tags(&inode);
        inode
    }

    /// Changes [`Options::part_bytes`], for what is opened from now on. What is open, or kept after reading, goes on as
    /// it began: its parts must meet.
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

    /// Whether there is a fleet of near caches that objects may be fetched into.
    pub fn has_fleet(&self) -> bool {
        self.store.has_fleet()
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

    /// All of an object was compared with the store's checksum, and is right.
    pub(super) fn found_good(&self, object: &Object) {
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

    /// Wrong bytes of an object have come. It comes from the bucket alone from now on.
    pub(super) fn doubt_source_of(&self, ino: Ino) {
        let mut doubted = self.doubted.lock();
        doubted.put(ino, ());
        if doubted.len() > DOUBTED {
            doubted.pop_lru();
        }
    }

    /// Whether wrong bytes of an object have come.
    pub(super) fn doubts_source_of(&self, ino: Ino) -> bool {
        self.doubted.lock().contains(&ino)
    }

    /// Milliseconds on a clock of its own.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.elapsed().as_millis() as u64
    }
}

/// Where objects have their backing files; `None` where this process may not make file systems.
fn memory_for(passthrough: Passthrough) -> Option<Memory> {
    if passthrough == Passthrough::Off {
        return None;
    }
    let made = Memory::new();
    made.inspect_err(
        |error| tracing::debug!(%error, "backing files are not available: the page cache serves repeated reads"),
    )
    .ok()
}
