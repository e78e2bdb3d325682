//! Objects go in and come out: ranges, conditions, versions, parts, copies, tags, symlinks, archives, directories.

use bytes::Bytes;
use ossmount::base::Timestamp;
use ossmount::emulator::{Emulator, Generator, GeneratorKind, Options, PutOptions, StorageClass, generated_content};

use super::client::{Client, Sign};
use super::emulator;

fn noise(len: u64) -> Bytes {
    generated_content(1, "noise", 0..len)
}

#[test]
fn ranges_follow_the_published_table() {
    let emulator = emulator();
    let bytes = noise(1000);
    emulator.put("b", "k", bytes.clone());
    let (oss, s3) = (Client::new(&emulator, Sign::Oss), Client::new(&emulator, Sign::S3));
    let standard = ("x-oss-range-behavior", "standard");
    let (whole, nothing) = (0..1000, 0..0);
    for (range, lenient, strict) in [
        ("bytes=0-499", 0..500, 0..500),
        ("bytes=500-", 500..1000, 500..1000),
        ("bytes=-500", 500..1000, 500..1000),
        ("byte=0-499", whole.clone(), whole.clone()),
        ("bytes=0-1000", whole.clone(), 0..1000),
        ("bytes=500-2000", whole.clone(), 500..1000),
        ("bytes=1000-2000", whole.clone(), nothing.clone()),
        ("bytes=1000-", whole.clone(), nothing.clone()),
        ("bytes=-2000", whole.clone(), 0..1000),
    ] {
        let answers = [
            (oss.get("k", &[("range", range)]), lenient),
            (oss.get("k", &[("range", range), standard]), strict.clone()),
            (s3.get("k", &[("range", range)]), strict),
        ];
        for (at, (answer, expected)) in answers.into_iter().enumerate() {
            let is_malformed = range.starts_with("byte=");
            if expected == nothing {
                assert_eq!((answer.status, answer.element("Code").as_str()), (416, "InvalidRange"), "{range} {at}");
            } else if is_malformed || (at == 0 && expected == whole) {
                assert_eq!((answer.status, answer.header("content-range")), (200, ""), "{range} {at}");
                assert_eq!(answer.body, bytes, "{range} {at}");
            } else {
                let shown = format!("bytes {}-{}/1000", expected.start, expected.end - 1);
                assert_eq!((answer.status, answer.header("content-range")), (206, shown.as_str()), "{range} {at}");
                assert_eq!(answer.body, bytes[expected], "{range} {at}");
            }
        }
    }
}

#[test]
fn what_is_put_comes_back_with_its_headers() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::Oss);
    let headers = [
        ("content-type", "text/x-odd"),
        ("cache-control", "max-age=5"),
        ("x-oss-meta-owner", "alice"),
        ("x-oss-tagging", "a=1&b%20c=2"),
        ("content-md5", "sQqNsWTnd4SfeyXCy/UuTA=="),
    ];
    for key in ["plain", "a/../b", "a//b/", "..", ".", "a+b c%20", "照片/ü🚀", "new\nline", "?#&="] {
        let answer = client.put(key, &headers, b"hello, emulator").expect(400);
        assert_eq!(answer.element("Code"), "InvalidDigest", "{key}");
        let answer = client.put(key, &headers[..4], b"hello, emulator").expect(200);
        let (etag, crc) = (answer.header("etag").to_owned(), answer.header("x-oss-hash-crc64ecma").to_owned());
        assert_eq!(etag, format!("\"{}\"", etag[1..33].to_uppercase()));
        for method in ["GET", "HEAD"] {
            let answer = client.ask(method, ("b", key), &[], &[], b"").unwrap().expect(200);
            assert_eq!(answer.header("content-length"), "15");
            assert_eq!((answer.header("etag"), answer.header("x-oss-hash-crc64ecma")), (&*etag, &*crc));
            assert_eq!(answer.header("content-type"), "text/x-odd");
            assert_eq!(answer.header("cache-control"), "max-age=5");
            assert_eq!(answer.header("x-oss-meta-owner"), "alice");
            assert_eq!(answer.header("x-oss-tagging-count"), "2");
            assert_eq!(answer.header("x-oss-object-type"), "Normal");
            assert_eq!(answer.header("x-oss-storage-class"), "Standard");
            assert_eq!(answer.header("server"), "AliyunOSS");
            assert_eq!(answer.header("x-oss-request-id").len(), 24);
            assert_eq!(answer.body, if method == "GET" { &b"hello, emulator"[..] } else { b"" }, "{key}");
        }
    }
    let s3 = Client::new(&emulator, Sign::S3);
    let answer = s3.get("plain", &[]).expect(200);
    assert_eq!(answer.header("x-amz-meta-owner"), "alice");
    assert_eq!(answer.header("x-oss-hash-crc64ecma"), "");
    s3.put("/leading", &[], b"x").expect(200);
    client.put("/leading", &[], b"x").expect(400);
    client.ask("DELETE", ("b", "plain"), &[], &[], b"").unwrap().expect(204);
    assert_eq!(client.get("plain", &[]).expect(404).element("EC"), "0026-00000001");
}

