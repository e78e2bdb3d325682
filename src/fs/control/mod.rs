//! Control requests are performed here: the ioctl, the socket and the extended attribute hand the bytes of a request to
//! [`Control::control`] and return its answer.
//!
//! `control` parses the request and decides whether the caller may make it. Here paths are turned into inodes
//! (`paths`), metadata and figures are reported (`figures`), files are fetched and pinned (`prefetch`, `keep`, over
//! the files that `files` walks), copies are made (`copies`) and options changed (`settings`). An answer is always
//! JSON; that of a failed request is an object with `error` and `message`.
//!
//! | file | what it owns |
//! |---|---|
//! | `copies` | copies within the service |
//! | `figures` | metadata of a file or directory, and the figures of the mount |
//! | `files` | the files below a path, in the order of the listing |
//! | `keep` | pinning and dropping files |
//! | `paths` | from paths in requests to inodes |
//! | `prefetch` | prefetches of files and directories |
//! | `progress` | how far a prefetch is |
//! | `settings` | options that change while the mount lives |

mod copies;
mod figures;
mod files;
mod keep;
mod paths;
mod prefetch;
mod progress;
mod settings;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;

use self::copies::Copies;
use self::keep::Pins;
use self::prefetch::Prefetches;
use super::files::Files;
use super::names::{Names, xattr};
use super::{Context, Errno, Options, XattrReply};
use crate::base::{Clock, Foreign, Ino};
use crate::control::{
    self, Asker, Effect, Exposition, Failure, Freshness, JobState, Kind, MOST_WAIT_SECONDS, Refusal, Request,
};
use crate::copy::{Copier, Reach};
use crate::metrics::Metrics;
use crate::read;
use crate::tree::{Depth, Shape};

/// The longest that a request is held.
const MOST_WAIT: Duration = Duration::from_secs(MOST_WAIT_SECONDS);

/// Answers to requests by `setxattr` that are kept until they are asked for: the last of each of so many files.
const RESULTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// The longest value of an extended attribute that the kernel takes, in bytes.
const MOST_VALUE_BYTES: usize = 64 << 10;

/// What comes of a part of a request.
type Done<T> = std::result::Result<T, Refusal>;

/// The sender of a request, and the file or directory of the ioctl or attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The user and the way.
    pub asker: Asker,
    /// What a request is about that names no path: the file that the ioctl was made on, or the root.
    pub on: Ino,
}

/// The answer to a control request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// Why it was not done; `None` when it was.
    pub error: Option<Errno>,
    /// A JSON object on one line, without a line break.
    pub json: String,
}

impl Answered {
    /// The answer to a request that was not done.
    pub fn refused(refusal: &Refusal) -> Self {
        let error = Errno::from(refusal.kind);
        let failure = Failure { error: format!("{error:?}"), message: Foreign(&refusal.sentence).to_string() };
        Answered { error: Some(error), json: line(&failure) }
    }

    /// This answer, or a refusal where it is longer than so many bytes.
    pub fn within(self, most_bytes: usize, socket: Option<&str>) -> Self {
        if self.json.len() <= most_bytes {
            return self;
        }
        let instead = socket.map_or_else(String::new, |socket| format!(": use the control socket {socket}"));
        let sentence =
            format!("the answer has {} bytes, of which {most_bytes} fit in this reply{instead}", self.json.len());
        Answered::refused(&Refusal::new(Kind::TooLong, sentence))
    }
}

fn line(answer: &impl Serialize) -> String {
    // Fails for maps whose keys are no texts, and there are none.
    serde_json::to_string(answer).unwrap_or_default()
}

/// What serves a mount and that control requests speak of.
pub struct Surroundings {
    /// The URL of what is mounted.
    pub source: String,
    /// Where, absolute and without links; `None` where another process mounted.
    pub dir: Option<PathBuf>,
    /// The control socket, from when there is one.
    pub socket: Arc<OnceLock<PathBuf>>,
    /// Where figures and health are served over HTTP, from when they are: host and port, or a path.
    pub metrics: Arc<OnceLock<String>>,
    /// Makes copies; `None` where that is switched off.
    pub copying: Option<Copying>,
    /// The rest of the daemon.
    pub daemon: Arc<dyn Daemon>,
}

/// What makes the copies of a mount.
#[derive(Clone, Debug)]
pub struct Copying {
    /// The copier that makes copies.
    pub copier: Copier,
    /// Which objects they may read and write.
    pub reach: Reach,
}

/// Options of the daemon that do not belong to the file system.
pub trait Daemon: Send + Sync + 'static {
    /// Changes the level of the log: `error`, `warn`, `info`, `debug` or `trace`.
    fn set_log_level(&self, level: &str);

    /// Memory of the process that lies in RAM, in bytes.
    fn resident_bytes(&self) -> u64;

    /// The addresses that requests go to, by name: each with the requests sent to it, its share of all, its failures,
    /// and whether it is passed over now.
    fn addresses(&self) -> Value;

    /// Changes how many bytes of files may come in a second; `None` means no limit.
    fn set_max_bandwidth(&self, bytes_per_second: Option<u64>);
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("source", &self.source).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What does control requests, and what they leave behind.
pub(super) struct Control {
    names: Arc<Names>,
    files: Arc<Files>,
    reader: Arc<read::Reader>,
    metrics: Arc<Metrics>,
    clock: Clock,
    runtime: Handle,
    options: Arc<Options>,

