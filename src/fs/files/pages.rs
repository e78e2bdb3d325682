//! Which big files go through the page cache although their readers read in large pieces: those whose bytes will be
//! wanted again, where the memory of the reader does not hold them and the page cache can.
//!
//! Past the page cache bytes are gone with the read, unless our own memory keeps them; through it they cost 40 % more
//! processor time. And a mapping that is made through a descriptor past the page cache drops what the page cache holds
//! of the file (Linux, `fuse_file_mmap`). So a file goes through it
//!
//! - while another descriptor does, and where it holds the file or a mapping has used it: a second way would make a
//!   second copy, and a mapping drop the first;
//! - where it was read by the bridge, so that the page cache alone has what was read;
//! - where it was read past the page cache, is opened again, and is no longer in our memory: the next time costs
//!   nothing then;
//! - for programs that have opened or mapped again what they, or others, had read past it so;
//! - where it is a model, or a shard of one, that our memory cannot hold and the page cache can: what a loader has
//!   read of it is often mapped then. Copies of such models pay those 40 %.
//!
//! No file does that is larger than what memory is free, or that the page cache has lost three times.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use lru::LruCache;
use parking_lot::Mutex;

use super::Tuning;
use super::habits::Program;
use crate::base::Ino;

const FILES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
const PROGRAMS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// So often the page cache may take a file in.
const MOST_FILLS: u64 = 3;

/// How big files were read, and what programs did with what had gone past the page cache.
#[derive(Debug)]
pub(super) struct PageUses {
    tuning: Arc<Tuning>,
    files: LruCache<Ino, Arc<PageUse>>,
    programs: LruCache<Program, OpensLeft>,
}

/// For how many opens more a program is believed to want the page cache, and for how many at first.
#[derive(Clone, Copy, Debug)]
struct OpensLeft {
    left: u64,
    first: u64,
}

/// How a file was read.
#[derive(Debug)]
pub(super) struct PageUse {
    size: u64,
    /// Bytes that the page cache has asked for.
    paged_bytes: AtomicU64,
    /// Bytes that were read past it, and by which program last.
    direct_bytes: AtomicU64,
    direct_reader: Mutex<Option<Program>>,
    /// Whether a mapping was seen that was made past it.
    is_mapped: AtomicBool,
    /// Whether our memory does not keep what the page cache has asked for.
    is_passed_on: AtomicBool,
    /// Descriptors through the page cache.
    open: AtomicUsize,
}

/// What is known of the memory that could hold a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memories {
    /// What our memory holds of it now, in bytes.
    pub(super) held_bytes: u64,
    /// What the page cache could take, in bytes.
    pub(super) free_bytes: u64,
}

impl PageUse {
    /// Whether the page cache holds most of the file, as far as can be told: a page is asked for again only when it was
    /// lost.
    fn is_held(&self) -> bool {
        let (times, rest) = (self.paged_bytes() / self.size, self.paged_bytes() % self.size);
        let quarter = self.size / 4;
        !self.is_lost() && (rest >= 3 * quarter || times > 0 && rest < quarter)
    }

    /// Whether the page cache has lost it so often that it will hardly keep it.
    pub(super) fn is_lost(&self) -> bool {
        self.paged_bytes() >= MOST_FILLS * self.size + self.size / 4
    }

    /// Whether the page cache alone holds what is worth being read there: it is not in our memory.
    fn is_held_there_alone(&self, memories: Memories) -> bool {
        let paged_bytes = self.paged_bytes();
        let is_passed_on = self.is_passed_on.load(Ordering::Relaxed) && !self.is_lost();
        is_passed_on && paged_bytes >= self.size / 16 && memories.held_bytes < paged_bytes / 2
    }

    fn paged_bytes(&self) -> u64 {
        self.paged_bytes.load(Ordering::Relaxed)
    }

    /// Whether most of it was read past the page cache.
    fn was_read_past(&self) -> bool {
        self.direct_bytes.load(Ordering::Relaxed) >= self.size / 4 * 3
    }
}

