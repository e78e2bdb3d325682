//! Prefetches: files and directories are fetched into memory in the requested order, while the mount is in use.
//!
//! A job takes files one after the other and has a few of them on their way at once; which of their GETs goes first is
//! decided by the reader, behind what programs wait for. A job fills at most as much of the memory as may be filled
//! ahead of readers: more would push out what it fetched first, so files beyond that are skipped, and counted.

use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::files::FilesBelow;
use super::paths::Held;
use super::progress::JobProgress;
use super::{Control, Done};
use crate::base::{Ino, Jobs};
use crate::control::{Destination, Job, JobState, Kind, Prefetch, PrefetchJobs, Prefetching, Refusal};
use crate::fs::failure::report;

/// Files in flight at once. Each takes a few requests, small ones one.
const AT_ONCE: usize = 32;
/// Jobs that go on at once, and those of which the end is remembered.
const MOST_RUNNING: usize = 16;
const MOST_ENDED: usize = 64;

/// All prefetches of the mount.
#[derive(Debug)]
pub(super) struct Prefetches(Mutex<Jobs<LiveJob>>);

#[derive(Debug)]
struct LiveJob {
    number: u64,
    progress: Arc<JobProgress>,
    task: Option<AbortHandle>,
}

impl Prefetches {
    pub(super) fn new() -> Self {
        Prefetches(Mutex::new(Jobs::new(MOST_RUNNING, MOST_ENDED)))
    }

    /// How many go on, and how many have ended of those remembered.
    pub(super) fn counts(&self) -> Value {
        let jobs = self.0.lock();
        json!({"running": jobs.live(), "ended": jobs.ended()})
    }

    fn enter(&self, progress: JobProgress) -> Done<(u64, Arc<JobProgress>)> {
        let progress = Arc::new(progress);
        let enter = |number| LiveJob { number, progress: progress.clone(), task: None };
        let sentence = || format!("{MOST_RUNNING} prefetches are running already: wait for one, or cancel one");
        let job = self.0.lock().enter(enter).ok_or_else(|| Refusal::new(Kind::Busy, sentence()))?;
        Ok((job, progress))
    }

    fn get(&self, job: u64) -> Done<Arc<JobProgress>> {
        let missing = || Refusal::new(Kind::Missing, format!("prefetch {job} does not exist, or ended long ago"));
        self.0.lock().get(job).map(|entry| entry.progress.clone()).ok_or_else(missing)
    }

    /// A job has ended in this way, unless it had before.
    fn end(&self, job: u64, progress: &JobProgress, state: JobState) {
        // A client that sees the end may request the next job immediately.
        self.0.lock().end(job);
        progress.end(state);
    }
}

impl Control {
    /// Begins to fetch. The status of the job says whether the paths exist.
    pub(super) async fn begin_prefetch(self: &Arc<Self>, what: Prefetch, on: Ino) -> Done<Prefetching> {
        if what.to == Destination::Disk && self.reader.disk().is_none() {
            let sentence = "prefetch: there is no disk cache: mount with cache-dir";
            return Err(Refusal::new(Kind::Off, sentence));
        }
        if what.to == Destination::Near && !self.reader.has_fleet() {
            let sentence = "prefetch: there is no fleet of near caches: mount with near, which is not an accelerator";
            return Err(Refusal::new(Kind::Off, sentence));
        }
        if what.to == Destination::Memory && !self.reader.keeps_files() {
            return Err(Refusal::new(
                Kind::Off,
                "prefetch: memory-cache=off keeps no file in memory: mount with memory-cache=on",
            ));
        }
        let (job, progress) = self.prefetches.enter(JobProgress::new(&what.paths, what.to, self.clock.clone()))?;
        let fetching = fetch_all(self.clone(), what.paths, on, (job, progress));
        let task = self.runtime.spawn(fetching).abort_handle();
        if let Some(entry) = self.prefetches.0.lock().get_mut(job) {
            entry.task = Some(task);
        }
        self.prefetch_status(&Job { job, wait: what.wait }).await
    }

    /// How far a job is; where it is waited for, at its end if that comes in time.
    pub(super) async fn prefetch_status(&self, job: &Job) -> Done<Prefetching> {
        let progress = self.prefetches.get(job.job)?;
        if job.wait {
            progress.ended().await;
        }
        Ok(progress.told(job.job, &self.reader).await)
    }

    /// Every job that is still told about, the oldest first.
    pub(super) async fn prefetch_jobs(&self) -> PrefetchJobs {
        let known: Vec<_> = self.prefetches.0.lock().iter().map(|job| (job.number, job.progress.clone())).collect();
        let mut jobs = Vec::with_capacity(known.len());
        for (number, progress) in known {
            jobs.push(progress.told(number, &self.reader).await);
        }
        PrefetchJobs { jobs }
    }

    /// Ends a job; what it has fetched stays.
    pub(super) async fn cancel_prefetch(&self, job: &Job) -> Done<Prefetching> {
        let progress = self.prefetches.get(job.job)?;
        let task = self.prefetches.0.lock().get_mut(job.job).and_then(|entry| entry.task.take());
        task.iter().for_each(AbortHandle::abort);
        self.prefetches.end(job.job, &progress, JobState::Cancelled);
        Ok(progress.told(job.job, &self.reader).await)
    }
}

