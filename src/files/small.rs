//! Small files, read whole: regular, bounded, and without waiting.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Mode, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat, openat};
use rustix::io::Errno;

use super::walk::{self, LastLink, Place};
use super::{identity, is_kind, kind_name, refused, user};
use crate::base::ByteSize;

/// What is known of a file, from the descriptor that it was read through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Who may change its mode.
    pub owner: u32,
    /// The permission bits of the file.
    pub mode: u32,
    /// When its content changed last.
    pub modified: SystemTime,
    /// The size of the file, in bytes.
    pub size: u64,
    /// Device and number of the inode.
    pub identity: (u64, u64),
}

impl Facts {
    pub(super) fn of(stat: &Stat) -> Facts {
        let since = Duration::new(stat.st_mtime.try_into().unwrap_or(0), stat.st_mtime_nsec as u32);
        Facts {
            owner: stat.st_uid,
            mode: stat.st_mode & 0o7777,
            modified: SystemTime::UNIX_EPOCH + since,
            size: stat.st_size.try_into().unwrap_or(0),
            identity: identity(stat),
        }
    }

    /// Why this process must take no orders from the file, and the cure: who owns it or may write to it is neither root
    /// nor the user of this process. `None` where it may be trusted.
    pub fn distrust(&self, path: &Path) -> Option<String> {
        self.distrust_as(user(), path)
    }

    fn distrust_as(&self, user: u32, path: &Path) -> Option<String> {
        let (owner, mode, path) = (self.owner, self.mode, path.display());
        if owner != 0 && owner != user {
            return Some(format!(
                "it belongs to uid {owner} (mode {mode:04o}), and this process runs as uid {user}: chown {user} {path}"
            ));
        }
        let is_writable = mode & 0o022 != 0;
        is_writable
            .then(|| format!("other users may write to it (mode {mode:04o}, owner uid {owner}): chmod go-w {path}"))
    }

    /// Whether others than the owner may read it.
    pub fn is_open_to_others(&self) -> bool {
        self.mode & 0o077 != 0
    }
}

/// The content of a file, and the facts about it.
#[derive(Debug)]
pub struct Small {
    /// The whole content of the file.
    pub bytes: Vec<u8>,
    /// The owner and the mode of the file.
    pub facts: Facts,
}

/// Reads a regular file of at most so many bytes, or a descriptor of this process (`/dev/fd/N`) up to its end.
///
/// Fails with a sentence where it is of another kind or larger, and where a link on the way is another user's.
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Small> {
    let place = walk::file(path, LastLink::Follow)?;
    let (file, facts) = open(&place)?;
    content(&file, facts, most_bytes).map(|bytes| Small { bytes, facts })
}

/// What is known of a regular file, whose content is not read.
pub fn facts(path: &Path) -> io::Result<Facts> {
    open(&walk::file(path, LastLink::Follow)?).map(|(_, facts)| facts)
}

