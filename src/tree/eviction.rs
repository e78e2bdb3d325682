//! Evicting the least recently used directories, so that the tree fits its memory limit.
//!
//! Directories that have anything to forget stand in a list, the least recently used one last: a look-up in one, a
//! handle and a listing are uses. [`Tree::evict`] goes through the last one's children and drops those that nothing
//! refers to: no kernel, no handle, no listing, no entry below them. The directory counts as unlisted from then on,
//! and is listed again when a program looks into it; what comes back has the same inode numbers.
//!
//! A directory that is in use, or in which nothing is left to drop, leaves the list; it comes back when the last handle
//! or listing ends, the kernel forgets an entry of it, or a directory below it has become empty.

use super::component::EntryKind;
use super::directory::{Directory, Link};
use super::packed::{Flags, NodeId};
use super::{Tree, broken};
use crate::base::Ino;

/// Entries that one call looks at: below a millisecond.
const LOOKED_AT_AT_ONCE: usize = 1024;

/// What [`Tree::evict`] has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evicted {
    /// The tree takes no more than it should.
    Enough,
    /// There is more to do: call it again, and let others at the tree in between.
    More,
    /// All that is left is in use.
    InUse,
}

/// Keeps what is known of a directory, from [`Tree::pin`] to [`Tree::unpin`].
#[derive(Debug)]
pub struct Pin(NodeId);

/// A file that the kernel refers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Referred {
    /// The inode number of the file.
    pub ino: Ino,
    /// The directory that it is in.
    pub directory: Ino,
    /// The name of the file in it.
    pub name: Box<[u8]>,
}

/// The order in which directories were used last.
#[derive(Debug)]
pub(super) struct Recency {
    newest: NodeId,
    oldest: NodeId,
    /// The directory whose children are being gone through, from behind, and the first chunk behind those to go.
    at: (NodeId, usize),
    /// Whether something that was passed there may be dropped by now.
    again: bool,
    /// The place in the arena from which on entries are looked for that the kernel refers to.
    looked_for_references: u32,
}

impl Default for Recency {
    fn default() -> Self {
        let (newest, oldest) = (NodeId::NONE, NodeId::NONE);
        Recency { newest, oldest, at: (NodeId::NONE, 0), again: false, looked_for_references: 0 }
    }
}

impl Recency {
    fn begin_anew(&mut self) {
        (self.at, self.again) = ((NodeId::NONE, 0), false);
    }
}

impl Tree {
    /// Drops what nothing refers to, in the least recently used directories first, until the tree takes at most
    /// `bytes`. Does a bounded part of it.
    pub fn evict(&mut self, bytes: usize) -> Evicted {
        let mut left = LOOKED_AT_AT_ONCE;
        while self.bytes() > bytes {
            if self.recency.oldest == NodeId::NONE {
                return Evicted::InUse;
            }
            if self.nodes.get(self.recency.oldest).is_none() {
                // The order is lost, and builds up again.
                broken::note(self.recency.oldest, "a directory");
                self.recency = Recency::default();
                return Evicted::InUse;
            }
            if left == 0 {
                return Evicted::More;
            }
            left = left.saturating_sub(self.evict_chunk(self.recency.oldest));
        }
        Evicted::Enough
    }

    /// Keeps what is known of a directory, and what will be, for a request that waits for an answer that comes into it.
    /// `None` if there is no such directory.
    pub fn pin(&mut self, directory: Ino) -> Option<Pin> {
        let id = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        self.hold(id);
        Some(Pin(id))
    }

    /// The request has its answer, or does not wait any more.
    pub fn unpin(&mut self, pin: Pin) {
        self.release(pin.0);
    }

    /// Goes through one chunk of a directory's children; says how much work that was.
    fn evict_chunk(&mut self, id: NodeId) -> usize {
        let state = self.directory(id);
        let chunks = state.children.chunks();
        let behind = if self.recency.at.0 == id { self.recency.at.1.min(chunks) } else { chunks };
        let Some(index) = behind.checked_sub(1).filter(|_| !state.is_in_use()) else {
            if std::mem::take(&mut self.recency.again) && !self.directory(id).is_in_use() {
                self.recency.begin_anew();
            } else {
                self.leave(id);
            }
            return 1;
        };
        let ids = state.children.ids(index).unwrap_or_default();
        let looked_at = ids.len();
        let (dropped, kept): (Vec<_>, Vec<_>) = ids.iter().partition(|&&child| self.is_droppable(id, child));
        self.recency.at = (id, index);
        if !dropped.is_empty() {
            self.change_children(id, |children| children.replace_chunk(index, &kept));
            self.directory_mut(id).listed_at = None;
            self.forget_probes(id);
            for child in dropped {
                self.unshade_beside(id, child);
                self.drop_entry(child);
            }
        }
        looked_at
    }

