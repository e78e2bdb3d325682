//! The integration tests: one binary, one folder per subject.
//!
//! | folder | subject |
//! |---|---|
//! | `cli` | the program's commands, as they are run in a shell |
//! | `conformance` | what every store promises, on each kind of bed |
//! | `control` | control requests to live mounts |
//! | `copy` | the copier, over the emulator |
//! | `daemon` | the daemon's life beside its mount: services, restarts, scarcity |
//! | `emulator` | the emulator, asked by a client of its own |
//! | `fuzz` | damaged input for everything that parses |
//! | `house` | the map, the arrows and the form of the code, and the manual |
//! | `http` | the store over HTTP |
//! | `list` | FastList over HTTP, and behind mounts |
//! | `mount` | real mounts, through the kernel |
//! | `security` | what other users, and those who read logs, can and cannot do |
//! | `support` | what the tests stand on |
#![allow(clippy::unwrap_used)]

mod cli;
mod conformance;
mod control;
mod copy;
mod daemon;
mod emulator;
mod fuzz;
mod house;
mod http;
mod list;
mod mount;
mod security;
mod support;
