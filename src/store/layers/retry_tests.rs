//! Tests of asking again, in paused time.

use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::base::{ByteRange, ETag, Timestamp};
use crate::metrics::Metric;
use crate::store::layers::patience::delay;
use crate::store::layers::{At, Fault, FaultStore, LayerOptions, Limit, Meter, Operation, Stall, layered};
use crate::store::memory::{MemoryStore, Request};
use crate::store::{Connections, Error, ErrorKind};

/// A bucket with one object, faults over it, and retries over those.
struct Bench {
    bucket: Arc<MemoryStore>,
    faults: Arc<FaultStore<MemoryStore>>,
    retry: Retry<Limit<Meter<Stall<FaultStore<MemoryStore>>>>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

fn content() -> Vec<u8> {
    (0..1000u32).map(|n| (n % 251) as u8).collect()
}

fn bench_with(faults: impl FnOnce(FaultStore<MemoryStore>) -> FaultStore<MemoryStore>) -> Bench {
    bench_of(faults, Duration::from_secs(20), Duration::from_secs(10), 64)
}

/// `answer` and `piece` are how long answers and pieces of bodies may take, `places` how many requests are in flight.
fn bench_of(
    faults: impl FnOnce(FaultStore<MemoryStore>) -> FaultStore<MemoryStore>,
    answer: Duration,
    piece: Duration,
    places: usize,
) -> Bench {
    let bucket = Arc::new(MemoryStore::new().chunk_bytes(64));
    bucket.put("k", content());
    let faults = Arc::new(faults(FaultStore::new(bucket.clone())));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
    let stall = Arc::new(Stall::new(faults.clone(), answer, piece));
    let meter = Arc::new(Meter::new(stall, metrics.clone(), clock.clone()));
    let retry = Retry::new(
        Arc::new(Limit::new(meter, Connections::fixed(places), clock.clone())),
        RetryPolicy::default(),
        metrics.clone(),
        clock.clone(),
    )
    .with_seed(1);
    Bench { bucket, faults, retry, metrics, clock }
}

fn bench() -> Bench {
    bench_with(|faults| faults)
}

impl Bench {
    async fn read(&self, request: GetRequest) -> Result<Vec<u8>> {
        let response = self.retry.get(request).await?;
        response.body.collect(2000).await
    }

    fn counts(&self) -> [u64; 4] {
        [Metric::Retries, Metric::BodyResumes, Metric::Throttled, Metric::RequestErrors]
            .map(|metric| self.metrics.value(metric))
    }

    fn ranges(&self) -> Vec<Option<ByteRange>> {
        let requests = self.bucket.take_requests().into_iter();
        let range = |request| match request {
            Request::Get { range, .. } => Some(range),
            _ => None,
        };
        requests.filter_map(range).collect()
    }
}

fn whole() -> GetRequest {
    GetRequest::new(Key::new("k"))
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    use ErrorKind::*;
    for (kind, tries) in [
        (Protocol, 5),
        (Corrupt, 5),
        (ClockSkew, 5),
        (Credentials, 2),
        (NoSuchBucket, 1),
        (AccessDenied, 1),
        (Archived, 1),
        (Changed, 1),
        (RangeNotSatisfiable, 1),
        (WrongRegion, 1),
        (Invalid, 1),
        (Unsupported, 1),
        (Conflict, 1),
        (NotFound, 1),
    ] {
        let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Error(kind))]));
        let error = bench.retry.head(HeadRequest::new(Key::new("k"))).await.unwrap_err();
        assert_eq!((error.kind(), error.tries()), (kind, tries));
        assert_eq!(bench.counts(), [u64::from(tries) - 1, 0, 0, u64::from(kind != NotFound)], "{kind:?}");
    }
}

/// How long a call takes, in seconds, and what came of it.
async fn timed<T>(clock: &Clock, call: impl Future<Output = Result<T>>) -> (f64, Result<T>) {
    let began = clock.elapsed();
    let outcome = call.await;
    ((clock.elapsed() - began).as_secs_f64(), outcome)
}

