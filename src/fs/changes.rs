//! What follows when an answer of the store has changed the tree: odd keys are counted and named once, and the kernel
//! forgets what is no longer so.

use super::{Fs, State};
use crate::metrics::Metric;
use crate::tree::{Changes, Outdated};

impl Fs {
    /// Says what has changed. Called without the lock.
    pub(super) fn publish(&self, changes: Changes) {
        for key in &changes.odd {
            self.metrics.add(Metric::OddKeys, 1);
            tracing::warn!(key = key.key, "left out: its name {}; see odd-keys=escape", key.odd.reason());
        }
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

    /// Changes the tree under the lock, and says afterwards what has changed. Where very many entries have gone, they
    /// are seen to bit by bit, so that nobody waits long for the lock.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> (T, Changes)) -> T {
        let (value, mut more) = self.change_once(|state| {
            let (value, mut changes) = change(state);
            let more = state.tree.sweep(&mut changes);
            ((value, more), changes)
        });
        while more {
            more = self.change_once(|state| {
                let mut changes = Changes::default();
                (state.tree.sweep(&mut changes), changes)
            });
        }
        value
    }

    fn change_once<T>(&self, change: impl FnOnce(&mut State) -> (T, Changes)) -> T {
        let (value, changes) = {
            let mut state = self.state.lock();
            let changed = change(&mut state);
            self.count_entries(&mut state);
            changed
        };
        self.publish(changes);
        value
    }
}
