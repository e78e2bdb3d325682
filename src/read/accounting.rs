//! How reads are counted: by where their bytes were, how long they took, how large they were.

use std::time::Duration;

use super::inode::Inode;
use super::{Reader, Slice};
use crate::metrics::{Distribution, Metric};
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
    reader: &'a Reader,
    inode: &'a Inode,
}

impl<'a> WaitingRead<'a> {
    /// Begins to wait: the bytes are not all in buffers.
    pub(super) fn begin(reader: &'a Reader, inode: &'a Inode, source: &mut Source) -> Self {
        if *source == Source::Buffer {
            *source = Source::UnderWay;
        }
        reader.metrics.add(Metric::ReadsWaiting, 1);
        reader.right_of_way.wait_begins(&inode.waits);
        WaitingRead { reader, inode }
    }
}

impl Drop for WaitingRead<'_> {
    fn drop(&mut self) {
        self.reader.metrics.subtract(Metric::ReadsWaiting, 1);
        self.reader.right_of_way.wait_ends(&self.inode.waits);
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
