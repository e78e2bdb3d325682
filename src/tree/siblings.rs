//! The files beside a file: what stands next to it in the order of the keys, and what has a name of the same kind.
//!
//! Answers from what is known, whether or not the directory was ever listed whole.

use super::Tree;
use super::component::EntryKind;
use super::packed::NodeId;
use crate::base::Ino;

/// Where a file stands among the entries of its directory that are known now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position<'a> {
    /// The directory of the file.
    pub directory: Ino,
    /// How many entries of it stand before the file, in the order of their keys.
    pub index: usize,
    /// How many entries it has.
    pub entries: usize,
    /// The last component of the file's key.
    pub component: &'a str,
}

impl Tree {
    /// Where a file stands; `None` for directories, for versions asked for by name, and for what is gone.
    pub fn position(&self, ino: Ino) -> Option<Position<'_>> {
        let id = self.find_ino(ino).filter(|&id| !self.nodes.at(id).is_directory())?;
        let (directory, component) = (self.nodes.at(id).parent, self.nodes.name(id));
        let at = self.place(directory, component, EntryKind::File).ok()?;
        let children = &self.directory(directory).children;
        (children.entry(at) == Some(id)).then(|| Position {
            directory: self.nodes.at(directory).ino,
            index: children.index(at),
            entries: children.len(),
            component,
        })
    }

    /// The files among the entries of a directory from one index on, in the order of their keys.
    pub fn files_from(&self, directory: Ino, index: usize) -> impl Iterator<Item = Ino> {
        let children = self.find_directory(directory).map(|id| &self.directory(id).children);
        let places = children.into_iter().flat_map(move |children| {
            let first = children.at_index(index);
            std::iter::successors(Some(first), |&at| Some(children.next(at))).map_while(|at| children.entry(at))
        });
        // Directories have their places all the same, so that an index says as much as many entries.
        places.filter(|&id| !self.nodes.at(id).is_directory()).map(|id| self.nodes.at(id).ino)
    }

    /// The last components of the directories in a directory that are known, in the order of their keys.
    pub fn directories_in(&self, directory: Ino) -> impl Iterator<Item = &str> {
        let children = self.find_directory(directory).map(|id| &self.directory(id).children);
        let places = children.into_iter().flat_map(|children| {
            let first = children.at_index(0);
            std::iter::successors(Some(first), |&at| Some(children.next(at))).map_while(|at| children.entry(at))
        });
        places.filter(|&id| self.nodes.at(id).is_directory()).map(|id| self.nodes.name(id))
    }

    /// The file of this last component in a directory, if it is known.
    pub fn file(&self, directory: Ino, component: &str) -> Option<Ino> {
        let id = self.find(self.find_directory(directory)?, component, EntryKind::File)?;
        Some(self.nodes.at(id).ino)
    }

    fn find_directory(&self, ino: Ino) -> Option<NodeId> {
        self.find_ino(ino).filter(|&id| self.nodes.at(id).is_directory())
    }
}
