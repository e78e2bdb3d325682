//! Listing a prefix as a stream of pages. Knows keys, not inodes.
