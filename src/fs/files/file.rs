//! File handles: opening, reading, seeking.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::habits::{Opener, Watched};
use super::open_file::OpenFile;
use super::{Failure, Files, Pages, Tried, report, report_archived, report_of_version};
use crate::base::{Ino, Key};
use crate::fs::{Backing, DIRECT_IO_BYTES, DirectIo, FileHandle, KeepPageCache, Opened, PageCache, Ttl};
use crate::metrics::Metric;
use crate::read;
use crate::store::{Error, ErrorKind, StorageClass};
use crate::tree::{self, Renewed, Shape};

/// What the reader needs to know of an object.
pub(in crate::fs) fn to_read(ino: Ino, object: tree::Object) -> read::Object {
    let archived = object.class.as_deref().is_some_and(|class| StorageClass(class.into()).is_archive());
    let tree::Object { key, version, etag, size, mtime, .. } = object;
    read::Object { ino, key: Key::new(key), version, etag, size, mtime, archived }
}

impl Files {
    /// Does what [`crate::fs::Fs::open`] says.
    pub(in crate::fs) async fn open(self: Arc<Self>, ino: Ino, flags: i32, opener: impl Opener) -> Tried<Opened> {
        if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_TRUNC | libc::O_CREAT) != 0 {
            return Err(Failure::EROFS);
        }
        let view = self.names.view(ino).ok_or(Failure::ESTALE)?;
        match view.shape {
            Shape::Directory => return Err(Failure::EISDIR),
            // Its number becomes another one; ESTALE makes the kernel look the name up again, which resolves it.
            Shape::Unresolved if self.names.resolve(ino).await?.ino != ino => return Err(Failure::ESTALE),
            Shape::File | Shape::Link | Shape::Unresolved => {}
        }
        // A program that bypasses the caches wants the present state.
        let asks = self.names.ttl() == Ttl::EachOpen || flags & libc::O_DIRECT != 0;
        if asks && self.names.check(ino).await? == Renewed::Changed {
            return Err(Failure::ESTALE);
        }
        let object = self.names.object_to_open(ino)?;
        let size = object.size;
        let kept = self.lives.ledger().map(|ledger| (ledger, object.clone()));
        let file = self.reader.open(to_read(ino, object));
        let whole = file.whole();
        if whole.is_some() {
            // Its reads will not be seen.
            self.expect_successors(ino);
        }
        let handle = FileHandle(self.lives.next_handle());
        let watched = self.watch(ino, size, opener);
        let page_cache = self.page_cache(ino, watched.as_ref());
        let open = Arc::new(OpenFile::new(ino, size, file, watched));
        let backing = match whole {
            Some(whole) => Some(Backing::Memory(whole)),
            None if self.may_be_pages(size, flags, page_cache) => {
                Some(Backing::Pages(Pages::new(self.clone(), open.clone())))
            }
            None => None,
        };
        self.open.write().insert(handle, open);
        if let Some((ledger, object)) = kept {
            ledger.opened(handle.0, ino, object);
        }
        self.metrics.add(Metric::OpenFiles, 1);
        Ok(Opened { handle, page_cache, backing })
    }

    /// What the kernel does with its pages. Asked after the reader was: what was wrong by then is known here.
    fn page_cache(&self, ino: Ino, watched: Option<&Watched>) -> PageCache {
        let is_direct = self.options.direct_io == DirectIo::On || watched.is_some_and(Watched::is_direct);
        match (is_direct, self.options.keep_page_cache) {
            (true, _) if self.distrusted.has(ino) => PageCache::BypassAndDrop,
            (false, _) if self.distrusted.has(ino) => PageCache::Drop,
            (true, _) => PageCache::Bypass,
            // Bytes never change under an inode number, so that pages of earlier opens are right.
            (false, KeepPageCache::On) => PageCache::Keep,
            (false, KeepPageCache::Off) => PageCache::Drop,
        }
    }

    /// Whether the kernel may read a file through pages of another file system. Not where its pages are to be dropped
    /// at each open, which would take those of other readers; nor with O_DIRECT, which such files refuse.
    fn may_be_pages(&self, size: u64, flags: i32, page_cache: PageCache) -> bool {
        let is_kept = matches!(page_cache, PageCache::Keep | PageCache::Bypass);
        size >= self.least_pages_bytes.load(Ordering::Relaxed) && is_kept && flags & libc::O_DIRECT == 0
    }

    /// Where the way past the page cache is left to us: how a big file is read, and so which way it goes.
    fn watch(&self, ino: Ino, size: u64, opener: impl Opener) -> Option<Watched> {
        if self.options.direct_io != DirectIo::Auto || size < DIRECT_IO_BYTES {
            return None;
        }
        let program = opener.program();
        if self.habits.lock().shows_large(program.as_ref(), ino) {
            return Some(Watched::by_requests(program, self.tuning.clone()));
        }
        let calls = opener.calls();
        let is_cached = self.habits.lock().ask_for_cache(program.as_ref(), ino, calls.is_some());
        match calls {
            _ if !is_cached => Some(Watched::by_requests(program, self.tuning.clone())),
            Some(before) => Some(Watched::by_calls(program, Box::new(opener), before, self.tuning.clone())),
            None => None,
        }
    }

    /// Does what [`crate::fs::Fs::read`] says.
    pub(in crate::fs) async fn read(
        self: Arc<Self>,
        handle: FileHandle,
        offset: u64,
        len: usize,
    ) -> Tried<read::Slice> {
        let open = self.reading(handle, offset, len)?;
        open.file.read(offset, len).await.map_err(|error| self.failed(&open, &error))
    }

    /// Does what [`crate::fs::Fs::read_pages`] says.
    pub(in crate::fs) async fn read_pages(
        self: Arc<Self>,
        handle: FileHandle,
        offset: u64,
        len: usize,
        read_ahead_bytes: u64,
    ) -> Tried<Option<read::Slice>> {
        let open = self.reading(handle, offset, len)?;
        let read = open.file.read_pages(offset, len, read_ahead_bytes);
        read.await.map_err(|error| self.failed(&open, &error))
    }

    /// The file of a handle that is read from.
    fn reading(&self, handle: FileHandle, offset: u64, len: usize) -> Tried<Arc<OpenFile>> {
        let open = self.open.read().get(&handle).cloned().ok_or(Failure::EBADF)?;
        if open.changed.load(Ordering::Relaxed) {
            return Err(Failure::ESTALE);
        }
        self.earnest_read(&open, len as u64);
        if let Some(watched) = &open.watched
            && let Some(pieces) = watched.read(offset, len as u64)
        {
            self.habits.lock().saw(watched.program.as_ref(), open.ino, pieces);
        }
        Ok(open)
    }

    /// Takes in a read, after which the next files may be near.
    pub(super) fn earnest_read(&self, open: &OpenFile, len: u64) {
        if open.grows_earnest(len, &self.tuning) {
            self.expect_successors(open.ino);
        }
    }

    pub(super) fn failed(&self, open: &OpenFile, error: &Error) -> Failure {
        match error.kind() {
            ErrorKind::Changed | ErrorKind::NotFound | ErrorKind::NoSuchBucket => {
                if !open.changed.swap(error.kind() == ErrorKind::Changed, Ordering::Relaxed) {
                    self.names.mark_stale(open.ino);
                }
                report_of_version("reading", error)
            }
            ErrorKind::Archived => report_archived(error),
            _ => report("reading", error),
        }
    }

    /// Does what [`crate::fs::Fs::release`] says.
    pub(in crate::fs) fn release(&self, handle: FileHandle) {
        // The buffers of a last handle are freed without the lock.
        let closed = self.open.write().remove(&handle);
        let Some(open) = closed else { return };
        if let Some(ledger) = self.lives.ledger() {
            ledger.closed(handle.0);
        }
        self.metrics.subtract(Metric::OpenFiles, 1);
        if let Some(watched) = &open.watched
            && let Some(pieces) = watched.closed()
        {
            self.habits.lock().saw(watched.program.as_ref(), open.ino, pieces);
        }
    }

    /// Does what [`crate::fs::Fs::lseek`] says.
    pub(in crate::fs) async fn lseek(self: Arc<Self>, handle: FileHandle, offset: i64, whence: i32) -> Tried<i64> {
        let size = self.open.read().get(&handle).ok_or(Failure::EBADF)?.size as i64;
        match whence {
            libc::SEEK_DATA | libc::SEEK_HOLE if !(0..size).contains(&offset) => Err(Failure::ENXIO),
            libc::SEEK_DATA => Ok(offset),
            libc::SEEK_HOLE => Ok(size),
            _ => Err(Failure::EINVAL),
        }
    }
}
