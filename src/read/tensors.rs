//! What a model file's layout promises of its reader: who begins a tensor reads it to its end, and which tensors will
//! be begun next.
//!
//! The order in which tensors are begun is a hypothesis about those to come: one after the other, every eighth, or any.
//! It is widened as it proves right, and dropped with the first tensor that contradicts it.
//!
//! Kept only as long as readers keep to it. A rank that takes a slice of each tensor, or a program that looks at
//! metadata alone, breaks the promise a few times, and is then read for like any other reader.

use std::collections::VecDeque;

use super::tuning::Tuning;
use crate::base::ByteRange;

/// Which tensors will be begun next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Forecast {
    /// That cannot be told.
    Nothing,
    /// All others, in an order that cannot be told: so many halves of what was asked for may be fetched for that.
    Rest { halves: u64 },
    /// These, in this order.
    Tensors(Vec<ByteRange>),
}

/// The tensors of an object, and what became of those that were begun.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    /// In order, without overlap. Empty while nothing is known.
    ranges: Vec<ByteRange>,
    /// The place of the one begun last, how far it was from the one before, and how often in a row that was so.
    last: Option<u64>,
    step: i64,
    steps_alike: u32,
    /// The tensor behind the last one, of which a read has brought the first bytes.
    entered: Option<u64>,
    /// So many bytes before it the read began that began the last one, and so many behind it the last read of one
    /// ended: what the kernel reads around a page fault.
    lead_bytes: u64,
    trail_bytes: u64,
    /// Tensors begun since a hypothesis was contradicted.
    begun: u64,
    /// The latest promises, each with the bytes read of it since.
    open: VecDeque<(ByteRange, u64)>,
    broken: u32,
}

impl Tensors {
    /// The header was read: these are the tensors, in order.
    pub(super) fn learn(&mut self, ranges: Vec<ByteRange>) {
        self.ranges = ranges;
    }

    /// Takes in a read. Where a tensor begins in it that goes on behind it, says where that ends.
    pub(super) fn observe(&mut self, read: ByteRange, tuning: &Tuning) -> Option<u64> {
        for (range, bytes) in &mut self.open {
            *bytes += range.intersect(read).len();
        }
        let behind = self.ranges.partition_point(|tensor| tensor.start < read.end);
        let place = behind.checked_sub(1)?;
        let tensor = *self.ranges.get(place)?;
        let first = self.ranges.partition_point(|tensor| tensor.start < read.start);
        let is_entered = self.entered.take_if(|entered| *entered == place as u64).is_some();
        if tensor.start < read.start && !is_entered || !self.are_read_whole(tuning) {
            return None;
        }
        let comes_from_before = match self.last {
            Some(last) => tensor.start > read.start && place as u64 == last + 1,
            // Around the page that is wanted the kernel reads as much before it as behind it.
            None => (read.start + 1..read.start + read.len() / 4).contains(&tensor.start),
        };
        if comes_from_before && first == place && tensor.end > read.end {
            // What is wanted may be the last page of the tensor before, and the kernel has read ahead.
            self.entered = Some(place as u64);
            self.trail_bytes = read.end - tensor.start;
            return None;
        }
        self.lead_bytes = tensor.start.saturating_sub(read.start);
        self.begin(first.min(place) as u64, tuning);
        if first < place {
            // Small ones that lie beside each other are begun together.
            self.begin_next(place as u64);
        }
        if tensor.end <= read.end {
            return None;
        }
        let rest = ByteRange::new(read.end, tensor.end);
        if self.open.iter().all(|(open, _)| open.intersect(rest).is_empty()) {
            self.open.push_back((rest, 0));
        }
        if self.open.len() as u64 > tuning.open_promises {
            self.judge();
        }
        Some(tensor.end)
    }

    /// The tensor at this place is begun.
    fn begin(&mut self, place: u64, tuning: &Tuning) {
        let Some(last) = self.last.replace(place).filter(|last| *last != place) else {
            self.begun = self.begun.max(1);
            return;
        };
        let step = place.wrapping_sub(last) as i64;
        if step == self.step {
            self.steps_alike += 1;
        } else {
            let is_contradicted = self.steps_alike >= tuning.steps_alike as u32;
            (self.step, self.steps_alike) = (step, 1);
            self.begun = if is_contradicted { 0 } else { self.begun };
        }
        self.begun += 1;
    }

    /// All tensors from the last one to the one at this place are begun.
    fn begin_next(&mut self, place: u64) {
        let count = u32::try_from(place - self.last.replace(place).unwrap_or(place)).unwrap_or(u32::MAX);
        self.steps_alike = if self.step == 1 { self.steps_alike.saturating_add(count) } else { count };
        self.step = 1;
        self.begun += u64::from(count);
    }

