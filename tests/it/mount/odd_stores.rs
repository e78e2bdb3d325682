//! Real mounts over stores that give one version several entity tags, or none, or frame their answers in old ways, or
//! send more than was asked for: files are read, what has changed is ESTALE, and no descriptor mixes two versions.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ossmount::base::Clock;
use ossmount::fs::Ttl;
use ossmount::metrics::{Metric, Metrics};
use ossmount::read::Prefetch;
use ossmount::store::{Dialect, connect};

use crate::http::wire::options;
use crate::support::bed::{Bed, Kitchen, Recipe};
use crate::support::wire::{Asked, Reply, Wire};

const BIG: usize = 3 << 20;

/// One object of the store: `a` in one version after another.
#[derive(Clone)]
struct Version {
    number: u32,
    bytes: Vec<u8>,
    /// The second of the minute in which it was put.
    second: u32,
}

/// How answers are bent. Tags are made of the number of the version.
#[derive(Clone, Copy)]
struct Ways {
    listed: fn(u32) -> String,
    head: fn(u32) -> String,
    whole: fn(u32) -> String,
    part: fn(u32) -> String,
    /// Whether If-Match is compared with the tag of the HEAD.
    compares: bool,
    /// Whether HEADs are refused.
    refuses_heads: bool,
    /// What becomes of the Range header.
    ranges: Ranges,
    /// An answer with this status, these header lines and this body.
    answer: fn(u16, Vec<String>, &[u8]) -> Vec<u8>,
}

/// What a server makes of the Range header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Obeyed,
    Ignored,
    /// Answers begin and end at multiples of so many bytes.
    Rounded(usize),
}

fn plain(number: u32) -> String {
    format!("ETag: \"v{number}\"")
}

fn other(number: u32) -> String {
    format!("ETag: \"e{number}\"")
}

fn longer(number: u32) -> String {
    format!("ETag: \"v{number}-part\"")
}

fn weak(number: u32) -> String {
    format!("ETag: W/\"v{number}\"")
}

fn absent(_: u32) -> String {
    "X-None: 1".to_owned()
}

/// Another one in every answer.
fn fresh(number: u32) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("ETag: \"v{number}-{}\"", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn usual(status: u16, mut lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    lines.push(format!("Content-Length: {}", body.len()));
    head("HTTP/1.1", status, &lines, body)
}

fn head(version: &str, status: u16, lines: &[String], body: &[u8]) -> Vec<u8> {
    let head = format!("{version} {status} X\r\n{}\r\n\r\n", lines.join("\r\n"));
    [head.as_bytes(), body].concat()
}

fn chunked(status: u16, mut lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    lines.push("Transfer-Encoding: chunked".to_owned());
    let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    head("HTTP/1.1", status, &lines, if body.is_empty() { b"0\r\n\r\n" } else { &chunk })
}

fn until_close(status: u16, lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    head("HTTP/1.0", status, &lines, body)
}

fn without_range(status: u16, lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    usual(status, lines.into_iter().filter(|line| !line.starts_with("Content-Range")).collect(), body)
}

fn starred(status: u16, lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    let star = |line: String| match line.split_once('/') {
        Some((range, _)) if line.starts_with("Content-Range") => format!("{range}/*"),
        _ => line,
    };
    usual(status, lines.into_iter().map(star).collect(), body)
}

fn called_200(_: u16, lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    without_range(200, lines, body)
}

fn chunked_200(_: u16, lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    chunked(200, lines.into_iter().filter(|line| !line.starts_with("Content-Range")).collect(), body)
}

fn with_odd_headers(status: u16, mut lines: Vec<String>, body: &[u8]) -> Vec<u8> {
    lines.extend(["x-amz-meta-my note: 1", "X-Served-By : 1", "x-amz-meta-c: a\u{4}b"].map(str::to_owned));
    usual(status, lines, body)
}

const USUAL: Ways = Ways {
    listed: plain,
    head: plain,
    whole: plain,
    part: plain,
    compares: true,
    refuses_heads: false,
    ranges: Ranges::Obeyed,
    answer: usual,
};

/// No answer has a tag.
const UNTAGGED: Ways = Ways { head: absent, whole: absent, part: absent, ..USUAL };

/// Every answer has another tag.
const FRESH: Ways = Ways { head: fresh, whole: fresh, part: fresh, ..USUAL };

/// A server with the object `a` of these ways.
struct Server {
    wire: Wire,
    version: Arc<Mutex<Version>>,
    /// What the store over it counts.
    metrics: Arc<Metrics>,
}

fn bytes(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(number.wrapping_mul(2) + 1) as u8 ^ (at >> 9) as u8).collect()
}

