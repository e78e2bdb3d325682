//! How the mount deals with the kernel, and what it cannot change.
//!
//! # What is asked of the kernel
//!
//! For programs that were seen to read in large pieces, big files are opened for direct I/O: a reply goes straight into
//! the reader's buffer, for 0.12 CPU seconds per GB where filling the page cache costs 0.37. `mmap` works on such files
//! all the same (since Linux 6.6; on older kernels every file goes through the page cache). Reads below some 32 KiB are
//! dearer that way, for each is a round trip; the block size that `stat` shows, 128 KiB, makes C's stdio, Python and
//! `cp` read in larger pieces.
//!
//! Other files go through the page cache, and their pages stay from one open to the next: an inode number stands for
//! one version of one object, so that its bytes never change. As root the mount's readahead is raised from the
//! kernel's 128 KiB to 1 MiB, the largest request that it makes; without root it stays, and `mmap` pays for it.
//!
//! Names that are missing are remembered by the kernel for `negative-ttl`, names and attributes for `metadata-ttl`. A
//! directory that is read brings the attributes of all its entries along, also for a program that wants names alone:
//! the kernel cannot know, `find`, `ls -l` and `du` read 100,000 names before they look at the first, and an entry that
//! comes along costs 2 us where one that is looked up alone costs 40. The kernel keeps no listing of its own: it
//! would outlive the time to live, and saves a second `find` no CPU time.
//!
//! Locks (`flock`, POSIX) are kept by the kernel and hold among the programs of one machine.
//!
//! # Read-only
//!
//! The kernel knows the mount as read-only and refuses writes itself, with EROFS, before any permission is looked at.
//! File modes are checked by the kernel too.
//!
//! # A program that waits
//!
//! Every wait has an end. While the service does not answer, a call (`open`, `read`, `stat`, `readdir`, a page of a
//! mapping) fails with EIO when it has waited for 60 to 75 seconds, and no later; what the kernel asks by itself behind
//! that (a name once more, page by page what readahead has not brought) fails at once. Whatever is left unanswered
//! after ten minutes fails with EIO too.
//!
//! A program that is to end does not wait for that. The kernel lets go of a thread whose request is with the daemon
//! only with the answer, even after `kill -9` (state D in `ps`), so that the daemon looks at threads that wait, about
//! three times a second: one that was killed, or sent a signal that ends it, or SIGINT or SIGTERM that it handles, gets
//! EINTR within the second, and what it waited for is given up where no other program waits for it. Signals that it
//! blocks or ignores, or lives with (SIGALRM, SIGCHLD), do not disturb it.
//!
//! Two things keep a killed program waiting all the same. Programs are seen in the PID namespace of the mount and those
//! below it: where the daemon runs in a container and its readers in others, let them share one (`hostPID: true`,
//! `shareProcessNamespace: true`). And of several programs that look the same name up at once, the kernel asks
//! for the first: the others wait behind it, inside the kernel.
//!
//! # Handles
//!
//! `name_to_handle_at` and `open_by_handle_at` work, also after the kernel has forgotten the inode, for as long as the
//! daemon knows the name: it forgets names under `metadata-memory`, and a new mount knows none that it has not listed.
//! Then a handle is ESTALE, as it is for an object that was replaced. A daemon that goes on where another died knows
//! directories and open files by their numbers; the handle of another file is ESTALE until its directory is listed
//! again.
//!
//! A mount can be served over NFS by these handles: NFS-Ganesha does it (its FSAL_VFS; `tests/suites/nfs` tries it),
//! with `allow-other`. After the death of a daemon a server that keeps handles of its own (Ganesha does) answers
//! ESTALE, and then "no such file", for files that no program had open, until something lists their directories on the
//! mount, as `find` does. The kernel's own server (knfsd) has not been tried.
//!
//! # Unmounting
//!
//! A mount in use is taken out of the tree of names at once, and serves the files that are open until they are closed,
//! or until the daemon ends; after that they fail with ENOTCONN. The daemon unmounts its own mount, known by its
//! number, not whatever is mounted on the directory by then. A mount over which something else was mounted
//! cannot be removed before that is gone.
//!
//! After `kill -9` of the daemon the directory answers ENOTCONN ("Transport endpoint is not connected") to everybody;
//! the next `ossmount mount` on it clears it away, as does `umount -l`.
//!
//! # Users without privileges
//!
//! Where mount(2) is not permitted, `fusermount3` (package `fuse3`) mounts. `allow-other` and `allow-root` then need
//! `user_allow_other` in `/etc/fuse.conf`. A supervisor that may mount can instead hand over a descriptor of
//! `/dev/fuse` that it has mounted, as `/dev/fd/N` in place of the directory; it unmounts, too.
