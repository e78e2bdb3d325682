//! Right of way on the line: what is received in the background gives way to what a program waits for.
//!
//! Requests are ordered where they start (`pump`, the store's limiter), but those in flight share the line alike. One
//! GET that a program waits for beside 56 of a prefetch would get a 57th of it.
//!
//! 1. *Who gives way.* A GET of an object that no program waits for, while programs wait for others. It is not received
//!    any further, so that TCP stops its sender; after a while its body is dropped and the rest of it is asked for
//!    later, so that it holds no connection and no place. The oldest one goes on with a small share of the line, and
//!    with a few bytes a second where nothing else comes: it neither starves nor runs into a time limit.
//! 2. *When.* Only where that helps. On a line that is wide enough for all, GETs that stand still bring nothing to the
//!    others. Where a GET brings little, it is tried: for a moment with the background standing still, for a moment
//!    without. What comes for each second that programs wait is compared, and the answer holds for some seconds, longer
//!    each time it is the same.
//!
//! [`Trial`] decides, as a function of times and bytes; [`RightOfWay`] has GETs wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::part::Part;
use super::tuning::Tuning;
use crate::base::{Clock, Timestamp};

/// So long after a wait ended, the next one of the same program is likely to come: between two reads it works.
const RECENT_MS: u64 = 100;
/// A GET that gives way looks so often whether it still has to, if it is the next one to go on.
const LOOK: Duration = Duration::from_millis(20);
/// What has come for longer counts half.
const OF_LATE: Duration = Duration::from_secs(2);
/// So much of the time of GETs is remembered while none gives way.
const USUAL: Duration = Duration::from_secs(20);
/// So many times what GETs brought before shows at once that it helps if the background stands still.
const CLEAR_GAIN: f64 = 1.5;
/// And so many times what came for each second of waiting is worth it also where part of the line is left empty.
const GREAT_GAIN: f64 = 2.0;
/// The background is compared where it brings this part of what programs get, as divisor.
const LEAST_BESIDE: u64 = 4;
/// Where what programs wait for is so much of what the line brings at best, it is full.
const FULL_SHARE: f64 = 0.75;
/// What was tried is forgotten where nothing was looked at for so long.
const FORGOTTEN: Duration = Duration::from_millis(500);

/// Reads of programs that wait for bytes.
#[derive(Debug, Default)]
pub(super) struct Waits {
    now: AtomicUsize,
    /// When one ended last, in milliseconds and one more; nought before the first.
    ended_ms: AtomicU64,
}

impl Waits {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.now.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, now_ms: u64) {
        self.ended_ms.store(now_ms + 1, Ordering::Relaxed);
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn are_recent(&self, now_ms: u64) -> bool {
        let ended_ms = self.ended_ms.load(Ordering::Relaxed);
        self.count() > 0 || ended_ms > 0 && now_ms < ended_ms + RECENT_MS
    }
}

/// What a GET that gives way is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passage {
    /// It may receive what has come.
    Go,
    /// It has stood still for so long that its body is to be dropped.
    Leave,
}

/// Has the GETs in the background give way while programs wait.
#[derive(Debug)]
pub(super) struct RightOfWay {
    tuning: Arc<Tuning>,
    /// Agrees with every sleep, as the clock of a test need not.
    clock: Clock,
    waits: Waits,
    /// Whether what is received is of interest to the trial.
    is_tried: AtomicBool,
    /// What all GETs have brought of late while none gave way, and the nanoseconds that they took, added up.
    usual_bytes: AtomicU64,
    usual_nanos: AtomicU64,
    state: Mutex<WayState>,
    /// Rings when GETs need give way no longer.
    opened: Notify,
}

#[derive(Debug)]
struct WayState {
    trial: Trial,
    /// The GETs that give way, the oldest first.
    waiting: BTreeSet<u64>,
    /// What the oldest of them may receive, in bytes. Negative where it has received more.
    credit: i64,
    credited_at: Duration,
}

