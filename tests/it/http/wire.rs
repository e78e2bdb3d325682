//! The store over HTTP against a server that answers byte for byte as told: what is sent, and what is made of answers
//! that no good server gives.

use std::sync::Arc;
use std::time::Duration;

use ossmount::base::{BucketName, ByteRange, Clock, ETag, Key, Timestamp};
use ossmount::metrics::{Metric, Metrics};
use ossmount::store::credentials::{Credentials, Source, Which};
use ossmount::store::sign::{Payload, Scheme, Signer, Unsigned};
use ossmount::store::{
    DeleteRequest, Dialect, ErrorKind, GetRequest, HeadRequest, HttpStore, ListRequest, Options, PutRequest, Sign,
    Store, StoreMut, connect,
};

use crate::support::wire::{Asked, Reply, Wire};

pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_709_210_096);

pub(crate) fn options(wire: &Wire, dialect: Dialect) -> Options {
    let mut options = Options::new(dialect, BucketName::new("bkt"));
    options.endpoint = Some(wire.url());
    options.region = Some("cn-x".into());
    options.credentials = Source::Static(credentials());
    options
}

fn credentials() -> Credentials {
    Credentials::new("AKID", "secret").with_token(Some("TOK/EN+=".into()))
}

pub(crate) fn store(wire: &Wire, dialect: Dialect) -> HttpStore {
    HttpStore::new(options(wire, dialect), Clock::manual(NOW)).unwrap()
}

pub(crate) fn get(key: &str) -> GetRequest {
    GetRequest::new(Key::new(key))
}

pub(crate) async fn read(store: &dyn Store, request: GetRequest) -> ossmount::store::Result<Vec<u8>> {
    store.get(request).await?.body.collect(16 << 20).await
}

/// The signature of what arrived, made anew from the path and the headers on the wire.
fn resigned(asked: &Asked, key: &str, dialect: Dialect, host: &str) -> String {
    let scheme = match dialect {
        Dialect::Oss => Scheme::OssV4 { region: "cn-x".into(), product: "oss".into() },
        Dialect::S3 => Scheme::SigV4 { region: "cn-x".into() },
    };
    // What the signer itself adds, and what is added after signing.
    let later = ["authorization", "host", "user-agent", "accept-encoding", "content-length", "date"];
    let own = ["date", "content-sha256", "security-token"];
    let headers: Vec<(String, String)> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !later.contains(&name.as_str()))
        .filter(|(name, _)| !own.iter().any(|own| *name == format!("x-oss-{own}") || *name == format!("x-amz-{own}")))
        .collect();
    let request = Unsigned {
        method: &asked.method,
        bucket: Some("bkt"),
        key: Some(key),
        path: asked.target.split('?').next().unwrap(),
        host,
        query: &[],
        headers: &headers,
        additional_headers: &[],
        payload: Payload::Bytes(&asked.body),
    };
    let added = Signer::new(scheme).sign(&request, &Arc::new(credentials()), NOW);
    added.into_iter().find(|(name, _)| name == "authorization").unwrap().1
}

#[tokio::test]
async fn the_path_sent_is_the_path_signed() {
    let keys = [
        ("a/../b", "/bkt/a/../b"),
        ("..", "/bkt/.."),
        ("./a/.", "/bkt/./a/."),
        ("//lead//", "/bkt///lead//"),
        ("a+b c%20%", "/bkt/a%2Bb%20c%2520%25"),
        ("a\u{1}\t\n\u{7f}\\b", "/bkt/a%01%09%0A%7F%5Cb"),
        ("照/é🚀", "/bkt/%E7%85%A7/%C3%A9%F0%9F%9A%80"),
        ("q?x=1&y#z", "/bkt/q%3Fx%3D1%26y%23z"),
        ("*", "/bkt/%2A"),
    ];
    for dialect in [Dialect::Oss, Dialect::S3] {
        let wire = Wire::new(vec![Reply::new("200 OK", &[], "x"); keys.len()]);
        let store = store(&wire, dialect);
        for (key, path) in keys {
            assert_eq!(read(&store, get(key)).await.unwrap(), b"x");
            let asked = wire.asked().pop().unwrap();
            assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", path));
            let expected = resigned(&asked, key, dialect, &wire.authority());
            assert_eq!(asked.header("authorization"), Some(expected.as_str()), "{key}");
        }
        let connections: Vec<usize> = wire.asked().iter().map(|asked| asked.connection).collect();
        assert_eq!(connections, [0; 9], "a connection is used again once its body has been read");
    }
}

