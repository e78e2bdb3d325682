//! The types that operations return, independent of the kernel interface and of the store.

use std::sync::Arc;
use std::time::Duration;

use super::files::Pages;
use crate::base::{Ino, Timestamp};
use crate::read;

/// The kinds of entries a bucket can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A file, which is an object.
    File,
    /// A directory, which is a common prefix.
    Directory,
    /// A symlink object, where they are shown as links.
    Symlink,
}

/// Attributes of an entry.
#[derive(Clone, PartialEq, Debug)]
pub struct Attr {
    /// The inode number of the entry.
    pub ino: Ino,
    /// The kind of the entry.
    pub kind: FileKind,
    /// Bytes; 0 for directories.
    pub size: u64,
    /// Modification time; the other times show the same.
    pub mtime: Timestamp,
    /// The permission bits of the entry.
    pub mode: u16,
    /// The owner of the entry.
    pub uid: u32,
    /// The group of the entry.
    pub gid: u32,
    /// 1 for files, 2 for directories.
    pub nlink: u32,
    /// How long the kernel may believe this.
    pub ttl: Duration,
}

/// The answer to a look-up.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    /// The name exists in the directory.
    Found(Attr),
    /// It does not, and the kernel may believe so this long (zero: do not cache).
    Missing(Duration),
}

/// A file handle, for as long as a descriptor is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileHandle(pub u64);

/// A directory handle, for as long as a descriptor is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DirHandle(pub u64);

/// What the kernel does with its pages of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageCache {
    /// Reads go through the page cache; pages of earlier opens stay.
    Keep,
    /// Reads go through the page cache; pages of earlier opens are dropped.
    Drop,
    /// Reads bypass the page cache (mmap still uses it).
    Bypass,
    /// The same, and pages of earlier opens are dropped.
    BypassAndDrop,
}

/// What the kernel may read instead of asking for each piece of a file.
#[derive(Clone, Debug)]
pub enum Backing {
    /// A file of ours with the same bytes. None of it goes away while this, or a clone of it, is there.
    Whole(Arc<read::Whole>),
    /// Whatever `fuse` makes of these bytes.
    Pages(Arc<Pages>),
}

/// The answer to an open.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The handle of the open file.
    pub handle: FileHandle,
    /// What to tell the kernel, if it is to ask for the bytes.
    pub page_cache: PageCache,
    /// Where it can read them by itself, if it can.
    pub backing: Option<Backing>,
    /// How much the kernel is to read ahead of it at least, in bytes; 0 is what it reads ahead of most files.
    pub read_ahead_bytes: u64,
}

/// One entry of a directory.
#[derive(Clone, PartialEq, Debug)]
pub struct DirEntry<'a> {
    /// Where the next entry is found.
    pub next_offset: u64,
    /// The name, without any `/` or NUL.
    pub name: &'a [u8],
    /// Attributes. Where not all is known without a request (a symlink object whose target was not looked at) the
    /// time to live is zero, so that the kernel looks the name up before it believes any of it.
    pub attr: Attr,
    /// Whether its number means anything before the name was looked up. That of a directory with more names than memory
    /// holds does not.
    pub is_held: bool,
}

/// Whether the taker of an entry has room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// The entry was taken, and another may be.
    Left,
    /// It was not taken, for lack of room.
    Full,
}

/// In which way entries of a directory are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    /// Names: the kernel looks them up when it wants more.
    Names,
    /// With their attributes, as if each had been looked up: the kernel's look-up count of each goes up by one.
    Plus,
}

/// The figures that statfs(2) shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statfs {
    /// Blocks of `block_size` in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Inodes that there are in all.
    pub files: u64,
    /// Inodes that are free.
    pub files_free: u64,
    /// The size of a block, in bytes.
    pub block_size: u32,
    /// Longest name in bytes.
    pub name_max: u32,
}

/// The answer to getxattr(2) and listxattr(2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum XattrReply {
    /// The length asked for.
    Size(u32),
    /// The value of the attribute.
    Data(Vec<u8>),
}
