//! Which objects the copies of a mount may read and write.

use std::fmt;
use std::str::FromStr;

use crate::base::BucketName;

/// A bucket, or what lies below a prefix of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Area {
    bucket: BucketName,
    /// Empty, or ends with a slash.
    prefix: String,
}

impl Area {
    /// All keys of a bucket that begin with a prefix, which is taken for a directory: `a` means `a/`.
    pub fn new(bucket: BucketName, prefix: &str) -> Self {
        let prefix = match prefix {
            "" => String::new(),
            prefix if prefix.ends_with('/') => prefix.to_owned(),
            prefix => format!("{prefix}/"),
        };
        Area { bucket, prefix }
    }

    fn contains(&self, bucket: &BucketName, key: &str) -> bool {
        self.bucket == *bucket && key.starts_with(&self.prefix)
    }
}

impl FromStr for Area {
    type Err = String;

    /// Reads `BUCKET` or `BUCKET/PREFIX`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        if bucket.is_empty() || !bucket.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return Err(format!("{text:?} is neither BUCKET nor BUCKET/PREFIX"));
        }
        Ok(Area::new(BucketName::new(bucket), prefix))
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.prefix)
    }
}

/// Which objects copies may read and write: what is mounted, and what else the options name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The area that is mounted.
    pub mounted: Area,
    /// Where sources may lie besides.
    pub from: Vec<Area>,
    /// Where destinations may lie besides.
    pub to: Vec<Area>,
}

impl Reach {
    /// Whether a copy may read this object, or what lies below this prefix.
    pub fn may_read(&self, bucket: &BucketName, key: &str) -> bool {
        self.mounted.contains(bucket, key) || self.from.iter().any(|area| area.contains(bucket, key))
    }

    /// Whether a copy may write this object, or what lies below this prefix.
    pub fn may_write(&self, bucket: &BucketName, key: &str) -> bool {
        self.mounted.contains(bucket, key) || self.to.iter().any(|area| area.contains(bucket, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_buckets_or_directories_of_them() {
        for (text, bucket, key, inside) in [
            ("b", "b", "k", true),
            ("b", "b", "", true),
            ("b", "c", "k", false),
            ("b/", "b", "k", true),
            ("b/a", "b", "a/k", true),
            ("b/a/", "b", "a/", true),
            ("b/a", "b", "a", false),
            ("b/a", "b", "ab", false),
            ("b/a", "b", "", false),
            ("b/a/c", "b", "a/d", false),
        ] {
            let area: Area = text.parse().unwrap();
            assert_eq!(area.contains(&BucketName::new(bucket), key), inside, "{text} {bucket} {key}");
        }
        for wrong in ["", "/a", "oss://b", "b c"] {
            assert!(wrong.parse::<Area>().unwrap_err().contains("BUCKET/PREFIX"), "{wrong}");
        }
    }

    #[test]
    fn sources_and_destinations_are_named_apart() {
        let area = |text: &str| text.parse::<Area>().unwrap();
        let reach = Reach { mounted: area("own/models"), from: vec![area("in")], to: vec![area("out")] };
        for (bucket, key, read, write) in [
            ("own", "models/x", true, true),
            ("own", "payroll/x", false, false),
            ("in", "x", true, false),
            ("out", "x", false, true),
            ("other", "x", false, false),
        ] {
            let bucket = BucketName::new(bucket);
            assert_eq!((reach.may_read(&bucket, key), reach.may_write(&bucket, key)), (read, write), "{bucket} {key}");
        }
    }
}
