//! The children of one directory in the order of their keys, in chunks that never change.
//!
//! A chunk holds up to [`CHUNK`] entries and is shared by all readers of a directory: a new handle takes the chunks and
//! not a copy of the entries, and a change makes new chunks for the place that it touches. So a page costs what it
//! holds however large the directory is and wherever the page lies, and an entry costs little over its four bytes:
//! chunks have no room to spare.
//!
//! Nothing here knows a name: callers say how an entry compares with what they look for.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::packed::NodeId;

/// Entries that stand together.
pub(super) type Chunk = Arc<[NodeId]>;

/// The most entries of a chunk.
pub(super) const CHUNK: usize = 1024;

/// A chunk with fewer entries is joined with its neighbour when it is made anew.
const SMALL_CHUNK: usize = CHUNK / 4;

/// What a chunk takes beside its entries: counts, the allocator's part, and its place in the list of chunks.
const CHUNK_BYTES: usize = 2 * size_of::<usize>() + 16 + size_of::<Chunk>();

/// See the module's head.
#[derive(Debug, Default)]
pub(super) enum Children {
    #[default]
    None,
    /// A directory for each file is a common way to name objects.
    Single(NodeId),
    /// Most other directories are small, and pay for no list of chunks.
    One(Box<Chunk>),
    Many(Box<Many>),
}

#[derive(Debug)]
pub(super) struct Many {
    chunks: Vec<Chunk>,
    len: usize,
}

/// A place among children: a chunk, and an entry of it. The end is an entry of the chunk behind the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct At {
    chunk: u32,
    entry: u32,
}

impl At {
    fn new(chunk: usize, entry: usize) -> Self {
        At { chunk: chunk as u32, entry: entry as u32 }
    }
}

impl Children {
    /// How many chunks there are.
    pub(super) fn chunks(&self) -> usize {
        match self {
            Children::None => 0,
            Children::Single(_) | Children::One(_) => 1,
            Children::Many(many) => many.chunks.len(),
        }
    }

    /// The entries of a chunk.
    pub(super) fn ids(&self, chunk: usize) -> Option<&[NodeId]> {
        match self {
            Children::None => None,
            Children::Single(id) => (chunk == 0).then(|| std::slice::from_ref(id)),
            Children::One(only) => (chunk == 0).then_some(&***only),
            Children::Many(many) => many.chunks.get(chunk).map(|chunk| &**chunk),
        }
    }

