//! Tests of the room as a whole: reads in, exact bytes and GETs out, over a store in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::budget::Priority;
use super::whole_tests::on_disk;
use super::*;
use crate::base::{ByteRange, Clock, Ino, Key, Timestamp};
use crate::metrics::{Metric, Metrics};
use crate::store::ErrorKind;
use crate::store::layers::{At, Fault, FaultStore, Operation};
use crate::store::memory::{MemoryStore, Request};

pub(super) const MIB: u64 = 1 << 20;

/// Random bytes, drawn from a seed.
pub(super) fn content(size: u64, seed: u64) -> Bytes {
    let mut bytes = vec![0; size as usize];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

/// A bucket in memory and a reader over it.
pub(super) struct Bed {
    pub(super) store: Arc<MemoryStore>,
    pub(super) faults: Arc<FaultStore<MemoryStore>>,
    metrics: Arc<Metrics>,
    pub(super) reader: Arc<Reader>,
}

impl Bed {
    pub(super) fn new(options: Options) -> Self {
        Bed::tuned(options, Tuning::default())
    }

    fn tuned(options: Options, tuning: Tuning) -> Self {
        Bed::on(Clock::manual(Timestamp::from_unix(1_000_000)), options, tuning)
    }

    fn on(clock: Clock, options: Options, tuning: Tuning) -> Self {
        let store = MemoryStore::new().latency(Duration::from_millis(20)).chunk_bytes(256 << 10);
        let (store, metrics) = (Arc::new(store), Arc::new(Metrics::default()));
        let faults = Arc::new(FaultStore::new(store.clone()));
        let reader = Reader::with(faults.clone(), options, tuning, metrics.clone(), clock);
        Bed { store, faults, metrics, reader }
    }

    /// The next GETs go as told, one fault each; `None` lets one through.
    pub(super) fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        for fault in faults {
            self.faults.once(Operation::Get, fault.unwrap_or(Fault::Late(Duration::ZERO)));
        }
    }

    pub(super) fn count(&self, metric: Metric) -> u64 {
        self.metrics.value(metric)
    }

    pub(super) fn object(&self, key: &str, bytes: &Bytes) -> Object {
        let meta = self.store.put(key, bytes.clone());
        let ino = Ino(crate::base::crc64::crc64(key.as_bytes()) ^ crate::base::crc64::crc64(bytes));
        Object {
            ino,
            key: Key::new(key),
            version: None,
            etag: meta.etag,
            size: bytes.len() as u64,
            mtime: None,
            archived: false,
        }
    }

    pub(super) fn gets(&self) -> Vec<ByteRange> {
        let whole = ByteRange::new(0, u64::MAX);
        let range = |request| match request {
            Request::Get { range, .. } => Some(range.unwrap_or(whole)),
            _ => None,
        };
        self.store.take_requests().into_iter().filter_map(range).collect()
    }

    pub(super) fn held(&self) -> u64 {
        self.metrics.value(Metric::BufferBytes)
    }
}

