//! The accept loop and the connections, on threads of their own.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{MsgFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::sendfile::{Leading, leading};
use super::service::Service;

/// How long stopping waits for threads that are in the middle of a file.
const STOPPING: Duration = Duration::from_secs(5);
/// After a failed accept (no descriptors left), as long passes before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A listening server. Dropping it closes every connection and joins its thread.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Binds and begins to serve.
    pub(super) fn start(listen: SocketAddr, threads: usize, service: Arc<Service>) -> io::Result<Server> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("emulator")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || run(runtime, listener, service, stopped);
        let thread = thread::Builder::new().name("emulator-accept".to_owned()).spawn(serve)?;
        Ok(Server { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn run(
    runtime: Runtime,
    listener: std::net::TcpListener,
    service: Arc<Service>,
    stopped: oneshot::Receiver<Infallible>,
) {
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        tokio::select! {
            _ = stopped => {}
            error = accept(listener, service, &mut connections) => {
                tracing::error!(%error, "the emulator cannot listen");
            }
        }
        connections.shutdown().await;
    });
    runtime.shutdown_timeout(STOPPING);
}

async fn accept(listener: std::net::TcpListener, service: Arc<Service>, connections: &mut JoinSet<()>) -> io::Error {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if service.refuses_connection() {
            // Without lingering, closing resets.
            let _ = stream.set_zero_linger();
            continue;
        }
        connections.spawn(serve(stream, service.clone()));
    }
}

async fn serve(stream: TcpStream, service: Arc<Service>) {
    // Small answers must not wait for the acknowledgement of the ones before.
    let _ = stream.set_nodelay(true);
    let addressed = stream.local_addr().ok();
    let connection = Arc::new(Connection::default());
    let wire = Wire { stream, connection: connection.clone(), service: service.clone() };
    let answer = service_fn(move |request| service.clone().answer(request, connection.clone(), addressed));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .half_close(true)
        .writev(true)
        .max_buf_size(1 << 20)
        .serve_connection(TokioIo::new(wire), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// The socket, which counts what is written, sends files for their stand-ins, and can be closed with a reset.
struct Wire {
    stream: TcpStream,
    connection: Arc<Connection>,
    service: Arc<Service>,
}

impl Wire {
    /// Calls `send` when the socket takes bytes, again for as long as it turns out to be full.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || send(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.service.tally().wire_bytes.fetch_add(bytes as u64, Relaxed);
        }
        written
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.ends_in_reset() {
            // If this fails the connection still ends early, only more politely.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match leading(bufs) {
            Leading::StandIn(len) => self.poll_send(cx, |socket| self.connection.outgoing.lock().send(socket, len)),
            Leading::Bytes { slices, is_followed: true } => self.poll_send(cx, |socket| {
                let more = MsgFlags::from_bits_retain(libc::MSG_MORE) | MsgFlags::MSG_NOSIGNAL;
                Ok(sendmsg::<()>(socket.as_raw_fd(), &bufs[..slices], &[], more, None)?)
            }),
            Leading::Bytes { is_followed: false, .. } => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        };
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.ends_in_reset() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
