//! The CRC-64 of a whole object, put together from those of its parts in any order of arrival.
//!
//! Stores keep a checksum of the whole object alone, and a ranged answer carries it too. Each part's checksum is
//! computed while its bytes are copied into the buffer, when they are in the processor's cache; here those of all parts
//! are combined once they cover the object.
//!
//! Stretches stay as they came, so that bytes that come again can be compared with what they were the first time: two
//! answers that differ are one wrong answer at least, whatever the whole is. Neighbours are joined only to save room.

use std::collections::BTreeMap;

use crate::base::crc64::{combine, crc64};
use crate::base::{ByteRange, Ino};

/// More stretches than this are joined with their neighbours. As many that do not touch are the trace of random
/// reading: such a pass will never be whole.
const MAX_STRETCHES: usize = 4096;

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

/// Who must know that bytes which were handed out are wrong. Called without a lock, from a thread that fetches: it must
/// return at once.
pub trait WrongBytes: Send + Sync + 'static {
    /// Nothing that the kernel holds of this version may be believed from now on. No read has failed yet.
    fn distrust(&self, ino: Ino);

    /// None of the wrong bytes will be handed out any more: now is the time to drop what others hold of them.
    fn discard(&self, ino: Ino);
}

/// What the checksums known before say of bytes that have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Agreement {
    /// They are, where they can be compared, what came before.
    Same,
    /// They cannot be compared with what came before: they lie in a longer stretch, or nothing did.
    Unknown,
    /// They differ from what came before.
    Differs,
}

/// Checksums of stretches of an object that do not overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct Checksums {
    /// By start: the end, and the checksum of the bytes between.
    stretches: BTreeMap<u64, (u64, u64)>,
    covered_bytes: u64,
}

impl Checksums {
    /// Compares a stretch with those known that lie within it. `bytes` are all of it, and `crc` is their checksum.
    pub(super) fn compare(&self, range: ByteRange, crc: u64, bytes: &[u8]) -> Agreement {
        let known = self.overlapping(range);
        if let Some(joined) = tiled(&known, range) {
            // No second look at the bytes.
            return if joined == crc { Agreement::Same } else { Agreement::Differs };
        }
        let mut agreement = Agreement::Unknown;
        for (known, known_crc) in known.into_iter().filter(|(known, _)| range.contains(*known)) {
            let within = &bytes[(known.start - range.start) as usize..(known.end - range.start) as usize];
            if crc64(within) != known_crc {
                return Agreement::Differs;
            }
            agreement = Agreement::Same;
        }
        agreement
    }

    /// Adds a stretch: `bytes` are all of it, and `crc` is their checksum. It takes the place of those within it, which
    /// must be the same; of what overlaps a longer one, the bytes were counted when they came first.
    pub(super) fn add(&mut self, range: ByteRange, crc: u64, bytes: &[u8]) -> Agreement {
        let agreement = self.compare(range, crc, bytes);
        if agreement == Agreement::Differs {
            return agreement;
        }
        let mut rest = range;
        for (known, _) in self.overlapping(range) {
            if known.start < rest.start {
                rest.start = known.end.min(rest.end);
            }
            if known.end > rest.end {
                rest.end = known.start.max(rest.start);
            }
        }
        if rest.is_empty() {
            return agreement;
        }
        let crc = match rest == range {
            true => crc,
            false => crc64(&bytes[(rest.start - range.start) as usize..(rest.end - range.start) as usize]),
        };
        for (known, _) in self.overlapping(rest) {
            self.remove(known);
        }
        self.insert(rest, crc);
        if self.stretches.len() > MAX_STRETCHES {
            self.thin_out();
        }
        agreement
    }

    /// The stretches that have bytes in common with a range, in order.
    fn overlapping(&self, range: ByteRange) -> Vec<(ByteRange, u64)> {
        let before = self.stretches.range(..range.start).next_back().filter(|(_, (end, _))| *end > range.start);
        let within = self.stretches.range(range.start..range.end);
        before.into_iter().chain(within).map(|(&start, &(end, crc))| (ByteRange::new(start, end), crc)).collect()
    }

