//! Requests and answers of the [`Store`](super::Store) trait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Body;
use crate::base::{ByteRange, ETag, Key, Timestamp};

/// A header or query parameter: name and value.
pub type Pair = (String, String);

/// Which bytes of which version of which object.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// The key of the object.
    pub key: Key,
    /// A version of it; `None` means the current one.
    pub version: Option<String>,
    /// The bytes wanted; `None` means all. An end past the object is clipped; an empty range must not be asked for.
    pub range: Option<ByteRange>,
    /// Fail with `Changed` unless the object still carries this tag.
    pub if_match: Option<ETag>,
    /// What is known of the version asked for. It decides where an answer does not tell enough; an answer that tells
    /// something else is no error for that.
    pub expected: Option<Expected>,
    /// Who goes first when requests wait for a place.
    pub priority: Priority,
    /// Where the bytes may come from.
    pub traffic: Traffic,
    /// For how long these bytes have failed to come already to a program that waits for them: a request that follows
    /// a failed one has what is left of that one's time. Never part of what is sent.
    pub failing_for: Duration,
}

/// What is known of a version of an object before it is asked for, from a listing or an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Size of the whole object in bytes.
    pub size: u64,
    /// When it was last modified, in whole seconds.
    pub last_modified: Option<Timestamp>,
}

/// Who goes first when more requests are wanted than may be in flight. Never part of what is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Priority {
    /// A program waits for these bytes now.
    #[default]
    Demand,
    /// Bytes that will probably be wanted.
    Background,
}

/// Where the bytes of a GET may come from. Never part of what is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Traffic {
    /// A few bytes that a program waits for: from the bucket, whose answer is the shortest way.
    #[default]
    Exact,
    /// Many bytes of a version that is pinned: from a near cache, where there is one.
    Bulk,
    /// Bytes of an object of which wrong ones have come: from the bucket alone.
    Doubted,
    /// One byte, for which a near cache fetches a slice of so many.
    Warming {
        /// The length of that slice.
        slice_bytes: u64,
    },
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Priority; 2] = [Priority::Demand, Priority::Background];
}

impl GetRequest {
    /// The whole current object, wanted now.
    pub fn new(key: Key) -> Self {
        GetRequest {
            key,
            version: None,
            range: None,
            if_match: None,
            expected: None,
            priority: Priority::Demand,
            traffic: Traffic::Exact,
            failing_for: Duration::ZERO,
        }
    }

    /// The same request for these bytes only.
    pub fn range(mut self, range: ByteRange) -> Self {
        self.range = Some(range);
        self
    }

    /// Only while the object carries this tag.
    pub fn if_match(mut self, etag: Option<ETag>) -> Self {
        self.if_match = etag;
        self
    }

    /// Where this is known of the version.
    pub fn expected(mut self, expected: Option<Expected>) -> Self {
        self.expected = expected;
        self
    }

    /// The same request with another urgency.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The same request, whose bytes may come from there.
    pub fn traffic(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }
}

/// The answer to a [`GetRequest`].
pub struct GetResponse {
    /// The object's facts, as far as the answer tells them. `size` is that of the whole object.
    pub meta: ObjectMeta,
    /// The bytes that the body holds: the range asked for, clipped to the object. Below the layers it may be more of
    /// the object, from a server that ignores the Range header.
    pub range: ByteRange,
    /// The bytes, as they arrive.
    pub body: Body,
}

impl fmt::Debug for GetResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetResponse").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}

/// Which object to look at.
#[derive(Clone, Debug)]
pub struct HeadRequest {
    /// The key of the object.
    pub key: Key,
    /// A version of it; `None` means the current one.
    pub version: Option<String>,
}

impl HeadRequest {
    /// The current version of an object.
    pub fn new(key: Key) -> Self {
        HeadRequest { key, version: None }
    }
}

/// The facts of one object.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ObjectMeta {
    /// Size of the whole object in bytes. For a symlink object the size of its target.
    pub size: u64,
    /// Absent on servers that send none.
    pub etag: Option<ETag>,
    /// The time of the last change, in whole seconds.
    pub last_modified: Option<Timestamp>,
    /// CRC-64/XZ of the whole object, which OSS keeps for nearly all objects and S3 for none.
    pub crc64: Option<u64>,
    /// The version of the object, on versioned buckets.
    pub version: Option<String>,
    /// Normal, multipart, appendable or symlink.
    pub kind: ObjectKind,
    /// Where it is kept.
    pub storage_class: Option<StorageClass>,
    /// The MIME type of the object.
    pub content_type: Option<String>,
    /// Cache-Control, Content-Disposition, Content-Encoding, Content-Language and Expires, those that are there:
    /// lower-case names, and values.
    pub headers: Vec<(String, String)>,
    /// User metadata: lower-case names without the `x-oss-meta-` or `x-amz-meta-` prefix, in the order received.
    pub user: Vec<(String, String)>,
    /// How many tags it carries, where the server tells.
    pub tag_count: Option<u32>,
    /// How the server encrypts it, in the server's word, such as `AES256` or `KMS`.
    pub encryption: Option<String>,
    /// The raw `x-oss-restore` or `x-amz-restore` value of an archived object that was, or is being, restored.
    pub restore: Option<String>,
}

