//! Answers of stores that leave headers out, garble them, or frame bodies in old ways: what a practical client reads is
//! read, and what is in doubt is refused with an error that names the header.

use ossmount::base::{ByteRange, Clock, ETag, Key, Timestamp};
use ossmount::metrics::{Metric, Metrics};
use ossmount::store::{Dialect, ErrorKind, Expected, GetRequest, HeadRequest, Options, Store, connect};

use crate::http::wire::{get, options, read, store};
use crate::support::wire::{Reply, Wire};

const TIME: &str = "Last-Modified: Thu, 29 Feb 2024 12:34:56 GMT";

/// An answer byte for byte, with the connection closed behind it.
fn close(head: &str, body: &str) -> Reply {
    Reply::Close(format!("{}\r\n\r\n{body}", head.replace('|', "\r\n")).into_bytes())
}

/// As a reader asks who has seen an object of ten bytes with the tag `a` in a listing.
fn listed(request: GetRequest) -> GetRequest {
    let last_modified = Some(Timestamp::from_unix(1_709_210_096));
    request.if_match(ETag::parse("a")).expected(Some(Expected { size: 10, last_modified }))
}

async fn said(reply: Reply, request: GetRequest) -> String {
    let wire = Wire::new(vec![reply]);
    match read(&store(&wire, Dialect::S3), request).await {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(error) => format!("{:?}: {}", error.kind(), error.message()),
    }
}

#[tokio::test]
async fn bodies_without_a_length_are_read_where_the_listing_tells_it() {
    let chunked = "HTTP/1.1 200 OK|ETag: a|Transfer-Encoding: chunked";
    for (reply, expected) in [
        (close(chunked, "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"), "0123456789"),
        (close("HTTP/1.0 200 OK|ETag: a", "0123456789"), "0123456789"),
        (close("HTTP/1.1 200 OK|ETag: a|Connection: close", "0123456789"), "0123456789"),
        (close(&format!("{chunked}|Content-Length: 99"), "a\r\n0123456789\r\n0\r\n\r\n"), "0123456789"),
        (close("HTTP/1.0 200 OK|ETag: a", "012345678"), "Network: the body ended 1 bytes early"),
        (close(chunked, "4\r\n0123\r\n0\r\n\r\n"), "Network: the body ended 6 bytes early"),
        (close("HTTP/1.0 200 OK|ETag: a", "0123456789X"), "Changed: the object is longer than listed"),
        (close(chunked, "b\r\n0123456789X\r\n0\r\n\r\n"), "Changed: the object is longer than listed"),
    ] {
        assert_eq!(said(reply, listed(get("k"))).await, expected);
    }
    let unknown = said(close("HTTP/1.0 200 OK|ETag: a", "0123456789"), get("k")).await;
    assert_eq!(unknown, "Protocol: the answer has no Content-Length");
}

#[tokio::test]
async fn a_body_without_a_length_that_breaks_off_is_resumed() {
    for dialect in [Dialect::Oss, Dialect::S3] {
        let wire = Wire::new(vec![
            close("HTTP/1.0 200 OK|ETag: a", "0123"),
            close("HTTP/1.0 206 Partial Content|ETag: a|Content-Range: bytes 4-9/*", "4567"),
            close("HTTP/1.0 206 Partial Content|ETag: a|Content-Length: 2", "89"),
        ]);
        let connected = connect(quick(&wire, dialect), Default::default(), Clock::system()).unwrap();
        assert_eq!(read(&*connected.store, listed(get("k"))).await.unwrap(), b"0123456789");
        let ranges: Vec<_> = wire.asked().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
        assert_eq!(ranges, [None, Some("bytes=4-9".to_owned()), Some("bytes=8-9".to_owned())]);
    }
}

fn quick(wire: &Wire, dialect: Dialect) -> Options {
    let mut options = options(wire, dialect);
    options.retry.base_delay = std::time::Duration::from_millis(1);
    options
}