#[track_caller]
fn check_given_up_in_time<T: std::fmt::Debug>(what: &str, (seconds, outcome): (f64, Result<T>)) -> Error {
    assert!((60.0..75.1).contains(&seconds), "{what}: given up after {seconds} s");
    outcome.expect_err(what)
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_is_given_up_between_60_and_75_seconds() {
    let seconds = Duration::from_secs_f64;
    let faults = [
        Fault::Error(ErrorKind::Server),
        Fault::Error(ErrorKind::Network),
        Fault::Error(ErrorKind::Timeout),
        Fault::Error(ErrorKind::Throttled),
        Fault::Throttle(seconds(1.0)),
        Fault::Throttle(seconds(7.0)),
        Fault::Throttle(seconds(120.0)),
        Fault::Silence,
    ];
    // Tries that end just before the budget does, just after it, and long after it.
    for limit in [0.5, 5.0, 19.9, 20.0, 29.9, 31.0, 50.0] {
        for fault in &faults {
            let strikes = |faults: FaultStore<_>| faults.randomly(1, [(1.0, fault.clone())]);
            let bench = bench_of(strikes, seconds(limit), seconds(limit), 64);
            let what = format!("{fault:?} with tries of {limit} s");
            let key = Key::new("k");
            check_given_up_in_time(&what, timed(&bench.clock, bench.read(whole())).await);
            check_given_up_in_time(&what, timed(&bench.clock, bench.retry.list(ListRequest::default())).await);
            check_given_up_in_time(&what, timed(&bench.clock, bench.retry.head(HeadRequest::new(key.clone()))).await);
            check_given_up_in_time(&what, timed(&bench.clock, bench.retry.symlink_target(&key, None)).await);
            check_given_up_in_time(&what, timed(&bench.clock, bench.retry.tags(&key, None)).await);
        }
        for fault in [Fault::Stall(At::Byte(0)), Fault::Break(At::Byte(0)), Fault::Short(At::Byte(0))] {
            let strikes = |faults: FaultStore<_>| faults.randomly(1, [(1.0, fault.clone())]);
            let bench = bench_of(strikes, seconds(limit), seconds(limit), 64);
            check_given_up_in_time(&format!("{fault:?}"), timed(&bench.clock, bench.read(whole())).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_it_and_the_error_says_so() {
    let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Silence)]));
    let error = bench.retry.list(ListRequest { prefix: "p/".into(), ..ListRequest::default() }).await.unwrap_err();
    // Twenty seconds each; the budget runs from when the first was sent.
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Timeout, 3));
    let said = error.to_string();
    assert!(said.contains("ListObjects, key \"p/\", 3 tries in 60."), "{said}");
    let silent = |faults: FaultStore<_>| faults.randomly(1, [(1.0, Fault::Silence)]);
    let bench = bench_of(silent, Duration::from_secs(50), Duration::from_secs(50), 64);
    let said = bench.read(whole()).await.unwrap_err().to_string();
    assert!(said.starts_with("the service has failed for 75 s (GetObject, key \"k\", 2 tries in 75.0 s)"), "{said}");
    assert!(said.ends_with(": nothing arrived for 50.0 s"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_for_a_silent_service_wait_no_longer_than_one() {
    let bucket = Arc::new(MemoryStore::new());
    let silent = Arc::new(FaultStore::new(bucket).randomly(1, [(1.0, Fault::Silence)]));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
    let store = layered(
        silent,
        &LayerOptions { connections: Connections::fixed(4), ..LayerOptions::default() },
        &metrics,
        &clock,
    );
    let reads = (0..64).map(|_| timed(&clock, store.get(whole())));
    for outcome in join_all(reads).await {
        check_given_up_in_time("one of many", outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_while_the_service_answers_uses_nothing_up() {
    let bench = bench_of(|faults| faults, Duration::from_secs(20), Duration::from_secs(10), 1);
    let mut held = bench.retry.get(whole()).await.unwrap().body;
    let slow = async {
        while held.read(&mut [0; 8]).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    bench.faults.once(Operation::Head, Fault::Error(ErrorKind::Server));
    let waiting = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        timed(&bench.clock, bench.retry.head(HeadRequest::new(Key::new("k")))).await
    };
    let (_, (seconds, outcome)) = futures::future::join(slow, waiting).await;
    assert_eq!(outcome.unwrap().size, 1000, "it failed once, after {seconds} s");
    assert!(seconds > 75.0, "{seconds} s are too few to tell");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_pauses_has_all_of_the_budget_afterwards() {
    let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Stall(At::Byte(64)))]));
    let mut body = bench.retry.get(whole()).await.unwrap().body;
    assert_eq!(body.read(&mut [0; 64]).await.unwrap(), 64);
    bench.faults.set_random([(1.0, Fault::Silence)]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    bench.retry.head(HeadRequest::new(Key::new("k"))).await.unwrap_err();
    check_given_up_in_time("after a pause", timed(&bench.clock, async { body.read(&mut [0; 64]).await }).await);
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_before_has_only_what_is_left() {
    let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Error(ErrorKind::Server))]));
    let request = GetRequest { failing_for: Duration::from_secs(45), ..whole() };
    tokio::time::sleep(Duration::from_secs(45)).await;
    let (seconds, outcome) = timed(&bench.clock, bench.read(request.clone())).await;
    assert!((15.0..30.1).contains(&seconds), "{seconds} s");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Server);
    bench.faults.set_random([]);
    assert_eq!(bench.read(request).await.unwrap(), content(), "one try is always made");
}

#[tokio::test(start_paused = true)]
async fn a_throttling_service_is_obeyed_beyond_the_cap_and_within_the_budget() {
    for (asked, waited) in [(30, 30.0..31.0), (59, 59.0..60.1), (61, 60.0..60.1), (7200, 60.0..60.1)] {
        let bench = bench();
        bench.faults.once(Operation::Get, Fault::Throttle(Duration::from_secs(asked)));
        let (seconds, bytes) = timed(&bench.clock, bench.read(whole())).await;
        assert_eq!(bytes.unwrap(), content());
        assert!(waited.contains(&seconds), "asked to wait for {asked} s: {seconds} s");
        assert_eq!(bench.counts(), [1, 0, 1, 0]);
    }
}

