//! Whether more requests at once bring more bytes: found out by sending more for a moment.
//!
//! While all places are taken the rate of bytes is measured, then half as many places are added, and after a moment it
//! is measured again. Where it has risen by enough the places stay, and the next trial follows at once; else they are
//! taken away, and the next trial is put off for twice as long as the one before.

use std::time::Duration;

/// The shortest time over which a rate is measured.
const LEAST_TIME: Duration = Duration::from_millis(250);
/// A rate is measured over so many bytes for each place at least, or a few small objects would tell.
const LEAST_BYTES: u64 = 128 << 10;
/// After so long, requests that were added have begun to bring bytes.
const SETTLED: Duration = Duration::from_millis(500);
/// All places must have been taken for so much of the time, in percent, or no more are wanted.
const FULL_PERCENT: u32 = 80;
/// By how much the rate must rise for places to stay, in percent. Half as many places more could bring 50.
const LEAST_GAIN_PERCENT: f64 = 15.0;
/// How long no trial is made after one that brought nothing: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// What is known of the gain that more places bring. Times are those of a monotonic clock.
#[derive(Debug)]
pub(super) struct Growth {
    first: usize,
    most: usize,
    step: Step,
    interval: Interval,
    /// Whether all places are taken, and since when that is known.
    is_full: bool,
    looked_at: Duration,
    pause: Duration,
    not_before: Duration,
}

/// What is being done.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The rate with the places that there are is measured.
    Measuring,
    /// Places were added to so many, which had brought this rate. What was asked for since then may not come yet.
    Settling { before: Trial },
    /// The rate with more places is measured.
    Trying { before: Trial },
}

/// What there was before places were added.
#[derive(Clone, Copy, Debug)]
struct Trial {
    places: usize,
    bytes_per_second: f64,
}

/// What has come since a time.
#[derive(Clone, Copy, Debug, Default)]
struct Interval {
    since: Duration,
    bytes: u64,
    /// The time in which all places were taken.
    full: Duration,
}

impl Growth {
    /// From so many places to so many.
    pub(super) fn new(first: usize, most: usize) -> Growth {
        Growth {
            first,
            most,
            step: Step::Measuring,
            interval: Interval::default(),
            is_full: false,
            looked_at: Duration::ZERO,
            pause: FIRST_PAUSE,
            not_before: Duration::ZERO,
        }
    }

    /// Whether there may ever be more places than at first.
    pub(super) fn is_possible(&self) -> bool {
        self.first < self.most
    }

    /// From now on all places are taken, or not.
    pub(super) fn look(&mut self, is_full: bool, now: Duration) {
        if self.is_full {
            self.interval.full += now.saturating_sub(self.looked_at);
        }
        (self.is_full, self.looked_at) = (is_full, now);
    }

    /// So many bytes have come. Returns how many places there are to be from now on, where that changes.
    pub(super) fn received(&mut self, bytes: u64, places: usize, now: Duration) -> Option<usize> {
        self.interval.bytes += bytes;
        let time = now.saturating_sub(self.interval.since);
        let least_time = if matches!(self.step, Step::Settling { .. }) { SETTLED } else { LEAST_TIME };
        if time < least_time || self.interval.bytes < places as u64 * LEAST_BYTES {
            return None;
        }
        self.look(self.is_full, now);
        let ended = std::mem::replace(&mut self.interval, Interval { since: now, ..Interval::default() });
        let is_full = ended.full * 100 >= time * FULL_PERCENT;
        let bytes_per_second = ended.bytes as f64 / time.as_secs_f64();
        match self.step {
            Step::Measuring if is_full && now >= self.not_before => self.grow(Trial { places, bytes_per_second }),
            Step::Measuring => None,
            Step::Settling { before } if is_full => {
                self.step = Step::Trying { before };
                None
            }
            Step::Trying { before }
                if is_full && bytes_per_second >= before.bytes_per_second * (1.0 + LEAST_GAIN_PERCENT / 100.0) =>
            {
                self.pause = FIRST_PAUSE;
                self.grow(Trial { places, bytes_per_second })
            }
            Step::Settling { before } | Step::Trying { before } => {
                self.put_off(now);
                Some(before.places)
            }
        }
    }

    /// The service was busy. Returns how many places there are to be after so many were closed.
    pub(super) fn throttled(&mut self, open: usize, now: Duration) -> usize {
        self.put_off(now);
        self.interval = Interval { since: now, ..Interval::default() };
        open.max(self.first)
    }

