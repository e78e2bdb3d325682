//! Ranges of keys.

use std::fmt;

/// Keys from one on, and before another, in byte order. Either bound may be a string that no object has as its key.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct KeySpan {
    /// The first key within; empty for "from the beginning".
    pub from: String,
    /// The first key behind; `None` for "to the end".
    pub before: Option<String>,
}

impl KeySpan {
    /// Every key there can be.
    pub const fn all() -> Self {
        KeySpan { from: String::new(), before: None }
    }

    /// Every key that starts with a prefix.
    pub fn below(prefix: &str) -> Self {
        KeySpan { from: prefix.to_owned(), before: behind(prefix) }
    }

    /// Whether a key lies within.
    pub fn holds(&self, key: &str) -> bool {
        *self.from <= *key && self.before.as_ref().is_none_or(|before| key < before.as_str())
    }

    /// Whether all of another span lies within.
    pub fn covers(&self, other: &KeySpan) -> bool {
        self.from <= other.from
            && match (&self.before, &other.before) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(other)) => other <= own,
            }
    }

    /// Whether no key lies within.
    pub fn is_empty(&self) -> bool {
        self.before.as_ref().is_some_and(|before| *before <= self.from)
    }
}

impl fmt::Debug for KeySpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.before {
            Some(before) => write!(f, "{:?}..{before:?}", self.from),
            None => write!(f, "{:?}..", self.from),
        }
    }
}

/// The least string behind every key that starts with a prefix; `None` where there is none.
pub fn behind(prefix: &str) -> Option<String> {
    let mut kept = prefix;
    while let Some(last) = kept.chars().next_back() {
        kept = &kept[..kept.len() - last.len_utf8()];
        // Surrogates are no characters: the range steps over them.
        if let Some(next) = (last..=char::MAX).nth(1) {
            return Some(format!("{kept}{next}"));
        }
    }
    None
}

/// The least string behind one key.
pub fn after(key: &str) -> String {
    format!("{key}\0")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_behind_a_prefix() {
        for (prefix, expected) in [
            ("a/", Some("a0")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("a\u{10ffff}\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(behind(prefix).as_deref(), expected, "{prefix:?}");
        }
    }

    proptest! {
        #[test]
        fn spans_hold_what_they_say(key in "[ab/\u{d7ff}\u{10ffff}]{0,4}", prefix in "[ab/\u{d7ff}\u{10ffff}]{0,3}") {
            prop_assert_eq!(KeySpan::below(&prefix).holds(&key), key.starts_with(&prefix));
            prop_assert!(KeySpan::all().covers(&KeySpan::below(&prefix)));
            prop_assert_eq!(
                KeySpan::below(&prefix).covers(&KeySpan::below(&key)),
                key.starts_with(&prefix)
            );
            let alone = KeySpan { from: key.clone(), before: Some(after(&key)) };
            prop_assert!(alone.holds(&key) && !alone.is_empty() && (key == prefix || !alone.holds(&prefix)));
        }
    }
}
