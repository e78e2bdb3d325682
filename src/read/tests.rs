//! Tests of the room as a whole: reads in, exact bytes and GETs out, over a store in memory.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::store::memory::{MemoryStore, Request};

const MIB: u64 = 1 << 20;

/// Bytes that differ at every offset that matters.
fn content(size: u64, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(size as usize + 8);
    while bytes.len() < size as usize {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size as usize);
    bytes.into()
}

/// A bucket in memory and a reader over it.
struct Bed {
    store: Arc<MemoryStore>,
    metrics: Arc<Metrics>,
    reader: Arc<Reader>,
}

impl Bed {
    fn new(options: Options) -> Self {
        Bed::over(MemoryStore::new().latency(Duration::from_millis(20)).chunk_bytes(256 << 10), options)
    }

    fn over(store: MemoryStore, options: Options) -> Self {
        let (store, metrics) = (Arc::new(store), Arc::new(Metrics::default()));
        let reader = Reader::new(store.clone(), options, metrics.clone());
        Bed { store, metrics, reader }
    }

    fn object(&self, key: &str, bytes: &Bytes) -> Object {
        let meta = self.store.put(key, bytes.clone());
        let ino = Ino(crate::store::crc64::crc64(key.as_bytes()) ^ crate::store::crc64::crc64(bytes));
        Object { ino, key: Key::new(key), version: None, etag: meta.etag, size: bytes.len() as u64 }
    }

    fn gets(&self) -> Vec<ByteRange> {
        let whole = ByteRange::new(0, u64::MAX);
        let range = |request| match request {
            Request::Get { range, .. } => Some(range.unwrap_or(whole)),
            _ => None,
        };
        self.store.take_requests().into_iter().filter_map(range).collect()
    }

    fn held(&self) -> u64 {
        self.metrics.value(Metric::BufferBytes)
    }
}

async fn read_through(file: &File, bytes: &Bytes, step: usize) {
    let mut at = 0;
    loop {
        let slice = file.read(at as u64, step).await.unwrap();
        assert!(slice[..] == bytes[at..(at + step).min(bytes.len())], "wrong bytes at {at}");
        at += slice.len();
        if slice.is_empty() {
            return assert_eq!(at, bytes.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sequential_reader_fetches_each_byte_once_and_the_next_none() {
    for step in [64 << 10, 1 << 20, (1 << 20) + 4096] {
        let bed = Bed::new(Options::default());
        let bytes = content(37 * MIB + 12345, 1);
        let object = bed.object("a", &bytes);
        read_through(&bed.reader.open(object.clone()), &bytes, step).await;
        let fetched: u64 = bed.gets().iter().map(|range| range.len()).sum();
        assert_eq!(fetched, bytes.len() as u64, "step {step}");
        assert_eq!(bed.metrics.value(Metric::Verified), 1);
        read_through(&bed.reader.open(object), &bytes, step).await;
        assert_eq!(bed.gets(), [], "the second reading of a file costs no request");
    }
}
