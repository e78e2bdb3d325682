//! The published and generated signature vectors, and every way of being refused.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::*;
use crate::emulator::text::{encode, encode_path};
use crate::emulator::time::{parse_compact_date, parse_http_date};

fn vectors() -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/signing-vectors.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    document["vectors"].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or("")
}

fn headers(vector: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut insert = |name: &str, value: &str| {
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    };
    for group in ["headers_added_by_signer", "request_headers"] {
        for (name, value) in vector[group].as_object().into_iter().flatten() {
            insert(name, value.as_str().unwrap());
        }
    }
    if vector["mode"] == "header" {
        insert("authorization", text(vector, "authorization"));
        if vector["signature_version"] == "v1" {
            insert("date", text(vector, "date_header"));
        }
    }
    if vector["signature_version"] == "s3-v4" {
        insert("host", text(vector, "host"));
        insert("x-amz-date", text(vector, "signing_time"));
        insert("x-amz-content-sha256", text(vector, "payload_hash"));
    }
    let name =
        text(vector, "signature_version").replace("s3-v4", "x-amz").replace("v4", "x-oss").replace("v1", "x-oss");
    if let (Some(token), "header") = (vector["security_token"].as_str(), text(vector, "mode")) {
        insert(&format!("{name}-security-token"), token);
    }
    headers
}

fn target(vector: &Value) -> String {
    let url = if vector["mode"] == "query" { text(vector, "signed_url") } else { text(vector, "request_url") };
    if let Some((_, rest)) = url.split_once("://") {
        return rest[rest.find('/').unwrap()..].to_owned();
    }
    let pairs = vector["query_params"].as_array().unwrap().iter().map(|pair| {
        let value = pair[1].as_str().unwrap_or("");
        format!("{}={}", encode(pair[0].as_str().unwrap()), encode(value))
    });
    format!("{}?{}", encode_path(text(vector, "path_unencoded")), pairs.collect::<Vec<_>>().join("&"))
}

fn request(vector: &Value) -> Request {
    let mut headers = headers(vector);
    if vector["signature_version"] != "s3-v4" {
        let host = match (vector["bucket"].as_str(), text(vector, "addressing")) {
            (Some(bucket), "virtual" | "") => format!("{bucket}.oss-cn-hangzhou.aliyuncs.com"),
            (Some(_), _) => "127.0.0.1".to_owned(),
            (None, _) => "oss-cn-hangzhou.aliyuncs.com".to_owned(),
        };
        if !headers.contains_key("host") {
            headers.insert("host", host.parse().unwrap());
        }
    }
    let method = Method::from_bytes(text(vector, "method").as_bytes()).unwrap();
    let target = target(vector).parse().unwrap();
    Request::parse(method, &target, headers, Dialect::Oss, |_| false).unwrap()
}

fn account(vector: &Value) -> Account {
    let account = Account::new(text(vector, "access_key_id"), text(vector, "access_key_secret"));
    let in_headers = &vector["request_headers"]["x-oss-security-token"];
    match vector["security_token"].as_str().or(in_headers.as_str()) {
        Some(token) => account.with_token(token),
        None => account,
    }
}

fn judge_at(vector: &Value, request: &Request, account: Account, later: i64) -> Result<Caller, Failure> {
    let signed = request.header("x-oss-date").and_then(|date| parse_http_date(&date));
    let now = signed.or_else(|| parse_compact_date(text(vector, "signing_time"))).unwrap().plus_seconds(later);
    let region = vector["region"].as_str().unwrap_or("cn-hangzhou");
    authenticate(request, &Judge { accounts: &[account], region, now })
}

#[test]
fn every_vector_verifies() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 35);
    for vector in &vectors {
        let outcome = judge_at(vector, &request(vector), account(vector), 10);
        assert!(matches!(outcome, Ok(Caller::Signed(_))), "{}: {outcome:#?}", vector["name"]);
    }
}

#[test]
fn every_vector_fails_with_another_secret_or_another_key_of_the_bucket() {
    for vector in &vectors() {
        let wrong = Account { access_key_secret: "another".to_owned(), ..account(vector) };
        let failure = judge_at(vector, &request(vector), wrong, 0).unwrap_err();
        assert_eq!(failure.code, "SignatureDoesNotMatch", "{}", vector["name"]);
        let shown = failure.elements.iter().find(|(name, _)| *name == "StringToSign").unwrap();
        let expected = text(vector, "string_to_sign");
        assert!(expected.is_empty() || shown.1 == expected, "{}: {}", vector["name"], shown.1);

        let mut moved = request(vector);
        moved.bucket = Some("examplebucket".to_owned());
        moved.key = Some("another".to_owned());
        moved.raw_path = "/another".to_owned();
        let failure = judge_at(vector, &moved, account(vector), 0).unwrap_err();
        assert_eq!(failure.code, "SignatureDoesNotMatch", "{}", vector["name"]);
    }
}

