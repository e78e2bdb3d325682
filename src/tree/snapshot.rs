//! Snapshots, which directory handles read: a list that only grows while a round goes on, and stands still afterwards,
//! so that an offset is a place in it for as long as the handle lives.
//!
//! A handle of a complete directory takes the chunks of its children as they are: they never change, and a later
//! change of the directory makes others. A handle that is opened in the middle of a round begins with what the round
//! has settled by then and gets each span as pages settle it, so the order is that in which the pages came. A file
//! whose name a directory might still take (`a`, while the keys below `a/` are not settled) waits for that.
//!
//! While there is a handle, no entry of its directory leaves the arena.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use super::children::{CHUNK, Chunk, Piece};
use super::component::EntryKind;
use super::escape::Shown;
use super::listing::Listing;
use super::packed::{Flags, NodeId};
use super::types::{SnapshotId, SnapshotState};
use super::{Tree, View};
use crate::base::Ino;

#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) directory: NodeId,
    /// An entry's index is its chunk's times [`CHUNK`] and its own, so indices leave gaps behind chunks that are not
    /// full.
    chunks: Vec<Chunk>,
    handles: u32,
    state: SnapshotState,
}

impl Snapshot {
    /// Bytes taken beside the chunks, most of which are the directory's own.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
    }
}

/// One entry of a directory, as it is shown.
#[derive(Clone, PartialEq, Debug)]
pub struct Row<'a> {
    /// Where it stands in the list. The next entry has some greater index.
    pub index: usize,
    /// The name of the entry in the directory.
    pub name: &'a str,
    /// What is known of it.
    pub view: View,
}

/// What became of an entry that was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// It was taken, and the kernel refers to it now.
    Counted,
    /// It was looked at.
    Seen,
    /// It was not taken, and neither will any other be.
    Enough,
}

impl Tree {
    /// The list for a new handle: of the last listing if that is younger than `younger_than` (`None`: of whatever
    /// age). Else `None`, and the handle must join a listing that is going on.
    pub fn open_complete(
        &mut self,
        directory: Ino,
        now: Duration,
        younger_than: Option<Duration>,
    ) -> Option<SnapshotId> {
        let id = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        let fresh = |at: Duration| younger_than.is_none_or(|ttl| now.saturating_sub(at) < ttl);
        if self.is_linked(id) {
            self.touch(id);
        }
        if !self.directory(id).listed_at().is_some_and(fresh) && !self.nodes.at(id).flags.has(Flags::REMOVED) {
            return None;
        }
        let snapshot = self.snapshot(id);
        self.open_snapshot(id, snapshot)
    }

    /// The list for a new handle of the directory that a listing brings, which grows with it and must show the store as
    /// of `oldest` or later. `None` when all that it has to bring was brought, or does not.
    pub fn join(&mut self, listing: &Listing, oldest: Duration) -> Option<SnapshotId> {
        self.as_of(listing).filter(|&as_of| as_of >= oldest)?;
        let id = self.find_ino(listing.directory)?;
        self.demand(id, oldest);
        let snapshot = self.snapshot_of_round(id)?;
        self.open_snapshot(id, snapshot)
    }

    pub(super) fn open_snapshot(&mut self, directory: NodeId, snapshot: SnapshotId) -> Option<SnapshotId> {
        self.snapshots.get_mut(&snapshot)?.handles += 1;
        self.hold(directory);
        Some(snapshot)
    }

    /// A handle is closed.
    pub fn close_directory(&mut self, id: SnapshotId) {
        let Some(snapshot) = self.snapshots.get_mut(&id) else { return };
        snapshot.handles -= 1;
        let directory = snapshot.directory;
        if snapshot.handles == 0 {
            self.forget_snapshot_of_round(directory, id);
            self.snapshots.remove(&id);
        }
        self.release(directory);
    }

