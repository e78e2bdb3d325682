//! Histories through the kernel: clients change a bucket of the emulator while programs look at a mount of it, and every
//! answer is judged against the model of the manual's chapter on consistency, as `fs/histories` does in virtual time.

#[path = "../../../src/fs/histories/judge.rs"]
mod judge;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ossmount::base::{BucketName, Clock};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Options as EmulatorOptions};
use ossmount::fs::{ListingMode, Ttl};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{Addressing, Dialect, Options, connect};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::judge::{Record, Seen, What, Window, most_age};
use crate::support::bed::{Bed, Recipe};

/// Histories under each time to live.
const HISTORIES: u64 = 30;

/// How long the absence of a name is cached: less than every other time to live but none.
const NEGATIVE_TTL: Duration = Duration::from_millis(200);

/// The kernel counts times to live in ticks, and a change takes a moment.
const SLACK: Duration = Duration::from_millis(50);

const CHANGING: [&str; 6] = ["a", "z", "d/b", "d/m", "d/e/f", "g/h"];
const STAYING: [&str; 5] = ["c", "d/c", "d/x", "d/e/s", "g/s"];
const DIRECTORIES: [&str; 4] = ["", "d", "d/e", "g"];

struct World {
    emulator: Arc<Emulator>,
    bucket: String,
    root: PathBuf,
    ttl: Ttl,
    started: Instant,
    /// When the mount was made: what was there before is no change.
    mounted: Duration,
    record: Mutex<Record>,
    versions: Mutex<u64>,
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn put(&self, key: &str) {
        let mut record = self.record.lock().unwrap();
        let version = {
            let mut versions = self.versions.lock().unwrap();
            *versions += 1;
            *versions
        };
        record.change(self.started.elapsed(), key, Some(version));
        self.emulator.put(&self.bucket, key, vec![version as u8; version as usize]);
    }

    fn delete(&self, key: &str) {
        let mut record = self.record.lock().unwrap();
        record.change(self.started.elapsed(), key, None);
        self.emulator.delete(&self.bucket, key);
    }

    fn window(&self, began: Duration, what: What, answer: Seen) -> Window {
        let believed = most_age(self.ttl, NEGATIVE_TTL, what, answer);
        let from = began.saturating_sub(believed).saturating_sub(SLACK).max(self.mounted);
        Window { from, to: self.started.elapsed() }
    }

    fn wrong(&self, wrong: Option<String>) {
        self.wrong.lock().unwrap().extend(wrong);
    }

    fn judge(&self, path: &str, began: Duration, what: What, answer: Seen) {
        let window = self.window(began, what, answer);
        let wrong = self.record.lock().unwrap().judge(path, answer, window);
        self.wrong(wrong);
    }

    fn failed(&self, path: &str, began: Duration, what: What, error: &std::io::Error) {
        if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) && what != What::Listing {
            return self.judge(path, began, what, Seen::Missing);
        }
        let window = self.window(began, what, Seen::Missing);
        let stale = matches!(error.raw_os_error(), Some(libc::ESTALE | libc::ENOENT));
        let changed = stale && self.record.lock().unwrap().may_be_stale(path, window);
        self.wrong((!changed).then(|| format!("{path}: {error}, and nothing has changed in {window:?}")));
    }

    fn stat(&self, path: &str) {
        let began = self.started.elapsed();
        match fs::metadata(self.root.join(path)) {
            Ok(found) if found.is_dir() => self.judge(path, began, What::Stat, Seen::Directory),
            Ok(found) => self.judge(path, began, What::Stat, Seen::File(found.len())),
            Err(error) => self.failed(path, began, What::Stat, &error),
        }
    }

    fn list(&self, path: &str) {
        let began = self.started.elapsed();
        let names = fs::read_dir(self.root.join(path)).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().into_string().unwrap())).collect::<Result<Vec<_>, _>>()
        });
        match names {
            Ok(names) => {
                // A name is judged with whichever of its versions may be seen: reading a directory tells none.
                let window = self.window(began, What::Listing, Seen::Directory);
                let record = self.record.lock().unwrap();
                let shown = |name: String| {
                    let at = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                    let version = record.seen(&at, window).into_iter().find(|seen| *seen != Seen::Missing);
                    (name, version.unwrap_or(Seen::Directory))
                };
                let shown: Vec<_> = names.into_iter().map(shown).collect();
                let wrong = record.judge_listing(path, &shown, window);
                drop(record);
                self.wrong(wrong);
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                self.judge(path, began, What::Open, Seen::Missing);
            }
            Err(error) => self.failed(path, began, What::Listing, &error),
        }
    }

    fn read(&self, path: &str) {
        let began = self.started.elapsed();
        let mut file = match File::open(self.root.join(path)) {
            Ok(file) => file,
            Err(error) => return self.failed(path, began, What::Open, &error),
        };
        let mut bytes = Vec::new();
        match file.read_to_end(&mut bytes) {
            Ok(_) => {
                let version = bytes.len() as u64;
                let mixed = bytes.iter().any(|&byte| byte != version as u8);
                self.wrong(mixed.then(|| format!("{path}: a mix of versions: {bytes:?}")));
                self.judge(path, began, What::Open, Seen::File(version));
            }
            // Replaced or deleted since it was opened.
            Err(error) => self.failed(path, began, What::Listing, &error),
        }
    }
}

