//! A cache directory in use: where its objects are, how much it may hold, how well its disk works.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::duel::Duel;
use super::identity::{Identity, Name};
use super::place::Place;
use super::rest::{Change, Failure, Rest};
use super::room::Room;
use super::segments::Segments;
use crate::base::Clock;
use crate::metrics::{Metric, Metrics};

/// How long a read of the disk may take, and may wait for its turn. The store is asked instead then.
const PATIENCE: Duration = Duration::from_secs(2);
/// Writing for longer than this is a failure.
const SLOW_WRITE: Duration = Duration::from_secs(30);
/// So many decisions are remembered: those of objects that are fetched before they are opened, and never are.
const DECISIONS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Reads of one directory at a time.
const READERS: usize = 8;

/// A cache directory in use.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) place: Arc<Place>,
    pub(super) room: Room,
    pub(super) segments: Segments,
    duel: Mutex<Duel>,
    /// Whether objects may push out others, of which that was asked last.
    decisions: Mutex<LruCache<Name, bool>>,
    rest: Mutex<Rest>,
    /// Where reads wait for the disk: not among the threads of the runtime that serves the mount.
    threads: tokio::runtime::Handle,
    turns: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

impl Directory {
    pub(super) fn new(
        place: Arc<Place>,
        room: Room,
        threads: tokio::runtime::Handle,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Directory {
        let (duel, rest) = (Mutex::new(Duel::new()), Mutex::default());
        let decisions = Mutex::new(LruCache::new(DECISIONS));
        let segments = Segments::new(place.clone(), clock.clone());
        Directory {
            place,
            room,
            segments,
            duel,
            decisions,
            rest,
            threads,
            turns: Arc::new(Semaphore::new(READERS)),
            metrics,
            clock,
        }
    }

    /// The directory that the options name.
    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Whether it is used now, and not left alone.
    pub(super) fn is_up(&self) -> bool {
        self.rest.lock().is_up(self.clock.elapsed())
    }

    /// Whether something may be written now.
    pub(super) fn may_write(&self) -> bool {
        self.rest.lock().may_write(self.clock.elapsed())
    }

    /// Does what waits for the disk, on a thread that may wait. `None` where that failed, took too long, or had to wait
    /// for others: the store is to be asked.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Directory>) -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        if !self.is_up() {
            return None;
        }
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await.ok()?.ok()?;
        let directory = self.clone();
        let task = self.threads.spawn_blocking(move || {
            let _turn = turn;
            work(&directory)
        });
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(done)) => self.judged(done),
            // It panicked, which was told.
            Ok(Err(_)) => None,
            Err(_) => {
                self.failed(Failure::Slow, "a read takes more than 2 s");
                None
            }
        }
    }

    /// Does what waits for the disk, on this thread. `None` where that failed.
    pub(super) fn judge<T>(&self, work: impl FnOnce() -> io::Result<T>) -> Option<T> {
        let began = self.clock.elapsed();
        let done = self.judged(work());
        if self.clock.elapsed().saturating_sub(began) > SLOW_WRITE {
            self.failed(Failure::Slow, "a write takes more than 30 s");
        }
        done
    }

    /// The outcome of an operation that may take long. `None` where it failed.
    pub(super) fn judged<T>(&self, done: io::Result<T>) -> Option<T> {
        match done {
            Ok(done) => {
                if self.rest.lock().worked(self.clock.elapsed()) == Change::Returns {
                    tracing::info!(dir = %self.path().display(), "the cache directory works again");
                }
                Some(done)
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
                self.failed(Failure::Full, "it is full");
                None
            }
            // That says nothing of the disk.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                self.metrics.add(Metric::DiskErrors, 1);
                tracing::debug!(dir = %self.path().display(), %error, "the disk cache is passed over");
                None
            }
            Err(error) => {
                self.failed(Failure::Error, &error.to_string());
                None
            }
        }
    }

    fn failed(&self, failure: Failure, why: &str) {
        self.metrics.add(Metric::DiskErrors, 1);
        tracing::debug!(dir = %self.path().display(), why, "the disk cache failed");
        if self.rest.lock().failed(failure, self.clock.elapsed()) == Change::Rests {
            tracing::warn!(
                dir = %self.path().display(),
                why,
                "the disk of the cache fails: the cache is not used for a minute, and then tried again"
            );
        }
    }

    /// An object of so many bytes is opened.
    pub(super) fn opened(&self, name: Name, bytes: u64) -> io::Result<()> {
        let Some(open) = self.duel.lock().counted(name, bytes) else { return Ok(()) };
        // Where it cannot be written down, this daemon goes by what it sees itself.
        let opens = self.place.opens.note(open).unwrap_or_else(|_| vec![open]);
        let capacity = self.room.capacity()?;
        let mut duel = self.duel.lock();
        for open in opens {
            duel.open(open, capacity, rand::random());
        }
        Ok(())
    }

    /// Whether a new object may push out what is there. Decided once for all that is written of it until
    /// [`Directory::decide_anew`].
    pub(super) fn admits(&self, name: Name) -> bool {
        *self.decisions.lock().get_or_insert(name, || self.duel.lock().admits(rand::random()))
    }

    /// An object is used no more. The next time may have another outcome.
    pub(super) fn decide_anew(&self, name: Name) {
        self.decisions.lock().pop(&name);
    }

    /// Where an object stands among directories that could hold it, with this weight: it goes to the highest.
    pub(super) fn score(&self, identity: &Identity, weight: u64) -> f64 {
        // Rendezvous hashing: what one directory loses goes to all others, and nothing else moves.
        let hash = crate::base::fnv1a(format!("{} {}", identity.name(), self.path().display()).as_bytes());
        let uniform = (mixed(hash) >> 11) as f64 / (1u64 << 53) as f64;
        -(weight.max(1) as f64) / uniform.max(f64::MIN_POSITIVE).ln()
    }
}

/// FNV's upper bits change little with the last bytes.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}
