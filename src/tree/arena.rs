//! The arena that entries live in: blocks of slots, and beside each block the names of its entries, one behind the
//! other.
//!
//! A name of its own on the heap would cost 16 bytes for the pointer and as many for the allocator, and a call to the
//! allocator for every entry that comes or goes. Growing never copies more than one block. A slot whose entry is gone
//! is used again; a block without entries gives its memory back.

use super::directory::Directory;
use super::ino::PathHash;
use super::node::{Body, Node};
use super::packed::{Flags, NodeId};
use super::{Kind, broken};
use crate::base::Ino;

/// Slots of a block.
const BLOCK: usize = 4096;

/// The longest name, in bytes. Objects' keys have 1024 at most, everywhere.
pub(super) const NAME_BYTES: usize = u16::MAX as usize;

/// Bytes of names that are gone and that a block does not clean up for.
const GARBAGE_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Arena {
    blocks: Vec<Block>,
    /// Blocks, but for the last, that have room. The one that is filled next stands last.
    roomy: Vec<u32>,
    live: usize,
    name_bytes: usize,
    /// What stands for an entry that is not there, where one must be: an empty directory that has gone.
    ghost: Node,
    /// The same for one that is no directory.
    ghost_directory: Directory,
}

impl Default for Arena {
    fn default() -> Self {
        Arena {
            blocks: Vec::new(),
            roomy: Vec::new(),
            live: 0,
            name_bytes: 0,
            ghost: ghost(),
            ghost_directory: Directory::new(),
        }
    }
}

fn ghost() -> Node {
    let mut flags = Flags::new(Kind::Normal);
    flags.set(Flags::REMOVED, true);
    let body = Body::Directory(PathHash::default(), Box::new(Directory::new()));
    Node::new(Ino(0), NodeId::ROOT, flags, body)
}

#[derive(Debug, Default)]
struct Block {
    slots: Vec<Option<Node>>,
    /// Slots to use again.
    free: Vec<u16>,
    names: String,
    /// Bytes of `names` whose entries are gone.
    garbage: usize,
    /// Whether it is among [`Arena::roomy`].
    roomy: bool,
}

impl Arena {
    pub(super) fn insert(&mut self, name: &str, mut node: Node) -> NodeId {
        debug_assert!(name.len() <= NAME_BYTES);
        let index = self.block_with_room();
        let block = &mut self.blocks[index];
        (node.name_at, node.name_bytes) = (block.names.len() as u32, name.len() as u16);
        block.names.push_str(name);
        let slot = match block.free.pop() {
            Some(slot) => {
                block.slots[usize::from(slot)] = Some(node);
                usize::from(slot)
            }
            None => {
                block.slots.push(Some(node));
                block.slots.len() - 1
            }
        };
        if block.is_full() {
            block.names.shrink_to_fit();
            block.free = Vec::new();
            if block.roomy {
                block.roomy = false;
                self.roomy.pop();
            }
        }
        self.live += 1;
        self.name_bytes += name.len();
        NodeId((index * BLOCK + slot) as u32)
    }