    fn insert(&mut self, range: ByteRange, crc: u64) {
        self.covered_bytes += range.len();
        self.stretches.insert(range.start, (range.end, crc));
    }

    fn remove(&mut self, range: ByteRange) {
        self.covered_bytes -= range.len();
        self.stretches.remove(&range.start);
    }

    /// Joins neighbours two by two until a quarter of the room is free; forgets everything where that is not enough.
    fn thin_out(&mut self) {
        while self.stretches.len() > MAX_STRETCHES / 4 * 3 {
            let before = self.stretches.len();
            self.join(2);
            if self.stretches.len() == before {
                return self.clear();
            }
        }
    }

    /// Joins up to so many neighbours into one stretch.
    fn join(&mut self, most: usize) {
        let mut joined: Vec<(ByteRange, u64, usize)> = Vec::new();
        for (&start, &(end, crc)) in &self.stretches {
            match joined.last_mut() {
                Some((last, last_crc, count)) if last.end == start && *count < most => {
                    *last_crc = combine(*last_crc, crc, end - start);
                    last.end = end;
                    *count += 1;
                }
                _ => joined.push((ByteRange::new(start, end), crc, 1)),
            }
        }
        self.stretches = joined.into_iter().map(|(range, crc, _)| (range.start, (range.end, crc))).collect();
    }

    /// The same in as few stretches as there can be; `None` where those are more than `most`.
    pub(super) fn in_brief(mut self, most: usize) -> Option<Checksums> {
        self.join(usize::MAX);
        (self.stretches.len() <= most).then_some(self)
    }

    /// The checksum of all `size` bytes, once every one of them was added.
    pub(super) fn whole(&self, size: u64) -> Option<u64> {
        let combined = |crc, (start, (end, next)): (&u64, &(u64, u64))| combine(crc, *next, end - start);
        (self.covered_bytes == size).then(|| self.stretches.iter().fold(0, combined))
    }

