//! What the network has shown of itself: how much arrives, how long a GET takes, and so how much is worth having on
//! its way ahead of a reader.
//!
//! 1. *How much arrives.* While a GET is on its way, bytes arrive for it and for all others; those, divided by its life,
//!    are a sample of the rate. Lives overlap, so there is no slice of time that was only partly busy. The best sample
//!    of the last minute or two counts: what arrives while readers are slow says nothing of the network.
//! 2. *How long a GET takes* where the network is not full: that shows when it is alone, as the first one of a load may
//!    be. Among others it takes as long as they make it, so of those the quickest counts, until one is alone again.
//! 3. *How much is worth having.* Rate times life keeps the network full. Twice that leaves room for parts that come
//!    out of order, and finds out of its own accord when more could arrive: then the next best sample is up to twice
//!    the last. More would only wait in the network's queues, in memory that other files could use.
//! 4. *Whether that is true.* Processors that are busy make GETs last longer than the network does. Where readers wait
//!    though less arrives than could, the bound is raised until that ends.
//! 5. *Before enough has been seen.* Little is worth having until so much has arrived that the reader means to go on, or
//!    until the network shows room: GETs among many others spent half of their lives waiting for their first byte, or
//!    came as fast as those among few. So a thin network brings the first megabytes before those that may never be
//!    wanted. For a second after that nothing is bound, which shows how much can arrive.
//!
//! What was seen long ago is forgotten.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// The best rate of this one and the last counts.
const PERIOD: Duration = Duration::from_secs(60);
/// How the bound works out is looked at so often.
const SLOT: Duration = Duration::from_secs(1);
/// Little is worth having until so many bytes have arrived.
const CAREFUL_BYTES: u64 = 128 << 20;
/// Rate and life are known when so many GETs have ended after that...
const FIRST_GETS: u64 = 64;
/// ... and so much time has passed since the first of them.
const FIRST_TIME: Duration = Duration::from_secs(1);
/// A GET was among others when so many times its own bytes arrived during its life. The first window brings up to 16.
const SOME: u64 = 8;
const MANY: u64 = 24;
/// The bound is this many times rate times life at first, in eighths...
const FIRST_GAIN: u64 = 16;
/// ... and at most.
const MOST_GAIN: u64 = 128;
/// Less is never worth having, in bytes, and this is little: at 20 ms to the first byte this is in flight
/// where 1.6 GB/s arrive. GETs that began together end together, and nothing arrives until the next ones are answered:
/// at 125 MB/s up to 4 % of the time goes like that, and with half of this twice as much.
pub(super) const LEAST_BYTES: u64 = 64 << 20;
/// GETs shorter than this show nothing but their delay.
const LEAST_GET_BYTES: u64 = 1 << 20;

/// Bytes in a MiB.
const MIB: f64 = (1 << 20) as f64;

/// What the network has shown lately. One for the whole daemon.
#[derive(Debug, Default)]
pub(super) struct Pipe {
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

/// How much is worth having ahead of a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Worth {
    /// No more than [`LEAST_BYTES`], as far as is known yet.
    Little,
    /// Nobody knows, but it pays to try more than that.
    Much,
    /// So many bytes.
    Bytes(u64),
}

/// A GET that has ended.
struct Ended {
    bytes: u64,
    life: Duration,
    /// Until the head of its answer.
    wait: Duration,
    /// Bytes of all GETs during its life.
    arrived: u64,
    /// Nobody else was under way.
    is_alone: bool,
}

#[derive(Debug, Default)]
struct Shown {
    /// How long a GET takes where the network is not full: until the head of its answer, and for each MiB from there.
    wait: Option<Duration>,
    per_mib: Option<Duration>,
    /// More than what was in flight could arrive, since nothing was known.
    has_room: bool,
    /// Bytes of all GETs, since nothing was known.
    bytes: u64,
    /// Of the GET that ended last.
    get_bytes: u64,
    /// When the last GET ended; when the first did after a careful beginning, and how many did since then.
    last: Duration,
    first: Duration,
    gets: u64,
    /// Bytes per second: the best of the last period, of this one, and of this slot.
    best_before: u64,
    best: u64,
    best_of_slot: u64,
    /// When period and slot began.
    period: Duration,
    slot: Duration,
    /// Beyond the first, in eighths.
    more_gain: u64,
}

