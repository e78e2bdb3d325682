//! Reading objects: GetObject, HeadObject, GetObjectMeta, GetSymlink, and asking for the archive.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::conditions::Conditions;
use super::range::{Chosen, Reading, choose};
use super::{Call, FoundVersion, file_failure};
use crate::base::Timestamp;
use crate::emulator::bucket::{Bucket, Found};
use crate::emulator::failure::{Failure, internal};
use crate::emulator::fault::FaultKind;
use crate::emulator::object::{Object, Origin, Restore};
use crate::emulator::operation::Operation;
use crate::emulator::options::{Dialect, StorageClass};
use crate::emulator::reply::Reply;
use crate::emulator::text::encode_path;
use crate::emulator::time::http_date;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How long restoring takes, and how long the copy stays, when the request does not say.
const RESTORE_SECONDS: i64 = 2;
const RESTORED_SECONDS: i64 = 86_400;

/// What an answer shows: the headers of `shown`, the bytes of `read`, which differ for symlinks.
struct View {
    shown: Arc<Object>,
    read: Arc<Object>,
    modified: Timestamp,
    etag: String,
    version: Option<String>,
}

impl View {
    fn of(call: &Call<'_>, bucket: &Bucket) -> Result<Self, Failure> {
        let FoundVersion { object, version } = call.find(bucket)?;
        let read = resolve(call, bucket, &object)?;
        let mut etag = read.etag.clone();
        if call.fault == Some(FaultKind::ChangedEtag) {
            etag = format!("C4A6ED{}", etag.get(6..).unwrap_or(""));
        }
        let modified = object.modified.max(read.modified);
        Ok(View { shown: object, read, modified, etag, version })
    }

    /// The headers that GetObject and HeadObject share.
    fn headers(&self, call: &Call<'_>, mut reply: Reply) -> Result<Reply, Failure> {
        let (dialect, attributes) = (call.dialect(), &self.shown.attributes);
        let vendor = |name: &str| call.request.vendor_name(name);
        reply = self.basics(call, reply)?;
        let content_type = attributes.content_type.as_deref().unwrap_or("application/octet-stream");
        reply = reply.header("content-type", content_type).header("accept-ranges", "bytes");
        for (name, value) in [
            ("cache-control", &attributes.cache_control),
            ("content-disposition", &attributes.content_disposition),
            ("content-encoding", &attributes.content_encoding),
            ("content-language", &attributes.content_language),
            ("expires", &attributes.expires),
        ] {
            reply = reply.header_if(name, value.as_ref());
        }
        for (name, value) in &attributes.user_metadata {
            reply.set(&vendor(&format!("meta-{name}")), value);
        }
        let class = self.read.attributes.storage_class;
        if dialect == Dialect::Oss || class != StorageClass::Standard {
            reply.set(&vendor("storage-class"), class.name(dialect));
        }
        reply = reply.header_if(&vendor("restore"), self.read.restore_text(call.now));
        if !attributes.tags.is_empty() {
            reply.set(&vendor("tagging-count"), &attributes.tags.len().to_string());
        }
        if dialect == Dialect::Oss {
            reply = reply.header_if("content-md5", self.read.md5.map(|md5| STANDARD.encode(md5)));
            if self.shown.origin == Origin::Append {
                reply.set("x-oss-next-append-position", &self.shown.size().to_string());
            }
        }
        Ok(reply)
    }

    /// The headers that GetObjectMeta has as well.
    fn basics(&self, call: &Call<'_>, reply: Reply) -> Result<Reply, Failure> {
        let etag = match call.dialect() {
            Dialect::Oss => format!("\"{}\"", self.etag),
            Dialect::S3 => format!("\"{}\"", self.etag.to_ascii_lowercase()),
        };
        let reply = reply
            .header("etag", etag)
            .header("last-modified", http_date(self.modified))
            .header_if(call.version_header(), self.version.as_ref());
        if call.dialect() == Dialect::S3 {
            return Ok(reply);
        }
        let crc = self.read.shown_crc64().map_err(|error| file_failure(&error))?;
        let reply = reply.header("x-oss-object-type", self.shown.type_name());
        Ok(reply.header_if("x-oss-hash-crc64ecma", crc.map(|crc| crc.to_string())))
    }
}

/// The object whose bytes are read: the target of a symlink, of which there must be one, and no link again.
fn resolve(call: &Call<'_>, bucket: &Bucket, object: &Arc<Object>) -> Result<Arc<Object>, Failure> {
    let Some(target) = &object.attributes.symlink_target else { return Ok(object.clone()) };
    let target = match bucket.current(target).map_err(|error| internal(&error))? {
        Found::Object(target, _) => target,
        Found::Marker(..) | Found::Nothing => {
            let failure = Failure::new(404, "SymlinkTargetNotExist", "The target of the symlink does not exist.");
            return Err(failure.ec("0026-00000012").element("Key", call.key()));
        }
    };
    if target.origin == Origin::Symlink {
        let failure = Failure::new(400, "InvalidTargetType", "The target of the symlink is a symlink.");
        return Err(failure.ec("0026-00000011"));
    }
    Ok(target)
}

