//! Directories that outgrow memory: when a listing stops at the limit, and how a handle continues with the keys that
//! were not listed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::handle::{OpenDirectory, Reading};
use super::paging::{PagedDirectory, Stretch};
use super::remainder::DirectoryRemainder;
use super::state::State;
use super::task::ListTask;
use super::{DirEntry, DirHandle, Failure, Names, Room, Tried, ms};
use crate::base::{Ino, KeySpan, fnv1a};
use crate::list::{self, ListScope, PageOrder, Pages, Trust};
use crate::tree::{Depth, Take};

/// How often, and for how long each time, a listing waits for the kernel to forget files before its directory counts as
/// too large.
const SHED_TRIES: usize = 25;
const SHED_TIME: Duration = Duration::from_millis(20);

impl Names {
    pub(super) fn pages_of(&self, rest: &PagedDirectory, from: &str, span: &KeySpan) -> Pages {
        let within = KeySpan { from: from.to_owned(), before: span.before.clone() };
        let scope = ListScope::directory(rest.prefix.as_str()).within(within).order(PageOrder::Key);
        let given = &self.options.list;
        let share = self.tuning.stream_requests / self.streams.len().max(1) as u64;
        let concurrency = given.concurrency.min(u32::try_from(share).unwrap_or(u32::MAX)).max(1);
        let options = list::Options { concurrency, held_bytes: self.options.metadata_bytes / 2, ..given.clone() };
        list::pages(self.store.clone(), scope, &options).sharing(self.findings.clone())
    }

    pub(super) fn cannot_stream(&self, prefix: &str) -> Failure {
        let why = format!(
            "a directory has more names than fit in metadata-memory ({}), and the server does not list them in order: \
             raise metadata-memory, or list a directory further down",
            self.limit()
        );
        tracing::error!(prefix, "{why}");
        Failure::failed(why)
    }

    fn limit(&self) -> String {
        format!("{} MiB", self.options.metadata_bytes >> 20)
    }

    /// Whether a listing brings more than memory holds, so that it must end. What nothing refers to is forgotten first.
    pub(super) async fn outgrows_memory(&self, directory: Ino, task: &ListTask) -> bool {
        if task.listing.depth == Depth::Directory {
            let names = self.state.lock().tree.names_in(directory) as u64;
            if names <= self.tuning.always_held_names {
                return false;
            }
            if self.is_large(names) {
                return true;
            }
        }
        self.evict().await;
        for _ in 0..SHED_TRIES {
            if !self.is_over_budget() || self.notifier.read().is_none() {
                break;
            }
            // What the kernel does not use need not cost this directory its place. It forgets soon, or not at all.
            self.shed();
            tokio::time::sleep(SHED_TIME).await;
            self.evict().await;
        }
        self.is_over_budget()
    }

    /// Whether so many names of one directory are more than memory holds, also where there is nothing else in it.
    fn is_large(&self, names: u64) -> bool {
        names * self.tuning.name_bytes > self.options.metadata_bytes / 2
    }

    /// A listing ends because it brings more than memory holds. What is left of its directory is read straight from the
    /// store from now on; of a wide listing nothing is.
    pub(super) fn leave_off(&self, state: &mut State, directory: Ino, task: &ListTask) -> Failure {
        let prefix = task.listing.prefix.as_str();
        if task.listing.depth == Depth::Subtree {
            tracing::warn!(
                prefix,
                "the subtree of a directory has more names than fit in metadata-memory ({}), so that it cannot be \
                 refreshed as a whole: raise metadata-memory, or refresh a directory further down",
                self.limit()
            );
            return Failure::TOO_LARGE;
        }
        if self.findings.trust() == Trust::NoOrder {
            return self.cannot_stream(prefix);
        }
        let (now, names) = (self.clock.elapsed(), state.tree.names_in(directory) as u64);
        let until = if self.is_large(names) { Duration::MAX } else { now + ms(self.tuning.squeezed_ms) };
        if state.large.found(directory, now, until) {
            tracing::warn!(
                prefix,
                names,
                "a directory has more names than fit in metadata-memory ({}): they are not cached, so that it is \
                 listed for each program that reads it, and each look-up of a name costs one or two requests; raise \
                 metadata-memory if that is too slow",
                self.limit()
            );
        }
        if let Some(remainder) = state.tree.leave_off(&task.listing) {
            let _ = task.left.set(Arc::new(DirectoryRemainder::of(remainder)));
        }
        Failure::TOO_LARGE
    }

