//! Changing single entries: adding, confirming, replacing by another version, removing; and applying the answers to
//! requests for one name or one object.

use std::collections::HashMap;
use std::time::Duration;

use super::component::EntryKind;
use super::directory::{Directory, Part};
use super::node::{Body, Node};
use super::packed::{Flags, NodeId, PackedTime, Tag};
use super::{Changes, Facts, Kind, Outdated, Resolved, ResolvedTarget, Tree, View, ino};
use crate::base::{ETag, Ino, Timestamp};

/// What asking for one name has shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Probe<'a> {
    /// Keys lie below it.
    Directory,
    /// There is an object, and nothing below it.
    Object(Facts<'a>),
    /// Keys lie below it, and there is an object of the same name, or none.
    Beside(Option<Facts<'a>>),
    /// There is neither an object nor a directory.
    Missing,
}

/// What asking for an object again has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewed {
    /// It is the version that the tree knows.
    Same,
    /// It is another one, under another inode number, or it is gone.
    Changed,
}

/// What a symlink object names.
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    /// Bytes: the object is shown as a file.
    Bytes {
        /// The number of the bytes.
        size: u64,
        /// The entity tag of the bytes.
        etag: Option<ETag>,
        /// The later time of link and target.
        mtime: Option<Timestamp>,
    },
    /// An entry of the mount, by its path from the link's directory.
    Link(Box<str>),
}

impl Tree {
    /// Takes in what asking for the name `component` of a directory at `now` has shown, if nothing later is known of
    /// it.
    pub fn probed(&mut self, directory: Ino, component: &str, probe: &Probe<'_>, now: Duration) -> Changes {
        let mut changes = Changes::default();
        let Some(id) = self.find_ino(directory) else { return changes };
        if self.nodes.at(id).directory().is_none() || self.nodes.at(id).flags.has(Flags::REMOVED) {
            return changes;
        }
        if self.known_at(id, component).is_some_and(|at| at > now) {
            return changes;
        }
        match probe {
            Probe::Directory => {
                self.put(id, component, EntryKind::Directory, &Facts::default(), now, &mut changes);
            }
            Probe::Object(facts) => {
                self.take_out(id, component, EntryKind::Directory, &mut changes);
                self.put(id, component, EntryKind::File, facts, now, &mut changes);
            }
            Probe::Beside(object) => {
                self.put(id, component, EntryKind::Directory, &Facts::default(), now, &mut changes);
                match object {
                    Some(facts) => drop(self.put(id, component, EntryKind::File, facts, now, &mut changes)),
                    None => self.take_out(id, component, EntryKind::File, &mut changes),
                }
            }
            Probe::Missing => {
                self.take_out(id, component, EntryKind::Directory, &mut changes);
                self.take_out(id, component, EntryKind::File, &mut changes);
            }
        }
        self.note_probe(id, component, now);
        changes
    }

    fn note_probe(&mut self, directory: NodeId, component: &str, now: Duration) {
        self.touch(directory);
        let extras = self.directory_mut(directory).extras_mut();
        if extras.probed.len() >= PROBED_NAMES {
            self.forget_probes(directory);
        }
        let extras = self.directory_mut(directory).extras_mut();
        extras.probed_last = extras.probed_last.max(now);
        if extras.probed.insert(component.into(), now).is_none() {
            extras.probed_bytes += component.len() + PROBE_BYTES;
            self.probed_bytes += component.len() + PROBE_BYTES;
        }
    }

    /// Names that were asked for one by one are not known any more, or known from a listing.
    pub(super) fn forget_probes(&mut self, directory: NodeId) {
        self.forget_probes_until(directory, Duration::MAX);
    }

