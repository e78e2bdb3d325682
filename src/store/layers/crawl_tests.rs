//! Tests of bodies that crawl, in paused time.

use super::*;
use crate::base::{Key, Timestamp};
use crate::metrics::{Metric, Metrics};
use crate::store::ErrorKind;
use crate::store::layers::{At, Fault, FaultStore, Hedge, Operation};
use crate::store::memory::{MemoryStore, Request};

const LEN: u64 = 64 << 10;
const CHUNK: usize = 1 << 10;

/// A kilobyte a second.
const CRAWLING: Fault = Fault::Slow(Duration::from_secs(1));

type Faults<S> = FaultStore<S>;

struct Bench {
    bucket: Arc<MemoryStore>,
    /// Strikes what `outer` lets through.
    inner: Arc<Faults<MemoryStore>>,
    outer: Arc<Faults<Faults<MemoryStore>>>,
    hedge: Arc<Hedge<Faults<Faults<MemoryStore>>>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

fn content() -> Vec<u8> {
    (0..LEN).map(|n| (n % 251) as u8).collect()
}

fn bench() -> Bench {
    let bucket = Arc::new(MemoryStore::new().chunk_bytes(CHUNK));
    bucket.put("k", content());
    let inner = Arc::new(FaultStore::new(bucket.clone()));
    let outer = Arc::new(FaultStore::new(inner.clone()));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
    let hedge = Arc::new(Hedge::new(outer.clone(), metrics.clone(), clock.clone()));
    Bench { bucket, inner, outer, hedge, metrics, clock }
}

impl Bench {
    /// Reads the object; how long that takes, in seconds.
    async fn read(&self) -> f64 {
        let began = self.clock.elapsed();
        let body = self.hedge.get(GetRequest::new(Key::new("k"))).await.unwrap().body;
        assert!(body.collect(LEN as usize).await.unwrap() == content(), "wrong bytes");
        (self.clock.elapsed() - began).as_secs_f64()
    }

    /// Lets it know what is usual.
    async fn learn(&self) {
        for _ in 0..ENOUGH {
            assert_eq!(self.read().await, 0.0);
        }
        self.bucket.take_requests();
    }

    fn counts(&self) -> (u64, u64) {
        (self.metrics.value(Metric::Hedges), self.metrics.value(Metric::HedgesWon))
    }

