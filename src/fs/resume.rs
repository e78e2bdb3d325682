//! Continuing the mount of an earlier daemon: inode numbers and handles keep their meaning.
//!
//! What the [`Ledger`] has of directories and open files is put back at once, before the first request; directories
//! that were being read are listed anew when they are read on (`names/resumed`).

use std::sync::Arc;

use super::lives::StillInUse;
use super::{FileHandle, Fs, Ledger, Past, Suspects};
use crate::base::Ino;

/// A file that is open from an earlier life: its number, and that under which the kernel reads it by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StillOpen {
    /// The inode number of the file.
    pub ino: Ino,
    /// The number of the kernel's backing file, if it has one.
    pub backing: Option<u32>,
}

impl Fs {
    /// Writes down from now on what must outlive the process. Once, before the file system is mounted.
    pub fn keep(&self, ledger: Arc<Ledger>) {
        self.lives.keep(ledger, self.options.mount_time);
    }

    /// What must outlive the process is written here, if anywhere.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.lives.ledger()
    }

    /// Takes up what an earlier life has left, once and before the first request. What cannot be put back is stale to
    /// the users of it. Gives the files that are still open.
    pub fn resume(&self, ledger: Arc<Ledger>, past: Past) -> Vec<StillOpen> {
        let StillInUse { life, directories, files, listings } = self.lives.begin(ledger, past, self.options.mount_time);
        let lost = self.names.restore(directories, &files);
        if lost > 0 {
            tracing::warn!(
                lost,
                "some files or directories in use were not found after the restart: programs get ESTALE for them"
            );
        }
        let still_open = files.values().map(|file| StillOpen { ino: file.ino, backing: file.backing }).collect();
        self.files.resume(files);
        self.names.resume(life, listings);
        still_open
    }

    /// What is open under this handle, a file's or a directory's, was asked for by this request.
    pub fn asked(&self, handle: u64, request: u64) {
        self.lives.asked(handle, request);
    }

    /// The handle that an earlier life gave to this request, which the kernel has sent again: it was never told, so
    /// that it will not be closed.
    pub fn never_told(&self, request: u64) -> Option<u64> {
        self.lives.never_told(request)
    }

    /// What is known of requests that the kernel sends again.
    pub fn suspects(&self) -> &Arc<Suspects> {
        self.lives.suspects()
    }

    /// The kernel reads an open file by itself, under this number.
    pub fn passed(&self, handle: FileHandle, backing: u32) {
        self.lives.passed(handle, backing);
        self.files.passed(handle);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::tests::Bed;
    use super::super::{Entry, Errno};
    use super::*;
    use crate::metrics::Metric;
    use crate::store::ErrorKind;
    use crate::store::layers::Fault;

    #[tokio::test]
    async fn a_number_that_a_program_has_kept_is_found_in_the_directories_of_an_earlier_life() {
        let keys = ["a", "dir/b", "other/c", "third/d"];
        let (ledger, life) = (Ledger::create().unwrap(), Bed::new(&keys, |_| {}));
        let kept = ledger.as_fd().try_clone_to_owned().unwrap();
        life.fs.keep(Arc::new(ledger));
        let (a, b, c) = (life.attr("a").await.ino, life.attr("dir/b").await.ino, life.attr("other/c").await.ino);
        let d = life.attr("third/d").await.ino;
        // The kernel forgets two of the directories; a file of the second is asked for by its number after that.
        for ino in [c, d] {
            life.fs.forget(life.fs.names.parent(ino).unwrap(), 1);
        }
        assert!(life.fs.lookup(d, b".".to_vec()).await.is_ok());
        let next = Bed::new(&keys, |_| {});
        let (ledger, past) = Ledger::open(kept).unwrap();
        next.fs.resume(Arc::new(ledger), past);
        next.requests();
        let found = |ino| next.fs.lookup(ino, b".".to_vec());
        next.faults.set_random([(1.0, Fault::Error(ErrorKind::Server))]);
        assert_eq!(found(b).await, Err(Errno::EIO));
        // One that is given up takes nothing with it.
        {
            let mut given_up = Box::pin(found(b));
            assert!(futures::poll!(&mut given_up).is_pending());
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        next.faults.set_random([]);
        for ino in [b, a, d] {
            assert!(matches!(found(ino).await, Ok(Entry::Found(attr)) if attr.ino == ino), "{ino:?}");
        }
        assert_eq!(next.requests().len(), 3, "each of the three directories is listed once");
        assert_eq!((found(c).await, found(Ino(77)).await), (Err(Errno::ESTALE), Err(Errno::ESTALE)));
        assert_eq!(next.requests(), [""; 0]);
    }

    #[tokio::test]
    async fn what_the_kernel_was_never_told_is_closed_when_it_is_asked_again() {
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
