//! Percent-encoding and hexadecimal, and the comparison of secrets.

use std::borrow::Cow;

/// Encodes every byte but the unreserved ones (`A-Z a-z 0-9 - _ . ~`).
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    encode_but(text, is_unreserved)
}

/// Encodes like [`encode`] but leaves the slash.
pub(super) fn encode_path(text: &str) -> Cow<'_, str> {
    encode_but(text, |byte| is_unreserved(byte) || byte == b'/')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn encode_but(text: &str, is_kept: impl Fn(u8) -> bool) -> Cow<'_, str> {
    // Without a way out of the loop, so that many bytes are looked at at once.
    if text.bytes().fold(true, |kept, byte| kept & is_kept(byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(byte as char);
        } else {
            out.push('%');
            push_hex_upper(&mut out, byte);
        }
    }
    Cow::Owned(out)
}

fn push_hex_upper(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Decodes percent escapes once; a percent sign that begins no escape stands for itself. `+` stays `+`.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        match escape.and_then(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// Decodes percent escapes once into text; `None` when the bytes are not UTF-8.
pub(super) fn decode_text(text: &str) -> Option<String> {
    String::from_utf8(decode(text)).ok()
}

/// Decodes one side of a pair of a query, where `+` is a blank: `requests` and browsers write it so.
pub(super) fn decode_form(text: &str) -> Option<String> {
    decode_text(&text.replace('+', "%20"))
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// Writes bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Upper-case hexadecimal, as entity tags are written, with room for what says of how many parts an object is.
pub(super) fn hex_upper(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 4);
    for &byte in bytes {
        push_hex_upper(&mut text, byte);
    }
    text
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
