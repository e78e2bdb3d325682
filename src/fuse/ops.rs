//! Decoding: from the requests of the FUSE crate to calls of `fs`.
//!
//! The trait has one method per operation of the kernel's protocol. Those that wait go through
//! [`Answers`], those that change a bucket are refused.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno as Code, FileAttr, FileHandle as Fh, Filesystem, FopenFlags,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, TimeOrNow,
    WriteFlags,
};

use super::advice::{self, Advised};
use super::answer::{Again, Answers, Request};
use super::bridge::Bridge;
use super::caller::{Caller as Thread, Sight};
use super::open_answer::OpenAnswer;
use super::opener::Programs;
use super::passthrough::{Passing, Registered, Registry};
use super::read_ahead::ReadAhead;
use super::reply::{DirectMmap, GENERATION, attributes, errno, fill, nothing};
use super::resume_session::{self, Terms};
use super::twin::{Attempt, Node, Twins};
use super::{Options, control, namespaces};
use crate::base::{ByteRange, Clock, Ino};
use crate::fs::{Asker, Caller, DirHandle, Entry, Errno, Extent, FileHandle, Fs, StillOpen, XattrReply};

/// What of the kernel's abilities is used, where it has them. Left out on purpose: remote locks (flock then works
/// locally), automatic invalidation of pages (an inode number's bytes never change), and asking for attributes only
/// where they have just been wanted: `find`, `ls -l` and `du` read 100,000 names before they look at the first, and
/// would then look up each of them alone, for 40 us instead of 2. Nor is its cache of directories used: a second `find`
/// with stat of 500,000 files takes 2.2 s of CPU either way, names whose attributes the kernel has dropped meanwhile
/// would be looked up one by one, and a directory that was growing when the cache was filled then lacked an entry.
const WANTED: [InitFlags; 7] = [
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_HAS_IOCTL_DIR,
    InitFlags::FUSE_EXPORT_SUPPORT,
];

/// The kernel's requests, put to a file system.
pub(super) struct Kernel {
    fs: Arc<Fs>,
    device: Arc<OwnedFd>,
    answers: Answers,
    max_background: u16,
    sight: Sight,
    /// Whether control requests come by `setxattr`.
    takes_calls: bool,
    /// Set once the mount stands.
    pub(super) read_ahead: Arc<ReadAhead>,

    /// Set by the handshake, before the first request.
    direct_mmap: DirectMmap,
    programs: Arc<Programs>,
    passing: Arc<Passing>,
    advised: Arc<Advised>,
    bridge: Option<Arc<Bridge>>,
    bridge_min_bytes: u64,
}

impl Kernel {
    pub(super) fn new(
        fs: Arc<Fs>,
        device: Arc<OwnedFd>,
        open: &[StillOpen],
        answers: Answers,
        sight: Sight,
        bridge: Option<Arc<Bridge>>,
        options: &Options,
    ) -> Self {
        let passing = Passing::new();
        for file in open {
            passing.is_open(file.ino, || file.backing.map(|number| Registered::new(number, &device, None)));
        }
        let (max_background, takes_calls) = (options.max_background, !options.kernel_read_only);
        Kernel {
            fs,
            device,
            answers,
            max_background,
            sight,
            takes_calls,
            read_ahead: Arc::default(),
            programs: Arc::new(Programs::new(Clock::system())),
            direct_mmap: DirectMmap::Refused,
            passing: Arc::new(passing),
            advised: Arc::default(),
            bridge,
            bridge_min_bytes: options.bridge_min_bytes,
        }
    }

    fn fs(&self) -> Arc<Fs> {
        self.fs.clone()
    }

    /// The twins that the kernel knows.
    pub(super) fn twins(&self) -> Arc<Twins> {
        self.passing.twins.clone()
    }

    fn request(&self, op: &'static str, ino: INodeNo, caller: &fuser::Request) -> Request {
        let ino = object(ino);
        let again = || Again { number: number(caller), key: self.fs.key(ino), what: String::new(), read: None };
        let again = is_again(caller).then(|| Arc::new(again()));
        Request { op, ino, caller: Thread::new(caller.pid(), self.sight), again }
    }

    /// What makes a file known to the kernel, which is to read it by itself.
    fn registry(&self, ino: INodeNo) -> Registry {
        Registry { fs: self.fs(), node: Node::of(ino), device: self.device.clone(), bridge: self.bridge.clone() }
    }

    /// Where the kernel can read files by itself, it may.
    fn offer_passthrough(&self, config: &mut KernelConfig) {
        // One level: files in memory lie on no other file system, and this one may still lie under an overlay.
        let can = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok() && config.set_max_stack_depth(1).is_ok();
        if can {
            self.passing.offer();
        }
        match &self.bridge {
            Some(bridge) if can => self.fs.offer_pages(self.bridge_min_bytes, bridge.in_words()),
            Some(_) => {
                tracing::warn!("this kernel lacks passthrough of FUSE: the bridge is not used");
                self.fs.withhold_pages("this kernel lacks passthrough of FUSE".to_owned());
            }
            None => {}
        }
    }

