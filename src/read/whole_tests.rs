//! Files that the kernel reads by itself: when there is one, and what it holds.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::budget::Priority;
use super::tests::{Bed, MIB, content, read_through};
use super::*;
use crate::metrics::Metric;
use crate::store::layers::{At, Fault};

/// What the kernel would read.
pub(super) fn on_disk(whole: &Whole) -> Vec<u8> {
    let file = std::fs::File::from(whole.as_fd().try_clone_to_owned().unwrap());
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_read_through_and_checked_is_the_kernels() {
    let bed = Bed::new(Options::default());
    let bytes = content(20 * MIB + 12_345, 1);
    let object = bed.object("a", &bytes);
    let file = bed.reader.open(object.clone());
    // Headers come in pieces of their own, which lie elsewhere at first.
    file.read(0, 100).await.unwrap();
    file.read(7 * MIB + 1, 5000).await.unwrap();
    assert!(file.whole().is_none());
    read_through(&file, &bytes, 300_000).await;
    let whole = file.whole().unwrap();
    assert!(on_disk(&whole) == bytes);
    assert!(Arc::ptr_eq(&whole, &bed.reader.open(object).whole().unwrap()), "one file for all");
}

#[tokio::test(start_paused = true)]
async fn what_the_kernel_reads_is_not_given_up_until_it_is_done() {
    let bed = Bed::new(Options { memory_limit: 64 * MIB, ..Options::default() });
    let (bytes, other) = (content(20 * MIB, 2), content(90 * MIB, 3));
    let file = bed.reader.open(bed.object("a", &bytes));
    read_through(&file, &bytes, 1 << 20).await;
    let whole = file.whole().unwrap();
    drop(file);
    let other_file = bed.reader.open(bed.object("b", &other));
    read_through(&other_file, &other, 1 << 20).await;
    assert!(on_disk(&whole) == bytes);
    drop(whole);
    read_through(&other_file, &other, 1 << 20).await;
    bed.reader.make_room(u64::MAX / 2, Priority::Demand);
    assert_eq!(bed.reader.inodes.lock().len(), 1, "all of it could be given up then");
}

#[tokio::test(start_paused = true)]
async fn the_kernel_gets_no_more_than_its_share_of_the_memory() {
    let bed = Bed::new(Options { memory_limit: 80 * MIB, ..Options::default() });
    let mut held = Vec::new();
    for seed in 0..4 {
        let bytes = content(18 * MIB, seed);
        let file = bed.reader.open(bed.object(&seed.to_string(), &bytes));
        read_through(&file, &bytes, 1 << 20).await;
        held.push(file.whole());
    }
    assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
    // Half of the memory for one file would leave none for the rest.
    let large = content(41 * MIB, 9);
    held.clear();
    let file = bed.reader.open(bed.object("large", &large));
    read_through(&file, &large, 1 << 20).await;
    assert!(file.whole().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_checked_is_not_the_kernels() {
    let bed = Bed::new(Options::default());
    let bytes = content(20 * MIB, 5);
    let file = bed.reader.open(bed.object("a", &bytes));
    bed.script([Some(Fault::Flip(At::Byte(5)))]);
    // Wrong bytes were handed out before the whole could be compared.
    let mut at = 0;
    while file.read(at, 1 << 20).await.is_ok_and(|slice| !slice.is_empty()) {
        at += MIB;
    }
    assert!(bed.count(Metric::VerifyFailures) > 0 && file.whole().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_off_keeps_nothing() {
    let bed = Bed::new(Options { memory_cache: MemoryCache::Off, ..Options::default() });
    let bytes = content(20 * MIB, 6);
    let object = bed.object("a", &bytes);
    read_through(&bed.reader.open(object.clone()), &bytes, 1 << 20).await;
    assert_eq!((bed.held(), bed.reader.inodes.lock().len()), (0, 0));
    let off = Bed::new(Options { passthrough: Passthrough::Off, ..Options::default() });
    let file = off.reader.open(off.object("a", &bytes));
    read_through(&file, &bytes, 1 << 20).await;
    assert!(file.whole().is_none());
}
