//! Directories that are too large for memory: what a listing that stops has left of one, and entries that are shown
//! without being held.

use std::collections::HashSet;

use super::component::EntryKind as Entry;
use super::escape::{self, Role, Shown};
use super::listing::Listing;
use super::packed::{Flags, NodeId};
use super::spans::Spans;
use super::types::SnapshotState;
use super::update::with_version;
use super::{Facts, Kind, Object, Shape, Tree, View};
use crate::base::{Ino, KeySpan};

/// What a listing that has stopped has not brought. Together with the list of its handles it is all of the directory,
/// each name once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Remainder {
    /// Keys that are not settled, in their order. No bound lies within a common prefix.
    pub spans: Vec<KeySpan>,
    /// Objects of the settled part that the list lacks, since a directory in these spans may still take their name.
    pub undecided: Vec<Object>,
    /// Components of directories that the list has, though these spans may show them or files of the same name.
    pub directories: HashSet<Box<str>>,
    /// Names of part directories that the list has.
    pub parts: HashSet<Box<str>>,
}

/// What a listing shows under one component of a directory.
#[derive(Clone, Copy, Debug)]
pub enum Nameable<'a> {
    /// A file, which is an object.
    File(Facts<'a>),
    /// An object whose name a directory takes.
    Shadowed(Facts<'a>),
    /// Keys that go on.
    Directory,
}

/// An entry that is shown and not held.
#[derive(Clone, PartialEq, Debug)]
pub struct Unheld {
    /// Its name in the directory.
    pub name: String,
    /// How it looks. Nothing of that may be believed without looking it up.
    pub view: View,
    /// Whether it is a part directory, which stands for several components.
    pub is_part: bool,
}

impl Tree {
    /// Entries of a directory that are held.
    pub fn names_in(&self, directory: Ino) -> usize {
        let id = self.find_ino(directory);
        id.and_then(|id| self.nodes.at(id).directory()).map_or(0, |state| state.children.len())
    }

    /// A directory's own listing stops for want of memory. Its round breaks off, and nothing is known of the directory
    /// any more but what the list of its handles has. What is left of it, if there is such a list.
    pub fn leave_off(&mut self, listing: &Listing) -> Option<Remainder> {
        self.as_of(listing)?;
        let id = self.find_ino(listing.directory)?;
        let remainder = self.directory(id).round().filter(|round| round.snapshot.is_some()).map(|round| Remainder {
            spans: unsettled(&round.spans, &listing.prefix),
            undecided: self.undecided(id, &round.spans),
            directories: self.directories_had(id, &round.spans, &round.announced),
            parts: self.parts_had(&round.announced),
        });
        self.end_round(id, SnapshotState::Broken);
        self.directory_mut(id).listed_at = None;
        self.forget_probes(id);
        remainder
    }

    /// Files whose key is settled, but not whether a directory takes their name.
    fn undecided(&self, id: NodeId, spans: &Spans) -> Vec<Object> {
        let has_key =
            |name: &str| spans.iter().any(|span| span.from <= name && span.before.is_none_or(|end| name < end));
        let cut = spans.iter().flat_map(|span| span.cut().collect::<Vec<_>>());
        let mut names: Vec<&str> = cut.filter(|name| has_key(name) && !spans.settle(name)).collect();
        names.sort_unstable();
        names.dedup();
        let files = names.into_iter().filter_map(|name| self.find(id, name, Entry::File));
        files.filter_map(|file| self.object(self.nodes.at(file).ino)).collect()
    }

    /// Directories that are in the list, and whose keys, or the object of the same name, are not settled.
    fn directories_had(&self, id: NodeId, spans: &Spans, announced: &HashSet<NodeId>) -> HashSet<Box<str>> {
        let plain = announced.iter().filter(|&&had| !self.nodes.at(had).flags.has(Flags::PART));
        let mut had: HashSet<Box<str>> = plain.map(|&had| self.nodes.name(had).into()).collect();
        let settled = spans.iter().flat_map(|span| span.cut().collect::<Vec<_>>());
        let settled = settled.filter(|name| spans.settle_below(name));
        had.extend(settled.filter(|name| self.find(id, name, Entry::Directory).is_some()).map(Box::from));
        had
    }

    fn parts_had(&self, announced: &HashSet<NodeId>) -> HashSet<Box<str>> {
        let parts = announced.iter().filter(|&&had| self.nodes.at(had).flags.has(Flags::PART));
        parts.map(|&had| escape::part_name(self.nodes.name(had)).into()).collect()
    }

    /// An entry as it would be if it was held, number and all. `None` where it has no name.
    pub fn unheld(&self, directory: Ino, component: &str, what: Nameable<'_>) -> Option<Unheld> {
        let id = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        let hash = self.path_hash(id);
        let role = match what {
            Nameable::File(_) => Role::File,
            Nameable::Shadowed(_) => Role::Shadowed,
            Nameable::Directory => Role::Directory,
        };
        let is_part = self.nodes.at(id).flags.has(Flags::PART);
        if is_part && !escape::belongs_in_part(self.nodes.name(id), component, role) {
            return None;
        }
        let directory =
            |name, ino| Unheld { name, view: self.passing_view(ino, Shape::Directory, None), is_part: false };
        let name = match escape::shown(component, role, self.options.odd_keys) {
            Shown::Plain(name) => name.to_owned(),
            Shown::Escaped(name) => name,
            Shown::InPart(piece) => {
                let part = directory(escape::part_name(piece), hash.join(piece).directory());
                return Some(Unheld { is_part: true, ..part });
            }
            Shown::Hidden(_) => return None,
        };
        Some(match what {
            Nameable::Directory => directory(name, hash.join_component(component).directory()),
            Nameable::File(facts) | Nameable::Shadowed(facts) => {
                let ino = with_version(&facts, |version| hash.object(component, version));
                let shape = if facts.kind == Kind::Symlink { Shape::Unresolved } else { Shape::File };
                Unheld { name, view: self.passing_view(ino, shape, Some(&facts)), is_part: false }
            }
        })
    }

    fn passing_view(&self, ino: Ino, shape: Shape, facts: Option<&Facts<'_>>) -> View {
        View {
            ino,
            shape,
            size: facts.filter(|_| shape == Shape::File).map_or(0, |facts| facts.size),
            mtime: facts.and_then(|facts| facts.mtime).unwrap_or(self.options.default_time),
            fresh_for: Some(std::time::Duration::ZERO),
        }
    }

    /// The key that an escaped name stands for, where it stands for one.
    pub fn key_of_escaped(&self, directory: Ino, name: &[u8]) -> Option<String> {
        let id = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        if self.nodes.at(id).flags.has(Flags::PART) {
            return None;
        }
        match escape::parse(std::str::from_utf8(name).ok()?, self.options.odd_keys) {
            escape::Parsed::File(component) | escape::Parsed::Directory(component) => {
                Some(self.key_of(id)? + &component)
            }
            _ => None,
        }
    }
}

/// The keys between spans, which are taken without the prefix. A common prefix that a bound runs through belongs to
/// them as a whole.
fn unsettled(spans: &Spans, prefix: &str) -> Vec<KeySpan> {
    let within = |bound: &str| bound.find('/').filter(|at| at + 1 < bound.len()).map(|at| bound[..at].to_owned());
    let from = |bound: &str| within(bound).map_or_else(|| bound.to_owned(), |name| format!("{name}/"));
    // `0` follows `/`.
    let before = |bound: &str| within(bound).map_or_else(|| bound.to_owned(), |name| format!("{name}0"));
    let (mut left, mut at): (Vec<(String, Option<String>)>, _) = (Vec::new(), Some(String::new()));
    let mut add = |begin: String, end: Option<String>| match left.last_mut() {
        Some((_, last)) if last.as_ref().is_none_or(|last| *last >= begin) => *last = end,
        _ => left.push((begin, end)),
    };
    for span in spans.iter() {
        if let Some(begin) = at.take().filter(|begin| **begin < *span.from) {
            add(from(&begin), Some(before(span.from)));
        }
        at = span.before.map(str::to_owned);
    }
    if let Some(begin) = at {
        add(from(&begin), None);
    }
    let end = KeySpan::below(prefix).before;
    let key = |rest: String| format!("{prefix}{rest}");
    let spans = left.into_iter();
    spans.map(|(begin, last)| KeySpan { from: key(begin), before: last.map(key).or_else(|| end.clone()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::spans::Span;
    use super::*;

    #[test]
    fn what_lies_between_spans_is_left_and_no_common_prefix_is_cut() {
        let left = |settled: &[(&str, Option<&str>)]| {
            let mut spans = Spans::default();
            settled.iter().for_each(|&(from, before)| spans.add(Span { from, before }));
            let show = |span: &KeySpan| format!("{}..{}", span.from, span.before.as_deref().unwrap_or("end"));
            unsettled(&spans, "d/").iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(left(&[]), ["d/..d0"]);
        assert_eq!(left(&[("", None)]), [""; 0]);
        assert_eq!(left(&[("", Some("m"))]), ["d/m..d0"]);
        assert_eq!(left(&[("", Some("b")), ("m", Some("n"))]), ["d/b..d/m", "d/n..d0"]);
        assert_eq!(left(&[("", Some("x/abc"))]), ["d/x/..d0"], "all of what was begun");
        assert_eq!(left(&[("x/abc", None)]), ["d/..d/x0"]);
        assert_eq!(left(&[("", Some("x/b")), ("x/m", None)]), ["d/x/..d/x0"]);
        assert_eq!(left(&[("a", Some("x/b")), ("x/m", Some("x/n"))]), ["d/..d/a", "d/x/..d0"]);
        assert_eq!(left(&[("", Some("x/"))]), ["d/x/..d0"]);
    }
}
