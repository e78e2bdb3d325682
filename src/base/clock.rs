//! The only place that reads a clock.
//!
//! Two times are kept apart: [`Timestamp`] is wall-clock time, for signatures and attributes; [`Clock::elapsed`] is
//! monotonic, for freshness and time limits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Seconds and nanoseconds since 1970-01-01 UTC. Objects carry whole seconds or milliseconds; the clock finer ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp {
    /// Whole seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// A time given in whole seconds since the epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Timestamp { seconds, nanos: 0 }
    }

    /// This time moved by some seconds, forwards or backwards.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Timestamp { seconds: self.seconds.saturating_add(seconds), nanos: self.nanos }
    }

    /// The second in UTC, as in `2024-02-29T12:34:56Z`; the bare number of seconds where no calendar goes so far.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.seconds).map_or_else(|_| self.seconds.to_string(), |time| time.to_string())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() },
            Err(before) => Timestamp::from_unix(-(before.duration().as_secs() as i64)),
        }
    }
}

/// A clock: the machine's, or one that a test moves by hand. Clones share the same time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System { started: Instant },
    Manual { millis: Arc<AtomicU64> },
    Runtime { started: tokio::time::Instant, start: Timestamp },
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Clock(Source::System { started: Instant::now() })
    }

    /// A clock that stands still at `start` (wall-clock time) until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Clock(Source::Manual { millis: Arc::new(AtomicU64::new(start.seconds.max(0) as u64 * 1000)) })
    }

    /// A clock that shows `start` now and moves with the Tokio runtime's time, which a test may pause: it agrees with
    /// every sleep and time-out.
    pub fn runtime(start: Timestamp) -> Self {
        Clock(Source::Runtime { started: tokio::time::Instant::now(), start })
    }

    /// Moves a manual clock forwards. Panics on any other, which cannot be moved.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::Manual { millis } => {
                millis.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
            }
            Source::System { .. } | Source::Runtime { .. } => panic!("only a manual clock can be moved"),
        }
    }

    /// The time of the wall clock.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { .. } => SystemTime::now().into(),
            Source::Manual { millis } => {
                let millis = millis.load(Ordering::SeqCst);
                Timestamp { seconds: (millis / 1000) as i64, nanos: (millis % 1000) as u32 * 1_000_000 }
            }
            Source::Runtime { started, start } => start.plus_seconds(started.elapsed().as_secs() as i64),
        }
    }

    /// The machine's monotonic time in microseconds, as service managers compare it with their own.
    pub fn monotonic_microseconds() -> u64 {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        now.as_micros() as u64
    }

    /// Monotonic time since some fixed moment before any use of this clock; only differences mean anything.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Manual { millis } => Duration::from_millis(millis.load(Ordering::SeqCst)),
            Source::Runtime { started, .. } => started.elapsed(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Source::System { .. } => f.write_str("Clock(system)"),
            Source::Manual { .. } => f.write_str("Clock(manual)"),
            Source::Runtime { .. } => f.write_str("Clock(runtime)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp::from_unix(100));
        let before = clock.elapsed();
        clock.clone().advance(Duration::from_millis(1500));
        assert_eq!(clock.now(), Timestamp { seconds: 101, nanos: 500_000_000 });
        assert_eq!(clock.elapsed() - before, Duration::from_millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_clock_agrees_with_sleeps() {
        let clock = Clock::runtime(Timestamp::from_unix(100));
        let before = clock.elapsed();
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(clock.now(), Timestamp::from_unix(107));
        assert_eq!(clock.elapsed() - before, Duration::from_secs(7));
    }
}
