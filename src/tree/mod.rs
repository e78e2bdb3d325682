//! Names, inodes, children and their freshness. No I/O, no async, no clock: times come in as durations since some
//! fixed moment.
//!
//! The [`Tree`] is what listings and single answers of the store have shown so far. It knows, for every directory,
//! which names are there, which are not, and of which it cannot say; `fs` asks the store about the latter.
//!
//! The difficulties, and the file that solves each:
//!
//! 1. *Keys are not paths.* `a` can stand beside `a/b`, a key can hold `//` or `..` or NUL: [`escape`] decides what
//!    every component is called, or that it is hidden.
//! 2. *A listing takes long, its pages come in any order, and others want answers meanwhile.* `page` merges one page
//!    into the directories that it touches; `listing` keeps account of what pages have settled of each: both what is
//!    there and what is not. `spans` is the arithmetic of that.
//! 3. *The kernel remembers numbers.* An entry that is gone from its directory stays until the kernel forgets it, and
//!    comes back under the same number when the same object does; `ino` makes the number a function of the object.
//! 4. *A handle reads a directory while it changes.* `snapshot` gives every handle a list that only grows.
//! 5. *Millions of entries.* `node` packs one into 64 bytes, and `arena` keeps its name beside others; names are looked
//!    up by binary search in the sorted children, so that no name is kept twice. With its places in the children and
//!    in the index, a file takes some 80 bytes beside its name, in whatever order pages come.
//! 6. *Millions of entries in one directory, and all of them gone at once.* `children` keeps them in chunks that a page
//!    replaces and a handle shares; `removal` takes entries out of the tree bit by bit.
//! 7. *More entries than memory.* `eviction` forgets what nothing refers to, in the least recently used directories
//!    first; `Tree::bytes` says what is left. A directory that alone has more than that is not held: `oversize`.
//!
//! | file | what it owns |
//! |---|---|
//! | `arena` | where entries live: blocks of slots, and their names |
//! | `broken` | defects of the tree itself: one request fails, and nothing panics |
//! | `children` | the children of one directory, sorted, in chunks |
//! | `component` | components of keys: their order, and the version that one may name |
//! | `directory` | what the tree keeps of a directory |
//! | `escape` | names for key components |
//! | `eviction` | evicting the least recently used directories |
//! | `ino` | inode numbers: a function of bucket, key and entity tag |
//! | `listing` | listings that are going on, and the rounds that they feed |
//! | `lookup` | from a name in a directory to an entry |
//! | `node` | what the tree keeps of one entry, in few bytes |
//! | `snapshot` | what a directory handle reads |
//! | `packed` | places, times, flags and tags in few bytes |
//! | `page` | merging one page of a listing |
//! | `removal` | removing entries step by step |
//! | `restore` | entries that an earlier daemon has told the kernel |
//! | `round` | what pages have settled of one directory so far |
//! | `siblings` | the files beside a file |
//! | `spans` | which part of a directory's keys is settled |
//! | `types` | the types of the interface: options, facts, views, changes |
//! | `oversize` | directories that are too large for memory |
//! | `update` | changing single entries |

#[cfg(test)]
mod age_tests;
mod arena;
pub mod broken;
mod children;
mod component;
mod directory;
pub mod escape;
mod eviction;
mod ino;
mod listing;
#[cfg(test)]
mod listing_tests;
mod lookup;
mod node;
mod oversize;
mod packed;
mod page;
mod removal;
mod restore;
mod round;
mod siblings;
#[cfg(test)]
mod size_tests;
mod snapshot;
mod spans;
#[cfg(test)]
mod tests;
mod types;
mod update;
#[cfg(test)]
mod walk_tests;

use std::collections::HashMap;
use std::time::Duration;

use hashbrown::HashTable;

use self::arena::Arena;
use self::children::Children;
use self::directory::Directory;
use self::escape::{Role, Shown};
use self::eviction::Recency;
use self::ino::PathHash;
use self::listing::Ongoing;
use self::node::{Body, Node};
use self::packed::{Flags, NodeId};
use self::removal::Graves;
use self::round::ListingId;
use self::snapshot::Snapshot;
use crate::base::{ETag, Ino, Timestamp};

