//! Reading through the kernel: every way a program can get at bytes gives the bytes of the object.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ossmount::base::Clock;
use ossmount::fs::{DirectIo, Ttl};
use ossmount::fuse::{Drained, Laziness};
use ossmount::metrics::{Metric, Metrics};
use ossmount::read::{Passthrough, Prefetch};
use ossmount::store::layers::{LayerOptions, layered};
use ossmount::store::memory::{MemoryStore, Request};
use proptest::prelude::*;

use crate::support::bed::{Bed, Recipe};
use crate::support::gate::Gate;

const MIB: usize = 1 << 20;
/// Read past the page cache by default, with an odd end.
const BIG: usize = 20 * MIB + 12_345;

/// Bytes that differ at every offset and for every seed, so that a byte from elsewhere is seen.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let word = |index: u64| (index ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..len.div_ceil(8) as u64).flat_map(word).take(len).collect()
}

fn store_of(files: &[(&str, &[u8])]) -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for (key, bytes) in files {
        store.put(*key, bytes.to_vec());
    }
    Arc::new(store)
}

fn code<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// Reads at an offset until nothing more comes or the length is reached.
fn read_at(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut bytes[done..], offset + done as u64).unwrap() {
            0 => break,
            read => done += read,
        }
    }
    bytes.truncate(done);
    bytes
}

fn part(bytes: &[u8], offset: u64, len: usize) -> &[u8] {
    let start = bytes.len().min(offset as usize);
    &bytes[start..bytes.len().min(start + len)]
}

fn gets(store: &MemoryStore) -> usize {
    store.requests().iter().filter(|request| matches!(request, Request::Get { .. })).count()
}

#[test]
fn files_of_every_size_are_whole() {
    let sizes = [0, 1, 4095, 4096, 4097, 128 << 10, MIB, MIB + 1, 3 * MIB - 1, BIG];
    let store = MemoryStore::new();
    for size in sizes {
        store.put(format!("of {size}"), content(size as u64, size));
    }
    let bed = Bed::over(Arc::new(store));
    for size in sizes {
        assert!(fs::read(bed.path(format!("of {size}"))).unwrap() == content(size as u64, size), "{size}");
    }
}

#[test]
fn files_read_in_order_are_fetched_before_they_are_opened() {
    let store = MemoryStore::new();
    let names: Vec<String> = (0..20).map(|index| format!("sample-{index:02}.bin")).collect();
    for (index, name) in names.iter().enumerate() {
        store.put(name.as_str(), content(index as u64, 60_000 + index));
    }
    let store = Arc::new(store);
    let bed = Bed::over(store.clone());
    assert_eq!(fs::read_dir(bed.root()).unwrap().count(), 20);
    for (index, name) in names.iter().enumerate() {
        assert!(fs::read(bed.path(name)).unwrap() == content(index as u64, 60_000 + index), "{name}");
        let ahead = match index {
            0 | 1 => 0,
            _ => (2 * index).min(19 - index),
        };
        while gets(&store) < index + 1 + ahead {
            std::thread::yield_now();
        }
    }
    assert_eq!(gets(&store), 20, "each file once");
}

#[test]
fn reads_at_any_offset_are_right() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bytes = content(1, 3 * MIB + 777);
        let mut recipe = Recipe::default();
        recipe.fs.direct_io = direct_io;
        let bed = recipe.make(store_of(&[("file", &bytes)]));
        let file = File::open(bed.path("file")).unwrap();
        let reads = prop::collection::vec((0..bytes.len() as u64 + 5000, 0..300_000usize), 1..20);
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) };
        proptest!(config, |(reads in reads)| {
            for (offset, len) in reads {
                prop_assert!(read_at(&file, offset, len) == part(&bytes, offset, len), "{} bytes at {}", len, offset);
            }
        });
    }
}

