//! The limit of requests in flight, and which requests go first.
//!
//! A place is held from the moment a request goes out until its answer has been consumed: for a GET that is the last
//! byte of its body, an error, or the body being dropped. Waiters of one priority are served in the order they came;
//! more urgent ones go before all others.
//!
//! Readers that ask for bytes ahead stop reading when their buffers are full, and their bodies keep their places
//! meanwhile. A share of the places is therefore closed to [`Priority::Background`]: whatever is fetched ahead, a
//! program that waits for a byte gets a place.
//!
//! A service that throttles gets fewer requests at a time: half as many for each round that it throttled, one more for
//! each round that it answered, so that the rate settles where the service allows it. Where the number of connections
//! is not fixed, there are more places as long as more bring more: see `growth`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::ReadBuf;
use tokio::sync::oneshot;

use super::growth::Growth;
use crate::base::{Clock, Key};
use crate::store::{
    Body, Change, Connections, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest,
    ObjectMeta, Outcome, Priority, Receive, Result, Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// However a service throttles, so many places stay open.
const LEAST_OPEN: usize = 2;
/// The gate is told of bytes that come in such steps.
const TOLD_BYTES: u64 = 1 << 20;

/// Lets at most so many requests through at a time.
#[derive(Debug)]
pub struct Limit<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    gate: Arc<Gate>,
}

impl<S: ?Sized> Limit<S> {
    /// At most as many requests at a time as there are connections. One place in eight (but never the only one) is
    /// kept for what a program waits for.
    pub fn new(inner: Arc<S>, connections: Connections, clock: Clock) -> Self {
        Limit { inner, gate: Arc::new(Gate::new(connections, clock)) }
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> usize {
        self.gate.state.lock().held.iter().sum()
    }

    /// Requests that may be in flight now: fewer than the limit while the service throttles.
    pub fn open_places(&self) -> usize {
        self.gate.state.lock().open
    }

    /// Requests waiting for a place now.
    pub fn waiting(&self) -> usize {
        let state = self.gate.state.lock();
        state.waiters.iter().flatten().filter(|waiter| !waiter.is_closed()).count()
    }
}

const CLASSES: usize = Priority::ALL.len();

#[derive(Debug)]
struct Gate {
    connections: Connections,
    clock: Clock,
    state: Mutex<GateState>,
}

#[derive(Debug)]
struct GateState {
    /// Places open now, of all there are.
    open: usize,
    /// Requests answered since that changed.
    answered: usize,
    /// How often places were closed.
    round: u64,
    held: [usize; CLASSES],
    growth: Growth,
    /// First come, first served within a priority. Waiters that gave up are skipped.
    waiters: [VecDeque<oneshot::Sender<Place>>; CLASSES],
}

impl GateState {
    /// The open places that are not kept for what a program waits for.
    fn shared(&self) -> usize {
        Connections::ahead(self.open)
    }
}

/// A place among the requests in flight, until dropped.
#[derive(Debug)]
struct Place {
    gate: Arc<Gate>,
    priority: Priority,
    /// The round it was given out in.
    round: u64,
    /// Bytes of an object that came and were not told to the gate.
    bytes: u64,
}

impl Place {
    /// Bytes of the object have come.
    fn received(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes >= TOLD_BYTES {
            self.tell();
        }
    }

    fn tell(&mut self) {
        match std::mem::take(&mut self.bytes) {
            0 => {}
            bytes => self.gate.received(bytes),
        }
    }

    /// Passes on what came of the request, and lets the gate learn from it.
    fn answered<T>(&self, result: Result<T>) -> Result<T> {
        match &result {
            Err(error) if error.kind() == ErrorKind::Throttled => self.gate.throttled(self.round),
            _ => self.gate.answered(),
        }
        result
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tell();
        self.gate.give_back(self.priority);
        self.gate.serve();
    }
}

impl Gate {
    fn new(connections: Connections, clock: Clock) -> Self {
        let (held, waiters) = Default::default();
        let growth = Growth::new(connections.first(), connections.most());
        let state = GateState { open: connections.now(), answered: 0, round: 0, held, growth, waiters };
        Gate { connections, clock, state: Mutex::new(state) }
    }

