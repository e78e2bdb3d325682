//! What is listed, when, and at what cost: walks, eager mounts, the background, refreshing.

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::*;
use crate::fs::tests::Bed;
use crate::fs::*;
use crate::metrics::Metric;
use crate::store::memory::MemoryStore;

/// A bucket behind 20 ms of network.
fn bucket(keys: impl IntoIterator<Item = String>) -> MemoryStore {
    let bucket = MemoryStore::new().latency(Duration::from_millis(20));
    keys.into_iter().for_each(|key| drop(bucket.put(key, "x")));
    bucket
}

/// Walks depth first, as `find` does; the files seen.
fn walk(bed: &Bed, directory: Ino) -> BoxFuture<'_, usize> {
    async move {
        let mut files = 0;
        for entry in &bed.entries(directory, 200).await.unwrap()[2..] {
            files += match entry.attr.kind {
                FileKind::Directory => walk(bed, entry.attr.ino).await,
                _ => 1,
            };
        }
        files
    }
    .boxed()
}

fn pages(bed: &Bed) -> usize {
    bed.requests().iter().filter(|request| request.starts_with("LIST")).count()
}

/// Waits for a condition, a minute of the runtime's time at most.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} has not come about");
}

async fn settled(bed: &Bed) {
    until("an end to all listings", || {
        let state = bed.fs.names.state.lock();
        state.wide.is_empty() && state.tasks.is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_walk_costs_a_fraction_of_its_directories() {
    let keys = || (0..100).flat_map(|dir| (0..10).map(move |file| format!("{dir:03}/{file}")));
    let bed = Bed::over(bucket(keys()), |_| {});
    assert_eq!(walk(&bed, Ino::ROOT).await, 1000);
    let walked = pages(&bed);
    assert!(walked <= 8, "{walked} pages for 100 directories");
    let lazy = Bed::over(bucket(keys()), |options| options.listing = ListingMode::Lazy);
    assert_eq!(walk(&lazy, Ino::ROOT).await, 1000);
    assert_eq!(pages(&lazy), 101);
}

#[tokio::test(start_paused = true)]
async fn a_walk_through_dates_costs_a_few_pages_a_level() {
    let keys = (1..=6).flat_map(|month| {
        (1..=28).flat_map(move |day| (0..24).map(move |hour| format!("2026/{month:02}/{day:02}/{hour:02}/part-0")))
    });
    let bed = Bed::over(bucket(keys), |_| {});
    assert_eq!(walk(&bed, Ino::ROOT).await, 6 * 28 * 24);
    let walked = pages(&bed);
    assert!(walked <= 30, "{walked} pages for {} directories", 6 * 28 * 25 + 8);
    settled(&bed).await;
    assert_eq!(walk(&bed, Ino::ROOT).await, 6 * 28 * 24);
    assert_eq!(pages(&bed), 0);
}

#[tokio::test(start_paused = true)]
async fn two_directories_are_no_reason_to_list_all() {
    let keys = (0..150).flat_map(|dir| (0..1000).map(move |file| format!("{dir:03}/{file:03}")));
    let bed = Bed::over(bucket(keys), |_| {});
    bed.names("010").await;
    bed.names("020").await;
    settled(&bed).await;
    let listed = pages(&bed);
    assert!(listed < 80, "{listed} of 150 pages");
    bed.names("030").await;
    settled(&bed).await;
    assert!(pages(&bed) <= 4, "advice that was ignored is not given again at once");
}

#[tokio::test(start_paused = true)]
async fn an_eager_mount_knows_everything() {
    let keys = (0..50).flat_map(|dir| (0..100).map(move |file| format!("{dir:03}/sub/{file:03}")));
    let bed = Bed::over(bucket(keys), |options| options.listing = ListingMode::Eager);
    assert_eq!(bed.attr("040/sub/099").await.size, 1, "it can be read from the start");
    settled(&bed).await;
    bed.requests();
    assert_eq!(walk(&bed, Ino::ROOT).await, 5000);
    bed.missing("017/sub/none").await;
    assert_eq!(bed.requests(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_eager_mount_is_listed_again_if_it_was_used() {
    let bed = Bed::over(bucket(["a/b".to_owned()]), |options| options.listing = ListingMode::Eager);
    settled(&bed).await;
    bed.requests();
    bed.pass(50);
    bed.fs.names.renew();
    settled(&bed).await;
    assert_eq!(bed.requests(), [""; 0], "no program has used it");
    bed.attr("a/b").await;
    bed.fs.names.renew();
    settled(&bed).await;
    assert_eq!(bed.requests(), ["LIST "]);
    bed.pass(50);
    bed.attr("a/b").await;
    assert_eq!(bed.requests(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_polls_never_waits() {
    let bed = Bed::over(bucket(["a".to_owned(), "dir/b".to_owned()]), |_| {});
    let before = bed.attr("a").await.ino;
    bed.names("dir").await;
    for _ in 0..20 {
        bed.pass(15);
        bed.fs.names.renew();
        settled(&bed).await;
        bed.requests();
        assert_eq!(bed.attr("a").await.ino, before);
        assert_eq!(bed.names("dir").await, ["b"]);
        assert_eq!(bed.requests(), [""; 0]);
    }
    bed.bucket.put("a", "changed");
    bed.pass(45);
    bed.fs.names.renew();
    settled(&bed).await;
    assert_eq!(bed.attr("a").await.size, 7);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_not_listed_again() {
    let bed = Bed::over(bucket(["a".to_owned()]), |_| {});
    bed.attr("a").await;
    let mut listed = 0;
    for _ in 0..20 {
        bed.pass(15);
        bed.fs.names.renew();
        settled(&bed).await;
        listed += bed.requests().iter().filter(|request| *request == "LIST ").count();
    }
    assert_eq!(listed, 1, "for the use itself");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_forgotten_and_found_again() {
    let keys = (0..40).flat_map(|dir| (0..500).map(move |file| format!("{dir:02}/some rather long name {file:03}")));
    for listing in [ListingMode::Eager, ListingMode::Auto, ListingMode::Lazy] {
        let bed = Bed::over(bucket(keys.clone()), |options| {
            options.listing = listing;
            options.metadata_bytes = 1 << 20;
        });
        for _ in 0..2 {
            for directory in bed.names("").await {
                assert_eq!(bed.names(&directory).await.len(), 500, "{listing:?}");
            }
            settled(&bed).await;
            until("a tree that fits", || !bed.fs.names.is_over_budget()).await;
            assert!(bed.metrics.value(Metric::TreeEntries) < 20_000);
        }
        let file = bed.attr("07/some rather long name 007").await.ino;
        for directory in bed.names("").await {
            bed.names(&directory).await;
        }
        assert_eq!(bed.fs.clone().getattr(file).await.unwrap().ino, file, "what the kernel refers to stays");
    }
}

#[tokio::test(start_paused = true)]
async fn refreshing_shows_what_has_changed_and_keeps_the_rest() {
    let bed = Bed::over(bucket(["a".to_owned(), "dir/b".to_owned(), "dir/c".to_owned()]), |_| {});
    let (a, b) = (bed.attr("a").await, bed.attr("dir/b").await);
    let dir = bed.attr("dir").await.ino;
    bed.bucket.put("dir/c", "longer");
    bed.bucket.put("dir/new/d", "x");
    bed.bucket.remove("a");
    bed.fs.clone().refresh(dir, Depth::Directory).await.unwrap();
    assert_eq!(bed.names("dir").await, ["b", "c", "new"]);
    assert_eq!(bed.attr("a").await, a, "that is not in the directory");
    bed.fs.clone().refresh(Ino::ROOT, Depth::Subtree).await.unwrap();
    bed.missing("a").await;
    assert_eq!((bed.attr("dir/b").await.ino, bed.attr("dir/c").await.size), (b.ino, 6));
    bed.requests();
    assert_eq!(bed.names("dir/new").await, ["d"]);
    assert_eq!(bed.requests(), [""; 0]);
    assert_eq!(bed.fs.clone().refresh(b.ino, Depth::Directory).await, Err(Errno::ENOTDIR));
}

#[tokio::test(start_paused = true)]
async fn many_names_at_once_ask_for_a_few() {
    let bed = Bed::over(bucket((0..10_000).map(|n| format!("{n:05}"))), |_| {});
    let names: Vec<String> = (0..2000).map(|n| format!("{:05}", n * 5)).collect();
    join_all(names.iter().map(|name| bed.attr(name))).await;
    let requests = bed.requests();
    let pages = requests.iter().filter(|request| *request == "LIST ").count();
    assert!(requests.len() < 150, "{} requests", requests.len());
    assert!(pages <= 25, "{pages} pages");
}

#[tokio::test(start_paused = true)]
async fn small_directories_are_listed_and_no_name_in_them_is_asked_for_alone() {
    let chunk = |array: usize, chunk: usize| format!("a.zarr/v{array:02}/c/{chunk}");
    let chunks: Vec<String> = (0..16).flat_map(|array| (0..8).map(move |number| chunk(array, number))).collect();
    let bed = Bed::timed(bucket(chunks.clone()), |_| {});
    // It shows how long a small directory takes.
    bed.attr("a.zarr").await;
    bed.requests();
    join_all(chunks.iter().map(|path| bed.attr(path))).await;
    let mut requests = bed.requests();
    requests.sort_unstable();
    let arrays = (0..16).flat_map(|array| ["", "c/"].map(|below| format!("LIST a.zarr/v{array:02}/{below}")));
    assert_eq!(requests, ["LIST a.zarr/".to_owned()].into_iter().chain(arrays).collect::<Vec<_>>());
}