#[test]
fn response_headers_can_be_overridden() {
    let emulator = emulator();
    emulator.put("b", "k", "x");
    let client = Client::new(&emulator, Sign::Oss);
    let query = [("response-content-type", "text/plain; charset=x"), ("response-cache-control", "no-store")];
    let answer = client.ask("GET", ("b", "k"), &query, &[], b"").unwrap().expect(200);
    assert_eq!(answer.header("content-type"), "text/plain; charset=x");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[test]
fn conditions_pin_and_spare_a_transfer() {
    let emulator = emulator();
    let modified = Timestamp::from_unix(1_709_210_096);
    emulator.put_with("b", "k", "x", PutOptions { last_modified: Some(modified), ..PutOptions::default() });
    let client = Client::new(&emulator, Sign::Oss);
    let etag = client.get("k", &[]).header("etag").to_owned();
    client.get("k", &[("if-match", &etag.to_lowercase())]).expect(200);
    let answer = client.get("k", &[("if-match", "\"other\"")]).expect(412);
    assert_eq!((answer.element("Code"), answer.element("Condition")), ("PreconditionFailed".into(), "If-Match".into()));
    let answer = client.get("k", &[("if-none-match", &etag)]).expect(304);
    assert_eq!((answer.header("etag"), answer.body.len()), (&*etag, 0));
    client.get("k", &[("if-modified-since", "Thu, 29 Feb 2024 12:34:56 GMT")]).expect(304);
    client.get("k", &[("if-unmodified-since", "Thu, 29 Feb 2024 12:34:55 GMT")]).expect(412);
    client.put("k", &[("if-match", &etag)], b"y").expect(400);
    client.put("k", &[("x-oss-forbid-overwrite", "true")], b"y").expect(409);
    let s3 = Client::new(&emulator, Sign::S3);
    s3.put("k", &[("if-none-match", "*")], b"y").expect(412);
    s3.put("k", &[("if-match", &etag)], b"y").expect(200);
    s3.put("k", &[("if-match", &etag)], b"z").expect(412);
    assert_eq!(client.get("k", &[]).body, b"y");
}

#[test]
fn versions_stay_until_they_are_deleted_by_name() {
    let emulator = Emulator::start(Options::default()).unwrap();
    emulator.create_versioned_bucket("b");
    let client = Client::new(&emulator, Sign::Oss);
    let put = |body: &[u8]| client.put("k", &[], body).expect(200).header("x-oss-version-id").to_owned();
    let (first, second) = (put(b"one"), put(b"two"));
    assert_ne!(first, second);
    let marker = client.ask("DELETE", ("b", "k"), &[], &[], b"").unwrap().expect(204);
    assert_eq!(marker.header("x-oss-delete-marker"), "true");
    let marker = marker.header("x-oss-version-id").to_owned();
    let gone = client.get("k", &[]).expect(404);
    assert_eq!((gone.header("x-oss-delete-marker"), gone.header("x-oss-version-id")), ("true", &*marker));
    let version = |method: &str, id: &str| client.ask(method, ("b", "k"), &[("versionId", id)], &[], b"").unwrap();
    assert_eq!(version("GET", &first).expect(200).body, b"one");
    assert_eq!(version("GET", &second).expect(200).body, b"two");
    assert_eq!(version("GET", &marker).expect(405).header("allow"), "DELETE");
    assert_eq!(version("GET", "none").expect(404).element("Code"), "NoSuchVersion");
    let listed = client.ask("GET", ("b", ""), &[("versions", "")], &[], b"").unwrap().expect(200);
    assert_eq!(listed.all("VersionId"), [marker.clone(), second.clone(), first.clone()]);
    assert_eq!(listed.all("IsLatest"), ["true", "false", "false"]);
    assert_eq!(listed.all("DeleteMarker").len(), 1);
    version("DELETE", &marker).expect(204);
    assert_eq!(client.get("k", &[]).expect(200).body, b"two");
    version("DELETE", &second).expect(204);
    assert_eq!(client.get("k", &[]).expect(200).body, b"one");
    client.ask("DELETE", ("b", ""), &[], &[], b"").unwrap().expect(409);
}

fn begin(client: &Client, key: &str) -> String {
    client.ask("POST", ("b", key), &[("uploads", "")], &[], b"").unwrap().expect(200).element("UploadId")
}

fn parts_document(parts: &[(u32, &str)]) -> Vec<u8> {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").into_bytes()
}

#[test]
fn parts_become_an_object() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::Oss);
    let bytes = noise(250 << 10);
    emulator.put("b", "source", bytes.clone());
    let id = begin(&client, "big");
    let part = |number: &str, body: &[u8]| {
        let query = [("partNumber", number), ("uploadId", &id)];
        client.ask("PUT", ("b", "big"), &query, &[], body).unwrap().expect(200).header("etag").to_owned()
    };
    let first = part("1", &bytes[..100 << 10]);
    let third = part("3", &bytes[200 << 10..]);
    let headers = [("x-oss-copy-source", "/b/source"), ("x-oss-copy-source-range", "bytes=102400-204799")];
    let copied = client.ask("PUT", ("b", "big"), &[("partNumber", "2"), ("uploadId", &id)], &headers, b"").unwrap();
    let second = copied.expect(200).element("ETag").replace("&quot;", "\"");
    let listed = client.ask("GET", ("b", "big"), &[("uploadId", &id), ("max-parts", "2")], &[], b"").unwrap();
    assert_eq!(
        (listed.all("PartNumber"), listed.element("IsTruncated")),
        (vec!["1".into(), "2".into()], "true".into())
    );
    let complete = |parts: &[(u32, &str)]| {
        client.ask("POST", ("b", "big"), &[("uploadId", &id)], &[], &parts_document(parts)).unwrap()
    };
    assert_eq!(complete(&[(2, &second), (1, &first)]).expect(400).element("Code"), "InvalidPartOrder");
    assert_eq!(complete(&[(1, &second)]).expect(400).element("Code"), "InvalidPart");
    assert_eq!(complete(&[(4, &first)]).expect(400).element("Code"), "InvalidPart");
    assert_eq!(complete(&[(1, &first), (3, &third), (2, &second)]).expect(400).element("Code"), "InvalidPartOrder");
    let done = complete(&[(1, &first), (2, &second), (3, third.trim_matches('"'))]).expect(200);
    let whole = client.get("big", &[]).expect(200);
    assert_eq!(whole.body, bytes);
    assert_eq!(whole.header("x-oss-object-type"), "Multipart");
    assert_eq!(whole.header("x-oss-hash-crc64ecma"), done.header("x-oss-hash-crc64ecma"));
    assert_eq!(
        whole.header("x-oss-hash-crc64ecma"),
        client.get("source", &[]).header("x-oss-hash-crc64ecma"),
        "the same bytes have the same checksum however they were written"
    );
    assert_eq!(complete(&[(1, &first)]).expect(404).element("Code"), "NoSuchUpload");
}

