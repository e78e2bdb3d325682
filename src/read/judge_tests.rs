//! The judge: what programs read, replayed against the engine in simulated time. One table shows what each policy costs
//! in requests, bytes and time, so that a change shows all its effects at once.
//!
//! A row has bounds. What passes them fails the test, and so does what is far below them: then the row is to be
//! lowered, so that what was gained stays. `cargo nextest run --lib judge --no-capture` shows the table, and
//! `OSSMOUNT_TUNE=NAME=VALUE,...` shows it with other tuned numbers.

mod bucket;
mod mapping;
mod page_cache;
mod programs;
mod trace;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::bucket::{Bucket, tag};
use self::mapping::Mapping;
use self::page_cache::PageCache;
use self::trace::{Act, Trace, Way};
use super::*;
use crate::base::{ByteRange, CHUNKS_READAHEAD_BYTES, Clock, Ino, Key, PAGE_BYTES, READAHEAD_BYTES, Timestamp};
use crate::metrics::Metrics;
use crate::store::layers::Limit;
use crate::store::{Connections, Store};

/// What a program cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    gets: u64,
    fetched_bytes: u64,
    /// Bytes that it asked for, each counted once.
    asked_bytes: u64,
    ms: u64,
}

/// What EROFS asks for with one request, in bytes, where memory is in small pages.
const PIECE_BYTES: u64 = 128 << 10;

/// A program and the most that it may cost: requests, tenths of MB, milliseconds.
struct Row(fn() -> Trace, &'static str, u64, u64, u64);

/// Every program, with its bounds.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row(programs::sqlite, "sqlite, 100 look-ups", 28, 390, 421),
    Row(programs::lmdb, "lmdb, 200 look-ups", 110, 1270, 1702),
    Row(programs::look_ups_in_a_huge_file, "look-ups in a huge file", 48, 2, 1009),
    Row(programs::rows_by_pread, "rows by pread", 64, 11, 1345),
    Row(programs::rows_by_mapping, "rows by mapping", 63, 65, 1376),
    Row(programs::rows_close_by_mapping, "rows by mapping, close", 64, 65, 1397),
    Row(programs::rows_then_all, "rows by mapping, then all", 133, 754, 760),
    Row(programs::faiss, "faiss, 64 rows", 69, 15, 1451),
    Row(programs::shuffled_ranges, "shuffled ranges by mapping", 248, 2685, 1093),
    Row(programs::quarters, "four quarters of 64 MiB", 179, 2884, 280),
    Row(programs::headers_by_python, "16 headers, python", 16, 84, 384),
    Row(programs::headers_past_the_cache, "16 headers, direct", 16, 84, 384),
    Row(programs::model_headers, "16 headers of models", 16, 168, 512),
    Row(programs::one_sector_five_times, "one sector, five opens", 1, 2, 23),
    Row(programs::dd_of_1_mib, "stream, 1 MiB reads", 98, 2685, 135),
    Row(programs::cat, "stream, 128 KiB reads", 108, 2685, 150),
    Row(programs::stream_of_1_gb_a_second, "1 GiB at 1 GB/s", 204, 10738, 1079),
    Row(programs::samples_by_one_descriptor, "samples, one descriptor", 49, 672, 95),
    Row(programs::samples_by_opens, "samples, an open each", 49, 672, 95),
    Row(programs::mosaicml, "mosaicml-streaming", 55, 641, 138),
    Row(programs::zip_members, "zip members, an open each", 34, 54, 751),
    Row(programs::tar_names, "names of a tar", 128, 198, 178),
    Row(programs::webdataset, "webdataset, twice", 75, 734, 211),
    Row(programs::small_parquets, "50 small parquets", 97, 100, 2111),
    Row(programs::duckdb, "duckdb, twice", 18, 163, 85),
    Row(programs::hdf5, "two chunks of HDF5", 7, 23, 127),
    Row(programs::geotiff, "a window of a GeoTIFF", 19, 199, 288),
    Row(programs::ffmpeg, "a film", 33, 339, 86),
    Row(programs::zarr, "chunks of zarr", 65, 336, 397),
    Row(programs::git, "git log --stat", 29, 401, 281),
    Row(programs::torch_load_partial, "partial torch.load, twice", 118, 582, 523),
    Row(programs::torch_load_whole, "torch.load, whole", 138, 4027, 419),
    Row(programs::torch_load_shuffled, "torch.load, another order", 290, 4027, 627),
    Row(programs::model_whole, "model, whole", 220, 4027, 290),
    Row(programs::model_shuffled, "model, another order", 213, 4027, 373),
    Row(programs::model_every_8th, "model, every 8th", 57, 671, 224),
    Row(programs::model_every_4th, "model, every 4th", 105, 1300, 224),
    Row(programs::model_first_half, "model, first half", 169, 2286, 207),
    Row(programs::model_second_half, "model, second half", 124, 2030, 203),
    Row(programs::model_4_of_48, "model, 4 of 48", 40, 394, 156),
    Row(programs::model_adapters, "model, adapters", 74, 897, 224),
    Row(programs::model_small_whole, "model of 1 MiB, whole", 80, 2098, 192),
    Row(programs::model_small_every_8th, "model of 1 MiB, every 8th", 27, 556, 255),
    Row(programs::model_first_half_by_numpy, "first half, in order", 118, 2475, 176),
    Row(programs::model_4_of_48_by_numpy, "4 of 48, in order", 46, 468, 239),
    Row(programs::model_small_every_8th_by_numpy, "1 MiB, every 8th, in order", 28, 603, 289),
    Row(programs::first_half_at_1_gb_a_second, "first half, at 1 GB/s", 118, 2763, 363),
    Row(programs::first_half_at_500_mb_a_second, "first half, at 0.5 GB/s", 130, 2560, 550),
    Row(programs::first_half_at_4_gb_a_second, "first half, at 4 GB/s", 120, 3117, 223),
    Row(programs::whole_at_4_gb_a_second, "model, whole, at 4 GB/s", 220, 4027, 313),
    Row(programs::whole_at_1_gb_a_second, "model, whole, at 1 GB/s", 220, 4027, 514),
    Row(programs::copy_of_a_model, "model, copied", 120, 4027, 311),
    Row(programs::copy_at_2_gb_a_second, "model, copied at 2 GB/s", 111, 4027, 397),
    Row(programs::ranks_by_rows, "model, 8 ranks by rows", 55, 2014, 125),
    Row(programs::shards_at_once, "six shards at once, 256 MiB", 320, 8054, 392),
    Row(programs::gguf, "gguf by mapping", 125, 2014, 207),
];

