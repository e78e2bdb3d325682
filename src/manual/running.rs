//! Running ossmount: start, stop and signal a daemon, use it from mount(8) and fstab, and interpret exit statuses.
//!
//! # Starting
//!
//! `ossmount mount URL DIR` returns when the mount is ready: the bucket was listed, the credentials were accepted, and
//! the kernel received an answer through the mount. If a step fails, one sentence on stderr gives the reason and what
//! to do, the exit status is 1, and nothing stays mounted or running. At the start a bucket that does not answer is
//! given up after 6 to 15 seconds; reads of a live mount are retried for a minute.
//!
//! | argument | meaning |
//! |---|---|
//! | URL | `oss://BUCKET[/PREFIX]` or `s3://BUCKET[/PREFIX]`. The prefix is not percent-decoded, and means a directory: `oss://b/models` shows the objects below `models/`. A prefix without objects is mounted as an empty directory, with a warning in the log. |
//! | DIR | An empty directory, or with `nonempty` any directory. A dead mount on it, left by a daemon that was killed, is removed first. |
//!
//! The daemon runs in the background, in its own session and with `/` as working directory. With `-f` it stays in the
//! foreground.
//!
//! # mount(8) and fstab
//!
//! `packaging/install` and the packages ([`install`](super::install)) install the helpers of mount(8), so that these
//! commands are equivalent:
//!
//! ```text
//! ossmount mount oss://bucket/models /mnt/models --region cn-hangzhou
//! ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou
//! mount -t fuse.ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou
//! mount -t ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou
//! mount -t fuse 'ossmount#oss://bucket/models' /mnt/models -o region=cn-hangzhou
//! ```
//!
//! Every option can follow `-o`, with `-` or `_` between its words; a comma within a value is written `\,`.
//!
//! | generic option of mount(8) | effect |
//! |---|---|
//! | `noexec` | programs on the mount cannot be executed |
//! | `rw` | refused on a command line, and ignored when mount(8) adds it |
//! | others, such as `ro`, `nosuid`, `nodev`, `noatime` | accepted without effect: the mount is always read-only, without devices and set-uid programs, and its access times do not change |
//! | unknown words | an error, or ignored with `mount -s` |
//!
//! No credentials are accepted on a command line, which every user of the machine can read. They come from the
//! environment, from `credentials-file`, or from another source of [`credentials`](super::credentials). For fstab use
//! the file, or a configuration file that names it.
//!
//! # Options
//!
//! Options come from flags, words after `-o`, variables `OSSMOUNT_<NAME>` and configuration files, in this order of
//! precedence. [`configuration`](super::configuration) describes the files and how to print the effective values.
//!
//! # Stopping
//!
//! `ossmount umount DIR` unmounts and waits until the daemon has ended; `umount DIR` does not wait. Both refuse while
//! files are open. With `-l` they unmount anyway, and the daemon runs until the files are closed.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT | unmounts (lazily if files are open), waits up to `drain-timeout` for requests in flight, and exits with 0; a second signal ends the wait |
//! | SIGHUP | reads the configuration again and applies [the options that can change](super::configuration#while-it-is-mounted). A credentials file needs no signal: it is read again when it changes |
//! | SIGUSR1 | ends and hands the mount over to the next daemon, if one continues it: see [`service`](super::service) |
//! | SIGUSR2 | switches to the next log level: error, warn, info, debug, trace, error |
//!
//! A running daemon has a locked file with its process id, directory and URL in the runtime directory, for which
//! `ossmount umount` waits. The runtime directory is `/run/ossmount` for root. For other users it is the first that
//! exists of `$XDG_RUNTIME_DIR/ossmount`, `/run/user/UID/ossmount` and `ossmount-UID` in the directory for temporary
//! files.
//!
//! # The log
//!
//! The log goes to `log-file`. Without that option it goes to stderr in the foreground and to the system's log
//! (`/dev/log`) in the background. [`monitoring`](super::monitoring) describes levels, formats and rotation.
//!
//! # Descriptors and threads
//!
//! A daemon in the background closes all descriptors that it inherited, except those that an option names as
//! `/dev/fd/N`. So `flock LOCK ossmount mount ...` releases the lock when the mount is ready. The daemon needs about
//! ten threads and one more for each processor. It creates them once before it mounts, so that a limit that is too low
//! (`pids.max`, `TasksMax`, `ulimit -u`) is an error at the start.
//!
//! # Secrets
//!
//! No option takes a secret, no secret is logged, and the daemon writes no core files.
//!
//! # Exit statuses
//!
//! | status | meaning |
//! |---|---|
//! | 0 | success |
//! | 1 | the command failed; one sentence on stderr gives the reason |
//! | 2 | an argument, a variable or a configuration file is not valid |
