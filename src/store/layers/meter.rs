//! Counting: every try by kind and how long it took, every byte as it arrives, and how many requests are in flight.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::ReadBuf;

use crate::base::{Clock, Key};
use crate::metrics::{Distribution, Metric, Metrics, Miss};
use crate::store::{
    Body, Change, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome,
    Receive, Result, Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// Counts what passes through it. Stands under [`Retry`](super::Retry), so that each try counts.
#[derive(Debug)]
pub struct Meter<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    clock: Clock,
    flying: Arc<Flying>,
}

#[derive(Debug)]
struct Flying {
    metrics: Arc<Metrics>,
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// One request in flight, until dropped.
struct Flight {
    flying: Arc<Flying>,
    clock: Clock,
    began: Duration,
    /// Its answer has come, or will not, or shows nothing.
    is_over: AtomicBool,
}

impl Flight {
    fn begin(flying: &Arc<Flying>, clock: &Clock, kind: Metric) -> Self {
        let now = flying.now.fetch_add(1, Ordering::Relaxed) + 1;
        flying.peak.fetch_max(now, Ordering::Relaxed);
        flying.metrics.add(Metric::RequestsInFlight, 1);
        let began = clock.elapsed();
        // A copy within the service takes what it takes, and shows nothing of how well others are answered.
        let is_shown = kind != Metric::WriteRequests;
        if is_shown {
            flying.metrics.pulse().sent(began);
        }
        Flight { flying: flying.clone(), clock: clock.clone(), began, is_over: AtomicBool::new(!is_shown) }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flying.now.fetch_sub(1, Ordering::Relaxed);
        self.flying.metrics.subtract(Metric::RequestsInFlight, 1);
        if !*self.is_over.get_mut() {
            self.flying.metrics.pulse().given_up(self.clock.elapsed());
        }
    }
}

impl<S: ?Sized> Meter<S> {
    /// Counts into these figures.
    pub fn new(inner: Arc<S>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        let flying = Flying { metrics, now: AtomicUsize::new(0), peak: AtomicUsize::new(0) };
        Meter { inner, clock, flying: Arc::new(flying) }
    }

    /// Requests in flight now. A GET counts until its body has been read or dropped.
    pub fn in_flight(&self) -> usize {
        self.flying.now.load(Ordering::Relaxed)
    }

    /// The most requests that were ever in flight at once.
    pub fn peak_in_flight(&self) -> usize {
        self.flying.peak.load(Ordering::Relaxed)
    }

    fn begin(&self, kind: Metric) -> Flight {
        self.flying.metrics.add(Metric::Requests, 1);
        self.flying.metrics.add(kind, 1);
        Flight::begin(&self.flying, &self.clock, kind)
    }

    /// Its answer is there, or will not come: an error then says how long the try took.
    fn over<T>(&self, flight: &Flight, time: Distribution, outcome: Result<T>) -> Result<T> {
        let (metrics, took) = (&self.flying.metrics, self.clock.elapsed().saturating_sub(flight.began));
        metrics.took(time, took);
        let is_shown = !flight.is_over.swap(true, Ordering::Relaxed);
        match outcome.as_ref().err().and_then(|error| miss(error.kind())) {
            _ if !is_shown => {}
            None => metrics.pulse().answered(self.clock.elapsed()),
            Some(miss) => metrics.pulse().missed(self.clock.elapsed(), miss),
        }
        if is_answer(&outcome) {
            metrics.set(Metric::Answered, self.clock.now().seconds.max(0) as u64);
        }
        outcome.map_err(|error| error.with_elapsed(took))
    }

