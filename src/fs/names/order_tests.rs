//! Servers that list in another order than that of the bytes, or some names twice: whatever the way of listing, every
//! name is shown once.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::fs::tests::Bed;
use crate::fs::*;
use crate::store::layers::{EmptyPages, Fault, KeyOrder, Operation, QuirkStore, Quirks, StartAfter};
use crate::store::memory::MemoryStore;

fn bucket(keys: &[String]) -> MemoryStore {
    let bucket = MemoryStore::new().latency(Duration::from_millis(20));
    keys.iter().for_each(|key| drop(bucket.put(key.as_str(), "x")));
    bucket
}

fn bed(keys: &[String], quirks: Quirks, listing: ListingMode) -> Bed {
    bed_with(keys, quirks, |options| options.listing = listing)
}

/// Pages are short, so that a few hundred keys fill several.
fn bed_with(keys: &[String], quirks: Quirks, change: impl FnOnce(&mut Options)) -> Bed {
    let between = move |store| -> Arc<dyn Store> { Arc::new(QuirkStore::new(store, quirks)) };
    Bed::behind(bucket(keys), between, |options| {
        options.list.page_size = 50;
        change(options);
    })
}

/// Walks depth first, as `find` does; the paths of the files seen, in the order seen.
fn walk<'b>(bed: &'b Bed, directory: Ino, path: String) -> BoxFuture<'b, Vec<String>> {
    async move {
        let mut files = Vec::new();
        for entry in &bed.entries(directory, 200).await.unwrap()[2..] {
            let name = String::from_utf8(entry.name.to_vec()).unwrap();
            match entry.attr.kind {
                FileKind::Directory => files.extend(walk(bed, entry.attr.ino, format!("{path}{name}/")).await),
                _ => files.push(format!("{path}{name}")),
            }
        }
        files
    }
    .boxed()
}

/// The bucket of the report: directories of a few files each beside many files.
fn wide_and_deep() -> Vec<String> {
    let deep = (0..12).flat_map(|set| (0..5).map(move |n| format!("set{set:02}/part/{n:03}.bin")));
    deep.chain((0..130).map(|n| format!("file{n:04}"))).collect()
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_unstable();
    keys
}

