//! How much may be fetched for files that nobody has opened yet: the account of guesses, and what they have earned.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::base::Ino;

/// A guess is written off when nobody has opened it for so long, in milliseconds.
pub(super) const WRITE_OFF_MS: u64 = 60_000;
/// GETs on account at most: those for small files are cheap, and each is looked through when a file is opened.
const MOST_CHARGES: usize = 512;
/// Bytes on account at most before any guess came true: at 1.5 GB/s, what comes in the 20 ms until the first byte of
/// a file that was opened unguessed.
const FIRST_BYTES: u64 = 32 << 20;
/// Each byte that was opened earns credit for so many, each that was not takes it away.
const EARNED: u64 = 2;
/// Bytes on account at most, however much memory there is; the part of it that they may be.
const MOST_BYTES: u64 = 1 << 30;
const MEMORY_SHARE: u64 = 4;

/// Account of what was fetched for files that nobody has opened yet.
#[derive(Default)]
pub(super) struct Credit {
    account: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    bytes: u64,
    /// Credit beyond the first, in bytes.
    earned: u64,
    /// In the order in which they were made.
    charges: VecDeque<Charge>,
}

struct Charge {
    ino: Ino,
    bytes: u64,
    at_ms: u64,
}

impl Credit {
    /// Charges a GET for an object that nobody has opened, or refuses where too much waits already for a memory limit in
    /// bytes.
    pub(super) fn charge(&self, ino: Ino, bytes: u64, now_ms: u64, memory_limit: u64) -> bool {
        let mut account = self.account.lock();
        while account.charges.front().is_some_and(|charge| charge.at_ms + WRITE_OFF_MS <= now_ms) {
            let lost = account.charges.pop_front().map_or(0, |charge| charge.bytes);
            account.bytes -= lost;
            account.earned = account.earned.saturating_sub(EARNED * lost);
        }
        let most_bytes = (memory_limit / MEMORY_SHARE).min(MOST_BYTES);
        account.earned = account.earned.min(most_bytes);
        let limit_bytes = (FIRST_BYTES + account.earned).min(most_bytes);
        if account.bytes + bytes > limit_bytes || account.charges.len() >= MOST_CHARGES {
            return false;
        }
        account.bytes += bytes;
        account.charges.push_back(Charge { ino, bytes, at_ms: now_ms });
        true
    }

    /// The object was opened.
    pub(super) fn settle(&self, ino: Ino) {
        let mut account = self.account.lock();
        let Account { bytes, earned, charges } = &mut *account;
        charges.retain(|charge| {
            let is_open = charge.ino == ino;
            if is_open {
                *bytes -= charge.bytes;
                *earned += EARNED * charge.bytes;
            }
            !is_open
        });
    }
}
