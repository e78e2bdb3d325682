//! What the answers of one connection share: its bandwidth, the stretches of files that it still has to send, and how
//! it is to end.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use parking_lot::Mutex;

use super::sendfile::Outgoing;
use super::shaping::Pace;

/// What the answers of one connection share.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) pace: Mutex<Pace>,
    pub(super) outgoing: Mutex<Outgoing>,
    ending: AtomicU8,
}

const ENDS_CLEANLY: u8 = 1;
const ENDS_IN_RESET: u8 = 2;

impl Connection {
    /// The connection is about to be cut on purpose.
    pub(super) fn cut(&self, reset: bool) {
        self.ending.store(if reset { ENDS_IN_RESET } else { ENDS_CLEANLY }, Relaxed);
    }

    /// Whether the connection is to be closed by a reset.
    pub(super) fn ends_in_reset(&self) -> bool {
        self.ending.load(Relaxed) == ENDS_IN_RESET
    }
}
