//! Fields that are written in more than one way.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

use crate::base::ByteSize;

/// Bytes: a whole number, or a text such as `"512MiB"`.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(Size { word: None }).map(|given| given.flatten())
}

/// Bytes per second, or `"none"` for as fast as they come.
pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    deserializer.deserialize_any(Size { word: Some("none") })
}

/// Takes a size; the outer `Option` is there for fields that may be left out.
struct Size {
    /// Also taken, for no size at all.
    word: Option<&'static str>,
}

impl Visitor<'_> for Size {
    type Value = Option<Option<u64>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes as a whole number, or a text such as \"512MiB\"")?;
        self.word.map_or(Ok(()), |word| write!(f, ", or {word:?}"))
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Self::Value, E> {
        Ok(Some(Some(bytes)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if self.word == Some(text) {
            return Ok(Some(None));
        }
        let size: ByteSize = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
        Ok(Some(Some(size.0)))
    }
}
