//! S3 SigV4 (`AWS4-HMAC-SHA256`). The canonical path is the one that is sent, encoded once; parameters without a value
//! keep their `=`; `Host` and every header that the request carries before signing are signed.

use super::{Payload, SigningKey, Unsigned, as_str, compact, day, header_lines, pair, sha256_hex, signature};
use crate::base::Timestamp;
use crate::store::Pair;
use crate::store::credentials::Credentials;
use crate::store::encode::{self, Valueless};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The signing key of a day (`YYYYMMDD`).
pub fn key(credentials: &Credentials, day: &str, region: &str) -> SigningKey {
    service_key(credentials, day, (region, "s3"))
}

fn service_key(credentials: &Credentials, day: &str, (region, service): (&str, &str)) -> SigningKey {
    super::day_key("AWS4", credentials, [day, region, service, "aws4_request"])
}

/// The headers to add to a request to another service than S3, of this region and name.
pub fn sign_for_service(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: Timestamp,
    (region, service): (&str, &str),
) -> Vec<Pair> {
    let key = service_key(credentials, &day(time), (region, service));
    signed(request, credentials, time, &service_scope(time, (region, service)), &key)
}

/// The headers to add to a request. `host` is not among them: it is sent anyway.
pub fn sign(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: Timestamp,
    region: &str,
    key: &SigningKey,
) -> Vec<Pair> {
    signed(request, credentials, time, &scope(time, region), key)
}

fn signed(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: Timestamp,
    scope: &str,
    key: &SigningKey,
) -> Vec<Pair> {
    let payload = payload_hash(request.payload);
    let mut added = vec![pair("x-amz-date", compact(time)), pair("x-amz-content-sha256", payload.clone())];
    added.extend(credentials.token().map(|token| pair("x-amz-security-token", token)));
    let headers = [request.headers, &added].concat();
    let canonical = canonical_request(&Unsigned { headers: &headers, ..*request }, &payload);
    added.push(pair(
        "authorization",
        format!(
            "{ALGORITHM} Credential={}/{scope},SignedHeaders={},Signature={}",
            credentials.access_key_id(),
            signed_headers(&headers),
            signature(&string_to_sign(&canonical, time, scope), key),
        ),
    ));
    added
}

/// The query parameters to add to a request, for a URL good for `expires_seconds` (1 to 604800).
pub fn presign(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: Timestamp,
    region: &str,
    expires_seconds: u32,
) -> Vec<Pair> {
    let scope = scope(time, region);
    let mut added = vec![
        pair("X-Amz-Algorithm", ALGORITHM),
        pair("X-Amz-Credential", format!("{}/{scope}", credentials.access_key_id())),
        pair("X-Amz-Date", compact(time)),
        pair("X-Amz-Expires", expires_seconds.to_string()),
        pair("X-Amz-SignedHeaders", signed_headers(request.headers)),
    ];
    added.extend(credentials.token().map(|token| pair("X-Amz-Security-Token", token)));
    let query = [request.query, &added].concat();
    let canonical = canonical_request(&Unsigned { query: &query, ..*request }, UNSIGNED_PAYLOAD);
    let key = key(credentials, &day(time), region);
    added.push(pair("X-Amz-Signature", signature(&string_to_sign(&canonical, time, &scope), &key)));
    added
}

/// The text that stands for a request, with all headers and parameters that signing adds already in place.
pub fn canonical_request(request: &Unsigned<'_>, payload_hash: &str) -> String {
    let query = encode::query(as_str(request.query), Valueless::WithEquals);
    let headers = [request.headers, &[pair("host", request.host)]].concat();
    format!(
        "{}\n{}\n{query}\n{}\n{}\n{payload_hash}",
        request.method,
        request.path,
        header_lines(&headers, |_| true),
        signed_headers(request.headers),
    )
}

/// The text that is signed.
pub fn string_to_sign(canonical_request: &str, time: Timestamp, scope: &str) -> String {
    super::string_to_sign(ALGORITHM, canonical_request, time, scope)
}

/// What a signature is bound to: day, region and service.
pub fn scope(time: Timestamp, region: &str) -> String {
    service_scope(time, (region, "s3"))
}

fn service_scope(time: Timestamp, (region, service): (&str, &str)) -> String {
    format!("{}/{region}/{service}/aws4_request", day(time))
}

fn payload_hash(payload: Payload<'_>) -> String {
    match payload {
        Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
        Payload::Bytes(bytes) => sha256_hex(bytes),
    }
}

fn signed_headers(headers: &[Pair]) -> String {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.push("host");
    names.sort();
    names.join(";")
}