#[test]
fn signatures_grow_old() {
    for vector in &vectors() {
        let failure = judge_at(vector, &request(vector), account(vector), 8 * 86_400).unwrap_err();
        let expected = if vector["mode"] == "query" { "AccessDenied" } else { "RequestTimeTooSkewed" };
        assert_eq!(failure.code, expected, "{}", vector["name"]);
        if vector["mode"] == "header" {
            let failure = judge_at(vector, &request(vector), account(vector), -901).unwrap_err();
            assert_eq!(failure.code, "RequestTimeTooSkewed", "{}", vector["name"]);
        }
    }
}

fn vector(name: &str) -> Value {
    vectors().into_iter().find(|vector| vector["name"] == name).unwrap()
}

#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut Request), accounts: &[Account], region: &str, code: &str) {
    let vector = vector(name);
    let mut request = request(&vector);
    change(&mut request);
    let now = parse_compact_date(text(&vector, "signing_time")).unwrap();
    let failure = authenticate(&request, &Judge { accounts, region, now }).unwrap_err();
    assert_eq!(failure.code, code, "{name}: {failure:?}");
}

#[test]
fn each_way_of_being_wrong_has_its_answer() {
    let (plain, token) = ("v4-get-range-plain", "v4-sts-token-header");
    let mine = account(&vector(plain));
    let temporary = account(&vector(token));
    let region = "cn-hangzhou";
    let other = Account::new("Other", "secret");
    refused(plain, |_| (), std::slice::from_ref(&other), region, "InvalidAccessKeyId");
    refused(plain, |_| (), std::slice::from_ref(&temporary), region, "InvalidAccessKeyId");
    refused(plain, |_| (), std::slice::from_ref(&mine), "cn-beijing", "InvalidArgument");
    refused(token, |_| (), std::slice::from_ref(&mine), region, "InvalidSecurityToken");
    let others = [mine.clone(), other.with_token("CAISexample/Token+With=Specials==")];
    refused(token, |_| (), &others, region, "AccessKeyIdAndSecurityTokenNotMatch");
    let ended = Account { expires: Some(Timestamp::from_unix(1_709_210_096)), ..temporary };
    refused(token, |_| (), &[ended], region, "SecurityTokenExpired");

    let set = |name: &'static str, value: &'static str| {
        move |request: &mut Request| {
            request.headers.insert(name, HeaderValue::from_static(value));
        }
    };
    let mine = [mine];
    refused(plain, set("authorization", "Basic abc"), &mine, region, "InvalidArgument");
    refused(plain, set("authorization", "OSS4-HMAC-SHA256 Credential=x"), &mine, region, "InvalidArgument");
    refused(plain, set("authorization", "OSS nocolon"), &mine, region, "InvalidArgument");
    refused(plain, set("x-oss-content-sha256", "abc"), &mine, region, "InvalidArgument");
    refused(plain, set("x-oss-date", "soon"), &mine, region, "AccessDenied");
    refused(plain, set("x-oss-meta-unsigned", "1"), &mine, region, "SignatureDoesNotMatch");
    let presigned = "v4-presign-get";
    refused(presigned, set("authorization", "OSS a:b"), &mine, region, "InvalidArgument");
    refused(presigned, set("x-oss-meta-unsigned", "1"), &mine, region, "SignatureDoesNotMatch");
    let lives = |life: &'static str| {
        move |request: &mut Request| {
            let pair = request.query.pairs.iter_mut().find(|(name, _)| name == "x-oss-expires").unwrap();
            pair.1 = Some(life.to_owned());
        }
    };
    refused(presigned, lives("604801"), &mine, region, "InvalidArgument");
    refused(presigned, lives("0"), &mine, region, "InvalidArgument");
    refused(presigned, lives("601"), &mine, region, "SignatureDoesNotMatch");
    let unsigned_token = |request: &mut Request| request.query.pairs.retain(|(name, _)| name != "Signature");
    refused("v1-presign-service", unsigned_token, &mine, region, "AccessDenied");
}

#[test]
fn who_does_not_sign_is_anonymous() {
    let request = Request::parse(Method::GET, &"/b/k".parse().unwrap(), HeaderMap::new(), Dialect::Oss, |_| false);
    let judge = Judge { accounts: &[], region: "r", now: Timestamp::from_unix(0) };
    assert_eq!(authenticate(&request.unwrap(), &judge), Ok(Caller::Anonymous));
}
