//! Near caches: the bulk of pinned versions comes from a fleet of caches beside the nodes, all else and every failure
//! from the bucket.
//!
//! A GET is routed here if its bytes are many ([`Traffic::Bulk`]), its version is pinned by an entity tag or a version
//! id, and the object is large enough. Its range is cut on the fleet's grid; each slice is asked of its owners
//! ([`route`]) and, where they fail, of the bucket. No member is believed: the version in the URL, the entity tag, the
//! size and the range of each answer are compared with the pin, and what is told of the object above this layer is what
//! the bucket itself has told. So the CRC-64 that the whole object is compared with is never a member's, an object that
//! may not be read is refused as without caches, and one that has changed is seen to have changed.
//!
//! | file | what it owns |
//! |---|---|
//! | `body` | a body that is put together from slices |
//! | `fleet` | the members: who they are, how each is asked |
//! | `options` | the options of near caches |
//! | `route` | which member has which bytes |
//! | `standing` | whether a member is asked |
//! | `warm` | having members fetch what they own |

mod body;
mod fleet;
mod options;
mod route;
#[cfg(test)]
mod simulation_tests;
mod standing;
#[cfg(test)]
mod tests;
mod warm;

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use self::body::{Assembled, Opened};
pub(in crate::store) use self::fleet::{Door, MakeDoor, Resolve, by_machine};
use self::fleet::{Fleet, Member, Members, Turned};
pub use self::options::{NearMember, NearOptions, NearSource};
use self::route::{BLOCK, Block};
use crate::base::{ByteRange, Clock, ETag, Key};
use crate::metrics::{Metric, Metrics};
use crate::store::layers::crawl::{Bounds, Leave, Racing};
use crate::store::{
    Body, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Result, Store,
    Tags, Traffic, VersionPage, VersionsRequest,
};

/// Of so many versions it is remembered what the bucket told of them.
const MOST_PINNED: NonZero<usize> = NonZero::new(1 << 13).unwrap();

/// What the bucket told of a version is believed for so long while it is loaded: an object that changes meanwhile is
/// noticed, as it is without caches.
const FACTS_HOLD: Duration = Duration::from_secs(10);

/// The longest entity tag or version id that stands in a URL.
const MOST_PIN_BYTES: usize = 200;

/// Which bodies of members crawl: those that take longer than 32 s for a slice of 2 MiB. While members fetch, and where
/// many connections share a wire that drops what it cannot carry, one may bring little for some seconds: of eight nodes
/// on full wires of 64 Mbit, ten of some thousand bodies brought 64 to 116 KB/s for that long. What brings nothing any
/// more is left to the patience.
const CRAWLS: Bounds = Bounds { floor_rate: 64 << 10, is_silence_judged: false, window: Duration::from_secs(10) };

/// Reads the bulk of pinned versions from near caches. Stands outside of [`Retry`](super::Retry), so that a cache that
/// fails costs no retries of the bucket.
pub struct Near<S: ?Sized = dyn Store>(Arc<Core<S>>);

/// What bodies under way share with the layer.
struct Core<S: ?Sized> {
    inner: Arc<S>,
    fleet: Arc<Fleet>,
    metrics: Arc<Metrics>,
    /// `None` where the cache takes any range.
    slice_bytes: Option<u64>,
    min_bytes: u64,
    /// Versions by key, version id and pin.
    pinned: Mutex<LruCache<String, Arc<Pinned>>>,
    /// For slices that members fetch and nobody reads.
    warming: Semaphore,
    /// For slices that crawl.
    leave: Leave,
}

/// One version of an object that is read through caches.
struct Pinned {
    /// Its seed for [`Block::around`].
    seed: u64,
    /// Who has served bytes of it.
    served: Mutex<Vec<Arc<Member>>>,
    /// Whether some of those were wrong: it comes from the bucket alone.
    is_doubted: AtomicBool,
    told: Mutex<BucketFacts>,
    blocks: Mutex<Blocks>,
}

/// How the slices of a version are shared out among these members, by the number of the block.
type Blocks = (Arc<Members>, HashMap<u64, Arc<Block>>);

