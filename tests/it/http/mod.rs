//! The store over HTTP, against the emulator and against servers that say what a test tells them to.

mod addresses;
mod connections;
mod copies;
mod faults;
mod odd;
mod store;
mod ways;
pub(crate) mod wire;