impl Pipe {
    /// A GET begins.
    pub(super) fn begin(&self, now: Duration) -> Flight<'_> {
        let began_alone = self.in_flight.fetch_add(1, Ordering::Relaxed) == 0;
        let received_before = self.received_bytes.load(Ordering::Relaxed);
        Flight { pipe: self, began: now, answered: now, received_before, began_alone }
    }

    /// A reader waits for bytes.
    pub(super) fn waited(&self) {
        // Read first: while it is set, nobody need own its cache line.
        if !self.has_waited.load(Ordering::Relaxed) {
            self.has_waited.store(true, Ordering::Relaxed);
        }
    }

    /// How much is worth having ahead of a reader now.
    pub(super) fn worth(&self, now: Duration) -> Worth {
        let mut shown = self.shown.lock();
        shown.pass(now, &self.has_waited);
        shown.worth()
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
        if life.is_zero() {
            return;
        }
        let arrived = self.pipe.received_bytes.load(Ordering::Relaxed).saturating_sub(self.received_before);
        let wait = self.answered.saturating_sub(self.began);
        // Others may have set out before it ended; most of what arrived must be its own.
        let is_alone = self.began_alone && arrived < bytes * 2;
        let mut shown = self.pipe.shown.lock();
        shown.pass(now, &self.pipe.has_waited);
        shown.add(&Ended { bytes, life, wait, arrived, is_alone }, now);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.pipe.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shown {
    fn add(&mut self, get: &Ended, now: Duration) {
        let better = |known: Option<Duration>, new: Duration| {
            known.map_or(new, |known| match get.is_alone {
                true => new,
                false => known.min(new),
            })
        };
        let wait = better(self.wait, get.wait);
        self.wait = Some(wait);
        if get.bytes < LEAST_GET_BYTES {
            return;
        }
        let per_mib = get.life.saturating_sub(wait).mul_f64(MIB / get.bytes as f64);
        let is_delay = get.arrived >= SOME * get.bytes && get.life <= wait * 2;
        let is_unhindered = self.per_mib.is_some_and(|least| per_mib <= least * 5 / 4);
        self.has_room |= is_delay || is_unhindered && get.arrived >= MANY * get.bytes;
        self.per_mib = Some(better(self.per_mib, per_mib));
        if self.bytes == 0 {
            (self.period, self.slot) = (now, now);
        }
        (self.last, self.get_bytes) = (now, get.bytes);
        self.bytes += get.bytes;
        if self.bytes >= CAREFUL_BYTES || self.has_room {
            self.first = if self.gets == 0 { now } else { self.first };
            self.gets += 1;
        }
        let rate = u128::from(get.arrived) * 1_000_000_000 / get.life.as_nanos();
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        self.best = self.best.max(rate);
        self.best_of_slot = self.best_of_slot.max(rate);
    }

    /// Time passes.
    fn pass(&mut self, now: Duration, has_waited: &AtomicBool) {
        if now.saturating_sub(self.last) > PERIOD {
            *self = Shown { wait: self.wait, per_mib: self.per_mib, ..Shown::default() };
            return;
        }
        if now.saturating_sub(self.slot) >= SLOT {
            let falls_short = self.best_of_slot < self.rate() / 10 * 9;
            // Not before it was bound by what was seen.
            let is_bound = matches!(self.worth(), Worth::Bytes(_));
            if has_waited.swap(false, Ordering::Relaxed) && falls_short && is_bound {
                self.more_gain = (self.gain() * 3 / 2).min(MOST_GAIN) - FIRST_GAIN;
            }
            (self.slot, self.best_of_slot) = (now, 0);
        }
        if now.saturating_sub(self.period) >= PERIOD {
            (self.period, self.best_before, self.best, self.more_gain) = (now, self.best, 0, 0);
        }
    }

    fn rate(&self) -> u64 {
        self.best.max(self.best_before)
    }

    fn gain(&self) -> u64 {
        FIRST_GAIN + self.more_gain
    }

    fn worth(&self) -> Worth {
        let is_seen = self.gets >= FIRST_GETS && self.last.saturating_sub(self.first) >= FIRST_TIME;
        let (Some(wait), Some(per_mib), true) = (self.wait, self.per_mib, is_seen) else {
            return if self.gets > 0 { Worth::Much } else { Worth::Little };
        };
        let life = wait + per_mib.mul_f64(self.get_bytes as f64 / MIB);
        let held = u128::from(self.rate()) * life.as_nanos() / 1_000_000_000;
        let worth = held * u128::from(self.gain()) / 8;
        Worth::Bytes(u64::try_from(worth).unwrap_or(u64::MAX).max(LEAST_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fmt::Write;

    use expect_test::expect;

    use super::*;

    const MIB: u64 = 1 << 20;
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
            match self.pipe.worth(self.now()) {
                _ if !self.is_bound => ALLOWED_BYTES,
                Worth::Little => LEAST_BYTES,
                Worth::Much => ALLOWED_BYTES,
                Worth::Bytes(bytes) => bytes.min(ALLOWED_BYTES),
            }
        }

        /// As `window` lets it grow and cuts it.
        fn earned(&self) -> (u64, u64) {
            let proof = (16 * MIB).max(self.read * 32);
            let window = self.window().min(proof);
            let part = match window {
                _ if window <= 16 * MIB => MIB,
                _ if window <= LEAST_BYTES => 2 * MIB,
                _ => 4 * MIB,
            };
            (window, part)
        }

        fn begin(&mut self) {
            // The first one is as short as the kernel's first requests.
            let bytes = if self.now_ms == 0 { 128 << 10 } else { self.earned().1 };
            let flight = Some(self.pipe.begin(self.now()));
            let arrives_ms = self.now_ms + self.delay_ms * if self.running() < 8 { 1 } else { self.drag };
            self.gets.push_back(Get { flight, arrives_ms, bytes, received: 0 });
        }

        fn step(&mut self) {
            let wants_more = |network: &Self| {
                let ahead: u64 = network.gets.iter().map(|get| get.bytes).sum();
                let (window, part) = network.earned();
                ahead + part <= window + network.taken && network.running() < PLACES
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
            20 ms (full: 20 ms), connections of 100 MB/s, 600 in all, reader 10000: 115 MiB ahead, 100 % of the speed that 256 bring
            20 ms (full: 20 ms), connections of 100 MB/s, 2500 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
            20 ms (full: 200 ms), connections of 100 MB/s, 2500 in all, reader 10000: 254 MiB ahead, 101 % of the speed that 256 bring
            20 ms (full: 20 ms), connections of 100 MB/s, 2500 in all, reader 300: 256 MiB ahead, 100 % of the speed that 256 bring
            20 ms (full: 20 ms), connections of 100 MB/s, 10000 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
            5 ms (full: 5 ms), connections of 400 MB/s, 600 in all, reader 10000: 143 MiB ahead, 100 % of the speed that 256 bring
            150 ms (full: 150 ms), connections of 50 MB/s, 600 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
            150 ms (full: 150 ms), connections of 100 MB/s, 2500 in all, reader 10000: 256 MiB ahead, 100 % of the speed that 256 bring
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn the_first_megabytes_come_before_those_that_may_never_be_wanted() {
        let mut shown = String::new();
        for (delay_ms, connection, all) in [
            (20, 100, 125),
            (20, 25, 200),
            (20, 100, 600),
            (20, 100, 1400),
            (20, 100, 2500),
            (20, 25, 2500),
            (150, 50, 600),
        ] {
            let figures = [true, false].map(|is_bound| {
                let pipe = Pipe::default();
                let mut network = Network { is_bound, ..network(&pipe, delay_ms, connection, all, 10_000) };
                let mut milestones = [32, 256, 1024].map(|mib| {
                    while network.read < mib * MIB {
                        network.step();
                    }
                    (network.now_ms, network.pipe.received_bytes.load(Ordering::Relaxed) / MIB)
                });
                milestones[2].1 = 0;
                milestones
            });
            let [[bound, bound_more, bound_most], [free, free_more, free_most]] = figures;
            writeln!(
                shown,
                "{delay_ms} ms, connections of {connection} MB/s, {all} in all: 32 MiB in {} ms with {} MiB received, \
                 256 in {} ms, 1024 in {} ms; without a bound {} ms with {} MiB, {} ms, {} ms",
                bound.0, bound.1, bound_more.0, bound_most.0, free.0, free.1, free_more.0, free_most.0
            )
            .unwrap();
        }
        expect![[r#"
            20 ms, connections of 100 MB/s, 125 in all: 32 MiB in 648 ms with 72 MiB received, 256 in 3193 ms, 1024 in 9422 ms; without a bound 980 ms with 112 MiB, 2802 ms, 9644 ms
            20 ms, connections of 25 MB/s, 200 in all: 32 MiB in 405 ms with 69 MiB received, 256 in 2025 ms, 1024 in 5809 ms; without a bound 599 ms with 106 MiB, 1729 ms, 6059 ms
            20 ms, connections of 100 MB/s, 600 in all: 32 MiB in 176 ms with 72 MiB received, 256 in 736 ms, 1024 in 1972 ms; without a bound 244 ms with 111 MiB, 538 ms, 2060 ms
            20 ms, connections of 100 MB/s, 1400 in all: 32 MiB in 148 ms with 119 MiB received, 256 in 268 ms, 1024 in 927 ms; without a bound 148 ms with 119 MiB, 268 ms, 927 ms
            20 ms, connections of 100 MB/s, 2500 in all: 32 MiB in 114 ms with 119 MiB received, 256 in 194 ms, 1024 in 571 ms; without a bound 114 ms with 119 MiB, 194 ms, 571 ms
            20 ms, connections of 25 MB/s, 2500 in all: 32 MiB in 179 ms with 75 MiB received, 256 in 378 ms, 1024 in 1107 ms; without a bound 179 ms with 119 MiB, 369 ms, 1032 ms
            150 ms, connections of 50 MB/s, 600 in all: 32 MiB in 645 ms with 114 MiB received, 256 in 916 ms, 1024 in 2855 ms; without a bound 645 ms with 114 MiB, 916 ms, 2855 ms
        "#]].assert_eq(&shown);
    }

    #[test]
    fn a_reader_that_has_been_slow_is_fast_again_within_a_second() {
        let (pipe, other) = (Pipe::default(), Pipe::default());
        let mut woken = network(&pipe, 20, 100, 2500, 50);
        // The best rate of its beginning, before anything was bound, is forgotten.
        woken.run(180);
        assert_eq!(woken.window(), LEAST_BYTES);
        woken.reader_rate = 10_000_000;
        woken.run(1);
        let mut quick = network(&other, 20, 100, 2500, 10_000);
        quick.run(20);
        assert!(woken.run(1) * 100 >= quick.run(1) * 90);
    }

    #[test]
    fn little_is_worth_having_before_enough_was_seen_and_long_afterwards() {
        let pipe = Pipe::default();
        let mut network = network(&pipe, 20, 100, 600, 10_000);
        assert_eq!(pipe.worth(Duration::ZERO), Worth::Little);
        while network.read < CAREFUL_BYTES / 2 {
            assert_eq!(pipe.worth(network.now()), Worth::Little);
            network.step();
        }
        network.run(1);
        assert_eq!(pipe.worth(network.now()), Worth::Much);
        network.run(1);
        assert!(matches!(pipe.worth(network.now()), Worth::Bytes(_)));
        assert!(matches!(pipe.worth(Duration::from_secs(60)), Worth::Bytes(_)));
        assert_eq!(pipe.worth(Duration::from_secs(64)), Worth::Little, "what was seen is forgotten");
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
        assert_eq!(pipe.worth(Duration::from_secs(10)), Worth::Little);
        assert_eq!(pipe.in_flight.load(Ordering::Relaxed), 0);
    }
}
