//! Parse, resolve, run, exit code.

fn main() {}
