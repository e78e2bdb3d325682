//! How many bytes may be fetched of files that no program has opened yet: the account of guesses and of their success.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::tuning::Tuning;
use crate::base::Ino;

/// GETs on account at most: those for small files are cheap, and each is looked through when a file is opened.
const MOST_CHARGES: usize = 512;
/// The account of what was fetched for files that no program has opened yet.
#[derive(Default)]
pub(super) struct Credit {
    tuning: Arc<Tuning>,
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
    /// An account on which nothing stands.
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        Credit { tuning, account: Mutex::default() }
    }

    /// The time on the reader's clock, in milliseconds, at which a guess of `since_ms` is written off.
    pub(super) fn written_off_at_ms(&self, since_ms: u64) -> u64 {
        since_ms + self.tuning.guess_write_off_ms
    }

    /// Charges a GET for an object that no program has opened, or refuses where too much waits already for a memory
    /// limit in bytes.
    pub(super) fn charge(&self, ino: Ino, bytes: u64, now_ms: u64, memory_limit: u64) -> bool {
        let mut account = self.account.lock();
        while account.charges.front().is_some_and(|charge| self.written_off_at_ms(charge.at_ms) <= now_ms) {
            let lost = account.charges.pop_front().map_or(0, |charge| charge.bytes);
            account.bytes -= lost;
            account.earned = account.earned.saturating_sub(self.tuning.guess_earned * lost);
        }
        let most_bytes = (memory_limit / self.tuning.guess_memory_share).min(self.tuning.guess_most_bytes);
        account.earned = account.earned.min(most_bytes);
        let limit_bytes = (self.tuning.guess_first_bytes + account.earned).min(most_bytes);
        // The next file is likely to be opened. Those behind it only are if that one is.
        let is_next = account.charges.front().is_none_or(|first| first.ino == ino);
        let is_unproved = !is_next && account.bytes + bytes > self.tuning.guess_unproved_bytes;
        if account.bytes + bytes > limit_bytes || is_unproved || account.charges.len() >= MOST_CHARGES {
            return false;
        }
        account.bytes += bytes;
        account.charges.push_back(Charge { ino, bytes, at_ms: now_ms });
        true
    }

    /// Whether bytes of an object stand on the account.
    pub(super) fn has(&self, ino: Ino) -> bool {
        self.account.lock().charges.iter().any(|charge| charge.ino == ino)
    }

    /// The object was opened.
    pub(super) fn settle(&self, ino: Ino) {
        let mut account = self.account.lock();
        let Account { bytes, earned, charges } = &mut *account;
        charges.retain(|charge| {
            let is_open = charge.ino == ino;
            if is_open {
                *bytes -= charge.bytes;
                *earned += self.tuning.guess_earned * charge.bytes;
            }
            !is_open
        });
    }
}
