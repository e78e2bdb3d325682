//! Going on where an earlier life of the daemon stopped: its numbers and handles mean the same.
//!
//! What the [`Ledger`] has of directories and open files is put back at once, before the first request. Directories
//! that were being read are listed anew when they are read on. The new list may have another order, so that its entries
//! get offsets of their own, above all that were given before, and those that the reader has had are left out.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::directory::{OpenDirectory, Opening};
use super::file::{OpenFile, to_read};
use super::ledger::PastListing;
use super::listing::Since;
use super::{DirHandle, Errno, FileHandle, Fs, Ledger, Past, Result, State, Suspects};
use crate::base::{Ino, Timestamp};
use crate::metrics::Metric;
use crate::tree::Shape;

/// The note that counts lives.
const LIFE: &str = "life";
/// The note of the time that directories without one of their own show.
const TIME: &str = "time";

/// Offsets of each life begin above this many of the one before.
const OFFSETS_BITS: u32 = 40;
/// Lives that have offsets of their own; then they begin again.
const LIVES: u64 = 1 << 20;

/// A file that is open from an earlier life: its number, and that under which the kernel reads it by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StillOpen {
    /// The inode number of the file.
    pub ino: Ino,
    /// The number of the kernel's backing file, if it has one.
    pub backing: Option<u32>,
}

/// A directory that was being read when the daemon began anew.
#[derive(Debug)]
pub(super) struct Resumed {
    /// The offset of the first entry in this life.
    pub(super) base: u64,
    past: PastListing,
    /// Hashes of the names that are left out: those the reader has had.
    had: Mutex<Arc<HashSet<u64>>>,
}

impl Resumed {
    /// What is left out when it is read on from an offset.
    pub(super) fn left_out(&self, offset: u64) -> Arc<HashSet<u64>> {
        let mut had = self.had.lock();
        if offset < self.base {
            *had = Arc::new(self.past.before(offset).collect());
        }
        had.clone()
    }
}

impl Past {
    /// The time that directories without one of their own have shown so far.
    pub fn mount_time(&self) -> Option<Timestamp> {
        let (seconds, nanos) = self.note(TIME)?.split_once('.')?;
        Some(Timestamp { seconds: seconds.parse().ok()?, nanos: nanos.parse().ok()? })
    }
}

impl Fs {
    /// Writes down from now on what must outlive the process. Once, before the file system is mounted.
    pub fn keep(&self, ledger: Arc<Ledger>) {
        let Timestamp { seconds, nanos } = self.options.mount_time;
        ledger.note(TIME, &format!("{seconds}.{nanos}"));
        // A second ledger would not know what the first does.
        let _ = self.ledger.set(ledger);
    }

