//! The files below a path, one after the other in the order of the listing, however many there are: what is held is one
//! batch of names for each directory on the way.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::Ino;
use crate::fs::{Counting, DirHandle, Errno, FileKind, Fs, Result, Room};

/// Entries that are taken at a time.
const BATCH: usize = 256;

/// Directories within each other that are gone into. Keys have at most 1023 bytes, so that there are no more than 512.
const MOST_DEPTH: usize = 1024;

/// Goes through files below a path.
pub(super) struct Files {
    fs: Arc<Fs>,
    /// The directories on the way, the innermost last.
    way: Vec<Level>,
    /// Where it all began, if that is a file.
    single: Option<Ino>,
}

/// A directory on the way.
struct Level {
    fs: Arc<Fs>,
    handle: DirHandle,
    offset: u64,
    batch: VecDeque<(Ino, FileKind)>,
    is_over: bool,
}

impl Drop for Level {
    fn drop(&mut self) {
        self.fs.releasedir(self.handle);
    }
}

impl Files {
    /// A file, or all below a directory.
    pub(super) async fn below(fs: &Arc<Fs>, ino: Ino) -> Result<Files> {
        let mut files = Files { fs: fs.clone(), way: Vec::new(), single: None };
        match files.enter(ino).await {
            Ok(()) => {}
            Err(Errno::ENOTDIR) => files.single = Some(ino),
            Err(errno) => return Err(errno),
        }
        Ok(files)
    }

    /// The next file; `None` after the last one. A directory that has gone since it was listed holds none.
    pub(super) async fn next(&mut self) -> Result<Option<Ino>> {
        if let Some(ino) = self.single.take() {
            return Ok(Some(ino));
        }
        loop {
            let depth = self.way.len();
            let Some(level) = self.way.last_mut() else { return Ok(None) };
            match level.batch.pop_front() {
                Some((ino, FileKind::Directory)) if depth < MOST_DEPTH => match self.enter(ino).await {
                    Ok(()) | Err(Errno::ESTALE | Errno::ENOENT | Errno::ENOTDIR) => {}
                    Err(errno) => return Err(errno),
                },
                Some((ino, FileKind::File)) => return Ok(Some(ino)),
                Some(_) => {}
                None if level.is_over => drop(self.way.pop()),
                None => level.take_more().await?,
            }
        }
    }

    async fn enter(&mut self, ino: Ino) -> Result<()> {
        let handle = self.fs.clone().opendir(ino).await?;
        // Behind `.` and `..`.
        let level = Level { fs: self.fs.clone(), handle, offset: 2, batch: VecDeque::new(), is_over: false };
        self.way.push(level);
        Ok(())
    }
}

impl Level {
    async fn take_more(&mut self) -> Result<()> {
        let (from, batch, offset) = (self.offset, &mut self.batch, &mut self.offset);
        let take = |entry: &crate::fs::DirEntry<'_>| {
            if batch.len() >= BATCH {
                return Room::Full;
            }
            batch.push_back((entry.attr.ino, entry.attr.kind));
            *offset = entry.next_offset;
            Room::Left
        };
        self.fs.clone().readdir(self.handle, from, Counting::Names, take).await?;
        self.is_over = self.batch.is_empty();
        Ok(())
    }
}
