//! The status of a job. In JSON, names are those of the fields with hyphens, and unknown values are absent.

use std::fmt;

use serde::Serialize;

use crate::store::{Copied, Error};

/// The number of a job, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Other jobs go before it.
    #[default]
    Queued,
    /// The job is under way.
    Running,
    /// The copy is there and right. Below a prefix: of every object.
    Done,
    /// [`Status::error`] says why. Below a prefix: the listing failed, or some objects did.
    Failed,
    /// As was asked for.
    Cancelled,
}

impl State {
    /// Whether nothing more will happen.
    pub fn is_ended(self) -> bool {
        matches!(self, State::Done | State::Failed | State::Cancelled)
    }
}

/// How an object is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// The object is copied in one request.
    Single,
    /// In one request, though it is above the threshold.
    Shallow,
    /// The object is copied in parts.
    Parts,
}

/// How far a job is, and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The number of the job.
    pub job: JobId,
    /// The state that the job is in.
    pub state: State,
    /// The object or prefix that is copied.
    pub source: Place,
    /// Where it is copied to.
    pub destination: Place,
    /// How it is copied, once that is decided. One object only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manner: Option<Manner>,
    /// Bytes of the source.
    pub bytes: Progress,
    /// Parts; a copy in one request counts as one.
    pub parts: Progress,
    /// The objects below a prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Objects>,
    /// The first objects below a prefix that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// What was made. One object only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Made>,
    /// Why the job failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// The upload whose parts were left behind, for a later copy to go on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
}

/// An object, or a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The name of the bucket.
    pub bucket: String,
    /// The raw key or prefix.
    pub key: String,
    /// The version asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// So much of so much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Progress {
    /// Bytes that are copied.
    pub done: u64,
    /// What there is to do, as far as is known.
    pub total: u64,
}

/// The objects below a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Objects {
    /// Objects that are copied.
    pub done: u64,
    /// Left out, because the same was there already.
    pub skipped: u64,
    /// Objects that could not be copied.
    pub failed: u64,
    /// Objects that were found so far.
    pub total: u64,
    /// Whether more may be found.
    pub listing: bool,
}

/// An object that was not copied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failure {
    /// The raw key of the source.
    pub key: String,
    /// Why the object was not copied.
    pub error: Problem,
}

/// What went wrong with a copy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// In one sentence, with everything that is known.
    pub message: String,
    /// The service's own code, such as `AccessDenied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The service's name for the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Problem {
            message: error.to_string(),
            code: error.code().map(str::to_owned),
            status: error.status(),
            request_id: error.request_id().map(str::to_owned),
        }
    }
}

/// The object that a copy made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Made {
    /// Its tag, without quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// CRC-64/XZ of its bytes, in decimal as OSS writes it: JSON readers lose digits of such numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc64: Option<String>,
    /// The version of the new object, on versioned buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The service's name for the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl From<Copied> for Made {
    fn from(copied: Copied) -> Self {
        Made {
            etag: copied.etag.map(|etag| etag.to_string()),
            crc64: copied.crc64.map(|crc64| crc64.to_string()),
            version_id: copied.version,
            request_id: copied.request_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    #[test]
    fn json_tells_what_is_known() {
        let place = |key: &str| Place { bucket: "b".into(), key: key.into(), version_id: None };
        let error = Error::new(ErrorKind::Conflict, "The object you specified is immutable.")
            .with_code("FileImmutable".to_owned())
            .with_status(409);
        let status = Status {
            job: JobId(7),
            state: State::Failed,
            source: place("from"),
            destination: place("to"),
            manner: Some(Manner::Parts),
            bytes: Progress { done: 1, total: 2 },
            parts: Progress::default(),
            objects: None,
            failures: Vec::new(),
            result: None,
            error: Some(Problem::from(&error)),
            upload_id: Some("U".into()),
        };
        expect_test::expect![[r#"{"job":7,"state":"failed","source":{"bucket":"b","key":"from"},"destination":{"bucket":"b","key":"to"},"manner":"parts","bytes":{"done":1,"total":2},"parts":{"done":0,"total":0},"error":{"message":"The object you specified is immutable. (status 409, FileImmutable)","code":"FileImmutable","status":409},"upload-id":"U"}"#]]
            .assert_eq(&serde_json::to_string(&status).unwrap());
    }
}
