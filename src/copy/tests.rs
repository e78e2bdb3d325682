//! What the copier does over a store in memory, where time is paused and answers can be withheld.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Tells other tags of objects than the one by which copies know them, and perhaps answers no HEAD.
#[derive(Debug)]
struct ManyTags {
    inner: Arc<dyn Store>,
    /// The tag that listings tell.
    listed: Option<&'static str>,
    /// The tags that answers about the object tell, in turn.
    told: Vec<&'static str>,
    /// What becomes of a HEAD.
    head: Option<ErrorKind>,
    asked: AtomicUsize,
}

/// The tag that listings tell.
const LISTED: &str = "listed";

impl ManyTags {
    fn over(inner: Arc<dyn Store>) -> ManyTags {
        ManyTags { inner, listed: None, told: Vec::new(), head: None, asked: AtomicUsize::new(0) }
    }

    fn tell(&self, meta: &mut ObjectMeta) {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.told.is_empty() {
            meta.etag = ETag::parse(self.told[asked % self.told.len()]);
            // Where sums are known they say more than tags.
            meta.crc64 = None;
        }
    }
}

#[async_trait::async_trait]
impl Store for ManyTags {
    async fn get(&self, request: GetRequest) -> crate::store::Result<GetResponse> {
        let mut answer = self.inner.get(request).await?;
        self.tell(&mut answer.meta);
        Ok(answer)
    }

    async fn head(&self, request: HeadRequest) -> crate::store::Result<ObjectMeta> {
        if let Some(kind) = self.head {
            return Err(crate::store::Error::new(kind, "no HEAD is answered"));
        }
        let mut meta = self.inner.head(request).await?;
        self.tell(&mut meta);
        Ok(meta)
    }

    async fn list(&self, request: ListRequest) -> crate::store::Result<ListPage> {
        let mut page = self.inner.list(request).await?;
        if let Some(tag) = self.listed {
            page.entries.iter_mut().for_each(|entry| entry.etag = ETag::parse(tag));
        }
        Ok(page)
    }

    async fn list_versions(
        &self,
        request: crate::store::VersionsRequest,
    ) -> crate::store::Result<crate::store::VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> crate::store::Result<String> {
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> crate::store::Result<Tags> {
        self.inner.tags(key, version).await
    }
}

/// Copies `from` to `to` from a store whose answers are bent, under this tag if one is asked for.
async fn copied(
    bench: &Bench,
    key: &str,
    tag: &str,
    options: Options,
    bend: impl FnOnce(ManyTags) -> ManyTags,
) -> Status {
    let mutable = layered(bench.faults.clone(), &LayerOptions::default(), &Arc::default(), &bench.clock);
    let bucket = Bucket { store: Arc::new(bend(ManyTags::over(mutable.clone()))), mutable, dialect: Dialect::S3 };
    let copier = Copier::new(Arc::new(One(bucket)), options);
    let name = BucketName::new("b");
    let source = Source { bucket: name.clone(), key: key.into(), version: None, if_match: ETag::parse(tag) };
    let job = copier.start(Request::new(source, Destination { bucket: name, key: "to".into() })).unwrap();
    copier.ended(job).await.unwrap()
}

/// Above the threshold in parts, or else in one request.
fn either_way() -> [Options; 2] {
    let parts = Options { part_bytes: 100 << 10, threshold_bytes: 200 << 10, ..Options::default() };
    [parts.clone(), Options { threshold_bytes: 1 << 30, ..parts }]
}

#[tokio::test(start_paused = true)]
async fn a_source_is_taken_by_the_tag_that_a_listing_tells_of_it_too() {
    let (bench, [options, _]) = (bench(), either_way());
    let copied = async |key, tag| {
        copied(&bench, key, tag, options.clone(), |store| ManyTags { listed: Some(LISTED), ..store }).await
    };
    let status = copied("from", LISTED).await;
    assert_eq!((status.state, status.bytes.done), (State::Done, SIZE as u64), "{status:?}");
    let status = copied("from", "neither").await;
    assert_eq!(status.state, State::Failed);
    bench.memory.put("from2", "its key begins like the source's");
    assert_eq!(copied("from", LISTED).await.state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_own_tag_the_service_refuses_is_copied_if_it_has_not_changed() {
    const LONG: usize = 11 << 20;
    for (options, parts) in either_way().into_iter().zip([3, 0]) {
        let is_whole = |status: Status, what: &str| {
            let counts = (status.state, status.bytes.done, status.parts.done, status.parts.total);
            assert_eq!(counts, (State::Done, LONG as u64, parts, parts), "{what}: {status:?}");
        };
        let told = vec!["told"];
        let bench = bench();
        bench.memory.put("from", vec![7; LONG]);
        let by_listing = |store| ManyTags { told: told.clone(), ..store };
        is_whole(copied(&bench, "from", "", options.clone(), by_listing).await, "the listing tells the right one");
        let by_none = |store| ManyTags { told: told.clone(), listed: Some(LISTED), ..store };
        is_whole(copied(&bench, "from", "", options.clone(), by_none).await, "nothing tells the right one");
        let by_none = |store| ManyTags { told: told.clone(), listed: Some(LISTED), ..store };
        is_whole(copied(&bench, "from", LISTED, options.clone(), by_none).await, "as a mount asks for it");

        let changes = |store| ManyTags { told: vec!["one", "another"], ..store };
        let status = copied(&bench, "from", "", options, changes).await;
        assert_eq!((status.state, bench.memory.uploads().len()), (State::Failed, 0), "it changes: {status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_while_it_is_copied_without_a_tag_is_told() {
    for options in either_way() {
        // At the first look, after each of the refused tags, and when the copy is there.
        let told = vec!["told", "told", "told", "new"];
        let status =
            copied(&bench(), "from", "", options, |store| ManyTags { told, listed: Some(LISTED), ..store }).await;
        let message = status.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        assert!(status.state == State::Failed && message.contains("changed while it was copied"), "{status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_of_which_no_head_is_answered_is_looked_at_by_its_first_byte() {
    for kind in [ErrorKind::AccessDenied, ErrorKind::Invalid, ErrorKind::Unsupported] {
        for options in either_way() {
            let bench = bench();
            let head = |store| ManyTags { head: Some(kind), ..store };
            let status = copied(&bench, "from", "", options.clone(), head).await;
            assert_eq!((status.state, status.bytes.done), (State::Done, SIZE as u64), "{status:?}");
            bench.memory.put("empty", "");
            assert_eq!(copied(&bench, "empty", "", options.clone(), head).await.state, State::Done);
            bench.faults.once(Operation::Get, Fault::Error(kind));
            let status = copied(&bench, "from", "", options, head).await;
            let message = status.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
            assert!(status.state == State::Failed && message.contains("no HEAD is answered"), "{status:?}");
        }
    }
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
