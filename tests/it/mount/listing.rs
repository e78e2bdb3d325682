//! Listings behind a mount, through the kernel: walks, eager mounts, the background, small memory.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use ossmount::base::{Clock, Key, Timestamp};
use ossmount::emulator::{Emulator, GeneratedBucket, Generator, GeneratorKind, Options};
use ossmount::fs::{ListingMode, Ttl};
use ossmount::metrics::Metric;
use ossmount::store::memory::{MemoryStore, Request};
use ossmount::store::{
    GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Result, Store, Tags, VersionPage,
    VersionsRequest,
};
use tokio::sync::Semaphore;

use crate::support::bed::{Bed, Recipe};
use crate::support::program::{Target, Tool, server, until};

/// Lists only as often as it is let.
#[derive(Debug)]
struct Turnstile {
    inner: Arc<MemoryStore>,
    turns: Semaphore,
    waiting: AtomicUsize,
}

impl Turnstile {
    fn over(inner: Arc<MemoryStore>, turns: usize) -> Arc<Turnstile> {
        Arc::new(Turnstile { inner, turns: Semaphore::new(turns), waiting: AtomicUsize::new(0) })
    }

    /// Pages that wait for their turn.
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn close(&self) {
        self.turns.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.turns.add_permits(1 << 20);
    }
}

#[async_trait]
impl Store for Turnstile {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.inner.get(request).await
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.turns.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.inner.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.inner.tags(key, version).await
    }
}

fn bucket(keys: impl IntoIterator<Item = String>) -> MemoryStore {
    let bucket = MemoryStore::new();
    keys.into_iter().for_each(|key| drop(bucket.put(key, "content")));
    bucket
}

fn hundred_directories() -> Vec<String> {
    (0..100).flat_map(|dir| (0..10).map(move |file| format!("{dir:03}/{file}"))).collect()
}

/// Every file below a directory, depth first, each looked at.
fn walk(root: &Path, directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            walk(root, &entry.path(), found);
        } else {
            assert_eq!(entry.metadata().unwrap().len(), 7);
            assert!(found.insert(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()));
        }
    }
}

fn walked(bed: &Bed) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(bed.root(), bed.root(), &mut found);
    found
}

fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn lists(store: &MemoryStore) -> usize {
    store.take_requests().iter().filter(|request| matches!(request, Request::List(_))).count()
}

#[test]
fn a_walk_costs_far_fewer_pages_than_directories() {
    let store = Arc::new(bucket(hundred_directories()).latency(Duration::from_millis(5)));
    let bed = Bed::over(store.clone());
    assert_eq!(walked(&bed), BTreeSet::from_iter(hundred_directories()));
    let pages = lists(&store);
    assert!(pages <= 20, "{pages} pages for 100 directories");
    assert_eq!(walked(&bed).len(), 1000);
    assert_eq!(lists(&store), 0);
}

#[test]
fn a_lazy_mount_lists_no_more_than_it_must() {
    let store = Arc::new(bucket(hundred_directories()));
    let mut recipe = Recipe::default();
    recipe.fs.listing = ListingMode::Lazy;
    let bed = recipe.make(store.clone());
    for directory in ["007", "008", "009"] {
        assert_eq!(names(&bed.path(directory)).len(), 10);
    }
    let whole = |request: &Request| matches!(request, Request::List(list) if list.delimiter.is_some());
    let requests = store.take_requests();
    assert!(requests.iter().filter(|request| whole(request)).count() <= 4, "{requests:?}");
}

#[test]
fn an_eager_mount_answers_from_memory() {
    let store = Arc::new(bucket(hundred_directories()));
    let mut recipe = Recipe::default();
    recipe.fs.listing = ListingMode::Eager;
    let bed = recipe.make(store.clone());
    until("all is known", || bed.metrics().value(Metric::TreeEntries) == 1101);
    until("the listing is over", || {
        store.take_requests();
        thread::sleep(Duration::from_millis(5));
        store.take_requests().is_empty()
    });
    assert_eq!(walked(&bed), BTreeSet::from_iter(hundred_directories()));
    assert!(fs::metadata(bed.path("050/none")).is_err());
    assert_eq!(store.take_requests(), []);
}

#[test]
fn the_first_entries_of_a_big_directory_come_before_the_last() {
    let store = Turnstile::over(Arc::new(bucket((0..20_000).map(|n| format!("{n:05}")))), 0);
    let bed = Bed::over(store.clone());
    let (seen, first) = channel();
    let root = bed.root().to_owned();
    let reader = thread::spawn(move || {
        let mut entries = fs::read_dir(root).unwrap();
        entries.next().unwrap().unwrap();
        seen.send(()).unwrap();
        1 + entries.count()
    });
    until("the first entry", || {
        store.turns.add_permits(1);
        first.recv_timeout(Duration::from_millis(20)).is_ok()
    });
    until("a page that has not come yet", || store.waiting() > 0);
    store.open();
    assert_eq!(reader.join().unwrap(), 20_000);
}