    fn block_with_room(&mut self) -> usize {
        if let Some(&block) = self.roomy.last() {
            return block as usize;
        }
        match self.blocks.last() {
            None => self.blocks.push(Block::default()),
            // The next block's names are about as long. Only a tree of one block grows bit by bit.
            Some(last) if last.is_full() => {
                let (slots, names) = (Vec::with_capacity(BLOCK), String::with_capacity(last.names.len()));
                self.blocks.push(Block { slots, names, ..Block::default() });
            }
            Some(_) => {}
        }
        self.blocks.len() - 1
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Option<Node> {
        let (index, slot) = place(id);
        let last = index + 1 == self.blocks.len();
        let block = self.blocks.get_mut(index)?;
        let node = block.slots.get_mut(slot)?.take()?;
        let name_bytes = usize::from(node.name_bytes);
        block.free.push(slot as u16);
        block.garbage += name_bytes;
        block.clean_up();
        if !block.roomy && !last {
            block.roomy = true;
            self.roomy.push(index as u32);
        }
        self.live -= 1;
        self.name_bytes -= name_bytes;
        Some(node)
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        let (block, slot) = place(id);
        self.blocks.get(block)?.slots.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let (block, slot) = place(id);
        self.blocks.get_mut(block)?.slots.get_mut(slot)?.as_mut()
    }

    /// The node of an id that the caller knows to be alive: one that stands in a directory, or that was just found. See
    /// [`broken`] for what comes of one that is not.
    pub(super) fn at(&self, id: NodeId) -> &Node {
        self.get(id).unwrap_or_else(|| {
            broken::note(id, "an entry");
            &self.ghost
        })
    }

    /// As [`Arena::at`], to change it.
    pub(super) fn at_mut(&mut self, id: NodeId) -> &mut Node {
        let (block, slot) = place(id);
        match self.blocks.get_mut(block).and_then(|block| block.slots.get_mut(slot)) {
            Some(Some(node)) => node,
            _ => {
                broken::note(id, "an entry");
                self.ghost = ghost();
                &mut self.ghost
            }
        }
    }

    /// What a directory has, by an id that the caller knows to be a directory's.
    pub(super) fn directory(&self, id: NodeId) -> &Directory {
        self.at(id).directory().unwrap_or_else(|| {
            broken::note(id, "a directory");
            &self.ghost_directory
        })
    }

    /// As [`Arena::directory`], to change it.
    pub(super) fn directory_mut(&mut self, id: NodeId) -> &mut Directory {
        let (block, slot) = place(id);
        match self.blocks.get_mut(block).and_then(|block| block.slots.get_mut(slot)) {
            Some(Some(Node { body: Body::Directory(_, directory), .. })) => directory,
            _ => {
                broken::note(id, "a directory");
                self.ghost_directory = Directory::new();
                &mut self.ghost_directory
            }
        }
    }

    /// The component of the key that a node stands for, raw, without any `/`. As [`Arena::at`].
    pub(super) fn name(&self, id: NodeId) -> &str {
        let node = self.at(id);
        let from = node.name_at as usize;
        let names = self.blocks.get(place(id).0).map_or("", |block| &block.names);
        names.get(from..from + usize::from(node.name_bytes)).unwrap_or_default()
    }

    /// The ids of all nodes alive.
    pub(super) fn ids(&self) -> Vec<NodeId> {
        (0..self.blocks.len()).filter_map(|block| self.ids_in(block)).flatten().collect()
    }

    /// The ids of the nodes alive in one block; `None` behind the last block.
    pub(super) fn ids_in(&self, block: usize) -> Option<impl Iterator<Item = NodeId>> {
        let slots = self.blocks.get(block)?.slots.iter().enumerate();
        Some(slots.filter(|(_, node)| node.is_some()).map(move |(slot, _)| NodeId((block * BLOCK + slot) as u32)))
    }

    /// Up to `most` places from one on, round and round: the nodes alive there, and the place behind.
    pub(super) fn ids_from(&self, place_from: u32, most: usize) -> (Vec<NodeId>, u32) {
        let end = (self.blocks.len() * BLOCK) as u32;
        let from = if place_from < end { place_from } else { 0 };
        let behind = end.min(from.saturating_add(most as u32));
        ((from..behind).map(NodeId).filter(|&id| self.get(id).is_some()).collect(), behind)
    }

    /// The number of nodes alive.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Bytes taken by nodes and their names. Room that gone ones have left is used again, and not counted.
    pub(super) fn bytes(&self) -> usize {
        self.live * size_of::<Option<Node>>() + self.name_bytes
    }
}

impl Block {
    fn is_full(&self) -> bool {
        self.slots.len() == BLOCK && self.free.is_empty()
    }

    /// Gives back what is not needed any more, where that is worth it.
    fn clean_up(&mut self) {
        if self.free.len() == self.slots.len() {
            (self.slots, self.free, self.names, self.garbage) = Default::default();
        } else if self.garbage > GARBAGE_BYTES && self.garbage > self.names.len() / 2 {
            let mut names = String::with_capacity(self.names.len() - self.garbage);
            for node in self.slots.iter_mut().flatten() {
                let from = node.name_at as usize;
                node.name_at = names.len() as u32;
                names.push_str(&self.names[from..from + usize::from(node.name_bytes)]);
            }
            (self.names, self.garbage) = (names, 0);
        }
    }
}

fn place(id: NodeId) -> (usize, usize) {
    (id.0 as usize / BLOCK, id.0 as usize % BLOCK)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::tree::packed::{PackedTime, Tag};

    fn node(ino: u64) -> Node {
        let body = Body::Object { size: 0, mtime: PackedTime::UNKNOWN, tag: Tag::Absent };
        Node::new(Ino(ino), NodeId::ROOT, Flags::new(Kind::Normal), body)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nodes_keep_their_names_while_others_come_and_go(steps in prop::collection::vec((any::<bool>(), 1..6000usize), 0..12)) {
            let mut arena = Arena::default();
            let mut alive: HashMap<NodeId, u64> = HashMap::new();
            let mut next = 0;
            for (insert, count) in steps {
                if insert {
                    for _ in 0..count {
                        next += 1;
                        let id = arena.insert(&format!("name-{next}"), node(next));
                        prop_assert_eq!(alive.insert(id, next), None);
                    }
                } else {
                    for id in alive.keys().copied().take(count).collect::<Vec<_>>() {
                        prop_assert_eq!(arena.remove(id).map(|node| node.ino.0), alive.remove(&id));
                    }
                }
                prop_assert_eq!(arena.len(), alive.len());
                let names: usize = alive.values().map(|n| format!("name-{n}").len()).sum();
                prop_assert_eq!(arena.bytes(), alive.len() * size_of::<Option<Node>>() + names);
                for (&id, n) in &alive {
                    prop_assert_eq!(arena.name(id), format!("name-{n}"));
                    prop_assert_eq!(arena.at(id).ino.0, *n);
                }
                let slots: usize = arena.blocks.iter().map(|block| block.slots.len()).sum();
                let most = next as usize;
                prop_assert!(slots <= most && arena.blocks.iter().all(|block| block.names.len() <= 2 * 16 * BLOCK));
            }
            for id in alive.into_keys() {
                arena.remove(id);
            }
            prop_assert!(arena.bytes() == 0 && arena.blocks.iter().all(|block| block.slots.capacity() == 0));
        }
    }
}
