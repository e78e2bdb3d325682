//! The tags of objects.

use super::list::document;
use super::write::check_tags;
use super::{Call, FoundVersion};
use crate::emulator::failure::{Failure, malformed_xml};
use crate::emulator::object::Object;
use crate::emulator::options::PutOptions;
use crate::emulator::receive::RequestBody;
use crate::emulator::reply::Reply;
use crate::emulator::xml::parse;

/// Answers GetObjectTagging of an object.
pub(super) fn tags(call: &Call<'_>) -> Result<Reply, Failure> {
    let FoundVersion { object, version } = call.find(&*call.bucket()?)?;
    let document = document(call, "Tagging", |w| {
        w.within("TagSet", |w| {
            for (name, value) in &object.attributes.tags {
                w.within("Tag", |w| {
                    w.leaf("Key", name);
                    w.leaf("Value", value);
                });
            }
        });
    });
    Ok(Reply::xml(document).header_if(call.version_header(), version))
}

/// PutObjectTagging. It changes no time stamp.
pub(super) async fn put_tags(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let text = call.document(body).await?;
    let root = parse(&text).filter(|root| root.name == "Tagging").ok_or_else(malformed_xml)?;
    let set = root.child("TagSet").ok_or_else(malformed_xml)?;
    let mut tags = Vec::new();
    for tag in set.all("Tag") {
        let name = tag.text_of("Key").ok_or_else(malformed_xml)?;
        tags.push((name.to_owned(), tag.text_of("Value").unwrap_or("").to_owned()));
    }
    check_tags(&tags)?;
    Ok(Reply::ok().header_if(call.version_header(), replace(call, tags)?))
}

/// Answers DeleteObjectTagging of an object.
pub(super) fn delete_tags(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(Reply::no_content().header_if(call.version_header(), replace(call, Vec::new())?))
}

fn replace(call: &Call<'_>, tags: Vec<(String, String)>) -> Result<Option<String>, Failure> {
    let bucket = call.bucket()?;
    let FoundVersion { object, version } = call.find(&bucket)?;
    let attributes = PutOptions { tags, ..object.attributes.clone() };
    bucket.amend(call.key(), version.as_deref(), Object { attributes, ..(*object).clone() });
    Ok(version)
}