/// Programs that map files, or read them in the page cache, with their bounds where the kernel does so by the bridge.
#[rustfmt::skip]
const BRIDGE_ROWS: &[Row] = &[
    Row(programs::lmdb, "lmdb, 200 look-ups", 110, 1270, 1702),
    Row(programs::rows_by_mapping, "rows by mapping", 109, 67, 1376),
    Row(programs::rows_close_by_mapping, "rows by mapping, close", 103, 66, 1397),
    Row(programs::rows_then_all, "rows by mapping, then all", 147, 755, 776),
    Row(programs::faiss, "faiss, 64 rows", 69, 15, 1451),
    Row(programs::shuffled_ranges, "shuffled ranges by mapping", 249, 2685, 1114),
    Row(programs::cat, "stream, 128 KiB reads", 114, 2685, 153),
    Row(programs::model_headers, "16 headers of models", 32, 169, 432),
    Row(programs::geotiff, "a window of a GeoTIFF", 26, 208, 289),
    Row(programs::torch_load_partial, "partial torch.load, twice", 105, 627, 549),
    Row(programs::torch_load_whole, "torch.load, whole", 180, 4032, 427),
    Row(programs::torch_load_shuffled, "torch.load, another order", 292, 4043, 671),
    Row(programs::model_whole, "model, whole", 224, 4027, 289),
    Row(programs::model_shuffled, "model, another order", 216, 4027, 372),
    Row(programs::model_every_8th, "model, every 8th", 59, 666, 223),
    Row(programs::model_every_4th, "model, every 4th", 107, 1295, 223),
    Row(programs::model_first_half, "model, first half", 172, 2286, 202),
    Row(programs::model_first_half_by_numpy, "first half, in order", 119, 2475, 171),
    Row(programs::first_half_at_1_gb_a_second, "first half, at 1 GB/s", 104, 2876, 358),
    Row(programs::first_half_at_4_gb_a_second, "first half, at 4 GB/s", 121, 3117, 218),
    Row(programs::whole_at_1_gb_a_second, "model, whole, at 1 GB/s", 222, 4027, 509),
    Row(programs::whole_at_4_gb_a_second, "model, whole, at 4 GB/s", 222, 4027, 308),
    Row(programs::model_4_of_48, "model, 4 of 48", 42, 394, 155),
    Row(programs::model_adapters, "model, adapters", 75, 892, 223),
    Row(programs::model_small_whole, "model of 1 MiB, whole", 81, 2098, 191),
    Row(programs::model_small_every_8th, "model of 1 MiB, every 8th", 28, 552, 254),
    Row(programs::ranks_by_rows, "model, 8 ranks by rows", 56, 2014, 124),
    Row(programs::shards_at_once, "six shards at once, 256 MiB", 326, 8054, 391),
    Row(programs::gguf, "gguf by mapping", 126, 2014, 202),
];

