//! Large files read by the kernel through the bridge: right in every way of reading, and never wrong when something
//! fails.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memmap2::{Advice, Mmap, UncheckedAdvice};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use ossmount::base::Clock;
use ossmount::fs::{DirectIo, Ttl};
use ossmount::fuse::BridgeUse;
use ossmount::metrics::{Metric, Metrics};
use ossmount::read::Prefetch;
use ossmount::store::ErrorKind;
use ossmount::store::layers::{At, Fault, FaultStore, LayerOptions, layered};
use ossmount::store::memory::MemoryStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::conformance::pattern;
use crate::support;
use crate::support::bed::{Bed, Recipe};
use crate::support::mapping::{map, peek, resident};
use crate::support::program::{by_hand, until};

const MIB: usize = 1 << 20;
const SIZE: usize = 40 * MIB + 4321;
const ROW: usize = 16 << 10;

fn recipe() -> Recipe {
    let mut recipe = Recipe::default();
    recipe.fuse.bridge = BridgeUse::On;
    recipe.fuse.bridge_min_bytes = MIB as u64;
    recipe
}

/// A mount with the bridge, over one file.
fn bed() -> (Bed, Bytes) {
    let (store, bytes) = (MemoryStore::new(), pattern(SIZE));
    store.put("model", bytes.clone());
    (recipe().make(Arc::new(store)), bytes)
}

fn passed(bed: &Bed) -> u64 {
    bed.metrics().value(Metric::PassthroughOpens)
}

#[test]
fn a_mapped_file_is_right_to_its_last_byte() {
    let (bed, bytes) = bed();
    let file = File::open(bed.path("model")).unwrap();
    assert_eq!(passed(&bed), 1, "it is read through the bridge");
    let mapped = map(&file);
    assert!(mapped[..] == bytes[..], "the file differs");
    // The rest of the last page is zeros, as of any file.
    let tail = SIZE.next_multiple_of(4096) - SIZE;
    // SAFETY: the mapping ends with a whole page.
    let rest = unsafe { std::slice::from_raw_parts(mapped.as_ptr().add(SIZE), tail) };
    assert!(rest.iter().all(|byte| *byte == 0));
}

#[test]
fn every_way_of_reading_is_right() {
    let (bed, bytes) = bed();
    let file = File::open(bed.path("model")).unwrap();
    let mut dice = StdRng::seed_from_u64(1);
    for _ in 0..200 {
        let at = dice.random_range(0..SIZE);
        let len = dice.random_range(1..3 * MIB).min(SIZE - at);
        let mut read = vec![0; len];
        file.read_exact_at(&mut read, at as u64).unwrap();
        assert!(read == bytes[at..at + len], "{len} bytes at {at} differ");
    }
    assert_eq!(file.read_at(&mut [0; 8], SIZE as u64).unwrap(), 0);
    assert!(std::fs::read(bed.path("model")).unwrap() == bytes, "the file differs");
    assert!(map(&file)[..] == bytes[..], "the mapping differs");
    assert!(passed(&bed) >= 2);
}

#[test]
fn what_programs_read_in_large_pieces_is_asked_of_the_daemon_and_mapped_through_the_bridge() {
    let (store, bytes) = (MemoryStore::new(), pattern(SIZE));
    store.put("model", bytes.clone());
    let mut recipe = recipe();
    recipe.fs.direct_io = DirectIo::On;
    let bed = recipe.make(Arc::new(store));
    let file = File::open(bed.path("model")).unwrap();
    assert_eq!(passed(&bed), 1);
    let mut piece = vec![0; 5 * MIB];
    for at in [0, 7 * MIB + 3, SIZE - 5 * MIB] {
        file.read_exact_at(&mut piece, at as u64).unwrap();
        assert!(piece == bytes[at..at + piece.len()], "{at}");
    }
    assert!(map(&file)[..] == bytes[..], "the mapping differs");
    file.read_exact_at(&mut piece, 20 * MIB as u64).unwrap();
    assert!(piece == bytes[20 * MIB..25 * MIB]);
}

