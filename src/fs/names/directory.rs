//! Directory handles: each reads a list of the tree by index, which grows while the directory is listed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::handle::{DOTS, OpenDirectory, Opening, Reading};
use super::task::{Behind, Joined, PageSignals, Since};
use super::walk::Known;
use super::{Attr, Counting, DirEntry, DirHandle, Failure, ListingMode, Names, Room, Shape, State, Tried, Ttl};
use crate::base::{Ino, fnv1a};
use crate::list::Trust;
use crate::tree::{SnapshotId, SnapshotState, Take, View};

/// What a new handle reads.
enum Ordered {
    /// This list, and what signals while it grows.
    Now(SnapshotId, Option<PageSignals>),
    /// The store: the directory is too large to be held.
    Store,
    Behind(Behind),
}

/// Listings of a directory that may turn out to be wrong while it is read: more than a server has ways to be wrong.
const MOST_DOUBTS: usize = 8;

/// Entries that are given out under one lock.
const BATCH: usize = 256;

impl Names {
    /// Does what [`crate::fs::Fs::opendir`] says.
    pub(in crate::fs) async fn opendir(self: Arc<Self>, ino: Ino) -> Tried<DirHandle> {
        let handle = DirHandle(self.lives.next_handle());
        let moment = self.clock.elapsed();
        let mut since = match self.ttl.get() {
            // What is known at this moment was asked for before.
            Ttl::EachOpen => Since::new(moment, Some(Duration::ZERO)),
            Ttl::For(ttl) => Since::new(moment, Some(ttl)),
            Ttl::Indefinite => Since::new(moment, None),
        };
        let open = loop {
            let opening = {
                let mut state = self.state.lock();
                let view = state.tree.view(ino, self.clock.elapsed()).ok_or(Failure::ESTALE)?;
                if view.shape != Shape::Directory {
                    return Err(Failure::ENOTDIR);
                }
                self.count_open(&mut state, ino);
                self.open_directory(&mut state, ino, &since)?
            };
            match opening {
                Opening::Open(open) => break open,
                Opening::Behind(behind) => behind.over().await?,
            }
            if self.ttl.get() == Ttl::EachOpen {
                since = Since::asked(moment);
            }
        };
        self.directories.lock().insert(handle, Arc::new(open));
        if let Some(ledger) = self.lives.ledger() {
            ledger.listing(handle.0, ino);
        }
        Ok(handle)
    }

    pub(super) fn open_directory(self: &Arc<Self>, state: &mut State, ino: Ino, since: &Since) -> Tried<Opening> {
        let prefix = state.tree.prefix(ino).ok_or(Failure::ESTALE)?;
        let coming = state.wide_over(&prefix).next().is_some();
        let (snapshot, signals) = match self.snapshot(state, ino, since)? {
            Ordered::Now(snapshot, signals) => (Some(snapshot), signals),
            Ordered::Store => (None, None),
            Ordered::Behind(behind) => return Ok(Opening::Behind(behind)),
        };
        let known = match (&signals, coming) {
            (None, _) => Known::Complete,
            (Some(_), true) => Known::Coming,
            (Some(_), false) => Known::Unlisted,
        };
        let step = self.walks_matter() && ino != Ino::ROOT && !state.walks.stand_at(&prefix);
        if step {
            self.recognise(state, ino, &prefix, known);
        }
        let ahead = state.wide_over(&prefix).filter(|task| task.opened(ino)).cloned().collect();
        let (snapshot, rest) = (Mutex::new(snapshot), Mutex::new(None));
        Ok(Opening::Open(OpenDirectory { ino, prefix, snapshot, rest, signals, ahead, step, resumed: None }))
    }

    /// Lists ahead where this directory is a step of a walk.
    fn recognise(self: &Arc<Self>, state: &mut State, ino: Ino, prefix: &str, known: Known) {
        let Some(ahead) = state.walks.opened(prefix, known) else { return };
        let up = |&ino: &Ino| state.tree.parent(ino).filter(|_| ino != Ino::ROOT);
        let mut way = std::iter::successors(Some(ino), up);
        let Some(above) = way.find(|&above| state.tree.prefix(above).as_ref() == Some(&ahead.below)) else { return };
        let room = state.tree.bytes() as u64 <= self.options.metadata_bytes;
        if room && (state.wide.len() as u64) < self.tuning.walks_at_once {
            self.begin_ahead(state, above, ahead);
        }
    }

    /// Where every open lists anew, listing ahead would be for nothing. Where a server keeps no order, nothing is known
    /// before all is listed, which takes longer than listing what is wanted.
    pub(super) fn walks_matter(&self) -> bool {
        let in_order = self.findings.trust() != Trust::NoOrder;
        self.options.listing == ListingMode::Auto && self.ttl.get() != Ttl::EachOpen && in_order
    }