impl Server {
    fn new(ways: Ways, len: usize) -> Server {
        let version = Arc::new(Mutex::new(Version { number: 1, bytes: bytes(1, len), second: 30 }));
        let current = version.clone();
        let wire = Wire::answering(move |asked| {
            let version = current.lock().unwrap().clone();
            let bytes = ways.reply(&version, asked);
            Some(if bytes.starts_with(b"HTTP/1.0") { Reply::Close(bytes) } else { Reply::Keep(bytes) })
        });
        Server { wire, version, metrics: Arc::default() }
    }

    /// Puts another version of the same size.
    fn replace(&self, second: u32) -> Vec<u8> {
        let mut version = self.version.lock().unwrap();
        let number = version.number + 1;
        *version = Version { number, bytes: bytes(number, version.bytes.len()), second };
        version.bytes.clone()
    }

    fn mount(&self, dialect: Dialect) -> (Bed, Kitchen) {
        self.mount_with(dialect, Recipe::default().fs.metadata_ttl)
    }

    /// With this time for which names are believed.
    fn mount_with(&self, dialect: Dialect, ttl: Ttl) -> (Bed, Kitchen) {
        let kitchen = Kitchen::new();
        let mut options = options(&self.wire, dialect);
        options.retry.base_delay = Duration::from_millis(1);
        let store = {
            let _inside = kitchen.runtime.enter();
            connect(options, self.metrics.clone(), Clock::system()).unwrap().store
        };
        let mut recipe = Recipe::default();
        recipe.read.prefetch = Prefetch::Off;
        recipe.fs.metadata_ttl = ttl;
        (recipe.make(store), kitchen)
    }

    fn count(&self, what: impl Fn(&Asked) -> bool) -> usize {
        self.wire.asked().iter().filter(|asked| what(asked)).count()
    }
}

impl Ways {
    fn reply(&self, version: &Version, asked: &Asked) -> Vec<u8> {
        let Version { number, bytes, second } = version;
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let time = format!("Last-Modified: Thu, 29 Feb 2024 12:34:{second:02} GMT");
        if path == "/bkt/" {
            let tag = (self.listed)(*number).replace("ETag: ", "").replace("X-None: 1", "");
            let entry = |key: &str, len: usize| {
                format!(
                    "<Contents><Key>{key}</Key><LastModified>2024-02-29T12:34:{second:02}.000Z</LastModified>\
                     <ETag>{tag}</ETag><Size>{len}</Size></Contents>"
                )
            };
            let below =
                query.contains("prefix=a%2F") || query.contains("prefix=b%2F") || query.contains("prefix=empty%2F");
            let one = ["a", "b", "empty"].iter().find(|key| query.contains(&format!("prefix={key}")));
            let entries: Vec<_> = [("a", bytes.len()), ("b", bytes.len()), ("empty", 0)]
                .iter()
                .filter(|(key, _)| !below && one.is_none_or(|one| one == key))
                .map(|(key, len)| entry(key, *len))
                .collect();
            let xml = format!("<ListBucketResult><KeyCount>3</KeyCount>{}</ListBucketResult>", entries.concat());
            return usual(200, Vec::new(), xml.as_bytes());
        }
        let bytes: &[u8] = match path {
            "/bkt/a" | "/bkt/b" => bytes,
            "/bkt/empty" => b"",
            _ => return usual(404, Vec::new(), b""),
        };
        if asked.method == "HEAD" && self.refuses_heads {
            return head("HTTP/1.1", 403, &[], b"");
        }
        if asked.method == "HEAD" {
            let length = format!("Content-Length: {}", bytes.len());
            let lines: Vec<_> =
                [(self.head)(*number), time].into_iter().chain((!bytes.is_empty()).then_some(length)).collect();
            return head("HTTP/1.1", 200, &lines, b"");
        }
        let wanted = asked.header("if-match").map(|tag| format!("ETag: {tag}"));
        if self.compares && wanted.is_some_and(|wanted| wanted != (self.head)(*number)) {
            return usual(412, Vec::new(), b"");
        }
        let range = asked.header("range").filter(|_| self.ranges != Ranges::Ignored);
        match range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
            Some((first, last)) => {
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                let (first, last) = match self.ranges {
                    Ranges::Rounded(step) => (first / step * step, (last / step + 1) * step - 1),
                    _ => (first, last),
                };
                let last = last.min(bytes.len() - 1);
                let range = format!("Content-Range: bytes {first}-{last}/{}", bytes.len());
                (self.answer)(206, vec![(self.part)(*number), time, range], &bytes[first..=last])
            }
            None => (self.answer)(200, vec![(self.whole)(*number), time], bytes),
        }
    }
}

