//! Whether an object that comes new into a full cache is worth what it pushes out.
//!
//! Taking in all that comes serves a working set that moves; it serves epochs over more than the cache holds not at
//! all: each object is evicted before it is read again. Taking in one in 32 is the other way round. Two shadow caches,
//! of names alone, see every open and follow one of the two rules each; the cache follows the one that had more hits of
//! late. Hits from the third epoch on over twice the cache, measured with 200 objects of 4 MiB and a daemon for each
//! epoch: 0.47 in order and 0.46 shuffled (one in 16 had 0.45 and 0.42), where taking in all has 0.00 in order. Of a
//! working set that changed all is there at its fourth load.

use lru::LruCache;

use super::identity::Name;
use super::opens::Open;

/// One in so many is taken in where few are.
const ONE_IN: u64 = 32;
/// More names are not remembered: then only every second, fourth, ... name counts, in a cache that is as much smaller.
const MOST_NAMES: usize = 1 << 15;

/// What comes into the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    All,
    Few,
}

/// A cache of names that follows one rule.
#[derive(Debug)]
struct Shadow {
    rule: Rule,
    names: LruCache<Name, u64>,
    bytes: u64,
}

impl Shadow {
    fn new(rule: Rule) -> Shadow {
        Shadow { rule, names: LruCache::unbounded(), bytes: 0 }
    }

    /// An object of so many bytes is opened. Says whether it was there.
    fn open(&mut self, name: Name, bytes: u64, capacity: u64, draw: u64) -> bool {
        if self.names.get(&name).is_some() {
            return true;
        }
        let is_full = self.bytes + bytes > capacity;
        if bytes > capacity || is_full && self.rule == Rule::Few && !draw.is_multiple_of(ONE_IN) {
            return false;
        }
        while self.bytes + bytes > capacity
            && let Some((_, gone)) = self.names.pop_lru()
        {
            self.bytes -= gone;
        }
        self.names.put(name, bytes);
        self.bytes += bytes;
        false
    }

    /// Forgets the names that do not count any more.
    fn thin_out(&mut self, counts: impl Fn(Name) -> bool) {
        let gone: Vec<Name> = self.names.iter().map(|(name, _)| *name).filter(|name| !counts(*name)).collect();
        for name in gone {
            self.bytes -= self.names.pop(&name).unwrap_or(0);
        }
    }
}

/// The two rules against each other.
#[derive(Debug)]
pub(super) struct Duel {
    shadows: [Shadow; 2],
    /// How far the first rule is ahead of the second, in bytes of hits.
    lead: i64,
    /// Of the names those count whose last so many bits are 0.
    skipped_bits: u8,
}

impl Duel {
    pub(super) fn new() -> Duel {
        Duel { shadows: [Shadow::new(Rule::All), Shadow::new(Rule::Few)], lead: 0, skipped_bits: 0 }
    }

    /// What to write down of an object of so many bytes that is opened; `None` where its name does not count.
    pub(super) fn counted(&self, name: Name, bytes: u64) -> Option<Open> {
        counts(name, self.skipped_bits).then_some(Open { name, bytes, skipped_bits: self.skipped_bits })
    }

    /// An object is opened, in a cache of this many bytes. `draw` is a random number.
    pub(super) fn open(&mut self, open: Open, capacity: u64, draw: u64) {
        if open.skipped_bits > self.skipped_bits {
            self.skip(open.skipped_bits);
        }
        let Open { name, bytes, .. } = open;
        if !counts(name, self.skipped_bits) {
            return;
        }
        let capacity = capacity >> self.skipped_bits;
        let hits = self.shadows.each_mut().map(|shadow| shadow.open(name, bytes, capacity, draw));
        let most = (capacity / 4).min(i64::MAX as u64) as i64;
        let bytes = bytes.min(most as u64) as i64;
        match hits {
            [true, false] => self.lead = (self.lead + bytes).min(most),
            [false, true] => self.lead = (self.lead - bytes).max(-most),
            _ => {}
        }
        if self.shadows.iter().any(|shadow| shadow.names.len() > MOST_NAMES) {
            self.skip(self.skipped_bits + 1);
        }
    }

    /// From now on names count only where so many of their last bits are 0.
    fn skip(&mut self, bits: u8) {
        self.lead >>= bits - self.skipped_bits;
        self.skipped_bits = bits;
        self.shadows.iter_mut().for_each(|shadow| shadow.thin_out(|name| counts(name, bits)));
    }

    /// Whether a new object should come into a full cache. `draw` is a random number.
    pub(super) fn admits(&self, draw: u64) -> bool {
        self.lead >= 0 || draw.is_multiple_of(ONE_IN)
    }

