//! A cache directory: its files by name, and what all daemons that share it must agree on.
//!
//! ```text
//! DIR/ossmount-1/            1 is the format; directories of other formats are left alone
//!   LOCK                     shared by every daemon that uses it, exclusive for what empties it
//!   EVICT                    locked by the one that evicts
//!   USED                     the bytes that are used, as 8 bytes; then those that were claimed
//!   WRITING                  what each daemon has claimed and not written, 8 bytes each
//!   CLAIMS                   locked in ranges by those that fetch; has no bytes
//!   OPENS                    which objects were opened of late, 32 bytes each, 8 MiB at most
//!   o/ab/NAME.NONCE          data of an object: sparse, exactly as long as the object
//!   o/ab/NAME.m              its map
//!   s/                       segments of small objects
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, fstatfs,
    fstatvfs, futimens, mkdirat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::claims::ClaimFile;
use super::identity::Name;
use super::map::Boot;
use super::opens::Opens;
use super::usage::{Turn, Usage};
use crate::files::Folder;

/// The directory of this format.
const FORMAT: &str = "ossmount-1";
/// Where objects lie in it.
pub(super) const OBJECTS: &str = "o";
/// Where segments of small objects lie in it.
pub(super) const SEGMENTS: &str = "s";
/// Which objects were opened of late.
pub(super) const OPENS: &str = "OPENS";
const OURS: Mode = Mode::from_raw_mode(0o600);

/// File systems on which a cache is refused unless it is asked for, by the number that statfs(2) tells.
const UNFIT: &[(u64, &str)] = &[
    (0x6573_5546, "a FUSE mount"),
    (0x6969, "an NFS mount"),
    (0xff53_4d42, "an SMB mount"),
    (0xfe53_4d42, "an SMB mount"),
    (0x0102_1994, "in memory (tmpfs), which memory-limit does not count"),
    (0x8584_58f6, "in memory (ramfs), which memory-limit does not count"),
    (0x794c_7630, "on overlayfs, the writable layer of a container"),
];

/// An open cache directory.
#[derive(Debug)]
pub(super) struct Place {
    root: Folder,
    path: PathBuf,
    pub(super) usage: Usage,
    evict: File,
    pub(super) claims: Arc<ClaimFile>,
    pub(super) opens: Opens,
    /// Held for as long as this lives.
    _lock: File,
    pub(super) boot: Boot,
}

/// How a place is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// By a daemon, beside others.
    Shared,
    /// By a command that empties it.
    Alone,
}

/// What a file is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// When it was modified, in seconds and nanoseconds since 1970; of a map: when its object was used last.
    pub(super) modified: (i64, i64),
    /// How long it is, in bytes.
    pub(super) len: u64,
    /// The bytes that it takes on disk.
    pub(super) bytes: u64,
}

/// What is free on the file system of a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    /// Bytes that this user may still write.
    pub(super) bytes: u64,
    /// Bytes that it has in all.
    pub(super) total_bytes: u64,
    /// Files that may still be made, and files in all; both 0 where there is no such limit.
    pub(super) files: u64,
    pub(super) total_files: u64,
}

impl Place {
    /// Opens a cache directory, and makes it where there is none. Fails with a sentence that says what to do.
    pub(super) fn open(dir: &Path, takes_any: bool, access: Access, boot: Boot) -> io::Result<Place> {
        let above = Folder::open_or_make(dir)?;
        if let Some(why) = unfit(&above)?.filter(|_| !takes_any) {
            let dir = dir.display();
            let advice = "name a directory on a local disk, or give cache-dir-any=on";
            return Err(io::Error::other(format!("{dir} is {why}; {advice}")));
        }
        let root = above.make_within(FORMAT, 0o700)?;
        let lock = create(&root, "LOCK")?;
        let how = match access {
            Access::Shared => FlockOperation::NonBlockingLockShared,
            Access::Alone => FlockOperation::NonBlockingLockExclusive,
        };
        flock(&lock, how).map_err(|errno| match (errno, access) {
            (Errno::WOULDBLOCK, Access::Alone) => {
                io::Error::other(format!("a mount uses {}; unmount it first", dir.display()))
            }
            (Errno::WOULDBLOCK, Access::Shared) => {
                io::Error::other(format!("{} is being cleared by another process; try again", dir.display()))
            }
            (errno, _) => errno.into(),
        })?;
        make(&root, OBJECTS)?;
        make(&root, SEGMENTS)?;
        let evict = create(&root, "EVICT")?;
        let usage = Usage::on(create(&root, "USED")?, create(&root, "WRITING")?);
        let claims = ClaimFile::on(create(&root, "CLAIMS")?);
        let opens = Opens::on(create(&root, OPENS)?);
        Ok(Place { root, path: dir.to_owned(), usage, evict, claims, opens, _lock: lock, boot })
    }

