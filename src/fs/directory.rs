//! Directory handles: each reads a list of the tree by index, which grows while the directory is listed.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::listing::{Progress, next_page};
use super::{Attr, DirEntry, DirHandle, Errno, Fs, Result, Shape, State, Ttl};
use crate::base::Ino;
use crate::tree::{Entries, Listed, OrderId, OrderState};

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    ino: Ino,
    order: OrderId,
    /// Rings while the list grows. Kept for the handle's life, so that the listing knows that somebody wants it.
    bell: Mutex<Option<watch::Receiver<Progress>>>,
}

/// Offsets 0 and 1 are `.` and `..`.
const DOTS: u64 = 2;

impl Fs {
    /// Opens a directory. One whose listing is too old is listed anew; this does not wait for a page of it.
    pub async fn opendir(self: Arc<Self>, ino: Ino) -> Result<DirHandle> {
        let handle = DirHandle(self.handle());
        let (order, bell) = {
            let mut state = self.state.lock();
            let view = state.tree.view(ino, self.clock.elapsed()).ok_or(Errno::ESTALE)?;
            if view.shape != Shape::Directory {
                return Err(Errno::ENOTDIR);
            }
            self.order(&mut state, ino)?
        };
        self.directories.lock().insert(handle, Arc::new(OpenDirectory { ino, order, bell: Mutex::new(bell) }));
        Ok(handle)
    }

    fn order(self: &Arc<Self>, state: &mut State, ino: Ino) -> Result<(OrderId, Option<watch::Receiver<Progress>>)> {
        let now = self.clock.elapsed();
        let younger_than = match self.options.metadata_ttl {
            Ttl::For(ttl) => Some(ttl),
            Ttl::EachOpen => Some(std::time::Duration::ZERO),
            Ttl::Indefinite => None,
        };
        if let Some(order) = state.tree.open_directory(ino, now, younger_than) {
            return Ok((order, state.runs.get(&ino).map(|run| run.subscribe())));
        }
        let run = self.listing(state, ino).ok_or(Errno::ESTALE)?;
        let order = state.tree.open_directory(ino, now, younger_than).ok_or(Errno::ESTALE)?;
        Ok((order, Some(run.subscribe())))
    }

    /// Entries from `offset` on (0 is `.`, 1 is `..`); waits until at least one is known or the directory has ended.
    /// At most `max` entries; an empty answer means the end. Offsets stay valid for the life of the handle. With
    /// `plus` the kernel counts a reference for every entry but `.` and `..` that is passed on to it: call
    /// [`Fs::remember`] for each that was.
    pub async fn readdir(self: Arc<Self>, handle: DirHandle, offset: u64, max: usize) -> Result<Vec<DirEntry>> {
        let directory = self.directories.lock().get(&handle).cloned().ok_or(Errno::EBADF)?;
        let mut listed = self.dots(&directory, offset, max);
        let from = offset.max(DOTS);
        let mut bell = directory.bell.lock().clone();
        loop {
            let entries = {
                let state = self.state.lock();
                let from = usize::try_from(from - DOTS).map_err(|_| Errno::EINVAL)?;
                let room = max - listed.len();
                state.tree.entries(directory.order, from, room, self.clock.elapsed()).ok_or(Errno::EBADF)?
            };
            let Entries { listed: found, state } = entries;
            if !found.is_empty() || state == OrderState::Complete || listed.len() >= max {
                listed.extend(found.into_iter().map(|entry| self.entry(entry)));
                return Ok(listed);
            }
            match (state, bell.as_mut()) {
                (OrderState::Growing, Some(bell)) => {
                    if let Some(Err(error)) = next_page(bell).await.ended {
                        return Err(error);
                    }
                }
                (OrderState::Broken, Some(bell)) => match bell.borrow().ended {
                    Some(Err(error)) => return Err(error),
                    // The directory itself has gone.
                    _ => return Ok(listed),
                },
                (_, _) => return Ok(listed),
            }
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
