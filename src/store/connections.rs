//! How many requests may be in flight to a store at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many requests as may be in flight when nothing else is said: at first, and at most. Past 32 connections of
/// 100 MB/s a machine with two cores gains little, the rest is room for listings and look-ups beside them; 125 fill a
/// line of 100 Gbit/s.
const AUTOMATIC: [usize; 2] = [64, 256];

/// How many requests may be in flight: always as many, or more while more of them bring more bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    first: usize,
    most: usize,
    now: AtomicUsize,
}

impl Connections {
    /// As many as this, at least one.
    pub fn fixed(count: usize) -> Connections {
        Connections::between(count, count)
    }

    /// As many as the first number, at least one, and up to the second while more bring more.
    pub fn between(first: usize, most: usize) -> Connections {
        let first = first.max(1);
        Connections(Arc::new(Counts { first, most: most.max(first), now: AtomicUsize::new(first) }))
    }

    /// Of so many requests, those that may be in flight for other things than what a program waits for: one place in
    /// eight, but never the only one, is kept for that.
    pub fn ahead(count: usize) -> usize {
        count - count.div_ceil(8).min(count - 1)
    }

    /// What nobody has said, but at least so many.
    pub fn automatic(least: usize) -> Connections {
        let [first, most] = AUTOMATIC.map(|count| count.max(least));
        Connections::between(first, most)
    }

    /// As many as there may be now.
    pub fn now(&self) -> usize {
        self.0.now.load(Ordering::Relaxed)
    }

    /// As many as there are at first, and at least.
    pub fn first(&self) -> usize {
        self.0.first
    }

    /// As many as there may ever be.
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// So many, within the bounds. Returns how many that is.
    pub(super) fn set(&self, count: usize) -> usize {
        let count = count.clamp(self.0.first, self.0.most);
        self.0.now.store(count, Ordering::Relaxed);
        count
    }
}

impl Default for Connections {
    fn default() -> Self {
        Connections::automatic(1)
    }
}