    /// Shows entries from the index `from` on, one after the other and without making any copy, until `show` has
    /// enough; of those that it counts, the kernel takes a reference. Whether more will come behind all of them.
    pub fn show_entries(
        &mut self,
        id: SnapshotId,
        from: usize,
        now: Duration,
        mut show: impl FnMut(&Row<'_>) -> Take,
    ) -> Option<SnapshotState> {
        let state = self.snapshots.get(&id)?.state;
        for at in from / CHUNK.. {
            let Some(chunk) = self.snapshots.get(&id).and_then(|snapshot| snapshot.chunks.get(at)).cloned() else {
                break;
            };
            let skipped = from.saturating_sub(at * CHUNK);
            for (index, &id) in chunk.iter().enumerate().skip(skipped) {
                let take = self.show_entry(id, at * CHUNK + index, now, &mut show);
                match take {
                    Take::Counted => {
                        let node = self.nodes.at_mut(id);
                        node.references = node.references.saturating_add(1);
                    }
                    Take::Seen => {}
                    Take::Enough => return Some(state),
                }
            }
        }
        Some(state)
    }

    fn show_entry(&self, id: NodeId, index: usize, now: Duration, show: impl FnOnce(&Row<'_>) -> Take) -> Take {
        // Entries get into the list when they have a name. One that a directory has taken the name of since is left
        // out; the offsets of the others stay.
        let name = match self.shown_of(id) {
            Some(Shown::Plain(name)) => Cow::Borrowed(name),
            Some(Shown::Escaped(name)) => Cow::Owned(name),
            _ => return Take::Seen,
        };
        show(&Row { index, name: &name, view: self.view_of(id, now, now) })
    }

    /// A number above every index in a list that grows no more.
    pub fn snapshot_end(&self, id: SnapshotId) -> usize {
        self.snapshots.get(&id).map_or(0, |snapshot| snapshot.chunks.len() * CHUNK)
    }

    /// Whether more entries will come into a list.
    pub fn snapshot_state(&self, id: SnapshotId) -> Option<SnapshotState> {
        self.snapshots.get(&id).map(|snapshot| snapshot.state)
    }

    /// The entry above a directory; the root is above itself.
    pub fn parent(&self, ino: Ino) -> Option<Ino> {
        Some(self.nodes.at(self.nodes.at(self.find_ino(ino)?).parent).ino)
    }

    pub(super) fn new_snapshot(&mut self, directory: NodeId, state: SnapshotState) -> SnapshotId {
        let id = SnapshotId(self.id());
        self.snapshots.insert(id, Snapshot { directory, chunks: Vec::new(), handles: 0, state });
        id
    }

    /// The children of a directory as they are now, as a list of its own.
    fn snapshot(&mut self, id: NodeId) -> SnapshotId {
        let snapshot = self.new_snapshot(id, SnapshotState::Complete);
        let state = self.directory(id);
        let children = &state.children;
        let pieces = children.pieces(Default::default()..children.end()).collect();
        let parts: Vec<NodeId> = state.parts().iter().map(|part| part.id).collect();
        self.fill_snapshot(snapshot, pieces, state.nameless);
        self.push_to_snapshot(snapshot, &parts);
        snapshot
    }

    /// Puts pieces of a directory's children into a new list: the chunks themselves, unless some have no name.
    pub(super) fn fill_snapshot(&mut self, snapshot: SnapshotId, pieces: Vec<Piece>, nameless: bool) {
        let chunk = |piece: Piece| match nameless {
            false => piece.to_chunk(),
            true => piece.ids().iter().copied().filter(|&id| self.has_name(id)).collect(),
        };
        let chunks = pieces.into_iter().map(chunk).filter(|chunk| !chunk.is_empty()).collect();
        if let Some(snapshot) = self.snapshots.get_mut(&snapshot) {
            snapshot.chunks = chunks;
        }
    }

    /// Puts entries at the end of a list.
    pub(super) fn push_to_snapshot(&mut self, snapshot: SnapshotId, ids: &[NodeId]) {
        let Some(snapshot) = self.snapshots.get_mut(&snapshot).filter(|_| !ids.is_empty()) else { return };
        match snapshot.chunks.last_mut() {
            Some(last) if last.len() + ids.len() <= CHUNK => *last = [last, ids].concat().into(),
            _ => snapshot.chunks.extend(ids.chunks(CHUNK).map(Chunk::from)),
        }
    }

    /// All lists were made from listings that are not to be believed.
    pub(super) fn doubt_snapshots(&mut self) {
        for snapshot in self.snapshots.values_mut().filter(|snapshot| snapshot.state != SnapshotState::Broken) {
            snapshot.state = SnapshotState::Doubted;
        }
    }

    /// Puts what a doubted list lacks behind what it has, each name once. False where the directory is not known whole,
    /// and must be listed first.
    pub fn catch_up(&mut self, id: SnapshotId) -> bool {
        let Some(snapshot) = self.snapshots.get(&id).filter(|snapshot| snapshot.state == SnapshotState::Doubted) else {
            return true;
        };
        let directory = snapshot.directory;
        let state = self.directory(directory);
        if state.listed_at().is_none() && !self.nodes.at(directory).flags.has(Flags::REMOVED) {
            return false;
        }
        // A directory that has taken the name of a file since takes its place too: readers that are past it had the
        // name.
        let present: HashSet<NodeId> = snapshot.chunks.iter().flat_map(|chunk| chunk.iter()).copied().collect();
        let taken = |&had: &NodeId| {
            let is_taken = self.nodes.at(had).flags.has(Flags::SHADOWED);
            let taker = is_taken.then(|| self.find(directory, self.nodes.name(had), EntryKind::Directory)).flatten();
            taker.filter(|taker| !present.contains(taker)).unwrap_or(had)
        };
        let chunks: Vec<Chunk> = snapshot.chunks.iter().map(|chunk| chunk.iter().map(taken).collect()).collect();
        let had: HashSet<Box<str>> =
            chunks.iter().flat_map(|chunk| chunk.iter()).filter_map(|&had| self.name_of(had)).collect();
        let parts = state.parts().iter().map(|part| part.id);
        let children = (0..state.children.chunks()).flat_map(|chunk| state.children.ids(chunk).unwrap_or_default());
        let lacks = |child: &NodeId| self.name_of(*child).is_some_and(|name| !had.contains(&name));
        let new: Vec<NodeId> = children.copied().chain(parts).filter(lacks).collect();
        if let Some(snapshot) = self.snapshots.get_mut(&id) {
            snapshot.chunks = chunks;
        }
        self.push_to_snapshot(id, &new);
        self.end_snapshot(id, SnapshotState::Complete);
        true
    }

    pub(super) fn end_snapshot(&mut self, snapshot: SnapshotId, end: SnapshotState) {
        if let Some(snapshot) = self.snapshots.get_mut(&snapshot) {
            snapshot.state = end;
        }
    }

    pub(super) fn has_name(&self, id: NodeId) -> bool {
        matches!(self.shown_of(id), Some(Shown::Plain(_) | Shown::Escaped(_)))
    }
}