#[test]
fn s3_repeats_the_answer_to_a_completion_and_copies_only_closed_ranges() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::S3);
    emulator.put("b", "source", noise(5));
    let id = begin(&client, "big");
    let copy = |range| {
        let headers = [("x-amz-copy-source", "/b/source"), ("x-amz-copy-source-range", range)];
        client.ask("PUT", ("b", "big"), &[("partNumber", "1"), ("uploadId", &id)], &headers, b"").unwrap()
    };
    for range in ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=1-", "bytes=-2", "bytes=0-2,3-5"] {
        assert_eq!(copy(range).expect(400).element("Code"), "InvalidArgument", "{range}");
    }
    for range in ["bytes=0-5", "bytes=0-21", "bytes=5-7"] {
        assert_eq!(copy(range).expect(416).element("Code"), "InvalidRange", "{range}");
    }
    let etag = copy("bytes=1-3").expect(200).element("ETag").replace("&quot;", "\"");
    let complete = |id: &str, parts: &[(u32, &str)]| {
        client.ask("POST", ("b", "big"), &[("uploadId", id)], &[], &parts_document(parts)).unwrap()
    };
    let done = complete(&id, &[(1, &etag)]).expect(200);
    assert_eq!(complete(&id, &[(1, &etag)]).expect(200).element("ETag"), done.element("ETag"));
    assert_eq!(client.get("big", &[]).expect(200).body, noise(5)[1..4]);
    assert_eq!(complete("other", &[(1, &etag)]).expect(404).element("Code"), "NoSuchUpload");
    let aborted = client.ask("DELETE", ("b", "big"), &[("uploadId", &id)], &[], b"").unwrap();
    assert_eq!(aborted.expect(404).element("Code"), "NoSuchUpload");
}

