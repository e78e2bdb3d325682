//! Directories with more names than memory holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::base::{Key, Timestamp};
use crate::fs::tests::{Bed, readdir};
use crate::fs::*;
use crate::store::Error;
use crate::store::layers::{KeyOrder, QuirkStore, Quirks, StartAfter};
use crate::store::memory::MemoryStore;
use crate::store::{
    ErrorKind, GetRequest, GetResponse, HeadRequest, ListEntry, ListPage, ListRequest, ObjectKind,
    Result as StoreResult, Tags, VersionPage, VersionsRequest,
};

/// A limit that holds some 4000 names of one directory.
const LIMIT: u64 = 1 << 20;

/// What may come on top of it before the next page is looked at.
const SLACK: u64 = 256 << 10;

const NAMES: usize = 10_000;

/// A directory with files, directories, and files whose name a directory takes.
fn bucket() -> (MemoryStore, BTreeSet<String>) {
    let bucket = MemoryStore::new().latency(Duration::from_millis(1));
    let mut names = BTreeSet::new();
    for n in 0..NAMES {
        let name = format!("f{n:06}");
        match n % 100 {
            7 => drop(bucket.put(format!("big/{name}/x"), "x")),
            8 => {
                bucket.put(format!("big/{name}"), "hidden");
                bucket.put(format!("big/{name}-beside"), "x");
                bucket.put(format!("big/{name}/x"), "x");
                names.insert(format!("{name}-beside"));
            }
            _ => drop(bucket.put(format!("big/{name}"), "file")),
        }
        names.insert(name);
    }
    bucket.put("small/a", "x");
    (bucket, names)
}

fn bed(change: impl FnOnce(&mut Options)) -> (Bed, BTreeSet<String>) {
    let (bucket, names) = bucket();
    let bed = Bed::over(bucket, |options| {
        options.metadata_bytes = LIMIT;
        change(options);
    });
    (bed, names)
}

fn assert_fits(fs: &Fs) {
    let bytes = fs.names_bytes();
    assert!(bytes <= LIMIT + SLACK, "{bytes} bytes");
}

/// Reads on from an offset to the end, and sees that memory stays within its limit.
async fn read_on(fs: &Arc<Fs>, handle: DirHandle, mut offset: u64) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let entries = readdir(fs, handle, offset, 100).await.unwrap();
        assert_fits(fs);
        let Some(last) = entries.last() else { return names };
        assert!(entries.is_sorted_by(|a, b| a.next_offset < b.next_offset), "offsets grow");
        offset = last.next_offset;
        names.extend(entries.into_iter().map(|entry| String::from_utf8(entry.name.into()).unwrap()));
    }
}

async fn read(fs: &Arc<Fs>, ino: Ino) -> Vec<String> {
    let handle = fs.clone().opendir(ino).await.unwrap();
    let names = read_on(fs, handle, 2).await;
    fs.releasedir(handle);
    names
}

fn each_once(names: Vec<String>) -> BTreeSet<String> {
    let count = names.len();
    let names: BTreeSet<String> = names.into_iter().collect();
    assert_eq!(names.len(), count, "a name came twice");
    names
}

