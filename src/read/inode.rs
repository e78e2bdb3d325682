//! What all open handles of one object share: its parts, its streams, the version it is pinned to, its checksum.
//!
//! Methods here decide and record under one short lock; they send nothing and wait for nothing. What must be fetched
//! comes back as [`FetchOrder`]s for `fetcher`.
//!
//! Locks, in the order they may be taken: the reader's map of inodes, a queue of the agenda, [`Inode::state`], then any
//! one of `LruParts`, a part's progress, the pool, the account of guesses. Two inodes are never locked at once.

mod ahead;
mod by_name;
mod delivery;
mod verification;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub(super) use ahead::{Next, Terms};
pub(super) use delivery::{Delivery, KernelCopy};
pub(super) use verification::{Arrival, Evidence};

use super::budget::{Budget, Grant, Priority};
use super::edges::Edges;
use super::failures::Failures;
use super::heads::{self, FileUse};
use super::integrity::Checksums;
use super::layout::Format;
use super::look_ups::LookUps;
use super::marks::Marks;
use super::mode::Mode;
use super::object::{Asker, Object, Portion};
use super::options::{MemoryCache, Options, Prefetch, Verify};
use super::pace::Pace;
use super::part::{Origin, Part};
use super::plan::{Fetch, Plan};
use super::planner;
use super::pool::capacity_for;
use super::proof::ProofState;
use super::right_of_way::Waits;
use super::runs::Answered;
use super::stream::{Proof, Repeated};
use super::streams::{Bounds, Streams};
use super::tuning::Tuning;
use super::whole::Whole;
use super::why::{Goal, Goals, ROWS, Seat, Why};
use crate::base::{ByteRange, Stretches};
use crate::cache::{Cached, MemoryFile};
use crate::store::{Error, ErrorKind, Expected, Result};

/// A part to be fetched and the memory for it.
#[derive(Debug)]
pub(super) struct FetchOrder {
    pub(super) part: Arc<Part>,
    pub(super) grant: Grant,
    /// How much was asked for at once with some of it, in bytes; 0 where nobody has asked yet.
    pub(super) at_once_bytes: u64,
}

/// What a read is answered from.
pub(super) enum Coverage {
    /// These parts, in order and without a gap; the orders among them are to be fetched now.
    Parts(Vec<Arc<Part>>, Vec<FetchOrder>),
    /// This much memory should be given up first; then ask again, with [`OnShortage::Overdraw`].
    Lacking(u64),
}

/// What to do where memory lacks for the bytes of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnShortage {
    /// Say how much of it lacks.
    Ask,
    /// Fetch exactly the bytes that were asked for all the same.
    Overdraw,
}

/// The state of one object that is open, or of which bytes are kept.
pub(super) struct Inode {
    pub(super) object: Object,
    tuning: Arc<Tuning>,
    max_part_bytes: u64,
    /// What is fetched before it is asked for.
    pub(super) prefetch: Mode,
    prefetch_parts: Option<usize>,
    /// How much a reader must have asked for before more is fetched ahead of it, in bytes.
    threshold_bytes: u64,
    verify: Verify,
    keep: MemoryCache,
    /// How it tells where its tensors lie, if it does.
    format: Option<Format>,
    /// Whether it fits into the memory with room to spare.
    may_be_swept: bool,