    /// When the file system began, on its clock.
    began: Duration,
    surroundings: OnceLock<Surroundings>,
    prefetches: Prefetches,
    pins: Mutex<Pins>,
    copies: Copies,
    /// Answers to requests by `setxattr`, by the inode that they were made on.
    results: Mutex<Option<LruCache<Ino, String>>>,
}

impl Control {
    pub(super) fn new(context: &Context, names: Arc<Names>, files: Arc<Files>) -> Arc<Self> {
        let Context { reader, metrics, clock, runtime, options, .. } = context.clone();
        Arc::new(Control {
            names,
            files,
            reader,
            metrics,
            began: clock.elapsed(),
            clock,
            runtime,
            options,
            surroundings: OnceLock::new(),
            prefetches: Prefetches::new(),
            pins: Mutex::default(),
            copies: Copies::default(),
            results: Mutex::default(),
        })
    }

    /// Does what [`crate::fs::Fs::settle_in`] says.
    pub(super) fn settle_in(&self, surroundings: Surroundings) {
        let _ = self.surroundings.set(surroundings);
    }

    /// Does what [`crate::fs::Fs::control_socket`] says.
    pub(super) fn control_socket(&self) -> Option<&str> {
        self.surroundings.get()?.socket.get()?.to_str()
    }

    /// Does what [`crate::fs::Fs::control`] says.
    pub(super) async fn control(self: Arc<Self>, caller: Caller, request: Vec<u8>) -> Answered {
        let answer = self.served(caller, &request).await;
        answer.unwrap_or_else(|refusal| {
            tracing::debug!(uid = caller.asker.uid, %refusal, "a control request was refused");
            Answered::refused(&refusal)
        })
    }

    /// Does what [`crate::fs::Fs::call`] says.
    pub(super) async fn call(self: Arc<Self>, caller: Caller, request: Vec<u8>) -> super::Result<()> {
        let answered = self.clone().control(caller, request).await.within(MOST_VALUE_BYTES, self.control_socket());
        // A user who is refused does not overwrite answers that others wait for.
        if answered.error != Some(Errno::EPERM) {
            let mut results = self.results.lock();
            results.get_or_insert_with(|| LruCache::new(RESULTS)).put(caller.on, answered.json);
        }
        answered.error.map_or(Ok(()), Err)
    }

    /// Does what [`crate::fs::Fs::control_result`] says.
    pub(super) async fn control_result(self: Arc<Self>, caller: Caller, size: u32) -> super::Result<XattrReply> {
        control::may(caller.asker, self.options.owner, Effect::Look).map_err(|refusal| Errno::from(refusal.kind))?;
        let json = self.results.lock().as_mut().and_then(|results| results.get(&caller.on).cloned());
        Ok(xattr::reply(json.ok_or(Errno::ENODATA)?.into_bytes(), size)?)
    }

    async fn served(self: Arc<Self>, caller: Caller, request: &[u8]) -> Done<Answered> {
        // A user who is not served at all learns nothing about requests.
        control::may(caller.asker, self.options.owner, Effect::Look)?;
        let request = Request::parse(request)?;
        control::may(caller.asker, self.options.owner, request.effect())?;
        let json = match request {
            Request::Copy(copy) => line(&self.begin_copy(*copy, caller.on).await?),
            Request::CopyStatus(job) => line(&self.copy_status(&job).await?),
            Request::CopyList => line(&self.copies()?),
            Request::CopyCancel(job) => line(&self.cancel_copy(&job).await?),
            Request::Prefetch(what) => line(&self.begin_prefetch(what, caller.on).await?),
            Request::PrefetchStatus(job) => line(&self.prefetch_status(&job).await?),
            Request::PrefetchList => line(&self.prefetch_jobs().await),
            Request::PrefetchCancel(job) => line(&self.cancel_prefetch(&job).await?),
            Request::Pin(pin) => line(&self.pin(pin.path, caller.on).await?),
            Request::Drop(what) => line(&self.let_go(what.path, caller.on).await?),
            Request::Refresh(what) => line(&self.refresh_now(what, caller.on).await?),
            Request::Stat(what) => line(&Value::Object(self.facts(what.path, caller.on).await?)),
            Request::Stats(which) => line(&Value::Object(self.figures(which))),
            Request::Metrics => line(&Exposition { text: self.prometheus() }),
            Request::Set(set) => line(&Value::Object(self.set(set, caller.on).await?)),
            Request::Health => line(&self.health()),
        };
        Ok(Answered { error: None, json })
    }

    /// Lists anew; a listing that takes longer than a request may goes on by itself.
    async fn refresh_now(self: &Arc<Self>, what: control::Refresh, on: Ino) -> Done<Freshness> {
        let held = self.find(what.path.as_deref(), on).await?;
        let shape = self.names.view(held.ino()).map(|view| view.shape);
        let directory = match shape {
            Some(Shape::Directory) => Some(held.ino()),
            _ => self.names.parent(held.ino()),
        };
        let directory = directory.ok_or_else(|| super::failure::Failure::ESTALE.of("the directory to be listed"))?;
        let depth = if what.recursive { Depth::Subtree } else { Depth::Directory };
        let listing = self.runtime.spawn(self.names.clone().refresh(directory, depth));
        match tokio::time::timeout(MOST_WAIT, listing).await {
            Err(_) => Ok(Freshness { state: JobState::Running }),
            Ok(Ok(Ok(()))) => Ok(Freshness { state: JobState::Done }),
            Ok(Ok(Err(failure))) => Err(failure.of("the directory")),
            Ok(Err(_)) => Err(super::failure::Failure::EIO.of("the directory")),
        }
    }
}
