//! Bytes for pages of another file system, through which the kernel reads a file.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryFutureExt;

use super::open_file::OpenFile;
use super::pages::Paging;
use super::{Failure, Files};
use crate::base::{ByteRange, Ino};
use crate::fs::Result;
use crate::read::{self, Batch};

/// The bytes of an open file, for as long as this lives: also after the handle that it was made for is closed.
pub struct Pages {
    files: Arc<Files>,
    open: Arc<OpenFile>,
}

impl Pages {
    pub(super) fn new(files: Arc<Files>, open: Arc<OpenFile>) -> Arc<Self> {
        Arc::new(Pages { files, open })
    }

    /// The number of the file.
    pub fn ino(&self) -> Ino {
        self.open.ino
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.open.size
    }

    /// The kernel keeps what is read of the file for as long as there is memory, so that we need not, unless it was
    /// seen to lose it.
    pub fn are_kept(&self) {
        self.open.file.is_kept_elsewhere();
        if self.open.paging.as_ref().is_none_or(Paging::passes_on) {
            self.open.file.needs_no_copy();
        }
    }

    /// Whether the kernel is to be refused what it asks for at once, of which this range is the first part, so that it
    /// asks for single pages, which are never refused.
    pub fn refuses(&self, range: ByteRange, batch: Batch) -> bool {
        self.open.file.refuses(range, batch)
    }

    /// Whether the kernel is to be refused a piece of what it asks for at once, because no program comes there.
    pub fn leaves_out(&self, piece: ByteRange) -> bool {
        self.open.file.leaves_out(piece)
    }

    /// Reads a range that lies within the file, in full: a part of what the kernel asks for at once.
    pub fn read(self: Arc<Self>, range: ByteRange, batch: Batch) -> impl Future<Output = Result<read::Slice>> + use<> {
        let read = async move {
            let Pages { files, open } = &*self;
            if open.changed.load(Ordering::Relaxed) {
                return Err(Failure::ESTALE);
            }
            files.takes_in(open, range.len(), true);
            open.file.read_of(batch, range).await.map_err(|error| files.failed(open, &error))
        };
        read.err_into()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pages").field(&self.open.ino).finish()
    }
}