    /// Where its bytes lie, if they may be kept whole. Made when the first of them come.
    pub(super) backing_file: OnceLock<Option<Arc<MemoryFile>>>,
    /// Set while the kernel may read the backing file by itself.
    pub(super) whole: Mutex<Weak<Whole>>,
    /// The object in the disk cache, while something uses that.
    pub(super) cached: Mutex<Weak<Cached>>,
    /// What waits to be kept there until the rest of its block has come. Locked before the state.
    pub(super) edges: Mutex<Edges>,
    /// Open handles; changes under the lock of the reader's map.
    pub(super) handles: AtomicUsize,
    /// Whether it waits for a turn to be fetched ahead, for each reason.
    seats: [Seat; ROWS.len()],
    /// Rings when nothing is left to start of what was wanted of all of it.
    pub(super) warmed: Notify,
    /// Whether it is kept in memory.
    pub(super) is_pinned: AtomicBool,
    /// Whether its last read was one that a recorded load foretold, so that no window is needed.
    pub(super) is_guided: AtomicBool,
    /// When a read last began or had its bytes, in milliseconds on the reader's clock.
    pub(super) last_read_ms: AtomicU64,
    /// Reads that wait for bytes.
    pub(super) waits: Waits,
    /// How fast they use what is there.
    pub(super) pace: Mutex<Pace>,
    /// Bytes that programs have read of it.
    pub(super) read_bytes: AtomicU64,
    /// Bytes of it that were received, and those of them that programs have read, each counted once.
    pub(super) fetched_bytes: AtomicU64,
    pub(super) used_bytes: AtomicU64,
    /// What the kernel keeps of it.
    pub(super) kernel_copy: KernelCopy,
    /// Whether some byte was handed out.
    handed_out: AtomicBool,
    /// Whether bytes are held back until all of it was compared with its checksum.
    pub(super) proof: ProofState,
    /// Grows, under the lock, when all that has come turns out to be worthless.
    generation: AtomicU64,
    pub(super) failures: Failures,
    state: Mutex<State>,
}

/// What is known of a model file's layout.
enum HeaderParse {
    /// It is no model, or all that will ever be known of it is.
    Done,
    /// These bytes must be known to tell more.
    Needs(ByteRange),
    /// They are being looked at.
    Busy(ByteRange),
}

impl HeaderParse {
    /// Whether some of these bytes may be what it needs.
    fn needs(&self, range: ByteRange) -> bool {
        match self {
            HeaderParse::Done => false,
            // How long a header is will be known once it has begun.
            HeaderParse::Needs(needed) | HeaderParse::Busy(needed) => {
                needed.start == 0 || !needed.intersect(range).is_empty()
            }
        }
    }
}

struct State {
    /// By start; no two overlap.
    parts: BTreeMap<u64, Arc<Part>>,
    /// What the kernel has in its page cache and is not held here any more. No part overlaps it.
    passed_on: Stretches,
    streams: Streams,
    /// What is fetched ahead, and how far that has come. Of windows the streams know.
    goals: Goals,
    /// How many have asked for all of it.
    asked: u32,
    header_parse: HeaderParse,
    look_ups: LookUps,
    /// Bytes asked for since it was opened.
    asked_bytes: u64,
    /// Bytes fetched because all of the object is likely to be wanted.
    swept_bytes: u64,
    /// What answers are compared with.
    marks: Marks,
    /// The store's checksum of the whole object, once an answer told it.
    crc64: Option<u64>,
    /// What has come since the object was last found good.
    coverage: Checksums,
    /// What had come when it was.
    good: Checksums,
    verified: bool,
    /// Whether a mismatch was answered with fetching everything again.
    refetched: bool,
    /// Why no read can succeed any more.
    broken: Option<Error>,
}