    /// What is agreed on now holds for every later life.
    fn note_terms(&self, config: &KernelConfig) {
        let Some(ledger) = self.fs.ledger() else { return };
        match Terms::of(config).map(|terms| serde_json::to_string(&terms)) {
            Some(Ok(terms)) => ledger.note(resume_session::TERMS, &terms),
            _ => tracing::info!(
                "this kernel cannot continue a mount when its daemon is restarted: that requires Linux 6.9 or later"
            ),
        }
    }

    /// What an earlier life opened for a request that is sent again, because it was not answered.
    fn never_told(&self, caller: &fuser::Request) -> Option<u64> {
        is_again(caller).then(|| self.fs.never_told(number(caller))).flatten()
    }

    fn close(&self, node: Node, handle: FileHandle) {
        self.advised.closed(handle);
        self.passing.closed(node);
        self.fs.release(handle);
    }

    fn xattr(reply: ReplyXattr, result: crate::fs::Result<XattrReply>) {
        match result {
            Ok(XattrReply::Size(size)) => reply.size(size),
            Ok(XattrReply::Data(data)) => reply.data(&data),
            Err(error) => reply.error(errno(error)),
        }
    }
}

/// Set in the number of a request that the kernel has sent again.
const SENT_AGAIN: u64 = 1 << 63;

fn is_again(request: &fuser::Request) -> bool {
    u64::from(request.unique()) & SENT_AGAIN != 0
}

/// The number of a request, whichever time it is sent.
fn number(request: &fuser::Request) -> u64 {
    u64::from(request.unique()) & !SENT_AGAIN
}

/// The object that the kernel knows by this number.
fn object(number: INodeNo) -> Ino {
    Node::of(number).ino()
}

/// Who makes a control request, and on what.
fn asking(request: &fuser::Request, ino: INodeNo) -> Caller {
    let asker = Asker { uid: request.uid(), way: namespaces::way(request.pid()) };
    Caller { asker, on: object(ino) }
}

impl Filesystem for Kernel {
    fn init(&mut self, _: &fuser::Request, config: &mut KernelConfig) -> io::Result<()> {
        for ability in WANTED {
            match config.add_capabilities(ability) {
                Ok(()) if ability == InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP => self.direct_mmap = DirectMmap::Allowed,
                Ok(()) => {}
                Err(_) => tracing::debug!(?ability, "this kernel lacks a FUSE capability"),
            }
        }
        self.offer_passthrough(config);
        // Fails for 0 alone, which leaves the crate's own.
        let _ = config.set_max_background(self.max_background);
        self.note_terms(config);
        Ok(())
    }

    fn lookup(&self, caller: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let lookup = self.fs().lookup(object(parent), name.as_bytes().to_vec());
        let request = self.request("lookup", parent, caller).with(|| format!("name {name:?}"));
        let (twins, parent, thread) = (self.twins(), Node::of(parent), caller.pid());
        self.answers.answer(request, lookup, move |result| match result {
            Ok(Entry::Found(attr)) => {
                let node = twins.look_up(parent, attr.ino, thread);
                let shown = FileAttr { ino: node.number(), ..attributes(&attr) };
                // The number of a twin is for the kernel alone: it asks for attributes before it shows them.
                let ttl = if node.is_twin() { Duration::ZERO } else { attr.ttl };
                reply.entry(&ttl, &shown, GENERATION);
            }
            Ok(Entry::Missing(Duration::ZERO)) => reply.error(Code::ENOENT),
            Ok(Entry::Missing(ttl)) => reply.entry_with_ttls(&Duration::ZERO, &ttl, &nothing(), GENERATION),
            Err(error) => reply.error(errno(error)),
        });
    }

    fn forget(&self, caller: &fuser::Request, ino: INodeNo, count: u64) {
        self.answers.at_once(self.request("forget", ino, caller), || {
            self.passing.twins.forget(Node::of(ino), count);
            self.fs.forget(object(ino), count);
        });
    }

    fn getattr(&self, caller: &fuser::Request, ino: INodeNo, _: Option<Fh>, reply: ReplyAttr) {
        let found = self.fs().getattr(object(ino));
        self.answers.answer(self.request("getattr", ino, caller), found, |result| match result {
            Ok(attr) => reply.attr(&attr.ttl, &attributes(&attr)),
            Err(error) => reply.error(errno(error)),
        });
    }

