//! Files that will probably be opened next: what is fetched of them, and how much.
//!
//! An expected object is an inode without handles. Its GETs come after those of everything else, and take half of the
//! places at most; its parts may be given up, beside those that were read, the least recently used first to go, until
//! it is opened and they are what a reader finds. [`Credit`](super::credit::Credit) keeps account: what was fetched and
//! not opened counts against what may be fetched further, wherever its bytes are, until it is opened or a while has
//! gone by. So guesses that are wrong cost no more than that much in that time. And credit has to be earned: the first
//! guess fetches what hides the wait for a file's first bytes, and no more until some guess came true.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::agenda::{Cause, Entry, Guess};
use super::heads::FileUse;
use super::why::{Queue, Why};
use super::{Object, Prefetch, Reader};

/// Files that wait for their turn, at most.
const MOST_WAITING: usize = 256;

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
        let since_ms = self.now_ms();
        for (cause, object) in objects {
            // Without a tag the next open may mean another version.
            if object.size == 0 || object.etag.is_none() || object.archived {
                continue;
            }
            if self.agenda.len(Queue::Guesses) >= MOST_WAITING {
                break;
            }
            self.expect_one(object, Guess { cause, since_ms });
        }
        self.pump();
    }

    /// Objects that were expected for these causes will not be opened soon. What is on its way of them comes all the
    /// same, and those of which nothing was asked for yet are forgotten.
    pub fn withdraw(self: &Arc<Self>, causes: &[Cause]) {
        let is_withdrawn = |entry: &Entry| {
            entry.guess.is_some_and(|guess| causes.contains(&guess.cause)) && !entry.inode.has_begun(entry.why)
        };
        for Entry { inode, .. } in self.agenda.withdraw(Queue::Guesses, is_withdrawn) {
            self.forget_if_unused(&inode);
        }
        self.pump();
    }

    /// Gives an object its turns, unless it is open or waits for them already.
    fn expect_one(&self, object: Object, guess: Guess) {
        let why = Why::Expected;
        if self.file_uses.of(&object, &self.tuning) == FileUse::Portions {
            // It would come whole, and be read in part as those beside it were.
            return;
        }
        // Until it has its seat, so that the inode is not forgotten in between.
        let mut inodes = self.inodes.lock();
        let known = inodes.get(&object.ino);
        if known.is_some_and(|inode| inode.handles.load(Ordering::Relaxed) > 0 || inode.object != object) {
            return;
        }
        let inode = known.cloned().unwrap_or_else(|| self.new_inode(object));
        if inode.prefetch.is(Prefetch::Off) || inode.seat(why).is_taken() {
            return;
        }
        inodes.insert(inode.object.ino, inode.clone());
        inode.begin_anew(why);
        self.agenda.add(Entry { why, inode, guess: Some(guess) });
    }
}
