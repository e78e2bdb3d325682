//! The bytes of an answer, received into memory of the caller: from the socket to where they stay without a copy on
//! the way, through every layer of the store.

use std::fmt;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::{Error, ErrorKind, Result};

/// The least room that [`Body::collect`] offers at once, in bytes.
const COLLECT_BYTES: usize = 16 << 10;

/// Where a [`Body`] comes from.
pub trait Receive: Send {
    /// Receives what there is into the room that `into` has left. Ready with nothing received means the end, for which
    /// there must be room; no call follows after the end or after an error, with which nothing is received.
    fn poll_receive(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>>;
}

/// The bytes of a body as they arrive, in order. It ends after exactly the bytes of
/// [`GetResponse::range`](super::GetResponse::range); a body that ends early or late is an error, never a silent end.
pub struct Body(Pin<Box<dyn Receive>>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl Body {
    /// The bytes of this source.
    pub fn new(source: impl Receive + 'static) -> Self {
        Body(Box::pin(source))
    }

    /// Returns what [`Receive::poll_receive`] of the body returns.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.0.as_mut().poll_receive(cx, into)
    }

    /// Waits for the next bytes and receives them at the start of `into`, which must not be empty. Returns those that
    /// came, at least one, or none at the end.
    ///
    /// May be dropped while it waits: no byte is lost.
    pub async fn receive<'m>(&mut self, into: &'m mut [MaybeUninit<u8>]) -> Result<&'m mut [u8]> {
        let start = into.as_ptr().addr();
        let mut room = ReadBuf::uninit(into);
        std::future::poll_fn(|cx| self.poll_receive(cx, &mut room)).await?;
        let len = room.filled().len();
        // A source could put another buffer in the place of this one; its bytes would not be where the caller looks.
        assert_eq!(room.filled().as_ptr().addr(), start, "a body leaves the buffer that it is given in its place");
        // SAFETY: these bytes are the filled part of a `ReadBuf` over `into` (checked above), so they are within it and
        // initialised; the `ReadBuf`, which borrowed `into`, is not used any more.
        Ok(unsafe { std::slice::from_raw_parts_mut(into.as_mut_ptr().cast::<u8>(), len) })
    }

    /// Waits for the next bytes and receives them at the start of `into`, which must not be empty. Returns how many
    /// came; none means the end.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut room = ReadBuf::new(into);
        std::future::poll_fn(|cx| self.poll_receive(cx, &mut room)).await?;
        Ok(room.filled().len())
    }

    /// All that is left. Fails with [`ErrorKind::Protocol`] when there are more than `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            all.reserve(COLLECT_BYTES);
            let received = self.receive(all.spare_capacity_mut()).await?.len();
            if received == 0 {
                return Ok(all);
            }
            // SAFETY: `receive` has initialised so many bytes at the start of the spare capacity.
            unsafe { all.set_len(all.len() + received) };
            if all.len() > limit {
                return Err(Error::new(ErrorKind::Protocol, format!("the answer is larger than {limit} bytes")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Key;
    use crate::store::memory::MemoryStore;
    use crate::store::{GetRequest, Store};

    async fn body(bytes: &[u8]) -> Body {
        let bucket = MemoryStore::new().chunk_bytes(10);
        bucket.put("k", bytes.to_vec());
        bucket.get(GetRequest::new(Key::new("k"))).await.unwrap().body
    }

    #[tokio::test]
    async fn bytes_come_as_there_is_room_and_none_is_the_end() {
        let mut room = [MaybeUninit::new(b'-'); 8];
        let mut body = body(b"0123456789abc").await;
        for piece in [&b"01234567"[..], b"89abc", b"", b""] {
            assert_eq!(body.receive(&mut room).await.unwrap(), piece);
        }
    }

    #[tokio::test]
    async fn all_of_a_body_is_collected_up_to_a_limit() {
        let bytes = vec![7; COLLECT_BYTES * 3];
        assert_eq!(body(&bytes).await.collect(bytes.len()).await.unwrap(), bytes);
        let error = body(&bytes).await.collect(bytes.len() - 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}
