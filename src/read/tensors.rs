//! What a model file's layout promises of its reader: who begins a tensor reads it to its end.
//!
//! Kept only as long as readers keep to it. A rank that takes a slice of each tensor, or a program that looks at
//! metadata alone, breaks the promise a few times, and is then read for like any other reader.

use std::collections::VecDeque;

use super::tuning::Tuning;
use crate::base::ByteRange;

/// The tensors of an object, and what became of those that were begun.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    /// In order, without overlap. Empty while nothing is known.
    ranges: Vec<ByteRange>,
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
        let tensor = *self.ranges.get(behind.checked_sub(1)?)?;
        if tensor.start < read.start || !self.are_read_whole(tuning) {
            return None;
        }
        self.begun += 1;
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

    fn judge(&mut self) {
        let Some((range, bytes)) = self.open.pop_front() else { return };
        self.broken = if bytes * 2 < range.len() { self.broken + 1 } else { self.broken.saturating_sub(1) };
    }

    fn are_read_whole(&self, tuning: &Tuning) -> bool {
        u64::from(self.broken) < tuning.broken_promises
    }

    /// Whether all of the object is likely to be wanted.
    pub(super) fn are_all_wanted(&self, tuning: &Tuning) -> bool {
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
        assert!(!tensors.are_all_wanted(&Tuning::default()));
        // Around the page wanted, as the kernel reads for a mapping.
        assert_eq!(tensors.observe(ByteRange::at(10 * MIB + 4096, MIB), &Tuning::default()), Some(21 * MIB));
        assert!(tensors.are_all_wanted(&Tuning::default()));
        assert_eq!(Tensors::default().observe(ByteRange::at(0, MIB), &Tuning::default()), None);
    }

    #[test]
    fn who_leaves_tensors_halfway_is_not_believed_for_long() {
        let (mut tensors, tuning) = (tensors(), Tuning::default());
        let promised: Vec<bool> = (0..30).map(|i| read(&mut tensors, 1 + i % 10 * 10).is_some()).collect();
        assert_eq!(
            promised.iter().rposition(|&promised| promised),
            Some((tuning.open_promises + tuning.broken_promises) as usize - 1)
        );
        assert!(!tensors.are_all_wanted(&Tuning::default()));
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
        assert!(tensors.are_all_wanted(&Tuning::default()));
    }
}
