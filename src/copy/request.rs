//! The request to copy: source, destination and directives, and which combinations are refused before anything is
//! sent.

use percent_encoding::percent_decode_str;

use super::{LeftParts, Options, Shallow};
use crate::base::{BucketName, ETag, Timestamp};
use crate::store::{Error, ErrorKind, Metadata, Overwrite, Result, StorageClass, Tags};

/// The smallest part and the largest, in bytes.
pub(super) const PART_BYTES: std::ops::RangeInclusive<u64> = 100 << 10..=5 << 30;

/// The most that one request copies, in bytes, where it is not shallow.
const MOST_THRESHOLD: u64 = 5 << 30;

/// The most parts of one object under way at once.
const MOST_PARALLEL: usize = 1000;

const MOST_TAGS: usize = 10;

/// A copy to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// The object or prefix to copy.
    pub source: Source,
    /// Where it is copied to.
    pub destination: Destination,
    /// One object, or all below a prefix.
    pub scope: Scope,
    /// Bytes of a part, in place of the option.
    pub part_bytes: Option<u64>,
    /// Parts of one object under way at once, in place of the option.
    pub parallel: Option<usize>,
    /// Objects of more bytes are not copied in one plain request; in place of the option.
    pub threshold_bytes: Option<u64>,
    /// What becomes of the parts of a copy that fails, in place of the option.
    pub left_parts: Option<LeftParts>,
    /// Whether a shallow copy is tried, in place of the option.
    pub shallow: Option<Shallow>,
    /// The metadata of the copy.
    pub metadata: Directive<Metadata>,
    /// The tags of the copy.
    pub tags: Directive<Tags>,
    /// What happens when there is an object already.
    pub overwrite: Overwrite,
    /// The storage class of the copy; `None` leaves that to the service, for which it is the bucket's.
    pub storage_class: Option<StorageClass>,
    /// The access rule of the copy in the service's word, such as `private`.
    pub acl: Option<String>,
    /// The id of an upload in parts to go on with, which an earlier copy of the same object left. One object only.
    pub resume: Option<String>,
    /// What is done with objects that are there already and the same. Below a prefix only.
    pub existing: Existing,
    /// The source is what stood at this time in a bucket that keeps versions; `None` means now.
    pub at: Option<Timestamp>,
}

/// The object or prefix to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The bucket, of the same region as the destination's.
    pub bucket: BucketName,
    /// The raw key, or the prefix that all keys start with.
    pub key: String,
    /// A version of the object; `None` means the current one.
    pub version: Option<String>,
    /// The tag that the object must carry; `None` takes the one that it carries when the copy begins.
    pub if_match: Option<ETag>,
}

/// Where to copy to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The bucket to copy to.
    pub bucket: BucketName,
    /// The raw key, or what takes the place of the source's prefix.
    pub key: String,
}

/// How much is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scope {
    /// The object of this key.
    #[default]
    Object,
    /// Every object whose key starts with this prefix.
    Prefix,
}

/// What is done with objects that are there already, with the size and the checksum (or tag) of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Existing {
    /// They are copied over.
    #[default]
    Copy,
    /// They are left out: a copy of a prefix goes on where an earlier one ended.
    Skip,
}

/// Whether something is taken over from the source or given anew.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Directive<T> {
    /// Those of the source are taken.
    #[default]
    Copy,
    /// This, and nothing of the source's.
    Replace(T),
}

impl<T: Default> Directive<T> {
    /// From the words of a request: the directive, if given, and what is given. What is given without a directive
    /// replaces; `name` is what the directive is called in the refusal.
    ///
    /// Fails with [`ErrorKind::Invalid`] where the directive is neither `copy` nor `replace`, or says `copy` beside
    /// what should replace.
    pub fn of(name: &str, word: Option<&str>, given: Option<T>) -> Result<Self> {
        match word.map(str::to_ascii_lowercase).as_deref() {
            None => Ok(given.map_or(Directive::Copy, Directive::Replace)),
            Some("replace") => Ok(Directive::Replace(given.unwrap_or_default())),
            Some("copy") if given.is_some() => {
                Err(invalid(format!("{name} is copy, but a replacement is given: leave out one of them")))
            }
            Some("copy") => Ok(Directive::Copy),
            Some(other) => Err(invalid(format!("{name} is {other:?}; it can be copy or replace"))),
        }
    }
}

