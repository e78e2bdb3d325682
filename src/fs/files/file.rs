//! File handles: opening, reading, seeking.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::habits::{Opener, Program, Watched};
use super::numbering::Numbered;
use super::open_file::OpenFile;
use super::page_source::Pages;
use super::pages::{Memories, PageUse, Paging};
use super::{Failure, Files, Tried, report, report_archived, report_of_version};
use crate::base::{CHUNKS_READAHEAD_BYTES, Ino, Key};
use crate::fs::{Backing, DIRECT_IO_BYTES, DirectIo, FileHandle, KeepPageCache, Opened, PageCache, Ttl};
use crate::metrics::Metric;
use crate::read;
use crate::store::{Error, ErrorKind, StorageClass};
use crate::tree::{self, Renewed, Shape};

/// Whether a file of this name is HDF5, or of a format that is stored in it: single-cell data, NetCDF.
fn has_chunks(key: &str) -> bool {
    const ENDINGS: [&str; 7] = ["h5", "hdf5", "he5", "h5ad", "loom", "nc", "nc4"];
    key.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

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
        let key = object.key.clone();
        let file = self.reader.open(to_read(ino, object));
        let whole = match file.whole() {
            // Looked for on disk also where the kernel asks us for the bytes: then they come from there.
            None => file.on_disk().await,
            whole => whole,
        };
        if whole.is_some() {
            // Its reads will not be seen.
            self.expect_successors(ino);
        }
        let handle = FileHandle(self.lives.next_handle());
        let (watched, paging) = self.watch(ino, size, &key, &file, opener);
        let page_cache = self.page_cache(ino, watched.as_ref());
        let read_ahead_bytes = if has_chunks(&key) { CHUNKS_READAHEAD_BYTES } else { 0 };
        let open = Arc::new(OpenFile::new(ino, size, file, watched, paging).read_ahead(read_ahead_bytes));
        let backing = match whole {
            Some(whole) => Some(Backing::Whole(whole)),
            // What the bridge reads ahead is one number for all files.
            None if read_ahead_bytes == 0 && self.may_be_pages(size, flags, page_cache) => {
                Some(Backing::Pages(Pages::new(self.clone(), open.clone())))
            }
            None => None,
        };
        self.open.write().insert(handle, open);
        if let Some((ledger, object)) = kept {
            ledger.opened(handle.0, ino, object);
        }
        self.metrics.add(Metric::OpenFiles, 1);
        Ok(Opened { handle, page_cache, backing, read_ahead_bytes })
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
    fn watch(
        &self,
        ino: Ino,
        size: u64,
        key: &str,
        file: &read::File,
        opener: impl Opener,
    ) -> (Option<Watched>, Option<Paging>) {
        if self.options.direct_io != DirectIo::Auto || size < DIRECT_IO_BYTES {
            return (None, None);
        }
        let (program, pages) = (opener.program(), self.pages.lock().of(ino, size));
        let is_wanted = self.wants_pages(key, file, &pages, program.as_ref());
        let watched = self.watch_for_habits(ino, program.clone(), is_wanted, opener);
        let is_direct = watched.as_ref().is_some_and(Watched::is_direct);
        (watched, Some(Paging::new(pages, program, is_direct)))
    }

    fn watch_for_habits(
        &self,
        ino: Ino,
        program: Option<Program>,
        wants_pages: bool,
        opener: impl Opener,
    ) -> Option<Watched> {
        let shows_large = self.habits.lock().shows_large(program.as_ref(), ino);
        match (wants_pages, shows_large) {
            // All is known.
            (true, true) => return None,
            (false, true) => return Some(Watched::by_requests(program, self.tuning.clone())),
            (_, false) => {}
        }
        let calls = opener.calls();
        let is_cached = wants_pages || self.habits.lock().ask_for_cache(program.as_ref(), ino, calls.is_some());
        match calls {
            _ if !is_cached => Some(Watched::by_requests(program, self.tuning.clone())),
            Some(before) => Some(Watched::by_calls(program, Box::new(opener), before, self.tuning.clone())),
            None => None,
        }
    }

    /// Whether a big file should go through the page cache whatever the habits of the program are.
    fn wants_pages(&self, key: &str, file: &read::File, pages: &PageUse, program: Option<&Program>) -> bool {
        if self.options.keep_page_cache == KeepPageCache::Off {
            return false;
        }
        let memories = Memories { held_bytes: file.held_bytes(), free_bytes: self.reader.free_memory() };
        let is_wanted = self.pages.lock().want(pages, program, memories);
        is_wanted || !pages.is_lost() && self.is_for_page_cache(key, file)
    }

    /// Whether it is a model, of one or more shards, that the page cache can hold and our memory cannot.
    fn is_for_page_cache(&self, key: &str, file: &read::File) -> bool {
        let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
        let shards = Numbered::parse(name).and_then(|numbered| numbered.total).unwrap_or(1);
        let model_bytes = shards.saturating_mul(file.size());
        let is_held_elsewhere = model_bytes <= self.reader.memory_limit() / 4 * 3;
        file.is_model() && !is_held_elsewhere && model_bytes <= self.reader.free_memory()
    }

    /// Does what [`crate::fs::Fs::read`] says.
    pub(in crate::fs) async fn read(
        self: Arc<Self>,
        handle: FileHandle,
        offset: u64,
        len: usize,
    ) -> Tried<read::Slice> {
        // Where the kernel reads nothing ahead it is refused nothing.
        Ok(self.read_pages(handle, offset, len, 0).await?.unwrap_or_else(read::Slice::empty))
    }

    /// Does what [`crate::fs::Fs::read_pages`] says.
    pub(in crate::fs) async fn read_pages(
        self: Arc<Self>,
        handle: FileHandle,
        offset: u64,
        len: usize,
        read_ahead_bytes: u64,
    ) -> Tried<Option<read::Slice>> {
        let open = self.reading(handle, offset, len, read_ahead_bytes)?;
        let read_ahead_bytes = if read_ahead_bytes > 0 { read_ahead_bytes.max(open.read_ahead_bytes) } else { 0 };
        let read = open.file.read_pages(offset, len, read_ahead_bytes);
        read.await.map_err(|error| self.failed(&open, &error))
    }

    /// The file of a handle that is read from.
    fn reading(&self, handle: FileHandle, offset: u64, len: usize, read_ahead_bytes: u64) -> Tried<Arc<OpenFile>> {
        let open = self.open.read().get(&handle).cloned().ok_or(Failure::EBADF)?;
        if open.changed.load(Ordering::Relaxed) {
            return Err(Failure::ESTALE);
        }
        let is_for_pages = read_ahead_bytes > 0;
        self.takes_in(&open, len as u64, is_for_pages);
        if let Some(watched) = &open.watched
            // Page faults show nothing of calls.
            && !(is_for_pages && watched.is_direct())
            && let Some(pieces) = watched.read(offset, len as u64)
        {
            self.habits.lock().saw(watched.program.as_ref(), open.ino, pieces);
        }
        Ok(open)
    }

    /// Takes in a read, by a program or for pages: after it the next files may be near, or its program be known.
    pub(super) fn takes_in(&self, open: &OpenFile, len: u64, is_for_pages: bool) {
        if open.grows_earnest(len, &self.tuning) {
            self.expect_successors(open.ino);
        }
        if let Some(paging) = &open.paging
            && let Some(file) = paging.read(len, is_for_pages)
        {
            self.pages.lock().is_mapped(file, paging.program.as_ref());
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
