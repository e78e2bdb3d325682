//! From a name in a directory to an entry, as far as the answers of the store so far settle it.

use std::cmp::Ordering;
use std::ops::Range;
use std::time::Duration;

use super::children::At;
use super::escape::{self, Parsed};
use super::node::{Directory, Flags, NodeId};
use super::spans::Span;
use super::{Tree, View};
use crate::base::Ino;

/// What the tree knows of a name.
#[derive(Clone, PartialEq, Debug)]
pub enum Lookup {
    /// It is there.
    Found(View),
    /// It is not; for how long that may be believed, `None` meaning for ever.
    Missing(Option<Duration>),
    /// The store must be asked: by a listing of the directory, or for this key (as an object, and with a `/` behind
    /// it as a prefix) where there is one to ask for.
    Unknown {
        /// The key that the name stands for.
        key: Option<String>,
    },
    /// The parent is no directory.
    NotDirectory,
    /// The parent is not known.
    Gone,
    /// The name has over 255 bytes.
    TooLong,
}

/// A directory with more entries than this is not listed again for one name alone, at first.
const SMALL_DIRECTORY: usize = 2000;
/// Entries of a listing that cost as much as asking for one name.
const ENTRIES_PER_REQUEST: usize = 1000;

/// The last listing of a directory that came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastListing {
    /// When that was.
    pub at: Duration,
    /// Entries that it showed, those included that have come and gone one by one since.
    pub entries: usize,
}

impl Tree {
    /// The last complete listing of a directory.
    pub fn last_listing(&self, directory: Ino) -> Option<LastListing> {
        let directory = self.nodes.at(self.find_ino(directory)?).directory()?;
        Some(LastListing { at: directory.listed_at()?, entries: directory.children.len() })
    }

    /// Whether the kernel refers to an entry.
    pub fn is_referenced(&self, ino: Ino) -> bool {
        self.find_ino(ino).is_some_and(|id| self.nodes.at(id).references > 0)
    }

    /// Looks a name up. What was learned at or after `since` counts as fresh whatever its age: a caller that has
    /// waited for an answer of the store must be able to use it.
    pub fn lookup(&mut self, parent: Ino, name: &[u8], now: Duration, since: Duration) -> Lookup {
        let Some(id) = self.find_ino(parent) else { return Lookup::Gone };
        if self.is_linked(id) {
            self.touch(id);
        }
        let node = self.nodes.at(id);
        let Some(directory) = node.directory() else { return Lookup::NotDirectory };
        if name.len() > escape::NAME_BYTES {
            return Lookup::TooLong;
        }
        if node.flags.has(Flags::REMOVED) {
            return Lookup::Missing(Some(Duration::ZERO));
        }
        let never = Lookup::Missing(self.options.missing_for);
        let Ok(name) = std::str::from_utf8(name) else { return never };
        match escape::parse(name, self.options.odd_keys) {
            Parsed::Nothing => never,
            Parsed::Part(piece) => self.settle_part(directory, &piece, now, since),
            parsed => self.settle(id, name, &parsed, now, since),
        }
    }

    fn settle(&self, id: NodeId, name: &str, parsed: &Parsed, now: Duration, since: Duration) -> Lookup {
        let (Parsed::Plain(component) | Parsed::File(component) | Parsed::Directory(component)) = parsed else {
            return Lookup::Missing(self.options.missing_for);
        };
        let named = |id: &NodeId| self.name_of(*id).is_some_and(|shown| &*shown == name);
        let found_directory = self.find(id, component, Role::Directory);
        let file = self.find(id, component, Role::File);
        let directory = found_directory.filter(named);
        let stale = |id: NodeId| self.nodes.at(id).flags.has(Flags::STALE);
        let known_at = match [found_directory, file].into_iter().flatten().any(stale) {
            true => None,
            false => self.known_at(id, component).max(directory.and_then(|directory| self.proven_at(directory))),
        };
        let plain = matches!(parsed, Parsed::Plain(_)) && !self.nodes.at(id).flags.has(Flags::PART);
        let key = || plain.then(|| self.key_of(id) + component);
        let Some(known_at) = known_at else { return Lookup::Unknown { key: key() } };
        match directory.or(file.filter(named)) {
            Some(found) if self.is_fresh(known_at, now, since) => Lookup::Found(self.view_of(found, now, since)),
            None if self.is_still_missing(known_at, now, since) => Lookup::Missing(self.missing_for(known_at, now)),
            _ => Lookup::Unknown { key: key() },
        }
    }

