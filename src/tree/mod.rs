//! Names, inodes, children and their freshness. No I/O, no async.