    /// The stretches, in order, and the checksum of each.
    pub(super) fn stretches(&self) -> Vec<(ByteRange, u64)> {
        self.overlapping(ByteRange::new(0, u64::MAX))
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Forgets everything: the next pass begins anew.
    pub(super) fn clear(&mut self) {
        *self = Checksums::default();
    }
}

/// The checksum of a range that these stretches make up without a gap and exactly.
fn tiled(stretches: &[(ByteRange, u64)], range: ByteRange) -> Option<u64> {
    let next = |(at, joined): (u64, u64), (known, crc): &(ByteRange, u64)| {
        (known.start == at).then(|| (known.end, combine(joined, *crc, known.len())))
    };
    let (end, joined) = stretches.iter().try_fold((range.start, 0), next)?;
    (end == range.end).then_some(joined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::crc64::crc64;

    fn bytes() -> Vec<u8> {
        (0..100).collect()
    }

    /// Adds stretches of the same bytes; says what each was compared with, and when they cover the object.
    fn add(coverage: &mut Checksums, start: usize, end: usize) -> (Agreement, bool) {
        let bytes = &bytes()[start..end];
        let agreement = coverage.add(ByteRange::new(start as u64, end as u64), crc64(bytes), bytes);
        (agreement, coverage.whole(100) == Some(crc64(&self::bytes())))
    }

    #[test]
    fn stretches_cover_the_object_in_any_order_and_however_they_overlap() {
        use Agreement::{Same, Unknown};
        let mut coverage = Checksums::default();
        let adds = [
            ((10, 20), Unknown),
            ((30, 40), Unknown),
            ((0, 40), Same),
            ((35, 70), Unknown),
            ((50, 60), Unknown),
            ((90, 95), Unknown),
            ((65, 92), Unknown),
            ((94, 100), Unknown),
        ];
        for ((start, end), agreement) in adds {
            assert_eq!(add(&mut coverage, start, end), (agreement, end == 100), "{start}..{end}");
        }
        let shown: Vec<_> = coverage.stretches().into_iter().map(|(range, _)| (range.start, range.end)).collect();
        assert_eq!(shown, [(0, 40), (40, 70), (70, 90), (90, 95), (95, 100)]);
        assert_eq!(add(&mut coverage, 40, 90), (Same, true), "two known ones make it up");
    }

    #[test]
    fn bytes_that_come_again_and_differ_are_found_at_once() {
        let mut coverage = Checksums::default();
        add(&mut coverage, 10, 20);
        add(&mut coverage, 20, 30);
        for (start, end, at) in [(10, 20, 10), (10, 30, 29), (0, 100, 15), (20, 40, 25)] {
            let mut wrong = bytes();
            wrong[at] ^= 1;
            let wrong = &wrong[start..end];
            let range = ByteRange::new(start as u64, end as u64);
            assert_eq!(coverage.compare(range, crc64(wrong), wrong), Agreement::Differs, "{range:?}");
            assert_eq!(coverage.add(range, crc64(wrong), wrong), Agreement::Differs, "{range:?}");
        }
        assert_eq!(coverage.stretches().len(), 2, "nothing wrong was taken in");
        assert_eq!(add(&mut coverage, 12, 15).0, Agreement::Unknown);
    }

    #[test]
    fn many_stretches_are_joined_and_scattered_ones_forgotten() {
        let mut coverage = Checksums::default();
        let byte = |at: u64| [(at % 251) as u8];
        for at in 0..20_000u64 {
            coverage.add(ByteRange::at(at, 1), crc64(&byte(at)), &byte(at));
            assert!(coverage.stretches.len() <= MAX_STRETCHES);
        }
        let all: Vec<u8> = (0..20_000).flat_map(byte).collect();
        assert_eq!(coverage.whole(20_000), Some(crc64(&all)));
        assert_eq!(coverage.clone().in_brief(1).unwrap().whole(20_000), Some(crc64(&all)));
        for at in 0..MAX_STRETCHES as u64 + 1 {
            coverage.add(ByteRange::at(30_000 + at * 2, 1), crc64(&byte(at)), &byte(at));
        }
        assert!(coverage.stretches.len() > 1, "there was room once the first ones had been joined");
        let mut scattered = Checksums::default();
        for at in 0..MAX_STRETCHES as u64 + 1 {
            scattered.add(ByteRange::at(at * 2, 1), crc64(&byte(at)), &byte(at));
        }
        assert!(scattered.is_empty());
        assert!(coverage.in_brief(1).is_none());
    }

    proptest! {
        #[test]
        fn parts_in_any_order_give_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 1..2000),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            overlaps in prop::collection::vec((any::<prop::sample::Index>(), 1..300usize), 0..12),
            order in any::<u64>(),
            wrong in any::<prop::sample::Index>(),
        ) {
            let size = bytes.len() as u64;
            let mut borders: Vec<u64> = cuts.iter().map(|cut| cut.index(bytes.len()) as u64).collect();
            borders.extend([0, size]);
            borders.sort_unstable();
            borders.dedup();
            let mut parts: Vec<ByteRange> = borders.windows(2).map(|w| ByteRange::new(w[0], w[1])).collect();
            parts.extend(overlaps.iter().map(|(start, len)| {
                let start = start.index(bytes.len()) as u64;
                ByteRange::new(start, (start + *len as u64).min(size))
            }));
            // A permutation drawn from the seed.
            parts.sort_by_key(|part| (part.start ^ part.end << 32).wrapping_mul(order | 1).rotate_left(17));
            let of = |bytes: &[u8], part: ByteRange| bytes[part.start as usize..part.end as usize].to_vec();
            let mut coverage = Checksums::default();
            for part in parts {
                let came = of(&bytes, part);
                prop_assert_ne!(coverage.add(part, crc64(&came), &came), Agreement::Differs);
            }
            prop_assert_eq!(coverage.whole(size), Some(crc64(&bytes)));
            let all = ByteRange::new(0, size);
            prop_assert_eq!(coverage.compare(all, crc64(&bytes), &bytes), Agreement::Same);
            let mut garbled = bytes.clone();
            garbled[wrong.index(bytes.len())] ^= 0x40;
            prop_assert_eq!(coverage.compare(all, crc64(&garbled), &garbled), Agreement::Differs);
        }
    }
}
