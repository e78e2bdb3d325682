//! One bit that comes wrong, once: the reader in whose file it lies gets an error, and no open after that sees it, by the
//! page cache, a mapping, or a file that the kernel reads by itself.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memmap2::Mmap;
use ossmount::fs::DirectIo;
use ossmount::metrics::Metric;
use ossmount::read::{MemoryCache, Passthrough, Prefetch};
use ossmount::store::layers::FaultStore;
use ossmount::store::memory::MemoryStore;

use crate::conformance::pattern;
use crate::support::bed::{Bed, Recipe};

const MIB: usize = 1 << 20;
/// More than is read past the page cache.
const SIZE: usize = 20 * MIB + 4321;
/// Where the wrong bit lies.
const WRONG: u64 = 7 * MIB as u64;

struct Bench {
    bed: Bed,
    store: Arc<FaultStore<MemoryStore>>,
    bytes: Bytes,
}

fn bench(change: impl FnOnce(&mut Recipe)) -> Bench {
    let (store, bytes) = (MemoryStore::new(), pattern(SIZE));
    store.put("file", bytes.clone());
    let store = Arc::new(FaultStore::new(Arc::new(store)));
    let mut recipe = Recipe::default();
    change(&mut recipe);
    Bench { bed: recipe.make(store.clone()), store, bytes }
}

impl Bench {
    fn open(&self) -> File {
        File::open(self.bed.path("file")).unwrap()
    }

    /// Reads all of a file in pieces of this length; how far it came before an error.
    fn read(&self, file: &File, piece: usize) -> Result<Vec<u8>, (usize, i32)> {
        let (mut at, mut all) = (0, vec![0; SIZE]);
        while at < SIZE {
            let room = &mut all[at..SIZE.min(at + piece)];
            let read = file.read_at(room, at as u64).map_err(|error| (at, error.raw_os_error().unwrap()))?;
            assert!(read > 0, "the file ends at {at}");
            // The wrong bit is handed out before it can be known to be wrong.
            at += read;
        }
        Ok(all)
    }

    /// The first reader fails, and leaves nothing of what it has seen. Where all had come, and was found to be wrong,
    /// before its first read was answered, it reads what was fetched in its place; false then.
    fn misread(&self, piece: usize, about: &str) -> bool {
        self.store.flip_once(WRONG);
        let (file, other) = (self.open(), self.open());
        // Where it is known depends on how far the fetch was ahead of the reader.
        let came = self.read(&file, piece);
        match &came {
            Ok(all) => assert!(*all == self.bytes, "{about}: the reader saw wrong bytes and no error"),
            Err((at, errno)) => assert_eq!(*errno, libc::EIO, "{about}: at {at}"),
        }
        self.is_right(about);
        self.fails(&file, about);
        self.fails(&other, about);
        assert_eq!(self.bed.metrics().value(Metric::VerifyFailures), 1, "{about}");
        came.is_err()
    }

    /// A descriptor that was open before brings no byte any more that the kernel does not hold from a right reader.
    fn fails(&self, file: &File, about: &str) {
        let mut byte = [0];
        match file.read_at(&mut byte, WRONG) {
            Ok(_) => assert_eq!(byte[0], self.bytes[WRONG as usize], "{about}"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO), "{about}"),
        }
    }

    /// Every open from now on reads every byte right, in each way.
    fn is_right(&self, about: &str) {
        let file = self.open();
        let mut byte = [0];
        file.read_exact_at(&mut byte, WRONG).unwrap();
        assert_eq!(byte[0], self.bytes[WRONG as usize], "{about}");
        // SAFETY: no process changes the file while it is mapped.
        let map = unsafe { Mmap::map(&self.open()) }.unwrap();
        assert!(map[..] == self.bytes[..], "{about}: a mapping differs");
        let mut all = vec![0; SIZE];
        self.open().read_exact_at(&mut all, 0).unwrap();
        assert!(all == self.bytes, "{about}: the file differs");
        self.is_verified(about);
    }

    fn is_verified(&self, about: &str) {
        let mut value = [0; 16];
        let (fd, name) = (self.open(), c"user.oss.verified");
        let len = rustix::fs::fgetxattr(&fd, name, &mut value).unwrap();
        assert_eq!(&value[..len], b"yes", "{about}");
    }

    /// Waits until something was counted that happens in the background.
    fn wait_for(&self, metric: Metric, about: &str) {
        let began = Instant::now();
        while self.bed.metrics().value(metric) == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "{about}: {metric:?} stays 0");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_wrong_bit_does_not_stay_in_the_page_cache() {
    for (piece, direct_io, prefetch, memory_cache) in [
        (4096, DirectIo::Auto, Prefetch::Auto, MemoryCache::Auto),
        (4096, DirectIo::Auto, Prefetch::Off, MemoryCache::Off),
        (MIB, DirectIo::Off, Prefetch::Open, MemoryCache::Auto),
        (300_000, DirectIo::Off, Prefetch::Off, MemoryCache::Auto),
        (4096, DirectIo::On, Prefetch::Off, MemoryCache::Off),
        (MIB, DirectIo::On, Prefetch::Auto, MemoryCache::Auto),
    ] {
        let about = format!("{piece} {direct_io:?} {prefetch:?} {memory_cache:?}");
        let bench = bench(|recipe| {
            recipe.fs.direct_io = direct_io;
            recipe.read.prefetch = prefetch;
            recipe.read.memory_cache = memory_cache;
            recipe.read.passthrough = Passthrough::Off;
        });
        if bench.misread(piece, &about) {
            bench.wait_for(Metric::WrongRanges, &about);
        }
    }
}

#[test]
fn a_wrong_bit_that_no_reader_has_seen_is_fetched_again() {
    let bench = bench(|recipe| {
        recipe.fs.direct_io = DirectIo::Off;
        recipe.read.prefetch = Prefetch::Open;
    });
    bench.store.flip_once(WRONG);
    let file = bench.open();
    bench.wait_for(Metric::VerifyFailures, "prefetched");
    assert!(bench.read(&file, MIB).expect("nothing wrong was handed out") == bench.bytes);
    assert_eq!(bench.bed.metrics().value(Metric::WrongRanges), 0, "there is no reader to be told");
}

#[test]
fn a_wrong_bit_does_not_stay_in_a_file_that_the_kernel_reads() {
    let bench = bench(|_| {});
    bench.misread(MIB, "passthrough");
    // From here on the kernel reads by itself, where it may.
    bench.is_right("again");
}

#[test]
fn a_wrong_bit_does_not_stay_in_pages_that_are_mapped() {
    let bench = bench(|recipe| recipe.read.prefetch = Prefetch::Off);
    bench.store.flip_once(WRONG);
    // SAFETY: no process changes the file while it is mapped.
    let map = unsafe { Mmap::map(&bench.open()) }.unwrap();
    let wrong = bench.bytes[WRONG as usize] ^ 1;
    assert_eq!(map[WRONG as usize], wrong, "it cannot be known yet");
    let (at, errno) = bench.read(&bench.open(), 4096).expect_err("mapped");
    assert!(errno == libc::EIO && at > WRONG as usize);
    bench.is_right("mapped");
    // The pages of the old mapping are those of all.
    assert_eq!(map[WRONG as usize], bench.bytes[WRONG as usize]);
}
