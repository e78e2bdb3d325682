//! Copies within the service: CopyObject and UploadPartCopy.

use md5::{Digest, Md5};

use super::conditions::Conditions;
use super::list::document;
use super::multipart::part_number;
use super::range::{Chosen, Reading, choose};
use super::write::{attributes, condition};
use super::{Call, FoundVersion, file_failure, write_failure};
use crate::emulator::bucket::{Part, Versioning};
use crate::emulator::failure::{Failure, entity_too_large, invalid_argument, no_such_bucket, no_such_upload};
use crate::emulator::object::{Object, Restore};
use crate::emulator::options::{Dialect, PutOptions};
use crate::emulator::reply::Reply;
use crate::emulator::request::check_key;
use crate::emulator::text::{decode_text, hex_upper};
use crate::emulator::time::iso_date;

/// The most that one request copies when the class stays, and when it changes (OSS).
const MOST_BYTES: u64 = 5 << 30;
const MOST_BYTES_TO_OTHER_CLASS: u64 = 1 << 30;
/// Copied parts up to this size are hashed; the tags of larger ones come from their source's.
const HASHED_BYTES: u64 = 8 << 20;

/// Where a copy comes from.
struct Source {
    bucket: String,
    key: String,
    /// The request names a version of it.
    is_version: bool,
    found: FoundVersion,
}

impl Source {
    fn find(call: &Call<'_>) -> Result<Self, Failure> {
        let name = call.request.vendor_name("copy-source");
        let bad = || invalid_argument(format!("{name} must be /bucket/key, percent-encoded."));
        let header = call.request.header(&name).ok_or_else(bad)?;
        let (path, version) = match header.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (header.as_str(), None),
        };
        let path = decode_text(path).ok_or_else(bad)?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').ok_or_else(bad)?;
        check_key(key, call.dialect())?;
        let found = call.service.bucket(bucket).ok_or_else(|| no_such_bucket(bucket))?;
        let found = call.find_in(&found, key, version)?;
        let is_version = version.is_some();
        let source = Source { bucket: bucket.to_owned(), key: key.to_owned(), is_version, found };
        source.check(call)?;
        Ok(source)
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let conditions = Conditions::read(|name| call.request.vendor(&format!("copy-source-{name}")));
        let object = &self.found.object;
        conditions.check(&object.etag, object.modified).map_err(|failure| match call.dialect() {
            // S3 answers every failed condition of a copy with 412.
            Dialect::S3 => crate::emulator::failure::precondition_failed("x-amz-copy-source-If-None-Match"),
            Dialect::Oss => failure,
        })?;
        if !object.is_readable(call.now) {
            let message = "The operation is not valid for the object's state.";
            return Err(Failure::new(403, "InvalidObjectState", message).ec("0016-00000404"));
        }
        Ok(())
    }

    fn version_header(call: &Call<'_>) -> String {
        call.request.vendor_name("copy-source-version-id")
    }
}

/// Answers CopyObject within the emulator.
pub(super) fn copy_object(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let source = Source::find(call)?;
    let object = &source.found.object;
    let attributes = target_attributes(call, object)?;
    let is_onto_itself = source.bucket == bucket.name && source.key == call.key();
    // A version that is named is another object, which takes the place of the current one.
    let is_the_same = is_onto_itself && !source.is_version;
    check_size(call, &source, &attributes)?;
    if call.dialect() == Dialect::S3 && is_the_same && !replaces(call, "metadata-directive")? && !changes_class(call) {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Failure::new(400, "InvalidRequest", message));
    }
    let mut condition = condition(call, &bucket)?;
    condition.absent &= bucket.versioning() == Versioning::Off || call.dialect() == Dialect::S3;
    let copy = Object { attributes, modified: call.now, restore: Restore::Never, ..(**object).clone() };
    let crc = copy.crc64().map_err(|error| file_failure(&error))?;
    let etag = copy.quoted_etag(call.dialect());
    let version = bucket.write(call.key(), copy, &condition).map_err(|error| write_failure(error, call.dialect()))?;
    let document = document(call, "CopyObjectResult", |w| {
        w.leaf("ETag", &etag);
        w.leaf("LastModified", iso_date(call.now));
    });
    let reply = Reply::xml(document)
        .header_if(call.version_header(), call.written_version(version))
        .header_if(&Source::version_header(call), source.found.version);
    Ok(match call.dialect() {
        Dialect::Oss => reply.header("x-oss-hash-crc64ecma", crc.to_string()),
        Dialect::S3 => reply,
    })
}

