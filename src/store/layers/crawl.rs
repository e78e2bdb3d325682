//! Slow bodies: a body that falls far behind others is requested again from its first missing byte, and the faster of
//! the two continues.
//!
//! One connection of many may sit in a queue that hardly moves, on a link that loses most packets, or behind a server
//! that is about to die. Its bytes still come, one by one, so that no time limit ends it. When all bodies are slow, the
//! way is narrow, and asking twice would make it narrower: a body crawls only beside others that do far better.
//!
//! Both sides of the comparison are taken in the body's favour. What others do counts by all the time that they take,
//! also where their readers let them wait; what a body does itself, only by the time that its reader waits for it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use super::resume::rest_of;
use crate::base::{ByteRange, Clock, Key};
use crate::metrics::{Metric, Metrics};
use crate::store::{Body, Error, Expected, GetRequest, GetResponse, ObjectMeta, Receive, Result, Store};

/// One request in so many may be sent a second time.
pub(super) const SHARE: u32 = 50;

/// At most so many second tries in a row.
pub(super) const BURST: u32 = 4;

/// Which bodies may be said to crawl.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    /// None that brings this many bytes per second, whatever others do.
    pub(super) floor_rate: u64,
    /// Whether one may that brings nothing any more; else that is left to a time limit.
    pub(super) is_silence_judged: bool,
    /// How long a body is waited for before it is judged, and from one judgement to the next.
    pub(super) window: Duration,
}

impl Bounds {
    /// Of answers of a service.
    pub(super) const SERVICE: Bounds =
        Bounds { floor_rate: 1 << 20, is_silence_judged: true, window: Duration::from_secs(2) };
}

/// A body crawls when the median of the others brings more than this many times its bytes.
const FAR_BEHIND: u64 = 10;

/// What came sooner than this is taken to have needed so long: it lay ready with the head of the answer.
const LEAST_TIME: Duration = Duration::from_millis(50);

/// Speeds that are remembered, at most.
const SAMPLES: usize = 64;

/// Speeds count for so long where no other body has been on its way meanwhile.
const LATELY: Duration = Duration::from_secs(60);

/// Of those, this many tell enough.
const ENOUGH: usize = 3;

/// Leave to ask twice, within what all requests have earned.
#[derive(Clone, Debug)]
pub(super) struct Leave {
    pub(super) speeds: Arc<Speeds>,
    metrics: Arc<Metrics>,
    /// Each request earns one; a second try costs [`SHARE`].
    credit: Arc<Mutex<u32>>,
}

impl Leave {
    /// Leave for the requests of one store, with all that may be saved up.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Leave { credit: Arc::new(Mutex::new(SHARE * BURST)), ..Leave::unearned(metrics) }
    }

    /// Leave that is still to be earned.
    pub(super) fn unearned(metrics: Arc<Metrics>) -> Self {
        Leave { speeds: Arc::default(), metrics, credit: Arc::default() }
    }

    /// Takes leave to send a second try.
    pub(super) fn take(&self) -> bool {
        let mut credit = self.credit.lock();
        let left = credit.checked_sub(SHARE);
        *credit = left.unwrap_or(*credit);
        self.metrics.add(Metric::Hedges, u64::from(left.is_some()));
        left.is_some()
    }

    /// The second try was the first to deliver.
    pub(super) fn won(&self) {
        self.metrics.add(Metric::HedgesWon, 1);
    }

    pub(super) fn earn(&self) {
        let mut credit = self.credit.lock();
        *credit = (*credit + 1).min(SHARE * BURST);
    }
}

/// How fast bodies come.
#[derive(Debug, Default)]
pub(super) struct Speeds {
    next_body: AtomicU64,
    samples: Mutex<VecDeque<Sample>>,
}

#[derive(Debug)]
struct Sample {
    body: u64,
    at: Duration,
    /// In bytes per second.
    rate: u64,
}

fn rate(bytes: u64, time: Duration) -> u64 {
    (bytes as f64 / time.max(LEAST_TIME).as_secs_f64()) as u64
}

