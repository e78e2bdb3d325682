//! Places that a reader comes to one after the other, and where it will come next if they lie at equal distances.

/// The places of a reader: offsets in bytes, or numbers in a list.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The latest places at equal distances: the first and the last one, how many distances that makes, and the latest
    /// distance.
    first: u64,
    last: Option<u64>,
    alike: u64,
    step: i64,
}

/// What a place says of the distance between those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Distance {
    /// It is the first place.
    First,
    /// It is as far from the last place as that was from the one before.
    Alike,
    /// It is not. So many distances in a row had been equal.
    Other {
        /// How many were equal, the first of them included.
        alike: u64,
    },
}

impl Steps {
    /// A reader has come to this place. Distances that differ by at most `tolerance` are equal.
    pub(super) fn come_to(&mut self, place: u64, tolerance: u64) -> Distance {
        let Some(last) = self.last.replace(place) else { return Distance::First };
        let step = place.wrapping_sub(last) as i64;
        let alike = self.alike;
        let is_alike = alike > 0 && step.abs_diff(self.step) <= tolerance;
        self.step = step;
        if is_alike {
            self.alike += 1;
            return Distance::Alike;
        }
        (self.first, self.alike) = (last, 1);
        Distance::Other { alike }
    }

    /// The place that a reader came to last.
    pub(super) fn last(&self) -> Option<u64> {
        self.last
    }

    /// How far the last place is from the one before; 0 where there is none.
    pub(super) fn step(&self) -> i64 {
        self.step
    }

    /// How many of the latest distances are equal.
    pub(super) fn alike(&self) -> u64 {
        self.alike
    }

    /// How many places may be foretold: one after one step, and twice as many and one with each further one, up to
    /// `most_doublings` of them.
    pub(super) fn foreseeable(&self, most_doublings: u32) -> u64 {
        (1 << self.alike.min(u64::from(most_doublings))) - 1
    }

    /// The place that is so many steps ahead of the last one. The mean distance counts, for each may be rounded. `None`
    /// where there is no such place, or no step yet.
    pub(super) fn ahead(&self, steps: u64) -> Option<u64> {
        let (last, first) = (i128::from(self.last?), i128::from(self.first));
        let way = ((last - first) * i128::from(steps)).checked_div(i128::from(self.alike))?;
        u64::try_from(last + way).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_steps_foretell_the_places_to_come() {
        let mut steps = Steps::default();
        assert_eq!([7, 10, 13, 16].map(|place| steps.come_to(place, 0)), {
            [Distance::First, Distance::Other { alike: 0 }, Distance::Alike, Distance::Alike]
        });
        assert_eq!((steps.alike(), steps.step(), steps.ahead(1), steps.ahead(5)), (3, 3, Some(19), Some(31)));
        assert_eq!((steps.foreseeable(2), steps.foreseeable(16)), (3, 7));
        assert_eq!(steps.come_to(20, 0), Distance::Other { alike: 3 });
        assert_eq!((steps.alike(), steps.ahead(1)), (1, Some(24)));
    }

    #[test]
    fn rounded_steps_are_alike_and_their_mean_counts() {
        let mut steps = Steps::default();
        for place in [1000, 1010, 1021, 1031] {
            steps.come_to(place, 1);
        }
        assert_eq!((steps.alike(), steps.ahead(3)), (3, Some(1062)));
        // The first step is like none.
        let mut steps = Steps::default();
        assert_eq!([5, 6].map(|place| steps.come_to(place, 4)), [Distance::First, Distance::Other { alike: 0 }]);
        assert_eq!(steps.ahead(1), Some(7));
    }

    #[test]
    fn backwards_places_end_at_the_first_one() {
        let mut steps = Steps::default();
        for place in [80, 60, 40] {
            steps.come_to(place, 0);
        }
        assert_eq!([1, 2, 3].map(|ahead| steps.ahead(ahead)), [Some(20), Some(0), None]);
        assert_eq!(Steps::default().ahead(1), None);
    }
}
