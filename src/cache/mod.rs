//! Where local bytes live: the memory tier of whole files and the disk tier. It never fetches.
//!
//! Nothing is kept here yet: `read` holds what was read in its own buffers, and the kernel small files in its page cache.
