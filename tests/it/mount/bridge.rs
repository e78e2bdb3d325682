//! Large files read by the kernel through the bridge: right in every way of reading, and never wrong when something
//! fails.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memmap2::{Advice, Mmap, UncheckedAdvice};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use ossmount::base::Clock;
use ossmount::fs::{DirectIo, Ttl};
use ossmount::metrics::{Metric, Metrics};
use ossmount::read::Prefetch;
use ossmount::store::ErrorKind;
use ossmount::store::layers::{At, Fault, FaultStore, LayerOptions, layered};
use ossmount::store::memory::MemoryStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::handles::{handle_of, open_by_handle};
use crate::conformance::pattern;
use crate::support;
use crate::support::bed::{Bed, Recipe};
use crate::support::bridges::{self, also_by_loop_device};
use crate::support::mapping::{map, peek, readable, resident};
use crate::support::program::{by_hand, until};

const MIB: usize = 1 << 20;
const SIZE: usize = 40 * MIB + 4321;
const ROW: usize = 16 << 10;

fn recipe() -> Recipe {
    let mut recipe = Recipe::default();
    recipe.fuse.bridge = bridges::wanted();
    recipe.fuse.bridge_min_bytes = MIB as u64;
    recipe
}

/// A mount with the bridge, over one file.
fn bed() -> (Bed, Bytes) {
    let (store, bytes) = (MemoryStore::new(), pattern(SIZE));
    store.put("model", bytes.clone());
    (recipe().make(Arc::new(store)), bytes)
}

