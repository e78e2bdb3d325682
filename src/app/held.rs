//! What somebody keeps of a mount while its daemon is restarted: the device that serves it, and the ledger.
//!
//! systemd hands both over as it does with sockets: `LISTEN_FDS` descriptors from 3 on, with names in
//! `LISTEN_FDNAMES`, for the process `LISTEN_PID`.

use std::ffi::OsString;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::notify::Manager;
use crate::base::Timestamp;
use crate::fs::{Fs, Ledger, Past};
use crate::fuse::{self, Kept, Mounted, Place};

/// The name of the device among kept descriptors.
pub(super) const DEVICE: &str = "ossmount-device";
/// The name of the ledger.
pub(super) const LEDGER: &str = "ossmount-ledger";

/// Descriptors that were kept.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) device: OwnedFd,
    pub(super) ledger: OwnedFd,
}

/// A mount that can be gone on with.
pub(super) struct Resumable {
    kept: Kept,
    ledger: Ledger,
    past: Past,
}

/// Which life of a mount a daemon is.
pub(super) enum Life {
    /// The only one.
    Only,
    /// The first; this will be kept for the others.
    First(Ledger),
    /// A later one.
    Next(Box<Resumable>),
}

impl Life {
    /// The life that begins now with a mount of `what` on `dir`, where `manager` keeps things.
    pub(super) fn begin(manager: &Manager, what: &str, dir: &Path) -> Life {
        if let Some(resumable) = manager.take_held().and_then(|held| held.take_up(what, dir)) {
            return Life::Next(Box::new(resumable));
        }
        manager.keep_no_more();
        match Ledger::create() {
            Ok(ledger) => {
                ledger.note(WHAT, what);
                Life::First(ledger)
            }
            Err(error) => {
                tracing::warn!(%error, "there is no ledger: the mount ends with this process");
                Life::Only
            }
        }
    }

    /// Whether it goes on with a mount.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Life::Next(_))
    }

    /// The time of directories that have none of their own, where it is settled.
    pub(super) fn mount_time(&self) -> Option<Timestamp> {
        match self {
            Life::Next(resumable) => resumable.past.mount_time(),
            Life::Only | Life::First(_) => None,
        }
    }

    /// Gives the file system what it needs of the life before, and for the next one; says where to serve it.
    pub(super) fn take_up(self, file_system: &Arc<Fs>, place: Place) -> Place {
        match self {
            Life::Only => place,
            Life::First(ledger) => {
                file_system.keep(Arc::new(ledger));
                place
            }
            Life::Next(resumable) => {
                let Resumable { mut kept, ledger, past } = *resumable;
                kept.open = file_system.resume(Arc::new(ledger), past);
                Place::Kept(kept)
            }
        }
    }
}

/// Has a mount kept for the next life. False where there can be none.
pub(super) fn keep(mounted: &Mounted, file_system: &Fs, manager: &Manager) -> bool {
    let (Some(device), Some(ledger)) = (mounted.device(), file_system.ledger()) else { return false };
    match manager.keep(device, ledger.as_fd()) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "nobody keeps the mount: it ends with this process");
            false
        }
    }
}

/// The note in the ledger that says what is mounted.
const WHAT: &str = "what";

impl Held {
    /// What this process was started with, if it is both. Once: the descriptors are owned from then on.
    pub(super) fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Option<Held> {
        let (device, ledger) = numbers(variable, pid)?;
        Some(Held { device: owned(device)?, ledger: owned(ledger)? })
    }

    /// Whether a live mount of `what` on `dir` can be gone on with. If not, it is taken down, so that another can be
    /// made.
    pub(super) fn take_up(self, what: &str, dir: &Path) -> Option<Resumable> {
        let Held { device, ledger } = self;
        let (reason, old_dir) = match Ledger::open(ledger) {
            Err(error) => (format!("of its ledger: {error}"), None),
            Ok((ledger, past)) => match Kept::new(device, &past) {
                Some(kept) if !kept.is_there() => ("it was unmounted".to_owned(), None),
                Some(kept) if past.note(WHAT) == Some(what) => return Some(Resumable { kept, ledger, past }),
                Some(kept) => ("it is a mount of something else, or elsewhere".to_owned(), kept.dir()),
                None => ("its ledger does not say where it is".to_owned(), None),
            },
        };
        tracing::warn!(reason, "the mount of the daemon before cannot be gone on with: it is made anew");
        fuse::discard(old_dir.as_deref().unwrap_or(dir));
        None
    }
}

/// Whether this process was started with a mount to go on with.
pub(super) fn is_handed(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> bool {
    numbers(variable, pid).is_some()
}

/// The numbers of the device and the ledger that this process was started with.
fn numbers(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Option<(RawFd, RawFd)> {
    let text = |name| variable(name)?.into_string().ok();
    let is_ours = text("LISTEN_PID")?.parse() == Ok(pid);
    let count: usize = text("LISTEN_FDS")?.parse().ok().filter(|_| is_ours)?;
    let names = text("LISTEN_FDNAMES")?;
    let number = |wanted| names.split(':').take(count).position(|name| name == wanted).map(|at| 3 + at as RawFd);
    let (device, ledger) = (number(DEVICE)?, number(LEDGER)?);
    Place::is_device(device).then_some((device, ledger))
}

/// A descriptor of this process, which nobody else here owns.
fn owned(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: it is only looked at, by its number, and found to be open.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    // SAFETY: it is open, and was handed to this process for this purpose.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_that_was_not_handed_over() {
        for (pid, count, names) in [
            ("1", "2", "ossmount-device:ossmount-ledger"),
            ("7", "0", "ossmount-device:ossmount-ledger"),
            ("7", "2", "ossmount-device:other"),
            ("7", "2", "stored:stored"),
            ("7", "many", "ossmount-device:ossmount-ledger"),
            ("", "", ""),
        ] {
            let variable = |name: &str| match name {
                "LISTEN_PID" => Some(pid.into()),
                "LISTEN_FDS" => Some(count.into()),
                "LISTEN_FDNAMES" => Some(names.into()),
                _ => None,
            };
            assert!(Held::from_environment(&variable, 7).is_none(), "{pid} {count} {names}");
        }
        assert!(Held::from_environment(&|_| None, 7).is_none());
        assert!(!Place::is_device(987_654) && owned(987_654).is_none());
    }

    #[test]
    fn a_ledger_of_something_else_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let device = || std::fs::File::open("/dev/null").unwrap().into();
        let ledger = Ledger::create().unwrap();
        let held = || Held { device: device(), ledger: ledger.as_fd().try_clone_to_owned().unwrap() };
        assert!(held().take_up("oss://b", folder.path()).is_none(), "it says nothing");
        let spot = format!(r#"{{"dir":{:?},"device":[0,1]}}"#, folder.path());
        ledger.note("mount", &spot);
        ledger.note("terms", "{}");
        ledger.note(WHAT, "oss://b");
        assert!(held().take_up("oss://c", folder.path()).is_none());
        assert!(held().take_up("oss://b", folder.path()).is_none(), "nothing is mounted there");
        let broken = Held { device: device(), ledger: device() };
        assert!(broken.take_up("oss://b", folder.path()).is_none());
    }
}
