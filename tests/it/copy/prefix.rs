//! Copies of everything below a prefix: complete, in bounded memory, going on after failures, and where an earlier one
//! ended.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use ossmount::base::BucketName;
use ossmount::copy::{Existing, Objects, Options, Request, State};
use ossmount::emulator::{Fault, FaultKind, Operation, PutOptions, StorageClass};
use ossmount::list::{self, ListScope};
use ossmount::store::Dialect;

use crate::conformance::pattern;
use crate::copy::bench::{Bench, HERE, MIB, THERE, copy_prefix, small};

async fn keys(bench: &Bench, bucket: &str) -> BTreeSet<String> {
    let pages = list::pages(bench.store(bucket), ListScope::subtree(""), &list::Options::default());
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    pages.into_iter().flat_map(|page| page.entries).map(|entry| entry.key).collect()
}

/// Objects of every manner, and some that are none of the prefix.
fn fill(bench: &Bench) {
    for n in 0..2500 {
        bench.emulator.put(HERE, &format!("data/{n:04}"), format!("{n}"));
    }
    for (key, size) in [("data/", 0), ("data/big", 7 * MIB), ("data//odd/../é", 10), ("data", 3), ("database", 3)] {
        bench.emulator.put(HERE, key, pattern(size));
    }
}

#[tokio::test]
async fn everything_below_the_prefix_is_copied_and_nothing_else() {
    for dialect in [Dialect::Oss, Dialect::S3] {
        let bench = Bench::new(dialect);
        fill(&bench);
        let status = bench.done(copy_prefix("data/", (THERE, "to/"))).await;
        let objects = Objects { done: 2503, total: 2503, ..Objects::default() };
        assert_eq!((status.objects, status.bytes.done), (Some(objects), status.bytes.total));
        let here = keys(&bench, HERE).await;
        let expected = here.iter().filter_map(|key| Some(format!("to/{}", key.strip_prefix("data/")?)));
        assert_eq!(keys(&bench, THERE).await, expected.collect());
        assert_eq!(bench.content(THERE, "to/big").await.unwrap(), pattern(7 * MIB));
        assert_eq!(bench.content(THERE, "to/0042").await.unwrap(), b"42");

        // Once more, where everything is there: nothing is copied but what has changed.
        bench.emulator.put(THERE, "to/0042", "24");
        bench.emulator.delete(THERE, "to/0043");
        bench.emulator.reset_counters();
        let again = Request { existing: Existing::Skip, ..copy_prefix("data/", (THERE, "to/")) };
        let objects = bench.done(again).await.objects.unwrap();
        // S3 keeps no checksum, by which an object that was copied in parts would be known again.
        let big = u64::from(dialect == Dialect::S3);
        assert_eq!((objects.skipped, objects.done), (2501 - big, 2 + big));
        let requests = [Operation::CopyObject, Operation::CompleteMultipartUpload];
        assert_eq!(bench.asked(requests), [2, big]);
        assert_eq!(bench.content(THERE, "to/0042").await.unwrap(), b"42");
    }
}

#[tokio::test]
async fn what_fails_is_named_and_the_rest_goes_on() {
    let bench = Bench::new(Dialect::Oss);
    fill(&bench);
    let cold = PutOptions { storage_class: StorageClass::Archive, ..PutOptions::default() };
    for n in 0..150 {
        bench.emulator.put_with(HERE, &format!("data/cold {n}"), "cold", cold.clone());
    }
    let status = bench.run(copy_prefix("data/", (THERE, "to/"))).await;
    let objects = Objects { done: 2503, failed: 150, total: 2653, ..Objects::default() };
    assert_eq!((status.state, status.objects), (State::Failed, Some(objects)));
    assert_eq!((status.failures.len(), keys(&bench, THERE).await.len()), (100, 2503));
    let failure = &status.failures[0];
    assert!(failure.key.starts_with("data/cold ") && failure.error.code.as_deref() == Some("InvalidObjectState"));
    assert!(status.error.unwrap().message.contains("150 of 2653 objects were not copied"));

    let nowhere = bench.run(copy_prefix("data/", ("no-such-bucket", ""))).await;
    assert_eq!(nowhere.error.unwrap().code.as_deref(), Some("NoSuchBucket"));
    let mut from_nowhere = copy_prefix("data/", (THERE, ""));
    from_nowhere.source.bucket = BucketName::new("no-such-bucket");
    assert_eq!(bench.run(from_nowhere).await.error.unwrap().code.as_deref(), Some("NoSuchBucket"));
    let nothing = bench.done(copy_prefix("nothing/", (THERE, ""))).await;
    assert_eq!(nothing.objects, Some(Objects::default()));
}

#[tokio::test]
async fn a_cancelled_copy_stops_soon_and_can_be_gone_on_with() {
    let bench = Bench::with(Dialect::Oss, Options { requests: 4, ..small() });
    fill(&bench);
    bench.emulator.set_faults(vec![Fault::always(FaultKind::StallBeforeHeaders(std::time::Duration::from_millis(5)))]);
    let job = bench.copier.start(copy_prefix("data/", (THERE, "to/"))).unwrap();
    let mut status = bench.copier.watch(job).unwrap();
    status.wait_for(|status| status.objects.unwrap().done >= 10).await.unwrap();
    bench.copier.stop().await;
    let status = bench.copier.status(job).unwrap();
    let done = status.objects.unwrap().done;
    assert!(status.state == State::Cancelled && done < 2503, "{status:?}");
    assert_eq!(bench.uploads(THERE), 0);
    bench.emulator.set_faults(Vec::new());
    let rest = Request { existing: Existing::Skip, ..copy_prefix("data/", (THERE, "to/")) };
    let objects = bench.done(rest).await.objects.unwrap();
    assert!(objects.skipped >= done && objects.skipped + objects.done == 2503, "{objects:?}");
}