impl Inode {
    /// An object of which nothing is held yet.
    pub(super) fn new(
        object: Object,
        prefetch: Prefetch,
        part_bytes: u64,
        options: &Options,
        tuning: &Arc<Tuning>,
    ) -> Arc<Self> {
        let max_part_bytes = part_bytes.max(1).next_multiple_of(super::stream::GRAIN_BYTES);
        let small_bytes = heads::small_bytes(max_part_bytes, FileUse::Unknown, tuning);
        let format = Format::of(object.key.as_str());
        let (size, part_bytes, run_bytes) = (object.size, max_part_bytes, options.prefetch_threshold);
        let opening_bytes = heads::opening_bytes(&object, part_bytes, run_bytes, FileUse::Unknown, tuning);
        let tuning = tuning.clone();
        let bounds = Bounds {
            size,
            part_bytes,
            proof: Proof { run_bytes, opening_bytes, middle_bytes: run_bytes },
            small_bytes,
            tuning: tuning.clone(),
        };
        let state = State::new(&object, Streams::new(bounds), format);
        Arc::new(Inode {
            object,
            tuning,
            max_part_bytes,
            prefetch: Mode::new(prefetch),
            prefetch_parts: options.prefetch_parts,
            threshold_bytes: options.prefetch_threshold,
            verify: options.verify,
            keep: options.memory_cache,
            format,
            may_be_swept: size <= options.memory_limit / 2,
            backing_file: OnceLock::new(),
            whole: Mutex::default(),
            cached: Mutex::default(),
            edges: Mutex::default(),
            handles: AtomicUsize::new(0),
            seats: Default::default(),
            warmed: Notify::new(),
            is_pinned: AtomicBool::new(false),
            is_guided: AtomicBool::new(false),
            last_read_ms: AtomicU64::new(0),
            waits: Waits::default(),
            pace: Mutex::default(),
            read_bytes: AtomicU64::new(0),
            fetched_bytes: AtomicU64::new(0),
            used_bytes: AtomicU64::new(0),
            kernel_copy: KernelCopy::default(),
            handed_out: AtomicBool::new(false),
            proof: ProofState::of(size, options.proven_from),
            generation: AtomicU64::new(0),
            failures: Failures::default(),
            state: Mutex::new(state),
        })
    }

    /// Whether it is a model, by its name.
    pub(super) fn is_model(&self) -> bool {
        self.format.is_some_and(Format::has_header)
    }

    /// Whether it waits for a turn for this reason.
    pub(super) fn seat(&self, why: Why) -> &Seat {
        &self.seats[why as usize]
    }

    /// A program has opened it, where other files were read like this.
    pub(super) fn opened(&self, file_use: FileUse) {
        let opening_bytes =
            heads::opening_bytes(&self.object, self.max_part_bytes, self.threshold_bytes, file_use, &self.tuning);
        let small_bytes = heads::small_bytes(self.max_part_bytes, file_use, &self.tuning);
        self.state.lock().streams.open(opening_bytes, small_bytes);
    }

    /// Takes in a read and says how to fetch what it misses.
    pub(super) fn observe(&self, read: ByteRange, asker: Asker) -> Plan {
        if self.prefetch.is(Prefetch::Off) || self.object.archived && !self.handed_out.load(Ordering::Relaxed) {
            return Plan { fetch: Fetch::Exact { reach_bytes: 0 }, abandoned: None, wants_more: false };
        }
        let mut state = self.state.lock();
        state.asked_bytes += read.len();
        let repeated = if state.was_handed_out(read) { Repeated::Yes } else { Repeated::No };
        let before = state.streams.before_untouched();
        let is_answered = before.is_some_and(|before| state.was_handed_out(before));
        let answered = if is_answered { Answered::Yes } else { Answered::No };
        let plan = state.streams.observe(read, repeated, asker, answered);
        // What does not fit would push itself out before it is read.
        Plan { wants_more: plan.wants_more && self.may_be_swept && !state.goals.had_whole(), ..plan }
    }

    /// Whether the kernel is refused what it reads around a page fault, so that it asks for the page alone.
    pub(super) fn refuses(&self, read: ByteRange, asker: Asker) -> bool {
        let Portion::First(likely) = asker.portion(read) else { return false };
        let read = likely.intersect(ByteRange::new(0, self.object.size));
        if self.prefetch.is(Prefetch::Off) || !asker.may_read_around(read) {
            return false;
        }
        let mut state = self.state.lock();
        let is_at_hand = state.is_held(read) || state.broken.is_some();
        !is_at_hand && state.streams.refuses(read, asker)
    }

    /// Whether the kernel is refused a piece of what it asks for at once because no program comes there.
    pub(super) fn leaves_out(&self, piece: ByteRange) -> bool {
        if self.prefetch.is(Prefetch::Off) {
            return false;
        }
        let mut state = self.state.lock();
        let is_at_hand = state.is_held(piece) || state.broken.is_some();
        !is_at_hand && state.streams.leaves_out(piece)
    }

