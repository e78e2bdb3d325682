//! Copying one object: its metadata, the requests that copy it, and the comparison of the copy with its source.
//!
//! The source is looked at once, and from then on every request names the version and the tag that were found: an
//! object that changes meanwhile is an error, never a mixture. Where the service refuses that tag although the object
//! is as it was, it knows the version by another one: that of the listing is tried, and then none, and the source is
//! compared when the copy is done. What a request did whose answer was lost is found out by looking at the destination.

use std::time::Duration;

use super::Bucket;
use super::plan::{Plan, Setting, plan};
use super::request::{Directive, Source};
use super::work::Work;
use crate::base::{ByteRange, ETag, Key, Timestamp};
use crate::store::{
    Copied, CopyRequest, CopySource, Dialect, Error, ErrorKind, GetRequest, HeadRequest, ListRequest, Metadata,
    ObjectKind, ObjectMeta, Overwrite, Result, Tags,
};

/// How long one request may take for an object above the threshold: where the service only writes down a name it
/// takes a moment, and the official SDKs wait as long.
const SHALLOW_PATIENCE: Duration = Duration::from_secs(30);

/// One object on its way.
#[derive(Debug)]
pub(super) struct Copying<'w> {
    pub(super) work: &'w Work,
    pub(super) from: Bucket,
    pub(super) to: Bucket,
    /// The source, pinned to one version where the bucket keeps versions.
    pub(super) source: CopySource,
    /// The key of the new object.
    pub(super) key: Key,
    /// What the source is.
    pub(super) meta: ObjectMeta,
    /// Held while the source is looked at again.
    pinned: tokio::sync::Mutex<Pinned>,
}

/// The tag that requests name for the source, and whose it is.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    tag: Option<ETag>,
}

/// What requests say of the version that they mean, beside its number on buckets that keep versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pin {
    /// The tag that the object's own answer told, if it told one.
    OwnTag,
    /// The tag that the listing tells.
    ListedTag,
    /// Nothing: the service refuses both tags.
    Nothing,
}

/// What an object is. A few services answer no HEAD, or refuse it to keys that may read: then an answer that has one
/// byte tells the same.
async fn facts(from: &Bucket, key: &Key, version: Option<&str>) -> Result<ObjectMeta> {
    let version = version.map(str::to_owned);
    let looked = from.store.head(HeadRequest { key: key.clone(), version: version.clone() }).await;
    let refused = match looked {
        Err(error) if matches!(error.kind(), ErrorKind::AccessDenied | ErrorKind::Invalid | ErrorKind::Unsupported) => {
            error
        }
        looked => return looked,
    };
    let whole = GetRequest { version, ..GetRequest::new(key.clone()) };
    match from.store.get(whole.clone().range(ByteRange::new(0, 1))).await {
        Ok(answer) => Ok(answer.meta),
        // It has no first byte.
        Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => Ok(from.store.get(whole).await?.meta),
        Err(error) if error.kind() == refused.kind() => Err(refused),
        Err(error) => Err(error),
    }
}

/// The tag by which a listing shows the version that was just looked at: some stores have a second tag there for one
/// version, which is the one that a mount shows where nothing was read yet.
async fn listed_tag(from: &Bucket, key: &Key, version: Option<&str>, meta: &ObjectMeta) -> Result<Option<ETag>> {
    if version.is_some() {
        return Ok(None);
    }
    // Of the keys that begin like this one it is the first.
    let request = ListRequest { prefix: key.to_string(), max_keys: 1, ..ListRequest::default() };
    let page = from.store.list(request).await?;
    let second = |time: Option<Timestamp>| time.map(|time| time.seconds);
    let shown = page.entries.into_iter().find(|entry| {
        *entry.key == *key.as_str()
            && entry.size == meta.size
            && second(entry.last_modified).is_some()
            && second(entry.last_modified) == second(meta.last_modified)
    });
    Ok(shown.and_then(|entry| entry.etag))
}