/// As [`read`], of a file that must be UTF-8.
pub fn read_text(path: &Path, most_bytes: u64) -> io::Result<String> {
    let bytes = read(path, most_bytes)?.bytes;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Opens what was found for reading. A file that is not regular is not opened at all.
pub(super) fn open(place: &Place) -> io::Result<(File, Facts)> {
    let found = place.found.as_ref().ok_or(Errno::NOENT)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    if found.is_descriptor {
        let handle = openat(&place.folder, &place.name, flags, Mode::empty())?;
        let stat = fstat(&handle)?;
        if !is_kind(&stat, FileType::Fifo) {
            check_regular(&stat)?;
        }
        return Ok((waiting(handle)?, Facts::of(&stat)));
    }
    check_regular(&found.stat)?;
    let handle = openat(&place.folder, &place.name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    // It may have been swapped since: this is what is read.
    let stat = fstat(&handle)?;
    check_regular(&stat)?;
    Ok((handle.into(), Facts::of(&stat)))
}

/// The writer of a pipe that this process was given may take its time.
fn waiting(handle: OwnedFd) -> io::Result<File> {
    fcntl_setfl(&handle, fcntl_getfl(&handle)? - OFlags::NONBLOCK)?;
    Ok(handle.into())
}

fn check_regular(stat: &Stat) -> io::Result<()> {
    match is_kind(stat, FileType::RegularFile) {
        true => Ok(()),
        false => Err(refused(format!("it is {}, not a regular file", kind_name(stat)))),
    }
}

pub(super) fn content(mut file: &File, facts: Facts, most_bytes: u64) -> io::Result<Vec<u8>> {
    let too_large = || refused(format!("it is larger than {}", ByteSize(most_bytes)));
    if facts.size > most_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(facts.size as usize);
    (&mut file).take(most_bytes + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most_bytes {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::stat::Mode as NixMode;
    use nix::unistd::mkfifo;

    use super::*;

    const STRANGER: u32 = 65534;

    fn error(path: &Path) -> String {
        read(path, 8).unwrap_err().to_string()
    }

    #[test]
    fn what_has_no_end_or_keeps_waiting_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mkfifo(&at("fifo"), NixMode::S_IRWXU).unwrap();
        assert!(error(&at("fifo")).contains("a named pipe, not a regular file"));
        assert!(error(Path::new("/dev/zero")).contains("a device, not a regular file"));
        symlink("/dev/zero", at("zero")).unwrap();
        assert!(error(&at("zero")).contains("a device"));
        assert!(error(folder.path()).contains("a directory"));
        assert_eq!(read(&at("none"), 8).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(at("file"), "12345678").unwrap();
        assert_eq!(read(&at("file"), 8).unwrap().bytes, b"12345678");
        assert_eq!(read_text(&at("file"), 9).unwrap(), "12345678");
        assert!(read(&at("file"), 7).unwrap_err().to_string().contains("larger than 7"));
        // It says that it is empty.
        assert!(read(Path::new("/proc/self/status"), 100).unwrap_err().to_string().contains("larger than 100"));
        fs::write(at("latin"), b"\xfc").unwrap();
        assert!(read_text(&at("latin"), 9).unwrap_err().to_string().contains("not UTF-8"));
        symlink("circle", at("circle")).unwrap();
        assert_eq!(read(&at("circle"), 8).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_descriptor_of_this_process_is_read_to_its_end() {
        let (reader, writer) = std::io::pipe().unwrap();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            io::Write::write_all(&mut { writer }, b"late").unwrap();
        });
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert_eq!(read(Path::new(&path), 8).unwrap().bytes, b"late");
        thread.join().unwrap();
    }

    #[test]
    fn links_of_this_user_and_of_root_are_followed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/file"), "content").unwrap();
        symlink("real", at("folder")).unwrap();
        symlink(at("folder/../folder/file"), at("link")).unwrap();
        assert_eq!(read(&at("link"), 8).unwrap().bytes, b"content");
        for name in ["folder", "link"] {
            let own = |uid| std::os::unix::fs::lchown(at(name), Some(uid), None).unwrap();
            own(STRANGER);
            let sentence = error(&at("link"));
            let expected = format!("{name} is a symbolic link that belongs to uid {STRANGER}");
            assert!(sentence.contains(&expected), "{sentence}");
            own(user());
        }
    }

    #[test]
    fn who_may_write_a_file_decides_whether_it_is_believed() {
        let facts = |owner, mode| Facts { owner, mode, ..Facts::of(&rustix::fs::stat("/").unwrap()) };
        let distrust = |owner, mode, user| facts(owner, mode).distrust_as(user, Path::new("/f"));
        for (owner, mode, user) in [(0, 0o644, 0), (0, 0o600, 7), (7, 0o644, 7)] {
            assert_eq!(distrust(owner, mode, user), None);
        }
        let sentence = distrust(7, 0o600, 0).unwrap();
        assert_eq!(sentence, "it belongs to uid 7 (mode 0600), and this process runs as uid 0: chown 0 /f");
        for mode in [0o620, 0o602] {
            let sentence = distrust(0, mode, 0).unwrap();
            assert!(sentence.ends_with("owner uid 0): chmod go-w /f") && sentence.contains(&format!("{mode:o}")));
        }
        assert!(facts(0, 0o640).is_open_to_others() && !facts(0, 0o600).is_open_to_others());
    }

    #[test]
    fn facts_are_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "abc").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let facts = read(&path, 8).unwrap().facts;
        assert_eq!((facts.owner, facts.mode, facts.size), (user(), 0o640, 3));
        assert_eq!(facts.modified, fs::metadata(&path).unwrap().modified().unwrap());
    }
}
