//! Tests of what a layout and the reads so far say of the reads to come.

use super::stream::Approach;
use super::tensors::{Forecast, Tensors, Touch};
use super::tuning::Tuning;
use crate::base::{ByteRange, PAGE_BYTES, READAHEAD_BYTES};

const MIB: u64 = 1 << 20;

/// Ten tensors of 10 MiB behind a header of one.
fn tensors() -> Tensors {
    let mut tensors = Tensors::default();
    tensors.learn(
        (0..10).map(|i| ByteRange::at((1 + 10 * i) * MIB, 10 * MIB)).collect(),
        Touch::Wants,
        &Tuning::default(),
    );
    tensors
}

/// A read that begins where no other has ended; which tensor it has come for.
fn jump(tensors: &mut Tensors, read: ByteRange) -> Option<ByteRange> {
    tensors.observe(read, Approach::Jumps(read), &Tuning::default())
}

/// Where the tensor ends that this read has come for, in MiB.
fn read(tensors: &mut Tensors, mib: u64) -> Option<u64> {
    jump(tensors, ByteRange::at(mib * MIB, MIB)).map(|tensor| tensor.end / MIB)
}

/// The same for a fault on the last page before this place, or the first one behind it.
fn fault(tensors: &mut Tensors, mib: u64) -> Option<u64> {
    let around = ByteRange::at(mib * MIB - MIB / 2, MIB);
    jump(tensors, around).map(|tensor| tensor.end / MIB)
}

#[test]
fn who_comes_for_a_tensor_wants_the_rest() {
    let mut tensors = tensors();
    assert_eq!([0, 31, 32, 45, 99].map(|mib| read(&mut tensors, mib)), [None, Some(41), None, None, None]);
    assert!(!tensors.are_more_wanted(&Tuning::default()));
    assert_eq!(jump(&mut Tensors::default(), ByteRange::at(0, MIB)), None);
}

#[test]
fn the_page_on_a_border_is_of_the_tensor_that_was_begun() {
    let mut tensors = tensors();
    // The second tensor: its first page, its last one, then the middle.
    assert_eq!([11, 21].map(|mib| fault(&mut tensors, mib)), [Some(21), Some(21)]);
    assert_eq!([19, 18, 17].map(|mib| read(&mut tensors, mib)), [None; 3]);
    // Of the third one the first page is there.
    assert_eq!(fault(&mut tensors, 31), Some(31));
    assert_eq!([22, 23].map(|mib| read(&mut tensors, mib)), [None; 2]);
    assert!(tensors.are_more_wanted(&Tuning::default()));
    // The last one.
    assert_eq!(fault(&mut tensors, 91), Some(101));
    assert_eq!(read(&mut tensors, 100), Some(101));
}

#[test]
fn windows_end_with_the_tensor_that_is_wanted() {
    let (mut tensors, tuning) = (tensors(), Tuning::default());
    let bound = |tensors: &Tensors, start, position| tensors.bound(start * MIB, position * MIB, &tuning) / MIB;
    assert_eq!(bound(&tensors, 0, 1), 1, "the header");
    assert_eq!(bound(&tensors, 10, 12), 11, "what the kernel has read ahead");
    assert_eq!(bound(&tensors, 13, 14), 21, "a part of a tensor");
    fault(&mut tensors, 11);
    assert_eq!(bound(&tensors, 10, 12), 21, "one that is wanted");
    assert_eq!(bound(&tensors, 11, 22), 21, "it may be read ahead");
    assert_eq!(bound(&tensors, 11, 23), u64::MAX / MIB, "and who goes on may go on");
}

