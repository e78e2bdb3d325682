//! Writing: how programs that write can work on a mount, which is read-only.
//!
//! A mount refuses every change with EROFS. Three ways lead around that:
//!
//! | to | use |
//! |---|---|
//! | let a program write beside, or over, what it reads | an overlay (below) |
//! | put a result into the bucket | a command line client of the service |
//! | copy or restore objects within the service | `ossmount cp`, or a copy request ([`copying`](super::copying)) |
//!
//! # An overlay
//!
//! Linux's overlayfs shows a mount and a writable directory above it as one tree. What is written, appended to or
//! deleted there stays in the directory; the bucket and the mount do not change.
//!
//! ```console
//! $ mkdir mnt local merged
//! $ ossmount mount oss://bucket mnt --file-mode 0644 --dir-mode 0755
//! $ mount -t tmpfs tmpfs local && mkdir local/upper local/work
//! $ mount -t overlay overlay -o lowerdir=mnt,upperdir=local/upper,workdir=local/work merged
//! $ echo changed > merged/a.txt
//! $ echo new > merged/dir/new.txt
//! $ cat merged/a.txt mnt/a.txt merged/dir/b.txt merged/dir/new.txt
//! changed
//! alpha
//! beta
//! new
//! $ rm merged/dir/b.txt && ls merged/dir mnt/dir
//! merged/dir:
//! deep
//! new.txt
//!
//! mnt/dir:
//! b.txt
//! deep
//! $ umount merged && umount local && ossmount umount mnt
//! ```
//!
//! - The upper and the work directory must lie on one local file system that keeps extended attributes, such as ext4,
//!   XFS or tmpfs.
//! - A file that is opened for writing is copied up completely before the first byte is written: changing one byte of a
//!   100 GB object fetches 100 GB. Files that are replaced are not copied.
//! - Modes are those of the mount: with the default `file-mode=0444` a user who is not root cannot write to a file that
//!   was copied up, so that `file-mode` and `dir-mode` are set as above, and `uid` and `gid` to the user.
//! - Reads of files that were not changed reach the mount as without the overlay, with the same prefetching. The kernel
//!   allows overlayfs over a mount with passthrough.
//! - overlayfs expects that what lies below does not change. If objects are replaced while an overlay stands on them,
//!   use `metadata-ttl=indefinite`, or mount a past time ([`past`](super::past)): a name then never changes its object.
