//! The only room that names the FUSE crate: mount, session, decode, reply.
//!
//! [`mount`] opens `/dev/fuse`, attaches it to a directory and serves an [`Fs`] on it until the mount is gone. The
//! difficulties, and the file that solves each:
//!
//! 1. Mounting, as root or through `fusermount3`, with the source and type that `/proc/mounts` shall show; a dead
//!    mount left by a killed daemon; one clear sentence for each way it can fail: `attach` and [`MountError`].
//! 2. Unmounting exactly our mount, whatever has been mounted over its path or in its place since, and while files
//!    are open: [`Mounted`] and `mountinfo`. The FUSE crate's own mount handle gets this wrong and is not used.
//! 3. Answering without a thread parked per waiting read, surviving a panic, and with an end to every wait: `answer`;
//!    at once where the program that waits is killed: `caller`.
//! 4. Telling the kernel to forget, without ever blocking a thread that must answer: [`Notifier`].
//! 5. Control requests on a mount that is read-only: `control`, an ioctl; whether the caller is in the namespaces of
//!    the daemon: `namespaces`.
//! 6. Opens with O_DIRECT of files that the kernel reads by itself from where there are no direct reads: `twin`.
//! 7. A daemon that is restarted under a live mount, unnoticed by programs: `resume_session`.
//!
//! `fs` answers the requests; nothing here knows buckets or keys.
//!
//! | file | what it owns |
//! |---|---|
//! | `advice` | advice of programs on files that the kernel reads through the bridge |
//! | `answer` | how an operation becomes an answer: at once, or later from the runtime |
//! | `attach` | attaching the device to a directory, and detaching just that mount again |
//! | `bridge` | large files read by the kernel from an EROFS image that the daemon serves |
//! | `caller` | whether the waiting thread has received a signal to end |
//! | `control` | control requests by ioctl and by extended attributes |
//! | `error` | why a mount could not be made or undone |
//! | `fusermount` | mounting for users without privileges |
//! | `lease` | whether programs have a file of ours mapped that they have closed |
//! | `mountinfo` | the kernel's table of mounts, as `/proc/thread-self/mountinfo` tells it |
//! | `namespaces` | whether a caller lives in the daemon's own namespaces |
//! | `notify` | telling the kernel what to drop, from a thread of its own |
//! | `open_answer` | how an open is answered |
//! | `opener` | what can be seen of a process that opens a file |
//! | `ops` | decoding requests of the kernel |
//! | `options` | how to mount and serve |
//! | `passthrough` | which files the kernel reads by itself |
//! | `place` | the directory or descriptor to mount on |
//! | `read_ahead` | how much the kernel reads ahead |
//! | `reply` | answers in the kernel's terms |
//! | `request_limit` | how long the kernel's requests may be |
//! | `resume_session` | continuing the session of an earlier daemon |
//! | `session` | a live mount |
//! | `twin` | second inodes of objects read through the bridge, for opens with O_DIRECT |

mod advice;
mod answer;
mod attach;
mod bridge;
mod caller;
mod control;
mod error;
mod fusermount;
mod lease;
mod mountinfo;
mod namespaces;
mod notify;
mod open_answer;
mod opener;
mod ops;
mod options;
mod passthrough;
mod place;
mod read_ahead;
mod reply;
mod request_limit;
mod resume_session;
mod session;
mod twin;

pub use attach::{Laziness, answers, discard, unmount};
pub use control::{IOCTL, IOCTL_BYTES};
pub use error::MountError;
pub use mountinfo::{FS_TYPE, Mount, mounts};
pub use notify::Notifier;
pub use options::{Access, BridgeUse, Options};
pub use place::{Kept, Place, Target};
pub use session::{Drained, Mounted, mount};

#[cfg(doc)]
use crate::fs::Fs;