#[test]
fn rows_of_a_file_that_is_mapped_and_closed_are_right() {
    let (bed, bytes) = bed();
    let map = map(&File::open(bed.path("model")).unwrap());
    assert_eq!(passed(&bed), 1);
    let mut dice = StdRng::seed_from_u64(2);
    for _ in 0..100 {
        let at = dice.random_range(0..SIZE / ROW) * ROW;
        assert!(map[at..at + ROW] == bytes[at..at + ROW], "the row at {at} differs");
    }
    // Another has the same pages, and leaves the first its own.
    assert!(support::mapping::map(&File::open(bed.path("model")).unwrap())[..] == bytes[..], "the file differs");
    assert!(map[..] == bytes[..], "the file differs");
}

#[test]
fn a_store_that_fails_is_an_error_and_never_zeros() {
    let (memory, bytes) = (MemoryStore::new(), pattern(SIZE));
    memory.put("model", bytes.clone());
    let store = Arc::new(FaultStore::new(Arc::new(memory)));
    let bed = recipe().make(store.clone());
    let file = File::open(bed.path("model")).unwrap();
    let map = map(&file);
    assert!(peek(&map, 3 * MIB, 4096).unwrap() == bytes[3 * MIB..3 * MIB + 4096]);
    store.set_random([(1.0, Fault::Error(ErrorKind::AccessDenied))]);
    let mut failed = 0;
    for at in (0..SIZE - MIB).step_by(MIB) {
        let mut piece = vec![0; MIB];
        match file.read_exact_at(&mut piece, at as u64) {
            // What was on its way before.
            Ok(()) => assert!(piece == bytes[at..at + MIB], "{at}"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO), "{at}"),
        }
        match peek(&map, at, 4096) {
            Ok(page) => assert!(page == bytes[at..at + 4096], "{at}"),
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 10, "{failed} pages of the mapping failed");
    store.set_random([]);
    // An error is answered with for a while.
    let began = Instant::now();
    while peek(&map, SIZE - 2 * MIB, 4096).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not heal");
    }
    assert!(map[..] == bytes[..], "the file differs");
}

/// Has the kernel read ahead what a program says that it will want.
fn will_need(file: &File, at: usize, len: usize) {
    posix_fadvise(file, at as i64, len as i64, PosixFadviseAdvice::POSIX_FADV_WILLNEED).unwrap();
}

fn read_ahead(file: &File, at: usize, len: usize) {
    // SAFETY: the descriptor is open, and no memory is involved.
    assert_eq!(unsafe { libc::readahead(file.as_raw_fd(), at as i64, len) }, 0, "{}", io::Error::last_os_error());
}

#[test]
fn what_a_program_says_that_it_will_want_comes_once_and_where_it_is_read() {
    let (memory, bytes) = (MemoryStore::new(), pattern(SIZE));
    memory.put("model", bytes.clone());
    let received = Arc::new(Metrics::default());
    let mut recipe = recipe();
    recipe.read.prefetch = Prefetch::Off;
    let bed = recipe.make(layered(Arc::new(memory), &LayerOptions::default(), &received, &Clock::system()));
    let file = File::open(bed.path("model")).unwrap();
    let map = map(&file);
    assert_eq!(passed(&bed), 1);
    // The kernel reads ahead for no longer than a read-ahead is, by either call.
    let tail = SIZE / 4096 * 4096;
    let ranges = [(8 * MIB, MIB), (9 * MIB, MIB), (30 * MIB, MIB), (20 * MIB + 12_288, 4096), (tail, SIZE - tail)];
    for (number, (at, len)) in ranges.into_iter().enumerate() {
        let advise = if number % 2 == 0 { will_need } else { read_ahead };
        advise(&file, at, len);
        until("the pages are there", || resident(&map, at, len) == len.div_ceil(4096));
    }
    let wanted: usize = ranges.iter().map(|(_, len)| len).sum();
    let figures = || {
        let fetched = received.value(Metric::BytesFetched);
        (fetched, bed.metrics().value(Metric::BytesRead))
    };
    assert_eq!(figures(), (wanted as u64, wanted as u64), "each byte has come once");
    for (at, len) in ranges {
        assert!(map[at..at + len] == bytes[at..at + len], "the mapping differs at {at}");
        let mut piece = vec![0; len];
        file.read_exact_at(&mut piece, at as u64).unwrap();
        assert!(piece == bytes[at..at + len], "{len} bytes at {at} differ");
    }
    assert_eq!(figures(), (wanted as u64, wanted as u64), "nothing was asked for again");
    assert!(map[..] == bytes[..], "the file differs");
}

