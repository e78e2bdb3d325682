//! What to fetch before it is asked for: the windows of readers, files opened and not read yet, what the header of a
//! model says will be wanted, what a recorded load wanted, and files that will probably be opened.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{FetchOrder, HeaderParse, Inode, State};
use crate::base::ByteRange;
use crate::read::Prefetch;
use crate::read::budget::{Budget, Priority};
use crate::read::credit::Credit;
use crate::read::layout::{Format, Layout};
use crate::read::part::Origin;
use crate::read::plan::{Fetch, Plan};
use crate::read::planner;
use crate::read::pool::capacity_for;
use crate::read::slice::Slice;
use crate::read::stream::Stream;
use crate::read::streams::{Most, Wanted};
use crate::read::tensors::{Forecast, Touch};
use crate::read::why::{Cost, Cut, Goal, Queue, Why};

/// What a turn of an inode brings.
pub(in crate::read) enum Next {
    /// Nothing is wanted for now.
    Nothing,
    /// More memory at this priority is wanted first.
    Lacking(u64, Priority),
    /// Something is wanted, once fewer bytes are held that no program has asked for.
    Withheld,
    /// This part is to be fetched.
    Fetch(FetchOrder),
}

/// What bounds a turn.
pub(in crate::read) struct Terms<'a> {
    /// The largest window that a stream may have.
    pub(in crate::read) most: Most,
    pub(in crate::read) budget: &'a Arc<Budget>,
    pub(in crate::read) credit: &'a Credit,
    /// Milliseconds on the reader's clock.
    pub(in crate::read) now_ms: u64,
}

/// A part that is wanted and has no memory yet.
struct Candidate {
    why: Why,
    range: ByteRange,
    memory: Priority,
    /// The window that it lies in, if it is wanted for one.
    window: Option<Wanted>,
    /// Whether it does not lie where the goal of its reason has come to.
    keeps_goal: bool,
}

impl Candidate {
    fn new(why: Why, range: ByteRange) -> Self {
        Candidate { why, range, memory: why.row().memory, window: None, keeps_goal: false }
    }
}

impl Inode {
    /// Whether some window is not full.
    pub(in crate::read) fn wants_more(&self, most: Most) -> bool {
        let state = self.state.lock();
        let is_guided = self.is_guided.load(Ordering::Relaxed);
        let streams = &state.streams;
        state.broken.is_none() && !is_guided && (!streams.wanted(most).is_empty() || streams.next_run().is_some())
    }

    /// Whether a GET that ends makes room for another one ahead of the same reader.
    pub(in crate::read) fn fetches_few_at_once(&self) -> bool {
        self.prefetch_parts.is_some()
    }

    /// Fetching may begin for this reason, from the first byte, unless it has.
    pub(in crate::read) fn begin(&self, why: Why) {
        self.state.lock().goals.begin(why);
    }

    /// Fetching for this reason begins from the first byte, also where that was done before.
    pub(in crate::read) fn begin_anew(&self, why: Why) {
        self.state.lock().goals.set(why, Goal::Below(0));
    }

    /// Whether something was fetched for this reason.
    pub(in crate::read) fn has_begun(&self, why: Why) -> bool {
        !matches!(self.state.lock().goals.of(why), Goal::None | Goal::Below(0))
    }

    /// The next part to fetch for this reason, with its memory. `within` says which bytes are wanted, where the reason
    /// does not.
    pub(in crate::read) fn next(&self, why: Why, within: Option<ByteRange>, terms: &Terms<'_>) -> Next {
        let mut state = self.state.lock();
        if state.broken.is_some() {
            return Next::Nothing;
        }
        let candidate = match why.row().queue {
            // Objects that are read share what is fetched of all of them: windows first, one part each.
            Queue::Readers => {
                self.in_window(&mut state, terms.most).or_else(|| self.toward_whole(&mut state, terms.most))
            }
            Queue::Wholes => self.toward_whole(&mut state, terms.most),
            Queue::Steps => within.and_then(|within| self.in_stretch(&state, why, within)),
            Queue::Guesses => self.before_open(&state, why),
        };
        let queue = why.row().queue;
        let Some(Candidate { why, range, memory, window, keeps_goal }) = candidate else { return Next::Nothing };
        let bytes = capacity_for(range.len());
        let Some(grant) = terms.budget.reserve(bytes, memory) else {
            // What is wanted of all of it waits in its own queue, and must not hold up the windows of other readers.
            return if why.row().queue == queue { Next::Lacking(bytes, memory) } else { Next::Nothing };
        };
        let limit_bytes = terms.budget.limit_bytes();
        if why.row().cost == Cost::Charged && !terms.credit.charge(self.object.ino, bytes, terms.now_ms, limit_bytes) {
            return Next::Withheld;
        }
        match window {
            Some(window) => state.streams.fetched(&window, range.end),
            None if keeps_goal => {}
            None => state.goals.set(why, Goal::Below(range.end)),
        }
        if why.row().queue == Queue::Wholes {
            state.swept_bytes += range.len();
        }
        Next::Fetch(state.insert(range, Origin::Ahead(why), grant))
    }

