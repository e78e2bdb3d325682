//! The limit of received bytes per second, over all GETs, and which GETs go first.
//!
//! A token bucket that may be overdrawn: a body receives what is there as long as something is left in the bucket, and
//! pays afterwards. That bounds the mean and needs no cutting of pieces. Bodies that no program waits for leave half of
//! the bucket to those that one does wait for; but none waits for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use crate::base::{Clock, Key};
use crate::store::{
    Body, Change, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome, Priority, Receive,
    Result, Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// What the bucket holds: so much of a second's bytes, as divisor.
const BURST_SHARE: u64 = 10;
/// A body that no program waited for goes on like any other after this long: by now one may wait for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The shortest wait: a timer for every packet would cost more than it evens out.
const LEAST_WAIT: Duration = Duration::from_millis(2);

/// Bytes per second, which may change while they come; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Rate(Arc<AtomicU64>);

impl Rate {
    /// So many bytes per second, at least one; `None` means as fast as they come.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let rate = Rate::default();
        rate.set(bytes_per_second);
        rate
    }

    /// From now on so many, also for bodies that are on their way under a limit; those that began without one end so.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        self.0.store(bytes_per_second.map_or(0, |rate| rate.max(1)), Ordering::Relaxed);
    }

    /// The limit that holds now, in bytes per second.
    pub fn bytes_per_second(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }
}

/// Lets bodies come in at no more than so many bytes per second.
#[derive(Debug)]
pub struct Bandwidth<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    bucket: Arc<Bucket>,
}

impl<S: ?Sized> Bandwidth<S> {
    /// All bodies together keep the rate.
    pub fn new(inner: Arc<S>, rate: Rate, clock: Clock) -> Self {
        Bandwidth { inner, bucket: Arc::new(Bucket::new(rate, clock)) }
    }
}

#[derive(Debug)]
struct Bucket {
    clock: Clock,
    rate: Rate,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// Negative while it is overdrawn.
    bytes: i64,
    /// When it was looked at, on the clock.
    at: Duration,
}

impl Bucket {
    fn new(rate: Rate, clock: Clock) -> Self {
        let level = Level { bytes: 0, at: clock.elapsed() };
        Bucket { clock, rate, level: Mutex::new(level) }
    }

    /// How long a body of this priority has to wait before it may receive; `None` when it may now.
    fn wait(&self, priority: Priority) -> Option<Duration> {
        let bytes_per_second = self.rate.bytes_per_second()?;
        let capacity = i64::try_from(bytes_per_second / BURST_SHARE).unwrap_or(i64::MAX).max(1);
        let mut level = self.level.lock();
        let now = self.clock.elapsed();
        let rate = u128::from(bytes_per_second);
        let came = now.saturating_sub(level.at).as_nanos().saturating_mul(rate) / 1_000_000_000;
        // Looked at more often than a byte takes, it would never fill.
        if came > 0 {
            level.bytes = level.bytes.saturating_add(i64::try_from(came).unwrap_or(i64::MAX)).min(capacity);
            level.at = now;
        }
        let least = if priority == Priority::Demand { 0 } else { capacity / 2 };
        let lacking = u128::try_from(least.saturating_sub(level.bytes)).unwrap_or(0);
        let is_open = if least == 0 { level.bytes >= 0 } else { lacking == 0 };
        (!is_open).then(|| {
            let nanos = lacking.saturating_mul(1_000_000_000) / rate;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).max(LEAST_WAIT)
        })
    }

    fn pay(&self, bytes: usize) {
        let mut level = self.level.lock();
        level.bytes = level.bytes.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// A body that waits its turn.
struct Paced {
    body: Body,
    bucket: Arc<Bucket>,
    priority: Priority,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the present wait began, on the clock.
    waiting_since: Option<Duration>,
    /// It may receive, and nothing has come yet.
    is_admitted: bool,
}

impl Paced {
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_admitted {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            let now = self.bucket.clock.elapsed();
            let waited = now.saturating_sub(*self.waiting_since.get_or_insert(now));
            let priority = if waited < PATIENCE { self.priority } else { Priority::Demand };
            match self.bucket.wait(priority) {
                None => self.is_admitted = true,
                Some(wait) => self.timer = Some(Box::pin(sleep(wait.min(PATIENCE)))),
            }
        }
        self.waiting_since = None;
        Poll::Ready(())
    }
}

