//! How often the keys of a generated bucket were written and deleted, and how that is told in words.

use std::str::FromStr;

/// How the keys of a generated bucket came to be as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Versions of each key, delete markers included; at least 1.
    pub versions: u64,
    /// Versions of the key in the middle of all, where it has more than others.
    pub busiest: u64,
    /// One version in so many is a delete marker; none where this is 0.
    pub deletions: u64,
}

impl History {
    /// So many versions of each key, and no delete marker.
    pub fn of(versions: u64) -> Self {
        History { versions: versions.max(1), busiest: 0, deletions: 0 }
    }
}

impl FromStr for History {
    type Err = String;

    /// Reads `3v`, or `3v+1M` where the key in the middle has a million, either with `/8` behind where one version in
    /// eight is a delete marker.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no history; write the versions of each key as in 3v, more of one key as in 3v+1000000, and \
                 one delete marker in so many as in 3v/8"
            )
        };
        let number = |text: &str| text.parse::<u64>().ok().filter(|&number| number > 0 && number < 1 << 32);
        let (rest, deletions) = match text.split_once('/') {
            Some((rest, deletions)) => (rest, number(deletions).ok_or_else(wrong)?),
            None => (text, 0),
        };
        let (versions, busiest) = match rest.split_once("v+") {
            Some((versions, busiest)) => (versions, number(busiest).ok_or_else(wrong)?),
            None => (rest.strip_suffix('v').ok_or_else(wrong)?, 0),
        };
        Ok(History { versions: number(versions).ok_or_else(wrong)?, busiest, deletions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_read_and_refused_in_words() {
        let history = |versions, busiest, deletions| Ok(History { versions, busiest, deletions });
        for (text, expected) in [
            ("3v", history(3, 0, 0)),
            ("3v/8", history(3, 0, 8)),
            ("1v+1000000", history(1, 1_000_000, 0)),
            ("2v+9/3", history(2, 9, 3)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in ["", "v", "0v", "3", "3v/0", "3v+", "v+3", "3v/x", "99999999999v"] {
            assert!(text.parse::<History>().unwrap_err().contains("3v+1000000"), "{text}");
        }
    }
}
