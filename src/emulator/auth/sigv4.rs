//! AWS signature version 4, in the header and in the URL.

use super::{Caller, ChunkSeed, Judge, LONGEST_LIFE_SECONDS, Payload, Scope, hmac_sha256, mismatch, sha256_hex};
use crate::base::Timestamp;
use crate::emulator::failure::{Failure, access_denied};
use crate::emulator::options::Dialect;
use crate::emulator::request::{Request, value_text};
use crate::emulator::text::{decode, encode, hex, same_secret};
use crate::emulator::time::{compact_date, parse_compact_date, parse_http_date};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// OSS takes signatures for this region as well as for its own.
const DEFAULT_REGION: &str = "us-east-1";

fn malformed(why: impl Into<String>) -> Failure {
    Failure::new(400, "AuthorizationHeaderMalformed", why)
}

/// `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
pub(super) fn header(request: &Request, authorization: &str, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let rest = authorization.strip_prefix(ALGORITHM).ok_or_else(|| malformed("The algorithm is not supported."))?;
    let part = |name: &str| {
        let found = rest.split(',').filter_map(|part| part.trim().split_once('=')).find(|(found, _)| *found == name);
        found.map(|(_, value)| value).ok_or_else(|| malformed(format!("The authorization header lacks {name}.")))
    };
    let date = request.header("x-amz-date").or_else(|| request.header("date")).unwrap_or_default();
    let signed = parse_compact_date(&date).or_else(|| parse_http_date(&date));
    let undated = || access_denied("AWS authentication requires a valid Date or x-amz-date header");
    let signed = signed.ok_or_else(undated)?;
    let payload = request.header("x-amz-content-sha256").ok_or_else(|| {
        Failure::new(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    })?;
    judge.check_skew(signed)?;
    let token = request.header("x-amz-security-token");
    let claim = Claim {
        credential: part("Credential")?,
        signed_headers: part("SignedHeaders")?,
        signature: part("Signature")?,
        signed,
        token: token.as_deref(),
        payload: &payload,
    };
    claim.verify(request, judge)
}

/// The parameters `X-Amz-Algorithm`, `-Credential`, `-Date`, `-Expires`, `-SignedHeaders`, `-Signature`.
pub(super) fn query(request: &Request, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let query = &request.query;
    let bad = |why: &str| Failure::new(400, "AuthorizationQueryParametersError", why);
    let needed = |name: &'static str| query.filled(name).ok_or_else(|| bad(&format!("The query lacks {name}.")));
    if needed("X-Amz-Algorithm")? != ALGORITHM {
        return Err(bad("X-Amz-Algorithm only supports AWS4-HMAC-SHA256"));
    }
    let signed = parse_compact_date(needed("X-Amz-Date")?).ok_or_else(|| bad("X-Amz-Date is malformed."))?;
    let life = needed("X-Amz-Expires")?.parse::<i64>().ok().filter(|life| (1..=LONGEST_LIFE_SECONDS).contains(life));
    let life = life.ok_or_else(|| bad("X-Amz-Expires must be 1 to 604800 seconds."))?;
    let payload = request.header("x-amz-content-sha256").unwrap_or_else(|| "UNSIGNED-PAYLOAD".to_owned());
    judge.check_life(signed, life)?;
    let claim = Claim {
        credential: needed("X-Amz-Credential")?,
        signed_headers: needed("X-Amz-SignedHeaders")?,
        signature: needed("X-Amz-Signature")?,
        signed,
        token: query.filled("X-Amz-Security-Token"),
        payload: &payload,
    };
    claim.verify(request, judge)
}

/// What a request says about its own signature.
struct Claim<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
    signed: Timestamp,
    token: Option<&'a str>,
    payload: &'a str,
}

