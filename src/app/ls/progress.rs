//! One line on a terminal that tells how far a listing is, shown a few times a second and gone at the end.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::app::text::counted;
use crate::base::Clock;

/// A reader of figures cannot follow faster ones.
const EVERY: Duration = Duration::from_millis(200);

/// The line.
pub(super) struct Progress {
    clock: Clock,
    /// `None` where nothing is shown.
    ticks: Option<Interval>,

    begun: Duration,
    is_shown: bool,
}

impl Progress {
    /// Begins now. Must be called within a runtime.
    pub(super) fn new(clock: Clock, is_wanted: bool) -> Self {
        let ticks = is_wanted.then(|| {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Progress { begun: clock.elapsed(), clock, ticks, is_shown: false }
    }

    /// Returns when the line should be shown anew; never where it is not wanted.
    pub(super) async fn due(&mut self) {
        match &mut self.ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Shows the line. What is over before the first fifth of a second has none.
    pub(super) fn show(&mut self, entries: u64, in_flight: usize) {
        let passed = self.clock.elapsed().saturating_sub(self.begun);
        if passed >= EVERY {
            self.is_shown = true;
            write_to_terminal(&format!("\r{}\x1b[K", line(entries, passed, in_flight)));
        }
    }

    /// Takes the line away.
    pub(super) fn wipe(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            write_to_terminal("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    /// An error that ends the listing is told on a line of its own.
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Progress that cannot be shown is no failure.
fn write_to_terminal(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn line(entries: u64, passed: Duration, in_flight: usize) -> String {
    let rate = (entries as f64 / passed.as_secs_f64().max(1e-3)) as u64;
    let requests = counted(in_flight as u64, "request");
    format!("{} entries, {}/s, {requests} in flight", grouped(entries), grouped(rate))
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_entries_and_their_rate() {
        assert_eq!(line(0, Duration::ZERO, 1), "0 entries, 0/s, 1 request in flight");
        let line = line(1_234_567, Duration::from_millis(2500), 64);
        assert_eq!(line, "1,234,567 entries, 493,826/s, 64 requests in flight");
        assert_eq!([grouped(999), grouped(1000), grouped(100_000)], ["999", "1,000", "100,000"]);
    }
}