#[test]
fn big_files_are_read_through_the_page_cache_until_a_program_has_read_in_large_pieces() {
    let bytes = content(9, BIG);
    let bed = Bed::over(store_of(&[("first", &bytes), ("second", &bytes), ("third", &bytes)]));
    let requests = |name: &str, piece: usize, pieces: usize| {
        let before = bed.metrics().value(Metric::Reads);
        let file = File::open(bed.path(name)).unwrap();
        for offset in (0..pieces).map(|i| i * piece) {
            assert!(read_at(&file, offset as u64, piece) == part(&bytes, offset as u64, piece), "{name} at {offset}");
        }
        bed.metrics().value(Metric::Reads) - before
    };
    let small = requests("first", 4096, 1000);
    assert!((1..500).contains(&small), "{small} requests");
    let large = requests("second", 100_000, 150);
    assert!((1..150).contains(&large), "{large} requests: as before");
    // Closing is told to the daemon after the program.
    while bed.metrics().value(Metric::OpenFiles) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(requests("third", 100_000, 150), 150, "each read is a request");
}

#[test]
fn maps_show_the_bytes_in_every_mode() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bytes = content(2, 2 * MIB + 99);
        let mut recipe = Recipe::default();
        recipe.fs.direct_io = direct_io;
        let bed = recipe.make(store_of(&[("file", &bytes)]));
        let file = File::open(bed.path("file")).unwrap();
        // SAFETY: no process changes the file while it is mapped.
        let shared = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        assert!(shared[..] == bytes[..], "shared, {direct_io:?}");
        // SAFETY: as above; what is written to a private map stays in it.
        let mut private = unsafe { memmap2::MmapOptions::new().map_copy(&file) }.unwrap();
        private[0] ^= 1;
        assert!(private[1..] == bytes[1..], "private, {direct_io:?}");
        assert!(fs::read(bed.path("file")).unwrap() == bytes, "read beside a map, {direct_io:?}");
    }
}

#[test]
fn direct_reads_of_the_program_are_right() {
    let bytes = content(3, 2 * MIB + 1234);
    let bed = Bed::over(store_of(&[("file", &bytes)]));
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(bed.path("file")).unwrap();
    let mut buffer = memmap2::MmapMut::map_anon(MIB).unwrap();
    for offset in [0, MIB as u64, 2 * MIB as u64, 4096] {
        let read = file.read_at(&mut buffer, offset).unwrap();
        assert!(buffer[..read] == *part(&bytes, offset, MIB), "at {offset}");
    }
}

#[test]
fn sendfile_splice_and_copy_are_right() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bytes = content(4, MIB + 321);
        let mut recipe = Recipe::default();
        recipe.fs.direct_io = direct_io;
        let bed = recipe.make(store_of(&[("file", &bytes)]));
        let check = |way: &str, copy: &dyn Fn(&File, &mut File)| {
            let source = File::open(bed.path("file")).unwrap();
            let mut target = tempfile::tempfile().unwrap();
            copy(&source, &mut target);
            target.rewind().unwrap();
            let mut copied = Vec::new();
            target.read_to_end(&mut copied).unwrap();
            assert!(copied == bytes, "{way}, {direct_io:?}");
        };
        check("sendfile", &|source, target| {
            // SAFETY: both descriptors are open.
            while unsafe { libc::sendfile(target.as_raw_fd(), source.as_raw_fd(), std::ptr::null_mut(), MIB) } > 0 {}
        });
        check("splice", &|source, target| {
            let (out, into) = nix::unistd::pipe().unwrap();
            loop {
                let null = std::ptr::null_mut();
                // SAFETY: both descriptors are open.
                let filled = unsafe { libc::splice(source.as_raw_fd(), null, into.as_raw_fd(), null, 60_000, 0) };
                let mut piped = vec![0; usize::try_from(filled).unwrap()];
                if piped.is_empty() {
                    break;
                }
                File::from(out.try_clone().unwrap()).read_exact(&mut piped).unwrap();
                target.write_all(&piped).unwrap();
            }
        });
        check("copy", &|mut source, mut target| {
            io::copy(&mut source, &mut target).unwrap();
        });
    }
}

