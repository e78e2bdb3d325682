//! Who may not, and how they are told.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ossmount::base::{ByteSize, Clock};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, AnonymousRead, Emulator, Operation, Options};

use super::client::{Client, Sign};
use super::emulator;

#[test]
fn wrong_signatures_are_told_what_should_have_been_signed() {
    let emulator = emulator();
    emulator.put("b", "k", "x");
    for (sign, id) in [(Sign::Oss, "OSSAccessKeyId"), (Sign::S3, "AWSAccessKeyId")] {
        let mut client = Client::new(&emulator, sign);
        client.get("k", &[]).expect(200);
        client.secret = "wrong".to_owned();
        let answer = client.get("k", &[]).expect(403);
        assert_eq!(answer.element("Code"), "SignatureDoesNotMatch");
        assert_eq!(answer.element(id), ACCESS_KEY_ID);
        assert!(answer.element("StringToSign").contains("HMAC-SHA256\n"));
        assert!(answer.element("CanonicalRequest").starts_with("GET\n/b/k\n"));
        assert_eq!(answer.element("SignatureProvided").len(), 64);
        let wrong_region = Client { region: "mars".to_owned(), ..Client::new(&emulator, sign) };
        wrong_region.get("k", &[]).expect(400);
    }
}

#[test]
fn errors_of_head_requests_ride_in_a_header() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::Oss);
    let answer = client.ask("HEAD", ("b", "none"), &[], &[], b"").unwrap().expect(404);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("x-oss-ec"), "0026-00000001");
    let document = String::from_utf8(STANDARD.decode(answer.header("x-oss-err")).unwrap()).unwrap();
    assert!(document.contains("<Code>NoSuchKey</Code>"), "{document}");
    assert!(document.contains(answer.header("x-oss-request-id")), "{document}");
    let s3 = Client::new(&emulator, Sign::S3);
    assert_eq!(s3.ask("HEAD", ("b", "none"), &[], &[], b"").unwrap().expect(404).header("x-oss-err"), "");
}

#[test]
fn clocks_too_far_apart_are_refused_and_can_be_corrected() {
    let emulator = emulator();
    emulator.put("b", "k", "x");
    let client = Client::new(&emulator, Sign::Oss);
    emulator.set_clock_offset(800);
    client.get("k", &[]).expect(200);
    emulator.set_clock_offset(-2000);
    let answer = client.get("k", &[]).expect(403);
    assert_eq!(answer.element("Code"), "RequestTimeTooSkewed");
    let told = jiff::fmt::rfc2822::parse(&answer.header("date").replace("GMT", "+0000")).unwrap();
    let apart = Clock::system().now().seconds - told.timestamp().as_second();
    assert!((1990..2010).contains(&apart), "{apart}");
}

#[test]
fn temporary_credentials_need_their_token_and_end() {
    let clock = Clock::manual(Clock::system().now());
    let account = Account {
        expires: Some(clock.now().plus_seconds(60)),
        ..Account::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET).with_token("the/token+=")
    };
    let options = Options { credentials: vec![account], clock: clock.clone(), ..Options::default() };
    let emulator = Emulator::start(options).unwrap();
    emulator.create_bucket("b");
    emulator.put("b", "k", "x");
    for (sign, wrong, ended) in
        [(Sign::Oss, "InvalidSecurityToken", "SecurityTokenExpired"), (Sign::S3, "InvalidToken", "ExpiredToken")]
    {
        let mut client = Client::new(&emulator, sign);
        assert_eq!(client.get("k", &[]).element("Code"), "InvalidAccessKeyId");
        client.token = Some("another".to_owned());
        assert_eq!(client.get("k", &[]).element("Code"), wrong);
        client.token = Some("the/token+=".to_owned());
        client.get("k", &[]).expect(200);
        if sign == Sign::S3 {
            clock.advance(Duration::from_secs(61));
            assert_eq!(client.get("k", &[]).element("Code"), ended);
        }
    }
}

