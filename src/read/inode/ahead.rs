//! What to fetch before it is asked for: the windows of readers, files opened and not read yet, what the header of a
//! model says will be wanted, what a recorded load wanted, and files that will probably be opened.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inode, Order, SMALL_BYTES, State, Study, Warmth};
use crate::base::ByteRange;
use crate::read::Prefetch;
use crate::read::budget::{Budget, Priority};
use crate::read::credit::Credit;
use crate::read::layout::{Format, Layout};
use crate::read::part::{Origin, Part};
use crate::read::planner;
use crate::read::pool::capacity_for;
use crate::read::stream::{Fetch, Most, Plan};

/// Where all of a model is likely to be wanted, so many times what was asked for is fetched at most...
const SWEEP_GROWTH: u64 = 8;
/// ... in GETs of at most this, which somebody may have to wait for.
const SWEEP_PART_BYTES: u64 = 4 << 20;

/// What to fetch next for an inode that somebody reads.
pub(in crate::read) enum Ahead {
    /// Nothing for now.
    Nothing,
    /// More memory at this priority first.
    Lacking(u64, Priority),
    /// Something, once less has been fetched for nobody.
    Withheld,
    /// This.
    Fetch(Order),
}

impl Inode {
    /// Whether some window is not full.
    pub(in crate::read) fn wants_more(&self, most: Most) -> bool {
        let state = self.state.lock();
        let is_guided = self.is_guided.load(Ordering::Relaxed);
        state.broken.is_none() && !is_guided && !state.streams.wanted(most).is_empty()
    }

    /// The next part to fetch ahead of the readers.
    pub(in crate::read) fn next_ahead(&self, most: Most, budget: &Arc<Budget>) -> Ahead {
        let mut state = self.state.lock();
        if state.broken.is_some() {
            return Ahead::Nothing;
        }
        let windows = match self.is_guided.load(Ordering::Relaxed) {
            true => Vec::new(),
            false => state.streams.wanted(most),
        };
        for wanted in windows {
            let priority = if wanted.proven { Priority::Window } else { Priority::Speculation };
            let Some(hole) = state.first_hole(wanted.range.start, self.object.size) else {
                state.streams.fetched(&wanted, wanted.range.end);
                continue;
            };
            if hole.start >= wanted.range.end {
                state.streams.fetched(&wanted, wanted.range.end);
                continue;
            }
            if self.prefetch_parts.is_some_and(|most| state.running(state.streams.ahead(&wanted)) >= most) {
                continue;
            }
            let Some(range) = planner::ahead(hole, wanted.range.end, wanted.part_bytes) else { continue };
            let bytes = capacity_for(range.len());
            let Some(grant) = budget.reserve(bytes, priority) else { return Ahead::Lacking(bytes, priority) };
            state.streams.fetched(&wanted, range.end);
            return Ahead::Fetch(state.insert(range, Origin::Ahead, grant));
        }
        self.next_warm(&mut state, budget)
    }

    /// Whether a GET that ends makes room for another one ahead of the same reader.
    pub(in crate::read) fn fetches_few_at_once(&self) -> bool {
        self.prefetch_parts.is_some()
    }

    /// The next part of a file that was opened and is fetched though nobody reads it yet.
    fn next_warm(&self, state: &mut State, budget: &Arc<Budget>) -> Ahead {
        let Warmth::Below(from) = state.warmth else { return Ahead::Nothing };
        let size = self.object.size;
        let is_swept = state.asked == 0 && !self.prefetch.is(Prefetch::Open);
        if is_swept && state.swept_bytes >= state.asked_bytes.saturating_mul(SWEEP_GROWTH) {
            return Ahead::Nothing;
        }
        let part_bytes = if is_swept { self.max_part_bytes.min(SWEEP_PART_BYTES) } else { self.max_part_bytes };
        let Some(range) = state.part_from(from, size, part_bytes) else {
            state.warmth = Warmth::Whole;
            return Ahead::Nothing;
        };
        let bytes = capacity_for(range.len());
        let Some(grant) = budget.reserve(bytes, Priority::WarmUp) else {
            return Ahead::Lacking(bytes, Priority::WarmUp);
        };
        state.warmth = Warmth::Below(range.end);
        state.swept_bytes += range.len();
        Ahead::Fetch(state.insert(range, Origin::Ahead, grant))
    }

    /// Somebody will probably open it.
    pub(in crate::read) fn expect(&self) {
        self.state.lock().expected_below = Some(0);
    }