    fn chunk(&self, index: usize) -> Option<Chunk> {
        match self {
            Children::None => None,
            Children::Single(id) => (index == 0).then(|| [*id].into()),
            Children::One(only) => (index == 0).then(|| Chunk::clone(only)),
            Children::Many(many) => many.chunks.get(index).cloned(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Children::None => 0,
            Children::Single(_) => 1,
            Children::One(chunk) => chunk.len(),
            Children::Many(many) => many.len,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes taken outside of the directory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Children::None | Children::Single(_) => 0,
            _ => self.len() * size_of::<NodeId>() + self.chunks() * CHUNK_BYTES,
        }
    }

    pub(super) fn end(&self) -> At {
        At::new(self.chunks(), 0)
    }

    pub(super) fn entry(&self, at: At) -> Option<NodeId> {
        self.ids(at.chunk as usize)?.get(at.entry as usize).copied()
    }

    /// The place behind one that holds an entry.
    pub(super) fn next(&self, at: At) -> At {
        let next = At { entry: at.entry + 1, ..at };
        if self.entry(next).is_some() { next } else { At { chunk: at.chunk + 1, entry: 0 } }
    }

    /// How many entries stand before a place.
    pub(super) fn index(&self, at: At) -> usize {
        let before = match self {
            Children::Many(many) => many.chunks[..at.chunk as usize].iter().map(|chunk| chunk.len()).sum(),
            _ if at.chunk > 0 => self.len(),
            _ => 0,
        };
        before + at.entry as usize
    }

    /// The place of the entry that has so many before it; the end where there are fewer.
    pub(super) fn at_index(&self, index: usize) -> At {
        let mut left = index;
        for chunk in 0..self.chunks() {
            let entries = self.ids(chunk).map_or(0, <[_]>::len);
            if left < entries {
                return At::new(chunk, left);
            }
            left -= entries;
        }
        self.end()
    }

    /// The place of an entry, or where it would stand. `compare` says how an entry stands to the one looked for.
    pub(super) fn search(&self, compare: impl Fn(NodeId) -> Ordering) -> Result<At, At> {
        let chunks = match self {
            Children::Many(many) => &many.chunks[..],
            // One chunk, or none, is searched whether or not it begins behind the entry.
            _ => &[],
        };
        let behind = chunks.partition_point(|chunk| compare(chunk[0]) != Ordering::Greater).max(1);
        let ids = self.ids(behind - 1).unwrap_or_default();
        match ids.binary_search_by(|&id| compare(id)) {
            Ok(entry) => Ok(At::new(behind - 1, entry)),
            Err(entry) if entry == ids.len() => Err(At::new(behind.min(self.chunks()), 0)),
            Err(entry) => Err(At::new(behind - 1, entry)),
        }
    }

    /// What stands between two places: pieces of chunks.
    pub(super) fn pieces(&self, range: Range<At>) -> impl Iterator<Item = Piece> {
        let chunks = range.start.chunk..=range.end.chunk;
        chunks.filter_map(move |index| {
            let chunk = self.chunk(index as usize)?;
            let from = if index == range.start.chunk { range.start.entry as usize } else { 0 };
            let to = if index == range.end.chunk { range.end.entry as usize } else { chunk.len() };
            (from < to).then_some(Piece { chunk, entries: from..to })
        })
    }

    /// Puts entries into the place of those between two places.
    pub(super) fn splice(&mut self, range: Range<At>, entries: &[NodeId]) {
        if let (Children::None, [only]) = (&self, entries) {
            *self = Children::Single(*only);
            return;
        }
        let ids = |chunk| self.ids(chunk).unwrap_or_default();
        let (mut first, mut behind) = (range.start.chunk as usize, range.end.chunk as usize);
        let head = &ids(first)[..range.start.entry as usize];
        let tail = if range.end.entry == 0 { &[] } else { &ids(behind)[range.end.entry as usize..] };
        // A place between two chunks belongs to neither of them.
        behind = (behind + usize::from(range.end.entry > 0)).max(first + usize::from(range.start.entry > 0));
        let mut joined = [&[][..], head, entries, tail, &[][..]];
        let mut len = head.len() + entries.len() + tail.len();
        if len < SMALL_CHUNK && first > 0 && ids(first - 1).len() + len <= CHUNK {
            first -= 1;
            joined[0] = ids(first);
            len += joined[0].len();
        }
        if len < SMALL_CHUNK && behind < self.chunks() && ids(behind).len() + len <= CHUNK {
            joined[4] = ids(behind);
            len += joined[4].len();
            behind += 1;
        }
        let joined = joined.concat();
        debug_assert_eq!(joined.len(), len);
        let new = joined.chunks(len.div_ceil(len.div_ceil(CHUNK).max(1)).max(1)).map(Chunk::from);
        self.replace_chunks(first..behind, new);
    }

    /// Puts one entry into the place of another.
    pub(super) fn replace(&mut self, at: At, id: NodeId) {
        let index = at.chunk as usize;
        let mut ids = self.ids(index).unwrap_or_default().to_vec();
        ids[at.entry as usize] = id;
        self.replace_chunks(index..index + 1, std::iter::once(ids.into()));
    }

    /// Puts entries into the place of a whole chunk.
    pub(super) fn replace_chunk(&mut self, index: usize, entries: &[NodeId]) {
        self.splice(At::new(index, 0)..At::new(index + 1, 0), entries);
    }

    fn replace_chunks(&mut self, range: Range<usize>, new: impl ExactSizeIterator<Item = Chunk>) {
        let mut many = match std::mem::take(self) {
            Children::None => Box::new(Many { chunks: Vec::with_capacity(new.len()), len: 0 }),
            Children::Single(id) => Box::new(Many { chunks: vec![[id].into()], len: 1 }),
            Children::One(chunk) => Box::new(Many { len: chunk.len(), chunks: vec![*chunk] }),
            Children::Many(many) => many,
        };
        let removed: usize = many.chunks[range.clone()].iter().map(|chunk| chunk.len()).sum();
        let mut added = 0;
        many.chunks.splice(range, new.inspect(|chunk| added += chunk.len()));
        many.len = many.len - removed + added;
        *self = match &mut many.chunks[..] {
            [] => Children::None,
            [only] if only.len() == 1 => Children::Single(only[0]),
            [only] => Children::One(Box::new(only.clone())),
            _ => Children::Many(many),
        };
    }
}

/// Entries that stand together in a chunk.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    chunk: Chunk,
    entries: Range<usize>,
}

