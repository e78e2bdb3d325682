//! What a listing that stopped at the limit has left of a directory.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use crate::base::KeySpan;
use crate::store::{ListEntry, ObjectKind};
use crate::tree::{self, Kind, Remainder};

/// What a listing that came to the limit has left, once it did.
pub(super) type RemainderSlot = Arc<OnceLock<Arc<DirectoryRemainder>>>;

/// What is left of a directory for handles that have read, or will read, the other part from the tree.
#[derive(Debug)]
pub(super) struct DirectoryRemainder {
    /// In the order of the keys.
    pub(super) spans: Vec<KeySpan>,
    /// Files of the other part whose name a directory in these spans may still take.
    pub(super) undecided: Vec<ListEntry>,
    /// Components of directories that the other part has, and names of part directories.
    pub(super) directories: HashSet<Box<str>>,
    pub(super) parts: HashSet<Box<str>>,
    /// Hashes of names that are left out: those the reader has had.
    pub(super) had: HashSet<u64>,
}

impl DirectoryRemainder {
    pub(super) fn of(remainder: Remainder) -> Self {
        let Remainder { spans, undecided, directories, parts } = remainder;
        let undecided = undecided.into_iter().map(list_entry).collect();
        DirectoryRemainder { spans, undecided, directories, parts, had: HashSet::new() }
    }
}

/// What the tree knows of an object, as a listing tells it.
fn list_entry(object: tree::Object) -> ListEntry {
    let kind = match object.kind {
        Kind::Normal => ObjectKind::Normal,
        Kind::Multipart => ObjectKind::Multipart,
        Kind::Appendable => ObjectKind::Appendable,
        Kind::Symlink => ObjectKind::Symlink,
    };
    let tree::Object { key, size, etag, mtime, version, .. } = object;
    ListEntry { key, size, etag, last_modified: mtime, kind, storage_class: None, version }
}
