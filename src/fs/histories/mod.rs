//! Histories: several clients change a bucket while several programs look at it through one mount, and every answer is
//! judged against the model of the manual's chapter on consistency.
//!
//! Time is virtual and everything follows from a seed, so that a failing history can be repeated. The ordinary
//! run judges some thousand; `OSSMOUNT_HISTORIES=100000 cargo nextest run --release histories` that many, and
//! `OSSMOUNT_HISTORY=SEED` the one of that seed, telling what happens.
//!
//! | file | what it owns |
//! |---|---|
//! | `judge` | what an operation may answer |
//! | `kernel` | the kernel, as far as it remembers |

mod judge;
mod kernel;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use self::judge::{Record, Seen, What, Window, most_age};
use self::kernel::{Call, Kernel};
use super::{Depth, Errno, Fs, ListingMode, Options, Ttl};
use crate::base::{BucketName, Clock, Ino, Key, Timestamp};
use crate::metrics::Metrics;
use crate::read;
use crate::store::memory::MemoryStore;
use crate::store::{
    GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Result as StoreResult, Store, VersionPage,
    VersionsRequest,
};

/// Histories of each time to live that the ordinary run judges.
const HISTORIES: u64 = 500;

/// Where time begins: what was there before the mount was put long ago.
const BEGINNING: Duration = Duration::from_secs(1000);

/// How long the absence of a name that was asked for alone is believed.
const NEGATIVE_TTL: Duration = Duration::from_secs(2);

/// A bucket behind a network: every request takes its time to get there, and every answer to come back.
#[derive(Debug)]
struct Network {
    bucket: Arc<MemoryStore>,
    dice: Mutex<StdRng>,
    slowest_ms: u64,
    /// Shows each listing, by the time on this clock.
    tells: Option<Clock>,
}

