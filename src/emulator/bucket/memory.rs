//! What a bucket keeps in memory: objects, their versions, and the marks of what was deleted.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::Arc;

use super::Cursor;
use crate::base::Timestamp;
use crate::emulator::content::splitmix;
use crate::emulator::object::Object;

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::emulator) enum Versioning {
    /// Versions were never kept.
    #[default]
    Off,
    Enabled,
    /// It did; new writes replace the version `null`.
    Suspended,
}

/// What a key stands for. Version ids are absent in buckets that never kept versions.
#[derive(Clone, Debug)]
pub(in crate::emulator) enum Found {
    Object(Arc<Object>, Option<String>),
    Marker(String),
    Nothing,
}

impl Found {
    pub(in crate::emulator) fn object(self) -> Option<Arc<Object>> {
        match self {
            Found::Object(object, _) => Some(object),
            _ => None,
        }
    }
}

/// What a deletion did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::emulator) struct Deleted {
    /// The version that was removed or the marker that was laid.
    pub(in crate::emulator) version: Option<String>,
    /// Whether that is a delete marker.
    pub(in crate::emulator) is_marker: bool,
}

/// One line of a listing of versions.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct ListedVersion {
    pub(in crate::emulator) id: String,
    pub(in crate::emulator) is_latest: bool,
    pub(in crate::emulator) modified: Timestamp,
    /// `None` for delete markers.
    pub(in crate::emulator) object: Option<Arc<Object>>,
}

impl ListedVersion {
    /// The one version of an object that was written without versions.
    pub(super) fn only(object: Arc<Object>) -> Self {
        ListedVersion { id: "null".to_owned(), is_latest: true, modified: object.modified, object: Some(object) }
    }
}

#[derive(Debug)]
enum VersionState {
    Object(Arc<Object>),
    /// A delete marker, which is a version of its own.
    Marker,
    /// Hides an object of the backing; no version.
    Gone,
}

#[derive(Debug)]
struct Version {
    id: String,
    modified: Timestamp,
    state: VersionState,
}

/// Keys and their versions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) versioning: Versioning,
    keys: BTreeMap<String, Vec<Version>>,
    serial: u64,
}

impl Kept {
    pub(super) fn holds(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// `None` when nothing is known of the key here.
    pub(super) fn current(&self, key: &str) -> Option<Found> {
        Some(self.found(self.keys.get(key)?.last()?))
    }

    pub(super) fn version(&self, key: &str, id: &str) -> Found {
        let versions = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        versions.iter().find(|version| version.id == id).map_or(Found::Nothing, |version| self.found(version))
    }

    fn found(&self, version: &Version) -> Found {
        let id = || (self.versioning != Versioning::Off).then(|| version.id.clone());
        match &version.state {
            VersionState::Object(object) => Found::Object(object.clone(), id()),
            VersionState::Marker => Found::Marker(version.id.clone()),
            VersionState::Gone => Found::Nothing,
        }
    }

    pub(super) fn write(&mut self, key: &str, object: Object) -> Option<String> {
        let modified = object.modified;
        let id = self.push(key, modified, VersionState::Object(Arc::new(object)));
        (self.versioning != Versioning::Off).then_some(id)
    }

    /// Replaces a version in place; false when it is not kept here.
    pub(super) fn amend(&mut self, key: &str, id: Option<&str>, object: &Object) -> bool {
        let Some(versions) = self.keys.get_mut(key) else { return false };
        let version = match id {
            Some(id) => versions.iter_mut().find(|version| version.id == id),
            None => versions.last_mut(),
        };
        let Some(version) = version else { return false };
        version.state = VersionState::Object(Arc::new(object.clone()));
        true
    }

    /// Forgets all that is known of a key.
    pub(super) fn forget(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// Forgets a key, and hides the backing's object of that name when there is one.
    pub(super) fn hide(&mut self, key: &str, is_backed: bool, now: Timestamp) {
        self.keys.remove(key);
        if is_backed {
            self.push(key, now, VersionState::Gone);
        }
    }

    pub(super) fn delete(&mut self, key: &str, now: Timestamp) -> Deleted {
        if self.versioning == Versioning::Off {
            self.keys.remove(key);
            return Deleted::default();
        }
        let id = self.push(key, now, VersionState::Marker);
        Deleted { version: Some(id), is_marker: true }
    }

    pub(super) fn delete_version(&mut self, key: &str, id: &str) -> Deleted {
        let mut deleted = Deleted { version: Some(id.to_owned()), is_marker: false };
        if let Some(versions) = self.keys.get_mut(key) {
            if let Some(at) = versions.iter().position(|version| version.id == id) {
                deleted.is_marker = matches!(versions.remove(at).state, VersionState::Marker);
            }
            if versions.is_empty() {
                self.keys.remove(key);
            }
        }
        deleted
    }

    fn push(&mut self, key: &str, modified: Timestamp, state: VersionState) -> String {
        let id = match self.versioning {
            Versioning::Enabled => self.next_id(),
            Versioning::Off | Versioning::Suspended => "null".to_owned(),
        };
        let versions = self.keys.entry(key.to_owned()).or_default();
        if id == "null" {
            versions.retain(|version| version.id != "null");
        }
        versions.push(Version { id: id.clone(), modified, state });
        id
    }

    /// Opaque, as real ids are; nothing in them tells their order.
    fn next_id(&mut self) -> String {
        self.serial += 1;
        let mut state = self.serial;
        format!("CAEQ{:016x}{:016x}", splitmix(&mut state), splitmix(&mut state))
    }

    pub(super) fn walk_versions(&self, least: &str, mut visit: impl FnMut(&str, ListedVersion) -> bool) {
        for (key, versions) in self.keys.range::<str, _>((Bound::Included(least), Bound::Unbounded)) {
            for (age, version) in versions.iter().rev().enumerate() {
                let object = match &version.state {
                    VersionState::Object(object) => Some(object.clone()),
                    VersionState::Marker => None,
                    VersionState::Gone => continue,
                };
                let (id, modified) = (version.id.clone(), version.modified);
                if !visit(key, ListedVersion { id, is_latest: age == 0, modified, object }) {
                    return;
                }
            }
        }
    }
}

/// Walks what is kept in memory.
pub(super) struct KeptCursor<'a> {
    kept: &'a Kept,
    rest: Range<'a, String, Vec<Version>>,
    at: Option<(&'a String, &'a Vec<Version>)>,
}

impl<'a> KeptCursor<'a> {
    pub(super) fn new(kept: &'a Kept) -> Self {
        let mut rest = kept.keys.range::<String, _>(..);
        let at = rest.next();
        KeptCursor { kept, rest, at }
    }
}

impl Cursor for KeptCursor<'_> {
    fn seek(&mut self, least: &str) {
        self.rest = self.kept.keys.range::<str, _>((Bound::Included(least), Bound::Unbounded));
        self.at = self.rest.next();
    }

    fn key(&self) -> Option<&str> {
        self.at.map(|(key, _)| key.as_str())
    }

    fn object(&self) -> Option<Arc<Object>> {
        match &self.at?.1.last()?.state {
            VersionState::Object(object) => Some(object.clone()),
            VersionState::Marker | VersionState::Gone => None,
        }
    }

    fn advance(&mut self) {
        self.at = self.rest.next();
    }
}