fn check_size(call: &Call<'_>, source: &Source, attributes: &PutOptions) -> Result<(), Failure> {
    let object = &source.found.object;
    let is_same_bucket = call.request.bucket.as_deref() == Some(source.bucket.as_str());
    let is_same_class = attributes.storage_class == object.attributes.storage_class;
    let most = match call.dialect() {
        Dialect::S3 => MOST_BYTES,
        Dialect::Oss if !is_same_class => MOST_BYTES_TO_OTHER_CLASS,
        Dialect::Oss if is_same_bucket => return Ok(()),
        Dialect::Oss => MOST_BYTES,
    };
    if object.size() > most { Err(entity_too_large(most)) } else { Ok(()) }
}

/// Whether a directive says to replace.
fn replaces(call: &Call<'_>, directive: &str) -> Result<bool, Failure> {
    match call.request.vendor(directive) {
        None => Ok(false),
        Some(word) if word.eq_ignore_ascii_case("copy") => Ok(false),
        Some(word) if word.eq_ignore_ascii_case("replace") => Ok(true),
        Some(_) => Err(invalid_argument(format!("The {directive} must be COPY or REPLACE."))),
    }
}

fn changes_class(call: &Call<'_>) -> bool {
    call.request.vendor("storage-class").is_some()
}

/// The metadata of the target: the source's or the request's, as the directives say. A copy onto itself always takes
/// the request's.
fn target_attributes(call: &Call<'_>, source: &Object) -> Result<PutOptions, Failure> {
    let given = attributes(call)?;
    let kept = &source.attributes;
    let with_tags = if replaces(call, "tagging-directive")? { given.tags.clone() } else { kept.tags.clone() };
    // Without a class in the request a copy becomes Standard, whatever the source is.
    let storage_class = given.storage_class;
    let base = if replaces(call, "metadata-directive")? { given } else { kept.clone() };
    Ok(PutOptions {
        tags: with_tags,
        storage_class,
        symlink_target: kept.symlink_target.clone(),
        last_modified: None,
        ..base
    })
}

fn outside_source(size: u64) -> Failure {
    Failure::new(416, "InvalidRange", "The x-amz-copy-source-range value must lie inside the source.")
        .element("ActualObjectSize", size.to_string())
}

/// Whether a range has the only form that S3 accepts for a part to copy.
fn is_one_closed_range(range: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .is_some_and(|(first, last)| is_number(first) && is_number(last))
}

/// Answers UploadPartCopy within the emulator.
pub(super) fn upload_part_copy(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let (number, id) = part_number(call)?;
    if bucket.uploads.lock().find(call.key(), id).is_none() {
        return Err(no_such_upload(id));
    }
    let source = Source::find(call)?;
    let object = &source.found.object;
    let size = object.size();
    let header = call.request.vendor("copy-source-range");
    if let (Dialect::S3, Some(range)) = (call.dialect(), header.as_deref())
        && !is_one_closed_range(range)
    {
        return Err(invalid_argument("The x-amz-copy-source-range value must be of the form bytes=first-last."));
    }
    let chosen = choose(header.as_deref(), size, Reading::Lenient);
    let range = match (&chosen, call.dialect()) {
        (Chosen::Part(range), _) => range.clone(),
        (_, Dialect::S3) if header.is_some() => return Err(outside_source(size)),
        // OSS copies the whole source when it cannot read the range.
        _ => 0..size,
    };
    let len = range.end - range.start;
    if len > MOST_BYTES {
        return Err(entity_too_large(MOST_BYTES));
    }
    let content = object.content.slice(range.clone());
    content.open().map_err(|error| file_failure(&error))?;
    let crc = content.crc64().map_err(|error| file_failure(&error))?;
    let etag = if len <= HASHED_BYTES {
        hex_upper(&content.md5().map_err(|error| file_failure(&error))?)
    } else {
        hex_upper(&Md5::digest(format!("{} {}-{}", object.etag, range.start, range.end)))
    };
    let quoted = match call.dialect() {
        Dialect::Oss => format!("\"{etag}\""),
        Dialect::S3 => format!("\"{}\"", etag.to_ascii_lowercase()),
    };
    let part = Part { content, etag, crc, modified: call.now };
    if !bucket.uploads.lock().add(call.key(), id, number, part) {
        return Err(no_such_upload(id));
    }
    let document = document(call, "CopyPartResult", |w| {
        w.leaf("LastModified", iso_date(call.now));
        w.leaf("ETag", &quoted);
    });
    let shown = match chosen {
        Chosen::Part(range) => Some(format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))),
        Chosen::Whole | Chosen::Nothing => None,
    };
    let reply = Reply::xml(document).header_if(&Source::version_header(call), source.found.version);
    Ok(match call.dialect() {
        // `oss2` takes the tag of a part from the header, copied or not.
        Dialect::Oss => reply.header("etag", &quoted).header_if("content-range", shown),
        Dialect::S3 => reply,
    })
}
