//! Files in memory, on a file system that is mounted nowhere.
//!
//! A tmpfs of our own rather than memfd files: those lie on a tmpfs of the kernel's, which gives out huge pages only
//! where the machine's settings say so (`shmem_enabled`, nearly everywhere `never`). In pages of 4 KiB filling a file
//! costs 1.0 to 2.0 CPU seconds per GB, in huge pages 0.13 (measured, 0.09 of it the copy itself), and punching a hole
//! 0.2 against 0.004. Such a mount needs the right to mount, as passthrough does, for which these files exist.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::resource::{Resource, getrlimit};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

use crate::base::ByteRange;

/// The kernel gives out memory by so much at a time, wherever that lies within the file.
const HUGE_BYTES: u64 = 2 << 20;

/// A file system in memory that only this process sees. It is gone with the process.
#[derive(Debug)]
pub struct Memory {
    root: OwnedFd,
    /// Each file takes a descriptor, and sockets need some too.
    max_files: usize,
    rests: Arc<Rests>,
    /// Shared with each file there is.
    files: Arc<()>,
}

/// Memory that files take beyond the bytes that are claimed of them: the rest of huge pages that are claimed in part.
#[derive(Debug, Default)]
pub struct Rests(AtomicU64);

impl Rests {
    /// Bytes now, at most: of a page that was whole and of which a part was given back, that part still counts.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Memory {
    /// An empty one, for half as many files as this process may have descriptors. Fails with EPERM without the right to
    /// mount, with ENOSYS before Linux 5.2.
    pub fn new() -> io::Result<Memory> {
        let (max_descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Memory::for_files(usize::try_from(max_descriptors / 2).unwrap_or(usize::MAX))
    }

    fn for_files(max_files: usize) -> io::Result<Memory> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        // How much is held is the business of who uses it; the default, half of the machine's memory, would end a
        // write by SIGBUS.
        fsconfig_set_string(context.as_fd(), "size", "0")?;
        // Huge pages where they lie within the file. Kernels without them refuse, and it works all the same.
        let _ = fsconfig_set_string(context.as_fd(), "huge", "within_size");
        fsconfig_create(context.as_fd())?;
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let root = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Memory { root, max_files, rests: Arc::default(), files: Arc::default() })
    }

    /// What its files take beyond what is claimed of them.
    pub fn rests(&self) -> Arc<Rests> {
        self.rests.clone()
    }

    /// A file of `len` bytes, all of them holes. It takes memory as it is written to, and goes when it is dropped.
    /// Fails with EMFILE when there are as many as there may be.
    pub fn file(&self, len: u64) -> io::Result<Arc<MemoryFile>> {
        if Arc::strong_count(&self.files) > self.max_files {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(openat(&self.root, ".", flags, Mode::RUSR)?);
        file.set_len(len)?;
        let map = MmapOptions::new().len(usize::try_from(len).map_err(io::Error::other)?).map_raw(&file)?;
        let (rests, files) = (self.rests.clone(), self.files.clone());
        Ok(Arc::new(MemoryFile { file, map, rests, _counted: files, claimed: Mutex::default() }))
    }
}

/// A file in memory, mapped as a whole.
#[derive(Debug)]
pub struct MemoryFile {
    file: File,
    map: MmapRaw,
    rests: Arc<Rests>,
    _counted: Arc<()>,
    claimed: Mutex<Claims>,
}

/// The stretches that are claimed, by start; they do not overlap.
#[derive(Debug, Default)]
struct Claims(BTreeMap<u64, u64>);

impl Claims {
    fn has_some(&self, range: ByteRange) -> bool {
        self.0.range(..range.end).next_back().is_some_and(|(_, &end)| end > range.start)
    }

    /// A claim, and all that is unclaimed of the huge pages that it lies in, in a file of `len` bytes.
    fn with_rests(&self, claim: ByteRange, len: u64) -> ByteRange {
        let before = self.0.range(..claim.start).next_back().map_or(0, |(_, &end)| end);
        let after = self.0.range(claim.end..).next().map_or(len, |(&start, _)| start);
        let pages = pages_of(claim, len);
        ByteRange::new(pages.start.max(before), pages.end.min(after))
    }

    /// The memory, in bytes, of those huge pages of a claim in which no other claim has a byte.
    fn own_bytes(&self, claim: ByteRange, len: u64) -> u64 {
        let (first, last) = (page_of(claim.start, len), page_of(claim.end - 1, len));
        let start = if self.is_shared(first, claim) { first.end } else { first.start };
        let end = if self.is_shared(last, claim) { last.start } else { last.end };
        end.saturating_sub(start)
    }