    /// Nothing more can be dropped from a directory.
    fn leave(&mut self, id: NodeId) {
        self.unlink(id);
        if self.directory(id).is_in_use() {
            return;
        }
        self.forget_probes(id);
        let parts: Vec<NodeId> = self.directory(id).parts().iter().map(|part| part.id).collect();
        let dropped: Vec<NodeId> = parts.into_iter().filter(|&part| self.is_droppable(id, part)).collect();
        if !dropped.is_empty() {
            let state = self.directory_mut(id);
            state.listed_at = None;
            state.extras_mut().parts.retain(|part| !dropped.contains(&part.id));
            state.drop_unused_extras();
        }
        for part in dropped {
            self.drop_entry(part);
        }
        // It may be all that kept the directory above from going.
        let parent = self.nodes.at(id).parent;
        if id != NodeId::ROOT && !self.is_linked(parent) && self.is_droppable(parent, id) {
            self.offer(parent);
        }
    }

    /// Files that the kernel refers to, of so many places from the last call's on, with their directories and names:
    /// what could be dropped if the kernel forgot it. `None` where the last place has been passed: the next call begins
    /// again.
    pub fn referred_files(&mut self, places: usize) -> Option<Vec<Referred>> {
        let (ids, behind) = self.nodes.ids_from(self.recency.looked_for_references, places);
        let is_end = behind <= self.recency.looked_for_references;
        self.recency.looked_for_references = if is_end { 0 } else { behind };
        let referred = ids.into_iter().filter_map(|id| {
            let node = self.nodes.at(id);
            let is_file = !node.is_directory() && !node.flags.has(Flags::REMOVED);
            let name = self.name_of(id).filter(|_| is_file && node.references > 0)?;
            Some(Referred { ino: node.ino, directory: self.nodes.at(node.parent).ino, name: name.into_boxed_bytes() })
        });
        let referred: Vec<_> = referred.collect();
        (!is_end).then_some(referred)
    }

    fn is_droppable(&self, parent: NodeId, id: NodeId) -> bool {
        let node = self.nodes.at(id);
        let idle = node.directory().is_none_or(|state| {
            // The kernel knows a file beside it by another name than without it.
            let beside = || self.find(parent, self.nodes.name(id), EntryKind::File);
            let names_none = || beside().is_none_or(|file| self.nodes.at(file).references == 0);
            state.alive == 0 && state.extras.is_none() && (node.flags.has(Flags::PART) || names_none())
        });
        node.references == 0 && idle
    }

    fn unshade_beside(&mut self, parent: NodeId, id: NodeId) {
        if self.nodes.at(id).is_directory()
            && let Some(file) = self.find(parent, self.nodes.name(id), EntryKind::File)
        {
            self.nodes.at_mut(file).flags.set(Flags::SHADOWED, false);
        }
    }

    fn drop_entry(&mut self, id: NodeId) {
        self.nodes.at_mut(id).flags.set(Flags::REMOVED, true);
        self.free_if_unused(id);
    }

    /// A directory was used.
    pub(super) fn touch(&mut self, id: NodeId) {
        if self.recency.at.0 == id {
            self.recency.begin_anew();
        }
        if self.recency.newest == id {
            return;
        }
        self.unlink(id);
        let newest = std::mem::replace(&mut self.recency.newest, id);
        self.directory_mut(id).link = Link { newer: NodeId::NONE, older: newest };
        match newest {
            NodeId::NONE => self.recency.oldest = id,
            newest => self.directory_mut(newest).link.newer = id,
        }
    }

    /// Whether a directory stands in the list.
    pub(super) fn is_linked(&self, id: NodeId) -> bool {
        let neighbours = |state: &Directory| state.link.newer != NodeId::NONE || state.link.older != NodeId::NONE;
        self.recency.newest == id || self.nodes.at(id).directory().is_some_and(neighbours)
    }

    /// Something in a directory may be dropped that could not be before: it is looked at first, unless it stands in
    /// the list already.
    pub(super) fn offer(&mut self, id: NodeId) {
        if self.is_linked(id) {
            self.recency.again |= self.recency.at.0 == id;
            return;
        }
        let oldest = std::mem::replace(&mut self.recency.oldest, id);
        self.directory_mut(id).link = Link { newer: oldest, older: NodeId::NONE };
        match oldest {
            NodeId::NONE => self.recency.newest = id,
            oldest => self.directory_mut(oldest).link.older = id,
        }
    }