#[test]
fn tensors_to_come_follow_from_those_begun() {
    let tuning = Tuning::default();
    let range = |place: u64| ByteRange::at((1 + 2 * place) * MIB, 2 * MIB);
    let forecast = |places: &[u64]| {
        let mut tensors = Tensors::default();
        tensors.learn((0..100).map(range).collect(), Touch::Wants, &tuning);
        for place in places {
            jump(&mut tensors, range(*place));
        }
        match tensors.forecast(&tuning) {
            Forecast::Nothing => "-".to_owned(),
            Forecast::Rest { halves, .. } => format!("{halves}/2"),
            Forecast::InOrder { .. } => "in order".to_owned(),
            Forecast::Tensors(ranges) => {
                format!("{:?}", ranges.iter().map(|range| (range.start / MIB - 1) / 2).collect::<Vec<_>>())
            }
        }
    };
    for (places, expected) in [
        (&[7][..], "-"),
        (&[0, 8], "0/2"),
        (&[0, 8, 16], "[24, 32, 40]"),
        (&[0, 8, 16, 24], "[32, 40, 48, 56, 64, 72, 80]"),
        (&[64, 80, 96], "[]"),
        (&[90, 80, 70], "[60, 50, 40]"),
        // One that does not fit, and all has to be proved anew.
        (&[0, 8, 16, 24, 25], "-"),
        (&[0, 8, 16, 24, 25, 33], "0/2"),
        (&[3, 50, 20], "0/2"),
        (&[5, 17, 18, 40], "0/2"),
        (&[3, 50, 20, 90, 1], "1/2"),
        (&[3, 50, 20, 90, 1, 33, 34], "4/2"),
        (&[3, 4], "4/2"),
        (&[3, 4, 5], "in order"),
        (&[3, 3, 3], "-"),
    ] {
        assert_eq!(forecast(places), expected, "{places:?}");
    }
}

#[test]
fn short_tensors_are_begun_where_a_reader_has_come_for_them() {
    let (mut tensors, tuning) = (Tensors::default(), Tuning::default());
    tensors.learn((0..100).map(|place| ByteRange::at((1 + place) * MIB, MIB)).collect(), Touch::Wants, &tuning);
    for place in [0, 8, 16] {
        // A page fault, and what the kernel reads on: half of both neighbours comes, too.
        let around = ByteRange::at((1 + place) * MIB - MIB / 2, MIB);
        jump(&mut tensors, around);
        tensors.observe(ByteRange::at(around.end, MIB), Approach::GoesOn, &tuning);
    }
    let next = |place: u64| ByteRange::new((1 + place) * MIB - MIB / 2, (2 + place) * MIB + MIB / 2);
    assert_eq!(tensors.forecast(&tuning), Forecast::Tensors([24, 32, 40].map(next).to_vec()));
    assert_eq!(tensors.end_of_fetch(5 * MIB, &tuning), 5 * MIB + MIB / 2, "and no more");
}

#[test]
fn of_what_the_kernel_is_refused_piece_by_piece_a_part_of_one_is_fetched() {
    let tuning = Tuning::default();
    let range = |place: u64| ByteRange::at((1 + place) * MIB, MIB);
    for (lead_bytes, piece_bytes) in [(MIB / 2, MIB / 8), (0, 0)] {
        let mut tensors = Tensors::default();
        tensors.learn((0..100).map(range).collect(), Touch::Wants, &tuning);
        for tensor in [0, 8, 16].map(range) {
            let read = ByteRange::at(tensor.start - lead_bytes, MIB);
            jump(&mut tensors, read);
            tensors.observe(ByteRange::new(read.end, tensor.end + lead_bytes), Approach::GoesOn, &tuning);
            assert!(!tensors.skip_piece(ByteRange::at(tensor.end - PAGE_BYTES, 2 * PAGE_BYTES), &tuning));
        }
        assert!(tensors.skip_piece(ByteRange::at(range(23).start, MIB), &tuning));
        let next = |place| ByteRange::new(range(place).start - piece_bytes, range(place).end + piece_bytes);
        assert_eq!(tensors.forecast(&tuning), Forecast::Tensors([24, 32, 40].map(next).to_vec()));
        assert_eq!(tensors.end_of_fetch(50 * MIB, &tuning), 50 * MIB + piece_bytes);
        // The read that holds its beginning has come for it, wherever in the read that is.
        for lead_bytes in [MIB / 8, 3 * MIB / 16, MIB / 4] {
            let read = ByteRange::at(range(24).start - lead_bytes, MIB / 2);
            assert_eq!(jump(&mut tensors, read), Some(range(24)));
            let Forecast::Tensors(foretold) = tensors.forecast(&tuning) else { panic!("nothing is foretold") };
            assert_eq!(foretold[0].start, range(24).start - lead_bytes, "as much as of the last one");
        }
        // What is in the middle of another read is nothing that a program waits for, but a page by itself is.
        assert_eq!(jump(&mut tensors, ByteRange::at(range(31).start - MIB / 2, MIB)), None);
        assert_eq!(jump(&mut tensors, ByteRange::at(range(31).start, PAGE_BYTES)), Some(range(31)));
    }
}

