//! [`HttpStore`]: the bucket over HTTP, without retries or limits, which are layers over it. A file per operation says
//! what is sent and what may come back; this one signs and sends.
//!
//! | file | what it owns |
//! |---|---|
//! | `buckets` | ListBuckets |
//! | `copy` | CopyObject, UploadPartCopy |
//! | `delete` | DeleteObject |
//! | `fit` | whether an answer to GetObject matches the request |
//! | `get` | GetObject |
//! | `head` | HeadObject |
//! | `list` | ListObjectsV2, and ListObjects for servers that know only that |
//! | `listing` | the XML of a listing, of either version and dialect |
//! | `meta` | the metadata of an object, from the headers of an answer |
//! | `multipart` | uploads in parts |
//! | `put` | PutObject |
//! | `refusal` | from an error answer of the service to an `Error` |
//! | `symlink` | GetSymlink (OSS) |
//! | `tagging` | GetObjectTagging |
//! | `versions` | ListObjectVersions |
//! | `via` | a member of a fleet of near caches in the place of the bucket |

mod buckets;
mod copy;
mod delete;
mod fit;
mod get;
mod head;
mod list;
mod listing;
mod meta;
mod multipart;
mod put;
mod refusal;
mod symlink;
mod tagging;
mod versions;
mod via;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;

use self::refusal::Refusal;
pub(super) use self::via::{Token, Via};
use super::credentials::{AgeMeter, Provider, Web};
use super::dialect::Rules;
use super::encode::{self, Valueless};
use super::endpoint::Endpoint;
use super::http::{HttpRequest, Response, Transport, TransportOptions};
use super::layers::NearOptions;
use super::sign::{Payload, Scheme, Signer, Unsigned};
use super::{
    Addresses, Body, Change, Dialect, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest,
    ListVersion, ObjectMeta, Options, Outcome, Pair, Result, Sign, Store, StoreMut, Tags, Timeouts, VersionPage,
    VersionsRequest,
};
use crate::base::{Clock, Key, Timestamp};
use crate::metrics::Metrics;

/// How long a connection to a near cache may take: it is a few hops away.
const NEAR_CONNECT: Duration = Duration::from_millis(200);

/// Error bodies are a few hundred bytes; what is longer is no error of a store.
const MAX_ERROR_BODY: usize = 256 << 10;

/// One bucket over HTTP, in either dialect. Each call is one try: it fails at the first failure.
#[derive(Debug)]
pub struct HttpStore {
    options: Options,
    rules: &'static Rules,
    endpoint: Endpoint,
    transport: Transport,
    clock: Clock,
    /// `None` where requests go unsigned.
    signing: Option<Signing>,
    /// Requests go to this cache, signed as if they went to the bucket.
    via: Option<Via>,

    /// What the service's clock is ahead of ours, in seconds, as its last refusal told.
    ahead_seconds: AtomicI64,
    /// Whether the server turned out not to know ListObjectsV2.
    lists_v1: AtomicBool,
}

impl HttpStore {
    /// Checks the options and prepares connections; sends nothing. Must be called in a Tokio runtime.
    ///
    /// Fails with [`ErrorKind::Invalid`] and one sentence that says what to change.
    pub fn new(options: Options, clock: Clock) -> Result<HttpStore> {
        let endpoint = Endpoint::resolve(&options)?;
        let signing = signing(&options, &endpoint, &clock)?;
        let transport = TransportOptions {
            tls: endpoint.tls,
            ca_bundle: options.ca_bundle.as_deref(),
            proxy: options.proxy.as_ref(),
            bind: &options.bind,
            addresses: &options.addresses,
            timeouts: options.timeouts,
            max_idle: options.connections.most(),
            user_agent: &options.user_agent,
        };
        let transport = Transport::new(transport, clock.clone())?;
        Ok(HttpStore {
            rules: Rules::of(options.dialect),
            lists_v1: AtomicBool::new(options.list_version == ListVersion::V1),
            ahead_seconds: AtomicI64::new(0),
            options,
            endpoint,
            transport,
            clock,
            signing,
            via: None,
        })
    }

    /// The same bucket, with the same credentials, through a member of a fleet of near caches: at `address`, where it
    /// is known. Only GETs of pinned versions may be sent there.
    pub(super) fn through(
        &self,
        via: Via,
        tls: bool,
        address: Option<IpAddr>,
        near: &NearOptions,
    ) -> Result<HttpStore> {
        let addresses = match address {
            Some(address) => Addresses::resolved_by(move |_| Ok(vec![address])),
            None => Addresses::default(),
        };
        let timeouts = Timeouts { connect: NEAR_CONNECT, ..self.options.timeouts };
        let transport = TransportOptions {
            tls,
            ca_bundle: near.ca_bundle.as_deref(),
            proxy: None,
            bind: &self.options.bind,
            addresses: &addresses,
            timeouts,
            max_idle: self.options.connections.most(),
            user_agent: &self.options.user_agent,
        };
        Ok(HttpStore {
            options: self.options.clone(),
            rules: self.rules,
            endpoint: self.endpoint.clone(),
            transport: Transport::new(transport, self.clock.clone())?,
            clock: self.clock.clone(),
            signing: self.signing.clone(),
            via: Some(via),
            ahead_seconds: AtomicI64::new(0),
            lists_v1: AtomicBool::new(false),
        })
    }

