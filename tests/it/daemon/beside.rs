//! What is served beside a mount: figures that are right, and health that is told while the bucket is not well.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ossmount::emulator::{Emulator, Fault, FaultKind, Operation};
use serde_json::json;

use crate::control::{Client, Mount};
use crate::support::program::{Target, Tool, server, until};

const MIB: u64 = 1 << 20;

/// An answer over HTTP.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request as it stands, and takes all that comes.
fn exchange(mut stream: impl Read + Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A mount with a socket for figures beside it.
struct Bed {
    mount: Mount,
}

impl Bed {
    fn with(args: &[&str]) -> Bed {
        let (server, target) = (server(), Target::new());
        let tool = Tool::for_server(&server);
        let socket = target.beside("metrics.sock");
        let mut all = vec!["--metrics-listen", socket.to_str().unwrap()];
        all.extend(args);
        target.mount(&tool, "oss://bucket", &all).ok();
        Bed { mount: Mount { server, tool, target } }
    }

    fn server(&self) -> &Emulator {
        &self.mount.server
    }

    fn send(&self, request: &str) -> Answer {
        exchange(UnixStream::connect(self.mount.target.beside("metrics.sock")).unwrap(), request)
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    /// Every series with its value.
    fn figures(&self) -> HashMap<String, f64> {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.strip_prefix("ossmount_").unwrap().to_owned(), value.parse().unwrap())
            })
            .collect()
    }
}

/// The page shows what `status` shows, under the same rules as the figures, with what it takes from others escaped.
#[test]
fn the_page_shows_rates_and_loads_nothing() {
    let bed = Bed::with(&[]);
    bed.server().put("bucket", "secret<name>", vec![7; MIB as usize]);
    fs::read(bed.mount.target.path("a.txt")).unwrap();
    let page = bed.get("/");
    assert_eq!(page.status, 200);
    for header in
        ["content-type: text/html; charset=utf-8", "content-security-policy: default-src 'none'", "nosniff", "no-store"]
    {
        assert!(page.head.contains(header), "{header} is not in {}", page.head);
    }
    let dir = bed.mount.target.dir();
    assert!(
        page.body.contains(&format!("<h1>oss://bucket on {dir}</h1>")) && page.body.contains("<p class=good>ok</p>")
    );
    assert!(page.body.contains("read: 0B/s") && page.body.contains("requests  0 GET/s"), "{}", page.body);
    fs::read(bed.mount.target.path("secret<name>")).unwrap();
    until("the page shows that something was read", || !bed.get("/").body.contains("read: 0B/s, at most 0B/s"));
    let later = bed.get("/").body;
    assert!(!later.contains("secret") && !later.contains("<script"), "{later}");
    let posted = bed.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(posted.status, 405);
}

/// Reads a whole file in pieces of 128 KiB, past the page cache.
fn read_in_pieces(path: &Path) -> u64 {
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut piece = vec![0; 128 << 10];
    for offset in (0..size).step_by(piece.len()) {
        file.read_exact_at(&mut piece, offset).unwrap();
    }
    size / piece.len() as u64
}

