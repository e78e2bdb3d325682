//! The control socket: one JSON request a line, one JSON answer a line, for the mount's owner and root.
//!
//! What a request does is for `fs`. Bounded here: how long a line is, and how many clients there are at once; a client
//! that does not read its answers is not read from either.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
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

/// How long what a client still sends is taken in after the last answer to it.
const LINGER: Duration = Duration::from_secs(5);

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
                Err(_) => drop(tokio::spawn(send_away(client))),
            },
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn send_away(client: UnixStream) {
    let sentence = format!("the control socket already has {MOST_CLIENTS} clients: try again later");
    let answer = Answered::refused(&Refusal::new(Kind::Busy, sentence));
    let (read, write) = client.into_split();
    // A client that has left needs no answer.
    let _ = answer_last(&answer, read, write).await;
}

/// Sends this answer, after which no request is taken.
///
/// Until the client closes its end, or [`LINGER`] is over, what it sends is read and thrown away: it finds the answer
/// when it has sent its request, where a socket closed at once would have failed the sending.
async fn answer_last(answer: &Answered, mut read: impl AsyncRead + Unpin, mut write: OwnedWriteHalf) -> io::Result<()> {
    let last = async {
        write.write_all(format!("{}\n", answer.json).as_bytes()).await?;
        write.shutdown().await?;
        tokio::io::copy(&mut read, &mut tokio::io::sink()).await
    };
    match tokio::time::timeout(LINGER, last).await {
        Ok(sent) => sent.map(drop),
        Err(_) => Ok(()),
    }
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
        if line.len() > MOST_REQUEST_BYTES + 1 {
            let sentence = format!("a request has at most {MOST_REQUEST_BYTES} bytes in one line");
            // Where the next request begins is not known.
            return answer_last(&Answered::refused(&Refusal::invalid(sentence)), read, write).await;
        }
        let answered = file_system.clone().control(caller, line.trim_ascii_end().to_vec()).await;
        write.write_all(format!("{}\n", answered.json).as_bytes()).await?;
    }
}
