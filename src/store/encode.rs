//! Percent-encoding as both signature schemes want it: upper-case hex, and only `A-Z a-z 0-9 - _ . ~` literal.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Encodes a name or a value of the query; the slash is encoded too.
pub(super) fn value(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, VALUE)
}

/// Encodes a path, keeping its slashes. Dot segments and doubled slashes stay what they are.
pub(super) fn path(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PATH)
}

/// What stands for a parameter without a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Valueless {
    /// `acl`, as OSS wants it.
    Bare,
    /// `acl=`, as S3 wants it.
    WithEquals,
}

/// The query in canonical form: encoded, then sorted by name and value, joined by `&`.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, valueless: Valueless) -> String {
    let mut encoded: Vec<(String, String)> =
        pairs.into_iter().map(|(name, text)| (value(name).to_string(), value(text).to_string())).collect();
    encoded.sort();
    let mut joined = String::new();
    for (name, text) in encoded {
        if !joined.is_empty() {
            joined.push('&');
        }
        joined.push_str(&name);
        if !text.is_empty() || valueless == Valueless::WithEquals {
            joined.push('=');
            joined.push_str(&text);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_shape_and_values_do_not() {
        for (raw, encoded) in [
            ("a/../b/./c", "a/../b/./c"),
            ("a//b/", "a//b/"),
            ("a+b c%20", "a%2Bb%20c%2520"),
            ("\u{1}\t\n\\", "%01%09%0A%5C"),
            ("照/é~-_.", "%E7%85%A7/%C3%A9~-_."),
        ] {
            assert_eq!(path(raw).to_string(), encoded);
        }
        assert_eq!(value("a/b").to_string(), "a%2Fb");
    }

    #[test]
    fn queries_sort_after_encoding() {
        let pairs = [("é", "1"), ("a", "2"), ("Z", ""), ("~", "/")];
        assert_eq!(query(pairs, Valueless::Bare), "%C3%A9=1&Z&a=2&~=%2F");
        assert_eq!(query(pairs, Valueless::WithEquals), "%C3%A9=1&Z=&a=2&~=%2F");
    }
}
