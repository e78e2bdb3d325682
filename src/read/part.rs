//! One GET's bytes, from the moment they are asked for: which reads wait for them, how far they have come, which reads
//! had them.
//!
//! Bytes are handed out as soon as they are in, not when the part is whole. A part ends in one of three ways:
//! complete, failed (the reads that wait get the error), or dropped (they ask again).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::AbortHandle;

use super::buffer::Buffer;
use super::why::Why;
use crate::base::{ByteRange, Stretches};
use crate::cache::MemoryFile;
use crate::metrics::{Metric, Metrics};
use crate::store::Error;

/// Why a part was fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A program waited for it.
    Demand,
    /// It was fetched before a program asked for it, for this reason.
    Ahead(Why),
}

/// Where a part stands among those that may be given up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the last to go.
    Recent,
    /// It is the first to go.
    Coldest,
}

/// The bytes of one GET, as they come.
pub(super) struct Part {
    /// Which bytes of the object.
    pub(super) range: ByteRange,
    pub(super) origin: Origin,
    /// Names the part for as long as the daemon lives.
    pub(super) id: u64,
    /// There from the moment the GET is sent.
    buffer: OnceLock<Arc<Buffer>>,
    /// One bit for each 64th of the range whose last byte was handed out.
    delivered: AtomicU64,
    /// What the kernel has of it in its page cache, where that is to be known.
    passed_on: Mutex<Stretches>,
    is_touched: AtomicBool,
    /// Whether it was settled what becomes of the part: it is among those that may be given up, or must not come there.
    pub(super) is_placed: AtomicBool,
    /// Whether the disk has its object as a whole: memory need not keep what was read.
    pub(super) is_on_disk: AtomicBool,
    /// The checksum of all its bytes, once they are in.
    crc: OnceLock<u64>,
    /// Since when a program waits for it, on the reader's clock.
    waited_for_since: OnceLock<Duration>,
    /// Whether a program has come to wait for it, and what rings then.
    is_called: AtomicBool,
    call: Notify,
    /// Where bytes are counted that programs read, and those fetched ahead that none has read when they go.
    metrics: Arc<Metrics>,
    progress: Mutex<Progress>,
}

struct Progress {
    end: Option<End>,
    waiting: Vec<Waiting>,
    /// One for each wait there ever was.
    next_ticket: u64,
    task: Option<AbortHandle>,
}

enum End {
    Complete,
    Failed(Error),
    Dropped,
}

struct Waiting {
    ticket: u64,
    /// Bytes from the start of the part that must be in.
    need: u64,
    waker: Waker,
}

/// Why a wait brought no bytes.
#[derive(Debug)]
pub(super) enum Lost {
    /// The GET failed with this error.
    Failed(Error),
    /// The part was given up: ask again.
    Dropped,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({:?}, {} bytes in)", self.range, self.head().len())
    }
}