    /// A program has waited for a read at a place that nothing foretold. Says whether all of the object should be had,
    /// of which this much of the memory may be taken.
    pub(super) fn looked_up(
        &self,
        read: ByteRange,
        waited: Range<Duration>,
        limit_bytes: u64,
        rate: Option<u64>,
    ) -> bool {
        if self.prefetch.is(Prefetch::Off) || self.object.size > limit_bytes / self.tuning.look_up_memory_share {
            return false;
        }
        let mut state = self.state.lock();
        state.look_ups.missed(read, waited, &self.tuning);
        !state.goals.want_whole() && state.look_ups.have_paid_for(self.object.size, rate, &self.tuning)
    }

    /// The parts that hold a read, those that must be fetched for it included.
    pub(super) fn cover(
        &self,
        read: ByteRange,
        (fetch, origin): (Fetch, Origin),
        room: OnShortage,
        budget: &Arc<Budget>,
    ) -> Result<Coverage> {
        let mut state = self.state.lock();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let (mut parts, mut orders) = (Vec::with_capacity(1), Vec::new());
        let mut at = read.start;
        while at < read.end {
            if let Some(part) = state.part_at(at) {
                if part.is_lost() {
                    state.parts.remove(&part.range.start);
                    continue;
                }
                at = part.range.end;
                parts.push(part);
                continue;
            }
            if state.passed_on.remove_around(at) {
                // It has lost it, or others want it.
                self.kernel_copy.suffices.store(false, Ordering::Relaxed);
            }
            let hole = state.hole_around(at, self.object.size);
            let gap = ByteRange::new(at, read.end.min(hole.end));
            let want = planner::demanded(gap, hole, fetch, &self.tuning);
            let order = match budget.reserve(capacity_for(want.len()), Priority::Demand) {
                Some(grant) => state.insert(want, origin, grant),
                None if room == OnShortage::Ask && orders.is_empty() => {
                    return Ok(Coverage::Lacking(capacity_for(want.len())));
                }
                None => state.insert(gap, origin, budget.overdraw(capacity_for(gap.len()))),
            };
            at = order.part.range.end;
            parts.push(order.part.clone());
            orders.push(order);
        }
        Ok(Coverage::Parts(parts, orders))
    }

    /// Looks at what answers are compared with, or changes it.
    pub(super) fn marks<T>(&self, look: impl FnOnce(&mut Marks) -> T) -> T {
        look(&mut self.state.lock().marks)
    }

    /// What the layers below compare answers to GETs with.
    pub(super) fn expected(&self) -> Expected {
        Expected { size: self.object.size, last_modified: self.marks(|marks| marks.mtime()) }
    }

    /// Takes the store's checksum from an answer of this version.
    pub(super) fn learn_checksum(&self, crc64: Option<u64>) {
        if self.verify == Verify::Crc64 {
            let mut state = self.state.lock();
            state.crc64 = state.crc64.or(crc64);
        }
    }

    /// No read can succeed any more.
    pub(super) fn break_with(&self, error: Error) {
        self.state.lock().broken.get_or_insert(error);
    }

    /// Why no read can succeed any more.
    pub(super) fn broken(&self) -> Option<Error> {
        self.state.lock().broken.clone()
    }

    /// Parts that were fetched ahead in this range, untouched and now in no window: they may be given up. Those still
    /// on their way end there by themselves.
    pub(super) fn strays(&self, range: ByteRange) -> Vec<Arc<Part>> {
        let state = self.state.lock();
        let is_stray =
            |part: &&Arc<Part>| part.is_complete() && !part.is_touched() && !state.streams.covers(part.range);
        state.parts.range(range.start..range.end).map(|(_, part)| part).filter(is_stray).cloned().collect()
    }

    /// Memory lacks: ends the streams that saw none of the last `reads` reads, calls off GETs ahead that are in
    /// no window, and returns the parts that are not, which may be given up.
    pub(super) fn give_up(&self, reads: u64) -> Vec<Arc<Part>> {
        let mut state = self.state.lock();
        let State { parts, streams, goals, .. } = &mut *state;
        streams.retire(reads);
        if goals.want_whole() {
            // It was fetched before a program read it, and meant to be.
            return Vec::new();
        }
        parts.retain(|_, part| {
            let is_guess = part.is_ahead() && !is_planned(goals, part) && !streams.covers(part.range);
            !(is_guess && part.drop_out_unless_waited_for())
        });
        let is_idle = |part: &&Arc<Part>| {
            part.is_complete() && !part.is_placed.load(Ordering::Relaxed) && !streams.is_near(part.range)
        };
        parts.values().filter(is_idle).cloned().collect()
    }