/// Ends a job also if its task is cancelled or panics.
struct JobEnd<'a> {
    prefetches: &'a Prefetches,
    job: u64,
    progress: &'a JobProgress,
}

impl Drop for JobEnd<'_> {
    fn drop(&mut self) {
        self.prefetches.end(self.job, self.progress, JobState::Cancelled);
    }
}

/// Fetches all files below these paths, in their order.
async fn fetch_all(control: Arc<Control>, paths: Vec<String>, on: Ino, (job, progress): (u64, Arc<JobProgress>)) {
    let _end = JobEnd { prefetches: &control.prefetches, job, progress: &progress };
    let mut under_way = FuturesUnordered::new();
    for path in paths {
        let found = match control.find(Some(&path), on).await {
            Ok(held) => FilesBelow::below(&control.names, held.ino())
                .await
                .map(|files| (held, files))
                .map_err(|failure| failure.of(&path)),
            Err(refused) => Err(refused),
        };
        // Held until its files were found: what is unknown to the kernel could be forgotten.
        let (_held, mut files): (Held, FilesBelow) = match found {
            Ok(found) => found,
            Err(refused) => {
                progress.failed(refused.sentence);
                continue;
            }
        };
        loop {
            match files.next().await {
                Ok(Some(ino)) => {
                    under_way.push(fetch_one(&control, ino, &progress));
                    // Begins now, also where the next file is not known yet.
                    let _ = under_way.next().now_or_never();
                }
                Ok(None) => break,
                Err(failure) => {
                    progress.failed(failure.of(&path).sentence);
                    break;
                }
            }
            while under_way.len() >= AT_ONCE {
                under_way.next().await;
            }
        }
    }
    progress.listed();
    while under_way.next().await.is_some() {}
    control.prefetches.end(job, &progress, JobState::Done);
}

/// Fetches a file, if it fits into what the job may fill.
async fn fetch_one(control: &Arc<Control>, ino: Ino, progress: &JobProgress) {
    let object = match control.object_of(ino).await {
        Ok(object) => object,
        Err(failure) => return progress.failed(failure.of("a file that was listed").sentence),
    };
    let (key, size) = (object.key.clone(), object.size);
    if !progress.found(size, control.reader.warm_bytes_limit()) {
        return;
    }
    let file = Arc::new(control.reader.open(object.clone()));
    let _under_way = progress.begins(object, file.clone());
    let fetched = match progress.to {
        Destination::Memory => file.fetch().await.map(|()| true),
        Destination::Disk => file.fetch_to_disk().await,
        Destination::Near => file.fetch_to_fleet().await,
    };
    match fetched {
        Ok(true) => progress.fetched(ino, size),
        // The disk is full, or fails; or the fleet does not have such objects.
        Ok(false) => progress.skipped(size),
        Err(error) => {
            progress.failed(report("prefetching", &error).of(key.as_str()).sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Prefetched;
    use crate::fs::tests::Bed;
    use crate::store::ErrorKind;
    use crate::store::layers::Fault;

    #[tokio::test]
    async fn a_failure_is_told_in_the_words_of_the_store() {
        let bed = Bed::new(&["dir/a"], |_| {});
        bed.names("dir").await;
        bed.faults.set_random([(1.0, Fault::Error(ErrorKind::AccessDenied))]);
        let what = Prefetch { paths: vec!["dir".to_owned()], wait: true, to: Destination::Memory };
        let told = bed.fs.control.begin_prefetch(what, Ino::ROOT).await.unwrap();
        let [denied] = &told.so_far.failures[..] else { panic!("{told:?}") };
        assert!(denied.starts_with("dir/a: prefetching: ") && denied.contains("injected"), "{denied}");
        let refused = bed.fs.control.pin(Some("dir/a".to_owned()), Ino::ROOT).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Denied);
        assert!(refused.sentence.starts_with("dir/a: pinning: "), "{refused}");
        bed.faults.set_random([]);
        let refused = bed.fs.control.pin(Some("absent".to_owned()), Ino::ROOT).await.unwrap_err();
        assert_eq!((refused.kind, refused.sentence.as_str()), (Kind::Missing, "absent: No such file or directory"));
    }

    #[tokio::test]
    async fn sizes_that_no_sum_holds_do_not_wrap() {
        let bed = Bed::new(&["dir/a", "dir/b", "dir/c", "dir/small", "dir/tiny"], |_| {});
        for key in ["dir/a", "dir/b", "dir/c"] {
            bed.bucket.amend(key, |meta| meta.size = u64::MAX);
        }
        let what = Prefetch { paths: vec!["dir".to_owned()], wait: true, to: Destination::Memory };
        let told = bed.fs.control.begin_prefetch(what, Ino::ROOT).await.unwrap();
        let Prefetched { files, bytes, files_skipped, bytes_skipped, files_done, bytes_done, failed, .. } = told.so_far;
        assert_eq!((files, files_skipped, files_done, failed), (5, 3, 2, 0));
        assert_eq!((bytes, bytes_skipped, bytes_done), (u64::MAX, u64::MAX, 11 + 10));
    }
}
