//! The manual: what to rely on, and why it is so.
//!
//! - [`running`]: starting, stopping, signals, the log, exit statuses, mount(8) and fstab.
//! - [`options`]: every option, printed from the table in the code.
//! - [`defaults`]: why the defaults are what they are.

pub mod defaults;
pub mod options;
pub mod running;