#[test]
fn what_is_refused_behind_a_tensor_is_not_fetched() {
    let tuning = Tuning::default();
    let range = |place: u64| ByteRange::at((1 + 4 * place) * MIB, 4 * MIB);
    for (behind_bytes, fetched_bytes) in [(MIB / 2, MIB / 2), (MIB, 0), (3 * MIB / 2, MIB / 2)] {
        let mut tensors = Tensors::default();
        tensors.learn((0..100).map(range).collect(), Touch::Wants, &tuning);
        for place in [0, 8, 16] {
            jump(&mut tensors, range(place));
            let last = ByteRange::new(range(place).end - PAGE_BYTES, range(place).end + behind_bytes);
            tensors.observe(last, Approach::GoesOn, &tuning);
        }
        let next = |place: u64| ByteRange::new(range(place).start, range(place).end + fetched_bytes);
        assert_eq!(tensors.forecast(&tuning), Forecast::Tensors([24, 32, 40].map(next).to_vec()), "{behind_bytes}");
    }
}

#[test]
fn what_lies_between_tensors_at_equal_distances_is_left_out() {
    let tuning = Tuning::default();
    // Of so many MiB each.
    let skipped = |mib: u64, places: [u64; 3]| {
        let mut tensors = Tensors::default();
        let start = |place: u64| (1 + mib * place) * MIB;
        tensors.learn((0..100).map(|place| ByteRange::at(start(place), mib * MIB)).collect(), Touch::Wants, &tuning);
        for place in places {
            let around = ByteRange::at(start(place) - MIB / 2, MIB);
            jump(&mut tensors, around);
            for ahead in 0..mib {
                tensors.observe(ByteRange::at(around.end + ahead * MIB, MIB), Approach::GoesOn, &tuning);
            }
        }
        let is_skipped = |place: &u64| tensors.skip(ByteRange::at(start(*place) + MIB / 2, MIB), &tuning);
        (16..26).filter(is_skipped).collect::<Vec<_>>()
    };
    assert_eq!(skipped(1, [0, 8, 16]), [17, 18, 19, 20, 21, 22, 25], "not 16, which is read, nor 24, which is next");
    assert_eq!(skipped(4, [0, 8, 16]), [17, 18, 19, 20, 21, 22, 23, 25]);
    assert_eq!(skipped(4, [0, 1, 2]), [0; 0]);
    assert_eq!(skipped(1, [0, 8, 40]), [0; 0], "these are at no equal distances");
}

#[test]
fn who_leaves_tensors_halfway_is_not_believed_for_long() {
    let (mut tensors, tuning) = (tensors(), Tuning::default());
    let promised: Vec<bool> = (0..30).map(|i| read(&mut tensors, 1 + i % 10 * 10).is_some()).collect();
    assert_eq!(
        promised.iter().rposition(|&promised| promised),
        Some((tuning.open_promises + tuning.broken_promises) as usize - 1)
    );
    assert!(!tensors.are_more_wanted(&Tuning::default()));
}

#[test]
fn who_reads_them_whole_in_any_order_is() {
    let mut tensors = tensors();
    for round in 0..5u64 {
        for i in [3, 9, 1, 0, 4, 2, 8, 5, 7, 6] {
            assert!(read(&mut tensors, 1 + 10 * i).is_some(), "{round} {i}");
            for mib in 2..=10 {
                read(&mut tensors, mib + 10 * i);
            }
        }
    }
    assert!(tensors.are_more_wanted(&Tuning::default()));
}

/// Forty members of 10 MiB behind one of 1 MiB and some bytes, so that none begins with a page.
fn members() -> Tensors {
    let mut members = Tensors::default();
    members.learn((0..40).map(member).collect(), Touch::Looks, &Tuning::default());
    members
}

fn member(place: u64) -> ByteRange {
    ByteRange::at((1 + 10 * place) * MIB + 777, 10 * MIB)
}