    fn settle_part(&self, directory: &Directory, piece: &str, now: Duration, since: Duration) -> Lookup {
        let parts = directory.parts();
        let found = parts.binary_search_by(|part| self.nodes.name(part.id).cmp(piece));
        match (found.map(|at| parts[at]), directory.listed_at()) {
            (Ok(part), listed_at)
                if self.is_fresh(listed_at.map_or(part.shown_at, |at| at.max(part.shown_at)), now, since) =>
            {
                Lookup::Found(self.view_of(part.id, now, since))
            }
            (Err(_), Some(at)) if self.is_still_missing(at, now, since) => Lookup::Missing(self.missing_for(at, now)),
            _ => Lookup::Unknown { key: None },
        }
    }

    /// Whether a directory is worth a listing for one name that is not settled. A small one is: the listing costs one
    /// or two requests and settles the others as well. In a large one that was listed before, single names are
    /// asked for until they have cost as much as the listing would, which at worst doubles the cost.
    pub fn worth_listing(&mut self, directory: Ino) -> bool {
        let Some(id) = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory()) else { return true };
        let directory = self.directory_mut(id);
        let entries = directory.children.len();
        if entries <= SMALL_DIRECTORY {
            return true;
        }
        let extras = directory.extras_mut();
        extras.probes += 1;
        extras.probes as usize > entries / ENTRIES_PER_REQUEST
    }

    /// Changes [`Options::fresh_for`](super::Options::fresh_for) and
    /// [`Options::missing_for`](super::Options::missing_for), also for what is known already.
    pub fn set_believed(&mut self, fresh_for: Option<Duration>, missing_for: Option<Duration>) {
        self.options.fresh_for = fresh_for;
        self.options.missing_for = missing_for;
    }

    /// How long an entry may be believed from now on; `None` means for ever.
    pub(super) fn fresh_for(&self, id: NodeId, now: Duration) -> Option<Duration> {
        let ttl = self.options.fresh_for?;
        let node = self.nodes.at(id);
        if id == NodeId::ROOT || node.flags.has(Flags::VERSION) {
            return Some(ttl);
        }
        if node.flags.has(Flags::STALE) {
            return Some(Duration::ZERO);
        }
        let known_at = match node.flags.has(Flags::PART) {
            true => {
                let directory = self.directory(node.parent);
                let shown = directory.parts().iter().find(|part| part.id == id).map(|part| part.shown_at);
                shown.max(directory.listed_at())
            }
            false => self.known_at(node.parent, self.nodes.name(id)).max(self.proven_at(id)),
        };
        Some(known_at.map_or(Duration::ZERO, |at| ttl.saturating_sub(now.saturating_sub(at))))
    }

    fn missing_for(&self, known_at: Duration, now: Duration) -> Option<Duration> {
        Some(self.options.missing_for?.saturating_sub(now.saturating_sub(known_at)))
    }

    fn is_still_missing(&self, at: Duration, now: Duration, since: Duration) -> bool {
        at >= since || self.options.missing_for.is_none_or(|ttl| now.saturating_sub(at) < ttl)
    }

    /// When the store last told whether a component of a directory exists, as a file and as a directory. A file is
    /// settled only when the place of the directory has been passed as well, which would take the name.
    fn known_at(&self, id: NodeId, component: &str) -> Option<Duration> {
        let directory = self.directory(id);
        let Some(extras) = &directory.extras else { return directory.listed_at() };
        let probed = extras.probed.get(component).copied();
        let settled = extras.round.as_ref().filter(|round| round.spans.settle(component));
        probed.max(settled.map(|round| round.began)).max(directory.listed_at())
    }

    /// The entry of a component in a directory.
    pub(super) fn find(&self, id: NodeId, component: &str, role: Role) -> Option<NodeId> {
        let at = self.place(id, component, role).ok()?;
        self.directory(id).children.entry(at)
    }

    /// Where a component stands in the children, or where it would.
    pub(super) fn place(&self, id: NodeId, component: &str, role: Role) -> Result<At, At> {
        let wanted = (component, role);
        self.directory(id).children.search(|child| compare(self.order_key(child), wanted))
    }

    /// The children whose keys lie in a span: of a directory the key is that of its marker.
    pub(super) fn range(&self, id: NodeId, span: Span<'_>) -> Range<At> {
        let place = |bound| match self.place(id, bound, Role::File) {
            Ok(at) | Err(at) => at,
        };
        let from = if span.from.is_empty() { At::default() } else { place(span.from) };
        from..span.before.map_or_else(|| self.directory(id).children.end(), place).max(from)
    }

    pub(super) fn order_key(&self, id: NodeId) -> (&str, Role) {
        let node = self.nodes.at(id);
        (self.nodes.name(id), if node.is_directory() { Role::Directory } else { Role::File })
    }
}

