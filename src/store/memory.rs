//! A bucket in memory: the reference that every other store is compared with, and the store of most tests.
//!
//! It keeps the rules of the [`Store`] trait to the letter, writes down every request it gets, and does nothing else:
//! broken answers are the business of [`FaultStore`](super::layers::FaultStore), which goes over it.

mod changes;
mod history;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use md5::{Digest, Md5};
use parking_lot::Mutex;
use tokio::io::ReadBuf;

use super::{
    Body, Change, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListEntry, ListPage, ListRequest,
    NULL_VERSION, ObjectKind, ObjectMeta, Outcome, Receive, Result, StorageClass, Store, StoreMut, Tags, Traffic,
    VersionPage, VersionsRequest,
};
use crate::base::{ByteRange, ETag, Key, Timestamp};

/// A bucket in memory.
#[derive(Debug)]
pub struct MemoryStore {
    versioning: Versioning,
    latency: Duration,
    chunk_bytes: usize,

    state: Mutex<State>,
}

/// Whether a bucket keeps the versions that were overwritten or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Versioning {
    Off,
    On,
}

#[derive(Debug, Default)]
struct State {
    /// Versions of each key, oldest first. Never empty.
    objects: BTreeMap<String, Vec<Version>>,
    uploads: BTreeMap<String, changes::Pending>,
    log: Vec<Request>,
    /// Changes so far: the source of version ids and of times.
    changes: u64,
    /// The time of the next changes, where it is told.
    time: Option<Timestamp>,
    /// Changes take the place of the version `null`, though versions are kept.
    is_suspended: bool,
}

/// One version of an object.
#[derive(Clone, Debug)]
struct Version {
    content: Content,
    meta: ObjectMeta,
    tags: Tags,
}

#[derive(Clone, Debug)]
enum Content {
    Bytes(Bytes),
    Link(String),
    /// The object was removed at this point of its history.
    Removed,
}