    /// The same of names that were asked for up to some time.
    pub(super) fn forget_probes_until(&mut self, directory: NodeId, as_of: Duration) {
        let Some(extras) = &mut self.directory_mut(directory).extras else { return };
        extras.probes = 0;
        let before = extras.probed_bytes;
        if extras.probed_last > as_of {
            extras.probed.retain(|_, at| *at > as_of);
            extras.probed_bytes = extras.probed.keys().map(|name| name.len() + PROBE_BYTES).sum();
        } else {
            extras.probed = HashMap::new();
            extras.probed_bytes = 0;
        }
        let after = extras.probed_bytes;
        self.probed_bytes = self.probed_bytes + after - before;
        self.directory_mut(directory).drop_unused_extras();
    }

    /// Takes in what asking for an object again has shown; `None` if it is gone.
    pub fn renew(&mut self, ino: Ino, facts: Option<&Facts<'_>>, now: Duration) -> (Renewed, Changes) {
        let mut changes = Changes::default();
        let Some(id) = self.find_ino(ino) else { return (Renewed::Changed, changes) };
        let same = facts.is_some_and(|facts| self.same_version(id, facts));
        let renewed = if same { Renewed::Same } else { Renewed::Changed };
        let node = self.nodes.at(id);
        let (parent, name) = (node.parent, self.nodes.name(id).to_owned());
        let has_place = !node.is_directory() && !node.flags.has(Flags::VERSION);
        if !has_place || self.nodes.at(parent).flags.has(Flags::REMOVED) {
            return (renewed, changes);
        }
        if self.known_at(parent, &name).is_some_and(|at| at > now) {
            // What the tree knows was asked for later.
            return (renewed, changes);
        }
        match facts {
            Some(facts) if same && self.is_attached(id) => {
                self.refresh(id, facts, now, &mut changes);
            }
            // Also where another version has taken its place since: that is what an older answer has shown.
            Some(facts) => {
                self.put(parent, &name, EntryKind::File, facts, now, &mut changes);
            }
            None => self.take_out(parent, &name, EntryKind::File, &mut changes),
        }
        self.note_probe(parent, &name, now);
        (renewed, changes)
    }

    /// The object was seen to have changed: its name leads to the store again, and what was asked for before `now` does
    /// not say otherwise.
    pub fn mark_stale(&mut self, ino: Ino, now: Duration) -> Changes {
        let mut changes = Changes::default();
        if let Some(id) = self.find_ino(ino).filter(|&id| id != NodeId::ROOT) {
            self.nodes.at_mut(id).flags.set(Flags::STALE, true);
            self.targets.remove(&id);
            self.outdate(id, &mut changes);
            self.stale.insert(id, now);
        }
        changes
    }

    /// Takes in what a symlink object names. The entry may get another inode number: that of link and target.
    pub fn resolve(&mut self, ino: Ino, target: Target, now: Duration) -> (Option<View>, Changes) {
        let mut changes = Changes::default();
        let Some(id) = self.find_ino(ino) else { return (None, changes) };
        let node = self.nodes.at(id);
        let Body::Object { size, mtime, tag } = &node.body else { return (None, changes) };
        let own = tag.text();
        let listed_as = self.version_ids.get(&id).cloned();
        let facts = Facts {
            size: *size,
            etag: own.as_deref(),
            mtime: mtime.time(),
            kind: Kind::Symlink,
            class: None,
            version: listed_as.as_deref(),
        };
        let (parent, name, attached) = (node.parent, self.nodes.name(id).to_owned(), self.is_attached(id));
        let (target, version) = match target {
            Target::Link(text) => (ResolvedTarget::Link(text), None),
            Target::Bytes { size, etag, mtime } => {
                let of_target = etag.as_ref().map_or("", ETag::as_str).to_ascii_lowercase();
                let version = format!("{}>{of_target}", version_of(&facts));
                (ResolvedTarget::Bytes { size, etag, mtime }, Some(version))
            }
        };
        let hash = self.path_hash(parent);
        let wanted = version.map_or(node.ino, |version| hash.object(&name, version.as_bytes()));
        let id = if !attached || node.ino == wanted {
            id
        } else {
            let class = node.class;
            let replacement = self.insert(parent, &name, wanted, Flags::new(Kind::Symlink), object_body(&facts));
            self.nodes.at_mut(replacement).class = class;
            self.set_version_id(replacement, facts.version);
            self.replace(id, replacement, &mut changes);
            replacement
        };
        self.targets.insert(id, Resolved { at: now, target });
        (Some(self.view_of(id, now, now)), changes)
    }