    /// Where the GETs began.
    fn starts(&self) -> Vec<u64> {
        let start = |request| match request {
            Request::Get { range, .. } => Some(range.map_or(0, |range: ByteRange| range.start)),
            _ => None,
        };
        self.bucket.take_requests().into_iter().filter_map(start).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_crawls_beside_others_is_asked_for_again_from_its_first_missing_byte() {
    let bench = bench();
    bench.learn().await;
    bench.outer.once(Operation::Get, CRAWLING);
    let seconds = bench.read().await;
    assert!((2.0..3.1).contains(&seconds), "{seconds} s");
    assert_eq!(bench.counts(), (1, 1));
    let starts = bench.starts();
    assert!(starts.len() == 2 && (1024..=2048).contains(&starts[1]), "{starts:?}");
    bench.outer.once(Operation::Get, Fault::Stall(At::Byte(5000)));
    assert!(bench.read().await < 2.1, "one that stands still does not go on by itself");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_of_others_it_is_waited_for() {
    let bench = bench();
    bench.outer.once(Operation::Get, CRAWLING);
    assert_eq!(bench.read().await, 64.0);
    assert_eq!(bench.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn on_a_thin_link_on_which_all_are_slow_nothing_is_asked_twice() {
    let bench = bench();
    // Once slow from the start, once after a time in which all were fast.
    for _ in 0..2 {
        let before = bench.metrics.value(Metric::Hedges);
        bench.outer.set_random([(1.0, CRAWLING)]);
        for seconds in futures::future::join_all((0..20).map(|_| bench.read())).await {
            assert!(seconds < 65.0, "{seconds} s");
        }
        let hedges = bench.metrics.value(Metric::Hedges) - before;
        assert!(hedges <= before.min(4), "{hedges} second requests");
        bench.outer.set_random([]);
        bench.learn().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_makes_no_body_crawl() {
    let bench = bench();
    bench.learn().await;
    let mut body = bench.hedge.get(GetRequest::new(Key::new("k"))).await.unwrap().body;
    for _ in 0..LEN / CHUNK as u64 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(body.read(&mut [0; CHUNK]).await.unwrap(), CHUNK);
    }
    assert_eq!(bench.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_body_that_crawls_too_is_followed_by_a_third() {
    let bench = bench();
    bench.learn().await;
    bench.outer.once(Operation::Get, CRAWLING);
    bench.outer.once(Operation::Get, CRAWLING);
    let seconds = bench.read().await;
    assert!((4.0..6.1).contains(&seconds), "{seconds} s");
    assert_eq!(bench.counts().0, 2);
}

#[tokio::test(start_paused = true)]
async fn what_comes_of_the_second_harms_the_first_in_no_way() {
    for fault in [Fault::Error(ErrorKind::Server), Fault::Error(ErrorKind::Changed), Fault::Break(At::Byte(0))] {
        let bench = bench();
        bench.learn().await;
        bench.outer.once(Operation::Get, CRAWLING);
        bench.outer.once(Operation::Get, fault.clone());
        let seconds = bench.read().await;
        assert!((4.0..5.1).contains(&seconds), "{fault:?}: {seconds} s");
        assert_eq!(bench.counts(), (2, 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_version_is_never_mixed_in() {
    let bench = bench();
    bench.learn().await;
    bench.outer.once(Operation::Get, CRAWLING);
    let body = bench.hedge.get(GetRequest::new(Key::new("k"))).await.unwrap().body;
    bench.bucket.put("k", vec![9; LEN as usize]);
    assert!(body.collect(LEN as usize).await.unwrap() == content(), "bytes of two versions");
    assert_eq!(bench.counts().1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_body_that_breaks_waits_for_the_second() {
    let bench = bench();
    bench.learn().await;
    bench.outer.once(Operation::Get, CRAWLING);
    bench.inner.once(Operation::Get, Fault::Break(At::Byte(3 * CHUNK as u64)));
    bench.outer.once(Operation::Get, Fault::Late(Duration::from_secs(7)));
    let seconds = bench.read().await;
    assert!((9.0..9.1).contains(&seconds), "{seconds} s");
    assert_eq!(bench.counts(), (1, 1));

    bench.outer.once(Operation::Get, CRAWLING);
    bench.inner.once(Operation::Get, Fault::Break(At::Byte(3 * CHUNK as u64)));
    bench.outer.once(Operation::Get, Fault::Late(Duration::from_secs(7)));
    bench.inner.once(Operation::Get, Fault::Error(ErrorKind::NotFound));
    let body = bench.hedge.get(GetRequest::new(Key::new("k"))).await.unwrap().body;
    assert_eq!(body.collect(LEN as usize).await.unwrap_err().kind(), ErrorKind::Network, "the first one's own error");
}

#[tokio::test(start_paused = true)]
async fn the_median_is_that_of_others_in_the_same_time_or_else_lately() {
    let speeds = Speeds::default();
    let at = Duration::from_secs;
    let add = |body, seconds, rate| speeds.add(Sample { body, at: at(seconds), rate });
    assert_eq!(speeds.usual(0, at(100), at(102)), None);
    for (seconds, rate) in [(30, 1), (50, 9), (51, 7)] {
        add(1, seconds, rate);
    }
    assert_eq!(speeds.usual(0, at(100), at(102)), None, "two are too few");
    add(1, 52, 8);
    assert_eq!(speeds.usual(0, at(100), at(102)), Some(8));
    assert_eq!(speeds.usual(1, at(100), at(102)), None, "its own");
    add(2, 101, 3);
    assert_eq!(speeds.usual(0, at(100), at(102)), Some(3), "in the same time");
    for _ in 0..SAMPLES {
        add(3, 101, 4);
    }
    assert_eq!(speeds.usual(0, at(0), at(102)), Some(4));
    assert_eq!(speeds.samples.lock().len(), SAMPLES);
}