/// The header of a member, by a buffered read.
fn look(place: u64) -> ByteRange {
    ByteRange::at(member(place).start / PAGE_BYTES * PAGE_BYTES, 132 << 10)
}

fn go_on(members: &mut Tensors, read: ByteRange) -> Option<ByteRange> {
    members.observe(read, Approach::GoesOn, &Tuning::default())
}

#[test]
fn who_comes_to_a_member_again_wants_the_rest() {
    let mut members = members();
    assert_eq!(jump(&mut members, ByteRange::at(member(2).start + 5 * MIB, MIB)), None, "the first look");
    for place in 0..10 {
        assert_eq!(jump(&mut members, look(place)), None);
    }
    let behind_look = |place| ByteRange::at(look(place).end, MIB / 2);
    assert_eq!(go_on(&mut members, behind_look(3)), Some(member(3)));
    assert_eq!(go_on(&mut members, behind_look(4)), None, "the kernel has read on behind another");
    assert_eq!(jump(&mut members, ByteRange::at(member(4).start + 5 * MIB, MIB)), Some(member(4)));
    assert_eq!(jump(&mut members, ByteRange::at(member(4).start + 7 * MIB, MIB)), None, "it is wanted already");
    // A fault on the first page that the look has not brought: the kernel reads the end of the one before, too.
    let fault = ByteRange::new(look(7).end - READAHEAD_BYTES / 2, look(7).start);
    assert_eq!(jump(&mut members, fault), Some(member(7)));
    let before = ByteRange::new(member(6).end - MIB, look(7).start);
    assert_eq!(jump(&mut members, before), None, "more of it, which ends where the look has begun");
    assert_eq!(jump(&mut members, behind_look(8)), None, "the kernel has read on behind another, from a new place");
    assert_eq!(jump(&mut members, look(9)), Some(member(9)), "its header once more");
    let behind_fault = member(10).start + 600 * 1024;
    (10..20).for_each(|place| assert_eq!(jump(&mut members, look(place)), None));
    assert_eq!(jump(&mut members, ByteRange::at(behind_fault, MIB)), Some(member(10)), "no readahead begins there");
    assert_eq!(jump(&mut members, ByteRange::at(member(12).end - MIB, MIB / 4)), Some(member(12)), "near its end");
    assert!(!members.are_foretold() && !members.are_unknown());
}

#[test]
fn members_that_are_left_halfway_are_not_believed_in_for_long() {
    let (mut members, tuning) = (members(), Tuning::default());
    (0..40).for_each(|place| assert_eq!(jump(&mut members, look(place)), None));
    // What lies behind one that is wanted may be read ahead.
    let promised = (0..40).step_by(2).filter(|place| jump(&mut members, look(*place)).is_some()).count() as u64;
    assert_eq!(promised, tuning.open_promises + tuning.broken_promises);
}

#[test]
fn windows_end_with_the_member_that_a_reader_is_in() {
    let (mut members, tuning) = (members(), Tuning::default());
    let bound = |members: &Tensors, at: u64, bytes| members.bound(at, at + bytes, &tuning);
    jump(&mut members, look(1));
    assert_eq!(bound(&members, look(1).start, 132 << 10), member(1).start, "a look");
    assert_eq!(bound(&members, look(1).start, MIB + PAGE_BYTES), member(1).end);
    assert_eq!(bound(&members, look(1).start, 10 * MIB + PAGE_BYTES), member(2).start, "what the kernel reads ahead");
    assert_eq!(bound(&members, look(1).start, 10 * MIB + 3 * MIB), member(2).end);
    assert_eq!(bound(&members, look(1).start, 10 * MIB + 4 * MIB + PAGE_BYTES), u64::MAX, "who goes on may go on");
}

#[test]
fn members_are_begun_where_more_was_read_than_the_kernel_reads_ahead() {
    let (mut members, tuning) = (members(), Tuning::default());
    for place in [0, 4, 8] {
        go_on(&mut members, ByteRange::at(member(place).start, 4 * MIB - PAGE_BYTES));
    }
    assert_eq!(members.forecast(&tuning), Forecast::Nothing);
    for place in [0, 4] {
        go_on(&mut members, ByteRange::at(member(place).start + 4 * MIB - PAGE_BYTES, PAGE_BYTES));
    }
    assert!(members.are_more_wanted(&tuning));
}
