//! Damaged input for everything that parses: answers of servers, requests to the emulator, options, URLs, files.
//!
//! Good texts are taken and damaged: bytes flipped, cut, repeated, moved, words of the format thrown in. Nothing may
//! panic or hang, and what is accepted must still keep its promises. The cases are the same in every run, so that a
//! run fails for a change and not for its luck; `PROPTEST_RNG_SEED=random PROPTEST_CASES=20000` looks further.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ossmount::base::{BucketName, ByteRange, ByteSize, Clock, ETag, Key, Timestamp};
use ossmount::config::{self, BucketUrl, Caller, Raw, TABLE, Words};
use ossmount::control::{Place, Request};
use ossmount::emulator::{self, AnonymousRead, Emulator};
use ossmount::list::AsOf;
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{Dialect, GetRequest, HeadRequest, HttpStore, ListRequest, Options, Store, list_buckets};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed};

use crate::support::wire::{Reply, Wire};

/// The configuration of a test that costs `share` times as much as a pure function does.
fn cases(share: u32) -> Config {
    let plain = Config::default();
    let rng_seed = match std::env::var_os("PROPTEST_RNG_SEED") {
        Some(_) => plain.rng_seed,
        None => RngSeed::Fixed(1),
    };
    Config { cases: (plain.cases / share).max(1), failure_persistence: None, rng_seed, ..plain }
}

/// One damage to a text.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Repeat(Index, Index),
    Truncate(Index),
}

/// What parsers stumble over.
const WORDS: &[&[u8]] = &[
    b"",
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"\r\n\r\n",
    b"<",
    b"</",
    b"<!--",
    b"<![CDATA[",
    b"<!DOCTYPE x [<!ENTITY a \"b\">]>",
    b"&a;",
    b"&#0;",
    b"&#x110000;",
    b"&amp",
    b"%",
    b"%2",
    b"%00",
    b"%zz",
    b"+",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"9999999999999999999999999999",
    b"1e309",
    b"\"",
    b"'",
    b"\\",
    b"\\,",
    b",",
    b"=",
    b"==",
    b"/",
    b"//",
    b"..",
    b"?",
    b"&",
    b";",
    b"bytes 0-0/*",
    b"bytes=-0",
    b"{",
    b"[[[[[[[[[[[[[[[[",
    b"null",
    "é".as_bytes(),
    "\u{202e}".as_bytes(),
];