impl Piece {
    pub(super) fn new(chunk: Chunk) -> Self {
        Piece { entries: 0..chunk.len(), chunk }
    }

    pub(super) fn ids(&self) -> &[NodeId] {
        &self.chunk[self.entries.clone()]
    }

    /// The chunk itself where the piece is all of it; else a copy.
    pub(super) fn to_chunk(&self) -> Chunk {
        if self.entries.len() == self.chunk.len() { self.chunk.clone() } else { self.ids().into() }
    }

    /// Takes up to `max` entries off the end.
    pub(super) fn take(&mut self, max: usize) -> Vec<NodeId> {
        let from = self.entries.end.saturating_sub(max).max(self.entries.start);
        let taken = self.chunk[from..self.entries.end].to_vec();
        self.entries.end = from;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(children: &Children) -> Vec<NodeId> {
        (0..children.chunks()).flat_map(|chunk| children.ids(chunk).unwrap().to_vec()).collect()
    }

    fn at(children: &Children, index: usize) -> At {
        let mut at = At::default();
        for _ in 0..index {
            at = children.next(at);
        }
        at
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_splices_give_what_they_give_in_one_list(
            splices in prop::collection::vec((any::<prop::sample::Index>(), 0..1500usize, 0..2500usize), 0..12)
        ) {
            let mut children = Children::default();
            let mut model: Vec<NodeId> = Vec::new();
            let mut next = 0;
            for (from, removed, added) in splices {
                let from = from.index(model.len() + 1);
                let to = (from + removed).min(model.len());
                let new: Vec<NodeId> = (next..next + added as u32).map(NodeId).collect();
                next += added as u32;
                let range = at(&children, from)..at(&children, to);
                let taken: Vec<NodeId> = children.pieces(range.clone()).flat_map(|piece| piece.ids().to_vec()).collect();
                prop_assert_eq!(taken, &model[from..to]);
                children.splice(range, &new);
                model.splice(from..to, new);
                prop_assert_eq!(all(&children), &model[..]);
                prop_assert_eq!(children.len(), model.len());
                prop_assert!((0..children.chunks()).all(|chunk| (1..=CHUNK).contains(&children.ids(chunk).unwrap().len())));
            }
        }

        #[test]
        fn entries_are_found_where_they_stand(count in 0..3000u32, wanted in 0..6001u32) {
            let mut children = Children::default();
            let entries: Vec<NodeId> = (0..count).map(|n| NodeId(2 * n + 1)).collect();
            children.splice(At::default()..At::default(), &entries);
            let index = (wanted / 2).min(count) as usize;
            let found = children.search(|id| id.0.cmp(&wanted));
            prop_assert_eq!(children.at_index(index), at(&children, index));
            prop_assert_eq!(children.index(at(&children, index)), index);
            if wanted % 2 == 1 && wanted / 2 < count {
                prop_assert_eq!(found, Ok(at(&children, index)));
            } else {
                prop_assert_eq!(found, Err(at(&children, index)));
            }
        }
    }

    #[test]
    fn a_directory_filled_bit_by_bit_stays_in_full_chunks() {
        let mut children = Children::default();
        for n in 0..20_000 {
            let end = children.end();
            children.splice(end..end, &[NodeId(n)]);
        }
        assert_eq!(children.len(), 20_000);
        assert!(children.chunks() <= 80, "{}", children.chunks());
        assert!(children.bytes() < 5 * 20_000);
    }

    #[test]
    fn children_are_small() {
        assert_eq!(size_of::<Children>(), 16);
    }
}
