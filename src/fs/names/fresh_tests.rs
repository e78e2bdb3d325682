//! Who sees what was put when: listings that are shared, listings that are over, and what was asked for too early.

use futures::FutureExt;
use futures::future::join_all;

use super::task::Purpose;
use super::*;
use crate::base::KeySpan;
use crate::fs::tests::Bed;
use crate::fs::*;
use crate::store::memory::MemoryStore;

const PAGE: Duration = Duration::from_secs(1);

/// A directory of 2500 files, of which each page takes a second and comes behind the one before.
fn slow(change: impl FnOnce(&mut Options)) -> Bed {
    let bucket = MemoryStore::new().latency(PAGE);
    (0..2500).for_each(|n| drop(bucket.put(format!("b{n:04}"), "x")));
    Bed::timed(bucket, |options| {
        options.list.concurrency = 1;
        change(options);
    })
}

fn each_open(options: &mut Options) {
    options.metadata_ttl = Ttl::EachOpen;
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_began_before_an_open_is_not_shared_with_it() {
    let bed = Arc::new(slow(each_open));
    let first = tokio::spawn({
        let bed = bed.clone();
        async move { bed.names("").await.len() }
    });
    tokio::time::sleep(Duration::from_millis(1400)).await;
    bed.bucket.put("a1", "x");
    let later = join_all((0..3).map(|_| bed.names(""))).await;
    for names in later {
        assert_eq!((names.len(), names.contains(&"a1".to_owned())), (2501, true));
    }
    assert_eq!(first.await.unwrap(), 2500);
    let lists = bed.requests().iter().filter(|request| request.starts_with("LIST")).count();
    assert_eq!(lists, 6, "those who have waited share one listing");
}

#[tokio::test(start_paused = true)]
async fn within_the_time_to_live_a_listing_that_goes_on_is_shared() {
    for (ttl, sees) in [(Some(60), false), (Some(1), true), (None, false)] {
        let ttl = ttl.map_or(Ttl::Indefinite, |seconds| Ttl::For(Duration::from_secs(seconds)));
        let bed = slow(|options| options.metadata_ttl = ttl);
        let handle = bed.fs.clone().opendir(Ino::ROOT).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1400)).await;
        bed.bucket.put("a1", "x");
        assert_eq!(bed.names("").await.contains(&"a1".to_owned()), sees, "{ttl:?}");
        bed.fs.releasedir(handle);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_as_old_as_its_first_request() {
    let bed = slow(|options| options.metadata_ttl = Ttl::For(Duration::from_secs(10)));
    bed.names("").await;
    bed.bucket.put("a1", "x");
    // It took three seconds: what was put before the last of them may be missing for seven more.
    tokio::time::sleep(Duration::from_millis(6900)).await;
    assert!(!bed.names("").await.contains(&"a1".to_owned()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(bed.names("").await.contains(&"a1".to_owned()));
}

#[tokio::test]
async fn a_listing_that_is_over_and_not_yet_removed_is_not_joined() {
    let bed = Bed::new(&["a", "dir/b"], each_open);
    {
        let mut guard = bed.fs.names.state.lock();
        let state = &mut *guard;
        let task = bed.fs.names.begin(state, Ino::ROOT, Depth::Directory, Purpose::Asked).unwrap();
        // Its last page is in the tree, and its task has not come to say that it is over.
        state.tree.apply(&task.listing, &KeySpan::all(), [], bed.clock.elapsed());
        assert!(state.tasks.contains_key(&Ino::ROOT));
    }
    let opened = bed.fs.clone().opendir(Ino::ROOT).now_or_never().unwrap();
    bed.fs.releasedir(opened.unwrap());
    assert_eq!(bed.names("").await, ["a", "dir"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_nothing_changes_no_open_fails() {
    let keys: Vec<String> = (0..300).map(|n| format!("dir/{n:03}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let bed = Arc::new(Bed::new(&keys, each_open));
    let dir = bed.attr("dir").await.ino;
    let reader = |_| {
        let bed = bed.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                let entries = bed.entries(dir, 1000).await.unwrap();
                assert_eq!(entries.len(), 302);
            }
        })
    };
    for ended in join_all((0..4).map(reader)).await {
        ended.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_waits_for_a_listing_that_began_before_it() {
    let bed = Arc::new(slow(|_| {}));
    let handle = bed.fs.clone().opendir(Ino::ROOT).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1400)).await;
    bed.bucket.put("a1", "x");
    for depth in [Depth::Directory, Depth::Subtree] {
        bed.fs.clone().refresh(Ino::ROOT, depth).await.unwrap();
        assert!(bed.names("").await.contains(&"a1".to_owned()), "{depth:?}");
        bed.bucket.put("a1", "another");
    }
    bed.fs.releasedir(handle);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_whole_though_another_listing_takes_its_place() {
    let bed = Arc::new(slow(|_| {}));
    bed.names("").await;
    for (n, purpose) in [Purpose::Everything, Purpose::Upkeep, Purpose::Refresh].into_iter().enumerate() {
        // On the second page, which is on its way when the other listing begins.
        bed.bucket.put(format!("b1500-{n}"), "x");
        let refreshed = tokio::spawn(bed.fs.clone().refresh(Ino::ROOT, Depth::Subtree));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let began = bed.fs.names.begin(&mut bed.fs.names.state.lock(), Ino::ROOT, Depth::Subtree, purpose);
        assert!(began.is_some());
        refreshed.await.unwrap().unwrap();
        assert!(bed.names("").await.contains(&format!("b1500-{n}")), "{purpose:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_listing_a_refresh_overtakes_waits_for_the_refresh() {
    let bed = Arc::new(slow(|_| {}));
    let reader = bed.clone();
    let reading = tokio::spawn(async move { reader.names("").await });
    // Between two pages of the reader's listing, whose later pages the refresh then finds too old.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = bed.fs.names.begin(&mut bed.fs.names.state.lock(), Ino::ROOT, Depth::Subtree, Purpose::Refresh);
    assert!(began.is_some());
    assert_eq!(reading.await.unwrap().len(), 2500);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_no_program_reads_is_not_waited_for_to_its_end() {
    let bed = slow(each_open);
    let handle = bed.fs.clone().opendir(Ino::ROOT).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    bed.fs.releasedir(handle);
    let time = Clock::runtime(crate::base::Timestamp::from_unix(0));
    assert_eq!(bed.names("").await.len(), 2500);
    // What is left of its first page, and three pages.
    assert!(time.elapsed() <= Duration::from_millis(3600), "{:?}", time.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_missing_is_seen_at_once_where_nothing_is_believed() {
    let bed = slow(each_open);
    bed.missing("a1").await;
    bed.bucket.put("a1", "x");
    assert_eq!(bed.attr("a1").await.size, 1);
}

/// A directory of 5000 names that was listed.
async fn listed() -> Bed {
    let bucket = MemoryStore::new();
    (0..5000).for_each(|n| drop(bucket.put(format!("{n:05}"), "x")));
    let bed = Bed::over(bucket, |_| {});
    bed.names("").await;
    bed.requests();
    bed
}

#[tokio::test]
async fn names_that_a_listing_does_not_show_cost_nothing_while_it_is_believed() {
    let bed = listed().await;
    for seconds in [0, 10, 49] {
        bed.pass(seconds);
        for n in 0..1000 {
            bed.missing(&format!("absent-{seconds}-{n}")).await;
        }
        assert_eq!(bed.requests(), [""; 0]);
    }
    bed.pass(1);
    bed.missing("absent").await;
    assert_eq!(bed.requests(), ["LIST absent/ 1", "HEAD absent"], "it is a minute old");
}

#[tokio::test]
async fn who_waits_for_a_name_in_a_large_directory_asks_for_that_alone() {
    let bed = listed().await;
    bed.pass(20);
    assert_eq!(bed.missing("new").await, Duration::from_secs(5));
    bed.bucket.put("new", "x");
    bed.pass(4);
    assert_eq!(bed.missing("new").await, Duration::from_secs(1));
    assert_eq!(bed.requests(), [""; 0]);
    bed.pass(1);
    assert_eq!(bed.attr("new").await.size, 1);
    for n in 0..60 {
        bed.missing(&format!("{}", n % 2)).await;
        bed.pass(u64::from(n % 2 == 1));
    }
    let lists = bed.requests().into_iter().filter(|request| request == "LIST ").count();
    assert_eq!(lists, 0);
}

#[tokio::test(start_paused = true)]
async fn a_scan_alone_is_no_reason_to_list_again() {
    let bed = listed().await;
    for n in 0..5000 {
        bed.attr(&format!("{n:05}")).await;
    }
    for _ in 0..15 {
        bed.pass(5);
        bed.fs.names.renew();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bed.requests(), [""; 0]);
    bed.names("").await;
    bed.pass(20);
    bed.names("").await;
    bed.requests();
    bed.pass(25);
    bed.fs.names.renew();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!bed.requests().is_empty(), "a program has come back to it");
}