    /// The directory that the options name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of an object for reading and writing; `None` where there is none.
    pub(super) fn find(&self, file: &str, flags: OFlags) -> io::Result<Option<File>> {
        let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.root, file, flags, Mode::empty()) {
            Ok(found) => Ok(Some(found.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a file that must not exist.
    pub(super) fn make(&self, file: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.root, file, flags, OURS) {
            Err(Errno::NOENT) => {
                if let Some((directory, _)) = file.rsplit_once('/') {
                    make(&self.root, directory)?;
                }
                Ok(openat(&self.root, file, flags, OURS)?.into())
            }
            made => Ok(made?.into()),
        }
    }

    /// Gives a file another name, unless that is taken. Says whether it was not.
    pub(super) fn name(&self, file: &str, name: &str) -> io::Result<bool> {
        match renameat_with(&self.root, file, &self.root, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a file. That it is gone already is as good.
    pub(super) fn remove(&self, file: &str) -> io::Result<()> {
        match unlinkat(&self.root, file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What a file is; `None` where there is none.
    pub(super) fn facts(&self, file: &str) -> io::Result<Option<Facts>> {
        match statat(&self.root, file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let modified = (stat.st_mtime, stat.st_mtime_nsec as i64);
                Ok(Some(Facts { modified, len: stat.st_size as u64, bytes: stat.st_blocks as u64 * 512 }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The files in a directory of this one.
    pub(super) fn files(&self, directory: &str) -> io::Result<Vec<String>> {
        Ok(text(self.root.within(directory, nix::unistd::geteuid().as_raw())?.names()?))
    }

    /// The directories in which objects lie, and the names in each.
    pub(super) fn objects(&self) -> io::Result<Vec<(String, Vec<String>)>> {
        let objects = self.root.within(OBJECTS, nix::unistd::geteuid().as_raw())?;
        let mut all = Vec::new();
        for directory in text(objects.names()?) {
            let names = objects.within(&directory, nix::unistd::geteuid().as_raw())?.names()?;
            all.push((directory, text(names)));
        }
        Ok(all)
    }

    /// What is free on the file system.
    pub(super) fn free(&self) -> io::Result<Free> {
        let found = fstatvfs(&self.root)?;
        Ok(Free {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            files: found.f_favail,
            total_files: found.f_files,
        })
    }

    /// Takes the turn to evict, until what is returned is dropped; `None` where another process has it.
    pub(super) fn turn_to_evict(&self) -> io::Result<Option<Turn<'_>>> {
        match flock(&self.evict, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Turn(&self.evict))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Why a directory should hold no cache, if there is a reason.
fn unfit(folder: &Folder) -> io::Result<Option<&'static str>> {
    let kind = fstatfs(folder)?.f_type as u64 & 0xffff_ffff;
    Ok(UNFIT.iter().find(|(number, _)| *number == kind).map(|(_, why)| *why))
}

/// Makes a directory; fine where there is one.
fn make(root: &Folder, directory: &str) -> io::Result<()> {
    match mkdirat(root, directory, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a file, and makes it where there is none.
fn create(root: &Folder, file: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(root, file, flags, OURS)?.into())
}

/// The names that are text; those of this cache are.
fn text(names: Vec<OsString>) -> Vec<String> {
    names.into_iter().filter_map(|name| name.into_string().ok()).collect()
}

/// Notes that what a file belongs to is used now, for the order of eviction.
pub(super) fn touch(file: &File) -> io::Result<()> {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW as _ };
    Ok(futimens(file, &Timestamps { last_access: omit, last_modification: now })?)
}

/// The path of an object's map, and the beginning of the path of its data.
pub(super) fn map_path(name: Name) -> String {
    format!("{OBJECTS}/{}/{name}.m", name.directory())
}

/// The path of an object's data.
pub(super) fn data_path(name: Name, nonce: u64) -> String {
    format!("{OBJECTS}/{}/{name}.{nonce:016x}", name.directory())
}
