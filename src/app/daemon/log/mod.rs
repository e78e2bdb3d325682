//! The log: where it goes (`sink`), how its lines look and which are left out (`lines`, `repeats`), and the level that
//! SIGUSR2 moves.
//!
//! | where | without `log-file` | how |
//! |---|---|---|
//! | in the foreground | stderr | with times |
//! | in the foreground, as a service whose stderr goes to the journal | stderr | with priorities, without times |
//! | in the background | `/dev/log`, if it exists | in the format of syslog |
//!
//! | file | what it owns |
//! |---|---|
//! | `lines` | the format of a line |
//! | `repeats` | which of many equal lines are written, and how many were omitted |
//! | `sink` | the destinations of lines: stderr, a file that is rotated, the system's log |

mod lines;
mod repeats;
mod sink;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use self::lines::{LogLines, Prefix, Seen};
use self::repeats::Runs;
use self::sink::{LogFile, SYSTEM_LOG, Sink, SystemLog};
use crate::app::variable;
use crate::base::Clock;
use crate::config::{self, Log, LogFormat, Name, Problem, Raw, Result};

/// How often it is looked whether lines were left out of which no others come.
const TOLD_EVERY: Duration = Duration::from_secs(15);

/// Where lines go when no file is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) enum Fallback {
    /// Lines go to stderr.
    Stderr,
    /// To the system's log, where there is one: the stderr of a daemon in the background is not read.
    System,
}

/// The running log's level, and its file.
pub(in crate::app) struct Level {
    handle: reload::Handle<Targets, Registry>,
    now: Mutex<LevelFilter>,
    sink: Sink,
    seen: Arc<Seen>,
}

/// What follows from a log file that cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) enum Need {
    /// There is no log: the command that named the file fails.
    Must,
    /// Lines go elsewhere until it can be: for a daemon that goes on with a mount, whose users wait.
    Later,
}

/// Starts the log of this process. Fails when the file cannot be opened and must be, or when called twice.
pub(in crate::app) fn start(log: &Log, fallback: Fallback, need: Need) -> Result<Level> {
    let (sink, unopened) = sink(log, fallback, need)?;
    let prefix = match &sink {
        Sink::System(_) => Prefix::Syslog,
        Sink::Stderr if stderr_is_journal() => Prefix::Priority,
        _ => Prefix::None,
    };
    let level = parse(&log.level);
    let (filter, handle) = reload::Layer::new(targets(level));
    let seen = Arc::new(Seen::new(Clock::system()));
    let lines = tracing_subscriber::fmt::layer().with_writer(sink.clone()).with_ansi(false);
    let lines = match (log.format, prefix) {
        (LogFormat::Text, Prefix::None) => {
            lines.with_target(false).map_event_format(|inner| LogLines::new(inner, prefix, seen.clone())).boxed()
        }
        // A reader that wants a priority has a clock.
        (LogFormat::Text, _) => lines
            .with_target(false)
            .without_time()
            .map_event_format(|inner| LogLines::new(inner, prefix, seen.clone()))
            .boxed(),
        (LogFormat::Json, _) => lines
            .json()
            .flatten_event(true)
            .map_event_format(|inner| LogLines::new(inner, prefix, seen.clone()))
            .boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    started.map_err(|error| Problem::failure(format!("the log cannot be started: {error}")))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!("a part of the program panicked: {panic}")));
    if let Some(problem) = unopened {
        tracing::warn!("{problem}; this is retried with each line");
    }
    Ok(Level { handle, now: Mutex::new(level), sink, seen })
}

/// Where lines go, and why the file could not be opened, where it need not be.
fn sink(log: &Log, fallback: Fallback, need: Need) -> Result<(Sink, Option<Problem>)> {
    let otherwise = match fallback {
        Fallback::Stderr => Sink::Stderr,
        Fallback::System => {
            SystemLog::at(Path::new(SYSTEM_LOG)).map_or(Sink::Nowhere, |log| Sink::System(Arc::new(log)))
        }
    };
    let Some(path) = &log.file else { return Ok((otherwise, None)) };
    let file = LogFile::new(path, log.file_bytes, log.file_count, otherwise);
    let unopened = file.reopen().err().map(|error| {
        let path = path.display();
        Problem::failure(format!("the log file {path} cannot be opened: {error}; name another with log-file"))
    });
    match unopened {
        Some(problem) if need == Need::Must => Err(problem),
        unopened => Ok((Sink::File(Arc::new(file)), unopened)),
    }
}

/// What a person who starts a daemon in the background should know of its log: that there is none. Only a person is
/// told: in a container, where this is how things are, it would stand in each log of a start.
pub(in crate::app) fn unheard(log: &Log) -> Option<String> {
    let is_heard =
        !std::io::stderr().is_terminal() || log.file.is_some() || SystemLog::at(Path::new(SYSTEM_LOG)).is_ok();
    (!is_heard).then(|| format!("nothing is logged: {SYSTEM_LOG} does not exist and log-file is not set"))
}

