//! The integration tests: one binary, one module per subject.
#![allow(clippy::unwrap_used)]
mod arrows;
mod bed;
mod conformance;
mod conformance_beds;
mod mount_life;
