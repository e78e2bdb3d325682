//! An object as it is kept: bytes, tag, checksums, metadata, and whether an archived one can be read.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::Mutex;

use super::content::Content;
use super::options::{Dialect, PutOptions, StorageClass};
use super::text::hex_upper;
use crate::base::Timestamp;

/// How an object came to be, which listings show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Put,
    Multipart,
    Append,
    Symlink,
}

/// Whether an archived object can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Restore {
    Never,
    /// Readable from `ready` to `end`.
    Asked {
        ready: Timestamp,
        end: Timestamp,
    },
}

/// One version of an object. Clones share bytes and checksum.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) content: Content,
    /// Without quotes, in the case of the OSS dialect.
    pub(super) etag: String,
    /// The MD5, for objects whose tag it is.
    pub(super) md5: Option<[u8; 16]>,
    pub(super) origin: Origin,
    pub(super) modified: Timestamp,
    /// `last_modified` of these has been used up; `symlink_target` is that of a symlink.
    pub(super) attributes: PutOptions,
    pub(super) restore: Restore,
    /// Of this content; shared by all its copies.
    pub(super) crc: Arc<LazyCrc>,
}

/// Files above this size are summed behind the answers, which go without the checksum until it is known.
const SUMMED_AT_ONCE: u64 = 256 << 20;

/// Files are summed one at a time, so that a bucket of large files does not keep the disk from its readers.
static SUMMING: Mutex<()> = Mutex::new(());

/// A checksum that is computed when first asked for.
#[derive(Debug, Default)]
pub(super) struct LazyCrc {
    value: OnceLock<u64>,
    /// Held while the content is read, so that those who ask meanwhile wait for the sum and do not repeat it.
    summing: Mutex<()>,
    is_begun: AtomicBool,
}

impl Object {
    /// An object written in one piece.
    pub(super) fn put(
        content: Content,
        md5: [u8; 16],
        crc: Option<u64>,
        now: Timestamp,
        attributes: PutOptions,
    ) -> Self {
        let origin = if attributes.symlink_target.is_some() { Origin::Symlink } else { Origin::Put };
        Object { md5: Some(md5), origin, ..Object::tagged(content, hex_upper(&md5), crc, now, attributes) }
    }

    /// An object whose tag is not its MD5.
    pub(super) fn tagged(
        content: Content,
        etag: String,
        crc: Option<u64>,
        now: Timestamp,
        attributes: PutOptions,
    ) -> Self {
        Object {
            content,
            etag,
            md5: None,
            origin: Origin::Multipart,
            modified: attributes.last_modified.unwrap_or(now),
            attributes,
            restore: Restore::Never,
            crc: Arc::new(LazyCrc { value: crc.map(OnceLock::from).unwrap_or_default(), ..LazyCrc::default() }),
        }
    }

    /// The size of the content, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.content.len()
    }

    /// What listings tell of the object.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            etag: self.etag.clone(),
            origin: self.origin,
            modified: self.modified,
            size: self.listed_size(),
            storage_class: self.attributes.storage_class,
            restore: self.restore,
        }
    }

    /// The size that listings show: a symlink's is the length of its target's name.
    pub(super) fn listed_size(&self) -> u64 {
        self.attributes.symlink_target.as_ref().map_or_else(|| self.size(), |target| target.len() as u64)
    }

    /// The CRC-64 of the content, computed when first asked for, once for all who ask.
    pub(super) fn crc64(&self) -> io::Result<u64> {
        if let Some(crc) = self.crc.value.get() {
            return Ok(*crc);
        }
        let _only = self.crc.summing.lock();
        if let Some(crc) = self.crc.value.get() {
            return Ok(*crc);
        }
        let crc = self.content.crc64()?;
        Ok(*self.crc.value.get_or_init(|| crc))
    }

    /// The CRC-64 for a header; `None` while a large file is still being summed.
    pub(super) fn shown_crc64(&self) -> io::Result<Option<u64>> {
        if let Some(crc) = self.crc.value.get() {
            return Ok(Some(*crc));
        }
        if self.size() <= SUMMED_AT_ONCE || !self.content.is_file() {
            return self.crc64().map(Some);
        }
        if !self.crc.is_begun.swap(true, Relaxed) {
            let object = self.reopened();
            thread::Builder::new().name("emulator-sum".to_owned()).spawn(move || {
                let _one = SUMMING.lock();
                if let Err(error) = object.crc64() {
                    tracing::warn!(%error, "a file could not be summed");
                }
            })?;
        }
        Ok(None)
    }

    /// Takes its checksum from a cell that others share, or puts it there.
    pub(super) fn share_crc(&mut self, cell: &Arc<LazyCrc>) {
        self.crc = cell.clone();
    }

    /// The same object with its file, if it has one, not yet opened.
    pub(super) fn reopened(&self) -> Self {
        Object { content: self.content.reopened(), ..self.clone() }
    }

    /// The tag in quotes, in the case that the dialect's servers use.
    pub(super) fn quoted_etag(&self, dialect: Dialect) -> String {
        let mut quoted = format!("\"{}\"", self.etag);
        if dialect == Dialect::S3 {
            quoted.make_ascii_lowercase();
        }
        quoted
    }

    /// Whether reading needs no restoring now.
    pub(super) fn is_readable(&self, now: Timestamp) -> bool {
        if !self.attributes.storage_class.is_archive() {
            return true;
        }
        matches!(self.restore, Restore::Asked { ready, end } if ready <= now && now < end)
    }

    /// The `x-oss-restore` header, for objects that were asked to be restored.
    pub(super) fn restore_text(&self, now: Timestamp) -> Option<String> {
        self.restore.text(now)
    }

    /// The type that listings and headers show.
    pub(super) fn type_name(&self) -> &'static str {
        self.origin.name()
    }
}

