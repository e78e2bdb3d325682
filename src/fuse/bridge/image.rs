//! Serves the image: one file on a mount of its own, on threads of its own.
//!
//! EROFS reads the image while programs wait for it inside the kernel, also those that the daemon's other threads wait
//! for. So these threads wait for nobody: metadata is made on the spot, and bytes of objects are answered later from
//! the runtime where they are not at hand.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, SystemTime};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, Session, SessionACL,
};
use rustix::fs::OFlags;

use super::layout::{self, IMAGE_BYTES, Region, Slot};
use super::mounts::{self, Source};
use crate::base::ByteRange;

const NAME: &str = "image";
const ROOT: INodeNo = INodeNo(1);
const IMAGE: INodeNo = INodeNo(2);

/// Nothing about the image ever changes.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// Readahead and asynchronous reads of the image that the kernel keeps under way.
const MAX_BACKGROUND: u16 = 256;

/// What lies in an image.
pub(super) trait Content: Send + Sync + 'static {
    /// Where the bytes of an inode lie, and how many there are.
    fn inode(&self, slot: Slot) -> Option<(u64, u64)>;

    /// Answers a read of objects' bytes, in full or with an error. The kernel has a number for the thread that asks,
    /// or 0.
    fn read(&self, range: ByteRange, thread: u32, reply: ReplyData);
}

/// An image with EROFS on it.
#[derive(Debug)]
pub(super) struct Erofs {
    /// The root directory. The mounts, and the threads that serve them, are there as long as it, or a file of it, is
    /// open.
    pub(super) root: ManuallyDrop<OwnedFd>,
    /// The kernel's name of the device by which it reads ahead, where that is known.
    pub(super) device: Option<String>,
    /// The kernel's number of the mount of the image.
    connection: u32,
}

impl Erofs {
    /// Makes the mounts, and serves the image on so many threads.
    pub(super) fn serve(content: impl Content, threads: usize, source: Source) -> io::Result<Erofs> {
        let (mount, device) = mounts::fuse()?;
        let mut config = Config::default();
        config.n_threads = Some(threads);
        // As root may: else all threads would queue at one descriptor.
        config.clone_fd = File::options().read(true).write(true).open("/dev/fuse").is_ok();
        let session = Session::from_fd(Image { content }, device, SessionACL::All, config)?;
        thread::Builder::new().name("bridge-session".to_owned()).spawn(move || {
            if let Err(error) = session.run() {
                tracing::error!(%error, "the bridge's FUSE session failed");
            }
        })?;
        let image = mounts::open_at(&mount, NAME, OFlags::empty())?;
        let (root, device) = mounts::erofs(&image, source)?;
        Ok(Erofs { root: ManuallyDrop::new(root), device, connection: mounts::connection(&image)? })
    }
}

impl Drop for Erofs {
    /// The end of EROFS waits, and cannot be killed, until the kernel has an answer to everything that it has begun to
    /// read, for whomever. A process that ends meanwhile would give none. So all of it fails first; nobody has a file
    /// open any more. Where that cannot be, the mounts end with the process, whose device the kernel closes first.
    fn drop(&mut self) {
        match mounts::abort(self.connection) {
            // SAFETY: it is not used after this.
            Ok(()) => unsafe { ManuallyDrop::drop(&mut self.root) },
            Err(error) => tracing::warn!(%error, "the mounts of the bridge stay until this process ends"),
        }
    }
}

struct Image<C> {
    content: C,
}

impl<C: Content> Image<C> {
    /// The blocks of inodes. One that is not known yet must not come into the kernel's cache: no part of the range is
    /// answered then, and the kernel asks for the block that it needs alone.
    fn inodes(&self, first: Slot, count: u64) -> Option<Vec<u8>> {
        let block = |number| {
            let slot = Slot(first.0 + number);
            self.content.inode(slot).map(|(address, bytes)| layout::file_inode(slot, address, bytes))
        };
        (0..count).map(block).collect::<Option<Vec<_>>>().map(|blocks| blocks.concat())
    }
}

impl<C: Content> Filesystem for Image<C> {
    fn init(&mut self, _: &fuser::Request, config: &mut KernelConfig) -> io::Result<()> {
        // Without it a reader that is killed waits for the answer, and an answer that is too short ends the image.
        let lacks = |_| io::Error::other("this kernel lacks asynchronous direct I/O of FUSE");
        config.add_capabilities(InitFlags::FUSE_ASYNC_DIO).map_err(lacks)?;
        // Fails for 0 alone.
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match parent {
            ROOT if name == NAME => reply.entry(&FOR_EVER, &attributes(IMAGE), Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &fuser::Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &attributes(ino));
    }

    fn open(&self, _: &fuser::Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
    }

    fn read(
        &self,
        request: &fuser::Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let range = ByteRange::new(offset, offset.saturating_add(size.into()));
        match layout::region(range) {
            Region::Head => reply.data(&layout::head(range)),
            Region::Data => self.content.read(range, request.pid(), reply),
            Region::Inodes { first, count } => match self.inodes(first, count) {
                Some(blocks) => reply.data(&blocks),
                None => reply.error(Errno::EIO),
            },
            Region::Nowhere => reply.error(Errno::EIO),
        }
    }

    fn flush(&self, _: &fuser::Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}

fn attributes(ino: INodeNo) -> FileAttr {
    let is_image = ino == IMAGE;
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino,
        size: if is_image { IMAGE_BYTES } else { 0 },
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: if is_image { FileType::RegularFile } else { FileType::Directory },
        perm: if is_image { 0o400 } else { 0o500 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: layout::BLOCK_BYTES as u32,
        flags: 0,
    }
}
