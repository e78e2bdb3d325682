//! Extended attributes: what is known of an object, under `user.oss.`. Those that the listing told are listed; those
//! that need a request are answered when asked for, and the request is remembered for that version. `verified` and
//! `cached` are not listed because they change, and programs that copy attributes would carry them over.

use std::sync::Arc;

use jiff::tz::TimeZone;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Failure, Names, Tried, XattrReply, report_of_version};
use crate::base::{ETag, Ino, Key, Timestamp};
use crate::read::Verified;
use crate::store::{Error, ErrorKind, HeadRequest, ObjectMeta};
use crate::tree::{Kind, Object};

const PREFIX: &str = "user.oss.";

/// What an inode has attributes of.
enum Subject {
    Directory { prefix: String },
    Object(Box<Object>),
}

/// Those that cost no request, in the order shown.
const LISTED: [&str; 7] = ["key", "bucket", "etag", "size", "last-modified", "type", "storage-class"];

/// Those that cost a request, besides the user's own.
const ON_REQUEST: [&str; 3] = ["crc64", "content-type", "version-id"];

impl Names {
    /// Does what [`crate::fs::Fs::getxattr`] says.
    pub(in crate::fs) async fn getxattr(self: Arc<Self>, ino: Ino, name: Vec<u8>, size: u32) -> Tried<XattrReply> {
        let name = std::str::from_utf8(&name).ok().and_then(|name| name.strip_prefix(PREFIX));
        let name = name.ok_or(Failure::ENODATA)?;
        let value = match self.subject(ino)? {
            subject if LISTED.contains(&name) => self.listed(&subject, name),
            Subject::Object(_) if name == "verified" => Some(verified_word(self.reader.verified(ino)).to_owned()),
            Subject::Object(object) if name == "cached" => self.cached(&object).await,
            Subject::Object(object) if name == "tags" => self.tags(ino, &object).await?,
            Subject::Object(object) if needs_request(name) => told(&*self.head(ino, &object).await?, name),
            _ => None,
        };
        reply(value.ok_or(Failure::ENODATA)?.into_bytes(), size)
    }

    /// All attributes by their plain names: those listed, those that cost a request, and what changes while it is read.
    pub(in crate::fs) async fn all_attributes(self: &Arc<Self>, ino: Ino) -> Tried<Vec<(String, Vec<u8>)>> {
        let subject = self.subject(ino)?;
        let listed = |name: &&str| Some(((*name).to_owned(), self.listed(&subject, name)?.into_bytes()));
        let mut all: Vec<_> = LISTED.iter().filter_map(listed).collect();
        let Subject::Object(object) = &subject else { return Ok(all) };
        let meta = self.head(ino, object).await?;
        let mut put = |name: String, value: Option<String>| all.extend(value.map(|value| (name, value.into_bytes())));
        for name in ON_REQUEST {
            put(name.to_owned(), told(&meta, name));
        }
        for (name, value) in &meta.user {
            put(format!("meta.{name}"), Some(value.clone()));
        }
        put("tags".to_owned(), self.tags(ino, object).await.unwrap_or_default());
        put("cached".to_owned(), self.cached(object).await);
        put("verified".to_owned(), Some(verified_word(self.reader.verified(ino)).to_owned()));
        Ok(all)
    }

    /// Does what [`crate::fs::Fs::listxattr`] says.
    pub(in crate::fs) async fn listxattr(self: Arc<Self>, ino: Ino, size: u32) -> Tried<XattrReply> {
        let subject = self.subject(ino)?;
        let known = LISTED.iter().filter(|name| self.listed(&subject, name).is_some());
        reply(known.flat_map(|name| format!("{PREFIX}{name}\0").into_bytes()).collect(), size)
    }

    fn subject(&self, ino: Ino) -> Tried<Subject> {
        let state = self.state.lock();
        match state.tree.object(ino) {
            Some(object) => Ok(Subject::Object(Box::new(object))),
            None => state.tree.prefix(ino).map(|prefix| Subject::Directory { prefix }).ok_or(Failure::ESTALE),
        }
    }

    fn listed(&self, subject: &Subject, name: &str) -> Option<String> {
        let key = match subject {
            Subject::Directory { prefix } => prefix,
            Subject::Object(object) => &object.key,
        };
        let (bucket, key) = self.in_bucket(key);
        let object = match (subject, name) {
            (_, "bucket") => return Some(bucket.to_owned()),
            (_, "key") => return Some(key.to_owned()),
            (Subject::Directory { .. }, _) => return None,
            (Subject::Object(object), _) => object,
        };
        match name {
            "etag" => object.etag.as_ref().map(|etag| etag.as_str().to_owned()),
            "size" => Some(object.size.to_string()),
            "last-modified" => object.mtime.and_then(rfc3339),
            "type" => Some(type_word(object.kind).to_owned()),
            "storage-class" => object.class.as_deref().map(str::to_owned),
            _ => None,
        }
    }

