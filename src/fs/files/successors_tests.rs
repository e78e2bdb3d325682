//! Files read one after the other: what is fetched before a program opens it, and what is not.

use std::collections::BTreeSet;

use futures::future::join_all;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::fs::tests::Bed;
use crate::fs::*;
use crate::store::StorageClass;
use crate::store::memory::MemoryStore;

/// A bucket with these keys, each of so many bytes, that answers after 20 ms; listed already.
async fn bed(keys: &[String], bytes: usize) -> Bed {
    let store = MemoryStore::new().latency(Duration::from_millis(20));
    for key in keys {
        store.put(key.as_str(), vec![7; bytes]);
    }
    let bed = Bed::over(store, |_| ());
    bed.names("").await;
    bed.requests();
    bed
}

/// Opens and reads files in this order; which of them had to be waited for.
async fn read(bed: &Bed, keys: impl IntoIterator<Item = &String>) -> Vec<String> {
    let mut waits = Vec::new();
    for key in keys {
        let before = bed.metrics.value(Metric::ReadsBuffered);
        let handle = bed.open(key).await.unwrap();
        let bytes = bed.fs.clone().read(handle, 0, 1 << 20).await.unwrap().len();
        assert!(bytes > 0);
        bed.fs.release(handle);
        if bed.metrics.value(Metric::ReadsBuffered) == before {
            waits.push(key.clone());
        }
        // What was asked for ahead comes while the program works.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    waits
}

fn named(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("image-{i:05}.jpg")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_directory_read_in_order_is_waited_for_at_its_first_files() {
    let keys = named(40);
    let bed = bed(&keys, 50_000).await;
    assert_eq!(read(&bed, &keys).await, &keys[..3]);
    assert_eq!(bed.requests().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn workers_that_share_a_directory_are_followed() {
    let keys = named(200);
    let bed = bed(&keys, 10_000).await;
    let mut order: Vec<&String> = keys.iter().collect();
    order.chunks_mut(4).for_each(|few| few.reverse());
    let waits = read(&bed, order).await;
    assert!(waits.len() <= 4, "{waits:?}");
    assert_eq!(bed.requests().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn random_order_fetches_little_more_than_it_asks_for() {
    let keys = named(2000);
    let bed = bed(&keys, 1000).await;
    let mut order: Vec<&String> = keys.iter().collect();
    order.shuffle(&mut StdRng::seed_from_u64(5));
    read(&bed, order[..300].iter().copied()).await;
    let gets = bed.requests().len();
    assert!(gets <= 315, "{gets} GETs for 300 files");
}

#[tokio::test(start_paused = true)]
async fn the_next_shard_is_on_its_way_before_it_is_opened() {
    let keys: Vec<String> = (1..=6).map(|i| format!("model-{i:05}-of-00006.safetensors")).collect();
    let bed = bed(&keys, 3 << 20).await;
    for (index, key) in keys.iter().enumerate() {
        let handle = bed.open(key).await.unwrap();
        assert_eq!(bed.fs.clone().read(handle, 0, 4096).await.unwrap().len(), 4096);
        if index == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(bed.requests().iter().all(|get| get.ends_with(key.as_str())), "a look at the header");
        }
        for at in 0..3 {
            bed.fs.clone().read(handle, at << 20, 1 << 20).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let gets = bed.requests();
        if index == 0 {
            assert!(gets.contains(&format!("GET {}", keys[1])) && !gets.contains(&format!("GET {}", keys[2])));
        }
        assert!(index == 0 || !gets.contains(&format!("GET {key}")), "{key} was fetched before: {gets:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_are_followed_where_the_listing_has_another_order() {
    let keys: Vec<String> = (5..25).map(|i| format!("part_{i}.parquet")).collect();
    let bed = bed(&keys, 1000).await;
    assert_eq!(read(&bed, &keys).await, &keys[..3]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_listed_or_asked_for_on_behalf_of_a_guess() {
    let store = MemoryStore::new();
    let keys: Vec<String> = (1..=9).map(|i| format!("s-{i}-of-9")).collect();
    keys.iter().for_each(|key| drop(store.put(key.as_str(), vec![1; 100])));
    let bed = Bed::over(store, |_| ());
    let handle = bed.open(&keys[0]).await.unwrap();
    bed.requests();
    bed.fs.clone().read(handle, 0, 100).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let requests = bed.requests();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_was_left_is_not_fetched_any_further() {
    let keys: Vec<String> = ["a", "b"].iter().flat_map(|dir| (0..40).map(move |i| format!("{dir}/{i:02}"))).collect();
    let bed = bed(&keys, 10).await;
    bed.names("a").await;
    bed.names("b").await;
    let inos: Vec<Ino> = join_all(keys.iter().map(|key| bed.attr(key))).await.iter().map(|attr| attr.ino).collect();
    let mut successors = bed.fs.files.successors.lock();
    let mut read = |at: usize| bed.fs.names.look_at_tree(|tree, _| successors.read(tree, inos[at]));
    let named: Vec<_> = (0..3).flat_map(|at| read(at).next).collect();
    assert_eq!(named.iter().map(|&(_, ino)| ino).collect::<Vec<_>>(), inos[3..7]);
    // Every second one, from the end: no order.
    let withdrawn: Vec<_> = (0..17).map(|i| read(79 - 2 * i).withdrawn).collect();
    assert_eq!(withdrawn.concat(), [named[0].0]);
}

#[tokio::test(start_paused = true)]
async fn archived_files_are_left_out() {
    let store = MemoryStore::new();
    for key in named(12) {
        store.put(key.as_str(), vec![7; 1000]);
    }
    for key in &named(12)[4..6] {
        store.amend(key, |meta| meta.storage_class = Some(StorageClass("ColdArchive".into())));
    }
    let bed = Bed::over(store, |_| ());
    bed.names("").await;
    bed.requests();
    read(&bed, &named(12)[..3]).await;
    let gets = bed.requests();
    assert!(gets.len() == 5 && !gets.iter().any(|get| get.ends_with("00004.jpg")), "{gets:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a directory holds and in whatever order it is read: what is named is a file of that directory.
    #[test]
    fn only_siblings_are_named(
        keys in prop::collection::btree_set("(d/)?[ab]?(-of-)?[0-9]{1,3}(-of-[0-9]{1,2})?(/x|\\.bin)?", 1..60),
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let keys: Vec<String> = keys.into_iter().collect();
            let bed = bed(&keys, 10).await;
            bed.names("").await;
            let mut successors = bed.fs.files.successors.lock();
            let files: Vec<Ino> = bed.fs.names.look_at_tree(|tree, _| tree.files_from(Ino::ROOT, 0).collect());
            let siblings: BTreeSet<Ino> = files.iter().copied().collect();
            let mut dice = StdRng::seed_from_u64(seed);
            let mut at = 0;
            for _ in 0..200 {
                at = if dice.random_range(0..4) == 0 { dice.random_range(0..files.len().max(1)) } else { at + 1 };
                let Some(&ino) = files.get(at) else { continue };
                let named = bed.fs.names.look_at_tree(|tree, _| successors.read(tree, ino));
                assert!(named.next.iter().all(|(_, next)| siblings.contains(next) && *next != ino), "{named:?} after {ino:?}");
            }
        });
    }
}
