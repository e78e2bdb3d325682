//! Writing objects: PutObject, AppendObject, PutSymlink, and the metadata that comes with them.

use md5::{Digest, Md5};

use super::{Call, file_failure, write_failure};
use crate::base::Timestamp;
use crate::emulator::bucket::{Bucket, Found, Versioning, WriteCondition};
use crate::emulator::content::{Content, combine_crc64};
use crate::emulator::failure::{Failure, internal, invalid_argument, not_implemented, precondition_failed};
use crate::emulator::object::{Object, Origin};
use crate::emulator::options::{Dialect, PutOptions, StorageClass};
use crate::emulator::receive::RequestBody;
use crate::emulator::reply::Reply;
use crate::emulator::request::{check_key, value_text};
use crate::emulator::text::{decode_form, decode_text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// User metadata, names and values together.
const MOST_METADATA: usize = 8 << 10;
const MOST_TAGS: usize = 10;

/// An object as code in this process writes it.
pub(in crate::emulator) fn written_object(content: Content, now: Timestamp, options: PutOptions) -> Object {
    match options.symlink_target.clone() {
        Some(target) => symlink_object(&target, now, options),
        None => {
            // Bytes in memory are always readable.
            let md5 = content.md5().unwrap_or_default();
            Object::put(content, md5, None, now, options)
        }
    }
}

fn symlink_object(target: &str, now: Timestamp, attributes: PutOptions) -> Object {
    let md5 = Md5::digest(target.as_bytes()).into();
    Object { md5: None, ..Object::put(Content::empty(), md5, Some(0), now, attributes) }
}

/// Answers PutObject by storing the body.
pub(super) async fn put_object(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let attributes = attributes(call)?;
    let condition = condition(call, &bucket)?;
    let received = call.receive(&bucket, body).await?;
    let object = Object::put(received.content, received.md5, Some(received.crc), call.now, attributes);
    let reply = Reply::ok().header("etag", object.quoted_etag(call.dialect()));
    let version = bucket.write(call.key(), object, &condition).map_err(|error| write_failure(error, call.dialect()))?;
    let reply = reply.header_if(call.version_header(), call.written_version(version));
    Ok(match call.dialect() {
        Dialect::Oss => reply
            .header("content-md5", STANDARD.encode(received.md5))
            .header("x-oss-hash-crc64ecma", received.crc.to_string()),
        Dialect::S3 => reply,
    })
}

/// Answers AppendObject by extending the object.
pub(super) async fn append_object(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let position = call.request.query.value("position").and_then(|position| position.parse::<u64>().ok());
    let position = position.ok_or_else(|| invalid_argument("Argument position must be a number of bytes."))?;
    let mut attributes = attributes(call)?;
    let received = call.receive(&bucket, body).await?;
    let before = bucket.current(call.key()).map_err(|error| internal(&error))?;
    let (earlier, earlier_crc) = match before {
        Found::Object(object, _) => {
            if object.origin != Origin::Append {
                let failure = Failure::new(409, "ObjectNotAppendable", "The object is not appendable.");
                return Err(failure.ec("0026-00000021"));
            }
            attributes = object.attributes.clone();
            (object.content.clone(), object.crc64().map_err(|error| file_failure(&error))?)
        }
        Found::Marker(..) | Found::Nothing => (Content::empty(), 0),
    };
    let length = earlier.len();
    if position != length {
        let failure = Failure::new(409, "PositionNotEqualToLength", "Position is not equal to file length.");
        let failure = failure.ec("0026-00000016").header("x-oss-next-append-position", length.to_string());
        return Err(failure.header("x-oss-hash-crc64ecma", earlier_crc.to_string()));
    }
    let crc = combine_crc64(earlier_crc, received.crc, received.content.len());
    let content = Content::chain([earlier, received.content]);
    let next = content.len();
    let etag = format!("{crc:016X}{next:016X}");
    let object = Object { origin: Origin::Append, ..Object::tagged(content, etag, Some(crc), call.now, attributes) };
    let reply = Reply::ok()
        .header("etag", object.quoted_etag(call.dialect()))
        .header("x-oss-next-append-position", next.to_string())
        .header("x-oss-hash-crc64ecma", crc.to_string());
    let version = bucket.write(call.key(), object, &WriteCondition::default());
    let version = version.map_err(|error| write_failure(error, call.dialect()))?;
    Ok(reply.header_if("x-oss-version-id", version))
}

/// PutSymlink. The target need not exist.
pub(super) fn put_symlink(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let target = call.request.header("x-oss-symlink-target");
    let target = target
        .and_then(|target| decode_text(&target))
        .ok_or_else(|| invalid_argument("The header x-oss-symlink-target must hold a key, percent-encoded."))?;
    check_key(&target, call.dialect())?;
    let attributes = PutOptions { symlink_target: Some(target.clone()), ..attributes(call)? };
    let object = symlink_object(&target, call.now, attributes);
    let reply = Reply::ok().header("etag", object.quoted_etag(call.dialect()));
    let condition = condition(call, &bucket)?;
    let version = bucket.write(call.key(), object, &condition).map_err(|error| write_failure(error, call.dialect()))?;
    Ok(reply.header_if("x-oss-version-id", version))
}

/// What must hold for a write: `x-oss-forbid-overwrite`, or `If-None-Match: *` and `If-Match` of S3. OSS knows no
/// `If-…` on writes, and forbids nothing where versions are kept.
pub(super) fn condition(call: &Call<'_>, bucket: &Bucket) -> Result<WriteCondition, Failure> {
    let header = |name: &str| call.request.header(name);
    if call.dialect() == Dialect::S3 {
        return match (header("if-none-match").as_deref(), header("if-match")) {
            (Some("*"), _) => Ok(WriteCondition { absent: true, etag: None }),
            (Some(_), _) => Err(not_implemented("If-None-Match with a tag on a write")),
            (None, tag) => Ok(WriteCondition { absent: false, etag: tag.map(|tag| tag.trim_matches('"').to_owned()) }),
        };
    }
    let refused = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    if let Some(name) = refused.iter().find(|name| header(name).is_some()) {
        let message = "A header you provided implies functionality that is not implemented.";
        return Err(Failure::new(400, "NotImplemented", message).element("Header", *name));
    }
    let forbids = header("x-oss-forbid-overwrite").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(WriteCondition { absent: forbids && bucket.versioning() == Versioning::Off, etag: None })
}

/// Whether a write would go through, for operations that check before they begin.
pub(super) fn check_condition(call: &Call<'_>, bucket: &Bucket) -> Result<(), Failure> {
    let condition = condition(call, bucket)?;
    let found = bucket.current(call.key()).map_err(|error| internal(&error))?.object();
    match (&condition.etag, &found) {
        _ if condition.absent && found.is_some() => {
            Err(write_failure(crate::emulator::bucket::WriteError::Exists, call.dialect()))
        }
        (Some(tag), Some(object)) if object.etag.eq_ignore_ascii_case(tag) => Ok(()),
        (Some(_), _) => Err(precondition_failed("If-Match")),
        (None, _) => Ok(()),
    }
}

/// The metadata that a request's headers give an object.
pub(super) fn attributes(call: &Call<'_>) -> Result<PutOptions, Failure> {
    let request = call.request;
    let prefix = request.vendor_name("meta-");
    let mut user_metadata = Vec::new();
    for (name, value) in &request.headers {
        if let Some(name) = name.as_str().strip_prefix(&prefix) {
            user_metadata.push((name.to_owned(), value_text(value)));
        }
    }
    if user_metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MOST_METADATA {
        return Err(match call.dialect() {
            Dialect::Oss => invalid_argument("The size of the user metadata exceeds 8 KB."),
            Dialect::S3 => Failure::new(400, "MetadataTooLarge", "Your metadata headers exceed the maximum size."),
        });
    }
    let storage_class = match request.vendor("storage-class") {
        None => StorageClass::Standard,
        Some(text) => StorageClass::parse(&text, call.dialect()).ok_or_else(|| {
            let code = if call.dialect() == Dialect::Oss { "InvalidArgument" } else { "InvalidStorageClass" };
            Failure::new(400, code, "The storage class you specified is not valid.")
        })?,
    };
    let encoding = request.header("content-encoding").map(|encoding| without_framing(&encoding));
    Ok(PutOptions {
        content_type: request.header("content-type"),
        cache_control: request.header("cache-control"),
        content_disposition: request.header("content-disposition"),
        content_encoding: encoding.filter(|encoding| !encoding.is_empty()),
        content_language: request.header("content-language"),
        expires: request.header("expires"),
        user_metadata,
        storage_class,
        tags: request.vendor("tagging").map_or(Ok(Vec::new()), |tags| parse_tags(&tags))?,
        symlink_target: None,
        last_modified: None,
    })
}

/// `aws-chunked` says how the body travels and is not kept with the object.
fn without_framing(encoding: &str) -> String {
    let kept = encoding.split(',').map(str::trim).filter(|part| *part != "aws-chunked");
    kept.collect::<Vec<_>>().join(",")
}

/// Tags as a header carries them: `k=v&k2=v2`, both sides encoded.
pub(super) fn parse_tags(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut tags = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decode_form(name).zip(decode_form(value));
        tags.push(decoded.ok_or_else(|| invalid_argument("The tags are not UTF-8."))?);
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// At most 10 tags with names of their own, within the lengths and characters allowed.
pub(super) fn check_tags(tags: &[(String, String)]) -> Result<(), Failure> {
    let bad = |why: &str| Err(Failure::new(400, "InvalidTag", format!("The tags you provided {why}.")));
    if tags.len() > MOST_TAGS {
        return bad("are more than 10");
    }
    let allowed = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c));
    for (at, (name, value)) in tags.iter().enumerate() {
        if name.is_empty() || name.len() > 128 || value.len() > 256 || !allowed(name) || !allowed(value) {
            return bad("are too long or hold characters that are not allowed");
        }
        if tags[..at].iter().any(|(other, _)| other == name) {
            return bad("have a name twice");
        }
    }
    Ok(())
}
