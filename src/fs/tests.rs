//! The file system over a bucket in memory, as the kernel would use it: what it answers, and with which requests.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;

use super::*;
use crate::base::{BucketName, Clock, Timestamp};
use crate::metrics::Metric;
use crate::store::ErrorKind;
use crate::store::layers::{Fault, FaultStore, Operation};
use crate::store::memory::{MemoryStore, Request};

pub(super) struct Bed {
    pub(super) bucket: Arc<MemoryStore>,
    pub(super) faults: Arc<FaultStore<MemoryStore>>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) fs: Arc<Fs>,
}

/// A process that cannot be seen.
pub(super) struct Stranger;

impl Opener for Stranger {
    fn program(&self) -> Option<Program> {
        None
    }

    fn calls(&self) -> Option<ReadCalls> {
        None
    }
}

impl Bed {
    pub(super) fn new(keys: &[&str], change: impl FnOnce(&mut Options)) -> Bed {
        let bucket = MemoryStore::new();
        for key in keys {
            bucket.put(*key, Bytes::from(format!("<{key}>")));
        }
        Bed::over(bucket, change)
    }

    pub(super) fn over(bucket: MemoryStore, change: impl FnOnce(&mut Options)) -> Bed {
        Bed::behind(bucket, |store| store, change)
    }

    /// One whose clock goes with the runtime's time.
    pub(super) fn timed(bucket: MemoryStore, change: impl FnOnce(&mut Options)) -> Bed {
        Bed::at(Clock::runtime(Timestamp::from_unix(1_700_000_000)), bucket, |store| store, change)
    }

    /// One with another store between the file system and the bucket.
    pub(super) fn behind(
        bucket: MemoryStore,
        between: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
        change: impl FnOnce(&mut Options),
    ) -> Bed {
        Bed::at(Clock::manual(Timestamp::from_unix(1_700_000_000)), bucket, between, change)
    }

    fn at(
        clock: Clock,
        bucket: MemoryStore,
        between: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
        change: impl FnOnce(&mut Options),
    ) -> Bed {
        let bucket = Arc::new(bucket);
        let faults = Arc::new(FaultStore::new(bucket.clone()));
        let metrics = Arc::new(Metrics::default());
        let mut options = Options::new(BucketName::new("bucket"));
        options.mount_time = Timestamp::from_unix(1_600_000_000);
        change(&mut options);
        let store = between(faults.clone());
        let reader = read::Reader::new(store.clone(), read::Options::default(), metrics.clone());
        let fs = Fs::new(store, reader, options, metrics.clone(), clock.clone());
        Bed { bucket, faults, clock, metrics, fs }
    }