fn damage() -> impl Strategy<Value = Damage> {
    let word = prop_oneof![
        proptest::sample::select(WORDS).prop_map(<[u8]>::to_vec),
        proptest::collection::vec(any::<u8>(), 1..8),
    ];
    prop_oneof![
        3 => (any::<Index>(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        3 => (any::<Index>(), word).prop_map(|(at, word)| Damage::Insert(at, word)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Cut(from, to)),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Repeat(from, to)),
        1 => any::<Index>().prop_map(Damage::Truncate),
    ]
}

fn apply(text: &mut Vec<u8>, damage: &Damage) {
    let end = text.len() + 1;
    let span = |a: &Index, b: &Index| {
        let (a, b) = (a.index(end), b.index(end));
        a.min(b)..a.max(b)
    };
    match damage {
        Damage::Flip(at, bits) => {
            let at = at.index(end);
            if let Some(byte) = text.get_mut(at) {
                *byte ^= bits;
            }
        }
        Damage::Insert(at, word) => {
            let at = at.index(end);
            text.splice(at..at, word.iter().copied());
        }
        Damage::Cut(from, to) => drop(text.drain(span(from, to))),
        Damage::Repeat(from, to) => {
            let piece = text[span(from, to)].to_vec();
            text.extend(piece);
        }
        Damage::Truncate(at) => text.truncate(at.index(end)),
    }
}

/// One of the good texts, damaged a few times.
fn damaged(good: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (proptest::sample::select(good), proptest::collection::vec(damage(), 1..6)).prop_map(|(text, damages)| {
        let mut text = text.as_bytes().to_vec();
        damages.iter().for_each(|damage| apply(&mut text, damage));
        text
    })
}

fn damaged_text(good: &'static [&'static str]) -> impl Strategy<Value = String> {
    damaged(good).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

const LISTINGS: &[&str] = &[
    r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com"><Name>b</Name><Prefix>p%2F</Prefix><MaxKeys>100</MaxKeys>
<Delimiter>%2F</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><StartAfter></StartAfter>
<NextContinuationToken>CgJiYw--</NextContinuationToken><Contents><Key>p%2Fa.txt</Key><LastModified>2024-02-29T12:34:56.000Z
</LastModified><ETag>"5B3C1A2E053D763E1B002CC607C5A0FE"</ETag><Type>Normal</Type><Size>344606</Size><StorageClass>Archive
</StorageClass><RestoreInfo>ongoing-request="true"</RestoreInfo></Contents><Contents><Key>p%2F%01b+%2B</Key><Size>0</Size>
<LastModified>2024-02-29T12:34:56.123Z</LastModified><ETag>&quot;0F&quot;</ETag><Type>Symlink</Type></Contents>
<CommonPrefixes><Prefix>p%2Fdir%2F</Prefix></CommonPrefixes><KeyCount>3</KeyCount></ListBucketResult>"#,
    r#"<ListBucketResult><Name>b</Name><Marker>a</Marker><NextMarker>p/z</NextMarker><MaxKeys>2</MaxKeys>
<IsTruncated>true</IsTruncated><Contents><Key>p/&#xe9;&amp;<![CDATA[<x>]]></Key><Size>18446744073709551615</Size>
<LastModified>Thu, 29 Feb 2024 12:34:56 GMT</LastModified><ETag>abc-2</ETag></Contents></ListBucketResult>"#,
];

const VERSION_LISTINGS: &[&str] = &[
    r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com"><Name>b</Name><Prefix>p%2F</Prefix><MaxKeys>999</MaxKeys>
<KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><Delimiter>%2F</Delimiter><EncodingType>url</EncodingType>
<IsTruncated>true</IsTruncated><NextKeyMarker>p%2Fb</NextKeyMarker><NextVersionIdMarker>CAEQ1</NextVersionIdMarker>
<DeleteMarker><Key>p%2Fa.txt</Key><VersionId>CAEQ3</VersionId><IsLatest>true</IsLatest>
<LastModified>2024-02-29T12:34:57.000Z</LastModified></DeleteMarker><Version><Key>p%2Fa.txt</Key><VersionId>null</VersionId>
<IsLatest>false</IsLatest><LastModified>2024-02-29T12:34:56.000Z</LastModified><ETag>"5B3C"</ETag><Type>Normal</Type>
<Size>344606</Size><StorageClass>Archive</StorageClass></Version><Version><Key>p%2Fb</Key><VersionId>CAEQ1</VersionId>
<IsLatest>true</IsLatest><LastModified>2024-02-29T12:34:56.123Z</LastModified><Size>0</Size></Version>
<CommonPrefixes><Prefix>p%2Fdir%2F</Prefix></CommonPrefixes></ListVersionsResult>"#,
    r#"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>p/&#xe9;</NextKeyMarker><Version><Key>p/&#xe9;</Key>
<LastModified>2024-02-29T12:34:56Z</LastModified><Size>18446744073709551615</Size></Version></ListVersionsResult>"#,
];

const BUCKET_LISTS: &[&str] = &[
    r#"<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets><Bucket>
<CreationDate>2024-02-29T12:34:56.000Z</CreationDate><Location>oss-cn-beijing</Location><Name>one</Name></Bucket><Bucket>
<Name>two</Name><Region>cn-x</Region></Bucket></Buckets></ListAllMyBucketsResult>"#,
];

const ANSWERS: &[&str] = &[
    "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/100\r\nETag: \"A1\"\r\n\
     Last-Modified: Thu, 29 Feb 2024 12:34:56 GMT\r\nx-oss-hash-crc64ecma: 11051210869376104954\r\n\
     x-oss-object-type: Normal\r\nx-oss-request-id: 5F1\r\nConnection: close\r\n\r\n0123456789",
    "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 5-14/100\r\nETag: \"A1\"\r\n\r\n\
     4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"A1\"\r\n\r\n0123456789",
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 105\r\nRetry-After: 3\r\nx-oss-qos-delay-time: 120\r\n\
     x-oss-ec: 0024-00000001\r\n\r\n<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>m</Message>\
     <RequestId>r</RequestId><EC>1</EC></Error>",
    "HTTP/1.1 403 Forbidden\r\nDate: Thu, 29 Feb 2024 12:34:56 GMT\r\nContent-Length: 0\r\n\
     x-oss-err: PEVycm9yPjxDb2RlPlJlcXVlc3RUaW1lVG9vU2tld2VkPC9Db2RlPjwvRXJyb3I+\r\n\r\n",
];

fn store(wire: &Wire, dialect: Dialect) -> HttpStore {
    HttpStore::new(options(wire, dialect), Clock::manual(Timestamp::from_unix(1_709_210_096))).unwrap()
}

fn options(wire: &Wire, dialect: Dialect) -> Options {
    let mut options = Options::new(dialect, BucketName::new("bkt"));
    options.endpoint = Some(wire.url());
    options.region = Some("cn-x".into());
    options.credentials = Source::Static(Credentials::new("AKID", "secret"));
    options
}

/// Runs a future on this thread, for at most half a minute.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), future).await.expect("an answer that has ended makes nobody wait")
    })
}

