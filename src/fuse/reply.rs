//! Answers in the kernel's terms: attributes, error numbers, open flags, directory buffers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, FopenFlags, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus};

use crate::base::Timestamp;
use crate::fs::{Attr, Counting, DirEntry, DirHandle, Errno, FileKind, Fs, PageCache, Result, Room};

/// Inode numbers are never used for another object, so that there is one generation.
pub(super) const GENERATION: Generation = Generation(0);

/// What `st_blksize` says, and so the buffer of stdio, Python and `cp`. Larger ones make small reads of big files dear,
/// smaller ones make direct I/O so (3.5 GB/s with 64 KiB, 0.2 with 4).
const BLOCK_BYTES: u32 = 128 << 10;

/// The same of a directory, and so the buffer of `readdir`, which takes 32 KiB at least. The kernel gets as many pages
/// for each request, however few entries come: with 128 KiB a `find` through directories of one file takes a tenth more
/// system time, and one through a single large directory no less.
const DIRECTORY_BLOCK_BYTES: u32 = 4 << 10;

/// An error as the FUSE crate wants it. ENOSYS is kept from the kernel, which would never ask again.
pub(super) fn errno(errno: Errno) -> fuser::Errno {
    match errno {
        Errno::ENOSYS => fuser::Errno::EOPNOTSUPP,
        Errno(number) => fuser::Errno::from_i32(number),
    }
}

/// Attributes as the FUSE crate wants them.
pub(super) fn attributes(attr: &Attr) -> FileAttr {
    let time = system_time(attr.mtime);
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: file_type(attr.kind),
        perm: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: if attr.kind == FileKind::Directory { DIRECTORY_BLOCK_BYTES } else { BLOCK_BYTES },
        flags: 0,
    }
}

/// The attributes of nothing: with inode number 0 an entry says that the name is missing, and for how long the
/// kernel may believe so. A plain ENOENT would be asked again each time.
pub(super) fn nothing() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
    }
}

/// Times that `SystemTime` cannot hold show as the epoch.
fn system_time(time: Timestamp) -> SystemTime {
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let moved = match time.seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
        _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
    };
    moved.and_then(|moved| moved.checked_add(Duration::from_nanos(time.nanos.into()))).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What the kernel supports of the ways to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DirectMmap {
    /// Files open for direct I/O can be mapped.
    Allowed,
    /// They cannot be (before Linux 6.6), so that direct I/O must not be used: mmap works in every mode.
    Refused,
}

/// Open flags for what `fs` wants of the page cache. Closing tells nothing that we want to know: never flush.
pub(super) fn open_flags(page_cache: PageCache, mmap: DirectMmap) -> FopenFlags {
    let wanted = match (page_cache, mmap) {
        (PageCache::Drop, _) | (PageCache::BypassAndDrop, DirectMmap::Refused) => FopenFlags::empty(),
        (PageCache::BypassAndDrop, DirectMmap::Allowed) => FopenFlags::FOPEN_DIRECT_IO,
        (PageCache::Keep, _) | (PageCache::Bypass, DirectMmap::Refused) => FopenFlags::FOPEN_KEEP_CACHE,
        // Kept for mappings, whose pages each open would else throw out under the other processes that map it.
        (PageCache::Bypass, DirectMmap::Allowed) => FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_KEEP_CACHE,
    };
    wanted | FopenFlags::FOPEN_NOFLUSH
}

/// Open flags of a file that the kernel reads by itself. Through the bridge that pays for mappings and small reads; one
/// that is to bypass the page cache is still asked of us by read(2), and only mapped through it.
pub(super) fn passed_flags(page_cache: PageCache, is_bridged: bool) -> FopenFlags {
    match page_cache {
        PageCache::Bypass | PageCache::BypassAndDrop if is_bridged => {
            FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH
        }
        _ => FopenFlags::FOPEN_NOFLUSH,
    }
}