/// Every way to bend answers, by name.
fn all_ways() -> Vec<(&'static str, Ways)> {
    vec![
        ("usual", USUAL),
        ("the listing has its own tags", Ways { listed: other, ..USUAL }),
        ("the listing has its own tags, and nothing is compared", Ways { listed: other, compares: false, ..USUAL }),
        ("parts have longer tags", Ways { part: longer, ..USUAL }),
        ("parts have longer tags, and nothing is compared", Ways { part: longer, compares: false, ..USUAL }),
        ("the listing and parts have their own tags", Ways { listed: other, part: longer, ..USUAL }),
        ("weak tags, which never match", Ways { head: weak, whole: weak, part: weak, ..USUAL }),
        ("weak tags", Ways { head: weak, whole: weak, part: weak, compares: false, ..USUAL }),
        ("objects have no tags", Ways { head: absent, whole: absent, part: absent, compares: false, ..USUAL }),
        ("no tags, and any that is asked for is refused", Ways { head: absent, whole: absent, part: absent, ..USUAL }),
        ("no tags anywhere", Ways { listed: absent, head: absent, whole: absent, part: absent, ..USUAL }),
        ("the listing has no tags", Ways { listed: absent, ..USUAL }),
        ("chunked", Ways { answer: chunked, ..USUAL }),
        ("until the connection closes", Ways { answer: until_close, ..USUAL }),
        ("no Content-Range", Ways { answer: without_range, ..USUAL }),
        ("Content-Range without a total", Ways { answer: starred, ..USUAL }),
        ("parts are called 200", Ways { answer: called_200, ..USUAL }),
        ("odd headers", Ways { answer: with_odd_headers, ..USUAL }),
        (
            "no tags and no Content-Range",
            Ways { head: absent, whole: absent, part: absent, compares: false, answer: without_range, ..USUAL },
        ),
        ("tags of its own and parts called 200", Ways { listed: other, answer: called_200, ..USUAL }),
        ("every GET has another tag", Ways { whole: fresh, part: fresh, ..USUAL }),
        ("every GET has another tag, and nothing is compared", Ways { head: plain, compares: false, ..FRESH }),
        ("every GET and HEAD has another tag, and any is refused", FRESH),
        ("every GET and HEAD has another tag", Ways { compares: false, ..FRESH }),
        ("every answer has another tag, and any is refused", Ways { listed: fresh, ..FRESH }),
        ("every answer has another tag", Ways { listed: fresh, compares: false, ..FRESH }),
        ("other tags in answers, none in listings", Ways { listed: absent, compares: false, ..FRESH }),
        ("other tags in answers, none in listings, and any is refused", Ways { listed: absent, ..FRESH }),
        ("HEADs are refused", Ways { refuses_heads: true, ..USUAL }),
        ("HEADs are refused, own tags in the listing", Ways { refuses_heads: true, listed: other, ..USUAL }),
        ("HEADs are refused, longer tags of parts", Ways { refuses_heads: true, part: longer, ..USUAL }),
        ("HEADs are refused, other tags in each GET", Ways { refuses_heads: true, head: plain, ..FRESH }),
        ("ranges are ignored", Ways { ranges: Ranges::Ignored, ..USUAL }),
        ("ranges are ignored, chunked", Ways { ranges: Ranges::Ignored, answer: chunked, ..USUAL }),
        ("ranges are ignored, until the end", Ways { ranges: Ranges::Ignored, answer: until_close, ..USUAL }),
        ("ranges are ignored, tags of its own", Ways { ranges: Ranges::Ignored, listed: other, ..USUAL }),
        ("ranges are ignored, other tags", Ways { ranges: Ranges::Ignored, compares: false, ..FRESH }),
        ("ranges are ignored, no tags", Ways { ranges: Ranges::Ignored, compares: false, ..UNTAGGED }),
        ("ranges are rounded", Ways { ranges: Ranges::Rounded(1 << 16), ..USUAL }),
        ("parts are called 200, chunked", Ways { answer: chunked_200, ..USUAL }),
    ]
}

