//! How much memory may be held while the machine, or a cgroup that this process is in, is short of it.
//!
//! A function of what was observed: each observation of want halves the limit, down to a floor that lets readers go
//! on; after a while of calm it grows back by small steps. Observing is left to `app`.

use std::sync::Arc;
use std::time::Duration;

use super::tuning::Tuning;

/// What was seen of the memory of the machine and of the cgroups over some time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observation {
    /// How long this was.
    pub interval: Duration,
    /// How long in it some task stood still for lack of memory; zero where that is not known.
    pub stalled: Duration,
    /// The limits that hold, and what is left below each.
    pub limits: Vec<Headroom>,
}

/// What is left below a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headroom {
    /// The limit, in bytes.
    pub limit_bytes: u64,
    /// Bytes that are free, or can be had for the asking.
    pub free_bytes: u64,
}

/// What an observation changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Memory has become short: no more than so many bytes are held from now on, and less as long as it lasts.
    Short(u64),
    /// It is plentiful again: so many bytes may be held.
    Plentiful(u64),
}

/// The limit as it changes.
#[derive(Clone, Debug)]
pub(super) struct Pressure {
    tuning: Arc<Tuning>,
    configured_bytes: u64,
    limit_bytes: u64,
    calm: Duration,
}

impl Pressure {
    /// Memory is plentiful: all that is configured may be held.
    pub(super) fn new(configured_bytes: u64, tuning: Arc<Tuning>) -> Self {
        Pressure { tuning, configured_bytes, limit_bytes: configured_bytes, calm: Duration::ZERO }
    }

    /// How much may be held now, in bytes.
    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Another limit is configured. Where memory is short, what is short stays so.
    pub(super) fn configure(&mut self, bytes: u64) {
        let is_short = self.limit_bytes < self.configured_bytes;
        self.configured_bytes = bytes;
        self.limit_bytes = if is_short { self.limit_bytes.min(bytes) } else { bytes };
    }

    /// Takes an observation in.
    pub(super) fn observe(&mut self, seen: &Observation) -> Option<Change> {
        let before = self.limit_bytes;
        let tuning = &*self.tuning;
        if seen.is_want(1, tuning) {
            self.calm = Duration::ZERO;
            self.limit_bytes = (before / 2).max(tuning.pressure_floor_bytes).min(before);
        } else if seen.is_want(2, tuning) {
            self.calm = Duration::ZERO;
        } else if self.calm < ms(tuning.pressure_calm_ms) {
            self.calm = self.calm.saturating_add(seen.interval);
        } else {
            let share = seen.interval.as_secs_f64() / ms(tuning.pressure_recovery_ms).as_secs_f64();
            // A share of what is configured, and no more than all of it.
            let more = (self.configured_bytes as f64 * share.min(1.0)) as u64;
            self.limit_bytes = before.saturating_add(more).min(self.configured_bytes);
        }
        let (was_full, is_full) = (before == self.configured_bytes, self.limit_bytes == self.configured_bytes);
        match (was_full, is_full) {
            (true, false) => Some(Change::Short(self.limit_bytes)),
            (false, true) => Some(Change::Plentiful(self.limit_bytes)),
            _ => None,
        }
    }
}

