//! Files that are received below a folder: under a name of their own until they are whole.
//!
//! A file that is being received can stay behind with the record of what has come, so that a later process goes on with
//! it. One process at a time holds it, by a lock.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps,
    UTIME_OMIT, fallocate, flock, fstat, futimens, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::beneath::split;
use super::{Beneath, Facts, is_kind, kind_name, refused, user};

/// What to do with what has the name of a file that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It stays, and the file is refused.
    Keep,
    /// It is replaced, unless it is a folder. A link is replaced itself.
    Replace,
}

/// A file that is being received, open for reading and writing.
#[derive(Debug)]
pub struct Landing {
    folder: OwnedFd,
    name: String,
    temporary: String,
    record: String,
    file: File,
}

impl Beneath {
    /// Opens the root, which is made where nothing is there but the folder above it.
    pub fn open_or_make(root: &Path) -> io::Result<Beneath> {
        match mkdirat(CWD, root, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => Beneath::open(root),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether something has this name, and what it is where that is a regular file.
    pub fn held(&self, path: &str) -> io::Result<Option<Result<Facts, &'static str>>> {
        let (folder, name) = match self.parent(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_kind(&stat, FileType::RegularFile) => Ok(Some(Ok(Facts::of(&stat)))),
            Ok(stat) => Ok(Some(Err(kind_name(&stat)))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Begins to receive a file of this path, or goes on with it: `id` tells apart what may not be mixed, and is part
    /// of names. Folders on the way are made.
    pub fn land(&self, path: &str, id: &str) -> io::Result<Landing> {
        let (above, name) = split(path);
        let folder = self.make_folders(above)?;
        let (temporary, record) = (format!(".ossmount-{id}.part"), format!(".ossmount-{id}.record"));
        let file = open(&folder, &temporary)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Landing { folder, name: name.to_owned(), temporary, record, file }),
            Err(Errno::WOULDBLOCK) => Err(refused("another process is copying the same object to there".to_owned())),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Landing {
    /// The file that takes the bytes.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The record of what has come, to be read and appended to.
    pub fn record(&self) -> io::Result<File> {
        open(&self.folder, &self.record)
    }

    /// What gives the file its size, and the blocks for it where the file system can. In memory (tmpfs) that takes a
    /// second for each 8 GB: it may be done while bytes are written.
    pub fn reserving(&self, bytes: u64) -> io::Result<impl FnOnce() -> io::Result<()> + Send + use<>> {
        let file = self.file.try_clone()?;
        Ok(move || match bytes {
            0 => file.set_len(0),
            bytes => match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
                Err(Errno::NOSPC) => Err(Errno::NOSPC.into()),
                Ok(()) | Err(_) => file.set_len(bytes),
            },
        })
    }

    /// Gives the file its name, and this time of its last change.
    pub fn put(self, existing: Existing, modified: Option<SystemTime>) -> io::Result<()> {
        if let Some(since) = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let last_modification = Timespec { tv_sec: seconds, tv_nsec: since.subsec_nanos().into() };
            let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            futimens(&self.file, &Timestamps { last_access, last_modification })?;
        }
        match existing {
            Existing::Replace => renameat(&self.folder, &self.temporary, &self.folder, &self.name)?,
            Existing::Keep => self.rename_to_new()?,
        }
        // There need be none.
        let _ = unlinkat(&self.folder, &self.record, AtFlags::empty());
        Ok(())
    }

    fn rename_to_new(&self) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(&self.folder, &self.temporary, &self.folder, &self.name, flags) {
            // A file system that cannot do both in one step.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                    return Err(Errno::EXIST.into());
                }
                Ok(renameat(&self.folder, &self.temporary, &self.folder, &self.name)?)
            }
            other => Ok(other?),
        }
    }