    pub(super) async fn entry(&self, path: &str) -> Result<Entry> {
        let mut at = Ino::ROOT;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            match self.fs.clone().lookup(at, name.as_bytes().to_vec()).await? {
                Entry::Found(attr) if names.peek().is_some() => at = attr.ino,
                entry => return Ok(entry),
            }
        }
        unreachable!("a path has a last name")
    }

    pub(super) async fn attr(&self, path: &str) -> Attr {
        match self.entry(path).await {
            Ok(Entry::Found(attr)) => attr,
            other => panic!("{path}: {other:?}"),
        }
    }

    pub(super) async fn missing(&self, path: &str) -> Duration {
        match self.entry(path).await {
            Ok(Entry::Missing(ttl)) => ttl,
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Opens as the kernel does: an ESTALE is answered by another look-up.
    pub(super) async fn open(&self, path: &str) -> Result<FileHandle> {
        let ino = self.attr(path).await.ino;
        match self.fs.clone().open(ino, libc::O_RDONLY, Stranger).await {
            Err(Errno::ESTALE) => {
                let ino = self.attr(path).await.ino;
                Ok(self.fs.clone().open(ino, libc::O_RDONLY, Stranger).await?.handle)
            }
            opened => Ok(opened?.handle),
        }
    }

    pub(super) async fn read(&self, handle: FileHandle) -> Result<String> {
        let slice = self.fs.clone().read(handle, 0, 1 << 20).await?;
        Ok(String::from_utf8(slice.to_vec()).unwrap())
    }

    pub(super) async fn names(&self, path: &str) -> Vec<String> {
        let ino = if path.is_empty() { Ino::ROOT } else { self.attr(path).await.ino };
        let entries = self.entries(ino, 3).await.unwrap();
        entries.into_iter().map(|entry| String::from_utf8(entry.name.into()).unwrap()).skip(2).collect()
    }

    pub(super) async fn entries(&self, ino: Ino, max: usize) -> Result<Vec<Seen>> {
        let handle = self.fs.clone().opendir(ino).await?;
        let mut all: Vec<Seen> = Vec::new();
        loop {
            let offset = all.last().map_or(0, |entry| entry.next_offset);
            let entries = readdir(&self.fs, handle, offset, max).await?;
            assert!(entries.len() <= max);
            if entries.is_empty() {
                self.fs.releasedir(handle);
                return Ok(all);
            }
            all.extend(entries);
        }
    }

    /// The requests since the last call, in short.
    pub(super) fn requests(&self) -> Vec<String> {
        let short = |request| match request {
            Request::Get { key, .. } => format!("GET {key}"),
            Request::Head { key } => format!("HEAD {key}"),
            Request::Symlink { key } => format!("SYMLINK {key}"),
            Request::Tags { key } => format!("TAGS {key}"),
            Request::List(list) => format!("LIST {}{}", list.prefix, if list.max_keys == 1 { " 1" } else { "" }),
            Request::ListVersions(list) => format!("VERSIONS {}", list.prefix),
        };
        self.bucket.take_requests().into_iter().map(short).collect()
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// An entry of a directory, kept.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Seen {
    pub(super) next_offset: u64,
    pub(super) name: Box<[u8]>,
    pub(super) attr: Attr,
}

/// Up to `max` entries.
pub(super) async fn readdir(fs: &Arc<Fs>, handle: DirHandle, offset: u64, max: usize) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    let take = |entry: &DirEntry<'_>| {
        if seen.len() == max {
            return Room::Full;
        }
        seen.push(Seen { next_offset: entry.next_offset, name: entry.name.into(), attr: entry.attr.clone() });
        Room::Left
    };
    fs.clone().readdir(handle, offset, Counting::Names, take).await?;
    Ok(seen)
}

#[tokio::test]
async fn a_look_up_lists_each_directory_once() {
    let bed = Bed::new(&["a/b/c", "a/b/d", "a/e"], |_| {});
    assert_eq!(bed.attr("a/b/c").await.size, 7);
    assert_eq!(bed.requests(), ["LIST ", "LIST a/", "LIST a/b/"]);
    bed.attr("a/b/d").await;
    bed.attr("a/e").await;
    bed.missing("a/b/x").await;
    let opened = bed.open("a/b/d").await.unwrap();
    assert_eq!(bed.requests(), [""; 0], "all of that was in the listings");
    assert_eq!(bed.read(opened).await.unwrap(), "<a/b/d>");
    assert_eq!(bed.requests(), ["GET a/b/d"]);
}

#[tokio::test]
async fn attributes_come_from_the_listing_and_the_options() {
    let bed = Bed::new(&["dir/", "file"], |options| {
        (options.uid, options.gid, options.file_mode) = (7, 8, 0o440);
    });
    let file = bed.attr("file").await;
    assert_eq!((file.size, file.mode, file.uid, file.gid, file.nlink), (6, 0o440, 7, 8, 1));
    assert_eq!(file.mtime, Timestamp::from_unix(1_700_000_002));
    assert_eq!(file.ttl, Duration::from_secs(60));
    let dir = bed.attr("dir").await;
    assert_eq!((dir.kind, dir.size, dir.mode, dir.nlink), (FileKind::Directory, 0, 0o555, 2));
    assert_eq!(dir.mtime, Timestamp::from_unix(1_600_000_000), "its marker has not been seen");
    assert_eq!(bed.names("dir").await, [""; 0]);
    assert_eq!(bed.attr("dir").await.mtime, Timestamp::from_unix(1_700_000_001));
    assert_eq!(bed.fs.clone().getattr(file.ino).await.unwrap(), file);
}

