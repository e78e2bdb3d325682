//! Counting: every try by kind, every byte as it arrives, and how many requests are in flight.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use tokio::io::ReadBuf;

use crate::base::Key;
use crate::metrics::{Metric, Metrics};
use crate::store::{
    Body, Change, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome, Receive, Result,
    Store, StoreMut, Tags,
};

/// Counts what passes through it. Stands under [`Retry`](super::Retry), so that each try counts.
#[derive(Debug)]
pub struct Meter<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    metrics: Arc<Metrics>,
    flying: Arc<Flying>,
}

#[derive(Debug, Default)]
struct Flying {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// One request in flight, until dropped.
struct Flight(Arc<Flying>);

impl Flight {
    fn begin(flying: &Arc<Flying>) -> Self {
        let now = flying.now.fetch_add(1, Ordering::Relaxed) + 1;
        flying.peak.fetch_max(now, Ordering::Relaxed);
        Flight(flying.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: ?Sized> Meter<S> {
    /// Counts into these figures.
    pub fn new(inner: Arc<S>, metrics: Arc<Metrics>) -> Self {
        Meter { inner, metrics, flying: Arc::default() }
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
        self.metrics.add(Metric::Requests, 1);
        self.metrics.add(kind, 1);
        Flight::begin(&self.flying)
    }

    fn counted(&self, body: Body, flight: Flight) -> Body {
        Body::new(Counted { body, metrics: self.metrics.clone(), _flight: flight })
    }
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    metrics: Arc<Metrics>,
    /// Lasts as long as the body.
    _flight: Flight,
}

impl Receive for Counted {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        ready!(self.body.poll_receive(cx, into))?;
        self.metrics.add(Metric::BytesFetched, (into.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Meter<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let flight = self.begin(Metric::GetRequests);
        let response = self.inner.get(request).await?;
        Ok(GetResponse { body: self.counted(response.body, flight), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let _flight = self.begin(Metric::HeadRequests);
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let _flight = self.begin(Metric::ListRequests);
        self.inner.list(request).await
    }

    async fn symlink_target(&self, key: &Key) -> Result<String> {
        let _flight = self.begin(Metric::HeadRequests);
        self.inner.symlink_target(key).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let _flight = self.begin(Metric::HeadRequests);
        self.inner.tags(key, version).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Meter<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let _flight = self.begin(match change {
            Change::ListParts(_) => Metric::ListRequests,
            _ => Metric::WriteRequests,
        });
        self.inner.change(change).await
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
        let meter = Meter::new(Arc::new(bucket), metrics.clone());
        let get = || GetRequest::new(Key::new("k")).range(ByteRange::new(0, 50));
        let mut first = meter.get(get()).await.unwrap().body;
        let second = meter.get(get()).await.unwrap().body;
        assert_eq!(first.read(&mut [0; 64]).await.unwrap(), 10);
        assert_eq!((meter.in_flight(), metrics.value(Metric::BytesFetched)), (2, 10));
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
    }
}
