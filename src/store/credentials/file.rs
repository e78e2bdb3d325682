//! Credentials in a JSON file that somebody else rewrites.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Deserialize;

use super::{Credentials, Provider};
use crate::base::{Clock, Timestamp};
use crate::store::{Error, ErrorKind, Result};

/// How often the file's time is looked at: a stat per request would be waste, and rotation leaves minutes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Larger files are no credentials; reading them would only cost memory.
const MAX_BYTES: u64 = 64 << 10;

/// Reads credentials from a file, again whenever its modification time or size changes.
#[derive(Debug)]
pub(super) struct FileProvider {
    path: PathBuf,
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
    pub(super) fn new(path: PathBuf, clock: Clock) -> Self {
        FileProvider { path, clock, state: Mutex::new(None) }
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
            _ => Arc::new(read(&self.path)?),
        };
        *state = Some(Held { credentials: credentials.clone(), stamp, looked: Some(now) });
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

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "AccessKeyId")]
    access_key_id: String,
    #[serde(rename = "AccessKeySecret")]
    secret: String,
    #[serde(rename = "SecurityToken")]
    token: Option<String>,
    #[serde(rename = "Expiration")]
    expiration: Option<String>,
}

fn read(path: &Path) -> Result<Credentials> {
    let text = fs::read_to_string(path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| problem(path, "cannot be read").with_source(Some(error.into())))?;
    parse(&text).map_err(|what| problem(path, what))
}

/// The parser's own words are left out: they may quote the secret.
fn parse(text: &str) -> std::result::Result<Credentials, &'static str> {
    let json: Json = serde_json::from_str(text).map_err(|_| "is not JSON with AccessKeyId and AccessKeySecret")?;
    if json.access_key_id.is_empty() || json.secret.is_empty() {
        return Err("has an empty AccessKeyId or AccessKeySecret");
    }
    let expires = match json.expiration.as_deref() {
        None | Some("") => None,
        Some(text) => {
            let time: jiff::Timestamp = text.parse().map_err(|_| "has an Expiration that is not an ISO 8601 time")?;
            Some(Timestamp::from_unix(time.as_second()))
        }
    };
    let token = json.token.filter(|token| !token.is_empty());
    Ok(Credentials::new(json.access_key_id, json.secret).with_token(token).with_expiry(expires))
}

fn problem(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("the credentials file {} {what}; write it anew", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let provider = FileProvider::new(path.clone(), clock.clone());
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

    #[test]
    fn odd_files_are_refused_without_quoting_them() {
        for text in [
            "",
            "{}",
            "hush",
            r#"{"AccessKeyId":"a","AccessKeySecret":5}"#,
            r#"{"AccessKeyId":"","AccessKeySecret":""}"#,
        ] {
            assert!(!parse(text).unwrap_err().contains("hush"));
        }
        let bad = r#"{"AccessKeyId":"a","AccessKeySecret":"hush","Expiration":"tomorrow"}"#;
        assert!(parse(bad).unwrap_err().contains("Expiration"));
        assert!(parse(r#"{"AccessKeyId":"a","AccessKeySecret":"b","Other":1}"#).unwrap().expires().is_none());
    }
}
