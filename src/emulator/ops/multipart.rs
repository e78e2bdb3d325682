//! Uploads in parts.

use md5::{Digest, Md5};

use super::list::{Encoding, OWNER, document, limited, page_size};
use super::write::{attributes, check_condition, condition};
use super::{Call, blocking, write_failure};
use crate::emulator::bucket::{Bucket, CompletedUpload, Part, Upload};
use crate::emulator::content::{Content, combine_crc64};
use crate::emulator::failure::{Failure, invalid_argument, malformed_xml, no_such_upload};
use crate::emulator::object::Object;
use crate::emulator::options::Dialect;
use crate::emulator::receive::RequestBody;
use crate::emulator::reply::Reply;
use crate::emulator::text::{encode_path, hex_upper};
use crate::emulator::time::iso_date;
use crate::emulator::xml::parse;

const MOST_PARTS: u32 = 10_000;
/// Lines of a listing of parts or uploads.
const PAGE: usize = 1000;

/// Answers InitiateMultipartUpload with a new upload.
pub(super) fn initiate(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let encoding = Encoding::of(call)?;
    check_condition(call, &bucket)?;
    let id = bucket.uploads.lock().begin(call.key(), attributes(call)?, call.now);
    Ok(Reply::xml(document(call, "InitiateMultipartUploadResult", |w| {
        encoding.write(w);
        w.leaf("Bucket", &bucket.name);
        w.leaf("Key", encoding.text(call.key()));
        w.leaf("UploadId", &id);
    })))
}

/// `partNumber` and `uploadId` of a request.
pub(super) fn part_number<'a>(call: &'a Call<'_>) -> Result<(u32, &'a str), Failure> {
    let query = &call.request.query;
    let number = query.value("partNumber").and_then(|number| number.parse().ok());
    let number = number.filter(|number| (1..=MOST_PARTS).contains(number));
    let bad = || invalid_argument("Part number must be an integer between 1 and 10000, inclusive.");
    Ok((number.ok_or_else(bad)?, query.value("uploadId").unwrap_or("")))
}

/// Answers UploadPart by storing the part.
pub(super) async fn upload_part(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let (number, id) = part_number(call)?;
    if bucket.uploads.lock().find(call.key(), id).is_none() {
        return Err(no_such_upload(id));
    }
    let received = call.receive(&bucket, body).await?;
    let etag = hex_upper(&received.md5);
    let quoted = match call.dialect() {
        Dialect::Oss => format!("\"{etag}\""),
        Dialect::S3 => format!("\"{}\"", etag.to_ascii_lowercase()),
    };
    let part = Part { content: received.content, etag, crc: received.crc, modified: call.now };
    if !bucket.uploads.lock().add(call.key(), id, number, part) {
        return Err(no_such_upload(id));
    }
    let reply = Reply::ok().header("etag", quoted);
    Ok(match call.dialect() {
        Dialect::Oss => reply.header("x-oss-hash-crc64ecma", received.crc.to_string()),
        Dialect::S3 => reply,
    })
}

/// CompleteMultipartUpload, of the parts named or of all (`x-oss-complete-all: yes`).
pub(super) async fn complete(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let id = call.request.query.value("uploadId").unwrap_or("").to_owned();
    let encoding = Encoding::of(call)?;
    let takes_all = call.dialect() == Dialect::Oss
        && call.request.header("x-oss-complete-all").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let text = call.document(body).await?;
    // S3 repeats its answer to a client that has lost it; OSS does not know the upload any more.
    if call.dialect() == Dialect::S3
        && let Some(before) = bucket.uploads.lock().completed(call.key(), &id).cloned()
    {
        return Ok(completed(call, &bucket, encoding, &before));
    }
    let upload = bucket.uploads.lock().find(call.key(), &id).cloned().ok_or_else(|| no_such_upload(&id))?;
    let parts = match (takes_all, text.trim().is_empty()) {
        (true, true) => upload.parts.values().cloned().collect(),
        (true, false) => return Err(invalid_argument("x-oss-complete-all and a list of parts exclude each other.")),
        (false, _) => chosen_parts(&text, &upload)?,
    };
    if parts.is_empty() {
        return Err(malformed_xml());
    }
    check_sizes(call, &parts)?;
    let object = assembled(call, &upload, &parts);
    let etag = object.quoted_etag(call.dialect());
    let crc = parts.iter().fold(0, |crc, part| combine_crc64(crc, part.crc, part.content.len()));
    let condition = condition(call, &bucket)?;
    let version = blocking(|| bucket.write(call.key(), object, &condition));
    let version = version.map_err(|error| write_failure(error, call.dialect()))?;
    let made = bucket.uploads.lock().complete(call.key(), &id, &etag, version.as_deref());
    let reply = completed(call, &bucket, encoding, &made);
    Ok(match call.dialect() {
        Dialect::Oss => reply.header("x-oss-hash-crc64ecma", crc.to_string()),
        Dialect::S3 => reply,
    })
}

