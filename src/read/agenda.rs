//! The queues of prefetching, one for each degree of urgency, and the places that all of them share.
//!
//! What holds for each reason stands in the table of `why`; `pump` gives the turns. The queues are locked one at a
//! time. How many wait is known without a lock, since every read asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::inode::Inode;
use super::why::{Again, Queue, Why};
use crate::store::Connections;

/// Why an object is expected: what was expected for one cause may be withdrawn together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause(pub u64);

/// What is known of an object that will probably be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub(super) cause: Cause,
    /// When it was expected, in milliseconds on the reader's clock.
    pub(super) since_ms: u64,
}

/// An object that waits for its turn.
pub(super) struct Entry {
    pub(super) why: Why,
    pub(super) inode: Arc<Inode>,
    /// Set where the object is expected.
    pub(super) guess: Option<Guess>,
}

/// A place for one GET ahead of a reader. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct GetPlace(Arc<AtomicUsize>);

impl Drop for GetPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All that waits for a turn to be fetched ahead.
pub(super) struct Agenda {
    connections: Connections,
    /// Places for GETs ahead of readers that are taken.
    taken: Arc<AtomicUsize>,
    lanes: [Lane; Queue::ALL.len()],
}

/// One queue, and how long it is.
#[derive(Default)]
struct Lane {
    entries: Mutex<VecDeque<Entry>>,
    len: AtomicUsize,
}

impl Lane {
    fn change<T>(&self, change: impl FnOnce(&mut VecDeque<Entry>) -> T) -> T {
        let mut entries = self.entries.lock();
        let changed = change(&mut entries);
        self.len.store(entries.len(), Ordering::Relaxed);
        changed
    }
}

impl Agenda {
    /// An empty agenda for a store that is asked for so many GETs at once.
    pub(super) fn new(connections: Connections) -> Self {
        Agenda { connections, taken: Arc::default(), lanes: Default::default() }
    }

    /// GETs that may be in flight now.
    pub(super) fn connections(&self) -> usize {
        self.connections.now()
    }

    /// Places for GETs ahead of readers: as many as the store's limiter gives them, so that what starts here never
    /// waits there.
    fn places(&self) -> usize {
        Connections::ahead(self.connections())
    }

    /// A place for one GET, if one is free.
    pub(super) fn place(&self) -> Option<GetPlace> {
        let places = self.places();
        let take = |taken: usize| (taken < places).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(GetPlace(self.taken.clone()))
    }

    /// Whether fewer places are free than the less urgent reasons leave to the others, which is half of them.
    pub(super) fn is_scarce(&self) -> bool {
        let places = self.places();
        places.saturating_sub(self.taken.load(Ordering::Relaxed)) < places / 2
    }

    /// Whether no queue holds anything.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.len.load(Ordering::Relaxed) == 0)
    }

    /// How many objects wait in a queue.
    pub(super) fn len(&self, queue: Queue) -> usize {
        self.lane(queue).len.load(Ordering::Relaxed)
    }

    /// Puts an object into the queue of its reason, unless it is there. One that has its turn now is looked at again.
    pub(super) fn add(&self, entry: Entry) {
        if entry.inode.seat(entry.why).call() {
            self.lane(entry.why.row().queue).change(|entries| entries.push_back(entry));
        }
    }

    /// Takes the first one out of a queue. Answer with [`Agenda::put_back`] or [`Agenda::leave`].
    pub(super) fn take(&self, queue: Queue) -> Option<Entry> {
        if self.len(queue) == 0 {
            return None;
        }
        let entry = self.lane(queue).change(VecDeque::pop_front)?;
        entry.inode.seat(entry.why).look();
        Some(entry)
    }

    /// More is wanted of the object than its turn brought.
    pub(super) fn put_back(&self, entry: Entry, again: Again) {
        entry.inode.seat(entry.why).wait_again();
        self.lane(entry.why.row().queue).change(|entries| match again {
            Again::First => entries.push_front(entry),
            Again::Last => entries.push_back(entry),
        });
    }

    /// Nothing is wanted of the object. False where something was since its turn began: then it is in the queue again.
    pub(super) fn leave(&self, entry: Entry) -> bool {
        let left = entry.inode.seat(entry.why).leave();
        if !left {
            self.put_back(entry, Again::Last);
        }
        left
    }

    /// Takes those out of a queue that are not wanted any more.
    pub(super) fn withdraw(&self, queue: Queue, is_withdrawn: impl FnMut(&Entry) -> bool) -> VecDeque<Entry> {
        self.lane(queue).change(|entries| {
            let (withdrawn, others) = std::mem::take(entries).into_iter().partition(is_withdrawn);
            *entries = others;
            for Entry { why, inode, .. } in &withdrawn {
                inode.seat(*why).give_up();
            }
            withdrawn
        })
    }

    fn lane(&self, queue: Queue) -> &Lane {
        &self.lanes[queue as usize]
    }
}
