//! The measured throughput and latency of the network, and how many bytes are therefore worth having in flight ahead
//! of a reader.
//!
//! 1. *How much arrives.* While a GET is on its way, bytes arrive for it and for all others; those, divided by its
//!    life, are a sample of the rate. Lives overlap, so there is no slice of time that was only partly busy. The best
//!    sample of the last minute or two counts: what arrives while readers are slow says nothing of the network.
//! 2. *How long a GET takes* where the network is not full: that shows when it is alone, as the first one of a load is.
//!    Among many others it takes as long as they make it; what is in flight then is always rate times life.
//! 3. *How much is worth having.* Rate times life keeps the network full. Twice that leaves room for parts that come
//!    out of order, and finds out of its own accord when more could arrive: then the next best sample is up to twice
//!    the last. More would only wait in the network's queues, in memory that other files could use.
//! 4. *Whether that is true.* Processors that are busy make GETs last longer than the network does. Where readers wait
//!    though less arrives than could, the bound is raised until that ends.
//!
//! Nothing is bound before enough has been seen, or when nothing has been seen for long: short loads are over before
//! anything could be learned from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::tuning::Tuning;

/// What the network has shown lately. One for the whole daemon.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    tuning: Arc<Tuning>,
    received_bytes: AtomicU64,
    in_flight: AtomicU64,
    /// Some reader has waited for bytes since this was last looked at.
    has_waited: AtomicBool,
    shown: Mutex<Shown>,
}

/// A GET on its way.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    pipe: &'a Pipe,
    began: Duration,
    answered: Duration,
    received_before: u64,
    began_alone: bool,
}

/// How long GETs take that have the network to themselves.
#[derive(Clone, Copy, Debug)]
struct Alone {
    wait: Duration,
    per_mib: Duration,
}

#[derive(Debug, Default)]
struct Shown {
    alone: Option<Alone>,
    /// Of the GET that ended last.
    get_bytes: u64,
    /// When the first GET ended and the last, and how many did, since nothing was known.
    first: Duration,
    last: Duration,
    gets: u64,
    /// Bytes per second: the best of the last period, of this one, and of this slot.
    best_before: u64,
    best: u64,
    best_of_slot: u64,
    /// When period and slot began.
    period: Duration,
    slot: Duration,
    /// In eighths; `None` at first.
    gain: Option<u64>,
}

impl Pipe {
    /// A network that has shown nothing yet.
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        Pipe { tuning, ..Pipe::default() }
    }

    /// A GET begins now.
    pub(super) fn begin(&self, now: Duration) -> Flight<'_> {
        let began_alone = self.in_flight.fetch_add(1, Ordering::Relaxed) == 0;
        let received_before = self.received_bytes.load(Ordering::Relaxed);
        Flight { pipe: self, began: now, answered: now, received_before, began_alone }
    }

    /// A reader waits for bytes.
    pub(super) fn waited(&self) {
        // Read first: while it is set, no processor need own its cache line.
        if !self.has_waited.load(Ordering::Relaxed) {
            self.has_waited.store(true, Ordering::Relaxed);
        }
    }

    /// The best rate of late, in bytes per second; `None` while nothing was seen.
    pub(super) fn rate(&self) -> Option<u64> {
        let rate = self.shown.lock().rate();
        (rate > 0).then_some(rate)
    }

    /// How many bytes are worth having ahead of a reader, and how long a GET of a moderate part takes that has the
    /// network to itself; `None` while too little is known.
    pub(super) fn worth_bytes_and_get_time(&self, now: Duration) -> (Option<u64>, Option<Duration>) {
        let mut shown = self.shown.lock();
        shown.pass(now, &self.has_waited, &self.tuning);
        (shown.worth(&self.tuning), shown.get_time(self.tuning.moderate_part_bytes))
    }
}