impl PageUses {
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        PageUses { tuning, files: LruCache::new(FILES), programs: LruCache::new(PROGRAMS) }
    }

    /// How a big file of this size was read.
    pub(super) fn of(&mut self, ino: Ino, size: u64) -> Arc<PageUse> {
        let new = || {
            Arc::new(PageUse {
                size,
                paged_bytes: AtomicU64::new(0),
                direct_bytes: AtomicU64::new(0),
                direct_reader: Mutex::default(),
                is_mapped: AtomicBool::new(false),
                is_passed_on: AtomicBool::new(false),
                open: AtomicUsize::new(0),
            })
        };
        self.files.get_or_insert(ino, new).clone()
    }

    /// Whether a file that this program opens should go through the page cache, whatever its habits are.
    pub(super) fn want(&mut self, file: &PageUse, program: Option<&Program>, memories: Memories) -> bool {
        let is_used_there = file.open.load(Ordering::Relaxed) > 0 || file.is_mapped.load(Ordering::Relaxed);
        if is_used_there || file.is_held() || file.is_held_there_alone(memories) {
            return true;
        }
        if file.is_lost() || file.size > memories.free_bytes {
            return false;
        }
        if file.was_read_past() && memories.held_bytes < file.size / 4 * 3 {
            self.was_wanted_again(file, None);
            return true;
        }
        let Some(trust) = program.and_then(|program| self.programs.get_mut(program)) else { return false };
        let is_trusted = trust.left > 0;
        trust.left = trust.left.saturating_sub(1);
        is_trusted
    }

    /// The page cache would have held what was read of a file past it, and asked for again: programs that read so get
    /// it from now on, twice as often each time that this shows anew.
    fn was_wanted_again(&mut self, file: &PageUse, mapped_by: Option<&Program>) {
        let reader = file.direct_reader.lock().clone();
        for program in reader.iter().chain(mapped_by) {
            let first = match self.programs.get(program) {
                Some(trust) if trust.left > 0 => continue,
                Some(trust) => (2 * trust.first).min(self.tuning.most_trust_opens),
                None => self.tuning.first_trust_opens,
            };
            self.programs.put(program.clone(), OpensLeft { left: first, first });
        }
    }

    /// A mapping that was made past the page cache was seen to be used.
    pub(super) fn is_mapped(&mut self, file: &PageUse, program: Option<&Program>) {
        self.was_wanted_again(file, program);
    }
}

/// A descriptor of a big file, as long as it is open.
#[derive(Debug)]
pub(super) struct Paging {
    file: Arc<PageUse>,
    pub(super) program: Option<Program>,
    is_direct: bool,
}

impl Paging {
    pub(super) fn new(file: Arc<PageUse>, program: Option<Program>, is_direct: bool) -> Self {
        if !is_direct {
            file.open.fetch_add(1, Ordering::Relaxed);
        }
        Paging { file, program, is_direct }
    }

    /// What the page cache takes in is not to be kept in our memory as well. Says whether that is so: not where the
    /// page cache has asked for some of the file again.
    pub(super) fn passes_on(&self) -> bool {
        let was_lost = self.file.paged_bytes() > self.file.size + self.file.size / 4;
        self.file.is_passed_on.store(!was_lost, Ordering::Relaxed);
        !was_lost
    }

    /// Takes in a read, by a program or for pages. Says of which file this was the first sign that it is mapped past
    /// the page cache.
    pub(super) fn read(&self, len: u64, is_for_pages: bool) -> Option<&PageUse> {
        if is_for_pages {
            self.file.paged_bytes.fetch_add(len, Ordering::Relaxed);
            let is_first = self.is_direct && !self.file.is_mapped.swap(true, Ordering::Relaxed);
            return is_first.then_some(&*self.file);
        }
        let before = self.file.direct_bytes.fetch_add(len, Ordering::Relaxed);
        if self.is_direct && before < self.file.size / 2 && before + len >= self.file.size / 2 {
            self.file.direct_reader.lock().clone_from(&self.program);
        }
        None
    }
}