fn dialects() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Oss), Just(Dialect::S3)]
}

/// A server that answers with these bodies, one after the other.
fn answering(bodies: &[Vec<u8>]) -> Wire {
    let replies = bodies.iter().map(|body| {
        let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        reply.extend(body);
        Reply::Keep(reply)
    });
    Wire::new(replies.collect())
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn a_damaged_listing_is_refused_or_keeps_its_promises(
        bodies in proptest::collection::vec(damaged(LISTINGS), 8), dialect in dialects(),
    ) {
        let wire = answering(&bodies);
        let store = store(&wire, dialect);
        for body in &bodies {
            let page = wait(store.list(ListRequest { prefix: "p/".into(), ..ListRequest::default() }));
            let Ok(page) = page else { continue };
            let names = page.entries.iter().map(|entry| entry.key.as_str().len());
            let names = names.chain(page.prefixes.iter().map(String::len)).sum::<usize>();
            prop_assert!(names <= 3 * body.len(), "more names than the answer can hold");
        }
    }

    #[test]
    fn a_damaged_listing_of_versions_is_refused_or_keeps_its_promises(
        bodies in proptest::collection::vec(damaged(VERSION_LISTINGS), 8), dialect in dialects(),
    ) {
        let wire = answering(&bodies);
        let view = AsOf::new(Arc::new(store(&wire, dialect)), Timestamp::from_unix(1_709_210_096));
        for body in &bodies {
            let page = wait(view.list(ListRequest { prefix: "p/".into(), ..ListRequest::default() }));
            let Ok(page) = page else { continue };
            let names = page.entries.iter().map(|entry| entry.key.as_str().len());
            let names = names.chain(page.prefixes.iter().map(String::len)).sum::<usize>();
            prop_assert!(names <= 3 * body.len(), "more names than the answer can hold");
            for entry in &page.entries {
                prop_assert!(entry.last_modified.is_some_and(|time| time.seconds <= 1_709_210_096), "{:?}", entry);
                prop_assert!(entry.version.is_some(), "{:?}", entry);
            }
        }
    }

    #[test]
    fn a_damaged_list_of_buckets_is_read_or_refused(
        bodies in proptest::collection::vec(damaged(BUCKET_LISTS), 8), dialect in dialects(),
    ) {
        for body in &bodies {
            let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            reply.extend(body);
            // A damaged marker asks for another page, of which there is none.
            let wire = Wire::new(vec![Reply::Close(reply)]);
            let listed = wait(list_buckets(&options(&wire, dialect), &Clock::system()));
            let Ok(buckets) = listed else { continue };
            prop_assert!(buckets.iter().all(|bucket| !bucket.name.is_empty()), "{:?}", buckets);
            prop_assert!(buckets.iter().map(|bucket| bucket.name.len()).sum::<usize>() <= 3 * body.len());
        }
    }

    #[test]
    fn a_damaged_answer_never_becomes_other_bytes_than_asked_for(
        answers in proptest::collection::vec(damaged(ANSWERS), 8), dialect in dialects(),
    ) {
        let wire = Wire::new(answers.iter().cloned().map(Reply::Close).collect());
        let store = store(&wire, dialect);
        for _ in &answers {
            let request = GetRequest::new(Key::new("k")).range(ByteRange::new(5, 15)).if_match(ETag::parse("\"A1\""));
            let read = wait(async {
                let answer = store.get(request).await?;
                let range = answer.range;
                let bytes = answer.body.collect(1 << 20).await?;
                Ok::<_, ossmount::store::Error>((range, bytes.len() as u64))
            });
            if let Ok((range, len)) = read {
                prop_assert_eq!(range.start, 5);
                prop_assert!(range.end <= 15);
                prop_assert_eq!(range.len(), len);
            }
        }
    }

    #[test]
    fn damaged_headers_of_head_are_read_or_refused(
        answers in proptest::collection::vec(damaged(ANSWERS), 8), dialect in dialects(),
    ) {
        for answer in &answers {
            // Where no length is told, the listing is asked for, and nothing comes.
            let wire = Wire::new(vec![Reply::Close(answer.clone())]);
            let store = store(&wire, dialect);
            if wait(store.head(HeadRequest { key: Key::new("k"), version: None })).is_ok() {
                let status = String::from_utf8_lossy(answer).split(' ').nth(1).map(str::to_owned);
                prop_assert!(status.is_some_and(|status| status.starts_with('2')), "facts out of a refusal");
            }
        }
    }
}

