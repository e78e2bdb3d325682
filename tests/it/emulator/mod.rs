//! The emulator over real sockets, asked by a client of its own that shares no code with either side.

mod client;
mod files;
mod listing;
mod refusals;
mod spoiled;
mod stored;
mod versions;

use ossmount::emulator::{Emulator, Options};

/// An emulator with an empty bucket `b`.
fn emulator() -> Emulator {
    let emulator = Emulator::start(Options::default()).unwrap();
    emulator.create_bucket("b");
    emulator
}
