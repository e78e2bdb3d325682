//! The manual: a page for each topic. Each page opens with what it lets a reader do.
//!
//! | to | read |
//! |---|---|
//! | mount a bucket for the first time | [`quick_start`] |
//! | look up a command, with examples | [`commands`] |
//! | look up an option | [`options`] |
//! | set options in files and the environment, or change them on a live mount | [`configuration`] |
//! | choose a source of access keys | [`credentials`] |
//! | install, upgrade or remove the program | [`install`] |
//! | start, stop and signal a daemon, or mount by mount(8) | [`running`] |
//! | mount at boot, or restart a daemon under running programs | [`service`] |
//! | know what programs can rely on: names, inode numbers, consistency, errors | [`semantics`] |
//! | predict which bytes are fetched, and what stays in memory | [`reading`] |
//! | keep on disk what was fetched | [`caching`] |
//! | predict how many requests a listing takes | [`listing`] |
//! | mount, list or copy a versioned bucket as it stood at a time | [`past`] |
//! | copy objects within the service | [`copying`] |
//! | let programs write over a mount | [`writing`] |
//! | send requests to a live mount from a program | [`control`] |
//! | export figures, probe health, read the log | [`monitoring`] |
//! | know the reason for a default | [`defaults`] |
//! | know what an option gains or costs | [`tuning`] |
//! | find the cause of a message or a symptom | [`troubleshooting`] |
//! | replace ossfs, Mountpoint, s3fs or rclone | [`migrating`] |
//! | judge the security of a mount | [`security`] |
//! | know which behaviour comes from the kernel | [`kernel`] |
//! | know why the code is built as it is | [`decisions`] |
//! | look up a word | [`glossary`] |

pub mod caching;
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
pub mod past;
pub mod quick_start;
pub mod reading;
pub mod running;
pub mod security;
pub mod semantics;
pub mod service;
pub mod troubleshooting;
pub mod tuning;
pub mod writing;