    /// The next part ahead of the readers.
    fn in_window(&self, state: &mut State, most: Most) -> Option<Candidate> {
        // A reader that has closed the object gets no more until it comes back.
        if self.is_guided.load(Ordering::Relaxed) || self.handles.load(Ordering::Relaxed) == 0 {
            return None;
        }
        for wanted in state.streams.wanted(most) {
            let hole = state.first_hole(wanted.range.start, self.object.size);
            let Some(hole) = hole.filter(|hole| hole.start < wanted.range.end) else {
                state.streams.fetched(&wanted, wanted.range.end);
                continue;
            };
            if self.prefetch_parts.is_some_and(|most| state.running(state.streams.ahead(&wanted)) >= most) {
                continue;
            }
            let part_bytes = self.part_bytes_in_window(state, &wanted);
            let Some(range) = planner::ahead(hole, wanted.range.end, part_bytes) else { continue };
            let memory = if wanted.proven { Why::Window.row().memory } else { Priority::Speculation };
            return Some(Candidate { memory, window: Some(wanted), ..Candidate::new(Why::Window, range) });
        }
        self.in_next_run(state)
    }

    /// How long the next GET of a window is. A reader that has half of its window before it waits for no byte, so that
    /// longer GETs, of which fewer are needed, cost it nothing.
    fn part_bytes_in_window(&self, state: &State, wanted: &Wanted) -> u64 {
        let ahead = state.streams.ahead(wanted);
        let window_bytes = wanted.range.end.saturating_sub(ahead.start);
        let is_long = window_bytes >= self.tuning.long_part_window_bytes;
        if is_long && state.arrived_bytes(ahead) >= window_bytes / 2 {
            self.max_part_bytes.max(wanted.part_bytes)
        } else {
            wanted.part_bytes
        }
    }

    /// The next part of the runs that are to follow.
    fn in_next_run(&self, state: &mut State) -> Option<Candidate> {
        while let Some(run) = state.streams.next_run() {
            let part_bytes = self.max_part_bytes.min(self.tuning.large_request_part_bytes);
            if let Some(range) = state.part_from(run.start, run.end.min(self.object.size), part_bytes) {
                let memory = Priority::Speculation;
                return Some(Candidate { memory, keeps_goal: true, ..Candidate::new(Why::Window, range) });
            }
            state.streams.run_fetched();
        }
        None
    }

    /// The next part of an object of which all is wanted.
    fn toward_whole(&self, state: &mut State, most: Most) -> Option<Candidate> {
        for (why, from) in state.goals.whole_on_its_way() {
            let forecast = (why == Why::Model).then(|| state.streams.forecast());
            if let Some(Forecast::Tensors(tensors)) = &forecast {
                let part_bytes = self.part_bytes(why).min(self.tuning.large_request_part_bytes);
                let parts =
                    |tensor: &ByteRange| state.part_from(tensor.start, tensor.end.min(self.object.size), part_bytes);
                match tensors.iter().find_map(parts) {
                    Some(range) => return Some(Candidate { keeps_goal: true, ..Candidate::new(why, range) }),
                    None => continue,
                }
            }
            let most_bytes = self.most_swept_bytes(state, why, forecast.as_ref());
            let window_bytes = most_bytes.saturating_sub(state.asked_bytes);
            let part_bytes = match why {
                // What is wanted next may be in it.
                Why::Model => Stream::part_bytes(window_bytes, self.part_bytes(why), &self.tuning),
                _ => self.part_bytes(why),
            };
            if state.swept_bytes.saturating_add(part_bytes) > most_bytes {
                continue;
            }
            // Readers that go on from the middle of a model may come to what lies before it later.
            let (first, end) = match forecast {
                // It may end anywhere.
                Some(Forecast::InOrder { from }) => (from, state.streams.end_in_order(from, most.worth_bytes)),
                Some(Forecast::Rest { from, .. }) => (from, u64::MAX),
                _ => (0, u64::MAX),
            };
            let next = match why {
                Why::Model => state.unread_part_from(from.max(first), part_bytes),
                _ => state.part_from(from, self.object.size, part_bytes),
            };
            match next {
                Some(range) if range.start >= end => continue,
                Some(range) => return Some(Candidate { keeps_goal: first > 0, ..Candidate::new(why, range) }),
                None if first > 0 => continue,
                None => state.goals.set(why, Goal::Reached),
            }
        }
        None
    }

