//! Directories of an earlier daemon: those that the kernel knows are restored before the first request; those that
//! were being read are listed again when a program reads on.
//!
//! The new list may have another order, so that its entries get offsets of their own, above all that were given before,
//! and those that the reader has had are left out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;

use super::handle::{OpenDirectory, Opening, Resumed};
use super::state::State;
use super::task::Since;
use super::{DirHandle, Failure, Names, Shape, Tried};
use crate::base::Ino;
use crate::fs::lives::{PastDirectory, PastFile, PastListing};
use crate::tree::View;

/// Directories that are listed at once for an entry of which only the number is known.
const LISTED_AT_ONCE: usize = 8;

/// Offsets of each life begin above this many of the one before.
const OFFSETS_BITS: u32 = 40;

/// Where an entry may lie whose number a program has kept, as an NFS client does, and that the tree does not know.
#[derive(Debug, Default)]
pub(super) struct Unlisted {
    directories: Vec<Ino>,
    /// When a listing of them failed last, and how: a caller that has waited for that does not wait for another.
    failed: Option<(Duration, Failure)>,
}

impl Names {
    /// Finds an entry by its number in the directories that the kernel knows from an earlier life, by listing them.
    /// Each is listed once for all numbers. ESTALE where it is in none.
    pub(super) async fn find_again(self: &Arc<Self>, ino: Ino) -> Tried<View> {
        let began = self.clock.elapsed();
        let mut unlisted = self.unlisted.lock().await;
        if let Some((_, failure)) = unlisted.failed.as_ref().filter(|(at, _)| *at > began) {
            return Err(failure.clone());
        }
        loop {
            if let Some(view) = self.view(ino) {
                return Ok(view);
            }
            let behind = unlisted.directories.len().saturating_sub(LISTED_AT_ONCE);
            // They stay in the list until that is done: the waiting caller may go away.
            let listed = unlisted.directories[behind..].to_vec();
            if listed.is_empty() {
                return Err(Failure::ESTALE);
            }
            // Any listing of this life will do.
            let since = Since::new(Duration::ZERO, None);
            let list =
                async |directory| self.list_since(directory, &since).await.map_err(|failure| (directory, failure));
            let ended = join_all(listed.into_iter().map(list)).await;
            unlisted.directories.truncate(behind);
            let failed: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
            if let Some((_, failure)) = failed.first().cloned() {
                // In front, so that the others come before they are tried again.
                unlisted.directories.splice(..0, failed.into_iter().map(|(directory, _)| directory));
                unlisted.failed = Some((self.clock.elapsed(), failure.clone()));
                return Err(failure);
            }
        }
    }

    /// Puts back what the kernel knows of directories, and the objects of open files. How many cannot be.
    pub(in crate::fs) fn restore(
        &self,
        directories: HashMap<Ino, PastDirectory>,
        files: &BTreeMap<u64, PastFile>,
    ) -> usize {
        if let Ok(mut unlisted) = self.unlisted.try_lock() {
            unlisted.directories = directories.keys().copied().chain([Ino::ROOT]).collect();
        }
        let mut state = self.state.lock();
        let mut lost = 0;
        for (ino, directory) in directories {
            lost += usize::from(!state.tree.restore_directory(ino, &directory.prefix, directory.mtime));
        }
        for file in files.values() {
            lost += usize::from(!state.tree.restore_object(file.ino, &file.object));
        }
        self.count_entries(&mut state);
        lost
    }

    /// Directories that were open in the life before this one, by handle: they are opened when they are read on.
    pub(in crate::fs) fn resume(&self, life: u64, listings: BTreeMap<u64, PastListing>) {
        let base = life << OFFSETS_BITS;
        let resumed = |past| Resumed { base, past, had: Mutex::default() };
        self.resumed.lock().extend(listings.into_iter().map(|(handle, past)| (DirHandle(handle), resumed(past))));
    }

    /// An open directory, also one from an earlier life.
    pub(super) fn open_handle(self: &Arc<Self>, handle: DirHandle) -> Tried<Arc<OpenDirectory>> {
        if let Some(open) = self.directories.lock().get(&handle) {
            return Ok(open.clone());
        }
        let resumed = self.resumed.lock().remove(&handle).ok_or(Failure::EBADF)?;
        // It was opened long ago: whatever is known now is younger.
        let any = Since::new(self.clock.elapsed(), None);
        let opened = self.open_directory(&mut self.state.lock(), resumed.past.ino, &any);
        let opened = opened.and_then(|opening| match opening {
            Opening::Open(open) => Ok(open),
            Opening::Behind(_) => Err(Failure::ESTALE),
        });
        match opened {
            Ok(mut open) => {
                open.resumed = Some(resumed);
                let open = Arc::new(open);
                self.directories.lock().insert(handle, open.clone());
                Ok(open)
            }
            Err(error) => {
                self.resumed.lock().insert(handle, resumed);
                Err(error)
            }
        }
    }

    /// Writes down directories that the kernel is about to learn of.
    pub(super) fn write_directories(&self, state: &State, inos: &[Ino]) {
        let Some(ledger) = self.lives.ledger() else { return };
        let now = self.clock.elapsed();
        let described = |&ino: &Ino| {
            let view = state.tree.view(ino, now).filter(|view| view.shape == Shape::Directory)?;
            let mtime = Some(view.mtime).filter(|&mtime| mtime != self.options.mount_time);
            Some((ino, state.tree.prefix(ino)?, mtime))
        };
        let new: Vec<_> =
            inos.iter().filter(|&&ino| ino != Ino::ROOT && !ledger.has(ino)).filter_map(described).collect();
        if !new.is_empty() {
            ledger.directories(new);
        }
    }
}
