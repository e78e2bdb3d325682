//! Reading objects: streams, windows, fetching, the memory budget, integrity.
//!
//! A [`File`] is a handle on an inode's shared state (`inode`). A read is shown to the inode's table of streams
//! (`stream`, `window`), which says how to fetch what it misses; `planner` cuts that into GETs; `fetcher` runs them into
//! parts (`part`, `buffer`), from which the read, and whoever else waits for the same bytes, is answered as soon as its
//! bytes are in. Ahead of readers, GETs start as places, memory (`budget`) and the network (`pipe`) allow, last of all
//! those for objects that will probably be opened next (`expect`), unless a recorded load (`trace`, `recorder`) says what
//! comes next (`replay`, `follow`); what was read stays until memory is wanted (`keep`), or the machine is short of it
//! (`pressure`). What somebody asks for by name is fetched whole (`fetch`). Whole objects are compared with the store's
//! checksum (`integrity`), and what is wrong is taken back (`corrupt`); answers with the version that was opened
//! (`version`). Objects that are all there can be read by the kernel itself from then on (`whole`). `counted` says how
//! reads are counted, `waiter` what becomes of those that are given up.
//!
//! Errors of the store pass through as they are; what they mean to a program is decided in `fs`.

mod agenda;
mod backing;
mod budget;
mod buffer;
mod corrupt;
#[cfg(test)]
mod corrupt_tests;
mod counted;
mod credit;
mod expect;
#[cfg(test)]
mod expect_tests;
mod failures;
mod fetch;
#[cfg(test)]
mod fetch_tests;
mod fetcher;
mod file;
mod follow;
#[cfg(test)]
mod follow_tests;
mod inode;
mod integrity;
mod layout;
mod marks;
mod mode;
#[cfg(test)]
mod model_tests;
mod object;
mod options;
mod part;
mod pipe;
mod planner;
mod pool;
mod pressure;
mod pump;
mod reader;
mod reclaim;
mod recorder;
mod replay;
mod shortage;
mod slice;
mod stream;
mod streams;
mod tensors;
#[cfg(test)]
mod tests;
mod trace;
mod tuning;
mod version;
mod waiter;
mod whole;
#[cfg(test)]
mod whole_tests;
mod why;

pub use agenda::Cause;
pub use fetch::Pin;
pub use file::File;
pub use integrity::{Verified, WrongBytes};
pub use object::{Held, Object};
pub use options::{MemoryCache, Options, Passthrough, Prefetch, Verify};
pub use pressure::{Alarm, Change, Headroom, Observation};
pub use reader::Reader;
pub use slice::Slice;
pub use trace::{MOST_TRACE_BYTES, Trace, TraceError};
pub use tuning::Tuning;
pub use whole::Whole;