/// A request that a [`MemoryStore`] got.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// A GET of an object.
    Get {
        /// The key of the object.
        key: String,
        /// The bytes asked for; `None` means all.
        range: Option<ByteRange>,
        /// Where they may come from.
        traffic: Traffic,
    },
    /// A HEAD of this key.
    Head {
        /// The key of the object.
        key: String,
    },
    /// The target of a symlink.
    Symlink {
        /// The key of the symlink object.
        key: String,
    },
    /// The tags of an object.
    Tags {
        /// The key of the object.
        key: String,
    },
    /// A request for a page of a listing.
    List(ListRequest),
    /// A request for a page of a listing of versions.
    ListVersions(VersionsRequest),
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// An empty bucket without versioning.
    pub fn new() -> Self {
        MemoryStore {
            versioning: Versioning::Off,
            latency: Duration::ZERO,
            chunk_bytes: 64 << 10,
            state: Mutex::default(),
        }
    }

    /// Keeps every version, as a versioned bucket does.
    pub fn versioned(mut self) -> Self {
        self.versioning = Versioning::On;
        self
    }

    /// From now on, changes are made at this time.
    pub fn set_time(&self, time: Timestamp) {
        self.state.lock().time = Some(time);
    }

    /// Whether changes to a bucket with versions make new ones from now on, or take the place of the version `null`.
    pub fn keep_versions(&self, keep: bool) {
        self.state.lock().is_suspended = !keep;
    }

    /// Waits this long before every answer, by the runtime's time.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Bodies come in pieces of this many bytes (64 KiB unless told), or less where there is less room for them.
    pub fn chunk_bytes(mut self, chunk_bytes: usize) -> Self {
        assert!(chunk_bytes > 0, "a chunk holds at least one byte");
        self.chunk_bytes = chunk_bytes;
        self
    }

    /// Puts an object and returns its facts. Its time is that of the change: one second later each.
    pub fn put(&self, key: impl Into<String>, bytes: impl Into<Bytes>) -> ObjectMeta {
        let bytes = bytes.into();
        let meta = changes::facts(&bytes);
        self.add(key.into(), Content::Bytes(bytes), meta, Tags::new())
    }

    /// Puts a symlink object that names another key.
    pub fn put_symlink(&self, key: impl Into<String>, target: impl Into<String>) {
        let target = target.into();
        let meta = ObjectMeta {
            size: target.len() as u64,
            etag: ETag::parse(&hex::encode_upper(Md5::digest(target.as_bytes()))),
            kind: ObjectKind::Symlink,
            ..ObjectMeta::default()
        };
        self.add(key.into(), Content::Link(target), meta, Tags::new());
    }

    /// Removes an object; nothing happens if there is none. A versioned bucket keeps what was.
    pub fn remove(&self, key: &str) {
        match self.versioning {
            Versioning::Off => drop(self.state.lock().objects.remove(key)),
            Versioning::On => {
                self.add(key.to_owned(), Content::Removed, ObjectMeta::default(), Tags::new());
            }
        }
    }

    /// Changes the facts of the current version of an object, for instance its storage class. Panics if there is
    /// none.
    pub fn amend(&self, key: &str, change: impl FnOnce(&mut ObjectMeta)) {
        let mut state = self.state.lock();
        let version = state.objects.get_mut(key).and_then(|versions| versions.last_mut());
        change(&mut version.unwrap_or_else(|| panic!("{key:?} is not in the bucket")).meta);
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().log.clone()
    }

    /// Every request since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().log)
    }

    fn add(&self, key: String, content: Content, mut meta: ObjectMeta, tags: Tags) -> ObjectMeta {
        let mut state = self.state.lock();
        state.changes += 1;
        let change = state.changes;
        let usual = Timestamp::from_unix(1_700_000_000).plus_seconds(change as i64);
        meta.last_modified = Some(state.time.unwrap_or(usual));
        let is_suspended = state.is_suspended;
        let versions = state.objects.entry(key).or_default();
        match self.versioning {
            Versioning::Off => versions.clear(),
            Versioning::On if is_suspended => versions.retain(|version| version.id() != NULL_VERSION),
            Versioning::On => meta.version = Some(format!("v{change:08}")),
        }
        meta.tag_count = (!tags.is_empty()).then_some(tags.len() as u32);
        versions.push(Version { content, meta: meta.clone(), tags });
        meta
    }

    async fn asked(&self, request: Request) {
        self.state.lock().log.push(request);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }
}

