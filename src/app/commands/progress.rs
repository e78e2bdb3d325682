//! A progress line on a terminal, updated a few times a second and removed at the end, and the words in it.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::text::size;
use crate::base::Clock;

/// Width of the bar, in characters.
const BAR: usize = 20;

/// A reader of figures cannot follow faster ones.
const EVERY: Duration = Duration::from_millis(200);

/// The line that shows the progress.
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

    /// Shows the line, which is told how long it has been. What is over before the first fifth of a second has none.
    pub(super) fn show(&mut self, line: impl FnOnce(Duration) -> String) {
        let passed = self.clock.elapsed().saturating_sub(self.begun);
        if passed >= EVERY {
            self.is_shown = true;
            write_to_terminal(&format!("\r{}\x1b[K", line(passed)));
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
    /// An error that ends it is printed on a line of its own.
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Progress that cannot be shown is no failure.
fn write_to_terminal(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `[=====>              ]  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left`.
pub(super) fn progress_line((done, total): (u64, u64), passed: Duration) -> String {
    format!("[{}] {}", bar(share(done, total), BAR), progress_words((done, total), passed))
}

/// ` 25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left`.
pub(super) fn progress_words((done, total): (u64, u64), passed: Duration) -> String {
    let rate = (done as f64 / passed.as_secs_f64().max(1e-3)) as u64;
    let left = match total.saturating_sub(done).checked_div(rate) {
        Some(seconds) if done < total => format!(", {} left", long_time(seconds)),
        _ => String::new(),
    };
    format!("{:3}% {} of {}, {}/s{left}", percent(done, total), size(done), size(total), size(rate))
}

/// How much of the whole is done, from 0 to 1. Done may be ahead of what is known: a listing is still on its way.
pub(super) fn share(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) }
}

/// The same in percent, rounded down.
pub(super) fn percent(done: u64, total: u64) -> u32 {
    (share(done, total) * 100.0) as u32
}

/// `=====>     `, as wide as is asked for.
pub(super) fn bar(share: f64, width: usize) -> String {
    let filled = (share * width as f64) as usize;
    let head = if filled < width { ">" } else { "" };
    format!("{:width$}", "=".repeat(filled) + head)
}

/// Writes whole seconds as in `59s`, `2m05s` and `3h10m`.
pub(super) fn long_time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_bars_are_short() {
        assert_eq!([59, 125, 11_400].map(long_time), ["59s", "2m05s", "3h10m"]);
        assert_eq!([share(0, 0), share(1, 2), share(3, 2)].map(|share| bar(share, 4)), [">   ", "==> ", "===="]);
        assert_eq!(
            progress_line((1 << 30, 4 << 30), Duration::from_secs(2)),
            "[=====>              ]  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left"
        );
    }
}