#[tokio::test]
async fn virtual_hosts_put_the_bucket_before_the_name() {
    for dialect in [Dialect::Oss, Dialect::S3] {
        let wire = Wire::new(vec![Reply::new("200 OK", &[], "x")]);
        let mut options = options(&wire, dialect);
        let port = wire.authority().rsplit(':').next().unwrap().to_owned();
        options.endpoint = Some(format!("http://store.localhost:{port}"));
        read(&HttpStore::new(options, Clock::manual(NOW)).unwrap(), get("a/../b c")).await.unwrap();
        let asked = wire.asked().pop().unwrap();
        let host = format!("bkt.store.localhost:{port}");
        assert_eq!((asked.target.as_str(), asked.header("host")), ("/a/../b%20c", Some(host.as_str())));
        let expected = resigned(&asked, "a/../b c", dialect, &host);
        assert_eq!(asked.header("authorization"), Some(expected.as_str()));
    }
}

#[tokio::test]
async fn ranged_requests_carry_what_the_dialect_needs() {
    for (dialect, prefix, behavior) in [(Dialect::Oss, "x-oss", Some("standard")), (Dialect::S3, "x-amz", None)] {
        let reply = Reply::new("206 Partial Content", &["Content-Range: bytes 5-9/100", "ETag: \"ab\""], "56789");
        let wire = Wire::new(vec![reply]);
        let mut options = options(&wire, dialect);
        options.request_payer = true;
        let store = HttpStore::new(options, Clock::manual(NOW)).unwrap();
        let request = get("k").range(ByteRange::new(5, 10)).if_match(ETag::parse("AB"));
        let response = store.get(request).await.unwrap();
        assert_eq!((response.meta.size, response.range), (100, ByteRange::new(5, 10)));

        let asked = wire.asked().pop().unwrap();
        for (name, value) in [
            ("range".to_owned(), Some("bytes=5-9")),
            ("if-match".to_owned(), Some("\"AB\"")),
            ("accept-encoding".to_owned(), Some("identity")),
            ("host".to_owned(), Some(wire.authority().as_str())),
            ("x-oss-range-behavior".to_owned(), behavior),
            (format!("{prefix}-request-payer"), Some("requester")),
            (format!("{prefix}-security-token"), Some("TOK/EN+=")),
            (format!("{prefix}-date"), Some("20240229T123456Z")),
        ] {
            assert_eq!(asked.header(&name), value, "{name}");
        }
        assert!(asked.header("user-agent").unwrap().starts_with("ossmount/"));
    }
}