const WORD_LISTS: &[&str] = &[
    "endpoint=http://127.0.0.1:9000,region=cn-hangzhou,ro,_netdev,x-systemd.automount,allow_other",
    "part-size=8MiB,memory-limit=auto,metadata-ttl=indefinite,negative-ttl=5s,file-mode=0444,uid=0,credentials=env",
    "log-file=/tmp/a\\,b\\\\c,prefetch=open,verify=off,defaults,user=me",
];

const FILES: &[&str] = &[
    r#"{"region": "cn-hangzhou", "part-size": 1048576, "allow-other": true, "uid": null, "endpoint": "http://h:1"}"#,
    r#"{"metadata-ttl": "60s", "file-mode": "0444", "verify": "crc64", "log-level": "info"}"#,
];

const CONTROL_REQUESTS: &[&str] = &[
    r#"{"op":"copy","source":"dir/a b","destination":"oss://bucket/k?versionId=CAE","part-size":"8MiB","metadata":{"a":"b"},"tagging":"a=1"}"#,
    r#"{"version":1,"op":"prefetch","paths":["a","dir/","/mnt/x"],"wait":true}"#,
    r#"{"op":"set","log-level":"debug","memory-limit":134217728,"max-bandwidth":"none","path":"x","prefetch":"off"}"#,
    r#"{"op":"copy-status","job":18446744073709551615,"wait":false}"#,
    r#"{"op":"refresh","path":null,"recursive":true}"#,
];

const URLS: &[&str] =
    &["oss://bucket/prefix/ü%20?x#y", "s3://b.c-d_e//a/../b", "ossmount#oss://bucket", "oss://b/k?versionId=CAE1"];

const SIZES: &[&str] = &["8MiB", "4096", "64 kb", "16777215TiB", "0", "512MiB", "18446744073709551615"];

