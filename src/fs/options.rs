//! The options of a mount for this room: what is mounted, TTLs, owner and modes.

use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Memory that the tree of names may take before it forgets what is not in use.
    pub metadata_bytes: u64,
    /// Bytes of memory that the process may count on; to be shown only. 0 where that is not known.
    pub allowed_bytes: u64,
    /// Of that, what is neither for names nor for read buffers; to be shown only.
    pub reserved_bytes: u64,
    /// How keys that cannot be file names are shown.
    pub odd_keys: OddKeys,
    /// What symlink objects look like.
    pub symlinks: Symlinks,
    /// The user who may control the mount, besides root: the one who mounted it.
    pub owner: u32,
    /// The owner of every entry.
    pub uid: u32,
    /// The group of every entry.
    pub gid: u32,
    /// Permission bits of files.
    pub file_mode: u16,
    /// Permission bits of directories.
    pub dir_mode: u16,
    /// The time of directories without a marker, and of objects whose time is unknown.
    pub mount_time: Timestamp,
    /// The time as of which the bucket is shown, where it is not now. The store shows it so; its listings tell which
    /// versions they show.
    pub as_of: Option<Timestamp>,
    /// Which files are read past the kernel's page cache.
    pub direct_io: DirectIo,
    /// Whether the kernel keeps a file's pages between two opens of the same version.
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
            allowed_bytes: 0,
            reserved_bytes: 0,
            odd_keys: OddKeys::Hide,
            symlinks: Symlinks::Off,
            owner: 0,
            uid: 0,
            gid: 0,
            file_mode: 0o444,
            dir_mode: 0o555,
            mount_time: Timestamp::default(),
            as_of: None,
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

/// [`Options::metadata_ttl`] as it is now: it may change while the file system lives.
#[derive(Debug)]
pub(super) struct LiveTtl(AtomicU64);

impl LiveTtl {
    const EACH_OPEN: u64 = 0;
    const INDEFINITE: u64 = u64::MAX;

    pub(super) fn new(ttl: Ttl) -> Self {
        LiveTtl(AtomicU64::new(LiveTtl::encode(ttl)))
    }

    pub(super) fn get(&self) -> Ttl {
        match self.0.load(Ordering::Relaxed) {
            LiveTtl::EACH_OPEN => Ttl::EachOpen,
            LiveTtl::INDEFINITE => Ttl::Indefinite,
            nanos => Ttl::For(Duration::from_nanos(nanos)),
        }
    }

    pub(super) fn set(&self, ttl: Ttl) {
        self.0.store(LiveTtl::encode(ttl), Ordering::Relaxed);
    }

    fn encode(ttl: Ttl) -> u64 {
        match ttl {
            Ttl::EachOpen => LiveTtl::EACH_OPEN,
            Ttl::Indefinite => LiveTtl::INDEFINITE,
            // 584 years are enough.
            Ttl::For(ttl) => u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX).clamp(1, LiveTtl::INDEFINITE - 1),
        }
    }
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
    /// Every file is read past the page cache.
    On,
    /// No file is read past the page cache.
    Off,
}

/// Files of at least this many bytes are read past the page cache under [`DirectIo::Auto`]. Filling the page cache
/// costs three times the CPU of a direct reply (0.37 against 0.12 s per GB), which pays only when the pages are read
/// again or the reads are small; both are the habit of small files (configurations, tokenizers, indexes). Of programs
/// that read big files in small pieces, or were not seen to read in large ones, they go through it as well.
pub const DIRECT_IO_BYTES: u64 = 16 << 20;

/// Whether the kernel keeps a file's pages between two opens of the same version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeepPageCache {
    /// Pages stay from open to open.
    #[default]
    On,
    /// They are dropped at each open.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_ttl_is_what_was_set() {
        let live = LiveTtl::new(Ttl::EachOpen);
        let longest = Duration::from_nanos(u64::MAX - 1);
        for (set, expected) in [
            (Ttl::EachOpen, Ttl::EachOpen),
            (Ttl::Indefinite, Ttl::Indefinite),
            (Ttl::For(Duration::from_secs(60)), Ttl::For(Duration::from_secs(60))),
            (Ttl::For(Duration::ZERO), Ttl::For(Duration::from_nanos(1))),
            (Ttl::For(Duration::MAX), Ttl::For(longest)),
        ] {
            live.set(set);
            assert_eq!(live.get(), expected);
        }
    }
}
