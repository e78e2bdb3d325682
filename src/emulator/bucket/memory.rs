//! What a bucket keeps in memory: objects, their versions, and the marks of what was deleted.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::Arc;

use super::{Cursor, NULL};
use crate::base::Timestamp;
use crate::emulator::content::splitmix;
use crate::emulator::object::{Facts, Object};

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
    /// A delete marker, and when it was laid.
    Marker(String, Timestamp),
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
    pub(in crate::emulator) facts: Option<Facts>,
}

impl ListedVersion {
    /// The one version of an object that was written without versions.
    pub(super) fn only(object: &Object) -> Self {
        let facts = Some(object.facts());
        ListedVersion { id: NULL.to_owned(), is_latest: true, modified: object.modified, facts }
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
            VersionState::Marker => Found::Marker(version.id.clone(), version.modified),
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

    /// The first key that is not below this one.
    pub(super) fn key_from(&self, least: &str) -> Option<&str> {
        let (key, _) = self.keys.range::<str, _>((Bound::Included(least), Bound::Unbounded)).next()?;
        Some(key)
    }

    /// Whether a version of what lies beneath is not to be seen; of the id that none has, whether no version is.
    pub(super) fn hides(&self, key: &str, id: &str) -> bool {
        let versions = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        versions.iter().any(|version| matches!(version.state, VersionState::Gone) || version.id == id)
    }

    /// What is kept of a key, the newest version first, or behind one of them.
    pub(super) fn shown(&self, key: &str, behind: Option<&str>) -> Shown {
        let versions = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        let passed = behind.map(|id| versions.iter().rev().position(|version| version.id == id));
        // Behind a version that is not kept here, all that is kept here has been shown.
        let skipped = passed.map_or(0, |at| at.map_or(versions.len(), |at| at + 1));
        let listed = |version: &Version| {
            let facts = match &version.state {
                VersionState::Object(object) => Some(object.facts()),
                VersionState::Marker => None,
                VersionState::Gone => return None,
            };
            Some(ListedVersion { id: version.id.clone(), is_latest: false, modified: version.modified, facts })
        };
        Shown {
            versions: versions.iter().rev().skip(skipped).filter_map(listed).collect(),
            begins: behind.is_none(),
            passed_behind: passed.flatten().is_some(),
            hides_all: self.hides(key, ""),
            holds_null: self.hides(key, NULL),
        }
    }

    /// Takes in the versions of a key that lay beneath, the oldest first, and hides them there.
    pub(super) fn take_in(&mut self, key: &str, found: impl Iterator<Item = (String, Found)>) {
        let mut versions =
            vec![Version { id: String::new(), modified: Timestamp::default(), state: VersionState::Gone }];
        for (id, found) in found {
            let (modified, state) = match found {
                Found::Object(object, _) => (object.modified, VersionState::Object(object)),
                Found::Marker(_, modified) => (modified, VersionState::Marker),
                Found::Nothing => continue,
            };
            versions.push(Version { id, modified, state });
        }
        let kept = self.keys.entry(key.to_owned()).or_default();
        versions.append(kept);
        *kept = versions;
    }
}

/// What is kept of one key in memory.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) versions: Vec<ListedVersion>,
    /// Its first version is the newest of the key.
    pub(super) begins: bool,
    /// The version behind which it begins is one of those in memory.
    pub(super) passed_behind: bool,
    /// Nothing is to be seen of what lies beneath.
    pub(super) hides_all: bool,
    /// The version `null` is here.
    pub(super) holds_null: bool,
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
