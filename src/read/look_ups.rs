//! When fetching a complete file is cheaper than the look-ups in it: pages of a database, members of an archive, rows
//! of a matrix, at offsets that cannot be predicted.
//!
//! Each look-up that is not in memory costs a round trip, again and again. Having the file costs what its bytes take to
//! come. How many look-ups will follow is not known; as many as there were is the best guess, and the
//! rule that follows from it (rent a thing until the rent has cost what the thing does, then buy it) never costs more
//! than twice of what was best. There is no middle way for places that nothing foretells: a byte more around each
//! look-up pays when a byte anywhere does, since the next look-up is as likely to want it.
//!
//! Bytes are paid for and take bandwidth from others, so the rate is reckoned as low as that of a few connections,
//! however much more the network has shown. A program that only goes forward leaves for good what lies behind it; half
//! of the jumps of a random reader go back, so these alone count, twice.

use std::ops::Range;
use std::time::Duration;

use super::tuning::Tuning;
use crate::base::ByteRange;

/// What look-ups in one object have cost.
#[derive(Debug, Default)]
pub(super) struct LookUps {
    paid: Duration,
    /// Up to here waits were counted, on the reader's clock: those of several threads at once cost their time once.
    counted_until: Duration,
    last_start: u64,
}

impl LookUps {
    /// A program has waited from then on for a read at a place that nothing foretold, until now.
    pub(super) fn missed(&mut self, read: ByteRange, waited: Range<Duration>, tuning: &Tuning) {
        if read.start < self.last_start {
            let uncounted = waited.end.saturating_sub(waited.start.max(self.counted_until));
            // What the store was slow with shows nothing of the program.
            self.paid += 2 * uncounted.min(Duration::from_millis(tuning.look_up_most_ms));
        }
        self.counted_until = waited.end;
        self.last_start = read.start;
    }

    /// Whether that is as much as an object of so many bytes costs, where the network was seen to bring `seen_rate`
    /// bytes per second. Then what was paid is settled.
    pub(super) fn have_paid_for(&mut self, bytes: u64, seen_rate: Option<u64>, tuning: &Tuning) -> bool {
        let rate = seen_rate.unwrap_or(u64::MAX).clamp(1, tuning.look_up_bytes_per_second);
        let pays = self.paid.as_secs_f64() >= bytes as f64 / rate as f64;
        if pays {
            self.paid = Duration::ZERO;
        }
        pays
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const MIB: u64 = 1 << 20;

    /// After how many look-ups at these places the rest of an object is fetched.
    fn bought(starts: impl IntoIterator<Item = u64>, waited_ms: u64, size: u64, rate: Option<u64>) -> Option<usize> {
        bought_at_once(1, starts, waited_ms, size, rate)
    }

    /// The same where so many threads do so at once.
    fn bought_at_once(
        threads: u32,
        starts: impl IntoIterator<Item = u64>,
        waited_ms: u64,
        size: u64,
        rate: Option<u64>,
    ) -> Option<usize> {
        let (mut look_ups, tuning) = (LookUps::default(), Tuning::default());
        let wait = |round: u32| round * Duration::from_millis(waited_ms);
        starts.into_iter().zip(0..).position(|(start, number)| {
            let round = number / threads;
            look_ups.missed(ByteRange::at(start, 4096), wait(round)..wait(round + 1), &tuning);
            look_ups.have_paid_for(size, rate, &tuning)
        })
    }

    fn random(size: u64) -> impl Iterator<Item = u64> {
        let mut dice = StdRng::seed_from_u64(1);
        (0..10_000).map(move |_| dice.random_range(0..size))
    }

    #[test]
    fn a_file_is_bought_when_look_ups_have_cost_as_much() {
        for (waited_ms, size, rate, about) in [
            (20, 40 * MIB, None, 14),
            (20, 40 * MIB, Some(10_000_000_000), 14),
            (20, 40 * MIB, Some(50_000_000), 42),
            (20, 256 * MIB, None, 90),
            (100, 256 * MIB, None, 18),
            // A store that hangs for a minute.
            (60_000, 256 * MIB, None, 18),
        ] {
            let after = bought(random(size), waited_ms, size, rate).unwrap();
            assert!((about * 2 / 3..=about * 3 / 2).contains(&after), "{waited_ms} ms, {size} bytes: after {after}");
        }
    }

    #[test]
    fn threads_that_wait_at_once_pay_for_their_time_once() {
        let one = bought(random(40 * MIB), 20, 40 * MIB, None).unwrap();
        let eight = bought_at_once(8, random(40 * MIB), 20, 40 * MIB, None).unwrap();
        assert!((5 * one..12 * one).contains(&eight), "{eight} look-ups instead of {one}");
    }

    #[test]
    fn who_goes_forward_buys_nothing() {
        assert_eq!(bought((0..10_000).map(|i| i * MIB), 20, 40 * MIB, None), None);
    }

    #[test]
    fn what_was_given_up_again_has_to_be_earned_anew() {
        let (mut look_ups, tuning) = (LookUps::default(), Tuning::default());
        let (mut buys, wait) = (0, Duration::from_millis(20));
        for (number, start) in (0..).zip(random(40 * MIB).take(100)) {
            look_ups.missed(ByteRange::at(start, 4096), number * wait..(number + 1) * wait, &tuning);
            buys += u64::from(look_ups.have_paid_for(40 * MIB, None, &tuning));
        }
        assert!((5..=9).contains(&buys), "{buys}");
    }
}