    /// One request that ends with its answer.
    async fn whole<T>(&self, kind: Metric, time: Distribution, call: impl Future<Output = Result<T>>) -> Result<T> {
        let flight = self.begin(kind);
        let answer = call.await;
        self.over(&flight, time, answer)
    }
}

/// Counts a further try after a failure of this kind.
pub(super) fn count_retry(metrics: &Metrics, kind: ErrorKind) {
    metrics.add(Metric::Retries, 1);
    let cause = match kind {
        ErrorKind::Network => Metric::RetriesNetwork,
        ErrorKind::Timeout => Metric::RetriesTimeout,
        ErrorKind::Server => Metric::RetriesServer,
        ErrorKind::Throttled => Metric::RetriesThrottled,
        ErrorKind::ClockSkew | ErrorKind::Credentials => Metric::RetriesSignature,
        // No other kind is tried again.
        _ => Metric::RetriesGarbled,
    };
    metrics.add(cause, 1);
}

/// What a request that was not answered as it should came to; a refusal of what cannot be had is an answer.
fn miss(kind: ErrorKind) -> Option<Miss> {
    match kind {
        ErrorKind::Timeout => Some(Miss::Silence),
        ErrorKind::Throttled => Some(Miss::Throttling),
        ErrorKind::Network
        | ErrorKind::Server
        | ErrorKind::Credentials
        | ErrorKind::ClockSkew
        | ErrorKind::Protocol
        | ErrorKind::NoSuchBucket
        | ErrorKind::WrongRegion => Some(Miss::Failure),
        _ => None,
    }
}

/// Whether an outcome shows that the bucket can be reached and serves us, be it with a refusal of what cannot be had.
fn is_answer<T>(outcome: &Result<T>) -> bool {
    let kind = outcome.as_ref().err().map(Error::kind);
    matches!(kind, None | Some(ErrorKind::NotFound | ErrorKind::Archived | ErrorKind::Changed | ErrorKind::Conflict))
}

/// A body whose bytes are counted.
struct MeteredBody {
    body: Body,
    /// Lasts as long as the body.
    flight: Flight,
}

impl Receive for MeteredBody {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        ready!(self.body.poll_receive(cx, into))?;
        let bytes = (into.filled().len() - before) as u64;
        self.flight.flying.metrics.add(Metric::BytesFetched, bytes);
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Meter<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let flight = self.begin(Metric::GetRequests);
        let answer = self.inner.get(request).await;
        let response = self.over(&flight, Distribution::GetTime, answer)?;
        Ok(GetResponse { body: Body::new(MeteredBody { body: response.body, flight }), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.whole(Metric::HeadRequests, Distribution::HeadTime, self.inner.head(request)).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.whole(Metric::ListRequests, Distribution::ListTime, self.inner.list(request)).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.whole(Metric::ListRequests, Distribution::ListTime, self.inner.list_versions(request)).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.whole(Metric::HeadRequests, Distribution::HeadTime, self.inner.symlink_target(key, version)).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.whole(Metric::HeadRequests, Distribution::HeadTime, self.inner.tags(key, version)).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Meter<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let (kind, time) = match change {
            Change::ListParts(_) => (Metric::ListRequests, Distribution::ListTime),
            _ => (Metric::WriteRequests, Distribution::WriteTime),
        };
        self.whole(kind, time, self.inner.change(change)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ByteRange;
    use crate::store::memory::MemoryStore;
    use crate::store::{DeleteRequest, PutRequest};

    #[tokio::test]
    async fn requests_count_by_kind_and_bytes_as_they_arrive() {
        let bucket = MemoryStore::new().chunk_bytes(10);
        bucket.put("k", vec![1; 100]);
        let metrics = Arc::new(Metrics::default());
        let meter = Meter::new(Arc::new(bucket), metrics.clone(), Clock::system());
        let get = || GetRequest::new(Key::new("k")).range(ByteRange::new(0, 50));
        let mut first = meter.get(get()).await.unwrap().body;
        let second = meter.get(get()).await.unwrap().body;
        assert_eq!(first.read(&mut [0; 64]).await.unwrap(), 10);
        assert_eq!((meter.in_flight(), metrics.value(Metric::BytesFetched)), (2, 10));
        assert_eq!(metrics.value(Metric::RequestsInFlight), 2);
        drop(first);
        second.collect(50).await.unwrap();
        meter.head(HeadRequest::new(Key::new("missing"))).await.unwrap_err();
        meter.list(ListRequest::default()).await.unwrap();
        meter.put(PutRequest::new(Key::new("new"), "bytes")).await.unwrap();
        meter.delete(DeleteRequest::new(Key::new("new"))).await.unwrap();
        assert_eq!((meter.in_flight(), meter.peak_in_flight()), (0, 2));
        let counted = [
            Metric::Requests,
            Metric::GetRequests,
            Metric::HeadRequests,
            Metric::ListRequests,
            Metric::WriteRequests,
            Metric::BytesFetched,
        ];
        assert_eq!(counted.map(|metric| metrics.value(metric)), [6, 2, 1, 1, 2, 60]);
        assert_eq!(metrics.value(Metric::RequestsInFlight), 0);
        let times = [Distribution::GetTime, Distribution::HeadTime, Distribution::ListTime, Distribution::WriteTime];
        assert_eq!(times.map(|time| metrics.total(time).0), [2, 1, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_requests_come_to_shows_in_the_pulse() {
        use crate::base::Timestamp;
        use crate::metrics::Trouble;
        use crate::store::layers::{Fault, FaultStore, Operation};
        let faults = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
        let meter = Meter::new(faults.clone(), metrics.clone(), clock.clone());
        let trouble_after = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            metrics.condition(clock.elapsed()).trouble.map(|(trouble, _)| trouble)
        };
        for (kind, expected) in [
            (ErrorKind::Network, Some(Trouble::Failing)),
            (ErrorKind::Server, Some(Trouble::Failing)),
            (ErrorKind::Credentials, Some(Trouble::Failing)),
            (ErrorKind::Throttled, Some(Trouble::Throttled)),
            (ErrorKind::Timeout, Some(Trouble::Silent)),
            (ErrorKind::AccessDenied, None),
            (ErrorKind::NotFound, None),
        ] {
            faults.once(Operation::List, Fault::Error(kind));
            meter.list(ListRequest::default()).await.unwrap_err();
            assert_eq!(trouble_after(11).await, expected, "{kind:?}");
            meter.list(ListRequest::default()).await.unwrap();
            assert_eq!(trouble_after(11).await, None, "{kind:?}");
        }
        faults.once(Operation::Write, Fault::Silence);
        let write = meter.put(PutRequest::new(Key::new("slow"), "bytes"));
        let slow = tokio::time::timeout(Duration::from_secs(30), write);
        assert!(slow.await.is_err());
        assert_eq!(trouble_after(0).await, None, "copies take what they take");
        faults.once(Operation::List, Fault::Silence);
        let listed = tokio::time::timeout(Duration::from_secs(11), meter.list(ListRequest::default()));
        assert!(listed.await.is_err());
        assert_eq!(trouble_after(0).await, Some(Trouble::Silent));
    }
}