impl State {
    fn version(&self, key: &Key, version: Option<&str>) -> Result<&Version> {
        let missing = || Error::new(ErrorKind::NotFound, "no such key").with_status(404).with_key(key.to_string());
        let versions = self.objects.get(key.as_str()).ok_or_else(missing)?;
        let found = match version {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id() == id),
        };
        found.filter(|version| !matches!(version.content, Content::Removed)).ok_or_else(missing)
    }

    fn forget(&mut self, key: &str, id: &str) {
        if let Some(versions) = self.objects.get_mut(key) {
            versions.retain(|version| version.meta.version.as_deref() != Some(id));
            if versions.is_empty() {
                self.objects.remove(key);
            }
        }
    }

    /// The facts and bytes of a version; for a link those of its target, with the link's kind and version.
    fn resolved(&self, key: &Key, version: Option<&str>) -> Result<(ObjectMeta, Bytes)> {
        let found = self.version(key, version)?;
        match &found.content {
            Content::Bytes(bytes) => Ok((found.meta.clone(), bytes.clone())),
            Content::Link(target) => match self.version(&Key::new(target.as_str()), None)? {
                Version { content: Content::Bytes(bytes), meta, .. } => {
                    let link = &found.meta;
                    let meta = ObjectMeta {
                        kind: ObjectKind::Symlink,
                        version: link.version.clone(),
                        last_modified: link.last_modified.max(meta.last_modified),
                        ..meta.clone()
                    };
                    Ok((meta, bytes.clone()))
                }
                _ => Err(Error::new(ErrorKind::Invalid, "a symlink names another symlink").with_status(400)),
            },
            Content::Removed => Err(Error::new(ErrorKind::NotFound, "no such key").with_status(404)),
        }
    }

    fn page(&self, request: &ListRequest) -> Result<ListPage> {
        let limit = if request.max_keys == 0 { 1000 } else { request.max_keys.min(1000) } as usize;
        let mut page = ListPage::default();
        let mut position = Position::first(request)?;
        while let Some((key, version)) = self.next_after(&position, &request.prefix) {
            let common = common_prefix(key, request);
            if page.entries.len() + page.prefixes.len() == limit {
                page.next = Some(position.token());
                break;
            }
            match common {
                Some(prefix) => {
                    page.prefixes.push(prefix.to_owned());
                    position = Position::Past(prefix.to_owned());
                }
                None => {
                    page.entries.push(entry(key, version));
                    position = Position::After(key.to_owned());
                }
            }
        }
        Ok(page)
    }

    /// The first current object of the prefix that lies behind the position.
    fn next_after(&self, position: &Position, prefix: &str) -> Option<(&str, &Version)> {
        let (start, skipped) = match position {
            Position::Start => (Bound::Included(prefix), None),
            Position::After(key) if key.as_str() < prefix => (Bound::Included(prefix), None),
            Position::After(key) => (Bound::Excluded(key.as_str()), None),
            Position::Past(common) => (Bound::Included(common.as_str()), Some(common.as_str())),
        };
        self.objects
            .range::<str, _>((start, Bound::Unbounded))
            .skip_while(|(key, _)| skipped.is_some_and(|common| key.starts_with(common)))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, versions)| Some((key.as_str(), versions.last()?)))
            .find(|(_, version)| !matches!(version.content, Content::Removed))
    }
}

/// How far a listing has come.
enum Position {
    Start,
    After(String),
    /// Behind every key that starts with this common prefix.
    Past(String),
}

impl Position {
    fn first(request: &ListRequest) -> Result<Self> {
        match (&request.continuation, &request.start_after) {
            (Some(token), _) => Position::parse(token),
            (None, Some(key)) => Ok(Position::After(key.clone())),
            (None, None) => Ok(Position::Start),
        }
    }

    fn token(&self) -> String {
        let (kind, text) = match self {
            Position::Start => ('s', ""),
            Position::After(key) => ('a', key.as_str()),
            Position::Past(prefix) => ('p', prefix.as_str()),
        };
        hex::encode(format!("{kind}{text}"))
    }

    fn parse(token: &str) -> Result<Self> {
        let fail = || Error::new(ErrorKind::Invalid, "not a continuation token of this store").with_status(400);
        let text = String::from_utf8(hex::decode(token).map_err(|_| fail())?).map_err(|_| fail())?;
        match text.split_at_checked(1) {
            Some(("s", _)) => Ok(Position::Start),
            Some(("a", key)) => Ok(Position::After(key.to_owned())),
            Some(("p", prefix)) => Ok(Position::Past(prefix.to_owned())),
            _ => Err(fail()),
        }
    }
}

fn common_prefix<'k>(key: &'k str, request: &ListRequest) -> Option<&'k str> {
    let delimiter = request.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let at = key[request.prefix.len()..].find(delimiter)?;
    Some(&key[..request.prefix.len() + at + delimiter.len()])
}

fn entry(key: &str, version: &Version) -> ListEntry {
    let meta = &version.meta;
    ListEntry {
        key: key.to_owned(),
        size: meta.size,
        etag: meta.etag.clone(),
        last_modified: meta.last_modified,
        kind: meta.kind,
        storage_class: meta.storage_class.clone(),
        version: None,
    }
}

