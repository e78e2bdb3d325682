//! Parsing requests.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Copy, MOST_PATHS, MOST_REQUEST_BYTES, Refusal, VERSION, fields};

type Result<T> = std::result::Result<T, Refusal>;

/// A request to a live mount.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Copy within the service.
    Copy(Box<Copy>),
    /// How far a copy is.
    CopyStatus(Job),
    /// Every copy that is still told about.
    CopyList,
    /// Cancels a copy that is under way.
    CopyCancel(Job),
    /// Fetch files into memory, in this order.
    Prefetch(Prefetch),
    /// How far a prefetch is.
    PrefetchStatus(Job),
    /// Every prefetch that is still told about.
    PrefetchList,
    /// End a prefetch; what it has fetched stays.
    PrefetchCancel(Job),
    /// Keep a file in memory until it is dropped.
    Pin(Pin),
    /// Let go of what is held of a file, or of all files below a directory.
    Drop(Drop),
    /// List a directory anew.
    Refresh(Refresh),
    /// All that is known of a file or directory.
    Stat(Stat),
    /// The figures of the mount.
    Stats(Stats),
    /// The same as Prometheus reads them.
    Metrics,
    /// Change an option of the live mount.
    Set(Set),
    /// Who answers, and since when.
    Health,
}

/// Names a job by its number.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    /// The number of the job.
    pub job: u64,
    /// Answer when it has ended, or after [`super::MOST_WAIT_SECONDS`].
    #[serde(default)]
    pub wait: bool,
}

/// Which files to fetch, and how.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prefetch {
    /// Files and directories, in the order in which they are wanted.
    pub paths: Vec<String>,
    /// Answer when all is there, or after [`super::MOST_WAIT_SECONDS`].
    #[serde(default)]
    pub wait: bool,
    /// Where they are to be.
    #[serde(default)]
    pub to: Destination,
}

/// Where prefetched files are to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// In memory, as far as they fit.
    #[default]
    Memory,
    /// In the disk cache.
    Disk,
    /// In the fleet of near caches; their bytes do not come to this node.
    Near,
}

/// Which file to keep.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// The file; without it, the one that the request was made on.
    pub path: Option<String>,
}

/// The path whose files are dropped.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Drop {
    /// A file or directory; without it, the one that the request was made on.
    pub path: Option<String>,
}

/// Which directory to list anew.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refresh {
    /// The directory, or a file in it; without it, the one that the request was made on.
    pub path: Option<String>,
    /// With all that is below.
    #[serde(default)]
    pub recursive: bool,
}

/// What to look at.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stat {
    /// A file or directory; without it, the one that the request was made on.
    pub path: Option<String>,
}

/// Which figures are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stats {
    /// Also each file that is open, or of which bytes are held.
    #[serde(default)]
    pub files: bool,
}

/// What to change. At least one field must be given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Set {
    /// The least serious lines that are logged.
    pub log_level: Option<LogLevel>,
    /// Memory for read buffers, in bytes.
    #[serde(deserialize_with = "fields::size")]
    pub memory_limit: Option<u64>,
    /// Bytes of files per second; the inner `None` means no limit.
    #[serde(deserialize_with = "fields::rate")]
    pub max_bandwidth: Option<Option<u64>>,
    /// The file that `prefetch` is for; without it, the one that the request was made on.
    pub path: Option<String>,
    /// What is fetched of that file before it is asked for.
    pub prefetch: Option<PrefetchMode>,
}

/// The levels of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// What is fetched of one file before it is asked for, as the option `prefetch` says it for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrefetchMode {
    /// Windows ahead of sequential readers.
    Auto,
    /// All of it, from open on.
    Open,
    /// No byte of it.
    Off,
}

/// Reads the fields of an operation.
type Reading = fn(Value) -> serde_json::Result<Request>;

