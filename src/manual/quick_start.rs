//! Getting started: mount a bucket for the first time, read from it, and unmount it.
//!
//! A test runs the examples on this page and those of [`commands`](super::commands) and
//! [`semantics`](super::semantics), and compares their output. `...` stands for text that differs from run to run.
//!
//! # Without an account
//!
//! `ossmount demo` (in the sources `cargo run --release -- demo`) starts a server with a sample bucket on this machine,
//! mounts the bucket, and prints commands to try. Ctrl-C unmounts it, stops the server and removes what it created.
//!
//! # Requirements
//!
//! | | |
//! |---|---|
//! | system | Linux with `/dev/fuse`. 5.4 is enough; 6.6 adds direct I/O for mapped files, 6.9 passthrough and restarts that programs do not notice ([`kernel`](super::kernel)) |
//! | privileges | root, or the package `fuse3`, whose `fusermount3` mounts for other users |
//! | in a container | `--device /dev/fuse --cap-add SYS_ADMIN` |
//!
//! # Keys and location
//!
//! A mount needs access keys and the location of the bucket. Keys come from the environment, a file or a role, and
//! never from a command line ([`credentials`](super::credentials) lists all sources):
//!
//! ```text
//! export OSS_ACCESS_KEY_ID=... OSS_ACCESS_KEY_SECRET=...
//! ```
//!
//! `--region cn-hangzhou` gives the location. On machines of that region add `--internal`, which is free of traffic
//! fees. For other servers, and for domains that are bound to a bucket, give `--endpoint`. The key needs permission to
//! list the bucket (`oss:ListObjects`, `s3:ListBucket`) and to read its objects (`oss:GetObject`, `s3:GetObject`).
//!
//! `ossmount ls` checks keys and location without mounting:
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
//! `mount` returns when the mount is ready. If mounting fails, it prints one sentence with the reason and leaves
//! nothing behind. A URL with a prefix mounts only the part of the bucket below it:
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss://bucket/dir mnt
//! $ ls mnt
//! b.txt
//! deep
//! ```
//!
//! # Options to know first
//!
//! | to | use |
//! |---|---|
//! | let other users read | `--allow-other` (without root it needs `user_allow_other` in `/etc/fuse.conf`) |
//! | write the log to a file | `--log-file PATH`; without it a daemon in the background logs to `/dev/log` |
//! | see new objects sooner | `--metadata-ttl 5s`, or `ossmount control DIR '{"op":"refresh"}'` after they were put |
//! | keep the listing for as long as the mount lives | `--metadata-ttl indefinite` |
//! | prefetch whole files when they are opened | `--prefetch open` |
//! | leave more memory to programs | `--memory-limit 1GiB` |
//! | list the whole bucket at mount | `--listing eager` |
//!
//! [`options`](super::options) lists all options, [`configuration`](super::configuration) says where they can be set,
//! [`defaults`](super::defaults) gives the reasons for the defaults, and [`tuning`](super::tuning) measures what
//! changing them does.
//!
//! # Mount at boot
//!
//! Add a line to `/etc/fstab`, with the keys in a file that only root can read:
//!
//! ```text
//! oss://bucket/models /mnt/models fuse.ossmount _netdev,nofail,allow_other,region=cn-hangzhou,credentials-file=/etc/ossmount/keys.json 0 0
//! ```
//!
//! `packaging/kubernetes` has samples for Kubernetes clusters.
//!
//! # Next pages
//!
//! [`semantics`](super::semantics) says what programs can rely on, [`troubleshooting`](super::troubleshooting) explains
//! error messages, and [`migrating`](super::migrating) translates the options of ossfs, Mountpoint, s3fs and rclone.
