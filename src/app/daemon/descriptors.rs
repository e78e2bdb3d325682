//! The descriptors that are kept of a mount while its daemon is restarted: the device that serves it, and the ledger.
//!
//! systemd hands both over as it does with sockets: `LISTEN_FDS` descriptors from 3 on, with names in
//! `LISTEN_FDNAMES`, for the process `LISTEN_PID`.

use std::ffi::OsString;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::fuse::Place;

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

impl Held {
    /// What this process was started with, if it is both. Once: the descriptors are owned from then on.
    pub(super) fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Option<Held> {
        let (device, ledger) = numbers(variable, pid)?;
        Some(Held { device: owned(device)?, ledger: owned(ledger)? })
    }
}

/// Whether this process was started with a mount to go on with.
pub(in crate::app) fn is_handed(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> bool {
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

/// A descriptor of this process, which nothing else here owns.
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
}
