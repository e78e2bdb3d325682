//! The caller of a request: finds the signature of a request, in any of six places, and verifies it.
//!
//! The string to sign is built here anew from what arrived, never with code shared with the client side.
//!
//! | file | what it owns |
//! |---|---|
//! | `chunked` | the framing that S3 clients put around streamed bodies (`aws-chunked`), with its chain of signatures |
//! | `sigv4` | AWS signature version 4, in the header and in the URL |
//! | `v1` | OSS signature version 1, in the header and in the URL |
//! | `v4` | OSS signature version 4, in the header and in the URL |

mod chunked;
mod sigv4;
mod v1;
mod v4;

pub(super) use chunked::{ChunkSeed, Decoder};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::failure::{Failure, access_denied, invalid_argument};
use super::options::{Account, Dialect};
use super::request::Request;
use super::text::{hex, same_secret};
use super::time::{http_date, iso_date};
use crate::base::Timestamp;

/// Requests may be signed this many seconds before or after the server's time.
const MOST_SKEW_SECONDS: i64 = 15 * 60;
/// The longest life of a V4 presigned URL, in seconds.
const LONGEST_LIFE_SECONDS: i64 = 7 * 86_400;

/// What signatures are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) accounts: &'a [Account],
    pub(super) region: &'a str,
    pub(super) now: Timestamp,
}

/// Who sent a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    /// The request is not signed.
    Anonymous,
    /// Its signature is right; the body still has to agree with what was signed.
    Signed(Payload),
}

/// What a signature says about the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Payload {
    /// It says nothing about the body.
    Unsigned,
    /// Its SHA-256 in lower-case hexadecimal.
    Hash(String),
    /// It comes in chunks of its own framing, each signed when there is a seed.
    Chunked(Option<ChunkSeed>),
}

/// Judges the signature of a request.
pub(super) fn authenticate(request: &Request, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let query = &request.query;
    let authorization = request.header("authorization");
    let in_query = query.has("Signature") || query.has("x-oss-signature") || query.has("X-Amz-Signature");
    if in_query && authorization.is_some() {
        return Err(invalid_argument("Only one way of signing is allowed: in the URL or in the Authorization header."));
    }
    match authorization {
        Some(value) if value.starts_with("OSS4-") => v4::header(request, &value, judge),
        Some(value) if value.starts_with("OSS ") => v1::header(request, &value, judge),
        Some(value) if value.starts_with("AWS4-") => sigv4::header(request, &value, judge),
        Some(_) => Err(invalid_argument("The Authorization header names no known way of signing.")),
        None if query.has("x-oss-signature-version") => v4::query(request, judge),
        None if query.has("X-Amz-Algorithm") => sigv4::query(request, judge),
        None if ["OSSAccessKeyId", "Expires", "Signature"].iter().any(|name| query.has(name)) => {
            v1::query(request, judge)
        }
        None => Ok(Caller::Anonymous),
    }
}

impl Judge<'_> {
    /// The account of a key id and token, not past its end.
    fn account(&self, dialect: Dialect, id: &str, token: Option<&str>) -> Result<&Account, Failure> {
        let mut owned = self.accounts.iter().filter(|account| account.access_key_id == id).peekable();
        if owned.peek().is_none() {
            return Err(unknown_key(dialect, id));
        }
        let same_token = |account: &&Account| match (&account.security_token, token) {
            (None, None) => true,
            (Some(kept), Some(given)) => same_secret(kept, given),
            _ => false,
        };
        let Some(account) = owned.clone().find(same_token) else {
            let is_others = token.is_some() && self.accounts.iter().any(|account| same_token(&account));
            return Err(match token {
                None => unknown_key(dialect, id),
                Some(_) => wrong_token(dialect, is_others),
            });
        };
        match account.expires {
            Some(end) if end <= self.now => Err(expired_token(dialect)),
            _ => Ok(account),
        }
    }

    fn check_skew(&self, signed: Timestamp) -> Result<(), Failure> {
        if (signed.seconds - self.now.seconds).abs() <= MOST_SKEW_SECONDS {
            return Ok(());
        }
        Err(self.too_skewed(signed))
    }

    fn too_skewed(&self, signed: Timestamp) -> Failure {
        let message = "The difference between the request time and the current time is too large.";
        Failure::new(403, "RequestTimeTooSkewed", message)
            .ec("0002-00000504")
            .element("MaxAllowedSkewMilliseconds", (MOST_SKEW_SECONDS * 1000).to_string())
            .element("RequestTime", iso_date(signed))
            .element("ServerTime", iso_date(self.now))
    }

    /// Judges the times of a URL that lives for some seconds from its signing.
    fn check_life(&self, signed: Timestamp, life_seconds: i64) -> Result<(), Failure> {
        if signed.seconds - self.now.seconds > MOST_SKEW_SECONDS {
            return Err(self.too_skewed(signed));
        }
        let end = signed.plus_seconds(life_seconds);
        if end < self.now { Err(self.expired(end)) } else { Ok(()) }
    }

    fn expired(&self, end: Timestamp) -> Failure {
        access_denied("Request has expired.")
            .ec("0002-00000069")
            .element("Expires", http_date(end))
            .element("ServerTime", http_date(self.now))
    }
}

