//! Gives each queued object its turn to be prefetched, one part a turn.
//!
//! GETs that a program waits for start at once, and the store's limiter orders them. GETs ahead of readers are held
//! back here: a window is only a wish until a place and the memory are free. What waits holds no memory.

use std::sync::Arc;

use super::Reader;
use super::agenda::{Entry, GetPlace};
use super::follow::PlanStep;
use super::inode::{FetchOrder, Inode, Next, Terms};
use super::streams::Most;
use super::why::{Again, Queue, Share, Why};

/// What has its turn.
enum Turn {
    /// An object that waited in a queue of the agenda.
    Entry(Entry),
    /// The next step of the recorded load that is followed.
    Step(PlanStep),
}

impl Reader {
    /// The largest window that a stream of an object may have now: the inode in question, and those that wait for a
    /// turn (it does not while it is looked at), share three quarters of the memory; of that, what the network is
    /// worth and the object's readers use, or the disk that all of the object comes from.
    fn most(&self, inode: Option<&Inode>) -> Most {
        let sharers = self.agenda.len(Queue::Readers) as u64 + 1;
        let share_bytes = self.budget.limit_bytes() / 4 * 3 / sharers;
        let (known_bytes, used_bytes) = match inode {
            Some(inode) if inode.is_on_disk() => (Some(self.tuning.disk_window_bytes), None),
            _ => {
                let (worth_bytes, get_time) = self.pipe.worth_bytes_and_get_time(self.clock.elapsed());
                let used_bytes = |(inode, time): (&Inode, _)| inode.pace.lock().worth_bytes(time, &self.tuning);
                (worth_bytes, inode.zip(get_time).and_then(used_bytes))
            }
        };
        let brought_bytes = known_bytes.unwrap_or(self.tuning.unproven_window_bytes);
        Most {
            allowed_bytes: share_bytes.min(brought_bytes.max(self.tuning.unproven_window_bytes)),
            worth_bytes: brought_bytes.min(used_bytes.unwrap_or(u64::MAX)),
            shared_bytes: known_bytes.unwrap_or(self.tuning.unproven_shared_bytes),
        }
    }

    /// Gives an object its turns until the windows of its readers are full.
    pub(super) fn want_windows(&self, inode: &Arc<Inode>) {
        if !inode.seat(Why::Window).is_waiting() && inode.wants_more(self.most(Some(inode))) {
            self.agenda.add(Entry { why: Why::Window, inode: inode.clone(), guess: None });
        }
    }

    /// All of an object is wanted for this reason, after what was wanted so before.
    pub(super) fn want_whole(&self, inode: &Arc<Inode>, why: Why) {
        inode.begin(why);
        if !inode.seat(why).is_waiting() {
            self.agenda.add(Entry { why, inode: inode.clone(), guess: None });
        }
    }

    /// Starts GETs ahead of readers while there are places, memory and wishes.
    pub(super) fn pump(self: &Arc<Self>) {
        while self.pump_one() {}
    }

    /// One turn; says whether another may bring something.
    fn pump_one(self: &Arc<Self>) -> bool {
        // Every read comes here, and mostly nothing waits.
        if self.agenda.is_empty() && self.replay.get().is_none() {
            return false;
        }
        let Some(place) = self.agenda.place() else { return false };
        let is_scarce = self.agenda.is_scarce();
        let turn = Queue::ALL.into_iter().find_map(|queue| self.take_turn(queue, is_scarce));
        turn.is_some_and(|turn| self.give_turn(turn, place))
    }

    /// The next turn out of a queue, unless what waits there leaves the places to others while they are scarce.
    fn take_turn(&self, queue: Queue, is_scarce: bool) -> Option<Turn> {
        match queue.share() {
            _ if queue != Queue::Readers && self.right_of_way.is_closed() => None,
            Share::Half if is_scarce => None,
            _ if queue != Queue::Steps => self.agenda.take(queue).map(Turn::Entry),
            _ => self.next_step().filter(|step| step.is_proven || !is_scarce).map(Turn::Step),
        }
    }

    fn give_turn(self: &Arc<Self>, turn: Turn, place: GetPlace) -> bool {
        let (inode, next) = self.look_at(&turn);
        match next {
            Next::Nothing => {
                self.leave_turn(turn);
                true
            }
            Next::Withheld => {
                self.hold_back(turn);
                false
            }
            Next::Lacking(bytes, priority) => {
                self.hold_back(turn);
                self.make_room(bytes, priority)
            }
            Next::Fetch(order) => {
                self.go_on(turn, &order);
                self.start(&inode, order, Some(place));
                true
            }
        }
    }

    fn look_at(&self, turn: &Turn) -> (Arc<Inode>, Next) {
        let (budget, credit, now_ms) = (&self.budget, &self.credit, self.now_ms());
        let terms = |inode: Option<&Inode>| Terms { most: self.most(inode), budget, credit, now_ms };
        match turn {
            Turn::Step(step) => self.look_at_step(step, &terms(None)),
            Turn::Entry(Entry { inode, guess: Some(guess), .. })
                if credit.written_off_at_ms(guess.since_ms) <= now_ms =>
            {
                (inode.clone(), Next::Nothing)
            }
            Turn::Entry(Entry { why, inode, .. }) => (inode.clone(), inode.next(*why, None, &terms(Some(inode)))),
        }
    }

    /// A turn brought nothing, since its place or its memory is wanted elsewhere.
    fn hold_back(&self, turn: Turn) {
        match turn {
            Turn::Entry(entry) => self.agenda.put_back(entry, Again::First),
            // It stays the next step of its plan.
            Turn::Step(_) => {}
        }
    }

    /// A turn brought a part, and more may be wanted.
    fn go_on(&self, turn: Turn, order: &FetchOrder) {
        match turn {
            Turn::Entry(entry) => {
                let again = entry.why.row().again;
                self.agenda.put_back(entry, again);
            }
            Turn::Step(step) => self.step_fetched(&step, order.part.range.len()),
        }
    }

    /// A turn brought nothing, since nothing is wanted.
    fn leave_turn(&self, turn: Turn) {
        let entry = match turn {
            Turn::Entry(entry) => entry,
            Turn::Step(step) => return self.step_done(&step),
        };
        let (inode, queue) = (entry.inode.clone(), entry.why.row().queue);
        let left = self.agenda.leave(entry);
        match queue {
            Queue::Wholes => inode.warmed.notify_waiters(),
            Queue::Guesses if left => self.forget_if_unused(&inode),
            _ => {}
        }
    }
}
