//! Brings one object into a file: its parts by parallel requests, each written where it lies as it arrives.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::parts::Parts;
use crate::base::crc64::Crc64;
use crate::base::{ByteRange, ETag, Key, Timestamp};
use crate::config::{Problem, Result};
use crate::files::Landing;
use crate::store::{Expected, GetRequest, Store};

/// What is written at once.
const WRITE_BYTES: usize = 256 << 10;

/// The version of an object that is wanted.
#[derive(Clone, Debug)]
pub(in crate::app::commands) struct ObjectVersion {
    pub(in crate::app::commands) key: Key,
    pub(in crate::app::commands) version: Option<String>,
    pub(in crate::app::commands) etag: Option<ETag>,
    pub(in crate::app::commands) size: u64,
    pub(in crate::app::commands) modified: Option<Timestamp>,
}

impl ObjectVersion {
    /// A request for these bytes of it.
    pub(in crate::app::commands) fn request(&self, range: ByteRange) -> GetRequest {
        let expected = Expected { size: self.size, last_modified: self.modified };
        let whole = GetRequest::new(self.key.clone()).if_match(self.etag.clone()).expected(Some(expected));
        let whole = GetRequest { version: self.version.clone(), ..whole };
        // No range satisfies an object without bytes.
        if range.is_empty() { whole } else { whole.range(range) }
    }
}

/// How objects are fetched, and how far all of them are.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) store: Arc<dyn Store>,
    /// A place for each request that may be in flight.
    pub(super) places: Arc<Semaphore>,
    pub(super) part_bytes: u64,
    /// Bytes that are in files.
    pub(super) done_bytes: AtomicU64,
}

/// Fetches an object into a file that is whole afterwards. Returns its CRC-64, which is the one that the store keeps of
/// it where it keeps one.
pub(super) async fn fetch(fetching: &Arc<Fetching>, wanted: &Arc<ObjectVersion>, landing: &Landing) -> Result<u64> {
    let local = |error: std::io::Error| Problem::failure(format!("the file cannot be written: {error}"));
    let mut parts = Parts::new(wanted.size, fetching.part_bytes);
    if wanted.size > fetching.part_bytes && wanted.etag.is_some() {
        parts = parts.resumed(landing.record().map_err(local)?, landing.file()).map_err(local)?;
    }
    let reserving = tokio::task::spawn_blocking(landing.reserving(wanted.size).map_err(local)?);
    fetching.done_bytes.fetch_add(parts.done_bytes(), Ordering::Relaxed);
    let (parts, file) = (Arc::new(parts), Arc::new(landing.file().try_clone().map_err(local)?));
    let mut missing = parts.missing();
    if wanted.size == 0 {
        // One request, for a version that is still there.
        missing.push((0, ByteRange::new(0, 0)));
    }
    let mut stored = None;
    let mut tasks = JoinSet::new();
    for (index, range) in missing {
        // Requests begin in the order of the bytes, and a failed one stops those that have not begun.
        let place = fetching.places.clone().acquire_owned().await.map_err(|_| Problem::failure("no place"))?;
        while let Some(ended) = tasks.try_join_next() {
            stored = settle(ended)?.or(stored);
        }
        let (fetching, wanted, parts, file) = (fetching.clone(), wanted.clone(), parts.clone(), file.clone());
        tasks.spawn(async move {
            let _place = place;
            let (checksum, stored) = part(&fetching, &wanted, &file, range).await?;
            if !range.is_empty() {
                parts.came(index, checksum).map_err(local)?;
            }
            Ok(stored)
        });
    }
    while let Some(ended) = tasks.join_next().await {
        stored = settle(ended)?.or(stored);
    }
    reserving.await.map_err(|error| Problem::failure(error.to_string()))?.map_err(local)?;
    let checksum = parts.checksum().ok_or_else(|| Problem::failure("not all of the object came"))?;
    match stored.filter(|stored| *stored != checksum) {
        None => Ok(checksum),
        Some(stored) => Err(Problem::failure(format!(
            "{DAMAGED} (received {checksum}, stored {stored}); what was received is removed: copy it again"
        ))),
    }
}

/// How the sentence about bytes that are not those of the object begins.
const DAMAGED: &str = "the bytes that came do not have the CRC-64 of the object";

/// Whether what has come is not worth going on with.
pub(super) fn is_damaged(problem: &Problem) -> bool {
    problem.sentence.starts_with(DAMAGED)
}

fn settle(ended: std::result::Result<Result<Option<u64>>, tokio::task::JoinError>) -> Result<Option<u64>> {
    ended.map_err(|error| Problem::failure(format!("a request was given up: {error}")))?
}

/// Writes one part. Returns its checksum, and the one that the store keeps of the whole object.
async fn part(
    fetching: &Fetching,
    wanted: &ObjectVersion,
    file: &File,
    range: ByteRange,
) -> Result<(u64, Option<u64>)> {
    let failed = |error: crate::store::Error| Problem::failure(error.to_string());
    let mut answer = fetching.store.get(wanted.request(range)).await.map_err(failed)?;
    let (mut crc, mut at, mut filled) = (Crc64::new(), range.start, 0);
    let most = usize::try_from(range.len()).unwrap_or(WRITE_BYTES).clamp(1, WRITE_BYTES);
    let mut buffer = vec![0; most];
    loop {
        let received = answer.body.read(&mut buffer[filled..]).await.map_err(failed)?;
        filled += received;
        if filled < buffer.len() && received > 0 {
            continue;
        }
        crc.update(&buffer[..filled]);
        file.write_all_at(&buffer[..filled], at)
            .map_err(|error| Problem::failure(format!("the file cannot be written: {error}")))?;
        at += filled as u64;
        fetching.done_bytes.fetch_add(filled as u64, Ordering::Relaxed);
        filled = 0;
        if received == 0 {
            return Ok((crc.finish(), answer.meta.crc64));
        }
    }
}