#[tokio::test(start_paused = true)]
async fn parallel_look_ups_share_one_listing() {
    let keys: Vec<String> = (0..100).map(|n| format!("dir/{n:03}")).collect();
    let bucket = MemoryStore::new().latency(Duration::from_millis(20));
    keys.iter().for_each(|key| drop(bucket.put(key, "x")));
    let bed = Bed::over(bucket, |_| {});
    join_all(keys.iter().map(|key| bed.attr(key))).await;
    let requests = bed.requests();
    let lists = requests.iter().filter(|request| !request.ends_with(" 1") && request.starts_with("LIST"));
    assert_eq!(lists.collect::<Vec<_>>(), ["LIST ", "LIST dir/"]);
    assert!(requests.len() <= 2 + 2 * 2 * 4, "of each directory only a few names are asked for: {requests:?}");
}

#[tokio::test(start_paused = true)]
async fn one_name_in_a_large_directory_does_not_wait_for_all_of_it() {
    let bucket = MemoryStore::new().latency(Duration::from_millis(20));
    (0..20_000).for_each(|n| drop(bucket.put(format!("{n:06}"), "x")));
    bucket.put("sub/file", "x");
    let bed = Bed::over(bucket, |_| {});
    let time = Clock::runtime(Timestamp::from_unix(0));
    bed.attr("019999").await;
    assert!(time.elapsed() <= Duration::from_millis(40), "{:?}", time.elapsed());
    bed.attr("sub").await;
    bed.missing("zzz").await;
    assert!(time.elapsed() <= Duration::from_millis(100), "{:?}", time.elapsed());
}

#[tokio::test]
async fn what_is_missing_is_believed_for_its_own_time() {
    let bed = Bed::new(&["a"], |_| {});
    assert_eq!(bed.missing("new").await, Duration::from_secs(5));
    bed.bucket.put("new", "x");
    bed.pass(4);
    assert_eq!(bed.missing("new").await, Duration::from_secs(1), "what is left of it");
    bed.requests();
    bed.pass(1);
    bed.attr("new").await;
    bed.attr("a").await;
    assert_eq!(bed.requests(), ["LIST "]);
}

#[tokio::test]
async fn a_listing_is_believed_for_the_time_to_live() {
    let bed = Bed::new(&["a"], |_| {});
    let before = bed.attr("a").await;
    bed.bucket.put("a", "longer than before");
    bed.pass(59);
    assert_eq!(bed.attr("a").await.ino, before.ino);
    bed.pass(1);
    let after = bed.attr("a").await;
    assert_eq!(after.size, 18);
    assert_ne!(after.ino, before.ino);
    assert_eq!(bed.fs.clone().getattr(before.ino).await.unwrap().size, 3, "a handle sees what was opened");
    bed.fs.forget(before.ino, 2);
    assert_eq!(bed.fs.clone().getattr(before.ino).await, Err(Errno::ESTALE));
}

#[tokio::test]
async fn a_changed_object_is_stale_once_and_then_new() {
    let bed = Bed::new(&["a"], |_| {});
    let old = bed.open("a").await.unwrap();
    bed.bucket.put("a", "another");
    assert_eq!(bed.read(old).await, Err(Errno::ESTALE));
    bed.requests();
    assert_eq!(bed.read(old).await, Err(Errno::ESTALE), "a descriptor never shows two versions");
    let new = bed.open("a").await.unwrap();
    assert_eq!(bed.read(new).await.unwrap(), "another");
    assert_eq!(bed.requests(), ["LIST ", "GET a"]);
    bed.fs.release(old);
    bed.fs.release(new);
    assert_eq!(bed.metrics.value(Metric::OpenFiles), 0);
}

