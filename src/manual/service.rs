//! Running as a service: systemd, fstab, mounts by users, mounts that others make, and restarts that programs do not
//! notice.
//!
//! # A service of systemd
//!
//! `packaging/systemd/ossmount@.service` serves one mount for each file `/etc/ossmount/NAME.env`:
//!
//! ```text
//! URL=oss://my-bucket/models
//! DIR=/mnt/models
//! OSSMOUNT_REGION=cn-hangzhou
//! OSSMOUNT_ALLOW_OTHER=on
//! ```
//!
//! and `systemctl enable --now ossmount@NAME`. What the daemon tells systemd in the foreground, whenever
//! `NOTIFY_SOCKET` is set:
//!
//! | message | when |
//! |---|---|
//! | `READY=1` | the mount answers |
//! | `STATUS=` | what is served, or that it ends |
//! | `RELOADING=1`, then `READY=1` | SIGHUP: the configuration is read again |
//! | `STOPPING=1` | SIGTERM: what is under way is answered |
//! | `WATCHDOG=1` | at half the time of `WATCHDOG_USEC`, if a statfs through the mount was answered just then |
//!
//! The mount must be visible to the machine, so the unit uses none of the options that give a service a mount name
//! space of its own; it says which, and what it does instead. `systemd-analyze security` counts that as an exposure of
//! 4.3.
//!
//! What the units do is tried in a real systemd (252, in a container) by `tests/systemd`, under programs that keep
//! files open, map them and walk the tree: start before the bucket can be reached, restart, `kill -9`, a daemon that
//! hangs until the watchdog kills it, an upgrade of the package and one of systemd (`daemon-reexec`), reload, stop with
//! a file open, a dead mount left behind, the mount and automount units.
//!
//! Good to know:
//!
//! - A wrong command line or configuration is told in the journal with priority `err`, ends the service with status 2,
//!   and is not tried again. A mount that lived until then is dead: its programs get ENOTCONN, and the next start
//!   clears it away. `systemctl reload` reads the configuration too, and leaves all as it was where something is wrong
//!   with it: what comes from a file named by `OSSMOUNT_CONFIG` can be tried so before a restart. The variables of the
//!   service are read at a start alone.
//! - `systemctl restart` fails while the bucket is out of reach, and the service goes on trying; readers wait. A
//!   `systemctl stop` between two tries finds no daemon that could unmount: the directory stays dead until the next
//!   start or an `umount`.
//!
//! # fstab, mount units, automount
//!
//! ```text
//! oss://my-bucket/models  /mnt/models  fuse.ossmount  _netdev,nofail,allow_other,region=cn-hangzhou  0 0
//! oss://my-bucket/data    /mnt/data    ossmount       _netdev,x-systemd.automount,x-systemd.idle-timeout=30min  0 0
//! ossmount#oss://my-bucket/old  /mnt/old  fuse  _netdev,noauto  0 0
//! ```
//!
//! The last form is for those who are used to it: mount(8) cannot tell that it is mounted, and `mount -a` tries again.
//!
//! `packaging/systemd` has the same as `.mount` and `.automount` units. A mount of fstab has no service that would
//! start its daemon again: add `supervise` where that matters. A supervisor starts the program that it is itself: an
//! upgrade takes hold with the next mount.
//!
//! # Mounts by users
//!
//! A user who may not mount does so through `fusermount3` (package fuse3), on a directory of their own. Others, root
//! included, see such a mount only with `allow-other`, which needs `user_allow_other` in `/etc/fuse.conf`. The kernel
//! does not read files by itself (passthrough) for users, and its readahead stays at 128 KiB.
//!
//! # Mounts that others make
//!
//! A container storage driver opens `/dev/fuse`, mounts it, and starts the daemon with the descriptor: as `/dev/fd/N`
//! in place of the directory, or with `fuse-fd=N` beside it. The daemon needs no privileges then. It stays in the
//! foreground, says on stderr why it cannot serve, and ends when the mount does; who has mounted unmounts.
//!
//! # Restarts that programs do not notice
//!
//! Where the device of a mount and its ledger are kept, the mount outlives its daemon. With the unit above that is
//! systemd's descriptor store; with `supervise` it is a small process that does nothing but hold both and start the
//! daemon again. `systemctl restart`, an upgrade followed by a restart, a crash, and `kill -9` then show as a pause:
//! reads that were under way are asked again of the next daemon, and answered by it. SIGUSR1 asks a daemon to hand over
//! so.
//!
//! Such a life begins by serving the mount, for programs wait. What else was asked for and cannot be had (the folder of
//! the pid file, of the log or of the control socket is gone, the port for figures is taken, the recorded load cannot
//! be read) is a warning in the log, and is tried again while the mount lives; the bucket need not answer. For the
//! first life each of these is an error, and there is no mount.
//!
//! With `supervise` the log says with a warning how the daemon before ended (signal or status) and how long it had
//! lived. The next one is started at once; after three in a row that lived less than a minute, after a pause that
//! doubles, up to 30 s. `restarts` in `ossmount status` and `restarts_total` among the figures count them.
//!
//! A request that kills the daemon would be asked again of each that follows. So one that was under way at two deaths
//! is served without another of its kind beside it, and if the daemon dies a third time then, it fails with EIO, and
//! the log names operation, key and handle in a warning; all others go on. It makes no difference how the daemon died,
//! since the kernel sends SIGKILL for want of memory; a hand-over is no death. Who kills a daemon on purpose, again and
//! again, before it has answered, makes one request fail at most for each death from the third on.
//!
//! What survives: open files, also those that the kernel reads by itself; mappings; working directories, directories
//! held by descriptors, bind mounts of directories; directories being read, which give each name once; inode numbers.
//! An object that changed meanwhile gives ESTALE, as ever.
//!
//! What does not:
//!
//! - What was in memory: the next daemon fetches and lists anew. Copies under way and recordings end; a hand-over does
//!   not wait for them.
//! - A file known only by a descriptor opened with `O_PATH`, and bind mounts of single files: they are stale. Extended
//!   attributes of an open file that is a symlink object may be.
//! - What the kernel believes of names that changed in the bucket between two lives, for as long as `metadata-ttl`
//!   had still to run.
//! - Options that the kernel was told when the mount was made (`allow-other`, `noexec`, `control-xattr`): they need a
//!   new mount. A daemon that finds another URL, directory or `odd-keys`, a ledger of another version or a damaged one,
//!   says so in the log and makes a new mount.
//! - Mounts of a kernel before Linux 6.9, which cannot ask again: a restart makes a new mount, as without a keeper.
//!
//! A daemon that can be restarted so does without cloned devices, whose requests the kernel fails when they close; that
//! takes up to a tenth of the throughput of many readers at memory speed, and nothing at the speed of a network. The
//! ledger is a file in memory that holds some hundred bytes for each open file and some fifty for each directory the
//! kernel knows.
