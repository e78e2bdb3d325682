//! Answers and their JSON. Those of `stat` and `stats` are tables, and are made where the figures are.

use serde::Serialize;

use super::{Destination, VERSION};

/// A request was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failure {
    /// The name of the error number, such as `EINVAL`.
    pub error: String,
    /// What is wrong, in a sentence.
    pub message: String,
}

/// A job has begun.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Started {
    /// The number of the job.
    pub job: u64,
}

/// Where a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// The job is under way.
    Running,
    /// It has come to its end.
    Done,
    /// It was ended by a request.
    Cancelled,
}

/// How far a prefetch is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prefetching {
    /// The number of the job.
    pub job: u64,
    /// The state that the job is in.
    pub state: JobState,
    /// Where the files are to be.
    pub to: Destination,
    /// The first of the paths that were asked for.
    pub paths: Vec<String>,
    /// How long it took, or has taken so far.
    pub elapsed_ms: u64,
    /// What has become of the files it came to, so far.
    #[serde(flatten)]
    pub so_far: Prefetched,
}

/// All prefetches that are still told about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PrefetchJobs {
    /// Each of them, the oldest first.
    pub jobs: Vec<Prefetching>,
}

/// What has become of files to be fetched.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prefetched {
    /// Whether more files may be found.
    pub listing: bool,
    /// Files found so far.
    pub files: u64,
    /// The size of those files, in bytes.
    pub bytes: u64,
    /// Files that are all where they are to be.
    pub files_done: u64,
    /// The size of those files, in bytes.
    pub bytes_done: u64,
    /// Bytes of files that are there, complete or not.
    pub bytes_arrived: u64,
    /// Files that did not fit into the memory or on disk, or that are too small for near caches.
    pub files_skipped: u64,
    /// The size of those files, in bytes.
    pub bytes_skipped: u64,
    /// Paths that could not be looked at or fetched.
    pub failed: u64,
    /// The first of these, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// A file is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pinned {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of all files that are kept so.
    pub pinned_bytes: u64,
    /// The most that may be.
    pub pinned_bytes_limit: u64,
}

/// The files and bytes that were dropped.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Dropped {
    /// Files that were looked at.
    pub files: u64,
    /// Bytes of memory that were given back.
    pub bytes: u64,
}

/// What became of a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Freshness {
    /// Whether it is done; else it goes on by itself.
    pub state: JobState,
}

/// Which daemon answers, and how it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// `ok`, or what is wrong with the store: `silent`, `failing`, `throttled`, `stuck`.
    pub status: &'static str,
    /// What is wrong, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Reads that wait now.
    pub reads_waiting: u64,
    /// For how many whole seconds none of them has gone on.
    pub reads_waiting_seconds: u64,
    /// The version of requests and answers.
    pub version: u64,
    /// The version of the program.
    pub program: &'static str,
    /// The process id of the daemon.
    pub pid: u32,
    /// Whole seconds since it was mounted.
    pub uptime_seconds: u64,
    /// Times that a daemon was started again and went on with the mount.
    pub restarts: u64,
    /// The URL of what is mounted.
    pub source: String,
    /// Where; absent where another process mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The socket, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Where figures and health are served over HTTP, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
}

/// The figures as Prometheus reads them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Exposition {
    /// Text exposition format 0.0.4.
    pub text: String,
}

impl Health {
    /// What is the same for every mount of this program.
    pub fn new(pid: u32) -> Self {
        Health {
            status: "ok",
            trouble: None,
            reads_waiting: 0,
            reads_waiting_seconds: 0,
            version: VERSION,
            program: env!("CARGO_PKG_VERSION"),
            pid,
            uptime_seconds: 0,
            restarts: 0,
            source: String::new(),
            directory: None,
            socket: None,
            metrics: None,
        }
    }
}
