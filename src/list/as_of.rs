//! [`AsOf`]: a versioned bucket as it stood at a time, as a store of its own.
//!
//! Its listings are folded from listings of versions, one request for each page (see `fold`), and say of every entry
//! which version it is; so FastList splits them as it does any other, always between two keys. What is asked for by
//! version passes through, and that is how the rest of the program asks. For a key alone, its version is looked up
//! first.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::fold::{self, Fold, Place};
use crate::base::{Key, Timestamp};
use crate::store::{
    Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListEntry, ListPage, ListRequest, NULL_VERSION, ObjectMeta,
    Result, Store, Tags, VersionPage, VersionsRequest,
};

/// Versions, delete markers and common prefixes of one request.
const PAGE: u32 = 999;

/// Versions of one key that are asked for first: few have more.
const FEW: u32 = 16;

/// Pages of one key after which the log names it, and keys that are counted at once.
const LONG: u32 = 20;
const REMEMBERED: usize = 1024;

/// Versions that are looked at before a bucket is said to keep none.
const SAMPLE: u32 = 100;

/// Seconds that a time must lie in the past. Servers tell times in whole seconds and their clocks differ, so that what
/// stood at a later time may still change.
const SETTLED_SECONDS: i64 = 60;

/// A versioned bucket as it stood at a time. See the module's head.
#[derive(Debug)]
pub struct AsOf {
    inner: Arc<dyn Store>,
    at: Timestamp,
    page: u32,
    /// Keys within which pages have ended, and how many.
    long: Mutex<HashMap<String, u32>>,
}

impl AsOf {
    /// The bucket as it stood at the end of the second of this time.
    pub fn new(inner: Arc<dyn Store>, at: Timestamp) -> Self {
        AsOf { inner, at, page: PAGE, long: Mutex::default() }
    }

    /// The same with this many versions in each request, 1 to 999.
    pub fn page(mut self, versions: u32) -> Self {
        self.page = versions.clamp(1, PAGE);
        self
    }

    /// The time as of which it is shown.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Sees whether what stood at the time can still be told, and says in the log where the bucket keeps no versions.
    /// `now` counts where the server does not tell its own time.
    ///
    /// Fails with [`ErrorKind::Invalid`] for a time that has hardly passed or not at all.
    pub async fn check(&self, prefix: &str, now: Timestamp) -> Result<()> {
        let request = VersionsRequest { prefix: prefix.to_owned(), max_keys: SAMPLE, ..VersionsRequest::default() };
        let page = self.inner.list_versions(request).await?;
        let now = page.served_at.unwrap_or(now);
        if self.at.seconds > now.seconds - SETTLED_SECONDS {
            let (at, now) = (self.at.rfc3339(), now.rfc3339());
            let message = format!(
                "at: {at} is not a minute in the past by the server's clock, which says {now}: name a time at least \
                 {SETTLED_SECONDS} s ago"
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if !page.entries.is_empty() && page.entries.iter().all(|version| version.version() == NULL_VERSION) {
            tracing::warn!(
                "the bucket seems to keep no versions: what was overwritten or deleted since {} is missing from the view",
                self.at.rfc3339()
            );
        }
        Ok(())
    }

    /// The version of a key that stood at the time. Fails with [`ErrorKind::NotFound`] where there was none.
    pub async fn standing(&self, key: &Key) -> Result<ListEntry> {
        let mut place = Place::Beginning;
        let mut fold = Fold::new(self.at, &place);
        let mut max_keys = FEW;
        loop {
            // Of the keys that begin like it, it is the first.
            let page = self
                .inner
                .list_versions(VersionsRequest {
                    prefix: key.to_string(),
                    delimiter: Some("/".to_owned()),
                    after: place.marker(),
                    max_keys,
                })
                .await?;
            let is_over = page.entries.last().is_some_and(|last| last.entry.key != key.as_str());
            for version in page.entries.into_iter().take_while(|version| version.entry.key == key.as_str()) {
                if let Some(entry) = fold.take(version)? {
                    return Ok(entry);
                }
            }
            match page.next {
                Some(next) if !is_over && !fold.is_settled() && next.key == key.as_str() => {
                    let Some(version) = next.version else { break };
                    place = Place::Within { key: next.key, version, is_settled: false };
                    max_keys = self.page;
                }
                _ => break,
            }
        }
        let message = format!("no such key at {}", self.at.rfc3339());
        Err(Error::new(ErrorKind::NotFound, message).with_operation("ListObjectVersions").with_key(key.to_string()))
    }

    /// Says in the log where one key has so many versions that listing them is what takes the time.
    fn count_within(&self, place: &Place) {
        let Place::Within { key, .. } = place else { return };
        let mut long = self.long.lock();
        if long.len() >= REMEMBERED && !long.contains_key(key) {
            long.clear();
        }
        let pages = long.entry(key.clone()).or_insert(0);
        *pages += 1;
        if *pages == LONG {
            tracing::info!(
                key,
                "more than {} versions of one key are younger than the time shown; its listing goes on page by page",
                LONG * self.page
            );
        }
    }

    /// The version that a request is for.
    async fn version(&self, key: &Key, asked: Option<String>) -> Result<Option<String>> {
        match asked {
            Some(version) => Ok(Some(version)),
            None => Ok(self.standing(key).await?.version),
        }
    }
}

#[async_trait]
impl Store for AsOf {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let version = self.version(&request.key, request.version.clone()).await?;
        let key = request.key.clone();
        self.inner.get(GetRequest { version, ..request }).await.map_err(|error| match error.kind() {
            // It was listed, so that it was there.
            ErrorKind::NotFound => {
                let message = "this version was deleted after it was listed";
                let error = Error::new(ErrorKind::Changed, message).with_source(Some(error.into()));
                error.with_operation("GetObject").with_key(key.to_string())
            }
            _ => error,
        })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let version = self.version(&request.key, request.version).await?;
        let meta = self.inner.head(HeadRequest { key: request.key, version: version.clone() }).await?;
        Ok(ObjectMeta { version: meta.version.or(version), ..meta })
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let place = Place::of(&request)?;
        self.count_within(&place);
        let ListRequest { prefix, delimiter, max_keys, continuation, .. } = request;
        // Whether there is anything, the first versions mostly tell.
        let versions = if max_keys == 1 && continuation.is_none() { FEW.min(self.page) } else { self.page };
        let asked = VersionsRequest { prefix, delimiter, after: place.marker(), max_keys: versions };
        let page = self.inner.list_versions(asked).await?;
        fold::page(self.at, &place, page, max_keys)
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        let version = self.version(key, version.map(str::to_owned)).await?;
        self.inner.symlink_target(key, version.as_deref()).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let version = self.version(key, version.map(str::to_owned)).await?;
        self.inner.tags(key, version.as_deref()).await
    }

    async fn warm(&self, request: GetRequest) -> Result<bool> {
        let version = self.version(&request.key, request.version.clone()).await?;
        self.inner.warm(GetRequest { version, ..request }).await
    }

    fn has_fleet(&self) -> bool {
        self.inner.has_fleet()
    }
}