pub(super) async fn read_through(file: &File, bytes: &Bytes, step: usize) {
    let mut at = 0;
    loop {
        let slice = file.read(at as u64, step).await.unwrap();
        assert!(slice[..] == bytes[at..(at + step).min(bytes.len())], "wrong bytes at {at}");
        at += slice.len();
        if slice.is_empty() {
            return assert_eq!(at, bytes.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sequential_reader_fetches_each_byte_once_and_the_next_none() {
    for step in [64 << 10, 1 << 20, (1 << 20) + 4096] {
        let bed = Bed::new(Options::default());
        let bytes = content(37 * MIB + 12345, 1);
        let object = bed.object("a", &bytes);
        read_through(&bed.reader.open(object.clone()), &bytes, step).await;
        let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
        assert_eq!(fetched, bytes.len() as u64, "step {step}");
        assert_eq!(bed.count(Metric::Verified), 1);
        read_through(&bed.reader.open(object), &bytes, step).await;
        assert_eq!(bed.gets(), [], "the second reading of a file costs no request");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tuned_number_holds_for_what_is_fetched() {
    let bytes = content(20 * MIB, 1);
    for (head_fetch_bytes, expected) in [(128 << 10, 128 << 10), (64 << 10, 64 << 10), (1, 16 << 10)] {
        let bed = Bed::tuned(Options::default(), Tuning { head_fetch_bytes, ..Tuning::default() });
        bed.reader.open(bed.object("a", &bytes)).read(0, 16 << 10).await.unwrap();
        assert_eq!(bed.gets(), [ByteRange::new(0, expected)]);
    }
}

#[tokio::test(start_paused = true)]
async fn many_readers_of_one_file_share_one_download() {
    let bed = Bed::new(Options::default());
    let bytes = content(24 * MIB + 77, 2);
    let object = bed.object("a", &bytes);
    let file = Arc::new(bed.reader.open(object.clone()));
    let readers = (0..8).map(|i| {
        // Half of them through a descriptor of their own.
        let file = if i % 2 == 0 { file.clone() } else { Arc::new(bed.reader.open(object.clone())) };
        let bytes = bytes.clone();
        tokio::spawn(async move { read_through(&file, &bytes, (i + 1) * 100_000).await })
    });
    futures::future::try_join_all(readers).await.unwrap();
    let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
    assert_eq!(fetched, bytes.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn reads_of_the_same_bytes_wait_for_one_get() {
    let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
    let bytes = content(8 * MIB, 3);
    let file = bed.reader.open(bed.object("a", &bytes));
    let reads = (0..10).map(|i| file.read(MIB + i * 100, 5000));
    for (i, slice) in futures::future::try_join_all(reads).await.unwrap().into_iter().enumerate() {
        assert_eq!(slice[..], bytes[MIB as usize + i * 100..][..5000]);
    }
    let gets = bed.gets();
    assert_eq!(gets[0], ByteRange::at(MIB, 5000));
    assert_eq!(gets.iter().map(|range| range.len()).sum::<u64>(), 5900, "{gets:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_of_any_size_bring_the_bytes_in_gets_side_by_side() {
    let bytes = content(150 * MIB + 4321, 8);
    for (len, first) in [(16 * MIB, 0), (16 * MIB + 4096, 777), (64 * MIB, 4096), (150 * MIB, 1)] {
        for prefetch in [Prefetch::Auto, Prefetch::Off] {
            let bed = Bed::new(Options { prefetch, ..Options::default() });
            let file = bed.reader.open(bed.object("a", &bytes));
            let clock = Clock::runtime(Timestamp::from_unix(0));
            let (mut at, mut reads) = (first, 0);
            while at < bytes.len() as u64 {
                let slice = file.read(at, len as usize).await.unwrap();
                assert!(slice[..] == bytes[at as usize..(at + len).min(bytes.len() as u64) as usize], "{len} at {at}");
                (at, reads) = (at + slice.len() as u64, reads + 1);
            }
            let gets = bed.gets();
            let (longest, all) =
                (gets.iter().map(|get| get.len()).max(), gets.iter().map(|get| get.len()).sum::<u64>());
            let about = format!("{len} {prefetch:?}: {gets:?}");
            assert!(longest.unwrap() < 12 * MIB && all <= bytes.len() as u64, "{about}");
            // Each GET takes 20 ms, and a request waits no longer than for one.
            assert!(clock.elapsed() <= Duration::from_millis(20 * reads), "{about}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_across_parts_are_answered_without_a_copy_where_an_object_has_a_home() {
    let bytes = content(40 * MIB, 9);
    let bed = Bed::new(Options::default());
    let file = bed.reader.open(bed.object("a", &bytes));
    read_through(&file, &bytes, 1 << 20).await;
    let (one, all) = (file.read(5 * MIB, 1).await.unwrap(), file.read(3, (40 * MIB) as usize).await.unwrap());
    assert!(all[..] == bytes[3..]);
    assert_eq!(one.as_ptr(), all[(5 * MIB - 3) as usize..].as_ptr(), "the same memory");
    let apart = Bed::new(Options { passthrough: Passthrough::Off, ..Options::default() });
    let file = apart.reader.open(apart.object("a", &bytes));
    read_through(&file, &bytes, 1 << 20).await;
    assert!(file.read(3, (40 * MIB) as usize).await.unwrap()[..] == bytes[3..]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_file_is_the_end() {
    let bed = Bed::new(Options::default());
    let bytes = content(3000, 4);
    let file = bed.reader.open(bed.object("a", &bytes));
    assert_eq!(file.read(2999, 4096).await.unwrap().len(), 1);
    assert_eq!(file.read(3000, 4096).await.unwrap().len(), 0);
    assert_eq!(file.read(u64::MAX - 1, 4096).await.unwrap().len(), 0);
    assert_eq!(file.read(0, 0).await.unwrap().len(), 0);
    let empty = bed.reader.open(bed.object("b", &Bytes::new()));
    assert_eq!(empty.read(0, 4096).await.unwrap().len(), 0);
    assert_eq!(bed.gets(), [ByteRange::new(0, u64::MAX)], "a small file comes whole, an empty one needs nothing");
}

#[tokio::test(start_paused = true)]
async fn random_reads_fetch_no_more_than_they_ask_for() {
    let bed = Bed::new(Options::default());
    let bytes = content(64 * MIB, 5);
    let file = bed.reader.open(bed.object("a", &bytes));
    for i in 1..200u64 {
        let offset = (i * 7919 * 4096) % (64 * MIB - 4096);
        assert_eq!(file.read(offset, 4096).await.unwrap()[..], bytes[offset as usize..][..4096]);
    }
    let gets = bed.gets();
    assert_eq!((gets.len(), gets.iter().map(|range| range.len()).sum::<u64>()), (199, 199 * 4096));
    assert_eq!(bed.held(), 0, "crumbs are not kept");
}

#[tokio::test(start_paused = true)]
async fn closing_calls_off_what_is_on_its_way_and_keeps_what_has_come() {
    let bed = Bed::new(Options { passthrough: Passthrough::Off, ..Options::default() });
    let bytes = content(200 * MIB, 6);
    let object = bed.object("a", &bytes);
    let file = bed.reader.open(object.clone());
    for i in 0..3 {
        let slice = file.read(i * MIB, MIB as usize).await.unwrap();
        assert_eq!(slice.len(), MIB as usize);
    }
    assert!(bed.held() > 30 * MIB, "{} held", bed.held());
    drop(file);
    // The tasks let go of their memory when the runtime next looks at them.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bed.held(), 17 * MIB, "what came with the first read stays, and what came after it is called off");
    bed.gets();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bed.gets(), [], "nothing goes on after the close");
    bed.reader.make_room(bed.reader.memory_limit() - 3 * MIB, Priority::Demand);
    assert_eq!(bed.held(), 3 * MIB);
    let again = bed.reader.open(object);
    let slices = futures::future::try_join_all((0..3).map(|i| again.read(i * MIB, MIB as usize))).await.unwrap();
    assert_eq!(slices[2][..], bytes[2 * MIB as usize..3 * MIB as usize]);
    assert_eq!(bed.gets(), [], "what no program read went first");
    drop((again, slices));
    tokio::time::sleep(Duration::from_millis(1)).await;
    bed.reader.make_room(u64::MAX / 2, Priority::Demand);
    assert_eq!((bed.held(), bed.reader.inodes.lock().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_opens_the_file_for_each_read_is_one_stream() {
    let bed = Bed::new(Options::default());
    let bytes = content(24 * MIB, 7);
    let object = bed.object("a", &bytes);
    let clock = Clock::runtime(Timestamp::from_unix(0));
    for at in (0..bytes.len()).step_by(100_000) {
        let slice = bed.reader.open(object.clone()).read(at as u64, 100_000).await.unwrap();
        assert!(slice[..] == bytes[at..at + slice.len()]);
    }
    assert!(clock.elapsed() <= Duration::from_millis(200), "{:?}: a round trip for each", clock.elapsed());
    let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
    assert_eq!(fetched, bytes.len() as u64);
    assert_eq!(bed.count(Metric::Verified), 1);
}

#[tokio::test(start_paused = true)]
async fn look_ups_bring_all_of_a_file_that_has_room_once_they_have_cost_as_much() {
    let mut dice = StdRng::seed_from_u64(5);
    let mut places = |size: u64| (1..200).map(|_| dice.random_range(1..size / 4096) * 4096).collect::<Vec<_>>();
    for (memory_mib, prefetch, expected) in
        [(256, Prefetch::Auto, true), (100, Prefetch::Auto, false), (256, Prefetch::Off, false)]
    {
        let options = Options { memory_limit: memory_mib * MIB, prefetch, ..Options::default() };
        let bed = Bed::on(Clock::runtime(Timestamp::from_unix(0)), options, Tuning::default());
        let bytes = content(32 * MIB, 9);
        let file = bed.reader.open(bed.object("db", &bytes));
        for at in places(bytes.len() as u64) {
            assert_eq!(file.read(at, 4096).await.unwrap()[..], bytes[at as usize..][..4096]);
        }
        let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
        assert_eq!(fetched > 32 * MIB, expected, "{memory_mib} MiB, {prefetch:?}: {fetched} bytes");
        assert!(fetched < 33 * MIB, "{fetched}");
        let waited = bed.count(Metric::Reads) - bed.count(Metric::ReadsBuffered);
        assert_eq!(waited < 30, expected, "{waited} reads waited");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_again_and_again_is_no_stream() {
    let bed = Bed::new(Options::default());
    let bytes = content(24 * MIB, 8);
    let object = bed.object("a", &bytes);
    for at in [0, 5 * MIB] {
        for _ in 0..20 {
            bed.reader.open(object.clone()).read(at, 300_000).await.unwrap();
        }
    }
    assert_eq!(bed.gets(), [ByteRange::at(0, 512 << 10), ByteRange::at(5 * MIB, 300_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_slice_outlives_its_file_and_its_budget() {
    let bed = Bed::new(Options::default());
    let bytes = content(5 * MIB, 7);
    let file = bed.reader.open(bed.object("a", &bytes));
    let slice = file.read(MIB, MIB as usize).await.unwrap();
    drop(file);
    bed.reader.make_room(u64::MAX / 2, Priority::Demand);
    assert_eq!(slice[..], bytes[MIB as usize..2 * MIB as usize]);
    assert_eq!(bed.held(), MIB);
    drop(slice);
    assert_eq!(bed.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_files_under_a_small_limit_all_come_through() {
    for limit in [2 * MIB, 40 * MIB] {
        let bed = Bed::new(Options { memory_limit: limit, ..Options::default() });
        let readers = (0..64u64).map(|i| {
            let bytes = content(2 * MIB + i * 1000, i);
            let file = bed.reader.open(bed.object(&format!("f{i}"), &bytes));
            tokio::spawn(async move { read_through(&file, &bytes, 256 << 10).await })
        });
        let readers = futures::future::try_join_all(readers.collect::<Vec<_>>());
        let metrics = bed.metrics.clone();
        let watch = async {
            let mut highest = 0;
            loop {
                highest = highest.max(metrics.value(Metric::BufferBytes));
                tokio::time::sleep(Duration::from_millis(1)).await;
                if metrics.value(Metric::BytesRead) >= 64 * (2 * MIB) {
                    return highest;
                }
            }
        };
        let (highest, _) = tokio::join!(watch, async { readers.await.unwrap() });
        assert!(highest <= limit + 64 * (256 << 10), "{highest} bytes held under a limit of {limit}");
        bed.reader.make_room(u64::MAX / 2, Priority::Demand);
        assert_eq!((bed.held(), bed.reader.inodes.lock().len()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_gets_run_ahead_of_a_reader_than_may() {
    let bed = Bed::new(Options { prefetch_parts: Some(2), ..Options::default() });
    let bytes = content(40 * MIB, 9);
    let file = bed.reader.open(bed.object("a", &bytes));
    // Nothing has come by then.
    let read = tokio::time::timeout(Duration::from_millis(10), file.read(0, 1 << 20));
    assert!(read.await.is_err());
    assert_eq!(bed.gets().len(), 3, "the one that was waited for, and two");
    // Time goes on, and nothing reads: as one ends, the next begins, until the window is full.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bed.gets().len(), 14);
    read_through(&file, &bytes, 1 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_idle_reader_left_makes_room_for_a_live_one() {
    let bed = Bed::new(Options { memory_limit: 32 * MIB, ..Options::default() });
    let bytes = content(40 * MIB, 8);
    let idle: Vec<File> = (0..4).map(|i| bed.reader.open(bed.object(&format!("idle{i}"), &bytes))).collect();
    for file in &idle {
        file.read(0, MIB as usize).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let file = bed.reader.open(bed.object("live", &bytes));
    bed.reader.clock.advance(Duration::from_secs(2));
    bed.gets();
    read_through(&file, &bytes, 128 << 10).await;
    let gets = bed.gets();
    assert!(gets.len() < 80, "{} GETs: windows found no room", gets.len());
    // The idle ones go on where they were.
    read_through(&idle[0], &bytes, 1 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_object_is_stale_until_it_is_opened_again() {
    let bed = Bed::new(Options::default());
    let (old, new) = (content(40 * MIB, 9), content(40 * MIB, 10));
    let file = bed.reader.open(bed.object("a", &old));
    assert_eq!(file.read(0, MIB as usize).await.unwrap()[..], old[..MIB as usize]);
    let reopened = bed.object("a", &new);
    let mut at = MIB;
    let error = loop {
        match file.read(at, MIB as usize).await {
            Ok(slice) => assert!(slice[..] == old[at as usize..][..slice.len()], "bytes of two versions"),
            Err(error) => break error,
        }
        at += MIB;
    };
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert_eq!(file.read(0, 10).await.unwrap_err().kind(), ErrorKind::Changed);
    read_through(&bed.reader.open(reopened), &new, 1 << 20).await;
    drop(file);
    // The old version comes back under its old inode number.
    let back = bed.object("a", &old);
    read_through(&bed.reader.open(back), &old, 1 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_tag_in_the_listing_the_first_answer_pins_the_rest() {
    let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
    let (old, new) = (content(8 * MIB, 11), content(8 * MIB, 12));
    let object = Object { etag: None, ..bed.object("a", &old) };
    let file = bed.reader.open(object.clone());
    file.read(0, 4096).await.unwrap();
    bed.store.put("a", new.clone());
    assert_eq!(file.read(MIB, 4096).await.unwrap_err().kind(), ErrorKind::Changed);
    drop(file);
    assert_eq!(bed.reader.open(object).read(0, 4096).await.unwrap()[..], new[..4096]);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_size_is_another_version() {
    let bed = Bed::new(Options::default());
    let object = bed.object("a", &content(10_000, 13));
    let object = Object { etag: None, size: 9_000, ..object };
    assert_eq!(bed.reader.open(object).read(0, 10).await.unwrap_err().kind(), ErrorKind::Changed);
}

#[tokio::test(start_paused = true)]
async fn a_guess_that_fails_is_no_error() {
    let bed = Bed::new(Options::default());
    let bytes = content(20 * MIB, 20);
    let file = bed.reader.open(bed.object("a", &bytes));
    let broken = [Fault::Error(ErrorKind::Server), Fault::Break(At::Byte(300_000)), Fault::Short(At::Byte(10))];
    bed.script([None].into_iter().chain(broken.into_iter().cycle().take(6).map(Some)));
    read_through(&file, &bytes, 1 << 20).await;
    assert_eq!((bed.faults.struck(), bed.count(Metric::ReadErrors)), (7, 0));
    assert_eq!(bed.count(Metric::Verified), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guess_that_breaks_while_a_read_waits_goes_on_where_it_broke() {
    let bed = Bed::new(Options::default());
    let bytes = content(20 * MIB, 21);
    let file = bed.reader.open(bed.object("a", &bytes));
    bed.script([None, Some(Fault::Break(At::Byte(500_000)))]);
    let (first, second) = tokio::join!(file.read(0, MIB as usize), file.read(MIB, MIB as usize));
    assert_eq!(
        (&first.unwrap()[..], &second.unwrap()[..]),
        (&bytes[..MIB as usize], &bytes[MIB as usize..][..MIB as usize])
    );
    let resumed = bed.gets().into_iter().find(|get| !get.start.is_multiple_of(MIB)).unwrap();
    assert_eq!(resumed.end, 2 * MIB);
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_everybody_who_waits_and_is_forgotten() {
    let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
    let bytes = content(20 * MIB, 22);
    let file = bed.reader.open(bed.object("a", &bytes));
    bed.script([Some(Fault::Error(ErrorKind::AccessDenied))]);
    let (one, two) = tokio::join!(file.read(MIB, 4096), file.read(MIB, 4096));
    assert_eq!((one.unwrap_err().kind(), two.unwrap_err().kind()), (ErrorKind::AccessDenied, ErrorKind::AccessDenied));
    assert_eq!(file.read(MIB, 4096).await.unwrap()[..], bytes[MIB as usize..][..4096]);
    assert_eq!((bed.gets().len(), bed.count(Metric::ReadErrors), bed.held()), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_garbled_small_file_is_fetched_again_before_a_program_sees_it() {
    let bed = Bed::new(Options::default());
    let bytes = content(300_000, 23);
    let file = bed.reader.open(bed.object("a", &bytes));
    bed.script([Some(Fault::Flip(At::Byte(299_999)))]);
    read_through(&file, &bytes, 100_000).await;
    assert_eq!((bed.count(Metric::VerifyFailures), bed.count(Metric::Verified)), (1, 1));
    assert_eq!(file.verified(), Verified::Yes);

    let other = bed.reader.open(bed.object("b", &bytes));
    bed.script([Some(Fault::Flip(At::Byte(0))), Some(Fault::Flip(At::Byte(0)))]);
    assert_eq!(other.read(0, 10).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(other.read(0, 10).await.unwrap_err().kind(), ErrorKind::Corrupt);
    drop(other);
    read_through(&bed.reader.open(bed.object("b", &bytes)), &bytes, 100_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_garbled_large_file_never_reads_to_its_end() {
    let bed = Bed::new(Options::default());
    let bytes = content(30 * MIB, 24);
    let object = bed.object("a", &bytes);
    let file = bed.reader.open(object.clone());
    bed.script([None, None, Some(Fault::Flip(At::Byte(5)))]);
    let mut read = 0;
    let error = loop {
        match file.read(read, MIB as usize).await {
            Ok(slice) => read += slice.len() as u64,
            Err(error) => break error,
        }
        assert!(read < bytes.len() as u64, "the whole file was handed out");
    };
    assert_eq!((error.kind(), bed.count(Metric::VerifyFailures)), (ErrorKind::Corrupt, 1));
    assert_eq!(file.read(0, 10).await.unwrap_err().kind(), ErrorKind::Corrupt);
    drop(file);
    read_through(&bed.reader.open(object), &bytes, 1 << 20).await;

    let unchecked = Bed::new(Options { verify: Verify::Off, ..Options::default() });
    let file = unchecked.reader.open(unchecked.object("a", &bytes));
    unchecked.store.amend("a", |meta| meta.crc64 = Some(1));
    read_through(&file, &bytes, 1 << 20).await;
    assert_eq!(file.verified(), Verified::No);
}

#[tokio::test(start_paused = true)]
async fn fetching_at_open_goes_in_the_order_of_the_opens_and_waits_for_memory() {
    let bed = Bed::new(Options { prefetch: Prefetch::Open, memory_limit: 64 * MIB, ..Options::default() });
    let bytes = content(24 * MIB, 25);
    let mut files: Vec<File> = (0..4).map(|i| bed.reader.open(bed.object(&format!("f{i}"), &bytes))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
    assert_eq!((fetched, bed.held()), (48 * MIB, 48 * MIB), "two files fit into three quarters of the limit");
    for file in files.drain(..2) {
        read_through(&file, &bytes, 1 << 20).await;
        assert_eq!(bed.count(Metric::ReadErrors), 0);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = bed.count(Metric::ReadsBuffered);
    for file in &files {
        read_through(file, &bytes, 1 << 20).await;
    }
    assert_eq!(bed.count(Metric::ReadsBuffered) - before, 48, "the others came while the first were read");
    let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
    assert_eq!(fetched, 48 * MIB);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_waits_for_memory_to_come_whole_does_not_hold_up_another_reader() {
    let bed = Bed::new(Options { memory_limit: 64 * MIB, ..Options::default() });
    let (whole, read) = (content(100 * MIB, 1), content(24 * MIB, 2));
    let object = bed.object("whole", &whole);
    bed.reader.set_prefetch(object.ino, Prefetch::Open);
    let file = bed.reader.open(object);
    file.read(0, MIB as usize).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!((36 * MIB..=48 * MIB).contains(&bed.held()), "{} held: three quarters of the memory", bed.held());
    let before = bed.count(Metric::PrefetchedBytes);
    read_through(&bed.reader.open(bed.object("read", &read)), &read, MIB as usize).await;
    let ahead = bed.count(Metric::PrefetchedBytes) - before;
    assert!(ahead >= 12 * MIB, "{ahead} bytes came ahead of the reader");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any reads, in any order, by any number of tasks, under any limit: exact bytes, and nothing left behind.
    #[test]
    fn reads_in_any_order_give_the_bytes_of_the_object(
        size in prop_oneof![1u64..100_000, MIB..(30 * MIB)],
        tasks in prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), 1usize..(2 << 20), 0u8..8), 1..24), 1..6),
        limit in prop_oneof![Just(MIB), Just(8 * MIB), Just(1 << 30)],
        prefetch in prop_oneof![Just(Prefetch::Auto), Just(Prefetch::Open), Just(Prefetch::Off)],
        part_bytes in prop_oneof![Just(MIB), Just(8 * MIB)],
        faults in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bytes = content(size, size);
            let options = Options { memory_limit: limit, prefetch, part_bytes, ..Options::default() };
            let bed = Bed::new(options);
            let object = bed.object("a", &bytes);
            if faults {
                bed.script((0..20).map(|i| (i % 3 == 0).then_some(Fault::Break(At::Random))));
            }
            let tasks = tasks.into_iter().map(|reads| {
                let (file, bytes) = (bed.reader.open(object.clone()), bytes.clone());
                tokio::spawn(async move {
                    let mut at = 0;
                    for (index, len, jump) in reads {
                        // Mostly onwards, now and then elsewhere.
                        if jump == 0 {
                            at = index.index(bytes.len());
                        }
                        match file.read(at as u64, len).await {
                            Ok(slice) => assert!(slice[..] == bytes[at..(at + len).min(bytes.len())]),
                            Err(error) => assert!(faults && error.kind() == ErrorKind::Network, "{error}"),
                        }
                        at = (at + len) % bytes.len();
                    }
                })
            });
            futures::future::try_join_all(tasks.collect::<Vec<_>>()).await.unwrap();
            let whole = bed.reader.open(object).whole();
            assert!(whole.is_none_or(|whole| on_disk(&whole) == bytes));
            tokio::time::sleep(Duration::from_millis(1)).await;
            bed.reader.make_room(u64::MAX / 2, Priority::Demand);
            assert_eq!((bed.held(), bed.reader.inodes.lock().len()), (0, 0));
        });
    }
}