    /// One version of an object, under the name that it was asked for.
    pub fn add_version(&mut self, directory: Ino, name: &str, version: &str, facts: &Facts<'_>) -> Option<Ino> {
        let parent = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        if let Some(&known) = self.versions.get(&(parent, name.into())) {
            return Some(self.nodes.at(known).ino);
        }
        let version = format!("{}@{version}", version_of(facts));
        let number = self.path_hash(parent).object(name, version.as_bytes());
        let id = self.insert(parent, name, number, Flags::new(facts.kind), object_body(facts));
        let class = self.class_index(facts.class);
        let node = self.nodes.at_mut(id);
        node.class = class;
        // In no directory: it lives for as long as the kernel refers to it.
        node.flags.set(Flags::VERSION, true);
        node.flags.set(Flags::REMOVED, true);
        self.versions.insert((parent, name.into()), id);
        Some(self.nodes.at(id).ino)
    }

    /// A version that was asked for before and that the kernel still refers to.
    pub fn version(&self, directory: Ino, name: &str) -> Option<Ino> {
        let parent = self.find_ino(directory)?;
        self.versions.get(&(parent, name.into())).map(|&id| self.nodes.at(id).ino)
    }

    /// Adds an entry, without putting it into a list of children. One that the kernel still refers to comes back.
    pub(super) fn add(&mut self, parent: NodeId, component: &str, role: EntryKind, facts: &Facts<'_>) -> NodeId {
        let hash = self.path_hash(parent);
        match role {
            EntryKind::Directory => {
                let hash = hash.join_component(component);
                let body = Body::Directory(hash, Box::new(Directory::new()));
                self.insert(parent, component, hash.directory(), Flags::new(Kind::Normal), body)
            }
            EntryKind::File => {
                let number = with_version(facts, |version| hash.object(component, version));
                let class = self.class_index(facts.class);
                let id = self.insert(parent, component, number, Flags::new(facts.kind), object_body(facts));
                self.nodes.at_mut(id).class = class;
                self.set_version_id(id, facts.version);
                id
            }
        }
    }

    /// The part directory of a piece, which a page shows an entry for.
    pub(super) fn part(&mut self, parent: NodeId, piece: &str, now: Duration) -> NodeId {
        let parts = &mut self.directory_mut(parent).extras_mut().parts;
        let parts = std::mem::take(parts);
        let found = parts.binary_search_by(|part| self.nodes.name(part.id).cmp(piece));
        let id = found.map_or_else(|_| self.add_part(parent, piece), |at| parts[at].id);
        let kept = &mut self.directory_mut(parent).extras_mut().parts;
        *kept = parts;
        match found {
            Ok(at) => kept[at].shown_at = now,
            Err(at) => kept.insert(at, Part { id, shown_at: now }),
        }
        id
    }

    fn add_part(&mut self, parent: NodeId, piece: &str) -> NodeId {
        let hash = self.path_hash(parent).join(piece);
        let mut flags = Flags::new(Kind::Normal);
        flags.set(Flags::PART, true);
        let body = Body::Directory(hash, Box::new(Directory::new()));
        self.insert(parent, piece, hash.directory(), flags, body)
    }

