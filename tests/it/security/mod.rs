//! What other users, and those who read logs, can and cannot do.

mod orphans;
mod planted;
mod secrets;
