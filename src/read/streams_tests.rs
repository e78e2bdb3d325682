//! Tests of streams: patterns of reads in, GETs out.

use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::object::Asker;
use super::plan::Fetch;
use super::planner;
use super::runs::Answered;
use super::stream::{Proof, Repeated};
use super::streams::{Bounds, Most, Streams};
use super::tuning::Tuning;
use crate::base::ByteRange;

const MIB: u64 = 1 << 20;

const MOST: Most = Most { allowed_bytes: 256 * MIB, worth_bytes: u64::MAX, shared_bytes: u64::MAX };

fn bounds(size: u64) -> Bounds {
    let proof = Proof { run_bytes: MIB / 8, opening_bytes: MIB / 8, middle_bytes: 0 };
    Bounds { size, part_bytes: 8 * MIB, proof, small_bytes: MIB, tuning: Arc::default() }
}

/// The GETs that a pattern of reads leads to: what each read makes go out, in KiB, with every GET answered at once.
fn check(size: u64, reads: &[(u64, u64)], expect: Expect) {
    let mut streams = Streams::new(bounds(size));
    let mut held: Vec<ByteRange> = Vec::new();
    let mut shown = String::new();
    for &(offset, len) in reads {
        let read = ByteRange::at(offset, len);
        let plan = streams.observe(read, Repeated::No, Asker::Program, Answered::Yes);
        let mut gets = Vec::new();
        while let Some(gap) = first_hole(&held, read) {
            let start = held.iter().rev().find(|part| part.end <= gap.start).map_or(0, |part| part.end);
            let end = held.iter().find(|part| part.start >= gap.end).map_or(size, |part| part.start);
            hold(
                &mut held,
                &mut gets,
                planner::demanded(gap, ByteRange::new(start, end), plan.fetch, &Tuning::default()),
            );
        }
        while ahead(&mut streams, &mut held, &mut gets, size) {}
        let gets: Vec<String> = gets.iter().map(|get| format!("{}+{}", get.start >> 10, get.len() >> 10)).collect();
        writeln!(shown, "{}+{}: {}", offset >> 10, len >> 10, squeeze(&gets)).unwrap();
    }
    expect.assert_eq(&shown);
}

/// Long rows of GETs by their ends.
fn squeeze(gets: &[String]) -> String {
    match gets {
        [first, second, .., last] if gets.len() > 5 => format!("{first} {second} ..{}.. {last}", gets.len() - 3),
        _ => gets.join(" "),
    }
}

fn first_hole(held: &[ByteRange], within: ByteRange) -> Option<ByteRange> {
    let from = held.iter().rposition(|part| part.start <= within.start).unwrap_or(0);
    planner::first_gap(within, held[from..].iter().copied())
}

fn hold(held: &mut Vec<ByteRange>, gets: &mut Vec<ByteRange>, get: ByteRange) {
    gets.push(get);
    held.push(get);
    held.sort_by_key(|part| part.start);
    assert!(held.windows(2).all(|pair| pair[0].end <= pair[1].start), "parts overlap: {held:?}");
}

fn ahead(streams: &mut Streams, held: &mut Vec<ByteRange>, gets: &mut Vec<ByteRange>, size: u64) -> bool {
    for wanted in streams.wanted(MOST) {
        let hole = first_hole(held, ByteRange::new(wanted.range.start, size));
        let Some(hole) = hole.filter(|hole| hole.start < wanted.range.end) else {
            streams.fetched(&wanted, wanted.range.end);
            continue;
        };
        if let Some(get) = planner::ahead(hole, wanted.range.end, wanted.part_bytes) {
            streams.fetched(&wanted, get.end);
            hold(held, gets, get);
            return true;
        }
    }
    false
}

fn row(start: u64, step: u64, len: u64, count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|i| (start + i * step, len)).collect()
}