/// What the bucket has told of a version, and until when that holds. `None` where it did not confirm that this version
/// is the current one.
#[derive(Clone, Default)]
struct BucketFacts {
    facts: Arc<OnceCell<Option<ObjectMeta>>>,
    old_at: Duration,
}

impl<S: ?Sized> fmt::Debug for Near<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("slice_bytes", &self.0.slice_bytes).finish_non_exhaustive()
    }
}

impl<S: Store + ?Sized> Near<S> {
    /// Reads what `inner` has from the caches that the options name. `make` makes the store that asks one of them.
    pub(in crate::store) fn new(
        inner: Arc<S>,
        options: &NearOptions,
        make: Box<MakeDoor>,
        lookup: Box<Resolve>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let is_fleet = !matches!(options.source, NearSource::Accelerator(_));
        let fleet = Fleet::new(options.source.clone(), make, lookup, options.patience, metrics.clone(), clock);
        Near(Arc::new(Core {
            inner,
            fleet,
            leave: Leave::unearned(metrics.clone()),
            metrics,
            slice_bytes: is_fleet.then_some(options.slice_bytes),
            min_bytes: options.min_bytes,
            pinned: Mutex::new(LruCache::new(MOST_PINNED)),
            warming: warm::turns(),
        }))
    }
}

impl Pinned {
    fn new(pin: &str) -> Arc<Pinned> {
        let (served, told, blocks) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Pinned { seed: route::seed(pin), served, is_doubted: AtomicBool::new(false), told, blocks })
    }

    /// The block around a slice, of so many slices.
    fn block(&self, members: &Arc<Members>, slice: u64, slices: u64) -> Arc<Block> {
        let mut blocks = self.blocks.lock();
        if !Arc::ptr_eq(&blocks.0, members) {
            *blocks = (members.clone(), HashMap::new());
        }
        // Some 50 ms for a whole block and a thousand members, once.
        blocks.1.entry(slice / BLOCK).or_insert_with(|| Arc::new(members.block(slice, self.seed, slices))).clone()
    }

    /// The cell for what the bucket tells, an empty one where that is to be asked for.
    fn told(&self, now: Duration) -> Arc<OnceCell<Option<ObjectMeta>>> {
        let mut told = self.told.lock();
        if now >= told.old_at {
            *told = BucketFacts { facts: Arc::default(), old_at: now + FACTS_HOLD };
        }
        told.facts.clone()
    }

    /// What the bucket has told of late.
    fn known(&self) -> Option<ObjectMeta> {
        self.told.lock().facts.get().cloned().flatten()
    }

    fn learn(&self, facts: &ObjectMeta, now: Duration) {
        let facts = Arc::new(OnceCell::new_with(Some(Some(facts.clone()))));
        *self.told.lock() = BucketFacts { facts, old_at: now + FACTS_HOLD };
    }
}

/// What stands for a version in URLs: its entity tag, else its id; `None` where it could not stand in one.
pub(in crate::store) fn pin_of(request: &GetRequest) -> Option<&str> {
    let pin = request.if_match.as_ref().map(ETag::as_str).or(request.version.as_deref())?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    ((1..=MOST_PIN_BYTES).contains(&pin.len()) && pin.bytes().all(fits)).then_some(pin)
}

impl<S: Store + ?Sized> Core<S> {
    /// The version that a request is pinned to, where its bytes may come from near, the range asked for, and the size
    /// of the object.
    fn pinned(&self, request: &GetRequest) -> Option<(Arc<Pinned>, ByteRange, u64)> {
        let size = request.expected?.size;
        let whole = ByteRange::new(0, size);
        let range = request.range.map_or(whole, |range| range.intersect(whole));
        let pin = pin_of(request)?;
        if size < self.min_bytes || range.is_empty() {
            return None;
        }
        let name = format!("{}\0{}\0{pin}", request.key, request.version.as_deref().unwrap_or_default());
        let mut all = self.pinned.lock();
        Some((all.get_or_insert(name, || Pinned::new(pin)).clone(), range, size))
    }

