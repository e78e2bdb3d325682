//! The daemon's life beside its mount: services, restarts, scarcity, deaths.

mod beside;
mod bridge;
mod cache;
mod hung;
mod near;
mod poisonous;
mod restart;
mod scarcity;
mod service;
