//! What happens after bytes that were handed out were found wrong: everything that holds them drops them, and the
//! wrong ranges are searched.
//!
//! The order matters. First the part of the program that opens files is told not to believe what the kernel holds
//! ([`WrongBytes::distrust`]); then reads begin to fail and nothing that had come is handed out any more; last the
//! kernel's pages are dropped ([`WrongBytes::discard`]). So no open that begins after a read has failed sees a wrong
//! byte, and no read under way puts one back.
//!
//! The store keeps a checksum of the whole alone. Which bytes were wrong is found by fetching the object again in other
//! GETs and comparing each stretch with its checksum of the first time: that tells an accident on the way from an
//! object that is stored wrongly.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::Instrument;

use super::Reader;
use super::inode::{Evidence, Inode};
use super::integrity::WrongBytes;
use crate::base::ByteRange;
use crate::base::crc64::{Crc64, combine};
use crate::metrics::Metric;
use crate::store::{Error, ErrorKind, GetRequest, Priority, Result, Traffic};

/// Objects up to this size, in bytes, are fetched again to find what was wrong.
const MOST_SEARCHED_BYTES: u64 = 64 << 30;
/// The GETs of a search: of a size that no window is cut into, so that they begin and end elsewhere.
const SEARCH_GET_BYTES: u64 = 5 << 20;
/// So much is received at once, in bytes.
const RECEIVE_BYTES: usize = 256 << 10;
/// No search follows another sooner: a store whose checksums are all wrong would be read twice.
const BETWEEN_SEARCHES: Duration = Duration::from_secs(60);
/// Ranges named in one line of the log, at most.
const MOST_NAMED: usize = 8;

/// What a search has found.
#[derive(Clone, PartialEq, Debug)]
struct Finding {
    /// Ranges that came otherwise the second time.
    ranges: Vec<ByteRange>,
    /// Whether all of the object was right then.
    is_right_now: bool,
}

impl Reader {
    /// Sets the listener for wrong bytes; the first one stays.
    pub fn tell_of_wrong_bytes(&self, whom: Arc<dyn WrongBytes>) {
        let _ = self.wrong_bytes.set(whom);
    }

    /// Some bytes of an object that have come are wrong.
    pub(super) fn found_corrupt(self: &Arc<Self>, inode: &Arc<Inode>, evidence: Evidence) {
        let ino = inode.object.ino;
        self.metrics.add(Metric::VerifyFailures, 1);
        self.known_good.lock().pop(&ino);
        self.doubt_source_of(ino);
        let told = self.wrong_bytes.get();
        if let Some(told) = told {
            told.distrust(ino);
        }
        self.drop_from_disk(inode);
        let condemned = inode.condemn();
        if condemned.is_broken {
            self.disown(inode);
        }
        condemned.parts.iter().for_each(|part| part.drop_out());
        // Giving memory back takes milliseconds, and nothing of this may wait for it.
        if let Some(told) = told {
            told.discard(ino);
        }
        drop(condemned.parts);
        let (key, size) = (inode.object.key.as_str(), inode.object.size);
        tracing::warn!(
            key,
            size,
            range = evidence.contradiction.map(tracing::field::debug),
            "the object's bytes do not match the checksum in the store: they are dropped from memory, and the next \
             open fetches them again"
        );
        if let Some(range) = evidence.contradiction {
            self.metrics.add(Metric::WrongRanges, 1);
            tracing::warn!(key, ?range, "a range that was received twice had different bytes each time");
        } else if condemned.is_broken {
            self.search(inode, evidence);
        }
    }

    /// The next open of the object begins anew.
    fn disown(&self, inode: &Arc<Inode>) {
        let mut inodes = self.inodes.lock();
        if inodes.get(&inode.object.ino).is_some_and(|known| Arc::ptr_eq(known, inode)) {
            inodes.remove(&inode.object.ino);
        }
    }

    /// Finds out, in the background, which bytes were wrong.
    fn search(self: &Arc<Self>, inode: &Arc<Inode>, evidence: Evidence) {
        let (key, size) = (inode.object.key.as_str(), inode.object.size);
        if evidence.pass.is_empty() || size > MOST_SEARCHED_BYTES || !self.may_search_now() {
            return tracing::info!(
                key,
                size,
                "the wrong bytes are not searched for: there are no checksums of ranges, the object is too large, or \
                 another search was too recent"
            );
        }
        let (reader, inode) = (self.clone(), inode.clone());
        let span = tracing::debug_span!("search", ino = inode.object.ino.0, key = inode.object.key.as_str());
        let searching = async move {
            let found = reader.compare_again(&inode, &evidence).await;
            reader.report_finding(&inode, found);
        };
        self.runtime.spawn(searching.instrument(span));
    }

    fn may_search_now(&self) -> bool {
        // Nothing has been searched for at 0.
        let now_ms = self.now_ms().max(1);
        let is_due = |last: u64| {
            (last == 0 || now_ms.saturating_sub(last) >= BETWEEN_SEARCHES.as_millis() as u64).then_some(now_ms)
        };
        self.last_corrupt_search_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_ok()
    }

