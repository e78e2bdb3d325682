//! Percent-encoding and hexadecimal, and the comparison of secrets.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Every byte but the unreserved ones (`A-Z a-z 0-9 - _ . ~`).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, but for the slash.
const IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// Encodes every byte but the unreserved ones.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

/// Encodes like [`encode`] but leaves the slash.
pub(super) fn encode_path(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, IN_PATHS).into()
}

/// Decodes percent escapes once; a percent sign that begins no escape stands for itself. `+` stays `+`.
pub(super) fn decode(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

/// Decodes percent escapes once into text; `None` when the bytes are not UTF-8.
pub(super) fn decode_text(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

/// Decodes one side of a pair of a query, where `+` is a blank: `requests` and browsers write it so.
pub(super) fn decode_form(text: &str) -> Option<String> {
    decode_text(&text.replace('+', "%20"))
}

/// Writes bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Writes bytes as upper-case hexadecimal digits, as entity tags are.
pub(super) fn hex_upper(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// Whether two texts are equal, in a time that depends on their lengths alone.
pub(super) fn same_secret(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    left.len() == right.len() && left.iter().zip(right).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode_text("a%2520b+c%zz%").as_deref(), Some("a%20b+c%zz%"));
        assert_eq!(decode_form("a+b%2Bc").as_deref(), Some("a b+c"));
        assert_eq!(decode_text("%ff"), None);
        assert_eq!(decode_text("%é"), Some("%é".to_owned()));
        assert_eq!(encode("a/b ü~+"), "a%2Fb%20%C3%BC~%2B");
        assert_eq!(encode_path("a//b ü/"), "a//b%20%C3%BC/");
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abd"));
        assert!(!same_secret("abc", "ab"));
    }
}
