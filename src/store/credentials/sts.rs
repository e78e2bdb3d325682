//! Roles that are assumed: with a token that a cluster writes into a file (OIDC, also known as RRSA; at S3's
//! service web identity), or with other credentials (AssumeRole).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha1::Sha1;
use zeroize::Zeroizing;

use super::refresh::Origin;
use super::web::{self, Ask, Web, refused};
use super::{Credentials, Provider, answer};
use crate::base::Timestamp;
use crate::store::encode::{self, Valueless};
use crate::store::sign::{Payload, Unsigned, sigv4};
use crate::store::{Error, Pair, Result};

const PATIENCE: Duration = Duration::from_secs(10);
const VERSION: &str = "2015-04-01";
/// The version of the interface of S3's service.
const S3_VERSION: &str = "2011-06-15";
/// Longer tokens are none.
const MAX_TOKEN_BYTES: u64 = 20_000;

/// The role to take on.
#[derive(Clone, Debug)]
pub struct Role {
    /// Of the service that grants it: `https://sts.REGION.aliyuncs.com`, `https://sts.REGION.amazonaws.com`.
    pub endpoint: String,
    /// As in `acs:ram::ACCOUNT:role/NAME` or `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// What the service's log says of who took it on.
    pub session: String,
    /// How long the keys should live, in seconds.
    pub duration_seconds: u32,
    /// What the owner of the role wants to be told, where that is so.
    pub external_id: Option<String>,
}

impl Role {
    fn parameters<'a>(&'a self, seconds: &'a str) -> [(&'a str, &'a str); 3] {
        [("RoleArn", &self.arn), ("RoleSessionName", &self.session), ("DurationSeconds", seconds)]
    }

    /// Whether it is of S3's service, and not of Alibaba Cloud's: `arn:aws:iam::...`, `acs:ram::...`.
    fn is_of_s3(&self) -> bool {
        self.arn.starts_with("arn:")
    }

    /// The region that the endpoint of S3's service is in, which is part of signatures.
    fn s3_region(&self) -> &str {
        let host = self.endpoint.split("://").last().unwrap_or_default();
        match host.split('.').collect::<Vec<_>>()[..] {
            ["sts", region, "amazonaws", ..] => region,
            _ => "us-east-1",
        }
    }

    /// A failure with what it was a failure of.
    fn explain(&self, error: &Error) -> Error {
        refused(format!("no credentials for the role {}: {}", self.arn, error.message()))
    }
}

/// A role taken on with the token that a cluster wrote into a file.
#[derive(Debug)]
pub(super) struct WithToken {
    pub(super) web: Web,
    pub(super) role: Role,
    pub(super) provider_arn: String,
    /// Read anew each time: clusters write another one every hour.
    pub(super) token_file: PathBuf,
}

#[async_trait]
impl Origin for WithToken {
    async fn fetch(&self) -> Result<Credentials> {
        let token = read_token(&self.token_file).await?;
        let seconds = self.role.duration_seconds.to_string();
        let time = iso(self.web.clock.now());
        let query = encode::query(
            [("Action", "AssumeRoleWithOIDC"), ("Version", VERSION), ("Format", "JSON"), ("Timestamp", time.as_str())],
            Valueless::WithEquals,
        );
        let form = self.role.parameters(&seconds).into_iter();
        let form = form.chain([("OIDCProviderArn", self.provider_arn.as_str()), ("OIDCToken", token.trim())]);
        let body = encode::query(form, Valueless::WithEquals);
        let url = format!("{}/?{query}", self.role.endpoint);
        grant(&self.web, &url, body).await.map_err(|error| self.role.explain(&error))
    }
}

/// A role of S3's service taken on with the token that a cluster wrote into a file.
#[derive(Debug)]
pub(super) struct WithWebIdentity {
    pub(super) web: Web,
    pub(super) role: Role,
    /// Read anew each time.
    pub(super) token_file: PathBuf,
}

#[async_trait]
impl Origin for WithWebIdentity {
    async fn fetch(&self) -> Result<Credentials> {
        let token = read_token(&self.token_file).await?;
        let seconds = self.role.duration_seconds.to_string();
        let form = self.role.parameters(&seconds).into_iter();
        let form = form.chain([
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", S3_VERSION),
            ("WebIdentityToken", token.trim()),
        ]);
        let body = encode::query(form, Valueless::WithEquals);
        let url = format!("{}/", self.role.endpoint);
        let said = post(&self.web, &url, body).await.map_err(|error| self.role.explain(&error))?;
        answer::parse_xml(&said).map_err(|what| odd(&what))
    }
}

async fn read_token(path: &std::path::Path) -> Result<Zeroizing<String>> {
    web::small_text(path, MAX_TOKEN_BYTES).await.map_err(|error| refused(format!("the token file {error}")))
}

/// A role taken on with other credentials.
#[derive(Debug)]
pub(super) struct WithKey {
    pub(super) web: Web,
    pub(super) role: Role,
    pub(super) source: Arc<dyn Provider>,
}

