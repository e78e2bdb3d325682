//! How long the first page of a listing has before a single name is asked for beside it.
//!
//! Most directories are small, and their listing answers for every name that is looked up in them. It takes as long as
//! those before it did, so that much and a half is waited for. A full page of a large directory takes several times as
//! long; then a name that is asked for comes sooner.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Tuning, ms};

/// How long small directories took to list, in microseconds; the latest counts a quarter. 0 while none was seen.
#[derive(Debug, Default)]
pub(super) struct HeadStart(AtomicU64);

impl HeadStart {
    /// A directory was listed in one page.
    pub(super) fn listed(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let usual = self.0.load(Ordering::Relaxed);
        let usual = if usual == 0 { took } else { usual - usual / 4 + took / 4 };
        self.0.store(usual.max(1), Ordering::Relaxed);
    }

    /// How long a listing that has just begun is waited for.
    pub(super) fn length(&self, tuning: &Tuning) -> Duration {
        let usual = Duration::from_micros(self.0.load(Ordering::Relaxed));
        (usual + usual / 2).min(ms(tuning.most_head_start_ms)).max(ms(tuning.head_start_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_half_as_long_again_as_small_directories_took() {
        let (head_start, tuning) = (HeadStart::default(), Tuning::default());
        let after = |took: &[u64]| {
            took.iter().for_each(|took| head_start.listed(ms(*took)));
            head_start.length(&tuning)
        };
        assert_eq!(after(&[]), ms(10));
        assert_eq!(after(&[20]), ms(30));
        assert_eq!(after(&[40]), Duration::from_micros(37_500));
        assert_eq!(after(&[3000]), ms(tuning.most_head_start_ms), "a slow one delays little");
        assert_eq!(after(&[1; 100]), ms(10));
    }
}
