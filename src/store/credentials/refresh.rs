//! Renewing credentials before they expire.
//!
//! A mount lives for months, its keys for an hour. The next ones are asked for when a quarter of the lifetime is left
//! (three minutes at least, where there are so many), in the background, by one task however many requests there are;
//! the old ones serve until then, and for as long as they are valid when that fails. Only where there are none that
//! could be valid does a request wait.
//!
//! Each time the source is asked by a task of its own, which ends at a deadline and whose outcome all get who wait: a
//! request that is given up ends neither the task nor begins another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::watch;

use super::{Credentials, Provider};
use crate::base::{Clock, Timestamp};
use crate::store::{Error, ErrorKind, Result};

/// Renewing begins at least this long before the end, in seconds, if keys live four times as long.
const LEAST_AHEAD_SECONDS: i64 = 180;
/// How long until it is tried again after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// A failure is returned to all requests within this time, without asking the source again.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// The end of each time that a source is asked, whatever it waits for: a source ends by itself before, with more to
/// say.
const DEADLINE: Duration = Duration::from_secs(150);

/// Keys must be this old before they are replaced because the service refused them.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Something that hands out access keys, for money in time: a service, a program.
#[async_trait]
pub(super) trait Origin: Send + Sync + fmt::Debug + 'static {
    /// An access key. Fails with [`ErrorKind::Credentials`] and a sentence that
    /// names the source and says what to do. Must end by itself, in seconds.
    async fn fetch(&self) -> Result<Credentials>;
}

/// Keys of an origin, kept and renewed.
pub(super) struct Renewing {
    inner: Arc<Renewal>,
}

struct Renewal {
    origin: Box<dyn Origin>,
    clock: Clock,
    state: Mutex<RenewalState>,
}

/// What came of asking the origin, once it is known.
type Renewed = Option<Result<Arc<Credentials>>>;

#[derive(Default)]
struct RenewalState {
    held: Option<Held>,
    failed: Option<(Duration, Error)>,
    /// The origin is being asked.
    round: Option<watch::Receiver<Renewed>>,
}

struct Held {
    credentials: Arc<Credentials>,
    /// Monotonic time when they came.
    since: Duration,
    /// Monotonic time from when on new ones are asked for.
    renew_at: Duration,
    /// The service refused them.
    refused: bool,
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.inner.state.lock().held.as_ref().map(|held| held.credentials.clone());
        f.debug_struct("Renewing").field("origin", &self.inner.origin).field("held", &held).finish()
    }
}

impl Renewing {
    pub(super) fn new(origin: impl Origin, clock: Clock) -> Self {
        Renewing { inner: Arc::new(Renewal { origin: Box::new(origin), clock, state: Mutex::default() }) }
    }
}

#[async_trait]
impl Provider for Renewing {
    async fn credentials(&self) -> Result<Arc<Credentials>> {
        if let Some((credentials, is_due)) = self.inner.usable() {
            if is_due {
                // A failure is said in the log; those who ask still have the old ones.
                self.inner.round();
            }
            return Ok(credentials);
        }
        if let Some(error) = self.inner.recent_failure() {
            return Err(error);
        }
        let mut round = self.inner.round();
        let lost = || Error::new(ErrorKind::Credentials, "the request for credentials was aborted; see the log");
        let outcome = round.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(lost()))
    }

    fn refused(&self) {
        let now = self.inner.clock.elapsed();
        if let Some(held) = &mut self.inner.state.lock().held {
            // An origin that hands out what the service refuses is not asked for each request.
            held.refused |= now.saturating_sub(held.since) >= REFUSAL_PAUSE;
        }
    }
}

impl Renewal {
    /// Keys that can be valid, and whether new ones should be asked for.
    fn usable(&self) -> Option<(Arc<Credentials>, bool)> {
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let state = self.state.lock();
        let held = state.held.as_ref().filter(|held| !held.refused)?;
        let is_valid = held.credentials.expires().is_none_or(|expires| expires > now);
        is_valid.then(|| (held.credentials.clone(), elapsed >= held.renew_at))
    }

