//! Where local bytes live: the memory tier of whole files, and the disk tier. It never fetches.
//!
//! The memory tier ([`Memory`], [`MemoryFile`]) gives an object a file in memory: bodies are received into its mapping
//! ([`Stretch`]), replies are written from there, and once it is complete the kernel can read it by itself. `read`
//! decides which files are kept, and for how long. The disk tier ([`Disk`]) keeps on disk what was fetched.
//!
//! | file | what it owns |
//! |---|---|
//! | `disk` | what was fetched, on local disks |
//! | `memory` | files in memory, on a file system that is mounted nowhere |

mod disk;
mod memory;

pub use disk::{
    Bytes, Cached, Claim, Course, Disk, DiskFile, DiskOptions, Filled, Identity, InUse, Survey, ToKeep, block_around,
    blocks_within, clear, survey, verify,
};
pub use memory::{Memory, MemoryFile, Rests, Stretch};