/// The operations by name.
const OPERATIONS: &[(&str, Reading)] = &[
    ("copy", |fields| read(fields).map(|copy| Request::Copy(Box::new(copy)))),
    ("copy-status", |fields| read(fields).map(Request::CopyStatus)),
    ("copy-list", |fields| read(fields).map(|Nothing {}| Request::CopyList)),
    ("copy-cancel", |fields| read(fields).map(Request::CopyCancel)),
    ("prefetch", |fields| read(fields).map(Request::Prefetch)),
    ("prefetch-status", |fields| read(fields).map(Request::PrefetchStatus)),
    ("prefetch-list", |fields| read(fields).map(|Nothing {}| Request::PrefetchList)),
    ("prefetch-cancel", |fields| read(fields).map(Request::PrefetchCancel)),
    ("pin", |fields| read(fields).map(Request::Pin)),
    ("drop", |fields| read(fields).map(Request::Drop)),
    ("refresh", |fields| read(fields).map(Request::Refresh)),
    ("stat", |fields| read(fields).map(Request::Stat)),
    ("stats", |fields| read(fields).map(Request::Stats)),
    ("metrics", |fields| read(fields).map(|Nothing {}| Request::Metrics)),
    ("set", |fields| read(fields).map(Request::Set)),
    ("health", |fields| read(fields).map(|Nothing {}| Request::Health)),
];

/// An operation without fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn read<T: DeserializeOwned>(fields: Value) -> serde_json::Result<T> {
    serde_json::from_value(fields)
}

impl Request {
    /// Reads a request: a JSON object, which may be followed by NULs. Fails with a sentence that names what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Request> {
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        if text.len() > MOST_REQUEST_BYTES {
            return Err(Refusal::invalid(format!(
                "a request has at most {MOST_REQUEST_BYTES} bytes; this one has {}",
                text.len()
            )));
        }
        let mut fields: Map<String, Value> = serde_json::from_slice(text)
            .map_err(|error| Refusal::invalid(format!("the request is not a JSON object: {error}")))?;
        check_version(fields.remove("version"))?;
        let op = match fields.remove("op") {
            Some(Value::String(op)) => op,
            Some(_) => return Err(Refusal::invalid("\"op\" must be a text")),
            None => return Err(Refusal::invalid(format!("\"op\" is missing: {}", operations()))),
        };
        let Some((_, read)) = OPERATIONS.iter().find(|(name, _)| *name == op) else {
            return Err(Refusal::invalid(format!("unknown operation {op:?}: {}", operations())));
        };
        let request = read(Value::Object(fields)).map_err(|error| Refusal::invalid(format!("{op}: {error}")))?;
        request.check()?;
        Ok(request)
    }

    /// What types alone do not say.
    fn check(&self) -> Result<()> {
        match self {
            Request::Prefetch(Prefetch { paths, .. }) if paths.is_empty() => {
                Err(Refusal::invalid("prefetch: \"paths\" is empty"))
            }
            Request::Prefetch(Prefetch { paths, .. }) if paths.len() > MOST_PATHS => {
                Err(Refusal::invalid(format!("prefetch: at most {MOST_PATHS} paths in one request; name a directory")))
            }
            Request::Set(set) if *set == Set::default() => Err(Refusal::invalid(
                "set: nothing to set: give \"log-level\", \"memory-limit\", \"max-bandwidth\" or \"prefetch\"",
            )),
            Request::Set(Set { path: Some(_), prefetch: None, .. }) => {
                Err(Refusal::invalid("set: \"path\" requires \"prefetch\", which is missing"))
            }
            _ => Ok(()),
        }
    }
}

fn check_version(version: Option<Value>) -> Result<()> {
    match version {
        None => Ok(()),
        Some(version) if version.as_u64() == Some(VERSION) => Ok(()),
        Some(version) => {
            Err(Refusal::invalid(format!("this daemon supports version {VERSION} of control requests, not {version}")))
        }
    }
}

fn operations() -> String {
    let names: Vec<_> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    format!("the operations are {}", names.join(", "))
}
