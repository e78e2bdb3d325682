//! What the tests stand on: mounts, programs, servers, namespaces.

pub(crate) mod bed;
pub(crate) mod bridges;
pub(crate) mod gate;
pub(crate) mod mapping;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod nginx;
pub(crate) mod program;
pub(crate) mod radosgw;
pub(crate) mod wire;
