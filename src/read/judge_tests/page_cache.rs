//! The kernel's page cache of files that it reads by the bridge: it asks for no byte twice.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::base::{ByteRange, Stretches};

/// What the kernel has asked for of each file, and what has come of that.
#[derive(Default)]
pub(super) struct PageCache {
    files: Mutex<HashMap<usize, [Stretches; 2]>>,
    comes: Notify,
}

impl PageCache {
    /// What the kernel asks for of these bytes: nothing of those at the beginning for which it has done so before.
    pub(super) fn asks_for(&self, file: usize, range: ByteRange) -> ByteRange {
        let mut files = self.files.lock();
        let [asked, _] = files.entry(file).or_default();
        let start = asked.around(range.start).map_or(range.start, |stretch| stretch.end.min(range.end));
        asked.add(range);
        ByteRange::new(start, range.end)
    }

    /// These bytes have come.
    pub(super) fn came(&self, file: usize, range: ByteRange) {
        self.files.lock().entry(file).or_default()[1].add(range);
        self.comes.notify_waiters();
    }

    /// Waits for bytes that were asked for before.
    pub(super) async fn wait(&self, file: usize, range: ByteRange) {
        loop {
            let comes = self.comes.notified();
            if self.files.lock().entry(file).or_default()[1].has_all(range) {
                return;
            }
            comes.await;
        }
    }
}
