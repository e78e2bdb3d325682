//! Records what is wanted of which objects, in order, as a [`Trace`]. Pure: reads in, a trace out.
//!
//! Each byte is noted once, when it is first wanted. Reads that follow each other grow one piece, however many readers
//! take turns; what came out of order, or with small gaps, is joined when the load is to be followed, within as much of
//! it as memory allows.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Object;
use super::trace::{Piece, Trace};
use crate::base::{ByteRange, Ino};

/// No piece is longer, in bytes: readers that take turns are seen to.
const MOST_PIECE_BYTES: u64 = 8 << 20;
/// So many pieces may grow at a time: one for each of the readers that take turns...
const GROWING: usize = 64;
/// ... and no longer than for this much of the load, in bytes: what comes later is wanted later.
const SPAN_BYTES: u64 = 16 << 20;
/// A gap is fetched along where it is no longer than this part of the piece behind it.
const GAP_SHARE: u64 = 16;
/// Recording stops when its text would be longer than this, in bytes...
const MOST_BYTES: u64 = 16 << 20;
/// ... counting so much for an object besides its key, and for a piece.
const OBJECT_BYTES: u64 = 200;
const PIECE_BYTES: u64 = 32;

/// What was wanted so far.
#[derive(Debug)]
pub(super) struct Recorder {
    most_bytes: u64,

    objects: Vec<Object>,
    places: HashMap<Ino, usize>,
    /// What was wanted of each object: ends by starts; ranges that touch are one.
    held: Vec<BTreeMap<u64, u64>>,
    pieces: Vec<Piece>,
    /// Pieces that may grow, the last to grow at the back, and how many bytes were wanted before they began.
    growing: VecDeque<(usize, u64)>,
    wanted_bytes: u64,
    /// What the text will take, more or less.
    text_bytes: u64,
    /// Whether something was noted since the trace was last taken.
    changed: bool,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::bounded(MOST_BYTES)
    }
}

impl Recorder {
    /// Records until the text would be longer than this.
    fn bounded(most_bytes: u64) -> Self {
        Recorder {
            most_bytes,
            objects: Vec::new(),
            places: HashMap::new(),
            held: Vec::new(),
            pieces: Vec::new(),
            growing: VecDeque::new(),
            wanted_bytes: 0,
            text_bytes: 0,
            changed: false,
        }
    }

    /// A program wants these bytes. Objects without an entity tag are not noted, since the next load could not tell
    /// whether they have changed; nor are archived ones, which may not be readable then.
    pub(super) fn observe(&mut self, object: &Object, read: ByteRange) {
        if object.etag.is_none() || object.archived || self.text_bytes >= self.most_bytes {
            return;
        }
        let place = *self.places.entry(object.ino).or_insert_with(|| {
            self.text_bytes += OBJECT_BYTES + object.key.as_str().len() as u64;
            self.objects.push(object.clone());
            self.held.push(BTreeMap::new());
            self.objects.len() - 1
        });
        for fresh in take(&mut self.held[place], read) {
            self.changed = true;
            self.note(place, fresh);
        }
    }

    fn note(&mut self, object: usize, mut range: ByteRange) {
        let wanted_bytes = self.wanted_bytes;
        self.wanted_bytes += range.len();
        self.growing.retain(|&(_, before)| before + SPAN_BYTES > wanted_bytes);
        let grows = |&(index, _): &(usize, u64)| {
            let piece = self.pieces[index];
            piece.object == object && piece.range.end == range.start && piece.range.len() < MOST_PIECE_BYTES
        };
        if let Some(at) = self.growing.iter().rposition(grows)
            && let Some((index, before)) = self.growing.remove(at)
        {
            let piece = &mut self.pieces[index].range;
            piece.end = range.end.min(piece.start + MOST_PIECE_BYTES);
            range.start = piece.end;
            self.growing.push_back((index, before));
        }
        while !range.is_empty() && self.text_bytes < self.most_bytes {
            let end = range.end.min(range.start + MOST_PIECE_BYTES);
            self.growing.push_back((self.pieces.len(), wanted_bytes));
            self.pieces.push(Piece { object, range: ByteRange::new(range.start, end) });
            self.text_bytes += PIECE_BYTES;
            range.start = end;
        }
        while self.growing.len() > GROWING {
            self.growing.pop_front();
        }
    }