#[test]
fn backoff_doubles_up_to_the_cap_and_is_jittered_over_all_of_it() {
    let policy = RetryPolicy::default();
    let error = Error::new(ErrorKind::Server, "");
    let ceilings: Vec<_> = (1..9).map(|n| delay(&policy, n, &error, 1.0).as_millis()).collect();
    assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(delay(&policy, 9, &error, 0.0), Duration::ZERO);
    assert_eq!(delay(&policy, u32::MAX, &error, 0.5), Duration::from_millis(2500));
    let throttled = Error::new(ErrorKind::Throttled, "");
    assert_eq!(delay(&policy, 1, &throttled, 1.0), Duration::from_millis(800));
    let told = Error::new(ErrorKind::Throttled, "").with_retry_after(Duration::from_secs(8));
    assert_eq!(delay(&policy, 1, &told, 0.5), Duration::from_millis(8400));
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_on_from_the_byte_where_it_broke() {
    let faults = [Fault::Break(At::Byte(100)), Fault::Short(At::Byte(50)), Fault::Stall(At::Byte(0))];
    let bench = bench();
    for fault in faults {
        bench.faults.once(Operation::Get, fault);
    }
    let bytes = bench.read(whole().range(ByteRange::new(200, 2000))).await.unwrap();
    assert_eq!(bytes, content()[200..]);
    let asked = [(200, 2000), (300, 1000), (350, 1000), (350, 1000)];
    assert_eq!(bench.ranges(), asked.map(|(start, end)| Some(ByteRange::new(start, end))));
    assert_eq!(bench.counts(), [3, 3, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_break_after_the_last_byte_is_none() {
    let bench = bench();
    bench.faults.once(Operation::Get, Fault::Break(At::Byte(999)));
    assert_eq!(bench.read(whole()).await.unwrap(), content());
    assert_eq!(bench.ranges(), [None, Some(ByteRange::new(999, 1000))]);
    bench.bucket.put("empty", "");
    assert_eq!(bench.read(GetRequest::new(Key::new("empty"))).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_changes_under_way_is_never_mixed() {
    for (fault, other) in [(Fault::Break(At::Byte(100)), content().len()), (Fault::Short(At::Byte(64)), 50)] {
        let bench = bench();
        bench.faults.once(Operation::Get, fault);
        let mut body = bench.retry.get(whole()).await.unwrap().body;
        assert!(body.read(&mut [0; 64]).await.unwrap() > 0);
        bench.bucket.put("k", vec![9; other]);
        let error = body.collect(2000).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "pinned although no caller asked for it");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tags_size_and_time_tell_versions_apart() {
    let bench = bench();
    bench.bucket.amend("k", |meta| meta.etag = None);
    bench.faults.once(Operation::Get, Fault::Break(At::Byte(100)));
    assert_eq!(bench.read(whole()).await.unwrap(), content());

    bench.faults.once(Operation::Get, Fault::Break(At::Byte(100)));
    let body = bench.retry.get(whole()).await.unwrap().body;
    bench.bucket.put("k", content());
    bench.bucket.amend("k", |meta| (meta.etag, meta.crc64) = (None, None));
    let error = body.collect(2000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
}

#[tokio::test(start_paused = true)]
async fn progress_renews_the_budget() {
    // Every GET delivers at most 100 bytes and then stands still for ten seconds: far over a minute in all.
    let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Stall(At::Byte(100)))]));
    let began = bench.clock.elapsed();
    assert_eq!(bench.read(whole()).await.unwrap(), content());
    assert!(bench.clock.elapsed() - began > Duration::from_secs(90));
    assert_eq!(bench.counts()[1], 9);

    let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Stall(At::Byte(0)))]));
    let error = bench.read(whole()).await.unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Timeout, 6));
    assert_eq!(bench.counts()[3], 1);
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_tag_stays() {
    let bench = bench();
    let tag = ETag::parse("0123");
    assert_eq!(bench.read(whole().if_match(tag)).await.unwrap_err().kind(), ErrorKind::Changed);
    let tag = bench.bucket.put("k", content()).etag;
    bench.faults.once(Operation::Get, Fault::Break(At::Random));
    assert_eq!(bench.read(whole().if_match(tag)).await.unwrap(), content());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_breaks_the_bytes_are_right(seed: u64, start in 0..1000u64, len in 1..1200u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = bench_with(|faults| faults.randomly(seed, [
                (0.1, Fault::Error(ErrorKind::Server)),
                (0.1, Fault::Throttle(Duration::from_millis(700))),
                (0.1, Fault::Break(At::Random)),
                (0.1, Fault::Short(At::Random)),
                (0.1, Fault::Stall(At::Random)),
                (0.05, Fault::Late(Duration::from_secs(30))),
                (0.1, Fault::Slow(Duration::from_secs(1))),
            ]));
            let range = ByteRange::at(start, len);
            let bytes = bench.read(whole().range(range)).await.unwrap();
            prop_assert_eq!(&bytes[..], &content()[start as usize..content().len().min(range.end as usize)]);
            Ok(())
        })?;
    }
}
