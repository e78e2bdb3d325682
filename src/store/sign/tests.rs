//! Every vector of `tests/data/signing-vectors.json`: canonical text, text to sign, key, signature and headers.

use serde_json::Value;

use super::*;
use crate::store::encode;

const VECTORS: &str = include_str!("../../../tests/data/signing-vectors.json");

struct Vector {
    json: Value,
    headers: Vec<Pair>,
    query: Vec<Pair>,
    path: String,
}

impl Vector {
    fn new(json: Value) -> Self {
        let headers = json["request_headers"].as_object().unwrap();
        let headers = headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.as_str().unwrap().to_owned())).collect();
        let query = json["query_params"].as_array().unwrap();
        let query = query
            .iter()
            .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap_or("").to_owned()))
            .collect();
        let path = encode::path(json["path_unencoded"].as_str().unwrap_or("")).to_string();
        Vector { json, headers, query, path }
    }

    fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("{}: no {field}", self.json["name"]))
    }

    fn credentials(&self) -> Arc<Credentials> {
        let token = self.json["security_token"].as_str().map(str::to_owned);
        Arc::new(Credentials::new(self.text("access_key_id"), self.text("access_key_secret")).with_token(token))
    }

    fn time(&self) -> Timestamp {
        let text = self.text("signing_time");
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).unwrap();
        Timestamp::from_unix(time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second())
    }

    fn additional(&self) -> Vec<&str> {
        let list = self.json["additional_headers"].as_array();
        list.into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
    }

    fn unsigned<'a>(&'a self, additional: &'a [&'a str]) -> Unsigned<'a> {
        Unsigned {
            method: self.text("method"),
            bucket: self.json["bucket"].as_str(),
            key: self.json["key"].as_str(),
            path: &self.path,
            host: self.json["host"].as_str().unwrap_or(""),
            query: &self.query,
            headers: &self.headers,
            additional_headers: additional,
            payload: match self.json["payload_hash"].as_str() {
                Some(hash) if hash != "UNSIGNED-PAYLOAD" => Payload::Bytes(b""),
                _ => Payload::Unsigned,
            },
        }
    }

    #[track_caller]
    fn same(&self, field: &str, got: &str) {
        assert_eq!(got, self.text(field), "{} {field}", self.json["name"]);
    }
}

fn vectors(version: &str, mode: &str) -> Vec<Vector> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let found: Vec<Vector> = all["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|vector| vector["signature_version"] == version && vector["mode"] == mode)
        .map(|vector| Vector::new(vector.clone()))
        .collect();
    assert!(!found.is_empty(), "no vectors for {version} {mode}");
    found
}

fn authorization(added: &[Pair]) -> &str {
    &added.iter().find(|(name, _)| name == "authorization").unwrap().1
}

/// Every parameter of a signed URL, encoded as it stands there, against those of the request with those added.
#[track_caller]
fn same_query(vector: &Vector, added: &[Pair], valueless: encode::Valueless) {
    let all = [&vector.query[..], added].concat();
    let ours = encode::query(as_str(&all), valueless);
    let url = vector.text("signed_url");
    let mut theirs: Vec<&str> = url.split_once('?').unwrap().1.split('&').collect();
    theirs.sort();
    let mut ours: Vec<&str> = ours.split('&').collect();
    ours.sort();
    assert_eq!(ours, theirs, "{}", vector.json["name"]);
}

#[test]
fn oss_v4_headers() {
    for vector in vectors("v4", "header") {
        let (credentials, time) = (vector.credentials(), vector.time());
        let (region, product) = (vector.text("region").to_owned(), vector.text("product").to_owned());
        let key = oss_v4::key(&credentials, &day(time), &region, &product);
        vector.same("signing_key_hex", &hex::encode(*key));
        let additional = vector.additional();
        let request = vector.unsigned(&additional);
        let signer = Signer::new(Scheme::OssV4 { region: region.clone(), product: product.clone() });
        let added = signer.sign(&request, &credentials, time);
        assert_eq!(signer.sign(&request, &credentials, time), added, "the kept key signs alike");

        let (last, signed) = added.split_last().unwrap();
        let headers = [request.headers, signed].concat();
        let canonical = oss_v4::canonical_request(&Unsigned { headers: &headers, ..request });
        vector.same("canonical_request", &canonical);
        vector.same("canonical_request_sha256", &sha256_hex(canonical.as_bytes()));
        let scope = oss_v4::scope(time, &region, &product);
        vector.same("string_to_sign", &oss_v4::string_to_sign(&canonical, time, &scope));
        vector.same("authorization", &last.1);
        assert!(last.1.ends_with(vector.text("signature")));
        for (name, value) in vector.json["headers_added_by_signer"].as_object().unwrap() {
            let found = signed.iter().find(|(added, _)| *added == name.to_ascii_lowercase());
            assert_eq!(found.unwrap().1, value.as_str().unwrap(), "{name}");
        }
    }
}

