//! The types of the tree's interface: options, facts about objects, views of entries, changes.

use std::time::Duration;

use super::escape::{Odd, OddKeys};
use crate::base::{BucketName, ETag, Ino, Timestamp};

/// How a tree behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bucket; part of every inode number.
    pub bucket: BucketName,
    /// The key prefix of the root: empty, or ending in `/`.
    pub prefix: String,
    /// How keys that cannot be file names are shown.
    pub odd_keys: OddKeys,
    /// How long a listing is believed in what it shows; `None` means for ever.
    pub fresh_for: Option<Duration>,
    /// How long it is believed in what it does not show; `None` means for ever.
    pub absent_for: Option<Duration>,
    /// How long a name is believed to be missing that was asked for alone, or that was looked up before;
    /// `None` means for ever.
    pub missing_for: Option<Duration>,
    /// The time of entries whose own is unknown.
    pub default_time: Timestamp,
    /// Which version of an object a name stands for.
    pub view: Standpoint,
}

/// Which version of an object a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standpoint {
    /// The current one, which may be another one later.
    #[default]
    Now,
    /// The one that stood at some time, by its version id.
    Past,
}

/// How an object came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Kind {
    /// Put in one piece, or of a kind that the server does not tell.
    #[default]
    Normal = 0,
    /// An object that was put in parts.
    Multipart = 1,
    /// An object that grows by appending.
    Appendable = 2,
    /// An object that names another one.
    Symlink = 3,
}

/// What the store tells of an object.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Facts<'a> {
    /// Size in bytes. Of a symlink object that was listed: the length of its target's name.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: Option<&'a str>,
    /// When it was last modified.
    pub mtime: Option<Timestamp>,
    /// How it came to be.
    pub kind: Kind,
    /// Storage class, in the server's word.
    pub class: Option<&'a str>,
    /// The id of the version, where it was listed as one of several.
    pub version: Option<&'a str>,
}

/// An entry as the kernel sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct View {
    /// The inode number of the entry.
    pub ino: Ino,
    /// Directory, file or link.
    pub shape: Shape,
    /// Bytes; 0 for directories.
    pub size: u64,
    /// The time of the last modification.
    pub mtime: Timestamp,
    /// How long this may be believed from now on; `None` means for ever.
    pub fresh_for: Option<Duration>,
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// The entry is a directory.
    Directory,
    /// An object, or a symlink object shown with its target's bytes.
    File,
    /// A symlink object shown as a link.
    Link,
    /// A symlink object whose target was not looked at, or too long ago.
    Unresolved,
}

/// An object of the tree, with all that is known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// The raw key of the object.
    pub key: String,
    /// The version asked for by name, or that stood at the time of the mount's view.
    pub version: Option<String>,
    /// The tag of the bytes: that of the target for a symlink object shown as a file.
    pub etag: Option<ETag>,
    /// Size of the bytes.
    pub size: u64,
    /// When it was last modified, if known.
    pub mtime: Option<Timestamp>,
    /// How it came to be.
    pub kind: Kind,
    /// Storage class, in the server's word.
    pub class: Option<Box<str>>,
    /// It was seen to have changed since.
    pub stale: bool,
}

/// What applying an answer of the store did.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// Keys that have no name, each reported once.
    pub odd: Vec<OddKey>,
    /// What the kernel should forget.
    pub outdated: Vec<Outdated>,
}

/// A key that has no name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OddKey {
    /// The key, or the prefix of a directory.
    pub key: String,
    /// Why it has no name.
    pub odd: Odd,
}

/// Something that the kernel remembers wrongly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outdated {
    /// The name leads elsewhere, or nowhere.
    Entry {
        /// The directory of the name.
        parent: Ino,
        /// The name in it.
        name: Box<[u8]>,
    },
    /// Attributes have changed; the bytes have not.
    Attributes(Ino),
}

/// A list that handles read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SnapshotId(pub(super) u64);

/// Whether more entries will come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotState {
    /// The list grows as pages come.
    Growing,
    /// The list does not grow any more.
    Complete,
    /// No: the listing broke off.
    Broken,
    /// No: the directory has gone.
    Gone,
    /// It was made from listings that are not to be believed: [`Tree::catch_up`](super::Tree::catch_up) adds what they
    /// lack.
    Doubted,
}
