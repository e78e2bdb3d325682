//! What is served beside the mount and never through it: figures for Prometheus and the state of health, over HTTP.
//!
//! The server starts before the first request to the bucket, so that `/readyz` can explain a mount that is not ready.
//! The number of clients and the time of each are bounded. A connection carries one request.
//!
//! | file | what it owns |
//! |---|---|
//! | `answer` | the answer to each path |
//! | `page` | the page for people |
//! | `ready` | whether a mount is ready |

mod answer;
mod page;
mod ready;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

pub(super) use page::History;
pub(super) use ready::Readiness;

use crate::config::{MetricsListen, Problem, Result};
use crate::files;
use crate::fs::Fs;

/// Clients at once. A further client replaces the oldest one that has sent no request: probes of health must not wait
/// for silent clients.
const MOST_CLIENTS: usize = 64;

/// The longest that a client may take over its request and the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Before it is tried again to take clients, where that failed: for lack of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of a request that are looked at.
const MOST_REQUEST_BYTES: usize = 16 << 10;

/// An open door. Dropping it closes it.
pub(super) struct Beside {
    address: String,
    _socket: Option<files::Own>,
    served: Arc<OnceLock<Served>>,
    task: JoinHandle<()>,
}

/// The mount that is spoken of.
pub(super) struct Served {
    pub(super) file_system: Arc<Fs>,
    /// Becomes true when the kernel has ended the session.
    pub(super) ended: watch::Receiver<bool>,
    pub(super) readiness: Arc<Readiness>,
    /// What the page has shown before.
    pub(super) history: History,
}

/// Where clients come in.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Beside {
    /// Listens, and says that nothing is mounted until [`Beside::serve`]. Must be called within a runtime. Fails with
    /// what to do, where the address is taken or is none of this machine's.
    pub(super) async fn open(listen: &MetricsListen) -> Result<Beside> {
        let opened = match listen {
            MetricsListen::Tcp(address) => open_tcp(address).await,
            MetricsListen::Unix(path) => open_unix(path),
        };
        let (listener, address, socket) = opened.map_err(|error| {
            Problem::failure(format!("metrics-listen {listen}: cannot listen there: {error}; name another address"))
        })?;
        let served = Arc::new(OnceLock::new());
        let task = tokio::spawn(take_clients(listener, served.clone()));
        Ok(Beside { address, _socket: socket, served, task })
    }

    /// Speaks of this mount from now on. Once; a second time changes nothing.
    pub(super) fn serve(&self, served: Served) {
        let _ = self.served.set(served);
    }

    /// Where it listens: host and port, or a path.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An open listener, how its address is shown, and the name that it has given to a socket.
type Opened = (Listener, String, Option<files::Own>);

async fn open_tcp(address: &str) -> io::Result<Opened> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?.to_string();
    Ok((Listener::Tcp(listener), address, None))
}

/// Users who may write to the socket may ask: its owner, unless the mode is changed.
fn open_unix(path: &Path) -> io::Result<Opened> {
    let (listener, own) = files::bind(path, 0o755)?;
    let listener = UnixListener::from_std(listener)?;
    Ok((Listener::Unix(listener), path.display().to_string(), Some(own)))
}

async fn take_clients(listener: Listener, served: Arc<OnceLock<Served>>) {
    let mut clients = Clients::default();
    loop {
        let taken = match &listener {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(client, _): (_, SocketAddr)| attend(client, served.clone()))
            }
            Listener::Unix(listener) => listener.accept().await.map(|(client, _)| attend(client, served.clone())),
        };
        match taken {
            Ok(client) => clients.take(client),
            Err(error) => {
                tracing::warn!(%error, "the metrics server cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A client that is served.
struct Client {
    task: AbortHandle,
    has_asked: Arc<AtomicBool>,
}

/// Those that are served, oldest first. Dropping it ends them.
#[derive(Default)]
struct Clients(VecDeque<Client>);

impl Clients {
    /// Takes one more. Where there are too many the oldest that has not asked goes, else the oldest.
    fn take(&mut self, client: Client) {
        self.0.retain(|client| !client.task.is_finished());
        while self.0.len() >= MOST_CLIENTS {
            let silent = self.0.iter().position(|client| !client.has_asked.load(Ordering::Relaxed));
            if let Some(oldest) = self.0.remove(silent.unwrap_or(0)) {
                oldest.task.abort();
            }
        }
        self.0.push_back(client);
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.0.iter().for_each(|client| client.task.abort());
    }
}

/// Serves one client in a task of its own.
fn attend<S>(client: S, served: Arc<OnceLock<Served>>) -> Client
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let has_asked = Arc::new(AtomicBool::new(false));
    let asks = has_asked.clone();
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        asks.store(true, Ordering::Relaxed);
        let served = served.clone();
        async move { answer::answer(request.method(), request.uri().path(), served.get()).await }
    });
    let task = tokio::spawn(async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .max_buf_size(MOST_REQUEST_BYTES)
            .serve_connection(TokioIo::new(client), answer);
        match tokio::time::timeout(PATIENCE, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a client of the metrics server disconnected"),
            Err(_) => tracing::debug!("a client of the metrics server timed out"),
        }
    });
    Client { task: task.abort_handle(), has_asked }
}
