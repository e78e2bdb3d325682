//! From a name in a directory to an entry, as far as the answers of the store so far settle it.

use std::ops::Range;
use std::time::Duration;

use super::children::At;
use super::component::{EntryKind, compare};
use super::directory::Directory;
use super::escape::{self, Parsed};
use super::packed::{Flags, NodeId};
use super::spans::Span;
use super::{Options, Tree, View};
use crate::base::Ino;

/// What the tree knows of a name.
#[derive(Clone, PartialEq, Debug)]
pub enum Lookup {
    /// The name is there.
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

/// How long things are believed: see [`Options`]. `None` means for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Believed {
    /// What a listing shows.
    pub fresh_for: Option<Duration>,
    /// What it does not.
    pub absent_for: Option<Duration>,
    /// The absence of a name that was looked up.
    pub missing_for: Option<Duration>,
}

/// When a look-up takes place.
#[derive(Clone, Copy)]
struct Asked {
    now: Duration,
    /// When the operation began.
    since: Duration,
    /// When the name was said to be missing before.
    told: Option<Duration>,
}

/// The last listing of a directory that came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastListing {
    /// The time that the listing shows the store as of.
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

    /// When the store last told whether a name is there that stands for a key of its own.
    pub fn known_at_name(&self, parent: Ino, name: &[u8]) -> Option<Duration> {
        let id = self.find_ino(parent).filter(|&id| self.nodes.at(id).is_directory())?;
        self.known_at(id, std::str::from_utf8(name).ok()?)
    }

    /// Whether the kernel refers to an entry.
    pub fn is_referenced(&self, ino: Ino) -> bool {
        self.find_ino(ino).is_some_and(|id| self.nodes.at(id).references > 0)
    }

    /// Looks a name up for a request that has begun at `since`: what is known must have been fresh then, whatever its
    /// age is `now`, for a caller that has waited for an answer of the store must be able to use it.
    pub fn lookup(&mut self, parent: Ino, name: &[u8], now: Duration, since: Duration) -> Lookup {
        self.lookup_again(parent, name, now, since, None)
    }

    /// The same of a name that was said to be missing at `told`. A program that looks for it again waits for it to
    /// appear: that is believed for a shorter time than what a listing does not show of names that were not looked up.
    pub fn lookup_again(
        &mut self,
        parent: Ino,
        name: &[u8],
        now: Duration,
        since: Duration,
        told: Option<Duration>,
    ) -> Lookup {
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
            parsed => self.settle(id, name, &parsed, Asked { now, since, told }),
        }
    }

    fn settle(&self, id: NodeId, name: &str, parsed: &Parsed, asked: Asked) -> Lookup {
        let Asked { now, since, .. } = asked;
        let (Parsed::Plain(component) | Parsed::File(component) | Parsed::Directory(component)) = parsed else {
            return Lookup::Missing(self.options.missing_for);
        };
        let named = |id: &NodeId| self.name_of(*id).is_some_and(|shown| &*shown == name);
        let found_directory = self.find(id, component, EntryKind::Directory);
        let file = self.find(id, component, EntryKind::File);
        let directory = found_directory.filter(named);
        let stale = |id: NodeId| self.nodes.at(id).flags.has(Flags::STALE);
        let known_at = match [found_directory, file].into_iter().flatten().any(stale) {
            true => None,
            false => self.known_at(id, component).max(directory.and_then(|directory| self.proven_at(directory))),
        };
        let plain = matches!(parsed, Parsed::Plain(_)) && !self.nodes.at(id).flags.has(Flags::PART);
        let key = || plain.then(|| self.key_of(id)).flatten().map(|key| key + component);
        let Some(known_at) = known_at else { return Lookup::Unknown { key: key() } };
        match directory.or(file.filter(named)) {
            Some(found) if self.is_fresh(known_at, now, since) => Lookup::Found(self.view_of(found, now, since)),
            None => match self.absence(id, component, asked) {
                Some(ttl) => Lookup::Missing(ttl),
                None => Lookup::Unknown { key: key() },
            },
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
            (Err(_), Some(at)) if self.is_fresh(at, now, since) => {
                Lookup::Missing(self.options.absent_for.map(|ttl| ttl.saturating_sub(now.saturating_sub(at))))
            }
            _ => Lookup::Unknown { key: None },
        }
    }

    /// Whether a directory is worth a listing for one name that is not settled. A small one is: the listing costs one
    /// or two requests and settles the others as well. In a large one that was listed before, single names are
    /// asked for until they have cost as much as the listing would, which at worst doubles the cost; and for as long as
    /// its listing is believed, no name is a reason to make another.
    pub fn worth_listing(&mut self, directory: Ino, now: Duration) -> bool {
        let Some(id) = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory()) else { return true };
        let is_believed = self.directory(id).listed_at().is_some_and(|at| self.is_fresh(at, now, now));
        let directory = self.directory_mut(id);
        let entries = directory.children.len();
        if entries <= SMALL_DIRECTORY {
            return true;
        }
        if is_believed {
            return false;
        }
        let extras = directory.extras_mut();
        extras.probes += 1;
        extras.probes as usize > entries / ENTRIES_PER_REQUEST
    }

    /// Changes for how long things are believed, also what is known already.
    pub fn set_believed(&mut self, believed: Believed) {
        let Believed { fresh_for, absent_for, missing_for } = believed;
        (self.options.fresh_for, self.options.absent_for, self.options.missing_for) =
            (fresh_for, absent_for, missing_for);
    }

    /// How long an entry may be believed from now on; `None` means for ever.
    pub(super) fn fresh_for(&self, id: NodeId, now: Duration) -> Option<Duration> {
        let node = self.nodes.at(id);
        if id == NodeId::ROOT || node.flags.has(Flags::VERSION) {
            return self.options.fresh_for;
        }
        // A handle may show what has gone since it was opened.
        if node.flags.has(Flags::STALE) || node.flags.has(Flags::REMOVED) {
            return Some(Duration::ZERO);
        }
        let ttl = self.options.fresh_for?;
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

    /// How long a name that is not there may be believed to be missing; `None` where the store must be asked.
    fn absence(&self, id: NodeId, component: &str, asked: Asked) -> Option<Option<Duration>> {
        let Asked { now, since, told } = asked;
        let fresh =
            |at: Duration, ttl: Option<Duration>| at >= since || ttl.is_none_or(|ttl| since.saturating_sub(at) < ttl);
        let left = |at: Duration, ttl: Option<Duration>| Some(ttl?.saturating_sub(now.saturating_sub(at)));
        let Options { absent_for, missing_for, .. } = self.options;
        let (listed, probed) = (self.settled_at(id, component), self.probed_at(id, component));
        // A repeated look-up gets another answer only from a request that was sent since.
        let told = told.filter(|&told| listed.is_none_or(|at| at <= told));
        if let Some(at) = listed.filter(|&at| fresh(at, absent_for))
            && told.is_none_or(|told| fresh(told, missing_for))
        {
            let again = left(told.unwrap_or(now), missing_for);
            return Some(match (left(at, absent_for), again) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            });
        }
        probed.filter(|&at| fresh(at, missing_for)).map(|at| left(at, missing_for))
    }

    /// When the store last told whether a component of a directory exists, as a file and as a directory.
    pub(super) fn known_at(&self, id: NodeId, component: &str) -> Option<Duration> {
        self.probed_at(id, component).max(self.settled_at(id, component))
    }

    /// The same of asking for it alone.
    fn probed_at(&self, id: NodeId, component: &str) -> Option<Duration> {
        self.directory(id).extras.as_ref()?.probed.get(component).copied()
    }

    /// The same of listings. A file is settled only when the place of the directory has been passed as well, which
    /// would take the name.
    fn settled_at(&self, id: NodeId, component: &str) -> Option<Duration> {
        let directory = self.directory(id);
        let settled = directory.round().filter(|round| round.spans.settle(component));
        settled.map(|round| round.began).max(directory.listed_at())
    }

    /// The entry of a component in a directory.
    pub(super) fn find(&self, id: NodeId, component: &str, role: EntryKind) -> Option<NodeId> {
        self.placed(id, component, role).ok().map(|(_, id)| id)
    }

    /// Where a component stands in the children, and its entry; or where it would stand.
    pub(super) fn placed(&self, id: NodeId, component: &str, role: EntryKind) -> Result<(At, NodeId), At> {
        let at = self.place(id, component, role)?;
        self.directory(id).children.entry(at).map(|id| (at, id)).ok_or(at)
    }

    /// Where a component stands in the children, or where it would.
    pub(super) fn place(&self, id: NodeId, component: &str, role: EntryKind) -> Result<At, At> {
        let wanted = (component, role);
        self.directory(id).children.search(|child| compare(self.order_key(child), wanted))
    }

    /// The children whose keys lie in a span: of a directory the key is that of its marker.
    pub(super) fn range(&self, id: NodeId, span: Span<'_>) -> Range<At> {
        let place = |bound| match self.place(id, bound, EntryKind::File) {
            Ok(at) | Err(at) => at,
        };
        let from = if span.from.is_empty() { At::default() } else { place(span.from) };
        from..span.before.map_or_else(|| self.directory(id).children.end(), place).max(from)
    }

    pub(super) fn order_key(&self, id: NodeId) -> (&str, EntryKind) {
        let node = self.nodes.at(id);
        (self.nodes.name(id), if node.is_directory() { EntryKind::Directory } else { EntryKind::File })
    }
}
