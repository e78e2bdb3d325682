//! Troubleshooting: find a message or symptom, its cause, and what to do.
//!
//! The quoted messages appear on stderr or in the log; `...` stands for text that differs. The log is in `log-file`.
//! Without that option a daemon in the background logs to the system's log (`/dev/log`), which containers usually do
//! not have: mount with `--log-file`, or with `-f` in a terminal. `ossmount control DIR
//! '{"op":"set","log-level":"debug"}'`, or each `kill -USR2 PID`, adds details.
//!
//! # It does not mount
//!
//! > no credentials: set ... and ..., name a file with credentials-file, or set credentials=anonymous for a public bucket
//!
//! No source of keys was found. `sudo`, mount(8) for `/etc/fstab` and systemd units do not see the variables of a
//! shell: use `credentials-file` there. [`credentials`](super::credentials) lists the sources in their order.
//!
//! > refuses the signature...: the access key secret is wrong; correct it
//!
//! The service knows the key id, but the secret belongs to another one. Common causes are an incompletely copied
//! secret, and the key of another account in a source that precedes the intended one. The first line of the log names
//! the source of the key.
//!
//! > does not know the access key id...: check the credentials, and that they are for this service
//!
//! The key belongs to another provider or partition, or was deleted; for temporary keys the token may be missing.
//!
//! > is not accepted from this file: ...
//!
//! The configuration file belongs to another user, or others can write to it, and the option names keys, a program, a
//! host or a file that is written. Run the command in the message (`chown`, `chmod go-w`), or set the option elsewhere.
//! A file of keys is refused for the same reason:
//!
//! > is not trusted: ...
//!
//! > is a symbolic link that belongs to uid ...; name the path that it points to
//!
//! Another user can change the target of the link.
//!
//! > the program of credentials-process (...)... did not end within ... s and was killed; run it by hand
//!
//! The program waits for input or for a service that does not answer.
//!
//! > does not accept the credentials: ...: renew them
//!
//! Temporary keys have expired. A file is read again when it changes. Keys in the environment cannot be renewed: use a
//! role or `credentials-process` instead.
//!
//! > access to bucket ... is denied at ...: allow this key to list it (oss:ListObjects, or s3:ListBucket) and to read its objects, or name a prefix that it may list
//!
//! The key is valid, but its policy does not allow this listing. A policy for a prefix usually allows listing only that
//! prefix: mount `oss://bucket/prefix`.
//!
//! > bucket ... does not exist at ...: check its name, and the region or endpoint
//!
//! > bucket ... is not at ...: ...: set region or endpoint to that
//!
//! The bucket is in another region or at another endpoint, which the message names.
//!
//! > cannot be reached: ...: check endpoint, region and network
//!
//! No connection could be made, or no answer arrived within 15 s. Endpoints with `--internal` answer only machines of
//! their region; a VPC without Internet access reaches only those. Other causes are a name that does not resolve and a
//! missing proxy. If a configured proxy refuses the connection or does not answer, the message names the proxy.
//!
//! > the certificate of ... is signed by an authority that is not trusted... set ca-bundle to a PEM file with ...
//!
//! For a private server set `ca-bundle` to a PEM file with the certificate of its authority, or with its self-signed
//! certificate. For a certificate that has expired, is not valid yet or is for other names, the message gives the date
//! or the names; `ca-bundle` does not help then.
//!
//! > the clocks of this machine and of ... differ too much...: set the clock
//!
//! Signing with the time of the service was tried and failed too.
//!
//! > /dev/fuse does not exist: load the kernel module (modprobe fuse), or give the container the device (--device /dev/fuse)
//!
//! > mounting is not permitted to this user and ... is not installed: run as root, or install fuse3
//!
//! > is not empty: name an empty directory, or mount with nonempty
//!
//! Often a program wrote into the directory while nothing was mounted on it.
//!
//! > bridge=on is not possible: ...; use bridge=auto or bridge=off
//!
//! The message says what is missing: the kernel, its trial, privileges, or that the mount is to survive restarts.
//!
//! > is already a mount of ...: unmount it first (ossmount umount)
//!
//! > holds the mount of a daemon that died, which cannot be removed (...): unmount it as root (umount -l)
//!
//! The next mount on a directory removes a dead mount. This needs the right to unmount it.
//!
//! > a role assumed by OIDC requires oidc-token-file, oidc-provider-arn and role-arn: set all three
//!
//! In a pod the service account lacks the annotation, or the pod was started before the annotation was added.
//!
//! # The directory hangs or is gone
//!
//! `Transport endpoint is not connected`: the daemon was killed, most often because memory was exhausted (see `dmesg`).
//! Mount again. `memory-limit` bounds the read buffers and `metadata-memory` the names. In a container the defaults of
//! both follow the limit of the container, which also includes the page cache.
//!
//! > the request was not answered within the time limit: EIO
//!
//! A request of the kernel was not answered within ten minutes. Please report it, with the log.
//!
//! > an operation panicked: EIO
//!
//! A defect of ossmount; the daemon continues. Please report it, with the log.
//!
//! > is in use: close its files, or unmount lazily (ossmount umount --lazy)
//!
//! `fuser -vm DIR` lists the programs that use the mount, including shells whose working directory it is.
//!
//! # A file is missing
//!
//! A new object can be invisible for `metadata-ttl` (60 s), or for `negative-ttl` (5 s) after a program looked for its
//! name. `ossmount control DIR '{"op":"refresh","path":"..."}'` makes it visible immediately.
//!
//! > key skipped: its name ...; see odd-keys=escape
//!
//! The key cannot be a file name: it has an empty component, `.` or `..`, is too long, or a directory has the same
//! name. [`semantics`](super::semantics) has the rules; the figure `odd_keys` counts such keys.
//!
//! > no key begins with ... yet; the mount is empty until one does
//!
//! Usually the prefix is misspelt or begins with `/`. The prefix is compared with keys without percent-decoding.
//!
//! # Reading fails
//!
//! The log has a line for each failure that a program saw, with the key, the request's id, tries and time.
//!
//! | errno | cause | action |
//! |---|---|---|
//! | EACCES, the log says 403 | the policy lets the key list but not read | allow `oss:GetObject`, `s3:GetObject` |
//! | EACCES, the log says that it is archived | an object of an archive class | restore it (`ossutil restore`), then read |
//! | EACCES with plain permissions | `file-mode`, `dir-mode`, `uid`, or no `allow-other` | set them |
//! | ESTALE | the object was overwritten or removed while it was open | open it again |
//! | EINTR | the program received a signal to end while it waited | none needed |
//! | wrong order or bytes with io_uring, a ring of provided buffers, and `O_DIRECT` or `direct-io=on` | a kernel bug (seen on Linux 6.18) that affects asynchronous direct reads on every FUSE mount: all reads in flight get the same buffer. Synchronous direct reads avoid it, but 16 reads then take five times as long | use a separate buffer for each read, or no `O_DIRECT` and no `direct-io=on` |
//! | EIO after 60 to 75 s | the service failed during that time | check the service and the network; the next read tries again |
//! | EIO at the end of a file | the bytes do not match the checksum | open and read the file again; the log names the ranges that differed. If the error remains, the object is damaged: `ossmount stat` prints its CRC-64 |
//! | EROFS | the program writes, and the mount is read-only | write with an SDK or another client |
//!
//! > the object has changed
//!
//! Reads fail with ESTALE. Write new versions under new keys instead of overwriting objects that are being read.
//!
//! > reading an archived object: restore it first (ossutil restore, RestoreObject), and read it when that is done
//!
//! > credentials could not be renewed
//!
//! The source of the keys failed and is tried again every five seconds. The old keys are still valid; when they expire,
//! reads fail with EACCES.
//!
//! > other users may read this credentials file; restrict it with chmod 600
//!
//! > the service's clock differs from this machine's; signing with the service's time
//!
//! Nothing fails; correct the clock (`chronyc tracking`).
//!
//! # It is slow
//!
//! Compare two outputs of `ossmount status DIR`, a few seconds apart:
//!
//! | figure that grows | meaning | action |
//! |---|---|---|
//! | `metrics.throttled` | the service throttles; the daemon reduces its requests in flight | spread the load, or ask the provider for a higher limit |
//! | `metrics.retries`, `metrics.body_resumes` | broken connections, failures of the service | check the network; each has a line in the log at `debug` |
//! | `metrics.bytes_fetched` far faster than `metrics.bytes_read` | prefetched bytes are not used: small reads at random offsets | `--prefetch off`, or `--prefetch-threshold 8MiB` |
//! | `metrics.memory_shortages` | the machine is short of memory, and read buffers are evicted | lower `memory-limit`, or add memory |
//! | `metrics.list_requests` without directory reads | `listing=eager`, or renewal of directories in use | `--metadata-ttl indefinite` |
//! | `metrics.head_requests` | names are looked up one at a time | list the directory once before (`ls`) |
//!
//! `mmap` is slow on mounts without root, because the kernel's read-ahead stays at 128 KiB: mount as root, or use
//! `read`. Reads of 4 KiB with direct I/O are one round trip each: read in larger pieces. [`tuning`](super::tuning)
//! measures what each option changes.
//!
//! > memory is short: read buffers are evicted, down to ... MiB at first
//!
//! > reads differ from the recorded load: its replay ends
//!
//! The program reads other bytes than when the load was recorded. If `record` names the same file, the load is recorded
//! again.
//!
//! # It does not end
//!
//! > unmounted; ... requests in flight were aborted after
//!
//! Reads in flight at SIGTERM were not answered within `drain-timeout`. Programs that still have files open get
//! ENOTCONN.
//!
//! > copies in flight were aborted after ...; their parts may remain in the bucket
//!
//! A copy was in flight. Its parts are charged until the upload is completed or aborted: continue it with
//! `ossmount cp --resume`, or add a lifecycle rule for incomplete uploads to the bucket.
