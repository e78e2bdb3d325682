//! The role of an instance of ECS or EC2, from the metadata service of the machine.
//!
//! Hardened instances want a token first, for which one has to PUT; others may know none, and are then asked without.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;

use super::refresh::Origin;
use super::web::{Ask, Web, refused};
use super::{Credentials, answer};
use crate::store::Result;

/// Where the service is on every instance of ECS.
pub const METADATA: &str = "http://100.100.100.200";

/// Where the service is on every instance of EC2.
pub const EC2_METADATA: &str = "http://169.254.169.254";

const TOKEN_SECONDS: &str = "21600";
/// It is on the same machine, or is not there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whose instance it is; the services differ in names alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cloud {
    Alibaba,
    Amazon,
}

impl Cloud {
    /// What messages call the role.
    fn role(self) -> &'static str {
        match self {
            Cloud::Alibaba => "ECS role",
            Cloud::Amazon => "EC2 role",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Cloud::Alibaba => "latest/meta-data/ram/security-credentials",
            Cloud::Amazon => "latest/meta-data/iam/security-credentials",
        }
    }

    fn token_header(self) -> &'static str {
        match self {
            Cloud::Alibaba => "x-aliyun-ecs-metadata-token",
            Cloud::Amazon => "x-aws-ec2-metadata-token",
        }
    }
}

/// Keys of an instance's role.
#[derive(Debug)]
pub(super) struct InstanceRole {
    pub(super) web: Web,
    pub(super) cloud: Cloud,
    /// `http://HOST`, without a slash at its end.
    pub(super) endpoint: String,
    /// The one the instance has, if not said.
    pub(super) role: Option<String>,
}

impl InstanceRole {
    async fn ask(&self, path: &str, token: Option<&str>) -> Result<zeroize::Zeroizing<String>> {
        let url = format!("{}/{}/{path}", self.endpoint, self.cloud.path());
        let mut ask = Ask::get(&url, PATIENCE);
        ask.headers.extend(token.map(|token| (self.cloud.token_header().to_owned(), token.to_owned())));
        self.web.ask(ask).await?.success("the metadata service")
    }

    /// `None` where the instance knows no tokens.
    async fn token(&self) -> Result<Option<zeroize::Zeroizing<String>>> {
        let url = format!("{}/latest/api/token", self.endpoint);
        let headers = vec![(format!("{}-ttl-seconds", self.cloud.token_header()), TOKEN_SECONDS.to_owned())];
        let said = self.web.ask(Ask { method: Method::PUT, headers, ..Ask::get(&url, PATIENCE) }).await?;
        let token = said.success("the metadata service").ok().map(|token| token.trim().to_owned());
        Ok(token.filter(|token| !token.is_empty()).map(zeroize::Zeroizing::new))
    }
}

#[async_trait]
impl Origin for InstanceRole {
    async fn fetch(&self) -> Result<Credentials> {
        let explain = |error| refused(format!("no credentials for the {}: {error}", self.cloud.role()));
        let token = self.token().await.map_err(explain)?;
        let token = token.as_deref().map(String::as_str);
        let role = match &self.role {
            Some(role) => role.clone(),
            None => {
                let roles = self.ask("", token).await.map_err(explain)?;
                let first = roles.lines().map(str::trim).find(|role| !role.is_empty());
                let none = || match self.cloud {
                    Cloud::Alibaba => refused("this ECS instance has no RAM role; attach one to it"),
                    Cloud::Amazon => refused("this EC2 instance has no role; attach an instance profile to it"),
                };
                first.ok_or_else(none)?.to_owned()
            }
        };
        if role.contains(['/', '?', '#']) || role.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refused(format!("{role:?} is not the name of a role; set ram-role")));
        }
        let text = self.ask(&role, token).await.map_err(explain)?;
        answer::parse(&text)
            .map_err(|what| refused(format!("the answer of the metadata service for the role {role} {what}")))
    }
}
