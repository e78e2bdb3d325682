//! What the copier does over a store in memory, where time is paused and answers can be withheld.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::{BucketName, Clock, ETag, Key, Timestamp};
use crate::store::layers::{Fault, FaultStore, LayerOptions, Operation, layered};
use crate::store::memory::MemoryStore;
use crate::store::{
    Dialect, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Store, Tags,
};

/// One bucket, whatever its name.
#[derive(Debug)]
struct One(Bucket);

impl Buckets for One {
    fn bucket(&self, _: &BucketName) -> crate::store::Result<Bucket> {
        Ok(self.0.clone())
    }
}

struct Bench {
    memory: Arc<MemoryStore>,
    faults: Arc<FaultStore<MemoryStore>>,
    copier: Copier,
    clock: Clock,
}

const SIZE: usize = 350 << 10;

fn bench() -> Bench {
    let memory = Arc::new(MemoryStore::new());
    memory.put("from", vec![7; SIZE]);
    let faults = Arc::new(FaultStore::new(memory.clone()));
    let clock = Clock::runtime(Timestamp::from_unix(0));
    let store = layered(faults.clone(), &LayerOptions::default(), &Arc::default(), &clock);
    let bucket = Bucket { store: store.clone(), mutable: store, dialect: Dialect::Oss };
    let options = Options { part_bytes: 100 << 10, threshold_bytes: 200 << 10, ..Options::default() };
    Bench { memory, faults, copier: Copier::new(Arc::new(One(bucket)), options), clock }
}

impl Bench {
    async fn run(&self) -> (Status, Duration) {
        let bucket = BucketName::new("b");
        let source = Source { bucket: bucket.clone(), key: "from".into(), version: None, if_match: None };
        let began = self.clock.elapsed();
        let job = self.copier.start(Request::new(source, Destination { bucket, key: "to".into() })).unwrap();
        let status = self.copier.ended(job).await.unwrap();
        (status, self.clock.elapsed() - began)
    }
}

#[tokio::test(start_paused = true)]
async fn a_shallow_copy_that_takes_too_long_goes_on_in_parts() {
    let bench = bench();
    let (status, _) = bench.run().await;
    assert_eq!((status.state, status.manner), (State::Done, Some(Manner::Shallow)));

    // Three tries of 20 s each would come in the first 30 s and after.
    for _ in 0..3 {
        bench.faults.once(Operation::Write, Fault::Silence);
    }
    let (status, took) = bench.run().await;
    assert_eq!((status.state, status.manner, status.parts.done), (State::Done, Some(Manner::Parts), 4));
    assert!(took >= Duration::from_secs(30), "{took:?}");
    assert_eq!((status.bytes.done, bench.memory.uploads().len()), (SIZE as u64, 0));

    bench.faults.once(Operation::Write, Fault::Error(ErrorKind::TooLarge));
    let (status, took) = bench.run().await;
    assert_eq!((status.state, status.manner), (State::Done, Some(Manner::Parts)));
    assert!(took < Duration::from_secs(1), "{took:?}");

    bench.faults.once(Operation::Write, Fault::Error(ErrorKind::Conflict));
    let (status, _) = bench.run().await;
    assert_eq!((status.state, status.manner), (State::Failed, Some(Manner::Shallow)));
}

/// Lists every object with another tag than the one that answers about it carry.
#[derive(Debug)]
struct TwoTags(Arc<dyn Store>);

/// The tag that listings tell.
const LISTED: &str = "listed";

#[async_trait::async_trait]
impl Store for TwoTags {
    async fn get(&self, request: GetRequest) -> crate::store::Result<GetResponse> {
        self.0.get(request).await
    }

    async fn head(&self, request: HeadRequest) -> crate::store::Result<ObjectMeta> {
        self.0.head(request).await
    }

    async fn list(&self, request: ListRequest) -> crate::store::Result<ListPage> {
        let mut page = self.0.list(request).await?;
        page.entries.iter_mut().for_each(|entry| entry.etag = ETag::parse(LISTED));
        Ok(page)
    }

    async fn symlink_target(&self, key: &Key) -> crate::store::Result<String> {
        self.0.symlink_target(key).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> crate::store::Result<Tags> {
        self.0.tags(key, version).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_taken_by_the_tag_that_a_listing_tells_of_it_too() {
    let Bench { memory, faults, clock, .. } = bench();
    let mutable = layered(faults, &LayerOptions::default(), &Arc::default(), &clock);
    let bucket = Bucket { store: Arc::new(TwoTags(mutable.clone())), mutable, dialect: Dialect::Oss };
    let copier = Copier::new(Arc::new(One(bucket)), Options::default());
    let name = BucketName::new("b");
    let copied = async |key: &str, tag: &str| {
        let source = Source { bucket: name.clone(), key: key.into(), version: None, if_match: ETag::parse(tag) };
        let destination = Destination { bucket: name.clone(), key: "to".into() };
        let job = copier.start(Request::new(source, destination)).unwrap();
        copier.ended(job).await.unwrap()
    };
    let status = copied("from", LISTED).await;
    assert_eq!((status.state, status.bytes.done), (State::Done, SIZE as u64), "{status:?}");
    let status = copied("from", "neither").await;
    assert_eq!(status.state, State::Failed);
    memory.put("from2", "its key begins like the source's");
    assert_eq!(copied("from", LISTED).await.state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn jobs_beyond_a_thousand_are_refused_and_those_that_wait_can_be_cancelled() {
    let bench = bench();
    for _ in 0..8 {
        bench.faults.once(Operation::Head, Fault::Late(Duration::from_secs(10)));
    }
    let bucket = BucketName::new("b");
    let source = Source { bucket: bucket.clone(), key: "from".into(), version: None, if_match: None };
    let request = Request::new(source, Destination { bucket, key: "to".into() });
    let jobs: Vec<_> = (0..1000).map(|_| bench.copier.start(request.clone()).unwrap()).collect();
    let error = bench.copier.start(request.clone()).unwrap_err();
    assert!(error.message().contains("1000 copies are queued or running"), "{error}");
    assert!(bench.copier.cancel(jobs[999]));
    assert_eq!(bench.copier.ended(jobs[999]).await.unwrap().state, State::Cancelled);
    bench.copier.start(request).unwrap();
    bench.copier.stop().await;
    assert!(bench.copier.list().iter().all(|status| status.state.is_ended()));
    assert_eq!(bench.memory.uploads().len(), 0);
}