    fn readlink(&self, caller: &fuser::Request, ino: INodeNo, reply: ReplyData) {
        self.answers.answer(self.request("readlink", ino, caller), self.fs().readlink(object(ino)), |result| {
            match result {
                Ok(target) => reply.data(&target),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn open(&self, caller: &fuser::Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if let Some(handle) = self.never_told(caller) {
            self.close(Node::of(ino), FileHandle(handle));
        }
        let answer = OpenAnswer {
            registry: self.registry(ino),
            passing: self.passing.clone(),
            advised: self.advised.clone(),
            read_ahead: self.read_ahead.clone(),
            mmap: self.direct_mmap,
            attempt: Attempt { flags: flags.0, thread: caller.pid() },
            number: number(caller),
        };
        let open = self.fs().open(object(ino), flags.0, self.programs.process(caller.pid()));
        let give = move |result| answer.give(result, reply);
        self.answers.answer(self.request("open", ino, caller), open, give);
    }

    fn read(
        &self,
        caller: &fuser::Request,
        ino: INodeNo,
        handle: Fh,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let range = ByteRange::new(offset, offset.saturating_add(size.into()));
        let extent = Extent { handle: handle.0, range };
        if self.answers.refuses(extent) {
            tracing::debug!(ino = ino.0, ?range, "it repeats a read that killed the daemon: EIO");
            return reply.error(errno(Errno::EIO));
        }
        let mut request = self.request("read", ino, caller).reading(extent);
        let is_for_pages = flags.0 & libc::O_DIRECT == 0;
        if is_for_pages {
            request.caller = Thread::of_pages(caller.pid(), self.sight);
        }
        let advised = self.bridge.as_ref().and_then(|_| self.advised.of(FileHandle(handle.0)));
        if let Some(file) = advised {
            let read_ahead = advice::read_ahead(file, range);
            // Whoever reads the visible file later asks for its pages again.
            return self.answers.answer(request, read_ahead, |_| reply.error(errno(Errno::EIO)));
        }
        // Reads past the page cache name the table of files that their program has.
        let read_ahead_bytes = match owner {
            None if is_for_pages => self.read_ahead.bytes(),
            _ => 0,
        };
        let read = self.fs().read_pages(FileHandle(handle.0), offset, size as usize, read_ahead_bytes);
        self.answers.answer(request, read, |result| match result {
            // Written to the kernel from the buffer the bytes arrived in.
            Ok(Some(slice)) => reply.data(&slice),
            // It asks for the page that a program waits for once more, and alone.
            Ok(None) => reply.error(errno(Errno::EIO)),
            Err(error) => reply.error(errno(error)),
        });
    }

    fn release(
        &self,
        caller: &fuser::Request,
        ino: INodeNo,
        handle: Fh,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.answers.at_once(self.request("release", ino, caller), || self.close(Node::of(ino), FileHandle(handle.0)));
        reply.ok();
    }

    fn opendir(&self, caller: &fuser::Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if let Some(handle) = self.never_told(caller) {
            self.fs.releasedir(DirHandle(handle));
        }
        let (fs, number) = (self.fs(), number(caller));
        self.answers.answer(self.request("opendir", ino, caller), self.fs().opendir(object(ino)), move |result| {
            match result {
                Ok(handle) => {
                    fs.asked(handle.0, number);
                    reply.opened(Fh(handle.0), FopenFlags::empty());
                }
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn readdir(&self, caller: &fuser::Request, ino: INodeNo, handle: Fh, offset: u64, mut reply: ReplyDirectory) {
        let (fs, request) = (self.fs(), self.request("readdir", ino, caller));
        let request = request.with(|| format!("handle {}, from offset {offset}", handle.0));
        let watching = self.answers.watching(&request);
        let fill = async move {
            // Watched here, inside: the buffer is needed for the answer.
            Ok((watching.over(fill(fs, DirHandle(handle.0), offset, &mut reply)).await, reply))
        };
        self.answers.answer_watched(request, fill, |filled| match filled {
            Ok((Ok(()), reply)) => reply.ok(),
            Ok((Err(error), reply)) => reply.error(errno(error)),
            // The buffer went down with the operation and has answered EIO.
            Err(_) => {}
        });
    }

    fn readdirplus(
        &self,
        caller: &fuser::Request,
        ino: INodeNo,
        handle: Fh,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let (fs, request) = (self.fs(), self.request("readdirplus", ino, caller));
        let request = request.with(|| format!("handle {}, from offset {offset}", handle.0));
        let watching = self.answers.watching(&request);
        let fill = async move {
            // Watched here, inside: the buffer is needed for the answer.
            Ok((watching.over(fill(fs, DirHandle(handle.0), offset, &mut reply)).await, reply))
        };
        self.answers.answer_watched(request, fill, |filled| match filled {
            Ok((Ok(()), reply)) => reply.ok(),
            Ok((Err(error), reply)) => reply.error(errno(error)),
            // The buffer went down with the operation and has answered EIO.
            Err(_) => {}
        });
    }

    fn releasedir(&self, caller: &fuser::Request, ino: INodeNo, handle: Fh, _: OpenFlags, reply: ReplyEmpty) {
        self.answers.at_once(self.request("releasedir", ino, caller), || self.fs.releasedir(DirHandle(handle.0)));
        reply.ok();
    }

    fn statfs(&self, caller: &fuser::Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.answers.at_once(self.request("statfs", ino, caller), || self.fs.statfs()) {
            Some(s) => reply.statfs(
                s.blocks,
                s.blocks_free,
                s.blocks_free,
                s.files,
                s.files_free,
                s.block_size,
                s.name_max,
                s.block_size,
            ),
            None => reply.error(Code::EIO),
        }
    }

    fn getxattr(&self, caller: &fuser::Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let request = self.request("getxattr", ino, caller).with(|| format!("name {name:?}"));
        if self.takes_calls && name.as_bytes() == control::RESULT {
            let asker = asking(caller, ino);
            let result = self.fs().control_result(asker, size);
            return self.answers.answer(request, result, |result| Kernel::xattr(reply, result));
        }
        let value = self.fs().getxattr(object(ino), name.as_bytes().to_vec(), size);
        self.answers.answer(request, value, |result| Kernel::xattr(reply, result));
    }

    fn listxattr(&self, caller: &fuser::Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.fs().listxattr(object(ino), size);
        self.answers.answer(self.request("listxattr", ino, caller), names, |result| Kernel::xattr(reply, result));
    }

    fn lseek(&self, caller: &fuser::Request, ino: INodeNo, handle: Fh, offset: i64, whence: i32, reply: ReplyLseek) {
        let seek = self.fs().lseek(FileHandle(handle.0), offset, whence);
        self.answers.answer(self.request("lseek", ino, caller), seek, |result| match result {
            Ok(offset) => reply.offset(offset),
            Err(error) => reply.error(errno(error)),
        });
    }

    /// Asked only where the kernel does not check modes itself.
    fn access(&self, _: &fuser::Request, _: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        if mask.contains(AccessFlags::W_OK) { reply.error(Code::EROFS) } else { reply.ok() }
    }

    /// Nothing is ever waiting to be written.
    fn flush(&self, _: &fuser::Request, _: INodeNo, _: Fh, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &fuser::Request, _: INodeNo, _: Fh, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(&self, _: &fuser::Request, _: INodeNo, _: Fh, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn ioctl(
        &self,
        caller: &fuser::Request,
        ino: INodeNo,
        _: Fh,
        _: IoctlFlags,
        number: u32,
        input: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        if number != control::IOCTL {
            return reply.error(Code::ENOTTY);
        }
        let asker = asking(caller, ino);
        let (fs, asked) = (self.fs(), self.fs().control(asker, input.to_vec()));
        self.answers.answer(
            self.request("ioctl", ino, caller),
            async { Ok(asked.await) },
            move |result| match result {
                Ok(answered) => control::reply(reply, answered, fs.control_socket()),
                Err(error) => reply.error(errno(error)),
            },
        );
    }

    /// Files are always ready: the kernel takes this as leave to answer by itself from now on.
    fn poll(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: Fh,
        _: PollNotifier,
        _: PollEvents,
        _: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Code::ENOSYS);
    }

    fn bmap(&self, _: &fuser::Request, _: INodeNo, _: u32, _: u64, reply: ReplyBmap) {
        reply.error(Code::ENOSYS);
    }

    // What follows would change the bucket. The kernel itself refuses it on a mount that it knows to be read-only.

    fn setattr(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<Fh>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Code::EROFS);
    }

    fn mknod(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Code::EROFS);
    }

    fn mkdir(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Code::EROFS);
    }

    fn unlink(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Code::EROFS);
    }

    fn rmdir(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Code::EROFS);
    }

    fn symlink(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Code::EROFS);
    }

    fn rename(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Code::EROFS);
    }

    fn link(&self, _: &fuser::Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Code::EROFS);
    }

    fn write(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: Fh,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(Code::EROFS);
    }

    /// Takes a control request; else changes nothing.
    fn setxattr(
        &self,
        caller: &fuser::Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        if !self.takes_calls || name.as_bytes() != control::CALL {
            return reply.error(Code::EROFS);
        }
        let asker = asking(caller, ino);
        let call = self.fs().call(asker, value.to_vec());
        self.answers.answer(self.request("setxattr", ino, caller), call, |result| match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        });
    }

    fn removexattr(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Code::EROFS);
    }

    fn create(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(Code::EROFS);
    }

    fn fallocate(&self, _: &fuser::Request, _: INodeNo, _: Fh, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Code::EROFS);
    }

    fn copy_file_range(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: Fh,
        _: u64,
        _: INodeNo,
        _: Fh,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Code::EROFS);
    }
}