/// The place of a GET among those that give way, until dropped.
#[derive(Debug)]
pub(super) struct WaySeat<'a>(&'a RightOfWay, u64);

impl Drop for WaySeat<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting.remove(&self.1);
    }
}

impl RightOfWay {
    /// The state before anything waits.
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        let way = WayState {
            trial: Trial::new(tuning.clone()),
            waiting: BTreeSet::new(),
            credit: 0,
            credited_at: Duration::ZERO,
        };
        RightOfWay {
            tuning,
            clock: Clock::runtime(Timestamp::from_unix(0)),
            waits: Waits::default(),
            is_tried: AtomicBool::new(false),
            usual_bytes: AtomicU64::new(0),
            usual_nanos: AtomicU64::new(0),
            state: Mutex::new(way),
            opened: Notify::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.elapsed().as_millis() as u64
    }

    /// A read begins to wait for bytes of an object.
    pub(super) fn wait_begins(&self, of_object: &Waits) {
        of_object.begin();
        self.waits.begin();
        self.count_waits();
    }

    /// A read has waited for bytes of an object.
    pub(super) fn wait_ends(&self, of_object: &Waits) {
        let now_ms = self.now_ms();
        of_object.end(now_ms);
        self.waits.end(now_ms);
        self.count_waits();
    }

    fn count_waits(&self) {
        if self.is_tried.load(Ordering::Relaxed) {
            self.state.lock().trial.count_waits(self.waits.count(), self.clock.elapsed());
        }
    }

    /// Whether a GET gives way: programs wait, and none for its object.
    pub(super) fn passes_over(&self, part: &Part, of_object: &Waits) -> bool {
        if !self.is_tried.load(Ordering::Relaxed) && (self.waits.count() == 0 || !self.is_narrow()) {
            return false;
        }
        let now_ms = self.now_ms();
        if !self.waits.are_recent(now_ms) {
            self.waits_ended();
            return false;
        }
        !part.is_called() && !of_object.are_recent(now_ms)
    }

    /// Whether each GET brings so little that those of programs may need the line.
    fn is_narrow(&self) -> bool {
        let usual = self.usual();
        let wide = self.tuning.way_wide_bytes_per_second as f64;
        usual.bytes >= self.tuning.way_sample_bytes && usual.of_one_get() < wide
    }

    /// Whether nothing more is to be asked for in the background.
    pub(super) fn is_closed(&self) -> bool {
        if !self.is_tried.load(Ordering::Relaxed) || !self.waits.are_recent(self.now_ms()) {
            return false;
        }
        let way = self.state.lock();
        way.trial.is_closed() && !way.waiting.is_empty()
    }

    /// The time, for [`RightOfWay::received`].
    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The GET of a part, which gives way or does not, has received bytes, which took it the time since `began`.
    pub(super) fn received(&self, part: &Part, bytes: u64, began: Duration, gives_way: bool) {
        let now = self.clock.elapsed();
        if !self.is_tried.load(Ordering::Relaxed) {
            // The time of short ones is all delay, and says nothing of the line.
            if part.range.len() >= self.tuning.pipe_least_get_bytes {
                self.received_as_usual(bytes, now.saturating_sub(began));
            }
            return;
        }
        let mut way = self.state.lock();
        if gives_way {
            way.credit -= bytes as i64;
            return way.trial.received_beside(bytes, now);
        }
        way.trial.received(bytes, began, now);
        way.credit = way.credit.saturating_add((bytes / self.tuning.way_share) as i64).min(self.most_credit());
    }

