//! Directory handles: each reads a list of the tree by index, which grows while the directory is listed.

use std::sync::Arc;

use super::listing::{Bells, Run};
use super::walk::Known;
use super::{Attr, DirEntry, DirHandle, Errno, Fs, ListingMode, Result, Shape, State, Ttl};
use crate::base::Ino;
use crate::tree::{Entries, Listed, OrderId, OrderState};

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    ino: Ino,
    prefix: String,
    order: OrderId,
    /// Ring while the list grows. Kept for the handle's life, so that the listing knows that somebody wants it.
    bells: Option<Bells>,
    /// Listings that bring this directory as part of a walk, and want to know how far that has come.
    ahead: Vec<Arc<Run>>,
}

/// The most listings ahead of walks that go on at once.
const WALKS_AT_ONCE: usize = 8;

/// Offsets 0 and 1 are `.` and `..`.
const DOTS: u64 = 2;

impl Fs {
    /// Opens a directory. One whose listing is too old is listed anew; this does not wait for a page of it.
    pub async fn opendir(self: Arc<Self>, ino: Ino) -> Result<DirHandle> {
        let handle = DirHandle(self.handle());
        let open = {
            let mut state = self.state.lock();
            let view = state.tree.view(ino, self.clock.elapsed()).ok_or(Errno::ESTALE)?;
            if view.shape != Shape::Directory {
                return Err(Errno::ENOTDIR);
            }
            state.uses.opened(ino);
            self.open_directory(&mut state, ino)?
        };
        self.directories.lock().insert(handle, Arc::new(open));
        Ok(handle)
    }

    fn open_directory(self: &Arc<Self>, state: &mut State, ino: Ino) -> Result<OpenDirectory> {
        let prefix = state.tree.prefix(ino).ok_or(Errno::ESTALE)?;
        let coming = state.wide_over(&prefix).next().is_some();
        let (order, bells) = self.order(state, ino)?;
        let known = match (&bells, coming) {
            (None, _) => Known::Complete,
            (Some(_), true) => Known::Coming,
            (Some(_), false) => Known::Unlisted,
        };
        self.recognise(state, ino, &prefix, known);
        let ahead = state.wide_over(&prefix).cloned().collect();
        Ok(OpenDirectory { ino, prefix, order, bells, ahead })
    }

    /// Lists ahead where this directory is a step of a walk. Where every open lists anew that would be for nothing.
    fn recognise(self: &Arc<Self>, state: &mut State, ino: Ino, prefix: &str, known: Known) {
        if !self.walks_matter() || ino == Ino::ROOT {
            return;
        }
        let Some(ahead) = state.walks.opened(prefix, known) else { return };
        let up = |&ino: &Ino| state.tree.parent(ino).filter(|_| ino != Ino::ROOT);
        let mut way = std::iter::successors(Some(ino), up);
        let Some(above) = way.find(|&above| state.tree.prefix(above).as_ref() == Some(&ahead.below)) else { return };
        if state.wide.len() < WALKS_AT_ONCE {
            self.begin_ahead(state, above, ahead);
        }
    }

    fn walks_matter(&self) -> bool {
        self.options.listing == ListingMode::Auto && self.options.metadata_ttl != Ttl::EachOpen
    }

    /// What a new handle reads, and what it waits for where that is not complete: the directory is listed then, also
    /// while a wide listing is on its way to it.
    fn order(self: &Arc<Self>, state: &mut State, ino: Ino) -> Result<(OrderId, Option<Bells>)> {
        let now = self.clock.elapsed();
        let younger_than = match self.options.metadata_ttl {
            Ttl::For(ttl) => Some(ttl),
            Ttl::EachOpen => Some(std::time::Duration::ZERO),
            Ttl::Indefinite => None,
        };
        let going_on = state.tree.open_directory(ino, now, younger_than);
        if let Some(order) = going_on.filter(|&order| state.tree.order_state(order) == Some(OrderState::Complete)) {
            return Ok((order, None));
        }
        let run = self.listing(state, ino);
        let order = going_on.or_else(|| state.tree.open_directory(ino, now, younger_than));
        match (run, order) {
            (Some(run), Some(order)) => Ok((order, Some(state.bells(&run)))),
            (_, order) => {
                order.into_iter().for_each(|order| state.tree.close_directory(order));
                Err(Errno::ESTALE)
            }
        }
    }