    /// How much may be fetched because all of the object is likely to be wanted.
    fn most_swept_bytes(&self, state: &State, why: Why, forecast: Option<&Forecast>) -> u64 {
        let halves = match (why, forecast) {
            (_, Some(Forecast::Rest { halves, .. })) => *halves,
            (_, Some(Forecast::Nothing | Forecast::Tensors(_))) => 0,
            (_, Some(Forecast::InOrder { .. })) => {
                // It may end anywhere.
                let ahead_bytes = state.asked_bytes / self.tuning.sweep_share + self.tuning.sweep_ahead_bytes;
                return state.asked_bytes.saturating_add(ahead_bytes);
            }
            // Also where the option was set otherwise since the object was opened.
            (Why::Opened, _) if !self.prefetch.is(Prefetch::Open) => 2 * self.tuning.sweep_growth,
            _ => return u64::MAX,
        };
        (state.asked_bytes / 2).saturating_mul(halves)
    }

    /// The next part of a stretch. Small objects come whole, and are checked before they are handed out.
    fn in_stretch(&self, state: &State, why: Why, within: ByteRange) -> Option<Candidate> {
        let within = if state.streams.come_whole() { ByteRange::new(0, self.object.size) } else { within };
        let range = state.part_from(within.start, within.end, self.part_bytes(why))?;
        Some(Candidate::new(why, range))
    }

    /// The next part of an object that nothing has opened yet. Once it is open its readers say what they want.
    fn before_open(&self, state: &State, why: Why) -> Option<Candidate> {
        let Goal::Below(from) = state.goals.of(why) else { return None };
        let is_open = self.handles.load(Ordering::Relaxed) > 0;
        let range = state.part_from(from, self.object.size, self.part_bytes(why)).filter(|_| !is_open)?;
        Some(Candidate::new(why, range))
    }

    fn part_bytes(&self, why: Why) -> u64 {
        match why.row().cut {
            Cut::Long => self.max_part_bytes,
            Cut::Short => self.max_part_bytes.min(self.tuning.short_part_bytes),
        }
    }

    /// The plan for a read if a recorded load says that all bytes below `end` will be wanted.
    pub(in crate::read) fn guided(&self, plan: Plan, read: ByteRange, end: u64) -> Plan {
        let end = end.min(read.start.saturating_add(self.tuning.short_part_bytes));
        let fetch = if self.state.lock().streams.come_whole() { plan.fetch } else { Fetch::Until { end } };
        Plan { fetch, wants_more: false, ..plan }
    }

    /// What must be known of a model's layout next, if all of it is there, and what is there beside it, up to a length
    /// that is looked at in no time. Answer with [`Inode::header_parsed`].
    pub(in crate::read) fn header_to_parse(&self) -> Option<(Format, Slice)> {
        let format = self.format?;
        let mut state = self.state.lock();
        let HeaderParse::Needs(need) = state.header_parse else { return None };
        let (mut parts, mut at) = (Vec::new(), need.start);
        while at < need.end {
            let part = state.part_at(at).filter(|part| part.has(ByteRange::new(at, need.end)))?;
            at = part.range.end;
            parts.push(part);
        }
        let (first, last) = (parts.first()?, parts.last()?);
        let known = ByteRange::new(first.range.start, last.range.start + last.head().len() as u64);
        let looked_at = format.place(need.len().max(self.tuning.short_layout_bytes), self.object.size);
        state.header_parse = HeaderParse::Busy(need);
        Some((format, Slice::new(&parts, known.intersect(looked_at))))
    }

    /// What the header said.
    pub(in crate::read) fn header_parsed(&self, format: Format, layout: Layout) {
        let mut state = self.state.lock();
        let mut need = None;
        match layout {
            Layout::Unfinished(bytes) => need = Some(bytes),
            Layout::Tensors(tensors) => state.streams.learn(tensors, Touch::Wants),
            Layout::Members(members) => state.streams.learn(members, Touch::Looks),
            Layout::Unknown => {}
        }
        state.needs_header(format, self.object.size, need);
    }
}

impl State {
    /// So many bytes must be known to tell more of an object of `size` bytes; `None` where there is no more to tell.
    pub(super) fn needs_header(&mut self, format: Format, size: u64, bytes: Option<u64>) {
        self.header_parse = bytes.map_or(HeaderParse::Done, |bytes| HeaderParse::Needs(format.place(bytes, size)));
        self.streams.awaits_header(bytes.filter(|_| format.has_header()));
    }

    /// The next part where all between two offsets is to be fetched, in parts of `part_bytes`.
    fn part_from(&self, from: u64, end: u64, part_bytes: u64) -> Option<ByteRange> {
        planner::ahead(self.first_hole(from, end)?, end, part_bytes)
    }

    /// The same without what was read of a model and may have been evicted since: it would be fetched in vain.
    fn unread_part_from(&self, mut from: u64, part_bytes: u64) -> Option<ByteRange> {
        loop {
            let unread = self.streams.unread(from);
            if unread.is_empty() {
                return None;
            }
            match self.part_from(unread.start, unread.end, part_bytes) {
                None => from = unread.end,
                next => return next,
            }
        }
    }
}