#[async_trait]
impl Origin for WithKey {
    async fn fetch(&self) -> Result<Credentials> {
        let source = self.source.credentials().await.map_err(|error| self.role.explain(&error))?;
        let url = format!("{}/", self.role.endpoint);
        if self.role.is_of_s3() {
            let said = assume_at_s3(&self.web, &url, &self.role, &source).await;
            return answer::parse_xml(&said.map_err(|error| self.role.explain(&error))?).map_err(|what| odd(&what));
        }
        let nonce = hex::encode(rand::random::<[u8; 16]>());
        let form = signed_form(&self.role, &source, self.web.clock.now(), &nonce);
        grant(&self.web, &url, form).await.map_err(|error| self.role.explain(&error))
    }
}

/// AssumeRole at S3's service, whose requests are signed as those of S3.
async fn assume_at_s3(web: &Web, url: &str, role: &Role, source: &Credentials) -> Result<Zeroizing<String>> {
    let seconds = role.duration_seconds.to_string();
    let form = role.parameters(&seconds).into_iter();
    let form = form.chain([("Action", "AssumeRole"), ("Version", S3_VERSION)]);
    let form = form.chain(role.external_id.as_deref().map(|id| ("ExternalId", id)));
    let form = encode::query(form, Valueless::WithEquals);
    let mut headers = vec![form_header()];
    let request = Unsigned {
        method: "POST",
        bucket: None,
        key: None,
        path: "/",
        host: role.endpoint.split("://").last().unwrap_or_default(),
        query: &[],
        headers: &headers,
        additional_headers: &[],
        payload: Payload::Bytes(form.as_bytes()),
    };
    let added = sigv4::sign_for_service(&request, source, web.clock.now(), (role.s3_region(), "sts"));
    headers.extend(added);
    send(web, url, form, headers).await
}

/// The form of AssumeRole with its signature: HMAC-SHA1 over the method, the path and the sorted parameters.
fn signed_form(role: &Role, source: &Credentials, now: Timestamp, nonce: &str) -> String {
    let (seconds, time) = (role.duration_seconds.to_string(), iso(now));
    let mut parameters = vec![
        ("Action", "AssumeRole"),
        ("Version", VERSION),
        ("Format", "JSON"),
        ("Timestamp", time.as_str()),
        ("AccessKeyId", source.access_key_id()),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", nonce),
    ];
    parameters.extend(role.parameters(&seconds));
    parameters.extend(source.token().map(|token| ("SecurityToken", token)));
    parameters.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
    let canonical = encode::query(parameters, Valueless::WithEquals);
    let signature = signature("POST", &canonical, source.secret());
    format!("{canonical}&Signature={}", encode::value(&signature))
}

fn signature(method: &str, canonical_query: &str, secret: &str) -> String {
    let text = format!("{method}&{}&{}", encode::value("/"), encode::value(canonical_query));
    let key = Zeroizing::new(format!("{secret}&"));
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

async fn grant(web: &Web, url: &str, form: String) -> Result<Credentials> {
    answer::parse(&post(web, url, form).await?).map_err(|what| odd(&what))
}

async fn post(web: &Web, url: &str, form: String) -> Result<Zeroizing<String>> {
    send(web, url, form, vec![form_header()]).await
}

fn form_header() -> Pair {
    ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())
}

async fn send(web: &Web, url: &str, form: String, headers: Vec<Pair>) -> Result<Zeroizing<String>> {
    let ask = Ask { method: Method::POST, headers, body: Bytes::from(form), ..Ask::get(url, PATIENCE) };
    web.ask(ask).await?.success("the STS endpoint")
}

fn odd(what: &str) -> Error {
    refused(format!("the answer of the STS endpoint {what}"))
}

fn iso(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.seconds).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_signed_over_all_that_it_says() {
        let role = Role {
            endpoint: String::new(),
            arn: "acs:ram::1234567890123456:role/firstrole".into(),
            session: "client".into(),
            duration_seconds: 3600,
            external_id: None,
        };
        let source = Credentials::new("testid", "testsecret");
        let now = Timestamp::from_unix(1_709_210_096);
        let form = signed_form(&role, &source, now, "n0nce");
        assert!(form.contains("&RoleArn=acs%3Aram%3A%3A1234567890123456%3Arole%2Ffirstrole&"), "{form}");
        assert!(form.contains("&Timestamp=2024-02-29T12%3A34%3A56Z&"), "{form}");
        let with_token = signed_form(&role, &source.clone().with_token(Some("t+k".into())), now, "n0nce");
        assert!(with_token.contains("&SecurityToken=t%2Bk&"), "{with_token}");
        let signature = |form: &str| form.rsplit_once("Signature=").unwrap().1.to_owned();
        assert_ne!(signature(&form), signature(&with_token));
        assert_ne!(signature(&form), signature(&signed_form(&role, &source, now, "another")));
    }

    /// The example of the service's documentation of its signature.
    #[test]
    fn the_signature_is_that_of_the_documentation() {
        let parameters = [
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Format", "XML"),
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("Version", "2014-05-26"),
            ("SignatureVersion", "1.0"),
        ];
        let query = encode::query(parameters, Valueless::WithEquals);
        assert_eq!(signature("GET", &query, "testsecret"), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
    }
}