impl Network {
    async fn travel(&self) {
        let ms = self.dice.lock().random_range(0..=self.slowest_ms);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[async_trait::async_trait]
impl Store for Network {
    async fn get(&self, request: GetRequest) -> StoreResult<GetResponse> {
        self.travel().await;
        let answer = self.bucket.get(request).await;
        self.travel().await;
        answer
    }

    async fn head(&self, request: HeadRequest) -> StoreResult<ObjectMeta> {
        self.travel().await;
        let answer = self.bucket.head(request).await;
        self.travel().await;
        answer
    }

    async fn list(&self, request: ListRequest) -> StoreResult<ListPage> {
        let began = self.tells.as_ref().map(Clock::elapsed);
        let asked = format!("{request:?}");
        self.travel().await;
        let answer = self.bucket.list(request).await;
        let at = self.tells.as_ref().map(Clock::elapsed);
        self.travel().await;
        if let (Some(clock), Some(began), Some(at)) = (&self.tells, began, at) {
            let keys: Option<Vec<_>> =
                answer.as_ref().ok().map(|page| page.entries.iter().map(|entry| &entry.key).collect());
            println!("{:?}   LIST of {began:?}, answered at {at:?}: {asked}: {keys:?}", clock.elapsed());
        }
        answer
    }

    async fn list_versions(&self, request: VersionsRequest) -> StoreResult<VersionPage> {
        self.bucket.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> StoreResult<String> {
        self.bucket.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> StoreResult<crate::store::Tags> {
        self.bucket.tags(key, version).await
    }
}

/// Files that clients put, replace and delete.
const CHANGING: [&str; 8] = ["a", "k", "z", "d/b", "d/m", "d/e/f", "g/h", "g/i/j"];
/// Files that are there all the time.
const STAYING: [&str; 7] = ["c", "y", "d/c", "d/l", "d/e/s", "d/x", "g/s"];
/// Paths that programs look at.
const DIRECTORIES: [&str; 5] = ["", "d", "d/e", "g", "g/i"];

struct World {
    seed: u64,
    tells: bool,
    clock: Clock,
    ttl: Ttl,
    bucket: Arc<MemoryStore>,
    kernel: Kernel,
    record: Mutex<Record>,
    versions: Mutex<u64>,
    /// Refreshes that were over at a time: of the whole mount, and when they began.
    refreshed: Mutex<Vec<(Duration, Duration)>>,
    wrong: Mutex<Option<String>>,
}

impl World {
    fn window(&self, began: Duration, what: What, answer: Seen) -> Window {
        let believed = began.saturating_sub(most_age(self.ttl, NEGATIVE_TTL, what, answer));
        let refreshed = self.refreshed.lock().iter().filter(|(ended, _)| *ended < began).map(|(_, began)| *began).max();
        let from = refreshed.map_or(believed, |refreshed| believed.max(refreshed)).max(BEGINNING);
        Window { from, to: self.clock.elapsed() }
    }

    fn tell(&self, text: impl FnOnce() -> String) {
        if self.tells {
            println!("{:?} {}", self.clock.elapsed(), text());
        }
    }

    fn wrong(&self, began: Duration, wrong: Option<String>) {
        if let Some(wrong) = wrong {
            self.tell(|| format!("WRONG {wrong}"));
            let text = format!("seed {}: from {began:?} to {:?}: {wrong}", self.seed, self.clock.elapsed());
            self.wrong.lock().get_or_insert(text);
        }
    }

    fn stale(&self, path: &str, began: Duration, what: What, error: Errno) -> Option<String> {
        let window = self.window(began, what, Seen::Missing);
        let changed = error == Errno::ESTALE && self.record.lock().may_be_stale(path, window);
        (!changed).then(|| format!("{path}: {error:?}, and nothing has changed in {window:?}"))
    }

    fn put(&self, key: &str, at: Duration) {
        let version = {
            let mut versions = self.versions.lock();
            *versions += 1;
            *versions
        };
        // The size tells the version, and so does every byte.
        self.bucket.put(key, Bytes::from(vec![version as u8; version as usize]));
        self.record.lock().change(at, key, Some(version));
        self.tell(|| format!("put {key} {version}"));
    }

    fn delete(&self, key: &str) {
        self.bucket.remove(key);
        self.record.lock().change(self.clock.elapsed(), key, None);
        self.tell(|| format!("delete {key}"));
    }

    fn judge(&self, path: &str, began: Duration, what: What, answer: Seen) {
        let window = self.window(began, what, answer);
        let wrong = self.record.lock().judge(path, answer, window);
        self.wrong(began, wrong);
    }

    async fn stat(&self, path: &str) {
        let began = self.clock.elapsed();
        let answer = self.kernel.stat(path).await;
        self.tell(|| format!("stat {path} of {began:?}: {answer:?}"));
        match answer {
            Ok(seen) => self.judge(path, began, What::Stat, seen),
            Err(error) => self.wrong(began, self.stale(path, began, What::Stat, error)),
        }
    }

    async fn list(&self, path: &str, entries: usize, pause: Duration) {
        let began = self.clock.elapsed();
        let answer = self.kernel.list(path, entries, pause).await;
        self.tell(|| format!("list {path} of {began:?}: {answer:?}"));
        match answer {
            Ok(names) => {
                let window = self.window(began, What::Listing, Seen::Directory);
                let wrong = self.record.lock().judge_listing(path, &names, window);
                self.wrong(began, wrong);
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => self.judge(path, began, What::Open, Seen::Missing),
            Err(error) => self.wrong(began, self.stale(path, began, What::Listing, error)),
        }
    }

    async fn read(&self, path: &str, pause: Duration) {
        let began = self.clock.elapsed();
        let answer = self.kernel.read(path, pause).await;
        self.tell(|| format!("read {path} of {began:?}: {answer:?}"));
        match answer {
            Ok(bytes) => {
                let version = bytes.len() as u64;
                if bytes.iter().any(|&byte| byte != version as u8) {
                    self.wrong(began, Some(format!("{path}: a mix of versions: {bytes:?}")));
                }
                self.judge(path, began, What::Open, Seen::File(version));
            }
            Err((Errno::ENOENT | Errno::ENOTDIR, Call::Open)) => {
                self.judge(path, began, What::Open, Seen::Missing);
            }
            // The object is gone: what the open has seen can be read no more.
            Err((Errno::ENOENT, Call::Read)) => {
                self.wrong(began, self.stale(path, began, What::Open, Errno::ESTALE));
            }
            Err((error, _)) => self.wrong(began, self.stale(path, began, What::Open, error)),
        }
    }

    async fn refresh(&self) {
        let began = self.clock.elapsed();
        if self.kernel.fs().refresh(Ino::ROOT, Depth::Subtree).await.is_ok() {
            self.tell(|| format!("refreshed of {began:?}"));
            self.refreshed.lock().push((self.clock.elapsed(), began));
        }
    }
}

/// How long a program pauses: mostly next to nothing, at times as long as things are believed.
fn pause(dice: &mut StdRng, ttl: Ttl) -> Duration {
    let long = match ttl {
        Ttl::For(ttl) => ttl.as_millis() as u64 * 5 / 4,
        Ttl::EachOpen | Ttl::Indefinite => 3000,
    };
    let most = match dice.random_range(0..10) {
        0..5 => 20,
        5..8 => 200,
        _ => long,
    };
    Duration::from_millis(dice.random_range(0..=most))
}

async fn client(world: Arc<World>, mut dice: StdRng) {
    for _ in 0..dice.random_range(2..12) {
        tokio::time::sleep(pause(&mut dice, world.ttl)).await;
        let Some(key) = CHANGING.choose(&mut dice) else { return };
        match dice.random_range(0..3) {
            0 => world.delete(key),
            _ => world.put(key, world.clock.elapsed()),
        }
    }
}

async fn program(world: Arc<World>, mut dice: StdRng) {
    for _ in 0..dice.random_range(2..12) {
        tokio::time::sleep(pause(&mut dice, world.ttl)).await;
        let files: Vec<&str> = CHANGING.into_iter().chain(STAYING).collect();
        let file = files[dice.random_range(0..files.len())];
        let directory = DIRECTORIES[dice.random_range(0..DIRECTORIES.len())];
        match dice.random_range(0..12) {
            0..5 => world.list(directory, dice.random_range(1..20), pause(&mut dice, Ttl::EachOpen) / 10).await,
            5..7 => world.stat(file).await,
            7 => world.stat(directory).await,
            8..11 => world.read(file, pause(&mut dice, Ttl::EachOpen) / 10).await,
            _ if dice.random_bool(0.3) => world.refresh().await,
            _ => {}
        }
    }
}

fn options(dice: &mut StdRng, ttl: Ttl) -> Options {
    let mut options = Options::new(BucketName::new("bucket"));
    options.metadata_ttl = ttl;
    options.negative_ttl = NEGATIVE_TTL;
    options.listing = [ListingMode::Auto, ListingMode::Lazy, ListingMode::Eager][dice.random_range(0..3)];
    options.list.page_size = [1, 2, 3, 1000][dice.random_range(0..4)];
    options.list.concurrency = [1, 2, 64][dice.random_range(0..3)];
    options
}

async fn history(seed: u64, ttl: Ttl, tells: bool) -> Option<String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let clock = Clock::runtime(Timestamp::from_unix(1_700_000_000));
    let bucket = Arc::new(MemoryStore::new());
    let mut record = Record::default();
    let there = STAYING.into_iter().chain(CHANGING.into_iter().filter(|_| dice.random_bool(0.5)));
    let there: Vec<&str> = there.collect();
    for (version, key) in (1..).zip(&there) {
        bucket.put(*key, Bytes::from(vec![version as u8; version as usize]));
        record.change(Duration::ZERO, key, Some(version));
    }
    tokio::time::sleep(BEGINNING).await;
    let network = Network {
        bucket: bucket.clone(),
        dice: Mutex::new(StdRng::seed_from_u64(dice.random())),
        slowest_ms: [0, 5, 60][dice.random_range(0..3)],
        tells: tells.then(|| clock.clone()),
    };
    let store: Arc<dyn Store> = Arc::new(network);
    let metrics = Arc::new(Metrics::default());
    let reader = read::Reader::new(store.clone(), read::Options::default(), metrics.clone());
    let fs = Fs::new(store, reader, options(&mut dice, ttl), metrics, clock.clone());
    let world = Arc::new(World {
        seed,
        tells,
        kernel: Kernel::new(fs, clock.clone()),
        clock,
        ttl,
        bucket,
        record: Mutex::new(record),
        versions: Mutex::new(there.len() as u64),
        refreshed: Mutex::default(),
        wrong: Mutex::default(),
    });
    let mut next = || StdRng::seed_from_u64(dice.random());
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(tokio::spawn(client(world.clone(), next())));
    }
    for _ in 0..3 {
        tasks.push(tokio::spawn(program(world.clone(), next())));
    }
    let ended = tokio::time::timeout(Duration::from_secs(24 * 3600), join_all(tasks)).await;
    let Ok(ended) = ended else { return Some(format!("seed {seed}: it does not end")) };
    for ended in ended {
        if let Err(error) = ended {
            return Some(format!("seed {seed}: {error}"));
        }
    }
    world.wrong.lock().take()
}

/// Judges histories under one time to live.
fn check(ttl: Ttl) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let one = number("OSSMOUNT_HISTORY");
    let seeds = match (one, number("OSSMOUNT_HISTORIES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.map_or(HISTORIES, |count| count.div_ceil(4)),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let wrong = runtime.unwrap().block_on(history(seed, ttl, one.is_some()));
        if let Some(wrong) = wrong {
            panic!("under {ttl:?}: {wrong}");
        }
    }
}

/// Histories that were wrong once.
#[test]
fn what_was_wrong_stays_right() {
    for (ttl, seed) in [
        // A listing of `d` was overtaken by a refresh of the mount, and its reader looked again and again, without a
        // pause, whether that had come to `d`.
        (Ttl::Indefinite, 11_458),
        // `g/i` was gone and came back under its number; the kernel still had a name in it.
        (Ttl::Indefinite, 41_103),
        // While an open asked for the present version of `z`, an older page brought one between it and the one opened,
        // and the answer was lost: ESTALE, and once more on the second try.
        (Ttl::EachOpen, 46_553),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        assert_eq!(runtime.unwrap().block_on(history(seed, ttl, false)), None);
    }
}

#[test]
fn with_no_time_to_live() {
    check(Ttl::EachOpen);
}

#[test]
fn for_a_second() {
    check(Ttl::For(Duration::from_secs(1)));
}

#[test]
fn for_a_minute() {
    check(Ttl::For(Duration::from_secs(60)));
}

#[test]
fn for_ever() {
    check(Ttl::Indefinite);
}