fn pause(dice: &mut StdRng) {
    let most = [0, 2, 2, 20, 20, 400][dice.random_range(0..6)];
    thread::sleep(Duration::from_millis(dice.random_range(0..=most)));
}

fn client(world: &World, mut dice: StdRng) {
    for _ in 0..dice.random_range(2..10) {
        pause(&mut dice);
        let key = CHANGING[dice.random_range(0..CHANGING.len())];
        if dice.random_bool(0.3) { world.delete(key) } else { world.put(key) }
    }
}

fn program(world: &World, mut dice: StdRng) {
    let files: Vec<&str> = CHANGING.into_iter().chain(STAYING).collect();
    for _ in 0..dice.random_range(2..12) {
        pause(&mut dice);
        let file = files[dice.random_range(0..files.len())];
        match dice.random_range(0..10) {
            0..4 => world.list(DIRECTORIES[dice.random_range(0..DIRECTORIES.len())]),
            4..7 => world.stat(file),
            _ => world.read(file),
        }
    }
}

fn mount(emulator: &Emulator, bucket: &str, ttl: Ttl, dice: &mut StdRng) -> Bed {
    let mut options = Options::new(Dialect::Oss, BucketName::new(bucket));
    options.endpoint = Some(emulator.endpoint());
    options.region = Some("cn-hangzhou".to_owned());
    options.addressing = Addressing::Path;
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    let mut recipe = Recipe::default();
    recipe.fs.metadata_ttl = ttl;
    recipe.fs.negative_ttl = NEGATIVE_TTL;
    recipe.fs.listing = [ListingMode::Auto, ListingMode::Lazy, ListingMode::Eager][dice.random_range(0..3)];
    recipe.fs.list.page_size = [1, 2, 1000][dice.random_range(0..3)];
    recipe.fs.list.concurrency = [1, 64][dice.random_range(0..2)];
    recipe.make(connect(options, Arc::default(), Clock::system()).unwrap().store)
}

fn history(emulator: &Arc<Emulator>, seed: u64, ttl: Ttl) {
    let mut dice = StdRng::seed_from_u64(seed);
    let bucket = format!("history-{seed}");
    emulator.create_bucket(&bucket);
    let mut world = World {
        emulator: emulator.clone(),
        bucket: bucket.clone(),
        root: PathBuf::new(),
        ttl,
        started: Instant::now(),
        mounted: Duration::ZERO,
        record: Mutex::default(),
        versions: Mutex::default(),
        wrong: Mutex::default(),
    };
    STAYING.iter().for_each(|key| world.put(key));
    CHANGING.iter().filter(|_| dice.random_bool(0.5)).for_each(|key| world.put(key));
    world.mounted = world.started.elapsed();
    let bed = mount(emulator, &bucket, ttl, &mut dice);
    world.root = Path::to_owned(bed.root());
    let world = &world;
    thread::scope(|scope| {
        for _ in 0..2 {
            let dice = StdRng::seed_from_u64(dice.random());
            scope.spawn(|| client(world, dice));
        }
        for _ in 0..3 {
            let dice = StdRng::seed_from_u64(dice.random());
            scope.spawn(|| program(world, dice));
        }
    });
    drop(bed);
    let wrong = world.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "seed {seed}, {ttl:?}: {wrong:#?}");
}

fn check(ttl: Ttl) {
    let emulator = Arc::new(Emulator::start(EmulatorOptions::default()).unwrap());
    for seed in 0..HISTORIES {
        history(&emulator, seed, ttl);
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
