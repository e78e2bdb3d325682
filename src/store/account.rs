//! [`AllBuckets`]: the buckets of an account as one store, whose keys are `bucket/key`.
//!
//! The names of the buckets are known from the start; what it takes to reach one is made when it is first asked for:
//! its own endpoint and region, and layers of its own. Each bucket has a marker `bucket/`, so that an empty one is a
//! directory too. A listing of all buckets goes from one to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::layers::{Bandwidth, Limit, NearSource, Rate};
use super::{
    BucketEntry, Connected, Connections, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, HttpStore, ListEntry,
    ListPage, ListRequest, ObjectKind, ObjectMeta, Options, Result, Store, Tags, VersionPage, VersionsRequest, connect,
    is_known_host,
};
use crate::base::{BucketName, Clock, Key};
use crate::metrics::Metrics;

/// What stands in for a bucket where none is named; it is never sent.
const NO_BUCKET: &str = "no-bucket";

/// The buckets that the credentials of these options may list.
///
/// Fails with [`ErrorKind::Invalid`] where the options are wrong, else as the service does.
pub async fn list_buckets(options: &Options, clock: &Clock) -> Result<Vec<BucketEntry>> {
    let options = Options { bucket: BucketName::new(NO_BUCKET), ..options.clone() };
    HttpStore::new(options, clock.clone())?.list_buckets().await
}

/// Builds one store of several buckets, whose keys are `bucket/key`. All share the limits that the options set. What
/// changes a bucket is left to stores of one: that half of it reaches none. Must be called in a Tokio runtime; sends
/// nothing.
///
/// Fails with [`ErrorKind::Invalid`] and one sentence that says what to change.
pub fn connect_all(
    options: Options,
    buckets: Vec<BucketEntry>,
    metrics: Arc<Metrics>,
    clock: Clock,
) -> Result<Connected> {
    let max_bandwidth = Rate::new(options.max_bandwidth);
    // How many there may be is found out for all buckets together.
    let together = options.connections.clone();
    let connections = Connections::fixed(together.most());
    let options = Options { bucket: BucketName::new(NO_BUCKET), max_bandwidth: None, connections, ..options };
    let service = connect(options.clone(), metrics.clone(), clock.clone())?;
    let all = Arc::new(AllBuckets::new(options, buckets, metrics, clock.clone()));
    let paced = Arc::new(Bandwidth::new(all, max_bandwidth.clone(), clock.clone()));
    Ok(service.reading(Arc::new(Limit::new(paced, together, clock)), max_bandwidth))
}

/// The buckets of an account as one store. See the module's head.
#[derive(Debug)]
pub struct AllBuckets {
    options: Options,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// By name and a slash, so that they are in the order of the keys.
    buckets: BTreeMap<String, BucketEntry>,

    connected: Mutex<BTreeMap<String, Arc<dyn Store>>>,
}

impl AllBuckets {
    /// These buckets, reached as the options say, each in its own region.
    pub fn new(options: Options, buckets: Vec<BucketEntry>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        let buckets = buckets.into_iter().map(|bucket| (format!("{}/", bucket.name), bucket)).collect();
        AllBuckets { options, metrics, clock, buckets, connected: Mutex::default() }
    }

    /// How one bucket is reached.
    fn options_of(&self, bucket: &BucketEntry) -> Options {
        let mut options = Options { bucket: BucketName::new(bucket.name.as_str()), ..self.options.clone() };
        if let Some(region) = &bucket.region {
            let is_elsewhere = options.region.as_ref() != Some(region);
            // The service's own host of another region does not have it.
            if is_elsewhere && options.endpoint.as_deref().is_some_and(|host| is_known_host(host, options.dialect)) {
                options.endpoint = None;
            }
            options.region = Some(region.clone());
        }
        options
    }