    fn received_as_usual(&self, bytes: u64, time: Duration) {
        self.usual_bytes.fetch_add(bytes, Ordering::Relaxed);
        let nanos = self.usual_nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        // Of late: two that do this at once halve twice, which changes both alike.
        if nanos > USUAL.as_nanos() as u64 {
            for counter in [&self.usual_bytes, &self.usual_nanos] {
                counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }

    /// What GETs bring while none gives way, as far as that is known.
    fn usual(&self) -> Receipts {
        let (bytes, nanos) = (&self.usual_bytes, &self.usual_nanos);
        let [bytes, nanos] = [bytes, nanos].map(|counter| counter.load(Ordering::Relaxed));
        Receipts { bytes, time: Duration::from_nanos(nanos), ..Receipts::default() }
    }

    fn most_credit(&self) -> i64 {
        self.tuning.receive_bytes as i64
    }

    /// Waits while a GET has to give way, which `passes_over` says anew each time. Where it holds a body, that is to be
    /// dropped after this time. `best` is what the line has brought of late, in bytes a second.
    pub(super) async fn turn<'a>(
        &'a self,
        part: &Part,
        leaves_after: Option<Duration>,
        place: &mut Option<WaySeat<'a>>,
        best: Option<u64>,
        passes_over: impl Fn() -> bool,
    ) -> Passage {
        let began = self.clock.elapsed();
        loop {
            let opened = self.opened.notified();
            if !passes_over() {
                *place = None;
                return Passage::Go;
            }
            let is_first = {
                let now = self.clock.elapsed();
                let mut way = self.state.lock();
                if place.is_none() {
                    way.waiting.insert(part.id);
                    *place = Some(WaySeat(self, part.id));
                }
                self.is_tried.store(true, Ordering::Relaxed);
                let was_closed = way.trial.is_closed();
                way.trial.count_waits(self.waits.count(), now);
                way.trial.look(now, self.usual(), best);
                if !way.trial.is_closed() {
                    if was_closed {
                        self.opened.notify_waiters();
                    }
                    return Passage::Go;
                }
                let is_first = way.waiting.first() == Some(&part.id);
                if is_first && self.may_go(&mut way, now) {
                    return Passage::Go;
                }
                is_first
            };
            let waited = self.clock.elapsed().saturating_sub(began);
            let pause = match leaves_after {
                _ if is_first => LOOK,
                Some(time) if waited >= time => return Passage::Leave,
                Some(time) => time - waited,
                None => FORGOTTEN / 2,
            };
            tokio::select! {
                () = opened => {}
                () = part.called() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Programs wait no longer: those that gave way go on.
    fn waits_ended(&self) {
        if self.is_tried.swap(false, Ordering::Relaxed) {
            self.opened.notify_waiters();
        }
    }

    /// Whether the first of those that give way may receive something.
    fn may_go(&self, way: &mut WayState, now: Duration) -> bool {
        let passed = now.saturating_sub(way.credited_at).min(Duration::from_secs(1));
        let floor = (passed.as_secs_f64() * self.tuning.way_least_bytes_per_second as f64) as i64;
        if floor > 0 {
            way.credit = way.credit.saturating_add(floor).min(self.most_credit());
            way.credited_at = now;
        }
        way.credit >= 0
    }
}

/// Whether it helps programs that wait if the background stands still.
#[derive(Debug)]
struct Trial {
    tuning: Arc<Tuning>,
    step: TrialStep,
    looked_at: Duration,
    /// What came while the background stood still, and while it did not.
    closed: Receipts,
    open: Receipts,
    /// What has come since the present trial began, before buffers had filled or emptied.
    early: Receipts,
    hold: Duration,
    /// Whether the background is let through to see whether it still has to stand still.
    is_kept_closed: bool,
    /// How many reads have waited since a time.
    waiting: usize,
    counted_at: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TrialStep {
    /// It is not known which is better.
    Unknown,
    /// The background stands still, or does not, to see what comes then.
    Trying { is_closed: bool, since: Duration },
    /// It is known which of the two is better, until it is tried again.
    Known { is_closed: bool, until: Duration },
}

/// What GETs have brought.
#[derive(Clone, Copy, Debug, Default)]
struct Receipts {
    since: Duration,
    until: Duration,
    bytes: u64,
    /// What came besides, in the background.
    beside_bytes: u64,
    /// The time that it took each of them, added up.
    time: Duration,
    /// For how long reads waited meanwhile, each of them, added up.
    waited: Duration,
}

impl Receipts {
    fn new(since: Duration) -> Self {
        Receipts { since, ..Receipts::default() }
    }

    /// Bytes a second of one GET.
    fn of_one_get(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64().max(1e-6)
    }

    /// Bytes a second of the line, those of the background included.
    fn of_the_line(&self) -> f64 {
        let time = self.until.saturating_sub(self.since);
        (self.bytes + self.beside_bytes) as f64 / time.as_secs_f64().max(1e-6)
    }

    /// The same for what remains of it when what is older has lost half of its weight.
    fn halved(&self, since: Duration) -> Receipts {
        let (bytes, beside_bytes) = (self.bytes / 2, self.beside_bytes / 2);
        let (time, waited, until) = (self.time / 2, self.waited / 2, self.until);
        Receipts { since, until, bytes, beside_bytes, time, waited }
    }

    /// Bytes for each second that a read waited.
    fn of_one_wait(&self) -> f64 {
        self.bytes as f64 / self.waited.as_secs_f64().max(1e-6)
    }
}

impl Trial {
    fn new(tuning: Arc<Tuning>) -> Self {
        let hold = Duration::from_millis(tuning.way_hold_ms);
        let (closed, open, early) = Default::default();
        let (looked_at, counted_at) = Default::default();
        Trial {
            tuning,
            step: TrialStep::Unknown,
            looked_at,
            closed,
            open,
            early,
            hold,
            is_kept_closed: false,
            waiting: 0,
            counted_at,
        }
    }

    fn is_closed(&self) -> bool {
        match self.step {
            TrialStep::Unknown => false,
            TrialStep::Trying { is_closed, .. } | TrialStep::Known { is_closed, .. } => is_closed,
        }
    }

    /// Programs wait, and something is received in the background. `usual` is what GETs brought before, and
    /// `best` what all of them brought in a second, at best.
    fn look(&mut self, now: Duration, usual: Receipts, best: Option<u64>) {
        let is_stale = now.saturating_sub(self.looked_at) > FORGOTTEN;
        self.looked_at = now;
        match self.step {
            TrialStep::Trying { .. } if is_stale => self.step = TrialStep::Unknown,
            _ => {}
        }
        match self.step {
            TrialStep::Unknown => self.try_whether(true, now),
            TrialStep::Trying { is_closed, since } => self.try_on(is_closed, now.saturating_sub(since), usual, now),
            // What programs wait for fills the line: there is nothing to be had for others.
            TrialStep::Known { is_closed: true, until }
                if now >= until && best.is_some_and(|best| self.closed.of_the_line() >= best as f64 * FULL_SHARE) =>
            {
                self.step = TrialStep::Known { is_closed: true, until: now + self.hold };
            }
            TrialStep::Known { is_closed, until } if now >= until && !is_stale => self.try_whether(!is_closed, now),
            // What was seen before programs waited again says nothing of now, but for what is known.
            TrialStep::Known { is_closed, until } if now >= until => {
                self.step =
                    if is_closed { TrialStep::Known { is_closed, until: now + FORGOTTEN } } else { TrialStep::Unknown };
                self.begin_sample(is_closed, now);
            }
            TrialStep::Known { .. } => {}
        }
    }

    fn try_whether(&mut self, is_closed: bool, now: Duration) {
        self.is_kept_closed = !is_closed && matches!(self.step, TrialStep::Known { .. });
        self.step = TrialStep::Trying { is_closed, since: now };
        // What is in the buffers of connections, or on the line, comes first.
        self.begin_sample(is_closed, now + self.long(self.tuning.way_settle_ms, is_closed));
        self.early = Receipts::new(now);
    }

    /// A time of a trial: twice as long where GETs that gave their connections back have to begin anew.
    fn long(&self, ms: u64, is_closed: bool) -> Duration {
        Duration::from_millis(if is_closed { ms } else { 2 * ms })
    }

    fn begin_sample(&mut self, is_closed: bool, since: Duration) {
        *(if is_closed { &mut self.closed } else { &mut self.open }) = Receipts::new(since);
    }

    fn try_on(&mut self, is_closed: bool, tried: Duration, usual: Receipts, now: Duration) {
        let (try_for, least_bytes) = (self.long(self.tuning.way_try_ms, is_closed), self.tuning.way_sample_bytes);
        // Where so much comes, the buffers of connections are no great part of it.
        let is_wide = is_closed && self.early.bytes >= self.tuning.way_wide_bytes;
        let sample = if is_closed { &mut self.closed } else { &mut self.open };
        if is_wide {
            *sample = self.early;
        }
        let sample = *sample;
        let is_over = is_wide || tried >= try_for && sample.bytes >= least_bytes || tried >= 4 * try_for;
        if !is_over {
            return;
        }
        if is_closed && sample.bytes < least_bytes {
            // The program wants so little that the background costs it little, unless it has waited all the time.
            return self.know(sample.waited * 2 >= tried, now);
        }
        // It does not come back at once where programs have taken its places, and then nothing can be compared.
        if !is_closed && self.is_kept_closed && sample.beside_bytes < sample.bytes / LEAST_BESIDE {
            return self.know(true, now);
        }
        let other = if is_closed { self.open } else { self.closed };
        if other.bytes < least_bytes {
            // Bytes of the background are as good a measure where the difference is great.
            if is_closed && usual.bytes >= least_bytes && sample.of_one_get() >= usual.of_one_get() * CLEAR_GAIN {
                return self.know(true, now);
            }
            return self.try_whether(!is_closed, now);
        }
        self.know(self.is_better_closed(), now);
    }

    /// Whether more came for each second of waiting while the background stood still, and the line was as full then, or
    /// much more came: what is left of it to nothing must be worth it.
    fn is_better_closed(&self) -> bool {
        let gain = self.closed.of_one_wait() / self.open.of_one_wait().max(1.0);
        let is_full = self.closed.of_the_line() >= self.open.of_the_line() * FULL_SHARE;
        gain >= GREAT_GAIN || is_full && gain * 100.0 >= (100 + self.tuning.way_gain_percent) as f64
    }

    fn know(&mut self, is_closed: bool, now: Duration) {
        let first = Duration::from_millis(self.tuning.way_hold_ms);
        self.hold = match self.step {
            // The other one was tried, and is still no better.
            TrialStep::Trying { is_closed: tried, .. } if tried != is_closed => (self.hold * 2).min(first * 16),
            _ => first,
        };
        self.step = TrialStep::Known { is_closed, until: now + self.hold };
        self.begin_sample(is_closed, now);
    }

    /// From now on so many reads wait.
    fn count_waits(&mut self, waiting: usize, now: Duration) {
        let (before, since) = (self.waiting as u32, self.counted_at);
        (self.waiting, self.counted_at) = (waiting, now);
        let is_closed = self.is_closed();
        let sample = if is_closed { &mut self.closed } else { &mut self.open };
        for sample in [sample, &mut self.early] {
            sample.waited += now.saturating_sub(since.max(sample.since)) * before;
        }
    }

    /// Bytes have come in the background.
    fn received_beside(&mut self, bytes: u64, now: Duration) {
        let is_closed = self.is_closed();
        let sample = if is_closed { &mut self.closed } else { &mut self.open };
        if now > sample.since {
            (sample.beside_bytes, sample.until) = (sample.beside_bytes + bytes, now);
        }
    }

    /// Bytes have come to a GET that programs wait for.
    fn received(&mut self, bytes: u64, began: Duration, now: Duration) {
        let is_closed = self.is_closed();
        let sample = if is_closed { &mut self.closed } else { &mut self.open };
        // Of late, where it goes on for long.
        if now.saturating_sub(sample.since) > OF_LATE {
            *sample = sample.halved(now - OF_LATE / 2);
        }
        for sample in [sample, &mut self.early] {
            if now > sample.since {
                (sample.bytes, sample.until) = (sample.bytes + bytes, now);
                sample.time += now - sample.since.max(began);
            }
        }
    }
}
