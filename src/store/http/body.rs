//! The body of an answer: where it ends, and whether its connection can be used again.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::chunked::Garbled;
use super::chunked::Piece;
use super::head::{Framing, Reuse};
use super::pool::Pool;
use super::stream::Connection;
use crate::store::{Error, ErrorKind, Receive, Result};

/// How much of a chunked body is received ahead, in bytes: its chunks lie between lines that are not content.
const CHUNKED_BYTES: usize = 64 << 10;

/// The body of an answer. Its connection goes back to the pool with the last byte; dropped before that, it is closed.
pub(in crate::store) struct Received {
    pool: Arc<Pool>,
    host: Arc<str>,
    reuse: Reuse,
    framing: Framing,
    /// `None` once the body has ended.
    connection: Option<Connection>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("framing", &self.framing).finish_non_exhaustive()
    }
}

impl Received {
    /// The body that follows on this connection.
    pub(super) fn new(connection: Connection, framing: Framing, reuse: Reuse, pool: Arc<Pool>, host: Arc<str>) -> Self {
        let mut body = Received { pool, host, reuse, framing, connection: Some(connection) };
        if let Framing::Length(0) = body.framing {
            body.end();
        }
        body
    }

    /// The last byte has come: the connection may serve another request, unless bytes came that belong to none.
    fn end(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.reuse == Reuse::Allowed
            && connection.ahead().is_empty()
        {
            self.pool.put(self.host.clone(), connection);
        }
    }

    /// Receives bytes up to a length, or up to the end of the connection.
    fn poll_plain(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let before = into.filled().len();
        ready!(connection.poll_receive(cx, into)).map_err(broke)?;
        let received = (into.filled().len() - before) as u64;
        match &mut self.framing {
            Framing::Length(_) if received == 0 => return Poll::Ready(Err(ended_early())),
            Framing::Length(left) if received < *left => *left -= received,
            Framing::Length(left) => {
                if received > *left {
                    // Whatever it is, it was not asked for.
                    self.reuse = Reuse::Never;
                    into.set_filled(before + *left as usize);
                }
                self.end();
            }
            _ if received == 0 => self.end(),
            _ => {}
        }
        Poll::Ready(Ok(()))
    }

    fn poll_chunked(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        loop {
            let Some(piece) = self.next_piece()? else { return Poll::Ready(Ok(())) };
            let (Framing::Chunked(chunks), Some(connection)) = (&mut self.framing, &mut self.connection) else {
                return Poll::Ready(Ok(()));
            };
            match piece {
                Piece::Data(len) => {
                    let len = len.min(into.remaining());
                    into.put_slice(&connection.ahead()[..len]);
                    connection.consume(len);
                    chunks.taken(len);
                    // A caller that knows the length asks no further: the end is looked for where it may have come
                    // already. What is wrong there is told at the next call.
                    let _ = self.next_piece();
                    return Poll::Ready(Ok(()));
                }
                _ if ready!(connection.poll_fill(cx, CHUNKED_BYTES)).map_err(broke)? == 0 => {
                    return Poll::Ready(Err(ended_early()));
                }
                _ => {}
            }
        }
    }

    /// The next data of a chunked body, or `More`; `None` at its end.
    fn next_piece(&mut self) -> Result<Option<Piece>> {
        let (Framing::Chunked(chunks), Some(connection)) = (&mut self.framing, &mut self.connection) else {
            return Ok(None);
        };
        loop {
            match chunks.next(connection.ahead()).map_err(garbled)? {
                Piece::Skip(len) => connection.consume(len),
                Piece::End => break,
                piece => return Ok(Some(piece)),
            }
        }
        self.end();
        Ok(None)
    }
}

impl Receive for Received {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        match self.framing {
            Framing::Chunked(_) => self.poll_chunked(cx, into),
            _ => self.poll_plain(cx, into),
        }
    }
}

fn broke(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Network, "the connection broke").with_source(Some(error.into()))
}

fn ended_early() -> Error {
    Error::new(ErrorKind::Network, "the answer ended early")
}

fn garbled(garbled: Garbled) -> Error {
    Error::new(ErrorKind::Protocol, format!("the answer is malformed: {}", garbled.0))
}
