//! Recognising programs that take the files of a directory one after the other, from their places in an order. Pure:
//! numbers in, numbers out.
//!
//! A *run* is a reader, or several that share the work, going upwards through the order. Like a stream of bytes it
//! accepts steps some way before and behind where it stands, and insists on density: half of what it has passed must
//! have been read, and nearly all of it at first. So workers that take every fourth file, or overtake each other, are
//! one run, and a sampler in random order is none. How far ahead files are named grows with the length of the run, so
//! that what is named in vain stays in proportion to what was read; a run that broke off short makes the next ones
//! prove themselves for longer.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Tuning;

/// Runs that go on in one order: one for each of several readers at different places.
const RUNS: usize = 8;
/// Why the order is likely to be followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trust {
    /// Because it has been so far.
    Earned,
    /// The names say that the files belong together.
    Given,
}

/// Names a run for as long as the daemon lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RunId(pub(super) u64);

/// The runs through one order.
#[derive(Debug)]
pub(super) struct Runs {
    tuning: Arc<Tuning>,
    trust: Trust,
    runs: Vec<FileRun>,
    patience: u64,
}

/// What is to be fetched ahead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    /// On behalf of which run.
    pub(super) run: RunId,
    /// Which files, in this order.
    pub(super) range: Range<u64>,
}

#[derive(Clone, Debug)]
struct FileRun {
    id: RunId,
    start: u64,
    /// Behind the furthest that was read.
    end: u64,
    /// Behind the last that was read or named.
    frontier: u64,
    /// What the frontier was before the reader seemed to have stopped.
    withdrawn: u64,
    /// Which of the last 64 before `end` were read, the last one in the lowest bit.
    recent: u64,
    /// Files read, and places passed; both are halved now and then.
    read: u64,
    passed: u64,
    /// Files read in all.
    length: u64,
    used: u64,
}

impl FileRun {
    fn new(at: u64, used: u64) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = RunId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let (end, frontier) = (at + 1, at + 1);
        FileRun { id, start: at, end, frontier, withdrawn: 0, recent: 1, read: 1, passed: 1, length: 1, used }
    }

    /// How far a step is from where the run stands; `None` where it is none of its steps.
    fn distance(&self, at: u64, patience: u64, tuning: &Tuning) -> Option<u64> {
        let (late, reach) = match self.length >= patience {
            true => (
                (2 * self.length).clamp(tuning.nearby_files, tuning.most_files_ahead.max(tuning.nearby_files)),
                self.frontier,
            ),
            false => (tuning.nearby_files, self.end),
        };
        (at + late >= self.end && at <= reach + tuning.nearby_files).then(|| at.abs_diff(self.end))
    }

    /// The run after a step; `None` where that was taken before.
    fn stepped(&self, at: u64, memory: u64) -> Option<FileRun> {
        let mut run = self.clone();
        run.step(at, memory).then_some(run)
    }

    /// Takes a step; says whether it was one.
    fn step(&mut self, at: u64, memory: u64) -> bool {
        if at >= self.end {
            let by = at + 1 - self.end;
            self.recent = self.recent.checked_shl(by.min(64) as u32).unwrap_or(0) | 1;
            self.end = at + 1;
            self.frontier = self.frontier.max(self.end);
            self.passed += by;
        } else {
            let bit = 1u64.checked_shl((self.end - 1 - at).min(64) as u32).unwrap_or(0);
            if self.recent & bit != 0 {
                return false;
            }
            self.recent |= bit;
            self.passed += self.start.saturating_sub(at);
            self.start = self.start.min(at);
        }
        (self.read, self.length) = (self.read + 1, self.length + 1);
        if self.passed > memory {
            (self.read, self.passed) = (self.read / 2, self.passed / 2);
        }
        true
    }

    /// Whether it leaves out little of what it passes: next to nothing, until it is believed in.
    fn is_dense(&self, patience: u64) -> bool {
        match self.length > patience {
            true => self.read * 2 >= self.passed,
            false => self.read * 4 >= self.passed * 3,
        }
    }
}

impl Runs {
    pub(super) fn new(trust: Trust, tuning: Arc<Tuning>) -> Self {
        let patience = if trust == Trust::Given { 1 } else { tuning.run_patience };
        Runs { tuning, trust, runs: Vec::new(), patience }
    }

