//! What follows when an answer of the store has changed the tree: odd keys are counted and logged, and the kernel is
//! told to drop outdated names and attributes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Names, State};
use crate::base::Ino;
use crate::metrics::Metric;
use crate::tree::{Changes, OddKey, Outdated};

/// Odd keys of one listing that are named in the log; the others are counted, for there may be millions.
const NAMED: u64 = 10;

/// How long the kernel is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one listing has left out.
#[derive(Debug, Default)]
pub(super) struct OddLog {
    /// Keys with no name, the first of which were named.
    odd: AtomicU64,
    /// Keys that are not UTF-8, which cannot be named.
    undecodable: AtomicU64,
}

impl OddLog {
    /// Keys that are not UTF-8 were left out.
    pub(super) fn leave_out(&self, undecodable: u64) {
        self.undecodable.fetch_add(undecodable, Ordering::Relaxed);
    }

    fn name(&self, key: &OddKey) {
        if self.odd.fetch_add(1, Ordering::Relaxed) < NAMED {
            tracing::warn!(key = key.key, "key skipped: its name {}; see odd-keys=escape", key.odd.reason());
        }
    }
}

impl Names {
    /// Changes the tree under the lock, and says afterwards what has changed. Where very many entries have gone, they
    /// are seen to bit by bit, so that no request waits long for the lock.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> (T, Changes)) -> T {
        self.change_for(&self.odd, change)
    }

    /// The same on behalf of a listing, which keeps account of what it leaves out.
    pub(super) fn change_for<T>(&self, odd: &OddLog, change: impl FnOnce(&mut State) -> (T, Changes)) -> T {
        let (value, mut more) = self.change_once(odd, |state| {
            let (value, mut changes) = change(state);
            let more = state.tree.sweep(&mut changes);
            ((value, more), changes)
        });
        while more {
            more = self.change_once(odd, |state| {
                let mut changes = Changes::default();
                (state.tree.sweep(&mut changes), changes)
            });
        }
        value
    }

    fn change_once<T>(&self, odd: &OddLog, change: impl FnOnce(&mut State) -> (T, Changes)) -> T {
        let (value, changes) = {
            let mut state = self.state.lock();
            let changed = change(&mut state);
            self.count_entries(&mut state);
            changed
        };
        self.publish(odd, changes);
        value
    }

    /// Says what has changed. Called without the lock.
    fn publish(&self, odd: &OddLog, changes: Changes) {
        self.metrics.add(Metric::OddKeys, changes.odd.len() as u64);
        changes.odd.iter().for_each(|key| odd.name(key));
        if changes.outdated.is_empty() {
            return;
        }
        let Some(notifier) = self.notifier.read().clone() else { return };
        for outdated in changes.outdated {
            match outdated {
                Outdated::Entry { parent, name } => notifier.invalidate_entry(parent, &name),
                Outdated::Attributes(ino) => notifier.invalidate_attributes(ino),
            }
        }
    }

    /// The kernel forgets the names that it was told to be absent: some may be there now. Returns once it has been
    /// told.
    pub(super) async fn kernel_forgets_absent(&self) {
        let absent: Vec<_> = {
            let mut absent = self.absent.lock();
            std::iter::from_fn(|| absent.pop_lru()).map(|(name, _)| name).collect()
        };
        self.kernel_forgets(absent).await;
    }

    /// The kernel forgets names, each in its directory. Returns once it has been told, or does not listen.
    pub(super) async fn kernel_forgets(&self, names: impl IntoIterator<Item = (Ino, Vec<u8>)>) {
        let Some(notifier) = self.notifier.read().clone() else { return };
        for (parent, name) in names {
            notifier.invalidate_entry(parent, &name);
        }
        let (done, told) = oneshot::channel();
        notifier.after_that(done);
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }

    /// The last word about what a listing has left out.
    pub(super) fn sum_up_odd(&self, odd: &OddLog, prefix: &str) {
        let more = odd.odd.load(Ordering::Relaxed).saturating_sub(NAMED);
        if more > 0 {
            tracing::warn!(prefix, keys = more, "further keys skipped: they cannot be file names; see odd-keys=escape");
        }
        let undecodable = odd.undecodable.load(Ordering::Relaxed);
        if undecodable > 0 {
            tracing::warn!(prefix, keys = undecodable, "keys skipped: they are not UTF-8");
        }
    }
}
