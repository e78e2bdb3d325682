//! What differs between OSS and S3 beyond signing: hosts, header names, how listings encode names, error codes.
//!
//! [`Rules`] is the table of facts that the operations read; a file per dialect fills it in.
//!
//! | file | what it owns |
//! |---|---|
//! | `oss` | Alibaba Cloud OSS |
//! | `s3` | Amazon S3 and compatible servers |

mod oss;
mod s3;

use super::{Dialect, ErrorKind};

/// The facts of one dialect.
#[derive(Debug)]
pub(super) struct Rules {
    /// What the names of its own headers start with.
    pub(super) prefix: &'static str,
    /// Headers that every ranged GET carries.
    pub(super) range_headers: &'static [(&'static str, &'static str)],
    /// Whether `+` in an encoded name of a listing stands for a space.
    pub(super) plus_is_space: bool,
    /// Whether continuation tokens of encoded listings are encoded like the names.
    pub(super) tokens_are_encoded: bool,
    /// The kind of an error code, where the code says more than the status.
    pub(super) kind_of: fn(&str) -> Option<ErrorKind>,
    /// Which endpoint a region has.
    pub(super) host: fn(region: &str, reach: Reach) -> Result<String, &'static str>,
    /// What a well-known host says of itself.
    pub(super) known_host: fn(&str) -> Option<KnownHost>,
}

impl Rules {
    /// The rules of a dialect.
    pub(super) fn of(dialect: Dialect) -> &'static Rules {
        match dialect {
            Dialect::Oss => &oss::RULES,
            Dialect::S3 => &s3::RULES,
        }
    }

    /// The full name of one of the dialect's headers: `x-oss-` or `x-amz-` and this.
    pub(super) fn header(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// By which way a region is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    Public,
    Internal,
    DualStack,
    Accelerate,
}

/// What a well-known host says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KnownHost {
    /// `None` where one host serves all regions.
    pub(super) region: Option<String>,
    /// The product that V4 signatures name.
    pub(super) product: &'static str,
}

/// Codes that both dialects use alike.
fn common_kind(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "NoSuchBucket" => ErrorKind::NoSuchBucket,
        "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" => ErrorKind::NotFound,
        "InvalidObjectState" => ErrorKind::Archived,
        "PreconditionFailed" => ErrorKind::Changed,
        "EntityTooLarge" => ErrorKind::TooLarge,
        "InvalidRange" => ErrorKind::RangeNotSatisfiable,
        "InvalidAccessKeyId" => ErrorKind::Credentials,
        "RequestTimeTooSkewed" => ErrorKind::ClockSkew,
        "PermanentRedirect" | "TemporaryRedirect" => ErrorKind::WrongRegion,
        "RequestTimeout" => ErrorKind::Timeout,
        "NotImplemented" => ErrorKind::Unsupported,
        "InternalError" => ErrorKind::Server,
        "SlowDown" | "Throttling" | "TooManyRequests" => ErrorKind::Throttled,
        _ if code.ends_with("LimitExceeded") => ErrorKind::Throttled,
        _ => return None,
    })
}
