//! The CRC-64 of a whole object, put together from those of its parts in any order of arrival.
//!
//! Stores keep a checksum of the whole object alone, and a ranged answer carries it too. Each part's checksum is
//! computed while its bytes are copied into the buffer, when they are in the processor's cache; here neighbours are
//! joined until one run covers the object.

use std::collections::BTreeMap;

use crate::base::ByteRange;
use crate::store::crc64::combine;

/// More runs than this that do not touch are the trace of random reading: such a pass will never be whole.
const MAX_RUNS: usize = 4096;

/// What has been checked of one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verified {
    /// No byte has been checked, or the store keeps no checksum.
    No,
    /// Some parts passed through; the whole cannot be compared yet.
    Partial,
    /// The whole object passed through and its checksum is the store's.
    Yes,
}

/// Checksums of stretches of an object that do not touch each other.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// By start: the end, and the checksum of the bytes between.
    runs: BTreeMap<u64, (u64, u64)>,
}

impl Coverage {
    /// Adds a stretch. It takes the place of those within it; one that overlaps others in any other way is left out,
    /// because its bytes were counted when they came first.
    pub(super) fn add(&mut self, range: ByteRange, crc: u64) {
        let within: Vec<(u64, u64)> =
            self.runs.range(range.start..range.end).map(|(&start, &(end, _))| (start, end)).collect();
        let before = self.runs.range(..range.start).next_back().map(|(&start, &run)| (start, run));
        let overlaps_before = before.is_some_and(|(_, (end, _))| end > range.start);
        let overlaps_after = within.last().is_some_and(|&(_, end)| end > range.end);
        if overlaps_before || overlaps_after || within == [(range.start, range.end)] {
            return;
        }
        for (start, _) in within {
            self.runs.remove(&start);
        }
        let after = self.runs.range(range.end..).next().map(|(&start, &run)| (start, run));
        let (mut start, mut end, mut crc) = (range.start, range.end, crc);
        if let Some((before_start, (_, before_crc))) = before.filter(|(_, (before_end, _))| *before_end == start) {
            crc = combine(before_crc, crc, range.len());
            start = before_start;
        }
        if let Some((after_start, (after_end, after_crc))) = after.filter(|(after_start, _)| *after_start == end) {
            crc = combine(crc, after_crc, after_end - after_start);
            end = after_end;
            self.runs.remove(&after_start);
        }
        self.runs.insert(start, (end, crc));
        if self.runs.len() > MAX_RUNS {
            self.runs.clear();
        }
    }

    /// The checksum of all `size` bytes, once every one of them was added.
    pub(super) fn whole(&self, size: u64) -> Option<u64> {
        self.runs.get(&0).filter(|(end, _)| *end == size).map(|(_, crc)| *crc)
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Forgets everything: the next pass begins anew.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::crc64::crc64;

    #[test]
    fn a_stretch_takes_the_place_of_those_within_it() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut coverage = Coverage::default();
        let mut add = |start: usize, end: usize| {
            coverage.add(ByteRange::new(start as u64, end as u64), crc64(&bytes[start..end]));
            coverage.whole(100).is_some()
        };
        let adds = [(10, 20), (30, 40), (50, 60), (0, 40), (35, 70), (40, 70), (60, 100), (70, 100)];
        assert_eq!(adds.map(|(start, end)| add(start, end)), [false, false, false, false, false, false, false, true]);
        assert_eq!(coverage.whole(100), Some(crc64(&bytes)));
    }

    proptest! {
        #[test]
        fn parts_in_any_order_give_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 1..2000),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            order in any::<u64>(),
        ) {
            let size = bytes.len() as u64;
            let mut borders: Vec<u64> = cuts.iter().map(|cut| cut.index(bytes.len()) as u64).collect();
            borders.extend([0, size]);
            borders.sort_unstable();
            borders.dedup();
            let mut parts: Vec<ByteRange> = borders.windows(2).map(|w| ByteRange::new(w[0], w[1])).collect();
            // A permutation drawn from the seed, with a part repeated and one that overlaps two others.
            parts.sort_by_key(|part| part.start.wrapping_mul(order | 1).rotate_left(17));
            parts.push(parts[0]);
            let mut coverage = Coverage::default();
            for (i, part) in parts.iter().enumerate() {
                prop_assert_eq!(coverage.whole(size).is_some(), i >= borders.len() - 1);
                coverage.add(*part, crc64(&bytes[part.start as usize..part.end as usize]));
            }
            coverage.add(ByteRange::new(0, size), 1);
            prop_assert_eq!(coverage.whole(size), Some(crc64(&bytes)));
        }
    }
}
