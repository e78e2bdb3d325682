//! The conductor: what the kernel asks, answered from the tree, the listing and the reader.
//!
//! Every operation is an `async fn` that is ready on its first poll when no request to the store is needed, so that
//! `fuse` can answer it on the thread that received it; otherwise it waits without holding a thread.

mod errno;
mod notifier;
mod options;
mod types;

use std::sync::Arc;

pub use errno::Errno;
pub use notifier::Notifier;
pub use options::{DIRECT_IO_BYTES, DirectIo, KeepPageCache, OddKeys, Options, Symlinks, Ttl};
pub use types::{Attr, DirEntry, DirHandle, Entry, Facts, FileHandle, FileKind, Opened, PageCache, Statfs, XattrReply};

use crate::base::{Clock, Ino};
use crate::metrics::Metrics;
use crate::read;
use crate::store::Store;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Errno>;

/// One mounted file system.
#[derive(Debug)]
pub struct Fs {}

#[expect(clippy::unused_async, missing_docs)]
impl Fs {
    /// A file system over a store. Must be called within a tokio runtime; its operations may be polled anywhere, but
    /// what they start runs on that runtime.
    pub fn new(
        _store: Arc<dyn Store>,
        _reader: Arc<read::Reader>,
        _options: Options,
        _metrics: Arc<Metrics>,
        _clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Fs {})
    }
    /// Sets who tells the kernel of changes; `None` ends it, as a daemon that is about to unmount must.
    pub fn set_notifier(&self, _notifier: Option<Arc<dyn Notifier>>) {}
    /// `Found` takes one reference of the kernel's look-up count; [`Fs::forget`] gives it back.
    pub async fn lookup(self: Arc<Self>, _parent: Ino, _name: Vec<u8>) -> Result<Entry> {
        Err(Errno::ENOSYS)
    }
    /// The kernel drops `count` references of its look-up count for `ino`.
    pub fn forget(&self, _ino: Ino, _count: u64) {}
    pub async fn getattr(self: Arc<Self>, _ino: Ino) -> Result<Attr> {
        Err(Errno::ENOSYS)
    }
    pub async fn readlink(self: Arc<Self>, _ino: Ino) -> Result<Vec<u8>> {
        Err(Errno::ENOSYS)
    }
    /// `flags` are those of open(2); anything that writes is EROFS.
    pub async fn open(self: Arc<Self>, _ino: Ino, _flags: i32) -> Result<Opened> {
        Err(Errno::ENOSYS)
    }
    pub async fn read(self: Arc<Self>, _handle: FileHandle, _offset: u64, _len: usize) -> Result<read::Slice> {
        Err(Errno::ENOSYS)
    }
    pub fn release(&self, _handle: FileHandle) {}
    pub async fn opendir(self: Arc<Self>, _ino: Ino) -> Result<DirHandle> {
        Err(Errno::ENOSYS)
    }
    /// Entries from `offset` on (0 is `.`, 1 is `..`); waits until at least one is known or the directory has ended.
    /// At most `max` entries; an empty answer means the end. Offsets stay valid for the life of the handle. With
    /// `plus` the kernel counts a reference for every entry but `.` and `..` that is passed on to it: call
    /// [`Fs::remember`] for each that was.
    pub async fn readdir(self: Arc<Self>, _handle: DirHandle, _offset: u64, _max: usize) -> Result<Vec<DirEntry>> {
        Err(Errno::ENOSYS)
    }
    /// The kernel took a reference to an entry of a `readdirplus` answer.
    pub fn remember(&self, _ino: Ino) {}
    pub fn releasedir(&self, _handle: DirHandle) {}
    pub fn statfs(&self) -> Statfs {
        Statfs::default()
    }
    /// `size` 0 asks for the length only.
    pub async fn getxattr(self: Arc<Self>, _ino: Ino, _name: Vec<u8>, _size: u32) -> Result<XattrReply> {
        Err(Errno::ENOSYS)
    }
    pub async fn listxattr(self: Arc<Self>, _ino: Ino, _size: u32) -> Result<XattrReply> {
        Err(Errno::ENOSYS)
    }
    /// SEEK_DATA and SEEK_HOLE (objects have no holes but the one at their end).
    pub async fn lseek(self: Arc<Self>, _handle: FileHandle, _offset: i64, _whence: i32) -> Result<i64> {
        Err(Errno::ENOSYS)
    }
}