impl Flight<'_> {
    /// The head of its answer is here.
    pub(super) fn answered(&mut self, now: Duration) {
        self.answered = now;
    }

    /// Some of its bytes are here.
    pub(super) fn received(&self, bytes: u64) {
        self.pipe.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All of its bytes are, so many.
    pub(super) fn ended(self, bytes: u64, now: Duration) {
        let life = now.saturating_sub(self.began);
        if bytes < self.pipe.tuning.pipe_least_get_bytes || life.is_zero() {
            return;
        }
        let arrived = self.pipe.received_bytes.load(Ordering::Relaxed).saturating_sub(self.received_before);
        let rate = u128::from(arrived) * 1_000_000_000 / life.as_nanos();
        let wait = self.answered.saturating_sub(self.began);
        // Others may have set out before it ended; most of what arrived must be its own.
        let is_alone = self.began_alone && arrived < bytes * 2;
        let alone = is_alone.then(|| Alone { wait, per_mib: (life - wait).mul_f64((1 << 20) as f64 / bytes as f64) });
        let mut shown = self.pipe.shown.lock();
        shown.pass(now, &self.pipe.has_waited, &self.pipe.tuning);
        shown.add(u64::try_from(rate).unwrap_or(u64::MAX), bytes, alone, now);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.pipe.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shown {
    fn add(&mut self, rate: u64, bytes: u64, alone: Option<Alone>, now: Duration) {
        if self.gets == 0 {
            (self.first, self.period, self.slot) = (now, now, now);
        }
        (self.last, self.gets, self.get_bytes) = (now, self.gets + 1, bytes);
        self.alone = alone.or(self.alone);
        self.best = self.best.max(rate);
        self.best_of_slot = self.best_of_slot.max(rate);
    }

    /// Takes the time in: what is old is forgotten.
    fn pass(&mut self, now: Duration, has_waited: &AtomicBool, tuning: &Tuning) {
        let (period, slot) = (Duration::from_millis(tuning.pipe_period_ms), Duration::from_millis(tuning.pipe_slot_ms));
        if now.saturating_sub(self.last) > period {
            *self = Shown { alone: self.alone, ..Shown::default() };
            return;
        }
        if now.saturating_sub(self.slot) >= slot {
            let falls_short = self.best_of_slot < self.rate() / 10 * 9;
            // Not before it was bound.
            if has_waited.swap(false, Ordering::Relaxed) && falls_short && self.worth(tuning).is_some() {
                self.gain = Some((self.gain(tuning) * 3 / 2).min(tuning.pipe_most_gain));
            }
            (self.slot, self.best_of_slot) = (now, 0);
        }
        if now.saturating_sub(self.period) >= period {
            (self.period, self.best_before, self.best, self.gain) = (now, self.best, 0, None);
        }
    }

    fn rate(&self) -> u64 {
        self.best.max(self.best_before)
    }

    fn gain(&self, tuning: &Tuning) -> u64 {
        self.gain.unwrap_or(tuning.pipe_first_gain)
    }

    fn get_time(&self, bytes: u64) -> Option<Duration> {
        let Alone { wait, per_mib } = self.alone?;
        Some(wait + per_mib.mul_f64(bytes as f64 / (1 << 20) as f64))
    }

    fn worth(&self, tuning: &Tuning) -> Option<u64> {
        let life = self.get_time(self.get_bytes)?;
        let seen_for = self.last.saturating_sub(self.first);
        if self.gets < tuning.pipe_first_gets || seen_for < Duration::from_millis(tuning.pipe_first_ms) {
            return None;
        }
        let held = u128::from(self.rate()) * life.as_nanos() / 1_000_000_000;
        let worth = held * u128::from(self.gain(tuning)) / 8;
        Some(u64::try_from(worth).unwrap_or(u64::MAX).max(tuning.pipe_least_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fmt::Write;

    use expect_test::expect;

    use super::*;

    const MIB: u64 = 1 << 20;
    const PART_BYTES: u64 = 4 * MIB;
    const PLACES: usize = 56;
    const ALLOWED_BYTES: u64 = 256 * MIB;

    /// A network and a reader behind it, in steps of a millisecond. Rates are in bytes per millisecond.
    struct Network<'a> {
        delay_ms: u64,
        connection_rate: u64,
        /// Of all connections.
        rate: u64,
        reader_rate: u64,
        /// The delay among others is so many times longer.
        drag: u64,
        is_bound: bool,

        pipe: &'a Pipe,
        now_ms: u64,
        /// What is ahead of the reader, in order.
        gets: VecDeque<Get<'a>>,
        /// What the reader has taken of the first of them, and of all.
        taken: u64,
        read: u64,
    }

    struct Get<'a> {
        flight: Option<Flight<'a>>,
        arrives_ms: u64,
        bytes: u64,
        received: u64,
    }

    /// Megabytes per second.
    fn network(pipe: &Pipe, delay_ms: u64, connection: u64, all: u64, reader: u64) -> Network<'_> {
        Network {
            delay_ms,
            connection_rate: connection * 1000,
            rate: all * 1000,
            reader_rate: reader * 1000,
            drag: 1,
            is_bound: true,
            pipe,
            now_ms: 0,
            gets: VecDeque::new(),
            taken: 0,
            read: 0,
        }
    }

    impl Network<'_> {
        fn now(&self) -> Duration {
            Duration::from_millis(self.now_ms)
        }

        fn window(&self) -> u64 {
            match self.pipe.worth_bytes_and_get_time(self.now()).0 {
                Some(worth) if self.is_bound => worth.min(ALLOWED_BYTES),
                _ => ALLOWED_BYTES,
            }
        }

        fn begin(&mut self) {
            // The first one is short, and alone.
            let bytes = if self.now_ms == 0 { MIB } else { PART_BYTES };
            let flight = Some(self.pipe.begin(self.now()));
            let arrives_ms = self.now_ms + self.delay_ms * if self.running() < 8 { 1 } else { self.drag };
            self.gets.push_back(Get { flight, arrives_ms, bytes, received: 0 });
        }

        fn step(&mut self) {
            let wants_more = |network: &Self| {
                let ahead: u64 = network.gets.iter().map(|get| get.bytes).sum();
                ahead + PART_BYTES <= network.window() + network.taken && network.running() < PLACES
            };
            while self.now_ms == 0 && self.gets.is_empty() || self.read > 0 && wants_more(self) {
                self.begin();
            }
            self.now_ms += 1;
            let (now, now_ms) = (self.now(), self.now_ms);
            let arrives = |get: &Get<'_>| get.flight.is_some() && now_ms > get.arrives_ms;
            let sharers = self.gets.iter().filter(|get| arrives(get)).count().max(1) as u64;
            let rate = self.connection_rate.min(self.rate / sharers);
            for get in self.gets.iter_mut().filter(|get| arrives(get)) {
                let Some(mut flight) = get.flight.take() else { continue };
                if get.received == 0 {
                    flight.answered(now);
                }
                let piece = rate.min(get.bytes - get.received);
                get.received += piece;
                flight.received(piece);
                if get.received == get.bytes {
                    flight.ended(get.bytes, now);
                } else {
                    get.flight = Some(flight);
                }
            }
            self.take();
        }

        fn running(&self) -> usize {
            self.gets.iter().filter(|get| get.flight.is_some()).count()
        }

        fn take(&mut self) {
            let mut may_take = self.reader_rate;
            while may_take > 0 {
                let Some(first) = self.gets.front() else { return self.pipe.waited() };
                let piece = may_take.min(first.received - self.taken);
                (self.taken, self.read, may_take) = (self.taken + piece, self.read + piece, may_take - piece);
                if self.taken < first.bytes {
                    break;
                }
                self.taken = 0;
                self.gets.pop_front();
            }
            if may_take > 0 {
                self.pipe.waited();
            }
        }

        /// Bytes per millisecond that the reader gets over so many seconds.
        fn run(&mut self, seconds: u64) -> u64 {
            let before = self.read;
            (0..seconds * 1000).for_each(|_| self.step());
            (self.read - before) / (seconds * 1000)
        }
    }

    #[test]
    fn windows_keep_the_network_full_and_not_much_more() {
        let mut shown = String::new();
        for (delay_ms, connection, all, reader, drag) in [
            (20, 100, 600, 10_000, 1),
            (20, 100, 2500, 10_000, 1),
            (20, 100, 2500, 10_000, 10),
            (20, 100, 2500, 300, 1),
            (20, 100, 10_000, 10_000, 1),
            (5, 400, 600, 10_000, 1),
            (150, 50, 600, 10_000, 1),
            (150, 100, 2500, 10_000, 1),
        ] {
            let (pipe, other) = (Pipe::default(), Pipe::default());
            let mut bound = Network { drag, ..network(&pipe, delay_ms, connection, all, reader) };
            let mut free = Network { drag, is_bound: false, ..network(&other, delay_ms, connection, all, reader) };
            bound.run(10);
            free.run(10);
            let share = bound.run(20) * 100 / free.run(20);
            writeln!(
                shown,
                "{delay_ms} ms (full: {} ms), connections of {connection} MB/s, {all} in all, reader {reader}: \
                 {} MiB ahead, {share} % of the speed that {} bring",
                delay_ms * drag,
                bound.window() / MIB,
                ALLOWED_BYTES / MIB
            )
            .unwrap();
        }
        expect![[r#"
            20 ms (full: 20 ms), connections of 100 MB/s, 600 in all, reader 10000: 69 MiB ahead, 99 % of the speed that 256 bring
            20 ms (full: 20 ms), connections of 100 MB/s, 2500 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
            20 ms (full: 200 ms), connections of 100 MB/s, 2500 in all, reader 10000: 254 MiB ahead, 102 % of the speed that 256 bring
            20 ms (full: 20 ms), connections of 100 MB/s, 2500 in all, reader 300: 250 MiB ahead, 100 % of the speed that 256 bring
            20 ms (full: 20 ms), connections of 100 MB/s, 10000 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
            5 ms (full: 5 ms), connections of 400 MB/s, 600 in all, reader 10000: 32 MiB ahead, 99 % of the speed that 256 bring
            150 ms (full: 150 ms), connections of 50 MB/s, 600 in all, reader 10000: 256 MiB ahead, 98 % of the speed that 256 bring
            150 ms (full: 150 ms), connections of 100 MB/s, 2500 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn a_reader_that_has_been_slow_is_fast_again_within_a_second() {
        let (pipe, other) = (Pipe::default(), Pipe::default());
        let mut woken = network(&pipe, 20, 100, 2500, 50);
        // The best rate of its beginning, before anything was bound, is forgotten.
        woken.run(180);
        assert_eq!(woken.window(), Tuning::default().pipe_least_bytes);
        woken.reader_rate = 10_000_000;
        woken.run(1);
        let mut quick = network(&other, 20, 100, 2500, 10_000);
        quick.run(20);
        assert!(woken.run(1) * 100 >= quick.run(1) * 90);
    }

    #[test]
    fn nothing_is_bound_before_enough_was_seen_nor_long_afterwards() {
        let pipe = Pipe::default();
        let mut network = network(&pipe, 20, 100, 600, 10_000);
        network.run(1);
        assert_eq!(pipe.worth_bytes_and_get_time(Duration::from_secs(1)).0, None);
        network.run(1);
        assert!(pipe.worth_bytes_and_get_time(Duration::from_secs(2)).0.is_some());
        assert!(pipe.worth_bytes_and_get_time(Duration::from_secs(60)).0.is_some());
        assert_eq!(pipe.worth_bytes_and_get_time(Duration::from_secs(63)).0, None, "what was seen is forgotten");
    }

    #[test]
    fn short_instant_and_dropped_gets_show_nothing() {
        let pipe = Pipe::default();
        for i in 0..1000 {
            let now = Duration::from_millis(10 * i);
            let flight = pipe.begin(now);
            flight.received(128 << 10);
            flight.ended(128 << 10, now + Duration::from_millis(5));
            pipe.begin(now).ended(4 * MIB, now);
            drop(pipe.begin(now));
        }
        assert_eq!(pipe.worth_bytes_and_get_time(Duration::from_secs(10)).0, None);
        assert_eq!(pipe.in_flight.load(Ordering::Relaxed), 0);
    }
}
