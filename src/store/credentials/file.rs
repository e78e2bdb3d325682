//! Credentials in a file that somebody else rewrites.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::written::{self, Which};
use super::{Credentials, Provider};
use crate::base::Clock;
use crate::store::{Error, ErrorKind, Result};

/// How often the file's time is looked at: a stat per request would be waste, and rotation leaves minutes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Larger files are no credentials; reading them would only cost memory.
const MAX_BYTES: u64 = 64 << 10;

/// Reads credentials from a file, again whenever its modification time or size changes.
#[derive(Debug)]
pub(super) struct FileProvider {
    path: PathBuf,
    which: Which,
    clock: Clock,
    state: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    credentials: Arc<Credentials>,
    stamp: (SystemTime, u64),
    /// When its time was looked at; `None` to look again at once.
    looked: Option<Duration>,
}

impl FileProvider {
    pub(super) fn new(path: PathBuf, which: Which, clock: Clock) -> Self {
        FileProvider { path, which, clock, state: Mutex::new(None) }
    }

    fn current(&self) -> Result<Arc<Credentials>> {
        let now = self.clock.elapsed();
        let mut state = self.state.lock();
        if let Some(held) = &*state
            && held.looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK_EVERY)
        {
            return Ok(held.credentials.clone());
        }
        let stamp = stamp(&self.path)?;
        let credentials = match &*state {
            Some(held) if held.stamp == stamp => held.credentials.clone(),
            _ => Arc::new(self.read()?),
        };
        *state = Some(Held { credentials: credentials.clone(), stamp, looked: Some(now) });
        Ok(credentials)
    }
}

impl FileProvider {
    fn read(&self) -> Result<Credentials> {
        let text = text(&self.path)?;
        let others = fs::metadata(&self.path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
        if others {
            tracing::warn!(path = %self.path.display(), "others may read this file of credentials: chmod 600 it");
        }
        written::parse(&text, &self.which).map_err(|what| problem(&self.path, &what))
    }
}

#[async_trait]
impl Provider for FileProvider {
    async fn credentials(&self) -> Result<Arc<Credentials>> {
        let credentials = self.current()?;
        match credentials.expires() {
            Some(expires) if expires <= self.clock.now() => Err(problem(&self.path, "holds expired credentials")),
            _ => Ok(credentials),
        }
    }

    fn refused(&self) {
        if let Some(held) = &mut *self.state.lock() {
            held.looked = None;
        }
    }
}

/// Changes whenever the file does, for all that matters.
fn stamp(path: &Path) -> Result<(SystemTime, u64)> {
    let metadata =
        fs::metadata(path).map_err(|error| problem(path, "cannot be read").with_source(Some(error.into())))?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    if metadata.len() > MAX_BYTES {
        return Err(problem(path, "is too large to hold credentials"));
    }
    Ok((modified, metadata.len()))
}

/// The text of a file of credentials.
pub(super) fn text(path: &Path) -> Result<Zeroizing<String>> {
    stamp(path)?;
    let text = fs::read_to_string(path);
    text.map(Zeroizing::new).map_err(|error| problem(path, "cannot be read").with_source(Some(error.into())))
}

pub(super) fn problem(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Credentials,
        format!("the credentials file {} {what}; mend it or name another one", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn write(path: &Path, id: &str, expiration: &str) {
        let text = format!(
            r#"{{"AccessKeyId":"{id}","AccessKeySecret":"hush","SecurityToken":"tok","Expiration":"{expiration}"}}"#
        );
        fs::write(path, text).unwrap();
    }

    #[tokio::test]
    async fn a_rewritten_file_is_read_again_and_an_expired_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        let clock = Clock::manual(Timestamp::from_unix(1_709_210_096));
        let provider = FileProvider::new(path.clone(), Which::default(), clock.clone());
        assert_eq!(provider.credentials().await.unwrap_err().kind(), ErrorKind::Credentials);

        write(&path, "first", "2024-02-29T13:00:00Z");
        let held = provider.credentials().await.unwrap();
        assert_eq!((held.access_key_id(), held.secret(), held.token()), ("first", "hush", Some("tok")));
        write(&path, "the second", "2024-02-29T14:00:00Z");
        clock.advance(Duration::from_secs(2));
        assert_eq!(provider.credentials().await.unwrap().access_key_id(), "the second");

        clock.advance(Duration::from_secs(7200));
        let error = provider.credentials().await.unwrap_err().to_string();
        assert!(error.contains("credentials.json holds expired"), "{error}");
    }
}
