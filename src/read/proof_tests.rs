//! Tests of what must be proved before programs see it, over a store whose caches give wrong bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::ReadBuf;

use super::tests::{MIB, content, read_through};
use super::*;
use crate::base::{Clock, Ino, Key, Timestamp};
use crate::metrics::{Metric, Metrics};
use crate::store::memory::MemoryStore;
use crate::store::{
    Body, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Receive, Result, Store, Tags,
    Traffic, VersionPage, VersionsRequest,
};

/// A bucket behind caches that give wrong bytes of all that may come from them.
#[derive(Debug)]
struct Rotten {
    bucket: MemoryStore,
    from_caches: AtomicU64,
}

/// A body whose first byte is wrong.
struct Flipped(Body, bool);

impl Receive for Flipped {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        ready!(self.0.poll_receive(cx, into))?;
        if let Some(first) = into.filled_mut().get_mut(before)
            && !std::mem::replace(&mut self.1, true)
        {
            *first ^= 1;
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Store for Rotten {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let is_bulk = request.traffic == Traffic::Bulk;
        let answer = self.bucket.get(request).await?;
        if !is_bulk {
            return Ok(answer);
        }
        self.from_caches.fetch_add(answer.range.len(), Ordering::Relaxed);
        Ok(GetResponse { body: Body::new(Flipped(answer.body, false)), ..answer })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.bucket.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.bucket.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.bucket.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.bucket.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.bucket.tags(key, version).await
    }
}

struct Bed {
    store: Arc<Rotten>,
    reader: Arc<Reader>,
    metrics: Arc<Metrics>,
    bytes: Bytes,
    object: Object,
}

/// An object of so many bytes, in a mount of so much memory that proves what has 1 MiB or more.
fn bed(size: u64, memory_limit: u64) -> Bed {
    let bucket = MemoryStore::new().latency(Duration::from_millis(20)).chunk_bytes(256 << 10);
    let store = Arc::new(Rotten { bucket, from_caches: AtomicU64::new(0) });
    let (metrics, bytes) = (Arc::new(Metrics::default()), content(size, 5));
    let options = Options { memory_limit, proven_from: Some(MIB), ..Options::default() };
    let clock = Clock::manual(Timestamp::from_unix(1_000_000));
    let reader = Reader::with_clock(store.clone(), options, metrics.clone(), clock);
    let etag = store.bucket.put("model", bytes.clone()).etag;
    let (key, version, mtime) = (Key::new("model"), None, None);
    let object = Object { ino: Ino(7), key, version, etag, size, mtime, archived: false };
    Bed { store, reader, metrics, bytes, object }
}

impl Bed {
    /// How much came from the caches since the last time.
    fn cached_bytes(&self) -> u64 {
        self.store.from_caches.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_are_fetched_again_before_a_program_sees_one() {
    for (step, readers) in [(4096, 1), (1 << 20, 1), (1 << 20, 3)] {
        let bed = bed(20 * MIB + 77, 1 << 30);
        let reading = (0..readers).map(|_| async {
            let file = bed.reader.open(bed.object.clone());
            read_through(&file, &bed.bytes, step).await;
            assert_eq!(file.verified(), Verified::Yes);
        });
        futures::future::join_all(reading).await;
        assert!(bed.cached_bytes() >= 16 * MIB);
        assert_eq!(bed.metrics.value(Metric::VerifyFailures), 1);
        assert_eq!(bed.metrics.value(Metric::ReadErrors), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_read_waits_for_the_proof_too() {
    let bed = bed(20 * MIB, 1 << 30);
    let file = bed.reader.open(bed.object.clone());
    let page = file.read(9 * MIB, 4096).await.unwrap();
    assert_eq!(page[..], bed.bytes[9 << 20..(9 << 20) + 4096]);
    assert_eq!(file.verified(), Verified::Yes);
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_again_after_the_proof_comes_from_the_bucket() {
    let bed = bed(20 * MIB, 1 << 30);
    let file = bed.reader.open(bed.object.clone());
    read_through(&file, &bed.bytes, 1 << 20).await;
    assert!(bed.cached_bytes() > 0);
    bed.reader.let_go(bed.object.ino);
    read_through(&file, &bed.bytes, 1 << 20).await;
    assert_eq!(bed.cached_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_proved_comes_from_the_bucket() {
    // There is no room for all of it.
    let large = bed(20 * MIB, 16 * MIB);
    for _ in 0..2 {
        let file = large.reader.open(large.object.clone());
        read_through(&file, &large.bytes, 1 << 20).await;
    }
    assert_eq!((large.cached_bytes(), large.metrics.value(Metric::VerifyFailures)), (0, 0));
    // There is nothing to compare it with: what has come is given up.
    let odd = bed(20 * MIB, 1 << 30);
    odd.store.bucket.amend("model", |meta| meta.crc64 = None);
    let file = odd.reader.open(odd.object.clone());
    read_through(&file, &odd.bytes, 1 << 20).await;
    assert!(odd.cached_bytes() > 0);
    read_through(&file, &odd.bytes, 1 << 20).await;
    assert_eq!(odd.cached_bytes(), 0);
}
