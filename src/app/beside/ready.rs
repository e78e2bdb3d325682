//! Whether a mount is fit to be used: its bucket has answered lately, to somebody or to us.
//!
//! While programs read, their requests show it and nothing more is sent. Where none has been answered for a while, the
//! bucket is asked for one key, whoever wants to know, with little patience; what comes of that holds for some seconds,
//! so that asking often costs nothing. Credentials that are not accepted any more show in the same way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::base::Clock;
use crate::metrics::{Metric, Metrics};
use crate::store::{ListRequest, Store};

/// An answer is so long a sign that the next request would be answered too.
const LATELY: Duration = Duration::from_secs(30);

/// How long the bucket may take to answer us.
const PATIENCE: Duration = Duration::from_secs(4);

/// For so long nobody asks the bucket again after it has failed to answer.
const HOLDS: Duration = Duration::from_secs(5);

/// Finds out whether the bucket answers.
pub(in crate::app) struct Readiness {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    clock: Clock,

    prefix: String,

    /// When it did not answer last, and what came instead. Held while it is asked, so that one asks for all.
    failed: Mutex<Option<(Duration, String)>>,
}

impl Readiness {
    /// Of the bucket behind this store, below this prefix.
    pub(in crate::app) fn new(store: Arc<dyn Store>, prefix: String, metrics: Arc<Metrics>, clock: Clock) -> Readiness {
        Readiness { store, metrics, clock, prefix, failed: Mutex::default() }
    }

    /// Why the mount should not be used now, in a sentence; `None` when it may be. Ends within seconds.
    pub(super) async fn why_not(&self) -> Option<String> {
        if self.was_answered_lately() {
            return None;
        }
        let mut failed = self.failed.lock().await;
        if self.was_answered_lately() {
            return None;
        }
        let now = self.clock.elapsed();
        if let Some((at, why)) = &*failed
            && now.saturating_sub(*at) < HOLDS
        {
            return Some(why.clone());
        }
        let why = self.ask().await;
        *failed = why.clone().map(|why| (self.clock.elapsed(), why));
        why
    }

    fn was_answered_lately(&self) -> bool {
        let answered = self.metrics.value(Metric::Answered);
        (self.clock.now().seconds.max(0) as u64).saturating_sub(answered) <= LATELY.as_secs()
    }

    async fn ask(&self) -> Option<String> {
        let request = ListRequest { prefix: self.prefix.clone(), max_keys: 1, ..ListRequest::default() };
        match tokio::time::timeout(PATIENCE, self.store.list(request)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(format!("the bucket cannot be listed: {error}")),
            Err(_) => Some(format!("the bucket has not answered for {} s", PATIENCE.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::store::ErrorKind;
    use crate::store::layers::{Fault, FaultStore, LayerOptions, Operation, layered};
    use crate::store::memory::MemoryStore;

    struct Bed {
        faults: Arc<FaultStore<MemoryStore>>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    }

    fn bed() -> Bed {
        let faults = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(1_700_000_000)));
        let store = layered(faults.clone(), &LayerOptions::default(), &metrics, &clock);
        let readiness = Readiness::new(store, String::new(), metrics.clone(), clock);
        Bed { faults, metrics, readiness }
    }

    impl Bed {
        fn asked(&self) -> u64 {
            self.metrics.value(Metric::ListRequests)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_a_while_and_then_one_is_asked_for() {
        let bed = bed();
        assert_eq!((bed.readiness.why_not().await, bed.asked()), (None, 1));
        tokio::time::sleep(LATELY).await;
        assert_eq!((bed.readiness.why_not().await, bed.asked()), (None, 1), "lately enough");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((bed.readiness.why_not().await, bed.asked()), (None, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_silent_is_not_ready_and_is_not_asked_by_everybody() {
        let bed = bed();
        bed.faults.once(Operation::List, Fault::Silence);
        let (first, second) = tokio::join!(bed.readiness.why_not(), bed.readiness.why_not());
        assert_eq!(first.as_deref(), Some("the bucket has not answered for 4 s"));
        assert_eq!((second, bed.asked()), (first, 1), "one asks for both");
        tokio::time::sleep(HOLDS).await;
        assert_eq!((bed.readiness.why_not().await, bed.asked()), (None, 2), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_refused_are_a_reason() {
        let bed = bed();
        for _ in 0..2 {
            bed.faults.once(Operation::List, Fault::Error(ErrorKind::Credentials));
        }
        let why = bed.readiness.why_not().await.unwrap();
        assert!(why.starts_with("the bucket cannot be listed: "), "{why}");
    }
}