    /// A request has ended.
    fn give_back(&self, priority: Priority) {
        let mut state = self.state.lock();
        state.held[priority as usize] -= 1;
        self.look(&mut state);
    }

    /// Bytes of objects have come.
    fn received(self: &Arc<Self>, bytes: u64) {
        let mut state = self.state.lock();
        let places = self.connections.now();
        // While the service throttles, it is not asked for more.
        if state.open < places || !state.growth.is_possible() {
            return;
        }
        if let Some(places) = state.growth.received(bytes, places, self.clock.elapsed()) {
            state.open = self.connections.set(places);
            drop(state);
            tracing::debug!(places, "another number of requests is sent at once");
            self.serve();
        }
    }

    /// Has the growth know whether all places are taken. Those that are free for a moment between two requests do not
    /// count.
    fn look(&self, state: &mut GateState) {
        if state.growth.is_possible() {
            let held: usize = state.held.iter().sum();
            let (others, shared) = (held - state.held[Priority::Demand as usize], state.shared());
            let is_full = held + state.open / 8 >= state.open || others + shared / 8 >= shared;
            state.growth.look(is_full, self.clock.elapsed());
        }
    }

    /// The service was busy. All requests of a round meet the same state of it, and close places once.
    fn throttled(&self, round: u64) {
        let mut state = self.state.lock();
        if round == state.round {
            state.open = (state.open / 2).max(LEAST_OPEN.min(self.connections.first()));
            let open = state.open;
            let places = state.growth.throttled(open, self.clock.elapsed());
            self.connections.set(places);
            state.answered = 0;
            state.round += 1;
            tracing::debug!(open = state.open, "the service throttles: fewer requests are sent at once");
        }
    }

    fn answered(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.open >= self.connections.now() {
            return;
        }
        state.answered += 1;
        if state.answered >= state.open {
            state.open += 1;
            state.answered = 0;
            drop(state);
            self.serve();
        }
    }

    fn admits(&self, state: &GateState, priority: Priority) -> bool {
        let held: usize = state.held.iter().sum();
        let others = held - state.held[Priority::Demand as usize];
        held < state.open && (priority == Priority::Demand || others < state.shared())
    }

    async fn place(self: &Arc<Self>, priority: Priority) -> Result<Place> {
        let (sender, receiver) = oneshot::channel();
        self.state.lock().waiters[priority as usize].push_back(sender);
        self.serve();
        // The sender lives in the gate, which `self` keeps alive, until it is used.
        receiver.await.map_err(|_| Error::new(ErrorKind::Protocol, "the limiter lost a waiter"))
    }

    /// Gives places away while there are any and a request may have one.
    fn serve(self: &Arc<Self>) {
        // A waiter may give up while it is served: its place comes back here and goes to the next.
        while let Some((sender, priority, round)) = self.next_waiter() {
            drop(sender.send(Place { gate: self.clone(), priority, round, bytes: 0 }));
        }
    }

    /// The waiter whose turn it is, with its place already counted.
    fn next_waiter(&self) -> Option<(oneshot::Sender<Place>, Priority, u64)> {
        let mut state = self.state.lock();
        for priority in Priority::ALL {
            while self.admits(&state, priority) {
                let Some(sender) = state.waiters[priority as usize].pop_front() else { break };
                if !sender.is_closed() {
                    state.held[priority as usize] += 1;
                    self.look(&mut state);
                    return Some((sender, priority, state.round));
                }
            }
        }
        None
    }
}

/// A body that gives its place back with its last byte, or with an error.
struct Placed {
    body: Body,
    left: u64,
    place: Option<Place>,
}

impl Receive for Placed {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        let received = ready!(self.body.poll_receive(cx, into));
        let came = (into.filled().len() - before) as u64;
        self.left = self.left.saturating_sub(came);
        if let Some(place) = &mut self.place {
            place.received(came);
        }
        if self.left == 0 || received.is_err() {
            self.place = None;
        }
        Poll::Ready(received)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Limit<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let place = self.gate.place(request.priority).await?;
        let response = place.answered(self.inner.get(request).await)?;
        let placed = Placed { body: response.body, left: response.range.len(), place: Some(place) };
        Ok(GetResponse { body: Body::new(placed), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let place = self.gate.place(Priority::Demand).await?;
        place.answered(self.inner.head(request).await)
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let place = self.gate.place(Priority::Demand).await?;
        place.answered(self.inner.list(request).await)
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        let place = self.gate.place(Priority::Demand).await?;
        place.answered(self.inner.list_versions(request).await)
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        let place = self.gate.place(Priority::Demand).await?;
        place.answered(self.inner.symlink_target(key, version).await)
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let place = self.gate.place(Priority::Demand).await?;
        place.answered(self.inner.tags(key, version).await)
    }
}

/// Changes wait behind what programs read.
#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Limit<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let place = self.gate.place(Priority::Background).await?;
        place.answered(self.inner.change(change).await)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::Timestamp;
    use crate::metrics::Metrics;
    use crate::store::layers::{At, Fault, FaultStore, Meter, Operation};
    use crate::store::memory::{MemoryStore, Request};

