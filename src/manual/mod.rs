//! The manual: what to rely on, and why it is so.
//!
//! - [`quick_start`]: from nothing to a model that is read.
//! - [`commands`]: what each command does, with examples.
//! - [`install`]: packages, what is in them, upgrading and removing, images, which systems.
//! - [`running`]: starting, stopping, signals, the log, exit statuses, mount(8) and fstab.
//! - [`service`]: systemd, fstab, mounts by users, restarts that programs do not notice.
//! - [`configuration`]: files, examples, what holds and why, what changes while a mount lives.
//! - [`credentials`]: where access keys come from, and how a mount outlives them.
//! - [`kernel`]: what is asked of the kernel, and what it does not let us change.
//! - [`semantics`]: names, inode numbers, how long things are believed, what happens when an object changes.
//! - [`options`]: every option, printed from the table in the code.
//! - [`listing`]: how names come in, how many requests that takes, what is believed for how long.
//! - [`reading`]: what is fetched when, what stays in memory, what is checked.
//! - [`copying`]: how objects are copied within the service, and what becomes of a copy that fails.
//! - [`control`]: requests to a live mount, and how programs make them.
//! - [`monitoring`]: figures, health, alerts, the live view, the log.
//! - [`defaults`]: why the defaults are what they are.
//! - [`decisions`]: what was decided against the usual choice, and the measurement behind it.
//! - [`tuning`]: what each option changes, measured.
//! - [`troubleshooting`]: a message, why it is said, and what to do.
//! - [`migrating`]: what the options of ossfs, Mountpoint, s3fs and rclone are called here.
//! - [`security`]: who could do what, and what stands against it.
//! - [`glossary`]: the words that are used here and in the code, one sentence each.

pub mod commands;
pub mod configuration;
pub mod control;
pub mod copying;
pub mod credentials;
pub mod decisions;
pub mod defaults;
pub mod glossary;
pub mod install;
pub mod kernel;
pub mod listing;
pub mod migrating;
pub mod monitoring;
pub mod options;
pub mod quick_start;
pub mod reading;
pub mod running;
pub mod security;
pub mod semantics;
pub mod service;
pub mod troubleshooting;
pub mod tuning;