    pub(super) fn insert(&mut self, parent: NodeId, component: &str, wanted: Ino, flags: Flags, body: Body) -> NodeId {
        let mut number = wanted;
        while let Some(id) = self.find_ino(number) {
            let node = self.nodes.at(id);
            let same_kind = node.is_directory() == matches!(body, Body::Directory(..));
            let same_place = node.parent == parent && self.nodes.name(id) == component;
            if same_place && same_kind && !node.flags.has(Flags::VERSION) {
                self.revive(id);
                self.stale.remove(&id);
                let node = self.nodes.at_mut(id);
                node.flags = flags;
                if let Body::Object { .. } = body {
                    node.body = body;
                }
                return id;
            }
            // Another key has this number: at ten million entries there is one chance in 200,000 that this happens.
            number = ino::next(number);
        }
        self.directories += usize::from(matches!(body, Body::Directory(..)));
        let id = self.nodes.insert(component, Node::new(number, parent, flags, body));
        self.enter_index(id);
        self.directory_mut(parent).alive += 1;
        id
    }

    /// Whether an entry stays the same one when it is shown again with these facts.
    pub(super) fn is_same(&self, id: NodeId, facts: &Facts<'_>) -> bool {
        self.nodes.at(id).is_directory() || self.same_version(id, facts)
    }

    /// A listing or a request of some time shows an entry again; another version of an object becomes another entry.
    pub(super) fn refresh(&mut self, id: NodeId, facts: &Facts<'_>, as_of: Duration, changes: &mut Changes) -> NodeId {
        if !self.is_same(id, facts) {
            let (parent, name) = (self.nodes.at(id).parent, self.nodes.name(id).to_owned());
            let shadowed = self.nodes.at(id).flags.has(Flags::SHADOWED);
            self.detach(id, changes);
            let id = self.add(parent, &name, EntryKind::File, facts);
            self.nodes.at_mut(id).flags.set(Flags::SHADOWED, shadowed);
            return id;
        }
        let class = self.class_index(facts.class);
        let node = self.nodes.at_mut(id);
        let still_stale = self.stale.get(&id).is_some_and(|&at| at > as_of);
        if !still_stale {
            self.stale.remove(&id);
            node.flags.set(Flags::STALE, false);
        }
        if let Body::Object { size, mtime, tag } = &mut node.body {
            let newer = PackedTime::new(facts.mtime);
            if *size != facts.size || !mtime.same_second(newer) {
                changes.outdated.extend((node.references > 0).then_some(Outdated::Attributes(node.ino)));
            }
            (*size, *mtime) = (facts.size, newer);
            if *tag == Tag::Absent {
                *tag = Tag::new(facts.etag);
            }
            node.class = class;
            node.flags.set_kind(facts.kind);
        }
        id
    }

    /// Whether a directory takes the name of this file.
    pub(super) fn shade(&mut self, id: NodeId, shadowed: bool, changes: &mut Changes) {
        if self.nodes.at(id).flags.has(Flags::SHADOWED) != shadowed {
            self.outdate(id, changes);
            self.nodes.at_mut(id).flags.set(Flags::SHADOWED, shadowed);
        }
    }

    fn shade_beside(
        &mut self,
        parent: NodeId,
        component: &str,
        shadowed: bool,
        changes: &mut Changes,
    ) -> Option<NodeId> {
        let file = self.find(parent, component, EntryKind::File)?;
        self.shade(file, shadowed, changes);
        Some(file)
    }

    /// Puts an entry among the children of a directory.
    pub(super) fn put(
        &mut self,
        parent: NodeId,
        component: &str,
        role: EntryKind,
        facts: &Facts<'_>,
        now: Duration,
        changes: &mut Changes,
    ) -> NodeId {
        let id = match self.placed(parent, component, role) {
            Ok((at, known)) => {
                let id = self.refresh(known, facts, now, changes);
                if id != known {
                    self.change_children(parent, |children| children.replace(at, id));
                }
                id
            }
            Err(at) => {
                let id = self.add(parent, component, role, facts);
                self.change_children(parent, |children| children.splice(at..at, &[id]));
                id
            }
        };
        let shadowed = role == EntryKind::Directory || self.find(parent, component, EntryKind::Directory).is_some();
        if let Some(file) = self.shade_beside(parent, component, shadowed, changes).filter(|&file| file != id) {
            self.show(parent, file, now, changes);
        }
        self.show(parent, id, now, changes);
        id
    }