    /// What a new handle reads, and what it waits for where that is not complete: the directory is listed then, also
    /// while a wide listing is on its way to it.
    fn snapshot(self: &Arc<Self>, state: &mut State, ino: Ino, since: &Since) -> Tried<Ordered> {
        if let Some(snapshot) = state.tree.open_complete(ino, since.moment, since.younger_than()) {
            return Ok(Ordered::Now(snapshot, None));
        }
        if state.is_too_large(ino, self.clock.elapsed()) {
            return Ok(Ordered::Store);
        }
        match self.listing(state, ino, since).ok_or(Failure::ESTALE)? {
            Joined::Behind(behind) => Ok(Ordered::Behind(behind)),
            Joined::Task(task) => {
                let snapshot = state.tree.join(&task.listing, since.oldest()).ok_or(Failure::ESTALE)?;
                Ok(Ordered::Now(snapshot, Some(state.signals(&task))))
            }
        }
    }

    /// Does what [`crate::fs::Fs::readdir`] says.
    pub(in crate::fs) async fn readdir(
        self: Arc<Self>,
        handle: DirHandle,
        offset: u64,
        counting: Counting,
        mut take: impl FnMut(&DirEntry<'_>) -> Room + Send,
    ) -> Tried<()> {
        let directory = self.open_handle(handle)?;
        let left_out = directory.resumed.as_ref().map(|resumed| resumed.left_out(offset));
        let mut reading = Reading { at: offset, given: Vec::new(), count: 0, counting, left_out };
        let mut signals = None;
        loop {
            let (room, state) = self.give(&directory, &mut reading, &mut take)?;
            if room == Room::Full || state == SnapshotState::Complete || reading.count > 0 {
                self.count_use(&directory, reading.count);
                if let Some(ledger) = self.lives.ledger().filter(|_| !reading.given.is_empty()) {
                    ledger.given(handle.0, reading.given);
                }
                return Ok(());
            }
            if (state == SnapshotState::Broken || directory.rest.lock().is_some())
                && let Some(rest) = self.rest_of(&directory, &mut reading.at)
            {
                let given = self.give_rest(handle, &directory, &rest, &mut reading, &mut take).await;
                self.count_use(&directory, reading.count);
                return given;
            }
            let signals = signals.get_or_insert_with(|| directory.signals.clone());
            match (state, signals.as_mut()) {
                // A listing that began later has taken the directory over and completes it: a refresh, say.
                (SnapshotState::Growing, Some(signals)) if signals.progress().ended == Some(Ok(())) => {
                    self.follow_others(&directory, signals)?;
                    signals.next_of_others().await;
                }
                (SnapshotState::Growing, Some(signals)) => {
                    // Where the list is not to be believed any more, the listing that was too large has left nothing of
                    // it: the next turn sees to that.
                    if let Some(Err(error)) = signals.next().await.ended
                        && signals.left.get().is_none()
                        && !(error == Failure::TOO_LARGE && self.is_doubted(&directory))
                    {
                        return Err(error);
                    }
                }
                (SnapshotState::Broken, Some(signals)) => match signals.progress().ended {
                    Some(Err(error)) => return Err(error),
                    // It came to an end, and left out a part of the directory.
                    _ => return Err(Failure::EIO),
                },
                (SnapshotState::Doubted, _) => match self.catch_up(&directory).await {
                    Err(failure) if failure == Failure::TOO_LARGE => self.read_anew(&directory),
                    caught_up => caught_up?,
                },
                (_, _) => return Ok(()),
            }
        }
    }

    /// Listens to the listings that bring a directory now, after its handle's own has ended. Fails where the list of
    /// the handle still grows and none does.
    fn follow_others(&self, directory: &OpenDirectory, signals: &mut PageSignals) -> Tried<()> {
        let snapshot = *directory.snapshot.lock();
        let state = self.state.lock();
        let is_growing =
            snapshot.and_then(|snapshot| state.tree.snapshot_state(snapshot)) == Some(SnapshotState::Growing);
        signals.wide = state.feeding(directory.ino, &directory.prefix).map(|task| task.signal.subscribe()).collect();
        if is_growing && signals.wide.is_empty() { Err(Failure::EIO) } else { Ok(()) }
    }

    fn is_doubted(&self, directory: &OpenDirectory) -> bool {
        let snapshot = *directory.snapshot.lock();
        snapshot.is_some_and(|snapshot| self.state.lock().tree.snapshot_state(snapshot) == Some(SnapshotState::Doubted))
    }

    /// Waits until a directory is known whole whose listing has turned out to be wrong while it was read.
    async fn catch_up(self: &Arc<Self>, directory: &OpenDirectory) -> Tried<()> {
        let since = Since::new(self.clock.elapsed(), None);
        for _ in 0..MOST_DOUBTS {
            let joined = {
                let mut state = self.state.lock();
                if directory.snapshot.lock().is_none_or(|snapshot| state.tree.catch_up(snapshot)) {
                    return Ok(());
                }
                if state.is_too_large(directory.ino, since.moment) {
                    return Err(Failure::TOO_LARGE);
                }
                self.listing(&mut state, directory.ino, &since).ok_or(Failure::ESTALE)?
            };
            joined.over().await?;
        }
        let why = "a directory cannot be listed: each listing contradicts the previous one";
        tracing::error!(prefix = directory.prefix, "{why}");
        Err(Failure::failed(why))
    }

    /// Gives what is known, some hundred entries at a time, so that others get at the tree in between.
    fn give(
        &self,
        directory: &OpenDirectory,
        reading: &mut Reading,
        take: &mut impl FnMut(&DirEntry<'_>) -> Room,
    ) -> Tried<(Room, SnapshotState)> {
        let keeps = self.lives.ledger().is_some();
        loop {
            let mut state = self.state.lock();
            if self.give_dots(&state, directory, &mut reading.at, take) == Room::Full {
                return Ok((Room::Full, SnapshotState::Growing));
            }
            let base = directory.base();
            let from = usize::try_from(reading.at.saturating_sub(base)).map_err(|_| Failure::EINVAL)?;
            let Some(snapshot) = *directory.snapshot.lock() else { return Ok((Room::Left, SnapshotState::Broken)) };
            let (mut room, mut left) = (Room::Left, BATCH);
            // Where memory is full, the kernel gets names that it must look up, and that need not be kept for it.
            let is_counted =
                reading.counting == Counting::Plus && state.tree.bytes() as u64 <= self.options.metadata_bytes;
            let is_believed = is_counted || reading.counting == Counting::Names;
            let attr = |view: &View| match is_believed {
                true => self.attr(view),
                false => Attr { ttl: Duration::ZERO, ..self.attr(view) },
            };
            let mut directories = Vec::new();
            let shown = state.tree.show_entries(snapshot, from, self.clock.elapsed(), |row| {
                if left == 0 {
                    return Take::Enough;
                }
                left -= 1;
                let next_offset = base + row.index as u64 + 1;
                let name = row.name.as_bytes();
                if reading.left_out.as_ref().is_some_and(|had| had.contains(&fnv1a(name))) {
                    reading.at = next_offset;
                    return Take::Seen;
                }
                room = take(&DirEntry { next_offset, name, attr: attr(&row.view), is_held: true });
                if room == Room::Full {
                    return Take::Enough;
                }
                reading.at = next_offset;
                reading.count += 1;
                if keeps {
                    reading.given.push((next_offset, fnv1a(name)));
                    if row.view.shape == Shape::Directory && is_counted {
                        directories.push(row.view.ino);
                    }
                }
                if is_counted { Take::Counted } else { Take::Seen }
            });
            self.write_directories(&state, &directories);
            let snapshot = shown.ok_or(Failure::EBADF)?;
            if room == Room::Full || left > 0 {
                return Ok((room, snapshot));
            }
        }
    }

    /// Gives `.` and `..`, as far as the handle stands before them.
    fn give_dots(
        &self,
        state: &State,
        directory: &OpenDirectory,
        at: &mut u64,
        take: &mut impl FnMut(&DirEntry<'_>) -> Room,
    ) -> Room {
        while *at < DOTS {
            let (name, ino): (&[u8], _) = match *at {
                0 => (b".", Some(directory.ino)),
                _ => (b"..", state.tree.parent(directory.ino)),
            };
            let next_offset = *at + 1;
            if let Some(view) = ino.and_then(|ino| state.tree.view(ino, self.clock.elapsed()))
                && take(&DirEntry { next_offset, name, attr: self.attr(&view), is_held: true }) == Room::Full
            {
                return Room::Full;
            }
            *at = next_offset;
        }
        Room::Left
    }

    /// Listings ahead of a walk go on as the walk does.
    fn count_use(&self, directory: &OpenDirectory, entries: u64) {
        if entries == 0 {
            return;
        }
        directory.ahead.iter().for_each(|task| task.read(entries));
        if directory.step {
            self.state.lock().walks.read(&directory.prefix, entries);
        }
    }

    /// Does what [`crate::fs::Fs::releasedir`] says.
    pub(in crate::fs) fn releasedir(&self, handle: DirHandle) {
        if let Some(ledger) = self.lives.ledger() {
            ledger.closed(handle.0);
        }
        self.resumed.lock().remove(&handle);
        let Some(directory) = self.directories.lock().remove(&handle) else { return };
        self.streams.closed(handle);
        let mut state = self.state.lock();
        directory.snapshot.lock().take().into_iter().for_each(|snapshot| state.tree.close_directory(snapshot));
        self.count_entries(&mut state);
    }
}