    fn recent_failure(&self) -> Option<Error> {
        let state = self.state.lock();
        let (at, error) = state.failed.as_ref()?;
        (self.clock.elapsed().saturating_sub(*at) < FAILURE_HOLDS).then(|| error.clone())
    }

    /// The round that asks the origin now; begins one unless there is one.
    fn round(self: &Arc<Self>) -> watch::Receiver<Renewed> {
        let mut state = self.state.lock();
        // One that was broken off, by a panic say, has no sender any more.
        if let Some(round) = state.round.as_ref().filter(|round| round.has_changed().is_ok()) {
            return round.clone();
        }
        let (told, round) = watch::channel(None);
        state.round = Some(round.clone());
        let inner = self.clone();
        tokio::spawn(async move {
            let outcome = inner.renew().await;
            inner.state.lock().round = None;
            told.send_replace(Some(outcome));
        });
        round
    }

    async fn renew(&self) -> Result<Arc<Credentials>> {
        let late = |_| {
            let sentence = format!("the source of the credentials did not answer within {} s", DEADLINE.as_secs());
            Err(Error::new(ErrorKind::Credentials, sentence))
        };
        let fetched = tokio::time::timeout(DEADLINE, self.origin.fetch()).await.unwrap_or_else(late);
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let mut state = self.state.lock();
        match fetched {
            Ok(credentials) => {
                let credentials = Arc::new(credentials);
                let renew_at = match credentials.expires() {
                    Some(expires) => elapsed + renew_after(now, expires, rand::rng().random_range(0.9..1.0)),
                    None => Duration::MAX,
                };
                tracing::debug!(
                    access_key_id = credentials.access_key_id(),
                    origin = ?self.origin,
                    expires = ?credentials.expires(),
                    "credentials renewed"
                );
                state.held = Some(Held { credentials: credentials.clone(), since: elapsed, renew_at, refused: false });
                state.failed = None;
                Ok(credentials)
            }
            Err(error) => {
                tracing::warn!(%error, "credentials could not be renewed");
                if let Some(held) = &mut state.held {
                    held.renew_at = elapsed + PAUSE;
                }
                state.failed = Some((elapsed, error.clone()));
                Err(error)
            }
        }
    }
}

