//! A bucket whose answers take simulated time: a first byte after 20 ms, then 100 MB/s on each of 64 connections.
//!
//! Its objects take no memory: but for their first and last bytes they are zeros. Nothing bounds what all connections
//! bring together, so that a trace shows what its waits cost and `fetched` what its guesses do.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::ReadBuf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::trace::TraceFile;
use crate::base::{ByteRange, ETag, Key};
use crate::store::{
    Body, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Receive, Result,
    Store, Tags, VersionPage, VersionsRequest,
};

const FIRST_BYTE: Duration = Duration::from_millis(20);
const BYTES_PER_SECOND: u64 = 100_000_000;
const CONNECTIONS: usize = 64;
const PIECE_BYTES: u64 = 256 << 10;

/// The objects of a trace, and what was asked for.
#[derive(Debug)]
pub(super) struct Bucket {
    objects: HashMap<String, TraceFile>,
    connections: Arc<Semaphore>,
    pub(super) gets: AtomicU64,
    sent_bytes: Arc<AtomicU64>,
}

impl Bucket {
    pub(super) fn new(files: &[TraceFile]) -> Self {
        let objects = files.iter().map(|file| (file.key.clone(), file.clone())).collect();
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        Bucket { objects, connections, gets: AtomicU64::new(0), sent_bytes: Arc::default() }
    }

    /// Bytes of bodies that were received.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }
}

/// A body on its way.
struct Sending {
    file: TraceFile,
    range: ByteRange,
    at: u64,
    began: Instant,
    sleep: Pin<Box<Sleep>>,
    sent_bytes: Arc<AtomicU64>,
    _connection: OwnedSemaphorePermit,
}

impl Receive for Sending {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let piece = PIECE_BYTES.min(self.range.end - self.at).min(into.remaining() as u64);
        let sent = self.at + piece - self.range.start;
        let due = self.began + Duration::from_nanos(sent * 1_000_000_000 / BYTES_PER_SECOND);
        if self.sleep.deadline() != due {
            self.sleep.as_mut().reset(due);
        }
        ready!(self.sleep.as_mut().poll(cx));
        let sent = ByteRange::at(self.at, piece);
        let bytes = into.initialize_unfilled_to(piece as usize);
        bytes.fill(0);
        let TraceFile { size, head, tail, .. } = &self.file;
        for (at, known) in [(0, head), (size - tail.len() as u64, tail)] {
            let both = sent.intersect(ByteRange::at(at, known.len() as u64));
            if !both.is_empty() {
                let within = |start: u64| (both.start - start) as usize..(both.end - start) as usize;
                bytes[within(self.at)].copy_from_slice(&known[within(at)]);
            }
        }
        into.advance(piece as usize);
        self.at += piece;
        self.sent_bytes.fetch_add(piece, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "the bucket of a trace answers GETs alone")
}

#[async_trait]
impl Store for Bucket {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let file = &self.objects[request.key.as_str()];
        self.gets.fetch_add(1, Ordering::Relaxed);
        // The semaphore is never closed.
        let connection = self.connections.clone().acquire_owned().await.unwrap();
        tokio::time::sleep(FIRST_BYTE).await;
        let range = request.range.unwrap_or(ByteRange::new(0, file.size));
        let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        let sending = Sending {
            file: file.clone(),
            range,
            at: range.start,
            began: sleep.deadline(),
            sleep,
            sent_bytes: self.sent_bytes.clone(),
            _connection: connection,
        };
        let meta = ObjectMeta { size: file.size, etag: tag(), ..ObjectMeta::default() };
        Ok(GetResponse { meta, range, body: Body::new(sending) })
    }

    async fn head(&self, _: HeadRequest) -> Result<ObjectMeta> {
        Err(unsupported())
    }

    async fn list(&self, _: ListRequest) -> Result<ListPage> {
        Err(unsupported())
    }

    async fn list_versions(&self, _: VersionsRequest) -> Result<VersionPage> {
        Err(Error::new(ErrorKind::Unsupported, "no versions are listed here"))
    }

    async fn symlink_target(&self, _: &Key, _: Option<&str>) -> Result<String> {
        Err(unsupported())
    }

    async fn tags(&self, _: &Key, _: Option<&str>) -> Result<Tags> {
        Err(unsupported())
    }
}

/// The tag of all objects.
pub(super) fn tag() -> Option<ETag> {
    ETag::parse("0123456789ABCDEF0123456789ABCDEF")
}