/// Servers as they are out there, by what they do.
fn servers() -> [(&'static str, Quirks); 7] {
    let plain = Quirks::default();
    [
        ("any order", Quirks { order: KeyOrder::Scattered(7), start_after: StartAfter::Ignored, ..plain }),
        ("UTF-16", Quirks { order: KeyOrder::Utf16, ..plain }),
        ("common prefixes on each page", Quirks { repeated_prefixes: true, ..plain }),
        ("start-after ignored", Quirks { start_after: StartAfter::Ignored, ..plain }),
        ("start-after refused", Quirks { start_after: StartAfter::Refused, ..plain }),
        ("names twice", Quirks { duplicates: true, ..plain }),
        ("empty pages", Quirks { empty_pages: EmptyPages::Before(3), ..plain }),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_name_is_found_once_in_every_mode_again_and_again() {
    let mut keys = wide_and_deep();
    keys.extend((0..60).map(|n| format!("\u{ff00}/{n:04}")).chain((0..60).map(|n| format!("\u{10000}/{n:04}"))));
    let keys = sorted(keys);
    for (server, quirks) in servers() {
        for listing in [ListingMode::Lazy, ListingMode::Auto, ListingMode::Eager] {
            let bed = bed(&keys, quirks, listing);
            for round in 0..2 {
                let found = sorted(walk(&bed, Ino::ROOT, String::new()).await);
                assert!(found == keys, "{server}, {listing:?}, {round}: {} of {}", found.len(), keys.len());
                assert_eq!(bed.attr("set11/part/004.bin").await.size, 1);
                bed.pass(61);
            }
        }
    }
}

/// A wide listing and the root's own one bring the same names, and the answers come late by any time.
#[tokio::test(start_paused = true)]
async fn every_name_is_found_in_whatever_order_the_pages_of_two_listings_come() {
    let keys = sorted(wide_and_deep());
    for (server, quirks) in servers() {
        for seed in 0..if quirks.repeated_prefixes { 24 } else { 4 } {
            let bed = bed(&keys, quirks, ListingMode::Eager);
            let mut dice = StdRng::seed_from_u64(seed);
            for _ in 0..50 {
                bed.faults.once(Operation::List, Fault::Late(Duration::from_millis(dice.random_range(0..200))));
            }
            for round in 0..3 {
                let found = sorted(walk(&bed, Ino::ROOT, String::new()).await);
                assert!(found == keys, "{server}, {seed}, {round}: {} of {}", found.len(), keys.len());
                bed.pass(if round == 0 { 0 } else { 61 });
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_mount_finds_every_name_too() {
    let keys = sorted(wide_and_deep());
    for (server, quirks) in servers() {
        let bed = bed_with(&keys, quirks, |options| options.metadata_ttl = Ttl::Indefinite);
        let found = sorted(walk(&bed, Ino::ROOT, String::new()).await);
        assert!(found == keys, "{server}: {} of {}", found.len(), keys.len());
        for key in keys.iter().step_by(17) {
            assert_eq!(bed.attr(key).await.size, 1, "{server}: {key}");
        }
        bed.missing("file0130").await;
        bed.missing("set00/part/none").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_found_out_is_told_and_used() {
    let figures = |bed: &Bed| bed.fs.control.figures(crate::control::Stats { files: false })["listing"].clone();
    let keys = wide_and_deep();
    for (server, word) in [(0, "no-order"), (3, "no-start-after"), (4, "no-start-after"), (6, "byte-order")] {
        let bed = bed(&keys, servers()[server].1, ListingMode::Auto);
        walk(&bed, Ino::ROOT, String::new()).await;
        assert_eq!(figures(&bed)["server"], word, "{}", servers()[server].0);
        assert_eq!(figures(&bed)["finding"].is_string(), word != "byte-order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refreshed_subtree_shows_what_is_there() {
    for (server, quirks) in servers() {
        let keys = sorted(wide_and_deep());
        let bed = bed(&keys, quirks, ListingMode::Auto);
        walk(&bed, Ino::ROOT, String::new()).await;
        bed.bucket.remove("set07/part/003.bin");
        bed.bucket.remove("file0100");
        bed.bucket.put("set07/part/new", "longer");
        bed.fs.clone().refresh(Ino::ROOT, Depth::Subtree).await.unwrap();
        bed.requests();
        assert_eq!(bed.names("set07/part").await.len(), 5, "{server}");
        assert_eq!(bed.attr("set07/part/new").await.size, 6, "{server}");
        bed.missing("set07/part/003.bin").await;
        bed.missing("file0100").await;
        assert_eq!(bed.requests(), [""; 0], "{server}: all of that is known");
    }
}

/// A directory that was complete, as it seemed, when it was opened gets what it lacks.
#[tokio::test(start_paused = true)]
async fn a_handle_of_a_directory_that_only_seemed_complete_goes_on_to_the_rest() {
    let keys: Vec<String> = (0..30).map(|n| format!("dir/{n:02}")).collect();
    let bed = bed(&keys, Quirks::default(), ListingMode::Lazy);
    let dir = bed.attr("dir").await.ino;
    bed.names("dir").await;
    let handle = bed.fs.clone().opendir(dir).await.unwrap();
    let first = crate::fs::tests::readdir(&bed.fs, handle, 0, 12).await.unwrap();
    bed.bucket.put("dir/05x", "was there all the time");
    bed.fs.names.doubt(1).await;
    let mut all = first;
    loop {
        let more = crate::fs::tests::readdir(&bed.fs, handle, all.last().unwrap().next_offset, 12).await.unwrap();
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    let names: BTreeSet<_> = all.iter().map(|entry| String::from_utf8(entry.name.to_vec()).unwrap()).collect();
    assert_eq!((all.len(), names.len()), (33, 33), "31 names, each once, and the dots");
    assert!(names.contains("05x"));
    bed.fs.releasedir(handle);
}

#[tokio::test(start_paused = true)]
async fn a_listing_without_names_ends_when_none_waits_and_fails_when_one_does() {
    let quirks = Quirks { empty_pages: EmptyPages::Endless, ..Quirks::default() };
    let store = Arc::new(parking_lot::Mutex::new(None));
    let kept = store.clone();
    let between = move |inner| -> Arc<dyn Store> {
        let quirky = Arc::new(QuirkStore::new(inner, quirks));
        *kept.lock() = Some(quirky.clone());
        quirky
    };
    let bed = Bed::behind(bucket(&["d/a".to_owned()]), between, |options| options.listing = ListingMode::Lazy);
    let store = store.lock().clone().unwrap();
    let handle = bed.fs.clone().opendir(Ino::ROOT).await.unwrap();
    let begun = tokio::time::timeout(Duration::from_secs(5), crate::fs::tests::readdir(&bed.fs, handle, 2, 10)).await;
    assert!(begun.is_err(), "it goes on for as long as a program waits");
    bed.fs.releasedir(handle);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lists = store.lists();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(lists < 100 && store.lists() == lists, "{lists} pages, then {}", store.lists());
    assert_eq!(bed.entries(Ino::ROOT, 10).await.err(), Some(Errno::EIO));
    assert!(store.lists() - lists <= 1000);
}