#[tokio::test]
async fn with_no_time_to_live_every_open_asks() {
    let bed = Bed::new(&["a"], |options| options.metadata_ttl = Ttl::EachOpen);
    assert_eq!(bed.attr("a").await.ttl, Duration::ZERO);
    bed.open("a").await.unwrap();
    bed.open("a").await.unwrap();
    assert_eq!(bed.requests(), ["LIST ", "HEAD a", "HEAD a"]);
    bed.bucket.put("a", "another");
    let handle = bed.open("a").await.unwrap();
    assert_eq!(bed.read(handle).await.unwrap(), "another");
    bed.bucket.remove("a");
    assert_eq!(bed.open("a").await, Err(Errno::ENOENT));
    bed.missing("a").await;
}

#[tokio::test]
async fn a_frozen_view_stays() {
    let bed = Bed::new(&["a"], |options| options.metadata_ttl = Ttl::Indefinite);
    bed.attr("a").await;
    bed.bucket.put("b", "x");
    bed.bucket.remove("a");
    bed.pass(1_000_000);
    bed.requests();
    bed.attr("a").await;
    assert!(bed.missing("b").await > Duration::from_secs(1_000_000));
    assert_eq!(bed.names("").await, ["a"]);
    assert_eq!(bed.requests(), [""; 0]);
}

#[tokio::test]
async fn another_time_to_live_holds_for_what_is_known_already() {
    let bed = Bed::new(&["a"], |options| {
        options.metadata_ttl = Ttl::For(Duration::from_secs(3600));
        options.negative_ttl = Duration::from_secs(3600);
    });
    let longest = bed.attr("a").await.ttl;
    assert!(longest > Duration::from_secs(3000), "{longest:?}");
    bed.missing("b").await;
    bed.bucket.put("b", "x");
    bed.pass(100);
    bed.missing("b").await;
    bed.fs.set_ttls(Ttl::For(Duration::from_secs(50)), Duration::from_secs(20));
    bed.attr("b").await;
    assert!(bed.attr("a").await.ttl <= Duration::from_secs(50));
    assert!(bed.missing("c").await <= Duration::from_secs(20));
    bed.requests();
    bed.fs.set_ttls(Ttl::EachOpen, Duration::ZERO);
    bed.open("a").await.unwrap();
    assert!(bed.requests().contains(&"HEAD a".to_owned()));
    assert!(!bed.fs.is_frozen());
    bed.fs.set_ttls(Ttl::Indefinite, Duration::ZERO);
    assert!(bed.fs.is_frozen());
    bed.fs.set_ttls(Ttl::EachOpen, Duration::ZERO);
    assert!(bed.fs.is_frozen(), "what the kernel believes for ever cannot be taken back");
}

#[tokio::test]
async fn a_directory_of_100_000_reads_whole_and_once() {
    let bucket = MemoryStore::new();
    (0..100_000).for_each(|n| drop(bucket.put(format!("dir/{n:06}.jpg"), "x")));
    let bed = Bed::over(bucket, |_| {});
    let dir = bed.attr("dir").await.ino;
    let entries = bed.entries(dir, 192).await.unwrap();
    let names: BTreeSet<&[u8]> = entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!((entries.len(), names.len()), (100_002, 100_002));
    assert!(entries[2..].iter().all(|entry| entry.attr.size == 1));
    let pages = bed.requests().iter().filter(|request| *request == "LIST dir/").count();
    assert!((100..=160).contains(&pages), "{pages}");
    assert_eq!(bed.metrics.value(Metric::TreeEntries), 100_002);
}