/// The answer for an upload that has become an object.
fn completed(call: &Call<'_>, bucket: &Bucket, encoding: Encoding, made: &CompletedUpload) -> Reply {
    let location = format!("http://{}/{}", call.request.host, encode_path(call.key()));
    let document = document(call, "CompleteMultipartUploadResult", |w| {
        encoding.write(w);
        w.leaf("Location", &location);
        w.leaf("Bucket", &bucket.name);
        w.leaf("Key", encoding.text(call.key()));
        w.leaf("ETag", &made.etag);
    });
    Reply::xml(document).header_if(call.version_header(), call.written_version(made.version.clone()))
}

fn chosen_parts(text: &str, upload: &Upload) -> Result<Vec<Part>, Failure> {
    let root = parse(text).filter(|root| root.name == "CompleteMultipartUpload").ok_or_else(malformed_xml)?;
    let mut parts = Vec::new();
    let mut last = 0;
    for listed in root.all("Part") {
        let number = listed.text_of("PartNumber").and_then(|number| number.trim().parse::<u32>().ok());
        let number = number.ok_or_else(malformed_xml)?;
        let etag = listed.text_of("ETag").unwrap_or("").trim().trim_matches('"').to_owned();
        if number <= last {
            let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Failure::new(400, "InvalidPartOrder", message).ec("0042-00000014"));
        }
        last = number;
        let part = upload.parts.get(&number).filter(|part| part.etag.eq_ignore_ascii_case(&etag)).ok_or_else(|| {
            let message = "One or more of the specified parts could not be found or the specified entity tag might \
                           not have matched the part's entity tag.";
            Failure::new(400, "InvalidPart", message).ec("0042-00000010").element("PartNumber", number.to_string())
        })?;
        parts.push(part.clone());
    }
    Ok(parts)
}

/// Every part but the last has a least size, looked at only now.
fn check_sizes(call: &Call<'_>, parts: &[Part]) -> Result<(), Failure> {
    let of_dialect = match call.dialect() {
        Dialect::Oss => 100 << 10,
        Dialect::S3 => 5 << 20,
    };
    let least = call.service.options.smallest_part.map_or(of_dialect, |size| size.0);
    let small = parts[..parts.len() - 1].iter().find(|part| part.content.len() < least);
    small.map_or(Ok(()), |part| {
        let message = "Your proposed upload smaller than the minimum allowed size.";
        Err(Failure::new(400, "EntityTooSmall", message)
            .ec("0042-00000015")
            .element("MinSizeAllowed", least.to_string())
            .element("ProposedSize", part.content.len().to_string()))
    })
}

fn assembled(call: &Call<'_>, upload: &Upload, parts: &[Part]) -> Object {
    let mut tags = Md5::new();
    for part in parts {
        tags.update(hex::decode(&part.etag).unwrap_or_default());
    }
    let etag = format!("{}-{}", hex_upper(&tags.finalize()), parts.len());
    let crc = parts.iter().fold(0, |crc, part| combine_crc64(crc, part.crc, part.content.len()));
    let content = Content::chain(parts.iter().map(|part| part.content.clone()));
    Object::tagged(content, etag, Some(crc), call.now, upload.attributes.clone())
}

/// Answers AbortMultipartUpload by removing the upload.
pub(super) fn abort(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = call.request.query.value("uploadId").unwrap_or("");
    let removed = call.bucket()?.uploads.lock().remove(call.key(), id);
    removed.map(|_| Reply::no_content()).ok_or_else(|| no_such_upload(id))
}