#[test]
fn the_end_is_the_only_hole() {
    let bed = Bed::over(store_of(&[("file", &content(5, 10_000))]));
    let file = File::open(bed.path("file")).unwrap();
    // SAFETY: the descriptor is open.
    let seek = |offset, whence| match unsafe { libc::lseek(file.as_raw_fd(), offset, whence) } {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap()),
        offset => Ok(offset),
    };
    assert_eq!(seek(0, libc::SEEK_DATA), Ok(0));
    assert_eq!(seek(5000, libc::SEEK_DATA), Ok(5000));
    assert_eq!(seek(5000, libc::SEEK_HOLE), Ok(10_000));
    assert_eq!(seek(10_000, libc::SEEK_DATA), Err(libc::ENXIO));
    assert_eq!(seek(10_000, libc::SEEK_HOLE), Err(libc::ENXIO));
    assert_eq!((&file).seek(SeekFrom::End(-1)).unwrap(), 9999);
}

#[test]
fn pages_stay_from_one_open_to_the_next() {
    let bytes = content(6, 700_000);
    let store = store_of(&[("file", &bytes)]);
    let bed = Bed::over(store.clone());
    assert!(fs::read(bed.path("file")).unwrap() == bytes);
    let (reads, gets_before) = (bed.metrics().value(Metric::Reads), gets(&store));
    assert!(reads > 0);
    assert!(fs::read(bed.path("file")).unwrap() == bytes);
    assert_eq!(bed.metrics().value(Metric::Reads), reads, "the kernel had every page");
    assert_eq!(gets(&store), gets_before);
}

#[test]
fn a_file_that_was_read_through_is_read_by_the_kernel_itself() {
    let bytes = content(20, BIG);
    let store = store_of(&[("file", &bytes)]);
    let mut recipe = Recipe::default();
    recipe.fs.metadata_ttl = Ttl::EachOpen;
    let bed = recipe.make(store.clone());
    let reads = || bed.metrics().value(Metric::Reads);
    let first = File::open(bed.path("file")).unwrap();
    assert!(read_at(&first, 0, BIG) == bytes);
    // While it is open in the other way, further opens are like that.
    assert!(fs::read(bed.path("file")).unwrap() == bytes);
    drop(first);
    // The kernel tells of a close later than the program hears of it.
    while bed.metrics().value(Metric::OpenFiles) > 0 {
        std::thread::yield_now();
    }
    let (asked, gets_before) = (reads(), gets(&store));
    let direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(bed.path("file")).unwrap();
    assert!(read_at(&direct, 0, BIG) == bytes);
    let second = File::open(bed.path("file")).unwrap();
    // SAFETY: the file does not change.
    let map = unsafe { memmap2::Mmap::map(&second) }.unwrap();
    assert!(map[..] == bytes[..]);
    drop((direct, second));
    assert!(fs::read(bed.path("file")).unwrap() == bytes, "the mapping keeps it open");
    assert!(map[BIG - 5000..] == bytes[BIG - 5000..]);
    assert_eq!((reads(), gets(&store)), (asked, gets_before), "nobody asked the daemon");
    drop(map);
    // Another version is another file.
    let new = content(21, BIG);
    store.put("file", new.clone());
    assert!(fs::read(bed.path("file")).unwrap() == new);
}

