//! The store's HTTP client against servers that do odd things with connections: which of them it uses again, which
//! requests it repeats by itself, and where it sees the end of an answer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ossmount::base::{ByteRange, Clock, Key};
use ossmount::store::{Dialect, ErrorKind, HttpStore, ListRequest, PutRequest, Store, StoreMut};

use crate::http::wire::{NOW, get, options, read, store};
use crate::support::wire::{Reply, Wire};

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn ok(body: &str) -> Reply {
    Reply::new("200 OK", &[], body)
}

/// The numbers of the connections that the requests came on.
fn connections(wire: &Wire) -> Vec<usize> {
    wire.asked().iter().map(|asked| asked.connection).collect()
}

#[tokio::test]
async fn a_request_that_meets_a_closed_connection_goes_out_once_more() {
    let wire = Wire::new(vec![ok("x"), Reply::Close(Vec::new()), ok("y")]);
    let store = store(&wire, Dialect::Oss);
    assert_eq!(read(&store, get("k")).await.unwrap(), b"x");
    assert_eq!(read(&store, get("k")).await.unwrap(), b"y");
    assert_eq!(connections(&wire), [0, 0, 1]);
}

#[tokio::test]
async fn it_does_not_when_it_changes_something_or_an_answer_had_begun() {
    let wire = Wire::new(vec![ok("x"), Reply::Close(Vec::new()), ok("x"), Reply::Close(text("HTTP/1.1 20")), ok("")]);
    let store = store(&wire, Dialect::Oss);
    read(&store, get("k")).await.unwrap();
    let put = store.put(PutRequest::new(Key::new("k"), "bytes")).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Network);
    read(&store, get("k")).await.unwrap();
    assert_eq!(read(&store, get("k")).await.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(connections(&wire), [0, 0, 1, 1]);
}

#[tokio::test]
async fn connections_in_doubt_are_not_used_again() {
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-0/1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nmore",
    ] {
        let wire = Wire::new(vec![Reply::Keep(text(first)), ok("y")]);
        let store = store(&wire, Dialect::Oss);
        assert_eq!(read(&store, get("k").range(ByteRange::new(0, 1))).await.unwrap(), b"x", "{first}");
        assert_eq!(read(&store, get("k")).await.unwrap(), b"y", "{first}");
        assert_eq!(connections(&wire), [0, 1], "{first}");
    }
}

#[tokio::test]
async fn a_body_left_midway_closes_its_connection_and_one_read_to_its_last_byte_does_not() {
    let chunked = "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4/5\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{chunked}5\r\n01234\r\n0\r\n\r\n");
    let wire = Wire::new(vec![ok(&"x".repeat(1 << 20)), Reply::Keep(text(&chunked)), ok("y")]);
    let store = store(&wire, Dialect::Oss);
    let mut midway = store.get(get("k")).await.unwrap().body;
    assert!(midway.read(&mut [0; 10]).await.unwrap() > 0);
    drop(midway);
    let mut whole = store.get(get("k").range(ByteRange::new(0, 5))).await.unwrap().body;
    assert_eq!(whole.read(&mut [0; 5]).await.unwrap(), 5);
    drop(whole);
    read(&store, get("k")).await.unwrap();
    assert_eq!(connections(&wire), [0, 1, 1]);
}

#[tokio::test]
async fn answers_that_dribble_in_are_read_as_they_are() {
    let listing = "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";
    let (head, tail) = listing.split_at(30);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n{:X};x=\"1\"\r\n{head}\r\n{:x}\r\n{tail}\r\n\
         0\r\nA: b\r\n\r\n",
        head.len(),
        tail.len()
    );
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let wire = Wire::new(vec![Reply::Dribble(text(&chunked)), Reply::Dribble(text(plain)), ok("y")]);
    let store = store(&wire, Dialect::Oss);
    assert_eq!(store.list(ListRequest::default()).await.unwrap().entries[0].key, "a");
    assert_eq!(read(&store, get("k")).await.unwrap(), b"0123456789");
    assert_eq!(read(&store, get("k")).await.unwrap(), b"y");
    assert_eq!(connections(&wire), [0, 0, 0]);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let wire = Wire::new(vec![
        Reply::Keep(text(&format!("{interim}{last}"))),
        Reply::Dribble(text(&format!("{interim}{last}"))),
        Reply::Keep(text(&format!("{}{last}", interim.repeat(100)))),
        Reply::Keep(text("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")),
    ]);
    let store = store(&wire, Dialect::Oss);
    for _ in 0..2 {
        assert_eq!(read(&store, get("k")).await.unwrap(), b"x");
    }
    for _ in 0..2 {
        assert_eq!(read(&store, get("k")).await.unwrap_err().kind(), ErrorKind::Protocol);
    }
}

#[tokio::test]
async fn heads_without_end_or_sense_are_refused() {
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(1 << 20));
    let answers = [
        endless.as_str(),
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ];
    let wire = Wire::new(answers.iter().map(|answer| Reply::Keep(text(answer))).collect());
    let store = store(&wire, Dialect::Oss);
    for answer in answers {
        let error = read(&store, get("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}: {error}", &answer[..20]);
    }
}

#[tokio::test]
async fn old_connections_are_not_used_again() {
    let wire = Wire::new(vec![ok("x"); 3]);
    let clock = Clock::manual(NOW);
    let options = options(&wire, Dialect::Oss);
    let idle = options.timeouts.idle;
    let store = HttpStore::new(options, clock.clone()).unwrap();
    for wait in [Duration::ZERO, idle / 2, idle] {
        clock.advance(wait);
        read(&store, get("k")).await.unwrap();
    }
    assert_eq!(connections(&wire), [0, 0, 1]);
}

/// A server of one connection: reads until it has a head, and goes on as told.
fn server(serve: impl FnOnce(std::net::TcpStream) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        serve(stream);
    });
    (endpoint, serving)
}

fn store_at(endpoint: String, idle: Duration) -> HttpStore {
    let wire = Wire::new(Vec::new());
    let mut options = options(&wire, Dialect::Oss);
    (options.endpoint, options.timeouts.idle) = (Some(endpoint), idle);
    HttpStore::new(options, Clock::system()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_nobody_needs_are_closed() {
    let (endpoint, serving) = server(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the end, and no other request");
    });
    let store = store_at(endpoint, Duration::from_millis(10));
    read(&store, get("k")).await.unwrap();
    tokio::task::spawn_blocking(|| serving.join().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_comes_before_the_body_is_through_is_heard() {
    let (done, wait) = mpsc::channel::<()>();
    let (endpoint, serving) = server(move |mut stream| {
        let body = "<Error><Code>AccessDenied</Code></Error>";
        write!(stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        // The rest of the request is never read.
        wait.recv().unwrap();
    });
    let store = store_at(endpoint, Duration::from_secs(30));
    let error = store.put(PutRequest::new(Key::new("k"), vec![0; 64 << 20])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    done.send(()).unwrap();
    serving.join().unwrap();
}