also_by_loop_device! {
    a_mapped_file_is_right_to_its_last_byte
    every_way_of_reading_is_right
    what_programs_read_in_large_pieces_is_asked_of_the_daemon_and_mapped_through_the_bridge
    rows_of_a_file_that_is_mapped_and_closed_are_right
    what_the_page_cache_has_takes_no_memory_of_the_daemon
    a_store_that_fails_is_an_error_and_never_zeros
    what_a_program_says_that_it_will_want_comes_once_and_where_it_is_read
    pages_that_were_advised_in_vain_are_read_right_without_the_bridge
    direct_reads_go_beside_the_bridge_and_show_the_same_file
    direct_opens_that_look_up_no_name_are_refused_beside_the_bridge
    threads_open_a_file_for_direct_reads_at_the_same_time_while_it_is_mapped
    a_file_that_is_open_for_direct_reads_first_is_read_without_the_bridge
    a_wrong_bit_is_dropped_from_all_that_direct_readers_have_mapped
    an_object_that_is_replaced_fails_for_its_readers_and_is_new_for_others
    a_wrong_bit_is_shown_to_no_later_open
    readers_go_on_after_a_lazy_unmount
    many_readers_in_all_ways_read_right
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
fn files_whose_read_ahead_is_their_own_are_read_without_the_bridge() {
    let (store, bytes) = (MemoryStore::new(), pattern(SIZE));
    store.put("climate.h5", bytes.clone());
    let bed = recipe().make(Arc::new(store));
    assert!(map(&File::open(bed.path("climate.h5")).unwrap())[..] == bytes[..], "the file differs");
    assert_eq!(passed(&bed), 0);
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
fn what_the_page_cache_has_takes_no_memory_of_the_daemon() {
    let (memory, bytes) = (MemoryStore::new(), pattern(SIZE));
    memory.put("model", bytes.clone());
    let received = Arc::new(Metrics::default());
    let store = layered(Arc::new(memory), &LayerOptions::default(), &received, &Clock::system());
    let bed = recipe().make(store);
    for _ in 0..3 {
        let file = File::open(bed.path("model")).unwrap();
        assert!(map(&file)[..] == bytes[..], "the file differs");
        let mut copy = vec![0; SIZE];
        file.read_exact_at(&mut copy, 0).unwrap();
        assert!(copy == bytes, "the copy differs");
        assert_eq!(received.value(Metric::BytesFetched), SIZE as u64, "each byte comes once");
        until("nothing is held", || bed.metrics().value(Metric::BufferBytes) == 0);
    }
    assert_eq!(passed(&bed), 3);
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
    let mut opens = None;
    until("it is open past the bridge", || {
        let (first, before) = (direct(&bed.path("model")).unwrap(), passed(&bed));
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

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    File::options().read(true).custom_flags(flags).open(path)
}

/// Opens a file for direct reads.
fn direct(path: &Path) -> io::Result<File> {
    open_with(path, libc::O_DIRECT)
}

fn is_right(file: &File, bytes: &Bytes, at: usize) {
    let mut piece = vec![0; MIB];
    file.read_exact_at(&mut piece, at as u64).unwrap();
    assert!(piece == bytes[at..at + MIB], "the file differs at {at}");
}

/// As the symbolic link to an open file.
fn link_to(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[test]
fn direct_reads_go_beside_the_bridge_and_show_the_same_file() {
    let (bed, bytes) = bed();
    let path = bed.path("model");
    let numbers = |file: &File| {
        let listed = std::fs::read_dir(bed.path("")).unwrap().map(|entry| entry.unwrap().ino());
        let mut numbers = vec![file.metadata().unwrap().ino(), std::fs::metadata(&path).unwrap().ino()];
        numbers.extend(listed);
        numbers.dedup();
        numbers
    };
    let file = File::open(&path).unwrap();
    let (map, number) = (map(&file), numbers(&file));
    assert_eq!((passed(&bed), number.len()), (1, 1));
    let beside = direct(&path).unwrap();
    is_right(&beside, &bytes, 9 * MIB);
    assert_eq!(beside.metadata().unwrap().len(), SIZE as u64);
    assert_eq!(beside.read_at(&mut [0; 512], SIZE as u64).unwrap(), 0);
    assert_eq!((numbers(&beside), numbers(&file)), (number.clone(), number.clone()), "programs see one file");
    assert!(support::mapping::map(&beside)[..] == bytes[..], "its mapping differs");
    assert_eq!(passed(&bed), 1);
    // Meanwhile all others go on as before, and another direct open finds its way.
    let through = File::open(&path).unwrap();
    assert_eq!(passed(&bed), 2, "it is read through the bridge");
    is_right(&through, &bytes, 20 * MIB);
    let second = direct(&path).unwrap();
    is_right(&second, &bytes, 30 * MIB);
    drop((second, through, file));
    // Closed, the file is still mapped through the bridge.
    is_right(&direct(&path).unwrap(), &bytes, 0);
    assert!(map[..] == bytes[..], "the mapping differs");
    is_right(&beside, &bytes, 39 * MIB);
    assert_eq!(numbers(&beside), number);
}

#[test]
fn direct_opens_that_look_up_no_name_are_refused_beside_the_bridge() {
    let (bed, bytes) = bed();
    let path = bed.path("model");
    let refused = |opened: io::Result<File>| {
        let error = opened.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
    };
    let (file, root) = (File::open(&path).unwrap(), File::open(bed.root()).unwrap());
    let mut handle = handle_of(&path);
    for _ in 0..2 {
        refused(direct(&link_to(&file)));
        refused(open_by_handle(&root, &mut handle, libc::O_DIRECT));
        refused(open_with(&path, libc::O_DIRECT | libc::O_NOATIME));
    }
    is_right(&open_by_handle(&root, &mut handle, 0).unwrap(), &bytes, MIB);
    let beside = direct(&path).unwrap();
    // What leads to a file that is open for direct reads leads past the bridge, in any way.
    for flags in [libc::O_DIRECT, 0] {
        let before = passed(&bed);
        let again = open_with(&link_to(&beside), flags).unwrap();
        is_right(&again, &bytes, 9 * MIB);
        assert!(map(&again)[..] == bytes[..], "its mapping differs");
        assert_eq!(passed(&bed), before);
    }
    let mut handle = handle_of(&link_to(&beside));
    drop(beside);
    // The name leads through the bridge again, and the kernel forgets the other inode.
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), file.metadata().unwrap().ino());
    std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    let by_handle = open_by_handle(&root, &mut handle, libc::O_DIRECT).unwrap();
    is_right(&by_handle, &bytes, 9 * MIB);
    assert_eq!(by_handle.metadata().unwrap().ino(), file.metadata().unwrap().ino());
}

#[test]
fn threads_open_a_file_for_direct_reads_at_the_same_time_while_it_is_mapped() {
    let (bed, bytes) = bed();
    let path = bed.path("model");
    let map = map(&File::open(&path).unwrap());
    let before = passed(&bed);
    let (threads, rounds) = (4, 25);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (path, bytes) = (&path, &bytes);
            scope.spawn(move || {
                for round in 0..rounds {
                    let at = (thread * 7 + round) % 38 * MIB;
                    is_right(&direct(path).unwrap(), bytes, at);
                    is_right(&File::open(path).unwrap(), bytes, at);
                }
            });
        }
    });
    assert_eq!(passed(&bed) - before, (threads * rounds) as u64, "the others are read through the bridge");
    assert!(map[..] == bytes[..], "the mapping differs");
}

