//! Tests of fetching what no program has opened yet: what is expected goes in, GETs and what they cost come out.

use std::time::Duration;

use bytes::Bytes;

use super::budget::Priority;
use super::credit::Credit;
use super::tests::{Bed, MIB, content, read_through};
use super::why::Queue;
use super::*;
use crate::base::{ByteRange, Ino};
use crate::metrics::Metric;
use crate::store::layers::Fault;
use crate::store::{Connections, ErrorKind};

/// As many objects of a size, with their bytes.
fn objects(bed: &Bed, count: u64, size: u64) -> Vec<(Object, Bytes)> {
    let object = |seed| {
        let bytes = content(size, seed);
        (bed.object(&format!("f{seed}"), &bytes), bytes)
    };
    (0..count).map(object).collect()
}

fn expect(bed: &Bed, objects: &[(Object, Bytes)]) {
    bed.reader.expect(objects.iter().map(|(object, _)| (Cause(1), object.clone())));
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn limited(mib: u64) -> Options {
    Options { memory_limit: mib * MIB, ..Options::default() }
}

/// Nothing stays behind once memory is wanted.
fn check_empty(bed: &Bed) {
    bed.reader.make_room(u64::MAX / 2, Priority::Demand);
    assert_eq!((bed.held(), bed.reader.inodes.lock().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_expected_is_there_when_it_is_opened() {
    for (count, size, gets) in [(40, 100_000, 40), (3, 9 * MIB, 9)] {
        let bed = Bed::new(Options::default());
        let objects = objects(&bed, count, size);
        expect(&bed, &objects);
        expect(&bed, &objects);
        settle().await;
        assert_eq!(bed.gets().len(), gets);
        for (object, bytes) in &objects {
            read_through(&bed.reader.open(object.clone()), bytes, 1 << 20).await;
        }
        assert_eq!((bed.gets().len(), bed.count(Metric::Verified)), (0, count));
        assert_eq!(bed.count(Metric::ReadsBuffered), count * size.div_ceil(MIB));
        expect(&bed, &objects);
        settle().await;
        assert_eq!(bed.gets(), [], "what is there is not fetched again");
        check_empty(&bed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_joins_what_is_on_its_way() {
    let bed = Bed::new(Options::default());
    let objects = objects(&bed, 1, 6 * MIB);
    expect(&bed, &objects);
    let (object, bytes) = &objects[0];
    read_through(&bed.reader.open(object.clone()), bytes, 1 << 20).await;
    assert_eq!(bed.gets().iter().map(|get| get.len()).sum::<u64>(), 6 * MIB);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_opened_counts_against_further_guesses_for_a_minute() {
    let bed = Bed::new(limited(64));
    let objects = objects(&bed, 12, 4 * MIB);
    expect(&bed, &objects[..6]);
    settle().await;
    assert_eq!((bed.gets().len(), bed.held()), (4, 16 * MIB), "a quarter of the memory");
    drop(bed.reader.open(objects[0].0.clone()));
    settle().await;
    assert_eq!((bed.gets().len(), bed.held()), (1, 16 * MIB), "one was opened, and not read");
    bed.reader.clock.advance(Duration::from_secs(61));
    expect(&bed, &objects[6..]);
    settle().await;
    assert_eq!((bed.gets().len(), bed.held()), (4, 32 * MIB), "and what waited for a minute is not fetched any more");
    bed.reader.clock.advance(Duration::from_secs(61));
    bed.reader.pump();
    check_empty(&bed);
}

#[tokio::test(start_paused = true)]
async fn guesses_leave_half_of_the_places() {
    let bed = Bed::new(Options { connections: Connections::fixed(16), ..Options::default() });
    expect(&bed, &objects(&bed, 40, 100_000));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(bed.gets().len(), 7);
    settle().await;
    assert_eq!(bed.gets().len(), 33);
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_the_memory_that_guesses_hold() {
    let bed = Bed::new(limited(16));
    expect(&bed, &objects(&bed, 8, MIB));
    settle().await;
    assert_eq!(bed.held(), 4 * MIB);
    let bytes = content(40 * MIB, 100);
    let object = bed.object("big", &bytes);
    read_through(&bed.reader.open(object), &bytes, 1 << 20).await;
    bed.reader.clock.advance(Duration::from_secs(61));
    bed.reader.pump();
    settle().await;
    assert_eq!(bed.count(Metric::ReadErrors), 0);
    assert!(bed.held() <= 16 * MIB, "{} held", bed.held());
    check_empty(&bed);
}

#[tokio::test(start_paused = true)]
async fn guesses_take_the_memory_of_what_was_read_long_ago() {
    let bed = Bed::new(limited(16));
    let objects = objects(&bed, 40, MIB);
    for (index, (object, bytes)) in objects.iter().enumerate() {
        expect(&bed, &objects[index + 1..objects.len().min(index + 4)]);
        settle().await;
        let before = bed.count(Metric::ReadsBuffered);
        read_through(&bed.reader.open(object.clone()), bytes, 1 << 20).await;
        assert_eq!(bed.count(Metric::ReadsBuffered) - before, u64::from(index > 0), "file {index}");
    }
    assert_eq!(bed.gets().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_guess_does_not_take_the_memory_of_another_that_may_come_true() {
    let bed = Bed::new(limited(64));
    let (guesses, bytes) = (objects(&bed, 5, 4 * MIB), content(30 * MIB, 100));
    let object = bed.object("a", &bytes);
    let read_again = || async { read_through(&bed.reader.open(object.clone()), &bytes, 1 << 20).await };
    read_again().await;
    expect(&bed, &guesses[..4]);
    settle().await;
    read_again().await;
    read_through(&bed.reader.open(guesses[0].0.clone()), &guesses[0].1, 1 << 20).await;
    bed.gets();
    // Another one fits only where something goes, and the guesses were used the longest ago.
    expect(&bed, &guesses[4..]);
    settle().await;
    assert_eq!(bed.gets(), [ByteRange::new(0, u64::MAX)]);
    for (object, bytes) in &guesses {
        read_through(&bed.reader.open(object.clone()), bytes, 1 << 20).await;
    }
    assert_eq!((bed.gets(), bed.count(Metric::PrefetchedUnread)), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_for_what_is_open_or_cannot_be_kept() {
    let bed = Bed::new(Options::default());
    let mut objects = objects(&bed, 3, MIB);
    let _open = bed.reader.open(objects[0].0.clone());
    objects[1].0.etag = None;
    objects[2].0.size = 0;
    expect(&bed, &objects);
    settle().await;
    assert_eq!((bed.gets(), bed.reader.inodes.lock().len()), (vec![], 1));

    let off = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
    expect(&off, &self::objects(&off, 3, MIB));
    settle().await;
    assert_eq!((off.gets(), off.reader.inodes.lock().len()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_withdrawn_and_not_begun_makes_room_for_others() {
    let bed = Bed::new(limited(64));
    let objects = objects(&bed, 12, 4 * MIB);
    expect(&bed, &objects[..8]);
    settle().await;
    assert_eq!(bed.gets().len(), 4, "a quarter of the memory");
    bed.reader.expect([(Cause(2), objects[8].0.clone())]);
    bed.reader.withdraw(&[Cause(1), Cause(7)]);
    assert_eq!((bed.reader.agenda.len(Queue::Guesses), bed.reader.inodes.lock().len()), (1, 5));
    drop(bed.reader.open(objects[0].0.clone()));
    settle().await;
    assert_eq!(bed.gets().len(), 1);
    let before = bed.count(Metric::ReadsBuffered);
    read_through(&bed.reader.open(objects[8].0.clone()), &objects[8].1, 1 << 20).await;
    assert_eq!(bed.count(Metric::ReadsBuffered) - before, 4, "the one that was not withdrawn is there");
    expect(&bed, &objects[4..5]);
    settle().await;
    assert_eq!(bed.gets().len(), 1, "and what was may be expected anew");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_ahead_of_an_archived_object_before_a_read_has_brought_bytes() {
    for prefetch in [Prefetch::Auto, Prefetch::Open] {
        let bed = Bed::new(Options { prefetch, ..Options::default() });
        let bytes = content(20 * MIB, 1);
        let object = Object { archived: true, ..bed.object("a", &bytes) };
        expect(&bed, &[(object.clone(), bytes.clone())]);
        let file = bed.reader.open(object);
        settle().await;
        bed.script([Some(Fault::Error(ErrorKind::Archived))]);
        assert_eq!(file.read(0, 1 << 20).await.unwrap_err().kind(), ErrorKind::Archived);
        settle().await;
        assert_eq!(bed.gets(), [], "the one that was refused did not reach the store");
        // It was restored.
        read_through(&file, &bytes, 1 << 20).await;
        let gets = bed.gets();
        assert_eq!((gets[0].len(), gets.iter().map(|get| get.len()).sum()), (MIB, 20 * MIB));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_no_program_read_are_counted_when_they_go() {
    let bed = Bed::new(Options::default());
    let objects = objects(&bed, 3, 2 * MIB);
    expect(&bed, &objects);
    settle().await;
    read_through(&bed.reader.open(objects[0].0.clone()), &objects[0].1, 1 << 20).await;
    bed.reader.open(objects[1].0.clone()).read(0, 1 << 20).await.unwrap();
    let counted = || (bed.count(Metric::PrefetchedBytes) / MIB, bed.count(Metric::PrefetchedUnread) / MIB);
    assert_eq!(counted(), (6, 0));
    check_empty(&bed);
    assert_eq!(counted(), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_programs_use_are_counted_once() {
    for (size, step) in [(100_001, 3333), (2 * MIB, 1 << 20), (5 * MIB + 77, 100_000), (1, 10)] {
        let bed = Bed::new(Options::default());
        let (object, bytes) = objects(&bed, 1, size).remove(0);
        for _ in 0..2 {
            read_through(&bed.reader.open(object.clone()), &bytes, step).await;
            assert_eq!(bed.count(Metric::BytesUsed), size, "{size} bytes by {step}");
        }
        assert_eq!(bed.count(Metric::BytesRead), 2 * size);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guess_that_fails_is_forgotten() {
    let bed = Bed::new(Options::default());
    let objects = objects(&bed, 4, MIB);
    bed.script((0..2).map(|_| Some(Fault::Error(ErrorKind::AccessDenied))));
    let changed = Object { etag: Some(crate::base::ETag::parse("\"0\"").unwrap()), ..objects[3].0.clone() };
    bed.reader.expect(objects[..3].iter().map(|(object, _)| object.clone()).chain([changed]).map(|it| (Cause(1), it)));
    settle().await;
    assert_eq!((bed.held(), bed.reader.inodes.lock().len(), bed.count(Metric::ReadErrors)), (MIB, 1, 0));
    for (object, bytes) in &objects {
        read_through(&bed.reader.open(object.clone()), bytes, 1 << 20).await;
    }
}

#[test]
fn the_next_file_is_fetched_before_those_behind_it() {
    let credit = Credit::new(Tuning::default().into());
    let charge = |ino| (0..200).take_while(|_| credit.charge(Ino(ino), 4 * MIB, 0, 64 << 30)).count();
    // Credit that was earned.
    assert_eq!(charge(1), 8);
    credit.settle(Ino(1));
    assert_eq!(charge(2), 24, "the next one, as far as was earned");
    assert_eq!(charge(3), 0, "nothing behind it");
    credit.settle(Ino(2));
    // A small one, and those behind it.
    assert!(credit.charge(Ino(4), 4 * MIB, 0, 64 << 30));
    assert_eq!((charge(5), charge(6)), (15, 0));
    credit.settle(Ino(4));
    assert_eq!((charge(6), charge(5) > 0), (1, true), "the other one is the next now");
}

#[tokio::test(start_paused = true)]
async fn files_that_are_read_in_part_are_not_expected_whole() {
    let bed = Bed::new(Options::default());
    let objects = objects(&bed, 8, 900_000);
    for (object, _) in &objects[..4] {
        bed.reader.open(object.clone()).read(800_000, 1000).await.unwrap();
    }
    bed.gets();
    expect(&bed, &objects[4..]);
    settle().await;
    assert_eq!(bed.gets(), []);
}

#[test]
fn credit_is_given_back_by_opens_and_by_time() {
    let credit = Credit::default();
    let charge = |ino, bytes, now_ms| credit.charge(Ino(ino), bytes, now_ms, 400);
    assert!(charge(1, 60, 0) && charge(2, 30, 1000) && charge(1, 10, 2000));
    assert!(!charge(3, 1, 59_999));
    credit.settle(Ino(2));
    assert!(charge(3, 30, 59_999) && !charge(3, 1, 59_999));
    assert!(charge(3, 60, 60_000) && !charge(3, 1, 60_000));
    credit.settle(Ino(1));
    assert!(charge(4, 10, 60_000));
    assert!(!charge(4, 1, 60_000) && credit.charge(Ino(4), 1, 60_000, 404));
}

#[test]
fn credit_is_earned_by_guesses_that_came_true_and_lost_by_others() {
    let credit = Credit::default();
    let charge = |ino, mib, now_ms| credit.charge(Ino(ino), mib * MIB, now_ms, 1 << 30);
    assert!(charge(1, 32, 0) && !charge(1, 1, 0), "the first guess");
    credit.settle(Ino(1));
    assert!(charge(2, 96, 0) && !charge(2, 1, 0));
    credit.settle(Ino(2));
    assert!(charge(3, 256, 0) && !charge(3, 1, 0), "a quarter of the memory, and no more");
    assert!(charge(4, 32, 60_000) && !charge(4, 1, 60_000), "as at the start: none of it was opened");
}
