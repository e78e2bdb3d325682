//! Whether an object must be compared with the checksum that the store keeps before programs see its bytes
//! ([`Options::proven_from`](super::Options)).

use std::sync::atomic::{AtomicU8, Ordering};

/// How an object stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Standing {
    /// It is read as it comes.
    Free,
    /// No byte may be handed out yet.
    Wanted,
    /// What is held of it may be handed out; nothing more may come from anywhere but the bucket.
    Settled,
}

/// Whether an object must be proved before programs see its bytes.
#[derive(Debug)]
pub(super) struct ProofState {
    standing: AtomicU8,
    /// Held by the read that proves it.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl ProofState {
    /// Of an object of this size, where those of so many bytes or more must be proved.
    pub(super) fn of(size: u64, proven_from: Option<u64>) -> ProofState {
        let is_wanted = size > 0 && proven_from.is_some_and(|from| size >= from);
        let standing = if is_wanted { Standing::Wanted } else { Standing::Free };
        ProofState { standing: AtomicU8::new(standing as u8), turn: tokio::sync::Mutex::default() }
    }

    /// Whether bytes must be held back.
    pub(super) fn is_wanted(&self) -> bool {
        self.standing.load(Ordering::Acquire) == Standing::Wanted as u8
    }

    /// Whether all that is fetched from now on must come from the bucket.
    pub(super) fn is_settled(&self) -> bool {
        self.standing.load(Ordering::Acquire) == Standing::Settled as u8
    }

    /// Bytes may be handed out from now on.
    pub(super) fn settle(&self) {
        self.standing.store(Standing::Settled as u8, Ordering::Release);
    }
}