/// The parts of `{id}/{date}/{region}/{product}/{terminator}`. The id may hold slashes of its own.
struct Scope<'a> {
    id: &'a str,
    date: &'a str,
    region: &'a str,
    product: &'a str,
    terminator: &'a str,
}

impl<'a> Scope<'a> {
    fn parse(credential: &'a str) -> Option<Self> {
        let mut parts = credential.rsplitn(5, '/');
        let (terminator, product, region, date) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Scope { id: parts.next()?, date, region, product, terminator })
    }

    fn text(&self) -> String {
        format!("{}/{}/{}/{}", self.date, self.region, self.product, self.terminator)
    }

    /// The last key of the chain; `prefix` goes before the secret.
    fn signing_key(&self, prefix: &str, secret: &str) -> Vec<u8> {
        let first = hmac_sha256(format!("{prefix}{secret}").as_bytes(), self.date.as_bytes());
        let second = hmac_sha256(&first, self.region.as_bytes());
        let third = hmac_sha256(&second, self.product.as_bytes());
        hmac_sha256(&third, self.terminator.as_bytes())
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length, so this cannot fail.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A signature that does not follow from what arrived, with all that its sender needs to see why.
fn mismatch(dialect: Dialect, id: &str, given: &str, string_to_sign: &str, canonical: Option<&str>) -> Failure {
    let message = "The request signature we calculated does not match the signature you provided. \
                   Check your key and signing method.";
    let id_element = match dialect {
        Dialect::Oss => "OSSAccessKeyId",
        Dialect::S3 => "AWSAccessKeyId",
    };
    let failure = Failure::new(403, "SignatureDoesNotMatch", message)
        .ec("0002-00000040")
        .element(id_element, id)
        .element("SignatureProvided", given)
        .element("StringToSign", string_to_sign)
        .element("StringToSignBytes", spaced_hex(string_to_sign));
    match canonical {
        Some(canonical) => {
            failure.element("CanonicalRequest", canonical).element("CanonicalRequestBytes", spaced_hex(canonical))
        }
        None => failure,
    }
}

fn spaced_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn unknown_key(dialect: Dialect, id: &str) -> Failure {
    let element = match dialect {
        Dialect::Oss => "OSSAccessKeyId",
        Dialect::S3 => "AWSAccessKeyId",
    };
    Failure::new(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
        .ec("0002-00000902")
        .element(element, id)
}

fn wrong_token(dialect: Dialect, is_others: bool) -> Failure {
    match (dialect, is_others) {
        (Dialect::S3, _) => Failure::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid."),
        (Dialect::Oss, true) => Failure::new(
            403,
            "AccessKeyIdAndSecurityTokenNotMatch",
            "The security token belongs to another access key id.",
        ),
        (Dialect::Oss, false) => {
            Failure::new(403, "InvalidSecurityToken", "The security token you provided is invalid.").ec("0002-00000903")
        }
    }
}

fn expired_token(dialect: Dialect) -> Failure {
    match dialect {
        Dialect::Oss => Failure::new(403, "SecurityTokenExpired", "The security token you provided has expired.")
            .ec("0002-00000905"),
        Dialect::S3 => Failure::new(400, "ExpiredToken", "The provided token has expired."),
    }
}

#[cfg(test)]
mod tests;