#[test]
fn a_copy_fills_the_pipe_within_a_few_reads() {
    check(
        1 << 30,
        &row(0, MIB, MIB, 10),
        expect![[r#"
            0+1024: 0+1024 1024+1024 ..14.. 16384+1024
            1024+1024: 17408+1024 18432+2048 ..22.. 65536+2048
            2048+1024: 67584+2048 69632+2048 ..13.. 98304+2048
            3072+1024: 100352+2048 102400+4096 ..6.. 131072+4096
            4096+1024: 135168+4096 139264+4096 ..5.. 163840+4096
            5120+1024: 167936+4096 172032+4096 ..5.. 196608+4096
            6144+1024: 200704+4096 204800+4096 ..5.. 229376+4096
            7168+1024: 233472+4096 237568+4096 ..6.. 266240+4096
            8192+1024: 
            9216+1024: 
        "#]],
    );
}

#[test]
fn nothing_is_fetched_ahead_before_the_threshold() {
    let ahead = |proof_bytes: u64, reads: u64| {
        let mut streams = Streams::new(Bounds {
            proof: Proof { run_bytes: proof_bytes, opening_bytes: proof_bytes, middle_bytes: 0 },
            ..bounds(1 << 30)
        });
        for i in 0..reads {
            streams.observe(ByteRange::at(i * MIB, MIB), Repeated::No, Asker::Program, Answered::Yes);
        }
        !streams.wanted(MOST).is_empty()
    };
    assert_eq!([1, 2, 3, 4].map(|reads| ahead(4 * MIB, reads)), [false, false, false, true]);
    assert_eq!([1, 2].map(|reads| ahead(0, reads)), [true, true]);
}

#[test]
fn a_window_ends_with_the_last_byte() {
    check(
        20 * MIB + 100_000,
        &row(0, MIB, MIB, 4),
        expect![[r#"
        0+1024: 0+1024 1024+1024 ..14.. 16384+1024
        1024+1024: 17408+1024 18432+2145
        2048+1024: 
        3072+1024: 
    "#]],
    );
}

#[test]
fn a_file_of_one_part_comes_whole_once_it_is_read_in_earnest() {
    check(
        6 * MIB,
        &[(0, 128 << 10), (128 << 10, 128 << 10)],
        expect![[r#"
        0+128: 0+6144
        128+128: 
    "#]],
    );
    check(
        100 << 10,
        &[(50 << 10, 4 << 10)],
        expect![[r#"
        50+4: 0+100
    "#]],
    );
}

#[test]
fn a_header_costs_little() {
    check(
        1 << 30,
        &[(0, 16 << 10), (16 << 10, 32 << 10), (500 * MIB, 4 << 10)],
        expect![[r#"
        0+16: 0+128
        16+32: 
        512000+4: 512000+4
    "#]],
    );
}

#[test]
fn kernel_readahead_may_come_in_any_order() {
    let reads: Vec<_> = [1, 0, 3, 2, 5, 7, 6, 4, 9, 8].iter().map(|i| (i * (MIB / 4), MIB / 4)).collect();
    check(
        1 << 30,
        &reads,
        expect![[r#"
            256+256: 256+256
            0+256: 0+256 512+512 ..14.. 15360+1024
            768+256: 16384+1024 17408+1024 ..6.. 24576+1024
            512+256: 25600+1024 26624+2048 28672+2048 30720+2048
            1280+256: 32768+2048 34816+2048 36864+2048 38912+2048
            1792+256: 40960+2048 43008+2048 45056+2048 47104+2048 49152+2048
            1536+256: 51200+2048 53248+2048 55296+2048 57344+2048
            1024+256: 59392+2048 61440+2048 63488+2048 65536+2048
            2304+256: 67584+2048 69632+2048 71680+2048 73728+2048
            2048+256: 75776+2048 77824+2048 79872+2048 81920+2048
        "#]],
    );
}

#[test]
fn random_reads_fetch_what_they_ask_for() {
    let reads: Vec<_> = (1..20u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 43 << 12, 4096)).collect();
    check(
        8 << 30,
        &reads[..6],
        expect![[r#"
        5184444+4: 5184444+4
        1980280+4: 1980280+4
        7164724+4: 7164724+4
        3960560+4: 3960560+4
        756400+4: 756400+4
        5940844+4: 5940844+4
    "#]],
    );
    let mut streams = Streams::new(bounds(8 << 30));
    for (offset, len) in reads {
        streams.observe(ByteRange::at(offset, len), Repeated::No, Asker::Program, Answered::Yes);
        assert_eq!(streams.wanted(MOST), []);
    }
}

#[test]
fn a_reader_that_starts_in_the_middle_is_trusted_by_and_by() {
    check(
        1 << 30,
        &row(100 * MIB, MIB, MIB, 6),
        expect![[r#"
        102400+1024: 102400+1024
        103424+1024: 103424+1024 104448+1024 105472+1024 106496+1024 107520+1024
        104448+1024: 108544+1024 109568+1024 110592+1024
        105472+1024: 111616+1024 112640+1024 113664+1024
        106496+1024: 114688+1024 115712+1024 116736+1024
        107520+1024: 117760+1024 118784+1024 119808+1024
    "#]],
    );
}

#[test]
fn four_threads_on_one_file_keep_four_windows() {
    let reads: Vec<_> = (0..3).flat_map(|i| (0..4).map(move |t| (t * 256 * MIB + i * MIB, MIB))).collect();
    check(
        1 << 30,
        &reads,
        expect![[r#"
        0+1024: 0+1024 1024+1024 ..14.. 16384+1024
        262144+1024: 262144+1024
        524288+1024: 524288+1024
        786432+1024: 786432+1024
        1024+1024: 17408+1024 18432+2048 ..22.. 65536+2048
        263168+1024: 263168+1024 264192+1024 265216+1024 266240+1024 267264+1024
        525312+1024: 525312+1024 526336+1024 527360+1024 528384+1024 529408+1024
        787456+1024: 787456+1024 788480+1024 789504+1024 790528+1024 791552+1024
        2048+1024: 67584+2048 69632+2048 ..13.. 98304+2048
        264192+1024: 268288+1024 269312+1024 270336+1024
        526336+1024: 530432+1024 531456+1024 532480+1024
        788480+1024: 792576+1024 793600+1024 794624+1024
    "#]],
    );
}

#[test]
fn a_window_ends_where_another_reader_began() {
    let mut streams = Streams::new(bounds(1 << 30));
    for i in 0..4 {
        streams.observe(ByteRange::at(i * MIB, MIB), Repeated::No, Asker::Program, Answered::Yes);
        streams.observe(ByteRange::at(20 * MIB + i * MIB, MIB), Repeated::No, Asker::Program, Answered::Yes);
    }
    let ends: Vec<u64> = streams.wanted(MOST).iter().map(|wanted| wanted.range.end / MIB).collect();
    assert_eq!(ends, [20, 32]);
}

#[test]
fn small_skips_and_steps_back_keep_the_stream() {
    let reads = [0, 1, 2, 4, 3, 6, 7].map(|i| (i * MIB, MIB));
    check(
        64 * MIB,
        &reads,
        expect![[r#"
        0+1024: 0+1024 1024+1024 ..14.. 16384+1024
        1024+1024: 17408+1024 18432+2048 ..21.. 63488+2048
        2048+1024: 
        4096+1024: 
        3072+1024: 
        6144+1024: 
        7168+1024: 
    "#]],
    );
}

#[test]
fn a_sequential_reader_that_turns_random_stops_and_starts_again() {
    let mut streams = Streams::new(bounds(1 << 30));
    let wants = |streams: &mut Streams, offset, len| {
        let plan = streams.observe(ByteRange::at(offset, len), Repeated::No, Asker::Program, Answered::Yes);
        for wanted in streams.wanted(MOST) {
            streams.fetched(&wanted, wanted.range.end);
        }
        matches!(plan.fetch, Fetch::Windowed { .. })
    };
    assert!((0..8).all(|i| wants(&mut streams, i * MIB, MIB)));
    // Sparse reads within the window: not sequential, though each lies ahead of the one before.
    let sparse: Vec<bool> = (0..12).map(|i| wants(&mut streams, (10 + 3 * i) * MIB, 4096)).collect();
    assert_eq!(sparse.iter().rposition(|&windowed| windowed), Some(0), "{sparse:?}");
    let again: Vec<bool> = (0..4).map(|i| wants(&mut streams, 600 * MIB + i * MIB, MIB)).collect();
    assert_eq!(again, [false, true, true, true]);
}

#[test]
fn a_proven_stream_survives_a_thousand_random_reads() {
    let mut streams = Streams::new(bounds(64 << 30));
    for i in 0..4 {
        streams.observe(ByteRange::at(i * MIB, MIB), Repeated::No, Asker::Program, Answered::Yes);
    }
    for i in 1..1000u64 {
        streams.observe(
            ByteRange::at((i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 29 << 12) + (1 << 30), 4096),
            Repeated::No,
            Asker::Program,
            Answered::Yes,
        );
    }
    let plan = streams.observe(ByteRange::at(4 * MIB, MIB), Repeated::No, Asker::Program, Answered::Yes);
    assert!(matches!(plan.fetch, Fetch::Windowed { .. }), "{plan:?}");
    assert!(streams.wanted(MOST).iter().any(|wanted| wanted.range.start == 5 * MIB));
}

#[test]
fn only_who_reads_a_header_waits_for_what_it_says() {
    for (first, ahead) in [(0, [true, true, true, false]), (1, [true, false, false, false])] {
        let mut streams = Streams::new(bounds(64 * MIB));
        streams.awaits_header(Some(8));
        for (mib, is_bounded) in (first..).zip(ahead) {
            streams.observe(ByteRange::at(mib * MIB, MIB), Repeated::No, Asker::Program, Answered::Yes);
            let end = streams.wanted(MOST).iter().map(|wanted| wanted.range.end).max().unwrap_or(0);
            assert_eq!(end <= 4 * MIB, is_bounded, "{mib} MiB: {end}");
        }
        streams.awaits_header(None);
        assert!(streams.wanted(MOST)[0].range.end > 8 * MIB);
    }
}

/// How long the windows of readers are, in MiB, each of which has read so much in order from its place on.
fn windows_mib(places: &[(u64, u64)], shared_bytes: u64) -> Vec<u64> {
    let mut streams = Streams::new(bounds(4096 * MIB));
    for round in 0..places.iter().map(|(_, mib)| *mib).max().unwrap_or(0) {
        for (place, _) in places.iter().filter(|(_, mib)| *mib > round) {
            let read = ByteRange::at((place + round) * MIB, MIB);
            streams.observe(read, Repeated::No, Asker::Program, Answered::Yes);
        }
    }
    let mut wanted = streams.wanted(Most { shared_bytes, ..MOST });
    wanted.sort_by_key(|wanted| wanted.range.start);
    wanted.iter().map(|wanted| wanted.range.len() / MIB).collect()
}

#[test]
fn readers_far_from_each_other_share_what_the_network_holds() {
    assert_eq!(windows_mib(&[(0, 32)], 64 * MIB), [256], "one has all of it");
    assert_eq!(windows_mib(&[(0, 32), (48, 32)], 64 * MIB), [16, 256], "and so have those that follow each other");
    assert_eq!(windows_mib(&[(0, 32), (1024, 32)], 64 * MIB), [32, 32]);
    assert_eq!(windows_mib(&[(0, 32), (1024, 32), (2048, 32), (3072, 32)], 96 * MIB), [24, 24, 24, 24]);
    assert_eq!(windows_mib(&[(0, 32), (1024, 32), (2048, 32), (3072, 32)], 32 * MIB), [16, 16, 16, 16]);
    assert_eq!(windows_mib(&[(0, 128), (1024, 32)], 64 * MIB), [32, 32]);
    assert_eq!(windows_mib(&[(0, 256), (1024, 32)], 64 * MIB), [64, 32], "it has read much");
    // The other one has only begun.
    assert_eq!(windows_mib(&[(0, 32), (1024, 1)], 64 * MIB)[0], 32);
    assert_eq!(windows_mib(&[(0, 32)], u64::MAX), [256]);
}
