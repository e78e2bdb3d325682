//! How many requests may be in flight, and who goes first.
//!
//! A place is held from the moment a request goes out until its answer has been consumed: for a GET that is the last
//! byte of its body, an error, or the body being dropped. Waiters of one priority are served in the order they came;
//! more urgent ones go before all others.
//!
//! Readers that ask for bytes ahead stop reading when their buffers are full, and their bodies keep their places
//! meanwhile. A share of the places is therefore closed to [`Priority::Background`]: whatever is fetched ahead, a
//! program that waits for a byte gets a place.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::store::{
    Body, DeleteRequest, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta,
    Priority, PutRequest, Result, Store, StoreMut,
};

/// Lets at most so many requests through at a time.
#[derive(Debug)]
pub struct Limit<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    gate: Arc<Gate>,
}

impl<S: ?Sized> Limit<S> {
    /// At most `places` requests at a time, at least one. One place in eight (but never the only one) is kept for
    /// what somebody waits for.
    pub fn new(inner: Arc<S>, places: usize) -> Self {
        Limit { inner, gate: Arc::new(Gate::new(places.max(1))) }
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> usize {
        self.gate.state.lock().held.iter().sum()
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
    places: usize,
    /// Places that anything but [`Priority::Demand`] may hold.
    shared: usize,

    state: Mutex<GateState>,
}

#[derive(Debug, Default)]
struct GateState {
    held: [usize; CLASSES],
    /// First come, first served within a priority. Waiters that gave up are skipped.
    waiters: [VecDeque<oneshot::Sender<Place>>; CLASSES],
}

/// A place among the requests in flight, until dropped.
#[derive(Debug)]
struct Place {
    gate: Arc<Gate>,
    priority: Priority,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.state.lock().held[self.priority as usize] -= 1;
        self.gate.serve();
    }
}

impl Gate {
    fn new(places: usize) -> Self {
        let kept = places.div_ceil(8).min(places - 1);
        Gate { places, shared: places - kept, state: Mutex::default() }
    }

    fn admits(&self, state: &GateState, priority: Priority) -> bool {
        let held: usize = state.held.iter().sum();
        let others = held - state.held[Priority::Demand as usize];
        held < self.places && (priority == Priority::Demand || others < self.shared)
    }

    async fn place(self: &Arc<Self>, priority: Priority) -> Result<Place> {
        let (sender, receiver) = oneshot::channel();
        self.state.lock().waiters[priority as usize].push_back(sender);
        self.serve();
        // The sender lives in the gate, which `self` keeps alive, until it is used.
        receiver.await.map_err(|_| Error::new(ErrorKind::Protocol, "the limiter lost a waiter"))
    }

    /// Gives places away while there are any and somebody may have one.
    fn serve(self: &Arc<Self>) {
        // A waiter may give up while it is served: its place comes back here and goes to the next.
        while let Some((sender, priority)) = self.next_waiter() {
            drop(sender.send(Place { gate: self.clone(), priority }));
        }
    }

    /// The waiter whose turn it is, with its place already counted.
    fn next_waiter(&self) -> Option<(oneshot::Sender<Place>, Priority)> {
        let mut state = self.state.lock();
        for priority in Priority::ALL {
            while self.admits(&state, priority) {
                let Some(sender) = state.waiters[priority as usize].pop_front() else { break };
                if !sender.is_closed() {
                    state.held[priority as usize] += 1;
                    return Some((sender, priority));
                }
            }
        }
        None
    }
}

/// The same body, which gives its place back with its last byte.
fn placed(body: Body, len: u64, place: Place) -> Body {
    let held = Some((body, len, Some(place)));
    stream::unfold(held, |held| async move {
        let (mut body, mut left, mut place) = held?;
        match body.next().await? {
            Ok(chunk) => {
                left = left.saturating_sub(chunk.len() as u64);
                if left == 0 {
                    place = None;
                }
                Some((Ok(chunk), Some((body, left, place))))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

#[async_trait]
impl<S: Store + ?Sized> Store for Limit<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let place = self.gate.place(request.priority).await?;
        let response = self.inner.get(request).await?;
        Ok(GetResponse { body: placed(response.body, response.range.len(), place), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let _place = self.gate.place(Priority::Demand).await?;
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let _place = self.gate.place(Priority::Demand).await?;
        self.inner.list(request).await
    }
}

/// Changes wait behind what programs read.
#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Limit<S> {
    async fn put(&self, request: PutRequest) -> Result<ObjectMeta> {
        let _place = self.gate.place(Priority::Background).await?;
        self.inner.put(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let _place = self.gate.place(Priority::Background).await?;
        self.inner.delete(request).await
    }
}
