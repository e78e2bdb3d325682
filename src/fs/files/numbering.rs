//! Names that carry a number, as the shards of a model or of a table do. Pure.
//!
//! `model-00001-of-00038.safetensors` says by itself that 37 others belong to it; `train.7.tar` and `part_12.parquet`
//! say only in which order they are meant.

/// A name with its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Numbered<'a> {
    /// What stands before the number.
    pub(super) prefix: &'a str,
    /// The number as it is written: digits alone, at most [`MOST_DIGITS`].
    digits: &'a str,
    /// What stands behind it.
    pub(super) suffix: &'a str,
    /// The number in the name.
    pub(super) number: u64,
    /// Of how many it is one, where the name says that.
    pub(super) total: Option<u64>,
}

/// A longer number is a hash or a time, and no place in an order.
const MOST_DIGITS: usize = 12;

/// What stands between the number of a shard and how many there are.
const OF: &str = "-of-";

impl<'a> Numbered<'a> {
    /// The number in a name: that before `-of-` and another number, else the last one, of the extension only where it
    /// has nothing else. `None` where there is none.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        Self::shard(name).or_else(|| {
            let stem = match name.rsplit_once('.') {
                Some((stem, extension)) if !extension.bytes().all(|byte| byte.is_ascii_digit()) => stem,
                _ => name,
            };
            let end = stem.rfind(|char: char| char.is_ascii_digit())? + 1;
            Self::ending_at(name, end, None)
        })
    }

    fn shard(name: &'a str) -> Option<Self> {
        let at = name.rfind(OF)?;
        let behind = &name[at + OF.len()..];
        let digits = behind.find(|char: char| !char.is_ascii_digit()).unwrap_or(behind.len());
        let total = number(&behind[..digits])?;
        Self::ending_at(name, at, Some(total)).filter(|numbered| numbered.number <= total)
    }

    /// The number whose last digit stands before a place in the name.
    fn ending_at(name: &'a str, end: usize, total: Option<u64>) -> Option<Self> {
        let (head, suffix) = name.split_at(end);
        let prefix = head.trim_end_matches(|char: char| char.is_ascii_digit());
        let digits = &head[prefix.len()..];
        Some(Numbered { prefix, digits, suffix, number: number(digits)?, total })
    }

    /// The name with another number, written as wide at least.
    pub(super) fn with_number(&self, number: u64) -> String {
        let Numbered { prefix, digits, suffix, .. } = self;
        format!("{prefix}{number:0width$}{suffix}", width = digits.len())
    }

    /// Whether names of such numbers may stand in another order than the numbers do.
    pub(super) fn is_out_of_listing_order(&self) -> bool {
        !self.digits.starts_with('0')
    }
}

fn number(digits: &str) -> Option<u64> {
    if digits.len() > MOST_DIGITS {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What follows a name, and of how many it is one.
    fn next(name: &str) -> Option<(String, Option<u64>)> {
        let numbered = Numbered::parse(name)?;
        Some((numbered.with_number(numbered.number + 1), numbered.total))
    }

    #[test]
    fn names_are_continued_as_people_number_them() {
        for (name, expected) in [
            ("model-00001-of-00038.safetensors", Some(("model-00002-of-00038.safetensors", Some(38)))),
            ("pytorch_model-00009-of-00010.bin", Some(("pytorch_model-00010-of-00010.bin", Some(10)))),
            ("data-00000-of-00002", Some(("data-00001-of-00002", Some(2)))),
            ("llama-q4-00002-of-00004.gguf", Some(("llama-q4-00003-of-00004.gguf", Some(4)))),
            ("one-of-us-3.txt", Some(("one-of-us-4.txt", None))),
            ("model-00005-of-00002.bin", Some(("model-00005-of-00003.bin", None))),
            ("img_0099.jpg", Some(("img_0100.jpg", None))),
            ("img_99.jpg", Some(("img_100.jpg", None))),
            ("9", Some(("10", None))),
            ("clip7.mp4", Some(("clip8.mp4", None))),
            ("archive.tar.001", Some(("archive.tar.002", None))),
            ("2024-05-01.log", Some(("2024-05-02.log", None))),
            ("größe7é.x", Some(("größe8é.x", None))),
            ("readme.md", None),
            ("song.mp3", None),
            ("d41d8cd98f00b204e9800998ecf8427e1234567890123", None),
            ("-of-", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(next(name), expected.map(|(name, total)| (name.to_owned(), total)), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_is_taken_apart_without_loss(name in "[a-c0-9é.-]{0,8}(-of-)?[0-9.]{0,15}", other in 0u64..1 << 50) {
            if let Some(numbered) = Numbered::parse(&name) {
                prop_assert_eq!(numbered.with_number(numbered.number), &name[..]);
                let renamed = numbered.with_number(other);
                prop_assert!(renamed.starts_with(numbered.prefix) && renamed.ends_with(numbered.suffix));
            }
        }
    }
}
