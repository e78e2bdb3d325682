//! Which objects lie where in the image: those that are open, and those whose pages the kernel may still hold.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};

use lru::LruCache;
use parking_lot::Mutex;

use super::batches::{Batches, Decider};
use super::layout::{self, Slot};
use crate::base::{ByteRange, Ino, Stretches};
use crate::fs::Batch;

/// How many objects keep their places, and so their pages in the kernel, after they were closed. The kernel gives the
/// pages up by itself when memory is wanted; an entry here takes some 300 bytes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("it is not zero");

/// Objects begin at multiples of this, so that the kernel's readahead, which is aligned in a file, is so in the image.
const ALIGNMENT: u64 = 1 << 20;

/// The objects of an image. `P` is where their bytes come from.
#[derive(Debug)]
pub(super) struct Objects<P> {
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    space: Stretches,
    /// The first that was never used.
    next: Slot,
    /// How many there may ever be.
    slot_count: u64,
    open: HashMap<Ino, Slot>,
    closed: LruCache<Ino, Slot>,
    objects: HashMap<Slot, Object<P>>,
    by_start: BTreeMap<u64, Slot>,
}

/// An object in the image.
#[derive(Debug)]
struct Object<P> {
    ino: Ino,
    /// How many have opened it and not ended: the next open may come before the last one has.
    opens: usize,
    /// Where its bytes lie, with what fills the last stretch.
    place: ByteRange,
    bytes: u64,
    /// There while the object is open.
    source: Weak<P>,
    /// The kernel may hold wrong pages of it: it gets another slot at its next open.
    is_wrong: bool,
    /// Where the kernel got no answer, within the object. Pages that it did not get may stay in its cache unread, and
    /// large ones of them are asked for as a whole, by a program that waits: to be refused then would be its error.
    unanswered: Stretches,
    batches: Batches,
}

/// The place of an object that is open from now on.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Begun {
    pub(super) slot: Slot,
    /// Objects that were given up for it, whose pages are of no use any more.
    pub(super) given_up: Vec<Slot>,
}

/// A part of an object.
#[derive(Debug)]
pub(super) struct Piece<P> {
    pub(super) source: Arc<P>,
    /// The part, within the object.
    pub(super) range: ByteRange,
    /// How many zeros follow, up to the end of a block.
    pub(super) padding: u64,
    /// Whether it may have no answer. Where a part of it had none before, it must have one.
    pub(super) may_be_refused: bool,
}

impl<P> Objects<P> {
    /// An image without any objects, which may ever have so many inodes.
    pub(super) fn new(slot_count: u64) -> Self {
        Objects::remembering(REMEMBERED, layout::DATA, slot_count)
    }

    fn remembering(count: NonZeroUsize, whole: ByteRange, slot_count: u64) -> Self {
        Objects {
            state: Mutex::new(State {
                space: Stretches::of(whole),
                next: Slot(0),
                slot_count,
                open: HashMap::new(),
                // Bounded by hand, so that what goes is seen.
                closed: LruCache::new(count),
                objects: HashMap::new(),
                by_start: BTreeMap::new(),
            }),
        }
    }