    /// The trace so far; `None` where nothing was noted since it was last asked for.
    pub(super) fn take_news(&mut self) -> Option<Trace> {
        std::mem::take(&mut self.changed).then(|| Trace { objects: self.objects.clone(), pieces: self.pieces.clone() })
    }
}

/// Takes a range in, and says which of it was not held before.
fn take(held: &mut BTreeMap<u64, u64>, range: ByteRange) -> Vec<ByteRange> {
    let before = held.range(..=range.start).next_back().filter(|&(_, &end)| end >= range.start);
    let (mut start, mut end) = (range.start, range.end);
    let mut fresh = Vec::with_capacity(1);
    let mut at = range.start;
    let first = before.map_or(range.start, |(&start, _)| start);
    let touched: Vec<(u64, u64)> = held.range(first..=range.end).map(|(&start, &end)| (start, end)).collect();
    for (held_start, held_end) in touched {
        if held_start > at {
            fresh.push(ByteRange::new(at, held_start.min(range.end)));
        }
        at = at.max(held_end);
        (start, end) = (start.min(held_start), end.max(held_end));
        held.remove(&held_start);
    }
    if at < range.end {
        fresh.push(ByteRange::new(at, range.end));
    }
    held.insert(start, end);
    fresh.retain(|range| !range.is_empty());
    fresh
}

impl Trace {
    /// The same load in larger pieces: those within `batch_bytes` of it that follow each other within an object are
    /// joined, with gaps that no program wanted where they are small, and stand where the first of them stood.
    pub(super) fn joined(mut self, batch_bytes: u64) -> Trace {
        let mut sorted: Vec<Piece> = self.pieces.clone();
        sorted.sort_unstable_by_key(|piece| (piece.object, piece.range.start));
        let next = |piece: &Piece| {
            let behind = sorted.partition_point(|at| (at.object, at.range.start) <= (piece.object, piece.range.start));
            sorted.get(behind).copied()
        };
        let mut joined = Vec::with_capacity(self.pieces.len());
        let mut rest = &self.pieces[..];
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(batch_len(rest, batch_bytes));
            join(batch, &next, &mut joined);
            rest = behind;
        }
        self.pieces = joined;
        self
    }
}

/// How many pieces make a batch; one at least.
fn batch_len(pieces: &[Piece], batch_bytes: u64) -> usize {
    let mut bytes = 0;
    let fits = |piece: &&Piece| {
        bytes += piece.range.len();
        bytes <= batch_bytes
    };
    pieces.iter().take_while(fits).count().max(1)
}

fn join(batch: &[Piece], next: &impl Fn(&Piece) -> Option<Piece>, joined: &mut Vec<Piece>) {
    let mut sorted: Vec<(usize, Piece)> = batch.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, piece)| (piece.object, piece.range.start));
    // Each with the earliest place of its members, and the last of them.
    let mut longer: Vec<(usize, Piece, Piece)> = Vec::new();
    for (order, piece) in sorted {
        match longer.last_mut() {
            Some((first, whole, last)) if fits_behind(whole, &piece) && next(last) == Some(piece) => {
                (*first, whole.range.end, *last) = (order.min(*first), piece.range.end, piece);
            }
            _ => longer.push((order, piece, piece)),
        }
    }
    longer.sort_unstable_by_key(|(order, ..)| *order);
    joined.extend(longer.into_iter().map(|(_, piece, _)| piece));
}

