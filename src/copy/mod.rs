//! Server-side copies. Nothing lives here yet.
