//! Why mounting or unmounting failed, each in one sentence that says what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a mount could not be made or undone.
#[derive(Debug)]
pub enum MountError {
    /// `/dev/fuse` does not exist.
    NoDevice,
    /// `/dev/fuse` may not be opened.
    DeviceDenied(io::Error),
    /// There is no such directory.
    NoSuchDirectory(PathBuf),
    /// It is something else than a directory.
    NotADirectory(PathBuf),
    /// The directory has entries.
    NotEmpty(PathBuf),
    /// The directory is the root of a live mount of this program already; holds its source.
    AlreadyMounted(PathBuf, String),
    /// The directory could not be looked at.
    Unusable(PathBuf, io::Error),
    /// A dead mount on the directory could not be removed; says why.
    DeadMount(PathBuf, String),
    /// Neither may this process mount, nor is there a program that does it for users; holds its name.
    FusermountMissing(PathBuf),
    /// `fusermount3` refused; holds its words.
    Fusermount(String),
    /// Root without the right to mount; holds what came of `fusermount3`.
    NoPrivilege(PathBuf, String),
    /// The kernel refused the mount.
    Refused(PathBuf, io::Error),
    /// What was given as a FUSE device is none.
    NotADevice(String),
    /// The bridge was asked for and cannot be had; says why.
    NoBridge(String),
    /// The kernel and this program could not agree on how to talk.
    Handshake(io::Error),
    /// A mount of an earlier life cannot be gone on with.
    Lost(io::Error),
    /// The mount was made, but a first request through it was not answered.
    NoAnswer(PathBuf, io::Error),
    /// Nothing of this kind is mounted there.
    NotMounted(PathBuf),
    /// It is in use, and lazy unmounting was not asked for.
    Busy(PathBuf),
    /// Another mount lies over it.
    Covered(PathBuf),
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use MountError::*;
        match self {
            NoDevice => f.write_str(
                "/dev/fuse does not exist: load the kernel module (modprobe fuse), or give the container the device \
                 (--device /dev/fuse)",
            ),
            DeviceDenied(error) => {
                write!(f, "/dev/fuse cannot be opened ({error}): run as root, or allow this user to read and write it")
            }
            NoSuchDirectory(dir) => write!(f, "{} does not exist: create the directory first", dir.display()),
            NotADirectory(dir) => write!(f, "{} is not a directory: name a directory to mount on", dir.display()),
            NotEmpty(dir) => {
                write!(f, "{} is not empty: name an empty directory, or mount with nonempty", dir.display())
            }
            AlreadyMounted(dir, source) => {
                write!(f, "{} is already a mount of {source}: unmount it first (ossmount umount)", dir.display())
            }
            Unusable(dir, error) => write!(f, "cannot mount on {}: {error}", dir.display()),
            DeadMount(dir, why) => write!(
                f,
                "{} holds the mount of a daemon that died, which cannot be removed ({why}): unmount it as root \
                 (umount -l)",
                dir.display()
            ),
            FusermountMissing(program) => write!(
                f,
                "mounting is not permitted to this user and {} is not installed: run as root, or install fuse3",
                program.display()
            ),
            Fusermount(words) if words.contains("/dev/fuse") => {
                write!(f, "{words}: run as root, or allow this user to read and write /dev/fuse")
            }
            Fusermount(words) if words.contains("/etc/mtab") => {
                write!(f, "{words}: run as root, or create it (ln -s ../proc/self/mounts /etc/mtab)")
            }
            Fusermount(words) => f.write_str(words),
            NoPrivilege(dir, words) => write!(
                f,
                "the kernel does not allow this process to mount on {}: it runs as root without CAP_SYS_ADMIN, and \
                 fusermount3 failed too ({words}): give the container that capability (--cap-add SYS_ADMIN), or mount \
                 outside of the container and pass the device in (fuse-fd)",
                dir.display()
            ),
            Refused(dir, error) => write!(f, "the kernel refused to mount on {}: {error}", dir.display()),
            NoBridge(why) => write!(f, "the bridge is not possible: {why}; use bridge=auto or bridge=off"),
            NotADevice(what) => write!(f, "{what} is not an open FUSE device: pass a descriptor of /dev/fuse"),
            Handshake(error) => write!(f, "the kernel's FUSE handshake failed: {error}"),
            Lost(error) => write!(f, "the mount of the previous daemon cannot be continued: {error}"),
            NoAnswer(dir, error) => {
                write!(f, "the new mount on {} did not answer its first request ({error})", dir.display())
            }
            NotMounted(dir) => write!(f, "{} is not a mount of ossmount", dir.display()),
            Busy(dir) => {
                write!(f, "{} is in use: close its files, or unmount lazily (ossmount umount --lazy)", dir.display())
            }
            Covered(dir) => write!(f, "another mount covers {}: unmount that one first", dir.display()),
        }
    }
}

impl std::error::Error for MountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        use MountError::*;
        match self {
            DeviceDenied(error)
            | Unusable(_, error)
            | Refused(_, error)
            | Handshake(error)
            | Lost(error)
            | NoAnswer(_, error) => Some(error),
            _ => None,
        }
    }
}
