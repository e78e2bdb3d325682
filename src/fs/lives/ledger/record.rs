//! The records of the ledger, and how they are written: a byte for the kind, then its fields.

use crate::base::{ETag, Ino, Timestamp};
use crate::tree::{Kind, Object};

/// One thing that must outlive the process.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Record {
    /// A text under a name; a later one takes its place.
    Note { name: String, text: String },
    /// The kernel has learnt of a directory.
    Directory { ino: Ino, prefix: String, mtime: Option<Timestamp> },
    /// The kernel has forgotten a directory.
    Forgotten { ino: Ino },
    /// A file was opened.
    File { handle: u64, ino: Ino, object: Object },
    /// The number of the request that opens a file or a directory.
    Asked { handle: u64, request: u64 },
    /// The kernel reads this file by itself, under this number.
    Passed { handle: u64, backing: u32 },
    /// A directory was opened.
    Listing { handle: u64, ino: Ino },
    /// Entries of it were given out: behind each its offset, and a hash of its name.
    Given { handle: u64, entries: Vec<(u64, u64)> },
    /// A file or a directory was closed.
    Closed { handle: u64 },
    /// A request that was sent again is under way in so many lives, this one with them.
    UnderWay { request: u64, lives: u32, is_alone: bool },
    /// A request was answered.
    Answered { request: u64 },
}

impl Record {
    /// Appends the record to a buffer.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Record::Note { name, text } => {
                to.push(1);
                put_text(to, name);
                put_text(to, text);
            }
            Record::Directory { ino, prefix, mtime } => {
                to.push(2);
                put(to, ino.0);
                put_text(to, prefix);
                put_time(to, *mtime);
            }
            Record::Forgotten { ino } => {
                to.push(3);
                put(to, ino.0);
            }
            Record::File { handle, ino, object } => {
                to.push(4);
                put(to, *handle);
                put(to, ino.0);
                put_object(to, object);
            }
            Record::Passed { handle, backing } => {
                to.push(5);
                put(to, *handle);
                put(to, u64::from(*backing));
            }
            Record::Listing { handle, ino } => {
                to.push(6);
                put(to, *handle);
                put(to, ino.0);
            }
            Record::Given { handle, entries } => {
                to.push(7);
                put(to, *handle);
                entries.iter().for_each(|(offset, name)| {
                    put(to, *offset);
                    put(to, *name);
                });
            }
            Record::Closed { handle } => {
                to.push(8);
                put(to, *handle);
            }
            Record::Asked { handle, request } => {
                to.push(9);
                put(to, *handle);
                put(to, *request);
            }
            Record::UnderWay { request, lives, is_alone } => {
                to.push(10);
                put(to, *request);
                put(to, u64::from(*lives));
                to.push(u8::from(*is_alone));
            }
            Record::Answered { request } => {
                to.push(11);
                put(to, *request);
            }
        }
    }

    /// Reads a record that takes all of these bytes; `None` where they are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Record> {
        let (&kind, rest) = bytes.split_first()?;
        let mut from = Fields(rest);
        let record = match kind {
            1 => Record::Note { name: from.text()?, text: from.text()? },
            2 => Record::Directory { ino: from.ino()?, prefix: from.text()?, mtime: from.time()? },
            3 => Record::Forgotten { ino: from.ino()? },
            4 => Record::File { handle: from.number()?, ino: from.ino()?, object: from.object()? },
            5 => Record::Passed { handle: from.number()?, backing: u32::try_from(from.number()?).ok()? },
            6 => Record::Listing { handle: from.number()?, ino: from.ino()? },
            7 => Record::Given { handle: from.number()?, entries: from.pairs()? },
            8 => Record::Closed { handle: from.number()? },
            9 => Record::Asked { handle: from.number()?, request: from.number()? },
            10 => Record::UnderWay {
                request: from.number()?,
                lives: u32::try_from(from.number()?).ok()?,
                is_alone: from.byte()? != 0,
            },
            11 => Record::Answered { request: from.number()? },
            _ => return None,
        };
        from.0.is_empty().then_some(record)
    }
}

