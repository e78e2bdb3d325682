//! The workloads: what a program does to the mount, and what it asked for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memmap2::Mmap;

use crate::bed::Bed;

type Outcome = std::io::Result<Done>;

/// What a workload did.
#[derive(Default)]
pub(crate) struct Done {
    /// Bytes that the program asked for.
    pub(crate) bytes: u64,
    /// How long single operations took, where that is the figure.
    pub(crate) latencies: Vec<Duration>,
    /// Time that counts, where it is not the whole run.
    pub(crate) counted: Option<Duration>,
}

impl Done {
    fn bytes(bytes: u64) -> Outcome {
        Ok(Done { bytes, ..Done::default() })
    }
}

/// Which figure stands first in a row.
pub(crate) enum Headline {
    Seconds,
    LatencyP50,
}

/// A named workload.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) bucket: &'static str,
    pub(crate) compares_to_raw: bool,
    pub(crate) headline: Headline,
    pub(crate) run: fn(&Path) -> Outcome,
}

macro_rules! workloads {
    ($($name:literal, $about:literal, $bucket:literal, $raw:literal, $headline:ident, $run:expr;)*) => {
        /// All of them, in the order of the table.
        pub(crate) const WORKLOADS: &[Workload] = &[$(Workload {
            name: $name,
            about: $about,
            bucket: $bucket,
            compares_to_raw: $raw,
            headline: Headline::$headline,
            run: $run,
        }),*];
    };
}

workloads! {
    "seq-256m", "256 MiB read in order, 1 MiB at a time", "shards", true, Seconds, |mount| sequential(&Bed::shard(mount, 0));
    "seq-1g", "1 GiB read in order, 1 MiB at a time", "large", true, Seconds, |mount| sequential(&Bed::large(mount));
    "seq-1g-128k", "1 GiB read in order, 128 KiB at a time, as cp does", "large", true, Seconds,
        |mount| sequential_by(&Bed::large(mount), 128 << 10);
    "four-files", "four 256 MiB files at once", "shards", true, Seconds, four_files;
    "shared-descriptor", "four threads, each a quarter of 1 GiB, on one descriptor", "large", true, Seconds, shared_descriptor;
    "eight-processes", "eight processes read the same 1 GiB at once", "large", true, Seconds, eight_processes;
    "blocks-4k", "256 MiB read in order, 4 KiB at a time", "shards", true, Seconds,
        |mount| sequential_by(&Bed::shard(mount, 0), 4 << 10);
    "blocks-16k", "256 MiB read in order, 16 KiB at a time", "shards", true, Seconds,
        |mount| sequential_by(&Bed::shard(mount, 0), 16 << 10);
    "blocks-64k", "256 MiB read in order, 64 KiB at a time", "shards", true, Seconds,
        |mount| sequential_by(&Bed::shard(mount, 0), 64 << 10);
    "mmap-seq", "1 GiB touched in order through mmap", "large", true, Seconds, mmap_sequential;
    "mmap-tensors", "1 GiB safetensors through mmap, its tensors of 1 to 32 MiB in shuffled order", "model", true, Seconds, mmap_tensors;
    "mmap-shuffled", "1 GiB of noise through mmap in shuffled ranges of 1 to 32 MiB", "large", true, Seconds, mmap_shuffled;
    "38-shards", "38 safetensors shards of 64 MiB opened and read in order", "models", true, Seconds, shards_in_order;
    "random-4k", "200 reads of 4 KiB at random offsets of 1 GiB", "large", false, LatencyP50, random_4k;
    "small-files", "800 files of 128 KiB in random order by 16 threads", "small", false, Seconds, small_files;
    "small-in-order", "800 files of 128 KiB in listing order by one thread", "small", false, Seconds, small_in_order;
    "first-byte", "the first byte of each of eight cold files", "shards", false, LatencyP50, first_byte;
    "second-read", "256 MiB again after the first descriptor was closed (the second read alone)", "shards", false, Seconds, second_read;
    "tmpfs-read", "256 MiB from a file on tmpfs, for comparison with the second read", "shards", false, Seconds, tmpfs_read;
    "list-100k", "names of a directory of 100,000 objects", "flat", false, Seconds, |mount| list(mount, 100_000, Stat::No);
    "list-stat-100k", "names and sizes of a directory of 100,000 objects", "flat", false, Seconds,
        |mount| list(mount, 100_000, Stat::Yes);
    "walk", "100 directories of 1000 objects, walked", "walk", false, Seconds, walk;
}

