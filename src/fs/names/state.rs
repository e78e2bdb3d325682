//! The state under the lock of the names, and what other wings ask of it: the facts of one inode, by its number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::large_directories::LargeDirectories;
use super::task::{Behind, ListTask, PageSignals, Since};
use super::uses::Uses;
use super::walk::Walks;
use super::{Believed, Failure, Names, Options, Tried, Tuning, View, believed, tree};
use crate::base::Ino;
use crate::list::Trust;
use crate::metrics::Metric;
use crate::tree::{Depth, Object, Standpoint, Tree};

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

impl State {
    /// The listing of a directory that is going on, and the time that it shows the store as of. One whose round is over
    /// is not: it has nothing more to bring, whether its task has come to say so or not.
    pub(super) fn going_on(&self, directory: Ino) -> Option<(&Arc<ListTask>, Duration)> {
        let task = self.tasks.get(&directory)?;
        Some((task, self.tree.as_of(&task.listing)?))
    }

    /// A listing that is going on and may show, of a directory or of anything below it, what was no longer so at a
    /// moment: it must be over before the same is listed anew, or it would be believed afterwards.
    pub(super) fn too_early(&self, prefix: &str, depth: Depth, since: &Since) -> Option<Behind> {
        let within = |task: &&Arc<ListTask>| match depth {
            Depth::Directory => task.listing.prefix == prefix,
            Depth::Subtree => task.listing.prefix.starts_with(prefix),
        };
        let early = |task: &&Arc<ListTask>| self.tree.as_of(&task.listing).is_some_and(|as_of| !since.holds(as_of));
        self.tasks.values().filter(within).find(early).map(|task| task.behind())
    }

    /// To be called under the lock under which the tree was looked at, so that no page is missed.
    pub(super) fn signals(&self, task: &ListTask) -> PageSignals {
        let wide = self.wide_over(&task.listing.prefix).map(|wide| wide.signal.subscribe()).collect();
        PageSignals { own: task.signal.subscribe(), wide, left: task.left.clone() }
    }

    /// The wide listings that bring a directory.
    pub(super) fn wide_over<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'s Arc<ListTask>> {
        self.wide.iter().filter(move |task| task.covers(prefix))
    }

    /// All listings that bring a directory, its own first.
    pub(super) fn feeding<'s>(&'s self, directory: Ino, prefix: &'s str) -> impl Iterator<Item = &'s Arc<ListTask>> {
        self.tasks.get(&directory).into_iter().chain(self.wide_over(prefix))
    }

    /// The directory may have gone and come back, and be listed anew: only this very listing ends.
    pub(super) fn end_task(&mut self, directory: Ino, task: &Arc<ListTask>) {
        if self.tasks.get(&directory).is_some_and(|current| Arc::ptr_eq(current, task)) {
            self.tasks.remove(&directory);
        }
        self.wide.retain(|wide| !Arc::ptr_eq(wide, task));
        if let Some(walk) = &task.walk {
            self.walks.over(&task.listing.prefix, walk.pace.lock().outcome());
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
        view: if options.as_of.is_some() { Standpoint::Past } else { Standpoint::Now },
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