pub use self::component::split_version;
pub use self::escape::{OddKeys, Role as NameRole, path as name_path};
pub use self::eviction::{Evicted, Pin, Referred};
pub use self::listing::{Depth, Item, Listing, Standing, TreePart};
pub use self::lookup::{Believed, LastListing, Lookup};
pub use self::oversize::{Nameable, Remainder, Unheld};
pub use self::siblings::Position;
pub use self::snapshot::{Row, Take};
pub use self::types::{Changes, Facts, Kind, Object, OddKey, Options, Outdated, Shape, Standpoint, View};
pub use self::types::{SnapshotId, SnapshotState};
pub use self::update::{Probe, Renewed, Target};

/// The tree of one mount. See the module's head.
#[derive(Debug)]
pub struct Tree {
    options: Options,

    nodes: Arena,
    /// Inode number to node, in parts so that growing one never takes long.
    index: Vec<HashTable<NodeId>>,
    snapshots: HashMap<SnapshotId, Snapshot>,
    listings: HashMap<ListingId, Ongoing>,
    graves: Graves,
    recency: Recency,
    /// What symlink objects turned out to be.
    targets: HashMap<NodeId, Resolved>,
    /// Objects that were seen to have changed, and when: [`Flags::STALE`](packed::Flags) stays until something later is
    /// told.
    stale: HashMap<NodeId, Duration>,
    /// Versions asked for by name: directory and name as it was asked for.
    versions: HashMap<(NodeId, Box<str>), NodeId>,
    /// The ids of versions that were listed as such.
    version_ids: HashMap<NodeId, Box<str>>,
    /// Storage classes seen, in the order of their first appearance; entry 0 stands for "not told".
    classes: Vec<Box<str>>,
    next_id: u64,

    /// For [`Tree::bytes`]: directories in the arena, and what parts of the tree take.
    directories: usize,
    index_bytes: usize,
    child_bytes: usize,
    probed_bytes: usize,
    version_id_bytes: usize,
}

/// What a symlink object turned out to be.
#[derive(Clone, PartialEq, Debug)]
struct Resolved {
    at: Duration,
    target: ResolvedTarget,
}

#[derive(Clone, PartialEq, Debug)]
enum ResolvedTarget {
    Bytes { size: u64, etag: Option<ETag>, mtime: Option<Timestamp> },
    Link(Box<str>),
}

const INDEX_PARTS: usize = 1024;

/// What a directory has outside of the arena, with the allocator's part.
const DIRECTORY_BYTES: usize = (size_of::<Directory>() + 8).next_multiple_of(16);
/// What a symlink object's target takes, about.
const TARGET_BYTES: usize = 160;
/// What an object that was seen to have changed takes beside its entry, about.
const STALE_BYTES: usize = 48;
/// What a version asked for by name takes beside its entry, about.
const VERSION_BYTES: usize = 128;
/// What the id of a listed version takes beside its text: its place in the table, and the allocator's part.
const VERSION_ID_BYTES: usize = 48;

impl Tree {
    /// A tree that knows of nothing but its root.
    pub fn new(options: Options) -> Self {
        let hash = PathHash::new(options.bucket.as_str(), &options.prefix);
        let mut nodes = Arena::default();
        let body = Body::Directory(hash, Box::new(Directory::new()));
        let root = Node::new(Ino::ROOT, NodeId::ROOT, Flags::new(Kind::Normal), body);
        let root = nodes.insert("", Node { references: 1, ..root });
        let mut tree = Tree {
            options,
            nodes,
            index: (0..INDEX_PARTS).map(|_| HashTable::new()).collect(),
            snapshots: HashMap::new(),
            listings: HashMap::new(),
            graves: Graves::default(),
            recency: Recency::default(),
            directories: 1,
            index_bytes: 0,
            child_bytes: 0,
            probed_bytes: 0,
            targets: HashMap::new(),
            stale: HashMap::new(),
            versions: HashMap::new(),
            version_ids: HashMap::new(),
            version_id_bytes: 0,
            classes: vec!["".into()],
            next_id: 0,
        };
        tree.enter_index(root);
        tree
    }