/// The files of a trace that a thread has open.
type Handles = HashMap<usize, Vec<Arc<File>>>;

/// Whether it was answered.
async fn read(file: Arc<File>, range: ByteRange, way: Way) -> bool {
    let read_ahead_bytes = match way {
        Way::PageCache => READAHEAD_BYTES,
        Way::ChunksByPageCache => CHUNKS_READAHEAD_BYTES,
        Way::Bridge => return read_in_pieces(&file, range).await,
        Way::Direct => 0,
    };
    let slice = file.read_pages(range.start, range.len() as usize, read_ahead_bytes).await.unwrap();
    // What the kernel asks for then depends on what the program touches: nothing, if it has asked for nothing behind
    // it.
    slice.is_some_and(|slice| {
        assert_eq!(slice.len() as u64, range.len());
        true
    })
}

/// The same by the bridge, whose kernel asks for pieces at once and cuts the first one short.
async fn read_in_pieces(file: &Arc<File>, range: ByteRange) -> bool {
    let cuts = [range.start].into_iter().chain((1..).map(|number| range.start + number * PIECE_BYTES - PAGE_BYTES));
    let cuts: Vec<u64> = cuts.take_while(|cut| *cut < range.end).chain([range.end]).collect();
    let pieces = cuts.windows(2).map(|cuts| ByteRange::new(cuts[0], cuts[1]));
    let of = |piece: ByteRange| {
        let so_far = ByteRange::new(range.start, piece.end);
        let goes_on = piece.len() >= PIECE_BYTES / 2 && so_far.len() < READAHEAD_BYTES;
        // The first one is of the head.
        let usual_bytes = (range.start > 0).then_some(READAHEAD_BYTES);
        Batch { most_bytes: READAHEAD_BYTES, so_far, goes_on, usual_bytes }
    };
    let first = ByteRange::new(cuts[0], cuts[1]);
    let is_refused = file.refuses(first, of(first));
    // A single page is answered all the same, and no program waits for it.
    let answered = pieces.filter(|piece| !is_refused || piece.len() == PAGE_BYTES).map(|piece| {
        let (file, batch) = (file.clone(), of(piece));
        tokio::spawn(async move { assert_eq!(file.read_of(batch, piece).await.unwrap().len() as u64, piece.len()) })
    });
    let answered: Vec<_> = answered.collect();
    if !is_refused {
        futures::future::try_join_all(answered).await.unwrap();
    }
    !is_refused
}

