//! `oss://bucket/prefix` and `s3://bucket/prefix`.

use std::fmt;
use std::str::FromStr;

use super::problem::Problem;
use crate::base::BucketName;
use crate::store::Dialect;

/// The longest name that any service has ever given a bucket, in bytes.
const LONGEST_NAME: usize = 255;

/// A bucket, and a key or prefix in it. What follows the bucket is raw: percent signs, question marks and doubled
/// slashes stand for themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketUrl {
    /// The protocol to speak.
    pub dialect: Dialect,
    /// The bucket that the URL names.
    pub bucket: BucketName,
    /// What follows `bucket/`, as written.
    pub path: String,
}

impl BucketUrl {
    /// The path as a directory: empty for the whole bucket, else ending in `/`.
    pub fn directory(&self) -> String {
        match self.path.as_str() {
            "" => String::new(),
            path if path.ends_with('/') => path.to_owned(),
            path => format!("{path}/"),
        }
    }

    /// The path as a key, and the version after `?versionId=` if one is named.
    pub fn key_and_version(&self) -> (&str, Option<&str>) {
        match self.path.rsplit_once("?versionId=") {
            Some((key, version)) if !version.is_empty() => (key, Some(version)),
            _ => (&self.path, None),
        }
    }

    /// Reads a URL as `mount` takes it: also one without a bucket, which stands for all of them.
    pub fn parse_mount(text: &str) -> Result<Self, Problem> {
        let dialect = match text.strip_prefix("ossmount#").unwrap_or(text) {
            "oss://" | "oss:///" => Dialect::Oss,
            "s3://" | "s3:///" => Dialect::S3,
            _ => return text.parse(),
        };
        Ok(BucketUrl { dialect, bucket: BucketName::new(""), path: String::new() })
    }

    /// Whether it names no bucket and stands for all.
    pub fn is_account(&self) -> bool {
        self.bucket.as_str().is_empty()
    }

    /// Whether a text looks like a URL rather than a path.
    pub fn is_url(text: &str) -> bool {
        let text = text.strip_prefix("ossmount#").unwrap_or(text);
        text.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
        })
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.dialect {
            Dialect::Oss => "oss",
            Dialect::S3 => "s3",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

impl FromStr for BucketUrl {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let fail = |what: &str| Problem::usage(format!("{text:?} {what}"));
        let plain = text.strip_prefix("ossmount#").unwrap_or(text);
        let (scheme, rest) = plain
            .split_once("://")
            .ok_or_else(|| fail("is not a bucket URL; write oss://bucket/prefix or s3://bucket/prefix"))?;
        let dialect = match scheme.to_ascii_lowercase().as_str() {
            "oss" => Dialect::Oss,
            "s3" | "s3a" => Dialect::S3,
            "http" | "https" => {
                return Err(fail("names a host; write oss://bucket/prefix and give the host with --endpoint"));
            }
            _ => return Err(fail("has an unknown scheme; write oss://bucket/prefix or s3://bucket/prefix")),
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(fail("names no bucket; write oss://bucket/prefix"));
        }
        if !bucket.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            // What is no name may be a password.
            let what = "a bucket name consists of letters, digits, - . and _; write oss://bucket/prefix";
            return Err(Problem::usage(match bucket.contains('@') {
                true => format!("{scheme}://...: {what}, and give the access key in another way"),
                false => format!("{text:?} has no valid bucket name: {what}"),
            }));
        }
        let is_end = |c: char| c.is_ascii_alphanumeric();
        if bucket.len() > LONGEST_NAME
            || !bucket.starts_with(is_end)
            || !bucket.ends_with(is_end)
            || bucket.contains("..")
        {
            return Err(fail("has no valid bucket name; a name begins and ends with a letter or digit"));
        }
        Ok(BucketUrl { dialect, bucket: BucketName::new(bucket), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_may_name_no_bucket() {
        for (text, prints) in [("oss://", "oss://"), ("s3://", "s3://"), ("ossmount#oss:///", "oss://")] {
            let url = BucketUrl::parse_mount(text).unwrap();
            assert!(url.is_account() && text.parse::<BucketUrl>().is_err(), "{text}");
            assert_eq!((url.to_string().as_str(), url.directory().as_str()), (prints, ""));
        }
        assert!(!BucketUrl::parse_mount("oss://b/p").unwrap().is_account());
        assert!(BucketUrl::parse_mount("oss:////p").is_err());
    }

    #[test]
    fn urls_read_and_print() {
        for (text, dialect, bucket, path, directory) in [
            ("oss://b", Dialect::Oss, "b", "", ""),
            ("oss://b/", Dialect::Oss, "b", "", ""),
            ("s3://b.c_d/models", Dialect::S3, "b.c_d", "models", "models/"),
            ("ossmount#oss://b/m/", Dialect::Oss, "b", "m/", "m/"),
            ("OSS://b/100%25/ü?x#y", Dialect::Oss, "b", "100%25/ü?x#y", "100%25/ü?x#y/"),
            ("oss://b//a", Dialect::Oss, "b", "/a", "/a/"),
        ] {
            let url: BucketUrl = text.parse().unwrap();
            assert_eq!((url.dialect, url.bucket.as_str(), url.path.as_str()), (dialect, bucket, path), "{text}");
            assert_eq!(url.directory(), directory, "{text}");
            assert_eq!(url.to_string().parse::<BucketUrl>().unwrap(), url);
        }
    }

    #[test]
    fn wrong_urls_say_what_is_right() {
        for (text, says) in [
            ("bucket", "write oss://bucket/prefix"),
            ("oss:/b", "is not a bucket URL"),
            ("gs://b", "unknown scheme"),
            ("https://b.oss-cn-hangzhou.aliyuncs.com/x", "--endpoint"),
            ("oss://", "names no bucket"),
            ("oss:///x", "names no bucket"),
            ("oss://a b/x", "has no valid bucket name"),
            ("oss://user:secret@b/x", "give the access key in another way"),
            ("oss://-b", "has no valid bucket name"),
            ("oss://b.", "has no valid bucket name"),
            ("s3://a..b/x", "has no valid bucket name"),
            ("s3://..", "has no valid bucket name"),
            (&format!("s3://{}", "b".repeat(256)), "has no valid bucket name"),
        ] {
            let problem = text.parse::<BucketUrl>().unwrap_err();
            assert!(problem.sentence.contains(says) && problem.code() == 2, "{text}: {problem}");
            assert!(!problem.sentence.contains("secret"), "{problem}");
        }
        assert!(format!("s3://{}", "b".repeat(255)).parse::<BucketUrl>().is_ok());
    }

    #[test]
    fn a_version_follows_the_key() {
        let url: BucketUrl = "oss://b/a?b?versionId=CAE".parse().unwrap();
        assert_eq!(url.key_and_version(), ("a?b", Some("CAE")));
        let url: BucketUrl = "oss://b/a?versionId=".parse().unwrap();
        assert_eq!(url.key_and_version(), ("a?versionId=", None));
    }

    #[test]
    fn urls_are_told_from_paths() {
        for (text, is) in
            [("oss://b", true), ("ossmount#s3://b", true), ("/a://b", false), ("a/b", false), ("://", false)]
        {
            assert_eq!(BucketUrl::is_url(text), is, "{text}");
        }
    }
}
