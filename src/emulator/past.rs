//! The versions of generated buckets, computed as their keys are.
//!
//! Versions are counted from the oldest on. The newest of a key is the object that the bucket would hold without a
//! history, or a delete marker over it; each older one has a seed of its own, and with it other bytes, another size and
//! another tag.

use super::content::{Content, splitmix};
use super::generator::Generator;
use super::history::History;
use crate::base::Timestamp;

/// Seconds between two versions of a key, and between two of the busiest.
const BETWEEN: i64 = 86_400;
const BETWEEN_BUSY: i64 = 1;

/// One version of a generated key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct GeneratedVersion {
    pub(super) id: String,
    pub(super) modified: Timestamp,
    pub(super) is_marker: bool,
}

impl Generator {
    /// The same bucket with versions.
    pub fn with_history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// How many versions a key has; 1 without a history.
    pub fn versions(&self, index: u64) -> u64 {
        match self.history {
            Some(History { busiest, .. }) if busiest > 0 && index == self.count / 2 => busiest,
            Some(History { versions, .. }) => versions,
            None => 1,
        }
    }

    /// A version of a key, counted from the oldest.
    pub(super) fn version(&self, index: u64, nth: u64) -> GeneratedVersion {
        let deletions = self.history.map_or(0, |history| history.deletions);
        let (high, low) = (self.scattered(index, nth), nth ^ self.scattered(index, u64::MAX));
        GeneratedVersion {
            id: format!("CAEQ{high:016x}{low:016x}"),
            modified: self.version_time(index, nth),
            is_marker: deletions > 0 && self.scattered(index, !nth).is_multiple_of(deletions),
        }
    }

    fn version_time(&self, index: u64, nth: u64) -> Timestamp {
        let is_busiest = self.history.is_some_and(|history| history.busiest > 0) && index == self.count / 2;
        let between = if is_busiest { BETWEEN_BUSY } else { BETWEEN };
        let age = self.versions(index).saturating_sub(nth + 1);
        self.modified(index).plus_seconds(-(age as i64).saturating_mul(between))
    }

    /// Which version of a key has this id.
    pub(super) fn nth_of(&self, index: u64, id: &str) -> Option<u64> {
        let low = u64::from_str_radix(id.strip_prefix("CAEQ")?.get(16..)?, 16).ok()?;
        let nth = low ^ self.scattered(index, u64::MAX);
        (nth < self.versions(index) && self.version(index, nth).id == id).then_some(nth)
    }

    /// The version of a key that stood at a time, counted from the oldest: `None` where there was none, or it was
    /// deleted.
    pub fn stood(&self, index: u64, at: Timestamp) -> Option<u64> {
        let nth = (0..self.versions(index)).rev().find(|&nth| self.version_time(index, nth).seconds <= at.seconds)?;
        (!self.version(index, nth).is_marker).then_some(nth)
    }

    /// The generator of which a version is the object: the same one with another seed, for all but the newest.
    pub(super) fn as_of(&self, index: u64, nth: u64) -> Generator {
        let is_newest = nth + 1 >= self.versions(index);
        let seed = if is_newest { self.seed } else { self.seed ^ self.scattered(index, nth.wrapping_mul(2) | 1 << 63) };
        Generator { seed, ..self.clone() }
    }

    /// The seed of a version's bytes, for [`generated_content`](super::generated_content).
    pub fn seed_of(&self, index: u64, nth: u64) -> u64 {
        self.as_of(index, nth).seed
    }

    /// The size of a version in bytes.
    pub fn size_of(&self, index: u64, nth: u64) -> u64 {
        self.as_of(index, nth).size(index)
    }

    /// The bytes of a version.
    pub(super) fn version_content(&self, index: u64, nth: u64) -> Content {
        self.as_of(index, nth).content_of(&self.key(index), index)
    }

    fn scattered(&self, index: u64, lane: u64) -> u64 {
        let mut state = self.seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ lane.rotate_left(32);
        splitmix(&mut state) ^ splitmix(&mut state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::generator::GeneratorKind;

    fn generator() -> Generator {
        let history = History { versions: 3, busiest: 1000, deletions: 4 };
        Generator::new(GeneratorKind::Hex, 100).seeded(5).with_history(history)
    }

    #[test]
    fn versions_are_told_apart_and_found_by_their_ids() {
        let generator = generator();
        for index in [0, 49, 50, 99] {
            let versions = generator.versions(index);
            assert_eq!(versions, if index == 50 { 1000 } else { 3 });
            let mut ids: Vec<String> = (0..versions).map(|nth| generator.version(index, nth).id).collect();
            for (nth, id) in ids.iter().enumerate() {
                assert_eq!(generator.nth_of(index, id), Some(nth as u64));
                assert_eq!(generator.nth_of(index + 1, id), None, "the id of another key");
            }
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len() as u64, versions);
            let times: Vec<i64> = (0..versions).map(|nth| generator.version(index, nth).modified.seconds).collect();
            assert!(times.is_sorted(), "{times:?}");
            assert_ne!(
                generator.version_content(index, 0).md5().unwrap(),
                generator.version_content(index, 1).md5().unwrap()
            );
        }
        for id in ["", "null", "CAEQ", "CAEQ00", "é"] {
            assert_eq!(generator.nth_of(0, id), None, "{id:?}");
        }
    }

    #[test]
    fn what_stood_at_a_time_is_the_newest_of_then() {
        let generator = generator();
        let mut seen = [0; 4];
        for index in 0..100 {
            let newest = generator.version(index, generator.versions(index) - 1);
            assert_eq!(generator.stood(index, newest.modified).is_none(), newest.is_marker);
            let oldest = generator.version(index, 0);
            assert_eq!(generator.stood(index, oldest.modified.plus_seconds(-1)), None);
            if index != 50 {
                let between = generator.version(index, 1).modified.plus_seconds(100);
                seen[generator.stood(index, between).map_or(3, |nth| nth as usize)] += 1;
            }
        }
        assert!(seen[0] == 0 && seen[2] == 0 && seen[1] > 50 && seen[3] > 10, "{seen:?}");
    }
}
