//! Mounts whose endpoint has several addresses, one of which is dead in one way or another: a reader gets all
//! bytes, and the dead one is left alone.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ossmount::base::{BucketName, Clock};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Options as Served};
use ossmount::metrics::Metrics;
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{Addresses, Dialect, Options, connect};

use crate::conformance::pattern;
use crate::support::bed::Recipe;

const DEAD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const FILES: usize = 24;
const LEN: usize = 300_000;

/// A dead address, for as long as this lives.
enum Dead {
    /// It refuses connections.
    Refuses,
    /// It does not answer to the first packet of a connection.
    Swallows { _full: (TcpListener, Vec<TcpStream>) },
    /// It takes connections and requests, and says nothing.
    IsSilent(Arc<AtomicBool>, SocketAddr),
}

impl Dead {
    fn refuses(_: u16) -> Dead {
        Dead::Refuses
    }

    fn swallows(port: u16) -> Dead {
        let listener = TcpListener::bind((DEAD, port)).unwrap();
        // SAFETY: no memory is involved.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        // The queue of what is not accepted holds one or two.
        let to = listener.local_addr().unwrap();
        let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&to, Duration::from_millis(300)).ok());
        let waiting = waiting.take(16).collect();
        Dead::Swallows { _full: (listener, waiting) }
    }

    fn is_silent(port: u16) -> Dead {
        let listener = TcpListener::bind((DEAD, port)).unwrap();
        let (over, to) = (Arc::new(AtomicBool::new(false)), listener.local_addr().unwrap());
        let ended = over.clone();
        std::thread::spawn(move || {
            let mut taken = Vec::new();
            while !ended.load(Ordering::SeqCst) {
                taken.extend(listener.accept());
            }
        });
        Dead::IsSilent(over, to)
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        if let Dead::IsSilent(over, to) = self {
            over.store(true, Ordering::SeqCst);
            // Wakes the thread that accepts.
            let _ = TcpStream::connect(*to);
        }
    }
}

/// Reads everything through a mount; requests to the dead address and to the other one, and the longest wait.
fn read_all(dead: fn(u16) -> Dead) -> (u64, u64, Duration) {
    let emulator = Emulator::start(Served::default()).unwrap();
    emulator.create_bucket("bucket");
    for n in 0..FILES {
        emulator.put("bucket", &format!("dir-{}/{n}", n % 4), pattern(LEN + n));
    }
    let (port, live) = (emulator.address().port(), emulator.address().ip());
    let _dead = dead(port);
    let mut options = Options::new(Dialect::Oss, BucketName::new("bucket"));
    // The dead one is the first that the resolver names.
    options.addresses = Addresses::resolved_by(move |_| Ok(vec![DEAD, live]));
    options.endpoint = Some(format!("http://store.test:{port}"));
    options.region = Some("cn-hangzhou".to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    let addresses = options.addresses.clone();
    let store = connect(options, Arc::new(Metrics::default()), Clock::system()).unwrap().store;
    let bed = Recipe::default().make(store);
    let mut longest = Duration::ZERO;
    let mut timed = |operation: &dyn Fn()| {
        let began = Instant::now();
        operation();
        longest = longest.max(began.elapsed());
    };
    for n in 0..FILES {
        let path = bed.path(format!("dir-{}/{n}", n % 4));
        timed(&|| assert!(fs::read(&path).unwrap() == pattern(LEN + n), "file {n}"));
        timed(&|| assert!(!fs::exists(bed.path(format!("none-{n}"))).unwrap()));
    }
    for directory in 0..4 {
        timed(&|| assert_eq!(fs::read_dir(bed.path(format!("dir-{directory}"))).unwrap().count(), FILES / 4));
    }
    drop(bed);
    let served = addresses.served(&Clock::system());
    let requests = |ip: IpAddr| served.iter().find(|one| one.address.ip() == ip).map_or(0, |one| one.requests);
    (requests(DEAD), requests(live), longest)
}

#[test]
fn a_mount_reads_on_where_one_address_of_the_endpoint_is_dead() {
    for (what, dead) in
        [("refuses", Dead::refuses as fn(u16) -> Dead), ("swallows", Dead::swallows), ("is silent", Dead::is_silent)]
    {
        let (dead, live, longest) = read_all(dead);
        println!("{what}: {dead} requests to the dead address, {live} to the other; longest wait {longest:?}");
        assert!(dead <= 4 && live >= FILES as u64, "{what}: {dead} and {live}");
    }
}