async fn run_thread(reader: Arc<Reader>, objects: Arc<Vec<Object>>, acts: Vec<Act>, cached: Arc<PageCache>, way: Way) {
    let (mut handles, mut begun) = (Handles::new(), HashMap::new());
    let mut mappings: HashMap<usize, Mapping> = HashMap::new();
    let (mut known, mut is_new) = (HashSet::new(), false);
    let open = |handles: &Handles, file: usize| handles[&file].last().unwrap().clone();
    // Where a readahead was touched, the kernel has read on behind it.
    let all = acts.iter().filter_map(Act::read).map(|(file, range)| (file, range.start)).collect::<HashSet<_>>();
    let refused = |file: usize, range: ByteRange| assert!(!all.contains(&(file, range.end)), "{range:?} was wanted");
    for mut act in acts {
        if let Act::Read(file, range) | Act::Begin(file, range) = &mut act
            && way == Way::Bridge
        {
            let asked = cached.asks_for(*file, *range);
            if asked.is_empty() {
                cached.wait(*file, *range).await;
            }
            *range = asked;
        }
        match act {
            // The kernel has it.
            Act::Read(_, range) | Act::Begin(_, range) if range.is_empty() => {}
            Act::Open(file) => {
                is_new = known.insert(file);
                let opened = reader.open(objects[file].clone());
                if way == Way::Bridge {
                    opened.is_kept_elsewhere();
                    opened.needs_no_copy();
                }
                handles.entry(file).or_default().push(Arc::new(opened));
            }
            Act::Begin(file, range) => {
                let (read, cached) = (read(open(&handles, file), range, way), cached.clone());
                let comes = async move {
                    let is_answered = read.await;
                    cached.came(file, range);
                    is_answered
                };
                begun.insert((file, range.end), tokio::spawn(comes));
                // It comes to the engine before the program goes on.
                tokio::task::yield_now().await;
            }
            Act::End(file, range) => {
                // Where the kernel has asked for all of it before, nothing was begun.
                if let Some(begun) = begun.remove(&(file, range.end))
                    && !begun.await.unwrap()
                {
                    refused(file, range);
                }
            }
            Act::Read(file, range) => {
                if !read(open(&handles, file), range, way).await {
                    refused(file, range);
                }
                cached.came(file, range);
            }
            Act::Touch(file, range) => {
                let mapping = mappings.entry(file).or_insert_with(|| Mapping::by(way));
                mapping.touch(&open(&handles, file), objects[file].size, range).await;
            }
            Act::Close(file) => drop(handles.get_mut(&file).unwrap().pop()),
            Act::Work(time) => tokio::time::sleep(time).await,
        }
        if matches!(act, Act::End(..) | Act::Read(..) | Act::Touch(..)) && std::mem::take(&mut is_new) {
            // What was read first is looked at, by the program and by the engine, whose task must be over before time
            // goes on.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Bytes that are asked for, each counted once.
fn asked_bytes(trace: &Trace) -> u64 {
    let reads = trace.threads.iter().flatten().filter_map(|act| match act {
        Act::Read(file, range) | Act::Begin(file, range) | Act::Touch(file, range) => {
            Some((*file, range.start, range.end))
        }
        Act::Open(_) | Act::End(..) | Act::Close(_) | Act::Work(_) => None,
    });
    let mut reads: Vec<(usize, u64, u64)> = reads.collect();
    reads.sort_unstable();
    let (mut sum, mut last) = (0, (usize::MAX, 0));
    for (file, start, end) in reads {
        let from = if last.0 == file { start.max(last.1) } else { start };
        sum += end.saturating_sub(from);
        last = (file, if last.0 == file { end.max(last.1) } else { end });
    }
    sum
}

fn object(index: usize, file: &trace::TraceFile) -> Object {
    let (ino, key) = (Ino(index as u64 + 2), Key::new(file.key.as_str()));
    Object { ino, key, version: None, etag: tag(), size: file.size, mtime: None, archived: false }
}

/// The tuned numbers, of which a sweep may set some.
fn tuning() -> Tuning {
    let mut tuning = Tuning::default();
    for pair in std::env::var("OSSMOUNT_TUNE").unwrap_or_default().split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        tuning.set(name, value.parse().unwrap()).unwrap();
    }
    tuning
}

fn run(trace: Trace) -> Cost {
    run_on(trace, &Connections::fixed(64), |bucket| bucket)
}

/// Runs a program against a store that is made of the bucket.
fn run_on(trace: Trace, connections: &Connections, make: impl FnOnce(Arc<Bucket>) -> Arc<dyn Store>) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = Clock::runtime(Timestamp::from_unix(1_000_000));
        let bucket = Arc::new(Bucket::new(&trace.files));
        // Files in memory would take real memory of the machine's for each trace, and change nothing here.
        let connections = connections.clone();
        let options = Options { passthrough: Passthrough::Off, connections, ..Options::default() };
        let options = Options { memory_limit: trace.memory_limit.unwrap_or(options.memory_limit), ..options };
        let metrics = Arc::new(Metrics::default());
        let reader = Reader::with(make(bucket.clone()), options, tuning(), metrics, clock.clone());
        let (asked_bytes, way) = (asked_bytes(&trace), trace.way);
        let objects: Arc<Vec<Object>> =
            Arc::new(trace.files.iter().enumerate().map(|(index, file)| object(index, file)).collect());
        let cached = Arc::<PageCache>::default();
        let run = |acts| tokio::spawn(run_thread(reader.clone(), objects.clone(), acts, cached.clone(), way));
        let threads = trace.threads.into_iter().map(run);
        futures::future::try_join_all(threads.collect::<Vec<_>>()).await.unwrap();
        let ms = clock.elapsed().as_millis() as u64;
        // What is still on its way comes.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (gets, fetched_bytes) = (bucket.gets.load(Ordering::Relaxed), bucket.sent_bytes());
        Cost { gets, fetched_bytes, asked_bytes, ms }
    })
}

