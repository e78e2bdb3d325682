//! Running ossmount: starting, stopping, signals, the log, exit statuses.
//!
//! # Starting
//!
//! `ossmount mount URL DIR` returns once the mount answers: the bucket has been reached and listed, the credentials
//! were accepted, and the kernel has had an answer through the mount. Until then nothing is visible to other
//! programs; if any of it fails, one sentence on stderr says what to do, the exit status is 1, and nothing stays
//! mounted or running. A bucket that does not answer is given up after some seconds, far less than the patience that a
//! reader in the middle of a file gets.
//!
//! URL is `oss://BUCKET[/PREFIX]` or `s3://BUCKET[/PREFIX]`. What follows the bucket is raw: a percent sign is a
//! percent sign. The prefix is a directory: `oss://b/models` shows what lies below `models/`. A prefix below which no
//! key lies yet is mounted all the same, empty, with a warning in the log.
//!
//! DIR must be an empty directory, unless `nonempty` is given. A dead mount on it, left by a daemon that was killed,
//! is removed first.
//!
//! The daemon goes to the background, into a session of its own, with `/` as its directory. With `-f` it stays.
//!
//! # mount(8) and fstab
//!
//! `packaging/install` and the packages ([`install`](super::install)) link the binary to the names where mount(8)
//! looks, so that each of these does the same:
//!
//! ```text
//! ossmount mount oss://bucket/models /mnt/models --region cn-hangzhou
//! ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou
//! mount -t fuse.ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou
//! mount -t ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou
//! mount -t fuse 'ossmount#oss://bucket/models' /mnt/models -o region=cn-hangzhou
//! ```
//!
//! Every option may stand after `-o`, with `-` or `_` between its words; a comma within a value is written `\,`.
//! mount(8)'s own words are accepted. `noexec` is obeyed; the rest says nothing that is not so anyway: the mount is
//! always read-only, without devices and without set-uid programs, and its times never change. `rw` is refused from
//! people and passed over from mount(8), which says it whenever `ro` is not given. Words that are unknown are errors,
//! unless mount(8) is told `-s`.
//!
//! Credentials never stand on a command line, where everybody could read them: they come from the environment, from
//! `credentials-file`, or from one of the other sources of [`credentials`](super::credentials). For fstab, where there
//! is no environment, use the file, or a configuration file that names it.
//!
//! # Options
//!
//! A flag beats a word after `-o`, that beats `OSSMOUNT_<NAME>` in the environment, that beats the configuration
//! file, that beats the default. Configuration files are JSON objects whose keys are the names of options;
//! `--config FILE` (or `OSSMOUNT_CONFIG`) names one, else `/etc/ossmount/config.json` is read and then
//! `~/.config/ossmount/config.json`, which wins. [`configuration`](super::configuration) says how to write one, and
//! how to see what holds.
//!
//! # Stopping
//!
//! `ossmount umount DIR` unmounts and waits until the daemon has ended; `umount DIR` works too, without waiting. With
//! files open both refuse; `-l` unmounts all the same, and the daemon lives until they are closed.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT | unmounts (lazily where busy), answers what is under way within `drain-timeout`, exits with 0; a second one cuts the wait short |
//! | SIGHUP | reads the configuration again and takes over [what can change](super::configuration#while-it-is-mounted). A credentials file is read again by itself whenever it changes |
//! | SIGUSR1 | ends, and leaves the mount to the next daemon, where it is kept: see [`service`](super::service) |
//! | SIGUSR2 | the next log level: error, warn, info, debug, trace, and round again |
//!
//! While it lives, a daemon has a file in `/run/ossmount` (for users, in `$XDG_RUNTIME_DIR/ossmount`) with its process
//! id, directory and URL, and holds a lock on it; that is what `ossmount umount` waits for, where the daemon is of the
//! same user. Without `XDG_RUNTIME_DIR` it is `/run/user/UID/ossmount`, and without that `ossmount-UID` in the
//! directory for temporary files.
//!
//! # The log
//!
//! Goes to `log-file`; without one, to stderr in the foreground and to the system's log (`/dev/log`) in the background.
//! [`monitoring`](super::monitoring) says the rest.
//!
//! # What it takes of the machine
//!
//! A daemon in the background keeps no descriptor of the program that started it, but for those that an option names as
//! `/dev/fd/N`: `flock LOCK ossmount mount ...` lets go of the lock when the mount stands. It needs some ten threads
//! and one more for each processor; they are made for a trial before anything is mounted, so that too low a limit of
//! tasks (`pids.max`, `TasksMax`, `ulimit -u`) is an error and no dead mount.
//!
//! # Secrets
//!
//! No option takes a secret, none is ever logged, and the daemon writes no core files.
//!
//! # Exit statuses
//!
//! 0: done. 1: the command was understood and failed; one sentence on stderr says why. 2: the command line, a
//! variable or a configuration file was not understood.
