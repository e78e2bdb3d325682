//! Whether a mount is ready: its bucket answers the programs that read, or a request of this module.
//!
//! While programs read, their requests show it and nothing more is sent. Where none has been answered for a while, the
//! bucket is asked for one key in the background; a request for readiness is told at once what is known, and from the
//! next time on what came of that. Credentials that are not accepted any more show in the same way.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::Clock;
use crate::metrics::Metrics;
use crate::store::{ListRequest, Store};

/// An answer is so long a sign that the next request would be answered too.
const LATELY: Duration = Duration::from_secs(30);

/// How long the bucket may take to answer us.
const PATIENCE: Duration = Duration::from_secs(4);

/// For so long the bucket is not asked again after it has been.
const HOLDS: Duration = Duration::from_secs(5);

/// Finds out whether the bucket answers.
pub(in crate::app) struct Readiness {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    clock: Clock,

    prefix: String,

    asked: Mutex<OwnRequest>,
}

/// What we have asked ourselves.
#[derive(Default)]
struct OwnRequest {
    /// When the mount last answered.
    at: Option<Duration>,
    /// What came in place of an answer, and when.
    failed: Option<(Duration, String)>,
}

impl Readiness {
    /// Of the bucket behind this store, below this prefix.
    pub(in crate::app) fn new(
        store: Arc<dyn Store>,
        prefix: String,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Readiness> {
        Arc::new(Readiness { store, metrics, clock, prefix, asked: Mutex::default() })
    }

    /// What is wrong with the store, in a sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        let condition = self.metrics.condition(self.clock.elapsed());
        condition.trouble.map(|_| condition.to_string())
    }

    /// Why the mount should not be used now, in a sentence; `None` when it may be, as far as is known. Must be called
    /// within a runtime.
    pub(super) fn why_not(self: &Arc<Self>) -> Option<String> {
        let now = self.clock.elapsed();
        let condition = self.metrics.condition(now);
        if condition.trouble.is_some() {
            self.ask(now);
            return Some(condition.to_string());
        }
        if condition.answered.is_some_and(|ago| ago <= LATELY) {
            return None;
        }
        self.ask(now);
        let failed = self.asked.lock().failed.clone();
        let is_news = |at: Duration| condition.answered.is_none_or(|ago| now.saturating_sub(at) < ago);
        match failed.filter(|(at, _)| is_news(*at)) {
            Some((_, why)) => Some(why),
            None => match condition.unanswered {
                Some(silent) if silent >= PATIENCE => {
                    Some(format!("the bucket has not answered for {} s", silent.as_secs()))
                }
                _ if condition.answered.is_none() => Some("the bucket has not answered yet".to_owned()),
                _ => None,
            },
        }
    }

    /// Asks the bucket in the background, unless it was asked lately.
    fn ask(self: &Arc<Self>, now: Duration) {
        let mut asked = self.asked.lock();
        if asked.at.is_some_and(|at| now.saturating_sub(at) < HOLDS) {
            return;
        }
        asked.at = Some(now);
        let this = self.clone();
        tokio::spawn(async move {
            let request = ListRequest { prefix: this.prefix.clone(), max_keys: 1, ..ListRequest::default() };
            let outcome = tokio::time::timeout(PATIENCE, this.store.list(request)).await;
            let now = this.clock.elapsed();
            this.asked.lock().failed = match outcome {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some((now, format!("the bucket cannot be listed: {error}"))),
                Err(_) => Some((now, format!("the bucket has not answered for {} s", PATIENCE.as_secs()))),
            };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::metrics::Metric;
    use crate::store::ErrorKind;
    use crate::store::layers::{Fault, FaultStore, LayerOptions, Operation, layered};
    use crate::store::memory::MemoryStore;

    struct Bed {
        faults: Arc<FaultStore<MemoryStore>>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
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

        /// What is said after some time, and how often the bucket had been asked by then.
        async fn after(&self, seconds: u64) -> (Option<String>, u64) {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let asked = self.asked();
            (self.readiness.why_not(), asked)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_a_while_and_then_one_is_asked_for() {
        let bed = bed();
        assert_eq!(bed.after(0).await, (Some("the bucket has not answered yet".to_owned()), 0));
        assert_eq!(bed.after(1).await, (None, 1));
        assert_eq!(bed.after(29).await, (None, 1), "lately enough");
        assert_eq!(bed.after(2).await, (None, 1), "what is known is said at once");
        assert_eq!(bed.after(1).await, (None, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_silent_is_not_ready_and_is_not_asked_by_everybody() {
        let bed = bed();
        bed.after(0).await;
        assert_eq!(bed.after(1).await, (None, 1));
        bed.faults.once(Operation::List, Fault::Silence);
        assert_eq!(bed.after(40).await, (None, 1));
        assert_eq!(bed.after(1).await, (None, 2), "it may still answer");
        assert_eq!(bed.after(4).await.0.as_deref(), Some("the bucket has not answered for 4 s"));
        assert_eq!(bed.asked(), 2, "the first asks for all");
        bed.after(3).await;
        assert_eq!(bed.after(1).await, (None, 3), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_by_one_clock_and_in_one_sentence_from_ten_seconds_on() {
        let bed = bed();
        bed.after(0).await;
        bed.after(40).await;
        (0..20).for_each(|_| bed.faults.once(Operation::List, Fault::Silence));
        bed.after(0).await;
        assert!(bed.after(9).await.0.unwrap().starts_with("the bucket has not answered for "));
        assert_eq!(bed.readiness.trouble(), None);
        let (told, _) = bed.after(2).await;
        assert_eq!(told, bed.readiness.trouble());
        assert!(told.unwrap().starts_with("the store has not answered for 1"));
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_refused_are_a_reason() {
        let bed = bed();
        for _ in 0..2 {
            bed.faults.once(Operation::List, Fault::Error(ErrorKind::Credentials));
        }
        bed.after(0).await;
        let why = bed.after(1).await.0.unwrap();
        assert!(why.starts_with("the bucket cannot be listed: "), "{why}");
    }
}