    /// The file at a place, below `end`, was read, as the `now`th file of any order: which ones to fetch ahead. With
    /// earned trust each is named once in a run, unless it was withdrawn.
    pub(super) fn read(&mut self, at: u64, end: u64, now: u64) -> Option<Named> {
        let near = |(index, run): (usize, &FileRun)| Some((run.distance(at, self.patience, &self.tuning)?, index));
        let nearest = self.runs.iter().enumerate().filter_map(near).min();
        let Some((stepped, index)) =
            nearest.map(|(_, index)| (self.runs[index].stepped(at, self.tuning.run_memory), index))
        else {
            return self.begin(at, end, now);
        };
        match stepped {
            None => None,
            Some(run) if run.is_dense(self.patience) => {
                self.runs[index] = FileRun { used: now, ..run };
                self.ahead(index, end)
            }
            // Too far for this run, which may go on where it was.
            Some(_) => self.begin(at, end, now),
        }
    }

    /// The runs that named files and read none while [`Tuning::quiet_reads`] were read elsewhere. What they named is
    /// named anew when they go on.
    pub(super) fn withdraw(&mut self, now: u64) -> Vec<RunId> {
        let quiet_reads = self.tuning.quiet_reads;
        let is_quiet = |run: &&mut FileRun| run.frontier > run.end && run.used + quiet_reads <= now;
        let withdraw = |run: &mut FileRun| {
            run.withdrawn = run.frontier;
            run.frontier = run.end;
            run.id
        };
        self.runs.iter_mut().filter(is_quiet).map(withdraw).collect()
    }

    /// Whether some run has named files that it has not come to.
    pub(super) fn have_named(&self) -> bool {
        self.runs.iter().any(|run| run.frontier > run.end)
    }

    fn begin(&mut self, at: u64, end: u64, now: u64) -> Option<Named> {
        if self.runs.len() >= RUNS {
            // Steps at random must not push out a run that goes on.
            let worth = |run: &FileRun| (run.length >= self.patience, run.used);
            if let Some(index) = (0..self.runs.len()).min_by_key(|&index| worth(&self.runs[index])) {
                let run = self.runs.swap_remove(index);
                self.is_over(&run);
            }
        }
        self.runs.push(FileRun::new(at, now));
        self.ahead(self.runs.len() - 1, end)
    }

    /// Learns from a run that has ended.
    fn is_over(&mut self, run: &FileRun) {
        if self.trust == Trust::Given {
            return;
        }
        if run.frontier.max(run.withdrawn).saturating_sub(run.end) > run.length {
            self.patience = (self.patience * 2).min(self.tuning.most_run_patience);
        } else if run.length > self.tuning.most_files_ahead {
            self.patience = self.tuning.run_patience;
        }
    }

