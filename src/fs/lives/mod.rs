//! What outlives the process: a daemon that continues a mount uses the same inode numbers and handles.
//!
//! | file | what it owns |
//! |---|---|
//! | `ledger` | what the next daemon needs to continue the mount |
//! | `suspects` | requests that were in flight when several daemons ended |

mod ledger;
mod suspects;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

pub use self::ledger::{Ledger, LedgerError, Past};
pub(super) use self::ledger::{PastDirectory, PastFile, PastListing};
pub use self::suspects::{Extent, Suspects, Taken};
use super::{Errno, FileHandle, Result};
use crate::base::{Ino, Timestamp};
use crate::metrics::{Metric, Metrics};

/// The note that counts lives.
const LIFE: &str = "life";

/// The note of the time that directories without one of their own show.
const TIME: &str = "time";

/// Lives that can be told apart; after them the count starts again.
const LIVES: u64 = 1 << 20;

/// What this life of the daemon has from the ones before, and leaves to the next.
pub(super) struct Lives {
    metrics: Arc<Metrics>,
    ledger: OnceLock<Arc<Ledger>>,
    suspects: Arc<Suspects>,
    /// Handles from an earlier life, by the requests that opened them.
    asked: Mutex<HashMap<u64, u64>>,
    next_handle: AtomicU64,
}

/// What programs have open from an earlier life.
pub(super) struct StillInUse {
    /// The number of this life, from 1 on.
    pub(super) life: u64,
    pub(super) directories: HashMap<Ino, PastDirectory>,
    /// Open files by handle.
    pub(super) files: BTreeMap<u64, PastFile>,
    /// Open directories by handle.
    pub(super) listings: BTreeMap<u64, PastListing>,
}

impl Past {
    /// The time that directories without one of their own have shown so far.
    pub fn mount_time(&self) -> Option<Timestamp> {
        let (seconds, nanos) = self.note(TIME)?.split_once('.')?;
        Some(Timestamp { seconds: seconds.parse().ok()?, nanos: nanos.parse().ok()? })
    }
}

impl Lives {
    pub(super) fn new(metrics: Arc<Metrics>) -> Lives {
        Lives {
            metrics,
            ledger: OnceLock::new(),
            suspects: Arc::default(),
            asked: Mutex::default(),
            next_handle: AtomicU64::new(1),
        }
    }

    /// Writes down from now on what must outlive the process. Once, before the file system is mounted. `mount_time` is
    /// the time that directories without one of their own show.
    pub(super) fn keep(&self, ledger: Arc<Ledger>, mount_time: Timestamp) {
        let Timestamp { seconds, nanos } = mount_time;
        ledger.note(TIME, &format!("{seconds}.{nanos}"));
        // A second ledger would not know what the first does.
        let _ = self.ledger.set(ledger);
    }

    /// What must outlive the process is written here, if anywhere.
    pub(super) fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger.get()
    }

    /// Begins a life after others, once and before the first request.
    pub(super) fn begin(&self, ledger: Arc<Ledger>, past: Past, mount_time: Timestamp) -> StillInUse {
        let life = past.note(LIFE).and_then(|life| life.parse::<u64>().ok()).unwrap_or(0) % LIVES + 1;
        ledger.note(LIFE, &life.to_string());
        self.metrics.set(Metric::Restarts, life);
        self.suspects.begin(ledger.clone(), &past);
        self.keep(ledger, mount_time);
        let Past { directories, files, listings, asked, .. } = past;
        self.asked.lock().extend(asked.into_iter().map(|(handle, request)| (request, handle)));
        let last = files.keys().chain(listings.keys()).max().copied().unwrap_or(0);
        self.next_handle.fetch_max(last + 1, Ordering::Relaxed);
        StillInUse { life, directories, files, listings }
    }

    /// What is known of requests that the kernel sends again.
    pub(super) fn suspects(&self) -> &Arc<Suspects> {
        &self.suspects
    }

    /// A handle that no life has given out before.
    pub(super) fn next_handle(&self) -> u64 {
        self.next_handle.fetch_add(1, Ordering::Relaxed)
    }

    /// What is open under this handle, a file's or a directory's, was asked for by this request.
    pub(super) fn asked(&self, handle: u64, request: u64) {
        if let Some(ledger) = self.ledger() {
            ledger.asked(handle, request);
        }
    }

    /// The handle that an earlier life gave to this request, which the kernel has sent again: it was never told, so
    /// that it will not be closed.
    pub(super) fn never_told(&self, request: u64) -> Option<u64> {
        self.asked.lock().remove(&request)
    }

    /// The kernel reads an open file by itself, under this number.
    pub(super) fn passed(&self, handle: FileHandle, backing: u32) {
        if let Some(ledger) = self.ledger() {
            ledger.passed(handle.0, backing);
        }
    }
}
