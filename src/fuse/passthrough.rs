//! Which files the kernel reads by itself.
//!
//! The kernel's rules, by inode (each breach fails an open with EIO): while it reads a file by itself, every open must
//! let it do so, from the same backing file; and it must not begin to while a descriptor is open in another way:
//! through the page cache, or past it and mapped, of which we hear nothing. So all open handles of an inode are of one
//! kind, and the first of them decides. What is closed here was closed in the kernel before, so that counts are never
//! too low.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::base::Ino;
use crate::fs::Backing;

/// The kind of an inode's open handles, and how many there are.
#[derive(Debug)]
struct Open<Id, File> {
    handles: u64,
    /// How the kernel reads it by itself, if it does. The number of a backing file must live as long as its users, and
    /// its bytes must stay: they are held here, or from an earlier life by the kernel alone.
    passed: Option<(Arc<Id>, Option<File>)>,
}

/// The kinds of all open handles.
#[derive(Debug)]
pub(super) struct Passing<Id = Registered, File = Backing> {
    /// Whether the kernel may be offered files. It says that it can before it is known whether we are allowed to.
    is_offered: AtomicBool,
    inodes: Mutex<HashMap<Ino, Open<Id, File>>>,
}

impl<Id, File> Passing<Id, File> {
    pub(super) fn new() -> Self {
        Passing { is_offered: AtomicBool::new(false), inodes: Mutex::default() }
    }

    /// Says that the kernel can read files by itself.
    pub(super) fn offer(&self) {
        self.is_offered.store(true, Ordering::Relaxed);
    }

    /// A handle is about to be opened, and is to be answered so: `None` means that the kernel shall ask for bytes.
    /// `backing` is the file it could read; `register` makes the file known to it.
    pub(super) fn opening(
        &self,
        ino: Ino,
        backing: Option<File>,
        register: impl FnOnce(&File) -> io::Result<Id>,
    ) -> Option<Arc<Id>> {
        let mut inodes = self.inodes.lock();
        if let Some(open) = inodes.get_mut(&ino) {
            open.handles += 1;
            return open.passed.as_ref().map(|(id, _)| id.clone());
        }
        let passed = backing.filter(|_| self.is_offered.load(Ordering::Relaxed)).and_then(|backing| {
            let id = register(&backing).inspect_err(|error| self.refused(error)).ok()?;
            Some((Arc::new(id), Some(backing)))
        });
        let id = passed.as_ref().map(|(id, _)| id.clone());
        inodes.insert(ino, Open { handles: 1, passed });
        id
    }

    /// A handle is open from an earlier life, in which the kernel was told to read it by itself, or was not.
    /// All handles of an inode are of one kind, so that only the first is looked at.
    pub(super) fn is_open(&self, ino: Ino, id: impl FnOnce() -> Option<Id>) {
        let mut inodes = self.inodes.lock();
        let first = || Open { handles: 0, passed: id().map(|id| (Arc::new(id), None)) };
        inodes.entry(ino).or_insert_with(first).handles += 1;
    }

    /// A handle was closed.
    pub(super) fn closed(&self, ino: Ino) {
        let mut inodes = self.inodes.lock();
        let Some(open) = inodes.get_mut(&ino) else { return };
        open.handles -= 1;
        let gone = if open.handles == 0 { inodes.remove(&ino) } else { None };
        // Freed without the lock.
        drop(inodes);
        drop(gone);
    }

    fn refused(&self, error: &io::Error) {
        if self.is_offered.swap(false, Ordering::Relaxed) {
            tracing::info!(%error, "passthrough is not available: the page cache serves repeated reads");
        }
    }
}

nix::ioctl_write_ptr!(backing_close, 229, 2, u32);

/// A file that the kernel knows under a number, until this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) number: u32,
    device: Arc<OwnedFd>,
}

impl Registered {
    /// Takes a number over, which the kernel has given out on this device.
    pub(super) fn new(number: u32, device: &Arc<OwnedFd>) -> Self {
        Registered { number, device: device.clone() }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: the kernel reads a number from the pointer, which is valid.
        if let Err(errno) = unsafe { backing_close(self.device.as_raw_fd(), &raw const self.number) } {
            // After the end of the mount the number is gone as well.
            tracing::debug!(%errno, number = self.number, "the kernel did not release a backing file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INO: Ino = Ino(1);

    fn passing() -> Passing<u32, Arc<()>> {
        let passing = Passing::new();
        passing.offer();
        passing
    }

    fn open(passing: &Passing<u32, Arc<()>>, file: Option<&Arc<()>>, id: u32) -> Option<u32> {
        passing.opening(INO, file.cloned(), |_| Ok(id)).map(|id| *id)
    }

    #[test]
    fn all_handles_of_a_file_share_one_backing_until_the_last_is_closed() {
        let (passing, file) = (passing(), Arc::new(()));
        assert_eq!(open(&passing, Some(&file), 5), Some(5));
        // Also where there is none to offer any more, or another.
        assert_eq!(open(&passing, None, 6), Some(5));
        assert_eq!(open(&passing, Some(&Arc::new(())), 7), Some(5));
        passing.closed(INO);
        passing.closed(INO);
        assert_eq!(Arc::strong_count(&file), 2);
        passing.closed(INO);
        assert_eq!(Arc::strong_count(&file), 1, "its bytes may go");
        assert_eq!(open(&passing, Some(&file), 8), Some(8));
    }

    #[test]
    fn what_was_open_before_keeps_its_kind() {
        let (passing, file) = (passing(), Arc::new(()));
        passing.is_open(INO, || Some(9));
        passing.is_open(INO, || unreachable!("it is known"));
        assert_eq!(open(&passing, Some(&file), 5), Some(9));
        (0..3).for_each(|_| passing.closed(INO));
        passing.is_open(INO, || None);
        assert_eq!(open(&passing, Some(&file), 5), None);
        (0..2).for_each(|_| passing.closed(INO));
        assert_eq!(open(&passing, Some(&file), 5), Some(5));
    }

    #[test]
    fn a_file_that_is_open_in_another_way_is_not_passed_on() {
        let (passing, file) = (passing(), Arc::new(()));
        assert_eq!(open(&passing, None, 1), None);
        assert_eq!(open(&passing, Some(&file), 2), None);
        passing.closed(INO);
        assert_eq!(open(&passing, Some(&file), 3), None);
        passing.closed(INO);
        passing.closed(INO);
        assert_eq!(open(&passing, Some(&file), 4), Some(4));
        assert_eq!(passing.inodes.lock().len(), 1);
    }

    #[test]
    fn who_may_not_is_not_asked_twice() {
        let file = Arc::new(());
        let never = Passing::<u32, Arc<()>>::new();
        assert_eq!(open(&never, Some(&file), 1), None);
        let passing = passing();
        let refused = |_: &Arc<()>| Err(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(passing.opening(INO, Some(file.clone()), refused), None);
        passing.closed(INO);
        assert_eq!(open(&passing, Some(&file), 2), None);
        passing.closed(INO);
        assert!(passing.inodes.lock().is_empty() && Arc::strong_count(&file) == 1);
    }
}
