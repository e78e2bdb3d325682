//! A bucket: what is kept in memory, laid over what a directory or a generator holds.
//!
//! Lock order: `kept` before the directory's own; no lock is held across an await.
//!
//! | file | what it owns |
//! |---|---|
//! | `directory` | a bucket that is a directory |
//! | `history` | versions, those in memory over those beneath |
//! | `on_demand` | the objects of a generated bucket, made as they are asked for |
//! | `memory` | what a bucket keeps in memory |
//! | `uploads` | multipart uploads under way |

mod directory;
mod history;
mod memory;
mod on_demand;
mod uploads;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::generator::Generator;
use super::object::{Facts, Object};
use crate::base::Timestamp;
use crate::files::Beneath;
use directory::Directory;
pub(super) use history::{VersionStart, Walk};
pub(super) use memory::{Deleted, Found, ListedVersion, Versioning};
use memory::{Kept, KeptCursor};
use on_demand::Generated;
pub(super) use uploads::{CompletedUpload, Part, Upload, Uploads};

/// The id of a version that was written without versions.
const NULL: &str = "null";

/// A bucket and everything in it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) created: Timestamp,
    backing: Backing,
    kept: RwLock<Kept>,
    pub(super) uploads: Mutex<Uploads>,
}

#[derive(Debug)]
enum Backing {
    Memory,
    Directory(Directory),
    Generated(Generated),
}

/// What must hold of the key's current object for a write to go through.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct WriteCondition {
    /// There must be none.
    pub(super) absent: bool,
    /// It must have this tag (without quotes).
    pub(super) etag: Option<String>,
}

/// Why a write did not go through.
#[derive(Debug)]
pub(super) enum WriteError {
    Exists,
    OtherEtag,
    Io(io::Error),
}

/// Walks the current objects of a bucket in the byte order of their keys.
pub(super) trait Cursor {
    /// Goes to the first key that is not below this one.
    fn seek(&mut self, least: &str);
    /// The key it stands at; `None` past the last.
    fn key(&self) -> Option<&str>;
    /// The object it stands at; `None` where a key is hidden.
    fn object(&self) -> Option<Arc<Object>>;
    /// What listings tell of that object: a walk over millions should not have to make them.
    fn facts(&self) -> Option<Facts> {
        self.object().map(|object| object.facts())
    }
    /// Goes to the next key.
    fn advance(&mut self);
}

impl Bucket {
    pub(super) fn in_memory(name: &str, created: Timestamp) -> Self {
        Bucket::with(name, created, Backing::Memory)
    }

    pub(super) fn in_directory(name: &str, created: Timestamp, root: Beneath, staging: PathBuf) -> Self {
        Bucket::with(name, created, Backing::Directory(Directory::new(root, staging)))
    }

    pub(super) fn generated(name: &str, created: Timestamp, generator: Generator) -> Self {
        let keeps_versions = generator.history.is_some();
        let bucket = Bucket::with(name, created, Backing::Generated(Generated::new(generator)));
        if keeps_versions {
            bucket.set_versioning(Versioning::Enabled);
        }
        bucket
    }

    fn with(name: &str, created: Timestamp, backing: Backing) -> Self {
        Bucket { name: name.to_owned(), created, backing, kept: RwLock::default(), uploads: Mutex::default() }
    }

    /// Where uploads are staged on disk, for buckets that are directories.
    pub(super) fn staging(&self) -> io::Result<Option<&Path>> {
        match &self.backing {
            Backing::Directory(directory) => directory.staging().map(Some),
            _ => Ok(None),
        }
    }