/// Answers GetObject and HeadObject.
pub(super) fn object(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let view = View::of(call, &bucket)?;
    let request = call.request;
    let conditions = Conditions::read(|name| request.header(name));
    if let Err(failure) = conditions.check(&view.etag, view.modified) {
        return if failure.status == StatusCode::NOT_MODIFIED {
            view.headers(call, Reply::new(StatusCode::NOT_MODIFIED))
        } else {
            Err(failure)
        };
    }
    let is_get = call.operation == Operation::GetObject;
    if is_get && !view.read.is_readable(call.now) {
        let message = "The operation is not valid for the object's state.";
        return Err(Failure::new(403, "InvalidObjectState", message)
            .ec("0016-00000404")
            .element("ObjectName", call.key()));
    }
    let size = view.read.size();
    let chosen = chosen_range(call, size);
    let mut reply = view.headers(call, Reply::ok())?;
    if is_get {
        view.read.content.open().map_err(|error| file_failure(&error))?;
        override_headers(call, &mut reply);
    }
    match chosen {
        Chosen::Nothing => Err(unsatisfiable(call, size)),
        Chosen::Whole => {
            if !is_get {
                reply.set("content-length", &size.to_string());
            }
            Ok(reply.content(view.read.content.clone(), 0..size))
        }
        Chosen::Part(range) => {
            reply.status = StatusCode::PARTIAL_CONTENT;
            let shift = u64::from(call.fault == Some(FaultKind::WrongContentRange));
            let (first, last) = (range.start + shift, range.end - 1 + shift);
            reply.set("content-range", &format!("bytes {first}-{last}/{size}"));
            if !is_get {
                reply.set("content-length", &(range.end - range.start).to_string());
            }
            Ok(reply.content(view.read.content.clone(), range))
        }
    }
}

fn chosen_range(call: &Call<'_>, size: u64) -> Chosen {
    let header = call.request.header("range");
    // HeadObject of OSS knows no ranges.
    let is_heeded = call.operation == Operation::GetObject || call.dialect() == Dialect::S3;
    if !is_heeded || call.fault == Some(FaultKind::RangeIgnored) {
        return Chosen::Whole;
    }
    let is_several = header.as_ref().is_some_and(|header| header.contains(','));
    match call.dialect() {
        Dialect::S3 if is_several => Chosen::Whole,
        Dialect::S3 => choose(header.as_deref(), size, Reading::Standard),
        Dialect::Oss if call.request.header("x-oss-range-behavior").as_deref() == Some("standard") => {
            choose(header.as_deref(), size, Reading::Standard)
        }
        Dialect::Oss => choose(header.as_deref(), size, Reading::Lenient),
    }
}

fn unsatisfiable(call: &Call<'_>, size: u64) -> Failure {
    let failure = Failure::new(416, "InvalidRange", "The requested range cannot be satisfied.")
        .ec("0026-00000003")
        .element("ActualObjectSize", size.to_string())
        .element("RangeRequested", call.request.header("range").unwrap_or_default());
    match call.dialect() {
        Dialect::Oss => failure,
        Dialect::S3 => failure.header("content-range", format!("bytes */{size}")),
    }
}

fn override_headers(call: &Call<'_>, reply: &mut Reply) {
    for name in
        ["content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding"]
    {
        if let Some(value) = call.request.query.value(&format!("response-{name}")) {
            reply.set(name, value);
        }
    }
}

/// GetObjectMeta: of a symlink it describes the link itself.
pub(super) fn object_meta(call: &Call<'_>) -> Result<Reply, Failure> {
    let FoundVersion { object, version } = call.find(&*call.bucket()?)?;
    let (etag, modified) = (object.etag.clone(), object.modified);
    let view = View { shown: object.clone(), read: object.clone(), modified, etag, version };
    Conditions::read(|name| call.request.header(name)).check(&view.etag, modified)?;
    let mut reply = view.basics(call, Reply::ok())?;
    if call.request.method == Method::HEAD {
        reply.set("content-length", &object.listed_size().to_string());
    }
    Ok(reply)
}

/// Answers GetSymlink of an object.
pub(super) fn symlink(call: &Call<'_>) -> Result<Reply, Failure> {
    let FoundVersion { object, version } = call.find(&*call.bucket()?)?;
    let Some(target) = &object.attributes.symlink_target else {
        return Err(Failure::new(400, "NotSymlink", "The object is not a symlink.").ec("0043-00000101"));
    };
    let reply = Reply::ok()
        .header("x-oss-symlink-target", encode_path(target))
        .header("etag", object.quoted_etag(call.dialect()))
        .header("last-modified", http_date(object.modified))
        .header_if("x-oss-version-id", version);
    Ok(reply)
}

/// RestoreObject: 202 when it begins, 200 when it is done.
pub(super) fn restore(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let FoundVersion { object, version } = call.find(&bucket)?;
    if !object.attributes.storage_class.is_archive() {
        let message = "The operation is not supported for this storage class.";
        let code = if call.dialect() == Dialect::Oss { "OperationNotSupported" } else { "InvalidObjectState" };
        let status = if call.dialect() == Dialect::Oss { 400 } else { 403 };
        return Err(Failure::new(status, code, message).ec("0016-00000702"));
    }
    match object.restore {
        Restore::Asked { ready, .. } if call.now < ready => {
            Err(Failure::new(409, "RestoreAlreadyInProgress", "The restore operation is in progress.")
                .ec("0016-00000705"))
        }
        Restore::Asked { end, .. } if call.now < end => Ok(Reply::ok()),
        _ => {
            let ready = call.now.plus_seconds(RESTORE_SECONDS);
            let restore = Restore::Asked { ready, end: ready.plus_seconds(RESTORED_SECONDS) };
            bucket.amend(call.key(), version.as_deref(), Object { restore, ..(*object).clone() });
            Ok(Reply::new(StatusCode::ACCEPTED).header_if(call.version_header(), version))
        }
    }
}

/// PutObjectAcl is taken and forgotten: every account owns everything.
pub(super) fn put_acl(call: &Call<'_>) -> Result<Reply, Failure> {
    let found = call.find(&*call.bucket()?)?;
    Ok(Reply::ok().header_if(call.version_header(), found.version))
}
