//! How long the runs of an object are, and how far apart: a reader that has left a few of them after as many bytes will
//! leave the next one there too, and where they began at equal distances it will begin there. Rows of tiles, chunks,
//! column pages and the headers of members are so; what is fetched behind them is fetched in vain.

use std::collections::VecDeque;

use super::steps::{Distance, Steps};
use super::stream::Stream;
use super::tuning::Tuning;
use crate::base::{ByteRange, PAGE_BYTES};

/// Runs that are remembered.
const REMEMBERED: usize = 8;

/// The latest runs of an object that began in the middle of it.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Those that were left.
    left: VecDeque<Left>,
    /// Where they began, one after the other.
    starts: Steps,
    /// The runs that are to follow and were not fetched yet, each with its number from the first at an equal distance
    /// on, and the number of the last one that was foretold. They stay as they were foretold.
    next: VecDeque<(u64, ByteRange)>,
    foretold: u64,
}

/// A run that was left.
#[derive(Debug)]
struct Left {
    /// Where it began, and how much was read of it.
    range: ByteRange,
    /// Whether the kernel has read ahead behind that, and no program has touched it.
    has_tail: bool,
}

/// What of a readahead shows how far a program has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answered {
    /// What lies before it was answered: the program has left it alone.
    Yes,
    /// The program may be waiting for what lies before it.
    No,
}

impl Runs {
    /// A run begins with this read, after one of the run `latest`, which is left by that.
    pub(super) fn begins(&mut self, read: ByteRange, latest: Option<(&Stream, Answered)>, tuning: &Tuning) {
        if let Some((latest, answered)) = latest {
            self.leave(latest, answered, tuning);
        }
        if read.start < tuning.head_bytes {
            return;
        }
        // The kernel asks for whole pages.
        match self.starts.come_to(read.start, PAGE_BYTES) {
            Distance::First => return,
            Distance::Alike => {}
            Distance::Other { .. } => {
                self.next.clear();
                self.foretold = 0;
            }
        }
        self.foretell(tuning);
    }

    fn leave(&mut self, stream: &Stream, answered: Answered, tuning: &Tuning) {
        if stream.start() < tuning.head_bytes {
            return;
        }
        self.goes_on(stream);
        if self.left.len() == REMEMBERED {
            self.left.pop_front();
        }
        let tail = stream.untouched_from().filter(|_| answered == Answered::Yes);
        let touched_bytes = tail.map_or(stream.seen(), |from| stream.seen().min(from - stream.start()));
        let range = ByteRange::at(stream.start(), touched_bytes);
        self.left.push_back(Left { range, has_tail: tail.is_some() });
    }

    /// Says where the next runs will be, if those that were left began at equal distances: more of them the longer that
    /// was so.
    fn foretell(&mut self, tuning: &Tuning) {
        let alike = self.starts.alike();
        self.next.retain(|(number, _)| *number > alike);
        let Some((shortest, _)) = self.lengths(tuning) else { return };
        // Backwards, runs may touch.
        let is_gap = self.starts.step().unsigned_abs() + 2 * PAGE_BYTES > shortest;
        if alike < tuning.steps_alike || !is_gap {
            return;
        }
        let proved_bytes = (shortest.saturating_mul(alike) / tuning.strides_share).max(tuning.strides_bytes);
        let count = self.starts.foreseeable(6).min(proved_bytes / shortest.max(1));
        for number in self.foretold.max(alike) + 1..=alike + count {
            let Some(start) = self.starts.ahead(number - alike) else { break };
            // The further it is, the less certain.
            let pad_bytes = PAGE_BYTES * (1 + (number - alike) / alike);
            let range = ByteRange::at(start.saturating_sub(pad_bytes), shortest.saturating_add(2 * pad_bytes));
            self.next.push_back((number, range));
            self.foretold = number;
        }
    }

    /// Where the next run will be that was not fetched yet. Answer with [`Runs::fetched`] once it was.
    pub(super) fn next(&self) -> Option<ByteRange> {
        self.next.front().map(|(_, range)| *range)
    }

    /// The next run is there or on its way.
    pub(super) fn fetched(&mut self) {
        self.next.pop_front();
    }

    /// A reader has come back to this run.
    pub(super) fn goes_on(&mut self, stream: &Stream) {
        self.left.retain(|run| run.range.start != stream.start());
    }

    /// What is known was not what programs want.
    pub(super) fn forget(&mut self) {
        *self = Runs::default();
    }

    /// How long the next run will hardly be, in bytes, if enough of them are known: three of four were not longer.
    pub(super) fn likely_bytes(&self, tuning: &Tuning) -> Option<u64> {
        let lengths = self.sorted_lengths();
        lengths.get(lengths.len() * 3 / 4).copied().filter(|_| lengths.len() as u64 >= tuning.runs_alike)
    }