    /// Whether the near cache that requests go to gives a sign of life.
    pub(super) async fn is_alive(&self) -> bool {
        let Some(via) = &self.via else { return true };
        let (method, host) = (Method::GET, via.authority.as_str());
        let ping = HttpRequest { method, host, path_and_query: via::HEALTH, headers: &[], body: Bytes::new() };
        self.transport.send(ping).await.is_ok_and(|answer| (200..300).contains(&answer.status))
    }

    /// Says in these figures how old its credentials are.
    pub(super) fn counting(mut self, metrics: &Arc<Metrics>) -> HttpStore {
        let counted = |provider| AgeMeter::over(provider, metrics.clone(), self.clock.clone());
        self.signing = self.signing.take().map(|(signer, provider)| (signer, counted(provider)));
        self
    }

    /// The source of credentials; `None` where requests are not signed.
    pub(super) fn provider(&self) -> Option<Arc<dyn Provider>> {
        self.signing.as_ref().map(|(_, provider)| provider.clone())
    }

    /// Where requests go, for people: scheme and authority.
    pub fn endpoint(&self) -> String {
        self.endpoint.url()
    }

    /// Signs and sends one request. Anything but success is an error.
    async fn call(&self, call: Call<'_>) -> Result<Response> {
        let now = self.clock.now().plus_seconds(self.ahead_seconds.load(Ordering::Relaxed));
        let outcome = self.call_at(&call, now).await;
        outcome.map_err(|error| {
            let error = error.with_operation(call.operation);
            if call.key.is_some() { error.with_key(call.key.map(str::to_owned)) } else { error }
        })
    }

    async fn call_at(&self, call: &Call<'_>, now: Timestamp) -> Result<Response> {
        if call.key == Some("") {
            // It would ask for, or delete, the bucket itself.
            return Err(Error::new(ErrorKind::Invalid, "a key cannot be empty"));
        }
        let target = match call.of {
            Of::Bucket => self.endpoint.target(self.options.bucket.as_str(), call.key),
            Of::Service => self.endpoint.service()?,
        };
        // What a cache sets itself is not signed.
        let (own, mut headers) = match &self.via {
            Some(_) => via::apart(call.headers.clone()),
            None => (Vec::new(), call.headers.clone()),
        };
        if self.options.request_payer {
            headers.push((self.rules.header("request-payer"), "requester".to_owned()));
        }
        if let Some((signer, provider)) = &self.signing {
            let credentials = provider.credentials().await?;
            let unsigned = Unsigned {
                method: call.method.as_str(),
                bucket: (call.of == Of::Bucket).then_some(self.options.bucket.as_str()),
                key: call.key,
                path: &target.path,
                host: &target.host,
                query: &call.query,
                headers: &headers,
                additional_headers: &[],
                payload: match call.body.is_empty() || !self.endpoint.tls {
                    true => Payload::Bytes(&call.body),
                    false => Payload::Unsigned,
                },
            };
            let added = signer.sign(&unsigned, &credentials, now);
            headers.extend(added);
        }
        let began = self.clock.elapsed();
        let mut path_and_query = self.path_and_query(target.path.clone(), &call.query);
        if let Some(via) = &self.via {
            let added;
            (path_and_query, added) = via.wrap(&target, &path_and_query, own);
            headers.extend(added);
        }
        let response = self
            .transport
            .send(HttpRequest {
                method: call.method.clone(),
                host: self.via.as_ref().map_or(&target.host, |via| &via.authority),
                path_and_query: &path_and_query,
                headers: &headers,
                body: call.body.clone(),
            })
            .await?;
        tracing::debug!(
            operation = call.operation,
            key = call.key,
            status = response.status,
            request_id = response.headers.get(self.rules.header("request-id")).and_then(|id| id.to_str().ok()),
            took_ms = self.clock.elapsed().saturating_sub(began).as_millis() as u64,
            "the service has answered"
        );
        if (200..300).contains(&response.status) {
            let length = call.warmed_bytes.or(response.length);
            let took = self.clock.elapsed().saturating_sub(began);
            self.via.iter().for_each(|via| via.answered(&response.headers, length, took));
            return Ok(response);
        }
        Err(self.refused(response, now).await)
    }

