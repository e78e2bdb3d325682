//! Credentials in a file that another program rewrites.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::formats::{self, Which};
use super::{Credentials, Provider};
use crate::base::Clock;
use crate::files::{self, Facts, Small};
use crate::store::{Error, ErrorKind, Result};

/// How often the file's time is looked at: a stat per request would be waste, and rotation leaves minutes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Larger files are no credentials; reading them would only cost memory.
const MAX_BYTES: u64 = 64 << 10;

/// Reads credentials from a file, again whenever its modification time, size, owner or mode changes.
#[derive(Debug)]
pub(super) struct FileProvider {
    path: PathBuf,
    which: Which,
    clock: Clock,
    state: Mutex<Option<LastRead>>,
}

#[derive(Debug)]
struct LastRead {
    credentials: Arc<Credentials>,
    facts: Facts,
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
        let facts = files::facts(&self.path).map_err(|error| unread(&self.path, error))?;
        if let Some(held) = &mut *state
            && held.facts == facts
        {
            held.looked = Some(now);
            return Ok(held.credentials.clone());
        }
        let (text, facts) = trusted(&self.path)?;
        if facts.is_open_to_others() {
            tracing::warn!(path = %self.path.display(), "other users may read this credentials file; restrict it with \
                                                         chmod 600");
        }
        let credentials = formats::parse(&text, &self.which).map_err(|what| problem(&self.path, &what))?;
        let credentials = Arc::new(credentials);
        *state = Some(LastRead { credentials: credentials.clone(), facts, looked: Some(now) });
        Ok(credentials)
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

/// The text of a file of credentials. One that others may write, or that another user owns, would have this process use
/// keys, or run a program, of their choice: it is refused.
pub(super) fn text(path: &Path) -> Result<Zeroizing<String>> {
    trusted(path).map(|(text, _)| text)
}

fn trusted(path: &Path) -> Result<(Zeroizing<String>, Facts)> {
    let Small { bytes, facts } = files::read(path, MAX_BYTES).map_err(|error| unread(path, error))?;
    let text = String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        problem(path, "is not UTF-8")
    })?;
    match facts.distrust(path) {
        Some(why) => Err(problem(path, &format!("is not trusted: {why}"))),
        None => Ok((text, facts)),
    }
}

fn unread(path: &Path, error: std::io::Error) -> Error {
    problem(path, &format!("cannot be read: {error}")).with_source(Some(error.into()))
}

pub(super) fn problem(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Credentials,
        format!("the credentials file {} {what}; correct it or name another file", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

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
        write(&path, "the-second", "2024-02-29T14:00:00Z");
        clock.advance(Duration::from_secs(2));
        assert_eq!(provider.credentials().await.unwrap().access_key_id(), "the-second");

        clock.advance(Duration::from_secs(7200));
        let error = provider.credentials().await.unwrap_err().to_string();
        assert!(error.contains("credentials.json holds expired"), "{error}");
    }

    #[tokio::test]
    async fn a_file_of_another_user_or_one_that_others_write_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        let clock = Clock::manual(Timestamp::from_unix(1_709_210_096));
        let provider = FileProvider::new(path.clone(), Which::default(), clock.clone());
        write(&path, "id", "2024-02-29T13:00:00Z");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        provider.credentials().await.unwrap();
        for mode in [0o620, 0o602] {
            clock.advance(LOOK_EVERY);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = provider.credentials().await.unwrap_err().to_string();
            assert!(error.contains(&format!("mode 0{mode:o}")) && error.contains("chmod go-w"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(65534), None).unwrap();
        let error = provider.credentials().await.unwrap_err().to_string();
        assert!(error.contains("belongs to uid 65534") && error.contains("chown 0 "), "{error}");
        assert!(text(&path).is_err(), "nor is a profile that names a program");
    }

    #[tokio::test]
    async fn a_file_without_an_end_is_not_read() {
        let clock = Clock::manual(Timestamp::from_unix(1_709_210_096));
        let provider = FileProvider::new("/dev/zero".into(), Which::default(), clock);
        let error = provider.credentials().await.unwrap_err().to_string();
        assert!(error.contains("/dev/zero cannot be read: it is a device"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let error = text(&path).unwrap_err().to_string();
        assert!(error.contains("larger than 64KiB"), "{error}");
    }
}