#[test]
fn pages_that_were_advised_in_vain_are_read_right_without_the_bridge() {
    let (bed, bytes) = bed();
    let file = File::open(bed.path("model")).unwrap();
    assert_eq!(passed(&bed), 1);
    let bridged = map(&file);
    for at in [0, 7 * MIB, 30 * MIB] {
        will_need(&file, at, MIB);
        until("the pages are there", || resident(&bridged, at, MIB) == MIB / 4096);
    }
    drop((bridged, file));
    let direct = || File::options().read(true).custom_flags(libc::O_DIRECT).open(bed.path("model")).ok();
    let mut opens = None;
    until("it is open past the bridge", || {
        let (first, before) = (direct(), passed(&bed));
        let opened = File::open(bed.path("model")).unwrap();
        opens = Some((first, opened)).filter(|_| passed(&bed) == before);
        opens.is_some()
    });
    let (_first, plain) = opens.unwrap();
    let mut piece = vec![0; MIB];
    for at in [0, 7 * MIB, 30 * MIB] {
        plain.read_exact_at(&mut piece, at as u64).unwrap();
        assert!(piece == bytes[at..at + MIB], "the file differs at {at}");
    }
    assert!(map(&plain)[..] == bytes[..], "the file differs");
}

#[test]
fn direct_reads_have_the_file_alone_or_are_refused() {
    let (bed, bytes) = bed();
    let direct = || File::options().read(true).custom_flags(libc::O_DIRECT).open(bed.path("model"));
    let is_right = |file: &File| {
        let mut piece = vec![0; MIB];
        file.read_exact_at(&mut piece, 9 * MIB as u64).unwrap();
        assert!(piece == bytes[9 * MIB..10 * MIB]);
    };
    let first = direct().unwrap();
    is_right(&first);
    let beside = File::open(bed.path("model")).unwrap();
    is_right(&beside);
    assert_eq!(passed(&bed), 0, "all are as the first is");
    drop((first, beside));
    // The kernel closes in the background.
    let began = Instant::now();
    let bridged = loop {
        let opened = File::open(bed.path("model")).unwrap();
        if passed(&bed) > 0 {
            break opened;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the file stays open");
    };
    assert_eq!(direct().unwrap_err().raw_os_error(), Some(libc::EINVAL));
    is_right(&bridged);
    is_right(&File::open(bed.path("model")).unwrap());
}

#[test]
fn an_object_that_is_replaced_fails_for_its_readers_and_is_new_for_others() {
    let memory = Arc::new(MemoryStore::new());
    let (old, new) = (pattern(SIZE), pattern(SIZE + 1).slice(1..));
    memory.put("model", old.clone());
    let mut recipe = recipe();
    recipe.fs.metadata_ttl = Ttl::EachOpen;
    recipe.read.prefetch = Prefetch::Off;
    let bed = recipe.make(memory.clone());
    let file = File::open(bed.path("model")).unwrap();
    let map = map(&file);
    assert!(peek(&map, 0, 4096).unwrap() == old[..4096]);
    memory.put("model", new.clone());
    assert!(peek(&map, 30 * MIB, 4096).is_err(), "its bytes are gone");
    let again = File::open(bed.path("model")).unwrap();
    assert!(support::mapping::map(&again)[..] == new[..], "the new file differs");
    assert!(peek(&map, 30 * MIB, 4096).is_err());
    assert!(peek(&map, 0, 4096).unwrap() == old[..4096], "a page of the old one stays what it was");
    assert_eq!(passed(&bed), 2);
}

#[test]
fn a_wrong_bit_is_shown_to_no_later_open() {
    let (memory, bytes) = (MemoryStore::new(), pattern(SIZE));
    memory.put("model", bytes.clone());
    let store = Arc::new(FaultStore::new(Arc::new(memory)));
    let mut recipe = recipe();
    recipe.read.prefetch = Prefetch::Off;
    let bed = recipe.make(store.clone());
    let (file, wrong) = (File::open(bed.path("model")).unwrap(), 7 * MIB);
    let map = map(&file);
    store.flip_once(wrong as u64);
    assert_eq!(peek(&map, wrong, 1).unwrap(), [bytes[wrong] ^ 1], "it cannot be known yet");
    // Read to its end, it is.
    let mut at = 0;
    while at < SIZE && peek(&map, at, 4096.min(SIZE - at)).is_ok() {
        at += 4096;
    }
    assert!(at < SIZE && at > wrong, "the file was read although it is wrong");
    until("it was found", || bed.metrics().value(Metric::VerifyFailures) == 1);
    // The old mapping still shows its page, so that nobody else may share it.
    until("opens are refused", || {
        let opened = File::open(bed.path("model"));
        opened.is_err_and(|error| error.raw_os_error() == Some(libc::EIO))
    });
    drop((map, file));
    until("it can be opened again", || File::open(bed.path("model")).is_ok());
    let again = File::open(bed.path("model")).unwrap();
    assert!(support::mapping::map(&again)[..] == bytes[..], "the file differs");
}

#[test]
fn readers_go_on_after_a_lazy_unmount() {
    let (bed, bytes) = bed();
    let file = File::open(bed.path("model")).unwrap();
    let map = map(&file);
    assert!(map[0] == bytes[0]);
    bed.mounted().unmount().unwrap();
    assert!(map[..] == bytes[..], "the file differs");
}

#[test]
fn many_readers_in_all_ways_read_right() {
    // Bytes that are compared in all.
    let enough = by_hand("OSSMOUNT_BRIDGE_STRESS_GB", 2_u64) * 1_000_000_000;
    let (memory, bytes) = (MemoryStore::new(), pattern(SIZE));
    for number in 0..4 {
        memory.put(format!("model-{number}"), bytes.slice(number * 1000..));
    }
    let faults = [
        (0.01, Fault::Break(At::Random)),
        (0.01, Fault::Short(At::Random)),
        (0.01, Fault::Error(ErrorKind::Timeout)),
        (0.01, Fault::Late(Duration::from_millis(20))),
    ];
    let store = FaultStore::new(Arc::new(memory)).randomly(7, faults);
    let received = Arc::new(Metrics::default());
    let mut recipe = recipe();
    recipe.read.memory_limit = 64 << 20;
    let bed = recipe.make(layered(Arc::new(store), &LayerOptions::default(), &received, &Clock::system()));
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let (bed, bytes, done) = (&bed, &bytes, &done);
            scope.spawn(move || {
                let mut dice = StdRng::seed_from_u64(seed);
                while done.load(Ordering::Relaxed) < enough {
                    let number = dice.random_range(0..4);
                    let expected = bytes.slice(number * 1000..);
                    let file = File::open(bed.path(format!("model-{number}"))).unwrap();
                    done.fetch_add(read_in_some_way(&file, &expected, &mut dice), Ordering::Relaxed);
                }
            });
        }
    });
    assert!(passed(&bed) > 6);
}