#[test]
fn what_a_practical_client_reads_is_read() {
    for (dialect, lengths) in [(Dialect::Oss, &[20_000][..]), (Dialect::S3, &[1, 20_000, BIG])] {
        for (name, ways) in all_ways() {
            for &len in lengths {
                let server = Server::new(ways, len);
                let (bed, _kitchen) = server.mount(dialect);
                let expected = bytes(1, len);
                for (round, key) in ["a", "b", "a"].iter().enumerate() {
                    let file = File::open(bed.path(key)).unwrap();
                    let mut piece = vec![0; 5000.min(len)];
                    let at = (len / 2).min(len - piece.len()) as u64;
                    file.read_exact_at(&mut piece, at).unwrap_or_else(|error| {
                        panic!("{name}, {len} bytes, round {round}: {error}; {:?}", server.wire.asked())
                    });
                    let read = fs::read(bed.path(key)).unwrap_or_else(|error| panic!("{name}, {len} bytes: {error}"));
                    assert!(read == expected, "{name}: wrong bytes");
                }
                assert_eq!(fs::read(bed.path("empty")).unwrap(), b"", "{name}");
            }
        }
    }
}

#[test]
fn opens_that_ask_the_store_find_the_object_unchanged() {
    // An open that asks needs a HEAD.
    for (name, ways) in all_ways().into_iter().filter(|(_, ways)| !ways.refuses_heads) {
        let server = Server::new(ways, BIG);
        let (bed, _kitchen) = server.mount_with(Dialect::S3, Ttl::EachOpen);
        for round in 0..3 {
            for key in ["a", "b"] {
                let read =
                    fs::read(bed.path(key)).unwrap_or_else(|error| panic!("{name}, {key}, round {round}: {error}"));
                assert!(read == bytes(1, BIG), "{name}: wrong bytes");
            }
        }
        let replaced = server.replace(31);
        let read = fs::read(bed.path("a")).unwrap_or_else(|error| panic!("{name}, after a change: {error}"));
        assert!(read == replaced, "{name}: the old version");
    }
}

#[test]
fn what_has_changed_is_stale_and_never_mixed() {
    for (name, ways) in all_ways() {
        for key in ["a", "b"] {
            let server = Server::new(ways, BIG);
            let (bed, _kitchen) = server.mount(Dialect::S3);
            // What is found out of the store is found out before.
            fs::read(bed.path("a")).unwrap();
            let mut piece = vec![0; 4096];
            let file = File::open(bed.path(key)).unwrap();
            file.read_exact_at(&mut piece, 0).unwrap();
            let replaced = server.replace(31);
            let mut read = Vec::new();
            let failed = (0..BIG / 4096).find_map(|index| {
                let result = file.read_exact_at(&mut piece, (index * 4096) as u64);
                if result.is_ok() {
                    read.extend_from_slice(&piece);
                }
                result.err()
            });
            assert!(read == bytes(1, BIG)[..read.len()], "{name}: bytes of two versions");
            match failed {
                Some(error) => assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{name}: {error}"),
                None => assert_eq!(key, "a", "{name}: the kernel holds all of one file only"),
            }
            drop(file);
            if key == "b" {
                let again = fs::read(bed.path(key)).unwrap_or_else(|error| panic!("{name}, opened again: {error}"));
                assert!(again == replaced, "{name}: not the new version");
            }
        }
    }
}

