//! The bytes of a connection, encrypted or not, and what of them has arrived ahead of its use.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::addresses::{Address, Load};
use crate::base::Clock;

/// Room for the head of an answer and the few bytes of a small body that come with it: one call to the system brings
/// both.
const BUFFER_BYTES: usize = 8 << 10;

/// TLS asks for 4 KiB at a time: from a buffer it takes them without a call to the system.
pub(super) const TLS_BUFFER_BYTES: usize = 64 << 10;

/// A connection's two directions.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<BufReader<TcpStream>>>),
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

/// A request as it is written.
pub(super) struct Encoded {
    /// The head, and the body where it is small.
    pub(super) head: Vec<u8>,
    /// The body where it is not.
    pub(super) body: Bytes,
}

/// An open connection to a server.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// What has been received ahead lies between `start` and `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where it leads, where that is known.
    address: Option<Arc<Address>>,
    /// The request that is on its way.
    load: Option<Load>,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Connection { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, address: None, load: None }
    }

    /// With a request on its way to where it leads.
    pub(super) fn carrying(self, load: Load) -> Self {
        Connection { address: Some(load.address().clone()), load: Some(load), ..self }
    }

    /// Another request is on its way.
    pub(super) fn carry_another(&mut self, clock: &Clock) {
        self.load = self.address.clone().map(|address| Load::begin(address, clock.clone()));
    }

    /// The request that is on its way, where it is known whither.
    pub(super) fn load(&mut self) -> Option<&mut Load> {
        self.load.as_mut()
    }

    /// Whether it leads there.
    pub(super) fn leads_to(&self, address: &Arc<Address>) -> bool {
        self.address.as_ref().is_some_and(|own| Arc::ptr_eq(own, address))
    }

    /// What has been received and not used.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Marks bytes of [`ahead`](Self::ahead) as used.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end, "only what has been received is used");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Receives more behind what is there, in a buffer that grows to at most twice `wanted` bytes; returns how much
    /// came, none at the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() || self.buffer.len() < wanted {
            self.buffer.resize((self.end * 2).max(wanted), 0);
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(self.stream.poll_read(cx, &mut room))?;
        let received = room.filled().len();
        self.end += received;
        Poll::Ready(Ok(received))
    }

    /// Receives into `into`: first what is there already, else straight from the network. Nothing means the end.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ahead = self.ahead();
        if ahead.is_empty() {
            return self.stream.poll_read(cx, into);
        }
        let len = ahead.len().min(into.remaining());
        into.put_slice(&ahead[..len]);
        self.consume(len);
        Poll::Ready(Ok(()))
    }

    /// Sends bytes from `sent` on; ready when all are on their way.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        while *sent < bytes.len() {
            match ready!(self.stream.poll_write(cx, &bytes[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => *sent += len,
            }
        }
        self.stream.poll_flush(cx)
    }

    /// Whether the other side has neither closed the connection nor sent bytes without a request.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        self.ahead().is_empty() && self.stream.poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// The socket of a connection that is not encrypted and on which nothing has come ahead.
    pub(super) fn into_quiet_socket(self) -> Option<TcpStream> {
        match self.stream {
            Stream::Plain(socket) if self.start == self.end => Some(socket),
            _ => None,
        }
    }

    /// The request has ended: gives back memory that only large answers need.
    pub(super) fn rest(&mut self) {
        self.load = None;
        if self.buffer.len() > BUFFER_BYTES {
            self.buffer = vec![0; BUFFER_BYTES];
            (self.start, self.end) = (0, 0);
        }
    }
}
