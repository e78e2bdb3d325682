//! A progress line on a terminal, updated a few times a second and removed at the end.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::base::Clock;

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
