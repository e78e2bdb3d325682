//! Which directories are too large for memory.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::State;
use crate::base::Ino;

/// Directories that are remembered to be too large; others are recognised again when they are listed.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// How often the log says that another directory is too large.
const WARNED_EVERY: Duration = Duration::from_secs(10);

/// Which directories have more names than memory holds.
#[derive(Debug)]
pub(super) struct LargeDirectories {
    /// Until when they count as such.
    until: LruCache<Ino, Duration>,
    warned_at: Option<Duration>,
}

impl LargeDirectories {
    pub(super) fn new() -> Self {
        LargeDirectories { until: LruCache::new(REMEMBERED), warned_at: None }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.until.len()
    }

    fn has(&mut self, directory: Ino, now: Duration) -> bool {
        self.until.get(&directory).is_some_and(|&until| now < until)
    }

    /// One has become small.
    pub(super) fn is_small(&mut self, directory: Ino) {
        self.until.pop(&directory);
    }

    /// One was found; whether the log should say so.
    pub(super) fn found(&mut self, directory: Ino, now: Duration, until: Duration) -> bool {
        let is_new = self.until.put(directory, until).is_none();
        let is_due = self.warned_at.is_none_or(|at| now.saturating_sub(at) >= WARNED_EVERY);
        if is_new && is_due {
            self.warned_at = Some(now);
        }
        is_new && is_due
    }
}

impl State {
    /// Whether a directory is read straight from the store: it is too large, and no listing of it goes on.
    pub(super) fn is_too_large(&mut self, directory: Ino, now: Duration) -> bool {
        self.large.has(directory, now) && self.going_on(directory).is_none()
    }
}