    /// Whether something was fetched of it because it will probably be opened.
    pub(in crate::read) fn has_begun(&self) -> bool {
        self.state.lock().expected_below.is_some_and(|below| below > 0)
    }

    /// The next part of a file that nobody has opened yet. Once it is open its readers say what they want.
    pub(in crate::read) fn next_expected(&self, credit: &Credit, now_ms: u64, budget: &Arc<Budget>) -> Ahead {
        let mut state = self.state.lock();
        let is_open = self.handles.load(Ordering::Relaxed) > 0;
        let Some(from) = state.expected_below.filter(|_| !is_open && state.broken.is_none()) else {
            return Ahead::Nothing;
        };
        let size = self.object.size;
        let part_bytes = self.max_part_bytes.min(SWEEP_PART_BYTES);
        let Some(range) = state.part_from(from, size, part_bytes) else { return Ahead::Nothing };
        let bytes = capacity_for(range.len());
        let Some(grant) = budget.reserve(bytes, Priority::WarmUp) else {
            return Ahead::Lacking(bytes, Priority::WarmUp);
        };
        if !credit.charge(self.object.ino, bytes, now_ms, budget.limit_bytes()) {
            return Ahead::Withheld;
        }
        state.expected_below = Some(range.end);
        Ahead::Fetch(state.insert(range, Origin::Ahead, grant))
    }

    /// The next part of a stretch that a recorded load will want.
    pub(in crate::read) fn next_planned(&self, range: ByteRange, budget: &Arc<Budget>) -> Ahead {
        let mut state = self.state.lock();
        if state.broken.is_some() {
            return Ahead::Nothing;
        }
        // Small objects come whole, and are checked before they are handed out.
        let is_small = self.object.size <= SMALL_BYTES;
        let range = if is_small { ByteRange::new(0, self.object.size) } else { range };
        let hole = state.first_hole(range.start, range.end);
        let part_bytes = self.max_part_bytes.min(SWEEP_PART_BYTES);
        let Some(range) = hole.and_then(|hole| planner::ahead(hole, range.end, part_bytes)) else {
            return Ahead::Nothing;
        };
        let bytes = capacity_for(range.len());
        let Some(grant) = budget.reserve(bytes, Priority::WarmUp) else {
            return Ahead::Lacking(bytes, Priority::WarmUp);
        };
        self.is_planned.store(true, Ordering::Relaxed);
        Ahead::Fetch(state.insert(range, Origin::Ahead, grant))
    }

    /// What becomes of a plan for a read where a recorded load says that all below `end` will be wanted.
    pub(in crate::read) fn guided(&self, plan: Plan, read: ByteRange, end: u64) -> Plan {
        let end = end.min(read.start.saturating_add(SWEEP_PART_BYTES));
        let fetch = if self.object.size <= SMALL_BYTES { plan.fetch } else { Fetch::Until { end } };
        Plan { fetch, wants_all: false, ..plan }
    }

    /// Fetching may begin now, from the first byte.
    pub(in crate::read) fn warm_up(&self) {
        let mut state = self.state.lock();
        if state.warmth == Warmth::Cold {
            state.warmth = Warmth::Below(0);
        }
    }

    /// The parts that hold what must be known of a model's header next, if they are all there. Answer with
    /// [`Inode::studied`].
    pub(in crate::read) fn to_study(&self) -> Option<(Format, Vec<Arc<Part>>)> {
        let format = self.format?;
        let mut state = self.state.lock();
        let Study::Needs(need) = state.study else { return None };
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < need {
            let part = state.part_at(at).filter(|part| part.is_complete())?;
            at = part.range.end;
            parts.push(part);
        }
        state.study = Study::Busy;
        Some((format, parts))
    }

    /// What the header said.
    pub(in crate::read) fn studied(&self, layout: Layout) {
        let mut state = self.state.lock();
        state.study = match layout {
            Layout::Unfinished(need) => Study::Needs(need),
            Layout::Tensors(tensors) => {
                state.streams.learn(tensors);
                Study::Done
            }
            Layout::Unknown => Study::Done,
        };
    }
}

impl State {
    /// The next part where all from an offset on is to be fetched, in parts of `part_bytes`.
    fn part_from(&self, from: u64, size: u64, part_bytes: u64) -> Option<ByteRange> {
        planner::ahead(self.first_hole(from, size)?, size, part_bytes)
    }
}
