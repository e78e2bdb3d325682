//! The bridge: files that programs map, read by the kernel from an EROFS image of which the daemon serves the blocks.
//!
//! Through FUSE alone a mapped file costs a fault for each 64 KiB and pages of 4 KiB. EROFS fills its page cache with
//! large pages, in requests as long as the readahead. So the daemon serves one image on a mount that no program sees,
//! the kernel mounts EROFS on it, and an open of a large file on the visible mount is answered with passthrough to that
//! object's inode in the image. No bytes are stored anywhere: a read of the image is a read of the object, from the
//! same windows and with the same checks as any other, and a daemon that dies leaves readers with errors, never zeros.
//!
//! It is a room of its own, because it is a second file system beside the visible one, with its own session, and knows
//! neither names nor handles: it is asked for a descriptor of an object, and asks for its bytes.
//!
//! | file | what it owns |
//! |---|---|
//! | `batches` | what the kernel asks for at once, put together of its pieces |
//! | `image` | the session that serves the image, and EROFS on it |
//! | `layout` | where what lies in the image, and the blocks of metadata |
//! | `loop_device` | the image as a block device, for kernels whose EROFS takes no file |
//! | `mounts` | mounts without a place in the tree of names |
//! | `objects` | which objects lie where |
//! | `probe` | whether this kernel can be trusted with it |

mod batches;
mod image;
mod layout;
mod loop_device;
mod mounts;
mod objects;
mod probe;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use fuser::{Errno, ReplyData};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use self::batches::Decider;
use self::image::{Content, Erofs};
use self::layout::Slot;
use self::mounts::Source;
use self::objects::{Objects, Piece};
use self::probe::Support;
use super::answer::{Answers, Request};
use super::caller::{Caller, Sight};
use super::options::BridgeUse;
use super::read_ahead::ReadAhead;
use crate::base::{ByteRange, Ino, PAGE_BYTES};
use crate::fs::{Batch, Pages};

/// An image with EROFS on it, and the objects in it.
#[derive(Debug)]
pub(super) struct Bridge {
    objects: Arc<Objects<Pages>>,
    erofs: Erofs,
    source: Source,
}

impl Bridge {
    /// Makes it, by a loop device only if that is asked for, and says why where it cannot be. Blocks for some
    /// milliseconds.
    pub(super) fn start(
        answers: Answers,
        threads: usize,
        read_ahead_kib: u32,
        wanted: BridgeUse,
    ) -> Result<Arc<Bridge>, String> {
        let Support { source, inode_count } = probe::support(sources(wanted))?;
        let objects = Arc::new(Objects::new(inode_count));
        let read_ahead = Arc::new(ReadAhead::default());
        let content = Served { objects: objects.clone(), answers, read_ahead: read_ahead.clone(), source };
        let erofs =
            Erofs::serve(content, threads, source).map_err(|error| format!("EROFS cannot be mounted ({error})"))?;
        match &erofs.device {
            Some(name) => read_ahead.widen_device(name, read_ahead_kib),
            None => tracing::debug!("the bridge's readahead is left as it is: which device is its own is not known"),
        }
        Ok(Arc::new(Bridge { objects, erofs, source }))
    }

    /// That it is there, and how the kernel reads the image, in words.
    pub(super) fn in_words(&self) -> &'static str {
        match self.source {
            Source::File => "on",
            Source::LoopDevice => "on, by a loop device",
        }
    }

    /// Opens an object that no descriptor is open of, for as long as what is returned lives.
    pub(super) fn open(self: &Arc<Self>, ino: Ino, pages: &Arc<Pages>) -> io::Result<InUse> {
        let no_room = || io::Error::from_raw_os_error(libc::EFBIG);
        let begun = self.objects.begin(ino, pages.size(), pages).ok_or_else(no_room)?;
        let presence = Presence { bridge: self.clone(), slot: begun.slot };
        begun.given_up.into_iter().for_each(|slot| self.drop_pages_of(slot));
        Ok(InUse { file: Arc::new(mounts::open_inode(&self.erofs.root, begun.slot.nid())?), presence })
    }

    /// Drops the kernel's pages of an object, all but those that programs have mapped.
    pub(super) fn drop_pages(&self, ino: Ino) {
        if let Some(slot) = self.objects.slot(ino) {
            self.drop_pages_of(slot);
        }
    }

    /// The same where these may be wrong: those that are mapped are shown to no later open.
    pub(super) fn drop_wrong_pages(&self, ino: Ino) {
        self.drop_pages(ino);
        self.objects.is_wrong(ino);
    }

    fn drop_pages_of(&self, slot: Slot) {
        let dropped = mounts::open_inode(&self.erofs.root, slot.nid())
            .and_then(|file| Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?));
        if let Err(error) = dropped {
            tracing::debug!(?slot, %error, "pages of the bridge cannot be dropped");
        }
    }
}

