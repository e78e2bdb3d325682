//! Where local bytes live: the memory tier of whole files, and the disk tier. It never fetches.
//!
//! The memory tier ([`Memory`], [`MemoryFile`]) gives an object a file in memory: bodies are received into its mapping
//! ([`Stretch`]), replies are written from there, and once it is complete the kernel can read it by itself. `read`
//! decides which files are kept, and for how long. The disk tier is not built yet.
//!
//! | file | what it owns |
//! |---|---|
//! | `memory` | files in memory, on a file system that is mounted nowhere |

mod memory;

pub use memory::{Memory, MemoryFile, Rests, Stretch};
