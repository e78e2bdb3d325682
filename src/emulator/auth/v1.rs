//! OSS signature version 1, in the header and in the URL.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{Caller, Judge, Payload, mismatch};
use crate::base::Timestamp;
use crate::emulator::failure::{Failure, access_denied, invalid_argument};
use crate::emulator::options::{Account, Dialect};
use crate::emulator::request::Request;
use crate::emulator::text::same_secret;
use crate::emulator::time::{parse_compact_date, parse_http_date};

/// The parameters that are signed: the union of what the official SDKs of both generations sign. Parameters whose
/// name begins with `x-oss-` are signed by some SDKs and not by others, so both readings are tried.
const SUB_RESOURCES: &[&str] = &[
    "acl",
    "append",
    "asyncFetch",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "cname",
    "comp",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "endTime",
    "img",
    "inventory",
    "inventoryId",
    "lifecycle",
    "live",
    "location",
    "logging",
    "metaQuery",
    "objectMeta",
    "partNumber",
    "policy",
    "position",
    "qos",
    "qosInfo",
    "referer",
    "regionList",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "resourceGroup",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "responseHeader",
    "restore",
    "rtc",
    "security-token",
    "sequential",
    "startTime",
    "stat",
    "status",
    "style",
    "styleName",
    "symlink",
    "tagging",
    "transferAcceleration",
    "udf",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "vod",
    "website",
    "withHashContext",
    "worm",
    "wormExtend",
    "wormId",
];

/// Reads the header `Authorization: OSS {id}:{signature}`.
pub(super) fn header(request: &Request, authorization: &str, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let claim = authorization.strip_prefix("OSS ").and_then(|rest| rest.trim().split_once(':'));
    let malformed = || invalid_argument("The Authorization header is not of the form OSS id:signature.");
    let (id, signature) = claim.ok_or_else(|| malformed().ec("0002-00000201"))?;
    let date = request.header("x-oss-date").or_else(|| request.header("date")).unwrap_or_default();
    let signed = parse_http_date(&date).or_else(|| parse_compact_date(&date));
    let undated = || access_denied("OSS authentication requires a valid Date.").ec("0002-00000203");
    let signed = signed.ok_or_else(undated)?;
    judge.check_skew(signed)?;
    // One official SDK sends the token in a header that it does not sign.
    let token = request.header("x-oss-security-token").or_else(|| request.header("security-token"));
    let account = judge.account(Dialect::Oss, id, token.as_deref())?;
    verify(request, account, signature, &date)
}

/// `OSSAccessKeyId`, `Expires` (Unix seconds), `Signature`, `security-token`.
pub(super) fn query(request: &Request, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let query = &request.query;
    let needed = |name: &'static str| query.filled(name).ok_or_else(|| access_denied("The URL is not fully signed."));
    let (id, expires, signature) = (needed("OSSAccessKeyId")?, needed("Expires")?, needed("Signature")?);
    let end = expires.parse().map(Timestamp::from_unix).map_err(|_| access_denied("Expires is not a number."))?;
    if end < judge.now {
        return Err(judge.expired(end));
    }
    let account = judge.account(Dialect::Oss, id, query.filled("security-token"))?;
    verify(request, account, signature, expires)
}

fn verify(request: &Request, account: &Account, signature: &str, date: &str) -> Result<Caller, Failure> {
    let listed = |name: &str| SUB_RESOURCES.contains(&name);
    let prefixed = |name: &str| listed(name) || name.starts_with("x-oss-");
    let readings = [string_to_sign(request, date, listed), string_to_sign(request, date, prefixed)];
    let right = |text: &String| same_secret(&sign(&account.access_key_secret, text), signature);
    if readings.iter().any(right) {
        return Ok(Caller::Signed(Payload::Unsigned));
    }
    Err(mismatch(Dialect::Oss, &account.access_key_id, signature, &readings[0], None))
}

fn sign(secret: &str, text: &str) -> String {
    // HMAC takes a key of any length, so this cannot fail.
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn string_to_sign(request: &Request, date: &str, is_signed: impl Fn(&str) -> bool) -> String {
    let plain = |name: &str| request.header(name).unwrap_or_default();
    let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
    names.retain(|name| name.starts_with("x-oss-"));
    names.sort_unstable();
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", plain(name))).collect();
    let resource = match &request.bucket {
        Some(bucket) => format!("/{bucket}/{}", request.key_text()),
        None => "/".to_owned(),
    };
    let mut pairs: Vec<_> = request.query.pairs.iter().filter(|(name, _)| is_signed(name)).collect();
    pairs.sort();
    let written = pairs.into_iter().map(|(name, value)| match value.as_deref() {
        None | Some("") => name.clone(),
        Some(value) => format!("{name}={value}"),
    });
    let written = written.collect::<Vec<_>>().join("&");
    let mark = if written.is_empty() { "" } else { "?" };
    let (md5, kind) = (plain("content-md5"), plain("content-type"));
    format!("{}\n{md5}\n{kind}\n{date}\n{headers}{resource}{mark}{written}", request.method)
}
