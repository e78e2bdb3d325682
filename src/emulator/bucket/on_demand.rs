//! The objects of a generated bucket, made as they are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Cursor, Found, ListedVersion, Walk};
use crate::emulator::generator::Generator;
use crate::emulator::object::{Facts, LazyCrc, Object, Origin, Restore};
use crate::emulator::options::{PutOptions, StorageClass};
use crate::emulator::past::GeneratedVersion;

/// Checksums of objects above this size are remembered, because every ranged answer names that of the whole object.
const SLOW_BYTES: u64 = 256 << 10;
/// Checksums remembered at most.
const MOST_KNOWN: usize = 16_384;

/// A generator, and the checksums it has been asked for.
#[derive(Debug)]
pub(super) struct Generated {
    generator: Generator,
    known: Mutex<HashMap<u64, Arc<LazyCrc>>>,
}

impl Generated {
    pub(super) fn new(generator: Generator) -> Self {
        Generated { generator, known: Mutex::default() }
    }

    /// The object of a key.
    pub(super) fn find(&self, key: &str) -> Option<Arc<Object>> {
        let index = self.generator.find(key)?;
        let mut object = object(&self.generator, index);
        if object.size() > SLOW_BYTES {
            let mut known = self.known.lock();
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            object.share_crc(known.entry(index).or_default());
        }
        Some(Arc::new(object))
    }

    /// Whether its keys have versions.
    pub(super) fn has_history(&self) -> bool {
        self.generator.history.is_some()
    }

    /// The newest version of a key.
    pub(super) fn newest(&self, key: &str) -> Found {
        let newest = self.generator.find(key).map(|index| (index, self.generator.versions(index) - 1));
        newest.map_or(Found::Nothing, |(index, nth)| self.made(index, nth))
    }

    /// The version of a key that has this id.
    pub(super) fn version(&self, key: &str, id: &str) -> Found {
        let found = self.generator.find(key).and_then(|index| Some((index, self.generator.nth_of(index, id)?)));
        found.map_or(Found::Nothing, |(index, nth)| self.made(index, nth))
    }

    /// The versions of a key, the newest first, or behind the one that has this id.
    pub(super) fn versions(
        &self,
        key: &str,
        behind: Option<&str>,
        visit: &mut dyn FnMut(ListedVersion) -> Walk,
    ) -> Walk {
        let Some(index) = self.generator.find(key) else { return Walk::On };
        let newer = match behind {
            Some(id) => self.generator.nth_of(index, id).unwrap_or(0),
            None => self.generator.versions(index),
        };
        for nth in (0..newer).rev() {
            let GeneratedVersion { id, modified, is_marker } = self.generator.version(index, nth);
            let facts = || Facts { modified, ..facts(&self.generator.as_of(index, nth), index) };
            let facts = (!is_marker).then(facts);
            match visit(ListedVersion { id, is_latest: false, modified, facts }) {
                Walk::On => {}
                other => return other,
            }
        }
        Walk::On
    }

    fn made(&self, index: u64, nth: u64) -> Found {
        let GeneratedVersion { id, modified, is_marker } = self.generator.version(index, nth);
        if is_marker {
            return Found::Marker(id, modified);
        }
        let generator = self.generator.as_of(index, nth);
        let content = self.generator.version_content(index, nth);
        let object = Object::tagged(content, generator.etag(index), None, modified, PutOptions::default());
        Found::Object(Arc::new(object), Some(id))
    }

    pub(super) fn cursor(&self) -> GeneratedCursor<'_> {
        let mut cursor = GeneratedCursor { generator: &self.generator, index: 0, key: String::new() };
        cursor.stand_at(0);
        cursor
    }
}

fn object(generator: &Generator, index: u64) -> Object {
    let modified = generator.modified(index);
    Object::tagged(generator.content(index), generator.etag(index), None, modified, PutOptions::default())
}

/// Those of [`object`], which tests hold it to.
fn facts(generator: &Generator, index: u64) -> Facts {
    Facts {
        etag: generator.etag(index),
        origin: Origin::Multipart,
        modified: generator.modified(index),
        size: generator.size(index),
        storage_class: StorageClass::default(),
        restore: Restore::Never,
    }
}

/// Walks the keys of a generator.
pub(super) struct GeneratedCursor<'a> {
    generator: &'a Generator,
    index: u64,
    /// Empty past the last.
    key: String,
}

impl GeneratedCursor<'_> {
    fn stand_at(&mut self, index: u64) {
        self.index = index;
        match index < self.generator.count {
            true => self.generator.key_into(index, &mut self.key),
            false => self.key.clear(),
        }
    }
}

impl GeneratedCursor<'_> {
    /// Whether the newest version of the key it stands at is no delete marker.
    fn is_object(&self) -> bool {
        let generator = self.generator;
        generator.history.is_none_or(|_| !generator.version(self.index, generator.versions(self.index) - 1).is_marker)
    }
}

impl Cursor for GeneratedCursor<'_> {
    fn seek(&mut self, least: &str) {
        self.stand_at(self.generator.lower_bound(least));
    }

    fn key(&self) -> Option<&str> {
        Some(self.key.as_str()).filter(|key| !key.is_empty())
    }

    fn object(&self) -> Option<Arc<Object>> {
        self.key().filter(|_| self.is_object()).map(|_| Arc::new(object(self.generator, self.index)))
    }

    fn facts(&self) -> Option<Facts> {
        self.key().filter(|_| self.is_object()).map(|_| facts(self.generator, self.index))
    }

    fn advance(&mut self) {
        self.stand_at(self.index + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::generator::GeneratorKind;

    #[test]
    fn facts_are_those_of_the_object() {
        let generator = Generator::new(GeneratorKind::Uuid, 100).seeded(7);
        for index in [0, 42, 99] {
            assert_eq!(facts(&generator, index), object(&generator, index).facts());
        }
    }
}
