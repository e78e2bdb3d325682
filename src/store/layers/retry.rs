//! Repeating failed requests, and resuming bodies that break before their end.
//!
//! A request is tried again while its failure is of a kind that may pass and while the budget lasts, with full-jitter
//! exponential backoff; a service that says how long to wait is obeyed. Every try goes through the inner store afresh
//! and is signed anew. A body that breaks is continued with a ranged GET from the first byte that is missing, pinned to
//! the entity tag of the first answer; the caller sees one body without a seam, or
//! [`ErrorKind::Changed`](crate::store::ErrorKind::Changed) when the object is no longer the same, or has become
//! shorter.
//!
//! The budget starts anew with every piece of a body: it bounds how long nothing moves, not how long a transfer takes.
//! What it counts is said in `patience`; how bodies go on, in `resume`.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::patience::{About, Health, Patience, RetryPolicy, Road, Shared};
use super::resume::{BodySource, Continued};
use crate::base::{Clock, Key};
use crate::metrics::Metrics;
use crate::store::{
    Body, Change, Expected, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome, Result,
    Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// Asks again until the budget is spent.
#[derive(Debug)]
pub struct Retry<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    pub(super) shared: Arc<Shared>,
}

impl<S: ?Sized> Retry<S> {
    /// Retries what `inner` fails at.
    pub fn new(inner: Arc<S>, policy: RetryPolicy, metrics: Arc<Metrics>, clock: Clock) -> Self {
        let rng = Mutex::new(StdRng::from_os_rng());
        Retry { inner, shared: Arc::new(Shared { policy, metrics, clock, health: Health::default(), rng }) }
    }

    /// Draws the backoff from this seed, for tests that must be repeatable.
    pub fn with_seed(self, seed: u64) -> Self {
        *self.shared.rng.lock() = StdRng::seed_from_u64(seed);
        self
    }

    async fn tried<T, F>(&self, mut patience: Patience, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            match patience.within(call()).await {
                Ok(value) => {
                    self.shared.health.answered(self.shared.clock.elapsed());
                    return Ok(value);
                }
                Err(error) => patience.after(error).await?,
            }
        }
    }

    fn patience(&self, operation: &'static str, key: &str, road: Road) -> Patience {
        Patience::new(self.shared.clone(), About { operation, key: key.to_owned() }, road)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Retry<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let patience = self.patience("GetObject", request.key.as_str(), Road::Read).failing_for(request.failing_for);
        let response = self.tried(patience, || self.inner.get(request.clone())).await?;
        let patience = self.patience("GetObject", request.key.as_str(), Road::Body);
        let ObjectMeta { size, last_modified, .. } = response.meta;
        let pinned = GetRequest {
            if_match: request.if_match.clone().or(response.meta.etag.clone()),
            expected: request.expected.or(Some(Expected { size, last_modified })),
            ..request
        };
        let source = BodySource::new(self.inner.clone(), pinned, response.meta.clone(), patience);
        let continued = Continued::new(response.range, response.body, source);
        Ok(GetResponse { body: Body::new(continued), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let patience = self.patience("HeadObject", request.key.as_str(), Road::Read);
        self.tried(patience, || self.inner.head(request.clone())).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let patience = self.patience("ListObjects", &request.prefix, Road::Read);
        self.tried(patience, || self.inner.list(request.clone())).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        let patience = self.patience("ListObjectVersions", &request.prefix, Road::Read);
        self.tried(patience, || self.inner.list_versions(request.clone())).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        let patience = self.patience("GetSymlink", key.as_str(), Road::Read);
        self.tried(patience, || self.inner.symlink_target(key, version)).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let patience = self.patience("GetObjectTagging", key.as_str(), Road::Read);
        self.tried(patience, || self.inner.tags(key, version)).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Retry<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let patience = self.patience(change.operation(), change.key().as_str(), Road::Change);
        self.tried(patience, || self.inner.change(change.clone())).await
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
