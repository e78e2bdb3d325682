//! What to mount on: a directory, a device that another process has mounted, or the mount of an earlier daemon.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{MountError, Options, resume_session};
use crate::fs::{Past, StillOpen};

/// What is mounted, and where.
#[derive(Debug)]
pub struct Target {
    /// What `/proc/mounts` and `df` show as the device: the URL. Any character is allowed; the kernel escapes blanks.
    pub source: String,
    /// Where the mount is served.
    pub place: Place,
}

/// Where a mount is served.
#[derive(Debug)]
pub enum Place {
    /// Mount on this directory, and unmount it in the end.
    Directory(PathBuf),
    /// Serve a `/dev/fuse` descriptor that another process has mounted already, and will unmount.
    Device(OwnedFd),
    /// Go on with a mount of ours.
    Kept(Kept),
}

/// A mount that an earlier life of this daemon has made, and that was kept for it.
#[derive(Debug)]
pub struct Kept {
    /// The device that serves it.
    pub device: OwnedFd,
    /// The ledger's notes on it: where it is, and what was agreed with the kernel.
    pub notes: [String; 2],
    /// The files that are open.
    pub open: Vec<StillOpen>,
}

impl Kept {
    /// Takes a mount over. `None` where what an earlier life has left does not suffice.
    pub fn new(device: OwnedFd, past: &Past) -> Option<Kept> {
        let note = |name| past.note(name).map(str::to_owned);
        Some(Kept { device, notes: [note(resume_session::MOUNT)?, note(resume_session::TERMS)?], open: Vec::new() })
    }

    /// Whether the mount is still where it was.
    pub fn is_there(&self) -> bool {
        let spot = serde_json::from_str::<resume_session::Spot>(&self.notes[0]);
        spot.is_ok_and(|spot| spot.find(&Options::default()).is_ok())
    }

    /// Where it was mounted.
    pub fn dir(&self) -> Option<PathBuf> {
        serde_json::from_str(&self.notes[0]).ok().map(|spot: resume_session::Spot| spot.dir)
    }
}

impl Place {
    /// Whether a text names a descriptor rather than a directory.
    pub fn is_descriptor(text: &Path) -> bool {
        text.starts_with("/dev/fd")
    }

    /// A directory, or `/dev/fd/N` for a descriptor that this process was started with.
    ///
    /// Fails when `/dev/fd/N` names no open FUSE device. Call it once, before other descriptors are opened: the
    /// descriptor is owned from then on.
    pub fn parse(text: &Path) -> Result<Place, MountError> {
        match text.to_str().and_then(|text| text.strip_prefix("/dev/fd/")) {
            None => Ok(Place::Directory(text.to_owned())),
            Some(number) => {
                let number: RawFd = number.parse().map_err(|_| MountError::NotADevice(text.display().to_string()))?;
                Place::device(number)
            }
        }
    }

    /// Whether this number is that of an open FUSE device.
    pub fn is_device(number: RawFd) -> bool {
        const FUSE_DEVICE: (u32, u32) = (10, 229);
        let Ok(meta) = std::fs::metadata(format!("/proc/self/fd/{number}")) else { return false };
        let device = (nix::sys::stat::major(meta.rdev()) as u32, nix::sys::stat::minor(meta.rdev()) as u32);
        number >= 0 && meta.file_type().is_char_device() && device == FUSE_DEVICE
    }

    /// A FUSE device descriptor inherited under this number. Fails when it is not an open FUSE device.
    pub fn device(number: RawFd) -> Result<Place, MountError> {
        let refuse = || MountError::NotADevice(format!("descriptor {number}"));
        // A descriptor is looked at by its number before it is owned, so that one that is not ours is never closed.
        if !Place::is_device(number) {
            return Err(refuse());
        }
        // SAFETY: the descriptor is open, was handed to this process for this purpose, and nothing else here owns it.
        let file = unsafe { File::from_raw_fd(number) };
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
            .map_err(|_| refuse())?;
        debug_assert_eq!(file.as_raw_fd(), number);
        Ok(Place::Device(file.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_fuse_device() {
        assert!(matches!(Place::parse(Path::new("/mnt/x")), Ok(Place::Directory(_))));
        let null = File::open("/dev/null").unwrap();
        for text in ["/dev/fd/x", "/dev/fd/-1", "/dev/fd/987654", &format!("/dev/fd/{}", null.as_raw_fd())] {
            let error = Place::parse(Path::new(text)).unwrap_err().to_string();
            assert!(error.contains("not an open FUSE device"), "{error}");
        }
        null.metadata().expect("a refused descriptor stays open");
    }

    #[test]
    fn a_fuse_device_is_taken_by_its_number() {
        let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(device);
        let place = Place::parse(&PathBuf::from(format!("/dev/fd/{number}"))).unwrap();
        assert!(matches!(place, Place::Device(fd) if fd.as_raw_fd() == number));
    }
}
