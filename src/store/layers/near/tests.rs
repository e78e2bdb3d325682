//! Tests of the layer, over buckets in memory in the place of members.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::base::Timestamp;
use crate::store::Expected;
use crate::store::layers::{At, Fault, FaultStore, Operation};
use crate::store::memory::{MemoryStore, Request};

const SLICE: u64 = 64 << 10;
const LEN: u64 = 20 * SLICE + 1000;
const PATIENCE: Duration = Duration::from_secs(2);

/// A member: what it holds, and what goes wrong with it.
#[derive(Clone)]
struct Cache {
    held: Arc<MemoryStore>,
    faults: Arc<FaultStore<MemoryStore>>,
    is_alive: Arc<AtomicBool>,
}

/// A bucket with a fleet before it, all of which have the object `k`.
struct Bed {
    bucket: Arc<MemoryStore>,
    bucket_faults: Arc<FaultStore<MemoryStore>>,
    caches: Vec<Cache>,
    near: Near<FaultStore<MemoryStore>>,
    metrics: Arc<Metrics>,
    meta: ObjectMeta,
}

fn pattern() -> Vec<u8> {
    (0..LEN).map(|at| (at * 7 % 251) as u8).collect()
}

fn options(source: NearSource) -> NearOptions {
    let (token_file, ca_bundle) = (None, None);
    NearOptions { source, slice_bytes: SLICE, min_bytes: SLICE, patience: PATIENCE, token_file, ca_bundle }
}

fn faulty(held: MemoryStore) -> Cache {
    let held = Arc::new(held);
    Cache { faults: Arc::new(FaultStore::new(held.clone())), held, is_alive: Arc::default() }
}

impl Cache {
    /// Asks it. It gives a sign of life where that is `true`.
    fn door(&self) -> Door {
        let is_alive = self.is_alive.clone();
        let ping = move || -> futures::future::BoxFuture<'static, bool> {
            let is_alive = is_alive.load(Ordering::Relaxed);
            Box::pin(async move { is_alive || std::future::pending().await })
        };
        Door { store: self.faults.clone(), ping: Some(Box::new(ping)) }
    }
}

impl Bed {
    fn new(members: usize) -> Bed {
        let caches: Vec<Cache> = (0..members).map(|_| faulty(MemoryStore::new().chunk_bytes(10_000))).collect();
        let urls: Vec<String> = (0..members).map(|member| format!("http://{member}:80")).collect();
        let stores = caches.clone();
        let make = move |member: &NearMember, _: Option<SocketAddr>| -> Result<Door> {
            let number: usize = member.authority.trim_end_matches(":80").parse().unwrap();
            Ok(stores[number].door())
        };
        Bed::with(caches, urls.join(",").parse().unwrap(), Box::new(make), Box::new(by_machine))
    }

    fn with(caches: Vec<Cache>, source: NearSource, make: Box<MakeDoor>, lookup: Box<Resolve>) -> Bed {
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
        let Cache { held: bucket, faults: bucket_faults, .. } = faulty(MemoryStore::new());
        let meta = bucket.put("k", pattern());
        caches.iter().for_each(|cache| drop(cache.held.put("k", pattern())));
        let near = Near::new(bucket_faults.clone(), &options(source), make, lookup, metrics.clone(), clock);
        Bed { bucket, bucket_faults, caches, near, metrics, meta }
    }

    fn request(&self, range: ByteRange) -> GetRequest {
        let expected = Expected { size: self.meta.size, last_modified: None };
        GetRequest::new(Key::new("k"))
            .range(range)
            .if_match(self.meta.etag.clone())
            .expected(Some(expected))
            .traffic(Traffic::Bulk)
    }

    async fn read(&self, request: GetRequest) -> Result<Vec<u8>> {
        let range = request.range.unwrap_or(ByteRange::new(0, LEN));
        let answer = self.near.get(request).await?;
        assert_eq!(answer.range, range.intersect(ByteRange::new(0, LEN)));
        answer.body.collect(LEN as usize).await
    }

