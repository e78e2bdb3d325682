//! Programs that read a real mount over a service that fails: they get the bytes of the objects, and no error.
//!
//! Each fault of the emulator strikes a share of the requests while files are read in every way there is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ossmount::base::{BucketName, Clock};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Fault, FaultKind, Options as Served};
use ossmount::metrics::{Metric, Metrics};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{Dialect, Options, connect};

use crate::conformance::pattern;
use crate::support::bed::{Bed, Kitchen, Recipe};

const BIG: usize = (17 << 20) + 4321;
const MEDIUM: usize = (3 << 20) + 99;
const SMALL: usize = 20_000;
const SMALL_FILES: usize = 40;

/// How long the store waits for an answer or for more of it.
const PATIENCE: Duration = Duration::from_millis(400);
/// Longer than that.
const TOO_LONG: Duration = Duration::from_secs(3);

/// A mount over an emulator.
struct Bench {
    bed: Bed,
    emulator: Emulator,
    metrics: Arc<Metrics>,
    /// What the big file holds; the others hold the beginning of it.
    bytes: Bytes,
    /// Where the store's connections live.
    _kitchen: Kitchen,
}

fn bench(memory_limit: u64) -> Bench {
    let emulator = Emulator::start(Served::default()).unwrap();
    emulator.create_bucket("bucket");
    let bytes = pattern(BIG);
    emulator.put("bucket", "big", bytes.clone());
    emulator.put("bucket", "medium", bytes.slice(..MEDIUM));
    for index in 0..SMALL_FILES {
        emulator.put("bucket", &format!("small/{index}"), bytes.slice(..SMALL + index));
    }
    let mut options = Options::new(Dialect::Oss, BucketName::new("bucket"));
    options.endpoint = Some(emulator.endpoint());
    options.region = Some("cn-hangzhou".to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    options.timeouts.first_byte = PATIENCE;
    options.timeouts.stall = PATIENCE;
    options.retry.base_delay = Duration::from_millis(5);
    options.retry.max_delay = Duration::from_millis(50);
    let (kitchen, metrics) = (Kitchen::new(), Arc::new(Metrics::default()));
    let store = {
        let _inside = kitchen.runtime.enter();
        connect(options, metrics.clone(), Clock::system()).unwrap().store
    };
    let mut recipe = Recipe::default();
    recipe.read.memory_limit = memory_limit;
    Bench { bed: recipe.make(store), emulator, metrics, bytes, _kitchen: kitchen }
}

impl Bench {
    /// Reads everything in every way while these faults strike, and checks every byte.
    fn read_under(&self, faults: Vec<Fault>) {
        let about = format!("{faults:?}");
        self.emulator.set_faults(faults);
        let before = self.emulator.counters().faults;
        self.small_files();
        self.one_after_the_other("big");
        self.here_and_there("big");
        self.by_many_threads("big");
        self.mapped("medium");
        self.one_after_the_other("big");
        assert!(self.emulator.counters().faults > before, "{about}: none has struck");
        assert_eq!(self.bed.metrics().value(Metric::ReadErrors), 0, "{about}");
    }

    fn open(&self, name: &str) -> File {
        File::open(self.bed.path(name)).unwrap()
    }

    fn one_after_the_other(&self, name: &str) {
        let bytes = fs::read(self.bed.path(name)).unwrap();
        assert!(bytes == self.bytes[..bytes.len()], "{name} differs");
        assert_eq!(bytes.len() as u64, self.open(name).metadata().unwrap().len());
    }

    fn here_and_there(&self, name: &str) {
        let file = self.open(name);
        for index in 0..60u64 {
            let offset = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) % BIG as u64;
            self.check_at(&file, offset, 1 + (index as usize * 4001) % 200_000);
        }
    }

    fn by_many_threads(&self, name: &str) {
        let file = self.open(name);
        let stripe = BIG as u64 / 8;
        thread::scope(|scope| {
            for index in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    let offsets = (index * stripe..(index + 1) * stripe).step_by(128 << 10);
                    offsets.for_each(|offset| self.check_at(file, offset, 128 << 10));
                });
            }
        });
    }

    /// Reads some bytes of the big file and checks them.
    fn check_at(&self, file: &File, offset: u64, len: usize) {
        let len = len.min(BIG - offset as usize);
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).unwrap();
        assert!(bytes == self.bytes[offset as usize..][..len], "{len} bytes at {offset} differ");
    }

    fn mapped(&self, name: &str) {
        // SAFETY: no process changes the file while it is mapped.
        let map = unsafe { memmap2::Mmap::map(&self.open(name)) }.unwrap();
        assert!(map[..] == self.bytes[..MEDIUM], "{name} differs in a map");
    }

    fn small_files(&self) {
        thread::scope(|scope| {
            for first in 0..4 {
                scope.spawn(move || {
                    for index in (first..SMALL_FILES).step_by(4) {
                        let bytes = fs::read(self.bed.path(format!("small/{index}"))).unwrap();
                        assert!(bytes == self.bytes[..SMALL + index], "small file {index} differs");
                    }
                });
            }
        });
    }
}

fn often(probability: f64, kind: FaultKind) -> Fault {
    Fault { probability, ..Fault::always(kind) }
}

/// Each fault alone, on a mount of its own that can keep about one of the files.
fn each(faults: impl IntoIterator<Item = Fault>) {
    for fault in faults {
        bench(24 << 20).read_under(vec![fault]);
    }
}

#[test]
fn broken_connections_are_not_seen() {
    each([often(0.2, FaultKind::RefuseConnection), often(0.2, FaultKind::DropBeforeHeaders)]);
}

#[test]
fn refusals_that_pass_are_not_seen() {
    let throttled = FaultKind::Throttle(Duration::from_millis(20));
    each([often(0.2, FaultKind::Status500), often(0.2, FaultKind::Status503), often(0.2, throttled)]);
}

#[test]
fn bodies_that_break_or_end_early_are_not_seen() {
    each([often(0.2, FaultKind::ResetInBody), often(0.2, FaultKind::ShortBody)]);
}

#[test]
fn answers_that_stand_still_are_not_seen() {
    each([often(0.03, FaultKind::Stall(TOO_LONG)), often(0.03, FaultKind::StallBeforeHeaders(TOO_LONG))]);
}

#[test]
fn other_bytes_than_those_asked_for_are_not_seen() {
    each([often(0.1, FaultKind::WrongContentRange), often(0.1, FaultKind::RangeIgnored)]);
}

#[test]
fn all_of_it_at_once_is_not_seen() {
    let kinds = [
        FaultKind::RefuseConnection,
        FaultKind::DropBeforeHeaders,
        FaultKind::ResetInBody,
        FaultKind::Stall(TOO_LONG),
        FaultKind::StallBeforeHeaders(TOO_LONG),
        FaultKind::ShortBody,
        FaultKind::Status500,
        FaultKind::Status503,
        FaultKind::Throttle(Duration::from_millis(20)),
        FaultKind::WrongContentRange,
        FaultKind::RangeIgnored,
    ];
    let bench = bench(24 << 20);
    bench.read_under(kinds.map(|kind| often(0.015, kind)).to_vec());
    assert!(bench.metrics.value(Metric::Retries) > 0);
    assert_eq!(bench.metrics.value(Metric::RequestErrors), 0);
}