#[tokio::test(start_paused = true)]
async fn the_first_entries_come_with_the_first_page() {
    let bucket = MemoryStore::new().latency(Duration::from_millis(50));
    (0..10_000).for_each(|n| drop(bucket.put(format!("{n:06}"), "x")));
    let bed = Bed::over(bucket, |_| {});
    let time = Clock::runtime(Timestamp::from_unix(0));
    let handle = bed.fs.clone().opendir(Ino::ROOT).await.unwrap();
    let entries = readdir(&bed.fs, handle, 2, 100).await.unwrap();
    assert_eq!((entries.len(), time.elapsed()), (100, Duration::from_millis(50)));
    // The same offset gives the same entries, whatever has come since.
    let again = readdir(&bed.fs, handle, entries[49].next_offset, 50).await.unwrap();
    assert_eq!(again, entries[50..]);
}

#[tokio::test]
async fn a_handle_keeps_its_entries_while_the_directory_changes() {
    let bed = Bed::new(&["a", "b", "c"], |_| {});
    let handle = bed.fs.clone().opendir(Ino::ROOT).await.unwrap();
    let first = readdir(&bed.fs, handle, 2, 1).await.unwrap();
    bed.bucket.remove("b");
    bed.bucket.put("aa", "x");
    bed.pass(60);
    assert_eq!(bed.names("").await, ["a", "aa", "c"], "a new handle sees what is there now");
    let rest = readdir(&bed.fs, handle, first[0].next_offset, 10).await.unwrap();
    assert_eq!(rest.iter().map(|entry| &*entry.name).collect::<Vec<_>>(), [b"b", b"c"]);
}

#[tokio::test]
async fn a_failed_listing_fails_those_who_wait_and_can_be_tried_again() {
    let bed = Bed::new(&["a"], |_| {});
    for (kind, errno) in [(ErrorKind::Server, Errno::EIO), (ErrorKind::AccessDenied, Errno::EACCES)] {
        bed.faults.once(Operation::List, Fault::Error(kind));
        assert_eq!(bed.entries(Ino::ROOT, 10).await, Err(errno));
    }
    bed.faults.once(Operation::List, Fault::Error(ErrorKind::Server));
    bed.attr("a").await;
    assert_eq!(bed.requests(), ["LIST a/ 1", "HEAD a"], "a name can be asked for alone");
    assert_eq!(bed.names("").await, ["a"]);
}

#[tokio::test]
async fn names_that_cannot_be_keys() {
    let bed = Bed::new(&["a/b", "c"], |_| {});
    let fs = &bed.fs;
    let lookup = |name: &[u8]| fs.clone().lookup(Ino::ROOT, name.to_vec());
    assert_eq!(lookup(&[b'n'; 256]).await, Err(Errno::ENAMETOOLONG));
    assert!(matches!(lookup(&[b'n'; 255]).await, Ok(Entry::Missing(_))));
    assert!(matches!(lookup(b"\xff").await, Ok(Entry::Missing(_))));
    let file = bed.attr("c").await.ino;
    assert_eq!(fs.clone().lookup(file, b"d".to_vec()).await, Err(Errno::ENOTDIR));
    assert_eq!(fs.clone().opendir(file).await, Err(Errno::ENOTDIR));
    assert_eq!(fs.clone().open(bed.attr("a").await.ino, libc::O_RDONLY, Stranger).await.unwrap_err(), Errno::EISDIR);
    assert_eq!(fs.clone().getattr(Ino(99)).await, Err(Errno::ESTALE));
    assert_eq!(bed.read(FileHandle(99)).await, Err(Errno::EBADF));
}

#[tokio::test]
async fn nothing_opens_for_writing() {
    let bed = Bed::new(&["a"], |_| {});
    let ino = bed.attr("a").await.ino;
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_CREAT] {
        assert_eq!(bed.fs.clone().open(ino, flags, Stranger).await.unwrap_err(), Errno::EROFS);
    }
}