/// OSS tells how an object came to be; a symlink is an object that names another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ObjectKind {
    /// Put in one piece, or of a kind that the server does not tell.
    #[default]
    Normal,
    /// An object that was put in parts.
    Multipart,
    /// An object that grows by appending.
    Appendable,
    /// Names another object of the same bucket.
    Symlink,
}

/// A storage class in the server's own word, such as `Standard`, `IA`, `Archive`, `GLACIER`. Clones share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageClass(pub Arc<str>);

impl StorageClass {
    /// Whether objects of this class must be restored before they can be read.
    pub fn is_archive(&self) -> bool {
        ["Archive", "ColdArchive", "DeepColdArchive", "GLACIER", "DEEP_ARCHIVE"].contains(&&*self.0)
    }
}

/// Which page of which listing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ListRequest {
    /// Only keys that start with this, raw.
    pub prefix: String,
    /// Collapse keys that share the prefix up to the next delimiter. Nearly always `/` or absent.
    pub delimiter: Option<String>,
    /// Only keys after this one (exclusive), raw. Servers disagree where it lies inside a common prefix: with a
    /// delimiter use `continuation` alone.
    pub start_after: Option<String>,
    /// From [`ListPage::next`], opaque; takes over from `start_after`.
    pub continuation: Option<String>,
    /// At most this many entries, 1 to 1000; 0 means 1000.
    pub max_keys: u32,
}

/// One page of a listing, in byte order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ListPage {
    /// The objects of the page.
    pub entries: Vec<ListEntry>,
    /// Common prefixes, raw, each ending in the delimiter.
    pub prefixes: Vec<String>,
    /// How to ask for the next page; `None` on the last one.
    pub next: Option<String>,
    /// Keys left out because they are not UTF-8.
    pub undecodable: u64,
    /// Entries that the server sent and that are none here, as versions of another time are.
    pub passed_over: u64,
    /// Everything before this key is settled, whether or not the page shows a name there. `None` where the names alone
    /// tell how far the page has come.
    pub reached: Option<String>,
}

/// One object of a listing.
#[derive(Clone, PartialEq, Debug)]
pub struct ListEntry {
    /// The raw key of the object.
    pub key: String,
    /// In bytes. For a symlink object the length of its target's name.
    pub size: u64,
    /// Absent on servers that list none.
    pub etag: Option<ETag>,
    /// Absent on servers that list none.
    pub last_modified: Option<Timestamp>,
    /// Normal, multipart, appendable or symlink.
    pub kind: ObjectKind,
    /// Where it is kept.
    pub storage_class: Option<StorageClass>,
    /// Which version this is, in a listing that shows one version of each key as it stood at a time; `None` in listings
    /// of current objects.
    pub version: Option<String>,
}

/// The id of a version that was written while no versions were kept.
pub const NULL_VERSION: &str = "null";

/// Which page of which listing of versions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionsRequest {
    /// Only keys that start with this, raw.
    pub prefix: String,
    /// Collapse keys that share the prefix up to the next delimiter.
    pub delimiter: Option<String>,
    /// Where the page begins; `None` is the beginning.
    pub after: Option<VersionPlace>,
    /// At most this many versions, delete markers and common prefixes, 1 to 999; 0 means 999.
    pub max_keys: u32,
}

/// A place in a listing of versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionPlace {
    /// The key that was shown last, or the common prefix.
    pub key: String,
    /// The version of it that was shown last; `None` stands behind all of its versions.
    pub version: Option<String>,
}

/// One page of a listing of versions.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct VersionPage {
    /// Versions and delete markers, in the order of the server.
    pub entries: Vec<VersionEntry>,
    /// Common prefixes, raw, each ending in the delimiter.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<VersionPlace>,
    /// Entries left out because their keys are not UTF-8.
    pub undecodable: u64,
    /// The server's clock when it answered, where it tells.
    pub served_at: Option<Timestamp>,
}

/// One version of an object, or one delete marker.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionEntry {
    /// Key, version id, time, and for a version all else that listings tell. Of a delete marker the size is 0.
    pub entry: ListEntry,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether the object was deleted then.
    pub is_delete_marker: bool,
}

impl VersionEntry {
    /// The id of the version; `null` where the server told none.
    pub fn version(&self) -> &str {
        self.entry.version.as_deref().unwrap_or(NULL_VERSION)
    }
}

/// One bucket of an account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BucketEntry {
    /// The name of the bucket.
    pub name: String,
    /// The plain id of its region; absent on servers that tell none.
    pub region: Option<String>,
    /// When it was made, in whole seconds.
    pub created: Option<Timestamp>,
}