const TIMES: &[&str] = &["60s", "0", "500ms", "2m", "1h", "18446744073709551615ms"];

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn option_words(list in damaged_text(WORD_LISTS)) {
        for caller in [Caller::Person, Caller::MountProgram, Caller::SloppyMountProgram] {
            let mut raw = Raw::default();
            if let Err(problem) = Words::default().read(&list, &mut raw, caller) {
                prop_assert!(!problem.to_string().is_empty() && !problem.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn option_values(row in 0..TABLE.len(), text in damaged_text(WORD_LISTS), short in damaged_text(SIZES)) {
        for text in [text, short] {
            let read = |name: &str| (name == TABLE[row].variable()).then(|| text.clone().into());
            let mut raw = Raw::default();
            if raw.read_environment(&read).is_ok() && !text.is_empty() {
                prop_assert_eq!(raw.text(TABLE[row].key), Some(text.as_str()));
            }
        }
    }

    #[test]
    fn configuration_files(text in damaged(FILES)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        if let Err(problem) = Raw::default().read_file(file.path()) {
            let told = problem.to_string();
            prop_assert!(told.contains(&file.path().display().to_string()), "which file: {told}");
        }
    }

    #[test]
    fn control_requests(text in damaged(CONTROL_REQUESTS)) {
        match Request::parse(&text) {
            Ok(Request::Copy(copy)) => {
                for side in [&copy.source, &copy.destination] {
                    let is_right = match Place::parse(side) {
                        Ok(Place::Url { bucket, .. }) => !bucket.is_empty(),
                        Ok(Place::Path(path)) => path == side,
                        Err(_) => side.contains("://"),
                    };
                    prop_assert!(is_right, "{side}");
                }
            }
            Ok(Request::Prefetch(prefetch)) => prop_assert!(!prefetch.paths.is_empty()),
            Ok(_) => {}
            Err(refusal) => prop_assert!(!refusal.sentence.is_empty() && !refusal.sentence.contains('\n')),
        }
    }

    #[test]
    fn bucket_urls(text in damaged_text(URLS)) {
        if let Ok(url) = text.parse::<BucketUrl>() {
            prop_assert_eq!(&url.to_string().parse::<BucketUrl>().unwrap(), &url);
            prop_assert!(url.directory().is_empty() || url.directory().ends_with('/'));
            prop_assert!(url.path.starts_with(url.key_and_version().0));
        }
    }

    #[test]
    fn sizes(text in damaged_text(SIZES)) {
        if let Ok(size) = text.parse::<ByteSize>() {
            prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }
    }

    #[test]
    fn times(text in damaged_text(TIMES)) {
        match config::parse_time(&text) {
            Ok(time) => prop_assert_eq!(config::parse_time(&format!("{}ms", time.as_millis())), Ok(time)),
            Err(what) => prop_assert!(what.contains("60s"), "says what is right: {what}"),
        }
    }

    #[test]
    fn entity_tags(text in damaged_text(&["\"5B3C1A2E053D763E1B002CC607C5A0FE\"", "W/\"a\"", "abc-2"])) {
        if let Some(etag) = ETag::parse(&text) {
            prop_assert_eq!(ETag::parse(&etag.quoted()), Some(etag.clone()));
            // It goes out in a header.
            prop_assert!(!etag.quoted().contains(char::is_control), "{etag:?}");
        }
    }
}

const REQUESTS: &[&str] = &[
    "GET /open/dir/a%20b?versionId=null HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=0-4\r\nx-oss-range-behavior: standard\r\n\r\n",
    "GET /open/?list-type=2&prefix=dir%2F&delimiter=%2F&max-keys=2&encoding-type=url HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: open.oss-cn-hangzhou.aliyuncs.com\r\nx-oss-date: 20240229T123456Z\r\nAuthorization: OSS4-HMAC-SHA256 \
     Credential=EmulatorAccessKeyId/20240229/cn-hangzhou/oss/aliyun_v4_request,AdditionalHeaders=host,Signature=\
     0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\nx-oss-content-sha256: UNSIGNED-PAYLOAD\r\n\r\n",
    "GET /open/dir/x?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a%2F20240229%2Fcn%2Foss%2Faliyun_v4_request\
     &x-oss-date=20240229T123456Z&x-oss-expires=900&x-oss-signature=00 HTTP/1.1\r\nHost: h\r\n\r\n",
    "PUT /open/k HTTP/1.1\r\nHost: h\r\nDate: Thu, 29 Feb 2024 12:34:56 GMT\r\nAuthorization: OSS EmulatorAccessKeyId:AAAA\r\n\
     Content-MD5: AAAA\r\nContent-Length: 3\r\nx-oss-tagging: a=b&c=%41\r\n\r\nabc",
    "POST /open?delete HTTP/1.1\r\nHost: h\r\nAuthorization: AWS4-HMAC-SHA256 Credential=EmulatorAccessKeyId/20240229/\
     cn-hangzhou/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\nx-amz-date: 20240229T123456Z\r\n\
     x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nTransfer-Encoding: chunked\r\n\r\n\
     1c\r\n<Delete><Object><Key>k</Key>\r\n0\r\n\r\n",
    "HEAD /open/dir/a?objectMeta HTTP/1.1\r\nHost: h\r\nIf-Match: \"A\"\r\nIf-Modified-Since: Thu, 29 Feb 2024 12:34:56 GMT\r\n\r\n",
];

/// Sends bytes as they are and returns what comes back until the server closes.
fn exchange(endpoint: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(endpoint.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    // Refused halfway through is an answer too.
    let sent = stream.write_all(request).and_then(|()| stream.shutdown(Shutdown::Write));
    let read = stream.read_to_end(&mut answer);
    let timed_out = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    assert!(!read.as_ref().is_err_and(timed_out), "no answer to {:?}", String::from_utf8_lossy(request));
    drop(sent);
    answer
}

#[test]
fn damaged_requests_to_the_emulator() {
    let emulator = Emulator::start(emulator::Options {
        anonymous_read: AnonymousRead::Everything,
        ..emulator::Options::default()
    })
    .unwrap();
    emulator.create_bucket("open");
    emulator.put("open", "dir/a b", "content");
    emulator.put("open", "dir/x", "more");
    let endpoint = emulator.endpoint();
    let config = Config { source_file: Some(file!()), test_name: Some("damaged_requests_to_the_emulator"), ..cases(1) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&damaged(REQUESTS), |request| {
            let answer = String::from_utf8_lossy(&exchange(&endpoint, &request)).into_owned();
            prop_assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer}");
            prop_assert!(!answer.contains(" 500 "), "{answer}");
            Ok(())
        })
        .unwrap();
    let good = exchange(&endpoint, b"GET /open/dir/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(good.starts_with(b"HTTP/1.1 200") && good.ends_with(b"more"), "{}", String::from_utf8_lossy(&good));
}
