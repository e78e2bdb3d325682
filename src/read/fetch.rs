//! Prefetching, pinning and dropping objects by name.
//!
//! What is asked for is fetched as files opened under `prefetch=open` are, in the order of the requests, behind what
//! readers wait for and the windows ahead of them. Bytes that did not come so (no program is told of a guess that
//! failed) are fetched like those that a program waits for, and then an error is one. At the end all of it may be given
//! up as if it had been read; of a [`Pin`] nothing may.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;

use super::accounting::Source;
use super::inode::Inode;
use super::object::{Asker, Held, Object};
use super::part::{Lost, Part, Place};
use super::plan::{Fetch, Plan};
use super::replay::Guidance;
use super::why::Why;
use super::{File, MemoryCache, Reader};
use crate::base::{ByteRange, Ino};
use crate::store::{self, GetRequest, Result, Traffic};

/// So much of an object is asked of a fleet in one request, in bytes, and so many requests at once. The fleet has its
/// own bounds; these are for telling how far it is.
const WARMED_AT_ONCE: u64 = 16 << 20;
const WARMS_AT_ONCE: usize = 16;

/// How an object is fetched that was asked for, as long as this lives.
struct Asked<'a>(&'a Inode);

impl<'a> Asked<'a> {
    fn begin(inode: &'a Inode) -> Self {
        inode.ask_for_all();
        Asked(inode)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.ask_no_more();
    }
}

impl File {
    /// Fetches all of the object, behind what readers wait for. It stays in memory afterwards, also when this was
    /// closed, while nothing else wants the memory. Dropped before its end, it calls off what is wanted for nothing
    /// else.
    ///
    /// Fails as a read does.
    pub async fn fetch(&self) -> Result<()> {
        let asked = Asked::begin(&self.inode);
        self.warm().await;
        let parts = self.all_parts().await?;
        drop(asked);
        for part in &parts {
            self.inode.hands_over(part, part.range);
            self.reader.lru_parts.put(&self.inode, part, Place::Recent);
        }
        Ok(())
    }

    /// Has the fleet of near caches fetch all of the object, whose bytes do not come here. False where the object is
    /// not read through the fleet: it is too small, or cannot be told from other versions.
    ///
    /// Fails as a read does, and where no member of the fleet takes a part of it.
    pub async fn fetch_to_fleet(&self) -> Result<bool> {
        let object = &self.inode.object;
        let starts = (0..object.size).step_by(WARMED_AT_ONCE as usize);
        let warmed = starts.map(|start| async move {
            let range = ByteRange::new(start, object.size.min(start.saturating_add(WARMED_AT_ONCE)));
            let request = GetRequest {
                version: object.version.clone(),
                range: Some(range),
                if_match: self.inode.pin(&self.reader.tags),
                expected: Some(self.inode.expected()),
                priority: store::Priority::Background,
                traffic: Traffic::Bulk,
                ..GetRequest::new(object.key.clone())
            };
            let is_there = self.reader.store.warm(request).await?;
            self.warmed_bytes.fetch_add(range.len(), Ordering::Relaxed);
            Ok(is_there)
        });
        let mut warmed = futures::stream::iter(warmed).buffer_unordered(WARMS_AT_ONCE);
        let mut is_all = object.size > 0;
        while let Some(is_there) = warmed.next().await {
            is_all &= is_there?;
        }
        Ok(is_all)
    }

    /// Returns when every GET was started that is worth starting ahead of readers.
    async fn warm(&self) {
        loop {
            let turn = self.inode.warmed.notified();
            tokio::pin!(turn);
            // Registered before the look, so that the notice cannot fall between the two.
            turn.as_mut().enable();
            if !self.inode.is_warming_up() {
                return;
            }
            self.reader.want_whole(&self.inode, Why::AskedFor);
            self.reader.pump();
            turn.await;
        }
    }

