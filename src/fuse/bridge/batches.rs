//! Batches: what the kernel asks for at once of an object, ahead of a program or around a page fault, put together of
//! the pieces in which the image gets it.
//!
//! EROFS ends a request where 16 stretches of memory are full, of a page each at least. The pieces of a batch come from
//! one thread, within microseconds and mostly in order. All are answered or all are refused, as was decided with the
//! first. So the engine sees the reads of the bridge as it sees those of FUSE, where such a batch is one read.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::base::{ByteRange, PAGE_BYTES};
use crate::fs::Batch;

/// Batches that are remembered of an object: as many as threads read it at once, and some.
const REMEMBERED: usize = 32;

/// A batch will be as long as the longest of so many before it, in all likelihood.
const ALIKE: usize = 4;

/// A shorter piece, in bytes, is the last one of its batch.
const LEAST_FULL_BYTES: u64 = 16 * PAGE_BYTES;

/// The latest batches of an object.
#[derive(Debug, Default)]
pub(super) struct Batches(VecDeque<Pieces>);

/// Whether a batch is refused, once that was decided.
type Verdict = Arc<OnceLock<bool>>;

/// Who decides whether a batch is refused.
#[derive(Debug)]
pub(super) enum Decider {
    /// Whoever answers its first piece, which this is.
    First(First),
    /// The same, and another piece has come before.
    Later(Verdict),
}

/// The first piece of a batch; others wait until this is dropped.
#[derive(Debug)]
pub(super) struct First(Verdict);

impl First {
    /// The batch is refused.
    pub(super) fn refuse(self) {
        // It is not set twice.
        let _ = self.0.set(true);
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.0.get_or_init(|| false);
    }
}

/// The pieces of a batch that have come.
#[derive(Debug)]
struct Pieces {
    /// The thread that asks, by the kernel's number; 0 where it has none that means something here.
    thread: u32,
    /// From the first byte that was asked for to the last one, and how many of these were.
    range: ByteRange,
    bytes: u64,
    longest_bytes: u64,
    /// Whether more may follow behind it.
    goes_on: bool,
    verdict: Verdict,
    /// How long those were that came before it, in bytes.
    usual_bytes: Option<u64>,
}

impl Pieces {
    /// What a batch is with a piece, if that is of it. One that has overtaken another leaves a gap, which may be some
    /// pages longer than all that have come.
    fn with(&self, piece: &Pieces, most_bytes: u64) -> Option<Pieces> {
        let (old, new) = (self.range, piece.range);
        let range = ByteRange::new(old.start.min(new.start), old.end.max(new.end));
        let (bytes, longest_bytes) = (self.bytes + piece.bytes, self.longest_bytes.max(piece.bytes));
        let goes_on = if new.end > old.end { piece.goes_on } else { self.goes_on };
        let gap_bytes = new.start.saturating_sub(old.end) + old.start.saturating_sub(new.end);
        let is_behind = new.start >= old.end && self.goes_on;
        let is_before = new.end <= old.start && piece.goes_on;
        let is_late = range == old && bytes <= old.len();
        let is_of_it = self.thread == piece.thread
            && (is_behind || is_before || is_late)
            && gap_bytes <= longest_bytes + longest_bytes / 4
            && range.len() <= most_bytes;
        is_of_it.then(|| Pieces { range, bytes, longest_bytes, goes_on, verdict: self.verdict.clone(), ..*self })
    }
}