/// What listings tell of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    /// Without quotes, in the case of the OSS dialect.
    pub(super) etag: String,
    pub(super) origin: Origin,
    pub(super) modified: Timestamp,
    pub(super) size: u64,
    pub(super) storage_class: StorageClass,
    pub(super) restore: Restore,
}

impl Origin {
    /// The type that listings and headers show.
    pub(super) fn name(self) -> &'static str {
        match self {
            Origin::Put => "Normal",
            Origin::Multipart => "Multipart",
            Origin::Append => "Appendable",
            Origin::Symlink => "Symlink",
        }
    }
}

impl Restore {
    /// As headers and listings tell it, once it was asked for.
    pub(super) fn text(self, now: Timestamp) -> Option<String> {
        match self {
            Restore::Asked { ready, .. } if now < ready => Some("ongoing-request=\"true\"".to_owned()),
            Restore::Asked { end, .. } if now < end => {
                Some(format!("ongoing-request=\"false\", expiry-date=\"{}\"", super::time::http_date(end)))
            }
            _ => None,
        }
    }
}

impl StorageClass {
    /// Whether objects of the class must be restored before they are read.
    pub fn is_archive(self) -> bool {
        matches!(self, StorageClass::Archive | StorageClass::ColdArchive | StorageClass::DeepColdArchive)
    }

    /// The class in the words of a dialect.
    pub(super) fn name(self, dialect: Dialect) -> &'static str {
        match (dialect, self) {
            (Dialect::Oss, StorageClass::Standard) => "Standard",
            (Dialect::Oss, StorageClass::InfrequentAccess) => "IA",
            (Dialect::Oss, StorageClass::Archive) => "Archive",
            (Dialect::Oss, StorageClass::ColdArchive) => "ColdArchive",
            (Dialect::Oss, StorageClass::DeepColdArchive) => "DeepColdArchive",
            (Dialect::S3, StorageClass::Standard) => "STANDARD",
            (Dialect::S3, StorageClass::InfrequentAccess) => "STANDARD_IA",
            (Dialect::S3, StorageClass::Archive | StorageClass::ColdArchive) => "GLACIER",
            (Dialect::S3, StorageClass::DeepColdArchive) => "DEEP_ARCHIVE",
        }
    }

    /// Reads the words of a dialect.
    pub(super) fn parse(text: &str, dialect: Dialect) -> Option<Self> {
        let all = [
            StorageClass::Standard,
            StorageClass::InfrequentAccess,
            StorageClass::Archive,
            StorageClass::ColdArchive,
            StorageClass::DeepColdArchive,
        ];
        all.into_iter().find(|class| class.name(dialect) == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Beneath;

    #[test]
    fn who_asks_during_a_sum_waits_for_it_and_reads_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Arc::new(Beneath::open(folder.path()).unwrap());
        // Whoever reads the file fails, for there is none.
        let content = Content::below(tree, "none", 10);
        let object = Object::tagged(content, "tag".to_owned(), None, Timestamp::default(), PutOptions::default());
        let summing = object.crc.summing.lock();
        let waiters: Vec<_> = (0..4).map(|_| object.reopened()).map(|it| thread::spawn(move || it.crc64())).collect();
        object.crc.value.set(7).unwrap();
        drop(summing);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().unwrap(), 7);
        }
        let other = Object::tagged(object.content, "tag".to_owned(), None, Timestamp::default(), PutOptions::default());
        assert!(other.crc64().is_err());
    }
}