impl Part {
    /// A part that is wanted for what `origin` says. The bytes of it that are used are counted, and of one fetched
    /// ahead those that are let go unread.
    pub(super) fn new(range: ByteRange, origin: Origin, metrics: &Arc<Metrics>) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let progress = Progress { end: None, waiting: Vec::new(), next_ticket: 0, task: None };
        Arc::new(Part {
            range,
            origin,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            buffer: OnceLock::new(),
            delivered: AtomicU64::new(0),
            passed_on: Mutex::new(Stretches::default()),
            is_touched: AtomicBool::new(false),
            is_placed: AtomicBool::new(false),
            is_on_disk: AtomicBool::new(false),
            crc: OnceLock::new(),
            waited_for_since: OnceLock::new(),
            is_called: AtomicBool::new(false),
            call: Notify::new(),
            metrics: metrics.clone(),
            progress: Mutex::new(progress),
        })
    }

    /// Whether it was fetched before a program asked for it.
    pub(super) fn is_ahead(&self) -> bool {
        matches!(self.origin, Origin::Ahead(_))
    }

    /// Gives the part its memory. Done once, by the task that fetches it.
    pub(super) fn attach(&self, buffer: Arc<Buffer>) {
        let attached = self.buffer.set(buffer);
        debug_assert!(attached.is_ok(), "a part is fetched by one task");
    }

    /// A program waits for it from now on.
    pub(super) fn waited_for(&self, now: Duration) {
        self.waited_for_since.get_or_init(|| now);
    }

    /// A read waits for it from now on: its GET gives way no longer.
    pub(super) fn call(&self) {
        if !self.is_called.swap(true, Ordering::Relaxed) {
            self.call.notify_one();
        }
    }

    /// Whether a read has come to wait for it.
    pub(super) fn is_called(&self) -> bool {
        self.is_called.load(Ordering::Relaxed)
    }

    /// Returns when a read comes to wait for it.
    pub(super) fn called(&self) -> Notified<'_> {
        self.call.notified()
    }

    /// For how long a program has waited for it.
    pub(super) fn waited_for_long(&self, now: Duration) -> Duration {
        self.waited_for_since.get().map_or(Duration::ZERO, |since| now.saturating_sub(*since))
    }

    /// A part that takes the place of this one, whose bytes are all there: they were copied to `buffer`. Which of them
    /// were handed out stays known; they are not counted twice.
    pub(super) fn moved_to(&self, buffer: Arc<Buffer>) -> Arc<Self> {
        let part = Part::new(self.range, Origin::Demand, &self.metrics);
        part.attach(buffer);
        part.delivered.store(self.delivered.load(Ordering::Relaxed), Ordering::Relaxed);
        part.is_touched.store(self.is_touched(), Ordering::Relaxed);
        self.crc().into_iter().for_each(|crc| part.checked(crc));
        part.complete();
        part
    }

    /// All its bytes are in, and this is their checksum.
    pub(super) fn checked(&self, crc: u64) {
        // A part is fetched by one task, which comes here once.
        let _ = self.crc.set(crc);
    }

    /// The checksum of all its bytes; `None` while some are missing, and where it was not computed.
    pub(super) fn crc(&self) -> Option<u64> {
        self.crc.get().copied()
    }

    /// Whether its bytes lie in this file.
    pub(super) fn is_in(&self, file: &Arc<MemoryFile>) -> bool {
        self.buffer.get().is_some_and(|buffer| buffer.is_in(file))
    }

    /// Remembers the task that fetches the part, so that it can be called off.
    pub(super) fn fetched_by(&self, task: AbortHandle) {
        let mut progress = self.progress.lock();
        match progress.end {
            Some(End::Dropped) => task.abort(),
            Some(_) => {}
            None => progress.task = Some(task),
        }
    }

    /// The bytes that are in.
    pub(super) fn head(&self) -> &[u8] {
        self.buffer.get().map_or(&[], |buffer| buffer.head())
    }

    /// The bytes of several parts that are in, as one slice, where they lie so.
    pub(super) fn joined(parts: &[Arc<Part>]) -> Option<&[u8]> {
        let buffers: Option<Vec<_>> = parts.iter().map(|part| part.buffer.get().map(Arc::as_ref)).collect();
        Buffer::joined(buffers?)
    }

    /// Wakes those whose bytes are in.
    pub(super) fn advanced(&self) {
        let filled = self.head().len() as u64;
        let ready: Vec<Waker> = {
            let mut progress = self.progress.lock();
            if progress.waiting.is_empty() {
                return;
            }
            progress.waiting.extract_if(.., |waiting| waiting.need <= filled).map(|waiting| waiting.waker).collect()
        };
        ready.into_iter().for_each(Waker::wake);
    }

    /// All bytes are in.
    pub(super) fn complete(&self) {
        self.finish(|_| Some(End::Complete));
    }

    /// The GET failed for good.
    pub(super) fn fail(&self, error: Error) {
        self.finish(|_| Some(End::Failed(error)));
    }

    /// Gives the part up, whether a read waits for it or not, and calls its GET off.
    pub(super) fn drop_out(&self) {
        self.finish(|_| Some(End::Dropped));
    }

    /// Gives the part up unless a read waits for it; says whether it did.
    pub(super) fn drop_out_unless_waited_for(&self) -> bool {
        self.finish(|waiting| (waiting == 0).then_some(End::Dropped))
    }

    fn finish(&self, end: impl FnOnce(usize) -> Option<End>) -> bool {
        let mut progress = self.progress.lock();
        if progress.end.is_some() {
            return false;
        }
        let Some(end) = end(progress.waiting.len()) else { return false };
        let task = progress.task.take().filter(|_| matches!(end, End::Dropped));
        progress.end = Some(end);
        let waiting = std::mem::take(&mut progress.waiting);
        drop(progress);
        waiting.into_iter().for_each(|waiting| waiting.waker.wake());
        if let Some(task) = task {
            task.abort();
        }
        true
    }

    /// Whether the GET has neither ended nor been given up.
    pub(super) fn is_running(&self) -> bool {
        self.progress.lock().end.is_none()
    }

    /// Whether a read ever had to wait for it.
    pub(super) fn was_waited_for(&self) -> bool {
        self.progress.lock().next_ticket > 0
    }

    /// Whether all bytes are in.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.progress.lock().end, Some(End::Complete))
    }

    /// Whether the bytes will never come.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.progress.lock().end, Some(End::Failed(_) | End::Dropped))
    }

    /// Bytes that are still to come.
    pub(super) fn missing_bytes(&self) -> u64 {
        self.range.len() - self.head().len() as u64
    }

    /// Whether what a read wants of this part is in.
    pub(super) fn has(&self, read: ByteRange) -> bool {
        self.range.start + self.head().len() as u64 >= read.end.min(self.range.end)
    }

    /// Waits until the bytes below `end`, an offset in the object, are in.
    pub(super) fn wait(&self, end: u64) -> Wait<'_> {
        Wait { part: self, need: end - self.range.start, ticket: None }
    }

    /// Notes that these bytes, given as offsets in the object, were handed out. Says whether all were for the first
    /// time, and how many were, in bytes.
    pub(super) fn deliver(&self, range: ByteRange) -> (bool, u64) {
        if !self.is_touched.load(Ordering::Relaxed) {
            self.is_touched.store(true, Ordering::Relaxed);
        }
        let all = below(self.range.len().div_ceil(self.grain_bytes()));
        let (from, to) = self.grains(range);
        if from >= to {
            return (false, 0);
        }
        let grains = below(to) & !below(from);
        let before = self.delivered.fetch_or(grains, Ordering::Relaxed);
        let used_bytes = if grains & !before != 0 { self.bytes_of(grains & !before) } else { 0 };
        if used_bytes > 0 {
            self.metrics.add(Metric::BytesUsed, used_bytes);
        }
        (before != all && before | grains == all, used_bytes)
    }

    /// The kernel's page cache has these bytes, given as offsets in the object. Says whether it has all of the part.
    pub(super) fn passes_on(&self, range: ByteRange) -> bool {
        let mut passed_on = self.passed_on.lock();
        passed_on.add(range);
        passed_on.has_all(self.range)
    }

    /// The bytes of these grains.
    fn bytes_of(&self, grains: u64) -> u64 {
        let (len, grain) = (self.range.len(), self.grain_bytes());
        let last = len.div_ceil(grain).saturating_sub(1);
        let missing = if grains >> last & 1 == 1 { (last + 1) * grain - len } else { 0 };
        u64::from(grains.count_ones()) * grain - missing
    }

    /// Whether these bytes, given as offsets in the object, were handed out before, as far as that is known.
    pub(super) fn was_handed_out(&self, range: ByteRange) -> bool {
        let (from, to) = self.grains(range);
        let grains = below(to) & !below(from.min(to));
        self.is_touched() && self.delivered.load(Ordering::Relaxed) & grains == grains
    }

    /// The grains of the part that count as handed out with these bytes: from the first to before the second.
    fn grains(&self, range: ByteRange) -> (u64, u64) {
        let (len, grain) = (self.range.len(), self.grain_bytes());
        let end = range.end - self.range.start;
        // A grain counts when its last byte does, so that reads that share a grain need not meet on its border.
        let to = if end == len { len.div_ceil(grain) } else { end / grain };
        ((range.start - self.range.start) / grain, to)
    }

    fn grain_bytes(&self) -> u64 {
        self.range.len().div_ceil(64).max(1)
    }

    /// Whether any byte was handed out.
    pub(super) fn is_touched(&self) -> bool {
        self.is_touched.load(Ordering::Relaxed)
    }
}