#[test]
fn strangers_read_what_is_public_and_no_more() {
    let public = AnonymousRead::Buckets(vec!["b".to_owned()]);
    let emulator = Emulator::start(Options { anonymous_read: public, ..Options::default() }).unwrap();
    for bucket in ["b", "private"] {
        emulator.create_bucket(bucket);
        emulator.put(bucket, "k", "x");
    }
    let nobody = Client::new(&emulator, Sign::Nobody);
    nobody.get("k", &[]).expect(200);
    nobody.ask("GET", ("b", ""), &[], &[], b"").unwrap().expect(200);
    let answer = nobody.ask("GET", ("private", "k"), &[], &[], b"").unwrap().expect(403);
    assert_eq!(answer.element("Code"), "AccessDenied");
    nobody.put("k", &[], b"y").expect(403);
    nobody.ask("DELETE", ("b", "k"), &[], &[], b"").unwrap().expect(403);
    nobody.ask("GET", ("b", "k"), &[("response-content-type", "x")], &[], b"").unwrap().expect(400);
    assert_eq!(nobody.get("k", &[("x-amz-request-payer", "r")]).header("server"), "AmazonS3");
    assert_eq!(nobody.get("k", &[]).header("server"), "AliyunOSS");
}

#[test]
fn virtual_hosts_name_their_bucket() {
    let emulator = emulator();
    emulator.put("b", "a/../k", "x");
    for sign in [Sign::Oss, Sign::S3] {
        let mut client = Client::new(&emulator, sign);
        client.host = "b.oss-cn-hangzhou.aliyuncs.com".to_owned();
        client.get("a/../k", &[]).expect(200);
        client.host = format!("b.localhost:{}", emulator.address().port());
        client.get("a/../k", &[]).expect(200);
    }
}

#[test]
fn bodies_beyond_the_limit_are_refused() {
    let emulator = Emulator::start(Options { largest_object: ByteSize(1000), ..Options::default() }).unwrap();
    emulator.create_bucket("b");
    let client = Client::new(&emulator, Sign::Oss);
    client.put("k", &[], &[0; 1000]).expect(200);
    assert_eq!(client.put("k", &[], &[0; 1001]).expect(400).element("Code"), "EntityTooLarge");
    let head = format!("PUT /b/k HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", client.host);
    assert_eq!(client.raw("PUT", &head, b"").unwrap().expect(403).element("Code"), "AccessDenied");
}

#[test]
fn bodies_must_be_what_was_signed() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::S3);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    client.put("k", &[("x-amz-content-sha256", empty)], b"").expect(200);
    let answer = client.put("k", &[("x-amz-content-sha256", empty)], b"other").expect(400);
    assert_eq!(answer.element("Code"), "XAmzContentSHA256Mismatch");
    let streaming = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    let body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    client.put("k", &[streaming, trailer], body).expect(200);
    assert_eq!(client.get("k", &[]).body, b"hello");
    let body = b"5\r\nhullo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    assert_eq!(client.put("k", &[streaming, trailer], body).expect(400).element("Code"), "BadDigest");
}

#[test]
fn the_switches_answer_on_loopback_only() {
    let emulator = emulator();
    emulator.put("b", "k", "12345");
    let nobody = Client::new(&emulator, Sign::Nobody);
    let ask = |method: &str, path: &str, body: &str| {
        let (host, length) = (&nobody.host, body.len());
        let head = format!(
            "{method} /-/{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        nobody.raw(method, &head, body.as_bytes()).unwrap()
    };
    Client::new(&emulator, Sign::Oss).get("k", &[]).expect(200);
    let counters: serde_json::Value = serde_json::from_slice(&ask("GET", "counters", "").expect(200).body).unwrap();
    assert_eq!((&counters["requests"]["GetObject"], &counters["body_bytes"]), (&1.into(), &5.into()));
    assert_eq!(counters["peak_concurrency"], 1);
    ask("POST", "faults", "[\"500:1,times=1\"]").expect(200);
    ask("POST", "faults", "[\"boom\"]").expect(400);
    Client::new(&emulator, Sign::Oss).get("k", &[]).expect(500);
    ask("POST", "shaping", "{\"ttfb_ms\":1,\"connection_bandwidth\":\"1GB\"}").expect(200);
    ask("POST", "shaping", "{\"speed\":1}").expect(400);
    ask("POST", "clock", "{\"offset_seconds\":9000}").expect(200);
    Client::new(&emulator, Sign::Oss).get("k", &[]).expect(403);
    ask("POST", "counters/reset", "").expect(200);
    assert_eq!(emulator.counters().of(Operation::GetObject), 0);
    let elsewhere = Client { host: "example.org".to_owned(), ..nobody.clone() };
    elsewhere.ask("GET", ("-", "counters"), &[], &[], b"").unwrap().expect(403);
}
