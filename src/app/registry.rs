//! Lets other processes find the daemon of a mount, and wait for its end.
//!
//! A runtime directory holds one file per live mount, named by process id. The daemon keeps its file locked for as
//! long as it lives, so a file that can be locked is a leftover, whatever process has that number by now.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::variable;

/// How often a lock is tried while waiting for a daemon to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a daemon says of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) struct Entry {
    /// Its process id.
    pub(super) pid: u32,
    /// Where it is mounted, absolute and without links.
    pub(super) dir: PathBuf,
    /// What is mounted.
    pub(super) source: String,
    /// Where it takes control requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) socket: Option<PathBuf>,
}

/// A daemon's own entry. The file goes with this; the lock stays until the process is gone.
pub(super) struct Registration {
    path: PathBuf,
    lock: Option<Flock<File>>,
}

impl Registration {
    /// Enters this process's mount.
    pub(super) fn enter(dir: &Path, source: &str, socket: Option<&Path>) -> io::Result<Registration> {
        let socket = socket.map(Path::to_owned);
        let entry = Entry { pid: std::process::id(), dir: dir.to_owned(), source: source.to_owned(), socket };
        Self::enter_in(&runtime_dir(), &entry)
    }

    fn enter_in(folder: &Path, entry: &Entry) -> io::Result<Registration> {
        make(folder)?;
        sweep(folder);
        let path = folder.join(format!("{}.json", entry.pid));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut lock =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| io::Error::from(errno))?;
        lock.set_len(0)?;
        lock.write_all(serde_json::to_string(entry)?.as_bytes())?;
        lock.set_permissions(Permissions::from_mode(0o644))?;
        Ok(Registration { path, lock: Some(lock) })
    }
}

/// Where this process's control socket lies unless told: beside its entry. The folder is there afterwards.
pub(super) fn socket_path() -> io::Result<PathBuf> {
    let folder = runtime_dir();
    make(&folder)?;
    Ok(folder.join(format!("{}.sock", std::process::id())))
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // In a place where all may write, somebody else could have made it first.
    if fs::symlink_metadata(folder)?.uid() != Uid::effective().as_raw() {
        return Err(io::Error::other(format!("{} belongs to somebody else", folder.display())));
    }
    Ok(())
}

/// Removes what daemons that were killed have left. Files of live processes are let be: one may just be made. So are those
/// whose entry is locked, for a process in another name space, as in a container, does not show by its number.
fn sweep(folder: &Path) {
    for item in fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok) {
        let path = item.path();
        let pid = path.file_stem().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let is_gone = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
        if pid.is_some_and(is_gone) && !is_locked(&path.with_extension("json")) {
            // Somebody else may have swept it.
            let _ = fs::remove_file(path);
        }
    }
}

fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

impl Drop for Registration {
    fn drop(&mut self) {
        // A file left behind can be locked and so means nothing.
        let _ = fs::remove_file(&self.path);
        // Whoever waits for the lock waits for the end of the process, which takes a while yet when it has memory to
        // give back: the kernel lets go of the lock after that.
        std::mem::forget(self.lock.take());
    }
}

/// A daemon found by its entry.
pub(super) struct Found {
    pub(super) entry: Entry,
    file: File,
}

impl Found {
    /// Waits until the daemon has ended, or until the limit. Says whether it has.
    pub(super) fn wait_for_end(self, limit: Duration) -> bool {
        let mut file = self.file;
        let mut waited = Duration::ZERO;
        loop {
            match Flock::lock(file, FlockArg::LockSharedNonblock) {
                Ok(_) => return true,
                Err((back, _)) => file = back,
            }
            if waited >= limit {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
    }
}

/// The live daemon whose mount is on this directory, which must be absolute and without links.
pub(super) fn find(dir: &Path) -> Option<Found> {
    folders().iter().find_map(|folder| find_in(folder, dir))
}

/// All live daemons that this user may control, by their directories.
pub(super) fn all() -> Vec<Entry> {
    let live = |folder: &PathBuf| live_in(folder).map(|found| found.entry).collect::<Vec<_>>();
    let mut all: Vec<_> = folders().iter().flat_map(live).collect();
    all.sort_by(|a, b| a.dir.cmp(&b.dir));
    all
}

fn find_in(folder: &Path, dir: &Path) -> Option<Found> {
    live_in(folder).find(|found| found.entry.dir == dir)
}

/// The live daemons entered in a folder. What daemons that were killed have left is removed on the way.
fn live_in(folder: &Path) -> impl Iterator<Item = Found> + use<> {
    let items = fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
    items.map(|item| item.path()).filter(|path| path.extension().is_some_and(|end| end == "json")).filter_map(|path| {
        let mut file = File::open(&path).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let entry: Entry = serde_json::from_str(&text).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            // Nobody holds it: left by a daemon that was killed.
            Ok(_) => {
                let _ = fs::remove_file(&path);
                None
            }
            Err((file, _)) => Some(Found { entry, file }),
        }
    })
}

/// Where this user's daemons enter themselves.
fn runtime_dir() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/run/ossmount");
    }
    match variable("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => Path::new(&dir).join("ossmount"),
        None => std::env::temp_dir().join(format!("ossmount-{}", Uid::effective())),
    }
}

/// Where daemons that this user may unmount can have entered themselves.
fn folders() -> Vec<PathBuf> {
    let mut folders = vec![runtime_dir()];
    if Uid::effective().is_root() {
        let users = fs::read_dir("/run/user").into_iter().flatten().filter_map(std::result::Result::ok);
        folders.extend(users.map(|user| user.path().join("ossmount")));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_found_while_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        let entry =
            Entry { pid: std::process::id(), dir: "/mnt/a b".into(), source: "oss://b/ü".into(), socket: None };
        fs::write(folder.path().join("4294967295.json"), "left by a daemon that was killed").unwrap();
        let mut registration = Registration::enter_in(folder.path(), &entry).unwrap();
        let found = find_in(folder.path(), Path::new("/mnt/a b")).unwrap();
        assert_eq!(found.entry, entry);
        assert!(find_in(folder.path(), Path::new("/mnt/a")).is_none());
        assert!(!found.wait_for_end(Duration::from_millis(40)));

        let found = find_in(folder.path(), Path::new("/mnt/a b")).unwrap();
        let waiter = std::thread::spawn(move || found.wait_for_end(Duration::from_secs(60)));
        let lock = registration.lock.take();
        drop(registration);
        assert!(!waiter.is_finished(), "the lock decides, not the file");
        drop(lock);
        assert!(waiter.join().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_lives_in_another_name_space_is_let_be() {
        let folder = tempfile::tempdir().unwrap();
        let [entry, socket] = ["json", "sock"].map(|end| folder.path().join(format!("4294967295.{end}")));
        fs::write(&socket, "").unwrap();
        let lock = Flock::lock(File::create(&entry).unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
        sweep(folder.path());
        assert!(entry.exists() && socket.exists());
        drop(lock);
        sweep(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn leftovers_are_no_daemons() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry { pid: 78, dir: "/mnt".into(), source: "oss://b".into(), socket: None };
        fs::write(folder.path().join("78.json"), serde_json::to_string(&entry).unwrap()).unwrap();
        fs::write(folder.path().join("79.json"), "half a li").unwrap();
        assert!(find_in(folder.path(), Path::new("/mnt")).is_none());
        assert!(!folder.path().join("78.json").exists());
    }
}
