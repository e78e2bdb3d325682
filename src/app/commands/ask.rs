//! Asking a live mount: on its control socket, else by the ioctl on its root.
//!
//! A mount is found in the kernel's table, and the socket only where the process that listens there is the user's who
//! mounted it. Root asks the mounts of other users on their sockets alone, and waits for a while only: an open of a
//! mount can keep its caller until its daemon wishes otherwise.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use serde_json::Value;

use super::hung;
use crate::app::daemon::registry::{self, Entry};
use crate::base::Clock;
use crate::config::{Problem, Result};
use crate::control::MOST_WAIT_SECONDS;
use crate::files;
use crate::fuse::{self, Mount};

/// How long root waits for the daemon of another user: twice what a request can ask to be held.
const PATIENCE: Duration = Duration::from_secs(2 * MOST_WAIT_SECONDS);

/// The longest answer that root takes from the daemon of another user: figures of some 100,000 files.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// A way to a live mount.
pub(super) struct Line {
    /// Where it is mounted, absolute and without links.
    pub(super) dir: PathBuf,
    /// The daemon's process, where it is known.
    pid: Option<u32>,
    way: Way,
    trust: Trust,
}

enum Way {
    /// The socket of this entry, which is in a folder of this user.
    Socket {
        socket: BufReader<UnixStream>,
        entry: Entry,
        owner: u32,
    },
    Ioctl,
}

/// Whose mount is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    /// This user's, or one that this user has no power over.
    Full,
    /// Another user's, and root asks.
    Foreign,
}

impl Line {
    /// To the mount that a path lies under. Fails where that is none of ours, or is gone.
    pub(super) fn to(path: &Path) -> Result<Line> {
        let mount = mount_over(path)?;
        let trust = trust(mount.owner, Uid::effective().as_raw());
        let found = registry::find(&mount).map(|found| (found.entry, found.owner));
        let pid = found.as_ref().map(|(entry, _)| entry.pid);
        let asked = found.and_then(|(entry, owner)| Some((connect(&entry, owner)?, entry, owner)));
        let way = match (asked, trust) {
            (Some((socket, entry, owner)), _) => Way::Socket { socket: BufReader::new(socket), entry, owner },
            // Not ours to connect to, or switched off: the mount itself says more.
            (None, Trust::Full) => Way::Ioctl,
            (None, Trust::Foreign) => return Err(no_socket(&mount)),
        };
        Ok(Line { dir: mount.dir, pid, way, trust })
    }

    /// Asks, and waits for the answer. Fails with the mount's own sentence when it was not done.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value> {
        self.exchange(request, || false).map_err(|error| no_answer(&self.dir, self.pid, &error)).and_then(judged)
    }

    /// Asks, and waits for so long, or a few seconds more; `None` where there is no answer by then. The mount goes on
    /// with what it was asked.
    pub(super) fn ask_within(&mut self, request: &Value, limit: Duration) -> Option<Result<Value>> {
        let clock = Clock::system();
        let ends = clock.elapsed() + limit;
        match self.exchange(request, || clock.elapsed() >= ends) {
            Err(error) if hung::is_late(&error) => None,
            answer => Some(answer.map_err(|error| no_answer(&self.dir, self.pid, &error)).and_then(judged)),
        }
    }

    fn exchange(&mut self, request: &Value, had_enough: impl Fn() -> bool) -> io::Result<Value> {
        let request = request.to_string();
        let answer = match &mut self.way {
            Way::Socket { socket, .. } if self.trust == Trust::Foreign => {
                through_foreign_socket(socket, &request, PATIENCE)
            }
            Way::Socket { socket, entry, owner } => {
                hung::through_socket(socket, &request, self.pid, had_enough, || connect(entry, *owner))
            }
            Way::Ioctl => hung::through_ioctl(&self.dir, &request, self.pid, had_enough),
        };
        serde_json::from_str(&answer?).map_err(io::Error::other)
    }
}

/// What was done, or the sentence that says why it was not.
fn judged(answer: Value) -> Result<Value> {
    match (answer.get("error").and_then(Value::as_str), answer.get("message").and_then(Value::as_str)) {
        (Some(error), Some(message)) => Err(Problem::failure(format!("{message} ({error})"))),
        _ => Ok(answer),
    }
}

fn trust(owner: Option<u32>, user: u32) -> Trust {
    match owner {
        Some(owner) if user == 0 && owner != 0 => Trust::Foreign,
        _ => Trust::Full,
    }
}

/// Connects to the socket of an entry, where the process of the entry listens and is the owner's.
fn connect(entry: &Entry, owner: u32) -> Option<UnixStream> {
    let (socket, peer) = files::connect(entry.socket.as_deref()?).ok()?;
    (peer == files::Peer { pid: entry.pid, uid: owner }).then_some(socket)
}

fn no_socket(mount: &Mount) -> Problem {
    let owner = mount.owner.unwrap_or_default();
    Problem::failure(format!(
        "the mount on {} belongs to uid {owner}, and no daemon of that user accepts requests for it on a control \
         socket; run the command as that user",
        mount.dir.display()
    ))
}

