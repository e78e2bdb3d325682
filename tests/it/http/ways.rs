//! The ways to the service: through proxies, and from interfaces and addresses of this machine.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ossmount::base::{BucketName, Clock};
use ossmount::store::{Dialect, ErrorKind, HttpStore, Options};

use crate::http::wire::{NOW, get, options, read};
use crate::support::wire::{Reply, Wire};

fn store(options: Options) -> HttpStore {
    HttpStore::new(options, Clock::manual(NOW)).unwrap()
}

fn bundle() -> Option<std::path::PathBuf> {
    Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.pem").into())
}

/// A proxy that leads wherever it is told, and remembers the heads that it was sent. It lives as long as the test.
fn relay() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let remembered = heads.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, heads) = (stream.unwrap(), remembered.clone());
            thread::spawn(move || lead(stream, &heads));
        }
    });
    (authority, heads)
}

fn lead(mut near: TcpStream, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    let mut far = TcpStream::connect(target).unwrap();
    near.write_all(b"HTTP/1.1 200 Connection established\r\nProxy-Agent: test\r\n\r\n").unwrap();
    let (mut back, mut to_near) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut back, &mut to_near));
    // It ends when either side does.
    let _ = std::io::copy(&mut near, &mut far);
}

#[tokio::test]
async fn encrypted_requests_go_through_a_tunnel() {
    let wire = Wire::tls(vec![Reply::new("200 OK", &[], "x"), Reply::new("200 OK", &[], "y")]);
    let (proxy, heads) = relay();
    let mut options = options(&wire, Dialect::Oss);
    options.ca_bundle = bundle();
    options.proxy = Some(format!("http://user:p%40ss@{proxy}").parse().unwrap());
    let store = store(options);
    assert_eq!(read(&store, get("k")).await.unwrap(), b"x");
    assert_eq!(read(&store, get("k")).await.unwrap(), b"y");
    let target = wire.authority();
    let head =
        format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nproxy-authorization: Basic dXNlcjpwQHNz\r\n\r\n");
    assert_eq!(*heads.lock().unwrap(), [head], "one tunnel for both");
    assert!(wire.asked().iter().all(|asked| asked.header("proxy-authorization").is_none()));
    assert!(!format!("{store:?}").contains("p@ss"));
}

/// A store that only this proxy can reach.
fn behind(proxy: &Wire, endpoint: &str) -> HttpStore {
    let mut options = Options::new(Dialect::Oss, BucketName::new("bkt"));
    options.endpoint = Some(endpoint.to_owned());
    options.ca_bundle = bundle();
    options.proxy = Some(format!("http://user:hush@{}", proxy.authority()).parse().unwrap());
    store(options)
}

#[tokio::test]
async fn plain_requests_are_handed_to_the_proxy() {
    let replies = vec![Reply::new("200 OK", &[], "x"), Reply::new("407 No", &[], ""), Reply::new("404 No", &[], "")];
    let proxy = Wire::new(replies);
    let store = behind(&proxy, "http://oss.invalid:8080");
    assert_eq!(read(&store, get("k")).await.unwrap(), b"x");
    let asked = &proxy.asked()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "http://bkt.oss.invalid:8080/k"));
    assert_eq!(asked.header("host"), Some("bkt.oss.invalid:8080"));
    assert!(asked.header("proxy-authorization").unwrap().starts_with("Basic "));
    let error = read(&store, get("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "trying again would not help");
    assert!(
        error.to_string().contains("requires a user and password") && !error.to_string().contains("hush"),
        "{error}"
    );
    assert_eq!(read(&store, get("k")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn refusals_of_a_proxy_are_told_apart() {
    for (reply, kind, says) in [
        ("HTTP/1.1 407 Who?\r\n\r\n", ErrorKind::Invalid, "requires a user and password"),
        ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", ErrorKind::Invalid, "does not connect to bkt.oss.invalid:443"),
        ("HTTP/1.1 502 Gone\r\n\r\n", ErrorKind::Network, "cannot reach bkt.oss.invalid:443"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", ErrorKind::Protocol, "sends data before it is asked"),
        ("SSH-2.0-proxy\r\n\r\n", ErrorKind::Protocol, "is not HTTP"),
        ("", ErrorKind::Network, "sent no answer"),
    ] {
        let proxy = Wire::new(vec![Reply::Close(reply.as_bytes().to_vec())]);
        let error = read(&behind(&proxy, "https://oss.invalid"), get("k")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{reply}: {error}");
        assert!(error.to_string().contains(says), "{reply}: {error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
    let proxy = Wire::new(Vec::new());
    let store = behind(&proxy, "https://oss.invalid");
    drop(proxy);
    let error = read(&store, get("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    let said = error.to_string();
    assert!(
        said.contains("the proxy http://127.0.0.1") && said.contains("refuses the connection; set proxy to"),
        "{error}"
    );
    assert!(!said.contains("hush") && !said.contains("oss.invalid"), "{error}");
}

/// A server that answers each connection once, and remembers where it came from.
fn peers() -> (String, Arc<Mutex<Vec<IpAddr>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let peers = Arc::new(Mutex::new(Vec::new()));
    let remembered = peers.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            remembered.lock().unwrap().push(stream.peer_addr().unwrap().ip());
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx").unwrap();
        }
    });
    (url, peers)
}

#[tokio::test]
async fn connections_set_out_from_each_in_turn() {
    for (bind, expected) in [
        (&["127.0.0.2", "127.0.0.3"][..], ["127.0.0.2", "127.0.0.3", "127.0.0.2"]),
        // An interface takes the address that leads there.
        (&["lo"], ["127.0.0.1"; 3]),
    ] {
        let (url, peers) = peers();
        let mut options = Options::new(Dialect::Oss, BucketName::new("bkt"));
        options.endpoint = Some(url);
        options.bind = bind.iter().map(|text| text.parse().unwrap()).collect();
        let store = store(options);
        for _ in 0..3 {
            assert_eq!(read(&store, get("k")).await.unwrap(), b"x");
        }
        let seen: Vec<String> = peers.lock().unwrap().iter().map(IpAddr::to_string).collect();
        assert_eq!(seen, expected, "{bind:?}");
    }
}

#[test]
fn what_the_machine_lacks_is_told_before_anything_is_sent() {
    let mut options = Options::new(Dialect::Oss, BucketName::new("bkt"));
    options.endpoint = Some("http://127.0.0.1:1".to_owned());
    options.bind = vec!["no-such-if0".parse().unwrap()];
    let error = HttpStore::new(options, Clock::manual(NOW)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("bind: this machine has no no-such-if0"), "{error}");
}
