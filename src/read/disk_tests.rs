//! Tests of reading what is on disk.

use std::sync::Arc;
use std::time::Duration;

use super::inode::FetchOrder;
use super::page_cache_tests::page_in;
use super::part::Origin;
use super::plan::Fetch;
use super::tests::{MIB, content};
use super::*;
use crate::base::{ByteRange, Clock, Ino, Key};
use crate::cache::{Disk, DiskOptions};
use crate::metrics::{Metric, Metrics};
use crate::store::memory::MemoryStore;

const SIZE: u64 = 200 * MIB;
const LIMIT: u64 = 256 * MIB;

/// A reader of a bucket, with a disk cache in this directory and in this boot of the machine.
fn reader(bucket: &Arc<MemoryStore>, dir: &std::path::Path, boot: &str) -> (Arc<Reader>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let options = Options { memory_limit: LIMIT, ..Options::default() };
    let reader = Reader::with_clock(bucket.clone(), options, metrics.clone(), Clock::system());
    let disk = DiskOptions {
        dirs: vec![dir.to_owned()],
        free_bytes: Some(1 << 20),
        takes_any: true,
        origin: "s3://host/bucket".to_owned(),
        ..DiskOptions::default()
    };
    reader.keep_on_disk(Disk::in_boot_called(boot, &disk, &metrics).unwrap());
    (reader, metrics)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_disk_takes_little_memory_ahead_of_its_reader() {
    let (dir, bucket, bytes) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new()), content(SIZE, 5));
    let etag = bucket.put("model", bytes.clone()).etag;
    let (key, version, mtime) = (Key::new("model"), None, None);
    let object = Object { ino: Ino(7), key, version, etag, size: SIZE, mtime, archived: false };
    let (fills, _) = reader(&bucket, dir.path(), "first");
    assert!(fills.open(object.clone()).fetch_to_disk().await.unwrap());
    drop(fills);
    let (reads, metrics) = reader(&bucket, dir.path(), "second");
    let file = reads.open(object);
    assert!(file.on_disk().await.is_none(), "it was checked in another boot");
    let mut most = 0;
    for at in (0..SIZE).step_by(MIB as usize) {
        let slice = file.read(at, MIB as usize).await.unwrap();
        assert!(slice[..] == bytes[at as usize..(at + MIB) as usize], "wrong bytes at {at}");
        most = most.max(metrics.value(Metric::BufferBytes));
    }
    assert_eq!(metrics.value(Metric::GetRequests), 0);
    assert!((16 * MIB..=96 * MIB).contains(&most), "{most} bytes in memory");
}

const PIECES: [ByteRange; 3] = [
    ByteRange { start: 0, end: 92 << 10 },
    ByteRange { start: 92 << 10, end: 216 << 10 },
    ByteRange { start: 216 << 10, end: 512 << 10 },
];

/// A file of which the page cache keeps what it is given, with all pieces of its head on their way before any has come.
async fn in_pieces(bucket: &MemoryStore, bytes: &bytes::Bytes, reads: &Arc<Reader>) -> (File, [Vec<FetchOrder>; 3]) {
    let etag = bucket.put("model", bytes.clone()).etag;
    let (key, version, mtime) = (Key::new("model"), None, None);
    let size = bytes.len() as u64;
    let file = reads.open(Object { ino: Ino(7), key, version, etag, size, mtime, archived: false });
    file.is_kept_elsewhere();
    file.needs_no_copy();
    assert!(file.cached_for_use().await.is_some());
    let order = |piece| file.covered(piece, (Fetch::Exact { reach_bytes: 0 }, Origin::Demand)).unwrap().1;
    let orders = PIECES.map(order);
    (file, orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_which_parts_have_some_are_kept_though_the_page_cache_has_taken_the_first_of_these() {
    // The pieces are the head of the one and all of the other, which is so small that it is kept whole.
    for size in [SIZE, 512 << 10] {
        let (dir, bucket, bytes) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new()), content(size, 6));
        let (reads, _) = reader(&bucket, dir.path(), "first");
        let (file, mut orders) = in_pieces(&bucket, &bytes, &reads).await;
        for place in [1, 2, 0] {
            std::mem::take(&mut orders[place]).into_iter().for_each(|order| reads.start(&file.inode, order, None));
            page_in(&file, &bytes, PIECES[place]).await;
            assert!(file.inode.parts_of(PIECES[place]).is_empty(), "part {place} is held");
        }
        let cached = file.cached_for_use().await.unwrap();
        let recorded = async { while !cached.is_recorded(ByteRange::new(0, 512 << 10)).await {} };
        tokio::time::timeout(Duration::from_secs(30), recorded).await.expect("all four blocks are on disk");
        assert_eq!(file.inode.edges.lock().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_was_found_wrong_waits_for_the_rest_of_its_block() {
    let (dir, bucket, bytes) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new()), content(SIZE, 7));
    let (reads, _) = reader(&bucket, dir.path(), "first");
    let (file, [first, _second, third]) = in_pieces(&bucket, &bytes, &reads).await;
    first.into_iter().for_each(|order| reads.start(&file.inode, order, None));
    let waits = async {
        while file.inode.edges.lock().count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("the only block of the first piece waits");
    reads.drop_from_disk(&file.inode);
    assert_eq!(file.inode.edges.lock().count(), 0);
    third.into_iter().for_each(|order| reads.start(&file.inode, order, None));
    page_in(&file, &bytes, PIECES[2]).await;
    assert!(!file.cached_for_use().await.unwrap().is_recorded(PIECES[2]).await);
    assert_eq!(file.inode.edges.lock().count(), 0, "nor does what comes later, until it is opened anew");
}
