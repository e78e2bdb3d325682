//! Empty pages that are not the last: some are normal (deleted keys leave them on versioned buckets), rows of them are
//! requested more and more slowly, and a row without end is an error.

use std::time::Duration;

use crate::store::{Error, ErrorKind};

/// Empty pages in a row that are asked for without a pause.
const FREE: u32 = 8;
/// The first pause, which doubles with each page.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause before an empty page is followed.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Empty pages in a row that end a listing: a million deleted names, or four minutes and a half.
const MOST: u32 = 1000;

/// The empty pages that a listing has shown since the last name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct EmptyRow(u32);

impl EmptyRow {
    /// A page has come, with or without names.
    pub(super) fn count(&mut self, names: u64) -> Result<(), Error> {
        self.0 = if names == 0 { self.0 + 1 } else { 0 };
        if self.0 < MOST {
            return Ok(());
        }
        let message = format!(
            "the server has returned {MOST} pages in a row without a name, each with another continuation token; the \
             listing would never end"
        );
        Err(Error::new(ErrorKind::Protocol, message))
    }

    /// How long the next page waits before it is asked for.
    pub(super) fn pause(self) -> Duration {
        match self.0.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            Some(more) => (FIRST_PAUSE * (1 << more.min(16).saturating_sub(1))).min(LONGEST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_slow_down_and_end() {
        let mut row = EmptyRow::default();
        let mut pauses = Vec::new();
        while row.count(0).is_ok() {
            pauses.push(row.pause().as_millis());
        }
        assert_eq!(pauses.len(), 999);
        assert_eq!(pauses[..16], [0, 0, 0, 0, 0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 500, 500]);
        let all: u128 = pauses.iter().sum();
        assert!((120_000..600_000).contains(&all), "{all} ms");
    }

    #[test]
    fn a_name_ends_a_row() {
        let mut row = EmptyRow::default();
        for _ in 0..5 {
            (0..900).for_each(|_| row.count(0).unwrap());
            row.count(1).unwrap();
            assert_eq!(row.pause(), Duration::ZERO);
        }
    }
}
