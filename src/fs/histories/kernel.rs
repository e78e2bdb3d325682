//! The kernel's cache: names and attributes for the time that it was told, without those that it was told to drop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::tests::Stranger;
use super::super::{Attr, Counting, Entry, Errno, FileKind, Fs, Notifier, Result, Room};
use super::judge::Seen;
use crate::base::{Clock, Ino};

/// One kernel over one mount.
pub(super) struct Kernel {
    fs: Arc<Fs>,
    clock: Clock,
    memory: Arc<Memory>,
}

/// What it remembers.
#[derive(Default)]
pub(super) struct Memory {
    names: Mutex<HashMap<(Ino, Vec<u8>), Remembered>>,
}

#[derive(Clone)]
struct Remembered {
    entry: Option<Attr>,
    until: Duration,
}

/// Whether a walk of a path may believe what is remembered. After an ESTALE the kernel walks once more and asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Believing,
    Asking,
}

impl Notifier for Memory {
    fn invalidate_entry(&self, parent: Ino, name: &[u8]) {
        self.names.lock().remove(&(parent, name.to_vec()));
    }

    fn invalidate_attributes(&self, ino: Ino) {
        self.names.lock().retain(|_, known| known.entry.as_ref().is_none_or(|attr| attr.ino != ino));
    }

    fn invalidate_pages(&self, _: Ino) {}

    fn drop_pages(&self, _: Ino, done: oneshot::Sender<()>) {
        let _ = done.send(());
    }

    fn after_that(&self, done: oneshot::Sender<()>) {
        let _ = done.send(());
    }
}

fn seen(attr: &Attr) -> Seen {
    match attr.kind {
        FileKind::Directory => Seen::Directory,
        _ => Seen::File(attr.size),
    }
}

impl Kernel {
    pub(super) fn new(fs: Arc<Fs>, clock: Clock) -> Self {
        let memory = Arc::new(Memory::default());
        fs.set_notifier(Some(memory.clone()));
        Kernel { fs, clock, memory }
    }

    pub(super) fn fs(&self) -> Arc<Fs> {
        self.fs.clone()
    }

    fn remember(&self, parent: Ino, name: &[u8], entry: Option<Attr>, ttl: Duration) {
        let until = self.clock.elapsed() + ttl;
        self.memory.names.lock().insert((parent, name.to_vec()), Remembered { entry, until });
    }

    async fn name(&self, parent: Ino, name: &str, walk: Walk) -> Result<Option<Attr>> {
        let key = (parent, name.as_bytes().to_vec());
        let known = self.memory.names.lock().get(&key).cloned();
        if let Some(known) = known.filter(|known| walk == Walk::Believing && self.clock.elapsed() < known.until) {
            return Ok(known.entry);
        }
        match self.fs.clone().lookup(parent, name.as_bytes().to_vec()).await? {
            Entry::Found(attr) => {
                self.remember(parent, name.as_bytes(), Some(attr.clone()), attr.ttl);
                Ok(Some(attr))
            }
            Entry::Missing(ttl) => {
                self.remember(parent, name.as_bytes(), None, ttl);
                Ok(None)
            }
        }
    }

    async fn path(&self, path: &str, walk: Walk) -> Result<Attr> {
        let mut at = self.fs.clone().getattr(Ino::ROOT).await?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if at.kind != FileKind::Directory {
                return Err(Errno::ENOTDIR);
            }
            at = self.name(at.ino, name, walk).await?.ok_or(Errno::ENOENT)?;
        }
        Ok(at)
    }

    /// stat(2).
    pub(super) async fn stat(&self, path: &str) -> Result<Seen> {
        let attr = match self.path(path, Walk::Believing).await {
            Err(Errno::ESTALE) => self.path(path, Walk::Asking).await,
            attr => attr,
        };
        match attr {
            Ok(attr) => Ok(seen(&attr)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(Seen::Missing),
            Err(error) => Err(error),
        }
    }

    /// opendir(3), readdir(3) to the end with a pause between two calls, closedir(3).
    pub(super) async fn list(&self, path: &str, entries: usize, pause: Duration) -> Result<Vec<(String, Seen)>> {
        let open = async |walk| {
            let attr = self.path(path, walk).await?;
            Ok((attr.ino, self.fs.clone().opendir(attr.ino).await?))
        };
        let (ino, handle) = match open(Walk::Believing).await {
            Err(Errno::ESTALE) => open(Walk::Asking).await?,
            opened => opened?,
        };
        let (mut all, mut at) = (Vec::new(), 0);
        let result = loop {
            let mut got: Vec<(u64, Vec<u8>, Attr)> = Vec::new();
            let take = |entry: &super::super::DirEntry<'_>| {
                if got.len() == entries {
                    return Room::Full;
                }
                got.push((entry.next_offset, entry.name.to_vec(), entry.attr.clone()));
                Room::Left
            };
            match self.fs.clone().readdir(handle, at, Counting::Plus, take).await {
                Ok(()) if got.is_empty() => break Ok(all),
                Ok(()) => {}
                Err(error) => break Err(error),
            }
            for (next, name, attr) in got {
                at = next;
                if name != b"." && name != b".." {
                    all.push((String::from_utf8_lossy(&name).into_owned(), seen(&attr)));
                    let ttl = attr.ttl;
                    self.remember(ino, &name, Some(attr), ttl);
                }
            }
            tokio::time::sleep(pause).await;
        };
        self.fs.releasedir(handle);
        result
    }

    /// open(2), then read(2) of all after a pause, then close(2). The first error tells at which call.
    pub(super) async fn read(&self, path: &str, pause: Duration) -> std::result::Result<Vec<u8>, (Errno, Call)> {
        let open = async |walk| {
            let attr = self.path(path, walk).await?;
            if attr.kind == FileKind::Directory {
                return Err(Errno::EISDIR);
            }
            self.fs.clone().open(attr.ino, libc::O_RDONLY, Stranger).await
        };
        let opened = match open(Walk::Believing).await {
            Err(Errno::ESTALE) => open(Walk::Asking).await,
            opened => opened,
        };
        let handle = opened.map_err(|error| (error, Call::Open))?.handle;
        tokio::time::sleep(pause).await;
        let bytes = self.fs.clone().read(handle, 0, 1 << 16).await;
        self.fs.release(handle);
        bytes.map(|bytes| bytes.to_vec()).map_err(|error| (error, Call::Read))
    }
}

/// The call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Open,
    Read,
}