/// The two kinds of entries that can have one component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    File,
    Directory,
}

/// The order of a listing: by the bytes of the keys, which for a directory end in `/`. Also takes any bound of a span
/// as if it were a file.
pub(super) fn compare(a: (&str, Role), b: (&str, Role)) -> Ordering {
    let (name_a, name_b) = (a.0.as_bytes(), b.0.as_bytes());
    let shared = name_a.len().min(name_b.len());
    let slash = |role| (role == Role::Directory).then_some(b'/');
    name_a[..shared].cmp(&name_b[..shared]).then_with(|| {
        let next_a = name_a.get(shared).copied().or(slash(a.1));
        let next_b = name_b.get(shared).copied().or(slash(b.1));
        // Where both go on with the same byte, one of them ends with it: the `/` of a directory.
        let left = |name: &[u8], role| name.len().saturating_sub(shared) + usize::from(role == Role::Directory);
        next_a.cmp(&next_b).then_with(|| left(name_a, a.1).cmp(&left(name_b, b.1)))
    })
}

/// `key?versionId=V` as the key and V.
pub fn split_version(name: &str) -> Option<(&str, &str)> {
    let (key, version) = name.rsplit_once("?versionId=")?;
    (!key.is_empty() && !version.is_empty()).then_some((key, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_the_order_of_their_keys() {
        let directory = |name| (name, Role::Directory);
        let file = |name| (name, Role::File);
        let sorted = [
            directory(""),
            file("a"),
            file("a-b"),
            file("a.b"),
            directory("a"),
            file("a0"),
            directory("a0"),
            file("b"),
            file("b//"),
            file("b/c"),
        ];
        for window in sorted.windows(2) {
            assert_eq!(compare(window[0], window[1]), Ordering::Less, "{window:?}");
            assert_eq!(compare(window[1], window[0]), Ordering::Greater, "{window:?}");
        }
        assert_eq!(compare(directory("a"), directory("a")), Ordering::Equal);
        assert_eq!(compare(directory("a"), file("a/")), Ordering::Equal);
        assert_eq!(compare(directory("a"), file("a/b")), Ordering::Less);
    }

    #[test]
    fn versions_are_split_off_at_the_last_mark() {
        assert_eq!(split_version("a?versionId=b"), Some(("a", "b")));
        assert_eq!(split_version("a?versionId=b?versionId=c"), Some(("a?versionId=b", "c")));
        assert_eq!(split_version("?versionId=b"), None);
        assert_eq!(split_version("a?versionId="), None);
    }
}