#[test]
fn who_polls_never_waits_and_sees_what_changes() {
    let inner = Arc::new(bucket(["dir/a".to_owned(), "dir/b".to_owned(), "dir/c".to_owned()]));
    let store = Turnstile::over(inner.clone(), 1 << 20);
    let mut recipe = Recipe { clock: Clock::manual(Timestamp::from_unix(1_700_000_000)), ..Recipe::default() };
    recipe.fs.metadata_ttl = Ttl::For(Duration::from_secs(2));
    let clock = recipe.clock.clone();
    let bed = recipe.make(store.clone());
    let dir = bed.path("dir");
    assert_eq!(names(&dir).len(), 3);
    // A program that comes back to it wants it to be fresh.
    clock.advance(Duration::from_millis(600));
    assert_eq!(names(&dir).len(), 3);
    let before = fs::metadata(dir.join("a")).unwrap().ino();
    inner.put("dir/b", "longer content");
    inner.put("dir/d", "content");
    inner.remove("dir/c");

    store.close();
    clock.advance(Duration::from_millis(1000));
    until("a listing in the background", || store.waiting() > 0);
    // It stands still, and no program waits for it.
    assert_eq!(names(&dir).len(), 3);
    assert_eq!(fs::read(dir.join("a")).unwrap(), b"content");
    store.open();
    until("the change is visible", || names(&dir) == ["a", "b", "d"].map(str::to_owned).into());
    until("the kernel has forgotten what is gone", || fs::metadata(dir.join("c")).is_err());
    until("the new size", || fs::metadata(dir.join("b")).unwrap().len() == 14);
    assert_eq!(fs::metadata(dir.join("a")).unwrap().ino(), before);
}

#[test]
fn with_little_memory_all_is_found_again_and_again() {
    let keys: Vec<String> =
        (0..40).flat_map(|dir| (0..500).map(move |file| format!("{dir:02}/some rather long name {file:03}"))).collect();
    let mut recipe = Recipe::default();
    recipe.fs.listing = ListingMode::Eager;
    recipe.fs.metadata_bytes = 1 << 20;
    let store = Arc::new(bucket(keys.iter().cloned()));
    let bed = recipe.make(store.clone());
    for _ in 0..2 {
        assert_eq!(walked(&bed), BTreeSet::from_iter(keys.iter().cloned()));
    }
}

#[test]
fn of_many_odd_keys_the_log_names_a_few() {
    let server = server();
    server.put("bucket", "flood/file", "");
    for n in 0..200 {
        server.put("bucket", &format!("flood/{n:03}/x"), "");
        server.put("bucket", &format!("flood/{n:03}"), "a directory takes its name");
    }
    let target = Target::new();
    let log = target.beside("log");
    let tool = Tool::for_server(&server);
    target.mount(&tool, "oss://bucket", &["--log-file", log.to_str().unwrap(), "--listing", "lazy"]).ok();
    names(&target.path("flood"));
    let lines = || fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("flood")).count();
    until("the log has summed up", || fs::read_to_string(&log).unwrap().contains("further keys skipped"));
    assert!(lines() <= 11, "{} lines", lines());
}

#[test]
fn many_look_ups_at_once_ask_for_a_few_names() {
    let store = Arc::new(bucket((0..10_000).map(|n| format!("{n:05}"))).latency(Duration::from_millis(20)));
    let bed = Bed::over(store.clone());
    thread::scope(|scope| {
        for reader in 0..32 {
            let bed = &bed;
            scope.spawn(move || {
                for n in 0..50 {
                    assert_eq!(fs::metadata(bed.path(format!("{:05}", (n * 32 + reader) * 6))).unwrap().len(), 7);
                }
            });
        }
    });
    let heads = store.take_requests().iter().filter(|request| matches!(request, Request::Head { .. })).count();
    assert!(heads <= 100, "{heads} of 1600 names were asked for");
}

/// The most memory that a process has had in RAM, in KiB.
fn most_resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn a_directory_larger_than_memory_is_listed_whole_within_it() {
    const NAMES: u64 = 250_000;
    let bucket = GeneratedBucket { bucket: "big".to_owned(), generator: Generator::new(GeneratorKind::Flat, NAMES) };
    let server = Emulator::start(Options { generated: vec![bucket], ..Options::default() }).unwrap();
    let target = Target::new();
    let log = target.beside("log");
    let more = ["--log-file", log.to_str().unwrap(), "--metadata-memory", "16MiB"];
    target.mount(&Tool::for_server(&server), "oss://big", &more).ok();
    let daemon = target.daemon().unwrap();
    let before = most_resident(daemon);
    let name = |n| format!("file-{n:06}.bin");
    let is_there = |n| fs::metadata(target.path(&name(n))).is_ok();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = vec![false; NAMES as usize];
                for entry in fs::read_dir(target.dir()).unwrap() {
                    let entry = entry.unwrap().file_name();
                    let number = entry.to_str().unwrap().trim_start_matches("file-").trim_end_matches(".bin");
                    let number: usize = number.parse().unwrap();
                    assert!(!std::mem::replace(&mut seen[number], true), "{number} came twice");
                }
                assert_eq!(seen.iter().filter(|seen| !**seen).count(), 0, "names are missing");
            });
        }
        for n in (0..NAMES).step_by(9973) {
            assert!(is_there(n) && !is_there(n + NAMES), "{n}");
        }
    });
    assert!(is_there(NAMES - 1) && !is_there(NAMES));
    let grown = most_resident(daemon) - before;
    // The limit, and what the manual says that the daemon holds beyond it.
    assert!(grown < (16 + 64) << 10, "{grown} KiB");
    let said = fs::read_to_string(&log).unwrap();
    let warnings = said.lines().filter(|line| line.contains("has more names than fit in metadata-memory")).count();
    assert_eq!(warnings, 1, "{said}");
}