fn fits_behind(whole: &Piece, piece: &Piece) -> bool {
    let gap = piece.range.start.saturating_sub(whole.range.end);
    whole.object == piece.object
        && gap <= piece.range.len() / GAP_SHARE
        && piece.range.end - whole.range.start <= MOST_PIECE_BYTES
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;

    use super::*;
    use crate::base::{ETag, Key};

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    fn object(index: u64) -> Object {
        let (key, etag) = (Key::new(format!("k{index}")), ETag::parse(&format!("e{index}")));
        Object { ino: Ino(index + 2), key, version: None, etag, size: u64::MAX, mtime: None, archived: false }
    }

    /// What comes of reads, given as object, offset and length: pieces in the same form.
    fn recorded(reads: impl IntoIterator<Item = (u64, u64, u64)>) -> Vec<(u64, u64, u64)> {
        let mut recorder = Recorder::default();
        for (index, offset, len) in reads {
            recorder.observe(&object(index), ByteRange::at(offset, len));
        }
        let trace = recorder.take_news().unwrap_or_default().joined(32 * MIB);
        let shown = |piece: &Piece| (trace.objects[piece.object].ino.0 - 2, piece.range.start, piece.range.len());
        trace.pieces.iter().map(shown).collect()
    }

    #[test]
    fn readers_that_take_turns_make_long_pieces_in_the_order_of_their_starts() {
        let reads = (0..64).flat_map(|i| [(0, i * 128 * KIB, 128 * KIB), (1, 50 * MIB + i * 128 * KIB, 128 * KIB)]);
        assert_eq!(recorded(reads), [(0, 0, 8 * MIB), (1, 50 * MIB, 8 * MIB)]);
    }

    #[test]
    fn what_is_read_again_is_noted_once() {
        assert_eq!(recorded([(0, 0, 100), (0, 50, 100), (0, 0, 150)]), [(0, 0, 150)]);
        assert_eq!(recorded([(0, 100, 50), (0, 0, 200)]), [(0, 0, 200)]);
        assert_eq!(recorded([(3, 0, 20 * MIB)]), [(3, 0, 8 * MIB), (3, 8 * MIB, 8 * MIB), (3, 16 * MIB, 4 * MIB)]);
    }

    #[test]
    fn a_stretch_in_random_order_becomes_large_pieces() {
        let mut reads: Vec<_> = (0..512).map(|i| (0, i * 64 * KIB, 64 * KIB)).collect();
        reads.shuffle(&mut StdRng::seed_from_u64(1));
        let pieces = recorded(reads);
        assert_eq!(pieces.iter().map(|&(.., len)| len).collect::<Vec<_>>(), [8 * MIB; 4]);
    }

    #[test]
    fn small_gaps_are_fetched_along_and_large_ones_are_not() {
        assert_eq!(recorded([(0, 0, MIB), (0, MIB + 64 * KIB, MIB)]), [(0, 0, 2 * MIB + 64 * KIB)]);
        assert_eq!(recorded([(0, 0, MIB), (0, MIB + 65 * KIB, MIB)]).len(), 2);
        // What was wanted at another time is no gap.
        let far = (0..9).map(|i| (1, i * 8 * MIB, 8 * MIB));
        let reads = [(0, 0, MIB), (0, MIB + 64 * KIB, MIB)].into_iter().chain(far).chain([(0, MIB, 64 * KIB)]);
        assert_eq!(recorded(reads).iter().filter(|piece| piece.0 == 0).count(), 3);
    }

    #[test]
    fn a_recording_has_an_end() {
        let mut recorder = Recorder::bounded(10_000);
        for i in 0..1000 {
            recorder.observe(&object(0), ByteRange::at(i * 8192, 4096));
        }
        let text = recorder.take_news().unwrap().to_text(&crate::base::BucketName::new("b"));
        assert!((5_000..=10_000).contains(&text.len()), "{} bytes", text.len());
        assert_eq!(recorder.take_news(), None);
    }

    #[test]
    fn what_cannot_be_known_again_is_not_noted() {
        let mut recorder = Recorder::default();
        recorder.observe(&Object { etag: None, ..object(0) }, ByteRange::at(0, 10));
        recorder.observe(&Object { archived: true, ..object(1) }, ByteRange::at(0, 10));
        assert_eq!(recorder.take_news(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_byte_wanted_is_in_one_piece_and_little_else(
            reads in prop::collection::vec((0u64..3, 0u64..400, 1u64..60), 1..60),
            unit in prop_oneof![Just(1u64), Just(64 * KIB), Just(MIB)],
        ) {
            let mut wanted = HashSet::new();
            for &(object, start, len) in &reads {
                wanted.extend((start..start + len).map(|at| (object, at)));
            }
            let pieces = recorded(reads.iter().map(|&(object, start, len)| (object, start * unit, len * unit)));
            let (mut fetched, mut bytes) = (HashSet::new(), 0);
            for &(object, start, len) in &pieces {
                prop_assert!(len > 0 && len <= MOST_PIECE_BYTES);
                bytes += len;
                fetched.extend((start / unit..(start + len).div_ceil(unit)).map(|at| (object, at)));
            }
            prop_assert!(wanted.is_subset(&fetched));
            // Pieces that overlap would count twice.
            let most = wanted.len() as u64 * unit;
            prop_assert!(bytes <= most + most / GAP_SHARE, "{bytes} of {most}");
            prop_assert!(bytes >= most);
        }
    }
}
