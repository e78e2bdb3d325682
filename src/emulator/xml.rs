//! XML as the emulator writes it, and a small reader for the documents clients send.
//!
//! The reader knows elements, text, character references, CDATA and comments. It refuses document type declarations,
//! so no entity can expand.

use std::fmt::{self, Display, Write};

/// Writes one XML document.
pub(super) struct Writer {
    text: String,
}

impl Writer {
    /// Begins a document whose root may carry a namespace.
    pub(super) fn new() -> Self {
        Writer { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() }
    }

    /// An element with the children that `inner` writes.
    pub(super) fn within(&mut self, name: &str, inner: impl FnOnce(&mut Writer)) {
        self.open(name);
        inner(self);
        self.close(name);
    }

    /// An element in a namespace with the children that `inner` writes.
    pub(super) fn within_namespace(&mut self, name: &str, namespace: &str, inner: impl FnOnce(&mut Writer)) {
        self.text.push_str(&format!("<{name} xmlns=\"{namespace}\">"));
        inner(self);
        self.close(name);
    }

    /// An element that holds a value.
    pub(super) fn leaf(&mut self, name: &str, value: impl Display) {
        self.open(name);
        let written = write!(Escaping(&mut self.text), "{value}");
        debug_assert!(written.is_ok(), "a text takes everything");
        self.close(name);
    }

    /// The same for what is text already, at less cost: pages of listings hold thousands.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.open(name);
        escape_into(&mut self.text, value);
        self.close(name);
    }

    /// The same in quotes.
    pub(super) fn quoted(&mut self, name: &str, value: &str) {
        self.open(name);
        self.text.push_str("&quot;");
        escape_into(&mut self.text, value);
        self.text.push_str("&quot;");
        self.close(name);
    }

    /// Makes room for as many bytes more, where they are many.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// Closes the document and returns its text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// Escapes whatever is formatted into it.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_into(self.0, text);
        Ok(())
    }
}

/// What cannot stand in a text as it is.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        special[control] = control != b'\n' as usize && control != b'\t' as usize;
        control += 1;
    }
    special[b'&' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[b'"' as usize] = true;
    special
};

/// Whether a text surely stands for itself; without a way out of the loop, so that many bytes are looked at at once.
fn is_plain(value: &str) -> bool {
    let special = |byte: u8| (byte < 0x20) | (byte == b'&') | (byte == b'<') | (byte == b'>') | (byte == b'"');
    !value.bytes().fold(false, |found, byte| found | special(byte))
}

/// Control characters become references although XML 1.0 forbids them even so: real servers do the same, which is
/// why clients ask for percent-encoding.
fn escape_into(out: &mut String, value: &str) {
    if is_plain(value) {
        return out.push_str(value);
    }
    let mut rest = value;
    // All special characters are single bytes, so the text may be cut around them.
    while let Some(at) = rest.bytes().position(|byte| SPECIAL[usize::from(byte)]) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'&' => out.push_str("&amp;"),
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            b'"' => out.push_str("&quot;"),
            control => out.push_str(&format!("&#{control};")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// An element: its local name, its own text, its children.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Element {
    /// The name without its namespace prefix.
    pub(super) name: String,
    /// All text directly inside.
    pub(super) text: String,
    /// The elements directly inside.
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name, as it is.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Every child of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Nothing a client sends nests deeper than this.
const DEEPEST: usize = 16;

/// Reads a document; `None` when it is not well formed.
pub(super) fn parse(text: &str) -> Option<Element> {
    let mut open: Vec<Element> = vec![Element::default()];
    let mut rest = text.trim_start_matches('\u{feff}');
    while let Some(at) = rest.find('<') {
        unescape_into(&mut open.last_mut()?.text, &rest[..at])?;
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = &after[after.find("-->")? + 3..];
        } else if let Some(after) = rest.strip_prefix("<![CDATA[") {
            let end = after.find("]]>")?;
            open.last_mut()?.text.push_str(&after[..end]);
            rest = &after[end + 3..];
        } else if let Some(after) = rest.strip_prefix("<?") {
            rest = &after[after.find("?>")? + 2..];
        } else if rest.starts_with("<!") {
            return None;
        } else {
            let end = rest.find('>')?;
            tag(&mut open, &rest[1..end])?;
            rest = &rest[end + 1..];
        }
    }
    let document = open.pop()?;
    let alone = open.is_empty() && document.children.len() == 1 && rest.trim().is_empty();
    alone.then(|| document.children.into_iter().next())?
}

fn tag(open: &mut Vec<Element>, inner: &str) -> Option<()> {
    let local = |name: &str| name.rsplit(':').next().map(str::to_owned);
    if let Some(name) = inner.strip_prefix('/') {
        let done = open.pop()?;
        (done.name == local(name.trim())?).then_some(())?;
        open.last_mut()?.children.push(done);
        return Some(());
    }
    let (inner, empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
    let name = inner.split_ascii_whitespace().next()?;
    let element = Element { name: local(name)?, ..Element::default() };
    if empty {
        open.last_mut()?.children.push(element);
    } else if open.len() > DEEPEST {
        return None;
    } else {
        open.push(element);
    }
    Some(())
}

fn unescape_into(out: &mut String, text: &str) -> Option<()> {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let end = rest[at..].find(';')? + at;
        match &rest[at + 1..end] {
            "amp" => out.push('&'),
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            reference => {
                let number = reference.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                out.push(char::from_u32(code)?);
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_of_clients_are_read() {
        let text = "<?xml version='1.0'?>\n<Delete xmlns=\"http://x/\"><Quiet>true</Quiet><!-- <a> -->\
                    <Object><Key>a&amp;b &#x41;<![CDATA[<c>]]></Key></Object><Object><Key/></Object></Delete>\n";
        let root = parse(text).unwrap();
        assert_eq!(root.name, "Delete");
        assert_eq!(root.text_of("Quiet"), Some("true"));
        let keys: Vec<_> = root.all("Object").map(|object| object.text_of("Key").unwrap()).collect();
        assert_eq!(keys, ["a&b A<c>", ""]);
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in ["", "text", "<a>", "<a></b>", "<a/><b/>", "</a>", "<a>&bomb;</a>", "<!DOCTYPE a><a/>", "<a", "< >"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"<a>".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in "\\PC{0,40}[\u{1}-\u{1f}]{0,4}") {
            let mut writer = Writer::new();
            writer.within("A", |w| w.leaf("B", &value));
            let root = parse(&writer.finish()).unwrap();
            prop_assert_eq!(root.text_of("B"), Some(value.as_str()));
        }

        #[test]
        fn no_text_upsets_the_reader(text in "[<>/&;!?a\\[\\]#x0-9 -]{0,60}") {
            let _ = parse(&text);
        }
    }
}
