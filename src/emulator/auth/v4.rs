//! OSS signature version 4, in the header and in the URL.

use super::{Caller, Judge, LONGEST_LIFE_SECONDS, Payload, Scope, hmac_sha256, mismatch, sha256_hex};
use crate::base::Timestamp;
use crate::emulator::failure::{Failure, access_denied, invalid_argument};
use crate::emulator::options::Dialect;
use crate::emulator::request::{Request, value_text};
use crate::emulator::text::{encode, encode_path, hex, same_secret};
use crate::emulator::time::{compact_date, parse_compact_date, parse_http_date};

const ALGORITHM: &str = "OSS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// `Authorization: OSS4-HMAC-SHA256 Credential=…,AdditionalHeaders=…,Signature=…`, blanks allowed after commas.
pub(super) fn header(request: &Request, authorization: &str, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let malformed = |why: &str| invalid_argument(format!("The Authorization header {why}.")).ec("0002-00000207");
    let rest = authorization.strip_prefix(ALGORITHM).ok_or_else(|| malformed("names another algorithm"))?;
    let (mut credential, mut additional, mut signature) = (None, None, None);
    for part in rest.split(',').map(str::trim) {
        let (name, value) = part.split_once('=').ok_or_else(|| malformed("has a part without an equals sign"))?;
        match name {
            "Credential" => credential = Some(value),
            "AdditionalHeaders" if value.is_empty() => {
                return Err(malformed("has an empty AdditionalHeaders").ec("0002-00000209"));
            }
            "AdditionalHeaders" => additional = Some(value),
            "Signature" => signature = Some(value),
            _ => return Err(malformed("has a part of another name")),
        }
    }
    let credential = credential.ok_or_else(|| malformed("lacks Credential"))?;
    let signature = signature.ok_or_else(|| malformed("lacks Signature"))?;
    let signed = signing_time(request)?;
    if request.header("x-oss-content-sha256").as_deref() != Some(UNSIGNED) {
        let failure = invalid_argument("The header x-oss-content-sha256 must be UNSIGNED-PAYLOAD.");
        return Err(failure.ec("0002-00000214"));
    }
    let token = request.header("x-oss-security-token");
    judge.check_skew(signed)?;
    let claim =
        ClaimV4 { credential, additional: additional.unwrap_or(""), signature, signed, token: token.as_deref() };
    claim.verify(request, judge)
}

/// The parameters `x-oss-signature-version`, `-credential`, `-date`, `-expires`, `-signature` and what goes with them.
pub(super) fn query(request: &Request, judge: &Judge<'_>) -> Result<Caller, Failure> {
    let query = &request.query;
    let needed = |name: &'static str| {
        let value = query.filled(name);
        value.ok_or_else(|| invalid_argument(format!("The query lacks {name}.")).ec("0002-00000220"))
    };
    if needed("x-oss-signature-version")? != ALGORITHM {
        return Err(invalid_argument("x-oss-signature-version must be OSS4-HMAC-SHA256.").ec("0002-00000221"));
    }
    let bad_date = || invalid_argument("x-oss-date is not of the form 20240229T123456Z.").ec("0002-00000222");
    let signed = parse_compact_date(needed("x-oss-date")?).ok_or_else(bad_date)?;
    let life = needed("x-oss-expires")?.parse::<i64>().ok().filter(|life| (1..=LONGEST_LIFE_SECONDS).contains(life));
    let bad_life = || invalid_argument("x-oss-expires must be 1 to 604800 seconds.").ec("0002-00000224");
    let claim = ClaimV4 {
        credential: needed("x-oss-credential")?,
        additional: query.value("x-oss-additional-headers").unwrap_or(""),
        signature: needed("x-oss-signature")?,
        signed,
        token: query.filled("x-oss-security-token"),
    };
    judge.check_life(signed, life.ok_or_else(bad_life)?)?;
    claim.verify(request, judge)
}

