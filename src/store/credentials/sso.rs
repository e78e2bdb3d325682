//! Roles of single sign-on: keys for the token that `aws sso login` has left.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::refresh::Origin;
use super::web::{self, Ask, Web, refused};
use super::{Credentials, aws, formats};
use crate::base::Timestamp;
use crate::store::encode;
use crate::store::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer tokens are none.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Keys of a role of single sign-on.
#[derive(Debug)]
pub(super) struct SsoRole {
    pub(super) web: Web,
    /// The service that hands out keys, as in `https://portal.sso.REGION.amazonaws.com`.
    pub(super) endpoint: String,
    pub(super) account: String,
    pub(super) role: String,
    /// Where the token is; read anew each time.
    pub(super) token_file: PathBuf,
    /// The profile, for what to do.
    pub(super) profile: String,
}

/// What the aws command line keeps of a login.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    #[serde(deserialize_with = "formats::secret")]
    access_token: Zeroizing<String>,
    expires_at: String,
}

impl SsoRole {
    fn log_in(&self, why: &str) -> Error {
        refused(format!("{why}: run aws sso login --profile {}", self.profile))
    }

    async fn token(&self) -> Result<Zeroizing<String>> {
        let text = web::small_text(&self.token_file, MAX_TOKEN_BYTES).await;
        let text = text.map_err(|error| self.log_in(&format!("there is no login: {error}")))?;
        // The parser's own words may quote the token.
        let login: Login = serde_json::from_str(&text)
            .map_err(|_| self.log_in(&format!("{} holds no login", self.token_file.display())))?;
        let ends = login.expires_at.parse::<jiff::Timestamp>().ok().map(|time| Timestamp::from_unix(time.as_second()));
        match ends {
            Some(ends) if ends > self.web.clock.now() => Ok(login.access_token),
            _ => Err(self.log_in("the login has ended")),
        }
    }
}

#[async_trait]
impl Origin for SsoRole {
    async fn fetch(&self) -> Result<Credentials> {
        let token = self.token().await?;
        let (role, account) = (encode::value(&self.role), encode::value(&self.account));
        let url = format!("{}/federation/credentials?role_name={role}&account_id={account}", self.endpoint);
        let mut ask = Ask::get(&url, PATIENCE);
        ask.headers.push(("x-amz-sso_bearer_token".to_owned(), token.trim().to_owned()));
        let said = self.web.ask(ask).await?;
        if said.status == 401 {
            return Err(self.log_in("the login is not accepted"));
        }
        let explain = |error: Error| {
            refused(format!("no credentials for the role {} of single sign-on: {}", self.role, error.message()))
        };
        let text = said.success("the service of single sign-on").map_err(explain)?;
        aws::sso_keys(&text).map_err(|what| refused(format!("the answer of the service of single sign-on {what}")))
    }
}
