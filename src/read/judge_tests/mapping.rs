//! A mapped file as the kernel pages it in (Linux 6.18): a fault on a page that is not there asks for as much as the
//! readahead around it, each stretch of it that is not there by a read of its own; a page that did not come is asked
//! for alone. Programs that map files are traced by what they touch, because the requests depend on the answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::trace::{Act, PAGE, Way};
use crate::base::{ByteRange, Clock, READAHEAD_BYTES, Timestamp};
use crate::read::{File, Options, Passthrough, Prefetch, Reader, Tuning};

/// The pages of one file, each with whether its bytes have come; those that are missing were never asked for.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    pages: HashMap<u64, bool>,
    /// Pages at which the kernel reads on behind what is there.
    marks: HashSet<u64>,
    /// What the kernel has asked for.
    requests: Vec<ByteRange>,
    /// By which way it asks.
    way: Way,
}

impl Mapping {
    /// Nothing of the file was asked for yet.
    pub(super) fn by(way: Way) -> Self {
        Mapping { way, ..Mapping::default() }
    }

    /// A program reads these bytes in order.
    pub(super) async fn touch(&mut self, file: &Arc<File>, size: u64, bytes: ByteRange) {
        for page in bytes.start / PAGE..bytes.end.div_ceil(PAGE) {
            if !self.pages.contains_key(&page) {
                self.read_around(file, size, page).await;
            }
            if self.marks.remove(&page) {
                let next = (page..).find(|page| !self.pages.contains_key(page)).unwrap();
                // The program does not wait for it; here it does.
                self.read_absent(file, size, next).await;
            }
            if !self.pages[&page] {
                let read = ByteRange::at(page * PAGE, PAGE).intersect(ByteRange::new(0, size));
                assert!(self.read(file, read).await, "a single page is never refused");
                self.pages.insert(page, true);
            }
        }
    }

    async fn read_around(&mut self, file: &Arc<File>, size: u64, page: u64) {
        let around = READAHEAD_BYTES / PAGE;
        let first = page.saturating_sub(around / 2);
        let mark = first + around - around / 4;
        if !self.pages.contains_key(&mark) {
            self.marks.insert(mark);
        }
        self.read_absent(file, size, first).await;
    }

    /// Asks for what is not there of as much as the readahead.
    async fn read_absent(&mut self, file: &Arc<File>, size: u64, first: u64) {
        let mut at = first;
        let end = (first + READAHEAD_BYTES / PAGE).min(size.div_ceil(PAGE));
        while at < end {
            let Some(start) = (at..end).find(|page| !self.pages.contains_key(page)) else { return };
            at = (start..end).find(|page| self.pages.contains_key(page)).unwrap_or(end);
            let read = ByteRange::new(start * PAGE, (at * PAGE).min(size));
            let has_come = self.read(file, read).await;
            self.pages.extend((start..at).map(|page| (page, has_come)));
        }
    }

    async fn read(&mut self, file: &Arc<File>, read: ByteRange) -> bool {
        self.requests.push(read);
        super::read(file.clone(), read, self.way).await
    }
}

#[test]
fn the_kernel_has_asked_for_the_same() {
    let recorded = include_str!("traces/rows-by-mapping.requests").lines().map(|line| {
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        ByteRange::at(numbers[0], numbers[1])
    });
    let trace = super::programs::rows_by_mapping();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let requests = runtime.block_on(async {
        let clock = Clock::runtime(Timestamp::from_unix(1_000_000));
        let options = Options { prefetch: Prefetch::Off, passthrough: Passthrough::Off, ..Options::default() };
        let bucket = Arc::new(super::Bucket::new(&trace.files));
        let reader = Reader::with(bucket, options, Tuning::default(), Arc::default(), clock);
        let file = Arc::new(reader.open(super::object(0, &trace.files[0])));
        let mut mapping = Mapping::default();
        for act in &trace.threads[0] {
            if let Act::Touch(_, bytes) = act {
                mapping.touch(&file, trace.files[0].size, *bytes).await;
            }
        }
        mapping.requests
    });
    assert_eq!(requests, recorded.collect::<Vec<_>>());
}
