//! What the lock of the names guards, and what other wings ask of it: one inode's facts, by its number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::large::LargeDirectories;
use super::listing::ListTask;
use super::upkeep::Uses;
use super::walk::Walks;
use super::{Believed, Failure, Names, Options, Tried, Tuning, View, believed, tree};
use crate::base::Ino;
use crate::list::Trust;
use crate::metrics::Metric;
use crate::tree::{Object, Tree};

/// What the tree's lock guards.
pub(super) struct State {
    pub(super) tree: Tree,
    /// Listings of single directories going on, by directory.
    pub(super) tasks: HashMap<Ino, Arc<ListTask>>,
    /// Listings of subtrees going on.
    pub(super) wide: Vec<Arc<ListTask>>,
    /// The findings by which what was settled is doubted already.
    pub(super) doubted: u64,
    /// When the last listing of the whole mount began.
    pub(super) everything_at: Option<Duration>,
    pub(super) walks: Walks,
    pub(super) uses: Uses,
    /// Directories that are too large to be held.
    pub(super) large: LargeDirectories,
    /// Entries as the gauge knows them.
    counted: u64,
}

impl State {
    pub(super) fn new(options: &Options, tuning: &Arc<Tuning>, wake: Arc<Notify>) -> State {
        State {
            tree: Tree::new(tree_options(options, tuning)),
            tasks: HashMap::new(),
            wide: Vec::new(),
            doubted: 0,
            everything_at: None,
            walks: Walks::new(tuning.clone()),
            uses: Uses::new(wake),
            large: LargeDirectories::new(),
            counted: 0,
        }
    }
}

fn tree_options(options: &Options, tuning: &Tuning) -> tree::Options {
    let Believed { fresh_for, absent_for, missing_for } = believed(options.metadata_ttl, options.negative_ttl, tuning);
    tree::Options {
        bucket: options.bucket.clone(),
        prefix: options.prefix.clone(),
        odd_keys: options.odd_keys,
        fresh_for,
        absent_for,
        missing_for,
        default_time: options.mount_time,
    }
}

impl Names {
    /// What an inode number stands for, as it is known now.
    pub(in crate::fs) fn view(&self, ino: Ino) -> Option<View> {
        self.state.lock().tree.view(ino, self.clock.elapsed())
    }

    /// The object of a file.
    pub(in crate::fs) fn object(&self, ino: Ino) -> Option<Object> {
        self.state.lock().tree.object(ino)
    }

    /// The object of a file, if the store may still have it; ESTALE otherwise.
    pub(in crate::fs) fn object_to_read(&self, ino: Ino) -> Tried<Object> {
        self.object(ino).filter(|object| !object.stale).ok_or(Failure::ESTALE)
    }

    /// The same for an open, which counts as a use of the directory.
    pub(in crate::fs) fn object_to_open(&self, ino: Ino) -> Tried<Object> {
        let mut state = self.state.lock();
        if let Some(directory) = state.tree.parent(ino) {
            self.count_name(&mut state, directory);
        }
        state.tree.object(ino).filter(|object| !object.stale).ok_or(Failure::ESTALE)
    }

    /// The prefix of a directory.
    pub(in crate::fs) fn prefix(&self, ino: Ino) -> Option<String> {
        self.state.lock().tree.prefix(ino)
    }

    /// The directory that an inode lies in.
    pub(in crate::fs) fn parent(&self, ino: Ino) -> Option<Ino> {
        self.state.lock().tree.parent(ino)
    }

    /// The key of an object, or the prefix of a directory, to name it in the log.
    pub(in crate::fs) fn key(&self, ino: Ino) -> Option<String> {
        let tree = &self.state.lock().tree;
        tree.object(ino).map(|object| object.key).or_else(|| tree.prefix(ino))
    }

    /// The text of a link that was looked at.
    pub(super) fn link(&self, ino: Ino) -> Option<Vec<u8>> {
        self.state.lock().tree.link(ino).map(|text| text.as_bytes().to_vec())
    }

    /// Whether the kernel knows an inode.
    pub(in crate::fs) fn is_referenced(&self, ino: Ino) -> bool {
        self.state.lock().tree.is_referenced(ino)
    }

    /// Looks at several entries under one lock: `look` gets the tree and the time that it is looked at.
    pub(in crate::fs) fn look_at_tree<T>(&self, look: impl FnOnce(&Tree, Duration) -> T) -> T {
        look(&self.state.lock().tree, self.clock.elapsed())
    }

    /// An object was seen to have changed: its name is looked up anew.
    pub(in crate::fs) fn mark_stale(&self, ino: Ino) {
        self.change(|state| ((), state.tree.mark_stale(ino, self.clock.elapsed())));
    }

    /// Memory that names and attributes take now, in bytes.
    pub(in crate::fs) fn bytes(&self) -> u64 {
        self.state.lock().tree.bytes() as u64
    }

    /// Directories that are known to have more names than memory holds.
    pub(in crate::fs) fn large_directories(&self) -> usize {
        self.state.lock().large.len()
    }

    /// How far the server's listings can be relied on.
    pub(in crate::fs) fn trust(&self) -> Trust {
        self.findings.trust()
    }

    /// The gauge of entries follows the tree.
    pub(super) fn count_entries(&self, state: &mut State) {
        let entries = state.tree.len() as u64;
        if entries > state.counted {
            self.metrics.add(Metric::TreeEntries, entries - state.counted);
        } else {
            self.metrics.subtract(Metric::TreeEntries, state.counted - entries);
        }
        state.counted = entries;
    }
}
