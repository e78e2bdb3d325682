//! Unix sockets under a name: created with their mode, and connections to the process that listens there.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, getsockopt, listen, socket, sockopt::PeerCredentials,
};
use rustix::fs::{AtFlags, FileType, Mode, fchmod, unlinkat};

use super::walk::{self, Found, LastLink, Place};
use super::{Own, is_kind, kind_name, refused, user};

/// Clients that may wait to be taken.
const BACKLOG: i32 = 128;

/// The process that listens at a socket, as the kernel knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The process, in this process's own terms; 0 where it has none in these.
    pub pid: u32,
    /// The user that it ran as when it began to listen.
    pub uid: u32,
}

/// Listens under a name, which cannot be opened before it has this mode. What a daemon that was killed has left there
/// is replaced. The listener does not block.
///
/// Fails with a sentence where a process listens there, where something else is there, and where it is another user's.
pub fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, Own)> {
    let Place { folder, name, found } = walk::file(path, LastLink::Stop)?;
    if let Some(found) = found {
        clear(&folder, &name, &found)?;
    }
    let socket = stream()?;
    // The name takes its mode from the socket.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    let below: PathBuf = descriptor(&folder).join(&name);
    nix::sys::socket::bind(socket.as_raw_fd(), &UnixAddr::new(&below)?)?;
    let (_, stat) = walk::look(&folder, &name)?;
    let own = Own::new(folder, name, &stat);
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok((UnixListener::from(socket), own))
}

/// Takes away what was left by a daemon that was killed.
fn clear(folder: &OwnedFd, name: &OsStr, found: &Found) -> io::Result<()> {
    check_socket(found)?;
    match found.stat.st_uid {
        owner if owner == user() => {}
        owner => return Err(refused(format!("the existing socket belongs to uid {owner}; name another path"))),
    }
    match connect_to(&found.handle) {
        Ok(_) => Err(refused("another daemon listens on it; name another path".to_owned())),
        Err(Errno::ECONNREFUSED) => Ok(unlinkat(folder, name, AtFlags::empty())?),
        Err(errno) => Err(errno.into()),
    }
}

/// Connects to the socket at a path and says which process listens there. Never waits: one that takes no more clients
/// fails.
pub fn connect(path: &Path) -> io::Result<(UnixStream, Peer)> {
    let place = walk::file(path, LastLink::Follow)?;
    let found = place.found.ok_or(Errno::ENOENT)?;
    check_socket(&found)?;
    let socket = connect_to(&found.handle)?;
    let peer = getsockopt(&socket, PeerCredentials)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok((stream, Peer { pid: peer.pid().try_into().unwrap_or(0), uid: peer.uid() }))
}

fn check_socket(found: &Found) -> io::Result<()> {
    match is_kind(&found.stat, FileType::Socket) {
        true => Ok(()),
        false => {
            Err(refused(format!("{} exists there and is not a socket; name another path", kind_name(&found.stat))))
        }
    }
}

fn connect_to(inode: &OwnedFd) -> nix::Result<OwnedFd> {
    let socket = stream()?;
    nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(&descriptor(inode))?)?;
    Ok(socket)
}

fn stream() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// A path to this inode, even if its name was removed or replaced.
fn descriptor(handle: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    const STRANGER: u32 = 65534;

    #[test]
    fn a_socket_has_its_mode_from_the_first_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (listener, own) = bind(&path, 0o600).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (_, peer) = connect(&path).unwrap();
        assert_eq!(peer, Peer { pid: std::process::id(), uid: user() });
        assert!(
            bind(&path, 0o600).unwrap_err().to_string().contains("another daemon listens on it; name another path")
        );
        drop(listener);
        assert_eq!(connect(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // As one that was killed leaves it.
        std::mem::forget(own);
        let (_listener, own) = bind(&path, 0o666).unwrap();
        drop(own);
        assert!(!path.exists());
    }

    #[test]
    fn nothing_else_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "precious").unwrap();
        symlink("file", at("link")).unwrap();
        drop(UnixListener::bind(at("other")).unwrap());
        lchown(at("other"), Some(STRANGER), None).unwrap();
        for (name, says) in [("file", "a regular file"), ("link", "a symbolic link"), ("other", "belongs to uid")] {
            let error = bind(&at(name), 0o600).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(connect(&at("file")).unwrap_err().to_string().contains("not a socket"));
    }

    #[test]
    fn a_socket_that_takes_no_more_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (_listener, _own) = bind(&path, 0o600).unwrap();
        let mut held = Vec::new();
        let error = loop {
            match connect(&path) {
                Ok(connected) => held.push(connected),
                Err(error) => break error,
            }
            assert!(held.len() < 2000);
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_name_that_is_longer_than_an_address_can_be_reached() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("d".repeat(100));
        fs::create_dir(&long).unwrap();
        let (_listener, _own) = bind(&long.join("socket"), 0o600).unwrap();
        connect(&long.join("socket")).unwrap();
    }
}
