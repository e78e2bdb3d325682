//! The manual: what to rely on, and why it is so.
//!
//! - [`running`]: starting, stopping, signals, the log, exit statuses, mount(8) and fstab.
//! - [`credentials`]: where access keys come from, and how a mount outlives them.
//! - [`kernel`]: what is asked of the kernel, and what it does not let us change.
//! - [`semantics`]: names, inode numbers, how long things are believed, what happens when an object changes.
//! - [`options`]: every option, printed from the table in the code.
//! - [`listing`]: how names come in, how many requests that takes, what is believed for how long.
//! - [`reading`]: what is fetched when, what stays in memory, what is checked.
//! - [`copying`]: how objects are copied within the service, and what becomes of a copy that fails.
//! - [`control`]: requests to a live mount, and how programs make them.
//! - [`defaults`]: why the defaults are what they are.

pub mod control;
pub mod copying;
pub mod credentials;
pub mod defaults;
pub mod kernel;
pub mod listing;
pub mod options;
pub mod reading;
pub mod running;
pub mod semantics;