#[test]
fn a_file_that_is_open_for_direct_reads_first_is_read_without_the_bridge() {
    let (bed, bytes) = bed();
    let first = direct(&bed.path("model")).unwrap();
    is_right(&first, &bytes, 9 * MIB);
    let beside = File::open(bed.path("model")).unwrap();
    is_right(&beside, &bytes, 9 * MIB);
    assert_eq!(passed(&bed), 0, "all are as the first is");
    drop((first, beside));
    // The kernel closes in the background.
    until("it is read through the bridge", || {
        is_right(&File::open(bed.path("model")).unwrap(), &bytes, 9 * MIB);
        passed(&bed) > 0
    });
}

/// A mount with the bridge, over one file of a store that can fail.
fn bed_with_faults() -> (Bed, Bytes, Arc<FaultStore<MemoryStore>>) {
    let (memory, bytes) = (MemoryStore::new(), pattern(SIZE));
    memory.put("model", bytes.clone());
    let store = Arc::new(FaultStore::new(Arc::new(memory)));
    let mut recipe = recipe();
    recipe.read.prefetch = Prefetch::Off;
    let bed = recipe.make(store.clone());
    (bed, bytes, store)
}

/// Reads a mapping in which one bit comes wrong until the daemon has found that.
fn find_wrong_bit((bed, bytes, store): (&Bed, &Bytes, &FaultStore<MemoryStore>), map: &Mmap, wrong: usize) {
    store.flip_once(wrong as u64);
    assert_eq!(peek(map, wrong, 1).unwrap(), [bytes[wrong] ^ 1], "it cannot be known yet");
    // Read to its end, it is.
    assert!((wrong + 1..SIZE).contains(&readable(map)), "the file was read although it is wrong");
    until("it was found", || bed.metrics().value(Metric::VerifyFailures) == 1);
}

#[test]
fn a_wrong_bit_is_dropped_from_all_that_direct_readers_have_mapped() {
    let (bed, bytes, store) = bed_with_faults();
    let (_through, wrong) = (File::open(bed.path("model")).unwrap(), 7 * MIB);
    let beside = direct(&bed.path("model")).unwrap();
    let map = map(&beside);
    find_wrong_bit((&bed, &bytes, &store), &map, wrong);
    until("it is dropped", || resident(&map, wrong, 4096) == 0);
    assert!(!peek(&map, wrong, 1).is_ok_and(|byte| byte == [bytes[wrong] ^ 1]), "it is shown");
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
    let (bed, bytes, store) = bed_with_faults();
    let (file, wrong) = (File::open(bed.path("model")).unwrap(), 7 * MIB);
    let map = map(&file);
    find_wrong_bit((&bed, &bytes, &store), &map, wrong);
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
    if dice.random_bool(0.3) {
        will_need(file, dice.random_range(0..expected.len()), 4 * MIB);
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
