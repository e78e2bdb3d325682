//! How an open is answered: whether the kernel reads the file by itself, or asks us for the bytes, and in which way.

use std::sync::Arc;

use fuser::{FileHandle, FopenFlags, ReplyOpen};

use super::advice::Advised;
use super::passthrough::{Passing, Registry};
use super::read_ahead::ReadAhead;
use super::reply::{DirectMmap, errno, open_flags, passed_flags};
use super::twin::Attempt;
use crate::fs::{self, Opened, PageCache};

/// What the answer to an open is made from.
pub(super) struct OpenAnswer {
    pub(super) registry: Registry,
    pub(super) passing: Arc<Passing>,
    pub(super) advised: Arc<Advised>,
    pub(super) read_ahead: Arc<ReadAhead>,
    pub(super) mmap: DirectMmap,
    pub(super) attempt: Attempt,
    /// The number of the request.
    pub(super) number: u64,
}

impl OpenAnswer {
    /// Answers with a file that is open now, or why it is not. Where the kernel's rules do not allow the one, it is
    /// closed again.
    pub(super) fn give(self, result: fs::Result<Opened>, reply: ReplyOpen) {
        match result {
            Ok(opened) => self.give_file(opened, reply),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn give_file(self, opened: Opened, reply: ReplyOpen) {
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
            Ok(None) => {
                // The other inode is the one for the page cache.
                let page_cache = if is_twin { PageCache::BypassAndDrop } else { opened.page_cache };
                // The kernel looks when it has the answer.
                let _turn = self.read_ahead.suit(opened.read_ahead_bytes);
                reply.opened(handle, open_flags(page_cache, self.mmap));
            }
        }
    }
}
