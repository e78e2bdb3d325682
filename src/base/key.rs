//! The names of an object: bucket, key, entity tag, inode number.

use std::fmt;
use std::sync::Arc;

/// The name of a bucket: 3 to 63 of `[a-z0-9-]` on OSS; S3-compatible stores allow dots and underscores as well.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Wraps a bucket name; the server is the judge of its form.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        BucketName(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object key: UTF-8, 1 to 1023 bytes on OSS, raw (never percent-encoded, never normalised), counted from the
/// root of the bucket. Keys order by their bytes, as listings do.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Wraps a key as it is.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Key(key.into())
    }

    /// The raw key, as the store has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entity tag without its quotes. Servers send it with or without quotes and in either case, so equality ignores
/// the case and the text is kept as the server wrote it.
///
/// Tags as servers make them (32 digits, and perhaps the number of parts) take no memory elsewhere: listings hold
/// millions.
#[derive(Clone)]
pub struct ETag(Tag);

/// The text of an entity tag.
#[derive(Clone)]
enum Tag {
    /// In the first `len` bytes, which are UTF-8.
    Short {
        len: u8,
        bytes: [u8; SHORT],
    },
    Long(Arc<str>),
}

/// Bytes of a tag that is kept in place.
const SHORT: usize = 38;

impl Tag {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Tag::Short { len: text.len() as u8, bytes }
            }
            None => Tag::Long(text.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // It was made of a text, so that it is one.
            Tag::Short { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Tag::Long(text) => text,
        }
    }
}

impl ETag {
    /// Parses a header or XML value: surrounding blanks, a weak prefix `W/` and quotes are removed. `None` when
    /// nothing is left, and for a tag with a control character, which no `If-Match` could carry.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let value = value.strip_prefix("W/").unwrap_or(value);
        let value = value.strip_prefix('"').unwrap_or(value);
        let value = value.strip_suffix('"').unwrap_or(value);
        let has_control = match value.is_ascii() {
            true => value.bytes().any(|byte| byte.is_ascii_control()),
            false => value.contains(char::is_control),
        };
        (!value.is_empty() && !has_control).then(|| ETag(Tag::new(value)))
    }

    /// The tag without quotes.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The tag in quotes, as `If-Match` wants it.
    pub fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl PartialEq for ETag {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for ETag {}

/// An inode number as the kernel sees it. The root of a mount is [`Ino::ROOT`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u64);

impl Ino {
    /// FUSE gives the root of every mount the number 1.
    pub const ROOT: Ino = Ino(1);
}

macro_rules! show_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    )*};
}
show_as_text!(BucketName, Key, ETag);

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ino {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_come_in_many_coats() {
        let plain = ETag::parse("5B3C1A").unwrap();
        for coat in ["\"5B3C1A\"", "5b3c1a", " \"5b3c1a\" ", "W/\"5B3C1A\""] {
            assert_eq!(ETag::parse(coat), Some(plain.clone()), "{coat}");
        }
        assert_eq!(plain.quoted(), "\"5B3C1A\"");
        let long = "0123456789".repeat(9);
        for len in [1, SHORT - 1, SHORT, SHORT + 1, 90] {
            assert_eq!(ETag::parse(&long[..len]).unwrap().as_str(), &long[..len]);
        }
        assert_eq!(ETag::parse("\"\""), None);
        assert_eq!(ETag::parse("a\nb"), None);
        assert_eq!(ETag::parse("  "), None);
    }
}
