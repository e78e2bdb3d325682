//! What is waited for in vain, and what is no longer waited for, while the store does not answer.

use tokio::time::{sleep, timeout};

use super::*;
use crate::base::{BucketName, Clock, Timestamp};
use crate::fs::*;
use crate::store::layers::{Fault, FaultStore, LayerOptions, layered};
use crate::store::memory::MemoryStore;

/// A file system over a store that never answers.
fn silent() -> Arc<Fs> {
    let faults = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())).randomly(1, [(1.0, Fault::Silence)]));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(1_700_000_000)));
    let store: Arc<dyn Store> = layered(faults, &LayerOptions::default(), &metrics, &clock);
    let reader = read::Reader::new(store.clone(), read::Options::default(), metrics.clone());
    Fs::new(store, reader, Options::new(BucketName::new("bucket")), metrics, clock)
}

/// How long a look-up waits that fails.
async fn fails_after(fs: &Arc<Fs>, name: &str) -> Duration {
    let began = fs.names.clock.elapsed();
    assert_eq!(fs.clone().lookup(Ino::ROOT, name.into()).await, Err(Errno::EIO));
    fs.names.clock.elapsed() - began
}

#[tokio::test(start_paused = true)]
async fn a_name_is_waited_for_once_however_often_the_kernel_asks() {
    let fs = silent();
    let minute = Duration::from_secs(60);
    assert!(fails_after(&fs, "a").await >= minute);
    // As the kernel does when it could not confirm an old answer, and for each program that waits behind the first.
    assert_eq!(fails_after(&fs, "a").await, Duration::ZERO);
    // A program that tries again later has all of the time.
    sleep(Duration::from_secs(2)).await;
    assert!(fails_after(&fs, "a").await >= minute);
    assert!(fails_after(&fs, "another").await >= minute);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_brings_nothing_is_given_up_when_no_program_waits() {
    let fs = silent();
    let is_listed = || !fs.names.state.lock().tasks.is_empty();
    let handle = fs.clone().opendir(Ino::ROOT).await.unwrap();
    assert!(timeout(Duration::from_secs(1), fs.clone().lookup(Ino::ROOT, b"a".to_vec())).await.is_err());
    sleep(Duration::from_secs(20)).await;
    assert!(is_listed(), "a program has the directory open");
    fs.releasedir(handle);
    sleep(Duration::from_secs(6)).await;
    assert!(!is_listed());
    // The next reader has it listed anew.
    let handle = fs.clone().opendir(Ino::ROOT).await.unwrap();
    assert!(is_listed());
    fs.releasedir(handle);
}