    /// Whether objects are files.
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.backing, Backing::Directory(_))
    }

    /// Whether the bucket's directory, if it has one, is still there.
    pub(super) fn is_alive(&self) -> bool {
        match &self.backing {
            Backing::Directory(directory) => directory.exists(),
            _ => true,
        }
    }

    pub(super) fn versioning(&self) -> Versioning {
        self.kept.read().versioning
    }

    /// Switches the keeping of versions.
    pub(super) fn set_versioning(&self, versioning: Versioning) {
        self.kept.write().versioning = versioning;
    }

    /// The current object of a key.
    pub(super) fn current(&self, key: &str) -> io::Result<Found> {
        let kept = self.kept.read();
        if let Some(found) = kept.current(key) {
            return Ok(found);
        }
        let versioning = kept.versioning;
        drop(kept);
        self.backing.newest(key, versioning)
    }

    /// Writes an object and gives back its version id, if the bucket keeps versions.
    pub(super) fn write(
        &self,
        key: &str,
        object: Object,
        condition: &WriteCondition,
    ) -> Result<Option<String>, WriteError> {
        let mut kept = self.kept.write();
        if *condition != WriteCondition::default() {
            let found = match kept.current(key) {
                Some(found) => found,
                None => self.backing.newest(key, kept.versioning).map_err(WriteError::Io)?,
            };
            let found = found.object();
            condition.check(found.as_deref())?;
        }
        match &self.backing {
            Backing::Directory(directory) if kept.versioning == Versioning::Off => {
                match directory.write(key, &object).map_err(WriteError::Io)? {
                    directory::Written::InFile => {
                        kept.forget(key);
                        Ok(None)
                    }
                    directory::Written::NoSuchPath => Ok(kept.write(key, object)),
                }
            }
            _ => Ok(kept.write(key, object)),
        }
    }

    /// Replaces the metadata of an existing version in place, as tagging and restoring do.
    pub(super) fn amend(&self, key: &str, version: Option<&str>, object: Object) {
        if self.versioning() != Versioning::Off && self.take_over(key).is_err() {
            // The file has vanished, and its metadata with it.
            return;
        }
        let mut kept = self.kept.write();
        if kept.amend(key, version, &object) {
            return;
        }
        match &self.backing {
            Backing::Directory(directory) => directory.amend(key, object),
            _ => {
                kept.write(key, object);
            }
        }
    }

    /// Deletes the current object, or hides it where versions are kept.
    pub(super) fn delete(&self, key: &str, now: Timestamp) -> io::Result<Deleted> {
        let mut kept = self.kept.write();
        match &self.backing {
            _ if kept.versioning != Versioning::Off => Ok(kept.delete(key, now)),
            Backing::Directory(directory) if !kept.holds(key) => {
                directory.delete(key)?;
                Ok(Deleted::default())
            }
            Backing::Generated(generated) => {
                kept.hide(key, generated.find(key).is_some(), now);
                Ok(Deleted::default())
            }
            _ => Ok(kept.delete(key, now)),
        }
    }

    /// Walks the current objects.
    pub(super) fn walk<T>(&self, visit: impl FnOnce(&mut dyn Cursor) -> T) -> T {
        let kept = self.kept.read();
        let mut over = KeptCursor::new(&kept);
        match &self.backing {
            Backing::Memory => visit(&mut over),
            Backing::Directory(directory) => visit(&mut Merged { over, under: directory.cursor() }),
            Backing::Generated(generated) => visit(&mut Merged { over, under: generated.cursor() }),
        }
    }

    /// Whether no object is left in the bucket, versions and markers included.
    pub(super) fn holds_no_object(&self) -> bool {
        let mut empty = true;
        self.walk_versions(VersionStart { least: "", behind: None }, |_, _| {
            empty = false;
            Walk::Over
        });
        empty
    }

    /// Whether no upload in parts is under way.
    pub(super) fn holds_no_upload(&self) -> bool {
        self.uploads.lock().is_empty()
    }
}

impl WriteCondition {
    fn check(&self, found: Option<&Object>) -> Result<(), WriteError> {
        if self.absent && found.is_some() {
            return Err(WriteError::Exists);
        }
        match (&self.etag, found) {
            (Some(wanted), Some(object)) if object.etag.eq_ignore_ascii_case(wanted) => Ok(()),
            (Some(_), _) => Err(WriteError::OtherEtag),
            (None, _) => Ok(()),
        }
    }
}

/// Two walks as one; where both stand at a key, the upper one counts.
struct Merged<O, U> {
    over: O,
    under: U,
}

impl<O: Cursor, U: Cursor> Merged<O, U> {
    fn is_over(&self) -> bool {
        match (self.over.key(), self.under.key()) {
            (Some(over), Some(under)) => over <= under,
            (over, _) => over.is_some(),
        }
    }
}

impl<O: Cursor, U: Cursor> Cursor for Merged<O, U> {
    fn seek(&mut self, least: &str) {
        self.over.seek(least);
        self.under.seek(least);
    }

    fn key(&self) -> Option<&str> {
        if self.is_over() { self.over.key() } else { self.under.key() }
    }

    fn object(&self) -> Option<Arc<Object>> {
        if self.is_over() { self.over.object() } else { self.under.object() }
    }

    fn facts(&self) -> Option<Facts> {
        if self.is_over() { self.over.facts() } else { self.under.facts() }
    }

    fn advance(&mut self) {
        if !self.is_over() {
            return self.under.advance();
        }
        if self.over.key() == self.under.key() {
            self.under.advance();
        }
        self.over.advance();
    }
}
