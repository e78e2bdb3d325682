//! OSS V4 (`OSS4-HMAC-SHA256`). The canonical path is always `/bucket/key`, parameters without a value have no `=`,
//! the payload is never hashed, and neither `Host` nor `Range` is signed unless asked for.

use super::{SigningKey, Unsigned, as_str, compact, day, header_lines, http_date, pair, signature};
use crate::base::Timestamp;
use crate::store::Pair;
use crate::store::credentials::Credentials;
use crate::store::encode::{self, Valueless};

const ALGORITHM: &str = "OSS4-HMAC-SHA256";
const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The signing key of a day (`YYYYMMDD`).
pub fn key(credentials: &Credentials, day: &str, region: &str, product: &str) -> SigningKey {
    super::day_key("aliyun_v4", credentials, [day, region, product, "aliyun_v4_request"])
}

/// The headers to add to a request.
pub fn sign(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: Timestamp,
    region: &str,
    product: &str,
    key: &SigningKey,
) -> Vec<Pair> {
    let mut added =
        vec![pair("x-oss-date", compact(time)), pair("date", http_date(time)), pair("x-oss-content-sha256", PAYLOAD)];
    added.extend(credentials.token().map(|token| pair("x-oss-security-token", token)));
    let headers = [request.headers, &added].concat();
    let signed = Unsigned { headers: &headers, ..*request };

    let scope = scope(time, region, product);
    let signature = signature(&string_to_sign(&canonical_request(&signed), time, &scope), key);
    let mut authorization = format!("{ALGORITHM} Credential={}/{scope},", credentials.access_key_id());
    let additional = additional(&signed);
    if !additional.is_empty() {
        authorization.push_str(&format!("AdditionalHeaders={},", additional.join(";")));
    }
    authorization.push_str(&format!("Signature={signature}"));
    added.push(pair("authorization", authorization));
    added
}

/// The query parameters to add to a request, for a URL good for `expires_seconds` (1 to 604800).
pub fn presign(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: Timestamp,
    region: &str,
    product: &str,
    expires_seconds: u32,
) -> Vec<Pair> {
    let scope = scope(time, region, product);
    let mut added = vec![
        pair("x-oss-signature-version", ALGORITHM),
        pair("x-oss-date", compact(time)),
        pair("x-oss-expires", expires_seconds.to_string()),
        pair("x-oss-credential", format!("{}/{scope}", credentials.access_key_id())),
    ];
    added.extend(credentials.token().map(|token| pair("x-oss-security-token", token)));
    let additional = additional(request);
    if !additional.is_empty() {
        added.push(pair("x-oss-additional-headers", additional.join(";")));
    }
    let query = [request.query, &added].concat();
    let canonical = canonical_request(&Unsigned { query: &query, ..*request });
    let key = key(credentials, &day(time), region, product);
    added.push(pair("x-oss-signature", signature(&string_to_sign(&canonical, time, &scope), &key)));
    added
}

/// The text that stands for a request, with all headers and parameters that signing adds already in place.
pub fn canonical_request(request: &Unsigned<'_>) -> String {
    let path = match (request.bucket, request.key) {
        (None, _) => "/".to_owned(),
        (Some(bucket), key) => format!("/{bucket}/{}", encode::path(key.unwrap_or(""))),
    };
    let query = encode::query(as_str(request.query), Valueless::Bare);
    let additional = additional(request);
    let headers = header_lines(request.headers, |name| always_signed(name) || additional.iter().any(|a| a == name));
    format!("{}\n{path}\n{query}\n{headers}\n{}\n{PAYLOAD}", request.method, additional.join(";"))
}

/// The text that is signed.
pub fn string_to_sign(canonical_request: &str, time: Timestamp, scope: &str) -> String {
    super::string_to_sign(ALGORITHM, canonical_request, time, scope)
}

/// What a signature is bound to: day, region and product.
pub fn scope(time: Timestamp, region: &str, product: &str) -> String {
    format!("{}/{region}/{product}/aliyun_v4_request", day(time))
}

fn always_signed(name: &str) -> bool {
    name.starts_with("x-oss-") || name == "content-type" || name == "content-md5"
}

/// The additional headers that are present and not signed anyway, sorted.
fn additional(request: &Unsigned<'_>) -> Vec<String> {
    let mut names: Vec<String> = request
        .additional_headers
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .filter(|name| !always_signed(name) && request.headers.iter().any(|(present, _)| present == name))
        .collect();
    names.sort();
    names.dedup();
    names
}
