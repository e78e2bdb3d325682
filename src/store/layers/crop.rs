//! Answers that hold more bytes than were asked for, cut to those.
//!
//! Some servers ignore the Range header and send every object from its first byte. Its bytes are right, and are read:
//! what lies before the range is skipped, and the connection is closed behind it. That is dear, so an answer of this
//! kind is not believed at once where the server has kept to ranges before: a middle box may have spoiled it, and the
//! request is sent again first.
//!
//! Stands above the layers that watch over bodies: they see the bytes that are skipped, and count them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use tokio::io::ReadBuf;

use crate::base::{ByteRange, Key};
use crate::metrics::{Metric, Metrics};
use crate::store::{
    Body, Change, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome,
    Receive, Result, Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// How much is skipped at once, in bytes.
const SKIPPED_BYTES: usize = 64 << 10;

/// Cuts answers to the range that was asked for.
#[derive(Debug)]
pub struct Crop<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    metrics: Arc<Metrics>,
    /// Whether the last answer to a request for a range kept to it.
    keeps_to_ranges: AtomicBool,
    was_told: AtomicBool,
}

impl<S: ?Sized> Crop<S> {
    /// Takes the store for one that keeps to ranges, until two answers in a row have shown that it does not.
    pub fn new(inner: Arc<S>, metrics: Arc<Metrics>) -> Self {
        Crop { inner, metrics, keeps_to_ranges: AtomicBool::new(true), was_told: AtomicBool::new(false) }
    }

    /// Fails once where the store kept to ranges so far, so that the request is sent again.
    fn found_wide(&self, key: &Key, asked: ByteRange, received: ByteRange) -> Result<()> {
        if self.keeps_to_ranges.swap(false, Ordering::Relaxed) {
            let message =
                format!("{asked:?} was requested and {received:?} received: the server ignores the Range header");
            return Err(Error::new(ErrorKind::Protocol, message).with_key(key.to_string()));
        }
        if !self.was_told.swap(true, Ordering::Relaxed) {
            self.metrics.set(Metric::RangesIgnored, 1);
            tracing::warn!(
                key = key.as_str(),
                ?asked,
                ?received,
                "the server ignores the Range header and sends objects from their first byte; what lies before the \
                 wanted bytes is received and dropped, so that reads far into large objects are slow"
            );
        }
        Ok(())
    }
}

/// The answer cut to the bytes `asked` for, where it holds them; else as it is.
pub(super) fn crop(response: GetResponse, asked: ByteRange) -> GetResponse {
    let GetResponse { meta, range, body } = response;
    let wanted = asked.intersect(ByteRange::new(0, meta.size));
    if range == wanted || !range.contains(wanted) {
        return GetResponse { meta, range, body };
    }
    let body = Cropped { body: Some(body), skip: wanted.start - range.start, left: wanted.len(), room: Vec::new() };
    GetResponse { meta, range: wanted, body: Body::new(body) }
}

/// A body without its first bytes and without its last ones.
struct Cropped {
    /// `None` once all that is wanted has come.
    body: Option<Body>,
    /// Bytes before those that are wanted.
    skip: u64,
    /// Bytes that are wanted.
    left: u64,
    /// Where bytes go that are skipped.
    room: Vec<u8>,
}

impl Receive for Cropped {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let Cropped { body: source, skip, left, room } = &mut *self;
        let Some(body) = source.as_mut().filter(|_| *left > 0) else { return Poll::Ready(Ok(())) };
        while *skip > 0 {
            let len = usize::try_from(*skip).unwrap_or(SKIPPED_BYTES).min(SKIPPED_BYTES);
            room.resize(room.len().max(len), 0);
            let mut skipped = ReadBuf::new(&mut room[..len]);
            ready!(body.poll_receive(cx, &mut skipped))?;
            match skipped.filled().len() as u64 {
                0 => return Poll::Ready(Err(Error::ended_early(*skip + *left))),
                len => *skip -= len,
            }
        }
        *room = Vec::new();
        let before = into.filled().len();
        ready!(body.poll_receive(cx, into))?;
        let received = (into.filled().len() - before) as u64;
        if received == 0 {
            return Poll::Ready(Err(Error::ended_early(*left)));
        }
        let kept = received.min(*left);
        into.set_filled(before + kept as usize);
        *left -= kept;
        if *left == 0 {
            // What follows was not asked for.
            *source = None;
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Crop<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let Some(asked) = request.range else { return self.inner.get(request).await };
        let key = request.key.clone();
        let answer = self.inner.get(request).await?;
        let received = answer.range;
        let response = crop(answer, asked);
        if response.range == received {
            // An answer that has all of the object, as was asked for, tells nothing.
            if received.len() < response.meta.size {
                self.keeps_to_ranges.store(true, Ordering::Relaxed);
            }
        } else {
            self.found_wide(&key, asked, received)?;
        }
        Ok(response)
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
impl<S: StoreMut + ?Sized> StoreMut for Crop<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        self.inner.change(change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    const LEN: u64 = 300_000;

    fn pattern() -> Vec<u8> {
        (0..LEN).map(|at| (at % 251) as u8).collect()
    }

    /// A body of the whole object, as a server sends it that ignores ranges.
    async fn whole() -> GetResponse {
        let bucket = MemoryStore::new().chunk_bytes(1000);
        bucket.put("k", pattern());
        bucket.get(GetRequest::new(Key::new("k"))).await.unwrap()
    }

    #[tokio::test]
    async fn a_range_is_cut_out_of_an_answer_that_holds_more() {
        for (start, end) in
            [(0, 1), (0, 1000), (999, 1001), (70_000, 250_000), (LEN - 1, LEN), (100, LEN), (5, LEN + 9)]
        {
            let response = crop(whole().await, ByteRange::new(start, end));
            let end = end.min(LEN);
            assert_eq!(response.range, ByteRange::new(start, end));
            let bytes = response.body.collect(LEN as usize).await.unwrap();
            assert!(bytes == pattern()[start as usize..end as usize], "{start}..{end}");
        }
    }

    #[tokio::test]
    async fn a_body_that_ends_before_or_within_the_range_is_an_error() {
        for (start, end) in [(400_000, 500_000), (299_000, 301_000)] {
            let mut response = whole().await;
            // As if the answer had told of more.
            response.range = ByteRange::new(0, 600_000);
            response.meta.size = 600_000;
            let error = crop(response, ByteRange::new(start, end)).body.collect(LEN as usize).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Network, "{error}");
        }
    }

    #[tokio::test]
    async fn other_bytes_than_those_asked_for_are_left_for_the_caller_to_refuse() {
        let mut response = whole().await;
        response.range = ByteRange::new(10, LEN);
        assert_eq!(crop(response, ByteRange::new(5, 20)).range, ByteRange::new(10, LEN));
    }
}
