//! Tests of recording and replaying, over a store in memory: loads go in, GETs and the time that programs wait come
//! out.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::budget::Priority;
use super::tests::{Bed, MIB, content};
use super::*;
use crate::base::{BucketName, Clock, Timestamp};
use crate::metrics::Metric;
use crate::store::ErrorKind;
use crate::store::layers::Fault;

/// Files of 12 MiB, and what a program reads of them, in order: file, offset, length.
struct Load {
    files: Vec<Bytes>,
    reads: Vec<(usize, u64, u64)>,
}

impl Load {
    /// Of each file four stretches of up to 3 MiB, those of all files in random order, in reads of up to 1 MiB.
    fn shuffled(files: u64, seed: u64) -> Load {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut stretches: Vec<(usize, u64, u64)> = (0..files as usize * 4)
            .map(|i| (i / 4, (i % 4) as u64 * 3 * MIB, dice.random_range(MIB..3 * MIB) & !4095))
            .collect();
        stretches.shuffle(&mut dice);
        let reads = |(file, start, len): (usize, u64, u64)| {
            (start..start + len).step_by(MIB as usize).map(move |at| (file, at, MIB.min(start + len - at)))
        };
        let reads = stretches.into_iter().flat_map(reads).collect();
        Load { files: (0..files).map(|file| content(12 * MIB, file)).collect(), reads }
    }

    fn bytes(&self) -> u64 {
        self.reads.iter().map(|&(.., len)| len).sum()
    }

    fn objects(&self, bed: &Bed) -> Vec<Object> {
        self.files.iter().enumerate().map(|(file, bytes)| bed.object(&format!("f{file}"), bytes)).collect()
    }

    /// Opens all files, and reads; says how long that took, and how many bytes were asked for meanwhile.
    async fn run(&self, bed: &Bed) -> Outcome {
        self.run_with(bed, self.objects(bed)).await
    }

    async fn run_with(&self, bed: &Bed, objects: Vec<Object>) -> Outcome {
        let files: Vec<File> = objects.into_iter().map(|object| bed.reader.open(object)).collect();
        let clock = Clock::runtime(Timestamp::default());
        let before = clock.elapsed();
        for &(file, offset, len) in &self.reads {
            let slice = files[file].read(offset, len as usize).await.unwrap();
            assert!(slice[..] == self.files[file][offset as usize..][..len as usize], "wrong bytes at {offset}");
        }
        let waited = clock.elapsed() - before;
        let gets = bed.gets();
        Outcome { waited, gets: gets.len(), fetched: gets.iter().map(|get| get.len()).sum() }
    }
}

#[derive(Debug)]
struct Outcome {
    waited: Duration,
    gets: usize,
    fetched: u64,
}

/// A bed that follows what was recorded of a load.
async fn replaying(load: &Load, options: Options) -> (Bed, Outcome) {
    let bed = Bed::new(options.clone());
    bed.reader.record();
    let first = load.run(&bed).await;
    let bucket = BucketName::new("b");
    let text = bed.reader.recorded().unwrap().to_text(&bucket);
    assert_eq!(bed.reader.recorded(), None);
    let bed = Bed::new(options);
    bed.reader.replay(Trace::parse(&text, &bucket).unwrap());
    bed.reader.record();
    (bed, first)
}

#[tokio::test(start_paused = true)]
async fn a_load_in_random_order_is_replayed_without_waits() {
    let load = Load::shuffled(8, 1);
    let (bed, first) = replaying(&load, Options::default()).await;
    let second = load.run(&bed).await;
    assert!(second.waited < first.waited / 8, "{first:?} {second:?}");
    assert!(second.gets < first.gets, "{first:?} {second:?}");
    assert!(second.fetched as f64 <= 1.1 * load.bytes() as f64, "{} {second:?}", load.bytes());
    assert!(bed.reader.recorded().is_some(), "a load that is replayed is recorded too");
    assert_eq!(bed.count(Metric::ReplaySkipped), 0);
}

#[tokio::test(start_paused = true)]
async fn little_memory_is_enough() {
    let load = Load::shuffled(10, 2);
    let options = Options { memory_limit: 64 * MIB, ..Options::default() };
    let (bed, first) = replaying(&load, options).await;
    let second = load.run(&bed).await;
    assert!(second.waited < first.waited / 2, "{first:?} {second:?}");
    assert!(second.fetched as f64 <= 1.1 * load.bytes() as f64, "{} {second:?}", load.bytes());
    assert!(bed.held() <= 64 * MIB);
}

#[tokio::test(start_paused = true)]
async fn files_closed_and_opened_again_keep_what_was_fetched() {
    let load = Load::shuffled(8, 3);
    let (bed, _) = replaying(&load, Options::default()).await;
    let objects = load.objects(&bed);
    for object in &objects {
        let file = bed.reader.open(object.clone());
        file.read(0, 1000).await.unwrap();
        drop(file);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early: u64 = bed.gets().iter().map(|get| get.len()).sum();
    assert!(early >= 50 * MIB, "the first window");
    let second = load.run_with(&bed, objects).await;
    assert!((early + second.fetched) as f64 <= 1.1 * load.bytes() as f64, "{early} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn another_order_is_followed_and_another_load_costs_a_window() {
    let load = Load::shuffled(6, 4);
    let (bed, _) = replaying(&load, Options::default()).await;
    let mut reads = load.reads.clone();
    reads.rotate_left(load.reads.len() / 3);
    let turned = Load { files: load.files.clone(), reads };
    let second = turned.run(&bed).await;
    assert!(second.fetched as f64 <= 1.1 * load.bytes() as f64, "{} {second:?}", load.bytes());

    let (bed, _) = replaying(&load, Options::default()).await;
    let objects = load.objects(&bed);
    let file = bed.reader.open(objects[0].clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bed.gets().iter().map(|get| get.len()).sum::<u64>() <= 64 * MIB);
    drop(file);
    bed.reader.make_room(u64::MAX / 2, Priority::Demand);
    assert_eq!((bed.held(), bed.reader.inodes.lock().len()), (0, 0));
    assert_eq!(bed.count(Metric::PrefetchedUnread), bed.count(Metric::PrefetchedBytes));
}

#[tokio::test(start_paused = true)]
async fn objects_that_changed_or_are_gone_are_left_out() {
    let load = Load::shuffled(4, 5);
    let (bed, _) = replaying(&load, Options::default()).await;
    let mut objects = load.objects(&bed);
    // The first file has changed, and any GET for the second is refused.
    let changed = content(12 * MIB, 99);
    objects[0] = bed.object("f0", &changed);
    bed.script(std::iter::repeat_n(Some(Fault::Error(ErrorKind::AccessDenied)), 1));
    let files: Vec<File> = objects.into_iter().skip(1).map(|object| bed.reader.open(object)).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bed.count(Metric::ReplaySkipped) >= 1);
    for &(file, offset, len) in load.reads.iter().filter(|read| read.0 > 0) {
        let slice = files[file - 1].read(offset, len as usize).await.unwrap();
        assert!(slice[..] == load.files[file][offset as usize..][..len as usize]);
    }
    assert_eq!((bed.count(Metric::ReplaySkipped), bed.count(Metric::ReadErrors)), (2, 0));
}
