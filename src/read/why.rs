//! Why bytes are fetched before a program asks for them: the reasons, and what holds for each of them, in one table.
//!
//! A new reason is a variant of [`Why`] and its row in [`ROWS`]. What has the reason begins it with
//! `Reader::want_whole` (or a method beside it), and `Inode::next` says which part comes next. [`Goals`] say how far
//! each reason has brought an object, and a [`Seat`] whether it waits for a turn; the queues are the `agenda`'s.

use std::sync::atomic::{AtomicU8, Ordering};

use super::budget::Priority;
use {Again::*, Cost::*, Cut::*, Priority as Memory, Queue::*, Share::*};

/// Why bytes are fetched before a program asks for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// A reader goes through the object, and these bytes lie in the window ahead of it, or where its next runs will be.
    Window,
    /// All of the object was asked for by name.
    AskedFor,
    /// The object was opened under `prefetch=open`.
    Opened,
    /// The header of a model and what was read of it say that all of it will be wanted.
    Model,
    /// Look-ups in the object have cost as much as all of it does.
    LookUps,
    /// A recorded load wanted these bytes.
    Recorded,
    /// The object will probably be opened next.
    Expected,
}

/// Where a reason waits for its turn, the most urgent queue first. Reasons that share a queue are served in the order
/// in which they came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// Objects whose readers' windows are not full.
    Readers,
    /// Objects of which all is wanted.
    Wholes,
    /// The steps of a recorded load. The plan itself (`replay`) keeps their order.
    Steps,
    /// Objects that nothing has opened yet.
    Guesses,
}

impl Queue {
    /// All queues, in the order in which they are looked at.
    pub(super) const ALL: [Queue; 4] = [Queue::Readers, Queue::Wholes, Queue::Steps, Queue::Guesses];

    /// How many of the places its reasons may take: all of them the same.
    pub(super) fn share(self) -> Share {
        ROWS.iter().find(|row| row.queue == self).map_or(Share::Half, |row| row.share)
    }
}

/// How many of the places for GETs ahead of readers a reason may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Share {
    /// All places may be taken.
    All,
    /// Half of the places stay free for more urgent reasons.
    Half,
    /// Half of the places stay free until the recorded load has proved right; then all may be taken.
    HalfUntilProven,
}

/// How long the parts are that a reason is fetched in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// As long as the option `part_bytes` allows.
    Long,
    /// Short enough to be waited for, when a program turns out to want other bytes of the part first.
    Short,
}

/// Where an object waits after a part of it was fetched and more is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Again {
    /// It waits behind the others, so that all of them are served alike.
    Last,
    /// It stays in front, so that it is complete before the next one begins.
    First,
}

/// Whether the bytes that a reason brings are charged to the account of guesses (`credit`), which may withhold them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cost {
    /// They are not charged: programs have shown that they want them.
    Free,
    /// They are charged until the object is opened.
    Charged,
}

/// What holds for a reason.
#[derive(Debug)]
pub(super) struct Row {
    /// The reason that this row is about.
    pub(super) why: Why,
    /// Where it waits for its turn.
    pub(super) queue: Queue,
    /// How much of the memory its parts may fill. A window that its reader has not earned yet may fill less.
    pub(super) memory: Priority,
    /// How many of the places it may take.
    pub(super) share: Share,
    /// How long its parts are.
    pub(super) cut: Cut,
    /// Where the object waits after a part of it was fetched.
    pub(super) again: Again,
    /// Whether its bytes are charged to the account of guesses.
    pub(super) cost: Cost,
}

const fn row(why: Why, queue: Queue, memory: Priority, share: Share, cut: Cut, again: Again, cost: Cost) -> Row {
    Row { why, queue, memory, share, cut, again, cost }
}

/// All reasons, each at the place of its number, with its queue, memory, share of places, parts, next turn and account.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 7] = [
    row(Why::Window,   Readers, Memory::Window, All,             Long,  Last,  Free),
    row(Why::AskedFor, Wholes,  Memory::WarmUp, All,             Long,  First, Free),
    row(Why::Opened,   Wholes,  Memory::WarmUp, All,             Long,  First, Free),
    row(Why::Model,    Wholes,  Memory::WarmUp, All,             Short, First, Free),
    row(Why::LookUps,  Wholes,  Memory::WarmUp, All,             Short, First, Free),
    row(Why::Recorded, Steps,   Memory::WarmUp, HalfUntilProven, Short, First, Free),
    row(Why::Expected, Guesses, Memory::WarmUp, Half,            Short, First, Charged),
];

impl Why {
    /// What holds for this reason.
    pub(super) fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The reasons to fetch all of an object, the one that asks for the most first.
    fn wholes() -> impl Iterator<Item = Why> {
        ROWS.iter().filter(|row| row.queue == Queue::Wholes).map(|row| row.why)
    }
}

/// How far a reason has brought an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Goal {
    /// Nothing is wanted for this reason.
    #[default]
    None,
    /// All that is wanted below this offset is there, or on its way.
    Below(u64),
    /// All that is wanted is there, or was.
    Reached,
}

/// How far each reason has brought an object.
#[derive(Debug, Default)]
pub(super) struct Goals([Goal; ROWS.len()]);

