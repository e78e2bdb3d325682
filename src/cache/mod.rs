//! Where local bytes live: the memory tier of whole files and the disk tier. It never fetches.
//!
//! Nothing is kept here yet: read buffers belong to `read`, second reads to the kernel's page cache.
