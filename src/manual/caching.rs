//! The disk cache: what was fetched once stays on a local disk, for the next process, mount and boot.
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss://bucket mnt --cache-dir cache --cache-size 2GiB --cache-free 1MiB --cache-dir-any
//! $ cat mnt/a.txt
//! ...
//! $ ossmount umount mnt
//! $ ossmount cache status cache
//! cache: ...
//! least recently used: ...Z
//! ```
//!
//! The options are in [`options`](super::options#cache): `cache-dir`, `cache-size`, `cache-free`, `cache-dir-any`.
//!
//! # What is kept
//!
//! Every byte that comes from the bucket and is part of a complete block of 128 KiB, whatever it was fetched for. The
//! last block of an object, and with it a small object, may be shorter. An object is known by store, bucket, key,
//! version, entity tag and size: what was overwritten in the bucket is another object, and an old version is never
//! shown for a new one. Objects without an entity tag, and those of stores that send another one with every answer, are
//! not kept.
//!
//! Reads look in memory first, then on disk, then in the bucket. A file that is completely on disk, and was checked
//! since the machine was started, is read by the kernel itself where [`passthrough`](super::kernel) works: at the
//! speed of a local file, without the daemon. Until then it is read through the daemon, and checked.
//!
//! # What is right
//!
//! A block counts as present if it is recorded, and its bytes fit the checksum in that record; nothing else is
//! believed, neither the length of files nor their holes. A complete object is compared with the CRC-64 that the
//! service keeps. What does not fit is removed and fetched again; `disk_corrupt` counts it.
//!
//! - A daemon that is killed, or a machine that loses power, loses at most what was written last.
//! - A disk that fails, is full, or takes longer than 2 s for a read, is no reader's business: reads go to the bucket.
//!   After three failures within a minute the directory is left alone for a minute, and then tried again. The log says
//!   so both times.
//! - Writing happens behind the reader. Where the disk is slower than the network, the queue (256 MiB, at most an
//!   eighth of `memory-limit`) drops what does not fit: `disk_writes_dropped` counts it, and a later read fills the
//!   gap.
//!
//! `ossmount cache verify DIR` reads all of it, and removes what does not fit; mounts can use the directory meanwhile.
//!
//! # How much is kept
//!
//! `cache-size` limits all directories together, in equal shares; `cache-free` is left free on each file system, also
//! while others fill it. Where something must go, the object that was used longest ago goes, as a whole. Objects that
//! are open in any mount do not.
//!
//! When the cache is full, one rule of two decides whether an object that is new pushes out an older one: all do, or
//! one in 16. Both are tried on names alone, and the one that would have had more hits of late is followed. So epochs
//! over twice the cache hit nearly half of their bytes, where evicting the least recently used alone would hit none,
//! and a new working set is still taken in.
//!
//! # Filling and emptying it by hand
//!
//! `ossmount prefetch --to disk PATH...` has files and directories on disk, whether they fit in memory or not; with
//! `--wait` it fails if something is missing in the end. The control request `pin` keeps a file in memory and on disk,
//! `drop` removes files from both. The extended attribute `user.oss.cached` of a file says how many bytes of it are on
//! disk.
//!
//! # Directories
//!
//! | question | answer |
//! |---|---|
//! | Which disk? | A local one, best NVMe. FUSE, NFS and SMB mounts, tmpfs and overlayfs are refused without `cache-dir-any`. |
//! | Which directory? | One that belongs to the user of the daemon, and that no other user may write to. It is made where there is none. |
//! | Several mounts? | They share a directory, and each finds what the others have fetched. |
//! | Several disks? | Give `cache-dir` several times. Objects are spread by a hash of their names; a disk that is lost loses its share alone. |
//! | A service? | `CacheDirectory=ossmount` in a drop-in of the unit makes `/var/cache/ossmount`; name that as `cache-dir`. |
//! | Kubernetes? | A `hostPath` on the node's NVMe, mounted into the pod of the daemon. |
//! | Encryption? | None. Objects lie in clear in files of mode 0600, and maps hold bucket names and keys. Use LUKS or fscrypt. |
//! | How to empty it? | Unmount, and `ossmount cache clear DIR`. |
//!
//! Credentials are not in it. Whoever may read the directory reads what was cached: its owner and root.
//!
//! # On disk
//!
//! ```text
//! DIR/ossmount-1/o/ab/NAME.NONCE   data: a sparse file, exactly as long as the object
//! DIR/ossmount-1/o/ab/NAME.m       its map: a page of facts, then 16 bytes for each block
//! ```
//!
//! `ossmount-1` is the format. A later format has another name, and leaves this directory alone.
