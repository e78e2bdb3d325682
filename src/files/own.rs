//! Files that this process makes where others may write, too.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, renameat, unlinkat};

use super::walk::{self, LastLink, Place};
use super::{identity, is_kind, kind_name, refused};

/// A name that this process has given to a file or socket. Dropping it removes the name, if it is still of that inode.
#[derive(Debug)]
pub struct Own {
    folder: OwnedFd,
    name: OsString,
    identity: (u64, u64),
}

impl Own {
    pub(super) fn new(folder: OwnedFd, name: OsString, stat: &Stat) -> Own {
        Own { folder, name, identity: identity(stat) }
    }

    /// Leaves the name where it is.
    pub fn leave(mut self) {
        // No inode has this.
        self.identity = (0, 0);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let is_ours = walk::look(&self.folder, &self.name).is_ok_and(|(_, stat)| identity(&stat) == self.identity);
        if is_ours {
            // Gone already is as good.
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Puts a file with these bytes under a name, at once and whole, in place of the regular file that may be there. Its
/// mode is this one as far as the umask allows.
///
/// Fails with a sentence where something else is there, a link for instance. On failure nothing is left.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Own> {
    let mut new = New::beside(path, mode)?;
    new.file.write_all(bytes)?;
    new.file.sync_data()?;
    new.put()
}

/// Whether [`replace`] can make a file at this path. Nothing is left of the trial.
pub fn can_replace(path: &Path) -> io::Result<()> {
    New::beside(path, 0o600).map(drop)
}

/// Gives a file another name in its folder, in place of what has that name.
pub fn rename(path: &Path, name: &OsStr) -> io::Result<()> {
    let place = walk::file(path, LastLink::Stop)?;
    Ok(renameat(&place.folder, &place.name, &place.folder, name)?)
}

/// A file that is not under its name yet. Dropping it removes it.
struct New {
    folder: OwnedFd,
    /// The name that it has.
    temporary: Option<OsString>,
    /// The name that it shall have.
    name: OsString,
    file: File,
}

impl New {
    fn beside(path: &Path, mode: u32) -> io::Result<New> {
        let Place { folder, name, found } = walk::file(path, LastLink::Stop)?;
        if let Some(found) = found {
            check_regular(&found.stat)?;
        }
        let temporary = OsString::from(format!(".ossmount-{:016x}", rand::random::<u64>()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&folder, &temporary, flags, Mode::from_raw_mode(mode))?);
        Ok(New { folder, temporary: Some(temporary), name, file })
    }

    fn put(mut self) -> io::Result<Own> {
        let own = Own::new(self.folder.try_clone()?, self.name.clone(), &fstat(&self.file)?);
        if let Some(temporary) = &self.temporary {
            renameat(&self.folder, temporary, &self.folder, &self.name)?;
        }
        self.temporary = None;
        Ok(own)
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // It is the failure before that is told.
            let _ = unlinkat(&self.folder, temporary, AtFlags::empty());
        }
    }
}

fn check_regular(stat: &Stat) -> io::Result<()> {
    match is_kind(stat, FileType::RegularFile) {
        true => Ok(()),
        false => Err(refused(format!("{} exists there", kind_name(stat)))),
    }
}

/// Opens a file to append to, and makes it where there is none, with this mode as far as the umask allows. A named pipe
/// or a device is taken where root or this user owns it, and so are descriptors of this process (`/dev/stderr`).
///
/// Fails with a sentence where a link or such a file is another user's, or has a second name in a folder.
pub fn append(path: &Path, mode: u32) -> io::Result<File> {
    let Place { folder, name, found } = walk::file(path, LastLink::Follow)?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    if found.as_ref().is_some_and(|found| found.is_descriptor) {
        return Ok(openat(&folder, &name, flags, Mode::empty())?.into());
    }
    if let Some(found) = &found {
        check_appendable(&found.stat)?;
    }
    let flags = flags | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let handle = openat(&folder, &name, flags, Mode::from_raw_mode(mode))?;
    check_appendable(&fstat(&handle)?)?;
    Ok(handle.into())
}

fn check_appendable(stat: &Stat) -> io::Result<()> {
    let (kind, owner) = (kind_name(stat), stat.st_uid);
    match FileType::from_raw_mode(stat.st_mode) {
        // A file of another user that lies here under a second name.
        FileType::RegularFile if stat.st_nlink > 1 => Err(refused(format!(
            "it has {} hard links, and another user may have created one of them; name another file",
            stat.st_nlink
        ))),
        FileType::RegularFile => Ok(()),
        FileType::Fifo | FileType::CharacterDevice if owner == 0 || owner == super::user() => Ok(()),
        FileType::Fifo | FileType::CharacterDevice => Err(refused(format!("{kind} that belongs to uid {owner}"))),
        _ => Err(refused(format!("{kind} exists there"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use nix::sys::stat::{Mode as NixMode, umask};
    use nix::unistd::mkfifo;

    use super::*;

    const STRANGER: u32 = 65534;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_whole_and_goes_with_what_made_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let before = umask(NixMode::empty());
        let first = replace(&path, b"first", 0o644).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"first".to_vec(), 0o644));
        let second = replace(&path, b"second", 0o644).unwrap();
        umask(before);
        drop(first);
        assert_eq!(fs::read(&path).unwrap(), b"second", "it is not the first one's any more");
        drop(second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        can_replace(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(replace(&folder.path().join("none/file"), b"", 0o644).is_err());
        let _own = replace(&path, b"third", 0o644).unwrap();
        rename(&path, OsStr::new("other")).unwrap();
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"third");
        assert!(!path.exists());
    }

    #[test]
    fn nothing_but_a_regular_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "precious").unwrap();
        symlink("target", at("link")).unwrap();
        mkfifo(&at("fifo"), NixMode::S_IRWXU).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for (name, says) in [("link", "a symbolic link"), ("fifo", "a named pipe"), ("folder", "a directory")] {
            for outcome in [replace(&at(name), b"1", 0o644).map(drop), can_replace(&at(name))] {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(says), "{name}: {error}");
            }
        }
        assert_eq!(fs::read(at("target")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing is left beside");
    }

    #[test]
    fn a_log_is_appended_to_no_file_that_others_chose() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let say = |name: &str| append(&at(name), 0o644).and_then(|mut file| file.write_all(b"line\n"));
        let before = umask(NixMode::empty());
        say("log").unwrap();
        say("log").unwrap();
        umask(before);
        assert_eq!((fs::read(at("log")).unwrap(), mode(&at("log"))), (b"line\nline\n".to_vec(), 0o644));
        fs::write(at("target"), "precious").unwrap();
        symlink(at("target"), at("link")).unwrap();
        lchown(at("link"), Some(STRANGER), None).unwrap();
        assert!(say("link").unwrap_err().to_string().contains("belongs to uid"));
        fs::hard_link(at("target"), at("second")).unwrap();
        assert!(say("second").unwrap_err().to_string().contains("has 2 hard links"));
        mkfifo(&at("fifo"), NixMode::S_IRWXU).unwrap();
        // Without a reader it does not wait.
        assert_eq!(say("fifo").unwrap_err().raw_os_error(), Some(libc::ENXIO));
        lchown(at("fifo"), Some(STRANGER), None).unwrap();
        assert!(say("fifo").unwrap_err().to_string().contains("a named pipe that belongs to uid"));
        say("").unwrap_err();
        assert_eq!(fs::read(at("target")).unwrap(), b"precious");
        // A link of this user's own is theirs to make.
        lchown(at("link"), Some(super::super::user()), None).unwrap();
        fs::remove_file(at("second")).unwrap();
        say("link").unwrap();
        assert_eq!(fs::read(at("target")).unwrap(), b"preciousline\n");
        append(Path::new("/dev/null"), 0o644).unwrap();
    }
}