impl Speeds {
    fn add(&self, sample: Sample) {
        let mut samples = self.samples.lock();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The median of what other bodies do: in the same time, or lately where none was on its way.
    fn usual(&self, body: u64, since: Duration, now: Duration) -> Option<u64> {
        let samples = self.samples.lock();
        let after = |from: Duration| {
            let others = samples.iter().filter(move |sample| sample.body != body && sample.at >= from);
            others.map(|sample| sample.rate).collect::<Vec<_>>()
        };
        let mut rates = after(since);
        if rates.is_empty() {
            rates = Some(after(now.saturating_sub(LATELY))).filter(|rates| rates.len() >= ENOUGH)?;
        }
        let middle = rates.len() / 2;
        Some(*rates.select_nth_unstable(middle).1)
    }
}

/// What a body has done since it was judged last.
#[derive(Debug)]
struct Window {
    began: Duration,
    bytes: u64,
    waited: Duration,
    /// When bytes came last.
    came_at: Option<Duration>,
}

/// Asks for bytes of an object once more.
pub(super) type AskAgain = Box<dyn Fn(ByteRange) -> BoxFuture<'static, Result<Body>> + Send>;

/// A body that is asked for again when it crawls.
pub(super) struct Racing {
    again: AskAgain,
    leave: Leave,
    bounds: Bounds,
    clock: Clock,
    key: Key,
    id: u64,

    missing: ByteRange,
    first: First,
    second: Option<Second>,
    window: Window,
    /// When the present wait began.
    waiting_since: Option<Duration>,
    judgement: Option<Pin<Box<Sleep>>>,
}

/// The body that delivers.
enum First {
    Flowing(Body),
    /// It broke like this while another one was asked for.
    Broken(Error),
}

/// The body that may take its place.
enum Second {
    Asking {
        from: u64,
        answer: BoxFuture<'static, Result<Body>>,
    },
    /// It has begun with the byte `at`.
    Skipping {
        at: u64,
        body: Body,
    },
}

/// Asks a store again for bytes of the version of an answer.
pub(super) fn asks_again<S: Store + ?Sized>(request: GetRequest, meta: &ObjectMeta, inner: Arc<S>) -> AskAgain {
    let expected = Expected { size: meta.size, last_modified: meta.last_modified };
    let request = GetRequest {
        if_match: request.if_match.clone().or(meta.etag.clone()),
        expected: request.expected.or(Some(expected)),
        ..request
    };
    let meta = meta.clone();
    Box::new(move |missing| {
        let (inner, request, meta) = (inner.clone(), request.clone(), meta.clone());
        Box::pin(async move { rest_of(&*inner, &request, &meta, missing).await })
    })
}

impl Racing {
    /// Watches over the body of an answer about an object.
    pub(super) fn over(
        response: GetResponse,
        key: Key,
        again: AskAgain,
        (leave, bounds): (Leave, Bounds),
        clock: Clock,
    ) -> GetResponse {
        let GetResponse { meta, range, body } = response;
        if range.is_empty() {
            return GetResponse { meta, range, body };
        }
        let racing = Racing {
            again,
            key,
            id: leave.speeds.next_body.fetch_add(1, Ordering::Relaxed),
            missing: range,
            first: First::Flowing(body),
            second: None,
            window: Window { began: clock.elapsed(), bytes: 0, waited: Duration::ZERO, came_at: None },
            waiting_since: None,
            judgement: None,
            leave,
            bounds,
            clock,
        };
        GetResponse { meta, range, body: Body::new(racing) }
    }

    /// Counts bytes that were delivered.
    fn received(&mut self, len: u64, now: Duration) {
        self.missing.start += len;
        self.window.bytes += len;
        self.window.came_at = Some(now);
        if self.missing.is_empty() && len > 0 {
            self.sample(now);
        }
    }

    /// Lets others know of the time since the last judgement, and begins anew.
    fn sample(&mut self, now: Duration) {
        let Window { began, bytes, .. } = self.window;
        self.leave.speeds.add(Sample { body: self.id, at: now, rate: rate(bytes, now.saturating_sub(began)) });
        self.window = Window { began: now, bytes: 0, waited: Duration::ZERO, came_at: None };
    }