/// What of an object a GET returns, or why it returns nothing.
fn clip(request: &GetRequest, meta: &ObjectMeta) -> Result<ByteRange> {
    if let Some(wanted) = &request.if_match
        && meta.etag.as_ref() != Some(wanted)
    {
        return Err(Error::new(ErrorKind::Changed, "the object has another entity tag").with_status(412));
    }
    if meta.storage_class.as_ref().is_some_and(StorageClass::is_archive) && meta.restore.is_none() {
        return Err(Error::new(ErrorKind::Archived, "the object is archived").with_status(403));
    }
    let whole = ByteRange::new(0, meta.size);
    let range = request.range.unwrap_or(whole);
    if request.range.is_some() && range.start >= meta.size {
        let message = format!("the object has {} bytes, {range:?} was requested", meta.size);
        return Err(Error::new(ErrorKind::RangeNotSatisfiable, message).with_status(416));
    }
    Ok(range.intersect(whole))
}

/// Bytes that come in pieces.
struct Pieces {
    bytes: Bytes,
    at_most: usize,
}

impl Receive for Pieces {
    fn poll_receive(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let len = self.bytes.len().min(self.at_most).min(into.remaining());
        into.put_slice(&self.bytes[..len]);
        self.bytes.advance(len);
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let GetRequest { range, traffic, .. } = request;
        self.asked(Request::Get { key: request.key.to_string(), range, traffic }).await;
        let named = |error: Error| error.with_operation("GetObject").with_key(request.key.to_string());
        let (meta, bytes) = self.state.lock().resolved(&request.key, request.version.as_deref()).map_err(named)?;
        let range = clip(&request, &meta).map_err(named)?;
        let bytes = bytes.slice(range.start as usize..range.end as usize);
        Ok(GetResponse { meta, range, body: Body::new(Pieces { bytes, at_most: self.chunk_bytes }) })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.asked(Request::Head { key: request.key.to_string() }).await;
        let found = self.state.lock().resolved(&request.key, request.version.as_deref());
        let named = |error: Error| error.with_operation("HeadObject").with_key(request.key.to_string());
        found.map(|(meta, _)| meta).map_err(named)
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.asked(Request::List(request.clone())).await;
        let named = |error: Error| error.with_operation("ListObjects").with_key(request.prefix.clone());
        self.state.lock().page(&request).map_err(named)
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.asked(Request::ListVersions(request.clone())).await;
        Ok(self.state.lock().versions(&request))
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.asked(Request::Symlink { key: key.to_string() }).await;
        let named = |error: Error| error.with_operation("GetSymlink").with_key(key.to_string());
        match &self.state.lock().version(key, version).map_err(named)?.content {
            Content::Link(target) => Ok(target.clone()),
            _ => Err(named(Error::new(ErrorKind::Invalid, "the object is no symlink").with_status(400))),
        }
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.asked(Request::Tags { key: key.to_string() }).await;
        let named = |error: Error| error.with_operation("GetObjectTagging").with_key(key.to_string());
        self.state.lock().version(key, version).map(|found| found.tags.clone()).map_err(named)
    }
}

