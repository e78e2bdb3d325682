//! The store's HTTP client against names with several addresses: servers on loopback, one for each address, some of
//! which accept connections and never answer.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ossmount::base::{BucketName, Clock, Key};
use ossmount::metrics::Metrics;
use ossmount::store::{Addresses, Dialect, HttpStore, Options, PutRequest, Sign, StoreMut, connect};

use crate::http::wire::{NOW, get, read};

/// What a server does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    /// It takes the request and says nothing.
    Silent,
    /// It is busy.
    Fails,
}

/// A server at one address, until dropped.
struct Server {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    fn at(address: SocketAddr, manner: Manner) -> Option<Server> {
        let listener = TcpListener::bind(address).ok()?;
        let server = Server {
            address: listener.local_addr().ok()?,
            manner: Arc::new(Mutex::new(manner)),
            requests: Arc::default(),
            open: Arc::default(),
        };
        let (manner, requests, open) = (server.manner.clone(), server.requests.clone(), server.open.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Nothing is kept open any more: the server was dropped.
                if Arc::strong_count(&open) == 1 {
                    return;
                }
                let Ok(stream) = stream else { return };
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (manner, requests) = (manner.clone(), requests.clone());
                thread::spawn(move || serve(stream, &manner, &requests));
            }
        });
        Some(server)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
        self.open = Arc::default();
        // Wakes the thread that accepts, and waits until it listens no more.
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }
}

fn serve(mut stream: TcpStream, manner: &Mutex<Manner>, requests: &AtomicUsize) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    loop {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        head.clear();
        requests.fetch_add(1, Ordering::SeqCst);
        let answer: &[u8] = match *manner.lock().unwrap() {
            Manner::Answers => b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1\r\n\r\nx",
            Manner::Fails => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            Manner::Silent => continue,
        };
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// Servers on the same port of 127.0.0.1, 127.0.0.2 and so on.
fn servers(manners: &[Manner]) -> Vec<Server> {
    let at = |last: usize, port| SocketAddr::new(IpAddr::from([127, 0, 0, last as u8 + 1]), port);
    for _ in 0..100 {
        let first = Server::at(at(0, 0), manners[0]).unwrap();
        let port = first.address.port();
        let others = manners.iter().enumerate().skip(1).map(|(last, manner)| Server::at(at(last, port), *manner));
        if let Some(others) = others.collect::<Option<Vec<_>>>() {
            return std::iter::once(first).chain(others).collect();
        }
    }
    panic!("no port is free on all addresses");
}

/// Options for a name that resolves to the addresses of these servers.
fn options(servers: &[Server]) -> Options {
    let all: Vec<IpAddr> = servers.iter().map(|server| server.address.ip()).collect();
    let mut options = Options::new(Dialect::Oss, BucketName::new("bkt"));
    options.addresses = Addresses::resolved_by(move |_| Ok(all.clone()));
    options.endpoint = Some(format!("http://store.test:{}", servers[0].address.port()));
    options.region = Some("cn-x".into());
    options.sign = Sign::None;
    options
}

fn counts(servers: &[Server]) -> Vec<usize> {
    servers.iter().map(Server::requests).collect()
}

#[tokio::test]
async fn requests_are_spread_over_all_addresses_of_a_name() {
    let servers = servers(&[Manner::Answers; 3]);
    let options = options(&servers);
    let addresses = options.addresses.clone();
    let store = HttpStore::new(options, Clock::system()).unwrap();
    for _ in 0..4 {
        for bytes in futures::future::join_all((0..30).map(|_| read(&store, get("k")))).await {
            assert_eq!(bytes.unwrap(), b"x");
        }
    }
    let counts = counts(&servers);
    assert!(counts.iter().sum::<usize>() == 120 && counts.iter().all(|count| *count >= 20), "{counts:?}");
    let served: Vec<usize> = addresses.served(&Clock::system()).iter().map(|one| one.requests as usize).collect();
    assert_eq!(served, counts, "status tells the same");
}

#[tokio::test]
async fn an_address_that_accepts_and_never_answers_is_left_for_another_and_tried_again() {
    let servers = servers(&[Manner::Silent, Manner::Answers]);
    let clock = Clock::manual(NOW);
    let store = Arc::new(HttpStore::new(options(&servers), clock.clone()).unwrap());
    let asking = store.clone();
    let hanging = tokio::spawn(async move { read(&*asking, get("k")).await });
    while servers[0].requests() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.advance(Duration::from_secs(3));
    for _ in 0..20 {
        assert_eq!(read(&*store, get("k")).await.unwrap(), b"x");
    }
    assert_eq!(hanging.await.unwrap().unwrap(), b"x", "it is asked for at the other address");
    for _ in 0..20 {
        futures::future::join_all((0..4).map(|_| read(&*store, get("k"))))
            .await
            .into_iter()
            .for_each(|x| drop(x.unwrap()));
    }
    assert_eq!(counts(&servers), [1, 101]);
    clock.advance(Duration::from_secs(11));
    servers[0].set(Manner::Answers);
    futures::future::join_all((0..20).map(|_| read(&*store, get("k"))))
        .await
        .into_iter()
        .for_each(|x| drop(x.unwrap()));
    assert!(servers[0].requests() > 1, "it is tried again after a while");
}

#[tokio::test]
async fn what_may_change_something_stays_where_it_was_sent() {
    let servers = servers(&[Manner::Silent, Manner::Silent, Manner::Answers]);
    let clock = Clock::manual(NOW);
    let store = Arc::new(HttpStore::new(options(&servers), clock.clone()).unwrap());
    let (changing, reading) = (store.clone(), store.clone());
    let changed = tokio::spawn(async move { changing.put(PutRequest::new(Key::new("k"), "x")).await });
    while servers[0].requests() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let read = tokio::spawn(async move { read(&*reading, get("k")).await });
    while servers[1].requests() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.advance(Duration::from_secs(3));
    assert_eq!(read.await.unwrap().unwrap(), b"x");
    assert_eq!(counts(&servers), [1, 1, 1]);
    changed.abort();
    assert!(changed.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_second_try_goes_to_another_address() {
    let servers = servers(&[Manner::Fails, Manner::Answers]);
    let mut options = options(&servers);
    options.retry.base_delay = Duration::from_millis(1);
    let connected = connect(options, Arc::<Metrics>::default(), Clock::system()).unwrap();
    assert_eq!(read(&*connected.store, get("k")).await.unwrap(), b"x");
    assert_eq!(counts(&servers), [1, 1]);
}

#[tokio::test]
async fn an_address_that_refuses_connections_costs_nothing() {
    let mut servers = servers(&[Manner::Answers, Manner::Answers]);
    let options = options(&servers);
    drop(servers.remove(0));
    let addresses = options.addresses.clone();
    let store = HttpStore::new(options, Clock::manual(NOW)).unwrap();
    for _ in 0..10 {
        assert_eq!(read(&store, get("k")).await.unwrap(), b"x");
    }
    let served = addresses.served(&Clock::manual(NOW));
    assert_eq!(
        served.iter().map(|one| (one.failures, one.is_passed_over)).collect::<Vec<_>>(),
        [(1, true), (0, false)]
    );
}
