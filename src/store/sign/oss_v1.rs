//! OSS V1 (HMAC-SHA1): the raw key, the `x-oss-` headers, and those parameters that name a sub-resource. It knows no
//! region, which is why it is still of use where none is known.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{Unsigned, header_lines, http_date, pair};
use crate::base::Timestamp;
use crate::store::Pair;
use crate::store::credentials::Credentials;

/// The parameters that are signed; all others (`prefix`, `list-type` …) are not.
const SUB_RESOURCES: &[&str] = &[
    "acl",
    "append",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "continuation-token",
    "delete",
    "location",
    "objectMeta",
    "partNumber",
    "position",
    "regionList",
    "resourceGroup",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "security-token",
    "sequential",
    "stat",
    "symlink",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
];

/// The headers to add to a request.
pub fn sign(request: &Unsigned<'_>, credentials: &Credentials, time: Timestamp) -> Vec<Pair> {
    let mut added = vec![pair("date", http_date(time))];
    added.extend(credentials.token().map(|token| pair("x-oss-security-token", token)));
    let headers = [request.headers, &added].concat();
    let text = string_to_sign(&Unsigned { headers: &headers, ..*request }, None);
    added.push(pair("authorization", format!("OSS {}:{}", credentials.access_key_id(), signature(credentials, &text))));
    added
}

/// The query parameters to add to a request, for a URL good until `expires`.
pub fn presign(request: &Unsigned<'_>, credentials: &Credentials, expires: Timestamp) -> Vec<Pair> {
    let mut added: Vec<Pair> = credentials.token().map(|token| pair("security-token", token)).into_iter().collect();
    let query = [request.query, &added].concat();
    let text = string_to_sign(&Unsigned { query: &query, ..*request }, Some(expires));
    added.push(pair("OSSAccessKeyId", credentials.access_key_id()));
    added.push(pair("Expires", expires.seconds.to_string()));
    added.push(pair("Signature", signature(credentials, &text)));
    added
}

/// The text that is signed. Its date line holds `expires` for presigned URLs, else `x-oss-date` or `date`.
pub fn string_to_sign(request: &Unsigned<'_>, expires: Option<Timestamp>) -> String {
    let header = |name: &str| request.headers.iter().find(|(present, _)| present == name).map(|(_, text)| text.trim());
    let date = match expires {
        Some(expires) => expires.seconds.to_string(),
        None => header("x-oss-date").or(header("date")).unwrap_or("").to_owned(),
    };
    format!(
        "{}\n{}\n{}\n{date}\n{}{}",
        request.method,
        header("content-md5").unwrap_or(""),
        header("content-type").unwrap_or(""),
        header_lines(request.headers, |name| name.starts_with("x-oss-")),
        resource(request),
    )
}

/// The resource that is signed: `/bucket/raw key?sub-resources`.
fn resource(request: &Unsigned<'_>) -> String {
    let mut text = match (request.bucket, request.key) {
        (None, _) => "/".to_owned(),
        (Some(bucket), key) => format!("/{bucket}/{}", key.unwrap_or("")),
    };
    let mut pairs: Vec<&Pair> =
        request.query.iter().filter(|(name, _)| SUB_RESOURCES.contains(&name.as_str())).collect();
    pairs.sort();
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

fn signature(credentials: &Credentials, text: &str) -> String {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha1>::new_from_slice(credentials.secret().as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}