    /// Whether these bytes come from near now.
    async fn is_near(&self, pinned: &Pinned, range: ByteRange, size: u64) -> bool {
        if pinned.is_doubted.load(Ordering::Relaxed) {
            return false;
        }
        let members = self.fleet.members().await;
        // While the fleet rests, only what shows whether a member is back goes there.
        !members.is_empty()
            && (!self.fleet.is_resting() || self.owners(&members, pinned, range, size).iter().any(Option::is_some))
    }

    /// The owners of a slice that may be asked now.
    fn owners(&self, members: &Arc<Members>, pinned: &Pinned, slice: ByteRange, size: u64) -> [Option<Turned>; 2] {
        let slice_bytes = self.slice_bytes.unwrap_or(u64::MAX);
        let (number, slices) = (slice.start / slice_bytes, size.div_ceil(slice_bytes));
        self.fleet.owners(members, &pinned.block(members, number, slices), number)
    }

    /// Wrong bytes of this version have come: whoever served some is struck, once.
    fn doubt(&self, pinned: &Pinned) {
        if pinned.is_doubted.swap(true, Ordering::Relaxed) {
            return;
        }
        for member in std::mem::take(&mut *pinned.served.lock()) {
            self.metrics.add(Metric::NearCorrupt, 1);
            self.fleet.strike(&member, "it has served bytes of an object that does not match its checksum");
        }
    }

    /// What the bucket tells of the version; `None` where it does not confirm that it is the current one.
    async fn facts(&self, pinned: &Pinned, request: &GetRequest) -> Option<ObjectMeta> {
        let cell = pinned.told(self.fleet.now());
        let asked = cell.get_or_init(|| async {
            let head = HeadRequest { key: request.key.clone(), version: request.version.clone() };
            let told = self.inner.head(head).await.ok()?;
            is_of(request, &told).then_some(told)
        });
        asked.await.clone()
    }

    /// Asks the owners of a slice that have not `failed` before, one after the other, for what is requested of it.
    /// Where one refuses, it is for the caller to find out who is right.
    async fn ask_owners(
        &self,
        pinned: &Pinned,
        request: &GetRequest,
        slice: ByteRange,
        failed: &[Arc<Member>],
    ) -> (Option<(GetResponse, Arc<Member>)>, Option<(Turned, Error)>) {
        let members = self.fleet.members().await;
        let size = request.expected.map_or(slice.end, |expected| expected.size);
        let wanted = request.range.unwrap_or(slice);
        for mut turned in self.owners(&members, pinned, slice, size).into_iter().flatten() {
            let member = turned.member.clone();
            if failed.iter().any(|other| Arc::ptr_eq(other, &member)) {
                continue;
            }
            let answer = self.fleet.ask(&member, request.clone()).await;
            match answer.and_then(|response| check(request, pinned.known().as_ref(), wanted, response)) {
                Ok(answer) => {
                    self.fleet.answered(&turned);
                    turned.is_used();
                    if self.slice_bytes.is_none() {
                        self.metrics.add(Metric::NearUnknown, 1);
                    }
                    return (Some((answer, member)), None);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout) => {
                    self.fleet.strike(&member, error.message());
                    turned.is_used();
                }
                // What a member refuses, the bucket may refuse too: it is asked before the member is blamed.
                Err(error) => return (None, Some((turned, error))),
            }
        }
        (None, None)
    }

