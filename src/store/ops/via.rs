//! A member of a fleet of near caches in the place of the bucket: what is sent to it, and what its answers tell.
//!
//! The URL is `/near/1/` (the form of such URLs), then the version and the path that is signed:
//! `/near/1/e-5D41402ABC4B2A76B9719D911017C592/key` for an entity tag, `/near/1/v/key?versionId=...` for a version of
//! which no tag is known. The member takes that apart, adds `If-Match` and passes the rest on to the bucket with the
//! signature as it is. So the entity tag and the range, which the member sets itself, are not signed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;

use crate::base::Clock;
use crate::files;
use crate::metrics::{Distribution, Metric, Metrics};
use crate::store::endpoint::Target;
use crate::store::{Error, ErrorKind, Pair, Result};

/// The largest file with a token, in bytes.
const MOST_TOKEN_BYTES: u64 = 4096;
/// How long a token is believed before its file is read again.
const TOKEN_HOLDS: Duration = Duration::from_secs(60);

/// What a member is asked for to see whether it lives.
pub(super) const HEALTH: &str = "/near/health";

/// How a member is reached.
#[derive(Clone)]
pub(in crate::store) struct Via {
    /// Its host and port.
    pub(in crate::store) authority: String,
    /// What it asks for.
    pub(in crate::store) token: Option<Arc<Token>>,
    pub(in crate::store) metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Via").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// The token of a fleet, from its file. Never shown.
pub(in crate::store) struct Token {
    path: PathBuf,
    clock: Clock,
    read: Mutex<(String, Duration)>,
}

impl Token {
    /// Reads the file. Fails with [`ErrorKind::Invalid`] and one sentence that says what to change.
    pub(in crate::store) fn read(path: PathBuf, clock: Clock) -> Result<Arc<Token>> {
        let text = token(&path)?;
        let now = clock.elapsed();
        Ok(Arc::new(Token { path, clock, read: Mutex::new((text, now)) }))
    }

    /// The token as it is now; the last one where the file cannot be read.
    fn current(&self) -> String {
        let now = self.clock.elapsed();
        let mut read = self.read.lock();
        if now.saturating_sub(read.1) >= TOKEN_HOLDS {
            match token(&self.path) {
                Ok(text) => read.0 = text,
                Err(error) => tracing::warn!(%error, "the token of the near caches stays as it was"),
            }
            read.1 = now;
        }
        read.0.clone()
    }
}

fn token(path: &std::path::Path) -> Result<String> {
    let fail = |what: String| {
        Error::new(
            ErrorKind::Invalid,
            format!(
                "the token in {} {what}; set near-token-file to a file with one line of \
                                                letters, digits and -._~+/=",
                path.display()
            ),
        )
    };
    let bytes = files::read(path, MOST_TOKEN_BYTES).map_err(|error| fail(format!("cannot be read: {error}")))?.bytes;
    let text = String::from_utf8(bytes).map_err(|_| fail("is not text".to_owned()))?;
    let text = text.trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    match !text.is_empty() && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(fail("is empty or holds other characters".to_owned())),
    }
}

/// The headers that a member sets itself, and the rest, which is signed.
pub(super) fn apart(headers: Vec<Pair>) -> (Vec<Pair>, Vec<Pair>) {
    headers.into_iter().partition(|(name, _)| name == "range" || name == "if-match")
}

impl Via {
    /// The path of a signed request for the member, and the headers that are added to it.
    pub(super) fn wrap(&self, target: &Target, path_and_query: &str, own: Vec<Pair>) -> (String, Vec<Pair>) {
        let mut headers = Vec::with_capacity(3);
        let mut pin = None;
        for (name, value) in own {
            match name.as_str() {
                "if-match" => pin = Some(value.trim_matches('"').to_owned()),
                _ => headers.push((name, value)),
            }
        }
        headers.push(("x-near-host".to_owned(), target.host.clone()));
        headers.extend(self.token.as_ref().map(|token| ("x-near-token".to_owned(), token.current())));
        let pin = pin.map_or_else(|| "v".to_owned(), |tag| format!("e-{tag}"));
        (format!("/near/1/{pin}{path_and_query}"), headers)
    }

    /// Counts what an answer that `took` so long to begin says of itself: whether the member had the bytes, and how
    /// many it had to fetch.
    pub(super) fn answered(&self, headers: &HeaderMap, length: Option<u64>, took: Duration) {
        let status = headers.get("x-cache-status").and_then(|status| status.to_str().ok());
        match status {
            Some("HIT" | "STALE" | "UPDATING" | "REVALIDATED") => {
                self.metrics.add(Metric::NearHits, 1);
                self.metrics.took(Distribution::NearHitTime, took);
            }
            Some(_) => {
                self.metrics.add(Metric::NearMisses, 1);
                self.metrics.took(Distribution::NearMissTime, took);
                self.metrics.add(Metric::NearMissBytes, length.unwrap_or_default());
            }
            None => self.metrics.add(Metric::NearUnknown, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::Timestamp;

    fn pair(name: &str, value: &str) -> Pair {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_version_goes_into_the_url_and_the_range_stays_unsigned() {
        let target = Target { host: "b.host".to_owned(), path: "/k%20/../x".to_owned() };
        let via = Via { authority: "near:8080".to_owned(), token: None, metrics: Arc::default() };
        let headers = vec![pair("if-match", "\"5D41-2\""), pair("x-oss-date", "1"), pair("range", "bytes=0-9")];
        let (own, signed) = apart(headers);
        assert_eq!(signed, [pair("x-oss-date", "1")]);
        let (path, added) = via.wrap(&target, "/k%20/../x?versionId=7", own);
        assert_eq!(path, "/near/1/e-5D41-2/k%20/../x?versionId=7");
        assert_eq!(added, [pair("range", "bytes=0-9"), pair("x-near-host", "b.host")]);
        assert_eq!(via.wrap(&target, "/k?versionId=7", Vec::new()).0, "/near/1/v/k?versionId=7");
    }

    #[test]
    fn a_token_is_read_again_and_the_last_one_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let clock = Clock::manual(Timestamp::from_unix(0));
        for (text, what) in [("", "is empty"), ("a\nb", "other characters"), ("\u{fc}", "other characters")] {
            fs::write(file.path(), text).unwrap();
            let error = Token::read(file.path().to_owned(), clock.clone()).err().unwrap();
            assert!(error.message().contains(what), "{error}");
        }
        fs::write(file.path(), "first\n").unwrap();
        let token = Token::read(file.path().to_owned(), clock.clone()).unwrap();
        for (text, expected) in [("second", "second"), ("", "second"), ("third", "third")] {
            fs::write(file.path(), text).unwrap();
            clock.advance(TOKEN_HOLDS);
            assert_eq!(token.current(), expected);
        }
    }
}
