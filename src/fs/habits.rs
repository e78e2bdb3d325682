//! How programs read: in small pieces, which the page cache serves best, or in large ones, which are cheaper past it.
//!
//! Past the page cache each read(2) is a request of its own: 4.7 GB/s in pieces of 64 KiB and more, but 0.23 GB/s in
//! pieces of 4 KiB, for which the page cache gives 3.1 GB/s. How a file is read shows once it is open, and then it is too
//! late; but programs have habits. Descriptors that go past the page cache are watched, and what they show holds for
//! later opens by that program, and of that file. Through the page cache nothing can be seen, so every now and then a
//! program is looked at anew.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lru::LruCache;

use crate::base::Ino;

/// Reads shorter than this are small, in bytes.
const SMALL_BYTES: u64 = 32 << 10;
/// Reads of this length and more are large, in bytes.
const LARGE_BYTES: u64 = 64 << 10;
/// So many small reads, each where the one before ended, show a habit...
const SMALL_READS: u32 = 48;
/// ... and so many large ones.
const LARGE_READS: u32 = 8;
/// Where reads are mixed, one kind must be so many times as frequent as the other.
const MAJORITY: u32 = 4;
/// So many opens go through the page cache before the next one is watched again; twice as many each time that it shows
/// the same...
const FIRST_TRUST: u32 = 16;
/// ... up to so many.
const MOST_TRUST: u32 = 256;

const PROGRAMS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const FILES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Names a program; equal words mean the same one.
pub type Program = Box<[u8]>;

/// The length of most of the reads of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pieces {
    Small,
    Large,
}

/// What programs and files have shown.
#[derive(Debug)]
pub(super) struct Habits {
    programs: LruCache<Program, Habit>,
    files: LruCache<Ino, Habit>,
}

#[derive(Clone, Copy, Debug)]
struct Habit {
    pieces: Pieces,
    /// Opens to go before it is looked at anew, and how many there were at first.
    trust: u32,
    first_trust: u32,
}

impl Habit {
    fn new(pieces: Pieces, before: Option<&Habit>) -> Habit {
        let first_trust = match before {
            Some(before) if before.pieces == pieces => (before.first_trust * 2).min(MOST_TRUST),
            _ => FIRST_TRUST,
        };
        Habit { pieces, trust: first_trust, first_trust }
    }

    /// Whether an open should go through the page cache.
    fn asks_for_cache(&mut self) -> bool {
        let is_trusted = self.pieces == Pieces::Small && self.trust > 0;
        self.trust = self.trust.saturating_sub(1);
        is_trusted
    }
}

impl Habits {
    pub(super) fn new() -> Self {
        Habits { programs: LruCache::new(PROGRAMS), files: LruCache::new(FILES) }
    }

    /// Whether a file that this program opens should be read through the page cache, going by what the program has
    /// shown; where it has shown nothing, by how the file was read.
    pub(super) fn ask_for_cache(&mut self, program: Option<&Program>, ino: Ino) -> bool {
        let habit = program.and_then(|program| self.programs.get_mut(program)).or_else(|| self.files.get_mut(&ino));
        habit.is_some_and(Habit::asks_for_cache)
    }

    /// A descriptor past the page cache has shown how it is read.
    pub(super) fn saw(&mut self, program: Option<&Program>, ino: Ino, pieces: Pieces) {
        if let Some(program) = program {
            let habit = Habit::new(pieces, self.programs.peek(program));
            self.programs.put(program.clone(), habit);
        }
        let habit = Habit::new(pieces, self.files.peek(&ino));
        self.files.put(ino, habit);
    }
}

/// The reads of one descriptor that goes past the page cache.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) program: Option<Program>,
    /// Where the last read ended.
    end: AtomicU64,
    small: AtomicU32,
    large: AtomicU32,
}

impl Watched {
    pub(super) fn new(program: Option<Program>) -> Self {
        Watched { program, end: AtomicU64::new(0), small: AtomicU32::new(0), large: AtomicU32::new(0) }
    }

