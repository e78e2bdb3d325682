//! Copying all objects below a prefix: they are listed by many requests at once and copied as they are found. Failures
//! are recorded, and the other objects are copied. Only the objects that are being copied are in memory.

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Bucket;
use super::object;
use super::request::{Existing, Source};
use super::status::{Failure, Objects, Problem};
use super::work::{Stopped, Work};
use crate::base::Key;
use crate::list::{self, ListScope};
use crate::store::{Error, ErrorKind, HeadRequest, ListEntry, ObjectKind, ObjectMeta, Result};

/// Objects that fail are all counted, and so many of them are named.
const NAMED_FAILURES: usize = 100;

/// Requests of the listing at once: it need not be faster than the copies.
const LISTING: u32 = 4;

/// Copies everything below the prefix that a job names. Fails where the listing does, where objects did, and where
/// the credentials do for everything.
pub(super) async fn copy(work: &Work) -> std::result::Result<(), Stopped> {
    let source = &work.request.source;
    let from = work.source()?;
    let to = work.buckets.bucket(&work.request.destination.bucket)?;
    let options = list::Options { concurrency: LISTING, ..list::Options::default() };
    let pages = list::pages(from.store, ListScope::subtree(source.key.as_str()), &options).each_once();
    let stop = Stop::default();
    let entries = pages
        .take_until(work.unless_cancelled(stop.asked.notified()))
        .map(|page| {
            let entries = match page {
                Ok(page) => page.entries,
                Err(error) => {
                    stop.because(error.into());
                    Vec::new()
                }
            };
            found(work, &entries);
            stream::iter(entries)
        })
        .flatten();
    // Each has its own permits: what is counted here bounds only what waits for them. None of them is dropped before it
    // has cleaned up behind itself.
    entries
        .for_each_concurrent(work.options.requests, |entry| async {
            if let Err(stopped) = copy_one(work, &to, entry).await {
                stop.because(stopped);
            }
        })
        .await;
    if let Some(stopped) = stop.why.into_inner() {
        return Err(stopped);
    }
    work.unless_cancelled(std::future::ready(())).await?;
    let objects = work.objects(|objects| objects.listing = false);
    match objects.failed {
        0 => Ok(()),
        failed => {
            let message = format!("{failed} of {} objects were not copied", objects.total);
            Err(Error::new(ErrorKind::Conflict, message).with_key(source.key.clone()).into())
        }
    }
}

/// Why no more objects are taken up.
#[derive(Debug, Default)]
struct Stop {
    asked: Notify,
    why: Mutex<Option<Stopped>>,
}

impl Stop {
    /// The first reason is the one that is told.
    fn because(&self, why: Stopped) {
        self.why.lock().get_or_insert(why);
        self.asked.notify_one();
    }
}

fn found(work: &Work, entries: &[ListEntry]) {
    work.objects(|objects| objects.total += entries.len() as u64);
    // Sizes are what a service says they are.
    let bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    work.status.send_modify(|status| status.bytes.total = status.bytes.total.saturating_add(bytes));
}

/// Copies an object. Fails only where there is no use in going on.
async fn copy_one(work: &Work, to: &Bucket, entry: ListEntry) -> std::result::Result<(), Stopped> {
    let request = &work.request;
    // Every key of the listing starts with the prefix.
    let below = entry.key.strip_prefix(request.source.key.as_str()).unwrap_or(&entry.key);
    let key = format!("{}{below}", request.destination.key);
    if request.existing == Existing::Skip && work.unless_cancelled(is_there(work, to, &entry, &key)).await?? {
        work.advance(entry.size, 0);
        work.objects(|objects| objects.skipped += 1);
        return Ok(());
    }
    let source = Source { key: entry.key.clone(), version: entry.version.clone(), ..request.source.clone() };
    match object::copy(work, &source, &key).await {
        Ok(_) => drop(work.objects(|objects| objects.done += 1)),
        Err(Stopped::Failed(error)) if is_of_all(&error) => return Err(Stopped::Failed(error)),
        Err(Stopped::Failed(error)) => work.fail(Failure { key: entry.key, error: Problem::from(&error) }),
        Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
    }
    Ok(())
}

/// Whether the next object would fail as this one did.
fn is_of_all(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NoSuchBucket | ErrorKind::Credentials | ErrorKind::WrongRegion)
}

/// Whether the same object is there already: of the same size, and of the same checksum, or the same tag where a
/// server keeps none. Some tell another tag in a listing than in an answer about the object alone.
async fn is_there(work: &Work, to: &Bucket, entry: &ListEntry, key: &str) -> Result<bool> {
    let there = match to.store.head(HeadRequest::new(Key::new(key))).await {
        Ok(there) => there,
        // What else fails here fails again where it is told of.
        Err(_) => return Ok(false),
    };
    if there.size != entry.size && entry.kind != ObjectKind::Symlink {
        return Ok(false);
    }
    if entry.etag.is_some() && entry.etag == there.etag {
        return Ok(true);
    }
    // Objects copied in parts carry another tag than their source.
    let from = work.source()?;
    let request = HeadRequest { key: Key::new(entry.key.as_str()), version: entry.version.clone() };
    let here = from.store.head(request).await;
    Ok(here.is_ok_and(|here| same_sum(&here, &there) || same_tag(&here, &there)))
}

fn same_tag(here: &ObjectMeta, there: &ObjectMeta) -> bool {
    here.etag.is_some() && here.etag == there.etag
}

fn same_sum(here: &ObjectMeta, there: &ObjectMeta) -> bool {
    here.crc64.is_some() && here.crc64 == there.crc64
}

impl Work {
    /// Changes what is told of the objects, and returns it.
    fn objects(&self, change: impl FnOnce(&mut Objects)) -> Objects {
        let mut now = Objects::default();
        self.status.send_modify(|status| {
            let objects = status.objects.get_or_insert_default();
            change(objects);
            now = *objects;
        });
        now
    }

    fn fail(&self, failure: Failure) {
        tracing::debug!(key = failure.key, error = failure.error.message, "an object was not copied");
        self.objects(|objects| objects.failed += 1);
        self.status.send_modify(|status| {
            if status.failures.len() < NAMED_FAILURES {
                status.failures.push(failure);
            }
        });
    }
}
