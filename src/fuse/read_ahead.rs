//! How much the kernel reads ahead on a mount, for its page cache and around page faults.

use std::sync::atomic::{AtomicU64, Ordering};

/// The readahead of one mount.
#[derive(Debug, Default)]
pub(super) struct ReadAhead(AtomicU64);

impl ReadAhead {
    /// Widens it to so many KiB, which root alone may do; 0 leaves the kernel's. `device` is the major and the minor
    /// number of the mount.
    pub(super) fn widen(&self, device: (u32, u32), kib: u32) {
        self.widen_device(&format!("{}:{}", device.0, device.1), kib);
    }

    /// The same of a device that the kernel knows by this name.
    pub(super) fn widen_device(&self, device: &str, kib: u32) {
        let path = format!("/sys/class/bdi/{device}/read_ahead_kb");
        if kib > 0
            && let Err(error) = std::fs::write(&path, kib.to_string())
        {
            tracing::debug!(path, %error, "the kernel's read-ahead cannot be set");
        }
        let is = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        self.0.store(is.unwrap_or(0) << 10, Ordering::Relaxed);
    }

    /// How much it is, in bytes; 0 while that is not known.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
