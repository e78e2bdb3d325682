//! The integration tests: one binary, one module per subject.
#![allow(clippy::unwrap_used)]
mod arrows;
mod bed;
mod cli_table;
mod conformance;
mod conformance_beds;
mod fuzz;
mod http_wire;
mod mount_life;
mod wire;
