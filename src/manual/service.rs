//! Services: mount at boot with systemd or fstab, mount as a user, and restart a daemon while programs use its mount.
//!
//! # A systemd service
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
//! `systemctl enable --now ossmount@NAME` starts it. A daemon in the foreground with `NOTIFY_SOCKET` in its environment
//! sends these messages to systemd:
//!
//! | message | when |
//! |---|---|
//! | `READY=1` | the mount is ready |
//! | `STATUS=` | the URL that is served, the health of the store, or the end of the daemon |
//! | `RELOADING=1`, then `READY=1` | SIGHUP: the configuration is read again |
//! | `STOPPING=1` | SIGTERM: requests in flight are answered |
//! | `WATCHDOG=1` | at half of `WATCHDOG_USEC`, if a statfs through the mount was answered |
//!
//! The mount must be visible to the whole machine. Therefore the unit uses no option that gives a service its own mount
//! namespace; comments in the unit name the options and the replacements. `systemd-analyze security` reports an
//! exposure of 4.3.
//!
//! | situation | behaviour |
//! |---|---|
//! | invalid arguments or configuration at a start | The reason is in the journal with priority `err`, the service ends with status 2 and is not restarted. A mount of an earlier daemon is dead: programs get ENOTCONN, and the next start removes it. |
//! | invalid configuration at `systemctl reload` | Nothing changes. Use this to test a file named by `OSSMOUNT_CONFIG` before a restart. The variables of the service are read only at a start. |
//! | `systemctl restart` while the bucket cannot be reached | The command fails, the service keeps trying, and readers wait. |
//! | `systemctl stop` between two tries | No daemon can unmount: the directory stays dead until the next start or an `umount`. |
//!
//! `tests/systemd` tests the units with systemd 252 in a container, while programs keep files open, map them and walk
//! the tree.
//!
//! # fstab, mount units, automount
//!
//! ```text
//! oss://my-bucket/models  /mnt/models  fuse.ossmount  _netdev,nofail,allow_other,region=cn-hangzhou  0 0
//! oss://my-bucket/data    /mnt/data    ossmount       _netdev,x-systemd.automount,x-systemd.idle-timeout=30min  0 0
//! ossmount#oss://my-bucket/old  /mnt/old  fuse  _netdev,noauto  0 0
//! ```
//!
//! Avoid the last form, which exists for compatibility: mount(8) does not recognise it as mounted, and `mount -a`
//! mounts it again.
//!
//! `packaging/systemd` has the equivalent `.mount` and `.automount` units. No service restarts the daemon of an fstab
//! mount; add `supervise` for that. The supervisor restarts the binary that it was started with, so that an upgrade
//! takes effect with the next mount.
//!
//! # Mounts by users
//!
//! Users without the right to mount use `fusermount3` (package `fuse3`), on a directory that belongs to them. Other
//! users, including root, can access such a mount only with `allow-other`, which needs `user_allow_other` in
//! `/etc/fuse.conf`. Passthrough is not available to these mounts, and the kernel's read-ahead stays at 128 KiB.
//!
//! # Mounts by another process
//!
//! A container storage driver can open `/dev/fuse`, mount it, and start the daemon with the descriptor: as `/dev/fd/N`
//! in place of the directory, or with `fuse-fd=N` in addition to it. The daemon then needs no privileges. It stays in
//! the foreground, reports errors on stderr, and ends with the mount. The process that mounted has to unmount.
//!
//! # Restarts that programs do not notice
//!
//! A mount can outlive its daemon if another process keeps the FUSE device and the ledger: the descriptor store of
//! systemd for the unit above, or with `supervise` a small process that also restarts the daemon. `systemctl restart`,
//! an upgrade with a restart, a crash and `kill -9` are then a pause for programs. The kernel sends requests in flight
//! again to the next daemon, which answers them. SIGUSR1 makes a daemon hand its mount over. All this needs Linux 6.9;
//! on older kernels a restart makes a new mount.
//!
//! The next daemon serves the mount first. Failures that would end a first start (no directory for the pid file, the
//! log or the control socket, a used port, a recorded load that cannot be read) are warnings in the log and are tried
//! again later. The bucket need not answer.
//!
//! With `supervise` a warning in the log says how the previous daemon ended (signal or status) and how long it ran. The
//! next daemon starts immediately. After three daemons in a row that ran for less than a minute, a pause precedes each
//! start, which doubles up to 30 s. `restarts` in `ossmount status` and the figure `restarts_total` count the starts.
//!
//! A request can be the cause of the crash. A request that was in flight when two daemons ended is therefore served
//! alone among its kind. If the daemon ends a third time during it, the request fails with EIO, the log has a warning
//! with operation, key and handle, and all other requests continue. For ten seconds the same handle also gets EIO for
//! the same bytes, which the kernel requests again if read-ahead failed. Every end counts except a hand-over, because
//! the kernel also uses SIGKILL when memory is exhausted. Killing a daemon again and again before it answers therefore
//! fails at most one request for each kill from the third on.
//!
//! | survives a restart | does not survive |
//! |---|---|
//! | open files, also with passthrough, and mappings | bytes and names in memory: they are fetched and listed again |
//! | working directories, descriptors of directories, bind mounts of directories | copies in flight and recordings |
//! | directories that are being read: each name is returned once | files known only by an `O_PATH` descriptor, and bind mounts of single files: ESTALE |
//! | inode numbers | extended attributes of an open symlink object: possibly ESTALE |
//!
//! - An object that changed in the meantime causes ESTALE, as in every mount.
//! - Names that changed between two daemons stay in the kernel's cache for the rest of `metadata-ttl`.
//! - `allow-other`, `noexec` and `control-xattr` are fixed when the mount is made. The daemon makes a new mount, and
//!   says so in the log, if the URL, the directory or `odd-keys` differ, or if the ledger is damaged or has another
//!   version.
//!
//! Such a daemon does not clone the FUSE device, because the kernel fails the requests of a clone when it is closed.
//! This costs up to a tenth of the throughput of many readers at memory speed, and nothing at the speed of a network.
//! The ledger is a file in memory, with about 100 bytes for each open file and 50 for each directory that the kernel
//! knows.
