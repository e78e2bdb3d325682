//! Recording what programs read, and prefetching along a recorded load.
//!
//! The deciding is done by [`Recorder`](super::recorder::Recorder) and [`Replay`]; here they are told what happens, and
//! what they say is done. An object of the plan that is not open is an inode without handles, found by its number: that
//! is a function of bucket, key and entity tag, so that no listing is needed, and GETs are pinned to the tag, so that
//! an object that has changed since is known by the first answer. GETs for the plan come after those of windows, at the
//! priority of warm-up; until the plan has proved right they leave half of the places to others.
//!
//! The locks of recorder and plan are taken alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::inode::{FetchOrder, Inode, Next, Terms};
use super::plan::Plan;
use super::replay::{Guidance, Replay};
use super::trace::Trace;
use super::why::Why;
use super::{Object, Reader};
use crate::base::ByteRange;
use crate::metrics::Metric;
use crate::store::ErrorKind;

/// A step of a recorded load whose turn it is.
pub(super) struct PlanStep {
    index: usize,
    object: Object,
    range: ByteRange,
    /// Whether the plan has proved right.
    pub(super) is_proven: bool,
}

impl Reader {
    /// From now on what is read is recorded. Files that are read without the daemon, because the kernel has all of
    /// their bytes, are recorded as read whole when they are opened.
    pub fn record(&self) {
        self.recorder.get_or_init(Mutex::default);
    }

    /// What was recorded so far; `None` where that is nothing new since the last call.
    pub fn recorded(&self) -> Option<Trace> {
        self.recorder.get()?.lock().take_news()
    }

    /// Follows a recorded load, once the first of its objects is opened. Only the first call counts.
    pub fn replay(&self, trace: Trace) {
        self.replay.get_or_init(|| Mutex::new(Replay::new(trace, self.options.memory_limit, self.tuning.clone())));
    }

    /// Whether what is read is what a recorded load foretold.
    pub(super) fn is_following(&self) -> bool {
        self.replay.get().is_some_and(|replay| replay.lock().is_serving())
    }

    /// Says whether an object that was opened is one of a recorded load.
    pub(super) fn opened(&self, object: &Object) -> bool {
        let Some(replay) = self.replay.get() else { return false };
        let mut replay = replay.lock();
        replay.opened(object);
        replay.covers(object)
    }

    /// A program wants these bytes: they are noted, where that is done.
    pub(super) fn record_read(&self, object: &Object, read: ByteRange) {
        if let Some(recorder) = self.recorder.get() {
            recorder.lock().observe(object, read);
        }
    }

    /// The kernel reads all of an object by itself.
    pub(super) fn seen_whole(&self, object: &Object) {
        let all = ByteRange::new(0, object.size);
        self.record_read(object, all);
        if let Some(replay) = self.replay.get() {
            replay.lock().read(object, all, self.budget.limit_bytes());
        }
    }

    /// How to fetch what a read misses: as its streams say, or as a recorded load does.
    pub(super) fn guided(&self, inode: &Inode, plan: Plan, read: ByteRange) -> (Plan, Guidance) {
        let Some(replay) = self.replay.get() else { return (plan, Guidance::None) };
        let guidance = {
            let mut replay = replay.lock();
            let guidance = replay.read(&inode.object, read, self.budget.limit_bytes());
            tell_end(&mut replay);
            guidance
        };
        inode.is_guided.store(guidance != Guidance::None, Ordering::Relaxed);
        match guidance {
            Guidance::None => (plan, guidance),
            Guidance::Stray => (inode.guided(plan, read, read.end), guidance),
            Guidance::Below { end, .. } => (inode.guided(plan, read, end), guidance),
        }
    }

    /// A read that was foretold led to these GETs of its own.
    pub(super) fn came_late(&self, guidance: Guidance, orders: &[FetchOrder]) {
        let (Some(replay), Guidance::Below { step, was_done, .. }) = (self.replay.get(), guidance) else { return };
        let bytes: u64 = orders.iter().map(|order| order.part.range.len()).sum();
        if bytes == 0 {
            return;
        }
        let mut replay = replay.lock();
        replay.fetched(step, bytes);
        if was_done {
            // Its bytes were given up before they were read.
            replay.missed(bytes);
            tell_end(&mut replay);
        }
    }

    /// A GET for an object failed.
    pub(super) fn plan_met(&self, object: &Object, kind: ErrorKind) {
        use ErrorKind::{AccessDenied, Archived, Changed, NotFound};
        let Some(replay) = self.replay.get() else { return };
        if matches!(kind, AccessDenied | Archived | Changed | NotFound) && replay.lock().lost(object) {
            self.metrics.add(Metric::ReplaySkipped, 1);
            tracing::debug!(key = object.key.as_str(), ?kind, "the recorded load continues without an object");
        }
    }

    /// The step of the recorded load whose turn it is; none while enough is ahead of the program.
    pub(super) fn next_step(&self) -> Option<PlanStep> {
        let mut replay = self.replay.get()?.lock();
        let (index, object, range) = replay.turn(self.budget.limit_bytes())?;
        Some(PlanStep { index, object, range, is_proven: replay.is_proven() })
    }

    /// What a step brings next, and the inode that it is of.
    pub(super) fn look_at_step(&self, step: &PlanStep, terms: &Terms<'_>) -> (Arc<Inode>, Next) {
        let object = &step.object;
        // Under the lock of the map, so that the inode is not forgotten before it has a part.
        let mut inodes = self.inodes.lock();
        let known = inodes.get(&object.ino).cloned();
        let inode = known.unwrap_or_else(|| self.new_inode(object.clone()));
        if inode.object != *object {
            return (inode, Next::Nothing);
        }
        let next = inode.next(Why::Recorded, Some(step.range), terms);
        if matches!(next, Next::Fetch(_)) {
            inodes.insert(object.ino, inode.clone());
        }
        (inode, next)
    }

    /// A GET of so many bytes was started for a step.
    pub(super) fn step_fetched(&self, step: &PlanStep, bytes: u64) {
        if let Some(replay) = self.replay.get() {
            replay.lock().fetched(step.index, bytes);
        }
    }

    /// All that a step wants is there, or on its way.
    pub(super) fn step_done(&self, step: &PlanStep) {
        if let Some(replay) = self.replay.get() {
            replay.lock().done(step.index);
        }
    }
}

fn tell_end(replay: &mut Replay) {
    if replay.ends() {
        tracing::info!("reads differ from the recorded load: its replay ends");
    }
}