/// Compares parts of a file; gives their length.
fn read_in_some_way(file: &File, expected: &Bytes, dice: &mut StdRng) -> u64 {
    let map = map(file);
    if dice.random_bool(0.3) {
        posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
    let advice = [Advice::Normal, Advice::Random, Advice::Sequential, Advice::WillNeed];
    map.advise(advice[dice.random_range(0..advice.len())]).unwrap();
    let mut compared = 0;
    for _ in 0..dice.random_range(1..20) {
        let at = dice.random_range(0..expected.len());
        let len = dice.random_range(1..8 * MIB).min(expected.len() - at);
        let way = dice.random_range(0..4);
        match way {
            0 => {
                let mut piece = vec![0; len];
                file.read_exact_at(&mut piece, at as u64).unwrap();
                assert!(piece == expected[at..at + len], "{len} bytes at {at} differ");
            }
            1 => assert!(peek(&map, at, len).unwrap() == expected[at..at + len], "{len} bytes at {at} differ"),
            2 => {
                // Dropped from this mapping, so that the next look is a fault.
                map_range_dropped(&map, at, len);
                assert!(map[at..at + len] == expected[at..at + len], "{len} bytes at {at} differ");
            }
            _ => assert!(map[at..at + len] == expected[at..at + len], "{len} bytes at {at} differ"),
        }
        compared += len as u64;
    }
    compared
}

/// Takes pages out of a mapping, and of the page cache where no other mapping has them.
fn map_range_dropped(map: &Mmap, at: usize, len: usize) {
    // SAFETY: the mapping is of a file that nobody writes: its pages come back as they were.
    unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, at, len) }.unwrap();
}
