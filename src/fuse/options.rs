//! How to mount and serve.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::READAHEAD_BYTES;

/// Who may use the mount besides what file modes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// The user who mounted it.
    #[default]
    Owner,
    /// That user and root.
    OwnerAndRoot,
    /// Everyone. Mounting so without root needs `user_allow_other` in `/etc/fuse.conf`.
    Everyone,
}

/// Whether the kernel reads large files through the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BridgeUse {
    /// Where this kernel and the rights of the daemon allow it without a loop device.
    #[default]
    Auto,
    /// It does, by a loop device if need be, or the mount fails.
    On,
    /// The same, by a loop device also where EROFS could read a file.
    Loop,
    /// It never reads them so.
    Off,
}

/// How to mount and serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may use it.
    pub access: Access,
    /// Mount over a directory that is not empty.
    pub nonempty: bool,
    /// Tell the kernel that the mount is read-only, and let it check file modes. Off for mounts that take control
    /// requests by `setfattr`: then every operation that writes reaches the daemon, which refuses it.
    pub kernel_read_only: bool,
    /// Refuse to run programs from the mount.
    pub noexec: bool,
    /// Threads that receive requests; 0 for one per core, at least 4 and at most 16: more than cores gain nothing where
    /// bytes are read. Measured on 2 cores: of 2, 3, 4 and 8 threads an open and a close take 72, 52, 50 and 64 us,
    /// since the next open finds a thread that is not busy with the last close.
    pub threads: usize,
    /// Requests that the kernel keeps under way in the background (readahead, asynchronous reads). Measured: 16 costs
    /// a fifth of the throughput of four readers, 256 brings nothing over 64.
    pub max_background: u16,
    /// Readahead of the mount in KiB where the page cache is used, set through sysfs as root; 0 leaves the kernel's
    /// 128.
    pub read_ahead_kib: u32,
    /// Raise the kernel's limit of one request to so many bytes, as root, for all FUSE mounts of the machine.
    pub max_request_bytes: u64,
    /// Whether the kernel reads large files through the bridge.
    pub bridge: BridgeUse,
    /// Files of at least so many bytes are read so. Below some 8 MiB an open costs more than it gains.
    pub bridge_min_bytes: u64,
    /// The end of every wait: a request not answered by then fails with EIO, so that even a killed process, which the
    /// kernel lets go only with an answer, is not held for ever. The budgets of `store` end long before.
    pub answer_limit: Duration,
    /// The program that mounts for users without privileges.
    pub fusermount: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            access: Access::Owner,
            nonempty: false,
            kernel_read_only: true,
            noexec: false,
            threads: 0,
            max_background: 64,
            read_ahead_kib: (READAHEAD_BYTES >> 10) as u32,
            max_request_bytes: 1 << 20,
            bridge: BridgeUse::Auto,
            bridge_min_bytes: 16 << 20,
            answer_limit: Duration::from_secs(600),
            fusermount: PathBuf::from("fusermount3"),
        }
    }
}

impl Options {
    /// The number of threads that receive requests.
    pub fn thread_count(&self) -> usize {
        self.threads_or_one_per_core(4)
    }

    /// The number of threads that receive requests of the bridge.
    pub(super) fn bridge_thread_count(&self) -> usize {
        self.threads_or_one_per_core(2)
    }

    fn threads_or_one_per_core(&self, least: usize) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(least, |cores| cores.get().clamp(least, 16)),
            threads => threads,
        }
    }
}
