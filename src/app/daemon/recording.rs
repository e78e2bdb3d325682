//! The files that `record` and `replay` name: a recorded load is written as it grows, and read when a mount begins.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::base::BucketName;
use crate::config::{Problem, Result};
use crate::files;
use crate::read::{MOST_TRACE_BYTES, Reader, Trace};

/// How often to write what is new: a daemon that is killed loses no more than this much of a load.
const EVERY: Duration = Duration::from_secs(5);

/// Reads the load that a mount of this bucket shall follow. `None` where `path` is the file that is recorded to, and
/// there is none yet: this is the first load. Fails with a sentence about the file otherwise.
pub(super) fn load(path: &Path, record: Option<&Path>, bucket: &BucketName) -> Result<Option<Trace>> {
    let failed = |what: String| {
        let path = path.display();
        Problem::failure(format!("replay: {path} cannot be used: {what}; record it again, or mount without replay"))
    };
    let text = match files::read_text(path, MOST_TRACE_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && record == Some(path) => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    Trace::parse(&text, bucket).map(Some).map_err(|error| failed(error.to_string()))
}

/// Writes what a reader records until it is dropped, and the rest then.
pub(super) struct Recording {
    writer: Arc<Writer>,
    task: JoinHandle<()>,
}

impl Recording {
    /// Begins, on this runtime. Fails where the file's directory cannot be written to; where a mount goes on that is
    /// only told, and tried again with each write. What the file holds stays until something was read.
    pub(super) fn begin(
        runtime: &Handle,
        path: PathBuf,
        bucket: BucketName,
        reader: Arc<Reader>,
        goes_on: bool,
    ) -> Result<Recording> {
        if let Err(error) = files::can_replace(&path) {
            let sentence = format!("record: {} cannot be written: {error}; name another file", path.display());
            if !goes_on {
                return Err(Problem::failure(sentence));
            }
            tracing::warn!("{sentence}; this is retried");
        }
        reader.record();
        let writer = Arc::new(Writer { path, bucket, reader, unwritten: Mutex::default() });
        let writes = writer.clone();
        let task = runtime.spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let writer = writes.clone();
                if tokio::task::spawn_blocking(move || writer.write()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Recording { writer, task })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.task.abort();
        self.writer.write();
    }
}

struct Writer {
    path: PathBuf,
    bucket: BucketName,
    reader: Arc<Reader>,
    /// What could not be written. Locked while a file is written, so that none is replaced by an older one.
    unwritten: Mutex<Option<String>>,
}

impl Writer {
    fn write(&self) {
        let mut unwritten = self.unwritten.lock();
        let news = self.reader.recorded().map(|trace| trace.to_text(&self.bucket));
        let had_failed = unwritten.is_some();
        let Some(text) = news.or_else(|| unwritten.take()) else { return };
        match replace(&self.path, &text) {
            Ok(()) => *unwritten = None,
            Err(error) => {
                if !had_failed {
                    tracing::warn!(%error, path = %self.path.display(), "the recorded load cannot be written");
                }
                *unwritten = Some(text);
            }
        }
    }
}

/// Puts a file in the place of another, at once and whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // It stays when the daemon ends.
    files::replace(path, text.as_bytes(), 0o644).map(files::Own::leave)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load");
        for text in ["first", "second"] {
            replace(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        replace(&folder.path().join("none/load"), "text").unwrap_err();
    }

    #[test]
    fn files_that_are_no_recorded_load_are_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bucket) = (folder.path().join("load"), BucketName::new("b"));
        assert_eq!(load(&path, Some(&path), &bucket), Ok(None));
        let says = |words: &str| {
            let problem = load(&path, None, &bucket).unwrap_err();
            assert!(problem.sentence.contains(words) && problem.sentence.contains("record it again"), "{problem}");
        };
        says("No such file");
        for (bytes, words) in [(&b"hello"[..], "line 1: not a recording"), (b"\xff\n", "UTF-8")] {
            fs::write(&path, bytes).unwrap();
            says(words);
        }
        fs::File::create(&path).unwrap().set_len(MOST_TRACE_BYTES + 1).unwrap();
        says("larger than 64MiB");
        let trace = Trace::default();
        fs::write(&path, trace.to_text(&bucket)).unwrap();
        assert_eq!(load(&path, None, &bucket), Ok(Some(trace)));
    }
}
