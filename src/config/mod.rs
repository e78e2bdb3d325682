//! One option table, and its resolution into each room's options.
