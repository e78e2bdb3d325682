//! The way to a file, descriptor by descriptor.
//!
//! A link is followed only where root or this user made it: then no other user chose where it leads. What the kernel
//! does so for links in `/tmp` (`fs.protected_symlinks`) holds here in every folder.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;

use super::{is_kind, refused, user};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// `PROC_SUPER_MAGIC`. Its links lead to open descriptors, not to the path that they show.
const PROC: i64 = 0x9fa0;

/// What to do with a link as the last part of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LastLink {
    /// Follow it, as every other.
    Follow,
    /// Stop at it: it is what was named.
    Stop,
}

/// A name in an open folder, and what lies under it.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    /// The file that was found, opened with `O_PATH`.
    pub(super) found: Option<Found>,
}

pub(super) struct Found {
    pub(super) handle: OwnedFd,
    pub(super) stat: Stat,
    /// Whether it is a link of the proc file system: a descriptor of this process.
    pub(super) is_descriptor: bool,
}

/// The way to a file, which need not exist; its folder must.
pub(super) fn file(path: &Path, last: LastLink) -> io::Result<Place> {
    let mut walker = Walker::begin(path)?;
    loop {
        let name = walker.rest.pop().ok_or(Errno::ISDIR)?;
        if !walker.rest.is_empty() || name == ".." {
            walker.enter(&name)?;
            continue;
        }
        let (handle, stat) = match look(&walker.at, &name) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(Place { folder: walker.at, name, found: None }),
            Err(errno) => return Err(errno.into()),
        };
        let mut is_descriptor = false;
        if is_kind(&stat, FileType::Symlink) && last == LastLink::Follow {
            walker.check_link(&name, &stat)?;
            is_descriptor = is_on_proc(&handle)?;
            if !is_descriptor {
                walker.follow(&handle)?;
                continue;
            }
        }
        return Ok(Place { folder: walker.at, name, found: Some(Found { handle, stat, is_descriptor }) });
    }
}

/// The way to a folder, its last part being no link.
pub(super) fn folder(path: &Path) -> io::Result<Place> {
    file(path, LastLink::Stop)
}

/// Opens the file of a name with `O_PATH`, also a link.
pub(super) fn look(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<(OwnedFd, Stat)> {
    let handle = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&handle)?;
    Ok((handle, stat))
}

struct Walker {
    at: OwnedFd,
    /// Parts of the path, the next one last.
    rest: Vec<OsString>,
    links: usize,
}

impl Walker {
    fn begin(path: &Path) -> io::Result<Walker> {
        let start = if path.is_absolute() { "/" } else { "." };
        let mut walker = Walker { at: open_folder(start)?, rest: Vec::new(), links: 0 };
        walker.push(path);
        Ok(walker)
    }

    fn push(&mut self, path: &Path) {
        let parts = path.components().rev().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        self.rest.extend(parts);
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        let (handle, stat) = look(&self.at, name)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.at = handle,
            FileType::Symlink => {
                self.check_link(name, &stat)?;
                match is_on_proc(&handle)? {
                    true => self.at = openat(&self.at, name, FOLDER, Mode::empty())?,
                    false => self.follow(&handle)?,
                }
            }
            _ => return Err(Errno::NOTDIR.into()),
        }
        Ok(())
    }

    fn check_link(&self, name: &OsStr, stat: &Stat) -> io::Result<()> {
        match stat.st_uid {
            owner if owner == 0 || owner == user() => Ok(()),
            owner => Err(refused(format!(
                "{} is a symbolic link that belongs to uid {owner}; name the path that it points to",
                name.display()
            ))),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> io::Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(link, "", Vec::new())?;
        let target = OsString::from_vec(target.into_bytes());
        let target = Path::new(&target);
        if target.is_absolute() {
            self.at = open_folder("/")?;
        }
        self.push(target);
        Ok(())
    }
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn open_folder(path: &str) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, FOLDER, Mode::empty())?)
}

fn is_on_proc(handle: &OwnedFd) -> io::Result<bool> {
    #[allow(clippy::unnecessary_cast)] // Its width differs by platform.
    let kind = fstatfs(handle)?.f_type as i64;
    Ok(kind == PROC)
}
