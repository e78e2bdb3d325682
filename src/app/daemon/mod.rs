//! The process that serves a mount.
//!
//! | file | what it owns |
//! |---|---|
//! | `start` | one mount from its first request to its end: store, reader, file system, kernel |
//! | `background`, `threads` | leaving the caller, and the threads that must exist before anything is mounted |
//! | `signals`, `reload` | the signals that the daemon handles; SIGHUP reads the options again |
//! | `reach` | the first request to the bucket, before anything is mounted |
//! | `notify` | messages to the service manager, and the descriptors that it keeps |
//! | `supervise`, `deaths` | a parent process that starts the daemon again, and how often it does |
//! | `descriptors` | the descriptors that are kept of a mount while its daemon is restarted |
//! | `handover` | what a daemon hands over to the next one |
//! | `accessories` | pid file, control socket and metrics server, which can fail without ending the mount |
//! | `registry` | lets other processes find the daemon of a mount and wait for its end |
//! | `socket` | control requests on a Unix socket |
//! | `beside` | figures and health over HTTP |
//! | `health`, `addresses` | whether the store answers, and at which addresses |
//! | `pressure` | watches the memory of the machine and of the control groups |
//! | `recording` | the files of the options `record` and `replay` |
//! | `log` | the log |

mod accessories;
mod addresses;
pub(super) mod background;
mod beside;
mod deaths;
pub(super) mod descriptors;
mod handover;
mod health;
pub(super) mod log;
pub(super) mod notify;
mod pressure;
pub(super) mod reach;
mod recording;
pub(super) mod registry;
pub(super) mod reload;
pub(super) mod signals;
mod socket;
mod start;
pub(super) mod supervise;
pub(super) mod threads;

pub(in crate::app) use start::{Plan, start};
