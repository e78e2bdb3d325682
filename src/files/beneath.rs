//! A tree of files that is never left: what lies below a folder, whatever links lie in it.
//!
//! Links to folders are not followed at all. A link to a file is, where it stays within the tree and the kernel can
//! tell (`openat2`); elsewhere it counts as absent.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::{Facts, is_kind, refused};

/// What a name in a folder of the tree is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Entry {
    /// A file, or a link to one within the tree.
    File,
    /// A folder in the tree.
    Folder,
}

/// The folder at the root of a tree, held open.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    /// Opens the root, a path that the user named: links in it are followed.
    pub fn open(root: &Path) -> io::Result<Beneath> {
        Ok(Beneath { root: openat(CWD, root, FOLDER, Mode::empty())? })
    }

    /// A folder of this tree as a tree of its own.
    pub fn within(&self, path: &str) -> io::Result<Beneath> {
        Ok(Beneath { root: self.folder(path)? })
    }

    /// Makes a folder, and those above it, unless it is there.
    pub fn make_folder(&self, path: &str) -> io::Result<()> {
        self.make_folders(path).map(drop)
    }

    /// Removes an empty folder.
    pub fn remove_folder(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(unlinkat(&folder, name, AtFlags::REMOVEDIR)?)
    }

    /// Whether the root still has a name.
    pub fn exists(&self) -> bool {
        fstat(&self.root).is_ok_and(|stat| stat.st_nlink > 0)
    }

    /// Opens a regular file for reading by its path below the root.
    pub fn file(&self, path: &str) -> io::Result<(File, Facts)> {
        let (folder, name) = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let handle = match openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::LOOP) => {
                openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
                    .map_err(|_| Errno::NOENT)?
            }
            other => other?,
        };
        let stat = fstat(&handle)?;
        match is_kind(&stat, FileType::RegularFile) {
            true => Ok((handle.into(), Facts::of(&stat))),
            false => Err(Errno::NOENT.into()),
        }
    }

    /// Moves a file from elsewhere under a path below the root, and gives it this mode. Folders on the way are made.
    pub fn take_in(&self, from: &Path, path: &str, mode: u32) -> io::Result<Facts> {
        let (above, name) = split(path);
        let folder = self.make_folders(above)?;
        if statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_kind(&stat, FileType::Directory)) {
            return Err(Errno::ISDIR.into());
        }
        let moved = openat(CWD, from, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        fchmod(&moved, Mode::from_raw_mode(mode))?;
        renameat(CWD, from, &folder, name)?;
        Ok(Facts::of(&fstat(&moved)?))
    }

    /// Removes a file or link, and the folders that it leaves empty.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        unlinkat(&folder, name, AtFlags::empty())?;
        let mut empty = split(path).0;
        while !empty.is_empty() {
            let (above, name) = split(empty);
            let removed = self.folder(above).and_then(|above| Ok(unlinkat(&above, name, AtFlags::REMOVEDIR)?));
            if removed.is_err() {
                break;
            }
            empty = above;
        }
        Ok(())
    }

    /// When the content of a folder changed last.
    pub fn modified(&self, path: &str) -> io::Result<SystemTime> {
        Ok(Facts::of(&fstat(self.folder(path)?)?).modified)
    }

    /// The names in a folder that are files or folders.
    pub fn names(&self, path: &str) -> io::Result<Vec<(OsString, Entry)>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(self.folder(path)?, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&handle)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::RegularFile => Some(Entry::File),
                FileType::Directory => Some(Entry::Folder),
                FileType::Symlink | FileType::Unknown => self.kind(path, name, &handle),
                _ => None,
            };
            names.extend(kind.map(|kind| (name.to_owned(), kind)));
        }
        Ok(names)
    }

    /// What a link, or a name whose kind the folder does not tell, is.
    fn kind(&self, path: &str, name: &OsStr, folder: &OwnedFd) -> Option<Entry> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Some(Entry::Folder),
            FileType::RegularFile => Some(Entry::File),
            FileType::Symlink => {
                let whole = format!("{path}/{}", name.to_str()?);
                self.file(whole.trim_start_matches('/')).ok().map(|_| Entry::File)
            }
            _ => None,
        }
    }

    pub(super) fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (above, name) = split(path);
        Ok((self.folder(above)?, name))
    }

    /// A folder below the root, or the root for an empty path.
    fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return self.root.try_clone();
        }
        let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.root, path, FOLDER, Mode::empty(), flags) {
            // An old kernel, or a filter of system calls that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => self.folder_by_steps(path, Missing::IsAnError),
            // What a link gives, which stands for nothing here.
            Err(Errno::LOOP | Errno::XDEV) => Err(Errno::NOTDIR.into()),
            other => Ok(other?),
        }
    }

    pub(super) fn make_folders(&self, path: &str) -> io::Result<OwnedFd> {
        match self.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.folder_by_steps(path, Missing::IsMade),
            other => other,
        }
    }

    fn folder_by_steps(&self, path: &str, missing: Missing) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if name == "." || name == ".." {
                return Err(refused(format!("{path} points outside of its tree")));
            }
            if missing == Missing::IsMade {
                match mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            at = openat(&at, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(at)
    }
}