    /// A bucket by its name and a slash, reached when it is first asked for.
    fn reached(&self, directory: &str) -> Result<Arc<dyn Store>> {
        let mut connected = self.connected.lock();
        if let Some(store) = connected.get(directory) {
            return Ok(store.clone());
        }
        let bucket = self.buckets.get(directory).ok_or_else(|| no_such_bucket(directory))?;
        let made = connect(self.options_of(bucket), self.metrics.clone(), self.clock.clone())?;
        tracing::info!(bucket = bucket.name, endpoint = made.endpoint, "a bucket is looked at");
        connected.insert(directory.to_owned(), made.store.clone());
        Ok(made.store)
    }

    /// The bucket of a key, and the key in it.
    fn of_key(&self, key: &Key) -> Result<(Arc<dyn Store>, Key)> {
        match split(key.as_str()) {
            Some((directory, inner)) if !inner.is_empty() => Ok((self.reached(directory)?, Key::new(inner))),
            _ => Err(Error::new(ErrorKind::NotFound, "no such key").with_key(key.to_string())),
        }
    }

    /// The names of the buckets, as directories.
    fn names(&self, request: &ListRequest) -> ListPage {
        let after = request.continuation.as_deref().or(request.start_after.as_deref()).unwrap_or_default();
        let names = self.buckets.keys().filter(|name| name.starts_with(&request.prefix) && name.as_str() > after);
        let most = if request.max_keys == 0 { usize::MAX } else { request.max_keys as usize };
        let mut prefixes: Vec<String> = names.take(most.saturating_add(1)).cloned().collect();
        let is_truncated = prefixes.len() > most;
        prefixes.truncate(most);
        let next = prefixes.last().cloned().filter(|_| is_truncated);
        ListPage { prefixes, next, ..ListPage::default() }
    }

    /// What lies in one bucket, its marker first.
    async fn inside(&self, directory: &str, request: ListRequest) -> Result<ListPage> {
        let is_first = request.continuation.is_none();
        let inner = |text: &str| text.strip_prefix(directory).unwrap_or_default().to_owned();
        let has_marker = request.prefix.len() <= directory.len()
            && is_first
            && request.start_after.as_ref().is_none_or(|after| after.as_str() < directory);
        if has_marker && request.max_keys == 1 {
            // Whether there is anything is known without a request.
            return Ok(ListPage { entries: vec![self.marker(directory)], ..ListPage::default() });
        }
        let asked = ListRequest {
            prefix: inner(&request.prefix),
            start_after: request.start_after.as_deref().map(inner).filter(|after| !after.is_empty()),
            ..request
        };
        let mut page = self.reached(directory)?.list(asked).await?;
        for entry in &mut page.entries {
            entry.key.insert_str(0, directory);
        }
        for prefix in &mut page.prefixes {
            prefix.insert_str(0, directory);
        }
        page.reached = page.reached.map(|reached| format!("{directory}{reached}"));
        if has_marker {
            page.entries.insert(0, self.marker(directory));
        }
        Ok(page)
    }

    fn marker(&self, directory: &str) -> ListEntry {
        ListEntry {
            key: directory.to_owned(),
            size: 0,
            etag: None,
            last_modified: self.buckets.get(directory).and_then(|bucket| bucket.created),
            kind: ObjectKind::Normal,
            storage_class: None,
            version: None,
        }
    }

