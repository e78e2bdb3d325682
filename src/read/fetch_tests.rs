//! What was asked for by name: fetched once, kept, pinned, let go.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::budget::Priority;
use super::tests::{Bed, MIB, content, read_through};
use super::*;
use crate::base::Ino;
use crate::store::ErrorKind;
use crate::store::layers::Fault;

fn options(memory_mib: u64) -> Options {
    Options { memory_limit: memory_mib * MIB, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_by_name_is_read_without_a_request() {
    for passthrough in [Passthrough::Auto, Passthrough::Off] {
        for size in [0, 100, 3 * MIB, 37 * MIB + 5] {
            let bed = Bed::new(Options { passthrough, ..options(256) });
            let bytes = content(size, 1);
            let object = bed.object("a", &bytes);
            bed.reader.open(object.clone()).fetch().await.unwrap();
            let fetched: u64 = bed.gets().iter().map(|range| range.len().min(size)).sum();
            assert_eq!(fetched, size);
            read_through(&bed.reader.open(object), &bytes, 1 << 20).await;
            assert_eq!(bed.gets(), [], "{size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fetching_waits_for_readers_and_two_who_ask_share() {
    let bed = Bed::new(options(256));
    let bytes = content(40 * MIB, 2);
    let object = bed.object("a", &bytes);
    let (one, two) = (bed.reader.open(object.clone()), bed.reader.open(object.clone()));
    let reader = bed.reader.open(object);
    let (first, second, ()) = futures::join!(one.fetch(), two.fetch(), read_through(&reader, &bytes, 1 << 20));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(bed.gets().iter().map(|range| range.len()).sum::<u64>(), 40 * MIB);
}

#[tokio::test(start_paused = true)]
async fn guesses_that_fail_are_fetched_again_and_what_cannot_be_is_an_error() {
    let bed = Bed::new(options(256));
    let bytes = content(30 * MIB, 3);
    let object = bed.object("a", &bytes);
    bed.script((0..6).map(|i| (i % 2 == 0).then_some(Fault::Error(ErrorKind::Server))));
    bed.reader.open(object.clone()).fetch().await.unwrap();
    read_through(&bed.reader.open(object), &bytes, 1 << 20).await;

    let gone = bed.object("b", &content(30 * MIB, 4));
    bed.script((0..100).map(|_| Some(Fault::Error(ErrorKind::NotFound))));
    let error = bed.reader.open(gone).fetch().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_asking_calls_it_off() {
    let bed = Bed::new(options(256));
    let file = bed.reader.open(bed.object("a", &content(200 * MIB, 5)));
    let stopped = tokio::time::timeout(Duration::from_millis(30), file.fetch()).await;
    assert!(stopped.is_err());
    drop(file);
    bed.gets();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bed.gets(), []);
    assert_eq!(bed.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pin_holds_against_everything_and_ends() {
    for passthrough in [Passthrough::Auto, Passthrough::Off] {
        let bed = Bed::new(Options { passthrough, ..options(96) });
        let (bytes, other) = (content(40 * MIB, 6), content(150 * MIB, 7));
        let object = bed.object("a", &bytes);
        let pin = bed.reader.open(object.clone()).pin().await.unwrap().unwrap();
        assert_eq!((bed.reader.pinned_bytes(), bed.reader.pinned_bytes_limit()), (40 * MIB, 48 * MIB));
        let refused = bed.reader.open(bed.object("c", &content(9 * MIB, 8))).pin().await.unwrap();
        assert!(refused.is_none(), "it does not fit");
        bed.gets();
        // Also after it was read, and left to the kernel, which is what lets other files be given up.
        let file = bed.reader.open(object.clone());
        read_through(&file, &bytes, 1 << 20).await;
        drop((file.whole(), file));
        read_through(&bed.reader.open(bed.object("b", &other)), &other, 1 << 20).await;
        assert!(bed.held() <= 97 * MIB, "{}", bed.held());
        bed.gets();
        read_through(&bed.reader.open(object.clone()), &bytes, 1 << 20).await;
        assert_eq!(bed.gets(), []);
        assert_eq!(bed.reader.let_go(object.ino), 0, "it is kept");

        drop(pin);
        assert_eq!(bed.reader.pinned_bytes(), 0);
        bed.reader.make_room(u64::MAX / 2, Priority::Demand);
        assert_eq!(bed.held(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_let_go_is_fetched_anew() {
    let bed = Bed::new(options(256));
    let bytes = content(20 * MIB, 9);
    let object = bed.object("a", &bytes);
    read_through(&bed.reader.open(object.clone()), &bytes, 1 << 20).await;
    bed.gets();
    assert_eq!(bed.reader.let_go(object.ino), 20 * MIB);
    assert_eq!((bed.held(), bed.reader.held().len()), (0, 0));
    let file = bed.reader.open(object.clone());
    read_through(&file, &bytes, 1 << 20).await;
    assert_eq!(bed.gets().iter().map(|range| range.len()).sum::<u64>(), 20 * MIB);
    let held = bed.reader.held();
    assert_eq!((held[0].held_bytes, held[0].handles, held[0].is_pinned), (20 * MIB, 1, false));
    let whole = file.whole();
    assert_eq!(bed.reader.let_go(object.ino) == 0, whole.is_some(), "not while the kernel reads it");
    assert_eq!(bed.reader.let_go(Ino(99)), 0);
}

#[tokio::test(start_paused = true)]
async fn one_file_can_be_fetched_otherwise_than_the_rest() {
    let bed = Bed::new(options(256));
    let bytes = content(20 * MIB, 10);
    let (open, off) = (bed.object("open", &bytes), bed.object("off", &bytes));
    bed.reader.set_prefetch(open.ino, Prefetch::Open);
    let _file = bed.reader.open(open);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bed.gets().iter().map(|range| range.len()).sum::<u64>(), 20 * MIB);

    let file = bed.reader.open(off.clone());
    file.read(0, 1 << 20).await.unwrap();
    bed.reader.set_prefetch(off.ino, Prefetch::Off);
    tokio::time::sleep(Duration::from_secs(5)).await;
    bed.gets();
    drop(file);
    bed.reader.let_go(off.ino);
    let file = bed.reader.open(off);
    for at in 0..8 {
        file.read(at << 20, 1 << 20).await.unwrap();
    }
    assert_eq!(bed.gets().iter().map(|range| range.len()).sum::<u64>(), 8 * MIB, "no more than was asked for");
    assert_eq!(file.inode.handles.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn another_part_size_is_for_what_is_opened_afterwards() {
    let bed = Bed::new(options(256));
    let (before, after) = (content(32 * MIB, 5), content(32 * MIB, 6));
    let largest = || bed.gets().iter().map(|range| range.len()).max().unwrap();
    let open = bed.reader.open(bed.object("before", &before));
    bed.reader.set_part_bytes(2 * MIB);
    open.fetch().await.unwrap();
    assert!(largest() > 4 * MIB, "it goes on as it began");
    let object = bed.object("after", &after);
    bed.reader.open(object.clone()).fetch().await.unwrap();
    assert!(largest() <= 3 * MIB);
    read_through(&bed.reader.open(object), &after, 1 << 20).await;
}
