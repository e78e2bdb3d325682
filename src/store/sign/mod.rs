//! Signatures: pure functions of a request, credentials and a time. Nothing here sends or reads a clock.
//!
//! Three schemes live in a file each: [`oss_v4`], [`oss_v1`] and [`sigv4`] (S3). Each turns an [`Unsigned`] request
//! into the headers, or for presigned URLs the query, that must be added to it. [`Signer`] picks the scheme and keeps
//! the signing key of the day.
//!
//! | file | what it owns |
//! |---|---|
//! | `oss_v1` | OSS V1 (HMAC-SHA1) |
//! | `oss_v4` | OSS V4 (`OSS4-HMAC-SHA256`) |
//! | `sigv4` | S3 SigV4 (`AWS4-HMAC-SHA256`) |

pub mod oss_v1;
pub mod oss_v4;
pub mod sigv4;

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Pair;
use super::credentials::Credentials;
use crate::base::Timestamp;

/// A request before signing, as the schemes see it.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// `GET`, `HEAD`, `PUT` …
    pub method: &'a str,
    /// The bucket; `None` for requests to the service itself.
    pub bucket: Option<&'a str>,
    /// The raw key; `None` for requests to the bucket.
    pub key: Option<&'a str>,
    /// The encoded path exactly as it is sent. S3 signs this one, OSS the bucket and the key.
    pub path: &'a str,
    /// The `Host` header as it is sent.
    pub host: &'a str,
    /// Decoded query parameters; an empty value means none.
    pub query: &'a [Pair],
    /// Headers with lower-case names. S3 signs them all, OSS those that it must.
    pub headers: &'a [Pair],
    /// Names of further headers to sign (OSS V4 only).
    pub additional_headers: &'a [&'a str],
    /// What the signature says of the body.
    pub payload: Payload<'a>,
}

/// What the signature says of the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload<'a> {
    /// Nothing: the connection protects it.
    Unsigned,
    /// The SHA-256 of these bytes. OSS knows only `Unsigned`, and ignores this.
    Bytes(&'a [u8]),
}

/// The scheme and what it is bound to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `OSS4-HMAC-SHA256`; the product is `oss` but for cloud boxes.
    OssV4 {
        /// The plain id of the region.
        region: String,
        /// The product: `oss`, or `oss-cloudbox`.
        product: String,
    },
    /// OSS signature version 1, by HMAC-SHA1.
    OssV1,
    /// AWS signature version 4, `AWS4-HMAC-SHA256`.
    SigV4 {
        /// The id of the region.
        region: String,
    },
}

/// Signs requests, keeping the key that a day's V4 signatures share.
pub struct Signer {
    scheme: Scheme,
    day_key: Mutex<Option<DayKey>>,
}

/// The last signing key and what it was made from.
struct DayKey {
    credentials: Arc<Credentials>,
    day: String,
    key: SigningKey,
}

/// The last key of a V4 chain: good for one day, region and service.
pub type SigningKey = Zeroizing<[u8; 32]>;

impl Signer {
    /// A signer for one scheme.
    pub fn new(scheme: Scheme) -> Self {
        Signer { scheme, day_key: Mutex::new(None) }
    }

    /// The headers to add to a request, `authorization` among them.
    pub fn sign(&self, request: &Unsigned<'_>, credentials: &Arc<Credentials>, time: Timestamp) -> Vec<Pair> {
        match &self.scheme {
            Scheme::OssV1 => oss_v1::sign(request, credentials, time),
            Scheme::OssV4 { region, product } => {
                let key = self.key_of_day(credentials, time, |day| oss_v4::key(credentials, day, region, product));
                oss_v4::sign(request, credentials, time, region, product, &key)
            }
            Scheme::SigV4 { region } => {
                let key = self.key_of_day(credentials, time, |day| sigv4::key(credentials, day, region));
                sigv4::sign(request, credentials, time, region, &key)
            }
        }
    }

    fn key_of_day(
        &self,
        credentials: &Arc<Credentials>,
        time: Timestamp,
        make: impl FnOnce(&str) -> SigningKey,
    ) -> SigningKey {
        let day = day(time);
        let mut held = self.day_key.lock();
        if let Some(held) = &*held
            && held.day == day
            && (Arc::ptr_eq(&held.credentials, credentials) || held.credentials == *credentials)
        {
            return held.key.clone();
        }
        let key = make(&day);
        *held = Some(DayKey { credentials: credentials.clone(), day, key: key.clone() });
        key
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Writes a time as in `20240229T123456Z`.
pub fn compact(time: Timestamp) -> String {
    moment(time).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Writes a day as in `20240229`.
pub fn day(time: Timestamp) -> String {
    moment(time).strftime("%Y%m%d").to_string()
}

/// `Thu, 29 Feb 2024 12:34:56 GMT`.
pub fn http_date(time: Timestamp) -> String {
    moment(time).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Times beyond the years that signatures can say become the epoch, which every server refuses.
fn moment(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn hmac_sha256(key: &[u8], text: &str) -> SigningKey {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The signing key of a day: the secret with the dialect's word before it, taken through day, region, service and end
/// word. OSS took the scheme over from S3; only the words differ.
fn day_key(word: &str, credentials: &Credentials, steps: [&str; 4]) -> SigningKey {
    let secret = Zeroizing::new(format!("{word}{}", credentials.secret()));
    let [first, rest @ ..] = steps;
    rest.iter().fold(hmac_sha256(secret.as_bytes(), first), |key, step| hmac_sha256(&*key, step))
}

fn string_to_sign(algorithm: &str, canonical_request: &str, time: Timestamp, scope: &str) -> String {
    format!("{algorithm}\n{}\n{scope}\n{}", compact(time), sha256_hex(canonical_request.as_bytes()))
}

fn signature(string_to_sign: &str, key: &SigningKey) -> String {
    hex::encode(*hmac_sha256(&**key, string_to_sign))
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn pair(name: &str, value: impl Into<String>) -> Pair {
    (name.to_owned(), value.into())
}

/// Sorted `name:value` lines of the headers that `wanted` accepts.
fn header_lines(headers: &[Pair], wanted: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<(&str, &str)> =
        headers.iter().filter(|(name, _)| wanted(name)).map(|(name, text)| (name.as_str(), text.trim())).collect();
    lines.sort();
    lines.iter().map(|(name, text)| format!("{name}:{text}\n")).collect()
}

fn as_str(pairs: &[Pair]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests;
