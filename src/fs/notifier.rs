//! Telling the kernel that what it remembers is no longer so. The seam only: `fuse` sets a [`Notifier`], `fs` calls it.

use crate::base::Ino;

/// The kernel's memory of names and attributes, as far as it can be corrected from outside.
///
/// Both calls may block for as long as the kernel holds a lock on the directory, that is until look-ups in it have
/// been answered. They are therefore made from a thread of their own, never from one that answers requests and never
/// under a lock; nothing waits for them.
pub trait Notifier: Send + Sync + 'static {
    /// The name leads elsewhere now, or nowhere.
    fn invalidate_entry(&self, parent: Ino, name: &[u8]);

    /// The attributes of this inode have changed. Its pages are still right: bytes never change under a number.
    fn invalidate_attributes(&self, ino: Ino);
}