impl Receive for Paced {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        ready!(self.poll_turn(cx));
        let before = into.filled().len();
        // Polled until something comes: below, the wait of a body that is not polled would count as a stall.
        let received = ready!(self.body.poll_receive(cx, into));
        self.is_admitted = false;
        self.bucket.pay(into.filled().len() - before);
        Poll::Ready(received)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Bandwidth<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let priority = request.priority;
        let response = self.inner.get(request).await?;
        if self.bucket.rate.bytes_per_second().is_none() {
            return Ok(response);
        }
        let (body, bucket) = (response.body, self.bucket.clone());
        let paced = Paced { body, bucket, priority, timer: None, waiting_since: None, is_admitted: false };
        Ok(GetResponse { body: Body::new(paced), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.inner.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.inner.tags(key, version).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Bandwidth<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        self.inner.change(change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::store::memory::MemoryStore;

    const LEN: usize = 2_000_000;

    fn store(bytes_per_second: Option<u64>) -> (Arc<Bandwidth<MemoryStore>>, Clock) {
        let bucket = MemoryStore::new().chunk_bytes(50_000);
        bucket.put("k", vec![7; LEN]);
        let clock = Clock::runtime(Timestamp::from_unix(0));
        (Arc::new(Bandwidth::new(Arc::new(bucket), Rate::new(bytes_per_second), clock.clone())), clock)
    }

    /// Reads the object; how long that took from the start of the clock.
    async fn read(store: Arc<Bandwidth<MemoryStore>>, clock: Clock, priority: Priority) -> Duration {
        let response = store.get(GetRequest::new(Key::new("k")).priority(priority)).await.unwrap();
        assert_eq!(response.body.collect(LEN).await.unwrap().len(), LEN);
        clock.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn all_bodies_together_keep_the_rate() {
        let (store, clock) = store(Some(1_000_000));
        let reads = (0..5).map(|_| read(store.clone(), clock.clone(), Priority::Demand));
        let last = futures::future::join_all(reads).await.into_iter().max().unwrap();
        assert!((9.5..=10.5).contains(&last.as_secs_f64()), "10 MB at 1 MB/s took {last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_comes_first_and_the_rest_comes_too() {
        let (store, clock) = store(Some(1_000_000));
        let [ahead, demand] = [Priority::Background, Priority::Demand].map(|priority| {
            let reads = (0..2).map(|_| read(store.clone(), clock.clone(), priority));
            futures::future::join_all(reads.collect::<Vec<_>>())
        });
        let (ahead, demand) = futures::join!(ahead, demand);
        let (ahead, demand) = (ahead[0].max(ahead[1]).as_secs_f64(), demand[0].max(demand[1]).as_secs_f64());
        assert!((4.0..5.0).contains(&demand), "4 MB at 1 MB/s beside others took {demand} s");
        assert!((7.5..=8.5).contains(&ahead), "8 MB in all took {ahead} s");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_changes_for_bodies_on_their_way() {
        let (store, clock) = store(Some(100_000));
        let slow = tokio::spawn(read(store.clone(), clock.clone(), Priority::Demand));
        tokio::time::sleep(Duration::from_secs(2)).await;
        store.bucket.rate.set(Some(1_000_000));
        let taken = slow.await.unwrap().as_secs_f64();
        assert!((3.0..=5.0).contains(&taken), "0.2 MB at 0.1 MB/s and 1.8 MB at 1 MB/s took {taken} s");
        store.bucket.rate.set(None);
        let before = clock.elapsed();
        assert_eq!(read(store, clock, Priority::Demand).await, before);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let (store, clock) = store(None);
        assert_eq!(read(store, clock, Priority::Background).await, Duration::ZERO);
    }
}
