//! Getting started: from nothing to a model that is read through a mount.
//!
//! The examples on this page, and those of [`commands`](super::commands) and [`semantics`](super::semantics), are run
//! by a test, which compares what is printed; `...` stands for what differs from run to run.
//!
//! # Without an account
//!
//! `cargo run --release -- demo` in the sources, or `ossmount demo` once it is installed, starts a server with a sample
//! bucket on this machine, mounts it, and says what to try. Ctrl-C ends both and leaves nothing behind.
//!
//! # What it needs
//!
//! Linux with `/dev/fuse`; 6.6 or later is best, 6.9 lets the kernel read files by itself that are in memory. Either
//! root, or the package `fuse3`, whose `fusermount3` mounts for users. In a container:
//! `--device /dev/fuse --cap-add SYS_ADMIN`.
//!
//! # Keys and where the bucket is
//!
//! Two things have to be known: who asks, and where. Keys come from the environment, from a file or from a role, and
//! never stand on a command line ([`credentials`](super::credentials) lists all the ways):
//!
//! ```text
//! export OSS_ACCESS_KEY_ID=... OSS_ACCESS_KEY_SECRET=...
//! ```
//!
//! The region says where the bucket is: `--region cn-hangzhou`, and on machines of that region `--internal` besides,
//! which costs nothing for traffic. Servers of one's own, and domains bound to a bucket, are named with `--endpoint`.
//! The key needs the permissions to list the bucket (`oss:ListObjects`, `s3:ListBucket`) and to read its objects
//! (`oss:GetObject`, `s3:GetObject`), and no others.
//!
//! Whether that is right can be seen without mounting:
//!
//! ```console
//! $ ossmount ls oss://bucket
//! a.txt
//! dir/
//! $ ossmount ls oss://buckte
//! ossmount: bucket "buckte" does not exist at ... (NoSuchBucket, request id ...): check its name, and the region or endpoint
//! ```
//!
//! # Mount, read, unmount
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss://bucket mnt
//! $ find mnt -type f | sort
//! mnt/a.txt
//! mnt/dir/b.txt
//! mnt/dir/deep/c.txt
//! $ cat mnt/a.txt
//! alpha
//! $ cp -r mnt/dir copy && cat copy/b.txt
//! beta
//! $ ossmount status
//! ...
//! .../mnt  oss://bucket  pid ...  socket ...
//! ...
//! $ ossmount umount mnt
//! $ ls mnt
//! ```
//!
//! `mount` returns once the mount answers. If it does not come to that, it says why in one sentence, and nothing stays
//! behind. A part of a bucket is mounted by naming it, and is then all there is:
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss://bucket/dir mnt
//! $ ls mnt
//! b.txt
//! deep
//! ```
//!
//! # Options that are wanted first
//!
//! | to | say |
//! |---|---|
//! | let other users read | `--allow-other` (for users, with `user_allow_other` in `/etc/fuse.conf`) |
//! | know what happens | `--log-file PATH`; without it, a daemon in the background logs nowhere |
//! | see new objects sooner | `--metadata-ttl 5s`, or `ossmount control DIR '{"op":"refresh"}'` when there are some |
//! | freeze what is there | `--metadata-ttl indefinite` |
//! | read as much ahead as fits | `--prefetch open` |
//! | leave memory to the program | `--memory-limit 1GiB` |
//! | list what is coming anyway | `--listing eager` |
//!
//! [`options`](super::options) has them all, [`configuration`](super::configuration) says where they may stand,
//! [`defaults`](super::defaults) why they are what they are, and [`tuning`](super::tuning) what changing them does.
//!
//! # At every start of the machine
//!
//! A line in `/etc/fstab`, with the keys in a file that root alone may read:
//!
//! ```text
//! oss://bucket/models /mnt/models fuse.ossmount _netdev,nofail,allow_other,region=cn-hangzhou,credentials-file=/etc/ossmount/keys.json 0 0
//! ```
//!
//! `packaging/kubernetes` has samples for clusters.
//!
//! # Where to go from here
//!
//! [`semantics`](super::semantics) says what programs may rely on; [`troubleshooting`](super::troubleshooting) takes a
//! message and says what to do; [`migrating`](super::migrating) translates the options of ossfs, Mountpoint, s3fs and
//! rclone.
