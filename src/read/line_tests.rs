//! A line on which all connections together bring only so much, in simulated time.
//!
//! What was sent and not received yet lies in the buffer of its connection, as with TCP: a body that is not received
//! stops the sender once that buffer is full, and not before.

use std::pin::Pin;

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::ReadBuf;

use crate::base::{ByteRange, ETag, Key};
use crate::store::{
    Body, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Receive, Result,
    Store, Tags, VersionPage, VersionsRequest,
};

const TICK_MS: u64 = 5;
/// A sender gives up on a connection that has taken nothing for so long.
const PATIENCE_MS: u64 = 10_000;

/// A bucket of zeros at the other end of a line.
#[derive(Debug)]
pub(super) struct Line {
    size: u64,
    first_byte: Duration,
    /// Bytes of all connections, of one connection in a tick, and what the buffer of one holds.
    all_per_tick: u64,
    one_per_tick: u64,
    buffer_bytes: u64,
    connections: Arc<Mutex<Vec<Weak<Mutex<Connection>>>>>,
}

#[derive(Debug)]
struct Connection {
    /// What the sender has not sent yet.
    unsent: u64,
    buffered: u64,
    /// For how long nothing could be sent.
    stood_ms: u64,
    waker: Option<Waker>,
}

impl Line {
    /// Objects of this size, over a line of so many MB/s, of which one connection has so many at most.
    pub(super) fn new(size: u64, all_mb_per_s: u64, one_mb_per_s: u64) -> Arc<Self> {
        let line = Line {
            size,
            first_byte: Duration::from_millis(20),
            all_per_tick: all_mb_per_s * 1000 * TICK_MS,
            one_per_tick: one_mb_per_s * 1000 * TICK_MS,
            buffer_bytes: (one_mb_per_s * 2000 * TICK_MS).clamp(64 << 10, 1 << 20),
            connections: Arc::default(),
        };
        tokio::spawn(carry(line.connections.clone(), (line.all_per_tick, line.one_per_tick, line.buffer_bytes)));
        Arc::new(line)
    }
}

/// Carries what fits on the line in each tick, shared alike by the connections that can take it.
async fn carry(
    connections: Arc<Mutex<Vec<Weak<Mutex<Connection>>>>>,
    (all_per_tick, one_per_tick, buffer_bytes): (u64, u64, u64),
) {
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        let open: Vec<_> = {
            let mut connections = connections.lock();
            connections.retain(|connection| connection.strong_count() > 0);
            connections.iter().filter_map(Weak::upgrade).collect()
        };
        let room =
            |connection: &Connection| connection.unsent.min(buffer_bytes - connection.buffered).min(one_per_tick);
        let mut rooms: Vec<(u64, &Arc<Mutex<Connection>>)> =
            open.iter().map(|connection| (room(&connection.lock()), connection)).collect();
        // Those that take the least first: what they leave is for the others.
        rooms.sort_by_key(|(room, _)| *room);
        let (mut left, mut sharers) = (all_per_tick, rooms.len() as u64);
        for (room, connection) in rooms {
            let bytes = room.min(left / sharers);
            (left, sharers) = (left - bytes, sharers - 1);
            let mut connection = connection.lock();
            connection.stood_ms = if bytes == 0 { connection.stood_ms + TICK_MS } else { 0 };
            connection.unsent -= bytes;
            connection.buffered += bytes;

            if connection.buffered > 0
                && let Some(waker) = connection.waker.take()
            {
                waker.wake();
            }
        }
    }
}

struct Receiving(Arc<Mutex<Connection>>);

impl Receive for Receiving {
    fn poll_receive(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let mut connection = self.0.lock();
        if connection.stood_ms > PATIENCE_MS && connection.unsent > 0 {
            return Poll::Ready(Err(Error::new(ErrorKind::Network, "the sender has given up")));
        }
        if connection.buffered == 0 && connection.unsent > 0 {
            connection.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = connection.buffered.min(into.remaining() as u64);
        into.initialize_unfilled_to(bytes as usize);
        into.advance(bytes as usize);
        connection.buffered -= bytes;
        Poll::Ready(Ok(()))
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "the bucket at the end of a line answers GETs alone")
}

/// The tag of all objects.
pub(super) fn tag() -> Option<ETag> {
    ETag::parse("0123456789ABCDEF0123456789ABCDEF")
}

#[async_trait]
impl Store for Line {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        tokio::time::sleep(self.first_byte).await;
        let range = request.range.unwrap_or(ByteRange::new(0, self.size));
        let connection =
            Arc::new(Mutex::new(Connection { unsent: range.len(), buffered: 0, stood_ms: 0, waker: None }));
        self.connections.lock().push(Arc::downgrade(&connection));
        let meta = ObjectMeta { size: self.size, etag: tag(), ..ObjectMeta::default() };
        Ok(GetResponse { meta, range, body: Body::new(Receiving(connection)) })
    }

    async fn head(&self, _: HeadRequest) -> Result<ObjectMeta> {
        Err(unsupported())
    }

    async fn list(&self, _: ListRequest) -> Result<ListPage> {
        Err(unsupported())
    }

    async fn list_versions(&self, _: VersionsRequest) -> Result<VersionPage> {
        Err(unsupported())
    }

    async fn symlink_target(&self, _: &Key, _: Option<&str>) -> Result<String> {
        Err(unsupported())
    }

    async fn tags(&self, _: &Key, _: Option<&str>) -> Result<Tags> {
        Err(unsupported())
    }
}
