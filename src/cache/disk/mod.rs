//! The disk tier: bytes that were fetched once stay on a local disk, for the next process, mount and boot.
//!
//! It never fetches. `read` asks it for the bytes of a part before it asks the store, and gives it what has come from
//! there. What is right is not a matter of trust in the disk: a block is there only if it is recorded, and is shown
//! only if its bytes fit the checksum that was recorded with them. All else is a miss.
//!
//! No reader waits for what is written, and none sees an error of the disk: threads of its own do the waiting, a queue
//! that is full drops what comes, and a directory that fails is left alone for a while.
//!
//! | file | what it owns |
//! |---|---|
//! | `claims` | which daemon fetches what |
//! | `course` | where the next bytes come from: disk, store, or another daemon that fetches them |
//! | `direct` | reading and writing past the page cache |
//! | `directory` | a directory in use: threads that wait for its disk, and how well that works |
//! | `duel` | whether what comes new into a full cache is worth what it pushes out |
//! | `entry` | one object, as `read` sees it |
//! | `held` | one object on disk: which blocks are there, reading and writing them |
//! | `identity` | what makes bytes what they are, and their name |
//! | `map` | which blocks of an object are there, as it stands on disk |
//! | `opens` | which objects were opened of late, by all daemons that share a directory |
//! | `place` | a cache directory: its files, and what all daemons that share it agree on |
//! | `queue` | what waits to be written |
//! | `rest` | when a directory is left alone, and when it is tried again |
//! | `room` | how much may be held, and what goes when that is too much |
//! | `segments` | small objects, many to a file |
//! | `survey` | what commands show and check of a directory that no mount need use |
//! | `tier` | all directories of a daemon, and its threads |
//! | `usage` | how many bytes a directory holds, counted by all daemons that share it |
//! | `words` | bytes and numbers of files, as they lie there |

mod claims;
mod course;
mod direct;
mod directory;
mod duel;
mod entry;
mod held;
mod identity;
mod map;
mod opens;
mod place;
mod queue;
mod rest;
mod room;
mod segments;
#[cfg(test)]
mod sharing_tests;
mod survey;
#[cfg(test)]
mod tests;
mod tier;
mod usage;
mod words;

pub use claims::Claim;
pub use course::Course;
pub use entry::{Cached, DiskFile, Filled, InUse, ToKeep};
pub use identity::Identity;
pub use map::{block_around, blocks_within};
pub use queue::Bytes;
pub use survey::{Survey, clear, survey, verify};
pub use tier::{Disk, DiskOptions};
