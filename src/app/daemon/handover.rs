//! Handing a mount over from one daemon to the next: the descriptors that are kept meanwhile, the ledger, and the
//! start from them.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use super::descriptors::Held;
use super::notify::Manager;
use crate::base::Timestamp;
use crate::fs::{Fs, Ledger, Past};
use crate::fuse::{self, Kept, Mounted, Place};

/// A mount that can be gone on with.
pub(super) struct Resumable {
    kept: Kept,
    ledger: Ledger,
    past: Past,
}

/// Which life of a mount a daemon is.
pub(super) enum Life {
    /// The only life: the mount ends with it.
    Only,
    /// The first; this will be kept for the others.
    First(Ledger),
    /// A later life, which goes on with the mount.
    Next(Box<Resumable>),
}

impl Life {
    /// The life that begins now with a mount of `what` on `dir`, where `manager` keeps things.
    pub(super) fn begin(manager: &Manager, what: &str, dir: &Path) -> Life {
        if let Some(resumable) = manager.take_held().and_then(|held| take_up(held, what, dir)) {
            return Life::Next(Box::new(resumable));
        }
        manager.keep_no_more();
        match Ledger::create() {
            Ok(ledger) => {
                ledger.note(WHAT, what);
                Life::First(ledger)
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger cannot be created: the mount ends with this process");
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
            tracing::warn!(%error, "the supervisor cannot keep the mount: it ends with this process");
            false
        }
    }
}

/// The note in the ledger that says what is mounted.
const WHAT: &str = "what";

/// Whether a live mount of `what` on `dir` can be gone on with. If not, it is taken down, so that another can be
/// made.
fn take_up(held: Held, what: &str, dir: &Path) -> Option<Resumable> {
    let Held { device, ledger } = held;
    let (reason, old_dir) = match Ledger::open(ledger) {
        Err(error) => (format!("its ledger cannot be used: {error}"), None),
        Ok((ledger, past)) => match Kept::new(device, &past) {
            Some(kept) if !kept.is_there() => ("it was unmounted".to_owned(), None),
            Some(kept) if past.note(WHAT) == Some(what) => return Some(Resumable { kept, ledger, past }),
            Some(kept) => ("it is a mount of another source or on another directory".to_owned(), kept.dir()),
            None => ("its ledger does not name its mount point".to_owned(), None),
        },
    };
    tracing::warn!(reason, "the mount of the previous daemon cannot be continued: it is replaced by a new mount");
    fuse::discard(old_dir.as_deref().unwrap_or(dir));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_of_something_else_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let device = || std::fs::File::open("/dev/null").unwrap().into();
        let ledger = Ledger::create().unwrap();
        let held = || Held { device: device(), ledger: ledger.as_fd().try_clone_to_owned().unwrap() };
        assert!(take_up(held(), "oss://b", folder.path()).is_none(), "it says nothing");
        let spot = format!(r#"{{"dir":{:?},"device":[0,1]}}"#, folder.path());
        ledger.note("mount", &spot);
        ledger.note("terms", "{}");
        ledger.note(WHAT, "oss://b");
        assert!(take_up(held(), "oss://c", folder.path()).is_none());
        assert!(take_up(held(), "oss://b", folder.path()).is_none(), "nothing is mounted there");
        let broken = Held { device: device(), ledger: device() };
        assert!(take_up(broken, "oss://b", folder.path()).is_none());
    }
}
