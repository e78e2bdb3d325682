//! Control: query a live mount, refresh names, prefetch and pin files, copy objects and change settings, from programs.
//!
//! A request is a JSON object with `op` and the fields of that operation, optionally with `"version": 1`. The answer is
//! a JSON object too. Unknown fields are refused by name. A failed request is answered with `{"error": "EINVAL",
//! "message": "..."}`: the name of the error number and a sentence.
//!
//! # Transports
//!
//! Each request can be sent in any of these ways:
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
//! # Access
//!
//! Only the user who mounted (the owner) and root can send requests. All other users get EPERM, even if they can read
//! the mount. Users are identified by their number in the user namespace of the daemon. Users without a number there
//! are refused, and so is number 65534 (`nobody`), even if it is the owner, because the kernel maps all unknown users
//! to it.
//!
//! A mount with `allow-other` can be bound into containers whose root has number 0 on the machine as well. Requests
//! with more effect than a read are therefore served only on the socket, and through the mount only for processes in
//! the user and mount namespaces of the daemon:
//!
//! | operation | socket | ioctl and xattr, daemon's namespaces | ioctl and xattr, another namespace | `metrics-listen` |
//! |---|---|---|---|---|
//! | `stat`, `stats`, `health`, `copy-status`, `copy-list`, `prefetch-status` | owner, root | owner, root | owner, root | |
//! | `metrics` | owner, root | owner, root | owner, root | every client that reaches the address |
//! | `refresh`, `prefetch` | owner, root | owner, root | owner, root | |
//! | `set`, `pin`, `drop`, `prefetch-cancel` | owner, root | owner, root | EPERM | |
//! | `copy`, `copy-cancel` | owner, root | owner, root | EPERM | |
//!
//! A process that the daemon has no right to inspect (a process of root and a daemon of another user, or a process with
//! more capabilities than the daemon) counts as one of another namespace. Use the socket in that case, as `ossmount
//! control` does.
//!
//! Copies are off with `allow-other` unless `copy=on` is given. They can read and write below the mounted prefix, and
//! in the buckets or prefixes that `copy-from` and `copy-to` add; others are refused with EPERM. `ossmount cp` between
//! two URLs uses the keys of the caller and is not limited by this.
//!
//! # Paths
//!
//! Paths are absolute and in the mount, or relative to its root; `..` is refused. If an operation takes one path and
//! none is given, the path is the file or directory of the ioctl, or the root for requests on the socket.
//!
//! # Operations
//!
//! | `op` | fields | answer |
//! |---|---|---|
//! | `stat` | `path` | metadata of a file or directory: the extended attributes without `user.oss.`, and `inode` |
//! | `stats` | `files` | `metrics`, `memory` in bytes by consumer, `reading`, `tree`, `listing`, `jobs`; with `files` each file held |
//! | `metrics` | | `text`: the figures in the text format of Prometheus; some 20 KB, which only the socket can return |
//! | `health` | | `status`, `version`, `program`, `pid`, `uptime-seconds`, `source`, `directory`, `socket`, `metrics` |
//! | `refresh` | `path`, `recursive` | `state`: `done`, or `running` after 10 s; the listing goes on then |
//! | `prefetch` | `paths`, `wait`, `to` (`memory`, `disk`) | as `prefetch-status` |
//! | `prefetch-status` | `job`, `wait` | `job`, `state` (`running`, `done`, `cancelled`), `files`, `bytes`, and of these `-done` and `-skipped`, `failed`, `failures` |
//! | `prefetch-cancel` | `job` | as `prefetch-status` |
//! | `pin` | `path` | `bytes`, `pinned-bytes`, `pinned-bytes-limit` |
//! | `drop` | `path` | `files`, `bytes` given back |
//! | `set` | `log-level`, `memory-limit`, `max-bandwidth` (or `"none"`), `prefetch` of one `path` (`auto`, `open`, `off`) | the values in effect |
//! | `copy` | `source`, `destination` and the options below | `job` |
//! | `copy-status` | `job`, `wait` | `state` (`queued`, `running`, `done`, `failed`, `cancelled`), `bytes` and `parts` (`done`, `total`), `result`, `error` (an object) |
//! | `copy-list` | | `jobs`: the last 256 that have ended, and all others |
//! | `copy-cancel` | `job` | as `copy-status` |
//!
//! Sizes are numbers of bytes or strings such as `"512MiB"`. With `wait` the answer arrives when the job has ended, or
//! after 10 s, so that the caller has to repeat the request: the kernel does not let a process end, even when it is
//! killed, before its ioctl is answered.
//!
//! **prefetch** fetches files, and directories with everything below them, in the given order, after requests that
//! programs wait for. The files stay in memory like files that were read. A job fills at most three quarters of
//! `memory-limit`, because more would evict its own files; files beyond that are skipped and counted. It is refused
//! with `memory-cache=off`.
//!
//! **pin** fetches a file and keeps it in memory until it is dropped or the daemon ends. At most half of `memory-limit`
//! can be pinned; a file that does not fit is refused with ENOSPC. The pinned version is the one that the mount shows:
//! after the object has changed, pin it again. A shortage of memory does not evict pinned files.
//!
//! **drop** ends pins and evicts what the daemon and the kernel hold of a file, or of all files below a directory,
//! except for files that the kernel is reading by passthrough.
//!
//! **set** changes all options that it names, or none. The values last until SIGHUP or the end of the daemon.
//!
//! **copy** makes a server-side copy. Each side is a path, `oss://bucket/key` or `s3://bucket/key`; a source can end in
//! `?versionId=V`. A path as source means the version that the mount shows; if the object has changed since, the copy
//! fails. When `copy-status` reports `done`, the copy can be looked up, listed and read. Fields: `recursive`,
//! `skip-existing`, `part-size`, `parallel`, `threshold`,
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
//! README has a program that starts a copy and prints its progress. The shortest client is:
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
//! # Cost
//!
//! 1000 requests a second on the socket (`stats`, `stat`, `health` and `prefetch-status` in turn) cost the daemon 0.06
//! to 0.08 of a processor, and a client in Python about the same. On two processors shared by server, daemon, reader,
//! client and other programs, cold sequential reads at the same time reached 0.95 (median of nine, in turn) and 0.78
//! (of seven) of their speed without requests; single runs varied by more than that.