    /// Whether a part was fetched because the object was expected to be opened, and no program has read of it yet.
    pub(super) fn is_expected(&self, start: u64, id: u64) -> bool {
        let state = self.state.lock();
        let part = state.parts.get(&start).filter(|part| part.id == id);
        part.is_some_and(|part| part.origin == Origin::Ahead(Why::Expected) && !part.is_touched())
    }

    /// Forgets a part, unless another has taken its place.
    pub(super) fn remove(&self, start: u64, id: u64) {
        let mut state = self.state.lock();
        if state.parts.get(&start).is_some_and(|part| part.id == id) {
            state.parts.remove(&start);
        }
    }

    /// The last handle is gone. Streams and what has come stay for the next one; of what is on its way, that which
    /// would be in vain is called off.
    pub(super) fn close(&self) -> Closed {
        let mut state = self.state.lock();
        let asked_bytes = state.asked_bytes;
        state.goals.end_with_readers();
        (state.asked_bytes, state.swept_bytes) = (0, 0);
        // Without a tag in the listing the next open may mean another version under the same inode number.
        let is_unsafe = state.broken.is_some() || self.object.etag.is_none();
        let State { parts, goals, streams, .. } = &mut *state;
        let stays = |part: &Part| {
            let is_planned = is_planned(goals, part);
            match self.keep {
                _ if is_unsafe => false,
                MemoryCache::Off => is_planned && !part.is_touched(),
                MemoryCache::Auto => is_planned || self.outlives_close(part, streams),
            }
        };
        let gone: Vec<_> = parts.extract_if(.., |_, part| !stays(part)).map(|(_, part)| part).collect();
        streams.leave();
        let is_new = |part: &&Arc<Part>| part.is_complete() && !part.is_placed.load(Ordering::Relaxed);
        let is_worthy = |part: &Arc<Part>| part.is_touched() || !part.is_ahead() || is_planned(goals, part);
        let (kept, unread) = parts.values().filter(is_new).cloned().partition(is_worthy);
        Closed { kept, unread, gone, asked_bytes }
    }

    /// Whether a part is worth having, or waiting for, after the last handle was closed.
    fn outlives_close(&self, part: &Part, streams: &Streams) -> bool {
        match part.origin {
            // Giving up a GET that is nearly through costs a connection.
            Origin::Demand if part.is_running() => {
                let is_nearly_through = part.missing_bytes() <= self.tuning.finished_after_close_bytes;
                is_nearly_through || streams.will_return_to(part.range)
            }
            Origin::Demand => part.is_complete(),
            Origin::Ahead(_) if part.is_touched() && part.is_complete() => true,
            Origin::Ahead(Why::Window) if part.is_running() => streams.will_return_to(part.range),
            Origin::Ahead(Why::Window | Why::Model | Why::LookUps) => part.is_complete(),
            // They were to be there for a reader that has come and gone.
            Origin::Ahead(_) => false,
        }
    }

    /// Whether no part is held.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().parts.is_empty()
    }

    /// An error about this object.
    pub(super) fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).with_operation("GetObject").with_key(self.object.key.as_str().to_owned())
    }
}

/// Whether a recorded load may still want a part that no program has read to its end.
fn is_planned(goals: &Goals, part: &Part) -> bool {
    part.is_ahead() && goals.of(Why::Recorded) != Goal::None && !part.is_lost()
}

