//! What becomes of a part whose bytes were handed out, or that has come without a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Inode, is_planned};
use crate::base::{ByteRange, Stretches};
use crate::read::Prefetch;
use crate::read::object::Asker;
use crate::read::part::{Origin, Part, Place};
use crate::read::why::{Goal, Why};

/// So many stretches of what the kernel has in its page cache are remembered of an object, 48 bytes each. Where more
/// lie apart, as with look-ups in a large file, all are forgotten: what is fetched around the next one may be there.
const MOST_PASSED_ON: usize = 1024;

/// What the kernel keeps of what is read of an object.
#[derive(Debug, Default)]
pub(in crate::read) struct KernelCopy {
    /// Whether it does so, for as long as there is memory.
    pub(in crate::read) is_there: AtomicBool,
    /// Whether what it was given is not kept here as well: it has not lost any of that.
    pub(in crate::read) suffices: AtomicBool,
}

/// What to do with a part after bytes of it were handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::read) enum Delivery {
    /// Nothing: there is more to hand out, or it is gone.
    Keep,
    /// Every byte was handed out: it may be given up when memory is wanted.
    MayGo,
}

impl Inode {
    /// Notes that bytes of a part are used. True the first time that all are.
    pub(in crate::read) fn hands_over(&self, part: &Part, range: ByteRange) -> bool {
        let (is_all, used_bytes) = part.deliver(range);
        self.used_bytes.fetch_add(used_bytes, Ordering::Relaxed);
        is_all
    }

    /// Notes that bytes of a part were handed out to the one who asked. Says what to do with the part then.
    pub(in crate::read) fn delivered(&self, part: &Arc<Part>, range: ByteRange, asker: Asker) -> Delivery {
        let is_all = self.hands_over(part, range);
        let is_pinned = self.is_pinned.load(Ordering::Relaxed);
        let needs_no_copy = matches!(asker, Asker::PageCache(_)) && self.kernel_copy.suffices.load(Ordering::Relaxed);
        if needs_no_copy && part.passes_on(range) && !is_pinned && self.pass_on(part) || !is_all {
            return Delivery::Keep;
        }
        // Its memory is the next part's: fresh memory costs more than reading it from disk again would.
        let is_spare = part.is_on_disk.load(Ordering::Relaxed) && self.handles.load(Ordering::Relaxed) <= 1;
        if is_spare && !is_pinned || self.is_crumb(part) {
            self.remove(part.range.start, part.id);
            return Delivery::Keep;
        }
        Delivery::MayGo
    }

    /// Where a part stands that was read to its end.
    pub(in crate::read) fn place_of_read(&self) -> Place {
        if self.kernel_copy.is_there.load(Ordering::Relaxed) { Place::Coldest } else { Place::Recent }
    }

    /// The kernel has all bytes of a part in its page cache. Forgets the part, and says whether it did: its memory is
    /// the next part's. A header is parsed here once all of it has come.
    fn pass_on(&self, part: &Part) -> bool {
        if self.is_crumb(part) {
            return false;
        }
        let mut state = self.state.lock();
        let is_known = state.parts.get(&part.range.start).is_some_and(|known| known.id == part.id);
        let goes = is_known && !state.header_parse.needs(part.range);
        if goes {
            state.parts.remove(&part.range.start);
            remember(&mut state.passed_on, part.range);
        }
        goes
    }

    /// Whether a part is forgotten once it was handed out.
    fn is_crumb(&self, part: &Part) -> bool {
        let is_short = part.origin == Origin::Demand && part.range.len() < self.tuning.crumb_bytes;
        is_short && {
            let state = self.state.lock();
            self.prefetch.is(Prefetch::Off) || !state.streams.come_whole() && !state.header_parse.needs(part.range)
        }
    }

    /// Where a part stands among those that may be given up, if it was fetched ahead, has just completed, and has no
    /// reader: the object is to be opened yet, or the reader has gone elsewhere.
    pub(in crate::read) fn place_of_unread(&self, part: &Part) -> Option<Place> {
        let state = self.state.lock();
        let is_guess = part.is_ahead() && !part.is_touched() && !part.was_waited_for();
        let is_closed = self.handles.load(Ordering::Relaxed) == 0;
        let is_needed = if is_guess { is_planned(&state.goals, part) } else { is_closed };
        if is_needed {
            return Some(Place::Recent);
        }
        if part.origin == Origin::Ahead(Why::LookUps) {
            // No reader is on its way to it: it may be wanted next, or last.
            return Some(Place::Recent);
        }
        let is_awaited = state.goals.want_whole() || state.streams.covers(part.range);
        if !is_guess || is_awaited && !is_closed {
            return None;
        }
        Some(if state.goals.of(Why::Expected) == Goal::None { Place::Coldest } else { Place::Recent })
    }
}

/// The kernel has this range, too.
fn remember(passed_on: &mut Stretches, range: ByteRange) {
    if passed_on.count() >= MOST_PASSED_ON {
        *passed_on = Stretches::default();
    }
    passed_on.add(range);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_apart_takes_little_memory() {
        let mut passed_on = Stretches::default();
        for place in 0..10_000 {
            let range = ByteRange::at(place << 20, 128 << 10);
            remember(&mut passed_on, range);
            assert!(passed_on.has_some(range) && passed_on.count() <= MOST_PASSED_ON);
        }
        let mut in_order = Stretches::default();
        (0..10_000).for_each(|place| remember(&mut in_order, ByteRange::at(place << 20, 1 << 20)));
        assert_eq!(in_order, Stretches::of(ByteRange::new(0, 10_000 << 20)));
    }
}