    /// An object is opened, from now on by this source. `None` where the image has no place for it. Each open has an
    /// end.
    pub(super) fn begin(&self, ino: Ino, bytes: u64, source: &Arc<P>) -> Option<Begun> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(slot) = state.closed.pop(&ino) {
            state.open.insert(ino, slot);
        }
        let known = state.open.get(&ino).and_then(|slot| Some((*slot, state.objects.get_mut(slot)?)));
        if let Some((slot, object)) = known.filter(|(_, object)| !object.is_wrong) {
            object.source = Arc::downgrade(source);
            object.opens += 1;
            return Some(Begun { slot, given_up: Vec::new() });
        }
        let slot = Some(state.next).filter(|slot| slot.0 < state.slot_count)?;
        let (place, given_up) = state.make_place(bytes)?;
        state.next = Slot(slot.0 + 1);
        let source = Arc::downgrade(source);
        let object = Object {
            ino,
            opens: 1,
            place,
            bytes,
            source,
            is_wrong: false,
            unanswered: Stretches::default(),
            batches: Batches::default(),
        };
        state.objects.insert(slot, object);
        state.by_start.insert(place.start, slot);
        state.open.insert(ino, slot);
        Some(Begun { slot, given_up })
    }

    /// An open has ended. Returns what was given up, where it was the last one, for the object's place among those that
    /// are remembered.
    pub(super) fn end(&self, slot: Slot) -> Option<Slot> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let object = state.objects.get_mut(&slot)?;
        object.opens -= 1;
        if object.opens > 0 {
            return None;
        }
        object.batches = Batches::default();
        let (ino, is_wrong) = (object.ino, object.is_wrong);
        if state.open.get(&ino) == Some(&slot) {
            state.open.remove(&ino);
        }
        let gone = if is_wrong { slot } else { state.closed.push(ino, slot)?.1 };
        state.forget(gone);
        Some(gone)
    }

    /// The inode of an object, if the image has it now.
    pub(super) fn slot(&self, ino: Ino) -> Option<Slot> {
        let state = self.state.lock();
        state.open.get(&ino).or_else(|| state.closed.peek(&ino)).copied()
    }

    /// The kernel may hold wrong pages of an object: no later open shows them.
    pub(super) fn is_wrong(&self, ino: Ino) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(object) = state.open.get(&ino).and_then(|slot| state.objects.get_mut(slot)) {
            object.is_wrong = true;
        } else if let Some(slot) = state.closed.pop(&ino) {
            state.forget(slot);
        }
    }

    /// Whether the kernel may hold wrong pages of an open object.
    pub(super) fn has_wrong_pages(&self, slot: Slot) -> bool {
        self.state.lock().objects.get(&slot).is_some_and(|object| object.is_wrong)
    }

    /// Where the bytes of an inode lie, and how many there are.
    pub(super) fn inode(&self, slot: Slot) -> Option<(u64, u64)> {
        self.state.lock().objects.get(&slot).map(|object| (object.place.start, object.bytes))
    }

    /// What lies in a range of the image that is a part of one open object.
    pub(super) fn at(&self, range: ByteRange) -> Option<Piece<P>> {
        let mut state = self.state.lock();
        let object = state.around(range.start)?;
        let (start, end) = (range.start - object.place.start, range.end - object.place.start);
        if start >= object.bytes || end > object.bytes.next_multiple_of(layout::BLOCK_BYTES) {
            return None;
        }
        let bytes = object.bytes.min(end);
        let range = ByteRange::new(start, bytes);
        let Some(source) = object.source.upgrade() else {
            object.unanswered.add(range);
            return None;
        };
        let may_be_refused = !object.unanswered.has_some(range);
        Some(Piece { source, range, padding: end - bytes, may_be_refused })
    }

    /// What a thread asks for at once with a piece that starts here in the image, and who decides whether that is
    /// refused. The kernel asks for so many bytes at once at most.
    pub(super) fn batch(&self, start: u64, piece: ByteRange, thread: u32, most_bytes: u64) -> Option<(Batch, Decider)> {
        self.state.lock().around(start).map(|object| object.batches.take_in(thread, piece, most_bytes))
    }

    /// The kernel gets no answer to a piece that starts here in the image: it must get one when it asks again.
    pub(super) fn answers_not(&self, start: u64, piece: ByteRange) {
        if let Some(object) = self.state.lock().around(start) {
            object.unanswered.add(piece);
        }
    }
}

impl<P> State<P> {
    /// The last object that begins at an address or before it.
    fn around(&mut self, address: u64) -> Option<&mut Object<P>> {
        let (_, slot) = self.by_start.range(..=address).next_back()?;
        self.objects.get_mut(slot)
    }

    /// A place for so many bytes, and the objects, closed first, that were given up for it. Gives up none where all
    /// that are closed are not enough.
    fn make_place(&mut self, bytes: u64) -> Option<(ByteRange, Vec<Slot>)> {
        // No number is so large.
        let bytes = bytes.max(1).checked_next_multiple_of(ALIGNMENT)?;
        if let Some(place) = self.space.take(bytes) {
            return Some((place, Vec::new()));
        }
        let mut space = self.space.clone();
        let is_enough =
            |slot: &Slot| self.objects.get(slot).is_some_and(|object| space.put(object.place).len() >= bytes);
        let count = 1 + self.closed.iter().rev().map(|(_, slot)| slot).position(is_enough)?;
        let given_up: Vec<Slot> = (0..count).filter_map(|_| self.closed.pop_lru()).map(|(_, slot)| slot).collect();
        given_up.iter().for_each(|slot| self.forget(*slot));
        Some((self.space.take(bytes)?, given_up))
    }