    /// Fetches the object again and compares it, stretch by stretch, with what had come.
    async fn compare_again(&self, inode: &Inode, evidence: &Evidence) -> Result<Finding> {
        let mut comparison = Comparison::new(evidence.pass.stretches());
        let mut room = vec![MaybeUninit::<u8>::uninit(); RECEIVE_BYTES];
        let size = inode.object.size;
        let step = SEARCH_GET_BYTES.min(size.div_ceil(2));
        let mut at = 0;
        while at < size {
            let want = ByteRange::new(at, size.min(at + step));
            let request = GetRequest {
                key: inode.object.key.clone(),
                version: inode.object.version.clone(),
                range: (want.len() < size).then_some(want),
                if_match: inode.pin(&self.tags),
                expected: Some(inode.expected()),
                priority: Priority::Background,
                traffic: Traffic::Doubted,
                failing_for: Duration::ZERO,
            };
            let answer = self.store.get(request).await?;
            self.accept(inode, &answer.meta).await?;
            let mut body = answer.body;
            while at < want.end {
                let most = room.len().min(usize::try_from(want.end - at).unwrap_or(usize::MAX));
                let piece = body.receive(&mut room[..most]).await?;
                if piece.is_empty() {
                    return Err(inode.error(ErrorKind::Network, "the answer ended early"));
                }
                at += piece.len() as u64;
                comparison.take(piece);
            }
        }
        Ok(comparison.finding(evidence.expected))
    }

    fn report_finding(&self, inode: &Inode, found: std::result::Result<Finding, Error>) {
        let key = inode.object.key.as_str();
        match found {
            Err(error) => tracing::warn!(key, %error, "the wrong bytes could not be determined"),
            Ok(Finding { ranges, is_right_now: false }) if ranges.is_empty() => tracing::error!(
                key,
                "the object was received with the same bytes again: the checksum in the store does not belong to the \
                 stored bytes"
            ),
            Ok(Finding { ranges, is_right_now }) => {
                self.metrics.add(Metric::WrongRanges, ranges.len() as u64);
                let (named, more) = (&ranges[..ranges.len().min(MOST_NAMED)], ranges.len().saturating_sub(MOST_NAMED));
                let now =
                    if is_right_now { "it matches its checksum now" } else { "it still does not match its checksum" };
                tracing::error!(key, ranges = ?named, more, "ranges of the object were different when it was fetched \
                                                             again: {now}");
            }
        }
    }
}

/// Bytes that come in order, compared with the checksums of stretches that follow each other.
struct Comparison {
    stretches: std::vec::IntoIter<(ByteRange, u64)>,
    now: Option<(ByteRange, u64)>,
    crc: Crc64,
    /// Bytes of the present stretch that are in.
    taken: u64,
    /// The checksum of those before it.
    whole: u64,
    differing: Vec<ByteRange>,
}

impl Comparison {
    fn new(stretches: Vec<(ByteRange, u64)>) -> Self {
        let mut stretches = stretches.into_iter();
        let now = stretches.next();
        Comparison { stretches, now, crc: Crc64::new(), taken: 0, whole: 0, differing: Vec::new() }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some((range, known)) = self.now.filter(|_| !bytes.is_empty()) {
            let missing = usize::try_from(range.len() - self.taken).unwrap_or(usize::MAX);
            let (these, rest) = bytes.split_at(bytes.len().min(missing));
            self.crc.update(these);
            self.taken += these.len() as u64;
            bytes = rest;
            if self.taken < range.len() {
                return;
            }
            let crc = std::mem::take(&mut self.crc).finish();
            self.whole = combine(self.whole, crc, range.len());
            if crc != known {
                self.note(range);
            }
            (self.now, self.taken) = (self.stretches.next(), 0);
        }
    }

    fn note(&mut self, range: ByteRange) {
        match self.differing.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.differing.push(range),
        }
    }

    fn finding(self, expected: u64) -> Finding {
        Finding { ranges: self.differing, is_right_now: self.whole == expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc64::crc64;

    #[test]
    fn what_differs_is_named_and_neighbours_are_one() {
        let bytes: Vec<u8> = (0..200).collect();
        let stretches = |bytes: &[u8]| {
            let ranges = [(0, 20), (20, 50), (50, 60), (60, 200)].map(|(start, end)| ByteRange::new(start, end));
            ranges.map(|range| (range, crc64(&bytes[range.start as usize..range.end as usize]))).to_vec()
        };
        let compare = |wrong: &[usize], steps: usize, expected: u64| {
            let mut came = bytes.clone();
            wrong.iter().for_each(|at| came[*at] ^= 1);
            let mut comparison = Comparison::new(stretches(&came));
            bytes.chunks(steps).for_each(|piece| comparison.take(piece));
            comparison.finding(expected)
        };
        let right = crc64(&bytes);
        let found = |ranges: &[(u64, u64)], is_right_now| Finding {
            ranges: ranges.iter().map(|(start, end)| ByteRange::new(*start, *end)).collect(),
            is_right_now,
        };
        for steps in [1, 7, 30, 1000] {
            assert_eq!(compare(&[], steps, right ^ 1), found(&[], false));
            assert_eq!(compare(&[19], steps, right), found(&[(0, 20)], true));
            assert_eq!(compare(&[20, 59, 199], steps, right), found(&[(20, 200)], true));
            assert_eq!(compare(&[0, 60], steps, right ^ 1), found(&[(0, 20), (60, 200)], false));
        }
    }
}