/// How EROFS may read the image, best first. A loop device is seen by all of the system, and each read that fails is in
/// its log.
fn sources(wanted: BridgeUse) -> &'static [Source] {
    match wanted {
        BridgeUse::Auto => &[Source::File],
        BridgeUse::On => &[Source::File, Source::LoopDevice],
        BridgeUse::Loop => &[Source::LoopDevice],
        BridgeUse::Off => &[],
    }
}

/// An object that the kernel reads through the bridge.
#[derive(Debug)]
pub(super) struct InUse {
    file: Arc<OwnedFd>,
    presence: Presence,
}

impl InUse {
    /// The file of EROFS. It may be open for longer than the object is in use: then its reads fail.
    pub(super) fn file(&self) -> Arc<OwnedFd> {
        self.file.clone()
    }

    /// Whether the kernel may hold wrong pages of it, which an open would show.
    pub(super) fn is_wrong(&self) -> bool {
        self.presence.bridge.objects.has_wrong_pages(self.presence.slot)
    }
}

impl AsFd for InUse {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// An open object's presence in the image.
#[derive(Debug)]
struct Presence {
    bridge: Arc<Bridge>,
    slot: Slot,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(slot) = self.bridge.objects.end(self.slot) {
            self.bridge.drop_pages_of(slot);
        }
    }
}

/// The content of the image.
struct Served {
    objects: Arc<Objects<Pages>>,
    answers: Answers,
    read_ahead: Arc<ReadAhead>,
    source: Source,
}

impl Served {
    /// Whether a batch is refused. A block device makes an error of each of its pieces known to the kernel's log, and
    /// asks from threads of its own, so that pieces of several batches cannot be told apart.
    fn refuses(&self, pages: &Pages, piece: ByteRange, batch: Batch) -> bool {
        self.source == Source::File && pages.refuses(piece, batch)
    }

    /// Whether a piece is refused by itself, so that it is not of the batch.
    fn leaves_out(&self, pages: &Pages, piece: ByteRange) -> bool {
        self.source == Source::File && pages.leaves_out(piece)
    }
}

impl Content for Served {
    fn inode(&self, slot: Slot) -> Option<(u64, u64)> {
        self.objects.inode(slot)
    }

    fn read(&self, range: ByteRange, thread: u32, reply: ReplyData) {
        let start = range.start;
        let Some(Piece { source, range, padding, may_be_refused }) = self.objects.at(range) else {
            return reply.error(Errno::EIO);
        };
        let objects = self.objects.clone();
        let fail = move |reply: ReplyData| {
            objects.answers_not(start, range);
            reply.error(Errno::EIO);
        };
        // The kernel asks once more for what a program waits for, and for no more. A single page may be that, and its
        // error would be the program's.
        let is_long = range.len() > PAGE_BYTES;
        if may_be_refused && is_long && self.leaves_out(&source, range) {
            return fail(reply);
        }
        let of_batch = || self.objects.batch(start, range, thread, self.read_ahead.bytes());
        let (batch, decider) = may_be_refused.then(of_batch).flatten().unzip();
        let batch = batch.unwrap_or(Batch::whole(range, 0));
        // The engine is to know of the first piece before others, which wait for that.
        let (is_refused, _first) = match decider {
            Some(Decider::First(first)) if self.refuses(&source, range, batch) => {
                first.refuse();
                (true, None)
            }
            Some(Decider::First(first)) => (false, Some(first)),
            Some(Decider::Later(verdict)) => (*verdict.wait(), None),
            None => (false, None),
        };
        if is_refused && is_long {
            return fail(reply);
        }
        // The kernel lets a program that is killed go without an answer.
        let caller = Caller::new(0, Sight::None);
        let request = Request { op: "bridge read", ino: source.ino(), caller, again: None };
        let read = source.read(range, batch);
        self.answers.answer(request, read, move |result| match result {
            Ok(slice) if slice.len() as u64 != range.len() => {
                tracing::error!(?range, bytes = slice.len(), "a read of the bridge brought too few bytes: EIO");
                fail(reply);
            }
            Ok(slice) if padding == 0 => reply.data(&slice),
            Ok(slice) => reply.data(&[&slice[..], &vec![0; padding as usize]].concat()),
            Err(_) => fail(reply),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loop_devices_are_for_those_who_ask_for_the_bridge() {
        let takes_one = |wanted| sources(wanted).contains(&Source::LoopDevice);
        let all = [BridgeUse::Auto, BridgeUse::On, BridgeUse::Loop, BridgeUse::Off];
        assert_eq!(all.map(takes_one), [false, true, true, false]);
        assert_eq!([BridgeUse::Auto, BridgeUse::On].map(|wanted| sources(wanted)[0]), [Source::File; 2]);
    }
}