#[test]
fn a_store_with_several_tags_is_found_out_once() {
    let server = Server::new(Ways { listed: other, ..USUAL }, 20_000);
    let (bed, _kitchen) = server.mount(Dialect::S3);
    // The tags are those of the listing, not of a HEAD for the name.
    assert_eq!(fs::read_dir(bed.root()).unwrap().count(), 3);
    fs::read(bed.path("a")).unwrap();
    assert_eq!(bed.metrics().value(Metric::SeveralTags), 1);
    let looks = |server: &Server| server.count(|asked| asked.method == "HEAD" || asked.target.contains("max-keys=1&"));
    let before = looks(&server);
    assert!(before >= 2, "the object and its listing were looked at");
    fs::read(bed.path("b")).unwrap();
    assert_eq!(looks(&server), before, "the second object is read without a look");
    assert!(server.wire.asked().last().unwrap().header("if-match").is_none());
}

#[test]
fn a_change_of_the_same_second_and_size_is_stale_in_a_store_with_several_tags() {
    for (name, ways) in [
        ("listing", Ways { listed: other, ..USUAL }),
        ("parts", Ways { part: longer, ..USUAL }),
        ("listing, nothing compared", Ways { listed: other, compares: false, ..USUAL }),
    ] {
        let server = Server::new(ways, BIG);
        let (bed, _kitchen) = server.mount(Dialect::S3);
        let mut piece = vec![0; 4096];
        let file = File::open(bed.path("a")).unwrap();
        file.read_exact_at(&mut piece, 0).unwrap();
        server.replace(30);
        let error = file.read_exact_at(&mut piece, 2 << 20).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{name}");
        drop(file);
        // Whatever the next open shows is one version from end to end.
        if let Ok(read) = fs::read(bed.path("a")) {
            assert!(read == bytes(2, BIG), "{name}: bytes of two versions");
        }
    }
}

#[test]
fn a_usual_store_costs_no_look() {
    let server = Server::new(USUAL, BIG);
    let (bed, _kitchen) = server.mount(Dialect::Oss);
    fs::read(bed.path("a")).unwrap();
    let heads = server.count(|asked| asked.method == "HEAD" && asked.target == "/bkt/a");
    assert!(heads <= 1, "{:?}", server.wire.asked());
    assert_eq!(bed.metrics().value(Metric::SeveralTags), 0);
    let gets = |asked: &Asked| asked.method == "GET" && asked.target == "/bkt/a";
    assert_eq!(server.count(gets), server.count(|asked| gets(asked) && asked.header("if-match") == Some("\"v1\"")));
}

#[test]
fn a_store_without_steady_tags_or_ranges_is_found_out_once() {
    let looks = |asked: &Asked| asked.method == "HEAD" || asked.target.contains("max-keys=1&");
    let server = Server::new(Ways { compares: false, ..FRESH }, BIG);
    let (bed, _kitchen) = server.mount(Dialect::S3);
    // The tags are those of the listing, not of a HEAD for the name.
    assert_eq!(fs::read_dir(bed.root()).unwrap().count(), 3);
    fs::read(bed.path("a")).unwrap();
    assert_eq!(bed.metrics().value(Metric::SeveralTags), 1);
    let before = server.count(looks);
    fs::read(bed.path("b")).unwrap();
    assert_eq!(server.count(looks), before, "time and size tell of the second object what tags do not");

    let server = Server::new(Ways { ranges: Ranges::Ignored, ..USUAL }, BIG);
    let (bed, _kitchen) = server.mount(Dialect::S3);
    let gets = |server: &Server| server.count(|asked| asked.method == "GET" && asked.target == "/bkt/b");
    let read_at = |at: u64| {
        let mut piece = [0; 1000];
        File::open(bed.path("b")).unwrap().read_exact_at(&mut piece, at).unwrap();
        assert!(piece[..] == bytes(1, BIG)[at as usize..at as usize + 1000]);
    };
    assert_eq!(server.metrics.value(Metric::RangesIgnored), 0);
    read_at(2 << 20);
    assert_eq!((server.metrics.value(Metric::RangesIgnored), gets(&server)), (1, 2), "the first answer may be a fault");
    read_at(1 << 20);
    assert_eq!(gets(&server), 3, "{:?}", server.wire.asked());
    assert!(server.metrics.value(Metric::BytesFetched) > 3 << 20, "what was skipped is counted");
}