fn signing_time(request: &Request) -> Result<Timestamp, Failure> {
    let signed = match request.header("x-oss-date") {
        Some(date) => parse_compact_date(&date).or_else(|| parse_http_date(&date)),
        None => request.header("date").and_then(|date| parse_http_date(&date)),
    };
    let why = "OSS authentication requires a valid Date.";
    signed.ok_or_else(|| access_denied(why).ec("0002-00000203"))
}

/// What a request says about its own signature.
struct ClaimV4<'a> {
    credential: &'a str,
    additional: &'a str,
    signature: &'a str,
    signed: Timestamp,
    token: Option<&'a str>,
}

impl ClaimV4<'_> {
    fn verify(&self, request: &Request, judge: &Judge<'_>) -> Result<Caller, Failure> {
        let malformed = || invalid_argument("The credential is not of the form id/date/region/oss/aliyun_v4_request.");
        let scope = Scope::parse(self.credential).ok_or_else(malformed)?;
        let known_product = matches!(scope.product, "oss" | "oss-cloudbox");
        if !known_product || scope.terminator != "aliyun_v4_request" {
            return Err(malformed().ec("0002-00000225"));
        }
        let date = compact_date(self.signed);
        if !date.starts_with(scope.date) || scope.date.len() != 8 {
            return Err(invalid_argument("The date of the credential is not that of the request.").ec("0002-00000212"));
        }
        if scope.region != judge.region {
            let message = format!("Invalid signing region, expected {}.", judge.region);
            return Err(invalid_argument(message).ec("0002-00000228").element("Region", judge.region));
        }
        let account = judge.account(Dialect::Oss, scope.id, self.token)?;
        let canonical = canonical_request(request, self.additional)?;
        let hash = sha256_hex(canonical.as_bytes());
        let string_to_sign = format!("{ALGORITHM}\n{date}\n{}\n{hash}", scope.text());
        let key = scope.signing_key("aliyun_v4", &account.access_key_secret);
        if same_secret(&hex(&hmac_sha256(&key, string_to_sign.as_bytes())), self.signature) {
            return Ok(Caller::Signed(Payload::Unsigned));
        }
        Err(mismatch(Dialect::Oss, scope.id, self.signature, &string_to_sign, Some(&canonical)))
    }
}

fn canonical_request(request: &Request, additional: &str) -> Result<String, Failure> {
    let mut extra: Vec<String> =
        additional.split(';').map(str::to_ascii_lowercase).filter(|name| !name.is_empty()).collect();
    extra.sort();
    let by_default = |name: &str| name.starts_with("x-oss-") || name == "content-type" || name == "content-md5";
    if let Some(absent) = extra.iter().find(|name| !request.headers.contains_key(name.as_str())) {
        return Err(invalid_argument(format!("The additional header {absent} is absent.")).ec("0002-00000211"));
    }
    let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
    names.retain(|name| by_default(name) || extra.iter().any(|extra| extra == name));
    names.sort_unstable();
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", joined(request, name))).collect();
    let uri = canonical_uri(request);
    let query = canonical_query(request);
    let extra = extra.join(";");
    Ok(format!("{}\n{uri}\n{query}\n{headers}\n{extra}\n{UNSIGNED}", request.method))
}

fn joined(request: &Request, name: &str) -> String {
    request.headers.get_all(name).iter().map(value_text).collect::<Vec<_>>().join(",")
}

/// Always with the bucket in front, however the request was addressed.
fn canonical_uri(request: &Request) -> String {
    match &request.bucket {
        Some(bucket) => format!("/{}/{}", encode(bucket), encode_path(request.key_text())),
        None => "/".to_owned(),
    }
}

fn canonical_query(request: &Request) -> String {
    let pairs = request.query.pairs.iter().filter(|(name, _)| name != "x-oss-signature");
    let mut encoded: Vec<_> =
        pairs.map(|(name, value)| (encode(name), encode(value.as_deref().unwrap_or("")))).collect();
    encoded.sort();
    let written = encoded.into_iter().map(|(name, value)| match value.is_empty() {
        true => name.into_owned(),
        false => format!("{name}={value}"),
    });
    written.collect::<Vec<_>>().join("&")
}
