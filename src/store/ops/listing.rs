//! The XML of a listing, of either version and dialect.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{meta, unfit};
use crate::base::{ETag, Timestamp};
use crate::store::xml::{self, Leaf, Tag};
use crate::store::{ListEntry, ObjectKind, Result, StorageClass};

/// How names are encoded where the listing says that they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding {
    /// `+` stands for a space.
    pub(super) plus_is_space: bool,
    /// Continuation tokens are encoded too.
    pub(super) tokens_too: bool,
}

/// A listing as it came.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Listing {
    pub(super) entries: Vec<ListEntry>,
    pub(super) prefixes: Vec<String>,
    pub(super) undecodable: u64,
    pub(super) truncated: bool,
    pub(super) next_token: Option<String>,
    pub(super) next_marker: Option<String>,
    /// Has a `Marker` or `NextMarker`, as only V1 has.
    markers: bool,
    /// Has a `KeyCount` or a token, as only V2 has.
    counts: bool,
}

impl Listing {
    /// Reads a listing, to the end or not at all.
    pub(super) fn parse(xml: &[u8], decoding: Decoding) -> Result<Listing> {
        let mut raw = Raw::default();
        xml::walk(xml, |leaf| raw.take(&leaf))
            .map_err(|error| unfit("the listing cannot be read").with_source(Some(error.into())))?;
        raw.finish(decoding)
    }

    /// Whether a server that knows only ListObjects wrote this.
    pub(super) fn is_v1(&self) -> bool {
        self.markers && !self.counts
    }
}

/// The elements before names are decoded: only the whole document tells whether they are encoded.
#[derive(Default)]
struct Raw {
    is_listing: bool,
    encoded: bool,
    truncated: Option<bool>,
    token: Option<String>,
    marker: Option<Name>,
    markers: bool,
    counts: bool,
    entries: Vec<RawEntry>,
    prefixes: Vec<Name>,

    /// The element being read.
    entry: RawEntry,
    prefix: Name,
}

/// A name as it stands in the document.
#[derive(Default)]
struct Name {
    text: String,
    damaged: bool,
}

#[derive(Default)]
struct RawEntry {
    key: Name,
    size: Option<u64>,
    etag: Option<ETag>,
    last_modified: Option<Timestamp>,
    kind: ObjectKind,
    storage_class: Option<StorageClass>,
}

impl Raw {
    fn take(&mut self, leaf: &Leaf<'_>) {
        let Some((Tag::ListBucketResult, inside)) = leaf.path.split_first() else { return };
        let text = leaf.text.trim();
        match inside {
            [] => self.is_listing = true,
            [Tag::Contents] => self.entries.push(std::mem::take(&mut self.entry)),
            [Tag::Contents, field] => self.entry.take(*field, leaf),
            [Tag::CommonPrefixes, Tag::Prefix] => self.prefix = name(leaf),
            [Tag::CommonPrefixes] => self.prefixes.push(std::mem::take(&mut self.prefix)),
            [Tag::EncodingType] => self.encoded = text.eq_ignore_ascii_case("url"),
            [Tag::IsTruncated] => self.truncated = Some(text.eq_ignore_ascii_case("true")),
            [Tag::KeyCount] => self.counts = true,
            [Tag::Marker] => self.markers = true,
            [Tag::NextMarker] => {
                self.markers = true;
                self.marker = Some(name(leaf)).filter(|name| !name.text.is_empty());
            }
            // Untrimmed: Ceph's tokens are keys.
            [Tag::NextContinuationToken] => self.token = Some(leaf.text.to_owned()).filter(|token| !token.is_empty()),
            _ => {}
        }
    }

