//! Errors of requests to a store.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Foreign;

/// What a caller can branch on. Closed on purpose: `fs` maps every kind to an errno and the compiler keeps that whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// No such key or version (404).
    NotFound,
    /// No such bucket (404).
    NoSuchBucket,
    /// The credentials may not do this, or the signature was refused (403).
    AccessDenied,
    /// No credentials could be had, or they are unknown to the service or expired.
    Credentials,
    /// The object is archived and must be restored first.
    Archived,
    /// The object no longer carries the entity tag asked for (412), or its answer shows another version.
    Changed,
    /// The range starts at or past the end (416).
    RangeNotSatisfiable,
    /// The bucket lives elsewhere; the message names the endpoint or region.
    WrongRegion,
    /// The object is more than one request copies (400).
    TooLarge,
    /// The service refused the request itself (other 4xx).
    Invalid,
    /// The service told us to slow down (429, 503 with a throttle code).
    Throttled,
    /// Our clock and the service's differ too much.
    ClockSkew,
    /// The service failed (5xx).
    Server,
    /// Connecting, sending or receiving failed.
    Network,
    /// Nothing arrived in time.
    Timeout,
    /// The answer could not be understood or does not fit the request.
    Protocol,
    /// Bytes arrived that differ from what the store says it holds.
    Corrupt,
    /// This store cannot do that.
    Unsupported,
    /// The request conflicts with the state of the object (409).
    Conflict,
}

/// The result of a store call.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed request: a kind to branch on and the context for people. Boxed, so that a `Result` stays small; cloned
/// where several readers waited for one request.
#[derive(Clone)]
pub struct Error(Box<Details>);

#[derive(Clone, Default)]
struct Details {
    kind: Option<ErrorKind>,
    message: String,
    operation: &'static str,
    key: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    ec: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    tries: u32,
    elapsed: Duration,
    cure: &'static str,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

macro_rules! context {
    ($($(#[$doc:meta])* $setter:ident, $field:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $setter(mut self, value: impl Into<$type>) -> Self {
            self.0.$field = value.into();
            self
        }
    )*};
}

impl Error {
    /// A body that ends so many bytes before its end.
    pub(super) fn ended_early(missing: u64) -> Self {
        Error::new(ErrorKind::Network, format!("the body ended {missing} bytes early"))
    }

    /// Nothing has come for so long.
    pub(super) fn stalled(limit: Duration) -> Self {
        let message = format!("nothing arrived for {:.1} s", limit.as_secs_f64());
        Error::new(ErrorKind::Timeout, message).with_elapsed(limit)
    }

    /// An error of this kind, said in one sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Details { kind: Some(kind), message: message.into(), tries: 1, ..Details::default() }))
    }

    context! {
        /// Names the operation, such as `GetObject`.
        with_operation, operation: &'static str;
        /// Names the key or prefix.
        with_key, key: Option<String>;
        /// The HTTP status of the answer.
        with_status, status: Option<u16>;
        /// The service's own code, such as `NoSuchKey`.
        with_code, code: Option<String>;
        /// The service's finer code (`x-oss-ec`).
        with_ec, ec: Option<String>;
        /// The service's request id.
        with_request_id, request_id: Option<String>;
        /// How long the service told us to wait.
        with_retry_after, retry_after: Option<Duration>;
        /// What to do about it, in a phrase.
        with_cure, cure: &'static str;
        /// How many tries were made.
        with_tries, tries: u32;
        /// How long all tries took.
        with_elapsed, elapsed: Duration;
    }

    /// The same error with what caused it.
    pub fn with_source(mut self, source: impl Into<Option<Box<dyn std::error::Error + Send + Sync>>>) -> Self {
        self.0.source = source.into().map(Arc::from);
        self
    }

    /// What to branch on.
    pub fn kind(&self) -> ErrorKind {
        // `new` is the only constructor and always sets it.
        self.0.kind.unwrap_or(ErrorKind::Protocol)
    }

    /// What happened, in one sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, where something can be said that is not in the message.
    pub fn cure(&self) -> Option<&'static str> {
        Some(self.0.cure).filter(|cure| !cure.is_empty())
    }

    /// The key or prefix, where one was asked for.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The HTTP status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The service's own code, if there was one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The service's finer code, if there was one.
    pub fn ec(&self) -> Option<&str> {
        self.0.ec.as_deref()
    }

    /// The service's request id, if there was one.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the service told us to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The innermost cause in its own words, which says most: "connection refused" rather than "sending failed".
    pub fn root_cause(&self) -> Option<String> {
        let mut innermost: &dyn std::error::Error = self.0.source.as_deref()?;
        while let Some(next) = innermost.source() {
            innermost = next;
        }
        Some(innermost.to_string())
    }

    /// Whether it is that nobody has accepted a connection within the time for that, nor refused it.
    pub(super) fn is_unanswered(&self) -> bool {
        let source = self.0.source.as_deref().and_then(|source| source.downcast_ref::<io::Error>());
        self.kind() == ErrorKind::Network && source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
    }

    /// How many tries were made.
    pub fn tries(&self) -> u32 {
        self.0.tries
    }

    /// How long all tries took; of a single one, as far as it was measured.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(&inner.message)?;
        if let Some(cure) = self.cure() {
            write!(f, "; {cure}")?;
        }
        let mut facts = Vec::new();
        if !inner.operation.is_empty() {
            facts.push(inner.operation.to_owned());
        }
        facts.extend(inner.key.as_ref().map(|key| format!("key {key:?}")));
        facts.extend(inner.status.map(|status| format!("status {status}")));
        facts.extend(inner.code.clone());
        facts.extend(inner.ec.as_ref().map(|ec| format!("EC {ec}")));
        facts.extend(inner.request_id.as_ref().map(|id| format!("request id {id}")));
        if inner.tries > 1 {
            facts.push(format!("{} tries in {:.1} s", inner.tries, inner.elapsed.as_secs_f64()));
        }
        if !facts.is_empty() {
            write!(f, " ({})", facts.join(", "))?;
        }
        let mut source = inner.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl std::error::Error for Error {}

/// What a service says, trimmed, as it goes into logs and onto terminals: on one line, so that it does not look like
/// lines of ours, and without what acts there.
pub(super) fn one_line(said: &str) -> String {
    Foreign(&said.trim().replace(['\n', '\r', '\t'], " ")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_how_often() {
        let error = Error::new(ErrorKind::Server, "the service failed")
            .with_operation("GetObject")
            .with_key("a b".to_owned())
            .with_status(500)
            .with_code("InternalError".to_owned())
            .with_request_id("5C1B".to_owned())
            .with_tries(3u32)
            .with_elapsed(Duration::from_millis(1240));
        assert_eq!(
            error.to_string(),
            "the service failed (GetObject, key \"a b\", status 500, InternalError, request id 5C1B, 3 tries in 1.2 s)"
        );
    }
}