impl Claim<'_> {
    fn verify(&self, request: &Request, judge: &Judge<'_>) -> Result<Caller, Failure> {
        let scope = Scope::parse(self.credential).filter(|s| s.product == "s3" && s.terminator == "aws4_request");
        let scope =
            scope.ok_or_else(|| malformed("The Credential is not of the form id/date/region/s3/aws4_request."))?;
        let date = compact_date(self.signed);
        if scope.date.len() != 8 || !date.starts_with(scope.date) {
            return Err(malformed("Invalid credential date, it is not that of the request."));
        }
        if scope.region != judge.region && scope.region != DEFAULT_REGION {
            let why = format!("The region '{}' is wrong; expecting '{}'", scope.region, judge.region);
            let failure = malformed(why).element("Region", judge.region);
            return Err(failure.header("x-amz-bucket-region", judge.region));
        }
        let account = judge.account(Dialect::S3, scope.id, self.token)?;
        let canonical = self.canonical_request(request)?;
        let hash = sha256_hex(canonical.as_bytes());
        let string_to_sign = format!("{ALGORITHM}\n{date}\n{}\n{hash}", scope.text());
        let key = scope.signing_key("AWS4", &account.access_key_secret);
        if !same_secret(&hex(&hmac_sha256(&key, string_to_sign.as_bytes())), self.signature) {
            return Err(mismatch(Dialect::S3, scope.id, self.signature, &string_to_sign, Some(&canonical)));
        }
        Ok(Caller::Signed(self.payload_kind(&date, &scope, key)?))
    }

    fn payload_kind(&self, date: &str, scope: &Scope<'_>, key: Vec<u8>) -> Result<Payload, Failure> {
        let seed = || ChunkSeed::new(key, date, &scope.text(), self.signature);
        match self.payload {
            "UNSIGNED-PAYLOAD" => Ok(Payload::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Payload::Chunked(None)),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Ok(Payload::Chunked(Some(seed())))
            }
            hash if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Ok(Payload::Hash(hash.to_ascii_lowercase()))
            }
            _ => Err(Failure::new(
                400,
                "InvalidArgument",
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a streaming kind, or a valid sha256 value.",
            )),
        }
    }

    fn canonical_request(&self, request: &Request) -> Result<String, Failure> {
        let mut names: Vec<&str> = self.signed_headers.split(';').collect();
        names.sort_unstable();
        let unsigned = |name: &&str| name.starts_with("x-amz-") && !names.contains(name);
        if !names.contains(&"host") || request.headers.keys().any(|name| unsigned(&name.as_str())) {
            return Err(access_denied("There were headers present in the request which were not signed"));
        }
        let headers: String = names.iter().map(|name| format!("{name}:{}\n", joined(request, name))).collect();
        let (path, query) = (canonical_path(request), canonical_query(request));
        let signed_headers = self.signed_headers;
        Ok(format!("{}\n{path}\n{query}\n{headers}\n{signed_headers}\n{}", request.method, self.payload))
    }
}

/// Values trimmed, and runs of blanks inside them made one.
fn joined(request: &Request, name: &str) -> String {
    if name == "host" {
        return request.host.clone();
    }
    let one = |value| value_text(value).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    request.headers.get_all(name).iter().map(one).collect::<Vec<_>>().join(",")
}

/// The path that was sent, however it was addressed, in the one encoding that signatures use.
fn canonical_path(request: &Request) -> String {
    let segments = request.raw_path.split('/').map(|segment| encode_bytes(&decode(segment)));
    segments.collect::<Vec<_>>().join("/")
}

fn encode_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => encode(text).into_owned(),
        Err(_) => bytes.iter().map(|byte| format!("%{byte:02X}")).collect(),
    }
}

/// Valueless parameters keep their equals sign here, unlike in the OSS dialect.
fn canonical_query(request: &Request) -> String {
    let pairs = request.query.pairs.iter().filter(|(name, _)| name != "X-Amz-Signature");
    let mut encoded: Vec<_> =
        pairs.map(|(name, value)| (encode(name), encode(value.as_deref().unwrap_or("")))).collect();
    encoded.sort();
    encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}
