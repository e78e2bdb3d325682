//! Files of which wrong bytes were handed out: each open makes the kernel drop its pages until it has done so.
//!
//! Bytes never change under an inode number, and so pages of earlier opens are kept; this is the one case in which they
//! are wrong. The kernel drops pages when it is told to, which waits for those that are being read, or when a file is
//! opened in that way: an open that cannot know whether the first is done does the second.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Files;
use crate::base::Ino;

/// By inode number, how often its pages are yet to be dropped.
#[derive(Debug, Default)]
pub(super) struct Distrusted(Mutex<HashMap<Ino, u64>>);

impl Distrusted {
    /// Whether pages of this inode may be wrong.
    pub(super) fn has(&self, ino: Ino) -> bool {
        self.0.lock().contains_key(&ino)
    }

    fn add(&self, ino: Ino) {
        *self.0.lock().entry(ino).or_insert(0) += 1;
    }

    fn remove(&self, ino: Ino) {
        let mut inodes = self.0.lock();
        if let Some(count) = inodes.get_mut(&ino) {
            *count -= 1;
            if *count == 0 {
                inodes.remove(&ino);
            }
        }
    }
}

impl Files {
    /// Wrong bytes of an inode were handed out: its pages are dropped at each open until all of them are.
    pub(in crate::fs) fn distrust(&self, ino: Ino) {
        self.distrusted.add(ino);
    }

    /// The kernel drops all its pages of an inode. Until it has, or if it does not, opens see to that.
    pub(in crate::fs) fn drop_wrong_pages(self: &Arc<Self>, ino: Ino) {
        let Some(notifier) = self.names.notifier() else { return };
        let (done, dropped) = oneshot::channel();
        notifier.drop_pages(ino, done);
        let files = Arc::downgrade(self);
        self.runtime.spawn(async move {
            if dropped.await.is_ok()
                && let Some(files) = files.upgrade()
            {
                files.distrusted.remove(ino);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fs::tests::{Bed, Stranger};
    use crate::fs::{DIRECT_IO_BYTES, Errno, FileHandle, Notifier, PageCache};
    use crate::store::layers::{Fault, Operation};
    use crate::store::memory::MemoryStore;

    /// A kernel that drops pages when a test says so.
    #[derive(Default)]
    struct Slow(Mutex<Vec<(Ino, oneshot::Sender<()>)>>);

    impl Notifier for Slow {
        fn invalidate_entry(&self, _: Ino, _: &[u8]) {}

        fn invalidate_attributes(&self, _: Ino) {}

        fn invalidate_pages(&self, _: Ino) {}

        fn drop_pages(&self, ino: Ino, done: oneshot::Sender<()>) {
            self.0.lock().push((ino, done));
        }

        fn after_that(&self, _: oneshot::Sender<()>) {}
    }

    /// A file of this many bytes, of which the first reader got a wrong one.
    async fn misread(bed: &Bed, len: u64) -> (Ino, FileHandle) {
        let (ino, handle) = (bed.attr("file").await.ino, bed.open("file").await.unwrap());
        // The first bytes are handed out before the others come.
        for wait in [Duration::ZERO, Duration::from_secs(1)] {
            bed.faults.once(Operation::Get, Fault::Late(wait));
        }
        bed.faults.flip_once(len / 2);
        let mut at = 0;
        let error = loop {
            match bed.fs.clone().read(handle, at, 1 << 20).await {
                Ok(slice) => at += slice.len() as u64,
                Err(error) => break error,
            }
            assert!(at < len, "all of it was handed out");
        };
        assert_eq!(error, Errno::EIO);
        (ino, handle)
    }

    async fn page_cache(bed: &Bed, ino: Ino) -> PageCache {
        let opened = bed.fs.clone().open(ino, libc::O_RDONLY, Stranger).await.unwrap();
        bed.fs.release(opened.handle);
        opened.page_cache
    }

    #[tokio::test(start_paused = true)]
    async fn opens_drop_pages_until_the_kernel_has() {
        for (len, dropping, keeping) in [
            (DIRECT_IO_BYTES / 4 * 3, PageCache::Drop, PageCache::Keep),
            (DIRECT_IO_BYTES * 2, PageCache::BypassAndDrop, PageCache::Bypass),
        ] {
            let bucket = MemoryStore::new();
            bucket.put("file", vec![7; len as usize]);
            let bed = Bed::over(bucket, |_| {});
            let slow = Arc::new(Slow::default());
            bed.fs.set_notifier(Some(slow.clone()));
            let (ino, broken) = misread(&bed, len).await;
            assert_eq!(page_cache(&bed, ino).await, dropping);
            assert_eq!(bed.fs.clone().read(broken, 0, 10).await.unwrap_err(), Errno::EIO, "for as long as it is open");
            let (of, done) = slow.0.lock().pop().unwrap();
            assert_eq!((of, page_cache(&bed, ino).await), (ino, dropping), "it has not been done yet");
            done.send(()).unwrap();
            while page_cache(&bed, ino).await != keeping {
                tokio::task::yield_now().await;
            }
            assert!(slow.0.lock().is_empty(), "once is enough");
            let handle = bed.open("file").await.unwrap();
            assert_eq!(bed.fs.clone().read(handle, len / 2, 1).await.unwrap()[..], [7]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_kernel_does_not_drop_pages_every_open_does() {
        let len = DIRECT_IO_BYTES / 4 * 3;
        let bucket = MemoryStore::new();
        bucket.put("file", vec![7; len as usize]);
        let bed = Bed::over(bucket, |_| {});
        let slow = Arc::new(Slow::default());
        bed.fs.set_notifier(Some(slow.clone()));
        let (ino, _) = misread(&bed, len).await;
        slow.0.lock().clear();
        for _ in 0..100 {
            assert_eq!(page_cache(&bed, ino).await, PageCache::Drop);
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn every_drop_is_waited_for() {
        let distrusted = Distrusted::default();
        distrusted.remove(Ino(1));
        distrusted.add(Ino(1));
        distrusted.add(Ino(1));
        distrusted.add(Ino(2));
        distrusted.remove(Ino(1));
        assert!(distrusted.has(Ino(1)) && distrusted.has(Ino(2)));
        distrusted.remove(Ino(1));
        assert!(!distrusted.has(Ino(1)) && distrusted.has(Ino(2)));
    }
}