impl Goals {
    /// How far this reason has come.
    pub(super) fn of(&self, why: Why) -> Goal {
        self.0[why as usize]
    }

    /// Notes how far this reason has come.
    pub(super) fn set(&mut self, why: Why, goal: Goal) {
        self.0[why as usize] = goal;
    }

    /// Begins with the first byte, unless that was begun before.
    pub(super) fn begin(&mut self, why: Why) {
        if self.of(why) == Goal::None {
            self.set(why, Goal::Below(0));
        }
    }

    /// Whether all of the object is wanted, or was fetched because it was.
    pub(super) fn want_whole(&self) -> bool {
        Why::wholes().any(|why| self.of(why) != Goal::None)
    }

    /// Whether all of the object was fetched because it was wanted.
    pub(super) fn had_whole(&self) -> bool {
        Why::wholes().any(|why| self.of(why) == Goal::Reached)
    }

    /// The reasons to fetch all of the object that are on their way, with how far they have come.
    pub(super) fn whole_on_its_way(&self) -> impl Iterator<Item = (Why, u64)> + use<> {
        let goals = self.0;
        Why::wholes().filter_map(move |why| match goals[why as usize] {
            Goal::Below(from) => Some((why, from)),
            Goal::None | Goal::Reached => None,
        })
    }

    /// The last reader is gone. A recorded load may still want what was fetched for it.
    pub(super) fn end_with_readers(&mut self) {
        let recorded = self.of(Why::Recorded);
        *self = Goals::default();
        self.set(Why::Recorded, recorded);
    }
}

/// Whether an object waits for its turn in one of the queues. It has a seat for each reason and is in a queue once.
///
/// A turn is taken in two steps, looking and leaving. What is wanted of the object between the two calls it again, so
/// that no wish is lost: `OUT -> WAITING -> LOOKED_AT (-> CALLED_AGAIN) -> OUT or WAITING`.
#[derive(Debug, Default)]
pub(super) struct Seat(AtomicU8);

const OUT: u8 = 0;
const WAITING: u8 = 1;
const LOOKED_AT: u8 = 2;
const CALLED_AGAIN: u8 = 3;

impl Seat {
    /// Whether it waits, or has its turn just now.
    pub(super) fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed) != OUT
    }

    /// Whether it will be looked at after this moment, so that nothing more has to be done.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed), WAITING | CALLED_AGAIN)
    }

    /// Something is wanted. Says whether the object must be put into the queue for it.
    pub(super) fn call(&self) -> bool {
        let called = |now| match now {
            OUT => Some(WAITING),
            LOOKED_AT => Some(CALLED_AGAIN),
            _ => None,
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, called) == Ok(OUT)
    }

    /// It was taken out of the queue, and what it wants is about to be looked at.
    pub(super) fn look(&self) {
        self.0.store(LOOKED_AT, Ordering::Relaxed);
    }

    /// It goes back into the queue.
    pub(super) fn wait_again(&self) {
        self.0.store(WAITING, Ordering::Relaxed);
    }

    /// Nothing was wanted. False where it was called again since it was looked at.
    pub(super) fn leave(&self) -> bool {
        self.0.compare_exchange(LOOKED_AT, OUT, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It was taken out of the queue without a turn.
    pub(super) fn give_up(&self) {
        self.0.store(OUT, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_row_and_queues_are_in_order() {
        for (place, row) in ROWS.iter().enumerate() {
            assert_eq!((row.why as usize, row.why.row().why), (place, row.why));
            assert_eq!((Queue::ALL[row.queue as usize], row.queue.share()), (row.queue, row.share));
        }
        assert!(ROWS.is_sorted_by_key(|row| row.queue as usize), "the most urgent ones come first");
        assert!(ROWS.is_sorted_by_key(|row| row.memory), "what is less urgent fills no more of the memory");
    }

    #[test]
    fn what_is_wanted_during_a_turn_is_looked_at_again() {
        let seat = Seat::default();
        assert!(seat.call() && !seat.call(), "once in the queue");
        seat.look();
        assert!(seat.leave() && !seat.is_taken());
        assert!(seat.call());
        seat.look();
        assert!(!seat.is_waiting() && !seat.call(), "it is not in the queue, and its turn goes on");
        assert!(seat.is_waiting() && !seat.leave());
        seat.wait_again();
        assert!(seat.is_waiting() && !seat.call());
        seat.give_up();
        assert!(!seat.is_taken());
    }

    #[test]
    fn goals_begin_once_and_end_with_the_readers_but_for_the_recorded_one() {
        let mut goals = Goals::default();
        goals.set(Why::Recorded, Goal::Below(7));
        goals.begin(Why::Expected);
        assert!(!goals.want_whole());
        goals.begin(Why::Model);
        goals.begin(Why::Opened);
        goals.set(Why::Model, Goal::Below(5));
        goals.begin(Why::Model);
        assert_eq!(goals.whole_on_its_way().collect::<Vec<_>>(), [(Why::Opened, 0), (Why::Model, 5)]);
        goals.set(Why::Opened, Goal::Reached);
        assert!(goals.want_whole() && goals.had_whole());
        goals.end_with_readers();
        assert!(!goals.want_whole() && goals.of(Why::Expected) == Goal::None);
        assert_eq!(goals.of(Why::Recorded), Goal::Below(7));
    }
}
