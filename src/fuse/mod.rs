//! The only room that names the FUSE crate: decode, reply, session, mount.
