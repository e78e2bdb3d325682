//! Reads the XML of listings and errors as a stream of leaves. Namespaces, attributes, comments and document types are
//! ignored, entities but the five of XML are not expanded, and no input makes it panic or use more than its size.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Deeper documents are none that a store sends.
const MAX_DEPTH: usize = 32;

macro_rules! tags {
    ($($name:ident),* $(,)?) => {
        /// The elements that somebody here asks for.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        // The names are the protocol's.
        #[allow(clippy::enum_variant_names)]
        pub(super) enum Tag {
            $($name,)*
            /// Any other.
            Other,
        }

        impl Tag {
            fn of(name: &str) -> Tag {
                match name {
                    $(stringify!($name) => Tag::$name,)*
                    _ => Tag::Other,
                }
            }
        }
    };
}

tags! {
    Code, CommonPrefixes, Contents, EC, ETag, EncodingType, Endpoint, Error, IsTruncated, Key, KeyCount,
    LastModified, ListBucketResult, Marker, Message, NextContinuationToken, NextMarker, Prefix, Region, RequestId,
    Size, StorageClass, Type,
}

/// One element at its end.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// The element and those around it, the root first.
    pub(super) path: &'a [Tag],
    /// Its text, entities replaced and nothing trimmed.
    pub(super) text: &'a str,
    /// Some of its bytes were no UTF-8, or named no character, and are lost.
    pub(super) damaged: bool,
}

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Hands every element of a document to `visit` when it ends, children before their parents.
pub(super) fn walk(document: &[u8], mut visit: impl FnMut(Leaf<'_>)) -> Result<(), Malformed> {
    let document = String::from_utf8_lossy(document);
    // Borrowed means that every byte was UTF-8: then U+FFFD is a character like others.
    let lossy = matches!(document, std::borrow::Cow::Owned(_));
    let mut reader = Reader::from_str(&document);
    reader.config_mut().allow_dangling_amp = true;
    let (mut path, mut text, mut damaged, mut ended) = (Vec::new(), String::new(), false, false);
    loop {
        match reader.read_event().map_err(|error| Malformed(error.to_string()))? {
            Event::Start(start) => {
                if path.len() == MAX_DEPTH || ended {
                    return Err(Malformed("the document is too deep or has two roots".to_owned()));
                }
                path.push(Tag::of(local(start.name().as_ref())));
                (text, damaged) = (cleared(text), false);
            }
            Event::Empty(empty) => {
                path.push(Tag::of(local(empty.name().as_ref())));
                visit(Leaf { path: &path, text: "", damaged: false });
                path.pop();
                ended |= path.is_empty();
            }
            Event::End(_) => {
                let damaged = std::mem::take(&mut damaged) || (lossy && text.contains(char::REPLACEMENT_CHARACTER));
                visit(Leaf { path: &path, text: &text, damaged });
                path.pop();
                text = cleared(text);
                ended |= path.is_empty();
            }
            Event::Text(more) => text.push_str(&more),
            Event::CData(more) => text.push_str(&more),
            Event::GeneralRef(reference) => match character(&reference) {
                Some(character) => text.push(character),
                None => damaged = true,
            },
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
    }
    if ended && path.is_empty() { Ok(()) } else { Err(Malformed("the document ends too early".to_owned())) }
}

fn cleared(mut text: String) -> String {
    text.clear();
    text
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// What an entity or a character reference stands for. Control characters are let through: servers without
/// `encoding-type` send them so.
fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(document: &[u8]) -> Result<Vec<(Tag, String, bool)>, Malformed> {
        let mut found = Vec::new();
        walk(document, |leaf| found.push((*leaf.path.last().unwrap(), leaf.text.to_owned(), leaf.damaged)))?;
        Ok(found)
    }

    #[test]
    fn names_texts_and_entities() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
            <a:Error xmlns:a="http://doc.oss-cn-hangzhou.aliyuncs.com"><!-- no --><Code> No&amp;Such </Code>
            <Key><![CDATA[a<b]]>&lt;&#1;&#x7167;</Key><Other x="<"/></a:Error>"#;
        let found = leaves(document).unwrap();
        assert_eq!(found[0], (Tag::Code, " No&Such ".into(), false));
        assert_eq!(found[1], (Tag::Key, "a<b<\u{1}照".into(), false));
        assert_eq!(found[2], (Tag::Other, String::new(), false));
        assert_eq!(found[3].0, Tag::Error);
    }

    #[test]
    fn lost_bytes_are_told_where_they_were() {
        let found = leaves(b"<Error><Key>a\xff</Key><Code>b\xef\xbf\xbd</Code><EC>c</EC></Error>").unwrap();
        assert!(found[0].2 && !found[2].2);
        let found =
            leaves("<Error><Key>\u{fffd}</Key><Code>&#xD800;x</Code><EC>&nbsp;</EC></Error>".as_bytes()).unwrap();
        assert_eq!(found.iter().map(|leaf| leaf.2).collect::<Vec<_>>(), [false, true, true, false]);
    }

    #[test]
    fn broken_documents_are_refused() {
        let deep = "<a>".repeat(100_000);
        for document in ["", "text", "<a>", "<a></b>", "<a/><b>", "<a><b></a></b>", "</a>", "<a", deep.as_str()] {
            assert!(leaves(document.as_bytes()).is_err(), "{}", &document[..document.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(document in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = leaves(&document);
        }

        #[test]
        fn no_markup_makes_it_panic(parts in proptest::collection::vec(
            prop_oneof!["<[a-zA-Z:]{0,3}", "[/?!>&;\\[\\]-]{1,3}", "Key", "&#x?[0-9a-f]{0,9};", "\\PC{0,3}"], 0..40)) {
            let _ = leaves(parts.concat().as_bytes());
        }
    }
}