    /// Opens a slice: at an owner that has not `failed` before, else at the bucket.
    fn open(
        self: Arc<Self>,
        pinned: Arc<Pinned>,
        request: GetRequest,
        slice: ByteRange,
        failed: Vec<Arc<Member>>,
    ) -> BoxFuture<'static, Result<Opened>> {
        Box::pin(async move {
            let (answer, suspect) = self.ask_owners(&pinned, &request.clone().range(slice), slice, &failed).await;
            if let Some((answer, member)) = answer {
                note(&pinned.served, &member);
                let answer = self.watched(answer, &pinned, request, (&member, &failed));
                return Ok(Opened { missing: slice, body: answer.body, member: Some(member), failed });
            }
            self.metrics.add(Metric::NearFallbacks, 1);
            let response = self.inner.get(request.range(slice).traffic(Traffic::Exact)).await?;
            if let Some((mut turned, error)) = suspect {
                self.fleet.strike(&turned.member, &error.to_string());
                turned.is_used();
            }
            if response.range != slice {
                return Err(Error::new(ErrorKind::Protocol, "the answer has other bytes than those requested"));
            }
            Ok(Opened { missing: slice, body: response.body, member: None, failed })
        })
    }

    /// An answer of a member of which, where it crawls, the rest is asked of those who come after it.
    fn watched(
        self: &Arc<Self>,
        answer: GetResponse,
        pinned: &Arc<Pinned>,
        request: GetRequest,
        (member, failed): (&Arc<Member>, &[Arc<Member>]),
    ) -> GetResponse {
        self.leave.earn();
        let (core, pinned, key) = (self.clone(), pinned.clone(), request.key.clone());
        let passed_over: Vec<Arc<Member>> = failed.iter().chain([member]).cloned().collect();
        let again = move |missing| -> BoxFuture<'static, Result<Body>> {
            let opened = core.clone().open(pinned.clone(), request.clone(), missing, passed_over.clone());
            Box::pin(async { Ok(opened.await?.body) })
        };
        Racing::over(answer, key, Box::new(again), (self.leave.clone(), CRAWLS), self.fleet.clock().clone())
    }
}

/// Adds a member to those that have served.
fn note(served: &Mutex<Vec<Arc<Member>>>, member: &Arc<Member>) {
    let mut served = served.lock();
    if !served.iter().any(|known| Arc::ptr_eq(known, member)) {
        served.push(member.clone());
    }
}

/// Whether what is told is of the version that a request is pinned to.
fn is_of(request: &GetRequest, told: &ObjectMeta) -> bool {
    let has_tag = request.if_match.as_ref().is_none_or(|pin| told.etag.as_ref() == Some(pin));
    has_tag && request.expected.is_none_or(|expected| expected.size == told.size)
}

/// A member's answer, if it is what was asked for.
fn check(
    request: &GetRequest,
    facts: Option<&ObjectMeta>,
    wanted: ByteRange,
    answer: GetResponse,
) -> Result<GetResponse> {
    let crcs = facts.and_then(|facts| facts.crc64).zip(answer.meta.crc64);
    let fits =
        is_of(request, &answer.meta) && answer.range == wanted && crcs.is_none_or(|(ours, theirs)| ours == theirs);
    match fits {
        true => Ok(answer),
        false => Err(Error::new(ErrorKind::Protocol, "the answer of a near cache is of another version or range")),
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Near<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let core = &self.0;
        let Some((pinned, range, size)) = core.pinned(&request) else { return core.inner.get(request).await };
        match request.traffic {
            Traffic::Doubted => core.doubt(&pinned),
            Traffic::Bulk if core.is_near(&pinned, range, size).await => {
                let mut body = Assembled::new(core.clone(), pinned.clone(), request.clone(), range);
                let begun = poll_fn(|cx| body.poll_begun(cx));
                // The first bytes and the facts are waited for side by side.
                let (facts, begun) = tokio::join!(core.facts(&pinned, &request), begun);
                if let Some(meta) = facts {
                    begun?;
                    return Ok(GetResponse { meta, range, body: Body::new(body) });
                }
            }
            Traffic::Bulk => core.metrics.add(Metric::NearSkipped, 1),
            Traffic::Exact | Traffic::Warming { .. } => {}
        }
        let is_pinned = request.if_match.is_some();
        let response = core.inner.get(request).await?;
        if is_pinned {
            pinned.learn(&response.meta, core.fleet.now());
        }
        Ok(response)
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.0.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.0.inner.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.0.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.0.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.0.inner.tags(key, version).await
    }

    async fn warm(&self, request: GetRequest) -> Result<bool> {
        self.0.warm(&request).await
    }

    fn has_fleet(&self) -> bool {
        self.0.slice_bytes.is_some()
    }
}