/// How long keys are used before new ones are asked for; `share` of that, so that a thousand machines which started
/// together do not ask together.
fn renew_after(now: Timestamp, expires: Timestamp, share: f64) -> Duration {
    let left = expires.seconds.saturating_sub(now.seconds).max(0);
    let ahead = (left / 4).max(LEAST_AHEAD_SECONDS.min(left / 2));
    Duration::from_secs((left - ahead) as u64).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Keys numbered as they are asked for, each valid for an hour; fails where it should, and answers when let.
    #[derive(Clone, Debug)]
    struct Counting {
        asked: Arc<AtomicU64>,
        fails: Arc<std::sync::atomic::AtomicBool>,
        gate: Arc<Semaphore>,
        clock: Clock,
        lives_seconds: i64,
    }

    #[async_trait]
    impl Origin for Counting {
        async fn fetch(&self) -> Result<Credentials> {
            let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            self.gate.acquire().await.unwrap().forget();
            if self.fails.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Credentials, "the origin is down"));
            }
            let expires = self.clock.now().plus_seconds(self.lives_seconds);
            Ok(Credentials::new(format!("key-{number}"), "hush").with_expiry(Some(expires)))
        }
    }

    fn bed(lives_seconds: i64, permits: usize) -> (Arc<Renewing>, Counting, Clock) {
        let clock = Clock::manual(Timestamp::from_unix(1_709_210_096));
        let origin = Counting {
            asked: Arc::default(),
            fails: Arc::default(),
            gate: Arc::new(Semaphore::new(permits)),
            clock: clock.clone(),
            lives_seconds,
        };
        (Arc::new(Renewing::new(origin.clone(), clock.clone())), origin, clock)
    }

    async fn id(provider: &Renewing) -> String {
        provider.credentials().await.unwrap().access_key_id().to_owned()
    }

    /// Until a background renewal has ended.
    async fn settled(provider: &Renewing) {
        let round = provider.inner.state.lock().round.clone();
        if let Some(mut round) = round {
            round.wait_for(Option::is_some).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_ask_the_origin_once() {
        let (provider, origin, _) = bed(3600, 0);
        let asking: Vec<_> = (0..1000)
            .map(|_| {
                let provider = provider.clone();
                tokio::spawn(async move { id(&provider).await })
            })
            .collect();
        while origin.asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        origin.gate.add_permits(1);
        for one in asking {
            assert_eq!(one.await.unwrap(), "key-1");
        }
        assert_eq!(origin.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn requests_that_are_given_up_leave_one_round_under_way() {
        let (provider, origin, _) = bed(3600, 0);
        for _ in 0..10 {
            let asking = tokio::spawn({
                let provider = provider.clone();
                async move { provider.credentials().await }
            });
            while provider.inner.state.lock().round.is_none() {
                tokio::task::yield_now().await;
            }
            asking.abort();
            assert!(asking.await.unwrap_err().is_cancelled());
        }
        origin.gate.add_permits(1);
        assert_eq!(id(&provider).await, "key-1");
        assert_eq!(origin.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_never_answers_is_given_up() {
        let (provider, origin, clock) = bed(3600, 0);
        let error = provider.credentials().await.unwrap_err();
        assert!(error.to_string().contains("did not answer within 150 s"), "{error}");
        clock.advance(FAILURE_HOLDS);
        origin.gate.add_permits(1);
        assert_eq!(id(&provider).await, "key-2", "the next one asks anew");
    }

    #[tokio::test]
    async fn keys_are_renewed_ahead_while_the_old_ones_serve() {
        let (provider, origin, clock) = bed(3600, 1);
        assert_eq!(id(&provider).await, "key-1");
        clock.advance(Duration::from_secs(2420));
        assert_eq!(id(&provider).await, "key-1");
        assert_eq!(origin.asked.load(Ordering::Relaxed), 1, "two thirds of an hour are no reason yet");
        clock.advance(Duration::from_secs(300));
        for _ in 0..10 {
            assert_eq!(id(&provider).await, "key-1");
            tokio::task::yield_now().await;
        }
        assert_eq!(origin.asked.load(Ordering::Relaxed), 2);
        origin.gate.add_permits(1);
        settled(&provider).await;
        assert_eq!(id(&provider).await, "key-2");
    }

    #[tokio::test]
    async fn a_failing_origin_costs_nothing_while_keys_are_valid_and_is_told_after() {
        let (provider, origin, clock) = bed(3600, 1000);
        assert_eq!(id(&provider).await, "key-1");
        origin.fails.store(true, Ordering::Relaxed);
        clock.advance(Duration::from_secs(3000));
        for _ in 0..20 {
            assert_eq!(id(&provider).await, "key-1");
            settled(&provider).await;
        }
        assert_eq!(origin.asked.load(Ordering::Relaxed), 2, "once, until the pause is over");
        clock.advance(Duration::from_secs(600));
        for _ in 0..20 {
            let error = provider.credentials().await.unwrap_err();
            assert!(error.to_string().contains("the origin is down"), "{error}");
        }
        assert_eq!(origin.asked.load(Ordering::Relaxed), 3, "a failure holds for a second");
        origin.fails.store(false, Ordering::Relaxed);
        clock.advance(FAILURE_HOLDS);
        assert_eq!(id(&provider).await, "key-4");
    }

    #[tokio::test]
    async fn refused_keys_are_replaced_before_the_next_request() {
        let (provider, _, clock) = bed(3600, 1000);
        assert_eq!(id(&provider).await, "key-1");
        clock.advance(REFUSAL_PAUSE);
        provider.refused();
        assert_eq!(id(&provider).await, "key-2");
        provider.refused();
        assert_eq!(id(&provider).await, "key-2", "not for each refusal");
    }

    #[test]
    fn renewing_begins_well_before_the_end_also_of_short_lives() {
        let after = |left| renew_after(Timestamp::from_unix(0), Timestamp::from_unix(left), 1.0).as_secs();
        assert_eq!((after(3600), after(900), after(300), after(4), after(0)), (2700, 675, 150, 2, 0));
        assert_eq!(renew_after(Timestamp::from_unix(10), Timestamp::from_unix(0), 1.0), Duration::ZERO);
    }
}