    /// The keys of all buckets that begin with a prefix, from one bucket to the next.
    async fn across(&self, request: ListRequest) -> Result<ListPage> {
        let (at, token) = match &request.continuation {
            Some(token) => {
                let bad = || Error::new(ErrorKind::Invalid, "the continuation token is not from this listing");
                let (directory, token) = token.split_once('\0').ok_or_else(bad)?;
                (directory.to_owned(), Some(token.to_owned()).filter(|token| !token.is_empty()))
            }
            None => {
                // The bucket that the key lies in may still have some behind it.
                let after = request.start_after.as_deref().unwrap_or_default();
                (split(after).map_or(after, |(directory, _)| directory).to_owned(), None)
            }
        };
        let mut rest = self.buckets.keys().filter(|name| name.starts_with(&request.prefix) && **name >= at);
        let Some(directory) = rest.next() else { return Ok(ListPage::default()) };
        let following = rest.next();
        let start_after = request.start_after.clone().filter(|after| after.starts_with(directory.as_str()));
        let asked = ListRequest { prefix: directory.clone(), continuation: token, start_after, ..request };
        let mut page = self.inside(directory, asked).await?;
        page.next = match (page.next, following) {
            (Some(token), _) => Some(format!("{directory}\0{token}")),
            (None, Some(following)) => Some(format!("{following}\0")),
            (None, None) => None,
        };
        Ok(page)
    }
}

/// `bucket/key` as `bucket/` and the key.
fn split(key: &str) -> Option<(&str, &str)> {
    Some(key.split_at(key.find('/')? + 1))
}

fn no_such_bucket(directory: &str) -> Error {
    let name = directory.trim_end_matches('/');
    Error::new(ErrorKind::NotFound, format!("bucket {name:?} is none of those that are shown"))
}

#[async_trait]
impl Store for AllBuckets {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let (store, key) = self.of_key(&request.key)?;
        store.get(GetRequest { key, ..request }).await
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let (store, key) = self.of_key(&request.key)?;
        store.head(HeadRequest { key, ..request }).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        match split(&request.prefix).map(|(directory, _)| directory.to_owned()) {
            Some(directory) if !self.buckets.contains_key(&directory) => Ok(ListPage::default()),
            Some(directory) => self.inside(&directory, request).await,
            None if request.delimiter.as_deref() == Some("/") => Ok(self.names(&request)),
            None => self.across(request).await,
        }
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        let message = "the versions of all buckets together cannot be listed; name a bucket";
        Err(Error::new(ErrorKind::Unsupported, message).with_key(request.prefix))
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        let (store, inner) = self.of_key(key)?;
        let target = store.symlink_target(&inner, version).await?;
        let directory = split(key.as_str()).map_or("", |(directory, _)| directory);
        Ok(if target.is_empty() { target } else { format!("{directory}{target}") })
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let (store, key) = self.of_key(key)?;
        store.tags(&key, version).await
    }

    async fn warm(&self, request: GetRequest) -> Result<bool> {
        let (store, key) = self.of_key(&request.key)?;
        store.warm(GetRequest { key, ..request }).await
    }

    fn has_fleet(&self) -> bool {
        self.options.near.as_ref().is_some_and(|near| !matches!(near.source, NearSource::Accelerator(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Dialect;

    #[tokio::test]
    async fn each_bucket_is_reached_in_its_own_region() {
        for (endpoint, region, at) in [
            (None, "cn-beijing", None),
            (Some("oss-cn-hangzhou.aliyuncs.com"), "cn-beijing", None),
            (Some("oss-cn-hangzhou.aliyuncs.com"), "cn-hangzhou", Some("oss-cn-hangzhou.aliyuncs.com")),
            // A server of one's own has the buckets of all regions.
            (Some("http://127.0.0.1:9000"), "cn-beijing", Some("http://127.0.0.1:9000")),
        ] {
            let mut options = Options::new(Dialect::Oss, BucketName::new(NO_BUCKET));
            (options.endpoint, options.region) = (endpoint.map(str::to_owned), Some("cn-hangzhou".to_owned()));
            let all = AllBuckets::new(options, Vec::new(), Arc::default(), Clock::system());
            let bucket = BucketEntry { name: "b".to_owned(), region: Some(region.to_owned()), created: None };
            let reached = all.options_of(&bucket);
            assert_eq!((reached.endpoint.as_deref(), reached.region.as_deref()), (at, Some(region)), "{endpoint:?}");
            assert_eq!(reached.bucket.as_str(), "b");
        }
    }
}
