//! How much the kernel reads ahead on a mount, for its page cache and around page faults.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// The readahead of one mount.
///
/// It is one number of the mount, which the kernel looks at when a file was opened. So it is set for each open that
/// wants another one than the open before.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    bytes: AtomicU64,
    /// Where it is set, once it was.
    path: OnceLock<PathBuf>,
    /// For how many bytes an open had it set last; 0 for what it is for most files.
    set_bytes: Mutex<u64>,
    /// Whether an open ever wanted another one.
    ever: AtomicBool,
}

impl ReadAhead {
    /// Widens it to so many KiB, which root alone may do; 0 leaves the kernel's. `device` is the major and the minor
    /// number of the mount.
    pub(super) fn widen(&self, device: (u32, u32), kib: u32) {
        self.widen_device(&format!("{}:{}", device.0, device.1), kib);
    }

    /// The same of a device that the kernel knows by this name.
    pub(super) fn widen_device(&self, device: &str, kib: u32) {
        self.widen_in(Path::new(&format!("/sys/class/bdi/{device}/read_ahead_kb")), kib);
    }

    fn widen_in(&self, path: &Path, kib: u32) {
        if kib > 0 && set(path, kib.into()) {
            let _ = self.path.set(path.to_owned());
        }
        let is = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        self.bytes.store(is.unwrap_or(0) << 10, Ordering::Relaxed);
    }

    /// How much it is for most files, in bytes; 0 while that is not known.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Sets it for a file whose open is answered while what is returned lives, to so many bytes at least. The kernel
    /// looks soon after, so that another open meanwhile may have this one's. Where it was not widened it stays as it
    /// is.
    pub(super) fn suit(&self, at_least_bytes: u64) -> Option<MutexGuard<'_, u64>> {
        if at_least_bytes == 0 && !self.ever.load(Ordering::Acquire) {
            return None;
        }
        let path = self.path.get()?;
        self.ever.store(true, Ordering::Release);
        let mut set_bytes = self.set_bytes.lock();
        if *set_bytes != at_least_bytes && set(path, self.bytes().max(at_least_bytes) >> 10) {
            *set_bytes = at_least_bytes;
        }
        Some(set_bytes)
    }
}

/// Says whether it could be set.
fn set(path: &Path, kib: u64) -> bool {
    let written = std::fs::write(path, kib.to_string());
    written.inspect_err(|error| tracing::debug!(?path, %error, "the kernel's read-ahead cannot be set")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORE: u64 = 4100 << 10;

    #[test]
    fn a_file_that_wants_more_has_it_and_the_next_one_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read_ahead_kb");
        let set = || std::fs::read_to_string(&path).unwrap();
        let read_ahead = ReadAhead::default();
        assert!(read_ahead.suit(MORE).is_none(), "nothing is known");
        read_ahead.widen_in(&path, 1024);
        assert!(read_ahead.suit(0).is_none());
        assert_eq!((set().as_str(), read_ahead.bytes()), ("1024", 1 << 20));
        for (bytes, kib) in [(MORE, "4100"), (MORE, "4100"), (0, "1024"), (MORE, "4100"), (0, "1024")] {
            assert!(read_ahead.suit(bytes).is_some());
            assert_eq!((set().as_str(), read_ahead.bytes()), (kib, 1 << 20));
        }
        // It is set only where it changes.
        std::fs::write(&path, "7").unwrap();
        read_ahead.suit(0);
        assert_eq!(set(), "7");
    }

    #[test]
    fn what_is_wider_already_stays_so_and_what_cannot_be_set_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read_ahead_kb");
        let wide = ReadAhead::default();
        wide.widen_in(&path, 16384);
        wide.suit(MORE);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "16384");
        let left = ReadAhead::default();
        left.widen_in(&path, 0);
        assert_eq!(left.bytes(), 16 << 20, "as the kernel has it");
        assert!(left.suit(MORE).is_none());
        let missing = ReadAhead::default();
        missing.widen_in(&dir.path().join("missing/read_ahead_kb"), 1024);
        assert!(missing.suit(MORE).is_none() && missing.bytes() == 0);
    }
}
