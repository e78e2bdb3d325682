//! Asking twice: a GET that a program waits for, a HEAD or a listing, that takes far longer than others did lately is
//! sent a second time, and the first of the two to answer is taken. Bodies that begin and then crawl are the business
//! of `crawl`; both take their leave to ask twice here.
//!
//! One answer in a few hundred is slow for reasons of its own (a busy disk, a lost packet, a connection that a middle
//! box has forgotten), and a second try meets the same reasons rarely. When the service as a whole is slow, a second
//! try only adds to the load: so few may be sent that no other request is slowed by them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use parking_lot::Mutex;

use super::crawl::{Bounds, Leave, Racing, asks_again};
use crate::base::{Clock, Key};
use crate::metrics::Metrics;
use crate::store::{
    Change, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome, Priority, Result, Store,
    StoreMut, Tags, VersionPage, VersionsRequest,
};

/// From when on answers of one kind are late.
#[derive(Clone, Copy, Debug)]
struct Lateness {
    /// No answer counts as late before this time.
    floor: Duration,
    /// An answer is late after this many times the 95th percentile of those that came lately. Higher ones would be
    /// raised by the few in a hundred that are late themselves.
    times: u32,
    /// Answers that the percentile is taken of; before so many have come, none is late.
    recent: usize,
}

const GETS: Lateness = Lateness { floor: Duration::from_millis(50), times: 2, recent: 256 };

/// One waits for a HEAD beside a page of a single name, when a name is looked up: the same holds for both.
const HEADS: Lateness = LISTINGS;

/// Pages differ more than answers to GETs do, and a listing may be over before many have come.
const LISTINGS: Lateness = Lateness { floor: Duration::from_secs(1), times: 4, recent: 16 };

/// Sends late GETs, HEADs and listings a second time. Stands under [`Limit`](super::Limit): the second try takes no
/// place of its own.
#[derive(Debug)]
pub struct Hedge<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    clock: Clock,
    leave: Leave,

    gets: Mutex<Recent>,
    heads: Mutex<Recent>,
    /// Pages, and those of a single name, which come sooner.
    listings: [Mutex<Recent>; 2],
}

/// What the last answers took.
#[derive(Debug)]
struct Recent {
    rule: Lateness,
    took: Vec<Duration>,
    /// Where the next answer goes.
    next: usize,
    late_after: Option<Duration>,
}

impl Recent {
    fn new(rule: Lateness) -> Self {
        Recent { rule, took: Vec::new(), next: 0, late_after: None }
    }

    fn add(&mut self, took: Duration) {
        let Lateness { floor, times, recent } = self.rule;
        match self.took.get_mut(self.next) {
            Some(oldest) => *oldest = took,
            None => self.took.push(took),
        }
        self.next = (self.next + 1) % recent;
        // Looking more often would tell the same.
        if self.took.len() == recent && self.next.is_multiple_of(recent / 8) {
            let mut sorted = self.took.clone();
            let (_, percentile, _) = sorted.select_nth_unstable(recent * 95 / 100);
            self.late_after = Some((*percentile * times).max(floor));
        }
    }
}

impl<S: ?Sized> Hedge<S> {
    /// Learns from the answers of `inner` which of them are late.
    pub fn new(inner: Arc<S>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        let leave = Leave::new(metrics);
        let recent = |rule| Mutex::new(Recent::new(rule));
        let (gets, heads, listings) = (recent(GETS), recent(HEADS), [LISTINGS; 2].map(recent));
        Hedge { inner, clock, leave, gets, heads, listings }
    }

    /// The answer to a request, which is sent a second time where it is late.
    async fn hedged<T, F>(&self, recent: &Mutex<Recent>, priority: Priority, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let began = self.clock.elapsed();
        let late_after = recent.lock().late_after.filter(|_| priority == Priority::Demand);
        let answer = match late_after {
            Some(late_after) => self.first_of_two(late_after, ask).await,
            None => ask().await,
        };
        if answer.is_ok() {
            recent.lock().add(self.clock.elapsed().saturating_sub(began));
            self.leave.earn();
        }
        answer
    }

