//! Servers that keep no order, list names twice or begin with an empty page, behind a real mount and on the wire: `ls -r`,
//! what `status` and the log say.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ossmount::fs::ListingMode;
use ossmount::store::layers::{EmptyPages, KeyOrder, QuirkStore, Quirks, StartAfter};
use ossmount::store::memory::MemoryStore;
use ossmount::store::{ErrorKind, ListPage, ListRequest, Store};

use crate::support::bed::{Bed, Recipe};
use crate::support::program::{Target, Tool};

fn keys() -> BTreeSet<String> {
    let deep = (0..40).flat_map(|set| (0..30).map(move |n| format!("set{set:02}/part/{n:03}.bin")));
    let wide = (0..1100).map(|n| format!("file{n:04}"));
    deep.chain(wide).chain(["\u{ff00}", "\u{10000}"].map(|name| format!("{name}/x"))).collect()
}

fn store(keys: &BTreeSet<String>, quirks: Quirks) -> Arc<QuirkStore> {
    let bucket = MemoryStore::new();
    keys.iter().for_each(|key| drop(bucket.put(key.as_str(), "x")));
    Arc::new(QuirkStore::new(Arc::new(bucket), quirks))
}

fn scattered() -> Quirks {
    Quirks { order: KeyOrder::Scattered(5), start_after: StartAfter::Ignored, ..Quirks::default() }
}

/// Every file below a directory, depth first; panics on one that comes twice.
fn walk(root: &Path, directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => walk(root, &path, found),
            false => {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                assert!(found.insert(key), "twice: {path:?}");
            }
        }
    }
}

fn walked(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(root, root, &mut found);
    found
}

#[test]
fn a_mount_shows_every_name_of_a_server_that_keeps_no_order() {
    let keys = keys();
    for quirks in [
        scattered(),
        Quirks { order: KeyOrder::Utf16, ..Quirks::default() },
        Quirks { repeated_prefixes: true, ..Quirks::default() },
        Quirks { start_after: StartAfter::Refused, empty_pages: EmptyPages::Before(2), ..Quirks::default() },
    ] {
        for listing in [ListingMode::Lazy, ListingMode::Auto, ListingMode::Eager] {
            let mut recipe = Recipe::default();
            recipe.fs.listing = listing;
            let bed: Bed = recipe.make(store(&keys, quirks));
            for round in 0..2 {
                let found = walked(bed.root());
                assert!(found == keys, "{quirks:?} {listing:?} {round}: {} of {}", found.len(), keys.len());
            }
            for key in keys.iter().step_by(211) {
                assert_eq!(fs::metadata(bed.path(key)).unwrap().len(), 1, "{key}");
            }
        }
    }
}

/// Answers listings as a store gives them, and 404 to everything else.
struct ListServer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl ListServer {
    fn over(store: Arc<dyn Store>) -> ListServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let stops = stopped.clone();
        let accepting = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stops.load(Ordering::SeqCst) {
                    return;
                }
                let store = store.clone();
                std::thread::spawn(move || serve(&*store, stream));
            }
        });
        ListServer { address, stopped, accepting: Some(accepting) }
    }

    fn tool(&self) -> Tool {
        Tool::bare()
            .with("AWS_ACCESS_KEY_ID", "key")
            .with("AWS_SECRET_ACCESS_KEY", "secret")
            .with("OSSMOUNT_ENDPOINT", &format!("http://{}", self.address))
            .with("OSSMOUNT_REGION", "us-east-1")
            .with("OSSMOUNT_ADDRESSING", "path")
    }
}

impl Drop for ListServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.accepting.take().map(JoinHandle::join));
    }
}

