//! Foreign text (keys and messages of a service, names in files, arguments of a command line), escaped so that it has
//! no effect on a terminal.
//!
//! Such text may hold characters that act on what shows it: control characters move a terminal's cursor or change its
//! state, and bidirectional marks show letters in another order than they stand in. It may also have any length.
//! [`Foreign`] is the one way to show it.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Of a longer text only so many bytes are shown.
const MOST_SHOWN_BYTES: usize = 4096;

/// Whether a character acts on what shows it: a control character (C0, DEL or C1), or a mark that embeds, overrides or
/// isolates the direction of text.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text that can only be shown: what acts is escaped as in Rust (`\n`, `\u{1b}`), and no more than
/// 4096 bytes of it are shown, followed by how long it is.
#[derive(Clone, Copy)]
pub struct Foreign<'a>(pub &'a str);

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.floor_char_boundary(MOST_SHOWN_BYTES)];
        f.write_str(&escape_text(shown))?;
        if shown.len() < self.0.len() { write!(f, "... ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

impl fmt::Debug for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text in which what acts is escaped as in Rust.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c, escaped| escaped.extend(c.escape_default()))
}

/// A line of JSON in which what acts is escaped. It means the same: in JSON, such characters stand in texts alone.
pub fn escape_json(line: &str) -> Cow<'_, str> {
    escape(line, |c, escaped| {
        // Writing into a string does not fail.
        let _ = write!(escaped, "\\u{:04x}", u32::from(c));
    })
}

fn escape(text: &str, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { write(c, &mut escaped) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped() {
        let shown = |text: &str| Foreign(text).to_string();
        assert_eq!(shown("a\u{1b}[2Jb\n\u{7}\u{9b}ü"), "a\\u{1b}[2Jb\\n\\u{7}\\u{9b}ü");
        assert_eq!(shown("\u{7f}x\r\t"), "\\u{7f}x\\r\\t");
        for mark in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(shown(&format!("exe{mark}cod.txt")), format!("exe\\u{{{:x}}}cod.txt", u32::from(mark)));
        }
        for harmless in ["", "plain", "日本語 مثال", "\u{2029}\u{202f}\u{2065}\u{206a}", "a\\b\"c"] {
            assert_eq!(shown(harmless), harmless);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let exact = "x".repeat(MOST_SHOWN_BYTES);
        assert_eq!(Foreign(&exact).to_string(), exact);
        let long = format!("{}üü", "x".repeat(MOST_SHOWN_BYTES - 1));
        assert_eq!(format!("{:?}", Foreign(&long)), format!("{}... (4099 bytes)", "x".repeat(MOST_SHOWN_BYTES - 1)));
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}\u{202e}x\u{2069}\n\u{7f}"});
        let line = serde_json::to_string(&value).unwrap();
        let escaped = escape_json(&line);
        assert!(!escaped.contains(acts), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert!(matches!(escape_json("{\"a\":\"ü\"}"), Cow::Borrowed(_)));
    }
}
