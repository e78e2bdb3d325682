//! Multipart uploads under way.

use std::collections::{BTreeMap, VecDeque};

use crate::base::Timestamp;
use crate::emulator::content::{Content, splitmix};
use crate::emulator::options::PutOptions;

/// One part, as last sent.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Part {
    pub(in crate::emulator) content: Content,
    /// Without quotes, upper case.
    pub(in crate::emulator) etag: String,
    pub(in crate::emulator) crc: u64,
    pub(in crate::emulator) modified: Timestamp,
}

/// An upload and the parts it has so far.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Upload {
    pub(in crate::emulator) initiated: Timestamp,
    pub(in crate::emulator) attributes: PutOptions,
    pub(in crate::emulator) parts: BTreeMap<u32, Part>,
}

/// What an upload has become.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct CompletedUpload {
    key: String,
    id: String,
    /// The entity tag of the object, as the answer has it.
    pub(in crate::emulator) etag: String,
    /// The version of the object, if the bucket keeps versions.
    pub(in crate::emulator) version: Option<String>,
}

/// Completed uploads that are remembered.
const MOST_COMPLETED: usize = 1000;

/// The uploads of a bucket, by key and id.
#[derive(Debug, Default)]
pub(in crate::emulator) struct Uploads {
    all: BTreeMap<(String, String), Upload>,
    completed: VecDeque<CompletedUpload>,
    serial: u64,
}

impl Uploads {
    /// Begins an upload and gives back its id.
    pub(in crate::emulator) fn begin(&mut self, key: &str, attributes: PutOptions, now: Timestamp) -> String {
        self.serial += 1;
        let mut state = self.serial ^ 0x7570_6c6f_6164;
        let id = format!("{:016X}{:016X}", splitmix(&mut state), splitmix(&mut state));
        let upload = Upload { initiated: now, attributes, parts: BTreeMap::new() };
        self.all.insert((key.to_owned(), id.clone()), upload);
        id
    }

    pub(in crate::emulator) fn find(&self, key: &str, id: &str) -> Option<&Upload> {
        self.all.get(&(key.to_owned(), id.to_owned()))
    }

    /// Adds or replaces a part; false when there is no such upload.
    pub(in crate::emulator) fn add(&mut self, key: &str, id: &str, number: u32, part: Part) -> bool {
        let upload = self.all.get_mut(&(key.to_owned(), id.to_owned()));
        upload.is_some_and(|upload| {
            upload.parts.insert(number, part);
            true
        })
    }

    pub(in crate::emulator) fn remove(&mut self, key: &str, id: &str) -> Option<Upload> {
        self.all.remove(&(key.to_owned(), id.to_owned()))
    }

    /// Removes an upload that has become an object, and remembers the object.
    pub(in crate::emulator) fn complete(
        &mut self,
        key: &str,
        id: &str,
        etag: &str,
        version: Option<&str>,
    ) -> CompletedUpload {
        self.remove(key, id);
        let (key, id, etag, version) = (key.to_owned(), id.to_owned(), etag.to_owned(), version.map(str::to_owned));
        let made = CompletedUpload { key, id, etag, version };
        self.completed.truncate(MOST_COMPLETED - 1);
        self.completed.push_front(made.clone());
        made
    }

    /// What a completed upload has become.
    pub(in crate::emulator) fn completed(&self, key: &str, id: &str) -> Option<&CompletedUpload> {
        self.completed.iter().find(|completed| completed.key == key && completed.id == id)
    }

    /// Every upload: key, id, upload, by key and then by id.
    pub(in crate::emulator) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Upload)> {
        self.all.iter().map(|((key, id), upload)| (key.as_str(), id.as_str(), upload))
    }

    pub(in crate::emulator) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
