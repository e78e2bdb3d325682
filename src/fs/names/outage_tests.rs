//! What programs are told while the store fails, and after how long: each failure is paid for once.

use super::*;
use crate::base::{BucketName, Clock, Timestamp};
use crate::fs::*;
use crate::store::ErrorKind;
use crate::store::layers::{Fault, FaultStore, LayerOptions, layered};
use crate::store::memory::MemoryStore;

/// A file system over a store that meets every request with this fault.
fn failing(fault: Fault) -> (Arc<Fs>, Clock) {
    let bucket = Arc::new(MemoryStore::new());
    for key in ["a", "d/b", "e/f/c"] {
        bucket.put(key, "bytes");
    }
    let faults = Arc::new(FaultStore::new(bucket).randomly(1, [(1.0, fault)]));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(1_700_000_000)));
    let store: Arc<dyn Store> = layered(faults, &LayerOptions::default(), &metrics, &clock);
    let reader = read::Reader::new(store.clone(), read::Options::default(), metrics.clone());
    (Fs::new(store, reader, Options::new(BucketName::new("bucket")), metrics, clock.clone()), clock)
}

#[tokio::test(start_paused = true)]
async fn a_look_up_is_given_up_once() {
    for fault in [Fault::Silence, Fault::Error(ErrorKind::Server), Fault::Error(ErrorKind::Network)] {
        let (fs, clock) = failing(fault.clone());
        // The second time, and beside others, it takes no longer.
        for (names, least) in [(1, 60.0), (1, 0.0), (20, 0.0)] {
            let began = clock.elapsed();
            let looks = (0..names).map(|n| fs.clone().lookup(Ino::ROOT, format!("e{n}").into_bytes()));
            for outcome in futures::future::join_all(looks).await {
                assert_eq!(outcome.unwrap_err(), Errno::EIO, "{fault:?}");
            }
            let took = (clock.elapsed() - began).as_secs_f64();
            assert!((least..81.0).contains(&took), "{names} look-ups under {fault:?}: {took} s");
        }
    }
}