    /// How many bytes of it the disk cache has; `None` where there is no such cache.
    async fn cached(&self, object: &Object) -> Option<String> {
        let Object { key, version, etag, size, .. } = object;
        let bytes = self.reader.bytes_on_disk(key, version.as_deref(), etag.as_ref(), *size).await?;
        Some(bytes.to_string())
    }

    /// The bucket of a key of the mount, and the key in it: where the mount shows several buckets, keys begin with
    /// theirs.
    fn in_bucket<'a>(&'a self, key: &'a str) -> (&'a str, &'a str) {
        match self.options.bucket.as_str() {
            "" => key.split_once('/').unwrap_or((key, "")),
            bucket => (bucket, key),
        }
    }

    /// The tags of the version that the inode stands for, as `name=value&name2=value2`, percent-encoded; `None` where
    /// it has none.
    async fn tags(self: &Arc<Self>, ino: Ino, object: &Object) -> Tried<Option<String>> {
        if let Some(tags) = self.tags.lock().get(&ino) {
            return Ok(tags.clone());
        }
        let tags = match self.store.tags(&Key::new(object.key.as_str()), object.version.as_deref()).await {
            Ok(tags) => tags,
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
            Err(error) => return Err(self.attributes_failed(ino, "reading tags", &error)),
        };
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> = tags.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let tags = Some(pairs.join("&")).filter(|text| !text.is_empty());
        self.tags.lock().put(ino, tags.clone());
        Ok(tags)
    }

    /// What HEAD tells of the version that the inode stands for.
    async fn head(self: &Arc<Self>, ino: Ino, object: &Object) -> Tried<Arc<ObjectMeta>> {
        if let Some(meta) = self.heads.lock().get(&ino) {
            return Ok(meta.clone());
        }
        let request = HeadRequest { key: Key::new(object.key.as_str()), version: object.version.clone() };
        let answer = self.store.head(request).await;
        let meta = answer.map_err(|error| self.attributes_failed(ino, "reading attributes", &error))?;
        let differs = |known: &ETag| meta.etag.as_ref().is_some_and(|etag| etag != known);
        if object.kind != Kind::Symlink && object.etag.as_ref().is_some_and(differs) {
            self.change(|state| ((), state.tree.mark_stale(ino, self.clock.elapsed())));
            return Err(Failure::ESTALE);
        }
        let meta = Arc::new(meta);
        self.heads.lock().put(ino, meta.clone());
        Ok(meta)
    }

    fn attributes_failed(&self, ino: Ino, doing: &'static str, error: &Error) -> Failure {
        if error.kind() == ErrorKind::NotFound {
            self.change(|state| ((), state.tree.mark_stale(ino, self.clock.elapsed())));
        }
        report_of_version(doing, error)
    }
}

fn needs_request(name: &str) -> bool {
    ON_REQUEST.contains(&name) || name.starts_with("meta.")
}

fn told(meta: &ObjectMeta, name: &str) -> Option<String> {
    match name {
        "crc64" => meta.crc64.map(|crc| crc.to_string()),
        "content-type" => meta.content_type.clone(),
        "version-id" => meta.version.clone(),
        _ => {
            let wanted = name.strip_prefix("meta.")?;
            meta.user.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
        }
    }
}

fn verified_word(verified: Verified) -> &'static str {
    match verified {
        Verified::No => "no",
        Verified::Partial => "partial",
        Verified::Yes => "yes",
    }
}

fn type_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Normal => "Normal",
        Kind::Multipart => "Multipart",
        Kind::Appendable => "Appendable",
        Kind::Symlink => "Symlink",
    }
}

fn rfc3339(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::new(time.seconds, time.nanos as i32).ok()?;
    Some(time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_string())
}

/// A value, as far as there is room for it.
pub(in crate::fs) fn reply(value: Vec<u8>, size: u32) -> Tried<XattrReply> {
    match size {
        0 => Ok(XattrReply::Size(value.len() as u32)),
        size if value.len() > size as usize => Err(Failure::ERANGE),
        _ => Ok(XattrReply::Data(value)),
    }
}
