//! Advice of programs on files that the kernel reads through the bridge.
//!
//! Where the kernel reads a file by itself, and not past its page cache, all reads, splices and mappings go to the file
//! of EROFS. It still asks us for what `readahead` and `posix_fadvise` with POSIX_FADV_WILLNEED name: that fills the
//! page cache of the visible file, from which no program reads meanwhile. So the same range is read ahead through
//! EROFS, and the request fails. No program is told of that, and a page that was not filled is asked for again when the
//! visible file is read in another way later.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use parking_lot::RwLock;

use crate::base::ByteRange;
use crate::fs::{self, FileHandle};

/// The handles by which the kernel asks us for advised ranges only, each with its file of EROFS.
#[derive(Debug, Default)]
pub(super) struct Advised(RwLock<HashMap<FileHandle, Arc<OwnedFd>>>);

impl Advised {
    /// A handle is about to be opened, all of whose reads go to this file.
    pub(super) fn opening(&self, handle: FileHandle, file: Arc<OwnedFd>) {
        self.0.write().insert(handle, file);
    }

    /// A handle was closed, perhaps one of another kind.
    pub(super) fn closed(&self, handle: FileHandle) {
        if self.of(handle).is_some() {
            self.0.write().remove(&handle);
        }
    }

    /// The file to which all reads of a handle go, if they do.
    pub(super) fn of(&self, handle: FileHandle) -> Option<Arc<OwnedFd>> {
        self.0.read().get(&handle).cloned()
    }
}

/// Begins to read a range of a file of EROFS into the page cache. That asks for bytes of the image, and may wait for
/// them: it happens on a thread that answers nothing.
pub(super) async fn read_ahead(file: Arc<OwnedFd>, range: ByteRange) -> fs::Result<()> {
    let (offset, len) = (range.start as i64, range.len() as i64);
    let advise = move || posix_fadvise(&*file, offset, len, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    match tokio::task::spawn_blocking(advise).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(?range, %error, "the bridge cannot be read ahead"),
        Err(error) => tracing::debug!(?range, %error, "the bridge was not read ahead"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_handle_has_its_file_until_it_is_closed() {
        let (advised, file) = (Advised::default(), Arc::new(OwnedFd::from(File::open("/").unwrap())));
        advised.opening(FileHandle(1), file.clone());
        advised.opening(FileHandle(2), file.clone());
        assert!(advised.of(FileHandle(3)).is_none());
        advised.closed(FileHandle(1));
        advised.closed(FileHandle(3));
        assert!(advised.of(FileHandle(1)).is_none() && advised.of(FileHandle(2)).is_some());
        advised.closed(FileHandle(2));
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
