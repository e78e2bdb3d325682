//! Reporting a copy: a progress line on a terminal, or JSON, one object a line.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::app::commands::{
    progress::{Progress, progress_line},
    text::{Output, counted, json_line, shown, size},
};
use crate::base::Clock;
use crate::config::Result;
use crate::copy::{Objects, Status};

/// Objects that failed are named up to this number.
const NAMED: usize = 10;

/// Tells about one job.
pub(super) struct Teller {
    is_json: bool,
    from: String,
    to: String,

    progress: Option<Progress>,
    /// The last line of JSON, which is not said twice.
    last: String,
}

impl Teller {
    pub(super) fn new(is_json: bool, from: String, to: String) -> Self {
        Teller { is_json, from, to, progress: None, last: String::new() }
    }

    /// Begins now. Must be called within a runtime.
    pub(super) fn begin(&mut self, clock: Clock) {
        let is_wanted = self.is_json || std::io::stderr().is_terminal();
        self.progress = Some(Progress::new(clock, is_wanted));
    }

    /// Returns when something should be told; never where nothing is.
    pub(super) async fn due(&mut self) {
        match &mut self.progress {
            Some(progress) => progress.due().await,
            None => std::future::pending().await,
        }
    }

    /// Tells how far the job is.
    pub(super) fn show(&mut self, status: &Status) -> Result<()> {
        if self.is_json {
            return self.print(status);
        }
        if let Some(progress) = &mut self.progress {
            progress.show(|passed| line(status, passed));
        }
        Ok(())
    }

    /// Tells what came of it.
    pub(super) fn end(&mut self, status: &Status) -> Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.wipe();
        }
        if self.is_json {
            return self.print(status);
        }
        for failure in status.failures.iter().take(NAMED) {
            // There is no other place to say so when stderr is gone.
            let _ = writeln!(std::io::stderr(), "ossmount: {}: {}", shown(&failure.key), shown(&failure.error.message));
        }
        if status.result.is_some() || status.objects.is_some() {
            let mut out = Output::new();
            out.line(&format!("{} -> {}: {}", shown(&self.from), shown(&self.to), summary(status)))?;
            out.flush()?;
        }
        Ok(())
    }

    fn print(&mut self, status: &Status) -> Result<()> {
        // It holds texts and numbers only.
        let line = json_line(&serde_json::to_value(status).unwrap_or_default());
        if line != self.last {
            let mut out = Output::new();
            out.line(&line)?;
            out.flush()?;
            self.last = line;
        }
        Ok(())
    }
}

/// `[=====>              ]  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left, 16 of 64 parts`.
fn line(status: &Status, passed: Duration) -> String {
    let parts = status.parts;
    let rest = match status.objects {
        Some(objects) => of_objects(objects),
        None if parts.total > 0 => format!("{} of {}", parts.done, counted(parts.total, "part")),
        None => "in one request".to_owned(),
    };
    format!("{}, {rest}", progress_line((status.bytes.done, status.bytes.total), passed))
}

fn of_objects(objects: Objects) -> String {
    let Objects { done, skipped, failed, total, listing } = objects;
    let more = if listing { " or more" } else { "" };
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    format!("{} of {}{more}{failed}", done + skipped, counted(total, "object"))
}

fn summary(status: &Status) -> String {
    match status.objects {
        Some(Objects { done, skipped, failed, .. }) => {
            let mut text = format!("{}, {}", counted(done, "object"), size(status.bytes.done));
            if skipped > 0 {
                text.push_str(&format!("; {skipped} skipped because they exist"));
            }
            if failed > 0 {
                text.push_str(&format!("; {failed} failed"));
            }
            text
        }
        None if status.parts.total > 0 => {
            format!("{} in {}", size(status.bytes.total), counted(status.parts.total, "part"))
        }
        None => size(status.bytes.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::{JobId, Place, Progress as Done, State};

    fn status(bytes: (u64, u64), parts: (u64, u64), objects: Option<Objects>) -> Status {
        let place = || Place { bucket: "b".into(), key: "k".into(), version_id: None };
        let progress = |(done, total)| Done { done, total };
        Status {
            job: JobId(1),
            state: State::Running,
            source: place(),
            destination: place(),
            manner: None,
            bytes: progress(bytes),
            parts: progress(parts),
            objects,
            failures: Vec::new(),
            result: None,
            error: None,
            upload_id: None,
        }
    }

    #[test]
    fn the_line_tells_how_far_it_is() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line(&status((1 << 30, 4 << 30), (16, 64), None), second * 2),
            "[=====>              ]  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left, 16 of 64 parts"
        );
        assert_eq!(
            line(&status((0, 0), (0, 0), None), Duration::ZERO),
            "[>                   ]   0% 0B of 0B, 0B/s, in one request"
        );
        let objects = Objects { done: 2, skipped: 1, failed: 1, total: 4, listing: true };
        assert_eq!(
            line(&status((2048, 1024), (0, 0), Some(objects)), second),
            "[====================] 100% 2.0KiB of 1.0KiB, 2.0KiB/s, 3 of 4 objects or more, 1 failed"
        );
    }

    #[test]
    fn the_end_is_summed_up() {
        assert_eq!(summary(&status((1500, 1500), (0, 0), None)), "1.5KiB");
        assert_eq!(summary(&status((1 << 21, 1 << 21), (2, 2), None)), "2.0MiB in 2 parts");
        let objects = Objects { done: 1, skipped: 2, failed: 3, total: 6, listing: false };
        assert_eq!(
            summary(&status((7, 9), (0, 0), Some(objects))),
            "1 object, 7B; 2 skipped because they exist; 3 \
                                                                     failed"
        );
    }
}