fn serve(store: &dyn Store, stream: TcpStream) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let target = first.split(' ').nth(1).unwrap_or_default();
        let answer = match request(target) {
            Some(request) => runtime.block_on(store.list(request)),
            None => Err(ossmount::store::Error::new(ErrorKind::NotFound, "not a listing")),
        };
        let (status, body) = match answer {
            Ok(page) => ("200 OK", xml(&page)),
            Err(error) if error.kind() == ErrorKind::NotFound => ("404 Not Found", String::new()),
            Err(_) => ("400 Bad Request", "<Error><Code>InvalidArgument</Code></Error>".to_owned()),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: application/xml\r\n\r\n", body.len());
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn request(target: &str) -> Option<ListRequest> {
    let (_, query) = target.split_once('?')?;
    let field = |name: &str| {
        let (_, value) =
            query.split('&').filter_map(|field| field.split_once('=')).find(|(given, _)| *given == name)?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8().ok()?.into_owned())
    };
    field("list-type")?;
    Some(ListRequest {
        prefix: field("prefix").unwrap_or_default(),
        delimiter: field("delimiter"),
        start_after: field("start-after"),
        continuation: field("continuation-token"),
        max_keys: field("max-keys").and_then(|text| text.parse().ok()).unwrap_or(1000),
    })
}

fn xml(page: &ListPage) -> String {
    let mut text = "<ListBucketResult><Name>bucket</Name>".to_owned();
    for entry in &page.entries {
        let etag = entry.etag.as_ref().map_or("", |etag| etag.as_str());
        text += &format!("<Contents><Key>{}</Key><Size>{}</Size><ETag>{etag}</ETag></Contents>", entry.key, entry.size);
    }
    for prefix in &page.prefixes {
        text += &format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>");
    }
    text += &format!("<KeyCount>{}</KeyCount>", page.entries.len() + page.prefixes.len());
    match &page.next {
        Some(token) => {
            text += &format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
        }
        None => text += "<IsTruncated>false</IsTruncated>",
    }
    text + "</ListBucketResult>"
}

#[test]
fn ls_prints_each_key_once_whatever_the_server_makes_of_the_rules() {
    let keys = keys();
    for (quirks, args) in [
        (Quirks { duplicates: true, ..Quirks::default() }, &["-r"][..]),
        (Quirks { duplicates: true, ..scattered() }, &["-r"]),
        (scattered(), &["-r", "--sort"]),
        (Quirks { order: KeyOrder::Utf16, ..Quirks::default() }, &["-r", "--sort"]),
        (Quirks { start_after: StartAfter::Ignored, ..Quirks::default() }, &["-r", "--sort"]),
        (Quirks { start_after: StartAfter::Refused, ..Quirks::default() }, &["-r"]),
        (Quirks { empty_pages: EmptyPages::Before(1), ..Quirks::default() }, &["-r"]),
    ] {
        let server = ListServer::over(store(&keys, quirks));
        let ended = server.tool().run(&[&["ls"][..], args, &["s3://bucket"][..]].concat()).ok();
        let mut printed: Vec<&str> = ended.stdout.lines().collect();
        printed.sort_unstable();
        assert!(printed.iter().eq(keys.iter()), "{quirks:?}: {} lines for {} keys", printed.len(), keys.len());
    }
}

#[test]
fn a_mount_says_once_what_it_found_out_and_nothing_of_empty_first_pages() {
    let keys: BTreeSet<String> = keys().into_iter().map(|key| format!("below/{key}")).collect();
    for (quirks, word) in [
        (scattered(), "no-order"),
        (Quirks { start_after: StartAfter::Refused, ..Quirks::default() }, "no-start-after"),
        (Quirks { empty_pages: EmptyPages::Before(2), ..Quirks::default() }, "byte-order"),
    ] {
        let server = ListServer::over(store(&keys, quirks));
        let (tool, target) = (server.tool(), Target::new());
        let log = target.beside("log");
        target.mount(&tool, "s3://bucket/below/", &["--log-file", log.to_str().unwrap()]).ok();
        let found = walked(&target.path(""));
        assert_eq!(found.len(), keys.len(), "{quirks:?}");
        let figures = tool.run(&["status", "--json", target.dir()]).ok().stdout;
        let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
        assert_eq!(figures["listing"]["server"], word, "{quirks:?}");
        let text = tool.run(&["status", "--all", target.dir()]).ok().stdout;
        assert!(text.lines().any(|line| line.starts_with("listing.server") && line.ends_with(word)), "{text}");
        let log = fs::read_to_string(&log).unwrap();
        let said = log.lines().filter(|line| line.contains("the server does not ")).count();
        assert_eq!(said, usize::from(word != "byte-order"), "{log}");
        for wrong in ["no key begins with", "ERROR", "EIO"] {
            assert!(!log.contains(wrong), "{wrong} in {log}");
        }
    }
}