    /// Entries held now, those included that the kernel alone still refers to.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing; there is always the root.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Bytes taken. Constant work, but for a little for each open directory.
    pub fn bytes(&self) -> usize {
        let directories = self.directories * DIRECTORY_BYTES;
        let snapshots: usize = self.snapshots.values().map(Snapshot::bytes).sum();
        let noted = self.stale.len() * STALE_BYTES;
        let others = self.targets.len() * TARGET_BYTES + self.versions.len() * VERSION_BYTES + noted;
        let counted = self.index_bytes + self.child_bytes + self.probed_bytes + self.version_id_bytes;
        self.nodes.bytes() + directories + counted + snapshots + others
    }

    /// The kernel took `count` references.
    pub fn remember(&mut self, ino: Ino, count: u32) {
        if let Some(id) = self.find_ino(ino) {
            let node = self.nodes.at_mut(id);
            node.references = node.references.saturating_add(count);
        }
    }

    /// The kernel gave `count` references back.
    pub fn forget(&mut self, ino: Ino, count: u64) {
        let Some(id) = self.find_ino(ino).filter(|&id| id != NodeId::ROOT) else { return };
        let node = self.nodes.at_mut(id);
        node.references = node.references.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        if node.references == 0 {
            let parent = node.parent;
            self.offer(parent);
        }
        self.free_if_unused(id);
    }

    /// An entry as it is known now, fresh or not.
    pub fn view(&self, ino: Ino, now: Duration) -> Option<View> {
        Some(self.view_of(self.find_ino(ino)?, now, now))
    }

    /// All that is known of an object; `None` for directories and unknown numbers.
    pub fn object(&self, ino: Ino) -> Option<Object> {
        let id = self.find_ino(ino)?;
        let node = self.nodes.at(id);
        let Body::Object { size, mtime, tag } = &node.body else { return None };
        let (key, version) = self.key_and_version(id)?;
        let version = version.or_else(|| self.version_ids.get(&id).map(|id| id.to_string()));
        let class = Some(&self.classes[node.class as usize]).filter(|class| !class.is_empty());
        let mut object = Object {
            key,
            version,
            etag: tag.text().and_then(|text| ETag::parse(&text)),
            size: *size,
            mtime: mtime.time(),
            kind: node.flags.kind(),
            class: class.cloned(),
            stale: node.flags.has(Flags::STALE),
        };
        if let Some(Resolved { target: ResolvedTarget::Bytes { size, etag, mtime }, .. }) = self.targets.get(&id) {
            object = Object { size: *size, etag: etag.clone(), mtime: mtime.or(object.mtime), ..object };
        }
        Some(object)
    }

    /// The text of a symlink object shown as a link.
    pub fn link(&self, ino: Ino) -> Option<&str> {
        match &self.targets.get(&self.find_ino(ino)?)?.target {
            ResolvedTarget::Link(text) => Some(text),
            ResolvedTarget::Bytes { .. } => None,
        }
    }

    /// The key prefix of a directory; `None` for objects and unknown numbers.
    pub fn prefix(&self, ino: Ino) -> Option<String> {
        let id = self.find_ino(ino)?;
        self.nodes.at(id).directory().and_then(|_| self.key_of(id))
    }

    /// The raw key, or the prefix of a directory; `None` where a directory on the way to it is not there.
    fn key_of(&self, id: NodeId) -> Option<String> {
        let mut way = Vec::new();
        let mut at = id;
        while at != NodeId::ROOT {
            way.push(at);
            if self.nodes.get(at).is_none() {
                broken::note(at, "a directory");
                return None;
            }
            at = self.nodes.at(at).parent;
        }
        let mut key = self.options.prefix.clone();
        for id in way.into_iter().rev() {
            let node = self.nodes.at(id);
            key.push_str(self.nodes.name(id));
            if node.is_directory() && !node.flags.has(Flags::PART) {
                key.push('/');
            }
        }
        Some(key)
    }

    fn key_and_version(&self, id: NodeId) -> Option<(String, Option<String>)> {
        let key = self.key_of(id)?;
        Some(match component::split_version(&key) {
            Some((plain, version)) if self.nodes.at(id).flags.has(Flags::VERSION) => {
                (plain.to_owned(), Some(version.to_owned()))
            }
            _ => (key, None),
        })
    }

