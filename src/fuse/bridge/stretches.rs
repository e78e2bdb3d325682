//! Sets of stretches: those of the image that no object takes, and those of an object that had no answer.

use std::collections::BTreeMap;

use crate::base::ByteRange;

/// Objects begin at multiples of this, so that the kernel's readahead, which is aligned in a file, is so in the image.
const ALIGNMENT: u64 = 1 << 20;

/// Stretches by their starts. No two of them touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretches(BTreeMap<u64, u64>);

impl Stretches {
    /// A set of one.
    pub(super) fn of(whole: ByteRange) -> Stretches {
        Stretches(BTreeMap::from([(whole.start, whole.end)]))
    }

    /// Whether some byte of a range is in it.
    pub(super) fn has_some(&self, range: ByteRange) -> bool {
        self.0.range(..range.end).next_back().is_some_and(|(_, &end)| end > range.start)
    }

    /// Takes out the first stretch that is long enough, as objects are aligned; `None` where there is none.
    pub(super) fn take(&mut self, bytes: u64) -> Option<ByteRange> {
        let len = aligned(bytes)?;
        let (&start, &end) = self.0.iter().find(|(start, end)| *end - *start >= len)?;
        self.0.remove(&start);
        if start + len < end {
            self.0.insert(start + len, end);
        }
        Some(ByteRange::at(start, len))
    }

    /// Whether an object of so many bytes fits into a stretch.
    pub(super) fn fits(stretch: ByteRange, bytes: u64) -> bool {
        aligned(bytes).is_some_and(|len| stretch.len() >= len)
    }

    /// Puts in a stretch of which some bytes may be in it.
    pub(super) fn add(&mut self, new: ByteRange) {
        let ByteRange { mut start, mut end } = new;
        while let Some((&its_start, &its_end)) =
            self.0.range(..end).next_back().filter(|(_, its_end)| **its_end > start)
        {
            self.0.remove(&its_start);
            (start, end) = (start.min(its_start), end.max(its_end));
        }
        self.put(ByteRange::new(start, end));
    }

    /// Puts in a stretch of which no byte is in it. Returns the one that it is a part of then.
    pub(super) fn put(&mut self, new: ByteRange) -> ByteRange {
        let ByteRange { mut start, mut end } = new;
        if let Some((&before, &its_end)) = self.0.range(..start).next_back()
            && its_end == start
        {
            start = before;
        }
        if let Some(after) = self.0.remove(&end) {
            end = after;
        }
        self.0.insert(start, end);
        ByteRange::new(start, end)
    }
}

/// What an object of so many bytes takes; `None` where no number is so large.
fn aligned(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: ByteRange = ByteRange { start: 1 << 30, end: (1 << 30) + (64 << 20) };

    proptest! {
        #[test]
        fn stretches_do_not_overlap_and_all_come_back(steps in prop::collection::vec((0_u64..20 << 20, any::<u8>()), 1..80)) {
            let (mut space, mut taken) = (Stretches::of(WHOLE), Vec::<ByteRange>::new());
            for (bytes, which) in steps {
                if which % 3 == 0 && !taken.is_empty() {
                    let old = taken.swap_remove(usize::from(which) % taken.len());
                    let all = space.put(old);
                    prop_assert!(all.start <= old.start && old.end <= all.end && space.0.get(&all.start) == Some(&all.end));
                } else if let Some(new) = space.take(bytes) {
                    prop_assert!(new.len() >= bytes && new.start.is_multiple_of(ALIGNMENT));
                    prop_assert!(new.start >= WHOLE.start && new.end <= WHOLE.end);
                    prop_assert!(taken.iter().all(|old| old.end <= new.start || new.end <= old.start));
                    taken.push(new);
                } else {
                    let used: u64 = taken.iter().map(|range| range.len()).sum();
                    let holes = taken.len() as u64 + 1;
                    prop_assert!((WHOLE.len() - used) / holes < bytes.max(1).next_multiple_of(ALIGNMENT));
                }
            }
            for range in taken {
                space.put(range);
            }
            prop_assert_eq!(space, Stretches::of(WHOLE));
        }
    }

    proptest! {
        #[test]
        fn what_is_added_is_in_and_nothing_else_whatever_was_in(added in prop::collection::vec((0_u64..60, 1_u64..9), 1..20)) {
            let (mut set, mut bytes) = (Stretches::default(), [false; 70]);
            for (start, len) in added {
                set.add(ByteRange::at(start, len));
                bytes[start as usize..(start + len) as usize].fill(true);
                for (byte, is_in) in (0..).zip(bytes) {
                    prop_assert_eq!(set.has_some(ByteRange::at(byte, 1)), is_in, "{} after {} {}", byte, start, len);
                }
                let parts = bytes.windows(2).filter(|pair| !pair[0] && pair[1]).count() + usize::from(bytes[0]);
                prop_assert_eq!(set.0.len(), parts);
            }
        }
    }

    #[test]
    fn every_byte_of_a_stretch_is_in() {
        let mut set = Stretches::default();
        set.put(ByteRange::new(10, 20));
        set.put(ByteRange::new(30, 40));
        for (start, end, is_in) in [
            (0, 10, false),
            (0, 11, true),
            (12, 13, true),
            (19, 31, true),
            (20, 30, false),
            (39, 50, true),
            (40, 50, false),
        ] {
            assert_eq!(set.has_some(ByteRange::new(start, end)), is_in, "{start} {end}");
        }
        set.put(ByteRange::new(20, 30));
        assert_eq!(set, Stretches::of(ByteRange::new(10, 40)));
    }

    #[test]
    fn what_is_larger_than_all_is_refused() {
        let mut space = Stretches::of(WHOLE);
        assert_eq!(space.take(WHOLE.len() + 1), None);
        assert_eq!(space.take(u64::MAX), None);
        assert_eq!(space.take(WHOLE.len()), Some(WHOLE));
        assert_eq!(space.take(0), None);
    }
}
