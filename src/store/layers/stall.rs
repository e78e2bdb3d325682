//! The time limit of a single try: to the answer, and from one piece of a body to the next.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep, timeout};

use crate::base::Key;
use crate::store::{
    Body, Change, Error, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome, Receive,
    Result, Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// Fails with [`Timeout`](crate::store::ErrorKind::Timeout) when nothing arrives for a while. A body counts only while
/// a caller waits for its next bytes: a slow reader is no stall.
#[derive(Debug)]
pub struct Stall<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    answer: Duration,
    piece: Duration,
}

impl<S: ?Sized> Stall<S> {
    /// Allows this long for the answer to come, and this long from one piece of a body to the next.
    pub fn new(inner: Arc<S>, answer: Duration, piece: Duration) -> Self {
        Stall { inner, answer, piece }
    }

    async fn answered<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        within(self.answer, call).await
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, call).await.unwrap_or_else(|_| Err(Error::stalled(limit)))
}

/// The same body, ending in an error when its next bytes take too long.
struct Watched {
    body: Body,
    limit: Duration,

    /// Made by the first wait and set anew by every later one.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl Watched {
    /// The timer of the present wait, which runs from its first poll.
    fn timer(&mut self) -> Pin<&mut Sleep> {
        let limit = self.limit;
        let is_new = !std::mem::replace(&mut self.is_waiting, true);
        match &mut self.timer {
            // One that was not polled is no more than a reading of the clock; setting the old one later is cheap.
            Some(timer) if is_new => timer.as_mut().reset(sleep(limit).deadline()),
            _ => {}
        }
        self.timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut()
    }
}

impl Receive for Watched {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if let Poll::Ready(received) = self.body.poll_receive(cx, into) {
            self.is_waiting = false;
            return Poll::Ready(received);
        }
        ready!(self.timer().poll(cx));
        Poll::Ready(Err(Error::stalled(self.limit)))
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Stall<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let response = self.answered(self.inner.get(request)).await?;
        let watched = Watched { body: response.body, limit: self.piece, timer: None, is_waiting: false };
        Ok(GetResponse { body: Body::new(watched), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.answered(self.inner.head(request)).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.answered(self.inner.list(request)).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.answered(self.inner.list_versions(request)).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.answered(self.inner.symlink_target(key, version)).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.answered(self.inner.tags(key, version)).await
    }
}

/// How slowly what is put may go out, in bytes per second, before it counts as standing still.
const SLOWEST_PUT: u64 = 64 << 10;

/// How slowly the service may copy, in bytes per second: it says nothing until it has copied all of them. A copy of
/// the usual 200 MiB gets 50 s, where the official SDKs wait 10 or 20 s in all.
const SLOWEST_COPY: u64 = 4 << 20;

/// How long a change may take beyond the time for any answer.
fn time_for(change: &Change) -> Duration {
    Duration::from_secs(match change {
        Change::Put(request) => request.body.len() as u64 / SLOWEST_PUT,
        Change::Copy(request) => request.size / SLOWEST_COPY,
        Change::CopyPart(request) => request.range.len() / SLOWEST_COPY,
        // The service looks at each part.
        Change::CompleteUpload(request) => request.parts.len() as u64 / 100,
        Change::Delete(_) | Change::BeginUpload(_) | Change::ListParts(_) | Change::AbortUpload(_) => 0,
    })
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Stall<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        within(self.answer + time_for(&change), self.inner.change(change)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layers::{At, Fault, FaultStore, Operation};
    use crate::store::memory::MemoryStore;
    use crate::store::{ErrorKind, PutRequest};

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_ends_in_a_timeout_and_a_slow_reader_does_not() {
        let bucket = MemoryStore::new().chunk_bytes(10);
        bucket.put("k", vec![1; 100]);
        let faults = Arc::new(FaultStore::new(Arc::new(bucket)));
        let stall = Stall::new(faults.clone(), Duration::from_secs(5), Duration::from_secs(3));
        let get = || GetRequest::new(Key::new("k"));

        faults.once(Operation::Get, Fault::Late(Duration::from_secs(4)));
        let mut body = stall.get(get()).await.unwrap().body;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(body.read(&mut [0; 64]).await.unwrap(), 10);
        }
        assert_eq!(body.read(&mut [0; 64]).await.unwrap(), 0);

        faults.once(Operation::Get, Fault::Late(Duration::from_secs(6)));
        assert_eq!(stall.get(get()).await.unwrap_err().kind(), ErrorKind::Timeout);
        faults.once(Operation::List, Fault::Silence);
        assert_eq!(stall.list(ListRequest::default()).await.unwrap_err().kind(), ErrorKind::Timeout);

        faults.once(Operation::Write, Fault::Late(Duration::from_secs(12)));
        stall.put(PutRequest::new(Key::new("slow"), vec![0; 10 << 16])).await.unwrap();
        faults.once(Operation::Write, Fault::Silence);
        let put = stall.put(PutRequest::new(Key::new("never"), vec![0; 10 << 16])).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::Timeout);

        faults.once(Operation::Get, Fault::Stall(At::Byte(35)));
        let mut body = stall.get(get()).await.unwrap().body;
        for len in [10, 10, 10, 5] {
            assert_eq!(body.read(&mut [0; 64]).await.unwrap(), len);
        }
        let error = body.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "nothing arrived for 3.0 s"));
    }
}