#[tokio::test]
async fn odd_keys_are_counted_and_do_not_hurt_their_neighbours() {
    let keys = ["a", "a/b", "..", "x//y", "ok"];
    let bed = Bed::new(&keys, |_| {});
    assert_eq!(bed.names("").await, ["a", "ok", "x"]);
    assert_eq!(bed.attr("a").await.kind, FileKind::Directory);
    assert_eq!(bed.names("x").await, [""; 0]);
    bed.pass(100);
    bed.names("").await;
    assert_eq!(bed.metrics.value(Metric::OddKeys), 3, "each is counted once");

    let bed = Bed::new(&keys, |options| options.odd_keys = OddKeys::Escape);
    for (path, key) in [("%oss-file=a", "a"), ("a/b", "a/b"), ("%oss-file=..", ".."), ("x/%oss-dir=/y", "x//y")] {
        let handle = bed.open(path).await.unwrap();
        assert_eq!(bed.read(handle).await.unwrap(), format!("<{key}>"));
    }
    assert_eq!(bed.metrics.value(Metric::OddKeys), 0);
}

#[tokio::test]
async fn a_mount_of_a_prefix_shows_what_is_below_it() {
    let bed = Bed::new(&["models/a/b", "modelsx", "other"], |options| options.prefix = "models".to_owned());
    assert_eq!(bed.names("").await, ["a"]);
    let handle = bed.open("a/b").await.unwrap();
    assert_eq!(bed.read(handle).await.unwrap(), "<models/a/b>");
    let whole = Bed::new(&["models/a/b"], |_| {});
    assert_eq!(bed.attr("a/b").await.ino, whole.attr("models/a/b").await.ino, "numbers are those of the bucket");
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Notifier for Heard {
    fn invalidate_entry(&self, parent: Ino, name: &[u8]) {
        self.0.lock().push(format!("{parent}/{}", String::from_utf8_lossy(name)));
    }

    fn invalidate_attributes(&self, ino: Ino) {
        self.0.lock().push(format!("attributes of {ino}"));
    }

    fn invalidate_pages(&self, ino: Ino) {
        self.0.lock().push(format!("pages {ino:?}"));
    }

    fn drop_pages(&self, ino: Ino, done: tokio::sync::oneshot::Sender<()>) {
        self.0.lock().push(format!("wrong pages {ino:?}"));
        let _ = done.send(());
    }

    fn after_that(&self, done: tokio::sync::oneshot::Sender<()>) {
        let _ = done.send(());
    }
}

#[tokio::test]
async fn the_kernel_is_told_what_a_new_listing_has_changed() {
    let bed = Bed::new(&["changed", "gone", "same", "unknown"], |_| {});
    for name in ["changed", "gone", "same"] {
        bed.attr(name).await;
    }
    let heard = Arc::new(Heard::default());
    bed.fs.set_notifier(Some(heard.clone()));
    bed.bucket.put("changed", "other");
    bed.bucket.remove("gone");
    bed.bucket.remove("unknown");
    bed.pass(60);
    bed.names("").await;
    assert_eq!(*heard.0.lock(), ["1/changed", "1/gone"]);
    bed.fs.set_notifier(None);
    bed.bucket.remove("same");
    bed.pass(60);
    bed.names("").await;
    assert_eq!(heard.0.lock().len(), 2, "no notifier is told any more");
}

#[tokio::test]
async fn what_the_tree_knows_is_answered_on_the_first_poll() {
    use futures::FutureExt;
    let bed = Bed::new(&["a"], |_| {});
    let ino = bed.attr("a").await.ino;
    let fs = || bed.fs.clone();
    assert!(fs().lookup(Ino::ROOT, b"a".to_vec()).now_or_never().is_some());
    assert!(fs().getattr(ino).now_or_never().is_some());
    assert!(fs().open(ino, libc::O_RDONLY, Stranger).now_or_never().is_some());
    let handle = fs().opendir(Ino::ROOT).now_or_never().unwrap().unwrap();
    assert!(readdir(&fs(), handle, 0, 10).now_or_never().is_some());
}

#[tokio::test]
async fn a_directory_whose_keys_are_gone_goes() {
    let bed = Bed::new(&["dir/a", "b"], |_| {});
    bed.attr("dir/a").await;
    bed.bucket.remove("dir/a");
    bed.pass(60);
    bed.missing("dir/c").await;
    bed.missing("dir").await;
    assert_eq!(bed.names("").await, ["b"]);
}

#[tokio::test]
async fn a_large_directory_is_not_listed_again_for_a_few_names() {
    let bucket = MemoryStore::new();
    (0..5000).for_each(|n| drop(bucket.put(format!("{n:04}"), "x")));
    let bed = Bed::over(bucket, |_| {});
    bed.names("").await;
    bed.pass(60);
    bed.requests();
    let mut requests = Vec::new();
    for n in 0..5 {
        bed.attr(&format!("{n:04}")).await;
        requests.push(bed.requests());
    }
    assert!(requests.iter().all(|asked| asked.len() == 2 && !asked.contains(&"LIST ".to_owned())), "{requests:?}");
    bed.attr("0005").await;
    assert!(bed.requests().contains(&"LIST ".to_owned()), "by now a listing is cheaper");
    bed.attr("0000").await;
    bed.missing("0000x").await;
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_does_not_stop_the_listing() {
    let bucket = MemoryStore::new().latency(Duration::from_millis(50));
    (0..3000).for_each(|n| drop(bucket.put(format!("{n:04}"), "x")));
    let bed = Bed::over(bucket, |_| {});
    let fs = bed.fs.clone();
    let handle = fs.clone().opendir(Ino::ROOT).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(10), readdir(&fs, handle, 2, 10)).await;
    assert!(given_up.is_err());
    bed.fs.releasedir(handle);
    assert_eq!(bed.names("").await.len(), 3000);
    let firsts = bed.requests();
    assert!(firsts.len() < 8, "listed once: {firsts:?}");
}

#[tokio::test]
async fn with_no_time_to_live_every_opendir_lists() {
    let bed = Bed::new(&["a"], |options| options.metadata_ttl = Ttl::EachOpen);
    assert_eq!(bed.names("").await, ["a"]);
    bed.bucket.put("b", "x");
    assert_eq!(bed.names("").await, ["a", "b"]);
    bed.attr("b").await;
    assert_eq!(bed.requests(), ["LIST ", "LIST "]);
}

#[tokio::test]
async fn long_components_open_by_their_parts() {
    let long = "n".repeat(600);
    let shadowed = "s".repeat(250);
    let keys = [format!("d/{long}/x"), format!("d/{long}"), shadowed.clone(), format!("{shadowed}/y")];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let bed = Bed::new(&keys, |options| options.odd_keys = OddKeys::Escape);
    let part = format!("%oss-part={}", "n".repeat(245));
    let rest = "n".repeat(110);
    let paths = [
        format!("d/{part}/{part}/{rest}/x"),
        format!("d/{part}/{part}/%oss-file={rest}"),
        format!("%oss-part={}/%oss-file=sssss", "s".repeat(245)),
        format!("{shadowed}/y"),
    ];
    for (path, key) in paths.iter().zip(keys) {
        let handle = bed.open(path).await.unwrap();
        assert_eq!(bed.read(handle).await.unwrap(), format!("<{key}>"));
    }
    assert_eq!(bed.metrics.value(Metric::OddKeys), 0);
}

#[tokio::test]
async fn what_the_kernel_forgets_is_freed() {
    let bed = Bed::new(&["a", "dir/b"], |_| {});
    let (a, b) = (bed.attr("a").await.ino, bed.attr("dir/b").await.ino);
    bed.bucket.remove("a");
    bed.bucket.remove("dir/b");
    bed.pass(60);
    bed.names("").await;
    assert_eq!(bed.metrics.value(Metric::TreeEntries), 4, "the root, and what the kernel refers to");
    let dir = bed.fs.names.parent(b).unwrap();
    for ino in [a, b, dir] {
        bed.fs.forget(ino, 1);
    }
    assert_eq!(bed.metrics.value(Metric::TreeEntries), 1);
}
