//! The copier, over the emulator.

pub(crate) mod bench;
mod faults;
mod objects;
mod prefix;
