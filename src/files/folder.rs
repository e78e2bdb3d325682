//! A folder that belongs to one user, held open.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::walk::{self, Place};
use super::{Facts, is_kind, kind_name, refused, small, user};

/// An open folder, of which it is known that only its owner and root could have put anything into it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

impl Folder {
    /// Opens a folder that must belong to this user id and be writable by no other.
    pub fn open(path: &Path, owner: u32) -> io::Result<Folder> {
        let Place { folder, name, .. } = walk::folder(path)?;
        Folder::below(&folder, &name, path.to_owned(), owner)
    }

    /// The same for a folder of this user, which is made where it does not exist, as are those above it.
    pub fn open_or_make(path: &Path) -> io::Result<Folder> {
        match Folder::open(path, user()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        if let Some(above) = path.parent() {
            make_all(above)?;
        }
        make(path)?;
        Folder::open(path, user())
    }

    /// A folder in this one, which must belong to this user id.
    pub fn within(&self, name: &str, owner: u32) -> io::Result<Folder> {
        Folder::below(&self.handle, OsStr::new(name), self.path.join(name), owner)
    }

    /// The same for a folder of this user, which is made where it does not exist, with this mode as far as the umask
    /// allows.
    pub fn make_within(&self, name: &str, mode: u32) -> io::Result<Folder> {
        match mkdirat(&self.handle, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => self.within(name, user()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn below(above: &OwnedFd, name: &OsStr, path: PathBuf, owner: u32) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = openat(above, name, flags, Mode::empty()).map_err(|errno| match errno {
            // What a link gives.
            Errno::NOTDIR | Errno::LOOP => refused(format!("{} is not a directory", path.display())),
            errno => errno.into(),
        })?;
        check_owner(&fstat(&handle)?, &path, owner)?;
        Ok(Folder { path, handle })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Reads a small regular file in it, which must belong to this user id; the descriptor comes along.
    pub fn read(&self, name: &OsStr, owner: u32, most_bytes: u64) -> io::Result<(File, Vec<u8>)> {
        let (handle, stat) = walk::look(&self.handle, name)?;
        let folder = self.handle.try_clone()?;
        let found = walk::Found { handle, stat, is_descriptor: false };
        let (file, facts) = small::open(&Place { folder, name: name.to_owned(), found: Some(found) })?;
        check_file(&facts, name, owner)?;
        let bytes = small::content(&file, facts, most_bytes)?;
        Ok((file, bytes))
    }

    /// Opens a regular file of this user in it for reading and writing, and makes it where there is none.
    pub fn open_or_create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = openat(&self.handle, name, flags, Mode::from_raw_mode(0o644))?;
        let stat = fstat(&handle)?;
        if !is_kind(&stat, FileType::RegularFile) {
            return Err(refused(format!("{} is {}, not a regular file", name.display(), kind_name(&stat))));
        }
        check_file(&Facts::of(&stat), name, user())?;
        Ok(handle.into())
    }

    /// Removes a name that is no folder.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.handle, name, AtFlags::empty())?)
    }
}

impl AsFd for Folder {
    /// For names in it that are opened without following links.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

fn check_owner(stat: &Stat, path: &Path, owner: u32) -> io::Result<()> {
    let (path, found, mode) = (path.display(), stat.st_uid, stat.st_mode & 0o7777);
    if found != owner {
        return Err(refused(format!("{path} belongs to uid {found}, not to uid {owner}; remove it")));
    }
    if mode & 0o022 != 0 {
        // Where all may write on purpose, as to /tmp.
        let is_shared = mode & 0o1000 != 0;
        let cure = if is_shared { "name a directory below it".to_owned() } else { format!("chmod go-w {path}") };
        return Err(refused(format!("other users may write to {path} (mode {mode:04o}): {cure}")));
    }
    Ok(())
}

fn check_file(facts: &Facts, name: &OsStr, owner: u32) -> io::Result<()> {
    match facts.owner == owner {
        true => Ok(()),
        false => Err(refused(format!("{} belongs to uid {}, not to uid {owner}", name.display(), facts.owner))),
    }
}

fn make_all(path: &Path) -> io::Result<()> {
    match make(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), make_all)?;
            make(path)
        }
        other => other,
    }
}

/// Makes a folder; fine where something is there already.
fn make(path: &Path) -> io::Result<()> {
    if path.file_name().is_none() {
        return Ok(());
    }
    let Place { folder, name, found } = walk::folder(path)?;
    if found.is_some() {
        return Ok(());
    }
    match mkdirat(&folder, &name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use nix::unistd::mkfifo;

    use super::*;

    const STRANGER: u32 = 65534;

    #[test]
    fn a_folder_must_be_of_its_owner_and_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b/folder");
        let folder = Folder::open_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(folder.path(), path);
        Folder::open_or_make(&path).unwrap();
        let error = |path: &Path, owner| Folder::open(path, owner).unwrap_err().to_string();
        assert!(error(&path, STRANGER).contains(&format!("belongs to uid {}", user())));
        for mode in [0o775, 0o757] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(error(&path, user()).contains("chmod go-w"), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(error(&path, user()).contains("name a directory below it"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let link = scratch.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(error(&link, user()).contains("is not a directory"));
        chown(&path, Some(STRANGER), None).unwrap();
        assert!(Folder::open_or_make(&path).unwrap_err().to_string().contains("remove it"));
        let above = Folder::open(&scratch.path().join("a/b"), user()).unwrap();
        above.within("folder", STRANGER).unwrap();
        above.within("folder", user()).unwrap_err();
    }

    #[test]
    fn only_regular_files_of_the_owner_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(scratch.path(), user()).unwrap();
        let at = |name: &str| scratch.path().join(name);
        let read = |name: &str| folder.read(OsStr::new(name), user(), 4).map(|(_, bytes)| bytes);
        fs::write(at("file"), "text").unwrap();
        assert_eq!(read("file").unwrap(), b"text");
        fs::write(at("long"), "texts").unwrap();
        assert!(read("long").unwrap_err().to_string().contains("larger than"));
        symlink("file", at("link")).unwrap();
        assert!(read("link").unwrap_err().to_string().contains("a symbolic link"));
        mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read("fifo").unwrap_err().to_string().contains("a named pipe"));
        chown(at("file"), Some(STRANGER), None).unwrap();
        assert!(read("file").unwrap_err().to_string().contains("belongs to uid"));
        for (name, says) in [("link", "symbolic links"), ("fifo", "a named pipe"), ("file", "belongs to uid")] {
            let error = folder.open_or_create(OsStr::new(name)).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
        folder.open_or_create(OsStr::new("new")).unwrap();
        let mut names = folder.names().unwrap();
        names.sort();
        assert_eq!(names, ["fifo", "file", "link", "long", "new"]);
        folder.remove(OsStr::new("link")).unwrap();
        assert!(at("file").exists() && fs::symlink_metadata(at("link")).is_err());
    }

    #[test]
    fn a_folder_that_was_swapped_stays_the_one_that_was_opened() {
        let scratch = tempfile::tempdir().unwrap();
        let [path, aside, target] = ["folder", "aside", "target"].map(|name| scratch.path().join(name));
        let folder = Folder::open_or_make(&path).unwrap();
        fs::create_dir(&target).unwrap();
        for folder in [&path, &target] {
            fs::write(folder.join("daemon.json"), "{}").unwrap();
        }
        fs::rename(&path, &aside).unwrap();
        symlink(&target, &path).unwrap();
        folder.remove(OsStr::new("daemon.json")).unwrap();
        assert!(target.join("daemon.json").exists() && !aside.join("daemon.json").exists());
    }
}
