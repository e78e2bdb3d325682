//! The library as a client: this program run again to list one bucket and count, printing nothing but the result.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use ossmount::base::{BucketName, Clock};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};
use ossmount::list::{self, ListScope};
use ossmount::metrics::Metrics;
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{self, Connections, Dialect};

use crate::CONCURRENCY;
use crate::emulator::Error;

/// The argument that asks for it, before endpoint and bucket.
pub(crate) const WORD: &str = "--as-library";

/// Lists, and prints how many entries came in how many seconds.
pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let [endpoint, bucket] = args else { return Err("an endpoint and a bucket are wanted".into()) };
    let mut options = store::Options::new(Dialect::Oss, BucketName::new(bucket.as_str()));
    options.endpoint = Some(endpoint.clone());
    options.region = Some("cn-hangzhou".to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    options.connections = Connections::fixed(CONCURRENCY);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let connected = store::connect(options, Arc::new(Metrics::default()), Clock::system())?;
        let started = Instant::now();
        let listing = list::Options { concurrency: CONCURRENCY as u32, ..list::Options::default() };
        let mut pages = list::pages(connected.store, ListScope::subtree(""), &listing);
        let mut entries = 0;
        while let Some(page) = pages.next().await {
            entries += page?.entries.len();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{}", serde_json::json!({ "entries": entries, "seconds": seconds }));
        Ok(())
    })
}
