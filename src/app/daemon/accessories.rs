//! What a daemon has beside its mount: the pid file, the control socket, the metrics server, the entry among the live
//! mounts.
//!
//! A mount fails with an error where one of those that were named cannot be had. A daemon that goes
//! on with a mount has users who wait: it serves them, says what is missing, and tries again until it has all of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::beside::{Beside, History, Readiness, Served};
use super::registry::{self, Registration};
use super::socket::Door;
use crate::config::{ControlSocket, MetricsListen, Problem, Result, Run};
use crate::files;
use crate::fs::Fs;

/// Pauses before what is missing is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Which of them a mount shall have.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) pid_file: Option<PathBuf>,
    pub(super) control_socket: ControlSocket,
    pub(super) metrics_listen: Option<MetricsListen>,
}

/// The mount that they speak of.
pub(super) struct About {
    pub(super) file_system: Arc<Fs>,
    /// Where it is; none where another program has mounted.
    pub(super) dir: Option<PathBuf>,
    pub(super) source: String,
    /// Becomes true when the kernel has ended the session.
    pub(super) ended: tokio::sync::watch::Receiver<bool>,
    pub(super) readiness: Arc<Readiness>,
}

/// Where control requests and figures can be had, each known from when it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    pub(super) socket: Arc<OnceLock<PathBuf>>,
    pub(super) metrics: Arc<OnceLock<String>>,
}

/// Those that a mount has. Dropping it takes them away.
pub(super) struct Accessories {
    shared: Arc<Shared>,
    /// Tries again what is missing.
    task: Option<JoinHandle<()>>,
}

struct Shared {
    wanted: Wanted,
    about: About,
    addresses: Addresses,
    had: Mutex<Had>,
}

#[derive(Default)]
struct Had {
    pid_file: Option<files::Own>,
    door: Option<Door>,
    beside: Option<Beside>,
    registration: Option<Registration>,
}

/// What cannot be had, and why.
type Missing = Vec<Problem>;

impl Wanted {
    /// Those that the options of a mount name.
    pub(super) fn of(run: &Run) -> Self {
        let Run { pid_file, control_socket, metrics_listen, .. } = run.clone();
        Wanted { pid_file, control_socket, metrics_listen }
    }
}

impl Accessories {
    /// Makes those of a mount that goes on, or of a new one.
    pub(super) async fn of(
        goes_on: bool,
        wanted: Wanted,
        about: About,
        beside: Option<Beside>,
        addresses: Addresses,
    ) -> Result<Self> {
        match goes_on {
            true => Ok(Self::gather(wanted, about, beside, addresses).await),
            false => Self::demand(wanted, about, beside, addresses).await,
        }
    }

    /// Makes all of them for the first life of a mount. `beside` listens already. Fails where one that was named cannot
    /// be had.
    async fn demand(wanted: Wanted, about: About, beside: Option<Beside>, addresses: Addresses) -> Result<Self> {
        let shared = Shared::new(wanted, about, beside, addresses);
        match shared.complete().await.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Accessories { shared, task: None }),
        }
    }

    /// Makes what can be had now for a later life of a mount, and the others as soon as they can.
    async fn gather(wanted: Wanted, about: About, beside: Option<Beside>, addresses: Addresses) -> Self {
        let shared = Shared::new(wanted, about, beside, addresses);
        let missing = shared.complete().await;
        for problem in &missing {
            tracing::warn!("{problem}; the mount works without it, and this is retried");
        }
        let task = (!missing.is_empty()).then(|| tokio::spawn(shared.clone().keep_trying()));
        Accessories { shared, task }
    }
}

impl Drop for Accessories {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // Not left to the task, which ends at some time after this.
        drop(std::mem::take(&mut *self.shared.had.lock()));
    }
}

impl Shared {
    fn new(wanted: Wanted, about: About, beside: Option<Beside>, addresses: Addresses) -> Arc<Shared> {
        let had = Mutex::new(Had { beside, ..Had::default() });
        Arc::new(Shared { wanted, about, addresses, had })
    }

    async fn keep_trying(self: Arc<Self>) {
        let mut pause = PAUSES.0;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            if self.complete().await.is_empty() {
                tracing::info!("what could not be created beside the mount at first exists now");
                return;
            }
        }
    }

    /// Makes what is not there yet.
    async fn complete(&self) -> Missing {
        let mut missing = Missing::new();
        missing.extend(self.write_pid_file().err());
        missing.extend(self.open_door().err());
        self.enter();
        missing.extend(self.serve_beside().await.err());
        missing
    }

    fn write_pid_file(&self) -> Result<()> {
        let mut had = self.had.lock();
        if let (Some(path), None) = (&self.wanted.pid_file, &had.pid_file) {
            had.pid_file = Some(write_pid_file(path)?);
        }
        Ok(())
    }

    /// Opens the control socket. One that was named must be had; without one of its own choice a mount works as well.
    fn open_door(&self) -> Result<()> {
        let mut had = self.had.lock();
        if had.door.is_some() {
            return Ok(());
        }
        let open = |path: PathBuf| Door::open(path, self.about.file_system.clone());
        let door = match &self.wanted.control_socket {
            ControlSocket::Off => return Ok(()),
            ControlSocket::At(path) => open(path.clone()).map_err(|error| {
                Problem::failure(format!("the control socket {} cannot be opened: {error}", path.display()))
            })?,
            ControlSocket::Automatic => match registry::socket_path().and_then(open) {
                Ok(door) => door,
                Err(error) => {
                    tracing::warn!(%error, "the control socket is not available");
                    return Ok(());
                }
            },
        };
        let _ = self.addresses.socket.set(door.path().to_owned());
        had.door = Some(door);
        Ok(())
    }

    /// Enters the mount among the live ones, with the socket that it has or shall have: one that does not listen is
    /// passed over.
    fn enter(&self) {
        let mut had = self.had.lock();
        let (Some(dir), None) = (&self.about.dir, &had.registration) else { return };
        let socket = match &self.wanted.control_socket {
            ControlSocket::At(path) => Some(path.as_path()),
            _ => had.door.as_ref().map(Door::path),
        };
        match Registration::enter(dir, &self.about.source, socket) {
            Ok(registration) => had.registration = Some(registration),
            Err(error) => tracing::warn!(
                %error,
                "this mount cannot be registered as a live mount; ossmount umount will not wait for its daemon to end"
            ),
        }
    }

    async fn serve_beside(&self) -> Result<()> {
        let Some(listen) = &self.wanted.metrics_listen else { return Ok(()) };
        if self.addresses.metrics.get().is_some() {
            return Ok(());
        }
        let opened = self.had.lock().beside.take();
        let beside = match opened {
            Some(beside) => beside,
            None => Beside::open(listen).await?,
        };
        let About { file_system, ended, readiness, .. } = &self.about;
        let (file_system, ended, readiness) = (file_system.clone(), ended.clone(), readiness.clone());
        let served = Served { file_system, ended, readiness, history: History::default() };
        beside.serve(served);
        tracing::info!(address = beside.address(), "metrics and health are served");
        let _ = self.addresses.metrics.set(beside.address().to_owned());
        self.had.lock().beside = Some(beside);
        Ok(())
    }
}

/// Writes the file with the process id, which goes with what this gives.
fn write_pid_file(path: &Path) -> Result<files::Own> {
    files::replace(path, format!("{}\n", std::process::id()).as_bytes(), 0o644)
        .map_err(|error| Problem::failure(format!("the pid file {} cannot be written: {error}", path.display())))
}
