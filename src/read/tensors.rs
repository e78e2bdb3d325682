//! Predicting the reads of a model file from its layout: a program that begins a tensor reads it to its end, and the
//! order of the tensors begun so far predicts the next ones.
//!
//! The order in which tensors are begun is a hypothesis about those to come: one after the other, every eighth, or any.
//! It is widened as it proves right, and dropped with the first tensor that contradicts it.
//!
//! Of a member of an archive, the first look says nothing: programs look at the header of each. Who comes to it again
//! reads it to its end.
//!
//! Kept only as long as readers keep to it. A rank that takes a slice of each tensor, or a program that looks at
//! metadata alone, breaks the promise a few times, and is then read for like any other reader.

use std::collections::VecDeque;

use super::steps::{Distance, Steps};
use super::stream::{Approach, GRAIN_BYTES};
use super::tuning::Tuning;
use crate::base::{ByteRange, PAGE_BYTES, READAHEAD_BYTES};

/// Which tensors will be begun next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Forecast {
    /// That cannot be told.
    Nothing,
    /// All others, in an order that cannot be told: so many halves of what was asked for may be fetched for that, from
    /// this offset on.
    Rest { halves: u64, from: u64 },
    /// All that lie behind the last one, in order: from this offset on.
    InOrder { from: u64 },
    /// These, in this order.
    Tensors(Vec<ByteRange>),
}

/// The tensors of an object that are long enough to be told apart, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    /// In order, without overlap. Empty while nothing is known.
    tensors: Vec<SeenTensor>,
    /// The places of those begun, one after the other.
    steps: Steps,
    /// So many bytes before it the read began that began the last one: what the kernel reads around a page fault.
    lead_bytes: u64,
    /// What was read behind the last one, and how much behind the one before.
    trail: ByteRange,
    trail_before_bytes: u64,
    /// Whether they are so short that a megabyte more of each would be a large part.
    are_short: bool,
    /// What it means that a reader comes for one.
    touch: Touch,
    /// Whether the kernel asks for them in pieces, each of which may be refused by itself.
    come_in_pieces: bool,
    /// Tensors begun since a pattern was contradicted.
    begun: u64,
    /// The latest promises, each with the bytes read of it since.
    open: VecDeque<(ByteRange, u64)>,
    broken: u32,
}

/// A tensor, and how much of it was read.
#[derive(Debug)]
struct SeenTensor {
    range: ByteRange,
    /// Bytes read of it, at most its length.
    read_bytes: u64,
    /// Whether a reader has come for it: its first or its last page was wanted.
    is_wanted: bool,
    /// Whether so much of it was read that a reader is in it.
    is_begun: bool,
    /// Whether a read has begun where it does.
    is_looked_at: bool,
}

impl SeenTensor {
    /// Whether it was read whole, and this read has brought its end and something behind it.
    fn is_read_up_to(&self, read: ByteRange) -> bool {
        self.read_bytes == self.range.len() && (read.start..read.end).contains(&self.range.end)
    }

    fn is_partly_read(&self) -> bool {
        (1..self.range.len()).contains(&self.read_bytes)
    }
}

/// What it means that a reader has come for the beginning or the end of a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Touch {
    /// That it wants all of it.
    #[default]
    Wants,
    /// Nothing the first time: programs look at the header of each.
    Looks,
}

/// Which page of a tensor a read has come for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    First,
    Last,
}

impl Tensors {
    /// The header was read: these are the tensors, in order.
    pub(super) fn learn(&mut self, ranges: Vec<ByteRange>, touch: Touch, tuning: &Tuning) {
        self.touch = touch;
        let is_long = |range: &ByteRange| range.len() >= tuning.tensor_least_bytes;
        let tensor =
            |range| SeenTensor { range, read_bytes: 0, is_wanted: false, is_begun: false, is_looked_at: false };
        self.tensors = ranges.into_iter().filter(is_long).map(tensor).collect();
        let bytes: u64 = self.tensors.iter().map(|tensor| tensor.range.len()).sum();
        self.are_short = bytes < tuning.tensor_short_bytes * self.tensors.len() as u64;
    }