    /// Every part of the object, once all of them are complete.
    async fn all_parts(&self) -> Result<Vec<Arc<Part>>> {
        let (size, step) = (self.inode.object.size, self.inode.max_part_bytes());
        let plan = Plan { fetch: Fetch::Exact { reach_bytes: 0 }, abandoned: None, wants_more: false };
        let (mut all, mut at): (Vec<Arc<Part>>, u64) = (Vec::new(), 0);
        while at < size {
            let want = ByteRange::new(at, size.min(at.saturating_add(step)));
            let parts = self.parts(want, Asker::Program, plan, Guidance::None, &mut Source::Buffer)?;
            for part in parts {
                match part.wait(part.range.end).await {
                    Ok(()) => {
                        at = part.range.end;
                        all.push(part);
                    }
                    Err(Lost::Failed(error)) => return Err(error),
                    // Given up since: asked for again from here on.
                    Err(Lost::Dropped) => break,
                }
            }
        }
        Ok(all)
    }

    /// Fetches all of the object and keeps it in memory for as long as the pin lives. `None` where it does not fit into
    /// what may be kept so: see [`Reader::pinned_bytes_limit`].
    ///
    /// Fails as a read does.
    pub async fn pin(self) -> Result<Option<Pin>> {
        let (size, limit) = (self.inode.object.size, self.reader.pinned_bytes_limit());
        let fits = |pinned: u64| Some(pinned.saturating_add(size)).filter(|pinned| *pinned <= limit);
        if self.reader.pinned_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Ok(None);
        }
        self.inode.is_pinned.store(true, Ordering::Relaxed);
        // As long as the handle lives it is not evicted from there either.
        self.on_disk().await;
        let pin = Pin { file: self };
        pin.file.fetch().await?;
        Ok(Some(pin))
    }
}

/// Keeps an object in memory.
pub struct Pin {
    file: File,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.file).finish()
    }
}

impl Pin {
    /// The object that is kept.
    pub fn object(&self) -> &Object {
        &self.file.inode.object
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let File { reader, inode, .. } = &self.file;
        inode.is_pinned.store(false, Ordering::Relaxed);
        reader.pinned_bytes.fetch_sub(inode.object.size, Ordering::Relaxed);
        if inode.whole.lock().upgrade().is_none() {
            inode.complete_parts().iter().for_each(|part| reader.lru_parts.put(inode, part, Place::Recent));
        }
    }
}

impl Reader {
    /// Whether files stay in memory after they were read and closed.
    pub fn keeps_files(&self) -> bool {
        self.options.memory_cache == MemoryCache::Auto
    }

    /// The most memory that may be filled before a program reads, in bytes.
    pub fn warm_bytes_limit(&self) -> u64 {
        self.budget.limit_bytes() / 4 * 3
            - self.pinned_bytes().min(self.budget.limit_bytes() / self.tuning.pinned_share)
    }

    /// Requests that may be in flight now.
    pub fn connections(&self) -> usize {
        self.agenda.connections()
    }

    /// The most that may be kept by pins, in bytes.
    pub fn pinned_bytes_limit(&self) -> u64 {
        self.budget.limit_bytes() / self.tuning.pinned_share
    }

    /// What is kept by pins, in bytes, what is still being fetched for them included.
    pub fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes.load(Ordering::Relaxed)
    }

    /// Gives up what is held of an object, but for what the kernel reads by itself and for GETs on their way. Returns
    /// the bytes.
    pub fn let_go(&self, ino: Ino) -> u64 {
        let Some(inode) = self.inodes.lock().get(&ino).cloned() else { return 0 };
        if inode.whole.lock().upgrade().is_some() || inode.is_pinned.load(Ordering::Relaxed) {
            return 0;
        }
        let parts = inode.complete_parts();
        for part in &parts {
            self.lru_parts.hold(part);
            inode.remove(part.range.start, part.id);
        }
        self.forget_if_unused(&inode);
        parts.iter().map(|part| part.range.len()).sum()
    }

    /// What is held, object by object, in no order.
    pub fn held(&self) -> Vec<Held> {
        let inodes: Vec<Arc<Inode>> = self.inodes.lock().values().cloned().collect();
        inodes.iter().map(|inode| inode.held()).collect()
    }
}
