//! The trait by which the kernel is told to drop names and attributes: `fuse` sets a [`Notifier`], `fs` calls it.

use tokio::sync::oneshot;

use crate::base::Ino;

/// The kernel's memory of names and attributes, as far as it can be corrected from outside.
///
/// All calls return at once: the kernel may hold a notice back until look-ups in the directory have been answered, so
/// that an implementation must pass it on from a thread of its own, never from one that answers requests. `fs` calls
/// without holding a lock, and waits for nothing.
pub trait Notifier: Send + Sync + 'static {
    /// The name leads elsewhere now, or nowhere.
    fn invalidate_entry(&self, parent: Ino, name: &[u8]);

    /// The attributes of this inode have changed. Its pages are still right: bytes never change under a number.
    fn invalidate_attributes(&self, ino: Ino);

    /// The pages of this file shall be given back; they are still right.
    fn invalidate_pages(&self, ino: Ino);

    /// The pages of this file are wrong. `done` is sent when the kernel has dropped all that it had when this was
    /// called, and dropped where it did not.
    fn drop_pages(&self, ino: Ino, done: oneshot::Sender<()>);

    /// `done` is sent, or dropped, when all that was said before of names and attributes has been passed on.
    fn after_that(&self, done: oneshot::Sender<()>);
}
