//! Pinning files in memory, and dropping what is held of files.

use std::collections::HashMap;
use std::sync::Arc;

use super::files::FilesBelow;
use super::{Control, Done};
use crate::base::{ByteSize, Ino};
use crate::control::{Dropped, Kind, Pinned, Refusal};
use crate::fs::failure::{Failure, report};
use crate::read::Pin;

/// What is kept, by inode number; `None` while it is still being fetched.
pub(super) type Pins = HashMap<Ino, Option<Pin>>;

/// Forgets a file that was to be kept, unless it is.
struct Claim<'a> {
    control: &'a Control,
    ino: Ino,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut pins = self.control.pins.lock();
        if matches!(pins.get(&self.ino), Some(None)) {
            pins.remove(&self.ino);
        }
    }
}

impl Control {
    /// Fetches a file and keeps it in memory until it is dropped.
    pub(super) async fn pin(self: &Arc<Self>, path: Option<String>, on: Ino) -> Done<Pinned> {
        let (_held, object) = self.find_file(path.as_deref(), on).await?;
        let (ino, size) = (object.ino, object.size);
        let what = path.as_deref().unwrap_or("the file of this request");
        let claim = {
            let mut pins = self.pins.lock();
            match pins.get(&ino) {
                Some(Some(_)) => return Ok(self.pinned(size)),
                Some(None) => {
                    return Err(Refusal::new(Kind::Busy, format!("{what} is already being pinned")));
                }
                None => pins.insert(ino, None),
            };
            Claim { control: self, ino }
        };
        let pin = self.reader.open(object).pin().await.map_err(|error| report("pinning", &error).of(what))?;
        let Some(pin) = pin else {
            let (limit, pinned) = (self.reader.pinned_bytes_limit(), self.reader.pinned_bytes());
            return Err(Refusal::new(
                Kind::NoRoom,
                format!(
                    "{what} has {size} bytes, and {} are pinned already: at most {} can be, half of memory-limit",
                    ByteSize(pinned),
                    ByteSize(limit)
                ),
            ));
        };
        // It may have been dropped meanwhile.
        if let Some(place) = self.pins.lock().get_mut(&ino) {
            *place = Some(pin);
        }
        drop(claim);
        Ok(self.pinned(size))
    }

    fn pinned(&self, bytes: u64) -> Pinned {
        let (pinned_bytes, pinned_bytes_limit) = (self.reader.pinned_bytes(), self.reader.pinned_bytes_limit());
        Pinned { bytes, pinned_bytes, pinned_bytes_limit }
    }

    /// Lets go what is held of a file, or of all files below a directory, in the daemon's memory and in the kernel's.
    pub(super) async fn let_go(self: &Arc<Self>, path: Option<String>, on: Ino) -> Done<Dropped> {
        let held = self.find(path.as_deref(), on).await?;
        let what = path.as_deref().unwrap_or("the file or directory of this request");
        let failed = |failure: Failure| failure.of(what);
        let mut files = FilesBelow::below(&self.names, held.ino()).await.map_err(failed)?;
        let mut dropped = Dropped::default();
        while let Some(ino) = files.next().await.map_err(failed)? {
            dropped.files += 1;
            dropped.bytes += self.let_file_go(ino).await;
            if dropped.files.is_multiple_of(256) {
                tokio::task::yield_now().await;
            }
        }
        Ok(dropped)
    }

    /// What was kept of a file was wrong: it is fetched again, and kept as before.
    pub(in crate::fs) fn pin_again(self: &Arc<Self>, ino: Ino) {
        let pin = match self.pins.lock().get_mut(&ino) {
            // One that is being fetched fails, and is told so.
            Some(place) => place.take(),
            None => None,
        };
        let Some(pin) = pin else { return };
        let control = self.clone();
        self.runtime.spawn(async move {
            let claim = Claim { control: &control, ino };
            let object = pin.object().clone();
            drop(pin);
            let key = object.key.clone();
            match control.reader.open(object).pin().await {
                Ok(Some(pin)) => {
                    if let Some(place) = control.pins.lock().get_mut(&ino) {
                        *place = Some(pin);
                    }
                }
                Ok(None) => {
                    tracing::warn!(key = key.as_str(), "a pinned file is no longer pinned: it does not fit in memory")
                }
                Err(error) => tracing::warn!(key = key.as_str(), %error, "a pinned file is no longer pinned"),
            }
            drop(claim);
        });
    }

    async fn let_file_go(&self, ino: Ino) -> u64 {
        // One that cannot be told any more is not on disk either.
        if let Ok(object) = self.object_of(ino).await {
            self.reader.remove_from_disk(&object).await;
        }
        // Ends without the lock.
        let pin = self.pins.lock().remove(&ino);
        drop(pin);
        if self.names.is_referenced(ino)
            && let Some(notifier) = self.names.notifier()
        {
            notifier.invalidate_pages(ino);
        }
        self.reader.let_go(ino)
    }
}
