//! How fast programs use the bytes of an object where they wait for none, and how many are therefore worth having ahead
//! of them.
//!
//! A window of more than is used while a GET is on its way brings nothing sooner, and what a program does not come to
//! is fetched in vain. What the network can bring is only known after a while (`pipe`); how fast a program takes what
//! is there shows in its first megabytes.

use std::time::Duration;

use super::tuning::Tuning;
use crate::base::READAHEAD_BYTES;

/// What the readers of one object have shown.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when no read has waited, and the bytes that were handed out since.
    stretch: Option<(Duration, u64)>,
    /// Bytes per second: of the beginning of a stretch, which counts while there was no complete one.
    first: Option<u64>,
    /// The best of the latest stretches: each one before counts for an eighth less.
    best: Option<u64>,
}

impl Pace {
    /// A read of so many bytes came when they were there: what was handed out before has been used, but for what the
    /// kernel reads ahead.
    pub(super) fn found(&mut self, now: Duration, bytes: u64, tuning: &Tuning) {
        let (since, handed_bytes) = self.stretch.unwrap_or((now, 0));
        self.stretch = Some((since, handed_bytes.saturating_add(bytes)));
        if handed_bytes < tuning.pace_first_bytes {
            return;
        }
        let used_bytes = u128::from(handed_bytes.saturating_sub(READAHEAD_BYTES));
        let nanos = now.saturating_sub(since).as_nanos().max(1);
        let rate = u64::try_from(used_bytes * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
        if handed_bytes < tuning.pace_stretch_bytes {
            self.first = self.first.max(Some(rate));
        } else {
            self.best = self.best.map(|best| best - best / 8).max(Some(rate));
            self.stretch = Some((now, bytes));
        }
    }

    /// A read waits for bytes: how long says nothing of the program.
    pub(super) fn waits(&mut self) {
        self.stretch = None;
    }

    /// So many bytes were handed out to a read that has waited for them.
    pub(super) fn waited(&mut self, now: Duration, bytes: u64) {
        self.stretch = Some((now, bytes));
    }

    /// So many bytes are worth having ahead of the readers, where a GET takes so long that has the network to itself;
    /// `None` while too little was seen.
    pub(super) fn worth_bytes(&self, get_time: Duration, tuning: &Tuning) -> Option<u64> {
        let used_bytes = u128::from(self.best.or(self.first)?).saturating_mul(get_time.as_nanos()) / 1_000_000_000;
        let bytes = used_bytes.saturating_mul(tuning.pace_gain.into()) / 8;
        Some(u64::try_from(bytes).unwrap_or(u64::MAX).max(tuning.pace_least_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GET: Duration = Duration::from_millis(60);

    fn worth_mib(pace: &Pace) -> Option<u64> {
        pace.worth_bytes(GET, &Tuning::default()).map(|bytes| bytes / MIB)
    }

    /// Reads of 1 MiB that find their bytes, so long after each other, from `from` on; when the next one is due.
    fn read(pace: &mut Pace, from: Duration, every: Duration, count: u32) -> Duration {
        (0..count).for_each(|index| pace.found(from + every * index, MIB, &Tuning::default()));
        from + every * count
    }

    const FAST: Duration = Duration::from_micros(500);
    const SLOW: Duration = Duration::from_millis(10);

    #[test]
    fn what_is_used_while_gets_are_on_their_way_is_worth_having() {
        let mut pace = Pace::default();
        let at = read(&mut pace, Duration::from_secs(7), FAST, 4);
        assert_eq!(worth_mib(&pace), None, "the fourth may not be used yet");
        let at = read(&mut pace, at, FAST, 1);
        // 3 MiB in 2 ms, since one of the 4 may have been read ahead.
        assert_eq!(worth_mib(&pace), Some(202));
        read(&mut pace, at, FAST, 4);
        // 7 MiB in 4 ms.
        assert_eq!(worth_mib(&pace), Some(236));
    }

    #[test]
    fn slow_readers_get_the_least_window() {
        let mut pace = Pace::default();
        read(&mut pace, Duration::ZERO, Duration::from_millis(50), 20);
        assert_eq!(worth_mib(&pace), Some(Tuning::default().pace_least_bytes / MIB));
    }

    #[test]
    fn the_best_of_the_latest_stretches_counts() {
        let mut pace = Pace::default();
        let at = read(&mut pace, Duration::ZERO, SLOW, 16);
        let at = read(&mut pace, at, FAST, 17);
        assert_eq!(worth_mib(&pace), Some(236));
        let at = read(&mut pace, at, SLOW, 8);
        assert_eq!(worth_mib(&pace), Some(206), "a pause of the program");
        read(&mut pace, at, SLOW, 80);
        assert_eq!(worth_mib(&pace), Some(64), "it has become slow");
    }

    #[test]
    fn the_beginning_of_a_stretch_counts_while_no_other_is_known() {
        let mut pace = Pace::default();
        let at = read(&mut pace, Duration::ZERO, FAST / 5, 5);
        assert_eq!(worth_mib(&pace), Some(1012));
        pace.waits();
        let at = read(&mut pace, at, FAST, 9);
        assert_eq!(worth_mib(&pace), Some(236), "a complete one is known");
        pace.waits();
        read(&mut pace, at, FAST / 5, 5);
        assert_eq!(worth_mib(&pace), Some(236), "another one has only begun");
    }

    #[test]
    fn time_that_reads_wait_does_not_count() {
        let mut pace = Pace::default();
        let mut at = Duration::ZERO;
        for _ in 0..4 {
            at = read(&mut pace, at, FAST, 3);
            pace.waits();
            at += Duration::from_millis(100);
            pace.waited(at, MIB);
            at += FAST;
        }
        assert_eq!(worth_mib(&pace), None, "no stretch was long enough");
        read(&mut pace, at, FAST, 4);
        assert_eq!(worth_mib(&pace), Some(202), "what has waited counts from when it came");
    }

    #[test]
    fn reads_at_one_instant_bound_nothing() {
        let mut pace = Pace::default();
        read(&mut pace, Duration::ZERO, Duration::ZERO, 9);
        assert!(worth_mib(&pace) > Some(1 << 20));
        assert_eq!(pace.worth_bytes(Duration::MAX, &Tuning::default()), Some(u64::MAX));
    }

    #[test]
    fn lengths_and_times_that_make_no_sense_do_no_harm() {
        let mut pace = Pace::default();
        for (now, bytes) in [(Duration::MAX, u64::MAX), (Duration::ZERO, u64::MAX), (Duration::MAX, 0)] {
            pace.found(now, bytes, &Tuning::default());
        }
        pace.found(Duration::ZERO, 0, &Tuning::default());
        pace.found(Duration::MAX, u64::MAX, &Tuning::default());
        assert!(worth_mib(&pace).is_some());
    }
}