    fn forget(&mut self, slot: Slot) {
        if let Some(Object { place, .. }) = self.objects.remove(&slot) {
            self.by_start.remove(&place.start);
            self.space.put(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const START: u64 = 1 << 30;

    fn objects(remembered: usize, mib: u64) -> Objects<()> {
        Objects::remembering(NonZeroUsize::new(remembered).unwrap(), ByteRange::at(START, mib * MIB), layout::COUNT)
    }

    fn end<P>(objects: &Objects<P>, ino: u64) -> Option<Slot> {
        objects.end(objects.slot(Ino(ino)).unwrap())
    }

    fn read<P>(objects: &Objects<P>, start: u64, len: u64) -> Option<Piece<P>> {
        objects.at(ByteRange::at(start, len))
    }

    #[test]
    fn no_inode_is_used_twice_and_there_is_no_place_once_all_were() {
        let (objects, source) = (Objects::<()>::new(2), Arc::new(()));
        for (ino, slot) in [(1, Slot(0)), (2, Slot(1))] {
            assert_eq!(objects.begin(Ino(ino), MIB, &source).unwrap().slot, slot);
            end(&objects, ino);
        }
        assert_eq!(objects.begin(Ino(3), MIB, &source), None);
        assert_eq!(objects.begin(Ino(1), MIB, &source).unwrap().slot, Slot(0), "what has a place keeps it");
    }

    #[test]
    fn bytes_are_found_where_the_inode_says() {
        let (objects, source) = (objects(4, 64), Arc::new(()));
        let first = objects.begin(Ino(1), 5 * MIB + 1, &source).unwrap().slot;
        let second = objects.begin(Ino(2), 4096, &source).unwrap().slot;
        let (address, bytes) = objects.inode(second).unwrap();
        assert_eq!(bytes, 4096);
        let at = |start, len| {
            let piece = read(&objects, start, len).unwrap();
            (piece.range, piece.padding)
        };
        assert_eq!(at(address, 4096), (ByteRange::new(0, 4096), 0));
        let (address, _) = objects.inode(first).unwrap();
        assert_eq!(at(address + 4 * MIB, MIB + 4096), (ByteRange::new(4 * MIB, 5 * MIB + 1), 4095));
        // Past its last block, although the place is longer; and where nothing is.
        assert!(read(&objects, address + 5 * MIB + 4096, 4096).is_none());
        assert!(read(&objects, address + 5 * MIB, 8192).is_none());
        assert!(read(&objects, START + 60 * MIB, 4096).is_none());
        assert!(read(&objects, START - 4096, 4096).is_none());
        drop(source);
        assert!(read(&objects, address, 4096).is_none(), "it is closed");
    }

    #[test]
    fn the_kernel_is_refused_nothing_twice_also_after_the_object_was_closed() {
        let (objects, source) = (objects(4, 64), Arc::new(()));
        objects.begin(Ino(1), 16 * MIB, &source).unwrap();
        let may = |start, len| read(&objects, START + start, len).unwrap().may_be_refused;
        assert!(may(4 * MIB, MIB));
        objects.answers_not(START + 4 * MIB, ByteRange::at(4 * MIB, MIB));
        assert!(!may(4 * MIB, MIB) && !may(3 * MIB, 2 * MIB) && !may(5 * MIB - 4096, 8192));
        assert!(may(3 * MIB, MIB) && may(5 * MIB, MIB));
        // Two threads, of which each was refused: the second was asked for before the first was answered.
        objects.answers_not(START + 9 * MIB / 2, ByteRange::at(9 * MIB / 2, MIB));
        assert!(!may(5 * MIB, MIB / 4) && may(11 * MIB / 2, MIB / 4));
        end(&objects, 1);
        objects.begin(Ino(1), 16 * MIB, &source).unwrap();
        assert!(!may(4 * MIB, MIB));
        // What is asked for while it is closed has no answer either.
        end(&objects, 1);
        drop(source);
        assert!(read(&objects, START + 8 * MIB, MIB).is_none());
        let again = Arc::new(());
        objects.begin(Ino(1), 16 * MIB, &again).unwrap();
        assert!(!may(8 * MIB, MIB) && may(10 * MIB, MIB));
    }

    #[test]
    fn nothing_is_kept_of_what_was_asked_for_once_an_object_is_closed() {
        let (objects, source) = (objects(4, 64), Arc::new(()));
        let goes_on = |start| match objects.batch(START + start, ByteRange::at(start, MIB / 4), 1, MIB).unwrap().1 {
            Decider::Later(_) => true,
            Decider::First(_) => false,
        };
        objects.begin(Ino(1), 16 * MIB, &source).unwrap();
        assert!(!goes_on(0) && goes_on(MIB / 4));
        end(&objects, 1);
        objects.begin(Ino(1), 16 * MIB, &source).unwrap();
        assert!(!goes_on(MIB / 2));
    }

    #[test]
    fn an_object_that_is_opened_again_keeps_its_inode() {
        let (objects, source) = (objects(4, 64), Arc::new(()));
        let begun = objects.begin(Ino(1), MIB, &source).unwrap();
        assert_eq!(end(&objects, 1), None);
        let again = Arc::new(());
        assert_eq!(objects.begin(Ino(1), MIB, &again), Some(begun));
        drop(source);
        assert!(read(&objects, START, 4096).is_some());
        assert_eq!(objects.slot(Ino(1)), Some(Slot(0)));
        assert_eq!(objects.slot(Ino(2)), None);
    }

    #[test]
    fn an_object_that_is_opened_before_its_last_open_has_ended_keeps_its_inode() {
        let (objects, source) = (objects(1, 8), Arc::new(()));
        let begun = objects.begin(Ino(1), 6 * MIB, &source).unwrap();
        let again = Arc::new(());
        assert_eq!(objects.begin(Ino(1), 6 * MIB, &again).as_ref(), Some(&begun));
        drop(source);
        assert_eq!(objects.end(begun.slot), None);
        assert!(read(&objects, START, 4096).is_some());
        assert_eq!(objects.begin(Ino(2), 6 * MIB, &again), None, "its place is not another's while it is open");
        assert_eq!(objects.end(begun.slot), None);
        assert_eq!(objects.begin(Ino(2), 6 * MIB, &again).unwrap().given_up, [begun.slot]);
    }

    #[test]
    fn an_object_with_wrong_pages_that_is_opened_before_its_last_open_has_ended_gets_another_inode() {
        let (objects, source) = (objects(4, 64), Arc::new(()));
        let first = objects.begin(Ino(1), MIB, &source).unwrap().slot;
        objects.is_wrong(Ino(1));
        let second = objects.begin(Ino(1), MIB, &source).unwrap().slot;
        assert_ne!(second, first);
        assert_eq!(objects.end(first), Some(first));
        assert_eq!(objects.slot(Ino(1)), Some(second));
        assert!(!objects.has_wrong_pages(second) && objects.inode(second).is_some());
        assert_eq!((objects.end(second), objects.inode(first)), (None, None));
    }

    #[test]
    fn the_one_that_was_closed_first_makes_place() {
        let (objects, source) = (objects(2, 8), Arc::new(()));
        let slots: Vec<_> = (1..=2).map(|ino| objects.begin(Ino(ino), 3 * MIB, &source).unwrap().slot).collect();
        end(&objects, 2);
        end(&objects, 1);
        let third = objects.begin(Ino(3), 6 * MIB, &source).unwrap();
        assert_eq!(third.given_up, [slots[1], slots[0]], "two, to have so much in one piece");
        assert_ne!(third.slot, slots[0]);
        assert_ne!(third.slot, slots[1]);
        assert_eq!(objects.inode(slots[0]), None);
        assert_eq!(objects.begin(Ino(4), 5 * MIB, &source), None, "what is open stays");
        let fourth = objects.begin(Ino(4), MIB, &source).unwrap().slot;
        end(&objects, 4);
        assert_eq!(objects.begin(Ino(7), 5 * MIB, &source), None, "the fourth would not make place enough");
        assert_eq!(objects.slot(Ino(4)), Some(fourth), "so it stays");
        assert_eq!(objects.begin(Ino(8), 2 * MIB, &source).unwrap().given_up, [fourth]);
        end(&objects, 8);
        objects.is_wrong(Ino(8));
        // Two are remembered, and no more.
        end(&objects, 3);
        let small: Vec<_> = (5..=6).map(|ino| objects.begin(Ino(ino), MIB, &source).unwrap().slot).collect();
        assert_eq!(end(&objects, 5), None);
        assert_eq!(end(&objects, 6), Some(third.slot));
        assert!(objects.inode(small[0]).is_some() && objects.inode(third.slot).is_none());
    }

    #[test]
    fn wrong_pages_are_shown_to_no_later_open() {
        let (objects, source) = (objects(4, 64), Arc::new(()));
        let first = objects.begin(Ino(1), MIB, &source).unwrap().slot;
        objects.is_wrong(Ino(1));
        assert!(objects.has_wrong_pages(first));
        assert!(read(&objects, START, 4096).is_some(), "its readers go on");
        assert_eq!(end(&objects, 1), Some(first));
        let second = objects.begin(Ino(1), MIB, &source).unwrap().slot;
        assert_ne!(second, first);
        assert!(!objects.has_wrong_pages(second));
        end(&objects, 1);
        objects.is_wrong(Ino(1));
        objects.is_wrong(Ino(2));
        let third = objects.begin(Ino(1), MIB, &source).unwrap().slot;
        assert_ne!(third, second);
        assert_eq!(objects.inode(second), None);
    }
}
