//! Files that nobody has opened yet and somebody will probably open next: what is fetched of them, and how much.
//!
//! An expected object is an inode without handles. Its GETs come after those of everything else, and take half of the
//! places at most; its parts lie on the shelf beside those that were read, the least recently used first to go, until
//! it is opened and they are what a reader finds. [`Credit`](super::credit::Credit) keeps account: what was fetched and not opened counts
//! against what may be fetched further, wherever its bytes are, until it is opened or a while has gone by. So guesses
//! that are wrong cost no more than that much in that time. And credit has to be earned: the first guess fetches what
//! hides the wait for a file's first bytes, and no more until some guess came true.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::credit::WRITE_OFF_MS;
use super::inode::{Ahead, Inode};
use super::{Object, Prefetch, Reader};

/// Files that wait for their turn, at most.
const MOST_WAITING: usize = 256;

/// Why objects are expected: what was expected for one cause may be withdrawn together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause(pub u64);

/// An inode that waits for its turn to be fetched before it is opened.
pub(super) struct Expected {
    /// Milliseconds on the reader's clock.
    since_ms: u64,
    cause: Cause,
    inode: Arc<Inode>,
}

impl Reader {
    /// Whether anything is ever fetched before it is asked for.
    pub fn looks_ahead(&self) -> bool {
        !self.modes.of_others().is(Prefetch::Off)
    }

    /// Objects that will probably be opened next, in this order. They are fetched as far as places, memory and what
    /// became of earlier guesses allow; those that are open, or there, cost nothing. What is not fetched within a
    /// minute is forgotten.
    pub fn expect(self: &Arc<Self>, objects: impl IntoIterator<Item = (Cause, Object)>) {
        if !self.looks_ahead() || self.is_following() {
            return;
        }
        let now_ms = self.now_ms();
        for (cause, object) in objects {
            // Without a tag the next open may mean another version.
            if object.size == 0 || object.etag.is_none() || object.archived {
                continue;
            }
            if self.turns.expected.lock().len() >= MOST_WAITING {
                break;
            }
            if let Some(inode) = self.newly_expected(object) {
                self.turns.expected.lock().push_back(Expected { since_ms: now_ms, cause, inode });
            }
        }
        self.pump();
    }

    /// Objects that were expected for these causes will not be opened soon. What is on its way of them comes all the
    /// same, and those of which nothing was asked for yet are forgotten.
    pub fn withdraw(self: &Arc<Self>, causes: &[Cause]) {
        let all = std::mem::take(&mut *self.turns.expected.lock());
        let is_withdrawn = |expected: &Expected| causes.contains(&expected.cause) && !expected.inode.has_begun();
        let (withdrawn, others): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(is_withdrawn);
        // What came in between waits behind.
        let mut expected = self.turns.expected.lock();
        for other in others.into_iter().rev() {
            expected.push_front(other);
        }
        drop(expected);
        for Expected { inode, .. } in withdrawn {
            inode.is_expected.store(false, Ordering::Relaxed);
            self.forget_if_unused(&inode);
        }
        self.pump();
    }

    /// The inode of an object that nobody has open, unless it waits for its turn already.
    fn newly_expected(&self, object: Object) -> Option<Arc<Inode>> {
        let mut inodes = self.inodes.lock();
        let known = inodes.get(&object.ino);
        if known.is_some_and(|inode| inode.handles.load(Ordering::Relaxed) > 0 || inode.object != object) {
            return None;
        }
        let inode = known.cloned().unwrap_or_else(|| self.new_inode(object));
        if inode.prefetch.is(Prefetch::Off) || inode.is_expected.swap(true, Ordering::Relaxed) {
            return None;
        }
        inodes.insert(inode.object.ino, inode.clone());
        inode.expect();
        Some(inode)
    }

    /// The turn of an object that nobody has open, when nobody else wants one; says whether another may bring
    /// something.
    pub(super) fn pump_expected(self: &Arc<Self>, place: OwnedSemaphorePermit) -> bool {
        if self.turns.are_scarce() {
            return false;
        }
        let Some(expected) = self.turns.expected.lock().pop_front() else { return false };
        let Expected { since_ms, ref inode, .. } = expected;
        let inode = inode.clone();
        let now_ms = self.now_ms();
        let ahead = match since_ms + WRITE_OFF_MS <= now_ms {
            true => Ahead::Nothing,
            false => inode.next_expected(&self.credit, now_ms, &self.budget),
        };
        let (more, order) = match ahead {
            Ahead::Nothing => {
                inode.is_expected.store(false, Ordering::Relaxed);
                self.forget_if_unused(&inode);
                return true;
            }
            Ahead::Withheld => (false, None),
            Ahead::Lacking(bytes, priority) => (self.make_room(bytes, priority), None),
            Ahead::Fetch(order) => (true, Some(order)),
        };
        self.turns.expected.lock().push_front(expected);
        if let Some(order) = order {
            self.start(&inode, order, Some(place));
        }
        more
    }
}
