//! A thousand nodes that load a model from each other, simulated with the code that routes their requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::route::{self, BLOCK, Block};

const NODES: usize = 1000;
const SLICE_BYTES: u64 = 2 << 20;

fn fleet(nodes: usize) -> Vec<u64> {
    (0..nodes).map(|node| route::seed(&format!("10.1.{}.{}:8080", node / 250, node % 250))).collect()
}

/// The first owner and the second of each slice of an object of one block.
fn placed(members: &[u64], name: &str, slices: u64) -> Vec<[usize; 2]> {
    let block = Block::around(0, members, route::seed(name), slices);
    (0..slices).map(|slice| block.owners(slice).map(Option::unwrap)).collect()
}

#[test]
fn the_hottest_member_serves_little_more_than_the_others() {
    // 140 GB in shards of 5 GB, and an object that is a whole block.
    for (nodes, objects, slices) in [(NODES, 28, 5_000_000_000 / SLICE_BYTES), (NODES / 5, 1, BLOCK)] {
        let (members, mut served) = (fleet(nodes), vec![0u64; nodes]);
        for object in 0..objects {
            let owners = placed(&members, &format!("shard {object}"), slices);
            owners.iter().for_each(|[first, _]| served[*first] += 1);
        }
        let mean = (objects * slices) as f64 / nodes as f64;
        let hottest = *served.iter().max().unwrap() as f64 / mean;
        eprintln!("the hottest of {nodes} members serves {hottest:.2} of the mean of {objects} x {slices} slices");
        assert!(hottest <= 1.3, "{hottest:.2}");
    }
}

/// What is in a load, in microseconds and bytes per microsecond.
struct Load {
    slices: u64,
    /// Slices that a node has asked for and not received.
    in_flight: usize,
    nic_rate: u64,
    /// Of all nodes together, out of the bucket.
    bucket_rate: u64,
    round_trip: u64,
    /// How many nodes stop, and when.
    failing: usize,
    fail_at: u64,
}

struct Outcome {
    /// Slices out of the bucket, for one slice of the object.
    fetched: f64,
    /// The time of the last node, for one that the wire of a node needs alone.
    time: f64,
    errors: u64,
}

/// A node waits so long for a connection to one that is gone, before it asks the other owner.
const CONNECT_US: u64 = 200_000;

/// Plays a load: wires and the bucket serve in the order of the requests, and a slice is fetched once by each owner,
/// however many ask for it.
fn play(load: &Load) -> Outcome {
    let owners = placed(&fleet(NODES), "model", load.slices);
    let (wire, fetch) = (SLICE_BYTES / load.nic_rate, SLICE_BYTES / load.bucket_rate);
    let mut sends_from = vec![0u64; NODES];
    let mut receives_from = vec![0u64; NODES];
    let mut bucket_from = 0;
    // When an owner has a slice, by the place of the owner.
    let mut held = vec![[None::<u64>; 2]; owners.len()];
    let mut strikes = vec![0u8; NODES * NODES];
    let (mut fetched, mut errors, mut last) = (0u64, 0u64, 0u64);
    let is_gone = |node: usize, now: u64| node < load.failing && now >= load.fail_at;
    // Slices that a node has begun, and when a place for another one is free.
    let mut next = vec![0u64; NODES];
    let mut free: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for node in 0..NODES {
        // Pods do not start in the same instant.
        (0..load.in_flight).for_each(|place| free.push(Reverse(((node * 97 % 1000 + place) as u64 * 1000, node))));
    }
    while let Some(Reverse((now, node))) = free.pop() {
        let slice = next[node] as usize;
        if slice == owners.len() || is_gone(node, now) {
            continue;
        }
        next[node] += 1;
        let mut asked_at = now;
        let mut came = None;
        for (rank, &owner) in owners[slice].iter().enumerate() {
            let standing = &mut strikes[node * NODES + owner];
            if *standing >= 3 {
                continue;
            }
            if is_gone(owner, asked_at) {
                (*standing, errors, asked_at) = (*standing + 1, errors + 1, asked_at + CONNECT_US);
                continue;
            }
            let has_from = *held[slice][rank].get_or_insert_with(|| {
                fetched += 1;
                bucket_from = bucket_from.max(asked_at) + fetch;
                bucket_from
            });
            sends_from[owner] = sends_from[owner].max(has_from).max(asked_at + load.round_trip) + wire;
            came = Some(sends_from[owner]);
            break;
        }
        let came = came.unwrap_or_else(|| {
            fetched += 1;
            bucket_from = bucket_from.max(asked_at) + fetch;
            bucket_from
        });
        receives_from[node] = came.max(receives_from[node] + wire);
        last = last.max(receives_from[node]);
        free.push(Reverse((receives_from[node], node)));
    }
    let floor = load.slices * wire;
    Outcome { fetched: fetched as f64 / load.slices as f64, time: last as f64 / floor as f64, errors }
}

#[test]
fn a_thousand_nodes_take_one_copy_out_of_the_bucket() {
    // 25 Gbit/s a node, 100 Gbit/s an account; a model of 1 GiB.
    let whole = Load {
        slices: 512,
        in_flight: 64,
        nic_rate: 3125,
        bucket_rate: 12_500,
        round_trip: 500,
        failing: 0,
        fail_at: 0,
    };
    let direct = NODES as f64 * whole.nic_rate as f64 / whole.bucket_rate as f64;
    let all_well = play(&whole);
    let some_fail = play(&Load { failing: NODES / 100, fail_at: 300_000, ..whole });
    for (name, outcome) in [("all well", &all_well), ("1 % fail", &some_fail)] {
        eprintln!(
            "{name}: {:.2} of the object out of the bucket, {:.1} times the floor of one wire (direct: {direct:.0}), \
             {} failures",
            outcome.fetched, outcome.time, outcome.errors
        );
    }
    assert_eq!(all_well.fetched, 1.0);
    assert!(some_fail.fetched <= 1.02 && some_fail.errors > 0, "{}", some_fail.fetched);
    assert!(all_well.time < direct / 10.0 && some_fail.time < direct / 10.0);
}