    /// Up to where a run that begins here will most likely be read, where the latest ones were long: three of four were
    /// as long at least.
    pub(super) fn likely_end(&self, start: u64, tuning: &Tuning) -> Option<u64> {
        let lengths = self.sorted_lengths();
        let likely_bytes = *lengths.get(lengths.len() / 4)?;
        let is_known = lengths.len() as u64 >= tuning.runs_known && start >= tuning.head_bytes;
        (is_known && likely_bytes >= tuning.likely_run_bytes).then(|| start.saturating_add(likely_bytes))
    }

    fn sorted_lengths(&self) -> Vec<u64> {
        let mut lengths: Vec<u64> = self.left.iter().map(|run| run.range.len()).collect();
        lengths.sort_unstable();
        lengths
    }

    /// How many of the latest runs were so long, in bytes, if at most a quarter as many were longer.
    pub(super) fn have_ended_at(&self, len: u64) -> u64 {
        let count =
            |is: fn(&u64, &u64) -> bool| self.left.iter().filter(|run| is(&run.range.len(), &len)).count() as u64;
        let (longer, alike) = (count(u64::gt), count(u64::eq));
        if 4 * longer > alike { 0 } else { alike }
    }

    /// How long runs are, in bytes: the shortest and the longest of the latest ones. `None` while too few are known.
    fn lengths(&self, tuning: &Tuning) -> Option<(u64, u64)> {
        let lengths = || self.left.iter().map(|run| run.range.len());
        lengths().min().zip(lengths().max()).filter(|_| self.left.len() as u64 >= tuning.runs_alike)
    }

    /// Where the window of a run must end: with a run as long as the longest, unless it has become twice as long.
    pub(super) fn bound(&self, stream: &Stream, tuning: &Tuning) -> u64 {
        match self.lengths(tuning) {
            Some((_, longest)) if stream.start() >= tuning.head_bytes => {
                if stream.seen() > longest.saturating_mul(2) {
                    u64::MAX
                } else {
                    stream.start().saturating_add(longest)
                }
            }
            _ => u64::MAX,
        }
    }

    /// Whether this read lies behind all that was touched of the latest runs, counted from where its run began. They
    /// must be alike, and the kernel must have read as far in each.
    pub(super) fn have_all_ended_before(&self, read: ByteRange, stream: &Stream, tuning: &Tuning) -> bool {
        let Some((shortest, longest)) = self.lengths(tuning) else { return false };
        let is_alike = shortest >= longest / 4 * 3 && stream.start() >= tuning.head_bytes;
        let have_tails = self.left.iter().all(|run| run.has_tail);
        is_alike && have_tails && read.start >= stream.start().saturating_add(longest)
    }

