//! Reporting copies to local files: a progress line on a terminal, or JSON, one object a line.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::object::Fetching;
use crate::app::commands::{
    progress::{Progress, progress_line},
    text::{Output, counted, shown, size},
};
use crate::base::Clock;
use crate::config::{BucketUrl, Problem, Result};

/// Objects that failed are named up to this number.
const NAMED: usize = 10;

/// What has become of the objects so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) total: u64,
    pub(super) done: AtomicU64,
    pub(super) skipped: AtomicU64,
}

/// An object that was not copied, and why.
#[derive(Debug)]
pub(super) struct NotCopied {
    pub(super) key: String,
    pub(super) problem: Problem,
}

/// Tells about one command.
pub(super) struct LocalReport {
    is_json: bool,
    from: BucketUrl,
    to: String,
    total_bytes: u64,
    counts: Arc<Counts>,
    fetching: Arc<Fetching>,

    progress: Progress,
}

impl LocalReport {
    /// Begins now. Must be called within a runtime.
    pub(super) fn new(
        is_json: bool,
        (from, to): (BucketUrl, String),
        (total_bytes, counts): (u64, Arc<Counts>),
        fetching: Arc<Fetching>,
    ) -> Self {
        let progress = Progress::new(Clock::system(), is_json || std::io::stderr().is_terminal());
        LocalReport { is_json, from, to, total_bytes, counts, fetching, progress }
    }

    /// Waits for the work, and tells meanwhile how far it is.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                ended = &mut work => return Ok(ended),
                () = self.progress.due() => self.show()?,
            }
        }
    }

    fn done_bytes(&self) -> u64 {
        self.fetching.done_bytes.load(Ordering::Relaxed)
    }

    fn show(&mut self) -> Result<()> {
        if self.is_json {
            return print(&self.json("running", &[]));
        }
        let (done, total, counts) = (self.done_bytes(), self.total_bytes, &self.counts);
        let settled = counts.done.load(Ordering::Relaxed) + counts.skipped.load(Ordering::Relaxed);
        let rest = match counts.total {
            1 => String::new(),
            all => format!(", {settled} of {}", counted(all, "object")),
        };
        self.progress.show(|passed| format!("{}{rest}", progress_line((done, total), passed)));
        Ok(())
    }

    fn json(&self, state: &str, failures: &[NotCopied]) -> Value {
        let failures: Vec<Value> =
            failures.iter().map(|failure| json!({"key": failure.key, "message": failure.problem.sentence})).collect();
        json!({
            "state": state,
            "source": {"bucket": self.from.bucket.as_str(), "key": self.from.path},
            "destination": {"path": self.to},
            "bytes": {"done": self.done_bytes(), "total": self.total_bytes},
            "objects": {
                "done": self.counts.done.load(Ordering::Relaxed),
                "skipped": self.counts.skipped.load(Ordering::Relaxed),
                "failed": failures.len(),
                "total": self.counts.total,
            },
            "failures": failures,
        })
    }

    /// Tells what came of it. Fails where objects were not copied.
    pub(super) fn end(mut self, failures: &[NotCopied]) -> Result<()> {
        self.progress.wipe();
        let (done, skipped) = (self.counts.done.load(Ordering::Relaxed), self.counts.skipped.load(Ordering::Relaxed));
        if self.is_json {
            print(&self.json(if failures.is_empty() { "done" } else { "failed" }, failures))?;
        } else {
            for failure in failures.iter().take(NAMED).filter(|_| self.counts.total != 1) {
                let (key, why) = (shown(&failure.key), shown(&failure.problem.sentence));
                // There is no other place to say so when stderr is gone.
                let _ = match why.starts_with(&format!("{key} ")) {
                    true => writeln!(std::io::stderr(), "ossmount: {why}"),
                    false => writeln!(std::io::stderr(), "ossmount: {key}: {why}"),
                };
            }
            if failures.is_empty() || self.counts.total != 1 {
                let objects =
                    if self.counts.total == 1 { String::new() } else { format!("{}, ", counted(done, "object")) };
                let skipped = match skipped {
                    0 => String::new(),
                    skipped => format!("; {skipped} skipped because they exist"),
                };
                let mut out = Output::new();
                let bytes = size(self.done_bytes());
                out.line(&format!(
                    "{} -> {}: {objects}{bytes}{skipped}",
                    shown(&self.from.to_string()),
                    shown(&self.to)
                ))?;
                out.flush()?;
            }
        }
        match failures {
            [] => Ok(()),
            [only] if self.counts.total == 1 => Err(only.problem.clone()),
            failures => Err(Problem::failure(format!(
                "{} of {} were not copied",
                failures.len(),
                counted(self.counts.total, "object")
            ))),
        }
    }
}

fn print(line: &Value) -> Result<()> {
    let mut out = Output::new();
    out.line(&line.to_string())?;
    out.flush().map(drop)
}
