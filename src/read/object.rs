//! What an object is to the rest of the program: the version that a file is opened for, and what is held of it.

use crate::base::{ByteRange, ETag, Ino, Key, Timestamp};

/// Shorter reads, in bytes, are never taken for what the kernel reads around a page fault: refusing them gains nothing.
pub(super) const LEAST_AROUND_BYTES: u64 = 256 << 10;

/// Who asks for bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// A program, past the page cache: it wants all that it asks for.
    Program,
    /// The kernel, for its page cache. It reads so many bytes ahead of programs, and around page faults.
    PageCache { read_ahead_bytes: u64 },
}

impl Asker {
    /// How much of what is asked for may be wanted by no program, in bytes.
    pub(super) fn read_ahead_bytes(self) -> u64 {
        match self {
            Asker::Program => 0,
            Asker::PageCache { read_ahead_bytes } => read_ahead_bytes,
        }
    }

    /// Whether this may be a read around a page fault: that is as long as the readahead, and shorter where some pages
    /// of it are in the page cache.
    pub(super) fn may_read_around(self, read: ByteRange) -> bool {
        (LEAST_AROUND_BYTES..=self.read_ahead_bytes()).contains(&read.len())
    }
}

/// One version of an object, as the tree knows it when a file is opened.
#[derive(Clone, Debug)]
pub struct Object {
    /// The inode number; it changes with the entity tag, so equal numbers mean equal bytes.
    pub ino: Ino,
    /// The key in its bucket.
    pub key: Key,
    /// A version asked for by name; `None` means the current one.
    pub version: Option<String>,
    /// Every GET is pinned to this tag; where the listing had none, to that of the first answer.
    pub etag: Option<ETag>,
    /// The size in bytes.
    pub size: u64,
    /// When it was last modified, where that is known. It tells versions apart where tags do not.
    pub mtime: Option<Timestamp>,
    /// Whether its storage class is one that must be restored before it can be read. Nothing is fetched of it before a
    /// read has brought bytes.
    pub archived: bool,
}

impl PartialEq for Object {
    /// The times are not compared: that of an object opened from a recorded load is unknown.
    fn eq(&self, other: &Self) -> bool {
        let Object { ino, key, version, etag, size, mtime: _, archived } = self;
        (ino, key, version, etag, size, archived)
            == (&other.ino, &other.key, &other.version, &other.etag, &other.size, &other.archived)
    }
}

/// What is held of one object.
#[derive(Clone, PartialEq, Debug)]
pub struct Held {
    /// The number of the inode.
    pub ino: Ino,
    /// The key in its bucket.
    pub key: String,
    /// The size of the object, in bytes.
    pub size: u64,
    /// Bytes of it that are in memory.
    pub held_bytes: u64,
    /// Bytes that programs have read of it since it was opened or bytes of it are held, each time counted.
    pub read_bytes: u64,
    /// Bytes that were received of it since then.
    pub fetched_bytes: u64,
    /// Of these, those that programs have read, each counted once.
    pub used_bytes: u64,
    /// How many handles are open.
    pub handles: usize,
    /// Readers that go through it, each at its own place.
    pub streams: usize,
    /// Whether it is pinned: kept until it is dropped.
    pub is_pinned: bool,
}
