//! Continuing the session of an earlier daemon, unnoticed by the kernel.
//!
//! The kernel agrees on the terms of a connection once, in its first request. A process that takes the connection over
//! finds no such request, and the FUSE crate waits for one. So the terms are noted when they are agreed on, and given
//! to the crate through a socket as if the kernel had said them; when it has answered, the device takes the socket's
//! place under the same descriptor. The terms are those that the kernel was offered then: what this version would ask
//! for beyond them it does not get.
//!
//! Requests that the earlier life took and did not answer are sent again by the kernel when it is told so, which it
//! understands since Linux 6.9. On older ones their callers would wait for ever: there is no going on with a mount.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use fuser::{Config, Filesystem, InitFlags, KernelConfig, Session, SessionACL};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};

use super::Options;
use super::attach::Point;

/// The note in the ledger that says where the mount is.
pub(super) const MOUNT: &str = "mount";
/// The note in the ledger with the terms.
pub(super) const TERMS: &str = "terms";

/// What the kernel and the daemon have agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    /// The version of the kernel's protocol.
    version: (u32, u32),
    /// The abilities that the kernel offered.
    abilities: u64,
}

/// Where a mount is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Spot {
    pub(super) dir: PathBuf,
    pub(super) device: (u32, u32),
    /// The PID namespace that it was made in; unknown of mounts of earlier versions.
    #[serde(default)]
    pub(super) pid_namespace: Option<String>,
}

impl Terms {
    /// The terms that are being agreed on; `None` where the kernel cannot send a request again.
    pub(super) fn of(config: &KernelConfig) -> Option<Terms> {
        let abilities = config.capabilities();
        let version = config.kernel_abi();
        let terms = Terms { version: (version.0, version.1), abilities: abilities.bits() };
        abilities.contains(InitFlags::FUSE_HAS_RESEND).then_some(terms)
    }

    /// The kernel's first request, as it would come today.
    fn request(self) -> [u8; 104] {
        const INIT: u32 = 26;
        const FIRST: u64 = 2;
        // A crate of which nothing else is known asks for less; more it cannot get.
        const READ_AHEAD_BYTES: u32 = 128 << 10;
        let abilities = self.abilities | InitFlags::FUSE_INIT_EXT.bits();
        let mut request = [0; 104];
        let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &104_u32.to_ne_bytes());
        put(4, &INIT.to_ne_bytes());
        put(8, &FIRST.to_ne_bytes());
        put(40, &self.version.0.to_ne_bytes());
        put(44, &self.version.1.to_ne_bytes());
        put(48, &READ_AHEAD_BYTES.to_ne_bytes());
        put(52, &(abilities as u32).to_ne_bytes());
        put(56, &((abilities >> 32) as u32).to_ne_bytes());
        request
    }
}

impl Spot {
    /// Finds the mount again; fails where another one, or none, is there now.
    pub(super) fn find(&self, options: &Options) -> io::Result<Point> {
        let point = Point::locate(&self.dir, options)?;
        if point.device() != self.device {
            return Err(io::Error::other("another mount is at its mount point"));
        }
        Ok(point)
    }
}

/// A session on a device on which the kernel has agreed to these terms already.
pub(super) fn session<FS: Filesystem>(
    kernel: FS,
    device: &OwnedFd,
    terms: Terms,
    acl: SessionACL,
    config: Config,
) -> io::Result<Session<FS>> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let mut ours = File::from(ours);
    ours.write_all(&terms.request())?;
    let session = Session::from_fd(kernel, theirs, acl, config)?;
    let mut answer = [0; 256];
    let len = ours.read(&mut answer)?;
    // The crate's answer begins with its length and an error number, which is 0 where it has understood.
    if len < 16 || answer[4..8] != [0; 4] {
        return Err(io::Error::other("the FUSE parameters in the ledger were rejected"));
    }
    // SAFETY: both descriptors are open. The session goes on to own the same number, which now means the device.
    match unsafe { libc::dup3(device.as_raw_fd(), session.as_fd().as_raw_fd(), libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(session),
    }
}

/// Has the kernel send again what it was not answered.
pub(super) fn ask_again(device: &OwnedFd) -> io::Result<()> {
    const RESEND: u32 = 7;
    let mut notice = [0; 16];
    notice[..4].copy_from_slice(&16_u32.to_ne_bytes());
    notice[4..8].copy_from_slice(&RESEND.to_ne_bytes());
    nix::unistd::write(device, &notice)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_laid_out_as_the_kernels() {
        let abilities = (InitFlags::FUSE_ASYNC_READ | InitFlags::FUSE_PASSTHROUGH).bits();
        let request = Terms { version: (7, 45), abilities }.request();
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4), word(40), word(44)), (104, 26, 7, 45));
        assert_eq!((word(52), word(56)), (1 << 30 | 1, 1 << (37 - 32)));
    }

    #[test]
    fn terms_and_spots_are_read_as_they_were_noted() {
        let terms = Terms { version: (7, 45), abilities: u64::MAX };
        let text = serde_json::to_string(&terms).unwrap();
        assert_eq!(serde_json::from_str::<Terms>(&text).unwrap(), terms);
        let nowhere = Spot { dir: "/nowhere/at all".into(), device: (0, 7), pid_namespace: None };
        assert!(nowhere.find(&Options::default()).is_err());
        let root = Spot { dir: "/".into(), device: (0, 0), pid_namespace: None };
        assert!(root.find(&Options::default()).is_err());
        // As an earlier version has noted it.
        assert_eq!(serde_json::from_str::<Spot>(r#"{"dir":"/","device":[0,0]}"#).unwrap(), root);
    }
}
