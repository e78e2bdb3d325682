//! Which member of a fleet has which bytes: pure functions that every node must compute alike.
//!
//! An object is cut on a grid of slices. Each slice of a version has two owners, by rendezvous hashing: of all members
//! those two whose weight for the slice is the highest. So a member that joins or leaves moves its own slices and few
//! others, and the slices of one object are spread over all members. A [`Block`] says which of the two comes first.

use sha2::{Digest, Sha256};

use crate::base::ByteRange;

/// The seed of a name: of a member, or of a version of an object.
pub(super) fn seed(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// A range cut on the grid, in order.
pub(super) fn cut(range: ByteRange, slice_bytes: u64) -> impl Iterator<Item = ByteRange> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let end = (at / slice_bytes + 1).saturating_mul(slice_bytes).min(range.end);
        let slice = ByteRange::new(at, end);
        at = end;
        (!slice.is_empty()).then_some(slice)
    })
}

/// So many slices of a version are shared out together: 32 GiB of 2 MiB each.
pub(super) const BLOCK: u64 = 1 << 14;

/// A member that has so many per cent of what members have of a block on average leaves more to second owners that have
/// less.
const ENOUGH_PERCENT: u64 = 105;

/// The owners of the slices of a block of a version, as places among the members.
///
/// Of 70 slices a member on average, the hottest of 1000 would have 1.4 times as many by its weight alone. So a slice
/// whose first owner has enough of its block goes to the second one. Who has enough is counted in the order of the
/// slices; when a member leaves, fewer than one slice in a hundred moves between those that stay.
#[derive(Debug)]
pub(super) struct Block {
    first: u64,
    owners: Vec<[Option<usize>; 2]>,
}

impl Block {
    /// The block that `slice` is in, of a version that has so many slices.
    pub(super) fn around(slice: u64, members: &[u64], version: u64, slices: u64) -> Block {
        let first = slice / BLOCK * BLOCK;
        let slices = first..(first + BLOCK).min(slices).max(slice + 1);
        let mean_percent = (slices.end - first) * ENOUGH_PERCENT / members.len().max(1) as u64;
        let enough = (mean_percent / 100).max(1);
        let mut counts = vec![0u64; members.len()];
        let share_out = |slice| {
            let mut owners = by_weight(members, version, slice);
            if let [Some(one), Some(other)] = owners
                && counts[one] >= enough
                && counts[other] < counts[one]
            {
                owners.swap(0, 1);
            }
            owners[0].into_iter().for_each(|owner| counts[owner] += 1);
            owners
        };
        Block { first, owners: slices.map(share_out).collect() }
    }

    /// The owners of a slice, the first one first; fewer where there are fewer members, or the block has no such slice.
    pub(super) fn owners(&self, slice: u64) -> [Option<usize>; 2] {
        let at = slice.checked_sub(self.first).and_then(|at| self.owners.get(usize::try_from(at).ok()?));
        at.copied().unwrap_or_default()
    }
}

/// What a slice of a version is to the members.
fn key(version: u64, slice: u64) -> u64 {
    mix(version ^ mix(slice.wrapping_add(1)))
}

/// The two members whose weight for a slice is the highest.
fn by_weight(members: &[u64], version: u64, slice: u64) -> [Option<usize>; 2] {
    let key = key(version, slice);
    // Members of the same weight: the one that comes first.
    let mut best: [Option<(u64, usize)>; 2] = [None; 2];
    for (place, member) in members.iter().enumerate() {
        let weight = mix(member ^ key);
        if best[0].is_none_or(|(most, _)| weight > most) {
            best = [Some((weight, place)), best[0]];
        } else if best[1].is_none_or(|(most, _)| weight > most) {
            best[1] = Some((weight, place));
        }
    }
    best.map(|owner| owner.map(|(_, place)| place))
}

/// Spreads the bits of a number over all of it (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    fn fleet(members: usize) -> Vec<u64> {
        (0..members).map(|member| seed(&format!("10.0.{}.{}:8080", member / 250, member % 250))).collect()
    }

    fn owners_of(members: &[u64], slice: u64) -> [Option<usize>; 2] {
        Block::around(slice, members, 1, 9).owners(slice)
    }

    #[test]
    fn owners_stay_the_same_from_one_release_to_the_next() {
        // Nodes of different releases share a fleet: these numbers may never change.
        let block = Block::around(0, &fleet(8), seed("5D41402ABC4B2A76B9719D911017C592"), 10);
        let owners: Vec<_> = (0..10).map(|slice| block.owners(slice).map(Option::unwrap)).collect();
        expect!["[[7, 2], [6, 5], [5, 7], [3, 6], [7, 3], [1, 6], [5, 7], [3, 7], [4, 1], [4, 5]]"]
            .assert_eq(&format!("{owners:?}"));
    }

    #[test]
    fn few_members_are_all_the_owners_there_are() {
        assert_eq!(owners_of(&[], 1), [None, None]);
        assert_eq!(owners_of(&fleet(1), 1), [Some(0), None]);
        // More of an object than it was known to have.
        assert_eq!(owners_of(&fleet(1), BLOCK + 5), [Some(0), None]);
    }

    #[test]
    fn few_slices_move_between_members_that_stay_when_one_leaves() {
        let (all, version, slices) = (fleet(50), seed("etag"), 4000);
        let rest: Vec<u64> = all[1..].to_vec();
        let (before, after) = (Block::around(0, &all, version, slices), Block::around(0, &rest, version, slices));
        let moved = (0..slices).filter(|slice| {
            let first = before.owners(*slice)[0].map(|place| all[place]);
            let then = after.owners(*slice)[0].map(|place| rest[place]);
            first != Some(all[0]) && first != then
        });
        let moved = moved.count();
        assert!(moved < slices as usize / 100, "{moved} of {slices}");
    }

    proptest! {
        #[test]
        fn a_cut_range_has_the_same_bytes_and_crosses_no_border(
            start in 0..100u64, len in 1..100u64, slice in 1..40u64,
        ) {
            let range = ByteRange::at(start, len);
            let slices: Vec<_> = cut(range, slice).collect();
            prop_assert_eq!(slices[0].start, range.start);
            prop_assert_eq!(slices.last().unwrap().end, range.end);
            prop_assert!(slices.windows(2).all(|two| two[0].end == two[1].start && two[0].end % slice == 0));
            prop_assert!(slices.iter().all(|one| one.start / slice == (one.end - 1) / slice));
        }

        #[test]
        fn by_weight_a_member_that_leaves_moves_its_own_slices_alone(
            members in 2..40usize, gone in 0..40usize, version: u64, slice in 0..1000u64,
        ) {
            let all = fleet(members);
            let gone = gone % members;
            let mut rest = all.clone();
            rest.remove(gone);
            let name = |members: &[u64], owner: Option<usize>| owner.map(|place| members[place]);
            let [first, second] = by_weight(&all, version, slice);
            let [next, _] = by_weight(&rest, version, slice);
            let expected = if first == Some(gone) { second } else { first };
            prop_assert_eq!(name(&rest, next), name(&all, expected));
        }
    }
}