fn put(to: &mut Vec<u8>, number: u64) {
    to.extend_from_slice(&number.to_le_bytes());
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

fn put_maybe(to: &mut Vec<u8>, text: Option<&str>) {
    to.push(u8::from(text.is_some()));
    put_text(to, text.unwrap_or_default());
}

fn put_time(to: &mut Vec<u8>, time: Option<Timestamp>) {
    to.push(u8::from(time.is_some()));
    let time = time.unwrap_or_default();
    put(to, time.seconds as u64);
    put(to, u64::from(time.nanos));
}

fn put_object(to: &mut Vec<u8>, object: &Object) {
    put_text(to, &object.key);
    put_maybe(to, object.version.as_deref());
    put_maybe(to, object.etag.as_ref().map(ETag::as_str));
    put(to, object.size);
    put_time(to, object.mtime);
    to.push(object.kind as u8);
    put_maybe(to, object.class.as_deref());
    to.push(u8::from(object.stale));
}

/// What is left to read of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn ino(&mut self) -> Option<Ino> {
        self.number().map(Ino)
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }

    fn maybe(&mut self) -> Option<Option<String>> {
        let is_there = self.byte()? != 0;
        let text = self.text()?;
        Some(is_there.then_some(text))
    }

    fn time(&mut self) -> Option<Option<Timestamp>> {
        let is_there = self.byte()? != 0;
        let seconds = self.number()? as i64;
        let nanos = u32::try_from(self.number()?).ok().filter(|&nanos| nanos < 1_000_000_000)?;
        Some(is_there.then_some(Timestamp { seconds, nanos }))
    }

    fn object(&mut self) -> Option<Object> {
        Some(Object {
            key: self.text()?,
            version: self.maybe()?,
            etag: self.maybe()?.and_then(|text| ETag::parse(&text)),
            size: self.number()?,
            mtime: self.time()?,
            kind: match self.byte()? {
                0 => Kind::Normal,
                1 => Kind::Multipart,
                2 => Kind::Appendable,
                3 => Kind::Symlink,
                _ => return None,
            },
            class: self.maybe()?.map(String::into_boxed_str),
            stale: self.byte()? != 0,
        })
    }

    fn pairs(&mut self) -> Option<Vec<(u64, u64)>> {
        let mut pairs = Vec::with_capacity(self.0.len() / 16);
        while !self.0.is_empty() {
            pairs.push((self.number()?, self.number()?));
        }
        Some(pairs)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::fs) fn object(key: &str) -> Object {
        Object {
            key: key.to_owned(),
            version: Some("v".to_owned()),
            etag: ETag::parse("\"0123456789abcdef0123456789abcdef\""),
            size: 1 << 40,
            mtime: Some(Timestamp { seconds: -1, nanos: 5 }),
            kind: Kind::Appendable,
            class: Some("IA".into()),
            stale: true,
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let plain = Object { version: None, etag: None, mtime: None, class: None, stale: false, ..object("k") };
        for record in [
            Record::Note { name: "a".to_owned(), text: "{\"ü\": 1}".to_owned() },
            Record::Directory { ino: Ino(9), prefix: "a//b/".to_owned(), mtime: Some(Timestamp::from_unix(3)) },
            Record::Directory { ino: Ino(u64::MAX), prefix: String::new(), mtime: None },
            Record::Forgotten { ino: Ino(2) },
            Record::File { handle: 7, ino: Ino(3), object: object("a/b") },
            Record::File { handle: 7, ino: Ino(3), object: plain },
            Record::Asked { handle: 7, request: u64::MAX },
            Record::Passed { handle: 7, backing: u32::MAX },
            Record::Listing { handle: 8, ino: Ino(4) },
            Record::Given { handle: 8, entries: vec![(3, 1), (4, u64::MAX)] },
            Record::Given { handle: 8, entries: vec![] },
            Record::Closed { handle: 8 },
            Record::UnderWay { request: 20, lives: u32::MAX, is_alone: true },
            Record::Answered { request: 20 },
        ] {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            assert_eq!(Record::read(&bytes), Some(record.clone()));
            for len in 0..bytes.len() {
                let shorter = Record::read(&bytes[..len]);
                assert!(shorter != Some(record.clone()), "{record:?} cut to {len}");
            }
            bytes.push(0);
            assert_eq!(Record::read(&bytes), None, "{record:?} with a byte behind it");
        }
    }
}