/// Asks another user's daemon, with an end to the wait and a bound to the answer.
fn through_foreign_socket(socket: &mut BufReader<UnixStream>, request: &str, limit: Duration) -> io::Result<String> {
    let clock = Clock::system();
    let ends = clock.elapsed().saturating_add(limit);
    let left = || match ends.saturating_sub(clock.elapsed()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(Some(left)),
    };
    socket.get_ref().set_write_timeout(left()?)?;
    socket.get_mut().write_all(format!("{request}\n").as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") {
        socket.get_ref().set_read_timeout(left()?)?;
        let read = socket.fill_buf()?;
        let len = read.iter().position(|byte| *byte == b'\n').map_or(read.len(), |at| at + 1);
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if answer.len() + len > MOST_ANSWER_BYTES {
            return Err(io::Error::other("the answer ended early"));
        }
        answer.extend_from_slice(&read[..len]);
        socket.consume(len);
    }
    String::from_utf8(answer).map_err(io::Error::other)
}

fn no_answer(dir: &Path, pid: Option<u32>, error: &io::Error) -> Problem {
    let dir = dir.display();
    match hung::is_late(error) {
        true => Problem::failure(format!(
            "the mount on {dir} does not answer ({}): {}",
            hung::described(pid),
            hung::cure(pid)
        )),
        false => Problem::failure(format!("the mount on {dir} does not answer: {error}")),
    }
}

/// The mount that a path lies under. The path need not be there.
///
/// Nothing is asked of the mount itself: what lies below its directory is compared by name.
fn mount_over(path: &Path) -> Result<Mount> {
    let none =
        || Problem::failure(format!("{} is not under a live ossmount mount; see ossmount status", path.display()));
    let mounts = fuse::mounts().map_err(|error| Problem::failure(format!("the mounts cannot be read: {error}")))?;
    let path = resolved_outside(path, &mounts).ok_or_else(none)?;
    let over = mounts.into_iter().filter(|mount| path.starts_with(&mount.dir));
    over.max_by_key(|mount| mount.dir.components().count()).ok_or_else(none)
}

/// A path whose links are resolved up to the mount that it leads into, and not within.
fn resolved_outside(path: &Path, mounts: &[Mount]) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut at = PathBuf::new();
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        let whole = at.join(part);
        let Ok(there) = fs::canonicalize(&whole) else {
            // `join` with nothing would add a slash.
            let below = parts.as_path();
            return Some(if below.as_os_str().is_empty() { whole } else { whole.join(below) });
        };
        let below = parts.as_path();
        let goes_back = below.components().any(|part| part == Component::ParentDir);
        if !goes_back && mounts.iter().any(|mount| mount.dir == there) {
            return Some(if below.as_os_str().is_empty() { there } else { there.join(below) });
        }
        at = there;
    }
    Some(at)
}

/// A path without links, also where its last components do not exist.
pub(super) fn resolved(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|above| {
        let there = fs::canonicalize(above).ok()?;
        // `join` with nothing would add a slash.
        let below = path.strip_prefix(above).ok()?;
        Some(if below.as_os_str().is_empty() { there } else { there.join(below) })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_root_has_something_to_lose_by_asking_others() {
        for (owner, user, expected) in [
            (Some(0), 0, Trust::Full),
            (Some(7), 0, Trust::Foreign),
            (Some(7), 7, Trust::Full),
            (Some(0), 7, Trust::Full),
            (None, 0, Trust::Full),
        ] {
            assert_eq!(trust(owner, user), expected, "{owner:?} {user}");
        }
    }

    #[test]
    fn a_path_is_resolved_up_to_the_mount_and_not_within() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let dir = folder.join("real/mnt");
        fs::create_dir_all(dir.join("below")).unwrap();
        symlink("real", folder.join("link")).unwrap();
        symlink("/etc", dir.join("below/within")).unwrap();
        let mount = Mount {
            id: 1,
            device: (0, 1),
            dir: dir.clone(),
            fs_type: fuse::FS_TYPE.to_owned(),
            source: String::new(),
            owner: Some(0),
        };
        for (path, expected) in [
            ("link/mnt", "real/mnt"),
            ("link/mnt/below/within/x", "real/mnt/below/within/x"),
            ("link/mnt/none", "real/mnt/none"),
            ("link/mnt/below/../../other", "real/other"),
            ("link/none/x", "real/none/x"),
            ("real", "real"),
        ] {
            let resolved = resolved_outside(&folder.join(path), std::slice::from_ref(&mount));
            assert_eq!(resolved, Some(folder.join(expected)), "{path}");
        }
    }

    #[test]
    fn a_socket_is_asked_only_where_the_process_of_the_entry_listens() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let (pid, user) = (std::process::id(), Uid::effective().as_raw());
        let connects = |pid, owner| {
            let entry =
                Entry { pid, dir: "/m".into(), source: "oss://b".into(), socket: Some(socket.clone()), device: None };
            connect(&entry, owner).is_some()
        };
        assert!(connects(pid, user));
        assert!(!connects(pid + 1, user) && !connects(pid, user + 1));
    }

    #[test]
    fn another_users_daemon_is_not_waited_for_without_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut ours = BufReader::new(ours);
        let mut ask = |limit| through_foreign_socket(&mut ours, "{}", limit).map_err(|error| error.kind());
        let silent = ask(Duration::from_millis(30));
        assert!(matches!(silent, Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)), "{silent:?}");
        (&theirs).write_all(b"{}\n{\"a\":1}\n").unwrap();
        assert_eq!(ask(Duration::from_secs(60)).unwrap(), "{}\n");
        assert_eq!(ask(Duration::from_secs(60)).unwrap(), "{\"a\":1}\n");
        assert_eq!(ask(Duration::ZERO), Err(io::ErrorKind::TimedOut));
        drop(theirs);
        assert!(ask(Duration::from_secs(60)).is_err());
    }
}