#[test]
fn no_program_costs_more_than_its_bound() {
    judge(ROWS, |trace| trace);
}

#[test]
fn no_program_costs_more_than_its_bound_by_the_bridge() {
    judge(BRIDGE_ROWS, |trace| Trace { way: Way::Bridge, ..trace });
}

fn judge(rows: &[Row], change: impl Fn(Trace) -> Trace) {
    let mut wrong = Vec::new();
    println!("{:28} {:>5} {:>9} {:>9} {:>6} {:>6}", "program", "GETs", "MB", "asked", "ratio", "ms");
    for Row(program, name, gets, tenths, ms) in rows {
        let cost = run(change(program()));
        let (mb, asked) = (cost.fetched_bytes as f64 / 1e6, cost.asked_bytes as f64 / 1e6);
        let Cost { gets: got, ms: took, .. } = cost;
        println!("{name:28} {got:5} {mb:9.1} {asked:9.1} {:6.2} {took:6}", mb / asked);
        let fetched = (mb * 10.0).ceil() as u64;
        let figures = [(got, *gets, 2), (fetched, *tenths, 2), (took, *ms, 20)];
        let fits = |(got, bound, room): (u64, u64, u64)| got <= bound && bound <= got + got / 8 + room;
        if !figures.into_iter().all(fits) {
            wrong.push(format!("{name:?}, {got}, {fetched}, {took}"));
        }
    }
    assert!(wrong.is_empty(), "these rows are not what their bounds say:\n{}", wrong.join("\n"));
}

#[test]
fn a_trace_counts_each_byte_once() {
    let mut trace = Trace::new(trace::files(2, "#", 100));
    trace.session(0, [ByteRange::new(0, 10), ByteRange::new(5, 20)]);
    trace.session(1, [ByteRange::new(0, 7)]);
    assert_eq!(asked_bytes(&trace.twice()), 27);
}

/// A reader for whom more connections bring more bytes gets more of them.
#[test]
fn connections_are_added_while_they_bring_more() {
    let cost = |connections: Connections| {
        let limited = |bucket| {
            let clock = Clock::runtime(Timestamp::from_unix(1_000_000));
            Arc::new(Limit::new(bucket, connections.clone(), clock)) as Arc<dyn Store>
        };
        let cost = run_on(programs::stream_of_1_gib(), &connections, limited);
        (cost, connections.now())
    };
    let ((few, _), (more, reached)) = (cost(Connections::fixed(4)), cost(Connections::between(4, 16)));
    println!("4 connections: {} ms; up to 16: {} ms, {reached} at the end", few.ms, more.ms);
    assert!(reached >= 14 && more.fetched_bytes == few.fetched_bytes, "{reached} {few:?} {more:?}");
    assert!(few.ms > 3000 && more.ms < few.ms * 6 / 10, "{few:?} {more:?}");
}