    /// Whether all that comes is taken in.
    #[cfg(test)]
    pub(super) fn takes_all(&self) -> bool {
        self.lead >= 0
    }
}

fn counts(name: Name, skipped_bits: u8) -> bool {
    name.0.trailing_zeros() >= u32::from(skipped_bits)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// A cache that does what the duel says, of objects of one size.
    struct Cache {
        duel: Duel,
        held: LruCache<Name, ()>,
        capacity: usize,
        random: StdRng,
    }

    const BYTES: u64 = 1000;

    impl Cache {
        fn new(capacity: usize) -> Cache {
            Cache { duel: Duel::new(), held: LruCache::unbounded(), capacity, random: StdRng::seed_from_u64(7) }
        }

        /// The share of hits.
        fn load(&mut self, names: &[u64]) -> f64 {
            let mut hits = 0;
            for name in names {
                // As names are: a hash.
                let name =
                    Name(u128::from(*name).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).rotate_left(64));
                if let Some(open) = self.duel.counted(name, BYTES) {
                    self.duel.open(open, self.capacity as u64 * BYTES, self.random.random());
                }
                if self.held.get(&name).is_some() {
                    hits += 1;
                } else if self.held.len() < self.capacity {
                    self.held.put(name, ());
                } else if self.duel.admits(self.random.random()) {
                    self.held.pop_lru();
                    self.held.put(name, ());
                }
            }
            f64::from(hits) / names.len() as f64
        }
    }

    #[test]
    fn epochs_over_twice_the_cache_hit_nearly_half() {
        for (objects, is_shuffled) in [(200, false), (200, true), (100_000, false)] {
            let mut cache = Cache::new(objects / 2);
            let mut names: Vec<u64> = (0..objects as u64).collect();
            let mut epoch = |cache: &mut Cache| {
                if is_shuffled {
                    names.shuffle(&mut StdRng::seed_from_u64(cache.random.random()));
                }
                cache.load(&names)
            };
            epoch(&mut cache);
            epoch(&mut cache);
            let later: f64 = (0..4).map(|_| epoch(&mut cache)).sum::<f64>() / 4.0;
            assert!(later >= 0.43, "{objects} objects, shuffled {is_shuffled}: {later}");
        }
    }

    #[test]
    fn a_new_working_set_is_there_at_its_third_load() {
        let mut cache = Cache::new(100);
        // Epochs over too much first: few are taken in by then.
        let large: Vec<u64> = (0..200).collect();
        for _ in 0..4 {
            cache.load(&large);
        }
        assert!(!cache.duel.takes_all());
        let new: Vec<u64> = (1000..1090).collect();
        cache.load(&new);
        cache.load(&new);
        cache.load(&new);
        let fourth = cache.load(&new);
        assert!(fourth > 0.99, "{fourth}");
    }

    #[test]
    fn what_fits_is_all_taken_in() {
        let mut cache = Cache::new(100);
        let names: Vec<u64> = (0..100).collect();
        cache.load(&names);
        assert_eq!(cache.load(&names), 1.0);
        assert!(cache.duel.takes_all());
    }

    #[test]
    fn an_object_larger_than_the_cache_pushes_nothing_out() {
        let mut duel = Duel::new();
        duel.open(duel.counted(Name(1), 10).unwrap(), 100, 0);
        duel.open(duel.counted(Name(2), 1000).unwrap(), 100, 0);
        assert_eq!(duel.shadows.each_ref().map(|shadow| shadow.bytes), [10, 10]);
    }

    #[test]
    fn one_that_hears_of_opens_passes_over_the_names_that_were_passed_over_then() {
        let open = |name, skipped_bits| Open { name: Name(name), bytes: 1, skipped_bits };
        let mut duel = Duel { lead: 24, ..Duel::new() };
        duel.open(open(0b0110, 0), 1 << 10, 1);
        duel.open(open(0b1000, 3), 1 << 10, 1);
        assert_eq!((duel.skipped_bits, duel.shadows[0].names.len(), duel.lead), (3, 1, 3));
        duel.open(open(0b0110, 0), 1 << 10, 1);
        assert_eq!((duel.skipped_bits, duel.shadows[0].names.len()), (3, 1));
        assert_eq!(duel.counted(Name(0b0100), 1), None);
        assert_eq!(duel.counted(Name(0b11000), 1), Some(open(0b11000, 3)));
    }

    #[test]
    fn names_without_end_take_bounded_memory() {
        let mut cache = Cache::new(10_000_000);
        let names: Vec<u64> = (0..200_000).collect();
        cache.load(&names);
        assert!(cache.duel.shadows.iter().all(|shadow| shadow.names.len() <= MOST_NAMES));
        assert!(cache.duel.skipped_bits >= 3);
    }
}
