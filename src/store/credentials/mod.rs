//! Who asks: access keys and where they come from.
//!
//! A [`Source`] says where; a provider made from it is asked before every request, so that rotated keys are picked up
//! without a restart. The environment and command-line flags are read in `config`.

mod file;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroize;

use super::Result;
use crate::base::{Clock, Timestamp};

/// An access key. Its secrets are overwritten when it is dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret: String,
    token: Option<String>,
    expires: Option<Timestamp>,
}

impl Credentials {
    /// A long-lived key.
    pub fn new(access_key_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Credentials { access_key_id: access_key_id.into(), secret: secret.into(), token: None, expires: None }
    }

    /// Adds the security token of temporary credentials.
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// Says when the key stops working.
    pub fn with_expiry(mut self, expires: Option<Timestamp>) -> Self {
        self.expires = expires;
        self
    }

    /// The public half.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// When the key stops working, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The secret half, for signing only.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The security token, for signing only.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.token.zeroize();
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret", &"(hidden)")
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("expires", &self.expires)
            .finish()
    }
}

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Given once.
    Static(Credentials),
    /// A JSON file with `AccessKeyId`, `AccessKeySecret` and, for temporary ones, `SecurityToken` and `Expiration`;
    /// read again when it changes.
    File(PathBuf),
    /// None: requests are not signed.
    Anonymous,
}

impl Source {
    /// Whether requests go unsigned.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self, Source::Anonymous)
    }

    /// What answers for this source; `None` when requests are not to be signed.
    pub(crate) fn provider(&self, clock: &Clock) -> Option<Arc<dyn Provider>> {
        match self {
            Source::Static(credentials) => Some(Arc::new(Fixed(Arc::new(credentials.clone())))),
            Source::File(path) => Some(Arc::new(file::FileProvider::new(path.clone(), clock.clone()))),
            Source::Anonymous => None,
        }
    }
}

/// Something that knows the credentials to sign the next request with. It keeps them and refreshes them in time: it
/// is asked before every request.
#[async_trait]
pub(crate) trait Provider: Send + Sync + fmt::Debug + 'static {
    /// The credentials valid now. Fails with [`ErrorKind::Credentials`](super::ErrorKind::Credentials).
    async fn credentials(&self) -> Result<Arc<Credentials>>;

    /// The service refused what was given last: look for other ones before the next request.
    fn refused(&self) {}
}

#[derive(Debug)]
struct Fixed(Arc<Credentials>);

#[async_trait]
impl Provider for Fixed {
    async fn credentials(&self) -> Result<Arc<Credentials>> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::BucketName;
    use crate::store::{Dialect, Options};

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials::new("AKID", "s3cr3t-key").with_token(Some("t0ken".into()));
        let mut options = Options::new(Dialect::Oss, BucketName::new("b"));
        options.credentials = Source::Static(credentials.clone());
        let provider = options.credentials.provider(&Clock::system());
        for shown in [format!("{credentials:?}"), format!("{options:#?}"), format!("{provider:?}")] {
            assert!(shown.contains("AKID"), "{shown}");
            assert!(!shown.contains("s3cr3t") && !shown.contains("t0ken"), "{shown}");
        }
    }
}