    fn finish(self, decoding: Decoding) -> Result<Listing> {
        if !self.is_listing {
            return Err(unfit("the answer is no listing"));
        }
        let plus_is_space = decoding.plus_is_space;
        let decoded = |name: Name| decode(name, self.encoded, plus_is_space);
        let mut listing = Listing {
            entries: Vec::with_capacity(self.entries.len()),
            prefixes: Vec::with_capacity(self.prefixes.len()),
            truncated: self.truncated.unwrap_or(self.token.is_some()),
            markers: self.markers,
            counts: self.counts || self.token.is_some(),
            ..Listing::default()
        };
        for entry in self.entries {
            match entry.finish(decoded)? {
                Some(entry) => listing.entries.push(entry),
                None => listing.undecodable += 1,
            }
        }
        for prefix in self.prefixes {
            match decoded(prefix) {
                Some(prefix) if prefix.is_empty() => {
                    return Err(unfit("the listing has a common prefix without a name"));
                }
                Some(prefix) => listing.prefixes.push(prefix),
                None => listing.undecodable += 1,
            }
        }
        if let Some(marker) = self.marker {
            let marker = decoded(marker).ok_or_else(|| unfit("the listing goes on after a key that is not UTF-8"))?;
            listing.next_marker = Some(marker);
        }
        listing.next_token = match self.token {
            Some(text) if decoding.tokens_too => decoded(Name { text, damaged: false }),
            token => token,
        };
        Ok(listing)
    }
}

impl RawEntry {
    fn take(&mut self, field: Tag, leaf: &Leaf<'_>) {
        let text = leaf.text.trim();
        match field {
            Tag::Key => self.key = name(leaf),
            Tag::Size => self.size = text.parse().ok(),
            Tag::ETag => self.etag = ETag::parse(text),
            Tag::LastModified => self.last_modified = iso_time(text),
            Tag::Type => self.kind = meta::kind(text),
            Tag::StorageClass => self.storage_class = (!text.is_empty()).then(|| StorageClass(text.into())),
            _ => {}
        }
    }

    /// `None` when the key is not UTF-8.
    fn finish(self, decoded: impl Fn(Name) -> Option<String>) -> Result<Option<ListEntry>> {
        let Some(key) = decoded(self.key) else { return Ok(None) };
        if key.is_empty() {
            return Err(unfit("the listing has an object without a key"));
        }
        let size = self.size.ok_or_else(|| unfit(format!("the listing tells no size of {key:?}")))?;
        let RawEntry { etag, last_modified, kind, storage_class, .. } = self;
        Ok(Some(ListEntry { key, size, etag, last_modified, kind, storage_class }))
    }
}

fn name(leaf: &Leaf<'_>) -> Name {
    Name { text: leaf.text.to_owned(), damaged: leaf.damaged }
}

/// The raw name; `None` when it is not UTF-8.
fn decode(name: Name, encoded: bool, plus_is_space: bool) -> Option<String> {
    if name.damaged {
        return None;
    }
    if !encoded {
        return Some(name.text);
    }
    let text = if plus_is_space { name.text.replace('+', " ") } else { name.text };
    match percent_decode(text.as_bytes()).into() {
        Cow::Borrowed(_) => Some(text),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok(),
    }
}

