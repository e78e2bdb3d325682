//! ossmount mounts an Alibaba Cloud OSS bucket (or an S3-compatible one) read-only through FUSE.
//!
//! This page is the map of the house. Each room is one module with one duty; the arrows between them point one way
//! and `tests/it/arrows.rs` fails on any other.
//!
//! | room | owns | may use |
//! |---|---|---|
//! | [`base`] | small shared nouns: keys, names, inode numbers, ranges, sizes, the clock | nothing |
//! | [`files`] | opening folders, small files and sockets so that nothing is obeyed that another user planted | `base` |
//! | [`metrics`] | the table of figures the daemon keeps | `base` |
//! | [`store`] | the bucket over HTTP: dialects, signing, endpoints, XML, retries, limits | `files`, `base`, `metrics` |
//! | [`cache`] | where local bytes live | `base`, `metrics` |
//! | [`list`] | listing a prefix as a stream of pages | `store`, `base`, `metrics` |
//! | [`tree`] | names, inodes, children, freshness; no I/O, no async | `base` |
//! | [`read`] | streams, windows, fetching, the memory budget, integrity | `store`, `cache`, `base`, `metrics` |
//! | [`copy`] | server-side copies, of one object or of all below a prefix | `store`, `list`, `base`, `metrics` |
//! | [`control`] | control requests, their JSON, who may call | `base` |
//! | [`fs`] | the conductor: lookup, open, read, readdir; handles; the one error-to-errno match | `tree`, `list`, `read`, `copy`, `control`, `base`, `metrics`, of `store` the trait and its error |
//! | [`fuse`] | the only room that names the FUSE crate: decode, reply, session, mount | `fs`, `base`, `metrics` |
//! | [`config`] | one option table, and its resolution into each room's `Options` | `files`, `base`, the rooms' `Options` |
//! | [`emulator`] | an OSS and S3 server for the demo, the tests and the benchmarks | `files`, `base` |
//! | [`app`] | builds the layers, mounts, signals, readiness; one file per command | all |
//!
//! `tree` never awaits; `cache` never fetches; `list` knows no inode; below `fs` nobody knows errno; below `config`
//! nobody sees a flag, a file or the environment; only `fuse` names the FUSE crate and only `store::http` those for
//! TLS and for reading HTTP; no clock is read outside `base`. `store` and `emulator` share no code on purpose: two
//! readings of the protocol check each other.
//!
//! The [`manual`] holds the essays: semantics, reading, listing, control, defaults and why, kernel traps.
// These macros panic where the output is closed or full, and no output may end a daemon whose mount stands.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod app;
pub mod base;
pub mod cache;
pub mod config;
pub mod control;
pub mod copy;
pub mod emulator;
pub mod files;
pub mod fs;
pub mod fuse;
pub mod list;
pub mod manual;
pub mod metrics;
pub mod read;
pub mod store;
pub mod tree;
