//! Asking again: failed requests, and bodies that break before their end.
//!
//! A request is tried again while its failure is of a kind that may pass and while the budget lasts, with full-jitter
//! exponential backoff; a service that says how long to wait is obeyed. Every try goes through the inner store afresh
//! and is signed anew. A body that breaks is continued with a ranged GET from the first byte that is missing, pinned
//! to the entity tag of the first answer; the caller sees one body without a seam, or [`ErrorKind::Changed`] when the
//! object is no longer the same.
//!
//! The budget runs from the first failure, so that time spent waiting for a place in the limiter does not use it up,
//! and starts anew with every piece of a body: it bounds how long nothing moves, not how long a transfer takes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::ReadBuf;

use super::meter;
use crate::base::{ByteRange, Clock, Key};
use crate::metrics::{Metric, Metrics};
use crate::store::{
    Body, Change, Error, ErrorKind, Expected, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta,
    Outcome, Receive, Result, Store, StoreMut, Tags,
};

/// When and how often to ask again.
#[derive(Clone, PartialEq, Debug)]
pub struct RetryPolicy {
    /// From the first failure of an operation to its last try; of a body, from the first failure without progress.
    pub budget: Duration,
    /// Tries per operation, the first counted; of a body, tries without progress.
    pub max_tries: u32,
    /// The longest wait before the second try; every later one may be twice as long as the one before.
    pub base_delay: Duration,
    /// The longest wait before any try, unless the service asks for more.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            budget: Duration::from_secs(60),
            max_tries: 20,
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
        }
    }
}

/// How often a failure of this kind may be followed by another try, beside the policy's own limit; 0 means never.
fn tries_again(kind: ErrorKind) -> u32 {
    match kind {
        ErrorKind::Server | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Throttled => u32::MAX,
        // A garbled answer may come from a broken middle box or be what this server always says.
        ErrorKind::Protocol | ErrorKind::Corrupt => 4,
        // The first failure corrects the clock, unless its own time is wrong: then the next ones do.
        ErrorKind::ClockSkew => 4,
        // A key may have expired or been rotated between signing and arrival.
        ErrorKind::Credentials => 1,
        ErrorKind::NotFound
        | ErrorKind::NoSuchBucket
        | ErrorKind::AccessDenied
        | ErrorKind::Archived
        | ErrorKind::Changed
        | ErrorKind::RangeNotSatisfiable
        | ErrorKind::WrongRegion
        | ErrorKind::TooLarge
        | ErrorKind::Invalid
        | ErrorKind::Unsupported
        | ErrorKind::Conflict => 0,
    }
}

/// The wait before the next try, after so many failures; `draw` is uniform in 0..1.
fn delay(policy: &RetryPolicy, failures: u32, error: &Error, draw: f64) -> Duration {
    // A throttled client that says nothing of a wait gets there by growing: it starts eight times higher.
    let extra = if error.kind() == ErrorKind::Throttled { 3 } else { 0 };
    let steps = failures.saturating_sub(1).saturating_add(extra).min(20);
    let ceiling = policy.base_delay.saturating_mul(1 << steps).min(policy.max_delay);
    error.retry_after().unwrap_or_default().saturating_add(ceiling.mul_f64(draw))
}

/// Asks again until the budget is spent.
#[derive(Debug)]
pub struct Retry<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    policy: RetryPolicy,
    metrics: Arc<Metrics>,
    clock: Clock,
    rng: Mutex<StdRng>,
}

impl<S: ?Sized> Retry<S> {
    /// Retries what `inner` fails at.
    pub fn new(inner: Arc<S>, policy: RetryPolicy, metrics: Arc<Metrics>, clock: Clock) -> Self {
        let rng = Mutex::new(StdRng::from_os_rng());
        Retry { inner, shared: Arc::new(Shared { policy, metrics, clock, rng }) }
    }

