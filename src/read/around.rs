//! What the kernel reads around page faults, and where that is better refused.
//!
//! For a fault in a mapping the kernel asks for as much as its whole readahead around the page, a megabyte for 4 KiB,
//! because it cannot know what the program touches next. Where the answer is an error, it asks once more for the page
//! alone, and the program sees nothing of it (Linux, `filemap_fault`: a page that did not come by readahead is read by
//! itself). The pages around stay unread, and each is asked for alone when it is touched: the requests show what the
//! program wants then. That is worth it where rows, chunks or nodes at scattered places are touched; it costs some
//! 50 microseconds a page where all of a region is, so regions that are used show that their object is not such.
//!
//! The same is done with what it reads ahead behind a run, where it was not touched behind any of the latest ones.

use std::collections::VecDeque;

use super::runs::Runs;
use super::tuning::Tuning;
use crate::base::ByteRange;

/// Refused regions that are remembered: as many as threads touch an object at once, and some.
const REMEMBERED: usize = 32;
/// The pause after regions that were used is no longer than so many jumps.
const MOST_PAUSED: u64 = 1 << 16;

/// The regions of one object that the kernel was refused.
#[derive(Debug, Default)]
pub(super) struct Arounds {
    refused: VecDeque<Region>,
    /// Whether regions are refused at present.
    is_on: bool,
    /// So many jumps more are answered before a region is refused again, and after how many that was the last time.
    pause: u64,
    last_pause: u64,
}

#[derive(Debug)]
struct Region {
    range: ByteRange,
    /// What was asked for in it since.
    asked_bytes: u64,
}

/// What becomes of a read around a page fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Around {
    /// It is answered as any other.
    Answered,
    /// It is refused, and was not before: what runs were seen so far is what the kernel read, not the program.
    FirstRefused,
    /// It is refused, as those before it.
    Refused,
}

impl Arounds {
    /// Whether the kernel is refused what it reads around page faults.
    pub(super) fn are_refused(&self) -> bool {
        self.is_on
    }

    /// Decides about a read around a page that lies where no reader was.
    pub(super) fn decide(&mut self, read: ByteRange, runs: &Runs, tuning: &Tuning) -> Around {
        if self.pause > 0 {
            self.pause -= 1;
            return Around::Answered;
        }
        let was_on = self.is_on;
        // Programs that have asked for more than came around their faults read on.
        self.is_on |= runs.have_ended_at(read.len()) >= tuning.around_jumps;
        if !self.is_on {
            return Around::Answered;
        }
        self.remember(read);
        if was_on { Around::Refused } else { Around::FirstRefused }
    }