/// The bits below this one.
fn below(bit: u64) -> u64 {
    if bit == 64 { u64::MAX } else { (1 << bit) - 1 }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.is_ahead() {
            let read = self.bytes_of(self.delivered.load(Ordering::Relaxed));
            self.metrics.add(Metric::PrefetchedUnread, (self.head().len() as u64).saturating_sub(read));
        }
    }
}

/// A wait for bytes of a part. Ends when they are in, or when they will not come.
pub(super) struct Wait<'a> {
    part: &'a Part,
    need: u64,
    ticket: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let part = self.part;
        if part.head().len() as u64 >= self.need {
            return Poll::Ready(Ok(()));
        }
        let mut progress = part.progress.lock();
        // Bytes may have come in before the lock was had; after it, the task that brings more finds the ticket.
        if part.head().len() as u64 >= self.need {
            return Poll::Ready(Ok(()));
        }
        match &progress.end {
            // Complete and yet too few: the part never held what is waited for.
            Some(End::Complete | End::Dropped) => return Poll::Ready(Err(Lost::Dropped)),
            Some(End::Failed(error)) => return Poll::Ready(Err(Lost::Failed(error.clone()))),
            None => {}
        }
        let ticket = self.ticket;
        match progress.waiting.iter_mut().find(|waiting| Some(waiting.ticket) == ticket) {
            Some(waiting) => waiting.waker.clone_from(cx.waker()),
            None => {
                let ticket = progress.next_ticket;
                progress.next_ticket += 1;
                progress.waiting.push(Waiting { ticket, need: self.need, waker: cx.waker().clone() });
                drop(progress);
                self.ticket = Some(ticket);
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.part.progress.lock().waiting.retain(|waiting| waiting.ticket != ticket);
        }
    }
}
