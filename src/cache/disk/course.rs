//! Where the next bytes of an object come from: from disk, from the store, or from another daemon that fetches them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::claims::Claim;
use super::entry::Cached;
use super::map::{BLOCK_BYTES, touched, within};
use crate::base::ByteRange;
use crate::metrics::Metric;

/// Fewer bytes on disk amid others are fetched with them: a request more costs more than they do.
const LEAST_RUN: u64 = 2 << 20;
/// How often it is looked whether another daemon has fetched what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// For how long that is waited for while nothing of the object comes to the disk, and for how long in all.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_PATIENCE: Duration = Duration::from_secs(5);
/// For how long no other is waited for once that was in vain.
const ALONE: Duration = Duration::from_secs(30);

/// Where bytes come from. It is told of the first of a range, as many as come from the same place.
#[derive(Debug)]
pub enum Course {
    /// They are on disk.
    Disk(ByteRange),
    /// They are to be fetched. No other daemon does so as long as the claim lives, if there is one.
    Store(ByteRange, Option<Claim>),
}

/// What is found of a range.
enum Found {
    Course(Course),
    /// Another daemon fetches some of these.
    Claimed(ByteRange),
}

impl Cached {
    /// Where the first bytes of a range, not empty, come from. Waits for others that fetch them, if they get on.
    pub async fn course(self: &Arc<Self>, range: ByteRange) -> Course {
        let began = self.directory.clock.elapsed();
        let (mut changed_at, mut changed, mut waits) = (began, None, false);
        let course = loop {
            let cached = self.clone();
            let want = match self.directory.ask(move |_| cached.find(range)).await {
                Some(Found::Course(course)) => break course,
                Some(Found::Claimed(want)) => want,
                None => break Course::Store(range, None),
            };
            if !std::mem::replace(&mut waits, true) {
                self.directory.metrics.add(Metric::DiskWaits, 1);
            }
            let (now, seen) = (self.directory.clock.elapsed(), self.known().and_then(|held| held.changed()));
            if seen != changed {
                (changed_at, changed) = (now, seen);
            }
            if now > changed_at + PATIENCE || now > began + MOST_PATIENCE {
                self.alone_until_ms.store((now + ALONE).as_millis() as u64, Ordering::Relaxed);
                break Course::Store(want, None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let metric = if matches!(course, Course::Disk(_)) { Metric::DiskHits } else { Metric::DiskMisses };
        self.directory.metrics.add(metric, 1);
        course
    }

    /// What is there of a range, and else a claim to it.
    fn find(&self, range: ByteRange) -> std::io::Result<Found> {
        if let Run::There(run) = first_run(range, &self.there(range)?) {
            return Ok(Found::Course(Course::Disk(run)));
        }
        // Looked at again: what another daemon had claimed is on disk once the claim is had.
        let mut claim = self.claim(range);
        let want = match first_run(range, &self.there(range)?) {
            Run::There(run) => return Ok(Found::Course(Course::Disk(run))),
            Run::Missing(want) => want,
        };
        if want != range {
            // Of what is on disk nothing is claimed.
            drop(claim);
            claim = self.claim(want);
        }
        let must_wait = claim.is_none() && !self.blocks(want).is_empty() && !self.is_alone();
        Ok(if must_wait { Found::Claimed(want) } else { Found::Course(Course::Store(want, claim)) })
    }

    /// Which of the blocks that a range touches are on disk.
    pub(super) fn there(&self, range: ByteRange) -> std::io::Result<Vec<bool>> {
        let blocks = touched(range);
        if self.is_small() {
            return Ok(vec![self.look_for_record()?.is_some(); (blocks.end - blocks.start) as usize]);
        }
        match self.look_again()? {
            Some(held) => Ok(held.records(blocks)?.iter().map(Option::is_some).collect()),
            None => Ok(vec![false; (blocks.end - blocks.start) as usize]),
        }
    }

    /// The blocks that may be kept of a range.
    fn blocks(&self, range: ByteRange) -> std::ops::Range<u64> {
        let size = self.identity.size;
        let may_be_kept = self.may_write() && !self.is_refused.load(Ordering::Relaxed);
        if !may_be_kept || self.is_small() && range.len() < size { 0..0 } else { within(range, size) }
    }

    /// Claims what may be kept of a range; `None` where another daemon has, and where that is nothing.
    fn claim(&self, range: ByteRange) -> Option<Claim> {
        let blocks = self.blocks(range);
        if blocks.is_empty() { None } else { self.directory.place.claims.claim(self.identity.name(), &blocks) }
    }

    /// Whether others are not waited for, because that was in vain of late.
    fn is_alone(&self) -> bool {
        (self.directory.clock.elapsed().as_millis() as u64) < self.alone_until_ms.load(Ordering::Relaxed)
    }
}

/// The first bytes of a range that are of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Run {
    There(ByteRange),
    Missing(ByteRange),
}

/// The first bytes of a range, of whose blocks it is known whether they are there.
fn first_run(range: ByteRange, there: &[bool]) -> Run {
    let first_block = range.start / BLOCK_BYTES;
    let at = |block: usize| ((first_block + block as u64) * BLOCK_BYTES).clamp(range.start, range.end);
    let mut runs = Vec::new();
    let mut block = 0;
    for run in there.chunk_by(|one, next| one == next) {
        let bytes = ByteRange::new(at(block), at(block + run.len()));
        block += run.len();
        if run[0] && (bytes.len() >= LEAST_RUN || bytes == range) {
            runs.push(bytes);
        }
    }
    match runs.first() {
        Some(run) if run.start == range.start => Run::There(*run),
        Some(run) => Run::Missing(ByteRange::new(range.start, run.start)),
        None => Run::Missing(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_is_what_is_worth_a_step_of_its_own() {
        let block = BLOCK_BYTES;
        let blocks = |runs: &[(bool, usize)]| -> Vec<bool> {
            runs.iter().flat_map(|(is_there, count)| std::iter::repeat_n(*is_there, *count)).collect()
        };
        let range = |start: u64, end: u64| ByteRange::new(start, end);
        let all = range(0, 40 * block);
        let run = (LEAST_RUN / block) as usize;
        for (there, expected) in [
            (blocks(&[(true, 40)]), Run::There(all)),
            (blocks(&[(false, 40)]), Run::Missing(all)),
            (blocks(&[(true, run), (false, 40 - run)]), Run::There(range(0, LEAST_RUN))),
            (blocks(&[(true, run - 1), (false, 41 - run)]), Run::Missing(all)),
            (blocks(&[(false, 3), (true, run), (false, 37 - run)]), Run::Missing(range(0, 3 * block))),
            (blocks(&[(false, 3), (true, run - 1), (false, 1), (true, 37 - run)]), {
                Run::Missing(range(0, (3 + run as u64) * block))
            }),
            (blocks(&[(true, 2), (false, 2), (true, 2), (false, 34)]), Run::Missing(all)),
        ] {
            assert_eq!(first_run(all, &there), expected, "{there:?}");
        }
        let odd = range(5, 2 * block - 7);
        assert_eq!(first_run(odd, &[true, true]), Run::There(odd), "all of it, however little");
        assert_eq!(first_run(odd, &[true, false]), Run::Missing(odd));
        let shifted = range(block + 5, block + 9);
        assert_eq!(first_run(shifted, &[true]), Run::There(shifted));
    }
}