    fn grow(&mut self, before: Trial) -> Option<usize> {
        let more = (before.places + before.places.div_ceil(2)).min(self.most);
        self.step = if more > before.places { Step::Settling { before } } else { Step::Measuring };
        (more > before.places).then_some(more)
    }

    fn put_off(&mut self, now: Duration) {
        self.step = Step::Measuring;
        self.not_before = now + self.pause;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line on which each request brings 100 MB/s, up to so much in all.
    struct Line {
        growth: Growth,
        places: usize,
        most_bytes_per_second: f64,
        now: Duration,
        /// Every change of the places.
        seen: Vec<usize>,
    }

    impl Line {
        const PART_BYTES: u64 = 1 << 20;

        fn new(most_bytes_per_second: f64) -> Line {
            let growth = Growth::new(64, 256);
            Line { growth, places: 64, most_bytes_per_second, now: Duration::ZERO, seen: Vec::new() }
        }

        /// Reads for so long, with as many requests as are wanted.
        fn read(&mut self, wanted: usize, time: Duration) {
            let ends = self.now + time;
            while self.now < ends {
                let in_flight = self.places.min(wanted);
                let rate = (in_flight as f64 * 100e6).min(self.most_bytes_per_second);
                self.growth.look(in_flight == self.places, self.now);
                self.now += Duration::from_secs_f64(Line::PART_BYTES as f64 / rate);
                // For a moment, one is free.
                self.growth.look(false, self.now);
                if let Some(places) = self.growth.received(Line::PART_BYTES, self.places, self.now) {
                    self.places = places;
                    self.seen.push(places);
                }
            }
        }
    }

    #[test]
    fn places_are_added_as_long_as_they_bring_more() {
        let mut line = Line::new(100e9);
        line.read(1000, Duration::from_secs(3));
        assert_eq!(line.seen, [96, 144, 216, 256]);
    }

    #[test]
    fn places_that_bring_nothing_are_taken_away_and_tried_ever_less_often() {
        let mut line = Line::new(10e9);
        line.read(1000, Duration::from_secs(9));
        assert_eq!(line.seen, [96, 144, 96], "96 connections bring 9.6 GB/s, which is nearly all");
        line.read(1000, Duration::from_secs(591));
        assert_eq!(line.places, 96);
        let trials = line.seen.iter().filter(|places| **places == 144).count();
        assert!((5..=7).contains(&trials), "after 10, 20, 40, 80, 160, 300 s: {:?}", line.seen);
        // The line gets faster.
        line.most_bytes_per_second = 100e9;
        line.read(1000, Duration::from_secs(310));
        assert_eq!(line.places, 256);
    }

    #[test]
    fn who_does_not_want_more_gets_no_more() {
        let mut line = Line::new(100e9);
        line.read(63, Duration::from_secs(60));
        assert_eq!(line.seen, [0; 0]);
        line.read(70, Duration::from_secs(5));
        assert_eq!(line.seen, [96, 64], "70 do not fill 96");
    }

    #[test]
    fn a_few_bytes_tell_nothing() {
        let (mut growth, mut fixed) = (Growth::new(64, 256), Growth::new(64, 64));
        let received = |growth: &mut Growth, at: u64| {
            growth.look(true, Duration::from_secs(at));
            growth.received(128 << 10, 64, Duration::from_secs(at))
        };
        assert!((0..63).all(|at| received(&mut growth, at).is_none()));
        assert_eq!(received(&mut growth, 63), Some(96));
        assert!((0..1000).all(|at| received(&mut fixed, at).is_none()));
        assert!(growth.is_possible() && !fixed.is_possible());
    }

    #[test]
    fn a_service_that_throttles_is_not_asked_for_more_for_a_while() {
        let mut line = Line::new(100e9);
        line.read(1000, Duration::from_secs(3));
        line.places = line.growth.throttled(128, line.now);
        assert_eq!(line.places, 128);
        line.read(1000, Duration::from_secs(9));
        assert_eq!(line.places, 128);
        line.places = line.growth.throttled(32, line.now);
        assert_eq!(line.places, 64, "never fewer than at first");
        line.read(1000, Duration::from_secs(19));
        assert_eq!(line.places, 64, "twice as long");
        line.read(1000, Duration::from_secs(4));
        assert_eq!(line.places, 256);
    }
}
