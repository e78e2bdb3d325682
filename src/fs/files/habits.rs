//! How programs read: in small pieces, which the page cache serves best, or in large ones, for which direct I/O is
//! cheaper.
//!
//! Past the page cache each read(2) is a request of its own: 4.7 GB/s in pieces of 64 KiB and more, but 0.23 GB/s in
//! pieces of 4 KiB, for which the page cache gives 3.1 GB/s. How a file is read shows once it is open, and then it is
//! too late; but programs have habits, and what they show holds for later opens by that program, and of that file. An
//! unknown program gets the page cache: if that is wrong, it costs half as much time again at worst, and the other
//! error seven times.
//!
//! Past the page cache requests show how a program reads. Through it they do not, but the kernel counts the calls of
//! each process. Where those cannot be seen, unknown programs are watched past the page cache, and those that have
//! shown small pieces are looked at anew there every now and then.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lru::LruCache;

use super::Tuning;
use crate::base::Ino;

const PROGRAMS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const FILES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Names a program; equal words mean the same one.
pub type Program = Box<[u8]>;

/// The process that opens a file.
pub trait Opener: Send + Sync + 'static {
    /// Names the program; `None` where that cannot be told.
    fn program(&self) -> Option<Program>;

    /// What the process has read so far, of any file; `None` if that is unknown.
    fn calls(&self) -> Option<ReadCalls>;
}

/// What a process has read by read(2) and similar calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadCalls {
    /// How often it called.
    pub calls: u64,
    /// What that brought, in bytes.
    pub bytes: u64,
}

impl ReadCalls {
    /// How a file was read between two counts.
    fn pieces_since(self, before: ReadCalls, tuning: &Tuning) -> Option<Pieces> {
        let bytes = self.bytes.saturating_sub(before.bytes);
        let mean = bytes / self.calls.saturating_sub(before.calls).max(1);
        match () {
            () if bytes < tuning.least_counted_bytes => None,
            () if mean >= tuning.large_read_bytes => Some(Pieces::Large),
            () if mean >= tuning.small_read_bytes => None,
            () => Some(Pieces::Small),
        }
    }
}

/// The length of most of the reads of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pieces {
    Small,
    Large,
}

/// What programs and files have shown.
#[derive(Debug)]
pub(super) struct Habits {
    tuning: Arc<Tuning>,
    programs: LruCache<Program, Habit>,
    files: LruCache<Ino, Habit>,
}

#[derive(Clone, Copy, Debug)]
struct Habit {
    pieces: Pieces,
    /// Opens to go before it is looked at anew, and how many there were at first.
    trust: u64,
    first_trust: u64,
}

