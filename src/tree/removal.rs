//! Removing entries from the tree step by step.
//!
//! A directory of millions can go at once: its page is empty, or it is gone itself. Taking each of its entries out of
//! the arena takes time, and nothing may wait for that. So an entry that is gone leaves the children of its directory
//! at once, by the chunk, and is *buried*: it lies in a queue until [`Tree::sweep`] comes to it, some thousand entries
//! at a time, says to the kernel what it must forget, and frees what nothing refers to.
//!
//! An entry can come back before its turn: it is put among the children again under its old number, and the sweep
//! passes it over.

use std::collections::{HashMap, VecDeque};

use super::children::{Chunk, Piece};
use super::packed::{Flags, NodeId};
use super::types::SnapshotState;
use super::{Changes, Tree};

/// Buried entries that one call sees to: below a millisecond.
const SWEPT_AT_ONCE: usize = 1024;

/// Entries freed with the handle that kept them; what is more waits for a sweep.
const FREED_AT_ONCE: usize = 256;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Graves {
    pieces: VecDeque<Piece>,
    /// Entries that have come back, and how many times they lie buried nevertheless.
    risen: HashMap<NodeId, u32>,
    /// Removed entries that the last handle has let go of. Some may have come back since, or be gone.
    unused: Vec<NodeId>,
}

impl Tree {
    /// Sees to some of the entries that have gone: tells the kernel, and frees them. Whether more are waiting; call it
    /// until there are none, and let others at the tree in between.
    pub fn sweep(&mut self, changes: &mut Changes) -> bool {
        let mut left = SWEPT_AT_ONCE;
        while left > 0
            && let Some(piece) = self.graves.pieces.front_mut()
        {
            let ids = piece.take(left);
            if piece.ids().is_empty() {
                self.graves.pieces.pop_front();
            }
            left -= ids.len();
            for id in ids {
                self.sweep_one(id, changes);
            }
        }
        let unused = &mut self.graves.unused;
        for id in unused.split_off(unused.len() - left.min(unused.len())) {
            self.free_if_unused(id);
        }
        !self.graves.pieces.is_empty() || !self.graves.unused.is_empty()
    }

    fn sweep_one(&mut self, id: NodeId, changes: &mut Changes) {
        if let Some(times) = self.graves.risen.get_mut(&id) {
            *times -= 1;
            if *times == 0 {
                self.graves.risen.remove(&id);
            }
            return;
        }
        self.detach(id, changes);
    }

    /// These have been removed, and what referred to them last does not any more.
    pub(super) fn free_later(&mut self, mut ids: Vec<NodeId>) {
        self.graves.unused.append(&mut ids.split_off(ids.len().min(FREED_AT_ONCE)));
        for id in ids {
            self.free_if_unused(id);
        }
    }

    /// These are gone. The caller takes them out of the children.
    pub(super) fn bury(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.graves.pieces.extend(pieces);
    }

    /// An entry that is gone from its directory is there again. What was known of a directory's own entries is not.
    pub(super) fn revive(&mut self, id: NodeId) {
        if self.nodes.at(id).flags.has(Flags::REMOVED) {
            return;
        }
        *self.graves.risen.entry(id).or_default() += 1;
        if self.nodes.at(id).is_directory() {
            self.end_round(id, SnapshotState::Gone);
            self.empty(id);
        }
    }

    /// Takes an entry, and all below it, out of the tree. The caller takes it out of its list.
    pub(super) fn detach(&mut self, id: NodeId, changes: &mut Changes) {
        self.outdate(id, changes);
        self.nodes.at_mut(id).flags.set(Flags::REMOVED, true);
        if self.nodes.at(id).is_directory() {
            // Held, so that it does not go while it is emptied.
            self.hold(id);
            self.end_round(id, SnapshotState::Gone);
            self.end_listings_of(id);
            self.empty(id);
            self.release(id);
        }
        self.free_if_unused(id);
    }

    fn empty(&mut self, id: NodeId) {
        self.unlink(id);
        self.forget_probes(id);
        let children = self.change_children(id, std::mem::take);
        let state = self.directory_mut(id);
        state.listed_at = None;
        let parts = state.extras.as_mut().map(|extras| std::mem::take(&mut extras.parts)).unwrap_or_default();
        let parts: Chunk = parts.into_iter().map(|part| part.id).collect();
        self.bury(children.pieces(Default::default()..children.end()));
        self.bury((!parts.is_empty()).then(|| Piece::new(parts)));
    }

