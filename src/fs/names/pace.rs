//! How far a listing may run ahead of the walk that it serves. Pure: what was listed and what was used in, a budget
//! out.
//!
//! A program that looks into two directories of a huge bucket must not pay for all of it, and one that walks it must
//! never wait. So what is listed ahead stays in proportion to what was used: some times the entries that programs have
//! read, and some pages for each directory that they have opened, which would have cost one by itself. The latter is
//! what leads a walk through directories of one file each, in whatever order it visits them.

use std::sync::Arc;

use lru::LruCache;

use super::Tuning;
use super::walk::Outcome;
use crate::base::Ino;

/// Directories that earn nothing when they are opened again: a program that polls a few does not walk.
const REMEMBERED: usize = 1024;

/// The account of one listing.
#[derive(Debug)]
pub(super) struct Pace {
    tuning: Arc<Tuning>,
    listed: u64,
    earned: u64,
    opened: LruCache<Ino, ()>,
}

impl Pace {
    /// For a walk that has read so many entries while it was recognised.
    pub(super) fn new(read: u64, tuning: Arc<Tuning>) -> Self {
        let earned = read * tuning.entries_per_read;
        Pace { tuning, listed: 0, earned, opened: LruCache::unbounded() }
    }

    /// A page has come.
    pub(super) fn listed(&mut self, entries: u64) {
        self.listed += entries;
    }

    /// A directory was opened; whether that, and what is read in it, is a step of the walk.
    pub(super) fn opened(&mut self, directory: Ino) -> bool {
        let new = self.opened.put(directory, ()).is_none();
        // Bounded here rather than by the cache, which would take its room at once, and every listing has one.
        if self.opened.len() > REMEMBERED {
            self.opened.pop_lru();
        }
        if new {
            self.earned += self.tuning.entries_per_directory;
        }
        new
    }

    /// Counts entries that were read.
    pub(super) fn read(&mut self, entries: u64) {
        self.earned += entries * self.tuning.entries_per_read;
    }

    /// Whether all has been listed that the walk has earned.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.left() == 0
    }

    /// Entries that may be listed before the walk comes further, those included that are on their way.
    pub(super) fn left(&self) -> u64 {
        (self.tuning.advance_entries + self.earned).saturating_sub(self.listed)
    }

    /// Requests that may be in flight: those that are when the walk ends were not needed.
    pub(super) fn requests(&self) -> u32 {
        u32::try_from(self.tuning.first_walk_requests + self.earned / self.tuning.entries_per_request)
            .unwrap_or(u32::MAX)
    }

    /// How the listing turned out.
    pub(super) fn outcome(&self) -> Outcome {
        if self.earned >= self.listed { Outcome::Followed } else { Outcome::Ignored }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A walk through directories of `files` each, in an order that is not the listing's, in steps of one round trip:
    /// what is listed costs no time, what is not costs a step. The directories that had to be listed by themselves.
    fn missed(directories: u64, files: u64) -> usize {
        let mut pace = Pace::new(0, Arc::default());
        let (mut listed, mut missed) = (0, 0);
        // A permutation, for 7919 is a prime that divides neither.
        let mut order = (0..directories).map(|n| n * 7919 % directories).peekable();
        while order.peek().is_some() {
            let mut looked_at = HashSet::new();
            while let Some(next) = order.next_if(|&next| next < listed || looked_at.is_empty()) {
                if next >= listed {
                    looked_at.insert(next);
                    missed += 1;
                }
                pace.opened(Ino(next));
                pace.read(files);
            }
            for _ in 0..pace.requests().min(64) {
                if !pace.is_far_ahead() {
                    pace.listed(1000);
                    listed += 1000 / files;
                }
            }
        }
        missed
    }

    #[test]
    fn a_walk_in_any_order_is_soon_led() {
        for (directories, files) in [(100_000, 1), (20_000, 10), (10_000, 100), (1000, 1000)] {
            let missed = missed(directories, files);
            assert!(missed < 160, "{missed} of {directories} directories of {files} were waited for");
        }
    }

    #[test]
    fn who_polls_earns_no_more() {
        let mut pace = Pace::new(10, Arc::default());
        for _ in 0..1000 {
            for directory in 0..20 {
                if pace.opened(Ino(directory)) {
                    pace.read(100);
                }
            }
        }
        let mut pages = 0;
        while !pace.is_far_ahead() {
            pace.listed(1000);
            pages += 1;
        }
        assert_eq!(pages, 28 + 20 * 4 + 9);
        assert_eq!(pace.outcome(), Outcome::Ignored);
    }
}
