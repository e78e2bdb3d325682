//! The log: where it goes, what it says, and the level that SIGUSR2 moves.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::{self, Log, LogFormat, Name, Problem, Raw, Result};

/// Where lines go when no file is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fallback {
    /// To stderr.
    Stderr,
    /// Nowhere: nobody reads the stderr of a daemon in the background.
    Nowhere,
}

/// The running log's level.
pub(super) struct Level {
    handle: reload::Handle<Targets, Registry>,
    now: Mutex<LevelFilter>,
}

/// Starts the log of this process. Fails when the file cannot be opened, or when called twice.
pub(super) fn start(log: &Log, fallback: Fallback) -> Result<Level> {
    let writer = match (&log.file, fallback) {
        (Some(path), _) => BoxMakeWriter::new(Mutex::new(open(path)?)),
        (None, Fallback::Stderr) => BoxMakeWriter::new(std::io::stderr),
        (None, Fallback::Nowhere) => BoxMakeWriter::new(std::io::sink),
    };
    let level = parse(&log.level);
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(false).with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|error| Problem::failure(format!("the log cannot be started: {error}")))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!("a part of the program failed: {panic}")));
    Ok(Level { handle, now: Mutex::new(level) })
}

/// Starts the log of a command that prints its own answer: warnings, unless more was asked for.
pub(super) fn start_quietly(raw: &Raw) -> Result<Level> {
    let mut log = config::resolve_run(raw)?.log;
    if !raw.is_given(Name::LogLevel) {
        "warn".clone_into(&mut log.level);
    }
    start(&log, Fallback::Stderr)
}

fn open(path: &Path) -> Result<File> {
    File::options().append(true).create(true).open(path).map_err(|error| {
        Problem::failure(format!(
            "the log file {} cannot be opened: {error}; name another with log-file",
            path.display()
        ))
    })
}

fn parse(level: &str) -> LevelFilter {
    level.parse().unwrap_or(LevelFilter::INFO)
}

/// The libraries below speak of every request from debug on, which costs more than the request: they stay at warn
/// until all is asked for.
fn targets(level: LevelFilter) -> Targets {
    let others = if level == LevelFilter::TRACE { LevelFilter::DEBUG } else { level.min(LevelFilter::WARN) };
    Targets::new().with_target("ossmount", level).with_default(others)
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

    fn put(&self, level: LevelFilter) {
        // Fails only when the log is gone, and with it whoever would read of it.
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
        assert!(targets(LevelFilter::DEBUG).would_enable("ossmount::fs", &tracing::Level::DEBUG));
        assert!(!targets(LevelFilter::ERROR).would_enable("hyper", &tracing::Level::WARN));
    }
}