    async fn first_of_two<T, F>(&self, late_after: Duration, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut first = pin!(ask());
        tokio::select! {
            biased;
            answer = &mut first => return answer,
            () = tokio::time::sleep(late_after) => {}
        }
        if !self.leave.take() {
            return first.await;
        }
        // The one that fails first says nothing of the other.
        match select(first, pin!(ask())).await {
            Either::Left((Err(_), second)) => second.await.inspect(|_| self.leave.won()),
            Either::Left((answer, _)) => answer,
            Either::Right((Err(_), first)) => first.await,
            Either::Right((answer, _)) => answer.inspect(|_| self.leave.won()),
        }
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Hedge<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let response = self.hedged(&self.gets, request.priority, || self.inner.get(request.clone())).await?;
        let (key, again) = (request.key.clone(), asks_again(request, &response.meta, self.inner.clone()));
        Ok(Racing::over(response, key, again, (self.leave.clone(), Bounds::SERVICE), self.clock.clone()))
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.hedged(&self.heads, Priority::Demand, || self.inner.head(request.clone())).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let recent = &self.listings[usize::from(request.max_keys == 1)];
        self.hedged(recent, Priority::Demand, || self.inner.list(request.clone())).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.hedged(&self.listings[0], Priority::Demand, || self.inner.list_versions(request.clone())).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.inner.tags(key, version).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Hedge<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        self.inner.change(change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::metrics::Metric;
    use crate::store::ErrorKind;
    use crate::store::layers::crawl::{BURST, SHARE};
    use crate::store::layers::{Fault, FaultStore, Operation};
    use crate::store::memory::MemoryStore;

    const USUAL: Duration = Duration::from_millis(40);

    struct Bench {
        faults: Arc<FaultStore<MemoryStore>>,
        hedge: Hedge<FaultStore<MemoryStore>>,
        metrics: Arc<Metrics>,
        clock: Clock,
    }

    fn bench() -> Bench {
        let bucket = MemoryStore::new().latency(USUAL);
        bucket.put("k", "bytes");
        let faults = Arc::new(FaultStore::new(Arc::new(bucket)));
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
        Bench { hedge: Hedge::new(faults.clone(), metrics.clone(), clock.clone()), faults, metrics, clock }
    }

    impl Bench {
        /// Reads under a fault; the milliseconds until the answer, or the error.
        async fn get(&self, fault: Option<Fault>, priority: Priority) -> std::result::Result<u128, ErrorKind> {
            if let Some(fault) = fault {
                self.faults.once(Operation::Get, fault);
            }
            let began = self.clock.elapsed();
            let answer = self.hedge.get(GetRequest::new(Key::new("k")).priority(priority)).await;
            answer.map_err(|error| error.kind())?.body.collect(5).await.unwrap();
            Ok((self.clock.elapsed() - began).as_millis())
        }

        async fn learn(&self) {
            for _ in 0..GETS.recent {
                assert_eq!(self.get(None, Priority::Background).await, Ok(40));
            }
        }

        fn counts(&self) -> (u64, u64) {
            (self.metrics.value(Metric::Hedges), self.metrics.value(Metric::HedgesWon))
        }
    }

    fn late(ms: u64) -> Option<Fault> {
        Some(Fault::Late(Duration::from_millis(ms)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_get_is_sent_twice_and_the_first_to_answer_wins() {
        let bench = bench();
        assert_eq!(bench.get(late(1000), Priority::Demand).await, Ok(1040), "nothing is known yet");
        bench.learn().await;
        // Late after twice the usual time, and then the usual time again.
        assert_eq!(bench.get(late(1000), Priority::Demand).await, Ok(120));
        assert_eq!(bench.counts(), (1, 1));
        assert_eq!(bench.get(late(50), Priority::Demand).await, Ok(90), "the first one still came first");
        assert_eq!(bench.counts(), (2, 1));
        assert_eq!(bench.get(late(1000), Priority::Background).await, Ok(1040), "no program waits for it");
        assert_eq!(bench.get(None, Priority::Demand).await, Ok(40));
        assert_eq!(bench.counts(), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_page_is_asked_for_twice_too() {
        let bench = bench();
        let list = async |max_keys| {
            let began = bench.clock.elapsed();
            let request = ListRequest { max_keys, ..ListRequest::default() };
            assert_eq!(bench.hedge.list(request).await.unwrap().entries.len(), 1);
            (bench.clock.elapsed() - began).as_millis()
        };
        for _ in 0..LISTINGS.recent {
            assert_eq!(list(0).await, 40);
        }
        bench.faults.once(Operation::List, Fault::Late(Duration::from_secs(60)));
        assert_eq!(list(0).await, 1040);
        assert_eq!(bench.counts(), (1, 1));
        bench.faults.once(Operation::List, Fault::Late(Duration::from_secs(60)));
        assert_eq!(list(1).await, 60_040, "of single names nothing is known yet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_head_is_asked_for_twice_too() {
        let bench = bench();
        let head = async || {
            let began = bench.clock.elapsed();
            assert_eq!(bench.hedge.head(HeadRequest::new(Key::new("k"))).await.unwrap().size, 5);
            (bench.clock.elapsed() - began).as_millis()
        };
        for _ in 0..HEADS.recent {
            assert_eq!(head().await, 40);
        }
        bench.faults.once(Operation::Head, Fault::Late(Duration::from_secs(60)));
        assert_eq!(head().await, 1040);
        assert_eq!(bench.counts(), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_waits_for_the_other_try() {
        let bench = bench();
        bench.learn().await;
        bench.faults.once(Operation::Get, Fault::Late(Duration::from_millis(100)));
        assert_eq!(bench.get(Some(Fault::Error(ErrorKind::Server)), Priority::Demand).await, Ok(140));
        assert_eq!(bench.counts(), (1, 0));
        assert_eq!(bench.get(Some(Fault::Error(ErrorKind::Server)), Priority::Demand).await, Err(ErrorKind::Server));
        assert_eq!(bench.counts(), (1, 0), "an early error is the business of others");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_service_is_asked_a_few_times_more_and_then_believed() {
        let bench = bench();
        bench.learn().await;
        for _ in 0..2 * GETS.recent {
            bench.faults.once(Operation::Get, Fault::Late(Duration::from_millis(960)));
            bench.faults.once(Operation::Get, Fault::Late(Duration::from_millis(960)));
            bench.get(None, Priority::Demand).await.unwrap();
        }
        let (hedges, _) = bench.counts();
        assert!(hedges <= u64::from(BURST) + (2 * GETS.recent as u64).div_ceil(SHARE.into()), "{hedges}");
        assert_eq!(bench.hedge.gets.lock().late_after, Some(Duration::from_secs(2)));
    }
}