    /// The query is sent in the canonical form that is signed.
    fn path_and_query(&self, path: String, query: &[Pair]) -> String {
        if query.is_empty() {
            return path;
        }
        let valueless = match self.options.dialect {
            Dialect::Oss => Valueless::Bare,
            Dialect::S3 => Valueless::WithEquals,
        };
        let query = encode::query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())), valueless);
        format!("{path}?{query}")
    }

    async fn refused(&self, response: Response, signed: Timestamp) -> Error {
        let Response { status, headers, body, .. } = response;
        // The status stands whether or not the words come through.
        let body = Body::new(body).collect(MAX_ERROR_BODY).await.unwrap_or_default();
        let error = Refusal { rules: self.rules, status, headers: &headers, body: &body, signed }.error();
        if error.kind() == ErrorKind::Credentials
            && let Some((_, provider)) = &self.signing
        {
            provider.refused();
        }
        if error.kind() == ErrorKind::ClockSkew
            && let Some(theirs) = meta::http_time(&headers, "date")
        {
            let ahead = theirs.seconds.saturating_sub(self.clock.now().seconds);
            tracing::warn!(
                ahead_seconds = ahead,
                "the service's clock differs from this machine's; signing with the service's time"
            );
            self.ahead_seconds.store(ahead, Ordering::Relaxed);
        }
        error
    }
}

/// What signs, and whose keys it signs with.
type Signing = (Arc<Signer>, Arc<dyn Provider>);

fn signing(options: &Options, endpoint: &Endpoint, clock: &Clock) -> Result<Option<Signing>> {
    let region = endpoint.region.clone();
    let scheme = match (options.sign, options.dialect) {
        (Sign::None, _) => return Ok(None),
        (Sign::V4, Dialect::Oss) => Scheme::OssV4 { region, product: endpoint.product.to_owned() },
        (Sign::V4, Dialect::S3) => Scheme::SigV4 { region },
        (Sign::V1, Dialect::Oss) => Scheme::OssV1,
        (Sign::V1, Dialect::S3) => {
            return Err(Error::new(ErrorKind::Invalid, "S3 does not support V1 signatures; set sign to v4 or none"));
        }
    };
    let (ca_bundle, user_agent) = (options.ca_bundle.clone(), options.user_agent.clone());
    let (proxy, bind) = (options.proxy.clone(), options.bind.clone());
    let web = Web { ca_bundle, proxy, bind, user_agent, clock: clock.clone() };
    let provider = options.credentials.known_provider(&options.known, &web);
    Ok(provider.map(|provider| (Arc::new(Signer::new(scheme)), provider)))
}

/// What a request is sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Bucket,
    Service,
}

/// One request before it is signed.
#[derive(Debug)]
struct Call<'a> {
    operation: &'static str,
    method: Method,
    of: Of,
    /// `None` for requests to the bucket.
    key: Option<&'a str>,
    query: Vec<Pair>,
    headers: Vec<Pair>,
    body: Bytes,
    /// How many bytes a near cache fetches for this, where those are not the bytes it sends.
    warmed_bytes: Option<u64>,
}

impl<'a> Call<'a> {
    fn new(operation: &'static str, method: Method, key: Option<&'a str>) -> Self {
        let (query, headers, body) = (Vec::new(), Vec::new(), Bytes::new());
        Call { operation, method, of: Of::Bucket, key, query, headers, body, warmed_bytes: None }
    }

    /// The same, to the service itself and no bucket of it.
    fn of_service(self) -> Self {
        Call { of: Of::Service, ..self }
    }

    fn query(mut self, name: &str, value: impl Into<Option<String>>) -> Self {
        self.query.extend(value.into().map(|value| (name.to_owned(), value)));
        self
    }

    fn header(mut self, name: impl Into<String>, value: impl Into<Option<String>>) -> Self {
        let value = value.into();
        self.headers.extend(value.map(|value| (name.into(), value)));
        self
    }
}

/// An answer that does not fit the request.
fn unfit(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

#[async_trait]
impl Store for HttpStore {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.get_object(request).await
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.head_object(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.list_objects(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.list_object_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.get_symlink(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.object_tagging(key, version).await
    }
}

#[async_trait]
impl StoreMut for HttpStore {
    async fn change(&self, change: Change) -> Result<Outcome> {
        Ok(match change {
            Change::Put(request) => Outcome::Stored(self.put_object(request).await?),
            Change::Delete(request) => {
                self.delete_object(request).await?;
                Outcome::Done
            }
            Change::Copy(request) => Outcome::Copied(self.copy_object(request).await?),
            Change::BeginUpload(request) => Outcome::Begun(self.initiate_upload(request).await?),
            Change::CopyPart(request) => Outcome::Part(self.upload_part_copy(request).await?),
            Change::ListParts(request) => Outcome::Parts(self.list_parts_of(request).await?),
            Change::CompleteUpload(request) => Outcome::Copied(self.complete(request).await?),
            Change::AbortUpload(upload) => {
                self.abort(upload).await?;
                Outcome::Done
            }
        })
    }
}
