//! How far a prefetch is: what has become of its files, and the bytes that have come of those under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::MOST_WAIT;
use crate::base::{Clock, Ino};
use crate::control::{Destination, JobState, Prefetched, Prefetching};
use crate::read::{File, Object, Reader};

/// So many reasons why files could not be fetched are reported.
const MOST_FAILURES: usize = 16;

/// So many of the paths of a job are reported.
const MOST_PATHS_SHOWN: usize = 4;

/// How far a job is, for itself and for status requests.
#[derive(Debug)]
pub(super) struct JobProgress {
    pub(super) to: Destination,
    /// The first of its paths.
    paths: Vec<String>,
    clock: Clock,
    began: Duration,

    so_far: Mutex<SoFar>,
    /// Bytes of the files that fitted. Not what was found less what was skipped: those sums stop at what a number
    /// holds.
    fitting_bytes: AtomicU64,
    state: watch::Sender<JobState>,
}

#[derive(Debug)]
struct SoFar {
    counts: Prefetched,
    under_way: BTreeMap<Ino, (Object, Arc<File>)>,
    ended: Option<Duration>,
}

/// A file is under way until this is dropped.
pub(super) struct FileUnderWay<'a> {
    progress: &'a JobProgress,
    ino: Ino,
}

impl Drop for FileUnderWay<'_> {
    fn drop(&mut self) {
        self.progress.so_far.lock().under_way.remove(&self.ino);
    }
}

impl JobProgress {
    pub(super) fn new(paths: &[String], to: Destination, clock: Clock) -> Self {
        let counts = Prefetched { listing: true, ..Prefetched::default() };
        JobProgress {
            to,
            paths: paths.iter().take(MOST_PATHS_SHOWN).cloned().collect(),
            began: clock.elapsed(),
            clock,
            so_far: Mutex::new(SoFar { counts, under_way: BTreeMap::new(), ended: None }),
            fitting_bytes: AtomicU64::new(0),
            state: watch::Sender::new(JobState::Running),
        }
    }

    /// All files were found.
    pub(super) fn listed(&self) {
        self.so_far.lock().counts.listing = false;
    }

    /// A file was found, which the job fetches where this is true: `room_bytes` bounds what it fetches in all.
    pub(super) fn found(&self, size: u64, room_bytes: u64) -> bool {
        let more = |bytes: u64| bytes.checked_add(size).filter(|bytes| *bytes <= room_bytes);
        let fits = self.to != Destination::Memory
            || self.fitting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        {
            let counts = &mut self.so_far.lock().counts;
            counts.files += 1;
            // Sizes are what a service says they are.
            counts.bytes = counts.bytes.saturating_add(size);
        }
        if !fits {
            self.skipped(size);
        }
        fits
    }

    /// Counts the bytes of this file as they come.
    pub(super) fn begins(&self, object: Object, file: Arc<File>) -> FileUnderWay<'_> {
        let ino = object.ino;
        self.so_far.lock().under_way.insert(ino, (object, file));
        FileUnderWay { progress: self, ino }
    }

    /// All of a file is there.
    pub(super) fn fetched(&self, ino: Ino, size: u64) {
        let mut so_far = self.so_far.lock();
        so_far.under_way.remove(&ino);
        so_far.counts.files_done += 1;
        so_far.counts.bytes_done = so_far.counts.bytes_done.saturating_add(size);
    }

    /// A file does not fit, or the place that it was for did not take it.
    pub(super) fn skipped(&self, size: u64) {
        let counts = &mut self.so_far.lock().counts;
        counts.files_skipped += 1;
        counts.bytes_skipped = counts.bytes_skipped.saturating_add(size);
    }

    pub(super) fn failed(&self, why: String) {
        let counts = &mut self.so_far.lock().counts;
        counts.failed += 1;
        if counts.failures.len() < MOST_FAILURES {
            counts.failures.push(why);
        }
    }

    /// The job has ended in this way, unless it had before.
    pub(super) fn end(&self, state: JobState) {
        self.so_far.lock().ended.get_or_insert_with(|| self.clock.elapsed());
        self.state.send_if_modified(|now| {
            let is_running = *now == JobState::Running;
            *now = if is_running { state } else { *now };
            is_running
        });
    }

    /// Returns when it has ended, or after the longest time that a request is held.
    pub(super) async fn ended(&self) {
        let mut state = self.state.subscribe();
        // Over in time or not, the answer says how far it is.
        let _ = tokio::time::timeout(MOST_WAIT, state.wait_for(|state| *state != JobState::Running)).await;
    }

    /// The answer to a request for the status of this job.
    pub(super) async fn told(&self, job: u64, reader: &Reader) -> Prefetching {
        // Before the counts: of a job that has ended, they no longer change.
        let state = *self.state.borrow();
        let (mut so_far, under_way, ended) = {
            let so_far = self.so_far.lock();
            let under_way: Vec<_> = so_far.under_way.values().cloned().collect();
            (so_far.counts.clone(), under_way, so_far.ended)
        };
        so_far.bytes_arrived = so_far.bytes_done;
        for (object, file) in under_way {
            let bytes = match self.to {
                Destination::Memory => file.held_bytes(),
                Destination::Near => file.warmed_bytes(),
                Destination::Disk => {
                    let (version, etag) = (object.version.as_deref(), object.etag.as_ref());
                    reader.bytes_on_disk(object.key.as_str(), version, etag, object.size).await.unwrap_or(0)
                }
            };
            so_far.bytes_arrived = so_far.bytes_arrived.saturating_add(bytes.min(object.size));
        }
        let elapsed = ended.unwrap_or_else(|| self.clock.elapsed()).saturating_sub(self.began);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Prefetching { job, state, to: self.to, paths: self.paths.clone(), elapsed_ms, so_far }
    }
}