/// Reads four shards by as many threads, then maps one after the other. Returns the bytes that were fetched for each of
/// the model, in percent, and the reads that came to the daemon for reading and for mapping.
fn shards_read_and_mapped(memory_mib: usize, is_known: bool) -> (u64, u64, u64) {
    let shards: Vec<(String, Vec<u8>)> =
        (1..=4).map(|number| (format!("model-0000{number}-of-00004.safetensors"), content(number, BIG))).collect();
    let mut files: Vec<(&str, &[u8])> = shards.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    let other = content(9, BIG);
    files.push(("other", &other));
    let received = Arc::new(Metrics::default());
    let store = layered(store_of(&files), &LayerOptions::default(), &received, &Clock::system());
    let mut recipe = Recipe::default();
    // Less than the model, and nothing of it is left to the kernel.
    (recipe.read.memory_limit, recipe.read.passthrough) = ((memory_mib * MIB) as u64, Passthrough::Off);
    recipe.free_bytes = 1 << 40;
    let bed = recipe.make(store);
    if is_known {
        assert!(read_at(&File::open(bed.path("other")).unwrap(), 0, BIG) == other);
        // Closing is told to the daemon after the program.
        while bed.metrics().value(Metric::OpenFiles) > 0 {
            std::thread::yield_now();
        }
    }
    let (fetched_before, asked_before) = (received.value(Metric::BytesFetched), bed.metrics().value(Metric::Reads));
    std::thread::scope(|scope| {
        for (name, bytes) in &shards {
            let path = bed.path(name);
            scope.spawn(move || assert!(read_at(&File::open(path).unwrap(), 0, BIG) == *bytes, "{name}"));
        }
    });
    let reads = bed.metrics().value(Metric::Reads);
    for (name, bytes) in &shards {
        let file = File::open(bed.path(name)).unwrap();
        // SAFETY: no process changes the file while it is mapped.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        assert!(map[..] == bytes[..], "{name}, mapped");
    }
    let fetched = received.value(Metric::BytesFetched) - fetched_before;
    (fetched * 100 / (4 * BIG as u64), reads - asked_before, bed.metrics().value(Metric::Reads) - reads)
}

#[test]
fn what_threads_have_read_of_a_model_is_mapped_from_the_page_cache() {
    let (percent, reads, asked) = shards_read_and_mapped(48, false);
    // A machine that is short of memory may have dropped some pages.
    assert!(percent < 125, "{percent} bytes were fetched for 100 of the model");
    assert!(asked < reads / 4, "{asked} further reads came to the daemon, after {reads}");
}

#[test]
fn programs_known_for_large_reads_fetch_no_shard_twice() {
    // A shard fits into the first memory, and into the second not.
    for memory_mib in [48, 24] {
        let (percent, reads, asked) = shards_read_and_mapped(memory_mib, true);
        println!("{memory_mib} MiB: {percent} bytes fetched for 100, {reads} reads, {asked} for mapping");
        assert!(percent < 110, "{memory_mib} MiB: {percent} bytes were fetched for 100 of the model");
    }
}

#[test]
fn a_changed_object_is_stale_once_and_new_at_the_next_open() {
    let (old, new) = (content(7, MIB), content(8, MIB + 10));
    let store = store_of(&[("file", &old)]);
    let mut recipe = Recipe::default();
    recipe.fs.direct_io = DirectIo::On;
    recipe.read.prefetch = Prefetch::Off;
    let bed = recipe.make(store.clone());
    let file = File::open(bed.path("file")).unwrap();
    assert!(read_at(&file, 0, 4096) == part(&old, 0, 4096));
    store.put("file", new.clone());
    let mut buffer = [0; 4096];
    assert_eq!(code(file.read_at(&mut buffer, 512 << 10)), libc::ESTALE);
    assert!(fs::read(bed.path("file")).unwrap() == new);
    assert_eq!(fs::metadata(bed.path("file")).unwrap().len(), new.len() as u64);
}

#[test]
fn many_threads_read_their_own_bytes() {
    let (small, big) = (content(9, 600_000), content(10, BIG));
    let bed = Bed::over(store_of(&[("small", &small), ("big", &big)]));
    let shared = File::open(bed.path("big")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..64u64 {
            let (bed, shared, small, big) = (&bed, &shared, &small, &big);
            scope.spawn(move || {
                assert!(fs::read(bed.path("small")).unwrap() == *small);
                for step in 0..4 {
                    let offset = (thread * 977 + step * 41_131) * 4099 % BIG as u64;
                    assert!(read_at(shared, offset, 50_000) == part(big, offset, 50_000), "at {offset}");
                }
            });
        }
    });
}

#[test]
fn a_file_stays_readable_after_the_mount_is_gone() {
    let bytes = content(11, BIG);
    let bed = Bed::over(store_of(&[("file", &bytes)]));
    let file = File::open(bed.path("file")).unwrap();
    assert!(read_at(&file, 0, MIB) == part(&bytes, 0, MIB));
    bed.mounted().unmount().unwrap();
    assert!(read_at(&file, 0, BIG) == bytes);
    drop(file);
    bed.block_on(bed.mounted().wait());
}