impl Habit {
    fn new(pieces: Pieces, before: Option<&Habit>, tuning: &Tuning) -> Habit {
        let first_trust = match before {
            Some(before) if before.pieces == pieces => (before.first_trust * 2).min(tuning.most_trust_opens),
            _ => tuning.first_trust_opens,
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
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        Habits { tuning, programs: LruCache::new(PROGRAMS), files: LruCache::new(FILES) }
    }

    /// Whether a file that this program opens should be read through the page cache, going by what the program has
    /// shown; where it has shown nothing, by how the file was read. `counted` says whether its calls can be counted.
    pub(super) fn ask_for_cache(&mut self, program: Option<&Program>, ino: Ino, counted: bool) -> bool {
        match self.habit(program, ino) {
            Some(habit) if counted => habit.pieces == Pieces::Small,
            Some(habit) => habit.asks_for_cache(),
            None => counted,
        }
    }

    /// Whether all is known of how this program will read this file: in large pieces, so that its calls need not be
    /// counted.
    pub(super) fn shows_large(&mut self, program: Option<&Program>, ino: Ino) -> bool {
        self.habit(program, ino).is_some_and(|habit| habit.pieces == Pieces::Large)
    }

    /// The program's habit comes first.
    fn habit(&mut self, program: Option<&Program>, ino: Ino) -> Option<&mut Habit> {
        let Habits { programs, files, .. } = self;
        program.and_then(|program| programs.get_mut(program)).or_else(|| files.get_mut(&ino))
    }

    /// A descriptor has shown how it is read.
    pub(super) fn saw(&mut self, program: Option<&Program>, ino: Ino, pieces: Pieces) {
        if let Some(program) = program {
            let habit = Habit::new(pieces, self.programs.peek(program), &self.tuning);
            self.programs.put(program.clone(), habit);
        }
        let habit = Habit::new(pieces, self.files.peek(&ino), &self.tuning);
        self.files.put(ino, habit);
    }
}

/// A descriptor that is watched.
pub(super) struct Watched {
    tuning: Arc<Tuning>,
    pub(super) program: Option<Program>,
    by: By,
}

/// What it is watched by.
enum By {
    /// It goes past the page cache.
    Requests(Requests),
    /// It goes through it.
    Calls { opener: Box<dyn Opener>, before: ReadCalls, asked_bytes: AtomicU64 },
}

#[derive(Default)]
struct Requests {
    /// Where the last read ended.
    end: AtomicU64,
    small: AtomicU64,
    large: AtomicU64,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Watched {
    /// A descriptor that goes past the page cache.
    pub(super) fn by_requests(program: Option<Program>, tuning: Arc<Tuning>) -> Self {
        Watched { tuning, program, by: By::Requests(Requests::default()) }
    }

    /// A descriptor that goes through the page cache, of a program that has made these calls until now.
    pub(super) fn by_calls(
        program: Option<Program>,
        opener: Box<dyn Opener>,
        before: ReadCalls,
        tuning: Arc<Tuning>,
    ) -> Self {
        Watched { tuning, program, by: By::Calls { opener, before, asked_bytes: AtomicU64::new(0) } }
    }

    /// Whether it goes past the page cache.
    pub(super) fn is_direct(&self) -> bool {
        matches!(self.by, By::Requests(_))
    }

    /// Takes a request in; says how the descriptor is read whenever that has become clear.
    pub(super) fn read(&self, offset: u64, len: u64) -> Option<Pieces> {
        let tuning = &self.tuning;
        match &self.by {
            By::Requests(requests) => requests.add(offset, len, tuning),
            By::Calls { opener, before, asked_bytes } => {
                let asked = asked_bytes.fetch_add(len, Ordering::Relaxed);
                let passes = |bytes: u64| asked < bytes && asked.saturating_add(len) >= bytes;
                let is_due = passes(tuning.first_count_bytes) || passes(tuning.second_count_bytes);
                is_due.then(|| opener.calls()?.pieces_since(*before, tuning)).flatten()
            }
        }
    }

    /// It is closed; says how it was read if only that has made it clear, as after one call for all of a file.
    pub(super) fn closed(&self) -> Option<Pieces> {
        match &self.by {
            By::Requests(_) => None,
            By::Calls { opener, before, .. } => opener.calls()?.pieces_since(*before, &self.tuning),
        }
    }
}

impl Requests {
    fn add(&self, offset: u64, len: u64, tuning: &Tuning) -> Option<Pieces> {
        let is_sequential = self.end.swap(offset.saturating_add(len), Ordering::Relaxed) == offset;
        let count = |reads: &AtomicU64| reads.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if len >= tuning.large_read_bytes {
            let large = count(&self.large);
            let is_clear = large.is_multiple_of(tuning.large_reads)
                && self.small.load(Ordering::Relaxed) / tuning.read_majority <= large;
            return is_clear.then_some(Pieces::Large);
        }
        if len >= tuning.small_read_bytes || !is_sequential {
            return None;
        }
        let small = count(&self.small);
        let is_clear =
            small == tuning.small_reads && self.large.load(Ordering::Relaxed) <= small / tuning.read_majority;
        is_clear.then_some(Pieces::Small)
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    const KIB: u64 = 1 << 10;

    /// What a descriptor shows after reads of these lengths: so many each, one behind the other or all over the file.
    fn shown(reads: &[(u64, usize)], step: Option<u64>) -> Vec<Pieces> {
        let watched = Watched::by_requests(None, Arc::default());
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

    /// A process that has made so many calls for so many bytes when it is asked.
    struct Process(Arc<Mutex<ReadCalls>>);

    impl Opener for Process {
        fn program(&self) -> Option<Program> {
            None
        }

        fn calls(&self) -> Option<ReadCalls> {
            Some(*self.0.lock())
        }
    }

    #[test]
    fn through_the_page_cache_calls_show_it() {
        use Pieces::*;
        let mib = 1024 * KIB;
        for (call, calls_per_mib, expected) in [
            (4 * KIB, 256, [Some(Small), Some(Small), Some(Small)]),
            (32 * KIB, 32, [None; 3]),
            (64 * KIB, 16, [Some(Large), Some(Large), Some(Large)]),
            // Mapped: what it calls for is something else.
            (100, 10, [None, None, None]),
        ] {
            let calls = Arc::new(Mutex::new(ReadCalls { calls: 1000, bytes: 1000 * mib }));
            let before = *calls.lock();
            let watched = Watched::by_calls(None, Box::new(Process(calls.clone())), before, Arc::default());
            let mut shown = Vec::new();
            for i in 0..100 {
                let seen = watched.read(i * mib, mib);
                if [3, 63].contains(&i) {
                    shown.push(seen);
                } else {
                    assert_eq!(seen, None, "at {i}");
                }
                let mut calls = calls.lock();
                *calls = ReadCalls { calls: calls.calls + calls_per_mib, bytes: calls.bytes + calls_per_mib * call };
            }
            shown.push(watched.closed());
            assert_eq!(shown, expected, "{call}");
        }
    }

    #[test]
    fn one_call_for_all_of_a_file_shows_it_at_its_end() {
        let calls = Arc::new(Mutex::new(ReadCalls::default()));
        let watched = Watched::by_calls(None, Box::new(Process(calls.clone())), ReadCalls::default(), Arc::default());
        assert_eq!([watched.read(0, 64 << 20), watched.closed()], [None, None]);
        *calls.lock() = ReadCalls { calls: 1, bytes: 64 << 20 };
        assert_eq!(watched.closed(), Some(Pieces::Large));
    }

    const FILE: Ino = Ino(1);
    const OTHER: Ino = Ino(2);

    fn program(name: &str) -> Option<Program> {
        Some(name.as_bytes().into())
    }

    #[test]
    fn who_read_in_small_pieces_gets_the_page_cache_for_every_file_and_the_file_for_everybody() {
        for counted in [false, true] {
            let (mut habits, cat, other) = (Habits::new(Arc::default()), program("cat"), program("other"));
            assert_eq!(habits.ask_for_cache(cat.as_ref(), FILE, counted), counted, "nothing is known");
            habits.saw(cat.as_ref(), FILE, Pieces::Small);
            let mut asks = |program: &Option<Program>, ino| habits.ask_for_cache(program.as_ref(), ino, counted);
            assert!(asks(&cat, FILE) && asks(&cat, OTHER));
            assert!(asks(&other, FILE) && asks(&None, FILE));
            assert!(asks(&other, OTHER) == counted && asks(&None, OTHER) == counted);
            habits.saw(other.as_ref(), OTHER, Pieces::Large);
            assert!(!habits.ask_for_cache(other.as_ref(), FILE, counted), "the program's habit comes first");
            habits.saw(cat.as_ref(), OTHER, Pieces::Large);
            assert!(!habits.ask_for_cache(cat.as_ref(), OTHER, counted), "it has changed its ways");
        }
    }

    #[test]
    fn a_habit_whose_calls_cannot_be_counted_is_looked_at_anew_ever_more_rarely() {
        let (mut habits, cat) = (Habits::new(Arc::default()), program("cat"));
        let mut rows = Vec::new();
        for _ in 0..7 {
            habits.saw(cat.as_ref(), FILE, Pieces::Small);
            rows.push((0..1000).take_while(|_| habits.ask_for_cache(cat.as_ref(), FILE, false)).count());
            assert!(!habits.ask_for_cache(cat.as_ref(), FILE, false), "until it has shown it again");
        }
        assert_eq!(rows, [16, 32, 64, 128, 256, 256, 256]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut habits = Habits::new(Arc::default());
        for i in 0..10_000 {
            habits.saw(program(&i.to_string()).as_ref(), Ino(i), Pieces::Small);
        }
        assert_eq!((habits.programs.len(), habits.files.len()), (PROGRAMS.get(), FILES.get()));
    }
}
