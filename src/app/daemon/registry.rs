//! Lets other processes find the daemon of a mount, and wait for its end.
//!
//! A runtime folder holds one file per live mount, named by process id. The daemon keeps its file locked for as long as
//! it lives, so a file that can be locked is a leftover, whatever process has that number by now.
//!
//! Daemons and commands open the same folders by the same checks: a folder belongs to the user whose daemons enter
//! themselves there, and no other user may write to it. Root looks into the folders of other users too, to show what
//! they say; it removes nothing there and waits for nothing. What an entry says is acted on only for a mount that the
//! kernel's table shows as the same user's.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::app::variable;
use crate::files::Folder;
use crate::fuse::{self, Mount};

/// How often a lock is tried while waiting for a daemon to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Entries have some hundred bytes, and a path at most.
const MOST_ENTRY_BYTES: u64 = 16 << 10;

/// Entries that are looked at in one folder: its owner may have made any number.
const MOST_ENTRIES: usize = 4096;

/// Where systemd keeps a folder for each user who is logged in, named by user id.
const USER_FOLDERS: &str = "/run/user";

/// What a daemon says of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(in crate::app) struct Entry {
    /// The process id of the daemon.
    pub(in crate::app) pid: u32,
    /// Where it is mounted, absolute and without links.
    pub(in crate::app) dir: PathBuf,
    /// The URL of what is mounted.
    pub(in crate::app) source: String,
    /// Where it takes control requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::app) socket: Option<PathBuf>,
    /// The number of its file system, as in [`Mount::device`]; absent where the daemon could not find it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::app) device: Option<(u32, u32)>,
}

impl Entry {
    /// Whether it is of this row of the kernel's table. A directory alone does not tell: the daemon of an earlier mount
    /// there lives on while another name space has that mount.
    fn is_of(&self, mount: &Mount) -> bool {
        self.dir == mount.dir && self.device.is_none_or(|device| device == mount.device)
    }
}

/// A daemon's own entry. The file goes with this; the lock stays until the process is gone.
pub(super) struct Registration {
    folder: Folder,
    name: OsString,
    lock: Option<Flock<File>>,
}

impl Registration {
    /// Enters this process's mount.
    pub(super) fn enter(dir: &Path, source: &str, socket: Option<&Path>) -> io::Result<Registration> {
        let socket = socket.map(Path::to_owned);
        let mount = fuse::mounts().ok().and_then(|mounts| mounts.into_iter().rfind(|mount| mount.dir == dir));
        let device = mount.map(|mount| mount.device);
        let entry = Entry { pid: std::process::id(), dir: dir.to_owned(), source: source.to_owned(), socket, device };
        Self::enter_in(own_folder()?, &entry)
    }

    fn enter_in(folder: Folder, entry: &Entry) -> io::Result<Registration> {
        sweep(&folder);
        let name = OsString::from(format!("{}.json", entry.pid));
        let file = folder.open_or_create(&name)?;
        let mut lock =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| io::Error::from(errno))?;
        lock.set_len(0)?;
        lock.write_all(serde_json::to_string(entry)?.as_bytes())?;
        lock.set_permissions(Permissions::from_mode(0o644))?;
        Ok(Registration { folder, name, lock: Some(lock) })
    }
}

/// Where this process's control socket lies unless told: beside its entry. The folder is there afterwards.
pub(super) fn socket_path() -> io::Result<PathBuf> {
    Ok(own_folder()?.path().join(format!("{}.sock", std::process::id())))
}

/// Removes what daemons that were killed have left. Files of live processes are let be: one may just be made. So are
/// those whose entry is locked, for a process in another name space, as in a container, does not show by its number.
fn sweep(folder: &Folder) {
    for name in folder.names().unwrap_or_default() {
        let path = Path::new(&name);
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
        let is_gone = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
        if pid.is_some_and(is_gone) && !is_locked(folder, path.with_extension("json").as_os_str()) {
            // Another daemon may have swept it.
            let _ = folder.remove(&name);
        }
    }
}