impl Batches {
    /// Takes in a piece, of a batch of at most so many bytes.
    pub(super) fn take_in(&mut self, thread: u32, piece: ByteRange, most_bytes: u64) -> (Batch, Decider) {
        let (bytes, goes_on) = (piece.len(), piece.len() >= LEAST_FULL_BYTES);
        let usual_bytes = self.0.iter().take(ALIKE).map(|pieces| pieces.range.len()).max();
        let verdict = Verdict::default();
        let alone = Pieces { thread, range: piece, bytes, longest_bytes: bytes, goes_on, verdict, usual_bytes };
        let with = |(index, pieces): (usize, &Pieces)| Some((index, pieces.with(&alone, most_bytes)?));
        let (pieces, decider) = match self.0.iter().enumerate().find_map(with) {
            Some((index, pieces)) => {
                self.0.remove(index);
                let decider = Decider::Later(pieces.verdict.clone());
                (pieces, decider)
            }
            None => {
                let decider = Decider::First(First(alone.verdict.clone()));
                (alone, decider)
            }
        };
        let goes_on = pieces.goes_on && pieces.range.len() < most_bytes;
        let batch = Batch { most_bytes, so_far: pieces.range, goes_on, usual_bytes: pieces.usual_bytes };
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front(pieces);
        (batch, decider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    /// What a piece has made of its batch, in KiB, and whether more is likely to follow.
    fn take_in(batches: &mut Batches, thread: u32, start: u64, len: u64) -> ((u64, u64), bool) {
        let (Batch { so_far, goes_on, .. }, _) = batches.take_in(thread, ByteRange::at(start * KIB, len * KIB), MIB);
        ((so_far.start / KIB, so_far.end / KIB), goes_on)
    }

    #[test]
    fn the_pieces_of_a_batch_are_put_together() {
        let mut batches = Batches::default();
        let pieces = [(512, 124), (636, 124), (888, 128), (760, 128), (1016, 512), (1528, 8), (1536, 128), (1664, 60)];
        let so_far = pieces.map(|(start, len)| take_in(&mut batches, 1, start, len));
        assert_eq!(so_far[..2], [((512, 636), true), ((512, 760), true)]);
        assert_eq!(so_far[2..4], [((512, 1016), true); 2], "one has overtaken another");
        assert_eq!(so_far[4..6], [((512, 1528), true), ((512, 1536), false)], "it is as long as one may be");
        assert_eq!(so_far[6..], [((1536, 1664), true), ((1536, 1724), false)], "a short one is the last");
        assert_eq!(take_in(&mut batches, 1, 1724, 128), ((1724, 1852), true));
    }

    #[test]
    fn a_piece_that_is_overtaken_may_be_longer_than_those_that_came() {
        // As Linux 6.18 has asked for the head of a file.
        let mut batches = Batches::default();
        let pieces =
            [(0, 124), (252, 124), (376, 128), (504, 128), (632, 128), (760, 128), (888, 128), (124, 128), (1016, 8)];
        let so_far = pieces.map(|(start, len)| take_in(&mut batches, 1, start, len));
        assert!(so_far.iter().all(|((start, _), _)| *start == 0), "{so_far:?}");
        assert_eq!(so_far[8], ((0, 1024), false));
    }

    #[test]
    fn other_pieces_begin_batches() {
        for (thread, start, len, about) in [
            (2, 640, 128, "another thread"),
            (1, 512, 128, "it was asked for before"),
            (1, 544, 64, "a part of it was"),
            (1, 804, 128, "more than one piece is missing"),
            (1, 380, 4, "it is too short to have another behind it"),
            (1, 1024, 128, "it lies elsewhere"),
        ] {
            let mut batches = Batches::default();
            take_in(&mut batches, 1, 512, 128);
            assert_eq!(take_in(&mut batches, thread, start, len).0, (start, start + len), "{about}");
        }
        let mut batches = Batches::default();
        assert_eq!(take_in(&mut batches, 1, 512, 60), ((512, 572), false));
        assert_eq!(take_in(&mut batches, 1, 448, 64), ((448, 572), false), "a short one may be overtaken");
        assert_eq!(take_in(&mut batches, 1, 572, 128), ((572, 700), true), "and is the last");
    }

    #[test]
    fn what_was_decided_about_the_first_is_of_all_and_how_long_others_were_is_known() {
        let mut batches = Batches::default();
        let mut take_in = |thread, start, len| batches.take_in(thread, ByteRange::at(start * KIB, len * KIB), MIB);
        let (batch, decider) = take_in(1, 0, 64);
        let Decider::First(first) = decider else { panic!("{decider:?}") };
        assert_eq!(batch.usual_bytes, None);
        let (batch, decider) = take_in(1, 64, 64);
        let Decider::Later(later) = decider else { panic!("{decider:?}") };
        assert_eq!((batch.usual_bytes, later.get()), (None, None));
        let (batch, decider) = take_in(2, 4096, 64);
        let Decider::First(other) = decider else { panic!("{decider:?}") };
        assert_eq!(batch.usual_bytes, Some(128 * KIB));
        first.refuse();
        assert_eq!(later.wait(), &true);
        let (_, Decider::Later(later)) = take_in(2, 4160, 64) else { panic!("it is of the other") };
        drop(other);
        assert_eq!(later.wait(), &false, "what was not refused is answered");
        // More threads than are remembered.
        for thread in 3..100 {
            take_in(thread, u64::from(thread) << 20, 64);
        }
        assert!(matches!(take_in(1, 128, 64).1, Decider::First(_)));
    }
}
