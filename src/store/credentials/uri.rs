//! Credentials that a service of the user's own hands out at a URL.

use std::time::Duration;

use async_trait::async_trait;

use super::refresh::Origin;
use super::web::{Ask, Web, refused};
use super::{Credentials, answer};
use crate::store::Result;

const PATIENCE: Duration = Duration::from_secs(10);

/// A URL that answers with an access key as JSON.
#[derive(Debug)]
pub(super) struct At {
    pub(super) web: Web,
    pub(super) url: String,
    /// The `Authorization` header, where the service wants one; read anew each time.
    pub(super) authorization: Authorization,
}

/// What to say to the service of who asks.
#[derive(Clone)]
pub enum Authorization {
    /// Nothing.
    None,
    /// This.
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
impl Origin for At {
    async fn fetch(&self) -> Result<Credentials> {
        let mut ask = Ask::get(&self.url, PATIENCE);
        let token = match &self.authorization {
            Authorization::None => None,
            Authorization::Text(text) => Some(text.as_str().trim().to_owned()),
            Authorization::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|error| refused(format!("{} cannot be read: {error}", path.display())))?;
                Some(text.trim().to_owned())
            }
        };
        ask.headers.extend(token.map(|token| ("authorization".to_owned(), token)));
        let text = self.web.ask(ask).await?.success("the service of credentials-uri")?;
        answer::parse(&text).map_err(|what| refused(format!("what the service of credentials-uri answers {what}")))
    }
}