    /// Removes what has come.
    pub fn discard(self) {
        for name in [&self.temporary, &self.record] {
            // It is the failure before that is told.
            let _ = unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// A regular file of this user, without another name, which is made where there is none.
fn open(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let handle = openat(folder, name, flags, Mode::from_raw_mode(0o666)).map_err(|errno| match errno {
        Errno::LOOP => refused(format!("{name} is a symbolic link there; remove it")),
        errno => errno.into(),
    })?;
    let stat = fstat(&handle)?;
    match is_kind(&stat, FileType::RegularFile) && stat.st_uid == user() && stat.st_nlink == 1 {
        true => Ok(handle.into()),
        false => Err(refused(format!("{name} is not a file of this user there; remove it"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    fn tree() -> (tempfile::TempDir, Beneath) {
        let scratch = tempfile::tempdir().unwrap();
        let tree = Beneath::open_or_make(&scratch.path().join("tree")).unwrap();
        (scratch, tree)
    }

    fn received(tree: &Beneath, path: &str, existing: Existing) -> io::Result<()> {
        let landing = tree.land(path, "1")?;
        landing.reserving(3)?()?;
        landing.file().write_all(b"new")?;
        landing.put(existing, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_210_096)))
    }

    #[test]
    fn a_file_appears_whole_and_with_its_time() {
        let (scratch, tree) = tree();
        received(&tree, "a/b/file", Existing::Keep).unwrap();
        let path = scratch.path().join("tree/a/b/file");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let facts = tree.held("a/b/file").unwrap().unwrap().unwrap();
        assert_eq!((facts.size, facts.modified), (3, fs::metadata(&path).unwrap().modified().unwrap()));
        assert_eq!(facts.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1_709_210_096);
        assert_eq!(fs::read_dir(scratch.path().join("tree/a/b")).unwrap().count(), 1);
        assert!(matches!(
            (tree.held("a"), tree.held("a/none"), tree.held("none/x")),
            (Ok(Some(Err("a directory"))), Ok(None), Ok(None))
        ));
    }

    #[test]
    fn what_is_there_stays_unless_it_shall_be_replaced() {
        let (scratch, tree) = tree();
        let at = |name: &str| scratch.path().join(name);
        fs::write(at("tree/file"), "old").unwrap();
        fs::write(at("outside"), "old").unwrap();
        symlink(at("outside"), at("tree/link")).unwrap();
        fs::create_dir(at("tree/folder")).unwrap();
        for name in ["file", "link", "folder"] {
            let error = received(&tree, name, Existing::Keep).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        received(&tree, "file", Existing::Replace).unwrap();
        received(&tree, "link", Existing::Replace).unwrap();
        received(&tree, "folder", Existing::Replace).unwrap_err();
        assert_eq!(fs::read(at("tree/file")).unwrap(), b"new");
        assert!(fs::symlink_metadata(at("tree/link")).unwrap().is_file());
        assert_eq!(fs::read(at("outside")).unwrap(), b"old");
    }

    #[test]
    fn links_lead_nowhere_and_planted_files_are_refused() {
        let (scratch, tree) = tree();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("outside")).unwrap();
        symlink(at("outside"), at("tree/link")).unwrap();
        received(&tree, "link/file", Existing::Replace).unwrap_err();
        received(&tree, "../file", Existing::Replace).unwrap_err();
        assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 0);
        fs::write(at("secret"), "old").unwrap();
        symlink(at("secret"), at("tree/.ossmount-1.part")).unwrap();
        assert!(received(&tree, "file", Existing::Keep).unwrap_err().to_string().contains("symbolic link"));
        fs::remove_file(at("tree/.ossmount-1.part")).unwrap();
        fs::hard_link(at("secret"), at("tree/.ossmount-1.part")).unwrap();
        assert!(received(&tree, "file", Existing::Keep).unwrap_err().to_string().contains("not a file of this user"));
        assert_eq!(fs::read(at("secret")).unwrap(), b"old");
    }

    #[test]
    fn one_process_at_a_time_goes_on_with_what_has_come() {
        let (_scratch, tree) = tree();
        let first = tree.land("file", "1").unwrap();
        first.record().unwrap().write_all(b"half").unwrap();
        assert!(tree.land("file", "1").unwrap_err().to_string().contains("another process"));
        drop(first);
        let second = tree.land("file", "1").unwrap();
        let mut text = String::new();
        second.record().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "half");
        second.discard();
        let mut text = String::new();
        tree.land("file", "1").unwrap().record().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    }
}