fn is_locked(folder: &Folder, name: &OsStr) -> bool {
    let opened = folder.read(name, Uid::effective().as_raw(), MOST_ENTRY_BYTES);
    opened.is_ok_and(|(file, _)| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

impl Drop for Registration {
    fn drop(&mut self) {
        // A file left behind can be locked and so means nothing.
        let _ = self.folder.remove(&self.name);
        // A waiter for the lock waits for the end of the process, which takes a while yet when it has memory to
        // give back: the kernel lets go of the lock after that.
        std::mem::forget(self.lock.take());
    }
}

/// A daemon found by its entry.
pub(in crate::app) struct Found {
    pub(in crate::app) entry: Entry,
    /// Whose folder it is entered in.
    pub(in crate::app) owner: u32,
    file: File,
}

impl Found {
    /// Whether it is this user's own.
    pub(in crate::app) fn is_own(&self) -> bool {
        self.owner == Uid::effective().as_raw()
    }

    /// Waits until the daemon has ended, or until the limit. Says whether it has.
    pub(in crate::app) fn wait_for_end(self, limit: Duration) -> bool {
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

/// The live daemon that has entered itself for this mount, a row of the kernel's table, in a folder of the user who
/// mounted it: others could enter what they like.
pub(in crate::app) fn find(mount: &Mount) -> Option<Found> {
    let folders = folders();
    let of_owner = folders.iter().filter(|(owner, _)| mount.owner == Some(*owner));
    let mut live: Vec<_> = of_owner.flat_map(|(owner, folder)| live_in(folder, *owner)).collect();
    live.retain(|found| found.entry.is_of(mount));
    live.into_iter().max_by_key(|found| found.entry.device)
}

/// All live daemons that this user may control, by their directories. Those of other users are as they say, and may be
/// made up.
pub(in crate::app) fn all() -> Vec<Found> {
    let mut all: Vec<_> = folders().iter().flat_map(|(owner, folder)| live_in(folder, *owner)).collect();
    all.sort_by(|a, b| a.entry.dir.cmp(&b.entry.dir));
    all
}

/// The live daemons entered in a folder. What daemons that were killed have left is removed on the way, where the
/// folder is this user's.
fn live_in(folder: &Folder, owner: u32) -> Vec<Found> {
    let is_entry = |name: &OsString| Path::new(name).extension().is_some_and(|end| end == "json");
    let names = folder.names().unwrap_or_default().into_iter().filter(is_entry).take(MOST_ENTRIES);
    let live = names.filter_map(|name| {
        let (file, text) = folder.read(&name, owner, MOST_ENTRY_BYTES).ok()?;
        let entry: Entry = serde_json::from_slice(&text).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            // It is not locked: left by a daemon that was killed.
            Ok(_) => {
                if owner == Uid::effective().as_raw() {
                    let _ = folder.remove(&name);
                }
                None
            }
            Err((file, _)) => Some(Found { entry, owner, file }),
        }
    });
    live.collect()
}

/// Where this user's daemons enter themselves, best first. One is taken only where it passes the checks.
fn own_paths() -> Vec<PathBuf> {
    let user = Uid::effective();
    if user.is_root() {
        return vec![PathBuf::from("/run/ossmount")];
    }
    let session = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    // Without a session's variables, as under cron, the session's folder may be there nevertheless.
    let known = Path::new(USER_FOLDERS).join(user.to_string());
    let known = Folder::open(&known, user.as_raw()).ok().map(|folder| folder.path().to_owned());
    let mut paths: Vec<PathBuf> = session.into_iter().chain(known).map(|dir| dir.join("ossmount")).collect();
    paths.dedup();
    paths.push(std::env::temp_dir().join(format!("ossmount-{user}")));
    paths
}

/// The folder that this user's daemons enter themselves in: the first that can be had. Fails with what is wrong with
/// the last one.
fn own_folder() -> io::Result<Folder> {
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for path in own_paths() {
        outcome = Folder::open_or_make(&path);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The folders in which daemons that this user may control can have entered themselves, each with its owner.
fn folders() -> Vec<(u32, Folder)> {
    let user = Uid::effective();
    let own = own_paths().into_iter().filter_map(|path| Folder::open(&path, user.as_raw()).ok());
    let mut folders: Vec<_> = own.map(|folder| (user.as_raw(), folder)).collect();
    if user.is_root()
        && let Ok(users) = Folder::open(Path::new(USER_FOLDERS), 0)
    {
        folders.extend(folders_of_others(&users));
    }
    folders
}

/// The folders of the users whose own folders lie here, named by their ids.
fn folders_of_others(users: &Folder) -> Vec<(u32, Folder)> {
    let names = users.names().unwrap_or_default();
    let folders = names.iter().filter_map(|name| {
        let name = name.to_str()?;
        let owner: u32 = name.parse().ok().filter(|owner| *owner != 0)?;
        let folder = users.within(name, owner).ok()?.within("ossmount", owner).ok()?;
        Some((owner, folder))
    });
    folders.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const STRANGER: u32 = 65534;

    fn own(path: &Path) -> Folder {
        Folder::open(path, Uid::effective().as_raw()).unwrap()
    }

    fn find_in(folder: &Path, dir: &str) -> Option<Found> {
        let user = Uid::effective().as_raw();
        live_in(&own(folder), user).into_iter().find(|found| found.entry.dir == Path::new(dir))
    }

    #[test]
    fn a_daemon_is_found_while_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry {
            pid: std::process::id(),
            dir: "/mnt/a b".into(),
            source: "oss://b/ü".into(),
            socket: None,
            device: None,
        };
        fs::write(folder.path().join("4294967295.json"), "left by a daemon that was killed").unwrap();
        let mut registration = Registration::enter_in(own(folder.path()), &entry).unwrap();
        let found = find_in(folder.path(), "/mnt/a b").unwrap();
        assert!(found.entry == entry && found.is_own());
        assert!(find_in(folder.path(), "/mnt/a").is_none());
        assert!(!found.wait_for_end(Duration::from_millis(40)));

        let found = find_in(folder.path(), "/mnt/a b").unwrap();
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
        sweep(&own(folder.path()));
        assert!(entry.exists() && socket.exists());
        drop(lock);
        sweep(&own(folder.path()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_entry_is_of_the_mount_on_its_directory_that_has_its_number() {
        let entry = |device| Entry { pid: 78, dir: "/mnt".into(), source: "oss://b".into(), socket: None, device };
        let mount = |dir: &str| Mount {
            id: 1,
            device: (0, 7),
            dir: dir.into(),
            fs_type: fuse::FS_TYPE.to_owned(),
            source: String::new(),
            owner: None,
        };
        for (device, is_of) in [(Some((0, 7)), true), (Some((0, 6)), false), (None, true)] {
            assert_eq!(entry(device).is_of(&mount("/mnt")), is_of, "{device:?}");
            assert!(!entry(device).is_of(&mount("/other")), "{device:?}");
        }
    }

    #[test]
    fn leftovers_are_no_daemons() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry { pid: 78, dir: "/mnt".into(), source: "oss://b".into(), socket: None, device: None };
        fs::write(folder.path().join("78.json"), serde_json::to_string(&entry).unwrap()).unwrap();
        fs::write(folder.path().join("79.json"), "half a li").unwrap();
        assert!(find_in(folder.path(), "/mnt").is_none());
        assert!(!folder.path().join("78.json").exists());
    }

    /// As root sees them: what lies in another user's folder is read where it is theirs, and never touched.
    #[test]
    fn what_another_user_entered_is_shown_as_theirs_and_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join(STRANGER.to_string()).join("ossmount");
        fs::create_dir_all(&folder).unwrap();
        let entry = |dir: &str| {
            let entry = Entry { pid: 78, dir: dir.into(), source: "oss://b".into(), socket: None, device: None };
            serde_json::to_string(&entry).unwrap()
        };
        for (name, text) in [("78.json", entry("/dead")), ("79.json", entry("/live")), ("80.json", "x".repeat(20_000))]
        {
            fs::write(folder.join(name), text).unwrap();
            chown(folder.join(name), Some(STRANGER), None).unwrap();
        }
        // What is not theirs is not read: they may have linked it there.
        fs::write(folder.join("81.json"), entry("/foreign")).unwrap();
        mkfifo(&folder.join("82.json"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", folder.join("83.json")).unwrap();
        for path in [&folder, folder.parent().unwrap()] {
            chown(path, Some(STRANGER), None).unwrap();
        }
        let lock = |name: &str| Flock::lock(File::open(folder.join(name)).unwrap(), FlockArg::LockExclusive).unwrap();
        let _locks = ["79.json", "80.json", "81.json"].map(lock);

        let others = folders_of_others(&own(scratch.path()));
        let [(owner, theirs)] = &others[..] else { panic!("{others:?}") };
        assert_eq!(*owner, STRANGER);
        let found = live_in(theirs, *owner);
        let [found] = &found[..] else { panic!("{} found", found.len()) };
        assert!(found.entry.dir == Path::new("/live") && !found.is_own());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6, "nothing is removed");
    }

    #[test]
    fn folders_of_others_are_those_that_bear_their_owners_id() {
        let scratch = tempfile::tempdir().unwrap();
        let make = |name: &str, owner: u32| {
            let folder = scratch.path().join(name).join("ossmount");
            fs::create_dir_all(&folder).unwrap();
            chown(&folder, Some(owner), None).unwrap();
            chown(scratch.path().join(name), Some(owner), None).unwrap();
        };
        make("1234", STRANGER);
        make("65534", STRANGER);
        make("name", STRANGER);
        // The folder within is another user's, or a link.
        make("1235", 1235);
        chown(scratch.path().join("1235/ossmount"), Some(0), None).unwrap();
        fs::create_dir(scratch.path().join("1236")).unwrap();
        symlink("../65534/ossmount", scratch.path().join("1236/ossmount")).unwrap();
        chown(scratch.path().join("1236"), Some(1236), None).unwrap();
        let found: Vec<_> = folders_of_others(&own(scratch.path())).iter().map(|(owner, _)| *owner).collect();
        assert_eq!(found, [STRANGER]);
    }
}