    /// Up to where the first read of a run may fetch: to the end of a run as long as the shortest, where all are alike.
    pub(super) fn end_of_new(&self, stream: &Stream, tuning: &Tuning) -> Option<u64> {
        let (shortest, longest) = self.lengths(tuning)?;
        let is_alike = shortest >= longest / 4 * 3 && stream.start() >= tuning.head_bytes;
        is_alike.then(|| stream.start().saturating_add(shortest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::Proof;
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    /// The runs of a reader that reads `len` bytes at each of these places.
    fn runs(starts: &[u64], len: u64) -> Runs {
        let (mut runs, tuning) = (Runs::default(), Tuning::default());
        let proof = Proof { run_bytes: 128 * KIB, opening_bytes: 128 * KIB, middle_bytes: 0 };
        let mut latest: Option<Stream> = None;
        for start in starts {
            let read = ByteRange::at(*start, len);
            let before = latest.replace(Stream::new(read, proof));
            runs.begins(read, before.as_ref().map(|before| (before, Answered::Yes)), &tuning);
        }
        runs
    }

    fn stream(start: u64, len: u64) -> Stream {
        Stream::new(ByteRange::at(start, len), Proof { run_bytes: 0, opening_bytes: 0, middle_bytes: 0 })
    }

    #[test]
    fn a_window_ends_where_runs_have_ended() {
        let tuning = Tuning::default();
        let bound = |starts: &[u64], read: &Stream| runs(starts, 2 * MIB).bound(read, &tuning);
        let known = [9 * MIB, 40 * MIB, 100 * MIB];
        assert_eq!(bound(&known, &stream(200 * MIB, MIB)), 202 * MIB);
        assert_eq!(bound(&known, &stream(200 * MIB, 4 * MIB)), 202 * MIB);
        assert_eq!(bound(&known, &stream(200 * MIB, 5 * MIB)), u64::MAX, "this one is longer than they were");
        assert_eq!(bound(&known, &stream(0, MIB)), u64::MAX, "the head is read on from");
        assert_eq!(bound(&known[..2], &stream(200 * MIB, MIB)), u64::MAX, "one is not enough");
        assert_eq!(bound(&[0, MIB / 2, 100 * MIB], &stream(200 * MIB, MIB)), u64::MAX, "nor are those at the head");
    }

    #[test]
    fn the_first_read_of_a_run_fetches_all_of_it_where_they_are_alike() {
        let tuning = Tuning::default();
        let mut known = runs(&[9 * MIB, 40 * MIB, 100 * MIB], 2 * MIB);
        assert_eq!(known.end_of_new(&stream(200 * MIB, KIB), &tuning), Some(202 * MIB));
        known.leave(&stream(300 * MIB, 100 * KIB), Answered::Yes, &tuning);
        assert_eq!(known.end_of_new(&stream(200 * MIB, KIB), &tuning), None);
    }

    #[test]
    fn a_run_is_likely_as_long_as_three_of_four_were() {
        let tuning = Tuning::default();
        let likely_mib = |mib: &[u64], start: u64| {
            let mut known = Runs::default();
            for (number, len) in (1..).zip(mib) {
                known.leave(&stream(number * 100 * MIB, len * MIB), Answered::Yes, &tuning);
            }
            known.likely_end(start * MIB, &tuning).map(|end| end / MIB - start)
        };
        assert_eq!(likely_mib(&[8, 5, 20, 6], 900), Some(6));
        assert_eq!(likely_mib(&[1, 4, 4, 4], 900), Some(4));
        assert_eq!(likely_mib(&[1, 2, 4, 4, 9, 9, 9, 9], 900), Some(4), "six of eight");
        assert_eq!(likely_mib(&[8, 5, 20], 900), None, "three are not enough");
        assert_eq!(likely_mib(&[3, 3, 20, 20], 900), None, "they are no longer than what earns a window by itself");
        assert_eq!(likely_mib(&[8, 5, 20, 6], 0), None, "the head has windows of its own");
        assert_eq!(likely_mib(&[8, 5, 20, 6], 1), Some(6));
        assert_eq!(likely_mib(&[], 900), None);
    }

    #[test]
    fn a_run_that_is_gone_on_with_was_not_left() {
        let tuning = Tuning::default();
        let mut known = runs(&[9 * MIB, 40 * MIB, 100 * MIB], 2 * MIB);
        known.goes_on(&stream(40 * MIB, 2 * MIB));
        assert_eq!(known.bound(&stream(200 * MIB, MIB), &tuning), u64::MAX);
    }

    #[test]
    fn runs_at_equal_distances_are_foretold() {
        let all = |mut runs: Runs| {
            let next = || runs.next().inspect(|_| runs.fetched());
            std::iter::from_fn(next).collect::<Vec<_>>()
        };
        let forecast = |starts: &[u64], len| {
            all(runs(starts, len)).iter().map(|run| (run.start + PAGE_BYTES * 4) / MIB).collect::<Vec<_>>()
        };
        let starts = |mib: &[u64]| mib.iter().map(|start| start * MIB).collect::<Vec<u64>>();
        let few = 64 * KIB;
        for (mib, len, expected) in [
            (&[8, 16][..], few, &[][..]),
            (&[8, 16, 24], few, &[32, 40, 48]),
            (&[8, 16, 24, 32], few, &[40, 48, 56, 64, 72, 80, 88]),
            (&[80, 60, 40], few, &[20, 0]),
            // One that lies elsewhere ends it.
            (&[8, 16, 24, 25], few, &[]),
            (&[8, 16, 23], few, &[]),
            // Long ones are not fetched by the dozen.
            (&[8, 16, 24], 2 * MIB, &[32, 40]),
            (&[8, 16, 24, 32], 2 * MIB, &[40, 48]),
        ] {
            assert_eq!(forecast(&starts(mib), len), expected, "{mib:?} {len}");
        }
        // Pages are whole: a step of 1 MiB and half a page.
        let rounded: Vec<u64> = (8..16).map(|i| (i * (MIB + PAGE_BYTES / 2)) / PAGE_BYTES * PAGE_BYTES).collect();
        let foretold = all(runs(&rounded, few));
        assert_eq!(foretold.len(), 63);
        for (number, run) in (16..).zip(foretold) {
            let start = number * (MIB + PAGE_BYTES / 2) / PAGE_BYTES * PAGE_BYTES;
            assert_eq!(run.intersect(ByteRange::at(start, few)).len(), few, "{number}");
        }
    }
}
