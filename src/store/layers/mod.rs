//! Layers over a store: each is a store itself, so that any of them can be left out or put over another one.
//!
//! From the outside in: [`Retry`] asks again until its budget is spent, [`Limit`] lets a bounded number of requests
//! through and the urgent ones first, [`Crop`] cuts answers to what was asked for, [`Bandwidth`] lets bodies come no
//! faster than they may, [`Hedge`] sends late requests and asks for crawling bodies a second time,
//! [`Meter`] counts every try, [`Stall`] ends tries in which nothing arrives, and the innermost store talks to the
//! network. The order matters: a request that waits out a backoff holds no place in the limiter, and one that waits for
//! a place is not yet on the clock. [`Near`], where there are near caches, stands outside of all of these.
//! [`FaultStore`] injects faults in the place of the network, and [`QuirkStore`] lists like servers that break the
//! rules.
//!
//! | file | what it owns |
//! |---|---|
//! | `bandwidth` | how many bytes of bodies may come in a second |
//! | `crawl` | bodies that fall behind all others, asked for again |
//! | `crop` | answers that hold more than was asked for |
//! | `fault` | answers broken on purpose, for tests |
//! | `growth` | whether more requests at once bring more |
//! | `hedge` | requests that take far longer than others did, sent a second time |
//! | `limit` | how many requests may be in flight, and who goes first |
//! | `meter` | counting tries, times and bytes |
//! | `near` | the bulk of pinned versions from near caches |
//! | `patience` | the retry budget: when a failed request is sent again, and when not |
//! | `quirk` | listings of servers that do not keep the rules, for tests |
//! | `resume` | resuming bodies where they broke |
//! | `retry` | repeating failed requests |
//! | `stall` | the time limit of a single try |

mod bandwidth;
mod crawl;
mod crop;
mod fault;
mod growth;
mod hedge;
mod limit;
mod meter;
mod near;
mod patience;
mod quirk;
mod resume;
mod retry;
mod stall;

use std::sync::Arc;
use std::time::Duration;

use crate::base::Clock;
use crate::metrics::Metrics;
use crate::store::Connections;

pub use bandwidth::{Bandwidth, Rate};
pub use crop::Crop;
pub use fault::{At, Fault, FaultStore, Operation};
pub use hedge::Hedge;
pub use limit::Limit;
pub use meter::Meter;
pub(super) use near::{Door, MakeDoor, by_machine};
pub use near::{Near, NearMember, NearOptions, NearSource};
pub use patience::RetryPolicy;
pub use quirk::{EmptyPages, KeyOrder, QuirkStore, Quirks, StartAfter};
pub use retry::Retry;
pub use stall::Stall;

/// How the layers behave.
#[derive(Clone, Debug)]
pub struct LayerOptions {
    /// How failed requests are tried again.
    pub retry: RetryPolicy,
    /// Requests in flight, at most. A GET counts until its body has been read or dropped.
    pub connections: Connections,
    /// Bytes of bodies per second, at most.
    pub max_bandwidth: Rate,
    /// A try ends when no answer comes for this long.
    pub first_byte: Duration,
    /// A try ends when nothing of its body comes for this long.
    pub stall: Duration,
}

impl Default for LayerOptions {
    fn default() -> Self {
        let limit = Duration::from_secs(20);
        LayerOptions {
            retry: RetryPolicy::default(),
            connections: Connections::fixed(64),
            max_bandwidth: Rate::default(),
            first_byte: limit,
            stall: limit,
        }
    }
}

/// A store with every layer around it.
pub type Layered<S> = Retry<Limit<Crop<Bandwidth<Hedge<Meter<Stall<S>>>>>>>;

/// Puts all layers around a store, in their order.
pub fn layered<S: ?Sized>(
    inner: Arc<S>,
    options: &LayerOptions,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Arc<Layered<S>> {
    let stall = Arc::new(Stall::new(inner, options.first_byte, options.stall));
    let meter = Arc::new(Meter::new(stall, metrics.clone(), clock.clone()));
    let hedge = Arc::new(Hedge::new(meter, metrics.clone(), clock.clone()));
    let paced = Arc::new(Bandwidth::new(hedge, options.max_bandwidth.clone(), clock.clone()));
    let crop = Arc::new(Crop::new(paced, metrics.clone()));
    let limit = Arc::new(Limit::new(crop, options.connections.clone(), clock.clone()));
    Arc::new(Retry::new(limit, options.retry.clone(), metrics.clone(), clock.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Key, Timestamp};
    use crate::store::memory::{MemoryStore, Request};
    use crate::store::{DeleteRequest, GetRequest, HeadRequest, PutRequest, Store, StoreMut};

    #[tokio::test(start_paused = true)]
    async fn every_layer_passes_every_call_on() {
        let bucket = Arc::new(MemoryStore::new());
        bucket.put_symlink("link", "target");
        let faults = Arc::new(FaultStore::new(bucket.clone()));
        let (metrics, clock) = (Arc::default(), Clock::runtime(Timestamp::from_unix(0)));
        let store = layered(faults.clone(), &LayerOptions::default(), &metrics, &clock);
        // Each call fails once, so that the layer that tries again has to pass it on too.
        let fail_once = |operation| faults.once(operation, Fault::Error(crate::store::ErrorKind::Server));
        let (link, target) = (Key::new("link"), Key::new("target"));
        fail_once(Operation::Write);
        store.put(PutRequest::new(target.clone(), "bytes")).await.unwrap();
        fail_once(Operation::Head);
        assert_eq!(store.head(HeadRequest::new(target.clone())).await.unwrap().size, 5);
        fail_once(Operation::Head);
        assert_eq!(store.symlink_target(&link, None).await.unwrap(), "target");
        fail_once(Operation::Head);
        assert_eq!(store.tags(&target, None).await.unwrap(), []);
        assert_eq!(bucket.requests().last(), Some(&Request::Tags { key: "target".to_owned() }));
        fail_once(Operation::Get);
        assert_eq!(store.get(GetRequest::new(link.clone())).await.unwrap().meta.size, 5);
        fail_once(Operation::List);
        assert_eq!(store.list(Default::default()).await.unwrap().entries.len(), 2);
        fail_once(Operation::Write);
        store.delete(DeleteRequest::new(link)).await.unwrap();
        assert_eq!(store.list(Default::default()).await.unwrap().entries.len(), 1);
        assert_eq!(faults.struck(), 7);
    }
}