    /// Reads bulk, which must be right.
    async fn reads(&self, start: u64, end: u64) {
        let bytes = self.read(self.request(ByteRange::new(start, end))).await.unwrap();
        assert!(bytes == pattern()[start as usize..end.min(LEN) as usize], "{start}..{end}");
    }

    /// Ranges that each cache was asked for since the last time.
    fn asked(&self) -> Vec<Vec<ByteRange>> {
        self.caches.iter().map(|cache| gets(&cache.held)).collect()
    }

    /// Ranges that the bucket was asked for since the last time, those of HEADs as nothing.
    fn bucket_asked(&self) -> Vec<ByteRange> {
        gets(&self.bucket)
    }

    fn count(&self, metric: Metric) -> u64 {
        self.metrics.value(metric)
    }
}

fn gets(store: &MemoryStore) -> Vec<ByteRange> {
    let range = |request| match request {
        Request::Get { range, .. } => Some(range.unwrap_or(ByteRange::new(0, LEN))),
        _ => None,
    };
    store.take_requests().into_iter().filter_map(range).collect()
}

#[tokio::test(start_paused = true)]
async fn bulk_comes_from_the_owners_of_its_slices_and_each_slice_once() {
    let bed = Bed::new(4);
    bed.reads(SLICE / 2, LEN).await;
    assert_eq!(bed.bucket_asked(), [], "the bucket was only looked at");
    let asked = bed.asked();
    let mut all: Vec<ByteRange> = asked.iter().flatten().copied().collect();
    all.sort_by_key(|range| range.start);
    assert_eq!(all, route::cut(ByteRange::new(SLICE / 2, LEN), SLICE).collect::<Vec<_>>());
    assert!(asked.iter().all(|asked| asked.len() < all.len()), "more than one member has served");
    assert_eq!(bed.count(Metric::NearBytes), LEN - SLICE / 2);
    // The same slices come from the same members.
    bed.reads(SLICE / 2, LEN).await;
    assert_eq!(bed.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_is_exact_unpinned_or_small_comes_from_the_bucket() {
    let bed = Bed::new(2);
    let range = ByteRange::new(0, 3 * SLICE);
    let odd_tag = ETag::parse("\"a/b\"");
    for request in [
        bed.request(range).traffic(Traffic::Exact),
        bed.request(range).if_match(None),
        bed.request(range).expected(None),
        bed.request(range).expected(Some(Expected { size: SLICE - 1, last_modified: None })),
    ] {
        bed.read(request).await.unwrap();
    }
    assert_eq!(bed.read(bed.request(range).if_match(odd_tag)).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(bed.asked(), [[], []]);
    assert_eq!(bed.count(Metric::NearSkipped), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_member_does_not_bring_comes_from_the_other_owner_else_from_the_bucket() {
    let at = At::Byte(15_000);
    for fault in [
        Fault::Error(ErrorKind::Network),
        Fault::Silence,
        Fault::Late(Duration::from_secs(100)),
        Fault::Break(at),
        Fault::Stall(at),
        Fault::Short(at),
    ] {
        let bed = Bed::new(3);
        bed.caches[0].faults.set_random([(1.0, fault.clone())]);
        bed.reads(0, LEN).await;
        assert_eq!(bed.bucket_asked(), [], "{fault:?}");
        assert!(bed.count(Metric::NearErrors) > 0, "{fault:?}");
        bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, fault.clone())]));
        bed.reads(0, LEN).await;
        assert!(!bed.bucket_asked().is_empty(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_owner_of_a_slice_fails_it_once_before_the_bucket_is_asked() {
    let bed = Bed::new(2);
    bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, Fault::Stall(At::Byte(15_000)))]));
    bed.reads(0, SLICE).await;
    assert_eq!(bed.bucket_asked(), [ByteRange::new(30_000, SLICE)]);
    assert_eq!((bed.count(Metric::NearErrors), bed.count(Metric::NearFallbacks)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_member_refuses_is_asked_of_the_bucket_and_the_member_is_blamed_only_if_that_has_it() {
    for kind in [ErrorKind::AccessDenied, ErrorKind::NotFound, ErrorKind::Server, ErrorKind::Protocol] {
        let bed = Bed::new(2);
        bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, Fault::Error(kind))]));
        bed.reads(0, SLICE).await;
        assert_eq!((bed.bucket_asked().len(), bed.count(Metric::NearErrors)), (1, 1), "{kind:?}");
        bed.bucket_faults.once(Operation::Get, Fault::Error(kind));
        let error = bed.read(bed.request(ByteRange::new(0, SLICE))).await.unwrap_err();
        assert_eq!((error.kind(), bed.count(Metric::NearErrors)), (kind, 1), "both refuse it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_of_another_bucket_is_never_believed() {
    let bed = Bed::new(2);
    let mut other = pattern();
    other[5] ^= 1;
    bed.caches.iter().for_each(|cache| drop(cache.held.put("k", other.clone())));
    bed.reads(0, LEN).await;
    assert_eq!(bed.count(Metric::NearBytes), 0);
    assert_eq!(bed.count(Metric::NearMembersOut), 2);
    // One that does not look at the tag gives itself away by that, by the size, or by the checksum that it tells.
    type Change = fn(&mut ObjectMeta);
    let changes: [Change; 3] = [|meta| meta.etag = None, |meta| meta.size -= 1, |meta| meta.crc64 = Some(1)];
    for change in changes {
        let bed = Bed::new(1);
        bed.read(bed.request(ByteRange::new(0, SLICE)).traffic(Traffic::Exact)).await.unwrap();
        bed.caches[0].held.amend("k", change);
        bed.reads(0, SLICE).await;
        assert_eq!((bed.count(Metric::NearBytes), bed.count(Metric::NearErrors)), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_an_object_is_what_the_bucket_tells() {
    let bed = Bed::new(2);
    for cache in &bed.caches {
        cache.held.amend("k", |meta| (meta.crc64, meta.content_type) = (None, Some("text/false".to_owned())));
    }
    let answer = bed.near.get(bed.request(ByteRange::new(0, 2 * SLICE))).await.unwrap();
    assert_eq!(answer.meta, bed.near.head(HeadRequest::new(Key::new("k"))).await.unwrap());
    assert!(answer.meta.crc64.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_overwritten_is_seen_to_have_changed_though_members_still_have_it() {
    let bed = Bed::new(2);
    bed.reads(0, SLICE).await;
    bed.bucket.put("k", "new");
    tokio::time::sleep(FACTS_HOLD).await;
    let error = bed.read(bed.request(ByteRange::new(0, SLICE))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    let other = Bed::new(2);
    other.bucket.put("k", "new");
    assert_eq!(other.read(other.request(ByteRange::new(0, SLICE))).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(bed.count(Metric::NearErrors) + other.count(Metric::NearErrors), 0, "nobody is to blame");
}

#[tokio::test(start_paused = true)]
async fn an_object_of_which_wrong_bytes_came_is_read_from_the_bucket_alone() {
    let bed = Bed::new(2);
    bed.reads(0, LEN).await;
    bed.bucket_asked();
    bed.asked();
    bed.read(bed.request(ByteRange::new(0, SLICE)).traffic(Traffic::Doubted)).await.unwrap();
    assert_eq!(bed.count(Metric::NearCorrupt), 2);
    bed.reads(0, LEN).await;
    assert_eq!(bed.bucket_asked().len(), 2);
    assert_eq!(bed.asked(), [[], []]);
    bed.read(bed.request(ByteRange::new(0, SLICE)).traffic(Traffic::Doubted)).await.unwrap();
    assert_eq!(bed.count(Metric::NearCorrupt), 2, "members are blamed once");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_dies_rests_and_is_used_again_when_it_is_back() {
    let bed = Bed::new(4);
    bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, Fault::Error(ErrorKind::Network))]));
    bed.reads(0, LEN).await;
    assert!(bed.count(Metric::NearMembersOut) > 2, "more than half are out");
    bed.bucket_asked();
    bed.reads(0, LEN).await;
    assert_eq!(bed.bucket_asked(), [ByteRange::new(0, LEN)], "in one piece");
    assert_eq!(bed.count(Metric::NearSkipped), 1);
    bed.caches.iter().for_each(|cache| cache.faults.set_random([]));
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..4 {
        bed.reads(0, LEN).await;
    }
    assert_eq!((bed.count(Metric::NearMembersUp), bed.count(Metric::NearMembersOut)), (4, 0));
    bed.bucket_asked();
    bed.reads(0, LEN).await;
    assert_eq!(bed.bucket_asked(), []);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_is_warmed_up_is_asked_for_the_last_byte_of_each_slice_once() {
    let bed = Bed::new(4);
    assert!(bed.near.has_fleet());
    // The grid decides, not the range.
    assert!(bed.near.warm(bed.request(ByteRange::new(SLICE / 2, LEN - 1))).await.unwrap());
    let mut asked: Vec<ByteRange> = bed.asked().into_iter().flatten().collect();
    asked.sort_by_key(|range| range.start);
    let slices = route::cut(ByteRange::new(0, LEN), SLICE);
    assert_eq!(asked, slices.map(|slice| ByteRange::new(slice.end - 1, slice.end)).collect::<Vec<_>>());
    assert_eq!((bed.bucket_asked(), bed.count(Metric::NearBytes)), (vec![], 0));
    // One that fails leaves it to the other owners; all of them fail it.
    for (failing, fault) in [(1, Fault::Error(ErrorKind::Network)), (1, Fault::Stall(At::Byte(0))), (4, Fault::Silence)]
    {
        let bed = Bed::new(4);
        bed.caches[..failing].iter().for_each(|cache| cache.faults.set_random([(1.0, fault.clone())]));
        let warmed = bed.near.warm(bed.request(ByteRange::new(0, LEN))).await;
        assert_eq!(warmed.is_ok(), failing < 4, "{fault:?}: {warmed:?}");
        assert!(bed.count(Metric::NearErrors) > 0 && bed.bucket_asked().is_empty(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_fleet_does_not_serve_is_not_fetched_into_it() {
    let bed = Bed::new(2);
    let small = bed.request(ByteRange::new(0, 10)).expected(Some(Expected { size: SLICE - 1, last_modified: None }));
    assert!(!bed.near.warm(small).await.unwrap());
    assert!(!bed.near.warm(bed.request(ByteRange::new(0, LEN)).if_match(None)).await.unwrap());
    bed.bucket.put("k", "new");
    let changed = bed.near.warm(bed.request(ByteRange::new(0, LEN))).await.unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Changed);
    assert_eq!(bed.asked(), [[], []]);
    let none = bed.bucket.warm(bed.request(ByteRange::new(0, LEN))).await.unwrap_err();
    assert!(none.message().contains("mount with near") && !bed.bucket.has_fleet(), "{none}");
}

#[tokio::test(start_paused = true)]
async fn the_gauges_are_the_sum_over_the_fleets_of_all_buckets() {
    let bed = Bed::new(3);
    bed.reads(0, LEN).await;
    assert_eq!(bed.count(Metric::NearMembersUp), 3);
    let caches: Vec<Cache> = (0..2).map(|_| faulty(MemoryStore::new())).collect();
    let stores = caches.clone();
    let make = move |member: &NearMember, _: Option<SocketAddr>| -> Result<Door> {
        Ok(stores[usize::from(member.authority != "a:80")].door())
    };
    let source: NearSource = "http://a:80,http://b:80".parse().unwrap();
    let (options, clock) = (options(source), Clock::runtime(Timestamp::from_unix(0)));
    let lookup = Box::new(by_machine);
    let other = Near::new(bed.bucket_faults.clone(), &options, Box::new(make), lookup, bed.metrics.clone(), clock);
    drop(other.get(bed.request(ByteRange::new(0, SLICE))).await.unwrap());
    assert_eq!(bed.count(Metric::NearMembersUp), 5);
    bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, Fault::Error(ErrorKind::Network))]));
    bed.reads(0, LEN).await;
    let out = bed.count(Metric::NearMembersOut);
    assert!((2..=3).contains(&out), "of the first fleet alone: {out}");
    assert_eq!(bed.count(Metric::NearMembersUp), 5 - out);
    drop(other);
    assert_eq!(bed.count(Metric::NearMembersUp), 3 - out);
}

#[tokio::test(start_paused = true)]
async fn members_that_refuse_everything_are_tried_less_and_less_often() {
    let bed = Bed::new(2);
    bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, Fault::Error(ErrorKind::AccessDenied))]));
    bed.reads(0, LEN).await;
    assert_eq!(bed.count(Metric::NearMembersOut), 2);
    let mut probes = Vec::new();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = bed.count(Metric::NearErrors);
        bed.reads(0, LEN).await;
        bed.reads(0, LEN).await;
        probes.push(bed.count(Metric::NearErrors) - before);
    }
    assert_eq!(probes.iter().sum::<u64>(), 4, "two for each, 5 s and 15 s after it left: {probes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_serves_others_is_busy_and_not_silent() {
    let bed = Bed::new(1);
    let slow = bed.request(ByteRange::new(0, SLICE));
    bed.caches[0].faults.once(Operation::Get, Fault::Late(PATIENCE * 3));
    let others = async {
        for _ in 0..8 {
            tokio::time::sleep(PATIENCE / 2).await;
            bed.reads(SLICE, 2 * SLICE).await;
        }
    };
    let (bytes, ()) = tokio::join!(bed.read(slow), others);
    assert_eq!(bytes.unwrap().len() as u64, SLICE);
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_sends_is_asked_for_a_connection_again_and_one_that_does_not_is_not() {
    let bed = Bed::new(1);
    let unanswered = |times| (0..times).for_each(|_| bed.caches[0].faults.once(Operation::Get, Fault::Unanswered));
    unanswered(1);
    bed.reads(0, SLICE).await;
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len()), (1, 1), "it has never sent anything");
    bed.reads(0, SLICE).await;
    unanswered(5);
    bed.reads(0, SLICE).await;
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len()), (1, 0));
    // One that has gone since is not waited for longer than the patience.
    bed.caches[0].faults.set_random([(1.0, Fault::Unanswered)]);
    let now = || bed.near.0.fleet.now();
    let began = now();
    bed.reads(0, SLICE).await;
    let took = now() - began;
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len()), (2, 1));
    assert!((PATIENCE..PATIENCE + Duration::from_millis(100)).contains(&took), "{took:?}");
    let began = now();
    bed.reads(0, SLICE).await;
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len(), now() - began), (3, 1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_waits_for_the_bucket_is_waited_for_while_it_gives_signs_of_life() {
    let bed = Bed::new(1);
    bed.caches[0].is_alive.store(true, Ordering::Relaxed);
    bed.caches[0].faults.once(Operation::Get, Fault::Late(PATIENCE * 7));
    bed.caches[0].faults.once(Operation::Get, Fault::Slow(PATIENCE * 2));
    bed.reads(0, 2 * SLICE).await;
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len()), (0, 0));
    // Not for ever.
    bed.caches[0].faults.once(Operation::Get, Fault::Silence);
    bed.reads(0, SLICE).await;
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_one_member_sends_far_slower_than_others_is_asked_of_those_who_come_after_it() {
    const PAUSE: Duration = Duration::from_secs(4);
    let slow = Fault::Slow(PAUSE);
    let bed = Bed::new(2);
    bed.caches[0].is_alive.store(true, Ordering::Relaxed);
    // One slice in fifty may be asked for twice.
    for _ in 0..25 {
        bed.reads(0, LEN).await;
    }
    bed.asked();
    let began = bed.near.0.fleet.now();
    bed.caches[0].faults.set_random([(1.0, slow.clone())]);
    bed.reads(0, LEN).await;
    let [first, second] = bed.asked().try_into().unwrap();
    let rests =
        second.iter().filter(|range| first.iter().any(|slice| slice.start < range.start && slice.end == range.end));
    assert_eq!((rests.count(), bed.count(Metric::HedgesWon)), (4, 4));
    assert_eq!((bed.count(Metric::NearErrors), bed.bucket_asked()), (0, vec![]), "it is slow, and answers");
    // Seven pieces of each slice would take as many pauses.
    let took = bed.near.0.fleet.now() - began;
    assert!(took < PAUSE * 7 * first.len() as u32 - PAUSE * 4 * 3, "{took:?}");

    // Where all are slow, the wires are.
    let bed = Bed::new(3);
    bed.caches.iter().for_each(|cache| cache.faults.set_random([(1.0, slow.clone())]));
    bed.reads(0, LEN).await;
    assert_eq!((bed.bucket_asked(), bed.count(Metric::Hedges)), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_name_are_asked_for_again_and_the_last_ones_kept() {
    let caches: Vec<Cache> = (0..3).map(|_| faulty(MemoryStore::new())).collect();
    let stores = caches.clone();
    let make = move |member: &NearMember, address: Option<SocketAddr>| -> Result<Door> {
        assert_eq!((member.tls, member.authority.as_str()), (true, "near:80"));
        let SocketAddr::V4(address) = address.unwrap() else { panic!("an address of this test") };
        Ok(stores[address.ip().octets()[3] as usize].door())
    };
    // Which members there are, and none where the name cannot be resolved.
    let found: Arc<Mutex<Option<u8>>> = Arc::new(Mutex::new(Some(1)));
    let (now, lookups) = (found.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = lookups.clone();
    let lookup = move |name: String, port: u16| -> futures::future::BoxFuture<'static, _> {
        assert_eq!((name.as_str(), port), ("near", 80));
        counted.fetch_add(1, SeqCst);
        let last = *now.lock();
        let addresses = last.map(|last| (0..last).map(|last| SocketAddr::from(([10, 0, 0, last], port))).collect());
        Box::pin(async move { addresses.ok_or_else(|| std::io::ErrorKind::NotFound.into()) })
    };
    let bed = Bed::with(caches, "dns+https:near:80".parse().unwrap(), Box::new(make), Box::new(lookup));
    bed.reads(0, LEN).await;
    let served = |bed: &Bed| bed.asked().iter().filter(|asked| !asked.is_empty()).count();
    assert_eq!((served(&bed), lookups.load(SeqCst)), (1, 1));
    for (members, expected) in [(Some(3), 3), (None, 3), (Some(2), 2)] {
        *found.lock() = members;
        tokio::time::sleep(Duration::from_secs(10)).await;
        bed.reads(0, LEN).await;
        // It was asked for beside that request.
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.asked();
        bed.reads(0, LEN).await;
        assert_eq!(served(&bed), expected);
    }
    assert_eq!(bed.bucket_asked(), []);
}

#[tokio::test(start_paused = true)]
async fn a_name_without_members_leaves_everything_to_the_bucket() {
    let lookup = |_, _| -> futures::future::BoxFuture<'static, _> { Box::pin(std::future::pending()) };
    let make = |_: &NearMember, _: Option<SocketAddr>| -> Result<Door> { panic!("there is no member") };
    let bed = Bed::with(Vec::new(), "dns:near:80".parse().unwrap(), Box::new(make), Box::new(lookup));
    bed.reads(0, LEN).await;
    assert_eq!(bed.bucket_asked(), [ByteRange::new(0, LEN)]);
}

#[tokio::test(start_paused = true)]
async fn an_accelerator_is_asked_for_ranges_as_they_are() {
    let cache = faulty(MemoryStore::new());
    let store = cache.clone();
    let make = move |_: &NearMember, _: Option<SocketAddr>| -> Result<Door> { Ok(store.door()) };
    let bed = Bed::with(vec![cache], NearSource::Accelerator(None), Box::new(make), Box::new(by_machine));
    bed.reads(1000, LEN).await;
    assert_eq!(bed.asked(), [[ByteRange::new(1000, LEN)]]);
    assert_eq!(bed.count(Metric::NearUnknown), 1);
    bed.caches[0].faults.once(Operation::Get, Fault::Break(At::Byte(5000)));
    bed.reads(0, LEN).await;
    assert_eq!(bed.bucket_asked().len(), 1);
    let refused = bed.near.warm(bed.request(ByteRange::new(0, LEN))).await.unwrap_err();
    assert!(refused.message().contains("accelerator") && !bed.near.has_fleet(), "{refused}");
}
