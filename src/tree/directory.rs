//! What the tree keeps of a directory.

use std::collections::HashMap;
use std::time::Duration;

use super::children::Children;
use super::packed::{Moment, NodeId, PackedTime};
use super::round::Round;

/// What a directory has beside its name.
#[derive(Debug)]
pub(super) struct Directory {
    /// The time of its marker, once listed.
    pub(super) mtime: PackedTime,
    /// Whether it has a marker.
    pub(super) marked: bool,
    /// Whether there are, or have been, entries that have no name here.
    pub(super) nameless: bool,

    /// All that is known to be in it, in the order of the keys.
    pub(super) children: Children,
    /// When it was last settled whole.
    pub(super) listed_at: Option<Moment>,
    /// Entries in the arena whose parent this is, removed ones included.
    pub(super) alive: u32,
    /// Its place among those that were used lately.
    pub(super) link: Link,
    /// What most directories have nothing of.
    pub(super) extras: Option<Box<Extras>>,
}

/// What few directories have; see [`Directory::extras`].
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Part directories, which stand for no single key, in the order of their pieces.
    pub(super) parts: Vec<Part>,
    pub(super) round: Option<Round>,
    /// Names that were asked for one by one, and when.
    pub(super) probed: HashMap<Box<str>, Duration>,
    /// The last of those times.
    pub(super) probed_last: Duration,
    /// The memory that those take, in bytes.
    pub(super) probed_bytes: usize,
    /// Requests for single names since the last listing.
    pub(super) probes: u64,

    /// Handles; while there are any, no entry is taken out of the arena.
    pub(super) holds: u32,
    /// Listings that began here; while there are any, the directory itself stays.
    pub(super) listings: u32,
    /// Removed entries that nothing refers to, kept because of `holds`.
    pub(super) unfreed: Vec<NodeId>,
}

/// The id of a part directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) id: NodeId,
    /// When a page last showed an entry that is shown in it.
    pub(super) shown_at: Duration,
}

impl Directory {
    pub(super) fn new() -> Self {
        Directory {
            mtime: PackedTime::UNKNOWN,
            marked: false,
            nameless: false,
            children: Children::default(),
            listed_at: None,
            alive: 0,
            link: Link::NONE,
            extras: None,
        }
    }

    /// When it was last settled whole.
    pub(super) fn listed_at(&self) -> Option<Duration> {
        self.listed_at.map(Moment::time)
    }

    pub(super) fn round(&self) -> Option<&Round> {
        self.extras.as_ref()?.round.as_ref()
    }

    pub(super) fn round_mut(&mut self) -> Option<&mut Round> {
        self.extras.as_mut()?.round.as_mut()
    }

    pub(super) fn parts(&self) -> &[Part] {
        self.extras.as_ref().map_or(&[], |extras| &extras.parts)
    }

    /// Whether a handle or a listing refers to what is in it.
    pub(super) fn is_in_use(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.holds > 0 || extras.listings > 0 || extras.round.is_some())
    }

    pub(super) fn holds(&self) -> u32 {
        self.extras.as_ref().map_or(0, |extras| extras.holds)
    }

    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Gives the extras back where nothing is left of them.
    pub(super) fn drop_unused_extras(&mut self) {
        self.extras.take_if(|extras| {
            extras.round.is_none()
                && extras.holds == 0
                && extras.listings == 0
                && extras.probes == 0
                && extras.parts.is_empty()
                && extras.probed.is_empty()
                && extras.unfreed.is_empty()
        });
    }
}

/// A directory's neighbours in the order of their last use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) newer: NodeId,
    pub(super) older: NodeId,
}

impl Link {
    pub(super) const NONE: Link = Link { newer: NodeId::NONE, older: NodeId::NONE };
}