    /// Decides about what the kernel reads ahead behind a run where no run before it has gone on.
    pub(super) fn refuse_behind(&mut self, read: ByteRange) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.remember(read);
        true
    }

    fn remember(&mut self, range: ByteRange) {
        if self.refused.len() == REMEMBERED {
            self.refused.pop_front();
        }
        self.refused.push_back(Region { range, asked_bytes: 0 });
    }

    /// Takes in a read; says whether it lies in a region that was refused.
    pub(super) fn asked(&mut self, read: ByteRange, tuning: &Tuning) -> bool {
        let holds = |region: &&mut Region| !region.range.intersect(read).is_empty();
        let Some(region) = self.refused.iter_mut().rev().find(holds) else { return false };
        region.asked_bytes += read.len();
        if region.asked_bytes >= region.range.len() / tuning.around_used_share {
            self.last_pause = (2 * self.last_pause).clamp(tuning.around_pause, MOST_PAUSED);
            (self.pause, self.is_on) = (self.last_pause, false);
            self.refused.clear();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::object::{Asker, Batch};
    use super::super::plan::{Fetch, Plan};
    use super::super::runs::Answered;
    use super::super::stream::{Proof, Repeated};
    use super::super::streams::{Bounds, Streams};
    use super::super::tensors::Touch;
    use super::*;
    use crate::base::PAGE_BYTES;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    /// The kernel asks for this at once.
    fn kernel(read: ByteRange) -> Asker {
        Asker::PageCache(Batch::whole(read, MIB))
    }

    /// A mapped file of 1 GiB that the kernel asks for.
    struct Mapped(Streams);

    impl Mapped {
        fn new() -> Self {
            let proof = Proof { run_bytes: 128 * KIB, opening_bytes: 512 * KIB, middle_bytes: 0 };
            Mapped(Streams::new(Bounds {
                size: 1 << 30,
                part_bytes: 8 * MIB,
                proof,
                small_bytes: MIB,
                tuning: Arc::default(),
            }))
        }

        /// A page fault. The fetch for the page alone where the read around it was refused.
        fn fault(&mut self, at: u64) -> Option<Fetch> {
            let around = ByteRange::at(at - MIB / 2, MIB);
            if self.0.refuses(around, kernel(around)) {
                return Some(self.page(at).fetch);
            }
            self.0.observe(around, Repeated::No, kernel(around), Answered::Yes);
            None
        }

        /// What the kernel reads on behind a fault; whether it is answered.
        fn reads_on(&mut self, at: u64) -> bool {
            let read = ByteRange::at(at - MIB / 2, MIB);
            let is_answered = !self.0.refuses(read, kernel(read));
            if is_answered {
                self.0.observe(read, Repeated::No, kernel(read), Answered::Yes);
            }
            is_answered
        }

        fn page(&mut self, at: u64) -> Plan {
            let page = ByteRange::at(at, PAGE_BYTES);
            self.0.observe(page, Repeated::No, kernel(page), Answered::Yes)
        }

        /// A row of 16 KiB; whether the read around it was refused.
        fn row(&mut self, at: u64) -> Option<Fetch> {
            let fetch = self.fault(at);
            if fetch.is_some() {
                for page in 1..4 {
                    self.page(at + page * PAGE_BYTES);
                }
            }
            fetch
        }
    }

    /// Places far from each other, in no order.
    fn places() -> impl Iterator<Item = u64> {
        (0..).map(|i: u64| (i * 37 % 61 + 1) * 16 * MIB)
    }

    fn exact(kib: u64) -> Option<Fetch> {
        Some(Fetch::Exact { reach_bytes: kib * KIB })
    }

    #[test]
    fn rows_at_scattered_places_are_fetched_without_what_lies_around_them() {
        let mut mapped = Mapped::new();
        let rows: Vec<_> = places().take(9).map(|at| mapped.row(at)).collect();
        // The fifth is the first with four before it that were left after one request.
        assert_eq!(rows[..5], [None, None, None, None, None]);
        assert_eq!(rows[5..7], [exact(128), exact(128)], "how long they are is not known yet");
        assert_eq!(rows[7..], [exact(16), exact(16)]);
    }

    #[test]
    fn one_place_of_five_may_be_beside_another() {
        for (longer, refused) in [(&[1][..], true), (&[1, 3], false)] {
            let mut mapped = Mapped::new();
            for (number, at) in (0..6).zip(places()) {
                assert_eq!(mapped.fault(at), None, "{number}");
                // The third shows that the second was touched.
                for step in (1..3).filter(|_| longer.contains(&number)) {
                    assert_eq!(mapped.fault(at + step * MIB), None);
                }
            }
            assert_eq!(mapped.fault(places().nth(6).unwrap()).is_some(), refused, "{longer:?}");
        }
    }

    #[test]
    fn what_is_asked_for_in_pieces_is_seen_as_one_read_in_whatever_order_they_come() {
        const PIECE: u64 = 64 * KIB;
        let mut mapped = Mapped::new();
        for (number, at) in (0..).zip(places().take(9)) {
            let around = ByteRange::at(at - MIB / 2, MIB);
            // The first that comes is the first or the second of them, the last any other.
            let late = 2 + number % 14;
            let order = [number % 2, 1 - number % 2].into_iter().chain((2..16).filter(|i| *i != late)).chain([late]);
            let mut so_far: Option<ByteRange> = None;
            let mut fetches = Vec::new();
            for index in order {
                let piece = ByteRange::at(around.start + index * PIECE, PIECE);
                let before = so_far.unwrap_or(piece);
                let hull = ByteRange::new(before.start.min(piece.start), before.end.max(piece.end));
                let batch = Batch { most_bytes: MIB, so_far: hull, goes_on: hull.len() < MIB, usual_bytes: None };
                let likely = ByteRange::at(piece.start, MIB);
                if so_far.is_none() && mapped.0.refuses(likely, Asker::PageCache(batch)) {
                    break;
                }
                so_far = Some(hull);
                fetches.push(mapped.0.observe(piece, Repeated::No, Asker::PageCache(batch), Answered::Yes).fetch);
            }
            assert_eq!(so_far.is_some(), number < 5, "{number}");
            assert!(fetches.iter().all(|fetch| matches!(fetch, Fetch::Exact { reach_bytes: ..=MIB })), "{fetches:?}");
        }
        // The rest of what was refused shows nothing.
        let streams = mapped.0.len();
        let rest = ByteRange::at(900 * MIB, PAGE_BYTES);
        let so_far = ByteRange::new(rest.start - MIB / 2, rest.end);
        let batch = Batch { most_bytes: MIB, so_far, goes_on: false, usual_bytes: None };
        let plan = mapped.0.observe(rest, Repeated::No, Asker::PageCache(batch), Answered::Yes);
        assert_eq!((plan.fetch, mapped.0.len()), (Fetch::Exact { reach_bytes: 0 }, streams));
    }

    #[test]
    fn no_other_read_is_refused() {
        let mut mapped = Mapped::new();
        for at in places().take(8) {
            mapped.row(at);
        }
        let around = ByteRange::at(9 * MIB, MIB);
        let program = |_| Asker::Program;
        for (read, asker, refused, about) in [
            (around, program as fn(_) -> _, false, "a program gets what it asks for"),
            (ByteRange::at(9 * MIB, 2 * MIB), kernel, false, "it is more than the readahead"),
            (ByteRange::at(9 * MIB, 128 * KIB), kernel, false, "nothing is gained by it"),
            (ByteRange::at(9 * MIB, 256 * KIB), kernel, true, "what is left of a region"),
            (around, kernel, true, "a read around a page"),
        ] {
            let asker = asker(read);
            assert_eq!(asker.may_read_around(read) && mapped.0.refuses(read, asker), refused, "{about}");
        }
        let page = ByteRange::at(0, PAGE_BYTES);
        assert!(!kernel(page).may_read_around(page), "a single page");
    }

    #[test]
    fn behind_tensors_at_equal_distances_a_whole_readahead_is_refused() {
        for (len, refused) in [(MIB, true), (MIB - PAGE_BYTES, true), (MIB - 2 * PAGE_BYTES, false), (MIB / 2, false)] {
            let mut mapped = Mapped::new();
            let tensor = |place: u64| ByteRange::at((1 + 4 * place) * MIB, 4 * MIB);
            mapped.0.learn((0..96).map(tensor).collect(), Touch::Wants);
            for place in [0, 8, 16] {
                for ahead in 0..4 {
                    let read = ByteRange::at(tensor(place).start + ahead * MIB, MIB);
                    assert!(!mapped.0.refuses(read, kernel(read)), "{read:?} is of the tensor");
                    mapped.0.observe(read, Repeated::No, kernel(read), Answered::Yes);
                }
            }
            let behind = ByteRange::at(tensor(16).end, len);
            assert_eq!(mapped.0.refuses(behind, kernel(behind)), refused, "{len} bytes");
            let next = ByteRange::at(tensor(24).start, len);
            assert!(!mapped.0.refuses(next, kernel(next)), "it comes next");
        }
    }

    #[test]
    fn between_tensors_at_equal_distances_pieces_are_refused_until_they_are_used() {
        const PIECE: u64 = 64 * KIB;
        let mut mapped = Mapped::new();
        let tensor = |place: u64| ByteRange::at((1 + place) * MIB, MIB);
        mapped.0.learn((0..96).map(tensor).collect(), Touch::Wants);
        let left_out = |mapped: &mut Mapped, around: ByteRange| {
            let pieces = (around.start..around.end).step_by(PIECE as usize).map(|at| ByteRange::at(at, PIECE));
            pieces.map(|piece| mapped.0.leaves_out(piece)).collect::<Vec<_>>()
        };
        for place in [0, 8, 16] {
            let around = ByteRange::at(tensor(place).start - MIB / 2, MIB);
            assert_eq!(left_out(&mut mapped, around), [false; 16], "nothing is known yet");
            for read in [around, ByteRange::at(around.end, MIB)] {
                mapped.0.observe(read, Repeated::No, kernel(read), Answered::Yes);
            }
        }
        let around = ByteRange::at(tensor(24).start - MIB / 2, MIB);
        assert_eq!(left_out(&mut mapped, around), [[true; 8], [false; 8]].concat());
        // A program wants it after all.
        for at in (around.start..around.start + PIECE / 4).step_by(PAGE_BYTES as usize) {
            mapped.page(at);
        }
        assert_eq!(left_out(&mut mapped, around)[..8], [false; 8]);
    }

    #[test]
    fn what_goes_on_is_not_refused() {
        let mut mapped = Mapped::new();
        // Ever more of them at each place.
        for (number, at) in (0..).zip(places().take(15)) {
            for step in 0..=number {
                assert_eq!(mapped.fault(at + step * MIB), None, "{number} {step}");
            }
        }
        // Rows at first, then all from one place on.
        let mut mapped = Mapped::new();
        for at in places().take(8) {
            mapped.row(at);
        }
        assert!(mapped.fault(700 * MIB).is_some());
        for page in 1..128 {
            mapped.page(700 * MIB + page * PAGE_BYTES);
        }
        for step in 0..20 {
            assert_eq!(mapped.fault(701 * MIB + step * MIB), None, "{step}");
        }
    }

    #[test]
    fn what_the_kernel_reads_on_behind_runs_is_refused_where_none_has_gone_on() {
        let mut mapped = Mapped::new();
        let mut places = places();
        let mut run = |mapped: &mut Mapped| {
            let at = places.next().unwrap();
            assert_eq!(mapped.fault(at), None);
            (at, [1, 2].map(|step| mapped.reads_on(at + step * MIB)))
        };
        // The third request of each run shows that the second was touched, and none that the third was.
        let runs: Vec<_> = (0..6).map(|_| run(&mut mapped).1).collect();
        assert_eq!(runs[..2], [[true, true]; 2]);
        assert_eq!(runs[2..], [[true, false]; 4]);
        // One that goes on, and the kernel gets what it asks for again.
        let (at, last) = run(&mut mapped);
        assert_eq!(last, [true, false]);
        for page in 0..64 {
            mapped.page(at + 3 * MIB / 2 + page * PAGE_BYTES);
        }
        assert_eq!((0..8).map(|_| run(&mut mapped).1).collect::<Vec<_>>(), [[true, true]; 8]);
    }

    #[test]
    fn where_regions_are_used_the_kernel_is_asked_again_ever_later() {
        let mut mapped = Mapped::new();
        let mut refused = Vec::new();
        for (number, at) in places().take(200).enumerate() {
            if mapped.fault(at).is_some() {
                refused.push(number);
                for page in 1..128 {
                    mapped.page(at + page * PAGE_BYTES);
                }
            }
        }
        // After each one so many are answered, and at least four of these must show nothing.
        assert_eq!(refused, [5, 14, 31, 64, 129], "twice as many are answered each time");
    }

    #[test]
    fn a_program_that_goes_backwards_has_what_lies_before_it() {
        let mut mapped = Mapped::new();
        let backwards = (0..5).map(|page| mapped.page(100 * MIB - page * PAGE_BYTES).fetch);
        let reach = |pages: u64| Fetch::Back { reach_bytes: pages * PAGE_BYTES };
        let first = |pages: u64| Fetch::Exact { reach_bytes: pages * PAGE_BYTES };
        assert_eq!(backwards.collect::<Vec<_>>(), [first(1), first(2), reach(3), reach(4), reach(5)]);
    }
}
