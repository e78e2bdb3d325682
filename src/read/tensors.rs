//! Predicting the reads of a model file from its layout: a program that begins a tensor reads it to its end, and the
//! order of the tensors begun so far predicts the next ones.
//!
//! The order in which tensors are begun is a hypothesis about those to come: one after the other, every eighth, or any.
//! It is widened as it proves right, and dropped with the first tensor that contradicts it.
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

/// Which page of a tensor a read has come for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    First,
    Last,
}

impl Tensors {
    /// The header was read: these are the tensors, in order.
    pub(super) fn learn(&mut self, ranges: Vec<ByteRange>, tuning: &Tuning) {
        let is_long = |range: &ByteRange| range.len() >= tuning.tensor_least_bytes;
        let tensor = |range| SeenTensor { range, read_bytes: 0, is_wanted: false, is_begun: false };
        self.tensors = ranges.into_iter().filter(is_long).map(tensor).collect();
        let bytes: u64 = self.tensors.iter().map(|tensor| tensor.range.len()).sum();
        self.are_short = bytes < tuning.tensor_short_bytes * self.tensors.len() as u64;
    }

    /// Whether nothing is known of any.
    pub(super) fn are_unknown(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Takes in a read. Where a reader comes for a tensor, says which.
    pub(super) fn observe(&mut self, read: ByteRange, approach: Approach, tuning: &Tuning) -> Option<ByteRange> {
        for (range, bytes) in &mut self.open {
            *bytes += range.intersect(read).len();
        }
        let promised = match approach {
            Approach::Jumps(all) if self.are_read_whole(tuning) => {
                self.wanted(all, tuning).and_then(|(place, page)| self.promise(place, page, all, tuning))
            }
            _ => None,
        };
        if read.start == self.trail.end && read.end - self.trail.start <= tuning.tensor_entered_bytes {
            // The kernel has read on. It is refused that where programs skip what lies there.
            let is_refused = approach != Approach::Joins && self.skip(read, tuning);
            self.trail.end = if is_refused { self.trail.end } else { read.end };
        } else if approach == Approach::GoesOn {
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
                self.lead_bytes = range.start - read.start;
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
        let tensor = &mut self.tensors[place];
        let len = tensor.range.len();
        let is_in = tensor.is_wanted || len >= tuning.tensor_entered_bytes;
        if is_in && !tensor.is_begun && tensor.read_bytes >= len.min(tuning.tensor_entered_bytes) {
            tensor.is_begun = true;
            self.begin(place as u64, tuning);
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
        if position.saturating_sub(self.tensors[first.min(place)].range.end) >= tuning.tensor_entered_bytes {
            return u64::MAX;
        }
        // What has come of it may be what the kernel reads ahead.
        if is_wanted || is_begun || start > range.start { range.end } else { range.start }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Ten tensors of 10 MiB behind a header of one.
    fn tensors() -> Tensors {
        let mut tensors = Tensors::default();
        tensors.learn((0..10).map(|i| ByteRange::at((1 + 10 * i) * MIB, 10 * MIB)).collect(), &Tuning::default());
        tensors
    }

    /// A read that begins where no other has ended; which tensor it has come for.
    fn jump(tensors: &mut Tensors, read: ByteRange) -> Option<ByteRange> {
        tensors.observe(read, Approach::Jumps(read), &Tuning::default())
    }

    /// Where the tensor ends that this read has come for, in MiB.
    fn read(tensors: &mut Tensors, mib: u64) -> Option<u64> {
        jump(tensors, ByteRange::at(mib * MIB, MIB)).map(|tensor| tensor.end / MIB)
    }

    /// The same for a fault on the last page before this place, or the first one behind it.
    fn fault(tensors: &mut Tensors, mib: u64) -> Option<u64> {
        let around = ByteRange::at(mib * MIB - MIB / 2, MIB);
        jump(tensors, around).map(|tensor| tensor.end / MIB)
    }

    #[test]
    fn who_comes_for_a_tensor_wants_the_rest() {
        let mut tensors = tensors();
        assert_eq!([0, 31, 32, 45, 99].map(|mib| read(&mut tensors, mib)), [None, Some(41), None, None, None]);
        assert!(!tensors.are_more_wanted(&Tuning::default()));
        assert_eq!(jump(&mut Tensors::default(), ByteRange::at(0, MIB)), None);
    }

    #[test]
    fn the_page_on_a_border_is_of_the_tensor_that_was_begun() {
        let mut tensors = tensors();
        // The second tensor: its first page, its last one, then the middle.
        assert_eq!([11, 21].map(|mib| fault(&mut tensors, mib)), [Some(21), Some(21)]);
        assert_eq!([19, 18, 17].map(|mib| read(&mut tensors, mib)), [None; 3]);
        // Of the third one the first page is there.
        assert_eq!(fault(&mut tensors, 31), Some(31));
        assert_eq!([22, 23].map(|mib| read(&mut tensors, mib)), [None; 2]);
        assert!(tensors.are_more_wanted(&Tuning::default()));
        // The last one.
        assert_eq!(fault(&mut tensors, 91), Some(101));
        assert_eq!(read(&mut tensors, 100), Some(101));
    }

    #[test]
    fn windows_end_with_the_tensor_that_is_wanted() {
        let (mut tensors, tuning) = (tensors(), Tuning::default());
        let bound = |tensors: &Tensors, start, position| tensors.bound(start * MIB, position * MIB, &tuning) / MIB;
        assert_eq!(bound(&tensors, 0, 1), 1, "the header");
        assert_eq!(bound(&tensors, 10, 12), 11, "what the kernel has read ahead");
        assert_eq!(bound(&tensors, 13, 14), 21, "a part of a tensor");
        fault(&mut tensors, 11);
        assert_eq!(bound(&tensors, 10, 12), 21, "one that is wanted");
        assert_eq!(bound(&tensors, 11, 22), 21, "it may be read ahead");
        assert_eq!(bound(&tensors, 11, 23), u64::MAX / MIB, "and who goes on may go on");
    }

    #[test]
    fn tensors_to_come_follow_from_those_begun() {
        let tuning = Tuning::default();
        let range = |place: u64| ByteRange::at((1 + 2 * place) * MIB, 2 * MIB);
        let forecast = |places: &[u64]| {
            let mut tensors = Tensors::default();
            tensors.learn((0..100).map(range).collect(), &tuning);
            for place in places {
                jump(&mut tensors, range(*place));
            }
            match tensors.forecast(&tuning) {
                Forecast::Nothing => "-".to_owned(),
                Forecast::Rest { halves, .. } => format!("{halves}/2"),
                Forecast::InOrder { .. } => "in order".to_owned(),
                Forecast::Tensors(ranges) => {
                    format!("{:?}", ranges.iter().map(|range| (range.start / MIB - 1) / 2).collect::<Vec<_>>())
                }
            }
        };
        for (places, expected) in [
            (&[7][..], "-"),
            (&[0, 8], "0/2"),
            (&[0, 8, 16], "[24, 32, 40]"),
            (&[0, 8, 16, 24], "[32, 40, 48, 56, 64, 72, 80]"),
            (&[64, 80, 96], "[]"),
            (&[90, 80, 70], "[60, 50, 40]"),
            // One that does not fit, and all has to be proved anew.
            (&[0, 8, 16, 24, 25], "-"),
            (&[0, 8, 16, 24, 25, 33], "0/2"),
            (&[3, 50, 20], "0/2"),
            (&[5, 17, 18, 40], "0/2"),
            (&[3, 50, 20, 90, 1], "1/2"),
            (&[3, 50, 20, 90, 1, 33, 34], "4/2"),
            (&[3, 4], "4/2"),
            (&[3, 4, 5], "in order"),
            (&[3, 3, 3], "-"),
        ] {
            assert_eq!(forecast(places), expected, "{places:?}");
        }
    }

    #[test]
    fn short_tensors_are_begun_where_a_reader_has_come_for_them() {
        let (mut tensors, tuning) = (Tensors::default(), Tuning::default());
        tensors.learn((0..100).map(|place| ByteRange::at((1 + place) * MIB, MIB)).collect(), &tuning);
        for place in [0, 8, 16] {
            // A page fault, and what the kernel reads on: half of both neighbours comes, too.
            let around = ByteRange::at((1 + place) * MIB - MIB / 2, MIB);
            jump(&mut tensors, around);
            tensors.observe(ByteRange::at(around.end, MIB), Approach::GoesOn, &tuning);
        }
        let next = |place: u64| ByteRange::new((1 + place) * MIB - MIB / 2, (2 + place) * MIB + MIB / 2);
        assert_eq!(tensors.forecast(&tuning), Forecast::Tensors([24, 32, 40].map(next).to_vec()));
        assert_eq!(tensors.end_of_fetch(5 * MIB, &tuning), 5 * MIB + MIB / 2, "and no more");
    }

    #[test]
    fn of_what_the_kernel_is_refused_piece_by_piece_a_part_of_one_is_fetched() {
        let tuning = Tuning::default();
        let range = |place: u64| ByteRange::at((1 + place) * MIB, MIB);
        for (lead_bytes, piece_bytes) in [(MIB / 2, MIB / 8), (0, 0)] {
            let mut tensors = Tensors::default();
            tensors.learn((0..100).map(range).collect(), &tuning);
            for tensor in [0, 8, 16].map(range) {
                let read = ByteRange::at(tensor.start - lead_bytes, MIB);
                jump(&mut tensors, read);
                tensors.observe(ByteRange::new(read.end, tensor.end + lead_bytes), Approach::GoesOn, &tuning);
                assert!(!tensors.skip_piece(ByteRange::at(tensor.end - PAGE_BYTES, 2 * PAGE_BYTES), &tuning));
            }
            assert!(tensors.skip_piece(ByteRange::at(range(23).start, MIB), &tuning));
            let next = |place| ByteRange::new(range(place).start - piece_bytes, range(place).end + piece_bytes);
            assert_eq!(tensors.forecast(&tuning), Forecast::Tensors([24, 32, 40].map(next).to_vec()));
            assert_eq!(tensors.end_of_fetch(50 * MIB, &tuning), 50 * MIB + piece_bytes);
            // The read that holds its beginning has come for it, wherever in the read that is.
            for lead_bytes in [MIB / 8, 3 * MIB / 16, MIB / 4] {
                let read = ByteRange::at(range(24).start - lead_bytes, MIB / 2);
                assert_eq!(jump(&mut tensors, read), Some(range(24)));
                let Forecast::Tensors(foretold) = tensors.forecast(&tuning) else { panic!("nothing is foretold") };
                assert_eq!(foretold[0].start, range(24).start - lead_bytes, "as much as of the last one");
            }
            // What is in the middle of another read is nothing that a program waits for, but a page by itself is.
            assert_eq!(jump(&mut tensors, ByteRange::at(range(31).start - MIB / 2, MIB)), None);
            assert_eq!(jump(&mut tensors, ByteRange::at(range(31).start, PAGE_BYTES)), Some(range(31)));
        }
    }

    #[test]
    fn what_is_refused_behind_a_tensor_is_not_fetched() {
        let tuning = Tuning::default();
        let range = |place: u64| ByteRange::at((1 + 4 * place) * MIB, 4 * MIB);
        for (behind_bytes, fetched_bytes) in [(MIB / 2, MIB / 2), (MIB, 0), (3 * MIB / 2, MIB / 2)] {
            let mut tensors = Tensors::default();
            tensors.learn((0..100).map(range).collect(), &tuning);
            for place in [0, 8, 16] {
                jump(&mut tensors, range(place));
                let last = ByteRange::new(range(place).end - PAGE_BYTES, range(place).end + behind_bytes);
                tensors.observe(last, Approach::GoesOn, &tuning);
            }
            let next = |place: u64| ByteRange::new(range(place).start, range(place).end + fetched_bytes);
            assert_eq!(tensors.forecast(&tuning), Forecast::Tensors([24, 32, 40].map(next).to_vec()), "{behind_bytes}");
        }
    }

    #[test]
    fn what_lies_between_tensors_at_equal_distances_is_left_out() {
        let tuning = Tuning::default();
        // Of so many MiB each.
        let skipped = |mib: u64, places: [u64; 3]| {
            let mut tensors = Tensors::default();
            let start = |place: u64| (1 + mib * place) * MIB;
            tensors.learn((0..100).map(|place| ByteRange::at(start(place), mib * MIB)).collect(), &tuning);
            for place in places {
                let around = ByteRange::at(start(place) - MIB / 2, MIB);
                jump(&mut tensors, around);
                for ahead in 0..mib {
                    tensors.observe(ByteRange::at(around.end + ahead * MIB, MIB), Approach::GoesOn, &tuning);
                }
            }
            let is_skipped = |place: &u64| tensors.skip(ByteRange::at(start(*place) + MIB / 2, MIB), &tuning);
            (16..26).filter(is_skipped).collect::<Vec<_>>()
        };
        assert_eq!(
            skipped(1, [0, 8, 16]),
            [17, 18, 19, 20, 21, 22, 25],
            "not 16, which is read, nor 24, which is next"
        );
        assert_eq!(skipped(4, [0, 8, 16]), [17, 18, 19, 20, 21, 22, 23, 25]);
        assert_eq!(skipped(4, [0, 1, 2]), [0; 0]);
        assert_eq!(skipped(1, [0, 8, 40]), [0; 0], "these are at no equal distances");
    }

    #[test]
    fn who_leaves_tensors_halfway_is_not_believed_for_long() {
        let (mut tensors, tuning) = (tensors(), Tuning::default());
        let promised: Vec<bool> = (0..30).map(|i| read(&mut tensors, 1 + i % 10 * 10).is_some()).collect();
        assert_eq!(
            promised.iter().rposition(|&promised| promised),
            Some((tuning.open_promises + tuning.broken_promises) as usize - 1)
        );
        assert!(!tensors.are_more_wanted(&Tuning::default()));
    }

    #[test]
    fn who_reads_them_whole_in_any_order_is() {
        let mut tensors = tensors();
        for round in 0..5u64 {
            for i in [3, 9, 1, 0, 4, 2, 8, 5, 7, 6] {
                assert!(read(&mut tensors, 1 + 10 * i).is_some(), "{round} {i}");
                for mib in 2..=10 {
                    read(&mut tensors, mib + 10 * i);
                }
            }
        }
        assert!(tensors.are_more_wanted(&Tuning::default()));
    }
}