/// Answers ListParts of an upload.
pub(super) fn list_parts(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let query = &call.request.query;
    let id = query.value("uploadId").unwrap_or("");
    let encoding = Encoding::of(call)?;
    let most = page_size(call, "max-parts", PAGE)?;
    let marker = query.filled("part-number-marker").map_or(Ok(0), str::parse::<u32>);
    let marker = marker.map_err(|_| invalid_argument("part-number-marker must be a number."))?;
    let upload = bucket.uploads.lock().find(call.key(), id).cloned().ok_or_else(|| no_such_upload(id))?;
    let mut rest = upload.parts.range(marker.saturating_add(1)..);
    let page: Vec<_> = rest.by_ref().take(most).collect();
    let is_truncated = most > 0 && rest.next().is_some();
    Ok(Reply::xml(document(call, "ListPartsResult", |w| {
        encoding.write(w);
        w.leaf("Bucket", &bucket.name);
        w.leaf("Key", encoding.text(call.key()));
        w.leaf("UploadId", id);
        w.leaf("StorageClass", upload.attributes.storage_class.name(call.dialect()));
        w.leaf("PartNumberMarker", marker);
        w.leaf("NextPartNumberMarker", page.last().map_or(marker, |(number, _)| **number));
        w.leaf("MaxParts", most);
        w.leaf("IsTruncated", is_truncated);
        for (number, part) in page {
            w.within("Part", |w| {
                w.leaf("PartNumber", number);
                w.leaf("LastModified", iso_date(part.modified));
                match call.dialect() {
                    Dialect::Oss => {
                        w.leaf("ETag", format!("\"{}\"", part.etag));
                        w.leaf("HashCrc64ecma", part.crc);
                    }
                    Dialect::S3 => w.leaf("ETag", format!("\"{}\"", part.etag.to_ascii_lowercase())),
                }
                w.leaf("Size", part.content.len());
            });
        }
    })))
}

/// Answers ListMultipartUploads of a bucket.
pub(super) fn list_uploads(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let encoding = Encoding::of(call)?;
    let query = &call.request.query;
    let (prefix, delimiter) = (limited(call, "prefix")?, limited(call, "delimiter")?);
    let most = page_size(call, "max-uploads", PAGE)?;
    let (key_marker, id_marker) = (limited(call, "key-marker")?, query.value("upload-id-marker").unwrap_or(""));
    let lines = upload_lines(&bucket.uploads.lock(), prefix, delimiter, (key_marker, id_marker));
    let page = &lines[..lines.len().min(most)];
    let is_truncated = most > 0 && lines.len() > most;
    Ok(Reply::xml(document(call, "ListMultipartUploadsResult", |w| {
        encoding.write(w);
        w.leaf("Bucket", &bucket.name);
        w.leaf("KeyMarker", encoding.text(key_marker));
        w.leaf("UploadIdMarker", id_marker);
        // Empty when there is no next page: `oss2` fails where they are absent.
        let next = page.last().filter(|_| is_truncated);
        w.leaf("NextKeyMarker", encoding.text(next.map_or("", |last| &last.key)));
        w.leaf("NextUploadIdMarker", next.and_then(|last| last.upload.as_ref()).map_or("", |(id, _)| id));
        w.leaf("Prefix", encoding.text(prefix));
        w.leaf("Delimiter", encoding.text(delimiter));
        w.leaf("MaxUploads", most);
        w.leaf("IsTruncated", is_truncated);
        for line in page {
            match &line.upload {
                None => w.within("CommonPrefixes", |w| w.leaf("Prefix", encoding.text(&line.key))),
                Some((id, initiated)) => w.within("Upload", |w| {
                    w.leaf("Key", encoding.text(&line.key));
                    w.leaf("UploadId", id);
                    w.leaf("Initiated", initiated);
                    w.within("Initiator", |w| w.leaf("ID", OWNER));
                }),
            }
        }
    })))
}

/// An upload, or the common prefix of several.
struct UploadLine {
    key: String,
    /// Its id and when it began.
    upload: Option<(String, String)>,
}

fn upload_lines(
    uploads: &crate::emulator::bucket::Uploads,
    prefix: &str,
    delimiter: &str,
    (key_marker, id_marker): (&str, &str),
) -> Vec<UploadLine> {
    let mut lines: Vec<UploadLine> = Vec::new();
    for (key, id, upload) in uploads.iter().filter(|(key, ..)| key.starts_with(prefix)) {
        let is_later = key > key_marker || (key == key_marker && !id_marker.is_empty() && id > id_marker);
        if !is_later {
            continue;
        }
        let rest = &key[prefix.len()..];
        match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => {
                let common = &key[..prefix.len() + at + delimiter.len()];
                let is_told = lines.last().is_some_and(|line| line.key == common) || key_marker.starts_with(common);
                if !is_told {
                    lines.push(UploadLine { key: common.to_owned(), upload: None });
                }
            }
            None => {
                let upload = Some((id.to_owned(), iso_date(upload.initiated)));
                lines.push(UploadLine { key: key.to_owned(), upload });
            }
        }
    }
    lines
}