    /// What must outlive the process is written here, if anywhere.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger.get()
    }

    /// Takes up what an earlier life has left, once and before the first request. What cannot be put back is stale to
    /// the users of it. Gives the files that are still open.
    pub fn resume(&self, ledger: Arc<Ledger>, past: Past) -> Vec<StillOpen> {
        let life = past.note(LIFE).and_then(|life| life.parse::<u64>().ok()).unwrap_or(0) % LIVES + 1;
        ledger.note(LIFE, &life.to_string());
        self.metrics.set(Metric::Restarts, life);
        self.suspects.begin(ledger.clone(), &past);
        self.keep(ledger);
        let Past { directories, files, listings, asked, .. } = past;
        self.asked.lock().extend(asked.into_iter().map(|(handle, request)| (request, handle)));
        let last = files.keys().chain(listings.keys()).max().copied().unwrap_or(0);
        self.next_handle.fetch_max(last + 1, std::sync::atomic::Ordering::Relaxed);
        let mut lost = 0;
        {
            let mut state = self.state.lock();
            for (ino, directory) in directories {
                lost += usize::from(!state.tree.restore_directory(ino, &directory.prefix, directory.mtime));
            }
            for file in files.values() {
                lost += usize::from(!state.tree.restore_object(file.ino, &file.object));
            }
            self.count_entries(&mut state);
        }
        if lost > 0 {
            tracing::warn!(lost, "some of what programs use cannot be found again: it is stale to them");
        }
        let mut still_open = Vec::with_capacity(files.len());
        for (handle, file) in files {
            let object = self.reader.open(to_read(file.ino, file.object.clone()));
            self.files
                .write()
                .insert(FileHandle(handle), Arc::new(OpenFile::again(file.ino, file.object.size, object)));
            self.metrics.add(Metric::OpenFiles, 1);
            still_open.push(StillOpen { ino: file.ino, backing: file.backing });
        }
        let base = life << OFFSETS_BITS;
        let resumed = |past| Resumed { base, past, had: Mutex::default() };
        self.resumed.lock().extend(listings.into_iter().map(|(handle, past)| (DirHandle(handle), resumed(past))));
        still_open
    }

    /// What is open under this handle, a file's or a directory's, was asked for by this request.
    pub fn asked(&self, handle: u64, request: u64) {
        if let Some(ledger) = self.ledger() {
            ledger.asked(handle, request);
        }
    }

    /// The handle that an earlier life gave to this request, which the kernel has sent again: it was never told, so
    /// that it will not be closed.
    pub fn never_told(&self, request: u64) -> Option<u64> {
        self.asked.lock().remove(&request)
    }

    /// What is known of requests that the kernel sends again.
    pub fn suspects(&self) -> &Arc<Suspects> {
        &self.suspects
    }

    /// The key of an object, or the prefix of a directory, to name it in the log.
    pub fn key(&self, ino: Ino) -> Option<String> {
        let tree = &self.state.lock().tree;
        tree.object(ino).map(|object| object.key).or_else(|| tree.prefix(ino))
    }

    /// The kernel reads an open file by itself, under this number.
    pub fn passed(&self, handle: FileHandle, backing: u32) {
        if let Some(ledger) = self.ledger() {
            ledger.passed(handle.0, backing);
        }
    }

    /// An open directory, also one from an earlier life.
    pub(super) fn open_handle(self: &Arc<Self>, handle: DirHandle) -> Result<Arc<OpenDirectory>> {
        if let Some(open) = self.directories.lock().get(&handle) {
            return Ok(open.clone());
        }
        let resumed = self.resumed.lock().remove(&handle).ok_or(Errno::EBADF)?;
        // It was opened long ago: whatever is known now is younger.
        let any = Since::new(self.clock.elapsed(), None);
        let opened = self.open_directory(&mut self.state.lock(), resumed.past.ino, &any);
        let opened = opened.and_then(|opening| match opening {
            Opening::Open(open) => Ok(open),
            Opening::Behind(_) => Err(Errno::ESTALE),
        });
        match opened {
            Ok(mut open) => {
                open.resumed = Some(resumed);
                let open = Arc::new(open);
                self.directories.lock().insert(handle, open.clone());
                Ok(open)
            }
            Err(error) => {
                self.resumed.lock().insert(handle, resumed);
                Err(error)
            }
        }
    }

    /// Writes down directories that the kernel is about to learn of.
    pub(super) fn write_directories(&self, state: &State, inos: &[Ino]) {
        let Some(ledger) = self.ledger() else { return };
        let now = self.clock.elapsed();
        let described = |&ino: &Ino| {
            let view = state.tree.view(ino, now).filter(|view| view.shape == Shape::Directory)?;
            let mtime = Some(view.mtime).filter(|&mtime| mtime != self.options.mount_time);
            Some((ino, state.tree.prefix(ino)?, mtime))
        };
        let new: Vec<_> =
            inos.iter().filter(|&&ino| ino != Ino::ROOT && !ledger.has(ino)).filter_map(described).collect();
        if !new.is_empty() {
            ledger.directories(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::tests::Bed;
    use super::*;

    #[tokio::test]
    async fn what_the_kernel_was_never_told_is_closed_by_whoever_is_asked_again() {
        let (ledger, life) = (Ledger::create().unwrap(), Bed::new(&["a", "dir/b"], |_| {}));
        let kept = ledger.as_fd().try_clone_to_owned().unwrap();
        life.fs.keep(Arc::new(ledger));
        let file = life.open("a").await.unwrap();
        life.fs.asked(file.0, 20);
        let told = life.open("a").await.unwrap();
        life.fs.asked(told.0, 22);
        let directory = life.fs.clone().opendir(Ino::ROOT).await.unwrap();
        life.fs.asked(directory.0, 24);

        let next = Bed::new(&["a", "dir/b"], |_| {});
        let (ledger, past) = Ledger::open(kept.try_clone().unwrap()).unwrap();
        assert_eq!(next.fs.resume(Arc::new(ledger), past).len(), 2);
        assert_eq!((next.fs.never_told(20), next.fs.never_told(26)), (Some(file.0), None));
        next.fs.release(file);
        assert_eq!(next.fs.never_told(24), Some(directory.0));
        next.fs.releasedir(directory);
        assert_eq!((next.fs.never_told(20), next.metrics.value(Metric::OpenFiles)), (None, 1));

        let (_, past) = Ledger::open(kept).unwrap();
        assert_eq!((past.files.len(), past.listings.len(), past.asked.len()), (1, 0, 1));
        assert!(past.files.contains_key(&told.0));
    }
}