/// What to do about a folder that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Missing {
    IsAnError,
    IsMade,
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The folder's path, empty for the root, and the name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use nix::unistd::mkfifo;

    use super::*;

    struct Bed {
        scratch: tempfile::TempDir,
        tree: Beneath,
    }

    impl Bed {
        /// A tree `root` beside a folder `outside` with a file.
        fn new() -> Bed {
            let scratch = tempfile::tempdir().unwrap();
            for folder in ["root/a/b", "outside"] {
                fs::create_dir_all(scratch.path().join(folder)).unwrap();
            }
            fs::write(scratch.path().join("outside/secret"), "secret").unwrap();
            fs::write(scratch.path().join("root/a/file"), "inside").unwrap();
            let tree = Beneath::open(&scratch.path().join("root")).unwrap();
            Bed { scratch, tree }
        }

        fn text(&self, path: &str) -> io::Result<String> {
            let mut text = String::new();
            self.tree.file(path)?.0.read_to_string(&mut text)?;
            Ok(text)
        }

        fn put(&self, path: &str) -> io::Result<Facts> {
            let staged = self.scratch.path().join("staged");
            fs::write(&staged, "new").unwrap();
            self.tree.take_in(&staged, path, 0o640)
        }

        fn link(&self, target: &str, name: &str) {
            symlink(target, self.scratch.path().join("root").join(name)).unwrap();
        }
    }

    #[test]
    fn files_are_read_written_and_removed_within() {
        let bed = Bed::new();
        assert_eq!(bed.text("a/file").unwrap(), "inside");
        let facts = bed.put("new/deep/file").unwrap();
        assert_eq!((facts.mode, facts.size), (0o640, 3));
        assert_eq!(bed.text("new/deep/file").unwrap(), "new");
        bed.put("new/deep/file").unwrap();
        assert_eq!(bed.put("new/deep").unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(bed.put("a/file/below").unwrap_err().kind(), io::ErrorKind::NotADirectory);
        let mut names = bed.tree.names("").unwrap();
        names.sort();
        assert_eq!(names, [("a".into(), Entry::Folder), ("new".into(), Entry::Folder)]);
        bed.tree.remove("new/deep/file").unwrap();
        assert_eq!(bed.tree.names("").unwrap(), [("a".into(), Entry::Folder)], "empty folders go");
        assert_eq!(bed.text("none").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(bed.tree.exists() && bed.tree.modified("a").is_ok());
        bed.tree.make_folder("c/d").unwrap();
        let within = bed.tree.within("c/d").unwrap();
        assert!(bed.tree.remove_folder("c").is_err() && within.exists());
        bed.tree.remove_folder("c/d").unwrap();
        assert!(!within.exists());
    }

    #[test]
    fn no_link_leads_out_and_none_to_a_folder_is_followed() {
        let bed = Bed::new();
        bed.link("../outside", "out");
        bed.link("a", "within");
        bed.link("../outside/secret", "file-out");
        bed.link("/etc/hostname", "file-absolute");
        bed.link("a/file", "file-within");
        bed.link("a/../a/../../outside/secret", "file-back");
        mkfifo(&bed.scratch.path().join("root/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in
            ["out/secret", "within/file", "file-out", "file-absolute", "file-back", "fifo", "a", "../outside/secret"]
        {
            assert!(bed.text(path).is_err(), "{path}");
        }
        assert_eq!(bed.text("file-within").unwrap(), "inside");
        for path in ["out/new", "within/new", "out/deep/new", "../outside/new"] {
            assert!(bed.put(path).is_err(), "{path}");
            assert!(bed.tree.remove(path).is_err(), "{path}");
        }
        assert!(bed.tree.remove("out/secret").is_err());
        assert!(bed.tree.names("out").is_err() && bed.tree.names("within").is_err());
        assert!(bed.tree.within("out").is_err() && bed.tree.make_folder("out/new").is_err());
        let mut names = bed.tree.names("").unwrap();
        names.sort();
        assert_eq!(names, [("a".into(), Entry::Folder), ("file-within".into(), Entry::File)]);
        // A link itself can be replaced and removed; what it leads to stays.
        bed.put("file-out").unwrap();
        bed.tree.remove("out").unwrap();
        let outside = bed.scratch.path().join("outside");
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
        assert_eq!(fs::read_dir(outside).unwrap().count(), 1);
    }

    #[test]
    fn steps_lead_where_one_call_does() {
        let bed = Bed::new();
        bed.link("../outside", "out");
        let step = |path: &str| bed.tree.folder_by_steps(path, Missing::IsAnError);
        step("a/b").unwrap();
        for path in ["out", "..", "a/file", "none"] {
            assert!(step(path).is_err() && bed.tree.folder(path).is_err(), "{path}");
        }
    }
}
