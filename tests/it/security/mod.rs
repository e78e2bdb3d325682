//! What other users, and those who read logs, can and cannot do.

mod planted;
mod secrets;
