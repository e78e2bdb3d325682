//! The files below a path, one after the other in the order of the listing. At most one batch of names is held for
//! each directory on the way.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::Ino;
use crate::fs::failure::{Failure, Tried};
use crate::fs::names::Names;
use crate::fs::{Counting, DirHandle, Entry, Errno, FileKind, Room};

/// Entries that are taken at a time.
const BATCH: usize = 256;

/// Directories within each other that are gone into. Keys have at most 1023 bytes, so that there are no more than 512.
const MOST_DEPTH: usize = 1024;

/// Goes through files below a path.
pub(super) struct FilesBelow {
    names: Arc<Names>,
    /// The directories on the way, the innermost last.
    way: Vec<Level>,
    /// Where it all began, if that is a file.
    single: Option<Ino>,
}

/// A directory on the way.
struct Level {
    names: Arc<Names>,
    ino: Ino,
    handle: DirHandle,
    offset: u64,
    batch: VecDeque<Found>,
    is_over: bool,
}

/// An entry of a directory.
struct Found {
    ino: Ino,
    kind: FileKind,
    /// Its directory, and its name there, where it must be looked up before it is used.
    unheld: Option<(Ino, Box<[u8]>)>,
}

impl Drop for Level {
    fn drop(&mut self) {
        self.names.releasedir(self.handle);
    }
}

impl FilesBelow {
    /// A file, or all below a directory.
    pub(super) async fn below(names: &Arc<Names>, ino: Ino) -> Tried<FilesBelow> {
        let mut files = FilesBelow { names: names.clone(), way: Vec::new(), single: None };
        match files.enter(ino).await {
            Ok(()) => {}
            Err(Failure { errno: Errno::ENOTDIR, .. }) => files.single = Some(ino),
            Err(errno) => return Err(errno),
        }
        Ok(files)
    }

    /// The next file; `None` after the last one. A directory that has gone since it was listed holds none.
    pub(super) async fn next(&mut self) -> Tried<Option<Ino>> {
        if let Some(ino) = self.single.take() {
            return Ok(Some(ino));
        }
        loop {
            let depth = self.way.len();
            let Some(level) = self.way.last_mut() else { return Ok(None) };
            let found = match level.batch.pop_front() {
                Some(Found { unheld: Some((directory, name)), .. }) => {
                    match look_up(&self.names, directory, &name).await? {
                        Some(found) => Some(found),
                        None => continue,
                    }
                }
                found => found.map(|Found { ino, kind, .. }| (ino, kind)),
            };
            match found {
                Some((ino, FileKind::Directory)) if depth < MOST_DEPTH => match self.enter(ino).await {
                    Ok(()) | Err(Failure { errno: Errno::ESTALE | Errno::ENOENT | Errno::ENOTDIR, .. }) => {}
                    Err(errno) => return Err(errno),
                },
                Some((ino, FileKind::File)) => return Ok(Some(ino)),
                Some(_) => {}
                None => match self.way.last_mut() {
                    Some(level) if !level.is_over => level.take_more().await?,
                    _ => drop(self.way.pop()),
                },
            }
        }
    }

    async fn enter(&mut self, ino: Ino) -> Tried<()> {
        let handle = self.names.clone().opendir(ino).await?;
        // Behind `.` and `..`.
        let level = Level { names: self.names.clone(), ino, handle, offset: 2, batch: VecDeque::new(), is_over: false };
        self.way.push(level);
        Ok(())
    }
}

/// Looks an entry up; `None` where it has gone since its directory was read.
async fn look_up(names: &Arc<Names>, directory: Ino, name: &[u8]) -> Tried<Option<(Ino, FileKind)>> {
    match names.clone().lookup(directory, name.to_vec()).await {
        Ok(Entry::Found(attr)) => {
            // It stays known for as long as it takes to use it, as others do that are not in use.
            names.forget(attr.ino, 1);
            Ok(Some((attr.ino, attr.kind)))
        }
        Ok(Entry::Missing(_)) | Err(Failure { errno: Errno::ENOENT | Errno::ESTALE, .. }) => Ok(None),
        Err(errno) => Err(errno),
    }
}

impl Level {
    async fn take_more(&mut self) -> Tried<()> {
        let (from, batch, offset, directory) = (self.offset, &mut self.batch, &mut self.offset, self.ino);
        let take = |entry: &crate::fs::DirEntry<'_>| {
            if batch.len() >= BATCH {
                return Room::Full;
            }
            let unheld = (!entry.is_held).then(|| (directory, entry.name.into()));
            batch.push_back(Found { ino: entry.attr.ino, kind: entry.attr.kind, unheld });
            *offset = entry.next_offset;
            Room::Left
        };
        self.names.clone().readdir(self.handle, from, Counting::Names, take).await?;
        self.is_over = self.batch.is_empty();
        Ok(())
    }
}