    /// Entries from `offset` on (0 is `.`, 1 is `..`); waits until at least one is known or the directory has ended.
    /// At most `max` entries; an empty answer means the end. Offsets stay valid for the life of the handle. With
    /// `plus` the kernel counts a reference for every entry but `.` and `..` that is passed on to it: call
    /// [`Fs::remember`] for each that was.
    pub async fn readdir(self: Arc<Self>, handle: DirHandle, offset: u64, max: usize) -> Result<Vec<DirEntry>> {
        let directory = self.directories.lock().get(&handle).cloned().ok_or(Errno::EBADF)?;
        let mut listed = self.dots(&directory, offset, max);
        let from = offset.max(DOTS);
        let mut bells = directory.bells.clone();
        loop {
            let entries = {
                let state = self.state.lock();
                let from = usize::try_from(from - DOTS).map_err(|_| Errno::EINVAL)?;
                let room = max - listed.len();
                state.tree.entries(directory.order, from, room, self.clock.elapsed()).ok_or(Errno::EBADF)?
            };
            let Entries { listed: found, state } = entries;
            if !found.is_empty() || state == OrderState::Complete || listed.len() >= max {
                self.count_use(&directory, found.len() as u64);
                listed.extend(found.into_iter().map(|entry| self.entry(entry)));
                return Ok(listed);
            }
            match (state, bells.as_mut()) {
                (OrderState::Growing, Some(bells)) => {
                    if let Some(Err(error)) = bells.next().await.ended {
                        return Err(error);
                    }
                }
                (OrderState::Broken, Some(bells)) => match bells.progress().ended {
                    Some(Err(error)) => return Err(error),
                    // The directory itself has gone.
                    _ => return Ok(listed),
                },
                (_, _) => return Ok(listed),
            }
        }
    }

    /// Listings ahead of a walk go on as the walk does.
    fn count_use(&self, directory: &OpenDirectory, entries: u64) {
        directory.ahead.iter().for_each(|run| run.used(entries));
        if self.walks_matter() {
            self.state.lock().walks.read(&directory.prefix, entries);
        }
    }

    /// Closes a directory.
    pub fn releasedir(&self, handle: DirHandle) {
        let Some(directory) = self.directories.lock().remove(&handle) else { return };
        let mut state = self.state.lock();
        state.tree.close_directory(directory.order);
        self.count_entries(&mut state);
    }

    fn dots(&self, directory: &OpenDirectory, offset: u64, max: usize) -> Vec<DirEntry> {
        let state = self.state.lock();
        let now = self.clock.elapsed();
        let own = state.tree.view(directory.ino, now).map(|view| self.attr(&view));
        let above = state.tree.parent(directory.ino).and_then(|ino| state.tree.view(ino, now));
        let above = above.map(|view| self.attr(&view));
        let dots: [(&[u8], Option<Attr>); 2] = [(b".", own), (b"..", above)];
        let dots = dots.into_iter().zip(1..).skip(usize::try_from(offset).unwrap_or(usize::MAX));
        dots.filter_map(|((name, attr), next_offset)| Some(DirEntry { next_offset, name: name.into(), attr: attr? }))
            .take(max)
            .collect()
    }

    fn entry(&self, entry: Listed) -> DirEntry {
        let Listed { index, name, view } = entry;
        let next_offset = index as u64 + 1 + DOTS;
        DirEntry { next_offset, name: name.into_boxed_bytes(), attr: self.attr(&view) }
    }
}