    /// Whether another claim has bytes of a page that a claim lies in.
    fn is_shared(&self, page: ByteRange, claim: ByteRange) -> bool {
        let before = ByteRange::new(page.start, claim.start.max(page.start));
        let after = ByteRange::new(claim.end.min(page.end), page.end);
        [before, after].into_iter().any(|rest| !rest.is_empty() && self.has_some(rest))
    }
}

/// The huge page of a file of `len` bytes that this byte lies in; at the file's end there are only small ones, and the
/// page is as long as what remains.
fn page_of(at: u64, len: u64) -> ByteRange {
    let start = at / HUGE_BYTES * HUGE_BYTES;
    ByteRange::new(start, (start + HUGE_BYTES).min(len))
}

/// All huge pages that a range, not empty and within a file of `len` bytes, has bytes in.
fn pages_of(range: ByteRange, len: u64) -> ByteRange {
    ByteRange::new(page_of(range.start, len).start, page_of(range.end - 1, len).end)
}

impl MemoryFile {
    /// These bytes, for the caller alone; `None` where some of them are still claimed, or where they do not lie
    /// within the file.
    pub fn claim(self: &Arc<Self>, range: ByteRange) -> Option<Stretch> {
        if range.is_empty() || !ByteRange::new(0, self.len()).contains(range) {
            return None;
        }
        let mut claimed = self.claimed.lock();
        if claimed.has_some(range) {
            return None;
        }
        // Added before it is taken from: the sum, of all claims, never falls below nothing.
        self.rests.0.fetch_add(claimed.own_bytes(range, self.len()), Ordering::Relaxed);
        self.rests.0.fetch_sub(range.len(), Ordering::Relaxed);
        claimed.0.insert(range.start, range.end);
        Some(Stretch { file: self.clone(), range })
    }

    /// Makes a hole of what was claimed, and of the rests of its pages: those would stay for as long as the file, as
    /// would a page that the kernel cannot split.
    fn give_back(&self, claim: ByteRange) {
        let hole = {
            let mut claimed = self.claimed.lock();
            claimed.0.remove(&claim.start);
            let hole = claimed.with_rests(claim, self.len());
            // Still claimed: the bytes of a new owner would go with those of the old one.
            claimed.0.insert(hole.start, hole.end);
            hole
        };
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if let Err(errno) = fallocate(&self.file, flags, hole.start as i64, hole.len() as i64) {
            tracing::warn!(%errno, len = hole.len(), "memory of a backing file could not be freed before the file is \
                                                      closed");
        }
        let mut claimed = self.claimed.lock();
        claimed.0.remove(&hole.start);
        self.rests.0.fetch_add(claim.len(), Ordering::Relaxed);
        self.rests.0.fetch_sub(claimed.own_bytes(claim, self.len()), Ordering::Relaxed);
    }

    fn len(&self) -> u64 {
        self.map.len() as u64
    }
}

impl AsFd for MemoryFile {
    /// The file, for the kernel to read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Bytes of a file that belong to its owner alone. Dropped, they become a hole again, and their memory is given back.
#[derive(Debug)]
pub struct Stretch {
    file: Arc<MemoryFile>,
    range: ByteRange,
}

impl Stretch {
    /// Where they lie in memory, for as long as this lives.
    pub fn start(&self) -> NonNull<u8> {
        // A mapping never begins at zero, and the stretch lies within it.
        NonNull::new(self.file.map.as_mut_ptr().wrapping_add(self.range.start as usize)).unwrap_or(NonNull::dangling())
    }

    /// Which bytes of the file they are.
    pub fn range(&self) -> ByteRange {
        self.range
    }

    /// The file they are of.
    pub fn file(&self) -> &Arc<MemoryFile> {
        &self.file
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        self.file.give_back(self.range);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn written(file: &Arc<MemoryFile>, range: ByteRange, byte: u8) -> Stretch {
        let stretch = file.claim(range).unwrap();
        // SAFETY: the stretch lies within the mapping, and nothing else uses it.
        unsafe { stretch.start().as_ptr().write_bytes(byte, range.len() as usize) };
        stretch
    }

    #[test]
    fn what_is_written_to_memory_is_read_from_the_file() {
        let file = Memory::new().unwrap().file(5 * MIB + 3).unwrap();
        assert_eq!(file.file.metadata().unwrap().len(), 5 * MIB + 3);
        let range = ByteRange::new(MIB + 7, 5 * MIB + 3);
        let _stretch = written(&file, range, 9);
        let mut bytes = vec![1; (5 * MIB + 3) as usize];
        file.file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..range.start as usize].iter().all(|&byte| byte == 0));
        assert!(bytes[range.start as usize..].iter().all(|&byte| byte == 9));
    }

