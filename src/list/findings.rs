//! Which rules a server was seen to break, and how it is listed therefore.
//!
//! The protocol promises byte order, and listing by many requests at once depends on it. Every page is checked; what
//! one listing finds out is used by all that share the [`Findings`], for every prefix of the server.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How far a server's listings can be relied on, from the best to the least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Trust {
    /// Keys come in byte order, and from any given key on.
    #[default]
    Full = 0,
    /// Keys come in byte order, but only from the beginning on: one page after the other.
    NoStartAfter = 1,
    /// Keys come in another order, or in none: nothing is settled before the last page.
    NoOrder = 2,
}

impl Trust {
    /// One word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Trust::Full => "byte-order",
            Trust::NoStartAfter => "no-start-after",
            Trust::NoOrder => "no-order",
        }
    }

    /// What is wrong with the server and what follows, for people; `None` where all is well.
    pub fn sentence(self) -> Option<&'static str> {
        match self {
            Trust::Full => None,
            Trust::NoStartAfter => {
                Some("the server does not support start-after: listings are fetched page by page, which takes longer")
            }
            Trust::NoOrder => Some(
                "the server does not list each key once and in byte order: listings are fetched page by page, and a \
                 directory is known only at the end of its listing, which takes longer",
            ),
        }
    }
}

/// Which rules one server was seen to break. See the head of this module.
#[derive(Debug, Default)]
pub struct Findings {
    trust: AtomicU8,
    epoch: AtomicU64,
}

impl Findings {
    /// How far listings can be relied on, as is known so far.
    pub fn trust(&self) -> Trust {
        match self.trust.load(Ordering::Acquire) {
            0 => Trust::Full,
            1 => Trust::NoStartAfter,
            _ => Trust::NoOrder,
        }
    }

    /// Grows with each page that breaks the rules. Listings going on begin anew then, and what was settled before is
    /// not to be believed.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A page has broken the rules, which a listing has found that knows of this epoch; nothing new if there is
    /// another.
    pub(super) fn doubt(&self, epoch: u64) {
        let _ = self.epoch.compare_exchange(epoch, epoch + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// A listing below a prefix has shown that the server can be relied on no further than this. The log says so once.
    pub(super) fn lower(&self, trust: Trust, prefix: &str) {
        let before = self.trust.fetch_max(trust as u8, Ordering::AcqRel);
        if before < trust as u8
            && let Some(sentence) = trust.sentence()
        {
            tracing::warn!(prefix, "{sentence}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_only_falls() {
        let findings = Findings::default();
        assert_eq!(findings.trust(), Trust::Full);
        for (lowered, expected) in [
            (Trust::Full, Trust::Full),
            (Trust::NoStartAfter, Trust::NoStartAfter),
            (Trust::Full, Trust::NoStartAfter),
            (Trust::NoOrder, Trust::NoOrder),
            (Trust::NoStartAfter, Trust::NoOrder),
        ] {
            findings.lower(lowered, "");
            assert_eq!(findings.trust(), expected, "after {lowered:?}");
        }
    }

    #[test]
    fn one_doubt_makes_one_epoch() {
        let findings = Findings::default();
        findings.doubt(0);
        findings.doubt(0);
        assert_eq!(findings.epoch(), 1, "two listings have found the same");
        findings.doubt(1);
        assert_eq!((findings.epoch(), findings.trust()), (2, Trust::Full));
    }
}