    fn ahead(&mut self, index: usize, end: u64) -> Option<Named> {
        let run = &self.runs[index];
        let others = self.runs.iter().map(|other| other.start).filter(|&start| start >= run.end);
        // What another reader has begun with was fetched for it.
        let bound = others.min().unwrap_or(end).min(end);
        let run = &mut self.runs[index];
        let (from, count) = match self.trust {
            _ if run.length < self.patience => return None,
            Trust::Earned => (run.frontier, (2 * (run.length - 1)).min(self.tuning.most_files_ahead)),
            // Few, and what had no room may have it now.
            Trust::Given => (run.end, run.length.min(self.tuning.most_shards_ahead)),
        };
        let to = (run.end + count).min(bound);
        if from >= to {
            return None;
        }
        run.frontier = run.frontier.max(to);
        Some(Named { run: run.id, range: from..to })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// What reading files in this order names ahead, step by step.
    fn check(trust: Trust, read: &[u64], end: u64, expected: &[&str]) {
        let mut runs = Runs::new(trust, Arc::default());
        let show = |named: Option<Named>| named.map_or("-".to_owned(), |named| format!("{:?}", named.range));
        let shown: Vec<String> = (1..).zip(read).map(|(now, &at)| show(runs.read(at, end, now))).collect();
        assert_eq!(shown, expected);
    }

    /// How many of the files were named before they were read, and how many were named and not read later.
    fn named(read: &[u64], end: u64) -> (usize, usize) {
        let mut runs = Runs::new(Trust::Earned, Arc::default());
        let (mut ahead, mut hits, mut seen) = (HashSet::new(), 0, HashSet::new());
        for (now, &at) in (1..).zip(read) {
            hits += usize::from(ahead.remove(&at));
            seen.insert(at);
            let named = runs.read(at, end, now).map_or(0..0, |named| named.range);
            ahead.extend(named.filter(|at| !seen.contains(at)));
        }
        (hits, ahead.len())
    }

    #[test]
    fn a_third_neighbour_leads_to_the_next_ones_and_each_further_one_to_more() {
        check(Trust::Earned, &[7, 8, 9, 10, 11], 1000, &["-", "-", "10..14", "14..17", "17..20"]);
        check(Trust::Earned, &[0, 1, 2, 3, 4], 5, &["-", "-", "3..5", "-", "-"]);
        check(Trust::Earned, &[5, 5, 5, 5], 1000, &["-", "-", "-", "-"]);
        check(Trust::Earned, &[9, 8, 7, 900, 30], 1000, &["-", "-", "10..14", "-", "-"]);
    }

    #[test]
    fn what_was_named_is_withdrawn_when_many_were_read_elsewhere_and_named_anew_when_the_run_goes_on() {
        let mut runs = Runs::new(Trust::Earned, Arc::default());
        let named: Vec<_> = (0..4).map(|at| runs.read(at, 1000, at)).collect();
        let Some(last) = named[3].clone() else { panic!("{named:?}") };
        assert_eq!(last.range, 7..10);
        assert_eq!(runs.withdraw(3 + runs.tuning.quiet_reads - 1), []);
        assert_eq!(runs.withdraw(3 + runs.tuning.quiet_reads), [last.run]);
        assert!(!runs.have_named());
        assert_eq!(runs.withdraw(1000), []);
        assert_eq!(runs.read(4, 1000, 1001), Some(Named { range: 5..13, ..last }));
    }

    #[test]
    fn shards_are_believed_at_once_and_a_few_at_a_time() {
        check(Trust::Given, &[1, 2, 3, 4, 5], 9, &["2..3", "3..5", "4..7", "5..9", "6..9"]);
        check(Trust::Given, &[20, 3], 39, &["21..22", "4..5"]);
    }

    #[test]
    fn who_reads_in_order_waits_for_the_first_few() {
        let all: Vec<u64> = (0..800).collect();
        assert_eq!(named(&all, 800), (797, 0));
    }

    #[test]
    fn workers_that_take_turns_are_one_run() {
        let mut dice = StdRng::seed_from_u64(1);
        let mut mixed: Vec<u64> = (0..800).collect();
        mixed.chunks_mut(8).for_each(|batch| batch.shuffle(&mut dice));
        let (hits, wasted) = named(&mixed, 800);
        assert!(hits > 750 && wasted == 0, "{hits} {wasted}");
    }

    #[test]
    fn workers_with_batches_of_their_own_are_found_too() {
        let read: Vec<u64> =
            (0..8).flat_map(|round| (0..32).flat_map(move |i| (0..4).map(move |w| round * 128 + w * 32 + i))).collect();
        let (hits, wasted) = named(&read, 1024);
        assert!(hits > 800 && wasted == 0, "{hits} {wasted}");
    }

    #[test]
    fn random_order_names_next_to_nothing() {
        for seed in 0..20 {
            let mut read: Vec<u64> = (0..10_000).collect();
            read.shuffle(&mut StdRng::seed_from_u64(seed));
            let (hits, wasted) = named(&read[..1000], 10_000);
            assert!(hits + wasted <= 50, "{hits} {wasted}");
        }
    }

    #[test]
    fn short_runs_again_and_again_are_believed_less_and_less() {
        let mut dice = StdRng::seed_from_u64(3);
        let read = (0..400).flat_map(|_| {
            let start = dice.random_range(0..1_000_000);
            start..start + 3
        });
        let read: Vec<u64> = read.collect();
        let (_, wasted) = named(&read, 1_000_000);
        assert!(wasted <= read.len() / 10, "{wasted} of {}", read.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_named_lies_ahead_and_is_no_more_than_four_times_what_was_read(
            read in prop::collection::vec(prop_oneof![0u64..40, 0u64..1 << 60], 0..300),
            end in prop_oneof![1u64..50, Just(u64::MAX)],
        ) {
            let (mut runs, mut named) = (Runs::new(Trust::Earned, Arc::default()), 0);
            for (steps, at) in read.into_iter().enumerate() {
                let range = runs.read(at, end, steps as u64).map_or(0..0, |named| named.range);
                named += range.end.saturating_sub(range.start);
                prop_assert!(range.is_empty() || (range.start > at && range.end <= end));
                prop_assert!(named <= 4 * (steps as u64 + 1));
            }
        }
    }
}