/// A directory buffer of the kernel, to be filled.
pub(super) trait Buffer: Send + 'static {
    /// What the kernel makes of an entry.
    const COUNTING: Counting;

    /// Puts in an entry, if it fits.
    fn put(&mut self, entry: &DirEntry<'_>) -> Room;
}

impl Buffer for ReplyDirectory {
    const COUNTING: Counting = Counting::Names;

    fn put(&mut self, entry: &DirEntry<'_>) -> Room {
        let name = OsStr::from_bytes(entry.name);
        room(self.add(INodeNo(entry.attr.ino.0), entry.next_offset, file_type(entry.attr.kind), name))
    }
}

impl Buffer for ReplyDirectoryPlus {
    const COUNTING: Counting = Counting::Plus;

    fn put(&mut self, entry: &DirEntry<'_>) -> Room {
        let name = OsStr::from_bytes(entry.name);
        let attr = attributes(&entry.attr);
        room(self.add(attr.ino, entry.next_offset, name, &entry.attr.ttl, &attr, GENERATION))
    }
}

fn room(full: bool) -> Room {
    if full { Room::Full } else { Room::Left }
}

/// Fills the buffer with what comes from `offset` on: as much as fits, but without waiting once something is in it.
pub(super) async fn fill<B: Buffer>(fs: Arc<Fs>, handle: DirHandle, offset: u64, buffer: &mut B) -> Result<()> {
    fs.readdir(handle, offset, B::COUNTING, |entry| buffer.put(entry)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Ino;

    #[test]
    fn attributes_are_the_kernels() {
        let attr = Attr {
            ino: Ino(9),
            kind: FileKind::File,
            size: 1025,
            mtime: Timestamp { seconds: -3, nanos: 500_000_000 },
            mode: 0o444,
            uid: 1,
            gid: 2,
            nlink: 1,
            ttl: Duration::from_secs(1),
        };
        let shown = attributes(&attr);
        assert_eq!((shown.ino, shown.size, shown.blocks, shown.perm), (INodeNo(9), 1025, 3, 0o444));
        assert_eq!(SystemTime::UNIX_EPOCH.duration_since(shown.mtime).unwrap(), Duration::from_millis(2500));
        for seconds in [i64::MIN, i64::MAX] {
            attributes(&Attr { mtime: Timestamp { seconds, nanos: 999_999_999 }, ..attr.clone() });
        }
    }

    #[test]
    fn errors_keep_their_number_but_the_one_that_silences_the_kernel() {
        assert_eq!(errno(Errno::ESTALE).code(), libc::ESTALE);
        assert_eq!(errno(Errno::ENOSYS).code(), libc::EOPNOTSUPP);
        assert_eq!(errno(Errno(0)).code(), libc::EIO);
    }

    #[test]
    fn what_bypasses_the_page_cache_is_mapped_through_the_bridge_and_read_past_it() {
        let all = [PageCache::Keep, PageCache::Drop, PageCache::Bypass, PageCache::BypassAndDrop];
        let direct = |is_bridged| {
            all.map(|page_cache| passed_flags(page_cache, is_bridged).contains(FopenFlags::FOPEN_DIRECT_IO))
        };
        assert_eq!(direct(true), [false, false, true, true]);
        assert_eq!(direct(false), [false; 4], "memory is read at its own speed");
    }

    #[test]
    fn a_kernel_that_cannot_map_direct_files_gets_none() {
        let flags = open_flags(PageCache::Bypass, DirectMmap::Refused);
        assert_eq!(flags, FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
        assert!(open_flags(PageCache::Bypass, DirectMmap::Allowed).contains(FopenFlags::FOPEN_DIRECT_IO));
        assert_eq!(open_flags(PageCache::Drop, DirectMmap::Allowed), FopenFlags::FOPEN_NOFLUSH);
        assert_eq!(open_flags(PageCache::BypassAndDrop, DirectMmap::Refused), FopenFlags::FOPEN_NOFLUSH);
        let dropping = open_flags(PageCache::BypassAndDrop, DirectMmap::Allowed);
        assert_eq!(dropping, FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH);
    }
}