impl Drop for Paging {
    fn drop(&mut self) {
        if !self.is_direct {
            self.file.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 100 * MIB;
    const ROOM: Memories = Memories { held_bytes: 0, free_bytes: 1 << 40 };

    struct Bed(PageUses);

    impl Bed {
        fn new() -> Self {
            Bed(PageUses::new(Arc::default()))
        }

        /// Whether this program's open of a file goes through the page cache.
        fn wants(&mut self, ino: u64, program: &str, memories: Memories) -> bool {
            let file = self.0.of(Ino(ino), SIZE);
            self.0.want(&file, Some(&program.as_bytes().into()), memories)
        }

        fn open(&mut self, ino: u64, program: &str, is_direct: bool) -> Paging {
            Paging::new(self.0.of(Ino(ino), SIZE), Some(program.as_bytes().into()), is_direct)
        }

        /// A program that has opened a file reads so much of it, or the kernel does for it.
        fn read(&mut self, open: &Paging, bytes: u64, is_for_pages: bool) {
            for _ in 0..bytes / MIB {
                if let Some(file) = open.read(MIB, is_for_pages) {
                    self.0.is_mapped(file, open.program.as_ref());
                }
            }
        }
    }

    #[test]
    fn what_the_page_cache_holds_is_read_through_it() {
        let mut bed = Bed::new();
        assert!(!bed.wants(1, "loader", ROOM));
        let open = bed.open(1, "loader", false);
        assert!(bed.wants(1, "other", ROOM), "it is open through it");
        bed.read(&open, SIZE / 2, true);
        drop(open);
        assert!(!bed.wants(1, "other", ROOM), "half of it is there");
        let open = bed.open(1, "loader", false);
        bed.read(&open, SIZE / 2, true);
        drop(open);
        assert!(bed.wants(1, "other", ROOM) && bed.wants(1, "other", Memories { free_bytes: 0, ..ROOM }));
        let mut wants_after = |bytes| {
            let open = bed.open(1, "loader", false);
            bed.read(&open, bytes, true);
            drop(open);
            bed.wants(1, "other", ROOM)
        };
        assert!(!wants_after(SIZE / 2), "it had lost half of it");
        assert!(wants_after(SIZE / 2) && wants_after(SIZE), "it has it again");
        assert!(!wants_after(SIZE / 2) && !wants_after(SIZE / 2), "it does not keep it");
    }

    #[test]
    fn what_the_page_cache_asks_for_again_was_lost() {
        let mut bed = Bed::new();
        let mut was_lost_after = |bytes| {
            let open = bed.open(1, "loader", false);
            bed.read(&open, bytes, true);
            !open.passes_on()
        };
        assert_eq!([SIZE, SIZE / 4, MIB, MIB].map(&mut was_lost_after), [false, false, true, true]);
        let other = bed.open(2, "loader", false);
        bed.read(&other, 3 * SIZE, false);
        assert!(other.passes_on(), "it was read past the page cache");
    }

    #[test]
    fn what_the_page_cache_alone_has_is_read_there() {
        let mut bed = Bed::new();
        for (ino, passes_on, read_bytes, held_bytes, expected) in [
            (1, true, SIZE / 8, 0, true),
            (2, true, SIZE / 8, SIZE / 16, false),
            (3, true, SIZE / 8, SIZE / 16 - MIB, true),
            (4, true, SIZE / 20, 0, false),
            (5, false, SIZE / 8, 0, false),
        ] {
            let open = bed.open(ino, "loader", false);
            assert!(!passes_on || open.passes_on());
            bed.read(&open, read_bytes, true);
            drop(open);
            assert_eq!(bed.wants(ino, "other", Memories { held_bytes, ..ROOM }), expected, "{ino}");
        }
    }

    #[test]
    fn what_is_read_again_and_is_in_no_memory_goes_through_the_page_cache() {
        let mut bed = Bed::new();
        let open = bed.open(1, "reader", true);
        bed.read(&open, SIZE, false);
        drop(open);
        assert!(!bed.wants(1, "mapper", Memories { held_bytes: SIZE, ..ROOM }), "it is in memory");
        assert!(!bed.wants(1, "mapper", Memories { free_bytes: SIZE / 2, ..ROOM }), "there is no room for it");
        assert!(!bed.wants(2, "reader", ROOM));
        assert!(bed.wants(1, "mapper", ROOM));
        assert!(bed.wants(2, "reader", ROOM), "so do other files of the program that had read it");
        assert!(!bed.wants(2, "mapper", ROOM));
    }

    #[test]
    fn programs_that_map_what_went_past_the_page_cache_get_it_and_those_that_had_read_it() {
        let mut bed = Bed::new();
        let open = bed.open(1, "reader", true);
        bed.read(&open, SIZE, false);
        let mapped = bed.open(1, "mapper", true);
        bed.read(&mapped, MIB, true);
        assert!(bed.wants(1, "another", ROOM), "a mapping is there");
        for program in ["reader", "mapper"] {
            let opens = (10..).take_while(|ino| bed.wants(*ino, program, ROOM)).count();
            assert_eq!(opens, 16);
        }
        // It is looked at anew, and shows the same.
        let mapped = bed.open(2, "mapper", true);
        bed.read(&mapped, MIB, true);
        assert_eq!((100..).take_while(|ino| bed.wants(*ino, "mapper", ROOM)).count(), 32);
        assert!(!bed.wants(200, "reader", ROOM));
    }
}
