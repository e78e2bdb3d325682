//! The manual: semantics, reading, listing, defaults and why, kernel traps.
