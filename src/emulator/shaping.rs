//! The speed of the emulated network: first-byte delays, kept to a tenth of a millisecond, and bandwidths.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use crate::base::ByteSize;

/// Delays and bandwidths. The default has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shaping {
    /// From the end of a request's headers to the first byte of its answer.
    pub ttfb: Duration,
    /// The same for a page of a listing, where it is the longer of the two.
    pub page_time: Duration,
    /// Bytes per second of one connection's bodies.
    pub connection_bandwidth: Option<ByteSize>,
    /// Bytes per second of all bodies together.
    pub total_bandwidth: Option<ByteSize>,
}

/// Waits this long by a timer of the kernel: the runtime's own come up to two milliseconds late, which would be taken
/// for the client's.
pub(super) async fn sleep(time: Duration) {
    match kernel_timer(time) {
        Ok(timer) => drop(timer.readable().await),
        // Too many files are open.
        Err(_) => tokio::time::sleep(time).await,
    }
}

fn kernel_timer(time: Duration) -> std::io::Result<AsyncFd<OwnedFd>> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
    timer.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
    // SAFETY: an owned descriptor stays open, and the same, for as long as its owner lives, which is in there.
    Ok(unsafe { AsyncFd::register(OwnedFd::from(timer)) }?)
}

/// A sender that fell behind its schedule, because timers fire late, may catch up by this much and no more.
const CATCH_UP: Duration = Duration::from_millis(5);

/// Bytes go out in steps of about this long at the allowed rate.
const STEP: Duration = Duration::from_millis(4);

impl Shaping {
    /// The most bytes to send in one step, so that the flow is even over a few milliseconds.
    pub(super) fn step_bytes(&self, most: usize) -> usize {
        let slower = |a: usize, rate: Option<ByteSize>| match rate {
            Some(ByteSize(rate)) => {
                a.min(usize::try_from(u128::from(rate) * STEP.as_nanos() / 1_000_000_000).unwrap_or(a))
            }
            None => a,
        };
        slower(slower(most, self.connection_bandwidth), self.total_bandwidth).max(4 << 10).min(most)
    }

    /// Whether bodies flow freely.
    pub(super) fn is_unlimited(&self) -> bool {
        self.connection_bandwidth.is_none() && self.total_bandwidth.is_none()
    }
}

/// The schedule of one flow of bytes: when the last byte promised so far has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Pace {
    clear: Duration,
}

impl Pace {
    /// Takes room for `bytes` and says when they will have passed at that rate.
    pub(super) fn reserve(&mut self, now: Duration, bytes: usize, rate: Option<ByteSize>) -> Duration {
        let Some(ByteSize(rate)) = rate else { return now };
        let takes = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate.max(1));
        let takes = Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
        self.clear = self.clear.max(now.saturating_sub(CATCH_UP)).saturating_add(takes);
        self.clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends for `lasts` through a timer that fires late, and counts what passed.
    fn passed(rate: u64, step: usize, late: Duration, lasts: Duration) -> u64 {
        let (mut pace, mut now, mut sent) = (Pace::default(), Duration::from_secs(1), 0);
        let end = now + lasts;
        loop {
            let due = pace.reserve(now, step, Some(ByteSize(rate)));
            if due > now {
                now = due + late;
            }
            if now > end {
                return sent;
            }
            sent += step as u64;
        }
    }

    #[test]
    fn the_rate_holds_over_a_tenth_of_a_second_even_with_late_timers() {
        for rate in [1_000_000, 100_000_000, 2_000_000_000] {
            let shaping = Shaping { connection_bandwidth: Some(ByteSize(rate)), ..Shaping::default() };
            let step = shaping.step_bytes(256 << 10);
            for late in [0, 300, 1200].map(Duration::from_micros) {
                let sent = passed(rate, step, late, Duration::from_millis(100));
                let error = sent as f64 / (rate as f64 / 10.0) - 1.0;
                assert!(error.abs() < 0.08, "rate {rate}, step {step}, {late:?} late: off by {error:.3}");
            }
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut pace = Pace::default();
        let rate = Some(ByteSize(1_000_000));
        let first = pace.reserve(Duration::from_secs(100), 10_000, rate);
        assert_eq!(first, Duration::from_secs(100) - CATCH_UP + Duration::from_millis(10));
        assert_eq!(pace.reserve(first, 10_000, None), first);
    }
}
