//! The kernel: which of its features a mount uses, which version adds what, and which behaviour comes from the kernel.
//!
//! # Kernel versions
//!
//! | version | adds |
//! |---|---|
//! | 5.4 | mounts, with every file read through the page cache |
//! | 5.7 | `bind` to an interface without root |
//! | 6.6 | direct I/O for files that can be mapped |
//! | 6.9 | passthrough: the kernel reads files that are completely in memory; restarts that programs do not notice |
//! | 6.12.90, 6.18.30, 7.0 | the bridge: large files are read through EROFS, off by default ([`reading`](super::reading)) |
//!
//! # How files are read
//!
//! Large files are opened for direct I/O if the program was seen to read in large pieces. The reply then goes directly
//! into the program's buffer and costs 0.12 CPU seconds per GB, where filling the page cache costs 0.37. `mmap` works
//! on such files. Reads below about 32 KiB are slower with direct I/O, because each is a round trip to the daemon.
//! `stat` reports a block size of 128 KiB, which makes C's stdio, Python and `cp` read in larger pieces.
//!
//! A mapping that is made through such a descriptor makes the kernel drop the pages that it has of the file, so files
//! that the page cache holds are opened through it ([`defaults`](super::defaults) has the cases).
//!
//! Other files are read through the page cache, and their pages stay cached from one open to the next: an inode number
//! identifies one version of one object, so that its bytes never change. As root the mount raises the kernel's
//! read-ahead from 128 KiB to 1 MiB, the largest request that the kernel sends. Without root it stays at 128 KiB, and
//! `mmap` is slower.
//!
//! # What the kernel caches
//!
//! The kernel caches missing names for `negative-ttl`, and names and attributes for `metadata-ttl`. Reading a directory
//! returns the attributes of all entries as well, because `find`, `ls -l` and `du` need them next: an entry costs 2 us
//! that way, and 40 us if it is looked up alone. The kernel does not cache listings. A cached listing would be used for
//! longer than the TTL, and would save no CPU time in a second `find`.
//!
//! The kernel manages locks (`flock`, POSIX); they are valid among the programs of one machine.
//!
//! # Read-only
//!
//! The kernel treats the mount as read-only: it refuses writes with EROFS before it checks permissions. It also checks
//! file modes.
//!
//! # Programs that wait
//!
//! Every wait has a limit. While the service does not answer, a call (`open`, `read`, `stat`, `readdir`, a page of a
//! mapping) fails with EIO after 60 to 75 seconds. Requests that the kernel repeats by itself after that, such as
//! another look-up of the name or the pages that read-ahead did not bring, fail immediately. Any other request that is
//! unanswered after ten minutes fails with EIO as well.
//!
//! Programs that are killed do not wait so long. The kernel releases a thread whose request is in flight only with the
//! answer, even after `kill -9` (state D in `ps`). Therefore the daemon checks waiting threads about three times a
//! second. A thread that received a fatal signal, or a SIGINT or SIGTERM that it handles, gets EINTR within a second.
//! Its request is cancelled unless another program waits for the same bytes. Signals that are blocked or ignored, and
//! handled ones such as SIGALRM and SIGCHLD, have no effect.
//!
//! A killed program still waits in two cases:
//!
//! - The daemon sees programs in the PID namespace of the mount and the namespaces below it. If the daemon and its
//!   readers run in different containers, let them share one (`hostPID: true`, `shareProcessNamespace: true`).
//! - If several programs look up the same name at once, the kernel sends one request for the first of them, and the
//!   others wait inside the kernel.
//!
//! # Handles
//!
//! `name_to_handle_at` and `open_by_handle_at` work while the daemon knows the name, also after the kernel has evicted
//! the inode. A handle fails with ESTALE if the daemon has evicted the name (`metadata-memory`), if a new mount has not
//! listed it yet, or if the object was replaced. A daemon that continues the mount of another one knows the handles of
//! directories and open files. For the handle of a file that the kernel has evicted it lists, each once, the
//! directories that the kernel knew and those in which handles were used; the handle of a file that the kernel still
//! caches fails with ESTALE until its directory is listed.
//!
//! NFS-Ganesha can export a mount (FSAL_VFS, with `allow-other`; `tests/suites/nfs` tests it). After a restart of the
//! daemon the same holds for the handles that it keeps. The NFS server of the kernel (knfsd) has not been tested.
//!
//! # Unmounting
//!
//! A lazy unmount removes the directory from the tree of names immediately. Open files can be read until they are
//! closed or the daemon ends; after that they fail with ENOTCONN. The daemon unmounts only its own mount, which it
//! identifies by number. A mount that is covered by another mount can be removed only after the other one.
//!
//! After `kill -9` of the daemon every access to the directory fails with ENOTCONN ("Transport endpoint is not
//! connected"). The next `ossmount mount` on the directory, or `umount -l`, removes the dead mount.
//!
//! # Users without privileges
//!
//! If mount(2) is not permitted, ossmount mounts with `fusermount3` (package `fuse3`). `allow-other` and `allow-root`
//! then need `user_allow_other` in `/etc/fuse.conf`. A privileged supervisor can instead mount a descriptor of
//! `/dev/fuse` itself, pass it as `/dev/fd/N` in place of the directory, and unmount it at the end.
