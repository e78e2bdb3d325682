//! One listing per directory, shared by all who wait for it.
//!
//! A listing is a task that applies page after page to the tree and rings a bell each time. Those who wait look again
//! after each ring. A handle or a look-up that goes away does not stop it; it stops by itself when nobody has waited
//! for [`UNATTENDED_PAGES`] pages, so that one look-up in a directory of a hundred million objects does not list
//! them all.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::watch;

use super::{Errno, Fs, Result, State};
use crate::base::Ino;
use crate::list::{self, ListScope, Order, Page};
use crate::metrics::Metric;
use crate::store::{ObjectKind, StorageClass};
use crate::tree::{Changes, Depth, Facts, Item, Kind, Listing, Standing};

/// Pages that a listing goes on for while nobody waits.
const UNATTENDED_PAGES: u32 = 1000;

/// A listing that is going on.
#[derive(Debug)]
pub(super) struct Run {
    listing: Listing,
    bell: watch::Sender<Progress>,
}

/// How far a listing has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Progress {
    pub(super) pages: u64,
    /// How it ended.
    pub(super) ended: Option<Result<()>>,
}

impl Run {
    /// To be called under the lock under which the tree was looked at, so that no page is missed.
    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.bell.subscribe()
    }
}

/// Waits for the next page, or for the end.
pub(super) async fn next_page(bell: &mut watch::Receiver<Progress>) -> Progress {
    if bell.changed().await.is_err() && bell.borrow().ended.is_none() {
        // The task is gone without a word: it was cancelled with the runtime.
        return Progress { ended: Some(Err(Errno::EIO)), ..*bell.borrow() };
    }
    *bell.borrow_and_update()
}

impl Fs {
    /// The listing of a directory that is going on, or a new one. `None` if there is no such directory any more.
    pub(super) fn listing(self: &Arc<Self>, state: &mut State, directory: Ino) -> Option<Arc<Run>> {
        // The directory may have gone and come back, and its listing be about to end for that.
        let going_on = state.runs.get(&directory).filter(|run| state.tree.standing(&run.listing) == Standing::Wanted);
        if let Some(run) = going_on {
            return Some(run.clone());
        }
        let listing = state.tree.begin_listing(directory, Depth::Directory, self.clock.elapsed())?;
        let run = Arc::new(Run { listing, bell: watch::Sender::new(Progress::default()) });
        state.runs.insert(directory, run.clone());
        self.runtime.spawn(self.clone().list(directory, run.clone()));
        Some(run)
    }

    async fn list(self: Arc<Self>, directory: Ino, run: Arc<Run>) {
        let listing = &run.listing;
        let scope = ListScope::directory(listing.prefix.as_str()).order(Order::Key);
        let mut pages = list::pages(self.store.clone(), scope, &self.options.list);
        let mut unattended = 0;
        let ended = loop {
            match pages.next().await {
                Some(Ok(page)) => {
                    if self.apply(listing, &page) == Standing::Gone {
                        break Ok(());
                    }
                    run.bell.send_modify(|progress| progress.pages += 1);
                    unattended = if run.bell.receiver_count() > 0 { 0 } else { unattended + 1 };
                    if unattended > UNATTENDED_PAGES && self.stop_unattended(directory, &run) {
                        return;
                    }
                }
                Some(Err(error)) => break Err(self.report("listing a directory", &error)),
                None => break Ok(()),
            }
        };
        self.change(|state| {
            let changes = match ended {
                Ok(()) => state.tree.finish(listing, self.clock.elapsed()),
                Err(_) => {
                    state.tree.abandon(listing);
                    Changes::default()
                }
            };
            // Under the lock: who looks after it finds no listing here.
            state.end_run(directory, &run);
            run.bell.send_modify(|progress| progress.ended = Some(ended));
            ((), changes)
        });
    }

    /// Ends a listing that nobody waits for. Under the lock, under which whoever wants to wait subscribes.
    fn stop_unattended(&self, directory: Ino, run: &Arc<Run>) -> bool {
        let mut state = self.state.lock();
        let stops = run.bell.receiver_count() == 0;
        if stops {
            tracing::debug!(prefix = run.listing.prefix, "a listing that nobody waits for stops");
            state.tree.abandon(&run.listing);
            state.end_run(directory, run);
        }
        stops
    }

    fn apply(&self, listing: &Listing, page: &Page) -> Standing {
        if page.undecodable > 0 {
            self.metrics.add(Metric::OddKeys, page.undecodable);
            tracing::warn!(prefix = listing.prefix, keys = page.undecodable, "left out: keys that are not UTF-8");
        }
        self.change(|state| state.tree.apply(listing, &page.span, items(page), self.clock.elapsed()))
    }
}

impl State {
    /// The directory may have gone and come back, and be listed anew: only this very listing ends.
    fn end_run(&mut self, directory: Ino, run: &Arc<Run>) {
        if self.runs.get(&directory).is_some_and(|current| Arc::ptr_eq(current, run)) {
            self.runs.remove(&directory);
        }
    }
}

/// Objects and common prefixes in one order, that of their keys.
fn items(page: &Page) -> impl Iterator<Item = Item<'_>> {
    let mut objects = page.entries.iter().peekable();
    let mut prefixes = page.prefixes.iter().peekable();
    std::iter::from_fn(move || match (objects.peek(), prefixes.peek()) {
        (Some(object), Some(prefix)) if object.key <= **prefix => objects.next().map(object_item),
        (_, Some(_)) => prefixes.next().map(|prefix| Item::Prefix(prefix)),
        (_, None) => objects.next().map(object_item),
    })
}

fn object_item(entry: &crate::store::ListEntry) -> Item<'_> {
    let facts = Facts {
        size: entry.size,
        etag: entry.etag.as_ref().map(|etag| etag.as_str()),
        mtime: entry.last_modified,
        kind: kind(entry.kind),
        class: class(entry.storage_class.as_ref()),
    };
    Item::Object(&entry.key, facts)
}

pub(super) fn kind(kind: ObjectKind) -> Kind {
    match kind {
        ObjectKind::Normal => Kind::Normal,
        ObjectKind::Multipart => Kind::Multipart,
        ObjectKind::Appendable => Kind::Appendable,
        ObjectKind::Symlink => Kind::Symlink,
    }
}

pub(super) fn class(class: Option<&StorageClass>) -> Option<&str> {
    class.map(|class| &*class.0)
}
