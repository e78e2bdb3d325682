//! The control socket: one JSON request a line, one JSON answer a line, for the mount's owner and root.
//!
//! What a request does is for `fs`. Bounded here: how long a line is, and how many clients there are at once; a client
//! that does not read its answers is not read from either.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::base::Ino;
use crate::control::{Asker, Kind, MOST_REQUEST_BYTES, Refusal, Way};
use crate::files;
use crate::fs::{Answered, Caller, Fs};

/// The most clients that are served at once.
const MOST_CLIENTS: usize = 64;

/// Before it is tried again to take clients, where that failed: for lack of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// An open door. Dropping it takes the socket away.
pub(super) struct Door {
    path: PathBuf,
    task: JoinHandle<()>,
    _own: files::Own,
}

impl Door {
    /// Listens at this path, which only this user may open. What a daemon that was killed has left there is replaced.
    ///
    /// Must be called within a runtime. Fails where a process listens there already, or something else lies there.
    pub(super) fn open(path: PathBuf, file_system: Arc<Fs>) -> io::Result<Door> {
        let (listener, own) = files::bind(&path, 0o600)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Door { path, task: tokio::spawn(take_clients(listener, file_system)), _own: own })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take_clients(listener: UnixListener, file_system: Arc<Fs>) {
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        match listener.accept().await {
            Ok((client, _)) => match places.clone().try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(serve(client, file_system.clone(), place))),
                Err(_) => send_away(client).await,
            },
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn send_away(mut client: UnixStream) {
    let sentence = format!("the control socket already has {MOST_CLIENTS} clients: try again later");
    let answer = Answered::refused(&Refusal::new(Kind::Busy, sentence));
    // There is room for it in a new socket, so that sending never waits; a client that has left needs none.
    let _ = tokio::time::timeout(PAUSE, client.write_all(format!("{}\n", answer.json).as_bytes())).await;
}

async fn serve(client: UnixStream, file_system: Arc<Fs>, _place: OwnedSemaphorePermit) {
    if let Err(error) = answer_lines(client, file_system).await {
        tracing::debug!(%error, "a client of the control socket disconnected");
    }
}

async fn answer_lines(client: UnixStream, file_system: Arc<Fs>) -> io::Result<()> {
    let asker = Asker { uid: client.peer_cred()?.uid(), way: Way::Socket };
    let caller = Caller { asker, on: Ino::ROOT };
    let (read, mut write) = client.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        // One more than may be, to tell a line that is too long.
        (&mut read).take(MOST_REQUEST_BYTES as u64 + 2).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        let is_too_long = line.len() > MOST_REQUEST_BYTES + 1;
        let answered = match is_too_long {
            true => Answered::refused(&Refusal::invalid(format!(
                "a request has at most {MOST_REQUEST_BYTES} bytes in one line"
            ))),
            false => file_system.clone().control(caller, line.trim_ascii_end().to_vec()).await,
        };
        write.write_all(format!("{}\n", answered.json).as_bytes()).await?;
        if is_too_long {
            // Where the next request begins is not known.
            return Ok(());
        }
    }
}
