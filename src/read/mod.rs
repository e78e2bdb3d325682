//! Reading objects: streams, windows, fetching, the memory budget, integrity.
//!
//! A [`File`] is a handle on an inode's shared state. A read is shown to the inode's streams, which say how to fetch
//! what it misses; that is cut into GETs, which fill parts, and the read, with all others that wait for the same bytes,
//! is answered as soon as its bytes are in. Ahead of readers, GETs start as places, memory and the network allow, in
//! the order of their reasons (`why`). What was read stays until memory is wanted. Whole objects are compared with the
//! store's checksum, and the kernel may read by itself those that are all in memory.
//!
//! Errors of the store pass through as they are; what they mean to a program is decided in `fs`.
//!
//! | file | owns |
//! |---|---|
//! | `options`, `object` | how a mount reads; which version of an object is opened, and what is held of it |
//! | `tuning` | the tuned numbers, each with its reason |
//! | `reader` | what all open objects share, and which there are |
//! | `file` | an open object: how a read is answered |
//! | `inode` | what the handles of one object share: its parts, its goals, its lock |
//! | `inode/ahead` | which part of the object is fetched next, for each reason |
//! | `inode/by_name` | the part of an inode that prefetches by name and pins use |
//! | `inode/verification` | comparing what has arrived with the checksum |
//! | `stream`, `streams` | one sequential reader and its window; which stream a read belongs to |
//! | `runs` | how long the runs of an object are, and how far apart |
//! | `steps` | places at equal distances, and those that will follow |
//! | `around` | where the kernel is refused what it reads around page faults |
//! | `heads` | whether the first read of a file opens a window |
//! | `look_ups` | when random reads have cost as much as fetching the complete file |
//! | `layout`, `tensors` | where the tensors of a model or the members of an archive are; which come next |
//! | `plan` | how a read is fetched, as the streams decide |
//! | `planner` | how gaps are cut into GETs |
//! | `why` | the reasons to fetch early, in one table; goals and seats |
//! | `agenda` | the queues for them, and the places they share |
//! | `pump` | whose turn it is |
//! | `right_of_way` | what is received in the background gives way to what programs wait for |
//! | `expect`, `credit` | objects that will probably be opened; how many bytes may be spent on such guesses |
//! | `trace`, `recorder` | a recorded load as text; how it is recorded |
//! | `replay`, `follow` | the position in a recorded load; prefetching along it |
//! | `fetch` | prefetching, pinning and dropping objects by name |
//! | `mode` | the option `prefetch`, for each object |
//! | `fetcher` | the task that runs a GET |
//! | `part` | the bytes of one GET, and which reads wait for them |
//! | `slice` | the bytes that a read answers with |
//! | `waiter` | waiting reads that are cancelled |
//! | `failures` | recent errors, so that a read repeated by the kernel fails at once |
//! | `accounting` | how reads are counted |
//! | `pipe` | the measured throughput and latency of the network, which bound windows |
//! | `pace` | how fast programs use what is there, which bounds windows as well |
//! | `buffer`, `pool` | memory that bytes arrive in; blocks kept for the next buffers |
//! | `budget` | the memory limit, and who may fill how much of it |
//! | `reclaim`, `shortage` | the parts that may be evicted, in order; when they are |
//! | `pressure` | how much may be held while the machine is short of memory |
//! | `backing`, `whole` | files in memory that parts arrive in; those that the kernel reads by itself |
//! | `disk` | parts that come from the disk cache, and parts that are kept there |
//! | `edges` | blocks of the disk cache of which several parts have some |
//! | `sums` | checksums of a part and of its blocks, as the bytes come |
//! | `marks`, `version` | how the open version is recognised: tags, size, time; what happens when they differ |
//! | `integrity` | checksums of stretches and of the whole |
//! | `corrupt` | what happens after a checksum did not match |
//! | `hold`, `proof` | holding bytes back until their object was compared with its checksum; whether that is so |

mod accounting;
mod agenda;
mod around;
mod backing;
mod budget;
mod buffer;
mod corrupt;
#[cfg(test)]
mod corrupt_tests;
mod credit;
mod disk;
#[cfg(test)]
mod disk_tests;
mod edges;
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
mod heads;
mod hold;
mod inode;
mod integrity;
#[cfg(test)]
mod judge_tests;
mod layout;
#[cfg(test)]
mod line_tests;
mod look_ups;
mod marks;
mod mode;
#[cfg(test)]
mod model_tests;
mod object;
mod options;
mod pace;
#[cfg(test)]
mod page_cache_tests;
mod part;
mod pipe;
mod plan;
mod planner;
mod pool;
mod pressure;
mod proof;
#[cfg(test)]
mod proof_tests;
mod pump;
mod reader;
mod reclaim;
mod recorder;
mod replay;
mod right_of_way;
#[cfg(test)]
mod right_of_way_tests;
mod runs;
mod shortage;
mod slice;
mod steps;
mod stream;
mod streams;
#[cfg(test)]
mod streams_tests;
mod sums;
mod tensors;
#[cfg(test)]
mod tensors_tests;
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
pub use object::{Batch, Held, Object};
pub use options::{MemoryCache, NearTrust, Options, Passthrough, Prefetch, Verify};
pub use pressure::{Alarm, Change, Headroom, Observation};
pub use reader::Reader;
pub use slice::Slice;
pub use trace::{MOST_TRACE_BYTES, Trace, TraceError};
pub use tuning::Tuning;
pub use whole::Whole;