/// Whether what is printed on stderr goes to journald, which then puts its device and inode into a variable.
pub(in crate::app) fn stderr_is_journal() -> bool {
    let text = |value: OsString| value.into_string().ok();
    let Some(journal) = variable("JOURNAL_STREAM").and_then(text) else { return false };
    let stat = nix::sys::stat::fstat(std::io::stderr().as_fd());
    stat.is_ok_and(|stat| is_stream(&journal, stat.st_dev, stat.st_ino))
}

fn is_stream(named: &str, device: u64, inode: u64) -> bool {
    named.split_once(':').and_then(|(a, b)| Some((a.parse::<u64>().ok()?, b.parse::<u64>().ok()?)))
        == Some((device, inode))
}

/// Starts the log of a command that prints its own answer: warnings, unless more was asked for.
pub(in crate::app) fn start_quietly(raw: &Raw) -> Result<Level> {
    let mut log = config::resolve_run(raw)?.log;
    if !raw.is_given(Name::LogLevel) {
        "warn".clone_into(&mut log.level);
    }
    start(&log, Fallback::Stderr, Need::Must)
}

fn parse(level: &str) -> LevelFilter {
    level.parse().unwrap_or(LevelFilter::INFO)
}

/// The libraries below speak of every request from debug on, which costs more than the request: they stay at warn
/// until all is asked for.
fn targets(level: LevelFilter) -> Targets {
    let others = if level == LevelFilter::TRACE { LevelFilter::DEBUG } else { level.min(LevelFilter::WARN) };
    // The crate complains where its answer to the kernel's notice that a program was interrupted comes behind the
    // answer to the program's request itself.
    let replies = if level == LevelFilter::TRACE { others } else { LevelFilter::OFF };
    Targets::new().with_target("ossmount", level).with_target("fuser", replies).with_default(others)
}

fn after(level: LevelFilter) -> LevelFilter {
    match level {
        LevelFilter::ERROR => LevelFilter::WARN,
        LevelFilter::WARN => LevelFilter::INFO,
        LevelFilter::INFO => LevelFilter::DEBUG,
        LevelFilter::DEBUG => LevelFilter::TRACE,
        _ => LevelFilter::ERROR,
    }
}

impl Level {
    /// Goes to the next level; after the last comes the first.
    pub(super) fn step(&self) {
        let next = after(*self.lock());
        self.put(next);
    }

    /// Whether this is the level.
    pub(super) fn is(&self, level: &str) -> bool {
        *self.lock() == parse(level)
    }

    /// Goes to this level.
    pub(super) fn set(&self, level: &str) {
        self.put(parse(level));
    }

    /// Says again and again how many lines were left out of which no others come.
    pub(super) async fn keep_telling(&self) {
        self.seen.keep_telling(TOLD_EVERY).await;
    }

    /// Says how many lines were left out and not told of yet: there is no later.
    pub(super) fn tell_rest(&self) {
        self.seen.tell(Runs::All);
    }

    /// Opens the log's file anew: a program that keeps old ones may have moved it away.
    pub(super) fn reopen(&self) {
        if let Sink::File(file) = &self.sink
            && let Err(error) = file.reopen()
        {
            tracing::error!(%error, "the log file cannot be reopened");
        }
    }

    fn put(&self, level: LevelFilter) {
        // Fails only when the log is gone, and with it the only place to say so.
        let _ = self.handle.reload(targets(level));
        *self.lock() = level;
        tracing::error!(target: "ossmount", "log level is now {level}");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LevelFilter> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(is_stream("9:1234", 9, 1234));
        for named in ["", "9", "9:", ":1234", "9:1234:", "8:1234", "9:1235", "x:y"] {
            assert!(!is_stream(named, 9, 1234), "{named}");
        }
    }

    #[test]
    fn levels_go_round() {
        let mut level = LevelFilter::INFO;
        let mut seen = Vec::new();
        for _ in 0..5 {
            level = after(level);
            seen.push(level.to_string());
        }
        assert_eq!(seen, ["debug", "trace", "error", "warn", "info"]);
    }

    #[test]
    fn libraries_are_quiet_until_all_is_asked_for() {
        let fuser_at = |level| targets(level).would_enable("fuser", &tracing::Level::INFO);
        assert!(!fuser_at(LevelFilter::DEBUG) && fuser_at(LevelFilter::TRACE));
        let replies_at = |level| targets(level).would_enable("fuser", &tracing::Level::ERROR);
        assert!(!replies_at(LevelFilter::DEBUG) && replies_at(LevelFilter::TRACE));
        assert!(targets(LevelFilter::DEBUG).would_enable("ossmount::fs", &tracing::Level::DEBUG));
        assert!(!targets(LevelFilter::ERROR).would_enable("hyper", &tracing::Level::WARN));
    }
}