#[tokio::test(start_paused = true)]
async fn a_directory_beyond_the_limit_is_read_whole_and_memory_stays_within_it() {
    for (concurrency, page_size) in [(1, 1000), (64, 1000), (4, 300)] {
        let (bed, expected) = bed(|options| {
            options.list.concurrency = concurrency;
            options.list.page_size = page_size;
        });
        let big = bed.attr("big").await.ino;
        // The first one joins the listing that comes to the limit, the others read the store alone.
        for time in 0..2 {
            assert_eq!(each_once(read(&bed.fs, big).await), expected, "at {concurrency}, {time}");
        }
        let all = join_all((0..2).map(|_| read(&bed.fs, big))).await;
        all.into_iter().for_each(|names| assert_eq!(each_once(names), expected));
        assert_eq!(bed.fs.names.state.lock().large.len(), 1);
        assert_eq!(bed.names("small").await, ["a"]);
        let figures = bed.fs.control.figures(crate::control::Stats { files: false });
        assert_eq!(figures["tree"]["large-directories"], 1);
        assert!(figures["tree"]["finding"].as_str().unwrap().contains("raise metadata-memory"), "{figures:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_of_it_are_asked_for_alone() {
    let (bucket, _) = bucket();
    bucket.put_symlink("big/link", "big/f000001");
    let bed = Bed::over(bucket, |options| options.metadata_bytes = LIMIT);
    let big = bed.attr("big").await.ino;
    read(&bed.fs, big).await;
    bed.requests();
    assert_eq!(bed.attr("big/f009999").await.size, 4);
    assert_eq!(bed.attr("big/f000008").await.kind, FileKind::Directory);
    assert_eq!(bed.attr("big/f000007/x").await.size, 1);
    assert_eq!(bed.attr("big/link").await.size, 4, "a listing of one name tells that it is a link");
    bed.missing("big/f000009-beside").await;
    bed.bucket.put("big/new", "x");
    assert_eq!(bed.attr("big/new").await.size, 1);
    bed.bucket.remove("big/f000001");
    bed.pass(60);
    bed.missing("big/f000001").await;
    let handle = bed.open("big/f000002").await.unwrap();
    assert_eq!(bed.read(handle).await.unwrap(), "file");
    let requests = bed.requests();
    assert!(!requests.iter().any(|request| request == "LIST big/"), "{requests:?}");
    assert!(requests.len() < 30, "{requests:?}");
    assert_fits(&bed.fs);
}

#[tokio::test(start_paused = true)]
async fn escaped_names_of_it_are_found_too() {
    let (bucket, mut expected) = bucket();
    bucket.put("big/%oss-odd", "12345");
    bucket.put("big/", "marker with content");
    let bed = Bed::over(bucket, |options| {
        options.metadata_bytes = LIMIT;
        options.odd_keys = OddKeys::Escape;
    });
    expected.extend(["%oss-file=%25oss-odd".to_owned(), "%oss-file=".to_owned()]);
    expected.extend((0..NAMES).filter(|n| n % 100 == 8).map(|n| format!("%oss-file=f{n:06}")));
    let big = bed.attr("big").await.ino;
    for _ in 0..2 {
        assert_eq!(each_once(read(&bed.fs, big).await), expected);
    }
    assert_eq!(bed.attr("big/%oss-file=%25oss-odd").await.size, 5);
    assert_eq!(bed.attr("big/%oss-file=f000008").await.size, 6);
    assert_eq!(bed.attr("big/%oss-file=").await.size, 19);
    bed.missing("big/%oss-file=f000007").await;
    assert_eq!(bed.entry("big/%oss-part=x").await.unwrap_err(), Errno::ENOMEM, "only a listing could tell");
}

#[tokio::test(start_paused = true)]
async fn look_ups_on_the_way_are_answered() {
    let (bed, _) = bed(|_| {});
    let big = bed.attr("big").await.ino;
    let reader = tokio::spawn({
        let fs = bed.fs.clone();
        async move { read(&fs, big).await.len() }
    });
    for n in (0..NAMES).step_by(97) {
        let entry = bed.attr(&format!("big/f{n:06}")).await;
        assert_eq!(entry.kind == FileKind::Directory, matches!(n % 100, 7 | 8), "{n}");
        bed.missing(&format!("big/f{n:06}?")).await;
        bed.fs.forget(entry.ino, 1);
        assert_fits(&bed.fs);
    }
    assert_eq!(reader.await.unwrap(), NAMES + NAMES / 100);
}

#[tokio::test(start_paused = true)]
async fn a_handle_goes_back_to_where_it_was() {
    let (bed, expected) = bed(|options| options.list.page_size = 100);
    let big = bed.attr("big").await.ino;
    for is_whole in [false, true] {
        let handle = bed.fs.clone().opendir(big).await.unwrap();
        let at = async |offset| readdir(&bed.fs, handle, offset, 1).await.unwrap().pop();
        let (mut offset, mut all) = (2, Vec::new());
        while let Some(entry) = at(offset).await {
            all.push((offset, entry.name));
            offset = entry.next_offset;
        }
        assert_eq!(all.len(), expected.len());
        for index in [all.len() - 1, 9_000, 7_345, 7_344, 9_999] {
            let (offset, name) = &all[index];
            assert_eq!(at(*offset).await.unwrap().name, *name, "{index}");
        }
        if !is_whole {
            // Into the part that was given back meanwhile: rather twice than not at all.
            assert_eq!(each_once(read_on(&bed.fs, handle, all[5].0).await), expected);
        }
        // To the beginning: all of it once more.
        assert_eq!(each_once(read_on(&bed.fs, handle, 2).await), expected);
        bed.fs.releasedir(handle);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_has_become_small_is_held_again() {
    let (bed, expected) = bed(|_| {});
    let big = bed.attr("big").await.ino;
    read(&bed.fs, big).await;
    for name in expected.iter().skip(10) {
        bed.bucket.remove(&format!("big/{name}"));
        bed.bucket.remove(&format!("big/{name}/x"));
    }
    for _ in 0..2 {
        assert_eq!(read(&bed.fs, big).await.len(), 10);
    }
    bed.requests();
    assert_eq!(read(&bed.fs, big).await.len(), 10);
    assert_eq!(bed.requests(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_one_keeps_nothing_old_and_one_of_all_below_says_that_there_is_no_room() {
    let (bed, _) = bed(|_| {});
    let big = bed.attr("big").await.ino;
    bed.attr("big/f000001").await;
    bed.bucket.put("big/f000001", "longer than before");
    bed.fs.clone().refresh(big, Depth::Directory).await.unwrap();
    assert_eq!(bed.attr("big/f000001").await.size, 18);
    let wide = bed.fs.clone().refresh(Ino::ROOT, Depth::Subtree).await;
    assert_eq!(wide, Ok(()), "what is not held is forgotten on the way");
    assert_fits(&bed.fs);
}

/// Names come and go while several handles read: what stays is shown once, everything at most once.
#[tokio::test(start_paused = true)]
async fn what_stays_is_shown_once_while_names_change() {
    for seed in 0..2 {
        let (bed, names) = bed(|options| options.list.page_size = 500);
        let mut dice = StdRng::seed_from_u64(seed);
        let staying: BTreeSet<&String> = names.iter().filter(|name| name.ends_with('1')).collect();
        let changing: Vec<&String> = names.iter().filter(|name| name.ends_with(['2', '3'])).collect();
        let big = bed.attr("big").await.ino;
        let mut readers: Vec<_> = Vec::new();
        for _ in 0..3 {
            readers.push((bed.fs.clone().opendir(big).await.unwrap(), 2, Vec::new(), false));
        }
        while readers.iter().any(|(.., is_over)| !is_over) {
            let (handle, offset, seen, is_over) = &mut readers[dice.random_range(0..3)];
            let entries = readdir(&bed.fs, *handle, *offset, 97).await.unwrap();
            assert_fits(&bed.fs);
            *is_over |= entries.is_empty();
            *offset = entries.last().map_or(*offset, |entry| entry.next_offset);
            seen.extend(entries.into_iter().map(|entry| String::from_utf8(entry.name.into()).unwrap()));
            for _ in 0..20 {
                let name = changing[dice.random_range(0..changing.len())];
                match dice.random_range(0..3) {
                    0 => bed.bucket.remove(&format!("big/{name}")),
                    1 => drop(bed.bucket.put(format!("big/{name}"), "again")),
                    _ => drop(bed.bucket.put(format!("big/{name}-{}", dice.random_range(0..9)), "new")),
                }
            }
        }
        for (handle, _, seen, _) in readers {
            let seen = each_once(seen);
            let lost: Vec<_> = staying.iter().filter(|name| !seen.contains(**name)).collect();
            assert!(lost.is_empty(), "seed {seed}: {lost:?}");
            bed.fs.releasedir(handle);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn servers_that_keep_no_order_are_refused_and_those_without_start_after_are_read() {
    let with = |quirks: Quirks| {
        let bucket = MemoryStore::new();
        let names: BTreeSet<String> = (0..1500).map(|n| format!("n{n:04}")).collect();
        names.iter().for_each(|name| drop(bucket.put(format!("big/{name}"), "x")));
        let between = move |store| -> Arc<dyn Store> { Arc::new(QuirkStore::new(store, quirks)) };
        let bed = Bed::behind(bucket, between, |options| {
            (options.metadata_bytes, options.list.page_size) = (128 << 10, 200);
        });
        (bed, names)
    };
    let (bed, expected) = with(Quirks { start_after: StartAfter::Refused, ..Quirks::default() });
    let big = bed.attr("big").await.ino;
    for _ in 0..2 {
        assert_eq!(each_once(read(&bed.fs, big).await), expected);
    }
    let (bed, _) = with(Quirks { order: KeyOrder::Scattered(3), ..Quirks::default() });
    let big = bed.attr("big").await.ino;
    let handle = bed.fs.clone().opendir(big).await.unwrap();
    let mut offset = 2;
    let error = loop {
        match readdir(&bed.fs, handle, offset, 100).await {
            Ok(entries) => offset = entries.last().expect("it does not come to an end").next_offset,
            Err(errno) => break errno,
        }
    };
    assert_eq!(error, Errno::EIO);
    assert_fits(&bed.fs);
}

/// Components that keys of a directory begin with: short ones that are beginnings of each other, directories, odd
/// names, and some too long for a name.
fn components(dice: &mut StdRng) -> BTreeSet<String> {
    let text = |dice: &mut StdRng, characters: &[u8], most: usize| -> String {
        (0..dice.random_range(1..=most))
            .map(|_| char::from(characters[dice.random_range(0..characters.len())]))
            .collect()
    };
    let mut components = BTreeSet::new();
    while components.len() < 700 {
        components.insert(match dice.random_range(0..50) {
            0 => format!("{}{}", "a".repeat(300), text(dice, b"ab/", 2)),
            1 => format!("{}{}", "b".repeat(300), text(dice, b"ab", 2)),
            2 => "%oss-x".to_owned(),
            3..15 => format!("{}/{}", text(dice, b"ab0-", 3), text(dice, b"ab/", 3)),
            _ => text(dice, b"ab0-", 6),
        });
    }
    components
}

/// Whatever the keys are and wherever its listing stops, a directory that is too large reads as if it were held.
#[tokio::test(start_paused = true)]
async fn any_directory_is_read_as_if_it_were_held() {
    let mut large = 0;
    for seed in 0..24 {
        let mut dice = StdRng::seed_from_u64(seed);
        let components = components(&mut dice);
        let (page_size, concurrency) = (dice.random_range(5..60), dice.random_range(1..9));
        let (escape, eager) = (dice.random(), dice.random());
        let over = |limit| {
            let bucket = MemoryStore::new().latency(Duration::from_millis(3));
            components.iter().for_each(|component| drop(bucket.put(format!("d/{component}"), "x")));
            Bed::over(bucket, |options| {
                options.metadata_bytes = limit;
                (options.list.page_size, options.list.concurrency) = (page_size, concurrency);
                options.odd_keys = if escape { OddKeys::Escape } else { OddKeys::Hide };
                options.listing = if eager { ListingMode::Eager } else { ListingMode::Auto };
            })
        };
        let (held, bed) = (over(64 << 20), over(64 << 10));
        let expected: BTreeSet<String> = held.names("d").await.into_iter().collect();
        let directory = bed.attr("d").await.ino;
        let mut readers: BTreeMap<usize, (DirHandle, u64, Vec<String>)> = BTreeMap::new();
        let mut left = 5;
        while left > 0 || !readers.is_empty() {
            if left > 0 && dice.random_bool(0.2) {
                left -= 1;
                readers.insert(left, (bed.fs.clone().opendir(directory).await.unwrap(), 2, Vec::new()));
            }
            let Some(reader) = readers.keys().copied().nth(dice.random_range(0..5)) else { continue };
            let (handle, offset, seen) = readers.get_mut(&reader).unwrap();
            let entries = readdir(&bed.fs, *handle, *offset, dice.random_range(1..80)).await.unwrap();
            if let Some(last) = entries.last() {
                *offset = last.next_offset;
                seen.extend(entries.into_iter().map(|entry| String::from_utf8(entry.name.into()).unwrap()));
                continue;
            }
            let (handle, _, seen) = readers.remove(&reader).unwrap();
            let seen = each_once(seen);
            assert!(seen == expected, "seed {seed}: {:?}", seen.symmetric_difference(&expected).collect::<Vec<_>>());
            bed.fs.releasedir(handle);
        }
        large += bed.fs.names.state.lock().large.len();
    }
    assert!(large >= 20, "{large} were too large");
}

/// `big/` with so many numbered files, computed when they are asked for.
#[derive(Debug)]
struct Numbers {
    names: u64,
    lists: AtomicU64,
}

impl Numbers {
    fn key(n: u64) -> String {
        format!("big/{n:08}")
    }

    fn meta() -> ObjectMeta {
        ObjectMeta { size: 7, last_modified: Some(Timestamp::from_unix(1_600_000_000)), ..ObjectMeta::default() }
    }
}

#[async_trait::async_trait]
impl Store for Numbers {
    async fn get(&self, _: GetRequest) -> StoreResult<GetResponse> {
        Err(Error::new(ErrorKind::NotFound, "these objects are never read"))
    }

    async fn head(&self, request: HeadRequest) -> StoreResult<ObjectMeta> {
        let number = request.key.as_str().strip_prefix("big/").filter(|digits| digits.len() == 8);
        match number.and_then(|digits| digits.parse::<u64>().ok()).filter(|&number| number < self.names) {
            Some(_) => Ok(Numbers::meta()),
            None => Err(Error::new(ErrorKind::NotFound, "no such key")),
        }
    }

    async fn list(&self, request: ListRequest) -> StoreResult<ListPage> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        if "big/".starts_with(&request.prefix) && request.prefix.len() < 4 {
            return Ok(ListPage { prefixes: vec!["big/".to_owned()], ..ListPage::default() });
        }
        let after = request.continuation.or(request.start_after).unwrap_or_default();
        let (mut low, mut high) = (0, self.names);
        while low < high {
            let middle = low + (high - low) / 2;
            let key = Numbers::key(middle);
            if key <= after || key < request.prefix { low = middle + 1 } else { high = middle }
        }
        let most = if request.max_keys == 0 { 1000 } else { u64::from(request.max_keys) };
        let keys = (low..self.names).map(Numbers::key).take_while(|key| key.starts_with(&request.prefix));
        let mut entries: Vec<ListEntry> = keys.take(most as usize + 1).map(entry).collect();
        let is_more = entries.len() as u64 > most;
        entries.truncate(most as usize);
        let next = entries.last().filter(|_| is_more).map(|entry| entry.key.clone());
        Ok(ListPage { entries, next, ..ListPage::default() })
    }

    async fn list_versions(&self, _: VersionsRequest) -> StoreResult<VersionPage> {
        Err(Error::new(ErrorKind::Unsupported, "no versions are listed here"))
    }

    async fn symlink_target(&self, _: &Key, _: Option<&str>) -> StoreResult<String> {
        Err(Error::new(ErrorKind::Unsupported, "these are no symlinks"))
    }

    async fn tags(&self, _: &Key, _: Option<&str>) -> StoreResult<Tags> {
        Err(Error::new(ErrorKind::Unsupported, "these objects have no tags"))
    }
}

fn entry(key: String) -> ListEntry {
    let ObjectMeta { size, last_modified, .. } = Numbers::meta();
    ListEntry { key, size, etag: None, last_modified, kind: ObjectKind::Normal, storage_class: None, version: None }
}

fn numbers(names: u64, limit: u64) -> (Bed, Arc<Numbers>) {
    let store = Arc::new(Numbers { names, lists: AtomicU64::new(0) });
    let between = |_| -> Arc<dyn Store> { store.clone() };
    (Bed::behind(MemoryStore::new(), between, |options| options.metadata_bytes = limit), store)
}

#[tokio::test]
async fn hundreds_of_thousands_of_names_take_no_more_than_the_limit() {
    const MANY: u64 = 100_000;
    let (bed, _) = numbers(MANY, LIMIT);
    let big = bed.attr("big").await.ino;
    let mut handles = Vec::new();
    for _ in 0..3 {
        let handle = bed.fs.clone().opendir(big).await.unwrap();
        let fs = bed.fs.clone();
        handles.push(async move {
            let (mut seen, mut offset, mut count) = (vec![false; MANY as usize], 2, 0);
            loop {
                let entries = readdir(&fs, handle, offset, 500).await.unwrap();
                assert_fits(&fs);
                let Some(last) = entries.last() else { break };
                offset = last.next_offset;
                for entry in &entries {
                    let number: usize = std::str::from_utf8(&entry.name).unwrap().parse().unwrap();
                    assert!(!std::mem::replace(&mut seen[number], true), "{number} came twice");
                    count += 1;
                }
            }
            fs.releasedir(handle);
            count
        });
    }
    assert_eq!(join_all(handles).await, [MANY; 3]);
    assert_eq!(bed.attr("big/00099999").await.size, 7);
    bed.missing("big/00100000").await;
    assert_fits(&bed.fs);
}

#[tokio::test]
async fn absent_names_of_a_directory_that_was_listed_cost_no_request() {
    let (bed, store) = numbers(100_000, 256 << 20);
    assert_eq!(bed.names("big").await.len(), 100_000);
    let before = store.lists.load(Ordering::Relaxed);
    let big = bed.attr("big").await.ino;
    for n in 0..10_000 {
        let entry = bed.fs.clone().lookup(big, format!("absent-{n}").into_bytes()).await.unwrap();
        assert!(matches!(entry, Entry::Missing(_)), "{entry:?}");
    }
    assert_eq!(store.lists.load(Ordering::Relaxed), before);
}

/// What a kernel knows: by directory and name the number, and how often it was told of it.
type Known = BTreeMap<(Ino, Vec<u8>), (Ino, u64)>;

/// A kernel that keeps all it was ever told of, until it is asked to forget it.
#[derive(Debug, Default)]
struct Hoarder {
    known: Mutex<Known>,
    asked: Mutex<Vec<(Ino, Vec<u8>)>>,
}

impl Notifier for Hoarder {
    fn invalidate_entry(&self, parent: Ino, name: &[u8]) {
        self.asked.lock().push((parent, name.to_vec()));
    }
    fn invalidate_attributes(&self, _: Ino) {}
    fn invalidate_pages(&self, _: Ino) {}
    fn drop_pages(&self, _: Ino, _: tokio::sync::oneshot::Sender<()>) {}
    fn after_that(&self, _: tokio::sync::oneshot::Sender<()>) {}
}

impl Hoarder {
    fn take(&self, parent: Ino, name: &[u8], ino: Ino) {
        self.known.lock().entry((parent, name.to_vec())).or_insert((ino, 0)).1 += 1;
    }

    fn obey(&self, fs: &Fs) {
        for asked in std::mem::take(&mut *self.asked.lock()) {
            if let Some((ino, count)) = self.known.lock().remove(&asked) {
                fs.forget(ino, count);
            }
        }
    }
}

/// `find -size`: all names of each directory with their attributes, and a look-up of what came without.
#[tokio::test(start_paused = true)]
async fn a_walk_that_comes_to_the_limit_goes_on_and_takes_no_more() {
    for looks in [false, true] {
        let store = MemoryStore::new();
        (0..60).for_each(|n| (0..100).for_each(|m| drop(store.put(format!("{n:03}/{m:03}"), "x"))));
        let bed = Bed::over(store, |options| options.metadata_bytes = LIMIT / 4);
        let kernel = Arc::new(Hoarder::default());
        bed.fs.set_notifier(Some(kernel.clone()));
        let mut files = 0;
        for name in bed.names("").await {
            let directory = bed.attr(&name).await.ino;
            let handle = bed.fs.clone().opendir(directory).await.unwrap();
            let (mut offset, mut unsure) = (0, Vec::new());
            loop {
                let (before, mut count) = (offset, 0);
                let take = |entry: &DirEntry<'_>| {
                    if count == 30 {
                        return Room::Full;
                    }
                    (count, offset) = (count + 1, entry.next_offset);
                    if !entry.name.starts_with(b".") {
                        kernel.take(directory, entry.name, entry.attr.ino);
                        unsure.extend(entry.attr.ttl.is_zero().then(|| entry.name.to_vec()));
                    }
                    Room::Left
                };
                bed.fs.clone().readdir(handle, before, Counting::Plus, take).await.unwrap();
                if offset == before {
                    break;
                }
                files += count;
            }
            for name in unsure.into_iter().filter(|_| looks) {
                let entry = bed.fs.clone().lookup(directory, name.clone()).await.unwrap();
                let Entry::Found(attr) = entry else { panic!("{entry:?}") };
                kernel.take(directory, &name, attr.ino);
            }
            bed.fs.releasedir(handle);
            for _ in 0..16 {
                bed.fs.names.evict().await;
                if !bed.fs.names.is_over_budget() {
                    break;
                }
                bed.fs.names.shed();
                kernel.obey(&bed.fs);
            }
            let bytes = bed.fs.names_bytes();
            assert!(bytes <= LIMIT / 4 + SLACK / 4, "{bytes} bytes");
        }
        assert_eq!(files, 60 * 102, "with the dots");
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_for_alone_where_references_alone_fill_the_memory() {
    let store = MemoryStore::new();
    (0..3000).for_each(|n| drop(store.put(format!("full/{n:04}"), "x")));
    (0..100).for_each(|n| drop(store.put(format!("other/{n:03}"), "x")));
    let bed = Bed::over(store, |options| options.metadata_bytes = LIMIT / 4);
    for n in 0..3000 {
        bed.attr(&format!("full/{n:04}")).await;
    }
    assert!(bed.fs.names.is_over_budget());
    let other = bed.attr("other").await.ino;
    bed.requests();
    for (name, is_there) in [("000", true), ("050", true), ("none", false)] {
        let entry = bed.fs.clone().lookup(other, name.into()).await.unwrap();
        assert_eq!(matches!(entry, Entry::Found(_)), is_there, "{name}: {entry:?}");
        let mut requests = bed.requests();
        requests.sort();
        assert_eq!(requests, [format!("HEAD other/{name}"), format!("LIST other/{name}/ 1")]);
    }
    assert_eq!(bed.names("other").await.len(), 100, "a handle holds what it reads");
}
