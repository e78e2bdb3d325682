//! An open file, and how far it has been read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Tuning;
use super::habits::Watched;
use super::pages::Paging;
use crate::base::Ino;
use crate::read;

/// An open file: one version of an object, also after its name leads to another one.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) ino: Ino,
    /// Bytes of the object.
    pub(super) size: u64,
    pub(super) file: read::File,
    /// Of a big file: how it is read, where that is not known, and which way.
    pub(super) watched: Option<Watched>,
    pub(super) paging: Option<Paging>,
    /// The object was seen to have changed: this descriptor reads no more.
    pub(super) changed: AtomicBool,
    /// The kernel reads it by itself.
    pub(super) is_passed: AtomicBool,
    /// How much the kernel reads ahead of it at least, in bytes.
    pub(super) read_ahead_bytes: u64,
    /// Bytes that were asked for.
    asked_bytes: AtomicU64,
}

impl OpenFile {
    /// A file that an earlier daemon has opened. It is read as the kernel was told then.
    pub(super) fn again(ino: Ino, size: u64, file: read::File, is_passed: bool) -> Self {
        OpenFile { is_passed: AtomicBool::new(is_passed), ..OpenFile::new(ino, size, file, None, None) }
    }

    pub(super) fn new(ino: Ino, size: u64, file: read::File, watched: Option<Watched>, paging: Option<Paging>) -> Self {
        let (changed, is_passed, read_ahead_bytes, asked_bytes) = Default::default();
        OpenFile { ino, size, file, watched, paging, changed, is_passed, read_ahead_bytes, asked_bytes }
    }

    /// The same, of which the kernel reads so many bytes ahead at least.
    pub(super) fn read_ahead(self, read_ahead_bytes: u64) -> Self {
        OpenFile { read_ahead_bytes, ..self }
    }

    /// Takes in a read; true once, when by it the file has been read in earnest and the next one is near: any of a
    /// small file, an eighth of a larger one, three quarters of one that takes a while.
    pub(super) fn grows_earnest(&self, len: u64, tuning: &Tuning) -> bool {
        let near = self.size.saturating_sub(tuning.left_bytes).min(self.size / 4 * 3);
        let least = tuning.earnest_bytes;
        let enough = if self.size <= least { 1 } else { least.max(self.size / 8).max(near) };
        let before = self.asked_bytes.fetch_add(len, Ordering::Relaxed);
        before < enough && before + len >= enough
    }
}
