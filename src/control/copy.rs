//! The request to copy, and the two sides that it names.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Refusal, fields};

/// A copy to make. What is left out is as the options of the mount say.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Copy {
    /// What to copy: a path, or `oss://bucket/key`, which may end in `?versionId=V`.
    pub source: String,
    /// Where to: a path, or `oss://bucket/key`.
    pub destination: String,
    /// All below it, not one object.
    #[serde(default)]
    pub recursive: bool,
    /// Of a recursive copy, leave out what is there already and the same.
    #[serde(default)]
    pub skip_existing: bool,
    /// Bytes of a part.
    #[serde(default, deserialize_with = "fields::size")]
    pub part_size: Option<u64>,
    /// Parts under way at once.
    pub parallel: Option<usize>,
    /// Objects of more bytes are not copied in one plain request.
    #[serde(default, deserialize_with = "fields::size")]
    pub threshold: Option<u64>,
    /// Whether parts of a copy that fails stay.
    pub leave_parts_on_error: Option<bool>,
    /// Whether a shallow copy is tried.
    pub shallow_copy: Option<bool>,
    /// An upload in parts to go on with.
    pub upload_id: Option<String>,
    /// Where metadata comes from: `copy` or `replace`.
    pub metadata_directive: Option<String>,
    /// The user metadata of the new object.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The MIME type of the new object.
    pub content_type: Option<String>,
    /// The header of this name.
    pub cache_control: Option<String>,
    /// The header of this name.
    pub content_disposition: Option<String>,
    /// The header of this name.
    pub content_encoding: Option<String>,
    /// The header of this name.
    pub content_language: Option<String>,
    /// The header of this name.
    pub expires: Option<String>,
    /// Where tags come from: `copy` or `replace`.
    pub tagging_directive: Option<String>,
    /// Tags, as `name=value&name2=value2`, percent-encoded.
    pub tagging: Option<String>,
    /// Fail where there is an object already.
    #[serde(default)]
    pub forbid_overwrite: bool,
    /// The storage class of the copy.
    pub storage_class: Option<String>,
    /// The access rule of the copy.
    pub acl: Option<String>,
    /// The tag that the source must carry; of a path it is the one that the mount shows.
    pub if_match: Option<String>,
}

/// One side of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place<'a> {
    /// An object, or a prefix, of a bucket by its name.
    Url {
        /// The bucket of this side.
        bucket: &'a str,
        /// The raw key; empty for all of the bucket.
        key: &'a str,
        /// The version asked for.
        version: Option<&'a str>,
    },
    /// A path, under the mount or counted from its root.
    Path(&'a str),
}

impl<'a> Place<'a> {
    /// Tells URLs from paths. Fails for URLs that name no bucket, or another service.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Place::Path(text)) };
        if !["oss", "s3"].contains(&scheme) {
            return Err(Refusal::invalid(format!("copy: {text}: write a path, oss://bucket/key or s3://bucket/key")));
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || !bucket.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return Err(Refusal::invalid(format!("copy: {text} has no valid bucket name")));
        }
        let (key, version) = match key.rsplit_once("?versionId=") {
            Some((key, version)) if !version.is_empty() => (key, Some(version)),
            _ => (key, None),
        };
        Ok(Place::Url { bucket, key, version })
    }
}
