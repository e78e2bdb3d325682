//! The XML of a listing, of either version and dialect.

use memchr::{memchr, memchr2};

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
    marker: Option<EncodedName>,
    markers: bool,
    counts: bool,
    entries: Vec<RawEntry>,
    prefixes: Vec<EncodedName>,

    /// The element being read.
    entry: RawEntry,
    prefix: EncodedName,
    /// The class last seen: most pages know but one, which their entries share.
    class: Option<StorageClass>,
}

/// A name as it stands in the document.
#[derive(Default)]
pub(super) struct EncodedName {
    text: String,
    damaged: bool,
}

#[derive(Default)]
pub(super) struct RawEntry {
    key: EncodedName,
    size: Option<u64>,
    etag: Option<ETag>,
    last_modified: Option<Timestamp>,
    kind: ObjectKind,
    storage_class: Option<StorageClass>,
}

impl Raw {
    fn take(&mut self, leaf: &Leaf<'_>) {
        let Some((Tag::ListBucketResult, inside)) = leaf.path.split_first() else { return };
        let text = leaf.text.trim_ascii();
        match inside {
            [] => self.is_listing = true,
            [Tag::Contents] => self.entries.push(std::mem::take(&mut self.entry)),
            [Tag::Contents, Tag::StorageClass] => self.entry.storage_class = self.class(text),
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

    fn class(&mut self, text: &str) -> Option<StorageClass> {
        if self.class.as_ref().is_none_or(|class| &*class.0 != text) {
            self.class = (!text.is_empty()).then(|| StorageClass(text.into()));
        }
        self.class.clone()
    }

    fn finish(self, decoding: Decoding) -> Result<Listing> {
        if !self.is_listing {
            return Err(unfit("the answer is not a listing"));
        }
        let plus_is_space = decoding.plus_is_space;
        let decoded = |name: EncodedName| decode(name, self.encoded, plus_is_space);
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
        listing.undecodable += take_prefixes(self.prefixes, decoded, &mut listing.prefixes)
            .ok_or_else(|| unfit("the listing has a common prefix without a name"))?;
        if let Some(marker) = self.marker {
            let marker = decoded(marker).ok_or_else(|| unfit("the listing continues after a key that is not UTF-8"))?;
            listing.next_marker = Some(marker);
        }
        listing.next_token = match self.token {
            Some(text) if decoding.tokens_too => decoded(EncodedName { text, damaged: false }),
            token => token,
        };
        Ok(listing)
    }
}

impl EncodedName {
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether it is this name, as it stands.
    pub(super) fn is(&self, name: &str) -> bool {
        !self.damaged && self.text == name
    }
}

impl RawEntry {
    pub(super) fn take(&mut self, field: Tag, leaf: &Leaf<'_>) {
        let text = leaf.text.trim_ascii();
        match field {
            Tag::Key => self.key = name(leaf),
            Tag::Size => self.size = text.parse().ok(),
            Tag::ETag => self.etag = ETag::parse(text),
            Tag::LastModified => self.last_modified = iso_time(text),
            Tag::Type => self.kind = meta::kind(text),
            Tag::StorageClass if !text.is_empty() => self.storage_class = Some(StorageClass(text.into())),
            _ => {}
        }
    }

    /// It is a delete marker, of which no listing tells a size.
    pub(super) fn has_no_bytes(&mut self) {
        self.size = Some(0);
    }

    /// `None` when the key is not UTF-8.
    pub(super) fn finish(self, decoded: impl Fn(EncodedName) -> Option<String>) -> Result<Option<ListEntry>> {
        let Some(key) = decoded(self.key) else { return Ok(None) };
        if key.is_empty() {
            return Err(unfit("the listing has an object without a key"));
        }
        let size = self.size.ok_or_else(|| unfit(format!("the listing has no size of {key:?}")))?;
        let RawEntry { etag, last_modified, kind, storage_class, .. } = self;
        Ok(Some(ListEntry { key, size, etag, last_modified, kind, storage_class, version: None }))
    }
}

pub(super) fn name(leaf: &Leaf<'_>) -> EncodedName {
    EncodedName { text: leaf.text.to_owned(), damaged: leaf.damaged }
}

/// Puts the common prefixes of a page into `out`. How many of them cannot be decoded; `None` where one has no name.
pub(super) fn take_prefixes(
    prefixes: Vec<EncodedName>,
    decoded: impl Fn(EncodedName) -> Option<String>,
    out: &mut Vec<String>,
) -> Option<u64> {
    let mut undecodable = 0;
    for prefix in prefixes {
        match decoded(prefix) {
            Some(prefix) if prefix.is_empty() => return None,
            Some(prefix) => out.push(prefix),
            None => undecodable += 1,
        }
    }
    Some(undecodable)
}

/// The raw name; `None` when it is not UTF-8.
pub(super) fn decode(name: EncodedName, encoded: bool, plus_is_space: bool) -> Option<String> {
    if name.damaged {
        return None;
    }
    let plain = match plus_is_space {
        _ if !encoded => None,
        true => memchr2(b'%', b'+', name.text.as_bytes()),
        false => memchr(b'%', name.text.as_bytes()),
    };
    let Some(plain) = plain else { return Some(name.text) };
    let mut bytes = name.text.into_bytes();
    let (mut from, mut to) = (plain, plain);
    while let Some(&byte) = bytes.get(from) {
        let escaped = (byte == b'%').then(|| escaped(&bytes[from + 1..])).flatten();
        bytes[to] = match byte {
            b'+' if plus_is_space => b' ',
            byte => escaped.unwrap_or(byte),
        };
        from += if escaped.is_some() { 3 } else { 1 };
        to += 1;
    }
    bytes.truncate(to);
    String::from_utf8(bytes).ok()
}

/// The byte that two hexadecimal digits stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((digit(0)? << 4 | digit(1)?) as u8)
}

/// `2024-02-29T12:34:56.000Z`, in whole seconds as every other answer tells it.
pub(super) fn iso_time(text: &str) -> Option<Timestamp> {
    if let Some(seconds) = plain_time(text.as_bytes()) {
        return Some(Timestamp::from_unix(seconds));
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix(time.as_second()))
}

/// The time in the one form that servers write, at a tenth of what reading all forms costs; `None` for any other.
fn plain_time(text: &[u8]) -> Option<i64> {
    let (text, fraction) = text.split_at_checked(19)?;
    let is_utc = match fraction {
        b"Z" => true,
        [b'.', digits @ .., b'Z'] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = text else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    // The last days of months are left to the careful way, and so are leap seconds.
    let is_plain = is_utc && year >= 1970 && (1..=12).contains(&month) && (1..=28).contains(&day);
    if !is_plain || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years begin in March, so that the leap day is the last: 153 days are every five months from there.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// From 1 March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

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
  <EncodedName>b</EncodedName><Prefix>p%2F</Prefix><MaxKeys>100</MaxKeys><Delimiter>%2F</Delimiter>
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
            version: None,
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

    #[test]
    fn times_in_forms_that_servers_may_write() {
        for (text, expected) in [
            ("2024-02-29T12:34:56.000Z", Some(1_709_210_096)),
            ("2024-02-29T12:34:56Z", Some(1_709_210_096)),
            ("2024-02-28T12:34:56Z", Some(1_709_123_696)),
            ("2024-02-28T12:34:56.123456789Z", Some(1_709_123_696)),
            ("2024-02-28T13:34:56+01:00", Some(1_709_123_696)),
            ("2024-02-30T12:34:56.000Z", None),
            ("2024-02-28T24:34:56.000Z", None),
            ("2024-02-28T12:34:56.Z", None),
            ("2024-02-28T12:34:56.000", None),
            ("2024-13-28T12:34:56.000Z", None),
            ("", None),
        ] {
            assert_eq!(iso_time(text).map(|time| time.seconds), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_times_are_read_as_by_the_library(seconds in 0_i64..253_402_300_799, fraction in "(\\.[0-9]{1,9})?") {
            let text = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            let text = text.replace('Z', &format!("{fraction}Z"));
            prop_assert!(plain_time(text.as_bytes()).is_none_or(|plain| plain == seconds), "{}", text);
            prop_assert_eq!(iso_time(&text).unwrap().seconds, seconds);
        }

        #[test]
        fn damaged_times_are_read_as_by_the_library(text in "[0-9]{2}(19|20)[0-9-]{4}-[0-3][0-9]T[0-9:]{8}[.Z0-9]{1,5}") {
            let text = &text[2..];
            let library = text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second());
            prop_assert_eq!(iso_time(text).map(|time| time.seconds), library);
        }

        #[test]
        fn names_are_decoded_as_by_the_library(text in "[a%+0-9A-Fgé]{0,20}", plus_is_space: bool) {
            let spaced = if plus_is_space { text.replace('+', " ") } else { text.clone() };
            let library = percent_encoding::percent_decode(spaced.as_bytes()).decode_utf8().ok().map(String::from);
            prop_assert_eq!(decode(EncodedName { text, damaged: false }, true, plus_is_space), library);
        }

        #[test]
        fn encoded_keys_come_back(key in "\\PC{1,40}") {
            let encoded = crate::store::encode::value(&key).to_string();
            let body = format!("<EncodingType>url</EncodingType>{}", contents(&encoded));
            prop_assert_eq!(keys(&body, OSS), [key.clone()]);
            prop_assert_eq!(keys(&body, S3), [key]);
        }
    }
}