    #[test]
    fn memory_is_taken_as_bytes_come_and_given_back_as_they_go() {
        // Far more than any machine has.
        let file = Memory::new().unwrap().file(1 << 44).unwrap();
        let taken = || file.file.metadata().unwrap().blocks() * 512;
        assert_eq!(taken(), 0);
        let first = written(&file, ByteRange::at(1 << 43, MIB), 1);
        let second = written(&file, ByteRange::at((1 << 43) + MIB, 3 * MIB), 1);
        assert_eq!(taken(), 4 * MIB);
        drop(first);
        drop(second);
        assert_eq!(taken(), 0);
    }

    #[test]
    fn what_is_unused_of_a_huge_page_is_known_and_goes_with_its_last_owner() {
        let memory = Memory::new().unwrap();
        let file = memory.file(7 * MIB).unwrap();
        let (taken, rests) = (|| file.file.metadata().unwrap().blocks() * 512, || memory.rests().bytes());
        // How the kernel keeps them is its own affair: in small pages where no huge one is free, and in a whole huge
        // page while something else holds one that it would split.
        let within = |claimed: u64| (claimed..=claimed + rests()).contains(&taken());
        let first = written(&file, ByteRange::new(MIB / 8, MIB), 1);
        assert_eq!(rests(), 2 * MIB - 7 * MIB / 8);
        assert!(within(7 * MIB / 8), "{} bytes", taken());
        let second = written(&file, ByteRange::new(MIB, 3 * MIB), 2);
        assert_eq!(rests(), MIB + MIB / 8);
        assert!(within(2 * MIB + 7 * MIB / 8), "{} bytes", taken());
        drop(first);
        assert_eq!(rests(), 2 * MIB, "half of a page is still counted");
        assert!(within(2 * MIB), "{} bytes", taken());
        let end = written(&file, ByteRange::new(5 * MIB, 7 * MIB), 3);
        assert_eq!(rests(), 3 * MIB, "no huge page at the end");
        assert!(within(4 * MIB), "{} bytes", taken());
        drop(second);
        drop(end);
        assert_eq!((taken(), rests()), (0, 0));
    }

    #[test]
    fn bytes_have_one_owner_at_a_time() {
        let file = Memory::new().unwrap().file(8192).unwrap();
        let taken = |start, end| file.claim(ByteRange::new(start, end)).is_none();
        let first = file.claim(ByteRange::new(100, 200)).unwrap();
        let second = file.claim(ByteRange::new(200, 8192)).unwrap();
        assert!(taken(0, 101) && taken(199, 200) && taken(150, 160) && taken(0, 8192) && taken(8191, 8192));
        drop(first);
        assert!(!taken(0, 200) && taken(0, 201));
        drop(second);
        assert!(!taken(0, 8192));
    }

    #[test]
    fn neighbours_keep_their_bytes() {
        let file = Memory::new().unwrap().file(8192).unwrap();
        let first = written(&file, ByteRange::new(0, 5000), 1);
        let _second = written(&file, ByteRange::new(5000, 8192), 2);
        drop(first);
        let mut bytes = [9; 8192];
        file.file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..5000].iter().all(|&byte| byte == 0) && bytes[5000..].iter().all(|&byte| byte == 2));
    }

    #[test]
    fn descriptors_are_left_for_others() {
        let memory = Memory::for_files(2).unwrap();
        let (first, _second) = (memory.file(1).unwrap(), memory.file(1).unwrap());
        assert_eq!(memory.file(1).unwrap_err().raw_os_error(), Some(libc::EMFILE));
        drop(first);
        memory.file(1).unwrap();
    }

    #[test]
    fn nothing_lies_outside_of_the_file() {
        let memory = Memory::new().unwrap();
        let file = memory.file(4096).unwrap();
        assert!(file.claim(ByteRange::new(4000, 4097)).is_none());
        assert!(file.claim(ByteRange::new(u64::MAX - 1, u64::MAX)).is_none());
        assert!(file.claim(ByteRange::new(7, 7)).is_none());
        assert!(memory.file(u64::MAX).is_err());
    }
}