    /// Takes a read in; says how the descriptor is read whenever that has become clear.
    pub(super) fn read(&self, offset: u64, len: u64) -> Option<Pieces> {
        let is_sequential = self.end.swap(offset.saturating_add(len), Ordering::Relaxed) == offset;
        let count = |reads: &AtomicU32| reads.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if len >= LARGE_BYTES {
            let large = count(&self.large);
            let is_clear = large.is_multiple_of(LARGE_READS) && self.small.load(Ordering::Relaxed) / MAJORITY <= large;
            return is_clear.then_some(Pieces::Large);
        }
        if len >= SMALL_BYTES || !is_sequential {
            return None;
        }
        let small = count(&self.small);
        let is_clear = small == SMALL_READS && self.large.load(Ordering::Relaxed) <= small / MAJORITY;
        is_clear.then_some(Pieces::Small)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    /// What a descriptor shows after reads of these lengths: so many each, one behind the other or all over the file.
    fn shown(reads: &[(u64, usize)], step: Option<u64>) -> Vec<Pieces> {
        let watched = Watched::new(None);
        let lengths = reads.iter().flat_map(|&(len, times)| std::iter::repeat_n(len, times));
        let mut at = 0;
        let read = |len| {
            let shown = watched.read(at, len);
            at += step.unwrap_or(len);
            shown
        };
        lengths.filter_map(read).collect()
    }

    #[test]
    fn many_small_reads_in_a_row_show_it_and_a_few_large_ones() {
        use Pieces::*;
        for (reads, expected) in [
            (&[(4 * KIB, 47)][..], &[][..]),
            (&[(4 * KIB, 48)], &[Small]),
            (&[(4 * KIB, 5000)], &[Small]),
            (&[(48 * KIB, 5000)], &[]),
            (&[(64 * KIB, 7)], &[]),
            (&[(1024 * KIB, 8)], &[Large]),
            (&[(8, 2), (4 * KIB, 30), (1024 * KIB, 8)], &[Large]),
            (&[(1024 * KIB, 7), (4 * KIB, 48)], &[Small]),
            (&[(1024 * KIB, 15), (4 * KIB, 5000)], &[Large]),
        ] {
            assert_eq!(shown(reads, None), expected, "{reads:?}");
        }
        assert_eq!(shown(&[(4 * KIB, 5000)], Some(1 << 20)), [], "all over the file");
    }

    const FILE: Ino = Ino(1);
    const OTHER: Ino = Ino(2);

    fn program(name: &str) -> Option<Program> {
        Some(name.as_bytes().into())
    }

    #[test]
    fn who_read_in_small_pieces_gets_the_page_cache_for_every_file_and_the_file_for_everybody() {
        let (mut habits, cat, other) = (Habits::new(), program("cat"), program("other"));
        assert!(!habits.ask_for_cache(cat.as_ref(), FILE));
        habits.saw(cat.as_ref(), FILE, Pieces::Small);
        assert!(habits.ask_for_cache(cat.as_ref(), FILE) && habits.ask_for_cache(cat.as_ref(), OTHER));
        assert!(habits.ask_for_cache(other.as_ref(), FILE) && habits.ask_for_cache(None, FILE));
        assert!(!habits.ask_for_cache(other.as_ref(), OTHER) && !habits.ask_for_cache(None, OTHER));
        habits.saw(other.as_ref(), OTHER, Pieces::Large);
        assert!(!habits.ask_for_cache(other.as_ref(), FILE), "the program's habit comes first");
        habits.saw(cat.as_ref(), OTHER, Pieces::Large);
        assert!(!habits.ask_for_cache(cat.as_ref(), OTHER), "it has changed its ways");
    }

    #[test]
    fn a_habit_is_looked_at_anew_ever_more_rarely() {
        let (mut habits, cat) = (Habits::new(), program("cat"));
        let mut rows = Vec::new();
        for _ in 0..7 {
            habits.saw(cat.as_ref(), FILE, Pieces::Small);
            rows.push((0..1000).take_while(|_| habits.ask_for_cache(cat.as_ref(), FILE)).count());
            assert!(!habits.ask_for_cache(cat.as_ref(), FILE), "until it has shown it again");
        }
        assert_eq!(rows, [16, 32, 64, 128, 256, 256, 256]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut habits = Habits::new();
        for i in 0..10_000 {
            habits.saw(program(&i.to_string()).as_ref(), Ino(i), Pieces::Small);
        }
        assert_eq!((habits.programs.len(), habits.files.len()), (PROGRAMS.get(), FILES.get()));
    }
}