    /// Asks again if the body crawls, and the one that was asked for before it has begun and crawls too; whether it
    /// does.
    fn judge(&mut self, now: Duration) -> bool {
        let Window { began, bytes, waited, came_at } = self.window;
        let done = rate(bytes, waited);
        let usual = self.leave.speeds.usual(self.id, began, now);
        self.sample(now);
        let crawls =
            done < self.bounds.floor_rate && usual.is_some_and(|usual| done.saturating_mul(FAR_BEHIND) < usual);
        // One that has yet to be answered has a time limit of its own.
        let is_asking = matches!(self.second, Some(Second::Asking { .. }));
        let is_silent = came_at.is_none_or(|at| now.saturating_sub(at) > self.bounds.window / 2);
        let is_judged = !is_silent || self.bounds.is_silence_judged;
        let asks = crawls && is_judged && !is_asking && self.leave.take();
        if asks {
            tracing::debug!(
                key = self.key.as_str(),
                bytes_per_second = done,
                usual,
                "a response body is much slower than others; its missing bytes are requested again"
            );
            let answer = (self.again)(self.missing);
            self.second = Some(Second::Asking { from: self.missing.start, answer });
        }
        asks
    }

    /// Receives from the body that delivers.
    fn poll_first(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let First::Flowing(body) = &mut self.first else { return Poll::Pending };
        match ready!(body.poll_receive(cx, into)) {
            Err(error) if self.second.is_some() => {
                self.first = First::Broken(error);
                Poll::Pending
            }
            outcome => Poll::Ready(outcome),
        }
    }

    /// Receives from the other one, which takes the place of the first with its first byte.
    fn poll_second(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        loop {
            let reached = match &mut self.second {
                None => return Poll::Pending,
                Some(Second::Asking { from, answer }) => match ready!(answer.as_mut().poll(cx)) {
                    Ok(body) => Ok(Second::Skipping { at: *from, body }),
                    Err(error) => Err(error),
                },
                Some(Second::Skipping { at, body }) if *at < self.missing.start => {
                    match ready!(skip(body, self.missing.start - *at, cx)) {
                        Ok(len) => {
                            *at += len;
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Some(Second::Skipping { body, .. }) => match ready!(body.poll_receive(cx, into)) {
                    Ok(()) => {
                        if let Some(Second::Skipping { body, .. }) = self.second.take() {
                            self.first = First::Flowing(body);
                            self.leave.won();
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) => Err(error),
                },
            };
            self.second = match (reached, &self.first) {
                (Ok(second), _) => Some(second),
                (Err(_), First::Broken(error)) => return Poll::Ready(Err(error.clone())),
                // It says nothing of the first one.
                (Err(_), First::Flowing(_)) => None,
            };
        }
    }

    /// Waits for the next judgement; ready when there is another body to be polled.
    fn poll_judgement(&mut self, cx: &mut Context<'_>, now: Duration) -> Poll<()> {
        loop {
            let left = self.bounds.window.saturating_sub(self.window.waited);
            ready!(self.judgement.get_or_insert_with(|| Box::pin(sleep(left))).as_mut().poll(cx));
            self.judgement = None;
            if left.is_zero() && self.judge(now) {
                return Poll::Ready(());
            }
        }
    }
}

/// Drops up to `left` bytes of a body; says how many, at least one.
fn skip(body: &mut Body, left: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
    let mut room = [0; 8 << 10];
    let len = usize::try_from(left).unwrap_or(room.len()).min(room.len());
    let mut room = ReadBuf::new(&mut room[..len]);
    ready!(body.poll_receive(cx, &mut room))?;
    match room.filled().len() {
        0 => Poll::Ready(Err(Error::ended_early(left))),
        len => Poll::Ready(Ok(len as u64)),
    }
}

impl Receive for Racing {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let now = this.clock.elapsed();
        if let Some(since) = this.waiting_since.take() {
            this.window.waited += now.saturating_sub(since);
        }
        let before = into.filled().len();
        let mut received = this.poll_first(cx, into);
        while received.is_pending() {
            received = this.poll_second(cx, into);
            if received.is_pending() && this.poll_judgement(cx, now).is_pending() {
                this.waiting_since = Some(now);
                return Poll::Pending;
            }
        }
        this.received((into.filled().len() - before) as u64, now);
        received
    }
}

#[cfg(test)]
#[path = "crawl_tests.rs"]
mod tests;