    /// Where the window of a reader must end that began at `start` and has come to `position`: with the tensor that it
    /// is in, unless tensors are read one after the other.
    pub(super) fn bound(&self, start: u64, position: u64, tuning: &Tuning) -> u64 {
        let is_in_order = self.step == 1 && u64::from(self.steps_alike) >= tuning.steps_alike;
        if self.ranges.is_empty() || is_in_order || !self.are_read_whole(tuning) {
            return u64::MAX;
        }
        let Some(place) = self.ranges.partition_point(|tensor| tensor.start < position).checked_sub(1) else {
            return self.ranges[0].start;
        };
        let began_before = |by: usize| place >= by && start <= self.ranges[place - by].start;
        let tensor = self.ranges[place];
        match position - tensor.start >= tuning.tensor_entered_bytes {
            _ if began_before(2) => u64::MAX,
            true if began_before(1) => u64::MAX,
            // What has come of it may be readahead.
            false if began_before(1) && self.last != Some(place as u64) => tensor.start,
            _ => tensor.end,
        }
    }

    /// What will be wanted next, if those that are begun are read to their end.
    pub(super) fn forecast(&self, tuning: &Tuning) -> Forecast {
        if self.begun < tuning.begun_tensors || !self.are_read_whole(tuning) {
            return Forecast::Nothing;
        }
        let is_regular = self.steps_alike >= tuning.steps_alike as u32;
        if !is_regular || self.step == 1 {
            // Half of what was asked for after two, or four times that where they are neighbours; and twice as much
            // with each further one.
            let doublings = (self.begun - tuning.begun_tensors).min(16);
            let halves = match self.step {
                1 if is_regular => u64::MAX,
                1 => 4 << doublings,
                _ => 1 << doublings,
            };
            return Forecast::Rest { halves: halves.min(2 * tuning.sweep_growth) };
        }
        let count = (1 << self.steps_alike.min(16)) - 1;
        let place = |ahead: i64| self.last?.checked_add_signed(ahead.checked_mul(self.step)?);
        let tensor = |ahead| {
            let tensor = self.ranges.get(usize::try_from(place(ahead)?).ok()?)?;
            let end = tensor.end.saturating_add(self.trail_bytes);
            Some(ByteRange::new(tensor.start.saturating_sub(self.lead_bytes), end))
        };
        Forecast::Tensors((1..=count).map_while(tensor).collect())
    }

    fn judge(&mut self) {
        let Some((range, bytes)) = self.open.pop_front() else { return };
        self.broken = if bytes * 2 < range.len() { self.broken + 1 } else { self.broken.saturating_sub(1) };
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
        tensors.learn((0..10).map(|i| ByteRange::at((1 + 10 * i) * MIB, 10 * MIB)).collect());
        tensors
    }

    fn read(tensors: &mut Tensors, mib: u64) -> Option<u64> {
        tensors.observe(ByteRange::at(mib * MIB, MIB), &Tuning::default()).map(|end| end / MIB)
    }

    #[test]
    fn who_begins_a_tensor_wants_the_rest() {
        let mut tensors = tensors();
        assert_eq!([0, 31, 32, 45, 100].map(|mib| read(&mut tensors, mib)), [None, Some(41), None, None, None]);
        assert!(!tensors.are_more_wanted(&Tuning::default()));
        // Around the page wanted, as the kernel reads for a mapping.
        assert_eq!(tensors.observe(ByteRange::at(10 * MIB + 4096, MIB), &Tuning::default()), Some(21 * MIB));
        assert!(tensors.are_more_wanted(&Tuning::default()));
        assert_eq!(Tensors::default().observe(ByteRange::at(0, MIB), &Tuning::default()), None);
    }

    #[test]
    fn tensors_to_come_follow_from_those_begun() {
        let tuning = Tuning::default();
        let forecast = |places: &[u64]| {
            let mut tensors = Tensors::default();
            tensors.learn((0..100).map(|i| ByteRange::at(1 + i, 1)).collect());
            for place in places {
                tensors.observe(ByteRange::at(1 + place, 1), &tuning);
            }
            match tensors.forecast(&tuning) {
                Forecast::Nothing => "-".to_owned(),
                Forecast::Rest { halves } => format!("{halves}/2"),
                Forecast::Tensors(ranges) => {
                    format!("{:?}", ranges.iter().map(|range| range.start - 1).collect::<Vec<_>>())
                }
            }
        };
        for (places, expected) in [
            (&[7][..], "-"),
            (&[0, 8], "1/2"),
            (&[0, 8, 16], "[24, 32, 40]"),
            (&[0, 8, 16, 24], "[32, 40, 48, 56, 64, 72, 80]"),
            (&[64, 80, 96], "[]"),
            (&[90, 80, 70], "[60, 50, 40]"),
            // One that does not fit, and all has to be proved anew.
            (&[0, 8, 16, 24, 25], "-"),
            (&[0, 8, 16, 24, 25, 33], "1/2"),
            (&[3, 50, 20], "2/2"),
            (&[3, 50, 20, 90, 1, 33, 34], "16/2"),
            (&[3, 4], "4/2"),
            (&[3, 4, 5], "16/2"),
            (&[3, 3, 3], "-"),
        ] {
            assert_eq!(forecast(places), expected, "{places:?}");
        }
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
                for mib in 2..11 {
                    read(&mut tensors, mib + 10 * i);
                }
            }
        }
        assert!(tensors.are_more_wanted(&Tuning::default()));
    }
}