impl Observation {
    /// Whether memory is short, or would be if `factor` times as much had to be free.
    fn is_want(&self, factor: u64, tuning: &Tuning) -> bool {
        let is_scarce = |room: &Headroom| {
            let least_bytes = (room.limit_bytes / tuning.scarce_share).min(tuning.scarce_bytes);
            room.free_bytes < least_bytes.saturating_mul(factor)
        };
        let is_ample = |room: &Headroom| room.free_bytes / tuning.ample_quarters >= room.limit_bytes / 4;
        let is_everywhere_ample = !self.limits.is_empty() && self.limits.iter().all(is_ample);
        let stalled_share = u32::try_from(tuning.stalled_share).unwrap_or(u32::MAX);
        let is_stalled = !self.interval.is_zero() && self.stalled.saturating_mul(stalled_share) >= self.interval;
        is_stalled && !is_everywhere_ample || self.limits.iter().any(is_scarce)
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What wakes the observer before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alarm {
    /// The kernel tells when a task stands still for lack of memory.
    Kernel,
    /// Nothing wakes it before its time.
    None,
}

impl Observation {
    /// How long it may take until the next one. A neighbour that takes a twentieth of a limit each second is seen
    /// before it has taken what must be free; near the limit that means looking again at once.
    fn pause(&self, alarm: Alarm, tuning: &Tuning) -> Duration {
        let (least, longest) = (ms(tuning.least_look_ms), ms(tuning.longest_look_ms).max(ms(tuning.least_look_ms)));
        let left = |room: &Headroom| {
            let step = (room.limit_bytes / tuning.scarce_share).clamp(1, tuning.scarce_bytes);
            let spare = room.free_bytes.saturating_sub(step);
            ms((spare / step).min(3600) * 1000 + (spare % step) * 1000 / step)
        };
        let soonest = self.limits.iter().map(left).min().unwrap_or(longest);
        let most = if alarm == Alarm::Kernel { longest } else { ms(tuning.regular_look_ms) };
        soonest.clamp(least, longest).min(most)
    }
}

impl Pressure {
    /// When to observe memory again after `seen`, unless the alarm rings before; `used_bytes` are held.
    pub(super) fn next_observation(&self, seen: &Observation, alarm: Alarm, used_bytes: u64) -> Duration {
        let tuning = &*self.tuning;
        match () {
            // It grows back by the time that has passed.
            () if self.limit_bytes < self.configured_bytes => seen.pause(alarm, tuning).min(ms(tuning.regular_look_ms)),
            () if used_bytes <= tuning.pressure_floor_bytes => ms(tuning.idle_look_ms),
            () => seen.pause(alarm, tuning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::tests::{Bed, MIB, content, read_through};
    use super::*;
    use crate::metrics::Metric;

    const SECOND: Duration = Duration::from_secs(1);

    fn stalled(millis: u64) -> Observation {
        Observation { interval: SECOND, stalled: Duration::from_millis(millis), limits: Vec::new() }
    }

    fn free(limit: u64, free: u64) -> Observation {
        let limits = vec![
            Headroom { limit_bytes: u64::MAX, free_bytes: u64::MAX },
            Headroom { limit_bytes: limit * MIB, free_bytes: free * MIB },
        ];
        Observation { interval: SECOND, stalled: Duration::ZERO, limits }
    }

    /// The limit in MiB after each observation, from `configured` MiB on.
    fn check(configured: u64, seen: &[(Observation, usize)], expected: &[(u64, Option<Change>)]) {
        let mut pressure = Pressure::new(configured * MIB, Arc::default());
        let after: Vec<_> = seen
            .iter()
            .map(|(seen, times)| {
                let changes: Vec<_> = (0..*times).filter_map(|_| pressure.observe(seen)).collect();
                assert!(changes.len() <= 1, "{changes:?}");
                (pressure.limit_bytes / MIB, changes.first().copied())
            })
            .collect();
        assert_eq!(after, expected);
    }

    #[test]
    fn stalls_halve_the_limit_and_calm_brings_it_back_slowly() {
        check(
            1024,
            &[
                (stalled(99), 100),
                (stalled(100), 1),
                (stalled(500), 2),
                (stalled(0), 10),
                (stalled(0), 1),
                (stalled(0), 26),
                (stalled(0), 1),
            ],
            &[
                (1024, None),
                (512, Some(Change::Short(512 * MIB))),
                (128, None),
                (128, None),
                (160, None),
                (992, None),
                (1024, Some(Change::Plentiful(1024 * MIB))),
            ],
        );
    }

    #[test]
    fn another_configuration_holds_at_once_and_more_of_it_waits_for_memory() {
        let mut pressure = Pressure::new(1024 * MIB, Arc::default());
        pressure.configure(2048 * MIB);
        assert_eq!(pressure.limit_bytes, 2048 * MIB);
        pressure.observe(&stalled(100));
        pressure.configure(4096 * MIB);
        assert_eq!(pressure.limit_bytes, 1024 * MIB, "memory is short");
        pressure.configure(512 * MIB);
        assert_eq!(pressure.limit_bytes, 512 * MIB);
    }

    #[test]
    fn stalls_are_no_want_where_nearly_all_is_free() {
        let stalled = |free_mib| Observation { stalled: SECOND, ..free(1000, free_mib) };
        check(400, &[(stalled(750), 100), (stalled(740), 1)], &[(400, None), (200, Some(Change::Short(200 * MIB)))]);
    }

    #[test]
    fn there_is_a_floor_and_a_small_limit_stays_as_it_is() {
        check(256, &[(stalled(1000), 100)], &[(32, Some(Change::Short(128 * MIB)))]);
        check(20, &[(stalled(1000), 100)], &[(20, None)]);
    }

    #[test]
    fn a_limit_that_is_nearly_reached_is_want_and_one_that_is_near_holds_the_growth() {
        check(
            400,
            &[
                (free(1000, 50), 1),
                (free(1000, 49), 1),
                (free(1000, 99), 100),
                (free(1000, 100), 11),
                (free(1 << 20, 1023), 1),
            ],
            &[(400, None), (200, Some(Change::Short(200 * MIB))), (200, None), (212, None), (106, None)],
        );
    }

    #[test]
    fn calm_and_growth_go_by_time_and_not_by_looks() {
        let long = |seconds: u64| Observation { interval: Duration::from_secs(seconds), ..stalled(0) };
        let short = Observation { interval: Duration::from_millis(100), ..stalled(0) };
        check(
            1024,
            &[(stalled(100), 1), (short.clone(), 100), (short, 10), (long(3), 1), (long(100), 1)],
            &[
                (512, Some(Change::Short(512 * MIB))),
                (512, None),
                (543, None),
                (639, None),
                (1024, Some(Change::Plentiful(1024 * MIB))),
            ],
        );
    }

    #[test]
    fn the_less_is_free_the_sooner_it_is_looked_again() {
        let tuning = Tuning::default();
        let millis = |free_mib| free(1000, free_mib).pause(Alarm::Kernel, &tuning).as_millis();
        // A twentieth is taken in a second: 50 MiB.
        assert_eq!([1000, 600, 300, 125, 60, 49, 0].map(millis), [19_000, 11_000, 5_000, 1_500, 200, 100, 100]);
        assert_eq!(free(1000, 600).pause(Alarm::None, &tuning), SECOND);
        assert_eq!(free(1000, 60).pause(Alarm::None, &tuning), Duration::from_millis(200));
        // Of a large machine a gigabyte a second is enough.
        assert_eq!(free(1 << 20, 1 << 13).pause(Alarm::Kernel, &tuning), Duration::from_secs(7));
        assert_eq!(free(1 << 20, 1 << 18).pause(Alarm::Kernel, &tuning), 30 * SECOND);
        assert_eq!(Observation::default().pause(Alarm::Kernel, &tuning), 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_nothing_need_not_look() {
        let bed = Bed::new(Options { memory_limit: 128 * MIB, ..Options::default() });
        let near = free(1000, 60);
        assert_eq!(bed.reader.next_observation(&near, Alarm::None), 60 * SECOND);
        let kept = content(60 * MIB, 1);
        read_through(&bed.reader.open(bed.object("kept", &kept)), &kept, 1 << 20).await;
        assert!(bed.reader.accounted_bytes() >= 60 * MIB);
        assert_eq!(bed.reader.next_observation(&near, Alarm::Kernel), Duration::from_millis(200));
        assert_eq!(bed.reader.next_observation(&free(1000, 900), Alarm::Kernel), Duration::from_secs(17));
        bed.reader.observe_memory(&stalled(1000));
        assert_eq!(bed.reader.next_observation(&free(1000, 900), Alarm::Kernel), SECOND, "it is to grow back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_gives_up_what_it_keeps_and_goes_on() {
        let bed = Bed::new(Options { memory_limit: 128 * MIB, ..Options::default() });
        let (kept, live) = (content(60 * MIB, 1), content(20 * MIB, 2));
        read_through(&bed.reader.open(bed.object("kept", &kept)), &kept, 1 << 20).await;
        let file = bed.reader.open(bed.object("live", &live));
        file.read(0, 1 << 20).await.unwrap();
        assert!(bed.held() > 60 * MIB);
        for _ in 0..3 {
            bed.reader.observe_memory(&stalled(500));
        }
        assert!(bed.held() <= 32 * MIB, "{} bytes are held", bed.held());
        assert_eq!((bed.count(Metric::MemoryLimit), bed.count(Metric::MemoryShortages)), (32 * MIB, 1));
        read_through(&file, &live, 1 << 20).await;
        read_through(&bed.reader.open(bed.object("kept", &kept)), &kept, 1 << 20).await;
        assert!(bed.held() <= 32 * MIB);
    }

    #[test]
    fn nothing_seen_is_calm() {
        check(400, &[(Observation::default(), 100)], &[(400, None)]);
    }
}
