//! Copies all objects below a prefix to files below a directory.

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;

use super::names::{self, LocalPlace};
use super::object::ObjectVersion;
use super::report::{Counts, NotCopied};
use super::{LocalCopy, opened, refused};
use crate::app::daemon::reach;
use crate::base::{Clock, Key};
use crate::config::{Problem, Result};
use crate::files::Beneath;
use crate::list::{self, ListScope, PageOrder};
use crate::metrics::Metrics;
use crate::store::{self, Connected, HeadRequest, ListEntry, ObjectKind, Store};

/// Copies all below the prefix.
pub(super) async fn copied(copy: LocalCopy, options: store::Options, listing: &list::Options, to: &Path) -> Result<()> {
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::system());
    let directory = copy.url.directory();
    let connected = reach::connect(options.clone(), &metrics, &clock)?;
    let store = reach::viewed(&connected, copy.at);
    let entries = {
        let unreachable = reach::failure(options.clone(), (&directory, copy.at), &metrics, &clock);
        tokio::pin!(unreachable);
        tokio::select! {
            entries = all(&connected, &copy, &store, listing) => entries?,
            problem = &mut unreachable => return Err(problem),
        }
    };
    if entries.is_empty() {
        let head = store.head(HeadRequest::new(Key::new(copy.url.path.as_str()))).await;
        return Err(match head {
            Ok(_) => Problem::failure(format!("{} is an object: copy it without -r", copy.url)),
            Err(error) => match refused(&connected, &copy.url, copy.at, &error).await {
                problem if error.kind() != store::ErrorKind::NotFound => problem,
                _ => {
                    Problem::failure(format!("no object exists below {}/", copy.url.to_string().trim_end_matches('/')))
                }
            },
        });
    }
    let root = opened(to)?;
    let counts = Arc::new(Counts { total: entries.len() as u64, ..Counts::default() });
    let total = entries.iter().map(|entry| entry.size).sum();
    let fetching = copy.fetching(store, &options);
    let mut report = copy.report(to.display().to_string(), (total, counts.clone()), &fetching);
    let below = names::below(&entries, &directory);
    let directories = names::directories(below.iter().copied());
    let at_once = options.connections.now();
    let brought = futures::stream::iter(entries.iter().zip(&below))
        .map(|(entry, key)| {
            let place = names::place(key, entry.size, &directories, copy.odd_keys);
            let (copy, fetching, root, counts) = (&copy, &fetching, &root, &counts);
            async move {
                let settled = settle(copy, fetching, (entry, place), root, counts).await;
                settled.err().map(|problem| NotCopied { key: entry.key.clone(), problem })
            }
        })
        .buffer_unordered(at_once)
        .filter_map(|failure| async { failure })
        .collect::<Vec<NotCopied>>();
    let failures = report.during(brought).await?;
    report.end(&failures)
}

/// The objects below the prefix, in the order of their keys.
async fn all(
    connected: &Connected,
    copy: &LocalCopy,
    store: &Arc<dyn Store>,
    listing: &list::Options,
) -> Result<Vec<ListEntry>> {
    let scope = ListScope::subtree(copy.url.directory()).order(PageOrder::Key);
    let mut pages = list::pages(store.clone(), scope, listing).each_once();
    let mut entries = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| reach::explain(&error, copy.url.bucket.as_str(), &connected.endpoint))?;
        entries.extend(page.entries);
    }
    Ok(entries)
}

/// Brings one object of the listing to its place.
async fn settle(
    copy: &LocalCopy,
    fetching: &Arc<super::Fetching>,
    (entry, place): (&ListEntry, LocalPlace),
    root: &Beneath,
    counts: &Counts,
) -> Result<()> {
    let done = || {
        counts.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let path = match place {
        LocalPlace::File(path) => path,
        LocalPlace::Root => {
            done();
            return Ok(());
        }
        LocalPlace::Directory(path) => {
            let made = root.make_folder(&path);
            return made.map(|()| done()).map_err(|error| Problem::failure(format!("{path} cannot be made: {error}")));
        }
        LocalPlace::Odd => {
            return Err(Problem::failure("the key cannot be the path of a file; --odd-keys=escape escapes its name"));
        }
    };
    let mut version = ObjectVersion {
        key: Key::new(entry.key.as_str()),
        version: entry.version.clone().filter(|_| copy.at.is_some()),
        etag: entry.etag.clone(),
        size: entry.size,
        modified: entry.last_modified,
    };
    if entry.kind == ObjectKind::Symlink {
        // The listing has the link; what is read is its target.
        let head = HeadRequest { key: version.key.clone(), version: version.version.clone() };
        let meta = fetching.store.head(head).await.map_err(|error| Problem::failure(error.to_string()))?;
        version = ObjectVersion { etag: meta.etag, size: meta.size, ..version };
    }
    copy.bring(fetching, Arc::new(version), (root, &path), counts).await
}