impl<'w> Copying<'w> {
    /// Looks at the source, and pins it.
    pub(super) async fn look(work: &'w Work, source: &Source, key: &str) -> Result<Self> {
        let from = work.source()?;
        let to = work.buckets.bucket(&work.request.destination.bucket)?;
        let (place, version) = (Key::new(source.key.as_str()), source.version.as_deref());
        let meta = facts(&from, &place, version).await?;
        let wanted = source.if_match.as_ref().filter(|&wanted| meta.etag.as_ref() != Some(wanted));
        if let Some(wanted) = wanted
            && listed_tag(&from, &place, version, &meta).await?.as_ref() != Some(wanted)
        {
            let has = meta.etag.as_ref().map_or("none", |etag| etag.as_str());
            let message = format!("the source does not have the requested entity tag, but {has:?}");
            return Err(Error::new(ErrorKind::Changed, message).with_key(source.key.clone()));
        }
        let source = CopySource {
            bucket: source.bucket.clone(),
            key: place,
            version: source.version.clone().or_else(|| meta.version.clone()),
            if_match: None,
        };
        // That of a link is its target's here, and its own in the copy.
        let tag = meta.etag.clone().filter(|_| meta.kind != ObjectKind::Symlink);
        let pinned = tokio::sync::Mutex::new(Pinned { pin: Pin::OwnTag, tag });
        Ok(Copying { work, from, to, source, key: Key::new(key), meta, pinned })
    }

