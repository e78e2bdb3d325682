//! How a mount behaves: what is mounted, how long things are believed, who owns the files.

use std::time::Duration;

use crate::base::{BucketName, Timestamp};
use crate::list;
pub use crate::tree::OddKeys;

/// The options of one mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bucket; part of every inode number.
    pub bucket: BucketName,
    /// What of the bucket is shown: empty, or a key prefix. A `/` is added where it does not end in one.
    pub prefix: String,
    /// How long names and attributes are believed.
    pub metadata_ttl: Ttl,
    /// How long a name is believed to be missing. With [`Ttl::Indefinite`] for ever.
    pub negative_ttl: Duration,
    /// How listings are made.
    pub list: list::Options,
    /// What is listed before it is asked for.
    pub listing: ListingMode,
    /// Memory that the tree of names may take before it forgets what nobody holds.
    pub metadata_bytes: u64,
    /// What becomes of keys that are no safe names.
    pub odd_keys: OddKeys,
    /// What symlink objects look like.
    pub symlinks: Symlinks,
    /// Who may control the mount, besides root: who mounted it.
    pub owner: u32,
    /// Owner of everything.
    pub uid: u32,
    /// Group of everything.
    pub gid: u32,
    /// Permission bits of files.
    pub file_mode: u16,
    /// Permission bits of directories.
    pub dir_mode: u16,
    /// The time of directories without a marker, and of objects whose time is unknown.
    pub mount_time: Timestamp,
    /// Which files are read past the kernel's page cache.
    pub direct_io: DirectIo,
    /// What becomes of a file's pages in the kernel between two opens of the same version.
    pub keep_page_cache: KeepPageCache,
}

impl Options {
    /// The defaults, for a bucket mounted whole: 60 s for what is there, 5 s for what is not, odd keys hidden,
    /// symlink objects shown as files, 256 MiB for names, everything readable by everybody and owned by root.
    pub fn new(bucket: BucketName) -> Self {
        Options {
            bucket,
            prefix: String::new(),
            metadata_ttl: Ttl::For(Duration::from_secs(60)),
            negative_ttl: Duration::from_secs(5),
            list: list::Options::default(),
            listing: ListingMode::Auto,
            metadata_bytes: 256 << 20,
            odd_keys: OddKeys::Hide,
            symlinks: Symlinks::Off,
            owner: 0,
            uid: 0,
            gid: 0,
            file_mode: 0o444,
            dir_mode: 0o555,
            mount_time: Timestamp::default(),
            direct_io: DirectIo::Auto,
            keep_page_cache: KeepPageCache::On,
        }
    }
}

/// How long names and attributes are believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// This long; an open within it costs no request.
    For(Duration),
    /// Every open asks the store whether the object is still the same; names are believed for at most a second, so
    /// that a walk does not list each directory once per file.
    EachOpen,
    /// For ever: the view is frozen as it was first seen.
    Indefinite,
}

/// What is listed before it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ListingMode {
    /// What lies ahead of a program that walks the tree.
    #[default]
    Auto,
    /// Nothing: a directory is listed when it is looked into.
    Lazy,
    /// Everything, from the start on.
    Eager,
}

/// What symlink objects look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Symlinks {
    /// Files with the target's bytes.
    #[default]
    Off,
    /// Links, where the target lies within the mount; files otherwise.
    On,
}

/// Which files are read past the kernel's page cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DirectIo {
    /// Those of at least [`DIRECT_IO_BYTES`], for programs that read in large pieces.
    #[default]
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

/// Files of at least this many bytes are read past the page cache under [`DirectIo::Auto`]. Filling the page cache
/// costs three times the CPU of a direct reply (0.37 against 0.12 s per GB), which pays only when the pages are read
/// again or the reads are small; both are the habit of small files (configurations, tokenizers, indexes). Of programs
/// that read big files in small pieces, or were not seen to read in large ones, they go through it as well.
pub const DIRECT_IO_BYTES: u64 = 16 << 20;

/// What becomes of a file's pages in the kernel between two opens of the same version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeepPageCache {
    /// They stay.
    #[default]
    On,
    /// They are dropped at each open.
    Off,
}