/// What remains of an object that is not open any more.
pub(super) struct Closed {
    /// Parts that stay for the next open, and are not among those that may be given up yet.
    pub(super) kept: Vec<Arc<Part>>,
    /// Of these, those that no program has read, and that nothing says will be.
    pub(super) unread: Vec<Arc<Part>>,
    /// Parts to be dropped, outside of all locks: giving memory back to the system takes milliseconds.
    pub(super) gone: Vec<Arc<Part>>,
    /// Bytes asked for since it was opened.
    pub(super) asked_bytes: u64,
}

impl State {
    /// Of an object of which nothing is held.
    fn new(object: &Object, streams: Streams, format: Option<Format>) -> Self {
        let mut state = State {
            parts: BTreeMap::new(),
            passed_on: Stretches::default(),
            streams,
            goals: Goals::default(),
            asked: 0,
            header_parse: HeaderParse::Done,
            look_ups: LookUps::default(),
            asked_bytes: 0,
            swept_bytes: 0,
            marks: Marks::new(object),
            crc64: None,
            coverage: Checksums::default(),
            good: Checksums::default(),
            verified: false,
            refetched: false,
            broken: None,
        };
        if let Some(format) = format {
            state.needs_header(format, object.size, Some(format.least_bytes()));
        }
        state
    }

    fn insert(&mut self, range: ByteRange, origin: Origin, grant: Grant) -> FetchOrder {
        let part = Part::new(range, origin, grant.budget().metrics());
        self.parts.insert(range.start, part.clone());
        FetchOrder { part, grant, at_once_bytes: 0 }
    }

    /// Whether all bytes of a read are held or on their way.
    fn is_held(&self, read: ByteRange) -> bool {
        self.first_hole(read.start, read.end).is_none() && !self.passed_on.has_some(read)
    }

    /// Whether all bytes of a read are held, by the kernel if not here, and were handed out before.
    fn was_handed_out(&self, read: ByteRange) -> bool {
        let mut at = read.start;
        while at < read.end {
            if let Some(stretch) = self.passed_on.around(at) {
                at = stretch.end;
                continue;
            }
            let Some((_, part)) = self.parts.range(..=at).next_back() else { return false };
            if part.range.end <= at || !part.was_handed_out(read.intersect(part.range)) {
                return false;
            }
            at = part.range.end;
        }
        true
    }

    fn part_at(&self, at: u64) -> Option<Arc<Part>> {
        let (_, part) = self.parts.range(..=at).next_back()?;
        (at < part.range.end).then(|| part.clone())
    }

    /// How much of what was fetched ahead of a reader has come, in parts that are complete.
    fn arrived_bytes(&self, ahead: ByteRange) -> u64 {
        let parts = self.parts.range(..ahead.end).rev().map(|(_, part)| part);
        let parts = parts.take_while(|part| part.range.end > ahead.start).filter(|part| part.is_complete());
        parts.map(|part| part.range.intersect(ahead).len()).sum()
    }

    /// GETs ahead of a reader that have not ended.
    fn running(&self, ahead: ByteRange) -> usize {
        let parts = self.parts.range(..ahead.end).rev().map(|(_, part)| part);
        let parts = parts.take_while(|part| part.range.end > ahead.start);
        parts.filter(|part| part.is_ahead() && part.is_running()).count()
    }

    /// What neither a part nor the kernel holds around an offset that neither holds.
    fn hole_around(&self, at: u64, size: u64) -> ByteRange {
        let start = self.parts.range(..=at).next_back().map_or(0, |(_, part)| part.range.end);
        let end = self.parts.range(at..).next().map_or(size, |(&start, _)| start);
        ByteRange::new(start, end).intersect(self.passed_on.hole_around(at))
    }

    /// The first stretch at or after `from` that neither a part nor the kernel holds.
    fn first_hole(&self, mut from: u64, size: u64) -> Option<ByteRange> {
        loop {
            let before = self.parts.range(..=from).next_back();
            let held = before.into_iter().chain(self.parts.range(from + 1..)).map(|(_, part)| part.range);
            let hole = planner::first_gap(ByteRange::new(from.min(size), size), held)?;
            let Some(passed_on) = self.passed_on.around(hole.start) else {
                return Some(hole.intersect(self.passed_on.hole_around(hole.start)));
            };
            from = passed_on.end;
        }
    }
}
