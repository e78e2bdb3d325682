//! Reading objects: streams, windows, fetching, the memory budget, integrity.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;

use crate::base::{ByteRange, ETag, Ino, Key};
use crate::metrics::Metrics;
use crate::store::{GetRequest, Result, Store};

/// One version of an object, as the tree knows it when a file is opened.
#[derive(Clone, Debug)]
pub struct Object {
    /// The inode number; it changes with the entity tag, so equal numbers mean equal bytes.
    pub ino: Ino,
    /// The key.
    pub key: Key,
    /// A version asked for by name; `None` means the current one.
    pub version: Option<String>,
    /// Every GET is pinned to this tag; where the listing had none, to that of the first answer.
    pub etag: Option<ETag>,
    /// Size in bytes.
    pub size: u64,
}

/// How reading behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is fetched before it is asked for.
    pub prefetch: Prefetch,
    /// Largest GET of a prefetch, in bytes; rounded up to whole MiB. A file that fits is fetched whole.
    pub part_bytes: u64,
    /// GETs in flight at once, those of waiting readers included.
    pub max_connections: usize,
    /// Bytes of read buffers for the whole daemon: windows, waiting parts, and files kept after reading.
    pub memory_limit: u64,
    /// Whether whole objects are compared with the CRC-64 that the store keeps.
    pub verify: Verify,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            prefetch: Prefetch::Auto,
            part_bytes: 8 << 20,
            max_connections: 64,
            memory_limit: 1 << 30,
            verify: Verify::Crc64,
        }
    }
}

/// What is fetched before it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Prefetch {
    /// Windows ahead of sequential readers, small files whole.
    #[default]
    Auto,
    /// As `Auto`; besides, fetching begins at open, in the order of the opens, as far as memory allows.
    Open,
    /// The bytes asked for and no more.
    Off,
}

/// How whole objects are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verify {
    /// The CRC-64 of every byte that passed through, against the one the store keeps.
    #[default]
    Crc64,
    /// Not at all.
    Off,
}

/// Reads objects through shared buffers. One for the whole daemon.
#[derive(Debug)]
pub struct Reader {
    store: Arc<dyn Store>,
}

impl Reader {
    /// An engine over a store. Must be called, and its futures polled, within a tokio runtime.
    pub fn new(store: Arc<dyn Store>, _options: Options, _metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Reader { store })
    }

    /// Opens an object. Handles of one inode share their buffers; the last one to go frees them.
    pub fn open(self: &Arc<Self>, object: Object) -> File {
        File { reader: self.clone(), object }
    }
}

/// An open object. Reads may run at the same time and at any offset.
#[derive(Debug)]
pub struct File {
    reader: Arc<Reader>,
    object: Object,
}

impl File {
    /// Reads up to `len` bytes at `offset`; fewer only at the end of the object, none past it.
    ///
    /// Ready on the first poll when the bytes are in a buffer.
    pub async fn read(&self, offset: u64, len: usize) -> Result<Slice> {
        let range = ByteRange::at(offset, len as u64).intersect(ByteRange::new(0, self.object.size));
        if range.is_empty() {
            return Ok(Slice(Bytes::new()));
        }
        let request = GetRequest::new(self.object.key.clone()).range(range).if_match(self.object.etag.clone());
        let mut body = self.reader.store.get(request).await?.body;
        let mut bytes = Vec::with_capacity(range.len() as usize);
        while let Some(chunk) = body.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Slice(bytes.into()))
    }
}

/// Bytes of an object, held in the buffer they arrived in for as long as this lives.
#[derive(Debug)]
pub struct Slice(Bytes);

impl std::ops::Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
