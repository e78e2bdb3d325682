//! What daemons that share a directory do for each other.

use std::sync::Arc;

use super::course::Course;
use super::map::BLOCK_BYTES;
use super::tests::{Daemon, LONG, Object, SIZE, has, options, read};
use super::{Cached, Claim, DiskOptions, ToKeep};
use crate::base::{ByteRange, Clock};
use crate::metrics::Metric;

/// Six MiB in all.
const LARGE: usize = 48 * BLOCK_BYTES as usize;

/// What a daemon is to fetch first of a range, and its claim.
async fn to_fetch(cached: &Arc<Cached>, range: ByteRange) -> (ByteRange, Option<Claim>) {
    match cached.course(range).await {
        Course::Store(range, claim) => (range, claim),
        Course::Disk(range) => panic!("{range:?} is on disk"),
    }
}

/// Where another daemon gets a range from, which is asked for in a task of its own.
fn ask(cached: &Arc<Cached>, range: ByteRange) -> tokio::task::JoinHandle<Course> {
    let cached = cached.clone();
    tokio::spawn(async move { cached.course(range).await })
}

/// Waits until a daemon waits for another for the `nth` time.
async fn until_it_waits(daemon: &Daemon, nth: u64) {
    let clock = Clock::system();
    while daemon.count(Metric::DiskWaits) < nth {
        assert!(clock.elapsed() < LONG, "it does not wait");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_begins_to_cache_is_found_by_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", SIZE);
    let (one, other) = (Daemon::on(dir.path()), Daemon::on(dir.path()));
    let waits = other.look(&object).await;
    assert!(!has(&waits, object.all()).await);
    one.fill(&object).await;
    let clock = Clock::system();
    while !has(&waits, object.all()).await {
        assert!(clock.elapsed() < LONG);
        tokio::task::yield_now().await;
    }
    assert!(read(&waits, object.all()).await.unwrap() == object.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_daemon_fetches_the_others_wait_for() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", LARGE);
    let (one, other) = (Daemon::on(dir.path()), Daemon::on(dir.path()));
    let (fetches, waits) = (one.look(&object).await, other.look(&object).await);
    let half = ByteRange::new(0, LARGE as u64 / 2);
    let (want, claim) = to_fetch(&fetches, half).await;
    assert_eq!(want, half);
    let asked = ask(&waits, object.all());
    until_it_waits(&other, 1).await;
    let (rest, mine) = to_fetch(&waits, ByteRange::new(half.end, LARGE as u64)).await;
    assert!(mine.is_some(), "{rest:?} is nobody's");
    drop(mine);
    fetches.write(ToKeep { claims: Arc::new(Vec::from_iter(claim)), ..object.keep(half) });
    let course = asked.await.unwrap();
    assert!(matches!(course, Course::Disk(run) if run == half), "{course:?}");
    assert!(read(&waits, half).await.unwrap() == object.at(half));
    let (want, claim) = to_fetch(&waits, ByteRange::new(half.end - 5, LARGE as u64)).await;
    assert!(want.start == half.end - 5 && claim.is_some(), "five bytes on disk are not worth a step");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_from_disk_leaves_claims_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", LARGE);
    let (one, other) = (Daemon::on(dir.path()), Daemon::on(dir.path()));
    let (reads, waits) = (one.look(&object).await, other.look(&object).await);
    let middle = LARGE as u64 / 2;
    let (first, second) = (ByteRange::new(0, middle), ByteRange::new(middle, LARGE as u64));
    reads.write(object.keep(first));
    let clock = Clock::system();
    while !has(&reads, first).await {
        assert!(clock.elapsed() < LONG);
        tokio::task::yield_now().await;
    }
    let (_, claim) = to_fetch(&reads, second).await;
    let course = reads.course(object.all()).await;
    assert!(matches!(course, Course::Disk(run) if run == first), "{course:?}");
    let asked = ask(&waits, second);
    until_it_waits(&other, 1).await;
    drop(claim.unwrap());
    let course = asked.await.unwrap();
    assert!(matches!(course, Course::Store(want, Some(_)) if want == second), "{course:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_gives_up_another_fetches() {
    let dir = tempfile::tempdir().unwrap();
    let (large, small) = (Object::new("large", LARGE), Object::new("small", 5000));
    let (one, other) = (Daemon::on(dir.path()), Daemon::on(dir.path()));
    for (nth, object) in (1..).zip([large, small]) {
        let (_, claim) = to_fetch(&one.look(&object).await, object.all()).await;
        let asked = ask(&other.look(&object).await, object.all());
        until_it_waits(&other, nth).await;
        drop(claim.unwrap());
        let course = asked.await.unwrap();
        assert!(matches!(course, Course::Store(want, Some(_)) if want == object.all()), "{course:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_get_on_is_waited_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", LARGE);
    let (one, other) = (Daemon::on(dir.path()), Daemon::on(dir.path()));
    let (_, claim) = to_fetch(&one.look(&object).await, object.all()).await;
    let waits = other.look(&object).await;
    for _ in 0..3 {
        let (want, mine) = to_fetch(&waits, object.all()).await;
        assert!(want == object.all() && mine.is_none());
    }
    assert_eq!(other.count(Metric::DiskWaits), 1);
    drop(claim);
    assert!(to_fetch(&waits, object.all()).await.1.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::with(&DiskOptions { size_bytes: Some(1 << 20), ..options(dir.path()) }, "first");
    let object = Object::new("larger than the cache", LARGE);
    let cached = daemon.look(&object).await;
    let less_than_a_block = ByteRange::new(5, BLOCK_BYTES);
    assert!(to_fetch(&cached, less_than_a_block).await.1.is_none());
    assert!(to_fetch(&cached, object.all()).await.1.is_some(), "that it does not fit is not known yet");
    daemon.put(&cached, &object, object.all()).await;
    assert_eq!(cached.held_bytes().await, 0);
    assert!(to_fetch(&cached, object.all()).await.1.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_fetched_up_to_where_the_disk_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let object = Object::new("a", LARGE);
    let daemon = Daemon::on(dir.path());
    let cached = daemon.look(&object).await;
    let there = ByteRange::new(16 * BLOCK_BYTES, 40 * BLOCK_BYTES);
    daemon.put(&cached, &object, there).await;
    let (want, claim) = to_fetch(&cached, object.all()).await;
    assert_eq!(want, ByteRange::new(0, there.start));
    assert!(claim.is_some());
    let course = cached.course(ByteRange::new(there.start, LARGE as u64)).await;
    assert!(matches!(course, Course::Disk(run) if run == there), "{course:?}");
    assert_eq!(to_fetch(&cached, ByteRange::new(there.end, LARGE as u64)).await.0.start, there.end);
}

/// Reads all objects, and caches what is not there. Returns which share of them was.
async fn epoch(daemon: &Daemon, objects: &[Object]) -> f64 {
    let mut found = 0;
    for object in objects {
        let (middle, end) = (object.all().end / 2, object.all().end);
        // Half of it is fetched before the object is opened, as the next of a row is.
        for half in [ByteRange::new(0, middle), ByteRange::new(middle, end)] {
            let cached = daemon.look(object).await;
            let is_open = if half.start > 0 { Some(cached.open_for().await) } else { None };
            match has(&cached, half).await {
                true => found += 1,
                false => daemon.put(&cached, object, half).await,
            }
            drop(is_open);
        }
    }
    f64::from(found) / (2 * objects.len()) as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_over_twice_the_cache_find_nearly_half_on_disk() {
    let count = 40;
    let objects: Vec<Object> =
        (0..count).map(|at| Object::new(&format!("object {at}"), 8 * BLOCK_BYTES as usize)).collect();
    for has_daemons_of_their_own in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let size_bytes = Some(count * 4 * (BLOCK_BYTES + 8192));
        let daemon = || Daemon::with(&DiskOptions { size_bytes, ..options(dir.path()) }, "first");
        let one = daemon();
        let mut hits = Vec::new();
        for _ in 0..8 {
            hits.push(match has_daemons_of_their_own {
                true => epoch(&daemon(), &objects).await,
                false => epoch(&one, &objects).await,
            });
        }
        let later = hits[2..].iter().sum::<f64>() / (hits.len() - 2) as f64;
        assert!(later >= 0.35, "{has_daemons_of_their_own}: {hits:?}");
    }
}