    pub(super) fn unlink(&mut self, id: NodeId) {
        if !self.is_linked(id) {
            return;
        }
        let Link { newer, older } = std::mem::replace(&mut self.directory_mut(id).link, Link::NONE);
        match newer {
            NodeId::NONE => self.recency.newest = older,
            newer => self.directory_mut(newer).link.older = older,
        }
        match older {
            NodeId::NONE => self.recency.oldest = newer,
            older => self.directory_mut(older).link.newer = newer,
        }
        if self.recency.at.0 == id {
            self.recency.begin_anew();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{Bucket, NOW, entries, list_directory, options};
    use super::super::{Evicted, Lookup, OddKeys, Tree};
    use crate::base::Ino;

    /// A tree of some directories with some files each, all listed, and the directories.
    fn listed(directories: usize, files: usize) -> (Tree, Bucket, Vec<Ino>) {
        let keys = (0..directories).flat_map(|d| (0..files).map(move |f| format!("{d}/{f:06}")));
        let bucket: Bucket = keys.map(|key| (key, (1, "tag".to_owned()))).collect();
        let mut tree = Tree::new(options(OddKeys::Hide));
        list_directory(&mut tree, &bucket, Ino::ROOT, 1000, |_| {});
        let directories: Vec<Ino> = entries(&mut tree, Ino::ROOT).iter().map(|entry| entry.view.ino).collect();
        for &directory in &directories {
            list_directory(&mut tree, &bucket, directory, 1000, |_| {});
        }
        (tree, bucket, directories)
    }

    fn evict(tree: &mut Tree, bytes: usize) -> Evicted {
        loop {
            match tree.evict(bytes) {
                Evicted::More => {}
                end => return end,
            }
        }
    }

    fn is_listed(tree: &mut Tree, directory: Ino) -> bool {
        let snapshot = tree.open_directory(directory, NOW, None);
        snapshot.map(|snapshot| tree.close_directory(snapshot)).is_some()
    }

    #[test]
    fn what_was_used_last_goes_last() {
        let (mut tree, bucket, directories) = listed(4, 3000);
        let (before, all) = (tree.bytes(), tree.len());
        assert!(is_listed(&mut tree, directories[0]));
        assert!(matches!(tree.lookup(directories[2], b"000001", NOW, NOW), Lookup::Found(_)));
        assert_eq!(evict(&mut tree, before - 1000), Evicted::Enough);
        assert!(tree.len() > all - 3000 && tree.len() < all);
        assert_eq!(evict(&mut tree, before / 10 * 6), Evicted::Enough);
        let left: Vec<bool> = directories.iter().map(|&directory| is_listed(&mut tree, directory)).collect();
        assert_eq!(left, [true, false, true, false]);
        assert!(tree.bytes() <= before / 10 * 6);
        let gone = tree.lookup(directories[1], b"000001", NOW, NOW);
        assert!(matches!(gone, Lookup::Unknown { .. } | Lookup::Gone), "{gone:?}");
        let first = entries(&mut tree, directories[0])[0].clone();
        assert_eq!(evict(&mut tree, 0), Evicted::InUse);
        assert_eq!(tree.len(), 1, "nothing referred to anything");
        list_directory(&mut tree, &bucket, Ino::ROOT, 1000, |_| {});
        list_directory(&mut tree, &bucket, directories[0], 1000, |_| {});
        assert_eq!(entries(&mut tree, directories[0])[0], first, "it comes back under its number");
    }

    #[test]
    fn what_is_held_stays() {
        let (mut tree, bucket, directories) = listed(3, 2000);
        let held = entries(&mut tree, directories[0])[7].view.ino;
        tree.remember(held, 1);
        let handle = tree.open_directory(directories[1], NOW, None).unwrap();
        assert_eq!(evict(&mut tree, 0), Evicted::InUse);
        assert_eq!(tree.len(), 1 + 1 + 1 + 1 + 2000, "the file, its directory, the one with a handle, and its files");
        assert!(tree.view(held, NOW).is_some());
        assert_eq!(tree.entries(handle, 0, usize::MAX, NOW).unwrap().listed.len(), 2000);
        tree.close_directory(handle);
        tree.forget(held, 1);
        assert_eq!(evict(&mut tree, 0), Evicted::InUse);
        assert_eq!(tree.len(), 1);
        list_directory(&mut tree, &bucket, Ino::ROOT, 1000, |_| {});
        assert_eq!(entries(&mut tree, Ino::ROOT).len(), 3);
    }

    #[test]
    fn what_is_waited_for_stays() {
        let (mut tree, _, directories) = listed(2, 100);
        let pins = [tree.pin(directories[0]).unwrap(), tree.pin(directories[0]).unwrap()];
        for pin in pins {
            assert_eq!(evict(&mut tree, 0), Evicted::InUse);
            assert_eq!(tree.len(), 1 + 1 + 100, "the directory and its files");
            assert!(is_listed(&mut tree, directories[0]));
            tree.unpin(pin);
        }
        assert_eq!(evict(&mut tree, 0), Evicted::InUse);
        assert_eq!(tree.len(), 1);
        assert!(tree.pin(directories[0]).is_none(), "it is gone");
    }

    #[test]
    fn a_huge_directory_goes_bit_by_bit() {
        let (mut tree, _, directories) = listed(1, 20_000);
        let mut calls = 0;
        while tree.evict(0) == Evicted::More {
            calls += 1;
            assert!(!is_listed(&mut tree, directories[0]) || tree.view(directories[0], Duration::ZERO).is_none());
        }
        assert!(calls >= 5, "{calls}");
        assert_eq!(tree.len(), 1);
    }
}