#[test]
fn oss_v4_urls() {
    for vector in vectors("v4", "query") {
        let (credentials, time) = (vector.credentials(), vector.time());
        let (region, product) = (vector.text("region"), vector.text("product"));
        let additional = vector.additional();
        let request = vector.unsigned(&additional);
        let expires = vector.json["expires_seconds"].as_u64().unwrap() as u32;
        let added = oss_v4::presign(&request, &credentials, time, region, product, expires);
        let (last, signed) = added.split_last().unwrap();
        let query = [request.query, signed].concat();
        let canonical = oss_v4::canonical_request(&Unsigned { query: &query, ..request });
        vector.same("canonical_request", &canonical);
        vector.same("string_to_sign", &oss_v4::string_to_sign(&canonical, time, &oss_v4::scope(time, region, product)));
        vector.same("signature", &last.1);
        same_query(&vector, &added, encode::Valueless::Bare);
    }
}

#[test]
fn oss_v1_headers() {
    for vector in vectors("v1", "header") {
        let credentials = vector.credentials();
        let request = vector.unsigned(&[]);
        let added = Signer::new(Scheme::OssV1).sign(&request, &credentials, vector.time());
        let headers = [request.headers, &added].concat();
        let signed = Unsigned { headers: &headers, ..request };
        vector.same("string_to_sign", &oss_v1::string_to_sign(&signed, None));
        let value = |name: &str| &added.iter().find(|(added, _)| added == name).unwrap().1;
        vector.same("date_header", value("date"));
        vector.same("authorization", value("authorization"));
    }
}

#[test]
fn oss_v1_urls() {
    for vector in vectors("v1", "query") {
        let expires = Timestamp::from_unix(vector.json["expires_unix"].as_i64().unwrap());
        let request = vector.unsigned(&[]);
        let added = oss_v1::presign(&request, &vector.credentials(), expires);
        let token: Vec<Pair> = added.iter().filter(|(name, _)| name == "security-token").cloned().collect();
        let query = [request.query, &token].concat();
        let signed = Unsigned { query: &query, ..request };
        vector.same("string_to_sign", &oss_v1::string_to_sign(&signed, Some(expires)));
        vector.same("signature", &added.last().unwrap().1);
        same_query(&vector, &added, encode::Valueless::Bare);
    }
}

#[test]
fn s3_headers() {
    for vector in vectors("s3-v4", "header") {
        let (credentials, time) = (vector.credentials(), vector.time());
        let region = vector.text("region").to_owned();
        vector.same("signing_key_hex", &hex::encode(*sigv4::key(&credentials, &day(time), &region)));
        let request = vector.unsigned(&[]);
        let added = Signer::new(Scheme::SigV4 { region: region.clone() }).sign(&request, &credentials, time);
        let (last, signed) = added.split_last().unwrap();
        let headers = [request.headers, signed].concat();
        let canonical =
            sigv4::canonical_request(&Unsigned { headers: &headers, ..request }, vector.text("payload_hash"));
        vector.same("canonical_request", &canonical);
        vector.same("string_to_sign", &sigv4::string_to_sign(&canonical, time, &sigv4::scope(time, &region)));
        vector.same("authorization", &last.1);
        assert!(last.1.contains(&format!("SignedHeaders={},", vector.text("signed_headers"))));
    }
}

/// The presigned URL of AWS's documentation.
#[test]
fn s3_url() {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let request = Unsigned {
        method: "GET",
        bucket: Some("examplebucket"),
        key: Some("test.txt"),
        path: "/test.txt",
        host: "examplebucket.s3.amazonaws.com",
        query: &[],
        headers: &[],
        additional_headers: &[],
        payload: Payload::Unsigned,
    };
    let added = sigv4::presign(&request, &credentials, Timestamp::from_unix(1_369_353_600), "us-east-1", 86_400);
    let signature = &added.last().unwrap().1;
    assert_eq!(signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

#[test]
fn every_vector_is_of_a_kind_tested_above() {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let kinds = [("v4", "header"), ("v4", "query"), ("v1", "header"), ("v1", "query"), ("s3-v4", "header")];
    let tested: usize = kinds.iter().map(|(version, mode)| vectors(version, mode).len()).sum();
    assert_eq!(tested, all["vectors"].as_array().unwrap().len());
}

#[test]
fn a_new_day_or_new_credentials_make_a_new_key() {
    let vector = &vectors("v4", "header")[0];
    let request = vector.unsigned(&[]);
    let signer = Signer::new(Scheme::OssV4 { region: "cn-hangzhou".into(), product: "oss".into() });
    let (first, other) = (vector.credentials(), Arc::new(Credentials::new("other", "secret")));
    let tomorrow = vector.time().plus_seconds(86_400);
    let mut seen = std::collections::BTreeSet::new();
    for (credentials, time) in [(&first, vector.time()), (&first, tomorrow), (&other, tomorrow)] {
        let fresh = Signer::new(signer.scheme.clone()).sign(&request, credentials, time);
        assert_eq!(signer.sign(&request, credentials, time), fresh);
        seen.insert(authorization(&fresh).to_owned());
    }
    assert_eq!(seen.len(), 3);
}
