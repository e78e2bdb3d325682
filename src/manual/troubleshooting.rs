//! Troubleshooting: what is said, why, and what to do.
//!
//! Each quotation is said by the program, on stderr or in the log, with `...` for what differs; a test compares them
//! with the sources. The log is where `log-file` says. Without that a daemon in the background logs nowhere: mount with
//! `--log-file`, or with `-f` in a terminal, where stderr shows it. More is said after
//! `ossmount control DIR '{"op":"set","log-level":"debug"}'`, or after each `kill -USR2 PID`.
//!
//! # It does not mount
//!
//! > no credentials: set ... and ..., name a file with credentials-file, or say credentials=anonymous for a public bucket
//!
//! No source of keys was found. Variables set in a shell are not those of `sudo`, of mount(8) from `/etc/fstab` or of a
//! unit: name a file there. [`credentials`](super::credentials) has the order in which sources are looked at.
//!
//! > refuses the signature...: the access key's secret is wrong; set it anew
//!
//! The id is known and the secret is not its own: often a line end or a blank that was copied along, or the key of
//! another account in a file that comes first in that order. The first line of the log says where the key came from.
//!
//! > does not know the access key id...: check the credentials, and whose service this is
//!
//! A key of another provider or partition, or one that was deleted; for temporary keys also a token that is missing.
//!
//! > is not taken from this file: ...
//!
//! The configuration file belongs to another user, or others may write to it, and the option has power over more than
//! the mount: it names keys, a program, a host or a file that is written. Do what the sentence says (`chown`,
//! `chmod go-w`), or give the option in another way. The same is said of a file of keys:
//!
//! > is not believed: ...
//!
//! > on the way is a link that belongs to uid ...; name the path that it leads to
//!
//! Another user can change where the link leads.
//!
//! > the program of credentials-process (...)... took over ... s and was ended; run it by hand
//!
//! It waits for something: a question to a person, or a service that does not answer.
//!
//! > the credentials are not accepted by ...: ...: renew them
//!
//! Temporary keys that have ended. A file that is renewed is read again by itself; keys in the environment cannot be
//! renewed, so use a role or `credentials-process` instead.
//!
//! > access to bucket ... is denied at ...: allow this key to list it (oss:ListObjects, or s3:ListBucket) and to read its objects, or name a prefix that it may list
//!
//! The key works, and its policy does not let it list here. Policies for a prefix usually let only that be listed:
//! mount `oss://bucket/prefix`.
//!
//! > bucket ... does not exist at ...: check its name, and the region or endpoint
//!
//! > bucket ... is not at ...: ...: set region or endpoint to that
//!
//! The service knows the bucket elsewhere, and says where.
//!
//! > cannot be reached: ...: check endpoint, region and network
//!
//! No connection came about, or no answer within 15 s. `--internal` endpoints answer on machines of their region alone;
//! in a VPC without a way to the Internet only they do. Behind it may be a name that does not resolve, or a proxy that
//! is needed. A proxy that is set and refuses the connection, or does not answer, is named as such.
//!
//! > the certificate of ... is signed by an authority that is not trusted... set ca-bundle to a PEM file with ...
//!
//! A server of one's own: a PEM file with the authority's certificate, or with the one that the server made for itself,
//! is enough. A certificate that has expired, is not valid yet or is for other names is told as that, with the date or
//! the names; no bundle helps there.
//!
//! > this machine's clock and the one of ... differ too much...: set the clock
//!
//! Said where signing by the service's clock did not help either.
//!
//! > /dev/fuse does not exist: load the kernel module (modprobe fuse), or give the container the device (--device /dev/fuse)
//!
//! > mounting is not permitted to this user and ... is not installed: run as root, or install fuse3
//!
//! > is not empty: name an empty directory, or mount with nonempty
//!
//! Often a directory into which something was written while nothing was mounted on it.
//!
//! > is already a mount of ...: unmount it first (ossmount umount)
//!
//! > holds the mount of a daemon that died, which cannot be removed (...): unmount it as root (umount -l)
//!
//! Dead mounts are cleared away by the next mount on the directory; that needs the right to unmount it.
//!
//! > a role by OIDC needs all of oidc-token-file, oidc-provider-arn and role-arn
//!
//! In a pod: the service account lacks the annotation, or the pod was started before it had it.
//!
//! # The directory hangs or is gone
//!
//! `Transport endpoint is not connected`: the daemon was killed, most often for lack of memory (`dmesg` says so). Mount
//! again. `memory-limit` bounds the read buffers, `metadata-memory` the names; in a container both follow its limit by
//! themselves, and the page cache counts against that limit too.
//!
//! > no answer in time: EIO
//!
//! A request of the kernel took ten minutes. Please report it, with the log.
//!
//! > an operation panicked: EIO
//!
//! A mistake in ossmount; the daemon goes on. Please report it, with the log.
//!
//! > is in use: close its files, or unmount lazily (ossmount umount --lazy)
//!
//! `fuser -vm DIR` shows who uses it; a shell whose directory it is counts.
//!
//! # A file is missing
//!
//! A new object may stay unseen for `metadata-ttl` (60 s), or `negative-ttl` (5 s) where a program looked for it in
//! vain. To see it now: `ossmount control DIR '{"op":"refresh","path":"..."}'`.
//!
//! > left out: its name ...; see odd-keys=escape
//!
//! Its key makes no name: an empty component, `.` or `..`, too long, or the object lies beside a directory of that
//! name. [`semantics`](super::semantics) has the rules; `odd_keys` among the figures counts them.
//!
//! > no key begins with ... yet; the mount is empty until one does
//!
//! Mostly a prefix with a slip in it, or with a `/` in front. It is compared with keys as it stands, percent signs too.
//!
//! # Reading fails
//!
//! The log has a line for each failure that a program saw, with the key, the request's id, tries and time.
//!
//! | errno | cause | cure |
//! |---|---|---|
//! | EACCES, the log says 403 | the policy lets the key list but not read | allow `oss:GetObject`, `s3:GetObject` |
//! | EACCES, the log says that it is archived | an object of an archive class | restore it (`ossutil restore`), then read |
//! | EACCES with plain permissions | `file-mode`, `dir-mode`, `uid`, or no `allow-other` | set them |
//! | ESTALE | the object was overwritten or removed while it was open | open it again |
//! | EINTR | the program was told to end while it waited | nothing |
//! | wrong order or bytes with io_uring, a ring of provided buffers, and `O_DIRECT` or `direct-io=on` | a fault of the kernel (seen on Linux 6.18), on every FUSE mount that reads asynchronously past the page cache: the reads under way all get one buffer. Without such reads it is not there, and 16 reads under way take five times as long | a buffer of its own for each read, or no `O_DIRECT` (and no `direct-io=on`) |
//! | EIO after 60 to 75 s | the service failed for so long | look at the service and the network; the next read tries anew |
//! | EIO at the end of a file | the bytes are not those of the checksum | open and read it again; the log names the bytes that were wrong; if it stays, the object itself is damaged: `ossmount stat` shows its CRC-64 |
//! | EROFS | something writes | it cannot be |
//!
//! > the object has changed
//!
//! Beside ESTALE. Objects that are overwritten in place should get names of their own instead.
//!
//! > reading an archived object: restore it first (ossutil restore, RestoreObject), and read it when that is done
//!
//! > credentials could not be renewed
//!
//! The source of the keys failed; they are valid for a while yet, and it is tried again every five seconds. When they
//! end, reads fail with EACCES.
//!
//! > others may read this file of credentials: chmod 600 it
//!
//! > the service's clock differs from this machine's; signing by its own
//!
//! Nothing fails, but set the clock (`chronyc tracking`).
//!
//! # It is slow
//!
//! `ossmount status DIR` shows what happens; in two looks a few seconds apart,
//!
//! | it grows | means | do |
//! |---|---|---|
//! | `metrics.throttled` | the service asks to slow down; fewer requests are made by themselves | spread the load, or ask for a higher limit |
//! | `metrics.retries`, `metrics.body_resumes` | broken connections, failures of the service | look at the network; each is a line at `debug` |
//! | `metrics.bytes_fetched` far faster than `metrics.bytes_read` | read-ahead that is not used: small reads here and there | `--prefetch off`, or `--prefetch-threshold 8MiB` |
//! | `metrics.memory_shortages` | the machine is short of memory, and buffers are given up | a smaller `memory-limit`, or more memory |
//! | `metrics.list_requests` while nothing is looked into | an `eager` listing, or directories in use that are kept fresh | `--metadata-ttl indefinite` |
//! | `metrics.head_requests` | names looked up one at a time | read the directory once before: `ls` it |
//!
//! Reading by `mmap` without root suffers from the kernel's readahead of 128 KiB: mount as root, or read instead. Reads
//! of 4 KiB each are round trips on big files; read in larger pieces. [`tuning`](super::tuning) says what each option
//! changes.
//!
//! > memory is short: read buffers are given up, down to ... MiB at first
//!
//! > what is read differs from the recorded load: it is followed no more
//!
//! The program reads something else than when it was recorded. With `record` naming the same file, the next load is
//! right.
//!
//! # It does not end
//!
//! > unmounted; ... requests were cut short after
//!
//! Reads under way at SIGTERM were not answered within `drain-timeout`; a larger one waits longer. Programs that had
//! files open keep them, and get ENOTCONN.
//!
//! > copies were cut short after ...; parts of them may be left
//!
//! A copy was under way. Parts cost money until they are aborted: `ossmount cp --resume` goes on from them, and a
//! lifecycle rule of the bucket for incomplete uploads removes what is forgotten.