#[tokio::test]
async fn objects_are_put_with_type_and_metadata() {
    let wire = Wire::new(vec![Reply::new("200 OK", &["ETag: \"AB\"", "x-oss-hash-crc64ecma: 5"], "")]);
    let mut request = PutRequest::new(Key::new("k"), "bytes");
    request.content_type = Some("text/plain".into());
    request.user = vec![("Owner".into(), "alice".into())];
    let meta = store(&wire, Dialect::Oss).put(request).await.unwrap();
    assert_eq!((meta.size, meta.etag, meta.crc64), (5, ETag::parse("AB"), Some(5)));
    let asked = wire.asked().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.body.as_slice()), ("PUT", b"bytes".as_slice()));
    assert_eq!((asked.header("content-type"), asked.header("x-oss-meta-owner")), (Some("text/plain"), Some("alice")));
    let broken = PutRequest { user: vec![("a".into(), "line\nbreak".into())], ..PutRequest::new(Key::new("k"), "") };
    assert_eq!(store(&wire, Dialect::Oss).put(broken).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn unsigned_and_v1_requests() {
    let wire = Wire::new(vec![Reply::new("200 OK", &[], "x"); 2]);
    let mut anonymous = options(&wire, Dialect::Oss);
    anonymous.credentials = Source::Anonymous;
    read(&HttpStore::new(anonymous, Clock::manual(NOW)).unwrap(), get("k")).await.unwrap();
    let mut v1 = options(&wire, Dialect::Oss);
    (v1.sign, v1.region) = (Sign::V1, None);
    read(&HttpStore::new(v1, Clock::manual(NOW)).unwrap(), get("k")).await.unwrap();
    let asked = wire.asked();
    assert_eq!(asked[0].header("authorization"), None);
    assert!(asked[1].header("authorization").unwrap().starts_with("OSS AKID:"));
    assert_eq!(asked[1].header("date"), Some("Thu, 29 Feb 2024 12:34:56 GMT"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Wire::new(vec![Reply::new("200 OK", &[], "x")]);
    let place = format!("Location: {}/bkt/k", other.url());
    let wire = Wire::new(vec![Reply::new("307 Temporary Redirect", &[&place], "")]);
    let error = read(&store(&wire, Dialect::S3), get("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongRegion);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn bodies_that_end_early_or_late_are_errors() {
    let text = |text: &str| Reply::Close(text.as_bytes().to_vec());
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/10\r\n";
    for (reply, got, kind) in [
        (text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234"), "1234", ErrorKind::Network),
        (text(&format!("{part}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")), "abc", ErrorKind::Network),
        (text(&format!("{part}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")), "abc", ErrorKind::Network),
        (
            text(&format!("{part}Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n")),
            "abcde",
            ErrorKind::Protocol,
        ),
    ] {
        let wire = Wire::new(vec![reply]);
        let request = if got == "1234" { get("k") } else { get("k").range(ByteRange::new(0, 5)) };
        let mut body = store(&wire, Dialect::Oss).get(request).await.unwrap().body;
        let (mut bytes, mut piece) = (Vec::new(), [0; 64]);
        let failed = loop {
            match body.read(&mut piece).await {
                Ok(0) => break None,
                Ok(len) => bytes.extend_from_slice(&piece[..len]),
                Err(error) => break Some(error.kind()),
            }
        };
        assert_eq!((bytes.as_slice(), failed), (got.as_bytes(), Some(kind)));
    }
}

#[tokio::test]
async fn a_whole_object_for_a_range_is_noticed() {
    let wire = Wire::new(vec![Reply::new("200 OK", &[], "0123456789"); 2]);
    let store = store(&wire, Dialect::S3);
    // The layers cut it.
    let response = store.get(get("k").range(ByteRange::new(2, 5))).await.unwrap();
    assert_eq!(response.range, ByteRange::new(0, 10));
    assert_eq!(response.body.collect(10).await.unwrap(), b"0123456789");
    assert_eq!(read(&store, get("k").range(ByteRange::new(0, 50))).await.unwrap(), b"0123456789");
}

#[tokio::test]
async fn a_skewed_clock_is_corrected_by_the_server() {
    let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>off</Message></Error>";
    let replies = vec![
        Reply::new("403 Forbidden", &["Date: Thu, 29 Feb 2024 14:34:56 GMT"], body),
        Reply::new("200 OK", &[], "x"),
    ];
    let wire = Wire::new(replies);
    let store = store(&wire, Dialect::Oss);
    assert_eq!(read(&store, get("k")).await.unwrap_err().kind(), ErrorKind::ClockSkew);
    read(&store, get("k")).await.unwrap();
    let dates: Vec<_> = wire.asked().iter().map(|asked| asked.header("x-oss-date").unwrap().to_owned()).collect();
    assert_eq!(dates, ["20240229T123456Z", "20240229T143456Z"]);
}

#[tokio::test]
async fn head_takes_its_error_from_the_header() {
    use base64::Engine;
    let xml = "<Error><Code>NoSuchKey</Code><Message>Gone.</Message><RequestId>65E0</RequestId></Error>";
    let line = format!("x-oss-err: {}", base64::engine::general_purpose::STANDARD.encode(xml));
    let wire = Wire::new(vec![
        Reply::Keep(format!("HTTP/1.1 404 Not Found\r\nContent-Length: 300\r\n{line}\r\n\r\n").into_bytes()),
        Reply::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\nETag: abc\r\n\r\n".to_vec()),
    ]);
    let store = store(&wire, Dialect::Oss);
    let error = store.head(HeadRequest::new(Key::new("k"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "Gone. (HeadObject, key \"k\", status 404, NoSuchKey, request id 65E0)");
    assert_eq!(store.head(HeadRequest::new(Key::new("k"))).await.unwrap().size, 300);
}

#[tokio::test]
async fn nobody_listening_is_a_network_error() {
    let wire = Wire::new(Vec::new());
    let store = store(&wire, Dialect::Oss);
    drop(wire);
    let error = read(&store, get("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.to_string().contains("connect"), "{error}");
}

#[tokio::test]
async fn what_is_not_http_is_told_from_silence() {
    let wire = Wire::new(vec![Reply::Close(b"220 mail.example.com ESMTP\r\n".to_vec()), Reply::Close(Vec::new())]);
    let store = store(&wire, Dialect::Oss);
    for kind in [ErrorKind::Protocol, ErrorKind::Network] {
        assert_eq!(read(&store, get("k")).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn an_empty_key_never_becomes_a_request_to_the_bucket() {
    let wire = Wire::new(Vec::new());
    let store = store(&wire, Dialect::Oss);
    let deleted = store.delete(DeleteRequest::new(Key::new(""))).await;
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(read(&store, get("")).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(wire.asked().is_empty());
}

#[tokio::test]
async fn layers_resume_a_stalled_body() {
    let part = "HTTP/1.1 206 Partial Content\r\nETag: \"AB\"\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789";
    let wire = Wire::new(vec![
        Reply::Keep(b"HTTP/1.1 200 OK\r\nETag: \"AB\"\r\nContent-Length: 10\r\n\r\n0123".to_vec()),
        Reply::Keep(part.as_bytes().to_vec()),
    ]);
    let mut options = options(&wire, Dialect::Oss);
    options.timeouts.stall = Duration::from_millis(50);
    options.retry.base_delay = Duration::from_millis(1);
    let metrics = Arc::new(Metrics::default());
    let connected = connect(options, metrics.clone(), Clock::system()).unwrap();
    assert_eq!(read(&*connected.store, get("k")).await.unwrap(), b"0123456789");
    assert_eq!(metrics.value(Metric::BodyResumes), 1);
    assert_eq!(metrics.value(Metric::GetRequests), 2);
    let asked = wire.asked();
    assert_eq!((asked[1].header("range"), asked[1].header("if-match")), (Some("bytes=4-9"), Some("\"AB\"")));
}

fn listing(body: &str) -> Reply {
    let xml = format!("<ListBucketResult><EncodingType>url</EncodingType>{body}</ListBucketResult>");
    let chunked = format!("{:x}\r\n{xml}\r\n0\r\n\r\n", xml.len());
    Reply::new("200 OK", &["Transfer-Encoding: chunked"], &chunked)
}

fn contents(key: &str) -> String {
    format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
}

#[tokio::test]
async fn listings_page_by_token() {
    for (dialect, query) in [
        (Dialect::Oss, "delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F"),
        (Dialect::S3, "delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F"),
    ] {
        let wire = Wire::new(vec![
            listing(&format!(
                "<KeyCount>1</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>t+/=</NextContinuationToken>{}",
                contents("p%2Fa")
            )),
            listing(&format!("<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>{}", contents("p%2Fb"))),
        ]);
        let store = store(&wire, dialect);
        let mut request =
            ListRequest { prefix: "p/".into(), delimiter: Some("/".into()), max_keys: 5000, ..ListRequest::default() };
        let first = store.list(request.clone()).await.unwrap();
        assert_eq!(first.entries[0].key, "p/a");
        request.continuation = first.next;
        let second = store.list(request).await.unwrap();
        assert_eq!((second.entries[0].key.as_str(), second.next), ("p/b", None));
        let targets: Vec<_> = wire.asked().into_iter().map(|asked| asked.target).collect();
        assert_eq!(targets, [format!("/bkt/?{query}"), format!("/bkt/?continuation-token=t%2B%2F%3D&{query}")]);
    }
}

#[tokio::test]
async fn servers_without_v2_are_listed_by_v1() {
    let old = |key: &str, truncated: bool| {
        listing(&format!("<Marker/><IsTruncated>{truncated}</IsTruncated>{}", contents(key)))
    };
    // It ignores list-type and start-after, so the first page has to be asked for again.
    let wire = Wire::new(vec![old("a", true), old("c", true), old("d", false), old("a", false)]);
    let store = store(&wire, Dialect::S3);
    let mut request = ListRequest { start_after: Some("b".into()), ..ListRequest::default() };
    let first = store.list(request.clone()).await.unwrap();
    assert_eq!(first.entries[0].key, "c");
    request.continuation = first.next;
    assert_eq!(store.list(request).await.unwrap().entries[0].key, "d");
    store.list(ListRequest::default()).await.unwrap();
    let targets: Vec<_> = wire.asked().into_iter().map(|asked| asked.target).collect();
    let v1 = "encoding-type=url";
    assert_eq!(
        targets,
        [
            format!("/bkt/?{v1}&list-type=2&max-keys=1000&start-after=b"),
            format!("/bkt/?{v1}&marker=b&max-keys=1000"),
            format!("/bkt/?{v1}&marker=c&max-keys=1000"),
            format!("/bkt/?{v1}&max-keys=1000"),
        ]
    );
}

#[tokio::test]
async fn a_server_that_refuses_v2_is_listed_by_v1() {
    let refusal = Reply::new("501 Not Implemented", &[], "<Error><Code>NotImplemented</Code></Error>");
    let wire = Wire::new(vec![refusal, listing(&contents("a")), listing(&contents("b"))]);
    let store = store(&wire, Dialect::Oss);
    for key in ["a", "b"] {
        assert_eq!(store.list(ListRequest::default()).await.unwrap().entries[0].key, key);
    }
    assert_eq!(wire.asked().iter().filter(|asked| asked.target.contains("list-type=2")).count(), 1);
}

#[tokio::test]
async fn symlinks_name_their_target() {
    let wire = Wire::new(vec![Reply::new("200 OK", &["x-oss-symlink-target: dir%2Fa%20%2B%C3%A9"], "")]);
    assert_eq!(store(&wire, Dialect::Oss).symlink_target(&Key::new("l"), None).await.unwrap(), "dir/a +é");
    assert_eq!(wire.asked()[0].target, "/bkt/l?symlink");
    for nothing in [&["x-oss-symlink-target:"][..], &["x-oss-symlink-target: %FF"], &[]] {
        let wire = Wire::new(vec![Reply::new("200 OK", nothing, "")]);
        assert_eq!(store(&wire, Dialect::Oss).symlink_target(&Key::new("l"), None).await.unwrap(), "", "{nothing:?}");
    }
    let error = store(&wire, Dialect::S3).symlink_target(&Key::new("l"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn bad_options_are_refused_before_anything_is_sent() {
    let wire = Wire::new(Vec::new());
    for (change, said) in [
        (Box::new(|o: &mut Options| o.region = None) as Box<dyn Fn(&mut Options)>, "set region"),
        (Box::new(|o| o.ca_bundle = Some("/nonexistent.pem".into())), "/nonexistent.pem cannot be read"),
        (Box::new(|o| (o.dialect, o.sign) = (Dialect::S3, Sign::V1)), "set sign to v4"),
        (Box::new(|o| o.user_agent = "a\nb".into()), "user agent"),
    ] {
        let mut options = options(&wire, Dialect::Oss);
        change(&mut options);
        let error = connect(options, Arc::default(), Clock::system()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(wire.asked().is_empty());
}

#[tokio::test]
async fn tls_trusts_the_bundle_it_is_given_and_no_other() {
    let bundle = |name: &str| Some(format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR")).into());
    let wire = Wire::tls(vec![Reply::new("200 OK", &[], "x"), Reply::new("200 OK", &[], "")]);
    let mut options = options(&wire, Dialect::S3);
    options.ca_bundle = bundle("ca.pem");
    let trusting = HttpStore::new(options.clone(), Clock::manual(NOW)).unwrap();
    assert_eq!(read(&trusting, get("a/../b")).await.unwrap(), b"x");
    trusting.put(PutRequest::new(Key::new("k"), "bytes")).await.unwrap();
    let hashes: Vec<_> = wire.asked().iter().map(|a| a.header("x-amz-content-sha256").unwrap().to_owned()).collect();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hashes, [empty, "UNSIGNED-PAYLOAD"], "what TLS protects is not hashed again");

    options.ca_bundle = bundle("other.pem");
    let error = read(&HttpStore::new(options.clone(), Clock::manual(NOW)).unwrap(), get("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "trying again would not help");
    assert!(error.to_string().contains("set ca-bundle"), "{error}");
    options.ca_bundle = bundle("server.key");
    let error = HttpStore::new(options, Clock::manual(NOW)).unwrap_err();
    assert!(error.to_string().contains("set ca-bundle to a PEM file"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_the_bundle_holds_itself_is_trusted_and_checked() {
    // `own-again.pem` differs from `own.pem` in its serial number alone; `server.pem` is signed by an authority.
    for (server, bundle, refused) in [
        ("own.pem", "own.pem", None),
        ("own-leaf.pem", "own-leaf.pem", None),
        ("server.pem", "server.pem", None),
        ("own.pem", "own-again.pem", Some("is self-signed and not trusted; set ca-bundle to")),
        ("own.pem", "ca.pem", Some("is self-signed and not trusted; set ca-bundle to")),
        ("server.pem", "own.pem", Some("signed by an authority that is not trusted; set ca-bundle to")),
        ("own-expired.pem", "own-expired.pem", Some("has expired on 2020-02-01; renew it")),
        ("own-early.pem", "own-early.pem", Some("is not valid before 2110-01-01; set this machine's clock")),
        (
            "own-elsewhere.pem",
            "own-elsewhere.pem",
            Some("is for other names: elsewhere.example, *.elsewhere.example, 192.0.2.7; set endpoint to one of them"),
        ),
    ] {
        let wire = Wire::tls_as(server, vec![Reply::new("200 OK", &[], "x")]);
        let mut options = options(&wire, Dialect::S3);
        options.ca_bundle = Some(format!("{}/tests/data/tls/{bundle}", env!("CARGO_MANIFEST_DIR")).into());
        let outcome = read(&HttpStore::new(options, Clock::manual(NOW)).unwrap(), get("k")).await;
        match (outcome, refused) {
            (Ok(bytes), None) => assert_eq!(bytes, b"x", "{server} by {bundle}"),
            (Err(error), Some(said)) => {
                assert_eq!(error.kind(), ErrorKind::Invalid, "{server} by {bundle}: trying again would not help");
                assert!(error.message().contains(said), "{server} by {bundle}: {error}");
            }
            (outcome, _) => panic!("{server} by {bundle}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn rotated_credentials_are_read_again_when_the_old_ones_are_refused() {
    let refusal = "<Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>";
    let wire = Wire::new(vec![Reply::new("403 Forbidden", &[], refusal), Reply::new("200 OK", &[], "x")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let write = |id: &str| std::fs::write(&path, format!(r#"{{"AccessKeyId":"{id}","AccessKeySecret":"s"}}"#)).unwrap();
    write("old");
    let mut options = options(&wire, Dialect::Oss);
    options.credentials = Source::File { path: path.clone(), which: Which::default() };
    let store = HttpStore::new(options, Clock::manual(NOW)).unwrap();
    assert_eq!(read(&store, get("k")).await.unwrap_err().kind(), ErrorKind::Credentials);
    write("new-one");
    read(&store, get("k")).await.unwrap();
    let last = wire.asked().pop().unwrap();
    assert!(last.header("authorization").unwrap().contains("Credential=new-one/"));
}
