//! Decisions: design choices that a developer may want to reconsider, each with the measurement behind it.
//!
//! The machines had two cores and were shared: compare ratios, not times. A better measurement is a reason to change a
//! decision.
//!
//! | decision | instead of | what was measured |
//! |---|---|---|
//! | An HTTP client of its own (`store/http`) | hyper, reqwest | User CPU of the daemon, medians of five alternating runs: 1 GiB in order 0.18 s instead of 0.31 s, 800 files of 128 KiB 0.12 s instead of 0.17 s |
//! | A reader of XML of its own (`store/xml.rs`) | quick-xml | A page of 1000 keys in `ls`: 1.4 ms instead of 2.6 ms, with plain times and shared storage classes |
//! | The checksum folded 512 bits wide (`base/crc64/fold.rs`) | the crate's loop where there is no AVX-512 | 11 to 15 GB/s instead of 6 (AMD EPYC, 512 KiB at a time) |
//! | A second request for late answers (`store/layers/hedge.rs`) | waiting | One answer in a hundred half a second late: 99th percentile 75 ms instead of 501 ms |
//! | Nodes of 64 bytes in an arena (`tree/node.rs`) | a map of structs | 78 bytes a file beside its name, in whatever order pages come |
//! | Direct I/O for large files that are read in large pieces ([`direct-io`](super::tuning)) | the page cache for all | 0.12 s of CPU a GB instead of 0.37; in pieces of 4 KiB the page cache gives 3.1 GB/s instead of 0.23 |
//! | Windows that are not bounded in the first second (`read/stream.rs`) | small windows until the network is known | 256 MiB at 600 MB/s came 4 % more slowly with small ones |
//! | Read-arounds of page faults are refused where little of them is used (`read/around.rs`) | answering them in full | 64 rows of 16 KiB in a mapping of 256 MiB: 6.4 MB instead of 59.2, in 0.8 of the time (20 ms to the first byte) |
//! | Release builds without `overflow-checks`; what a service counts is added with saturation or checked | checks everywhere | Medians of 25 alternating runs on 2 cores: reading 1 GiB takes 1.04 times as long and 1.03 times the CPU with checks, listing 500,000 keys 0.99 and 1.02 |
//!
//! Other decisions follow from what the kernel and the stores allow:
//!
//! - **Files in memory lie on a tmpfs that is mounted nowhere** (`cache/memory.rs`). A memfd lies on a tmpfs of the
//!   kernel's, which nearly nowhere gives out huge pages: filling a file costs 1.0 to 2.0 CPU seconds a GB in pages of
//!   4 KiB and 0.13 in huge ones, and punching a hole 0.2 against 0.004.
//! - **Inode numbers are a function of bucket, key and entity tag** (`tree/ino.rs`), so that they are the same after a
//!   remount without a table, and change when the object does.
//! - **Log files are rotated without a crate** (`app/daemon/log/sink.rs`, some 20 lines). Crates for it open and rename
//!   files themselves, and files that may lie in a folder of other users are opened by `files` alone. The sink also has
//!   to open the file anew at SIGHUP or after its removal, and to pass lines that a full disk does not take to the
//!   system's log, so that rotation is the smaller part of it. logrotate works, too.
//! - **The FUSE crate is pinned** (`fuser` 0.18): `fuse` works around known faults of this version.
//! - **Messages to systemd are written without a crate** (`app/daemon/notify.rs`): `sd-notify` reads and removes
//!   variables of the process, and opens a socket for each message, without a time-out.
//! - **Files that others may have planted are opened by `src/files`, on the calls of `rustix`.** `cap-std` and `pathrs`
//!   keep a path below a folder, which one file here needs (`files/beneath.rs`, with `openat2`). What commands of root
//!   need is to follow links of this user and of root but of no other, to compare owner, mode and kind on the
//!   descriptor, not to wait for a pipe, and to read up to a bound. Neither crate has this.
//! - **Whether a backing file is still mapped is asked by a lease** (`fuse/lease.rs`). The kernel releases the file
//!   that was opened when the program closes it, and its mapping goes on to show the backing file; nothing tells when
//!   that ends. A lease for writing is granted to the only user of a file, and mappings count. Looking through
//!   `/proc/*/maps` costs more with each process, and does not see those of other PID namespaces.
//! - **The bridge is off by default** (`fuse/bridge`). Mapped and summed once, 1 GiB came 1.36 times as fast, with
//!   0.28 of the reader's CPU; but a second time passthrough to memory in huge pages is faster (116 instead of 48
//!   GB/s mapped), and faults at scattered places cost the read-ahead.
//! - **The kernel's read-ahead is 1 MiB** (`fuse/read_ahead.rs`). It is one number for a mount, read when a file is
//!   opened; requests do not tell read-ahead from what a program waits for, and a part of a request cannot be left out.
//!   At 20 ms to the first byte and 1 MiB, 512 KiB and 256 KiB, the kernel requests for every eighth tensor of 1 MiB,
//!   26 MB, 53, 39 and 33 MB, for two chunks of HDF5 6.4, 4.3 and 3.2 MB, and for a window of a GeoTIFF 24, 19 and 14
//!   MB. But with 512 KiB, pieces of 8 MiB of a mapping in no order came a fifth to a third slower, reads of 512 KiB to
//!   1 MiB request half as much again as they want, and a stream costs 4 % more CPU time. So such a tensor costs twice
//!   its bytes; refusing half of the requests would cost 128 faults of some 50 us for each.
//! - **The disk cache has a grid of 128 KiB** (`cache/disk`). Parts come in any size; blocks on a grid make a record
//!   16 bytes at a known place, so that daemons that write the same object need no agreement, and a random read checks
//!   128 KiB and not a part of 8 MiB. A map of 140 GB then has 18 MB.
//! - **Nothing is written to a disk** without `cache-dir`.
