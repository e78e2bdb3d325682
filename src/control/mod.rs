//! Control requests: what may be asked of a live mount, the JSON of it, and who may ask.
//!
//! A request is a JSON object with `op`, optionally `version`, and the fields of that operation; [`Request::parse`]
//! turns its bytes into a [`Request`] or a [`Refusal`], which says in a sentence what is wrong. An unknown
//! field or word is refused by its name, so that a misspelt one is never ignored. [`may`] says who is served.
//!
//! No I/O: `fs` performs requests, `fuse` and `app` receive them.
//!
//! | file | what it owns |
//! |---|---|
//! | `answer` | answers, and their JSON |
//! | `caller` | who may ask for what |
//! | `copy` | the request to copy, and what its two sides name |
//! | `fields` | fields that are written in more than one way |
//! | `refusal` | why a request was not done |
//! | `request` | requests, from their bytes |

mod answer;
mod caller;
mod copy;
mod fields;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{
    Dropped, Exposition, Failure, Freshness, Health, JobState, Pinned, PrefetchJobs, Prefetched, Prefetching, Started,
};
pub use caller::{Asker, Effect, Way, may};
pub use copy::{Copy, Place};
pub use refusal::{Kind, Refusal};
pub use request::{Destination, Drop, Job, LogLevel, Pin, Prefetch, PrefetchMode, Refresh, Request, Set, Stat, Stats};

/// The version of requests and answers that this program speaks.
pub const VERSION: u64 = 1;

/// The longest request, in bytes. A list of a thousand long paths fits.
pub const MOST_REQUEST_BYTES: usize = 256 << 10;

/// The most paths in one request.
pub const MOST_PATHS: usize = 4096;

/// The longest that a request which waits is held, in seconds. A client that wants to wait longer asks again: the
/// kernel lets no process go, not even to be killed, before an ioctl is answered.
pub const MOST_WAIT_SECONDS: u64 = 10;