#[async_trait]
impl StoreMut for MemoryStore {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let (operation, key) = (change.operation(), change.key().to_string());
        let outcome = match change {
            Change::Put(request) => Ok(Outcome::Stored(self.put_object(request))),
            Change::Delete(request) => {
                self.delete_object(&request);
                Ok(Outcome::Done)
            }
            Change::Copy(request) => self.copy_object(request).map(Outcome::Copied),
            Change::BeginUpload(request) => self.begin(request).map(Outcome::Begun),
            Change::CopyPart(request) => self.copy_part_of(&request).map(Outcome::Part),
            Change::ListParts(request) => self.parts_of(&request).map(Outcome::Parts),
            Change::CompleteUpload(request) => self.complete(request).map(Outcome::Copied),
            Change::AbortUpload(upload) => {
                self.abort(&upload);
                Ok(Outcome::Done)
            }
        };
        outcome.map_err(|error| error.with_operation(operation).with_key(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    async fn paged(store: &MemoryStore, request: ListRequest) -> (Vec<String>, Vec<String>) {
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        let mut request = request;
        loop {
            let page = store.list(request.clone()).await.unwrap();
            assert!(page.entries.len() + page.prefixes.len() <= request.max_keys as usize);
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
            prefixes.extend(page.prefixes);
            match page.next {
                Some(token) => request.continuation = Some(token),
                None => return (keys, prefixes),
            }
        }
    }

    proptest! {
        #[test]
        fn listing_equals_its_definition(
            keys in prop::collection::btree_set("[ab/é]{1,5}", 0..30),
            prefix in "[ab/]{0,2}",
            delimiter in prop::option::of("[/b]"),
            start_after in prop::option::of("[ab/]{0,3}"),
            max_keys in 1..8u32,
        ) {
            let store = MemoryStore::new();
            for key in &keys {
                store.put(key.as_str(), "");
            }
            let (mut entries, mut prefixes) = (Vec::new(), BTreeSet::new());
            for key in keys.iter().filter(|key| key.starts_with(&prefix)) {
                if start_after.as_ref().is_some_and(|after| key <= after) {
                    continue;
                }
                match delimiter.as_ref().and_then(|delimiter| key[prefix.len()..].find(delimiter.as_str())) {
                    Some(at) => drop(prefixes.insert(key[..prefix.len() + at + 1].to_owned())),
                    None => entries.push(key.clone()),
                }
            }
            let request = ListRequest { prefix, delimiter, start_after, continuation: None, max_keys };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let listed = runtime.block_on(paged(&store, request));
            prop_assert_eq!(listed, (entries, prefixes.into_iter().collect::<Vec<_>>()));
        }
    }

    #[tokio::test]
    async fn versions_stay_readable_behind_the_current_one() {
        let store = MemoryStore::new().versioned();
        let first = store.put("k", "one").version;
        store.put("k", "two!");
        let get = |version: Option<String>| GetRequest { version, ..GetRequest::new(Key::new("k")) };
        let read = async |version| store.get(get(version)).await?.body.collect(10).await;
        assert_eq!(read(None).await.unwrap(), b"two!");
        assert_eq!(read(first.clone()).await.unwrap(), b"one");
        store.remove("k");
        assert_eq!(read(None).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read(first).await.unwrap(), b"one");
        assert_eq!(store.list(ListRequest::default()).await.unwrap(), ListPage::default());
    }

    #[tokio::test]
    async fn links_show_their_target_and_archives_refuse() {
        let store = MemoryStore::new();
        let target = store.put("target", "bytes");
        store.put_symlink("link", "target");
        store.put_symlink("dangling", "nothing");
        let meta = store.head(HeadRequest::new(Key::new("link"))).await.unwrap();
        assert_eq!((meta.kind, meta.size, meta.etag), (ObjectKind::Symlink, 5, target.etag));
        let listed = store.list(ListRequest { prefix: "link".into(), ..ListRequest::default() }).await.unwrap();
        assert_eq!((listed.entries[0].kind, listed.entries[0].size), (ObjectKind::Symlink, 6));
        assert_eq!(store.symlink_target(&Key::new("dangling"), None).await.unwrap(), "nothing");
        let error = store.symlink_target(&Key::new("target"), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = store.get(GetRequest::new(Key::new("dangling"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);

        store.amend("target", |meta| meta.storage_class = Some(StorageClass("ColdArchive".into())));
        let error = store.get(GetRequest::new(Key::new("target"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archived);
        assert!(store.head(HeadRequest::new(Key::new("target"))).await.is_ok());
    }

    #[tokio::test]
    async fn what_was_asked_is_written_down() {
        let store = MemoryStore::new();
        store.put("k", "0123456789");
        let range = ByteRange::new(2, 5);
        drop(store.get(GetRequest::new(Key::new("k")).range(range)).await.unwrap());
        drop(store.head(HeadRequest::new(Key::new("other"))).await);
        let get = Request::Get { key: "k".into(), range: Some(range), traffic: Traffic::Exact };
        let expected = [get, Request::Head { key: "other".into() }];
        assert_eq!(store.take_requests(), expected);
        assert!(store.requests().is_empty());
    }
}