    pub(super) fn take_out(&mut self, parent: NodeId, component: &str, role: EntryKind, changes: &mut Changes) {
        let Ok((at, id)) = self.placed(parent, component, role) else { return };
        self.change_children(parent, |children| children.splice(at..children.next(at), &[]));
        self.detach(id, changes);
        if role == EntryKind::Directory {
            self.shade_beside(parent, component, false, changes);
        }
    }

    /// Another entry takes the place of one among its parent's children.
    fn replace(&mut self, old: NodeId, new: NodeId, changes: &mut Changes) {
        let node = self.nodes.at(old);
        let (parent, name) = (node.parent, self.nodes.name(old).to_owned());
        let shadowed = node.flags.has(Flags::SHADOWED);
        self.nodes.at_mut(new).flags.set(Flags::SHADOWED, shadowed);
        if let Ok(at) = self.place(parent, &name, EntryKind::File) {
            self.change_children(parent, |children| children.replace(at, new));
        }
        self.detach(old, changes);
    }

    fn same_version(&self, id: NodeId, facts: &Facts<'_>) -> bool {
        let Body::Object { size, mtime, tag } = &self.nodes.at(id).body else { return false };
        if let (Some(known), Some(told)) = (self.version_ids.get(&id), facts.version)
            && (**known != *told || *told != *OVERWRITTEN_IN_PLACE)
        {
            return **known == *told;
        }
        let other = Tag::new(facts.etag);
        if *tag != Tag::Absent && other != Tag::Absent {
            return tag.may_equal(&other);
        }
        // Of one that was seen to have changed, size and time are no proof.
        let is_stale = self.nodes.at(id).flags.has(Flags::STALE);
        !is_stale && *size == facts.size && mtime.same_second(PackedTime::new(facts.mtime))
    }
}

/// Names asked for one by one that a directory remembers.
const PROBED_NAMES: usize = 65_536;
/// What one of them takes beside its bytes: its place in the table, and the allocator's part.
const PROBE_BYTES: usize = 64;

fn object_body(facts: &Facts<'_>) -> Body {
    Body::Object { size: facts.size, mtime: PackedTime::new(facts.mtime), tag: Tag::new(facts.etag) }
}

/// The id that one version after the other has while a bucket does not keep them.
const OVERWRITTEN_IN_PLACE: &str = "null";

/// The id of a version that no other one will have.
fn lasting_id<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    facts.version.filter(|id| *id != OVERWRITTEN_IN_PLACE)
}

/// What tells versions of one key apart: the version id, else the tag in lower case, or what stands in for it.
fn version_of(facts: &Facts<'_>) -> String {
    match (lasting_id(facts), facts.etag) {
        (Some(id), _) => format!("@{id}"),
        (None, Some(etag)) => etag.to_ascii_lowercase(),
        (None, None) => format!("{}@{}", facts.size, facts.mtime.map_or(0, |time| time.seconds)),
    }
}

/// The same without a string of its own for the usual tag.
pub(super) fn with_version<T>(facts: &Facts<'_>, then: impl FnOnce(&[u8]) -> T) -> T {
    let mut lower = [0; 64];
    let etag = facts.etag.filter(|_| lasting_id(facts).is_none());
    match etag.and_then(|etag| Some((etag, lower.get_mut(..etag.len())?))) {
        Some((etag, lower)) => {
            lower.copy_from_slice(etag.as_bytes());
            lower.make_ascii_lowercase();
            then(lower)
        }
        None => then(version_of(facts).as_bytes()),
    }
}