impl Request {
    /// A copy of one object, with everything as the options say.
    pub fn new(source: Source, destination: Destination) -> Self {
        Request {
            source,
            destination,
            scope: Scope::Object,
            part_bytes: None,
            parallel: None,
            threshold_bytes: None,
            left_parts: None,
            shallow: None,
            metadata: Directive::Copy,
            tags: Directive::Copy,
            overwrite: Overwrite::Allow,
            storage_class: None,
            acl: None,
            resume: None,
            existing: Existing::Copy,
            at: None,
        }
    }

    /// Refuses what cannot be, before anything is sent: [`ErrorKind::Invalid`], and one sentence.
    pub fn check(&self) -> Result<()> {
        self.check_places()?;
        let Request { part_bytes, parallel, threshold_bytes, .. } = self;
        if part_bytes.is_some_and(|bytes| !PART_BYTES.contains(&bytes)) {
            return Err(invalid("part-size must be 100KiB to 5GiB"));
        }
        if parallel.is_some_and(|parallel| !(1..=MOST_PARALLEL).contains(&parallel)) {
            return Err(invalid(format!("parallel must be 1 to {MOST_PARALLEL}")));
        }
        if threshold_bytes.is_some_and(|bytes| bytes > MOST_THRESHOLD) {
            return Err(invalid("threshold must be at most 5GiB, the most that one request copies"));
        }
        if let Directive::Replace(tags) = &self.tags {
            check_tags(tags)?;
        }
        Ok(())
    }

    fn check_places(&self) -> Result<()> {
        let (source, destination) = (&self.source, &self.destination);
        match self.scope {
            Scope::Object if source.key.is_empty() => Err(invalid("the source names no object")),
            Scope::Object if destination.key.is_empty() => Err(invalid("the destination names no object")),
            Scope::Object if self.existing == Existing::Skip => {
                Err(invalid("skip-existing applies only to the copy of a prefix"))
            }
            Scope::Object => Ok(()),
            Scope::Prefix if source.version.is_some() || source.if_match.is_some() || self.resume.is_some() => {
                Err(invalid("a version, a tag or an upload applies to one object, not to all below a prefix"))
            }
            // Its own copies would be listed, and copied again.
            Scope::Prefix
                if source.bucket == destination.bucket
                    && destination.key.len() > source.key.len()
                    && destination.key.starts_with(&source.key) =>
            {
                Err(invalid("the destination lies within the prefix that is copied"))
            }
            Scope::Prefix => Ok(()),
        }
    }

    /// The options, with what this request says in their place.
    pub(super) fn options(&self, options: &Options) -> Options {
        Options {
            part_bytes: self.part_bytes.unwrap_or(options.part_bytes),
            parallel: self.parallel.unwrap_or(options.parallel),
            threshold_bytes: self.threshold_bytes.unwrap_or(options.threshold_bytes),
            left_parts: self.left_parts.unwrap_or(options.left_parts),
            shallow: self.shallow.unwrap_or(options.shallow),
            requests: options.requests,
        }
    }
}

/// Reads tags as OSS writes them in a header: `name=value&name2=value2`, each side percent-encoded, `+` for a space.
///
/// Fails with [`ErrorKind::Invalid`] where they are not UTF-8, or more or longer than objects carry.
pub fn parse_tagging(text: &str) -> Result<Tags> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| invalid("the tags are not UTF-8"))
    };
    let mut tags = Tags::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        tags.push((decode(name)?, decode(value)?));
    }
    check_tags(&tags)?;
    Ok(tags)
}