fn sequential(path: &Path) -> Outcome {
    sequential_by(path, 1 << 20)
}

fn sequential_by(path: &Path, block: usize) -> Outcome {
    Done::bytes(read_range(&File::open(path)?, 0, u64::MAX, block)?)
}

fn read_range(file: &File, start: u64, end: u64, block: usize) -> std::io::Result<u64> {
    let mut buffer = vec![0; block];
    let mut offset = start;
    while offset < end {
        let want = buffer.len().min((end - offset) as usize);
        match file.read_at(&mut buffer[..want], offset)? {
            0 => break,
            n => offset += n as u64,
        }
    }
    Ok(offset - start)
}

fn in_threads(count: usize, work: impl Fn(usize) -> std::io::Result<u64> + Sync) -> Outcome {
    let bytes: std::io::Result<u64> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || work(index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a reader panicked")).sum()
    });
    Done::bytes(bytes?)
}

fn four_files(mount: &Path) -> Outcome {
    in_threads(4, |index| Ok(sequential(&Bed::shard(mount, index))?.bytes))
}

fn shared_descriptor(mount: &Path) -> Outcome {
    let file = File::open(Bed::large(mount))?;
    let quarter = Bed::LARGE_BYTES / 4;
    in_threads(4, |index| read_range(&file, quarter * index as u64, quarter * (index as u64 + 1), 1 << 20))
}

fn map(path: &Path) -> std::io::Result<Mmap> {
    // SAFETY: the bench's objects never change.
    unsafe { Mmap::map(&File::open(path)?) }
}

fn touch(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(0, |sum, word| sum ^ u64::from_ne_bytes(word.try_into().expect("eight bytes")))
}

fn mmap_sequential(mount: &Path) -> Outcome {
    let bytes = map(&Bed::large(mount))?;
    std::hint::black_box(touch(&bytes));
    Done::bytes(bytes.len() as u64)
}

fn mmap_shuffled(mount: &Path) -> Outcome {
    let bytes = map(&Bed::large(mount))?;
    let mut dice = Dice(7);
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = ((1 + dice.below(32)) as usize) << 20;
        ranges.push(at..(at + len).min(bytes.len()));
        at += len;
    }
    touch_shuffled(&bytes, ranges, dice)
}

fn mmap_tensors(mount: &Path) -> Outcome {
    let bytes = map(&Bed::large(mount))?;
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let tensors: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes[8..header])?;
    let offset = |tensor: &serde_json::Value, end: usize| {
        header + tensor["data_offsets"][end].as_u64().expect("a safetensors header") as usize
    };
    touch_shuffled(&bytes, tensors.values().map(|tensor| offset(tensor, 0)..offset(tensor, 1)).collect(), Dice(7))
}

fn touch_shuffled(bytes: &[u8], mut ranges: Vec<std::ops::Range<usize>>, mut dice: Dice) -> Outcome {
    for left in (1..ranges.len()).rev() {
        ranges.swap(left, dice.below(left as u64 + 1) as usize);
    }
    for range in ranges {
        std::hint::black_box(touch(&bytes[range]));
    }
    Done::bytes(bytes.len() as u64)
}