    /// Draws the backoff from this seed, for tests that must be repeatable.
    pub fn with_seed(self, seed: u64) -> Self {
        *self.shared.rng.lock() = StdRng::seed_from_u64(seed);
        self
    }

    async fn tried<T, F>(&self, about: About, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut patience = Patience::new(self.shared.clone(), about);
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) => patience.after(error).await?,
            }
        }
    }
}

/// What an operation is called in its errors.
#[derive(Clone, Debug)]
struct About {
    operation: &'static str,
    key: String,
}

/// The failures of one operation, or of one body since it last moved.
struct Patience {
    shared: Arc<Shared>,
    about: About,
    began: Duration,

    /// When the present run of failures began.
    failing_since: Option<Duration>,
    failures: Vec<ErrorKind>,
}

impl Patience {
    fn new(shared: Arc<Shared>, about: About) -> Self {
        let began = shared.clock.elapsed();
        Patience { shared, about, began, failing_since: None, failures: Vec::new() }
    }

    /// Something arrived: whatever failed before no longer counts.
    fn renew(&mut self) {
        if self.failing_since.take().is_some() {
            self.failures.clear();
        }
    }

    /// Waits until the next try may be made, or says that there will be none.
    async fn after(&mut self, error: Error) -> Result<()> {
        if error.kind() == ErrorKind::Throttled {
            self.shared.metrics.add(Metric::Throttled, 1);
        }
        match self.wait_after(&error) {
            Some(wait) => {
                meter::count_retry(&self.shared.metrics, error.kind());
                tracing::debug!(
                    operation = self.about.operation,
                    key = self.about.key,
                    wait_ms = wait.as_millis() as u64,
                    %error,
                    "asking again"
                );
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(self.gave_up(error)),
        }
    }

    fn wait_after(&mut self, error: &Error) -> Option<Duration> {
        let Shared { policy, clock, rng, .. } = &*self.shared;
        let now = clock.elapsed();
        let since = *self.failing_since.get_or_insert(now);
        self.failures.push(error.kind());
        let failures = self.failures.len() as u32;
        let of_kind = self.failures.iter().filter(|kind| **kind == error.kind()).count() as u32;
        if failures >= policy.max_tries || of_kind > tries_again(error.kind()) {
            return None;
        }
        let wait = delay(policy, failures, error, rng.lock().random());
        (now.saturating_sub(since).saturating_add(wait) <= policy.budget).then_some(wait)
    }

    fn gave_up(&self, error: Error) -> Error {
        // Whoever asks for what is not there gets an answer, not a failure.
        if error.kind() != ErrorKind::NotFound {
            self.shared.metrics.add(Metric::RequestErrors, 1);
        }
        error
            .with_operation(self.about.operation)
            .with_key(self.about.key.clone())
            .with_tries(self.failures.len() as u32)
            .with_elapsed(self.shared.clock.elapsed().saturating_sub(self.began))
    }
}

/// A body that goes on where it broke.
struct Continued<S: ?Sized> {
    /// The bytes that have not arrived yet.
    missing: ByteRange,
    state: State<S>,
}

enum State<S: ?Sized> {
    Flowing(Body, Box<Source<S>>),
    /// The body broke, and the rest of it is asked for.
    Asking(BoxFuture<'static, Result<(Body, Box<Source<S>>)>>),
    /// There will be no more, and an error has said why.
    Lost,
}

/// Where the rest of a body comes from.
struct Source<S: ?Sized> {
    inner: Arc<S>,
    /// Pinned to the version of the first answer.
    request: GetRequest,
    /// The facts of the first answer.
    meta: ObjectMeta,
    patience: Patience,
}

impl<S: Store + ?Sized> Receive for Continued<S> {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let Continued { missing, state } = &mut *self;
        while !missing.is_empty() {
            match state {
                State::Flowing(body, source) => match ready!(piece(body, missing.len(), cx, into)) {
                    Ok(len) => {
                        source.patience.renew();
                        missing.start += len;
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) => state.ask(*missing, error),
                },
                State::Asking(answer) => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    *state = State::Lost;
                    let (body, source) = answer?;
                    *state = State::Flowing(body, source);
                }
                State::Lost => return Poll::Ready(Err(Error::new(ErrorKind::Network, "the body has failed before"))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Store + ?Sized> State<S> {
    /// Drops the body, which failed, and asks for what is missing.
    fn ask(&mut self, missing: ByteRange, error: Error) {
        if let State::Flowing(_, source) = std::mem::replace(self, State::Lost) {
            *self = State::Asking(Box::pin(source.ask(missing, error)));
        }
    }
}

/// Receives bytes of a body that holds so many more; returns how many, at least one.
fn piece(body: &mut Body, missing: u64, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<u64>> {
    let before = into.filled().len();
    ready!(body.poll_receive(cx, into))?;
    let len = (into.filled().len() - before) as u64;
    Poll::Ready(match len {
        0 => Err(Error::new(ErrorKind::Network, format!("the body ended {missing} bytes early"))),
        _ if len > missing => {
            into.set_filled(before);
            Err(Error::new(ErrorKind::Protocol, "the body is longer than its range"))
        }
        _ => Ok(len),
    })
}

impl<S: Store + ?Sized> Source<S> {
    /// The rest of a body that broke with an error.
    async fn ask(mut self: Box<Self>, missing: ByteRange, mut error: Error) -> Result<(Body, Box<Self>)> {
        if tries_again(error.kind()) > 0 {
            self.patience.shared.metrics.add(Metric::BodyResumes, 1);
        }
        loop {
            self.patience.after(error).await?;
            match self.resume(missing).await {
                Ok(body) => return Ok((body, self)),
                Err(next) => error = next,
            }
        }
    }

    async fn resume(&self, missing: ByteRange) -> Result<Body> {
        let answer = self.inner.get(self.request.clone().range(missing)).await;
        let response = answer.map_err(|error| match error.kind() {
            // The object once had these bytes.
            ErrorKind::RangeNotSatisfiable => {
                Error::new(ErrorKind::Changed, "the object became shorter while it was read")
            }
            _ => error,
        })?;
        if !same_version(&self.meta, &response.meta) {
            return Err(Error::new(ErrorKind::Changed, "the object changed while it was read"));
        }
        if response.range != missing {
            let message = format!("{missing:?} was asked for and {:?} came", response.range);
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        Ok(response.body)
    }
}

/// Whether two answers speak of the same bytes, by everything that both of them tell.
fn same_version(first: &ObjectMeta, later: &ObjectMeta) -> bool {
    fn agree<T: PartialEq>(first: &Option<T>, later: &Option<T>) -> bool {
        first.is_none() || later.is_none() || first == later
    }
    first.size == later.size
        && agree(&first.etag, &later.etag)
        && agree(&first.crc64, &later.crc64)
        && agree(&first.last_modified, &later.last_modified)
}

#[async_trait]
impl<S: Store + ?Sized> Store for Retry<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let about = About { operation: "GetObject", key: request.key.to_string() };
        let response = self.tried(about.clone(), || self.inner.get(request.clone())).await?;
        let ObjectMeta { size, last_modified, .. } = response.meta;
        let pinned = GetRequest {
            if_match: request.if_match.clone().or(response.meta.etag.clone()),
            expected: request.expected.or(Some(Expected { size, last_modified })),
            ..request
        };
        let source = Source {
            inner: self.inner.clone(),
            request: pinned,
            meta: response.meta.clone(),
            patience: Patience::new(self.shared.clone(), about),
        };
        let continued = Continued { missing: response.range, state: State::Flowing(response.body, Box::new(source)) };
        Ok(GetResponse { body: Body::new(continued), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let about = About { operation: "HeadObject", key: request.key.to_string() };
        self.tried(about, || self.inner.head(request.clone())).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let about = About { operation: "ListObjects", key: request.prefix.clone() };
        self.tried(about, || self.inner.list(request.clone())).await
    }

    async fn symlink_target(&self, key: &Key) -> Result<String> {
        let about = About { operation: "GetSymlink", key: key.to_string() };
        self.tried(about, || self.inner.symlink_target(key)).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let about = About { operation: "GetObjectTagging", key: key.to_string() };
        self.tried(about, || self.inner.tags(key, version)).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Retry<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let about = About { operation: change.operation(), key: change.key().to_string() };
        self.tried(about, || self.inner.change(change.clone())).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{ETag, Timestamp};
    use crate::store::layers::{At, Fault, FaultStore, Operation, Stall};
    use crate::store::memory::{MemoryStore, Request};

    /// A bucket with one object, faults over it, and retries over those.
    struct Bench {
        bucket: Arc<MemoryStore>,
        faults: Arc<FaultStore<MemoryStore>>,
        retry: Retry<Stall<FaultStore<MemoryStore>>>,
        metrics: Arc<Metrics>,
        clock: Clock,
    }

    fn content() -> Vec<u8> {
        (0..1000u32).map(|n| (n % 251) as u8).collect()
    }

    fn bench_with(faults: impl FnOnce(FaultStore<MemoryStore>) -> FaultStore<MemoryStore>) -> Bench {
        let bucket = Arc::new(MemoryStore::new().chunk_bytes(64));
        bucket.put("k", content());
        let faults = Arc::new(faults(FaultStore::new(bucket.clone())));
        let stall = Arc::new(Stall::new(faults.clone(), Duration::from_secs(20), Duration::from_secs(10)));
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
        let retry = Retry::new(stall, RetryPolicy::default(), metrics.clone(), clock.clone()).with_seed(1);
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
            (Server, 20),
            (Network, 20),
            (Timeout, 20),
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
            let mut bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Error(kind))]));
            Arc::get_mut(&mut bench.retry.shared).unwrap().policy.budget = Duration::from_secs(3600);
            let error = bench.retry.head(HeadRequest::new(Key::new("k"))).await.unwrap_err();
            assert_eq!((error.kind(), error.tries()), (kind, tries));
            assert_eq!(bench.counts(), [u64::from(tries) - 1, 0, 0, u64::from(kind != NotFound)], "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_ends_it_and_the_error_says_so() {
        let bench = bench_with(|faults| faults.randomly(1, [(1.0, Fault::Silence)]));
        let error = bench.retry.list(ListRequest { prefix: "p/".into(), ..ListRequest::default() }).await.unwrap_err();
        // Twenty seconds each; the budget runs from the end of the first.
        assert_eq!((error.kind(), error.tries()), (ErrorKind::Timeout, 4));
        let said = error.to_string();
        assert!(said.contains("ListObjects, key \"p/\", 4 tries in 80."), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttling_service_is_obeyed_beyond_the_cap_and_within_the_budget() {
        let bench = bench();
        bench.faults.once(Operation::Get, Fault::Throttle(Duration::from_secs(30)));
        let began = bench.clock.elapsed();
        assert_eq!(bench.read(whole()).await.unwrap(), content());
        let waited = bench.clock.elapsed() - began;
        assert!((30.0..31.0).contains(&waited.as_secs_f64()), "{waited:?}");
        assert_eq!(bench.counts(), [1, 0, 1, 0]);

        bench.faults.once(Operation::Get, Fault::Throttle(Duration::from_secs(90)));
        let began = bench.clock.elapsed();
        assert_eq!(bench.read(whole()).await.unwrap_err().kind(), ErrorKind::Throttled);
        assert_eq!(bench.clock.elapsed(), began, "nobody waits for a try that will not be made");
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
            assert_eq!(error.kind(), ErrorKind::Changed, "pinned although nobody asked for it");
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
        assert_eq!((error.kind(), error.tries()), (ErrorKind::Timeout, 7));
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
}
