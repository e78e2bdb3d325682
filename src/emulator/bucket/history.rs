//! Versions of a bucket: those kept in memory over those of a directory or a generator.
//!
//! While a bucket keeps versions, nothing of what it is laid over is changed: a write makes a version in memory, and a
//! file stays beneath as the version `null`, a generated object as the versions that are computed of it. Once one of
//! those is deleted or changed by its id, all of its key are taken over into memory.

use std::io;
use std::sync::Arc;

use super::memory::{Kept, ListedVersion, Shown};
use super::{Backing, Bucket, Cursor, Deleted, Found, NULL, Versioning};
use crate::base::Timestamp;
use crate::emulator::object::Object;

/// Where a walk over versions begins: at the first key that is not below this one, and of that key, if it is given,
/// behind this version.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct VersionStart<'a> {
    pub(in crate::emulator) least: &'a str,
    pub(in crate::emulator) behind: Option<&'a str>,
}

/// How a walk over versions goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::emulator) enum Walk {
    On,
    /// At the first key that is not below this one.
    To(String),
    Over,
}

impl Backing {
    /// The newest version of a key. Its id is told where the bucket keeps versions.
    pub(super) fn newest(&self, key: &str, versioning: Versioning) -> io::Result<Found> {
        let null = (versioning != Versioning::Off).then(|| NULL.to_owned());
        let found = |object: Option<Arc<Object>>, id| object.map_or(Found::Nothing, |object| Found::Object(object, id));
        Ok(match self {
            Backing::Memory => Found::Nothing,
            Backing::Directory(directory) => found(directory.find(key)?, null),
            Backing::Generated(generated) if generated.has_history() => generated.newest(key),
            Backing::Generated(generated) => found(generated.find(key), null),
        })
    }

    /// A version of a key.
    fn version(&self, key: &str, id: &str) -> io::Result<Found> {
        match self {
            Backing::Generated(generated) if generated.has_history() => Ok(generated.version(key, id)),
            _ if id == NULL => self.newest(key, Versioning::Off),
            _ => Ok(Found::Nothing),
        }
    }

    /// The versions of a key, the newest first and behind one if that is given, until `visit` says no. Whether it did
    /// not.
    fn versions(&self, key: &str, behind: Option<&str>, visit: &mut dyn FnMut(ListedVersion) -> Walk) -> Walk {
        match self {
            Backing::Generated(generated) if generated.has_history() => generated.versions(key, behind, visit),
            _ if behind.is_some() => Walk::On,
            // A file that vanished meanwhile is no version.
            _ => match self.newest(key, Versioning::Off) {
                Ok(Found::Object(object, _)) => visit(ListedVersion::only(&object)),
                _ => Walk::On,
            },
        }
    }
}

impl Bucket {
    /// A version of a key; `null` names the one written without versions.
    pub(in crate::emulator) fn version(&self, key: &str, id: &str) -> io::Result<Found> {
        let kept = self.kept.read();
        let found = kept.version(key, id);
        if !matches!(found, Found::Nothing) || kept.hides(key, id) {
            return Ok(found);
        }
        self.backing.version(key, id)
    }

    /// Deletes one version for good.
    pub(in crate::emulator) fn delete_version(&self, key: &str, id: &str, now: Timestamp) -> io::Result<Deleted> {
        if !matches!(self.backing, Backing::Memory) && self.versioning() == Versioning::Off {
            return if id == NULL { self.delete(key, now) } else { Ok(Deleted::default()) };
        }
        self.take_over(key)?;
        Ok(self.kept.write().delete_version(key, id))
    }

    /// Keeps all versions of a key in memory from now on.
    pub(super) fn take_over(&self, key: &str) -> io::Result<()> {
        let mut kept = self.kept.write();
        if matches!(self.backing, Backing::Memory) || kept.hides(key, "") {
            return Ok(());
        }
        let mut found: Vec<(String, Found)> = Vec::new();
        self.backing.versions(key, None, &mut |version| {
            found.push((version.id, Found::Nothing));
            Walk::On
        });
        for (id, place) in &mut found {
            *place = self.backing.version(key, id)?;
        }
        found.retain(|(id, _)| !kept.hides(key, id));
        kept.take_in(key, found.into_iter().rev());
        Ok(())
    }

    /// Every version from a place on, by key and the newest first, until `visit` says no.
    pub(in crate::emulator) fn walk_versions(
        &self,
        start: VersionStart<'_>,
        mut visit: impl FnMut(&str, ListedVersion) -> Walk,
    ) {
        let kept = self.kept.read();
        let visit: &mut dyn FnMut(&str, ListedVersion) -> Walk = &mut visit;
        match &self.backing {
            Backing::Memory => self.merged(&kept, &mut NoKeys, start, visit),
            Backing::Directory(directory) => self.merged(&kept, &mut directory.cursor(), start, visit),
            Backing::Generated(generated) => self.merged(&kept, &mut generated.cursor(), start, visit),
        }
    }

    fn merged(
        &self,
        kept: &Kept,
        under: &mut dyn Cursor,
        start: VersionStart<'_>,
        visit: &mut dyn FnMut(&str, ListedVersion) -> Walk,
    ) {
        under.seek(start.least);
        let (mut at, mut behind) = (start.least.to_owned(), start.behind);
        loop {
            let over = kept.key_from(&at);
            let key = match (over, under.key()) {
                (Some(over), Some(under)) => over.min(under).to_owned(),
                (Some(key), None) | (None, Some(key)) => key.to_owned(),
                (None, None) => return,
            };
            let is_backed = under.key() == Some(&key);
            if is_backed {
                under.advance();
            }
            let behind = behind.take().filter(|_| key == start.least);
            let shown = kept.shown(&key, behind);
            match self.walk_key(&key, &shown, is_backed.then_some(behind), visit) {
                Walk::On => at = crate::base::after(&key),
                Walk::To(least) => {
                    under.seek(&least);
                    at = least;
                }
                Walk::Over => return,
            }
        }
    }

    fn walk_key(
        &self,
        key: &str,
        shown: &Shown,
        backed: Option<Option<&str>>,
        visit: &mut dyn FnMut(&str, ListedVersion) -> Walk,
    ) -> Walk {
        let mut is_latest = shown.begins;
        let mut one =
            |version: ListedVersion| visit(key, ListedVersion { is_latest: std::mem::take(&mut is_latest), ..version });
        for version in &shown.versions {
            match one(version.clone()) {
                Walk::On => {}
                other => return other,
            }
        }
        let Some(behind) = backed.filter(|_| !shown.hides_all) else { return Walk::On };
        let behind = behind.filter(|_| !shown.passed_behind);
        self.backing.versions(key, behind, &mut |version| match version.id == NULL && shown.holds_null {
            true => Walk::On,
            false => one(version),
        })
    }
}

/// No keys at all.
struct NoKeys;

impl Cursor for NoKeys {
    fn seek(&mut self, _: &str) {}

    fn key(&self) -> Option<&str> {
        None
    }

    fn object(&self) -> Option<Arc<Object>> {
        None
    }

    fn advance(&mut self) {}
}