    /// Sends a request that copies from the source, pinned to the version that was looked at.
    pub(super) async fn pinned<T, F>(&self, send: impl Fn(CopySource) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            let tag = self.pinned.lock().await.tag.clone();
            match send(CopySource { if_match: tag.clone(), ..self.source.clone() }).await {
                Err(error) if error.kind() == ErrorKind::Changed && self.pins_otherwise(tag).await => {
                    tracing::debug!(key = self.source.key.as_str(), %error, "the source is as it was: pinned otherwise");
                }
                answer => return answer,
            }
        }
    }

    /// After the service has refused this tag: whether the source is as it was all the same, and is pinned in another
    /// way now.
    async fn pins_otherwise(&self, refused: Option<ETag>) -> bool {
        let mut pinned = self.pinned.lock().await;
        if refused.is_none() || self.meta.last_modified.is_none() {
            return false;
        }
        if pinned.tag != refused {
            // Another part has met the same.
            return true;
        }
        if !matches!(self.is_as_it_was().await, Ok(true)) {
            return false;
        }
        let listed = match pinned.pin {
            Pin::OwnTag => listed_tag(&self.from, &self.source.key, self.source.version.as_deref(), &self.meta).await,
            _ => Ok(None),
        };
        *pinned = match listed {
            Ok(Some(tag)) if Some(&tag) != refused.as_ref() => Pinned { pin: Pin::ListedTag, tag: Some(tag) },
            _ => Pinned { pin: Pin::Nothing, tag: None },
        };
        true
    }

    /// Whether the source is as it was when it was looked at.
    async fn is_as_it_was(&self) -> Result<bool> {
        let now = facts(&self.from, &self.source.key, self.source.version.as_deref()).await?;
        let told = |meta: &ObjectMeta| (meta.etag.clone(), meta.size, meta.last_modified, meta.crc64);
        Ok(told(&now) == told(&self.meta))
    }

    pub(super) fn plan(&self) -> Result<Plan> {
        let request = &self.work.request;
        let setting = Setting {
            dialect: self.to.dialect,
            same_bucket: self.source.bucket == request.destination.bucket,
            class: request.storage_class.as_ref(),
        };
        plan(&self.meta, setting, &self.work.options).map_err(|error| error.with_key(self.key.to_string()))
    }

    pub(super) async fn in_one_request(&self) -> Result<Copied> {
        let _permit = self.work.permit().await;
        let made = self.pinned(|source| self.to.mutable.copy(CopyRequest { source, ..self.request() })).await;
        let copied = match made {
            Ok(copied) => copied,
            Err(error) => self.perhaps_made(error, None).await?,
        };
        self.work.advance(self.meta.size, 0);
        Ok(copied)
    }

    /// Copies in one request if the service does so soon; `None` when it must be done in parts.
    pub(super) async fn shallow(&self) -> Result<Option<Copied>> {
        match tokio::time::timeout(SHALLOW_PATIENCE, self.in_one_request()).await {
            Ok(Ok(copied)) => Ok(Some(copied)),
            Ok(Err(error)) if !matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Timeout) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    fn request(&self) -> CopyRequest {
        let request = &self.work.request;
        CopyRequest {
            source: self.source.clone(),
            size: self.meta.size,
            key: self.key.clone(),
            metadata: match &request.metadata {
                Directive::Replace(metadata) => Some(metadata.clone()),
                // OSS takes the request's metadata for a copy onto itself, whatever the directive says.
                Directive::Copy if self.is_onto_itself() && self.to.dialect == Dialect::Oss => Some(self.carried()),
                Directive::Copy => None,
            },
            tags: match &request.tags {
                Directive::Replace(tags) => Some(tags.clone()),
                Directive::Copy => None,
            },
            storage_class: request.storage_class.clone(),
            acl: request.acl.clone(),
            overwrite: request.overwrite,
        }
    }

    fn is_onto_itself(&self) -> bool {
        self.source.bucket == self.work.request.destination.bucket && self.source.key == self.key
    }

    /// The metadata that an upload in parts begins with.
    pub(super) fn metadata(&self) -> Metadata {
        match &self.work.request.metadata {
            Directive::Replace(metadata) => metadata.clone(),
            Directive::Copy => self.carried(),
        }
    }

    fn carried(&self) -> Metadata {
        let ObjectMeta { content_type, headers, user, .. } = self.meta.clone();
        Metadata { content_type, headers, user }
    }

    /// The tags that an upload in parts begins with. The source's are asked for where it has any.
    pub(super) async fn tags(&self) -> Result<Tags> {
        match &self.work.request.tags {
            Directive::Replace(tags) => Ok(tags.clone()),
            Directive::Copy if self.meta.tag_count.is_none_or(|count| count == 0) => Ok(Tags::new()),
            Directive::Copy => self.from.store.tags(&self.source.key, self.source.version.as_deref()).await,
        }
    }

    /// After a failure: whether the object was made all the same, by a try whose answer was lost. Otherwise the failure
    /// is what it was. `tag` is the one that the object would carry, where that is known and could be no other's.
    pub(super) async fn perhaps_made(&self, error: Error, tag: Option<ETag>) -> Result<Copied> {
        // A later try finds the upload gone, or the object there that must not be replaced.
        let is_late = error.tries() > 1
            && match error.kind() {
                ErrorKind::NotFound => true,
                ErrorKind::Conflict | ErrorKind::Changed => self.work.request.overwrite == Overwrite::Forbid,
                _ => false,
            };
        let is_lost = tag.is_some()
            && matches!(
                error.kind(),
                ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Protocol | ErrorKind::Server
            );
        if !is_late && !is_lost {
            return Err(error);
        }
        let Ok(there) = self.to.store.head(HeadRequest::new(self.key.clone())).await else { return Err(error) };
        let same_tag = tag.is_some() && tag == there.etag;
        let same_sum = is_late && self.meta.crc64.is_some() && self.meta.crc64 == there.crc64;
        match there.size == self.meta.size && (same_tag || same_sum) {
            true => Ok(Copied { etag: there.etag, crc64: there.crc64, version: there.version, request_id: None }),
            false => Err(error),
        }
    }

    /// Compares the copy with its source.
    pub(super) async fn check(&self, copied: &Copied) -> Result<()> {
        if self.meta.kind == ObjectKind::Symlink {
            return Ok(());
        }
        match (self.meta.crc64, copied.crc64) {
            (Some(source), Some(copy)) if source != copy => {
                Err(self.wrong(format!("its CRC-64 is {copy}, and that of the source {source}")))
            }
            (Some(_), Some(_)) => Ok(()),
            _ if self.is_compared_after().await => match self.is_as_it_was().await {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.wrong("the source changed while it was copied".to_owned())),
                Err(error) => Err(self.wrong(format!("the source could not be checked again: {error}"))),
            },
            _ => Ok(()),
        }
    }

    /// Whether only a look at the source tells that what was copied is one version of it.
    async fn is_compared_after(&self) -> bool {
        // Some servers take no notice of the condition on the source.
        let is_long = self.to.dialect == Dialect::S3 && self.meta.size > self.work.options.threshold_bytes;
        is_long || self.pinned.lock().await.pin == Pin::Nothing
    }

    fn wrong(&self, why: String) -> Error {
        let place = format!("{}/{}", self.work.request.destination.bucket, self.key);
        let message = format!("the copy is wrong: {why}; it remains at {place}");
        Error::new(ErrorKind::Corrupt, message).with_key(self.key.to_string())
    }
}