#[test]
fn a_write_while_versions_are_suspended_names_its_version_in_the_dialect_of_oss_alone() {
    let emulator = emulator();
    let document = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    for (sign, header, expected) in [(Sign::Oss, "x-oss-version-id", "null"), (Sign::S3, "x-amz-version-id", "")] {
        let client = Client::new(&emulator, sign);
        client.ask("PUT", ("b", ""), &[("versioning", "")], &[], document).unwrap().expect(200);
        assert_eq!(client.put("k", &[], b"x").expect(200).header(header), expected);
        assert_eq!(client.get("k", &[]).expect(200).header(header), "null");
    }
}

#[test]
fn small_parts_are_refused_at_the_end_and_all_parts_can_be_taken() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::Oss);
    let id = begin(&client, "k");
    let mut etags = Vec::new();
    for number in ["1", "2"] {
        let query = [("partNumber", number), ("uploadId", id.as_str())];
        let answer = client.ask("PUT", ("b", "k"), &query, &[], b"small").unwrap().expect(200);
        etags.push(answer.header("etag").to_owned());
    }
    let document = parts_document(&[(1, &etags[0]), (2, &etags[1])]);
    let query = [("uploadId", id.as_str())];
    let answer = client.ask("POST", ("b", "k"), &query, &[], &document).unwrap().expect(400);
    assert_eq!(answer.element("Code"), "EntityTooSmall");
    client.ask("PUT", ("b", "k"), &[("partNumber", "1"), query[0]], &[], &noise(102_400)).unwrap().expect(200);
    client.ask("PUT", ("b", "k"), &[("partNumber", "0"), query[0]], &[], b"x").unwrap().expect(400);
    client.ask("POST", ("b", "k"), &query, &[("x-oss-complete-all", "yes")], b"").unwrap().expect(200);
    assert_eq!(client.get("k", &[]).body.len(), 102_405);
    let id = begin(&client, "k");
    let uploads = client.ask("GET", ("b", ""), &[("uploads", "")], &[], b"").unwrap().expect(200);
    assert_eq!(uploads.element("UploadId"), id);
    client.ask("DELETE", ("b", "k"), &[("uploadId", &id)], &[], b"").unwrap().expect(204);
    client.ask("DELETE", ("b", "k"), &[("uploadId", &id)], &[], b"").unwrap().expect(404);
}

/// An upload under way keeps a bucket of OSS, and none of S3.
#[test]
fn a_bucket_goes_with_its_uploads_in_the_dialect_of_s3_alone() {
    let emulator = emulator();
    let (oss, s3) = (Client::new(&emulator, Sign::Oss), Client::new(&emulator, Sign::S3));
    begin(&oss, "k");
    let refused = oss.ask("DELETE", ("b", ""), &[], &[], b"").unwrap().expect(409);
    assert_eq!(refused.element("Code"), "BucketNotEmpty");
    s3.ask("DELETE", ("b", ""), &[], &[], b"").unwrap().expect(204);
    s3.ask("GET", ("b", ""), &[], &[], b"").unwrap().expect(404);
}

