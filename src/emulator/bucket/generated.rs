//! The objects of a generated bucket, made as they are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Cursor;
use crate::emulator::generator::Generator;
use crate::emulator::object::{LazyCrc, Object};
use crate::emulator::options::PutOptions;

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

    pub(super) fn cursor(&self) -> GeneratedCursor<'_> {
        let mut cursor = GeneratedCursor { generator: &self.generator, index: 0, key: None };
        cursor.stand_at(0);
        cursor
    }
}

fn object(generator: &Generator, index: u64) -> Object {
    let modified = generator.modified(index);
    Object::tagged(generator.content(index), generator.etag(index), None, modified, PutOptions::default())
}

/// Walks the keys of a generator.
pub(super) struct GeneratedCursor<'a> {
    generator: &'a Generator,
    index: u64,
    key: Option<String>,
}

impl GeneratedCursor<'_> {
    fn stand_at(&mut self, index: u64) {
        self.index = index;
        self.key = (index < self.generator.count).then(|| self.generator.key(index));
    }
}

impl Cursor for GeneratedCursor<'_> {
    fn seek(&mut self, least: &str) {
        self.stand_at(self.generator.lower_bound(least));
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn object(&self) -> Option<Arc<Object>> {
        self.key.is_some().then(|| Arc::new(object(self.generator, self.index)))
    }

    fn advance(&mut self) {
        self.stand_at(self.index + 1);
    }
}
