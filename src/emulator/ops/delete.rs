//! Deleting: one key or version, or up to a thousand at once.

use super::list::Encoding;
use super::{Call, file_failure};
use crate::emulator::bucket::{Bucket, Deleted};
use crate::emulator::failure::{Failure, invalid_argument, malformed_xml};
use crate::emulator::options::Dialect;
use crate::emulator::receive::RequestBody;
use crate::emulator::reply::Reply;
use crate::emulator::xml::{Writer, parse};

/// Keys of one request.
const MOST_KEYS: usize = 1000;

fn delete(call: &Call<'_>, bucket: &Bucket, key: &str, version: Option<&str>) -> Result<Deleted, Failure> {
    let deleted = match version {
        Some(id) => bucket.delete_version(key, id, call.now),
        None => bucket.delete(key, call.now),
    };
    deleted.map_err(|error| file_failure(&error))
}

/// DeleteObject: 204 whether there was anything or not.
pub(super) fn delete_object(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let deleted = delete(call, &bucket, call.key(), call.request.query.filled("versionId"))?;
    let marker = deleted.is_marker.then_some("true");
    let reply = Reply::no_content().header_if(&call.request.vendor_name("delete-marker"), marker);
    Ok(reply.header_if(call.version_header(), deleted.version))
}

/// Answers DeleteMultipleObjects, of up to a thousand keys.
pub(super) async fn delete_objects(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let headers = &call.request.headers;
    let is_summed = headers.contains_key("content-md5")
        || headers.keys().any(|name| name.as_str().starts_with("x-amz-checksum-"))
        || headers.contains_key("x-amz-trailer");
    if !is_summed {
        return Err(invalid_argument("Missing required header for this request: Content-MD5"));
    }
    let text = call.document(body).await?;
    let root = parse(&text).filter(|root| root.name == "Delete").ok_or_else(malformed_xml)?;
    let quiet = root.text_of("Quiet").is_some_and(|quiet| quiet.trim().eq_ignore_ascii_case("true"));
    let objects: Vec<_> = root.all("Object").collect();
    if objects.is_empty() || objects.len() > MOST_KEYS {
        return Err(malformed_xml());
    }
    let encoding = Encoding::of(call)?;
    let mut outcomes = Vec::new();
    for object in objects {
        let key = object.text_of("Key").filter(|key| !key.is_empty()).ok_or_else(malformed_xml)?;
        let version = object.text_of("VersionId").filter(|id| !id.is_empty());
        outcomes.push((key, version, delete(call, &bucket, key, version)));
    }
    let root_name = "DeleteResult";
    let document = super::list::document(call, root_name, |w| {
        if call.dialect() == Dialect::Oss {
            encoding.write(w);
        }
        for (key, version, outcome) in &outcomes {
            match outcome {
                Ok(deleted) if !quiet => report(w, &encoding.text(key), *version, deleted),
                Ok(_) => {}
                Err(failure) => w.within("Error", |w| {
                    w.leaf("Key", encoding.text(key));
                    w.leaf("Code", failure.code);
                    w.leaf("Message", &failure.message);
                }),
            }
        }
    });
    // OSS answers a quiet deletion with nothing at all.
    if quiet && call.dialect() == Dialect::Oss {
        return Ok(Reply::ok());
    }
    Ok(Reply::xml(document))
}

fn report(w: &mut Writer, key: &str, asked: Option<&str>, deleted: &Deleted) {
    w.within("Deleted", |w| {
        w.leaf("Key", key);
        if let Some(version) = asked {
            w.leaf("VersionId", version);
        }
        if deleted.is_marker {
            w.leaf("DeleteMarker", true);
            w.leaf("DeleteMarkerVersionId", deleted.version.as_deref().unwrap_or(""));
        }
    });
}