#[test]
fn copies_carry_metadata_as_the_directives_say() {
    let emulator = emulator();
    emulator.create_bucket("other");
    let client = Client::new(&emulator, Sign::Oss);
    client.put("src +é", &[("x-oss-meta-a", "1"), ("x-oss-tagging", "t=1")], b"bytes").expect(200);
    let source = ("x-oss-copy-source", "/b/src%20%2B%C3%A9");
    let copy = |headers: &[(&str, &str)]| client.ask("PUT", ("other", "dst"), &[], headers, b"").unwrap();
    let head = || client.ask("HEAD", ("other", "dst"), &[], &[], b"").unwrap().expect(200);
    copy(&[source]).expect(200);
    assert_eq!((head().header("x-oss-meta-a"), head().header("x-oss-tagging-count")), ("1", "1"));
    copy(&[source, ("x-oss-metadata-directive", "REPLACE"), ("x-oss-tagging-directive", "Replace")]).expect(200);
    assert_eq!((head().header("x-oss-meta-a"), head().header("x-oss-tagging-count")), ("", ""));
    copy(&[source, ("x-oss-metadata-directive", "sideways")]).expect(400);
    copy(&[source, ("x-oss-copy-source-if-match", "no")]).expect(412);
    let etag = client.get("src +é", &[]).header("etag").to_owned();
    copy(&[source, ("x-oss-copy-source-if-none-match", &etag)]).expect(304);
    copy(&[source, ("x-oss-forbid-overwrite", "true")]).expect(409);
    copy(&[("x-oss-copy-source", "/b/absent")]).expect(404);
    emulator.generate("huge", Generator::new(GeneratorKind::Shards, 1).sized(6 << 30));
    let huge = ("x-oss-copy-source", "/huge/model-00001-of-00001.safetensors");
    assert_eq!(copy(&[huge]).expect(400).element("Code"), "EntityTooLarge");
    client.ask("PUT", ("huge", "again"), &[], &[huge], b"").unwrap().expect(200);
}

#[test]
fn tags_symlinks_and_appends() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::Oss);
    emulator.put("b", "target", "the target");
    let tags = b"<Tagging><TagSet><Tag><Key>k</Key><Value>a b</Value></Tag></TagSet></Tagging>";
    client.ask("PUT", ("b", "target"), &[("tagging", "")], &[], tags).unwrap().expect(200);
    let answer = client.ask("GET", ("b", "target"), &[("tagging", "")], &[], b"").unwrap().expect(200);
    assert_eq!((answer.element("Key"), answer.element("Value")), ("k".into(), "a b".into()));
    client.ask("DELETE", ("b", "target"), &[("tagging", "")], &[], b"").unwrap().expect(204);
    assert_eq!(client.get("target", &[]).header("x-oss-tagging-count"), "");

    let link = |name: &str, target: &str| {
        client.ask("PUT", ("b", name), &[("symlink", "")], &[("x-oss-symlink-target", target)], b"").unwrap()
    };
    link("link", "target").expect(200);
    link("loop", "link").expect(200);
    link("dangling", "no%2Fwhere").expect(200);
    link("bad", "%2Fabsolute").expect(400);
    let answer = client.get("link", &[]).expect(200);
    assert_eq!((answer.text().as_str(), answer.header("x-oss-object-type")), ("the target", "Symlink"));
    assert_eq!(client.get("loop", &[]).expect(400).element("Code"), "InvalidTargetType");
    assert_eq!(client.get("dangling", &[]).expect(404).element("Code"), "SymlinkTargetNotExist");
    let read = |name: &str| client.ask("GET", ("b", name), &[("symlink", "")], &[], b"").unwrap();
    assert_eq!(read("dangling").expect(200).header("x-oss-symlink-target"), "no/where");
    assert_eq!(read("target").expect(400).element("Code"), "NotSymlink");
    let listed = client.ask("GET", ("b", ""), &[("prefix", "link")], &[], b"").unwrap();
    assert_eq!((listed.element("Type"), listed.element("Size")), ("Symlink".into(), "6".into()));

    let append = |position: &str, body: &[u8]| {
        client.ask("POST", ("b", "log"), &[("append", ""), ("position", position)], &[], body).unwrap()
    };
    assert_eq!(append("0", b"one ").expect(200).header("x-oss-next-append-position"), "4");
    assert_eq!(append("3", b"x").expect(409).header("x-oss-next-append-position"), "4");
    append("4", b"two").expect(200);
    let answer = client.get("log", &[]).expect(200);
    assert_eq!((answer.text().as_str(), answer.header("x-oss-object-type")), ("one two", "Appendable"));
}