    /// Whether an entry is in its directory.
    pub(super) fn is_attached(&self, id: NodeId) -> bool {
        let node = self.nodes.at(id);
        let (name, role) = self.order_key(id);
        !node.flags.has(Flags::REMOVED) && self.find(node.parent, name, role) == Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bucket, NOW, entries, list_directory, options, sweep};
    use super::super::{Changes, Lookup, OddKeys, Outdated, Tree};
    use crate::base::Ino;

    fn bucket(files: usize) -> Bucket {
        (0..files).map(|n| (format!("{n:06}"), (1, "tag".to_owned()))).collect()
    }

    fn names(tree: &mut Tree) -> Vec<Box<str>> {
        entries(tree, Ino::ROOT).into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn versions_that_change_among_names_that_go_break_no_search() {
        let all = bucket(20_000);
        let mut tree = Tree::new(options(OddKeys::Hide));
        list_directory(&mut tree, &all, Ino::ROOT, 1000, |_| {});
        // Room in several blocks of the arena, so that a new version takes another place than the old one had.
        let fewer: Bucket =
            all.into_iter().enumerate().filter(|(n, _)| n % 100 != 50).map(|(_, entry)| entry).collect();
        list_directory(&mut tree, &fewer, Ino::ROOT, 1000, |_| {});
        sweep(&mut tree);
        // Far enough from each other to be looked up, each among old versions that have gone.
        let changed: Bucket = fewer.into_keys().step_by(40).map(|key| (key, (2, "other".to_owned()))).collect();
        list_directory(&mut tree, &changed, Ino::ROOT, 1000, |_| {});
        sweep(&mut tree);
        assert_eq!((names(&mut tree).len(), tree.len()), (changed.len(), changed.len() + 1));
    }

    #[test]
    fn what_comes_back_before_its_turn_stays() {
        let all = bucket(5000);
        let mut tree = Tree::new(options(OddKeys::Hide));
        list_directory(&mut tree, &all, Ino::ROOT, 1000, |_| {});
        let before = entries(&mut tree, Ino::ROOT);
        for turns in [0, 1, 9] {
            for handle in [false, true] {
                let handle = handle.then(|| tree.open_directory(Ino::ROOT, NOW, None).unwrap());
                list_directory(&mut tree, &Bucket::new(), Ino::ROOT, 1000, |_| {});
                if handle.is_some() {
                    sweep(&mut tree);
                }
                if let Some(handle) = handle {
                    tree.close_directory(handle);
                }
                for _ in 0..turns {
                    tree.sweep(&mut Default::default());
                }
                list_directory(&mut tree, &all, Ino::ROOT, 1000, |_| {});
                assert_eq!(entries(&mut tree, Ino::ROOT), before);
                sweep(&mut tree);
                assert_eq!(entries(&mut tree, Ino::ROOT), before);
                assert_eq!(tree.len(), 5001);
            }
        }
        list_directory(&mut tree, &bucket(10), Ino::ROOT, 1000, |_| {});
        sweep(&mut tree);
        assert_eq!((names(&mut tree).len(), tree.len()), (10, 11));
        assert!(tree.graves.risen.is_empty());
    }

    #[test]
    fn the_kernel_is_told_of_what_it_has_below_a_directory_that_has_gone() {
        let all: Bucket = [("d/f".to_owned(), (1, "tag".to_owned()))].into();
        let mut tree = Tree::new(options(OddKeys::Hide));
        list_directory(&mut tree, &all, Ino::ROOT, 10, |_| {});
        let mut look_up = |parent, name: &str| {
            list_directory(&mut tree, &all, parent, 10, |_| {});
            let Lookup::Found(view) = tree.lookup(parent, name.as_bytes(), NOW, NOW) else { panic!("{name}") };
            tree.remember(view.ino, 1);
            view.ino
        };
        let directory = look_up(Ino::ROOT, "d");
        look_up(directory, "f");
        list_directory(&mut tree, &Bucket::new(), Ino::ROOT, 10, |_| {});
        let mut changes = Changes::default();
        while tree.sweep(&mut changes) {}
        let entry = |parent, name: &[u8]| Outdated::Entry { parent, name: name.into() };
        assert_eq!(changes.outdated, [entry(Ino::ROOT, b"d"), entry(directory, b"f")]);
    }
}