    fn directory(&self, id: NodeId) -> &Directory {
        self.nodes.directory(id)
    }

    fn path_hash(&self, id: NodeId) -> PathHash {
        match self.nodes.at(id).body {
            Body::Directory(hash, _) => hash,
            Body::Object { .. } => {
                broken::note(id, "a directory");
                PathHash::default()
            }
        }
    }

    fn directory_mut(&mut self, id: NodeId) -> &mut Directory {
        self.nodes.directory_mut(id)
    }

    fn change_children<T>(&mut self, id: NodeId, change: impl FnOnce(&mut Children) -> T) -> T {
        let children = &mut self.directory_mut(id).children;
        let before = children.bytes();
        let value = change(children);
        let after = children.bytes();
        self.child_bytes = self.child_bytes + after - before;
        value
    }

    /// Where an entry is shown. Entries of a part directory that belong elsewhere have no place, and are not odd.
    fn shown_of(&self, id: NodeId) -> Option<Shown<'_>> {
        let node = self.nodes.at(id);
        let parent = self.nodes.at(node.parent);
        let name = self.nodes.name(id);
        let role = match () {
            () if node.is_directory() => Role::Directory,
            () if node.flags.has(Flags::SHADOWED) => Role::Shadowed,
            () => Role::File,
        };
        if node.flags.has(Flags::PART) {
            return Some(Shown::Escaped(escape::part_name(name)));
        }
        if parent.flags.has(Flags::PART) && !escape::belongs_in_part(self.nodes.name(node.parent), name, role) {
            return None;
        }
        Some(escape::shown(name, role, self.options.odd_keys))
    }

    /// The name of an entry in its directory, if it has one there.
    fn name_of(&self, id: NodeId) -> Option<Box<str>> {
        match self.shown_of(id)? {
            Shown::Plain(name) => Some(name.into()),
            Shown::Escaped(name) => Some(name.into()),
            Shown::InPart(_) | Shown::Hidden(_) => None,
        }
    }

    fn view_of(&self, id: NodeId, now: Duration, since: Duration) -> View {
        let node = self.nodes.at(id);
        let fresh_for = self.fresh_for(id, now);
        let default_time = self.options.default_time;
        let view = |shape, size, mtime: Option<Timestamp>| View {
            ino: node.ino,
            shape,
            size,
            mtime: mtime.unwrap_or(default_time),
            fresh_for,
        };
        match &node.body {
            Body::Directory(_, directory) => view(Shape::Directory, 0, directory.mtime.time()),
            Body::Object { size, mtime, .. } if node.flags.kind() != Kind::Symlink => {
                view(Shape::File, *size, mtime.time())
            }
            Body::Object { mtime, .. } => match self.targets.get(&id) {
                Some(resolved) if self.is_fresh(resolved.at, now, since) => match &resolved.target {
                    ResolvedTarget::Bytes { size, mtime: newer, .. } => {
                        view(Shape::File, *size, newer.or(mtime.time()))
                    }
                    ResolvedTarget::Link(text) => view(Shape::Link, text.len() as u64, mtime.time()),
                },
                _ => view(Shape::Unresolved, 0, mtime.time()),
            },
        }
    }

    fn is_fresh(&self, at: Duration, now: Duration, since: Duration) -> bool {
        at >= since || self.options.fresh_for.is_none_or(|ttl| since.min(now).saturating_sub(at) < ttl)
    }

    fn find_ino(&self, ino: Ino) -> Option<NodeId> {
        let same = |id: &NodeId| self.nodes.get(*id).is_some_and(|node| node.ino == ino);
        self.index[part_of(ino)].find(hash_of(ino), same).copied()
    }

    fn enter_index(&mut self, id: NodeId) {
        let ino = self.nodes.at(id).ino;
        let nodes = &self.nodes;
        let part = &mut self.index[part_of(ino)];
        self.index_bytes -= part.allocation_size();
        part.insert_unique(hash_of(ino), id, |id| hash_of(nodes.at(*id).ino));
        self.index_bytes += part.allocation_size();
    }

    fn leave_index(&mut self, id: NodeId) {
        let ino = self.nodes.at(id).ino;
        let nodes = &self.nodes;
        let part = &mut self.index[part_of(ino)];
        self.index_bytes -= part.allocation_size();
        if let Ok(entry) = part.find_entry(hash_of(ino), |&other| other == id) {
            entry.remove();
        }
        if part.len() < part.capacity() / 4 {
            part.shrink_to(part.len() * 2, |id| hash_of(nodes.at(*id).ino));
        }
        self.index_bytes += part.allocation_size();
    }

    /// Takes an entry out of the arena when it is in no directory and nothing refers to it; then its directory, if
    /// that waited for it.
    fn free_if_unused(&mut self, id: NodeId) {
        let mut next = Some(id);
        while let Some(id) = next.take() {
            let Some(node) = self.nodes.get(id) else { return };
            let busy = node.directory().is_some_and(|state| state.alive > 0 || state.is_in_use());
            if id == NodeId::ROOT || node.references > 0 || busy || !node.flags.has(Flags::REMOVED) {
                return;
            }
            let parent = node.parent;
            if self.directory(parent).holds() > 0 {
                self.directory_mut(parent).extras_mut().unfreed.push(id);
                return;
            }
            self.free(id);
            let state = self.directory_mut(parent);
            state.alive = state.alive.saturating_sub(1);
            if state.alive == 0 {
                // Now it can be dropped itself.
                self.offer(parent);
            }
            next = Some(parent);
        }
    }

    fn free(&mut self, id: NodeId) {
        self.leave_index(id);
        self.targets.remove(&id);
        self.stale.remove(&id);
        self.set_version_id(id, None);
        let node = self.nodes.at(id);
        if node.flags.has(Flags::VERSION) {
            self.versions.remove(&(node.parent, self.nodes.name(id).into()));
        }
        if self.nodes.at(id).is_directory() {
            self.unlink(id);
            self.directories -= 1;
        }
        self.nodes.remove(id);
    }

    /// Says which version an entry is; `None` where its key alone names it.
    fn set_version_id(&mut self, id: NodeId, version: Option<&str>) {
        let old = match version {
            Some(version) => {
                self.version_id_bytes += version.len() + VERSION_ID_BYTES;
                self.version_ids.insert(id, version.into())
            }
            None => self.version_ids.remove(&id),
        };
        self.version_id_bytes -= old.map_or(0, |old| old.len() + VERSION_ID_BYTES);
    }

    fn hold(&mut self, directory: NodeId) {
        self.directory_mut(directory).extras_mut().holds += 1;
    }

    fn release(&mut self, directory: NodeId) {
        let state = self.directory_mut(directory);
        let extras = state.extras_mut();
        extras.holds = extras.holds.saturating_sub(1);
        if extras.holds == 0 {
            let unfreed = std::mem::take(&mut extras.unfreed);
            state.drop_unused_extras();
            self.offer(directory);
            self.free_later(unfreed);
            self.free_if_unused(directory);
        }
    }

    fn class_index(&mut self, class: Option<&str>) -> u8 {
        let class = class.unwrap_or("");
        if let Some(index) = self.classes.iter().position(|known| &**known == class) {
            return index as u8;
        }
        if self.classes.len() > usize::from(u8::MAX) {
            // No service has this many; what a hostile one says beyond is not kept.
            return 0;
        }
        self.classes.push(class.into());
        (self.classes.len() - 1) as u8
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn outdate(&self, id: NodeId, changes: &mut Changes) {
        let node = self.nodes.at(id);
        let parent = self.nodes.at(node.parent);
        // Below a directory that has gone too: names that are in use stay in the kernel's cache of it, and it may come
        // back under its number.
        if node.references > 0
            && let Some(name) = self.name_of(id)
        {
            changes.outdated.push(Outdated::Entry { parent: parent.ino, name: name.into_boxed_bytes() });
        }
    }
}

/// The part is chosen by bits in the middle: the table uses the low ones for its slots and the high ones for its tags.
fn part_of(ino: Ino) -> usize {
    (ino.0 >> 32) as usize % INDEX_PARTS
}

/// The numbers are hashes already, of 63 bits.
fn hash_of(ino: Ino) -> u64 {
    ino.0 << 1
}