#[test]
fn unmounting_from_outside_while_threads_read_breaks_nothing() {
    let bytes = content(12, BIG);
    let bed = Bed::over(store_of(&[("file", &bytes)]));
    std::thread::scope(|scope| {
        let started = Arc::new(std::sync::Barrier::new(5));
        for _ in 0..4 {
            let (file, started, bytes) = (File::open(bed.path("file")).unwrap(), started.clone(), &bytes);
            scope.spawn(move || {
                started.wait();
                for _ in 0..3 {
                    assert!(read_at(&file, 0, BIG) == *bytes);
                }
            });
        }
        started.wait();
        ossmount::fuse::unmount(bed.root(), Laziness::Lazy).unwrap();
    });
    bed.block_on(bed.mounted().wait());
}

fn gated() -> (Arc<Gate>, Vec<u8>) {
    let bytes = content(13, MIB);
    (Gate::over(store_of(&[("gated", &bytes), ("free", b"free"), ("panic", b"panic")])), bytes)
}

#[test]
fn waiting_reads_hold_up_nobody() {
    let (gate, bytes) = gated();
    let bed = Bed::over(gate.clone());
    std::thread::scope(|scope| {
        // More than there are threads of any kind in the daemon.
        let readers: Vec<_> = (0..40).map(|_| scope.spawn(|| fs::read(bed.path("gated")).unwrap())).collect();
        gate.wait_for_a_waiter();
        assert_eq!(fs::read(bed.path("free")).unwrap(), b"free");
        gate.open();
        for reader in readers {
            assert!(reader.join().unwrap() == bytes);
        }
    });
}

fn start_reader(path: &Path) -> std::process::Child {
    Command::new("cat").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_reader_that_is_killed_while_it_waits_takes_nothing_along() {
    let (gate, bytes) = gated();
    let bed = Bed::over(gate.clone());
    let mut reader = start_reader(&bed.path("gated"));
    gate.wait_for_a_waiter();
    reader.kill().unwrap();
    assert_eq!(fs::read(bed.path("free")).unwrap(), b"free");
    gate.open();
    assert!(!reader.wait().unwrap().success());
    assert!(fs::read(bed.path("gated")).unwrap() == bytes);
}

#[test]
fn a_read_that_is_never_answered_ends_in_eio() {
    let (gate, _) = gated();
    let mut recipe = Recipe::default();
    recipe.fuse.answer_limit = Duration::from_millis(100);
    let bed = recipe.make(gate.clone());
    assert_eq!(code(fs::read(bed.path("gated"))), libc::EIO);
    assert_eq!(fs::read(bed.path("free")).unwrap(), b"free");
    gate.open();
}

#[test]
fn a_panic_is_eio_for_one_reader_and_nothing_for_the_others() {
    let (gate, bytes) = gated();
    gate.open();
    let bed = Bed::over(gate);
    // More often than there are threads: none of them is lost.
    for _ in 0..20 {
        assert_eq!(code(fs::read(bed.path("panic"))), libc::EIO);
    }
    assert!(fs::read(bed.path("gated")).unwrap() == bytes);
}

#[test]
fn draining_answers_what_is_in_flight() {
    let (gate, bytes) = gated();
    let bed = Bed::over(gate.clone());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let file = File::open(bed.path("gated")).unwrap();
            let mut buffer = [0; 4096];
            file.read_at(&mut buffer, 0).map(|read| buffer[..read].to_vec())
        });
        gate.wait_for_a_waiter();
        let cut = bed.block_on(bed.mounted().drain(Duration::from_millis(50)));
        assert!(matches!(cut, Drained::CutShort(1..)), "{cut:?}");
        gate.open();
        assert_eq!(bed.block_on(bed.mounted().drain(Duration::from_secs(60))), Drained::Clean);
        assert!(reader.join().unwrap().unwrap() == bytes[..4096]);
    });
}