    /// What an open directory reads straight from the store, where it has come to that. `at` is the offset that it is
    /// read from: a reader that goes back before it, once the part before was given back, begins with all of the
    /// directory anew.
    pub(super) fn rest_of(&self, directory: &OpenDirectory, at: &mut u64) -> Option<Arc<PagedDirectory>> {
        let mut rest = directory.rest.lock();
        let (whole_base, snapshot) = (directory.base(), *directory.snapshot.lock());
        let whole = || Some(PagedDirectory::whole(directory.ino, &directory.prefix, whole_base, HashSet::new()));
        match rest.as_ref() {
            Some(rest_now) if snapshot.is_none() && *at < rest_now.base => (*rest, *at) = (whole(), whole_base),
            Some(_) => {}
            None if snapshot.is_none() => *rest = whole(),
            None => {
                let left = directory.signals.as_ref()?.left.get()?;
                let held = self.state.lock().tree.snapshot_end(snapshot?) as u64;
                *rest = Some(PagedDirectory::new(directory.ino, &directory.prefix, left.clone(), whole_base + held));
            }
        }
        let rest = rest.clone()?;
        *at = (*at).max(rest.base);
        Some(rest)
    }

    /// A handle whose list was made from listings that are not to be believed reads all of the directory straight from
    /// the store, but for the names that it has had.
    pub(super) fn read_anew(&self, directory: &OpenDirectory) {
        let mut rest = directory.rest.lock();
        let Some(snapshot) = *directory.snapshot.lock() else { return };
        let mut had = HashSet::new();
        let mut state = self.state.lock();
        state.tree.show_entries(snapshot, 0, self.clock.elapsed(), |row| {
            had.insert(fnv1a(row.name.as_bytes()));
            Take::Seen
        });
        let base = directory.base() + state.tree.snapshot_end(snapshot) as u64;
        *rest = Some(PagedDirectory::whole(directory.ino, &directory.prefix, base, had));
    }

    /// The part of a directory that a handle has read from the tree is no longer held for its sake.
    fn give_back(&self, handle: DirHandle, directory: &OpenDirectory) {
        let mut state = self.state.lock();
        if let Some(snapshot) = directory.snapshot.lock().take() {
            state.tree.close_directory(snapshot);
            self.count_entries(&mut state);
            if let Some(ledger) = self.lives.ledger() {
                // What was given is too much to be written down: a later life does not know the handle.
                ledger.closed(handle.0);
            }
        }
    }

    /// Returns entries straight from the store, until `take` has enough or a page ends.
    pub(super) async fn give_rest(
        &self,
        handle: DirHandle,
        directory: &OpenDirectory,
        rest: &Arc<PagedDirectory>,
        reading: &mut Reading,
        take: &mut (impl FnMut(&DirEntry<'_>) -> Room + Send),
    ) -> Tried<()> {
        self.give_back(handle, directory);
        self.streams.used(handle, rest);
        let mut stretch = rest.stretch.lock().await;
        while reading.count == 0 {
            let index = reading.at - rest.base;
            if !stretch.find(self, rest, index).await? {
                self.end_of_rest(rest, &stretch);
                return Ok(());
            }
            let skipped = (index - stretch.first) as usize;
            for (name, view) in stretch.rows.iter().skip(skipped) {
                let (next_offset, name) = (reading.at + 1, name.as_bytes());
                let is_among = |had: &HashSet<u64>| !had.is_empty() && had.contains(&fnv1a(name));
                if !is_among(&rest.left.had) && !reading.left_out.as_deref().is_some_and(is_among) {
                    let entry = DirEntry { next_offset, name, attr: self.attr(view), is_held: false };
                    if take(&entry) == Room::Full {
                        return Ok(());
                    }
                    reading.count += 1;
                }
                reading.at = next_offset;
            }
        }
        Ok(())
    }

    /// A directory that has become small is listed as others are.
    fn end_of_rest(&self, rest: &PagedDirectory, stretch: &Stretch) {
        let is_whole = rest.left.spans.iter().eq([&KeySpan::below(&rest.prefix)]);
        if is_whole && stretch.next.index * self.tuning.name_bytes < self.options.metadata_bytes / 4 {
            self.state.lock().large.is_small(rest.directory);
        }
    }
}
