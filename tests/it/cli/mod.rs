//! The program's commands, as they are run in a shell.

mod bad_starts;
mod config;
mod copy;
mod demo;
mod generate;
mod json;
mod local;
mod log;
mod look;
mod mount;
mod mount8;
mod past;
mod replay;
mod table;
mod usage;
