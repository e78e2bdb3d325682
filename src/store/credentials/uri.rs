//! Credentials from a service of the user at a URL.

use std::time::Duration;

use async_trait::async_trait;

use super::refresh::Origin;
use super::web::{self, Ask, Web, refused};
use super::{Credentials, answer};
use crate::store::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer ones fit into no header.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// A URL that answers with an access key as JSON.
#[derive(Debug)]
pub(super) struct KeyService {
    pub(super) web: Web,
    pub(super) url: String,
    /// The `Authorization` header, where the service wants one; read anew each time.
    pub(super) authorization: Authorization,
}

/// How to authenticate to the service.
#[derive(Clone)]
pub enum Authorization {
    /// No token is sent.
    None,
    /// This token is sent.
    Text(zeroize::Zeroizing<String>),
    /// What is in this file.
    File(std::path::PathBuf),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Authorization::None => f.write_str("None"),
            Authorization::Text(_) => f.write_str("Text(hidden)"),
            Authorization::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[async_trait]
impl Origin for KeyService {
    async fn fetch(&self) -> Result<Credentials> {
        let mut ask = Ask::get(&self.url, PATIENCE);
        let token = match &self.authorization {
            Authorization::None => None,
            Authorization::Text(text) => Some(text.as_str().trim().to_owned()),
            Authorization::File(path) => {
                let text = web::small_text(path, MAX_TOKEN_BYTES).await;
                let text = text.map_err(|error| refused(format!("the token file {error}")))?;
                Some(text.trim().to_owned())
            }
        };
        ask.headers.extend(token.map(|token| ("authorization".to_owned(), token)));
        let explain =
            |error: Error| refused(format!("no credentials from the service of credentials-uri: {}", error.message()));
        let said = self.web.ask(ask).await.and_then(|said| said.success("it"));
        let text = said.map_err(explain)?;
        answer::parse(&text).map_err(|what| refused(format!("the answer of the service of credentials-uri {what}")))
    }
}
