//! What an object is to the rest of the program: the version that a file is opened for, and what is held of it.

use crate::base::{ETag, Ino, Key, Timestamp};

/// One version of an object, as the tree knows it when a file is opened.
#[derive(Clone, Debug)]
pub struct Object {
    /// The inode number; it changes with the entity tag, so equal numbers mean equal bytes.
    pub ino: Ino,
    /// The key.
    pub key: Key,
    /// A version asked for by name; `None` means the current one.
    pub version: Option<String>,
    /// Every GET is pinned to this tag; where the listing had none, to that of the first answer.
    pub etag: Option<ETag>,
    /// Size in bytes.
    pub size: u64,
    /// When it was last modified, where that is known. It tells versions apart where tags do not.
    pub mtime: Option<Timestamp>,
    /// Whether its storage class is one that must be restored before it can be read. Nothing is fetched of it before a
    /// read has brought bytes.
    pub archived: bool,
}

impl PartialEq for Object {
    /// The time aside: who opens an object from a record of an earlier load does not know it.
    fn eq(&self, other: &Self) -> bool {
        let Object { ino, key, version, etag, size, mtime: _, archived } = self;
        (ino, key, version, etag, size, archived)
            == (&other.ino, &other.key, &other.version, &other.etag, &other.size, &other.archived)
    }
}

/// What is held of one object.
#[derive(Clone, PartialEq, Debug)]
pub struct Held {
    /// The inode number.
    pub ino: Ino,
    /// The key.
    pub key: String,
    /// Bytes of the object.
    pub size: u64,
    /// Bytes of it that are in memory.
    pub held_bytes: u64,
    /// Bytes that programs have read of it since it was opened or bytes of it are held, each time counted.
    pub read_bytes: u64,
    /// Open handles.
    pub handles: usize,
    /// Readers that go through it, each at its own place.
    pub streams: usize,
    /// Whether it is kept until it is let go.
    pub is_pinned: bool,
}
