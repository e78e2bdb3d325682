//! Control: query a live mount, refresh names, prefetch and pin files, copy objects and change settings, from programs.
//!
//! A request is a JSON object with `op` and the fields of that operation, optionally with `"version": 1`. The answer is
//! a JSON object too. Unknown fields are refused by name. A failed request is answered with `{"error": "EINVAL",
//! "message": "..."}`: the name of the error number and a sentence.
//!
//! # Ways to send a request
//!
//! All requests can be sent in each of these ways:
//!
//! - **The ioctl** `_IOWR(0xF5, 1, char[8192])`, which is `0xE000F501`, on any open file or directory of the mount. The
//!   request is padded with NULs, and the answer overwrites it. A failure sets `errno` and also writes an answer. An
//!   answer of more than 8191 bytes fails with EMSGSIZE and the path of the socket. Other ioctls fail with ENOTTY.
//! - **The Unix socket**, whose path `ossmount status` prints: one request a line, one answer a line, in the same
//!   order. It is in the runtime directory, or where `control-socket` says. Only its owner and root can open it. A line
//!   has at most 256 KiB. There are at most 64 clients at once; further ones get EBUSY.
//! - **Extended attributes**, with the option `control-xattr`: `setfattr -n user.ossmount.call -v REQUEST FILE` sends a
//!   request, and `getfattr -n user.ossmount.result FILE` returns the answer. The kernel does not treat such a mount as
//!   read-only and does not check modes; therefore the option cannot be combined with `allow-other`. The daemon itself
//!   refuses writes with EROFS.
//!
//! `ossmount control DIR REQUEST`, `ossmount prefetch PATH...` and `ossmount status DIR` use the socket, or the ioctl
//! if there is no socket.
//!
//! # Who may ask
//!
//! The user who mounted (the owner) and root; every other user gets EPERM, whether or not it may read the mount. Users
//! go by the number that the kernel gives for them in the daemon's user namespace; users without a number there are
//! refused, and so is number 65534 (`nobody`), even as the owner, since the kernel shows unknown users by that number.
//!
//! A mount with `allow-other` may be bound into containers whose root has number 0 on the machine too. What changes
//! more than reading does is therefore served only on the socket, and through the mount only to processes in the
//! daemon's own user and mount namespaces:
//!
//! | operation | socket | ioctl and xattr, daemon's namespaces | ioctl and xattr, another namespace | `metrics-listen` |
//! |---|---|---|---|---|
//! | `stat`, `stats`, `health`, `copy-status`, `copy-list`, `prefetch-status` | owner, root | owner, root | owner, root | |
//! | `metrics` | owner, root | owner, root | owner, root | every client that reaches the address |
//! | `refresh`, `prefetch` | owner, root | owner, root | owner, root | |
//! | `set`, `pin`, `drop`, `prefetch-cancel` | owner, root | owner, root | EPERM | |
//! | `copy`, `copy-cancel` | owner, root | owner, root | EPERM | |
//!
//! A daemon without the right to look at a process (one of an ordinary user and a process of root, or one with few
//! capabilities and a process with more) counts it as foreign: use the socket then, as `ossmount control` does by
//! itself.
//!
//! Copies are off where `allow-other` is set, unless `copy=on` asks for them. They read and write below what is
//! mounted; `copy-from` and `copy-to` name further buckets, or prefixes of them, and anything else is refused with
//! EPERM. `ossmount cp` between two URLs uses the caller's own keys and is not bound by this.
//!
//! # Paths
//!
//! Absolute and under the mount, or counted from its root; `..` is refused. Where an operation takes one path and none
//! is given, it is the file or directory that the ioctl was made on, on the socket the root.
//!
//! # Operations
//!
//! | `op` | fields | answer |
//! |---|---|---|
//! | `stat` | `path` | what is known of a file or directory: the extended attributes without `user.oss.`, and `inode` |
//! | `stats` | `files` | `metrics`, `memory` in bytes by consumer, `reading`, `tree`, `listing`, `jobs`; with `files` each file held |
//! | `metrics` | | `text`: the figures as Prometheus reads them; some 20 KB, so through the socket |
//! | `health` | | `status`, `version`, `program`, `pid`, `uptime-seconds`, `source`, `directory`, `socket`, `metrics` |
//! | `refresh` | `path`, `recursive` | `state`: `done`, or `running` after 10 s; the listing goes on then |
//! | `prefetch` | `paths`, `wait` | as `prefetch-status` |
//! | `prefetch-status` | `job`, `wait` | `job`, `state` (`running`, `done`, `cancelled`), `files`, `bytes`, and of these `-done` and `-skipped`, `failed`, `failures` |
//! | `prefetch-cancel` | `job` | as `prefetch-status` |
//! | `pin` | `path` | `bytes`, `pinned-bytes`, `pinned-bytes-limit` |
//! | `drop` | `path` | `files`, `bytes` given back |
//! | `set` | `log-level`, `memory-limit`, `max-bandwidth` (or `"none"`), `prefetch` of one `path` (`auto`, `open`, `off`) | what holds now |
//! | `copy` | `source`, `destination` and the options below | `job` |
//! | `copy-status` | `job`, `wait` | `state` (`queued`, `running`, `done`, `failed`, `cancelled`), `bytes` and `parts` (`done`, `total`), `result`, `error` (an object) |
//! | `copy-list` | | `jobs`: the last 256 that have ended, and all others |
//! | `copy-cancel` | `job` | as `copy-status` |
//!
//! Sizes are numbers of bytes or texts such as `"512MiB"`. `wait` holds the answer until the job has ended, or for 10
//! s, so who waits asks again: the kernel does not let a process go, not even to be killed, before an ioctl is
//! answered.
//!
//! **prefetch** takes files, and directories with all below them, in the order given, behind what programs wait for.
//! What it fetches stays as files stay that were read. A job fills three quarters of `memory-limit` at most: more would
//! push out what it fetched first, so files beyond that are skipped and counted. With `memory-cache=off` it is refused.
//!
//! **pin** fetches a file and keeps it, whatever else is read, until it is dropped or the daemon ends. Half of
//! `memory-limit` may be kept so; what does not fit is refused with ENOSPC. It is the version that the mount shows now:
//! an object that changes must be pinned again. Memory that becomes short takes nothing from pins.
//!
//! **drop** ends pins and gives back what the daemon and the kernel hold of a file, or of all files below a directory,
//! but for what the kernel reads by itself at this moment.
//!
//! **set** changes all that it names, or nothing. It holds until the daemon ends.
//!
//! **copy** works within the service, and no byte comes here. Each side is a path, `oss://bucket/key` or
//! `s3://bucket/key`; a source may end in `?versionId=V`. A path as source means the version that the mount shows: if
//! the object has changed since, the copy fails. Before `copy-status` says that a copy is done, what it made can be
//! looked up, listed and read. Fields: `recursive`, `skip-existing`, `part-size`, `parallel`, `threshold`,
//! `leave-parts-on-error`, `shallow-copy`, `upload-id`, `metadata-directive` and `tagging-directive` (`copy` or
//! `replace`), `metadata` (an object of texts), `content-type`, `cache-control`, `content-disposition`,
//! `content-encoding`, `content-language`, `expires`, `tagging` (`name=value&...`, percent-encoded),
//! `forbid-overwrite`, `storage-class`, `acl`, `if-match`. `copy=off` refuses copies.
//!
//! # In C
//!
//! ```c
//! #include <fcntl.h>
//! #include <stdio.h>
//! #include <string.h>
//! #include <sys/ioctl.h>
//!
//! #define OSSMOUNT_CALL _IOWR(0xF5, 1, char[8192])
//!
//! int main(int argc, char **argv) {
//!     char message[8192] = {0};
//!     if (argc != 3) return 2;
//!     int fd = open(argv[1], O_RDONLY);
//!     strncpy(message, argv[2], sizeof message - 1);
//!     int failed = ioctl(fd, OSSMOUNT_CALL, message) != 0;
//!     puts(message);
//!     return failed;
//! }
//! ```
//!
//! # In Python
//!
//! The README has one that starts a copy and follows it. The least there is:
//!
//! ```python
//! import fcntl, json, os
//!
//! def call(path, **request):
//!     message = bytearray(json.dumps(request).encode().ljust(8192, b"\0"))
//!     fd = os.open(path, os.O_RDONLY)
//!     try:
//!         fcntl.ioctl(fd, 0xE000F501, message)
//!     finally:
//!         os.close(fd)
//!     return json.loads(message.rstrip(b"\0"))
//! ```
//!
//! # In Rust
//!
//! ```no_run
//! use std::os::fd::AsRawFd;
//!
//! fn call(path: &str, request: &str) -> std::io::Result<String> {
//!     let file = std::fs::File::open(path)?;
//!     let mut message = [0u8; 8192];
//!     message[..request.len()].copy_from_slice(request.as_bytes());
//!     // SAFETY: the number says that 8192 bytes go in and out, and the buffer has them.
//!     let done = unsafe { libc::ioctl(file.as_raw_fd(), 0xE000_F501, message.as_mut_ptr()) };
//!     let error = std::io::Error::last_os_error();
//!     let answer = message.split(|&byte| byte == 0).next().unwrap_or_default();
//!     let answer = String::from_utf8_lossy(answer).into_owned();
//!     if done == 0 { Ok(answer) } else { Err(std::io::Error::new(error.kind(), answer)) }
//! }
//! println!("{}", call("/mnt/models", r#"{"op":"stats"}"#)?);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What it costs
//!
//! 1000 requests a second on the socket (`stats`, `stat`, `health` and `prefetch-status` in turn) take the daemon 0.06
//! to 0.08 of a processor, and a client in Python as much again. On two processors that server, daemon, reader and
//! client shared with other work, cold sequential reads beside them went at 0.95 (median of nine, in turns) and 0.78
//! (of seven) of their speed alone; single runs differed by more than that.