#[test]
fn archives_are_read_after_they_are_restored() {
    let clock = ossmount::base::Clock::manual(ossmount::base::Clock::system().now());
    let emulator = Emulator::start(Options { clock: clock.clone(), ..Options::default() }).unwrap();
    emulator.create_bucket("b");
    let cold = PutOptions { storage_class: StorageClass::ColdArchive, ..PutOptions::default() };
    emulator.put_with("b", "cold", "x", cold);
    emulator.put("b", "warm", "x");
    let client = Client::new(&emulator, Sign::Oss);
    let head = || client.ask("HEAD", ("b", "cold"), &[], &[], b"").unwrap().expect(200);
    let restore = |key: &str| client.ask("POST", ("b", key), &[("restore", "")], &[], b"").unwrap();
    assert_eq!(client.get("cold", &[]).expect(403).element("Code"), "InvalidObjectState");
    assert_eq!((head().header("x-oss-storage-class"), head().header("x-oss-restore")), ("ColdArchive", ""));
    restore("warm").expect(400);
    restore("cold").expect(202);
    assert_eq!(head().header("x-oss-restore"), "ongoing-request=\"true\"");
    restore("cold").expect(409);
    client.get("cold", &[]).expect(403);
    clock.advance(std::time::Duration::from_secs(5));
    assert!(head().header("x-oss-restore").starts_with("ongoing-request=\"false\", expiry-date="));
    client.get("cold", &[]).expect(200);
    restore("cold").expect(200);
}

#[test]
fn generated_objects_hold_what_they_promise() {
    let emulator = emulator();
    emulator.generate("gen", Generator::new(GeneratorKind::Shards, 3).sized(3 << 40).seeded(9));
    let client = Client::new(&emulator, Sign::Oss);
    let key = "model-00002-of-00003.safetensors";
    let head = client.ask("HEAD", ("gen", key), &[], &[], b"").unwrap().expect(200);
    assert_eq!(head.header("content-length"), (3_u64 << 40).to_string());
    for start in [0, 16_777_000, (2_u64 << 40) + 5] {
        let range = format!("bytes={start}-{}", start + 99_999);
        let answer = client.ask("GET", ("gen", key), &[], &[("range", &range)], b"").unwrap().expect(206);
        assert_eq!(answer.body, generated_content(9, key, start..start + 100_000), "{start}");
        assert_eq!(answer.header("x-oss-hash-crc64ecma"), head.header("x-oss-hash-crc64ecma"));
    }
    client.ask("GET", ("gen", "model-00004-of-00003.safetensors"), &[], &[], b"").unwrap().expect(404);
    client.ask("DELETE", ("gen", key), &[], &[], b"").unwrap().expect(204);
    client.ask("GET", ("gen", key), &[], &[], b"").unwrap().expect(404);
    client.ask("PUT", ("gen", "added"), &[], &[], b"x").unwrap().expect(200);
    let listed = client.ask("GET", ("gen", ""), &[], &[], b"").unwrap().expect(200);
    assert_eq!(listed.all("Key"), ["added", "model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"],);
}

