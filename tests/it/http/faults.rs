//! Everything that a network and a busy service do to a request, done on purpose by the emulator: the reader behind
//! [`connect`] gets exact bytes or the documented error, and the figures show what happened.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use ossmount::base::{BucketName, ByteRange, Clock, Key};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Fault, FaultKind, Operation, Options as Served};
use ossmount::list::{self, ListScope};
use ossmount::metrics::{Metric, Metrics};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::layers::RetryPolicy;
use ossmount::store::{Dialect, ErrorKind, GetRequest, HeadRequest, Options, Store, connect};

use crate::conformance::{pattern, read};

const LEN: usize = 1 << 20;

/// Longer than any time limit of these tests.
const FOR_EVER: Duration = Duration::from_secs(30);

/// An emulator with one object, and a store that asks it.
struct Bench {
    emulator: Emulator,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

fn bench(dialect: Dialect) -> Bench {
    bench_with(dialect, RetryPolicy::default().budget)
}

fn bench_with(dialect: Dialect, budget: Duration) -> Bench {
    let emulator = Emulator::start(Served::default()).unwrap();
    emulator.create_bucket("faults");
    emulator.put("faults", "k", pattern(LEN));
    let mut options = Options::new(dialect, BucketName::new("faults"));
    options.endpoint = Some(emulator.endpoint());
    options.region = Some("cn-hangzhou".to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    options.timeouts.first_byte = Duration::from_secs(1);
    options.timeouts.stall = Duration::from_secs(1);
    options.retry.budget = budget;
    options.retry.base_delay = Duration::from_millis(5);
    options.retry.max_delay = Duration::from_millis(50);
    let metrics = Arc::new(Metrics::default());
    let store = connect(options, metrics.clone(), Clock::system()).unwrap().store;
    Bench { emulator, store, metrics }
}

impl Bench {
    fn figure(&self, metric: Metric) -> u64 {
        self.metrics.value(metric)
    }
}

fn whole() -> GetRequest {
    GetRequest::new(Key::new("k"))
}

fn part() -> GetRequest {
    whole().range(ByteRange::new(1000, LEN as u64 - 1000))
}

fn bytes_of(request: &GetRequest) -> Vec<u8> {
    let range = request.range.unwrap_or(ByteRange::new(0, LEN as u64));
    pattern(LEN)[range.start as usize..range.end as usize].to_vec()
}

/// How a single fault shows.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Shows {
    /// The request is sent again.
    Retried,
    /// The body goes on where it broke.
    Resumed,
    /// The request is sent again after the wait asked for.
    Throttled,
    /// No client can see it.
    Unseen,
}

/// Every kind, and how it shows in a whole and in a ranged read. The match has no default: a new kind must be placed.
fn expected(kind: FaultKind) -> Option<(Shows, Shows)> {
    match kind {
        FaultKind::RefuseConnection
        | FaultKind::DropBeforeHeaders
        | FaultKind::StallBeforeHeaders(_)
        | FaultKind::Status500
        | FaultKind::Status503
        | FaultKind::ClockSkewed(_) => Some((Shows::Retried, Shows::Retried)),
        FaultKind::ResetInBody | FaultKind::Stall(_) | FaultKind::ShortBody => Some((Shows::Resumed, Shows::Resumed)),
        FaultKind::Throttle(_) => Some((Shows::Throttled, Shows::Throttled)),
        FaultKind::WrongContentRange | FaultKind::RangeIgnored => Some((Shows::Unseen, Shows::Retried)),
        // These have tests of their own: bytes or tag are not the same afterwards, or nothing is tried again.
        FaultKind::FlippedByte | FaultKind::ChangedEtag | FaultKind::Status403 => None,
    }
}

const KINDS: [FaultKind; 15] = [
    FaultKind::RefuseConnection,
    FaultKind::DropBeforeHeaders,
    FaultKind::ResetInBody,
    FaultKind::Stall(FOR_EVER),
    FaultKind::StallBeforeHeaders(FOR_EVER),
    FaultKind::ShortBody,
    FaultKind::FlippedByte,
    FaultKind::Status403,
    FaultKind::Status500,
    FaultKind::Status503,
    FaultKind::Throttle(Duration::from_secs(1)),
    FaultKind::WrongContentRange,
    FaultKind::ChangedEtag,
    FaultKind::RangeIgnored,
    FaultKind::ClockSkewed(3600),
];

/// Strikes once; but a clock that is wrong stays wrong.
fn struck(kind: FaultKind) -> Fault {
    match kind {
        FaultKind::ClockSkewed(_) => Fault::always(kind),
        _ => Fault::once(kind),
    }
}

/// Reads once under a fault.
async fn one_fault(dialect: Dialect, kind: FaultKind, request: GetRequest, shows: Shows) {
    let bench = bench(dialect);
    bench.emulator.set_faults(vec![struck(kind).on(Operation::GetObject)]);
    let about = format!("{dialect:?} {kind:?} {:?}", request.range);
    let clock = Clock::system();
    let began = clock.elapsed();
    let bytes = read(&*bench.store, request.clone()).await.unwrap_or_else(|error| panic!("{about}: {error}"));
    assert!(bytes == bytes_of(&request), "{about}: the bytes differ");
    let (retries, resumes) = (bench.figure(Metric::Retries), bench.figure(Metric::BodyResumes));
    let expected = match shows {
        Shows::Retried | Shows::Throttled => (1, 0),
        Shows::Resumed => (1, 1),
        Shows::Unseen => (0, 0),
    };
    assert_eq!((retries, resumes), expected, "{about}");
    assert_eq!(bench.figure(Metric::GetRequests), 1 + retries, "{about}");
    assert_eq!(bench.figure(Metric::Throttled), u64::from(shows == Shows::Throttled), "{about}");
    assert_eq!(bench.figure(Metric::RequestErrors), 0, "{about}");
    if let FaultKind::Throttle(wait) = kind {
        assert!(clock.elapsed() - began >= wait, "{about}: the service was not obeyed");
    }
}

async fn every_fault(dialect: Dialect) {
    let cases = KINDS.into_iter().filter_map(|kind| Some((kind, expected(kind)?)));
    let runs = cases.flat_map(|(kind, (in_whole, in_part))| {
        [one_fault(dialect, kind, whole(), in_whole), one_fault(dialect, kind, part(), in_part)]
    });
    stream::iter(runs).buffer_unordered(8).collect::<()>().await;
}

#[tokio::test]
async fn a_reader_of_oss_gets_exact_bytes_under_every_fault() {
    every_fault(Dialect::Oss).await;
}

#[tokio::test]
async fn a_reader_of_s3_gets_exact_bytes_under_every_fault() {
    every_fault(Dialect::S3).await;
}

#[tokio::test]
async fn a_flipped_byte_is_told_by_the_checksum_alone() {
    let bench = bench(Dialect::Oss);
    bench.emulator.set_faults(vec![Fault::once(FaultKind::FlippedByte)]);
    let response = bench.store.get(whole()).await.unwrap();
    let crc64 = response.meta.crc64.unwrap();
    let bytes = response.body.collect(LEN).await.unwrap();
    let differing = bytes.iter().zip(pattern(LEN)).filter(|(got, sent)| **got != *sent).count();
    assert_eq!((bytes.len(), differing), (LEN, 1));
    assert_ne!(ossmount::base::crc64::crc64(&bytes), crc64);
    assert_eq!(bench.figure(Metric::Retries), 0);
}

#[tokio::test]
async fn a_changed_object_is_said_at_once_and_never_mixed() {
    for dialect in [Dialect::Oss, Dialect::S3] {
        let bench = bench(dialect);
        let tag = bench.store.head(HeadRequest::new(Key::new("k"))).await.unwrap().etag;
        bench.emulator.set_faults(vec![Fault::once(FaultKind::ChangedEtag).on(Operation::GetObject)]);
        let error = bench.store.get(part().if_match(tag)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert_eq!((bench.figure(Metric::Retries), bench.figure(Metric::RequestErrors)), (0, 1));

        // The first answer breaks, and what would continue it is of another version.
        let broken = Fault::once(FaultKind::ResetInBody).on(Operation::GetObject);
        let changed = Fault::always(FaultKind::ChangedEtag).on(Operation::GetObject);
        bench.emulator.set_faults(vec![broken, changed]);
        let error = read(&*bench.store, part()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    }
}

#[tokio::test]
async fn facts_and_listings_survive_too() {
    let kinds = KINDS.into_iter().filter(|kind| {
        // Faults of bodies and ranges do not apply to them.
        matches!(expected(*kind), Some((Shows::Retried | Shows::Throttled, _))) && *kind != FaultKind::RefuseConnection
    });
    for kind in kinds {
        let bench = bench(Dialect::Oss);
        let strike = |operation| struck(kind).on(operation);
        bench.emulator.set_faults(vec![strike(Operation::HeadObject), strike(Operation::ListObjectsV2)]);
        assert_eq!(bench.store.head(HeadRequest::new(Key::new("k"))).await.unwrap().size, LEN as u64, "{kind:?}");
        let pages = list::pages(bench.store.clone(), ListScope::subtree(""), &list::Options::default());
        let pages: Vec<_> = pages.try_collect().await.unwrap();
        assert_eq!(pages[0].entries[0].key, "k");
        let counted = [Metric::HeadRequests, Metric::ListRequests, Metric::Retries].map(|metric| bench.figure(metric));
        let expected = match kind {
            // The clock is put right once for all.
            FaultKind::ClockSkewed(_) => [2, 1, 1],
            // The listing finds the connection of the second HEAD closed, which is no failure of the service.
            FaultKind::DropBeforeHeaders => [2, 1, 1],
            _ => [2, 2, 2],
        };
        assert_eq!(counted, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn what_never_passes_is_an_error_with_its_context() {
    let bench = bench_with(Dialect::Oss, Duration::from_millis(300));
    bench.emulator.set_faults(vec![Fault::always(FaultKind::Status500)]);
    let error = bench.store.get(whole()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(500)));
    assert!(error.request_id().is_some());
    let said = error.to_string();
    assert!(said.contains("GetObject") && said.contains("key \"k\"") && said.contains(" tries in 0."), "{said}");
    assert_eq!(bench.figure(Metric::Retries) + 1, u64::from(error.tries()));
    assert!(error.tries() > 1 && bench.figure(Metric::RequestErrors) == 1, "{said}");
}

#[tokio::test]
async fn forty_readers_in_a_hail_of_faults_get_exact_bytes() {
    for dialect in [Dialect::Oss, Dialect::S3] {
        let bench = bench(dialect);
        let mut faults = Vec::new();
        for kind in KINDS {
            let kind = match kind {
                FaultKind::FlippedByte | FaultKind::ChangedEtag | FaultKind::Status403 => continue,
                FaultKind::Throttle(_) => FaultKind::Throttle(Duration::from_millis(50)),
                other => other,
            };
            faults.push(Fault { probability: 0.03, ..Fault::always(kind) });
        }
        bench.emulator.set_faults(faults);
        let reads = (0..40u64).map(|n| {
            let store = bench.store.clone();
            async move {
                let request = whole().range(ByteRange::at(n * 20_000, 300_000 + n));
                let bytes = read(&*store, request).await.unwrap();
                let range = ByteRange::at(n * 20_000, 300_000 + n).intersect(ByteRange::new(0, LEN as u64));
                assert!(bytes == pattern(LEN)[range.start as usize..range.end as usize], "{range:?} differs");
            }
        });
        stream::iter(reads).buffer_unordered(40).collect::<()>().await;
        assert!(bench.emulator.counters().faults > 0);
        assert!(bench.figure(Metric::Retries) > 0);
        assert_eq!(bench.figure(Metric::RequestErrors), 0);
    }
}
