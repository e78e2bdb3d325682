//! How reads are counted: by where their bytes were, how long they took, how large they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Reader, Slice};
use crate::metrics::{Distribution, Metric, Metrics};
use crate::store::Result;

/// Where the bytes of a read were when it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// All of them were in buffers.
    Buffer,
    /// Some of them were on their way, and the others in buffers.
    UnderWay,
    /// Some of them were nowhere, and a request was made for them.
    Store,
}

/// A read that waits, until dropped.
pub(super) struct WaitingRead<'a> {
    metrics: &'a Arc<Metrics>,
    of_object: &'a AtomicUsize,
}

impl<'a> WaitingRead<'a> {
    /// Begins to wait: the bytes are not all in buffers. `of_object` counts the reads of the object that wait.
    pub(super) fn begin(metrics: &'a Arc<Metrics>, of_object: &'a AtomicUsize, source: &mut Source) -> Self {
        if *source == Source::Buffer {
            *source = Source::UnderWay;
        }
        metrics.add(Metric::ReadsWaiting, 1);
        of_object.fetch_add(1, Ordering::Relaxed);
        WaitingRead { metrics, of_object }
    }
}

impl Drop for WaitingRead<'_> {
    fn drop(&mut self) {
        self.metrics.subtract(Metric::ReadsWaiting, 1);
        self.of_object.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader {
    /// Counts a read that has ended.
    pub(super) fn count_read(&self, read: &Result<Slice>, source: Source, took: Duration) {
        let metrics = &self.metrics;
        metrics.add(Metric::Reads, 1);
        let Ok(slice) = read else { return metrics.add(Metric::ReadErrors, 1) };
        let bytes = slice.len() as u64;
        metrics.add(Metric::BytesRead, bytes);
        let (time, size) = match source {
            Source::Buffer => (Distribution::BufferedReadTime, Distribution::BufferedReadSize),
            Source::UnderWay => (Distribution::AwaitedReadTime, Distribution::AwaitedReadSize),
            Source::Store => (Distribution::FetchedReadTime, Distribution::FetchedReadSize),
        };
        tracing::debug!(bytes, ?source, took_us = took.as_micros() as u64, "read");
        metrics.took(time, took);
        metrics.measured(size, bytes);
        match source {
            // Past the end there is nothing to have.
            Source::Buffer if bytes == 0 => {}
            Source::Buffer => metrics.add(Metric::ReadsBuffered, 1),
            Source::UnderWay | Source::Store => self.pipe.waited(),
        }
    }
}