#[test]
fn directories_are_buckets_and_files_are_objects() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("b/dir")).unwrap();
    std::fs::write(root.path().join("b/dir/file.txt"), "from disk").unwrap();
    let emulator = Emulator::start(Options { root: Some(root.path().to_owned()), ..Options::default() }).unwrap();
    let client = Client::new(&emulator, Sign::Oss);
    let missing = Options { root: Some(root.path().join("none")), ..Options::default() };
    assert_eq!(Emulator::start(missing).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let answer = client.get("dir/file.txt", &[]).expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("from disk", "text/plain"));
    client.put("new/file", &[("x-oss-meta-a", "1")], b"written").expect(200);
    assert_eq!(std::fs::read(root.path().join("b/new/file")).unwrap(), b"written");
    assert_eq!(client.get("new/file", &[]).header("x-oss-meta-a"), "1");
    for odd in ["dir/", "../b2/escape", "dir//x", "new/file/below"] {
        client.put(odd, &[], odd.as_bytes()).expect(200);
        assert_eq!(client.get(odd, &[]).expect(200).text(), odd);
    }
    assert!(!root.path().join("b2").exists());
    let listed = client.ask("GET", ("b", ""), &[], &[], b"").unwrap().expect(200);
    assert_eq!(listed.all("Key"), ["../b2/escape", "dir/", "dir//x", "dir/file.txt", "new/file", "new/file/below"]);

    // A copy takes nothing from its source, wherever that is kept.
    client.ask("PUT", ("b", "copied"), &[], &[("x-oss-copy-source", "/b/dir//x")], b"").unwrap().expect(200);
    std::fs::write(root.path().join("b/copied"), "changed on disk").unwrap();
    assert_eq!(client.get("dir//x", &[]).expect(200).text(), "dir//x");
    assert_eq!(client.get("copied", &[]).expect(200).text(), "changed on disk");

    let id = begin(&client, "parts");
    for (number, body) in [("1", noise(150 << 10)), ("2", noise(10))] {
        let query = [("partNumber", number), ("uploadId", id.as_str())];
        client.ask("PUT", ("b", "parts"), &query, &[], &body).unwrap().expect(200);
    }
    let query = [("uploadId", id.as_str())];
    client.ask("POST", ("b", "parts"), &query, &[("x-oss-complete-all", "yes")], b"").unwrap().expect(200);
    assert_eq!(std::fs::metadata(root.path().join("b/parts")).unwrap().len(), (150 << 10) + 10);
    client.ask("PUT", ("fresh-bucket", ""), &[], &[], b"").unwrap().expect(200);
    assert!(root.path().join("fresh-bucket").is_dir());
    client.ask("DELETE", ("fresh-bucket", ""), &[], &[], b"").unwrap().expect(204);
    assert!(!root.path().join("fresh-bucket").exists());
    client.ask("DELETE", ("b", "new/file"), &[], &[], b"").unwrap().expect(204);
    assert!(!root.path().join("b/new").exists());
    for odd in ["dir/", "../b2/escape", "dir//x", "new/file/below"] {
        client.ask("DELETE", ("b", odd), &[], &[], b"").unwrap().expect(204);
    }
    let staged = std::fs::read_dir(root.path().join(".ossmount-emulator")).unwrap().count();
    assert_eq!(staged, 0, "what is deleted frees its file");
    drop(emulator);
    assert!(!root.path().join(".ossmount-emulator").exists());
}

#[test]
fn buckets_are_described() {
    let emulator = emulator();
    emulator.create_bucket("another");
    emulator.put("b", "k", "12345");
    let oss = Client::new(&emulator, Sign::Oss);
    let ask = |query: &str| oss.ask("GET", ("b", ""), &[(query, "")], &[], b"").unwrap().expect(200);
    assert_eq!(ask("location").element("LocationConstraint"), "oss-cn-hangzhou");
    assert_eq!(ask("bucketInfo").element("Name"), "b");
    assert_eq!((ask("stat").element("Storage"), ask("stat").element("ObjectCount")), ("5".into(), "1".into()));
    assert_eq!(ask("acl").element("Grant"), "private");
    let buckets = oss.ask("GET", ("", ""), &[], &[], b"").unwrap().expect(200);
    assert_eq!(buckets.all("Name"), ["another", "b"]);
    let buckets = oss.ask("GET", ("", ""), &[("max-keys", "1")], &[], b"").unwrap().expect(200);
    assert_eq!((buckets.all("Name"), buckets.element("NextMarker")), (vec!["another".into()], "another".into()));
    oss.ask("GET", ("b", ""), &[("lifecycle", "")], &[], b"").unwrap().expect(501);
    oss.ask("PUT", ("Bad_Name", ""), &[], &[], b"").unwrap().expect(400);
    let s3 = Client::new(&emulator, Sign::S3);
    let answer = s3.ask("HEAD", ("b", ""), &[], &[], b"").unwrap().expect(200);
    assert_eq!(answer.header("x-amz-bucket-region"), "cn-hangzhou");
    s3.ask("HEAD", ("none", ""), &[], &[], b"").unwrap().expect(404);
}