fn eight_processes(mount: &Path) -> Outcome {
    let source = format!("if={}", Bed::large(mount).display());
    let start = |_| {
        let mut dd = std::process::Command::new("dd");
        dd.args([source.as_str(), "of=/dev/null", "bs=1M", "status=none"]).spawn()
    };
    let readers = (0..8).map(start).collect::<std::io::Result<Vec<_>>>()?;
    for mut reader in readers {
        assert!(reader.wait()?.success(), "dd failed");
    }
    // What crosses the network once: the figure is that of one reader.
    Done::bytes(Bed::LARGE_BYTES)
}

fn shards_in_order(mount: &Path) -> Outcome {
    let read = |index| Ok(sequential(&Bed::model_shard(mount, index))?.bytes);
    let bytes: std::io::Result<u64> = (0..38).map(read).sum();
    Done::bytes(bytes?)
}

fn random_4k(mount: &Path) -> Outcome {
    let file = File::open(Bed::large(mount))?;
    let mut dice = Dice(11);
    let mut buffer = [0; 4096];
    let mut done = Done::default();
    for _ in 0..200 {
        let offset = dice.below(Bed::LARGE_BYTES / 4096) * 4096;
        let started = Instant::now();
        file.read_exact_at(&mut buffer, offset)?;
        done.latencies.push(started.elapsed());
        done.bytes += 4096;
    }
    Ok(done)
}

fn small_files(mount: &Path) -> Outcome {
    let mut paths: Vec<PathBuf> = (0..Bed::SMALL_FILES).map(|index| Bed::small(mount, index)).collect();
    let mut dice = Dice(13);
    for left in (1..paths.len()).rev() {
        paths.swap(left, dice.below(left as u64 + 1) as usize);
    }
    let next = AtomicUsize::new(0);
    in_threads(16, |_| {
        let mut bytes = 0;
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            bytes += std::fs::read(path)?.len() as u64;
        }
        Ok(bytes)
    })
}

fn small_in_order(mount: &Path) -> Outcome {
    let mut bytes = 0;
    for index in 0..std::fs::read_dir(mount)?.count() {
        bytes += std::fs::read(Bed::small(mount, index))?.len() as u64;
    }
    Done::bytes(bytes)
}

fn first_byte(mount: &Path) -> Outcome {
    let latencies = Mutex::new(Vec::new());
    let mut bytes = 0;
    for index in 0..8 {
        let started = Instant::now();
        let file = File::open(Bed::shard(mount, index))?;
        file.read_exact_at(&mut [0; 1], 0)?;
        latencies.lock().expect("no reader panics").push(started.elapsed());
        bytes += 1;
    }
    Ok(Done { bytes, latencies: latencies.into_inner().expect("no reader panics"), counted: None })
}

fn second_read(mount: &Path) -> Outcome {
    sequential(&Bed::shard(mount, 0))?;
    let started = Instant::now();
    let done = sequential(&Bed::shard(mount, 0))?;
    Ok(Done { counted: Some(started.elapsed()), ..done })
}

fn tmpfs_read(mount: &Path) -> Outcome {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm")?;
    std::io::copy(&mut File::open(Bed::shard(mount, 0))?, &mut file)?;
    let started = Instant::now();
    let done = sequential(file.path())?;
    Ok(Done { counted: Some(started.elapsed()), ..done })
}

#[derive(Clone, Copy, PartialEq)]
enum Stat {
    No,
    Yes,
}

fn list(directory: &Path, expected: usize, stat: Stat) -> Outcome {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if stat == Stat::Yes {
            std::hint::black_box(entry.metadata()?.len());
        }
        count += 1;
    }
    assert_eq!(count, expected, "{} listed wrongly", directory.display());
    Ok(Done::default())
}

fn walk(mount: &Path) -> Outcome {
    for entry in std::fs::read_dir(mount)? {
        list(&entry?.path(), 1000, Stat::No)?;
    }
    Ok(Done::default())
}

/// Small and seeded, so that every run asks for the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
