//! Sets of bytes, as the stretches that they lie in.

use std::collections::BTreeMap;

use super::ByteRange;

/// Stretches by their starts. No two of them touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches(BTreeMap<u64, u64>);

impl Stretches {
    /// A set of one.
    pub fn of(whole: ByteRange) -> Stretches {
        Stretches(BTreeMap::from([(whole.start, whole.end)]))
    }

    /// How many stretches there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether some byte of a range is in it.
    pub fn has_some(&self, range: ByteRange) -> bool {
        self.0.range(..range.end).next_back().is_some_and(|(_, &end)| end > range.start)
    }

    /// Whether every byte of a range is in it.
    pub fn has_all(&self, range: ByteRange) -> bool {
        self.around(range.start).is_some_and(|stretch| stretch.contains(range))
    }

    /// The stretch that a byte lies in, if it is in the set.
    pub fn around(&self, at: u64) -> Option<ByteRange> {
        let (&start, &end) = self.0.range(..=at).next_back()?;
        (at < end).then(|| ByteRange::new(start, end))
    }

    /// All around a byte that is not in the set, up to the stretches on both sides.
    pub fn hole_around(&self, at: u64) -> ByteRange {
        let start = self.0.range(..=at).next_back().map_or(0, |(_, &end)| end.min(at));
        let end = self.0.range(at..).next().map_or(u64::MAX, |(&start, _)| start);
        ByteRange::new(start, end)
    }

    /// Takes out the first so many bytes of the first stretch that is as long; `None` where there is none.
    pub fn take(&mut self, bytes: u64) -> Option<ByteRange> {
        let (&start, &end) = self.0.iter().find(|(start, end)| *end - *start >= bytes)?;
        self.0.remove(&start);
        if start + bytes < end {
            self.0.insert(start + bytes, end);
        }
        Some(ByteRange::at(start, bytes))
    }

    /// Takes out the stretch that a byte lies in; says whether there was one.
    pub fn remove_around(&mut self, at: u64) -> bool {
        self.around(at).is_some_and(|stretch| self.0.remove(&stretch.start).is_some())
    }

    /// Puts in a stretch of which some bytes may be in it.
    pub fn add(&mut self, new: ByteRange) {
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
    pub fn put(&mut self, new: ByteRange) -> ByteRange {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: ByteRange = ByteRange { start: 1 << 30, end: (1 << 30) + (64 << 20) };

    proptest! {
        #[test]
        fn stretches_do_not_overlap_and_all_come_back(steps in prop::collection::vec((1_u64..20 << 20, any::<u8>()), 1..80)) {
            let (mut space, mut taken) = (Stretches::of(WHOLE), Vec::<ByteRange>::new());
            for (bytes, which) in steps {
                if which % 3 == 0 && !taken.is_empty() {
                    let old = taken.swap_remove(usize::from(which) % taken.len());
                    let all = space.put(old);
                    prop_assert!(all.start <= old.start && old.end <= all.end && space.0.get(&all.start) == Some(&all.end));
                } else if let Some(new) = space.take(bytes) {
                    prop_assert_eq!(new.len(), bytes);
                    prop_assert!(new.start >= WHOLE.start && new.end <= WHOLE.end);
                    prop_assert!(taken.iter().all(|old| old.end <= new.start || new.end <= old.start));
                    taken.push(new);
                } else {
                    let used: u64 = taken.iter().map(|range| range.len()).sum();
                    let holes = taken.len() as u64 + 1;
                    prop_assert!((WHOLE.len() - used) / holes < bytes);
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
        fn what_is_added_is_in_and_nothing_else_whatever_was_in(
            added in prop::collection::vec((0_u64..60, 1_u64..9), 1..20),
            removed in 0_u64..70,
        ) {
            let (mut set, mut bytes) = (Stretches::default(), [false; 70]);
            let is_in = |bytes: &[bool; 70], byte: u64| bytes.get(byte as usize).is_some_and(|is_in| *is_in);
            for (start, len) in added {
                set.add(ByteRange::at(start, len));
                bytes[start as usize..(start + len) as usize].fill(true);
                for byte in 0..70 {
                    let about = format!("{byte} after {start} {len}");
                    prop_assert_eq!(set.has_some(ByteRange::at(byte, 1)), is_in(&bytes, byte), "{}", about);
                    // As far as it goes on alike on both sides.
                    let alike = |other: &u64| is_in(&bytes, *other) == is_in(&bytes, byte);
                    let start = (0..=byte).rev().take_while(alike).last().unwrap();
                    let end = (byte..70).take_while(alike).last().unwrap() + 1;
                    let stretch = ByteRange::new(start, end);
                    if is_in(&bytes, byte) {
                        prop_assert_eq!(set.around(byte), Some(stretch), "{}", about);
                    } else {
                        let hole = set.hole_around(byte);
                        prop_assert_eq!(ByteRange::new(hole.start, hole.end.min(70)), stretch, "{}", about);
                        prop_assert_eq!(set.around(byte), None, "{}", about);
                    }
                }
                let parts = bytes.windows(2).filter(|pair| !pair[0] && pair[1]).count() + usize::from(bytes[0]);
                prop_assert_eq!(set.count(), parts);
            }
            let (gone, count) = (set.around(removed), set.count());
            prop_assert_eq!(set.remove_around(removed), gone.is_some());
            prop_assert_eq!(set.count() + usize::from(gone.is_some()), count);
            prop_assert!(gone.is_none_or(|gone| !set.has_some(gone)));
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
            let has_all = (start, end) == (12, 13);
            assert_eq!(set.has_all(ByteRange::new(start, end)), has_all, "{start} {end}");
        }
        set.put(ByteRange::new(20, 30));
        assert_eq!(set, Stretches::of(ByteRange::new(10, 40)));
    }

    #[test]
    fn more_than_there_is_cannot_be_taken() {
        let mut space = Stretches::of(WHOLE);
        assert_eq!(space.take(WHOLE.len() + 1), None);
        assert_eq!(space.take(u64::MAX), None);
        assert_eq!(space.take(WHOLE.len()), Some(WHOLE));
        assert_eq!(space.take(1), None);
    }
}