/// `2024-02-29T12:34:56.000Z`, in whole seconds as every other answer tells it.
fn iso_time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix(time.as_second()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OSS: Decoding = Decoding { plus_is_space: false, tokens_too: true };
    const S3: Decoding = Decoding { plus_is_space: true, tokens_too: false };

    fn keys(body: &str, decoding: Decoding) -> Vec<String> {
        let xml = format!("<ListBucketResult>{body}</ListBucketResult>");
        let listing = Listing::parse(xml.as_bytes(), decoding).unwrap();
        listing.entries.into_iter().map(|entry| entry.key).collect()
    }

    fn contents(key: &str) -> String {
        format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
    }

    #[test]
    fn an_oss_page() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com">
  <Name>b</Name><Prefix>p%2F</Prefix><MaxKeys>100</MaxKeys><Delimiter>%2F</Delimiter>
  <Contents><Key>p%2Fa%20%2B%25.txt</Key><LastModified> 2024-02-29T12:34:56.789Z </LastModified>
    <ETag>"5B3C"</ETag><Type>Symlink</Type><Size>
    344606 </Size><StorageClass>Archive</StorageClass><RestoreInfo>ongoing-request="true"</RestoreInfo>
    <Owner><ID>0022012</ID><DisplayName>0022012</DisplayName></Owner></Contents>
  <CommonPrefixes><Prefix>p%2Fd%C3%A9%2F</Prefix></CommonPrefixes>
  <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <NextContinuationToken>CgJi%2Byw--</NextContinuationToken><KeyCount>2</KeyCount>
</ListBucketResult>"#;
        let listing = Listing::parse(xml, OSS).unwrap();
        let entry = ListEntry {
            key: "p/a +%.txt".into(),
            size: 344_606,
            etag: ETag::parse("5B3C"),
            last_modified: Some(Timestamp::from_unix(1_709_210_096)),
            kind: ObjectKind::Symlink,
            storage_class: Some(StorageClass("Archive".into())),
        };
        assert_eq!(listing.entries, [entry]);
        assert_eq!(listing.prefixes, ["p/dé/"]);
        assert_eq!(listing.next_token.as_deref(), Some("CgJi+yw--"));
        assert!(listing.truncated && !listing.is_v1());
    }

    #[test]
    fn a_plus_means_what_the_dialect_says() {
        let encoded = "<EncodingType>url</EncodingType>";
        let body = format!("{}{}{encoded}", contents("a+b%20c%2Bd"), contents("e"));
        assert_eq!(keys(&body, S3), ["a b c+d", "e"]);
        assert_eq!(keys(&body, OSS), ["a+b c+d", "e"]);
        assert_eq!(keys(&contents("a+b%20c"), S3), ["a+b%20c"], "nothing is encoded unless the server says so");
        assert_eq!(keys(&format!("{}{encoded}", contents("100%+%zz%C3%A9")), S3), ["100% %zzé"]);
    }

    #[test]
    fn names_keep_their_blanks() {
        assert_eq!(keys(&contents(" a\n&#13;&amp;&#x1; "), S3), [" a\n\r&\u{1} "]);
    }

    #[test]
    fn keys_that_are_not_utf8_are_counted() {
        let body = format!(
            "<ListBucketResult><EncodingType>url</EncodingType>{}{}<CommonPrefixes><Prefix>%FF%2F</Prefix></CommonPrefixes>\
             </ListBucketResult>",
            contents("%E9"),
            contents("ok")
        );
        let listing = Listing::parse(body.as_bytes(), OSS).unwrap();
        assert_eq!((listing.entries.len(), listing.prefixes.len(), listing.undecodable), (1, 0, 2));
        let mut raw = b"<ListBucketResult><Contents><Key>\xe9</Key><Size>1</Size></Contents>".to_vec();
        raw.extend_from_slice(format!("{}</ListBucketResult>", contents("ok")).as_bytes());
        let listing = Listing::parse(&raw, S3).unwrap();
        assert_eq!((listing.entries.len(), listing.undecodable), (1, 1));
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        for xml in [
            "",
            "<html></html>",
            "<Error><Code>x</Code></Error>",
            "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><CommonPrefixes/></ListBucketResult>",
            "<ListBucketResult><Contents>",
        ] {
            assert!(Listing::parse(xml.as_bytes(), OSS).is_err(), "{xml}");
        }
    }

    #[test]
    fn a_v1_answer_is_known_by_its_markers() {
        for (body, is_v1) in [
            ("<Marker></Marker>", true),
            ("<Marker/><NextMarker>a</NextMarker>", true),
            ("<Marker/><KeyCount>0</KeyCount>", false),
            ("<KeyCount>0</KeyCount>", false),
            ("", false),
        ] {
            let xml = format!("<ListBucketResult>{body}</ListBucketResult>");
            assert_eq!(Listing::parse(xml.as_bytes(), OSS).unwrap().is_v1(), is_v1, "{body}");
        }
    }

    proptest! {
        #[test]
        fn encoded_keys_come_back(key in "\\PC{1,40}") {
            let encoded = crate::store::sign::encode::value(&key).to_string();
            let body = format!("<EncodingType>url</EncodingType>{}", contents(&encoded));
            prop_assert_eq!(keys(&body, OSS), [key.clone()]);
            prop_assert_eq!(keys(&body, S3), [key]);
        }
    }
}
