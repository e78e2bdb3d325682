//! Server-side copies: the service copies objects, and none of their bytes pass through this machine.
//!
//! A [`Copier`] takes a [`Request`] and answers a job number at once; [`Status`] tells how far the job is. What has to
//! be decided is `plan`, a pure function: one request up to a threshold; above it a shallow copy where the service may
//! copy without moving data; else parts, several at a time. `object` does it for one object, `prefix` for all
//! below a prefix, and `jobs` keeps the jobs: their queue, their limits, their end. `reach` says which objects a
//! mount's copies may touch.
//!
//! Which buckets there are, and with whose credentials, is behind [`Buckets`]. Nothing here knows of paths, of JSON
//! requests, or of who may ask.
//!
//! | file | what it owns |
//! |---|---|
//! | `buckets` | which buckets there are, and how they are reached |
//! | `copying` | one object on its way: the requests that copy it, and whether the copy is right |
//! | `jobs` | the jobs: queue, limits, status, cancellation |
//! | `object` | copying one object |
//! | `parts` | copying an object in parts: begin or resume, complete, or abort |
//! | `plan` | how an object is copied: a pure function |
//! | `prefix` | copying all objects below a prefix |
//! | `reach` | which objects the copies of a mount may read and write |
//! | `request` | what to copy where, and how |
//! | `status` | the status of a job, and its JSON |
//! | `work` | what the tasks of a job share: progress and cancellation |

mod buckets;
mod copying;
mod jobs;
mod object;
mod parts;
mod plan;
mod prefix;
mod reach;
mod request;
mod status;
#[cfg(test)]
mod tests;
mod work;

pub use crate::store::{Metadata, Overwrite, StorageClass, Tags};
pub use buckets::{Account, Bucket, Buckets};
pub use jobs::Copier;
pub use reach::{Area, Reach};
pub use request::{Destination, Directive, Existing, Request, Scope, Source, parse_tagging};
pub use status::{Failure, JobId, Made, Manner, Objects, Place, Problem, Progress, State, Status};
pub use work::Written;

/// How copies are made where a request does not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of a part, 100 KiB to 5 GiB; more where an object would have over 10,000 parts.
    pub part_bytes: u64,
    /// Parts of one object under way at once, at least 1.
    pub parallel: usize,
    /// Objects of more bytes are not copied in one plain request.
    pub threshold_bytes: u64,
    /// What becomes of the parts of a copy that fails or is cancelled.
    pub left_parts: LeftParts,
    /// Whether one request is tried for objects above the threshold.
    pub shallow: Shallow,
    /// Copying requests under way at once, all jobs together, at least 1.
    pub requests: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            part_bytes: 64 << 20,
            parallel: 3,
            threshold_bytes: 200 << 20,
            left_parts: LeftParts::Abort,
            shallow: Shallow::Try,
            requests: 32,
        }
    }
}

/// What becomes of the parts of a copy that fails or is cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LeftParts {
    /// The service forgets them.
    #[default]
    Abort,
    /// They stay, are paid for, and a later copy may go on from them.
    Leave,
}

/// Whether one request is tried for an object above the threshold, where the service may only have to write down a
/// name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Shallow {
    /// It is tried, for as long as 30 s.
    #[default]
    Try,
    /// Objects above the threshold are copied in parts.
    Off,
}