#[tokio::test]
async fn a_body_that_breaks_off_because_the_object_was_cut_short_is_another_object() {
    let wire = Wire::new(vec![
        close("HTTP/1.0 200 OK|ETag: a", "0123"),
        Reply::new("416 Range Not Satisfiable", &["Content-Range: bytes */4"], ""),
    ]);
    let connected = connect(quick(&wire, Dialect::S3), Default::default(), Clock::system()).unwrap();
    let error = read(&*connected.store, listed(get("k"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn headers_that_nobody_can_use_are_passed_over() {
    for odd in [
        "x-amz-meta-my note: 1",
        "X-Served-By : 1",
        "x-amz-meta-c: a\u{4}b",
        "ETag: \"..\u{e}\"|ETag: a",
        "ETag : a",
        "no colon at all",
        ": no name",
        "x-amz-meta-f: a|  goes on|\tand on",
        "x-cr: a\rb",
    ] {
        let reply = close(&format!("HTTP/1.1 200 OK|ETag: a|{odd}|Content-Length: 10"), "0123456789");
        assert_eq!(said(reply, listed(get("k"))).await, "0123456789", "{odd}");
    }
    let wire = Wire::new(vec![close("HTTP/1.1 200 OK|x-amz-meta-f: a|  goes on|Content-Length: 10|bad name: 1", "")]);
    let meta = store(&wire, Dialect::S3).head(HeadRequest::new(Key::new("k"))).await.unwrap();
    assert_eq!((meta.size, meta.user), (10, vec![("f".to_owned(), "a goes on".to_owned())]));
}

#[tokio::test]
async fn headers_that_say_where_an_answer_ends_are_never_passed_over() {
    for (odd, wanted) in [
        ("Content-Length: 10|Content-Length: 11", "its Content-Length is \"10\" and \"11\", which is not a length"),
        ("Content-Length: 10|  11", "its Content-Length is \"10 11\", which is not a length"),
        ("Content-Length: 1\u{1}0", "the header \"content-length: 1\\u{1}0\" cannot be used"),
        ("Content-Length\u{1}: 10", "the header \"Content-Length\\u{1}: 10\" cannot be used"),
        ("Transfer-Encoding: chunked\u{1}|Content-Length: 10", "\"transfer-encoding: chunked\\u{1}\""),
        ("Transfer-Encoding: gzip|Content-Length: 10", "its Transfer-Encoding is \"gzip\""),
    ] {
        let reply = close(&format!("HTTP/1.1 200 OK|ETag: a|{odd}"), "0123456789");
        let said = said(reply, listed(get("k"))).await;
        assert!(said.starts_with("Protocol: an answer of ") && said.contains(wanted), "{odd}: {said}");
    }
    let wire = Wire::new(vec![close("HTTP/1.1 200 OK|Content-Length: 10|Content-Length: 11", "")]);
    let error = store(&wire, Dialect::S3).head(HeadRequest::new(Key::new("k"))).await.unwrap_err();
    assert!(error.message().contains("its Content-Length is \"10\" and \"11\""), "{error}");
}

#[tokio::test]
async fn a_tag_that_cannot_be_used_is_named_where_nothing_stands_in_for_it() {
    let ok = "HTTP/1.1 200 OK|ETag: \"..\u{e}\"|Content-Length: 10";
    assert_eq!(said(close(&format!("{ok}|{TIME}"), "0123456789"), listed(get("k"))).await, "0123456789");
    let said = said(close(ok, "0123456789"), listed(get("k"))).await;
    let named = "the answer has no ETag (the header \"etag: \"..\\u{e}\"\" cannot be used (its value has a control \
                 character)) to compare, and no Last-Modified in its place";
    assert_eq!(said, format!("Protocol: {named}"));
}

#[tokio::test]
async fn time_and_size_stand_in_for_a_tag_and_show_a_change() {
    let part = |headers: &str| {
        close(&format!("HTTP/1.1 206 Partial Content|{headers}|Content-Range: bytes 2-4/10|Content-Length: 3"), "234")
    };
    let request = || listed(get("k").range(ByteRange::new(2, 5)));
    assert_eq!(said(part(TIME), request()).await, "234");
    assert_eq!(said(part("Last-Modified: Thursday, 29-Feb-24 12:34:56 GMT"), request()).await, "234");
    let later = said(part("Last-Modified: Thu, 29 Feb 2024 12:34:57 GMT"), request()).await;
    assert!(later.starts_with("Changed: an object last modified at 1709210096 s was requested"), "{later}");
    let other = said(part(&format!("ETag: b|{TIME}")), request()).await;
    assert!(other.starts_with("Changed: entity tag a was requested and b received"), "{other}");
}

#[tokio::test]
async fn parts_that_do_not_say_which_are_read_where_there_is_no_doubt() {
    let request = || listed(get("k").range(ByteRange::new(2, 5)));
    for (head, body, expected) in [
        ("206 Partial Content|ETag: a|Content-Length: 3", "234", "234"),
        ("206 Partial Content|ETag: a|Transfer-Encoding: chunked", "3\r\n234\r\n0\r\n\r\n", "234"),
        ("206 Partial Content|ETag: a|Content-Range: bytes 2-4/*", "234", "234"),
        ("200 OK|ETag: a|Content-Length: 3", "234", "234"),
        ("200 OK|ETag: b|Content-Length: 3", "234", "Changed: entity tag a was requested and b received"),
    ] {
        assert_eq!(said(close(&format!("HTTP/1.1 {head}"), body), request()).await, expected, "{head}");
    }
    for (head, named) in [
        ("206 Partial Content|ETag: a|Content-Length: 4", "no Content-Range, and its Content-Length of 4"),
        ("206 Partial Content|ETag: a|Content-Range: bytes 2-4", "Content-Range \"bytes 2-4\" is not valid"),
        ("206 Partial Content|ETag: a|Content-Range: bytes 3-5/*", "2..5 of 10 bytes was requested and 3..6 received"),
        ("206 Partial Content|ETag: a|Content-Type: multipart/byteranges; boundary=x", "multipart/byteranges"),
        ("200 OK|ETag: a|Content-Length: 4", "its Content-Length or Content-Range says 4 bytes"),
    ] {
        let said = said(close(&format!("HTTP/1.1 {head}"), "0123456789"), request()).await;
        assert!(said.starts_with("Protocol: ") && said.contains(named), "{head}: {said}");
    }
}

#[tokio::test]
async fn the_range_is_cut_out_of_an_answer_that_holds_more() {
    let length = "HTTP/1.1 200 OK|ETag: a|Content-Length: 10";
    let (chunked, wide) = ("HTTP/1.1 200 OK|ETag: a|Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n");
    let rounded = "HTTP/1.1 206 Partial Content|ETag: a|Content-Range: bytes 0-7/10";
    for (head, body, per_read) in [(length, "0123456789", 1), (chunked, wide, 2), (rounded, "01234567", 1)] {
        let wire = Wire::answering(move |_| Some(close(head, body)));
        let metrics = std::sync::Arc::new(Metrics::default());
        let store = connect(quick(&wire, Dialect::S3), metrics.clone(), Clock::system()).unwrap().store;
        let request = |start, end| listed(get("k").range(ByteRange::new(start, end)));
        assert_eq!(read(&*store, request(2, 5)).await.unwrap(), b"234", "{head}");
        assert_eq!(wire.asked().len(), 2 * per_read, "the first answer of this kind may be a fault");
        assert_eq!(read(&*store, request(1, 8)).await.unwrap(), b"1234567", "{head}");
        assert_eq!((wire.asked().len(), metrics.value(Metric::RangesIgnored)), (3 * per_read, 1), "{head}");
    }
}

#[tokio::test]
async fn a_part_that_does_not_tell_its_length_is_no_whole_object() {
    // This server knows ranges, and says neither that it does nor how long its answers are.
    let wire = Wire::answering(|asked| {
        let body = if asked.header("range").is_some() { "2345" } else { "0123456789" };
        Some(close("HTTP/1.0 200 OK|ETag: a", body))
    });
    let store = connect(quick(&wire, Dialect::S3), Default::default(), Clock::system()).unwrap().store;
    for (start, end, expected) in [(2, 6, "2345"), (1, 5, "1234"), (0, 4, "0123"), (6, 10, "6789")] {
        let bytes = read(&*store, listed(get("k").range(ByteRange::new(start, end)))).await.unwrap();
        assert_eq!(bytes, expected.as_bytes());
    }
}

#[tokio::test]
async fn a_head_without_a_length_takes_the_size_that_is_listed() {
    let page = |key: &str| {
        let entry = format!("<Contents><Key>{key}</Key><LastModified>2024-02-29T12:34:56.000Z</LastModified>");
        let body = format!("<ListBucketResult>{entry}<Size>7</Size></Contents></ListBucketResult>");
        Reply::new("200 OK", &[], &body)
    };
    let head = format!("HTTP/1.1 200 OK|ETag: a|{TIME}|Connection: close");
    let later = head.replace("56 GMT", "57 GMT");
    for (head, page, expected) in [
        (&head, page("k"), Some(7)),
        (&head, page("k2"), None),
        (&later, page("k"), None),
        (&format!("{head}|Transfer-Encoding: chunked"), page("k"), Some(7)),
    ] {
        let wire = Wire::new(vec![close(head, ""), page]);
        let meta = store(&wire, Dialect::S3).head(HeadRequest::new(Key::new("k"))).await;
        match (expected, meta) {
            (Some(size), Ok(meta)) => assert_eq!(meta.size, size),
            (None, Err(error)) => assert!(error.message().contains("no Content-Length"), "{error}"),
            (expected, meta) => panic!("{head}: {expected:?} {meta:?}"),
        }
        assert!(wire.asked()[1].target.contains("max-keys=1&prefix=k"), "{:?}", wire.asked());
    }
}

#[tokio::test]
async fn heads_are_bounded_also_where_they_are_garbage() {
    let many = format!("HTTP/1.1 200 OK|{}Content-Length: 10", "bad name: 1|".repeat(500));
    let long = format!("HTTP/1.1 200 OK|a: {}|Content-Length: 10", "\u{1}".repeat(200 << 10));
    for (head, wanted) in [(many, "too many headers"), (long, "the head is too long")] {
        let said = said(close(&head, "0123456789"), listed(get("k"))).await;
        assert!(said.starts_with("Protocol: ") && said.contains(wanted), "{said}");
    }
}
