//! How an open is answered: whether the kernel reads the file by itself, or asks us for the bytes, and in which way.

use std::sync::Arc;

use fuser::{FileHandle, FopenFlags, ReplyOpen};

use super::advice::Advised;
use super::passthrough::{Passing, Registry};
use super::reply::{DirectMmap, errno, open_flags, passed_flags};
use super::twin::Attempt;
use crate::fs::{Opened, PageCache};

/// What the answer to an open is made from.
pub(super) struct OpenAnswer {
    pub(super) registry: Registry,
    pub(super) passing: Arc<Passing>,
    pub(super) advised: Arc<Advised>,
    pub(super) mmap: DirectMmap,
    pub(super) attempt: Attempt,
    /// The number of the request.
    pub(super) number: u64,
}

impl OpenAnswer {
    /// Answers with a file that is open now. Where the kernel's rules do not allow that, it is closed again.
    pub(super) fn give(self, opened: Opened, reply: ReplyOpen) {
        let (registry, handle) = (&self.registry, FileHandle(opened.handle.0));
        let is_twin = registry.node.is_twin();
        let fs = &registry.fs;
        fs.asked(handle.0, self.number);
        let register = |backing: &_| registry.register(backing, opened.page_cache, &reply);
        match self.passing.opening(registry.node, self.attempt, opened.backing.filter(|_| !is_twin), register) {
            Ok(Some(id)) => {
                let (number, bridged) = (id.number, id.bridged());
                // The table keeps it while the handle is open. Kept here, it might outlast that, and be registered a
                // second time where the file is opened again.
                drop(id);
                fs.passed(opened.handle, number);
                // SAFETY: the number is registered while the handle is open, and goes back below.
                let backing = unsafe { reply.wrap_backing(number) };
                let flags = passed_flags(opened.page_cache, bridged.is_some());
                if let Some(file) = bridged.filter(|_| !flags.contains(FopenFlags::FOPEN_DIRECT_IO)) {
                    self.advised.opening(opened.handle, file);
                }
                reply.opened_passthrough(handle, flags, &backing);
                backing.into_raw();
            }
            Err(error) => {
                fs.release(opened.handle);
                reply.error(errno(error));
            }
            // The other inode is the one for the page cache.
            Ok(None) if is_twin => reply.opened(handle, open_flags(PageCache::BypassAndDrop, self.mmap)),
            Ok(None) => reply.opened(handle, open_flags(opened.page_cache, self.mmap)),
        }
    }
}
