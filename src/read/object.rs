//! What an object is to the rest of the program: the version that a file is opened for, and what is held of it.

use crate::base::{ByteRange, ETag, Ino, Key, Timestamp};

/// Shorter reads, in bytes, are never taken for what the kernel reads around a page fault: refusing them gains nothing.
pub(super) const LEAST_AROUND_BYTES: u64 = 256 << 10;

/// Who asks for bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// A program, past the page cache: it wants all that it asks for.
    Program,
    /// The kernel, for its page cache.
    PageCache(Batch),
}

/// What the kernel asks for at once for its page cache, ahead of a program or around a page fault. A read may be a part
/// of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The most that a batch has, in bytes: how much the kernel reads ahead. 0 where that is not known, or where the
    /// kernel is not to be refused.
    pub most_bytes: u64,
    /// What was asked for in this batch so far, with the read in question.
    pub so_far: ByteRange,
    /// Whether more is likely to follow.
    pub goes_on: bool,
    /// How long those were that came before, in bytes; `None` where none is known.
    pub usual_bytes: Option<u64>,
}

impl Batch {
    /// A read that is a whole batch.
    pub fn whole(read: ByteRange, most_bytes: u64) -> Self {
        Batch { most_bytes, so_far: read, goes_on: false, usual_bytes: None }
    }

    /// Whether a read goes on with a batch that another one has begun.
    fn is_begun_before(&self, read: ByteRange) -> bool {
        self.so_far != read
    }

    /// How much is to be fetched with a read of it, in bytes: up to where such batches end, and where that is not known
    /// or passed, as much again as was asked for before.
    fn reach_bytes(&self, read: ByteRange) -> u64 {
        let end = match self.usual_bytes {
            Some(bytes) if self.goes_on && bytes > self.so_far.len() => self.so_far.start.saturating_add(bytes),
            _ => {
                let before_bytes = read.start.saturating_sub(self.so_far.start);
                read.end.saturating_add(before_bytes).min(self.so_far.start.saturating_add(self.most_bytes))
            }
        };
        end.max(read.end) - read.start
    }

    /// The batch that begins with a read, as long as it is likely to become.
    fn likely(&self, read: ByteRange) -> ByteRange {
        let likely_bytes = self.usual_bytes.unwrap_or(self.most_bytes);
        if self.goes_on { ByteRange::at(read.start, likely_bytes.max(read.len())) } else { read }
    }
}

impl Asker {
    /// How much of what is asked for may be wanted by no program, in bytes.
    pub(super) fn read_ahead_bytes(self) -> u64 {
        match self {
            Asker::Program => 0,
            Asker::PageCache(batch) => batch.most_bytes,
        }
    }

    /// How much is to be fetched with a read, in bytes, so that what is asked for with it is not fetched by itself.
    pub(super) fn reach_bytes(self, read: ByteRange) -> u64 {
        match self {
            Asker::PageCache(batch) => batch.reach_bytes(read),
            Asker::Program => read.len(),
        }
    }

    /// How much is asked for at once with a read, as far as can be told, in bytes.
    pub(super) fn at_once_bytes(self, read: ByteRange) -> u64 {
        match self {
            Asker::PageCache(batch) => batch.likely(batch.so_far).len(),
            Asker::Program => read.len(),
        }
    }

    /// What is asked for at once, as far as can be told when this read of it comes, and whether it is the first one.
    pub(super) fn portion(self, read: ByteRange) -> Portion {
        match self {
            Asker::PageCache(batch) if batch.is_begun_before(read) => Portion::Further(batch.so_far),
            Asker::PageCache(batch) => Portion::First(batch.likely(read)),
            Asker::Program => Portion::First(read),
        }
    }

    /// Whether this may be a read around a page fault: that is as long as the readahead, and shorter where some pages
    /// of it are in the page cache.
    pub(super) fn may_read_around(self, read: ByteRange) -> bool {
        (LEAST_AROUND_BYTES..=self.read_ahead_bytes()).contains(&read.len())
    }
}

/// What a read is of what is asked for at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Portion {
    /// The first of it, which will hardly be more than this.
    First(ByteRange),
    /// A further part, with which it has become this. It shows nothing of a program that was not seen before.
    Further(ByteRange),
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