fn check_tags(tags: &Tags) -> Result<()> {
    if tags.len() > MOST_TAGS {
        return Err(invalid(format!("{} tags are given; an object carries {MOST_TAGS}", tags.len())));
    }
    for (at, (name, value)) in tags.iter().enumerate() {
        if name.is_empty() || name.len() > 128 || value.len() > 256 {
            return Err(invalid(format!("tag {name:?} is empty or too long: names have up to 128 bytes, values 256")));
        }
        if tags[..at].iter().any(|(other, _)| other == name) {
            return Err(invalid(format!("tag {name:?} is given twice")));
        }
    }
    Ok(())
}

pub(super) fn invalid(sentence: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(source: &str, destination: &str, scope: Scope) -> Request {
        let bucket = BucketName::new("b");
        let source = Source { bucket: bucket.clone(), key: source.into(), version: None, if_match: None };
        Request { scope, ..Request::new(source, Destination { bucket, key: destination.into() }) }
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_sent() {
        let object = || request("a", "b", Scope::Object);
        let prefix = || request("a/", "b/", Scope::Prefix);
        for (request, says) in [
            (request("", "b", Scope::Object), "the source names no object"),
            (request("a", "", Scope::Object), "the destination names no object"),
            (Request { existing: Existing::Skip, ..object() }, "skip-existing applies only"),
            (Request { part_bytes: Some(1000), ..object() }, "100KiB to 5GiB"),
            (Request { part_bytes: Some(6 << 30), ..object() }, "100KiB to 5GiB"),
            (Request { parallel: Some(0), ..object() }, "1 to 1000"),
            (Request { threshold_bytes: Some(6 << 30), ..object() }, "at most 5GiB"),
            (Request { tags: Directive::Replace(vec![(String::new(), String::new())]), ..object() }, "is empty"),
            (Request { resume: Some("id".into()), ..prefix() }, "applies to one object"),
            (request("a/", "a/b/", Scope::Prefix), "lies within"),
            (request("", "copy/", Scope::Prefix), "lies within"),
        ] {
            let error = request.check().unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && error.message().contains(says), "{says}: {error}");
        }
        for request in [object(), prefix(), request("a", "a", Scope::Object), request("a/", "a/", Scope::Prefix)] {
            request.check().unwrap();
        }
    }

    #[test]
    fn directives_are_copy_or_replace() {
        let of = |word, given: Option<Vec<u8>>| Directive::of("tagging-directive", word, given);
        assert_eq!(of(None, None).unwrap(), Directive::Copy);
        assert_eq!(of(Some("COPY"), None).unwrap(), Directive::Copy);
        assert_eq!(of(None, Some(vec![1])).unwrap(), Directive::Replace(vec![1]));
        assert_eq!(of(Some("Replace"), Some(vec![1])).unwrap(), Directive::Replace(vec![1]));
        assert_eq!(of(Some("replace"), None).unwrap(), Directive::Replace(vec![]));
        for (word, given) in [("move", None), ("", None), ("copy", Some(vec![1]))] {
            assert!(of(Some(word), given).unwrap_err().message().starts_with("tagging-directive is"), "{word}");
        }
    }

    #[test]
    fn tags_are_read_as_headers_carry_them() {
        let tags =
            |pairs: &[(&str, &str)]| -> Tags { pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect() };
        assert_eq!(parse_tagging("").unwrap(), tags(&[]));
        assert_eq!(
            parse_tagging("TagA=A&b%26=%2B+%E7%85%A7&empty").unwrap(),
            tags(&[("TagA", "A"), ("b&", "+ 照"), ("empty", "")])
        );
        let eleven: String = (0..11).map(|n| format!("k{n}=v&")).collect();
        for text in [&eleven, "a=1&a=2", "=x", "%FF=x"] {
            assert_eq!(parse_tagging(text).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }
}