    fn bucket() -> Arc<MemoryStore> {
        let bucket = MemoryStore::new().chunk_bytes(10);
        for key in ["a", "b", "c", "d"] {
            bucket.put(key, vec![7; 100]);
        }
        Arc::new(bucket)
    }

    fn limit<S: ?Sized>(inner: Arc<S>, places: usize) -> Limit<S> {
        Limit::new(inner, Connections::fixed(places), Clock::system())
    }

    fn get(key: &str, priority: Priority) -> GetRequest {
        GetRequest::new(Key::new(key)).priority(priority)
    }

    /// Lets every spawned task run until it waits: time is paused, so that it moves only when all do.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_held_until_the_last_byte_or_the_drop_of_a_body() {
        let limit = limit(bucket(), 2);
        let mut read = limit.get(get("a", Priority::Demand)).await.unwrap().body;
        let dropped = limit.get(get("b", Priority::Demand)).await.unwrap().body;
        assert_eq!(limit.in_flight(), 2);
        drop(dropped);
        assert_eq!(limit.in_flight(), 1);
        for _ in 0..9 {
            assert_eq!(read.read(&mut [0; 64]).await.unwrap(), 10);
        }
        assert_eq!(limit.in_flight(), 1);
        assert_eq!(read.read(&mut [0; 64]).await.unwrap(), 10);
        assert_eq!(limit.in_flight(), 0, "with the last byte, before the end was seen");
        assert_eq!(read.read(&mut [0; 64]).await.unwrap(), 0);
        limit.get(get("missing", Priority::Demand)).await.unwrap_err();
        assert_eq!(limit.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn demand_goes_first_and_equals_in_the_order_they_came() {
        let bucket = bucket();
        let limit = Arc::new(limit(bucket.clone(), 1));
        let held = limit.get(get("a", Priority::Background)).await.unwrap();
        bucket.take_requests();
        let mut tasks = tokio::task::JoinSet::new();
        for (key, priority) in
            [("b", Priority::Background), ("c", Priority::Background), ("d", Priority::Demand), ("a", Priority::Demand)]
        {
            let limit = limit.clone();
            tasks.spawn(async move { drop(limit.get(get(key, priority)).await.unwrap()) });
            settle().await;
        }
        assert_eq!(limit.waiting(), 4);
        drop(held);
        tasks.join_all().await;
        let key = |request| match request {
            Request::Get { key, .. } => key,
            other => panic!("{other:?}"),
        };
        let order: Vec<_> = bucket.take_requests().into_iter().map(key).collect();
        assert_eq!(order, ["d", "a", "b", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_fetched_ahead_and_left_standing_do_not_stop_demand() {
        let limit = Arc::new(limit(bucket(), 8));
        let mut ahead = Vec::new();
        for _ in 0..7 {
            ahead.push(limit.get(get("a", Priority::Background)).await.unwrap());
        }
        let waiting = tokio::spawn({
            let limit = limit.clone();
            async move { drop(limit.get(get("b", Priority::Background)).await.unwrap()) }
        });
        settle().await;
        assert_eq!((limit.in_flight(), limit.waiting()), (7, 1));
        drop(limit.get(get("c", Priority::Demand)).await.unwrap());
        limit.list(ListRequest::default()).await.unwrap();
        assert_eq!(limit.waiting(), 1);
        ahead.pop();
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_no_gap() {
        let limit = Arc::new(limit(bucket(), 1));
        let held = limit.get(get("a", Priority::Demand)).await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let limit = limit.clone();
            tasks.push(tokio::spawn(async move { drop(limit.get(get("b", Priority::Demand)).await.unwrap()) }));
            settle().await;
        }
        tasks[0].abort();
        settle().await;
        assert_eq!(limit.waiting(), 2);
        drop(held);
        tasks[1].abort();
        tasks.pop().unwrap().await.unwrap();
        settle().await;
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_throttles_gets_half_as_many_and_then_more_again() {
        let faults = Arc::new(FaultStore::new(bucket()));
        let limit = Arc::new(limit(faults.clone(), 16));
        let ask = async || limit.get(get("a", Priority::Demand)).await.map(drop);
        let round = futures::future::join_all((0..16).map(|_| limit.gate.place(Priority::Demand))).await;
        for place in round {
            let busy: Result<()> = Err(Error::new(ErrorKind::Throttled, "busy"));
            place.unwrap().answered(busy).unwrap_err();
        }
        assert_eq!(limit.open_places(), 8, "one round closes places once");
        for open in [4, 2, 2] {
            faults.once(Operation::Get, Fault::Throttle(Duration::from_secs(1)));
            ask().await.unwrap_err();
            assert_eq!(limit.open_places(), open);
        }
        let mut answers = 0;
        while limit.open_places() < 16 {
            answers += 1;
            ask().await.unwrap();
        }
        assert_eq!(answers, (2..16).sum::<usize>());
        assert_eq!(limit.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_added_while_all_are_taken_and_closed_again_by_a_service_that_throttles() {
        let (connections, clock) = (Connections::between(4, 16), Clock::runtime(Timestamp::from_unix(0)));
        let limit = Limit::new(bucket(), connections.clone(), clock);
        let mut held = futures::future::join_all((0..4).map(|_| limit.gate.place(Priority::Demand))).await;
        let waits = tokio::spawn({
            let gate = limit.gate.clone();
            async move { gate.place(Priority::Demand).await }
        });
        settle().await;
        for _ in 0..26 {
            assert_eq!((limit.open_places(), limit.waiting()), (4, 1));
            tokio::time::sleep(Duration::from_millis(10)).await;
            held[0].as_mut().unwrap().received(TOLD_BYTES);
            if limit.open_places() > 4 {
                break;
            }
        }
        assert_eq!((limit.open_places(), connections.now()), (6, 6));
        held.push(waits.await.unwrap());
        let busy: Result<()> = Err(Error::new(ErrorKind::Throttled, "busy"));
        held[0].as_ref().unwrap().answered(busy).unwrap_err();
        assert_eq!((limit.open_places(), connections.now()), (3, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_limit_whatever_breaks() {
        let faults = [
            (0.2, Fault::Error(ErrorKind::Server)),
            (0.2, Fault::Break(At::Random)),
            (0.2, Fault::Slow(Duration::from_millis(3))),
            (0.2, Fault::Late(Duration::from_millis(5))),
        ];
        let faulty = Arc::new(FaultStore::new(bucket()).randomly(1, faults));
        let meter = Arc::new(Meter::new(faulty, Arc::new(Metrics::default()), Clock::system()));
        let limit = Arc::new(limit(meter.clone(), 5));
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..200usize {
            let limit = limit.clone();
            tasks.spawn(async move {
                let request = get(["a", "b", "missing"][index % 3], Priority::ALL[index % 2]);
                let Ok(response) = limit.get(request).await else { return };
                let read = response.body.collect(100);
                drop(tokio::time::timeout(Duration::from_millis(index as u64 % 40), read).await);
            });
        }
        tasks.join_all().await;
        assert_eq!((limit.in_flight(), limit.waiting(), meter.in_flight()), (0, 0, 0));
        assert_eq!(meter.peak_in_flight(), 5);
    }
}
