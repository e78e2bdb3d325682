//! What makes bytes what they are, and the name that follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One version of an object of one store. Equal identities mean equal bytes, also in another process or year.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The store: its dialect, host and bucket.
    pub origin: String,
    /// The key in the bucket.
    pub key: String,
    /// The version, where one was asked for by name.
    pub version: Option<String>,
    /// The entity tag. What has none has no identity.
    pub etag: String,
    /// The size in bytes.
    pub size: u64,
}

/// The name of an identity: 128 bits of a hash. The identity stands beside the bytes too, so that two of one name are
/// told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(pub(super) u128);

impl Identity {
    pub(super) fn name(&self) -> Name {
        let mut hash = Sha256::new();
        let version = self.version.as_deref().unwrap_or("");
        for field in [&self.origin, &self.key, version, &self.etag] {
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        hash.update([u8::from(self.version.is_some())]);
        hash.update(self.size.to_le_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&hash.finalize()[..16]);
        Name(u128::from_be_bytes(first))
    }
}

impl Name {
    /// The directory that files of this name lie in.
    pub(super) fn directory(self) -> String {
        format!("{:02x}", self.0 >> 120)
    }

    /// The name that is written so.
    pub(super) fn parse(text: &str) -> Option<Name> {
        let is_name = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        u128::from_str_radix(text, 16).ok().filter(|_| is_name).map(Name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_changes_the_name_and_none_runs_into_the_next() {
        let base =
            Identity { origin: "oss://host/bucket".into(), key: "a".into(), version: None, etag: "bc".into(), size: 7 };
        let others = [
            Identity { origin: "oss://host/bucke".into(), key: "ta".into(), ..base.clone() },
            Identity { key: "ab".into(), etag: "c".into(), ..base.clone() },
            Identity { version: Some(String::new()), ..base.clone() },
            Identity { etag: "bd".into(), ..base.clone() },
            Identity { size: 8, ..base.clone() },
        ];
        let mut names: Vec<Name> = others.iter().map(Identity::name).collect();
        names.push(base.name());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), others.len() + 1);
        assert_eq!(base.name(), base.clone().name());
    }

    #[test]
    fn a_name_is_written_and_read() {
        let name = Name(0x00ab_0000_0000_0000_0000_0000_0000_0001);
        assert_eq!((name.to_string().len(), name.directory().as_str()), (32, "00"));
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for wrong in ["", "00", &"g".repeat(32), &"A".repeat(32), &format!("+{}", "0".repeat(31))] {
            assert_eq!(Name::parse(wrong), None, "{wrong}");
        }
    }
}
