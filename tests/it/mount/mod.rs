//! Real mounts, through the kernel.

mod account;
mod addresses;
mod around;
mod bridge;
mod corrupt;
mod faults;
mod handles;
mod histories;
mod interrupt;
mod life;
mod listing;
mod names;
mod odd_stores;
mod passthrough;
mod past;
mod read;
