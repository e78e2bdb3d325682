//! The workers: requests in flight, and pages on their way to the caller.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use super::splitter::{Ask, Reach, Splitter};
use super::{ListScope, Options, Order, Page};
use crate::base::Clock;
use crate::store::{Error, ErrorKind, ListPage, Result, Store};

/// Pages that may wait to be taken, per request in flight: about 100 MB at 64 requests and long keys.
const WAITING_PER_REQUEST: usize = 4;

/// The pages of a listing, from [`pages`](super::pages()).
#[must_use = "a listing asks for nothing until it is polled"]
#[derive(Debug)]
pub struct Pages {
    store: Arc<dyn Store>,
    clock: Option<Clock>,

    order: Order,
    concurrency: usize,

    splitter: Splitter,
    /// Requests in flight; they are aborted when the set goes.
    asked: JoinSet<(u64, Result<ListPage>)>,
    requests: u64,
    /// When those in flight were sent, where there is a clock.
    sent_at: HashMap<u64, Duration>,
    /// Pages that have arrived, by where they begin and by when they came.
    waiting: BTreeMap<(String, u64), Page>,
    arrived: u64,
    failed: bool,
}

impl Pages {
    pub(super) fn new(store: Arc<dyn Store>, scope: ListScope, options: &Options) -> Self {
        Pages {
            store,
            clock: None,
            order: scope.order,
            concurrency: options.concurrency.max(1) as usize,
            splitter: Splitter::new(scope, options),
            asked: JoinSet::new(),
            requests: 0,
            sent_at: HashMap::new(),
            waiting: BTreeMap::new(),
            arrived: 0,
            failed: false,
        }
    }

    /// Tells of each page when it was asked for.
    pub fn timed(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Changes how many requests may be in flight. Those that are stay.
    pub fn set_concurrency(&mut self, concurrency: u32) {
        self.concurrency = concurrency.max(1) as usize;
        self.splitter.set_concurrency(self.concurrency);
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.asked.len()
    }

    fn send(&mut self) {
        while self.asked.len() < self.concurrency {
            let full = self.waiting.len() + self.asked.len() >= self.concurrency * WAITING_PER_REQUEST;
            let reach = match (full, self.order) {
                (false, _) => Reach::Everywhere,
                (true, Order::Key) => Reach::Front,
                (true, Order::Arrival) => return,
            };
            let Some(Ask { id, request }) = self.splitter.next(reach) else { return };
            let store = self.store.clone();
            self.requests += 1;
            if let Some(clock) = &self.clock {
                self.sent_at.insert(id, clock.elapsed());
            }
            self.asked.spawn(async move { (id, store.list(request).await) }.in_current_span());
        }
    }

    fn take(&mut self, joined: std::result::Result<(u64, Result<ListPage>), JoinError>) -> Result<()> {
        let (id, answer) = joined.map_err(|panic| {
            Error::new(ErrorKind::Protocol, "a listing task failed").with_source(Some(panic.into()))
        })?;
        let asked_at = self.sent_at.remove(&id).unwrap_or_default();
        for mut page in self.splitter.arrived(id, answer?)? {
            page.asked_at = asked_at;
            self.arrived += 1;
            self.waiting.insert((page.span.from.clone(), self.arrived), page);
        }
        Ok(())
    }

    /// The next page that can be given out.
    fn deliver(&mut self) -> Option<Page> {
        let first = self.waiting.first_entry()?;
        let settled = |front: &str| first.get().span.before.as_ref().is_some_and(|before| **before <= *front);
        let due = self.order == Order::Arrival || self.splitter.front().is_none_or(settled);
        due.then(|| first.remove())
    }
}

impl Stream for Pages {
    type Item = Result<Page>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        self.send();
        while let Poll::Ready(Some(joined)) = self.asked.poll_join_next(context) {
            if let Err(error) = self.take(joined) {
                self.failed = true;
                self.asked.abort_all();
                return Poll::Ready(Some(Err(error)));
            }
            self.send();
        }
        match self.deliver() {
            Some(page) => Poll::Ready(Some(Ok(page))),
            None if self.splitter.front().is_none() => {
                self.asked.abort_all();
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }
}
