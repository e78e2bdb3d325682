//! The retry budget: when a failed request may be sent again, how long to wait before that, and when to give up.
//!
//! The rule is one for all requests, and it is about time, not about tries. An operation that fails is tried again
//! until it has been failing for [`RetryPolicy::budget`]; a wait that would lead beyond that moment ends there, with
//! one more try. [`RetryPolicy::grace`] later the operation ends, whatever the last try is doing. It has been failing
//! since its first failing try was sent, so that a server that says nothing for 20 s has used 20 s of the budget. While
//! no request at all is answered, the time that an operation waits for a place in the limiter counts too: it began to
//! fail when it began.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;

use super::meter;
use crate::base::Clock;
use crate::metrics::{Metric, Metrics};
use crate::store::{Error, ErrorKind, Result};

/// When to ask again, and for how long.
#[derive(Clone, PartialEq, Debug)]
pub struct RetryPolicy {
    /// How long an operation must have been failing before it is given up; for a body, failing without progress.
    pub budget: Duration,
    /// How long the last try may take beyond the budget.
    pub grace: Duration,
    /// The longest wait before the second try; every later one may be twice as long as the one before.
    pub base_delay: Duration,
    /// The longest wait before any try, unless the service asks for more.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            budget: Duration::from_secs(60),
            grace: Duration::from_secs(15),
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
        }
    }
}

/// What the operations of one store share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) policy: RetryPolicy,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) rng: Mutex<StdRng>,
}

/// How often a failure of this kind may be followed by another try within the budget; 0 means never.
pub(super) fn tries_again(kind: ErrorKind) -> u32 {
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
pub(super) fn delay(policy: &RetryPolicy, failures: u32, error: &Error, draw: f64) -> Duration {
    // A throttled client that says nothing of a wait gets there by growing: it starts eight times higher.
    let extra = if error.kind() == ErrorKind::Throttled { 3 } else { 0 };
    let steps = failures.saturating_sub(1).saturating_add(extra).min(20);
    let ceiling = policy.base_delay.saturating_mul(1 << steps).min(policy.max_delay);
    error.retry_after().unwrap_or_default().saturating_add(ceiling.mul_f64(draw))
}

/// When the service last answered and last failed, over all requests, in milliseconds of the clock; 0 is never.
#[derive(Debug, Default)]
pub(super) struct Health {
    answered_ms: AtomicU64,
    failed_ms: AtomicU64,
}

impl Health {
    /// Something came from the service.
    pub(super) fn answered(&self, now: Duration) {
        self.answered_ms.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    fn failed(&self, now: Duration) {
        self.failed_ms.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether requests have failed since `since`, and none was answered.
    fn is_dead_since(&self, since: Duration) -> bool {
        let since_ms = since.as_millis() as u64;
        self.answered_ms.load(Ordering::Relaxed) <= since_ms && self.failed_ms.load(Ordering::Relaxed) > since_ms
    }
}

/// Whose failures are borne.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Road {
    /// Reading: a program waits for an answer.
    Read,
    /// A body that has begun to arrive: what it failed at counts from when its next bytes were waited for.
    Body,
    /// Changing: single tries may rightly take minutes, such as a copy of gigabytes.
    Change,
}

/// What an operation is called in its errors.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) operation: &'static str,
    pub(super) key: String,
}

/// The failures of one operation, or of one body since it last moved.
pub(super) struct Patience {
    pub(super) shared: Arc<Shared>,
    about: About,
    road: Road,
    began: Duration,

    /// When the present run of failures began.
    failing_since: Option<Duration>,
    failures: Vec<ErrorKind>,
    last: Option<Error>,
}

impl Patience {
    pub(super) fn new(shared: Arc<Shared>, about: About, road: Road) -> Self {
        let began = shared.clock.elapsed();
        Patience { shared, about, road, began, failing_since: None, failures: Vec::new(), last: None }
    }

    /// The same, for what has been failing for so long before.
    pub(super) fn failing_for(self, failing_for: Duration) -> Self {
        let failing_since = (!failing_for.is_zero()).then(|| self.began.saturating_sub(failing_for));
        Patience { failing_since, ..self }
    }

    /// Something arrived: earlier failures no longer count.
    pub(super) fn renew(&mut self) {
        let now = self.shared.clock.elapsed();
        self.shared.health.answered(now);
        self.began = now;
        if self.failing_since.take().is_some() {
            self.failures.clear();
        }
    }

    /// How long from now until the operation ends in any case; `None` before its first failure.
    pub(super) fn left(&self) -> Option<Duration> {
        let policy = &self.shared.policy;
        let end = self.failing_since.filter(|_| self.road != Road::Change)? + policy.budget + policy.grace;
        Some(end.saturating_sub(self.shared.clock.elapsed()))
    }

    /// The error of an operation that has no time left.
    pub(super) fn out_of_time(&self) -> Error {
        let since = self.failing_since.unwrap_or(self.began);
        let failing = self.shared.clock.elapsed().saturating_sub(since);
        let message = format!("the service has failed for {:.0} s", failing.as_secs_f64());
        let cause = self.last.clone().map(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
        Error::new(ErrorKind::Timeout, message).with_elapsed(failing).with_source(cause)
    }

    /// One try, which ends when the operation has no time left: from its first failure on or, before that, while the
    /// service answers nothing at all.
    pub(super) async fn within<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let mut call = pin!(call);
        let policy = &self.shared.policy;
        loop {
            let left = match (self.road, self.left()) {
                (Road::Change, _) => return call.await,
                (_, Some(left)) => left,
                (_, None) => policy.budget + policy.grace,
            };
            tokio::select! {
                biased;
                outcome = &mut call => return outcome,
                () = tokio::time::sleep(left) => {}
            }
            if self.failing_since.is_some() || self.shared.health.is_dead_since(self.began) {
                return Err(self.out_of_time());
            }
        }
    }

    /// Waits until the next try may be made, or says that there will be none.
    pub(super) async fn after(&mut self, error: Error) -> Result<()> {
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
                    "retrying"
                );
                self.last = Some(error);
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(self.gave_up(error)),
        }
    }

    fn wait_after(&mut self, error: &Error) -> Option<Duration> {
        let Shared { policy, clock, rng, health, .. } = &*self.shared;
        let now = clock.elapsed();
        self.failures.push(error.kind());
        let of_kind = self.failures.iter().filter(|kind| **kind == error.kind()).count() as u64;
        if of_kind > u64::from(tries_again(error.kind())) {
            return None;
        }
        let since = match self.failing_since {
            Some(since) => since,
            None if self.road == Road::Change => now,
            None => {
                let sent = now.saturating_sub(error.elapsed());
                let counts_all = self.road == Road::Read && health.is_dead_since(self.began);
                if counts_all { sent.min(self.began) } else { sent }
            }
        };
        health.failed(now);
        self.failing_since = Some(since);
        let left = policy.budget.checked_sub(now.saturating_sub(since)).filter(|left| !left.is_zero())?;
        let failures = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        // Where the wait asked for is longer, one more try is made at the end of the budget.
        Some(delay(policy, failures, error, rng.lock().random()).min(left))
    }

    fn gave_up(&self, error: Error) -> Error {
        // A request for what is not there gets an answer, not a failure.
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