#[test]
fn figures_are_right_after_a_known_read() {
    let bed = Bed::with(&["--direct-io", "on"]);
    bed.server().put("bucket", "dir/new.bin", vec![7; 3 * MIB as usize]);
    let path = bed.mount.target.path("dir/new.bin");
    let before = bed.figures();
    let reads = read_in_pieces(&path) as f64;
    let first = bed.figures();
    let grown = |series: &str, from: &HashMap<String, f64>, to: &HashMap<String, f64>| to[series] - from[series];
    let sources = ["buffer", "under-way", "store"];
    let counts =
        |from, to| sources.map(|source| grown(&format!("read_duration_seconds_count{{source={source:?}}}"), from, to));
    let bytes = |from, to| sources.map(|source| grown(&format!("read_size_bytes_sum{{source={source:?}}}"), from, to));
    assert_eq!(grown("reads_total", &before, &first), reads);
    assert_eq!(grown("read_bytes_total", &before, &first), (3 * MIB) as f64);
    assert_eq!(grown("fetched_bytes_total", &before, &first), (3 * MIB) as f64, "each byte once");
    assert_eq!(grown(r#"checksums_total{result="match"}"#, &before, &first), 1.0);
    assert_eq!(counts(&before, &first).iter().sum::<f64>(), reads);
    assert_eq!(bytes(&before, &first).iter().sum::<f64>(), (3 * MIB) as f64);
    assert_eq!(counts(&before, &first)[2], 1.0, "one request for all of it");

    read_in_pieces(&path);
    let second = bed.figures();
    assert_eq!(counts(&first, &second), [reads, 0.0, 0.0], "all of it is in memory");
    assert_eq!(bytes(&first, &second), [(3 * MIB) as f64, 0.0, 0.0]);
    assert_eq!(grown("reads_buffered_total", &first, &second), reads);
    assert_eq!(grown(r#"read_size_bytes_bucket{source="buffer",le="65536"}"#, &first, &second), 0.0);
    assert_eq!(grown(r#"read_size_bytes_bucket{source="buffer",le="131072"}"#, &first, &second), reads);
    for series in ["fetched_bytes_total", r#"requests_total{op="get"}"#, "read_errors_total"] {
        assert_eq!(grown(series, &first, &second), 0.0, "{series}");
    }
    let held = second[r#"memory_bytes{consumer="read-buffers"}"#];
    assert!(held >= (3 * MIB) as f64 && held <= second[r#"memory_limit_bytes{consumer="read-buffers"}"#], "{held}");
    assert!(second[r#"memory_bytes{consumer="names"}"#] > 0.0 && second["resident_bytes"] > (3 * MIB) as f64);
    assert_eq!((second["requests_in_flight"], second["reads_waiting"]), (0.0, 0.0));
    until("the kernel has told of the close", || bed.figures()["open_files"] == 0.0);
    assert!(second["credentials_obtained_timestamp_seconds"] >= second["start_time_seconds"] - 1.0);
    assert!(!second.contains_key("credentials_expire_timestamp_seconds"), "these keys do not end");
    assert_eq!(fs::read_dir(bed.mount.target.path("dir/deep")).unwrap().count(), 1);
    fs::metadata(bed.mount.target.path("dir/deep/none")).unwrap_err();
    let third = bed.figures();
    assert!(grown("list_pages_total", &second, &third) >= 1.0 && grown("listed_names_total", &second, &third) >= 1.0);
    assert!(grown("lookups_known_total", &second, &third) >= 1.0, "the listing has shown that it is not there");
    let about = format!(
        "info{{source=\"oss://bucket\",directory=\"{}\",version=\"{}\"}}",
        bed.mount.target.dir(),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(second[&about], 1.0);
}

#[test]
fn retries_are_told_by_cause() {
    let bed = Bed::with(&[]);
    for (kind, name) in [
        (FaultKind::Status500, "a.txt"),
        (FaultKind::ShortBody, "dir/b.txt"),
        (FaultKind::Throttle(Duration::from_millis(1)), "dir/deep/c.txt"),
    ] {
        bed.server().set_faults(vec![Fault::once(kind).on(Operation::GetObject).for_keys_with(name)]);
        fs::read(bed.mount.target.path(name)).unwrap();
    }
    let figures = bed.figures();
    for cause in ["server", "network", "throttled"] {
        assert_eq!(figures[&format!("retries_total{{cause={cause:?}}}")], 1.0, "{cause}");
    }
    assert_eq!((figures["throttled_total"], figures["request_errors_total"]), (1.0, 0.0));
}

#[test]
fn health_is_told_while_every_read_waits() {
    let bed = Bed::with(&[]);
    assert_eq!((bed.get("/healthz").status, bed.get("/readyz").status), (200, 200));
    bed.server().put("bucket", "dir/big.bin", vec![7; MIB as usize]);
    bed.server().set_faults(vec![Fault::always(FaultKind::StallBeforeHeaders(Duration::from_secs(600)))]);
    let readers: Vec<_> = ["a.txt", "dir/b.txt", "dir/deep/c.txt"]
        .map(|name| {
            let path = bed.mount.target.path(name);
            thread::spawn(move || fs::read(path).map(|bytes| bytes.len()))
        })
        .into();
    until("all of them wait", || {
        let figures = bed.figures();
        figures["reads_waiting"] + figures["requests_in_flight"] >= 3.0
    });
    for path in ["/healthz", "/metrics"] {
        assert_eq!(bed.get(path).status, 200, "{path}");
    }
    bed.server().set_faults(Vec::new());
    // What waits is let go with the mount; the test does not wait for the time-out of a request.
    bed.mount.tool.run(&["umount", "-l", bed.mount.target.dir()]);
    drop(bed);
    for reader in readers {
        let _ = reader.join().unwrap();
    }
}

#[test]
fn a_store_that_is_silent_is_told_in_every_place_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let bed = Bed::with(&["--log-file", log.to_str().unwrap()]);
    let health = || bed.mount.client().done(&json!({"op": "health"}));
    assert_eq!(health()["status"], "ok");
    bed.server().put("bucket", "dir/big.bin", vec![7; MIB as usize]);
    bed.server().set_faults(vec![Fault::always(FaultKind::StallBeforeHeaders(Duration::from_secs(600)))]);
    let path = bed.mount.target.path("dir/b.txt");
    let reader = thread::spawn(move || fs::read(path).map(|bytes| bytes.len()));
    until("it is told", || health()["status"] == "silent");
    let sentence = health()["trouble"].as_str().unwrap().to_owned();
    assert!(sentence.starts_with("the store has not answered for 1"), "{sentence}");
    let (ready, alive) = (bed.get("/readyz"), bed.get("/healthz"));
    assert_eq!((ready.status, alive.status), (503, 200));
    for told in [&ready.body, &alive.body] {
        assert!(told.starts_with("the store has not answered for "), "{told}");
    }
    assert!(bed.figures()["trouble_seconds"] >= 10.0);
    let warnings = |words: &str| {
        let log = fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains("WARN") && line.contains(words)).count()
    };
    until("the log says so", || warnings("the store has not answered for ") == 1);
    until("it was looked at again", || bed.figures()["trouble_seconds"] >= 13.0);
    assert_eq!(warnings("the store has not answered for "), 1, "once");
    bed.server().set_faults(Vec::new());
    assert_eq!(reader.join().unwrap().unwrap(), 5);
    until("all is well", || health()["status"] == "ok");
    until("the log says so", || warnings("the store answers again") == 1);
    assert_eq!((bed.get("/readyz").status, bed.figures()["trouble_seconds"]), (200, 0.0));
}

#[test]
fn clients_that_say_nothing_keep_nobody_from_asking_about_health() {
    let bed = Bed::with(&[]);
    let path = bed.mount.target.beside("metrics.sock");
    let mut silent: Vec<_> = (0..200).map(|_| UnixStream::connect(&path).unwrap()).collect();
    // Half of a request is no request.
    silent.iter_mut().skip(150).for_each(|stream| drop(stream.write_all(b"GET /healthz HT")));
    let client = UnixStream::connect(&path).unwrap();
    // Each of them may take 10 s over its request, so that a place would not be free before.
    client.set_read_timeout(Some(Duration::from_secs(9))).unwrap();
    assert_eq!(exchange(client, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").body, "ok\n");
    let mut newest = silent.pop().unwrap();
    newest.write_all(b"TP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    newest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "the oldest make room and not the newest: {answer:?}");
}

#[test]
fn only_what_there_is_is_answered() {
    let bed = Bed::with(&[]);
    let metrics = bed.get("/metrics");
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert_eq!((bed.get("/x").status, bed.get("/metrics/x").status), (404, 404));
    let posted = bed.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(posted.status == 405 && posted.head.contains("allow: get, head"), "{}", posted.head);
    let asked = bed.send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((asked.status, asked.body.as_str()), (200, ""));
    assert_eq!(bed.send("nonsense\r\n\r\n").status, 400);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(64 << 10));
    let mut stream = UnixStream::connect(bed.mount.target.beside("metrics.sock")).unwrap();
    // What comes back may be lost with the connection, which ends before all of the request was taken.
    let _ = stream.write_all(long.as_bytes()).and_then(|()| stream.read_to_end(&mut Vec::new()));
    assert_eq!(bed.get("/healthz").status, 200, "others are served as before");

    let by_socket = bed.mount.client().done(&json!({"op": "metrics"}));
    let printed = bed.mount.tool.run(&["status", "--prometheus", bed.mount.target.dir()]).ok().stdout;
    for text in [by_socket["text"].as_str().unwrap(), &printed] {
        assert!(text.starts_with("# HELP ossmount_requests_total "), "{text}");
    }
}

#[test]
fn an_address_that_cannot_be_had_is_said_at_the_start() {
    let (server, target) = (server(), Target::new());
    let tool = Tool::for_server(&server);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mounted = |listen: &str| target.mount(&tool, "oss://bucket", &["--metrics-listen", listen]);
    mounted(&address).fails(1, &["metrics-listen", &address, "in use", "name another address"]);
    mounted("192.0.2.1:1").fails(1, &["metrics-listen 192.0.2.1:1"]);
    mounted("9464").fails(2, &["--metrics-listen", "127.0.0.1:9464"]);
    let file = target.beside("file");
    fs::write(&file, "not a socket").unwrap();
    mounted(file.to_str().unwrap()).fails(1, &["not a socket"]);
    assert!(!target.is_mounted() && target.daemon().is_none());

    mounted("127.0.0.1:0").ok();
    let health = Client::of(&target).done(&json!({"op": "health"}));
    let stream = TcpStream::connect(health["metrics"].as_str().unwrap()).unwrap();
    assert_eq!(exchange(stream, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").body, "ok\n");
}
