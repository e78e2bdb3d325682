//! The integration tests: one binary, one module per subject.
#![allow(clippy::unwrap_used)]
mod arrows;
mod bed;
mod cli;
mod cli_bad_starts;
mod cli_demo;
mod cli_look;
mod cli_mount;
mod cli_mount8;
mod cli_table;
mod cli_usage;
mod conformance;
mod conformance_beds;
mod emulator;
mod faults;
mod fuzz;
mod gate;
mod http_connections;
mod http_store;
mod http_wire;
mod listing;
mod mount_life;
mod mount_listing;
mod mount_names;
mod mount_read;
mod radosgw;
mod wire;
