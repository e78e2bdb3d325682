//! FastList over HTTP, and behind mounts.

mod order;
mod shapes;
