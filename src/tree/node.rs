//! What the tree keeps of one entry, in few bytes.

use super::directory::Directory;
use super::ino::PathHash;
use super::packed::{Flags, NodeId, PackedTime, Tag};
use crate::base::Ino;

/// One entry: 64 bytes and its name.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) ino: Ino,
    pub(super) parent: NodeId,
    /// The kernel's look-up count.
    pub(super) references: u32,
    /// Where the arena keeps its name.
    pub(super) name_at: u32,
    pub(super) name_bytes: u16,
    pub(super) flags: Flags,
    /// Storage class, an index into the tree's table.
    pub(super) class: u8,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Object { size: u64, mtime: PackedTime, tag: Tag },
    Directory(PathHash, Box<Directory>),
}

impl Node {
    pub(super) fn new(ino: Ino, parent: NodeId, flags: Flags, body: Body) -> Self {
        Node { ino, parent, references: 0, name_at: 0, name_bytes: 0, flags, class: 0, body }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(..))
    }

    pub(super) fn directory(&self) -> Option<&Directory> {
        match &self.body {
            Body::Directory(_, directory) => Some(directory),
            Body::Object { .. } => None,
        }
    }

    pub(super) fn directory_mut(&mut self) -> Option<&mut Directory> {
        match &mut self.body {
            Body::Directory(_, directory) => Some(directory),
            Body::Object { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_small() {
        assert_eq!(size_of::<Option<Node>>(), 64);
        assert!(size_of::<Directory>() <= 56, "{}", size_of::<Directory>());
    }
}
