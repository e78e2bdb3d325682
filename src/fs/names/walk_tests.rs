//! How long walks through full directories take, by the runtime's time, beside one listing of all.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::*;
use crate::fs::tests::Bed;
use crate::fs::*;
use crate::list::{self, ListScope};
use crate::store::memory::MemoryStore;

/// What a page of the store takes.
const PAGE_TIME: Duration = Duration::from_millis(50);

/// The shape of ImageNet: directories of a page and a third each.
fn classes(classes: u64, images: u64) -> MemoryStore {
    let bucket = MemoryStore::new().latency(PAGE_TIME);
    for class in 0..classes {
        // Names that follow no rule, as those of classes do.
        let class = format!("n{:08}", class * 104_729 + class * class * 7_919 % 90_000);
        (0..images).for_each(|image| drop(bucket.put(format!("{class}/{class}_{}.JPEG", image * 7), "")));
    }
    bucket
}

/// Walks depth first, directory after directory, as `os.walk` does; the files seen.
fn walk(bed: &Bed, directory: Ino) -> BoxFuture<'_, usize> {
    async move {
        let entries = bed.entries(directory, 500).await.unwrap();
        let mut files = 0;
        for entry in &entries[2..] {
            files += match entry.attr.kind {
                FileKind::Directory => walk(bed, entry.attr.ino).await,
                _ => 1,
            };
        }
        files
    }
    .boxed()
}

#[tokio::test(start_paused = true)]
async fn a_walk_through_full_directories_takes_twice_as_long_as_a_listing_of_all() {
    let bed = Bed::timed(classes(100, 1300), |_| {});
    let begin = bed.clock.elapsed();
    let store: Arc<dyn Store> = bed.bucket.clone();
    let mut all = list::pages(store, ListScope::subtree(""), &list::Options::default());
    while let Some(page) = all.next().await {
        page.unwrap();
    }
    let listed = bed.clock.elapsed() - begin;
    bed.requests();
    let begin = bed.clock.elapsed();
    assert_eq!(walk(&bed, Ino::ROOT).await, 130_000);
    let walked = bed.clock.elapsed() - begin;
    let requests = bed.requests();
    // Before it is recognised, the walk takes three pages' time: for the root, and for all of its first directory.
    assert!(walked <= listed * 2 + 2 * PAGE_TIME, "{walked:?} for a walk, {listed:?} for a listing");
    assert!(requests.len() <= 130 * 13 / 10, "{} requests", requests.len());
}