    /// Whether nothing is known of any.
    pub(super) fn are_unknown(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Whether it is known what readers want of them, by where they come to.
    pub(super) fn are_foretold(&self) -> bool {
        !self.are_unknown() && self.touch == Touch::Wants
    }

    /// Takes in a read. Where a reader comes for a tensor, says which.
    pub(super) fn observe(&mut self, read: ByteRange, approach: Approach, tuning: &Tuning) -> Option<ByteRange> {
        for (range, bytes) in &mut self.open {
            *bytes += range.intersect(read).len();
        }
        let all = if let Approach::Jumps(all) = approach { all } else { read };
        let wanted = match (self.touch, approach) {
            (_, Approach::Joins) | (Touch::Wants, Approach::GoesOn) => None,
            (Touch::Wants, Approach::Jumps(_)) => self.wanted(all, tuning),
            (Touch::Looks, _) => self.wanted_after_look(all, approach).map(|place| (place, Page::First)),
        };
        let wanted = wanted.filter(|_| self.are_read_whole(tuning));
        let promised = wanted.and_then(|(place, page)| self.promise(place, page, all, tuning));
        if read.start == self.trail.end && read.end - self.trail.start <= tuning.tensor_entered_bytes {
            // The kernel has read on. It is refused that where programs skip what lies there.
            let is_refused = approach != Approach::Joins && self.skip(read, tuning);
            self.trail.end = if is_refused { self.trail.end } else { read.end };
        } else if approach == Approach::GoesOn && self.touch == Touch::Wants {
            self.touched(read.start - (read.start / 4).min(READAHEAD_BYTES), tuning);
        }
        let first = self.tensors.partition_point(|tensor| tensor.range.end <= read.start);
        let behind = self.tensors.partition_point(|tensor| tensor.range.start < read.end);
        for place in first..behind {
            let Some(tensor) = self.tensors.get_mut(place) else { break };
            let len = tensor.range.len();
            tensor.read_bytes = (tensor.read_bytes + tensor.range.intersect(read).len()).min(len);
            self.enter(place, tuning);
        }
        let ended = self.tensors[first..behind].iter().rfind(|tensor| tensor.is_read_up_to(read));
        if let Some(end) = ended.map(|tensor| tensor.range.end) {
            self.trails(ByteRange::new(end, read.end));
        }
        promised
    }

    /// The tensor that a read has come for, and which page of it.
    ///
    /// A read by `pread` begins where the tensor does. For a page fault the kernel reads as much before the page as
    /// behind it, so that the page is in the middle; less where some of it is in the page cache. Programs copy out of a
    /// mapping with `memmove`, which touches the first page, then the last one, and goes on from either. The page on
    /// the border of two tensors is the last of one or the first of the other: the last where that one was begun.
    ///
    /// The next of those at equal distances is what a read has come for that holds its beginning, also where the kernel
    /// was refused what lies before that.
    fn wanted(&self, read: ByteRange, tuning: &Tuning) -> Option<(usize, Page)> {
        let first = self.tensors.partition_point(|tensor| tensor.range.start < read.start);
        let behind = self.tensors.partition_point(|tensor| tensor.range.start < read.end);
        let page = read.start + read.len() / 2 / PAGE_BYTES * PAGE_BYTES;
        let in_page = |place: &usize| (page..=page + PAGE_BYTES).contains(&self.tensors[*place].range.start);
        if first < behind && self.tensors[first].range.start < read.start + PAGE_BYTES {
            return Some((first, Page::First));
        }
        let next = self.steps.ahead(1).and_then(|place| usize::try_from(place).ok());
        if let Some(next) = next.filter(|next| (first..behind).contains(next) && self.leave_some_out(tuning)) {
            return Some((next, Page::First));
        }
        // What lies around the page was refused, so that the page is asked for by itself.
        if self.are_asked_for_alone(tuning) {
            return None;
        }
        if let Some(place) = (first..behind).find(in_page).filter(|_| read.start > 0) {
            return Some(match place.checked_sub(1) {
                Some(before) if self.tensors[before].is_partly_read() => (before, Page::Last),
                _ => (place, Page::First),
            });
        }
        // The last tensor has none behind it.
        let ends = |place: &usize| (read.start + 1..=read.end).contains(&self.tensors[*place].range.end);
        let before = first.saturating_sub(1)..behind;
        before.clone().find(ends).filter(|place| self.tensors[*place].is_partly_read()).map(|place| (place, Page::Last))
    }

    /// The member that a read has come for: one that was looked at before, and is read further now.
    ///
    /// For a page fault the kernel reads half of its readahead before the page, which may be the end of the member
    /// before it: that ends where the look of the next one has begun. And it reads on behind a member that is read to
    /// its end, which says nothing of the next.
    fn wanted_after_look(&mut self, read: ByteRange, approach: Approach) -> Option<usize> {
        let holds =
            |at: u64| self.tensors.partition_point(|member| member.range.start < at + PAGE_BYTES).checked_sub(1);
        let first = holds(read.start)?;
        let SeenTensor { range, is_looked_at, .. } = self.tensors[first];
        if read.start <= range.start && !is_looked_at {
            self.tensors[first].is_looked_at = true;
            return None;
        }
        let is_fault = approach != Approach::GoesOn && read.start >= range.start + READAHEAD_BYTES / 2;
        let place = if is_fault { holds(read.start + READAHEAD_BYTES / 2)? } else { first };
        let is_before = is_fault && place == first && read.end + PAGE_BYTES > range.end;
        let is_behind = !is_fault && first.checked_sub(1).is_some_and(|before| self.tensors[before].is_wanted);
        let SeenTensor { is_wanted, is_looked_at, .. } = self.tensors[place];
        (is_looked_at && !is_wanted && !is_before && !is_behind).then_some(place)
    }

    /// A read has come for a tensor: says which bytes of the object are promised to be read, if not all of them were.
    fn promise(&mut self, place: usize, page: Page, read: ByteRange, tuning: &Tuning) -> Option<ByteRange> {
        let tensor = self.tensors.get_mut(place)?;
        let range = tensor.range;
        if tensor.read_bytes == range.len() {
            // It is read again.
            (tensor.read_bytes, tensor.is_begun) = (0, false);
        }
        tensor.is_wanted = true;
        let rest = match page {
            Page::First => {
                self.lead_bytes = range.start.saturating_sub(read.start);
                (read.end, range.end)
            }
            Page::Last => {
                let from = range.start + tensor.read_bytes;
                self.trails(ByteRange::new(range.end, read.end));
                (from, read.start)
            }
        };
        if rest.0 >= rest.1 {
            return None;
        }
        let rest = ByteRange::new(rest.0, rest.1);
        if self.open.iter().all(|(open, _)| open.intersect(rest).is_empty()) {
            self.open.push_back((rest, 0));
        }
        if self.open.len() as u64 > tuning.open_promises {
            self.judge();
        }
        Some(range)
    }

    /// Up to where is fetched what is wanted up to here. Of long tensors, what shares the last megabyte is wanted next,
    /// or was fetched, and a part that ends there would be waited for; of short ones it is as long as they are, so only
    /// what the kernel reads behind them comes too.
    pub(super) fn end_of_fetch(&self, end: u64, tuning: &Tuning) -> u64 {
        let (trail_bytes, grain_bytes) =
            if self.are_short { (self.beside(self.trail_bytes(), tuning), PAGE_BYTES) } else { (0, GRAIN_BYTES) };
        end.saturating_add(trail_bytes).checked_next_multiple_of(grain_bytes).unwrap_or(u64::MAX)
    }

    /// This was read behind a tensor.
    fn trails(&mut self, trail: ByteRange) {
        if trail.start != self.trail.start {
            self.trail_before_bytes = std::mem::replace(&mut self.trail, trail).len();
        }
    }

    /// How much is read behind a tensor: as much as behind one of the latest two, of which one may not be at its end.
    fn trail_bytes(&self) -> u64 {
        self.trail_before_bytes.max(self.trail.len())
    }

    /// How much comes with a tensor where so much was read before or behind one. Of what the kernel is refused piece by
    /// piece, a part of the one that holds the border: as much as of the last one, unless that was not refused yet.
    fn beside(&self, bytes: u64, tuning: &Tuning) -> u64 {
        let piece_bytes = tuning.tensor_piece_bytes;
        match bytes {
            _ if bytes < PAGE_BYTES || !self.are_asked_for_alone(tuning) => bytes,
            _ if bytes > 2 * piece_bytes => piece_bytes,
            _ => bytes.max(piece_bytes),
        }
    }

    /// Whether the kernel is refused what lies beside a tensor.
    pub(super) fn are_asked_for_alone(&self, tuning: &Tuning) -> bool {
        self.come_in_pieces && self.leave_some_out(tuning)
    }

    /// A reader has come to this place at least: the kernel reads on where what it has read ahead is touched, at first
    /// in the last quarter of it.
    fn touched(&mut self, at: u64, tuning: &Tuning) {
        let behind = self.tensors.partition_point(|tensor| tensor.range.start <= at);
        let Some(place) = behind.checked_sub(1).filter(|place| at < self.tensors[*place].range.end) else { return };
        self.tensors[place].is_wanted = true;
        self.enter(place, tuning);
    }

    /// Looks whether a reader is in the tensor at this place by now. A short one may have been read by the kernel
    /// alone, ahead of a reader of its neighbour.
    fn enter(&mut self, place: usize, tuning: &Tuning) {
        let entered_bytes = self.entered_bytes(tuning);
        let tensor = &mut self.tensors[place];
        let len = tensor.range.len();
        let is_in = tensor.is_wanted || len >= tuning.tensor_entered_bytes;
        if is_in && !tensor.is_begun && tensor.read_bytes >= len.min(entered_bytes) {
            tensor.is_begun = true;
            self.begin(place as u64, tuning);
        }
    }

    /// Where so much was read of one, a reader is in it: less may be what the kernel has read ahead.
    fn entered_bytes(&self, tuning: &Tuning) -> u64 {
        match self.touch {
            Touch::Wants => tuning.tensor_entered_bytes,
            Touch::Looks => tuning.member_entered_bytes,
        }
    }

    /// Whether they are so short that what is fetched of one must end with it.
    pub(super) fn are_short(&self) -> bool {
        self.are_short
    }

    /// A reader is in the tensor at this place.
    fn begin(&mut self, place: u64, tuning: &Tuning) {
        if self.steps.last() == Some(place) {
            self.begun = self.begun.max(1);
            return;
        }
        match self.steps.come_to(place, 0) {
            // Of any three steps two may be alike.
            Distance::Other { alike } if alike > tuning.steps_alike => {
                (self.begun, self.trail, self.trail_before_bytes) = (0, ByteRange::default(), 0);
            }
            _ => {}
        }
        self.begun += 1;
    }

    /// Where the window of a reader must end that began at `start` and has come to `position`: with the tensor that it
    /// is in, unless tensors are read one after the other.
    pub(super) fn bound(&self, start: u64, position: u64, tuning: &Tuning) -> u64 {
        let is_in_order = self.steps.step() == 1 && self.are_regular(tuning);
        if self.tensors.is_empty() || is_in_order || !self.are_read_whole(tuning) {
            return u64::MAX;
        }
        let behind = self.tensors.partition_point(|tensor| tensor.range.start < position);
        let Some(place) = behind.checked_sub(1) else { return self.tensors[0].range.start };
        let SeenTensor { range, is_wanted, is_begun, .. } = self.tensors[place];
        // It has read all of the first one that it came to, and is in the next.
        let first = self.tensors.partition_point(|tensor| tensor.range.start < start);
        if position.saturating_sub(self.tensors[first.min(place)].range.end) >= self.entered_bytes(tuning) {
            return u64::MAX;
        }
        // What has come of it may be what the kernel reads ahead, or all that a program looks at.
        let is_in = self.touch == Touch::Looks && position - range.start >= tuning.member_window_bytes;
        if is_wanted || is_begun || is_in || start > range.start { range.end } else { range.start }
    }

    /// What will be wanted next, if those that are begun are read to their end.
    pub(super) fn forecast(&self, tuning: &Tuning) -> Forecast {
        if !self.are_more_wanted(tuning) {
            return Forecast::Nothing;
        }
        let is_regular = self.are_regular(tuning);
        let last = self.steps.last().and_then(|place| self.tensors.get(usize::try_from(place).ok()?));
        let last_start = last.map_or(0, |tensor| tensor.range.start);
        if is_regular && self.steps.step() == 1 {
            return Forecast::InOrder { from: last_start };
        }
        if !is_regular {
            // Four times half of what was asked for after two neighbours, and twice as much with each further one. In
            // another order more have to be begun before it is half.
            let (halves, from) = match self.steps.step() {
                1 if self.steps.alike() + 1 == self.begun => (4, last_start),
                _ => (1 << self.begun.saturating_sub(tuning.scattered_tensors).min(16) >> 1, 0),
            };
            return Forecast::Rest { halves: halves.min(2 * tuning.sweep_growth), from };
        }
        // A whole readahead behind a tensor is refused.
        let trail_bytes = match self.beside(self.trail_bytes(), tuning) {
            long if long >= READAHEAD_BYTES => long - READAHEAD_BYTES,
            short => short,
        };
        let lead_bytes = self.beside(self.lead_bytes, tuning);
        let tensor = |ahead| {
            let SeenTensor { range, .. } = self.tensors.get(usize::try_from(self.steps.ahead(ahead)?).ok()?)?;
            let end = range.end.saturating_add(trail_bytes);
            Some(ByteRange::new(range.start.saturating_sub(lead_bytes), end))
        };
        Forecast::Tensors((1..=self.steps.foreseeable(16)).map_while(tensor).collect())
    }

    /// Whether a read lies where a program that takes tensors at equal distances does not come: in none that it has
    /// begun, and in none that is foretold.
    pub(super) fn skip(&self, read: ByteRange, tuning: &Tuning) -> bool {
        if !self.leave_some_out(tuning) {
            return false;
        }
        let first = self.tensors.partition_point(|tensor| tensor.range.end <= read.start);
        let behind = self.tensors.partition_point(|tensor| tensor.range.start < read.end);
        let is_left_out = |place: u64| {
            let tensor = &self.tensors[place as usize];
            !tensor.is_wanted && !tensor.is_begun
        };
        let next = self.steps.ahead(1);
        (first as u64..behind as u64).all(|place| is_left_out(place) && next != Some(place))
    }

    /// The same of a piece of what the kernel asks for at once, which may be refused by itself.
    pub(super) fn skip_piece(&mut self, piece: ByteRange, tuning: &Tuning) -> bool {
        self.come_in_pieces = true;
        self.skip(piece, tuning)
    }

    /// The first stretch from `from` on, in an object of `size` bytes, that lies in no tensor that was read whole. It
    /// is empty where there is none.
    pub(super) fn unread(&self, from: u64, size: u64) -> ByteRange {
        let first = self.tensors.partition_point(|tensor| tensor.range.end <= from);
        let mut start = from;
        for tensor in self.tensors[first..].iter().filter(|tensor| tensor.read_bytes == tensor.range.len()) {
            if tensor.range.start > start {
                return ByteRange::new(start, tensor.range.start);
            }
            start = tensor.range.end;
        }
        ByteRange::new(start.min(size), size)
    }

    fn judge(&mut self) {
        let Some((range, bytes)) = self.open.pop_front() else { return };
        self.broken = if bytes * 2 < range.len() { self.broken + 1 } else { self.broken.saturating_sub(1) };
    }

    /// Whether they are begun at equal distances.
    fn are_regular(&self, tuning: &Tuning) -> bool {
        self.steps.alike() >= tuning.steps_alike
    }

    /// Whether they are begun at equal distances, with others between them.
    fn leave_some_out(&self, tuning: &Tuning) -> bool {
        self.are_regular(tuning) && self.steps.step().abs() != 1 && self.are_read_whole(tuning)
    }

    fn are_read_whole(&self, tuning: &Tuning) -> bool {
        u64::from(self.broken) < tuning.broken_promises
    }

    /// Whether more tensors than those begun are likely to be wanted.
    pub(super) fn are_more_wanted(&self, tuning: &Tuning) -> bool {
        self.begun >= tuning.begun_tensors && self.are_read_whole(tuning)
    }
}
