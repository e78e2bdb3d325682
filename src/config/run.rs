//! The options of the daemon itself and of its log.

use std::path::PathBuf;
use std::time::Duration;

use super::listen::MetricsListen;

/// How the daemon runs.
#[derive(Clone, Debug)]
pub struct Run {
    /// Stay in the foreground.
    pub foreground: bool,
    /// Where and what to log.
    pub log: Log,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,
    /// Where to take control requests.
    pub control_socket: ControlSocket,
    /// A descriptor of `/dev/fuse` that is mounted already.
    pub fuse_fd: Option<i32>,
    /// Where to serve figures and health, if anywhere.
    pub metrics_listen: Option<MetricsListen>,
    /// Start the daemon again when it dies.
    pub supervise: bool,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// Where to record what is read.
    pub record: Option<PathBuf>,
    /// A recorded load to follow.
    pub replay: Option<PathBuf>,
}

/// Where to take control requests besides the mount itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlSocket {
    /// Beside the entry by which other processes find the daemon.
    Automatic,
    /// On a Unix socket here.
    At(PathBuf),
    /// On no socket at all.
    Off,
}

/// Where and what to log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// The least serious level that is logged, `error` to `trace`.
    pub level: String,
    /// A file to append to; `None` means stderr.
    pub file: Option<PathBuf>,
    /// It is begun anew when it has grown to so many bytes; `None` means never.
    pub file_bytes: Option<u64>,
    /// Files that are kept then, the one that is written included.
    pub file_count: usize,
    /// How lines of the log look.
    pub format: LogFormat,
}

/// How lines of the log look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One line of text, for people.
    Text,
    /// One JSON object a line.
    Json,
}
